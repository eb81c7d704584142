/*
 * Receipts of consents: which consent was given, by whom to whom, for what, under which notice, and what became of it.
 *
 * The members are the fields of ISO/IEC TS 27560:2023, Privacy technologies - Consent record information structure (clause 6.3: record header,
 * PII processing, party identification, event), named as its public mapping names them: W3C Data Privacy Vocabularies and Controls CG, "Consent
 * Records and Receipts as per ISO/IEC TS 27560:2023 using DPV" (https://w3id.org/dpv/guides/consent-27560). The standard lets a schema add
 * fields: `state`, `counts`, `category`, `made_at`, `kind`, and the signature are ours. What the policy does not say is null.
 *
 * A receipt is made when it is asked for, from the ledger and the policy in force, and kept nowhere. It is signed like one of an erasure
 * (receipt.h).
 */
#include "vault/receipt.h"

#include "kluis/base/encode.h"
#include "vault/retention.h"
#include "vault/rows.h"
#include "vault/subject_internal.h"

#include <string.h>

#define SCHEMA "ISO/IEC TS 27560:2023"
#define RECEIPT_PREFIX "rct"
#define TEXT_MAX_BYTES (256 * 1024)
#define CONTROLLER_PARTY "controller"
#define PROCESSOR_PARTY "processor"

/* ---- ids ---- */

static enum kl_status id_of(struct vault *vault, const struct vault_subject *subject,
                            const char *label, struct kl_slice data, struct kl_id *ret_id,
                            struct kl_err *err)
{
    struct kms_place place = {subject->tenant, VAULT_SLOT_MAC, KMS_VALUE_NONE};
    unsigned char mac[KMS_MAC_BYTES];
    enum kl_status status = kms_mac(vault->keys, &place, label, data, mac, err);

    if (status == KL_OK) {
        memcpy(ret_id->bytes, mac, KL_ID_BYTES);
    }
    return status;
}

enum kl_status vault_consent_id(struct vault *vault, const struct vault_subject *subject,
                                const struct vault_ledger_entry *entry, size_t at,
                                struct kl_id *ret_id, struct kl_err *err)
{
    struct kl_buf data;
    enum kl_status status = KL_OK;

    kl_buf_init(&data, VAULT_TOKEN_SEED_BYTES + 16 + 2 * (4 + VAULT_MANIFEST_NAME_MAX_BYTES));
    kl_buf_add(&data, subject->base.token_seed, VAULT_TOKEN_SEED_BYTES);
    kl_buf_add_u64be(&data, at);
    kl_buf_add_u64be(&data, (uint64_t)entry->given_us);
    kl_buf_add_sized(&data, entry->purpose, strlen(entry->purpose));
    if (entry->recipient != NULL) {
        kl_buf_add_sized(&data, entry->recipient, strlen(entry->recipient));
    }
    status = kl_buf_status(&data, err);
    if (status == KL_OK) {
        status = id_of(vault, subject, "consent", kl_buf_slice(&data), ret_id, err);
    }
    kl_buf_done(&data);
    return status;
}

/* ---- which, and what became of it ---- */

enum state { GIVEN, WITHDRAWN, REPLACED, EXPIRED };
static const char *const state_words[] = {"given", "withdrawn", "replaced", "expired"};

/* ended_us: when it ended, for all but GIVEN. */
struct receipt {
    struct vault *vault;
    const struct vault_caller *caller;
    const struct vault_subject *subject;
    const struct vault_ledger_entry *entry;
    int purpose;
    int recipient;
    struct kl_id id;
    enum state state;
    int64_t ends_us; /* by itself; VAULT_RETENTION_OPEN: it does not */
    int64_t ended_us;
    struct kl_json_out *out;
};

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* The entry that is meant: by its id, or the newest; ret_at. */
static enum kl_status find_entry(struct receipt *receipt, const struct vault_ledger *ledger,
                                 const struct kl_id *consent, size_t *ret_at, struct kl_err *err)
{
    const struct vault_policy *policy = receipt->caller->policy;
    const char *purpose = vault_policy_purpose(policy, receipt->purpose)->name;
    const char *recipient = receipt->recipient == VAULT_NONE
                                ? NULL
                                : vault_policy_recipient(policy, receipt->recipient)->name;
    enum kl_status status = KL_OK;
    size_t i;

    for (i = ledger->count; status == KL_OK && i > 0; i--) {
        const struct vault_ledger_entry *entry = &ledger->entries[i - 1];

        if (strcmp(entry->purpose, purpose) != 0 || !same_text(entry->recipient, recipient)) {
            continue;
        }
        status =
            vault_consent_id(receipt->vault, receipt->subject, entry, i - 1, &receipt->id, err);
        if (status == KL_OK && (consent == NULL || kl_id_equal(consent, &receipt->id))) {
            receipt->entry = entry;
            *ret_at = i - 1;
            return KL_OK;
        }
    }
    return status != KL_OK
               ? status
               : kl_fail(err, KL_ERR_NOT_FOUND, "no_consent", "there is no such consent", NULL);
}

/* Whether the next one of its kind took its place when it was given. */
static bool was_replaced(const struct vault_ledger *ledger, size_t at)
{
    const struct vault_ledger_entry *entry = &ledger->entries[at];
    size_t i;

    for (i = at + 1; i < ledger->count; i++) {
        const struct vault_ledger_entry *next = &ledger->entries[i];

        if (strcmp(next->purpose, entry->purpose) == 0 &&
            same_text(next->recipient, entry->recipient)) {
            return next->given_us <= entry->withdrawn_us;
        }
    }
    return false;
}

static void judge(struct receipt *receipt, const struct vault_ledger *ledger, size_t at)
{
    const struct vault_ledger_entry *entry = receipt->entry;

    receipt->ends_us =
        vault_retention_consent(receipt->caller->policy, receipt->purpose, receipt->subject, entry);
    if (entry->expires_us != 0 && entry->expires_us < receipt->ends_us) {
        receipt->ends_us = entry->expires_us;
    }
    if (entry->withdrawn_us != 0 && entry->withdrawn_us <= receipt->ends_us) {
        receipt->state = was_replaced(ledger, at) ? REPLACED : WITHDRAWN;
        receipt->ended_us = entry->withdrawn_us;
    } else if (receipt->ends_us <= receipt->caller->now_us) {
        receipt->state = EXPIRED;
        receipt->ended_us = receipt->ends_us;
    }
}

/* ---- the text ---- */

static void add_time_or_null(struct kl_json_out *out, const char *key, int64_t time_us, bool known)
{
    if (known) {
        kl_json_add_time(out, key, time_us);
    } else {
        kl_json_add_text(out, key, NULL);
    }
}

static void add_id(struct kl_json_out *out, const char *key, const char *prefix,
                   const struct kl_id *id)
{
    char text[KL_ID_TEXT_BYTES];

    kl_id_format(prefix, id, text);
    kl_json_add_text(out, key, text);
}

static void add_notice(const struct receipt *receipt)
{
    static const struct vault_policy_notice unknown = {.name = NULL};
    const struct vault_policy_notice *notice =
        vault_policy_notice(receipt->caller->policy, receipt->entry->notice);
    char from[KL_DATE_TEXT_BYTES];

    notice = notice == NULL ? &unknown : notice;
    kl_json_key(receipt->out, "privacy_notice");
    kl_json_object_begin(receipt->out);
    kl_json_add_text(receipt->out, "version", receipt->entry->notice);
    kl_json_add_text(receipt->out, "title", notice->title);
    kl_json_add_text(receipt->out, "url", notice->url);
    if (notice->from_us != 0) {
        kl_date_format(notice->from_us, from);
    }
    kl_json_add_text(receipt->out, "from", notice->from_us == 0 ? NULL : from);
    kl_json_object_end(receipt->out);
    kl_json_add_text(receipt->out, "language", notice->language);
}

static void add_information(const struct receipt *receipt)
{
    const struct vault_policy *policy = receipt->caller->policy;
    size_t count = vault_policy_field_count(policy);
    char name[VAULT_FIELD_NAME_BYTES];
    size_t i;

    kl_json_key(receipt->out, "pii_information");
    kl_json_array_begin(receipt->out);
    for (i = 0; i < count; i++) {
        const struct vault_policy_field *field = vault_policy_field(policy, (int)i);

        if (((field->purposes >> receipt->purpose) & 1) == 0) {
            continue;
        }
        vault_field_name(vault_policy_record(policy, field->record)->name, field->name, name);
        kl_json_object_begin(receipt->out);
        kl_json_add_text(receipt->out, "pii_type", vault_type_name(field->type));
        kl_json_add_text(receipt->out, "pii_attribute_id", name);
        kl_json_add_text(receipt->out, "category", field->category);
        kl_json_add_text(receipt->out, "special_pii_category", field->special);
        kl_json_object_end(receipt->out);
    }
    kl_json_array_end(receipt->out);
}

/* Whether a recipient may receive what this consent is for: the one it was given for, or those that need none of their own. */
static bool receives(const struct receipt *receipt, int recipient)
{
    const struct vault_policy_recipient *of =
        vault_policy_recipient(receipt->caller->policy, recipient);

    return receipt->recipient != VAULT_NONE
               ? recipient == receipt->recipient
               : of->consent_purpose == VAULT_NONE && ((of->purposes >> receipt->purpose) & 1) != 0;
}

/* visit: what is written of each recipient. */
static void each_recipient(const struct receipt *receipt,
                           void (*write)(struct kl_json_out *out,
                                         const struct vault_policy_recipient *recipient))
{
    size_t count = vault_policy_recipient_count(receipt->caller->policy);
    size_t i;

    for (i = 0; i < count; i++) {
        if (receives(receipt, (int)i)) {
            write(receipt->out, vault_policy_recipient(receipt->caller->policy, (int)i));
        }
    }
}

static void write_name(struct kl_json_out *out, const struct vault_policy_recipient *recipient)
{
    kl_json_put_text(out, recipient->name);
}

static void write_country(struct kl_json_out *out, const struct vault_policy_recipient *recipient)
{
    kl_json_put_text(out, recipient->country.code);
}

static void add_list(struct kl_json_out *out, const char *key, const char *const *words)
{
    kl_json_key(out, key);
    kl_json_array_begin(out);
    for (; *words != NULL; words++) {
        kl_json_put_text(out, *words);
    }
    kl_json_array_end(out);
}

static void add_places(const struct receipt *receipt)
{
    const char *store[] = {receipt->vault->country.code, NULL};
    const char *tag[] = {receipt->subject->base.residency == VAULT_RESIDENCY_EEA ? "EEA" : NULL,
                         NULL};

    add_list(receipt->out, "storage_locations", store);
    kl_json_key(receipt->out, "processing_locations");
    kl_json_array_begin(receipt->out);
    kl_json_put_text(receipt->out, store[0]);
    each_recipient(receipt, write_country);
    kl_json_array_end(receipt->out);
    add_list(receipt->out, "geographic_restrictions", tag);
    kl_json_key(receipt->out, "recipient_third_parties");
    kl_json_array_begin(receipt->out);
    each_recipient(receipt, write_name);
    kl_json_array_end(receipt->out);
}

static void add_retention(struct kl_json_out *out, const struct vault_policy_purpose *purpose)
{
    char text[KL_DURATION_TEXT_BYTES];

    kl_json_key(out, "retention_period");
    if (purpose->retain_event == NULL) {
        kl_json_put_null(out);
        return;
    }
    kl_duration_format(&purpose->retain, text);
    kl_json_object_begin(out);
    kl_json_add_text(out, "duration", text);
    kl_json_add_text(out, "after", purpose->retain_event);
    kl_json_object_end(out);
}

static void add_purpose(const struct receipt *receipt)
{
    /* GDPR art. 13(2)(b) to (d) where the basis is consent. */
    static const char *const rights[] = {"access",      "rectification", "erasure",   "restriction",
                                         "portability", "withdrawal",    "complaint", NULL};
    static const char *const methods[] = {"storage", "use", NULL};
    static const char *const controllers[] = {CONTROLLER_PARTY, NULL};
    const struct vault_policy *policy = receipt->caller->policy;
    const struct vault_policy_purpose *purpose = vault_policy_purpose(policy, receipt->purpose);
    const struct vault_policy_controller *controller = vault_policy_controller(policy);
    struct kl_json_out *out = receipt->out;

    kl_json_object_begin(out);
    kl_json_add_text(out, "purpose", purpose->name);
    kl_json_add_text(out, "purpose_description", purpose->description);
    kl_json_add_text(out, "lawful_basis", vault_basis_name(purpose->basis));
    add_information(receipt);
    add_list(out, "pii_controllers", controllers);
    kl_json_add_text(out, "collection_method", receipt->entry->channel);
    add_list(out, "processing_method", methods);
    add_places(receipt);
    add_retention(out, purpose);
    kl_json_add_text(out, "withdrawal_method", controller->contact);
    add_list(out, "privacy_rights", rights);
    kl_json_add_text(out, "jurisdiction", controller->country.code);
    kl_json_add_text(out, "supervisory_authority", controller->authority);
    kl_json_object_end(out);
}

static void add_party(struct kl_json_out *out, const char *id, const char *name, const char *role,
                      struct vault_country country, const char *contact, const char *dpo)
{
    kl_json_object_begin(out);
    kl_json_add_text(out, "party_id", id);
    kl_json_add_text(out, "party_name", name);
    kl_json_add_text(out, "party_role", role);
    kl_json_add_text(out, "party_address", country.code);
    kl_json_add_text(out, "party_contact", contact);
    kl_json_add_text(out, "data_protection_officer", dpo);
    kl_json_object_end(out);
}

static void write_party(struct kl_json_out *out, const struct vault_policy_recipient *recipient)
{
    add_party(out, recipient->name, recipient->description, recipient->kind, recipient->country,
              NULL, NULL);
}

static void add_parties(const struct receipt *receipt)
{
    const struct vault_policy_controller *controller =
        vault_policy_controller(receipt->caller->policy);

    kl_json_key(receipt->out, "party_identification");
    kl_json_array_begin(receipt->out);
    add_party(receipt->out, CONTROLLER_PARTY, controller->name, "controller", controller->country,
              controller->contact, controller->dpo);
    if (controller->processor_name != NULL) {
        add_party(receipt->out, PROCESSOR_PARTY, controller->processor_name, "processor",
                  controller->processor_country, controller->processor_contact,
                  controller->processor_dpo);
    }
    each_recipient(receipt, write_party);
    kl_json_array_end(receipt->out);
}

static void add_event(const struct receipt *receipt, enum state state, int64_t time_us,
                      const char *entity)
{
    bool ends = state == GIVEN && receipt->ends_us != VAULT_RETENTION_OPEN;

    kl_json_object_begin(receipt->out);
    kl_json_add_time(receipt->out, "event_time", time_us);
    add_time_or_null(receipt->out, "valid_until", receipt->ends_us, ends);
    kl_json_add_text(receipt->out, "entity_id", entity);
    kl_json_add_text(receipt->out, "event_type",
                     receipt->entry->is_explicit ? "explicit" : "expressed");
    kl_json_add_text(receipt->out, "event_state", state_words[state]);
    kl_json_object_end(receipt->out);
}

static void write_text(const struct receipt *receipt, const struct kl_id *receipt_id,
                       const unsigned char public_key[KMS_PUBLIC_KEY_BYTES])
{
    struct kl_json_out *out = receipt->out;
    const struct kl_id *subject = &receipt->subject->base.subject;
    char person[KL_ID_TEXT_BYTES];
    char key[KL_BASE64_CHARS(KMS_PUBLIC_KEY_BYTES) + 1];

    kl_id_format("sub", subject, person);
    kl_base64(public_key, KMS_PUBLIC_KEY_BYTES, key);
    kl_json_object_begin(out);
    kl_json_add_text(out, "kind", "consent_receipt");
    kl_json_add_text(out, "schema_version", SCHEMA);
    add_id(out, "receipt_id", RECEIPT_PREFIX, receipt_id);
    kl_json_add_time(out, "made_at", receipt->caller->now_us);
    add_id(out, "record_id", VAULT_CONSENT_PREFIX, &receipt->id);
    kl_json_add_text(out, "pii_principal_id", person);
    kl_json_key(out, "pii_processing");
    kl_json_object_begin(out);
    add_notice(receipt);
    kl_json_key(out, "purposes");
    kl_json_array_begin(out);
    add_purpose(receipt);
    kl_json_array_end(out);
    kl_json_object_end(out);
    add_parties(receipt);
    kl_json_key(out, "events");
    kl_json_array_begin(out);
    add_event(receipt, GIVEN, receipt->entry->given_us, person);
    if (receipt->state != GIVEN) {
        add_event(receipt, receipt->state, receipt->ended_us,
                  receipt->state == EXPIRED ? CONTROLLER_PARTY : person);
    }
    kl_json_array_end(out);
    kl_json_add_text(out, "state", state_words[receipt->state]);
    kl_json_add_bool(out, "counts",
                     receipt->state == GIVEN &&
                         vault_ledger_entry_counts(receipt->entry, receipt->caller->policy,
                                                   receipt->caller->now_us));
    kl_json_add_text(out, "public_key", key);
    kl_json_object_end(out);
}

struct signing {
    struct receipt *receipt;
    const struct kl_id *id;
    struct kl_buf *ret;
};

static enum kl_status sign_with(void *context, const struct vault_signer *signer,
                                struct kl_err *err)
{
    const struct signing *signing = context;
    enum kl_status status = KL_OK;
    struct kl_json_out out;
    struct kl_buf text;

    kl_buf_init(&text, TEXT_MAX_BYTES);
    out = kl_json_out(&text);
    signing->receipt->out = &out;
    write_text(signing->receipt, signing->id, signer->public_key);
    status = kl_buf_status(&text, err);
    if (status == KL_OK) {
        status = vault_receipt_sign(signer, &text, signing->ret, err);
    }
    kl_buf_done(&text);
    return status;
}

/* A receipt of another state, or made at another time, is another receipt. */
static enum kl_status sign_text(struct receipt *receipt, struct kl_buf *ret, struct kl_err *err)
{
    unsigned char data[KL_ID_BYTES + 8];
    struct kl_id receipt_id;
    struct signing signing = {.receipt = receipt, .id = &receipt_id, .ret = ret};
    enum kl_status status = KL_OK;

    memcpy(data, receipt->id.bytes, KL_ID_BYTES);
    kl_put_u64be(data + KL_ID_BYTES, (uint64_t)receipt->caller->now_us);
    status = id_of(receipt->vault, receipt->subject, "consent_receipt",
                   kl_slice_of(data, sizeof data), &receipt_id, err);
    return status == KL_OK ? vault_signing_with(receipt->vault->keys, receipt->subject->tenant,
                                                sign_with, &signing, err)
                           : status;
}

/* ---- asked for ---- */

static enum kl_status commit_act(const struct receipt *receipt, uint64_t lines, struct kl_err *err)
{
    struct vault_act act = {0};
    struct vault_audit_entry *entries[1] = {&act.entry};
    enum kl_status status = KL_OK;

    vault_subject_act_begin(&act, receipt->caller, "consent_receipt", receipt->subject->slot);
    kl_json_add_text(&act.out, "purpose", receipt->entry->purpose);
    if (receipt->entry->recipient != NULL) {
        kl_json_add_text(&act.out, "recipient", receipt->entry->recipient);
    }
    vault_subject_act_transfers(&act, receipt->caller->policy, lines);
    status = vault_subject_act_end(&act, err);
    if (status == KL_OK) {
        status = vault_audit_commit(receipt->vault, entries, 1, err);
    }
    vault_act_done(&act);
    return status;
}

static enum kl_status make(struct receipt *receipt, const struct kl_id *consent,
                           struct kl_arena *arena, struct kl_buf *ret, struct kl_err *err)
{
    struct vault_ledger ledger = {0};
    uint64_t leaving = 0;
    uint64_t lines = 0;
    size_t at = 0;
    enum kl_status status =
        vault_consents_leaving(receipt->vault, receipt->caller, receipt->subject,
                               UINT64_C(1) << receipt->purpose, arena, &leaving, &lines, err);

    if (status == KL_OK && leaving == 0) {
        status = kl_failf(err, KL_ERR_FORBIDDEN, "withheld", "consents are withheld by the gate %s",
                          vault_gate_name(VAULT_GATE_TRANSFER));
    }
    if (status == KL_OK) {
        status = vault_subject_ledger(receipt->vault, receipt->subject, arena, &ledger, err);
    }
    if (status == KL_OK) {
        status = find_entry(receipt, &ledger, consent, &at, err);
    }
    if (status == KL_OK) {
        judge(receipt, &ledger, at);
        status = commit_act(receipt, lines, err);
    }
    return status == KL_OK ? sign_text(receipt, ret, err) : status;
}

static enum kl_status find_and_make(struct receipt *receipt, const struct kl_id *subject,
                                    const struct kl_id *consent, struct kl_buf *ret,
                                    struct kl_err *err)
{
    struct vault_subject found = {0};
    struct kl_arena *arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    enum kl_status status = KL_OK;

    if (arena == NULL) {
        return kl_fail_memory(err);
    }
    status = vault_subject_find(receipt->vault, receipt->caller, subject, arena, &found, err);
    if (status == KL_OK) {
        receipt->subject = &found;
        status = make(receipt, consent, arena, ret, err);
    }
    if (status == KL_ERR_GONE) {
        kl_err_clear(err);
        status = vault_not_found(err);
    }
    vault_subject_done(&found);
    kl_arena_free(arena);
    return status;
}

enum kl_status vault_consent_receipt(struct vault *vault, const struct vault_caller *caller,
                                     const struct kl_id *subject, const char *purpose,
                                     const char *recipient, const struct kl_id *consent,
                                     struct kl_buf *ret, struct kl_err *err)
{
    struct receipt receipt = {.vault = vault, .caller = caller, .purpose = VAULT_NONE};
    struct kl_err own = {0};
    enum kl_status status = KL_OK;

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status == KL_OK) {
        status = vault_purpose_resolve(caller, purpose, &receipt.purpose, err);
    }
    if (status == KL_OK) {
        status = vault_recipient_resolve(caller, recipient, &receipt.recipient, err);
    }
    if (status != KL_OK) {
        return status;
    }
    status = ((caller->purposes >> receipt.purpose) & 1) != 0 &&
                     vault_may_about(caller, VAULT_ACTION_CONSENT, receipt.purpose, subject)
                 ? find_and_make(&receipt, subject, consent, ret, err)
                 : vault_not_found(err);
    return vault_subject_refused(vault, caller, "consent_receipt", receipt.purpose, status, err);
}
