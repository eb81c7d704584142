/*
 * What the vault does by itself, on one thread of its own: jobs, the nightly
 * sweep, what falls due (holds, tenants that end), mirrors that come back.
 *
 * Threads: start and stop from one; run_all from one, and not while the thread runs.
 */
#ifndef VAULT_UPKEEP_H
#define VAULT_UPKEEP_H

#include "kluis/vault/admin.h"
#include "vault/vault_internal.h"

#define VAULT_UPKEEP_TASKS_MAX 16

/* A piece of upkeep: called about every interval_ms and once at the start, does little at a time. Failures are logged, and tried again at the next turn. */
struct vault_upkeep_task {
    const char *name;
    uint32_t interval_ms;
    enum kl_status (*run)(struct vault *vault, int64_t now_us, struct kl_err *err);
};
extern const struct vault_upkeep_task *const vault_upkeep_tasks[]; /* ended by NULL */

/*
 * Made and ended with the vault, when it is open but for upkeep: reads the jobs that were left; of a backup that was put back, whose row
 * "restored" goes with it, rotations come to their end as failed "data_restored". _free stops the thread. KL_ERR_NO_MEMORY,
 * KL_ERR_IO, KL_ERR_CORRUPT "job_damaged".
 */
KL_MUST_USE enum kl_status vault_upkeep_new(struct vault *vault, struct kl_err *err);
void vault_upkeep_free(struct vault *vault);
/* There is something to do; wakes the thread. Nothing without one. */
void vault_upkeep_wake(struct vault *vault);
/* What upkeep was started with, or the defaults. */
struct vault_upkeep_options vault_upkeep_options(struct vault *vault);

#endif
