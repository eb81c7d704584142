/*
 * A page of the key tree: its entries, and how it is sealed for the disk.
 * Entries lie in memory as they do in the sealed page (format.h); whoever
 * holds them keeps them in locked memory.
 */
#ifndef KLUIS_KMS_PAGE_H
#define KLUIS_KMS_PAGE_H

#include "kluis/base/buf.h"
#include "kms/geometry.h"

enum kms_entry_kind { KMS_ENTRY_SEED = 1, KMS_ENTRY_PAGE = 2, KMS_ENTRY_GONE = 3 };

enum kms_entry_kind kms_entry_kind(const unsigned char *entries, size_t i);
const unsigned char *kms_entry_key(const unsigned char *entries, size_t i);
/* key is read for SEED and PAGE; GONE stores zeroes. */
void kms_entry_set(unsigned char *entries, size_t i, enum kms_entry_kind kind,
                   const unsigned char *key);
bool kms_entries_all_gone(const unsigned char *entries, size_t count);

size_t kms_page_bytes(const struct kms_address *address);
size_t kms_page_row_bytes(const struct kms_address *address);
void kms_page_row_key(const struct kms_address *address, unsigned char ret_key[KMS_PAGE_KEY_BYTES]);
/* Whose row that is; row_key as kms_page_row_key() wrote it. */
void kms_page_row_address(const unsigned char row_key[KMS_PAGE_KEY_BYTES],
                          struct kms_address *ret_address);

/* What a page is bound to. generation is that of the root key for the root page, 0 for every other. */
struct kms_page_binding {
    const unsigned char *store_id; /* KMS_STORE_ID_BYTES */
    const struct kms_address *address;
    uint64_t generation;
};

/* key must be fresh for every version of a page. ret_row has kms_page_row_bytes(). */
void kms_page_seal(const struct kms_page_binding *binding, const unsigned char key[KMS_KEY_BYTES],
                   const unsigned char *entries, unsigned char *ret_row);
/* The root hash (format.h) of a root page as it was sealed: row, row_bytes. */
void kms_root_hash(const unsigned char store_id[KMS_STORE_ID_BYTES], uint64_t generation,
                   struct kl_slice row, unsigned char ret_hash[KMS_ROOT_HASH_BYTES]);
/*
 * KL_ERR_CORRUPT "key_page_corrupt": another key, page, store or generation, tampering, or an unknown version or entry.
 * ret_entries is wiped then; it has kms_page_bytes().
 */
KL_MUST_USE enum kl_status kms_page_open(const struct kms_page_binding *binding,
                                         const unsigned char key[KMS_KEY_BYTES],
                                         struct kl_slice row, unsigned char *ret_entries,
                                         struct kl_err *err);

#endif
