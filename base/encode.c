#include "kluis/base/encode.h"

#include <assert.h>
#include <limits.h>
#include <sodium.h>
#include <stdint.h>
#include <string.h>

void kl_hex(const void *bytes, size_t size, char *out)
{
    assert(size < SIZE_MAX / 2);
    sodium_bin2hex(out, size * 2 + 1, bytes, size);
}

void kl_base64(const void *bytes, size_t size, char *out)
{
    assert(size < SIZE_MAX / 4 - 1);
    sodium_bin2base64(out, KL_BASE64_CHARS(size) + 1, bytes, size,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

/* Without a branch on what the text is: it may be a secret. */
static bool is_ascii(const char *text, size_t size)
{
    unsigned seen = 0;

    for (size_t i = 0; i < size; i++) {
        seen |= (unsigned char)text[i];
    }
    return seen < 0x80;
}

/*
 * libsodium 1.0.18 takes some bytes above 0x7F for digits where char is signed, so they are
 * refused before.
 */
bool kl_base64_decode(const char *text, size_t text_bytes, void *out, size_t size)
{
    size_t written = 0;

    assert(size < SIZE_MAX / 4 - 1);
    if (text_bytes == KL_BASE64_CHARS(size) && is_ascii(text, text_bytes) &&
        (size == 0 || sodium_base642bin(out, size, text, text_bytes, NULL, &written, NULL,
                                        sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0) &&
        written == size) {
        return true;
    }
    sodium_memzero(out, size);
    return false;
}

bool kl_hex_decode(const char *text, size_t text_bytes, void *out, size_t size)
{
    size_t written = 0;

    assert(size < SIZE_MAX / 2);
    if (text_bytes == size * 2 &&
        (size == 0 || sodium_hex2bin(out, size, text, text_bytes, NULL, &written, NULL) == 0) &&
        written == size) {
        return true;
    }
    sodium_memzero(out, size);
    return false;
}

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xC0) == 0x80;
}

/* The ranges are those of RFC 3629 section 4. */
size_t kl_utf8_char_bytes(const void *text, size_t size)
{
    const unsigned char *at = text;
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    size_t bytes;

    if (size == 0) {
        return 0;
    }
    if (at[0] < 0x80) {
        return 1;
    }
    if (at[0] >= 0xC2 && at[0] <= 0xDF) {
        bytes = 2;
    } else if (at[0] >= 0xE0 && at[0] <= 0xEF) {
        bytes = 3;
        low = at[0] == 0xE0 ? 0xA0 : low;
        high = at[0] == 0xED ? 0x9F : high;
    } else if (at[0] >= 0xF0 && at[0] <= 0xF4) {
        bytes = 4;
        low = at[0] == 0xF0 ? 0x90 : low;
        high = at[0] == 0xF4 ? 0x8F : high;
    } else {
        return 0;
    }
    if (size < bytes || at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < bytes; i++) {
        if (!is_continuation(at[i])) {
            return 0;
        }
    }
    return bytes;
}

bool kl_utf8_valid(const void *text, size_t size)
{
    const unsigned char *at = text;
    size_t i = 0;

    while (i < size) {
        uint64_t eight;
        size_t bytes;

        if (size - i >= sizeof(eight)) {
            memcpy(&eight, at + i, sizeof(eight));
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                i += sizeof(eight);
                continue;
            }
        }
        bytes = kl_utf8_char_bytes(at + i, size - i);
        if (bytes == 0) {
            return false;
        }
        i += bytes;
    }
    return true;
}

size_t kl_utf8_cut(const void *text, size_t size, size_t max)
{
    const unsigned char *at = text;
    size_t cut = size <= max ? size : max;
    size_t start = cut;

    /*
     * The last character begins at most three bytes before the cut; it goes when it is not whole.
     */
    while (start > 0 && cut - start < 3 && is_continuation(at[start - 1])) {
        start--;
    }
    if (start > 0 && at[start - 1] >= 0xC0 &&
        kl_utf8_char_bytes(at + start - 1, cut - start + 1) == 0) {
        return start - 1;
    }
    return cut;
}
