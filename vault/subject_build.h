/*
 * The entries of a tenant's subjects for an index that is being built beside
 * the one in use, a piece at a time, while everybody goes on working.
 */
#ifndef VAULT_SUBJECT_BUILD_H
#define VAULT_SUBJECT_BUILD_H

#include "kluis/base/status.h"
#include "vault/vault_internal.h"

#include <stdbool.h>
#include <stdint.h>

/* Where it is and what it met. Zeroed at the start. */
struct vault_subject_build {
    uint64_t next_slot;
    uint64_t subjects;
    uint64_t damaged; /* of whom nothing opens any more: they are in no index from now on */
};

/*
 * Add the next subjects. ret_done: there are no more, so that the new index has all that the one in use has. A subject that is changed or erased
 * meanwhile is looked at again: what is added is added only when its head is still the one that was read, and every later change goes to both.
 * May be repeated from an earlier next_slot. KL_ERR_CONFLICT "index_not_building"; KL_ERR_NOT_FOUND "tenant_gone"; KL_ERR_BUSY
 * "subject_busy"; errors of the store and the keys.
 *
 * Threads: any, with a build of its own; not from within a commit or an erasure.
 */
KL_MUST_USE enum kl_status vault_subject_build(struct vault *vault, uint64_t tenant,
                                               struct vault_subject_build *build, bool *ret_done,
                                               struct kl_err *err);

#endif
