/*
 * What the files about subjects share: a subject in memory, the questions to
 * the policy, checked input, and a change being made.
 *
 * Everything about one request lives in one arena, which wipes.
 */
#ifndef VAULT_SUBJECT_INTERNAL_H
#define VAULT_SUBJECT_INTERNAL_H

#include "kluis/base/arena.h"
#include "kluis/vault/subject.h"
#include "vault/act.h"
#include "vault/manifest.h"
#include "vault/secret_hash.h"
#include "vault/vault_internal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most memory that one request's work may take. */
#define VAULT_WORK_MAX_BYTES (64 * 1024 * 1024)
/* How often a change starts again when another one came first. */
#define VAULT_CHANGE_TRIES 256
/* How long a change waits for an erasure of the same subject, in all. */
#define VAULT_CHANGE_WAIT_MS 5000

/* ---- a subject in memory (subject_state.c) ---- */

/*
 * head as it lies in row; records[i] is what head.records[i] holds (gone when its key is shredded). Zeroed before use; ends with
 * vault_subject_done(). Arrays and texts are the arena's.
 */
struct vault_subject {
    uint64_t tenant;
    uint64_t slot;
    struct kl_buf row;
    struct vault_head head;
    struct vault_manifest_base base;
    struct vault_manifest_record *records;
};
void vault_subject_done(struct vault_subject *subject);

/* The answer that tells nothing: always the same words. */
enum kl_status vault_not_found(struct kl_err *err);

/*
 * KL_ERR_NOT_FOUND "not_found": no head row, or its key is gone. KL_ERR_CORRUPT: row and, where that opened, base are set (else its id is all
 * zero). KL_ERR_IO, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_subject_load(struct vault *vault, uint64_t tenant, uint64_t slot,
                                              struct kl_arena *arena, struct vault_subject *subject,
                                              struct kl_err *err);
/* The same from bytes of the head row, which are copied. */
KL_MUST_USE enum kl_status vault_subject_load_row(struct vault *vault, uint64_t tenant,
                                                  uint64_t slot, struct kl_slice row,
                                                  struct kl_arena *arena,
                                                  struct vault_subject *subject,
                                                  struct kl_err *err);
/* By id, in the caller's tenant; a bound credential finds only its own subject. KL_ERR_NOT_FOUND "not_found". */
KL_MUST_USE enum kl_status vault_subject_find(struct vault *vault,
                                              const struct vault_caller *caller,
                                              const struct kl_id *id, struct kl_arena *arena,
                                              struct vault_subject *subject, struct kl_err *err);
/* How many indexed values the subject has, those in the past of its records and the handles of its pseudonyms too. */
size_t vault_subject_indexed(const struct vault_subject *subject);
/* Index of a record that is not gone; VAULT_NONE. */
int vault_subject_record_find(const struct vault_subject *subject, const struct kl_id *record);

/* Consents; count 0 when there is no ledger. */
KL_MUST_USE enum kl_status vault_subject_ledger(struct vault *vault,
                                                const struct vault_subject *subject,
                                                struct kl_arena *arena, struct vault_ledger *ret,
                                                struct kl_err *err);
/* A text beside the ledger, in the arena; NULL where value is KMS_VALUE_NONE. KL_ERR_GONE, KL_ERR_CORRUPT and others as kms_unseal(). */
KL_MUST_USE enum kl_status vault_evidence_read(struct vault *vault,
                                               const struct vault_subject *subject, uint64_t value,
                                               struct kl_arena *arena, const char **ret,
                                               struct kl_err *err);
/* What a value is sealed for: record, field, and the record's version when it was written. ret is cleared first. */
void vault_value_context(const struct kl_id *record, const char *field, uint64_t version,
                         struct kl_buf *ret);
#define VAULT_VALUE_CONTEXT_MAX_BYTES (KL_ID_BYTES + 4 + VAULT_MANIFEST_NAME_MAX_BYTES + 8)

/* One value to open: which, and, on KL_OK, its normalised form in the arena. */
struct vault_value_wanted {
    const struct vault_manifest_record *record;
    const struct vault_manifest_field *field;
    struct kl_slice value;
};
/*
 * KL_ERR_GONE "value_gone": a row or key is not there (any more); look at the subject again. KL_ERR_CORRUPT and others as kms_unseal.
 * KL_ERR_INTERNAL "secret_read": one of them is a secret, which is for vault_subject_secret_open() alone; nothing was opened.
 */
KL_MUST_USE enum kl_status vault_subject_values(struct vault *vault, uint64_t tenant, uint64_t slot,
                                                struct vault_value_wanted *wanted, size_t count,
                                                struct kl_arena *arena, struct kl_err *err);
/* The hash of one secret, to verify against; errors as above. */
KL_MUST_USE enum kl_status vault_subject_secret_open(struct vault *vault, uint64_t tenant,
                                                     uint64_t slot,
                                                     struct vault_value_wanted *wanted,
                                                     struct kl_arena *arena, struct kl_err *err);
/* "type.field" */
#define VAULT_FIELD_NAME_BYTES (2 * VAULT_MANIFEST_NAME_MAX_BYTES + 2)
void vault_field_name(const char *type, const char *field, char ret[VAULT_FIELD_NAME_BYTES]);
/* Tells apart the index entries of one subject: from the record's id and the field's name; never 0 nor KMS_VALUE_NONE. */
uint64_t vault_index_discriminator(const struct kl_id *record, const char *field);

/* ---- the policy's answers (subject_gate.c) ---- */

/* KL_ERR_REFUSED "no_policy". */
KL_MUST_USE enum kl_status vault_policy_required(const struct vault_caller *caller,
                                                 struct kl_err *err);
/*
 * Who asks, in the policy's numbers. A credential that is made for a recipient asks as that one whatever recipient is, and what answers for
 * the controller (report, hold, manage_requests) as a role without a grant.
 */
struct vault_query vault_query_of(const struct vault_caller *caller, enum vault_action action,
                                  int purpose, int recipient, const struct kl_id *subject);
/* The recipient that the credential is made for; VAULT_NONE: none. */
int vault_caller_recipient(const struct vault_caller *caller);
/* Whether the caller may be told what there is about that recipient of somebody's data: not one recipient about another. NULL: the controller. */
bool vault_recipient_may_know(const struct vault_caller *caller, const char *name);
/* Into an entry of the trail that is open: the recipient that asked; nothing when it was the controller. */
void vault_act_recipient(struct vault_act *act, const struct vault_policy *policy,
                         const struct vault_query *query);
/* name NULL: the credential's single purpose. KL_ERR_INVALID "purpose_required", "unknown_purpose". */
KL_MUST_USE enum kl_status vault_purpose_resolve(const struct vault_caller *caller,
                                                 const char *name, int *ret, struct kl_err *err);
/* The same of what is told without a purpose too: name NULL is VAULT_NONE for a credential for all purposes, and for no other. Errors as above. */
KL_MUST_USE enum kl_status vault_purpose_or_none(const struct vault_caller *caller,
                                                 const char *name, int *ret, struct kl_err *err);
/*
 * name NULL: the one that the credential is made for, else VAULT_NONE. KL_ERR_INVALID "unknown_recipient". KL_ERR_FORBIDDEN
 * "recipient_forbidden": the credential is made for another one.
 */
KL_MUST_USE enum kl_status vault_recipient_resolve(const struct vault_caller *caller,
                                                   const char *name, int *ret, struct kl_err *err);
/* Reads the ledger only where an answer may hang on it. */
KL_MUST_USE enum kl_status vault_facts_of(struct vault *vault, const struct vault_subject *subject,
                                          const struct vault_policy *policy,
                                          const struct vault_query *query, struct kl_arena *arena,
                                          struct vault_facts *ret, struct kl_err *err);
/* Record types of which the query's purpose is over for every record there is (retention.h), as bits. facts: of the subject. */
uint64_t vault_ended_types(const struct vault_subject *subject, const struct vault_policy *policy,
                           const struct vault_query *query, const struct vault_facts *facts);
/* What facts.ended is for a field of that type. */
uint64_t vault_ended_of(uint64_t ended_types, const struct vault_query *query, int type);
/*
 * Which consents of a subject may go, as they are, to where the credential is (gate transfer): of these purposes (bits) those for which they
 * may, and the policy's lines that allow it (bits). A line that lets out pseudonyms alone lets no consents out, as they name the subject. For a credential in the EEA all, and nothing is read.
 */
KL_MUST_USE enum kl_status vault_consents_leaving(struct vault *vault,
                                                  const struct vault_caller *caller,
                                                  const struct vault_subject *subject,
                                                  uint64_t purposes, struct kl_arena *arena,
                                                  uint64_t *ret_purposes, uint64_t *ret_lines,
                                                  struct kl_err *err);
/*
 * The id of a consent: entries[at] of its subject's ledger, where entries are only added. A keyed hash of a seed of the subject, so it says nothing
 * of whose it is, and ends with the subject. Errors of kms_mac().
 */
KL_MUST_USE enum kl_status vault_consent_id(struct vault *vault,
                                            const struct vault_subject *subject,
                                            const struct vault_ledger_entry *entry, size_t at,
                                            struct kl_id *ret_id, struct kl_err *err);
/*
 * A subject for `explain`: found and opened into subject, which the caller zeroed and ends; what is known of it for a query of the caller's
 * policy; and its vault_ended_types(). Writes no audit entry. KL_ERR_NOT_FOUND "not_found": also when the caller is no steward and its role
 * has no grant at all on what the subject has.
 */
KL_MUST_USE enum kl_status vault_subject_facts(
    struct vault *vault, const struct vault_caller *caller, const struct kl_id *id,
    const struct vault_query *query, struct kl_arena *arena, struct vault_subject *subject,
    struct vault_facts *ret_facts, uint64_t *ret_ended_types, struct kl_err *err);
/*
 * Whether what a ledger says in clear may go to where the caller is: nothing there can be masked, and an entry beside a pseudonym would say
 * whose it is. KL_ERR_FORBIDDEN "withheld": "what are withheld ..."; err is set then. facts as vault_facts_of() says. ret_transfer: the line that allows it.
 */
KL_MUST_USE enum kl_status vault_ledger_may_leave(const struct vault_caller *caller,
                                                  const struct vault_query *query,
                                                  const struct vault_facts *facts, const char *what,
                                                  int *ret_transfer, struct kl_err *err);
/* Whether one entry of the ledger counts at that moment under that policy. */
bool vault_ledger_entry_counts(const struct vault_ledger_entry *entry,
                               const struct vault_policy *policy, int64_t now_us);
/* The policy's number of a stored field; VAULT_NONE when the policy does not know it (any more). */
int vault_policy_field_of(const struct vault_policy *policy,
                          const struct vault_manifest_record *record,
                          const struct vault_manifest_field *field);
/* Whether the role may do this (action, purpose) to any field at all, and the credential is for that purpose, whatever the other gates say. */
bool vault_role_allows(const struct vault_caller *caller, const struct vault_query *query);
/* The same of an act about a subject; purpose VAULT_NONE: for any purpose. */
bool vault_may_about(const struct vault_caller *caller, enum vault_action action, int purpose,
                     const struct kl_id *subject);
/* The same of an entry of a ledger; purpose VAULT_NONE: one that the policy does not know any more, which no credential for some purposes sees. */
bool vault_may_see_entry(const struct vault_caller *caller, enum vault_action action, int purpose,
                         const struct kl_id *subject);
/*
 * May the caller do that action to every field that the subject (record >= 0: that one record) has? Fields that the policy does not know
 * are not asked about. KL_ERR_NOT_FOUND "not_found": to none of them. KL_ERR_FORBIDDEN "withheld": not to all.
 */
KL_MUST_USE enum kl_status vault_subject_allowed(const struct vault_caller *caller,
                                                 enum vault_action action,
                                                 const struct vault_subject *subject, int record,
                                                 struct kl_err *err);
/* KL_ERR_FORBIDDEN "withheld": the text names field and gate. */
enum kl_status vault_withheld(struct kl_err *err, const struct vault_policy *policy, int field,
                              enum vault_gate gate);

/* ---- the audit trail (subject_audit.c) ---- */

/*
 * Begin an entry of the caller's tenant with slot and policy number. Its meaning is that the subject is shown when its action shows (audit_action.h),
 * unless it is set otherwise.
 */
void vault_subject_act_begin(struct vault_act *act, const struct vault_caller *caller,
                             const char *action, uint64_t slot);
/* The bit of a line in what vault_subject_act_transfers() takes; VAULT_NONE: none. */
static inline uint64_t vault_transfer_bit(int transfer)
{
    return transfer == VAULT_NONE ? 0 : UINT64_C(1) << transfer;
}
/* Add the lines of the policy's transfers (bit n: transfer n) that what is told relies on; nothing for 0. */
void vault_subject_act_transfers(struct vault_act *act, const struct vault_policy *policy,
                                 uint64_t lines);
/* Close an entry with "result":"ok". */
KL_MUST_USE enum kl_status vault_subject_act_end(struct vault_act *act, struct kl_err *err);
/*
 * Commit what a search found, an entry for each subject; when there is none (count 0), an entry that says so: the question
 * itself is an event. purpose: VAULT_NONE: none. KL_ERR_UNAVAILABLE "audit_unavailable", KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_subject_found(struct vault *vault,
                                               const struct vault_caller *caller,
                                               const char *action, int purpose,
                                               struct vault_audit_entry *const *entries,
                                               size_t count, struct kl_err *err);
/*
 * An attempt that failed: when status says that it was refused (not a mistake in the request), write it to the trail, without ids.
 * Returns status, or KL_ERR_UNAVAILABLE "audit_unavailable". err must not be NULL. purpose: VAULT_NONE: none.
 */
enum kl_status vault_subject_refused(struct vault *vault, const struct vault_caller *caller,
                                     const char *action, int purpose, enum kl_status status,
                                     struct kl_err *err);
/* Whether that status is a refusal that the trail must show; and its entry alone (act is begun and ended by it). */
bool vault_refusal(enum kl_status status);
KL_MUST_USE enum kl_status vault_refusal_act(struct vault_act *act,
                                             const struct vault_caller *caller, const char *action,
                                             int purpose, const struct kl_err *why,
                                             struct kl_err *err);

/* ---- checked input (subject_input.c) ---- */

/*
 * value: normalised; form: as the index compares it, empty when the field is not indexed. A secret's value is its hash once hashed is set
 * (vault_draft_secrets()); before that it cannot be put into a change.
 */
struct vault_field_draft {
    int field;
    bool remove;
    bool hashed;
    struct kl_slice value;
    struct kl_slice form;
};
struct vault_consent_draft {
    struct vault_ledger_entry entry; /* evidence not set */
    const char *evidence;            /* NULL: none */
};
struct vault_record_draft {
    int type;
    const char *type_name;
    const char *source;
    struct vault_field_draft *fields;
    size_t field_count;
    struct vault_consent_draft *consents;
    size_t consent_count;
};
/*
 * Check a record for the caller: names, `write` on every field, values. where: the JSON pointer of the record. Errors as
 * vault_subject_create() names them. query: of action write.
 */
KL_MUST_USE enum kl_status vault_draft_record(const struct vault_caller *caller,
                                              const struct vault_query *query,
                                              const struct vault_facts *facts,
                                              const struct vault_record_input *input,
                                              const char *where, struct kl_arena *arena,
                                              struct vault_record_draft *ret, struct kl_err *err);
/* The fields of a record of that type; with removals when may_remove. */
KL_MUST_USE enum kl_status vault_draft_fields(const struct vault_caller *caller,
                                              const struct vault_query *query,
                                              const struct vault_facts *facts, int type,
                                              const struct vault_field_input *inputs, size_t count,
                                              bool may_remove, const char *where,
                                              struct kl_arena *arena,
                                              struct vault_field_draft **ret, struct kl_err *err);
/*
 * A text of somebody's making, at most VAULT_EVIDENCE_MAX_BYTES, copied to the arena; ret NULL when there is none. member: what it is called in
 * the request. KL_ERR_TOO_LARGE "value_too_large", KL_ERR_INVALID "invalid_value".
 */
KL_MUST_USE enum kl_status vault_draft_text(const char *text, const char *member, const char *where,
                                            struct kl_arena *arena, const char **ret,
                                            struct kl_err *err);
/* Secrets of one record in a request: a hash takes a while, so a change that is made again takes those it has. Zeroed before the first use. */
#define VAULT_SECRETS_INPUT_MAX 4
struct vault_draft_hashes {
    size_t count;
    unsigned char hashes[VAULT_SECRETS_INPUT_MAX][VAULT_SECRET_HASH_BYTES];
};
/*
 * Put hashes in the place of the secrets among drafts. They lie in hashes, which must live as long as the drafts.
 * KL_ERR_INVALID "secret_too_short" (err->where names the field), KL_ERR_TOO_LARGE "too_many_secrets"; KL_ERR_BUSY "secrets_busy".
 */
KL_MUST_USE enum kl_status vault_draft_secrets(struct vault *vault,
                                               const struct vault_policy *policy,
                                               struct vault_field_draft *drafts, size_t count,
                                               const char *where, struct vault_draft_hashes *hashes,
                                               struct kl_err *err);
/*
 * What is remembered of a request with an Idempotency-Key is a keyed hash of its body: of one that brings secrets it is made as slow to guess
 * at as they are. ret: idempotency, with another fingerprint where records have secrets. KL_ERR_BUSY "secrets_busy", KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_draft_idempotency(
    struct vault *vault, const struct vault_caller *caller,
    const struct vault_record_input *records, size_t count,
    const struct vault_idempotency *idempotency, struct vault_idempotency *ret, struct kl_err *err);
/* The same of a whole record, with hashes in the arena. */
KL_MUST_USE enum kl_status vault_draft_record_secrets(struct vault *vault,
                                                      const struct vault_policy *policy,
                                                      struct vault_record_draft *draft,
                                                      const char *where, struct kl_arena *arena,
                                                      struct kl_err *err);
/* A word as notices and channels are: 1..VAULT_NAME_MAX_BYTES characters A-Z, a-z, 0-9, dot, - and _. */
bool vault_draft_word_valid(const char *word);
KL_MUST_USE enum kl_status vault_draft_consent(const struct vault_caller *caller,
                                               const struct vault_consent_input *input,
                                               const char *where, struct kl_arena *arena,
                                               struct vault_consent_draft *ret, struct kl_err *err);

/* ---- a change (subject_change.c) ---- */

struct vault_closing;
/*
 * One attempt at changing a subject (or making one): rows and index changes gather here, then vault_change_commit() submits them as one.
 * subject is changed in memory first; whatever of it is to be written again is sealed by vault_change_*_seal().
 */
struct vault_change {
    struct vault *vault;
    const struct vault_caller *caller;
    struct kl_arena *arena;
    struct vault_batch *batch;
    struct vault_subject subject;
    struct vault_index_change *index;
    size_t index_count;
    size_t index_max;
    uint32_t
        retired_in; /* the newest epoch + 1 of the index that a retired value was in; 0: none */
    struct kl_buf plain;
    struct kl_buf sealed;
    struct vault_act act;
    struct vault_closing *
        closing; /* what this change closes (journal.h), written already; NULL: nothing. Then no index changes. */
    bool unsynced;  /* somebody else syncs */
    bool unaudited; /* somebody else commits the audit entry, after this: act is not begun */
};
KL_MUST_USE enum kl_status vault_change_begin(struct vault_change *change, struct vault *vault,
                                              const struct vault_caller *caller,
                                              struct kl_err *err);
void vault_change_end(struct vault_change *change);

/* The next value slot of a subject whose head row is written with it. KL_ERR_TOO_LARGE "subject_full". */
KL_MUST_USE enum kl_status vault_head_value_take(struct vault *vault, struct vault_head *head,
                                                 uint64_t *ret_value, struct kl_err *err);
/* The same in a change. */
KL_MUST_USE enum kl_status vault_change_value_take(struct vault_change *change, uint64_t *ret_value,
                                                   struct kl_err *err);
/* Seal plaintext, padded, and put it as a 'V' row. context: see vault_value_context(). */
KL_MUST_USE enum kl_status vault_change_value_put(struct vault_change *change, uint64_t value,
                                                  struct kl_slice context,
                                                  struct kl_slice plaintext, struct kl_err *err);
/*
 * A value slot that is no longer in use from at_us on: a row for the sweep. indexed: an entry of the index led to its value, which old rows of
 * that index tell as long as its keys live; until then the value itself is needed to find them.
 */
KL_MUST_USE enum kl_status vault_change_value_retire(struct vault_change *change, uint64_t value,
                                                     int64_t at_us, bool indexed,
                                                     struct kl_err *err);
/* form: as vault_value_index_form() made it. */
KL_MUST_USE enum kl_status vault_change_index(struct vault_change *change,
                                              enum vault_index_change_kind kind,
                                              const struct kl_id *record, const char *type,
                                              const char *field, struct kl_slice form,
                                              struct kl_err *err);
/* The subject's id into the index. */
KL_MUST_USE enum kl_status vault_change_index_id(struct vault_change *change, struct kl_err *err);
/* handles[at] of its base: what leads from pseudonyms to the subject, of that kind in the index. */
#define VAULT_PSEUDONYM_KIND "pseudonym"
KL_MUST_USE enum kl_status vault_change_index_handle(struct vault_change *change, size_t at,
                                                     struct kl_err *err);
KL_MUST_USE enum kl_status vault_change_base_seal(struct vault_change *change, struct kl_err *err);
/* records[at] of the subject. */
KL_MUST_USE enum kl_status vault_change_record_seal(struct vault_change *change, size_t at,
                                                    struct kl_err *err);
KL_MUST_USE enum kl_status vault_change_ledger_put(struct vault_change *change,
                                                   const struct vault_ledger *ledger,
                                                   struct kl_err *err);
/* Seal a drafted record with its values and index entries, as the subject's last. KL_ERR_TOO_LARGE "too_many_records". */
KL_MUST_USE enum kl_status vault_change_record_add(struct vault_change *change,
                                                   const struct vault_record_draft *draft,
                                                   struct vault_manifest_record **ret_record,
                                                   struct kl_err *err);
/* Write one drafted field of a record: take, seal, index. at: where in record->fields; the field is set. */
KL_MUST_USE enum kl_status vault_change_field_set(struct vault_change *change,
                                                  struct vault_manifest_record *record, size_t at,
                                                  const struct vault_field_draft *draft,
                                                  struct kl_err *err);
/* Seal a text beside the ledger, under a value slot that is taken for it; NULL: KMS_VALUE_NONE. */
KL_MUST_USE enum kl_status vault_change_evidence_put(struct vault_change *change, const char *text,
                                                     uint64_t *ret_value, struct kl_err *err);
/* Add drafted consents to the ledger: one in force for the same purpose and recipient is thereby replaced. */
KL_MUST_USE enum kl_status vault_change_consents_add(struct vault_change *change,
                                                     const struct vault_consent_draft *drafts,
                                                     size_t count, struct kl_err *err);
/* Remove the index entry of a stored field (its value is opened for that). Nothing when it has none. */
KL_MUST_USE enum kl_status vault_change_index_remove(struct vault_change *change,
                                                     const struct vault_manifest_record *record,
                                                     const struct vault_manifest_field *field,
                                                     struct kl_err *err);
/*
 * Head row, audit entry (act, closed here), batch: one synced commit. KL_ERR_TOO_LARGE "too_many_indexed_values": more than
 * VAULT_INDEXED_MAX, so many that they could not be erased at once. Errors of vault_commit_submit().
 */
KL_MUST_USE enum kl_status vault_change_commit(struct vault_change *change, struct kl_err *err);

/*
 * Change a subject that is there: body makes the change (and begins change->act), the rest is done here, again when another change came
 * first. ended: NULL, or called with the change that was committed. KL_ERR_NOT_FOUND "not_found"; KL_ERR_BUSY "subject_busy"; the body's.
 */
typedef enum kl_status (*vault_change_body)(struct vault_change *change, void *context,
                                            struct kl_err *err);
KL_MUST_USE enum kl_status vault_subject_change(struct vault *vault,
                                                const struct vault_caller *caller,
                                                const struct kl_id *subject, vault_change_body body,
                                                void *context, struct kl_err *err);
/* After a status of vault_change_commit(): whether to start again (then err is cleared). Waits where an erasure is under way. */
bool vault_change_again(enum kl_status status, unsigned *tries, int64_t *waited_ms,
                        struct kl_err *err);
/* The status that is told when others came first too often: KL_ERR_BUSY "subject_busy"; any other as it is. */
enum kl_status vault_change_busy(enum kl_status status, struct kl_err *err);

/*
 * What leads to a subject in the index: its id, the handles of its pseudonyms, and every indexed value that opens. What was shredded, is damaged, or has characters that
 * the Unicode tables in use do not know, is passed over. scratch holds one value at a time.
 */
typedef enum kl_status (*vault_entry_visit)(void *visitor, const char *kind, struct kl_slice form,
                                            uint64_t discriminator, struct kl_err *err);
KL_MUST_USE enum kl_status vault_subject_entries_each(struct vault *vault,
                                                      const struct vault_subject *subject,
                                                      struct kl_arena *scratch,
                                                      vault_entry_visit visit, void *visitor,
                                                      struct kl_err *err);

#endif
