#include "kluis/base/json.h"
#include "tests/support/no_memory.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

static struct kl_json *parse(const char *text)
{
    struct kl_json *json = NULL;
    struct kl_err err = {0};

    if (kl_json_parse(text, strlen(text), &json, &err) != KL_OK) {
        fail_msg("refused: %s: %s", text, err.client_text);
    }
    return json;
}

static void assert_refused_n(const char *text, size_t size, const char *where)
{
    struct kl_json *untouched = (struct kl_json *)&untouched;
    struct kl_json *json = untouched;
    struct kl_err err = {0};

    if (kl_json_parse(text, size, &json, &err) != KL_ERR_INVALID) {
        fail_msg("taken: %s", text);
    }
    assert_string_equal(err.code, "invalid_json");
    assert_ptr_equal(json, untouched);
    if (where != NULL) {
        assert_string_equal(err.where, where);
    }
}

static void assert_refused(const char *text, const char *where)
{
    assert_refused_n(text, strlen(text), where);
}

static void assert_written(const char *text, const char *expected)
{
    struct kl_json *json = parse(text);
    struct kl_buf buf;

    kl_buf_init(&buf, 1 << 20);
    kl_json_write_value(&buf, kl_json_root(json));
    assert_int_equal(kl_buf_status(&buf, NULL), KL_OK);
    assert_string_equal((char *)buf.bytes, expected);
    kl_buf_done(&buf);
    kl_json_free(json);
}

static void test_values_have_their_types(void **state)
{
    struct kl_json *json = parse("{\"n\":null,\"b\":true,\"i\":1,\"t\":\"x\",\"a\":[],\"o\":{}}");
    const struct kl_json_value *root = kl_json_root(json);

    (void)state;
    assert_int_equal(kl_json_type(root), KL_JSON_OBJECT);
    assert_int_equal(kl_json_type(kl_json_member(root, "n")), KL_JSON_NULL);
    assert_int_equal(kl_json_type(kl_json_member(root, "b")), KL_JSON_BOOL);
    assert_int_equal(kl_json_type(kl_json_member(root, "i")), KL_JSON_NUMBER);
    assert_int_equal(kl_json_type(kl_json_member(root, "t")), KL_JSON_TEXT);
    assert_int_equal(kl_json_type(kl_json_member(root, "a")), KL_JSON_ARRAY);
    assert_int_equal(kl_json_type(kl_json_member(root, "o")), KL_JSON_OBJECT);
    assert_int_equal(kl_json_type(kl_json_member(root, "x")), KL_JSON_ABSENT);
    kl_json_free(json);
}

static void test_absent_values_are_taken_everywhere(void **state)
{
    struct kl_json_iter iter = kl_json_iter(NULL);
    const struct kl_json_value *value;
    int64_t number = 7;
    size_t bytes = 7;

    (void)state;
    assert_null(kl_json_root(NULL));
    assert_int_equal(kl_json_type(NULL), KL_JSON_ABSENT);
    assert_null(kl_json_member(NULL, "x"));
    assert_int_equal(kl_json_count(NULL), 0);
    assert_false(kl_json_next(&iter, NULL, &value));
    assert_false(kl_json_bool(NULL));
    assert_null(kl_json_text(NULL));
    assert_int_equal(kl_json_text_bytes(NULL), 0);
    assert_false(kl_json_int(NULL, &number));
    assert_null(kl_json_number_text(NULL, &bytes));
    assert_true(number == 7 && bytes == 7);
    kl_json_free(NULL);
}

static void test_values_of_another_type_are_as_absent(void **state)
{
    struct kl_json *json = parse("[\"x\",1,true,{}]");
    struct kl_json_iter iter = kl_json_iter(kl_json_root(json));
    const struct kl_json_value *value;
    int64_t number = 7;

    (void)state;
    assert_true(kl_json_next(&iter, NULL, &value));
    assert_false(kl_json_int(value, &number));
    assert_false(kl_json_bool(value));
    assert_int_equal(kl_json_count(value), 0);
    assert_true(kl_json_next(&iter, NULL, &value));
    assert_null(kl_json_text(value));
    assert_int_equal(kl_json_text_bytes(value), 0);
    assert_null(kl_json_member(kl_json_root(json), "x"));
    assert_true(number == 7);
    kl_json_free(json);
}

static void test_walking_goes_in_the_order_written(void **state)
{
    struct kl_json *json = parse("{\"b\":1,\"a\":[10,[20,21],30],\"c\":{}}");
    struct kl_json_iter iter = kl_json_iter(kl_json_root(json));
    const struct kl_json_value *value;
    const char *key;
    int64_t number = 0;

    (void)state;
    assert_true(kl_json_next(&iter, &key, &value));
    assert_string_equal(key, "b");
    assert_true(kl_json_next(&iter, &key, &value));
    assert_string_equal(key, "a");
    assert_int_equal(kl_json_count(value), 3);
    struct kl_json_iter inner = kl_json_iter(value);
    assert_true(kl_json_next(&inner, &key, &value));
    assert_null(key);
    assert_true(kl_json_next(&inner, NULL, &value));
    assert_int_equal(kl_json_count(value), 2);
    assert_true(kl_json_next(&inner, NULL, &value));
    assert_true(kl_json_int(value, &number));
    assert_int_equal(number, 30);
    assert_false(kl_json_next(&inner, NULL, &value));
    assert_true(kl_json_next(&iter, &key, &value));
    assert_string_equal(key, "c");
    assert_false(kl_json_next(&iter, &key, &value));
    assert_false(kl_json_next(&iter, &key, &value));
    kl_json_free(json);
}

static void assert_int_is(const char *text, bool ok, int64_t expected)
{
    struct kl_json *json = parse(text);
    int64_t number = 77;

    assert_int_equal(kl_json_int(kl_json_root(json), &number), ok);
    assert_true(number == (ok ? expected : 77));
    kl_json_free(json);
}

static void test_integers_of_64_bits_are_read(void **state)
{
    (void)state;
    assert_int_is("0", true, 0);
    assert_int_is("-0", true, 0);
    assert_int_is("42", true, 42);
    assert_int_is("9223372036854775807", true, INT64_MAX);
    assert_int_is("-9223372036854775808", true, INT64_MIN);
    assert_int_is("9223372036854775808", false, 0);
    assert_int_is("-9223372036854775809", false, 0);
    assert_int_is("99999999999999999999999999", false, 0);
    assert_int_is("1.0", false, 0);
    assert_int_is("1e3", false, 0);
    assert_int_is("\"1\"", false, 0);
}

static void test_numbers_keep_the_text_they_were_written_with(void **state)
{
    static const char *const texts[] = {"1.50", "-0", "1e400", "0.1E-7", "12345678901234567890123"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct kl_json *json = parse(texts[i]);
        size_t bytes = 0;
        const char *text = kl_json_number_text(kl_json_root(json), &bytes);
        assert_int_equal(bytes, strlen(texts[i]));
        assert_memory_equal(text, texts[i], bytes);
        kl_json_free(json);
    }
}

static void test_numbers_outside_the_grammar_are_refused(void **state)
{
    static const char *const texts[] = {"01",  "-01", "1.",       ".5",        "+1",    "-",
                                        "1e",  "1e+", "1.e1",     "--1",       "1.5.2", "0x1",
                                        "1_0", "NaN", "Infinity", "-Infinity", "1a",    "[1 2]"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_refused(texts[i], NULL);
    }
}

static void test_what_is_no_json_is_refused_with_its_place(void **state)
{
    (void)state;
    assert_refused("", "1:1");
    assert_refused("  ", NULL);
    assert_refused("{", NULL);
    assert_refused("[1,]", NULL);
    assert_refused("{\"a\":1,}", NULL);
    assert_refused("{a:1}", "1:2");
    assert_refused("{'a':1}", "1:2");
    assert_refused("[1] 2", "1:5");
    assert_refused("[1]]", "1:4");
    assert_refused("{\n  \"a\": x\n}", "2:8");
    assert_refused("// comment\n1", "1:1");
    assert_refused("\xEF\xBB\xBF{}", NULL);
    assert_refused("\"tab\there\"", "1:5");
    assert_refused("\"\\x\"", NULL);
    assert_refused("\"open", NULL);
    assert_refused("True", NULL);
    assert_refused_n("1\0", 2, NULL);
}

static void test_texts_that_are_not_unicode_are_refused(void **state)
{
    (void)state;
    assert_refused("\"\xFF\"", "1:2");
    assert_refused("\"\xC3\"", NULL);
    assert_refused("\"\xED\xA0\x80\"", NULL);
    assert_refused("\"\\ud800\"", NULL);
    assert_refused("\"\\udc00\"", NULL);
    assert_refused("\"\\ud800\\u0041\"", NULL);
    assert_refused("{\"\xFF\":1}", NULL);
    assert_written("\"\\ud83d\\ude00\\u00e9\"", "\"\xF0\x9F\x98\x80\xC3\xA9\"");
}

static void test_a_zero_character_is_refused_wherever_it_is(void **state)
{
    (void)state;
    assert_refused("\"\\u0000\"", "1:2");
    assert_refused("[\"\\\\u0000\",\n \"a\\u0000b\"]", "2:4");
    assert_refused("{\"a\\u0000\":1}", "1:4");
    assert_written("\"\\\\u0000\"", "\"\\\\u0000\"");
}

static void test_what_is_read_is_written_compactly(void **state)
{
    (void)state;
    assert_written(" { \"b\" : [ 1.50 , true , false , null ] , \"a\" : { } , \"c\":[] } ",
                   "{\"b\":[1.50,true,false,null],\"a\":{},\"c\":[]}");
    assert_written("\"\\/\\b\\f\\n\\r\\t\\\"\\\\\"", "\"/\\u0008\\u000c\\n\\r\\t\\\"\\\\\"");
}

static void test_an_absent_value_is_written_as_null(void **state)
{
    struct kl_buf buf;

    (void)state;
    kl_buf_init(&buf, 100);
    kl_json_write_value(&buf, NULL);
    assert_string_equal((char *)buf.bytes, "null");
    kl_buf_done(&buf);
}

static void test_the_text_may_go_away(void **state)
{
    char text[] = "{\"a\":\"kept\",\"b\":12.5}";
    struct kl_json *json = parse(text);
    size_t bytes = 0;
    const char *number;

    (void)state;
    memset(text, 'x', sizeof(text));
    assert_string_equal(kl_json_text(kl_json_member(kl_json_root(json), "a")), "kept");
    number = kl_json_number_text(kl_json_member(kl_json_root(json), "b"), &bytes);
    assert_memory_equal(number, "12.5", 4);
    kl_json_free(json);
}

static void test_expected_members_are_let_through(void **state)
{
    static const char *const known[] = {"name", "email", NULL};
    struct kl_json *json = parse("{\"email\":1}");

    (void)state;
    assert_int_equal(kl_json_expect(kl_json_root(json), known, "", NULL), KL_OK);
    kl_json_free(json);
    json = parse("{}");
    assert_int_equal(kl_json_expect(kl_json_root(json), known, "", NULL), KL_OK);
    kl_json_free(json);
}

static void test_an_unknown_member_is_named_with_a_suggestion(void **state)
{
    static const char *const known[] = {"name", "email", NULL};
    struct kl_json *json = parse("{\"name\":1,\"e/mial\":1}");
    struct kl_err err = {0};

    (void)state;
    assert_int_equal(kl_json_expect(kl_json_root(json), known, "/records/0", &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "unknown_key");
    assert_string_equal(err.where, "/records/0/e~1mial");
    kl_json_free(json);
    json = parse("{\"emial\":1}");
    kl_err_clear(&err);
    assert_int_equal(kl_json_expect(kl_json_root(json), known, "", &err), KL_ERR_INVALID);
    assert_non_null(strstr(err.client_text, "\"email\""));
    kl_json_free(json);
}

static void test_members_are_expected_of_objects_only(void **state)
{
    static const char *const known[] = {"name", NULL};
    struct kl_json *json = parse("[]");
    struct kl_err err = {0};

    (void)state;
    assert_int_equal(kl_json_expect(kl_json_root(json), known, "/a", &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_type");
    assert_string_equal(err.where, "/a");
    assert_int_equal(kl_json_expect(NULL, known, "/a", NULL), KL_ERR_INVALID);
    kl_json_free(json);
}

static void test_running_out_of_memory_is_said(void **state)
{
    char text[2000] = "{\"first\":1";
    long hit = 1;

    (void)state;
    for (int i = 0; i < 100; i++) {
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), ",\"k%d\":[]", i);
    }
    (void)strncat(text, "}", sizeof(text) - strlen(text) - 1);
    for (long n = 0; hit; n++) {
        struct kl_json *json = NULL;
        struct kl_err err = {0};
        no_memory_begin(n);
        enum kl_status status = kl_json_parse(text, strlen(text), &json, &err);
        hit = no_memory_end();
        assert_int_equal(status, hit ? KL_ERR_NO_MEMORY : KL_OK);
        assert_int_equal(json == NULL, hit);
        assert_string_equal(err.code, hit ? "no_memory" : "");
        kl_json_free(json);
        assert_true(n < 100);
    }
}

static void test_nothing_is_left_behind(void **state)
{
    static const char *const texts[] = {
        "{\"name\":\"Ada Lovelace\",\"Ada Lovelace\":[1,2,3]}", "{\"name\":\"Ada Lovelace\"",
        "[\"Ada Lovelace\",\"\\u0000\"]", "{\"Ada Lovelace\":1,\"Ada Lovelace\":2}"};

    (void)state;
    freed_watch("Ada Lovelace");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct kl_json *json = NULL;
        if (kl_json_parse(texts[i], strlen(texts[i]), &json, NULL) == KL_OK) {
            kl_json_free(json);
        }
    }
    assert_int_equal(freed_with_it(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_have_their_types),
        cmocka_unit_test(test_absent_values_are_taken_everywhere),
        cmocka_unit_test(test_values_of_another_type_are_as_absent),
        cmocka_unit_test(test_walking_goes_in_the_order_written),
        cmocka_unit_test(test_integers_of_64_bits_are_read),
        cmocka_unit_test(test_numbers_keep_the_text_they_were_written_with),
        cmocka_unit_test(test_numbers_outside_the_grammar_are_refused),
        cmocka_unit_test(test_what_is_no_json_is_refused_with_its_place),
        cmocka_unit_test(test_texts_that_are_not_unicode_are_refused),
        cmocka_unit_test(test_a_zero_character_is_refused_wherever_it_is),
        cmocka_unit_test(test_what_is_read_is_written_compactly),
        cmocka_unit_test(test_an_absent_value_is_written_as_null),
        cmocka_unit_test(test_the_text_may_go_away),
        cmocka_unit_test(test_expected_members_are_let_through),
        cmocka_unit_test(test_an_unknown_member_is_named_with_a_suggestion),
        cmocka_unit_test(test_members_are_expected_of_objects_only),
        cmocka_unit_test(test_running_out_of_memory_is_said),
        cmocka_unit_test(test_nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
