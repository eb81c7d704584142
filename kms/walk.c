#include "kms/walk.h"

#include "kms/derive.h"
#include "kms/keys_cache.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

/* How often a page may be pushed out of the cache between its loading and its use. */
#define TRIES_MAX 1000

enum walk_end { WALK_ARRIVED, WALK_GONE, WALK_MISSING };

static enum kl_status fail_gone(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_GONE, "key_gone", "the key was destroyed", NULL);
}

static enum kl_status fail_place(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_INVALID, "key_place_invalid", "there is no such place for a key",
                   "a place outside the key tree, or a slot used in two ways");
}

/* Go through steps[from..to); ret_stop is the step whose child page is missing. The lock is held. */
static enum walk_end walk_steps(struct kms *kms, const struct kms_path *path, size_t from,
                                size_t to, struct kms_node *node, size_t *ret_stop)
{
    for (size_t i = from; i < to; i++) {
        const struct kms_step *step = &path->steps[i];
        enum kms_entry_kind kind;

        if (node->page == NULL) {
            kms_derive_entry(node->seed, &step->page, step->entry, node->seed);
            continue;
        }
        atomic_store_explicit(&node->page->used, true, memory_order_relaxed);
        kind = kms_entry_kind(node->page->entries, step->entry);
        if (kind == KMS_ENTRY_GONE) {
            return WALK_GONE;
        }
        if (kind == KMS_ENTRY_SEED) {
            memcpy(node->seed, kms_entry_key(node->page->entries, step->entry), KMS_KEY_BYTES);
            node->page = NULL;
            continue;
        }
        assert(kind == KMS_ENTRY_PAGE);
        if (i + 1 == path->count) {
            /* The slot holds a tree that was written out; whoever needs its pages walks on. */
            return WALK_ARRIVED;
        }
        node->page = kms_cache_find(&kms->cache, &path->steps[i + 1].page);
        if (node->page == NULL) {
            *ret_stop = i + 1;
            return WALK_MISSING;
        }
    }
    return WALK_ARRIVED;
}

/* ---- pages that are not in the cache ---- */

/* Put a row that was read into the cache, if its parent is there and opens it. The write side is held. */
static enum kl_status load_insert(struct kms *kms, const struct kms_path *path, size_t stop,
                                  struct kl_slice row, bool *ret_parent_agrees, struct kl_err *err)
{
    const struct kms_step *above = &path->steps[stop - 1];
    const struct kms_address *address = &path->steps[stop].page;
    struct kms_page *parent = kms_cache_find(&kms->cache, &above->page);
    struct kms_page_binding binding = kms_binding(kms, address, 0);
    struct kms_page *page;
    enum kl_status status;

    *ret_parent_agrees =
        parent != NULL && kms_entry_kind(parent->entries, above->entry) == KMS_ENTRY_PAGE;
    if (!*ret_parent_agrees || kms_cache_find(&kms->cache, address) != NULL) {
        return KL_OK;
    }
    page = kms_cache_add(&kms->cache, address, parent, above->entry);
    if (page == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_locked_memory", "the server is out of memory",
                       "no memory can be locked for a key page");
    }
    status = kms_page_open(&binding, kms_entry_key(parent->entries, above->entry), row,
                           page->entries, err);
    if (status != KL_OK) {
        kms_cache_drop(&kms->cache, page);
    }
    return status;
}

/*
 * Bring the page of one step into the cache. A row read while a commit was on its way may be of another version than its
 * parent; that is no damage, the walk is tried again.
 */
static enum kl_status load_page(struct kms *kms, const struct kms_path *path, size_t stop,
                                struct kl_err *err)
{
    unsigned char key[KMS_PAGE_KEY_BYTES];
    struct kl_err failure = {0};
    struct kl_buf row;
    uint64_t flight = kms_flight_wait(&kms->flight);
    bool parent_agrees = true;
    enum kl_status status;

    kl_buf_init(&row, KMS_ROW_MAX_BYTES);
    kms_page_row_key(&path->steps[stop].page, key);
    status = kms_rows_get(&kms->rows, (struct kl_slice){key, sizeof key}, &row, &failure);
    if (status == KL_OK || status == KL_ERR_NOT_FOUND) {
        (void)pthread_rwlock_wrlock(&kms->lock);
        status = load_insert(kms, path, stop, kl_buf_slice(&row), &parent_agrees, &failure);
        (void)pthread_rwlock_unlock(&kms->lock);
    } else {
        status = kl_fail(&failure, status, "key_store_io", "the key store could not be read", NULL);
    }
    kl_buf_done(&row);
    if (status == KL_ERR_CORRUPT && kms_flight_wait(&kms->flight) != flight) {
        return kms_broken_check(kms, err);
    }
    if (status != KL_OK && err != NULL) {
        *err = failure;
    }
    return status;
}

/* ---- walking ---- */

/* The ready node of the place's slot, taken further down to a value. */
static bool ready_find(struct kms *kms, const struct kms_place *place, const struct kms_path *path,
                       struct kms_node *ret_node)
{
    if (place->slot == KMS_SLOT_NONE) {
        return false;
    }
    ret_node->page = NULL;
    ret_node->held = kms_keys_find(&kms->keys, place->tenant, place->slot, ret_node->seed);
    if (ret_node->held == NULL) {
        return false;
    }
    if (place->value != KMS_VALUE_NONE) {
        kms_derive_down(ret_node->seed, path, 2);
    }
    return true;
}

/* One try at the whole way, which makes the slot on it ready. The read side of the lock is held. */
static enum walk_end walk_way(struct kms *kms, const struct kms_place *place,
                              const struct kms_path *path, struct kms_node *node, size_t *ret_stop)
{
    size_t at_slot = path->ends[path->trees > 1 ? 1 : 0];
    enum walk_end end = walk_steps(kms, path, 0, at_slot, node, ret_stop);

    if (end != WALK_ARRIVED) {
        return end;
    }
    if (path->trees > 1 && node->page == NULL) {
        kms_keys_put(&kms->keys, place->tenant, place->slot, node->seed);
    }
    return walk_steps(kms, path, at_slot, path->count, node, ret_stop);
}

static enum kl_status fail_busy(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_BUSY, "key_cache_busy", "the server is busy",
                   "the page cache is too small for the work under way");
}

enum kl_status kms_walk_begin(struct kms *kms, const struct kms_place *place,
                              struct kms_node *ret_node, struct kl_err *err)
{
    struct kms_path path;
    struct kms_node node;
    size_t stop = 0;

    if (!kms_place_valid(place)) {
        return fail_place(err);
    }
    kms_path_of(place, &path);
    if (ready_find(kms, place, &path, ret_node)) {
        return KL_OK;
    }
    for (size_t tries = 0; tries < TRIES_MAX; tries++) {
        enum kl_status status;
        enum walk_end end;

        (void)pthread_rwlock_rdlock(&kms->lock);
        node.page = kms->cache.root;
        node.held = &kms->lock;
        end = walk_way(kms, place, &path, &node, &stop);
        if (end == WALK_ARRIVED) {
            *ret_node = node;
            sodium_memzero(&node, sizeof node);
            return KL_OK;
        }
        (void)pthread_rwlock_unlock(&kms->lock);
        sodium_memzero(&node, sizeof node);
        if (end == WALK_GONE) {
            return fail_gone(err);
        }
        status = load_page(kms, &path, stop, err);
        if (status != KL_OK) {
            return status;
        }
    }
    return fail_busy(err);
}

void kms_walk_end(struct kms_node *node)
{
    (void)pthread_rwlock_unlock(node->held);
    sodium_memzero(node, sizeof *node);
}

enum kl_status kms_node_key(const struct kms_node *node, unsigned char ret_key[KMS_KEY_BYTES],
                            struct kl_err *err)
{
    if (node->page != NULL) {
        return fail_place(err);
    }
    kms_derive_key(node->seed, ret_key);
    return KL_OK;
}

enum kl_status kms_walk_on(struct kms *kms, const struct kms_node *slot_node,
                           const struct kms_place *value, struct kms_node *ret_node,
                           struct kl_err *err)
{
    struct kms_path path;
    struct kms_node node = *slot_node; /* under the same lock */
    size_t stop = 0;
    size_t from;
    enum kl_status status = KL_OK;

    if (!kms_place_valid(value) || value->value == KMS_VALUE_NONE) {
        return fail_place(err);
    }
    kms_path_of(value, &path);
    from = path.ends[1];
    if (node.page != NULL) {
        /* The node stands on the page that holds the slot's entry; the slot's own spine is the next. */
        node.page = kms_cache_find(&kms->cache, &path.steps[from].page);
    }
    if (slot_node->page != NULL && node.page == NULL) {
        status = KL_ERR_BUSY;
    } else {
        switch (walk_steps(kms, &path, from, path.count, &node, &stop)) {
        case WALK_ARRIVED:
            *ret_node = node;
            break;
        case WALK_GONE:
            status = fail_gone(err);
            break;
        case WALK_MISSING:
            status = KL_ERR_BUSY;
            break;
        }
    }
    sodium_memzero(&node, sizeof node);
    return status;
}

/* The step whose page is the one at that address; a page is on the way to each place below it. */
static size_t step_of(const struct kms_path *path, const struct kms_address *address)
{
    size_t i = 0;

    while (!kms_address_equal(&path->steps[i].page, address)) {
        i++;
        assert(i < path->count);
    }
    return i;
}

enum kl_status kms_walk_page(struct kms *kms, const struct kms_address *address, bool *ret_hangs,
                             struct kl_err *err)
{
    struct kms_place below = kms_address_first(address);
    struct kms_path path;
    size_t target;

    kms_path_of(&below, &path);
    target = step_of(&path, address);
    for (size_t tries = 0; tries < TRIES_MAX; tries++) {
        struct kms_node node;
        size_t stop = 0;
        enum walk_end end;
        enum kl_status status;

        (void)pthread_rwlock_rdlock(&kms->lock);
        node.page = kms->cache.root;
        end = walk_steps(kms, &path, 0, target, &node, &stop);
        (void)pthread_rwlock_unlock(&kms->lock);
        sodium_memzero(node.seed, sizeof node.seed);
        if (end != WALK_MISSING || stop == target) {
            *ret_hangs = end == WALK_MISSING || (end == WALK_ARRIVED && node.page != NULL);
            return KL_OK;
        }
        status = load_page(kms, &path, stop, err);
        if (status != KL_OK) {
            return status;
        }
    }
    return fail_busy(err);
}

enum kl_status kms_walk_check(struct kms *kms, const struct kms_place *place, struct kl_err *err)
{
    struct kms_node node;
    enum kl_status status = kms_walk_begin(kms, place, &node, err);

    if (status == KL_OK) {
        kms_walk_end(&node);
    }
    return status;
}
