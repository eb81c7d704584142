/*
 * Statistics that outlive an erasure: what is kept of those who go, counted together and published when there are enough.
 *
 * All that waits in a cohort (waiting.h) is decided on at once, when the cohort is over: what reaches the minimum is published, the rest goes into
 * "other", or is dropped where all of it are too few (counting.h). That the time is set by the first erasure of a cohort, and not by a cell that
 * became full, is what keeps the last one in from being known by when it was published. One key commit shreds the cohort's slot; then nobody, whatever they kept, can say which erasure
 * a count came from.
 *
 *   "VT" tenant8 publication8 i2   format 1, cohort u64, month u32 (12 * year + month - 1), sealed (statistics_text.h): one statistic
 *
 * publication is a slot of the vault's own tree, not of the tenant's: what is published has no person in it and outlives the tenant. The rows are written before
 * the key commit, and count if and only if the cohort's key is gone and the publication's is there: an attempt that failed left the
 * cohort alive, and the next one shreds its slot before it writes anything, so that nobody holds two counts of nearly the same people against each other.
 * Threads: publishing with the turn held; the rest any.
 */
#ifndef VAULT_STATISTICS_INTERNAL_H
#define VAULT_STATISTICS_INTERNAL_H

#include "kluis/vault/statistics.h"
#include "vault/subject_internal.h"
#include "vault/upkeep.h"
#include "vault/waiting.h"

#define VAULT_STATISTICS_ROW "VT"
#define VAULT_STATISTICS_CONTEXT "published statistics"
#define VAULT_STATISTICS_KEY_BYTES (2 + 8 + 8 + 2)
#define VAULT_STATISTICS_HEAD_BYTES (1 + 8 + 4)
#define VAULT_STATISTICS_ROW_MAX_BYTES \
    (VAULT_STATISTICS_HEAD_BYTES + VAULT_PUBLISHED_MAX_BYTES + KMS_SEAL_OVERHEAD_BYTES)

/* ---- what is kept of somebody (statistics_give.c) ---- */

/*
 * What a subject's records of the types that the policy keeps statistics of give; record: that one alone, or VAULT_NONE for all that are there.
 * ret->count 0: nothing, also where the subject is restricted, or objects to the policy's purpose for it, or nobody can say whether. A value that does
 * not open counts as none. scratch is reset. KL_ERR_IO, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_statistics_give(struct vault *vault,
                                                 const struct vault_policy *policy,
                                                 const struct vault_subject *subject, int record,
                                                 struct kl_arena *arena, struct kl_arena *scratch,
                                                 struct vault_given *ret, struct kl_err *err);
/* The same at an erasure that is about to be committed: what is given waits, and the note says where. ticket: to be left when the commit is over. */
KL_MUST_USE enum kl_status vault_statistics_erasing(
    struct vault *vault, const struct vault_caller *caller, const struct vault_subject *subject,
    int record, struct kl_arena *arena, struct kl_arena *scratch, struct vault_note *note,
    struct vault_waiting_ticket *ticket, struct kl_err *err);

/* ---- publishing (statistics_publish.c) ---- */

struct vault_statistics_publication {
    uint32_t published;
    uint32_t too_few;
};
/*
 * A tenant comes to its end (tenant_end.c), and is marked dying: all who wait, and all who are there, are counted and written. A tenant without a policy that
 * keeps statistics, and without anything that waits: nothing. Where they cannot be counted or written that is logged ("statistic_not_kept"), and nothing is
 * published: keys that cannot be destroyed would be worse.
 *
 * begin: the turn is held. KL_ERR_NO_MEMORY, and what kms_commit() returns: leftovers are shredded. Then _end() in every case.
 * count: takes long, and needs no turn; until the end nobody publishes for the tenant.
 * write: the turn is held. What kms_commit() returns: what was written in part is a leftover.
 */
struct vault_statistics_ending;
KL_MUST_USE enum kl_status vault_statistics_tenant_begin(struct vault *vault,
                                                         const struct vault_tenant *tenant,
                                                         struct vault_statistics_ending **ret,
                                                         struct kl_err *err);
void vault_statistics_tenant_count(struct vault_statistics_ending *ending);
KL_MUST_USE enum kl_status vault_statistics_tenant_write(struct vault_statistics_ending *ending,
                                                         int64_t now_us,
                                                         struct vault_statistics_publication *ret,
                                                         struct kl_err *err);
void vault_statistics_tenant_end(struct vault_statistics_ending *ending, bool gone);

/* For the upkeep: publish the cohorts that are over. */
extern const struct vault_upkeep_task vault_statistics_task;

#endif
