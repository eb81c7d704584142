/*
 * What slots hold, ready to be used: for a slot below which no page was
 * written out, the 32 bytes from which its own key or the keys of its values
 * are derived, in locked memory. A page cache for those who come often:
 * finding a slot here spares the walk, and the lock that the walk holds.
 *
 * Always true: what is here is what the tree holds. A slot is put in under the read side of kms->lock, by a walk that just arrived;
 * a commit takes all out that it shredded or rekeyed, wiped, under the write side, before it is acknowledged.
 *
 * Threads: any number. Each shard has a lock of its own; its read side is held while a key that was found is used, so whoever drops a slot
 * waits for those who use it. Lock order: kms->lock, then a shard's; never the other way.
 */
#ifndef KLUIS_KMS_KEYS_CACHE_H
#define KLUIS_KMS_KEYS_CACHE_H

#include "kluis/base/secret.h"
#include "kms/format.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Slots that hash to the same set share its places. */
#define KMS_KEYS_WAYS 8
#define KMS_KEYS_SHARD_SETS 256
#define KMS_KEYS_SHARD_KEYS (KMS_KEYS_SHARD_SETS * KMS_KEYS_WAYS)

struct kms_keys_entry {
    uint64_t tenant;
    uint64_t slot;
    bool here;
    atomic_bool used; /* lately; may be set under the read side */
};

struct kms_keys_shard {
    _Alignas(64) pthread_rwlock_t lock;
    struct kl_secret *nodes; /* KMS_KEY_BYTES for each entry */
    struct kms_keys_entry *entries;
    size_t count; /* entries that are here */
    unsigned hand[KMS_KEYS_SHARD_SETS];
};

struct kms_keys {
    struct kms_keys_shard *shards;
    size_t shards_count; /* 0: no memory could be locked; then nothing is ever found */
};

/*
 * keys_max is rounded down to whole shards of KMS_KEYS_SHARD_KEYS, at least one; as many are made as memory can be locked for, an
 * eighth of it at most.
 * KL_ERR_NO_MEMORY only when even the memory for the shards' heads is not to be had.
 */
KL_MUST_USE enum kl_status kms_keys_init(struct kms_keys *keys, size_t keys_max,
                                         struct kl_err *err);
void kms_keys_done(struct kms_keys *keys); /* wipes; nobody may be inside */

/*
 * Look for a slot. Found: its node, and the lock whose read side is held until the caller gives it back with pthread_rwlock_unlock(). NULL: not here,
 * nothing is held. kms->lock must not be held.
 */
pthread_rwlock_t *kms_keys_find(struct kms_keys *keys, uint64_t tenant, uint64_t slot,
                                unsigned char ret_node[KMS_KEY_BYTES]);
/* Make it ready, in the place of one that was not used lately. Under the read side of kms->lock. */
void kms_keys_put(struct kms_keys *keys, uint64_t tenant, uint64_t slot,
                  const unsigned char node[KMS_KEY_BYTES]);
/* Wipe one slot, or all of a tenant; when it returns nobody uses them. */
void kms_keys_drop(struct kms_keys *keys, uint64_t tenant, uint64_t slot);
void kms_keys_drop_tenant(struct kms_keys *keys, uint64_t tenant);

/* How many are here, and how many there is room for. */
void kms_keys_figures(struct kms_keys *keys, uint64_t *ret_cached, uint64_t *ret_max);

#endif
