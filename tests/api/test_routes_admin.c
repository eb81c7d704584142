/* The calls about policy, credentials, keys, audit and tenants on a real vault, without sockets. */
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

static void test_app_policy_errors_come_with_place_and_suggestion(void **state)
{
    struct test_call call = {.method = "PUT",
                             .target = "/v1/policy",
                             .token = fixture.vault.steward_token.text,
                             .content_type = "application/yaml",
                             .body = "policy: x\nversion: 1\nrecrods: {}\n"};

    (void)state;
    test_api_expect(&fixture, &call, 422, "\"place\":\"3:1\"");
    test_api_expect(&fixture, &call, 422, "records");
    call.method = "POST";
    call.target = "/v1/policy/check";
    test_api_expect(&fixture, &call, 200, "\"valid\":false");
    call.body = TEST_POLICY;
    test_api_expect(&fixture, &call, 200, "{\"valid\":true,");
    call.token = fixture.clerk.text;
    test_api_expect(&fixture, &call, 403, "role_forbidden");
    call.target = "/v1/policy?accept=maybe";
    call.method = "PUT";
    call.token = fixture.vault.steward_token.text;
    test_api_expect(&fixture, &call, 400, "unknown_parameter");
    test_api_ask(&fixture, "GET", "/v1/policy", fixture.vault.steward_token.text, NULL, 200,
                 "policy: test");
}

static void test_app_explains_each_gate(void **state)
{
    (void)state;
    test_api_ask(
        &fixture, "POST", "/v1/explain", fixture.vault.steward_token.text,
        "{\"role\":\"reader\",\"purpose\":\"news\",\"fields\":[\"person.age\"]}", 200,
        "{\"fields\":[{\"field\":\"person.age\",\"shown\":false,\"view\":null,\"withheld\":\"ro"
        "le\",\"gates\":"
        "{\"role\":false,");
}

static void test_app_credentials_are_shown_once_listed_and_revoked(void **state)
{
    struct test_call call = {
        .method = "POST",
        .target = "/v1/credentials",
        .token = fixture.vault.steward_token.text,
        .headers = {{"Idempotency-Key", "cred-1"}},
        .body = "{\"role\":\"clerk\",\"expires_in\":\"P1D\",\"purposes\":[\"care\"]}"};
    struct api_response response;
    char token[64];
    char id[TEST_ID_BYTES];
    char target[TEST_TARGET_BYTES];

    (void)state;
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 201);
    test_call_text(&response, "token", token, sizeof token);
    test_call_text(&response, "id", id, sizeof id);
    api_response_done(&response);
    test_api_expect(&fixture, &call, 409, "token_already_shown");
    test_api_ask(&fixture, "GET", "/v1/credentials", fixture.vault.steward_token.text, NULL, 200,
                 id);
    test_api_ask(&fixture, "POST", "/v1/lookup", token,
                 "{\"field\":\"person.email\",\"value\":\"not.there@example.be\"}", 200,
                 "\"subjects\":[]");
    snprintf(target, sizeof target, "/v1/credentials/%s", id);
    test_api_ask(&fixture, "DELETE", target, fixture.vault.steward_token.text, NULL, 204, NULL);
    test_api_ask(&fixture, "POST", "/v1/lookup", token,
                 "{\"field\":\"person.email\",\"value\":\"a@b.be\"}", 401, "unauthorised");
    test_api_ask(&fixture, "POST", "/v1/credentials", fixture.vault.steward_token.text,
                 "{\"role\":\"clerk\",\"expires_in\":\"P1X\"}", 422, "invalid_duration");
    test_api_ask(&fixture, "POST", "/v1/credentials", fixture.vault.steward_token.text,
                 "{\"role\":\"clrek\",\"expires_in\":\"P1D\"}", 422, "unknown_role");
    test_api_ask(&fixture, "POST", "/v1/credentials", fixture.clerk.text,
                 "{\"role\":\"clerk\",\"expires_in\":\"P1D\"}", 403, NULL);
}

static void test_app_rotates_the_root_key_and_shows_how_it_is(void **state)
{
    struct test_call call = {.method = "POST",
                             .target = "/v1/keys/rotations",
                             .token = fixture.vault.operator_token.text,
                             .body = "{\"level\":\"root\"}"};
    struct api_response response;
    char id[TEST_ID_BYTES];
    char target[TEST_TARGET_BYTES];

    (void)state;
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 200);
    test_call_text(&response, "id", id, sizeof id);
    api_response_done(&response);
    snprintf(target, sizeof target, "/v1/keys/rotations/%s", id);
    test_api_ask(&fixture, "GET", target, fixture.vault.operator_token.text, NULL, 200,
                 "\"old_key_out_of_use\":true");
    test_api_ask(&fixture, "GET", "/v1/keys", fixture.vault.operator_token.text, NULL, 200,
                 "\"old_root_destroyed\":true");
    test_api_ask(&fixture, "POST", "/v1/keys/rotations", fixture.vault.operator_token.text,
                 "{\"level\":\"pages\"}", 422, "level_not_supported");
    test_api_ask(&fixture, "POST", "/v1/keys/rotations", fixture.vault.operator_token.text,
                 "{\"level\":\"all\",\"pages_per_second\":0}", 422, "invalid_value");
    test_api_ask(&fixture, "POST", "/v1/keys/rotations", fixture.vault.operator_token.text,
                 "{\"level\":\"tenant\"}", 422, "tenant_required");
    test_api_ask(&fixture, "POST", "/v1/keys/rotations?tenant=default",
                 fixture.vault.operator_token.text,
                 "{\"level\":\"tenant\",\"pages_per_second\":1000}", 202, "\"tenant\":\"default\"");
    test_api_ask(&fixture, "GET", "/v1/keys/rotations", fixture.vault.operator_token.text, NULL,
                 200, id);
    test_api_ask(&fixture, "GET", "/v1/keys/rotations", fixture.clerk.text, NULL, 403, NULL);
    test_api_ask(&fixture, "POST", "/v1/keys/rotations", fixture.clerk.text, "{\"level\":\"root\"}",
                 403, NULL);
}

static void test_app_audit_tells_what_was_done_and_never_a_value(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    char target[TEST_TARGET_BYTES];
    struct test_call call = {
        .method = "GET", .target = target, .token = fixture.vault.steward_token.text};
    struct api_response response;

    (void)state;
    test_api_person(&fixture, "audited@example.be", false, subject, record);
    snprintf(target, sizeof target, "/v1/subjects/%s?purpose=care", subject);
    test_api_ask(&fixture, "GET", target, fixture.clerk.text, NULL, 200, NULL);
    snprintf(target, sizeof target, "/v1/audit?subject=%s", subject);
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(test_call_body(&response), "\"action\":\"read\""));
    assert_null(strstr(test_call_body(&response), "audited"));
    assert_null(strstr(test_call_body(&response), "sub_"));
    api_response_done(&response);
    test_api_ask(&fixture, "GET", "/v1/audit/head", fixture.vault.steward_token.text, NULL, 200,
                 "\"signature\":\"");
    test_api_ask(&fixture, "GET", "/v1/audit?from=2026", fixture.vault.steward_token.text, NULL,
                 422, "invalid_time");
    test_api_ask(
        &fixture, "GET", "/v1/audit?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00%2B01:00",
        fixture.vault.steward_token.text, NULL, 200, "{\"entries\":[],\"next_cursor\":null}");
    test_api_ask(&fixture, "GET", "/v1/audit", fixture.clerk.text, NULL, 403, NULL);
}

static void test_app_tenants_are_made_and_read_by_operators(void **state)
{
    const char *operator_token = fixture.vault.operator_token.text;

    (void)state;
    test_api_ask(&fixture, "PUT", "/v1/tenants/acme", operator_token, NULL, 201,
                 "\"name\":\"acme\"");
    test_api_ask(&fixture, "PUT", "/v1/tenants/acme", operator_token, "{\"grace\":\"P30D\"}", 200,
                 "\"grace\":\"P30D\"");
    test_api_ask(&fixture, "GET", "/v1/tenants/acme", operator_token, NULL, 200, "\"policy\":null");
    test_api_ask(&fixture, "GET", "/v1/tenants", operator_token, NULL, 200, "\"name\":\"default\"");
    test_api_ask(&fixture, "GET", "/v1/tenants/none", operator_token, NULL, 404, "not_found");
    test_api_ask(&fixture, "PUT", "/v1/tenants/ACME", operator_token, NULL, 400, "invalid_tenant");
    test_api_ask(&fixture, "PUT", "/v1/tenants/other", fixture.clerk.text, NULL, 403, NULL);
    test_api_ask(&fixture, "GET", "/v1/keys?tenant=none", operator_token, NULL, 404,
                 "unknown_tenant");
    test_api_ask(&fixture, "GET", "/v1/policy?tenant=acme", fixture.vault.steward_token.text, NULL,
                 403, "tenant_forbidden");
}

static int group_setup(void **state)
{
    (void)state;
    test_api_start(&fixture);
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
        cmocka_unit_test(test_app_policy_errors_come_with_place_and_suggestion),
        cmocka_unit_test(test_app_explains_each_gate),
        cmocka_unit_test(test_app_credentials_are_shown_once_listed_and_revoked),
        cmocka_unit_test(test_app_rotates_the_root_key_and_shows_how_it_is),
        cmocka_unit_test(test_app_audit_tells_what_was_done_and_never_a_value),
        cmocka_unit_test(test_app_tenants_are_made_and_read_by_operators),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
