/*
 * The input is a base, then deltas, each behind its 16-bit length. Whatever reads is in order,
 * has each entry once, and reads back the same after it was written.
 */
#include "vault/index_bucket.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct vault_bucket *bucket)
{
    struct vault_bucket again = {.entries = NULL};
    struct kl_buf written;
    kl_buf_init(&written, 1 << 24);
    vault_bucket_base_write(bucket->entries, bucket->count, &written);
    assert(kl_buf_status(&written, NULL) == KL_OK);
    assert(vault_bucket_base_read(kl_buf_slice(&written), &again, NULL) == KL_OK);
    assert(again.count == bucket->count);
    for (size_t i = 0; i < bucket->count; i++) {
        size_t first = 0;
        size_t count = vault_bucket_tag(bucket, bucket->entries[i].tag, &first);
        assert(first <= i && i < first + count);
        assert(vault_bucket_has(&again, &bucket->entries[i]));
    }
    vault_bucket_done(&again);
    kl_buf_done(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kl_reader reader = kl_reader_of(kl_slice_of(data, size));
    struct vault_bucket bucket = {.entries = NULL};
    struct kl_slice base = kl_read_bytes(&reader, kl_read_u16be(&reader));
    if (reader.ok && vault_bucket_base_read(base, &bucket, NULL) == KL_OK) {
        check(&bucket);
        while (reader.ok && !kl_reader_done(&reader)) {
            struct kl_slice delta = kl_read_bytes(&reader, kl_read_u16be(&reader));
            if (!reader.ok || vault_bucket_delta_read(delta, &bucket, NULL) != KL_OK) {
                break;
            }
            check(&bucket);
        }
    }
    vault_bucket_done(&bucket);
    return 0;
}
