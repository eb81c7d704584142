#include "kluis/base/buf.h"
#include "tests/support/no_memory.h"
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

static void test_appends_come_back_in_order(void **state)
{
    struct kl_buf buf;

    (void)state;
    kl_buf_init(&buf, 1000);
    kl_buf_add(&buf, "ab", 2);
    kl_buf_add_text(&buf, "cd");
    kl_buf_add_byte(&buf, 'e');
    kl_buf_addf(&buf, "%d-%s", 42, "x");
    kl_buf_add(&buf, NULL, 0);
    assert_int_equal(kl_buf_status(&buf, NULL), KL_OK);
    assert_int_equal(buf.size, 9);
    assert_string_equal((char *)buf.bytes, "abcde42-x");
    assert_true(kl_slice_equal_text(kl_buf_slice(&buf), "abcde42-x"));
    kl_buf_done(&buf);
}

static void test_an_empty_buffer_allocates_nothing(void **state)
{
    struct kl_buf buf;
    struct kl_buf zeroed = {0};

    (void)state;
    kl_buf_init(&buf, 10);
    assert_null(buf.bytes);
    assert_int_equal(kl_buf_slice(&buf).size, 0);
    kl_buf_done(&buf);
    kl_buf_done(&zeroed);
    kl_buf_add_byte(&zeroed, 1);
    assert_true(zeroed.failed);
    kl_buf_done(&zeroed);
}

static void test_exactly_max_fits_and_one_more_fails(void **state)
{
    struct kl_err err = {0};
    struct kl_buf buf;

    (void)state;
    kl_buf_init(&buf, 1000);
    for (size_t i = 0; i < 1000; i++) {
        kl_buf_add_byte(&buf, (unsigned char)i);
    }
    assert_int_equal(kl_buf_status(&buf, NULL), KL_OK);
    assert_int_equal(buf.size, 1000);
    assert_int_equal(buf.bytes[1000], 0);
    assert_true(buf.capacity <= 1001);
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(buf.bytes[i], (unsigned char)i);
    }
    kl_buf_add_byte(&buf, 1);
    assert_int_equal(kl_buf_status(&buf, &err), KL_ERR_TOO_LARGE);
    assert_string_equal(err.code, "too_large");
    kl_buf_done(&buf);
}

static void test_a_failure_is_sticky_until_cleared(void **state)
{
    struct kl_buf buf;

    (void)state;
    kl_buf_init(&buf, 4);
    kl_buf_add_text(&buf, "12345");
    kl_buf_add_text(&buf, "1");
    assert_int_equal(buf.size, 0);
    assert_null(kl_buf_extend(&buf, 1));
    kl_buf_addf(&buf, "%d", 1);
    assert_true(buf.failed);
    kl_buf_clear(&buf);
    kl_buf_add_text(&buf, "1234");
    assert_int_equal(kl_buf_status(&buf, NULL), KL_OK);
    assert_string_equal((char *)buf.bytes, "1234");
    kl_buf_done(&buf);
    assert_int_equal(buf.max, 4);
    kl_buf_add_text(&buf, "5678");
    assert_int_equal(kl_buf_status(&buf, NULL), KL_OK);
    kl_buf_done(&buf);
}

static void test_printf_grows_the_buffer_and_respects_max(void **state)
{
    struct kl_buf buf;

    (void)state;
    kl_buf_init(&buf, 600);
    kl_buf_addf(&buf, "%300d", 1);
    kl_buf_addf(&buf, "%300d", 2);
    assert_int_equal(kl_buf_status(&buf, NULL), KL_OK);
    assert_int_equal(buf.size, 600);
    assert_int_equal(buf.bytes[299], '1');
    assert_int_equal(buf.bytes[599], '2');
    kl_buf_addf(&buf, "%d", 3);
    assert_int_equal(kl_buf_status(&buf, NULL), KL_ERR_TOO_LARGE);
    assert_int_equal(buf.size, 600);
    assert_int_equal(buf.bytes[600], 0);
    kl_buf_done(&buf);
}

static void test_clear_wipes_the_content(void **state)
{
    struct kl_buf buf;

    (void)state;
    kl_buf_init(&buf, 100);
    kl_buf_add_text(&buf, "a name");
    kl_buf_clear(&buf);
    assert_int_equal(buf.size, 0);
    for (size_t i = 0; i < buf.capacity; i++) {
        assert_int_equal(buf.bytes[i], 0);
    }
    kl_buf_done(&buf);
}

static void test_extend_counts_its_bytes_at_once(void **state)
{
    struct kl_buf buf;
    unsigned char *at;

    (void)state;
    kl_buf_init(&buf, 100);
    kl_buf_add_text(&buf, "ab");
    at = kl_buf_extend(&buf, 3);
    memcpy(at, "cde", 3);
    assert_string_equal((char *)buf.bytes, "abcde");
    assert_non_null(kl_buf_extend(&buf, 0));
    assert_int_equal(buf.size, 5);
    kl_buf_done(&buf);
}

static void test_running_out_of_memory_is_said(void **state)
{
    struct kl_err err = {0};
    struct kl_buf buf;

    (void)state;
    kl_buf_init(&buf, 10000);
    kl_buf_add_text(&buf, "kept");
    no_memory_begin(0);
    assert_null(kl_buf_extend(&buf, 5000));
    assert_true(no_memory_end());
    assert_int_equal(kl_buf_status(&buf, &err), KL_ERR_NO_MEMORY);
    assert_string_equal(err.code, "no_memory");
    assert_int_equal(buf.size, 4);
    kl_buf_done(&buf);
}

static void test_what_was_written_is_read_back(void **state)
{
    struct kl_reader reader;
    struct kl_buf buf;

    (void)state;
    kl_buf_init(&buf, 100);
    kl_buf_add_byte(&buf, 0xA5);
    kl_buf_add_u16be(&buf, 0x0102);
    kl_buf_add_u32be(&buf, 0x01020304);
    kl_buf_add_u64be(&buf, UINT64_C(0x0102030405060708));
    kl_buf_add_sized(&buf, "xyz", 3);
    kl_buf_add_sized(&buf, NULL, 0);
    kl_buf_add_text(&buf, "!");
    assert_memory_equal(buf.bytes + 1, "\1\2\1\2\3\4\1\2\3\4\5\6\7\10\0\0\0\3xyz\0\0\0\0!", 26);
    reader = kl_reader_of(kl_buf_slice(&buf));
    assert_int_equal(kl_read_byte(&reader), 0xA5);
    assert_int_equal(kl_read_u16be(&reader), 0x0102);
    assert_int_equal(kl_read_u32be(&reader), 0x01020304);
    assert_true(kl_read_u64be(&reader) == UINT64_C(0x0102030405060708));
    assert_true(kl_slice_equal_text(kl_read_sized(&reader), "xyz"));
    assert_int_equal(kl_read_sized(&reader).size, 0);
    assert_false(kl_reader_done(&reader));
    assert_true(kl_slice_equal_text(kl_read_bytes(&reader, 1), "!"));
    assert_true(kl_reader_done(&reader));
    kl_buf_done(&buf);
}

static void test_reading_past_the_end_gives_nothing_ever_after(void **state)
{
    const unsigned char bytes[] = {0, 0, 0, 9, 1, 2};
    struct kl_reader reader = kl_reader_of(kl_slice_of(bytes, sizeof(bytes)));
    struct kl_slice slice;

    (void)state;
    slice = kl_read_sized(&reader);
    assert_int_equal(slice.size, 0);
    assert_null(slice.bytes);
    assert_false(reader.ok);
    assert_int_equal(kl_read_byte(&reader), 0);
    assert_int_equal(kl_read_u16be(&reader), 0);
    assert_int_equal(kl_read_u32be(&reader), 0);
    assert_true(kl_read_u64be(&reader) == 0);
    assert_int_equal(kl_read_bytes(&reader, 1).size, 0);
    assert_false(kl_reader_done(&reader));
}

static void test_slices_are_compared_by_content(void **state)
{
    (void)state;
    assert_true(kl_slice_equal(kl_slice_of(NULL, 0), kl_slice_text("")));
    assert_true(kl_slice_equal(kl_slice_text("ab"), kl_slice_of("abc", 2)));
    assert_false(kl_slice_equal_text(kl_slice_text("ab"), "abc"));
    assert_false(kl_slice_equal_text(kl_slice_text("abd"), "abc"));
}

static void init_without_max(void)
{
    struct kl_buf buf;

    kl_buf_init(&buf, 0);
}

static void test_a_buffer_has_a_maximum_from_birth(void **state)
{
    (void)state;
    assert_true(test_aborts(init_without_max));
}

static void test_nothing_is_left_behind_when_it_grows_or_ends(void **state)
{
    struct kl_buf buf;

    (void)state;
    kl_buf_init(&buf, 1 << 20);
    freed_watch("Ada Lovelace");
    kl_buf_add_text(&buf, "Ada Lovelace");
    for (int i = 0; i < 10000; i++) {
        kl_buf_add_byte(&buf, 'x');
    }
    kl_buf_addf(&buf, "%s%5000d", "Ada Lovelace", 1);
    kl_buf_done(&buf);
    assert_int_equal(freed_with_it(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends_come_back_in_order),
        cmocka_unit_test(test_an_empty_buffer_allocates_nothing),
        cmocka_unit_test(test_exactly_max_fits_and_one_more_fails),
        cmocka_unit_test(test_a_failure_is_sticky_until_cleared),
        cmocka_unit_test(test_printf_grows_the_buffer_and_respects_max),
        cmocka_unit_test(test_clear_wipes_the_content),
        cmocka_unit_test(test_extend_counts_its_bytes_at_once),
        cmocka_unit_test(test_running_out_of_memory_is_said),
        cmocka_unit_test(test_what_was_written_is_read_back),
        cmocka_unit_test(test_reading_past_the_end_gives_nothing_ever_after),
        cmocka_unit_test(test_slices_are_compared_by_content),
        cmocka_unit_test(test_a_buffer_has_a_maximum_from_birth),
        cmocka_unit_test(test_nothing_is_left_behind_when_it_grows_or_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
