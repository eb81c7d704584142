/*
 * Texts of bytes: hex, base64url without padding (RFC 4648 section 5), and strict UTF-8 (RFC
 * 3629).
 */
#ifndef KLUIS_BASE_ENCODE_H
#define KLUIS_BASE_ENCODE_H

#include <stdbool.h>
#include <stddef.h>

/* Characters of base64url for n bytes, without the 0 byte. */
#define KL_BASE64_CHARS(n) (((n)*4 + 2) / 3)

/* out has room for 2 * size + 1; lower case. */
void kl_hex(const void *bytes, size_t size, char *out);
/* out has room for KL_BASE64_CHARS(size) + 1. */
void kl_base64(const void *bytes, size_t size, char *out);
/*
 * Exactly size bytes must come out of text; false else, out is then wiped. Takes no padding, no
 * white space.
 */
bool kl_base64_decode(const char *text, size_t text_bytes, void *out, size_t size);
/* As kl_base64_decode(); takes either case. */
bool kl_hex_decode(const char *text, size_t text_bytes, void *out, size_t size);

/* Well-formed UTF-8 without surrogates, at most U+10FFFF. An empty text is. */
bool kl_utf8_valid(const void *text, size_t size);
/*
 * Bytes (1..4) of the one well-formed character that text[0..size) starts with; 0 when it starts
 * with none.
 */
size_t kl_utf8_char_bytes(const void *text, size_t size);
/*
 * How much of text[0..size) to keep, at most max bytes, so that it ends with a whole character; one
 * that is cut short in text itself goes too.
 */
size_t kl_utf8_cut(const void *text, size_t size, size_t max);

#endif
