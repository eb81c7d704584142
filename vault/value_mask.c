/*
 * Masked forms. They count in user-perceived characters (UAX #29), so that no
 * half of a letter is shown, and never show the whole of a value, however short.
 */
#include "value_internal.h"

#include <assert.h>
#include <string.h>
#include <utf8proc.h>

#define STARS "***"
#define LAST_SHOWN 4
#define LAST_HIDDEN_MIN 4
#define INITIALS_MAX 4

static const char *const mask_names[VAULT_MASKS] = {
    [VAULT_MASK_STARS] = STARS,   [VAULT_MASK_INITIALS] = "initials",
    [VAULT_MASK_EMAIL] = "email", [VAULT_MASK_LAST4] = "last4",
    [VAULT_MASK_YEAR] = "year",   [VAULT_MASK_COUNTRY] = "country",
};

const char *vault_mask_name(enum vault_mask mask)
{
    assert((unsigned)mask < VAULT_MASKS);
    return mask_names[mask];
}

bool vault_mask_parse(const char *text, enum vault_mask *ret_mask)
{
    for (unsigned i = 0; i < VAULT_MASKS; i++)
        if (strcmp(mask_names[i], text) == 0) {
            *ret_mask = (enum vault_mask)i;
            return true;
        }
    return false;
}

bool vault_mask_fits(enum vault_mask mask, enum vault_type type)
{
    switch (mask) {
    case VAULT_MASK_STARS:
        return true;
    case VAULT_MASK_INITIALS:
        return type == VAULT_TYPE_TEXT;
    case VAULT_MASK_EMAIL:
        return type == VAULT_TYPE_EMAIL;
    case VAULT_MASK_LAST4:
        return type == VAULT_TYPE_TEXT || type == VAULT_TYPE_PHONE || type == VAULT_TYPE_IBAN ||
               type == VAULT_TYPE_NUMBER;
    case VAULT_MASK_YEAR:
        return type == VAULT_TYPE_DATE || type == VAULT_TYPE_DATETIME;
    case VAULT_MASK_COUNTRY:
        return type == VAULT_TYPE_IBAN || type == VAULT_TYPE_PHONE;
    default:
        return false;
    }
}

/* One code point; ill-formed bytes count as one each. */
static size_t next_point(struct kl_slice text, size_t at, utf8proc_int32_t *ret_point)
{
    utf8proc_ssize_t size =
        utf8proc_iterate(text.bytes + at, (utf8proc_ssize_t)(text.size - at), ret_point);

    if (size > 0)
        return (size_t)size;
    *ret_point = 0xfffd;
    return 1;
}

/* Bytes of the user-perceived character that starts at `at`; its first code point. */
static size_t next_grapheme(struct kl_slice text, size_t at, utf8proc_int32_t *ret_first)
{
    utf8proc_int32_t before = 0;
    utf8proc_int32_t state = 0;
    size_t size = next_point(text, at, ret_first);

    before = *ret_first;
    while (at + size < text.size) {
        utf8proc_int32_t after = 0;
        size_t more = next_point(text, at + size, &after);
        if (utf8proc_grapheme_break_stateful(before, after, &state))
            break;
        size += more;
        before = after;
    }
    return size;
}

static bool is_letter(utf8proc_int32_t point)
{
    utf8proc_category_t category = utf8proc_category(point);

    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

static bool is_white(utf8proc_int32_t point)
{
    utf8proc_category_t category = utf8proc_category(point);

    return (category >= UTF8PROC_CATEGORY_ZS && category <= UTF8PROC_CATEGORY_ZP) ||
           point == '\t' || point == '\n';
}

static bool is_letter_or_number(utf8proc_int32_t point)
{
    utf8proc_category_t category = utf8proc_category(point);

    return is_letter(point) ||
           (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

/* Bytes from `at` to the end of the word; whether there is a letter or number in them. */
static size_t rest_of_word(struct kl_slice text, size_t at, bool *ret_hides)
{
    const size_t start = at;
    bool hides = false;

    while (at < text.size) {
        utf8proc_int32_t point = 0;
        const size_t size = next_point(text, at, &point);
        if (is_white(point))
            break;
        hides = hides || is_letter_or_number(point);
        at += size;
    }
    *ret_hides = hides;
    return at - start;
}

/* "A. P."; a word that starts with no letter, or would be shown whole, is "*.". */
static void mask_initials(struct kl_slice text, struct kl_buf *ret)
{
    size_t words = 0;

    for (size_t at = 0; at < text.size && words < INITIALS_MAX;) {
        utf8proc_int32_t first = 0;
        const size_t start = at;
        const size_t size = next_grapheme(text, at, &first);
        bool hides = false;

        at += size;
        if (is_white(first))
            continue;
        at += rest_of_word(text, at, &hides);
        kl_buf_add_text(ret, words == 0 ? "" : " ");
        if (is_letter(first) && hides)
            kl_buf_add(ret, text.bytes + start, size);
        else
            kl_buf_add_byte(ret, '*');
        kl_buf_add_byte(ret, '.');
        words++;
    }
    if (words == 0)
        kl_buf_add_text(ret, STARS);
}

/* "a***@example.org"; a local part of one character is not shown. */
static void mask_email(struct kl_slice email, struct kl_buf *ret)
{
    utf8proc_int32_t first = 0;
    size_t at = email.size;
    size_t size = 0;

    while (at > 0 && email.bytes[at - 1] != '@')
        at--;
    if (at == 0) {
        kl_buf_add_text(ret, STARS);
        return;
    }
    if (at > 1)
        size = next_grapheme(kl_slice_of(email.bytes, at - 1), 0, &first);
    if (size < at - 1)
        kl_buf_add(ret, email.bytes, size);
    kl_buf_add_text(ret, STARS);
    kl_buf_add(ret, email.bytes + at - 1, email.size - (at - 1));
}

/* The last four when at least as many stay hidden. */
static void mask_last4(struct kl_slice text, struct kl_buf *ret)
{
    size_t starts[LAST_SHOWN] = {0}; /* where the last graphemes start, a ring */
    size_t count = 0;

    for (size_t at = 0; at < text.size; count++) {
        utf8proc_int32_t first = 0;
        starts[count % LAST_SHOWN] = at;
        at += next_grapheme(text, at, &first);
    }
    kl_buf_add_text(ret, STARS);
    if (count >= LAST_SHOWN + LAST_HIDDEN_MIN) {
        const size_t from = starts[count % LAST_SHOWN];
        kl_buf_add(ret, text.bytes + from, text.size - from);
    }
}

/*
 * How many digits the country code at the start of an E.164 number has (ITU-T list of assigned
 * codes).
 */
static size_t phone_code_digits(struct kl_slice phone)
{
    static const char two[] =
        "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 "
        "56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98 ";
    char code[4] = "";

    if (phone.bytes[1] == '1' || phone.bytes[1] == '7')
        return 1;
    memcpy(code, phone.bytes + 1, 2);
    code[2] = ' ';
    return strstr(two, code) != NULL ? 2 : 3;
}

static void mask_country(enum vault_type type, struct kl_slice text, struct kl_buf *ret)
{
    if (type == VAULT_TYPE_IBAN && text.size > 4)
        kl_buf_add(ret, text.bytes, 2);
    else if (type == VAULT_TYPE_PHONE && text.size > 4)
        kl_buf_add(ret, text.bytes, 1 + phone_code_digits(text));
    else
        kl_buf_add_text(ret, STARS);
}

enum kl_status vault_value_mask(enum vault_mask mask, enum vault_type type,
                                struct kl_slice normalised, struct kl_buf *ret, struct kl_err *err)
{
    if (!vault_mask_fits(mask, type))
        mask = VAULT_MASK_STARS;
    switch (mask) {
    case VAULT_MASK_INITIALS:
        mask_initials(normalised, ret);
        break;
    case VAULT_MASK_EMAIL:
        mask_email(normalised, ret);
        break;
    case VAULT_MASK_LAST4:
        mask_last4(normalised, ret);
        break;
    case VAULT_MASK_YEAR:
        if (normalised.size > 4)
            kl_buf_add(ret, normalised.bytes, 4);
        else
            kl_buf_add_text(ret, STARS);
        break;
    case VAULT_MASK_COUNTRY:
        mask_country(type, normalised, ret);
        break;
    default:
        kl_buf_add_text(ret, STARS);
        break;
    }
    return kl_buf_status(ret, err);
}
