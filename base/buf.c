#include "kluis/base/buf.h"

#include <assert.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_MAX_BYTES ((size_t)1 << 30)
#define BUF_FIRST_BYTES 256

void kl_buf_init(struct kl_buf *buf, size_t max)
{
    assert(max >= 1 && max <= BUF_MAX_BYTES);
    *buf = (struct kl_buf){.max = max};
}

static void buf_release(struct kl_buf *buf)
{
    if (buf->bytes != NULL) {
        sodium_memzero(buf->bytes, buf->capacity);
        free(buf->bytes);
    }
}

void kl_buf_done(struct kl_buf *buf)
{
    buf_release(buf);
    *buf = (struct kl_buf){.max = buf->max};
}

void kl_buf_clear(struct kl_buf *buf)
{
    if (buf->bytes != NULL) {
        /* Also what a failed printf or a dropped tail left behind the content. */
        sodium_memzero(buf->bytes, buf->capacity);
    }
    buf->size = 0;
    buf->failed = false;
    buf->no_memory = false;
}

/* Grow so that more bytes and the 0 byte fit. False, and failed is set, when they may not. */
static bool buf_grow(struct kl_buf *buf, size_t more)
{
    unsigned char *bytes;
    size_t needed;
    size_t capacity;

    if (buf->failed) {
        return false;
    }
    if (more > buf->max - buf->size) {
        buf->failed = true;
        return false;
    }
    needed = buf->size + more + 1;
    if (needed <= buf->capacity) {
        return true;
    }
    capacity = buf->capacity > 0 ? buf->capacity * 2 : BUF_FIRST_BYTES;
    if (capacity < needed) {
        capacity = needed;
    }
    if (capacity > buf->max + 1) {
        capacity = buf->max + 1;
    }
    bytes = malloc(capacity);
    if (bytes == NULL) {
        buf->failed = true;
        buf->no_memory = true;
        return false;
    }
    if (buf->size > 0) {
        memcpy(bytes, buf->bytes, buf->size);
    }
    buf_release(buf);
    buf->bytes = bytes;
    buf->capacity = capacity;
    buf->bytes[buf->size] = 0;
    return true;
}

/* Without a failure nothing more than a comparison stands before the copy. */
static inline bool buf_room(struct kl_buf *buf, size_t more)
{
    return (!buf->failed && more < buf->capacity - buf->size) || buf_grow(buf, more);
}

unsigned char *kl_buf_extend(struct kl_buf *buf, size_t size)
{
    unsigned char *at;

    if (!buf_room(buf, size)) {
        return NULL;
    }
    at = buf->bytes + buf->size;
    buf->size += size;
    buf->bytes[buf->size] = 0;
    return at;
}

void kl_buf_add(struct kl_buf *buf, const void *bytes, size_t size)
{
    unsigned char *at = size > 0 ? kl_buf_extend(buf, size) : NULL;

    if (at != NULL) {
        memcpy(at, bytes, size);
    }
}

void kl_buf_add_text(struct kl_buf *buf, const char *text)
{
    kl_buf_add(buf, text, strlen(text));
}

void kl_buf_add_byte(struct kl_buf *buf, unsigned char byte)
{
    if (buf_room(buf, 1)) {
        buf->bytes[buf->size++] = byte;
        buf->bytes[buf->size] = 0;
    }
}

void kl_buf_add_u16be(struct kl_buf *buf, uint16_t value)
{
    unsigned char bytes[2] = {(unsigned char)(value >> 8), (unsigned char)value};

    kl_buf_add(buf, bytes, sizeof(bytes));
}

void kl_buf_add_u32be(struct kl_buf *buf, uint32_t value)
{
    unsigned char bytes[4];

    kl_put_u32be(bytes, value);
    kl_buf_add(buf, bytes, sizeof(bytes));
}

void kl_buf_add_u64be(struct kl_buf *buf, uint64_t value)
{
    unsigned char bytes[8];

    kl_put_u64be(bytes, value);
    kl_buf_add(buf, bytes, sizeof(bytes));
}

void kl_buf_add_sized(struct kl_buf *buf, const void *bytes, size_t size)
{
    if (size > UINT32_MAX) {
        buf->failed = true;
        return;
    }
    kl_buf_add_u32be(buf, (uint32_t)size);
    kl_buf_add(buf, bytes, size);
}

void kl_buf_addf(struct kl_buf *buf, const char *format, ...)
{
    va_list args;
    va_list again;
    size_t room;
    int length;

    if (!buf_room(buf, 0)) {
        return;
    }
    va_start(args, format);
    va_copy(again, args);
    room = buf->capacity - buf->size;
    length = vsnprintf((char *)buf->bytes + buf->size, room, format, args);
    if (length < 0) {
        buf->failed = true;
    } else if ((size_t)length < room) {
        buf->size += (size_t)length;
    } else if (buf_grow(buf, (size_t)length)) {
        (void)vsnprintf((char *)buf->bytes + buf->size, (size_t)length + 1, format, again);
        buf->size += (size_t)length;
    }
    if (buf->failed) {
        buf->bytes[buf->size] = 0;
    }
    va_end(again);
    va_end(args);
}

enum kl_status kl_buf_status(const struct kl_buf *buf, struct kl_err *err)
{
    if (!buf->failed) {
        return KL_OK;
    }
    if (buf->no_memory) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory",
                       "the server is short of memory; try again",
                       "no memory for a buffer of %zu bytes", buf->size);
    }
    return kl_fail(err, KL_ERR_TOO_LARGE, "too_large", "too much data at once; ask for less",
                   "a buffer of at most %zu bytes is full", buf->max);
}

struct kl_slice kl_buf_slice(const struct kl_buf *buf)
{
    return (struct kl_slice){.bytes = buf->bytes, .size = buf->size};
}

struct kl_slice kl_slice_of(const void *bytes, size_t size)
{
    assert(bytes != NULL || size == 0);
    return (struct kl_slice){.bytes = bytes, .size = size};
}

struct kl_slice kl_slice_text(const char *text)
{
    return kl_slice_of(text, strlen(text));
}

bool kl_slice_equal(struct kl_slice a, struct kl_slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.bytes, b.bytes, a.size) == 0);
}

bool kl_slice_equal_text(struct kl_slice a, const char *text)
{
    return kl_slice_equal(a, kl_slice_text(text));
}

struct kl_reader kl_reader_of(struct kl_slice slice)
{
    return (struct kl_reader){.bytes = slice.bytes, .size = slice.size, .ok = true};
}

/* Where the next size bytes are; NULL when there are not so many. */
static const unsigned char *reader_take(struct kl_reader *reader, size_t size)
{
    const unsigned char *at;

    if (!reader->ok || size > reader->size - reader->at) {
        reader->ok = false;
        return NULL;
    }
    at = size > 0 ? reader->bytes + reader->at : reader->bytes;
    reader->at += size;
    return at;
}

uint8_t kl_read_byte(struct kl_reader *reader)
{
    const unsigned char *at = reader_take(reader, 1);

    return at != NULL ? at[0] : 0;
}

uint16_t kl_read_u16be(struct kl_reader *reader)
{
    const unsigned char *at = reader_take(reader, 2);

    return at != NULL ? (uint16_t)(at[0] << 8 | at[1]) : 0;
}

uint32_t kl_read_u32be(struct kl_reader *reader)
{
    const unsigned char *at = reader_take(reader, 4);

    return at != NULL ? kl_get_u32be(at) : 0;
}

uint64_t kl_read_u64be(struct kl_reader *reader)
{
    const unsigned char *at = reader_take(reader, 8);

    return at != NULL ? kl_get_u64be(at) : 0;
}

struct kl_slice kl_read_bytes(struct kl_reader *reader, size_t size)
{
    const unsigned char *at = reader_take(reader, size);

    return (struct kl_slice){.bytes = at, .size = reader->ok ? size : 0};
}

struct kl_slice kl_read_sized(struct kl_reader *reader)
{
    uint32_t size = kl_read_u32be(reader);

    return kl_read_bytes(reader, size);
}

bool kl_reader_done(const struct kl_reader *reader)
{
    return reader->ok && reader->at == reader->size;
}

void kl_put_u32be(unsigned char out[4], uint32_t value)
{
    out[0] = (unsigned char)(value >> 24);
    out[1] = (unsigned char)(value >> 16);
    out[2] = (unsigned char)(value >> 8);
    out[3] = (unsigned char)value;
}

void kl_put_u64be(unsigned char out[8], uint64_t value)
{
    kl_put_u32be(out, (uint32_t)(value >> 32));
    kl_put_u32be(out + 4, (uint32_t)value);
}

uint32_t kl_get_u32be(const unsigned char in[4])
{
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

uint64_t kl_get_u64be(const unsigned char in[8])
{
    return (uint64_t)kl_get_u32be(in) << 32 | kl_get_u32be(in + 4);
}
