/* Batches on a real vault, without sockets. */
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

static void test_batch_answers_each_operation_in_order(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    char body[2048];
    struct api_response response;
    struct test_call call = {
        .method = "POST", .target = "/v1/batch", .token = fixture.clerk.text, .body = body};

    (void)state;
    test_api_person(&fixture, "batch@example.be", false, subject, record);
    snprintf(
        body, sizeof body,
        "{\"operations\":["
        "{\"op\":\"read\",\"reference\":\"r1\",\"subject\":\"%s\",\"purpose\":\"care\","
        "\"fields\":[\"person.email\"]},"
        "{\"op\":\"read\",\"reference\":\"r2\",\"subject\":\"sub_00000000000000000000000000\","
        "\"purpose\":\"care\"},"
        "{\"op\":\"patch\",\"reference\":\"r3\",\"subject\":\"%s\",\"record\":\"%s\",\"version\":1,"
        "\"fields\":{\"name\":\"Batched\"}},"
        "{\"op\":\"read\",\"reference\":\"r4\",\"subject\":\"%s\",\"purpose\":\"care\"},"
        "{\"op\":\"create\",\"reference\":\"r5\",\"records\":[{\"type\":\"person\",\"fields\":{"
        "}}]},"
        "{\"op\":\"erase\",\"reference\":\"r6\",\"subject\":\"%s\"},"
        "{\"op\":\"dance\",\"reference\":\"r7\"},{\"op\":\"read\",\"subject\":\"x\"},17]}",
        subject, subject, record, subject, subject);
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 200);
    static const char *const PARTS[] = {
        "{\"results\":[{\"reference\":\"r1\",\"status\":200,\"result\":{\"id\":\"sub_",
        "\"fields\":{\"email\":\"batch@example.be\"}",
        "{\"reference\":\"r2\",\"status\":404,\"problem\":{",
        "{\"reference\":\"r3\",\"status\":200,\"result\":{\"id\":\"rec_",
        "{\"reference\":\"r4\",\"status\":200,\"result\":{\"id\":\"sub_",
        "\"name\":\"Batched\"",
        "{\"reference\":\"r5\",\"status\":201,\"result\":{\"id\":\"sub_",
        "{\"reference\":\"r6\",\"status\":404,\"problem\":{",
        "{\"reference\":\"r7\",\"status\":422,\"problem\":{",
        "{\"status\":400,\"problem\":{",
        "{\"status\":422,\"problem\":{"};
    const char *at = test_call_body(&response);
    for (size_t i = 0; i < sizeof PARTS / sizeof PARTS[0]; i++) {
        const char *found = strstr(at, PARTS[i]);
        if (found == NULL) {
            print_message("%s\n", test_call_body(&response));
            fail_msg("missing, or out of order: %s", PARTS[i]);
            return;
        }
        at = found;
    }
    api_response_done(&response);
    test_api_ask(&fixture, "POST", "/v1/batch", fixture.clerk.text, "{\"operations\":[]}", 422,
                 "/operations");
    test_api_ask(&fixture, "POST", "/v1/batch", fixture.clerk.text, "{\"operations\":{}}", 422,
                 "/operations");
}

static void test_batch_refuses_more_than_a_thousand_operations(void **state)
{
    char *body = calloc(1, 4 * VAULT_BATCH_MAX + 64);
    struct test_call call = {
        .method = "POST", .target = "/v1/batch", .token = fixture.clerk.text, .body = body};

    (void)state;
    assert_non_null(body);
    strcpy(body, "{\"operations\":[");
    for (int i = 0; i <= VAULT_BATCH_MAX; i++) {
        strcat(body, i == 0 ? "{}" : ",{}");
    }
    strcat(body, "]}");
    test_api_expect(&fixture, &call, 413, "too_many_operations");
    free(body);
}

static void test_batch_with_an_idempotency_key_creates_once(void **state)
{
    struct vault_figures before;
    struct vault_figures after;
    struct test_call call = {
        .method = "POST",
        .target = "/v1/batch",
        .token = fixture.clerk.text,
        .headers = {{"Idempotency-Key", "batch-1"}},
        .body = "{\"operations\":[{\"op\":\"create\",\"records\":[{\"type\":\"person\",\"fields\":{"
                "}}]},"
                "{\"op\":\"create\",\"records\":[{\"type\":\"person\",\"fields\":{}}]}]}"};

    (void)state;
    vault_figures(fixture.vault.vault, &before);
    test_api_expect(&fixture, &call, 200, "\"status\":201");
    test_api_expect(&fixture, &call, 200, "\"status\":201");
    vault_figures(fixture.vault.vault, &after);
    assert_int_equal(after.subjects_created - before.subjects_created, 2);
}

#define LONG_BYTES 60000
#define READS 300

static size_t count_of(const char *text, const char *piece)
{
    size_t count = 0;

    for (; (text = strstr(text, piece)) != NULL; text += strlen(piece)) {
        count++;
    }
    return count;
}

static void make_long_person(char ret_subject[TEST_ID_BYTES])
{
    static char body[LONG_BYTES + 200];
    struct test_call call = {
        .method = "POST", .target = "/v1/subjects", .token = fixture.clerk.text, .body = body};
    struct api_response response;
    size_t used = (size_t)snprintf(body, sizeof body,
                                   "{\"records\":[{\"type\":\"person\",\"fields\":{\"name\":\"");

    memset(body + used, 'a', LONG_BYTES);
    snprintf(body + used + LONG_BYTES, sizeof body - used - LONG_BYTES, "\"}}]}");
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 201);
    test_call_text(&response, "id", ret_subject, TEST_ID_BYTES);
    api_response_done(&response);
}

static void test_batch_refuses_reads_beyond_its_budget_and_loses_no_other_result(void **state)
{
    static char body[READS * 120 + 1000];
    char subject[TEST_ID_BYTES];
    struct test_call call = {
        .method = "POST", .target = "/v1/batch", .token = fixture.clerk.text, .body = body};
    struct api_response response;
    size_t used = (size_t)snprintf(body, sizeof body, "{\"operations\":[");

    (void)state;
    make_long_person(subject);
    for (int i = 0; i < READS; i++) {
        used +=
            (size_t)snprintf(body + used, sizeof body - used,
                             "{\"op\":\"read\",\"subject\":\"%s\",\"purpose\":\"care\"},", subject);
    }
    snprintf(body + used, sizeof body - used,
             "{\"op\":\"create\",\"reference\":\"made\",\"records\":[{\"type\":\"person\","
             "\"fields\":{}}]},"
             "{\"op\":\"read\",\"reference\":\"last\",\"subject\":\"%s\",\"purpose\":\"care\","
             "\"fields\":[\"person.age\"]}]}",
             subject);
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 200);
    const char *answer = test_call_body(&response);
    assert_in_range(response.body.size, API_BATCH_RESULT_MAX_BYTES - LONG_BYTES - 100000,
                    API_BATCH_RESULT_MAX_BYTES + 100000);
    size_t shown = count_of(answer, "{\"status\":200,");
    assert_in_range(shown, 1, READS - 1);
    assert_int_equal(count_of(answer, "{\"status\":413,"), READS - shown);
    assert_non_null(strstr(answer, "batch_result_too_large"));
    assert_non_null(strstr(answer, "{\"reference\":\"made\",\"status\":201,"));
    assert_non_null(strstr(answer, "{\"reference\":\"last\",\"status\":413,"));
    api_response_done(&response);
    snprintf(body, sizeof body, "/v1/subjects/%s?purpose=care", subject);
    test_api_ask(&fixture, "GET", body, fixture.clerk.text, NULL, 200, "aaaa");
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
        cmocka_unit_test(test_batch_answers_each_operation_in_order),
        cmocka_unit_test(test_batch_refuses_more_than_a_thousand_operations),
        cmocka_unit_test(test_batch_with_an_idempotency_key_creates_once),
        cmocka_unit_test(test_batch_refuses_reads_beyond_its_budget_and_loses_no_other_result),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
