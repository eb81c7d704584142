/*
 * What is stored about a subject, from a disk that somebody else wrote to. The first byte says
 * which text it is meant to be. What is taken is written again as it was; of a note, which is
 * written in its newest form and may lose names of recipients, what was written is.
 */
#include "vault/erasure_note.h"
#include "vault/manifest.h"

#include <assert.h>
#include <string.h>

#define ARENA_BYTES ((size_t)16 * 1024 * 1024)
#define OUT_MAX ((size_t)2 * 1024 * 1024)
#define TEXTS 5
#define TEXT_NOTE 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ret holds what was read, written again; false when the text was refused. */
static bool again(uint8_t which, struct kl_slice text, struct kl_arena *arena, struct kl_buf *ret)
{
    struct vault_head head = {0};
    struct vault_manifest_base base = {0};
    struct vault_manifest_record record = {0};
    struct vault_ledger ledger = {0};
    struct vault_note note = {0};

    switch (which % TEXTS) {
    case 0:
        return vault_head_decode(text, arena, &head, NULL) == KL_OK &&
               vault_head_encode(&head, ret, NULL) == KL_OK;
    case 1:
        return vault_manifest_base_decode(text, &base, NULL) == KL_OK &&
               vault_manifest_base_encode(&base, ret, NULL) == KL_OK;
    case 2:
        return vault_manifest_record_decode(text, arena, &record, NULL) == KL_OK &&
               vault_manifest_record_encode(&record, ret, NULL) == KL_OK;
    case 3:
        return vault_ledger_decode(text, arena, &ledger, NULL) == KL_OK &&
               vault_ledger_encode(&ledger, ret, NULL) == KL_OK;
    default:
        return vault_note_decode(text, &note, NULL) == KL_OK &&
               vault_note_encode(&note, ret, NULL) == KL_OK;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kl_arena *arena = kl_arena_new(ARENA_BYTES);
    struct kl_buf out;
    struct kl_buf twice;

    assert(arena != NULL);
    kl_buf_init(&out, OUT_MAX);
    kl_buf_init(&twice, OUT_MAX);
    if (size > 0) {
        const struct kl_slice text = kl_slice_of(data + 1, size - 1);

        if (again(data[0], text, arena, &out)) {
            bool taken = again(data[0], kl_buf_slice(&out), arena, &twice);

            assert(taken && kl_slice_equal(kl_buf_slice(&out), kl_buf_slice(&twice)));
            assert(data[0] % TEXTS == TEXT_NOTE || kl_slice_equal(text, kl_buf_slice(&out)));
        }
    }
    kl_buf_done(&out);
    kl_buf_done(&twice);
    kl_arena_free(arena);
    return 0;
}
