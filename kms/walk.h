/*
 * From the root page down to a place. Explicit pages come from the cache,
 * all below a seed is derived; a page that is not in the cache is loaded with
 * no lock held, and the walk starts again.
 */
#ifndef KLUIS_KMS_WALK_H
#define KLUIS_KMS_WALK_H

#include "kms/internal.h"

/*
 * held: the lock whose read side is held while the node is used, that of kms or of a shard of the ready keys.
 * Where a walk stands: below a seed (page NULL), or, on its way, on an explicit page. A walk that arrives with a page arrived at a
 * slot whose tree was written out; page is then the leaf page that holds the slot. Holds a key: end it with kms_walk_end().
 */
struct kms_node {
    struct kms_page *page;
    unsigned char seed[KMS_KEY_BYTES];
    pthread_rwlock_t *held;
};

/*
 * Walk to a place, or find its slot among the ready keys; a slot that is walked to becomes ready. On KL_OK a lock is held until
 * kms_walk_end(), so a shred of the place is not acknowledged before; on failure nothing is held.
 * KL_ERR_GONE "key_gone". KL_ERR_INVALID "key_place_invalid". KL_ERR_CORRUPT, KL_ERR_IO a page cannot be read. KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status kms_walk_begin(struct kms *kms, const struct kms_place *place,
                                          struct kms_node *ret_node, struct kl_err *err);
void kms_walk_end(struct kms_node *node);

/* The key of a place that is used itself. KL_ERR_INVALID "key_place_invalid": the slot holds a tree. node must come from that place. */
KL_MUST_USE enum kl_status kms_node_key(const struct kms_node *node,
                                        unsigned char ret_key[KMS_KEY_BYTES], struct kl_err *err);

/*
 * One value further down from the node of its slot, under the same lock. KL_ERR_BUSY without a text: a page is not in the cache;
 * end the walk and take kms_walk_begin() to the value itself.
 */
KL_MUST_USE enum kl_status kms_walk_on(struct kms *kms, const struct kms_node *slot_node,
                                       const struct kms_place *value, struct kms_node *ret_node,
                                       struct kl_err *err);

/*
 * Whether there is a page at that address that hangs in the tree: every entry above it is a PAGE. KL_ERR_CORRUPT, KL_ERR_IO,
 * KL_ERR_NO_MEMORY, KL_ERR_BUSY as kms_walk_begin().
 */
KL_MUST_USE enum kl_status kms_walk_page(struct kms *kms, const struct kms_address *address,
                                         bool *ret_hangs, struct kl_err *err);

/* Whether the place has a key. */
KL_MUST_USE enum kl_status kms_walk_check(struct kms *kms, const struct kms_place *place,
                                          struct kl_err *err);

#endif
