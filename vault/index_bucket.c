#include "vault/index_bucket.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_BASE 1
#define FORMAT_DELTA 2
#define DELTA_ADDED 1
#define DELTA_REMOVED 2

static enum kl_status bucket_no_memory(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                   "index bucket: no memory");
}

static enum kl_status bucket_corrupt(struct kl_err *err, const char *why)
{
    return kl_fail(err, KL_ERR_CORRUPT, "index_bucket_corrupt", "the index is damaged",
                   "bucket: %s", why);
}

void vault_bucket_done(struct vault_bucket *bucket)
{
    if (bucket->entries != NULL) {
        sodium_memzero(bucket->entries, bucket->capacity * sizeof(*bucket->entries));
        free(bucket->entries);
    }
    *bucket = (struct vault_bucket){.entries = NULL};
}

static enum kl_status bucket_reserve(struct vault_bucket *bucket, size_t count, struct kl_err *err)
{
    if (count <= bucket->capacity) {
        return KL_OK;
    }
    size_t capacity = bucket->capacity == 0 ? 16 : bucket->capacity;
    while (capacity < count) {
        capacity *= 2;
    }
    struct vault_index_entry *entries = calloc(capacity, sizeof(*entries));
    if (entries == NULL) {
        return bucket_no_memory(err);
    }
    size_t kept = bucket->count;
    if (kept > 0) {
        memcpy(entries, bucket->entries, kept * sizeof(*entries));
    }
    vault_bucket_done(bucket);
    *bucket = (struct vault_bucket){.entries = entries, .count = kept, .capacity = capacity};
    return KL_OK;
}

enum kl_status vault_bucket_copy(const struct vault_bucket *from, struct vault_bucket *ret,
                                 struct kl_err *err)
{
    enum kl_status status = bucket_reserve(ret, from->count, err);
    if (status == KL_OK && from->count > 0) {
        memcpy(ret->entries, from->entries, from->count * sizeof(*from->entries));
        ret->count = from->count;
    }
    return status;
}

static int entry_compare(const struct vault_index_entry *a, const struct vault_index_entry *b)
{
    /* Time tells how far two keyed hashes agree, which says nothing of the values without the key. */
    int order = memcmp(a->tag, b->tag, VAULT_TAG_BYTES); /* not secret */
    if (order != 0) {
        return order;
    }
    if (a->slot != b->slot) {
        return a->slot < b->slot ? -1 : 1;
    }
    if (a->discriminator != b->discriminator) {
        return a->discriminator < b->discriminator ? -1 : 1;
    }
    return 0;
}

/* The index of the first entry that is not before entry. */
static size_t bucket_place(const struct vault_bucket *bucket, const struct vault_index_entry *entry)
{
    size_t low = 0;
    size_t high = bucket->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entry_compare(&bucket->entries[middle], entry) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool bucket_is_at(const struct vault_bucket *bucket, size_t at,
                         const struct vault_index_entry *entry)
{
    return at < bucket->count && entry_compare(&bucket->entries[at], entry) == 0;
}

bool vault_bucket_has(const struct vault_bucket *bucket, const struct vault_index_entry *entry)
{
    return bucket_is_at(bucket, bucket_place(bucket, entry), entry);
}

enum kl_status vault_bucket_add(struct vault_bucket *bucket, const struct vault_index_entry *entry,
                                struct kl_err *err)
{
    size_t at = bucket_place(bucket, entry);
    if (bucket_is_at(bucket, at, entry)) {
        return KL_OK;
    }
    enum kl_status status = bucket_reserve(bucket, bucket->count + 1, err);
    if (status != KL_OK) {
        return status;
    }
    memmove(&bucket->entries[at + 1], &bucket->entries[at],
            (bucket->count - at) * sizeof(*bucket->entries));
    bucket->entries[at] = *entry;
    bucket->count++;
    return KL_OK;
}

void vault_bucket_remove(struct vault_bucket *bucket, const struct vault_index_entry *entry)
{
    size_t at = bucket_place(bucket, entry);
    if (!bucket_is_at(bucket, at, entry)) {
        return;
    }
    bucket->count--;
    memmove(&bucket->entries[at], &bucket->entries[at + 1],
            (bucket->count - at) * sizeof(*bucket->entries));
    sodium_memzero(&bucket->entries[bucket->count], sizeof(*bucket->entries));
}

size_t vault_bucket_tag(const struct vault_bucket *bucket, const unsigned char tag[VAULT_TAG_BYTES],
                        size_t *ret_first)
{
    struct vault_index_entry first = {.slot = 0, .discriminator = 0};
    memcpy(first.tag, tag, VAULT_TAG_BYTES);
    size_t at = bucket_place(bucket, &first);
    size_t count = 0;
    while (at + count < bucket->count &&
           sodium_memcmp(bucket->entries[at + count].tag, tag, VAULT_TAG_BYTES) == 0) {
        count++;
    }
    *ret_first = at;
    return count;
}

static void entry_write(const struct vault_index_entry *entry, struct kl_buf *ret)
{
    kl_buf_add(ret, entry->tag, VAULT_TAG_BYTES);
    kl_buf_add_u64be(ret, entry->slot);
    kl_buf_add_u64be(ret, entry->discriminator);
}

static struct vault_index_entry entry_read(struct kl_reader *reader)
{
    struct vault_index_entry entry = {.slot = 0};
    struct kl_slice tag = kl_read_bytes(reader, VAULT_TAG_BYTES);
    if (reader->ok) {
        memcpy(entry.tag, tag.bytes, VAULT_TAG_BYTES);
    }
    entry.slot = kl_read_u64be(reader);
    entry.discriminator = kl_read_u64be(reader);
    return entry;
}

void vault_bucket_base_write(const struct vault_index_entry *entries, size_t count,
                             struct kl_buf *ret)
{
    kl_buf_add_byte(ret, FORMAT_BASE);
    for (size_t i = 0; i < count; i++) {
        entry_write(&entries[i], ret);
    }
}

enum kl_status vault_bucket_base_read(struct kl_slice base, struct vault_bucket *bucket,
                                      struct kl_err *err)
{
    struct kl_reader reader = kl_reader_of(base);
    assert(bucket->count == 0);
    if (kl_read_byte(&reader) != FORMAT_BASE || (base.size - 1) % VAULT_BUCKET_ENTRY_BYTES != 0) {
        return bucket_corrupt(err, "no base of a known format");
    }
    size_t count = (base.size - 1) / VAULT_BUCKET_ENTRY_BYTES;
    enum kl_status status = bucket_reserve(bucket, count, err);
    if (status != KL_OK) {
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        bucket->entries[i] = entry_read(&reader);
        if (i > 0 && entry_compare(&bucket->entries[i - 1], &bucket->entries[i]) >= 0) {
            return bucket_corrupt(err, "entries out of order");
        }
        bucket->count++;
    }
    return KL_OK;
}

void vault_bucket_delta_begin(struct kl_buf *ret)
{
    kl_buf_add_byte(ret, FORMAT_DELTA);
}

void vault_bucket_delta_write(const struct vault_index_change *change, struct kl_buf *ret)
{
    kl_buf_add_byte(ret, change->kind == VAULT_INDEX_REMOVE ? DELTA_REMOVED : DELTA_ADDED);
    entry_write(&change->entry, ret);
}

enum kl_status vault_bucket_delta_read(struct kl_slice delta, struct vault_bucket *bucket,
                                       struct kl_err *err)
{
    struct kl_reader reader = kl_reader_of(delta);
    if (kl_read_byte(&reader) != FORMAT_DELTA) {
        return bucket_corrupt(err, "no delta of a known format");
    }
    while (reader.ok && !kl_reader_done(&reader)) {
        uint8_t kind = kl_read_byte(&reader);
        struct vault_index_entry entry = entry_read(&reader);
        enum kl_status status = KL_OK;
        if (!reader.ok || (kind != DELTA_ADDED && kind != DELTA_REMOVED)) {
            return bucket_corrupt(err, "a change of no known kind");
        }
        if (kind == DELTA_REMOVED) {
            vault_bucket_remove(bucket, &entry);
        } else {
            status = vault_bucket_add(bucket, &entry, err);
        }
        if (status != KL_OK) {
            return status;
        }
    }
    return KL_OK;
}
