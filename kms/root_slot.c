/* One slot of the root file to bytes and back; the layout is in format.h. */
#include "kms/root_slot.h"

#include "kluis/base/buf.h"

#include <sodium.h>
#include <string.h>

#define VERSION_AT 8
#define KIND_AT 9
#define PASSES_AT 12
#define MEMORY_AT 16
#define STORE_ID_AT 24
#define GENERATION_AT 40
#define SALT_AT 48
#define NONCE_AT 64
#define KEY_AT 88
#define END_AT 136

static void checksum(const unsigned char bytes[KMS_ROOT_SLOT_BYTES],
                     unsigned char ret_sum[KMS_ROOT_CHECKSUM_BYTES])
{
    (void)crypto_generichash(ret_sum, KMS_ROOT_CHECKSUM_BYTES, bytes, KMS_ROOT_CHECKSUM_AT, NULL,
                             0);
}

void kms_root_slot_write(const struct kms_root_slot *slot,
                         unsigned char ret_bytes[KMS_ROOT_SLOT_BYTES])
{
    memset(ret_bytes, 0, KMS_ROOT_SLOT_BYTES);
    memcpy(ret_bytes, KMS_ROOT_MAGIC, KMS_ROOT_MAGIC_BYTES);
    ret_bytes[VERSION_AT] = KMS_FORMAT_VERSION;
    ret_bytes[KIND_AT] = (unsigned char)slot->kind;
    kl_put_u32be(ret_bytes + PASSES_AT, slot->passes);
    kl_put_u64be(ret_bytes + MEMORY_AT, slot->memory_bytes);
    memcpy(ret_bytes + STORE_ID_AT, slot->store_id, sizeof slot->store_id);
    kl_put_u64be(ret_bytes + GENERATION_AT, slot->generation);
    memcpy(ret_bytes + SALT_AT, slot->salt, sizeof slot->salt);
    memcpy(ret_bytes + NONCE_AT, slot->nonce, sizeof slot->nonce);
    memcpy(ret_bytes + KEY_AT, slot->key, sizeof slot->key);
    checksum(ret_bytes, ret_bytes + KMS_ROOT_CHECKSUM_AT);
}

static bool kind_agrees(const struct kms_root_slot *slot)
{
    switch (slot->kind) {
    case KMS_ROOT_BARE:
        return slot->passes == 0 && slot->memory_bytes == 0;
    case KMS_ROOT_PASSPHRASE:
        return slot->passes >= crypto_pwhash_OPSLIMIT_MIN && slot->passes <= KMS_ROOT_PASSES_MAX &&
               slot->memory_bytes >= crypto_pwhash_MEMLIMIT_MIN &&
               slot->memory_bytes <= KMS_ROOT_MEMORY_MAX_BYTES;
    }
    return false;
}

bool kms_root_slot_parse(const unsigned char bytes[KMS_ROOT_SLOT_BYTES],
                         struct kms_root_slot *ret_slot)
{
    unsigned char sum[KMS_ROOT_CHECKSUM_BYTES];
    struct kms_root_slot slot;
    bool good;

    checksum(bytes, sum);
    if (sodium_memcmp(sum, bytes + KMS_ROOT_CHECKSUM_AT, sizeof sum) != 0 ||
        memcmp(bytes, KMS_ROOT_MAGIC, KMS_ROOT_MAGIC_BYTES) != 0 ||
        bytes[VERSION_AT] != KMS_FORMAT_VERSION ||
        !sodium_is_zero(bytes + KIND_AT + 1, PASSES_AT - KIND_AT - 1) ||
        !sodium_is_zero(bytes + END_AT, KMS_ROOT_CHECKSUM_AT - END_AT)) {
        return false;
    }
    slot.kind = (enum kms_root_kind)bytes[KIND_AT];
    slot.passes = kl_get_u32be(bytes + PASSES_AT);
    slot.memory_bytes = kl_get_u64be(bytes + MEMORY_AT);
    memcpy(slot.store_id, bytes + STORE_ID_AT, sizeof slot.store_id);
    slot.generation = kl_get_u64be(bytes + GENERATION_AT);
    memcpy(slot.salt, bytes + SALT_AT, sizeof slot.salt);
    memcpy(slot.nonce, bytes + NONCE_AT, sizeof slot.nonce);
    memcpy(slot.key, bytes + KEY_AT, sizeof slot.key);
    good = slot.generation > 0 && kind_agrees(&slot);
    if (good) {
        *ret_slot = slot;
    }
    sodium_memzero(&slot, sizeof slot);
    return good;
}
