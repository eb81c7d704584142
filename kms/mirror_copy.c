/*
 * The rows of a mirror are brought up to date on its own thread, while batches go on.
 *
 * The rows of both stores are compared a chunk at a time. A chunk of ours is read while no batch is on its way; what was posted before is
 * written to the mirror first, then the differences of the chunk, and what is posted later comes after it. So all rows up to the chunk's
 * end are equal from then on, and nobody has waited for the mirror's disk.
 */
#include "kms/mirrors_internal.h"

#include <stdlib.h>
#include <string.h>

#define ROW_KEY_MAX_BYTES 128
#define SIDE_MAX_BYTES (KMS_MIRROR_CHUNK_BYTES + KMS_SIDE_VALUE_MAX_BYTES + ROW_KEY_MAX_BYTES)

/* ---- differences ---- */

struct row {
    size_t key_at;
    size_t key_bytes;
    size_t value_at;
    size_t value_bytes;
};

/* Rows of one store, behind some key. */
struct side {
    struct kl_buf bytes;
    struct row rows[KMS_MIRROR_CHUNK_ROWS];
    size_t count;
    bool full; /* there may be more */
};

struct copying {
    struct side here;
    struct side there;
    struct kms_storage_write writes[2 * KMS_MIRROR_CHUNK_ROWS];
    unsigned char after[ROW_KEY_MAX_BYTES];
    size_t after_bytes;
};

static struct kl_slice key_of(const struct side *side, size_t i)
{
    return (struct kl_slice){side->bytes.bytes + side->rows[i].key_at, side->rows[i].key_bytes};
}

static struct kl_slice value_of(const struct side *side, size_t i)
{
    return (struct kl_slice){side->bytes.bytes + side->rows[i].value_at, side->rows[i].value_bytes};
}

static int key_compare(struct kl_slice a, struct kl_slice b)
{
    int order = memcmp(a.bytes, b.bytes, a.size < b.size ? a.size : b.size);

    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static enum kl_status side_add(void *visitor, struct kl_slice key, struct kl_slice value,
                               struct kl_err *err)
{
    struct side *side = visitor;
    struct row *row = &side->rows[side->count];

    if (key.size == kms_mirror_self_key.size && key.bytes[0] == KMS_ROW_MIRROR_SELF) {
        return KL_OK;
    }
    if (side->count == KMS_MIRROR_CHUNK_ROWS || side->bytes.size >= KMS_MIRROR_CHUNK_BYTES) {
        side->full = true;
        return kl_fail(err, KL_ERR_BUSY, "enough", "enough", "enough rows were seen");
    }
    if (key.size > ROW_KEY_MAX_BYTES) {
        return kl_fail(err, KL_ERR_CORRUPT, "key_row_corrupt", "the key store is damaged",
                       "a key of a row is too long");
    }
    row->key_at = side->bytes.size;
    row->key_bytes = key.size;
    kl_buf_add(&side->bytes, key.bytes, key.size);
    row->value_at = side->bytes.size;
    row->value_bytes = value.size;
    kl_buf_add(&side->bytes, value.bytes, value.size);
    side->count++;
    return kl_buf_status(&side->bytes, err);
}

static enum kl_status side_read(struct side *side, const struct kms_storage *storage,
                                const struct copying *copying, struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status;

    kl_buf_clear(&side->bytes);
    side->count = 0;
    side->full = false;
    status = kms_storage_range(storage, kl_slice_text(""),
                               (struct kl_slice){copying->after, copying->after_bytes}, side_add,
                               side, &cause);
    if (status == KL_ERR_BUSY && side->full) {
        return KL_OK;
    }
    return status == KL_OK ? KL_OK : kms_mirror_fail(err, status, "rows could not be read", &cause);
}

/* Rows up to and including this one were seen of both; NULL bytes: all. */
static struct kl_slice chunk_end(const struct copying *copying)
{
    struct kl_slice end = {NULL, 0};
    struct kl_slice other;

    if (copying->here.full) {
        end = key_of(&copying->here, copying->here.count - 1);
    }
    if (copying->there.full) {
        other = key_of(&copying->there, copying->there.count - 1);
        end = end.bytes == NULL || key_compare(other, end) < 0 ? other : end;
    }
    return end;
}

static bool side_left(const struct side *side, size_t i, struct kl_slice end)
{
    return i < side->count && (end.bytes == NULL || key_compare(key_of(side, i), end) <= 0);
}

/* What must be written there so that it is as here. */
static size_t differences(struct copying *copying, struct kl_slice end)
{
    const struct side *here = &copying->here;
    const struct side *there = &copying->there;
    size_t count = 0;
    size_t i = 0;
    size_t j = 0;

    while (side_left(here, i, end) || side_left(there, j, end)) {
        int order = !side_left(here, i, end)    ? 1
                    : !side_left(there, j, end) ? -1
                                                : key_compare(key_of(here, i), key_of(there, j));

        if (order > 0) {
            copying->writes[count++] = (struct kms_storage_write){key_of(there, j), {NULL, 0}};
        } else if (order < 0 || !kl_slice_equal(value_of(here, i), value_of(there, j))) {
            copying->writes[count++] =
                (struct kms_storage_write){key_of(here, i), value_of(here, i)};
        }
        i += order <= 0 ? 1 : 0;
        j += order >= 0 ? 1 : 0;
    }
    return count;
}

/* ---- copying ---- */

static void progress(struct kms_mirror *mirror)
{
    kms_mirror_lock(mirror->all);
    mirror->progress++;
    (void)pthread_cond_broadcast(&mirror->all->changed);
    kms_mirror_unlock(mirror->all);
}

/* Write what was posted so far. count: how many of them at most. */
enum kl_status kms_mirror_drain(struct kms_mirror *mirror, size_t count, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    while (status == KL_OK && count-- > 0) {
        struct kms_mirror_batch *batch;

        kms_mirror_lock(mirror->all);
        batch = kms_mirror_queue_take(mirror);
        kms_mirror_unlock(mirror->all);
        if (batch == NULL) {
            break;
        }
        status = kms_mirror_batch_write(mirror, batch, err);
        kms_mirror_lock(mirror->all);
        kms_mirror_batch_release(batch);
        kms_mirror_unlock(mirror->all);
        progress(mirror);
    }
    return status;
}

enum kl_status kms_mirror_behind_check(struct kms_mirror *mirror, struct kl_err *err)
{
    bool behind;
    bool stop;

    kms_mirror_lock(mirror->all);
    behind = mirror->behind;
    stop = mirror->stop || mirror->dropping;
    kms_mirror_unlock(mirror->all);
    if (stop) {
        return kms_mirror_fail_stopping(err);
    }
    return behind ? kl_fail(err, KL_ERR_BUSY, "mirror_behind", "it fell too far behind", NULL)
                  : KL_OK;
}

size_t kms_mirror_queue_count(struct kms_mirror *mirror)
{
    size_t count = 0;

    kms_mirror_lock(mirror->all);
    for (const struct kms_mirror_queued *queued = mirror->first; queued != NULL;
         queued = queued->next) {
        count++;
    }
    kms_mirror_unlock(mirror->all);
    return count;
}

/* Who posts does not wait for this mirror meanwhile. */
void kms_mirror_gate_take(struct kms_mirror *mirror)
{
    kms_mirror_lock(mirror->all);
    mirror->at_gate = true;
    (void)pthread_cond_broadcast(&mirror->all->changed);
    kms_mirror_unlock(mirror->all);
    kms_rows_gate_take(&mirror->all->kms->rows);
    kms_mirror_lock(mirror->all);
    mirror->at_gate = false;
    kms_mirror_unlock(mirror->all);
}

/* A chunk of ours at one moment, and how many batches were posted before it. */
static enum kl_status here_read(struct kms_mirror *mirror, struct copying *copying,
                                size_t *ret_before, struct kl_err *err)
{
    struct kms *kms = mirror->all->kms;
    enum kl_status status;

    if (!kms_mirror_inside(mirror)) {
        return kms_mirror_fail_stopping(err);
    }
    kms_mirror_gate_take(mirror);
    *ret_before = kms_mirror_queue_count(mirror);
    status = side_read(&copying->here, kms->rows.storage, copying, err);
    kms_rows_gate_give(&kms->rows);
    kms_mirror_outside(mirror);
    return status;
}

static enum kl_status chunk_copy(struct kms_mirror *mirror, struct copying *copying, bool *ret_more,
                                 struct kl_err *err)
{
    struct kl_err cause = {0};
    struct kl_slice end;
    size_t before = 0;
    size_t count;
    enum kl_status status = here_read(mirror, copying, &before, err);

    if (status == KL_OK) {
        status = kms_mirror_drain(mirror, before, err);
    }
    if (status == KL_OK) {
        status = side_read(&copying->there, &mirror->storage, copying, err);
    }
    if (status != KL_OK) {
        return status;
    }
    end = chunk_end(copying);
    count = differences(copying, end);
    if (count > 0) {
        status =
            mirror->storage.apply(mirror->storage.context, copying->writes, count, false, &cause);
    }
    if (status != KL_OK) {
        return kms_mirror_fail(err, status, "its rows could not be written", &cause);
    }
    *ret_more = end.bytes != NULL;
    if (*ret_more) {
        memcpy(copying->after, end.bytes, end.size);
        copying->after_bytes = end.size;
    }
    progress(mirror);
    return KL_OK;
}

enum kl_status kms_mirror_copy(struct kms_mirror *mirror, struct kl_err *err)
{
    struct copying *copying = malloc(sizeof *copying);
    bool more = true;
    enum kl_status status;

    if (copying == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                       "no memory to copy a mirror");
    }
    kl_buf_init(&copying->here.bytes, SIDE_MAX_BYTES);
    kl_buf_init(&copying->there.bytes, SIDE_MAX_BYTES);
    copying->after_bytes = 0;
    status = kms_mirror_self_set(mirror, KMS_MIRROR_COPYING, err);
    while (status == KL_OK && more) {
        status = kms_mirror_behind_check(mirror, err);
        if (status == KL_OK) {
            status = chunk_copy(mirror, copying, &more, err);
        }
    }
    kl_buf_done(&copying->here.bytes);
    kl_buf_done(&copying->there.bytes);
    free(copying);
    return status;
}

static enum kl_status batch_id(const struct kms_storage *storage, struct kl_buf *ret_id,
                               struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = storage->get(storage->context, kms_batch_key, ret_id, &cause);

    if (status == KL_OK || status == KL_ERR_NOT_FOUND) {
        return KL_OK;
    }
    return kms_mirror_fail(err, status, "its batch id could not be read", &cause);
}

/* Batches are queued from now on; whether all up to now are in the mirror. */
enum kl_status kms_mirror_take(struct kms_mirror *mirror, bool *ret_same, struct kl_err *err)
{
    struct kms *kms = mirror->all->kms;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    enum kms_mirror_self self = KMS_MIRROR_COPYING;
    struct kl_buf here;
    struct kl_buf there;
    enum kl_status status;

    if (!kms_mirror_inside(mirror)) {
        return kms_mirror_fail_stopping(err);
    }
    kl_buf_init(&here, KMS_ROW_MAX_BYTES);
    kl_buf_init(&there, KMS_ROW_MAX_BYTES);
    kms_rows_gate_take(&kms->rows);
    kms_mirror_lock(mirror->all);
    mirror->taking = true;
    mirror->behind = false;
    kms_mirror_unlock(mirror->all);
    status = batch_id(kms->rows.storage, &here, err);
    kms_rows_gate_give(&kms->rows);
    kms_mirror_outside(mirror);
    if (status == KL_OK) {
        status = batch_id(&mirror->storage, &there, err);
    }
    *ret_same = status == KL_OK && here.size == 1 + KMS_BATCH_ID_BYTES &&
                kl_slice_equal(kl_buf_slice(&here), kl_buf_slice(&there)) &&
                kms_mirror_self_read(&mirror->storage, id, &self, NULL) == KL_OK &&
                self == KMS_MIRROR_WHOLE;
    kl_buf_done(&here);
    kl_buf_done(&there);
    return status;
}
