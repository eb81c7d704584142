/*
 * Trails in memory. The leader appends to `next`; `committed` follows when the
 * group was applied, and is what everybody else sees; `durable` when it was
 * synced, and is what may be said beside the keys.
 */
#ifndef VAULT_AUDIT_INTERNAL_H
#define VAULT_AUDIT_INTERNAL_H

#include "vault/audit.h"
#include "vault/audit_tiles.h"
#include "vault/audit_tree.h"
#include "vault/pruned.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define VAULT_TRAIL_LISTS 256

struct vault_trail {
    uint64_t tenant;
    struct kl_merkle_tree committed; /* under the lock */
    struct kl_merkle_tree durable;   /* under the lock */
    uint64_t known_size;             /* under the lock: of the head written beside the keys last */
    uint64_t
        covered; /* under the lock: how many entries of committed the stored tree has (audit_tiles.h) */
    bool
        broken; /* under the lock: rows that the stored tree is made of are damaged; it is let be until the vault is opened again */
    struct vault_pruned pruned; /* under the lock */
    uint64_t published;         /* the publisher's: the size of the head that was given last */
    struct kl_merkle_tree next; /* the leader's */
    struct vault_edge
        *edge; /* the leader's: of next; NULL: not needed yet, or the stored tree is behind */
    uint64_t covered_next; /* the leader's */
    uint64_t numbers;      /* the leader's: below it numbers may be given out */
    uint64_t indexed;      /* the upkeep's: how many blocks the search index has; 0: not read yet */
    bool touched;          /* the leader's: next is ahead of committed */
    bool is_ahead;         /* the leader's: committed is ahead of durable */
    struct vault_trail *touched_next;
    struct vault_trail *ahead_next;
    struct vault_trail *list_next;
};

struct vault_trails {
    struct kms *keys;
    struct vault_store *store;
    pthread_mutex_t lock;
    struct vault_trail *lists[VAULT_TRAIL_LISTS]; /* under the lock */
    uint64_t build_from;         /* the upkeep's: the trees of all tenants below are whole */
    uint64_t index_from;         /* the upkeep's: whose search index is looked at next */
    struct vault_trail *touched; /* the leader's */
    struct vault_trail *ahead;   /* the leader's */
};

/* The trail of a tenant, read from the store at first use. KL_ERR_CORRUPT, KL_ERR_IO, KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_trail_get(struct vault_trails *trails, uint64_t tenant,
                                           struct vault_trail **ret_trail, struct kl_err *err);
/* The trail when it was read already; NULL else. Any thread. */
struct vault_trail *vault_trail_find(struct vault_trails *trails, uint64_t tenant);
/* The leader's: next was changed. */
void vault_trail_touch(struct vault_trails *trails, struct vault_trail *trail);

/* ---- the stored tree (audit_stored.c) ---- */

/* Of a trail that is being read: where it stands. KL_ERR_IO, KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_trail_stored_read(struct vault_trails *trails,
                                                   struct vault_trail *trail, struct kl_err *err);
/*
 * The leader's, before and after next grows: have the edge, unless the stored tree is far behind or broken; give it count leaves. The batch gets
 * tiles. What is damaged is no failure: the stored tree is let be, and logged once. KL_ERR_IO, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_trail_stored_ready(struct vault_trails *trails,
                                                    struct vault_trail *trail,
                                                    struct vault_batch *batch, struct kl_err *err);
KL_MUST_USE enum kl_status vault_trail_stored_push(struct vault_trails *trails,
                                                   struct vault_trail *trail,
                                                   const unsigned char leaf[VAULT_AUDIT_HASH_BYTES],
                                                   uint64_t count, struct vault_batch *batch,
                                                   struct kl_err *err);
/* The leader's, with the frontier. */
void vault_trail_stored_put(struct vault_trail *trail, struct vault_batch *batch);
struct vault_upkeep_task;
extern const struct vault_upkeep_task
    vault_audit_tree_task; /* makes the stored trees of a data/ that an older version wrote */
/* The size up to which proofs can be made: all that was committed. Errors as vault_tree_reader_new(). Any thread. */
KL_MUST_USE enum kl_status vault_trail_tiled(struct vault_trails *trails, uint64_t tenant,
                                             uint64_t *ret_size, struct kl_err *err);

/* The mark beside the keys; 0 when there is none. */
KL_MUST_USE enum kl_status vault_trail_numbers_read(struct vault_trails *trails, uint64_t tenant,
                                                    uint64_t *ret_numbers, struct kl_err *err);
/* The leader's: make sure that count more numbers may be given out. KL_ERR_IO. */
KL_MUST_USE enum kl_status vault_trail_numbers_take(struct vault_trails *trails,
                                                    struct vault_trail *trail, size_t count,
                                                    struct kl_err *err);

#endif
