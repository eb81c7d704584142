/*
 * The Merkle tree of RFC 9162, section 2.1, over SHA-256: hashes, a tree that
 * grows (kept as its frontier), and the checks of inclusion and consistency
 * proofs. Threads: any.
 */
#ifndef KLUIS_BASE_MERKLE_H
#define KLUIS_BASE_MERKLE_H

#include "kluis/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KL_MERKLE_HASH_BYTES 32
#define KL_MERKLE_HEIGHT_MAX 64
/* Hashes of one proof: an inclusion proof has at most one for each height, a consistency proof one more. */
#define KL_MERKLE_PROOF_MAX (KL_MERKLE_HEIGHT_MAX + 1)

struct kl_merkle_hash {
    unsigned char bytes[KL_MERKLE_HASH_BYTES];
};

/* SHA-256 of 0x00 and the entry. */
void kl_merkle_leaf(struct kl_slice entry, unsigned char ret_hash[KL_MERKLE_HASH_BYTES]);
/* SHA-256 of 0x01, left and right. ret_hash may be either of them. */
void kl_merkle_node(const unsigned char left[KL_MERKLE_HASH_BYTES],
                    const unsigned char right[KL_MERKLE_HASH_BYTES],
                    unsigned char ret_hash[KL_MERKLE_HASH_BYTES]);

/*
 * A tree as its frontier: the hashes of the perfect subtrees that its leaves so far make, largest first; one for each bit of the size.
 * Appending and the root need no more than that. A zeroed one is empty.
 */
struct kl_merkle_tree {
    uint64_t size;
    unsigned char hashes[KL_MERKLE_HEIGHT_MAX][KL_MERKLE_HASH_BYTES];
};
void kl_merkle_append(struct kl_merkle_tree *tree, const unsigned char leaf[KL_MERKLE_HASH_BYTES]);
/* The same leaf count times; takes no longer for many than for few. size + count below 2^64. */
void kl_merkle_fill(struct kl_merkle_tree *tree, uint64_t count,
                    const unsigned char leaf[KL_MERKLE_HASH_BYTES]);
/* The root; of an empty tree the hash of nothing. */
void kl_merkle_root(const struct kl_merkle_tree *tree,
                    unsigned char ret_root[KL_MERKLE_HASH_BYTES]);

/* Section 2.1.3.2: whether leaf is the one of that index in the tree of that size and root. */
bool kl_merkle_includes(uint64_t index, uint64_t size,
                        const unsigned char leaf[KL_MERKLE_HASH_BYTES],
                        const struct kl_merkle_hash *proof, size_t count,
                        const unsigned char root[KL_MERKLE_HASH_BYTES]);
/*
 * Section 2.1.4.2: whether the tree of size to begins with that of size from. 1 <= from <= to; of equal sizes the proof is empty and the roots
 * are the same. False for any other sizes.
 */
bool kl_merkle_consistent(uint64_t from, uint64_t to,
                          const unsigned char from_root[KL_MERKLE_HASH_BYTES],
                          const unsigned char to_root[KL_MERKLE_HASH_BYTES],
                          const struct kl_merkle_hash *proof, size_t count);

#endif
