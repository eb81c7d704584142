/*
 * A batch is one run of bytes: for each operation a kind, two lengths, key
 * and value. It is plain memory of our own, so that batches can be joined
 * whatever engine they go to.
 */
#include "vault/store/batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define OP_HEADER_BYTES 9
/* A batch that once was larger gives its memory back when it is cleared. */
#define KEPT_BYTES_MAX ((size_t)4 * 1024 * 1024)

struct vault_batch {
    unsigned char *bytes;
    size_t size;
    size_t capacity;
    size_t count;
    enum kl_status failed; /* KL_OK, or what is kept in mind for apply */
};

struct vault_batch *vault_batch_new(void)
{
    return calloc(1, sizeof(struct vault_batch));
}

void vault_batch_free(struct vault_batch *batch)
{
    if (batch == NULL) {
        return;
    }
    free(batch->bytes);
    free(batch);
}

void vault_batch_clear(struct vault_batch *batch)
{
    if (batch->capacity > KEPT_BYTES_MAX) {
        free(batch->bytes);
        batch->bytes = NULL;
        batch->capacity = 0;
    }
    batch->size = 0;
    batch->count = 0;
    batch->failed = KL_OK;
}

/* Room for size more bytes at the end; NULL when there is none, which is kept in mind. */
static unsigned char *batch_room(struct vault_batch *batch, size_t size)
{
    if (size > batch->capacity - batch->size) {
        size_t capacity = batch->capacity < 1024 ? 1024 : batch->capacity * 2;
        while (capacity - batch->size < size) {
            capacity *= 2;
        }
        unsigned char *bytes = realloc(batch->bytes, capacity);
        if (bytes == NULL) {
            batch->failed = KL_ERR_NO_MEMORY;
            return NULL;
        }
        batch->bytes = bytes;
        batch->capacity = capacity;
    }
    unsigned char *at = batch->bytes + batch->size;
    batch->size += size;
    return at;
}

static void batch_add(struct vault_batch *batch, enum vault_batch_kind kind, struct kl_slice key,
                      struct kl_slice value)
{
    assert(key.size > 0 && key.size <= VAULT_STORE_KEY_MAX_BYTES);
    if (batch->failed != KL_OK) {
        return;
    }
    if (value.size > VAULT_STORE_VALUE_MAX_BYTES) {
        batch->failed = KL_ERR_TOO_LARGE;
        return;
    }
    unsigned char *at = batch_room(batch, OP_HEADER_BYTES + key.size + value.size);
    if (at == NULL) {
        return;
    }
    at[0] = (unsigned char)kind;
    kl_put_u32be(at + 1, (uint32_t)key.size);
    kl_put_u32be(at + 5, (uint32_t)value.size);
    memcpy(at + OP_HEADER_BYTES, key.bytes, key.size);
    if (value.size > 0) {
        memcpy(at + OP_HEADER_BYTES + key.size, value.bytes, value.size);
    }
    batch->count++;
}

void vault_batch_put(struct vault_batch *batch, struct kl_slice key, struct kl_slice value)
{
    batch_add(batch, VAULT_BATCH_PUT, key, value);
}

void vault_batch_remove(struct vault_batch *batch, struct kl_slice key)
{
    batch_add(batch, VAULT_BATCH_REMOVE, key, kl_slice_of(NULL, 0));
}

void vault_batch_remove_range(struct vault_batch *batch, struct kl_slice first,
                              struct kl_slice past_last)
{
    assert(past_last.size > 0 && past_last.size <= VAULT_STORE_KEY_MAX_BYTES);
    batch_add(batch, VAULT_BATCH_REMOVE_RANGE, first, past_last);
}

void vault_batch_append(struct vault_batch *batch, const struct vault_batch *from)
{
    assert(batch != from);
    if (batch->failed != KL_OK) {
        return;
    }
    if (from->failed != KL_OK) {
        batch->failed = from->failed;
        return;
    }
    if (from->size == 0) {
        return;
    }
    unsigned char *at = batch_room(batch, from->size);
    if (at == NULL) {
        return;
    }
    memcpy(at, from->bytes, from->size);
    batch->count += from->count;
}

size_t vault_batch_count(const struct vault_batch *batch)
{
    return batch->count;
}

bool vault_batch_next(const struct vault_batch *batch, size_t *at, struct vault_batch_op *ret_op)
{
    if (*at >= batch->size) {
        return false;
    }
    const unsigned char *op = batch->bytes + *at;
    size_t key_bytes = kl_get_u32be(op + 1);
    size_t value_bytes = kl_get_u32be(op + 5);
    ret_op->kind = (enum vault_batch_kind)op[0];
    ret_op->key = kl_slice_of(op + OP_HEADER_BYTES, key_bytes);
    ret_op->value = kl_slice_of(op + OP_HEADER_BYTES + key_bytes, value_bytes);
    *at += OP_HEADER_BYTES + key_bytes + value_bytes;
    return true;
}

bool vault_batch_find(const struct vault_batch *batch, struct kl_slice key,
                      struct kl_slice *ret_value)
{
    struct vault_batch_op op;
    size_t at = 0;
    bool found = false;
    while (vault_batch_next(batch, &at, &op)) {
        if (op.kind != VAULT_BATCH_REMOVE_RANGE && kl_slice_equal(op.key, key)) {
            *ret_value = op.kind == VAULT_BATCH_PUT ? op.value : kl_slice_of(NULL, 0);
            found = true;
        }
    }
    return found;
}

enum kl_status vault_batch_status(const struct vault_batch *batch, struct kl_err *err)
{
    switch (batch->failed) {
    case KL_OK:
        return KL_OK;
    case KL_ERR_TOO_LARGE:
        return kl_fail(err, KL_ERR_TOO_LARGE, "store_value_too_large",
                       "something to be stored is too large", NULL);
    default:
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                       "batch: no memory");
    }
}
