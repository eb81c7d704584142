/*
 * What lies beside a subject's records, from a disk that somebody else wrote to: the first byte says which text it is meant to be, a
 * request's or the ledger of disclosures'. What is taken is written again as it was.
 */
#include "vault/disclosure_text.h"
#include "vault/manifest.h"
#include "vault/request_text.h"

#include <assert.h>
#include <stdint.h>

#define ARENA_BYTES ((size_t)16 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kl_arena *arena = kl_arena_new(ARENA_BYTES);
    struct vault_disclosures ledger = {0};
    struct vault_request request;
    struct kl_slice text;
    struct kl_buf out;
    bool taken = false;

    assert(arena != NULL);
    kl_buf_init(&out, VAULT_MANIFEST_MAX_BYTES + size);
    if (size > 0) {
        text = kl_slice_of(data + 1, size - 1);
        if (data[0] % 2 == 0) {
            taken = vault_request_decode(text, arena, &request, NULL) == KL_OK &&
                    vault_request_encode(&request, &out, NULL) == KL_OK;
        } else {
            taken = vault_disclosures_decode(text, arena, &ledger, NULL) == KL_OK &&
                    vault_disclosures_encode(&ledger, &out, NULL) == KL_OK;
        }
        assert(!taken || kl_slice_equal(text, kl_buf_slice(&out)));
    }
    kl_buf_done(&out);
    kl_arena_free(arena);
    return 0;
}
