/*
 * Buckets as rows: where they lie, how they are sealed, how one is found.
 *
 * A bucket is named by depth and prefix: the first `depth` bits of the tags it holds, left-aligned in 64 bits. Its rows, by version and seq:
 *
 *   version 0, seq 0        it was split, the two at depth + 1 took over: slot 8 (the key it was under; 0: none, or rekeyed since)
 *   version v >= 1, seq 0   base: slot 8 in clear, then sealed content
 *   version v, seq 1, 2...  deltas, sealed; at most VAULT_BUCKET_DELTAS_MAX
 *
 * All versions of a bucket are under one slot. A rekeyed bucket's next version is written beside the one before; whichever opens
 * with the slot's key of now is the one that counts. A missing bucket right below a split one is empty.
 * The context of a seal is "bucket", epoch 4, depth 1, prefix 8, version 4, seq 1; tenant and slot are bound by kms.
 */
#ifndef VAULT_INDEX_ROWS_H
#define VAULT_INDEX_ROWS_H

#include "kluis/base/buf.h"
#include "kluis/base/status.h"
#include "kluis/kms/kms.h"
#include "vault/index_bucket.h"
#include "vault/rows.h"
#include "vault/store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_BUCKET_DEPTH_MAX 64
/* 'B' tenant8 epoch4 depth1 prefix8: what all rows of one bucket start with. */
#define VAULT_BUCKET_KEY_PREFIX_BYTES 22

struct vault_bucket_address {
    uint64_t tenant;
    uint32_t epoch;
    uint8_t depth;
    uint64_t prefix;
};
/* The first 64 bits of a tag. */
uint64_t vault_tag_bits(const unsigned char tag[VAULT_TAG_BYTES]);
/* The address at depth of the bucket that a tag belongs to. */
struct vault_bucket_address vault_bucket_address(uint64_t tenant, uint32_t epoch, uint8_t depth,
                                                 uint64_t tag_bits);
int vault_bucket_address_compare(const struct vault_bucket_address *a,
                                 const struct vault_bucket_address *b);
/* Whether tags that start with these bits belong to that bucket or below it. */
bool vault_bucket_covers(const struct vault_bucket_address *at, uint64_t tag_bits);
struct vault_row_key vault_bucket_key(const struct vault_bucket_address *at, uint32_t version,
                                      uint8_t seq);

enum vault_bucket_state { VAULT_BUCKET_ABSENT, VAULT_BUCKET_SPLIT, VAULT_BUCKET_LEAF };

/*
 * What the rows of one bucket say.
 * slot      LEAF: its key's slot. SPLIT: the slot it was under, 0 for none.
 * version   LEAF: the one that opened; deltas: its last seq.
 * highest   the highest version of which there is a row.
 * watched   the last seq of the version asked for, 0 when there is none.
 */
struct vault_bucket_rows {
    enum vault_bucket_state state;
    uint64_t slot;
    uint32_t version;
    uint32_t highest;
    uint8_t deltas;
    uint8_t watched;
    struct vault_bucket content;
};
void vault_bucket_rows_done(struct vault_bucket_rows *rows);

/* An iterator over all buckets of an index: one consistent view. NULL when out of memory. */
struct vault_iter *vault_bucket_iter(struct vault_store *store, uint64_t tenant, uint32_t epoch);
/* Move to the bucket's first row. False when it has none. */
bool vault_bucket_first(struct vault_iter *iter, const struct vault_bucket_address *at,
                        uint32_t *ret_version, uint8_t *ret_seq, struct kl_slice *ret_value);
/* The next row of the same bucket. */
bool vault_bucket_next(struct vault_iter *iter, const struct vault_bucket_address *at,
                       uint32_t *ret_version, uint8_t *ret_seq, struct kl_slice *ret_value);

/*
 * Read and open a bucket. watch: a version to look out for; 0: none.
 * KL_ERR_CORRUPT "index_bucket_corrupt": there are rows and no version opens: damage, or a view from before a rekey that has just been
 * published (look again with a new view). Others as kms_unseal, and KL_ERR_IO.
 */
KL_MUST_USE enum kl_status vault_bucket_load(struct kms *keys, struct vault_iter *iter,
                                             const struct vault_bucket_address *at, uint32_t watch,
                                             struct vault_bucket_rows *ret_rows,
                                             struct kl_err *err);

/* Says what is at an address; for vault_bucket_locate(). */
typedef enum kl_status (*vault_bucket_probe)(void *context, const struct vault_bucket_address *at,
                                             enum vault_bucket_state *ret_state,
                                             struct kl_err *err);
/*
 * Find the bucket that a tag belongs to, from a depth where it is likely to be: the one that is a leaf, or the missing one that would be.
 * The last call of probe was for it.
 */
KL_MUST_USE enum kl_status vault_bucket_locate(uint64_t tenant, uint32_t epoch, uint64_t tag_bits,
                                               uint8_t likely_depth, vault_bucket_probe probe,
                                               void *context, struct vault_bucket_address *ret_at,
                                               struct kl_err *err);

/* What seals: keys as they are now, or (staged not NULL) as they are about to be. */
struct vault_bucket_sealer {
    struct kms *keys;
    struct kms_staged *staged;
};
/* Put the row of a base or a delta (seq 0 or above) of that plaintext into batch. Errors as kms_seal; nothing is put then. */
KL_MUST_USE enum kl_status vault_bucket_put(const struct vault_bucket_sealer *sealer,
                                            const struct vault_bucket_address *at, uint64_t slot,
                                            uint32_t version, uint8_t seq,
                                            struct kl_slice plaintext, struct vault_batch *batch,
                                            struct kl_err *err);
void vault_bucket_put_split(const struct vault_bucket_address *at, uint64_t slot,
                            struct vault_batch *batch);

#endif
