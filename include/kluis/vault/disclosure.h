/*
 * Who received what of somebody (GDPR art. 15(1)(c), 19): a read for a
 * recipient is a disclosure, and one that was made elsewhere is noted. There is one
 * entry for each recipient, purpose, country, channel and set of fields; what comes again counts up.
 *
 * The ledger lies under a key of its subject and goes with it; whom to tell of an erasure is in its receipt. It has a maximum: when it is full,
 * entries without a note are merged that differ in their fields alone, into one with all of them, so that who received what, for what, is
 * never lost; when it is full still, nothing more is disclosed (KL_ERR_TOO_LARGE "too_many_disclosures").
 *
 * Errors of every call besides: those that subject.h names for all. Threads: any.
 */
#ifndef KLUIS_VAULT_DISCLOSURE_H
#define KLUIS_VAULT_DISCLOSURE_H

#include "kluis/vault/subject.h"

#define VAULT_DISCLOSURES_MAX 256 /* entries of one subject */
#define VAULT_DISCLOSURE_NOTE_MAX_BYTES 2048

struct vault_disclosure_result {
    const char *recipient;
    const char *purpose;
    struct vault_country country; /* of the recipient, then */
    const char *channel;          /* NULL: read from this vault */
    const char **fields;          /* "type.field" */
    size_t field_count;
    int64_t first_us;
    int64_t last_us;
    uint32_t count;
    bool merged;      /* not every time had all of these fields */
    const char *note; /* NULL: none */
};
/*
 * The ledger, in the order of the first times: entries for purposes that the role has `report` or `disclose` for on some field; those for purposes
 * that the policy has no more go to who may report. KL_ERR_FORBIDDEN "withheld": the transfer gate keeps it from the credential's place,
 * or lets no more than a stricter view than plain go there.
 */
KL_MUST_USE enum kl_status vault_disclosure_list(struct vault *vault,
                                                 const struct vault_caller *caller,
                                                 const struct kl_id *subject,
                                                 struct kl_arena *arena,
                                                 struct vault_disclosure_result **ret_disclosures,
                                                 size_t *ret_count, struct kl_err *err);

/* fields: "type.field" or "type.*", at least one. at_us 0: now. country NULL: the policy's of the recipient. channel: a name; NULL: "elsewhere". */
struct vault_disclosure_input {
    const char *recipient;
    const char *purpose; /* NULL: the credential's single purpose */
    const char *const *fields;
    size_t field_count;
    int64_t at_us;
    const char *country;
    const char *channel;
    const char *note; /* NULL: none */
};
/*
 * Note a disclosure made elsewhere. Needs `disclose` on every field, through all gates, to the recipient and, when another country is named, there.
 * KL_ERR_FORBIDDEN "withheld". KL_ERR_INVALID "unknown_recipient", "unknown_purpose", "purpose_required", "unknown_field", "missing_key" (no fields),
 * "invalid_country", "invalid_name", "invalid_value", "invalid_time"; KL_ERR_TOO_LARGE "value_too_large", "too_many_disclosures".
 * Idempotency as of vault_subject_create().
 */
KL_MUST_USE enum kl_status vault_disclosure_note(struct vault *vault,
                                                 const struct vault_caller *caller,
                                                 const struct kl_id *subject,
                                                 const struct vault_disclosure_input *input,
                                                 const struct vault_idempotency *idempotency,
                                                 bool *ret_replayed, struct kl_err *err);

#endif
