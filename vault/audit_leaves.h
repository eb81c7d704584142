/*
 * The leaves of a trail's tree, from its rows: the hash of each entry, and
 * that of VAULT_AUDIT_LOST_ENTRY for every number that is lost (audit.h).
 *
 * Threads: any number at once; a struct belongs to one.
 */
#ifndef VAULT_AUDIT_LEAVES_H
#define VAULT_AUDIT_LEAVES_H

#include "kluis/base/merkle.h"
#include "kluis/base/status.h"
#include "vault/store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each is a data/ that was put back; more are taken for damage. */
#define VAULT_LOST_RANGES_MAX 65536

/*
 * Which numbers are lost: ranges in order, none empty, no two in touch. pruned: of those below it that are not lost, the entries went by a
 * policy (pruned.h); vault_lost_read() leaves it 0, whoever wants to go over what is there sets it.
 */
struct vault_lost_range {
    uint64_t from;
    uint64_t until;
};
struct vault_lost {
    struct vault_lost_range *ranges;
    size_t count;
    uint64_t pruned;
};
/* ret is made; ends with vault_lost_done(), which a zeroed one stands as well. KL_ERR_CORRUPT "audit_lost_damaged", KL_ERR_IO, KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_lost_read(struct vault_store *store, uint64_t tenant,
                                           struct vault_lost *ret, struct kl_err *err);
void vault_lost_done(struct vault_lost *lost);
/* The range that holds that number; NULL: it is not lost. */
const struct vault_lost_range *vault_lost_at(const struct vault_lost *lost, uint64_t number);
/* The leaf of a lost number. */
void vault_lost_leaf(unsigned char ret_hash[KL_MERKLE_HASH_BYTES]);

/*
 * A number of the trail, as the rows have it. ENTRY: there is a row, whose hash is that of its text (a number that is lost should have none).
 * LOST: the leaf of a lost number. PRUNED: its entry went by a policy, whether its row was removed yet or not; the stored tree alone has its hash.
 * MISSING: it has no row for no reason; there is no hash. entry is empty but for ENTRY, and lives for the call.
 */
enum vault_leaf_kind { VAULT_LEAF_ENTRY, VAULT_LEAF_LOST, VAULT_LEAF_PRUNED, VAULT_LEAF_MISSING };
struct vault_leaf {
    uint64_t number;
    enum vault_leaf_kind kind;
    struct kl_slice entry;
    unsigned char hash[KL_MERKLE_HASH_BYTES];
};
/* A failure ends the walk and is what it returns. */
typedef enum kl_status (*vault_leaf_visit)(void *visitor, const struct vault_leaf *leaf,
                                           struct kl_err *err);
/* Go over the numbers from from up to and without past, each once, in order. KL_ERR_IO, KL_ERR_NO_MEMORY; what visit returns. */
KL_MUST_USE enum kl_status vault_leaves_each(struct vault_store *store, uint64_t tenant,
                                             const struct vault_lost *lost, uint64_t from,
                                             uint64_t past, vault_leaf_visit visit, void *visitor,
                                             struct kl_err *err);

#endif
