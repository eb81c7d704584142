/* RFC 9162, section 2.1, word for word and slowly: what the trees of the vault are held against. */
#ifndef TESTS_SUPPORT_MERKLE_NAIVE_H
#define TESTS_SUPPORT_MERKLE_NAIVE_H

#include "kluis/base/merkle.h"

#include <stddef.h>

/* leaves: hashes of leaves. MTH of 2.1.1 over n of them. */
void naive_root(const struct kl_merkle_hash *leaves, size_t n, struct kl_merkle_hash *ret);
/* PATH of 2.1.3.1 and PROOF of 2.1.4.1; how many hashes there are, at most KL_MERKLE_PROOF_MAX. */
size_t naive_path(size_t m, const struct kl_merkle_hash *leaves, size_t n,
                  struct kl_merkle_hash *ret);
size_t naive_proof(size_t m, const struct kl_merkle_hash *leaves, size_t n,
                   struct kl_merkle_hash *ret);

#endif
