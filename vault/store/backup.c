/* One work over the files of a backup: copied out, checked, or put back, a piece at a time. */
#include "vault/store/backup_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CHUNK_BYTES ((size_t)1024 * 1024)

enum work_kind { WORK_COPY, WORK_CHECK, WORK_RESTORE };

/*
 * at: the file under way, open when from >= 0; offset: how much of it is done. to < 0: nothing is written for it.
 * shared, inside: DIR/shared and the folder of this backup; other: copied from, or restored to. Below 0: not there.
 */
struct vault_backup_work {
    enum work_kind kind;
    int shared;
    int inside;
    int other;
    struct vault_backup_files files;
    const struct vault_backup_files *known;
    size_t at;
    int from;
    int to;
    uint64_t offset;
    uint64_t bytes;
    uint64_t of;
    uint64_t written;
    bool comparing; /* restore: the file that is there already is read, not the backup's */
    crypto_generichash_state hash;
    unsigned char *chunk;
};

static enum kl_status work_new(enum work_kind kind, struct vault_backup_work **ret_work,
                               struct kl_err *err)
{
    struct vault_backup_work *work = calloc(1, sizeof *work);

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
    work->shared = -1;
    work->inside = -1;
    work->other = -1;
    *ret_work = work;
    return KL_OK;
}

void vault_backup_work_free(struct vault_backup_work *work)
{
    if (work == NULL) {
        return;
    }
    vault_backup_dir_close(work->from);
    vault_backup_dir_close(work->to);
    vault_backup_dir_close(work->shared);
    vault_backup_dir_close(work->inside);
    vault_backup_dir_close(work->other);
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

enum kl_status vault_backup_copy_new(const char *from, int dir, const char *name,
                                     const struct vault_backup_files *known,
                                     struct vault_backup_work **ret_work, struct kl_err *err)
{
    struct vault_backup_work *work = NULL;
    enum kl_status status = work_new(WORK_COPY, &work, err);

    if (status == KL_OK) {
        status = vault_backup_folder_open(AT_FDCWD, from, false, &work->other, err);
    }
    if (status == KL_OK) {
        status = vault_backup_folder_make(dir, BACKUP_SHARED_DIR, &work->shared, err);
    }
    if (status == KL_OK) {
        status = vault_backup_part_make(dir, name, &work->inside, err);
    }
    if (status == KL_OK) {
        status = vault_backup_folder_list(work->other, from, true, &work->files, err);
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

/* A folder that is not there stays closed: its files are missing then, which is said of the first of them. */
static enum kl_status folder_take(int dir, const char *name, bool ours, int *ret,
                                  struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = vault_backup_folder_open(dir, name, ours, ret, &cause);

    return status == KL_OK || status == KL_ERR_NOT_FOUND
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

/* A work that reads a backup. */
static enum kl_status reading_new(enum work_kind kind, int dir, const char *name,
                                  const struct vault_backup_files *files,
                                  struct vault_backup_work **ret_work, struct kl_err *err)
{
    struct vault_backup_work *work = NULL;
    bool ours = kind == WORK_CHECK; /* it is opened as a store afterwards */
    enum kl_status status = work_new(kind, &work, err);

    if (status == KL_OK) {
        status = files_copy(work, files, err);
    }
    if (status == KL_OK) {
        status = folder_take(dir, BACKUP_SHARED_DIR, ours, &work->shared, err);
    }
    if (status == KL_OK) {
        status = folder_take(dir, name, ours, &work->inside, err);
    }
    if (status != KL_OK) {
        vault_backup_work_free(work);
        return status;
    }
    *ret_work = work;
    return KL_OK;
}

enum kl_status vault_backup_check_new(int dir, const char *name,
                                      const struct vault_backup_files *files,
                                      struct vault_backup_work **ret_work, struct kl_err *err)
{
    return reading_new(WORK_CHECK, dir, name, files, ret_work, err);
}

/* What the backup does not have goes out of the folder. */
static enum kl_status strangers_remove(int to, const struct vault_backup_files *files,
                                       struct kl_err *err)
{
    struct vault_backup_files there = {0};
    enum kl_status status =
        vault_backup_folder_list(to, "the folder restored to", false, &there, err);
    size_t i;

    for (i = 0; status == KL_OK && i < there.count; i++) {
        const char *name = there.items[i].name;

        if (vault_backup_files_find(files, name) == NULL && unlinkat(to, name, 0) != 0) {
            status = vault_backup_fail_errno(err, "remove", name);
        }
    }
    vault_backup_files_done(&there);
    return status;
}

enum kl_status vault_backup_restore_new(int dir, const char *name,
                                        const struct vault_backup_files *files, const char *to,
                                        struct vault_backup_work **ret_work, struct kl_err *err)
{
    struct vault_backup_work *work = NULL;
    enum kl_status status = reading_new(WORK_RESTORE, dir, name, files, &work, err);

    if (status != KL_OK) {
        return status;
    }
    status = vault_backup_folder_make(AT_FDCWD, to, &work->other, err);
    if (status == KL_OK) {
        status = strangers_remove(work->other, files, err);
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

/* A table that an earlier backup has; NULL: it has not. */
static const struct vault_backup_file *known_of(const struct vault_backup_work *work,
                                                const struct vault_backup_file *file)
{
    const struct vault_backup_file *known =
        file->shared ? vault_backup_files_find(work->known, file->name) : NULL;

    return known == NULL || !known->shared || known->inode != file->inode ||
                   known->bytes != file->bytes || known->mtime_ns != file->mtime_ns
               ? NULL
               : known;
}

/* Its hash is known, and nothing is read. */
static bool copied_before(struct vault_backup_work *work, struct vault_backup_file *file)
{
    const struct vault_backup_file *known = known_of(work, file);
    char name[VAULT_BACKUP_SHARED_NAME_BYTES];
    struct stat info;

    if (known == NULL) {
        return false;
    }
    vault_backup_shared_name(known, name);
    if (fstatat(work->shared, name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(info.st_mode) ||
        (uint64_t)info.st_size != file->bytes) {
        return false;
    }
    memcpy(file->hash, known->hash, sizeof file->hash);
    return true;
}

/* A file to be read, by its name in a folder. */
enum kl_status vault_backup_room(const struct vault_backup_work *work, uint64_t keep_bytes,
                                 struct kl_err *err)
{
    uint64_t needed = keep_bytes;
    struct statvfs disk;
    size_t i;

    if (fstatvfs(work->inside, &disk) != 0) {
        return vault_backup_fail_errno(err, "ask for the room of", "the directory");
    }
    for (i = 0; i < work->files.count; i++) {
        needed += known_of(work, &work->files.items[i]) == NULL ? work->files.items[i].bytes : 0;
    }
    if ((uint64_t)disk.f_bavail * disk.f_frsize < needed) {
        errno = ENOSPC;
        return vault_backup_fail_errno(err, "begin", "a backup of that size");
    }
    return KL_OK;
}

static int source_open(int folder, const char *name)
{
    if (folder < 0) {
        errno = ENOENT;
        return -1;
    }
    return openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

static enum kl_status open_from(struct vault_backup_work *work,
                                const struct vault_backup_file *file, struct kl_err *err)
{
    char shared[VAULT_BACKUP_SHARED_NAME_BYTES];
    struct stat info;

    if (work->kind == WORK_COPY) {
        work->from = source_open(work->other, file->name);
    } else if (file->shared) {
        vault_backup_shared_name(file, shared);
        work->from = source_open(work->shared, shared);
    } else {
        work->from = source_open(work->inside, file->name);
    }
    if (work->from < 0 && errno == ENOENT && work->kind != WORK_COPY) {
        return vault_backup_damaged(err, file->name, "is missing");
    }
    if (work->from < 0 || fstat(work->from, &info) != 0) {
        return vault_backup_fail_errno(err, "open", file->name);
    }
    if (!S_ISREG(info.st_mode) || (uint64_t)info.st_size != file->bytes) {
        return vault_backup_damaged(err, file->name, "has another size");
    }
    return KL_OK;
}

/* A table is made beside the other files, and gets its place when its hash is known. */
static enum kl_status open_to(struct vault_backup_work *work, const struct vault_backup_file *file,
                              struct kl_err *err)
{
    work->to = openat(work->kind == WORK_RESTORE ? work->other : work->inside, file->name,
                      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    return work->to >= 0 ? KL_OK : vault_backup_fail_errno(err, "make", file->name);
}

/* Whether a file of that size is there from an earlier attempt; then it is compared first. */
static bool restored_before(struct vault_backup_work *work, const struct vault_backup_file *file)
{
    struct stat info;

    if (work->comparing) {
        return false;
    }
    work->from = source_open(work->other, file->name);
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

static enum kl_status write_all(struct vault_backup_work *work, const char *name, size_t size,
                                struct kl_err *err)
{
    size_t at = 0;

    while (at < size) {
        ssize_t put = write(work->to, work->chunk + at, size - at);

        if (put < 0 && errno != EINTR) {
            return vault_backup_fail_errno(err, "write", name);
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
    return work->to >= 0 ? write_all(work, file->name, (size_t)got, err) : KL_OK;
}

/* ---- its end ---- */

/* A table that was copied gets its name from what is in it. */
static enum kl_status table_place(struct vault_backup_work *work,
                                  const struct vault_backup_file *file, struct kl_err *err)
{
    char name[VAULT_BACKUP_SHARED_NAME_BYTES];

    vault_backup_shared_name(file, name);
    return renameat(work->inside, file->name, work->shared, name) == 0
               ? KL_OK
               : vault_backup_fail_errno(err, "rename", file->name);
}

static enum kl_status file_close(struct vault_backup_work *work, const char *name,
                                 struct kl_err *err)
{
    enum kl_status status = KL_OK;

    (void)close(work->from);
    work->from = -1;
    if (work->to >= 0) {
        if (fsync(work->to) != 0) {
            status = vault_backup_fail_errno(err, "sync", name);
        }
        if (close(work->to) != 0 && status == KL_OK) {
            status = vault_backup_fail_errno(err, "close", name);
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
    enum kl_status status = file_close(work, file->name, err);
    bool same = false;

    (void)crypto_generichash_final(&work->hash, hash, sizeof hash);
    same = memcmp(hash, file->hash, sizeof hash) == 0; /* of ciphertext: public */
    *ret_again = false;
    if (status != KL_OK) {
        return status;
    }
    if (work->kind == WORK_COPY) {
        memcpy(file->hash, hash, sizeof file->hash);
        return file->shared ? table_place(work, file, err) : KL_OK;
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
    if (work->kind == WORK_RESTORE) {
        return vault_backup_folder_sync(work->other, "the folder restored to", err);
    }
    return work->kind == WORK_CHECK
               ? KL_OK
               : vault_backup_folder_sync(work->shared, BACKUP_SHARED_DIR, err);
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
