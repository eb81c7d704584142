/* What is wrong with a request, as the API on a real vault says it, without sockets. */
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

static void test_app_says_what_is_wrong_with_a_body_and_where(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *text;
    } CASES[] = {
        {"{", 400, "\"code\":\"invalid_json\""},
        {"{}x", 400, "\"code\":\"invalid_json\""},
        {"{\"records\":[],\"records\":[]}", 400, "\"code\":\"duplicate_key\""},
        {"{\"records\":[{\"type\":\"person\",\"fields\":{\"name\":\"\xff\"}}]}", 400,
         "invalid_json"},
        {"{\"records\":[{\"type\":\"person\",\"fields\":{\"name\":\"\\ud800\"}}]}", 400,
         "invalid_json"},
        {"[]", 422, "\"code\":\"invalid_type\""},
        {"{}", 422, "\"pointer\":\"/records\""},
        {"{\"records\":{}}", 422, "\"pointer\":\"/records\""},
        {"{\"record\":[]}", 422, "\"code\":\"unknown_key\""},
        {"{\"records\":[{\"type\":\"person\",\"field\":{}}]}", 422,
         "\"pointer\":\"/records/0/field\""},
        {"{\"records\":[{\"type\":7,\"fields\":{}}]}", 422, "\"pointer\":\"/records/0/type\""},
        {"{\"records\":[{\"type\":\"persona\",\"fields\":{}}]}", 422, "unknown_record_type"},
        {"{\"records\":[{\"type\":\"person\",\"fields\":{\"nam\":\"x\"}}]}", 422,
         "\"pointer\":\"/records/0/fields/nam\""},
        {"{\"records\":[{\"type\":\"person\",\"fields\":{\"email\":\"nobody\"}}]}", 422,
         "\"pointer\":\"/records/0/fields/email\""},
        {"{\"records\":[{\"type\":\"person\",\"fields\":{\"name\":\"\"}}]}", 422, "empty_value"},
        {"{\"records\":[{\"type\":\"person\",\"fields\":{\"name\":null}}]}", 422, "invalid_type"},
        {"{\"records\":[{\"type\":\"person\",\"fields\":{\"name\":17}}]}", 422, "invalid_type"},
        {"{\"records\":[{\"type\":\"person\",\"fields\":{\"age\":\"old\"}}]}", 422,
         "/records/0/fields/age"},
        {"{\"residency\":\"MARS\",\"records\":[]}", 422, NULL},
        {"{\"records\":[{\"type\":\"person\",\"fields\":{\"name\":\"x\"},\"consents\":[{\"purpo"
         "se\":\"news\","
         "\"notice\":\"n1\",\"channel\":\"form\",\"at\":\"yesterday\"}]}]}",
         422, "\"pointer\":\"/records/0/consents/0/at\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        test_api_ask(&fixture, "POST", "/v1/subjects", fixture.clerk.text, CASES[i].body,
                     CASES[i].status, CASES[i].text);
    }
}

static void test_app_refuses_values_and_bodies_that_are_too_long(void **state)
{
    const size_t long_bytes = 70000;
    char *body = calloc(1, (2u << 20) + 1);
    struct test_call call = {
        .method = "POST", .target = "/v1/subjects", .token = fixture.clerk.text, .body = body};

    (void)state;
    assert_non_null(body);
    int used = snprintf(body, 200, "{\"records\":[{\"type\":\"person\",\"fields\":{\"name\":\"");
    memset(body + used, 'a', long_bytes);
    memcpy(body + used + long_bytes, "\"}}]}", 6);
    test_api_expect(&fixture, &call, 413, "value_too_large");
    memset(body, ' ', 2u << 20);
    test_api_expect(&fixture, &call, 413, "body_too_large");
    free(body);
    body = calloc(1, 4000);
    assert_non_null(body);
    strcpy(body, "{\"records\":[");
    for (int i = 0; i < VAULT_RECORDS_CREATE_MAX + 1; i++) {
        strcat(body, i == 0 ? "{\"type\":\"person\",\"fields\":{}}"
                            : ",{\"type\":\"person\",\"fields\":{}}");
    }
    strcat(body, "]}");
    call.body = body;
    test_api_expect(&fixture, &call, 413, "too_many_records");
    free(body);
}

static void test_app_never_echoes_a_value_in_a_problem(void **state)
{
    static const char SECRET[] = "Zwijgplicht";
    static const char *const BODIES[] = {
        "{\"records\":[{\"type\":\"person\",\"fields\":{\"email\":\"Zwijgplicht\"}}]}",
        "{\"records\":[{\"type\":\"person\",\"fields\":{\"age\":\"Zwijgplicht\"}}]}",
        "{\"records\":[{\"type\":\"person\",\"source\":\"Zwijgplicht!\",\"fields\":{}}]}",
        "{\"residency\":\"Zwijgplicht\",\"records\":[]}",
        "{\"records\":\"Zwijgplicht\"}",
        "{\"records\":[Zwijgplicht]}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof BODIES / sizeof BODIES[0]; i++) {
        struct test_call call = {.method = "POST",
                                 .target = "/v1/subjects",
                                 .token = fixture.clerk.text,
                                 .body = BODIES[i]};
        struct api_response response;
        test_call_make(&fixture.app, &call, &response);
        assert_true(response.status >= 400 && response.status < 500);
        assert_null(strstr(test_call_body(&response), SECRET));
        api_response_done(&response);
    }
}

static void test_app_refuses_bad_ids_parameters_and_types(void **state)
{
    struct test_call yaml = {.method = "POST",
                             .target = "/v1/subjects",
                             .token = fixture.clerk.text,
                             .body = "{}",
                             .content_type = "text/plain"};

    (void)state;
    test_api_ask(&fixture, "GET", "/v1/subjects/sub_1?purpose=care", fixture.clerk.text, NULL, 400,
                 "invalid_id");
    test_api_ask(&fixture, "GET", "/v1/subjects/rec_00000000000000000000000000?purpose=care",
                 fixture.clerk.text, NULL, 400, "invalid_id");
    test_api_ask(&fixture, "GET", "/v1/subjects/sub_00000000000000000000000000?purposes=care",
                 fixture.clerk.text, NULL, 400, "did you mean purpose?");
    test_api_ask(&fixture, "GET",
                 "/v1/subjects/sub_00000000000000000000000000?purpose=care&purpose=care",
                 fixture.clerk.text, NULL, 400, "duplicate_parameter");
    test_api_ask(&fixture, "GET", "/v1/subjects/sub_00000000000000000000000000?purpose=%zz",
                 fixture.clerk.text, NULL, 400, "invalid_parameter");
    test_api_ask(&fixture, "GET", "/v1/subjects/%00?purpose=care", fixture.clerk.text, NULL, 400,
                 "invalid_path");
    test_api_expect(&fixture, &yaml, 415, "unsupported_media_type");
    test_api_ask(&fixture, "POST", "/v1/subjects", fixture.clerk.text, NULL, 400, "missing_body");
    test_api_ask(&fixture, "GET", "/v1/policy", fixture.vault.steward_token.text, "{}", 400,
                 "unexpected_body");
}

static void test_app_refuses_new_requests_while_draining(void **state)
{
    struct test_call call = {.method = "GET", .target = "/healthz"};
    struct api_response response;

    (void)state;
    atomic_store(&fixture.app.draining, true);
    test_call_make(&fixture.app, &call, &response);
    atomic_store(&fixture.app.draining, false);
    assert_int_equal(response.status, 503);
    assert_true(response.close);
    assert_true(response.retry_after_s > 0);
    api_response_done(&response);
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
        cmocka_unit_test(test_app_says_what_is_wrong_with_a_body_and_where),
        cmocka_unit_test(test_app_refuses_values_and_bodies_that_are_too_long),
        cmocka_unit_test(test_app_never_echoes_a_value_in_a_problem),
        cmocka_unit_test(test_app_refuses_bad_ids_parameters_and_types),
        cmocka_unit_test(test_app_refuses_new_requests_while_draining),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
