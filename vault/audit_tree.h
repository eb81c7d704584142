/*
 * The Merkle tree of RFC 9162, section 2.1, kept as its frontier: the hashes
 * of the perfect subtrees that its leaves so far make, largest first; one for
 * each bit of the size. Appending and the root need no more than that.
 */
#ifndef VAULT_AUDIT_TREE_H
#define VAULT_AUDIT_TREE_H

#include "kluis/base/buf.h"
#include "kluis/base/status.h"
#include "vault/audit.h"

#include <stdint.h>

#define VAULT_AUDIT_TREE_HEIGHT_MAX 64
#define VAULT_AUDIT_TREE_MAX_BYTES (1 + 8 + VAULT_AUDIT_TREE_HEIGHT_MAX * VAULT_AUDIT_HASH_BYTES)

struct vault_audit_tree {
    uint64_t size;
    unsigned char hashes[VAULT_AUDIT_TREE_HEIGHT_MAX][VAULT_AUDIT_HASH_BYTES];
};

/* SHA-256 of 0x00 and the entry. */
void vault_audit_leaf_hash(struct kl_slice entry, unsigned char ret_hash[VAULT_AUDIT_HASH_BYTES]);
/* SHA-256 of 0x01, left and right. ret_hash may be either of them. */
void vault_audit_node_hash(const unsigned char left[VAULT_AUDIT_HASH_BYTES],
                           const unsigned char right[VAULT_AUDIT_HASH_BYTES],
                           unsigned char ret_hash[VAULT_AUDIT_HASH_BYTES]);

void vault_audit_tree_append(struct vault_audit_tree *tree,
                             const unsigned char leaf[VAULT_AUDIT_HASH_BYTES]);
/* The same leaf count times; takes no longer for many than for few. size + count below 2^64. */
void vault_audit_tree_fill(struct vault_audit_tree *tree, uint64_t count,
                           const unsigned char leaf[VAULT_AUDIT_HASH_BYTES]);
/* The root; of an empty tree the hash of nothing. */
void vault_audit_tree_root(const struct vault_audit_tree *tree,
                           unsigned char ret_root[VAULT_AUDIT_HASH_BYTES]);

/* Write format 1, size 8, hashes; returns how many bytes. */
size_t vault_audit_tree_encode(const struct vault_audit_tree *tree,
                               unsigned char ret_row[VAULT_AUDIT_TREE_MAX_BYTES]);
/* KL_ERR_CORRUPT "audit_frontier_corrupt": not what encode wrote. ret_tree untouched on failure. */
KL_MUST_USE enum kl_status vault_audit_tree_read(struct kl_slice row,
                                                 struct vault_audit_tree *ret_tree,
                                                 struct kl_err *err);

#endif
