/* Padding of values. */
#include "kluis/vault/value.h"
#include "tests/support/test.h"

#include <string.h>

#define LARGEST 70000

static void test_sizes_double_up_to_a_kilobyte(void **state)
{
    static const size_t cases[][2] = {
        {0, 16},    {15, 16},   {16, 32},     {31, 32},     {32, 64},     {63, 64},    {255, 256},
        {256, 512}, {511, 512}, {1023, 1024}, {1024, 1126}, {1125, 1126}, {1126, 1238}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(vault_pad_size(cases[i][0]), cases[i][1]);
}

static void test_a_padded_size_is_always_larger_and_at_most_a_tenth_more_for_large_ones(
    void **state)
{
    (void)state;
    for (size_t size = 0; size < LARGEST; size++) {
        const size_t padded = vault_pad_size(size);
        assert_true(padded > size);
        assert_true(size < 1024 || padded <= size + size / 10 + 1);
        assert_true(vault_pad_size(size + 1) >= padded);
    }
}

static void test_what_was_padded_comes_back(void **state)
{
    static unsigned char value[LARGEST];

    (void)state;
    memset(value, 0, sizeof value); /* the hard case: zeros look like padding */
    for (size_t size = 0; size < LARGEST; size += 1 + size / 7) {
        struct kl_slice back = {0};
        struct kl_buf out;
        kl_buf_init(&out, 1 << 20);
        assert_int_equal(vault_pad(kl_slice_of(value, size), &out, NULL), KL_OK);
        assert_int_equal(out.size, vault_pad_size(size));
        assert_int_equal(vault_unpad(kl_buf_slice(&out), &back, NULL), KL_OK);
        assert_int_equal(back.size, size);
        kl_buf_done(&out);
    }
}

static void test_padding_appends_to_what_is_there(void **state)
{
    struct kl_buf out;

    (void)state;
    kl_buf_init(&out, 1024);
    kl_buf_add_text(&out, "front");
    assert_int_equal(vault_pad(kl_slice_text("value"), &out, NULL), KL_OK);
    assert_int_equal(out.size, 5 + 16);
    assert_memory_equal(out.bytes, "frontvalue\x80\0\0\0\0\0\0\0\0\0\0", 21);
    kl_buf_done(&out);
}

static void test_padding_into_a_full_buffer_fails(void **state)
{
    struct kl_buf out;

    (void)state;
    kl_buf_init(&out, 15);
    assert_int_equal(vault_pad(kl_slice_text("value"), &out, NULL), KL_ERR_TOO_LARGE);
    kl_buf_done(&out);
}

static void check_corrupt(const void *bytes, size_t size)
{
    struct kl_slice back = kl_slice_text("untouched");
    struct kl_err err = {0};

    assert_int_equal(vault_unpad(kl_slice_of(bytes, size), &back, &err), KL_ERR_CORRUPT);
    assert_true(kl_slice_equal_text(back, "untouched"));
    assert_string_equal(err.code, "corrupt");
}

static void test_what_is_not_padded_so_is_corrupt(void **state)
{
    unsigned char bytes[64] = {0};

    (void)state;
    check_corrupt(bytes, 0);
    check_corrupt(bytes, 16); /* no mark */
    bytes[15] = 0x80;
    check_corrupt(bytes, 15); /* cut before the mark */
    check_corrupt(bytes, 17); /* no such size */
    check_corrupt(bytes, 32); /* fits in 16 */
    bytes[15] = 0x81;
    check_corrupt(bytes, 16);
    bytes[63] = 1;
    check_corrupt(bytes, 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_double_up_to_a_kilobyte),
        cmocka_unit_test(
            test_a_padded_size_is_always_larger_and_at_most_a_tenth_more_for_large_ones),
        cmocka_unit_test(test_what_was_padded_comes_back),
        cmocka_unit_test(test_padding_appends_to_what_is_there),
        cmocka_unit_test(test_padding_into_a_full_buffer_fails),
        cmocka_unit_test(test_what_is_not_padded_so_is_corrupt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
