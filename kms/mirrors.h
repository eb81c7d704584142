/*
 * The mirrors of a key store: each a second place for its rows and, where
 * the custodian is a file, for the root key. Every batch goes to all of them
 * through one thread each, so that a disk that hangs holds up its own thread
 * and nobody else for longer than the patience.
 *
 * In step: the mirror holds all rows, the root key in use and the staged one,
 * and destroyed every older one. Out of step: it does not, or nobody knows;
 * nothing is written to it until it has been brought up to date.
 *
 * Threads: any, unless said otherwise. lock guards what is not a mirror's
 * thread's own; it is held across no disk.
 */
#ifndef KLUIS_KMS_MIRRORS_H
#define KLUIS_KMS_MIRRORS_H

#include "kluis/kms/kms.h"
#include "kms/root_file.h"

struct kms;
struct kms_mirrors;

/* Batches that wait for a mirror while it is being copied. When there are more, who posts waits too, at most the patience. */
#define KMS_MIRROR_QUEUE_MAX_BYTES ((size_t)16 * 1024 * 1024)
/* How long a commit waits for a mirror that is out of step to come back. */
#define KMS_MIRROR_QUICK_MS 500
/* Of both stores, so much is looked at together while a mirror is copied. */
#define KMS_MIRROR_CHUNK_ROWS 512
#define KMS_MIRROR_CHUNK_BYTES ((size_t)1 << 20)

/* ---- life; one thread ---- */

/* KL_ERR_NO_MEMORY. source may be NULL: then every mirror is out of step. */
KL_MUST_USE enum kl_status kms_mirrors_new(struct kms *kms, const struct kms_mirror_source *source,
                                           uint32_t patience_ms, struct kms_mirrors **ret_mirrors,
                                           struct kl_err *err);
/* Waits for the threads, but for those that hang: they end by themselves later, and touch nothing but their own. NULL is fine. */
void kms_mirrors_free(struct kms_mirrors *mirrors);

/*
 * Read which mirrors are registered and look at each, before anything is written: KL_ERR_REFUSED "keys_older_than_mirror" one of them
 * shows that this key store was put back. One that cannot be reached is out of step. KL_ERR_CORRUPT "key_mirror_corrupt", KL_ERR_IO,
 * KL_ERR_NO_MEMORY. own: the mirror that this key store itself was until now, to be left out; NULL: none.
 */
KL_MUST_USE enum kl_status kms_mirrors_load(struct kms_mirrors *mirrors, const unsigned char *own,
                                            struct kl_err *err);

/* Bring all up to date; waits for them, at most the patience: what takes longer goes on behind. After the root key was staged. */
void kms_mirrors_attach(struct kms_mirrors *mirrors);

/* ---- every batch; the gate of the rows is held ---- */

/* Copy a batch to all that are in step or being copied. */
void kms_mirrors_post(struct kms_mirrors *mirrors, const struct kms_storage_write *writes,
                      size_t count, bool sync);
/* Until those in step have done what they were told, at most the patience: then they are out of step. */
void kms_mirrors_wait(struct kms_mirrors *mirrors);

/* ---- every commit; its leader ---- */

/* Take the turn. KL_ERR_UNAVAILABLE "mirror_unreachable" a mirror that holds root keys is out of step, also after one quick retry. */
KL_MUST_USE enum kl_status kms_mirrors_commit_begin(struct kms_mirrors *mirrors,
                                                    struct kl_err *err);
void kms_mirrors_commit_end(struct kms_mirrors *mirrors);
/* Store a root key in all that are in step, and wait as kms_mirrors_wait(); confirmed is the generation that they then stand for. */
void kms_mirrors_store(struct kms_mirrors *mirrors, uint64_t generation,
                       const unsigned char key[KMS_KEY_BYTES], uint64_t confirmed);
/*
 * Root files of mirrors are written in that form from the next store on; NULL: mirrors have none, because a token keeps the root key.
 * KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status kms_mirrors_form_set(struct kms_mirrors *mirrors,
                                                const struct kms_root_form *form,
                                                struct kl_err *err);
/* The same with a form that was copied before; *form becomes the one before. A root file of none (not with_file) is destroyed at the store. */
void kms_mirrors_form_swap(struct kms_mirrors *mirrors, struct kms_root_form *form,
                           bool *with_file);

/* ---- numbers ---- */

struct kms_mirrors_tally {
    uint32_t count;          /* registered */
    uint32_t in_step;        /* of them */
    uint32_t pending;        /* of them: out of step, and may hold an old root key */
    enum kms_finality worst; /* of the places in step; F2 when there is none */
};
struct kms_mirrors_tally kms_mirrors_tally(struct kms_mirrors *mirrors);
/* The class of the first place, and of all that are in step with it. */
enum kms_finality kms_mirrors_finality(struct kms_mirrors *mirrors, enum kms_finality first);

#endif
