#include "vault/audit_tree.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define FORMAT 1

_Static_assert(VAULT_AUDIT_HASH_BYTES == crypto_hash_sha256_BYTES, "SHA-256");

void vault_audit_leaf_hash(struct kl_slice entry, unsigned char ret_hash[VAULT_AUDIT_HASH_BYTES])
{
    static const unsigned char leaf = 0x00;
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, &leaf, 1);
    crypto_hash_sha256_update(&state, entry.bytes, entry.size);
    crypto_hash_sha256_final(&state, ret_hash);
}

void vault_audit_node_hash(const unsigned char left[VAULT_AUDIT_HASH_BYTES],
                           const unsigned char right[VAULT_AUDIT_HASH_BYTES],
                           unsigned char ret_hash[VAULT_AUDIT_HASH_BYTES])
{
    static const unsigned char node = 0x01;
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, &node, 1);
    crypto_hash_sha256_update(&state, left, VAULT_AUDIT_HASH_BYTES);
    crypto_hash_sha256_update(&state, right, VAULT_AUDIT_HASH_BYTES);
    crypto_hash_sha256_final(&state, ret_hash);
}

static unsigned subtrees(uint64_t size)
{
    return (unsigned)__builtin_popcountll(size);
}

/* Append a perfect subtree of 2^height leaves; the size so far must be a multiple of that. */
static void append_subtree(struct vault_audit_tree *tree, unsigned height,
                           const unsigned char root[VAULT_AUDIT_HASH_BYTES])
{
    unsigned char hash[VAULT_AUDIT_HASH_BYTES];
    unsigned count = subtrees(tree->size);
    memcpy(hash, root, sizeof(hash));
    /* Subtrees of equal height join, as in adding one to a binary number. */
    for (uint64_t carry = tree->size >> height; (carry & 1) != 0; carry >>= 1) {
        count--;
        vault_audit_node_hash(tree->hashes[count], hash, hash);
    }
    memcpy(tree->hashes[count], hash, sizeof(hash));
    tree->size += UINT64_C(1) << height;
}

void vault_audit_tree_append(struct vault_audit_tree *tree,
                             const unsigned char leaf[VAULT_AUDIT_HASH_BYTES])
{
    assert(tree->size < UINT64_MAX);
    append_subtree(tree, 0, leaf);
}

/* First subtrees that grow until the size is even enough, then ones that shrink until count is used up. */
void vault_audit_tree_fill(struct vault_audit_tree *tree, uint64_t count,
                           const unsigned char leaf[VAULT_AUDIT_HASH_BYTES])
{
    unsigned char equal[VAULT_AUDIT_TREE_HEIGHT_MAX][VAULT_AUDIT_HASH_BYTES];
    unsigned height = 0;
    unsigned i;

    assert(count <= UINT64_MAX - tree->size);
    memcpy(equal[0], leaf, VAULT_AUDIT_HASH_BYTES);
    for (i = 1; i < VAULT_AUDIT_TREE_HEIGHT_MAX; i++) {
        vault_audit_node_hash(equal[i - 1], equal[i - 1], equal[i]);
    }
    for (; count > 0 && height < VAULT_AUDIT_TREE_HEIGHT_MAX - 1 && count >> height != 0;
         height++) {
        if (((tree->size >> height) & 1) != 0) {
            append_subtree(tree, height, equal[height]);
            count -= UINT64_C(1) << height;
        }
    }
    for (i = height + 1; count > 0 && i > 0; i--) {
        if (((count >> (i - 1)) & 1) != 0) {
            append_subtree(tree, i - 1, equal[i - 1]);
            count -= UINT64_C(1) << (i - 1);
        }
    }
}

void vault_audit_tree_root(const struct vault_audit_tree *tree,
                           unsigned char ret_root[VAULT_AUDIT_HASH_BYTES])
{
    unsigned count = subtrees(tree->size);
    if (count == 0) {
        crypto_hash_sha256(ret_root, NULL, 0);
        return;
    }
    memcpy(ret_root, tree->hashes[count - 1], VAULT_AUDIT_HASH_BYTES);
    for (unsigned i = count - 1; i > 0; i--) {
        vault_audit_node_hash(tree->hashes[i - 1], ret_root, ret_root);
    }
}

size_t vault_audit_tree_encode(const struct vault_audit_tree *tree,
                               unsigned char ret_row[VAULT_AUDIT_TREE_MAX_BYTES])
{
    size_t hash_bytes = (size_t)subtrees(tree->size) * VAULT_AUDIT_HASH_BYTES;
    ret_row[0] = FORMAT;
    kl_put_u64be(ret_row + 1, tree->size);
    memcpy(ret_row + 9, tree->hashes, hash_bytes);
    return 9 + hash_bytes;
}

enum kl_status vault_audit_tree_read(struct kl_slice row, struct vault_audit_tree *ret_tree,
                                     struct kl_err *err)
{
    struct kl_reader reader = kl_reader_of(row);
    uint8_t format = kl_read_byte(&reader);
    uint64_t size = kl_read_u64be(&reader);
    size_t hash_bytes = (size_t)subtrees(size) * VAULT_AUDIT_HASH_BYTES;
    struct kl_slice hashes = kl_read_bytes(&reader, hash_bytes);
    if (format != FORMAT || !kl_reader_done(&reader)) {
        return kl_fail(err, KL_ERR_CORRUPT, "audit_frontier_corrupt", "the audit trail is damaged",
                       "audit: the frontier is not of a known format");
    }
    *ret_tree = (struct vault_audit_tree){.size = size};
    if (hash_bytes > 0) {
        memcpy(ret_tree->hashes, hashes.bytes, hash_bytes);
    }
    return KL_OK;
}
