/*
 * Proving what the audit trail says to who does not trust the vault: its
 * entries in their exact bytes, and proofs of RFC 9162 (SHA-256) about its
 * signed heads.
 *
 * For a steward or auditor about their tenant's trail, an operator who names no tenant about the vault's own. A proof is hashes alone and leaves
 * no entry; that entries were read is one itself. Hashes are base64url.
 * Errors of every call, besides those named there: KL_ERR_FORBIDDEN "role_forbidden"; KL_ERR_UNAVAILABLE "audit_unavailable", "audit_tree_building" (data/ of
 * an older version is being made ready); KL_ERR_CORRUPT "audit_tile_damaged", "audit_lost_damaged"; KL_ERR_IO, KL_ERR_NO_MEMORY. ret is appended to, and as before on failure.
 * Threads: any.
 */
#ifndef KLUIS_VAULT_TRAIL_H
#define KLUIS_VAULT_TRAIL_H

#include "kluis/base/buf.h"
#include "kluis/base/id.h"
#include "kluis/base/status.h"
#include "kluis/vault/vault.h"

#include <stddef.h>
#include <stdint.h>

/* The text of entries that one page holds at most; a page has one entry at least. */
#define VAULT_TRAIL_PAGE_MAX_BYTES (1024 * 1024)

/*
 * That an entry is in the tree of that size: {"tenant","entry","leaf_index","size","leaf_hash","hashes":[...],"root_hash"}.
 *
 * entry  its id; NULL: the entry of number index ("entry" is then not told).
 * size   -1: of today.
 *
 * KL_ERR_NOT_FOUND "not_found": no entry has that id; "entry_pruned": none that is kept has, and entries went by the policy: they are proved by number. KL_ERR_INVALID "invalid_index": it is not below the size; "invalid_size": there never was
 * a tree of that size, or the entry is not in it.
 */
KL_MUST_USE enum kl_status vault_trail_inclusion(struct vault *vault,
                                                 const struct vault_caller *caller,
                                                 const struct kl_id *entry, int64_t index,
                                                 int64_t size, struct kl_buf *ret,
                                                 struct kl_err *err);
/*
 * That the tree of size to (-1: of today) begins with that of size from: {"tenant","from","to","from_root_hash","to_root_hash","hashes":[...]}. KL_ERR_INVALID
 * "invalid_range": 1 <= from <= to <= the size of today is not so.
 */
KL_MUST_USE enum kl_status vault_trail_consistency(struct vault *vault,
                                                   const struct vault_caller *caller, int64_t from,
                                                   int64_t to, struct kl_buf *ret,
                                                   struct kl_err *err);
/*
 * Entries by number, from from on: {"tenant","from","next","size","entries":[{"index","text","leaf_hash"}],"lost":[{"from","until"}]}. text is the entry as it was hashed
 * (null: its row is not there), leaf_hash what the stored tree has for it (null: it is damaged there); next is where to go on, size when there is no more. Numbers that are lost have no
 * entry, but for one that somebody put there: each is a leaf of the text {"lost":true}. Before "next" is "pruned": null, or {"until","entry","runs":[{"from","leaf_hashes":[...]}]}:
 * below until entries went by the policy, as entry (its id) says (kluis/base/trail_pruned.h); in the place of their texts are their leaf hashes (null: damaged), consecutive ones.
 *
 * limit  1..VAULT_PAGE_MAX. KL_ERR_INVALID "invalid_limit", "invalid_range": from lies behind the size. KL_ERR_FORBIDDEN "transfer": the credential's place is outside
 * the EEA, and the policy lets nothing go there.
 */
KL_MUST_USE enum kl_status vault_trail_entries(struct vault *vault,
                                               const struct vault_caller *caller, int64_t from,
                                               size_t limit, struct kl_buf *ret,
                                               struct kl_err *err);

/*
 * The keys that the trail's heads are and were signed with (kluis/base/trail.h): {"tenant","public_key","first_key","links":[...]}, each link as its JSON, from the first on.
 * KL_ERR_CORRUPT "signing_key_damaged": the chain does not lead from the first to the one in use.
 */
KL_MUST_USE enum kl_status vault_trail_keys(struct vault *vault, const struct vault_caller *caller,
                                            struct kl_buf *ret, struct kl_err *err);

/*
 * The signed heads of the trails that have grown since they were given last (at first: of every trail that was used since the vault was opened), for
 * whoever keeps them outside: {"store","tenant","size","root_hash","at","public_key","signature"}, without a line feed; trail is KMS_TENANT_VAULT or the tenant's number. Only what has reached the disk is in them. What
 * visit does not take (any other status than KL_OK) is given again; its first failure is returned when all were given. One call at a time, by the server itself: nobody is asked.
 */
typedef enum kl_status (*vault_head_visit)(void *context, uint64_t trail, struct kl_slice head,
                                           struct kl_err *err);
KL_MUST_USE enum kl_status vault_trail_heads(struct vault *vault, vault_head_visit visit,
                                             void *context, struct kl_err *err);

#endif
