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

static void test_the_trail_is_searched(void **state)
{
    static const struct {
        const char *query;
        int status;
        const char *text;
    } asks[] = {{"purpose=care", 200, "\"entries\":["},
                {"field=person.name&action=read&result=ok&limit=5", 200, "\"next_cursor\":"},
                {"purpose=Care", 422, "invalid_name"},
                {"field=name", 422, "invalid_name"},
                {"action=reed", 422, "unknown_action"},
                {"result=good", 422, "unknown_result"},
                {"place=here", 400, "unknown_parameter"}};
    char target[TEST_TARGET_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
        (void)snprintf(target, sizeof target, "/v1/audit?%s", asks[i].query);
        test_api_ask(&fixture, "GET", target, auditor.text, NULL, asks[i].status, asks[i].text);
    }
}

#define EXPORT_TARGET_BYTES (API_CURSOR_BYTES + 128)

static void export_ask(const char *query, struct api_response *ret)
{
    char target[EXPORT_TARGET_BYTES];
    struct test_call call = {.method = "GET", .target = target, .token = auditor.text};

    (void)snprintf(target, sizeof target, "/v1/audit/export%s", query);
    test_call_make(&fixture.app, &call, ret);
    assert_int_equal(ret->status, 200);
    assert_true(ret->has_next_entry);
}

static void test_the_trail_is_exported(void **state)
{
    struct api_response response;
    char query[EXPORT_TARGET_BYTES - 32];

    (void)state;
    export_ask("?limit=1", &response);
    assert_string_equal(response.content_type, API_TYPE_NDJSON);
    assert_memory_equal(response.body.bytes, "{\"seq\":0,\"entry\":{", 18);
    assert_int_equal(response.next_entry, 1);
    assert_true(response.next_cursor[0] != '\0');
    (void)snprintf(query, sizeof query, "?limit=1&format=cef&cursor=%s", response.next_cursor);
    api_response_done(&response);
    export_ask(query, &response);
    assert_string_equal(response.content_type, API_TYPE_TEXT);
    assert_memory_equal(response.body.bytes, "CEF:0|Kluis|", 12);
    assert_int_equal(response.next_entry, 2);
    api_response_done(&response);
    export_ask("?format=ocsf&entry=1&limit=10000", &response);
    assert_string_equal(response.content_type, API_TYPE_NDJSON);
    assert_string_equal(response.next_cursor, "");
    api_response_done(&response);
    test_api_ask(&fixture, "GET", "/v1/audit/export?format=csv", auditor.text, NULL, 422,
                 "invalid_format");
    test_api_ask(&fixture, "GET", "/v1/audit/export?limit=10001", auditor.text, NULL, 400,
                 "invalid_limit");
    test_api_ask(&fixture, "GET", "/v1/audit/export?limit=0", auditor.text, NULL, 400,
                 "invalid_limit");
    test_api_ask(&fixture, "GET", "/v1/audit/export?entry=-1", auditor.text, NULL, 400,
                 "invalid_parameter");
    test_api_ask(&fixture, "GET", "/v1/audit/export?cursor=x", auditor.text, NULL, 400,
                 "invalid_cursor");
    test_api_ask(&fixture, "GET", "/v1/audit/export", fixture.reader.text, NULL, 403,
                 "role_forbidden");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_trail_is_searched),
        cmocka_unit_test(test_the_trail_is_exported),
        cmocka_unit_test(test_a_period_is_added_up),
        cmocka_unit_test(test_a_review_is_signed_and_listed),
        cmocka_unit_test(test_a_reason_is_shown_and_checked),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
