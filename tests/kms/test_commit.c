/* Shredding and rekeying: exactly what was named changes, everything else stays. */
#include "tests/support/kms_fixture.h"

#include "kms/geometry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define T 1

/* Numbers on both sides of every border of the tree, in its first levels. */
static const uint64_t numbers[] = {
    0,    1,     63,      64,      65,      127,     128,     8191,      8255,       8256,
    8257, 16447, 1000000, 1056831, 1056832, 1056833, 5000000, 135274560, 2000000000, KMS_SLOT_MAX};
#define NUMBERS (sizeof numbers / sizeof numbers[0])

static struct kms_place slot_at(uint64_t number)
{
    return (struct kms_place){T, number, KMS_VALUE_NONE};
}

static struct kms_place value_at(uint64_t number)
{
    return (struct kms_place){T, 7777, number};
}

static struct kms_place tenant_at(uint64_t number)
{
    return (struct kms_place){number, 100, KMS_VALUE_NONE};
}

/* Shred one number after the other; each time exactly the shredded ones are gone, in memory and after a reopen. */
static void shred_all_of(struct kms_fixture *fixture, struct kms_place (*place_at)(uint64_t),
                         bool tenants)
{
    struct kl_buf sealed[NUMBERS];

    for (size_t i = 0; i < NUMBERS; i++) {
        kms_fixture_seal(fixture->kms, place_at(numbers[i]), &sealed[i]);
    }
    for (size_t gone = 0; gone < NUMBERS; gone++) {
        struct kms_place place = place_at(numbers[gone]);

        if (tenants) {
            place.slot = KMS_SLOT_NONE;
        }
        assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, place), KL_OK);
        if (gone % 5 == 4) {
            kms_fixture_reopen(fixture);
        }
        for (size_t i = 0; i < NUMBERS; i++) {
            assert_int_equal(kms_fixture_unseal(fixture->kms, place_at(numbers[i]), &sealed[i]),
                             i <= gone ? KL_ERR_GONE : KL_OK);
        }
    }
    for (size_t i = 0; i < NUMBERS; i++) {
        kl_buf_done(&sealed[i]);
    }
}

static void test_shred_takes_exactly_the_named_slot(void **state)
{
    shred_all_of(*state, slot_at, false);
}

static void test_shred_takes_exactly_the_named_value(void **state)
{
    shred_all_of(*state, value_at, false);
}

static void test_shred_takes_exactly_the_named_tenant(void **state)
{
    shred_all_of(*state, tenant_at, true);
}

static void test_shred_of_a_slot_takes_its_values(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_place kept = {T, 64, 5};
    struct kms_place lost = {T, 65, 5};
    struct kms_place lost_too = {T, 65, 100000};
    struct kl_buf sealed[3];

    kms_fixture_seal(fixture->kms, kept, &sealed[0]);
    kms_fixture_seal(fixture->kms, lost, &sealed[1]);
    kms_fixture_seal(fixture->kms, lost_too, &sealed[2]);
    /* Both subjects have pages of their own before. */
    assert_int_equal(
        kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, (struct kms_place){T, 64, 6}), KL_OK);
    assert_int_equal(
        kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, (struct kms_place){T, 65, 6}), KL_OK);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED,
                                        (struct kms_place){T, 65, KMS_VALUE_NONE}),
                     KL_OK);
    assert_int_equal(kms_fixture_unseal(fixture->kms, kept, &sealed[0]), KL_OK);
    assert_int_equal(kms_fixture_unseal(fixture->kms, lost, &sealed[1]), KL_ERR_GONE);
    assert_int_equal(kms_fixture_unseal(fixture->kms, lost_too, &sealed[2]), KL_ERR_GONE);
    for (size_t i = 0; i < 3; i++) {
        kl_buf_done(&sealed[i]);
    }
}

static void test_shred_of_what_is_gone_changes_nothing(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kl_buf sealed;

    kms_fixture_seal(fixture->kms, slot_at(64), &sealed);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, slot_at(65)), KL_OK);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, slot_at(65)), KL_OK);
    assert_int_equal(
        kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, (struct kms_place){T, 65, 3}), KL_OK);
    assert_int_equal(kms_fixture_unseal(fixture->kms, slot_at(64), &sealed), KL_OK);
    assert_int_equal(
        kms_place_check(fixture->kms, &(struct kms_place){T, 65, KMS_VALUE_NONE}, NULL),
        KL_ERR_GONE);
    kl_buf_done(&sealed);
}

static void test_shredding_a_whole_leaf_removes_its_page(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_change changes[KMS_LEAF_ENTRIES];
    struct kms_request request = {.changes = changes, .changes_count = KMS_LEAF_ENTRIES};
    uint64_t rows;
    struct kl_buf sealed;

    kms_fixture_seal(fixture->kms, slot_at(64 + KMS_LEAF_ENTRIES), &sealed);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, slot_at(70)), KL_OK);
    rows = memory_storage_counts(fixture->storage).rows;
    for (size_t i = 0; i < KMS_LEAF_ENTRIES; i++) {
        changes[i] = (struct kms_change){KMS_CHANGE_SHRED, slot_at(64 + i)};
    }
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
    assert_int_equal(memory_storage_counts(fixture->storage).rows, rows - 1);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_place_check(fixture->kms, &changes[0].place, NULL), KL_ERR_GONE);
    assert_int_equal(kms_fixture_unseal(fixture->kms, slot_at(64 + KMS_LEAF_ENTRIES), &sealed),
                     KL_OK);
    kl_buf_done(&sealed);
}

static void test_rekey_closes_the_old_and_serves_the_new(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kl_buf old;
    struct kl_buf other;
    struct kl_buf fresh;

    kms_fixture_seal(fixture->kms, slot_at(200), &old);
    kms_fixture_seal(fixture->kms, slot_at(201), &other);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_REKEY, slot_at(200)), KL_OK);
    assert_int_equal(kms_fixture_unseal(fixture->kms, slot_at(200), &old), KL_ERR_CORRUPT);
    assert_int_equal(kms_fixture_unseal(fixture->kms, slot_at(201), &other), KL_OK);
    kms_fixture_seal(fixture->kms, slot_at(200), &fresh);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_fixture_unseal(fixture->kms, slot_at(200), &fresh), KL_OK);
    assert_int_equal(kms_fixture_unseal(fixture->kms, slot_at(200), &old), KL_ERR_CORRUPT);
    kl_buf_done(&old);
    kl_buf_done(&other);
    kl_buf_done(&fresh);
}

static void test_rekey_of_a_subject_gives_all_its_values_fresh_keys(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_place value = {T, 300, 5};
    struct kl_buf old;
    struct kl_buf fresh;

    kms_fixture_seal(fixture->kms, value, &old);
    /* The subject has pages before, and gets others after; both lie at the same addresses. */
    assert_int_equal(
        kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, (struct kms_place){T, 300, 6}), KL_OK);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_REKEY,
                                        (struct kms_place){T, 300, KMS_VALUE_NONE}),
                     KL_OK);
    assert_int_equal(kms_fixture_unseal(fixture->kms, value, &old), KL_ERR_CORRUPT);
    kms_fixture_seal(fixture->kms, value, &fresh);
    assert_int_equal(
        kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, (struct kms_place){T, 300, 7}), KL_OK);
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_fixture_unseal(fixture->kms, value, &fresh), KL_OK);
    assert_int_equal(kms_place_check(fixture->kms, &(struct kms_place){T, 300, 6}, NULL), KL_OK);
    assert_int_equal(kms_place_check(fixture->kms, &(struct kms_place){T, 300, 7}, NULL),
                     KL_ERR_GONE);
    kl_buf_done(&old);
    kl_buf_done(&fresh);
}

static void test_rekey_of_what_is_gone_is_refused(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_state before;
    struct kms_state after;

    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, slot_at(64)), KL_OK);
    kms_state(fixture->kms, &before);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_REKEY, slot_at(64)), KL_ERR_GONE);
    kms_state(fixture->kms, &after);
    assert_int_equal(after.generation, before.generation);
}

static void test_a_shred_wins_over_a_rekey_of_the_same_commit(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_change changes[] = {{KMS_CHANGE_REKEY, slot_at(64)},
                                   {KMS_CHANGE_SHRED, slot_at(64)},
                                   {KMS_CHANGE_REKEY, {T, 65, 9}},
                                   {KMS_CHANGE_SHRED, slot_at(65)}};
    struct kms_request request = {.changes = changes, .changes_count = 4};

    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
    assert_int_equal(kms_place_check(fixture->kms, &changes[0].place, NULL), KL_ERR_GONE);
    assert_int_equal(kms_place_check(fixture->kms, &changes[2].place, NULL), KL_ERR_GONE);
}

static void test_a_commit_without_changes_turns_the_root_key(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char before[KMS_FIXTURE_ROOT_BYTES];
    unsigned char after[KMS_FIXTURE_ROOT_BYTES];
    struct kms_request request = {.note = "turned", .note_bytes = 6};
    struct kms_state state_before;
    struct kms_state state_after;
    struct kl_buf sealed;

    kms_fixture_seal(fixture->kms, slot_at(64), &sealed);
    kms_state(fixture->kms, &state_before);
    kms_fixture_root_read(fixture, before);
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
    kms_fixture_root_read(fixture, after);
    kms_state(fixture->kms, &state_after);
    assert_int_equal(state_after.generation, state_before.generation + 1);
    assert_int_equal(request.ret_generation, state_after.generation);
    assert_int_equal(state_after.commits, state_before.commits + 1);
    assert_true(state_after.old_root_destroyed);
    assert_true(state_after.root_key_since_us >= state_before.root_key_since_us);
    /* One slot was overwritten, the staged key of the other came into use as it was. */
    assert_int_equal(memcmp(before, after, 4096) != 0,
                     1 - (memcmp(before + 4096, after + 4096, 4096) != 0));
    assert_int_equal(kms_fixture_unseal(fixture->kms, slot_at(64), &sealed), KL_OK);
    kl_buf_done(&sealed);
}

static void test_requests_outside_the_limits_are_refused(void **state)
{
    struct kms_fixture *fixture = *state;
    static unsigned char note[KMS_NOTE_MAX_BYTES + 1];
    struct kms_change change = {KMS_CHANGE_SHRED,
                                {KMS_SLOT_MAX + 1, KMS_SLOT_NONE, KMS_VALUE_NONE}};
    struct kms_request request = {.note = note, .note_bytes = sizeof note, .ret_generation = 77};
    struct kl_err err = {0};

    assert_int_equal(kms_commit(fixture->kms, &request, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "key_note_too_large");
    kl_err_clear(&err);
    request.note_bytes = 0;
    request.changes = &change;
    request.changes_count = KMS_CHANGES_MAX + 1;
    assert_int_equal(kms_commit(fixture->kms, &request, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "key_changes_too_many");
    kl_err_clear(&err);
    request.changes_count = 1;
    assert_int_equal(kms_commit(fixture->kms, &request, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "key_place_invalid");
    kl_err_clear(&err);
    change.place = (struct kms_place){T, KMS_SLOT_NONE, 5};
    assert_int_equal(kms_commit(fixture->kms, &request, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "key_place_invalid");
    assert_int_equal(request.ret_generation, 77);
}

static void test_the_largest_request_is_one_commit(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_change *changes = test_calloc(KMS_CHANGES_MAX, sizeof *changes);
    struct kms_request request = {.changes = changes, .changes_count = KMS_CHANGES_MAX};
    struct kms_place after = slot_at(64 + KMS_CHANGES_MAX);
    struct kl_buf sealed;

    for (size_t i = 0; i < KMS_CHANGES_MAX; i++) {
        changes[i] = (struct kms_change){KMS_CHANGE_SHRED, slot_at(64 + KMS_CHANGES_MAX - 1 - i)};
    }
    kms_fixture_seal(fixture->kms, after, &sealed);
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
    assert_int_equal(kms_place_check(fixture->kms, &changes[0].place, NULL), KL_ERR_GONE);
    assert_int_equal(kms_place_check(fixture->kms, &changes[KMS_CHANGES_MAX - 1].place, NULL),
                     KL_ERR_GONE);
    assert_int_equal(kms_fixture_unseal(fixture->kms, after, &sealed), KL_OK);
    kl_buf_done(&sealed);
    test_free(changes);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kms_fixture_setup, kms_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_shred_takes_exactly_the_named_slot),
        TEST(test_shred_takes_exactly_the_named_value),
        TEST(test_shred_takes_exactly_the_named_tenant),
        TEST(test_shred_of_a_slot_takes_its_values),
        TEST(test_shred_of_what_is_gone_changes_nothing),
        TEST(test_shredding_a_whole_leaf_removes_its_page),
        TEST(test_rekey_closes_the_old_and_serves_the_new),
        TEST(test_rekey_of_a_subject_gives_all_its_values_fresh_keys),
        TEST(test_rekey_of_what_is_gone_is_refused),
        TEST(test_a_shred_wins_over_a_rekey_of_the_same_commit),
        TEST(test_a_commit_without_changes_turns_the_root_key),
        TEST(test_requests_outside_the_limits_are_refused),
        TEST(test_the_largest_request_is_one_commit),
    };

    return cmocka_run_group_tests_name("commit", tests, NULL, NULL);
}
