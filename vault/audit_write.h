/*
 * What is told of a trail as JSON, in one form wherever it is: by the calls of
 * kluis/vault/trail.h, and beside a receipt. Hashes and keys are base64url.
 * Threads: any.
 */
#ifndef VAULT_AUDIT_WRITE_H
#define VAULT_AUDIT_WRITE_H

#include "kluis/base/json.h"
#include "vault/audit_proof.h"

#include <stddef.h>
#include <stdint.h>

/* key NULL: an element of an array. */
void vault_audit_add_hash(struct kl_json_out *out, const char *key,
                          const unsigned char hash[KL_MERKLE_HASH_BYTES]);
/* "hashes":[...] */
void vault_audit_add_hashes(struct kl_json_out *out, const struct vault_tree_proof *proof);
/*
 * {"tenant","entry"?,"leaf_index","size","leaf_hash","hashes":[...],"root_hash"}. entry: its id; NULL: it is not told. index and size as
 * vault_tree_inclusion(), whose errors these are.
 */
KL_MUST_USE enum kl_status vault_audit_inclusion_write(struct vault_tree_reader *reader,
                                                       const char *tenant_name,
                                                       const struct kl_id *entry, uint64_t index,
                                                       uint64_t size, struct kl_json_out *out,
                                                       struct kl_err *err);
/*
 * {"links":[...],"first_key","public_key","tenant"}: the chain of the signing keys (kluis/base/trail.h); of more than links_max (1 or more) changes
 * the newest, and first_key is then the key before these. ret is cleared first. KL_ERR_CORRUPT "signing_key_damaged"; KL_ERR_TOO_LARGE; as
 * vault_signing_with().
 */
KL_MUST_USE enum kl_status vault_audit_keys_write(struct kms *keys, uint64_t tenant,
                                                  const char *tenant_name, uint32_t links_max,
                                                  struct kl_buf *ret, struct kl_err *err);

#endif
