/* Folders of a backup directory: names, lists, what is removed. */
#include "vault/store/backup_internal.h"

#include "kluis/base/encode.h"
#include "kluis/base/file.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- errors and paths ---- */

enum kl_status vault_backup_fail_errno(struct kl_err *err, const char *what, const char *path)
{
    if (errno == ENOSPC || errno == EDQUOT) {
        return kl_fail(err, KL_ERR_IO, "backup_disk_full",
                       "the disk of the backup directory is full: make room, or name another one",
                       "could not %s %s: %m", what, path);
    }
    return kl_fail(err, KL_ERR_IO, "backup_io",
                   "the backup directory cannot be read or written: is it there, and this user's?",
                   "could not %s %s: %m", what, path);
}

enum kl_status vault_backup_damaged(struct kl_err *err, const char *file, const char *what)
{
    return kl_failf(err, KL_ERR_CORRUPT, "backup_damaged", "the backup is damaged: %s %s", file,
                    what);
}

static bool ends_in(const char *name, const char *end)
{
    size_t size = strlen(name);

    return size > strlen(end) && strcmp(name + size - strlen(end), end) == 0;
}

/* Files that are never changed once they are there: tables of the store, and files of values (vault/files.h). */
static const char *const shared_ends[] = {BACKUP_TABLE, BACKUP_VALUE_FILE};

/* NULL: none of them. */
static const char *shared_end(const char *name)
{
    size_t i;

    for (i = 0; i < sizeof shared_ends / sizeof shared_ends[0]; i++) {
        if (ends_in(name, shared_ends[i])) {
            return shared_ends[i];
        }
    }
    return NULL;
}

static void shared_name(const unsigned char hash[VAULT_BACKUP_HASH_BYTES], const char *end,
                        char ret[VAULT_BACKUP_SHARED_NAME_BYTES])
{
    char hex[2 * VAULT_BACKUP_HASH_BYTES + 1];

    kl_hex(hash, VAULT_BACKUP_HASH_BYTES, hex);
    (void)snprintf(ret, VAULT_BACKUP_SHARED_NAME_BYTES, "%s%s", hex, end);
}

void vault_backup_shared_name(const struct vault_backup_file *file,
                              char ret[VAULT_BACKUP_SHARED_NAME_BYTES])
{
    const char *end = shared_end(file->name);

    shared_name(file->hash, end == NULL ? BACKUP_TABLE : end, ret);
}

static void part_name(const char *name, char ret[BACKUP_PART_NAME_BYTES])
{
    assert(strlen(name) <= VAULT_BACKUP_NAME_MAX_BYTES);
    (void)snprintf(ret, BACKUP_PART_NAME_BYTES, "%s%s", name, BACKUP_PART);
}

/* ---- opening ---- */

/* What is written to or removed below it may be nobody's but this user's, or root's. */
static bool is_ours(const struct stat *info)
{
    return (info->st_uid == geteuid() || info->st_uid == 0) &&
           (info->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static enum kl_status fail_unsafe(struct kl_err *err, const char *what)
{
    return kl_failf(
        err, KL_ERR_CONFLICT, "backup_directory_unsafe",
        "%s is a link, another user's, or others may write to it: a backup directory and its folders "
        "have to be the server's user's own (chown, chmod go-w); or name another one",
        what);
}

static enum kl_status judge(int *folder, bool ours, const char *what, struct kl_err *err)
{
    struct stat info;
    enum kl_status status = KL_OK;

    if (fstat(*folder, &info) != 0) {
        status = vault_backup_fail_errno(err, "examine", what);
    } else if (ours && !is_ours(&info)) {
        status = fail_unsafe(err, what);
    }
    if (status != KL_OK) {
        (void)close(*folder);
        *folder = -1;
    }
    return status;
}

enum kl_status vault_backup_dir_open(const char *path, bool ours, int *ret_dir, struct kl_err *err)
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum kl_status status = KL_OK;

    if (dir < 0 && errno == ENOENT) {
        return kl_fail(err, KL_ERR_NOT_FOUND, "backup_directory",
                       "this is no directory of backups: it is not there", "%s", path);
    }
    if (dir < 0) {
        return vault_backup_fail_errno(err, "open", path);
    }
    status = judge(&dir, ours, "the directory", err);
    if (status == KL_OK) {
        *ret_dir = dir;
    }
    return status;
}

void vault_backup_dir_close(int dir)
{
    if (dir >= 0) {
        (void)close(dir);
    }
}

enum kl_status vault_backup_folder_open(int dir, const char *name, bool ours, int *ret_folder,
                                        struct kl_err *err)
{
    int folder = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    enum kl_status status = KL_OK;

    if (folder < 0 && errno == ENOENT) {
        return kl_fail(err, KL_ERR_NOT_FOUND, "backup_folder", "the backup is not there", "%s",
                       name);
    }
    if (folder < 0 && (errno == ENOTDIR || errno == ELOOP)) {
        return fail_unsafe(err, name);
    }
    if (folder < 0) {
        return vault_backup_fail_errno(err, "open", name);
    }
    status = judge(&folder, ours, name, err);
    if (status == KL_OK) {
        *ret_folder = folder;
    }
    return status;
}

/* What is in a folder; a descriptor of its own, as reading a folder moves it. */
DIR *vault_backup_folder_entries(int folder)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);

    if (entries == NULL && fd >= 0) {
        (void)close(fd);
    }
    return entries;
}

/* ---- lists ---- */

bool vault_backup_file_name_valid(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t size = strlen(name);

    return size > 0 && size < VAULT_BACKUP_FILE_NAME_BYTES && name[0] != '.' &&
           strspn(name, allowed) == size;
}

enum kl_status vault_backup_files_add(struct vault_backup_files *files,
                                      const struct vault_backup_file *file, struct kl_err *err)
{
    struct vault_backup_file *grown = NULL;

    if ((files->count & (files->count - 1)) == 0) {
        size_t room = files->count == 0 ? 1 : 2 * files->count;

        grown = realloc(files->items, room * sizeof *grown);
        if (grown == NULL) {
            return kl_fail_memory(err);
        }
        files->items = grown;
    }
    files->items[files->count++] = *file;
    return KL_OK;
}

void vault_backup_files_done(struct vault_backup_files *files)
{
    free(files->items);
    *files = (struct vault_backup_files){0};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct vault_backup_file *)a)->name,
                  ((const struct vault_backup_file *)b)->name);
}

const struct vault_backup_file *vault_backup_files_find(const struct vault_backup_files *files,
                                                        const char *name)
{
    struct vault_backup_file wanted = {0};

    if (files->count == 0 || !vault_backup_file_name_valid(name)) {
        return NULL;
    }
    memcpy(wanted.name, name, strlen(name));
    return bsearch(&wanted, files->items, files->count, sizeof wanted, by_name);
}

/* One entry of a folder; what is no file that a store has is passed over. */
static enum kl_status list_one(int folder, const char *path, const char *name, bool tables,
                               struct vault_backup_files *files, struct kl_err *err)
{
    struct vault_backup_file file = {0};
    struct stat info;

    if (!vault_backup_file_name_valid(name)) {
        return KL_OK;
    }
    if (fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
        return vault_backup_fail_errno(err, "examine a file in", path);
    }
    if (!S_ISREG(info.st_mode)) {
        return KL_OK;
    }
    if (files->count == VAULT_BACKUP_FILES_MAX) {
        return kl_fail(err, KL_ERR_TOO_LARGE, "backup_files", "a backup has too many files", NULL);
    }
    memcpy(file.name, name, strlen(name));
    file.bytes = (uint64_t)info.st_size;
    file.inode = (uint64_t)info.st_ino;
    file.mtime_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    file.shared = tables && shared_end(name) != NULL;
    return vault_backup_files_add(files, &file, err);
}

enum kl_status vault_backup_folder_list(int folder, const char *what, bool tables,
                                        struct vault_backup_files *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_backup_files files = {0};
    const struct dirent *entry = NULL;
    DIR *dir = vault_backup_folder_entries(folder);

    if (dir == NULL) {
        return vault_backup_fail_errno(err, "list", what);
    }
    for (errno = 0; status == KL_OK && (entry = readdir(dir)) != NULL; errno = 0) {
        status = list_one(folder, what, entry->d_name, tables, &files, err);
    }
    if (status == KL_OK && errno != 0) {
        status = vault_backup_fail_errno(err, "list", what);
    }
    (void)closedir(dir);
    if (status != KL_OK) {
        vault_backup_files_done(&files);
        return status;
    }
    if (files.count > 0) {
        qsort(files.items, files.count, sizeof *files.items, by_name);
    }
    *ret = files;
    return KL_OK;
}

/* ---- making and removing ---- */

enum kl_status vault_backup_folder_sync(int folder, const char *what, struct kl_err *err)
{
    return fsync(folder) == 0 ? KL_OK : vault_backup_fail_errno(err, "sync", what);
}

enum kl_status vault_backup_folder_make(int dir, const char *name, int *ret_folder,
                                        struct kl_err *err)
{
    if (mkdirat(dir, name, 0700) != 0 && errno != EEXIST) {
        return vault_backup_fail_errno(err, "make", name);
    }
    if (dir != AT_FDCWD && fsync(dir) != 0) {
        return vault_backup_fail_errno(err, "sync the folder of", name);
    }
    return vault_backup_folder_open(dir, name, dir != AT_FDCWD, ret_folder, err);
}

/* The folder itself is never followed, and what is in it goes by its own name. */
static enum kl_status folder_remove(int dir, const char *name, bool ours, struct kl_err *err)
{
    const struct dirent *entry = NULL;
    DIR *entries = NULL;
    int folder = -1;
    struct kl_err cause = {0};
    enum kl_status status = vault_backup_folder_open(dir, name, ours, &folder, &cause);

    if (status != KL_OK) {
        return status == KL_ERR_NOT_FOUND
                   ? KL_OK
                   : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    entries = vault_backup_folder_entries(folder);
    if (entries == NULL) {
        status = vault_backup_fail_errno(err, "list", name);
    }
    while (status == KL_OK && (entry = readdir(entries)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            unlinkat(folder, entry->d_name, 0) != 0) {
            status = vault_backup_fail_errno(err, "remove a file in", name);
        }
    }
    if (entries != NULL) {
        (void)closedir(entries);
    }
    (void)close(folder);
    if (status == KL_OK && unlinkat(dir, name, AT_REMOVEDIR) != 0) {
        status = vault_backup_fail_errno(err, "remove", name);
    }
    return status;
}

enum kl_status vault_backup_folder_remove(const char *path, struct kl_err *err)
{
    return folder_remove(AT_FDCWD, path, false, err);
}

enum kl_status vault_backup_part_make(int dir, const char *name, int *ret_folder,
                                      struct kl_err *err)
{
    char part[BACKUP_PART_NAME_BYTES];
    enum kl_status status = KL_OK;

    part_name(name, part);
    status = folder_remove(dir, part, true, err);
    return status == KL_OK ? vault_backup_folder_make(dir, part, ret_folder, err) : status;
}

enum kl_status vault_backup_put(int dir, const char *name, const char *file, struct kl_slice bytes,
                                struct kl_err *err)
{
    char part[BACKUP_PART_NAME_BYTES];
    struct kl_err cause = {0};
    int folder = -1;
    enum kl_status status = KL_OK;

    part_name(name, part);
    status = vault_backup_folder_open(dir, part, true, &folder, err);
    if (status == KL_OK &&
        kl_file_create_at(folder, file, 0600, bytes.bytes, bytes.size, &cause) != KL_OK) {
        status = kl_failf(err, KL_ERR_IO, "backup_io",
                          "%s cannot be written to the backup: is the disk full?", file);
    }
    vault_backup_dir_close(folder);
    return status;
}

enum kl_status vault_backup_seal(int dir, const char *name, struct kl_err *err)
{
    char part[BACKUP_PART_NAME_BYTES];
    int folder = -1;
    enum kl_status status = KL_OK;

    part_name(name, part);
    status = vault_backup_folder_open(dir, part, true, &folder, err);
    if (status == KL_OK) {
        status = vault_backup_folder_sync(folder, part, err);
    }
    vault_backup_dir_close(folder);
    if (status == KL_OK && renameat(dir, part, dir, name) != 0) {
        status = vault_backup_fail_errno(err, "rename", part);
    }
    return status == KL_OK ? vault_backup_folder_sync(dir, "the directory", err) : status;
}

/* It loses its name first, so that no half of it is ever taken for a backup. */
enum kl_status vault_backup_remove(int dir, const char *name, struct kl_err *err)
{
    char part[BACKUP_PART_NAME_BYTES];
    enum kl_status status = KL_OK;

    part_name(name, part);
    if (renameat(dir, name, dir, part) != 0 && errno != ENOENT) {
        return vault_backup_fail_errno(err, "rename", name);
    }
    status = vault_backup_folder_sync(dir, "the directory", err);
    return status == KL_OK ? folder_remove(dir, part, true, err) : status;
}

static int by_hash(const void *a, const void *b)
{
    return memcmp(a, b, VAULT_BACKUP_HASH_BYTES);
}

/* The hashes of needed, sorted. */
static unsigned char *hashes_of(const struct vault_backup_files *needed)
{
    unsigned char *hashes = calloc(needed->count + 1, VAULT_BACKUP_HASH_BYTES);
    size_t i;

    for (i = 0; hashes != NULL && i < needed->count; i++) {
        memcpy(hashes + i * VAULT_BACKUP_HASH_BYTES, needed->items[i].hash,
               VAULT_BACKUP_HASH_BYTES);
    }
    if (hashes != NULL) {
        qsort(hashes, needed->count, VAULT_BACKUP_HASH_BYTES, by_hash);
    }
    return hashes;
}

/* <64 hex>.sst or .file, as vault_backup_shared_name() writes it. Nothing else in DIR/shared is ours to remove. */
static bool is_shared(const char *name, unsigned char ret_hash[VAULT_BACKUP_HASH_BYTES])
{
    char same[VAULT_BACKUP_SHARED_NAME_BYTES];
    const char *end = shared_end(name);

    if (end == NULL || strlen(name) != 2 * VAULT_BACKUP_HASH_BYTES + strlen(end) ||
        !kl_hex_decode(name, 2 * VAULT_BACKUP_HASH_BYTES, ret_hash, VAULT_BACKUP_HASH_BYTES)) {
        return false;
    }
    shared_name(ret_hash, end, same);
    return strcmp(name, same) == 0;
}

static enum kl_status collect_in(int shared, const unsigned char *hashes, size_t count,
                                 struct kl_err *err)
{
    DIR *entries = vault_backup_folder_entries(shared);
    unsigned char hash[VAULT_BACKUP_HASH_BYTES];
    const struct dirent *entry = NULL;
    enum kl_status status = KL_OK;

    if (entries == NULL) {
        return vault_backup_fail_errno(err, "list", BACKUP_SHARED_DIR);
    }
    while (status == KL_OK && (entry = readdir(entries)) != NULL) {
        if (is_shared(entry->d_name, hash) &&
            bsearch(hash, hashes, count, sizeof hash, by_hash) == NULL &&
            unlinkat(shared, entry->d_name, 0) != 0 && errno != EISDIR) {
            status = vault_backup_fail_errno(err, "remove one of", BACKUP_SHARED_DIR);
        }
    }
    (void)closedir(entries);
    return status;
}

enum kl_status vault_backup_collect(int dir, const struct vault_backup_files *needed,
                                    struct kl_err *err)
{
    unsigned char *hashes = hashes_of(needed);
    int shared = -1;
    enum kl_status status = KL_OK;

    if (hashes == NULL) {
        return kl_fail_memory(err);
    }
    status = vault_backup_folder_open(dir, BACKUP_SHARED_DIR, true, &shared, err);
    if (status == KL_OK) {
        status = collect_in(shared, hashes, needed->count, err);
    }
    vault_backup_dir_close(shared);
    free(hashes);
    return status;
}
