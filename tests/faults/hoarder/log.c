#include "adversary.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_BYTES 32
static const char begin_mark[] = "KLUIS IO BEGINS\n";

void stop(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)fprintf(stderr, "adversary: ");
    (void)vfprintf(stderr, format, arguments);
    (void)fprintf(stderr, "\n");
    va_end(arguments);
    exit(2);
}

void *make(size_t count, size_t size)
{
    void *made = calloc(count == 0 ? 1 : count, size);

    if (made == NULL) {
        stop("no memory");
    }
    return made;
}

void *grown(void *array, size_t count, size_t size)
{
    void *moved = reallocarray(array, count, size);

    if (moved == NULL) {
        stop("no memory");
    }
    return moved;
}

uint64_t get_be(const unsigned char *at, unsigned count)
{
    uint64_t number = 0;

    for (unsigned i = 0; i < count; i++) {
        number = number << 8 | at[i];
    }
    return number;
}

uint64_t get_le(const unsigned char *at, unsigned count)
{
    uint64_t number = 0;

    for (unsigned i = count; i-- > 0;) {
        number = number << 8 | at[i];
    }
    return number;
}

void put_be(unsigned char *at, uint64_t number, unsigned count)
{
    for (unsigned i = count; i-- > 0;) {
        at[i] = (unsigned char)number;
        number >>= 8;
    }
}

/* FNV-1a, and the finaliser of MurmurHash3: nobody chooses what is hashed here. */
uint64_t hash_of(const void *bytes, size_t size, uint64_t start)
{
    const unsigned char *at = bytes;
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ start;

    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    }
    hash ^= hash >> 33;
    hash *= UINT64_C(0xff51afd7ed558ccd);
    hash ^= hash >> 33;
    return hash;
}

/* ---- the log ---- */

void log_open(struct log *log, const char *path)
{
    struct stat file;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *mapped;

    if (fd < 0 || fstat(fd, &file) != 0 || file.st_size == 0) {
        stop("the log %s cannot be read", path);
    }
    mapped = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapped == MAP_FAILED) {
        stop("the log %s cannot be mapped", path);
    }
    (void)close(fd);
    *log = (struct log){.all = {mapped, (size_t)file.st_size}, .at = 0};
}

static size_t mark_find(const struct log *log, size_t from)
{
    const unsigned char *found =
        from >= log->all.size
            ? NULL
            : memmem(log->all.at + from, log->all.size - from, begin_mark, sizeof begin_mark - 1);

    return found == NULL ? SIZE_MAX : (size_t)(found - log->all.at);
}

/* A record that a kill cut short is passed over: the next process begins with a mark. */
bool log_next(struct log *log, struct record *ret)
{
    while (log->all.size - log->at >= HEADER_BYTES) {
        const unsigned char *header = log->all.at + log->at;
        size_t path_bytes = (size_t)get_le(header + 6, 2);
        size_t data_bytes = (size_t)get_le(header + 12, 4);
        size_t bytes = HEADER_BYTES + path_bytes + data_bytes;
        size_t mark = SIZE_MAX;
        bool whole = memcmp(header, "KLIO", 4) == 0 && bytes <= log->all.size - log->at &&
                     path_bytes < sizeof ret->path;

        if (whole && data_bytes >= sizeof begin_mark - 1 && header[4] != 'S') {
            const struct log part = {.all = {log->all.at, log->at + bytes}};

            whole = mark_find(&part, log->at) == SIZE_MAX;
        }
        if (whole) {
            ret->op = (char)header[4];
            ret->number = get_le(header + 24, 8);
            ret->place = log->at;
            memcpy(ret->path, header + HEADER_BYTES, path_bytes);
            ret->path[path_bytes] = 0;
            ret->data = (struct bytes){header + HEADER_BYTES + path_bytes, data_bytes};
            log->at += bytes;
            return true;
        }
        mark = mark_find(log, log->at + 1);
        if (mark == SIZE_MAX) {
            return false;
        }
        log->at = mark - HEADER_BYTES;
    }
    return false;
}

/* ---- searching ---- */

#define PREFIX_BYTES 8

struct needle {
    struct bytes bytes;
    uint64_t id;
    uint32_t next; /* with the same cell; 0: none */
};
struct needles {
    struct needle *all; /* the first is not used */
    size_t count;
    size_t room;
    uint32_t *cells;
    size_t cell_count;
};

struct needles *needles_new(void)
{
    struct needles *needles = make(1, sizeof *needles);

    needles->room = 1024;
    needles->all = make(needles->room, sizeof *needles->all);
    needles->count = 1;
    needles->cell_count = 1u << 12;
    needles->cells = make(needles->cell_count, sizeof *needles->cells);
    return needles;
}

static size_t cell_of(const struct needles *needles, const unsigned char *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof word);
    word *= UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(word >> 20) & (needles->cell_count - 1);
}

static void cells_fill(struct needles *needles)
{
    free(needles->cells);
    needles->cell_count *= 4;
    needles->cells = make(needles->cell_count, sizeof *needles->cells);
    for (size_t i = 1; i < needles->count; i++) {
        size_t cell = cell_of(needles, needles->all[i].bytes.at);

        needles->all[i].next = needles->cells[cell];
        needles->cells[cell] = (uint32_t)i;
    }
}

void needles_add(struct needles *needles, struct bytes needle, uint64_t id)
{
    size_t cell;

    if (needle.size < PREFIX_BYTES) {
        stop("a text of %zu bytes is too short to be looked for", needle.size);
    }
    if (needles->count * 2 > needles->cell_count) {
        cells_fill(needles);
    }
    cell = cell_of(needles, needle.at);
    for (uint32_t i = needles->cells[cell]; i != 0; i = needles->all[i].next) {
        const struct needle *other = &needles->all[i];

        if (other->bytes.size == needle.size &&
            memcmp(other->bytes.at, needle.at, needle.size) == 0) {
            return;
        }
    }
    if (needles->count == needles->room) {
        needles->room *= 2;
        needles->all = grown(needles->all, needles->room, sizeof *needles->all);
    }
    needles->all[needles->count] =
        (struct needle){.bytes = needle, .id = id, .next = needles->cells[cell]};
    needles->cells[cell] = (uint32_t)needles->count++;
}

size_t needles_count(const struct needles *needles)
{
    return needles->count - 1;
}

void needles_search(const struct needles *needles, struct bytes in,
                    void (*found)(void *context, uint64_t id, size_t at), void *context)
{
    for (size_t at = 0; at + PREFIX_BYTES <= in.size; at++) {
        for (uint32_t i = needles->cells[cell_of(needles, in.at + at)]; i != 0;
             i = needles->all[i].next) {
            const struct needle *needle = &needles->all[i];

            if (needle->bytes.size <= in.size - at &&
                memcmp(needle->bytes.at, in.at + at, needle->bytes.size) == 0) {
                found(context, needle->id, at);
            }
        }
    }
}
