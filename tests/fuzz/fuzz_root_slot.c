/* One slot of a root file, as it lies there and with its checksum put right: what is read is written back to the same bytes. */
#include "kms/root_file.h"

#include <assert.h>
#include <sodium.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_slot(const unsigned char bytes[KMS_ROOT_SLOT_BYTES])
{
    unsigned char written[KMS_ROOT_SLOT_BYTES];
    struct kms_root_slot slot;

    if (!kms_root_slot_parse(bytes, &slot)) {
        return;
    }
    assert(slot.generation > 0);
    assert(slot.memory_bytes <= KMS_ROOT_MEMORY_MAX_BYTES && slot.passes <= KMS_ROOT_PASSES_MAX);
    kms_root_slot_write(&slot, written);
    assert(memcmp(bytes, written, sizeof written) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char bytes[KMS_ROOT_SLOT_BYTES] = {0};

    if (sodium_init() < 0) {
        return 0;
    }
    if (size > 0) {
        memcpy(bytes, data, size < sizeof bytes ? size : sizeof bytes);
    }
    try_slot(bytes);
    (void)crypto_generichash(bytes + KMS_ROOT_CHECKSUM_AT, KMS_ROOT_CHECKSUM_BYTES, bytes,
                             KMS_ROOT_CHECKSUM_AT, NULL, 0);
    try_slot(bytes);
    return 0;
}
