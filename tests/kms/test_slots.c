/* Taking numbers: no key is written, no number comes twice. */
#include "kms/rows.h"
#include "tests/support/kms_fixture.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t tenant_of(struct kms_fixture *fixture)
{
    uint64_t tenant = 0;

    assert_int_equal(kms_tenant_take(fixture->kms, &tenant, NULL), KL_OK);
    return tenant;
}

static uint64_t take(struct kms_fixture *fixture, uint64_t tenant, uint32_t count)
{
    uint64_t first = 0;

    assert_int_equal(kms_slot_take(fixture->kms, tenant, count, &first, NULL), KL_OK);
    return first;
}

static void test_tenants_come_one_after_the_other_and_each_is_durable(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t syncs = memory_storage_counts(fixture->storage).syncs;

    assert_int_equal(tenant_of(fixture), 1);
    assert_int_equal(tenant_of(fixture), 2);
    assert_int_equal(memory_storage_counts(fixture->storage).syncs, syncs + 2);
    kms_fixture_reopen(fixture);
    assert_int_equal(tenant_of(fixture), 3);
}

static void test_slots_come_one_after_the_other_above_the_tenants_own(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t one = tenant_of(fixture);
    uint64_t two = tenant_of(fixture);

    assert_int_equal(take(fixture, one, 1), KMS_TENANT_OWN_SLOTS);
    assert_int_equal(take(fixture, one, 10), KMS_TENANT_OWN_SLOTS + 1);
    assert_int_equal(take(fixture, two, 1), KMS_TENANT_OWN_SLOTS);
    assert_int_equal(take(fixture, one, 1), KMS_TENANT_OWN_SLOTS + 11);
}

static void test_a_block_of_slots_costs_one_write(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t tenant = tenant_of(fixture);
    struct memory_storage_counts before = memory_storage_counts(fixture->storage);
    struct memory_storage_counts after;

    for (uint64_t i = KMS_TENANT_OWN_SLOTS; i < KMS_RESERVE_BLOCK; i++) {
        struct kl_buf sealed;

        assert_int_equal(take(fixture, tenant, 1), i);
        kms_fixture_seal(fixture->kms, (struct kms_place){tenant, i, 0}, &sealed);
        kl_buf_done(&sealed);
    }
    after = memory_storage_counts(fixture->storage);
    assert_int_equal(after.writes, before.writes + 2); /* the mark and the batch id */
    assert_int_equal(after.syncs, before.syncs + 1);
    (void)take(fixture, tenant, 1);
    assert_int_equal(memory_storage_counts(fixture->storage).writes, before.writes + 4);
}

static void test_after_a_reopen_slots_go_on_above_the_mark(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t tenant = tenant_of(fixture);

    (void)take(fixture, tenant, 5);
    kms_fixture_reopen(fixture);
    assert_int_equal(take(fixture, tenant, 1), KMS_RESERVE_BLOCK);
    (void)take(fixture, tenant, KMS_RESERVE_BLOCK); /* past the block's end */
    kms_fixture_reopen(fixture);
    assert_int_equal(take(fixture, tenant, 1), 3 * KMS_RESERVE_BLOCK);
}

static void test_many_slots_at_once_are_consecutive(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t tenant = tenant_of(fixture);
    uint64_t first = take(fixture, tenant, 65536);

    assert_int_equal(take(fixture, tenant, 1), first + 65536);
}

static void test_wrong_counts_and_tenants_are_refused(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t first = 99;
    struct kl_err err = {0};

    assert_int_equal(kms_slot_take(fixture->kms, 0, 0, &first, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "key_slots_count");
    assert_int_equal(kms_slot_take(fixture->kms, 0, 65537, &first, NULL), KL_ERR_INVALID);
    kl_err_clear(&err);
    assert_int_equal(kms_slot_take(fixture->kms, 1, 1, &first, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "key_place_invalid");
    assert_int_equal(first, 99);
}

static void test_a_shredded_tenant_gives_no_slots(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t tenant = tenant_of(fixture);
    uint64_t first = 99;

    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED,
                                        (struct kms_place){tenant, KMS_SLOT_NONE, KMS_VALUE_NONE}),
                     KL_OK);
    assert_int_equal(kms_slot_take(fixture->kms, tenant, 1, &first, NULL), KL_ERR_GONE);
    assert_int_equal(first, 99);
    assert_int_equal(tenant_of(fixture), tenant + 1); /* its number is not used again */
}

static void put_mark(struct kms_fixture *fixture, struct kl_slice key, uint64_t mark)
{
    unsigned char value[KMS_MARK_BYTES];

    kms_mark_write(mark, value);
    memory_storage_put(fixture->storage, key, kl_slice_of(value, sizeof value));
}

static void test_a_full_tree_is_said_so(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t tenant = tenant_of(fixture);
    unsigned char key[KMS_SLOTS_KEY_BYTES];
    uint64_t number = 0;

    kms_slots_key(tenant, key);
    kms_fixture_close(fixture);
    put_mark(fixture, kl_slice_of(key, sizeof key), KMS_SLOT_MAX - 1);
    put_mark(fixture, kms_tenants_key, KMS_SLOT_MAX);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_slot_take(fixture->kms, tenant, 3, &number, NULL), KL_ERR_TOO_LARGE);
    assert_int_equal(take(fixture, tenant, 2), KMS_SLOT_MAX - 1);
    assert_int_equal(kms_slot_take(fixture->kms, tenant, 1, &number, NULL), KL_ERR_TOO_LARGE);
    assert_int_equal(tenant_of(fixture), KMS_SLOT_MAX);
    number = 77;
    assert_int_equal(kms_tenant_take(fixture->kms, &number, NULL), KL_ERR_TOO_LARGE);
    assert_int_equal(number, 77);
}

static void test_a_damaged_mark_is_refused(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t tenant = tenant_of(fixture);
    unsigned char key[KMS_SLOTS_KEY_BYTES];
    uint64_t first = 99;

    kms_slots_key(tenant, key);
    put_mark(fixture, kl_slice_of(key, sizeof key), UINT64_MAX); /* past the end of the tree */
    assert_int_equal(kms_slot_take(fixture->kms, tenant, 1, &first, NULL), KL_ERR_CORRUPT);
    memory_storage_put(fixture->storage, kl_slice_of(key, sizeof key), kl_slice_text("short"));
    assert_int_equal(kms_slot_take(fixture->kms, tenant, 1, &first, NULL), KL_ERR_CORRUPT);
    memory_storage_fail_get(fixture->storage, KMS_ROW_SLOTS);
    assert_int_equal(kms_slot_take(fixture->kms, tenant, 1, &first, NULL), KL_ERR_IO);
    assert_int_equal(first, 99);
}

/* ---- threads ---- */

#define THREADS 8
#define EACH 3000

struct taker {
    struct kms *kms;
    uint64_t taken[EACH];
};

static void *take_many(void *argument)
{
    struct taker *taker = argument;

    for (size_t i = 0; i < EACH; i++) {
        taker->taken[i] = UINT64_MAX;
        if (kms_slot_take(taker->kms, 0, (uint32_t)(1 + i % 3), &taker->taken[i], NULL) != KL_OK) {
            break;
        }
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static void test_no_number_is_given_to_two_threads(void **state)
{
    struct kms_fixture *fixture = *state;
    struct taker *takers = test_calloc(THREADS, sizeof *takers);
    uint64_t *all = test_calloc(THREADS * EACH, sizeof *all);
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++) {
        takers[i].kms = fixture->kms;
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, &takers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        memcpy(all + i * EACH, takers[i].taken, sizeof takers[i].taken);
    }
    qsort(all, THREADS * EACH, sizeof *all, compare);
    assert_int_equal(all[0], KMS_TENANT_OWN_SLOTS);
    for (size_t i = 1; i < THREADS * EACH; i++) {
        assert_true(all[i] > all[i - 1] && all[i] <= all[i - 1] + 3 + KMS_RESERVE_BLOCK);
    }
    assert_true(all[THREADS * EACH - 1] < UINT64_MAX);
    test_free(takers);
    test_free(all);
}

/* ---- marks ---- */

static uint64_t mark_of(struct kms_fixture *fixture, uint64_t tenant)
{
    uint64_t mark = 0;

    assert_int_equal(kms_slot_mark(fixture->kms, tenant, &mark, NULL), KL_OK);
    return mark;
}

static void test_a_mark_is_above_all_that_was_given_out(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t tenant = tenant_of(fixture);
    uint64_t mark = 0;

    assert_int_equal(mark_of(fixture, tenant), KMS_TENANT_OWN_SLOTS);
    mark = take(fixture, tenant, 10) + 10;
    assert_int_equal(mark_of(fixture, tenant), mark);
    kms_fixture_reopen(fixture);
    assert_true(mark_of(fixture, tenant) >= mark);
    mark = take(fixture, tenant, 1) + 1;
    assert_int_equal(mark_of(fixture, tenant), mark);
    assert_int_equal(kms_tenant_mark(fixture->kms, &mark, NULL), KL_OK);
    assert_int_equal(mark, tenant + 1);
}

static void test_nothing_below_a_raised_mark_is_given_out_also_after_a_crash(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t tenant = tenant_of(fixture);
    uint64_t first = take(fixture, tenant, 1);

    assert_int_equal(kms_slot_mark_raise(fixture->kms, tenant, first + 100, NULL), KL_OK);
    assert_int_equal(take(fixture, tenant, 1), first + 100);
    assert_int_equal(kms_slot_mark_raise(fixture->kms, tenant, 1000000, NULL), KL_OK);
    assert_int_equal(kms_slot_mark_raise(fixture->kms, tenant, 5, NULL), KL_OK);
    assert_int_equal(take(fixture, tenant, 1), 1000000);
    assert_int_equal(kms_slot_mark_raise(fixture->kms, tenant, 2000000, NULL), KL_OK);
    kms_fixture_reopen(fixture);
    assert_true(take(fixture, tenant, 1) >= 2000000);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_slot_mark_raise(fixture->kms, tenant, 3000000, NULL), KL_OK);
    assert_true(take(fixture, tenant, 1) >= 3000000);
}

static void test_tenants_go_on_above_a_raised_mark(void **state)
{
    struct kms_fixture *fixture = *state;

    assert_int_equal(kms_tenant_mark_raise(fixture->kms, 50, NULL), KL_OK);
    assert_int_equal(kms_tenant_mark_raise(fixture->kms, 3, NULL), KL_OK);
    assert_int_equal(tenant_of(fixture), 50);
    assert_int_equal(kms_tenant_mark_raise(fixture->kms, 70, NULL), KL_OK);
    kms_fixture_reopen(fixture);
    assert_int_equal(tenant_of(fixture), 70);
}

static void test_marks_that_cannot_be_are_refused(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t tenant = tenant_of(fixture);
    uint64_t mark = 77;

    assert_int_equal(kms_slot_mark(fixture->kms, tenant + 1, &mark, NULL), KL_ERR_INVALID);
    assert_int_equal(mark, 77);
    assert_int_equal(kms_slot_mark_raise(fixture->kms, tenant + 1, 100, NULL), KL_ERR_INVALID);
    assert_int_equal(kms_slot_mark_raise(fixture->kms, tenant, KMS_SLOT_MAX + 1, NULL),
                     KL_ERR_TOO_LARGE);
    assert_int_equal(kms_tenant_mark_raise(fixture->kms, KMS_SLOT_MAX + 1, NULL), KL_ERR_TOO_LARGE);
    assert_int_equal(take(fixture, tenant, 1), KMS_TENANT_OWN_SLOTS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kms_fixture_setup, kms_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_tenants_come_one_after_the_other_and_each_is_durable),
        TEST(test_slots_come_one_after_the_other_above_the_tenants_own),
        TEST(test_a_block_of_slots_costs_one_write),
        TEST(test_after_a_reopen_slots_go_on_above_the_mark),
        TEST(test_many_slots_at_once_are_consecutive),
        TEST(test_wrong_counts_and_tenants_are_refused),
        TEST(test_a_shredded_tenant_gives_no_slots),
        TEST(test_a_full_tree_is_said_so),
        TEST(test_a_damaged_mark_is_refused),
        TEST(test_no_number_is_given_to_two_threads),
        TEST(test_a_mark_is_above_all_that_was_given_out),
        TEST(test_nothing_below_a_raised_mark_is_given_out_also_after_a_crash),
        TEST(test_tenants_go_on_above_a_raised_mark),
        TEST(test_marks_that_cannot_be_are_refused),
    };

    return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
