/*
 * A kms_storage in memory for tests: it can write down every write ever
 * made, fail where told, and be copied as it is at any moment.
 */
#ifndef KLUIS_TESTS_MEMORY_STORAGE_H
#define KLUIS_TESTS_MEMORY_STORAGE_H

#include "kluis/kms/storage.h"

#include <stdint.h>

struct memory_storage;

struct memory_storage *memory_storage_new(void);
void memory_storage_free(struct memory_storage *storage);
/* Valid until memory_storage_free(). */
const struct kms_storage *memory_storage_face(struct memory_storage *storage);

/* A copy of the rows alone: no counts, no recording, no failures. */
struct memory_storage *memory_storage_copy(struct memory_storage *storage);

struct memory_storage_counts {
    uint64_t applies;
    uint64_t syncs;  /* applies with sync */
    uint64_t writes; /* rows put or deleted */
    uint64_t bytes;  /* of keys and values put */
    uint64_t gets;
    uint64_t rows;
};
struct memory_storage_counts memory_storage_counts(struct memory_storage *storage);

/* From now on keep every row that is written, in order, also those of batches that fail. */
void memory_storage_record(struct memory_storage *storage);
size_t memory_storage_recorded(struct memory_storage *storage);
/* One of them; value.bytes is NULL for a deletion. */
void memory_storage_recording(struct memory_storage *storage, size_t i, struct kl_slice *ret_key,
                              struct kl_slice *ret_value);

/* The n-th apply from now (1 is the next) fails; kept says whether its rows reach the store nevertheless. 0: never. */
void memory_storage_fail_apply(struct memory_storage *storage, uint64_t n, bool kept);
/* Every get of a key that starts with this byte fails with KL_ERR_IO; 0: none. */
void memory_storage_fail_get(struct memory_storage *storage, unsigned char first_key_byte);

/* Called in apply, on the caller's thread, before and after the rows change. NULL: nobody. */
typedef void (*memory_storage_watch)(void *watcher, bool after);
void memory_storage_watch_applies(struct memory_storage *storage, memory_storage_watch watch,
                                  void *watcher);

/* Called after a get has read its row, on the caller's thread, before get returns; `after` is true. */
void memory_storage_watch_gets(struct memory_storage *storage, memory_storage_watch watch,
                               void *watcher);

/* Rows in key order, to look at and to tamper with: the value may be changed in place. NULL past the end. */
unsigned char *memory_storage_row(struct memory_storage *storage, size_t i,
                                  struct kl_slice *ret_key, size_t *ret_value_bytes);
/* Put or (value.bytes NULL) delete a row past all counts and failures. */
void memory_storage_put(struct memory_storage *storage, struct kl_slice key, struct kl_slice value);

/* Append every batch to that file, each with its length and a checksum before it counts; and read such a file back, up to the
 * first batch that is not whole. Returns false when the file cannot be used. */
bool memory_storage_journal(struct memory_storage *storage, const char *path);

#endif
