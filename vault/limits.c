/* Counts over a sliding window, in a table of sets of places; a key fits the places of one set. */
#include "vault/limits.h"

#include "kluis/base/encode.h"
#include "kluis/base/time.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define WAYS 8
/* The part that is going on, and as many whole ones as a window has. */
#define COUNTS (VAULT_LIMIT_PARTS + 1)

/* A place is free when part_us is 0. counts[part % COUNTS], of parts newest - COUNTS + 1 .. newest. */
struct place {
    struct vault_limit_key key;
    int64_t part_us;
    int64_t newest;
    uint32_t counts[COUNTS];
};

struct vault_limits {
    pthread_mutex_t lock; /* guards places */
    unsigned char hash_key[crypto_generichash_KEYBYTES];
    size_t sets;
    struct place places[];
};

struct vault_limits *vault_limits_new(size_t places)
{
    struct vault_limits *limits = NULL;

    assert(places > 0 && places % WAYS == 0);
    limits = calloc(1, sizeof *limits + places * sizeof(struct place));
    if (limits == NULL) {
        return NULL;
    }
    if (pthread_mutex_init(&limits->lock, NULL) != 0) {
        free(limits);
        return NULL;
    }
    limits->sets = places / WAYS;
    randombytes_buf(limits->hash_key, sizeof limits->hash_key);
    return limits;
}

void vault_limits_free(struct vault_limits *limits)
{
    if (limits != NULL) {
        (void)pthread_mutex_destroy(&limits->lock);
        sodium_memzero(limits->hash_key, sizeof limits->hash_key);
        free(limits);
    }
}

struct vault_limit_key vault_limits_key(const struct vault_limits *limits, struct kl_slice name)
{
    struct vault_limit_key key;

    crypto_generichash(key.bytes, sizeof key.bytes, name.bytes, name.size, limits->hash_key,
                       sizeof limits->hash_key);
    return key;
}

/* ---- one place ---- */

static int64_t part_us_of(const struct vault_limit *limit)
{
    assert(limit->max > 0 && limit->window_s > 0 && limit->window_s % VAULT_LIMIT_PARTS == 0);
    return (int64_t)(limit->window_s / VAULT_LIMIT_PARTS) * KL_TIME_SECOND_US;
}

/* Forget the parts that are behind the window. */
static void go_on(struct place *place, int64_t now_us)
{
    const int64_t part = now_us / place->part_us;

    if (part - place->newest >= COUNTS) {
        memset(place->counts, 0, sizeof place->counts);
        place->newest = part;
    }
    while (place->newest < part) {
        place->counts[++place->newest % COUNTS] = 0;
    }
}

static uint64_t total(const struct place *place)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < COUNTS; i++) {
        sum += place->counts[i];
    }
    return sum;
}

/* The key's place; NULL when it has none. */
static struct place *find(struct vault_limits *limits, const struct vault_limit_key *key,
                          int64_t now_us)
{
    struct place *set = &limits->places[kl_get_u64be(key->bytes) % limits->sets * WAYS];

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].part_us != 0 && sodium_memcmp(&set[i].key, key, sizeof *key) == 0) {
            go_on(&set[i], now_us);
            return &set[i];
        }
    }
    return NULL;
}

/* A place for a key that has none: a free one, or that of the smallest count. */
static struct place *make(struct vault_limits *limits, const struct vault_limit_item *item,
                          int64_t now_us)
{
    struct place *set = &limits->places[kl_get_u64be(item->key.bytes) % limits->sets * WAYS];
    struct place *chosen = NULL;
    uint64_t smallest = UINT64_MAX;

    for (size_t i = 0; i < WAYS && smallest > 0; i++) {
        uint64_t sum = 0;

        if (set[i].part_us != 0) {
            go_on(&set[i], now_us);
            sum = total(&set[i]);
        }
        if (sum < smallest) {
            smallest = sum;
            chosen = &set[i];
        }
    }
    memset(chosen, 0, sizeof *chosen);
    chosen->key = item->key;
    chosen->part_us = part_us_of(&item->limit);
    chosen->newest = now_us / chosen->part_us;
    return chosen;
}

/* Seconds until enough of the oldest parts are behind the window; 0: there is room now. */
static uint32_t wait_s(const struct place *place, const struct vault_limit *limit, int64_t now_us)
{
    uint64_t sum = total(place);
    int64_t part = place->newest - COUNTS + 1;
    int64_t left_us = 0;

    if (sum < limit->max) {
        return 0;
    }
    for (; part <= place->newest && sum >= limit->max; part++) {
        if (part >= 0) {
            sum -= place->counts[part % COUNTS];
        }
    }
    left_us = (part - 1 + COUNTS) * place->part_us - now_us;
    return left_us <= 0 ? 1 : (uint32_t)((left_us + KL_TIME_SECOND_US - 1) / KL_TIME_SECOND_US);
}

/* ---- calls ---- */

static uint32_t wait_of(struct vault_limits *limits, const struct vault_limit_item *item,
                        int64_t now_us)
{
    const struct place *place = find(limits, &item->key, now_us);

    return place == NULL ? 0 : wait_s(place, &item->limit, now_us);
}

bool vault_limits_take(struct vault_limits *limits, const struct vault_limit_item *items,
                       size_t count, int64_t now_us, uint32_t *ret_wait_s)
{
    uint32_t wait = 0;

    (void)pthread_mutex_lock(&limits->lock);
    for (size_t i = 0; i < count; i++) {
        const uint32_t of_item = wait_of(limits, &items[i], now_us);

        wait = of_item > wait ? of_item : wait;
    }
    for (size_t i = 0; wait == 0 && i < count; i++) {
        struct place *place = find(limits, &items[i].key, now_us);

        place = place == NULL ? make(limits, &items[i], now_us) : place;
        place->counts[place->newest % COUNTS]++;
    }
    (void)pthread_mutex_unlock(&limits->lock);
    if (wait > 0) {
        *ret_wait_s = wait;
    }
    return wait == 0;
}

void vault_limits_give(struct vault_limits *limits, const struct vault_limit_item *item,
                       int64_t now_us)
{
    struct place *place = NULL;

    (void)pthread_mutex_lock(&limits->lock);
    place = find(limits, &item->key, now_us);
    for (int64_t part = place == NULL ? -1 : place->newest;
         part >= 0 && part > place->newest - COUNTS; part--) {
        if (place->counts[part % COUNTS] > 0) {
            place->counts[part % COUNTS]--;
            break;
        }
    }
    (void)pthread_mutex_unlock(&limits->lock);
}

bool vault_limits_is_full(struct vault_limits *limits, const struct vault_limit_item *item,
                          int64_t now_us, uint32_t *ret_wait_s)
{
    uint32_t wait = 0;

    (void)pthread_mutex_lock(&limits->lock);
    wait = wait_of(limits, item, now_us);
    (void)pthread_mutex_unlock(&limits->lock);
    if (wait > 0) {
        *ret_wait_s = wait;
    }
    return wait > 0;
}
