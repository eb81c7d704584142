/* Phone numbers, decimal numbers, IBANs and IP addresses. */
#include "tests/vault/value_check.h"

struct pair {
    const char *text;
    const char *expected; /* NULL: refused */
};

static void check_all(enum vault_type type, const struct pair *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (cases[i].expected != NULL)
            value_becomes(type, cases[i].text, cases[i].expected);
        else
            value_invalid_text(type, cases[i].text);
}
#define CHECK_ALL(type, cases) check_all(type, cases, sizeof(cases) / sizeof(cases)[0])

static void test_phone_numbers_become_e164(void **state)
{
    static const struct pair cases[] = {
        {"+32470123456", "+32470123456"},
        {"+32 470 12.34-56", "+32470123456"},
        {" +1 (555) 010-0000 ", "+15550100000"},
        {"+1234567", NULL},
        {"+12345678", "+12345678"},
        {"+123456789012345", "+123456789012345"},
        {"+1234567890123456", NULL},
        {"0470 12 34 56", NULL},
        {"+0470123456", NULL},
        {"+32 (0)470 12 34 56", NULL},
        {"0032470123456", NULL},
        {"+32 470 12 34 56 ext 7", NULL},
        {"++32470123456", NULL},
        {"+", NULL},
        {"+32/470123456", NULL},
        {"+\xd9\xa3\xd9\xa2 470123456", NULL}, /* Arabic-Indic digits */
    };

    (void)state;
    CHECK_ALL(VAULT_TYPE_PHONE, cases);
}

static void test_numbers_are_written_in_full(void **state)
{
    static const struct pair cases[] = {
        {"0", "0"},
        {"-0", "0"},
        {"-0.0", "0.0"},
        {"1.50", "1.50"},
        {"-12.5", "-12.5"},
        {"1e3", "1000"},
        {"1E+3", "1000"},
        {"1.5e1", "15"},
        {"1.25e1", "12.5"},
        {"125e-2", "1.25"},
        {"5e-3", "0.005"},
        {"0e5", "0"},
        {"0.1e2", "10"},
        {"1234567890123456789012345678901234567890", "1234567890123456789012345678901234567890"},
        {"12345678901234567890123456789012345678901", NULL},
        {"1e39", "1000000000000000000000000000000000000000"},
        {"1e40", NULL},
        {"1e99999999999", NULL},
        {"1e-38", "0.00000000000000000000000000000000000001"},
        {"1e-39", NULL},
        {"01", NULL},
        {".5", NULL},
        {"1.", NULL},
        {"+1", NULL},
        {"1e", NULL},
        {"1e+", NULL},
        {"--1", NULL},
        {"-", NULL},
        {"0x10", NULL},
        {"1 ", NULL},
        {"1,5", NULL},
        {"NaN", NULL},
    };

    (void)state;
    CHECK_ALL(VAULT_TYPE_NUMBER, cases);
}

static void test_ibans_are_checked_by_length_and_check_digits(void **state)
{
    static const struct pair cases[] = {
        {"BE71 0961 2345 6769", "BE71096123456769"},
        {"be71096123456769", "BE71096123456769"},
        {"NL91 ABNA 0417 1643 00", "NL91ABNA0417164300"},
        {"DE89 3704 0044 0532 0130 00", "DE89370400440532013000"},
        {"FR14 2004 1010 0505 0001 3M02 606", "FR1420041010050500013M02606"},
        {"GB82 WEST 1234 5698 7654 32", "GB82WEST12345698765432"},
        {"NO93 8601 1117 947", "NO9386011117947"},
        {"MT84 MALT 0110 0001 2345 MTLC AST0 01S", "MT84MALT011000012345MTLCAST001S"},
        {"BE72 0961 2345 6769", NULL}, /* check digits */
        {"BE71 0961 2345 676", NULL},  /* length */
        {"BE71 0961 2345 67690", NULL},
        {"US71 0961 2345 6769", NULL}, /* no IBANs there */
        {"BEAA 0961 2345 6769", NULL},
        {"BE71-0961-2345-6769", NULL},
        {"BE", NULL},
        {"BE71 0961 2345 6769 0961 2345 6769 0961 2345 6769", NULL},
    };

    (void)state;
    CHECK_ALL(VAULT_TYPE_IBAN, cases);
}

static void test_two_swapped_digits_of_an_iban_are_noticed(void **state)
{
    static const char iban[] = "BE71096123456769";
    char swapped[sizeof iban];

    (void)state;
    for (size_t i = 4; i + 2 < sizeof iban; i++) {
        memcpy(swapped, iban, sizeof iban);
        swapped[i] = iban[i + 1];
        swapped[i + 1] = iban[i];
        if (strcmp(swapped, iban) != 0)
            value_invalid_text(VAULT_TYPE_IBAN, swapped);
    }
}

static void test_ip_addresses_have_one_form(void **state)
{
    static const struct pair cases[] = {
        {"192.0.2.10", "192.0.2.10"},
        {" 192.0.2.10 ", "192.0.2.10"},
        {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"::ffff:c000:201", "192.0.2.1"},
        {"::1", "::1"},
        {"::", "::"},
        {"::192.0.2.1", NULL},
        {"192.0.2", NULL},
        {"192.0.2.010", NULL},
        {"192.0.2.256", NULL},
        {"0xc0000201", NULL},
        {"192.0.2.1:80", NULL},
        {"192.0.2.0/24", NULL},
        {"[2001:db8::1]", NULL},
        {"fe80::1%eth0", NULL},
        {"2001:db8::1::2", NULL},
        {"localhost", NULL},
        {"2001:0db8:0000:0000:0000:0000:0000:0001:0002:0003:0004:0005", NULL},
    };

    (void)state;
    CHECK_ALL(VAULT_TYPE_IP, cases);
}

static void test_an_ip_address_with_a_zero_byte_is_refused(void **state)
{
    static const char text[] = "192.0.2.1\0extra";

    (void)state;
    value_refused(VAULT_TYPE_IP, kl_slice_of(text, sizeof text - 1), KL_JSON_TEXT, KL_ERR_INVALID,
                  "invalid_value");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_phone_numbers_become_e164),
        cmocka_unit_test(test_numbers_are_written_in_full),
        cmocka_unit_test(test_ibans_are_checked_by_length_and_check_digits),
        cmocka_unit_test(test_two_swapped_digits_of_an_iban_are_noticed),
        cmocka_unit_test(test_ip_addresses_have_one_form),
        cmocka_unit_test(test_an_ip_address_with_a_zero_byte_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
