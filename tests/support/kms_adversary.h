/*
 * Who kept every byte that was ever written to a key store, knows all
 * formats, and got hold of some root keys: what can they read?
 *
 * It tries every page version with every key it finds, until no more pages
 * open, and derives from every seed. A test that finds nothing proves
 * something only because this finds all that lives.
 */
#ifndef KLUIS_TESTS_KMS_ADVERSARY_H
#define KLUIS_TESTS_KMS_ADVERSARY_H

#include "kluis/base/buf.h"
#include "kms/geometry.h"
#include "tests/support/memory_storage.h"

struct kms_adversary;

struct kms_adversary *kms_adversary_new(const unsigned char store_id[KMS_STORE_ID_BYTES]);
void kms_adversary_free(struct kms_adversary *adversary);

/* All that storage recorded, or (recorded false) only its rows as they are. Bytes are copied; of a mirror's storage just as well. */
void kms_adversary_give_rows(struct kms_adversary *adversary, struct memory_storage *storage,
                             bool recorded);
/* Both slots of a bare root file, or one of them (0, 1). */
void kms_adversary_give_root_file(struct kms_adversary *adversary, const unsigned char *bytes);
void kms_adversary_give_root_slot(struct kms_adversary *adversary, const unsigned char *bytes,
                                  unsigned slot);

/* Open all that opens. Returns how many page versions did. */
size_t kms_adversary_search(struct kms_adversary *adversary);
/* After a search: whether that sealed value can be read. */
bool kms_adversary_reads(const struct kms_adversary *adversary, const struct kms_place *place,
                         struct kl_slice context, struct kl_slice sealed);

#endif
