#include "tests/support/store_backup_fixture.h"

#include "kluis/base/encode.h"
#include "tests/support/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *store_backup_path(const struct store_fixture *fixture, const char *name,
                              char ret[STORE_BACKUP_PATH_BYTES])
{
    (void)snprintf(ret, STORE_BACKUP_PATH_BYTES, "%s/%s", fixture->folder, name);
    return ret;
}

int store_backup_dir_open(const struct store_fixture *fixture)
{
    char path[STORE_BACKUP_PATH_BYTES];
    int dir = -1;

    (void)mkdir(store_backup_path(fixture, "backups", path), 0700);
    assert_int_equal(vault_backup_dir_open(path, true, &dir, NULL), KL_OK);
    return dir;
}

void store_backup_fill(struct vault_store *store, char kind, unsigned first, unsigned count)
{
    unsigned char value[STORE_BACKUP_ROW_BYTES];
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

enum kl_status store_backup_run(struct vault_backup_work *work, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    bool done = false;
    unsigned steps = 0;

    while (status == KL_OK && !done) {
        status = vault_backup_step(work, STORE_BACKUP_STEP_BYTES, &done, err);
        assert_true(steps++ < 100000);
    }
    return status;
}

enum kl_status store_backup_try(struct store_fixture *fixture, int dir, const char *name,
                                const struct vault_backup_files *known, struct store_backup *ret,
                                struct kl_err *err)
{
    char checkpoint[STORE_BACKUP_PATH_BYTES];
    struct vault_backup_work *work = NULL;
    enum kl_status status = KL_OK;
    uint64_t bytes = 0;
    size_t i;

    store_backup_path(fixture, "checkpoint", checkpoint);
    assert_int_equal(vault_backup_folder_remove(checkpoint, NULL), KL_OK);
    assert_int_equal(vault_store_checkpoint(fixture->store, checkpoint, NULL), KL_OK);
    status = vault_backup_copy_new(checkpoint, dir, name, known, &work, err);
    if (status == KL_OK) {
        status = store_backup_run(work, err);
    }
    if (status == KL_OK) {
        *ret = (struct store_backup){.name = name};
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

struct store_backup store_backup_make(struct store_fixture *fixture, const char *name,
                                      const struct vault_backup_files *known)
{
    static const struct vault_backup_files none = {0};
    struct store_backup made = {0};
    struct kl_err err = {0};
    int dir = store_backup_dir_open(fixture);

    if (store_backup_try(fixture, dir, name, known == NULL ? &none : known, &made, &err) != KL_OK) {
        fail_msg("no backup: %s %s (%s)", err.code, err.client_text, err.log_text);
    }
    vault_backup_dir_close(dir);
    return made;
}

enum kl_status store_backup_check(struct store_fixture *fixture, const struct store_backup *of,
                                  struct kl_err *err)
{
    struct vault_backup_work *work = NULL;
    int dir = store_backup_dir_open(fixture);
    enum kl_status status = vault_backup_check_new(dir, of->name, &of->files, &work, err);

    vault_backup_dir_close(dir);
    if (status == KL_OK) {
        status = store_backup_run(work, err);
    }
    vault_backup_work_free(work);
    return status;
}

enum kl_status store_backup_restore(struct store_fixture *fixture, const struct store_backup *of,
                                    const char *to, uint64_t *ret_written, struct kl_err *err)
{
    char target[STORE_BACKUP_PATH_BYTES];
    uint64_t bytes = 0;
    uint64_t all = 0;
    struct vault_backup_work *work = NULL;
    int dir = store_backup_dir_open(fixture);
    enum kl_status status = vault_backup_restore_new(
        dir, of->name, &of->files, store_backup_path(fixture, to, target), &work, err);

    vault_backup_dir_close(dir);
    if (status == KL_OK) {
        status = store_backup_run(work, err);
    }
    if (status == KL_OK) {
        vault_backup_progress(work, &bytes, &all, ret_written);
        assert_int_equal(bytes, all);
    }
    vault_backup_work_free(work);
    return status;
}

size_t store_backup_rows(struct store_fixture *fixture, const char *name, char kind, bool read_only)
{
    char path[STORE_BACKUP_PATH_BYTES];
    struct vault_store_options options = {.path = store_backup_path(fixture, name, path),
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

void store_backup_file_path(struct store_fixture *fixture, const struct store_backup *of,
                            bool shared, char ret[STORE_BACKUP_PATH_BYTES])
{
    char hex[2 * VAULT_BACKUP_HASH_BYTES + 1];
    size_t i = 0;

    while (of->files.items[i].shared != shared || of->files.items[i].bytes < 16) {
        i++;
        assert_true(i < of->files.count);
    }
    if (shared) {
        kl_hex(of->files.items[i].hash, VAULT_BACKUP_HASH_BYTES, hex);
        (void)snprintf(ret, STORE_BACKUP_PATH_BYTES, "%s/backups/shared/%s.sst", fixture->folder,
                       hex);
    } else {
        (void)snprintf(ret, STORE_BACKUP_PATH_BYTES, "%s/backups/%s/%s", fixture->folder, of->name,
                       of->files.items[i].name);
    }
}

void store_backup_flip(const char *path)
{
    unsigned char byte = 0;
    int fd = open(path, O_RDWR);

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, 10), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 10), 1);
    assert_int_equal(close(fd), 0);
}

size_t store_backup_files_in(const char *path)
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

void store_backup_fill_tables(struct store_fixture *fixture, char kind)
{
    store_backup_fill(fixture->store, kind, 0, 2000);
}
