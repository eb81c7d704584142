#include "kluis/base/merkle.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

_Static_assert(KL_MERKLE_HASH_BYTES == crypto_hash_sha256_BYTES, "SHA-256");

void kl_merkle_leaf(struct kl_slice entry, unsigned char ret_hash[KL_MERKLE_HASH_BYTES])
{
    static const unsigned char leaf = 0x00;
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, &leaf, 1);
    crypto_hash_sha256_update(&state, entry.bytes, entry.size);
    crypto_hash_sha256_final(&state, ret_hash);
}

void kl_merkle_node(const unsigned char left[KL_MERKLE_HASH_BYTES],
                    const unsigned char right[KL_MERKLE_HASH_BYTES],
                    unsigned char ret_hash[KL_MERKLE_HASH_BYTES])
{
    static const unsigned char node = 0x01;
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, &node, 1);
    crypto_hash_sha256_update(&state, left, KL_MERKLE_HASH_BYTES);
    crypto_hash_sha256_update(&state, right, KL_MERKLE_HASH_BYTES);
    crypto_hash_sha256_final(&state, ret_hash);
}

static unsigned subtrees(uint64_t size)
{
    return (unsigned)__builtin_popcountll(size);
}

/* Append a perfect subtree of 2^height leaves; the size so far must be a multiple of that. */
static void append_subtree(struct kl_merkle_tree *tree, unsigned height,
                           const unsigned char root[KL_MERKLE_HASH_BYTES])
{
    unsigned char hash[KL_MERKLE_HASH_BYTES];
    unsigned count = subtrees(tree->size);
    memcpy(hash, root, sizeof(hash));
    /* Subtrees of equal height join, as in adding one to a binary number. */
    for (uint64_t carry = tree->size >> height; (carry & 1) != 0; carry >>= 1) {
        count--;
        kl_merkle_node(tree->hashes[count], hash, hash);
    }
    memcpy(tree->hashes[count], hash, sizeof(hash));
    tree->size += UINT64_C(1) << height;
}

void kl_merkle_append(struct kl_merkle_tree *tree, const unsigned char leaf[KL_MERKLE_HASH_BYTES])
{
    assert(tree->size < UINT64_MAX);
    append_subtree(tree, 0, leaf);
}

/* First subtrees that grow until the size is even enough, then ones that shrink until count is used up. */
void kl_merkle_fill(struct kl_merkle_tree *tree, uint64_t count,
                    const unsigned char leaf[KL_MERKLE_HASH_BYTES])
{
    unsigned char equal[KL_MERKLE_HEIGHT_MAX][KL_MERKLE_HASH_BYTES];
    unsigned height = 0;
    unsigned i;

    assert(count <= UINT64_MAX - tree->size);
    memcpy(equal[0], leaf, KL_MERKLE_HASH_BYTES);
    for (i = 1; i < KL_MERKLE_HEIGHT_MAX; i++) {
        kl_merkle_node(equal[i - 1], equal[i - 1], equal[i]);
    }
    for (; count > 0 && height < KL_MERKLE_HEIGHT_MAX - 1 && count >> height != 0; height++) {
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

void kl_merkle_root(const struct kl_merkle_tree *tree, unsigned char ret_root[KL_MERKLE_HASH_BYTES])
{
    unsigned count = subtrees(tree->size);
    if (count == 0) {
        crypto_hash_sha256(ret_root, NULL, 0);
        return;
    }
    memcpy(ret_root, tree->hashes[count - 1], KL_MERKLE_HASH_BYTES);
    for (unsigned i = count - 1; i > 0; i--) {
        kl_merkle_node(tree->hashes[i - 1], ret_root, ret_root);
    }
}

/* ---- proofs ---- */

/* The names are those of the RFC. */
bool kl_merkle_includes(uint64_t index, uint64_t size,
                        const unsigned char leaf[KL_MERKLE_HASH_BYTES],
                        const struct kl_merkle_hash *proof, size_t count,
                        const unsigned char root[KL_MERKLE_HASH_BYTES])
{
    unsigned char r[KL_MERKLE_HASH_BYTES];
    uint64_t fn = index;
    uint64_t sn = size - 1;

    if (index >= size || count > KL_MERKLE_PROOF_MAX) {
        return false;
    }
    memcpy(r, leaf, sizeof r);
    for (size_t i = 0; i < count; i++) {
        if (sn == 0) {
            return false;
        }
        if ((fn & 1) != 0 || fn == sn) {
            kl_merkle_node(proof[i].bytes, r, r);
            while ((fn & 1) == 0 && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            kl_merkle_node(r, proof[i].bytes, r);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && memcmp(r, root, sizeof r) == 0;
}

bool kl_merkle_consistent(uint64_t from, uint64_t to,
                          const unsigned char from_root[KL_MERKLE_HASH_BYTES],
                          const unsigned char to_root[KL_MERKLE_HASH_BYTES],
                          const struct kl_merkle_hash *proof, size_t count)
{
    bool whole = from != 0 && (from & (from - 1)) == 0;
    unsigned char fr[KL_MERKLE_HASH_BYTES];
    unsigned char sr[KL_MERKLE_HASH_BYTES];
    uint64_t fn = from - 1;
    uint64_t sn = to - 1;
    size_t i = 0;

    if (from == 0 || from > to || count > KL_MERKLE_PROOF_MAX) {
        return false;
    }
    if (from == to) {
        return count == 0 && memcmp(from_root, to_root, sizeof fr) == 0;
    }
    if (!whole && count == 0) {
        return false;
    }
    /* The proof leaves out what the verifier has: the root of a perfect tree. */
    memcpy(fr, whole ? from_root : proof[0].bytes, sizeof fr);
    memcpy(sr, fr, sizeof sr);
    for (; (fn & 1) != 0; fn >>= 1) {
        sn >>= 1;
    }
    for (i = whole ? 0 : 1; i < count; i++) {
        if (sn == 0) {
            return false;
        }
        if ((fn & 1) != 0 || fn == sn) {
            kl_merkle_node(proof[i].bytes, fr, fr);
            kl_merkle_node(proof[i].bytes, sr, sr);
            while ((fn & 1) == 0 && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            kl_merkle_node(sr, proof[i].bytes, sr);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && memcmp(fr, from_root, sizeof fr) == 0 && memcmp(sr, to_root, sizeof sr) == 0;
}
