#include "vault/audit_search.h"

#include "vault/pruned.h"
#include "vault/rows.h"

#include <assert.h>
#include <string.h>

enum kl_status vault_audit_search_begin(struct vault_audit_search *search, struct vault *vault,
                                        uint64_t tenant, const struct vault_term *terms,
                                        size_t term_count, uint64_t first, uint64_t past,
                                        size_t entries_max, struct kl_err *err)
{
    struct vault_pruned pruned = {.until = 0};
    enum kl_status status;

    assert(term_count <= VAULT_TERM_KINDS);
    *search = (struct vault_audit_search){.vault = vault,
                                          .tenant = tenant,
                                          .term_count = term_count,
                                          .next = first,
                                          .past = past,
                                          .entries_left = entries_max,
                                          .blocks_left = VAULT_SEARCH_BLOCKS_MAX};
    if (term_count > 0) {
        memcpy(search->terms, terms, term_count * sizeof terms[0]);
    }
    kl_buf_init(&search->row, VAULT_STORE_VALUE_MAX_BYTES);
    kl_buf_init(&search->entry, VAULT_STORE_VALUE_MAX_BYTES);
    status = vault_trails_pruned(vault->trails, tenant, &pruned, err);
    search->next = search->next < pruned.until ? pruned.until : search->next;
    return status == KL_OK ? vault_audit_indexed_read(vault, tenant, &search->indexed, err)
                           : status;
}

void vault_audit_search_end(struct vault_audit_search *search)
{
    vault_audit_walk_end(&search->walk);
    kl_buf_done(&search->row);
    kl_buf_done(&search->entry);
}

static uint64_t block_end(const struct vault_audit_search *search, uint64_t block)
{
    uint64_t end = (block + 1) * VAULT_POSTINGS_BLOCK;

    return end < search->past ? end : search->past;
}

static bool take_one(struct vault_audit_search *search)
{
    search->more = search->entries_left == 0;
    search->entries_left -= search->more ? 0 : 1;
    return !search->more;
}

/* ---- one by one ---- */

static enum kl_status walk_begin(struct vault_audit_search *search, uint64_t past, bool is_damaged,
                                 struct kl_err *err)
{
    enum kl_status status =
        vault_audit_walk_begin(&search->walk, search->vault, search->tenant, search->next, err);

    search->is_walking = status == KL_OK;
    search->walk_past = past;
    search->is_damaged = is_damaged;
    return status;
}

static void walk_end(struct vault_audit_search *search)
{
    vault_audit_walk_end(&search->walk);
    search->is_walking = false;
    if (search->is_damaged) {
        vault_audit_index_mend(search->vault, search->tenant,
                               (search->walk_past - 1) / VAULT_POSTINGS_BLOCK);
    }
}

/* KL_ERR_NOT_FOUND: none is left of what is walked, or more says so. */
static enum kl_status walk_next(struct vault_audit_search *search, uint64_t *ret_seq,
                                struct kl_slice *ret_entry, struct kl_err *err)
{
    uint64_t seq = 0;
    struct kl_slice entry;
    enum kl_status status = vault_audit_walk_next(&search->walk, &seq, &entry, err);

    if (status == KL_ERR_NOT_FOUND || (status == KL_OK && seq >= search->walk_past)) {
        search->next = search->walk_past;
        walk_end(search);
        return KL_ERR_NOT_FOUND;
    }
    if (status != KL_OK) {
        return status;
    }
    search->next = seq;
    if (!take_one(search)) {
        return KL_ERR_NOT_FOUND;
    }
    search->next = seq + 1;
    *ret_seq = seq;
    *ret_entry = entry;
    return KL_OK;
}

/* ---- by the index ---- */

/* KL_ERR_NOT_FOUND: none is left of the block, or more says so; or the entry is gone, and the one behind it is next. */
static enum kl_status place_next(struct vault_audit_search *search, uint64_t *ret_seq,
                                 struct kl_slice *ret_entry, struct kl_err *err)
{
    uint64_t block = search->next / VAULT_POSTINGS_BLOCK;
    unsigned place =
        vault_places_next(&search->places, (unsigned)(search->next % VAULT_POSTINGS_BLOCK));
    uint64_t seq = block * VAULT_POSTINGS_BLOCK + place;
    struct vault_row_key key = vault_row_audit(search->tenant, seq);
    struct kl_err cause = {0};
    enum kl_status status;

    if (seq >= block_end(search, block)) {
        search->next = block_end(search, block);
        search->has_places = false;
        return KL_ERR_NOT_FOUND;
    }
    search->next = seq;
    if (!take_one(search)) {
        return KL_ERR_NOT_FOUND;
    }
    search->next = seq + 1;
    search->has_places = search->next % VAULT_POSTINGS_BLOCK != 0;
    kl_buf_clear(&search->entry);
    status =
        vault_store_get(search->vault->data_store, vault_row_slice(&key), &search->entry, &cause);
    if (status == KL_OK) {
        *ret_seq = seq;
        *ret_entry = kl_buf_slice(&search->entry);
    } else if (status != KL_ERR_NOT_FOUND) {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    return status;
}

static enum kl_status block_begin(struct vault_audit_search *search, uint64_t block,
                                  struct kl_err *err)
{
    bool whole = false;
    enum kl_status status;

    search->more = search->blocks_left == 0;
    if (search->more) {
        return KL_OK;
    }
    search->blocks_left--;
    status = vault_audit_index_look(search->vault, search->tenant, block, search->terms,
                                    search->term_count, &search->row, &search->places, &whole, err);
    if (status != KL_OK) {
        return status;
    }
    if (!whole) {
        return walk_begin(search, block_end(search, block), true, err);
    }
    search->has_places = true;
    return KL_OK;
}

/* Where the next entries come from. Of pruned blocks there are none. */
static enum kl_status source_begin(struct vault_audit_search *search, struct kl_err *err)
{
    uint64_t block = search->next / VAULT_POSTINGS_BLOCK;

    if (block < search->indexed.first) {
        search->next = search->indexed.first * VAULT_POSTINGS_BLOCK;
        return KL_OK;
    }
    if (search->term_count > 0 && block < search->indexed.until) {
        return block_begin(search, block, err);
    }
    return walk_begin(search, search->past, false, err);
}

enum kl_status vault_audit_search_next(struct vault_audit_search *search, uint64_t *ret_seq,
                                       struct kl_slice *ret_entry, struct kl_err *err)
{
    enum kl_status status = KL_ERR_NOT_FOUND;

    while (status == KL_ERR_NOT_FOUND && search->next < search->past && !search->more) {
        if (search->is_walking) {
            status = walk_next(search, ret_seq, ret_entry, err);
        } else if (search->has_places) {
            status = place_next(search, ret_seq, ret_entry, err);
        } else {
            status = source_begin(search, err);
            status = status == KL_OK ? KL_ERR_NOT_FOUND : status;
        }
    }
    return status;
}
