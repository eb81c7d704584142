#include "kluis/base/buf.h"
#include "kluis/base/json.h"
#include "tests/support/test.h"

#include "base/json_check.h"

#include <string.h>

static enum kl_status parse_status(const struct kl_buf *text, struct kl_err *err)
{
    struct kl_json *untouched = (struct kl_json *)&untouched;
    struct kl_json *json = untouched;
    enum kl_status status;

    assert_int_equal(kl_buf_status(text, NULL), KL_OK);
    status = kl_json_parse(text->bytes, text->size, &json, err);
    if (status == KL_OK) {
        kl_json_free(json);
    } else {
        assert_ptr_equal(json, untouched);
    }
    return status;
}

static void assert_duplicate(const char *json_text, const char *where)
{
    struct kl_json *json = NULL;
    struct kl_err err = {0};

    assert_int_equal(kl_json_parse(json_text, strlen(json_text), &json, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "duplicate_key");
    assert_string_equal(err.where, where);
    assert_null(json);
}

static void test_a_key_twice_in_one_object_is_refused(void **state)
{
    (void)state;
    assert_duplicate("{\"a\":1,\"a\":2}", "");
    assert_duplicate("{\"a\":1,\"\\u0061\":2}", "");
    assert_duplicate("{\"\":1,\"\":2}", "");
    assert_duplicate("{\"x\":[0,{\"y\":{\"a\":1,\"b\":2,\"a\":3}}]}", "/x/1/y");
    assert_duplicate("{\"a/b~c\":{\"a\":1,\"a\":1}}", "/a~1b~0c");
}

static void test_a_key_in_two_objects_is_fine(void **state)
{
    const char *text = "{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":1}],\"A\":1,\"aa\":1}";
    struct kl_json *json = NULL;

    (void)state;
    assert_int_equal(kl_json_parse(text, strlen(text), &json, NULL), KL_OK);
    kl_json_free(json);
}

/* An object of count keys k0, k1, …; one more that is as k<again>, when again is not negative. */
static void write_object(struct kl_buf *text, int count, int again)
{
    kl_buf_add_byte(text, '{');
    for (int i = 0; i < count; i++) {
        kl_buf_addf(text, "%s\"k%d\":%d", i > 0 ? "," : "", i, i);
    }
    if (again >= 0) {
        kl_buf_addf(text, ",\"k%d\":0", again);
    }
    kl_buf_add_byte(text, '}');
}

static void test_duplicates_are_found_in_objects_of_any_size(void **state)
{
    static const int counts[] = {1, 2, 15, 16, 17, 31, 32, 33, 1000, 30000};

    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        const int again[] = {-1, 0, counts[i] / 2, counts[i] - 1};
        for (size_t j = 0; j < 4; j++) {
            struct kl_err err = {0};
            struct kl_buf text;
            kl_buf_init(&text, 1 << 20);
            write_object(&text, counts[i], again[j]);
            assert_int_equal(parse_status(&text, &err), again[j] < 0 ? KL_OK : KL_ERR_INVALID);
            assert_string_equal(err.code, again[j] < 0 ? "" : "duplicate_key");
            kl_buf_done(&text);
        }
    }
}

static void test_the_place_is_cut_where_it_does_not_fit(void **state)
{
    struct kl_err err = {0};
    struct kl_buf text;

    (void)state;
    kl_buf_init(&text, 10000);
    for (int i = 0; i < 20; i++) {
        /* Three bytes each: a cut falls within one. */
        kl_buf_add_text(&text, "{\"\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\":");
    }
    kl_buf_add_text(&text, "{\"a\":1,\"a\":2}");
    for (int i = 0; i < 20; i++) {
        kl_buf_add_byte(&text, '}');
    }
    assert_int_equal(parse_status(&text, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "duplicate_key");
    assert_true(strlen(err.where) > KL_ERR_WHERE_BYTES - 5);
    kl_buf_done(&text);
}

static void write_nested(struct kl_buf *text, int depth, const char *open, char close)
{
    for (int i = 0; i < depth; i++) {
        kl_buf_add_text(text, open);
    }
    kl_buf_add_text(text, "1");
    for (int i = 0; i < depth; i++) {
        kl_buf_add_byte(text, (unsigned char)close);
    }
}

static void test_depth_ends_at_its_maximum(void **state)
{
    static const int depths[] = {KL_JSON_DEPTH_MAX, KL_JSON_DEPTH_MAX + 1, 100000};

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        int depth = depths[i / 2];
        struct kl_err err = {0};
        struct kl_buf text;
        kl_buf_init(&text, 1 << 20);
        write_nested(&text, depth, i % 2 == 0 ? "[" : "{\"a\":", i % 2 == 0 ? ']' : '}');
        assert_int_equal(parse_status(&text, &err),
                         depth > KL_JSON_DEPTH_MAX ? KL_ERR_INVALID : KL_OK);
        assert_string_equal(err.code, depth > KL_JSON_DEPTH_MAX ? "json_too_deep" : "");
        kl_buf_done(&text);
    }
}

static void test_members_end_at_their_maximum(void **state)
{
    (void)state;
    for (int more = 0; more <= 1; more++) {
        struct kl_err err = {0};
        struct kl_buf text;
        kl_buf_init(&text, 1 << 22);
        kl_buf_add_text(&text, "{\"a\":[0");
        for (int i = 1; i < KL_JSON_MEMBERS_MAX + more; i++) {
            kl_buf_add_text(&text, ",0");
        }
        kl_buf_add_text(&text, "],\"b\":");
        write_object(&text, KL_JSON_MEMBERS_MAX, -1);
        kl_buf_add_byte(&text, '}');
        assert_int_equal(parse_status(&text, &err), more > 0 ? KL_ERR_TOO_LARGE : KL_OK);
        assert_string_equal(err.code, more > 0 ? "json_too_many" : "");
        assert_string_equal(err.where, more > 0 ? "/a" : "");
        kl_buf_done(&text);
    }
}

static void test_a_part_of_a_pointer_is_escaped_and_cut(void **state)
{
    char out[8];

    (void)state;
    kl_json_pointer_escape("a/b~c", 5, out, sizeof(out));
    assert_string_equal(out, "a~1b~0c");
    kl_json_pointer_escape("abcdef/", 7, out, sizeof(out));
    assert_string_equal(out, "abcdef");
    kl_json_pointer_escape("x", 1, out, 1);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_twice_in_one_object_is_refused),
        cmocka_unit_test(test_a_key_in_two_objects_is_fine),
        cmocka_unit_test(test_duplicates_are_found_in_objects_of_any_size),
        cmocka_unit_test(test_the_place_is_cut_where_it_does_not_fit),
        cmocka_unit_test(test_depth_ends_at_its_maximum),
        cmocka_unit_test(test_members_end_at_their_maximum),
        cmocka_unit_test(test_a_part_of_a_pointer_is_escaped_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
