/*
 * Over a tenant's subjects in the order of their slots, a bounded number at a time: for runs, lists and reports. What is looked at is one view
 * of the store for each walk.
 *
 * Threads: any; a walk belongs to one at a time.
 */
#ifndef VAULT_SUBJECT_WALK_H
#define VAULT_SUBJECT_WALK_H

#include "vault/vault_internal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Look at one head row. *ret_stop, false before: the walk ends in front of this head, so that the next begins with it. A failure ends it there
 * too.
 */
typedef enum kl_status (*vault_walk_visit)(void *visitor, uint64_t slot, struct kl_slice row,
                                           bool *ret_stop, struct kl_err *err);

/*
 * next_slot  in and out: from which slot on; behind the last head that was done, on failure too.
 * heads_max  of this walk.
 * ret_ended  there is nobody behind.
 * The visitor's failures; KL_ERR_IO, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_subject_walk(struct vault *vault, uint64_t tenant,
                                              size_t heads_max, vault_walk_visit visit,
                                              void *visitor, uint64_t *next_slot, bool *ret_ended,
                                              struct kl_err *err);

/*
 * Who is not there to be looked at: vanished meanwhile, or does not open, which is logged: damage of one must not keep others from being
 * listed. Then err is cleared and the status is KL_OK; any other status as it is.
 */
enum kl_status vault_walk_pass_over(uint64_t tenant, uint64_t slot, enum kl_status status,
                                    struct kl_err *err);

#endif
