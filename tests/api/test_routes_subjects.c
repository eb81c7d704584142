/* The calls about subjects, records and consents on a real vault, without sockets. */
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

static void test_app_shows_each_role_what_it_may_see_and_says_what_withheld_the_rest(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    char target[TEST_TARGET_BYTES];

    (void)state;
    test_api_person(&fixture, "anna@example.be", false, subject, record);
    snprintf(target, sizeof target, "/v1/subjects/%s?purpose=care", subject);
    test_api_ask(
        &fixture, "GET", target, fixture.clerk.text, NULL, 200,
        "\"fields\":{\"name\":\"Anna Peeters\",\"email\":\"anna@example.be\",\"age\":41.5");
    test_api_ask(&fixture, "GET", target, fixture.clerk.text, NULL, 200, "\"note\":{\"a\":[1,2]}");
    snprintf(target, sizeof target, "/v1/subjects/%s?purpose=news", subject);
    test_api_ask(&fixture, "GET", target, fixture.reader.text, NULL, 200, "\"email\":\"consent\"");
    snprintf(target, sizeof target, "/v1/subjects/%s?purpose=news&fields=person.age", subject);
    test_api_ask(&fixture, "GET", target, fixture.reader.text, NULL, 200,
                 "\"withheld\":{\"age\":\"role\"}");

    test_api_person(&fixture, "bart@example.be", true, subject, record);
    snprintf(target, sizeof target, "/v1/subjects/%s?purpose=news", subject);
    test_api_ask(&fixture, "GET", target, fixture.reader.text, NULL, 200,
                 "\"email\":\"bart@example.be\"");
    test_api_ask(&fixture, "GET", target, fixture.reader.text, NULL, 200,
                 "\"views\":{\"name\":\"masked\"}");
    test_api_ask(&fixture, "GET", target, fixture.clerk.text, NULL, 200, "\"records\":[]");
}

static void test_app_hides_a_subject_that_is_not_there_like_one_that_may_not_be_seen(void **state)
{
    (void)state;
    test_api_ask(&fixture, "GET", "/v1/subjects/sub_00000000000000000000000000?purpose=care",
                 fixture.clerk.text, NULL, 404, "\"code\":\"not_found\"");
    test_api_ask(&fixture, "GET", "/v1/subjects/sub_00000000000000000000000000?purpose=care",
                 fixture.vault.steward_token.text, NULL, 404, "\"code\":\"not_found\"");
}

static void test_app_lists_only_whom_the_purpose_may_reach(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    struct api_response response;
    struct test_call call = {.method = "GET",
                             .target = "/v1/subjects?type=person&purpose=news&limit=1000",
                             .token = fixture.reader.text};
    char with[TEST_ID_BYTES];

    (void)state;
    test_api_person(&fixture, "listed@example.be", true, with, record);
    test_api_person(&fixture, "unlisted@example.be", false, subject, record);
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(test_call_body(&response), with));
    assert_null(strstr(test_call_body(&response), subject));
    assert_non_null(strstr(test_call_body(&response), "\"next_cursor\":null"));
    api_response_done(&response);
    test_api_ask(&fixture, "GET", "/v1/subjects?purpose=news", fixture.reader.text, NULL, 400,
                 "invalid_parameter");
    test_api_ask(&fixture, "GET", "/v1/subjects?type=person&purpose=news&limit=0",
                 fixture.reader.text, NULL, 400, "invalid_limit");
    test_api_ask(&fixture, "GET", "/v1/subjects?type=person&purpose=news&limit=1001",
                 fixture.reader.text, NULL, 400, "invalid_limit");
    test_api_ask(&fixture, "GET", "/v1/subjects?type=person&purpose=news&cursor=made-up",
                 fixture.reader.text, NULL, 400, "invalid_cursor");
}

static void test_app_pages_through_a_list_with_cursors(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    char target[TEST_TARGET_BYTES * 2] = "/v1/subjects?type=person&purpose=news&limit=2";
    size_t pages = 0;
    size_t found = 0;

    (void)state;
    for (int i = 0; i < 5; i++) {
        char email[64];
        snprintf(email, sizeof email, "page%d@example.be", i);
        test_api_person(&fixture, email, true, subject, record);
    }
    for (bool more = true; more; pages++) {
        struct test_call call = {.method = "GET", .target = target, .token = fixture.reader.text};
        struct api_response response;
        char cursor[VAULT_CURSOR_MAX_BYTES + 1];
        test_call_make(&fixture.app, &call, &response);
        assert_int_equal(response.status, 200);
        for (const char *at = test_call_body(&response); (at = strstr(at, "@example.be")) != NULL;
             at++) {
            found++;
        }
        more = strstr(test_call_body(&response), "\"next_cursor\":null") == NULL;
        if (more) {
            test_call_text(&response, "next_cursor", cursor, sizeof cursor);
            snprintf(target, sizeof target,
                     "/v1/subjects?type=person&purpose=news&limit=2&cursor=%s", cursor);
        }
        api_response_done(&response);
        assert_true(pages < 100);
    }
    assert_true(found >= 5);
    assert_true(pages >= 3);
}

static void test_app_replays_a_create_with_the_same_idempotency_key(void **state)
{
    static const char BODY[] =
        "{\"records\":[{\"type\":\"person\",\"fields\":{\"name\":\"Once\"}}]}";
    struct test_call call = {.method = "POST",
                             .target = "/v1/subjects",
                             .token = fixture.clerk.text,
                             .body = BODY,
                             .headers = {{"Idempotency-Key", "\"once-1\""}}};
    struct api_response first;
    struct api_response second;

    (void)state;
    test_call_make(&fixture.app, &call, &first);
    assert_int_equal(first.status, 201);
    assert_false(first.replayed);
    call.headers[0].value = "once-1"; /* the same key, without quotes */
    test_call_make(&fixture.app, &call, &second);
    assert_int_equal(second.status, 201);
    assert_true(second.replayed);
    assert_string_equal(test_call_body(&first), test_call_body(&second));
    api_response_done(&first);
    api_response_done(&second);
    call.body = "{\"records\":[]}";
    test_api_expect(&fixture, &call, 422, "idempotency_key_reused");
    call.headers[0].value = "\"a b\"";
    test_api_expect(&fixture, &call, 400, "invalid_header");
    call.headers[0].value = "\"\"";
    test_api_expect(&fixture, &call, 400, "invalid_header");
}

static void test_app_patches_only_the_version_that_was_read(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    char target[TEST_TARGET_BYTES];
    struct test_call call = {.method = "PATCH",
                             .target = target,
                             .token = fixture.clerk.text,
                             .content_type = "application/merge-patch+json",
                             .body = "{\"fields\":{\"name\":\"New\",\"age\":null}}"};
    struct api_response response;

    (void)state;
    test_api_person(&fixture, "patch@example.be", false, subject, record);
    snprintf(target, sizeof target, "/v1/subjects/%s/records/%s", subject, record);
    test_api_expect(&fixture, &call, 428, "if_match_required");
    call.headers[0] = (struct api_header){"If-Match", "\"2\""};
    test_api_expect(&fixture, &call, 412, "version_mismatch");
    call.headers[0].value = "1";
    test_api_expect(&fixture, &call, 400, "invalid_header");
    call.headers[0].value = "W/\"1\"";
    test_api_expect(&fixture, &call, 400, "invalid_header");
    call.headers[0].value = "\"1\"";
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 200);
    assert_true(response.has_etag);
    assert_int_equal(response.etag, 2);
    api_response_done(&response);
    call.headers[0].value = "*";
    test_api_expect(&fixture, &call, 200, "\"version\":3");
    snprintf(target, sizeof target, "/v1/subjects/%s/records/%s?purpose=care", subject, record);
    test_api_ask(&fixture, "GET", target, fixture.clerk.text, NULL, 200,
                 "\"fields\":{\"name\":\"New\",\"email\"");
}

static void test_app_adds_and_erases_a_record(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    char second[TEST_ID_BYTES];
    char target[TEST_TARGET_BYTES];
    struct test_call call = {.method = "POST",
                             .target = target,
                             .token = fixture.clerk.text,
                             .body = "{\"type\":\"person\",\"fields\":{\"name\":\"Second\"}}"};
    struct api_response response;

    (void)state;
    test_api_person(&fixture, "records@example.be", false, subject, record);
    snprintf(target, sizeof target, "/v1/subjects/%s/records", subject);
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 201);
    assert_int_equal(response.etag, 1);
    assert_non_null(strstr(response.location, subject));
    test_call_text(&response, "id", second, sizeof second);
    api_response_done(&response);
    snprintf(target, sizeof target, "/v1/subjects/%s/records/%s", subject, second);
    test_api_ask(&fixture, "DELETE", target, fixture.clerk.text, NULL, 404, "not_found");
    test_api_ask(&fixture, "DELETE", target, fixture.officer.text, NULL, 200, "\"receipt\":\"er_");
    snprintf(target, sizeof target, "/v1/subjects/%s/records/%s?purpose=care", subject, second);
    test_api_ask(&fixture, "GET", target, fixture.clerk.text, NULL, 404, "not_found");
    snprintf(target, sizeof target, "/v1/subjects/%s/records/%s?purpose=care", subject, record);
    test_api_ask(&fixture, "GET", target, fixture.clerk.text, NULL, 200, "records@example.be");
}

static void test_app_consent_withdrawn_acts_on_the_next_read(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    char target[TEST_TARGET_BYTES];
    char read_target[TEST_TARGET_BYTES];

    (void)state;
    test_api_person(&fixture, "consent@example.be", true, subject, record);
    snprintf(read_target, sizeof read_target, "/v1/subjects/%s?purpose=news", subject);
    snprintf(target, sizeof target, "/v1/subjects/%s/consents/news", subject);
    test_api_ask(&fixture, "GET", read_target, fixture.reader.text, NULL, 200,
                 "consent@example.be");
    test_api_ask(&fixture, "DELETE", target, fixture.officer.text, NULL, 204, NULL);
    test_api_ask(&fixture, "GET", read_target, fixture.reader.text, NULL, 200,
                 "\"email\":\"consent\"");
    test_api_ask(&fixture, "DELETE", target, fixture.officer.text, NULL, 404, "no_consent");
    test_api_ask(&fixture, "PUT", target, fixture.officer.text, "{\"notice\":\"n1\"}", 422,
                 "\"pointer\":\"/channel\"");
    test_api_ask(&fixture, "PUT", target, fixture.officer.text,
                 "{\"purpose\":\"news\",\"notice\":\"n1\",\"channel\":\"x\"}", 422, "unknown_key");
    test_api_ask(&fixture, "PUT", target, fixture.officer.text,
                 "{\"notice\":\"n1\",\"channel\":\"phone\"}", 204, NULL);
    test_api_ask(&fixture, "GET", read_target, fixture.reader.text, NULL, 200,
                 "consent@example.be");
    snprintf(target, sizeof target, "/v1/subjects/%s/consents", subject);
    test_api_ask(&fixture, "GET", target, fixture.officer.text, NULL, 200, "\"withdrawn_at\":\"20");
}

static void test_app_finds_by_an_indexed_value(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];

    (void)state;
    test_api_person(&fixture, "find.me@example.be", false, subject, record);
    test_api_ask(
        &fixture, "POST", "/v1/lookup", fixture.clerk.text,
        "{\"field\":\"person.email\",\"value\":\"FIND.me@example.be\",\"purpose\":\"care\"}", 200,
        subject);
    test_api_ask(
        &fixture, "POST", "/v1/lookup", fixture.clerk.text,
        "{\"field\":\"person.email\",\"value\":\"not.there@example.be\",\"purpose\":\"care\"}", 200,
        "{\"subjects\":[],\"next_cursor\":null}");
    test_api_ask(&fixture, "POST", "/v1/lookup", fixture.clerk.text,
                 "{\"field\":\"person.email\",\"purpose\":\"care\"}", 422,
                 "\"pointer\":\"/value\"");
    test_api_ask(
        &fixture, "POST", "/v1/lookup", fixture.clerk.text,
        "{\"field\":\"person.email\",\"value\":\"a@b.be\",\"purpose\":\"care\",\"limit\":0}", 422,
        "\"pointer\":\"/limit\"");
}

static void test_app_erases_a_subject_for_good_and_keeps_the_receipt(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    char receipt[TEST_ID_BYTES];
    char target[TEST_TARGET_BYTES];
    struct test_call call = {.method = "POST",
                             .target = target,
                             .token = fixture.officer.text,
                             .body = "{\"reason\":\"request\"}"};
    struct api_response response;

    (void)state;
    test_api_person(&fixture, "gone@example.be", true, subject, record);
    snprintf(target, sizeof target, "/v1/subjects/%s/erase", subject);
    test_api_ask(&fixture, "POST", target, fixture.officer.text, "{\"reason\":\"boredom\"}", 422,
                 "invalid_reason");
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(test_call_body(&response), subject));
    test_call_text(&response, "receipt", receipt, sizeof receipt);
    api_response_done(&response);
    test_api_expect(&fixture, &call, 404, "not_found");
    snprintf(target, sizeof target, "/v1/subjects/%s?purpose=care", subject);
    test_api_ask(&fixture, "GET", target, fixture.clerk.text, NULL, 404, "not_found");
    test_api_ask(&fixture, "POST", "/v1/lookup", fixture.clerk.text,
                 "{\"field\":\"person.email\",\"value\":\"gone@example.be\",\"purpose\":\"care\"}",
                 200, "\"subjects\":[]");
    snprintf(target, sizeof target, "/v1/erasures/%s", receipt);
    struct test_call read = {
        .method = "GET", .target = target, .token = fixture.vault.steward_token.text};
    test_call_make(&fixture.app, &read, &response);
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(test_call_body(&response), receipt));
    assert_null(strstr(test_call_body(&response), subject));
    api_response_done(&response);
}

static void test_app_moves_a_subject_where_the_rules_allow(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    char target[TEST_TARGET_BYTES];

    (void)state;
    test_api_person(&fixture, "move@example.be", false, subject, record);
    snprintf(target, sizeof target, "/v1/subjects/%s", subject);
    test_api_ask(&fixture, "PATCH", target, fixture.clerk.text, "{\"residency\":\"none\"}", 200,
                 "\"residency\":\"none\"");
    test_api_ask(&fixture, "PATCH", target, fixture.clerk.text, "{\"residency\":\"EEA\"}", 200,
                 "\"residency\":\"EEA\"");
    test_api_ask(&fixture, "PATCH", target, fixture.clerk.text, "{}", 422, "missing_key");
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
        cmocka_unit_test(test_app_shows_each_role_what_it_may_see_and_says_what_withheld_the_rest),
        cmocka_unit_test(test_app_hides_a_subject_that_is_not_there_like_one_that_may_not_be_seen),
        cmocka_unit_test(test_app_lists_only_whom_the_purpose_may_reach),
        cmocka_unit_test(test_app_pages_through_a_list_with_cursors),
        cmocka_unit_test(test_app_replays_a_create_with_the_same_idempotency_key),
        cmocka_unit_test(test_app_patches_only_the_version_that_was_read),
        cmocka_unit_test(test_app_adds_and_erases_a_record),
        cmocka_unit_test(test_app_consent_withdrawn_acts_on_the_next_read),
        cmocka_unit_test(test_app_finds_by_an_indexed_value),
        cmocka_unit_test(test_app_erases_a_subject_for_good_and_keeps_the_receipt),
        cmocka_unit_test(test_app_moves_a_subject_where_the_rules_allow),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
