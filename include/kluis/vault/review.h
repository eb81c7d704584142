/*
 * Looking the audit trail over: what a period holds, added up, and a
 * reviewer's sign-off over a stretch of it.
 *
 * For a steward or auditor about their tenant's trail, an operator who names no tenant about the vault's own. Each is itself in the trail.
 * Errors of every call, besides those named there: KL_ERR_FORBIDDEN "role_forbidden"; KL_ERR_UNAVAILABLE "audit_unavailable"; KL_ERR_CORRUPT, KL_ERR_IO;
 * KL_ERR_NO_MEMORY; KL_ERR_TOO_LARGE ret is full. ret is appended to, and as before on failure. Threads: any; a caller belongs to one.
 */
#ifndef KLUIS_VAULT_REVIEW_H
#define KLUIS_VAULT_REVIEW_H

#include "kluis/base/buf.h"
#include "kluis/base/status.h"
#include "kluis/vault/vault.h"

#include <stddef.h>
#include <stdint.h>

#define VAULT_REVIEW_PREFIX "rev" /* ids of reviews */
#define VAULT_REVIEW_NOTE_MAX_BYTES 4000
#define VAULT_REVIEW_FINDINGS_MAX 100
/* Entries that one review may cover, and one summary looks at. */
#define VAULT_REVIEW_ENTRIES_MAX 2000000
#define VAULT_SUMMARY_ENTRIES_MAX 500000
#define VAULT_REVIEW_GAPS_MAX 100
/* Of one summary: kinds of acts, and credentials told of. */
#define VAULT_SUMMARY_ROWS_MAX 4096
#define VAULT_SUMMARY_CREDENTIALS_MAX 1000

/*
 * entry    its first entry; -1: by from_us
 * hours    "08:00-18:00 Europe/Brussels": what happened outside of these, or on a Saturday or Sunday there, is counted; NULL: it is not
 */
struct vault_summary_input {
    int64_t from_us; /* 0: from the start of the trail */
    int64_t to_us;   /* exclusive; 0: to its end */
    int64_t entry;
    const char *hours;
};
/*
 * A period as a JSON object; api/openapi.json, AuditSummary. By credential, role and action: how often, how often refused, out of hours, how many
 * people and fields were shown (the same person twice is two); credentials that were made, ended or tried after their end in the period, with the reason
 * they were made for. "next_entry": where to go on, when the period is longer than one call looks at.
 * KL_ERR_INVALID "invalid_range", "invalid_hours".
 */
KL_MUST_USE enum kl_status vault_audit_summary(struct vault *vault,
                                               const struct vault_caller *caller,
                                               const struct vault_summary_input *input,
                                               struct kl_buf *ret, struct kl_err *err);

/*
 * A sign-off over the entries from .. to - 1. from -1: the first that no review covers. findings: entries among them that the reviewer points at.
 * note: at most VAULT_REVIEW_NOTE_MAX_BYTES; NULL: none. It lies under the tenant's keys, is not in the trail, and goes with the tenant and no person: it
 * must name nobody, and a subject's id in it is refused.
 */
struct vault_review_input {
    int64_t from;
    int64_t to;
    const int64_t *findings;
    size_t finding_count;
    const char *note;
};
/*
 * Sign. ret: the review as JSON; api/openapi.json, AuditReview. It says how many of the entries are acts of the reviewer's own, reading the
 * trail aside ("own_entries"): a review with any does not count, and what it covers stays unreviewed until another reviews it. The entry "audit_review" has all
 * but the note, with the trail's size and root hash of that moment.
 * KL_ERR_INVALID "invalid_range" (empty, past the end, longer than VAULT_REVIEW_ENTRIES_MAX), "invalid_finding" (outside of it), "invalid_value",
 * "names_subject", "nothing_to_review" (from -1, and all is reviewed); KL_ERR_TOO_LARGE "value_too_large", "too_many_items".
 */
struct vault_idempotency;
KL_MUST_USE enum kl_status vault_review_make(struct vault *vault, const struct vault_caller *caller,
                                             const struct vault_review_input *input,
                                             const struct vault_idempotency *idempotency,
                                             struct kl_buf *ret, bool *ret_replayed,
                                             struct kl_err *err);
/*
 * Reviews in the order of what they cover, limit at a time, as {"reviews":[...],"unreviewed":[{"from","to"},...],"unreviewed_more","size","next_cursor"}:
 * unreviewed is the first VAULT_REVIEW_GAPS_MAX stretches that no review counts for. KL_ERR_INVALID "invalid_limit", "invalid_cursor".
 */
KL_MUST_USE enum kl_status vault_review_list(struct vault *vault, const struct vault_caller *caller,
                                             size_t limit, const char *cursor, struct kl_buf *ret,
                                             struct kl_err *err);

#endif
