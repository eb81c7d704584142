/* Notes are written with their commit and stay until they are forgotten. */
#include "tests/support/kms_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

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
    assert_int_equal(memory_storage_counts(fixture->storage).rows, rows + 2 * 1500);
    assert_int_equal(kms_notes_forget(fixture->kms, 1500, NULL), KL_OK);
    assert_int_equal(memory_storage_counts(fixture->storage).rows, rows + 2);
}

/* What the hash is said to be of, with nothing of kms. */
static void root_hash_make(const struct kms_fixture *fixture, uint64_t generation,
                           unsigned char ret_hash[KMS_ROOT_HASH_BYTES])
{
    static const unsigned char root_page[28] = {'P', 1, [18] = 0xff, [19] = 0xff};
    const struct kms_storage *face = memory_storage_face(fixture->storage);
    struct kms_state state;
    struct kl_buf text;

    kms_state(fixture->kms, &state);
    kl_buf_init(&text, 8192);
    kl_buf_add_text(&text, "kluis/key-root/1");
    kl_buf_add(&text, state.store_id, sizeof state.store_id);
    kl_buf_add_u64be(&text, generation);
    assert_int_equal(
        face->get(face->context, kl_slice_of(root_page, sizeof root_page), &text, NULL), KL_OK);
    crypto_generichash(ret_hash, KMS_ROOT_HASH_BYTES, text.bytes, text.size, NULL, 0);
    kl_buf_done(&text);
}

static void test_root_hashes_are_of_the_sealed_root_page_before_and_after(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char before[KMS_ROOT_HASH_BYTES];
    unsigned char after[KMS_ROOT_HASH_BYTES];
    struct kms_root_hashes hashes;
    struct kms_state now;

    for (uint64_t generation = 2; generation < 5; generation++) {
        root_hash_make(fixture, generation - 1, before);
        commit_note(fixture->kms, "note", 4);
        root_hash_make(fixture, generation, after);
        assert_int_equal(kms_root_hashes(fixture->kms, generation, &hashes, NULL), KL_OK);
        assert_memory_equal(hashes.from, before, sizeof before);
        assert_memory_equal(hashes.to, after, sizeof after);
        assert_memory_not_equal(hashes.from, hashes.to, sizeof before);
        kms_state(fixture->kms, &now);
        assert_memory_equal(now.root_hash, after, sizeof after);
        if (generation == 3) {
            kms_fixture_reopen(fixture); /* as after a crash: they came with the notes */
            assert_int_equal(kms_root_hashes(fixture->kms, generation, &hashes, NULL), KL_OK);
            assert_memory_equal(hashes.to, after, sizeof after);
        }
    }
}

static void test_root_hashes_go_with_their_notes(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_root_hashes hashes = {.from = {1}};
    struct kl_err err = {0};

    assert_int_equal(kms_root_hashes(fixture->kms, 1, &hashes, &err), KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "key_root_hashes_unknown");
    assert_int_equal(hashes.from[0], 1);
    commit_note(fixture->kms, "note", 4);
    commit_note(fixture->kms, NULL, 0);
    commit_note(fixture->kms, "note", 4);
    assert_int_equal(kms_root_hashes(fixture->kms, 2, &hashes, NULL), KL_OK);
    assert_int_equal(kms_root_hashes(fixture->kms, 3, &hashes, NULL), KL_ERR_NOT_FOUND);
    assert_int_equal(kms_notes_forget(fixture->kms, 2, NULL), KL_OK);
    assert_int_equal(kms_root_hashes(fixture->kms, 2, &hashes, NULL), KL_ERR_NOT_FOUND);
    assert_int_equal(kms_root_hashes(fixture->kms, 4, &hashes, NULL), KL_OK);
}

static void test_damaged_root_hashes_are_refused(void **state)
{
    static const unsigned char key[9] = {'H', [8] = 2};
    struct kms_fixture *fixture = *state;
    struct kms_root_hashes hashes;
    struct kl_err err = {0};

    commit_note(fixture->kms, "note", 4);
    memory_storage_put(fixture->storage, kl_slice_of(key, sizeof key), kl_slice_text("?"));
    assert_int_equal(kms_root_hashes(fixture->kms, 2, &hashes, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "key_root_hashes_corrupt");
    memory_storage_fail_get(fixture->storage, 'H');
    assert_int_equal(kms_root_hashes(fixture->kms, 2, &hashes, NULL), KL_ERR_IO);
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
        TEST(test_root_hashes_are_of_the_sealed_root_page_before_and_after),
        TEST(test_root_hashes_go_with_their_notes),
        TEST(test_damaged_root_hashes_are_refused),
        TEST(test_the_largest_note_is_kept_whole),
        TEST(test_a_visitor_can_stop),
        TEST(test_a_damaged_note_is_refused),
        TEST(test_a_commit_may_forget_its_own_notes_in_finish),
        TEST(test_a_failed_forget_is_fatal),
    };

    return cmocka_run_group_tests_name("notes", tests, NULL, NULL);
}
