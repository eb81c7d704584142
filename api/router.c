#include "api/router.h"
#include "api/query.h"
#include "api/response.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The segment that starts at text: its bytes up to the next "/" or the end. */
static size_t segment_bytes(const char *text)
{
    return strcspn(text, "/");
}

static bool is_name(const char *pattern, size_t size)
{
    return (size == 9 && memcmp(pattern, "{purpose}", 9) == 0) ||
           (size == 8 && memcmp(pattern, "{tenant}", 8) == 0) ||
           (size == 7 && memcmp(pattern, "{event}", 7) == 0) ||
           (size == 7 && memcmp(pattern, "{field}", 7) == 0);
}

/* Does the path have the shape of the pattern? Both start with "/". */
static bool same_shape(const char *pattern, const char *path)
{
    while (*pattern == '/' && *path == '/') {
        size_t pattern_bytes = segment_bytes(++pattern);
        size_t path_bytes = segment_bytes(++path);
        bool variable = pattern_bytes > 0 && pattern[0] == '{';
        if (variable ? path_bytes == 0
                     : pattern_bytes != path_bytes || memcmp(pattern, path, path_bytes) != 0) {
            return false;
        }
        pattern += pattern_bytes;
        path += path_bytes;
    }
    return *pattern == '\0' && *path == '\0';
}

static enum kl_status take_segment(const char *pattern, size_t pattern_bytes, const char *text,
                                   size_t size, struct api_match *match, struct kl_err *err)
{
    char decoded[API_PATH_MAX_BYTES + 1];
    char prefix[KL_ID_PREFIX_MAX_CHARS + 1] = {0};

    if (!api_percent_decode(text, size, decoded)) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_path", "the path is badly percent-encoded",
                       NULL);
    }
    if (is_name(pattern, pattern_bytes)) {
        if (strlen(decoded) > API_PATH_NAME_MAX_BYTES) {
            return kl_fail(err, KL_ERR_NOT_FOUND, "not_found", "there is nothing of that name",
                           NULL);
        }
        snprintf(match->name, sizeof match->name, "%.*s", API_PATH_NAME_MAX_BYTES, decoded);
        return KL_OK;
    }
    memcpy(prefix, pattern + 1, pattern_bytes - 2);
    enum kl_status status = kl_id_parse(prefix, decoded, &match->ids[match->id_count], err);
    if (status == KL_OK) {
        match->id_count++;
    }
    return status;
}

/* Read what stands where the pattern has braces. */
static enum kl_status take_variables(const char *pattern, const char *path, struct api_match *match,
                                     struct kl_err *err)
{
    while (*pattern == '/') {
        size_t pattern_bytes = segment_bytes(++pattern);
        size_t path_bytes = segment_bytes(++path);
        if (pattern_bytes > 0 && pattern[0] == '{') {
            enum kl_status status =
                take_segment(pattern, pattern_bytes, path, path_bytes, match, err);
            if (status != KL_OK) {
                return status;
            }
        }
        pattern += pattern_bytes;
        path += path_bytes;
    }
    return KL_OK;
}

static void add_allowed(char allow[API_ALLOW_BYTES], const char *method)
{
    size_t used = strlen(allow);

    snprintf(allow + used, API_ALLOW_BYTES - used, "%s%s", used > 0 ? ", " : "", method);
}

static bool answers(const struct api_route *route, const char *method)
{
    if (strcmp(method, "HEAD") == 0 && (route->flags & API_ROUTE_OPEN) != 0) {
        return strcmp(route->method, "GET") == 0;
    }
    return strcmp(route->method, method) == 0;
}

enum kl_status api_router_find(const struct api_route *routes, size_t count, const char *method,
                               const char *path, struct api_match *ret_match,
                               char ret_allow[API_ALLOW_BYTES], struct kl_err *err)
{
    struct api_match match = {0};
    char allow[API_ALLOW_BYTES] = "";

    if (strlen(path) > API_PATH_MAX_BYTES) {
        return kl_fail(err, KL_ERR_TOO_LARGE, "uri_too_long", "the path of the URL is too long",
                       NULL);
    }
    for (size_t i = 0; i < count; i++) {
        if (!same_shape(routes[i].pattern, path)) {
            continue;
        }
        add_allowed(allow, routes[i].method);
        if ((routes[i].flags & API_ROUTE_OPEN) != 0 && strcmp(routes[i].method, "GET") == 0) {
            add_allowed(allow, "HEAD");
        }
        if (match.route == NULL && answers(&routes[i], method)) {
            match.route = &routes[i];
            match.route_index = i;
        }
    }
    if (allow[0] == '\0') {
        return kl_fail(err, KL_ERR_NOT_FOUND, "no_route",
                       "there is nothing at this path; see /openapi.json", NULL);
    }
    memcpy(ret_allow, allow, sizeof allow);
    if (match.route == NULL) {
        return kl_failf(err, KL_ERR_INVALID, "method_not_allowed", "this path takes %s", allow);
    }
    enum kl_status status = take_variables(match.route->pattern, path, &match, err);
    if (status == KL_OK) {
        *ret_match = match;
    }
    return status;
}
