/* Pseudonyms over the API: what stands in the place of ids, and the way back. */
#include "tests/support/api_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define TOKEN_BYTES 64
#define UNKNOWN "tok_0123456789ABCDEFGHJKMNPQRS7ZZZZZZZZZZZZZZZZZZZZZZZZZ"

static struct test_api fixture;

static void read_target(const char *subject, const char *record, char ret[TEST_TARGET_BYTES])
{
    snprintf(ret, TEST_TARGET_BYTES, "/v1/subjects/%s%s%s?purpose=care&recipient=cloud", subject,
             record == NULL ? "" : "/records/", record == NULL ? "" : record);
}

/* The answer to a read for the recipient abroad: its id as text. */
static void read_id(const char *target, char ret[TOKEN_BYTES])
{
    struct test_call call = {.method = "GET", .target = target, .token = fixture.clerk.text};
    struct api_response response;

    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 200);
    assert_null(strstr(test_call_body(&response), "sub_"));
    assert_null(strstr(test_call_body(&response), "rec_"));
    assert_null(strstr(test_call_body(&response), "created_at"));
    assert_null(strstr(test_call_body(&response), "version"));
    assert_false(response.has_etag);
    test_call_text(&response, "id", ret, TOKEN_BYTES);
    api_response_done(&response);
}

static void test_a_pseudonym_stands_in_the_place_of_each_id_and_leads_back(void **state)
{
    char subject[TEST_ID_BYTES];
    char record[TEST_ID_BYTES];
    char target[TEST_TARGET_BYTES];
    char token[TOKEN_BYTES];
    char body[512];

    (void)state;
    test_api_person(&fixture, "abroad@example.be", false, subject, record);
    read_target(subject, NULL, target);
    read_id(target, token);
    assert_int_equal(strlen(token), 56);
    snprintf(body, sizeof body,
             "{\"tokens\":[\"%s\",\"" UNKNOWN "\"],\"recipient\":\"cloud\",\"purpose\":\"care\"}",
             token);
    snprintf(target, sizeof target, "\"subject\":\"%s\",\"record\":null,\"type\":null", subject);
    test_api_ask(&fixture, "POST", "/v1/tokens/resolve", fixture.clerk.text, body, 200, target);
    test_api_ask(&fixture, "POST", "/v1/tokens/resolve", fixture.clerk.text, body, 200,
                 "{\"token\":\"" UNKNOWN
                 "\",\"subject\":null,\"record\":null,\"type\":null,\"field\":null}]}");
    read_target(subject, record, target);
    read_id(target, token);
    snprintf(body, sizeof body,
             "{\"tokens\":[\"%s\"],\"recipient\":\"cloud\",\"purpose\":\"care\"}", token);
    snprintf(target, sizeof target, "\"record\":\"%s\",\"type\":\"person\",\"field\":null", record);
    test_api_ask(&fixture, "POST", "/v1/tokens/resolve", fixture.clerk.text, body, 200, target);
    test_api_ask(&fixture, "GET", "/v1/subjects?type=person&purpose=care&recipient=cloud",
                 fixture.clerk.text, NULL, 200, "{\"id\":\"tok_");
}

static void test_what_cannot_be_resolved_says_why(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *text;
    } cases[] = {
        {"{\"tokens\":[\"" UNKNOWN "\"],\"purpose\":\"care\"}", 422, "\"pointer\":\"/recipient\""},
        {"{\"recipient\":\"cloud\",\"purpose\":\"care\"}", 422, "\"pointer\":\"/tokens\""},
        {"{\"tokens\":[\"tok_1\"],\"recipient\":\"cloud\",\"purpose\":\"care\"}", 422,
         "invalid_token"},
        {"{\"tokens\":[1],\"recipient\":\"cloud\",\"purpose\":\"care\"}", 422, "invalid_type"},
        {"{\"tokens\":[\"" UNKNOWN "\"],\"recipient\":\"who\",\"purpose\":\"care\"}", 422,
         "unknown_recipient"},
        {"{\"tokens\":[\"" UNKNOWN "\"],\"recipient\":\"cloud\"}", 400, "purpose_required"},
        {"{\"tokens\":[\"" UNKNOWN "\"],\"recipient\":\"cloud\",\"purpose\":\"care\",\"x\":1}", 422,
         "unknown_key"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_api_ask(&fixture, "POST", "/v1/tokens/resolve", fixture.clerk.text, cases[i].body,
                     cases[i].status, cases[i].text);
    }
    test_api_ask(&fixture, "POST", "/v1/tokens/resolve", fixture.reader.text,
                 "{\"tokens\":[\"" UNKNOWN "\"],\"recipient\":\"cloud\",\"purpose\":\"care\"}", 403,
                 "withheld");
}

static int start(void **state)
{
    (void)state;
    test_api_start(&fixture);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    test_api_stop(&fixture);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pseudonym_stands_in_the_place_of_each_id_and_leads_back),
        cmocka_unit_test(test_what_cannot_be_resolved_says_why),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
