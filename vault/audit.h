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
struct vault_audit_who {
    const struct kl_id *credential; /* NULL: the vault itself */
    const char *role;
    const char *request_id;         /* NULL: none */
    const char *location;           /* declared country; NULL: none */
    int64_t at_us;
};
void vault_audit_begin(struct vault_audit_entry *entry, uint64_t tenant, const struct vault_audit_who *who,
                       const char *action, struct kl_json_out *ret_out);
KL_MUST_USE enum kl_status vault_audit_end(struct vault_audit_entry *entry, struct kl_json_out *out, struct kl_err *err);
void vault_audit_done(struct vault_audit_entry *entry);

/* The trail's state in memory; one for each tenant, read from the store at first use. Used by the commit's leader only, but for head. */
struct vault_trail;
struct vault_trails;
struct vault_trails *vault_trails_new(struct kms *keys, struct vault_store *store);
void vault_trails_free(struct vault_trails *trails);
/* Append entries of one tenant: rows and the new frontier go into batch. Not counted until vault_trails_applied(true). */
KL_MUST_USE enum kl_status vault_trails_append(struct vault_trails *trails, const struct vault_audit_entry *const *entries,
                                               size_t count, struct vault_batch *batch, struct kl_err *err);
void vault_trails_applied(struct vault_trails *trails, bool ok);

/* The signed head: {"tenant","size","root_hash","at","public_key","signature"} appended to ret. Root hash as RFC 9162 section 2.1.1. Any thread. */
KL_MUST_USE enum kl_status vault_trails_head(struct vault_trails *trails, uint64_t tenant, const char *tenant_name,
                                             struct kl_buf *ret, struct kl_err *err);

#endif
