/*
 * What is left of a tenant's index epochs that are over: slots to shred, and
 * rows that go when they are.
 * Threads: any. Several may be at the same piece: nothing is added to an epoch that is over, so what one does after the other changes nothing.
 */
#ifndef VAULT_INDEX_OLD_H
#define VAULT_INDEX_OLD_H

#include "kluis/base/status.h"
#include "vault/store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_INDEX_OLD_MAX 1024       /* slots of one piece */
#define VAULT_INDEX_OLD_ROWS_MAX 16384 /* rows of one piece */

/* max: 1..VAULT_INDEX_OLD_MAX slots a piece. remove is the caller's, and empty before. */
struct vault_index_old {
    uint64_t slots[VAULT_INDEX_OLD_MAX];
    size_t max;
    size_t count;
    struct vault_batch *remove;
};

/*
 * The next piece: shred the slots (none is used by anything else any more), then apply remove. Without that the same piece comes again.
 * ret_any false: nothing is left. KL_ERR_IO, KL_ERR_CORRUPT, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_index_old_next(struct vault_store *store, uint64_t tenant,
                                                struct vault_index_old *old, bool *ret_any,
                                                struct kl_err *err);

#endif
