/* The calls about webhooks on a real vault, without sockets. */
#include "tests/support/api_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define BODY "{\"url\":\"https://a.example/hooks\",\"country\":\"BE\"}"

static struct test_api fixture;

static void expect(const char *method, const char *target, const char *body, int status,
                   const char *text)
{
    test_api_ask(&fixture, method, target, fixture.vault.steward_token.text, body, status, text);
}

static void test_app_webhooks_are_added_listed_tried_and_removed(void **state)
{
    struct test_call call = {.method = "POST",
                             .target = "/v1/webhooks",
                             .token = fixture.vault.steward_token.text,
                             .headers = {{"Idempotency-Key", "hook-1"}},
                             .body = BODY};
    struct api_response response;
    char id[TEST_ID_BYTES];
    char secret[64];
    char target[TEST_TARGET_BYTES];

    (void)state;
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 201);
    test_call_text(&response, "id", id, sizeof id);
    test_call_text(&response, "secret", secret, sizeof secret);
    assert_int_equal(strlen(secret), 50);
    snprintf(target, sizeof target, "/v1/webhooks/%s", id);
    assert_string_equal(response.location, target);
    assert_non_null(strstr(test_call_body(&response), "\"events\":[\"alerts\",\"heads\"]"));
    api_response_done(&response);
    test_api_expect(&fixture, &call, 409, "secret_already_shown");
    expect("GET", "/v1/webhooks", NULL, 200, id);
    expect("GET", target, NULL, 200, "\"waiting\":0");
    snprintf(target, sizeof target, "/v1/webhooks/%s/test", id);
    expect("POST", target, NULL, 202, "\"event\":\"evt_");
    snprintf(target, sizeof target, "/v1/webhooks/%s", id);
    expect("GET", target, NULL, 200, "\"waiting\":1");
    test_api_ask(&fixture, "GET", target, fixture.vault.operator_token.text, NULL, 404,
                 "not_found");
    expect("DELETE", target, NULL, 204, NULL);
    expect("DELETE", target, NULL, 404, "not_found");
    expect("GET", "/v1/webhooks", NULL, 200, "{\"webhooks\":[]}");
}

static void test_app_webhooks_take_nothing_else(void **state)
{
    (void)state;
    expect("POST", "/v1/webhooks", "{\"url\":\"http://a/\",\"country\":\"BE\"}", 422,
           "\"pointer\":\"/url\"");
    expect("POST", "/v1/webhooks", "{\"url\":\"https://a/\",\"country\":\"EL\"}", 422,
           "\"pointer\":\"/country\"");
    expect("POST", "/v1/webhooks",
           "{\"url\":\"https://a/\",\"country\":\"BE\",\"events\":[\"alerts\",\"reads\"]}", 422,
           "\"pointer\":\"/events/1\"");
    expect("POST", "/v1/webhooks", "{\"url\":\"https://a/\",\"country\":\"BE\",\"x\":1}", 422,
           "unknown_key");
    expect("POST", "/v1/webhooks", "{\"country\":\"BE\"}", 422, "missing_key");
    expect("GET", "/v1/webhooks/cred_00000000000000000000000000", NULL, 400, "invalid_id");
    test_api_ask(&fixture, "POST", "/v1/webhooks", fixture.clerk.text, BODY, 403, "role_forbidden");
    test_api_ask(&fixture, "POST", "/v1/webhooks", fixture.vault.steward_token.text,
                 "{\"url\":\"https://a/\",\"country\":\"US\"}", 403, "residency");
}

static void test_app_figures_have_alerts_and_webhooks(void **state)
{
    (void)state;
    test_api_ask(&fixture, "GET", "/metrics", fixture.vault.operator_token.text, NULL, 200,
                 "\nkluis_alerts_volume_total{store=\"main\"} 0\n");
    test_api_ask(&fixture, "GET", "/metrics", fixture.vault.operator_token.text, NULL, 200,
                 "\nkluis_webhook_events_waiting{store=\"main\"} 0\n");
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
        cmocka_unit_test(test_app_webhooks_are_added_listed_tried_and_removed),
        cmocka_unit_test(test_app_webhooks_take_nothing_else),
        cmocka_unit_test(test_app_figures_have_alerts_and_webhooks),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
