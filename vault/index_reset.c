/* A new, empty index for a tenant. */
#include "vault/index_internal.h"

#include <stdlib.h>

#define ROW_FORMAT 1
#define PART_SLOTS 4096
#define PART_BYTES (PART_SLOTS * 8)

/* The slots of the index that is given up, written in parts of PART_SLOTS. */
struct old_slots {
    uint64_t tenant;
    uint32_t epoch;
    uint32_t part;
    uint64_t last; /* the versions of one bucket share a slot and follow each other */
    struct kl_buf numbers;
    struct vault_batch *batch;
};

static void old_slots_flush(struct old_slots *old)
{
    struct vault_row_key key = vault_row_index_old(old->tenant, old->epoch, old->part);
    vault_batch_put(old->batch, vault_row_slice(&key), kl_buf_slice(&old->numbers));
    kl_buf_clear(&old->numbers);
    old->part++;
}

static enum kl_status old_slots_add(struct old_slots *old, uint64_t slot, struct kl_err *err)
{
    if (slot == 0 || slot == old->last) {
        return KL_OK;
    }
    old->last = slot;
    kl_buf_add_u64be(&old->numbers, slot);
    enum kl_status status = kl_buf_status(&old->numbers, err);
    if (status == KL_OK && old->numbers.size == PART_BYTES) {
        old_slots_flush(old);
    }
    return status;
}

static enum kl_status old_slots_list(struct vault_index_store *index, uint64_t tenant,
                                     uint32_t epoch, uint64_t address_slot,
                                     struct vault_batch *batch, struct kl_err *err)
{
    struct old_slots old = {.tenant = tenant, .epoch = epoch, .batch = batch};
    struct kl_slice key;
    struct kl_slice value;
    struct vault_iter *iter = vault_bucket_iter(index->store, tenant, epoch);
    if (iter == NULL) {
        return vault_index_no_memory(err);
    }
    kl_buf_init(&old.numbers, PART_BYTES);
    enum kl_status status = old_slots_add(&old, address_slot, err);
    while (status == KL_OK && vault_iter_next(iter, &key, &value)) {
        bool is_base = key.size > VAULT_BUCKET_KEY_PREFIX_BYTES && key.bytes[key.size - 1] == 0;
        if (is_base && value.size >= 8) {
            status = old_slots_add(&old, kl_get_u64be(value.bytes), err);
        }
    }
    if (status == KL_OK) {
        status = vault_iter_status(iter, err);
    }
    if (status == KL_OK && old.numbers.size > 0) {
        old_slots_flush(&old);
    }
    kl_buf_done(&old.numbers);
    vault_iter_free(iter);
    return status;
}

/* Whether anybody is in the middle of something with that tenant's index. */
static bool is_busy(struct vault_index_store *index, uint64_t tenant)
{
    bool busy = false;
    for (size_t i = 0; i < index->group.cell_count; i++) {
        busy =
            busy || (index->group.cells[i] != NULL && index->group.cells[i]->at.tenant == tenant);
    }
    for (const struct vault_index_fresh *fresh = index->fresh; fresh != NULL; fresh = fresh->next) {
        busy = busy || fresh->tenant == tenant;
    }
    pthread_mutex_lock(&index->lock);
    busy = busy || index->staging.state == VAULT_INDEX_STAGING_ACTIVE;
    for (size_t i = 0; i < VAULT_INDEX_HELD_LISTS; i++) {
        for (const struct vault_index_held *held = index->held[i]; held != NULL;
             held = held->next) {
            busy = busy || held->tenant == tenant;
        }
    }
    pthread_mutex_unlock(&index->lock);
    return busy;
}

enum kl_status vault_index_reset(struct vault_index_store *index, uint64_t tenant,
                                 struct vault_batch *batch, struct kl_err *err)
{
    struct vault_index_tenant *known = NULL;
    struct vault_index_fresh *fresh = NULL;
    struct vault_batch *writes = NULL;
    struct kl_buf row;
    uint32_t epoch = 0;
    uint64_t address_slot = 0;
    kl_buf_init(&row, 64);
    enum kl_status status = vault_index_tenant(index, tenant, &known, &epoch, &address_slot, err);
    if (status != KL_OK) {
        goto out;
    }
    if (is_busy(index, tenant) || epoch == UINT32_MAX) {
        status = kl_fail(err, KL_ERR_BUSY, "index_busy", "the index is busy; try again",
                         "index: a reset beside other work on it");
        goto out;
    }
    fresh = calloc(1, sizeof(*fresh));
    writes = vault_batch_new();
    if (fresh == NULL || writes == NULL) {
        status = vault_index_no_memory(err);
        goto out;
    }
    fresh->tenant = tenant;
    fresh->epoch = epoch + 1;
    status = kms_slot_take(index->keys, tenant, 1, &fresh->address_slot, err);
    if (status == KL_OK) {
        status = old_slots_list(index, tenant, epoch, address_slot, writes, err);
    }
    if (status != KL_OK) {
        goto out;
    }
    struct vault_row_key first = vault_row_bucket(tenant, epoch, 0, 0, 0, 0);
    first.size = 1 + 8 + 4;
    struct vault_row_key past = vault_row_past(&first);
    vault_batch_remove_range(writes, vault_row_slice(&first), vault_row_slice(&past));
    kl_buf_add_byte(&row, ROW_FORMAT);
    kl_buf_add_u32be(&row, fresh->epoch);
    kl_buf_add_u64be(&row, fresh->address_slot);
    status = kl_buf_status(&row, err);
    if (status != KL_OK) {
        goto out;
    }
    struct vault_row_key key = vault_row_index(tenant);
    vault_batch_put(writes, vault_row_slice(&key), kl_buf_slice(&row));
    vault_batch_append(batch, writes);
    fresh->next = index->fresh;
    index->fresh = fresh;
    fresh = NULL; /* the index's now */

out:
    kl_buf_done(&row);
    vault_batch_free(writes);
    free(fresh);
    return status;
}
