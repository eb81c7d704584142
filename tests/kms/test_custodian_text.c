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
    (void)state;
    assert_text("pkcs11:token=Safe;serial=12?module-path=/usr/lib/x.so&pin-value=1234",
                "pkcs11:token=Safe;serial=12?module-path=/usr/lib/x.so");
    assert_text("pkcs11:token=Safe?pin-source=file:/secret&module-name=x",
                "pkcs11:token=Safe?module-name=x");
    /* what is not understood, and a PIN behind a wrong separator */
    assert_text("pkcs11:token=Safe;x-pin=1234?x-secret=5678&module-path=/a",
                "pkcs11:token=Safe?module-path=/a");
    assert_text("pkcs11:token=Safe&pin-value=1234", "pkcs11:token=Safe");
    assert_text("pkcs11:pin-value=1234;token=Safe?module-path=/a?pin-value=1",
                "pkcs11:token=Safe?module-path=/a");
    assert_text("pkcs11:1234", "pkcs11:");
    assert_text("pkcs11:;;&?=?", "pkcs11:");
}

static void test_what_names_no_custodian_is_not_shown(void **state)
{
    char long_one[KMS_CUSTODIAN_TEXT_MAX_BYTES + 2];

    (void)state;
    assert_text("a passphrase in the wrong place", "");
    assert_text("", "");
    assert_text("pkcs11:token=%zz?pin-value=1234", "pkcs11:token=%zz");
    /* the longest there is would have one more character when it is written */
    memset(long_one, 'a', sizeof long_one);
    memcpy(long_one, "pkcs11:module-path=", 19);
    long_one[KMS_CUSTODIAN_TEXT_MAX_BYTES] = '\0';
    assert_text(long_one, "pkcs11:");
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
