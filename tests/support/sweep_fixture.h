/* Sweeps of a vault_fixture: asked for, run to their end, and what they left. A test fails where a call that returns no status does not work. */
#ifndef KLUIS_TESTS_SWEEP_FIXTURE_H
#define KLUIS_TESTS_SWEEP_FIXTURE_H

#include "kluis/kms/kms.h"
#include "tests/support/vault_fixture.h"
#include "vault/sweep.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SWEEP_TEXT_BYTES 16384
#define SWEEP_SLOTS_MAX 4096

/* Change a field of the subject's first record. */
void sweep_rectify(struct vault_fixture *fixture, const struct vault_subject_result *of,
                   const char *name, const char *text);
/* Ask as that caller, who is done with then; ret_id of the job. */
enum kl_status sweep_ask(struct vault_fixture *fixture, struct vault_caller caller,
                         int64_t changes_per_second, struct kl_id *ret_id);
/* A number of a job as it is shown to the operator; of "done" whether it is. */
int64_t sweep_shown(struct vault_fixture *fixture, const struct kl_id *id, const char *key);
/* Everything that was overwritten until now goes. */
struct kl_id sweep_run(struct vault_fixture *fixture);
/* Places of all rows of a kind ('O' or 'V') whose key ends with slot8 value8: at most SWEEP_SLOTS_MAX; and how many there are. */
size_t sweep_places(struct vault_fixture *fixture, char kind, struct kms_place *ret);
size_t sweep_rows(struct vault_fixture *fixture, char kind);
bool sweep_is_gone(struct vault_fixture *fixture, const struct kms_place *place);
/* All slots of the index in use: address slot first. */
size_t sweep_index_slots(struct vault_fixture *fixture, struct kms_place *ret);

#endif
