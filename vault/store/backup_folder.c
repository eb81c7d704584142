/* Folders of a backup directory: names, lists, what is removed. */
#include "vault/store/backup_internal.h"

#include "kluis/base/encode.h"
#include "kluis/base/file.h"

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

enum kl_status vault_backup_path(const char *dir, const char *name, const char *suffix,
                                 char ret[VAULT_BACKUP_PATH_BYTES], struct kl_err *err)
{
    int size = snprintf(ret, VAULT_BACKUP_PATH_BYTES, "%s/%s%s", dir, name, suffix);

    if (size < 0 || size >= VAULT_BACKUP_PATH_BYTES) {
        return kl_fail(err, KL_ERR_INVALID, "path_too_long",
                       "the path of the backup directory is too long", NULL);
    }
    return KL_OK;
}

static bool ends_in(const char *name, const char *end)
{
    size_t size = strlen(name);

    return size > strlen(end) && strcmp(name + size - strlen(end), end) == 0;
}

/* Files that are never changed once they are there: tables of the store, and files of values (vault/files.h). */
static const char *const shared_ends[] = {".sst", ".file"};

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

enum kl_status vault_backup_shared_path(const char *dir, const struct vault_backup_file *file,
                                        char ret[VAULT_BACKUP_PATH_BYTES], struct kl_err *err)
{
    char name[sizeof BACKUP_SHARED_DIR + 2 * VAULT_BACKUP_HASH_BYTES + 2];
    char hex[2 * VAULT_BACKUP_HASH_BYTES + 1];
    const char *end = shared_end(file->name);

    kl_hex(file->hash, VAULT_BACKUP_HASH_BYTES, hex);
    (void)snprintf(name, sizeof name, "%s/%s", BACKUP_SHARED_DIR, hex);
    return vault_backup_path(dir, name, end == NULL ? shared_ends[0] : end, ret, err);
}

enum kl_status vault_backup_file_path(const char *dir, const char *name,
                                      const struct vault_backup_file *file,
                                      char ret[VAULT_BACKUP_PATH_BYTES], struct kl_err *err)
{
    char inside[VAULT_BACKUP_NAME_MAX_BYTES + VAULT_BACKUP_FILE_NAME_BYTES + 2];

    if (file->shared) {
        return vault_backup_shared_path(dir, file, ret, err);
    }
    (void)snprintf(inside, sizeof inside, "%s/%s", name, file->name);
    return vault_backup_path(dir, inside, "", ret, err);
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

enum kl_status vault_backup_folder_list(const char *path, bool tables,
                                        struct vault_backup_files *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_backup_files files = {0};
    const struct dirent *entry = NULL;
    DIR *dir = opendir(path);

    if (dir == NULL) {
        return vault_backup_fail_errno(err, "list", path);
    }
    for (errno = 0; status == KL_OK && (entry = readdir(dir)) != NULL; errno = 0) {
        status = list_one(dirfd(dir), path, entry->d_name, tables, &files, err);
    }
    if (status == KL_OK && errno != 0) {
        status = vault_backup_fail_errno(err, "list", path);
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

enum kl_status vault_backup_folder_sync(const char *path, struct kl_err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum kl_status status = KL_OK;

    if (fd < 0 || fsync(fd) != 0) {
        status = vault_backup_fail_errno(err, "sync", path);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return status;
}

enum kl_status vault_backup_folder_make(const char *path, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    char parent[VAULT_BACKUP_PATH_BYTES];

    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return vault_backup_fail_errno(err, "make", path);
    }
    status = vault_backup_path(path, "..", "", parent, err);
    return status == KL_OK ? vault_backup_folder_sync(parent, err) : status;
}

enum kl_status vault_backup_folder_remove(const char *path, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    const struct dirent *entry = NULL;
    DIR *dir = opendir(path);

    if (dir == NULL) {
        return errno == ENOENT ? KL_OK : vault_backup_fail_errno(err, "open", path);
    }
    while (status == KL_OK && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            unlinkat(dirfd(dir), entry->d_name, 0) != 0) {
            status = vault_backup_fail_errno(err, "remove a file in", path);
        }
    }
    (void)closedir(dir);
    if (status == KL_OK && rmdir(path) != 0) {
        status = vault_backup_fail_errno(err, "remove", path);
    }
    return status;
}

enum kl_status vault_backup_seal(const char *dir, const char *name, struct kl_err *err)
{
    char part[VAULT_BACKUP_PATH_BYTES];
    char path[VAULT_BACKUP_PATH_BYTES];
    enum kl_status status = vault_backup_path(dir, name, BACKUP_PART, part, err);

    if (status == KL_OK) {
        status = vault_backup_path(dir, name, "", path, err);
    }
    if (status == KL_OK) {
        status = vault_backup_folder_sync(part, err);
    }
    if (status == KL_OK && rename(part, path) != 0) {
        status = vault_backup_fail_errno(err, "rename", part);
    }
    return status == KL_OK ? vault_backup_folder_sync(dir, err) : status;
}

/* It loses its name first, so that no half of it is ever taken for a backup. */
enum kl_status vault_backup_remove(const char *dir, const char *name, struct kl_err *err)
{
    char part[VAULT_BACKUP_PATH_BYTES];
    char path[VAULT_BACKUP_PATH_BYTES];
    enum kl_status status = vault_backup_path(dir, name, BACKUP_PART, part, err);

    if (status == KL_OK) {
        status = vault_backup_path(dir, name, "", path, err);
    }
    if (status == KL_OK && rename(path, part) != 0 && errno != ENOENT) {
        status = vault_backup_fail_errno(err, "rename", path);
    }
    if (status == KL_OK) {
        status = vault_backup_folder_sync(dir, err);
    }
    return status == KL_OK ? vault_backup_folder_remove(part, err) : status;
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

static bool is_needed(const char *name, const unsigned char *hashes, size_t count)
{
    unsigned char hash[VAULT_BACKUP_HASH_BYTES];
    const char *end = shared_end(name);

    return end != NULL && strlen(name) == 2 * sizeof hash + strlen(end) &&
           kl_hex_decode(name, 2 * sizeof hash, hash, sizeof hash) &&
           bsearch(hash, hashes, count, sizeof hash, by_hash) != NULL;
}

enum kl_status vault_backup_collect(const char *dir, const struct vault_backup_files *needed,
                                    struct kl_err *err)
{
    char path[VAULT_BACKUP_PATH_BYTES];
    enum kl_status status = vault_backup_path(dir, BACKUP_SHARED_DIR, "", path, err);
    unsigned char *hashes = hashes_of(needed);
    const struct dirent *entry = NULL;
    DIR *shared = NULL;

    if (status == KL_OK && hashes == NULL) {
        status = kl_fail_memory(err);
    }
    if (status == KL_OK) {
        shared = opendir(path);
        if (shared == NULL) {
            status = vault_backup_fail_errno(err, "list", path);
        }
    }
    while (status == KL_OK && (entry = readdir(shared)) != NULL) {
        if (entry->d_name[0] != '.' && !is_needed(entry->d_name, hashes, needed->count) &&
            unlinkat(dirfd(shared), entry->d_name, 0) != 0 && errno != EISDIR) {
            status = vault_backup_fail_errno(err, "remove a table in", path);
        }
    }
    if (shared != NULL) {
        (void)closedir(shared);
    }
    free(hashes);
    return status;
}

/* ---- a folder that opens like the store ---- */

static enum kl_status copy_small(const char *from, const char *to, struct kl_err *err)
{
    unsigned char chunk[65536];
    enum kl_status status = KL_OK;
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ssize_t got = 0;

    if (in < 0 || out < 0) {
        status = vault_backup_fail_errno(err, "open", in < 0 ? from : to);
    }
    while (status == KL_OK && (got = read(in, chunk, sizeof chunk)) != 0) {
        if (got < 0 || write(out, chunk, (size_t)got) != got) {
            status = vault_backup_fail_errno(err, "copy", from);
        }
    }
    if (in >= 0) {
        (void)close(in);
    }
    if (out >= 0) {
        (void)close(out);
    }
    return status;
}

static enum kl_status link_one(const char *dir, const char *name,
                               const struct vault_backup_file *file, const char *to,
                               struct kl_err *err)
{
    char from[VAULT_BACKUP_PATH_BYTES];
    char path[VAULT_BACKUP_PATH_BYTES];
    enum kl_status status = vault_backup_file_path(dir, name, file, from, err);

    if (status == KL_OK) {
        status = vault_backup_path(to, file->name, "", path, err);
    }
    if (status == KL_OK && !file->shared) {
        status = copy_small(from, path, err);
    } else if (status == KL_OK && symlink(from, path) != 0) {
        status = vault_backup_fail_errno(err, "make", path);
    }
    return status;
}

enum kl_status vault_backup_link(const char *dir, const char *name,
                                 const struct vault_backup_files *files, const char *to,
                                 struct kl_err *err)
{
    enum kl_status status = vault_backup_folder_remove(to, err);
    size_t i;

    if (status == KL_OK) {
        status = vault_backup_folder_make(to, err);
    }
    for (i = 0; status == KL_OK && i < files->count; i++) {
        status = link_one(dir, name, &files->items[i], to, err);
    }
    return status;
}
