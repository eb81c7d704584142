/* Rows of shredded trees go, a few with each commit, and no others. */
#include "kms/sweep.h"

#include "kms/page.h"
#include "tests/support/kms_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define T 1

static size_t rows_of(struct kms_fixture *fixture, char first, unsigned char tree, uint64_t slot)
{
    struct kl_slice key;
    size_t bytes = 0;
    size_t count = 0;

    for (size_t i = 0; memory_storage_row(fixture->storage, i, &key, &bytes) != NULL; i++) {
        if (key.bytes[0] == first && (tree == 0 || key.bytes[1] == tree) &&
            (slot == 0 || kl_get_u64be(key.bytes + 10) == slot)) {
            count++;
        }
    }
    return count;
}

static void shred(struct kms_fixture *fixture, struct kms_place place)
{
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, place), KL_OK);
}

/* Turn the root key, so that the leader sweeps. */
static void turn(struct kms_fixture *fixture)
{
    struct kms_request request = {0};

    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
}

static void test_rows_of_a_shredded_subject_go_and_others_stay(void **state)
{
    struct kms_fixture *fixture = *state;
    size_t others;

    shred(fixture, (struct kms_place){T, 70, 1});
    shred(fixture, (struct kms_place){T, 70, 9000});
    shred(fixture, (struct kms_place){T, 71, 1});
    others = rows_of(fixture, 'P', KMS_TREE_SUBJECT, 71);
    assert_int_equal(others, 2);
    assert_int_equal(rows_of(fixture, 'P', KMS_TREE_SUBJECT, 70), 5);
    shred(fixture, (struct kms_place){T, 70, KMS_VALUE_NONE});
    assert_int_equal(rows_of(fixture, 'P', KMS_TREE_SUBJECT, 70), 0);
    assert_int_equal(rows_of(fixture, 'D', 0, 0), 0);
    assert_int_equal(rows_of(fixture, 'P', KMS_TREE_SUBJECT, 71), others);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_place_check(fixture->kms, &(struct kms_place){T, 71, 2}, NULL), KL_OK);
    assert_int_equal(kms_place_check(fixture->kms, &(struct kms_place){T, 71, 1}, NULL),
                     KL_ERR_GONE);
    assert_int_equal(kms_place_check(fixture->kms, &(struct kms_place){T, 70, 2}, NULL),
                     KL_ERR_GONE);
}

static void test_rows_below_a_shredded_tenant_go_with_the_subjects_below(void **state)
{
    struct kms_fixture *fixture = *state;

    for (uint64_t slot = 64; slot < 70; slot++) {
        shred(fixture, (struct kms_place){T, slot, 1});
        shred(fixture, (struct kms_place){2, slot, 1});
    }
    shred(fixture, (struct kms_place){T, KMS_SLOT_NONE, KMS_VALUE_NONE});
    assert_int_equal(rows_of(fixture, 'P', KMS_TREE_SUBJECT, 0), 12);
    assert_int_equal(rows_of(fixture, 'D', 0, 0), 0);
    for (uint64_t slot = 64; slot < 70; slot++) {
        assert_int_equal(kms_place_check(fixture->kms, &(struct kms_place){2, slot, 2}, NULL),
                         KL_OK);
    }
}

/* More rows than one commit takes: the rest goes with the next ones, also after a crash in between. */
static void test_a_large_dead_tree_goes_little_by_little(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_change *changes = test_calloc(KMS_SWEEP_ROWS, sizeof *changes);
    struct kms_request request = {.changes = changes, .changes_count = KMS_SWEEP_ROWS};
    size_t left = 2 * KMS_SWEEP_ROWS;

    for (uint64_t i = 0; i < KMS_SWEEP_ROWS; i++) {
        changes[i] = (struct kms_change){KMS_CHANGE_SHRED, {T, 64 + i, 1}};
    }
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
    assert_int_equal(rows_of(fixture, 'P', KMS_TREE_SUBJECT, 0), left);
    shred(fixture, (struct kms_place){T, KMS_SLOT_NONE, KMS_VALUE_NONE});
    assert_true(rows_of(fixture, 'P', KMS_TREE_SUBJECT, 0) < left);
    left = rows_of(fixture, 'P', KMS_TREE_SUBJECT, 0);
    assert_true(left > 0);
    assert_int_equal(rows_of(fixture, 'D', 0, 0), 1);
    kms_fixture_reopen(fixture);
    turn(fixture);
    turn(fixture);
    assert_int_equal(rows_of(fixture, 'P', KMS_TREE_SUBJECT, 0), 0);
    assert_int_equal(rows_of(fixture, 'P', KMS_TREE_TENANT, 0), 0);
    assert_int_equal(rows_of(fixture, 'D', 0, 0), 0);
    test_free(changes);
}

/* A rekeyed slot lives on at the same addresses: of its rows go only those that hang nowhere. */
static void test_of_a_rekeyed_subject_only_rows_that_hang_nowhere_go(void **state)
{
    struct kms_fixture *fixture = *state;

    shred(fixture, (struct kms_place){T, 70, 1});
    shred(fixture, (struct kms_place){T, 70, 9000});
    assert_int_equal(rows_of(fixture, 'P', KMS_TREE_SUBJECT, 70), 5);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_REKEY,
                                        (struct kms_place){T, 70, KMS_VALUE_NONE}),
                     KL_OK);
    assert_int_equal(rows_of(fixture, 'P', KMS_TREE_SUBJECT, 70), 0);
    assert_int_equal(rows_of(fixture, 'D', 0, 0), 0);
    shred(fixture, (struct kms_place){T, 70, 2});
    turn(fixture);
    assert_int_equal(rows_of(fixture, 'P', KMS_TREE_SUBJECT, 70), 2);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_place_check(fixture->kms, &(struct kms_place){T, 70, 1}, NULL), KL_OK);
    assert_int_equal(kms_place_check(fixture->kms, &(struct kms_place){T, 70, 2}, NULL),
                     KL_ERR_GONE);
}

/* Whoever can write to the key store can put rows of pages there that cannot be. */
static void test_rows_of_pages_that_cannot_be_go_too(void **state)
{
    static const struct kms_address impossible[] = {
        {.tenant = T, .slot = 70, .tree = KMS_TREE_SUBJECT, .height = 200, .level = 3},
        {.tenant = T, .slot = 70, .tree = KMS_TREE_SUBJECT, .height = 2, .level = 3},
        {.tenant = T, .slot = 70, .tree = KMS_TREE_SUBJECT, .index = UINT64_MAX},
        {.tenant = T, .slot = 70, .tree = KMS_TREE_SUBJECT, .height = KMS_SPINE_MARK},
        {.tenant = T, .slot = UINT64_MAX, .tree = KMS_TREE_SUBJECT, .height = 1},
        {.tenant = UINT64_MAX, .slot = 70, .tree = KMS_TREE_SUBJECT, .height = 1},
        {.tenant = T, .slot = 70, .tree = KMS_TREE_TENANT, .height = 1},
        {.tenant = T, .tree = KMS_TREE_STORE, .height = 1},
        {.tenant = T, .tree = 9, .height = 1},
    };
    struct kms_fixture *fixture = *state;
    unsigned char key[KMS_PAGE_KEY_BYTES];

    shred(fixture, (struct kms_place){T, 70, 1});
    for (size_t i = 0; i < sizeof impossible / sizeof impossible[0]; i++) {
        kms_page_row_key(&impossible[i], key);
        memory_storage_put(fixture->storage, kl_slice_of(key, sizeof key), kl_slice_text("x"));
    }
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_REKEY,
                                        (struct kms_place){T, 70, KMS_VALUE_NONE}),
                     KL_OK);
    assert_int_equal(rows_of(fixture, 'P', KMS_TREE_SUBJECT, 70), 1); /* another tenant's */
    assert_int_equal(rows_of(fixture, 'D', 0, 0), 0);
}

/* A tenant that was rekeyed, with more rows than one commit looks at, some of them of its new tree. */
static void test_a_large_tree_that_lives_on_is_swept_little_by_little(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_change *changes = test_calloc(KMS_SWEEP_LOOKS, sizeof *changes);
    struct kms_request request = {.changes = changes, .changes_count = KMS_SWEEP_LOOKS};

    for (uint64_t i = 0; i < KMS_SWEEP_LOOKS; i++) {
        changes[i] = (struct kms_change){KMS_CHANGE_SHRED, {T, 64 + i, 1}};
    }
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
    assert_int_equal(rows_of(fixture, 'P', KMS_TREE_SUBJECT, 0), 2 * KMS_SWEEP_LOOKS);
    changes[0] = (struct kms_change){KMS_CHANGE_REKEY, {T, KMS_SLOT_NONE, KMS_VALUE_NONE}};
    for (uint64_t i = 1; i < KMS_SWEEP_LOOKS; i += 2) {
        changes[i] = (struct kms_change){KMS_CHANGE_TOUCH, {T, 64 + i, 1}};
    }
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
    for (unsigned i = 0; i < 20; i++) {
        if (i % 5 == 4) {
            kms_fixture_reopen(fixture);
        }
        turn(fixture);
    }
    assert_int_equal(rows_of(fixture, 'D', 0, 0), 0);
    /* The even ones were shredded again below the fresh seed, and hang. */
    assert_int_equal(rows_of(fixture, 'P', KMS_TREE_SUBJECT, 0), KMS_SWEEP_LOOKS - 2);
    assert_int_equal(kms_place_check(fixture->kms, &(struct kms_place){T, 66, 1}, NULL),
                     KL_ERR_GONE);
    assert_int_equal(kms_place_check(fixture->kms, &(struct kms_place){T, 65, 1}, NULL), KL_OK);
    test_free(changes);
}

/* The commit is done and the sweep's write fails: the shred stays, the process is told to end. */
static void test_a_failed_sweep_is_fatal_after_the_shred(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_hooks hooks = {.fatal = kms_fixture_fatal};
    struct kms_state now;

    shred(fixture, (struct kms_place){T, 70, 1});
    kms_hooks_set(fixture->kms, &hooks);
    memory_storage_fail_apply(fixture->storage, 2, false);
    (void)kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED,
                             (struct kms_place){T, 70, KMS_VALUE_NONE});
    kms_state(fixture->kms, &now);
    assert_false(now.old_root_destroyed);
    kms_fixture_reopen(fixture);
    assert_int_equal(
        kms_place_check(fixture->kms, &(struct kms_place){T, 70, KMS_VALUE_NONE}, NULL),
        KL_ERR_GONE);
    assert_int_equal(rows_of(fixture, 'D', 0, 0), 1);
    turn(fixture);
    assert_int_equal(rows_of(fixture, 'D', 0, 0), 0);
    assert_int_equal(rows_of(fixture, 'P', KMS_TREE_SUBJECT, 0), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kms_fixture_setup, kms_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_rows_of_a_shredded_subject_go_and_others_stay),
        TEST(test_rows_below_a_shredded_tenant_go_with_the_subjects_below),
        TEST(test_a_large_dead_tree_goes_little_by_little),
        TEST(test_of_a_rekeyed_subject_only_rows_that_hang_nowhere_go),
        TEST(test_rows_of_pages_that_cannot_be_go_too),
        TEST(test_a_large_tree_that_lives_on_is_swept_little_by_little),
        TEST(test_a_failed_sweep_is_fatal_after_the_shred),
    };

    return cmocka_run_group_tests_name("sweep", tests, NULL, NULL);
}
