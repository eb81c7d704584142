#include "kluis/base/id.h"
#include "tests/support/test.h"

#include <string.h>

/* The error is complete, and the id that was there is there still. */
static void assert_refused(const char *prefix, const char *text)
{
    struct kl_err err = {0};
    struct kl_id id;
    struct kl_id before;

    memset(&before, 0x77, sizeof(before));
    id = before;
    assert_int_equal(kl_id_parse(prefix, text, &id, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_id");
    assert_true(kl_id_equal(&id, &before));
}

static void test_known_ids_have_known_texts(void **state)
{
    struct kl_id id = {{0}};
    char text[KL_ID_TEXT_BYTES];

    (void)state;
    kl_id_format("sub", &id, text);
    assert_string_equal(text, "sub_00000000000000000000000000");
    id.bytes[15] = 1;
    kl_id_format("er", &id, text);
    assert_string_equal(text, "er_00000000000000000000000001");
    memset(&id, 0xFF, sizeof(id));
    kl_id_format("cred", &id, text);
    assert_string_equal(text, "cred_7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    memcpy(id.bytes, "\x01\x23\x45\x67\x89\xab\xcd\xef\xfe\xdc\xba\x98\x76\x54\x32\x10", 16);
    kl_id_format("rec", &id, text);
    assert_string_equal(text, "rec_014D2PF2DBSQQZXQ5TK1V58CGG");
}

static void test_an_id_comes_back_from_its_text(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        struct kl_id id = kl_id_new();
        struct kl_id parsed;
        char text[KL_ID_TEXT_BYTES];

        kl_id_format("sub", &id, text);
        assert_int_equal(strlen(text), 4 + KL_ID_DIGITS);
        assert_int_equal(kl_id_parse("sub", text, &parsed, NULL), KL_OK);
        assert_true(kl_id_equal(&id, &parsed));
    }
}

static void test_new_ids_differ(void **state)
{
    struct kl_id a = kl_id_new();
    struct kl_id b = kl_id_new();

    (void)state;
    assert_false(kl_id_equal(&a, &b));
}

static void test_either_case_and_lookalikes_are_read(void **state)
{
    struct kl_id upper;
    struct kl_id lower;

    (void)state;
    assert_int_equal(kl_id_parse("sub", "sub_0110000000ABCDEFGHJKMNPQRS", &upper, NULL), KL_OK);
    assert_int_equal(kl_id_parse("sub", "sub_oILOoOoOoOabcdefghjkmnpqrs", &lower, NULL), KL_OK);
    assert_true(kl_id_equal(&upper, &lower));
}

static void test_what_is_no_id_is_refused(void **state)
{
    (void)state;
    assert_refused("sub", NULL);
    assert_refused("sub", "");
    assert_refused("sub", "sub");
    assert_refused("sub", "sub_");
    assert_refused("sub", "rec_00000000000000000000000000");
    assert_refused("sub", "SUB_00000000000000000000000000");
    assert_refused("sub", "sub-00000000000000000000000000");
    assert_refused("sub", "subs_00000000000000000000000000");
    assert_refused("sub", "sub_0000000000000000000000000");
    assert_refused("sub", "sub_000000000000000000000000000");
    assert_refused("sub", "sub_80000000000000000000000000");
    assert_refused("sub", "sub_0000000000000000000000000U");
    assert_refused("sub", "sub_0000000000000000000000000!");
    assert_refused("sub", "sub_0000000000000 000000000000");
    assert_refused("sub", " sub_00000000000000000000000000");
    assert_refused("sub", "sub_0000000000000000000000000\xC3");
}

static void format_with_a_long_prefix(void)
{
    struct kl_id id = {{0}};
    char text[KL_ID_TEXT_BYTES];

    kl_id_format("abcde", &id, text);
}

static void test_a_prefix_out_of_range_aborts(void **state)
{
    (void)state;
    assert_true(test_aborts(format_with_a_long_prefix));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_ids_have_known_texts),
        cmocka_unit_test(test_an_id_comes_back_from_its_text),
        cmocka_unit_test(test_new_ids_differ),
        cmocka_unit_test(test_either_case_and_lookalikes_are_read),
        cmocka_unit_test(test_what_is_no_id_is_refused),
        cmocka_unit_test(test_a_prefix_out_of_range_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
