#include "vault/index_internal.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

void vault_bucket_work_free(struct vault_bucket_work *work)
{
    if (work == NULL) {
        return;
    }
    vault_bucket_rows_done(&work->rows);
    free(work->changes);
    free(work);
}

/* Prefixes are hash bits already; the rest is stirred in (multiplier of splitmix64). */
static size_t hash_of(const struct vault_bucket_address *at)
{
    uint64_t hash = at->prefix ^ (at->tenant << 17) ^ ((uint64_t)at->epoch << 8) ^ at->depth;
    hash ^= hash >> 30;
    hash *= UINT64_C(0xbf58476d1ce4e5b9);
    hash ^= hash >> 27;
    return (size_t)hash;
}

static struct vault_bucket_work **set_cell(const struct vault_bucket_set *set,
                                           const struct vault_bucket_address *at)
{
    size_t i = hash_of(at) & (set->cell_count - 1);
    while (set->cells[i] != NULL && vault_bucket_address_compare(&set->cells[i]->at, at) != 0) {
        i = (i + 1) & (set->cell_count - 1);
    }
    return &set->cells[i];
}

struct vault_bucket_work *vault_bucket_set_find(const struct vault_bucket_set *set,
                                                const struct vault_bucket_address *at)
{
    return set->cell_count == 0 ? NULL : *set_cell(set, at);
}

enum kl_status vault_bucket_set_reserve(struct vault_bucket_set *set, size_t count,
                                        struct kl_err *err)
{
    size_t cell_count = set->cell_count == 0 ? 16 : set->cell_count;
    while (cell_count < (set->count + count) * 2) {
        cell_count *= 2;
    }
    if (cell_count == set->cell_count) {
        return KL_OK;
    }
    struct vault_bucket_set larger = {.cell_count = cell_count, .count = set->count};
    larger.cells = calloc(cell_count, sizeof(struct vault_bucket_work *));
    if (larger.cells == NULL) {
        return vault_index_no_memory(err);
    }
    for (size_t i = 0; i < set->cell_count; i++) {
        if (set->cells[i] != NULL) {
            *set_cell(&larger, &set->cells[i]->at) = set->cells[i];
        }
    }
    free(set->cells);
    *set = larger;
    return KL_OK;
}

enum kl_status vault_bucket_set_add(struct vault_bucket_set *set, struct vault_bucket_work *work,
                                    struct kl_err *err)
{
    enum kl_status status = vault_bucket_set_reserve(set, 1, err);
    if (status == KL_OK) {
        struct vault_bucket_work **cell = set_cell(set, &work->at);
        assert(*cell == NULL);
        *cell = work;
        set->count++;
    }
    return status;
}

void vault_bucket_set_take(struct vault_bucket_set *set, struct vault_bucket_set *from)
{
    assert(set->cell_count >= (set->count + from->count) * 2 || from->count == 0);
    for (size_t i = 0; i < from->cell_count; i++) {
        struct vault_bucket_work *work = from->cells[i];
        if (work != NULL) {
            struct vault_bucket_work **cell = set_cell(set, &work->at);
            set->count += *cell == NULL ? 1 : 0;
            vault_bucket_work_free(*cell);
            *cell = work;
            from->cells[i] = NULL;
        }
    }
    from->count = 0;
}

void vault_bucket_set_clear(struct vault_bucket_set *set)
{
    for (size_t i = 0; i < set->cell_count; i++) {
        vault_bucket_work_free(set->cells[i]);
    }
    free(set->cells);
    *set = (struct vault_bucket_set){.cells = NULL};
}
