/* What is kept for statistics: who asks, and how. What is in it: tests/vault/test_statistics.c and the scenario. */
#include "tests/support/api_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct test_api fixture;

static void test_an_operator_sees_what_ended_tenants_left(void **state)
{
    const char *token = fixture.vault.operator_token.text;

    (void)state;
    test_api_ask(&fixture, "GET", "/v1/statistics?ended=gone", token, NULL, 200,
                 "{\"statistics\":[],\"next_cursor\":null}");
    test_api_ask(&fixture, "GET", "/v1/statistics", token, NULL, 403, "role_forbidden");
    test_api_ask(&fixture, "GET", "/v1/statistics?ended=", token, NULL, 400, "invalid_parameter");
    test_api_ask(&fixture, "GET", "/v1/statistics?ended=gone&from=2023-00", token, NULL, 422,
                 "invalid_month");
    test_api_ask(&fixture, "GET", "/v1/statistics?ended=gone&to=2023-1", token, NULL, 422,
                 "invalid_month");
    test_api_ask(&fixture, "GET", "/v1/statistics?ended=gone&limit=1001", token, NULL, 400,
                 "invalid_limit");
    test_api_ask(&fixture, "GET", "/v1/statistics?ended=gone&cursor=AAAA", token, NULL, 400,
                 "invalid_cursor");
}

static void test_nobody_else_asks_without_a_grant(void **state)
{
    (void)state;
    test_api_ask(&fixture, "GET", "/v1/statistics", NULL, NULL, 401, "unauthorised");
    test_api_ask(&fixture, "GET", "/v1/statistics", fixture.clerk.text, NULL, 403,
                 "role_forbidden");
    test_api_ask(&fixture, "GET", "/v1/statistics", fixture.vault.steward_token.text, NULL, 403,
                 "role_forbidden");
    test_api_ask(&fixture, "GET", "/v1/statistics?subject=sub_x", fixture.clerk.text, NULL, 400,
                 "unknown_parameter");
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
        cmocka_unit_test(test_an_operator_sees_what_ended_tenants_left),
        cmocka_unit_test(test_nobody_else_asks_without_a_grant),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
