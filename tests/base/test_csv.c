#include "kluis/base/csv.h"

#include "tests/support/test.h"

#include <string.h>

static void expect_bytes(const char *text, size_t size, const char *cell)
{
    struct kl_buf out;

    kl_buf_init(&out, 256);
    kl_csv_put(&out, kl_slice_of(text, size));
    assert_int_equal(kl_buf_status(&out, NULL), KL_OK);
    assert_int_equal(out.size, strlen(cell));
    assert_memory_equal(out.bytes, cell, out.size);
    kl_buf_done(&out);
}

static void expect(const char *text, const char *cell)
{
    expect_bytes(text, strlen(text), cell);
}

static void test_a_cell_is_quoted_whatever_it_holds(void **state)
{
    (void)state;
    expect("", "\"\"");
    expect("a", "\"a\"");
    expect("a,\"b\"\r\nc", "\"a,\"\"b\"\"\r\nc\"");
}

static void test_no_text_begins_as_a_formula(void **state)
{
    (void)state;
    expect("=1", "\"'=1\"");
    expect("+1", "\"'+1\"");
    expect("-1", "\"'-1\"");
    expect("@a", "\"'@a\"");
    expect("'a", "\"''a\"");
    expect("\xef\xbc\x9d"
           "1",
           "\"'\xef\xbc\x9d"
           "1\"");
    expect("\xef\xbc\xa0"
           "a",
           "\"'\xef\xbc\xa0"
           "a\"");
    expect(" =1", "\" '=1\"");
    expect("\"=1", "\"\"\"'=1\"");
    expect("a=1", "\"a=1\"");
    expect("\xef\xbc\x8e"
           "1",
           "\"\xef\xbc\x8e"
           "1\"");
    expect("\xef\xbc", "\"\xef\xbc\"");
}

static void test_nor_does_a_piece_of_one(void **state)
{
    (void)state;
    expect("a;=1", "\"a;'=1\"");
    expect("a, =1", "\"a, '=1\"");
    expect("a\n@x|-y\t+z\r=w", "\"a\n'@x|'-y\t'+z\r'=w\"");
    expect("a\n\"=1\"", "\"a\n\"\"'=1\"\"\"");
}

static void test_a_byte_that_ends_no_text_is_one_of_it(void **state)
{
    struct kl_buf out;

    (void)state;
    kl_buf_init(&out, 16);
    kl_csv_put(&out, kl_slice_of("\0=1", 3));
    assert_int_equal(out.size, 5);
    assert_memory_equal(out.bytes, "\"\0=1\"", 5);
    kl_buf_done(&out);
}

static void test_what_does_not_fit_is_said(void **state)
{
    struct kl_buf out;

    (void)state;
    kl_buf_init(&out, 3);
    kl_csv_put(&out, kl_slice_text("abc"));
    assert_int_equal(kl_buf_status(&out, NULL), KL_ERR_TOO_LARGE);
    kl_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cell_is_quoted_whatever_it_holds),
        cmocka_unit_test(test_no_text_begins_as_a_formula),
        cmocka_unit_test(test_nor_does_a_piece_of_one),
        cmocka_unit_test(test_a_byte_that_ends_no_text_is_one_of_it),
        cmocka_unit_test(test_what_does_not_fit_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
