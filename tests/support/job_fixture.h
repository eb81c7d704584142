/* A job type of the test's own in place of the sweep, and the means to ask for its jobs. */
#ifndef KLUIS_TESTS_JOB_FIXTURE_H
#define KLUIS_TESTS_JOB_FIXTURE_H

#include "tests/support/admin_fixture.h"

#include "vault/job.h"
#include "vault/upkeep_internal.h"

#include <stdatomic.h>
#include <stdbool.h>

/* What the steps do: as many as steps_wanted, each first failing as often as failures say; then with fail_for_good, if that is set. */
struct job_script {
    atomic_uint steps;            /* done so far, of all jobs */
    unsigned steps_wanted;        /* of each job */
    atomic_uint failures;         /* how often the next steps fail */
    enum kl_status failing;       /* with what */
    enum kl_status fail_for_good; /* KL_OK: they do not */
    unsigned
        stop_at; /* the step that ends when the thread was told to stop, and not before; 0: none */
};
extern struct job_script job_script;

/* admin_setup(), with the script's type for VAULT_JOB_SWEEP and no other, and no tasks. Again after admin_reopen(): job_fixture_types(). */
int job_setup(void **state);
void job_fixture_types(struct admin_fixture *fixture);

/* Ask for a job as the operator; the test fails when it is refused. key NULL: without an Idempotency-Key. */
struct kl_id job_ask(struct admin_fixture *fixture, const char *key, bool *ret_replayed);
/* A job as it is kept; ends with vault_job_done(). */
struct vault_job job_read(struct admin_fixture *fixture, const struct kl_id *id);

#endif
