/*
 * Bringing a mirror up to date, on its own thread, while batches go on.
 *
 * The rows of both stores are compared a chunk at a time. A chunk of ours is read while no batch is on its way; what was posted before is
 * written to the mirror first, then the differences of the chunk, and what is posted later comes after it. So all rows up to the chunk's
 * end are equal from then on, and nobody has waited for the mirror's disk.
 *
 * At the end the turn is taken, so that the root keys stay as they are: the mirror stores both, which destroys every older one that it
 * held, and only then is it in step.
 */
#include "kms/mirrors_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES (KMS_MIRROR_DIR_MAX_BYTES + 8)
#define ROW_KEY_MAX_BYTES 128
#define SIDE_MAX_BYTES (KMS_MIRROR_CHUNK_BYTES + KMS_SIDE_VALUE_MAX_BYTES + ROW_KEY_MAX_BYTES)

/* ---- the disk of the mirror ---- */

static void path_of(const struct kms_mirror *mirror, const char *name, char ret_path[PATH_BYTES])
{
    (void)snprintf(ret_path, PATH_BYTES, "%s/%s", mirror->dir, name);
}

void kms_mirror_shut(struct kms_mirror *mirror)
{
    kms_root_place_close(mirror->place);
    mirror->place = NULL;
    if (mirror->storage_open) {
        mirror->all->source->close(mirror->all->source->context, &mirror->storage);
        mirror->storage_open = false;
    }
}

bool kms_mirror_inside(struct kms_mirror *mirror)
{
    kms_mirror_lock(mirror->all);
    mirror->inside = !mirror->stop;
    kms_mirror_unlock(mirror->all);
    return mirror->inside;
}

void kms_mirror_outside(struct kms_mirror *mirror)
{
    kms_mirror_lock(mirror->all);
    mirror->inside = false;
    (void)pthread_cond_broadcast(&mirror->all->changed);
    kms_mirror_unlock(mirror->all);
}

static enum kl_status fail_stopping(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_BUSY, "mirror_stopping", "the vault is closing", NULL);
}

static enum kl_status fail_mirror(struct kl_err *err, enum kl_status status, const char *what,
                                  const struct kl_err *cause)
{
    return kl_fail(err, status, cause->code, cause->client_text, "%s: %s", what,
                   cause->log_text[0] != '\0' ? cause->log_text : cause->client_text);
}

static enum kl_status storage_open(struct kms_mirror *mirror, bool joining, struct kl_err *err)
{
    const struct kms_mirror_source *source = mirror->all->source;
    struct kl_err cause = {0};
    char path[PATH_BYTES];
    enum kl_status status;

    if (mirror->storage_open) {
        return KL_OK;
    }
    if (source == NULL) {
        return kl_fail(err, KL_ERR_UNAVAILABLE, "mirror_io", "mirrors cannot be opened", NULL);
    }
    path_of(mirror, "keys", path);
    memset(&mirror->storage, 0, sizeof mirror->storage);
    status = source->open(source->context, path, false, &mirror->storage, &cause);
    if (status == KL_ERR_NOT_FOUND && joining) {
        cause = (struct kl_err){0};
        status = source->open(source->context, path, true, &mirror->storage, &cause);
    }
    if (status != KL_OK) {
        return fail_mirror(err, status, "its rows could not be opened", &cause);
    }
    mirror->storage_open = true;
    return KL_OK;
}

/* How root files are written now; ret_number says which form it is. */
static enum kl_status form_now(struct kms_mirror *mirror, bool *ret_with_file,
                               struct kms_root_form *ret_form, uint64_t *ret_number,
                               struct kl_err *err)
{
    struct kms_mirrors *all = mirror->all;
    enum kl_status status;

    kms_mirror_lock(all);
    *ret_with_file = all->with_file;
    *ret_number = all->form_number;
    status = kms_root_form_copy(&all->form, ret_form, err);
    kms_mirror_unlock(all);
    return status;
}

/* Whatever root file lies there: overwritten, removed. */
static enum kl_status root_destroy(struct kms_mirror *mirror, struct kl_err *err)
{
    static const struct kms_root_form bare = {.kind = KMS_ROOT_BARE};
    struct kl_err cause = {0};
    char path[PATH_BYTES];
    enum kl_status status = KL_OK;

    path_of(mirror, "root", path);
    if (mirror->place == NULL) {
        status = kms_root_file_open_like(path, true, &bare, mirror->id, &mirror->place, &cause);
    }
    if (status == KL_ERR_NOT_FOUND && access(mirror->dir, F_OK) == 0) {
        status = KL_OK;
    } else if (status == KL_OK) {
        status = kms_root_place_wipe(mirror->place, &cause);
        kms_root_place_close(mirror->place);
        mirror->place = NULL;
    }
    if (status != KL_OK) {
        return fail_mirror(err, status, "its root file could not be destroyed", &cause);
    }
    kms_mirror_lock(mirror->all);
    mirror->holds_keys = false;
    kms_mirror_unlock(mirror->all);
    return KL_OK;
}

static enum kl_status root_open(struct kms_mirror *mirror, struct kl_err *err)
{
    struct kl_err cause = {0};
    struct kms_root_form form;
    char path[PATH_BYTES];
    bool with_file = false;
    enum kl_status status = form_now(mirror, &with_file, &form, &mirror->form_number, err);

    if (status != KL_OK || !with_file) {
        return status;
    }
    path_of(mirror, "root", path);
    status = kms_root_file_open_like(path, mirror->all->accept_f0, &form, mirror->all->store_id,
                                     &mirror->place, &cause);
    kms_root_form_done(&form);
    return status == KL_OK ? KL_OK
                           : fail_mirror(err, status, "its root file could not be opened", &cause);
}

static enum kl_status self_set(struct kms_mirror *mirror, enum kms_mirror_self self,
                               struct kl_err *err)
{
    unsigned char bytes[KMS_MIRROR_SELF_BYTES];
    struct kms_storage_write write = {kms_mirror_self_key, {bytes, sizeof bytes}};
    struct kl_err cause = {0};
    enum kl_status status;

    kms_mirror_self_write(mirror->id, self, bytes);
    status = mirror->storage.apply(mirror->storage.context, &write, 1, true, &cause);
    return status == KL_OK ? KL_OK
                           : fail_mirror(err, status, "its rows could not be written", &cause);
}

enum kl_status kms_mirror_batch_write(struct kms_mirror *mirror,
                                      const struct kms_mirror_batch *batch, struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = mirror->storage.apply(mirror->storage.context, batch->writes,
                                                  batch->count, batch->sync, &cause);

    return status == KL_OK ? KL_OK
                           : fail_mirror(err, status, "its rows could not be written", &cause);
}

/* ---- whose it is ---- */

static enum kl_status fail_other(struct kl_err *err, const char *what)
{
    return kl_fail(err, KL_ERR_REFUSED, "mirror_other", what, NULL);
}

static enum kl_status generation_here(struct kms_mirror *mirror, uint64_t *ret_generation,
                                      struct kl_err *err)
{
    struct kms *kms = mirror->all->kms;

    if (!kms_mirror_inside(mirror)) {
        return fail_stopping(err);
    }
    (void)pthread_rwlock_rdlock(&kms->lock);
    *ret_generation = kms->generation;
    (void)pthread_rwlock_unlock(&kms->lock);
    kms_mirror_outside(mirror);
    return KL_OK;
}

/*
 * A mirror that is ahead by an attempt that nobody acknowledged still has the root key in use here. Has it destroyed that, then this key
 * store was put back from before an erasure.
 */
static enum kl_status ahead_check(struct kms_mirror *mirror, const struct kms_meta *meta,
                                  bool is_mirror, struct kl_err *err)
{
    uint64_t generations[2] = {0, 0};
    uint64_t here = 0;
    enum kl_status status = generation_here(mirror, &here, err);

    if (status != KL_OK || meta->generation <= here) {
        return status;
    }
    if (is_mirror && mirror->place == NULL) {
        return KL_OK; /* the token, which both use, has the key of this generation */
    }
    if (mirror->place != NULL) {
        status = kms_root_file_generations(mirror->place, generations, err);
    }
    if (status != KL_OK || (is_mirror && generations[here % 2] == here)) {
        return status;
    }
    kms_mirror_lock(mirror->all);
    mirror->ahead = true;
    kms_mirror_unlock(mirror->all);
    return kl_failf(
        err, KL_ERR_REFUSED, "keys_older_than_mirror",
        "the key store (generation %llu) was put back from before an erasure or a rotation; "
        "open the vault from the mirror (generation %llu): %s",
        (unsigned long long)here, (unsigned long long)meta->generation, mirror->dir);
}

static enum kl_status meta_of(struct kms_mirror *mirror, bool *ret_found, struct kms_meta *ret_meta,
                              struct kl_err *err)
{
    struct kl_err cause = {0};
    struct kl_buf row;
    enum kl_status status;

    kl_buf_init(&row, KMS_ROW_MAX_BYTES);
    status = mirror->storage.get(mirror->storage.context, kms_meta_key, &row, &cause);
    *ret_found = status == KL_OK;
    if (status == KL_OK) {
        status = kms_meta_parse(kl_buf_slice(&row), ret_meta, &cause);
    }
    kl_buf_done(&row);
    if (status == KL_ERR_NOT_FOUND) {
        return KL_OK;
    }
    return status == KL_OK ? KL_OK : fail_mirror(err, status, "its meta row", &cause);
}

/* What the rows of a mirror say about themselves. */
struct facts {
    bool joining;
    bool has_self;
    bool has_meta;
    enum kms_mirror_self self;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    struct kms_meta meta;
};

static enum kl_status facts_read(struct kms_mirror *mirror, struct facts *facts, struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = kms_mirror_self_read(&mirror->storage, facts->id, &facts->self, &cause);

    facts->has_self = status == KL_OK;
    if (status != KL_OK && status != KL_ERR_NOT_FOUND) {
        return fail_mirror(err, status, "whose it is cannot be read", &cause);
    }
    return meta_of(mirror, &facts->has_meta, &facts->meta, err);
}

/* Nothing in the folder is touched before this is KL_OK: it may be somebody else's by now. */
static enum kl_status facts_check(struct kms_mirror *mirror, const struct facts *facts,
                                  struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (facts->has_meta &&
        memcmp(facts->meta.store_id, mirror->all->store_id, KMS_STORE_ID_BYTES) != 0) {
        return fail_other(err, "the folder holds the keys of another vault");
    }
    if (facts->has_self ? memcmp(facts->id, mirror->id, sizeof facts->id) == 0
                        : facts->joining && !facts->has_meta) {
        return KL_OK;
    }
    if (facts->has_meta && !facts->has_self) {
        status = ahead_check(mirror, &facts->meta, false, err);
    }
    if (status != KL_OK) {
        return status;
    }
    return fail_other(err,
                      facts->has_meta
                          ? "the folder is not this mirror any more: another one, or opened as a "
                            "vault of its own"
                          : "the folder is empty: is its volume mounted?");
}

/* Rows; they are this mirror's. */
static enum kl_status rows_open(struct kms_mirror *mirror, struct facts *ret_facts,
                                struct kl_err *err)
{
    bool suspect;
    enum kl_status status;

    memset(ret_facts, 0, sizeof *ret_facts);
    kms_mirror_lock(mirror->all);
    suspect = mirror->suspect;
    mirror->suspect = false;
    ret_facts->joining = mirror->joining;
    kms_mirror_unlock(mirror->all);
    if (suspect) {
        kms_mirror_shut(mirror);
    }
    status = storage_open(mirror, ret_facts->joining, err);
    if (status == KL_OK) {
        status = facts_read(mirror, ret_facts, err);
    }
    return status == KL_OK ? facts_check(mirror, ret_facts, err) : status;
}

/* And the root file of a mirror that has one; one that joins gets it at the end, in place of what an interrupted joining left. */
enum kl_status kms_mirror_look(struct kms_mirror *mirror, struct kl_err *err)
{
    struct facts facts;
    enum kl_status status = rows_open(mirror, &facts, err);

    if (status != KL_OK) {
        return status;
    }
    if (facts.joining) {
        return root_destroy(mirror, err);
    }
    if (facts.self == KMS_MIRROR_DESTROYED) {
        return fail_other(err, "its root file was destroyed: drop it");
    }
    if (mirror->place == NULL) {
        status = root_open(mirror, err);
    }
    if (status == KL_OK && facts.has_meta) {
        status = ahead_check(mirror, &facts.meta, true, err);
    }
    return status;
}

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
    status = kms_storage_range(storage, (struct kl_slice){NULL, 0},
                               (struct kl_slice){copying->after, copying->after_bytes}, side_add,
                               side, &cause);
    if (status == KL_ERR_BUSY && side->full) {
        return KL_OK;
    }
    return status == KL_OK ? KL_OK : fail_mirror(err, status, "rows could not be read", &cause);
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
static enum kl_status drain(struct kms_mirror *mirror, size_t count, struct kl_err *err)
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

static enum kl_status behind_check(struct kms_mirror *mirror, struct kl_err *err)
{
    bool behind;
    bool stop;

    kms_mirror_lock(mirror->all);
    behind = mirror->behind;
    stop = mirror->stop || mirror->dropping;
    kms_mirror_unlock(mirror->all);
    if (stop) {
        return fail_stopping(err);
    }
    return behind ? kl_fail(err, KL_ERR_BUSY, "mirror_behind", "it fell too far behind", NULL)
                  : KL_OK;
}

static size_t queue_count(struct kms_mirror *mirror)
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
static void gate_take(struct kms_mirror *mirror)
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
        return fail_stopping(err);
    }
    gate_take(mirror);
    *ret_before = queue_count(mirror);
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
        status = drain(mirror, before, err);
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
        return fail_mirror(err, status, "its rows could not be written", &cause);
    }
    *ret_more = end.bytes != NULL;
    if (*ret_more) {
        memcpy(copying->after, end.bytes, end.size);
        copying->after_bytes = end.size;
    }
    progress(mirror);
    return KL_OK;
}

static enum kl_status copy_all(struct kms_mirror *mirror, struct kl_err *err)
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
    status = self_set(mirror, KMS_MIRROR_COPYING, err);
    while (status == KL_OK && more) {
        status = behind_check(mirror, err);
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
    return fail_mirror(err, status, "its batch id could not be read", &cause);
}

/* Batches are queued from now on; whether all up to now are in the mirror. */
static enum kl_status take_and_compare(struct kms_mirror *mirror, bool *ret_same,
                                       struct kl_err *err)
{
    struct kms *kms = mirror->all->kms;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    enum kms_mirror_self self = KMS_MIRROR_COPYING;
    struct kl_buf here;
    struct kl_buf there;
    enum kl_status status;

    if (!kms_mirror_inside(mirror)) {
        return fail_stopping(err);
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

/* ---- root keys ---- */

/* Slots are written in the form that counts now. */
static enum kl_status form_update(struct kms_mirror *mirror, struct kl_err *err)
{
    struct kms_root_form form;
    uint64_t number = 0;
    bool with_file = false;
    char path[PATH_BYTES];
    enum kl_status status;

    kms_mirror_lock(mirror->all);
    number = mirror->all->form_number;
    kms_mirror_unlock(mirror->all);
    if (mirror->place != NULL && number == mirror->form_number) {
        return KL_OK;
    }
    status = form_now(mirror, &with_file, &form, &number, err);
    if (status != KL_OK) {
        return status;
    }
    if (!with_file) {
        status = KL_OK;
    } else if (mirror->place != NULL) {
        kms_root_file_form_swap(mirror->place, &form);
    } else {
        path_of(mirror, "root", path);
        status = kms_root_file_make_like(path, mirror->all->accept_f0, &form, mirror->all->store_id,
                                         &mirror->place, err);
    }
    if (status == KL_OK) {
        mirror->form_number = number;
    }
    kms_root_form_done(&form);
    return status;
}

static enum kl_status place_store(struct kms_mirror *mirror, uint64_t generation,
                                  const struct kl_secret *key, struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status;

    kms_mirror_lock(mirror->all);
    mirror->holds_keys = true;
    kms_mirror_unlock(mirror->all);
    status = kms_root_place_store(mirror->place, generation, kl_secret_peek(key), &cause);
    if (status == KL_OK) {
        status = kms_root_place_accept(mirror->place, &cause);
    }
    if (status != KL_OK) {
        return fail_mirror(err, status, "its root file", &cause);
    }
    kms_mirror_lock(mirror->all);
    mirror->report = mirror->place->report;
    kms_mirror_unlock(mirror->all);
    return KL_OK;
}

enum kl_status kms_mirror_store(struct kms_mirror *mirror, struct kl_err *err)
{
    bool with_file;
    enum kl_status status;

    kms_mirror_lock(mirror->all);
    with_file = mirror->all->with_file;
    kms_mirror_unlock(mirror->all);
    if (!with_file) {
        status = mirror->place == NULL ? KL_OK : root_destroy(mirror, err);
    } else {
        status = form_update(mirror, err);
        if (status == KL_OK) {
            status = place_store(mirror, mirror->store_generation, mirror->store_key, err);
        }
    }
    sodium_memzero(kl_secret_bytes(mirror->store_key), KMS_KEY_BYTES);
    return status;
}

/* The key in use is written again only where it is not whole: a torn write of it would cost more than it gives. */
static enum kl_status current_store(struct kms_mirror *mirror, uint64_t generation,
                                    struct kl_err *err)
{
    unsigned char *found = kl_secret_bytes(mirror->store_key);
    struct kl_err ignored = {0};
    enum kl_status status = kms_root_place_load(mirror->place, generation, found, &ignored);
    bool same = status == KL_OK &&
                sodium_memcmp(found, kl_secret_peek(mirror->current), KMS_KEY_BYTES) == 0;

    sodium_memzero(found, KMS_KEY_BYTES);
    return same ? KL_OK : place_store(mirror, generation, mirror->current, err);
}

/* With the turn. */
static enum kl_status keys_store(struct kms_mirror *mirror, struct kl_err *err)
{
    struct kms *kms = mirror->all->kms;
    uint64_t generation;
    bool with_file;
    enum kl_status status;

    if (!kms_mirror_inside(mirror)) {
        return fail_stopping(err);
    }
    generation = kms->root.generation;
    memcpy(kl_secret_bytes(mirror->current), kl_secret_peek(kms->root.current), KMS_KEY_BYTES);
    memcpy(kl_secret_bytes(mirror->staged), kl_secret_peek(kms->root.staged), KMS_KEY_BYTES);
    kms_mirror_outside(mirror);
    kms_mirror_lock(mirror->all);
    with_file = mirror->all->with_file;
    kms_mirror_unlock(mirror->all);
    if (!with_file) {
        status = root_destroy(mirror, err);
    } else {
        status = form_update(mirror, err);
        if (status == KL_OK) {
            status = current_store(mirror, generation, err);
        }
        if (status == KL_OK) {
            status = place_store(mirror, generation + 1, mirror->staged, err);
        }
    }
    sodium_memzero(kl_secret_bytes(mirror->current), KMS_KEY_BYTES);
    sodium_memzero(kl_secret_bytes(mirror->staged), KMS_KEY_BYTES);
    kms_mirror_lock(mirror->all);
    mirror->generation = status == KL_OK ? generation : mirror->generation;
    kms_mirror_unlock(mirror->all);
    return status;
}

static enum kl_status turn_take(struct kms_mirror *mirror, struct kl_err *err)
{
    struct kms_mirrors *all = mirror->all;
    bool stop;

    kms_mirror_lock(all);
    mirror->at_gate = true;
    while (all->turn && !mirror->stop) {
        mirror->progress++; /* it does not hang: a commit is under way */
        (void)pthread_cond_wait(&all->changed, &all->lock);
    }
    mirror->at_gate = false;
    stop = mirror->stop;
    if (!stop) {
        all->turn = true;
        mirror->has_turn = true;
    }
    kms_mirror_unlock(all);
    return stop ? fail_stopping(err) : KL_OK;
}

static void turn_give(struct kms_mirror *mirror)
{
    struct kms_mirrors *all = mirror->all;

    kms_mirror_lock(all);
    if (mirror->has_turn) {
        mirror->has_turn = false;
        all->turn = false;
        (void)pthread_cond_broadcast(&all->changed);
    }
    kms_mirror_unlock(all);
}

/* In step from the next batch on; those that still wait in the queue are written before it, and who posts waits for all of them. */
static enum kl_status step_in(struct kms_mirror *mirror, struct kl_err *err)
{
    struct kms *kms = mirror->all->kms;
    enum kl_status status = behind_check(mirror, err);

    if (status != KL_OK) {
        return status;
    }
    if (!kms_mirror_inside(mirror)) {
        return fail_stopping(err);
    }
    gate_take(mirror);
    kms_mirror_lock(mirror->all);
    if (mirror->taking && !mirror->dropping) {
        kms_mirror_in_step(mirror);
    } else {
        status = kl_fail(err, KL_ERR_BUSY, "mirror_behind", "it fell too far behind", NULL);
    }
    kms_mirror_unlock(mirror->all);
    kms_rows_gate_give(&kms->rows);
    kms_mirror_outside(mirror);
    return status;
}

/* The turn is held. Rows first, then the root keys, then the mark that it is whole. */
static enum kl_status finish(struct kms_mirror *mirror, struct kl_err *err)
{
    enum kl_status status = drain(mirror, queue_count(mirror), err);

    if (status == KL_OK) {
        status = behind_check(mirror, err);
    }
    if (status == KL_OK) {
        status = keys_store(mirror, err);
    }
    if (status == KL_OK) {
        status = self_set(mirror, KMS_MIRROR_WHOLE, err);
    }
    return status == KL_OK ? step_in(mirror, err) : status;
}

enum kl_status kms_mirror_sync(struct kms_mirror *mirror, struct kl_err *err)
{
    bool same = false;
    enum kl_status status = kms_mirror_look(mirror, err);

    if (status == KL_OK) {
        status = take_and_compare(mirror, &same, err);
    }
    if (status == KL_OK && !same) {
        status = copy_all(mirror, err);
    }
    if (status == KL_OK) {
        status = turn_take(mirror, err);
    }
    if (status == KL_OK) {
        status = finish(mirror, err);
        turn_give(mirror);
    }
    return status;
}

/* That a root file is missing proves nothing, unless there never was one or its destruction was noted. */
static enum kl_status drop_check(struct kms_mirror *mirror, const struct facts *facts,
                                 struct kl_err *err)
{
    char path[PATH_BYTES];
    bool with_file;

    kms_mirror_lock(mirror->all);
    with_file = mirror->all->with_file;
    kms_mirror_unlock(mirror->all);
    path_of(mirror, "root", path);
    if (facts->joining || facts->self == KMS_MIRROR_DESTROYED || !with_file ||
        mirror->place != NULL || access(path, F_OK) == 0) {
        return KL_OK;
    }
    return fail_other(err, "its root file is missing");
}

enum kl_status kms_mirror_wipe(struct kms_mirror *mirror, struct kl_err *err)
{
    struct facts facts;
    bool dropping;
    enum kl_status status = rows_open(mirror, &facts, err);

    if (status == KL_OK) {
        status = drop_check(mirror, &facts, err);
    }
    if (status == KL_OK) {
        status = root_destroy(mirror, err);
    }
    kms_mirror_lock(mirror->all);
    dropping = mirror->dropping;
    kms_mirror_unlock(mirror->all);
    if (status == KL_OK && dropping) {
        struct kl_err ignored = {0};

        (void)(self_set(mirror, KMS_MIRROR_DESTROYED, &ignored) == KL_OK);
    }
    return status;
}
