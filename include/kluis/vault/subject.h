/*
 * Data subjects and their records: create, read field by field, rectify,
 * find, erase. Every function asks the policy and writes the audit trail;
 * a value is handed out only when its audit entry is on the disk.
 *
 * What a caller without any grant would learn from an answer is nothing: the same KL_ERR_NOT_FOUND "not_found" as for a subject that never was.
 * Memory of results: an arena of the caller's, which wipes. Results are untouched on failure.
 *
 * Errors of every call, besides those named there: KL_ERR_REFUSED "no_policy" (the tenant has none in force). KL_ERR_NOT_FOUND
 * "not_found". KL_ERR_UNAVAILABLE "audit_unavailable": nothing was shown or changed, as the audit trail cannot be written. KL_ERR_CORRUPT,
 * KL_ERR_IO: what is stored cannot be read. KL_ERR_NO_MEMORY; KL_ERR_TOO_LARGE the arena or the buffer for the answer is full. Of every
 * change: KL_ERR_BUSY "subject_busy", "index_busy": others kept coming first; again later.
 *
 * Threads: any number in every call; a caller, its arena and its results belong to one at a time.
 */
#ifndef KLUIS_VAULT_SUBJECT_H
#define KLUIS_VAULT_SUBJECT_H

#include "kluis/base/arena.h"
#include "kluis/base/buf.h"
#include "kluis/base/id.h"
#include "kluis/base/status.h"
#include "kluis/vault/policy.h"
#include "kluis/vault/value.h"
#include "kluis/vault/vault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_RECORDS_MAX 256       /* of one subject */
#define VAULT_RECORDS_CREATE_MAX 32 /* in one request */
#define VAULT_FIELDS_INPUT_MAX 256  /* of one record */
#define VAULT_EVIDENCE_MAX_BYTES 4096
#define VAULT_PAGE_MAX 1000 /* items of one page of a list */
#define VAULT_PAGE_DEFAULT 100
#define VAULT_CURSOR_MAX_BYTES 256
#define VAULT_BATCH_MAX 1000
#define VAULT_IDEMPOTENCY_KEY_MAX_BYTES 255

/* ---- input ---- */

struct vault_field_input {
    const char *name;
    bool remove; /* null in a merge patch */
    struct vault_value_input value;
};
/* A consent as given (GDPR art. 7). notice, channel: names; evidence: free text, kept sealed under the subject's key; at_us 0: now; expires_us 0: never. */
struct vault_consent_input {
    const char *purpose;
    const char *recipient; /* NULL: for the controller */
    const char *notice;
    const char *channel;
    const char *evidence; /* NULL: none */
    int64_t at_us;
    int64_t expires_us;
    bool is_explicit; /* GDPR art. 9(2)(a), 49(1)(a) */
};
struct vault_record_input {
    const char *type;
    const char *source; /* NULL: not said */
    const struct vault_field_input *fields;
    size_t field_count;
    const struct vault_consent_input *consents;
    size_t consent_count;
};
struct vault_subject_input {
    const char *residency; /* NULL: the policy's default */
    const struct vault_record_input *records;
    size_t record_count;
};
/*
 * Idempotency-Key of the request and a hash of what it asked (of method, path and body; the vault keys it before it is stored).
 * key NULL: the request is not to be remembered.
 */
struct vault_idempotency {
    const char *key;
    unsigned char fingerprint[32];
};

/* ---- results ---- */

struct vault_field_result {
    const char *name;
    enum vault_gate withheld; /* VAULT_GATE_NONE: shown as view says */
    enum vault_view view;
    enum vault_type type;
    struct kl_slice
        value; /* plain: the normalised value; masked: a text; token: a pseudonym (pseudonym.h); present: empty */
};
/*
 * pseudonym: what is shown in the place of the id to whom nothing is shown more openly than as a token (vault_policy_is_pseudonymous()); NULL: the
 * id is shown. With it id, source, version and created_us are not set: by them two recipients could match what they have.
 */
struct vault_record_result {
    struct kl_id id;
    const char *pseudonym;
    const char *type;
    const char *source; /* NULL: not said */
    uint64_t version;   /* from 1; the ETag */
    int64_t created_us;
    struct vault_field_result *fields; /* only fields that the record has a value for */
    size_t field_count;
};
struct vault_subject_result {
    struct kl_id id;
    const char *pseudonym; /* as of a record, and of all of them */
    enum vault_residency residency;
    struct vault_record_result *records;
    size_t record_count;
    bool replayed; /* create: an earlier request with this idempotency key had made it */
};

/* ---- calls ---- */

/*
 * Make a subject with its records, consents, index entries and audit entry: one batch, one sync. Needs `write` on every field given. Consents are
 * for purposes of the record's type, or need `consent`.
 * KL_ERR_INVALID "unknown_record_type", "unknown_field", "invalid_value", "invalid_type", "unknown_purpose", ... err->where is a JSON pointer
 * into the request ("/records/0/fields/email"). KL_ERR_FORBIDDEN "withheld" (where: the field; text: the gate), "residency".
 * KL_ERR_CONFLICT "not_unique"; "idempotency_key_reused" (KL_ERR_INVALID: another body), "idempotent_result_erased" (KL_ERR_GONE).
 * KL_ERR_REFUSED "no_policy". KL_ERR_TOO_LARGE "too_many_records", "value_too_large". KL_ERR_UNAVAILABLE "audit_unavailable".
 * Secrets are kept as hashes: "secret_too_short" (KL_ERR_INVALID), "too_many_secrets" (KL_ERR_TOO_LARGE), KL_ERR_BUSY "secrets_busy".
 */
KL_MUST_USE enum kl_status vault_subject_create(
    struct vault *vault, const struct vault_caller *caller, const struct vault_subject_input *input,
    const struct vault_idempotency *idempotency, struct kl_arena *arena,
    struct vault_subject_result *ret, struct kl_err *err);

/* What to read. fields: "type.field" or "type.*" names; count 0: all that may be shown. record: only that record; NULL: all. */
struct vault_read_input {
    struct kl_id subject;
    const struct kl_id *record;
    const char *
        purpose; /* NULL: the credential's single purpose; KL_ERR_INVALID "purpose_required" without one */
    const char *recipient; /* NULL: the controller itself */
    enum vault_ground ground;
    const char *const *fields;
    size_t field_count;
};
/*
 * Read fields. A field asked for by name that is withheld is listed with its gate; without names, fields that role withholds are left out
 * and the others listed. KL_ERR_FORBIDDEN "volume_exceeded" (with err->retry_after_s): nothing is shown because the role's volume_per_hour is
 * used up; of lists and lookups too, whose pages end before the first subject that is too many. KL_ERR_NOT_FOUND "not_found". KL_ERR_INVALID "unknown_purpose", "unknown_field", "unknown_recipient", "purpose_required".
 */
KL_MUST_USE enum kl_status vault_subject_read(struct vault *vault,
                                              const struct vault_caller *caller,
                                              const struct vault_read_input *input,
                                              struct kl_arena *arena,
                                              struct vault_subject_result *ret, struct kl_err *err);
/*
 * Many reads with one sync for all their audit entries; statuses and errs per item. Returns KL_OK unless the audit could not be written.
 * result_max_bytes: what all results may take together as JSON. The first read that goes beyond it, and all after it, are not done and not
 * in the trail: KL_ERR_TOO_LARGE "batch_result_too_large".
 */
KL_MUST_USE enum kl_status vault_subject_read_many(
    struct vault *vault, const struct vault_caller *caller, const struct vault_read_input *inputs,
    size_t count, size_t result_max_bytes, struct kl_arena *arena,
    struct vault_subject_result *rets, enum kl_status *statuses, struct kl_err *errs,
    struct kl_err *err);

/*
 * Subjects with a record of that type whom this purpose may reach (their consent gate lets it), page by page, an audit entry each.
 * cursor: NULL or "" for the first page; ret_cursor (VAULT_CURSOR_MAX_BYTES + 1) is empty at the end.
 * KL_ERR_INVALID "invalid_cursor", "invalid_limit" (1..VAULT_PAGE_MAX).
 */
KL_MUST_USE enum kl_status vault_subject_list(struct vault *vault,
                                              const struct vault_caller *caller, const char *type,
                                              const struct vault_read_input *what, size_t limit,
                                              const char *cursor, struct kl_arena *arena,
                                              struct vault_subject_result **ret_subjects,
                                              size_t *ret_count, char *ret_cursor,
                                              struct kl_err *err);

/*
 * Change the residency tag, if every rule allows: the store's country, the policy. Needs `write` on all fields that the subject has.
 * KL_ERR_FORBIDDEN "residency": also when the tag EEA would be taken off by a credential that is outside the EEA.
 */
KL_MUST_USE enum kl_status vault_subject_move(struct vault *vault,
                                              const struct vault_caller *caller,
                                              const struct kl_id *subject, const char *residency,
                                              struct kl_err *err);

/*
 * One more record of a subject. Input, errors and idempotency as of vault_subject_create(), places from the record's root ("/fields/email").
 * KL_ERR_TOO_LARGE "too_many_records" (VAULT_RECORDS_MAX), "too_many_consents", "subject_full".
 */
KL_MUST_USE enum kl_status vault_record_add(struct vault *vault, const struct vault_caller *caller,
                                            const struct kl_id *subject,
                                            const struct vault_record_input *input,
                                            const struct vault_idempotency *idempotency,
                                            struct kl_arena *arena, struct vault_record_result *ret,
                                            struct kl_err *err);
/*
 * Rectify: set and remove fields. if_version: the version that the caller saw (If-Match); 0: any ("*").
 * KL_ERR_PRECONDITION "version_mismatch". KL_ERR_TOO_LARGE "too_many_fields", "value_too_large". KL_ERR_INVALID, KL_ERR_FORBIDDEN and
 * KL_ERR_CONFLICT as of vault_subject_create(). ret_version: the new version.
 */
KL_MUST_USE enum kl_status vault_record_patch(
    struct vault *vault, const struct vault_caller *caller, const struct kl_id *subject,
    const struct kl_id *record, uint64_t if_version, const struct vault_field_input *fields,
    size_t field_count, uint64_t *ret_version, struct kl_err *err);
/*
 * The same, and whom to tell of it (GDPR art. 19): those who received one of the fields that were set or removed, as the ledger of disclosures
 * has it, each once; names in the arena.
 */
KL_MUST_USE enum kl_status vault_record_rectify(
    struct vault *vault, const struct vault_caller *caller, const struct kl_id *subject,
    const struct kl_id *record, uint64_t if_version, const struct vault_field_input *fields,
    size_t field_count, struct kl_arena *arena, uint64_t *ret_version,
    const char *const **ret_notify, size_t *ret_notify_count, struct kl_err *err);

/*
 * Whether a value is the secret that a record has in a field (its name within the record's type); needs `verify` for the purpose, past all
 * gates. A record without that secret answers no, after as long. The audit entry, durable before the answer, says field, purpose and
 * whether it matched. ret_match is set on KL_OK only.
 * KL_ERR_NOT_FOUND "not_found": also when the role may verify nothing in a record of that type. KL_ERR_FORBIDDEN "withheld" (the text names
 * the gate); "too_many_attempts": of this field of this record, or by this credential (vault/subject_secret.h), "volume_exceeded": both with
 * err->retry_after_s. KL_ERR_BUSY "secrets_busy". KL_ERR_INVALID "unknown_field", "field_not_secret", "unknown_purpose", "purpose_required",
 * "invalid_type", "empty_value", "invalid_value", "unassigned_character"; KL_ERR_TOO_LARGE "value_too_large".
 */
struct vault_verify_input {
    struct kl_id subject;
    struct kl_id record;
    const char *field;
    const char *purpose; /* NULL: the credential's single purpose */
    struct vault_value_input value;
};
KL_MUST_USE enum kl_status vault_record_verify(struct vault *vault,
                                               const struct vault_caller *caller,
                                               const struct vault_verify_input *input,
                                               bool *ret_match, struct kl_err *err);

/*
 * Find subjects by an indexed field ("newsletter.email") and value; needs `lookup` on the field for the purpose, on each subject found.
 * Subjects that may not be found for this purpose are left out. ret_cursor: VAULT_CURSOR_MAX_BYTES + 1 bytes, empty at the end.
 * KL_ERR_INVALID "unknown_field", "field_not_indexed", "invalid_value", "invalid_type", "unknown_purpose", "purpose_required",
 * "invalid_limit", "invalid_cursor". KL_ERR_FORBIDDEN "withheld": the role finds nobody by that field.
 */
struct vault_lookup_input {
    const char *field;
    struct vault_value_input value;
    const char *purpose;
    enum vault_ground ground;
    size_t limit;       /* 1..VAULT_PAGE_MAX */
    const char *cursor; /* NULL: from the start */
};
KL_MUST_USE enum kl_status vault_lookup(struct vault *vault, const struct vault_caller *caller,
                                        const struct vault_lookup_input *input,
                                        struct kl_arena *arena, struct kl_id **ret_subjects,
                                        size_t *ret_count, char *ret_cursor, struct kl_err *err);

/* ---- restriction, objection, events: the kinds ---- */

/* GDPR art. 18(1) a to d. */
enum vault_restriction_ground {
    VAULT_RESTRICTION_ACCURACY_CONTESTED,
    VAULT_RESTRICTION_UNLAWFUL,
    VAULT_RESTRICTION_NEEDED_FOR_CLAIM,
    VAULT_RESTRICTION_OBJECTION_PENDING,
    VAULT_RESTRICTION_GROUNDS
};
/* GDPR art. 21(1), (2) and (6). */
enum vault_objection_ground {
    VAULT_OBJECTION_SITUATION,
    VAULT_OBJECTION_DIRECT_MARKETING,
    VAULT_OBJECTION_RESEARCH,
    VAULT_OBJECTION_GROUNDS
};
const char *vault_restriction_ground_name(enum vault_restriction_ground ground);
const char *vault_objection_ground_name(enum vault_objection_ground ground);

/* ---- consent ---- */

#define VAULT_CONSENT_PREFIX "con" /* ids of consents */
struct vault_consent_result {
    struct kl_id id;
    const char *purpose;
    const char *recipient; /* NULL: for the controller */
    const char *notice;
    const char *channel;
    const char *evidence; /* NULL: none */
    int64_t given_us;
    int64_t expires_us;   /* 0: never */
    int64_t withdrawn_us; /* 0: not */
    bool is_explicit;
    bool counts; /* now, under the policy in force */
};
#define VAULT_CONSENTS_MAX 512 /* entries of one subject's ledger */
/*
 * The ledger, oldest first: the entries for purposes that the role has `consent` for. KL_ERR_NOT_FOUND "not_found". KL_ERR_FORBIDDEN
 * "withheld": there are such entries, and the transfer gate keeps them from the credential's place, or lets no more than a stricter view
 * than plain go there.
 */
KL_MUST_USE enum kl_status vault_consent_list(struct vault *vault,
                                              const struct vault_caller *caller,
                                              const struct kl_id *subject, struct kl_arena *arena,
                                              struct vault_consent_result **ret_consents,
                                              size_t *ret_count, struct kl_err *err);
/*
 * Note a consent; it acts on the next read, and replaces the one in force for the same purpose and recipient. Needs `consent` for the purpose. KL_ERR_INVALID "unknown_purpose", "unknown_recipient",
 * "invalid_value", "invalid_time"; KL_ERR_TOO_LARGE "too_many_consents" (VAULT_CONSENTS_MAX), "value_too_large"; KL_ERR_FORBIDDEN "withheld".
 */
KL_MUST_USE enum kl_status vault_consent_give(struct vault *vault,
                                              const struct vault_caller *caller,
                                              const struct kl_id *subject,
                                              const struct vault_consent_input *input,
                                              struct kl_err *err);
/* The same, and under which id it is in the ledger. */
KL_MUST_USE enum kl_status vault_consent_note(struct vault *vault,
                                              const struct vault_caller *caller,
                                              const struct kl_id *subject,
                                              const struct vault_consent_input *input,
                                              struct kl_id *ret_consent, struct kl_err *err);
/*
 * Append the receipt of a consent as signed JSON: what was agreed to, under which notice, and what became of it (consent_receipt.c says whose
 * fields these are). consent: its id; NULL: the newest for that purpose and recipient (NULL: the controller). Needs `consent` for the purpose.
 * KL_ERR_NOT_FOUND "not_found", "no_consent"; KL_ERR_INVALID "unknown_purpose", "unknown_recipient"; KL_ERR_FORBIDDEN "withheld": the gate
 * transfer.
 */
KL_MUST_USE enum kl_status vault_consent_receipt(struct vault *vault,
                                                 const struct vault_caller *caller,
                                                 const struct kl_id *subject, const char *purpose,
                                                 const char *recipient, const struct kl_id *consent,
                                                 struct kl_buf *ret, struct kl_err *err);
/* Acts on the next read; one that is past its own end is withdrawn as well. KL_ERR_NOT_FOUND "no_consent" when there is none, or it was withdrawn; KL_ERR_INVALID, KL_ERR_FORBIDDEN as vault_consent_give(). */
KL_MUST_USE enum kl_status vault_consent_withdraw(struct vault *vault,
                                                  const struct vault_caller *caller,
                                                  const struct kl_id *subject, const char *purpose,
                                                  const char *recipient, struct kl_err *err);

/* ---- restriction and objection ---- */

struct vault_restriction {
    bool in_force;
    enum vault_restriction_ground ground; /* where in force */
    int64_t since_us;
};
/* Needs `restrict` on all that the subject has. KL_ERR_NOT_FOUND "not_found"; KL_ERR_FORBIDDEN "withheld". */
KL_MUST_USE enum kl_status vault_restriction_read(struct vault *vault,
                                                  const struct vault_caller *caller,
                                                  const struct kl_id *subject,
                                                  struct vault_restriction *ret,
                                                  struct kl_err *err);
/*
 * From the next read on the subject's data is only stored (GDPR art. 18): it is used with a consent given since, by the very person, for a
 * purpose that answers rights, or on a ground (enum vault_ground). Again: the ground is changed, the time stays. Errors as of
 * vault_restriction_read(); KL_ERR_UNAVAILABLE as of a consent's withdrawal.
 */
KL_MUST_USE enum kl_status vault_restriction_set(struct vault *vault,
                                                 const struct vault_caller *caller,
                                                 const struct kl_id *subject,
                                                 enum vault_restriction_ground ground,
                                                 struct kl_err *err);
/*
 * Lift it. told_us: when the person was told that it will be lifted (art. 18(3)): since it began, and not in the future; else KL_ERR_CONFLICT
 * "person_not_told". KL_ERR_NOT_FOUND "not_restricted"; others as of vault_restriction_read().
 */
KL_MUST_USE enum kl_status vault_restriction_lift(struct vault *vault,
                                                  const struct vault_caller *caller,
                                                  const struct kl_id *subject, int64_t told_us,
                                                  struct kl_err *err);

struct vault_objection_input {
    const char *purpose;
    enum vault_objection_ground ground;
    const char *compelling_grounds; /* the controller's, art. 21(1); NULL: none */
};
struct vault_objection_result {
    const char *purpose;
    enum vault_objection_ground ground;
    const char *
        compelling_grounds; /* NULL: none, or kept from the credential's place by the gate transfer */
    bool has_compelling_grounds;
    int64_t since_us;
    int64_t ended_us; /* 0: it stands */
};
/* Those for purposes that the role has `object` for. Errors as of vault_consent_list(). */
KL_MUST_USE enum kl_status vault_objection_list(struct vault *vault,
                                                const struct vault_caller *caller,
                                                const struct kl_id *subject, struct kl_arena *arena,
                                                struct vault_objection_result **ret,
                                                size_t *ret_count, struct kl_err *err);
/*
 * Note an objection; it acts on the next read. Or, where one stands already, the controller's compelling grounds, with which it does not
 * keep the purpose from the data any more; an objection that is repeated without them counts again. Needs `object` for the purpose.
 * KL_ERR_INVALID "unknown_purpose", "invalid_value"; KL_ERR_CONFLICT "objection_not_possible" (the purpose is none that can be
 * objected to: a consent is withdrawn), "objection_absolute" (no grounds prevail over an objection to direct marketing);
 * KL_ERR_TOO_LARGE "value_too_large", "too_many_objections"; KL_ERR_NOT_FOUND "not_found".
 */
KL_MUST_USE enum kl_status vault_objection_set(struct vault *vault,
                                               const struct vault_caller *caller,
                                               const struct kl_id *subject,
                                               const struct vault_objection_input *input,
                                               struct kl_err *err);
/* The person takes it back. KL_ERR_NOT_FOUND "no_objection", "not_found"; KL_ERR_INVALID "unknown_purpose". */
KL_MUST_USE enum kl_status vault_objection_end(struct vault *vault,
                                               const struct vault_caller *caller,
                                               const struct kl_id *subject, const char *purpose,
                                               struct kl_err *err);

/* ---- events ---- */

/* Until when a purpose keeps a record, as far as is known. */
struct vault_keeping {
    const char *purpose;
    int64_t until_us; /* KL_TIME_MAX_US: no end is known */
};
/*
 * Note that something happened to what a record is about ("service_end"), which starts or moves the clocks of purposes; at_us may lie
 * ahead, at most 100 years. vault_record_event_remove(): it did not happen after all. Needs `write` on every field that the record has.
 * ret: for each purpose of the record's type that is a reason to keep it; the arena's.
 * KL_ERR_INVALID "unknown_event" (no purpose of the type has a clock that it starts; also the built-in ones); KL_ERR_TOO_LARGE
 * "too_many_events"; KL_ERR_NOT_FOUND "not_found", "no_event" (nothing to remove); KL_ERR_FORBIDDEN "withheld".
 */
KL_MUST_USE enum kl_status vault_record_event(
    struct vault *vault, const struct vault_caller *caller, const struct kl_id *subject,
    const struct kl_id *record, const char *event, int64_t at_us, struct kl_arena *arena,
    struct vault_keeping **ret, size_t *ret_count, struct kl_err *err);
KL_MUST_USE enum kl_status vault_record_event_remove(struct vault *vault,
                                                     const struct vault_caller *caller,
                                                     const struct kl_id *subject,
                                                     const struct kl_id *record, const char *event,
                                                     struct kl_err *err);

/* ---- erasure ---- */

enum vault_erase_reason {
    VAULT_ERASE_REQUEST,
    VAULT_ERASE_RETENTION,
    VAULT_ERASE_CONSENT_WITHDRAWN,
    VAULT_ERASE_TENANT_END,
    VAULT_ERASE_OTHER,
    VAULT_ERASE_REASONS
};
const char *vault_erase_reason_name(enum vault_erase_reason reason);
/*
 * Shred a subject's key and all index entries that name them. When this returns KL_OK the old root key is destroyed. Of each record is kept
 * (vault_retained_read()) what a hold keeps, which is all of it, and what each purpose with the basis legal_obligation and a clock keeps, which is the fields that
 * are for it (a clock that was not started starts now): each until its own end, and each a line of its own in the receipt.
 * ret_receipt  appended: the receipt as JSON, with "subject" named (the stored one names nobody), and in "proof" all that proves it offline (receipt.h).
 * Needs `erase` on every field that the subject has, or it is KL_ERR_FORBIDDEN "withheld". An error of kms_commit() after the old root key
 * was destroyed: the erasure is done, its receipt follows at the next open.
 */
KL_MUST_USE enum kl_status vault_subject_erase(struct vault *vault,
                                               const struct vault_caller *caller,
                                               const struct kl_id *subject,
                                               enum vault_erase_reason reason,
                                               struct kl_buf *ret_receipt, struct kl_err *err);
/*
 * The same of a request with an Idempotency-Key, kept a day under a key of the tenant, in the durable step of the receipt: it leads to the
 * receipt, not to the subject. When the request comes again: the stored receipt, with the subject that was asked for and without
 * "subject_secret", which was told once; *ret_replayed is true. A refused erasure is not remembered. Also KL_ERR_INVALID
 * "idempotency_key_reused" (another request used it), "invalid_idempotency_key".
 */
KL_MUST_USE enum kl_status vault_subject_erase_once(
    struct vault *vault, const struct vault_caller *caller, const struct kl_id *subject,
    enum vault_erase_reason reason, const struct vault_idempotency *idempotency,
    struct kl_buf *ret_receipt, bool *ret_replayed, struct kl_err *err);
/*
 * The same in answer to a request of the subject's (request.h), which the receipt then names; NULL: to none. KL_ERR_INVALID "unknown_request",
 * "wrong_right" (it is not for an erasure); KL_ERR_CONFLICT "request_closed", "identity_not_verified".
 */
KL_MUST_USE enum kl_status vault_subject_erase_for(
    struct vault *vault, const struct vault_caller *caller, const struct kl_id *subject,
    enum vault_erase_reason reason, const struct kl_id *request,
    const struct vault_idempotency *idempotency, struct kl_buf *ret_receipt, bool *ret_replayed,
    struct kl_err *err);
/* Shred one record's values; the subject goes on. Errors and receipt as of vault_subject_erase(); KL_ERR_CONFLICT "record_held". */
KL_MUST_USE enum kl_status vault_record_erase(struct vault *vault,
                                              const struct vault_caller *caller,
                                              const struct kl_id *subject,
                                              const struct kl_id *record,
                                              enum vault_erase_reason reason,
                                              struct kl_buf *ret_receipt, struct kl_err *err);
/*
 * A stored receipt, without the subject, appended, with the proof of its entry in the trail as of now. For stewards, auditors and roles that may erase or report; KL_ERR_FORBIDDEN "role_forbidden".
 */
KL_MUST_USE enum kl_status vault_receipt_read(struct vault *vault,
                                              const struct vault_caller *caller,
                                              const struct kl_id *receipt, struct kl_buf *ret,
                                              struct kl_err *err);

/* ---- what must be kept ---- */

/* Lines of what an erasure keeps of one subject: of each record its hold, and its obligations. */
#define VAULT_RETAINED_MAX (VAULT_RECORDS_MAX * (1 + VAULT_OBLIGATIONS_MAX))
/* What the answer to an erasure takes at most, with all of these lines. */
#define VAULT_RECEIPT_ANSWER_MAX_BYTES (2 * 1024 * 1024)
#define VAULT_HOLD_BASIS_MAX_BYTES 64
/* basis: a name, why it must be kept: [a-z][a-z0-9_-]*; of what the policy keeps by itself, the purpose that is an obligation. */
struct vault_hold {
    char basis[VAULT_HOLD_BASIS_MAX_BYTES + 1];
    int64_t until_us;
};
/*
 * Hold a record, or change its hold: until then an erasure of the subject keeps it, for this basis alone, and it cannot be erased by itself.
 * Needs `hold` on every field that the record has. KL_ERR_INVALID "invalid_basis", "invalid_until" (not in the next 100 years).
 * KL_ERR_NOT_FOUND "not_found"; KL_ERR_FORBIDDEN "withheld".
 */
KL_MUST_USE enum kl_status vault_record_hold(struct vault *vault, const struct vault_caller *caller,
                                             const struct kl_id *subject,
                                             const struct kl_id *record, const char *basis,
                                             int64_t until_us, struct kl_err *err);
/* End it. KL_ERR_NOT_FOUND "no_hold"; others as vault_record_hold(). */
KL_MUST_USE enum kl_status vault_record_release(struct vault *vault,
                                                const struct vault_caller *caller,
                                                const struct kl_id *subject,
                                                const struct kl_id *record, struct kl_err *err);
/*
 * A record that an erasure kept, by the receipt's and the record's ids. Without a purpose: all that is left of it, of which are shown the fields that the role has
 * `hold` for, as the place of the credential allows. With a purpose: what is kept for that basis, of which are shown the fields that the role may
 * `read` for it, past all gates. Everybody else, and every other way, finds nothing: KL_ERR_NOT_FOUND "not_found". KL_ERR_INVALID "unknown_purpose".
 * ret_holds  why what was read is kept, each until its own end, which lies ahead; at least one. The arena's.
 */
KL_MUST_USE enum kl_status vault_retained_read(
    struct vault *vault, const struct vault_caller *caller, const struct kl_id *receipt,
    const struct kl_id *record, const char *purpose, struct kl_arena *arena,
    struct vault_record_result *ret, struct vault_hold **ret_holds, size_t *ret_hold_count,
    struct kl_err *err);
/*
 * Shred it before its end: what is kept for that basis, but for the fields that are kept for another one too; basis NULL: all that is left of it. Needs
 * `hold` on all fields that are kept for what ends. ret_receipt: the stored receipt, of kind "retained"; its "records_erased" is 0 while
 * something of the record is left. KL_ERR_BUSY "subject_busy"; of the shred as kms_commit().
 */
KL_MUST_USE enum kl_status vault_retained_end(struct vault *vault,
                                              const struct vault_caller *caller,
                                              const struct kl_id *receipt,
                                              const struct kl_id *record, const char *basis,
                                              struct kl_buf *ret_receipt, struct kl_err *err);

#endif
