#include "kms/cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define HEADS_FIRST 64

/* ---- cells ---- */

static size_t cell_of(const struct kms_address *address)
{
    return (size_t)kms_address_kind(address) - KMS_PAGE_SPINE;
}

/* Spines an eighth of a quarter of what can be locked, interior pages a half, leaf pages three eighths. */
static size_t share_of(size_t kind)
{
    static const size_t eighths[KMS_PAGE_KINDS] = {1, 4, 3};
    size_t lockable = kl_secret_lockable_bytes();

    return lockable == SIZE_MAX ? SIZE_MAX : lockable / 4 / 8 * eighths[kind];
}

enum kl_status kms_cells_init(struct kms_cells *cells, size_t pages_max, struct kl_err *err)
{
    static const size_t entries[KMS_PAGE_KINDS] = {KMS_SPINE_ENTRIES, KMS_FAN_ENTRIES,
                                                   KMS_LEAF_ENTRIES};

    memset(cells, 0, sizeof *cells);
    for (size_t i = 0; i < KMS_PAGE_KINDS; i++) {
        cells->bytes_max[i] = share_of(i);
        cells->arenas[i] = kl_secret_arena_new(entries[i] * KMS_ENTRY_BYTES, pages_max);
        if (cells->arenas[i] == NULL) {
            kms_cells_done(cells);
            return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                           "no memory for the cells of key pages");
        }
    }
    return KL_OK;
}

void kms_cells_done(struct kms_cells *cells)
{
    for (size_t i = 0; i < KMS_PAGE_KINDS; i++) {
        kl_secret_arena_free(cells->arenas[i]);
        cells->arenas[i] = NULL;
    }
}

static unsigned char *cell_take(struct kms_cells *cells, size_t kind)
{
    struct kl_secret_arena *arena = cells->arenas[kind];

    if (kl_secret_arena_must_grow(arena) &&
        kl_secret_arena_locked_bytes(arena) >= cells->bytes_max[kind]) {
        return NULL;
    }
    return kl_secret_arena_take(arena);
}

unsigned char *kms_cells_take(struct kms_cells *cells, const struct kms_address *address)
{
    return cell_take(cells, cell_of(address));
}

/* A chunk stays with its arena when its cells come back: take them all, linked through themselves, and give them back. */
static void reserve_kind(struct kms_cells *cells, size_t kind)
{
    unsigned char *first = NULL;
    unsigned char *cell;

    while ((cell = cell_take(cells, kind)) != NULL) {
        memcpy(cell, &first, sizeof first);
        first = cell;
    }
    while (first != NULL) {
        cell = first;
        memcpy(&first, cell, sizeof first);
        kl_secret_arena_give(cells->arenas[kind], cell);
    }
}

enum kl_status kms_cells_reserve(struct kms_cells *cells, struct kl_err *err)
{
    for (size_t i = 0; i < KMS_PAGE_KINDS && cells->bytes_max[i] != SIZE_MAX; i++) {
        reserve_kind(cells, i);
        if (kl_secret_arena_locked_bytes(cells->arenas[i]) < cells->bytes_max[i]) {
            return kl_fail(err, KL_ERR_NO_MEMORY, "no_locked_memory", "the server is out of memory",
                           "no memory can be locked for the pages of commits");
        }
    }
    return KL_OK;
}

void kms_cells_give(struct kms_cells *cells, const struct kms_address *address,
                    unsigned char *entries)
{
    kl_secret_arena_give(cells->arenas[cell_of(address)], entries);
}

/* ---- pages by address ---- */

enum kl_status kms_page_table_init(struct kms_page_table *table, struct kl_err *err)
{
    memset(table, 0, sizeof *table);
    table->heads = calloc(HEADS_FIRST, sizeof *table->heads);
    if (table->heads == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                       "no memory for a table of key pages");
    }
    table->heads_count = HEADS_FIRST;
    return KL_OK;
}

void kms_page_table_done(struct kms_page_table *table)
{
    free(table->heads);
    memset(table, 0, sizeof *table);
}

static struct kms_page **head_of(const struct kms_page_table *table,
                                 const struct kms_address *address)
{
    return &table->heads[kms_address_hash(address) & (table->heads_count - 1)];
}

struct kms_page *kms_page_table_find(const struct kms_page_table *table,
                                     const struct kms_address *address)
{
    struct kms_page *page = *head_of(table, address);

    while (page != NULL && !kms_address_equal(&page->address, address)) {
        page = page->hash_next;
    }
    return page;
}

/* Longer chains are slower, not wrong: a table that cannot grow stays as it is. */
static void table_grow(struct kms_page_table *table)
{
    struct kms_page_table larger = *table;

    larger.heads_count = table->heads_count * 2;
    larger.heads = calloc(larger.heads_count, sizeof *larger.heads);
    if (larger.heads == NULL) {
        return;
    }
    for (size_t i = 0; i < table->heads_count; i++) {
        struct kms_page *page = table->heads[i];

        while (page != NULL) {
            struct kms_page *next = page->hash_next;
            struct kms_page **head = head_of(&larger, &page->address);

            page->hash_next = *head;
            *head = page;
            page = next;
        }
    }
    free(table->heads);
    *table = larger;
}

void kms_page_table_add(struct kms_page_table *table, struct kms_page *page)
{
    struct kms_page **head;

    assert(kms_page_table_find(table, &page->address) == NULL);
    if (table->pages >= table->heads_count) {
        table_grow(table);
    }
    head = head_of(table, &page->address);
    page->hash_next = *head;
    *head = page;
    table->pages++;
}

void kms_page_table_remove(struct kms_page_table *table, struct kms_page *page)
{
    struct kms_page **link = head_of(table, &page->address);

    while (*link != page) {
        assert(*link != NULL);
        link = &(*link)->hash_next;
    }
    *link = page->hash_next;
    page->hash_next = NULL;
    table->pages--;
}

/* ---- the cache ---- */

enum kl_status kms_cache_init(struct kms_cache *cache, size_t pages_max, struct kl_err *err)
{
    struct kms_address root = kms_address_root();
    enum kl_status status;

    memset(cache, 0, sizeof *cache);
    cache->pages_max = pages_max;
    status = kms_cells_init(&cache->cells, pages_max, err);
    if (status == KL_OK) {
        status = kms_page_table_init(&cache->table, err);
    }
    if (status == KL_OK) {
        cache->root = kms_cache_add(cache, &root, NULL, 0);
        if (cache->root == NULL) {
            status =
                kl_fail(err, KL_ERR_NO_MEMORY, "no_locked_memory", "the server is out of memory",
                        "no memory can be locked for the root page");
        }
    }
    if (status != KL_OK) {
        kms_cache_done(cache);
    }
    return status;
}

void kms_cache_done(struct kms_cache *cache)
{
    for (size_t i = 0; i < cache->table.heads_count; i++) {
        struct kms_page *page = cache->table.heads[i];

        while (page != NULL) {
            struct kms_page *next = page->hash_next;

            kms_cells_give(&cache->cells, &page->address, page->entries);
            free(page);
            page = next;
        }
    }
    kms_page_table_done(&cache->table);
    kms_cells_done(&cache->cells);
    cache->root = NULL;
    cache->hand = NULL;
}

struct kms_page *kms_cache_find(const struct kms_cache *cache, const struct kms_address *address)
{
    return kms_page_table_find(&cache->table, address);
}

static void clock_add(struct kms_cache *cache, struct kms_page *page)
{
    struct kms_page *hand = cache->hand;

    if (hand == NULL) {
        page->clock_next = page;
        page->clock_previous = page;
        cache->hand = page;
        return;
    }
    /* Just behind the hand: it is looked at last. */
    page->clock_next = hand;
    page->clock_previous = hand->clock_previous;
    hand->clock_previous->clock_next = page;
    hand->clock_previous = page;
}

static void clock_remove(struct kms_cache *cache, struct kms_page *page)
{
    if (cache->hand == page) {
        cache->hand = page->clock_next == page ? NULL : page->clock_next;
    }
    page->clock_previous->clock_next = page->clock_next;
    page->clock_next->clock_previous = page->clock_previous;
}

void kms_cache_drop(struct kms_cache *cache, struct kms_page *page)
{
    assert(page->parent != NULL && page->children == 0);
    page->parent->children--;
    clock_remove(cache, page);
    kms_page_table_remove(&cache->table, page);
    kms_cells_give(&cache->cells, &page->address, page->entries);
    free(page);
}

#define ANY_KIND KMS_PAGE_KINDS

/* Two turns of the clock: the first may only take the marks away. */
static bool evict_one(struct kms_cache *cache, const struct kms_page *keep, size_t kind)
{
    for (size_t looks = 2 * cache->table.pages; looks > 0 && cache->hand != NULL; looks--) {
        struct kms_page *page = cache->hand;

        if (page->children == 0 && page != keep &&
            (kind == ANY_KIND || cell_of(&page->address) == kind) &&
            !atomic_exchange_explicit(&page->used, false, memory_order_relaxed)) {
            kms_cache_drop(cache, page);
            return true;
        }
        cache->hand = page->clock_next;
    }
    return false;
}

struct kms_page *kms_cache_add(struct kms_cache *cache, const struct kms_address *address,
                               struct kms_page *parent, uint16_t parent_entry)
{
    struct kms_page *page;

    if (cache->table.pages >= cache->pages_max && !evict_one(cache, parent, ANY_KIND)) {
        return NULL;
    }
    page = calloc(1, sizeof *page);
    if (page == NULL) {
        return NULL;
    }
    /* When no more memory can be locked, a cell of the same size must come free, if need be by others that hang below it. */
    while ((page->entries = kms_cells_take(&cache->cells, address)) == NULL) {
        if (!evict_one(cache, parent, cell_of(address)) && !evict_one(cache, parent, ANY_KIND)) {
            free(page);
            return NULL;
        }
    }
    page->address = *address;
    page->parent = parent;
    page->parent_entry = parent_entry;
    atomic_init(&page->used, true);
    kms_page_table_add(&cache->table, page);
    if (parent != NULL) {
        parent->children++;
        clock_add(cache, page);
    }
    return page;
}

/* The address of what hangs below entry i of a page. */
static struct kms_address child_address(const struct kms_address *page, size_t i)
{
    struct kms_address child = *page;

    switch (kms_address_kind(page)) {
    case KMS_PAGE_SPINE:
        child.height = (uint8_t)i;
        child.level = (uint8_t)i;
        child.index = 0;
        return child;
    case KMS_PAGE_INTERIOR:
        child.level--;
        child.index = page->index << KMS_FAN_BITS | i;
        return child;
    case KMS_PAGE_LEAF:
        break;
    }
    {
        uint64_t number = kms_height_base(page->height) + (page->index << KMS_LEAF_BITS | i);
        struct kms_place place = {page->tenant, KMS_SLOT_NONE, KMS_VALUE_NONE};

        if (page->tree == KMS_TREE_STORE) {
            place.tenant = number;
        } else {
            place.slot = number;
        }
        return kms_address_spine(&place);
    }
}

void kms_cache_drop_below(struct kms_cache *cache, const struct kms_address *address)
{
    struct kms_page *page = kms_cache_find(cache, address);

    if (page == NULL) {
        return;
    }
    for (size_t i = 0; page->children > 0 && i < kms_address_entries(address); i++) {
        if (kms_entry_kind(page->entries, i) == KMS_ENTRY_PAGE) {
            struct kms_address child = child_address(address, i);

            kms_cache_drop_below(cache, &child);
        }
    }
    kms_cache_drop(cache, page);
}
