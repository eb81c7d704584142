/* Text and e-mail addresses. */
#include "tests/vault/value_check.h"

static void test_text_is_composed(void **state)
{
    (void)state;
    value_becomes(VAULT_TYPE_TEXT, "Anna", "Anna");
    value_becomes(VAULT_TYPE_TEXT, "e\xcc\x81t\xc3\xa9", "\xc3\xa9t\xc3\xa9");
    value_becomes(VAULT_TYPE_TEXT, " spaces stay ", " spaces stay ");
    value_becomes(VAULT_TYPE_TEXT, "\xe1\x84\x80\xe1\x85\xa1", "\xea\xb0\x80"); /* Hangul */
}

static void test_long_text_beyond_ascii_is_composed_too(void **state)
{
    static char text[3 * 2000 + 1];
    static char expected[2 * 2000 + 1];

    (void)state;
    for (size_t i = 0; i < 2000; i++) {
        memcpy(text + 3 * i, "e\xcc\x81", 3);
        memcpy(expected + 2 * i, "\xc3\xa9", 2);
    }
    value_becomes(VAULT_TYPE_TEXT, text, expected);
}

static void test_a_secret_is_an_opaque_string(void **state)
{
    static char long_one[VAULT_SECRET_MAX_BYTES + 2];

    (void)state;
    value_becomes(VAULT_TYPE_SECRET, " Open  Sesame ", " Open  Sesame ");
    value_becomes(VAULT_TYPE_SECRET, "e\xcc\x81t\xc3\xa9", "\xc3\xa9t\xc3\xa9");
    value_becomes(VAULT_TYPE_SECRET,
                  "a\xc2\xa0"
                  "b\xe3\x80\x80"
                  "c",
                  "a b c"); /* RFC 8265, 4.2.2 */
    value_becomes(VAULT_TYPE_SECRET, "x", "x");
    value_invalid_text(VAULT_TYPE_SECRET, "a\tb");
    value_invalid_text(VAULT_TYPE_SECRET, "a\nb");
    value_invalid_text(VAULT_TYPE_SECRET, "a\xe2\x80\xa8"
                                          "b"); /* U+2028 */
    value_invalid_text(VAULT_TYPE_SECRET, "a\xc2\x85"
                                          "b");
    value_refused(VAULT_TYPE_SECRET,
                  kl_slice_text("a\xcd\xb8"
                                "b"),
                  KL_JSON_TEXT, KL_ERR_INVALID, "unassigned_character"); /* U+0378 */
    value_refused(VAULT_TYPE_SECRET, kl_slice_text(""), KL_JSON_TEXT, KL_ERR_INVALID,
                  "empty_value");
    value_refused(VAULT_TYPE_SECRET, kl_slice_text("1"), KL_JSON_NUMBER, KL_ERR_INVALID,
                  "invalid_type");
    memset(long_one, 'a', VAULT_SECRET_MAX_BYTES);
    value_becomes(VAULT_TYPE_SECRET, long_one, long_one);
    long_one[VAULT_SECRET_MAX_BYTES] = 'a';
    value_refused(VAULT_TYPE_SECRET, kl_slice_text(long_one), KL_JSON_TEXT, KL_ERR_TOO_LARGE,
                  "value_too_large");
}

static void test_line_breaks_of_forms_become_line_feeds(void **state)
{
    (void)state;
    value_becomes(VAULT_TYPE_TEXT, "a\r\nb\n\tc\r\n", "a\nb\n\tc\n");
    value_invalid_text(VAULT_TYPE_TEXT, "a\rb");
    value_invalid_text(VAULT_TYPE_TEXT, "a\r");
}

static void test_control_characters_are_refused_in_text(void **state)
{
    static const char with_zero[] = {'a', '\0', 'b'};

    (void)state;
    value_invalid_text(VAULT_TYPE_TEXT, "a\x01");
    value_invalid_text(VAULT_TYPE_TEXT, "\x1b[31m");
    value_invalid_text(VAULT_TYPE_TEXT, "a\x7f");
    value_invalid_text(VAULT_TYPE_TEXT, "a\xc2\x85"); /* U+0085 */
    value_becomes(VAULT_TYPE_TEXT, "a\xc2\xa0", "a\xc2\xa0");
    value_refused(VAULT_TYPE_TEXT, kl_slice_of(with_zero, sizeof with_zero), KL_JSON_TEXT,
                  KL_ERR_INVALID, "invalid_value");
}

static void test_addresses_are_trimmed_and_their_domain_made_ascii(void **state)
{
    (void)state;
    value_becomes(VAULT_TYPE_EMAIL, "anna@example.org", "anna@example.org");
    value_becomes(VAULT_TYPE_EMAIL, " Anna@Example.ORG\n", "Anna@example.org");
    value_becomes(VAULT_TYPE_EMAIL, "x@fa\xc3\x9f.de", "x@xn--fa-hia.de");
    value_becomes(VAULT_TYPE_EMAIL,
                  "x@b\xc3\xbc"
                  "cher.example",
                  "x@xn--bcher-kva.example");
    value_becomes(VAULT_TYPE_EMAIL, "j\xc3\xbcrgen@example.org", "j\xc3\xbcrgen@example.org");
    value_becomes(VAULT_TYPE_EMAIL, "a+b.c_d-e@mail.example.org", "a+b.c_d-e@mail.example.org");
}

static void test_what_is_no_address_is_refused(void **state)
{
    static const char *const cases[] = {
        "anna",
        "@example.org",
        "anna@",
        "anna@localhost",
        "anna@example.org.",
        "anna@.example.org",
        "anna@exa mple.org",
        "an na@example.org",
        "anna@@example.org",
        "a@b@example.org",
        ".anna@example.org",
        "anna.@example.org",
        "an..na@example.org",
        "\"anna\"@example.org",
        "anna@[192.0.2.1]",
        "anna@192.0.2.1",
        "anna@exa_mple.org",
        "anna@exa$mple.org",
        ("anna@ex\xe2\x80\x8b"
         "ample.org"),
        "anna@-example.org",
        "Anna <anna@example.org>",
        "anna@example.org, bram@example.org",
        "an\xe2\x80\x8bna@example.org", /* zero width space */
        "an\xc2\xa0na@example.org",     /* no-break space */
        "anna\r\nBcc:@example.org",
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        value_invalid_text(VAULT_TYPE_EMAIL, cases[i]);
}

static void put(char *out, const char *text)
{
    memcpy(out, text, strlen(text) + 1);
}

static void test_addresses_have_the_lengths_of_rfc_5321(void **state)
{
    char text[400] = "";

    (void)state;
    memset(text, 'a', 64);
    put(text + 64, "@example.org");
    value_becomes(VAULT_TYPE_EMAIL, text, text);
    memset(text, 'a', 65);
    put(text + 65, "@example.org");
    value_invalid_text(VAULT_TYPE_EMAIL, text);
    put(text, "a@");
    for (size_t i = 0; i < 6; i++) {
        memset(text + 2 + 50 * i, 'b', 49);
        text[2 + 50 * i + 49] = '.';
    }
    put(text + 2 + 300, "org");
    value_invalid_text(VAULT_TYPE_EMAIL, text);
    put(text + 2 + 200,
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.org"); /* 2 + 200 + 48 = 250 */
    value_becomes(VAULT_TYPE_EMAIL, text, text);
    put(text + 2 + 200, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.org"); /* 255 */
    value_refused(VAULT_TYPE_EMAIL, kl_slice_text(text), KL_JSON_TEXT, KL_ERR_TOO_LARGE,
                  "value_too_large");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_is_composed),
        cmocka_unit_test(test_a_secret_is_an_opaque_string),
        cmocka_unit_test(test_long_text_beyond_ascii_is_composed_too),
        cmocka_unit_test(test_line_breaks_of_forms_become_line_feeds),
        cmocka_unit_test(test_control_characters_are_refused_in_text),
        cmocka_unit_test(test_addresses_are_trimmed_and_their_domain_made_ascii),
        cmocka_unit_test(test_what_is_no_address_is_refused),
        cmocka_unit_test(test_addresses_have_the_lengths_of_rfc_5321),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
