/*
 * What job.c and upkeep.c share: a job as a row.
 *
 * Row: format u8 (1), kind u8, state u8, tenant u64, trail u64, started u64, ended u64, progress u32 in millionths, then sized:
 * failed_code, params, cursor, result. Big-endian.
 */
#ifndef VAULT_JOB_INTERNAL_H
#define VAULT_JOB_INTERNAL_H

#include "vault/job.h"

#define VAULT_JOB_ROW_MAX_BYTES (3 * VAULT_JOB_TEXT_MAX_BYTES + 256)

KL_MUST_USE enum kl_status vault_job_encode(const struct vault_job *job, struct kl_buf *ret,
                                            struct kl_err *err);
/* KL_ERR_NOT_FOUND: a row of something else. KL_ERR_CORRUPT "job_damaged"; ret's members are not to be used then. */
KL_MUST_USE enum kl_status vault_job_decode(struct kl_slice row, const struct kl_id *id,
                                            struct vault_job *ret, struct kl_err *err);

/* What is visited may be changed, not kept. A failure of visit ends the walk. */
typedef enum kl_status (*vault_job_visit)(void *visitor, struct vault_job *job, struct kl_err *err);
KL_MUST_USE enum kl_status vault_job_each(struct vault *vault, vault_job_visit visit, void *visitor,
                                          struct kl_err *err);

/* Keep a running job as it is now: not synced, as a step may be repeated. */
KL_MUST_USE enum kl_status vault_job_keep(struct vault *vault, const struct vault_job *job,
                                          struct kl_err *err);
/* Keep an ended job, with its audit entry. KL_ERR_UNAVAILABLE "audit_unavailable": not kept. */
KL_MUST_USE enum kl_status vault_job_end(struct vault *vault, const struct vault_job *job,
                                         struct kl_err *err);

/* ---- the queue, in upkeep.c ---- */

const struct vault_job_type *vault_upkeep_type(const struct vault *vault, enum vault_job_kind kind);
/*
 * Room for one more. caller NULL: the vault itself. A tenant's own people have no more than VAULT_JOBS_OF_TENANT_MAX waiting, and all of
 * theirs together leave half of the places to operators. KL_ERR_BUSY "jobs_waiting". Given back by vault_upkeep_unreserve() or used by
 * vault_upkeep_add().
 */
#define VAULT_JOBS_OF_TENANT_MAX 4
KL_MUST_USE enum kl_status vault_upkeep_reserve(struct vault *vault,
                                                const struct vault_caller *caller,
                                                struct kl_err *err);
void vault_upkeep_unreserve(struct vault *vault);
/* Take over the job, its buffers too; room was reserved. */
void vault_upkeep_add(struct vault *vault, struct vault_job *job);

#endif
