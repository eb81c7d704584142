/*
 * Everything stored about subjects, sealed anew under fresh keys of their
 * slots: what a rotation of level values does, a few subjects at a time.
 *
 * ORDER. The subjects are marked dying, so that nobody changes them, and read and opened (vault_values_read). Then one key commit that
 * rekeys their slots, in which
 * prepare   writes all of it, sealed under the keys to come, into rows beside ('w'), synced (vault_values_stage)
 *           The bytes of files are written anew, chunk by chunk, into files beside the old ones, which row 'L' beside names
 * finish    puts these rows into the place of the old ones, in one commit of data/ with the mark that this generation is done
 *           (vault_values_swap); the note in the key store names the slots as a range, first and last
 * A crash before the key commit leaves rows beside that no note names: they are removed at open (vault_values_tidy) and before the
 * next ones are written. After it, the note is finished at open. Between the two nothing of these subjects opens: readers wait (rekeying.h).
 * A change that was sealed under the old keys is refused, because its head has another version then, and made again.
 *
 * What is not carried over: values that were overwritten and wait for a sweep, which cannot be read any more by this; closings in
 * the journal, which no data/ that still opens is without; remembered answers to an Idempotency-Key, whose requests then get KL_ERR_GONE.
 *
 * Threads: one at a time.
 */
#ifndef VAULT_VALUES_H
#define VAULT_VALUES_H

#include "kluis/base/arena.h"
#include "vault/erasure_note.h"
#include "vault/rekeying.h"
#include "vault/subject_internal.h"

/* Of one key commit: subjects, and bytes that are enough for one more of them not to be taken. */
#define VAULT_VALUES_SUBJECTS_MAX VAULT_REKEYING_MAX
#define VAULT_VALUES_BYTES_ENOUGH (4u * 1024 * 1024)

struct vault_values_item {
    uint64_t value;
    bool
        is_file; /* plain is what is written down about it; its bytes stay on the disk, and are read there */
    struct kl_slice context;
    struct kl_slice plain;
};
struct vault_values_subject {
    struct vault_subject subject;
    struct vault_values_item *items;
    size_t count;
};
struct vault_values {
    struct vault *vault;
    uint64_t tenant;
    struct kl_arena *arena;
    struct vault_values_subject subjects[VAULT_VALUES_SUBJECTS_MAX];
    size_t count;
    size_t bytes;
};

/* KL_ERR_NO_MEMORY. Ended by vault_values_done() in every case. */
KL_MUST_USE enum kl_status vault_values_init(struct vault_values *values, struct vault *vault,
                                             uint64_t tenant, struct kl_err *err);
void vault_values_done(struct vault_values *values);
/*
 * Open all that is stored about a subject, which is marked dying, and take it in. On failure it is not taken in: KL_ERR_NOT_FOUND there is
 * none; KL_ERR_CORRUPT something of it does not open; KL_ERR_TOO_LARGE it is more than there is room for; KL_ERR_IO, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_values_read(struct vault_values *values, uint64_t slot,
                                             struct kl_err *err);
/* In kms's prepare hook. KL_ERR_UNAVAILABLE, KL_ERR_NO_MEMORY, what kms_staged_seal() returns. */
KL_MUST_USE enum kl_status vault_values_stage(const struct vault_values *values,
                                              struct kms_staged *staged, struct kl_err *err);
/* Put the swap of a note's subjects into batch; nothing for those without rows beside. */
KL_MUST_USE enum kl_status vault_values_swap(struct vault *vault, const struct vault_note *note,
                                             struct vault_batch *batch, struct kl_err *err);
/* At open, when no note is left: rows beside are of attempts that came to nothing. */
KL_MUST_USE enum kl_status vault_values_tidy(struct vault *vault, struct kl_err *err);

#endif
