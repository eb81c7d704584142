/*
 * Explicit pages in locked memory.
 *
 * Always true: a page is here only while its parent is (the root page always
 * is), and its parent's entry is a PAGE that holds its key: commit swaps both
 * together. A page is never evicted while a child of it is here, so all that
 * hangs below a shredded slot can be found and wiped.
 * Threads: the owner's lock guards everything; `used` alone may be set under
 * its read side.
 */
#ifndef KLUIS_KMS_CACHE_H
#define KLUIS_KMS_CACHE_H

#include "kluis/base/secret.h"
#include "kms/page.h"

#include <stdatomic.h>

/*
 * Cells for entries, by the kind of the page. Where the process may not lock all it wants (kl_secret_lockable_bytes), the cells of a cache
 * or of a commit take a quarter of it at most, each kind its share of that, so that none pushes out the others for good.
 */
#define KMS_PAGE_KINDS 3
struct kms_cells {
    struct kl_secret_arena *arenas[KMS_PAGE_KINDS];
    size_t bytes_max[KMS_PAGE_KINDS];
};
KL_MUST_USE enum kl_status kms_cells_init(struct kms_cells *cells, size_t pages_max,
                                          struct kl_err *err);
void kms_cells_done(struct kms_cells *cells);
/* Where little can be locked, take now what the cells may take at most, so that they have it later whatever else was locked. */
KL_MUST_USE enum kl_status kms_cells_reserve(struct kms_cells *cells, struct kl_err *err);
/* NULL when no more memory can be locked. */
unsigned char *kms_cells_take(struct kms_cells *cells, const struct kms_address *address);
void kms_cells_give(struct kms_cells *cells, const struct kms_address *address,
                    unsigned char *entries);

struct kms_page {
    struct kms_address address;
    unsigned char *entries;
    struct kms_page *parent; /* NULL for the root page */
    uint16_t parent_entry;
    uint32_t children; /* pages here whose parent this is */
    atomic_bool used;
    struct kms_page *hash_next;
    struct kms_page *clock_next; /* a ring of all but the root page */
    struct kms_page *clock_previous;
};

/* Pages by address; the cache uses one, and so does a commit for its copies. */
struct kms_page_table {
    struct kms_page **heads;
    size_t heads_count; /* a power of two */
    size_t pages;
};
KL_MUST_USE enum kl_status kms_page_table_init(struct kms_page_table *table, struct kl_err *err);
void kms_page_table_done(struct kms_page_table *table); /* the pages are the caller's */
struct kms_page *kms_page_table_find(const struct kms_page_table *table,
                                     const struct kms_address *address);
/* The address must not be there. Grows when it can; never fails. */
void kms_page_table_add(struct kms_page_table *table, struct kms_page *page);
void kms_page_table_remove(struct kms_page_table *table, struct kms_page *page);

struct kms_cache {
    struct kms_cells cells;
    struct kms_page_table table;
    struct kms_page *hand; /* of the clock */
    struct kms_page *root;
    size_t pages_max;
};

/* Makes the root page's place with all its entries unset. pages_max 64..16777216. */
KL_MUST_USE enum kl_status kms_cache_init(struct kms_cache *cache, size_t pages_max,
                                          struct kl_err *err);
void kms_cache_done(struct kms_cache *cache); /* wipes */

struct kms_page *kms_cache_find(const struct kms_cache *cache, const struct kms_address *address);
/*
 * A place for a page below parent, its entries zero; the page must not be here yet. Evicts a page that was not used lately and has no
 * children here. NULL when nothing can be evicted or had.
 */
struct kms_page *kms_cache_add(struct kms_cache *cache, const struct kms_address *address,
                               struct kms_page *parent, uint16_t parent_entry);
/* Wipe a page without children here. Not the root page. */
void kms_cache_drop(struct kms_cache *cache, struct kms_page *page);
/* Wipe the page at that address, if it is here, and all that hangs below it. */
void kms_cache_drop_below(struct kms_cache *cache, const struct kms_address *address);

#endif
