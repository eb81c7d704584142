/* The export as CSV: RFC 4180, and nothing that a spreadsheet runs. */
#include "api/report_write.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

static const char POLICY[] =
    "policy: csv\nversion: 1\n"
    "controller: { name: Csv, country: BE, contact: privacy@csv.example }\n"
    "records:\n  person:\n    purposes: [service]\n    fields:\n      value: { type: text }\n"
    "purposes:\n  service: { basis: contract }\n"
    "roles:\n  reader:\n    - { do: [export], fields: [person.*], for: [service] }\n";
#define HEAD_LINE                                                                             \
    "\"record\",\"type\",\"source\",\"field\",\"field_type\",\"purpose\",\"basis\",\"view\"," \
    "\"value\",\"size\",\"sha256\",\"path\",\"withheld\"\r\n"

/* The table of a person with one field of that type and value, or withheld for that reason. */
static void write_one(enum vault_type type, enum vault_view view, const char *value,
                      enum vault_unportable why, struct kl_buf *ret)
{
    struct vault_policy *policy = NULL;
    struct vault_field_result field = {
        .name = "value", .type = type, .view = view, .value = kl_slice_text(value)};
    struct vault_record_result record = {.type = "person", .fields = &field, .field_count = 1};
    const struct vault_told_field known = {0, why == VAULT_PORTABLE ? 0 : VAULT_NONE, why};
    struct vault_told_record told_record = {.fields = &known};
    struct vault_told told = {.subject = {.records = &record, .record_count = 1},
                              .records = &told_record};

    field.withheld = why == VAULT_PORTABLE ? VAULT_GATE_NONE : VAULT_GATE_ROLE;
    assert_int_equal(vault_policy_compile(POLICY, sizeof POLICY - 1, &policy, NULL), KL_OK);
    told.policy = policy;
    kl_buf_init(ret, 65536);
    assert_int_equal(api_export_csv(&told, ret, NULL), KL_OK);
    assert_memory_equal(ret->bytes, HEAD_LINE, sizeof HEAD_LINE - 1);
    vault_policy_unref(policy);
}

static void assert_cell(enum vault_type type, const char *value, const char *cell)
{
    char expected[512];
    struct kl_buf table;

    snprintf(expected, sizeof expected, ",\"plain\",\"%s\",\"\",\"\",\"\",\"\"\r\n", cell);
    write_one(type, VAULT_VIEW_PLAIN, value, VAULT_PORTABLE, &table);
    if (strstr((const char *)table.bytes, expected) == NULL) {
        fail_msg("%s is not in %s", expected, (const char *)table.bytes);
    }
    kl_buf_done(&table);
}

static void test_quotes_are_doubled_and_lines_kept(void **state)
{
    (void)state;
    assert_cell(VAULT_TYPE_TEXT, "plain, with a comma", "plain, with a comma");
    assert_cell(VAULT_TYPE_TEXT, "she said \"no\"", "she said \"\"no\"\"");
    assert_cell(VAULT_TYPE_TEXT, "two\nlines", "two\nlines");
    assert_cell(VAULT_TYPE_TEXT, "", "");
}

static void test_no_text_begins_as_a_formula(void **state)
{
    static const char *const signs[] = {
        "=", "+", "-", "@", "'", "\xef\xbc\x9d", "\xef\xbc\x8b", "\xef\xbc\x8d", "\xef\xbc\xa0"};
    char value[64];
    char cell[64];

    (void)state;
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        snprintf(value, sizeof value, "%s1+1", signs[i]);
        snprintf(cell, sizeof cell, "'%s1+1", signs[i]);
        assert_cell(VAULT_TYPE_TEXT, value, cell);
        assert_cell(VAULT_TYPE_EMAIL, value, cell);
        assert_cell(VAULT_TYPE_JSON, value, cell);
    }
    assert_cell(VAULT_TYPE_TEXT, " =1", " '=1");
    assert_cell(VAULT_TYPE_TEXT, "\"=1", "\"\"'=1");
    assert_cell(VAULT_TYPE_TEXT, "\t=1", "\t'=1");
    assert_cell(VAULT_TYPE_TEXT, "a=1", "a=1");
    assert_cell(VAULT_TYPE_TEXT, "==1", "'==1");
}

/* A spreadsheet that splits at semicolons or tabs begins a cell where we do not. */
static void test_nor_does_a_piece_of_one(void **state)
{
    (void)state;
    assert_cell(VAULT_TYPE_TEXT, "a;=1", "a;'=1");
    assert_cell(VAULT_TYPE_TEXT, "a;\"=1\"", "a;\"\"'=1\"\"");
    assert_cell(VAULT_TYPE_TEXT, "a\n@x|-y,+z", "a\n'@x|'-y,'+z");
    assert_cell(VAULT_TYPE_TEXT, "a;'b", "a;''b");
}

static void test_forms_of_their_own_stay(void **state)
{
    (void)state;
    assert_cell(VAULT_TYPE_NUMBER, "-5", "-5");
    assert_cell(VAULT_TYPE_PHONE, "+32470123456", "+32470123456");
    assert_cell(VAULT_TYPE_DATE, "2024-02-29", "2024-02-29");
}

static void test_what_is_withheld_has_no_value(void **state)
{
    struct kl_buf table;

    (void)state;
    write_one(VAULT_TYPE_TEXT, VAULT_VIEW_PLAIN, "hidden", VAULT_UNPORTABLE_SOURCE, &table);
    assert_null(strstr((const char *)table.bytes, "hidden"));
    assert_non_null(strstr((const char *)table.bytes, ",\"source\"\r\n"));
    kl_buf_done(&table);
    write_one(VAULT_TYPE_PHONE, VAULT_VIEW_MASKED, "=1", VAULT_PORTABLE, &table);
    assert_non_null(strstr((const char *)table.bytes, "\"masked\",\"'=1\""));
    kl_buf_done(&table);
}

static void test_a_file_is_listed(void **state)
{
    struct kl_buf table;

    (void)state;
    write_one(VAULT_TYPE_FILE, VAULT_VIEW_PLAIN,
              "{\"size\":12,\"media_type\":\"=x/y\",\"sha256\":\"00ff\"}", VAULT_PORTABLE, &table);
    assert_non_null(
        strstr((const char *)table.bytes, "\"'=x/y\",\"12\",\"00ff\",\"/v1/subjects/sub_"));
    assert_non_null(strstr((const char *)table.bytes, "/files/value\",\"\"\r\n"));
    kl_buf_done(&table);
}

static void test_a_document_has_a_maximum(void **state)
{
    struct kl_err err = {0};
    struct kl_buf full;

    (void)state;
    kl_buf_init(&full, 4);
    kl_buf_add_text(&full, "more than fits");
    assert_int_equal(api_report_finish(&full, &err), KL_ERR_TOO_LARGE);
    assert_string_equal(err.code, "report_too_large");
    kl_buf_done(&full);
    kl_buf_init(&full, VAULT_REPORT_MAX_BYTES + 1);
    assert_non_null(kl_buf_extend(&full, VAULT_REPORT_MAX_BYTES));
    assert_int_equal(api_report_finish(&full, &err), KL_OK);
    assert_non_null(kl_buf_extend(&full, 1));
    assert_int_equal(api_report_finish(&full, &err), KL_ERR_TOO_LARGE);
    kl_buf_done(&full);
}

static void test_durations_are_written_as_iso_8601_has_them(void **state)
{
    static const struct {
        struct kl_duration duration;
        const char *text;
    } cases[] = {
        {{.months = 120}, "P10Y"},  {{.months = 18}, "P1Y6M"},           {{.days = 28}, "P28D"},
        {{.seconds = 60}, "PT60S"}, {{.months = 1, .days = 2}, "P1M2D"}, {{0}, "PT0S"}};
    char text[API_DURATION_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kl_duration back = {.months = 99};

        api_duration_format(&cases[i].duration, text);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(kl_duration_parse(text, strlen(text), &back, NULL), KL_OK);
        assert_int_equal(back.months, cases[i].duration.months);
        assert_int_equal(back.days, cases[i].duration.days);
        assert_int_equal(back.seconds, cases[i].duration.seconds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quotes_are_doubled_and_lines_kept),
        cmocka_unit_test(test_no_text_begins_as_a_formula),
        cmocka_unit_test(test_nor_does_a_piece_of_one),
        cmocka_unit_test(test_forms_of_their_own_stay),
        cmocka_unit_test(test_what_is_withheld_has_no_value),
        cmocka_unit_test(test_a_file_is_listed),
        cmocka_unit_test(test_a_document_has_a_maximum),
        cmocka_unit_test(test_durations_are_written_as_iso_8601_has_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
