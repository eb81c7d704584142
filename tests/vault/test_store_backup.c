/* Backups of a store that is in use, checked and put back, and what is broken in them. */
#include "vault/store/backup.h"

#include "tests/support/store_backup_fixture.h"
#include "tests/support/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what comes back ---- */

struct writing {
    struct vault_store *store;
    atomic_bool stop;
    unsigned written;
};

static void *write_on(void *context)
{
    struct writing *writing = context;

    while (!atomic_load(&writing->stop)) {
        store_backup_fill(writing->store, 'w', writing->written++, 1);
    }
    return NULL;
}

static void test_a_backup_made_while_writes_go_on_holds_all_that_was_there(void **state)
{
    struct store_fixture *fixture = *state;
    struct writing writing = {.store = fixture->store};
    struct kl_err err = {0};
    struct store_backup made;
    uint64_t written = 0;
    pthread_t thread;
    size_t rows = 0;

    store_backup_fill_tables(fixture, 'a');
    assert_int_equal(pthread_create(&thread, NULL, write_on, &writing), 0);
    made = store_backup_make(fixture, "one", NULL);
    atomic_store(&writing.stop, true);
    (void)pthread_join(thread, NULL);
    assert_int_equal(store_backup_check(fixture, &made, &err), KL_OK);
    assert_int_equal(store_backup_restore(fixture, &made, "back", &written, &err), KL_OK);
    assert_true(written > 2000 * STORE_BACKUP_ROW_BYTES);
    assert_int_equal(store_backup_rows(fixture, "back", 'a', false), 2000);
    rows = store_backup_rows(fixture, "back", 'w', false);
    assert_true(rows <= writing.written);
    vault_backup_files_done(&made.files);
}

static void test_the_next_backup_writes_only_what_is_new(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_backup first;
    struct store_backup second;
    struct kl_err err = {0};
    uint64_t written = 0;

    store_backup_fill_tables(fixture, 'a');
    first = store_backup_make(fixture, "one", NULL);
    assert_true(first.written > 2000 * STORE_BACKUP_ROW_BYTES);
    store_backup_fill(fixture->store, 'b', 0, 10);
    second = store_backup_make(fixture, "two", &first.files);
    assert_true(second.written < first.written / 10);
    assert_true(second.of > first.written);
    assert_int_equal(store_backup_restore(fixture, &second, "back", &written, &err), KL_OK);
    assert_int_equal(store_backup_rows(fixture, "back", 'a', false), 2000);
    assert_int_equal(store_backup_rows(fixture, "back", 'b', false), 10);
    vault_backup_files_done(&first.files);
    vault_backup_files_done(&second.files);
}

static void test_a_backup_outlives_the_one_it_shares_tables_with(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_backup first;
    struct store_backup second;
    struct kl_err err = {0};
    char dir[STORE_BACKUP_PATH_BYTES];
    char shared[STORE_BACKUP_PATH_BYTES];
    size_t tables = 0;
    uint64_t written = 0;
    int opened = -1;

    store_backup_fill_tables(fixture, 'a');
    first = store_backup_make(fixture, "one", NULL);
    store_backup_fill_tables(fixture, 'b');
    second = store_backup_make(fixture, "two", &first.files);
    store_backup_path(fixture, "backups", dir);
    store_backup_path(fixture, "backups/shared", shared);
    tables = store_backup_files_in(shared);
    opened = store_backup_dir_open(fixture);
    assert_int_equal(vault_backup_remove(opened, "two", &err), KL_OK);
    assert_int_equal(vault_backup_collect(opened, &first.files, &err), KL_OK);
    vault_backup_dir_close(opened);
    assert_true(store_backup_files_in(shared) < tables);
    assert_int_equal(store_backup_files_in(dir), 2); /* shared and one */
    assert_int_equal(store_backup_check(fixture, &second, &err), KL_ERR_CORRUPT);
    assert_int_equal(store_backup_check(fixture, &first, NULL), KL_OK);
    assert_int_equal(store_backup_restore(fixture, &first, "back", &written, NULL), KL_OK);
    assert_int_equal(store_backup_rows(fixture, "back", 'a', false), 2000);
    assert_int_equal(store_backup_rows(fixture, "back", 'b', false), 0);
    vault_backup_files_done(&first.files);
    vault_backup_files_done(&second.files);
}

static void test_a_backup_opens_where_it_is_read_only(void **state)
{
    struct store_fixture *fixture = *state;
    char path[STORE_BACKUP_PATH_BYTES];
    int dir = -1;
    int shared = -1;
    int again = -1;
    struct vault_store_options options = {.path = store_backup_path(fixture, "look", path),
                                          .read_only = true};
    struct vault_batch *batch = vault_batch_new();
    struct vault_store *store = NULL;
    struct kl_err err = {0};
    struct store_backup made;

    store_backup_fill_tables(fixture, 'a');
    store_backup_fill(fixture->store, 'b', 0, 3); /* in the log alone */
    made = store_backup_make(fixture, "one", NULL);
    dir = store_backup_dir_open(fixture);
    assert_int_equal(vault_backup_link(dir, "one", &made.files, path, &again, &err), KL_OK);
    assert_int_equal(vault_backup_link(dir, "one", &made.files, path, &shared, &err), KL_OK);
    vault_backup_dir_close(again);
    vault_backup_dir_close(dir);
    assert_int_equal(store_backup_rows(fixture, "look", 'a', true), 2000);
    assert_int_equal(store_backup_rows(fixture, "look", 'b', true), 3);
    assert_int_equal(vault_store_open(&options, &store, &err), KL_OK);
    vault_batch_put(batch, kl_slice_text("x"), kl_slice_text("y"));
    assert_int_equal(vault_store_apply(store, batch, true, &err), KL_ERR_IO);
    vault_batch_free(batch);
    vault_store_close(store);
    vault_backup_dir_close(shared);
    assert_int_equal(vault_backup_folder_remove(path, NULL), KL_OK);
    assert_int_equal(store_backup_check(fixture, &made, NULL), KL_OK);
    vault_backup_files_done(&made.files);
}

/* ---- what is broken ---- */

static void assert_damage_is_found(struct store_fixture *fixture, const struct store_backup *made,
                                   const char *to)
{
    struct kl_err err = {0};
    uint64_t written = 7;

    assert_int_equal(store_backup_check(fixture, made, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "backup_damaged");
    kl_err_clear(&err);
    assert_int_equal(store_backup_restore(fixture, made, to, &written, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "backup_damaged");
    assert_int_equal(written, 7);
}

static void test_a_flipped_bit_anywhere_is_found(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_backup made;
    char path[STORE_BACKUP_PATH_BYTES];
    size_t i;

    store_backup_fill_tables(fixture, 'a');
    made = store_backup_make(fixture, "one", NULL);
    for (i = 0; i < 2; i++) {
        store_backup_file_path(fixture, &made, i == 1, path);
        store_backup_flip(path);
        assert_damage_is_found(fixture, &made, i == 1 ? "back" : "other");
        store_backup_flip(path);
        assert_int_equal(store_backup_check(fixture, &made, NULL), KL_OK);
    }
    vault_backup_files_done(&made.files);
}

static void test_a_file_that_is_missing_cut_or_a_link_is_found(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_backup made;
    char path[STORE_BACKUP_PATH_BYTES];
    char aside[STORE_BACKUP_PATH_BYTES];
    struct kl_err err = {0};

    store_backup_fill_tables(fixture, 'a');
    made = store_backup_make(fixture, "one", NULL);
    store_backup_file_path(fixture, &made, true, path);
    store_backup_path(fixture, "aside", aside);
    assert_int_equal(rename(path, aside), 0);
    assert_damage_is_found(fixture, &made, "back");
    assert_int_equal(symlink(aside, path), 0);
    assert_int_equal(store_backup_check(fixture, &made, &err), KL_ERR_IO);
    assert_string_equal(err.code, "backup_io");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rename(aside, path), 0);
    assert_int_equal(store_backup_check(fixture, &made, NULL), KL_OK);
    assert_int_equal(truncate(path, 20), 0);
    assert_damage_is_found(fixture, &made, "back");
    vault_backup_files_done(&made.files);
}

static void test_a_restore_goes_on_where_it_stopped_and_trusts_nothing_it_finds(void **state)
{
    struct store_fixture *fixture = *state;
    char target[STORE_BACKUP_PATH_BYTES];
    char table[STORE_BACKUP_PATH_BYTES + 128];
    int dir = -1;
    struct vault_backup_work *work = NULL;
    struct kl_err err = {0};
    struct store_backup made;
    uint64_t all = 0;
    uint64_t written = 0;
    bool done = false;
    size_t i = 0;
    int fd = -1;

    store_backup_fill_tables(fixture, 'a');
    made = store_backup_make(fixture, "zero", NULL);
    vault_backup_files_done(&made.files);
    store_backup_fill_tables(fixture, 'b');
    made = store_backup_make(fixture, "one", NULL);
    store_backup_path(fixture, "back", target);
    assert_int_equal(store_backup_restore(fixture, &made, "back", &all, &err), KL_OK);
    /* once more: nothing is written */
    assert_int_equal(store_backup_restore(fixture, &made, "back", &written, &err), KL_OK);
    assert_int_equal(written, 0);
    /* one table with another byte, and a file that no backup has */
    while (!made.files.items[i].shared) {
        i++;
    }
    (void)snprintf(table, sizeof table, "%s/%s", target, made.files.items[i].name);
    store_backup_flip(table);
    (void)snprintf(table, sizeof table, "%s/stranger", target);
    fd = open(table, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(store_backup_restore(fixture, &made, "back", &written, &err), KL_OK);
    assert_int_equal(written, made.files.items[i].bytes);
    assert_int_equal(access(table, F_OK), -1);
    assert_int_equal(store_backup_rows(fixture, "back", 'a', true), 2000);
    /* stopped in the middle */
    assert_int_equal(vault_backup_folder_remove(target, NULL), KL_OK);
    dir = store_backup_dir_open(fixture);
    assert_int_equal(vault_backup_restore_new(dir, "one", &made.files, target, &work, &err), KL_OK);
    vault_backup_dir_close(dir);
    assert_int_equal(vault_backup_step(work, all * 3 / 4, &done, &err), KL_OK);
    assert_false(done);
    vault_backup_work_free(work);
    assert_int_equal(store_backup_restore(fixture, &made, "back", &written, &err), KL_OK);
    assert_true(written > 0 && written < all);
    assert_int_equal(store_backup_rows(fixture, "back", 'a', false), 2000);
    vault_backup_files_done(&made.files);
}

static void test_a_backup_cut_short_has_no_name_and_is_begun_anew(void **state)
{
    struct store_fixture *fixture = *state;
    const struct vault_backup_files none = {0};
    char checkpoint[STORE_BACKUP_PATH_BYTES];
    char path[STORE_BACKUP_PATH_BYTES];
    struct vault_backup_work *work = NULL;
    struct kl_err err = {0};
    struct store_backup made;
    bool done = false;
    int dir = store_backup_dir_open(fixture);

    store_backup_fill_tables(fixture, 'a');
    store_backup_path(fixture, "checkpoint", checkpoint);
    assert_int_equal(vault_store_checkpoint(fixture->store, checkpoint, &err), KL_OK);
    assert_int_equal(vault_store_checkpoint(fixture->store, checkpoint, &err), KL_ERR_EXISTS);
    assert_string_equal(err.code, "store_copy_exists");
    kl_err_clear(&err);
    assert_int_equal(vault_backup_copy_new(checkpoint, dir, "one", &none, &work, &err), KL_OK);
    assert_int_equal(vault_backup_step(work, STORE_BACKUP_STEP_BYTES, &done, &err), KL_OK);
    assert_false(done);
    vault_backup_work_free(work);
    assert_int_equal(access(store_backup_path(fixture, "backups/one", path), F_OK), -1);
    assert_int_equal(access(store_backup_path(fixture, "backups/one.part", path), F_OK), 0);
    made = store_backup_make(fixture, "one", NULL);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(vault_backup_collect(dir, &made.files, &err), KL_OK);
    vault_backup_dir_close(dir);
    assert_int_equal(store_backup_check(fixture, &made, NULL), KL_OK);
    vault_backup_files_done(&made.files);
}

#define WITH(test) \
    cmocka_unit_test_setup_teardown(test, store_fixture_setup_store, store_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_a_backup_made_while_writes_go_on_holds_all_that_was_there),
        WITH(test_the_next_backup_writes_only_what_is_new),
        WITH(test_a_backup_outlives_the_one_it_shares_tables_with),
        WITH(test_a_backup_opens_where_it_is_read_only),
        WITH(test_a_flipped_bit_anywhere_is_found),
        WITH(test_a_file_that_is_missing_cut_or_a_link_is_found),
        WITH(test_a_restore_goes_on_where_it_stopped_and_trusts_nothing_it_finds),
        WITH(test_a_backup_cut_short_has_no_name_and_is_begun_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
