/*
 * Where everything lies in a store: the keys of all rows. Numbers are
 * big-endian, so that ranges read in order. No natural identifier is ever
 * part of a key: an LSM tree keeps keys in its manifest, index and logs.
 *
 *   'M' name                              meta: "stamp", "noted" (key generation whose notes are done), "prepared",
 *                                         "unicode" (the version the index was made with)
 *   'M' "verified", "verified" backup16   what a verified backup holds the successors of, and when each was verified (backup.h)
 *   'M' "restored"                        data/ was put back from this backup and not opened since (restore.h)
 *   'M' "index" tenant8                   the tenant's index: epoch, address slot; those of the one being built (index_epochs.c)
 *   'M' "index-old" tenant8 epoch4 part4  an index that is over, for a sweep to shred: its address slot (and others); its buckets' are in 'B'
 *   'M' "journal" tenant8                 up to which number data/ has the closings of the journal (journal.h)
 *   'M' "lost" tenant8 from8              numbers of the trail that were lost with a newer data/: until which (audit.h)
 *   'M' "tiles" tenant8                   how many entries of the trail the stored tree ('G') and the index ('J') cover
 *   'M' "audit-index" tenant8             below which block of the trail the search index ('K') is whole (audit_index.h)
 *   'M' "audit-index-pruned" tenant8      below which block the search index was dropped, with the entries
 *   'M' "pruned" tenant8                  below which number entries of the trail went by the policy's period (pruned.h)
 *   'M' "unswept" tenant8                 something was erased, removed or rectified since the last new index was begun
 *   'M' "horizon" tenant8                 nothing overwritten before horizon8 can be read; last8, when a sweep last came to its end
 *   'M' "sweep-night", "retention-night", "prune-night"  when the last nightly sweep, search for what is due, or pruning of trails, was started
 *   'M' "unconfirmed" tenant8 er16        a receipt that waits for a mirror: for which generation
 *   'T' name                              tenant (JSON)
 *   'P' tenant8 version8                  policy text with its header; version 0 holds the number of the one in force
 *   'C' mac32                             credential by keyed hash of its token or certificate: keyed hash, JSON
 *   'D' tenant8 cred16                    credential's row in 'C'
 *   'H' tenant8 slot8                     head of a subject: counters in clear, manifest sealed
 *   'V' tenant8 slot8 value8              a sealed value
 *   'L' tenant8 slot8 value8              where the bytes of a value of type file lie: id8 of the file in files/, size8 of its plaintext (files.h)
 *   'O' tenant8 time8 slot8 value8        a value slot no longer in use, waiting for the sweep: epoch4 + 1 of the newest index that its
 *                                         value was in, 0 for none
 *   'B' tenant8 epoch4 depth1 prefix8 version4 seq1   bucket of the index; version 0: it was split (index_rows.h)
 *   'A' tenant8 seq8                      audit entry (JSON)
 *   'F' tenant8                           the trail's frontier: size and the hashes of its perfect subtrees
 *   'G' tenant8 level1 tile8              256 hashes of the trail's tree, of height 8 * level; fewer at its right edge; level 255: its last leaves (audit_tiles.h)
 *   'J' tenant8 aud8 seq8                 the number of an entry, by the first half of its id; empty
 *   'K' tenant8 block8 kind1 bucket1      where in a block of the trail which terms are (audit_postings.h)
 *   'E' tenant8 er16                      receipt (signed JSON)
 *   'e' tenant8 er16                      the number of the audit entry of that erasure
 *   'U' tenant8 from8 rev16               a review of the trail from entry from8 on, sealed (review_row.h)
 *   'I' tenant8 mac16                     idempotency: slot and value in clear, answer sealed
 *   'w' tenant8 slot8 kind1 value8        a row 'H', 'V' or 'L' of a subject that is being sealed anew (values.h)
 *   'Q' tenant8 slot8 kind1 id16          what lies beside a subject's records, and in which value slot: kind 'r' a request; 'd' the ledger of
 *                                         disclosures, without an id (aside.h)
 *   'q' tenant8 'a' due8 req16            an open request by its deadline: its subject's slot8; 'b': of one that is closed
 *   'q' tenant8 'i' req16                 a request by its id: its subject's slot8
 *   'N' tenant8 hook16 number8            an event that waits for a webhook (webhook_text.h)
 *   'R' tenant8 id16                      job (job.c), under the vault's own tenant; a rotation of the root is JSON
 */
#ifndef VAULT_ROWS_H
#define VAULT_ROWS_H

#include "kluis/base/buf.h"
#include "kluis/base/id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_ROW_KEY_MAX_BYTES 128

/*
 * A key being built; slice() gives it. Lives on the stack. A name may have at most VAULT_ROW_NAME_MAX_BYTES (an assert).
 * What a function below leaves out at its end, its caller may cut off as well (size): all heads of a tenant are the first 9 bytes of
 * vault_row_head(tenant, 0).
 */
#define VAULT_ROW_NAME_MAX_BYTES 100
struct vault_row_key {
    unsigned char bytes[VAULT_ROW_KEY_MAX_BYTES];
    size_t size;
};
struct kl_slice vault_row_slice(const struct vault_row_key *key);

struct vault_row_key vault_row_meta(const char *name);
struct vault_row_key vault_row_index(uint64_t tenant);
struct vault_row_key vault_row_index_old(uint64_t tenant, uint32_t epoch, uint32_t part);
struct vault_row_key vault_row_journal(uint64_t tenant);
struct vault_row_key vault_row_lost(uint64_t tenant, uint64_t from);
struct vault_row_key vault_row_tiled(uint64_t tenant);
struct vault_row_key vault_row_audit_indexed(uint64_t tenant);
struct vault_row_key vault_row_audit_index_pruned(uint64_t tenant);
struct vault_row_key vault_row_pruned(uint64_t tenant);
struct vault_row_key vault_row_unswept(uint64_t tenant);
struct vault_row_key vault_row_horizon(uint64_t tenant);
struct vault_row_key vault_row_unconfirmed(uint64_t home, const struct kl_id *receipt);
struct vault_row_key vault_row_tenant(const char *name);
struct vault_row_key vault_row_policy(uint64_t tenant, uint64_t version);
struct vault_row_key vault_row_credential(const unsigned char mac[32]);
struct vault_row_key vault_row_credential_id(uint64_t tenant, const struct kl_id *credential);
struct vault_row_key vault_row_head(uint64_t tenant, uint64_t slot);
struct vault_row_key vault_row_value(uint64_t tenant, uint64_t slot, uint64_t value);
struct vault_row_key vault_row_file(uint64_t tenant, uint64_t slot, uint64_t value);
struct vault_row_key vault_row_old(uint64_t tenant, int64_t time_us, uint64_t slot, uint64_t value);
struct vault_row_key vault_row_bucket(uint64_t tenant, uint32_t epoch, uint8_t depth,
                                      uint64_t prefix, uint32_t version, uint8_t seq);
struct vault_row_key vault_row_audit(uint64_t tenant, uint64_t seq);
struct vault_row_key vault_row_frontier(uint64_t tenant);
struct vault_row_key vault_row_tile(uint64_t tenant, uint8_t level, uint64_t tile);
struct vault_row_key vault_row_audit_id(uint64_t tenant, const struct kl_id *entry, uint64_t seq);
struct vault_row_key vault_row_postings(uint64_t tenant, uint64_t block, uint8_t kind,
                                        uint8_t bucket);
struct vault_row_key vault_row_receipt(uint64_t tenant, const struct kl_id *receipt);
struct vault_row_key vault_row_receipt_entry(uint64_t tenant, const struct kl_id *receipt);
struct vault_row_key vault_row_review(uint64_t tenant, uint64_t from, const struct kl_id *review);
struct vault_row_key vault_row_idempotency(uint64_t tenant, const unsigned char mac[16]);
/* kind, and the id of what there may be more than one of (NULL: none). */
struct vault_row_key vault_row_aside(uint64_t tenant, uint64_t slot, char kind,
                                     const struct kl_id *id);
struct vault_row_key vault_row_request(uint64_t tenant, const struct kl_id *request);
/* due_us is not negative. */
struct vault_row_key vault_row_request_due(uint64_t tenant, bool open, int64_t due_us,
                                           const struct kl_id *request);
struct vault_row_key vault_row_waiting(uint64_t tenant, const struct kl_id *webhook,
                                       uint64_t number);
struct vault_row_key vault_row_rotation(uint64_t tenant, const struct kl_id *rotation);
/*
 * What the keys of all rows of a tenant start with, but its own 'T' and the 'C' of its credentials: i counts from 0. False: there are no
 * more. A row of a new kind that has the tenant behind its first byte, or a meta row that ends with it, gets a place in its lists (rows.c).
 */
bool vault_row_tenant_prefix(uint64_t tenant, size_t i, struct vault_row_key *ret);
struct vault_row_key vault_row_beside(uint64_t tenant, uint64_t slot, uint8_t kind, uint64_t value);
/* The first key behind all keys that start with prefix: for ranges. Empty (to the end) when every byte of it is 0xff. */
struct vault_row_key vault_row_past(const struct vault_row_key *prefix);

/* A tenant's own slots in its tree (below KMS_TENANT_OWN_SLOTS). */
enum vault_own_slot {
    VAULT_SLOT_SIGNING =
        0, /* Ed25519 seed: receipts and tree heads, in turns with VAULT_SLOT_SIGNING_TURN (signing.h) */
    VAULT_SLOT_ADDRESS = 1,    /* bucket addresses of epoch 0 */
    VAULT_SLOT_MAC = 2,        /* idempotency keys, cursors, fingerprints */
    VAULT_SLOT_CREDENTIAL = 3, /* in the vault's own tenant: hashes of tokens */
    VAULT_SLOT_JOURNAL = 4,    /* closings that are about no subject */
    VAULT_SLOT_REMARKS = 5,    /* reviews of the trail, and why credentials were made (remark.h) */
    VAULT_SLOT_SIGNING_TURN = 6
};

#endif
