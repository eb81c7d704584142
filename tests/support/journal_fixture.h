/* What is closed and opened by people of vault_fixture. A test fails where a call that returns no status does not work. */
#ifndef KLUIS_TESTS_JOURNAL_FIXTURE_H
#define KLUIS_TESTS_JOURNAL_FIXTURE_H

#include "tests/support/vault_fixture.h"

#include <stdbool.h>
#include <stdint.h>

/* The consent for mailing: given, withdrawn, and whether it counts. */
void journal_give(struct vault_fixture *fixture, const struct kl_id *subject);
enum kl_status journal_withdraw(struct vault_fixture *fixture, const struct kl_id *subject);
bool journal_consents(struct vault_fixture *fixture, const struct kl_id *subject);
/* Up to which number data/ says that it has the closings of "default". */
uint64_t journal_known(struct vault_fixture *fixture);
/* The number of the policy in force. */
uint64_t journal_policy_number(struct vault_fixture *fixture);
void journal_revoke(struct vault_fixture *fixture, const struct kl_id *credential);
/* Give a subject that residency tag, and whether it has the tag EEA. */
void journal_move(struct vault_fixture *fixture, const struct kl_id *subject, const char *to);
bool journal_is_eea(struct vault_fixture *fixture, const struct kl_id *subject);

#endif
