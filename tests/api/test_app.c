/* The calls of the API on a real vault, without sockets. */
#include "kluis/base/encode.h"
#include "kluis/base/log.h"
#include "tests/support/api_call.h"
#include "tests/support/api_vault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define ID_BYTES 40
#define TARGET_BYTES 256

struct fixture {
    struct test_vault vault;
    struct api_app app;
    struct vault_token clerk, reader, officer;
};

static struct fixture fixture;

/*
 * Ask and expect that status; code (may be NULL) is the problem's, or any text that the body must
 * have in it.
 */
static void expect(const struct test_call *call, int status, const char *text)
{
    struct api_response response;

    test_call_make(&fixture.app, call, &response);
    if (response.status != status) {
        print_message("%s\n", test_call_body(&response));
    }
    assert_int_equal(response.status, status);
    if (text != NULL && strstr(test_call_body(&response), text) == NULL) {
        print_message("%s\n", test_call_body(&response));
        fail_msg("not in the body: %s", text);
    }
    api_response_done(&response);
}

static void ask(const char *method, const char *target, const char *token, const char *body,
                int status, const char *text)
{
    struct test_call call = {.method = method, .target = target, .token = token, .body = body};

    expect(&call, status, text);
}

/* A subject with one person record; ids as text. */
static void make_person(const char *email, bool with_consent, char ret_subject[ID_BYTES],
                        char ret_record[ID_BYTES])
{
    char body[512];
    struct api_response response;
    struct test_call call = {
        .method = "POST", .target = "/v1/subjects", .token = fixture.clerk.text, .body = body};

    snprintf(body, sizeof body,
             "{\"records\":[{\"type\":\"person\",\"source\":\"form\",\"fields\":{\"name\":\"Anna "
             "Peeters\",\"email\":\"%s\",\"age\":41.50,\"note\":{\"a\":[1,2]}}%s}]}",
             email,
             with_consent
                 ? ",\"consents\":[{\"purpose\":\"news\",\"notice\":\"n1\",\"channel\":\"form\"}]"
                 : "");
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 201);
    assert_int_equal(strncmp(response.location, "/v1/subjects/sub_", 17), 0);
    test_call_text(&response, "id", ret_subject, ID_BYTES);
    const char *record = strstr(test_call_body(&response), "rec_");
    assert_non_null(record);
    snprintf(ret_record, ID_BYTES, "%.30s", record);
    api_response_done(&response);
}

/* ---- reading by role ---- */

static void test_app_shows_each_role_what_it_may_see_and_says_what_withheld_the_rest(void **state)
{
    char subject[ID_BYTES];
    char record[ID_BYTES];
    char target[TARGET_BYTES];

    (void)state;
    make_person("anna@example.be", false, subject, record);
    snprintf(target, sizeof target, "/v1/subjects/%s?purpose=care", subject);
    ask("GET", target, fixture.clerk.text, NULL, 200,
        "\"fields\":{\"name\":\"Anna Peeters\",\"email\":\"anna@example.be\",\"age\":41.5");
    ask("GET", target, fixture.clerk.text, NULL, 200, "\"note\":{\"a\":[1,2]}");
    snprintf(target, sizeof target, "/v1/subjects/%s?purpose=news", subject);
    ask("GET", target, fixture.reader.text, NULL, 200, "\"email\":\"consent\"");
    snprintf(target, sizeof target, "/v1/subjects/%s?purpose=news&fields=person.age", subject);
    ask("GET", target, fixture.reader.text, NULL, 200, "\"withheld\":{\"age\":\"role\"}");

    make_person("bart@example.be", true, subject, record);
    snprintf(target, sizeof target, "/v1/subjects/%s?purpose=news", subject);
    ask("GET", target, fixture.reader.text, NULL, 200, "\"email\":\"bart@example.be\"");
    ask("GET", target, fixture.reader.text, NULL, 200, "\"views\":{\"name\":\"masked\"}");
    ask("GET", target, fixture.clerk.text, NULL, 200, "\"records\":[]");
}

static void test_app_hides_a_subject_that_is_not_there_like_one_that_may_not_be_seen(void **state)
{
    (void)state;
    ask("GET", "/v1/subjects/sub_00000000000000000000000000?purpose=care", fixture.clerk.text, NULL,
        404, "\"code\":\"not_found\"");
    ask("GET", "/v1/subjects/sub_00000000000000000000000000?purpose=care",
        fixture.vault.steward_token.text, NULL, 404, "\"code\":\"not_found\"");
}

static void test_app_lists_only_whom_the_purpose_may_reach(void **state)
{
    char subject[ID_BYTES];
    char record[ID_BYTES];
    struct api_response response;
    struct test_call call = {.method = "GET",
                             .target = "/v1/subjects?type=person&purpose=news&limit=1000",
                             .token = fixture.reader.text};
    char with[ID_BYTES];

    (void)state;
    make_person("listed@example.be", true, with, record);
    make_person("unlisted@example.be", false, subject, record);
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(test_call_body(&response), with));
    assert_null(strstr(test_call_body(&response), subject));
    assert_non_null(strstr(test_call_body(&response), "\"next_cursor\":null"));
    api_response_done(&response);
    ask("GET", "/v1/subjects?purpose=news", fixture.reader.text, NULL, 400, "invalid_parameter");
    ask("GET", "/v1/subjects?type=person&purpose=news&limit=0", fixture.reader.text, NULL, 400,
        "invalid_limit");
    ask("GET", "/v1/subjects?type=person&purpose=news&limit=1001", fixture.reader.text, NULL, 400,
        "invalid_limit");
    ask("GET", "/v1/subjects?type=person&purpose=news&cursor=made-up", fixture.reader.text, NULL,
        400, "invalid_cursor");
}

static void test_app_pages_through_a_list_with_cursors(void **state)
{
    char subject[ID_BYTES];
    char record[ID_BYTES];
    char target[TARGET_BYTES * 2] = "/v1/subjects?type=person&purpose=news&limit=2";
    size_t pages = 0;
    size_t found = 0;

    (void)state;
    for (int i = 0; i < 5; i++) {
        char email[64];
        snprintf(email, sizeof email, "page%d@example.be", i);
        make_person(email, true, subject, record);
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

/* ---- bad input ---- */

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
        ask("POST", "/v1/subjects", fixture.clerk.text, CASES[i].body, CASES[i].status,
            CASES[i].text);
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
    expect(&call, 413, "value_too_large");
    memset(body, ' ', 2u << 20);
    expect(&call, 413, "body_too_large");
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
    expect(&call, 413, "too_many_records");
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
    ask("GET", "/v1/subjects/sub_1?purpose=care", fixture.clerk.text, NULL, 400, "invalid_id");
    ask("GET", "/v1/subjects/rec_00000000000000000000000000?purpose=care", fixture.clerk.text, NULL,
        400, "invalid_id");
    ask("GET", "/v1/subjects/sub_00000000000000000000000000?purposes=care", fixture.clerk.text,
        NULL, 400, "did you mean purpose?");
    ask("GET", "/v1/subjects/sub_00000000000000000000000000?purpose=care&purpose=care",
        fixture.clerk.text, NULL, 400, "duplicate_parameter");
    ask("GET", "/v1/subjects/sub_00000000000000000000000000?purpose=%zz", fixture.clerk.text, NULL,
        400, "invalid_parameter");
    ask("GET", "/v1/subjects/%00?purpose=care", fixture.clerk.text, NULL, 400, "invalid_path");
    expect(&yaml, 415, "unsupported_media_type");
    ask("POST", "/v1/subjects", fixture.clerk.text, NULL, 400, "missing_body");
    ask("GET", "/v1/policy", fixture.vault.steward_token.text, "{}", 400, "unexpected_body");
}

/* ---- writing ---- */

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
    expect(&call, 422, "idempotency_key_reused");
    call.headers[0].value = "\"a b\"";
    expect(&call, 400, "invalid_header");
    call.headers[0].value = "\"\"";
    expect(&call, 400, "invalid_header");
}

static void test_app_patches_only_the_version_that_was_read(void **state)
{
    char subject[ID_BYTES];
    char record[ID_BYTES];
    char target[TARGET_BYTES];
    struct test_call call = {.method = "PATCH",
                             .target = target,
                             .token = fixture.clerk.text,
                             .content_type = "application/merge-patch+json",
                             .body = "{\"fields\":{\"name\":\"New\",\"age\":null}}"};
    struct api_response response;

    (void)state;
    make_person("patch@example.be", false, subject, record);
    snprintf(target, sizeof target, "/v1/subjects/%s/records/%s", subject, record);
    expect(&call, 428, "if_match_required");
    call.headers[0] = (struct api_header){"If-Match", "\"2\""};
    expect(&call, 412, "version_mismatch");
    call.headers[0].value = "1";
    expect(&call, 400, "invalid_header");
    call.headers[0].value = "W/\"1\"";
    expect(&call, 400, "invalid_header");
    call.headers[0].value = "\"1\"";
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 200);
    assert_true(response.has_etag);
    assert_int_equal(response.etag, 2);
    api_response_done(&response);
    call.headers[0].value = "*";
    expect(&call, 200, "\"version\":3");
    snprintf(target, sizeof target, "/v1/subjects/%s/records/%s?purpose=care", subject, record);
    ask("GET", target, fixture.clerk.text, NULL, 200, "\"fields\":{\"name\":\"New\",\"email\"");
}

static void test_app_adds_and_erases_a_record(void **state)
{
    char subject[ID_BYTES];
    char record[ID_BYTES];
    char second[ID_BYTES];
    char target[TARGET_BYTES];
    struct test_call call = {.method = "POST",
                             .target = target,
                             .token = fixture.clerk.text,
                             .body = "{\"type\":\"person\",\"fields\":{\"name\":\"Second\"}}"};
    struct api_response response;

    (void)state;
    make_person("records@example.be", false, subject, record);
    snprintf(target, sizeof target, "/v1/subjects/%s/records", subject);
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 201);
    assert_int_equal(response.etag, 1);
    assert_non_null(strstr(response.location, subject));
    test_call_text(&response, "id", second, sizeof second);
    api_response_done(&response);
    snprintf(target, sizeof target, "/v1/subjects/%s/records/%s", subject, second);
    ask("DELETE", target, fixture.clerk.text, NULL, 404, "not_found");
    ask("DELETE", target, fixture.officer.text, NULL, 200, "\"receipt\":\"er_");
    snprintf(target, sizeof target, "/v1/subjects/%s/records/%s?purpose=care", subject, second);
    ask("GET", target, fixture.clerk.text, NULL, 404, "not_found");
    snprintf(target, sizeof target, "/v1/subjects/%s/records/%s?purpose=care", subject, record);
    ask("GET", target, fixture.clerk.text, NULL, 200, "records@example.be");
}

static void test_app_consent_withdrawn_acts_on_the_next_read(void **state)
{
    char subject[ID_BYTES];
    char record[ID_BYTES];
    char target[TARGET_BYTES];
    char read_target[TARGET_BYTES];

    (void)state;
    make_person("consent@example.be", true, subject, record);
    snprintf(read_target, sizeof read_target, "/v1/subjects/%s?purpose=news", subject);
    snprintf(target, sizeof target, "/v1/subjects/%s/consents/news", subject);
    ask("GET", read_target, fixture.reader.text, NULL, 200, "consent@example.be");
    ask("DELETE", target, fixture.officer.text, NULL, 204, NULL);
    ask("GET", read_target, fixture.reader.text, NULL, 200, "\"email\":\"consent\"");
    ask("DELETE", target, fixture.officer.text, NULL, 404, "no_consent");
    ask("PUT", target, fixture.officer.text, "{\"notice\":\"n1\"}", 422,
        "\"pointer\":\"/channel\"");
    ask("PUT", target, fixture.officer.text,
        "{\"purpose\":\"news\",\"notice\":\"n1\",\"channel\":\"x\"}", 422, "unknown_key");
    ask("PUT", target, fixture.officer.text, "{\"notice\":\"n1\",\"channel\":\"phone\"}", 204,
        NULL);
    ask("GET", read_target, fixture.reader.text, NULL, 200, "consent@example.be");
    snprintf(target, sizeof target, "/v1/subjects/%s/consents", subject);
    ask("GET", target, fixture.officer.text, NULL, 200, "\"withdrawn_at\":\"20");
}

static void test_app_finds_by_an_indexed_value(void **state)
{
    char subject[ID_BYTES];
    char record[ID_BYTES];

    (void)state;
    make_person("find.me@example.be", false, subject, record);
    ask("POST", "/v1/lookup", fixture.clerk.text,
        "{\"field\":\"person.email\",\"value\":\"FIND.me@example.be\",\"purpose\":\"care\"}", 200,
        subject);
    ask("POST", "/v1/lookup", fixture.clerk.text,
        "{\"field\":\"person.email\",\"value\":\"not.there@example.be\",\"purpose\":\"care\"}", 200,
        "{\"subjects\":[],\"next_cursor\":null}");
    ask("POST", "/v1/lookup", fixture.clerk.text,
        "{\"field\":\"person.email\",\"purpose\":\"care\"}", 422, "\"pointer\":\"/value\"");
    ask("POST", "/v1/lookup", fixture.clerk.text,
        "{\"field\":\"person.email\",\"value\":\"a@b.be\",\"purpose\":\"care\",\"limit\":0}", 422,
        "\"pointer\":\"/limit\"");
}

static void test_app_erases_a_subject_for_good_and_keeps_the_receipt(void **state)
{
    char subject[ID_BYTES];
    char record[ID_BYTES];
    char receipt[ID_BYTES];
    char target[TARGET_BYTES];
    struct test_call call = {.method = "POST",
                             .target = target,
                             .token = fixture.officer.text,
                             .body = "{\"reason\":\"request\"}"};
    struct api_response response;

    (void)state;
    make_person("gone@example.be", true, subject, record);
    snprintf(target, sizeof target, "/v1/subjects/%s/erase", subject);
    ask("POST", target, fixture.officer.text, "{\"reason\":\"boredom\"}", 422, "invalid_reason");
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(test_call_body(&response), subject));
    test_call_text(&response, "receipt", receipt, sizeof receipt);
    api_response_done(&response);
    expect(&call, 404, "not_found");
    snprintf(target, sizeof target, "/v1/subjects/%s?purpose=care", subject);
    ask("GET", target, fixture.clerk.text, NULL, 404, "not_found");
    ask("POST", "/v1/lookup", fixture.clerk.text,
        "{\"field\":\"person.email\",\"value\":\"gone@example.be\",\"purpose\":\"care\"}", 200,
        "\"subjects\":[]");
    snprintf(target, sizeof target, "/v1/erasures/%s", receipt);
    struct test_call read = {
        .method = "GET", .target = target, .token = fixture.vault.steward_token.text};
    test_call_make(&fixture.app, &read, &response);
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(test_call_body(&response), receipt));
    assert_null(strstr(test_call_body(&response), subject));
    api_response_done(&response);
}

/* ---- batch ---- */

static void test_app_batch_answers_each_operation_in_order(void **state)
{
    char subject[ID_BYTES];
    char record[ID_BYTES];
    char body[2048];
    struct api_response response;
    struct test_call call = {
        .method = "POST", .target = "/v1/batch", .token = fixture.clerk.text, .body = body};

    (void)state;
    make_person("batch@example.be", false, subject, record);
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
    ask("POST", "/v1/batch", fixture.clerk.text, "{\"operations\":[]}", 422, "/operations");
    ask("POST", "/v1/batch", fixture.clerk.text, "{\"operations\":{}}", 422, "/operations");
}

static void test_app_batch_refuses_more_than_a_thousand_operations(void **state)
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
    expect(&call, 413, "too_many_operations");
    free(body);
}

static void test_app_batch_with_an_idempotency_key_creates_once(void **state)
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
    expect(&call, 200, "\"status\":201");
    expect(&call, 200, "\"status\":201");
    vault_figures(fixture.vault.vault, &after);
    assert_int_equal(after.subjects_created - before.subjects_created, 2);
}

/* ---- policy, credentials, keys, audit, tenants ---- */

static void test_app_policy_errors_come_with_place_and_suggestion(void **state)
{
    struct test_call call = {.method = "PUT",
                             .target = "/v1/policy",
                             .token = fixture.vault.steward_token.text,
                             .content_type = "application/yaml",
                             .body = "policy: x\nversion: 1\nrecrods: {}\n"};

    (void)state;
    expect(&call, 422, "\"place\":\"3:1\"");
    expect(&call, 422, "records");
    call.method = "POST";
    call.target = "/v1/policy/check";
    expect(&call, 200, "\"valid\":false");
    call.body = TEST_POLICY;
    expect(&call, 200, "{\"valid\":true,");
    call.token = fixture.clerk.text;
    expect(&call, 403, "role_forbidden");
    call.target = "/v1/policy?accept_unenforced=maybe";
    call.method = "PUT";
    call.token = fixture.vault.steward_token.text;
    expect(&call, 400, "invalid_parameter");
    ask("GET", "/v1/policy", fixture.vault.steward_token.text, NULL, 200, "policy: test");
}

static void test_app_explains_each_gate(void **state)
{
    (void)state;
    ask("POST", "/v1/explain", fixture.vault.steward_token.text,
        "{\"role\":\"reader\",\"purpose\":\"news\",\"fields\":[\"person.age\"]}", 200,
        "{\"fields\":[{\"field\":\"person.age\",\"shown\":false,\"view\":null,\"withheld\":\"ro"
        "le\",\"gates\":"
        "{\"role\":false,");
}

static void test_app_credentials_are_shown_once_listed_and_revoked(void **state)
{
    struct test_call call = {
        .method = "POST",
        .target = "/v1/credentials",
        .token = fixture.vault.steward_token.text,
        .headers = {{"Idempotency-Key", "cred-1"}},
        .body = "{\"role\":\"clerk\",\"expires_in\":\"P1D\",\"purposes\":[\"care\"]}"};
    struct api_response response;
    char token[64];
    char id[ID_BYTES];
    char target[TARGET_BYTES];

    (void)state;
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 201);
    test_call_text(&response, "token", token, sizeof token);
    test_call_text(&response, "id", id, sizeof id);
    api_response_done(&response);
    expect(&call, 409, "token_already_shown");
    ask("GET", "/v1/credentials", fixture.vault.steward_token.text, NULL, 200, id);
    ask("POST", "/v1/lookup", token,
        "{\"field\":\"person.email\",\"value\":\"not.there@example.be\"}", 200, "\"subjects\":[]");
    snprintf(target, sizeof target, "/v1/credentials/%s", id);
    ask("DELETE", target, fixture.vault.steward_token.text, NULL, 204, NULL);
    ask("POST", "/v1/lookup", token, "{\"field\":\"person.email\",\"value\":\"a@b.be\"}", 401,
        "unauthorised");
    ask("POST", "/v1/credentials", fixture.vault.steward_token.text,
        "{\"role\":\"clerk\",\"expires_in\":\"P1X\"}", 422, "invalid_duration");
    ask("POST", "/v1/credentials", fixture.vault.steward_token.text,
        "{\"role\":\"clrek\",\"expires_in\":\"P1D\"}", 422, "unknown_role");
    ask("POST", "/v1/credentials", fixture.clerk.text,
        "{\"role\":\"clerk\",\"expires_in\":\"P1D\"}", 403, NULL);
}

static void test_app_rotates_the_root_key_and_shows_how_it_is(void **state)
{
    struct test_call call = {.method = "POST",
                             .target = "/v1/keys/rotations",
                             .token = fixture.vault.operator_token.text,
                             .body = "{\"level\":\"root\"}"};
    struct api_response response;
    char id[ID_BYTES];
    char target[TARGET_BYTES];

    (void)state;
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 200);
    test_call_text(&response, "id", id, sizeof id);
    api_response_done(&response);
    snprintf(target, sizeof target, "/v1/keys/rotations/%s", id);
    ask("GET", target, fixture.vault.operator_token.text, NULL, 200, "\"old_key_out_of_use\":true");
    ask("GET", "/v1/keys", fixture.vault.operator_token.text, NULL, 200,
        "\"old_root_destroyed\":true");
    ask("POST", "/v1/keys/rotations", fixture.vault.operator_token.text, "{\"level\":\"values\"}",
        422, "level_not_supported");
    ask("POST", "/v1/keys/rotations", fixture.clerk.text, "{\"level\":\"root\"}", 403, NULL);
}

static void test_app_audit_tells_what_was_done_and_never_a_value(void **state)
{
    char subject[ID_BYTES];
    char record[ID_BYTES];
    char target[TARGET_BYTES];
    struct test_call call = {
        .method = "GET", .target = target, .token = fixture.vault.steward_token.text};
    struct api_response response;

    (void)state;
    make_person("audited@example.be", false, subject, record);
    snprintf(target, sizeof target, "/v1/subjects/%s?purpose=care", subject);
    ask("GET", target, fixture.clerk.text, NULL, 200, NULL);
    snprintf(target, sizeof target, "/v1/audit?subject=%s", subject);
    test_call_make(&fixture.app, &call, &response);
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(test_call_body(&response), "\"action\":\"read\""));
    assert_null(strstr(test_call_body(&response), "audited"));
    assert_null(strstr(test_call_body(&response), "sub_"));
    api_response_done(&response);
    ask("GET", "/v1/audit/head", fixture.vault.steward_token.text, NULL, 200, "\"signature\":\"");
    ask("GET", "/v1/audit?from=2026", fixture.vault.steward_token.text, NULL, 422, "invalid_time");
    ask("GET", "/v1/audit?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00%2B01:00",
        fixture.vault.steward_token.text, NULL, 200, "{\"entries\":[],\"next_cursor\":null}");
    ask("GET", "/v1/audit", fixture.clerk.text, NULL, 403, NULL);
}

static void test_app_tenants_are_made_and_read_by_operators(void **state)
{
    const char *operator_token = fixture.vault.operator_token.text;

    (void)state;
    ask("PUT", "/v1/tenants/acme", operator_token, NULL, 201, "\"name\":\"acme\"");
    ask("PUT", "/v1/tenants/acme", operator_token, "{\"grace\":\"P30D\"}", 200,
        "\"grace\":\"P30D\"");
    ask("GET", "/v1/tenants/acme", operator_token, NULL, 200, "\"policy\":null");
    ask("GET", "/v1/tenants", operator_token, NULL, 200, "\"name\":\"default\"");
    ask("GET", "/v1/tenants/none", operator_token, NULL, 404, "not_found");
    ask("PUT", "/v1/tenants/ACME", operator_token, NULL, 400, "invalid_tenant");
    ask("PUT", "/v1/tenants/other", fixture.clerk.text, NULL, 403, NULL);
    ask("GET", "/v1/keys?tenant=none", operator_token, NULL, 404, "unknown_tenant");
    ask("GET", "/v1/policy?tenant=acme", fixture.vault.steward_token.text, NULL, 403,
        "tenant_forbidden");
}

static void test_app_moves_a_subject_where_the_rules_allow(void **state)
{
    char subject[ID_BYTES];
    char record[ID_BYTES];
    char target[TARGET_BYTES];

    (void)state;
    make_person("move@example.be", false, subject, record);
    snprintf(target, sizeof target, "/v1/subjects/%s", subject);
    ask("PATCH", target, fixture.clerk.text, "{\"residency\":\"none\"}", 200,
        "\"residency\":\"none\"");
    ask("PATCH", target, fixture.clerk.text, "{\"residency\":\"EEA\"}", 200,
        "\"residency\":\"EEA\"");
    ask("PATCH", target, fixture.clerk.text, "{}", 422, "missing_key");
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
    kl_log_level_set(KL_LOG_ERROR);
    test_vault_start(&fixture.vault);
    test_app_start(&fixture.app, fixture.vault.vault);
    test_vault_credential(&fixture.vault, "clerk", NULL, &fixture.clerk);
    test_vault_credential(&fixture.vault, "reader", NULL, &fixture.reader);
    test_vault_credential(&fixture.vault, "officer", NULL, &fixture.officer);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    test_app_stop(&fixture.app);
    test_vault_stop(&fixture.vault);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_app_shows_each_role_what_it_may_see_and_says_what_withheld_the_rest),
        cmocka_unit_test(test_app_hides_a_subject_that_is_not_there_like_one_that_may_not_be_seen),
        cmocka_unit_test(test_app_lists_only_whom_the_purpose_may_reach),
        cmocka_unit_test(test_app_pages_through_a_list_with_cursors),
        cmocka_unit_test(test_app_says_what_is_wrong_with_a_body_and_where),
        cmocka_unit_test(test_app_refuses_values_and_bodies_that_are_too_long),
        cmocka_unit_test(test_app_never_echoes_a_value_in_a_problem),
        cmocka_unit_test(test_app_refuses_bad_ids_parameters_and_types),
        cmocka_unit_test(test_app_replays_a_create_with_the_same_idempotency_key),
        cmocka_unit_test(test_app_patches_only_the_version_that_was_read),
        cmocka_unit_test(test_app_adds_and_erases_a_record),
        cmocka_unit_test(test_app_consent_withdrawn_acts_on_the_next_read),
        cmocka_unit_test(test_app_finds_by_an_indexed_value),
        cmocka_unit_test(test_app_erases_a_subject_for_good_and_keeps_the_receipt),
        cmocka_unit_test(test_app_batch_answers_each_operation_in_order),
        cmocka_unit_test(test_app_batch_refuses_more_than_a_thousand_operations),
        cmocka_unit_test(test_app_batch_with_an_idempotency_key_creates_once),
        cmocka_unit_test(test_app_policy_errors_come_with_place_and_suggestion),
        cmocka_unit_test(test_app_explains_each_gate),
        cmocka_unit_test(test_app_credentials_are_shown_once_listed_and_revoked),
        cmocka_unit_test(test_app_rotates_the_root_key_and_shows_how_it_is),
        cmocka_unit_test(test_app_audit_tells_what_was_done_and_never_a_value),
        cmocka_unit_test(test_app_tenants_are_made_and_read_by_operators),
        cmocka_unit_test(test_app_moves_a_subject_where_the_rules_allow),
        cmocka_unit_test(test_app_refuses_new_requests_while_draining),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
