/* Calls about the audit trail: a period, and reviews. */
#include "tests/support/api_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static struct test_api fixture;
static struct vault_token auditor;

/* Make a credential as the steward. */
static struct vault_token make(const char *body)
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
    api_response_done(&response);
    return token;
}

static void test_a_period_is_added_up(void **state)
{
    (void)state;
    test_api_ask(&fixture, "GET", "/metrics", auditor.text, NULL, 403, "role_forbidden");
    test_api_ask(&fixture, "GET", "/metrics", fixture.vault.operator_token.text, NULL, 200,
                 "kluis_ready");
    test_api_ask(&fixture, "GET", "/v1/audit/summary", auditor.text, NULL, 200,
                 "\"action\":\"credential_create\"");
    test_api_ask(&fixture, "GET", "/v1/audit/summary?entry=0&hours=08:00-18:00%20Europe/Brussels",
                 auditor.text, NULL, 200, "\"out_of_hours\":");
    test_api_ask(&fixture, "GET", "/v1/audit/summary?entry=x", auditor.text, NULL, 400,
                 "invalid_parameter");
    test_api_ask(&fixture, "GET", "/v1/audit/summary?hours=x", auditor.text, NULL, 422,
                 "invalid_hours");
    test_api_ask(&fixture, "GET", "/v1/audit/summary", fixture.reader.text, NULL, 403,
                 "role_forbidden");
}

static void test_a_review_is_signed_and_listed(void **state)
{
    const char *target = "/v1/audit/reviews";

    (void)state;
    test_api_ask(&fixture, "POST", target, auditor.text,
                 "{\"to\":2,\"findings\":[1],\"note\":\"odd\"}", 201,
                 "\"from\":0,\"to\":2,\"own_entries\":0");
    test_api_ask(&fixture, "GET", target, auditor.text, NULL, 200, "\"note\":\"odd\"");
    test_api_ask(&fixture, "GET", target, auditor.text, NULL, 200, "\"unreviewed\":[{\"from\":2,");
    test_api_ask(&fixture, "POST", target, auditor.text, "{\"from\":0}", 422, "missing_key");
    test_api_ask(&fixture, "POST", target, auditor.text, "{\"to\":2,\"findings\":1}", 422,
                 "invalid_type");
    test_api_ask(&fixture, "POST", target, auditor.text, "{\"to\":2,\"findings\":[\"x\"]}", 422,
                 "invalid_type");
    test_api_ask(&fixture, "POST", target, auditor.text, "{\"from\":0,\"to\":900000}", 422,
                 "invalid_range");
    test_api_ask(&fixture, "POST", target, fixture.reader.text, "{\"to\":2}", 403,
                 "role_forbidden");
}

static void test_a_reason_is_shown_and_checked(void **state)
{
    (void)state;
    test_api_ask(&fixture, "GET", "/v1/credentials?limit=100", fixture.vault.steward_token.text,
                 NULL, 200, "\"reason\":\"desk 4\"");
    test_api_ask(&fixture, "POST", "/v1/credentials", fixture.vault.steward_token.text,
                 "{\"role\":\"clerk\",\"expires_in\":\"P1D\",\"reason\":\"for "
                 "sub_0000000000000000000000000A\"}",
                 422, "names_subject");
    test_api_ask(&fixture, "POST", "/v1/credentials", fixture.vault.steward_token.text,
                 "{\"role\":\"clerk\",\"expires_in\":\"P1D\",\"reason\":\"\"}", 422, "empty_value");
}

static int group_setup(void **state)
{
    (void)state;
    test_api_start(&fixture);
    auditor = make("{\"role\":\"auditor\",\"expires_in\":\"P1D\"}");
    (void)make("{\"role\":\"clerk\",\"expires_in\":\"P1D\",\"reason\":\"desk 4\"}");
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
        cmocka_unit_test(test_a_period_is_added_up),
        cmocka_unit_test(test_a_review_is_signed_and_listed),
        cmocka_unit_test(test_a_reason_is_shown_and_checked),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
