/* The calls that export a whole tenant, without sockets. */
#include "tests/support/api_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define EXPORT "/v1/tenants/default/export"

static struct test_api fixture;

static const char *steward(void)
{
    return fixture.vault.steward_token.text;
}

static void end_default(void)
{
    test_api_ask(&fixture, "PUT", "/v1/tenants/default", fixture.vault.operator_token.text,
                 "{\"grace\":\"P30D\"}", 200, "\"grace\":\"P30D\"");
    test_api_ask(&fixture, "DELETE", "/v1/tenants/default", fixture.vault.operator_token.text, NULL,
                 202, "\"ends_at\"");
}

static void restore_default(void)
{
    test_api_ask(&fixture, "POST", "/v1/tenants/default/restore", fixture.vault.operator_token.text,
                 NULL, 200, "\"default\"");
}

static void test_app_exports_a_tenant_as_lines_in_its_grace_period(void **state)
{
    struct test_call call = {.method = "POST", .target = EXPORT, .token = steward()};
    struct api_response response;
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    const char *body = NULL;

    (void)state;
    test_api_person(&fixture, "export@example.be", true, subject, record);
    test_api_ask(&fixture, "POST", EXPORT, steward(), NULL, 403, "return_not_due");
    test_api_ask(&fixture, "DELETE", "/v1/tenants/default?now=true",
                 fixture.vault.operator_token.text, NULL, 409, "tenant_open");
    test_api_ask(&fixture, "DELETE", "/v1/tenants/default?now=perhaps",
                 fixture.vault.operator_token.text, NULL, 400, "invalid_parameter");
    end_default();
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.content_type, "application/x-ndjson");
    body = test_call_body(&response);
    assert_ptr_equal(strstr(body, "{\"kind\":\"tenant\",\"format\":1,\"name\":\"default\""), body);
    assert_non_null(strstr(body, "\n{\"kind\":\"subject\",\"id\":\"sub_"));
    assert_non_null(strstr(body, "\"email\":\"export@example.be\""));
    assert_non_null(strstr(body, "\"age\":41.5"));
    assert_non_null(strstr(body, "\n{\"kind\":\"page\",\"subjects\":1,\"records\":1,\"files\":0,"
                                 "\"withheld\":0,\"damaged\":0,\"next_cursor\":null}\n"));
    api_response_done(&response);
    restore_default();
}

static void test_app_refuses_everybody_else(void **state)
{
    char target[TEST_TARGET_BYTES];

    (void)state;
    end_default();
    test_api_ask(&fixture, "POST", EXPORT, fixture.vault.operator_token.text, NULL, 403,
                 "role_forbidden");
    test_api_ask(&fixture, "POST", EXPORT, fixture.clerk.text, NULL, 403, "tenant_closed");
    test_api_ask(&fixture, "POST", EXPORT, NULL, NULL, 401, "unauthorised");
    test_api_ask(&fixture, "POST", "/v1/tenants/other/export", steward(), NULL, 404, "not_found");
    test_api_ask(&fixture, "POST", EXPORT, steward(), "{\"limit\":1001}", 422, "invalid_value");
    test_api_ask(&fixture, "POST", EXPORT, steward(), "{\"purpose\":\"care\"}", 422, "unknown_key");
    test_api_ask(&fixture, "POST", EXPORT, steward(), "{\"cursor\":\"AAAA\"}", 400,
                 "invalid_cursor");
    test_api_ask(&fixture, "POST", "/v1/policy/check", steward(), NULL, 403, "tenant_closed");
    test_api_ask(&fixture, "POST", EXPORT "?tenant=default", steward(), NULL, 400,
                 "unknown_parameter");
    snprintf(target, sizeof target, "%s/subjects/sub_%s/records/rec_%s/file", EXPORT,
             "00000000000000000000000000", "00000000000000000000000000");
    test_api_ask(&fixture, "GET", target, steward(), NULL, 422, "missing_parameter");
    snprintf(target, sizeof target, "%s/subjects/sub_%s/records/rec_%s/file?field=photo", EXPORT,
             "00000000000000000000000000", "00000000000000000000000000");
    test_api_ask(&fixture, "GET", target, steward(), NULL, 404, "not_found");
    test_api_ask(&fixture, "GET", target, fixture.clerk.text, NULL, 403, "tenant_closed");
    restore_default();
}

static int setup(void **state)
{
    (void)state;
    test_api_start(&fixture);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_api_stop(&fixture);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_app_exports_a_tenant_as_lines_in_its_grace_period),
        cmocka_unit_test(test_app_refuses_everybody_else),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
