#include "vault/receipt_internal.h"

#include "kluis/base/encode.h"
#include "vault/act.h"
#include "vault/mirrors.h"
#include "vault/retained.h"
#include "vault/rows.h"
#include "vault/subject_internal.h"
#include "vault/sweep.h"
#include "vault/tenants.h"

#include <sodium.h>
#include <string.h>

#define SIGNATURE_MEMBER ",\"signature\":\""
#define SIGNATURE_CHARS KL_BASE64_CHARS(KMS_SIGNATURE_BYTES)
/* From the comma to the end: `,"signature":"` 86 characters `"}` */
#define TAIL_BYTES (sizeof SIGNATURE_MEMBER - 1 + SIGNATURE_CHARS + 2)

_Static_assert(VAULT_RECEIPT_MAX_BYTES <= VAULT_STORE_VALUE_MAX_BYTES, "a receipt fits");

const char *vault_erase_reason_name(enum vault_erase_reason reason)
{
    switch (reason) {
    case VAULT_ERASE_REQUEST:
        return "request";
    case VAULT_ERASE_RETENTION:
        return "retention";
    case VAULT_ERASE_CONSENT_WITHDRAWN:
        return "consent_withdrawn";
    case VAULT_ERASE_TENANT_END:
        return "tenant_end";
    case VAULT_ERASE_OTHER:
    case VAULT_ERASE_REASONS:
        break;
    }
    return "other";
}

/* ---- writing ---- */

void vault_receipt_add_id(struct kl_json_out *out, const char *key, const char *prefix,
                          const struct kl_id *id)
{
    char text[KL_ID_TEXT_BYTES];

    kl_id_format(prefix, id, text);
    kl_json_add_text(out, key, text);
}

void vault_receipt_copy_member(struct kl_json_out *out, const struct kl_json_value *from,
                               const char *key)
{
    struct kl_buf text;

    kl_buf_init(&text, VAULT_RECEIPT_MAX_BYTES);
    kl_json_write_value(&text, kl_json_member(from, key));
    kl_json_key(out, key);
    kl_json_put_raw(out, text.bytes, text.size);
    kl_buf_done(&text);
}

static void add_notify(struct kl_json_out *out, const struct vault_note *note)
{
    size_t at;

    kl_json_key(out, "notify");
    kl_json_array_begin(out);
    for (at = 0; at < note->notify_bytes; at += strlen(note->notify + at) + 1) {
        kl_json_put_text(out, note->notify + at);
    }
    kl_json_array_end(out);
    kl_json_add_bool(out, "notify_complete", note->notify_all);
}

/* The root key of this generation came into use when the one before was destroyed; of an older generation only the request's time is known. */
static int64_t erased_at(const struct kms_state *state, const struct vault_note *note,
                         uint64_t generation)
{
    return state->generation == generation ? state->root_key_since_us : note->at_us;
}

static const char *kind_name(enum vault_note_kind kind)
{
    switch (kind) {
    case VAULT_NOTE_RECORD:
        return "record";
    case VAULT_NOTE_TENANT:
        return "tenant";
    case VAULT_NOTE_RETAINED:
        return "retained";
    case VAULT_NOTE_SUBJECT:
    case VAULT_NOTE_PAST:
    case VAULT_NOTE_ROTATION:
    case VAULT_NOTE_SWEEP:
    case VAULT_NOTE_CUSTODIAN:
    case VAULT_NOTE_UNKNOWN:
    case VAULT_NOTE_VALUES:
    case VAULT_NOTE_STATISTICS:
        break;
    }
    return "subject";
}

static enum kl_status add_line(void *visitor, const struct vault_retained *row, struct kl_err *err)
{
    struct kl_json_out *out = visitor;

    (void)err;
    kl_json_object_begin(out);
    kl_json_add_text(out, "basis", row->basis);
    kl_json_add_time(out, "until", row->until_us);
    kl_json_add_bytes(out, "commitment", row->commitment, VAULT_COMMITMENT_BYTES);
    kl_json_object_end(out);
    return KL_OK;
}

/* As it stands beside the keys: these rows were there before the commit, and stay until this is written. */
static enum kl_status add_retained(struct vault *vault, const struct vault_note *note,
                                   struct kl_json_out *out, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    kl_json_key(out, "retained");
    kl_json_array_begin(out);
    if (note->retained > 0) {
        status =
            vault_retained_each(vault, note->tenant, note->slot, &note->id, add_line, out, err);
    }
    kl_json_array_end(out);
    return status;
}

static enum kl_status add_tenant(struct vault *vault, const struct vault_note *note,
                                 struct kl_json_out *out, struct kl_err *err)
{
    unsigned char root[VAULT_AUDIT_HASH_BYTES];
    uint64_t size = 0;
    enum kl_status status = vault_trails_root(vault->trails, note->tenant, &size, root, err);

    if (status == KL_OK) {
        kl_json_key(out, "audit");
        kl_json_object_begin(out);
        kl_json_add_int(out, "size", (int64_t)size);
        kl_json_add_bytes(out, "root_hash", root, sizeof root);
        kl_json_object_end(out);
        kl_json_add_bytes(out, "tenant_public_key", note->public_key, sizeof note->public_key);
    }
    return status;
}

static enum kl_status add_erased(struct vault *vault, const struct vault_note *note,
                                 struct kl_json_out *out, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (note->kind == VAULT_NOTE_RETAINED) {
        vault_receipt_add_id(out, "of", "er", &note->of);
    }
    kl_json_add_int(out, "records_erased", note->records);
    kl_json_add_int(out, "fields_erased", note->fields);
    status = add_retained(vault, note, out, err);
    add_notify(out, note);
    return status;
}

/* Until then somebody with all bytes and all keys could test a guess at an indexed value; null: no sweep is planned. */
static void add_traces(struct vault *vault, const struct vault_note *note, int64_t erased_us,
                       struct kl_json_out *out)
{
    int64_t until_us = vault_sweep_next_us(vault, erased_us);

    if (note->kind == VAULT_NOTE_RETAINED) {
        return; /* the index knows nothing of it */
    }
    if (until_us == 0) {
        kl_json_add_text(out, "lookup_traces_until", NULL);
    } else {
        kl_json_add_time(out, "lookup_traces_until", until_us);
    }
}

static void add_keys(const struct vault_mirrors_of *of, uint64_t generation,
                     struct kl_json_out *out)
{
    kl_json_add_text(out, "finality", kms_finality_name(of->finality));
    vault_mirrors_add(out, of);
    kl_json_key(out, "generation");
    kl_json_object_begin(out);
    kl_json_add_int(out, "from", (int64_t)generation - 1);
    kl_json_add_int(out, "to", (int64_t)generation);
    kl_json_object_end(out);
}

/* Of a commit that an older version made nobody wrote them down. */
static enum kl_status add_root_hashes(struct vault *vault, uint64_t generation,
                                      struct kl_json_out *out, struct kl_err *err)
{
    struct kms_root_hashes hashes;
    struct kl_err cause = {0};
    enum kl_status status = kms_root_hashes(vault->keys, generation, &hashes, &cause);

    if (status != KL_OK && status != KL_ERR_NOT_FOUND && status != KL_ERR_CORRUPT) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    kl_json_key(out, "key_tree_root");
    kl_json_object_begin(out);
    if (status == KL_OK) {
        kl_json_add_bytes(out, "from", hashes.from, sizeof hashes.from);
        kl_json_add_bytes(out, "to", hashes.to, sizeof hashes.to);
    } else {
        kl_json_add_text(out, "from", NULL);
        kl_json_add_text(out, "to", NULL);
    }
    kl_json_object_end(out);
    return KL_OK;
}

static void add_entry(const struct vault_audit_entry *entry, struct kl_json_out *out)
{
    kl_json_key(out, "entry");
    kl_json_object_begin(out);
    vault_receipt_add_id(out, "id", "aud", &entry->id);
    kl_json_add_bytes(out, "leaf_hash", entry->hash, sizeof entry->hash);
    kl_json_object_end(out);
}

struct writing {
    struct vault *vault;
    const struct vault_note *note;
    uint64_t generation;
    const struct vault_audit_entry *entry;
    const struct vault_mirrors_of *of;
    struct kl_buf *ret;
};

static enum kl_status write_body(const struct writing *writing, struct kl_json_out *out,
                                 struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault *vault = writing->vault;
    const struct vault_note *note = writing->note;
    uint64_t generation = writing->generation;
    const struct vault_tenant *tenant = vault_tenants_by_number(vault, note->tenant);
    bool of_tenant = note->kind == VAULT_NOTE_TENANT;
    const char *known = tenant == NULL ? NULL : tenant->name;
    char store[2 * KMS_STORE_ID_BYTES + 1];
    struct kms_state state;

    kms_state(vault->keys, &state);
    kl_hex(vault->store_id, KMS_STORE_ID_BYTES, store);
    vault_receipt_add_id(out, "receipt", "er", &note->id);
    kl_json_add_text(out, "kind", kind_name(note->kind));
    kl_json_add_text(out, "store", store);
    kl_json_add_text(out, "tenant", of_tenant ? note->name : known);
    kl_json_add_time(out, "erased_at", erased_at(&state, note, generation));
    kl_json_add_text(out, "reason", vault_erase_reason_name(note->reason));
    vault_receipt_add_id(out, "credential", "cred", &note->credential);
    kl_json_add_text(out, "request_id", note->request_id);
    if (vault_note_has_request(note)) {
        vault_receipt_add_id(out, "request", "req", &note->request);
    }
    if (of_tenant) {
        status = add_tenant(vault, note, out, err);
    } else {
        status = add_erased(vault, note, out, err);
        add_traces(vault, note, erased_at(&state, note, generation), out);
    }
    add_keys(writing->of, generation, out);
    if (status == KL_OK) {
        status = add_root_hashes(vault, generation, out, err);
    }
    add_entry(writing->entry, out);
    if (!of_tenant) {
        kl_json_add_bytes(out, "commitment", note->commitment, sizeof note->commitment);
    }
    kl_json_add_text(out, "algorithm", "Ed25519");
    return status;
}

enum kl_status vault_receipt_sign(const struct vault_signer *signer, const struct kl_buf *text,
                                  struct kl_buf *ret, struct kl_err *err)
{
    unsigned char signature[KMS_SIGNATURE_BYTES];
    char signature_text[SIGNATURE_CHARS + 1];
    enum kl_status status =
        vault_signer_sign(signer, VAULT_SIGNING_LABEL, kl_buf_slice(text), signature, err);

    if (status == KL_OK) {
        kl_base64(signature, sizeof signature, signature_text);
        kl_buf_add(ret, text->bytes, text->size - 1);
        kl_buf_add_text(ret, SIGNATURE_MEMBER);
        kl_buf_add_text(ret, signature_text);
        kl_buf_add_text(ret, "\"}");
        status = kl_buf_status(ret, err);
    }
    return status;
}

static enum kl_status write_with(void *context, const struct vault_signer *signer,
                                 struct kl_err *err)
{
    const struct writing *writing = context;
    enum kl_status status = KL_OK;
    struct kl_json_out out;
    struct kl_buf text;

    kl_buf_init(&text, VAULT_RECEIPT_MAX_BYTES);
    out = kl_json_out(&text);
    kl_json_object_begin(&out);
    status = write_body(writing, &out, err);
    kl_json_add_bytes(&out, "public_key", signer->public_key, sizeof signer->public_key);
    kl_json_object_end(&out);
    if (status == KL_OK) {
        status = kl_buf_status(&text, err);
    }
    if (status == KL_OK) {
        status = vault_receipt_sign(signer, &text, writing->ret, err);
    }
    kl_buf_done(&text);
    return status;
}

enum kl_status vault_receipt_write(struct vault *vault, const struct vault_note *note,
                                   uint64_t home, uint64_t generation,
                                   const struct vault_audit_entry *entry,
                                   const struct vault_mirrors_of *of, struct kl_buf *ret,
                                   struct kl_err *err)
{
    struct writing writing = {.vault = vault,
                              .note = note,
                              .generation = generation,
                              .entry = entry,
                              .of = of,
                              .ret = ret};

    return vault_signing_with(vault->keys, home, write_with, &writing, err);
}

struct anew {
    const struct kl_json_value *stored;
    const struct vault_mirrors_of *of;
    struct kl_buf *ret;
};

/* All members but the signature, those about mirrors and the key as they now are. */
static void write_anew(const struct kl_json_value *stored, const struct vault_mirrors_of *of,
                       const struct vault_signer *signer, struct kl_json_out *out)
{
    struct kl_json_iter iter = kl_json_iter(stored);
    const struct kl_json_value *value = NULL;
    const char *name = NULL;

    kl_json_object_begin(out);
    while (kl_json_next(&iter, &name, &value)) {
        if (strcmp(name, "finality") == 0) {
            kl_json_add_text(out, name, kms_finality_name(of->finality));
        } else if (strcmp(name, "mirrors") == 0) {
            vault_mirrors_add(out, of);
        } else if (strcmp(name, "public_key") == 0) {
            kl_json_add_bytes(out, name, signer->public_key, sizeof signer->public_key);
        } else if (strcmp(name, "signature") != 0) {
            vault_receipt_copy_member(out, stored, name);
        }
    }
    kl_json_object_end(out);
}

static enum kl_status anew_with(void *context, const struct vault_signer *signer,
                                struct kl_err *err)
{
    const struct anew *anew = context;
    enum kl_status status = KL_OK;
    struct kl_json_out out;
    struct kl_buf text;

    kl_buf_init(&text, VAULT_RECEIPT_MAX_BYTES);
    out = kl_json_out(&text);
    write_anew(anew->stored, anew->of, signer, &out);
    status = kl_buf_status(&text, err);
    if (status == KL_OK) {
        status = vault_receipt_sign(signer, &text, anew->ret, err);
    }
    kl_buf_done(&text);
    return status;
}

enum kl_status vault_receipt_sign_anew(struct vault *vault, uint64_t home, struct kl_slice receipt,
                                       const struct vault_mirrors_of *of, struct kl_buf *ret,
                                       struct kl_err *err)
{
    enum kl_status status = vault_receipt_verify(receipt, NULL, err);
    struct anew anew = {.of = of, .ret = ret};
    struct kl_json *json = NULL;

    if (status == KL_OK) {
        status = kl_json_parse(receipt.bytes, receipt.size, &json, err);
    }
    if (status == KL_OK) {
        anew.stored = kl_json_root(json);
        status = vault_signing_with(vault->keys, home, anew_with, &anew, err);
    }
    kl_json_free(json);
    return status;
}

/* ---- verifying ---- */

static enum kl_status invalid(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_INVALID, "invalid_receipt", "this is not a receipt", NULL);
}

enum kl_status vault_receipt_split(struct kl_slice receipt, struct kl_buf *ret_signed,
                                   unsigned char ret_signature[KMS_SIGNATURE_BYTES],
                                   struct kl_err *err)
{
    const char *tail = NULL;

    if (receipt.size <= TAIL_BYTES || receipt.size > VAULT_RECEIPT_MAX_BYTES) {
        return invalid(err);
    }
    tail = (const char *)receipt.bytes + receipt.size - TAIL_BYTES;
    if (memcmp(tail, SIGNATURE_MEMBER, sizeof SIGNATURE_MEMBER - 1) != 0 ||
        memcmp(tail + TAIL_BYTES - 2, "\"}", 2) != 0 ||
        !kl_base64_decode(tail + sizeof SIGNATURE_MEMBER - 1, SIGNATURE_CHARS, ret_signature,
                          KMS_SIGNATURE_BYTES)) {
        return invalid(err);
    }
    kl_buf_add(ret_signed, receipt.bytes, receipt.size - TAIL_BYTES);
    kl_buf_add_text(ret_signed, "}");
    return kl_buf_status(ret_signed, err);
}

static enum kl_status named_key(struct kl_slice receipt,
                                unsigned char ret_key[KMS_PUBLIC_KEY_BYTES], struct kl_err *err)
{
    struct kl_json *json = NULL;
    const char *text = NULL;
    bool right = false;

    if (kl_json_parse(receipt.bytes, receipt.size, &json, NULL) != KL_OK) {
        return invalid(err);
    }
    text = kl_json_text(kl_json_member(kl_json_root(json), "public_key"));
    right = text != NULL && kl_base64_decode(text, strlen(text), ret_key, KMS_PUBLIC_KEY_BYTES);
    kl_json_free(json);
    return right ? KL_OK : invalid(err);
}

enum kl_status vault_receipt_verify(struct kl_slice receipt,
                                    const unsigned char public_key[KMS_PUBLIC_KEY_BYTES],
                                    struct kl_err *err)
{
    enum kl_status status = KL_OK;
    unsigned char key[KMS_PUBLIC_KEY_BYTES];
    unsigned char signature[KMS_SIGNATURE_BYTES];
    struct kl_buf text;

    kl_buf_init(&text, VAULT_RECEIPT_MAX_BYTES);
    status = named_key(receipt, key, err);
    if (status == KL_OK) {
        status = vault_receipt_split(receipt, &text, signature, err);
    }
    if (status == KL_OK && public_key != NULL && sodium_memcmp(public_key, key, sizeof key) != 0) {
        status = kl_fail(err, KL_ERR_CORRUPT, "bad_signature",
                         "the receipt is not signed by that key", NULL);
    }
    if (status == KL_OK &&
        crypto_sign_verify_detached(signature, text.bytes, text.size, key) != 0) {
        status = kl_fail(err, KL_ERR_CORRUPT, "bad_signature",
                         "the receipt's signature does not fit its text", NULL);
    }
    kl_buf_done(&text);
    return status;
}
