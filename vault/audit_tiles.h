/*
 * The stored tree of a trail: the hashes of its perfect subtrees of heights
 * 0, 8, 16, ... in tiles of 256, as C2SP's tlog-tiles has them, so that every
 * hash of the tree is had from one row and a proof reads O(log n) rows.
 *
 * Row 'G' level tile: up to 256 hashes of height 8 * level, from number 256 * tile on. A tile is written with the batch of the entry
 * that fills it. At the right edge a tile of level 0 has no row until then; one of a higher level is written again
 * with every hash that it gains, which happens once in 256 entries. A tile whose leaves are all lost numbers of one range has no row either: it
 * says nothing. So 32.1 bytes of an entry are in tiles, and half of that again is written for edges.
 *
 * Row 'G' 255 n, n below 256: number8 and hash of the last leaf whose number is n modulo 256, but for lost ones. So the leaves of the tile that is
 * not full are known without the entries, and one that is edited is told from the others.
 *
 * Row 'M' "tiles" says how many entries they cover: all of the trail, but for a data/ that an older version wrote (audit_stored.c).
 *
 * Threads: an edge belongs to one; the rest any.
 */
#ifndef VAULT_AUDIT_TILES_H
#define VAULT_AUDIT_TILES_H

#include "kluis/base/merkle.h"
#include "kluis/base/status.h"
#include "vault/audit_leaves.h"
#include "vault/store/store.h"

#include <stddef.h>
#include <stdint.h>

#define VAULT_TILE_HEIGHT 8
#define VAULT_TILE_WIDTH 256
#define VAULT_TILE_LEVELS 8
#define VAULT_TILE_MAX_BYTES (VAULT_TILE_WIDTH * KL_MERKLE_HASH_BYTES)

struct vault_tile {
    uint64_t index;
    size_t count;
    unsigned char hashes[VAULT_TILE_WIDTH][KL_MERKLE_HASH_BYTES];
};
/* KL_ERR_NOT_FOUND (err as it was): there is no such row. KL_ERR_CORRUPT "audit_tile_damaged", KL_ERR_IO, KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_tile_read(struct vault_store *store, uint64_t tenant,
                                           unsigned level, uint64_t index, struct vault_tile *ret,
                                           struct kl_err *err);
/* The root over 2^height of them, at most a tile; hashes is left as it is. */
void vault_tile_root(const unsigned char (*hashes)[KL_MERKLE_HASH_BYTES], unsigned height,
                     unsigned char ret_root[KL_MERKLE_HASH_BYTES]);

/* The leaves of the last tile of level 0 that is not full, of a tree of that size. Errors as vault_tile_read(), without KL_ERR_NOT_FOUND. */
KL_MUST_USE enum kl_status vault_tile_last(struct vault_store *store, uint64_t tenant,
                                           const struct vault_lost *lost, uint64_t size,
                                           struct vault_tile *ret, struct kl_err *err);

/* The right edge of a tree that grows. */
struct vault_edge;
/* The edge at size, up to which tiles are written. Errors as vault_tile_last(), and "audit_lost_damaged". */
KL_MUST_USE enum kl_status vault_edge_new(struct vault_store *store, uint64_t tenant, uint64_t size,
                                          struct vault_edge **ret_edge, struct kl_err *err);
void vault_edge_free(struct vault_edge *edge); /* NULL is fine */
uint64_t vault_edge_size(const struct vault_edge *edge);
/*
 * Append the same leaf count times (more than once: lost numbers). Tiles that it fills go into batch. KL_ERR_CORRUPT "audit_tile_damaged", KL_ERR_IO,
 * KL_ERR_NO_MEMORY: a tile of the edge cannot be read; the edge is of no more use.
 */
KL_MUST_USE enum kl_status vault_edge_push(struct vault_edge *edge,
                                           const unsigned char leaf[KL_MERKLE_HASH_BYTES],
                                           uint64_t count, struct vault_batch *batch,
                                           struct kl_err *err);
/* What was pushed since: the tiles that are not full, and how far they cover. Once for a batch, before it is applied. */
void vault_edge_put(struct vault_edge *edge, struct vault_batch *batch);
/* How many entries the stored tree covers; 0 without the row. KL_ERR_CORRUPT "audit_tile_damaged", KL_ERR_IO. */
KL_MUST_USE enum kl_status vault_tiled_read(struct vault_store *store, uint64_t tenant,
                                            uint64_t *ret_size, struct kl_err *err);

#endif
