/* One work over the files of a backup: copied out, checked, or put back, a piece at a time. */
#include "vault/store/backup_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES ((size_t)1024 * 1024)

enum work_kind { WORK_COPY, WORK_CHECK, WORK_RESTORE };

/* at: the file under way, open when from >= 0; offset: how much of it is done. to < 0: nothing is written for it. */
struct vault_backup_work {
    enum work_kind kind;
    char dir[VAULT_BACKUP_PATH_BYTES];
    char other[VAULT_BACKUP_PATH_BYTES]; /* copied from, or restored to */
    char name[VAULT_BACKUP_NAME_MAX_BYTES + 1];
    struct vault_backup_files files;
    const struct vault_backup_files *known;
    size_t at;
    int from;
    int to;
    char to_path[VAULT_BACKUP_PATH_BYTES];
    uint64_t offset;
    uint64_t bytes;
    uint64_t of;
    uint64_t written;
    bool comparing; /* restore: the file that is there already is read, not the backup's */
    crypto_generichash_state hash;
    unsigned char *chunk;
};

static enum kl_status work_new(enum work_kind kind, const char *dir, const char *name,
                               const char *other, struct vault_backup_work **ret_work,
                               struct kl_err *err)
{
    struct vault_backup_work *work = calloc(1, sizeof *work);

    assert(strlen(name) <= VAULT_BACKUP_NAME_MAX_BYTES);
    if (work != NULL) {
        work->chunk = malloc(CHUNK_BYTES);
    }
    if (work == NULL || work->chunk == NULL) {
        free(work);
        return kl_fail_memory(err);
    }
    work->kind = kind;
    work->from = -1;
    work->to = -1;
    (void)snprintf(work->name, sizeof work->name, "%s", name);
    if (snprintf(work->dir, sizeof work->dir, "%s", dir) >= (int)sizeof work->dir ||
        snprintf(work->other, sizeof work->other, "%s", other) >= (int)sizeof work->other) {
        vault_backup_work_free(work);
        return kl_fail(err, KL_ERR_INVALID, "path_too_long", "a path of the backup is too long",
                       NULL);
    }
    *ret_work = work;
    return KL_OK;
}

void vault_backup_work_free(struct vault_backup_work *work)
{
    if (work == NULL) {
        return;
    }
    if (work->from >= 0) {
        (void)close(work->from);
    }
    if (work->to >= 0) {
        (void)close(work->to);
    }
    vault_backup_files_done(&work->files);
    free(work->chunk);
    free(work);
}

static void count_all(struct vault_backup_work *work)
{
    size_t i;

    for (i = 0; i < work->files.count; i++) {
        work->of += work->files.items[i].bytes;
    }
}

static enum kl_status files_copy(struct vault_backup_work *work,
                                 const struct vault_backup_files *files, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t i;

    for (i = 0; status == KL_OK && i < files->count; i++) {
        status = vault_backup_files_add(&work->files, &files->items[i], err);
    }
    count_all(work);
    return status;
}

enum kl_status vault_backup_copy_new(const char *from, const char *dir, const char *name,
                                     const struct vault_backup_files *known,
                                     struct vault_backup_work **ret_work, struct kl_err *err)
{
    char path[VAULT_BACKUP_PATH_BYTES];
    struct vault_backup_work *work = NULL;
    enum kl_status status = work_new(WORK_COPY, dir, name, from, &work, err);

    if (status == KL_OK) {
        status = vault_backup_path(dir, BACKUP_SHARED_DIR, "", path, err);
    }
    if (status == KL_OK) {
        status = vault_backup_folder_make(path, err);
    }
    if (status == KL_OK) {
        status = vault_backup_path(dir, name, BACKUP_PART, path, err);
    }
    if (status == KL_OK) {
        status = vault_backup_folder_remove(path, err);
    }
    if (status == KL_OK) {
        status = vault_backup_folder_make(path, err);
    }
    if (status == KL_OK) {
        status = vault_backup_folder_list(from, true, &work->files, err);
    }
    if (status != KL_OK) {
        vault_backup_work_free(work);
        return status;
    }
    work->known = known;
    count_all(work);
    *ret_work = work;
    return KL_OK;
}

enum kl_status vault_backup_check_new(const char *dir, const char *name,
                                      const struct vault_backup_files *files,
                                      struct vault_backup_work **ret_work, struct kl_err *err)
{
    struct vault_backup_work *work = NULL;
    enum kl_status status = work_new(WORK_CHECK, dir, name, "", &work, err);

    if (status == KL_OK) {
        status = files_copy(work, files, err);
    }
    if (status != KL_OK) {
        vault_backup_work_free(work);
        return status;
    }
    *ret_work = work;
    return KL_OK;
}

/* What the backup does not have goes out of the folder. */
static enum kl_status strangers_remove(const char *to, const struct vault_backup_files *files,
                                       struct kl_err *err)
{
    char path[VAULT_BACKUP_PATH_BYTES];
    struct vault_backup_files there = {0};
    enum kl_status status = vault_backup_folder_list(to, false, &there, err);
    size_t i;

    for (i = 0; status == KL_OK && i < there.count; i++) {
        if (vault_backup_files_find(files, there.items[i].name) == NULL) {
            status = vault_backup_path(to, there.items[i].name, "", path, err);
            if (status == KL_OK && unlink(path) != 0) {
                status = vault_backup_fail_errno(err, "remove", path);
            }
        }
    }
    vault_backup_files_done(&there);
    return status;
}

enum kl_status vault_backup_restore_new(const char *dir, const char *name,
                                        const struct vault_backup_files *files, const char *to,
                                        struct vault_backup_work **ret_work, struct kl_err *err)
{
    struct vault_backup_work *work = NULL;
    enum kl_status status = work_new(WORK_RESTORE, dir, name, to, &work, err);

    if (status == KL_OK) {
        status = files_copy(work, files, err);
    }
    if (status == KL_OK) {
        status = vault_backup_folder_make(to, err);
    }
    if (status == KL_OK) {
        status = strangers_remove(to, files, err);
    }
    if (status != KL_OK) {
        vault_backup_work_free(work);
        return status;
    }
    *ret_work = work;
    return KL_OK;
}

const struct vault_backup_files *vault_backup_work_files(const struct vault_backup_work *work)
{
    return &work->files;
}

void vault_backup_progress(const struct vault_backup_work *work, uint64_t *ret_bytes,
                           uint64_t *ret_of, uint64_t *ret_written)
{
    *ret_bytes = work->bytes;
    *ret_of = work->of;
    *ret_written = work->written;
}

/* ---- beginning a file ---- */

/* A table that an earlier backup has: its hash is known, and nothing is read. */
static bool copied_before(struct vault_backup_work *work, struct vault_backup_file *file)
{
    const struct vault_backup_file *known =
        file->shared ? vault_backup_files_find(work->known, file->name) : NULL;
    char path[VAULT_BACKUP_PATH_BYTES];
    struct stat info;

    if (known == NULL || !known->shared || known->inode != file->inode ||
        known->bytes != file->bytes || known->mtime_ns != file->mtime_ns ||
        vault_backup_shared_path(work->dir, known, path, NULL) != KL_OK ||
        lstat(path, &info) != 0 || !S_ISREG(info.st_mode) ||
        (uint64_t)info.st_size != file->bytes) {
        return false;
    }
    memcpy(file->hash, known->hash, sizeof file->hash);
    return true;
}

static enum kl_status open_from(struct vault_backup_work *work,
                                const struct vault_backup_file *file, struct kl_err *err)
{
    char path[VAULT_BACKUP_PATH_BYTES];
    struct stat info;
    enum kl_status status = work->kind == WORK_COPY
                                ? vault_backup_path(work->other, file->name, "", path, err)
                                : vault_backup_file_path(work->dir, work->name, file, path, err);

    if (status != KL_OK) {
        return status;
    }
    work->from = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (work->from < 0 && errno == ENOENT && work->kind != WORK_COPY) {
        return vault_backup_damaged(err, file->name, "is missing");
    }
    if (work->from < 0 || fstat(work->from, &info) != 0) {
        return vault_backup_fail_errno(err, "open", path);
    }
    if (!S_ISREG(info.st_mode) || (uint64_t)info.st_size != file->bytes) {
        return vault_backup_damaged(err, file->name, "has another size");
    }
    return KL_OK;
}

static enum kl_status open_to(struct vault_backup_work *work, const struct vault_backup_file *file,
                              struct kl_err *err)
{
    char inside[VAULT_BACKUP_NAME_MAX_BYTES + VAULT_BACKUP_FILE_NAME_BYTES + 16];
    enum kl_status status = KL_OK;

    if (work->kind == WORK_RESTORE) {
        status = vault_backup_path(work->other, file->name, "", work->to_path, err);
    } else {
        (void)snprintf(inside, sizeof inside, "%s%s/%s",
                       file->shared ? BACKUP_SHARED_DIR : work->name,
                       file->shared ? "" : BACKUP_PART, file->name);
        status = vault_backup_path(work->dir, inside, file->shared ? BACKUP_PART : "",
                                   work->to_path, err);
    }
    if (status != KL_OK) {
        return status;
    }
    work->to = open(work->to_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    return work->to >= 0 ? KL_OK : vault_backup_fail_errno(err, "make", work->to_path);
}

/* Whether a file of that size is there from an earlier attempt; then it is compared first. */
static bool restored_before(struct vault_backup_work *work, const struct vault_backup_file *file)
{
    char path[VAULT_BACKUP_PATH_BYTES];
    struct stat info;

    if (work->comparing || vault_backup_path(work->other, file->name, "", path, NULL) != KL_OK) {
        return false;
    }
    work->from = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (work->from < 0) {
        return false;
    }
    if (fstat(work->from, &info) != 0 || !S_ISREG(info.st_mode) ||
        (uint64_t)info.st_size != file->bytes) {
        (void)close(work->from);
        work->from = -1;
        return false;
    }
    return true;
}

static enum kl_status file_begin(struct vault_backup_work *work, struct vault_backup_file *file,
                                 struct kl_err *err)
{
    enum kl_status status = KL_OK;

    work->offset = 0;
    (void)crypto_generichash_init(&work->hash, NULL, 0, VAULT_BACKUP_HASH_BYTES);
    if (work->kind == WORK_RESTORE && restored_before(work, file)) {
        work->comparing = true;
        return KL_OK;
    }
    work->comparing = false;
    status = open_from(work, file, err);
    if (status == KL_OK && work->kind != WORK_CHECK) {
        status = open_to(work, file, err);
    }
    return status;
}

/* ---- a piece of it ---- */

static enum kl_status write_all(struct vault_backup_work *work, size_t size, struct kl_err *err)
{
    size_t at = 0;

    while (at < size) {
        ssize_t put = write(work->to, work->chunk + at, size - at);

        if (put < 0 && errno != EINTR) {
            return vault_backup_fail_errno(err, "write", work->to_path);
        }
        at += put > 0 ? (size_t)put : 0;
    }
    work->written += size;
    return KL_OK;
}

static enum kl_status file_piece(struct vault_backup_work *work,
                                 const struct vault_backup_file *file, struct kl_err *err)
{
    uint64_t left = file->bytes - work->offset;
    ssize_t got = 0;

    do {
        got = read(work->from, work->chunk, left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return vault_backup_fail_errno(err, "read", file->name);
    }
    if (got == 0) {
        return vault_backup_damaged(err, file->name, "became shorter");
    }
    (void)crypto_generichash_update(&work->hash, work->chunk, (unsigned long long)got);
    work->offset += (uint64_t)got;
    work->bytes += (uint64_t)got;
    return work->to >= 0 ? write_all(work, (size_t)got, err) : KL_OK;
}

/* ---- its end ---- */

/* A table that was copied gets its name from what is in it. */
static enum kl_status table_place(struct vault_backup_work *work, struct kl_err *err)
{
    char path[VAULT_BACKUP_PATH_BYTES];
    enum kl_status status =
        vault_backup_shared_path(work->dir, &work->files.items[work->at], path, err);

    if (status == KL_OK && rename(work->to_path, path) != 0) {
        status = vault_backup_fail_errno(err, "rename", work->to_path);
    }
    return status;
}

static enum kl_status file_close(struct vault_backup_work *work, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    (void)close(work->from);
    work->from = -1;
    if (work->to >= 0) {
        if (fsync(work->to) != 0) {
            status = vault_backup_fail_errno(err, "sync", work->to_path);
        }
        if (close(work->to) != 0 && status == KL_OK) {
            status = vault_backup_fail_errno(err, "close", work->to_path);
        }
        work->to = -1;
    }
    return status;
}

/* ret_again: what was there is not it, and the file is begun again from the backup. */
static enum kl_status file_end(struct vault_backup_work *work, struct vault_backup_file *file,
                               bool *ret_again, struct kl_err *err)
{
    unsigned char hash[VAULT_BACKUP_HASH_BYTES];
    enum kl_status status = file_close(work, err);
    bool same = false;

    (void)crypto_generichash_final(&work->hash, hash, sizeof hash);
    same = memcmp(hash, file->hash, sizeof hash) == 0; /* of ciphertext: public */
    *ret_again = false;
    if (status != KL_OK) {
        return status;
    }
    if (work->kind == WORK_COPY) {
        memcpy(file->hash, hash, sizeof file->hash);
        return file->shared ? table_place(work, err) : KL_OK;
    }
    if (!same && work->comparing) {
        work->bytes -= file->bytes;
        *ret_again = true;
        return KL_OK;
    }
    return same ? KL_OK
                : vault_backup_damaged(err, file->name, "has other bytes than were written");
}

/* ---- steps ---- */

static enum kl_status all_end(struct vault_backup_work *work, struct kl_err *err)
{
    char path[VAULT_BACKUP_PATH_BYTES];
    enum kl_status status = KL_OK;

    if (work->kind == WORK_RESTORE) {
        return vault_backup_folder_sync(work->other, err);
    }
    if (work->kind == WORK_CHECK) {
        return KL_OK;
    }
    status = vault_backup_path(work->dir, BACKUP_SHARED_DIR, "", path, err);
    return status == KL_OK ? vault_backup_folder_sync(path, err) : status;
}

/* Go on with the file at hand; its end moves to the next. */
static enum kl_status file_go_on(struct vault_backup_work *work, struct kl_err *err)
{
    struct vault_backup_file *file = &work->files.items[work->at];
    enum kl_status status = KL_OK;
    bool again = false;

    if (work->from < 0) {
        if (work->kind == WORK_COPY && copied_before(work, file)) {
            work->bytes += file->bytes;
            work->at++;
            return KL_OK;
        }
        status = file_begin(work, file, err);
    }
    if (status == KL_OK && work->offset < file->bytes) {
        status = file_piece(work, file, err);
    }
    if (status == KL_OK && work->offset == file->bytes) {
        status = file_end(work, file, &again, err);
        work->at += status == KL_OK && !again ? 1 : 0;
        work->comparing = again;
    }
    return status;
}

enum kl_status vault_backup_step(struct vault_backup_work *work, uint64_t bytes_max, bool *ret_done,
                                 struct kl_err *err)
{
    enum kl_status status = KL_OK;
    uint64_t until = work->bytes + bytes_max;

    while (status == KL_OK && work->at < work->files.count && work->bytes < until) {
        status = file_go_on(work, err);
    }
    if (status == KL_OK && work->at == work->files.count) {
        status = all_end(work, err);
        if (status == KL_OK) {
            *ret_done = true;
        }
    } else if (status == KL_OK) {
        *ret_done = false;
    }
    return status;
}
