/* Calls about who received what. */
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

static void test_a_disclosure_is_noted_and_listed(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    char target[TEST_TARGET_BYTES];
    char read[TEST_TARGET_BYTES];

    (void)state;
    test_api_person(&fixture, "told@example.be", false, subject, record);
    snprintf(target, sizeof target, "/v1/subjects/%s/disclosures", subject);
    snprintf(read, sizeof read, "/v1/subjects/%s?purpose=care&fields=person.name&recipient=printer",
             subject);
    test_api_ask(&fixture, "GET", target, fixture.officer.text, NULL, 200, "\"disclosures\":[]");
    test_api_ask(&fixture, "GET", read, fixture.clerk.text, NULL, 200, "Anna Peeters");
    test_api_ask(&fixture, "GET", target, fixture.officer.text, NULL, 200,
                 "\"fields\":[\"person.name\"]");
    test_api_ask(&fixture, "POST", target, fixture.officer.text,
                 "{\"recipient\":\"printer\",\"purpose\":\"care\",\"fields\":[\"person.email\"],"
                 "\"country\":\"NL\",\"channel\":\"letter\",\"note\":\"by hand\"}",
                 204, NULL);
    test_api_ask(&fixture, "GET", target, fixture.officer.text, NULL, 200, "\"note\":\"by hand\"");
    test_api_ask(&fixture, "GET", target, fixture.clerk.text, NULL, 404, "not_found");
    test_api_ask(&fixture, "POST", target, fixture.clerk.text,
                 "{\"recipient\":\"printer\",\"purpose\":\"care\",\"fields\":[\"person.email\"]}",
                 404, "not_found");
    test_api_ask(&fixture, "POST", target, fixture.officer.text,
                 "{\"recipient\":\"printer\",\"purpose\":\"care\"}", 422, "missing_key");
    test_api_ask(&fixture, "POST", target, fixture.officer.text,
                 "{\"recipient\":\"printer\",\"fields\":[\"person.email\"]}", 400,
                 "purpose_required");
}

static void test_a_rectification_answers_whom_to_tell(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    char target[TEST_TARGET_BYTES];
    struct test_call call = {.method = "PATCH",
                             .target = target,
                             .token = fixture.clerk.text,
                             .body = "{\"fields\":{\"name\":\"Bea\"}}",
                             .headers = {{"If-Match", "*"}}};

    (void)state;
    test_api_person(&fixture, "rect@example.be", false, subject, record);
    snprintf(target, sizeof target,
             "/v1/subjects/%s?purpose=care&fields=person.name&recipient=printer", subject);
    test_api_ask(&fixture, "GET", target, fixture.clerk.text, NULL, 200, "Anna Peeters");
    snprintf(target, sizeof target, "/v1/subjects/%s/records/%s", subject, record);
    test_api_expect(&fixture, &call, 200, "\"notify\":[\"printer\"]");
    call.body = "{\"fields\":{\"email\":\"other@example.be\"}}";
    test_api_expect(&fixture, &call, 200, "\"version\":3}");
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
        cmocka_unit_test(test_a_disclosure_is_noted_and_listed),
        cmocka_unit_test(test_a_rectification_answers_whom_to_tell),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
