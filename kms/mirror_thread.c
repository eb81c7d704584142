/*
 * The thread of a mirror: it alone touches the mirror's disk. What it is told to do it does outside of the lock; when it comes back late,
 * the mirror is out of step and what it did does not count.
 */
#include "kms/mirrors_internal.h"

#include "kluis/base/time.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* ---- one piece of work ---- */

static enum kl_status order_do(struct kms_mirror *mirror, enum kms_mirror_order order,
                               struct kl_err *err)
{
    switch (order) {
    case KMS_ORDER_LOOK:
        return kms_mirror_look(mirror, err);
    case KMS_ORDER_SYNC:
        return kms_mirror_sync(mirror, err);
    case KMS_ORDER_STORE:
        return kms_mirror_store(mirror, err);
    case KMS_ORDER_WIPE:
        return kms_mirror_wipe(mirror, err);
    case KMS_ORDER_NONE:
        break;
    }
    return KL_OK;
}

/* The lock is held before and after. */
static void work_end(struct kms_mirror *mirror, enum kl_status status, const struct kl_err *err)
{
    mirror->busy = false;
    mirror->progress++;
    if (status != KL_OK) {
        kms_mirror_fall_out(mirror, err->log_text[0] != '\0' ? err->log_text : err->client_text);
    }
    (void)pthread_cond_broadcast(&mirror->all->changed);
}

static void batch_work(struct kms_mirror *mirror)
{
    struct kms_mirror_batch *batch = kms_mirror_queue_take(mirror);
    struct kl_err err = {0};
    enum kl_status status;

    mirror->busy = true;
    kms_mirror_unlock(mirror->all);
    status = kms_mirror_batch_write(mirror, batch, &err);
    kms_mirror_lock(mirror->all);
    kms_mirror_batch_release(batch);
    work_end(mirror, status, &err);
}

static void order_work(struct kms_mirror *mirror)
{
    enum kms_mirror_order order = mirror->order;
    struct kl_err err = {0};
    enum kl_status status;

    mirror->busy = true;
    kms_mirror_unlock(mirror->all);
    status = order_do(mirror, order, &err);
    kms_mirror_lock(mirror->all);
    mirror->order = KMS_ORDER_NONE;
    mirror->order_status = status;
    mirror->order_err = err;
    work_end(mirror, status, &err);
}

/* ---- life ---- */

/* Nobody else knows the mirror any more, or its thread was never started. */
static void mirror_free(struct kms_mirror *mirror)
{
    kl_secret_free(mirror->store_key);
    kl_secret_free(mirror->current);
    kl_secret_free(mirror->staged);
    (void)pthread_cond_destroy(&mirror->wake);
    free(mirror);
}

static void *run(void *argument)
{
    struct kms_mirror *mirror = argument;
    struct kms_mirrors *all = mirror->all;
    bool abandoned;

    kms_mirror_lock(all);
    while (!mirror->stop) {
        if (mirror->state == KMS_MIRROR_IN_STEP && mirror->first != NULL) {
            batch_work(mirror);
        } else if (mirror->order != KMS_ORDER_NONE) {
            order_work(mirror);
        } else {
            (void)pthread_cond_wait(&mirror->wake, &all->lock);
        }
    }
    abandoned = mirror->abandoned;
    kms_mirror_queue_clear(mirror);
    kms_mirror_unlock(all);
    if (!abandoned) {
        kms_mirror_shut(mirror);
    }
    kms_mirror_lock(all);
    abandoned = mirror->abandoned;
    mirror->ended = true;
    (void)pthread_cond_broadcast(&all->changed);
    kms_mirror_unlock(all);
    if (abandoned) {
        kms_root_place_close(mirror->place);
        mirror_free(mirror);
        kms_mirrors_release(all);
    }
    return NULL;
}

static enum kl_status fail_memory(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                   "no memory for a mirror");
}

/* Signals are for the threads of main. */
static int thread_start(struct kms_mirror *mirror)
{
    sigset_t none;
    sigset_t before;
    int failed;

    (void)sigfillset(&none);
    (void)pthread_sigmask(SIG_SETMASK, &none, &before);
    failed = pthread_create(&mirror->thread, NULL, run, mirror);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

enum kl_status kms_mirror_new(struct kms_mirrors *all, const unsigned char id[KMS_MIRROR_ID_BYTES],
                              const char *dir, const char *label, bool joining,
                              int64_t registered_us, struct kms_mirror **ret_mirror,
                              struct kl_err *err)
{
    struct kms_mirror *mirror = calloc(1, sizeof *mirror);

    if (mirror == NULL) {
        return fail_memory(err);
    }
    if (pthread_cond_init(&mirror->wake, NULL) != 0) {
        free(mirror);
        return fail_memory(err);
    }
    mirror->all = all;
    mirror->folder = -1;
    memcpy(mirror->id, id, sizeof mirror->id);
    memcpy(mirror->dir, dir, strlen(dir) + 1);
    memcpy(mirror->label, label, strlen(label) + 1);
    mirror->joining = joining;
    mirror->registered_us = registered_us;
    mirror->state = KMS_MIRROR_OUT_OF_STEP;
    mirror->since_us = kl_time_now_us();
    memcpy(mirror->reason, "not yet looked at", sizeof "not yet looked at");
    mirror->store_key = kl_secret_new(KMS_KEY_BYTES);
    mirror->current = kl_secret_new(KMS_KEY_BYTES);
    mirror->staged = kl_secret_new(KMS_KEY_BYTES);
    if (mirror->store_key == NULL || mirror->current == NULL || mirror->staged == NULL ||
        thread_start(mirror) != 0) {
        mirror_free(mirror);
        return fail_memory(err);
    }
    *ret_mirror = mirror;
    return KL_OK;
}

/* The lock is held. */
static bool all_ended(struct kms_mirror **mirrors, size_t count, bool inside_only)
{
    for (size_t i = 0; i < count; i++) {
        if (inside_only ? mirrors[i]->inside : !mirrors[i]->ended) {
            return false;
        }
    }
    return true;
}

/* Its thread hangs in a disk: it frees the mirror when it wakes. What it held for others is taken from it. The lock is held. */
static void abandon(struct kms_mirror *mirror)
{
    mirror->abandoned = true;
    mirror->all->refs++;
    if (mirror->has_turn) {
        mirror->has_turn = false;
        mirror->all->turn = false;
        (void)pthread_cond_broadcast(&mirror->all->changed);
    }
    (void)pthread_detach(mirror->thread);
}

void kms_mirror_end(struct kms_mirror **mirrors, size_t count)
{
    struct kms_mirrors *all;
    int64_t until_us;

    if (count == 0) {
        return;
    }
    all = mirrors[0]->all;
    kms_mirror_lock(all);
    until_us = kl_time_monotonic_us() + kms_mirror_patience_us(all);
    for (size_t i = 0; i < count; i++) {
        mirrors[i]->stop = true;
        (void)pthread_cond_signal(&mirrors[i]->wake);
    }
    (void)pthread_cond_broadcast(&all->changed);
    while (!all_ended(mirrors, count, false) && kms_mirror_wait_until(all, until_us)) {
    }
    while (!all_ended(mirrors, count, true)) {
        (void)pthread_cond_wait(&all->changed, &all->lock); /* a read of our own disk; it ends */
    }
    for (size_t i = 0; i < count; i++) {
        if (!mirrors[i]->ended) {
            abandon(mirrors[i]);
            mirrors[i] = NULL;
        }
    }
    kms_mirror_unlock(all);
    for (size_t i = 0; i < count; i++) {
        if (mirrors[i] != NULL) {
            (void)pthread_join(mirrors[i]->thread, NULL);
            mirror_free(mirrors[i]);
        }
    }
}

void kms_mirrors_release(struct kms_mirrors *all)
{
    bool last;

    kms_mirror_lock(all);
    last = --all->refs == 0;
    kms_mirror_unlock(all);
    if (last) {
        kms_root_form_done(&all->form);
        (void)pthread_cond_destroy(&all->changed);
        (void)pthread_mutex_destroy(&all->lock);
        free(all);
    }
}
