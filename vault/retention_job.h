/*
 * The search for what is due: records that no purpose keeps any more are erased, tenant after tenant, subject after subject. A subject of
 * whom nothing but such records is left is erased whole; what is held stays. Each erasure is one of its own, with receipt and entry, so that a
 * crash ends between two.
 */
#ifndef VAULT_RETENTION_JOB_H
#define VAULT_RETENTION_JOB_H

#include "vault/job.h"
#include "vault/upkeep.h"

extern const struct vault_job_type vault_retention_job;
extern const struct vault_upkeep_task vault_retention_nightly;

/* What a run was asked to be. */
struct vault_retention_terms {
    bool nightly;
    bool dry_run;
    int64_t per_second;
};
void vault_retention_terms_read(const struct vault_job *job, struct vault_retention_terms *ret);
KL_MUST_USE enum kl_status vault_retention_begin(struct vault *vault,
                                                 const struct vault_caller *caller,
                                                 const struct vault_retention_terms *terms,
                                                 const struct vault_idempotency *idempotency,
                                                 struct kl_buf *ret, bool *ret_replayed,
                                                 struct kl_err *err);
/* The last run over the whole vault that erased and came to its end; all 0: there was none, or its row cannot be read. */
struct vault_retention_last {
    int64_t ended_us;
    uint64_t records_due;
    uint64_t records_overdue;
};
void vault_retention_last(struct vault *vault, struct vault_retention_last *ret);

#endif
