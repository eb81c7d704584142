/*
 * Proofs about a trail, RFC 9162 sections 2.1.3 and 2.1.4, from the stored
 * tree: of 10 million entries one reads at most two tiles of each of three
 * levels, and the last leaves.
 *
 * Threads: a reader belongs to one; any number at once, while the trail grows.
 */
#ifndef VAULT_AUDIT_PROOF_H
#define VAULT_AUDIT_PROOF_H

#include "kluis/base/id.h"
#include "kluis/base/merkle.h"
#include "vault/audit.h"
#include "vault/audit_leaves.h"
#include "vault/audit_tiles.h"

#include <stddef.h>
#include <stdint.h>

/* A tree as it was when the reader was made: any size up to that can be asked about. */
struct vault_tree_reader;
/*
 * KL_ERR_UNAVAILABLE "audit_tree_building": data/ is of an older version, and the stored tree is being made. KL_ERR_CORRUPT
 * "audit_lost_damaged", "audit_frontier_corrupt", "audit_tile_damaged", KL_ERR_IO, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_tree_reader_new(struct vault_trails *trails, uint64_t tenant,
                                                 struct vault_tree_reader **ret_reader,
                                                 struct kl_err *err);
void vault_tree_reader_free(struct vault_tree_reader *reader); /* NULL is fine */
uint64_t vault_tree_size(const struct vault_tree_reader *reader);
/* The lost range that holds a number; NULL: it is not lost. */
const struct vault_lost_range *vault_tree_lost_at(const struct vault_tree_reader *reader,
                                                  uint64_t number);

/*
 * The following: KL_ERR_CORRUPT "audit_tile_damaged": the rows do not give it. KL_ERR_IO, KL_ERR_NO_MEMORY. Sizes and indexes
 * are the caller's to check: a size above the reader's, an index that is not below the size, a size of 0 are an assert.
 */
KL_MUST_USE enum kl_status vault_tree_root(struct vault_tree_reader *reader, uint64_t size,
                                           unsigned char ret_root[KL_MERKLE_HASH_BYTES],
                                           struct kl_err *err);
KL_MUST_USE enum kl_status vault_tree_leaf(struct vault_tree_reader *reader, uint64_t index,
                                           unsigned char ret_leaf[KL_MERKLE_HASH_BYTES],
                                           struct kl_err *err);
struct vault_tree_proof {
    size_t count;
    struct kl_merkle_hash hashes[KL_MERKLE_PROOF_MAX];
};
KL_MUST_USE enum kl_status vault_tree_inclusion(struct vault_tree_reader *reader, uint64_t index,
                                                uint64_t size, struct vault_tree_proof *ret,
                                                struct kl_err *err);
/* 1 <= from <= to, else an assert. */
KL_MUST_USE enum kl_status vault_tree_consistency(struct vault_tree_reader *reader, uint64_t from,
                                                  uint64_t to, struct vault_tree_proof *ret,
                                                  struct kl_err *err);

/* The number of the entry with that id. KL_ERR_NOT_FOUND "not_found". KL_ERR_IO, KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_audit_find(struct vault_store *store, uint64_t tenant,
                                            const struct kl_id *entry, uint64_t *ret_index,
                                            struct kl_err *err);
/* The id that the text of an entry begins with. KL_ERR_CORRUPT "audit_damaged": it begins with none. */
KL_MUST_USE enum kl_status vault_audit_entry_id(struct kl_slice entry, struct kl_id *ret,
                                                struct kl_err *err);

#endif
