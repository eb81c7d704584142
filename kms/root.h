/*
 * The root keys in memory, in guarded pages: the one in use, the staged one
 * after it, and the one that will be staged next. They live here once; the
 * places that keep them (root_place.h) hold copies.
 *
 * Threads: one at a time; the leader of a commit owns them.
 */
#ifndef KLUIS_KMS_ROOT_H
#define KLUIS_KMS_ROOT_H

#include "kluis/base/secret.h"
#include "kms/root_place.h"

struct kms_root {
    struct kl_secret *current;
    struct kl_secret *staged; /* of generation + 1; NULL until it was stored */
    struct kl_secret *next;   /* of generation + 2; made by kms_root_ready() */
    uint64_t generation;
};

/* Wipes; a zeroed struct is fine. */
void kms_root_done(struct kms_root *root);

/* Generations 1 and 2, fresh, stored in a place that was just made. KL_ERR_NO_MEMORY, KL_ERR_IO. */
KL_MUST_USE enum kl_status kms_root_begin(struct kms_root *root, struct kms_root_place *place,
                                          struct kl_err *err);
/* The key in use, from the place. Errors as kms_root_place_load(). */
KL_MUST_USE enum kl_status kms_root_load(struct kms_root *root, struct kms_root_place *place,
                                         uint64_t generation, struct kl_err *err);
/* Store a fresh staged key, whatever the place held of that generation. After KL_ERR_IO the process must end. */
KL_MUST_USE enum kl_status kms_root_restage(struct kms_root *root, struct kms_root_place *place,
                                            struct kl_err *err);
/* Make the key that is staged next, so that memory cannot fail a commit. KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status kms_root_ready(struct kms_root *root, struct kl_err *err);
/* Destroy the key in use: the place overwrites it with the next. After an error the process must end. */
KL_MUST_USE enum kl_status kms_root_overwrite(const struct kms_root *root,
                                              struct kms_root_place *place, struct kl_err *err);
/* After all places were overwritten: the staged key is the one in use, the next one is staged. */
void kms_root_turn(struct kms_root *root);

#endif
