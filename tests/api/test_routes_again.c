/* Calls of the API that are made again with their Idempotency-Key. */
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

/* Make the call, expect 200, and copy that text of its body. */
static void call_made(const struct test_call *call, bool replayed, const char *key,
                      char ret_text[TEST_ID_BYTES], struct api_response *ret_response)
{
    test_call_make(&fixture.app, call, ret_response);
    assert_int_equal(ret_response->status, 200);
    assert_int_equal(ret_response->replayed, replayed);
    test_call_text(ret_response, key, ret_text, TEST_ID_BYTES);
}

static void test_an_erasure_made_again_answers_its_receipt_without_the_secret(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    char target[TEST_TARGET_BYTES];
    char first[TEST_ID_BYTES];
    char again[TEST_ID_BYTES];
    struct api_response response;
    struct test_call call = {.method = "POST",
                             .target = target,
                             .token = fixture.officer.text,
                             .body = "{\"reason\":\"request\"}",
                             .headers = {{"Idempotency-Key", "\"erase-1\""}}};

    (void)state;
    test_api_person(&fixture, "again@example.be", false, subject, record);
    snprintf(target, sizeof target, "/v1/subjects/%s/erase", subject);
    call_made(&call, false, "receipt", first, &response);
    assert_non_null(strstr(test_call_body(&response), "\"subject_secret\""));
    api_response_done(&response);
    call_made(&call, true, "receipt", again, &response);
    assert_string_equal(first, again);
    assert_non_null(strstr(test_call_body(&response), subject));
    assert_null(strstr(test_call_body(&response), "\"subject_secret\""));
    api_response_done(&response);
    call.body = "{\"reason\":\"retention\"}";
    test_api_expect(&fixture, &call, 422, "idempotency_key_reused");
    call.headers[0].value = "erase-2";
    test_api_expect(&fixture, &call, 404, "not_found");
    call.headers[0].value = "\"a b\"";
    test_api_expect(&fixture, &call, 400, "invalid_header");
}

static void test_a_key_of_one_erasure_erases_nobody_else(void **state)
{
    char subject[TEST_ID_BYTES];
    char other[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    char target[TEST_TARGET_BYTES];
    struct test_call call = {.method = "POST",
                             .target = target,
                             .token = fixture.officer.text,
                             .headers = {{"Idempotency-Key", "erase-3"}}};

    (void)state;
    test_api_person(&fixture, "one@example.be", false, subject, record);
    test_api_person(&fixture, "other@example.be", false, other, record);
    snprintf(target, sizeof target, "/v1/subjects/%s/erase", subject);
    test_api_expect(&fixture, &call, 200, "\"receipt\"");
    snprintf(target, sizeof target, "/v1/subjects/%s/erase", other);
    test_api_expect(&fixture, &call, 422, "idempotency_key_reused");
    snprintf(target, sizeof target, "/v1/subjects/%s?purpose=care", other);
    test_api_ask(&fixture, "GET", target, fixture.clerk.text, NULL, 200, "other@example.be");
}

/* What the query says of a tenant changes nothing: the rotation is the whole store's. */
static void rotate_twice(const char *target, const char *key)
{
    char first[TEST_ID_BYTES];
    char again[TEST_ID_BYTES];
    struct api_response response;
    struct vault_figures before;
    struct vault_figures after;
    struct test_call call = {.method = "POST",
                             .target = target,
                             .token = fixture.vault.operator_token.text,
                             .body = "{\"level\":\"root\"}",
                             .headers = {{"Idempotency-Key", key}}};

    vault_figures(fixture.vault.vault, &before);
    call_made(&call, false, "id", first, &response);
    api_response_done(&response);
    call_made(&call, true, "id", again, &response);
    api_response_done(&response);
    assert_string_equal(first, again);
    vault_figures(fixture.vault.vault, &after);
    assert_int_equal(after.key_generation, before.key_generation + 1);
    call.body = "{ \"level\":\"root\"}";
    test_api_expect(&fixture, &call, 422, "idempotency_key_reused");
}

static void test_a_rotation_made_again_answers_the_same_job(void **state)
{
    (void)state;
    rotate_twice("/v1/keys/rotations", "rotate-1");
}

static void test_a_rotation_asked_for_a_tenant_is_made_once_too(void **state)
{
    (void)state;
    rotate_twice("/v1/keys/rotations?tenant=default", "rotate-2");
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
        cmocka_unit_test(test_an_erasure_made_again_answers_its_receipt_without_the_secret),
        cmocka_unit_test(test_a_key_of_one_erasure_erases_nobody_else),
        cmocka_unit_test(test_a_rotation_made_again_answers_the_same_job),
        cmocka_unit_test(test_a_rotation_asked_for_a_tenant_is_made_once_too),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
