/* From the root page to a place, while pages come from the disk and commits change them. */
#include "kms/walk.h"

#include "tests/support/kms_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define T 1
#define YIELDS 2000

static const struct kms_place place = {T, 70, 5};

static void shred(struct kms *kms, struct kms_place at)
{
    assert_int_equal(kms_fixture_change(kms, KMS_CHANGE_SHRED, at), KL_OK);
}

/* Pages of the tenant and of the subject are on the disk; only the root page is in memory. */
static void only_root_in_memory(struct kms_fixture *fixture)
{
    struct kms_state now;

    shred(fixture->kms, (struct kms_place){T, 70, 6});
    kms_fixture_reopen(fixture);
    kms_state(fixture->kms, &now);
    assert_int_equal(now.pages_cached, 1);
}

static void test_pages_are_read_once(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t gets;

    only_root_in_memory(fixture);
    gets = memory_storage_counts(fixture->storage).gets;
    assert_int_equal(kms_walk_check(fixture->kms, &place, NULL), KL_OK);
    /* Store leaf; tenant spine, interior, leaf; subject spine, leaf. */
    assert_int_equal(memory_storage_counts(fixture->storage).gets, gets + 6);
    assert_int_equal(kms_walk_check(fixture->kms, &place, NULL), KL_OK);
    assert_int_equal(memory_storage_counts(fixture->storage).gets, gets + 6);
}

static void test_derived_places_need_no_page(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t gets = memory_storage_counts(fixture->storage).gets;

    for (uint64_t slot = 0; slot < 1000; slot++) {
        struct kms_place at = {slot % 7, slot * 1000003, slot * 31};

        assert_int_equal(kms_walk_check(fixture->kms, &at, NULL), KL_OK);
    }
    assert_int_equal(memory_storage_counts(fixture->storage).gets, gets);
}

/* ---- a commit comes between the reading of a row and its use ---- */

struct intruder {
    struct kms_fixture *fixture;
    int in;           /* how many gets are let pass first */
    unsigned commits; /* how many to make */
};

static void intrude(void *watcher, bool after)
{
    struct intruder *intruder = watcher;

    (void)after;
    if (intruder->in > 0) {
        intruder->in--;
        return;
    }
    memory_storage_watch_gets(intruder->fixture->storage, NULL, NULL);
    for (unsigned i = 0; i < intruder->commits; i++) {
        shred(intruder->fixture->kms, (struct kms_place){T, 71 + i, KMS_VALUE_NONE});
    }
}

static void test_a_commit_between_reading_and_using_a_row_is_no_damage(void **state)
{
    struct kms_fixture *fixture = *state;

    for (int in = 0; in < 6; in++) {
        struct intruder intruder = {fixture, in, 1};

        only_root_in_memory(fixture);
        memory_storage_watch_gets(fixture->storage, intrude, &intruder);
        assert_int_equal(kms_walk_check(fixture->kms, &place, NULL), KL_OK);
        assert_int_equal(intruder.in, 0);
    }
}

static void shred_beside(void *watcher, bool after)
{
    struct intruder *intruder = watcher;

    (void)after;
    if (intruder->in-- > 0) {
        return;
    }
    memory_storage_watch_gets(intruder->fixture->storage, NULL, NULL);
    shred(intruder->fixture->kms, (struct kms_place){T, 70, 7 + intruder->commits});
    intruder->commits++;
}

/* In a full cache a commit does not put its new pages; the row that was read is older than its parent in memory. */
static void test_a_row_older_than_its_parent_is_read_again(void **state)
{
    struct kms_fixture *fixture = *state;
    struct intruder intruder = {.fixture = fixture};
    struct kms_state now;

    fixture->options.pages_max = 64;
    for (uint64_t slot = 64; slot < 64 + 40; slot++) {
        shred(fixture->kms, (struct kms_place){2, slot, 1});
    }
    for (int in = 0; in < 6; in++) {
        only_root_in_memory(fixture);
        for (uint64_t slot = 64; slot < 64 + 40; slot++) {
            assert_int_equal(kms_walk_check(fixture->kms, &(struct kms_place){2, slot, 2}, NULL),
                             KL_OK);
        }
        kms_state(fixture->kms, &now);
        assert_int_equal(now.pages_cached, 64);
        /* The store's leaf is in memory, so five pages are read. */
        intruder.in = in < 5 ? in : 0;
        memory_storage_watch_gets(fixture->storage, shred_beside, &intruder);
        assert_int_equal(kms_walk_check(fixture->kms, &place, NULL), KL_OK);
    }
    assert_int_equal(intruder.commits, 6);
}

static void shred_place(void *watcher, bool after)
{
    struct kms_fixture *fixture = watcher;

    (void)after;
    memory_storage_watch_gets(fixture->storage, NULL, NULL);
    shred(fixture->kms, (struct kms_place){T, 70, KMS_VALUE_NONE});
}

static void test_a_shred_between_reading_and_using_a_row_wins(void **state)
{
    struct kms_fixture *fixture = *state;

    only_root_in_memory(fixture);
    memory_storage_watch_gets(fixture->storage, shred_place, fixture);
    assert_int_equal(kms_walk_check(fixture->kms, &place, NULL), KL_ERR_GONE);
}

/* ---- a reader comes between the batch of a commit and its swap ---- */

struct reader {
    struct kms_fixture *fixture;
    pthread_t thread;
    atomic_bool started;
    bool running;
    enum kl_status status;
};

static void *read_place(void *argument)
{
    struct reader *reader = argument;

    atomic_store(&reader->started, true);
    reader->status = kms_walk_check(reader->fixture->kms, &place, NULL);
    return NULL;
}

/* The rows are new now, the pages in memory still old. Give the reader the processor for a while. */
static void let_read(void *watcher, bool after)
{
    struct reader *reader = watcher;

    if (!after || reader->running) {
        return;
    }
    reader->running = true;
    assert_int_equal(pthread_create(&reader->thread, NULL, read_place, reader), 0);
    while (!atomic_load(&reader->started)) {
        (void)sched_yield();
    }
    for (unsigned i = 0; i < YIELDS; i++) {
        (void)sched_yield();
    }
}

static void test_a_reader_waits_for_a_commit_that_is_on_its_way(void **state)
{
    struct kms_fixture *fixture = *state;
    struct reader reader = {.fixture = fixture, .status = KL_ERR_INTERNAL};

    only_root_in_memory(fixture);
    memory_storage_watch_applies(fixture->storage, let_read, &reader);
    shred(fixture->kms, (struct kms_place){T, 71, KMS_VALUE_NONE});
    assert_int_equal(pthread_join(reader.thread, NULL), 0);
    assert_int_equal(reader.status, KL_OK);
}

static void test_a_missing_page_is_damage(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kl_slice key;
    size_t bytes = 0;

    only_root_in_memory(fixture);
    for (size_t i = 0; memory_storage_row(fixture->storage, i, &key, &bytes) != NULL; i++) {
        if (key.bytes[0] == 'P' && key.bytes[1] == KMS_TREE_SUBJECT) {
            memory_storage_put(fixture->storage, key, (struct kl_slice){NULL, 0});
            break;
        }
    }
    assert_int_equal(kms_walk_check(fixture->kms, &place, NULL), KL_ERR_CORRUPT);
    assert_int_equal(kms_walk_check(fixture->kms, &(struct kms_place){T, 71, 5}, NULL), KL_OK);
}

static void test_a_value_is_walked_to_from_its_slot(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_place slot = {T, 70, KMS_VALUE_NONE};
    struct kms_place gone = {T, 70, 6};
    unsigned char whole[KMS_KEY_BYTES];
    unsigned char in_two[KMS_KEY_BYTES];
    struct kms_node at_slot;
    struct kms_node at_value;

    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(kms_walk_begin(fixture->kms, &place, &at_value, NULL), KL_OK);
        assert_int_equal(kms_node_key(&at_value, whole, NULL), KL_OK);
        kms_walk_end(&at_value);
        assert_int_equal(kms_walk_begin(fixture->kms, &slot, &at_slot, NULL), KL_OK);
        assert_int_equal(kms_walk_on(fixture->kms, &at_slot, &place, &at_value, NULL), KL_OK);
        assert_int_equal(kms_node_key(&at_value, in_two, NULL), KL_OK);
        assert_int_equal(kms_walk_on(fixture->kms, &at_slot, &slot, &at_value, NULL),
                         KL_ERR_INVALID);
        if (round == 1) {
            assert_int_equal(kms_walk_on(fixture->kms, &at_slot, &gone, &at_value, NULL),
                             KL_ERR_GONE);
        }
        kms_walk_end(&at_slot);
        assert_memory_equal(whole, in_two, sizeof whole);
        shred(fixture->kms, gone); /* derived in the first round, pages in the second */
    }
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_walk_begin(fixture->kms, &slot, &at_slot, NULL), KL_OK);
    assert_int_equal(kms_walk_on(fixture->kms, &at_slot, &place, &at_value, NULL), KL_ERR_BUSY);
    kms_walk_end(&at_slot);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kms_fixture_setup, kms_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_pages_are_read_once),
        TEST(test_derived_places_need_no_page),
        TEST(test_a_commit_between_reading_and_using_a_row_is_no_damage),
        TEST(test_a_row_older_than_its_parent_is_read_again),
        TEST(test_a_shred_between_reading_and_using_a_row_wins),
        TEST(test_a_reader_waits_for_a_commit_that_is_on_its_way),
        TEST(test_a_missing_page_is_damage),
        TEST(test_a_value_is_walked_to_from_its_slot),
    };

    return cmocka_run_group_tests_name("walk", tests, NULL, NULL);
}
