/* What all threads see of the mirrors: the list, the queues, the turn, who is in step. */
#include "kms/mirrors_internal.h"

#include "kluis/base/encode.h"
#include "kluis/base/log.h"
#include "kluis/base/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MILLISECOND_US INT64_C(1000)

void kms_mirror_lock(struct kms_mirrors *all)
{
    (void)pthread_mutex_lock(&all->lock);
}

void kms_mirror_unlock(struct kms_mirrors *all)
{
    (void)pthread_mutex_unlock(&all->lock);
}

bool kms_mirror_wait_until(struct kms_mirrors *all, int64_t until_us)
{
    struct timespec until = {.tv_sec = (time_t)(until_us / KL_TIME_SECOND_US),
                             .tv_nsec = (long)(until_us % KL_TIME_SECOND_US * 1000)};

    (void)pthread_cond_timedwait(&all->changed, &all->lock, &until);
    return kl_time_monotonic_us() < until_us;
}

int64_t kms_mirror_patience_us(const struct kms_mirrors *all)
{
    return all->patience_ms * MILLISECOND_US;
}

/* ---- in step and out of it ---- */

static void log_state(const struct kms_mirror *mirror, enum kl_log_level level, const char *event)
{
    char id[2 * KMS_MIRROR_ID_BYTES + 1];

    kl_hex(mirror->id, sizeof mirror->id, id);
    kl_log(level, event, KL_LOG_TEXT("mirror", id), KL_LOG_TEXT("reason", mirror->reason));
}

void kms_mirror_fall_out(struct kms_mirror *mirror, const char *reason)
{
    bool news = mirror->state == KMS_MIRROR_IN_STEP || strcmp(mirror->reason, reason) != 0;

    if (mirror->state == KMS_MIRROR_IN_STEP) {
        mirror->since_us = kl_time_now_us();
    }
    mirror->state = KMS_MIRROR_OUT_OF_STEP;
    mirror->suspect = true;
    mirror->taking = false;
    (void)snprintf(mirror->reason, sizeof mirror->reason, "%s", reason);
    kms_mirror_queue_clear(mirror);
    if (news) {
        log_state(mirror, KL_LOG_WARNING, "mirror_out_of_step");
    }
    (void)pthread_cond_broadcast(&mirror->all->changed);
}

void kms_mirror_in_step(struct kms_mirror *mirror)
{
    mirror->state = KMS_MIRROR_IN_STEP;
    mirror->since_us = kl_time_now_us();
    mirror->reason[0] = '\0';
    mirror->suspect = false;
    mirror->settles = mirror->posted;
    log_state(mirror, KL_LOG_INFO, "mirror_in_step");
    (void)pthread_cond_broadcast(&mirror->all->changed);
}

/* ---- queues ---- */

void kms_mirror_batch_release(struct kms_mirror_batch *batch)
{
    if (--batch->refs == 0) {
        free(batch);
    }
}

struct kms_mirror_batch *kms_mirror_queue_take(struct kms_mirror *mirror)
{
    struct kms_mirror_queued *queued = mirror->first;
    struct kms_mirror_batch *batch;

    if (queued == NULL) {
        return NULL;
    }
    batch = queued->batch;
    mirror->first = queued->next;
    if (mirror->first == NULL) {
        mirror->last = NULL;
    }
    mirror->queued_bytes -= batch->bytes;
    mirror->written++;
    free(queued);
    return batch;
}

void kms_mirror_queue_clear(struct kms_mirror *mirror)
{
    struct kms_mirror_batch *batch;

    while ((batch = kms_mirror_queue_take(mirror)) != NULL) {
        kms_mirror_batch_release(batch);
    }
}

static struct kms_mirror_batch *batch_copy(const struct kms_storage_write *writes, size_t count,
                                           bool sync)
{
    size_t bytes = sizeof(struct kms_mirror_batch) + count * sizeof *writes;
    struct kms_mirror_batch *batch;
    unsigned char *at;

    for (size_t i = 0; i < count; i++) {
        bytes += writes[i].key.size + writes[i].value.size;
    }
    batch = malloc(bytes);
    if (batch == NULL) {
        return NULL;
    }
    batch->refs = 1;
    batch->bytes = bytes;
    batch->count = count;
    batch->sync = sync;
    at = (unsigned char *)(batch->writes + count);
    for (size_t i = 0; i < count; i++) {
        const struct kms_storage_write *write = &writes[i];

        batch->writes[i].key = (struct kl_slice){at, write->key.size};
        memcpy(at, write->key.bytes, write->key.size);
        at += write->key.size;
        batch->writes[i].value =
            (struct kl_slice){write->value.bytes == NULL ? NULL : at, write->value.size};
        if (write->value.size > 0) {
            memcpy(at, write->value.bytes, write->value.size);
        }
        at += write->value.size;
    }
    return batch;
}

static void queue_add(struct kms_mirror *mirror, struct kms_mirror_batch *batch)
{
    struct kms_mirror_queued *queued = malloc(sizeof *queued);

    if (queued == NULL) {
        kms_mirror_fall_out(mirror, "no memory for a batch");
        mirror->behind = true;
        return;
    }
    *queued = (struct kms_mirror_queued){batch, NULL};
    batch->refs++;
    if (mirror->last == NULL) {
        mirror->first = queued;
    } else {
        mirror->last->next = queued;
    }
    mirror->last = queued;
    mirror->queued_bytes += batch->bytes;
    mirror->posted++;
    (void)pthread_cond_signal(&mirror->wake);
}

/* A mirror being copied that does not keep up. One that waits for the gate gets it next, and then goes on. */
static struct kms_mirror *first_full(const struct kms_mirrors *all)
{
    for (size_t i = 0; i < all->count; i++) {
        struct kms_mirror *mirror = all->list[i];

        if (mirror->taking && mirror->state != KMS_MIRROR_IN_STEP && !mirror->at_gate &&
            mirror->queued_bytes > KMS_MIRROR_QUEUE_MAX_BYTES) {
            return mirror;
        }
    }
    return NULL;
}

static void wait_for_room(struct kms_mirrors *all)
{
    int64_t until_us = kl_time_monotonic_us() + kms_mirror_patience_us(all);
    struct kms_mirror *full;
    bool time_left = true;

    while ((full = first_full(all)) != NULL) {
        if (!time_left) {
            full->behind = true;
            full->taking = false;
            kms_mirror_queue_clear(full);
        } else {
            time_left = kms_mirror_wait_until(all, until_us);
        }
    }
}

static bool any_taking(const struct kms_mirrors *all)
{
    for (size_t i = 0; i < all->count; i++) {
        if (all->list[i]->taking) {
            return true;
        }
    }
    return false;
}

void kms_mirrors_post(struct kms_mirrors *all, const struct kms_storage_write *writes, size_t count,
                      bool sync)
{
    struct kms_mirror_batch *batch = NULL;
    bool needed;

    kms_mirror_lock(all);
    wait_for_room(all);
    needed = any_taking(all);
    kms_mirror_unlock(all);
    if (!needed) {
        return; /* none begins to take while the gate is held */
    }
    batch = batch_copy(writes, count, sync);
    kms_mirror_lock(all);
    for (size_t i = 0; i < all->count; i++) {
        struct kms_mirror *mirror = all->list[i];

        if (!mirror->taking) {
            continue;
        }
        if (batch == NULL) {
            kms_mirror_fall_out(mirror, "no memory for a batch");
            mirror->behind = true;
        } else {
            queue_add(mirror, batch);
        }
    }
    if (batch != NULL) {
        kms_mirror_batch_release(batch);
    }
    kms_mirror_unlock(all);
}

/* ---- waiting ---- */

bool kms_mirror_at_it(const struct kms_mirror *mirror)
{
    return mirror->order == KMS_ORDER_SYNC ||
           (mirror->state == KMS_MIRROR_IN_STEP &&
            (mirror->written < mirror->settles ||
             (mirror->written == mirror->settles && mirror->busy)));
}

static bool has_work(const struct kms_mirror *mirror, bool orders_only)
{
    return mirror->order != KMS_ORDER_NONE ||
           (!orders_only && (mirror->busy || mirror->first != NULL));
}

/* Until those in step have nothing to do; orders only: others may post batches meanwhile, which are not waited for. */
static void wait_locked(struct kms_mirrors *all, bool orders_only)
{
    int64_t until_us = kl_time_monotonic_us() + kms_mirror_patience_us(all);
    bool time_left = true;

    for (;;) {
        bool done = true;

        for (size_t i = 0; i < all->count; i++) {
            struct kms_mirror *mirror = all->list[i];

            if (mirror->state != KMS_MIRROR_IN_STEP || !has_work(mirror, orders_only)) {
                continue;
            }
            if (!time_left) {
                kms_mirror_fall_out(mirror, "it did not answer in time");
            } else {
                done = false;
            }
        }
        if (done) {
            return;
        }
        time_left = kms_mirror_wait_until(all, until_us);
    }
}

void kms_mirrors_wait(struct kms_mirrors *all)
{
    kms_mirror_lock(all);
    wait_locked(all, false);
    kms_mirror_unlock(all);
}

/* ---- orders ---- */

bool kms_mirror_commit_under_way(const struct kms_mirrors *all)
{
    for (size_t i = 0; i < all->count; i++) {
        if (all->list[i]->has_turn) {
            return false;
        }
    }
    return all->turn;
}

bool kms_mirror_order(struct kms_mirror *mirror, enum kms_mirror_order order)
{
    if (mirror->order != KMS_ORDER_NONE || (mirror->busy && mirror->state != KMS_MIRROR_IN_STEP)) {
        return false;
    }
    mirror->order = order;
    (void)pthread_cond_signal(&mirror->wake);
    return true;
}

bool kms_mirror_order_wait(struct kms_mirror *mirror)
{
    struct kms_mirrors *all = mirror->all;
    uint64_t progress = mirror->progress;
    int64_t until_us = kl_time_monotonic_us() + kms_mirror_patience_us(all);
    bool time_left = true;

    while (mirror->order != KMS_ORDER_NONE || kms_mirror_at_it(mirror)) {
        if (mirror->progress != progress) {
            progress = mirror->progress;
            until_us = kl_time_monotonic_us() + kms_mirror_patience_us(all);
        } else if (!time_left) {
            return false;
        }
        time_left = kms_mirror_wait_until(all, until_us);
    }
    return true;
}

/* ---- commits ---- */

/* One that joins counts once root keys lie there. */
static bool blocks(const struct kms_mirror *mirror)
{
    return mirror->state != KMS_MIRROR_IN_STEP && (!mirror->joining || mirror->holds_keys);
}

static struct kms_mirror *first_blocking(const struct kms_mirrors *all)
{
    for (size_t i = 0; i < all->count; i++) {
        if (blocks(all->list[i])) {
            return all->list[i];
        }
    }
    return NULL;
}

/* Whether a mirror that blocks is being tried right now. */
static bool trying(const struct kms_mirrors *all)
{
    for (size_t i = 0; i < all->count; i++) {
        if (blocks(all->list[i]) && all->list[i]->order == KMS_ORDER_SYNC) {
            return true;
        }
    }
    return false;
}

static void retry_quickly(struct kms_mirrors *all)
{
    int64_t until_us = kl_time_monotonic_us() + KMS_MIRROR_QUICK_MS * MILLISECOND_US;
    bool begun = false;

    for (size_t i = 0; i < all->count; i++) {
        if (blocks(all->list[i]) && !all->list[i]->dropping) {
            begun |= kms_mirror_order(all->list[i], KMS_ORDER_SYNC);
        }
    }
    /* One that was at it already, or hangs, is not waited for. */
    while (begun && trying(all) && kms_mirror_wait_until(all, until_us)) {
    }
}

static enum kl_status fail_unreachable(const struct kms_mirror *mirror, struct kl_err *err)
{
    return kl_fail(
        err, KL_ERR_UNAVAILABLE, "mirror_unreachable",
        "a mirror of the keys does not answer, so nothing can be erased for good now; try "
        "again later",
        "mirror %s: %s", mirror == NULL ? "being made" : mirror->dir,
        mirror == NULL ? "the turn was not given back in time" : mirror->reason);
}

enum kl_status kms_mirrors_commit_begin(struct kms_mirrors *all, struct kl_err *err)
{
    int64_t until_us = kl_time_monotonic_us() + kms_mirror_patience_us(all);
    enum kl_status status = KL_OK;

    kms_mirror_lock(all);
    if (first_blocking(all) != NULL) {
        retry_quickly(all);
    }
    while (first_blocking(all) == NULL && all->turn && kms_mirror_wait_until(all, until_us)) {
    }
    if (first_blocking(all) != NULL || all->turn) {
        status = fail_unreachable(first_blocking(all), err);
    } else {
        all->turn = true;
    }
    kms_mirror_unlock(all);
    return status;
}

void kms_mirrors_commit_end(struct kms_mirrors *all)
{
    kms_mirror_lock(all);
    all->turn = false;
    (void)pthread_cond_broadcast(&all->changed);
    kms_mirror_unlock(all);
}

void kms_mirrors_store(struct kms_mirrors *all, uint64_t generation,
                       const unsigned char key[KMS_KEY_BYTES], uint64_t confirmed)
{
    kms_mirror_lock(all);
    wait_locked(all, true);
    for (size_t i = 0; i < all->count; i++) {
        struct kms_mirror *mirror = all->list[i];

        if (mirror->state != KMS_MIRROR_IN_STEP) {
            continue;
        }
        if (kms_mirror_order(mirror, KMS_ORDER_STORE)) {
            mirror->store_generation = generation;
            memcpy(kl_secret_bytes(mirror->store_key), key, KMS_KEY_BYTES);
        } else {
            kms_mirror_fall_out(mirror, "it did not answer in time");
        }
    }
    wait_locked(all, true);
    for (size_t i = 0; i < all->count; i++) {
        if (all->list[i]->state == KMS_MIRROR_IN_STEP) {
            all->list[i]->generation = confirmed;
        }
    }
    kms_mirror_unlock(all);
}

enum kl_status kms_mirrors_form_set(struct kms_mirrors *all, const struct kms_root_form *form,
                                    struct kl_err *err)
{
    struct kms_root_form copy = {.kind = KMS_ROOT_BARE};
    bool with_file;
    enum kl_status status = form == NULL ? KL_OK : kms_root_form_copy(form, &copy, err);

    if (status != KL_OK) {
        return status;
    }
    with_file = form != NULL;
    kms_mirrors_form_swap(all, &copy, &with_file);
    kms_root_form_done(&copy);
    return KL_OK;
}

void kms_mirrors_form_swap(struct kms_mirrors *all, struct kms_root_form *form, bool *with_file)
{
    struct kms_root_form before;
    bool before_with_file;

    kms_mirror_lock(all);
    before = all->form;
    before_with_file = all->with_file;
    all->form = *form;
    all->with_file = *with_file;
    all->form_number++;
    kms_mirror_unlock(all);
    *form = before;
    *with_file = before_with_file;
}

/* ---- numbers ---- */

struct kms_mirrors_tally kms_mirrors_tally(struct kms_mirrors *all)
{
    struct kms_mirrors_tally tally = {.worst = KMS_FINALITY_F2};

    kms_mirror_lock(all);
    tally.count = (uint32_t)all->count;
    for (size_t i = 0; i < all->count; i++) {
        const struct kms_mirror *mirror = all->list[i];

        tally.pending += blocks(mirror) ? 1 : 0;
        if (mirror->state != KMS_MIRROR_IN_STEP) {
            continue;
        }
        tally.in_step++;
        if (all->with_file && mirror->report.finality < tally.worst) {
            tally.worst = mirror->report.finality;
        }
    }
    kms_mirror_unlock(all);
    return tally;
}

enum kms_finality kms_mirrors_finality(struct kms_mirrors *all, enum kms_finality first)
{
    struct kms_mirrors_tally tally = kms_mirrors_tally(all);
    enum kms_finality worst = first < tally.worst ? first : tally.worst;

    if (tally.in_step == 0) {
        return first;
    }
    return tally.pending == 0 && worst >= KMS_FINALITY_F1 ? KMS_FINALITY_F3 : worst;
}

void kms_mirrors(struct kms *kms, struct kms_mirror_info *ret_infos, size_t *ret_count)
{
    struct kms_mirrors *all = kms->mirrors;

    kms_mirror_lock(all);
    for (size_t i = 0; i < all->count; i++) {
        const struct kms_mirror *mirror = all->list[i];
        struct kms_mirror_info *info = &ret_infos[i];

        memset(info, 0, sizeof *info);
        memcpy(info->id, mirror->id, sizeof info->id);
        memcpy(info->dir, mirror->dir, sizeof info->dir);
        memcpy(info->label, mirror->label, sizeof info->label);
        info->state = mirror->state;
        info->since_us = mirror->since_us;
        info->generation = mirror->generation;
        memcpy(info->reason, mirror->reason, sizeof info->reason);
        info->report = mirror->report;
    }
    *ret_count = all->count;
    kms_mirror_unlock(all);
}
