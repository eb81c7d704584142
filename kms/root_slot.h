/* One slot of a root file as bytes; the layout is in format.h. Threads: any; nothing is shared. */
#ifndef KLUIS_KMS_ROOT_SLOT_H
#define KLUIS_KMS_ROOT_SLOT_H

#include "kluis/kms/kms.h"
#include "kms/format.h"

#include <stdbool.h>
#include <stdint.h>

enum kms_root_kind { KMS_ROOT_BARE = 1, KMS_ROOT_PASSPHRASE = 2 };

struct kms_root_slot {
    enum kms_root_kind kind;
    uint32_t passes;
    uint64_t memory_bytes;
    uint64_t generation;
    unsigned char store_id[KMS_STORE_ID_BYTES];
    unsigned char salt[KMS_ROOT_SALT_BYTES];
    unsigned char nonce[KMS_ROOT_NONCE_BYTES];
    unsigned char key[KMS_ROOT_WRAPPED_BYTES]; /* bare: the root key itself; wipe */
};

/* What a root file may ask of Argon2id; more is refused as corrupt. */
#define KMS_ROOT_PASSES_MAX 64
#define KMS_ROOT_MEMORY_MAX_BYTES (UINT64_C(4) << 30)

/* False when the bytes are not a whole slot of this version; ret_slot is untouched then. */
bool kms_root_slot_parse(const unsigned char bytes[KMS_ROOT_SLOT_BYTES],
                         struct kms_root_slot *ret_slot);
void kms_root_slot_write(const struct kms_root_slot *slot,
                         unsigned char ret_bytes[KMS_ROOT_SLOT_BYTES]);

#endif
