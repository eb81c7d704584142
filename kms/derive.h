/*
 * Keys below a seed (GGM, Goldreich, Goldwasser, Micali 1986): one seed
 * stands for a whole page, each entry of it for a page again.
 * The layout is in format.h.
 */
#ifndef KLUIS_KMS_DERIVE_H
#define KLUIS_KMS_DERIVE_H

#include "kms/geometry.h"

/* The 32 bytes of one entry of the page that seed stands for. ret_key may be seed. */
void kms_derive_entry(const unsigned char seed[KMS_KEY_BYTES], const struct kms_address *page,
                      uint16_t entry, unsigned char ret_key[KMS_KEY_BYTES]);
/* The whole page written out: every entry a SEED. ret_entries has room for all its entries. */
void kms_derive_page(const unsigned char seed[KMS_KEY_BYTES], const struct kms_address *page,
                     unsigned char *ret_entries);
/* The key of a slot that is used itself. ret_key may be node. */
void kms_derive_key(const unsigned char node[KMS_KEY_BYTES], unsigned char ret_key[KMS_KEY_BYTES]);
/*
 * Further down where there are no pages: node is what the slot at the end of the path's first trees_done trees (1..trees) holds, and
 * becomes what the path's last slot holds.
 */
void kms_derive_down(unsigned char node[KMS_KEY_BYTES], const struct kms_path *path,
                     size_t trees_done);

#endif
