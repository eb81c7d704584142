/* What is left of epochs that are over, gone through a piece at a time: their buckets first, then what their row lists. */
#include "vault/index_old.h"

#include "vault/index_rows.h"
#include "vault/rows.h"

#include <string.h>

#define LIST_MAX_BYTES 65536
#define SLOT_BYTES 8

/* The first row of an epoch that is over. ret_there false: there is none. */
static enum kl_status first_list(struct vault_store *store, uint64_t tenant,
                                 struct vault_row_key *ret_key, uint32_t *ret_epoch,
                                 struct kl_buf *ret_list, bool *ret_there, struct kl_err *err)
{
    struct vault_row_key first = vault_row_index_old(tenant, 0, 0);
    struct vault_row_key past = vault_row_index_old(tenant, UINT32_MAX, UINT32_MAX);
    struct vault_iter *iter =
        vault_iter_new(store, vault_row_slice(&first), vault_row_slice(&past), false);
    struct kl_slice key;
    struct kl_slice list;
    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    *ret_there = vault_iter_next(iter, &key, &list) && key.size == first.size;
    if (*ret_there) {
        *ret_epoch = kl_get_u32be(key.bytes + key.size - 8);
        *ret_key = vault_row_index_old(tenant, *ret_epoch, kl_get_u32be(key.bytes + key.size - 4));
        kl_buf_add(ret_list, list.bytes, list.size);
    }
    enum kl_status status = vault_iter_status(iter, err);
    vault_iter_free(iter);
    return status == KL_OK ? kl_buf_status(ret_list, err) : status;
}

static void slot_add(struct vault_index_old *old, uint64_t slot)
{
    bool again = old->count > 0 && old->slots[old->count - 1] == slot;
    if (slot != 0 && !again) { /* versions of one bucket share a slot and follow each other */
        old->slots[old->count++] = slot;
    }
}

/* The next buckets of an epoch. All versions of a bucket are read together, or its rows would go while its key lives. */
static enum kl_status buckets_read(struct vault_store *store, uint64_t tenant, uint32_t epoch,
                                   struct vault_index_old *old, size_t *ret_rows,
                                   struct kl_err *err)
{
    struct vault_iter *iter = vault_bucket_iter(store, tenant, epoch);
    struct vault_row_key first = vault_row_bucket(tenant, epoch, 0, 0, 0, 0);
    struct vault_row_key last = first;
    struct kl_slice key;
    struct kl_slice value;
    size_t rows = 0;
    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    while (old->count < old->max && rows < VAULT_INDEX_OLD_ROWS_MAX &&
           vault_iter_next(iter, &key, &value)) {
        bool is_base = key.size == first.size && key.bytes[key.size - 1] == 0;
        if (is_base && value.size >= SLOT_BYTES) {
            slot_add(old, kl_get_u64be(value.bytes));
        }
        memcpy(last.bytes, key.bytes, first.size);
        rows++;
    }
    enum kl_status status = vault_iter_status(iter, err);
    vault_iter_free(iter);
    if (status == KL_OK && rows > 0) {
        struct vault_row_key past = vault_row_past(&last);
        vault_batch_remove_range(old->remove, vault_row_slice(&first), vault_row_slice(&past));
    }
    *ret_rows = rows;
    return status;
}

/* Slots from a row's list; what does not fit stays listed. */
static void list_take(struct vault_index_old *old, const struct vault_row_key *key,
                      struct kl_slice list)
{
    size_t listed = list.size / SLOT_BYTES;
    size_t at = 0;
    for (; at < listed && old->count < old->max; at++) {
        slot_add(old, kl_get_u64be(list.bytes + at * SLOT_BYTES));
    }
    if (at < listed) {
        vault_batch_put(old->remove, vault_row_slice(key),
                        kl_slice_of(list.bytes + at * SLOT_BYTES, (listed - at) * SLOT_BYTES));
    } else {
        vault_batch_remove(old->remove, vault_row_slice(key));
    }
}

enum kl_status vault_index_old_next(struct vault_store *store, uint64_t tenant,
                                    struct vault_index_old *old, bool *ret_any, struct kl_err *err)
{
    struct vault_row_key key = {.size = 0};
    uint32_t epoch = 0;
    size_t rows = 0;
    bool there = false;
    struct kl_buf list;
    kl_buf_init(&list, LIST_MAX_BYTES);
    old->count = 0;
    enum kl_status status = first_list(store, tenant, &key, &epoch, &list, &there, err);
    if (status == KL_OK && there) {
        status = buckets_read(store, tenant, epoch, old, &rows, err);
    }
    if (status == KL_OK && there && rows == 0) {
        list_take(old, &key, kl_buf_slice(&list));
    }
    kl_buf_done(&list);
    if (status == KL_OK) {
        *ret_any = there;
    }
    return status;
}
