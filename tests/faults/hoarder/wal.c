/*
 * Rows out of RocksDB's write-ahead logs. Formats: the source of RocksDB
 * 7.8 to 9.10, db/log_format.h (blocks of 32 KiB; a record is checksum 4,
 * size 2, type 1, data) and db/write_batch.cc (sequence 8, count 4, then
 * operations).
 */
#include "adversary.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 32768
#define HEADER_BYTES 7
#define BATCH_HEADER_BYTES 12

enum { RECORD_FULL = 1, RECORD_FIRST = 2, RECORD_MIDDLE = 3, RECORD_LAST = 4 };
enum {
    OP_DELETION = 0x0,
    OP_VALUE = 0x1,
    OP_MERGE = 0x2,
    OP_LOG_DATA = 0x3,
    OP_SINGLE_DELETION = 0x7,
    OP_NOOP = 0xd,
    OP_RANGE_DELETION = 0xf
};

/* Up to where a file was written, and when: a place in the log. */
struct written {
    size_t past;
    uint64_t order;
};

/* A file as the log has written it so far. */
struct file {
    char *path;
    unsigned char *bytes;
    size_t size;
    size_t room;
    struct written *writes;
    size_t write_count;
    size_t write_room;
    struct file *next;
};

/* ---- the set of rows ---- */

static uint64_t row_hash(bool keys, struct bytes key, struct bytes value)
{
    return hash_of(value.at, value.size, hash_of(key.at, key.size, keys));
}

static bool row_is(const struct row *row, bool keys, struct bytes key, struct bytes value)
{
    return row->keys == keys && row->key.size == key.size && row->value.size == value.size &&
           memcmp(row->key.at, key.at, key.size) == 0 &&
           memcmp(row->value.at, value.at, value.size) == 0;
}

/* The cell where that row is, or would be. */
static size_t row_cell(const struct rows *rows, bool keys, struct bytes key, struct bytes value)
{
    size_t cell = (size_t)row_hash(keys, key, value) & (rows->cell_count - 1);

    while (rows->cells[cell] != 0 &&
           !row_is(&rows->rows[rows->cells[cell] - 1], keys, key, value)) {
        cell = (cell + 1) & (rows->cell_count - 1);
    }
    return cell;
}

bool rows_have(const struct rows *rows, bool keys, struct bytes key, struct bytes value)
{
    return rows->cells[row_cell(rows, keys, key, value)] != 0;
}

static void cells_grow(struct rows *rows)
{
    free(rows->cells);
    rows->cell_count = rows->cell_count == 0 ? 4096 : rows->cell_count * 4;
    rows->cells = make(rows->cell_count, sizeof *rows->cells);
    for (size_t i = 0; i < rows->count; i++) {
        const struct row *row = &rows->rows[i];

        rows->cells[row_cell(rows, row->keys, row->key, row->value)] = (uint32_t)(i + 1);
    }
}

static struct bytes copied(struct bytes bytes)
{
    unsigned char *copy = make(bytes.size + 1, 1);

    if (bytes.size > 0) {
        memcpy(copy, bytes.at, bytes.size);
    }
    return (struct bytes){copy, bytes.size};
}

static void row_add(struct rows *rows, bool keys, struct bytes key, struct bytes value,
                    uint64_t order)
{
    size_t cell;

    if (rows->count * 2 >= rows->cell_count) {
        cells_grow(rows);
    }
    cell = row_cell(rows, keys, key, value);
    if (rows->cells[cell] != 0) {
        return;
    }
    if (rows->count == rows->room) {
        rows->room = rows->room == 0 ? 4096 : rows->room * 2;
        rows->rows = grown(rows->rows, rows->room, sizeof *rows->rows);
    }
    rows->rows[rows->count++] = (struct row){keys, copied(key), copied(value), order};
    rows->cells[cell] = (uint32_t)rows->count;
}

/* ---- a batch ---- */

struct reader {
    struct bytes in;
    bool ok;
};

static struct bytes take(struct reader *reader, size_t size)
{
    struct bytes taken = {reader->in.at, size};

    if (!reader->ok || size > reader->in.size) {
        reader->ok = false;
        return (struct bytes){NULL, 0};
    }
    reader->in.at += size;
    reader->in.size -= size;
    return taken;
}

static struct bytes take_sized(struct reader *reader)
{
    uint64_t size = 0;

    for (unsigned shift = 0; shift < 35; shift += 7) {
        struct bytes one = take(reader, 1);

        if (!reader->ok) {
            break;
        }
        size |= (uint64_t)(one.at[0] & 0x7f) << shift;
        if ((one.at[0] & 0x80) == 0) {
            return take(reader, (size_t)size);
        }
    }
    reader->ok = false;
    return (struct bytes){NULL, 0};
}

static void batch_read(struct rows *rows, bool keys, struct bytes batch, uint64_t order)
{
    struct reader reader = {batch, true};

    (void)take(&reader, BATCH_HEADER_BYTES);
    while (reader.ok && reader.in.size > 0) {
        unsigned kind = take(&reader, 1).at[0];
        struct bytes key;

        switch (kind) {
        case OP_VALUE:
        case OP_MERGE:
            key = take_sized(&reader);
            {
                struct bytes value = take_sized(&reader);

                if (reader.ok) {
                    row_add(rows, keys, key, value, order);
                }
            }
            break;
        case OP_RANGE_DELETION:
            (void)take_sized(&reader);
            (void)take_sized(&reader);
            break;
        case OP_DELETION:
        case OP_SINGLE_DELETION:
        case OP_LOG_DATA:
            (void)take_sized(&reader);
            break;
        case OP_NOOP:
            break;
        default:
            stop("a batch holds an operation of a kind not known here: %u", kind);
        }
    }
    if (!reader.ok) {
        rows->damaged++;
    }
}

/* ---- a write-ahead log ---- */

/* When the file came to have that many bytes. */
static uint64_t order_at(const struct file *file, size_t bytes, size_t *from)
{
    while (*from + 1 < file->write_count && file->writes[*from].past < bytes) {
        (*from)++;
    }
    return file->writes[*from].order;
}

static void wal_read(struct rows *rows, const struct file *file)
{
    size_t write = 0;
    bool keys = strstr(file->path, "/keys/") != NULL;
    unsigned char *batch = make(file->size, 1);
    size_t batch_bytes = 0;
    size_t at = 0;

    while (file->size - at >= HEADER_BYTES) {
        size_t left = BLOCK_BYTES - at % BLOCK_BYTES;
        const unsigned char *header = file->bytes + at;
        size_t size;
        unsigned type;

        if (left < HEADER_BYTES) {
            at += left;
            continue;
        }
        size = (size_t)get_le(header + 4, 2);
        type = header[6];
        if (type == 0 && size == 0) {
            at += left; /* the rest of the block was not written */
            if (at > file->size) {
                break;
            }
            continue;
        }
        if (type > RECORD_LAST) {
            stop("%s: a record of a kind not known here: %u", file->path, type);
        }
        if (size > file->size - at - HEADER_BYTES || size > left - HEADER_BYTES) {
            rows->damaged++; /* cut short by a kill */
            break;
        }
        if (type == RECORD_FULL || type == RECORD_FIRST) {
            batch_bytes = 0;
        }
        memcpy(batch + batch_bytes, header + HEADER_BYTES, size);
        batch_bytes += size;
        if (type == RECORD_FULL || type == RECORD_LAST) {
            batch_read(rows, keys, (struct bytes){batch, batch_bytes},
                       order_at(file, at + HEADER_BYTES + size, &write));
        }
        at += HEADER_BYTES + size;
    }
    free(batch);
}

/* ---- the files ---- */

static bool is_wal(const char *path)
{
    size_t size = strlen(path);

    return size > 4 && strcmp(path + size - 4, ".log") == 0;
}

static struct file *file_of(struct file **files, const char *path)
{
    struct file *file = *files;

    while (file != NULL && strcmp(file->path, path) != 0) {
        file = file->next;
    }
    if (file == NULL) {
        file = make(1, sizeof *file);
        file->path = strdup(path);
        file->next = *files;
        *files = file;
    }
    return file;
}

static void file_end(struct rows *rows, struct file *file)
{
    if (file->size > 0) {
        wal_read(rows, file);
    }
    file->size = 0;
    file->write_count = 0;
}

static void file_write(struct rows *rows, struct file *file, const struct record *record)
{
    size_t past = (size_t)record->number + record->data.size;

    if (record->number == 0 && file->size > 0) {
        file_end(rows, file); /* another file of that name */
    }
    if (past > file->room) {
        file->room = past * 2;
        file->bytes = grown(file->bytes, file->room, 1);
    }
    if (record->number > file->size) {
        memset(file->bytes + file->size, 0, (size_t)record->number - file->size);
    }
    memcpy(file->bytes + record->number, record->data.at, record->data.size);
    if (past > file->size) {
        file->size = past;
    }
    if (file->write_count == file->write_room) {
        file->write_room = file->write_room == 0 ? 64 : file->write_room * 2;
        file->writes = grown(file->writes, file->write_room, sizeof *file->writes);
    }
    file->writes[file->write_count++] = (struct written){past, record->place};
}

void rows_collect(struct rows *rows, const char *log_path)
{
    struct record record;
    struct file *files = NULL;
    struct log log;

    *rows = (struct rows){0};
    cells_grow(rows);
    log_open(&log, log_path);
    while (log_next(&log, &record)) {
        if (record.op == 'W' && is_wal(record.path)) {
            file_write(rows, file_of(&files, record.path), &record);
        } else if (record.op == 'M') {
            stop("%s is written through mapped memory, which nobody sees", record.path);
        }
    }
    while (files != NULL) {
        struct file *next = files->next;

        file_end(rows, files);
        free(files->path);
        free(files->bytes);
        free(files->writes);
        free(files);
        files = next;
    }
}
