/* Notes are written with their commit and stay until they are forgotten. */
#include "tests/support/kms_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SEEN_MAX 16

struct seen {
    size_t count;
    uint64_t generations[SEEN_MAX];
    char texts[SEEN_MAX][32];
    size_t bytes[SEEN_MAX];
    size_t stop_at;
};

static enum kl_status visit(void *visitor, uint64_t generation, struct kl_slice note,
                            struct kl_err *err)
{
    struct seen *seen = visitor;

    assert_true(seen->count < SEEN_MAX);
    seen->generations[seen->count] = generation;
    seen->bytes[seen->count] = note.size;
    memcpy(seen->texts[seen->count], note.bytes, note.size < 31 ? note.size : 31);
    seen->count++;
    if (seen->stop_at == seen->count) {
        return kl_fail(err, KL_ERR_BUSY, "stopped", "stopped", NULL);
    }
    return KL_OK;
}

static struct seen notes_after(struct kms *kms, uint64_t after)
{
    struct seen seen = {0};

    assert_int_equal(kms_notes_each(kms, after, visit, &seen, NULL), KL_OK);
    return seen;
}

static void commit_note(struct kms *kms, const void *note, size_t bytes)
{
    struct kms_request request = {.note = note, .note_bytes = bytes};

    assert_int_equal(kms_commit(kms, &request, NULL), KL_OK);
}

static void test_notes_come_in_the_order_of_their_generations(void **state)
{
    struct kms_fixture *fixture = *state;
    struct seen seen;

    commit_note(fixture->kms, "first", 5);
    commit_note(fixture->kms, NULL, 0); /* a commit without one */
    commit_note(fixture->kms, "second", 6);
    kms_fixture_reopen(fixture);
    seen = notes_after(fixture->kms, 0);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.generations[0], 2);
    assert_string_equal(seen.texts[0], "first");
    assert_int_equal(seen.generations[1], 4);
    assert_string_equal(seen.texts[1], "second");
    assert_int_equal(notes_after(fixture->kms, 2).count, 1);
    assert_int_equal(notes_after(fixture->kms, 4).count, 0);
}

static void test_forgotten_notes_do_not_come_again(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t syncs;

    for (unsigned i = 0; i < 5; i++) {
        commit_note(fixture->kms, "note", 4);
    }
    syncs = memory_storage_counts(fixture->storage).syncs;
    assert_int_equal(kms_notes_forget(fixture->kms, 4, NULL), KL_OK);
    assert_int_equal(memory_storage_counts(fixture->storage).syncs, syncs);
    assert_int_equal(notes_after(fixture->kms, 0).count, 2);
    assert_int_equal(notes_after(fixture->kms, 0).generations[0], 5);
    assert_int_equal(kms_notes_forget(fixture->kms, 4, NULL), KL_OK);
    assert_int_equal(kms_notes_forget(fixture->kms, UINT64_MAX, NULL), KL_OK);
    assert_int_equal(notes_after(fixture->kms, 0).count, 0);
}

static void test_more_old_notes_than_one_batch_are_forgotten(void **state)
{
    struct kms_fixture *fixture = *state;
    uint64_t rows = memory_storage_counts(fixture->storage).rows;

    for (unsigned i = 0; i < 1500; i++) {
        commit_note(fixture->kms, "n", 1);
    }
    assert_int_equal(memory_storage_counts(fixture->storage).rows, rows + 1500);
    assert_int_equal(kms_notes_forget(fixture->kms, 1500, NULL), KL_OK);
    assert_int_equal(memory_storage_counts(fixture->storage).rows, rows + 1);
}

static void test_the_largest_note_is_kept_whole(void **state)
{
    struct kms_fixture *fixture = *state;
    static char note[KMS_NOTE_MAX_BYTES];

    memset(note, 'x', sizeof note);
    commit_note(fixture->kms, note, sizeof note);
    assert_int_equal(notes_after(fixture->kms, 0).bytes[0], sizeof note);
}

static void test_a_visitor_can_stop(void **state)
{
    struct kms_fixture *fixture = *state;
    struct seen seen = {.stop_at = 1};
    struct kl_err err = {0};

    commit_note(fixture->kms, "first", 5);
    commit_note(fixture->kms, "second", 6);
    assert_int_equal(kms_notes_each(fixture->kms, 0, visit, &seen, &err), KL_ERR_BUSY);
    assert_string_equal(err.code, "stopped");
    assert_int_equal(seen.count, 1);
}

static void test_a_damaged_note_is_refused(void **state)
{
    struct kms_fixture *fixture = *state;
    struct seen seen = {0};

    memory_storage_put(fixture->storage, kl_slice_text("N"), kl_slice_text("?"));
    assert_int_equal(kms_notes_each(fixture->kms, 0, visit, &seen, NULL), KL_ERR_CORRUPT);
    assert_int_equal(seen.count, 0);
}

/* What the layer above does in finish: it reads and forgets, inside the commit. */
static enum kl_status forget_in_finish(void *context, uint64_t generation,
                                       struct kms_request **requests, size_t count,
                                       struct kl_err *err)
{
    (void)requests;
    (void)count;
    return kms_notes_forget(context, generation, err);
}

static void test_a_commit_may_forget_its_own_notes_in_finish(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_hooks hooks = {.context = fixture->kms, .finish = forget_in_finish};

    kms_hooks_set(fixture->kms, &hooks);
    commit_note(fixture->kms, "note", 4);
    assert_int_equal(notes_after(fixture->kms, 0).count, 0);
}

static void test_a_failed_forget_is_fatal(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_hooks hooks = {.fatal = kms_fixture_fatal};

    commit_note(fixture->kms, "note", 4);
    kms_hooks_set(fixture->kms, &hooks);
    memory_storage_fail_apply(fixture->storage, 1, false);
    assert_int_equal(kms_notes_forget(fixture->kms, 9, NULL), KL_ERR_IO);
    assert_int_equal(kms_notes_forget(fixture->kms, 9, NULL), KL_ERR_IO);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kms_fixture_setup, kms_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_notes_come_in_the_order_of_their_generations),
        TEST(test_forgotten_notes_do_not_come_again),
        TEST(test_more_old_notes_than_one_batch_are_forgotten),
        TEST(test_the_largest_note_is_kept_whole),
        TEST(test_a_visitor_can_stop),
        TEST(test_a_damaged_note_is_refused),
        TEST(test_a_commit_may_forget_its_own_notes_in_finish),
        TEST(test_a_failed_forget_is_fatal),
    };

    return cmocka_run_group_tests_name("notes", tests, NULL, NULL);
}
