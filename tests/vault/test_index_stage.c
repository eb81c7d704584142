/* Erasures in the index: what is rekeyed, what both versions get, and what somebody with all old bytes can still read. */
#include "tests/support/index_fixture.h"
#include "tests/support/test.h"
#include "vault/index_rows.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define ADD VAULT_INDEX_ADD
#define REMOVE VAULT_INDEX_REMOVE
#define SUBJECTS 200
#define PER_SUBJECT 3

static uint64_t spread(uint64_t i)
{
    i = (i ^ (i >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    i = (i ^ (i >> 27)) * UINT64_C(0x94d049bb133111eb);
    return i ^ (i >> 31);
}

/* The i-th entry of a subject: an id, a value of its own, and one that it shares with others. */
static struct vault_index_entry entry_of(uint64_t slot, uint64_t i)
{
    uint64_t what = i == 2 ? 1000000 + slot % 5 : slot * 8 + i;
    return index_fixture_entry(spread(what), what, slot, i);
}

static void entries_of(uint64_t slot, struct vault_index_entry ret[PER_SUBJECT])
{
    for (uint64_t i = 0; i < PER_SUBJECT; i++) {
        ret[i] = entry_of(slot, i);
    }
}

static void add_subject(struct index_fixture *fixture, uint64_t slot)
{
    for (uint64_t i = 0; i < PER_SUBJECT; i++) {
        assert_int_equal(index_fixture_change(fixture, ADD, entry_of(slot, i), NULL), KL_OK);
    }
}

/* Subjects in slots that were really taken. */
static uint64_t add_subjects(struct index_fixture *fixture, uint32_t count)
{
    uint64_t first = 0;
    assert_int_equal(kms_slot_take(fixture->base->keys->kms, fixture->tenant, count, &first, NULL),
                     KL_OK);
    for (uint64_t slot = first; slot < first + count; slot++) {
        add_subject(fixture, slot);
        if (slot % 3 == 0) {
            index_fixture_commit(fixture);
        }
    }
    index_fixture_commit(fixture);
    return first;
}

static bool has_all(struct index_fixture *fixture, uint64_t slot)
{
    size_t count = 0;
    for (uint64_t i = 0; i < PER_SUBJECT; i++) {
        count += index_fixture_has(fixture, entry_of(slot, i)) ? 1 : 0;
    }
    assert_true(count == 0 || count == PER_SUBJECT);
    return count == PER_SUBJECT;
}

static enum kl_status erase(struct index_fixture *fixture, uint64_t slot)
{
    struct vault_index_entry entries[PER_SUBJECT];
    entries_of(slot, entries);
    return index_fixture_erase(fixture, slot, entries, PER_SUBJECT, NULL);
}

static void tidy(struct index_fixture *fixture)
{
    assert_int_equal(vault_index_tidy(fixture->index, fixture->group, NULL), KL_OK);
    index_fixture_commit(fixture);
}

static void test_an_erased_subject_is_gone_and_the_others_stay(void **state)
{
    struct index_fixture *fixture = *state;
    uint64_t first = add_subjects(fixture, SUBJECTS);
    for (uint64_t slot = first; slot < first + SUBJECTS; slot += 4) {
        assert_int_equal(erase(fixture, slot), KL_OK);
    }
    for (int round = 0; round < 2; round++) {
        for (uint64_t slot = first; slot < first + SUBJECTS; slot++) {
            assert_int_equal(has_all(fixture, slot), (slot - first) % 4 != 0);
        }
        index_fixture_reopen(fixture);
    }
}

static void test_old_rows_of_an_erased_subject_open_for_nobody(void **state)
{
    struct index_fixture *fixture = *state;
    size_t opened = 0;
    uint64_t first = add_subjects(fixture, SUBJECTS);
    /* The hoarder is not blind: it finds everybody before, and the others after. */
    assert_true(index_fixture_hoarder_finds(fixture, first + 7, NULL) >= PER_SUBJECT);
    assert_int_equal(erase(fixture, first + 7), KL_OK);
    assert_int_equal(index_fixture_hoarder_finds(fixture, first + 7, &opened), 0);
    assert_true(opened > 0);
    for (uint64_t slot = first; slot < first + SUBJECTS; slot++) {
        if (slot != first + 7) {
            assert_true(index_fixture_hoarder_finds(fixture, slot, NULL) >= PER_SUBJECT);
        }
    }
}

static void test_entries_removed_earlier_go_with_the_subject(void **state)
{
    struct index_fixture *fixture = *state;
    struct vault_index_entry entries[PER_SUBJECT + 1];
    uint64_t first = add_subjects(fixture, 20);
    uint64_t slot = first + 3;
    entries_of(slot, entries);
    entries[PER_SUBJECT] = index_fixture_entry(spread(999), 999, slot, 9);
    index_fixture_do(fixture, ADD, entries[PER_SUBJECT]);
    index_fixture_do(fixture, REMOVE, entries[PER_SUBJECT]);
    add_subjects(fixture, SUBJECTS);
    assert_int_equal(index_fixture_erase(fixture, slot, entries, PER_SUBJECT + 1, NULL), KL_OK);
    assert_int_equal(index_fixture_hoarder_finds(fixture, slot, NULL), 0);
}

static void test_one_entry_of_a_subject_goes_and_the_others_stay(void **state)
{
    struct index_fixture *fixture = *state;
    uint64_t first = add_subjects(fixture, SUBJECTS);
    struct vault_index_entry gone = entry_of(first + 9, 1);
    size_t before = index_fixture_hoarder_finds(fixture, first + 9, NULL);
    assert_int_equal(index_fixture_erase_entry(fixture, gone, NULL), KL_OK);
    assert_false(index_fixture_has(fixture, gone));
    assert_true(index_fixture_has(fixture, entry_of(first + 9, 0)));
    assert_true(index_fixture_has(fixture, entry_of(first + 9, 2)));
    assert_true(index_fixture_hoarder_finds(fixture, first + 9, NULL) < before);
    for (uint64_t slot = first; slot < first + SUBJECTS; slot++) {
        assert_true(slot == first + 9 || has_all(fixture, slot));
    }
}

static void test_any_history_of_erasures_leaves_nothing_of_the_erased(void **state)
{
    struct index_fixture *fixture = *state;
    uint64_t first = add_subjects(fixture, 60);
    uint64_t count = 60;
    bool erased[400] = {false};
    uint64_t random = 7;
    for (int step = 0; step < 25; step++) {
        random = spread(random + 1);
        uint64_t victim = random % count;
        assert_int_equal(erase(fixture, first + victim), KL_OK);
        erased[victim] = true;
        if (step % 3 == 0) {
            tidy(fixture);
        }
        if (step % 4 == 1) {
            assert_int_equal(add_subjects(fixture, 10) > first, true);
        }
        if (step % 10 == 9) {
            index_fixture_reopen(fixture);
        }
    }
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(has_all(fixture, first + i), !erased[i]);
        size_t found = index_fixture_hoarder_finds(fixture, first + i, NULL);
        assert_true(erased[i] ? found == 0 : found >= PER_SUBJECT);
    }
}

/* ---- changes while an erasure is under way ---- */

static void add_beside(struct index_fixture *fixture)
{
    uint64_t *next = fixture->own;
    for (int i = 0; i < 40; i++) {
        add_subject(fixture, (*next)++);
        if (i % 6 == 0) {
            index_fixture_commit(fixture);
        }
    }
    index_fixture_commit(fixture);
}

static void assert_beside(struct index_fixture *fixture, uint64_t from, uint64_t to)
{
    assert_true(to > from);
    for (uint64_t slot = from; slot < to; slot++) {
        assert_true(has_all(fixture, slot));
    }
}

static void test_changes_while_staged_are_in_both_versions(void **state)
{
    struct index_fixture *fixture = *state;
    uint64_t first = add_subjects(fixture, SUBJECTS);
    uint64_t next = first + 10000;
    fixture->own = &next;
    fixture->staged = add_beside;
    assert_int_equal(erase(fixture, first), KL_OK);
    assert_beside(fixture, first + 10000, next);
    assert_false(has_all(fixture, first));
    uint64_t between = next;

    fixture->fail_prepare = true;
    assert_int_equal(erase(fixture, first + 1), KL_ERR_BUSY);
    assert_beside(fixture, first + 10000, next);
    assert_true(next > between);
    assert_true(has_all(fixture, first + 1));
    index_fixture_reopen(fixture);
    assert_beside(fixture, first + 10000, next);
    assert_true(has_all(fixture, first + 1));
}

/* Buckets take slots on the leader's thread while the key commit waits for that thread: past every reserved block. */
static void take_many_slots(struct index_fixture *fixture)
{
    uint64_t taken = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kms_slot_take(fixture->base->keys->kms, fixture->tenant, KMS_RESERVE_BLOCK,
                                       &taken, NULL),
                         KL_OK);
    }
}

static void test_slots_can_be_taken_while_an_erasure_is_staged(void **state)
{
    struct index_fixture *fixture = *state;
    uint64_t first = add_subjects(fixture, SUBJECTS);
    fixture->staged = take_many_slots;
    fixture->swapped = take_many_slots;
    assert_int_equal(erase(fixture, first), KL_OK);
    assert_false(has_all(fixture, first));
}

static void test_changes_between_the_swap_and_its_news_are_kept(void **state)
{
    struct index_fixture *fixture = *state;
    uint64_t first = add_subjects(fixture, SUBJECTS);
    uint64_t next = first + 10000;
    fixture->own = &next;
    fixture->swapped = add_beside;
    for (uint64_t i = 0; i < 5; i++) {
        assert_int_equal(erase(fixture, first + i), KL_OK);
        assert_beside(fixture, first + 10000, next);
        assert_false(has_all(fixture, first + i));
    }
    assert_beside(fixture, first + 5, first + SUBJECTS);
}

/* A group that is open when the keys change: its buckets were read before. */
static void change_without_commit(struct index_fixture *fixture)
{
    uint64_t *next = fixture->own;
    for (int i = 0; i < 25; i++) {
        add_subject(fixture, (*next)++);
    }
}

static void test_a_group_open_across_the_swap_goes_to_the_version_that_counts(void **state)
{
    struct index_fixture *fixture = *state;
    uint64_t first = add_subjects(fixture, SUBJECTS);
    uint64_t next = first + 10000;
    fixture->own = &next;
    fixture->staged = change_without_commit;
    assert_int_equal(erase(fixture, first), KL_OK);
    change_without_commit(fixture);
    index_fixture_commit(fixture);
    assert_beside(fixture, first + 10000, next);
    assert_beside(fixture, first + 1, first + SUBJECTS);
    assert_false(has_all(fixture, first));
    assert_int_equal(index_fixture_hoarder_finds(fixture, first, NULL), 0);
}

static void test_a_crash_between_stage_and_commit_changes_nothing(void **state)
{
    struct index_fixture *fixture = *state;
    uint64_t first = add_subjects(fixture, SUBJECTS);
    uint64_t next = first + 10000;
    fixture->own = &next;
    fixture->staged = add_beside; /* so that what was staged has deltas too */
    for (int round = 0; round < 3; round++) {
        fixture->fail_prepare = true;
        assert_int_equal(erase(fixture, first + 2), KL_ERR_BUSY);
        index_fixture_reopen(fixture); /* what was staged is forgotten, its rows are there */
        assert_beside(fixture, first, first + SUBJECTS);
        add_subject(fixture, first + 20000 + (uint64_t)round);
        index_fixture_commit(fixture);
    }
    fixture->fail_prepare = false;
    assert_int_equal(erase(fixture, first + 2), KL_OK);
    assert_beside(fixture, first + 10000, next);
    assert_false(has_all(fixture, first + 2));
    assert_int_equal(index_fixture_hoarder_finds(fixture, first + 2, NULL), 0);
    assert_beside(fixture, first + 3, first + SUBJECTS);
    assert_beside(fixture, first + 20000, first + 20003);
    index_fixture_reopen(fixture);
    assert_beside(fixture, first + 3, first + SUBJECTS);
    assert_beside(fixture, first + 20000, first + 20003);
}

static void test_tidying_takes_what_no_longer_opens_and_nothing_else(void **state)
{
    struct index_fixture *fixture = *state;
    uint64_t first = add_subjects(fixture, SUBJECTS);
    for (uint64_t i = 0; i < 20; i++) {
        assert_int_equal(erase(fixture, first + i), KL_OK);
    }
    fixture->fail_prepare = true;
    assert_int_equal(erase(fixture, first + 50), KL_ERR_BUSY);
    size_t before = store_fixture_rows(fixture->base->store, 'B');
    tidy(fixture);
    size_t after = store_fixture_rows(fixture->base->store, 'B');
    assert_true(after < before);
    tidy(fixture);
    assert_int_equal(store_fixture_rows(fixture->base->store, 'B'), after);
    assert_beside(fixture, first + 20, first + SUBJECTS);
    index_fixture_reopen(fixture);
    assert_beside(fixture, first + 20, first + SUBJECTS);
}

/* ---- places ---- */

static void test_places_of_split_buckets_are_given_until_they_were_rekeyed(void **state)
{
    struct index_fixture *fixture = *state;
    struct kms_place places[64];
    size_t early = 0;
    size_t late = 0;
    uint64_t first = add_subjects(fixture, SUBJECTS);
    struct vault_index_entry one = entry_of(first + 9, 0);
    assert_int_equal(
        vault_index_places(fixture->index, fixture->tenant, &one, 1, places, 64, &early, NULL),
        KL_OK);
    vault_index_release(fixture->index, fixture->tenant, &one, 1);
    assert_true(early > 1);
    assert_int_equal(erase(fixture, first + 9), KL_OK);
    tidy(fixture);
    assert_int_equal(
        vault_index_places(fixture->index, fixture->tenant, &one, 1, places, 64, &late, NULL),
        KL_OK);
    vault_index_release(fixture->index, fixture->tenant, &one, 1);
    assert_int_equal(late, 1);
}

static void test_too_many_places_are_refused_and_nothing_is_held(void **state)
{
    struct index_fixture *fixture = *state;
    struct kms_place place = {.tenant = 4711};
    struct kl_err err = {.status = KL_OK};
    struct vault_index_entry entries[PER_SUBJECT];
    size_t count = 4711;
    uint64_t first = add_subjects(fixture, SUBJECTS);
    entries_of(first, entries);
    assert_int_equal(vault_index_places(fixture->index, fixture->tenant, entries, PER_SUBJECT,
                                        &place, 1, &count, &err),
                     KL_ERR_TOO_LARGE);
    assert_string_equal(err.code, "index_places_too_many");
    assert_int_equal(place.tenant, 4711);
    assert_int_equal(count, 4711);
    assert_int_equal(vault_index_reset(fixture->index, fixture->tenant, fixture->group, NULL),
                     KL_OK);
    index_fixture_commit(fixture);
}

static void test_a_held_bucket_does_not_split_until_it_is_released(void **state)
{
    struct index_fixture *fixture = *state;
    struct kms_place places[64];
    size_t count = 0;
    struct vault_index_entry held = index_fixture_entry(0, 0, 100, 0);
    index_fixture_do(fixture, ADD, held);
    assert_int_equal(
        vault_index_places(fixture->index, fixture->tenant, &held, 1, places, 64, &count, NULL),
        KL_OK);
    assert_int_equal(count, 1);
    for (uint64_t i = 0; i < 500; i++) {
        index_fixture_do(fixture, ADD, index_fixture_entry(spread(i), i, 200 + i, 0));
    }
    struct kms_place again[64];
    size_t again_count = 0;
    assert_int_equal(vault_index_places(fixture->index, fixture->tenant, &held, 1, again, 64,
                                        &again_count, NULL),
                     KL_OK);
    assert_int_equal(again_count, 1);
    assert_int_equal(again[0].slot, places[0].slot);
    vault_index_release(fixture->index, fixture->tenant, &held, 1);
    vault_index_release(fixture->index, fixture->tenant, &held, 1);
    index_fixture_do(fixture, ADD, index_fixture_entry(spread(500), 500, 700, 0));
    assert_int_equal(vault_index_places(fixture->index, fixture->tenant, &held, 1, again, 64,
                                        &again_count, NULL),
                     KL_OK);
    assert_true(again_count > 1);
    vault_index_release(fixture->index, fixture->tenant, &held, 1);
    for (uint64_t i = 0; i <= 500; i++) {
        assert_true(index_fixture_has(fixture, index_fixture_entry(spread(i), i, 200 + i, 0)));
    }
}

static void test_a_release_ends_no_hold_of_another_erasure(void **state)
{
    struct index_fixture *fixture = *state;
    struct kms_place places[64];
    size_t count = 0;
    struct vault_index_entry held = index_fixture_entry(0, 0, 100, 0);
    struct vault_index_entry others = held;
    index_fixture_do(fixture, ADD, held);
    assert_int_equal(
        vault_index_places(fixture->index, fixture->tenant, &held, 1, places, 64, &count, NULL),
        KL_OK);
    assert_int_equal(
        vault_index_places(fixture->index, fixture->tenant, &others, 1, places, 64, &count, NULL),
        KL_OK);
    vault_index_release(fixture->index, fixture->tenant, &others, 1);
    vault_index_release(fixture->index, fixture->tenant, &others, 1);
    for (uint64_t i = 0; i < 500; i++) {
        index_fixture_do(fixture, ADD, index_fixture_entry(spread(i), i, 200 + i, 0));
    }
    assert_int_equal(
        vault_index_places(fixture->index, fixture->tenant, &others, 1, places, 64, &count, NULL),
        KL_OK);
    assert_int_equal(count, 1); /* still held, so it did not split */
    vault_index_release(fixture->index, fixture->tenant, &others, 1);
    vault_index_release(fixture->index, fixture->tenant, &held, 1);
}

static void test_a_full_bucket_that_is_held_says_busy(void **state)
{
    struct index_fixture *fixture = *state;
    struct kms_place places[4];
    struct kl_err err = {.status = KL_OK};
    enum kl_status status = KL_OK;
    size_t count = 0;
    uint64_t i = 0;
    struct vault_index_entry held = index_fixture_entry(0, 0, 100, 0);
    index_fixture_do(fixture, ADD, held);
    assert_int_equal(
        vault_index_places(fixture->index, fixture->tenant, &held, 1, places, 4, &count, NULL),
        KL_OK);
    for (; i < 3000 && status == KL_OK; i++) {
        status =
            index_fixture_change(fixture, ADD, index_fixture_entry(spread(i), i, 200 + i, 0), &err);
    }
    assert_int_equal(status, KL_ERR_BUSY);
    assert_string_equal(err.code, "index_busy");
    index_fixture_commit(fixture);
    vault_index_release(fixture->index, fixture->tenant, &held, 1);
    index_fixture_do(fixture, ADD, index_fixture_entry(spread(i), i, 200 + i, 0));
    for (uint64_t j = 0; j < i - 1; j++) {
        assert_true(index_fixture_has(fixture, index_fixture_entry(spread(j), j, 200 + j, 0)));
    }
}

static void test_rekeyed_places_of_others_are_passed_over(void **state)
{
    struct index_fixture *fixture = *state;
    uint64_t first = add_subjects(fixture, 5);
    struct kms_place dying = {.tenant = fixture->tenant, .slot = first, .value = KMS_VALUE_NONE};
    struct kms_change changes[1] = {
        {KMS_CHANGE_REKEY, {fixture->tenant, first + 4000, KMS_VALUE_NONE}}};
    struct kms_request request = {.changes = changes, .changes_count = 1, .work = &dying};
    assert_int_equal(kms_commit(fixture->base->keys->kms, &request, NULL), KL_OK);
    assert_beside(fixture, first, first + 5);
}

/* ---- threads ---- */

struct readers {
    struct index_fixture *fixture;
    uint64_t first;
    uint64_t count;
    atomic_bool stop;
    atomic_size_t lookups;
    atomic_size_t misses;
};

static void *look_up(void *argument)
{
    struct readers *readers = argument;
    struct vault_index_entry found[SUBJECTS];
    for (uint64_t i = 0; !atomic_load(&readers->stop); i++) {
        struct vault_index_entry entry = entry_of(readers->first + spread(i) % readers->count, 0);
        size_t count = 0;
        enum kl_status status = vault_index_find(readers->fixture->index, readers->fixture->tenant,
                                                 entry.tag, 0, SUBJECTS, found, &count, NULL);
        if (status != KL_OK || count != 1 || found[0].slot != entry.slot) {
            atomic_fetch_add(&readers->misses, 1);
        }
        atomic_fetch_add(&readers->lookups, 1);
    }
    return NULL;
}

static void test_lookups_beside_changes_and_erasures_always_find(void **state)
{
    struct index_fixture *fixture = *state;
    pthread_t threads[3];
    struct readers readers = {.fixture = fixture, .count = 50};
    readers.first = add_subjects(fixture, 50);
    uint64_t others = add_subjects(fixture, 100);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, look_up, &readers), 0);
    }
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(erase(fixture, others + i), KL_OK);
        add_subjects(fixture, 4);
        if (i % 5 == 0) {
            tidy(fixture);
        }
    }
    atomic_store(&readers.stop, true);
    for (size_t i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_true(atomic_load(&readers.lookups) > 0);
    assert_int_equal(atomic_load(&readers.misses), 0);
}

int main(void)
{
#define STAGE_TEST(test) \
    cmocka_unit_test_setup_teardown(test, index_fixture_setup, index_fixture_teardown)
    const struct CMUnitTest tests[] = {
        STAGE_TEST(test_an_erased_subject_is_gone_and_the_others_stay),
        STAGE_TEST(test_old_rows_of_an_erased_subject_open_for_nobody),
        STAGE_TEST(test_entries_removed_earlier_go_with_the_subject),
        STAGE_TEST(test_one_entry_of_a_subject_goes_and_the_others_stay),
        STAGE_TEST(test_any_history_of_erasures_leaves_nothing_of_the_erased),
        STAGE_TEST(test_changes_while_staged_are_in_both_versions),
        STAGE_TEST(test_slots_can_be_taken_while_an_erasure_is_staged),
        STAGE_TEST(test_changes_between_the_swap_and_its_news_are_kept),
        STAGE_TEST(test_a_group_open_across_the_swap_goes_to_the_version_that_counts),
        STAGE_TEST(test_a_crash_between_stage_and_commit_changes_nothing),
        STAGE_TEST(test_tidying_takes_what_no_longer_opens_and_nothing_else),
        STAGE_TEST(test_places_of_split_buckets_are_given_until_they_were_rekeyed),
        STAGE_TEST(test_too_many_places_are_refused_and_nothing_is_held),
        STAGE_TEST(test_a_held_bucket_does_not_split_until_it_is_released),
        STAGE_TEST(test_a_release_ends_no_hold_of_another_erasure),
        STAGE_TEST(test_a_full_bucket_that_is_held_says_busy),
        STAGE_TEST(test_rekeyed_places_of_others_are_passed_over),
        STAGE_TEST(test_lookups_beside_changes_and_erasures_always_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
