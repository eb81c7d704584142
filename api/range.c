#include "api/range.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DIGITS_MAX 18
#define UNIT "bytes="

/* Digits at text; how many, 0 when there are none or too many. */
static size_t take_number(const char *text, uint64_t *ret)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t number = 0;

    if (digits < 1 || digits > DIGITS_MAX) {
        return 0;
    }
    for (size_t i = 0; i < digits; i++) {
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    *ret = number;
    return digits;
}

bool api_range_parse(const char *text, struct api_range *ret)
{
    struct api_range range = {.last = UINT64_MAX};
    size_t digits;

    if (text == NULL || strncasecmp(text, UNIT, sizeof UNIT - 1) != 0) {
        return false;
    }
    text += sizeof UNIT - 1;
    if (*text == '-') {
        range.suffix = true;
        digits = take_number(text + 1, &range.last);
        if (digits == 0 || text[1 + digits] != '\0') {
            return false;
        }
        *ret = range;
        return true;
    }
    digits = take_number(text, &range.first);
    if (digits == 0 || text[digits] != '-') {
        return false;
    }
    text += digits + 1;
    if (*text != '\0') {
        digits = take_number(text, &range.last);
        if (digits == 0 || text[digits] != '\0' || range.last < range.first) {
            return false;
        }
    }
    *ret = range;
    return true;
}

bool api_range_resolve(const struct api_range *range, uint64_t size, uint64_t *ret_first,
                       uint64_t *ret_count)
{
    uint64_t first = range->first;
    uint64_t last = range->last;

    if (range->suffix) {
        first = range->last < size ? size - range->last : 0;
        last = UINT64_MAX;
        if (range->last == 0) {
            return false;
        }
    }
    if (first >= size) {
        return false;
    }
    last = last < size ? last : size - 1;
    *ret_first = first;
    *ret_count = last - first + 1;
    return true;
}

bool api_range_counts(const char *if_range, uint64_t version)
{
    char etag[32];

    if (if_range == NULL) {
        return true;
    }
    snprintf(etag, sizeof etag, "\"%llu\"", (unsigned long long)version);
    return strcmp(if_range, etag) == 0;
}
