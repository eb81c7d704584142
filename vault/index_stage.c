/*
 * New versions of rekeyed buckets. The leader writes them beside the old
 * ones before the key commit; while that is under way every change goes to
 * both; then the keys say which one counts, whatever happened in between.
 */
#include "vault/index_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- looking things up in the staging; the leader's thread ---- */

static int place_compare(const void *a, const void *b)
{
    const struct kms_place *left = a;
    const struct kms_place *right = b;
    if (left->tenant != right->tenant) {
        return left->tenant < right->tenant ? -1 : 1;
    }
    if (left->slot != right->slot) {
        return left->slot < right->slot ? -1 : 1;
    }
    return left->value < right->value ? -1 : left->value > right->value ? 1 : 0;
}

static int staged_compare(const void *a, const void *b)
{
    const struct vault_index_staged_bucket *left = a;
    const struct vault_index_staged_bucket *right = b;
    return vault_bucket_address_compare(&left->at, &right->at);
}

static bool dying_find(const struct vault_index_staging *staging, struct kms_place place)
{
    return bsearch(&place, staging->dying, staging->dying_count, sizeof(place), place_compare) !=
           NULL;
}

bool vault_index_is_dying(const struct vault_index_store *index, uint64_t tenant,
                          const struct vault_index_entry *entry)
{
    const struct vault_index_staging *staging = &index->staging;
    struct kms_place whole = {tenant, entry->slot, KMS_VALUE_NONE};
    struct kms_place one = {tenant, entry->slot, entry->discriminator};
    return staging->dying_count > 0 && (dying_find(staging, whole) || dying_find(staging, one));
}

uint32_t vault_index_staged_version(struct vault_index_store *index,
                                    const struct vault_bucket_address *at, uint64_t *ret_attempt)
{
    struct vault_index_staging *staging = &index->staging;
    pthread_mutex_lock(&index->lock);
    bool active = staging->state == VAULT_INDEX_STAGING_ACTIVE;
    pthread_mutex_unlock(&index->lock);
    if (!active || staging->bucket_count == 0) {
        return 0;
    }
    struct vault_index_staged_bucket wanted = {.at = *at};
    const struct vault_index_staged_bucket *found =
        bsearch(&wanted, staging->buckets, staging->bucket_count, sizeof(wanted), staged_compare);
    *ret_attempt = staging->attempt;
    return found == NULL ? 0 : found->version;
}

/* The staged version counts now: it is the same without the entries of the dying. */
static void work_take_staged(const struct vault_index_store *index, struct vault_bucket_work *work)
{
    struct vault_bucket *content = &work->rows.content;
    size_t kept = 0;
    for (size_t i = 0; i < content->count; i++) {
        if (!vault_index_is_dying(index, work->at.tenant, &content->entries[i])) {
            content->entries[kept++] = content->entries[i];
        }
    }
    content->count = kept;
    work->rows.version = work->staged_version;
    work->rows.deltas = work->staged_deltas;
    work->staged_version = 0;
}

struct kms_staged *vault_index_staged_enter(struct vault_index_store *index,
                                            struct vault_bucket_work *work)
{
    struct vault_index_staging *staging = &index->staging;
    struct kms_staged *keys = NULL;
    if (work->staged_version == 0) {
        return NULL;
    }
    pthread_mutex_lock(&index->lock);
    enum vault_index_staging_state state = staging->state;
    if (work->attempt == staging->attempt && state == VAULT_INDEX_STAGING_ACTIVE) {
        keys = staging->keys;
        staging->users++;
    }
    pthread_mutex_unlock(&index->lock);
    if (keys != NULL) {
        return keys;
    }
    if (work->attempt == staging->attempt && state == VAULT_INDEX_STAGING_PUBLISHED) {
        work_take_staged(index, work);
    }
    work->staged_version = 0;
    return NULL;
}

void vault_index_staged_leave(struct vault_index_store *index)
{
    pthread_mutex_lock(&index->lock);
    assert(index->staging.users > 0);
    index->staging.users--;
    pthread_cond_broadcast(&index->changed);
    pthread_mutex_unlock(&index->lock);
}

/* ---- staging ---- */

/* The places that were given out, sorted by tenant and slot, as of now. */
struct held_places {
    struct vault_index_held_place *places;
    size_t count;
};

static int held_compare(const void *a, const void *b)
{
    const struct vault_index_held_place *left = a;
    const struct vault_index_held_place *right = b;
    if (left->at.tenant != right->at.tenant) {
        return left->at.tenant < right->at.tenant ? -1 : 1;
    }
    return left->slot < right->slot ? -1 : left->slot > right->slot ? 1 : 0;
}

/* Under the lock. With room NULL they are only counted. */
static size_t held_copy(const struct vault_index_store *index, struct vault_index_held_place *room)
{
    size_t count = 0;
    for (size_t i = 0; i < VAULT_INDEX_HELD_LISTS; i++) {
        for (const struct vault_index_held *held = index->held[i]; held != NULL;
             held = held->next) {
            if (room != NULL && held->place_count > 0) {
                memcpy(room + count, held->places, held->place_count * sizeof(*room));
            }
            count += held->place_count;
        }
    }
    return count;
}

static enum kl_status held_places(struct vault_index_store *index, struct held_places *ret,
                                  struct kl_err *err)
{
    pthread_mutex_lock(&index->lock);
    size_t count = held_copy(index, NULL);
    struct vault_index_held_place *places = calloc(count + 1, sizeof(*places));
    if (places != NULL) {
        held_copy(index, places);
    }
    pthread_mutex_unlock(&index->lock);
    if (places == NULL) {
        return vault_index_no_memory(err);
    }
    qsort(places, count, sizeof(*places), held_compare);
    *ret = (struct held_places){.places = places, .count = count};
    return KL_OK;
}

static const struct vault_index_held_place *held_find(const struct held_places *held,
                                                      const struct kms_place *place)
{
    struct vault_index_held_place wanted = {.at = {.tenant = place->tenant}, .slot = place->slot};
    if (place->value != KMS_VALUE_NONE) {
        return NULL;
    }
    return bsearch(&wanted, held->places, held->count, sizeof(wanted), held_compare);
}

/* Write a bucket's next version without the dying, under its coming key. */
static enum kl_status stage_leaf(struct vault_index_call *call, struct kms_staged *keys,
                                 const struct vault_index_held_place *place, uint32_t *ret_version,
                                 struct kl_err *err)
{
    struct vault_bucket_sealer soon = {.keys = call->index->keys, .staged = keys};
    struct vault_bucket_work *work = NULL;
    enum kl_status status = vault_index_call_work(call, &place->at, &work, err);
    if (status != KL_OK) {
        return status;
    }
    if (work->rows.state != VAULT_BUCKET_LEAF || work->rows.slot != place->slot) {
        return kl_fail(err, KL_ERR_INTERNAL, "internal", "the server made a mistake",
                       "index: a held bucket is not where it was");
    }
    if (work->rows.highest == UINT32_MAX) {
        return kl_fail(err, KL_ERR_TOO_LARGE, "index_versions_out", "the index must be rebuilt",
                       "index: a bucket has no version number left");
    }
    uint32_t version = work->rows.highest + 1;
    status = vault_index_put_base(call, &soon, work, version, true, err);
    if (status == KL_OK) {
        work->rows.highest = version;
        work->staged_version = version;
        work->staged_deltas = 0;
        work->attempt = call->index->staging.attempt;
        *ret_version = version;
    }
    return status;
}

static enum kl_status stage_place(struct vault_index_call *call, struct kms_staged *keys,
                                  const struct vault_index_held_place *place, struct kl_err *err)
{
    struct vault_index_staging *staging = &call->index->staging;
    struct vault_index_staged_bucket *bucket = &staging->buckets[staging->bucket_count];
    enum kl_status status = KL_OK;
    *bucket = (struct vault_index_staged_bucket){.at = place->at};
    if (call->tenant != place->at.tenant) {
        vault_iter_free(call->iter); /* it reads one tenant's index */
        call->iter = NULL;
        call->tenant = place->at.tenant;
    }
    if (!place->split) {
        status = stage_leaf(call, keys, place, &bucket->version, err);
    }
    staging->bucket_count++;
    return status;
}

static enum kl_status stage_places(struct vault_index_call *call, struct kms_staged *keys,
                                   const struct kms_place *places, size_t count, struct kl_err *err)
{
    struct held_places held = {.places = NULL};
    enum kl_status status = held_places(call->index, &held, err);
    for (size_t i = 0; status == KL_OK && i < count; i++) {
        const struct vault_index_held_place *place = held_find(&held, &places[i]);
        if (place != NULL) {
            status = stage_place(call, keys, place, err);
        }
    }
    free(held.places);
    return status;
}

void vault_index_staging_done(struct vault_index_store *index)
{
    free(index->staging.buckets);
    free(index->staging.dying);
    index->staging.buckets = NULL;
    index->staging.bucket_count = 0;
    index->staging.dying = NULL;
    index->staging.dying_count = 0;
}

/* Bring what this group has at hand in line with how the staging before went, and make room for the next. */
static enum kl_status staging_begin(struct vault_index_store *index, const struct kms_place *dying,
                                    size_t dying_count, size_t place_count, struct kl_err *err)
{
    struct vault_index_staging *staging = &index->staging;
    vault_index_published(index,
                          false); /* in case it was left open: a new one means that it failed */
    for (size_t i = 0; i < index->group.cell_count; i++) {
        if (index->group.cells[i] != NULL) {
            struct kms_staged *keys = vault_index_staged_enter(index, index->group.cells[i]);
            assert(keys == NULL);
        }
    }
    vault_index_staging_done(index);
    staging->attempt++;
    staging->buckets = calloc(place_count + 1, sizeof(*staging->buckets));
    staging->dying = calloc(dying_count + 1, sizeof(*staging->dying));
    if (staging->buckets == NULL || staging->dying == NULL) {
        return vault_index_no_memory(err);
    }
    staging->dying_count = dying_count;
    if (dying_count > 0) {
        memcpy(staging->dying, dying, dying_count * sizeof(*dying));
    }
    qsort(staging->dying, staging->dying_count, sizeof(*staging->dying), place_compare);
    return KL_OK;
}

enum kl_status vault_index_stage(struct vault_index_store *index, struct kms_staged *staged,
                                 const struct kms_place *dying, size_t dying_count,
                                 struct vault_batch *batch, struct kl_err *err)
{
    struct vault_index_staging *staging = &index->staging;
    struct vault_index_call call;
    const struct kms_place *places = NULL;
    size_t count = kms_staged_rekeyed(staged, &places);
    enum kl_status status = vault_index_call_begin(&call, index, 0, err);
    if (status == KL_OK) {
        status = staging_begin(index, dying, dying_count, count, err);
    }
    if (status == KL_OK) {
        status = stage_places(&call, staged, places, count, err);
    }
    if (status == KL_OK) {
        status = vault_index_call_keep(&call, batch, err);
    }
    vault_index_call_end(&call);
    if (status != KL_OK) {
        vault_index_staging_done(index);
        return status;
    }
    qsort(staging->buckets, staging->bucket_count, sizeof(*staging->buckets), staged_compare);
    pthread_mutex_lock(&index->lock);
    staging->keys = staged;
    staging->state = VAULT_INDEX_STAGING_ACTIVE;
    pthread_mutex_unlock(&index->lock);
    return KL_OK;
}

/* Note rows to remove later; without memory, or past the maximum, they stay: that costs space only. Under the lock. */
static void tidy_note(struct vault_index_store *index,
                      const struct vault_index_staged_bucket *bucket, bool counts)
{
    if (index->tidy_count >= VAULT_INDEX_TIDY_MAX || (bucket->version == 0 && !counts)) {
        return;
    }
    struct vault_index_tidy *tidy = calloc(1, sizeof(*tidy));
    if (tidy == NULL) {
        return;
    }
    tidy->at = bucket->at;
    if (counts) {
        tidy->below = bucket->version;
    } else {
        tidy->exact = bucket->version;
    }
    tidy->next = index->tidy;
    index->tidy = tidy;
    index->tidy_count++;
}

void vault_index_published(struct vault_index_store *index, bool ok)
{
    struct vault_index_staging *staging = &index->staging;
    pthread_mutex_lock(&index->lock);
    if (staging->state == VAULT_INDEX_STAGING_ACTIVE) {
        staging->state = ok ? VAULT_INDEX_STAGING_PUBLISHED : VAULT_INDEX_STAGING_GIVEN_UP;
        while (staging->users > 0) {
            pthread_cond_wait(&index->changed, &index->lock);
        }
        staging->keys = NULL;
        for (size_t i = 0; i < staging->bucket_count; i++) {
            tidy_note(index, &staging->buckets[i], ok);
        }
    }
    pthread_mutex_unlock(&index->lock);
}

/* ---- tidying ---- */

static enum kl_status tidy_one(struct vault_index_store *index, const struct vault_index_tidy *tidy,
                               struct vault_batch *batch, struct kl_err *err)
{
    struct vault_index_tenant *known = NULL;
    struct vault_index_epochs epochs = {.epoch = 0};
    uint32_t version = 0;
    uint8_t seq = 0;
    struct kl_slice value;
    enum kl_status status = vault_index_leader_epochs(index, tidy->at.tenant, &known, &epochs, err);
    if (status != KL_OK || (tidy->at.epoch != epochs.epoch &&
                            (epochs.next_epoch == 0 || tidy->at.epoch != epochs.next_epoch))) {
        return status; /* of an old epoch: the sweep takes all of it */
    }
    if (tidy->below == 0 && tidy->exact == 0) {
        vault_bucket_put_split(&tidy->at, 0, batch);
        return KL_OK;
    }
    struct vault_iter *iter = vault_bucket_iter(index->store, tidy->at.tenant, tidy->at.epoch);
    if (iter == NULL) {
        return vault_index_no_memory(err);
    }
    for (bool more = vault_bucket_first(iter, &tidy->at, &version, &seq, &value); more;
         more = vault_bucket_next(iter, &tidy->at, &version, &seq, &value)) {
        if (version != 0 && (version < tidy->below || version == tidy->exact)) {
            struct vault_row_key key = vault_bucket_key(&tidy->at, version, seq);
            vault_batch_remove(batch, vault_row_slice(&key));
        }
    }
    status = vault_iter_status(iter, err);
    vault_iter_free(iter);
    return status;
}

enum kl_status vault_index_tidy(struct vault_index_store *index, struct vault_batch *batch,
                                struct kl_err *err)
{
    enum kl_status status = KL_OK;
    pthread_mutex_lock(&index->lock);
    struct vault_index_tidy *list = index->tidy;
    index->tidy = NULL;
    index->tidy_count = 0;
    pthread_mutex_unlock(&index->lock);
    while (list != NULL) {
        struct vault_index_tidy *next = list->next;
        if (status == KL_OK) {
            status = tidy_one(index, list, batch, err);
        }
        free(list);
        list = next;
    }
    return status;
}
