#include "vault/audit_proof.h"

#include "vault/audit_internal.h"
#include "vault/rows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Tiles that a proof may need again: two of each level that a trail of 2^40 entries has, and a few more. */
#define TILES_HELD 12

struct held {
    bool there;
    unsigned level;
    struct vault_tile tile;
};

struct vault_tree_reader {
    struct vault_store *store;
    uint64_t tenant;
    uint64_t size;
    struct vault_lost lost;
    size_t turn;
    struct held held[TILES_HELD];
};

enum kl_status vault_tree_reader_new(struct vault_trails *trails, uint64_t tenant,
                                     struct vault_tree_reader **ret_reader, struct kl_err *err)
{
    struct vault_tree_reader *reader = calloc(1, sizeof *reader);
    enum kl_status status = KL_OK;

    if (reader == NULL) {
        return kl_fail_memory(err);
    }
    reader->store = trails->store;
    reader->tenant = tenant;
    status = vault_trail_tiled(trails, tenant, &reader->size, err);
    if (status == KL_OK) {
        status = vault_lost_read(reader->store, tenant, &reader->lost, err);
    }
    if (status != KL_OK) {
        free(reader);
        return status;
    }
    *ret_reader = reader;
    return KL_OK;
}

void vault_tree_reader_free(struct vault_tree_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    vault_lost_done(&reader->lost);
    free(reader);
}

uint64_t vault_tree_size(const struct vault_tree_reader *reader)
{
    return reader->size;
}

const struct vault_lost_range *vault_tree_lost_at(const struct vault_tree_reader *reader,
                                                  uint64_t number)
{
    return vault_lost_at(&reader->lost, number);
}

/* ---- tiles ---- */

static enum kl_status no_tile(unsigned level, uint64_t index, struct kl_err *err)
{
    return kl_fail(
        err, KL_ERR_CORRUPT, "audit_tile_damaged", "the stored tree of the audit trail is damaged",
        "tile %llu of level %u is not there, or too short", (unsigned long long)index, level);
}

/* A tile that has no row: of leaves that are all lost, else it is missing. */
static enum kl_status tile_of_lost(struct vault_tree_reader *reader, unsigned level, uint64_t index,
                                   struct vault_tile *ret, struct kl_err *err)
{
    unsigned shift = VAULT_TILE_HEIGHT * (level + 1);
    const struct vault_lost_range *range = NULL;
    unsigned char hash[KL_MERKLE_HASH_BYTES];

    if (level < VAULT_TILE_LEVELS - 1) {
        range = vault_lost_at(&reader->lost, index << shift);
    }
    if (range == NULL || (range->until >> shift) <= index) {
        return no_tile(level, index, err);
    }
    vault_lost_leaf(hash);
    for (unsigned i = 0; i < VAULT_TILE_HEIGHT * level; i++) {
        kl_merkle_node(hash, hash, hash);
    }
    ret->index = index;
    for (ret->count = 0; ret->count < VAULT_TILE_WIDTH; ret->count++) {
        memcpy(ret->hashes[ret->count], hash, sizeof hash);
    }
    return KL_OK;
}

static enum kl_status tile_make(struct vault_tree_reader *reader, unsigned level, uint64_t index,
                                struct vault_tile *ret, struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = KL_OK;

    status = vault_tile_read(reader->store, reader->tenant, level, index, ret, err);
    if (status != KL_ERR_NOT_FOUND) {
        return status;
    }
    if (level != 0 || index != reader->size / VAULT_TILE_WIDTH) {
        return tile_of_lost(reader, level, index, ret, err);
    }
    status =
        vault_tile_last(reader->store, reader->tenant, &reader->lost, reader->size, ret, &cause);
    if (status == KL_ERR_CORRUPT &&
        vault_tile_read(reader->store, reader->tenant, level, index, ret, NULL) == KL_OK) {
        return KL_OK; /* the trail grew past it meanwhile */
    }
    return status == KL_OK
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

static enum kl_status tile_get(struct vault_tree_reader *reader, unsigned level, uint64_t index,
                               const struct vault_tile **ret, struct kl_err *err)
{
    struct held *held = NULL;
    enum kl_status status = KL_OK;

    for (size_t i = 0; i < TILES_HELD; i++) {
        held = &reader->held[i];
        if (held->there && held->level == level && held->tile.index == index) {
            *ret = &held->tile;
            return KL_OK;
        }
    }
    held = &reader->held[reader->turn];
    reader->turn = (reader->turn + 1) % TILES_HELD;
    held->there = false;
    status = tile_make(reader, level, index, &held->tile, err);
    if (status == KL_OK) {
        held->level = level;
        held->there = true;
        *ret = &held->tile;
    }
    return status;
}

/* ---- hashes ---- */

/* The perfect subtree of 2^height leaves from number index * 2^height on; it lies within the size. */
static enum kl_status subtree(struct vault_tree_reader *reader, unsigned height, uint64_t index,
                              unsigned char ret_hash[KL_MERKLE_HASH_BYTES], struct kl_err *err)
{
    unsigned level = height / VAULT_TILE_HEIGHT;
    unsigned above = height % VAULT_TILE_HEIGHT;
    uint64_t first = index << above;
    size_t at = (size_t)(first % VAULT_TILE_WIDTH);
    const struct vault_tile *tile = NULL;
    enum kl_status status = tile_get(reader, level, first / VAULT_TILE_WIDTH, &tile, err);

    if (status == KL_OK && at + ((size_t)1 << above) > tile->count) {
        return no_tile(level, tile->index, err);
    }
    if (status == KL_OK) {
        vault_tile_root((const unsigned char(*)[KL_MERKLE_HASH_BYTES])tile->hashes + at, above,
                        ret_hash);
    }
    return status;
}

/* MTH of the leaves from first up to and without past, where first is a multiple of a power of two that is no less than how many they are. */
static enum kl_status range_root(struct vault_tree_reader *reader, uint64_t first, uint64_t past,
                                 unsigned char ret_hash[KL_MERKLE_HASH_BYTES], struct kl_err *err)
{
    struct kl_merkle_tree tree = {.size = past - first};
    size_t count = 0;
    enum kl_status status = KL_OK;

    for (unsigned height = KL_MERKLE_HEIGHT_MAX; status == KL_OK && height > 0; height--) {
        if (((tree.size >> (height - 1)) & 1) != 0) {
            status = subtree(reader, height - 1, first >> (height - 1), tree.hashes[count++], err);
            first += UINT64_C(1) << (height - 1);
        }
    }
    if (status == KL_OK) {
        kl_merkle_root(&tree, ret_hash);
    }
    return status;
}

enum kl_status vault_tree_root(struct vault_tree_reader *reader, uint64_t size,
                               unsigned char ret_root[KL_MERKLE_HASH_BYTES], struct kl_err *err)
{
    assert(size >= 1 && size <= reader->size);
    return range_root(reader, 0, size, ret_root, err);
}

enum kl_status vault_tree_leaf(struct vault_tree_reader *reader, uint64_t index,
                               unsigned char ret_leaf[KL_MERKLE_HASH_BYTES], struct kl_err *err)
{
    assert(index < reader->size);
    return subtree(reader, 0, index, ret_leaf, err);
}

/* ---- proofs ---- */

/* The largest power of two below n; n is at least 2. */
static uint64_t split(uint64_t n)
{
    return UINT64_C(1) << (63 - __builtin_clzll(n - 1));
}

static struct kl_merkle_hash *proof_next(struct vault_tree_proof *proof)
{
    assert(proof->count < KL_MERKLE_PROOF_MAX);
    return &proof->hashes[proof->count++];
}

/* The hashes were found from the root down; a proof has them from the leaf up. */
static void proof_turn(struct vault_tree_proof *proof)
{
    for (size_t i = 0; i < proof->count / 2; i++) {
        struct kl_merkle_hash hash = proof->hashes[i];

        proof->hashes[i] = proof->hashes[proof->count - 1 - i];
        proof->hashes[proof->count - 1 - i] = hash;
    }
}

/* PATH of section 2.1.3.1. */
enum kl_status vault_tree_inclusion(struct vault_tree_reader *reader, uint64_t index, uint64_t size,
                                    struct vault_tree_proof *ret, struct kl_err *err)
{
    struct vault_tree_proof proof = {0};
    uint64_t first = 0;
    uint64_t n = size;
    enum kl_status status = KL_OK;

    assert(index < size && size <= reader->size);
    while (status == KL_OK && n > 1) {
        uint64_t k = split(n);

        if (index - first < k) {
            status = range_root(reader, first + k, first + n, proof_next(&proof)->bytes, err);
            n = k;
        } else {
            status = range_root(reader, first, first + k, proof_next(&proof)->bytes, err);
            first += k;
            n -= k;
        }
    }
    if (status == KL_OK) {
        proof_turn(&proof);
        *ret = proof;
    }
    return status;
}

/* SUBPROOF of section 2.1.4.1; whole: b of the RFC, the subtree is all of the smaller tree. */
enum kl_status vault_tree_consistency(struct vault_tree_reader *reader, uint64_t from, uint64_t to,
                                      struct vault_tree_proof *ret, struct kl_err *err)
{
    struct vault_tree_proof proof = {0};
    uint64_t first = 0;
    uint64_t m = from;
    uint64_t n = to;
    bool whole = true;
    enum kl_status status = KL_OK;

    assert(from >= 1 && from <= to && to <= reader->size);
    while (status == KL_OK && m != n) {
        uint64_t k = split(n);

        if (m <= k) {
            status = range_root(reader, first + k, first + n, proof_next(&proof)->bytes, err);
            n = k;
        } else {
            status = range_root(reader, first, first + k, proof_next(&proof)->bytes, err);
            first += k;
            m -= k;
            n -= k;
            whole = false;
        }
    }
    if (status == KL_OK && !whole) {
        status = range_root(reader, first, first + m, proof_next(&proof)->bytes, err);
    }
    if (status == KL_OK) {
        proof_turn(&proof);
        *ret = proof;
    }
    return status;
}

/* ---- an entry by its id ---- */

#define ID_MEMBER "{\"id\":\"aud_"
#define ID_CHARS (4 + KL_ID_DIGITS)

enum kl_status vault_audit_entry_id(struct kl_slice entry, struct kl_id *ret, struct kl_err *err)
{
    size_t at = sizeof ID_MEMBER - 1 - 4;
    char text[ID_CHARS + 1];

    if (entry.size > at + ID_CHARS && memcmp(entry.bytes, ID_MEMBER, sizeof ID_MEMBER - 1) == 0 &&
        entry.bytes[at + ID_CHARS] == '"') {
        memcpy(text, entry.bytes + at, ID_CHARS);
        text[ID_CHARS] = '\0';
        if (kl_id_parse("aud", text, ret, NULL) == KL_OK) {
            return KL_OK;
        }
    }
    return kl_fail(err, KL_ERR_CORRUPT, "audit_damaged", "an entry of the audit trail is damaged",
                   NULL);
}

/* Whether the entry of that number has that id; one that is damaged has none. */
static enum kl_status is_entry(struct vault_store *store, uint64_t tenant, uint64_t index,
                               const struct kl_id *entry, bool *ret, struct kl_err *err)
{
    struct vault_row_key key = vault_row_audit(tenant, index);
    struct kl_err cause = {0};
    struct kl_buf row;
    struct kl_id id;
    enum kl_status status;

    kl_buf_init(&row, VAULT_STORE_VALUE_MAX_BYTES);
    status = vault_store_get(store, vault_row_slice(&key), &row, &cause);
    *ret = status == KL_OK && vault_audit_entry_id(kl_buf_slice(&row), &id, NULL) == KL_OK &&
           kl_id_equal(&id, entry);
    kl_buf_done(&row);
    return status == KL_OK || status == KL_ERR_NOT_FOUND
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

enum kl_status vault_audit_find(struct vault_store *store, uint64_t tenant,
                                const struct kl_id *entry, uint64_t *ret_index, struct kl_err *err)
{
    struct vault_row_key first = vault_row_audit_id(tenant, entry, 0);
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice value;
    bool found = false;
    uint64_t index = 0;
    enum kl_status status = KL_OK;

    first.size -= 8;
    past = vault_row_past(&first);
    iter = vault_iter_new(store, vault_row_slice(&first), vault_row_slice(&past), false);
    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    while (status == KL_OK && !found && vault_iter_next(iter, &key, &value)) {
        if (key.size == first.size + 8) {
            index = kl_get_u64be(key.bytes + first.size);
            status = is_entry(store, tenant, index, entry, &found, err);
        }
    }
    if (status == KL_OK) {
        status = vault_iter_status(iter, err);
    }
    vault_iter_free(iter);
    if (status == KL_OK && !found) {
        return kl_fail(err, KL_ERR_NOT_FOUND, "not_found", "there is no such entry", NULL);
    }
    if (status == KL_OK) {
        *ret_index = index;
    }
    return status;
}
