/*
 * What is kept for statistics, from a disk that somebody else wrote to: the first byte says whether it is what somebody gave, or what was
 * published. What is taken is written again as it was.
 */
#include "vault/statistics_text.h"

#include <assert.h>
#include <stdint.h>

#define ARENA_BYTES ((size_t)16 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vault_given given;
    struct kl_arena *arena = kl_arena_new(ARENA_BYTES);
    struct vault_published published;
    struct kl_slice text;
    struct kl_buf out;
    bool taken = false;

    assert(arena != NULL);
    kl_buf_init(&out, VAULT_GIVEN_MAX_BYTES + VAULT_PUBLISHED_MAX_BYTES);
    if (size > 0) {
        text = kl_slice_of(data + 1, size - 1);
        if (data[0] % 2 == 0) {
            taken = vault_given_decode(text, &given, NULL) == KL_OK &&
                    vault_given_encode(&given, &out, NULL) == KL_OK;
        } else {
            taken = vault_published_decode(text, arena, &published, NULL) == KL_OK &&
                    vault_published_encode(published.tenant, published.minimum, &published.counted,
                                           &out, NULL) == KL_OK;
        }
        assert(!taken || kl_slice_equal(text, kl_buf_slice(&out)));
    }
    kl_buf_done(&out);
    kl_arena_free(arena);
    return 0;
}
