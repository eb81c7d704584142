/*
 * An older data/ was put back: what the audit trails say about it. Only at
 * open, before anything else is written to a trail.
 */
#ifndef VAULT_RESTORED_H
#define VAULT_RESTORED_H

#include "vault/vault_internal.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether the trail of any tenant, or the vault's own, was longer once than data/ has it. KL_ERR_CORRUPT, KL_ERR_IO, KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_restored_trails(struct vault *vault, bool *ret_older,
                                                 struct kl_err *err);
/*
 * Go on with every trail behind all numbers that were ever given out (audit.h), each with an entry "data_restored": how many entries
 * data/ has, the last head that was known (entries, root hash, when), which numbers are lost, and the generations of the keys.
 * KL_ERR_UNAVAILABLE "audit_unavailable".
 */
KL_MUST_USE enum kl_status vault_restored_say(struct vault *vault, uint64_t data_generation,
                                              uint64_t generation, struct kl_err *err);

#endif
