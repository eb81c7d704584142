/* A directory of backups that somebody else can write to, that fails, and names that lead out of it. */
#include "tests/support/store_backup_fixture.h"
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- somebody else's links ---- */

/* A folder with a file that nobody may remove; what a link in the directory leads to. */
static void put_victim(const struct store_fixture *fixture,
                       char ret_folder[STORE_BACKUP_PATH_BYTES],
                       char ret_file[STORE_BACKUP_PATH_BYTES])
{
    int fd;

    store_backup_path(fixture, "victim", ret_folder);
    assert_int_equal(mkdir(ret_folder, 0700), 0);
    store_backup_path(fixture, "victim/000012.sst", ret_file);
    fd = open(ret_file, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
}

static void assert_unsafe(enum kl_status status, struct kl_err *err)
{
    assert_int_equal(status, KL_ERR_CONFLICT);
    assert_string_equal(err->code, "backup_directory_unsafe");
    kl_err_clear(err);
}

static void test_a_link_in_place_of_a_folder_is_refused_and_leads_nowhere(void **state)
{
    struct store_fixture *fixture = *state;
    const struct vault_backup_files none = {0};
    char victim[STORE_BACKUP_PATH_BYTES];
    char file[STORE_BACKUP_PATH_BYTES];
    char path[STORE_BACKUP_PATH_BYTES];
    char aside[STORE_BACKUP_PATH_BYTES];
    struct store_backup made;
    struct store_backup other = {0};
    struct kl_err err = {0};
    int dir = -1;
    int shared = -7;

    store_backup_fill_tables(fixture, 'a');
    put_victim(fixture, victim, file);
    made = store_backup_make(fixture, "one", NULL);
    dir = store_backup_dir_open(fixture);
    /* shared */
    assert_int_equal(rename(store_backup_path(fixture, "backups/shared", path),
                            store_backup_path(fixture, "aside", aside)),
                     0);
    assert_int_equal(symlink(victim, path), 0);
    assert_unsafe(vault_backup_collect(dir, &none, &err), &err);
    assert_unsafe(store_backup_try(fixture, dir, "two", &none, &other, &err), &err);
    assert_unsafe(store_backup_check(fixture, &made, &err), &err);
    assert_unsafe(vault_backup_link(dir, "one", &made.files, aside, &shared, &err), &err);
    assert_int_equal(shared, -7);
    assert_int_equal(unlink(path), 0);
    made.files.count = 0; /* the tables went with aside, which became the folder of links */
    /* <name>.part, and the backup itself */
    assert_int_equal(symlink(victim, store_backup_path(fixture, "backups/three.part", path)), 0);
    assert_unsafe(store_backup_try(fixture, dir, "three", &none, &other, &err), &err);
    assert_unsafe(vault_backup_remove(dir, "three", &err), &err);
    assert_unsafe(vault_backup_seal(dir, "three", &err), &err);
    assert_unsafe(vault_backup_put(dir, "three", "x", kl_slice_text("x"), &err), &err);
    assert_int_equal(symlink(victim, store_backup_path(fixture, "backups/four", path)), 0);
    other.name = "four";
    assert_unsafe(store_backup_check(fixture, &other, &err), &err);
    assert_int_equal(access(file, F_OK), 0);
    assert_int_equal(store_backup_files_in(victim), 1);
    vault_backup_dir_close(dir);
    vault_backup_files_done(&made.files);
}

static void test_a_directory_that_others_may_write_to_is_refused(void **state)
{
    static const mode_t modes[] = {0770, 0702, 0777, 01777};
    struct store_fixture *fixture = *state;
    const struct vault_backup_files none = {0};
    struct kl_err err = {0};
    char path[STORE_BACKUP_PATH_BYTES];
    int dir = store_backup_dir_open(fixture);
    int other = -7;
    size_t i;

    store_backup_path(fixture, "backups", path);
    for (i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_unsafe(vault_backup_dir_open(path, true, &other, &err), &err);
        assert_int_equal(other, -7);
    }
    assert_int_equal(vault_backup_dir_open(path, false, &other, &err), KL_OK); /* only read */
    vault_backup_dir_close(other);
    assert_int_equal(chmod(path, 0755), 0);
    assert_int_equal(mkdir(store_backup_path(fixture, "backups/shared", path), 0700), 0);
    assert_int_equal(chmod(path, 0777), 0);
    assert_unsafe(vault_backup_collect(dir, &none, &err), &err);
    if (geteuid() == 0) {
        assert_int_equal(chmod(path, 0700), 0);
        assert_int_equal(chown(path, 65534, 65534), 0);
        assert_unsafe(vault_backup_collect(dir, &none, &err), &err);
        store_backup_path(fixture, "backups", path);
        assert_int_equal(chown(path, 65534, 65534), 0);
        assert_unsafe(vault_backup_dir_open(path, true, &other, &err), &err);
    }
    vault_backup_dir_close(dir);
}

static void test_only_names_of_shared_files_are_collected(void **state)
{
    static const char *const kept[] = {
        "000012.sst",
        "notes",
        "CURRENT",
        "ABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCD.sst",
        "abcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd.sst.bak",
        "ABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCD.file",
        "abcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefab.file"};
    static const char *const gone[] = {
        "abcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd.sst",
        "abcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd.file"};
    const size_t kept_count = sizeof kept / sizeof kept[0];
    struct store_fixture *fixture = *state;
    const struct vault_backup_files none = {0};
    char path[STORE_BACKUP_PATH_BYTES];
    char name[110];
    int dir = store_backup_dir_open(fixture);
    size_t i;

    assert_int_equal(mkdir(store_backup_path(fixture, "backups/shared", path), 0700), 0);
    for (i = 0; i < kept_count + 2; i++) {
        int fd;

        (void)snprintf(name, sizeof name, "backups/shared/%s",
                       i < kept_count ? kept[i] : gone[i - kept_count]);
        fd = open(store_backup_path(fixture, name, path), O_WRONLY | O_CREAT, 0600);
        assert_true(fd >= 0);
        assert_int_equal(close(fd), 0);
    }
    assert_int_equal(vault_backup_collect(dir, &none, NULL), KL_OK);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(store_backup_files_in(store_backup_path(fixture, "backups/shared", path)),
                     kept_count);
    vault_backup_dir_close(dir);
}

/* ---- the directory fails ---- */

static void assert_store_works(struct store_fixture *fixture)
{
    store_backup_fill(fixture->store, 'z', 0, 3);
    assert_int_equal(store_fixture_rows(fixture->store, 'z'), 3);
    assert_int_equal(store_fixture_rows(fixture->store, 'a'), 2000);
}

static void test_a_full_disk_is_said_and_the_store_goes_on(void **state)
{
    struct store_fixture *fixture = *state;
    const struct vault_backup_files none = {0};
    char dir[STORE_BACKUP_PATH_BYTES];
    struct kl_err err = {0};
    struct store_backup made = {.written = 5};
    int small = -1;

    store_backup_path(fixture, "small", dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    if (mount("none", dir, "tmpfs", 0, "size=2m,mode=700") != 0) {
        skip();
    }
    store_backup_fill_tables(fixture, 'a');
    assert_int_equal(vault_backup_dir_open(dir, true, &small, NULL), KL_OK);
    assert_int_equal(store_backup_try(fixture, small, "one", &none, &made, &err), KL_ERR_IO);
    vault_backup_dir_close(small);
    assert_string_equal(err.code, "backup_disk_full");
    assert_int_equal(made.written, 5);
    assert_store_works(fixture);
    assert_int_equal(umount2(dir, MNT_DETACH), 0);
}

static void test_a_disk_without_room_for_it_all_is_not_begun_with(void **state)
{
    struct store_fixture *fixture = *state;
    const struct vault_backup_files none = {0};
    struct vault_backup_work *work = NULL;
    struct kl_err err = {0};
    char checkpoint[STORE_BACKUP_PATH_BYTES];
    int dir = store_backup_dir_open(fixture);

    store_backup_fill_tables(fixture, 'a');
    store_backup_path(fixture, "checkpoint", checkpoint);
    assert_int_equal(vault_store_checkpoint(fixture->store, checkpoint, NULL), KL_OK);
    assert_int_equal(vault_backup_copy_new(checkpoint, dir, "one", &none, &work, NULL), KL_OK);
    assert_int_equal(vault_backup_room(work, 0, &err), KL_OK);
    assert_int_equal(vault_backup_room(work, UINT64_C(1) << 60, &err), KL_ERR_IO);
    assert_string_equal(err.code, "backup_disk_full");
    vault_backup_work_free(work);
    vault_backup_dir_close(dir);
}

static void test_a_directory_that_is_not_there_is_said_and_the_store_goes_on(void **state)
{
    struct store_fixture *fixture = *state;
    const struct vault_backup_files none = {0};
    struct vault_backup_work *work = NULL;
    char checkpoint[STORE_BACKUP_PATH_BYTES];
    char path[STORE_BACKUP_PATH_BYTES];
    struct kl_err err = {0};
    bool done = false;
    int dir = -1;

    store_backup_fill_tables(fixture, 'a');
    store_backup_path(fixture, "nowhere", path);
    assert_int_equal(vault_backup_dir_open(path, true, &dir, &err), KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "backup_directory");
    assert_int_equal(dir, -1);
    /* it goes away in the middle */
    kl_err_clear(&err);
    dir = store_backup_dir_open(fixture);
    store_backup_path(fixture, "checkpoint", checkpoint);
    assert_int_equal(vault_store_checkpoint(fixture->store, checkpoint, NULL), KL_OK);
    assert_int_equal(vault_backup_copy_new(checkpoint, dir, "one", &none, &work, &err), KL_OK);
    store_fixture_remove(store_backup_path(fixture, "backups", path));
    while (!done && vault_backup_step(work, STORE_BACKUP_STEP_BYTES, &done, &err) == KL_OK) {
    }
    assert_false(done);
    assert_string_equal(err.code, "backup_io");
    vault_backup_work_free(work);
    vault_backup_dir_close(dir);
    assert_store_works(fixture);
}

static void test_names_that_lead_elsewhere_are_no_file_names(void **state)
{
    static const char *const bad[] = {"", ".", "..", "../x", "a/b", ".hidden", "a b", "\xc3\xa9"};
    static const char *const good[] = {"CURRENT", "000012.sst", "MANIFEST-000005",
                                       "OPTIONS-000007"};
    char longest[VAULT_BACKUP_FILE_NAME_BYTES + 1];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(vault_backup_file_name_valid(bad[i]));
    }
    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(vault_backup_file_name_valid(good[i]));
    }
    memset(longest, 'a', sizeof longest);
    longest[VAULT_BACKUP_FILE_NAME_BYTES] = '\0';
    assert_false(vault_backup_file_name_valid(longest));
    longest[VAULT_BACKUP_FILE_NAME_BYTES - 1] = '\0';
    assert_true(vault_backup_file_name_valid(longest));
}

#define WITH(test) \
    cmocka_unit_test_setup_teardown(test, store_fixture_setup_store, store_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_a_link_in_place_of_a_folder_is_refused_and_leads_nowhere),
        WITH(test_a_directory_that_others_may_write_to_is_refused),
        WITH(test_only_names_of_shared_files_are_collected),
        WITH(test_a_full_disk_is_said_and_the_store_goes_on),
        WITH(test_a_disk_without_room_for_it_all_is_not_begun_with),
        WITH(test_a_directory_that_is_not_there_is_said_and_the_store_goes_on),
        cmocka_unit_test(test_names_that_lead_elsewhere_are_no_file_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
