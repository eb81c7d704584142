/*
 * Who kept every byte that was ever written to a vault, knows its formats,
 * and has some root keys: what can they read? Written from the texts of
 * kms/format.h, vault/rows.h, vault/manifest.h and vault/index_rows.h alone,
 * with libsodium; it shares no code with the vault.
 *
 *   log.c    the log of all writes (tests/support/watch_io/), and searching it
 *   wal.c    rows out of RocksDB's write-ahead logs
 *   tree.c   pages of keys: all that open, and the keys that grow from them
 *   blobs.c  sealed values: where they lie, what their context may be, which key opens them
 *   main.c   the course of it, and what is written down about it
 */
#ifndef HOARDER_ADVERSARY_H
#define HOARDER_ADVERSARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_BYTES 32
#define NONE UINT64_MAX

struct bytes {
    const unsigned char *at;
    size_t size;
};

uint64_t get_be(const unsigned char *at, unsigned count);
uint64_t get_le(const unsigned char *at, unsigned count);
void put_be(unsigned char *at, uint64_t number, unsigned count);
uint64_t hash_of(const void *bytes, size_t size, uint64_t start);
/* calloc, realloc; the end of the program when there is no memory. */
void *make(size_t count, size_t size);
void *grown(void *array, size_t count, size_t size);
_Noreturn void stop(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- log.c ---- */

struct record {
    char op;
    char path[4096];
    uint64_t number;
    struct bytes data;
    uint64_t place; /* in the log: the order of things */
};
struct log {
    struct bytes all;
    size_t at;
};
void log_open(struct log *log, const char *path);
bool log_next(struct log *log, struct record *ret);

/* A set of texts to be looked for at every place of some bytes; each at least 8 bytes. */
struct needles;
struct needles *needles_new(void);
/* id is given back when it is found. The bytes must stay. The same bytes again are left out. */
void needles_add(struct needles *needles, struct bytes needle, uint64_t id);
size_t needles_count(const struct needles *needles);
/* Calls found for each that is there. */
void needles_search(const struct needles *needles, struct bytes in,
                    void (*found)(void *context, uint64_t id, size_t at), void *context);

/* ---- wal.c ---- */

/* keys: of the key store; otherwise of the data. order: the place in the log from which it is known. */
struct row {
    bool keys;
    struct bytes key;
    struct bytes value;
    uint64_t order;
};
struct rows {
    struct row *rows;
    size_t count;
    size_t room;
    uint32_t *cells;
    size_t cell_count;
    uint64_t damaged; /* records of write-ahead logs that could not be read */
};
/* All different rows that the log's files hold. */
void rows_collect(struct rows *rows, const char *log_path);
/* False: there is no such row. */
bool rows_have(const struct rows *rows, bool keys, struct bytes key, struct bytes value);

/* ---- tree.c ---- */

struct address {
    uint64_t tenant;
    uint64_t slot;
    uint64_t index;
    uint8_t tree;
    uint8_t height;
    uint8_t level;
};
struct place {
    uint64_t tenant;
    uint64_t slot;  /* NONE: the tenant itself */
    uint64_t value; /* NONE: the slot itself */
};
struct root_key {
    unsigned char key[KEY_BYTES];
    uint64_t generation;
    unsigned char store_id[16];
};

struct tree;
struct tree *tree_new(const struct rows *rows);
/* Open every page that these keys open, directly or through others. everywhere: also try every key found on every page. Returns how many opened. */
size_t tree_search(struct tree *tree, const struct root_key *keys, size_t count, bool everywhere);
size_t tree_pages(const struct tree *tree);
/* The distinct keys that a place may have, by all that opened; at most max. */
size_t tree_keys(const struct tree *tree, const struct place *place,
                 unsigned char (*ret_keys)[KEY_BYTES], size_t max);
/* All secrets in opened pages. */
void tree_secrets(const struct tree *tree,
                  void (*visit)(void *context, const unsigned char key[KEY_BYTES]), void *context);
/* A slot of a root file, whole and bare. */
bool root_slot_read(struct bytes slot, struct root_key *ret);

/* ---- blobs.c ---- */

struct context {
    unsigned char *at;
    size_t size;
};
/* One sealed value. kind: 'H' base or record's manifest, 'V', 'B', 'I', 'J' a closing, 'K' of a record that was kept, 'F' a
 * chunk of a file (row_key: the file's id and the chunk's number). */
struct blob {
    char kind;
    struct place place;
    struct bytes sealed;
    struct context *contexts; /* that it may have been sealed with */
    size_t context_count;
    uint64_t order;
    struct bytes row_key;
};
struct blobs {
    struct blob *blobs;
    size_t count;
    size_t room;
};
void blobs_collect(struct blobs *blobs, const struct rows *rows);
/* All chunks of files that were ever written (vault/files.h). */
void blobs_collect_files(struct blobs *blobs, const char *log_path);
void blob_context_add(struct blob *blob, const void *context, size_t size);
/* Add to all values of that slot the contexts that a record's manifest names. */
void blobs_learn(struct blobs *blobs, const struct place *place, struct bytes manifest);
/* With that key and any of the blob's contexts. ret_plain has room for the sealed bytes. */
bool blob_open(const struct blob *blob, const unsigned char key[KEY_BYTES],
               unsigned char *ret_plain, size_t *ret_bytes);

#endif
