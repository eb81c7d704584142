/*
 * Rows of the journal of closings, from a key store that somebody else wrote to. The first byte says what it is: the row as it lies there,
 * what its seal protects (as long as the second byte says, the row's body behind it), the row that says where the journal begins.
 */
#include "vault/journal_internal.h"

#include <assert.h>
#include <string.h>

#define ARENA_BYTES ((size_t)1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_row(struct kl_slice row)
{
    int64_t at_us = 77;
    uint64_t slot = 77;

    if (!vault_closing_peek(row, &at_us, &slot)) {
        assert(at_us == 77 && slot == 77);
    }
}

static void try_plain(struct kl_slice rest)
{
    struct kl_arena *arena = kl_arena_new(ARENA_BYTES);
    struct vault_closing closing = {0};
    size_t plain_bytes = rest.size == 0 ? 0 : rest.bytes[0];

    assert(arena != NULL);
    if (rest.size > plain_bytes) {
        const struct kl_slice plain = kl_slice_of(rest.bytes + 1, plain_bytes);
        const struct kl_slice body =
            kl_slice_of(rest.bytes + 1 + plain_bytes, rest.size - 1 - plain_bytes);

        if (vault_closing_plain_decode(plain, body, arena, &closing, NULL) == KL_OK) {
            assert(closing.kind <= VAULT_CLOSING_RESIDENCY);
            assert(closing.kind != VAULT_CLOSING_CONSENT || closing.purpose != NULL);
            assert(closing.kind != VAULT_CLOSING_POLICY || kl_slice_equal(closing.body, body));
        }
    }
    kl_arena_free(arena);
}

static void try_head(struct kl_slice row)
{
    uint64_t from = 77;

    if (!vault_journal_head_read(row, &from)) {
        assert(from == 77);
    } else {
        assert(from > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0) {
        const struct kl_slice rest = kl_slice_of(data + 1, size - 1);

        switch (data[0] % 3) {
        case 0:
            try_row(rest);
            break;
        case 1:
            try_plain(rest);
            break;
        default:
            try_head(rest);
            break;
        }
    }
    return 0;
}
