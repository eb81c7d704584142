#include "kms/rows.h"

#include "kms/mirrors.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

static const unsigned char meta_key_byte[1] = {KMS_ROW_META};
static const unsigned char tenants_key_byte[1] = {KMS_ROW_TENANTS};
static const unsigned char batch_key_byte[1] = {KMS_ROW_BATCH};
const struct kl_slice kms_meta_key = {meta_key_byte, sizeof meta_key_byte};
const struct kl_slice kms_tenants_key = {tenants_key_byte, sizeof tenants_key_byte};
const struct kl_slice kms_batch_key = {batch_key_byte, sizeof batch_key_byte};

enum kl_status kms_rows_init(struct kms_rows *rows, const struct kms_storage *storage,
                             struct kl_err *err)
{
    rows->storage = storage;
    rows->mirrors = NULL;
    rows->ticket = 0;
    rows->served = 0;
    if (pthread_mutex_init(&rows->lock, NULL) != 0) {
        goto no_memory;
    }
    if (pthread_cond_init(&rows->moved, NULL) != 0) {
        (void)pthread_mutex_destroy(&rows->lock);
        goto no_memory;
    }
    return KL_OK;

no_memory:
    return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                   "no lock to be had");
}

void kms_rows_done(struct kms_rows *rows)
{
    (void)pthread_cond_destroy(&rows->moved);
    (void)pthread_mutex_destroy(&rows->lock);
}

enum kl_status kms_rows_get(struct kms_rows *rows, struct kl_slice key, struct kl_buf *ret,
                            struct kl_err *err)
{
    return rows->storage->get(rows->storage->context, key, ret, err);
}

/* For a storage that cannot begin in the middle. */
struct passing {
    struct kl_slice after;
    kms_storage_visit visit;
    void *visitor;
};

static enum kl_status pass_or_visit(void *visitor, struct kl_slice key, struct kl_slice value,
                                    struct kl_err *err)
{
    const struct passing *passing = visitor;
    size_t shorter = key.size < passing->after.size ? key.size : passing->after.size;
    int order = memcmp(key.bytes, passing->after.bytes, shorter);

    if (order < 0 || (order == 0 && key.size <= passing->after.size)) {
        return KL_OK;
    }
    return passing->visit(passing->visitor, key, value, err);
}

enum kl_status kms_storage_range(const struct kms_storage *storage, struct kl_slice prefix,
                                 struct kl_slice after, kms_storage_visit visit, void *visitor,
                                 struct kl_err *err)
{
    struct passing passing = {after, visit, visitor};

    if (after.size == 0) {
        return storage->range(storage->context, prefix, visit, visitor, err);
    }
    if (storage->range_after != NULL) {
        return storage->range_after(storage->context, prefix, after, visit, visitor, err);
    }
    return storage->range(storage->context, prefix, pass_or_visit, &passing, err);
}

enum kl_status kms_rows_range(struct kms_rows *rows, struct kl_slice prefix, struct kl_slice after,
                              kms_storage_visit visit, void *visitor, struct kl_err *err)
{
    return kms_storage_range(rows->storage, prefix, after, visit, visitor, err);
}

void kms_rows_gate_take(struct kms_rows *rows)
{
    uint64_t mine;

    (void)pthread_mutex_lock(&rows->lock);
    mine = rows->ticket++;
    while (rows->served != mine) {
        (void)pthread_cond_wait(&rows->moved, &rows->lock);
    }
    (void)pthread_mutex_unlock(&rows->lock);
}

void kms_rows_gate_give(struct kms_rows *rows)
{
    (void)pthread_mutex_lock(&rows->lock);
    rows->served++;
    if (rows->served != rows->ticket) {
        (void)pthread_cond_broadcast(&rows->moved);
    }
    (void)pthread_mutex_unlock(&rows->lock);
}

enum kl_status kms_rows_apply_room(struct kms_rows *rows, struct kms_storage_write *writes,
                                   size_t count, bool sync, struct kl_err *err)
{
    unsigned char id[1 + KMS_BATCH_ID_BYTES];
    enum kl_status status;

    id[0] = KMS_FORMAT_VERSION;
    randombytes_buf(id + 1, KMS_BATCH_ID_BYTES);
    writes[count] = (struct kms_storage_write){kms_batch_key, {id, sizeof id}};
    kms_rows_gate_take(rows);
    if (rows->mirrors != NULL) {
        kms_mirrors_post(rows->mirrors, writes, count + 1, sync);
    }
    status = rows->storage->apply(rows->storage->context, writes, count + 1, sync, err);
    if (rows->mirrors != NULL) {
        kms_mirrors_wait(rows->mirrors);
    }
    kms_rows_gate_give(rows);
    return status;
}

enum kl_status kms_rows_apply(struct kms_rows *rows, const struct kms_storage_write *writes,
                              size_t count, bool sync, struct kl_err *err)
{
    struct kms_storage_write all[KMS_ROWS_FEW + 1];

    assert(count <= KMS_ROWS_FEW);
    memcpy(all, writes, count * sizeof *writes);
    return kms_rows_apply_room(rows, all, count, sync, err);
}

/* ---- meta ---- */

void kms_meta_write(const struct kms_meta *meta, unsigned char ret_bytes[KMS_META_BYTES])
{
    ret_bytes[0] = KMS_FORMAT_VERSION;
    memcpy(ret_bytes + 1, meta->store_id, KMS_STORE_ID_BYTES);
    kl_put_u64be(ret_bytes + 17, meta->generation);
    kl_put_u64be(ret_bytes + 25, (uint64_t)meta->created_us);
    kl_put_u64be(ret_bytes + 33, (uint64_t)meta->root_key_since_us);
}

enum kl_status kms_meta_parse(struct kl_slice bytes, struct kms_meta *ret_meta, struct kl_err *err)
{
    struct kl_reader reader = kl_reader_of(bytes);
    uint8_t version = kl_read_byte(&reader);
    struct kl_slice store_id = kl_read_bytes(&reader, KMS_STORE_ID_BYTES);
    uint64_t generation = kl_read_u64be(&reader);
    uint64_t created_us = kl_read_u64be(&reader);
    uint64_t since_us = kl_read_u64be(&reader);

    if (!kl_reader_done(&reader) || version != KMS_FORMAT_VERSION || generation == 0) {
        return kl_fail(err, KL_ERR_CORRUPT, "key_meta_corrupt", "the key store is damaged",
                       "the meta row of the key store cannot be read");
    }
    memcpy(ret_meta->store_id, store_id.bytes, KMS_STORE_ID_BYTES);
    ret_meta->generation = generation;
    ret_meta->created_us = (int64_t)created_us;
    ret_meta->root_key_since_us = (int64_t)since_us;
    return KL_OK;
}

enum kl_status kms_meta_read(struct kms_rows *rows, struct kms_meta *ret_meta, struct kl_err *err)
{
    struct kl_buf row;
    enum kl_status status;

    kl_buf_init(&row, KMS_ROW_MAX_BYTES);
    status = kms_rows_get(rows, kms_meta_key, &row, NULL);
    if (status == KL_ERR_NOT_FOUND) {
        status = kl_fail(err, status, "key_store_missing", "there is no key store", NULL);
    } else if (status != KL_OK) {
        status = kl_fail(err, status, "key_store_io", "the key store could not be read",
                         "the meta row of the key store could not be read");
    } else {
        status = kms_meta_parse(kl_buf_slice(&row), ret_meta, err);
    }
    kl_buf_done(&row);
    return status;
}

/* ---- marks and notes ---- */

void kms_mark_write(uint64_t mark, unsigned char ret_bytes[KMS_MARK_BYTES])
{
    ret_bytes[0] = KMS_FORMAT_VERSION;
    kl_put_u64be(ret_bytes + 1, mark);
}

enum kl_status kms_mark_read(struct kms_rows *rows, struct kl_slice key, uint64_t if_none,
                             uint64_t *ret_mark, struct kl_err *err)
{
    struct kl_err quiet = {0};
    struct kl_buf row;
    enum kl_status status;

    kl_buf_init(&row, KMS_ROW_MAX_BYTES);
    status = kms_rows_get(rows, key, &row, &quiet);
    if (status == KL_ERR_NOT_FOUND) {
        *ret_mark = if_none;
        status = KL_OK;
    } else if (status != KL_OK) {
        status = kl_fail(err, status, "key_store_io", "the key store could not be read",
                         "a mark could not be read: %s", quiet.log_text);
    } else if (row.size != KMS_MARK_BYTES || row.bytes[0] != KMS_FORMAT_VERSION ||
               kl_get_u64be(row.bytes + 1) > KMS_SLOT_MAX + 1) {
        status = kl_fail(err, KL_ERR_CORRUPT, "key_mark_corrupt", "the key store is damaged",
                         "a mark of the key store cannot be read");
    } else {
        *ret_mark = kl_get_u64be(row.bytes + 1);
    }
    kl_buf_done(&row);
    return status;
}

void kms_slots_key(uint64_t tenant, unsigned char ret_key[KMS_SLOTS_KEY_BYTES])
{
    ret_key[0] = KMS_ROW_SLOTS;
    kl_put_u64be(ret_key + 1, tenant);
}

void kms_dead_key(const struct kms_address *spine, unsigned char ret_key[KMS_DEAD_KEY_BYTES])
{
    ret_key[0] = KMS_ROW_DEAD;
    ret_key[1] = spine->tree;
    kl_put_u64be(ret_key + 2, spine->tenant);
    kl_put_u64be(ret_key + 10, spine->slot);
}

void kms_note_key(uint64_t generation, uint32_t index, unsigned char ret_key[KMS_NOTE_KEY_BYTES])
{
    ret_key[0] = KMS_ROW_NOTE;
    kl_put_u64be(ret_key + 1, generation);
    kl_put_u32be(ret_key + 9, index);
}

void kms_roots_key(uint64_t generation, unsigned char ret_key[KMS_ROOTS_KEY_BYTES])
{
    ret_key[0] = KMS_ROW_ROOTS;
    kl_put_u64be(ret_key + 1, generation);
}
