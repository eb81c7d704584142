#include "kms/plan.h"

#include "kms/derive.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* After how many copies the locked memory is given back. */
#define COPIES_KEPT 1024

static enum kl_status fail_memory(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_NO_MEMORY, "no_locked_memory", "the server is out of memory",
                   "no memory for the pages of a commit");
}

/* ---- copies of pages ---- */

static bool grow(void **array, size_t *room, size_t element_bytes)
{
    size_t larger = *room > 0 ? *room * 2 : 64;
    void *moved = realloc(*array, larger * element_bytes);

    if (moved == NULL) {
        return false;
    }
    *array = moved;
    *room = larger;
    return true;
}

static enum kl_status copy_new(struct kms_plan *plan, const struct kms_address *address,
                               struct kms_page *parent, uint16_t parent_entry,
                               struct kms_copy **ret_copy, struct kl_err *err)
{
    struct kms_copy *copy;

    if (plan->copies_count == plan->copies_room &&
        !grow((void **)&plan->copies, &plan->copies_room, sizeof(struct kms_copy *))) {
        return fail_memory(err);
    }
    copy = calloc(1, sizeof *copy);
    if (copy == NULL) {
        return fail_memory(err);
    }
    copy->page.entries = kms_cells_take(&plan->kms->copies, address);
    if (copy->page.entries == NULL) {
        free(copy);
        return fail_memory(err);
    }
    copy->page.address = *address;
    copy->page.parent = parent;
    copy->page.parent_entry = parent_entry;
    kms_page_row_key(address, copy->row_key);
    plan->copies[plan->copies_count++] = copy;
    kms_page_table_add(&plan->table, &copy->page);
    *ret_copy = copy;
    return KL_OK;
}

/* Entries from the cache; false when the page is not there. Only a commit changes pages, so there is no need to hold the lock on. */
static bool fill_from_cache(struct kms *kms, struct kms_copy *copy)
{
    struct kms_page *cached;

    (void)pthread_rwlock_rdlock(&kms->lock);
    cached = kms_cache_find(&kms->cache, &copy->page.address);
    if (cached != NULL) {
        memcpy(copy->page.entries, cached->entries, kms_page_bytes(&copy->page.address));
    }
    (void)pthread_rwlock_unlock(&kms->lock);
    return cached != NULL;
}

static enum kl_status fill_from_storage(struct kms *kms, struct kms_copy *copy,
                                        const unsigned char *key, struct kl_err *err)
{
    struct kms_page_binding binding = kms_binding(kms, &copy->page.address, 0);
    struct kl_err failure = {0};
    struct kl_buf row;
    enum kl_status status;

    kl_buf_init(&row, KMS_ROW_MAX_BYTES);
    status = kms_rows_get(&kms->rows, (struct kl_slice){copy->row_key, sizeof copy->row_key}, &row,
                          &failure);
    if (status == KL_OK || status == KL_ERR_NOT_FOUND) {
        status = kms_page_open(&binding, key, kl_buf_slice(&row), copy->page.entries, err);
    } else {
        status = kl_fail(err, status, "key_store_io", "the key store could not be read", "%s",
                         failure.log_text);
    }
    kl_buf_done(&row);
    return status;
}

/* The copy of the page below an entry that is not GONE, made if there is none yet. */
static enum kl_status copy_below(struct kms_plan *plan, struct kms_page *parent, uint16_t entry,
                                 const struct kms_address *address, struct kms_page **ret_page,
                                 struct kl_err *err)
{
    struct kms_page *page = kms_page_table_find(&plan->table, address);
    struct kms_copy *copy = NULL;
    enum kl_status status;

    if (page != NULL) {
        *ret_page = page;
        return KL_OK;
    }
    status = copy_new(plan, address, parent, entry, &copy, err);
    if (status != KL_OK) {
        return status;
    }
    if (kms_entry_kind(parent->entries, entry) == KMS_ENTRY_SEED) {
        kms_derive_page(kms_entry_key(parent->entries, entry), address, copy->page.entries);
    } else if (!fill_from_cache(plan->kms, copy)) {
        status = fill_from_storage(plan->kms, copy, kms_entry_key(parent->entries, entry), err);
    }
    *ret_page = &copy->page;
    return status;
}

/* ---- making a change ---- */

static enum kl_status dead_add(struct kms_plan *plan, const struct kms_place *place,
                               struct kl_err *err)
{
    struct kms_dead *dead;

    if (plan->dead_count == plan->dead_room &&
        !grow((void **)&plan->dead, &plan->dead_room, sizeof(struct kms_dead))) {
        return fail_memory(err);
    }
    dead = &plan->dead[plan->dead_count++];
    dead->spine = kms_address_spine(place);
    kms_dead_key(&dead->spine, dead->row_key);
    return KL_OK;
}

static void keep_mark(struct kms_page *page, uint16_t entry)
{
    struct kms_copy *copy = (struct kms_copy *)page; /* page comes first in it */

    copy->keeps[entry / 64] |= UINT64_C(1) << entry % 64;
}

/* Copy the pages from the slot's spine down to a kept value, and mark the way. */
static enum kl_status keep_way(struct kms_plan *plan, struct kms_page *spine,
                               const struct kms_place *value, struct kl_err *err)
{
    struct kms_path path;
    struct kms_page *page = spine;
    enum kl_status status = KL_OK;

    kms_path_of(value, &path);
    for (size_t i = path.ends[1]; i < path.count && status == KL_OK; i++) {
        uint16_t entry = path.steps[i].entry;

        if (kms_entry_kind(page->entries, entry) == KMS_ENTRY_GONE) {
            return KL_OK;
        }
        keep_mark(page, entry);
        if (i + 1 < path.count) {
            status = copy_below(plan, page, entry, &path.steps[i + 1].page, &page, err);
        }
    }
    return status;
}

/* Everything in these copies goes but what was marked. */
static void shred_unmarked(struct kms_plan *plan, size_t copies_first)
{
    for (size_t i = copies_first; i < plan->copies_count; i++) {
        struct kms_copy *copy = plan->copies[i];

        for (size_t e = 0; e < kms_address_entries(&copy->page.address); e++) {
            if ((copy->keeps[e / 64] >> e % 64 & 1) == 0) {
                kms_entry_set(copy->page.entries, e, KMS_ENTRY_GONE, NULL);
            }
        }
    }
}

/* A slot goes but for some of its values. page and entry are the slot's own; nothing below it was copied yet. */
static enum kl_status shred_but(struct kms_plan *plan, const struct kms_action *action,
                                struct kms_page *page, uint16_t entry, struct kl_err *err)
{
    struct kms_address address = kms_address_spine(&action->place);
    struct kms_page *spine = NULL;
    size_t copies_first = plan->copies_count;
    enum kl_status status;

    assert(kms_page_table_find(&plan->table, &address) == NULL);
    status = copy_below(plan, page, entry, &address, &spine, err);
    for (size_t i = 0; i < action->keeps_count && status == KL_OK; i++) {
        status = keep_way(plan, spine, &plan->actions.keeps[action->keeps_first + i], err);
    }
    if (status == KL_OK) {
        shred_unmarked(plan, copies_first);
    }
    return status;
}

static enum kl_status rekey(struct kms_plan *plan, const struct kms_place *place,
                            struct kms_page *page, uint16_t entry, struct kl_err *err)
{
    const unsigned char *seed = NULL;
    enum kl_status status = kms_staged_add(&plan->staged, place, &seed, err);

    if (status == KL_OK) {
        kms_entry_set(page->entries, entry, KMS_ENTRY_SEED, seed);
    }
    return status;
}

/* What is done to the entry of the place itself. */
static enum kl_status entry_change(struct kms_plan *plan, const struct kms_action *action,
                                   struct kms_page *page, uint16_t entry, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (action->kind != KMS_CHANGE_SHRED && action->kind != KMS_CHANGE_REKEY) {
        return KL_OK;
    }
    if (kms_entry_kind(page->entries, entry) == KMS_ENTRY_PAGE) {
        status = dead_add(plan, &action->place, err);
    }
    if (status != KL_OK) {
        return status;
    }
    if (action->kind == KMS_CHANGE_REKEY) {
        return rekey(plan, &action->place, page, entry, err);
    }
    if (action->keeps_count > 0) {
        return shred_but(plan, action, page, entry, err);
    }
    kms_entry_set(page->entries, entry, KMS_ENTRY_GONE, NULL);
    return KL_OK;
}

/* Seeds of the page from an entry on were never used: they are replaced. */
static void seeds_renew(struct kms_page *page, size_t from)
{
    unsigned char seed[KMS_KEY_BYTES];

    for (size_t e = from; e < kms_address_entries(&page->address); e++) {
        if (kms_entry_kind(page->entries, e) == KMS_ENTRY_SEED) {
            randombytes_buf(seed, sizeof seed);
            kms_entry_set(page->entries, e, KMS_ENTRY_SEED, seed);
        }
    }
    sodium_memzero(seed, sizeof seed);
}

/* ---- ranges of values ---- */

static bool in_range(const struct kms_action *range, const struct kms_page *page, size_t entry,
                     bool *ret_outside)
{
    uint64_t first = 0;
    uint64_t past = 0;

    kms_address_span(&page->address, entry, &first, &past);
    *ret_outside = past <= range->place.value || first >= range->past;
    return first >= range->place.value && past <= range->past;
}

/* Entries of the page below which all is in the range get fresh seeds; a page below one hangs nowhere from then on. */
static enum kl_status range_renew(struct kms_plan *plan, const struct kms_action *range,
                                  struct kms_page *page, bool *dead, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    unsigned char seed[KMS_KEY_BYTES];
    bool outside = false;

    for (size_t e = 0; e < kms_address_entries(&page->address) && status == KL_OK; e++) {
        enum kms_entry_kind kind = kms_entry_kind(page->entries, e);

        if (kind == KMS_ENTRY_GONE || !in_range(range, page, e, &outside)) {
            continue;
        }
        if (kind == KMS_ENTRY_PAGE && !*dead) {
            status = dead_add(plan, &range->place, err);
            *dead = status == KL_OK;
        }
        randombytes_buf(seed, sizeof seed);
        kms_entry_set(page->entries, e, KMS_ENTRY_SEED, seed);
    }
    sodium_memzero(seed, sizeof seed);
    return status;
}

/*
 * The pages of the slot on the way to one end of the range. Nothing below an entry that is renewed was copied: what was done before is of values
 * in front of the range.
 */
static enum kl_status range_edge(struct kms_plan *plan, const struct kms_action *range,
                                 uint64_t edge, bool *dead, struct kl_err *err)
{
    const struct kms_place place = {range->place.tenant, range->place.slot, edge};
    struct kms_path path;
    struct kms_page *page = &plan->copies[0]->page;
    enum kl_status status = KL_OK;
    bool outside = false;

    kms_path_of(&place, &path);
    for (size_t i = 0; i < path.count && status == KL_OK; i++) {
        uint16_t entry = path.steps[i].entry;

        if (i >= path.ends[1]) {
            status = range_renew(plan, range, page, dead, err);
            if (status != KL_OK || in_range(range, page, entry, &outside) || outside) {
                return status;
            }
        }
        if (kms_entry_kind(page->entries, entry) == KMS_ENTRY_GONE) {
            return KL_OK;
        }
        if (i + 1 < path.count) {
            status = copy_below(plan, page, entry, &path.steps[i + 1].page, &page, err);
        }
    }
    return status;
}

static enum kl_status range_make(struct kms_plan *plan, const struct kms_action *range,
                                 struct kl_err *err)
{
    bool dead = false;
    enum kl_status status = range_edge(plan, range, range->place.value, &dead, err);

    return status == KL_OK && range->past <= KMS_SLOT_MAX
               ? range_edge(plan, range, range->past, &dead, err)
               : status;
}

static enum kl_status action_make(struct kms_plan *plan, const struct kms_action *action,
                                  struct kl_err *err)
{
    struct kms_path path;
    struct kms_page *page = &plan->copies[0]->page;
    enum kl_status status = KL_OK;

    if (kms_action_is_range(action)) {
        return range_make(plan, action, err);
    }

    kms_path_of(&action->place, &path);
    for (size_t i = 0; i < path.count && status == KL_OK; i++) {
        uint16_t entry = path.steps[i].entry;
        enum kms_entry_kind kind = kms_entry_kind(page->entries, entry);

        if (action->kind == KMS_CHANGE_RENEW && i >= path.ends[0]) { /* within the tenant's tree */
            seeds_renew(page, i + 1 == path.count ? entry : (size_t)entry + 1);
        }
        if (kind == KMS_ENTRY_GONE) {
            return KL_OK;
        }
        if (i + 1 == path.count) {
            return entry_change(plan, action, page, entry, err);
        }
        if (action->kind == KMS_CHANGE_TOUCH && kind == KMS_ENTRY_SEED) {
            return KL_OK; /* no page below has a key of its own */
        }
        status = copy_below(plan, page, entry, &path.steps[i + 1].page, &page, err);
    }
    return status;
}

/* ---- the plan ---- */

/* Room for all rows, so that sealing cannot fail. */
static enum kl_status rows_make(struct kms_plan *plan, struct kl_err *err)
{
    size_t bytes = 0;

    for (size_t i = 0; i < plan->copies_count; i++) {
        bytes += kms_page_row_bytes(&plan->copies[i]->page.address);
    }
    plan->rows = malloc(bytes);
    if (plan->rows == NULL) {
        return fail_memory(err);
    }
    bytes = 0;
    for (size_t i = 0; i < plan->copies_count; i++) {
        plan->copies[i]->row = plan->rows + bytes;
        bytes += kms_page_row_bytes(&plan->copies[i]->page.address);
    }
    return KL_OK;
}

/* A page with nothing left is not kept: its parent's entry is GONE instead. */
static void collapse(struct kms_plan *plan)
{
    for (size_t i = plan->copies_count - 1; i > 0; i--) {
        struct kms_copy *copy = plan->copies[i];

        if (kms_entries_all_gone(copy->page.entries, kms_address_entries(&copy->page.address))) {
            copy->all_gone = true;
            kms_entry_set(copy->page.parent->entries, copy->page.parent_entry, KMS_ENTRY_GONE,
                          NULL);
        }
    }
}

/* The seeds, the table and the root page's copy. */
static enum kl_status plan_begin(struct kms_plan *plan, struct kl_err *err)
{
    struct kms_address address = kms_address_root();
    struct kms_copy *root = NULL;
    size_t rekeys = 0;
    bool found;
    enum kl_status status;

    for (size_t i = 0; i < plan->actions.count; i++) {
        rekeys += plan->actions.list[i].kind == KMS_CHANGE_REKEY;
    }
    status = kms_staged_init(&plan->staged, rekeys, err);
    if (status == KL_OK) {
        status = kms_page_table_init(&plan->table, err);
    }
    if (status == KL_OK) {
        status = copy_new(plan, &address, NULL, 0, &root, err);
    }
    if (status == KL_OK) {
        found = fill_from_cache(plan->kms, root);
        assert(found);
    }
    return status;
}

enum kl_status kms_plan_make(struct kms *kms, struct kms_request *const *requests, size_t count,
                             struct kms_plan *ret_plan, struct kl_err *err)
{
    struct kms_plan plan = {.kms = kms};
    enum kl_status status = kms_actions_make(requests, count, &plan.actions, err);

    if (status == KL_OK) {
        status = plan_begin(&plan, err);
    }
    for (size_t i = 0; i < plan.actions.count && status == KL_OK; i++) {
        status = action_make(&plan, &plan.actions.list[i], err);
    }
    if (status == KL_OK) {
        collapse(&plan);
        status = rows_make(&plan, err);
    }
    if (status == KL_OK) {
        *ret_plan = plan;
    } else {
        kms_plan_done(&plan);
    }
    return status;
}

/* Much locked memory is not held on to for a large commit that was; where little can be locked, what was reserved stays. */
static void cells_renew(struct kms *kms)
{
    struct kms_cells fresh;

    if (kl_secret_lockable_bytes() == SIZE_MAX &&
        kms_cells_init(&fresh, KMS_COPIES_MAX, NULL) == KL_OK) {
        kms_cells_done(&kms->copies);
        kms->copies = fresh;
    }
}

void kms_plan_done(struct kms_plan *plan)
{
    for (size_t i = 0; i < plan->copies_count; i++) {
        struct kms_page *page = &plan->copies[i]->page;

        kms_cells_give(&plan->kms->copies, &page->address, page->entries);
        free(plan->copies[i]);
    }
    if (plan->copies_count > COPIES_KEPT) {
        cells_renew(plan->kms);
    }
    free(plan->copies);
    free(plan->dead);
    free(plan->rows);
    kms_page_table_done(&plan->table);
    kms_actions_done(&plan->actions);
    kms_staged_done(&plan->staged);
    memset(plan, 0, sizeof *plan);
}

void kms_plan_seal(struct kms_plan *plan, const unsigned char root_key[KMS_KEY_BYTES],
                   uint64_t generation)
{
    unsigned char key[KMS_KEY_BYTES];

    /* From the last to the first: a child's key is in its parent's entries before the parent is sealed. */
    for (size_t i = plan->copies_count; i-- > 0;) {
        struct kms_copy *copy = plan->copies[i];
        struct kms_page_binding binding = kms_binding(plan->kms, &copy->page.address, generation);

        if (copy->all_gone) {
            continue;
        }
        if (i == 0) {
            kms_page_seal(&binding, root_key, copy->page.entries, copy->row);
            break;
        }
        randombytes_buf(key, sizeof key);
#ifdef KLUIS_FAULT_BROKEN_ERASURE /* of tests/faults/hoarder alone, which must notice: a page keeps its key */
        if (kms_entry_kind(copy->page.parent->entries, copy->page.parent_entry) == KMS_ENTRY_PAGE) {
            memcpy(key, kms_entry_key(copy->page.parent->entries, copy->page.parent_entry),
                   sizeof key);
        }
#endif
        kms_entry_set(copy->page.parent->entries, copy->page.parent_entry, KMS_ENTRY_PAGE, key);
        kms_page_seal(&binding, key, copy->page.entries, copy->row);
    }
    sodium_memzero(key, sizeof key);
}

/* Into the cache if it is there, or if there is room: a commit does not push out what readers use. */
static void swap_copy(struct kms_cache *cache, const struct kms_copy *copy)
{
    struct kms_page *cached = kms_cache_find(cache, &copy->page.address);

    if (copy->all_gone) {
        kms_cache_drop_below(cache, &copy->page.address);
        return;
    }
    if (cached == NULL && cache->table.pages < cache->pages_max) {
        struct kms_page *parent = kms_cache_find(cache, &copy->page.parent->address);

        if (parent != NULL) {
            cached = kms_cache_add(cache, &copy->page.address, parent, copy->page.parent_entry);
        }
    }
    if (cached != NULL) {
        memcpy(cached->entries, copy->page.entries, kms_page_bytes(&copy->page.address));
    }
}

/* No key that grew from an entry that changed stays ready. */
static void keys_swap(struct kms_plan *plan)
{
    for (size_t i = 0; i < plan->actions.count; i++) {
        const struct kms_action *action = &plan->actions.list[i];

        if (action->kind == KMS_CHANGE_TOUCH || action->kind == KMS_CHANGE_EXPAND) {
            continue;
        }
        /* A renewal changes all slots behind its place as well. */
        if (action->place.slot == KMS_SLOT_NONE ||
            (action->kind == KMS_CHANGE_RENEW && !kms_action_is_range(action))) {
            kms_keys_drop_tenant(&plan->kms->keys, action->place.tenant);
        } else {
            kms_keys_drop(&plan->kms->keys, action->place.tenant, action->place.slot);
        }
    }
}

void kms_plan_swap(struct kms_plan *plan)
{
    struct kms_cache *cache = &plan->kms->cache;

    for (size_t i = 0; i < plan->dead_count; i++) {
        kms_cache_drop_below(cache, &plan->dead[i].spine);
    }
    for (size_t i = 0; i < plan->copies_count; i++) {
        swap_copy(cache, plan->copies[i]);
    }
    keys_swap(plan);
}
