/* Calls about requests of data subjects. */
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

/* A fresh person, and a request of theirs: its target below /v1/requests. */
static void ask_for(const char *right, const char *email, char ret_target[TEST_TARGET_BYTES])
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    char request[TEST_ID_BYTES];
    char body[512];
    struct api_response response;
    const struct test_call call = {
        .method = "POST", .target = "/v1/requests", .token = fixture.officer.text, .body = body};

    test_api_person(&fixture, email, false, subject, record);
    snprintf(body, sizeof body,
             "{\"subject\":\"%s\",\"right\":\"%s\",\"channel\":\"e-mail\",\"note\":\"please\","
             "\"received_at\":\"2026-01-31T10:00:00Z\"}",
             subject, right);
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 201);
    assert_non_null(
        strstr(test_call_body(&response), "\"due_at\":\"2026-02-28T23:59:59.000000Z\""));
    assert_non_null(strstr(test_call_body(&response), subject));
    test_call_text(&response, "id", request, sizeof request);
    assert_non_null(strstr(response.location, request));
    api_response_done(&response);
    snprintf(ret_target, TEST_TARGET_BYTES, "/v1/requests/%s", request);
}

static void step(const char *target, const char *what, const char *body, int status,
                 const char *text)
{
    char path[TEST_TARGET_BYTES + 16];

    snprintf(path, sizeof path, "%s/%s", target, what);
    test_api_ask(&fixture, "POST", path, fixture.officer.text, body, status, text);
}

static void test_a_request_goes_its_way(void **state)
{
    char target[TEST_TARGET_BYTES];

    (void)state;
    ask_for("access", "way@example.be", target);
    test_api_ask(&fixture, "GET", target, fixture.officer.text, NULL, 200, "\"note\":\"please\"");
    test_api_ask(&fixture, "GET", target, fixture.clerk.text, NULL, 404, "not_found");
    step(target, "verify", "{\"method\":\"known_contact\",\"note\":\"called\"}", 200,
         "\"verified\":{\"at\":");
    step(target, "complete", "{\"format\":\"pdf\"}", 422, "invalid_format");
    step(target, "complete", "{\"reference\":\"letter-1\",\"format\":\"json\"}", 422,
         "no_document");
    step(target, "complete",
         "{\"reference\":\"letter-1\",\"fee\":{\"amount\":\"5\",\"currency\":\"EUR\",\"reason\":"
         "\"further_copies\"}}",
         200, "\"fee\":{\"amount\":\"5\",\"currency\":\"EUR\",\"reason\":\"further_copies\"}");
    step(target, "reject", "{\"ground\":\"excessive\"}", 409, "request_closed");
}

static void test_a_request_is_put_off_or_refused(void **state)
{
    char target[TEST_TARGET_BYTES];

    (void)state;
    ask_for("objection", "off@example.be", target);
    step(target, "complete", "{}", 422, "missing_key");
    step(target, "extend", "{\"reason\":\"complexity\"}", 422, "missing_key");
    step(target, "extend", "{\"reason\":\"complexity\",\"told_at\":\"2026-02-01T00:00:00Z\"}", 409,
         "extension_too_late");
    step(target, "reject", "{\"ground\":\"not_applicable\",\"told_at\":\"2026-02-01T00:00:00Z\"}",
         200, "\"state\":\"rejected\"");
}

static void test_an_access_is_answered_with_its_document(void **state)
{
    char target[TEST_TARGET_BYTES];

    (void)state;
    ask_for("access", "document@example.be", target);
    step(target, "complete", "{\"format\":\"csv\"}", 422, "invalid_format");
    step(target, "complete", "{\"format\":\"html\",\"lang\":\"fr\"}", 200,
         "\"document\":{\"media_type\":\"text/html; charset=utf-8\"");
    test_api_ask(&fixture, "GET", target, fixture.officer.text, NULL, 200,
                 "\"reference\":\"access_report/html.fr/sha256:");
    ask_for("portability", "export@example.be", target);
    step(target, "complete", "{}", 403, "role_forbidden");
}

static void test_an_erasure_answers_its_receipt(void **state)
{
    char target[TEST_TARGET_BYTES];

    (void)state;
    ask_for("erasure", "gone@example.be", target);
    step(target, "complete", NULL, 200, "\"receipt\":{\"receipt\":\"er_");
    test_api_ask(&fixture, "GET", target, fixture.officer.text, NULL, 404, "not_found");
}

static void test_a_list_takes_times_and_durations(void **state)
{
    char target[TEST_TARGET_BYTES];

    (void)state;
    ask_for("access", "list@example.be", target);
    test_api_ask(&fixture, "GET", "/v1/requests?due_before=P7D&limit=1000", fixture.officer.text,
                 NULL, 200, strrchr(target, '/') + 1);
    test_api_ask(&fixture, "GET", "/v1/requests?state=open&due_before=2026-03-01T00:00:00Z",
                 fixture.officer.text, NULL, 200, strrchr(target, '/') + 1);
    test_api_ask(&fixture, "GET", "/v1/requests?due_before=2026-02-01T00:00:00Z",
                 fixture.officer.text, NULL, 200, "\"requests\":[],\"next_cursor\":null");
    test_api_ask(&fixture, "GET", "/v1/requests?due_before=soon", fixture.officer.text, NULL, 400,
                 "invalid_parameter");
    test_api_ask(&fixture, "GET", "/v1/requests?state=lost", fixture.officer.text, NULL, 422,
                 "invalid_state");
    test_api_ask(&fixture, "GET", "/v1/requests", fixture.clerk.text, NULL, 403, "role_forbidden");
}

static void test_bodies_are_read_strictly(void **state)
{
    char target[TEST_TARGET_BYTES];

    (void)state;
    ask_for("access", "strict@example.be", target);
    test_api_ask(&fixture, "POST", "/v1/requests", fixture.officer.text,
                 "{\"subject\":\"sub_1\",\"right\":\"access\"}", 400, "invalid_id");
    test_api_ask(&fixture, "POST", "/v1/requests", fixture.officer.text, "{\"right\":\"access\"}",
                 422, "missing_key");
    step(target, "verify", "{\"method\":\"in_person\",\"fee\":{}}", 422, "unknown_key");
    step(target, "verify", "{}", 422, "missing_key");
    step(target, "complete", "{\"fee\":{\"amount\":\"5\"}}", 422, "missing_key");
    step(target, "complete", "{\"told_at\":\"yesterday\"}", 422, "invalid_time");
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
        cmocka_unit_test(test_a_request_goes_its_way),
        cmocka_unit_test(test_a_request_is_put_off_or_refused),
        cmocka_unit_test(test_an_access_is_answered_with_its_document),
        cmocka_unit_test(test_an_erasure_answers_its_receipt),
        cmocka_unit_test(test_a_list_takes_times_and_durations),
        cmocka_unit_test(test_bodies_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
