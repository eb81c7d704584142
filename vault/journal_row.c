/* A closing as a row. */
#include "vault/journal_internal.h"
#include "vault/rows.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define FORMAT 1
#define HASH_BYTES 32
#define SEALED_MAX_BYTES 4096
#define CONTEXT "closing"
#define CONTEXT_MAX_BYTES 32

void vault_journal_key(uint64_t tenant, uint64_t seq,
                       unsigned char ret_key[VAULT_JOURNAL_KEY_BYTES])
{
    ret_key[0] = KMS_SIDE_ROW;
    ret_key[1] = 'J';
    kl_put_u64be(ret_key + 2, tenant);
    kl_put_u64be(ret_key + 10, seq);
}

static bool is_of_subject(enum vault_closing_kind kind)
{
    return kind == VAULT_CLOSING_CONSENT || kind == VAULT_CLOSING_OBJECTION ||
           kind == VAULT_CLOSING_RESTRICTION || kind == VAULT_CLOSING_RESIDENCY;
}

static struct kms_place place_of(uint64_t tenant, uint64_t slot)
{
    const struct kms_place own = {tenant, VAULT_SLOT_JOURNAL, KMS_VALUE_NONE};
    const struct kms_place subject = {tenant, slot, VAULT_VALUE_CLOSINGS};

    return slot == VAULT_SLOT_JOURNAL ? own : subject;
}

static void context_make(uint64_t seq, int64_t at_us, struct kl_buf *ret)
{
    kl_buf_add_text(ret, CONTEXT);
    kl_buf_add_u64be(ret, seq);
    kl_buf_add_u64be(ret, (uint64_t)at_us);
}

/* ---- writing ---- */

static void text_add(struct kl_buf *ret, const char *text)
{
    kl_buf_add_byte(ret, text == NULL ? 0 : 1);
    if (text != NULL) {
        kl_buf_add_sized(ret, text, strlen(text));
    }
}

static void plain_make(const struct vault_closing *closing, struct kl_buf *ret)
{
    unsigned char hash[HASH_BYTES];

    kl_buf_add_byte(ret, (unsigned char)closing->kind);
    switch (closing->kind) {
    case VAULT_CLOSING_CONSENT:
        kl_buf_add_u32be(ret, closing->entries);
        text_add(ret, closing->purpose);
        text_add(ret, closing->recipient);
        break;
    case VAULT_CLOSING_CREDENTIAL:
        kl_buf_add(ret, closing->mac, KMS_MAC_BYTES);
        kl_buf_add(ret, closing->credential.bytes, KL_ID_BYTES);
        break;
    case VAULT_CLOSING_POLICY:
        crypto_generichash(hash, sizeof hash, closing->body.bytes, closing->body.size, NULL, 0);
        kl_buf_add_u64be(ret, closing->policy);
        kl_buf_add(ret, hash, sizeof hash);
        break;
    case VAULT_CLOSING_OBJECTION:
        kl_buf_add_u32be(ret, closing->entries);
        kl_buf_add_byte(ret, closing->ground);
        text_add(ret, closing->purpose);
        break;
    case VAULT_CLOSING_RESIDENCY:
        kl_buf_add_u32be(ret, closing->entries);
        break;
    case VAULT_CLOSING_RESTRICTION:
        kl_buf_add_u32be(ret, closing->entries);
        kl_buf_add_byte(ret, closing->ground);
        break;
    case VAULT_CLOSING_VOID:
        break;
    }
}

enum kl_status vault_closing_encode(struct vault *vault, const struct vault_closing *closing,
                                    uint64_t seq, struct kl_buf *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    uint64_t slot = is_of_subject(closing->kind) ? closing->slot : VAULT_SLOT_JOURNAL;
    struct kms_place place = place_of(closing->tenant, slot);
    struct kl_buf plain;
    struct kl_buf padded;
    struct kl_buf sealed;
    struct kl_buf context;

    kl_buf_init(&plain, SEALED_MAX_BYTES);
    kl_buf_init(&padded, 2 * SEALED_MAX_BYTES);
    kl_buf_init(&sealed, 2 * SEALED_MAX_BYTES + KMS_SEAL_OVERHEAD_BYTES);
    kl_buf_init(&context, CONTEXT_MAX_BYTES);
    plain_make(closing, &plain);
    context_make(seq, closing->at_us, &context);
    status = kl_buf_status(&plain, err);
    if (status == KL_OK) {
        status = vault_pad(kl_buf_slice(&plain), &padded, err);
    }
    if (status == KL_OK) {
        status = kms_seal(vault->keys, &place, kl_buf_slice(&context), kl_buf_slice(&padded),
                          &sealed, err);
    }
    if (status == KL_OK) {
        kl_buf_add_byte(ret, FORMAT);
        kl_buf_add_u64be(ret, (uint64_t)closing->at_us);
        kl_buf_add_u64be(ret, slot);
        kl_buf_add_sized(ret, sealed.bytes, sealed.size);
        kl_buf_add(ret, closing->body.bytes, closing->body.size);
        status = kl_buf_status(ret, err);
    }
    kl_buf_done(&plain);
    kl_buf_done(&padded);
    kl_buf_done(&sealed);
    kl_buf_done(&context);
    return status;
}

/* ---- reading ---- */

static enum kl_status damaged(struct kl_err *err)
{
    kl_err_clear(err);
    return kl_fail(err, KL_ERR_CORRUPT, "closing_damaged",
                   "an entry of the journal of closings is damaged", NULL);
}

struct parts {
    int64_t at_us;
    uint64_t slot;
    struct kl_slice sealed;
    struct kl_slice body;
};

static bool row_cut(struct kl_slice row, struct parts *ret)
{
    struct kl_reader in = kl_reader_of(row);
    bool known = kl_read_byte(&in) == FORMAT;

    ret->at_us = (int64_t)kl_read_u64be(&in);
    ret->slot = kl_read_u64be(&in);
    ret->sealed = kl_read_sized(&in);
    if (!known || !in.ok) {
        return false;
    }
    ret->body = kl_slice_of(ret->sealed.bytes + ret->sealed.size,
                            (size_t)(row.bytes + row.size - ret->sealed.bytes) - ret->sealed.size);
    return true;
}

bool vault_closing_peek(struct kl_slice row, int64_t *ret_at_us, uint64_t *ret_slot)
{
    struct parts parts;

    if (!row_cut(row, &parts)) {
        return false;
    }
    *ret_at_us = parts.at_us;
    *ret_slot = parts.slot;
    return true;
}

/* False: out of memory. */
static bool text_read(struct kl_reader *in, struct kl_arena *arena, const char **ret)
{
    struct kl_slice text;

    *ret = NULL;
    if (kl_read_byte(in) == 0) {
        return true;
    }
    text = kl_read_sized(in);
    *ret = in->ok ? kl_arena_text(arena, text.bytes, text.size) : NULL;
    return *ret != NULL || !in->ok;
}

static bool policy_read(struct kl_reader *in, struct kl_slice body, struct vault_closing *ret)
{
    unsigned char hash[HASH_BYTES];
    struct kl_slice stored;

    ret->policy = kl_read_u64be(in);
    stored = kl_read_bytes(in, HASH_BYTES);
    crypto_generichash(hash, sizeof hash, body.bytes, body.size, NULL, 0);
    ret->body = body;
    return in->ok && sodium_memcmp(stored.bytes, hash, HASH_BYTES) == 0;
}

static void credential_read(struct kl_reader *in, struct vault_closing *ret)
{
    struct kl_slice mac = kl_read_bytes(in, KMS_MAC_BYTES);
    struct kl_slice id = kl_read_bytes(in, KL_ID_BYTES);

    if (in->ok) {
        memcpy(ret->mac, mac.bytes, KMS_MAC_BYTES);
        memcpy(ret->credential.bytes, id.bytes, KL_ID_BYTES);
    }
}

enum kl_status vault_closing_plain_decode(struct kl_slice plain, struct kl_slice body,
                                          struct kl_arena *arena, struct vault_closing *ret,
                                          struct kl_err *err)
{
    struct kl_reader in = kl_reader_of(plain);
    unsigned char kind = kl_read_byte(&in);
    bool room = true;

    if (in.ok && kind > VAULT_CLOSING_RESIDENCY) {
        return kl_fail(err, KL_ERR_REFUSED, "journal_newer",
                       "the journal of closings was written by a later version of this program",
                       NULL);
    }
    ret->kind = (enum vault_closing_kind)kind;
    switch (ret->kind) {
    case VAULT_CLOSING_CONSENT:
        ret->entries = kl_read_u32be(&in);
        room = text_read(&in, arena, &ret->purpose) && text_read(&in, arena, &ret->recipient);
        in.ok = in.ok && (!room || ret->purpose != NULL);
        break;
    case VAULT_CLOSING_CREDENTIAL:
        credential_read(&in, ret);
        break;
    case VAULT_CLOSING_POLICY:
        in.ok = policy_read(&in, body, ret);
        break;
    case VAULT_CLOSING_OBJECTION:
        ret->entries = kl_read_u32be(&in);
        ret->ground = kl_read_byte(&in);
        room = text_read(&in, arena, &ret->purpose);
        in.ok = in.ok && (!room || ret->purpose != NULL) && ret->ground < VAULT_OBJECTION_GROUNDS;
        break;
    case VAULT_CLOSING_RESTRICTION:
        ret->entries = kl_read_u32be(&in);
        ret->ground = kl_read_byte(&in);
        in.ok = in.ok && ret->ground < VAULT_RESTRICTION_GROUNDS;
        break;
    case VAULT_CLOSING_RESIDENCY:
        ret->entries = kl_read_u32be(&in);
        break;
    case VAULT_CLOSING_VOID:
        break;
    }
    if (!room) {
        return kl_fail_memory(err);
    }
    return kl_reader_done(&in) ? KL_OK : damaged(err);
}

enum kl_status vault_closing_decode(struct vault *vault, uint64_t tenant, uint64_t seq,
                                    struct kl_slice row, struct kl_arena *arena,
                                    struct vault_closing *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_closing closing = {.tenant = tenant, .seq = seq};
    struct kms_place place;
    struct parts parts = {0};
    struct kl_slice text;
    struct kl_buf plain;
    struct kl_buf context;

    if (!row_cut(row, &parts)) {
        return damaged(err);
    }
    closing.at_us = parts.at_us;
    closing.slot = parts.slot;
    place = place_of(tenant, parts.slot);
    kl_buf_init(&plain, 2 * SEALED_MAX_BYTES);
    kl_buf_init(&context, CONTEXT_MAX_BYTES);
    context_make(seq, parts.at_us, &context);
    status = kms_unseal(vault->keys, &place, kl_buf_slice(&context), parts.sealed, &plain, err);
    if (status == KL_OK) {
        status = vault_unpad(kl_buf_slice(&plain), &text, err);
    }
    if (status == KL_OK) {
        status = vault_closing_plain_decode(text, parts.body, arena, &closing, err);
    }
    if (status == KL_ERR_CORRUPT || status == KL_ERR_INVALID || status == KL_ERR_TOO_LARGE) {
        status = damaged(err);
    }
    if (status == KL_OK) {
        *ret = closing;
    }
    kl_buf_done(&plain);
    kl_buf_done(&context);
    return status;
}

enum kl_status vault_closing_read(struct vault *vault, uint64_t tenant, uint64_t seq,
                                  struct kl_buf *row, struct kl_arena *arena,
                                  struct vault_closing *ret, struct kl_err *err)
{
    unsigned char key[VAULT_JOURNAL_KEY_BYTES];
    enum kl_status status;

    vault_journal_key(tenant, seq, key);
    kl_buf_clear(row);
    status = kms_side_get(vault->keys, kl_slice_of(key, sizeof key), row, err);
    return status == KL_OK
               ? vault_closing_decode(vault, tenant, seq, kl_buf_slice(row), arena, ret, err)
               : status;
}

static bool mark_consent(const struct vault_closing *closing, struct vault_ledger *ledger)
{
    bool changed = false;
    size_t i;

    for (i = 0; i < ledger->count && i < closing->entries; i++) {
        struct vault_ledger_entry *entry = &ledger->entries[i];
        bool same_recipient =
            closing->recipient == NULL
                ? entry->recipient == NULL
                : entry->recipient != NULL && strcmp(entry->recipient, closing->recipient) == 0;

        if (same_recipient && entry->withdrawn_us == 0 &&
            strcmp(entry->purpose, closing->purpose) == 0) {
            entry->withdrawn_us = closing->at_us;
            changed = true;
        }
    }
    return changed;
}

/* The controller's grounds were about an earlier objection. */
static enum kl_status mark_objection(const struct vault_closing *closing, struct kl_arena *arena,
                                     struct vault_ledger *ledger, bool *ret_changed,
                                     struct kl_err *err)
{
    struct vault_ledger_objection *objection =
        vault_ledger_objection_of(ledger, closing->purpose, arena);

    if (objection == NULL) {
        return kl_fail_memory(err);
    }
    *ret_changed = objection->count < closing->entries;
    if (*ret_changed) {
        objection->count = closing->entries;
        objection->ground = (enum vault_objection_ground)closing->ground;
        objection->compelling = KMS_VALUE_NONE;
        objection->at_us = closing->at_us;
        objection->ended_us = 0;
    }
    return KL_OK;
}

static bool mark_restriction(const struct vault_closing *closing, struct vault_ledger *ledger)
{
    if (ledger->restriction.count >= closing->entries) {
        return false;
    }
    ledger->restriction.count = closing->entries;
    ledger->restriction.ground = (enum vault_restriction_ground)closing->ground;
    ledger->restriction.at_us = closing->at_us;
    return true;
}

enum kl_status vault_closing_mark(const struct vault_closing *closing, struct kl_arena *arena,
                                  struct vault_ledger *ledger, bool *ret_changed,
                                  struct kl_err *err)
{
    *ret_changed = false;
    switch (closing->kind) {
    case VAULT_CLOSING_CONSENT:
        *ret_changed = mark_consent(closing, ledger);
        return KL_OK;
    case VAULT_CLOSING_OBJECTION:
        return mark_objection(closing, arena, ledger, ret_changed, err);
    case VAULT_CLOSING_RESTRICTION:
        *ret_changed = mark_restriction(closing, ledger);
        return KL_OK;
    case VAULT_CLOSING_VOID:
    case VAULT_CLOSING_CREDENTIAL:
    case VAULT_CLOSING_POLICY:
    case VAULT_CLOSING_RESIDENCY:
        break;
    }
    return KL_OK;
}
