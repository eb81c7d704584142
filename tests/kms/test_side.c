/* Rows of the layer above, beside the keys. */
#include "tests/support/kms_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static enum kl_status put(struct kms_fixture *fixture, struct kl_slice key, struct kl_slice value,
                          struct kl_err *err)
{
    struct kms_storage_write write = {key, value};

    return kms_side_apply(fixture->kms, &write, 1, true, err);
}

static void test_side_rows_are_read_as_they_were_written(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_storage_write writes[] = {{kl_slice_text("Vone"), kl_slice_text("first")},
                                         {kl_slice_text("Vtwo"), kl_slice_of("", 0)}};
    struct kl_buf value;

    kl_buf_init(&value, 64);
    assert_int_equal(kms_side_apply(fixture->kms, writes, 2, true, NULL), KL_OK);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_side_get(fixture->kms, kl_slice_text("Vone"), &value, NULL), KL_OK);
    assert_true(kl_slice_equal_text(kl_buf_slice(&value), "first"));
    kl_buf_clear(&value);
    assert_int_equal(kms_side_get(fixture->kms, kl_slice_text("Vtwo"), &value, NULL), KL_OK);
    assert_int_equal(value.size, 0);
    assert_int_equal(put(fixture, kl_slice_text("Vone"), (struct kl_slice){NULL, 0}, NULL), KL_OK);
    assert_int_equal(kms_side_get(fixture->kms, kl_slice_text("Vone"), &value, NULL),
                     KL_ERR_NOT_FOUND);
    kl_buf_done(&value);
}

static enum kl_status see(void *visitor, struct kl_slice key, struct kl_slice value,
                          struct kl_err *err)
{
    (void)value, (void)err;
    strncat(visitor, (const char *)key.bytes, key.size);
    return KL_OK;
}

static void test_a_range_passes_those_of_its_prefix_in_order(void **state)
{
    struct kms_fixture *fixture = *state;
    char seen[64] = "";

    assert_int_equal(put(fixture, kl_slice_text("Vb2"), kl_slice_text("x"), NULL), KL_OK);
    assert_int_equal(put(fixture, kl_slice_text("Vb1"), kl_slice_text("x"), NULL), KL_OK);
    assert_int_equal(put(fixture, kl_slice_text("Vc"), kl_slice_text("x"), NULL), KL_OK);
    assert_int_equal(kms_side_range(fixture->kms, kl_slice_text("Vb"), see, seen, NULL), KL_OK);
    assert_string_equal(seen, "Vb1Vb2");
}

static void refused(struct kms_fixture *fixture, struct kl_slice key, struct kl_slice value)
{
    uint64_t writes = memory_storage_counts(fixture->storage).writes;
    struct kl_err err = {0};

    assert_int_equal(put(fixture, key, value, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "key_side_row");
    assert_int_equal(memory_storage_counts(fixture->storage).writes, writes);
}

static void test_rows_of_the_keys_are_out_of_reach(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char *large = calloc(1, KMS_SIDE_VALUE_MAX_BYTES + 1);
    char seen[64] = "";
    struct kl_buf value;

    assert_non_null(large);
    large[0] = 'V';
    kl_buf_init(&value, 64);
    refused(fixture, kl_slice_text("M"), kl_slice_text("x"));
    refused(fixture, kl_slice_text("Mx"), kl_slice_text("x"));
    refused(fixture, kl_slice_text("V"), kl_slice_text("x"));
    refused(fixture, kl_slice_of(large, KMS_SIDE_KEY_MAX_BYTES + 1), kl_slice_text("x"));
    refused(fixture, kl_slice_text("Vx"), kl_slice_of(large, KMS_SIDE_VALUE_MAX_BYTES + 1));
    assert_int_equal(put(fixture, kl_slice_of(large, KMS_SIDE_KEY_MAX_BYTES),
                         kl_slice_of(large, KMS_SIDE_VALUE_MAX_BYTES), NULL),
                     KL_OK);
    assert_int_equal(kms_side_get(fixture->kms, kl_slice_text("M"), &value, NULL), KL_ERR_INVALID);
    assert_int_equal(kms_side_range(fixture->kms, kl_slice_text("M"), see, seen, NULL),
                     KL_ERR_INVALID);
    assert_int_equal(kms_side_range(fixture->kms, (struct kl_slice){NULL, 0}, see, seen, NULL),
                     KL_ERR_INVALID);
    assert_string_equal(seen, "");
    kl_buf_done(&value);
    free(large);
}

static unsigned fatal_calls;

static void count_fatal(void *context, const struct kl_err *err)
{
    (void)context, (void)err;
    fatal_calls++;
}

static void test_a_failed_write_is_the_last_one(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_hooks hooks = {.fatal = count_fatal};
    struct kl_err err = {0};

    fatal_calls = 0;
    kms_hooks_set(fixture->kms, &hooks);
    memory_storage_fail_apply(fixture->storage, 1, false);
    assert_int_equal(put(fixture, kl_slice_text("Vx"), kl_slice_text("x"), NULL), KL_ERR_IO);
    assert_int_equal(fatal_calls, 1);
    assert_int_equal(put(fixture, kl_slice_text("Vx"), kl_slice_text("x"), &err), KL_ERR_IO);
    assert_string_equal(err.code, "key_store_broken");
    assert_int_equal(fatal_calls, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kms_fixture_setup, kms_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_side_rows_are_read_as_they_were_written),
        TEST(test_a_range_passes_those_of_its_prefix_in_order),
        TEST(test_rows_of_the_keys_are_out_of_reach),
        TEST(test_a_failed_write_is_the_last_one),
    };

    return cmocka_run_group_tests_name("side", tests, NULL, NULL);
}
