/* Whatever allocation fails: nothing leaks, nothing is half done, and the vault goes on. */
#include "tests/support/kms_fixture.h"
#include "tests/support/no_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define T 1

static unsigned fatal_calls;

static void count_fatal(void *context, const struct kl_err *err)
{
    (void)context;
    (void)err;
    fatal_calls++;
}

static void test_create_and_open_without_memory_leave_nothing(void **state)
{
    struct kms_fixture *fixture = *state;
    long tries = 0;

    for (bool hit = true; hit; tries++) {
        enum kl_status status;

        no_memory_begin(tries);
        status = kms_create(&fixture->options, NULL);
        hit = no_memory_end();
        if (status != KL_OK) {
            assert_int_equal(status, KL_ERR_NO_MEMORY);
            assert_int_equal(access(fixture->root_path, F_OK), -1);
            assert_int_equal(memory_storage_counts(fixture->storage).rows, 0);
        } else {
            /* What failed could be done without. Once more from nothing. */
            struct memory_storage *fresh = memory_storage_new();

            if (!hit) {
                memory_storage_free(fresh);
                break;
            }
            memory_storage_free(fixture->storage);
            fixture->storage = fresh;
            fixture->options.storage = memory_storage_face(fresh);
            assert_int_equal(unlink(fixture->root_path), 0);
        }
    }
    assert_true(tries > 2);
    tries = 0;
    for (bool hit = true; hit; tries++) {
        enum kl_status status;

        no_memory_begin(tries);
        status = kms_open(&fixture->options, &fixture->kms, NULL);
        hit = no_memory_end();
        assert_true(status == KL_OK || status == KL_ERR_NO_MEMORY);
        assert_int_equal(status == KL_OK, fixture->kms != NULL);
        if (hit) {
            kms_fixture_close(fixture);
        }
    }
    assert_true(tries > 10);
    assert_non_null(fixture->kms);
}

/* A commit of everything there is, one allocation after the other failing: done, or not begun. */
static void test_a_commit_without_memory_is_done_or_not_begun(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_hooks hooks = {.fatal = count_fatal};
    long tries = 0;
    unsigned failed = 0;

    fatal_calls = 0;
    for (bool hit = true; hit; tries++) {
        uint64_t slot = 64 + 200 * (uint64_t)tries;
        struct kms_change changes[] = {
            {KMS_CHANGE_SHRED, {T, slot, 1}},
            {KMS_CHANGE_SHRED, {T, slot + 1, KMS_VALUE_NONE}},
            {KMS_CHANGE_REKEY, {T, slot + 2, KMS_VALUE_NONE}},
            {KMS_CHANGE_SHRED, {T, slot + 100, KMS_VALUE_NONE}},
        };
        const struct kms_range range = {T, slot + 101, 3, UINT64_C(1) << 24};
        struct kms_request request = {.changes = changes,
                                      .changes_count = 4,
                                      .ranges = &range,
                                      .ranges_count = 1,
                                      .note = "note",
                                      .note_bytes = 4};
        struct kl_buf ranged;
        struct kms_state before;
        struct kms_state after;
        struct kl_err err = {0};
        enum kl_status status;

        /* Pages come from the disk, among them one of a tree that dies. */
        assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED,
                                            (struct kms_place){T, slot + 100, 5}),
                         KL_OK);
        assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED,
                                            (struct kms_place){T, slot + 101, 70}),
                         KL_OK);
        kms_fixture_seal(fixture->kms, (struct kms_place){T, slot + 101, 71}, &ranged);
        kms_fixture_reopen(fixture);
        kms_hooks_set(fixture->kms, &hooks);
        kms_state(fixture->kms, &before);
        no_memory_begin(tries);
        status = kms_commit(fixture->kms, &request, &err);
        hit = no_memory_end();
        kms_state(fixture->kms, &after);
        assert_int_equal(fatal_calls, 0);
        assert_int_equal(after.generation, before.generation + (status == KL_OK ? 1 : 0));
        if (status != KL_OK) {
            assert_int_equal(status, KL_ERR_NO_MEMORY);
            assert_int_equal(err.status, KL_ERR_NO_MEMORY);
            failed++;
        }
        for (size_t i = 0; i < 4; i++) {
            bool gone = status == KL_OK && changes[i].kind == KMS_CHANGE_SHRED;

            assert_int_equal(kms_place_check(fixture->kms, &changes[i].place, NULL),
                             gone ? KL_ERR_GONE : KL_OK);
        }
        assert_int_equal(
            kms_fixture_unseal(fixture->kms, (struct kms_place){T, slot + 101, 71}, &ranged),
            status == KL_OK ? KL_ERR_CORRUPT : KL_OK);
        kl_buf_done(&ranged);
        assert_int_equal(kms_place_check(fixture->kms, &(struct kms_place){T, slot + 3, 1}, NULL),
                         KL_OK);
    }
    assert_true(failed > 10);
}

static void test_using_a_key_without_memory_can_be_tried_again(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_place place = {T, 70, 5};
    struct kl_slice context = kl_slice_text("c");
    struct kl_buf sealed;
    unsigned failed = 0;

    kl_buf_init(&sealed, 1024);
    assert_int_equal(kms_seal(fixture->kms, &place, context, kl_slice_text("t"), &sealed, NULL),
                     KL_OK);
    assert_int_equal(
        kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, (struct kms_place){T, 70, 6}), KL_OK);
    long tries = 0;
    for (bool hit = true; hit; tries++) {
        struct kl_buf plain;
        enum kl_status status;

        kms_fixture_reopen(fixture);
        kl_buf_init(&plain, 64);
        no_memory_begin(tries);
        status = kms_unseal(fixture->kms, &place, context, kl_buf_slice(&sealed), &plain, NULL);
        hit = no_memory_end();
        if (status != KL_OK) {
            assert_int_equal(status, KL_ERR_NO_MEMORY);
            assert_int_equal(plain.size, 0);
            failed++;
        }
        kl_buf_done(&plain);
        kl_buf_init(&plain, 64);
        assert_int_equal(
            kms_unseal(fixture->kms, &place, context, kl_buf_slice(&sealed), &plain, NULL), KL_OK);
        kl_buf_done(&plain);
    }
    assert_true(failed > 3);
    kl_buf_done(&sealed);
}

static void test_taking_numbers_without_memory_loses_none(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t previous = 0;
    long tries = 0;

    for (bool hit = true; hit; tries++) {
        uint64_t first = 0;
        enum kl_status status;

        kms_fixture_reopen(fixture);
        no_memory_begin(tries);
        status = kms_slot_take(fixture->kms, KMS_TENANT_VAULT, 1, &first, NULL);
        hit = no_memory_end();
        assert_true(status == KL_OK || status == KL_ERR_NO_MEMORY);
        if (status != KL_OK) {
            assert_int_equal(kms_slot_take(fixture->kms, KMS_TENANT_VAULT, 1, &first, NULL), KL_OK);
        }
        assert_true(first > previous);
        previous = first;
    }
    assert_true(tries > 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kms_fixture_setup, kms_fixture_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_create_and_open_without_memory_leave_nothing,
                                        kms_fixture_setup_empty, kms_fixture_teardown),
        TEST(test_a_commit_without_memory_is_done_or_not_begun),
        TEST(test_using_a_key_without_memory_can_be_tried_again),
        TEST(test_taking_numbers_without_memory_loses_none),
    };

    return cmocka_run_group_tests_name("no_memory", tests, NULL, NULL);
}
