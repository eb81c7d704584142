/*
 * What a commit is going to write: copies of the pages on the paths of all
 * changes, with the changes made in them; the fresh seeds of rekeyed slots.
 * Everything that can fail is done here, before the layer above prepares and
 * before the staged root key seals anything.
 *
 * Threads: the leader of a commit alone; kms_staged_seal() from any while the
 * staged seeds live.
 */
#ifndef KLUIS_KMS_PLAN_H
#define KLUIS_KMS_PLAN_H

#include "kms/changes.h"
#include "kms/internal.h"

/* The fresh seeds of the rekeyed slots; nothing changes in it once it was made. places and seeds by (tree, tenant, slot, value). */
struct kms_staged {
    struct kl_secret_arena *cells;
    struct kms_place *places;
    unsigned char **seeds;
    size_t count;
    size_t room;
};
KL_MUST_USE enum kl_status kms_staged_init(struct kms_staged *staged, size_t seeds_max,
                                           struct kl_err *err);
void kms_staged_done(struct kms_staged *staged); /* wipes */
/* A fresh seed for a place that comes after all those before it. KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status kms_staged_add(struct kms_staged *staged, const struct kms_place *place,
                                          const unsigned char **ret_seed, struct kl_err *err);
/* A changed page on its way to the disk. page comes first. */
struct kms_copy {
    struct kms_page page; /* parent: another copy's page */
    uint64_t keeps[KMS_ENTRIES_MAX /
                   64]; /* entries that lead to a kept value, while the others are shredded */
    bool all_gone;      /* nothing is left of it: its parent's entry is GONE and its row goes */
    unsigned char row_key[KMS_PAGE_KEY_BYTES];
    unsigned char *row;
};

/* The spine of a tree that was written out and of which all, or some, pages hang nowhere any more; their rows are to be swept. */
struct kms_dead {
    struct kms_address spine;
    unsigned char row_key[KMS_DEAD_KEY_BYTES];
};

struct kms_plan {
    struct kms *kms;
    struct kms_page_table table;
    struct kms_copy **copies; /* parents before children; the root page first */
    size_t copies_count;
    size_t copies_room;
    struct kms_actions actions;
    struct kms_dead *dead;
    size_t dead_count;
    size_t dead_room;
    unsigned char *rows; /* of all copies, sealed */
    struct kms_staged staged;
};

/*
 * KL_ERR_IO, KL_ERR_CORRUPT, KL_ERR_NO_MEMORY (also: no more memory can be locked for the copies): nothing happened; the plan needs no
 * end then. Changes of what is gone, or below what goes, do nothing.
 */
KL_MUST_USE enum kl_status kms_plan_make(struct kms *kms, struct kms_request *const *requests,
                                         size_t count, struct kms_plan *ret_plan,
                                         struct kl_err *err);
void kms_plan_done(struct kms_plan *plan); /* wipes */
/* Give every copy a fresh key and seal it; the root page under root_key for that generation. Once. Cannot fail. */
void kms_plan_seal(struct kms_plan *plan, const unsigned char root_key[KMS_KEY_BYTES],
                   uint64_t generation);
/* Put the copies in the cache's place and wipe what was there, and the ready keys of what changed. The write side of kms->lock is held. */
void kms_plan_swap(struct kms_plan *plan);

#endif
