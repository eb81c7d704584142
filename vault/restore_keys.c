/*
 * The machine is lost: keys/ and the root file are made from a mirror's. Its
 * rows are copied as they are; kms sees that they were a mirror's and makes them the first place.
 */
#include "vault/restore.h"

#include "kluis/base/file.h"
#include "vault/open.h"
#include "vault/store/backup.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESTORING_KEYS_DIR "keys.restoring"
#define ROOT_FILE_MAX_BYTES 65536
#define BATCH_ROWS 512
#define CACHE_BYTES ((size_t)8 * 1024 * 1024)

static enum kl_status io(struct kl_err *err, const char *what, const char *path)
{
    return kl_fail(err, KL_ERR_IO, "data_dir", "the data directory could not be written",
                   "could not %s %s: %m", what, path);
}

/* ---- rows ---- */

static enum kl_status rows_copy(struct vault_store *from, struct vault_store *to,
                                struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_iter *iter =
        vault_iter_new(from, (struct kl_slice){NULL, 0}, (struct kl_slice){NULL, 0}, false);
    struct vault_batch *batch = vault_batch_new();
    struct kl_slice key;
    struct kl_slice value;

    if (iter == NULL || batch == NULL) {
        status = kl_fail_memory(err);
        goto out;
    }
    while (status == KL_OK && vault_iter_next(iter, &key, &value)) {
        vault_batch_put(batch, key, value);
        if (vault_batch_count(batch) == BATCH_ROWS) {
            status = vault_store_apply(to, batch, false, err);
            vault_batch_clear(batch);
        }
    }
    if (status == KL_OK) {
        status = vault_iter_status(iter, err);
    }
    if (status == KL_OK) {
        status = vault_store_apply(to, batch, true, err);
    }

out:
    vault_iter_free(iter);
    vault_batch_free(batch);
    return status;
}

/* The mirror is opened like any store, so that nobody else has it meanwhile. */
static enum kl_status keys_copy(const char *mirror, const char *to, struct kl_err *err)
{
    char from[VAULT_PATH_MAX_BYTES];
    const struct vault_store_options reading = {.path = from, .cache_bytes = CACHE_BYTES};
    const struct vault_store_options writing = {
        .path = to, .create = true, .cache_bytes = CACHE_BYTES};
    struct vault_store *source = NULL;
    struct vault_store *target = NULL;
    struct kl_err cause = {0};
    enum kl_status status = vault_path(mirror, VAULT_KEYS_DIR, from, err);

    if (status == KL_OK) {
        status = vault_store_open(&reading, &source, &cause);
    }
    if (status == KL_ERR_NOT_FOUND) {
        status = kl_fail(err, KL_ERR_NOT_FOUND, "no_mirror",
                         "there is no mirror in that directory: it has no keys/", "%s", mirror);
    } else if (cause.status != KL_OK) {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    if (status == KL_OK) {
        status = vault_store_open(&writing, &target, err);
    }
    if (status == KL_OK) {
        status = rows_copy(source, target, err);
    }
    vault_store_close(source);
    vault_store_close(target);
    return status;
}

static enum kl_status keys_take(const char *data_dir, const char *mirror, struct kl_err *err)
{
    char keys[VAULT_PATH_MAX_BYTES];
    char part[VAULT_PATH_MAX_BYTES];
    enum kl_status status = vault_path(data_dir, VAULT_KEYS_DIR, keys, err);

    if (status == KL_OK) {
        status = vault_path(data_dir, RESTORING_KEYS_DIR, part, err);
    }
    if (status != KL_OK || access(keys, F_OK) == 0) {
        return status;
    }
    status = vault_backup_folder_remove(part, err);
    if (status == KL_OK) {
        status = keys_copy(mirror, part, err);
    }
    if (status == KL_OK && rename(part, keys) != 0) {
        status = io(err, "rename", part);
    }
    return status == KL_OK ? kl_dir_sync(data_dir, err) : status;
}

/* ---- the root file ---- */

/* The path in a custodian that is a file; NULL for others, which keep the root key themselves. */
static const char *root_path(const char *custodian)
{
    static const char *const kinds[] = {"file:", "passphrase:"};
    size_t i;

    for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strncmp(custodian, kinds[i], strlen(kinds[i])) == 0) {
            return custodian + strlen(kinds[i]);
        }
    }
    return NULL;
}

/* One that is there already is fine when it is the mirror's. */
static enum kl_status root_take(const char *path, const char *mirror, struct kl_err *err)
{
    char from[VAULT_PATH_MAX_BYTES];
    struct kl_buf root = {0};
    struct kl_buf there = {0};
    struct kl_err cause = {0};
    enum kl_status status = vault_path(mirror, "root", from, err);

    if (status != KL_OK) {
        return status;
    }
    status = kl_file_read(from, ROOT_FILE_MAX_BYTES, &root, &cause);
    if (status != KL_OK) {
        status =
            kl_fail(err, status == KL_ERR_NOT_FOUND ? KL_ERR_NOT_FOUND : KL_ERR_IO, "no_mirror",
                    "the mirror has no root file that can be read", "%s", cause.log_text);
        goto out;
    }
    kl_err_clear(&cause);
    status = kl_file_create(path, 0600, root.bytes, root.size, &cause);
    if (status == KL_ERR_EXISTS && kl_file_read(path, ROOT_FILE_MAX_BYTES, &there, NULL) == KL_OK &&
        kl_slice_equal(kl_buf_slice(&root), kl_buf_slice(&there))) {
        status = KL_OK;
    } else if (status == KL_ERR_EXISTS) {
        status = kl_fail(
            err, KL_ERR_EXISTS, "root_file_exists",
            "there is a root file already, and it is not the mirror's: name another path with --custodian",
            "%s", path);
    } else if (status != KL_OK) {
        status = kl_fail(err, status, "root_file_io", "the root file could not be made", "%s",
                         cause.log_text);
    }

out:
    kl_buf_done(&root);
    kl_buf_done(&there);
    return status;
}

/* ---- the data directory ---- */

/* Nothing is in it but what an attempt that was cut short left: keys, and what was being copied. */
static enum kl_status check_ours(const char *path, struct kl_err *err)
{
    static const char *const ours[] = {
        ".",    "..",           VAULT_KEYS_DIR, RESTORING_KEYS_DIR, VAULT_RESTORING_DIR,
        "data", "restore.json", "files"};
    DIR *dir = opendir(path);
    const struct dirent *entry = NULL;
    bool known = true;
    size_t i;

    if (dir == NULL) {
        return io(err, "open", path);
    }
    while (known && (entry = readdir(dir)) != NULL) {
        known = false;
        for (i = 0; i < sizeof ours / sizeof ours[0]; i++) {
            known = known || strcmp(entry->d_name, ours[i]) == 0;
        }
    }
    (void)closedir(dir);
    return known
               ? KL_OK
               : kl_fail(
                     err, KL_ERR_EXISTS, "data_dir_not_empty",
                     "the data directory is not empty: with the keys of a mirror it is made anew; name another one",
                     NULL);
}

static enum kl_status dir_make(const char *path, struct kl_err *err)
{
    char parent[VAULT_PATH_MAX_BYTES];
    enum kl_status status = KL_OK;

    if (mkdir(path, 0700) == 0) {
        status = vault_path(path, "..", parent, err);
        return status == KL_OK ? kl_dir_sync(parent, err) : status;
    }
    return errno == EEXIST ? check_ours(path, err) : io(err, "make", path);
}

enum kl_status vault_restore_keys_take(const struct vault_restore_options *options,
                                       struct kl_err *err)
{
    const char *root = root_path(options->vault->custodian);
    char keys[VAULT_PATH_MAX_BYTES];
    enum kl_status status = dir_make(options->vault->data_dir, err);

    if (status == KL_OK) {
        status = vault_path(options->vault->data_dir, VAULT_KEYS_DIR, keys, err);
    }
    /* Once keys are there the root file belongs to them, and may have changed since it was copied. */
    if (status == KL_OK && root != NULL && (access(keys, F_OK) != 0 || access(root, F_OK) != 0)) {
        status = root_take(root, options->keys_from, err);
    }
    return status == KL_OK ? keys_take(options->vault->data_dir, options->keys_from, err) : status;
}
