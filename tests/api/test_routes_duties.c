/* Calls about what falls due: consents and their receipts, records, and the record of processing. */
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

static void test_a_consent_that_is_noted_says_where_its_receipt_is(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    char target[TEST_TARGET_BYTES];
    struct test_call call = {.method = "PUT",
                             .target = target,
                             .token = fixture.officer.text,
                             .body = "{\"notice\":\"n1\",\"channel\":\"phone\"}"};
    char receipt[API_LOCATION_BYTES];
    struct api_response response;

    (void)state;
    test_api_person(&fixture, "noted@example.be", false, subject, record);
    snprintf(target, sizeof target, "/v1/subjects/%s/consents/news", subject);
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 204);
    snprintf(target, sizeof target, "/v1/subjects/%s/consents/news/receipt?consent=con_", subject);
    assert_memory_equal(response.location, target, strlen(target));
    snprintf(receipt, sizeof receipt, "%s", response.location);
    api_response_done(&response);
    test_api_ask(&fixture, "GET", receipt, fixture.officer.text, NULL, 200,
                 "\"collection_method\":\"phone\"");
    test_api_ask(&fixture, "GET", receipt, fixture.clerk.text, NULL, 404, "not_found");
}

static void test_a_receipt_is_asked_for_by_purpose_recipient_and_consent(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    char target[TEST_TARGET_BYTES];

    (void)state;
    test_api_person(&fixture, "asked@example.be", true, subject, record);
    snprintf(target, sizeof target, "/v1/subjects/%s/consents/news/receipt", subject);
    test_api_ask(&fixture, "GET", target, fixture.officer.text, NULL, 200, "\"state\":\"given\"");
    snprintf(target, sizeof target, "/v1/subjects/%s/consents/news/receipt?recipient=printer",
             subject);
    test_api_ask(&fixture, "GET", target, fixture.officer.text, NULL, 404, "no_consent");
    snprintf(target, sizeof target, "/v1/subjects/%s/consents/news/receipt?consent=con_x", subject);
    test_api_ask(&fixture, "GET", target, fixture.officer.text, NULL, 400, "invalid_id");
    snprintf(target, sizeof target, "/v1/subjects/%s/consents/spying/receipt", subject);
    test_api_ask(&fixture, "GET", target, fixture.officer.text, NULL, 422, "unknown_purpose");
}

static void test_whom_to_ask_again_is_listed_before_a_moment(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    char target[TEST_TARGET_BYTES];

    (void)state;
    test_api_person(&fixture, "due@example.be", false, subject, record);
    snprintf(target, sizeof target, "/v1/subjects/%s/consents/news", subject);
    test_api_ask(&fixture, "PUT", target, fixture.officer.text,
                 "{\"notice\":\"n1\",\"channel\":\"phone\",\"expires\":\"2999-01-01T00:00:00Z\"}",
                 204, NULL);
    test_api_ask(&fixture, "GET", "/v1/consents/due", fixture.officer.text, NULL, 200,
                 "{\"subjects\":[],\"next_cursor\":null}");
    test_api_ask(&fixture, "GET", "/v1/consents/due?before=2999-01-02T00:00:00Z&purpose=news",
                 fixture.officer.text, NULL, 200, subject);
    test_api_ask(&fixture, "GET", "/v1/consents/due?before=P1000Y", fixture.officer.text, NULL, 200,
                 "\"ends_by\":\"expiry\"");
    test_api_ask(&fixture, "GET", "/v1/consents/due?before=soon", fixture.officer.text, NULL, 400,
                 "invalid_parameter");
    test_api_ask(&fixture, "GET", "/v1/consents/due?limit=0", fixture.officer.text, NULL, 400,
                 "invalid_limit");
    test_api_ask(&fixture, "GET", "/v1/consents/due?cursor=x", fixture.officer.text, NULL, 400,
                 "invalid_cursor");
    test_api_ask(&fixture, "GET", "/v1/consents/due", fixture.clerk.text, NULL, 403, "withheld");
}

static void test_the_audience_of_a_notice_is_listed(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];

    (void)state;
    test_api_person(&fixture, "told@example.be", true, subject, record);
    test_api_ask(&fixture, "GET", "/v1/notices/audience?notice=n1&limit=1000", fixture.officer.text,
                 NULL, 200, subject);
    test_api_ask(&fixture, "GET", "/v1/notices/audience?notice=n0", fixture.officer.text, NULL, 200,
                 "{\"subjects\":[],\"next_cursor\":null}");
    test_api_ask(&fixture, "GET", "/v1/notices/audience?notice=a%40b", fixture.officer.text, NULL,
                 422, "invalid_notice");
    test_api_ask(&fixture, "GET", "/v1/notices/audience?notice=n1", fixture.clerk.text, NULL, 403,
                 "withheld");
}

static void test_what_falls_due_is_reported(void **state)
{
    (void)state;
    test_api_ask(&fixture, "GET", "/v1/reports/retention?before=P30D", fixture.officer.text, NULL,
                 200, "\"records_due\":0");
    test_api_ask(&fixture, "GET", "/v1/reports/retention", fixture.vault.steward_token.text, NULL,
                 200, "\"subjects\":[]");
    test_api_ask(&fixture, "GET", "/v1/reports/retention", fixture.clerk.text, NULL, 403,
                 "withheld");
    test_api_ask(&fixture, "GET", "/v1/reports/retention?before=P", fixture.officer.text, NULL, 400,
                 "invalid_parameter");
}

static void test_the_record_of_processing_is_reported(void **state)
{
    (void)state;
    test_api_ask(&fixture, "GET", "/v1/reports/processing", fixture.officer.text, NULL, 200,
                 "\"measure\":\"encryption_in_transit\"");
    test_api_ask(&fixture, "GET", "/v1/reports/processing", fixture.vault.steward_token.text, NULL,
                 200, "\"article\":\"30(1)\"");
    test_api_ask(&fixture, "GET", "/v1/reports/processing?format=html&lang=fr",
                 fixture.officer.text, NULL, 200, "<html lang=\"fr\">");
    test_api_ask(&fixture, "GET", "/v1/reports/processing?format=csv", fixture.officer.text, NULL,
                 422, "invalid_format");
    test_api_ask(&fixture, "GET", "/v1/reports/processing?lang=de", fixture.officer.text, NULL, 422,
                 "invalid_language");
    test_api_ask(&fixture, "GET", "/v1/reports/processing", fixture.vault.operator_token.text, NULL,
                 200, "\"tenants\":[{\"tenant\":");
    test_api_ask(&fixture, "GET", "/v1/reports/processing?tenant=default",
                 fixture.vault.operator_token.text, NULL, 403, "role_forbidden");
    test_api_ask(&fixture, "GET", "/v1/reports/processing", fixture.clerk.text, NULL, 403,
                 "role_forbidden");
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
        cmocka_unit_test(test_a_consent_that_is_noted_says_where_its_receipt_is),
        cmocka_unit_test(test_a_receipt_is_asked_for_by_purpose_recipient_and_consent),
        cmocka_unit_test(test_whom_to_ask_again_is_listed_before_a_moment),
        cmocka_unit_test(test_the_audience_of_a_notice_is_listed),
        cmocka_unit_test(test_what_falls_due_is_reported),
        cmocka_unit_test(test_the_record_of_processing_is_reported),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
