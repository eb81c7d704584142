/*
 * The RocksDB engine (C API of 7.8 to 9.10): one column family, leveled, no
 * compression (what is stored is ciphertext), no archive of old logs.
 *
 * After a failed write nothing is assumed about the disk: the engine takes
 * no more of them, and the process is to be started again.
 */
#include "kluis/base/file.h"
#include "kluis/base/log.h"
#include "vault/store/batch.h"
#include "vault/store/store.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE_BYTES_DEFAULT ((size_t)64 * 1024 * 1024)
#define BLOOM_BITS_PER_KEY 10.0
#define OPEN_FILES_MAX 512
#define LOG_FILES_KEPT 2
#define LOG_FILE_BYTES ((size_t)1024 * 1024)
#define ROCKSDB_LOG_WARN 2
#define ROCKSDB_LOG_FATAL 4

struct vault_store {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write_synced;
    rocksdb_writeoptions_t *write_unsynced;
    atomic_bool failed;
    void (*on_failure)(const struct kl_err *err);
};

/* Turn RocksDB's error text into ours, and free it. It names files, never keys or values. */
static enum kl_status store_fail(struct kl_err *err, char *text, const char *doing)
{
    enum kl_status status = KL_ERR_IO;
    const char *code = "store_io";
    const char *client = "the store could not be read or written";
    if (strstr(text, "lock hold by current process") != NULL ||
        strstr(text, "While lock file") != NULL) {
        status = KL_ERR_BUSY;
        code = "store_in_use";
        client = "another process has the data directory open";
    } else if (strncmp(text, "Corruption", strlen("Corruption")) == 0) {
        status = KL_ERR_CORRUPT;
        code = "store_corrupt";
        client = "the store is damaged";
    }
    kl_fail(err, status, code, client, "could not %s: %s", doing, text);
    rocksdb_free(text);
    return status;
}

static rocksdb_options_t *store_options(const struct vault_store_options *options)
{
    rocksdb_options_t *result = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(result, options->create);
    rocksdb_options_set_error_if_exists(result, options->create);
    rocksdb_options_set_compression(result, rocksdb_no_compression);
    rocksdb_options_set_bottommost_compression(result, rocksdb_no_compression);
    rocksdb_options_set_enable_blob_files(result, 0);
    rocksdb_options_set_recycle_log_file_num(result, 0);
    rocksdb_options_set_WAL_ttl_seconds(result, 0);
    rocksdb_options_set_WAL_size_limit_MB(result, 0);
    rocksdb_options_set_wal_recovery_mode(result, rocksdb_point_in_time_recovery);
    rocksdb_options_set_paranoid_checks(result, 1);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(result, 1);
    rocksdb_options_set_avoid_unnecessary_blocking_io(result, 1);
    rocksdb_options_set_max_open_files(result, OPEN_FILES_MAX);
    rocksdb_options_set_write_buffer_size(result, options->write_buffer_bytes != 0
                                                      ? options->write_buffer_bytes
                                                      : VAULT_STORE_WRITE_BUFFER_BYTES);
    /*
     * Debian 12's RocksDB is built with its assertions on, and one of them ends the process at the second write to any file that could not
     * be written before. Rows are not written again once they failed; its own log is written at the worst moment, so where the disk may go
     * it says nothing.
     */
    rocksdb_options_set_info_log_level(result,
                                       options->disk_may_go ? ROCKSDB_LOG_FATAL : ROCKSDB_LOG_WARN);
    rocksdb_options_set_keep_log_file_num(result, LOG_FILES_KEPT);
    rocksdb_options_set_max_log_file_size(result, LOG_FILE_BYTES);
    rocksdb_options_set_stats_dump_period_sec(result, 0);
    rocksdb_options_set_stats_persist_period_sec(result, 0);

    size_t cache_bytes = options->cache_bytes != 0 ? options->cache_bytes : CACHE_BYTES_DEFAULT;
    rocksdb_cache_t *cache = rocksdb_cache_create_lru(cache_bytes);
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_block_based_options_set_filter_policy(
        table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS_PER_KEY));
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
    rocksdb_options_set_block_based_table_factory(result, table);
    rocksdb_block_based_options_destroy(table);
    rocksdb_cache_destroy(cache); /* the options hold it on */
    return result;
}

/* Make the folder so that only its owner can look in, and its name durable. */
static enum kl_status store_make_folder(const char *path, struct kl_err *err)
{
    if (mkdir(path, S_IRWXU) != 0 && errno != EEXIST) {
        return kl_fail(err, KL_ERR_IO, "store_io", "the store could not be made",
                       "could not make %s: %s", path, strerror(errno));
    }
    if (chmod(path, S_IRWXU) != 0) {
        return kl_fail(err, KL_ERR_IO, "store_io", "the store could not be made",
                       "could not set the mode of %s: %s", path, strerror(errno));
    }
    char parent[PATH_MAX];
    size_t size = strlen(path);
    if (size >= sizeof(parent) - 4) {
        return kl_fail(err, KL_ERR_INVALID, "path_too_long", "the path of the store is too long",
                       NULL);
    }
    memcpy(parent, path, size);
    memcpy(parent + size, "/..", sizeof("/.."));
    return kl_dir_sync(parent, err);
}

static bool store_is_there(const char *path)
{
    char current[PATH_MAX];
    size_t size = strlen(path);
    if (size + sizeof("/CURRENT") > sizeof(current)) {
        return false;
    }
    memcpy(current, path, size);
    memcpy(current + size, "/CURRENT", sizeof("/CURRENT"));
    return access(current, F_OK) == 0;
}

enum kl_status vault_store_open(const struct vault_store_options *options,
                                struct vault_store **ret_store, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    char *error = NULL;
    struct vault_store *store = NULL;
    bool there = store_is_there(options->path);
    if (options->create && there) {
        return kl_fail(err, KL_ERR_EXISTS, "store_exists", "there is a store already", "%s",
                       options->path);
    }
    if (!options->create && !there) {
        return kl_fail(err, KL_ERR_NOT_FOUND, "store_missing", "there is no store", "%s",
                       options->path);
    }
    if (options->create) {
        status = store_make_folder(options->path, err);
        if (status != KL_OK) {
            return status;
        }
    }
    store = calloc(1, sizeof(*store));
    if (store == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                       "store: no memory");
    }
    store->options = store_options(options);
    store->read = rocksdb_readoptions_create();
    store->write_synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(store->write_synced, 1);
    store->write_unsynced = rocksdb_writeoptions_create();
    store->db = options->read_only
                    ? rocksdb_open_for_read_only(store->options, options->path, 0, &error)
                    : rocksdb_open(store->options, options->path, &error);
    if (error != NULL) {
        status = store_fail(err, error, "open the store");
        goto out;
    }
    *ret_store = store;
    store = NULL; /* the caller's now */

out:
    vault_store_close(store);
    return status;
}

void vault_store_on_failure(struct vault_store *store, void (*failed)(const struct kl_err *err))
{
    store->on_failure = failed;
}

void vault_store_close(struct vault_store *store)
{
    if (store == NULL) {
        return;
    }
    if (store->db != NULL) {
        rocksdb_close(store->db);
    }
    rocksdb_writeoptions_destroy(store->write_unsynced);
    rocksdb_writeoptions_destroy(store->write_synced);
    rocksdb_readoptions_destroy(store->read);
    rocksdb_options_destroy(store->options);
    free(store);
}

enum kl_status vault_store_get(struct vault_store *store, struct kl_slice key, struct kl_buf *ret,
                               struct kl_err *err)
{
    char *error = NULL;
    assert(key.size > 0 && key.size <= VAULT_STORE_KEY_MAX_BYTES);
    rocksdb_pinnableslice_t *pinned =
        rocksdb_get_pinned(store->db, store->read, (const char *)key.bytes, key.size, &error);
    if (error != NULL) {
        rocksdb_pinnableslice_destroy(pinned);
        return store_fail(err, error, "read a row");
    }
    if (pinned == NULL) {
        return kl_fail(err, KL_ERR_NOT_FOUND, "not_found", "there is no such thing",
                       "no row of kind '%c'", key.bytes[0]);
    }
    size_t size = 0;
    const char *bytes = rocksdb_pinnableslice_value(pinned, &size);
    if (size > 0) {
        kl_buf_add(ret, bytes, size);
    }
    rocksdb_pinnableslice_destroy(pinned);
    return kl_buf_status(ret, err);
}

enum kl_status vault_store_get_many(struct vault_store *store, const struct kl_slice *keys,
                                    size_t count, struct kl_buf *rets, enum kl_status *statuses,
                                    struct kl_err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct kl_err one = {.status = KL_OK};
        statuses[i] = vault_store_get(store, keys[i], &rets[i], &one);
        if (statuses[i] != KL_OK && statuses[i] != KL_ERR_NOT_FOUND) {
            return kl_fail(err, statuses[i], one.code, one.client_text, "%s", one.log_text);
        }
    }
    return KL_OK;
}

static void store_fill(rocksdb_writebatch_t *write, const struct vault_batch *batch)
{
    struct vault_batch_op op;
    size_t at = 0;
    while (vault_batch_next(batch, &at, &op)) {
        const char *key = (const char *)op.key.bytes;
        const char *value = (const char *)op.value.bytes;
        switch (op.kind) {
        case VAULT_BATCH_PUT:
            rocksdb_writebatch_put(write, key, op.key.size, value, op.value.size);
            break;
        case VAULT_BATCH_REMOVE:
            rocksdb_writebatch_delete(write, key, op.key.size);
            break;
        case VAULT_BATCH_REMOVE_RANGE:
            rocksdb_writebatch_delete_range(write, key, op.key.size, value, op.value.size);
            break;
        }
    }
}

enum kl_status vault_store_apply(struct vault_store *store, struct vault_batch *batch, bool sync,
                                 struct kl_err *err)
{
    char *error = NULL;
    enum kl_status status = vault_batch_status(batch, err);
    if (status != KL_OK) {
        return status;
    }
    if (atomic_load(&store->failed)) {
        return kl_fail(err, KL_ERR_IO, "store_failed", "the store takes no more writes",
                       "a write failed before; the process has to be started again");
    }
    rocksdb_writebatch_t *write = rocksdb_writebatch_create();
    store_fill(write, batch);
    rocksdb_write(store->db, sync ? store->write_synced : store->write_unsynced, write, &error);
    rocksdb_writebatch_destroy(write);
    if (error == NULL) {
        return KL_OK;
    }
    struct kl_err first = {.status = KL_OK};
    status = store_fail(&first, error, "write");
    if (store->on_failure != NULL) {
        store->on_failure(&first);
    }
    if (!atomic_exchange(&store->failed, true)) {
        kl_log_err(KL_LOG_ERROR, "store_failed", &first);
    }
    return kl_fail(err, KL_ERR_IO, "store_failed", "the store takes no more writes", "%s",
                   first.log_text);
}

/* Logs are made tables first, however short, so that the next copy need not have them again. */
#define CHECKPOINT_LOG_BYTES ((uint64_t)0)

enum kl_status vault_store_checkpoint(struct vault_store *store, const char *path,
                                      struct kl_err *err)
{
    char *error = NULL;
    rocksdb_checkpoint_t *checkpoint = NULL;

    if (access(path, F_OK) == 0) {
        return kl_fail(err, KL_ERR_EXISTS, "store_copy_exists",
                       "there is a copy of the store already", "%s", path);
    }
    checkpoint = rocksdb_checkpoint_object_create(store->db, &error);
    if (error == NULL) {
        rocksdb_checkpoint_create(checkpoint, path, CHECKPOINT_LOG_BYTES, &error);
    }
    if (checkpoint != NULL) {
        rocksdb_checkpoint_object_destroy(checkpoint);
    }
    return error == NULL ? KL_OK : store_fail(err, error, "copy the store");
}

/* rocksdb::BottommostLevelCompaction::kForce: rows that were removed lie in the last level, and it is passed over otherwise. */
#define COMPACT_LAST_LEVEL_TOO 2

void vault_store_compact(struct vault_store *store, struct kl_slice first,
                         struct kl_slice past_last)
{
    rocksdb_compactoptions_t *options = rocksdb_compactoptions_create();

    rocksdb_compactoptions_set_exclusive_manual_compaction(options, 0);
    rocksdb_compactoptions_set_bottommost_level_compaction(options, COMPACT_LAST_LEVEL_TOO);
    rocksdb_compact_range_opt(store->db, options, (const char *)first.bytes, first.size,
                              (const char *)past_last.bytes, past_last.size);
    rocksdb_compactoptions_destroy(options);
}

struct vault_iter {
    rocksdb_iterator_t *rocks;
    rocksdb_readoptions_t *read;
    bool backwards;
    bool placed;  /* the iterator stands on the row to be given next */
    bool started; /* one was given, so the next is beside it */
    size_t first_bytes;
    size_t past_bytes;
    char first[VAULT_STORE_KEY_MAX_BYTES]; /* RocksDB keeps pointers to both */
    char past[VAULT_STORE_KEY_MAX_BYTES];
};

struct vault_iter *vault_iter_new(struct vault_store *store, struct kl_slice first,
                                  struct kl_slice past_last, bool backwards)
{
    assert(first.size <= VAULT_STORE_KEY_MAX_BYTES && past_last.size <= VAULT_STORE_KEY_MAX_BYTES);
    struct vault_iter *iter = calloc(1, sizeof(*iter));
    if (iter == NULL) {
        return NULL;
    }
    iter->backwards = backwards;
    iter->read = rocksdb_readoptions_create();
    if (first.size > 0) {
        memcpy(iter->first, first.bytes, first.size);
        iter->first_bytes = first.size;
        rocksdb_readoptions_set_iterate_lower_bound(iter->read, iter->first, first.size);
    }
    if (past_last.size > 0) {
        memcpy(iter->past, past_last.bytes, past_last.size);
        iter->past_bytes = past_last.size;
        rocksdb_readoptions_set_iterate_upper_bound(iter->read, iter->past, past_last.size);
    }
    iter->rocks = rocksdb_create_iterator(store->db, iter->read);
    return iter;
}

void vault_iter_free(struct vault_iter *iter)
{
    if (iter == NULL) {
        return;
    }
    rocksdb_iter_destroy(iter->rocks);
    rocksdb_readoptions_destroy(iter->read);
    free(iter);
}

static bool before(struct kl_slice key, const char *bound, size_t bound_bytes)
{
    size_t common = key.size < bound_bytes ? key.size : bound_bytes;
    int order = common == 0 ? 0 : memcmp(key.bytes, bound, common);
    return order < 0 || (order == 0 && key.size < bound_bytes);
}

void vault_iter_seek(struct vault_iter *iter, struct kl_slice key)
{
    iter->placed = true;
    iter->started = true;
    if (!iter->backwards) {
        if (before(key, iter->first, iter->first_bytes)) {
            rocksdb_iter_seek_to_first(iter->rocks);
        } else {
            rocksdb_iter_seek(iter->rocks, (const char *)key.bytes, key.size);
        }
    } else if (iter->past_bytes > 0 && !before(key, iter->past, iter->past_bytes)) {
        rocksdb_iter_seek_to_last(iter->rocks);
    } else {
        rocksdb_iter_seek_for_prev(iter->rocks, (const char *)key.bytes, key.size);
    }
}

static void iter_move(struct vault_iter *iter)
{
    if (iter->placed) {
        iter->placed = false;
    } else if (!iter->started) {
        iter->started = true;
        if (iter->backwards) {
            rocksdb_iter_seek_to_last(iter->rocks);
        } else {
            rocksdb_iter_seek_to_first(iter->rocks);
        }
    } else if (rocksdb_iter_valid(iter->rocks)) {
        if (iter->backwards) {
            rocksdb_iter_prev(iter->rocks);
        } else {
            rocksdb_iter_next(iter->rocks);
        }
    }
}

bool vault_iter_next(struct vault_iter *iter, struct kl_slice *ret_key, struct kl_slice *ret_value)
{
    iter_move(iter);
    if (!rocksdb_iter_valid(iter->rocks)) {
        return false;
    }
    size_t size = 0;
    const char *bytes = rocksdb_iter_key(iter->rocks, &size);
    *ret_key = kl_slice_of(bytes, size);
    bytes = rocksdb_iter_value(iter->rocks, &size);
    *ret_value = kl_slice_of(bytes, size);
    return true;
}

enum kl_status vault_iter_status(const struct vault_iter *iter, struct kl_err *err)
{
    char *error = NULL;
    rocksdb_iter_get_error(iter->rocks, &error);
    return error == NULL ? KL_OK : store_fail(err, error, "read rows");
}
