/* What a note says in the audit trail. */
#include "vault/erasure.h"

#include "kluis/base/encode.h"

static void entry_of_keys(struct vault_act *act, const struct vault_note *note)
{
    char id[KL_ID_TEXT_BYTES];

    if (note->kind == VAULT_NOTE_CUSTODIAN) {
        kl_json_add_text(&act->out, "custodian", note->name);
        return;
    }
    kl_id_format(VAULT_ROTATION_PREFIX, &note->id, id);
    kl_json_add_text(&act->out, "rotation", id);
    kl_json_add_text(&act->out, "level", note->kind == VAULT_NOTE_VALUES ? "values" : "root");
    if (note->kind == VAULT_NOTE_VALUES) {
        kl_json_add_int(&act->out, "subjects", note->records);
    }
}

static void entry_of_subject(struct vault_act *act, const struct vault_note *note)
{
    kl_json_add_int(&act->out, "slot", (int64_t)note->slot);
    if (note->record != 0) {
        kl_json_add_int(&act->out, "record", (int64_t)note->record);
    }
    if (note->retained > 0) {
        kl_json_add_int(&act->out, "retained", (int64_t)note->retained);
    }
}

static void entry_of_sweep(struct vault_act *act, const struct vault_note *note)
{
    char id[KL_ID_TEXT_BYTES];

    kl_id_format(VAULT_SWEEP_PREFIX, &note->id, id);
    kl_json_add_text(&act->out, "job", id);
    kl_json_add_int(&act->out, "values", note->records);
    kl_json_add_int(&act->out, "buckets", note->fields);
}

static bool is_of_keys(const struct vault_note *note)
{
    return note->kind == VAULT_NOTE_ROTATION || note->kind == VAULT_NOTE_CUSTODIAN ||
           note->kind == VAULT_NOTE_VALUES;
}

bool vault_note_has_receipt(const struct vault_note *note)
{
    return note->kind == VAULT_NOTE_SUBJECT || note->kind == VAULT_NOTE_RECORD ||
           note->kind == VAULT_NOTE_TENANT || note->kind == VAULT_NOTE_RETAINED;
}

static void entry_of_receipt(struct vault_act *act, const struct vault_note *note)
{
    char id[KL_ID_TEXT_BYTES];

    kl_id_format("er", &note->id, id);
    kl_json_add_text(&act->out, "receipt", id);
    if (note->kind == VAULT_NOTE_RETAINED) {
        kl_id_format("er", &note->of, id);
        kl_json_add_text(&act->out, "of", id);
    }
    if (vault_note_has_request(note)) {
        kl_id_format("req", &note->request, id);
        kl_json_add_text(&act->out, "request", id);
    }
    kl_json_add_text(&act->out, "reason", vault_erase_reason_name(note->reason));
    if (note->kind != VAULT_NOTE_TENANT) {
        kl_json_add_int(&act->out, "records", note->records);
        kl_json_add_int(&act->out, "fields", note->fields);
    }
}

/* How far the trail of a tenant came that ends, and what its receipts were signed with: nothing of it is kept but this. */
static enum kl_status entry_of_tenant(struct vault_act *act, struct vault *vault,
                                      const struct vault_note *note, struct kl_err *err)
{
    unsigned char root[VAULT_AUDIT_HASH_BYTES];
    char text[KL_BASE64_CHARS(VAULT_AUDIT_HASH_BYTES) + 1];
    uint64_t size = 0;
    enum kl_status status = vault_trails_root(vault->trails, note->tenant, &size, root, err);

    if (status == KL_OK) {
        kl_json_add_text(&act->out, "tenant", note->name);
        kl_json_add_int(&act->out, "statistics", note->records);
        kl_json_add_int(&act->out, "statistics_too_few", note->fields);
        kl_json_add_int(&act->out, "audit_size", (int64_t)size);
        kl_base64(root, sizeof root, text);
        kl_json_add_text(&act->out, "audit_root_hash", text);
        kl_base64(note->public_key, sizeof note->public_key, text);
        kl_json_add_text(&act->out, "tenant_public_key", text);
    }
    return status;
}

enum kl_status vault_erasure_entry(struct vault_act *act, struct vault *vault,
                                   const struct vault_note *note, uint64_t home,
                                   uint64_t generation, struct kl_err *err)
{
    static const char *const actions[] = {[VAULT_NOTE_SUBJECT] = "erase",
                                          [VAULT_NOTE_RECORD] = "erase_record",
                                          [VAULT_NOTE_PAST] = "sweep",
                                          [VAULT_NOTE_ROTATION] = "key_rotate",
                                          [VAULT_NOTE_TENANT] = "tenant_end",
                                          [VAULT_NOTE_RETAINED] = "retention_end",
                                          [VAULT_NOTE_CUSTODIAN] = "custodian_change",
                                          [VAULT_NOTE_SWEEP] = "sweep",
                                          [VAULT_NOTE_UNKNOWN] = "unknown_slots_shredded",
                                          [VAULT_NOTE_VALUES] = "key_rotate",
                                          [VAULT_NOTE_STATISTICS] = "statistics_publish"};
    static const struct kl_id nobody = {{0}};
    enum kl_status status = KL_OK;
    struct vault_audit_who who = {
        .credential = kl_id_equal(&note->credential, &nobody) ? NULL : &note->credential,
        .role = note->role,
        .request_id = note->request_id[0] == '\0' ? NULL : note->request_id,
        .location = vault_country_is_set(note->location) ? note->location.code : NULL,
        .at_us = note->at_us};

    vault_act_begin(act, home, &who, actions[note->kind]);
    kl_json_add_int(&act->out, "generation", (int64_t)generation);
    if (is_of_keys(note)) {
        entry_of_keys(act, note);
    } else if (note->kind == VAULT_NOTE_SWEEP) {
        entry_of_sweep(act, note);
    } else if (note->kind == VAULT_NOTE_UNKNOWN) {
        kl_json_add_int(&act->out, "slots", note->records);
    } else if (note->kind == VAULT_NOTE_STATISTICS) {
        kl_json_add_int(&act->out, "published", note->records);
        kl_json_add_int(&act->out, "too_few", note->fields);
    } else if (note->kind == VAULT_NOTE_TENANT) {
        status = entry_of_tenant(act, vault, note, err);
    } else {
        if (home != note->tenant) {
            kl_json_add_int(&act->out, "of_tenant", (int64_t)note->tenant);
        }
        entry_of_subject(act, note);
    }
    if (vault_note_has_receipt(note)) {
        entry_of_receipt(act, note);
    }
    return status;
}
