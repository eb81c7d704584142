/*
 * Up to which number a trail's entries went by the policy's period (prune.h): a row 'M', and in memory with the trail.
 *
 * Row: format 1, until u64, removed u64, entry's id (16 bytes), keyed hash (VAULT_SLOT_MAC of the tenant) over the tenant and all before. Who can
 * write to data/ but has no key so hides no entries by it, and has the vault remove none: a row that is not right counts as none, is
 * logged, and is a finding of vault_audit_check().
 *
 * Threads: any.
 */
#ifndef VAULT_PRUNED_H
#define VAULT_PRUNED_H

#include "kluis/base/id.h"
#include "kluis/base/status.h"
#include "kluis/kms/kms.h"
#include "vault/store/store.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * until: entries with a lower number are gone, whether their rows were removed yet or not; 0: none is. removed: below it the rows are removed. entry: the one that says
 * so (kluis/base/trail_pruned.h). removed is at most until.
 */
struct vault_pruned {
    uint64_t until;
    uint64_t removed;
    struct kl_id entry;
};
struct vault_trails;

/*
 * As the row says; all zero without one. ret_forged: there is one, and it is not the vault's; ret is all zero then. KL_ERR_IO,
 * KL_ERR_NO_MEMORY; KL_ERR_GONE: the tenant was ended; as kms_mac().
 */
KL_MUST_USE enum kl_status vault_pruned_read(struct kms *keys, struct vault_store *store,
                                             uint64_t tenant, struct vault_pruned *ret,
                                             bool *ret_forged, struct kl_err *err);
KL_MUST_USE enum kl_status vault_pruned_put(struct kms *keys, uint64_t tenant,
                                            const struct vault_pruned *pruned,
                                            struct vault_batch *batch, struct kl_err *err);

/* That of a trail, as it is in memory. Errors of reading a trail. */
KL_MUST_USE enum kl_status vault_trails_pruned(struct vault_trails *trails, uint64_t tenant,
                                               struct vault_pruned *ret, struct kl_err *err);
/* The row was committed. The trail was read before. */
void vault_trails_pruned_set(struct vault_trails *trails, uint64_t tenant,
                             const struct vault_pruned *pruned);

#endif
