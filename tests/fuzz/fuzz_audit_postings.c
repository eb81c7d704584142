/*
 * Rows of the search index over the audit trail, from a disk that somebody else wrote to. The check is made to fit, so that what lies behind it is
 * reached; what is taken is written again as it was.
 */
#include "vault/audit_postings.h"

#include <assert.h>
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES 9
#define POSTINGS_MAX 1000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct taking {
    struct vault_posting *postings;
    size_t count;
};

static bool take(void *visitor, uint64_t value, const struct vault_places *places)
{
    struct taking *taking = visitor;
    unsigned place = vault_places_next(places, 0);

    for (; place < VAULT_POSTINGS_BLOCK && taking->count < POSTINGS_MAX;
         place = vault_places_next(places, place + 1)) {
        taking->postings[taking->count++] =
            (struct vault_posting){.value = value, .place = (uint16_t)place};
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct kl_slice key = kl_slice_text("K");
    struct taking taking = {.postings = malloc(POSTINGS_MAX * sizeof taking.postings[0])};
    unsigned char hash[crypto_generichash_BYTES_MIN];
    crypto_generichash_state state;
    struct vault_places places;
    struct kl_buf row;
    struct kl_buf again;

    assert(taking.postings != NULL);
    kl_buf_init(&row, size + 1);
    kl_buf_init(&again, size + HEAD_BYTES + 1);
    kl_buf_add(&row, data, size);
    if (size > HEAD_BYTES) {
        (void)crypto_generichash_init(&state, NULL, 0, sizeof hash);
        (void)crypto_generichash_update(&state, key.bytes, key.size);
        (void)crypto_generichash_update(&state, data + HEAD_BYTES, size - HEAD_BYTES);
        (void)crypto_generichash_final(&state, hash, sizeof hash);
        memcpy(row.bytes + 1, hash, 8);
    }
    if (vault_postings_read(key, kl_buf_slice(&row), take, &taking) &&
        taking.count < POSTINGS_MAX) {
        vault_postings_write(key, taking.postings, taking.count, &again);
        assert(kl_slice_equal(kl_buf_slice(&row), kl_buf_slice(&again)));
        assert(vault_postings_find(key, kl_buf_slice(&row), 7, &places));
    }
    kl_buf_done(&row);
    kl_buf_done(&again);
    free(taking.postings);
    return 0;
}
