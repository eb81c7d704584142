#include "vault/audit_leaves.h"

#include "vault/audit.h"
#include "vault/rows.h"

#include <stdlib.h>

/* ---- what is lost ---- */

static enum kl_status lost_damaged(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_CORRUPT, "audit_lost_damaged",
                   "what is kept of the lost numbers of the audit trail is damaged", NULL);
}

static enum kl_status lost_add(struct vault_lost *lost, struct vault_lost_range range,
                               struct kl_err *err)
{
    struct vault_lost_range *ranges;

    if (range.until <= range.from || lost->count == VAULT_LOST_RANGES_MAX ||
        (lost->count > 0 && lost->ranges[lost->count - 1].until >= range.from)) {
        return lost_damaged(err);
    }
    ranges = reallocarray(lost->ranges, lost->count + 1, sizeof *ranges);
    if (ranges == NULL) {
        return kl_fail_memory(err);
    }
    ranges[lost->count] = range;
    lost->ranges = ranges;
    lost->count++;
    return KL_OK;
}

enum kl_status vault_lost_read(struct vault_store *store, uint64_t tenant, struct vault_lost *ret,
                               struct kl_err *err)
{
    struct vault_row_key first = vault_row_lost(tenant, 0);
    struct vault_row_key past;
    struct vault_lost lost = {0};
    struct vault_iter *iter;
    struct kl_slice key;
    struct kl_slice until;
    enum kl_status status = KL_OK;

    first.size -= 8;
    past = vault_row_past(&first);
    iter = vault_iter_new(store, vault_row_slice(&first), vault_row_slice(&past), false);
    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    while (status == KL_OK && vault_iter_next(iter, &key, &until)) {
        status = key.size != first.size + 8 || until.size != 8
                     ? lost_damaged(err)
                     : lost_add(&lost,
                                (struct vault_lost_range){kl_get_u64be(key.bytes + first.size),
                                                          kl_get_u64be(until.bytes)},
                                err);
    }
    if (status == KL_OK) {
        status = vault_iter_status(iter, err);
    }
    vault_iter_free(iter);
    if (status != KL_OK) {
        vault_lost_done(&lost);
        return status;
    }
    *ret = lost;
    return KL_OK;
}

void vault_lost_done(struct vault_lost *lost)
{
    free(lost->ranges);
    *lost = (struct vault_lost){0};
}

const struct vault_lost_range *vault_lost_at(const struct vault_lost *lost, uint64_t number)
{
    size_t low = 0;
    size_t high = lost->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (lost->ranges[middle].until <= number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < lost->count && lost->ranges[low].from <= number ? &lost->ranges[low] : NULL;
}

void vault_lost_leaf(unsigned char ret_hash[KL_MERKLE_HASH_BYTES])
{
    kl_merkle_leaf(kl_slice_text(VAULT_AUDIT_LOST_ENTRY), ret_hash);
}

/* ---- leaves ---- */

struct walk {
    const struct vault_lost *lost;
    uint64_t next;
    vault_leaf_visit visit;
    void *visitor;
};

/* The numbers without a row from where the walk is, up to and without past. */
static enum kl_status walk_gap(struct walk *walk, uint64_t past, struct kl_err *err)
{
    const struct vault_lost_range *range = NULL;
    struct vault_leaf leaf = {0};
    enum kl_status status = KL_OK;

    while (status == KL_OK && walk->next < past) {
        if (range == NULL || range->until <= walk->next) {
            range = vault_lost_at(walk->lost, walk->next);
            vault_lost_leaf(leaf.hash);
        }
        leaf.kind = range != NULL                     ? VAULT_LEAF_LOST
                    : walk->next < walk->lost->pruned ? VAULT_LEAF_PRUNED
                                                      : VAULT_LEAF_MISSING;
        leaf.number = walk->next++;
        status = walk->visit(walk->visitor, &leaf, err);
    }
    return status;
}

static enum kl_status walk_entry(struct walk *walk, uint64_t number, struct kl_slice entry,
                                 struct kl_err *err)
{
    struct vault_leaf leaf = {.number = number, .kind = VAULT_LEAF_ENTRY, .entry = entry};
    enum kl_status status = walk_gap(walk, number, err);

    if (status == KL_OK) {
        kl_merkle_leaf(entry, leaf.hash);
        status = walk->visit(walk->visitor, &leaf, err);
        walk->next = number + 1;
    }
    return status;
}

enum kl_status vault_leaves_each(struct vault_store *store, uint64_t tenant,
                                 const struct vault_lost *lost, uint64_t from, uint64_t past,
                                 vault_leaf_visit visit, void *visitor, struct kl_err *err)
{
    uint64_t rows_from = from < lost->pruned ? lost->pruned : from;
    struct vault_row_key first_key = vault_row_audit(tenant, rows_from);
    struct vault_row_key past_key = vault_row_audit(tenant, past);
    struct walk walk = {.lost = lost, .next = from, .visit = visit, .visitor = visitor};
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice entry;
    enum kl_status status = KL_OK;

    if (from >= past) {
        return KL_OK;
    }
    if (rows_from >= past) {
        return walk_gap(&walk, past, err);
    }
    iter = vault_iter_new(store, vault_row_slice(&first_key), vault_row_slice(&past_key), false);
    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    while (status == KL_OK && vault_iter_next(iter, &key, &entry)) {
        if (key.size != first_key.size) {
            continue; /* a row of nobody's */
        }
        status = walk_entry(&walk, kl_get_u64be(key.bytes + key.size - 8), entry, err);
    }
    if (status == KL_OK) {
        status = vault_iter_status(iter, err);
    }
    if (status == KL_OK) {
        status = walk_gap(&walk, past, err);
    }
    vault_iter_free(iter);
    return status;
}
