#include "kms/keys_cache.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(KMS_KEYS_SHARD_KEYS *KMS_KEY_BYTES <= 65536, "the nodes of a shard are one secret");

/* ---- life ---- */

static bool shard_init(struct kms_keys_shard *shard)
{
    pthread_rwlockattr_t attributes;

    memset(shard, 0, sizeof *shard);
    shard->entries = calloc(KMS_KEYS_SHARD_KEYS, sizeof *shard->entries);
    shard->nodes = kl_secret_new((size_t)KMS_KEYS_SHARD_KEYS * KMS_KEY_BYTES);
    if (shard->entries == NULL || shard->nodes == NULL ||
        pthread_rwlockattr_init(&attributes) != 0) {
        goto none;
    }
    /* A commit does not wait for readers without end. */
    (void)pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    if (pthread_rwlock_init(&shard->lock, &attributes) != 0) {
        (void)pthread_rwlockattr_destroy(&attributes);
        goto none;
    }
    (void)pthread_rwlockattr_destroy(&attributes);
    return true;

none:
    kl_secret_free(shard->nodes);
    free(shard->entries);
    return false;
}

enum kl_status kms_keys_init(struct kms_keys *keys, size_t keys_max, struct kl_err *err)
{
    size_t shards = keys_max < KMS_KEYS_SHARD_KEYS ? 1 : keys_max / KMS_KEYS_SHARD_KEYS;
    size_t lockable = kl_secret_lockable_bytes() / 8 / (KMS_KEYS_SHARD_KEYS * KMS_KEY_BYTES);

    shards = shards < lockable ? shards : (lockable > 0 ? lockable : 1);
    keys->shards_count = 0;
    keys->shards = aligned_alloc(64, shards * sizeof *keys->shards);
    if (keys->shards == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                       "no memory for the cache of keys");
    }
    while (keys->shards_count < shards && shard_init(&keys->shards[keys->shards_count])) {
        keys->shards_count++;
    }
    return KL_OK;
}

void kms_keys_done(struct kms_keys *keys)
{
    for (size_t i = 0; i < keys->shards_count; i++) {
        kl_secret_free(keys->shards[i].nodes);
        free(keys->shards[i].entries);
        (void)pthread_rwlock_destroy(&keys->shards[i].lock);
    }
    free(keys->shards);
    keys->shards = NULL;
    keys->shards_count = 0;
}

/* ---- where a slot may be ---- */

struct where {
    struct kms_keys_shard *shard;
    size_t set;
};

/* The multiplication of SplitMix64's finaliser (Steele, Lea, Flood 2014) spreads neighbours; the numbers are ours. */
static struct where where_is(const struct kms_keys *keys, uint64_t tenant, uint64_t slot)
{
    uint64_t hash = slot * UINT64_C(0xbf58476d1ce4e5b9) ^ tenant * UINT64_C(0x94d049bb133111eb);

    hash ^= hash >> 32;
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 29;
    return (struct where){&keys->shards[(hash >> 8) % keys->shards_count],
                          (size_t)hash % KMS_KEYS_SHARD_SETS};
}

static unsigned char *node_of(const struct kms_keys_shard *shard, size_t entry)
{
    return kl_secret_bytes(shard->nodes) + entry * KMS_KEY_BYTES;
}

/* The entry of that slot in its set; KMS_KEYS_SHARD_KEYS when it is not here. */
static size_t entry_find(const struct where *where, uint64_t tenant, uint64_t slot)
{
    size_t first = where->set * KMS_KEYS_WAYS;

    for (size_t i = first; i < first + KMS_KEYS_WAYS; i++) {
        const struct kms_keys_entry *entry = &where->shard->entries[i];

        if (entry->here && entry->slot == slot && entry->tenant == tenant) {
            return i;
        }
    }
    return KMS_KEYS_SHARD_KEYS;
}

static void entry_drop(struct kms_keys_shard *shard, size_t entry)
{
    shard->entries[entry].here = false;
    sodium_memzero(node_of(shard, entry), KMS_KEY_BYTES);
    shard->count--;
}

/* ---- use ---- */

pthread_rwlock_t *kms_keys_find(struct kms_keys *keys, uint64_t tenant, uint64_t slot,
                                unsigned char ret_node[KMS_KEY_BYTES])
{
    struct where where;
    size_t entry;

    if (keys->shards_count == 0) {
        return NULL;
    }
    where = where_is(keys, tenant, slot);
    (void)pthread_rwlock_rdlock(&where.shard->lock);
    entry = entry_find(&where, tenant, slot);
    if (entry == KMS_KEYS_SHARD_KEYS) {
        (void)pthread_rwlock_unlock(&where.shard->lock);
        return NULL;
    }
    if (!atomic_load_explicit(&where.shard->entries[entry].used, memory_order_relaxed)) {
        atomic_store_explicit(&where.shard->entries[entry].used, true, memory_order_relaxed);
    }
    memcpy(ret_node, node_of(where.shard, entry), KMS_KEY_BYTES);
    return &where.shard->lock;
}

/* A free place of the set, or that of the first that was not used since the hand last passed. */
static size_t entry_room(const struct where *where)
{
    struct kms_keys_shard *shard = where->shard;
    size_t first = where->set * KMS_KEYS_WAYS;
    unsigned *hand = &shard->hand[where->set];

    for (size_t i = first; i < first + KMS_KEYS_WAYS; i++) {
        if (!shard->entries[i].here) {
            return i;
        }
    }
    for (;;) {
        size_t entry = first + *hand;

        *hand = (*hand + 1) % KMS_KEYS_WAYS;
        if (!atomic_exchange_explicit(&shard->entries[entry].used, false, memory_order_relaxed)) {
            entry_drop(shard, entry);
            return entry;
        }
    }
}

void kms_keys_put(struct kms_keys *keys, uint64_t tenant, uint64_t slot,
                  const unsigned char node[KMS_KEY_BYTES])
{
    struct where where;

    if (keys->shards_count == 0) {
        return;
    }
    where = where_is(keys, tenant, slot);
    (void)pthread_rwlock_wrlock(&where.shard->lock);
    if (entry_find(&where, tenant, slot) == KMS_KEYS_SHARD_KEYS) {
        size_t entry = entry_room(&where);

        where.shard->entries[entry].tenant = tenant;
        where.shard->entries[entry].slot = slot;
        where.shard->entries[entry].here = true;
        /* Not used until it is found: who comes once does not push out who comes often. */
        atomic_store_explicit(&where.shard->entries[entry].used, false, memory_order_relaxed);
        memcpy(node_of(where.shard, entry), node, KMS_KEY_BYTES);
        where.shard->count++;
    }
    (void)pthread_rwlock_unlock(&where.shard->lock);
}

void kms_keys_drop(struct kms_keys *keys, uint64_t tenant, uint64_t slot)
{
    struct where where;
    size_t entry;

    if (keys->shards_count == 0) {
        return;
    }
    where = where_is(keys, tenant, slot);
    (void)pthread_rwlock_wrlock(&where.shard->lock);
    entry = entry_find(&where, tenant, slot);
    if (entry != KMS_KEYS_SHARD_KEYS) {
        entry_drop(where.shard, entry);
    }
    (void)pthread_rwlock_unlock(&where.shard->lock);
}

void kms_keys_drop_tenant(struct kms_keys *keys, uint64_t tenant)
{
    for (size_t i = 0; i < keys->shards_count; i++) {
        struct kms_keys_shard *shard = &keys->shards[i];

        (void)pthread_rwlock_wrlock(&shard->lock);
        for (size_t entry = 0; entry < KMS_KEYS_SHARD_KEYS && shard->count > 0; entry++) {
            if (shard->entries[entry].here && shard->entries[entry].tenant == tenant) {
                entry_drop(shard, entry);
            }
        }
        (void)pthread_rwlock_unlock(&shard->lock);
    }
}

void kms_keys_figures(struct kms_keys *keys, uint64_t *ret_cached, uint64_t *ret_max)
{
    uint64_t cached = 0;

    for (size_t i = 0; i < keys->shards_count; i++) {
        (void)pthread_rwlock_rdlock(&keys->shards[i].lock);
        cached += keys->shards[i].count;
        (void)pthread_rwlock_unlock(&keys->shards[i].lock);
    }
    *ret_cached = cached;
    *ret_max = (uint64_t)keys->shards_count * KMS_KEYS_SHARD_KEYS;
}
