#include "api/query.h"
#include "kluis/base/encode.h"
#include "kluis/base/yaml.h"

#include <assert.h>
#include <string.h>

bool api_percent_decode(const char *text, size_t size, char *out)
{
    size_t at = 0;

    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '%') {
            if (size - i < 3 || !kl_hex_decode(text + i + 1, 2, &c, 1)) {
                return false;
            }
            i += 2;
        }
        if (c == '\0') {
            return false;
        }
        out[at++] = c;
    }
    out[at] = '\0';
    return kl_utf8_valid(out, at);
}

static enum kl_status fail_parameter(struct kl_err *err, const char *name)
{
    return kl_failf(err, KL_ERR_INVALID, "invalid_parameter",
                    "the query parameter %s needs a value in percent-encoded UTF-8", name);
}

/* Take one pair, pair[0..size). */
static enum kl_status take_pair(const char *pair, size_t size, struct kl_arena *arena,
                                struct api_query *query, struct kl_err *err)
{
    const char *equals = memchr(pair, '=', size);
    size_t name_bytes = equals == NULL ? size : (size_t)(equals - pair);
    char *name = kl_arena_alloc(arena, size + 1);
    char *value = kl_arena_alloc(arena, size + 1);

    if (name == NULL || value == NULL) {
        return kl_fail_memory(err);
    }
    if (!api_percent_decode(pair, name_bytes, name)) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_parameter",
                       "the name of a query parameter is badly encoded", NULL);
    }
    for (size_t i = 0; query->known[i] != NULL; i++) {
        if (strcmp(query->known[i], name) != 0) {
            continue;
        }
        if (query->values[i] != NULL) {
            return kl_failf(err, KL_ERR_INVALID, "duplicate_parameter",
                            "the query parameter %s is given twice", query->known[i]);
        }
        if (equals == NULL || size == name_bytes + 1 ||
            !api_percent_decode(equals + 1, size - name_bytes - 1, value)) {
            return fail_parameter(err, query->known[i]);
        }
        query->values[i] = value;
        return KL_OK;
    }
    const char *nearest = kl_suggest(name, query->known);
    if (nearest != NULL) {
        return kl_failf(err, KL_ERR_INVALID, "unknown_parameter",
                        "there is a query parameter that this call does not take; did you mean %s?",
                        nearest);
    }
    return kl_fail(err, KL_ERR_INVALID, "unknown_parameter",
                   "there is a query parameter that this call does not take", NULL);
}

enum kl_status api_query_parse(const char *raw, const char *const *known, struct kl_arena *arena,
                               struct api_query *ret_query, struct kl_err *err)
{
    struct api_query query = {.known = known};
    enum kl_status status;

    if (raw != NULL && strlen(raw) > API_QUERY_MAX_BYTES) {
        return kl_fail(err, KL_ERR_TOO_LARGE, "query_too_long", "the query of the URL is too long",
                       NULL);
    }
    while (raw != NULL && *raw != '\0') {
        size_t size = strcspn(raw, "&");
        if (size > 0) {
            status = take_pair(raw, size, arena, &query, err);
            if (status != KL_OK) {
                return status;
            }
        }
        raw += size;
        raw += *raw == '&';
    }
    *ret_query = query;
    return KL_OK;
}

const char *api_query_get(const struct api_query *query, const char *name)
{
    for (size_t i = 0; query->known[i] != NULL; i++) {
        if (strcmp(query->known[i], name) == 0) {
            return query->values[i];
        }
    }
    assert(0 && "a parameter that the route does not list");
    return NULL;
}
