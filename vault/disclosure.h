/* The ledger of disclosures as other files of the vault use it: reads write it, erasures and rectifications ask it. Threads: any. */
#ifndef VAULT_DISCLOSURE_H
#define VAULT_DISCLOSURE_H

#include "vault/disclosure_text.h"
#include "vault/subject_read.h"

/* A subject's ledger, empty when there is none. ret_value: its value slot; KMS_VALUE_NONE: none yet. Errors as vault_aside_open(). */
KL_MUST_USE enum kl_status vault_disclosures_load(struct vault *vault,
                                                  const struct vault_subject *subject,
                                                  struct kl_arena *arena,
                                                  struct vault_disclosures *ret,
                                                  uint64_t *ret_value, struct kl_err *err);
/* An entry as it is shown, whoever may see it, in the arena and the ledger; with_note: its note too. Errors as vault_aside_open(). */
KL_MUST_USE enum kl_status vault_disclosure_result_of(
    struct vault *vault, const struct vault_subject *subject,
    const struct vault_disclosures *ledger, size_t at, bool with_note, struct kl_arena *arena,
    struct vault_disclosure_result *ret, struct kl_err *err);
/*
 * Begin an entry: what all have, its names in the ledger. channel NULL: read from this vault. Then its fields, one by one. KL_ERR_TOO_LARGE as
 * vault_disclosures_name().
 */
KL_MUST_USE enum kl_status vault_disclosure_entry_begin(
    struct vault_disclosures *ledger, struct kl_arena *arena, const struct vault_policy *policy,
    const struct vault_query *query, const char *channel, int64_t at_us,
    struct vault_disclosure *ret, struct kl_err *err);
KL_MUST_USE enum kl_status vault_disclosure_entry_field(struct vault_disclosures *ledger,
                                                        struct kl_arena *arena, const char *type,
                                                        const char *field,
                                                        struct vault_disclosure *entry,
                                                        struct kl_err *err);
/* Seal a changed ledger as part of a change. value: as it was loaded. KL_ERR_TOO_LARGE "too_many_disclosures", "subject_full". */
KL_MUST_USE enum kl_status vault_disclosures_put(struct vault_change *change,
                                                 struct vault_disclosures *ledger, uint64_t value,
                                                 struct kl_err *err);
/*
 * vault_read_loaded(), and, when it is for a recipient who is shown something, the disclosure written down in a commit of its own without a
 * sync and without an audit entry: act is committed after it, synced, or nothing of the result leaves. Without a recipient it is
 * vault_read_loaded() and no more. The same commit notes the recipient's pseudonyms of the subject, when these are its first (pseudonym.h). KL_ERR_PRECONDITION "head_changed", KL_ERR_GONE: find the subject again (vault_change_again()); act is
 * zeroed then. Errors of both.
 */
KL_MUST_USE enum kl_status vault_read_disclosed(
    struct vault *vault, const struct vault_caller *caller, const struct vault_read_plan *plan,
    const struct kl_id *record, const struct vault_subject *subject, struct kl_arena *arena,
    struct vault_act *act, struct vault_subject_result *ret, bool *ret_reached, struct kl_err *err);
/* What was shown for one purpose. */
struct vault_disclosed {
    int purpose;
    const struct vault_subject_result *result;
};
/*
 * Write down what was shown to the query's recipient, as vault_read_disclosed() does: for at most VAULT_PURPOSES_MAX purposes, all in one
 * commit, and nothing when there is no recipient. KL_ERR_PRECONDITION "head_changed", KL_ERR_GONE: find the subject again.
 */
KL_MUST_USE enum kl_status vault_disclose(struct vault *vault, const struct vault_caller *caller,
                                          const struct vault_query *query,
                                          const struct vault_subject *subject,
                                          const struct vault_disclosed *shown, size_t count,
                                          struct kl_err *err);
/*
 * Only the writing down of what vault_read_loaded() gave as result, for a reader that makes sure of more between the two. Errors of
 * vault_read_disclosed(); act is zeroed then.
 */
KL_MUST_USE enum kl_status vault_read_disclose(
    struct vault *vault, const struct vault_caller *caller, const struct vault_read_plan *plan,
    const struct vault_subject *subject, struct vault_act *act,
    const struct vault_subject_result *result, struct kl_err *err);
/* Whether that was because of another change of the subject, or because it is held dying: try again, or say that it is busy. */
bool vault_read_met_change(enum kl_status status, const struct kl_err *err);
/*
 * Whom to tell (GDPR art. 19): names of recipients who received a field of the type (fields NULL: any of it; else one of count names without the
 * type), each once; they are the ledger's. type NULL: whatever they received. ret_names has room for VAULT_DISCLOSURES_MAX; *ret_count is counted up.
 */
void vault_disclosures_recipients(const struct vault_disclosures *ledger, const char *type,
                                  const char *const *fields, size_t count, const char **ret_names,
                                  size_t *ret_count);

#endif
