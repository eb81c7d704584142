#include "vault/upkeep_internal.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/job_internal.h"
#include "vault/restore.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MILLISECOND_US 1000
#define SECOND_NS 1000000000L

static int64_t now_ms(void)
{
    return kl_time_monotonic_us() / MILLISECOND_US;
}

/* ---- the queue ---- */

const struct vault_job_type *vault_upkeep_type(const struct vault *vault, enum vault_job_kind kind)
{
    return vault->upkeep->types[kind];
}

struct vault_upkeep_options vault_upkeep_options(struct vault *vault)
{
    struct vault_upkeep *upkeep = vault->upkeep;

    pthread_mutex_lock(&upkeep->lock);
    struct vault_upkeep_options options = upkeep->options;
    pthread_mutex_unlock(&upkeep->lock);
    return options;
}

void vault_upkeep_wake(struct vault *vault)
{
    struct vault_upkeep *upkeep = vault->upkeep;

    if (upkeep == NULL) {
        return;
    }
    pthread_mutex_lock(&upkeep->lock);
    upkeep->woken = true;
    pthread_cond_broadcast(&upkeep->changed);
    pthread_mutex_unlock(&upkeep->lock);
}

/* The lock is held. */
static bool has_room(const struct vault_upkeep *upkeep, const struct vault_caller *caller)
{
    const struct vault_upkeep_job *item = NULL;
    size_t own = 0;

    if (caller == NULL || caller->builtin == VAULT_BUILTIN_OPERATOR) {
        return upkeep->job_count < VAULT_JOBS_WAITING_MAX;
    }
    for (item = upkeep->jobs; item != NULL; item = item->next) {
        own += item->job.tenant == caller->tenant ? 1 : 0;
    }
    return own < VAULT_JOBS_OF_TENANT_MAX && upkeep->job_count < VAULT_JOBS_WAITING_MAX / 2;
}

enum kl_status vault_upkeep_reserve(struct vault *vault, const struct vault_caller *caller,
                                    struct kl_err *err)
{
    struct vault_upkeep *upkeep = vault->upkeep;
    bool room = false;

    pthread_mutex_lock(&upkeep->lock);
    room = has_room(upkeep, caller);
    upkeep->job_count += room ? 1 : 0;
    pthread_mutex_unlock(&upkeep->lock);
    return room ? KL_OK
                : kl_fail(err, KL_ERR_BUSY, "jobs_waiting",
                          "many jobs wait already; try again when some are done", NULL);
}

void vault_upkeep_unreserve(struct vault *vault)
{
    pthread_mutex_lock(&vault->upkeep->lock);
    vault->upkeep->job_count--;
    pthread_mutex_unlock(&vault->upkeep->lock);
}

/* A job that cannot be put into the queue for want of memory stays a row: it is taken up at the next open. */
void vault_upkeep_add(struct vault *vault, struct vault_job *job)
{
    struct vault_upkeep *upkeep = vault->upkeep;
    struct vault_upkeep_job *item = calloc(1, sizeof *item);
    struct vault_upkeep_job **link = &upkeep->jobs;

    if (item == NULL) {
        kl_log(KL_LOG_ERROR, "job_waits_for_restart", KL_LOG_INT("kind", job->kind));
        vault_job_done(job);
        vault_upkeep_unreserve(vault);
        return;
    }
    item->job = *job;
    pthread_mutex_lock(&upkeep->lock);
    while (*link != NULL && (*link)->job.started_us <= job->started_us) {
        link = &(*link)->next;
    }
    item->next = *link;
    *link = item;
    pthread_mutex_unlock(&upkeep->lock);
    memset(job, 0, sizeof *job);
    vault_upkeep_wake(vault);
}

bool vault_job_waits(struct vault *vault, enum vault_job_kind kind)
{
    const struct vault_upkeep_job *item = NULL;

    pthread_mutex_lock(&vault->upkeep->lock);
    item = vault->upkeep->jobs;
    while (item != NULL && item->job.kind != kind) {
        item = item->next;
    }
    pthread_mutex_unlock(&vault->upkeep->lock);
    return item != NULL;
}

/*
 * The job to go on with: the first of its kind, and not in a pause. NULL: none. ret_at_ms: when the first that is in a pause may go on;
 * untouched when there is none. Under the lock.
 */
static struct vault_upkeep_job *next_job(const struct vault_upkeep *upkeep, int64_t at_ms,
                                         int64_t *ret_at_ms)
{
    bool seen[VAULT_JOB_KINDS] = {false};
    struct vault_upkeep_job *item = NULL;

    for (item = upkeep->jobs; item != NULL; item = item->next) {
        if (seen[item->job.kind] || upkeep->types[item->job.kind] == NULL) {
            continue;
        }
        if (item->again_ms <= at_ms) {
            return item;
        }
        seen[item->job.kind] = true;
        *ret_at_ms = item->again_ms < *ret_at_ms ? item->again_ms : *ret_at_ms;
    }
    return NULL;
}

static void drop_job(struct vault_upkeep *upkeep, struct vault_upkeep_job *item)
{
    struct vault_upkeep_job **link = &upkeep->jobs;

    pthread_mutex_lock(&upkeep->lock);
    while (*link != item) {
        link = &(*link)->next;
    }
    *link = item->next;
    upkeep->job_count--;
    pthread_mutex_unlock(&upkeep->lock);
    vault_job_done(&item->job);
    free(item);
}

/* ---- a step ---- */

static bool passes(enum kl_status status)
{
    return status == KL_ERR_UNAVAILABLE || status == KL_ERR_BUSY || status == KL_ERR_NO_MEMORY;
}

static enum kl_status end_job(struct vault *vault, struct vault_job *job,
                              enum vault_job_state state, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    job->state = state;
    job->ended_us = kl_time_now_us();
    status = vault_job_end(vault, job, err);
    if (status != KL_OK) {
        job->state = VAULT_JOB_RUNNING;
        job->ended_us = 0;
    }
    return status;
}

/* Do a step and keep how far the job is. ret_ended: there is nothing left to do of it. */
static enum kl_status step_job(struct vault *vault, struct vault_job *job, bool *ret_ended,
                               struct kl_err *err)
{
    const struct vault_job_type *type = vault_upkeep_type(vault, job->kind);
    bool done = false;
    enum kl_status status = type->step(vault, job, &done, err);
    struct kl_err kept = {.status = KL_OK};

    if (status == KL_OK && done) {
        job->progress = 1.0;
        status = end_job(vault, job, VAULT_JOB_DONE, err);
    } else if (status == KL_OK) {
        status = vault_job_keep(vault, job, err);
    } else if (passes(status)) {
        if (vault_job_keep(vault, job, &kept) != KL_OK) {
            kl_log_err(KL_LOG_WARNING, "job_not_kept", &kept);
        }
    } else {
        kl_log_err(KL_LOG_ERROR, "job_failed", err);
        memcpy(job->failed_code, err->code, sizeof err->code);
        status = end_job(vault, job, VAULT_JOB_FAILED, &kept);
        *ret_ended = status == KL_OK;
        return status;
    }
    *ret_ended = status == KL_OK && done;
    return status;
}

static void pause_job(struct vault_upkeep *upkeep, struct vault_upkeep_job *item)
{
    pthread_mutex_lock(&upkeep->lock);
    item->pause_ms = item->pause_ms == 0 ? VAULT_UPKEEP_PAUSE_FIRST_MS : 2 * item->pause_ms;
    if (item->pause_ms > VAULT_UPKEEP_PAUSE_MAX_MS) {
        item->pause_ms = VAULT_UPKEEP_PAUSE_MAX_MS;
    }
    item->again_ms = now_ms() + item->pause_ms;
    pthread_mutex_unlock(&upkeep->lock);
}

static enum kl_status work(struct vault *vault, struct vault_upkeep_job *item, struct kl_err *err)
{
    struct vault_upkeep *upkeep = vault->upkeep;
    bool ended = false;
    enum kl_status status = step_job(vault, &item->job, &ended, err);

    if (ended) {
        drop_job(upkeep, item);
    } else if (status != KL_OK) {
        pause_job(upkeep, item);
    } else {
        pthread_mutex_lock(&upkeep->lock);
        item->pause_ms = 0;
        pthread_mutex_unlock(&upkeep->lock);
    }
    return status;
}

/* ---- tasks ---- */

/* Run what is due (all of it when all is set); returns the next time. ret_status (may be NULL): the first failure. */
static int64_t run_tasks(struct vault *vault, bool all, enum kl_status *ret_status,
                         struct kl_err *ret_err)
{
    struct vault_upkeep *upkeep = vault->upkeep;
    int64_t next_ms = INT64_MAX;
    size_t i;

    for (i = 0; upkeep->tasks[i] != NULL; i++) {
        const struct vault_upkeep_task *task = upkeep->tasks[i];
        struct kl_err err = {.status = KL_OK};

        assert(i < VAULT_UPKEEP_TASKS_MAX);
        if (all || upkeep->task_due_ms[i] <= now_ms()) {
            enum kl_status status = task->run(vault, kl_time_now_us(), &err);

            if (status != KL_OK) {
                kl_log(KL_LOG_WARNING, "upkeep_task_failed", KL_LOG_TEXT("task", task->name),
                       KL_LOG_TEXT("code", err.code), KL_LOG_TEXT("text", err.log_text));
            }
            if (status != KL_OK && ret_status != NULL && *ret_status == KL_OK) {
                *ret_status = status;
                *ret_err = err;
            }
            upkeep->task_due_ms[i] = now_ms() + task->interval_ms;
        }
        next_ms = upkeep->task_due_ms[i] < next_ms ? upkeep->task_due_ms[i] : next_ms;
    }
    return next_ms;
}

/* ---- the thread ---- */

static struct timespec deadline_of(int64_t at_ms)
{
    struct timespec deadline = {.tv_sec = (time_t)(at_ms / 1000),
                                .tv_nsec = (long)(at_ms % 1000) * (SECOND_NS / 1000)};

    return deadline;
}

/* Wait until there is a job to go on with, or a task is due, or it is to stop. NULL: no job. */
static struct vault_upkeep_job *wait_for_work(struct vault_upkeep *upkeep, int64_t task_ms,
                                              bool *ret_stop)
{
    struct vault_upkeep_job *item = NULL;
    int64_t at_ms = task_ms;

    pthread_mutex_lock(&upkeep->lock);
    item = next_job(upkeep, now_ms(), &at_ms);
    if (item == NULL && !upkeep->stopping && !upkeep->woken && at_ms > now_ms()) {
        if (at_ms == INT64_MAX) {
            (void)pthread_cond_wait(&upkeep->changed, &upkeep->lock);
        } else {
            struct timespec deadline = deadline_of(at_ms);

            (void)pthread_cond_timedwait(&upkeep->changed, &upkeep->lock, &deadline);
        }
    }
    upkeep->woken = false;
    *ret_stop = upkeep->stopping;
    pthread_mutex_unlock(&upkeep->lock);
    return item;
}

static void *upkeep_main(void *context)
{
    struct vault *vault = context;
    bool stop = false;

    while (!stop) {
        int64_t task_ms = run_tasks(vault, false, NULL, NULL);
        struct vault_upkeep_job *item = wait_for_work(vault->upkeep, task_ms, &stop);
        struct kl_err err = {.status = KL_OK};

        if (item != NULL && !stop && work(vault, item, &err) != KL_OK) {
            kl_log_err(KL_LOG_WARNING, "job_waits", &err);
        }
    }
    return NULL;
}

enum kl_status vault_upkeep_start(struct vault *vault, const struct vault_upkeep_options *options,
                                  struct kl_err *err)
{
    struct vault_upkeep *upkeep = vault->upkeep;

    assert(!upkeep->running);
    if (options->sweep_at_s < -1 || options->sweep_at_s >= 86400 ||
        options->sweep_at_latest_us < 0 || options->backup_keep_us < 0) {
        return kl_fail(
            err, KL_ERR_INVALID, "invalid_options",
            "the time of the nightly sweep is outside the day, or a duration is below zero", NULL);
    }
    upkeep->options = *options;
    if (upkeep->options.backup_keep_us == 0) {
        upkeep->options.backup_keep_us = VAULT_BACKUP_KEEP_DEFAULT_US;
    }
    if (upkeep->options.sweep_at_latest_us == 0) {
        upkeep->options.sweep_at_latest_us = VAULT_SWEEP_AT_LATEST_DEFAULT_US;
    }
    upkeep->stopping = false;
    memset(upkeep->task_due_ms, 0, sizeof upkeep->task_due_ms);
    if (pthread_create(&upkeep->thread, NULL, upkeep_main, vault) != 0) {
        return kl_fail_memory(err);
    }
    upkeep->running = true;
    return KL_OK;
}

void vault_upkeep_stop(struct vault *vault)
{
    struct vault_upkeep *upkeep = vault->upkeep;

    if (upkeep == NULL || !upkeep->running) {
        return;
    }
    pthread_mutex_lock(&upkeep->lock);
    upkeep->stopping = true;
    pthread_cond_broadcast(&upkeep->changed);
    pthread_mutex_unlock(&upkeep->lock);
    (void)pthread_join(upkeep->thread, NULL);
    upkeep->running = false;
}

enum kl_status vault_upkeep_run(struct vault *vault, struct kl_err *err)
{
    struct vault_upkeep *upkeep = vault->upkeep;
    struct vault_upkeep_job *item = NULL;
    struct kl_err own = {.status = KL_OK};
    struct kl_err task_err = {.status = KL_OK};
    enum kl_status task_status = KL_OK;
    enum kl_status status = KL_OK;
    int64_t unused_ms = INT64_MAX;

    assert(!upkeep->running);
    err = err == NULL ? &own : err;
    (void)run_tasks(vault, true, &task_status, &task_err);
    do {
        pthread_mutex_lock(&upkeep->lock);
        item = next_job(upkeep, INT64_MAX, &unused_ms);
        pthread_mutex_unlock(&upkeep->lock);
        status = item == NULL ? KL_OK : work(vault, item, err);
    } while (item != NULL && status == KL_OK);
    if (status == KL_OK && task_status != KL_OK) {
        status =
            kl_fail(err, task_status, task_err.code, task_err.client_text, "%s", task_err.log_text);
    }
    return status;
}

/* ---- life ---- */

static enum kl_status take_up(void *visitor, struct vault_job *job, struct kl_err *err)
{
    struct vault *vault = visitor;

    (void)err;
    if (job->state == VAULT_JOB_RUNNING) {
        vault->upkeep->job_count++;
        vault_upkeep_add(vault, job);
        vault_job_init(job);
    }
    return KL_OK;
}

static struct vault_upkeep *upkeep_new(void)
{
    struct vault_upkeep *upkeep = calloc(1, sizeof *upkeep);
    pthread_condattr_t monotonic;

    if (upkeep == NULL || pthread_condattr_init(&monotonic) != 0) {
        free(upkeep);
        return NULL;
    }
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    if (pthread_cond_init(&upkeep->changed, &monotonic) != 0) {
        goto fail;
    }
    if (pthread_mutex_init(&upkeep->lock, NULL) != 0) {
        (void)pthread_cond_destroy(&upkeep->changed);
        goto fail;
    }
    (void)pthread_condattr_destroy(&monotonic);
    upkeep->types = vault_job_types;
    upkeep->tasks = vault_upkeep_tasks;
    upkeep->options.sweep_at_s = -1;
    upkeep->options.sweep_at_latest_us = VAULT_SWEEP_AT_LATEST_DEFAULT_US;
    upkeep->options.backup_keep_us = VAULT_BACKUP_KEEP_DEFAULT_US;
    return upkeep;

fail:
    (void)pthread_condattr_destroy(&monotonic);
    free(upkeep);
    return NULL;
}

/* The first rotation that waits; NULL: none. */
static struct vault_upkeep_job *rotation_find(const struct vault_upkeep *upkeep)
{
    struct vault_upkeep_job *item = upkeep->jobs;

    while (item != NULL && item->job.kind != VAULT_JOB_ROTATION) {
        item = item->next;
    }
    return item;
}

static enum kl_status rotations_fail(struct vault *vault, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_upkeep_job *item = rotation_find(vault->upkeep);

    while (status == KL_OK && item != NULL) {
        (void)snprintf(item->job.failed_code, sizeof item->job.failed_code, "data_restored");
        status = end_job(vault, &item->job, VAULT_JOB_FAILED, err);
        if (status == KL_OK) {
            drop_job(vault->upkeep, item);
            item = rotation_find(vault->upkeep);
        }
    }
    return status;
}

/*
 * A rotation that was under way when a backup was made does not go on by itself when that is put back: one of level values would take the
 * keys from a newer backup, which may be the right one.
 */
static enum kl_status restored_end(struct vault *vault, struct kl_err *err)
{
    bool put_back = false;
    enum kl_status status = vault_restored_mark(vault->data_store, &put_back, NULL, err);

    if (status == KL_OK && put_back) {
        status = rotations_fail(vault, err);
        if (status == KL_OK) {
            status = vault_restored_mark_remove(vault->data_store, err);
        }
    }
    return status;
}

enum kl_status vault_upkeep_new(struct vault *vault, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    vault->upkeep = upkeep_new();
    status =
        vault->upkeep == NULL ? kl_fail_memory(err) : vault_job_each(vault, take_up, vault, err);
    return status == KL_OK ? restored_end(vault, err) : status;
}

void vault_upkeep_free(struct vault *vault)
{
    struct vault_upkeep *upkeep = vault->upkeep;

    if (upkeep == NULL) {
        return;
    }
    vault_upkeep_stop(vault);
    while (upkeep->jobs != NULL) {
        struct vault_upkeep_job *item = upkeep->jobs;

        upkeep->jobs = item->next;
        vault_job_done(&item->job);
        free(item);
    }
    (void)pthread_mutex_destroy(&upkeep->lock);
    (void)pthread_cond_destroy(&upkeep->changed);
    free(upkeep);
    vault->upkeep = NULL;
}
