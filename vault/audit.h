/*
 * The audit trail: one per tenant, append-only. An entry is a JSON text with
 * a random salt; its hash is an RFC 9162 leaf (SHA-256 of 0x00 and the
 * entry), and the trail's frontier is kept with it, so that inclusion and
 * consistency proofs need no other format.
 *
 * An entry says who did what to which slot, for which purpose, with what
 * result, from where, when; never a value, never a sub_ id, never a reason
 * in free text.
 */
#ifndef VAULT_AUDIT_H
#define VAULT_AUDIT_H

#include "kluis/base/buf.h"
#include "kluis/base/id.h"
#include "kluis/base/json.h"
#include "kluis/base/status.h"
#include "kluis/kms/kms.h"
#include "vault/store/store.h"

#include <stddef.h>
#include <stdint.h>

#define VAULT_AUDIT_ENTRY_MAX_BYTES 16384
#define VAULT_AUDIT_HASH_BYTES 32

/* An entry made, not yet placed in the trail. hash is its leaf hash. */
struct vault_audit_entry {
    uint64_t tenant;
    struct kl_buf json;
    unsigned char hash[VAULT_AUDIT_HASH_BYTES];
};

/*
 * Begin an entry: writes {"id":"aud_...","at":...,"salt":...,"action":...,"credential":...,"role":...,"request_id":...} and leaves the
 * object open, so that the caller adds members with the writer; vault_audit_end() closes and hashes it.
 */
#define VAULT_AUDIT_SALT_BYTES 16
struct vault_audit_who {
    const struct kl_id *credential; /* NULL: the vault itself */
    const char *role;
    const char *request_id; /* NULL: none */
    const char *location;   /* declared country; NULL: none */
    int64_t at_us;
};
void vault_audit_begin(struct vault_audit_entry *entry, uint64_t tenant,
                       const struct vault_audit_who *who, const char *action,
                       struct kl_json_out *ret_out);
KL_MUST_USE enum kl_status vault_audit_end(struct vault_audit_entry *entry, struct kl_json_out *out,
                                           struct kl_err *err);
void vault_audit_done(struct vault_audit_entry *entry);

/* The trail's state in memory; one for each tenant, read from the store at first use. Used by the commit's leader only, but for head. */
struct vault_trail;
struct vault_trails;
struct vault_trails *vault_trails_new(struct kms *keys, struct vault_store *store);
void vault_trails_free(struct vault_trails *trails);
/*
 * Append entries: their rows go into batch, in order. Entries of several tenants may be mixed. Not counted until
 * vault_trails_applied(true). KL_ERR_IO, KL_ERR_CORRUPT "audit_frontier_corrupt", KL_ERR_NO_MEMORY: nothing is added.
 */
KL_MUST_USE enum kl_status vault_trails_append(struct vault_trails *trails,
                                               const struct vault_audit_entry *const *entries,
                                               size_t count, struct vault_batch *batch,
                                               struct kl_err *err);
/* Put the frontiers of all trails that were appended to into batch; once, before it is applied. */
void vault_trails_frontiers(struct vault_trails *trails, struct vault_batch *batch);
/* The batch was applied (ok) or given up: then what was appended since never was. */
void vault_trails_applied(struct vault_trails *trails, bool ok);
/* How many entries a tenant's trail has. Any thread. */
KL_MUST_USE enum kl_status vault_trails_size(struct vault_trails *trails, uint64_t tenant,
                                             uint64_t *ret_size, struct kl_err *err);
/* The same, with the root hash (RFC 9162 section 2.1.1). Any thread. */
KL_MUST_USE enum kl_status vault_trails_root(struct vault_trails *trails, uint64_t tenant,
                                             uint64_t *ret_size,
                                             unsigned char ret_root[VAULT_AUDIT_HASH_BYTES],
                                             struct kl_err *err);

/*
 * The signed head: {"tenant","size","root_hash","at","public_key","signature"} appended to ret (ret as before on failure). Root hash as
 * RFC 9162 section 2.1.1; hashes, key and signature in base64url. Any thread.
 *
 * Signed (Ed25519, key of VAULT_SLOT_SIGNING under the label "audit-head") are these five lines, each ended by a line feed; none can hold one:
 *   kluis-audit-head-v1
 *   tenant's name
 *   size, decimal
 *   root_hash, as above
 *   at, as above
 */
#define VAULT_AUDIT_HEAD_LABEL "audit-head"
KL_MUST_USE enum kl_status vault_trails_head(struct vault_trails *trails, uint64_t tenant,
                                             const char *tenant_name, struct kl_buf *ret,
                                             struct kl_err *err);

#endif
