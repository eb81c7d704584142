/* Masked forms. */
#include "tests/vault/value_check.h"

static void test_every_mask_has_a_name_that_reads_back(void **state)
{
    (void)state;
    for (int i = 0; i < VAULT_MASKS; i++) {
        enum vault_mask mask = VAULT_MASKS;
        assert_true(vault_mask_parse(vault_mask_name((enum vault_mask)i), &mask));
        assert_int_equal(mask, i);
    }
}

static void test_an_unknown_mask_name_leaves_the_result_untouched(void **state)
{
    enum vault_mask mask = VAULT_MASK_YEAR;

    (void)state;
    assert_false(vault_mask_parse("last5", &mask));
    assert_int_equal(mask, VAULT_MASK_YEAR);
}

static void test_masks_fit_the_types_they_have_a_meaning_for(void **state)
{
    (void)state;
    for (int type = 0; type < VAULT_TYPES; type++)
        assert_true(vault_mask_fits(VAULT_MASK_STARS, (enum vault_type)type));
    assert_true(vault_mask_fits(VAULT_MASK_YEAR, VAULT_TYPE_DATE));
    assert_true(vault_mask_fits(VAULT_MASK_COUNTRY, VAULT_TYPE_IBAN));
    assert_false(vault_mask_fits(VAULT_MASK_YEAR, VAULT_TYPE_TEXT));
    assert_false(vault_mask_fits(VAULT_MASK_EMAIL, VAULT_TYPE_TEXT));
    assert_false(vault_mask_fits(VAULT_MASK_INITIALS, VAULT_TYPE_JSON));
    assert_false(vault_mask_fits(VAULT_MASK_LAST4, VAULT_TYPE_EMAIL));
    /* it would show the whole */
    assert_false(vault_mask_fits(VAULT_MASK_COUNTRY, VAULT_TYPE_COUNTRY));
}

static void test_a_mask_that_does_not_fit_shows_stars(void **state)
{
    (void)state;
    mask_becomes(VAULT_MASK_YEAR, VAULT_TYPE_TEXT, "1984 was a year", "***");
    mask_becomes(VAULT_MASK_COUNTRY, VAULT_TYPE_COUNTRY, "BE", "***");
    mask_becomes(VAULT_MASK_LAST4, VAULT_TYPE_EMAIL, "anna@example.org", "***");
}

static void test_initials(void **state)
{
    (void)state;
    mask_becomes(VAULT_MASK_INITIALS, VAULT_TYPE_TEXT, "Anna Peeters", "A. P.");
    mask_becomes(VAULT_MASK_INITIALS, VAULT_TYPE_TEXT, "  Anna \t Peeters ", "A. P.");
    mask_becomes(VAULT_MASK_INITIALS, VAULT_TYPE_TEXT, "Jan-Willem van den Berg", "J. v. d. B.");
    mask_becomes(VAULT_MASK_INITIALS, VAULT_TYPE_TEXT, "a b c d e f g", "*. *. *. *.");
    mask_becomes(VAULT_MASK_INITIALS, VAULT_TYPE_TEXT, "one two three four five", "o. t. t. f.");
    mask_becomes(VAULT_MASK_INITIALS, VAULT_TYPE_TEXT, "X", "*.");
    mask_becomes(VAULT_MASK_INITIALS, VAULT_TYPE_TEXT, "12 Street", "*. S.");
    mask_becomes(VAULT_MASK_INITIALS, VAULT_TYPE_TEXT, " ", "***");
    mask_becomes(VAULT_MASK_INITIALS, VAULT_TYPE_TEXT, "\xc3\x89lise", "\xc3\x89.");
    /* a letter with a mark that has no composed form stays whole */
    mask_becomes(VAULT_MASK_INITIALS, VAULT_TYPE_TEXT, "x\xcc\xa3yz", "x\xcc\xa3.");
    mask_becomes(VAULT_MASK_INITIALS, VAULT_TYPE_TEXT, "x\xcc\xa3", "*.");
    mask_becomes(VAULT_MASK_INITIALS, VAULT_TYPE_TEXT, "\xe6\x9d\x8e\xe6\x98\x8e", "\xe6\x9d\x8e.");
}

static void test_email(void **state)
{
    (void)state;
    mask_becomes(VAULT_MASK_EMAIL, VAULT_TYPE_EMAIL, "anna@example.org", "a***@example.org");
    mask_becomes(VAULT_MASK_EMAIL, VAULT_TYPE_EMAIL, "ab@example.org", "a***@example.org");
    mask_becomes(VAULT_MASK_EMAIL, VAULT_TYPE_EMAIL, "a@example.org", "***@example.org");
    mask_becomes(VAULT_MASK_EMAIL, VAULT_TYPE_EMAIL, "\xc3\xa9lise@example.org",
                 "\xc3\xa9***@example.org");
}

static void test_last4_needs_as_many_hidden_ones(void **state)
{
    (void)state;
    mask_becomes(VAULT_MASK_LAST4, VAULT_TYPE_IBAN, "BE71096123456769", "***6769");
    mask_becomes(VAULT_MASK_LAST4, VAULT_TYPE_PHONE, "+32470123456", "***3456");
    mask_becomes(VAULT_MASK_LAST4, VAULT_TYPE_TEXT, "1234", "***");
    mask_becomes(VAULT_MASK_LAST4, VAULT_TYPE_TEXT, "1234567", "***");
    mask_becomes(VAULT_MASK_LAST4, VAULT_TYPE_TEXT, "12345678", "***5678");
    mask_becomes(VAULT_MASK_LAST4, VAULT_TYPE_TEXT, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", "***");
    mask_becomes(VAULT_MASK_LAST4, VAULT_TYPE_TEXT, "aaaa\xc3\xa9\xc3\xa8\xc3\xaa\xc3\xab",
                 "***\xc3\xa9\xc3\xa8\xc3\xaa\xc3\xab");
}

static void test_year_and_country(void **state)
{
    (void)state;
    mask_becomes(VAULT_MASK_YEAR, VAULT_TYPE_DATE, "1984-06-07", "1984");
    mask_becomes(VAULT_MASK_YEAR, VAULT_TYPE_DATETIME, "1984-06-07T00:00:00.000000Z", "1984");
    mask_becomes(VAULT_MASK_COUNTRY, VAULT_TYPE_IBAN, "BE71096123456769", "BE");
    mask_becomes(VAULT_MASK_COUNTRY, VAULT_TYPE_PHONE, "+32470123456", "+32");
    mask_becomes(VAULT_MASK_COUNTRY, VAULT_TYPE_PHONE, "+15550100000", "+1");
    mask_becomes(VAULT_MASK_COUNTRY, VAULT_TYPE_PHONE, "+353851234567", "+353");
}

static void test_no_mask_shows_a_whole_value(void **state)
{
    static const char *const values[] = {"a",   "ab", "abcd",     "Anna",  "1",   "12",
                                         "a b", "x.", "\xc3\xa9", "abcde", "A.B", "\xe6\x9d\x8e"};

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        for (int mask = 0; mask < VAULT_MASKS; mask++) {
            struct kl_buf out;
            kl_buf_init(&out, 1024);
            assert_int_equal(vault_value_mask((enum vault_mask)mask, VAULT_TYPE_TEXT,
                                              kl_slice_text(values[i]), &out, NULL),
                             KL_OK);
            assert_null(strstr((const char *)out.bytes, values[i]));
            kl_buf_done(&out);
        }
}

static void test_a_full_buffer_is_reported(void **state)
{
    struct kl_buf out;

    (void)state;
    kl_buf_init(&out, 2);
    assert_int_equal(
        vault_value_mask(VAULT_MASK_STARS, VAULT_TYPE_TEXT, kl_slice_text("abc"), &out, NULL),
        KL_ERR_TOO_LARGE);
    kl_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_mask_has_a_name_that_reads_back),
        cmocka_unit_test(test_an_unknown_mask_name_leaves_the_result_untouched),
        cmocka_unit_test(test_masks_fit_the_types_they_have_a_meaning_for),
        cmocka_unit_test(test_a_mask_that_does_not_fit_shows_stars),
        cmocka_unit_test(test_initials),
        cmocka_unit_test(test_email),
        cmocka_unit_test(test_last4_needs_as_many_hidden_ones),
        cmocka_unit_test(test_year_and_country),
        cmocka_unit_test(test_no_mask_shows_a_whole_value),
        cmocka_unit_test(test_a_full_buffer_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
