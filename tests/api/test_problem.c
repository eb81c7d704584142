#include "api/response.h"
#include "kluis/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static struct kl_err failure(enum kl_status status, const char *code)
{
    struct kl_err err = {0};

    assert_int_equal(kl_fail(&err, status, code, "text", "log text"), status);
    return err;
}

static void test_problem_maps_every_failure_to_a_status(void **state)
{
    static const struct {
        enum kl_status status;
        const char *code;
        int http_status;
    } CASES[] = {{KL_ERR_INVALID, "invalid_json", 400},
                 {KL_ERR_INVALID, "invalid_id", 400},
                 {KL_ERR_INVALID, "unknown_parameter", 400},
                 {KL_ERR_INVALID, "unknown_key", 422},
                 {KL_ERR_INVALID, "invalid_value", 422},
                 {KL_ERR_INVALID, "idempotency_key_reused", 422},
                 {KL_ERR_INVALID, "length_required", 411},
                 {KL_ERR_INVALID, "unsupported_media_type", 415},
                 {KL_ERR_INVALID, "method_not_allowed", 405},
                 {KL_ERR_INVALID, "request_timeout", 408},
                 {KL_ERR_TOO_LARGE, "body_too_large", 413},
                 {KL_ERR_TOO_LARGE, "uri_too_long", 414},
                 {KL_ERR_UNAUTHORISED, "unauthorised", 401},
                 {KL_ERR_FORBIDDEN, "role_forbidden", 403},
                 {KL_ERR_NOT_FOUND, "not_found", 404},
                 {KL_ERR_CONFLICT, "not_unique", 409},
                 {KL_ERR_EXISTS, "exists", 409},
                 {KL_ERR_PRECONDITION, "version_mismatch", 412},
                 {KL_ERR_REQUIRED, "if_match_required", 428},
                 {KL_ERR_GONE, "idempotent_result_erased", 410},
                 {KL_ERR_REFUSED, "no_policy", 409},
                 {KL_ERR_REFUSED, "mirror_unreachable", 503},
                 {KL_ERR_BUSY, "busy", 503},
                 {KL_ERR_UNAVAILABLE, "audit_unavailable", 503},
                 {KL_ERR_UNAVAILABLE, "vault_disk_full", 507},
                 {KL_ERR_INVALID, "range_not_satisfiable", 416},
                 {KL_ERR_NO_MEMORY, "no_memory", 503},
                 {KL_ERR_IO, "io", 500},
                 {KL_ERR_CORRUPT, "corrupt", 500},
                 {KL_ERR_INTERNAL, "internal", 500}};

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct kl_err err = failure(CASES[i].status, CASES[i].code);
        assert_int_equal(api_problem_status(&err), CASES[i].http_status);
        assert_string_not_equal(api_status_text(CASES[i].http_status), "Unknown");
    }
}

static void test_problem_document_has_the_members_of_rfc_9457_and_the_place(void **state)
{
    struct kl_err err = failure(KL_ERR_INVALID, "invalid_value");
    struct api_response response;

    (void)state;
    kl_err_where(&err, "/records/0/fields/email");
    api_response_init(&response);
    api_response_problem(&response, &err, "req-1", NULL);
    assert_int_equal(response.status, 422);
    assert_string_equal(response.content_type, "application/problem+json");
    assert_string_equal(
        (char *)response.body.bytes,
        "{\"type\":\"urn:kluis:problem:invalid_value\",\"title\":\"Unprocessable "
        "Content\",\"status\":422,\"detail\":\"text\",\"code\":\"invalid_value\","
        "\"instance\":\"urn:kluis:request:req-1\",\"errors\":[{\"pointer\":\"/records/0/"
        "fields/email\",\"detail\":\"text\",\"code\":\"invalid_value\"}]}");
    api_response_done(&response);
}

static void test_problem_tells_a_client_nothing_of_the_servers_own_mistakes(void **state)
{
    struct kl_err err = {0};
    struct api_response response;

    (void)state;
    assert_int_equal(kl_fail(&err, KL_ERR_IO, "disk_full", "text of /srv/kluis", "log text"),
                     KL_ERR_IO);
    kl_err_where(&err, "/secret/place");
    api_response_init(&response);
    api_response_problem(&response, &err, "req-1", NULL);
    assert_int_equal(response.status, 500);
    assert_non_null(strstr((char *)response.body.bytes, "internal_error"));
    assert_null(strstr((char *)response.body.bytes, "srv"));
    assert_null(strstr((char *)response.body.bytes, "disk"));
    assert_null(strstr((char *)response.body.bytes, "log text"));
    assert_null(strstr((char *)response.body.bytes, "secret"));
    api_response_done(&response);
}

/* The head of the answer as text. */
static void write_head(const struct api_response *response, bool head_only, bool keep_alive,
                       char *ret_text, size_t size)
{
    struct kl_buf bytes = {0};
    struct kl_err err = {0};

    assert_int_equal(api_response_write(response, "req-1", head_only, keep_alive, &bytes, &err),
                     KL_OK);
    snprintf(ret_text, size, "%.*s", (int)bytes.size, (const char *)bytes.bytes);
    kl_buf_done(&bytes);
}

static void test_response_headers_go_with_the_status(void **state)
{
    struct api_response response;
    struct kl_err err = failure(KL_ERR_UNAUTHORISED, "unauthorised");
    char text[4096];

    (void)state;
    api_response_init(&response);
    response.has_etag = true; /* does not survive a failure */
    api_response_problem(&response, &err, "req-1", NULL);
    write_head(&response, false, true, text, sizeof text);
    assert_int_equal(strncmp(text, "HTTP/1.1 401 Unauthorized\r\n", 27), 0);
    assert_non_null(strstr(text, "\r\nWWW-Authenticate: Bearer"));
    assert_non_null(strstr(text, "\r\nConnection: keep-alive\r\n"));
    assert_null(strstr(text, "ETag"));
    err = failure(KL_ERR_BUSY, "busy");
    api_response_problem(&response, &err, "req-1", NULL);
    write_head(&response, false, false, text, sizeof text);
    assert_non_null(strstr(text, "\r\nRetry-After: "));
    assert_null(strstr(text, "WWW-Authenticate"));
    assert_non_null(strstr(text, "\r\nConnection: close\r\n"));
    err = failure(KL_ERR_FORBIDDEN, "too_many_attempts");
    kl_err_retry(&err, 77);
    api_response_problem(&response, &err, "req-1", NULL);
    write_head(&response, false, false, text, sizeof text);
    assert_int_equal(strncmp(text, "HTTP/1.1 429 Too Many Requests\r\n", 32), 0);
    assert_non_null(strstr(text, "\r\nRetry-After: 77\r\n"));
    err = failure(KL_ERR_FORBIDDEN, "volume_exceeded");
    kl_err_retry(&err, UINT32_MAX);
    api_response_problem(&response, &err, "req-1", NULL);
    write_head(&response, false, false, text, sizeof text);
    assert_non_null(strstr(text, "\r\nRetry-After: 86400\r\n"));
    api_response_done(&response);
}

static void test_response_without_a_body_has_no_length_and_head_has_no_body(void **state)
{
    struct api_response response;
    char text[4096];

    (void)state;
    api_response_init(&response);
    write_head(&response, false, true, text, sizeof text);
    assert_int_equal(strncmp(text, "HTTP/1.1 204 No Content\r\n", 25), 0);
    assert_null(strstr(text, "\r\nContent-"));
    struct kl_json_out out = api_response_json(&response, 200);
    kl_json_object_begin(&out);
    kl_json_object_end(&out);
    response.has_etag = true;
    response.etag = 7;
    write_head(&response, true, true, text, sizeof text);
    assert_non_null(strstr(text, "\r\nETag: \"7\"\r\n"));
    assert_non_null(strstr(text, "\r\nContent-Length: 2\r\n"));
    assert_string_equal(text + strlen(text) - 4, "\r\n\r\n");
    write_head(&response, false, true, text, sizeof text);
    assert_string_equal(text + strlen(text) - 6, "\r\n\r\n{}");
    api_response_done(&response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_problem_maps_every_failure_to_a_status),
        cmocka_unit_test(test_problem_document_has_the_members_of_rfc_9457_and_the_place),
        cmocka_unit_test(test_problem_tells_a_client_nothing_of_the_servers_own_mistakes),
        cmocka_unit_test(test_response_headers_go_with_the_status),
        cmocka_unit_test(test_response_without_a_body_has_no_length_and_head_has_no_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
