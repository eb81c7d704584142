/* Which values a restored copy does not know of a subject. */
#include "vault/subject_unknown.h"

#include "tests/support/test.h"

#define BLOCK (UINT64_C(1) << VAULT_VALUE_EPOCH_BITS)

static void test_without_a_restore_nothing_is_unknown(void **state)
{
    struct vault vault = {.restores = 0};
    struct vault_head head = {.epoch = 0, .next_value = 9};
    struct kms_range ranges[VAULT_UNKNOWN_RANGES_MAX];

    (void)state;
    assert_int_equal(vault_subject_unknown(&vault, 1, 70, &head, ranges), 0);
    assert_int_equal(vault_head_epoch_begin(&vault, &head, NULL), KL_OK);
    assert_int_equal(head.next_value, 9);
    assert_int_equal(head.gap_count, 0);
}

static void test_of_an_unchanged_head_all_behind_it_is_unknown(void **state)
{
    struct vault vault = {.restores = 3};
    struct vault_head head = {.epoch = 2, .next_value = 2 * BLOCK + 9};
    struct kms_range ranges[VAULT_UNKNOWN_RANGES_MAX];

    (void)state;
    assert_int_equal(vault_subject_unknown(&vault, 1, 70, &head, ranges), 1);
    assert_int_equal(ranges[0].tenant, 1);
    assert_int_equal(ranges[0].slot, 70);
    assert_int_equal(ranges[0].first, 2 * BLOCK + 9);
    assert_true(ranges[0].past == KMS_RANGE_END);
}

static void test_a_change_leaves_a_gap_up_to_its_fresh_block(void **state)
{
    struct vault vault = {.restores = 1};
    struct vault_head head = {.epoch = 0, .next_value = 9};
    struct kms_range ranges[VAULT_UNKNOWN_RANGES_MAX];

    (void)state;
    assert_int_equal(vault_head_epoch_begin(&vault, &head, NULL), KL_OK);
    assert_int_equal(head.epoch, 1);
    assert_int_equal(head.next_value, BLOCK);
    assert_int_equal(vault_head_epoch_begin(&vault, &head, NULL), KL_OK); /* once */
    assert_int_equal(head.gap_count, 1);
    head.next_value += 2;
    vault.restores = 4;
    assert_int_equal(vault_subject_unknown(&vault, 1, 70, &head, ranges), 2);
    assert_int_equal(ranges[0].first, 9);
    assert_int_equal(ranges[0].past, BLOCK);
    assert_int_equal(ranges[1].first, BLOCK + 2);
    assert_true(ranges[1].past == KMS_RANGE_END);
    assert_int_equal(vault_head_epoch_begin(&vault, &head, NULL), KL_OK);
    assert_int_equal(head.next_value, 4 * BLOCK);
    assert_int_equal(vault_subject_unknown(&vault, 1, 70, &head, ranges), 2);
    assert_int_equal(ranges[1].past, 4 * BLOCK);
}

static void test_a_block_that_was_used_up_leaves_no_gap(void **state)
{
    struct vault vault = {.restores = 1};
    struct vault_head head = {.epoch = 0, .next_value = BLOCK};

    (void)state;
    assert_int_equal(vault_head_epoch_begin(&vault, &head, NULL), KL_OK);
    assert_int_equal(head.epoch, 1);
    assert_int_equal(head.gap_count, 0);
}

static void test_too_many_gaps_are_refused_and_change_nothing(void **state)
{
    struct vault vault = {.restores = 0};
    struct vault_head head = {.epoch = 0, .next_value = VAULT_VALUE_FIRST};
    struct kl_err err = {0};
    size_t i;

    (void)state;
    for (i = 0; i < VAULT_GAPS_MAX; i++) {
        vault.restores++;
        assert_int_equal(vault_head_epoch_begin(&vault, &head, NULL), KL_OK);
        head.next_value++;
    }
    vault.restores++;
    assert_int_equal(vault_head_epoch_begin(&vault, &head, &err), KL_ERR_TOO_LARGE);
    assert_string_equal(err.code, "subject_full");
    assert_int_equal(head.gap_count, VAULT_GAPS_MAX);
    assert_int_equal(head.epoch, VAULT_GAPS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_restore_nothing_is_unknown),
        cmocka_unit_test(test_of_an_unchanged_head_all_behind_it_is_unknown),
        cmocka_unit_test(test_a_change_leaves_a_gap_up_to_its_fresh_block),
        cmocka_unit_test(test_a_block_that_was_used_up_leaves_no_gap),
        cmocka_unit_test(test_too_many_gaps_are_refused_and_change_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
