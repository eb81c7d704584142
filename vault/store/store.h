/*
 * The engine interface: an ordered byte store with atomic durable batches.
 * Whatever engine is below (RocksDB now, a SQL engine later) sees sealed
 * bytes, slot numbers, sizes and times, nothing else.
 * Keys compare as unsigned bytes.
 */
#ifndef VAULT_STORE_STORE_H
#define VAULT_STORE_STORE_H

#include "kluis/base/buf.h"
#include "kluis/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_STORE_KEY_MAX_BYTES 128
#define VAULT_STORE_VALUE_MAX_BYTES (2 * 1024 * 1024)

/* So much of the disk a store needs at most for what its log holds to become a table, at any time and when it is opened; and as much is taken for a new log. */
#define VAULT_STORE_WRITE_BUFFER_BYTES ((size_t)64 * 1024 * 1024)

struct vault_store;
struct vault_batch;

struct vault_store_options {
    const char *path;
    bool
        create; /* make it; KL_ERR_EXISTS when there is one. Else open; KL_ERR_NOT_FOUND when there is none */
    size_t cache_bytes; /* block cache; 0: 64 MiB */
    size_t
        write_buffer_bytes; /* what is written goes into a table when it is so much; 0: VAULT_STORE_WRITE_BUFFER_BYTES */
    bool
        read_only; /* not with create: a store at rest is read as it is, nothing in it is changed, and apply fails */
    bool
        disk_may_go; /* a second copy: a disk that fails under it must not end the process (rocksdb.c) */
};
/* Threads: open and close from one; all else from any number. KL_ERR_IO, KL_ERR_CORRUPT, KL_ERR_BUSY (another process has it open). */
KL_MUST_USE enum kl_status vault_store_open(const struct vault_store_options *options,
                                            struct vault_store **ret_store, struct kl_err *err);
void vault_store_close(struct vault_store *store);
/* What is called from now on where a write or sync failed, before anybody is told; it may end the process. Before other threads use the store. */
void vault_store_on_failure(struct vault_store *store, void (*failed)(const struct kl_err *err));

/*
 * A batch: one thread at a time. Its bytes are ciphertext and bookkeeping, so it does not wipe. put and remove copy. Keys are
 * 1..VAULT_STORE_KEY_MAX_BYTES. A value that is too large, or memory that runs out, is kept in mind and refused by
 * vault_store_apply (KL_ERR_TOO_LARGE, KL_ERR_NO_MEMORY), which then writes nothing and is no failure of the store.
 */
struct vault_batch *vault_batch_new(void); /* NULL when out of memory */
void vault_batch_free(struct vault_batch *batch);
void vault_batch_clear(struct vault_batch *batch);
void vault_batch_put(struct vault_batch *batch, struct kl_slice key, struct kl_slice value);
void vault_batch_remove(struct vault_batch *batch, struct kl_slice key);
void vault_batch_remove_range(struct vault_batch *batch, struct kl_slice first,
                              struct kl_slice past_last);
/* Append all of from's operations to batch. */
void vault_batch_append(struct vault_batch *batch, const struct vault_batch *from);
size_t vault_batch_count(const struct vault_batch *batch);
/* KL_OK, or why the batch cannot be applied: KL_ERR_TOO_LARGE "store_value_too_large", KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_batch_status(const struct vault_batch *batch, struct kl_err *err);
/*
 * What batch last does to key: false when it does nothing to it (ranges are not looked at). ret_value (bytes NULL: removed) lives until
 * batch changes.
 */
bool vault_batch_find(const struct vault_batch *batch, struct kl_slice key,
                      struct kl_slice *ret_value);

/* ret is made by the caller (kl_buf_init) and appended to. KL_ERR_NOT_FOUND, KL_ERR_IO, KL_ERR_TOO_LARGE. */
KL_MUST_USE enum kl_status vault_store_get(struct vault_store *store, struct kl_slice key,
                                           struct kl_buf *ret, struct kl_err *err);
/* Several at once; statuses[i] is KL_OK or KL_ERR_NOT_FOUND. */
KL_MUST_USE enum kl_status vault_store_get_many(struct vault_store *store,
                                                const struct kl_slice *keys, size_t count,
                                                struct kl_buf *rets, enum kl_status *statuses,
                                                struct kl_err *err);
/*
 * Atomic; with sync it is on the disk when this returns KL_OK. After a failed write nothing is known of the disk: it is logged once and
 * every later apply fails with KL_ERR_IO "store_failed" (fail-stop). The batch is left as it is.
 */
KL_MUST_USE enum kl_status vault_store_apply(struct vault_store *store, struct vault_batch *batch,
                                             bool sync, struct kl_err *err);

/*
 * A consistent copy of everything applied so far, by hard links, in the folder path beside the store's (the same file system; must be missing), while
 * reads and writes go on. KL_ERR_IO, KL_ERR_EXISTS "store_copy_exists".
 */
KL_MUST_USE enum kl_status vault_store_checkpoint(struct vault_store *store, const char *path,
                                                  struct kl_err *err);

/*
 * Write the files anew that hold rows of [first, past_last), so that what was removed there is in none of them; as long as rows and files are
 * many. Reads and writes go on; a failure shows at the next write. Copies (checkpoint) and files that an iterator still reads keep theirs.
 */
void vault_store_compact(struct vault_store *store, struct kl_slice first,
                         struct kl_slice past_last);

/* An iterator over [first, past_last) as of its making; past_last may be empty for "to the end". NULL when out of memory. One thread. */
struct vault_iter;
struct vault_iter *vault_iter_new(struct vault_store *store, struct kl_slice first,
                                  struct kl_slice past_last, bool backwards);
void vault_iter_free(struct vault_iter *iter);
/* The next row given is the first at or behind key (backwards: at or before it), within the range. The view stays that of the making. */
void vault_iter_seek(struct vault_iter *iter, struct kl_slice key);
/* False at the end or on an error (vault_iter_status tells). The slices live until the next call. */
bool vault_iter_next(struct vault_iter *iter, struct kl_slice *ret_key, struct kl_slice *ret_value);
KL_MUST_USE enum kl_status vault_iter_status(const struct vault_iter *iter, struct kl_err *err);

#endif
