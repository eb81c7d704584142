/* The rows beside the keys that lead to what an erasure kept (retained.h): their keys, and what stands in them. */
#ifndef VAULT_RETAINED_INTERNAL_H
#define VAULT_RETAINED_INTERNAL_H

#include "vault/retained.h"

#define RETAINED_ROW "VK"
#define RETAINED_RECEIPT_ROW "VL"
#define RETAINED_KEY_BYTES (2 + 8 + 8 + 8)
#define RETAINED_RECEIPT_KEY_BYTES (2 + 8 + KL_ID_BYTES)

struct retained_key {
    unsigned char bytes[RETAINED_RECEIPT_KEY_BYTES];
    size_t size;
};
_Static_assert(RETAINED_KEY_BYTES <= RETAINED_RECEIPT_KEY_BYTES, "both fit");

struct kl_slice vault_retained_key_slice(const struct retained_key *key);
struct retained_key vault_retained_key(uint64_t tenant, uint64_t slot, uint64_t value);
/* What the keys of all lines of a slot begin with. */
struct retained_key vault_retained_key_prefix(uint64_t tenant, uint64_t slot);
struct retained_key vault_retained_receipt_key(uint64_t tenant, const struct kl_id *receipt);
/* Of the key of a line. */
uint64_t vault_retained_key_slot(struct kl_slice key);
uint64_t vault_retained_key_value(struct kl_slice key);

/* False: it is no such row. ret_sealed points into value. */
bool vault_retained_row_read(struct kl_slice key, struct kl_slice value, struct vault_retained *ret,
                             struct kl_slice *ret_sealed);

/* Whether a value slot has its key. KL_ERR_GONE is an answer: ret_there false. */
KL_MUST_USE enum kl_status vault_retained_is_there(struct vault *vault, uint64_t tenant,
                                                   uint64_t slot, uint64_t value, bool *ret_there,
                                                   struct kl_err *err);

#endif
