#include "kluis/base/yaml.h"
#include "tests/support/test.h"

#include <string.h>

static const char *const names[] = {"email",   "name", "telephone", "tls-cert",
                                    "tls-key", "id",   NULL};

static void assert_suggests(const char *text, const char *expected)
{
    const char *near = kl_suggest(text, names);

    if (expected == NULL) {
        assert_null(near);
    } else {
        assert_non_null(near);
        assert_string_equal(near, expected);
    }
}

static void test_one_slip_leads_to_the_name(void **state)
{
    (void)state;
    assert_suggests("emial", "email");
    assert_suggests("emai", "email");
    assert_suggests("emaill", "email");
    assert_suggests("amail", "email");
    assert_suggests("nmae", "name");
    assert_suggests("tls_cert", "tls-cert");
    assert_suggests("email", "email");
}

static void test_longer_names_allow_more_slips(void **state)
{
    (void)state;
    assert_suggests("telefone", "telephone");
    assert_suggests("telephonenum", "telephone");
    assert_suggests("telephonenumb", NULL);
}

static void test_far_texts_have_no_suggestion(void **state)
{
    (void)state;
    assert_suggests("", NULL);
    assert_suggests("address", NULL);
    assert_suggests("ix", NULL);
    assert_suggests("nxyz", NULL);
}

static void test_the_nearest_of_several_wins(void **state)
{
    static const char *const close[] = {"records", "record", "recorder", NULL};

    (void)state;
    assert_string_equal(kl_suggest("recrd", close), "record");
    assert_string_equal(kl_suggest("recods", close), "records");
}

static void test_very_long_texts_are_near_to_nothing(void **state)
{
    char longest[64];
    char longer[65];
    const char *const own[] = {longer, longest, NULL};

    (void)state;
    memset(longest, 'a', 63);
    longest[63] = '\0';
    memset(longer, 'a', 64);
    longer[64] = '\0';
    assert_ptr_equal(kl_suggest(longest, own), longest);
    assert_null(kl_suggest(longer, own));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_slip_leads_to_the_name),
        cmocka_unit_test(test_longer_names_allow_more_slips),
        cmocka_unit_test(test_far_texts_have_no_suggestion),
        cmocka_unit_test(test_the_nearest_of_several_wins),
        cmocka_unit_test(test_very_long_texts_are_near_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
