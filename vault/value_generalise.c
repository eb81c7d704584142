/* The general forms of values, for statistics. */
#include "value_internal.h"

#include <assert.h>
#include <string.h>

static const char *const names[VAULT_GENERALISATIONS] = {
    [VAULT_GENERAL_COUNT] = "count",         [VAULT_GENERAL_YEAR] = "year",
    [VAULT_GENERAL_DECADE] = "decade",       [VAULT_GENERAL_COUNTRY] = "country",
    [VAULT_GENERAL_EXACT] = "exact",         [VAULT_GENERAL_TENS] = "tens",
    [VAULT_GENERAL_HUNDREDS] = "hundreds",   [VAULT_GENERAL_FIRST1] = "first1",
    [VAULT_GENERAL_THOUSANDS] = "thousands", [VAULT_GENERAL_FIRST2] = "first2",
    [VAULT_GENERAL_FIRST3] = "first3",
};

const char *vault_generalisation_name(enum vault_generalisation how)
{
    assert((unsigned)how < VAULT_GENERALISATIONS);
    return names[how];
}

bool vault_generalisation_parse(const char *text, enum vault_generalisation *ret_how)
{
    for (unsigned i = 0; i < VAULT_GENERALISATIONS; i++) {
        if (strcmp(names[i], text) == 0) {
            *ret_how = (enum vault_generalisation)i;
            return true;
        }
    }
    return false;
}

bool vault_generalisation_fits(enum vault_generalisation how, enum vault_type type)
{
    switch (how) {
    case VAULT_GENERAL_COUNT:
        return true;
    case VAULT_GENERAL_YEAR:
    case VAULT_GENERAL_DECADE:
        return type == VAULT_TYPE_DATE || type == VAULT_TYPE_DATETIME;
    case VAULT_GENERAL_COUNTRY:
        return type == VAULT_TYPE_COUNTRY || type == VAULT_TYPE_IBAN || type == VAULT_TYPE_PHONE;
    case VAULT_GENERAL_EXACT:
        return type == VAULT_TYPE_COUNTRY || type == VAULT_TYPE_BOOLEAN;
    case VAULT_GENERAL_TENS:
    case VAULT_GENERAL_HUNDREDS:
    case VAULT_GENERAL_THOUSANDS:
        return type == VAULT_TYPE_NUMBER;
    case VAULT_GENERAL_FIRST1:
    case VAULT_GENERAL_FIRST2:
    case VAULT_GENERAL_FIRST3:
        return type == VAULT_TYPE_TEXT;
    default:
        return false;
    }
}

static bool copy(struct kl_slice text, char *ret)
{
    if (text.size == 0 || text.size > VAULT_GENERAL_MAX_BYTES) {
        return false;
    }
    memcpy(ret, text.bytes, text.size);
    ret[text.size] = '\0';
    return true;
}

static size_t digits_at(struct kl_slice text, size_t at)
{
    size_t count = 0;

    while (at + count < text.size && text.bytes[at + count] >= '0' &&
           text.bytes[at + count] <= '9') {
        count++;
    }
    return count;
}

/* "1984-05-17..." */
static bool year_of(struct kl_slice text, bool decade, char *ret)
{
    if (text.size <= 4 || !copy(kl_slice_of(text.bytes, 4), ret)) {
        return false;
    }
    ret[3] = decade ? '0' : ret[3];
    return true;
}

static bool country_of(enum vault_type type, struct kl_slice text, char *ret)
{
    struct kl_buf masked;
    bool there = false;

    if (type == VAULT_TYPE_COUNTRY) {
        return copy(text, ret);
    }
    kl_buf_init(&masked, VAULT_SHORT_MAX_BYTES);
    there = vault_value_mask(VAULT_MASK_COUNTRY, type, text, &masked, NULL) == KL_OK &&
            masked.bytes[0] != '*' && copy(kl_buf_slice(&masked), ret);
    kl_buf_done(&masked);
    return there;
}

/* The whole part with its last digits made 0; nothing is left of smaller numbers but "0", without a sign. */
static bool rounded(struct kl_slice text, size_t zeros, char *ret)
{
    size_t sign = text.size > 0 && text.bytes[0] == '-' ? 1 : 0;
    size_t digits = digits_at(text, sign);
    size_t kept = digits > zeros ? digits - zeros : 0;

    if (digits == 0) {
        return false;
    }
    while (kept > 0 && text.bytes[sign] == '0') { /* "007" */
        text = kl_slice_of(text.bytes + 1, text.size - 1);
        sign = 0;
        kept--;
    }
    if (kept == 0) {
        return copy(kl_slice_text("0"), ret);
    }
    if (!copy(kl_slice_of(text.bytes, sign + kept), ret) ||
        sign + kept + zeros > VAULT_GENERAL_MAX_BYTES) {
        return false;
    }
    memset(ret + sign + kept, '0', zeros);
    ret[sign + kept + zeros] = '\0';
    return true;
}

static bool first_digits(struct kl_slice text, size_t count, char *ret)
{
    return text.size > count && digits_at(text, 0) >= count &&
           copy(kl_slice_of(text.bytes, count), ret);
}

static bool generalise(enum vault_generalisation how, enum vault_type type, struct kl_slice text,
                       char *ret)
{
    switch (how) {
    case VAULT_GENERAL_COUNT:
        return copy(kl_slice_text("present"), ret);
    case VAULT_GENERAL_YEAR:
    case VAULT_GENERAL_DECADE:
        return year_of(text, how == VAULT_GENERAL_DECADE, ret);
    case VAULT_GENERAL_COUNTRY:
        return country_of(type, text, ret);
    case VAULT_GENERAL_EXACT:
        return copy(text, ret);
    case VAULT_GENERAL_TENS:
    case VAULT_GENERAL_HUNDREDS:
    case VAULT_GENERAL_THOUSANDS:
        return rounded(text, 1 + (size_t)how - VAULT_GENERAL_TENS, ret);
    case VAULT_GENERAL_FIRST1:
    case VAULT_GENERAL_FIRST2:
    case VAULT_GENERAL_FIRST3:
        return first_digits(text, 1 + (size_t)how - VAULT_GENERAL_FIRST1, ret);
    default:
        return false;
    }
}

bool vault_value_generalise(enum vault_generalisation how, enum vault_type type,
                            struct kl_slice normalised, char ret[VAULT_GENERAL_MAX_BYTES + 1])
{
    bool there = vault_generalisation_fits(how, type) && generalise(how, type, normalised, ret);

    if (!there) {
        ret[0] = '\0';
    }
    return there;
}
