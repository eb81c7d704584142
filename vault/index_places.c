/*
 * What an erasure holds: the places of the buckets that name somebody, kept
 * the right ones until the erasure is over.
 *
 * A tag is held before its bucket is looked for. The leader begins no split of
 * a bucket with a held tag, and a split that had begun is waited for; so what
 * is found afterwards stays. Slots of split buckets on the way down are given
 * too: rows from before the split lie on in old files, under those keys.
 */
#include "vault/index_internal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define PLACES_FIRST 64

static struct vault_index_held **held_list(struct vault_index_store *index,
                                           const unsigned char tag[VAULT_TAG_BYTES])
{
    return &index->held[tag[VAULT_TAG_BYTES - 1] % VAULT_INDEX_HELD_LISTS];
}

static bool holds_any_of(const struct vault_index_store *index,
                         const struct vault_bucket_address *at)
{
    for (size_t i = 0; i < VAULT_INDEX_HELD_LISTS; i++) {
        for (const struct vault_index_held *held = index->held[i]; held != NULL;
             held = held->next) {
            if (held->tenant == at->tenant && vault_bucket_covers(at, vault_tag_bits(held->tag))) {
                return true;
            }
        }
    }
    return false;
}

bool vault_index_split_begin(struct vault_index_store *index, const struct vault_bucket_address *at)
{
    pthread_mutex_lock(&index->lock);
    bool free_to_split = !holds_any_of(index, at);
    if (free_to_split && index->split_count == index->split_capacity) {
        size_t capacity = index->split_capacity == 0 ? 16 : index->split_capacity * 2;
        void *splits = realloc(index->splits, capacity * sizeof(*index->splits));
        if (splits != NULL) {
            index->splits = splits;
            index->split_capacity = capacity;
        } else {
            free_to_split = false; /* it can be split another time */
        }
    }
    if (free_to_split) {
        index->splits[index->split_count++] = *at;
    }
    pthread_mutex_unlock(&index->lock);
    return free_to_split;
}

void vault_index_splits_end(struct vault_index_store *index)
{
    pthread_mutex_lock(&index->lock);
    index->split_count = 0;
    pthread_cond_broadcast(&index->changed);
    pthread_mutex_unlock(&index->lock);
}

static bool is_splitting(const struct vault_index_store *index, uint64_t tenant, uint64_t tag_bits)
{
    for (size_t i = 0; i < index->split_count; i++) {
        if (index->splits[i].tenant == tenant && vault_bucket_covers(&index->splits[i], tag_bits)) {
            return true;
        }
    }
    return false;
}

static void hold(struct vault_index_store *index, struct vault_index_held *held)
{
    pthread_mutex_lock(&index->lock);
    struct vault_index_held **list = held_list(index, held->tag);
    held->next = *list;
    *list = held;
    while (is_splitting(index, held->tenant, vault_tag_bits(held->tag))) {
        pthread_cond_wait(&index->changed, &index->lock);
    }
    pthread_mutex_unlock(&index->lock);
}

void vault_index_release(struct vault_index_store *index, uint64_t tenant,
                         const struct vault_index_entry *entries, size_t count)
{
    pthread_mutex_lock(&index->lock);
    for (size_t i = 0; i < count; i++) {
        struct vault_index_held **link = held_list(index, entries[i].tag);
        while (*link != NULL &&
               ((*link)->owner != entries || (*link)->tenant != tenant ||
                sodium_memcmp((*link)->tag, entries[i].tag, VAULT_TAG_BYTES) != 0)) {
            link = &(*link)->next;
        }
        if (*link != NULL) {
            struct vault_index_held *held = *link;
            *link = held->next;
            free(held);
        }
    }
    pthread_mutex_unlock(&index->lock);
}

/* Go down from the top to the leaf of a held tag, noting the slots on the way; in clear, nothing is opened. */
static enum kl_status walk(struct vault_iter *iter, uint32_t epoch, struct vault_index_held *held,
                           struct kl_err *err)
{
    uint64_t tag_bits = vault_tag_bits(held->tag);
    for (uint8_t depth = 0; depth <= VAULT_BUCKET_DEPTH_MAX; depth++) {
        struct vault_bucket_address at = vault_bucket_address(held->tenant, epoch, depth, tag_bits);
        struct kl_slice value = {NULL, 0};
        uint32_t version = 0;
        uint8_t seq = 0;
        bool there = vault_bucket_first(iter, &at, &version, &seq, &value);
        while (there && seq != 0) {
            there = vault_bucket_next(iter, &at, &version, &seq, &value);
        }
        if (!there) {
            return vault_iter_status(iter, err); /* an empty leaf */
        }
        if (value.size < 8) {
            return kl_fail(err, KL_ERR_CORRUPT, "index_bucket_corrupt", "the index is damaged",
                           "bucket: a row without its slot");
        }
        uint64_t slot = kl_get_u64be(value.bytes);
        if (slot != 0) {
            held->places[held->place_count++] =
                (struct vault_index_held_place){.at = at, .slot = slot, .split = version == 0};
        }
        if (version != 0) {
            return KL_OK;
        }
    }
    return kl_fail(err, KL_ERR_CORRUPT, "index_bucket_corrupt", "the index is damaged",
                   "bucket: split past the last bit");
}

/* A growing list of slots. */
struct slots {
    uint64_t *numbers;
    size_t count;
    size_t capacity;
};

static enum kl_status slots_add(struct slots *slots, uint64_t number, struct kl_err *err)
{
    if (slots->count == slots->capacity) {
        size_t capacity = slots->capacity == 0 ? PLACES_FIRST : slots->capacity * 2;
        uint64_t *numbers = realloc(slots->numbers, capacity * sizeof(*numbers));
        if (numbers == NULL) {
            return vault_index_no_memory(err);
        }
        slots->numbers = numbers;
        slots->capacity = capacity;
    }
    slots->numbers[slots->count++] = number;
    return KL_OK;
}

static int slot_compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right ? 1 : 0;
}

static enum kl_status slots_to_places(struct slots *slots, uint64_t tenant,
                                      struct kms_place *ret_places, size_t max, size_t *ret_count,
                                      struct kl_err *err)
{
    size_t distinct = 0;
    if (slots->count > 0) {
        qsort(slots->numbers, slots->count, sizeof(*slots->numbers), slot_compare);
    }
    for (size_t i = 0; i < slots->count; i++) {
        if (i == 0 || slots->numbers[i] != slots->numbers[i - 1]) {
            slots->numbers[distinct++] = slots->numbers[i];
        }
    }
    if (distinct > max) {
        return kl_fail(err, KL_ERR_TOO_LARGE, "index_places_too_many",
                       "too many index entries for one erasure", NULL);
    }
    for (size_t i = 0; i < distinct; i++) {
        ret_places[i] = (struct kms_place){
            .tenant = tenant, .slot = slots->numbers[i], .value = KMS_VALUE_NONE};
    }
    *ret_count = distinct;
    return KL_OK;
}

/*
 * The epoch that an entry's tag is for. One that was being built and was given up has nothing in it, one that was in use before is still
 * there until the sweep has been: no harm in either.
 */
static uint32_t epoch_of(const struct vault_index_entry *entry,
                         const struct vault_index_epochs *epochs)
{
    return entry->made_for == 0 ? epochs->epoch : entry->made_for - 1;
}

/* Hold one tag for owner and find its places. Once *ret_held is set, it is in the list of what is held. */
static enum kl_status hold_and_walk(struct vault_index_store *index, uint64_t tenant,
                                    const struct vault_index_entry *owner,
                                    const struct vault_index_entry *entry, bool *ret_held,
                                    struct slots *slots, struct kl_err *err)
{
    struct vault_index_epochs epochs = {.epoch = 0};
    struct vault_index_held found = {.tenant = tenant};
    struct vault_index_held *held = calloc(1, sizeof(*held));
    if (held == NULL) {
        return vault_index_no_memory(err);
    }
    held->owner = owner;
    held->tenant = tenant;
    memcpy(held->tag, entry->tag, VAULT_TAG_BYTES);
    hold(index, held);
    *ret_held = true;
    memcpy(found.tag, entry->tag, VAULT_TAG_BYTES);
    enum kl_status status = vault_index_epochs(index, tenant, &epochs, err);
    if (status != KL_OK) {
        return status;
    }
    uint32_t epoch = epoch_of(entry, &epochs);
    struct vault_iter *iter = vault_bucket_iter(index->store, tenant, epoch);
    if (iter == NULL) {
        return vault_index_no_memory(err);
    }
    status = walk(iter, epoch, &found, err);
    vault_iter_free(iter);
    for (size_t i = 0; status == KL_OK && i < found.place_count; i++) {
        status = slots_add(slots, found.places[i].slot, err);
    }
    pthread_mutex_lock(&index->lock);
    memcpy(held->places, found.places, found.place_count * sizeof(found.places[0]));
    held->place_count = found.place_count;
    pthread_mutex_unlock(&index->lock);
    return status;
}

enum kl_status vault_index_places(struct vault_index_store *index, uint64_t tenant,
                                  const struct vault_index_entry *entries, size_t count,
                                  struct kms_place *ret_places, size_t max, size_t *ret_count,
                                  struct kl_err *err)
{
    struct slots slots = {.numbers = NULL};
    enum kl_status status = KL_OK;
    size_t held = 0;
    for (size_t i = 0; status == KL_OK && i < count; i++) {
        bool holds = false;
        status = hold_and_walk(index, tenant, entries, &entries[i], &holds, &slots, err);
        held += holds ? 1 : 0;
    }
    if (status == KL_OK) {
        status = slots_to_places(&slots, tenant, ret_places, max, ret_count, err);
    }
    if (status != KL_OK) {
        vault_index_release(index, tenant, entries, held);
    }
    free(slots.numbers);
    return status;
}
