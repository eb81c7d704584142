#include "api/request_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct api_head head_of(const struct api_header *headers, size_t count)
{
    return (struct api_head){
        .method = "POST", .path = "/v1/subjects", .headers = headers, .header_count = count};
}

static void expect_frame(const struct api_header *headers, size_t count, const char *code)
{
    struct api_head head = head_of(headers, count);
    struct kl_err err = {0};
    size_t length = 77;

    assert_int_equal(api_request_frame(&head, &length, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, code);
    assert_int_equal(length, 77);
}

static void test_request_frame_takes_one_plain_length(void **state)
{
    static const struct api_header HEADERS[] = {{"content-length", "1048576"}, {"Accept", "*/*"}};
    struct api_head head = head_of(HEADERS, 2);
    struct kl_err err = {0};
    size_t length = 77;

    (void)state;
    assert_int_equal(api_request_frame(&head, &length, &err), KL_OK);
    assert_int_equal(length, 1048576);
    head.header_count = 0;
    assert_int_equal(api_request_frame(&head, &length, &err), KL_OK);
    assert_int_equal(length, 0);
}

static void test_request_frame_refuses_http_1_1_without_host(void **state)
{
    static const struct api_header HEADERS[] = {{"Accept", "*/*"}, {"Host", "vault.example"}};
    struct api_head head = head_of(HEADERS, 1);
    struct kl_err err = {0};
    size_t length = 77;

    (void)state;
    head.needs_host = true;
    assert_int_equal(api_request_frame(&head, &length, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_header");
    assert_int_equal(length, 77);
    head.header_count = 2;
    assert_int_equal(api_request_frame(&head, &length, &err), KL_OK);
    assert_int_equal(length, 0);
}

static void test_request_frame_refuses_what_could_be_read_in_two_ways(void **state)
{
    static const char *const LENGTHS[] = {
        "", " 5", "5 ", "+5", "-5", "0x5", "5,5", "5\t", "99999999999999999999", "five"};
    static const struct api_header TWICE[] = {{"Content-Length", "5"}, {"Content-Length", "5"}};
    static const struct api_header BOTH[] = {{"Content-Length", "5"},
                                             {"Transfer-Encoding", "chunked"}};
    static const struct api_header CODED[] = {{"Transfer-Encoding", "identity"}};

    (void)state;
    for (size_t i = 0; i < COUNT(LENGTHS); i++) {
        const struct api_header header = {"Content-Length", LENGTHS[i]};
        expect_frame(&header, 1, "invalid_length");
    }
    expect_frame(TWICE, 2, "invalid_length");
    expect_frame(BOTH, 2, "invalid_length");
    expect_frame(CODED, 1, "length_required");
}

static void test_request_frame_refuses_doubled_and_broken_headers(void **state)
{
    static const char *const ONCE[] = {"Authorization",   "Content-Type", "Host",
                                       "Idempotency-Key", "If-Match",     "Expect",
                                       "X-Request-Id"};
    static const struct api_header EXPECT = {"Expect", "200-ok"};
    static const struct api_header CONTROL[] = {
        {"X-A", "a\nb"}, {"X-A", "a\rb"}, {"X-A", "\x01"}, {"X-A", "\x7f"}};

    (void)state;
    for (size_t i = 0; i < COUNT(ONCE); i++) {
        const struct api_header twice[] = {{ONCE[i], "100-continue"}, {ONCE[i], "100-continue"}};
        expect_frame(twice, 2, "invalid_header");
    }
    for (size_t i = 0; i < COUNT(CONTROL); i++) {
        expect_frame(&CONTROL[i], 1, "invalid_header");
    }
    expect_frame(&EXPECT, 1, "expectation_failed");
}

static void test_request_bearer_reads_the_token_of_that_scheme_only(void **state)
{
    struct api_header header = {"authorization", "Bearer kl_abc"};
    struct api_head head = head_of(&header, 1);
    struct kl_err err = {0};
    const char *token = "untouched";

    (void)state;
    assert_int_equal(api_request_bearer(&head, &token, &err), KL_OK);
    assert_string_equal(token, "kl_abc");
    header.value = "bearer   kl_abc";
    assert_int_equal(api_request_bearer(&head, &token, &err), KL_OK);
    assert_string_equal(token, "kl_abc");
    token = "untouched";
    header.value = "Basic kl_abc";
    assert_int_equal(api_request_bearer(&head, &token, &err), KL_ERR_UNAUTHORISED);
    assert_string_equal(err.code, "unauthorised");
    header.value = "Bearer";
    assert_int_equal(api_request_bearer(&head, &token, &err), KL_ERR_UNAUTHORISED);
    assert_string_equal(token, "untouched");
    head.header_count = 0;
    assert_int_equal(api_request_bearer(&head, &token, &err), KL_OK);
    assert_null(token);
}

static void test_request_content_type_may_have_parameters(void **state)
{
    static const struct {
        const char *value;
        bool json;
        bool yaml;
    } CASES[] = {{"application/json", true, false},
                 {"Application/JSON; charset=utf-8", true, false},
                 {"application/merge-patch+json", true, false},
                 {"application/yaml", false, true},
                 {"text/yaml;charset=utf-8", false, true},
                 {"application/jsonp", false, false},
                 {"text/plain", false, false},
                 {"", false, false}};

    (void)state;
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct api_header header = {"Content-Type", CASES[i].value};
        struct api_head head = head_of(&header, 1);
        struct kl_err err = {0};
        assert_int_equal(api_request_content_type(&head, false, &err) == KL_OK, CASES[i].json);
        kl_err_clear(&err);
        assert_int_equal(api_request_content_type(&head, true, &err) == KL_OK, CASES[i].yaml);
    }
    struct api_head none = head_of(NULL, 0);
    struct kl_err err = {0};
    assert_int_equal(api_request_content_type(&none, false, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "unsupported_media_type");
}

static void test_request_if_match_reads_one_strong_etag(void **state)
{
    static const char *const BAD[] = {
        "",    "3",       "\"\"",         "\"0\"", "\"-1\"",
        "\"3", "W/\"3\"", "\"3\", \"4\"", "\"a\"", "\"9999999999999999999\"",
        "**"};
    struct api_header header = {"If-Match", "\"3\""};
    struct api_head head = head_of(&header, 1);
    struct api_request request = {.head = &head};
    struct kl_err err = {0};
    uint64_t version = 77;

    (void)state;
    assert_int_equal(api_request_if_match(&request, &version, &err), KL_OK);
    assert_int_equal(version, 3);
    header.value = "*";
    assert_int_equal(api_request_if_match(&request, &version, &err), KL_OK);
    assert_int_equal(version, 0);
    version = 77;
    for (size_t i = 0; i < COUNT(BAD); i++) {
        kl_err_clear(&err);
        header.value = BAD[i];
        assert_int_equal(api_request_if_match(&request, &version, &err), KL_ERR_INVALID);
        assert_string_equal(err.code, "invalid_header");
    }
    head.header_count = 0;
    kl_err_clear(&err);
    assert_int_equal(api_request_if_match(&request, &version, &err), KL_ERR_REQUIRED);
    assert_string_equal(err.code, "if_match_required");
    assert_int_equal(version, 77);
}

static void test_request_idempotency_binds_the_key_to_what_is_asked(void **state)
{
    struct api_header header = {"Idempotency-Key", "\"key-1\""};
    struct api_head head = head_of(&header, 1);
    struct api_request request = {.head = &head, .arena = kl_arena_new(65536)};
    struct vault_idempotency first;
    struct vault_idempotency second;
    struct kl_err err = {0};

    (void)state;
    assert_non_null(request.arena);
    kl_buf_init(&request.body, 1000);
    kl_buf_add_text(&request.body, "{}");
    assert_int_equal(api_request_idempotency(&request, NULL, 0, &first, &err), KL_OK);
    assert_string_equal(first.key, "key-1");
    assert_int_equal(api_request_idempotency(&request, NULL, 0, &second, &err), KL_OK);
    assert_memory_equal(first.fingerprint, second.fingerprint, sizeof first.fingerprint);
    head.path = "/v1/subjectsX";
    assert_int_equal(api_request_idempotency(&request, NULL, 0, &second, &err), KL_OK);
    assert_memory_not_equal(first.fingerprint, second.fingerprint, sizeof first.fingerprint);
    head.path = "/v1/subjects";
    kl_buf_add_byte(&request.body, ' ');
    assert_int_equal(api_request_idempotency(&request, NULL, 0, &second, &err), KL_OK);
    assert_memory_not_equal(first.fingerprint, second.fingerprint, sizeof first.fingerprint);
    assert_int_equal(api_request_idempotency(&request, "a", 1, &first, &err), KL_OK);
    assert_int_equal(api_request_idempotency(&request, "b", 1, &second, &err), KL_OK);
    assert_string_not_equal(first.key, second.key);
    head.header_count = 0;
    assert_int_equal(api_request_idempotency(&request, NULL, 0, &second, &err), KL_OK);
    assert_null(second.key);
    kl_buf_done(&request.body);
    kl_arena_free(request.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_frame_takes_one_plain_length),
        cmocka_unit_test(test_request_frame_refuses_http_1_1_without_host),
        cmocka_unit_test(test_request_frame_refuses_what_could_be_read_in_two_ways),
        cmocka_unit_test(test_request_frame_refuses_doubled_and_broken_headers),
        cmocka_unit_test(test_request_bearer_reads_the_token_of_that_scheme_only),
        cmocka_unit_test(test_request_content_type_may_have_parameters),
        cmocka_unit_test(test_request_if_match_reads_one_strong_etag),
        cmocka_unit_test(test_request_idempotency_binds_the_key_to_what_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
