#include "vault/audit_tiles.h"

#include "vault/audit_leaves.h"
#include "vault/rows.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define LAST_LEVEL 255
#define LAST_BYTES (8 + KL_MERKLE_HASH_BYTES)

static enum kl_status damaged(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_CORRUPT, "audit_tile_damaged",
                   "the stored tree of the audit trail is damaged", NULL);
}

/* A row of at most max bytes. KL_ERR_NOT_FOUND: there is none, and err is as it was. */
static enum kl_status row_get(struct vault_store *store, const struct vault_row_key *key,
                              size_t max, struct kl_buf *ret, struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status;

    kl_buf_init(ret, max);
    status = vault_store_get(store, vault_row_slice(key), ret, &cause);
    if (status == KL_ERR_TOO_LARGE) {
        return damaged(err);
    }
    if (status != KL_OK && status != KL_ERR_NOT_FOUND) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    return status;
}

/* ---- a tile ---- */

enum kl_status vault_tile_read(struct vault_store *store, uint64_t tenant, unsigned level,
                               uint64_t index, struct vault_tile *ret, struct kl_err *err)
{
    struct vault_row_key key = vault_row_tile(tenant, (uint8_t)level, index);
    struct kl_buf row = {0};
    enum kl_status status = row_get(store, &key, VAULT_TILE_MAX_BYTES, &row, err);

    if (status == KL_OK && (row.size == 0 || row.size % KL_MERKLE_HASH_BYTES != 0)) {
        status = damaged(err);
    }
    if (status == KL_OK) {
        ret->index = index;
        ret->count = row.size / KL_MERKLE_HASH_BYTES;
        memcpy(ret->hashes, row.bytes, row.size);
    }
    kl_buf_done(&row);
    return status;
}

static struct vault_row_key last_key(uint64_t tenant, uint64_t number)
{
    return vault_row_tile(tenant, LAST_LEVEL, number % VAULT_TILE_WIDTH);
}

static void last_put(uint64_t tenant, uint64_t number,
                     const unsigned char leaf[KL_MERKLE_HASH_BYTES], struct vault_batch *batch)
{
    struct vault_row_key key = last_key(tenant, number);
    unsigned char row[LAST_BYTES];

    kl_put_u64be(row, number);
    memcpy(row + 8, leaf, KL_MERKLE_HASH_BYTES);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(row, sizeof row));
}

/* Leaves of the numbers that there is a row for; ret_there says which. */
static enum kl_status last_rows(struct vault_store *store, uint64_t tenant, uint64_t first,
                                struct vault_tile *tile, bool ret_there[VAULT_TILE_WIDTH],
                                struct kl_err *err)
{
    struct vault_row_key from = last_key(tenant, 0);
    struct vault_row_key past = vault_row_tile(tenant, LAST_LEVEL, VAULT_TILE_WIDTH);
    struct vault_iter *iter =
        vault_iter_new(store, vault_row_slice(&from), vault_row_slice(&past), false);
    struct kl_slice key;
    struct kl_slice row;
    enum kl_status status;

    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    while (vault_iter_next(iter, &key, &row)) {
        uint64_t at = row.size == LAST_BYTES ? kl_get_u64be(row.bytes) - first : VAULT_TILE_WIDTH;

        if (at < VAULT_TILE_WIDTH) {
            memcpy(tile->hashes[at], row.bytes + 8, KL_MERKLE_HASH_BYTES);
            ret_there[at] = true;
        }
    }
    status = vault_iter_status(iter, err);
    vault_iter_free(iter);
    return status;
}

enum kl_status vault_tile_last(struct vault_store *store, uint64_t tenant,
                               const struct vault_lost *lost, uint64_t size, struct vault_tile *ret,
                               struct kl_err *err)
{
    bool there[VAULT_TILE_WIDTH] = {false};
    enum kl_status status = KL_OK;

    ret->index = size / VAULT_TILE_WIDTH;
    ret->count = (size_t)(size % VAULT_TILE_WIDTH);
    if (ret->count == 0) {
        return KL_OK;
    }
    status = last_rows(store, tenant, ret->index * VAULT_TILE_WIDTH, ret, there, err);
    for (size_t i = 0; status == KL_OK && i < ret->count; i++) {
        if (vault_lost_at(lost, ret->index * VAULT_TILE_WIDTH + i) != NULL) {
            vault_lost_leaf(ret->hashes[i]);
        } else if (!there[i]) {
            status = damaged(err);
        }
    }
    return status;
}

static void tile_put(uint64_t tenant, unsigned level, const struct vault_tile *tile,
                     struct vault_batch *batch)
{
    struct vault_row_key key = vault_row_tile(tenant, (uint8_t)level, tile->index);

    vault_batch_put(batch, vault_row_slice(&key),
                    kl_slice_of(tile->hashes, tile->count * KL_MERKLE_HASH_BYTES));
}

void vault_tile_root(const unsigned char (*hashes)[KL_MERKLE_HASH_BYTES], unsigned height,
                     unsigned char ret_root[KL_MERKLE_HASH_BYTES])
{
    unsigned char work[VAULT_TILE_WIDTH][KL_MERKLE_HASH_BYTES];
    size_t count = (size_t)1 << height;

    assert(height <= VAULT_TILE_HEIGHT);
    memcpy(work, hashes, count * KL_MERKLE_HASH_BYTES);
    for (; count > 1; count /= 2) {
        for (size_t i = 0; i < count / 2; i++) {
            kl_merkle_node(work[2 * i], work[2 * i + 1], work[i]);
        }
    }
    memcpy(ret_root, work[0], KL_MERKLE_HASH_BYTES);
}

enum kl_status vault_tiled_read(struct vault_store *store, uint64_t tenant, uint64_t *ret_size,
                                struct kl_err *err)
{
    struct vault_row_key key = vault_row_tiled(tenant);
    struct kl_buf row = {0};
    enum kl_status status = row_get(store, &key, 8, &row, err);

    if (status == KL_OK && row.size != 8) {
        status = damaged(err);
    }
    if (status == KL_OK || status == KL_ERR_NOT_FOUND) {
        *ret_size = status == KL_OK ? kl_get_u64be(row.bytes) : 0;
        status = KL_OK;
    }
    kl_buf_done(&row);
    return status;
}

/* ---- the edge ---- */

/* Tiles that are not full. Level 0 is always there; a higher one from its first hash of a batch until that is put: then its row has it. */
struct vault_edge {
    struct vault_store *store;
    uint64_t tenant;
    uint64_t size;
    struct vault_tile *levels[VAULT_TILE_LEVELS];
};

enum kl_status vault_edge_new(struct vault_store *store, uint64_t tenant, uint64_t size,
                              struct vault_edge **ret_edge, struct kl_err *err)
{
    struct vault_edge *edge = calloc(1, sizeof *edge);
    struct vault_tile *leaves = calloc(1, sizeof *leaves);
    struct vault_lost lost = {0};
    enum kl_status status = KL_OK;

    if (edge == NULL || leaves == NULL) {
        free(edge);
        free(leaves);
        return kl_fail_memory(err);
    }
    *edge = (struct vault_edge){.store = store, .tenant = tenant, .size = size};
    edge->levels[0] = leaves;
    if (size % VAULT_TILE_WIDTH != 0) {
        status = vault_lost_read(store, tenant, &lost, err);
    }
    if (status == KL_OK) {
        status = vault_tile_last(store, tenant, &lost, size, leaves, err);
    }
    vault_lost_done(&lost);
    if (status != KL_OK) {
        vault_edge_free(edge);
        return status;
    }
    *ret_edge = edge;
    return KL_OK;
}

void vault_edge_free(struct vault_edge *edge)
{
    if (edge == NULL) {
        return;
    }
    for (size_t i = 0; i < VAULT_TILE_LEVELS; i++) {
        free(edge->levels[i]);
    }
    free(edge);
}

uint64_t vault_edge_size(const struct vault_edge *edge)
{
    return edge->size;
}

/* The tile that the next hash of a level goes to. Nothing has come to a level that is not there since edge->size was what it is. */
static enum kl_status level_get(struct vault_edge *edge, unsigned level, struct vault_tile **ret,
                                struct kl_err *err)
{
    uint64_t count = edge->size >> (VAULT_TILE_HEIGHT * level);
    size_t filled = (size_t)(count % VAULT_TILE_WIDTH);
    struct vault_tile *tile = edge->levels[level];
    enum kl_status status = KL_OK;

    if (tile == NULL) {
        tile = calloc(1, sizeof *tile);
        if (tile == NULL) {
            return kl_fail_memory(err);
        }
        tile->index = count / VAULT_TILE_WIDTH;
        edge->levels[level] = tile;
        if (filled > 0) {
            status = vault_tile_read(edge->store, edge->tenant, level, tile->index, tile, err);
            if (status == KL_ERR_NOT_FOUND || (status == KL_OK && tile->count != filled)) {
                status = damaged(err);
            }
        }
    }
    if (status == KL_OK) {
        *ret = tile;
    }
    return status;
}

static void equal_root(const unsigned char hash[KL_MERKLE_HASH_BYTES],
                       unsigned char ret_root[KL_MERKLE_HASH_BYTES])
{
    memcpy(ret_root, hash, KL_MERKLE_HASH_BYTES);
    for (int i = 0; i < VAULT_TILE_HEIGHT; i++) {
        kl_merkle_node(ret_root, ret_root, ret_root);
    }
}

/* How many of count go into the tile as it is; a tile that comes to be full is written, and *ret_root is what goes up. */
static size_t fill(struct vault_edge *edge, unsigned level, struct vault_tile *tile,
                   const unsigned char hash[KL_MERKLE_HASH_BYTES], uint64_t count,
                   struct vault_batch *batch, unsigned char ret_root[KL_MERKLE_HASH_BYTES])
{
    size_t room = VAULT_TILE_WIDTH - tile->count;
    size_t taken = count < room ? (size_t)count : room;

    for (size_t i = 0; i < taken; i++) {
        memcpy(tile->hashes[tile->count++], hash, KL_MERKLE_HASH_BYTES);
    }
    if (tile->count == VAULT_TILE_WIDTH) {
        tile_put(edge->tenant, level, tile, batch);
        vault_tile_root((const unsigned char(*)[KL_MERKLE_HASH_BYTES])tile->hashes,
                        VAULT_TILE_HEIGHT, ret_root);
    }
    return taken;
}

/* At most VAULT_TILE_LEVELS deep. */
static enum kl_status push(struct vault_edge *edge, unsigned level,
                           const unsigned char hash[KL_MERKLE_HASH_BYTES], uint64_t count,
                           struct vault_batch *batch, struct kl_err *err)
{
    unsigned char root[KL_MERKLE_HASH_BYTES];
    struct vault_tile *tile = NULL;
    enum kl_status status = KL_OK;

    assert(level < VAULT_TILE_LEVELS);
    status = level_get(edge, level, &tile, err);
    while (status == KL_OK && count > 0) {
        uint64_t whole = tile->count == 0 ? count / VAULT_TILE_WIDTH : 0;

        if (whole > 0) {
            equal_root(hash, root); /* all lost: no row */
            tile->index += whole;
            count -= whole * VAULT_TILE_WIDTH;
            status = push(edge, level + 1, root, whole, batch, err);
            continue;
        }
        count -= fill(edge, level, tile, hash, count, batch, root);
        if (tile->count == VAULT_TILE_WIDTH) {
            tile->index++;
            tile->count = 0;
            status = push(edge, level + 1, root, 1, batch, err);
        }
    }
    return status;
}

enum kl_status vault_edge_push(struct vault_edge *edge,
                               const unsigned char leaf[KL_MERKLE_HASH_BYTES], uint64_t count,
                               struct vault_batch *batch, struct kl_err *err)
{
    enum kl_status status = push(edge, 0, leaf, count, batch, err);

    if (status == KL_OK && count == 1) {
        last_put(edge->tenant, edge->size, leaf, batch);
    }
    if (status == KL_OK) {
        edge->size += count;
    }
    return status;
}

void vault_edge_put(struct vault_edge *edge, struct vault_batch *batch)
{
    struct vault_row_key key = vault_row_tiled(edge->tenant);
    unsigned char size[8];

    for (unsigned level = 1; level < VAULT_TILE_LEVELS; level++) {
        if (edge->levels[level] != NULL && edge->levels[level]->count > 0) {
            tile_put(edge->tenant, level, edge->levels[level], batch);
        }
        free(edge->levels[level]);
        edge->levels[level] = NULL;
    }
    kl_put_u64be(size, edge->size);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(size, sizeof size));
}
