#include "kluis/base/encode.h"
#include "tests/support/test.h"

#include <string.h>

static void test_hex_is_lower_case_and_comes_back(void **state)
{
    unsigned char bytes[4];
    char text[9];

    (void)state;
    kl_hex("\x00\x1f\xAB\xFF", 4, text);
    assert_string_equal(text, "001fabff");
    assert_true(kl_hex_decode("001FabFF", 8, bytes, 4));
    assert_memory_equal(bytes, "\x00\x1f\xAB\xFF", 4);
    kl_hex(NULL, 0, text);
    assert_string_equal(text, "");
    assert_true(kl_hex_decode("", 0, NULL, 0));
}

static void test_hex_that_does_not_fit_is_refused_and_wiped(void **state)
{
    const char *const texts[] = {"",     "00",   "000",  "00000",     "000000",
                                 "00g0", "0x00", "00 0", "00\xC3\xA9"};
    unsigned char bytes[2];

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        memset(bytes, 0x77, sizeof(bytes));
        assert_false(kl_hex_decode(texts[i], strlen(texts[i]), bytes, sizeof(bytes)));
        assert_memory_equal(bytes, "\0\0", 2);
    }
}

/* The vectors of RFC 4648 section 10, without their padding. */
static void test_base64_follows_rfc_4648(void **state)
{
    static const char *const texts[] = {"", "Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy"};
    unsigned char bytes[6];
    char text[9];

    (void)state;
    for (size_t size = 0; size <= 6; size++) {
        assert_int_equal(KL_BASE64_CHARS(size), strlen(texts[size]));
        kl_base64("foobar", size, text);
        assert_string_equal(text, texts[size]);
        assert_true(kl_base64_decode(texts[size], strlen(texts[size]), bytes, size));
        assert_memory_equal(bytes, "foobar", size);
    }
    kl_base64("\xFB\xFF", 2, text);
    assert_string_equal(text, "-_8");
}

static void test_base64_that_does_not_fit_is_refused_and_wiped(void **state)
{
    /* Padding, the other alphabet, white space, bits left over, too short, too long. */
    const char *const texts[] = {"Zg==", "Zm8=", "+/8",    "Z 8", "Zm9",
                                 "Zg",   "Zm9v", "Zm9vYg", "",    "Zm\n"};
    unsigned char bytes[2];

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        memset(bytes, 0x77, sizeof(bytes));
        assert_false(kl_base64_decode(texts[i], strlen(texts[i]), bytes, sizeof(bytes)));
        assert_memory_equal(bytes, "\0\0", 2);
    }
}

static void test_only_the_digits_of_an_alphabet_are_taken(void **state)
{
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char bytes[3];

    (void)state;
    for (size_t at = 0; at < 4; at++) {
        for (int byte = 0; byte < 256; byte++) {
            char text[] = "AAAA";
            text[at] = (char)byte;
            assert_int_equal(kl_base64_decode(text, 4, bytes, 3), memchr(base64, byte, 64) != NULL);
            assert_int_equal(kl_hex_decode(text, 4, bytes, 2),
                             memchr("0123456789abcdefABCDEF", byte, 22) != NULL);
        }
    }
}

static void test_well_formed_utf8_is_valid(void **state)
{
    static const char *const texts[] = {
        "",
        "plain text of more than eight bytes",
        "\xC2\x80",         /* U+0080, the first of two bytes */
        "\xDF\xBF",         /* U+07FF */
        "\xE0\xA0\x80",     /* U+0800 */
        "\xED\x9F\xBF",     /* U+D7FF, before the surrogates */
        "\xEE\x80\x80",     /* U+E000, behind them */
        "\xEF\xBF\xBF",     /* U+FFFF */
        "\xF0\x90\x80\x80", /* U+10000 */
        "\xF4\x8F\xBF\xBF", /* U+10FFFF, the last */
        "eight by\xC3\xA9 and after",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_true(kl_utf8_valid(texts[i], strlen(texts[i])));
    }
    assert_true(kl_utf8_valid("a\0b", 3));
}

static void test_ill_formed_utf8_is_not(void **state)
{
    static const char *const texts[] = {
        "\x80",             /* a continuation alone */
        "\xC0\x80",         /* overlong U+0000 */
        "\xC1\xBF",         /* overlong */
        "\xE0\x9F\xBF",     /* overlong */
        "\xF0\x8F\xBF\xBF", /* overlong */
        "\xED\xA0\x80",     /* U+D800 */
        "\xED\xBF\xBF",     /* U+DFFF */
        "\xF4\x90\x80\x80", /* U+110000 */
        "\xF5\x80\x80\x80",
        "\xFF",
        "\xC3",
        "\xE2\x82",
        "\xF0\x9F\x98",
        "\xC3z",
        "\xE2\x82z",
        "\xF0\x9F\x98z",
        "plain text and then \xFE",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_false(kl_utf8_valid(texts[i], strlen(texts[i])));
    }
}

static void test_every_code_point_is_judged_by_rfc_3629(void **state)
{
    (void)state;
    for (unsigned point = 0; point < 0x120000; point++) {
        unsigned char text[4];
        size_t size;
        if (point < 0x80) {
            text[0] = (unsigned char)point;
            size = 1;
        } else if (point < 0x800) {
            text[0] = (unsigned char)(0xC0 | point >> 6);
            text[1] = (unsigned char)(0x80 | (point & 63));
            size = 2;
        } else if (point < 0x10000) {
            text[0] = (unsigned char)(0xE0 | point >> 12);
            text[1] = (unsigned char)(0x80 | (point >> 6 & 63));
            text[2] = (unsigned char)(0x80 | (point & 63));
            size = 3;
        } else {
            text[0] = (unsigned char)(0xF0 | point >> 18);
            text[1] = (unsigned char)(0x80 | (point >> 12 & 63));
            text[2] = (unsigned char)(0x80 | (point >> 6 & 63));
            text[3] = (unsigned char)(0x80 | (point & 63));
            size = 4;
        }
        bool allowed = point <= 0x10FFFF && (point < 0xD800 || point > 0xDFFF);
        if (kl_utf8_char_bytes(text, size) != (allowed ? size : 0) ||
            kl_utf8_valid(text, size) != allowed || kl_utf8_valid(text, size - 1) != (size == 1)) {
            fail_msg("U+%04X", point);
        }
    }
}

static void test_a_cut_leaves_whole_characters(void **state)
{
    /* a, é, €, 😀: 1, 2, 3 and 4 bytes. */
    const char *text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";
    const size_t kept[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};

    (void)state;
    for (size_t max = 0; max < sizeof(kept) / sizeof(kept[0]); max++) {
        assert_int_equal(kl_utf8_cut(text, strlen(text), max), kept[max]);
    }
    assert_int_equal(kl_utf8_cut("", 0, 5), 0);
    assert_int_equal(kl_utf8_cut("\x80\x80\x80\x80", 4, 4), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hex_is_lower_case_and_comes_back),
        cmocka_unit_test(test_hex_that_does_not_fit_is_refused_and_wiped),
        cmocka_unit_test(test_base64_follows_rfc_4648),
        cmocka_unit_test(test_base64_that_does_not_fit_is_refused_and_wiped),
        cmocka_unit_test(test_only_the_digits_of_an_alphabet_are_taken),
        cmocka_unit_test(test_well_formed_utf8_is_valid),
        cmocka_unit_test(test_ill_formed_utf8_is_not),
        cmocka_unit_test(test_every_code_point_is_judged_by_rfc_3629),
        cmocka_unit_test(test_a_cut_leaves_whole_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
