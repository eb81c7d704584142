/* Mirrors come and go: at open, by kms_mirror_add and kms_mirror_drop, and back in step by kms_mirrors_retry. */
#include "kms/mirrors_internal.h"

#include "kluis/base/time.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum kl_status fail_memory(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                   "no memory for the mirrors");
}

/* ---- life ---- */

static bool locks_init(struct kms_mirrors *all)
{
    pthread_condattr_t attributes;
    bool good;

    if (pthread_mutex_init(&all->lock, NULL) != 0) {
        return false;
    }
    if (pthread_condattr_init(&attributes) != 0) {
        (void)pthread_mutex_destroy(&all->lock);
        return false;
    }
    good = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
           pthread_cond_init(&all->changed, &attributes) == 0;
    (void)pthread_condattr_destroy(&attributes);
    if (!good) {
        (void)pthread_mutex_destroy(&all->lock);
    }
    return good;
}

enum kl_status kms_mirrors_new(struct kms *kms, const struct kms_mirror_source *source,
                               uint32_t patience_ms, struct kms_mirrors **ret_mirrors,
                               struct kl_err *err)
{
    struct kms_mirrors *all = calloc(1, sizeof *all);

    if (all == NULL) {
        return fail_memory(err);
    }
    if (!locks_init(all)) {
        free(all);
        return fail_memory(err);
    }
    all->kms = kms;
    all->source = source;
    all->patience_ms = patience_ms == 0 ? KMS_MIRROR_PATIENCE_MS : patience_ms;
    all->refs = 1;
    *ret_mirrors = all;
    return KL_OK;
}

void kms_mirrors_free(struct kms_mirrors *all)
{
    struct kms_mirror *mirrors[KMS_MIRRORS_MAX];
    size_t count;

    if (all == NULL) {
        return;
    }
    kms_mirror_lock(all);
    count = all->count;
    memcpy(mirrors, all->list, count * sizeof(struct kms_mirror *));
    all->count = 0;
    kms_mirror_unlock(all);
    kms_mirror_end(mirrors, count);
    kms_mirrors_release(all);
}

/* ---- at open ---- */

struct loading {
    struct kms_mirrors *all;
    const unsigned char *own;
};

static enum kl_status row_load(void *visitor, struct kl_slice key, struct kl_slice value,
                               struct kl_err *err)
{
    struct loading *loading = visitor;
    struct kms_mirrors *all = loading->all;
    struct kms_mirror *mirror = NULL;
    struct kms_mirror_row row;
    enum kl_status status = kms_mirror_row_parse(key, value, &row, err);

    if (status != KL_OK ||
        (loading->own != NULL && memcmp(row.id, loading->own, sizeof row.id) == 0)) {
        return status;
    }
    if (all->count == KMS_MIRRORS_MAX) {
        return kl_fail(err, KL_ERR_CORRUPT, "key_mirror_corrupt", "the key store is damaged",
                       "more mirrors are registered than there can be");
    }
    status = kms_mirror_new(all, row.id, row.dir, row.label, row.joined == KMS_MIRROR_JOINING,
                            row.registered_us, &mirror, err);
    if (status == KL_OK) {
        mirror->holds_keys = true; /* until it was looked at */
        all->list[all->count++] = mirror;
    }
    return status;
}

static enum kl_status look_at_all(struct kms_mirrors *all, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    kms_mirror_lock(all);
    for (size_t i = 0; i < all->count; i++) {
        (void)kms_mirror_order(all->list[i], KMS_ORDER_LOOK);
    }
    for (size_t i = 0; i < all->count && status == KL_OK; i++) {
        struct kms_mirror *mirror = all->list[i];

        if (!kms_mirror_order_wait(mirror)) {
            kms_mirror_fall_out(mirror, "it did not answer in time");
        } else if (mirror->ahead) {
            status = KL_ERR_REFUSED;
            if (err != NULL) {
                *err = mirror->order_err;
            }
        }
    }
    kms_mirror_unlock(all);
    return status;
}

enum kl_status kms_mirrors_load(struct kms_mirrors *all, const unsigned char *own,
                                struct kl_err *err)
{
    static const unsigned char prefix[1] = {KMS_ROW_MIRROR};
    struct loading loading = {all, own};
    struct kms *kms = all->kms;
    enum kl_status status;

    memcpy(all->store_id, kms->store_id, KMS_STORE_ID_BYTES);
    all->accept_f0 = kms->first->accept_f0;
    status = kms_mirrors_form_set(
        all, kms_root_place_is_file(kms->first) ? kms_root_file_form(kms->first) : NULL, err);
    if (status == KL_OK) {
        status = kms_rows_range(&kms->rows, (struct kl_slice){prefix, sizeof prefix},
                                (struct kl_slice){NULL, 0}, row_load, &loading, err);
    }
    return status == KL_OK ? look_at_all(all, err) : status;
}

/* Tell those that are out of step to come back. The lock is held. */
static void sync_all(struct kms_mirrors *all)
{
    for (size_t i = 0; i < all->count; i++) {
        if (all->list[i]->state != KMS_MIRROR_IN_STEP && !all->list[i]->dropping) {
            (void)kms_mirror_order(all->list[i], KMS_ORDER_SYNC);
        }
    }
}

/* Mirrors at it, and how far these got: the others go on with every batch. */
static size_t at_it(const struct kms_mirrors *all, uint64_t *ret_progress)
{
    size_t count = 0;

    *ret_progress = 0;
    for (size_t i = 0; i < all->count; i++) {
        if (kms_mirror_at_it(all->list[i])) {
            count++;
            *ret_progress += all->list[i]->progress;
        }
    }
    return count;
}

static size_t out_of_step(const struct kms_mirrors *all)
{
    size_t count = 0;

    for (size_t i = 0; i < all->count; i++) {
        count += all->list[i]->state != KMS_MIRROR_IN_STEP ? 1 : 0;
    }
    return count;
}

/* ---- coming and going, one at a time ---- */

static void admin_take(struct kms_mirrors *all)
{
    kms_mirror_lock(all);
    while (all->admin) {
        (void)pthread_cond_wait(&all->changed, &all->lock);
    }
    all->admin = true;
    kms_mirror_unlock(all);
}

static void admin_give(struct kms_mirrors *all)
{
    kms_mirror_lock(all);
    all->admin = false;
    (void)pthread_cond_broadcast(&all->changed);
    kms_mirror_unlock(all);
}

static enum kl_status registered_write(struct kms *kms, struct kl_slice key, struct kl_slice value,
                                       struct kl_err *err)
{
    struct kms_storage_write write = {key, value};
    struct kl_err failure = {0};
    enum kl_status status = kms_broken_check(kms, err);

    if (status != KL_OK) {
        return status;
    }
    status = kms_rows_apply(&kms->rows, &write, 1, true, &failure);
    if (status != KL_OK) {
        kms_fatal(kms, &failure);
        return kl_fail(err, KL_ERR_IO, "key_store_io", "the key store could not be written", "%s",
                       failure.log_text);
    }
    return KL_OK;
}

static enum kl_status row_put(struct kms *kms, const struct kms_mirror *mirror,
                              enum kms_mirror_joined joined, struct kl_err *err)
{
    unsigned char key[KMS_MIRROR_KEY_BYTES];
    struct kl_buf row;
    enum kl_status status;

    kl_buf_init(&row, KMS_MIRROR_ROW_MAX_BYTES);
    kms_mirror_key(mirror->id, key);
    status =
        kms_mirror_row_write(joined, mirror->registered_us, mirror->dir, mirror->label, &row, err);
    if (status == KL_OK) {
        status = registered_write(kms, (struct kl_slice){key, sizeof key}, kl_buf_slice(&row), err);
    }
    kl_buf_done(&row);
    return status;
}

static enum kl_status row_remove(struct kms *kms, const unsigned char id[KMS_MIRROR_ID_BYTES],
                                 struct kl_err *err)
{
    unsigned char key[KMS_MIRROR_KEY_BYTES];

    kms_mirror_key(id, key);
    return registered_write(kms, (struct kl_slice){key, sizeof key}, (struct kl_slice){NULL, 0},
                            err);
}

/* ---- back in step ---- */

static struct kms_mirror *first_joined(const struct kms_mirrors *all)
{
    for (size_t i = 0; i < all->count; i++) {
        if (all->list[i]->joining && all->list[i]->state == KMS_MIRROR_IN_STEP) {
            return all->list[i];
        }
    }
    return NULL;
}

/* Those whose joining was cut short and that are whole now are members. Not while somebody adds or drops a mirror: the next retry will do. */
static void joined_note(struct kms *kms)
{
    struct kms_mirrors *all = kms->mirrors;
    struct kl_err ignored = {0};
    struct kms_mirror *mirror;
    enum kl_status status = KL_OK;

    kms_mirror_lock(all);
    mirror = all->admin ? NULL : first_joined(all);
    all->admin = all->admin || mirror != NULL;
    kms_mirror_unlock(all);
    if (mirror == NULL) {
        return;
    }
    while (status == KL_OK && mirror != NULL) {
        status = row_put(kms, mirror, KMS_MIRROR_MEMBER, &ignored);
        kms_mirror_lock(all);
        mirror->joining = status != KL_OK;
        mirror = first_joined(all);
        kms_mirror_unlock(all);
    }
    admin_give(all);
}

void kms_mirrors_attach(struct kms_mirrors *all)
{
    int64_t until_us = kl_time_monotonic_us() + kms_mirror_patience_us(all);
    uint64_t progress;

    kms_mirror_lock(all);
    sync_all(all);
    while (at_it(all, &progress) > 0 && kms_mirror_wait_until(all, until_us)) {
    }
    kms_mirror_unlock(all);
    joined_note(all->kms);
}

size_t kms_mirrors_retry(struct kms *kms)
{
    struct kms_mirrors *all = kms->mirrors;
    int64_t until_us = kl_time_monotonic_us() + kms_mirror_patience_us(all);
    uint64_t progress = 0;
    uint64_t now = 0;
    size_t out;
    bool time_left = true;

    kms_mirror_lock(all);
    sync_all(all);
    while (at_it(all, &now) > 0) {
        if (now != progress) {
            progress = now;
            until_us = kl_time_monotonic_us() + kms_mirror_patience_us(all);
        } else if (!time_left) {
            break;
        }
        time_left = kms_mirror_wait_until(all, until_us);
    }
    out = out_of_step(all);
    kms_mirror_unlock(all);
    joined_note(kms);
    return out;
}

/* ---- leaving ---- */

/* Out of the list; its thread ends. */
static void list_remove(struct kms_mirrors *all, struct kms_mirror *mirror)
{
    kms_mirror_lock(all);
    for (size_t i = 0; i < all->count; i++) {
        if (all->list[i] == mirror) {
            memmove(all->list + i, all->list + i + 1,
                    (all->count - i - 1) * sizeof(struct kms_mirror *));
            all->count--;
            break;
        }
    }
    (void)pthread_cond_broadcast(&all->changed);
    kms_mirror_unlock(all);
    kms_mirror_end(&mirror, 1);
}

/*
 * Out of step and without root keys, when it answers. It is told so between two commits; one that is being brought up to date gives up first.
 * The lock is held.
 */
static bool destroy(struct kms_mirrors *all, struct kms_mirror *mirror)
{
    int64_t until_us;
    bool destroyed = false;

    mirror->dropping = true;
    (void)pthread_cond_broadcast(&all->changed);
    while (kms_mirror_commit_under_way(all)) {
        (void)pthread_cond_wait(&all->changed, &all->lock);
    }
    until_us = kl_time_monotonic_us() + kms_mirror_patience_us(all);
    mirror->state = KMS_MIRROR_OUT_OF_STEP;
    mirror->taking = false;
    kms_mirror_queue_clear(mirror);
    while ((mirror->busy || mirror->order != KMS_ORDER_NONE) &&
           kms_mirror_wait_until(all, until_us)) {
    }
    if (kms_mirror_order(mirror, KMS_ORDER_WIPE)) {
        destroyed = kms_mirror_order_wait(mirror) && mirror->order_status == KL_OK;
    }
    if (!destroyed && mirror->joining && !mirror->holds_keys) {
        destroyed = true;
    }
    return destroyed;
}

/* ---- add ---- */

/* A mirror that did not come to be. Where root keys may lie in it already, it stays registered. */
static void join_undo(struct kms *kms, struct kms_mirror *mirror)
{
    struct kms_mirrors *all = kms->mirrors;
    struct kl_err ignored = {0};
    bool clean;

    kms_mirror_lock(all);
    clean = destroy(all, mirror);
    mirror->dropping = clean;
    kms_mirror_unlock(all);
    if (clean && row_remove(kms, mirror->id, &ignored) == KL_OK) {
        list_remove(all, mirror);
    }
}

/* Registered first, so that no root key lies anywhere that a restart would not know of. */
static enum kl_status join(struct kms *kms, struct kms_mirror *mirror, struct kl_err *err)
{
    struct kms_mirrors *all = kms->mirrors;
    struct kl_err cause = {0};
    enum kl_status status = row_put(kms, mirror, KMS_MIRROR_JOINING, err);

    if (status != KL_OK) {
        kms_mirror_end(&mirror, 1);
        return status;
    }
    kms_mirror_lock(all);
    all->list[all->count++] = mirror;
    (void)kms_mirror_order(mirror, KMS_ORDER_SYNC);
    if (!kms_mirror_order_wait(mirror)) {
        kms_mirror_fall_out(mirror, "it did not answer in time");
        status = kl_fail(&cause, KL_ERR_IO, "mirror_io",
                         "the folder of the mirror could not be used", "it did not answer in time");
    } else {
        status = mirror->order_status;
        cause = mirror->order_err;
    }
    kms_mirror_unlock(all);
    if (status != KL_OK) {
        join_undo(kms, mirror);
        return kl_fail(err, status == KL_ERR_REFUSED ? status : KL_ERR_IO, cause.code,
                       cause.client_text, "%s", cause.log_text);
    }
    status = row_put(kms, mirror, KMS_MIRROR_MEMBER, err);
    if (status == KL_OK) {
        kms_mirror_lock(all);
        mirror->joining = false;
        kms_mirror_unlock(all);
    } else if (status == KL_ERR_NO_MEMORY) {
        join_undo(kms, mirror);
    }
    return status;
}

static enum kl_status room_check(struct kms_mirrors *all, struct kl_err *err)
{
    size_t count;

    kms_mirror_lock(all);
    count = all->count;
    kms_mirror_unlock(all);
    if (count < KMS_MIRRORS_MAX) {
        return KL_OK;
    }
    return kl_failf(err, KL_ERR_TOO_LARGE, "mirrors_too_many", "a vault has at most %d mirrors",
                    KMS_MIRRORS_MAX);
}

static enum kl_status add(struct kms *kms, const char *dir, const char *label,
                          unsigned char ret_id[KMS_MIRROR_ID_BYTES], struct kl_err *err)
{
    char resolved[KMS_MIRROR_DIR_MAX_BYTES + 1];
    unsigned char id[KMS_MIRROR_ID_BYTES];
    struct kms_mirror *mirror = NULL;
    enum kl_status status = room_check(kms->mirrors, err);

    if (status == KL_OK) {
        status = kms_mirror_dir_make(kms, dir, resolved, err);
    }
    if (status == KL_OK) {
        randombytes_buf(id, sizeof id);
        status =
            kms_mirror_new(kms->mirrors, id, resolved, label, true, kl_time_now_us(), &mirror, err);
    }
    if (status == KL_OK) {
        mirror->fresh = true; /* nobody else knows it yet, and its thread has no order */
        status = join(kms, mirror, err);
    }
    if (status == KL_OK) {
        memcpy(ret_id, id, sizeof id);
    }
    return status;
}

enum kl_status kms_mirror_add(struct kms *kms, const char *dir, const char *label,
                              unsigned char ret_id[KMS_MIRROR_ID_BYTES], struct kl_err *err)
{
    enum kl_status status;

    if (strlen(label) > KMS_MIRROR_LABEL_MAX_BYTES) {
        return kl_failf(err, KL_ERR_INVALID, "mirror_label",
                        "the label of a mirror has at most %d bytes", KMS_MIRROR_LABEL_MAX_BYTES);
    }
    admin_take(kms->mirrors);
    status = add(kms, dir, label, ret_id, err);
    admin_give(kms->mirrors);
    return status;
}

/* ---- drop ---- */

static struct kms_mirror *find(const struct kms_mirrors *all,
                               const unsigned char id[KMS_MIRROR_ID_BYTES])
{
    for (size_t i = 0; i < all->count; i++) {
        if (memcmp(all->list[i]->id, id, KMS_MIRROR_ID_BYTES) == 0) {
            return all->list[i];
        }
    }
    return NULL;
}

static enum kl_status drop(struct kms *kms, const unsigned char id[KMS_MIRROR_ID_BYTES],
                           bool declared, bool *ret_destroyed, struct kl_err *err)
{
    struct kms_mirrors *all = kms->mirrors;
    struct kms_mirror *mirror;
    bool destroyed = false;
    enum kl_status status;

    kms_mirror_lock(all);
    mirror = find(all, id);
    if (mirror == NULL) {
        kms_mirror_unlock(all);
        return kl_fail(err, KL_ERR_NOT_FOUND, "mirror_unknown", "there is no such mirror", NULL);
    }
    destroyed = destroy(all, mirror);
    if (!destroyed && !declared) {
        mirror->dropping = false;
        kms_mirror_unlock(all);
        return kl_fail(err, KL_ERR_REFUSED, "mirror_not_destroyed",
                       "the mirror does not answer: destroy its disk, or its root file, and say so",
                       NULL);
    }
    kms_mirror_unlock(all);
    status = row_remove(kms, id, err);
    if (status == KL_OK) {
        list_remove(all, mirror);
        *ret_destroyed = destroyed;
    }
    return status;
}

enum kl_status kms_mirror_drop(struct kms *kms, const unsigned char id[KMS_MIRROR_ID_BYTES],
                               bool declared, bool *ret_destroyed, struct kl_err *err)
{
    enum kl_status status;

    admin_take(kms->mirrors);
    status = drop(kms, id, declared, ret_destroyed, err);
    admin_give(kms->mirrors);
    return status;
}
