#include "vault/request_rows.h"

#include "vault/aside.h"

#include <string.h>

#define DUE_AT 10
#define ID_AT 18
#define DUE_KEY_BYTES (ID_AT + KL_ID_BYTES)

bool vault_request_row_read(struct kl_slice row, struct vault_request_row *ret)
{
    struct vault_request_row read;

    if (row.size != VAULT_REQUEST_ROW_BYTES || !vault_aside_value(row, &read.value) ||
        row.bytes[16] > 1) {
        return false;
    }
    read.due_us = (int64_t)kl_get_u64be(row.bytes + 8);
    read.open = row.bytes[16] == 1;
    if (read.due_us < 0) {
        return false;
    }
    *ret = read;
    return true;
}

static void put_slot(struct vault_batch *batch, const struct vault_row_key *key, uint64_t slot)
{
    unsigned char bytes[8];

    kl_put_u64be(bytes, slot);
    vault_batch_put(batch, vault_row_slice(key), kl_slice_of(bytes, sizeof bytes));
}

void vault_request_rows_put(struct vault_batch *batch, uint64_t tenant, uint64_t slot,
                            const struct kl_id *request, const struct vault_request_row *was,
                            const struct vault_request_row *now)
{
    struct vault_row_key aside = vault_row_aside(tenant, slot, VAULT_ASIDE_REQUEST, request);
    struct vault_row_key by_id = vault_row_request(tenant, request);
    struct vault_row_key due = vault_row_request_due(tenant, now->open, now->due_us, request);
    unsigned char bytes[VAULT_REQUEST_ROW_BYTES];

    if (was != NULL) {
        vault_request_rows_remove(batch, tenant, request, was);
    }
    kl_put_u64be(bytes, now->value);
    kl_put_u64be(bytes + 8, (uint64_t)now->due_us);
    bytes[16] = now->open ? 1 : 0;
    vault_batch_put(batch, vault_row_slice(&aside), kl_slice_of(bytes, sizeof bytes));
    put_slot(batch, &by_id, slot);
    put_slot(batch, &due, slot);
}

void vault_request_rows_remove(struct vault_batch *batch, uint64_t tenant,
                               const struct kl_id *request, const struct vault_request_row *was)
{
    struct vault_row_key by_id = vault_row_request(tenant, request);
    struct vault_row_key due = vault_row_request_due(tenant, was->open, was->due_us, request);

    vault_batch_remove(batch, vault_row_slice(&by_id));
    vault_batch_remove(batch, vault_row_slice(&due));
}

enum kl_status vault_request_rows_each(struct vault_store *store, uint64_t tenant, bool open,
                                       int64_t until_us, const struct vault_request_place *after,
                                       vault_request_visit visit, void *visitor, struct kl_err *err)
{
    static const struct kl_id least = {{0}};
    struct vault_row_key first = vault_row_request_due(tenant, open, 0, &least);
    struct vault_row_key past = vault_row_request_due(tenant, open, until_us, &least);
    struct vault_request_place place = {.open = open};
    struct vault_iter *iter = NULL;
    enum kl_status status = KL_OK;
    struct kl_slice key;
    struct kl_slice row;
    bool more = true;

    if (after != NULL) {
        first = vault_row_request_due(tenant, open, after->due_us, &after->request);
        first.bytes[first.size++] = 0; /* the next key there can be */
    }
    if (kl_slice_equal(vault_row_slice(&first), vault_row_slice(&past)) ||
        memcmp(first.bytes, past.bytes, DUE_KEY_BYTES) > 0) {
        return KL_OK;
    }
    iter = vault_iter_new(store, vault_row_slice(&first), vault_row_slice(&past), false);
    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    while (more && vault_iter_next(iter, &key, &row)) {
        if (key.size == DUE_KEY_BYTES && row.size == 8) {
            place.due_us = (int64_t)kl_get_u64be(key.bytes + DUE_AT);
            memcpy(place.request.bytes, key.bytes + ID_AT, KL_ID_BYTES);
            more = visit(visitor, &place, kl_get_u64be(row.bytes));
        }
    }
    status = vault_iter_status(iter, err);
    vault_iter_free(iter);
    return status;
}
