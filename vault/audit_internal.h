/*
 * Trails in memory. The leader appends to `next`; `committed` follows when the
 * group was applied, and is what everybody else sees; `durable` when it was
 * synced, and is what may be said beside the keys.
 */
#ifndef VAULT_AUDIT_INTERNAL_H
#define VAULT_AUDIT_INTERNAL_H

#include "vault/audit.h"
#include "vault/audit_tree.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define VAULT_TRAIL_LISTS 256

struct vault_trail {
    uint64_t tenant;
    struct vault_audit_tree committed; /* under the lock */
    struct vault_audit_tree durable;   /* under the lock */
    uint64_t known_size;          /* under the lock: of the head written beside the keys last */
    struct vault_audit_tree next; /* the leader's */
    uint64_t numbers;             /* the leader's: below it numbers may be given out */
    bool touched;                 /* the leader's: next is ahead of committed */
    bool is_ahead;                /* the leader's: committed is ahead of durable */
    struct vault_trail *touched_next;
    struct vault_trail *ahead_next;
    struct vault_trail *list_next;
};

struct vault_trails {
    struct kms *keys;
    struct vault_store *store;
    pthread_mutex_t lock;
    struct vault_trail *lists[VAULT_TRAIL_LISTS]; /* under the lock */
    struct vault_trail *touched;                  /* the leader's */
    struct vault_trail *ahead;                    /* the leader's */
};

/* The trail of a tenant, read from the store at first use. KL_ERR_CORRUPT, KL_ERR_IO, KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_trail_get(struct vault_trails *trails, uint64_t tenant,
                                           struct vault_trail **ret_trail, struct kl_err *err);
/* The leader's: next was changed. */
void vault_trail_touch(struct vault_trails *trails, struct vault_trail *trail);

/* The mark beside the keys; 0 when there is none. */
KL_MUST_USE enum kl_status vault_trail_numbers_read(struct vault_trails *trails, uint64_t tenant,
                                                    uint64_t *ret_numbers, struct kl_err *err);
/* The leader's: make sure that count more numbers may be given out. KL_ERR_IO. */
KL_MUST_USE enum kl_status vault_trail_numbers_take(struct vault_trails *trails,
                                                    struct vault_trail *trail, size_t count,
                                                    struct kl_err *err);

#endif
