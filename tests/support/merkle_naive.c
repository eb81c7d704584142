#include "tests/support/merkle_naive.h"

#include <sodium.h>
#include <stdbool.h>
#include <string.h>

static size_t split(size_t n)
{
    size_t k = 1;
    while (k * 2 < n) {
        k *= 2;
    }
    return k;
}

void naive_root(const struct kl_merkle_hash *leaves, size_t n, struct kl_merkle_hash *ret)
{
    struct kl_merkle_hash half[2];
    unsigned char both[1 + sizeof half] = {0x01};

    if (n == 0) {
        crypto_hash_sha256(ret->bytes, NULL, 0);
        return;
    }
    if (n == 1) {
        *ret = leaves[0];
        return;
    }
    naive_root(leaves, split(n), &half[0]);
    naive_root(leaves + split(n), n - split(n), &half[1]);
    memcpy(both + 1, half, sizeof half);
    crypto_hash_sha256(ret->bytes, both, sizeof both);
}

size_t naive_path(size_t m, const struct kl_merkle_hash *leaves, size_t n,
                  struct kl_merkle_hash *ret)
{
    size_t k = split(n);
    size_t count;

    if (n == 1) {
        return 0;
    }
    if (m < k) {
        count = naive_path(m, leaves, k, ret);
        naive_root(leaves + k, n - k, &ret[count]);
    } else {
        count = naive_path(m - k, leaves + k, n - k, ret);
        naive_root(leaves, k, &ret[count]);
    }
    return count + 1;
}

static size_t subproof(size_t m, const struct kl_merkle_hash *leaves, size_t n, bool b,
                       struct kl_merkle_hash *ret)
{
    size_t k = split(n);
    size_t count;

    if (m == n) {
        naive_root(leaves, m, ret);
        return b ? 0 : 1;
    }
    if (m <= k) {
        count = subproof(m, leaves, k, b, ret);
        naive_root(leaves + k, n - k, &ret[count]);
    } else {
        count = subproof(m - k, leaves + k, n - k, false, ret);
        naive_root(leaves, k, &ret[count]);
    }
    return count + 1;
}

size_t naive_proof(size_t m, const struct kl_merkle_hash *leaves, size_t n,
                   struct kl_merkle_hash *ret)
{
    return subproof(m, leaves, n, true, ret);
}
