#include "vault/audit_tree.h"

#include <string.h>

#define FORMAT 1

size_t vault_audit_tree_encode(const struct kl_merkle_tree *tree,
                               unsigned char ret_row[VAULT_AUDIT_TREE_MAX_BYTES])
{
    size_t hash_bytes = (size_t)(unsigned)__builtin_popcountll(tree->size) * KL_MERKLE_HASH_BYTES;
    ret_row[0] = FORMAT;
    kl_put_u64be(ret_row + 1, tree->size);
    memcpy(ret_row + 9, tree->hashes, hash_bytes);
    return 9 + hash_bytes;
}

enum kl_status vault_audit_tree_read(struct kl_slice row, struct kl_merkle_tree *ret_tree,
                                     struct kl_err *err)
{
    struct kl_reader reader = kl_reader_of(row);
    uint8_t format = kl_read_byte(&reader);
    uint64_t size = kl_read_u64be(&reader);
    size_t hash_bytes = (size_t)(unsigned)__builtin_popcountll(size) * KL_MERKLE_HASH_BYTES;
    struct kl_slice hashes = kl_read_bytes(&reader, hash_bytes);
    if (format != FORMAT || !kl_reader_done(&reader)) {
        return kl_fail(err, KL_ERR_CORRUPT, "audit_frontier_corrupt", "the audit trail is damaged",
                       "audit: the frontier is not of a known format");
    }
    *ret_tree = (struct kl_merkle_tree){.size = size};
    if (hash_bytes > 0) {
        memcpy(ret_tree->hashes, hashes.bytes, hash_bytes);
    }
    return KL_OK;
}
