/*
 * Stores that are away, tried again: a disk that comes back brings its store back.
 *
 * Opening one may take as long as its directory does not answer, so it is done in a thread of its own, without the turn of the set, and nobody
 * waits for it but who closes the set. Only an entry that is away is touched, and nobody else touches one.
 */
#include "vault/stores_internal.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/tenants.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* A token counts wrong PINs, and locks itself; a wrong passphrase does not become right. */
static bool may_try(struct vault_stores *stores, struct vault_store_entry *entry)
{
    bool wrong = false;

    (void)pthread_mutex_lock(&stores->lock);
    wrong = entry->why.status == KL_ERR_UNAUTHORISED;
    (void)pthread_mutex_unlock(&stores->lock);
    return atomic_load(&entry->away) && !wrong;
}

static enum kl_status open_again(struct vault_stores *stores, struct vault_store_entry *entry,
                                 struct kl_err *err)
{
    const struct vault_audit_who who = {.role = "vault", .at_us = kl_time_now_us()};
    struct vault_store_row row;
    struct kl_secret *secret = NULL;
    struct vault *vault = NULL;
    size_t bytes = 0;
    enum kl_status status = KL_OK;

    (void)pthread_mutex_lock(&stores->lock);
    row = entry->row;
    (void)pthread_mutex_unlock(&stores->lock);
    status = vault_store_secret_of(stores, entry, &row, &secret, &bytes, err);
    if (status == KL_OK) {
        status = vault_store_row_open(stores, &row, secret == NULL ? NULL : kl_secret_peek(secret),
                                      bytes, &vault, err);
    }
    kl_secret_free(secret);
    if (status == KL_OK) {
        vault_turn_take(&stores->turn);
        status = vault_store_entry_take(stores, entry, &row, vault, &who, err);
        vault_turn_give(&stores->turn);
    }
    return status;
}

void vault_stores_retry(struct vault_stores *stores)
{
    size_t count = vault_stores_count(stores);
    size_t i;

    for (i = 1; i < count; i++) {
        struct vault_store_entry *entry = stores->entries[i];
        struct kl_err why = {0};

        if (!may_try(stores, entry)) {
            continue;
        }
        if (open_again(stores, entry, &why) == KL_OK) {
            kl_log(KL_LOG_INFO, "store_back", KL_LOG_TEXT("store", entry->name));
        } else {
            vault_store_entry_away(stores, entry, &why);
        }
    }
}

/* ---- the thread ---- */

static void deadline_in(int64_t ms, struct timespec *ret)
{
    (void)clock_gettime(CLOCK_MONOTONIC, ret);
    ret->tv_sec += (time_t)(ms / 1000);
    ret->tv_nsec += (long)(ms % 1000) * 1000000;
    if (ret->tv_nsec >= 1000000000) {
        ret->tv_sec++;
        ret->tv_nsec -= 1000000000;
    }
}

/* False: the set is being closed. */
static bool wait_for_next(struct vault_stores *stores)
{
    struct timespec deadline;
    bool closing = false;

    deadline_in(stores->retry_ms, &deadline);
    (void)pthread_mutex_lock(&stores->lock);
    while (!stores->closing &&
           pthread_cond_timedwait(&stores->closed, &stores->lock, &deadline) != ETIMEDOUT) {
    }
    closing = stores->closing;
    (void)pthread_mutex_unlock(&stores->lock);
    return !closing;
}

static void *run(void *context)
{
    struct vault_stores *stores = context;

    while (wait_for_next(stores)) {
        vault_stores_retry(stores);
    }
    return NULL;
}

enum kl_status vault_stores_retry_start(struct vault_stores *stores, struct kl_err *err)
{
    pthread_condattr_t monotonic;
    bool made = false;

    if (pthread_condattr_init(&monotonic) != 0) {
        return kl_fail_memory(err);
    }
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    made = pthread_cond_init(&stores->closed, &monotonic) == 0;
    (void)pthread_condattr_destroy(&monotonic);
    if (!made) {
        return kl_fail_memory(err);
    }
    if (pthread_create(&stores->retrier, NULL, run, stores) != 0) {
        (void)pthread_cond_destroy(&stores->closed);
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "server busy",
                       "no thread to try stores again");
    }
    stores->retrier_runs = true;
    return KL_OK;
}

void vault_stores_retry_stop(struct vault_stores *stores)
{
    if (!stores->retrier_runs) {
        return;
    }
    (void)pthread_mutex_lock(&stores->lock);
    stores->closing = true;
    (void)pthread_cond_signal(&stores->closed);
    (void)pthread_mutex_unlock(&stores->lock);
    (void)pthread_join(stores->retrier, NULL);
    (void)pthread_cond_destroy(&stores->closed);
    stores->retrier_runs = false;
}
