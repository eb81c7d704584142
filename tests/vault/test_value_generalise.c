/* General forms of values. */
#include "tests/vault/value_check.h"

static void becomes(enum vault_generalisation how, enum vault_type type, const char *text,
                    const char *expected)
{
    char general[VAULT_GENERAL_MAX_BYTES + 1] = "untouched";
    bool there = vault_value_generalise(how, type, kl_slice_text(text), general);

    assert_int_equal(there, expected[0] != '\0');
    assert_string_equal(general, expected);
}

static void test_every_generalisation_has_a_name_that_reads_back(void **state)
{
    enum vault_generalisation how = VAULT_GENERALISATIONS;

    (void)state;
    for (int i = 0; i < VAULT_GENERALISATIONS; i++) {
        assert_true(vault_generalisation_parse(
            vault_generalisation_name((enum vault_generalisation)i), &how));
        assert_int_equal(how, i);
    }
    assert_false(vault_generalisation_parse("month", &how));
    assert_int_equal(how, VAULT_GENERALISATIONS - 1);
}

static void test_only_what_has_few_values_is_kept_as_it_is(void **state)
{
    (void)state;
    for (int type = 0; type < VAULT_TYPES; type++) {
        assert_true(vault_generalisation_fits(VAULT_GENERAL_COUNT, (enum vault_type)type));
        assert_int_equal(vault_generalisation_fits(VAULT_GENERAL_EXACT, (enum vault_type)type),
                         type == VAULT_TYPE_BOOLEAN || type == VAULT_TYPE_COUNTRY);
        assert_int_equal(vault_generalisation_fits(VAULT_GENERAL_FIRST1, (enum vault_type)type),
                         type == VAULT_TYPE_TEXT);
    }
    assert_false(vault_generalisation_fits(VAULT_GENERAL_YEAR, VAULT_TYPE_TEXT));
    assert_false(vault_generalisation_fits(VAULT_GENERAL_COUNTRY, VAULT_TYPE_IP));
    assert_false(vault_generalisation_fits(VAULT_GENERAL_TENS, VAULT_TYPE_TEXT));
}

static void test_dates(void **state)
{
    (void)state;
    becomes(VAULT_GENERAL_YEAR, VAULT_TYPE_DATE, "1984-05-17", "1984");
    becomes(VAULT_GENERAL_DECADE, VAULT_TYPE_DATE, "1989-12-31", "1980");
    becomes(VAULT_GENERAL_YEAR, VAULT_TYPE_DATETIME, "2023-05-17T10:00:00.000000Z", "2023");
    becomes(VAULT_GENERAL_YEAR, VAULT_TYPE_DATE, "1984", "");
}

static void test_countries(void **state)
{
    (void)state;
    becomes(VAULT_GENERAL_COUNTRY, VAULT_TYPE_COUNTRY, "BE", "BE");
    becomes(VAULT_GENERAL_EXACT, VAULT_TYPE_COUNTRY, "BE", "BE");
    becomes(VAULT_GENERAL_COUNTRY, VAULT_TYPE_IBAN, "NL91ABNA0417164300", "NL");
    becomes(VAULT_GENERAL_COUNTRY, VAULT_TYPE_PHONE, "+32470123456", "+32");
    becomes(VAULT_GENERAL_COUNTRY, VAULT_TYPE_TEXT, "BE", "");
}

static void test_numbers_lose_their_last_digits(void **state)
{
    (void)state;
    becomes(VAULT_GENERAL_TENS, VAULT_TYPE_NUMBER, "47", "40");
    becomes(VAULT_GENERAL_TENS, VAULT_TYPE_NUMBER, "47.99", "40");
    becomes(VAULT_GENERAL_TENS, VAULT_TYPE_NUMBER, "-47", "-40");
    becomes(VAULT_GENERAL_TENS, VAULT_TYPE_NUMBER, "-7", "0");
    becomes(VAULT_GENERAL_TENS, VAULT_TYPE_NUMBER, "9.5", "0");
    becomes(VAULT_GENERAL_TENS, VAULT_TYPE_NUMBER, "0.001", "0");
    becomes(VAULT_GENERAL_HUNDREDS, VAULT_TYPE_NUMBER, "12345", "12300");
    becomes(VAULT_GENERAL_THOUSANDS, VAULT_TYPE_NUMBER, "12345", "12000");
    becomes(VAULT_GENERAL_THOUSANDS, VAULT_TYPE_NUMBER, "999", "0");
    becomes(VAULT_GENERAL_TENS, VAULT_TYPE_NUMBER, "1234567890123456", "1234567890123450");
    becomes(VAULT_GENERAL_TENS, VAULT_TYPE_NUMBER, "12345678901234567", "");
    becomes(VAULT_GENERAL_TENS, VAULT_TYPE_NUMBER, "", "");
}

static void test_first_digits_never_show_the_whole(void **state)
{
    (void)state;
    becomes(VAULT_GENERAL_FIRST2, VAULT_TYPE_TEXT, "9000", "90");
    becomes(VAULT_GENERAL_FIRST3, VAULT_TYPE_TEXT, "1012 AB", "101");
    becomes(VAULT_GENERAL_FIRST1, VAULT_TYPE_TEXT, "9000", "9");
    becomes(VAULT_GENERAL_FIRST2, VAULT_TYPE_TEXT, "90", "");
    becomes(VAULT_GENERAL_FIRST2, VAULT_TYPE_TEXT, "9A00", "");
    becomes(VAULT_GENERAL_FIRST2, VAULT_TYPE_TEXT, "Anna Peeters", "");
}

static void test_the_rest_is_only_counted(void **state)
{
    (void)state;
    becomes(VAULT_GENERAL_COUNT, VAULT_TYPE_SECRET, "", "present");
    becomes(VAULT_GENERAL_COUNT, VAULT_TYPE_EMAIL, "anna@mail.example", "present");
    becomes(VAULT_GENERAL_EXACT, VAULT_TYPE_BOOLEAN, "true", "true");
    becomes(VAULT_GENERAL_EXACT, VAULT_TYPE_EMAIL, "anna@mail.example", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_generalisation_has_a_name_that_reads_back),
        cmocka_unit_test(test_only_what_has_few_values_is_kept_as_it_is),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_countries),
        cmocka_unit_test(test_numbers_lose_their_last_digits),
        cmocka_unit_test(test_first_digits_never_show_the_whole),
        cmocka_unit_test(test_the_rest_is_only_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
