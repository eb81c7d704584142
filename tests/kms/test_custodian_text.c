/* What may be written down of a custodian. */
#include "kluis/kms/custodian.h"
#include "tests/support/test.h"

#include <string.h>

static void assert_text(const char *custodian, const char *expected)
{
    char text[KMS_CUSTODIAN_TEXT_MAX_BYTES + 1] = "before";

    kms_custodian_text_public(custodian, text);
    assert_string_equal(text, expected);
}

static void test_a_path_is_shown_as_it_is(void **state)
{
    (void)state;
    assert_text("file:/var/lib/root.key", "file:/var/lib/root.key");
    assert_text("passphrase:/var/lib/root.key", "passphrase:/var/lib/root.key");
}

static void test_the_address_of_a_token_is_shown_without_what_leads_to_its_pin(void **state)
{
    char text[KMS_CUSTODIAN_TEXT_MAX_BYTES + 1];

    (void)state;
    kms_custodian_text_public(
        "pkcs11:token=Safe;serial=12?module-path=/usr/lib/x.so&pin-value=1234&pin-source=file:/p",
        text);
    assert_non_null(strstr(text, "token=Safe"));
    assert_non_null(strstr(text, "serial=12"));
    assert_non_null(strstr(text, "module-path=%2Fusr%2Flib%2Fx.so"));
    assert_null(strstr(text, "1234"));
    assert_null(strstr(text, "pin-"));
    assert_null(strstr(text, "file:"));
    /* what is not understood is left out */
    kms_custodian_text_public("pkcs11:token=Safe;x-pin=1234?x-secret=5678", text);
    assert_null(strstr(text, "1234"));
    assert_null(strstr(text, "5678"));
}

static void test_what_names_no_custodian_is_not_shown(void **state)
{
    char long_one[KMS_CUSTODIAN_TEXT_MAX_BYTES + 2];

    (void)state;
    assert_text("a passphrase in the wrong place", "");
    assert_text("", "");
    assert_text("pkcs11:token=%zz?pin-value=1234", "pkcs11:");
    memset(long_one, 'a', sizeof long_one);
    memcpy(long_one, "file:/", 6);
    long_one[sizeof long_one - 1] = '\0';
    assert_text(long_one, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_path_is_shown_as_it_is),
        cmocka_unit_test(test_the_address_of_a_token_is_shown_without_what_leads_to_its_pin),
        cmocka_unit_test(test_what_names_no_custodian_is_not_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
