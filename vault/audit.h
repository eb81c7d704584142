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
#include "kluis/base/merkle.h"
#include "kluis/base/status.h"
#include "kluis/base/trail.h"
#include "kluis/kms/kms.h"
#include "vault/store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_AUDIT_ENTRY_MAX_BYTES 16384
#define VAULT_AUDIT_HASH_BYTES KL_MERKLE_HASH_BYTES

/*
 * What an entry means for whoever watches a credential's use (alerts.h): nothing, that somebody was shown, that something was refused.
 */
enum vault_audit_meaning {
    VAULT_AUDIT_MEANS_OTHER,
    VAULT_AUDIT_MEANS_SHOWN,
    VAULT_AUDIT_MEANS_REFUSED
};
struct vault_caller;
/*
 * An entry made, not yet placed in the trail. hash is its leaf hash, id the one that its text names. caller: whose use it is, outliving the
 * entry; NULL: nobody's who is watched. receipt: of the erasure that it is about, whose row then tells its number (vault_row_receipt_entry), outliving
 * the entry; NULL: none.
 */
struct vault_audit_entry {
    uint64_t tenant;
    struct kl_id id;
    const struct kl_id *receipt;
    const struct vault_caller *caller;
    enum vault_audit_meaning meaning;
    struct kl_buf json;
    unsigned char hash[VAULT_AUDIT_HASH_BYTES];
};

/*
 * Begin an entry: writes {"id":"aud_...","at":...,"salt":...,"action":...,"credential":...,"role":...,"request_id":...} and leaves the
 * object open, so that the caller adds members with the writer; the action is one of audit_action.h (asserted); vault_audit_end() closes and hashes it.
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
/* The batch was applied (ok), and it reached the disk (synced); or it was given up: then what was appended since never was. */
void vault_trails_applied(struct vault_trails *trails, bool ok, bool synced);
/*
 * What is known of a trail outside of data/ (audit_known.c), where no older data/ that is put back reaches. Beside the keys lie, for each
 * tenant, the last head ("VA": size, root hash, when) and a mark above every number that an entry was ever given ("VN", moved
 * VAULT_AUDIT_NUMBERS_BLOCK at a time by the leader, durably, before the first of them is used).
 *
 * A number is never given twice. When data/ turns out to be older than the trail, the numbers from its size up to the mark are lost: no
 * row is there, and in the tree each is a leaf of the text VAULT_AUDIT_LOST_ENTRY, so that the tree stays one tree of RFC 9162:
 * consistent with every head up to data/'s size, and every entry behind it can be proved. Which numbers are lost is kept in rows
 * (vault_row_lost) and said by the first entry behind them, "data_restored". A head of the lost part that somebody kept is consistent
 * with none that comes later: that entry names the last one known (its size and root hash), so that it can be told from a forgery.
 */
#define VAULT_AUDIT_NUMBERS_BLOCK UINT64_C(1048576)
#define VAULT_AUDIT_LOST_ENTRY KL_TRAIL_LOST_ENTRY
struct vault_trail_known {
    uint64_t size; /* 0: none is known */
    unsigned char root[VAULT_AUDIT_HASH_BYTES];
    int64_t at_us;
};
/* The last head known, all zero when there is none. KL_ERR_CORRUPT "audit_head_damaged", KL_ERR_IO, KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_trails_known(struct vault_trails *trails, uint64_t tenant,
                                              struct vault_trail_known *ret, struct kl_err *err);
/* The row that makes what is on the disk of a tenant's trail known: for kms_side_apply(). Errors of reading a trail. Any thread. */
#define VAULT_TRAIL_KNOWN_KEY_BYTES 10
#define VAULT_TRAIL_KNOWN_BYTES (1 + 8 + VAULT_AUDIT_HASH_BYTES + 8)
KL_MUST_USE enum kl_status vault_trails_known_row(
    struct vault_trails *trails, uint64_t tenant, int64_t at_us,
    unsigned char ret_key[VAULT_TRAIL_KNOWN_KEY_BYTES],
    unsigned char ret_row[VAULT_TRAIL_KNOWN_BYTES], struct kl_err *err);
/* Write the heads of all trails that grew since they were written last; not synced. One at a time. KL_ERR_IO. */
KL_MUST_USE enum kl_status vault_trails_known_put(struct vault_trails *trails, int64_t at_us,
                                                  struct kl_err *err);
/*
 * The leader's: count the numbers of a tenant that may have been used since this data/ was copied as lost; the next entry comes behind
 * them. ret_lost: how many; 0: none. Errors as vault_trails_append().
 */
KL_MUST_USE enum kl_status vault_trails_skip(struct vault_trails *trails, uint64_t tenant,
                                             struct vault_batch *batch, uint64_t *ret_lost,
                                             struct kl_err *err);
/* Below which number entries may have been given out; only while nobody commits. */
KL_MUST_USE enum kl_status vault_trails_numbers(struct vault_trails *trails, uint64_t tenant,
                                                uint64_t *ret_numbers, struct kl_err *err);
/* How many entries a tenant's trail has, the lost ones too. Any thread. */
KL_MUST_USE enum kl_status vault_trails_size(struct vault_trails *trails, uint64_t tenant,
                                             uint64_t *ret_size, struct kl_err *err);
/* The tree of all that was committed; durable: that reached the disk. Any thread. */
KL_MUST_USE enum kl_status vault_trails_tree(struct vault_trails *trails, uint64_t tenant,
                                             bool durable, struct kl_merkle_tree *ret_tree,
                                             struct kl_err *err);
/* Its size, with the root hash (RFC 9162 section 2.1.1). Any thread. */
KL_MUST_USE enum kl_status vault_trails_root(struct vault_trails *trails, uint64_t tenant,
                                             uint64_t *ret_size,
                                             unsigned char ret_root[VAULT_AUDIT_HASH_BYTES],
                                             struct kl_err *err);

/* The signed head as JSON (kluis/base/trail.h), by the tenant's signing key (signing.h), appended to ret (as before on failure). Any thread. */
KL_MUST_USE enum kl_status vault_trails_head(struct vault_trails *trails, uint64_t tenant,
                                             const char *tenant_name, struct kl_buf *ret,
                                             struct kl_err *err);
/* The same of that tree. */
KL_MUST_USE enum kl_status vault_trails_head_of(struct vault_trails *trails, uint64_t tenant,
                                                const char *tenant_name,
                                                const struct kl_merkle_tree *tree,
                                                struct kl_buf *ret, struct kl_err *err);

#endif
