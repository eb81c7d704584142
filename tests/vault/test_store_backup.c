/* Backups of a store that is in use, checked, put back, and what stands in their way. */
#include "vault/store/backup.h"

#include "kluis/base/encode.h"
#include "tests/support/store_fixture.h"
#include "tests/support/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES (KMS_FIXTURE_PATH_BYTES + 128)
#define STEP_BYTES 100000
#define ROW_BYTES 4000

/* folder/name */
static const char *path_of(const struct store_fixture *fixture, const char *name,
                           char ret[PATH_BYTES])
{
    (void)snprintf(ret, PATH_BYTES, "%s/%s", fixture->folder, name);
    return ret;
}

/* The directory of backups, as the jobs hold it; made when it is missing. */
static int backups_open(const struct store_fixture *fixture)
{
    char path[PATH_BYTES];
    int dir = -1;

    (void)mkdir(path_of(fixture, "backups", path), 0700);
    assert_int_equal(vault_backup_dir_open(path, true, &dir, NULL), KL_OK);
    return dir;
}

/* count rows "kind NNNNNNNN" of noise, so that tables cannot be the same by chance. */
static void fill(struct vault_store *store, char kind, unsigned first, unsigned count)
{
    unsigned char value[ROW_BYTES];
    char key[16];
    unsigned i;

    for (i = first; i < first + count; i++) {
        struct vault_batch *batch = vault_batch_new();

        memset(value, (int)(i * 7 + (unsigned char)kind), sizeof value);
        memcpy(value, &i, sizeof i);
        (void)snprintf(key, sizeof key, "%c%08u", kind, i);
        vault_batch_put(batch, kl_slice_text(key), kl_slice_of(value, sizeof value));
        assert_int_equal(vault_store_apply(store, batch, i % 64 == 0, NULL), KL_OK);
        vault_batch_free(batch);
    }
}

/* Run a work to its end. */
static enum kl_status run(struct vault_backup_work *work, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    bool done = false;
    unsigned steps = 0;

    while (status == KL_OK && !done) {
        status = vault_backup_step(work, STEP_BYTES, &done, err);
        assert_true(steps++ < 100000);
    }
    return status;
}

struct backup {
    const char *name;
    struct vault_backup_files files;
    uint64_t written;
    uint64_t of;
};

/* A backup of the store as it is, in dir. */
static enum kl_status try_backup(struct store_fixture *fixture, int dir, const char *name,
                                 const struct vault_backup_files *known, struct backup *ret,
                                 struct kl_err *err)
{
    char checkpoint[PATH_BYTES];
    struct vault_backup_work *work = NULL;
    enum kl_status status = KL_OK;
    uint64_t bytes = 0;
    size_t i;

    path_of(fixture, "checkpoint", checkpoint);
    assert_int_equal(vault_backup_folder_remove(checkpoint, NULL), KL_OK);
    assert_int_equal(vault_store_checkpoint(fixture->store, checkpoint, NULL), KL_OK);
    status = vault_backup_copy_new(checkpoint, dir, name, known, &work, err);
    if (status == KL_OK) {
        status = run(work, err);
    }
    if (status == KL_OK) {
        *ret = (struct backup){.name = name};
        for (i = 0; i < vault_backup_work_files(work)->count; i++) {
            assert_int_equal(
                vault_backup_files_add(&ret->files, &vault_backup_work_files(work)->items[i], NULL),
                KL_OK);
        }
        vault_backup_progress(work, &bytes, &ret->of, &ret->written);
        assert_int_equal(bytes, ret->of);
        status = vault_backup_seal(dir, name, err);
    }
    vault_backup_work_free(work);
    assert_int_equal(vault_backup_folder_remove(checkpoint, NULL), KL_OK);
    return status;
}

static struct backup backup(struct store_fixture *fixture, const char *name,
                            const struct vault_backup_files *known)
{
    static const struct vault_backup_files none = {0};
    struct backup made = {0};
    struct kl_err err = {0};
    int dir = backups_open(fixture);

    if (try_backup(fixture, dir, name, known == NULL ? &none : known, &made, &err) != KL_OK) {
        fail_msg("no backup: %s %s (%s)", err.code, err.client_text, err.log_text);
    }
    vault_backup_dir_close(dir);
    return made;
}

static enum kl_status check(struct store_fixture *fixture, const struct backup *of,
                            struct kl_err *err)
{
    struct vault_backup_work *work = NULL;
    int dir = backups_open(fixture);
    enum kl_status status = vault_backup_check_new(dir, of->name, &of->files, &work, err);

    vault_backup_dir_close(dir);
    if (status == KL_OK) {
        status = run(work, err);
    }
    vault_backup_work_free(work);
    return status;
}

static enum kl_status restore(struct store_fixture *fixture, const struct backup *of,
                              const char *to, uint64_t *ret_written, struct kl_err *err)
{
    char target[PATH_BYTES];
    uint64_t bytes = 0;
    uint64_t all = 0;
    struct vault_backup_work *work = NULL;
    int dir = backups_open(fixture);
    enum kl_status status = vault_backup_restore_new(dir, of->name, &of->files,
                                                     path_of(fixture, to, target), &work, err);

    vault_backup_dir_close(dir);
    if (status == KL_OK) {
        status = run(work, err);
    }
    if (status == KL_OK) {
        vault_backup_progress(work, &bytes, &all, ret_written);
        assert_int_equal(bytes, all);
    }
    vault_backup_work_free(work);
    return status;
}

static size_t rows_at(struct store_fixture *fixture, const char *name, char kind, bool read_only)
{
    char path[PATH_BYTES];
    struct vault_store_options options = {.path = path_of(fixture, name, path),
                                          .read_only = read_only};
    struct vault_store *store = NULL;
    struct kl_err err = {0};
    size_t rows = 0;

    if (vault_store_open(&options, &store, &err) != KL_OK) {
        fail_msg("does not open: %s (%s)", err.code, err.log_text);
    }
    rows = store_fixture_rows(store, kind);
    vault_store_close(store);
    return rows;
}

/* Where a file of the backup lies; the first that is (not) shared. */
static void file_path(struct store_fixture *fixture, const struct backup *of, bool shared,
                      char ret[PATH_BYTES])
{
    char hex[2 * VAULT_BACKUP_HASH_BYTES + 1];
    size_t i = 0;

    while (of->files.items[i].shared != shared || of->files.items[i].bytes < 16) {
        i++;
        assert_true(i < of->files.count);
    }
    if (shared) {
        kl_hex(of->files.items[i].hash, VAULT_BACKUP_HASH_BYTES, hex);
        (void)snprintf(ret, PATH_BYTES, "%s/backups/shared/%s.sst", fixture->folder, hex);
    } else {
        (void)snprintf(ret, PATH_BYTES, "%s/backups/%s/%s", fixture->folder, of->name,
                       of->files.items[i].name);
    }
}

static void flip(const char *path)
{
    unsigned char byte = 0;
    int fd = open(path, O_RDWR);

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, 10), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 10), 1);
    assert_int_equal(close(fd), 0);
}

static size_t files_in(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry = NULL;
    size_t count = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        count += entry->d_name[0] == '.' ? 0 : 1;
    }
    (void)closedir(dir);
    return count;
}

/* Enough for several tables: the log is larger than what a copy takes as it is. */
static void fill_tables(struct store_fixture *fixture, char kind)
{
    fill(fixture->store, kind, 0, 2000);
}

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
        fill(writing->store, 'w', writing->written++, 1);
    }
    return NULL;
}

static void test_a_backup_made_while_writes_go_on_holds_all_that_was_there(void **state)
{
    struct store_fixture *fixture = *state;
    struct writing writing = {.store = fixture->store};
    struct kl_err err = {0};
    struct backup made;
    uint64_t written = 0;
    pthread_t thread;
    size_t rows = 0;

    fill_tables(fixture, 'a');
    assert_int_equal(pthread_create(&thread, NULL, write_on, &writing), 0);
    made = backup(fixture, "one", NULL);
    atomic_store(&writing.stop, true);
    (void)pthread_join(thread, NULL);
    assert_int_equal(check(fixture, &made, &err), KL_OK);
    assert_int_equal(restore(fixture, &made, "back", &written, &err), KL_OK);
    assert_true(written > 2000 * ROW_BYTES);
    assert_int_equal(rows_at(fixture, "back", 'a', false), 2000);
    rows = rows_at(fixture, "back", 'w', false);
    assert_true(rows <= writing.written);
    vault_backup_files_done(&made.files);
}

static void test_the_next_backup_writes_only_what_is_new(void **state)
{
    struct store_fixture *fixture = *state;
    struct backup first;
    struct backup second;
    struct kl_err err = {0};
    uint64_t written = 0;

    fill_tables(fixture, 'a');
    first = backup(fixture, "one", NULL);
    assert_true(first.written > 2000 * ROW_BYTES);
    fill(fixture->store, 'b', 0, 10);
    second = backup(fixture, "two", &first.files);
    assert_true(second.written < first.written / 10);
    assert_true(second.of > first.written);
    assert_int_equal(restore(fixture, &second, "back", &written, &err), KL_OK);
    assert_int_equal(rows_at(fixture, "back", 'a', false), 2000);
    assert_int_equal(rows_at(fixture, "back", 'b', false), 10);
    vault_backup_files_done(&first.files);
    vault_backup_files_done(&second.files);
}

static void test_a_backup_outlives_the_one_it_shares_tables_with(void **state)
{
    struct store_fixture *fixture = *state;
    struct backup first;
    struct backup second;
    struct kl_err err = {0};
    char dir[PATH_BYTES];
    char shared[PATH_BYTES];
    size_t tables = 0;
    uint64_t written = 0;
    int opened = -1;

    fill_tables(fixture, 'a');
    first = backup(fixture, "one", NULL);
    fill_tables(fixture, 'b');
    second = backup(fixture, "two", &first.files);
    path_of(fixture, "backups", dir);
    path_of(fixture, "backups/shared", shared);
    tables = files_in(shared);
    opened = backups_open(fixture);
    assert_int_equal(vault_backup_remove(opened, "two", &err), KL_OK);
    assert_int_equal(vault_backup_collect(opened, &first.files, &err), KL_OK);
    vault_backup_dir_close(opened);
    assert_true(files_in(shared) < tables);
    assert_int_equal(files_in(dir), 2); /* shared and one */
    assert_int_equal(check(fixture, &second, &err), KL_ERR_CORRUPT);
    assert_int_equal(check(fixture, &first, NULL), KL_OK);
    assert_int_equal(restore(fixture, &first, "back", &written, NULL), KL_OK);
    assert_int_equal(rows_at(fixture, "back", 'a', false), 2000);
    assert_int_equal(rows_at(fixture, "back", 'b', false), 0);
    vault_backup_files_done(&first.files);
    vault_backup_files_done(&second.files);
}

static void test_a_backup_opens_where_it_is_read_only(void **state)
{
    struct store_fixture *fixture = *state;
    char path[PATH_BYTES];
    int dir = -1;
    int shared = -1;
    int again = -1;
    struct vault_store_options options = {.path = path_of(fixture, "look", path),
                                          .read_only = true};
    struct vault_batch *batch = vault_batch_new();
    struct vault_store *store = NULL;
    struct kl_err err = {0};
    struct backup made;

    fill_tables(fixture, 'a');
    fill(fixture->store, 'b', 0, 3); /* in the log alone */
    made = backup(fixture, "one", NULL);
    dir = backups_open(fixture);
    assert_int_equal(vault_backup_link(dir, "one", &made.files, path, &again, &err), KL_OK);
    assert_int_equal(vault_backup_link(dir, "one", &made.files, path, &shared, &err), KL_OK);
    vault_backup_dir_close(again);
    vault_backup_dir_close(dir);
    assert_int_equal(rows_at(fixture, "look", 'a', true), 2000);
    assert_int_equal(rows_at(fixture, "look", 'b', true), 3);
    assert_int_equal(vault_store_open(&options, &store, &err), KL_OK);
    vault_batch_put(batch, kl_slice_text("x"), kl_slice_text("y"));
    assert_int_equal(vault_store_apply(store, batch, true, &err), KL_ERR_IO);
    vault_batch_free(batch);
    vault_store_close(store);
    vault_backup_dir_close(shared);
    assert_int_equal(vault_backup_folder_remove(path, NULL), KL_OK);
    assert_int_equal(check(fixture, &made, NULL), KL_OK);
    vault_backup_files_done(&made.files);
}

/* ---- what is broken ---- */

static void assert_damage_is_found(struct store_fixture *fixture, const struct backup *made,
                                   const char *to)
{
    struct kl_err err = {0};
    uint64_t written = 7;

    assert_int_equal(check(fixture, made, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "backup_damaged");
    kl_err_clear(&err);
    assert_int_equal(restore(fixture, made, to, &written, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "backup_damaged");
    assert_int_equal(written, 7);
}

static void test_a_flipped_bit_anywhere_is_found(void **state)
{
    struct store_fixture *fixture = *state;
    struct backup made;
    char path[PATH_BYTES];
    size_t i;

    fill_tables(fixture, 'a');
    made = backup(fixture, "one", NULL);
    for (i = 0; i < 2; i++) {
        file_path(fixture, &made, i == 1, path);
        flip(path);
        assert_damage_is_found(fixture, &made, i == 1 ? "back" : "other");
        flip(path);
        assert_int_equal(check(fixture, &made, NULL), KL_OK);
    }
    vault_backup_files_done(&made.files);
}

static void test_a_file_that_is_missing_cut_or_a_link_is_found(void **state)
{
    struct store_fixture *fixture = *state;
    struct backup made;
    char path[PATH_BYTES];
    char aside[PATH_BYTES];
    struct kl_err err = {0};

    fill_tables(fixture, 'a');
    made = backup(fixture, "one", NULL);
    file_path(fixture, &made, true, path);
    path_of(fixture, "aside", aside);
    assert_int_equal(rename(path, aside), 0);
    assert_damage_is_found(fixture, &made, "back");
    assert_int_equal(symlink(aside, path), 0);
    assert_int_equal(check(fixture, &made, &err), KL_ERR_IO);
    assert_string_equal(err.code, "backup_io");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rename(aside, path), 0);
    assert_int_equal(check(fixture, &made, NULL), KL_OK);
    assert_int_equal(truncate(path, 20), 0);
    assert_damage_is_found(fixture, &made, "back");
    vault_backup_files_done(&made.files);
}

static void test_a_restore_goes_on_where_it_stopped_and_trusts_nothing_it_finds(void **state)
{
    struct store_fixture *fixture = *state;
    char target[PATH_BYTES];
    char table[PATH_BYTES + 128];
    int dir = -1;
    struct vault_backup_work *work = NULL;
    struct kl_err err = {0};
    struct backup made;
    uint64_t all = 0;
    uint64_t written = 0;
    bool done = false;
    size_t i = 0;
    int fd = -1;

    fill_tables(fixture, 'a');
    made = backup(fixture, "zero", NULL);
    vault_backup_files_done(&made.files);
    fill_tables(fixture, 'b');
    made = backup(fixture, "one", NULL);
    path_of(fixture, "back", target);
    assert_int_equal(restore(fixture, &made, "back", &all, &err), KL_OK);
    /* once more: nothing is written */
    assert_int_equal(restore(fixture, &made, "back", &written, &err), KL_OK);
    assert_int_equal(written, 0);
    /* one table with another byte, and a file that no backup has */
    while (!made.files.items[i].shared) {
        i++;
    }
    (void)snprintf(table, sizeof table, "%s/%s", target, made.files.items[i].name);
    flip(table);
    (void)snprintf(table, sizeof table, "%s/stranger", target);
    fd = open(table, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(restore(fixture, &made, "back", &written, &err), KL_OK);
    assert_int_equal(written, made.files.items[i].bytes);
    assert_int_equal(access(table, F_OK), -1);
    assert_int_equal(rows_at(fixture, "back", 'a', true), 2000);
    /* stopped in the middle */
    assert_int_equal(vault_backup_folder_remove(target, NULL), KL_OK);
    dir = backups_open(fixture);
    assert_int_equal(vault_backup_restore_new(dir, "one", &made.files, target, &work, &err), KL_OK);
    vault_backup_dir_close(dir);
    assert_int_equal(vault_backup_step(work, all * 3 / 4, &done, &err), KL_OK);
    assert_false(done);
    vault_backup_work_free(work);
    assert_int_equal(restore(fixture, &made, "back", &written, &err), KL_OK);
    assert_true(written > 0 && written < all);
    assert_int_equal(rows_at(fixture, "back", 'a', false), 2000);
    vault_backup_files_done(&made.files);
}

static void test_a_backup_cut_short_has_no_name_and_is_begun_anew(void **state)
{
    struct store_fixture *fixture = *state;
    const struct vault_backup_files none = {0};
    char checkpoint[PATH_BYTES];
    char path[PATH_BYTES];
    struct vault_backup_work *work = NULL;
    struct kl_err err = {0};
    struct backup made;
    bool done = false;
    int dir = backups_open(fixture);

    fill_tables(fixture, 'a');
    path_of(fixture, "checkpoint", checkpoint);
    assert_int_equal(vault_store_checkpoint(fixture->store, checkpoint, &err), KL_OK);
    assert_int_equal(vault_store_checkpoint(fixture->store, checkpoint, &err), KL_ERR_EXISTS);
    assert_string_equal(err.code, "store_copy_exists");
    kl_err_clear(&err);
    assert_int_equal(vault_backup_copy_new(checkpoint, dir, "one", &none, &work, &err), KL_OK);
    assert_int_equal(vault_backup_step(work, STEP_BYTES, &done, &err), KL_OK);
    assert_false(done);
    vault_backup_work_free(work);
    assert_int_equal(access(path_of(fixture, "backups/one", path), F_OK), -1);
    assert_int_equal(access(path_of(fixture, "backups/one.part", path), F_OK), 0);
    made = backup(fixture, "one", NULL);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(vault_backup_collect(dir, &made.files, &err), KL_OK);
    vault_backup_dir_close(dir);
    assert_int_equal(check(fixture, &made, NULL), KL_OK);
    vault_backup_files_done(&made.files);
}

/* ---- somebody else's links ---- */

/* A folder with a file that nobody may remove; what a link in the directory leads to. */
static void put_victim(const struct store_fixture *fixture, char ret_folder[PATH_BYTES],
                       char ret_file[PATH_BYTES])
{
    int fd;

    path_of(fixture, "victim", ret_folder);
    assert_int_equal(mkdir(ret_folder, 0700), 0);
    path_of(fixture, "victim/000012.sst", ret_file);
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
    char victim[PATH_BYTES];
    char file[PATH_BYTES];
    char path[PATH_BYTES];
    char aside[PATH_BYTES];
    struct backup made;
    struct backup other = {0};
    struct kl_err err = {0};
    int dir = -1;
    int shared = -7;

    fill_tables(fixture, 'a');
    put_victim(fixture, victim, file);
    made = backup(fixture, "one", NULL);
    dir = backups_open(fixture);
    /* shared */
    assert_int_equal(
        rename(path_of(fixture, "backups/shared", path), path_of(fixture, "aside", aside)), 0);
    assert_int_equal(symlink(victim, path), 0);
    assert_unsafe(vault_backup_collect(dir, &none, &err), &err);
    assert_unsafe(try_backup(fixture, dir, "two", &none, &other, &err), &err);
    assert_unsafe(check(fixture, &made, &err), &err);
    assert_unsafe(vault_backup_link(dir, "one", &made.files, aside, &shared, &err), &err);
    assert_int_equal(shared, -7);
    assert_int_equal(unlink(path), 0);
    made.files.count = 0; /* the tables went with aside, which became the folder of links */
    /* <name>.part, and the backup itself */
    assert_int_equal(symlink(victim, path_of(fixture, "backups/three.part", path)), 0);
    assert_unsafe(try_backup(fixture, dir, "three", &none, &other, &err), &err);
    assert_unsafe(vault_backup_remove(dir, "three", &err), &err);
    assert_unsafe(vault_backup_seal(dir, "three", &err), &err);
    assert_unsafe(vault_backup_put(dir, "three", "x", kl_slice_text("x"), &err), &err);
    assert_int_equal(symlink(victim, path_of(fixture, "backups/four", path)), 0);
    other.name = "four";
    assert_unsafe(check(fixture, &other, &err), &err);
    assert_int_equal(access(file, F_OK), 0);
    assert_int_equal(files_in(victim), 1);
    vault_backup_dir_close(dir);
    vault_backup_files_done(&made.files);
}

static void test_a_directory_that_others_may_write_to_is_refused(void **state)
{
    static const mode_t modes[] = {0770, 0702, 0777, 01777};
    struct store_fixture *fixture = *state;
    const struct vault_backup_files none = {0};
    struct kl_err err = {0};
    char path[PATH_BYTES];
    int dir = backups_open(fixture);
    int other = -7;
    size_t i;

    path_of(fixture, "backups", path);
    for (i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_unsafe(vault_backup_dir_open(path, true, &other, &err), &err);
        assert_int_equal(other, -7);
    }
    assert_int_equal(vault_backup_dir_open(path, false, &other, &err), KL_OK); /* only read */
    vault_backup_dir_close(other);
    assert_int_equal(chmod(path, 0755), 0);
    assert_int_equal(mkdir(path_of(fixture, "backups/shared", path), 0700), 0);
    assert_int_equal(chmod(path, 0777), 0);
    assert_unsafe(vault_backup_collect(dir, &none, &err), &err);
    if (geteuid() == 0) {
        assert_int_equal(chmod(path, 0700), 0);
        assert_int_equal(chown(path, 65534, 65534), 0);
        assert_unsafe(vault_backup_collect(dir, &none, &err), &err);
        path_of(fixture, "backups", path);
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
    char path[PATH_BYTES];
    char name[110];
    int dir = backups_open(fixture);
    size_t i;

    assert_int_equal(mkdir(path_of(fixture, "backups/shared", path), 0700), 0);
    for (i = 0; i < kept_count + 2; i++) {
        int fd;

        (void)snprintf(name, sizeof name, "backups/shared/%s",
                       i < kept_count ? kept[i] : gone[i - kept_count]);
        fd = open(path_of(fixture, name, path), O_WRONLY | O_CREAT, 0600);
        assert_true(fd >= 0);
        assert_int_equal(close(fd), 0);
    }
    assert_int_equal(vault_backup_collect(dir, &none, NULL), KL_OK);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(files_in(path_of(fixture, "backups/shared", path)), kept_count);
    vault_backup_dir_close(dir);
}

/* ---- the directory fails ---- */

static void assert_store_works(struct store_fixture *fixture)
{
    fill(fixture->store, 'z', 0, 3);
    assert_int_equal(store_fixture_rows(fixture->store, 'z'), 3);
    assert_int_equal(store_fixture_rows(fixture->store, 'a'), 2000);
}

static void test_a_full_disk_is_said_and_the_store_goes_on(void **state)
{
    struct store_fixture *fixture = *state;
    const struct vault_backup_files none = {0};
    char dir[PATH_BYTES];
    struct kl_err err = {0};
    struct backup made = {.written = 5};
    int small = -1;

    path_of(fixture, "small", dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    if (mount("none", dir, "tmpfs", 0, "size=2m,mode=700") != 0) {
        skip();
    }
    fill_tables(fixture, 'a');
    assert_int_equal(vault_backup_dir_open(dir, true, &small, NULL), KL_OK);
    assert_int_equal(try_backup(fixture, small, "one", &none, &made, &err), KL_ERR_IO);
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
    char checkpoint[PATH_BYTES];
    int dir = backups_open(fixture);

    fill_tables(fixture, 'a');
    path_of(fixture, "checkpoint", checkpoint);
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
    char checkpoint[PATH_BYTES];
    char path[PATH_BYTES];
    struct kl_err err = {0};
    bool done = false;
    int dir = -1;

    fill_tables(fixture, 'a');
    path_of(fixture, "nowhere", path);
    assert_int_equal(vault_backup_dir_open(path, true, &dir, &err), KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "backup_directory");
    assert_int_equal(dir, -1);
    /* it goes away in the middle */
    kl_err_clear(&err);
    dir = backups_open(fixture);
    path_of(fixture, "checkpoint", checkpoint);
    assert_int_equal(vault_store_checkpoint(fixture->store, checkpoint, NULL), KL_OK);
    assert_int_equal(vault_backup_copy_new(checkpoint, dir, "one", &none, &work, &err), KL_OK);
    store_fixture_remove(path_of(fixture, "backups", path));
    while (!done && vault_backup_step(work, STEP_BYTES, &done, &err) == KL_OK) {
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
        WITH(test_a_backup_made_while_writes_go_on_holds_all_that_was_there),
        WITH(test_the_next_backup_writes_only_what_is_new),
        WITH(test_a_backup_outlives_the_one_it_shares_tables_with),
        WITH(test_a_backup_opens_where_it_is_read_only),
        WITH(test_a_flipped_bit_anywhere_is_found),
        WITH(test_a_file_that_is_missing_cut_or_a_link_is_found),
        WITH(test_a_restore_goes_on_where_it_stopped_and_trusts_nothing_it_finds),
        WITH(test_a_backup_cut_short_has_no_name_and_is_begun_anew),
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
