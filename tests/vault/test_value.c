/* Field values: types, kinds, sizes, dates, JSON, index forms and JSON output. */
#include "tests/vault/value_check.h"

#include <stdlib.h>

static void test_every_type_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < VAULT_TYPES; i++) {
        assert_int_not_equal(vault_type_name((enum vault_type)i)[0], '\0');
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(vault_type_name((enum vault_type)i),
                                    vault_type_name((enum vault_type)j));
        }
    }
}

static void test_a_json_kind_that_the_type_does_not_take_is_refused(void **state)
{
    static const struct {
        enum vault_type type;
        enum kl_json_type kind;
    } cases[] = {
        {VAULT_TYPE_TEXT, KL_JSON_NUMBER},    {VAULT_TYPE_TEXT, KL_JSON_NULL},
        {VAULT_TYPE_EMAIL, KL_JSON_OBJECT},   {VAULT_TYPE_DATE, KL_JSON_NUMBER},
        {VAULT_TYPE_NUMBER, KL_JSON_TEXT},    {VAULT_TYPE_BOOLEAN, KL_JSON_TEXT},
        {VAULT_TYPE_BOOLEAN, KL_JSON_NUMBER}, {VAULT_TYPE_JSON, KL_JSON_NULL},
        {VAULT_TYPE_JSON, KL_JSON_ABSENT},    {VAULT_TYPE_IBAN, KL_JSON_ARRAY},
        {VAULT_TYPE_COUNTRY, KL_JSON_BOOL},   {VAULT_TYPE_PHONE, KL_JSON_NUMBER},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        value_refused(cases[i].type, kl_slice_text("1"), cases[i].kind, KL_ERR_INVALID,
                      "invalid_type");
}

static void test_a_file_is_refused_by_name(void **state)
{
    (void)state;
    value_refused(VAULT_TYPE_FILE, kl_slice_text("x"), KL_JSON_TEXT, KL_ERR_INVALID,
                  "value_is_a_file");
}

static void test_an_empty_value_is_refused_for_every_type(void **state)
{
    (void)state;
    for (int i = 0; i <= VAULT_TYPE_JSON; i++)
        value_refused((enum vault_type)i, kl_slice_text(""), value_kind((enum vault_type)i),
                      KL_ERR_INVALID, "empty_value");
}

static void test_ill_formed_utf8_is_refused_for_every_type(void **state)
{
    static const unsigned char bad[] = {'a', 0xc3, 0x28, 'b'};

    (void)state;
    for (int i = 0; i <= VAULT_TYPE_JSON; i++)
        value_refused((enum vault_type)i, kl_slice_of(bad, sizeof bad),
                      value_kind((enum vault_type)i), KL_ERR_INVALID, "invalid_value");
}

static void test_a_text_of_the_largest_size_fits_and_one_byte_more_does_not(void **state)
{
    char *text = malloc(VAULT_VALUE_MAX_BYTES + 2);

    (void)state;
    assert_non_null(text);
    memset(text, 'a', VAULT_VALUE_MAX_BYTES + 1);
    text[VAULT_VALUE_MAX_BYTES] = '\0';
    value_becomes(VAULT_TYPE_TEXT, text, text);
    text[VAULT_VALUE_MAX_BYTES] = 'a';
    text[VAULT_VALUE_MAX_BYTES + 1] = '\0';
    value_refused(VAULT_TYPE_TEXT, kl_slice_text(text), KL_JSON_TEXT, KL_ERR_TOO_LARGE,
                  "value_too_large");
    free(text);
}

static void test_what_is_far_too_large_is_refused_before_it_is_looked_at(void **state)
{
    static char text[5 * VAULT_VALUE_MAX_BYTES];

    (void)state;
    memset(text, 0xff, sizeof text);
    for (int i = 0; i <= VAULT_TYPE_JSON; i++)
        value_refused((enum vault_type)i, kl_slice_of(text, sizeof text),
                      value_kind((enum vault_type)i), KL_ERR_TOO_LARGE, "value_too_large");
}

static void test_the_callers_buffer_keeps_its_own_maximum(void **state)
{
    const struct vault_value_input input = {KL_JSON_TEXT, kl_slice_text("0123456789")};
    struct kl_buf out;

    (void)state;
    kl_buf_init(&out, 5);
    assert_int_equal(vault_value_normalise(VAULT_TYPE_TEXT, &input, &out, NULL), KL_ERR_TOO_LARGE);
    kl_buf_done(&out);
}

static void test_dates_and_moments_are_kept_in_one_form(void **state)
{
    (void)state;
    value_becomes(VAULT_TYPE_DATE, "2024-02-29", "2024-02-29");
    value_invalid_text(VAULT_TYPE_DATE, "2023-02-29");
    value_invalid_text(VAULT_TYPE_DATE, "2024-2-9");
    value_invalid_text(VAULT_TYPE_DATE, "29/02/2024");
    value_invalid_text(VAULT_TYPE_DATE, "2024-02-29T00:00:00Z");
    value_becomes(VAULT_TYPE_DATETIME, "2026-11-22T17:50:40+01:00", "2026-11-22T16:50:40.000000Z");
    value_becomes(VAULT_TYPE_DATETIME, "2026-11-22T16:50:40.25Z", "2026-11-22T16:50:40.250000Z");
    value_invalid_text(VAULT_TYPE_DATETIME, "2026-11-22");
    value_invalid_text(VAULT_TYPE_DATETIME, "2026-11-22 16:50");
}

static void test_countries_are_upper_case_iso_codes(void **state)
{
    (void)state;
    value_becomes(VAULT_TYPE_COUNTRY, "BE", "BE");
    value_becomes(VAULT_TYPE_COUNTRY, " no ", "NO");
    value_invalid_text(VAULT_TYPE_COUNTRY, "UK");
    value_invalid_text(VAULT_TYPE_COUNTRY, "EL");
    value_invalid_text(VAULT_TYPE_COUNTRY, "XX");
    value_invalid_text(VAULT_TYPE_COUNTRY, "B");
    value_invalid_text(VAULT_TYPE_COUNTRY, "BEL");
    value_invalid_text(VAULT_TYPE_COUNTRY, "Belgium");
}

static void test_booleans_are_true_and_false(void **state)
{
    (void)state;
    value_becomes(VAULT_TYPE_BOOLEAN, "true", "true");
    value_becomes(VAULT_TYPE_BOOLEAN, "false", "false");
    value_invalid_text(VAULT_TYPE_BOOLEAN, "yes");
    value_invalid_text(VAULT_TYPE_BOOLEAN, "True");
}

static void test_json_is_kept_compact_and_composed(void **state)
{
    (void)state;
    value_becomes(VAULT_TYPE_JSON, " { \"a\" : [ 1, 2.50 ] } ", "{\"a\":[1,2.50]}");
    value_becomes(VAULT_TYPE_JSON, "{\"n\":\"e\\u0301\"}", "{\"n\":\"\xc3\xa9\"}");
    value_becomes(VAULT_TYPE_JSON, "{\"n\":\"e\xcc\x81\"}", "{\"n\":\"\xc3\xa9\"}");
    value_becomes(VAULT_TYPE_JSON, "[]", "[]");
}

static void test_json_that_is_not_strict_is_refused(void **state)
{
    static const char *const cases[] = {"{",        "{\"a\":1,\"a\":2}", "[1,]", "{a:1}",
                                        "[1] [2]",  "\"\\ud800\"",       "NaN",  "'a'",
                                        "[1] // x", "{\"a\":01}"};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        value_invalid_text(VAULT_TYPE_JSON, cases[i]);
}

static void test_keys_that_fall_together_when_composed_are_refused(void **state)
{
    (void)state;
    value_invalid_text(VAULT_TYPE_JSON, "{\"\xc3\xa9\":1,\"e\xcc\x81\":2}");
}

static void test_the_index_form_folds_case_and_width(void **state)
{
    (void)state;
    index_becomes(VAULT_TYPE_TEXT, "J\xc3\xbcrgen", "j\xc3\xbcrgen");
    index_becomes(VAULT_TYPE_TEXT,
                  "Stra\xc3\x9f"
                  "e",
                  "strasse");
    index_becomes(VAULT_TYPE_TEXT, "\xef\xbc\xa1\xef\xbc\xa2", "ab"); /* full width A, B */
    index_becomes(VAULT_TYPE_EMAIL, "Anna.Peeters@Mail.Example", "anna.peeters@mail.example");
    index_becomes(VAULT_TYPE_EMAIL, "J\xc3\x9cRGEN@fa\xc3\x9f.de", "j\xc3\xbcrgen@xn--fa-hia.de");
    index_becomes(VAULT_TYPE_NUMBER, "1.50", "1.5");
    index_becomes(VAULT_TYPE_NUMBER, "100", "100");
    index_becomes(VAULT_TYPE_NUMBER, "100.00", "100");
    index_becomes(VAULT_TYPE_PHONE, "+32 470 12 34 56", "+32470123456");
    index_becomes(VAULT_TYPE_IP, "2001:DB8::0001", "2001:db8::1");
}

static void index_refused(enum vault_type type, const char *text, const char *code)
{
    struct kl_err err = {0};
    struct kl_buf out;

    kl_buf_init(&out, VALUE_CHECK_BYTES_MAX);
    assert_int_equal(vault_value_index_form(type, kl_slice_text(text), &out, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, code);
    assert_int_equal(out.size, 0);
    kl_buf_done(&out);
}

static void test_an_unassigned_character_is_kept_and_not_indexed(void **state)
{
    static const char unassigned[] = "a\xcd\xb8"; /* U+0378 */

    (void)state;
    value_becomes(VAULT_TYPE_TEXT, unassigned, unassigned);
    index_refused(VAULT_TYPE_TEXT, unassigned, "unassigned_character");
}

static void test_a_text_of_invisible_characters_has_no_index_form(void **state)
{
    (void)state;
    index_refused(VAULT_TYPE_TEXT, "\xc2\xad\xe2\x80\x8b",
                  "empty_value"); /* soft hyphen, zero width space */
}

static void test_types_that_cannot_be_looked_up_say_so(void **state)
{
    (void)state;
    index_refused(VAULT_TYPE_JSON, "{}", "not_indexable");
    index_refused(VAULT_TYPE_SECRET, "x", "not_indexable");
    index_refused(VAULT_TYPE_FILE, "x", "not_indexable");
}

static void test_the_unicode_version_is_a_version(void **state)
{
    (void)state;
    assert_true(strtol(vault_value_unicode_version(), NULL, 10) >= 15);
    assert_non_null(strchr(vault_value_unicode_version(), '.'));
}

static void test_values_are_written_as_the_json_their_type_asks_for(void **state)
{
    struct kl_buf buf;
    struct kl_json_out out;

    (void)state;
    kl_buf_init(&buf, VALUE_CHECK_BYTES_MAX);
    out = kl_json_out(&buf);
    kl_json_array_begin(&out);
    vault_value_write_json(VAULT_TYPE_TEXT, kl_slice_text("say \"hi\""), &out);
    vault_value_write_json(VAULT_TYPE_NUMBER, kl_slice_text("1.50"), &out);
    vault_value_write_json(VAULT_TYPE_BOOLEAN, kl_slice_text("true"), &out);
    vault_value_write_json(VAULT_TYPE_JSON, kl_slice_text("{\"a\":[1]}"), &out);
    vault_value_write_json(VAULT_TYPE_DATE, kl_slice_text("2024-02-29"), &out);
    kl_json_array_end(&out);
    assert_true(kl_slice_equal_text(kl_buf_slice(&buf), "[\"say \\\"hi\\\"\",1.50,true,{\"a\":[1]},"
                                                        "\"2024-02-29\"]"));
    kl_buf_done(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_has_a_name_of_its_own),
        cmocka_unit_test(test_a_json_kind_that_the_type_does_not_take_is_refused),
        cmocka_unit_test(test_a_file_is_refused_by_name),
        cmocka_unit_test(test_an_empty_value_is_refused_for_every_type),
        cmocka_unit_test(test_ill_formed_utf8_is_refused_for_every_type),
        cmocka_unit_test(test_a_text_of_the_largest_size_fits_and_one_byte_more_does_not),
        cmocka_unit_test(test_what_is_far_too_large_is_refused_before_it_is_looked_at),
        cmocka_unit_test(test_the_callers_buffer_keeps_its_own_maximum),
        cmocka_unit_test(test_dates_and_moments_are_kept_in_one_form),
        cmocka_unit_test(test_countries_are_upper_case_iso_codes),
        cmocka_unit_test(test_booleans_are_true_and_false),
        cmocka_unit_test(test_json_is_kept_compact_and_composed),
        cmocka_unit_test(test_json_that_is_not_strict_is_refused),
        cmocka_unit_test(test_keys_that_fall_together_when_composed_are_refused),
        cmocka_unit_test(test_the_index_form_folds_case_and_width),
        cmocka_unit_test(test_an_unassigned_character_is_kept_and_not_indexed),
        cmocka_unit_test(test_a_text_of_invisible_characters_has_no_index_form),
        cmocka_unit_test(test_types_that_cannot_be_looked_up_say_so),
        cmocka_unit_test(test_the_unicode_version_is_a_version),
        cmocka_unit_test(test_values_are_written_as_the_json_their_type_asks_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
