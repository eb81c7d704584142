/* Texts of bytes: hex, base64url without padding (RFC 4648 section 5), and strict UTF-8 (RFC 3629). */
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
/* Exactly size bytes must come out of text; false else, out is then wiped. Takes no padding, no white space. */
bool kl_base64_decode(const char *text, size_t text_bytes, void *out, size_t size);
bool kl_hex_decode(const char *text, size_t text_bytes, void *out, size_t size);
/* Well-formed UTF-8 without surrogates, at most U+10FFFF. */
bool kl_utf8_valid(const void *text, size_t size);

#endif
