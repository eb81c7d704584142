#include "tests/support/memory_storage.h"

#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECKSUM_BYTES 16
#define BATCH_MAX_BYTES (64u << 20)

struct bytes {
    unsigned char *bytes; /* NULL: none */
    size_t size;
};

struct row {
    struct bytes key;
    struct bytes value;
};

struct rows {
    struct row *rows;
    size_t count;
    size_t room;
};

/* Threads: lock guards everything but the watch, which is set before the threads. */
struct memory_storage {
    struct kms_storage face;
    pthread_mutex_t lock;
    struct rows rows; /* by key, ascending */
    struct rows recording;
    bool recording_on;
    struct memory_storage_counts counts;
    uint64_t fail_apply_in;
    bool fail_apply_kept;
    unsigned char fail_get_byte;
    memory_storage_watch watch;
    void *watcher;
    memory_storage_watch get_watch;
    void *get_watcher;
    int journal;
};

/* Tests let single allocations fail; those of the test itself are tried again. */
static void *must_have(void *had, size_t bytes)
{
    void *piece = realloc(had, bytes);

    if (piece == NULL) {
        piece = realloc(had, bytes);
    }
    assert(piece != NULL);
    return piece;
}

static struct bytes bytes_copy(struct kl_slice slice)
{
    struct bytes copy = {NULL, slice.size};

    if (slice.bytes != NULL) {
        copy.bytes = must_have(NULL, slice.size > 0 ? slice.size : 1);
        if (slice.size > 0) {
            memcpy(copy.bytes, slice.bytes, slice.size);
        }
    }
    return copy;
}

static void rows_room(struct rows *rows)
{
    if (rows->count == rows->room) {
        rows->room = rows->room > 0 ? rows->room * 2 : 64;
        rows->rows = must_have(rows->rows, rows->room * sizeof *rows->rows);
    }
}

static void rows_done(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        free(rows->rows[i].key.bytes);
        free(rows->rows[i].value.bytes);
    }
    free(rows->rows);
    memset(rows, 0, sizeof *rows);
}

static int key_compare(const struct bytes *key, struct kl_slice wanted)
{
    size_t shorter = key->size < wanted.size ? key->size : wanted.size;
    int order = memcmp(key->bytes, wanted.bytes, shorter);

    return order != 0 ? order : (key->size > wanted.size) - (key->size < wanted.size);
}

/* The first row whose key is not below. */
static size_t rows_place(const struct rows *rows, struct kl_slice key)
{
    size_t low = 0;
    size_t high = rows->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (key_compare(&rows->rows[middle].key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void rows_put(struct rows *rows, struct kl_slice key, struct kl_slice value)
{
    size_t place = rows_place(rows, key);
    bool there = place < rows->count && key_compare(&rows->rows[place].key, key) == 0;

    if (there) {
        free(rows->rows[place].value.bytes);
        if (value.bytes != NULL) {
            rows->rows[place].value = bytes_copy(value);
            return;
        }
        free(rows->rows[place].key.bytes);
        rows->count--;
        memmove(rows->rows + place, rows->rows + place + 1,
                (rows->count - place) * sizeof *rows->rows);
        return;
    }
    if (value.bytes == NULL) {
        return;
    }
    rows_room(rows);
    memmove(rows->rows + place + 1, rows->rows + place, (rows->count - place) * sizeof *rows->rows);
    rows->rows[place] = (struct row){bytes_copy(key), bytes_copy(value)};
    rows->count++;
}

/* ---- the interface ---- */

static enum kl_status storage_get(void *context, struct kl_slice key, struct kl_buf *ret,
                                  struct kl_err *err)
{
    struct memory_storage *storage = context;
    enum kl_status status = KL_OK;
    size_t place;

    (void)pthread_mutex_lock(&storage->lock);
    storage->counts.gets++;
    place = rows_place(&storage->rows, key);
    if (storage->fail_get_byte != 0 && storage->fail_get_byte == key.bytes[0]) {
        status = kl_fail(err, KL_ERR_IO, "injected", "injected", "a get that was told to fail");
    } else if (place == storage->rows.count ||
               key_compare(&storage->rows.rows[place].key, key) != 0) {
        status = kl_fail(err, KL_ERR_NOT_FOUND, "row_missing", "no such row", NULL);
    } else {
        kl_buf_add(ret, storage->rows.rows[place].value.bytes,
                   storage->rows.rows[place].value.size);
        status = kl_buf_status(ret, err);
    }
    (void)pthread_mutex_unlock(&storage->lock);
    if (storage->get_watch != NULL) {
        storage->get_watch(storage->get_watcher, true);
    }
    return status;
}

static void count_batch(struct memory_storage *storage, const struct kms_storage_write *writes,
                        size_t count, bool sync)
{
    storage->counts.applies++;
    storage->counts.syncs += sync ? 1 : 0;
    storage->counts.writes += count;
    for (size_t i = 0; i < count; i++) {
        storage->counts.bytes += writes[i].key.size + writes[i].value.size;
        if (storage->recording_on) {
            rows_room(&storage->recording);
            storage->recording.rows[storage->recording.count++] =
                (struct row){bytes_copy(writes[i].key), bytes_copy(writes[i].value)};
        }
    }
}

/* Length and checksum first, so that a batch cut short does not count. */
static void journal_add(struct memory_storage *storage, const struct kms_storage_write *writes,
                        size_t count, bool sync)
{
    unsigned char head[4 + CHECKSUM_BYTES];
    struct kl_buf batch;
    ssize_t put;

    kl_buf_init(&batch, BATCH_MAX_BYTES);
    for (size_t i = 0; i < count; i++) {
        kl_buf_add_sized(&batch, writes[i].key.bytes, writes[i].key.size);
        kl_buf_add_byte(&batch, writes[i].value.bytes != NULL);
        kl_buf_add_sized(&batch, writes[i].value.bytes, writes[i].value.size);
    }
    assert(!batch.failed);
    kl_put_u32be(head, (uint32_t)batch.size);
    (void)crypto_generichash(head + 4, CHECKSUM_BYTES, batch.bytes, batch.size, NULL, 0);
    put = write(storage->journal, head, sizeof head);
    assert(put == (ssize_t)sizeof head);
    put = write(storage->journal, batch.bytes, batch.size);
    assert(put == (ssize_t)batch.size);
    if (sync) {
        int synced = fdatasync(storage->journal);

        assert(synced == 0);
    }
    kl_buf_done(&batch);
}

static enum kl_status storage_apply(void *context, const struct kms_storage_write *writes,
                                    size_t count, bool sync, struct kl_err *err)
{
    struct memory_storage *storage = context;
    bool fails;
    bool kept;

    if (storage->watch != NULL) {
        storage->watch(storage->watcher, false);
    }
    (void)pthread_mutex_lock(&storage->lock);
    fails = storage->fail_apply_in == 1;
    kept = !fails || storage->fail_apply_kept;
    storage->fail_apply_in -= storage->fail_apply_in > 0 ? 1 : 0;
    count_batch(storage, writes, count, sync);
    if (kept && storage->journal >= 0) {
        journal_add(storage, writes, count, sync);
    }
    for (size_t i = 0; kept && i < count; i++) {
        rows_put(&storage->rows, writes[i].key, writes[i].value);
    }
    (void)pthread_mutex_unlock(&storage->lock);
    if (storage->watch != NULL) {
        storage->watch(storage->watcher, true);
    }
    return fails ? kl_fail(err, KL_ERR_IO, "injected", "injected", "an apply that was told to fail")
                 : KL_OK;
}

/* Visits copies, so that the visitor may write. */
static enum kl_status storage_range(void *context, struct kl_slice prefix, kms_storage_visit visit,
                                    void *visitor, struct kl_err *err)
{
    struct memory_storage *storage = context;
    struct rows found = {NULL, 0, 0};
    enum kl_status status = KL_OK;

    (void)pthread_mutex_lock(&storage->lock);
    for (size_t i = rows_place(&storage->rows, prefix); i < storage->rows.count; i++) {
        const struct row *row = &storage->rows.rows[i];

        if (row->key.size < prefix.size || memcmp(row->key.bytes, prefix.bytes, prefix.size) != 0) {
            break;
        }
        rows_room(&found);
        found.rows[found.count++] =
            (struct row){bytes_copy((struct kl_slice){row->key.bytes, row->key.size}),
                         bytes_copy((struct kl_slice){row->value.bytes, row->value.size})};
    }
    (void)pthread_mutex_unlock(&storage->lock);
    for (size_t i = 0; i < found.count && status == KL_OK; i++) {
        status = visit(visitor, (struct kl_slice){found.rows[i].key.bytes, found.rows[i].key.size},
                       (struct kl_slice){found.rows[i].value.bytes, found.rows[i].value.size}, err);
    }
    rows_done(&found);
    return status;
}

/* ---- life ---- */

struct memory_storage *memory_storage_new(void)
{
    struct memory_storage *storage = must_have(NULL, sizeof *storage);

    memset(storage, 0, sizeof *storage);
    (void)pthread_mutex_init(&storage->lock, NULL);
    storage->face = (struct kms_storage){
        .context = storage, .get = storage_get, .apply = storage_apply, .range = storage_range};
    storage->journal = -1;
    return storage;
}

void memory_storage_free(struct memory_storage *storage)
{
    if (storage == NULL) {
        return;
    }
    if (storage->journal >= 0) {
        (void)close(storage->journal);
    }
    rows_done(&storage->rows);
    rows_done(&storage->recording);
    (void)pthread_mutex_destroy(&storage->lock);
    free(storage);
}

const struct kms_storage *memory_storage_face(struct memory_storage *storage)
{
    return &storage->face;
}

struct memory_storage *memory_storage_copy(struct memory_storage *storage)
{
    struct memory_storage *copy = memory_storage_new();

    (void)pthread_mutex_lock(&storage->lock);
    for (size_t i = 0; i < storage->rows.count; i++) {
        const struct row *row = &storage->rows.rows[i];

        rows_put(&copy->rows, (struct kl_slice){row->key.bytes, row->key.size},
                 (struct kl_slice){row->value.bytes, row->value.size});
    }
    (void)pthread_mutex_unlock(&storage->lock);
    return copy;
}

struct memory_storage_counts memory_storage_counts(struct memory_storage *storage)
{
    struct memory_storage_counts counts;

    (void)pthread_mutex_lock(&storage->lock);
    counts = storage->counts;
    counts.rows = storage->rows.count;
    (void)pthread_mutex_unlock(&storage->lock);
    return counts;
}

void memory_storage_record(struct memory_storage *storage)
{
    storage->recording_on = true;
}

size_t memory_storage_recorded(struct memory_storage *storage)
{
    return storage->recording.count;
}

void memory_storage_recording(struct memory_storage *storage, size_t i, struct kl_slice *ret_key,
                              struct kl_slice *ret_value)
{
    const struct row *row = &storage->recording.rows[i];

    *ret_key = (struct kl_slice){row->key.bytes, row->key.size};
    *ret_value = (struct kl_slice){row->value.bytes, row->value.size};
}

void memory_storage_fail_apply(struct memory_storage *storage, uint64_t n, bool kept)
{
    (void)pthread_mutex_lock(&storage->lock);
    storage->fail_apply_in = n;
    storage->fail_apply_kept = kept;
    (void)pthread_mutex_unlock(&storage->lock);
}

void memory_storage_fail_get(struct memory_storage *storage, unsigned char first_key_byte)
{
    (void)pthread_mutex_lock(&storage->lock);
    storage->fail_get_byte = first_key_byte;
    (void)pthread_mutex_unlock(&storage->lock);
}

void memory_storage_watch_applies(struct memory_storage *storage, memory_storage_watch watch,
                                  void *watcher)
{
    storage->watch = watch;
    storage->watcher = watcher;
}

void memory_storage_watch_gets(struct memory_storage *storage, memory_storage_watch watch,
                               void *watcher)
{
    storage->get_watch = watch;
    storage->get_watcher = watcher;
}

unsigned char *memory_storage_row(struct memory_storage *storage, size_t i,
                                  struct kl_slice *ret_key, size_t *ret_value_bytes)
{
    if (i >= storage->rows.count) {
        return NULL;
    }
    *ret_key = (struct kl_slice){storage->rows.rows[i].key.bytes, storage->rows.rows[i].key.size};
    *ret_value_bytes = storage->rows.rows[i].value.size;
    return storage->rows.rows[i].value.bytes;
}

void memory_storage_put(struct memory_storage *storage, struct kl_slice key, struct kl_slice value)
{
    (void)pthread_mutex_lock(&storage->lock);
    rows_put(&storage->rows, key, value);
    (void)pthread_mutex_unlock(&storage->lock);
}

/* ---- the journal ---- */

static bool batch_replay(struct memory_storage *storage, int file)
{
    unsigned char head[4 + CHECKSUM_BYTES];
    unsigned char sum[CHECKSUM_BYTES];
    unsigned char *bytes;
    struct kl_reader reader;
    size_t size;
    bool whole;

    if (read(file, head, sizeof head) != (ssize_t)sizeof head) {
        return false;
    }
    size = kl_get_u32be(head);
    bytes = must_have(NULL, size + 1);
    whole = read(file, bytes, size) == (ssize_t)size;
    (void)crypto_generichash(sum, sizeof sum, bytes, whole ? size : 0, NULL, 0);
    whole = whole && memcmp(sum, head + 4, sizeof sum) == 0;
    reader = kl_reader_of((struct kl_slice){bytes, size});
    while (whole && !kl_reader_done(&reader)) {
        struct kl_slice key = kl_read_sized(&reader);
        bool put = kl_read_byte(&reader) != 0;
        struct kl_slice value = kl_read_sized(&reader);

        assert(reader.ok);
        rows_put(&storage->rows, key, put ? value : (struct kl_slice){NULL, 0});
    }
    free(bytes);
    return whole;
}

bool memory_storage_journal(struct memory_storage *storage, const char *path)
{
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    off_t good = 0;

    if (file < 0) {
        return false;
    }
    while (batch_replay(storage, file)) {
        good = lseek(file, 0, SEEK_CUR);
    }
    storage->journal = file;
    return ftruncate(file, good) == 0 && lseek(file, good, SEEK_SET) == good;
}
