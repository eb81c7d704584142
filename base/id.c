#include "kluis/base/id.h"

#include <assert.h>
#include <sodium.h>
#include <stdint.h>
#include <string.h>

static const char DIGITS[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

struct kl_id kl_id_new(void)
{
    struct kl_id id;

    randombytes_buf(id.bytes, sizeof(id.bytes));
    return id;
}

static size_t prefix_size(const char *prefix)
{
    size_t size = strlen(prefix);

    assert(size >= 2 && size <= KL_ID_PREFIX_MAX_CHARS);
    return size;
}

void kl_id_format(const char *prefix, const struct kl_id *id, char out[KL_ID_TEXT_BYTES])
{
    size_t at = prefix_size(prefix);
    unsigned bits = 0;
    unsigned have = 2; /* 26 digits hold 130 bits: the first has two zero bits in front */

    memcpy(out, prefix, at);
    out[at++] = '_';
    for (size_t i = 0; i < KL_ID_BYTES; i++) {
        bits = (bits << 8 | id->bytes[i]) & 0xFFF;
        for (have += 8; have >= 5; have -= 5) {
            out[at++] = DIGITS[bits >> (have - 5) & 31];
        }
    }
    out[at] = '\0';
}

/* 0..31, or -1 for what is no digit. */
static int digit_value(char c)
{
    const char *found;

    if (c >= 'a' && c <= 'z') {
        c = (char)(c - 'a' + 'A');
    }
    if (c == 'I' || c == 'L') {
        c = '1';
    } else if (c == 'O') {
        c = '0';
    }
    found = c != '\0' ? strchr(DIGITS, c) : NULL;
    return found != NULL ? (int)(found - DIGITS) : -1;
}

static bool digits_parse(const char *digits, struct kl_id *ret_id)
{
    struct kl_id id;
    unsigned bits = 0;
    unsigned have = 0;
    size_t written = 0;

    for (size_t i = 0; i < KL_ID_DIGITS; i++) {
        int value = digit_value(digits[i]);
        if (value < 0 || (i == 0 && value > 7)) {
            return false;
        }
        bits = (bits << 5 | (unsigned)value) & 0xFFF;
        have += i == 0 ? 3 : 5;
        if (have >= 8) {
            have -= 8;
            id.bytes[written++] = (unsigned char)(bits >> have);
        }
    }
    assert(written == KL_ID_BYTES && have == 0);
    *ret_id = id;
    return true;
}

enum kl_status kl_id_parse(const char *prefix, const char *text, struct kl_id *ret_id,
                           struct kl_err *err)
{
    size_t size = prefix_size(prefix);

    if (text != NULL && strncmp(text, prefix, size) == 0 && text[size] == '_' &&
        strnlen(text + size + 1, KL_ID_DIGITS + 1) == KL_ID_DIGITS &&
        digits_parse(text + size + 1, ret_id)) {
        return KL_OK;
    }
    return kl_failf(err, KL_ERR_INVALID, "invalid_id",
                    "not a valid id: it begins with %s_ and goes on with %d letters and digits",
                    prefix, KL_ID_DIGITS);
}

bool kl_id_equal(const struct kl_id *a, const struct kl_id *b)
{
    return memcmp(a->bytes, b->bytes, KL_ID_BYTES) == 0;
}
