/* Rows 'Q': which value slots of a subject lie beside its records. */
#include "vault/aside.h"

#include "vault/disclosure_text.h"
#include "vault/rekeying.h"
#include "vault/request_rows.h"

#include <string.h>

#define KIND_AT 17
#define ID_AT 18

static enum kl_status damaged(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_CORRUPT, "aside_damaged",
                   "what is stored beside this subject's records cannot be read", NULL);
}

bool vault_aside_value(struct kl_slice row, uint64_t *ret_value)
{
    uint64_t value = row.size < 8 ? 0 : kl_get_u64be(row.bytes);

    if (value < VAULT_VALUE_FIRST || value > KMS_SLOT_MAX) {
        return false;
    }
    *ret_value = value;
    return true;
}

enum kl_status vault_aside_find(struct vault *vault, uint64_t tenant, uint64_t slot, char kind,
                                const struct kl_id *id, uint64_t *ret_value, struct kl_err *err)
{
    struct vault_row_key key = vault_row_aside(tenant, slot, kind, id);
    enum kl_status status = KL_OK;
    struct kl_buf row;

    kl_buf_init(&row, VAULT_REQUEST_ROW_BYTES);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, err);
    if (status == KL_OK && !vault_aside_value(kl_buf_slice(&row), ret_value)) {
        status = damaged(err);
    }
    kl_buf_done(&row);
    return status;
}

/* ---- opening ---- */

static enum kl_status open_once(struct vault *vault, const struct kms_place *place,
                                const char *context, struct kl_arena *arena, struct kl_slice *ret,
                                struct kl_err *err)
{
    struct vault_row_key key = vault_row_value(place->tenant, place->slot, place->value);
    enum kl_status status = KL_OK;
    unsigned char *copy = NULL;
    struct kl_slice text;
    struct kl_buf row;
    struct kl_buf plain;

    kl_buf_init(&row, KMS_SEAL_MAX_BYTES + KMS_SEAL_OVERHEAD_BYTES);
    kl_buf_init(&plain, KMS_SEAL_MAX_BYTES);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, err);
    if (status == KL_OK) {
        status =
            kms_unseal(vault->keys, place, kl_slice_text(context), kl_buf_slice(&row), &plain, err);
    }
    if (status == KL_OK) {
        status = vault_unpad(kl_buf_slice(&plain), &text, err);
    }
    if (status == KL_OK) {
        copy = kl_arena_alloc(arena, text.size);
        status = copy == NULL ? kl_fail_memory(err) : KL_OK;
    }
    if (status == KL_OK) {
        if (text.size > 0) {
            memcpy(copy, text.bytes, text.size);
        }
        *ret = kl_slice_of(copy, text.size);
    }
    kl_buf_done(&row);
    kl_buf_done(&plain);
    if (status == KL_ERR_NOT_FOUND || status == KL_ERR_GONE) {
        kl_err_clear(err);
        return kl_fail(err, KL_ERR_GONE, "value_gone", "this was erased while it was read", NULL);
    }
    return status;
}

enum kl_status vault_aside_open(struct vault *vault, uint64_t tenant, uint64_t slot, uint64_t value,
                                const char *context, struct kl_arena *arena, struct kl_slice *ret,
                                struct kl_err *err)
{
    const struct kms_place place = {tenant, slot, value};
    uint64_t seen = vault_rekeying_now(vault);
    enum kl_status status = open_once(vault, &place, context, arena, ret, err);

    while (status == KL_ERR_CORRUPT && vault_rekeying_again(vault, tenant, slot, &seen)) {
        kl_err_clear(err);
        status = open_once(vault, &place, context, arena, ret, err);
    }
    return status;
}

/* ---- all of a subject ---- */

struct listing {
    struct vault *vault;
    uint64_t tenant;
    uint64_t slot;
    struct kl_arena *arena;
    struct vault_aside *asides;
    size_t count;
    size_t room;
};

static enum kl_status add(struct listing *listing, uint64_t value, const char *context,
                          struct kl_err *err)
{
    struct vault_aside *grown = NULL;

    if (listing->count == listing->room) {
        listing->room = listing->room == 0 ? 16 : 2 * listing->room;
        grown = kl_arena_array(listing->arena, listing->room, sizeof *grown);
        if (grown == NULL) {
            return kl_fail_memory(err);
        }
        if (listing->count > 0) {
            memcpy(grown, listing->asides, listing->count * sizeof *grown);
        }
        listing->asides = grown;
    }
    listing->asides[listing->count].value = value;
    listing->asides[listing->count++].context = context;
    return KL_OK;
}

/* The ledger, and the notes that it names. */
static enum kl_status add_disclosures(struct listing *listing, uint64_t value, struct kl_err *err)
{
    struct vault_disclosures ledger = {0};
    struct kl_err unopened = {0};
    struct kl_slice text;
    enum kl_status status = add(listing, value, VAULT_DISCLOSURES_CONTEXT, err);
    size_t i;

    if (status != KL_OK ||
        vault_aside_open(listing->vault, listing->tenant, listing->slot, value,
                         VAULT_DISCLOSURES_CONTEXT, listing->arena, &text, &unopened) != KL_OK ||
        vault_disclosures_decode(text, listing->arena, &ledger, &unopened) != KL_OK) {
        return status;
    }
    for (i = 0; status == KL_OK && i < ledger.count; i++) {
        if (ledger.entries[i].note != KMS_VALUE_NONE) {
            status = add(listing, ledger.entries[i].note, VAULT_DISCLOSURE_NOTE_CONTEXT, err);
        }
    }
    return status;
}

static enum kl_status add_row(struct listing *listing, struct kl_slice key, struct kl_slice row,
                              struct kl_err *err)
{
    uint64_t value = 0;

    if (key.size <= KIND_AT || !vault_aside_value(row, &value)) {
        return damaged(err);
    }
    switch (key.bytes[KIND_AT]) {
    case VAULT_ASIDE_REQUEST:
        return add(listing, value, VAULT_REQUEST_CONTEXT, err);
    case VAULT_ASIDE_DISCLOSURES:
        return add_disclosures(listing, value, err);
    default:
        return damaged(err);
    }
}

static struct vault_iter *rows_of(struct vault *vault, uint64_t tenant, uint64_t slot,
                                  struct vault_row_key *ret_first, struct vault_row_key *ret_past)
{
    *ret_first = vault_row_aside(tenant, slot, 0, NULL);
    ret_first->size--;
    *ret_past = vault_row_past(ret_first);
    return vault_iter_new(vault->data_store, vault_row_slice(ret_first), vault_row_slice(ret_past),
                          false);
}

enum kl_status vault_aside_list(struct vault *vault, uint64_t tenant, uint64_t slot,
                                struct kl_arena *arena, struct vault_aside **ret_asides,
                                size_t *ret_count, struct kl_err *err)
{
    struct listing listing = {.vault = vault, .tenant = tenant, .slot = slot, .arena = arena};
    struct vault_row_key first;
    struct vault_row_key past;
    struct vault_iter *iter = rows_of(vault, tenant, slot, &first, &past);
    enum kl_status status = iter == NULL ? kl_fail_memory(err) : KL_OK;
    struct kl_slice key;
    struct kl_slice row;

    while (status == KL_OK && vault_iter_next(iter, &key, &row)) {
        status = add_row(&listing, key, row, err);
    }
    if (status == KL_OK) {
        status = vault_iter_status(iter, err);
    }
    vault_iter_free(iter);
    if (status == KL_OK) {
        *ret_asides = listing.asides;
        *ret_count = listing.count;
    }
    return status;
}

/* ---- removing ---- */

enum kl_status vault_aside_rows_remove(struct vault *vault, uint64_t tenant, uint64_t slot,
                                       struct vault_batch *batch, struct kl_err *err)
{
    struct vault_row_key first;
    struct vault_row_key past;
    struct vault_iter *iter = rows_of(vault, tenant, slot, &first, &past);
    enum kl_status status = KL_OK;
    struct vault_request_row of;
    struct kl_slice key;
    struct kl_slice row;
    struct kl_id id;

    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    while (vault_iter_next(iter, &key, &row)) {
        if (key.size == ID_AT + KL_ID_BYTES && key.bytes[KIND_AT] == VAULT_ASIDE_REQUEST &&
            vault_request_row_read(row, &of)) {
            memcpy(id.bytes, key.bytes + ID_AT, KL_ID_BYTES);
            vault_request_rows_remove(batch, tenant, &id, &of);
        }
    }
    status = vault_iter_status(iter, err);
    vault_iter_free(iter);
    vault_batch_remove_range(batch, vault_row_slice(&first), vault_row_slice(&past));
    return status;
}
