#include "vault/audit_check.h"

#include "kluis/base/encode.h"
#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "kluis/base/trail_pruned.h"
#include "vault/act.h"
#include "vault/audit_index.h"
#include "vault/audit_internal.h"
#include "vault/audit_leaves.h"
#include "vault/audit_proof.h"
#include "vault/pruned.h"
#include "vault/rows.h"
#include "vault/signing.h"
#include "vault/tenants.h"

#include <stdlib.h>
#include <string.h>

/*
 * What the leaves have come to. levels: the tile of each level that is being filled, of hashes that were computed; the rows are held against them.
 * of_level0: the row of the tile that the leaves are in, or the last leaves.
 */
struct checking {
    struct vault_store *store;
    uint64_t tenant;
    uint64_t size;
    struct vault_lost lost;
    struct vault_trail_known known;
    struct kl_trail_findings *findings;
    struct kl_trail_check check;
    struct vault_pruned pruned;
    struct kl_trail_prunings prunings;
    unsigned char (*trail_keys)[KL_TRAIL_KEY_BYTES]; /* all that the chain has */
    size_t trail_key_count;
    struct vault_tile levels[VAULT_TILE_LEVELS];
    struct vault_tile of_level0;
    bool has_level0;
    uint64_t entries;
    uint64_t lost_run; /* numbers that are lost, and that the trees have not got yet */
};

/* ---- tiles ---- */

/* Whether all leaves below a tile are lost, so that it has no row. */
static bool is_of_lost(const struct checking *checking, unsigned level, uint64_t index)
{
    unsigned shift = VAULT_TILE_HEIGHT * (level + 1);
    const struct vault_lost_range *range =
        level < VAULT_TILE_LEVELS - 1 ? vault_lost_at(&checking->lost, index << shift) : NULL;

    return range != NULL && (range->until >> shift) > index;
}

/* A row of a higher level against what the leaves say it is. */
static enum kl_status compare_tile(struct checking *checking, unsigned level,
                                   const struct vault_tile *tile, struct kl_err *err)
{
    struct vault_tile *row = malloc(sizeof *row);
    struct kl_err cause = {0};
    enum kl_status status = row == NULL ? kl_fail_memory(err) : KL_OK;

    if (status != KL_OK) {
        return status;
    }
    status = vault_tile_read(checking->store, checking->tenant, level, tile->index, row, &cause);
    if (status == KL_ERR_NOT_FOUND && is_of_lost(checking, level, tile->index)) {
        status = KL_OK;
    } else if (status == KL_ERR_NOT_FOUND || status == KL_ERR_CORRUPT ||
               (status == KL_OK &&
                (row->count != tile->count ||
                 memcmp(row->hashes, tile->hashes, tile->count * KL_MERKLE_HASH_BYTES) != 0))) {
        kl_trail_find(checking->findings, "tree_damaged", 0, 0,
                      "tile %llu of level %u is not that of the entries below it",
                      (unsigned long long)tile->index, level);
        status = KL_OK;
    } else if (status != KL_OK) {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    free(row);
    return status;
}

/* A hash joins its level; at most VAULT_TILE_LEVELS deep. Level 0 is compared leaf by leaf. */
static enum kl_status join(struct checking *checking, unsigned level,
                           const unsigned char hash[KL_MERKLE_HASH_BYTES], struct kl_err *err)
{
    struct vault_tile *tile = &checking->levels[level];
    unsigned char root[KL_MERKLE_HASH_BYTES];
    enum kl_status status = KL_OK;

    memcpy(tile->hashes[tile->count++], hash, KL_MERKLE_HASH_BYTES);
    if (tile->count < VAULT_TILE_WIDTH) {
        return KL_OK;
    }
    if (level > 0) {
        status = compare_tile(checking, level, tile, err);
    }
    vault_tile_root((const unsigned char(*)[KL_MERKLE_HASH_BYTES])tile->hashes, VAULT_TILE_HEIGHT,
                    root);
    tile->index++;
    tile->count = 0;
    return status == KL_OK ? join(checking, level + 1, root, err) : status;
}

/* What is stored of the leaves around a number; without it they have no hash. */
static enum kl_status level0_read(struct checking *checking, uint64_t number, struct kl_err *err)
{
    uint64_t index = number / VAULT_TILE_WIDTH;
    struct kl_err cause = {0};
    enum kl_status status = KL_OK;

    if (index == checking->size / VAULT_TILE_WIDTH) {
        status = vault_tile_last(checking->store, checking->tenant, &checking->lost, checking->size,
                                 &checking->of_level0, &cause);
    } else {
        status = vault_tile_read(checking->store, checking->tenant, 0, index, &checking->of_level0,
                                 &cause);
    }
    checking->has_level0 = status == KL_OK;
    checking->of_level0.index = index;
    return status == KL_OK || status == KL_ERR_NOT_FOUND || status == KL_ERR_CORRUPT
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

/* ---- leaves ---- */

/* Many at once: one by one they would cost as much as entries do. */
static void lost_run_end(struct checking *checking)
{
    if (checking->lost_run > 0) {
        kl_trail_check_lost(&checking->check, checking->lost_run);
        checking->lost_run = 0;
    }
}

static void compare_known(struct checking *checking)
{
    unsigned char root[KL_MERKLE_HASH_BYTES];

    if (checking->check.of_texts.size + checking->lost_run != checking->known.size ||
        vault_lost_at(&checking->lost, checking->known.size - 1) != NULL) {
        return; /* one of the lost part fits none that comes later (audit.h) */
    }
    lost_run_end(checking);
    kl_merkle_root(&checking->check.of_texts, root);
    if (memcmp(root, checking->known.root, sizeof root) == 0) {
        return;
    }
    kl_merkle_root(&checking->check.of_stored, root);
    if (memcmp(root, checking->known.root, sizeof root) != 0) {
        kl_trail_find(
            checking->findings, "fork", 0, checking->known.size,
            "the head that is known beside the keys, of %llu entries, is not of this trail",
            (unsigned long long)checking->known.size);
    }
}

/* A lost number that the stored tree has as such is passed over; any other is judged like an entry. */
static enum kl_status check_leaf(void *visitor, const struct vault_leaf *leaf, struct kl_err *err)
{
    struct checking *checking = visitor;
    struct kl_trail_leaf judged = {.index = leaf->number,
                                   .has_text = leaf->kind == VAULT_LEAF_ENTRY};
    size_t at = (size_t)(leaf->number % VAULT_TILE_WIDTH);
    enum kl_status status = KL_OK;

    if (at == 0 || leaf->number / VAULT_TILE_WIDTH != checking->of_level0.index) {
        status = level0_read(checking, leaf->number, err);
    }
    if (status != KL_OK) {
        return status;
    }
    judged.has_stored = checking->has_level0 && at < checking->of_level0.count;
    if (judged.has_stored) {
        memcpy(judged.stored, checking->of_level0.hashes[at], sizeof judged.stored);
    }
    memcpy(judged.text, leaf->hash, sizeof judged.text);
    if (leaf->kind == VAULT_LEAF_PRUNED) {
        lost_run_end(checking);
        kl_trail_check_pruned(&checking->check, judged.has_stored ? judged.stored : NULL);
        compare_known(checking);
        return join(checking, 0, judged.stored, err);
    }
    if (leaf->kind == VAULT_LEAF_ENTRY) {
        kl_trail_prunings_see(&checking->prunings, leaf->number, leaf->entry);
    }
    if (leaf->kind == VAULT_LEAF_LOST &&
        (!judged.has_stored || memcmp(judged.stored, leaf->hash, sizeof judged.stored) == 0)) {
        checking->lost_run++;
    } else {
        lost_run_end(checking);
        checking->entries += judged.has_text ? 1 : 0;
        kl_trail_check_leaf(&checking->check, &judged);
    }
    compare_known(checking);
    return join(checking, 0,
                judged.has_text || leaf->kind == VAULT_LEAF_LOST ? leaf->hash : judged.stored, err);
}

/* ---- what else there is ---- */

static enum kl_status frontier_read(struct vault_store *store, uint64_t tenant,
                                    struct kl_merkle_tree *ret, struct kl_err *err)
{
    struct vault_row_key key = vault_row_frontier(tenant);
    struct kl_err cause = {0};
    struct kl_buf row;
    enum kl_status status;

    kl_buf_init(&row, VAULT_AUDIT_TREE_MAX_BYTES);
    status = vault_store_get(store, vault_row_slice(&key), &row, &cause);
    if (status == KL_OK) {
        status = vault_audit_tree_read(kl_buf_slice(&row), ret, err);
    } else if (status == KL_ERR_NOT_FOUND) {
        *ret = (struct kl_merkle_tree){.size = 0};
        status = KL_OK;
    } else {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    kl_buf_done(&row);
    return status;
}

/* ---- what went by a policy ---- */

static void key_add(struct checking *checking, const unsigned char key[KL_TRAIL_KEY_BYTES])
{
    memcpy(checking->trail_keys[checking->trail_key_count++], key, KL_TRAIL_KEY_BYTES);
}

static enum kl_status add_link(void *visitor, const struct kl_trail_link *link, bool holds,
                               struct kl_err *err)
{
    struct checking *checking = visitor;

    (void)err;
    if (holds && checking->trail_key_count < KL_TRAIL_LINKS_MAX) {
        key_add(checking, link->old_key);
    }
    return KL_OK;
}

static bool is_key(void *context, const unsigned char key[KL_TRAIL_KEY_BYTES])
{
    const struct checking *checking = context;
    size_t i = 0;

    while (i < checking->trail_key_count &&
           memcmp(checking->trail_keys[i], key, KL_TRAIL_KEY_BYTES) != 0) {
        i++;
    }
    return i < checking->trail_key_count;
}

/* The keys of the trail, and the row that says what went; a chain that is damaged says less, and is told of elsewhere. */
static enum kl_status prunings_begin(struct vault *vault, struct checking *checking,
                                     struct kl_err *err)
{
    const struct vault_tenant *tenant = vault_tenants_by_number(vault, checking->tenant);
    const char *name = tenant == NULL ? "" : tenant->name;
    struct vault_signer signer = {.keys = NULL};
    struct kl_err ignored = {0};
    bool forged = false;
    enum kl_status status = KL_OK;

    checking->trail_keys = calloc(KL_TRAIL_LINKS_MAX + 1, sizeof checking->trail_keys[0]);
    if (checking->trail_keys == NULL) {
        return kl_fail_memory(err);
    }
    kl_trail_prunings_begin(&checking->prunings, name, is_key, checking, checking->findings);
    if (vault_signing_each(vault->keys, checking->tenant, name, add_link, checking, &ignored) !=
        KL_OK) {
        kl_err_clear(&ignored);
    }
    if (vault_signer_get(vault->keys, checking->tenant, &signer, &ignored) == KL_OK) {
        key_add(checking, signer.public_key);
    }
    status = vault_pruned_read(vault->keys, checking->store, checking->tenant, &checking->pruned,
                               &forged, err);
    if (status == KL_OK && forged) {
        kl_trail_find(checking->findings, "pruning_forged", 0, 0,
                      "the row that says which entries went by a policy is not the vault's");
    }
    checking->lost.pruned = checking->pruned.until;
    return status;
}

/* What the entries say went, against the stored tree. */
static enum kl_status prunings_check(struct vault *vault, struct checking *checking,
                                     struct kl_err *err)
{
    struct kl_trail_prunings *prunings = &checking->prunings;
    size_t count =
        prunings->root_count < KL_TRAIL_PRUNINGS_MAX ? prunings->root_count : KL_TRAIL_PRUNINGS_MAX;
    struct vault_tree_reader *reader = NULL;
    enum kl_status status = KL_OK;

    kl_trail_prunings_end(prunings, checking->check.pruned);
    if (count == 0 ||
        vault_tree_reader_new(vault->trails, checking->tenant, &reader, NULL) != KL_OK) {
        return KL_OK;
    }
    for (size_t i = 0; status == KL_OK && i < count; i++) {
        const struct kl_trail_pruned_root *root = &prunings->roots[i];
        unsigned char own[KL_MERKLE_HASH_BYTES];

        status = vault_tree_root(reader, root->until, own, err);
        if (status == KL_OK && memcmp(own, root->root, sizeof own) != 0) {
            kl_trail_pruned_root_find(checking->findings, root);
        }
        status = status == KL_ERR_CORRUPT ? KL_OK : status;
    }
    vault_tree_reader_free(reader);
    return status;
}

/* How many rows lie between two keys. */
static enum kl_status count_rows(struct vault_store *store, struct vault_row_key first,
                                 struct vault_row_key past, uint64_t *ret, struct kl_err *err)
{
    struct vault_iter *iter =
        vault_iter_new(store, vault_row_slice(&first), vault_row_slice(&past), false);
    struct kl_slice key;
    struct kl_slice value;
    enum kl_status status;

    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    *ret = 0;
    while (vault_iter_next(iter, &key, &value)) {
        (*ret)++;
    }
    status = vault_iter_status(iter, err);
    vault_iter_free(iter);
    return status;
}

/* Entries that went and whose rows are there still; none may lie where rows were removed. */
static enum kl_status count_left(const struct checking *checking, uint64_t *ret, struct kl_err *err)
{
    uint64_t again = 0;
    enum kl_status status =
        count_rows(checking->store, vault_row_audit(checking->tenant, 0),
                   vault_row_audit(checking->tenant, checking->pruned.removed), &again, err);

    if (status == KL_OK && again > 0) {
        kl_trail_find(checking->findings, "entry_inserted", 0, checking->pruned.removed,
                      "%llu entries lie where all went by a policy", (unsigned long long)again);
    }
    return status == KL_OK
               ? count_rows(checking->store,
                            vault_row_audit(checking->tenant, checking->pruned.removed),
                            vault_row_audit(checking->tenant, checking->pruned.until), ret, err)
               : status;
}

static enum kl_status check_rest(struct checking *checking, bool is_indexed, struct kl_err *err)
{
    const struct kl_id none = {{0}};
    struct vault_row_key first = vault_row_audit_id(checking->tenant, &none, 0);
    struct vault_row_key past;
    uint64_t behind = 0;
    uint64_t indexed = 0;
    uint64_t left = 0;
    enum kl_status status = count_left(checking, &left, err);

    first.size = 9;
    past = vault_row_past(&first);
    if (status == KL_OK) {
        status = count_rows(checking->store, first, past, &indexed, err);
    }
    if (status == KL_OK && is_indexed && indexed != checking->entries + left) {
        kl_trail_find(checking->findings, "index_damaged", 0, 0,
                      "the index of entries by their ids has %llu of %llu",
                      (unsigned long long)indexed, (unsigned long long)(checking->entries + left));
    }
    first = vault_row_audit(checking->tenant, checking->size);
    past = vault_row_audit(checking->tenant, UINT64_MAX);
    if (status == KL_OK) {
        status = count_rows(checking->store, first, past, &behind, err);
    }
    if (status == KL_OK && behind > 0) {
        kl_trail_find(checking->findings, "entry_inserted", checking->size, checking->size + behind,
                      "%llu entries lie behind the end of the trail", (unsigned long long)behind);
    }
    for (unsigned level = 1; status == KL_OK && level < VAULT_TILE_LEVELS; level++) {
        if (checking->levels[level].count > 0) {
            status = compare_tile(checking, level, &checking->levels[level], err);
        }
    }
    return status;
}

/* ---- the whole ---- */

static enum kl_status check_run(struct vault *vault, struct checking *checking, struct kl_err *err)
{
    const struct kl_merkle_tree none = {0};
    struct kl_merkle_tree frontier = {0};
    unsigned char root[KL_MERKLE_HASH_BYTES];
    uint64_t covered = 0;
    struct kl_err ignored = {0};
    enum kl_status status = frontier_read(checking->store, checking->tenant, &frontier, err);

    if (status == KL_OK) {
        status = vault_lost_read(checking->store, checking->tenant, &checking->lost, err);
    }
    if (status == KL_OK) {
        status = prunings_begin(vault, checking, err);
    }
    if (status != KL_OK) {
        return status;
    }
    checking->size = frontier.size;
    checking->of_level0.index = UINT64_MAX;
    kl_trail_check_begin(&checking->check, &none, checking->findings);
    if (checking->known.size > frontier.size) {
        kl_trail_find(checking->findings, "truncated", frontier.size, checking->known.size,
                      "the head that is known beside the keys has %llu entries, the trail %llu",
                      (unsigned long long)checking->known.size, (unsigned long long)frontier.size);
    }
    status = vault_leaves_each(checking->store, checking->tenant, &checking->lost, 0, frontier.size,
                               check_leaf, checking, err);
    lost_run_end(checking);
    if (status == KL_OK && frontier.size > 0) {
        kl_merkle_root(&frontier, root);
        kl_trail_check_end(&checking->check, root);
    }
    if (status == KL_OK) {
        status = prunings_check(vault, checking, err);
    }
    if (status == KL_OK &&
        vault_tiled_read(checking->store, checking->tenant, &covered, &ignored) != KL_OK) {
        covered = 0;
    }
    return status == KL_OK ? check_rest(checking, covered == frontier.size, err) : status;
}

enum kl_status vault_audit_check(struct vault *vault, uint64_t tenant,
                                 struct kl_trail_findings *ret, uint64_t *ret_size,
                                 struct kl_err *err)
{
    struct checking *checking = calloc(1, sizeof *checking);
    enum kl_status status = KL_OK;

    if (checking == NULL) {
        return kl_fail_memory(err);
    }
    checking->store = vault->data_store;
    checking->tenant = tenant;
    checking->findings = ret;
    status = vault_trails_known(vault->trails, tenant, &checking->known, err);
    if (status == KL_OK) {
        status = check_run(vault, checking, err);
    }
    if (status == KL_OK) {
        status = vault_audit_index_check(vault, tenant, ret, err);
    }
    if (status == KL_OK) {
        *ret_size = checking->size;
    }
    vault_lost_done(&checking->lost);
    free(checking->trail_keys);
    free(checking);
    return status;
}

/* ---- at open ---- */

static enum kl_status say_rewritten(struct vault *vault, uint64_t tenant,
                                    const struct vault_trail_known *known, struct kl_err *err)
{
    const struct vault_audit_who who = {.role = "vault", .at_us = kl_time_now_us()};
    char root[KL_BASE64_CHARS(KL_MERKLE_HASH_BYTES) + 1];
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    enum kl_status status;

    kl_log(KL_LOG_ERROR, "audit_trail_rewritten", KL_LOG_INT("tenant", tenant),
           KL_LOG_INT("known_entries", known->size));
    kl_base64(known->root, sizeof known->root, root);
    vault_act_begin(&act, tenant, &who, "trail_rewritten");
    kl_json_add_int(&act.out, "known_entries", (int64_t)known->size);
    kl_json_add_text(&act.out, "known_root_hash", root);
    kl_json_add_time(&act.out, "known_at", known->at_us);
    status = vault_act_commit(vault, acts, 1, NULL, err);
    vault_act_done(&act);
    return status;
}

/* A tree that cannot be read says nothing; a trail that is shorter was told of by "data_restored". */
static enum kl_status known_check(struct vault *vault, uint64_t tenant, struct kl_err *err)
{
    struct vault_trail_known known = {0};
    struct vault_tree_reader *reader = NULL;
    unsigned char root[KL_MERKLE_HASH_BYTES];
    enum kl_status status = vault_trails_known(vault->trails, tenant, &known, err);
    bool same = true;

    if (status != KL_OK || known.size == 0) {
        return status;
    }
    if (vault_tree_reader_new(vault->trails, tenant, &reader, NULL) == KL_OK &&
        known.size <= vault_tree_size(reader) &&
        vault_tree_lost_at(reader, known.size - 1) == NULL &&
        vault_tree_root(reader, known.size, root, NULL) == KL_OK) {
        same = memcmp(root, known.root, sizeof root) == 0;
    }
    vault_tree_reader_free(reader);
    return same ? KL_OK : say_rewritten(vault, tenant, &known, err);
}

enum kl_status vault_audit_known_check(struct vault *vault, struct kl_err *err)
{
    enum kl_status status = known_check(vault, KMS_TENANT_VAULT, err);
    uint64_t number = 0;
    double share = 0;

    for (; status == KL_OK && vault_tenants_from(vault, number, &number, &share); number++) {
        status = known_check(vault, number, err);
    }
    return status;
}
