#include "base/json_check.h"

#include "kluis/base/encode.h"
#include "kluis/base/json.h"

#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Up to here each key is compared with each; above, keys are hashed under a random key, as it is a
 * client who chooses them.
 */
#define COMPARED_MEMBERS_MAX 16

/* Where in the text a value is: the way up to the root. */
struct place {
    const struct place *above;
    const char *key; /* NULL: an element of an array */
    size_t key_bytes;
    size_t index;
};

struct check {
    const char *text;
    size_t size;
    struct kl_err *err;
    bool have_hash_key;
    unsigned char hash_key[crypto_shorthash_KEYBYTES];
};

void kl_json_pointer_escape(const char *key, size_t key_bytes, char *out, size_t room)
{
    size_t at = 0;

    for (size_t i = 0; i < key_bytes; i++) {
        bool escape = key[i] == '~' || key[i] == '/';

        if (at + (escape ? 2 : 1) >= room) {
            break;
        }
        if (escape) {
            out[at++] = '~';
            out[at++] = key[i] == '~' ? '0' : '1';
        } else {
            out[at++] = key[i];
        }
    }
    out[at] = '\0';
}

/* Write the pointer of place, as far as it fits; returns its characters. */
static size_t place_write(const struct place *place, char out[KL_ERR_WHERE_BYTES])
{
    size_t at = 0;

    if (place->above == NULL) {
        out[0] = '\0';
        return 0;
    }
    at = place_write(place->above, out);
    if (at + 1 >= KL_ERR_WHERE_BYTES) {
        return at;
    }
    out[at++] = '/';
    if (place->key != NULL) {
        kl_json_pointer_escape(place->key, place->key_bytes, out + at, KL_ERR_WHERE_BYTES - at);
    } else {
        (void)snprintf(out + at, KL_ERR_WHERE_BYTES - at, "%zu", place->index);
    }
    return at + strlen(out + at);
}

static void note_place(const struct place *place, struct kl_err *err)
{
    char pointer[KL_ERR_WHERE_BYTES];
    size_t size = place_write(place, pointer);

    pointer[kl_utf8_cut(pointer, size, size)] = '\0';
    kl_err_where(err, "%s", pointer);
}

static enum kl_status fail_duplicate(struct check *check, const struct place *place)
{
    note_place(place, check->err);
    return kl_fail(check->err, KL_ERR_INVALID, "duplicate_key", "an object has the same key twice",
                   NULL);
}

/* A backslash stands in strings only, so that the first escaped U+0000 is found without parsing. */
static size_t find_escaped_zero(const char *text, size_t size)
{
    size_t i = 0;

    while (i + 6 <= size && memcmp(text + i, "\\u0000", 6) != 0) {
        i += text[i] == '\\' ? 2 : 1;
    }
    return i < size ? i : size;
}

static enum kl_status fail_zero(struct check *check)
{
    size_t line = 1;
    size_t column = 1;
    size_t character;

    (void)yyjson_locate_pos(check->text, check->size, find_escaped_zero(check->text, check->size),
                            &line, &column, &character);
    kl_err_where(check->err, "%zu:%zu", line, column);
    return kl_fail(check->err, KL_ERR_INVALID, "invalid_json",
                   "a string holds the character U+0000", NULL);
}

static bool has_zero(yyjson_val *string)
{
    size_t bytes = unsafe_yyjson_get_len(string);

    return bytes > 0 && memchr(unsafe_yyjson_get_str(string), 0, bytes) != NULL;
}

static bool same_key(yyjson_val *a, yyjson_val *b)
{
    size_t bytes = unsafe_yyjson_get_len(a);

    return bytes == unsafe_yyjson_get_len(b) &&
           memcmp(unsafe_yyjson_get_str(a), unsafe_yyjson_get_str(b), bytes) == 0;
}

static yyjson_val *next_key(yyjson_val *key)
{
    return unsafe_yyjson_get_next(key + 1);
}

static bool compared_has_duplicate(yyjson_val *object, size_t members)
{
    yyjson_val *key = unsafe_yyjson_get_first(object);

    for (size_t i = 0; i < members; i++, key = next_key(key)) {
        yyjson_val *before = unsafe_yyjson_get_first(object);
        for (size_t j = 0; j < i; j++, before = next_key(before)) {
            if (same_key(before, key)) {
                return true;
            }
        }
    }
    return false;
}

static uint64_t key_hash(struct check *check, yyjson_val *key)
{
    unsigned char bytes[crypto_shorthash_BYTES];
    uint64_t hash;

    if (!check->have_hash_key) {
        crypto_shorthash_keygen(check->hash_key);
        check->have_hash_key = true;
    }
    crypto_shorthash(bytes, (const unsigned char *)unsafe_yyjson_get_str(key),
                     unsafe_yyjson_get_len(key), check->hash_key);
    memcpy(&hash, bytes, sizeof(hash));
    return hash;
}

static enum kl_status check_hashed(struct check *check, yyjson_val *object, size_t members,
                                   const struct place *place)
{
    enum kl_status status = KL_OK;
    yyjson_val *key = unsafe_yyjson_get_first(object);
    yyjson_val **slots;
    size_t slots_count = 64;

    while (slots_count < 2 * members) {
        slots_count *= 2;
    }
    slots = calloc(slots_count, sizeof(*slots));
    if (slots == NULL) {
        return kl_fail(check->err, KL_ERR_NO_MEMORY, "no_memory",
                       "the server is short of memory; try again", "no memory to check JSON");
    }
    for (size_t i = 0; i < members && status == KL_OK; i++, key = next_key(key)) {
        size_t at = (size_t)key_hash(check, key) & (slots_count - 1);
        while (slots[at] != NULL && !same_key(slots[at], key)) {
            at = (at + 1) & (slots_count - 1);
        }
        if (slots[at] != NULL) {
            status = fail_duplicate(check, place);
        }
        slots[at] = key;
    }
    free(slots);
    return status;
}

static enum kl_status check_keys(struct check *check, yyjson_val *object, const struct place *place)
{
    size_t members = unsafe_yyjson_get_len(object);
    yyjson_val *key = unsafe_yyjson_get_first(object);

    for (size_t i = 0; i < members; i++, key = next_key(key)) {
        if (has_zero(key)) {
            return fail_zero(check);
        }
    }
    if (members > COMPARED_MEMBERS_MAX) {
        return check_hashed(check, object, members, place);
    }
    return compared_has_duplicate(object, members) ? fail_duplicate(check, place) : KL_OK;
}

static enum kl_status check_value(struct check *check, yyjson_val *value, const struct place *place,
                                  unsigned depth);

/* depth is that of the container itself, from 1. */
static enum kl_status check_container(struct check *check, yyjson_val *container,
                                      const struct place *place, unsigned depth)
{
    bool object = unsafe_yyjson_is_obj(container);
    size_t count = unsafe_yyjson_get_len(container);
    yyjson_val *item = unsafe_yyjson_get_first(container);
    enum kl_status status = KL_OK;

    if (depth > KL_JSON_DEPTH_MAX) {
        note_place(place, check->err);
        return kl_failf(check->err, KL_ERR_INVALID, "json_too_deep",
                        "arrays and objects lie more than %d deep in each other",
                        KL_JSON_DEPTH_MAX);
    }
    if (count > KL_JSON_MEMBERS_MAX) {
        note_place(place, check->err);
        return kl_failf(check->err, KL_ERR_TOO_LARGE, "json_too_many",
                        "an array or object has more than %d members", KL_JSON_MEMBERS_MAX);
    }
    if (object && count > 0) {
        status = check_keys(check, container, place);
    }
    for (size_t i = 0; i < count && status == KL_OK; i++) {
        struct place below = {.above = place, .index = i};
        if (object) {
            below.key = unsafe_yyjson_get_str(item);
            below.key_bytes = unsafe_yyjson_get_len(item);
            item++;
        }
        status = check_value(check, item, &below, depth);
        item = unsafe_yyjson_get_next(item);
    }
    return status;
}

static enum kl_status check_value(struct check *check, yyjson_val *value, const struct place *place,
                                  unsigned depth)
{
    if (unsafe_yyjson_is_ctn(value)) {
        return check_container(check, value, place, depth + 1);
    }
    if (unsafe_yyjson_is_str(value) && has_zero(value)) {
        return fail_zero(check);
    }
    return KL_OK;
}

enum kl_status kl_json_check(yyjson_val *root, const char *text, size_t size, struct kl_err *err)
{
    struct check check = {.text = text, .size = size, .err = err};
    struct place place = {.above = NULL};

    return check_value(&check, root, &place, 0);
}
