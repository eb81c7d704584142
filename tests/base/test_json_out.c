#include "kluis/base/json.h"
#include "tests/support/test.h"

#include <string.h>

static void test_commas_and_escapes_are_put_where_they_belong(void **state)
{
    struct kl_buf buf;
    struct kl_json_out out;

    (void)state;
    kl_buf_init(&buf, 1000);
    out = kl_json_out(&buf);
    kl_json_object_begin(&out);
    kl_json_add_text(&out, "a\"b", "c\\d");
    kl_json_add_int(&out, "int", -42);
    kl_json_add_bool(&out, "yes", true);
    kl_json_add_text(&out, "none", NULL);
    kl_json_add_time(&out, "at", 0);
    kl_json_key(&out, "list");
    kl_json_array_begin(&out);
    kl_json_put_int(&out, 1);
    kl_json_array_begin(&out);
    kl_json_array_end(&out);
    kl_json_object_begin(&out);
    kl_json_object_end(&out);
    kl_json_put_bool(&out, false);
    kl_json_put_null(&out);
    kl_json_put_raw(&out, "1.50", 4);
    kl_json_put_text_n(&out, "xyz", 2);
    kl_json_array_end(&out);
    kl_json_key(&out, "last");
    kl_json_object_begin(&out);
    kl_json_object_end(&out);
    kl_json_object_end(&out);
    assert_int_equal(kl_buf_status(&buf, NULL), KL_OK);
    assert_string_equal((char *)buf.bytes,
                        "{\"a\\\"b\":\"c\\\\d\",\"int\":-42,\"yes\":true,\"none\":null,"
                        "\"at\":\"1970-01-01T00:00:00.000000Z\","
                        "\"list\":[1,[],{},false,null,1.50,\"xy\"],\"last\":{}}");
    kl_buf_done(&buf);
}

static void assert_text(const char *text, size_t size, const char *expected)
{
    struct kl_buf buf;
    struct kl_json_out out;

    kl_buf_init(&buf, 1000);
    out = kl_json_out(&buf);
    kl_json_put_text_n(&out, text, size);
    assert_string_equal((char *)buf.bytes, expected);
    kl_buf_done(&buf);
}

static void test_texts_are_escaped_as_rfc_8259_asks(void **state)
{
    (void)state;
    assert_text("", 0, "\"\"");
    assert_text("\0\1\x1F\x7F", 4, "\"\\u0000\\u0001\\u001f\x7F\"");
    assert_text("\n\r\t\b\f", 5, "\"\\n\\r\\t\\u0008\\u000c\"");
    assert_text("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 9,
                "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"");
    assert_text("</script>", 9, "\"</script>\"");
}

static void test_what_is_no_utf8_is_replaced(void **state)
{
    (void)state;
    assert_text("a\xFF"
                "b",
                3,
                "\"a\xEF\xBF\xBD"
                "b\"");
    assert_text("\xE2\x82", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
    assert_text("\xED\xA0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

static void test_every_ascii_character_comes_back(void **state)
{
    (void)state;
    for (int byte = 1; byte < 0x80; byte++) {
        char text[2] = {(char)byte, 0};
        struct kl_json *json = NULL;
        struct kl_buf buf;
        struct kl_json_out out;

        kl_buf_init(&buf, 100);
        out = kl_json_out(&buf);
        kl_json_put_text(&out, text);
        assert_int_equal(kl_json_parse(buf.bytes, buf.size, &json, NULL), KL_OK);
        assert_string_equal(kl_json_text(kl_json_root(json)), text);
        kl_json_free(json);
        kl_buf_done(&buf);
    }
}

static void assert_int_written(int64_t number, const char *expected)
{
    struct kl_buf buf;
    struct kl_json_out out;

    kl_buf_init(&buf, 100);
    out = kl_json_out(&buf);
    kl_json_put_int(&out, number);
    assert_string_equal((char *)buf.bytes, expected);
    kl_buf_done(&buf);
}

static void test_all_integers_can_be_written(void **state)
{
    (void)state;
    assert_int_written(0, "0");
    assert_int_written(-1, "-1");
    assert_int_written(INT64_MAX, "9223372036854775807");
    assert_int_written(INT64_MIN, "-9223372036854775808");
}

static void test_a_full_buffer_says_so_at_the_end(void **state)
{
    struct kl_buf buf;
    struct kl_json_out out;

    (void)state;
    kl_buf_init(&buf, 10);
    out = kl_json_out(&buf);
    kl_json_object_begin(&out);
    kl_json_add_text(&out, "long", "longer than ten");
    kl_json_object_end(&out);
    assert_int_equal(kl_buf_status(&buf, NULL), KL_ERR_TOO_LARGE);
    kl_buf_done(&buf);
}

static struct kl_buf scratch = {.max = 10000};

static void a_value_without_its_key(void)
{
    struct kl_json_out out = kl_json_out(&scratch);

    kl_json_object_begin(&out);
    kl_json_put_int(&out, 1);
}

static void a_key_without_its_value(void)
{
    struct kl_json_out out = kl_json_out(&scratch);

    kl_json_object_begin(&out);
    kl_json_key(&out, "a");
    kl_json_object_end(&out);
}

static void two_keys(void)
{
    struct kl_json_out out = kl_json_out(&scratch);

    kl_json_object_begin(&out);
    kl_json_key(&out, "a");
    kl_json_key(&out, "b");
}

static void a_key_in_an_array(void)
{
    struct kl_json_out out = kl_json_out(&scratch);

    kl_json_array_begin(&out);
    kl_json_key(&out, "a");
}

static void ends_that_do_not_pair(void)
{
    struct kl_json_out out = kl_json_out(&scratch);

    kl_json_array_begin(&out);
    kl_json_object_end(&out);
}

static void an_end_too_many(void)
{
    struct kl_json_out out = kl_json_out(&scratch);

    kl_json_array_end(&out);
}

static void two_values_at_the_top(void)
{
    struct kl_json_out out = kl_json_out(&scratch);

    kl_json_put_int(&out, 1);
    kl_json_put_int(&out, 2);
}

static void too_deep(void)
{
    struct kl_json_out out = kl_json_out(&scratch);

    for (int i = 0; i <= KL_JSON_OUT_DEPTH_MAX; i++) {
        kl_json_array_begin(&out);
    }
}

static void test_misuse_aborts(void **state)
{
    (void)state;
    assert_true(test_aborts(a_value_without_its_key));
    assert_true(test_aborts(a_key_without_its_value));
    assert_true(test_aborts(two_keys));
    assert_true(test_aborts(a_key_in_an_array));
    assert_true(test_aborts(ends_that_do_not_pair));
    assert_true(test_aborts(an_end_too_many));
    assert_true(test_aborts(two_values_at_the_top));
    assert_true(test_aborts(too_deep));
}

static void test_the_deepest_nesting_is_written(void **state)
{
    struct kl_buf buf;
    struct kl_json_out out;

    (void)state;
    kl_buf_init(&buf, 1000);
    out = kl_json_out(&buf);
    for (int i = 0; i < KL_JSON_OUT_DEPTH_MAX; i++) {
        kl_json_array_begin(&out);
    }
    kl_json_put_int(&out, 1);
    kl_json_put_int(&out, 2);
    for (int i = 0; i < KL_JSON_OUT_DEPTH_MAX; i++) {
        kl_json_array_end(&out);
    }
    assert_int_equal(kl_buf_status(&buf, NULL), KL_OK);
    assert_int_equal(buf.size, 2 * KL_JSON_OUT_DEPTH_MAX + 3);
    assert_memory_equal(buf.bytes + KL_JSON_OUT_DEPTH_MAX, "1,2", 3);
    kl_buf_done(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commas_and_escapes_are_put_where_they_belong),
        cmocka_unit_test(test_texts_are_escaped_as_rfc_8259_asks),
        cmocka_unit_test(test_what_is_no_utf8_is_replaced),
        cmocka_unit_test(test_every_ascii_character_comes_back),
        cmocka_unit_test(test_all_integers_can_be_written),
        cmocka_unit_test(test_a_full_buffer_says_so_at_the_end),
        cmocka_unit_test(test_misuse_aborts),
        cmocka_unit_test(test_the_deepest_nesting_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
