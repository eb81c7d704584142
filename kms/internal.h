/* The inside of struct kms, shared by the files of this folder. */
#ifndef KLUIS_KMS_INTERNAL_H
#define KLUIS_KMS_INTERNAL_H

#include "kluis/base/group.h"
#include "kluis/kms/kms.h"
#include "kms/cache.h"
#include "kms/keys_cache.h"
#include "kms/root.h"
#include "kms/rows.h"
#include "kms/slots.h"

#include <pthread.h>
#include <stdatomic.h>

/* Copies of pages that one commit may hold. */
#define KMS_COPIES_MAX ((size_t)1 << 21)

/*
 * Lock order: the gate of the rows, then the lock of the mirrors, then nothing; slots.lock, then nothing; flight.lock, then nothing; lock, then that of a shard of keys. No other two are held together.
 *
 * lock    guards the cache, generation, its root hash, since and commits. Its read side is held while a key is used, at most one sealed value long;
 *         its write side while pages come in or a commit swaps them. Never across storage, the root file or a hook.
 * flight  tells whether a commit is between its batch and its swap; then rows and pages do not agree.
 * root, first  the leader's of a commit; kms_open and kms_close before and after all threads.
 */
struct kms_flight {
    pthread_mutex_t lock;
    pthread_cond_t landed;
    uint64_t count; /* odd while a commit is on its way */
};

/* How far the sweep of dead rows is. */
struct kms_sweep_place {
    bool pending;                            /* there may be rows of dead trees */
    unsigned char dead[KMS_DEAD_KEY_BYTES];  /* the row of the tree that is being swept */
    unsigned char after[KMS_PAGE_KEY_BYTES]; /* its rows up to this one were looked at */
    size_t after_bytes;                      /* 0: none was */
};

struct kms_move;

struct kms {
    struct kms_rows rows;
    unsigned char store_id[KMS_STORE_ID_BYTES];
    struct kms_hooks hooks;
    struct kl_group *group;
    struct kms_root root;
    struct kms_root_place *first; /* where the custodian keeps the root key */
    struct kms_mirrors *mirrors;  /* has a lock of its own */
    char *forbidden_dir;          /* where no root key may lie; NULL: anywhere */
    char custodian[KMS_CUSTODIAN_TEXT_MAX_BYTES +
                   1]; /* its text, the path resolved; the leader's, who writes it under the lock */
    _Atomic(struct kms_move *)
        move;                /* a change of custodian that waits for its commit, or is in it */
    struct kms_cells copies; /* of pages that a commit changes; the leader's */
    size_t pages_max;
    struct kms_sweep_place sweep; /* the leader's */

    pthread_rwlock_t lock;
    struct kms_cache cache;
    struct kms_keys keys; /* has locks of its own */
    uint64_t generation;
    unsigned char root_hash[KMS_ROOT_HASH_BYTES];
    int64_t created_us;
    int64_t root_key_since_us;
    uint64_t commits;
    struct kms_custodian_report place;

    struct kms_flight flight;
    struct kms_slots slots;
    atomic_bool broken; /* a write failed: nothing more is changed */
};

/* Where a page may be used: its store, and for the root page its generation. */
struct kms_page_binding kms_binding(const struct kms *kms, const struct kms_address *address,
                                    uint64_t generation);

/* ---- commits on their way ---- */

/* Waits while a commit is on its way; the count is even. */
uint64_t kms_flight_wait(struct kms_flight *flight);

/* ---- commit.c ---- */

void kms_commit_work(void *context, struct kl_group_item **items, size_t count);
/* kms_commit() without its checks: of changes that are kms's own. */
KL_MUST_USE enum kl_status kms_commit_own(struct kms *kms, struct kms_request *request,
                                          struct kl_err *err);
/* Tell the fatal hook; when it returns, nothing can be changed any more. */
void kms_fatal(struct kms *kms, const struct kl_err *err);
/* KL_ERR_IO when a write failed before. */
KL_MUST_USE enum kl_status kms_broken_check(struct kms *kms, struct kl_err *err);

#endif
