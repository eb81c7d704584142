/* Calls for the report of a breach: as JSON, and as a page. */
#include "tests/support/api_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define TARGET "/v1/reports/breach"

static struct test_api fixture;
static struct vault_token auditor;
static char leaked[TEST_ID_BYTES];
static char other[TEST_ID_BYTES];

/* Make a credential as the steward; its id in ret_id, which may be NULL. */
static struct vault_token make(const char *body, char *ret_id)
{
    struct test_call call = {.method = "POST",
                             .target = "/v1/credentials",
                             .token = fixture.vault.steward_token.text,
                             .body = body};
    struct vault_token token = {{0}};
    struct api_response response;

    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 201);
    test_call_text(&response, "token", token.text, sizeof token.text);
    if (ret_id != NULL) {
        test_call_text(&response, "id", ret_id, TEST_ID_BYTES);
    }
    api_response_done(&response);
    return token;
}

static void breach(const char *more, int status, const char *text)
{
    char body[512];

    snprintf(body, sizeof body, "{\"credential\":\"%s\"%s}", leaked, more);
    test_api_ask(&fixture, "POST", TARGET, auditor.text, body, status, text);
}

static void test_a_report_tells_what_was_read(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    char target[TEST_TARGET_BYTES];
    struct vault_token clerk =
        make("{\"role\":\"clerk\",\"expires_in\":\"P1D\",\"reason\":\"desk 4\"}", leaked);

    (void)state;
    test_api_person(&fixture, "leak@example.be", false, subject, record);
    snprintf(target, sizeof target, "/v1/subjects/%s?purpose=care&fields=person.name", subject);
    breach("", 200, "\"people\":{\"all\":0,");
    test_api_ask(&fixture, "GET", target, clerk.text, NULL, 200, "Anna Peeters");
    breach("", 200, "\"people\":{\"all\":1,\"accessed\":1,");
    breach("", 200, "\"field\":\"person.name\",\"view\":\"plain\",\"purpose\":\"care\"");
    breach("", 200, "\"reason\":\"desk 4\"");
    breach(",\"aware_at\":\"2026-01-02T03:04:05Z\"", 200,
           "\"notify_authority_by\":\"2026-01-05T03:04:05.000000Z\"");
}

static void test_a_report_wants_proper_input(void **state)
{
    (void)state;
    breach(",\"limit\":0", 422, "invalid_value");
    breach(",\"limit\":1001", 422, "invalid_value");
    breach(",\"from\":\"today\"", 422, "invalid_time");
    breach(",\"cursor\":\"x\"", 400, "invalid_cursor");
    breach(",\"until\":\"x\"", 422, "unknown_key");
    breach(",\"credentials\":[]", 422, "invalid_value");
    breach(",\"role\":\"clerk\"", 422, "invalid_value");
    breach(",\"format\":\"csv\"", 422, "invalid_format");
    breach(",\"format\":7", 422, "invalid_type");
    breach(",\"format\":\"html\",\"lang\":\"de\"", 422, "invalid_language");
    test_api_ask(&fixture, "POST", TARGET, auditor.text, "{}", 422, "missing_key");
    test_api_ask(&fixture, "POST", TARGET, auditor.text,
                 "{\"credential\":\"cred_00000000000000000000000000\"}", 404, "not_found");
    test_api_ask(&fixture, "POST", TARGET, fixture.reader.text,
                 "{\"credential\":\"cred_00000000000000000000000000\"}", 403, "role_forbidden");
}

static void test_several_credentials_a_role_and_a_recipient_can_be_asked_about(void **state)
{
    char body[512];

    (void)state;
    snprintf(body, sizeof body, "{\"credentials\":[\"%s\",\"%s\"]}", leaked, other);
    test_api_ask(&fixture, "POST", TARGET, auditor.text, body, 200, "\"credential\":null,");
    test_api_ask(&fixture, "POST", TARGET, auditor.text, body, 200, "\"by\":[{\"credential\":");
    snprintf(body, sizeof body, "{\"credentials\":[\"%s\",\"x\"]}", leaked);
    test_api_ask(&fixture, "POST", TARGET, auditor.text, body, 400, "/credentials/1");
    test_api_ask(&fixture, "POST", TARGET, auditor.text,
                 "{\"role\":\"clerk\",\"from\":\"2020-01-01T00:00:00Z\"}", 200,
                 "\"people\":{\"all\":1,\"accessed\":1,");
    test_api_ask(&fixture, "POST", TARGET, auditor.text, "{\"role\":\"clerk\"}", 422,
                 "missing_key");
    test_api_ask(&fixture, "POST", TARGET, auditor.text,
                 "{\"role\":\"clark\",\"from\":\"2020-01-01T00:00:00Z\"}", 422, "unknown_role");
    test_api_ask(&fixture, "POST", TARGET, auditor.text,
                 "{\"recipient\":\"clark\",\"from\":\"2020-01-01T00:00:00Z\"}", 422,
                 "unknown_recipient");
}

static void test_a_page_names_nobody_and_is_safe(void **state)
{
    char body[256];
    struct api_response response;
    struct test_call call = {
        .method = "POST", .target = TARGET, .token = fixture.officer.text, .body = body};

    (void)state;
    snprintf(body, sizeof body, "{\"credential\":\"%s\",\"format\":\"html\",\"lang\":\"nl\"}",
             leaked);
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.content_type, API_TYPE_HTML);
    assert_string_equal(response.file_name, "breach-notification.html");
    assert_non_null(strstr(response.security, "default-src 'none'"));
    kl_buf_add_byte(&response.body, '\0');
    assert_non_null(strstr((const char *)response.body.bytes, "person.name"));
    assert_null(strstr((const char *)response.body.bytes, "sub_"));
    assert_null(strstr((const char *)response.body.bytes, "Anna"));
    assert_null(strstr((const char *)response.body.bytes, "desk 4"));
    api_response_done(&response);
}

static int group_setup(void **state)
{
    (void)state;
    test_api_start(&fixture);
    auditor = make("{\"role\":\"auditor\",\"expires_in\":\"P1D\"}", other);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    test_api_stop(&fixture);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_report_tells_what_was_read),
        cmocka_unit_test(test_a_report_wants_proper_input),
        cmocka_unit_test(test_several_credentials_a_role_and_a_recipient_can_be_asked_about),
        cmocka_unit_test(test_a_page_names_nobody_and_is_safe),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
