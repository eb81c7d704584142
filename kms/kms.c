/* Making, opening and closing a key store; its state. */
#include "kluis/kms/kms.h"

#include "kluis/base/time.h"
#include "kms/custodian_move.h"
#include "kms/internal.h"
#include "kms/mirrors_internal.h"
#include "kms/token.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGES_MIN 64
#define PAGES_LIMIT 16777216
#define KEYS_LIMIT 16777216

struct kms_page_binding kms_binding(const struct kms *kms, const struct kms_address *address,
                                    uint64_t generation)
{
    bool root = address->tree == KMS_TREE_STORE && address->height == KMS_SPINE_MARK;

    return (struct kms_page_binding){kms->store_id, address, root ? generation : 0};
}

static enum kl_status sodium_ready(struct kl_err *err)
{
    if (sodium_init() < 0) {
        return kl_fail(err, KL_ERR_INTERNAL, "no_randomness", "the server cannot start",
                       "libsodium does not start");
    }
    return KL_OK;
}

/* ---- create ---- */

static enum kl_status refuse_existing(struct kms_rows *rows, struct kl_err *err)
{
    struct kms_meta meta;
    struct kl_err reading = {0};
    enum kl_status status = kms_meta_read(rows, &meta, &reading);

    if (status == KL_ERR_NOT_FOUND) {
        return KL_OK;
    }
    if (status == KL_OK || status == KL_ERR_CORRUPT) {
        return kl_fail(err, KL_ERR_EXISTS, "key_store_exists", "there is a key store already",
                       NULL);
    }
    return kl_fail(err, status, reading.code, reading.client_text, "%s", reading.log_text);
}

/* The root page, all of it random, and the first rows. */
static enum kl_status first_rows(struct kms_rows *rows, const struct kms_root *root,
                                 struct kms_root_place *place, const struct kms_meta *meta,
                                 struct kl_err *err)
{
    struct kms_address address = kms_address_root();
    struct kms_page_binding binding = {meta->store_id, &address, meta->generation};
    unsigned char entries[KMS_SPINE_ENTRIES * KMS_ENTRY_BYTES];
    unsigned char row[sizeof entries + KMS_PAGE_OVERHEAD_BYTES];
    unsigned char row_key[KMS_PAGE_KEY_BYTES];
    unsigned char seed[KMS_KEY_BYTES];
    unsigned char mark[KMS_MARK_BYTES];
    unsigned char meta_row[KMS_META_BYTES];
    struct kms_storage_write writes[3 + KMS_ROOT_PLACE_ROWS_MAX] = {
        {{row_key, sizeof row_key}, {row, sizeof row}},
        {kms_tenants_key, {mark, sizeof mark}},
        {kms_meta_key, {meta_row, sizeof meta_row}},
    };
    size_t count = 3 + kms_root_place_rows(place, meta->generation, writes + 3);

    for (size_t i = 0; i < KMS_SPINE_ENTRIES; i++) {
        randombytes_buf(seed, sizeof seed);
        kms_entry_set(entries, i, KMS_ENTRY_SEED, seed);
    }
    kms_page_row_key(&address, row_key);
    kms_page_seal(&binding, kl_secret_peek(root->current), entries, row);
    sodium_memzero(entries, sizeof entries);
    sodium_memzero(seed, sizeof seed);
    kms_mark_write(KMS_TENANT_VAULT + 1, mark);
    kms_meta_write(meta, meta_row);
    return kms_rows_apply(rows, writes, count, true, err);
}

/* What is refused leaves no place behind: nothing was sealed under its keys. */
static enum kl_status first_keys(struct kms_root *root, struct kms_root_place *place,
                                 struct kl_err *err)
{
    enum kl_status status = kms_root_begin(root, place, err);

    if (status == KL_OK) {
        status = kms_root_place_accept(place, err);
    }
    if (status != KL_OK) {
        struct kl_err ignored = {0};

        (void)(kms_root_place_wipe(place, &ignored) == KL_OK);
    }
    return status;
}

enum kl_status kms_create(const struct kms_options *options, struct kl_err *err)
{
    struct kms_meta meta = {.generation = 1};
    struct kms_rows rows;
    struct kms_root root = {0};
    struct kms_root_place *place = NULL;
    enum kl_status status = sodium_ready(err);

    if (status != KL_OK) {
        return status;
    }
    status = kms_rows_init(&rows, options->storage, err);
    if (status != KL_OK) {
        return status;
    }
    randombytes_buf(meta.store_id, sizeof meta.store_id);
    meta.created_us = kl_time_now_us();
    meta.root_key_since_us = meta.created_us;
    status = refuse_existing(&rows, err);
    if (status == KL_OK) {
        status =
            kms_root_place_make(&options->custodian, meta.store_id, options->storage, &place, err);
    }
    if (status == KL_OK) {
        status = first_keys(&root, place, err);
    }
    if (status == KL_OK) {
        status = first_rows(&rows, &root, place, &meta, err);
    }
    kms_root_place_close(place);
    kms_root_done(&root);
    kms_rows_done(&rows);
    return status;
}

/* ---- open ---- */

static enum kl_status locks_init(struct kms *kms, struct kl_err *err)
{
    pthread_rwlockattr_t attributes;

    if (pthread_rwlockattr_init(&attributes) != 0) {
        goto no_memory;
    }
    /* A commit does not wait for readers without end. */
    (void)pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    if (pthread_rwlock_init(&kms->lock, &attributes) != 0) {
        (void)pthread_rwlockattr_destroy(&attributes);
        goto no_memory;
    }
    (void)pthread_rwlockattr_destroy(&attributes);
    if (pthread_mutex_init(&kms->flight.lock, NULL) != 0) {
        (void)pthread_rwlock_destroy(&kms->lock);
        goto no_memory;
    }
    if (pthread_cond_init(&kms->flight.landed, NULL) != 0) {
        (void)pthread_mutex_destroy(&kms->flight.lock);
        (void)pthread_rwlock_destroy(&kms->lock);
        goto no_memory;
    }
    return KL_OK;

no_memory:
    return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                   "no lock to be had");
}

static void locks_done(struct kms *kms)
{
    (void)pthread_cond_destroy(&kms->flight.landed);
    (void)pthread_mutex_destroy(&kms->flight.lock);
    (void)pthread_rwlock_destroy(&kms->lock);
}

/* Everything that needs no key; kms_close() ends it. */
static enum kl_status kms_new(const struct kms_options *options, struct kms **ret_kms,
                              struct kl_err *err)
{
    struct kms *kms = calloc(1, sizeof *kms);
    enum kl_status status;

    if (kms == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                       "no memory for kms");
    }
    kms->pages_max = options->pages_max == 0 ? KMS_PAGES_MAX_DEFAULT : options->pages_max;
    status = kms_rows_init(&kms->rows, options->storage, err);
    if (status != KL_OK) {
        goto no_rows;
    }
    status = locks_init(kms, err);
    if (status != KL_OK) {
        goto no_locks;
    }
    status = kms_slots_init(&kms->slots, err);
    if (status != KL_OK) {
        goto no_slots;
    }
    status = kms_cache_init(&kms->cache, kms->pages_max, err);
    if (status == KL_OK) {
        status = kms_cells_init(&kms->copies, KMS_COPIES_MAX, err);
    }
    if (status == KL_OK) {
        status = kms_cells_reserve(&kms->copies, err);
    }
    if (status == KL_OK) {
        status = kms_keys_init(
            &kms->keys, options->keys_max == 0 ? KMS_KEYS_MAX_DEFAULT : options->keys_max, err);
    }
    if (status == KL_OK && options->custodian.forbidden_dir != NULL) {
        kms->forbidden_dir = strdup(options->custodian.forbidden_dir);
        status = kms->forbidden_dir != NULL ? KL_OK : kl_fail_memory(err);
    }
    if (status == KL_OK) {
        status =
            kms_mirrors_new(kms, options->mirrors, options->mirror_patience_ms, &kms->mirrors, err);
    }
    if (status == KL_OK) {
        kms->rows.mirrors = kms->mirrors;
        kms->group = kl_group_new(kms_commit_work, kms, KMS_GROUP_MAX);
        if (kms->group == NULL) {
            status = kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                             "no memory for the group of commits");
        }
    }
    if (status == KL_OK) {
        *ret_kms = kms;
        return KL_OK;
    }
    kms_close(kms);
    return status;

no_slots:
    locks_done(kms);
no_locks:
    kms_rows_done(&kms->rows);
no_rows:
    free(kms);
    return status;
}

/* The root page opens: only then is it certain that this root key and this key store belong together. */
static enum kl_status root_page_load(struct kms *kms, struct kl_err *err)
{
    struct kms_address address = kms_address_root();
    struct kms_page_binding binding = kms_binding(kms, &address, kms->generation);
    unsigned char key[KMS_PAGE_KEY_BYTES];
    struct kl_err reading = {0};
    struct kl_buf row;
    enum kl_status status;

    kl_buf_init(&row, KMS_ROW_MAX_BYTES);
    kms_page_row_key(&address, key);
    status = kms_rows_get(&kms->rows, (struct kl_slice){key, sizeof key}, &row, &reading);
    if (status == KL_OK || status == KL_ERR_NOT_FOUND) {
        status = kms_page_open(&binding, kl_secret_peek(kms->root.current), kl_buf_slice(&row),
                               kms->cache.root->entries, err);
        kms_root_hash(kms->store_id, kms->generation, kl_buf_slice(&row), kms->root_hash);
    } else {
        status = kl_fail(err, status, "key_store_io", "the key store could not be read", "%s",
                         reading.log_text);
    }
    kl_buf_done(&row);
    return status;
}

/*
 * Recovery. The slot that is not of this generation holds an old root key whose destruction was cut short, a torn write, or a staged
 * key that a failed attempt may have used: whichever it is, a fresh staged key takes its place.
 */
static enum kl_status recover(struct kms *kms, struct kl_err *err)
{
    enum kl_status status = kms_root_restage(&kms->root, kms->first, err);

    if (status == KL_OK) {
        status = kms_root_place_accept(kms->first, err);
    }
    if (status == KL_OK) {
        kms->place = kms->first->report;
    }
    return status;
}

/* These rows were a mirror's until now: they are the key store from now on, and that mirror is none any more. */
static enum kl_status promote(struct kms *kms, const unsigned char own[KMS_MIRROR_ID_BYTES],
                              struct kl_err *err)
{
    unsigned char key[KMS_MIRROR_KEY_BYTES];
    const struct kms_storage_write writes[] = {{{key, sizeof key}, {NULL, 0}},
                                               {kms_mirror_self_key, {NULL, 0}}};

    kms_mirror_key(own, key);
    return kms_rows_apply(&kms->rows, writes, 2, true, err);
}

/* Which mirror these rows are, if they are one. */
static enum kl_status own_mirror(struct kms *kms, bool *ret_is_mirror,
                                 unsigned char ret_id[KMS_MIRROR_ID_BYTES], struct kl_err *err)
{
    enum kms_mirror_self self = KMS_MIRROR_WHOLE;
    struct kl_err reading = {0};
    enum kl_status status = kms_mirror_self_read(kms->rows.storage, ret_id, &self, &reading);

    *ret_is_mirror = status == KL_OK;
    if (status == KL_ERR_NOT_FOUND) {
        return KL_OK;
    }
    if (status == KL_OK && self != KMS_MIRROR_WHOLE) {
        return kl_fail(
            err, KL_ERR_REFUSED, "mirror_incomplete",
            "this mirror was being brought up to date, or was dropped: it is no whole copy "
            "of the keys",
            NULL);
    }
    return status == KL_OK
               ? KL_OK
               : kl_fail(err, status, reading.code, reading.client_text, "%s", reading.log_text);
}

/* Look before anything is written; then recover, then bring the mirrors up to date. */
static enum kl_status open_mirrors_and_recover(struct kms *kms,
                                               const struct kms_custodian_row *where,
                                               const char *leftover_pin_file, struct kl_err *err)
{
    unsigned char own[KMS_MIRROR_ID_BYTES];
    bool is_mirror = false;
    enum kl_status status = own_mirror(kms, &is_mirror, own, err);

    if (status == KL_OK) {
        status = kms_mirrors_load(kms->mirrors, is_mirror ? own : NULL, err);
    }
    if (status == KL_OK) {
        status = recover(kms, err);
    }
    if (status == KL_OK && is_mirror) {
        status = promote(kms, own, err);
    }
    if (status == KL_OK) {
        status = kms_custodian_leftover_destroy(kms, where, kms->custodian, leftover_pin_file, err);
    }
    if (status == KL_OK) {
        kms_mirrors_attach(kms->mirrors);
    }
    return status;
}

/* The root key of this generation, and the root page that it opens. */
static enum kl_status root_key_find(struct kms *kms, const struct kms_custodian_options *custodian,
                                    struct kms_custodian_row *where, struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = kms_custodian_row_read(kms, where, err);

    if (status != KL_OK) {
        return status;
    }
    if (custodian->custodian != NULL &&
        kms_custodian_text(custodian->custodian, kms->custodian, &cause) == KL_OK) {
        status = kms_custodian_moved_check(where, kms->custodian, err);
    }
    if (status != KL_OK) {
        return status;
    }
    cause = (struct kl_err){0};
    status = kms_root_place_open(custodian, kms->store_id, kms->rows.storage, &kms->first, &cause);
    if (status == KL_OK) {
        status = kms_root_load(&kms->root, kms->first, kms->generation, &cause);
    }
    if (status == KL_OK) {
        status = root_page_load(kms, &cause);
    }
    if (status != KL_OK) {
        status = kms_custodian_moved_explain(where, kms->custodian, status, &cause);
        if (err != NULL) {
            *err = cause;
        }
    }
    return status;
}

static enum kl_status open_with(struct kms *kms, const struct kms_custodian_options *custodian,
                                struct kms_custodian_row *where, struct kl_err *err)
{
    struct kms_meta meta;
    enum kl_status status = kms_meta_read(&kms->rows, &meta, err);

    if (status != KL_OK) {
        return status;
    }
    memcpy(kms->store_id, meta.store_id, KMS_STORE_ID_BYTES);
    kms->generation = meta.generation;
    kms->created_us = meta.created_us;
    kms->root_key_since_us = meta.root_key_since_us;
    status = root_key_find(kms, custodian, where, err);
    if (status == KL_OK) {
        status = kms_mark_read(&kms->rows, kms_tenants_key, KMS_TENANT_VAULT + 1,
                               &kms->slots.tenant_next, err);
    }
    if (status == KL_OK) {
        status = open_mirrors_and_recover(kms, where, custodian->leftover_pin_file, err);
    }
    kms->sweep.pending = true; /* a crash may have left some */
    return status;
}

enum kl_status kms_open(const struct kms_options *options, struct kms **ret_kms, struct kl_err *err)
{
    struct kms *kms = NULL;
    struct kms_custodian_row *where = NULL;
    enum kl_status status = sodium_ready(err);

    if (status != KL_OK) {
        return status;
    }
    if (options->pages_max != 0 &&
        (options->pages_max < PAGES_MIN || options->pages_max > PAGES_LIMIT)) {
        return kl_failf(err, KL_ERR_INVALID, "key_pages_max",
                        "the key page cache holds %d to %d pages", PAGES_MIN, PAGES_LIMIT);
    }
    if (options->keys_max > KEYS_LIMIT) {
        return kl_failf(err, KL_ERR_INVALID, "key_keys_max", "the key cache holds at most %d keys",
                        KEYS_LIMIT);
    }
    status = kms_new(options, &kms, err);
    if (status != KL_OK) {
        return status;
    }
    where = malloc(sizeof *where);
    status = where == NULL ? kl_fail_memory(err) : open_with(kms, &options->custodian, where, err);
    free(where);
    if (status != KL_OK) {
        kms_close(kms);
        return status;
    }
    *ret_kms = kms;
    return KL_OK;
}

void kms_close(struct kms *kms)
{
    if (kms == NULL) {
        return;
    }
    kl_group_free(kms->group);
    kms_mirrors_free(kms->mirrors);
    free(kms->forbidden_dir);
    kms_root_place_close(kms->first);
    kms_root_done(&kms->root);
    kms_cells_done(&kms->copies);
    kms_cache_done(&kms->cache);
    kms_keys_done(&kms->keys);
    kms_slots_done(&kms->slots);
    locks_done(kms);
    kms_rows_done(&kms->rows);
    free(kms);
}

void kms_hooks_set(struct kms *kms, const struct kms_hooks *hooks)
{
    kms->hooks = *hooks;
}

void kms_root_file(struct kms *kms, char ret_path[KMS_CUSTODIAN_TEXT_MAX_BYTES + 1])
{
    const char *path = NULL;

    (void)pthread_rwlock_rdlock(&kms->lock);
    path = kms_token_is_named(kms->custodian) ? NULL : strchr(kms->custodian, ':');
    (void)snprintf(ret_path, KMS_CUSTODIAN_TEXT_MAX_BYTES + 1, "%s", path == NULL ? "" : path + 1);
    (void)pthread_rwlock_unlock(&kms->lock);
}

void kms_state(struct kms *kms, struct kms_state *ret_state)
{
    struct kms_mirrors_tally tally = kms_mirrors_tally(kms->mirrors);

    memset(ret_state, 0, sizeof *ret_state);
    (void)pthread_rwlock_rdlock(&kms->lock);
    memcpy(ret_state->store_id, kms->store_id, sizeof ret_state->store_id);
    ret_state->generation = kms->generation;
    memcpy(ret_state->root_hash, kms->root_hash, sizeof ret_state->root_hash);
    ret_state->root_key_since_us = kms->root_key_since_us;
    ret_state->created_us = kms->created_us;
    ret_state->finality = kms->place.finality;
    memcpy(ret_state->custodian_kind, kms->place.kind, sizeof ret_state->custodian_kind);
    ret_state->root_folder_device = kms->place.folder_device;
    ret_state->root_folder_inode = kms->place.folder_inode;
    ret_state->commits = kms->commits;
    ret_state->pages_cached = kms->cache.table.pages;
    ret_state->page_cache_max = kms->cache.pages_max;
    (void)pthread_rwlock_unlock(&kms->lock);
    kms_keys_figures(&kms->keys, &ret_state->keys_cached, &ret_state->key_cache_max);
    ret_state->old_root_destroyed = !atomic_load(&kms->broken) && tally.pending == 0;
    ret_state->mirrors = tally.count;
    ret_state->mirrors_out_of_step = tally.count - tally.in_step;
    ret_state->finality = kms_mirrors_finality(kms->mirrors, ret_state->finality);
}
