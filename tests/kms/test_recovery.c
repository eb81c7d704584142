/*
 * A crash at any moment of a commit ends in the state before or after it. Every state that a crash can
 * leave is built here: the rows before or after the batch, with the root file before, after, or torn in
 * the middle of the overwrite.
 */
#include "tests/support/kms_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define T 1
#define VALUES 12
#define SECTOR_BYTES 512
#define SLOT_BYTES 4096

struct value {
    struct kms_place place;
    struct kl_buf sealed;
};

/* What a crash would find at one moment. */
struct moment {
    struct memory_storage *rows;
    unsigned char root[KMS_FIXTURE_ROOT_BYTES];
};

/* The moments of one commit, as they are seen on the way. */
struct film {
    struct kms_fixture *fixture;
    struct moment moments[8];
    size_t count;
};

static void film_take(struct film *film)
{
    struct moment *moment = &film->moments[film->count++];

    assert_true(film->count <= 8);
    moment->rows = memory_storage_copy(film->fixture->storage);
    kms_fixture_root_read(film->fixture, moment->root);
}

static void film_apply(void *watcher, bool after)
{
    (void)after;
    film_take(watcher);
}

static enum kl_status film_prepare(void *context, struct kms_staged *staged, uint64_t generation,
                                   struct kms_request **requests, size_t count, struct kl_err *err)
{
    (void)staged;
    (void)generation;
    (void)requests;
    (void)count;
    (void)err;
    film_take(context);
    return KL_OK;
}

static void film_publish(void *context, uint64_t generation)
{
    (void)generation;
    film_take(context);
}

static void film_done(struct film *film)
{
    for (size_t i = 0; i < film->count; i++) {
        memory_storage_free(film->moments[i].rows);
    }
}

static void seal_all(struct kms *kms, struct value values[VALUES])
{
    for (size_t i = 0; i < VALUES; i++) {
        values[i].place = (struct kms_place){T, 64 + i / 3, i % 3};
        kms_fixture_seal(kms, values[i].place, &values[i].sealed);
    }
}

/* Inside the range that the filmed commit renews. */
#define RANGED 9000
static const struct kms_place ranged_place = {T, RANGED, 300};
static struct kl_buf ranged;

static void values_done(struct value values[VALUES])
{
    kl_buf_done(&ranged);
    for (size_t i = 0; i < VALUES; i++) {
        kl_buf_done(&values[i].sealed);
    }
}

/* values[0] was erased before; the filmed commit erases values[1] and values[2], and renews the numbers of a subject that has none. */
static void film_commit(struct film *film, struct value values[VALUES])
{
    struct kms_fixture *fixture = film->fixture;
    struct kms_hooks hooks = {.context = film, .prepare = film_prepare, .publish = film_publish};
    struct kms_change changes[2];
    const struct kms_range range = {T, RANGED, 1, KMS_RANGE_END};
    struct kms_request request = {.changes = changes,
                                  .changes_count = 2,
                                  .ranges = &range,
                                  .ranges_count = 1,
                                  .note = "note",
                                  .note_bytes = 4};

    kms_fixture_seal(fixture->kms, ranged_place, &ranged);
    seal_all(fixture->kms, values);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, values[0].place), KL_OK);
    changes[0] = (struct kms_change){KMS_CHANGE_SHRED, values[1].place};
    changes[1] = (struct kms_change){KMS_CHANGE_SHRED, values[2].place};
    kms_hooks_set(fixture->kms, &hooks);
    memory_storage_watch_applies(fixture->storage, film_apply, film);
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
    memory_storage_watch_applies(fixture->storage, NULL, NULL);
    kms_fixture_close(fixture);
}

/* The vault at one moment, in the fixture's place. */
static enum kl_status wake(struct kms_fixture *fixture, struct memory_storage *rows,
                           const unsigned char root[KMS_FIXTURE_ROOT_BYTES],
                           struct memory_storage **ret_storage, struct kl_err *err)
{
    struct kms_options options = fixture->options;

    *ret_storage = memory_storage_copy(rows);
    options.storage = memory_storage_face(*ret_storage);
    kms_fixture_root_write(fixture, root);
    return kms_open(&options, &fixture->kms, err);
}

static enum kl_status note_seen(void *visitor, uint64_t generation, struct kl_slice note,
                                struct kl_err *err)
{
    (void)generation;
    (void)err;
    *(size_t *)visitor += kl_slice_equal_text(note, "note") ? 1 : 0;
    return KL_OK;
}

/* All or nothing; and the next commit works. Returns whether the commit counts. */
static bool check_moment(struct kms_fixture *fixture, struct memory_storage *rows,
                         const unsigned char root[KMS_FIXTURE_ROOT_BYTES],
                         struct value values[VALUES])
{
    struct memory_storage *storage = NULL;
    enum kl_status first;
    size_t notes = 0;

    assert_int_equal(wake(fixture, rows, root, &storage, NULL), KL_OK);
    first = kms_fixture_unseal(fixture->kms, values[1].place, &values[1].sealed);
    assert_true(first == KL_OK || first == KL_ERR_GONE);
    assert_int_equal(kms_fixture_unseal(fixture->kms, values[2].place, &values[2].sealed), first);
    assert_int_equal(kms_fixture_unseal(fixture->kms, ranged_place, &ranged),
                     first == KL_OK ? KL_OK : KL_ERR_CORRUPT);
    assert_int_equal(kms_fixture_unseal(fixture->kms, values[0].place, &values[0].sealed),
                     KL_ERR_GONE);
    assert_int_equal(kms_notes_each(fixture->kms, 0, note_seen, &notes, NULL), KL_OK);
    assert_int_equal(notes, first == KL_ERR_GONE ? 1 : 0);
    assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, values[3].place), KL_OK);
    for (size_t i = 4; i < VALUES; i++) {
        assert_int_equal(kms_fixture_unseal(fixture->kms, values[i].place, &values[i].sealed),
                         KL_OK);
    }
    assert_int_equal(kms_fixture_unseal(fixture->kms, values[3].place, &values[3].sealed),
                     KL_ERR_GONE);
    kms_fixture_close(fixture);
    memory_storage_free(storage);
    return first == KL_ERR_GONE;
}

static void test_a_crash_at_any_step_leaves_before_or_after(void **state)
{
    struct kms_fixture *fixture = *state;
    struct film film = {.fixture = fixture};
    struct value values[VALUES];
    size_t before = 0;
    size_t after = 0;

    film_commit(&film, values);
    assert_int_equal(film.count, 4); /* prepare, before the batch, after it, publish */
    for (size_t i = 0; i < film.count; i++) {
        if (check_moment(fixture, film.moments[i].rows, film.moments[i].root, values)) {
            after++;
        } else {
            before++;
        }
    }
    assert_int_equal(before, 2);
    assert_int_equal(after, 2);
    film_done(&film);
    values_done(values);
}

static void test_a_torn_root_slot_is_overwritten_at_the_next_start(void **state)
{
    struct kms_fixture *fixture = *state;
    struct film film = {.fixture = fixture};
    struct value values[VALUES];

    film_commit(&film, values);
    for (size_t sectors = 1; sectors < KMS_FIXTURE_ROOT_BYTES / SECTOR_BYTES; sectors++) {
        unsigned char torn[KMS_FIXTURE_ROOT_BYTES];

        /* The commit point is passed; of the overwrite some sectors arrived, from the front or from the back. */
        memcpy(torn, film.moments[2].root, sizeof torn);
        memcpy(torn, film.moments[3].root, sectors * SECTOR_BYTES);
        assert_true(check_moment(fixture, film.moments[3].rows, torn, values));
        memcpy(torn, film.moments[3].root, sizeof torn);
        memcpy(torn, film.moments[2].root, sectors * SECTOR_BYTES);
        assert_true(check_moment(fixture, film.moments[3].rows, torn, values));
    }
    film_done(&film);
    values_done(values);
}

static void test_an_older_key_store_is_refused_with_both_generations(void **state)
{
    struct kms_fixture *fixture = *state;
    struct film film = {.fixture = fixture};
    struct value values[VALUES];
    struct memory_storage *storage = NULL;
    unsigned char root[KMS_FIXTURE_ROOT_BYTES];
    struct kl_err err = {0};

    film_commit(&film, values);
    assert_int_equal(wake(fixture, film.moments[0].rows, film.moments[3].root, &storage, &err),
                     KL_ERR_REFUSED);
    assert_string_equal(err.code, "root_key_generation");
    assert_non_null(strstr(err.client_text, "generation 2,"));
    assert_non_null(strstr(err.client_text, "generations 3 and 4"));
    assert_non_null(strstr(err.client_text, "older"));
    assert_null(fixture->kms);
    kms_fixture_root_read(fixture, root);
    assert_memory_equal(root, film.moments[3].root, sizeof root);
    memory_storage_free(storage);
    film_done(&film);
    values_done(values);
}

static void test_a_newer_key_store_is_refused(void **state)
{
    struct kms_fixture *fixture = *state;
    struct film film = {.fixture = fixture};
    struct value values[VALUES];
    struct memory_storage *storage = NULL;
    unsigned char old[KMS_FIXTURE_ROOT_BYTES];
    struct kl_err err = {0};

    kms_fixture_root_read(fixture, old);
    film_commit(&film, values);
    assert_int_equal(wake(fixture, film.moments[3].rows, old, &storage, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "root_key_generation");
    assert_non_null(strstr(err.client_text, "newer"));
    memory_storage_free(storage);
    film_done(&film);
    values_done(values);
}

/* A meta row that names the wrong generation must not make recovery overwrite the only good root key. */
static void test_nothing_is_overwritten_before_the_root_page_opens(void **state)
{
    struct kms_fixture *fixture = *state;
    struct value values[VALUES];
    unsigned char before[KMS_FIXTURE_ROOT_BYTES];
    unsigned char after[KMS_FIXTURE_ROOT_BYTES];
    struct kl_slice key;
    size_t bytes = 0;
    unsigned char *meta;
    struct kl_err err = {0};

    seal_all(fixture->kms, values);
    kms_fixture_close(fixture);
    meta = memory_storage_row(fixture->storage, 0, &key, &bytes);
    assert_int_equal(key.bytes[0], 'M');
    meta[24]++; /* generation 1 becomes 2, which the root file has staged */
    kms_fixture_root_read(fixture, before);
    assert_int_equal(kms_open(&fixture->options, &fixture->kms, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "key_page_corrupt");
    kms_fixture_root_read(fixture, after);
    assert_memory_equal(before, after, sizeof before);
    meta[24]--;
    kms_fixture_reopen(fixture);
    assert_int_equal(kms_fixture_unseal(fixture->kms, values[5].place, &values[5].sealed), KL_OK);
    values_done(values);
}

static void test_each_open_stages_a_fresh_root_key(void **state)
{
    struct kms_fixture *fixture = *state;
    unsigned char first[KMS_FIXTURE_ROOT_BYTES];
    unsigned char second[KMS_FIXTURE_ROOT_BYTES];

    kms_fixture_root_read(fixture, first);
    kms_fixture_reopen(fixture);
    kms_fixture_root_read(fixture, second);
    assert_memory_not_equal(first, second, SLOT_BYTES); /* generation 2, staged */
    assert_memory_equal(first + SLOT_BYTES, second + SLOT_BYTES, SLOT_BYTES);
}

/* ---- kill -9 ---- */

#define KILLS 40

/* The child erases slot after slot and tells each acknowledged one, until it is killed. */
static void child_erases(struct kms_fixture *fixture, const char *journal, uint64_t next, int told)
{
    struct memory_storage *storage = memory_storage_new();
    struct kms_options options = fixture->options;
    struct kms *kms = NULL;

    options.storage = memory_storage_face(storage);
    if (!memory_storage_journal(storage, journal) || kms_open(&options, &kms, NULL) != KL_OK) {
        _exit(3);
    }
    for (;; next++) {
        if (kms_fixture_change(kms, KMS_CHANGE_SHRED,
                               (struct kms_place){T, next, KMS_VALUE_NONE}) != KL_OK ||
            write(told, &next, sizeof next) != (ssize_t)sizeof next) {
            _exit(4);
        }
    }
}

/* After the kill: acknowledged slots are gone, at most one more is, all others live. */
static uint64_t check_after_kill(struct kms_fixture *fixture, const char *journal,
                                 uint64_t acknowledged)
{
    struct memory_storage *storage = memory_storage_new();
    struct kms_options options = fixture->options;
    uint64_t gone = 64;

    options.storage = memory_storage_face(storage);
    assert_true(memory_storage_journal(storage, journal));
    assert_int_equal(kms_open(&options, &fixture->kms, NULL), KL_OK);
    while (kms_place_check(fixture->kms, &(struct kms_place){T, gone, KMS_VALUE_NONE}, NULL) ==
           KL_ERR_GONE) {
        gone++;
    }
    assert_true(gone == acknowledged || gone == acknowledged + 1);
    for (uint64_t i = gone; i < gone + 200; i++) {
        assert_int_equal(
            kms_place_check(fixture->kms, &(struct kms_place){T, i, KMS_VALUE_NONE}, NULL), KL_OK);
    }
    kms_fixture_close(fixture);
    memory_storage_free(storage);
    return gone;
}

static void test_kill_loses_no_acknowledged_erasure(void **state)
{
    struct kms_fixture *fixture = *state;
    char journal[KMS_FIXTURE_PATH_BYTES + 16];
    uint64_t next = 64;
    struct memory_storage *seed;

    (void)snprintf(journal, sizeof journal, "%s/journal", fixture->folder);
    (void)unlink(fixture->root_path);
    seed = memory_storage_new();
    fixture->options.storage = memory_storage_face(seed);
    assert_true(memory_storage_journal(seed, journal));
    assert_int_equal(kms_create(&fixture->options, NULL), KL_OK);
    memory_storage_free(seed);
    for (unsigned round = 0; round < KILLS; round++) {
        uint64_t acknowledged = next;
        uint64_t told = 0;
        int ends[2];
        int status = 0;
        pid_t child;

        assert_int_equal(pipe(ends), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)close(ends[0]);
            child_erases(fixture, journal, next, ends[1]);
        }
        (void)close(ends[1]);
        /* Some acknowledgements, a different number each round, then the kill, wherever it meets the next one. */
        for (unsigned i = 0; i < 1 + round % 7; i++) {
            assert_int_equal(read(ends[0], &told, sizeof told), sizeof told);
            acknowledged = told + 1;
        }
        for (volatile unsigned spin = 0; spin < round * 20000; spin++) {
        }
        (void)kill(child, SIGKILL);
        while (read(ends[0], &told, sizeof told) == (ssize_t)sizeof told) {
            acknowledged = told + 1;
        }
        (void)close(ends[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        next = check_after_kill(fixture, journal, acknowledged);
    }
    assert_true(next > 64 + KILLS);
    (void)unlink(journal);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kms_fixture_setup, kms_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_crash_at_any_step_leaves_before_or_after),
        TEST(test_a_torn_root_slot_is_overwritten_at_the_next_start),
        TEST(test_an_older_key_store_is_refused_with_both_generations),
        TEST(test_a_newer_key_store_is_refused),
        TEST(test_nothing_is_overwritten_before_the_root_page_opens),
        TEST(test_each_open_stages_a_fresh_root_key),
        cmocka_unit_test_setup_teardown(test_kill_loses_no_acknowledged_erasure,
                                        kms_fixture_setup_empty, kms_fixture_teardown),
    };

    return cmocka_run_group_tests_name("recovery", tests, NULL, NULL);
}
