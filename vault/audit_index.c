#include "vault/audit_index.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/audit_internal.h"
#include "vault/pruned.h"
#include "vault/rows.h"
#include "vault/tenants.h"

#include <stdlib.h>
#include <string.h>

#define FORMAT 1
#define POSITION_BYTES 9
#define BUILD_TURN_US 250000
#define BUILD_INTERVAL_MS 1000
#define POSTINGS_FIRST 32768

/* ---- how far it is ---- */

static void position_put(const struct vault_row_key *key, uint64_t block, struct vault_batch *batch)
{
    unsigned char row[POSITION_BYTES] = {FORMAT};

    kl_put_u64be(row + 1, block);
    vault_batch_put(batch, vault_row_slice(key), kl_slice_of(row, sizeof row));
}

/* 0 where there is none, or none that can be read. */
static enum kl_status position_read(struct vault *vault, const struct vault_row_key *key,
                                    uint64_t *ret, struct kl_err *err)
{
    struct kl_err cause = {0};
    struct kl_buf row;
    enum kl_status status;

    kl_buf_init(&row, POSITION_BYTES);
    status = vault_store_get(vault->data_store, vault_row_slice(key), &row, &cause);
    if (status == KL_OK || status == KL_ERR_NOT_FOUND || status == KL_ERR_TOO_LARGE) {
        *ret =
            row.size == POSITION_BYTES && row.bytes[0] == FORMAT ? kl_get_u64be(row.bytes + 1) : 0;
        status = KL_OK;
    } else {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    kl_buf_done(&row);
    return status;
}

enum kl_status vault_audit_indexed_read(struct vault *vault, uint64_t tenant,
                                        struct vault_audit_indexed *ret, struct kl_err *err)
{
    struct vault_row_key key = vault_row_audit_index_pruned(tenant);
    struct vault_audit_indexed indexed = {0};
    uint64_t size = 0;
    enum kl_status status = position_read(vault, &key, &indexed.first, err);

    key = vault_row_audit_indexed(tenant);
    if (status == KL_OK) {
        status = position_read(vault, &key, &indexed.until, err);
    }
    if (status == KL_OK) {
        status = vault_trails_size(vault->trails, tenant, &size, err);
    }
    if (status != KL_OK) {
        return status;
    }
    /* What lies behind the end of the trail is nothing that was written here. */
    if (indexed.first > size / VAULT_POSTINGS_BLOCK) {
        indexed.first = 0;
    }
    if (indexed.until > size / VAULT_POSTINGS_BLOCK || indexed.until < indexed.first) {
        indexed.until = indexed.first;
    }
    *ret = indexed;
    return KL_OK;
}

void vault_audit_indexed_put(uint64_t tenant, uint64_t until, struct vault_batch *batch)
{
    struct vault_row_key key = vault_row_audit_indexed(tenant);

    position_put(&key, until, batch);
}

void vault_audit_index_prune(uint64_t tenant, uint64_t until, struct vault_batch *batch)
{
    uint64_t block = until / VAULT_POSTINGS_BLOCK;
    struct vault_row_key key = vault_row_audit_index_pruned(tenant);
    struct vault_row_key first = vault_row_postings(tenant, 0, 0, 0);
    struct vault_row_key past = vault_row_postings(tenant, block, 0, 0);

    if (block > 0) {
        vault_batch_remove_range(batch, vault_row_slice(&first), vault_row_slice(&past));
        position_put(&key, block, batch);
    }
}

/* ---- the postings of a block's entries ---- */

/* present: the places that have an entry. */
struct gathering {
    struct vault_posting *items;
    size_t count;
    size_t capacity;
    uint16_t place;
    bool no_memory;
    struct vault_places present;
};

static bool gather_term(void *visitor, enum vault_term_kind kind, uint64_t slot, const char *text)
{
    struct gathering *gathering = visitor;
    uint64_t value = text == NULL ? slot : vault_term_of_text(kind, text).value;

    if (gathering->count == gathering->capacity) {
        size_t capacity = gathering->capacity == 0 ? POSTINGS_FIRST : 2 * gathering->capacity;
        struct vault_posting *items =
            realloc(gathering->items, capacity * sizeof gathering->items[0]);

        gathering->no_memory = items == NULL;
        if (gathering->no_memory) {
            return false;
        }
        gathering->items = items;
        gathering->capacity = capacity;
    }
    gathering->items[gathering->count++] =
        (struct vault_posting){.value = value,
                               .place = gathering->place,
                               .kind = (uint8_t)kind,
                               .bucket = (uint8_t)(value % vault_postings_buckets(kind))};
    return true;
}

static void sort(struct gathering *gathering)
{
    size_t kept = 0;

    if (gathering->count == 0) {
        return;
    }
    qsort(gathering->items, gathering->count, sizeof gathering->items[0], vault_posting_compare);
    for (size_t i = 1; i < gathering->count; i++) {
        if (vault_posting_compare(&gathering->items[kept], &gathering->items[i]) != 0) {
            gathering->items[++kept] = gathering->items[i];
        }
    }
    gathering->count = kept + 1;
}

static enum kl_status gather_entry(struct gathering *gathering, uint64_t seq, struct kl_slice entry,
                                   struct kl_err *err)
{
    struct vault_audit_said said = {0};
    enum kl_status status = vault_audit_read(entry, &said, err);

    if (status == KL_OK) {
        gathering->place = (uint16_t)(seq % VAULT_POSTINGS_BLOCK);
        gathering->present.words[gathering->place / 64] |= UINT64_C(1) << (gathering->place % 64);
        vault_audit_terms(&said, gather_term, gathering);
        vault_audit_said_done(&said);
    }
    return status == KL_OK && gathering->no_memory ? kl_fail_memory(err) : status;
}

/* gathering is zeroed; its items are the caller's to free. */
static enum kl_status gather(struct vault *vault, uint64_t tenant, uint64_t block,
                             struct gathering *gathering, struct kl_err *err)
{
    struct vault_audit_walk walk = {0};
    struct kl_slice entry;
    uint64_t seq = 0;
    enum kl_status status =
        vault_audit_walk_begin(&walk, vault, tenant, block * VAULT_POSTINGS_BLOCK, err);

    while (status == KL_OK) {
        status = vault_audit_walk_next(&walk, &seq, &entry, err);
        if (status != KL_OK || seq / VAULT_POSTINGS_BLOCK != block) {
            break;
        }
        status = gather_entry(gathering, seq, entry, err);
    }
    vault_audit_walk_end(&walk);
    sort(gathering);
    return status == KL_ERR_NOT_FOUND ? KL_OK : status;
}

/* The postings of one bucket: they begin at *at, which goes behind them. */
static size_t bucket_of(const struct gathering *gathering, unsigned kind, unsigned bucket,
                        size_t *at)
{
    size_t first = *at;

    while (*at < gathering->count && gathering->items[*at].kind == kind &&
           gathering->items[*at].bucket == bucket) {
        (*at)++;
    }
    return *at - first;
}

/* ---- building ---- */

/* A row that is too long for the store is left out: its block is read entry by entry. */
static enum kl_status put_row(uint64_t tenant, uint64_t block, unsigned kind, unsigned bucket,
                              const struct vault_posting *postings, size_t count,
                              struct kl_buf *row, struct vault_batch *batch, struct kl_err *err)
{
    struct vault_row_key key = vault_row_postings(tenant, block, (uint8_t)kind, (uint8_t)bucket);
    struct kl_err cause = {0};
    enum kl_status status;

    kl_buf_clear(row);
    vault_postings_write(vault_row_slice(&key), postings, count, row);
    status = kl_buf_status(row, &cause);
    if (status == KL_OK) {
        vault_batch_put(batch, vault_row_slice(&key), kl_buf_slice(row));
    }
    return status == KL_OK || status == KL_ERR_TOO_LARGE ? KL_OK : kl_fail_memory(err);
}

enum kl_status vault_audit_index_block(struct vault *vault, uint64_t tenant, uint64_t block,
                                       struct vault_batch *batch, struct kl_err *err)
{
    struct gathering gathering = {0};
    struct kl_buf row;
    size_t at = 0;
    enum kl_status status = gather(vault, tenant, block, &gathering, err);

    kl_buf_init(&row, VAULT_STORE_VALUE_MAX_BYTES);
    for (unsigned kind = 1; status == KL_OK && kind <= VAULT_TERM_KINDS; kind++) {
        for (unsigned bucket = 0; status == KL_OK && bucket < vault_postings_buckets(kind);
             bucket++) {
            size_t first = at;
            size_t count = bucket_of(&gathering, kind, bucket, &at);

            status = put_row(tenant, block, kind, bucket,
                             count == 0 ? NULL : &gathering.items[first], count, &row, batch, err);
        }
    }
    kl_buf_done(&row);
    free(gathering.items);
    return status;
}

/* Of a tenant that ends meanwhile nothing is left to do. */
static enum kl_status submit(struct vault *vault, uint64_t tenant, const struct vault_batch *batch,
                             struct kl_err *err)
{
    struct kl_err cause = {0};
    struct vault_commit commit = {.tenant = tenant, .batch = batch, .unsynced = true};
    enum kl_status status = vault_commit_submit(vault->committer, &commit, &cause);

    return status == KL_OK || status == KL_ERR_NOT_FOUND
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

/* An entry that cannot be read leaves its block without rows: a search then meets it as it would without an index. */
static enum kl_status build_next(struct vault *vault, uint64_t tenant, uint64_t block,
                                 struct kl_err *err)
{
    struct vault_batch *batch = vault_batch_new();
    struct kl_err cause = {0};
    enum kl_status status = batch == NULL ? kl_fail_memory(err) : KL_OK;

    if (status == KL_OK) {
        status = vault_audit_index_block(vault, tenant, block, batch, &cause);
        if (status == KL_ERR_CORRUPT) {
            kl_log(KL_LOG_ERROR, "audit_block_damaged", KL_LOG_INT("tenant", tenant),
                   KL_LOG_INT("block", block));
            vault_batch_clear(batch);
            status = KL_OK;
        } else if (status != KL_OK) {
            status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
        }
    }
    if (status == KL_OK) {
        vault_audit_indexed_put(tenant, block + 1, batch);
        status = submit(vault, tenant, batch, err);
    }
    vault_batch_free(batch);
    return status;
}

void vault_audit_index_mend(struct vault *vault, uint64_t tenant, uint64_t block)
{
    struct vault_batch *batch = vault_batch_new();
    struct vault_audit_indexed indexed = {0};
    struct kl_err err = {0};
    enum kl_status status = batch == NULL ? kl_fail_memory(&err) : KL_OK;

    if (status == KL_OK) {
        status = vault_audit_indexed_read(vault, tenant, &indexed, &err);
    }
    if (status == KL_OK && block >= indexed.first && block < indexed.until) {
        status = vault_audit_index_block(vault, tenant, block, batch, &err);
        if (status == KL_OK) {
            status = submit(vault, tenant, batch, &err);
        }
        kl_log(KL_LOG_WARNING, "audit_index_mended", KL_LOG_INT("tenant", tenant),
               KL_LOG_INT("block", block), KL_LOG_INT("worked", status == KL_OK));
    }
    if (status != KL_OK) {
        kl_log_err(KL_LOG_WARNING, "audit_index_not_mended", &err);
    }
    vault_batch_free(batch);
}

/* ---- the task ---- */

/* One block of a trail, if one is due; ret_whole: none is. */
static enum kl_status build_step(struct vault *vault, uint64_t tenant, bool *ret_whole,
                                 struct kl_err *err)
{
    struct vault_audit_indexed indexed = {0};
    struct vault_trail *trail = NULL;
    uint64_t size = 0;
    enum kl_status status = vault_trail_get(vault->trails, tenant, &trail, err);

    if (status == KL_OK) {
        status = vault_trails_size(vault->trails, tenant, &size, err);
    }
    if (status != KL_OK) {
        return status;
    }
    *ret_whole = trail->indexed == size / VAULT_POSTINGS_BLOCK;
    if (*ret_whole) {
        return KL_OK;
    }
    status = vault_audit_indexed_read(vault, tenant, &indexed, err);
    if (status == KL_OK && indexed.until < size / VAULT_POSTINGS_BLOCK) {
        status = build_next(vault, tenant, indexed.until, err);
        return status;
    }
    if (status == KL_OK) {
        trail->indexed = indexed.until;
        *ret_whole = true;
    }
    return status;
}

/* A block of each trail in turn, until none has one that is due; the next turn goes on where this one ended. */
static enum kl_status build_run(struct vault *vault, int64_t now_us, struct kl_err *err)
{
    int64_t until_us = kl_time_monotonic_us() + BUILD_TURN_US;
    enum kl_status status = KL_OK;
    uint64_t tenant = vault->trails->index_from;
    bool worked = true;
    bool whole = false;

    (void)now_us;
    while (status == KL_OK && kl_time_monotonic_us() < until_us) {
        const struct vault_tenant *next = vault_tenants_next(vault, tenant);

        status = build_step(vault, tenant, &whole, err);
        worked = worked || !whole;
        tenant = next == NULL ? KMS_TENANT_VAULT : next->number;
        if (next == NULL && !worked) {
            break;
        }
        worked = worked && next != NULL;
    }
    vault->trails->index_from = tenant;
    return status;
}

const struct vault_upkeep_task vault_audit_index_task = {
    .name = "audit_index", .interval_ms = BUILD_INTERVAL_MS, .run = build_run};

/* ---- looking ---- */

enum kl_status vault_audit_index_look(struct vault *vault, uint64_t tenant, uint64_t block,
                                      const struct vault_term *terms, size_t count,
                                      struct kl_buf *row, struct vault_places *ret, bool *ret_whole,
                                      struct kl_err *err)
{
    struct vault_places places;

    memset(ret, 0xff, sizeof *ret);
    *ret_whole = true;
    for (size_t i = 0; i < count && vault_places_any(ret); i++) {
        unsigned bucket = (unsigned)(terms[i].value % vault_postings_buckets(terms[i].kind));
        struct vault_row_key key =
            vault_row_postings(tenant, block, (uint8_t)terms[i].kind, (uint8_t)bucket);
        struct kl_err cause = {0};
        enum kl_status status;

        kl_buf_clear(row);
        status = vault_store_get(vault->data_store, vault_row_slice(&key), row, &cause);
        if (status != KL_OK && status != KL_ERR_NOT_FOUND) {
            return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
        }
        *ret_whole =
            status == KL_OK &&
            vault_postings_find(vault_row_slice(&key), kl_buf_slice(row), terms[i].value, &places);
        if (!*ret_whole) {
            return KL_OK;
        }
        for (size_t k = 0; k < VAULT_POSTINGS_WORDS; k++) {
            ret->words[k] &= places.words[k];
        }
    }
    return KL_OK;
}

/* ---- checking ---- */

/* A row against what it should be; expected: the next of the bucket. Entries that are gone may still be in it. */
struct comparing {
    const struct gathering *gathering;
    size_t at;
    size_t past;
    bool differs;
};

static bool is_next(struct comparing *comparing, uint64_t value, unsigned place)
{
    const struct vault_posting *expected;

    if (comparing->at == comparing->past) {
        return false;
    }
    expected = &comparing->gathering->items[comparing->at++];
    return expected->value == value && expected->place == place;
}

static bool compare_term(void *visitor, uint64_t value, const struct vault_places *places)
{
    struct comparing *comparing = visitor;
    unsigned place = vault_places_next(places, 0);

    for (; place < VAULT_POSTINGS_BLOCK; place = vault_places_next(places, place + 1)) {
        if ((comparing->gathering->present.words[place / 64] >> (place % 64) & 1) != 0 &&
            !is_next(comparing, value, place)) {
            comparing->differs = true;
            return false;
        }
    }
    return true;
}

static enum kl_status compare_row(struct vault *vault, const struct vault_row_key *key,
                                  struct comparing *comparing, struct kl_buf *row,
                                  struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status;

    kl_buf_clear(row);
    status = vault_store_get(vault->data_store, vault_row_slice(key), row, &cause);
    if (status == KL_OK) {
        bool reads =
            vault_postings_read(vault_row_slice(key), kl_buf_slice(row), compare_term, comparing);

        comparing->differs = comparing->differs || !reads || comparing->at != comparing->past;
    } else if (status == KL_ERR_NOT_FOUND) {
        comparing->differs = true;
    } else {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    return KL_OK;
}

static enum kl_status compare_block(struct vault *vault, uint64_t tenant, uint64_t block,
                                    struct kl_buf *row, bool *ret_differs, struct kl_err *err)
{
    struct gathering gathering = {0};
    struct comparing comparing = {.gathering = &gathering};
    size_t at = 0;
    enum kl_status status = gather(vault, tenant, block, &gathering, err);

    for (unsigned kind = 1; status == KL_OK && kind <= VAULT_TERM_KINDS; kind++) {
        for (unsigned bucket = 0;
             status == KL_OK && !comparing.differs && bucket < vault_postings_buckets(kind);
             bucket++) {
            struct vault_row_key key =
                vault_row_postings(tenant, block, (uint8_t)kind, (uint8_t)bucket);

            comparing.at = at;
            (void)bucket_of(&gathering, kind, bucket, &at);
            comparing.past = at;
            status = compare_row(vault, &key, &comparing, row, err);
        }
    }
    *ret_differs = comparing.differs;
    free(gathering.items);
    return status;
}

enum kl_status vault_audit_index_check(struct vault *vault, uint64_t tenant,
                                       struct kl_trail_findings *ret, struct kl_err *err)
{
    struct vault_audit_indexed indexed = {0};
    struct vault_pruned pruned = {.until = 0};
    struct kl_err cause = {0};
    struct kl_buf row;
    uint64_t first = 0;
    enum kl_status status = vault_audit_indexed_read(vault, tenant, &indexed, err);

    kl_buf_init(&row, VAULT_STORE_VALUE_MAX_BYTES);
    if (status == KL_OK) {
        status = vault_trails_pruned(vault->trails, tenant, &pruned, err);
    }
    /* Of a block in which the border lies the rows still have what went. */
    first = (pruned.until + VAULT_POSTINGS_BLOCK - 1) / VAULT_POSTINGS_BLOCK;
    first = first > indexed.first ? first : indexed.first;
    for (uint64_t block = first; status == KL_OK && block < indexed.until; block++) {
        bool differs = false;

        kl_err_clear(&cause);
        status = compare_block(vault, tenant, block, &row, &differs, &cause);
        if (status == KL_OK && differs) {
            kl_trail_find(ret, "index_damaged", block * VAULT_POSTINGS_BLOCK,
                          (block + 1) * VAULT_POSTINGS_BLOCK,
                          "the search index of block %llu is not that of its entries",
                          (unsigned long long)block);
        } else if (status == KL_ERR_CORRUPT) { /* an entry: a finding of who compares those */
            status = KL_OK;
        } else if (status != KL_OK) {
            status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
        }
    }
    kl_buf_done(&row);
    return status;
}
