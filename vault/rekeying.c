#include "vault/rekeying.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct vault_rekeying {
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t ended;
    uint64_t tenant;
    uint64_t slots[VAULT_REKEYING_MAX];
    size_t count;
    uint64_t times; /* how many have ended */
};

struct vault_rekeying *vault_rekeying_new(void)
{
    struct vault_rekeying *rekeying = calloc(1, sizeof *rekeying);

    if (rekeying == NULL) {
        return NULL;
    }
    if (pthread_mutex_init(&rekeying->lock, NULL) != 0) {
        free(rekeying);
        return NULL;
    }
    if (pthread_cond_init(&rekeying->ended, NULL) != 0) {
        (void)pthread_mutex_destroy(&rekeying->lock);
        free(rekeying);
        return NULL;
    }
    return rekeying;
}

void vault_rekeying_free(struct vault_rekeying *rekeying)
{
    if (rekeying != NULL) {
        (void)pthread_cond_destroy(&rekeying->ended);
        (void)pthread_mutex_destroy(&rekeying->lock);
        free(rekeying);
    }
}

void vault_rekeying_begin(struct vault *vault, uint64_t tenant, const uint64_t *slots, size_t count)
{
    struct vault_rekeying *rekeying = vault->rekeying;

    assert(count >= 1 && count <= VAULT_REKEYING_MAX);
    (void)pthread_mutex_lock(&rekeying->lock);
    assert(rekeying->count == 0);
    rekeying->tenant = tenant;
    rekeying->count = count;
    memcpy(rekeying->slots, slots, count * sizeof *slots);
    (void)pthread_mutex_unlock(&rekeying->lock);
}

void vault_rekeying_end(struct vault *vault)
{
    struct vault_rekeying *rekeying = vault->rekeying;

    (void)pthread_mutex_lock(&rekeying->lock);
    rekeying->count = 0;
    rekeying->times++;
    (void)pthread_cond_broadcast(&rekeying->ended);
    (void)pthread_mutex_unlock(&rekeying->lock);
}

uint64_t vault_rekeying_now(struct vault *vault)
{
    uint64_t times = 0;

    if (vault->rekeying != NULL) {
        (void)pthread_mutex_lock(&vault->rekeying->lock);
        times = vault->rekeying->times;
        (void)pthread_mutex_unlock(&vault->rekeying->lock);
    }
    return times;
}

/* The lock is held. */
static bool is_under_way(const struct vault_rekeying *rekeying, uint64_t tenant, uint64_t slot)
{
    size_t i;

    for (i = 0; i < rekeying->count; i++) {
        if (rekeying->tenant == tenant && rekeying->slots[i] == slot) {
            return true;
        }
    }
    return false;
}

bool vault_rekeying_again(struct vault *vault, uint64_t tenant, uint64_t slot, uint64_t *seen)
{
    struct vault_rekeying *rekeying = vault->rekeying;
    struct timespec until;
    bool again = false;
    int waited = 0;

    if (rekeying == NULL) {
        return false;
    }
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += VAULT_REKEYING_WAIT_MS / 1000;
    (void)pthread_mutex_lock(&rekeying->lock);
    while (waited != ETIMEDOUT && is_under_way(rekeying, tenant, slot)) {
        waited = pthread_cond_timedwait(&rekeying->ended, &rekeying->lock, &until);
    }
    again = rekeying->times != *seen;
    *seen = rekeying->times;
    (void)pthread_mutex_unlock(&rekeying->lock);
    return again;
}
