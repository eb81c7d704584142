/* Slots that are kept ready: found without a walk, gone with the commit that shreds them. */
#include "kms/keys_cache.h"

#include "kms/internal.h"
#include "tests/support/kms_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define T 1

static int setup_keys(void **state)
{
    struct kms_keys *keys = test_calloc(1, sizeof *keys);

    *state = keys;
    if (kl_secret_process_init(true, NULL) != KL_OK) {
        return -1;
    }
    return kms_keys_init(keys, KMS_KEYS_SHARD_KEYS, NULL) == KL_OK ? 0 : -1;
}

static int teardown_keys(void **state)
{
    kms_keys_done(*state);
    test_free(*state);
    return 0;
}

static bool has(struct kms_keys *keys, uint64_t tenant, uint64_t slot)
{
    unsigned char node[KMS_KEY_BYTES];
    pthread_rwlock_t *held = kms_keys_find(keys, tenant, slot, node);

    if (held != NULL) {
        (void)pthread_rwlock_unlock(held);
    }
    return held != NULL;
}

static void put(struct kms_keys *keys, uint64_t tenant, uint64_t slot)
{
    unsigned char node[KMS_KEY_BYTES] = {0};

    kl_put_u64be(node, tenant);
    kl_put_u64be(node + 8, slot);
    kms_keys_put(keys, tenant, slot, node);
}

static uint64_t cached(struct kms_keys *keys)
{
    uint64_t count = 0;
    uint64_t max = 0;

    kms_keys_figures(keys, &count, &max);
    assert_int_equal(max, KMS_KEYS_SHARD_KEYS);
    return count;
}

static void test_what_was_put_is_found_under_its_own_number_only(void **state)
{
    struct kms_keys *keys = *state;
    unsigned char node[KMS_KEY_BYTES];
    pthread_rwlock_t *held;

    put(keys, T, 70);
    put(keys, T, 70);
    assert_int_equal(cached(keys), 1);
    assert_false(has(keys, T, 71));
    assert_false(has(keys, 2, 70));
    held = kms_keys_find(keys, T, 70, node);
    assert_non_null(held);
    assert_int_equal(kl_get_u64be(node), T);
    assert_int_equal(kl_get_u64be(node + 8), 70);
    (void)pthread_rwlock_unlock(held);
}

static void test_there_are_never_more_than_fit(void **state)
{
    struct kms_keys *keys = *state;

    for (uint64_t slot = 0; slot < 4 * KMS_KEYS_SHARD_KEYS; slot++) {
        put(keys, T, slot);
        assert_true(has(keys, T, slot));
    }
    assert_true(cached(keys) <= KMS_KEYS_SHARD_KEYS);
    assert_true(cached(keys) > KMS_KEYS_SHARD_KEYS * 9 / 10);
}

static void test_what_is_used_stays_longer(void **state)
{
    struct kms_keys *keys = *state;
    size_t stayed = 0;

    for (uint64_t slot = 0; slot < 100; slot++) {
        put(keys, T, slot);
    }
    for (uint64_t slot = 1000; slot < 1000 + 3 * KMS_KEYS_SHARD_KEYS; slot++) {
        for (uint64_t often = 0; often < 100; often++) {
            (void)has(keys, T, often);
        }
        put(keys, T, slot);
    }
    for (uint64_t slot = 0; slot < 100; slot++) {
        stayed += has(keys, T, slot);
    }
    assert_true(stayed > 95);
}

static void test_a_slot_or_a_tenant_is_dropped_and_wiped(void **state)
{
    struct kms_keys *keys = *state;
    const unsigned char *bytes = kl_secret_peek(keys->shards[0].nodes);
    unsigned char any = 0;

    for (uint64_t slot = 0; slot < 500; slot++) {
        put(keys, 1 + slot % 2, slot);
    }
    assert_int_equal(cached(keys), 500);
    kms_keys_drop(keys, 1, 100);
    kms_keys_drop(keys, 1, 101); /* never was */
    assert_false(has(keys, 1, 100));
    assert_int_equal(cached(keys), 499);
    kms_keys_drop_tenant(keys, 2);
    assert_int_equal(cached(keys), 249);
    assert_false(has(keys, 2, 101));
    assert_true(has(keys, 1, 102));
    kms_keys_drop_tenant(keys, 1);
    assert_int_equal(cached(keys), 0);
    for (size_t i = 0; i < kl_secret_size(keys->shards[0].nodes); i++) {
        any |= bytes[i];
    }
    assert_int_equal(any, 0);
}

struct dropper {
    struct kms_keys *keys;
    atomic_bool done;
};

static void *drop(void *argument)
{
    struct dropper *dropper = argument;

    kms_keys_drop(dropper->keys, T, 70);
    atomic_store(&dropper->done, true);
    return NULL;
}

static void test_a_drop_waits_for_who_uses_the_key(void **state)
{
    struct dropper dropper = {.keys = *state};
    unsigned char node[KMS_KEY_BYTES];
    pthread_rwlock_t *held;
    pthread_t thread;

    put(dropper.keys, T, 70);
    held = kms_keys_find(dropper.keys, T, 70, node);
    assert_int_equal(pthread_create(&thread, NULL, drop, &dropper), 0);
    /* The writer comes first, so a second reader is refused once it waits; until then it is not done. */
    while (pthread_rwlock_tryrdlock(held) == 0) {
        assert_false(atomic_load(&dropper.done));
        (void)pthread_rwlock_unlock(held);
    }
    assert_false(atomic_load(&dropper.done));
    (void)pthread_rwlock_unlock(held);
    (void)pthread_join(thread, NULL);
    assert_false(has(dropper.keys, T, 70));
}

/* ---- in a key store ---- */

static uint64_t ready(struct kms_fixture *fixture)
{
    struct kms_state now;

    kms_state(fixture->kms, &now);
    assert_int_equal(now.key_cache_max, KMS_KEYS_MAX_DEFAULT);
    return now.keys_cached;
}

static void check(struct kms_fixture *fixture, struct kms_place place, enum kl_status expected)
{
    assert_int_equal(kms_place_check(fixture->kms, &place, NULL), expected);
}

static void test_a_slot_that_was_used_is_ready_whatever_its_value(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kl_buf sealed;
    struct kl_buf again;

    assert_int_equal(ready(fixture), 0);
    kms_fixture_seal(fixture->kms, (struct kms_place){T, 70, 3}, &sealed);
    assert_int_equal(ready(fixture), 1);
    kms_fixture_seal(fixture->kms, (struct kms_place){T, 70, 9000}, &again);
    assert_int_equal(ready(fixture), 1);
    assert_int_equal(kms_fixture_unseal(fixture->kms, (struct kms_place){T, 70, 3}, &sealed),
                     KL_OK);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_fixture_unseal(fixture->kms, (struct kms_place){T, 70, 9000}, &again),
                     KL_OK);
    kl_buf_done(&sealed);
    kl_buf_done(&again);
}

static void test_a_commit_takes_out_what_it_changes_and_nothing_else(void **state)
{
    static const enum kms_change_kind kinds[] = {KMS_CHANGE_SHRED, KMS_CHANGE_REKEY};
    struct kms_fixture *fixture = *state;

    for (unsigned i = 0; i < 2; i++) {
        uint64_t slot = 70 + 10 * i;
        struct kl_buf sealed;

        check(fixture, (struct kms_place){T, 200, 1}, KL_OK);
        kms_fixture_seal(fixture->kms, (struct kms_place){T, slot, 1}, &sealed);
        assert_int_equal(kms_fixture_change(fixture->kms, kinds[i], (struct kms_place){T, slot, 1}),
                         KL_OK);
        assert_int_equal(ready(fixture), 1); /* 200 */
        assert_int_not_equal(
            kms_fixture_unseal(fixture->kms, (struct kms_place){T, slot, 1}, &sealed), KL_OK);
        kl_buf_done(&sealed);
        kms_fixture_seal(fixture->kms, (struct kms_place){T, slot + 1, 1}, &sealed);
        assert_int_equal(ready(fixture), 2);
        assert_int_equal(kms_fixture_change(fixture->kms, kinds[i],
                                            (struct kms_place){T, slot + 1, KMS_VALUE_NONE}),
                         KL_OK);
        assert_int_equal(ready(fixture), 1);
        assert_int_not_equal(
            kms_fixture_unseal(fixture->kms, (struct kms_place){T, slot + 1, 1}, &sealed), KL_OK);
        kl_buf_done(&sealed);
        kms_fixture_reopen(fixture);
    }
}

static void test_a_shredded_tenant_takes_all_of_its_slots_along(void **state)
{
    struct kms_fixture *fixture = *state;

    for (uint64_t slot = 64; slot < 164; slot++) {
        check(fixture, (struct kms_place){T, slot, 1}, KL_OK);
        check(fixture, (struct kms_place){2, slot, 1}, KL_OK);
    }
    assert_int_equal(ready(fixture), 200);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED,
                                        (struct kms_place){T, KMS_SLOT_NONE, KMS_VALUE_NONE}),
                     KL_OK);
    assert_int_equal(ready(fixture), 100);
    check(fixture, (struct kms_place){T, 70, 1}, KL_ERR_GONE);
    check(fixture, (struct kms_place){2, 70, 1}, KL_OK);
}

static void test_kept_values_are_not_taken_from_what_was_ready(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_change changes[] = {{KMS_CHANGE_SHRED, {T, 70, KMS_VALUE_NONE}},
                                   {KMS_CHANGE_KEEP, {T, 70, 5}}};
    struct kms_request request = {.changes = changes, .changes_count = 2};

    check(fixture, (struct kms_place){T, 70, 1}, KL_OK);
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
    check(fixture, (struct kms_place){T, 70, 1}, KL_ERR_GONE);
    check(fixture, (struct kms_place){T, 70, 5}, KL_OK);
    assert_int_equal(ready(fixture), 0);
}

static void test_a_rotation_leaves_them(void **state)
{
    struct kms_fixture *fixture = *state;

    check(fixture, (struct kms_place){T, 70, 1}, KL_OK);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_EXPAND,
                                        (struct kms_place){T, 70, KMS_VALUE_NONE}),
                     KL_OK);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_TOUCH,
                                        (struct kms_place){T, 70, KMS_VALUE_NONE}),
                     KL_OK);
    assert_int_equal(ready(fixture), 1);
}

static void test_too_many_keys_are_refused(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms *kms = NULL;
    struct kl_err err = {0};

    kms_fixture_close(fixture);
    fixture->options.keys_max = 16777217;
    assert_int_equal(kms_open(&fixture->options, &kms, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "key_keys_max");
    assert_null(kms);
}

int main(void)
{
#define ALONE(name) cmocka_unit_test_setup_teardown(name, setup_keys, teardown_keys)
#define TEST(name) cmocka_unit_test_setup_teardown(name, kms_fixture_setup, kms_fixture_teardown)
    const struct CMUnitTest tests[] = {
        ALONE(test_what_was_put_is_found_under_its_own_number_only),
        ALONE(test_there_are_never_more_than_fit),
        ALONE(test_what_is_used_stays_longer),
        ALONE(test_a_slot_or_a_tenant_is_dropped_and_wiped),
        ALONE(test_a_drop_waits_for_who_uses_the_key),
        TEST(test_a_slot_that_was_used_is_ready_whatever_its_value),
        TEST(test_a_commit_takes_out_what_it_changes_and_nothing_else),
        TEST(test_a_shredded_tenant_takes_all_of_its_slots_along),
        TEST(test_kept_values_are_not_taken_from_what_was_ready),
        TEST(test_a_rotation_leaves_them),
        TEST(test_too_many_keys_are_refused),
    };

    return cmocka_run_group_tests_name("keys_cache", tests, NULL, NULL);
}
