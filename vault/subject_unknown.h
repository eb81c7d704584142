/*
 * Values of a subject that a restored copy does not know.
 *
 * A head row of a copy says a next value slot that was used since, so values at that number and behind it may lie in old bytes, and still have
 * their keys: those that somebody's value was changed to after the copy was made. The subject goes on in a fresh block
 * (VAULT_VALUE_EPOCH_BITS) and never meets them; they stay alive until the restore is finished, or a record of the subject is erased. Which they are:
 *
 *   of a head that was not changed since the last restore   everything from its next value on;
 *   of one that was                                         its gaps: from the next value of then up to the fresh block.
 *
 * They get fresh keys by ranges (kms.h), whatever number of them was used. Doing it twice harms nobody: no number in a gap is taken again.
 * Threads: any.
 */
#ifndef VAULT_SUBJECT_UNKNOWN_H
#define VAULT_SUBJECT_UNKNOWN_H

#include "kluis/kms/kms.h"
#include "vault/manifest.h"
#include "vault/vault_internal.h"

#define VAULT_UNKNOWN_RANGES_MAX (VAULT_GAPS_MAX + 1)

/*
 * The head goes on in the block of the last restore, if it is not there yet; what it leaves behind becomes a gap. KL_ERR_TOO_LARGE
 * "subject_full": it has VAULT_GAPS_MAX of them.
 */
KL_MUST_USE enum kl_status vault_head_epoch_begin(const struct vault *vault,
                                                  struct vault_head *head, struct kl_err *err);

/* What a subject's head does not know, as ranges of its slot; how many there are. */
size_t vault_subject_unknown(const struct vault *vault, uint64_t tenant, uint64_t slot,
                             const struct vault_head *head,
                             struct kms_range ret[VAULT_UNKNOWN_RANGES_MAX]);

#endif
