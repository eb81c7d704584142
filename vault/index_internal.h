/*
 * The index's inside, shared by index.c (tags, lookups, tenants), index_set.c
 * and index_change.c (changes), index_places.c (what an erasure holds),
 * index_stage.c (new versions of rekeyed buckets) and index_epochs.c.
 *
 * One lock guards what several threads touch: the tenants, the places held,
 * the splits under way, the state of the staging, the list to tidy. All else
 * belongs to the commit's leader. No disk and no key is used under the lock.
 */
#ifndef VAULT_INDEX_INTERNAL_H
#define VAULT_INDEX_INTERNAL_H

#include "kluis/base/buf.h"
#include "kluis/base/status.h"
#include "kluis/kms/kms.h"
#include "vault/index.h"
#include "vault/index_rows.h"
#include "vault/store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- tenants ---- */

struct vault_index_tenant {
    uint64_t tenant;
    struct vault_index_epochs epochs; /* under the lock */
    _Atomic uint8_t likely_depth;     /* where a bucket was found last */
    _Atomic uint8_t next_depth;       /* the same of the index being built */
    struct vault_index_tenant *next;
};
#define VAULT_INDEX_TENANT_LISTS 256

/* A tenant whose epochs change with the group under way. The first in the list of a tenant counts. */
struct vault_index_fresh {
    uint64_t tenant;
    struct vault_index_epochs epochs;
    struct vault_index_fresh *next;
};

/* ---- buckets that the group under way has touched ---- */

/*
 * content is what the version that counts holds, with the group's changes. staged_version is not 0 while a running erasure has a version
 * beside it; attempt says which erasure. changes are those of the call under way; they point into the caller's array.
 */
struct vault_bucket_work {
    struct vault_bucket_address at;
    struct vault_bucket_rows rows;
    uint32_t staged_version;
    uint8_t staged_deltas;
    uint64_t attempt;
    const struct vault_index_change **changes;
    size_t change_count;
    size_t change_capacity;
};
void vault_bucket_work_free(struct vault_bucket_work *work);

/* A hash table of works by address; owns them. A zeroed struct is empty. */
struct vault_bucket_set {
    struct vault_bucket_work **cells;
    size_t cell_count; /* 0 or a power of two, at most half full */
    size_t count;
};
struct vault_bucket_work *vault_bucket_set_find(const struct vault_bucket_set *set,
                                                const struct vault_bucket_address *at);
/* The address is not in set yet. KL_ERR_NO_MEMORY: work is still the caller's. */
KL_MUST_USE enum kl_status vault_bucket_set_add(struct vault_bucket_set *set,
                                                struct vault_bucket_work *work, struct kl_err *err);
/* Make room so that count more additions cannot fail. */
KL_MUST_USE enum kl_status vault_bucket_set_reserve(struct vault_bucket_set *set, size_t count,
                                                    struct kl_err *err);
/* Move all works of from into set, in place of those it has. Room must be reserved. from is empty then. */
void vault_bucket_set_take(struct vault_bucket_set *set, struct vault_bucket_set *from);
void vault_bucket_set_clear(struct vault_bucket_set *set);

/* ---- what erasures hold ---- */

/* A place that was given out: of the leaf of an entry, or of a split bucket above it. */
struct vault_index_held_place {
    struct vault_bucket_address at;
    uint64_t slot;
    bool split;
};
/* owner: the entries it is held for; several erasures may hold one tag, each ends only its own. */
struct vault_index_held {
    const struct vault_index_entry *owner;
    uint64_t tenant;
    unsigned char tag[VAULT_TAG_BYTES];
    struct vault_index_held_place places[VAULT_BUCKET_DEPTH_MAX + 1];
    size_t place_count;
    struct vault_index_held *next;
};
/* By the last byte of the tag: as even as any hash. */
#define VAULT_INDEX_HELD_LISTS 256

/* ---- staging ---- */

struct vault_index_staged_bucket {
    struct vault_bucket_address at;
    uint32_t version; /* 0: a split bucket, only its slot is to be forgotten */
};
enum vault_index_staging_state {
    VAULT_INDEX_STAGING_NONE,
    VAULT_INDEX_STAGING_ACTIVE,
    VAULT_INDEX_STAGING_PUBLISHED,
    VAULT_INDEX_STAGING_GIVEN_UP
};
/* buckets (sorted by address) and dying (sorted) are the leader's; state, users and keys are under the lock. */
struct vault_index_staging {
    uint64_t attempt;
    enum vault_index_staging_state state;
    unsigned users; /* who seals with keys just now */
    struct kms_staged *keys;
    struct vault_index_staged_bucket *buckets;
    size_t bucket_count;
    struct kms_place *dying;
    size_t dying_count;
};

/* Rows to remove: of versions below `below`, or of just `exact`; both 0: a split bucket's slot is to be forgotten. */
struct vault_index_tidy {
    struct vault_bucket_address at;
    uint32_t below;
    uint32_t exact;
    struct vault_index_tidy *next;
};
#define VAULT_INDEX_TIDY_MAX 65536

struct vault_index_store {
    struct kms *keys;
    struct vault_store *store;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* a group ended, or the staged keys are free */
    struct vault_index_tenant *tenants[VAULT_INDEX_TENANT_LISTS];
    struct vault_index_held *held[VAULT_INDEX_HELD_LISTS];
    struct vault_bucket_address *splits; /* under way in this group */
    size_t split_count;
    size_t split_capacity;
    struct vault_index_staging staging;
    struct vault_index_tidy *tidy;
    size_t tidy_count;

    struct vault_bucket_set group;   /* the leader's */
    struct vault_index_fresh *fresh; /* the leader's */
};

enum kl_status vault_index_no_memory(struct kl_err *err);

/* The tenant as committed. KL_ERR_IO, KL_ERR_CORRUPT, KL_ERR_NO_MEMORY. The pointer lives as long as index. */
KL_MUST_USE enum kl_status vault_index_tenant(struct vault_index_store *index, uint64_t tenant,
                                              struct vault_index_tenant **ret_tenant,
                                              struct vault_index_epochs *ret_epochs,
                                              struct kl_err *err);
/* The epochs that the group under way writes to. */
KL_MUST_USE enum kl_status vault_index_leader_epochs(struct vault_index_store *index,
                                                     uint64_t tenant,
                                                     struct vault_index_tenant **ret_tenant,
                                                     struct vault_index_epochs *ret_epochs,
                                                     struct kl_err *err);
/* They are these from now on; the tenant's row goes to batch. KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_index_epochs_put(struct vault_index_store *index, uint64_t tenant,
                                                  const struct vault_index_epochs *epochs,
                                                  struct vault_batch *batch, struct kl_err *err);
/* The group was applied, or given up. */
void vault_index_epochs_applied(struct vault_index_store *index, bool ok);
void vault_index_tenants_free(struct vault_index_store *index);

/*
 * A call of the leader: works that it changes are copies in overlay until it succeeds, rows go to writes.
 */
struct vault_index_call {
    struct vault_index_store *index;
    struct vault_bucket_set overlay;
    struct vault_batch *writes;
    uint64_t tenant;
    struct vault_iter *iter; /* one consistent view; made when first needed */
    uint32_t iter_epoch;
};
KL_MUST_USE enum kl_status vault_index_call_begin(struct vault_index_call *call,
                                                  struct vault_index_store *index, uint64_t tenant,
                                                  struct kl_err *err);
/* Keep what was done: rows to batch, works to the group. */
KL_MUST_USE enum kl_status vault_index_call_keep(struct vault_index_call *call,
                                                 struct vault_batch *batch, struct kl_err *err);
void vault_index_call_end(struct vault_index_call *call);
/* The work of a bucket, in the overlay: from there, from the group, or from the store. */
KL_MUST_USE enum kl_status vault_index_call_work(struct vault_index_call *call,
                                                 const struct vault_bucket_address *at,
                                                 struct vault_bucket_work **ret_work,
                                                 struct kl_err *err);

/* Write content as version's base. skip_dying: without the entries that the running staging takes away. */
KL_MUST_USE enum kl_status vault_index_put_base(struct vault_index_call *call,
                                                const struct vault_bucket_sealer *sealer,
                                                const struct vault_bucket_work *work,
                                                uint32_t version, bool skip_dying,
                                                struct kl_err *err);

/* Whether no erasure holds anything in that bucket; if so its split is noted, and places wait for the group's end. */
bool vault_index_split_begin(struct vault_index_store *index,
                             const struct vault_bucket_address *at);
void vault_index_splits_end(struct vault_index_store *index);

/* Whether the running staging takes away entries of that slot. */
bool vault_index_is_dying(const struct vault_index_store *index, uint64_t tenant,
                          const struct vault_index_entry *entry);
/* The version that the running staging wrote of a bucket, 0 for none; ret_attempt which staging. */
uint32_t vault_index_staged_version(struct vault_index_store *index,
                                    const struct vault_bucket_address *at, uint64_t *ret_attempt);
/*
 * Bring work in line with how its staging went. Returns the staged keys while they are to be written for as well, in use until
 * vault_index_staged_leave(); NULL otherwise.
 */
struct kms_staged *vault_index_staged_enter(struct vault_index_store *index,
                                            struct vault_bucket_work *work);
void vault_index_staged_leave(struct vault_index_store *index);
void vault_index_staging_done(struct vault_index_store *index);

#endif
