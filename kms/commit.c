/*
 * The commit protocol. What makes it safe, in one place:
 *
 *   I1  the root file holds the root key of the generation that the key store's meta row names;
 *   I2  its other slot holds the staged key of the next generation, never used;
 *   I3  a staged key seals pages in at most one attempt. After a write that failed, nobody knows what reached the disk; had a
 *       second attempt the same staged key, the torn rows of the first would open for whoever kept them. So the process ends,
 *       and its next start stages a fresh key.
 */
#include "kms/plan.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "kms/custodian_move.h"
#include "kms/mirrors.h"
#include "kms/sweep.h"
#include "kms/walk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- what stops the vault ---- */

void kms_fatal(struct kms *kms, const struct kl_err *err)
{
    atomic_store(&kms->broken, true);
    if (kms->hooks.fatal != NULL) {
        kms->hooks.fatal(kms->hooks.context, err);
        return;
    }
    kl_log_err(KL_LOG_ERROR, "key_store_write_failed", err);
    abort();
}

enum kl_status kms_broken_check(struct kms *kms, struct kl_err *err)
{
    if (!atomic_load(&kms->broken)) {
        return KL_OK;
    }
    return kl_fail(err, KL_ERR_IO, "key_store_broken", "the vault must be started again",
                   "a write to the key store or the root file failed before");
}

/* ---- commits on their way ---- */

static void flight_start(struct kms_flight *flight)
{
    (void)pthread_mutex_lock(&flight->lock);
    flight->count++;
    (void)pthread_mutex_unlock(&flight->lock);
}

static void flight_land(struct kms_flight *flight)
{
    (void)pthread_mutex_lock(&flight->lock);
    flight->count++;
    (void)pthread_cond_broadcast(&flight->landed);
    (void)pthread_mutex_unlock(&flight->lock);
}

uint64_t kms_flight_wait(struct kms_flight *flight)
{
    uint64_t count;

    (void)pthread_mutex_lock(&flight->lock);
    while (flight->count % 2 != 0) {
        (void)pthread_cond_wait(&flight->landed, &flight->lock);
    }
    count = flight->count;
    (void)pthread_mutex_unlock(&flight->lock);
    return count;
}

/* ---- one batch ---- */

/* Rows that each batch has: meta, batch id, root hashes, what the places of the root key add. */
#define BATCH_OTHERS_MAX (3 + KMS_MOVE_ROWS_MAX)

struct batch {
    struct kms_storage_write *writes;
    size_t count;
    unsigned char (*note_keys)[KMS_NOTE_KEY_BYTES];
    unsigned char *notes; /* version byte and note, one after the other */
    unsigned char meta[KMS_META_BYTES];
    unsigned char roots_key[KMS_ROOTS_KEY_BYTES];
    unsigned char roots[KMS_ROOTS_BYTES]; /* version, root hashes */
};

static void batch_done(struct batch *batch)
{
    free(batch->writes);
    free(batch->note_keys);
    free(batch->notes);
}

/* Room for everything that is going to be written, so that nothing can fail once the staged key was used. */
static enum kl_status batch_make(const struct kms_plan *plan, struct kms_request **requests,
                                 size_t count, struct batch *ret_batch, struct kl_err *err)
{
    struct batch batch = {0};
    size_t notes_bytes = 1;

    for (size_t i = 0; i < count; i++) {
        notes_bytes += 1 + requests[i]->note_bytes;
    }
    batch.writes = calloc(plan->copies_count + plan->dead_count + count + BATCH_OTHERS_MAX,
                          sizeof *batch.writes);
    batch.note_keys = calloc(count, sizeof *batch.note_keys);
    batch.notes = malloc(notes_bytes);
    if (batch.writes == NULL || batch.note_keys == NULL || batch.notes == NULL) {
        batch_done(&batch);
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                       "no memory for the batch of a commit");
    }
    *ret_batch = batch;
    return KL_OK;
}

static void batch_put(struct batch *batch, struct kl_slice key, struct kl_slice value)
{
    batch->writes[batch->count++] = (struct kms_storage_write){key, value};
}

/* Trees whose rows are to be swept; the key alone says all. */
static void batch_put_dead(struct batch *batch, const struct kms_plan *plan)
{
    static const unsigned char version[1] = {KMS_FORMAT_VERSION};

    for (size_t i = 0; i < plan->dead_count; i++) {
        batch_put(batch, (struct kl_slice){plan->dead[i].row_key, KMS_DEAD_KEY_BYTES},
                  (struct kl_slice){version, sizeof version});
    }
}

/* The notes say which generation was made; what it was made of and what it became goes with them. */
static void batch_put_notes(struct batch *batch, const struct kms *kms,
                            struct kms_request **requests, size_t count, uint64_t generation)
{
    unsigned char *note = batch->notes;

    for (size_t i = 0; i < count; i++) {
        if (requests[i]->note_bytes == 0) {
            continue;
        }
        kms_note_key(generation, (uint32_t)i, batch->note_keys[i]);
        note[0] = KMS_FORMAT_VERSION;
        memcpy(note + 1, requests[i]->note, requests[i]->note_bytes);
        batch_put(batch, (struct kl_slice){batch->note_keys[i], KMS_NOTE_KEY_BYTES},
                  (struct kl_slice){note, 1 + requests[i]->note_bytes});
        note += 1 + requests[i]->note_bytes;
    }
    if (note != batch->notes) {
        kms_roots_key(generation, batch->roots_key);
        batch->roots[0] = KMS_FORMAT_VERSION;
        memcpy(batch->roots + 1, kms->root_hash, KMS_ROOT_HASH_BYTES);
        batch_put(batch, (struct kl_slice){batch->roots_key, sizeof batch->roots_key},
                  (struct kl_slice){batch->roots, sizeof batch->roots});
    }
}

static void batch_fill(struct batch *batch, const struct kms_plan *plan, struct kms_move *move,
                       struct kms_request **requests, size_t count, const struct kms_meta *meta)
{
    struct kms *kms = plan->kms;

    for (size_t i = 0; i < plan->copies_count; i++) {
        const struct kms_copy *copy = plan->copies[i];
        struct kl_slice value = {copy->row, kms_page_row_bytes(&copy->page.address)};

        if (copy->all_gone) {
            value = (struct kl_slice){NULL, 0};
        }
        batch_put(batch, (struct kl_slice){copy->row_key, sizeof copy->row_key}, value);
    }
    batch_put_dead(batch, plan);
    batch_put_notes(batch, kms, requests, count, meta->generation);
    kms_meta_write(meta, batch->meta);
    batch_put(batch, kms_meta_key, (struct kl_slice){batch->meta, sizeof batch->meta});
    batch->count +=
        move != NULL
            ? kms_move_rows(kms, move, meta->generation, batch->writes + batch->count)
            : kms_root_place_rows(kms->first, meta->generation, batch->writes + batch->count);
}

/* ---- one commit ---- */

/* The commit point, the point of no return, the swap. A failure in here ends the process, or leaves kms broken. */
static enum kl_status attempt(struct kms *kms, struct kms_plan *plan, struct batch *batch,
                              struct kms_move *move, struct kms_request **requests, size_t count,
                              struct kl_err *err)
{
    struct kms_meta meta = {.generation = kms->generation + 1,
                            .created_us = kms->created_us,
                            .root_key_since_us = kl_time_now_us()};
    struct kl_err failure = {0};
    unsigned char *root_hash = NULL;
    enum kl_status status;

    memcpy(meta.store_id, kms->store_id, KMS_STORE_ID_BYTES);
    kms_plan_seal(plan, kl_secret_peek(kms->root.staged), meta.generation);
    root_hash = batch->roots + 1 + KMS_ROOT_HASH_BYTES;
    kms_root_hash(
        kms->store_id, meta.generation,
        (struct kl_slice){plan->copies[0]->row, kms_page_row_bytes(&plan->copies[0]->page.address)},
        root_hash);
    batch_fill(batch, plan, move, requests, count, &meta);
    flight_start(&kms->flight);
    status = kms_rows_apply_room(&kms->rows, batch->writes, batch->count, true, &failure);
    if (status == KL_OK) {
        status = move != NULL ? kms_move_overwrite(kms, move, &failure)
                              : kms_root_overwrite(&kms->root, kms->first, &failure);
    }
    if (status == KL_OK) {
        kms_root_turn(&kms->root);
        if (move != NULL) {
            kms_move_end(kms, move);
        }
        for (size_t i = 0; i < plan->dead_count; i++) {
            kms_sweep_add(kms, plan->dead[i].row_key);
        }
        (void)pthread_rwlock_wrlock(&kms->lock);
        kms_plan_swap(plan);
        kms->generation = meta.generation;
        memcpy(kms->root_hash, root_hash, KMS_ROOT_HASH_BYTES);
        kms->root_key_since_us = meta.root_key_since_us;
        kms->commits++;
        kms->place = kms->first->report;
        (void)pthread_rwlock_unlock(&kms->lock);
    } else {
        kms_fatal(kms, &failure);
        status = kl_fail(err, KL_ERR_IO, "key_store_io", "the vault must be started again", "%s",
                         failure.log_text);
    }
    flight_land(&kms->flight);
    if (status == KL_OK) {
        kms_mirrors_store(kms->mirrors, kms->root.generation + 1, kl_secret_peek(kms->root.staged),
                          kms->root.generation);
    }
    return status;
}

static enum kl_status prepare(struct kms *kms, struct kms_plan *plan, struct kms_request **requests,
                              size_t count, struct kl_err *err)
{
    if (kms->hooks.prepare == NULL) {
        return KL_OK;
    }
    return kms->hooks.prepare(kms->hooks.context, &plan->staged, kms->generation + 1, requests,
                              count, err);
}

static enum kl_status publish_and_finish(struct kms *kms, struct kms_plan *plan,
                                         struct kms_request **requests, size_t count,
                                         struct kl_err *err)
{
    uint64_t generation = kms->generation;
    struct kms_mirrors_tally tally = kms_mirrors_tally(kms->mirrors);
    enum kms_finality finality = kms_mirrors_finality(kms->mirrors, kms->first->report.finality);

    for (size_t i = 0; i < count; i++) {
        requests[i]->ret_generation = generation;
        requests[i]->ret_mirrors_confirmed = tally.in_step;
        requests[i]->ret_mirrors_pending = tally.pending;
        requests[i]->ret_finality = finality;
    }
    if (kms->hooks.publish != NULL) {
        kms->hooks.publish(kms->hooks.context, generation);
    }
    kms_plan_done(plan); /* the staged seeds end here */
    if (kms->hooks.finish == NULL) {
        return KL_OK;
    }
    return kms->hooks.finish(kms->hooks.context, generation, requests, count, err);
}

/* The change of custodian that a request stands for, if it does. */
static struct kms_move *move_of(struct kms *kms, const struct kms_request *request)
{
    struct kms_move *move = atomic_load(&kms->move);

    return move != NULL && move->request == request ? move : NULL;
}

/*
 * ret_planned is set once the plan stands: a failure before it may be the fault of one request, one after it is everybody's.
 */
static enum kl_status commit_once(struct kms *kms, struct kms_request **requests, size_t count,
                                  bool *ret_planned, struct kl_err *err)
{
    struct kms_plan plan = {.kms = kms};
    struct batch batch = {0};
    struct kms_move *move = move_of(kms, requests[0]);
    bool begun = false;
    enum kl_status status = kms_broken_check(kms, err);

    if (status == KL_OK && move == NULL) {
        status = kms_root_place_accept(kms->first, err);
    }
    if (status == KL_OK) {
        status = kms_root_place_ready(kms->first, err);
    }
    if (status == KL_OK) {
        status = kms_mirrors_commit_begin(kms->mirrors, err);
        begun = status == KL_OK;
    }
    *ret_planned = status != KL_OK;
    if (status == KL_OK) {
        status = kms_plan_make(kms, requests, count, &plan, err);
    }
    if (status == KL_OK) {
        status = batch_make(&plan, requests, count, &batch, err);
    }
    if (status == KL_OK) {
        status = kms_root_ready(&kms->root, err);
    }
    if (status != KL_OK) {
        goto out;
    }
    *ret_planned = true;
    status = move != NULL ? kms_move_begin(kms, move, err) : KL_OK;
    if (status == KL_OK) {
        status = prepare(kms, &plan, requests, count, err);
        if (status == KL_OK) {
            status = attempt(kms, &plan, &batch, move, requests, count, err);
        } else if (move != NULL) {
            kms_move_undo(kms, move);
        }
    }
    kms_mirrors_commit_end(kms->mirrors);
    begun = false;
    if (status == KL_OK) {
        status = publish_and_finish(kms, &plan, requests, count, err);
    }

out:
    if (begun) {
        kms_mirrors_commit_end(kms->mirrors);
    }
    batch_done(&batch);
    kms_plan_done(&plan);
    return status;
}

/* ---- the group ---- */

static struct kms_request *request_of(const struct kl_group_item *item)
{
    return item->work;
}

static void items_end(struct kl_group_item **items, size_t count, enum kl_status status,
                      const struct kl_err *err)
{
    for (size_t i = 0; i < count; i++) {
        items[i]->status = status;
        if (status != KL_OK && items[i]->err != NULL) {
            *items[i]->err = *err;
        }
    }
}

/* A slot that is gone cannot get a fresh key: such a request is refused as a whole, alone. */
static enum kl_status rekeys_check(struct kms *kms, const struct kms_request *request,
                                   struct kl_err *err)
{
    enum kl_status status = KL_OK;

    for (size_t i = 0; i < request->changes_count && status == KL_OK; i++) {
        if (request->changes[i].kind == KMS_CHANGE_REKEY) {
            status = kms_walk_check(kms, &request->changes[i].place, err);
        }
    }
    return status;
}

/*
 * Commit them together; what does not fit together, or fails before anything was prepared, in halves: one damaged page or one large
 * request stops no others.
 */
static void commit_items(struct kms *kms, struct kl_group_item **items, size_t count)
{
    struct kms_request **requests = malloc(count * sizeof(struct kms_request *));
    struct kl_err err = {0};
    bool planned = false;
    enum kl_status status;

    if (requests == NULL) {
        status = kl_fail(&err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                         "no memory for the requests of a commit");
    } else {
        for (size_t i = 0; i < count; i++) {
            requests[i] = request_of(items[i]);
        }
        status = commit_once(kms, requests, count, &planned, &err);
    }
    free(requests);
    if (status != KL_OK && !planned && count > 1) {
        commit_items(kms, items, count / 2);
        commit_items(kms, items + count / 2, count - count / 2);
        return;
    }
    items_end(items, count, status, &err);
}

/* Take out of items those that cannot be done at all, and end them. Returns how many are left. */
static size_t sift(struct kms *kms, struct kl_group_item **items, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        struct kl_err err = {0};
        enum kl_status status = rekeys_check(kms, request_of(items[i]), &err);

        if (status == KL_OK) {
            items[kept++] = items[i];
        } else {
            items_end(&items[i], 1, status, &err);
        }
    }
    return kept;
}

static size_t changes_of(const struct kms_request *request)
{
    return request->changes_count + request->ranges_count;
}

/* A change of custodian is a commit of its own. */
static bool fits(struct kms *kms, struct kl_group_item **items, size_t first, size_t next,
                 size_t changes)
{
    return changes + changes_of(request_of(items[next])) <= KMS_CHANGES_MAX &&
           move_of(kms, request_of(items[first])) == NULL &&
           move_of(kms, request_of(items[next])) == NULL;
}

void kms_commit_work(void *context, struct kl_group_item **items, size_t count)
{
    struct kms *kms = context;
    size_t first = 0;

    while (first < count) {
        size_t changes = 0;
        size_t end = first;

        while (end < count && (end == first || fits(kms, items, first, end, changes))) {
            changes += changes_of(request_of(items[end]));
            end++;
        }
        {
            size_t kept = sift(kms, items + first, end - first);

            if (kept > 0) {
                commit_items(kms, items + first, kept);
            }
        }
        first = end;
    }
    kms_sweep(kms);
}

static enum kl_status request_check(const struct kms_request *request, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (request->note_bytes > KMS_NOTE_MAX_BYTES ||
        (request->note_bytes > 0 && request->note == NULL)) {
        return kl_fail(err, KL_ERR_INVALID, "key_note_too_large",
                       "the note of a commit is too large", NULL);
    }
    if (request->changes_count > KMS_CHANGES_MAX || request->ranges_count > KMS_CHANGES_MAX) {
        return kl_failf(err, KL_ERR_INVALID, "key_changes_too_many",
                        "at most %d keys can be changed at once", KMS_CHANGES_MAX);
    }
    status = kms_ranges_check(request->ranges, request->ranges_count, err);
    return status == KL_OK ? kms_changes_check(request->changes, request->changes_count, err)
                           : status;
}

enum kl_status kms_commit_own(struct kms *kms, struct kms_request *request, struct kl_err *err)
{
    struct kl_err failure = {0};
    struct kl_group_item item = {.work = request, .err = &failure};
    enum kl_status status = kl_group_submit(kms->group, &item);

    if (status != KL_OK && err != NULL) {
        *err = failure;
    }
    return status;
}

enum kl_status kms_commit(struct kms *kms, struct kms_request *request, struct kl_err *err)
{
    enum kl_status status = request_check(request, err);

    return status == KL_OK ? kms_commit_own(kms, request, err) : status;
}
