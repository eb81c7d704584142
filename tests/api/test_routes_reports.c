/* The access report and the export over the API: their forms, their headers, who is let in. */
#include "tests/support/api_fixture.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

static struct test_api fixture;
static char subject[TEST_ID_BYTES];

static int setup(void **state)
{
    char record[TEST_ID_BYTES];

    (void)state;
    test_api_start(&fixture);
    test_api_person(&fixture, "anna@example.be", true, subject, record);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_api_stop(&fixture);
    return 0;
}

static void ask(const char *what, const struct vault_token *who, int status, const char *text)
{
    char target[TEST_TARGET_BYTES];

    snprintf(target, sizeof target, "/v1/subjects/%s/%s", subject, what);
    test_api_ask(&fixture, "GET", target, who->text, NULL, status, text);
}

static void get(const char *what, const struct vault_token *who, struct api_response *ret)
{
    char target[TEST_TARGET_BYTES];
    struct test_call call = {.method = "GET", .target = target, .token = who->text};

    snprintf(target, sizeof target, "/v1/subjects/%s/%s", subject, what);
    test_call_make(&fixture.app, &call, ret);
    assert_int_equal(ret->status, 200);
}

static void test_a_report_is_json_or_a_page(void **state)
{
    struct api_response response;

    (void)state;
    ask("access-report", &fixture.officer, 200, "\"document\":\"access_report\"");
    ask("access-report?format=json&lang=fr", &fixture.officer, 200, "\"value\":\"Anna Peeters\"");
    get("access-report?format=html&lang=nl", &fixture.officer, &response);
    assert_string_equal(response.content_type, "text/html; charset=utf-8");
    assert_string_equal(response.file_name, "access-report.html");
    assert_non_null(strstr(response.security, "default-src 'none'; style-src 'sha256-"));
    assert_non_null(strstr(test_call_body(&response), "<html lang=\"nl\">"));
    assert_non_null(strstr(test_call_body(&response), "<bdi>Anna Peeters</bdi>"));
    api_response_done(&response);
}

static void test_an_export_is_json_or_a_table(void **state)
{
    struct api_response response;

    (void)state;
    ask("export", &fixture.clerk, 200, "\"basis\":\"contract\"");
    ask("export?purpose=care", &fixture.clerk, 200, "\"value\":41.50");
    get("export?format=csv", &fixture.clerk, &response);
    assert_string_equal(response.content_type, API_TYPE_CSV);
    assert_string_equal(response.file_name, "export.csv");
    assert_non_null(strstr(test_call_body(&response), "\"41.50\""));
    api_response_done(&response);
}

static void test_other_forms_are_refused(void **state)
{
    (void)state;
    ask("access-report?format=csv", &fixture.officer, 422, "invalid_format");
    ask("access-report?format=pdf", &fixture.officer, 422, "invalid_format");
    ask("access-report?lang=de", &fixture.officer, 422, "invalid_language");
    ask("access-report?fields=person.name", &fixture.officer, 400, "unknown_parameter");
    ask("export?format=html", &fixture.clerk, 422, "invalid_format");
    ask("export?lang=nl", &fixture.clerk, 400, "unknown_parameter");
    ask("export?purpose=unknown", &fixture.clerk, 422, "unknown_purpose");
}

static void test_who_has_no_such_grant_finds_nobody(void **state)
{
    (void)state;
    ask("access-report", &fixture.clerk, 404, "not_found");
    ask("export", &fixture.officer, 404, "not_found");
    ask("export?format=csv", &fixture.reader, 404, "not_found");
}

static void test_a_problem_has_no_headers_of_a_document(void **state)
{
    struct api_response response;
    struct kl_err err = {0};

    (void)state;
    get("access-report?format=html", &fixture.officer, &response);
    assert_int_equal(kl_fail(&err, KL_ERR_IO, "io", "no", NULL), KL_ERR_IO);
    api_response_problem(&response, &err, "r", NULL);
    assert_null(response.file_name);
    assert_string_equal(response.security, "");
    api_response_done(&response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_report_is_json_or_a_page),
        cmocka_unit_test(test_an_export_is_json_or_a_table),
        cmocka_unit_test(test_other_forms_are_refused),
        cmocka_unit_test(test_who_has_no_such_grant_finds_nobody),
        cmocka_unit_test(test_a_problem_has_no_headers_of_a_document),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
