#include "kluis/base/csv.h"

#include <string.h>

/* Full-width forms of = + - @: U+FF1D, U+FF0B, U+FF0D, U+FF20. */
static bool is_wide_sign(const unsigned char *at, size_t left)
{
    return left >= 3 && at[0] == 0xef && at[1] == 0xbc &&
           (at[2] == 0x9d || at[2] == 0x8b || at[2] == 0x8d || at[2] == 0xa0);
}

static bool is_sign(const unsigned char *at, size_t left)
{
    return (at[0] != 0 && strchr("=+-@'", at[0]) != NULL) || is_wide_sign(at, left);
}

static bool is_separator(unsigned char byte)
{
    return byte == ',' || byte == ';' || byte == '|' || byte == '\t' || byte == '\n' ||
           byte == '\r';
}

void kl_csv_put(struct kl_buf *out, struct kl_slice text)
{
    bool at_start = true;

    kl_buf_add_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        const unsigned char *at = text.bytes + i;

        if (at[0] == '"') {
            kl_buf_add_byte(out, '"');
        } else if (at_start && is_sign(at, text.size - i)) {
            kl_buf_add_byte(out, '\'');
        }
        kl_buf_add_byte(out, at[0]);
        at_start = is_separator(at[0]) || (at_start && (at[0] == ' ' || at[0] == '"'));
    }
    kl_buf_add_byte(out, '"');
}
