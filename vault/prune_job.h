/*
 * The run that lets old entries of trails go (prune.h): by night over all tenants, or asked for by a steward, of its tenant. The vault's own trail, which has no
 * policy, stays whole.
 */
#ifndef VAULT_PRUNE_JOB_H
#define VAULT_PRUNE_JOB_H

#include "vault/job.h"
#include "vault/prune.h"
#include "vault/upkeep.h"

#define VAULT_PRUNE_PREFIX "prn"

extern const struct vault_job_type vault_prune_job;
extern const struct vault_upkeep_task vault_prune_nightly;

/* What a run was asked to be. */
struct vault_prune_terms {
    bool nightly;
    bool dry_run;
    int64_t per_second;
};
void vault_prune_terms_read(const struct vault_job *job, struct vault_prune_terms *ret);

/* A step of the job as it would be at now_us. */
KL_MUST_USE enum kl_status vault_prune_step(struct vault *vault, struct vault_job *job,
                                            int64_t now_us, bool *ret_done, struct kl_err *err);

#endif
