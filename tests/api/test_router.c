#include "api/app.h"
#include "api/router.h"
#include "kluis/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define SUB "sub_7QC8J9N0VDY740AQ6V6F39P61X"
#define REC "rec_606DNG335SRHAV172AH2V97S8B"

extern const unsigned char kl_embed_openapi_json[];
extern const size_t kl_embed_openapi_json_bytes;

static enum kl_status find(const char *method, const char *path, struct api_match *match,
                           char *allow, struct kl_err *err)
{
    kl_err_clear(err);
    return api_router_find(API_ROUTES, API_ROUTES_COUNT, method, path, match, allow, err);
}

static void test_router_finds_each_route_by_its_own_pattern(void **state)
{
    (void)state;
    for (size_t i = 0; i < API_ROUTES_COUNT; i++) {
        char path[256] = "";
        char allow[64] = "";
        struct api_match match;
        struct kl_err err = {0};
        for (const char *at = API_ROUTES[i].pattern; *at != '\0';) {
            size_t used = strlen(path);
            if (*at != '{') {
                snprintf(path + used, sizeof path - used, "%c", *at++);
                continue;
            }
            size_t size = strcspn(at, "}");
            bool name = strncmp(at, "{purpose}", size) == 0 || strncmp(at, "{tenant}", size) == 0;
            snprintf(path + used, sizeof path - used, "%.*s%s", (int)size - 1, at + 1,
                     name ? "" : "_7QC8J9N0VDY740AQ6V6F39P61X");
            at += size + 1;
        }
        assert_int_equal(find(API_ROUTES[i].method, path, &match, allow, &err), KL_OK);
        assert_int_equal(match.route_index, i);
        assert_ptr_equal(match.route, &API_ROUTES[i]);
    }
}

static void test_router_reads_ids_and_names(void **state)
{
    struct api_match match;
    struct kl_err err = {0};
    char allow[64];
    char text[KL_ID_TEXT_BYTES];

    (void)state;
    assert_int_equal(find("GET", "/v1/subjects/" SUB "/records/" REC, &match, allow, &err), KL_OK);
    assert_int_equal(match.id_count, 2);
    kl_id_format("sub", &match.ids[0], text);
    assert_string_equal(text, SUB);
    kl_id_format("rec", &match.ids[1], text);
    assert_string_equal(text, REC);
    assert_int_equal(find("PUT", "/v1/subjects/" SUB "/consents/send%5Fnews", &match, allow, &err),
                     KL_OK);
    assert_string_equal(match.name, "send_news");
}

static void test_router_says_which_methods_a_path_takes(void **state)
{
    struct api_match match;
    struct kl_err err = {0};
    char allow[64] = "";

    (void)state;
    assert_int_equal(find("PUT", "/v1/subjects/" SUB, &match, allow, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "method_not_allowed");
    assert_string_equal(allow, "GET, PATCH, DELETE");
    assert_int_equal(find("HEAD", "/healthz", &match, allow, &err), KL_OK);
    assert_string_equal(allow, "GET, HEAD");
    assert_int_equal(find("HEAD", "/v1/keys", &match, allow, &err), KL_ERR_INVALID);
}

static void test_router_refuses_paths_that_are_none(void **state)
{
    static const char *const NONE[] = {
        "/",           "",          "/v1",        "/v1/",       "/v1/subjects/",
        "//v1/keys",   "/v1//keys", "/v1/keys/",  "/V1/keys",   "/v1/subjects/" SUB "/",
        "/v1/keys/..", "v1/keys",   "/v1/%6beys", "/healthz//", "/v1/subjects//records"};
    struct api_match match = {.route_index = 77};
    struct kl_err err = {0};
    char allow[64] = "untouched";

    (void)state;
    for (size_t i = 0; i < sizeof NONE / sizeof NONE[0]; i++) {
        assert_int_equal(find("GET", NONE[i], &match, allow, &err), KL_ERR_NOT_FOUND);
        assert_string_equal(err.code, "no_route");
    }
    assert_string_equal(allow, "untouched");
    assert_int_equal(match.route_index, 77);
}

static void test_router_refuses_bad_ids_encodings_and_lengths(void **state)
{
    static char path[API_PATH_MAX_BYTES + 100] = "/v1/subjects/";
    struct api_match match = {.route_index = 77};
    struct kl_err err = {0};
    char allow[64];

    (void)state;
    assert_int_equal(find("GET", "/v1/subjects/sub_1", &match, allow, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_id");
    assert_int_equal(find("GET", "/v1/subjects/%ff", &match, allow, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_path");
    assert_int_equal(find("GET", "/v1/subjects/%4", &match, allow, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_path");
    memset(path + 13, 'a', sizeof path - 14);
    assert_int_equal(find("GET", path, &match, allow, &err), KL_ERR_TOO_LARGE);
    assert_string_equal(err.code, "uri_too_long");
    memset(path, 0, sizeof path);
    snprintf(path, sizeof path, "/v1/tenants/");
    memset(path + 12, 'a', API_PATH_NAME_MAX_BYTES + 1);
    assert_int_equal(find("GET", path, &match, allow, &err), KL_ERR_NOT_FOUND);
    assert_int_equal(match.route_index, 77);
}

/* ---- the description of the API ---- */

static void lower(const char *text, char *ret, size_t size)
{
    snprintf(ret, size, "%s", text);
    for (; *ret != '\0'; ret++) {
        *ret = (char)tolower((unsigned char)*ret);
    }
}

static void test_openapi_describes_every_route_and_no_other(void **state)
{
    struct kl_json *json = NULL;
    const struct kl_json_value *item;
    struct kl_err err = {0};
    const char *path;
    size_t described = 0;

    (void)state;
    assert_int_equal(kl_json_parse(kl_embed_openapi_json, kl_embed_openapi_json_bytes, &json, &err),
                     KL_OK);
    const struct kl_json_value *paths = kl_json_member(kl_json_root(json), "paths");
    for (size_t i = 0; i < API_ROUTES_COUNT; i++) {
        char method[16];
        lower(API_ROUTES[i].method, method, sizeof method);
        const struct kl_json_value *operation =
            kl_json_member(kl_json_member(paths, API_ROUTES[i].pattern), method);
        if (kl_json_type(operation) != KL_JSON_OBJECT) {
            fail_msg("not described: %s %s", API_ROUTES[i].method, API_ROUTES[i].pattern);
        }
        bool open = kl_json_type(kl_json_member(operation, "security")) == KL_JSON_ARRAY;
        assert_int_equal(open, (API_ROUTES[i].flags & API_ROUTE_OPEN) != 0);
        bool body = kl_json_type(kl_json_member(operation, "requestBody")) == KL_JSON_OBJECT;
        assert_int_equal(body, (API_ROUTES[i].flags & (API_ROUTE_JSON | API_ROUTE_JSON_OPTIONAL |
                                                       API_ROUTE_YAML | API_ROUTE_STREAM)) != 0);
    }
    struct kl_json_iter iter = kl_json_iter(paths);
    while (kl_json_next(&iter, &path, &item)) {
        described += kl_json_count(item);
    }
    assert_int_equal(described, API_ROUTES_COUNT);
    kl_json_free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_router_finds_each_route_by_its_own_pattern),
        cmocka_unit_test(test_router_reads_ids_and_names),
        cmocka_unit_test(test_router_says_which_methods_a_path_takes),
        cmocka_unit_test(test_router_refuses_paths_that_are_none),
        cmocka_unit_test(test_router_refuses_bad_ids_encodings_and_lengths),
        cmocka_unit_test(test_openapi_describes_every_route_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
