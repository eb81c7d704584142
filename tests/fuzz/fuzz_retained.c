/*
 * What a key store says of what an erasure kept, from somebody else who wrote to it. The first byte says what it is: a row as it lies there (its key,
 * and what is in it), or the note of a key commit.
 */
#include "vault/retained_internal.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_row(struct kl_slice rest)
{
    size_t key_bytes = rest.size < RETAINED_KEY_BYTES ? rest.size : RETAINED_KEY_BYTES;
    const struct kl_slice key = kl_slice_of(rest.bytes, key_bytes);
    const struct kl_slice value = kl_slice_of(rest.bytes + key_bytes, rest.size - key_bytes);
    struct vault_retained row = {.value = 77};
    struct kl_slice sealed;

    if (!vault_retained_row_read(key, value, &row, &sealed)) {
        assert(row.value == 77);
    } else {
        assert(row.value == vault_retained_key_value(key));
        assert(strlen(row.basis) <= VAULT_HOLD_BASIS_MAX_BYTES);
        assert(sealed.size <= value.size);
    }
}

/* What was read is written and read again, whatever version it was of. */
static void try_note(struct kl_slice rest)
{
    static struct vault_note note;
    static struct vault_note again;
    struct kl_buf text;

    if (vault_note_decode(rest, &note, NULL) != KL_OK) {
        return;
    }
    assert(note.retained <= VAULT_RETAINED_MAX);
    kl_buf_init(&text, KMS_NOTE_MAX_BYTES);
    if (vault_note_encode(&note, &text, NULL) != KL_OK ||
        vault_note_decode(kl_buf_slice(&text), &again, NULL) != KL_OK) {
        assert(0 && "a note that was read is written");
    }
    assert(note.retained == again.retained && note.notify_bytes == again.notify_bytes);
    assert(kl_id_equal(&note.id, &again.id) && note.slot == again.slot && note.once == again.once);
    kl_buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0) {
        const struct kl_slice rest = kl_slice_of(data + 1, size - 1);

        if (data[0] == 0) {
            try_row(rest);
        } else {
            try_note(rest);
        }
    }
    return 0;
}
