/* Counts over a sliding window, in a table that does not grow. */
#include "vault/limits.h"

#include "kluis/base/time.h"
#include "tests/support/no_memory.h"
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#define S KL_TIME_SECOND_US
#define START_US (1000000 * S + 1)

static struct vault_limit_item item_of(const struct vault_limits *limits, const char *name,
                                       uint32_t max, uint32_t window_s)
{
    return (struct vault_limit_item){vault_limits_key(limits, kl_slice_text(name)),
                                     {max, window_s}};
}

static bool take(struct vault_limits *limits, const struct vault_limit_item *item, int64_t now_us)
{
    uint32_t wait_s = 0;

    return vault_limits_take(limits, item, 1, now_us, &wait_s);
}

static void test_no_more_than_the_maximum_in_any_window(void **state)
{
    enum { MAX = 7, WINDOW_S = 3600, STEPS = 20000 };
    struct vault_limits *limits = vault_limits_new(8);
    const struct vault_limit_item item = item_of(limits, "a", MAX, WINDOW_S);
    int64_t taken[STEPS];
    size_t count = 0;
    int64_t now_us = START_US;
    unsigned seed = 4711;

    (void)state;
    for (size_t i = 0; i < STEPS; i++) {
        now_us += (int64_t)(rand_r(&seed) % 400) * S / 2;
        if (take(limits, &item, now_us)) {
            taken[count++] = now_us;
        }
        if (count > MAX) {
            assert_true(taken[count - 1] - taken[count - 1 - MAX] > WINDOW_S * S);
        }
    }
    /* and hardly fewer: a part more than a window for each seven */
    assert_true((int64_t)count / MAX >= (now_us - START_US) / S / (WINDOW_S + 2 * 300) - 1);
    vault_limits_free(limits);
}

static void test_after_the_wait_it_works_and_before_it_does_not(void **state)
{
    struct vault_limits *limits = vault_limits_new(8);
    const struct vault_limit_item item = item_of(limits, "a", 3, 1200);
    uint32_t wait_s = 0;

    (void)state;
    assert_false(vault_limits_is_full(limits, &item, START_US, &wait_s));
    assert_true(take(limits, &item, START_US));
    assert_true(take(limits, &item, START_US + 500 * S));
    assert_true(take(limits, &item, START_US + 501 * S));
    assert_int_equal(wait_s, 0);
    assert_true(vault_limits_is_full(limits, &item, START_US + 600 * S, &wait_s));
    assert_true(wait_s >= 600 && wait_s <= 700);
    assert_false(take(limits, &item, START_US + (600 + wait_s - 2) * S));
    assert_true(take(limits, &item, START_US + (600 + wait_s) * S));
    assert_false(take(limits, &item, START_US + (600 + wait_s) * S));
    vault_limits_free(limits);
}

static void test_several_are_counted_together_or_not_at_all(void **state)
{
    struct vault_limits *limits = vault_limits_new(16);
    const struct vault_limit_item items[2] = {item_of(limits, "a", 1, 600),
                                              item_of(limits, "b", 2, 600)};
    uint32_t wait_s = 0;

    (void)state;
    assert_true(vault_limits_take(limits, items, 2, START_US, &wait_s));
    assert_false(vault_limits_take(limits, items, 2, START_US, &wait_s));
    assert_true(wait_s >= 1);
    assert_true(take(limits, &items[1], START_US)); /* the refused one did not count */
    assert_false(take(limits, &items[1], START_US));
    vault_limits_free(limits);
}

static void test_what_is_given_back_can_be_taken_again(void **state)
{
    struct vault_limits *limits = vault_limits_new(8);
    const struct vault_limit_item item = item_of(limits, "a", 1, 600);
    const struct vault_limit_item other = item_of(limits, "b", 1, 600);

    (void)state;
    assert_true(take(limits, &item, START_US));
    vault_limits_give(limits, &other, START_US); /* never taken: nothing */
    assert_false(take(limits, &item, START_US + 100 * S));
    vault_limits_give(limits, &item, START_US + 100 * S);
    vault_limits_give(limits, &item, START_US + 100 * S);
    assert_true(take(limits, &item, START_US + 100 * S));
    assert_false(take(limits, &item, START_US + 100 * S));
    vault_limits_free(limits);
}

/* A set holds eight: the ninth takes the place of the one that was counted least. */
static void test_a_full_table_forgets_the_smallest_count(void **state)
{
    struct vault_limits *limits = vault_limits_new(8);
    char name[2] = "a";

    (void)state;
    for (int i = 0; i < 8; i++, name[0]++) {
        const struct vault_limit_item item = item_of(limits, name, 9, 600);
        for (int k = 0; k < 9 - (i == 5 ? 7 : 0); k++) {
            assert_true(take(limits, &item, START_US));
        }
    }
    const struct vault_limit_item ninth = item_of(limits, "z", 1, 600);
    assert_true(take(limits, &ninth, START_US));
    assert_false(take(limits, &ninth, START_US));
    name[0] = 'a';
    for (int i = 0; i < 8; i++, name[0]++) {
        const struct vault_limit_item item = item_of(limits, name, 9, 600);
        uint32_t wait_s = 0;
        assert_int_equal(vault_limits_is_full(limits, &item, START_US, &wait_s), i != 5);
    }
    vault_limits_free(limits);
}

static void test_a_key_is_of_its_table_alone(void **state)
{
    struct vault_limits *one = vault_limits_new(8);
    struct vault_limits *two = vault_limits_new(8);
    const struct vault_limit_key a = vault_limits_key(one, kl_slice_text("a"));
    const struct vault_limit_key same = vault_limits_key(one, kl_slice_text("a"));
    const struct vault_limit_key other = vault_limits_key(two, kl_slice_text("a"));

    (void)state;
    assert_memory_equal(&a, &same, sizeof a);
    assert_memory_not_equal(&a, &other, sizeof a);
    vault_limits_free(one);
    vault_limits_free(two);
}

static void test_without_memory_there_is_none(void **state)
{
    (void)state;
    no_memory_begin(0);
    struct vault_limits *limits = vault_limits_new(8);
    assert_true(no_memory_end());
    assert_null(limits);
    vault_limits_free(NULL);
}

static void no_whole_set(void)
{
    (void)vault_limits_new(7);
}

static void no_maximum(void)
{
    struct vault_limits *limits = vault_limits_new(8);
    const struct vault_limit_item item = item_of(limits, "a", 0, 600);

    (void)take(limits, &item, START_US);
}

static void test_wrong_sizes_are_our_own_mistakes(void **state)
{
    (void)state;
    assert_true(test_aborts(no_whole_set));
    assert_true(test_aborts(no_maximum));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_more_than_the_maximum_in_any_window),
        cmocka_unit_test(test_after_the_wait_it_works_and_before_it_does_not),
        cmocka_unit_test(test_several_are_counted_together_or_not_at_all),
        cmocka_unit_test(test_what_is_given_back_can_be_taken_again),
        cmocka_unit_test(test_a_full_table_forgets_the_smallest_count),
        cmocka_unit_test(test_a_key_is_of_its_table_alone),
        cmocka_unit_test(test_without_memory_there_is_none),
        cmocka_unit_test(test_wrong_sizes_are_our_own_mistakes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
