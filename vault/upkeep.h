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

/* A piece of upkeep: called at least every interval_ms, does little at a time. Failures are logged, and tried again at the next turn. */
struct vault_upkeep_task {
    const char *name;
    uint32_t interval_ms;
    enum kl_status (*run)(struct vault *vault, int64_t now_us, struct kl_err *err);
};
extern const struct vault_upkeep_task *const vault_upkeep_tasks[]; /* ended by NULL */

/* Made and ended with the vault. KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_upkeep_new(struct vault *vault, struct kl_err *err);
void vault_upkeep_free(struct vault *vault);
/* There is a job; wakes the thread. */
void vault_upkeep_wake(struct vault *vault);

#endif
