/* The frontier of a trail's tree as a row. */
#ifndef VAULT_AUDIT_TREE_H
#define VAULT_AUDIT_TREE_H

#include "kluis/base/merkle.h"
#include "kluis/base/status.h"

#define VAULT_AUDIT_TREE_MAX_BYTES (1 + 8 + KL_MERKLE_HEIGHT_MAX * KL_MERKLE_HASH_BYTES)

/* Write format 1, size 8, hashes; returns how many bytes. */
size_t vault_audit_tree_encode(const struct kl_merkle_tree *tree,
                               unsigned char ret_row[VAULT_AUDIT_TREE_MAX_BYTES]);
/* KL_ERR_CORRUPT "audit_frontier_corrupt": not what encode wrote. ret_tree untouched on failure. */
KL_MUST_USE enum kl_status vault_audit_tree_read(struct kl_slice row,
                                                 struct kl_merkle_tree *ret_tree,
                                                 struct kl_err *err);

#endif
