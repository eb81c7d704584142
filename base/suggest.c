#include "kluis/base/yaml.h"

#include <string.h>

/* Longer names are not looked at. */
#define NAME_MAX_CHARS 63
#define DISTANCE_MAX 3

static size_t min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/*
 * Edits (insert, delete, replace, swap two neighbours) from a to b: the
 * optimal string alignment distance, with three rows of its table kept.
 */
static size_t distance(const char *a, size_t a_chars, const char *b, size_t b_chars)
{
    size_t rows[3][NAME_MAX_CHARS + 1];

    for (size_t j = 0; j <= b_chars; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a_chars; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *two_above = rows[(i + 1) % 3];

        row[0] = i;
        for (size_t j = 1; j <= b_chars; j++) {
            size_t replaced = above[j - 1] + (a[i - 1] != b[j - 1]);

            row[j] = min_of(replaced, 1 + min_of(above[j], row[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = min_of(row[j], two_above[j - 2] + 1);
            }
        }
    }
    return rows[a_chars % 3][b_chars];
}

const char *kl_suggest(const char *text, const char *const *names)
{
    size_t text_chars = strnlen(text, NAME_MAX_CHARS + 1);
    const char *nearest = NULL;
    size_t nearest_distance = DISTANCE_MAX + 1;

    if (text_chars > NAME_MAX_CHARS) {
        return NULL;
    }
    for (; *names != NULL; names++) {
        size_t name_chars = strnlen(*names, NAME_MAX_CHARS + 1);
        size_t edits;

        if (name_chars > NAME_MAX_CHARS) {
            continue;
        }
        edits = distance(text, text_chars, *names, name_chars);
        if (edits < nearest_distance && edits <= name_chars / 3) {
            nearest = *names;
            nearest_distance = edits;
        }
    }
    return nearest;
}
