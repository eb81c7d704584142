/*
 * A growing byte buffer for plaintext: it has a maximum from birth, and
 * wipes what it leaves behind when it grows and when it ends.
 *
 * Always true: bytes[0..size) is content; bytes[size] is a 0 byte once
 * anything was allocated; size <= max; failed is sticky, so a writer may
 * append many times and look once at the end.
 * Threads: one at a time.
 */
#ifndef KLUIS_BASE_BUF_H
#define KLUIS_BASE_BUF_H

#include "kluis/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kl_buf {
    unsigned char *bytes;
    size_t size;
    size_t capacity; /* bytes allocated; more than size, or 0 */
    size_t max;
    bool failed; /* an append did not fit max, or memory ran out: the content is not to be used */
    bool no_memory; /* which of the two it was */
};

/* A view of bytes that somebody else owns. bytes may be NULL when size is 0. */
struct kl_slice {
    const unsigned char *bytes;
    size_t size;
};

/* Make an empty buffer that will hold at most max bytes (1..1 GiB). Allocates nothing. */
void kl_buf_init(struct kl_buf *buf, size_t max);
/*
 * Wipe and release; the struct is again as after kl_buf_init() with the same max. A zeroed struct
 * is fine too.
 */
void kl_buf_done(struct kl_buf *buf);
/* Wipe the content, keep the memory for use again; failed is cleared. */
void kl_buf_clear(struct kl_buf *buf);

/*
 * Append; on failure the buffer is marked failed and nothing more is appended. bytes must not lie
 * in the buffer itself.
 */
void kl_buf_add(struct kl_buf *buf, const void *bytes, size_t size);
void kl_buf_add_text(struct kl_buf *buf, const char *text);
void kl_buf_add_byte(struct kl_buf *buf, unsigned char byte);
void kl_buf_add_u16be(struct kl_buf *buf, uint16_t value);
void kl_buf_add_u32be(struct kl_buf *buf, uint32_t value);
void kl_buf_add_u64be(struct kl_buf *buf, uint64_t value);
/* A 32-bit big-endian length, then the bytes. */
void kl_buf_add_sized(struct kl_buf *buf, const void *bytes, size_t size);
void kl_buf_addf(struct kl_buf *buf, const char *format, ...) KL_PRINTF(2, 3);
/*
 * Make room for size more bytes and return where they go (uninitialised); NULL on failure. Counts
 * them as content at once.
 */
unsigned char *kl_buf_extend(struct kl_buf *buf, size_t size);

/*
 * KL_OK, or the failure that is sticky in the buffer: KL_ERR_TOO_LARGE "too_large",
 * KL_ERR_NO_MEMORY "no_memory".
 */
KL_MUST_USE enum kl_status kl_buf_status(const struct kl_buf *buf, struct kl_err *err);
struct kl_slice kl_buf_slice(const struct kl_buf *buf);

struct kl_slice kl_slice_of(const void *bytes, size_t size);
struct kl_slice kl_slice_text(const char *text);
/* Plain comparison of public bytes; secrets are compared with sodium_memcmp. */
bool kl_slice_equal(struct kl_slice a, struct kl_slice b);
bool kl_slice_equal_text(struct kl_slice a, const char *text);

/*
 * A reader of what kl_buf_add_*() wrote. ok turns false at the first read
 * past the end and stays so; reads then give 0 or an empty slice.
 */
struct kl_reader {
    const unsigned char *bytes;
    size_t size;
    size_t at;
    bool ok;
};
struct kl_reader kl_reader_of(struct kl_slice slice);
uint8_t kl_read_byte(struct kl_reader *reader);
uint16_t kl_read_u16be(struct kl_reader *reader);
uint32_t kl_read_u32be(struct kl_reader *reader);
uint64_t kl_read_u64be(struct kl_reader *reader);
struct kl_slice kl_read_bytes(struct kl_reader *reader, size_t size);
struct kl_slice kl_read_sized(struct kl_reader *reader);
/* True when all was read and nothing is left over. */
bool kl_reader_done(const struct kl_reader *reader);

void kl_put_u32be(unsigned char out[4], uint32_t value);
void kl_put_u64be(unsigned char out[8], uint64_t value);
uint32_t kl_get_u32be(const unsigned char in[4]);
uint64_t kl_get_u64be(const unsigned char in[8]);

#endif
