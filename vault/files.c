#include "vault/files.h"

#include "kluis/base/file.h"
#include "kluis/base/log.h"
#include "vault/fail_stop.h"
#include "vault/rows.h"
#include "vault/stamp.h"
#include "vault/upkeep.h"
#include "vault/vault_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FOLDERS 256
#define TIDY_INTERVAL_MS 2000
/* Files looked at in one turn of upkeep are those of this many folders at most. */
#define TIDY_FOLDERS_AT_ONCE 16

struct vault_files {
    char dir[VAULT_PATH_MAX_BYTES];
    uint64_t headroom_bytes;
    pthread_mutex_t lock; /* guards what follows */
    struct kms_place uploading[VAULT_UPLOADS_MAX];
    size_t uploading_count;
    bool changed[FOLDERS];
};

/* ---- life ---- */

/* Whether names in it are durable is not known after a failure, and a later sync would not tell. */
static void dir_sync(const char *path)
{
    struct kl_err err = {0};

    if (kl_dir_sync(path, &err) != KL_OK) {
        vault_fail_stop(&err);
    }
}

static enum kl_status dir_make(const char *path, const char *parent, struct kl_err *err)
{
    if (mkdir(path, 0700) == 0) {
        dir_sync(parent);
        return KL_OK;
    }
    return errno == EEXIST ? KL_OK : vault_file_fail(err, "make a folder of files");
}

enum kl_status vault_files_new(const char *data_dir, struct vault_files **ret, struct kl_err *err)
{
    struct vault_files *files = calloc(1, sizeof *files);
    enum kl_status status = KL_OK;

    if (files == NULL) {
        return kl_fail_memory(err);
    }
    status = vault_path(data_dir, VAULT_FILES_DIR, files->dir, err);
    if (status == KL_OK) {
        status = dir_make(files->dir, data_dir, err);
    }
    if (status != KL_OK) {
        free(files);
        return status;
    }
    files->headroom_bytes = VAULT_FILES_HEADROOM_BYTES;
    (void)pthread_mutex_init(&files->lock, NULL);
    memset(files->changed, true, sizeof files->changed);
    *ret = files;
    return KL_OK;
}

void vault_files_free(struct vault_files *files)
{
    if (files != NULL) {
        (void)pthread_mutex_destroy(&files->lock);
        free(files);
    }
}

void vault_files_headroom(struct vault_files *files, uint64_t bytes)
{
    files->headroom_bytes = bytes;
}

/* ---- who is writing ---- */

static bool same_place(const struct kms_place *a, const struct kms_place *b)
{
    return a->tenant == b->tenant && a->slot == b->slot && a->value == b->value;
}

/* The lock is held. Where it stands; uploading_count: nowhere. */
static size_t uploading_at(const struct vault_files *files, const struct kms_place *of)
{
    size_t i = 0;

    while (i < files->uploading_count && !same_place(&files->uploading[i], of)) {
        i++;
    }
    return i;
}

enum kl_status vault_files_uploading_begin(struct vault_files *files, const struct kms_place *of,
                                           struct kl_err *err)
{
    bool room = false;

    (void)pthread_mutex_lock(&files->lock);
    room = files->uploading_count < VAULT_UPLOADS_MAX;
    if (room) {
        files->uploading[files->uploading_count++] = *of;
    }
    (void)pthread_mutex_unlock(&files->lock);
    return room ? KL_OK
                : kl_fail(err, KL_ERR_BUSY, "uploads_under_way",
                          "many files are being written already; try again when some are done",
                          NULL);
}

void vault_files_uploading_end(struct vault_files *files, const struct kms_place *of)
{
    size_t at = 0;

    (void)pthread_mutex_lock(&files->lock);
    at = uploading_at(files, of);
    if (at < files->uploading_count) {
        files->uploading[at] = files->uploading[--files->uploading_count];
    }
    (void)pthread_mutex_unlock(&files->lock);
}

bool vault_files_uploading(struct vault_files *files, const struct kms_place *of)
{
    bool found = false;

    (void)pthread_mutex_lock(&files->lock);
    found = uploading_at(files, of) < files->uploading_count;
    (void)pthread_mutex_unlock(&files->lock);
    return found;
}

void vault_files_changed(struct vault_files *files, uint64_t slot)
{
    (void)pthread_mutex_lock(&files->lock);
    if (slot == KMS_SLOT_NONE) {
        memset(files->changed, true, sizeof files->changed);
    } else {
        files->changed[slot % FOLDERS] = true;
    }
    (void)pthread_mutex_unlock(&files->lock);
}

/* ---- paths ---- */

static enum kl_status folder_path(const struct vault_files *files, uint64_t slot,
                                  char ret[VAULT_PATH_MAX_BYTES], struct kl_err *err)
{
    char folder[3];

    (void)snprintf(folder, sizeof folder, "%02x", (unsigned)(slot % FOLDERS));
    return vault_path(files->dir, folder, ret, err);
}

static enum kl_status file_path(const struct vault_files *files,
                                const struct vault_file_place *place, const char *suffix,
                                char ret[VAULT_PATH_MAX_BYTES], struct kl_err *err)
{
    char inside[VAULT_FILE_NAME_BYTES + 16];
    char name[VAULT_FILE_NAME_BYTES];

    vault_file_name(place, name);
    (void)snprintf(inside, sizeof inside, "%02x/%s%s", (unsigned)(place->of.slot % FOLDERS), name,
                   suffix);
    return vault_path(files->dir, inside, ret, err);
}

/* ---- writing ---- */

enum kl_status vault_files_room(struct vault_files *files, uint64_t bytes, struct kl_err *err)
{
    struct statvfs disk;

    if (statvfs(files->dir, &disk) != 0) {
        return vault_file_fail(err, "ask for the room on the disk");
    }
    if ((uint64_t)disk.f_bavail * disk.f_frsize <
        vault_file_sealed_bytes(bytes) + files->headroom_bytes) {
        errno = ENOSPC;
        return vault_file_fail(err, "take a file of that size");
    }
    return KL_OK;
}

enum kl_status vault_files_create(struct vault_files *files, const struct vault_file_place *place,
                                  int *ret_fd, struct kl_err *err)
{
    char folder[VAULT_PATH_MAX_BYTES];
    char path[VAULT_PATH_MAX_BYTES];
    enum kl_status status = folder_path(files, place->of.slot, folder, err);
    int fd = -1;

    if (status == KL_OK) {
        status = dir_make(folder, files->dir, err);
    }
    if (status == KL_OK) {
        status = file_path(files, place, VAULT_FILE_PART, path, err);
    }
    if (status != KL_OK) {
        return status;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return vault_file_fail(err, "make a file");
    }
    *ret_fd = fd;
    return KL_OK;
}

enum kl_status vault_files_keep(struct vault_files *files, const struct vault_file_place *place,
                                int fd, struct kl_err *err)
{
    char part[VAULT_PATH_MAX_BYTES];
    char path[VAULT_PATH_MAX_BYTES];
    char folder[VAULT_PATH_MAX_BYTES];
    enum kl_status status = KL_OK;

    if (fsync(fd) != 0 || close(fd) != 0) {
        vault_file_failed("sync a file");
    }
    status = file_path(files, place, VAULT_FILE_PART, part, err);
    if (status == KL_OK) {
        status = file_path(files, place, "", path, err);
    }
    if (status == KL_OK) {
        status = folder_path(files, place->of.slot, folder, err);
    }
    if (status == KL_OK && rename(part, path) != 0) {
        status = vault_file_fail(err, "name a file");
    }
    if (status == KL_OK) {
        dir_sync(folder);
    }
    return status;
}

void vault_files_drop(struct vault_files *files, const struct vault_file_place *place)
{
    char path[VAULT_PATH_MAX_BYTES];

    if (file_path(files, place, VAULT_FILE_PART, path, NULL) == KL_OK) {
        (void)unlink(path);
    }
    if (file_path(files, place, "", path, NULL) == KL_OK) {
        (void)unlink(path);
    }
}

/* ---- reading ---- */

enum kl_status vault_file_find(struct vault_store *store, struct vault_file_place *place,
                               struct kl_err *err)
{
    struct vault_row_key key = vault_row_file(place->of.tenant, place->of.slot, place->of.value);
    struct kl_err cause = {0};
    struct kl_buf row;
    enum kl_status status = KL_OK;

    kl_buf_init(&row, VAULT_FILE_ROW_BYTES);
    status = vault_store_get(store, vault_row_slice(&key), &row, &cause);
    if (status == KL_ERR_NOT_FOUND) {
        status =
            kl_fail(err, KL_ERR_NOT_FOUND, "file_gone", "the file is not there any more", NULL);
    } else if ((status == KL_OK && !vault_file_row_parse(kl_buf_slice(&row), place)) ||
               status == KL_ERR_TOO_LARGE) {
        status = kl_fail(err, KL_ERR_CORRUPT, "file_damaged", "the file is damaged", "row 'L'");
    } else if (status != KL_OK) {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    kl_buf_done(&row);
    return status;
}

/* flags: O_NOFOLLOW, or 0. */
static enum kl_status open_path(const char *path, int flags, const struct vault_file_place *place,
                                int *ret_fd, struct kl_err *err)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags);

    if (fd < 0 && errno == ENOENT) {
        return kl_fail(err, KL_ERR_NOT_FOUND, "file_gone", "the file is not there any more", NULL);
    }
    if (fd < 0) {
        return vault_file_fail(err, "open a file");
    }
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) ||
        (uint64_t)info.st_size != vault_file_sealed_bytes(place->bytes)) {
        (void)close(fd);
        return kl_fail(err, KL_ERR_CORRUPT, "file_damaged", "the file is damaged",
                       "it has another size than its row says");
    }
    *ret_fd = fd;
    return KL_OK;
}

enum kl_status vault_files_open(struct vault_files *files, const struct vault_file_place *place,
                                int *ret_fd, struct kl_err *err)
{
    char path[VAULT_PATH_MAX_BYTES];
    enum kl_status status = file_path(files, place, "", path, err);

    return status == KL_OK ? open_path(path, O_NOFOLLOW, place, ret_fd, err) : status;
}

enum kl_status vault_files_open_in(const char *dir, const struct vault_file_place *place,
                                   int *ret_fd, struct kl_err *err)
{
    char name[VAULT_FILE_NAME_BYTES];
    char path[VAULT_PATH_MAX_BYTES];
    enum kl_status status = KL_OK;

    vault_file_name(place, name);
    status = vault_path(dir, name, path, err);
    return status == KL_OK ? open_path(path, 0, place, ret_fd, err) : status;
}

/* ---- tidying ---- */

/* Whether rows name it. A store that cannot be asked keeps it. */
static bool is_needed(struct vault *vault, const struct vault_file_place *place)
{
    struct vault_file_place found = *place;
    struct vault_row_key key = vault_row_value(place->of.tenant, place->of.slot, place->of.value);
    struct kl_err err = {0};
    struct kl_buf row;
    enum kl_status status = vault_file_find(vault->data_store, &found, &err);

    if (status == KL_ERR_NOT_FOUND || (status == KL_OK && found.id != place->id)) {
        return false;
    }
    if (status != KL_OK) {
        return true;
    }
    kl_buf_init(&row, KMS_SEAL_MAX_BYTES + KMS_SEAL_OVERHEAD_BYTES);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, &err);
    kl_buf_done(&row);
    return status != KL_ERR_NOT_FOUND;
}

/* One name of a folder. Who is writing is looked at before the rows: whoever has ended by then has committed them. */
static void entry_tidy(struct vault *vault, int folder, const char *name, size_t *removed)
{
    struct vault_file_place place = {0};
    char complete[VAULT_FILE_NAME_BYTES + sizeof VAULT_FILE_PART];
    size_t size = strlen(name);
    size_t part = strlen(VAULT_FILE_PART);
    bool is_part = size > part && strcmp(name + size - part, VAULT_FILE_PART) == 0;

    if (size >= sizeof complete) {
        return;
    }
    (void)snprintf(complete, sizeof complete, "%.*s", (int)(size - (is_part ? part : 0)), name);
    if (!vault_file_name_parse(complete, &place) ||
        vault_files_uploading(vault->files, &place.of) || (!is_part && is_needed(vault, &place))) {
        return;
    }
    if (unlinkat(folder, name, 0) == 0) {
        (*removed)++;
    }
}

static enum kl_status folder_tidy(struct vault *vault, unsigned number, struct kl_err *err)
{
    char path[VAULT_PATH_MAX_BYTES];
    const struct dirent *entry = NULL;
    DIR *folder = NULL;
    size_t removed = 0;
    enum kl_status status = folder_path(vault->files, number, path, err);

    if (status != KL_OK) {
        return status;
    }
    folder = opendir(path);
    if (folder == NULL) {
        return errno == ENOENT ? KL_OK : vault_file_fail(err, "list a folder of files");
    }
    while ((entry = readdir(folder)) != NULL) {
        entry_tidy(vault, dirfd(folder), entry->d_name, &removed);
    }
    (void)closedir(folder);
    if (removed > 0) {
        kl_log(KL_LOG_INFO, "files_removed", KL_LOG_INT("count", removed));
    }
    return KL_OK;
}

/* The next folder that changed, which is taken as looked at; false: none. */
static bool changed_take(struct vault_files *files, unsigned *ret)
{
    bool found = false;
    unsigned i;

    (void)pthread_mutex_lock(&files->lock);
    for (i = 0; !found && i < FOLDERS; i++) {
        found = files->changed[i];
        if (found) {
            files->changed[i] = false;
            *ret = i;
        }
    }
    (void)pthread_mutex_unlock(&files->lock);
    return found;
}

static enum kl_status tidy(struct vault *vault, unsigned folders, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    unsigned number = 0;

    while (status == KL_OK && folders-- > 0 && changed_take(vault->files, &number)) {
        status = folder_tidy(vault, number, err);
        if (status != KL_OK) {
            vault_files_changed(vault->files, number);
        }
    }
    return status;
}

enum kl_status vault_files_tidy(struct vault *vault, struct kl_err *err)
{
    vault_files_changed(vault->files, KMS_SLOT_NONE);
    return tidy(vault, FOLDERS, err);
}

static enum kl_status tidy_some(struct vault *vault, int64_t now_us, struct kl_err *err)
{
    (void)now_us;
    return tidy(vault, TIDY_FOLDERS_AT_ONCE, err);
}

const struct vault_upkeep_task vault_files_task = {"files", TIDY_INTERVAL_MS, tidy_some};

/* ---- backups ---- */

/* Links to the complete files of one folder. What goes meanwhile has no key any more. */
static enum kl_status folder_link(const char *path, int to, struct kl_err *err)
{
    struct vault_file_place place;
    const struct dirent *entry = NULL;
    enum kl_status status = KL_OK;
    DIR *folder = opendir(path);

    if (folder == NULL) {
        return errno == ENOENT ? KL_OK : vault_file_fail(err, "list a folder of files");
    }
    while (status == KL_OK && (entry = readdir(folder)) != NULL) {
        if (vault_file_name_parse(entry->d_name, &place) &&
            linkat(dirfd(folder), entry->d_name, to, entry->d_name, 0) != 0 && errno != ENOENT) {
            status = vault_file_fail(err, "link a file");
        }
    }
    (void)closedir(folder);
    return status;
}

enum kl_status vault_files_link(struct vault_files *files, const char *to, struct kl_err *err)
{
    char path[VAULT_PATH_MAX_BYTES];
    int fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum kl_status status = fd < 0 ? vault_file_fail(err, "open a copy of the store") : KL_OK;
    unsigned i;

    for (i = 0; status == KL_OK && i < FOLDERS; i++) {
        status = folder_path(files, i, path, err);
        if (status == KL_OK) {
            status = folder_link(path, fd, err);
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return status;
}

/* One file out of data/; one that is here already under its name is the same. */
static enum kl_status adopt_one(struct vault_files *files, const char *from, const char *name,
                                const struct vault_file_place *place, bool *synced,
                                struct kl_err *err)
{
    char old[VAULT_PATH_MAX_BYTES];
    char folder[VAULT_PATH_MAX_BYTES];
    char path[VAULT_PATH_MAX_BYTES];
    enum kl_status status = vault_path(from, name, old, err);

    if (status == KL_OK) {
        status = folder_path(files, place->of.slot, folder, err);
    }
    if (status == KL_OK) {
        status = dir_make(folder, files->dir, err);
    }
    if (status == KL_OK) {
        status = file_path(files, place, "", path, err);
    }
    if (status == KL_OK && rename(old, path) != 0) {
        status = vault_file_fail(err, "move a file of a backup");
    }
    synced[place->of.slot % FOLDERS] = true;
    return status;
}

static enum kl_status adopt_all(struct vault_files *files, const char *from, DIR *data, bool *moved,
                                struct kl_err *err)
{
    struct vault_file_place place;
    const struct dirent *entry = NULL;
    enum kl_status status = KL_OK;

    while (status == KL_OK && (entry = readdir(data)) != NULL) {
        if (vault_file_name_parse(entry->d_name, &place)) {
            status = adopt_one(files, from, entry->d_name, &place, moved, err);
        }
    }
    return status;
}

enum kl_status vault_files_adopt(const char *data_dir, struct kl_err *err)
{
    char path[VAULT_PATH_MAX_BYTES];
    struct vault_files *files = NULL;
    bool moved[FOLDERS] = {false};
    DIR *data = NULL;
    unsigned i;
    enum kl_status status = vault_path(data_dir, "data", path, err);

    if (status != KL_OK) {
        return status;
    }
    data = opendir(path);
    if (data == NULL) {
        return KL_OK; /* the store says what is the matter */
    }
    status = vault_files_new(data_dir, &files, err);
    if (status == KL_OK) {
        status = adopt_all(files, path, data, moved, err);
    }
    (void)closedir(data);
    for (i = 0; status == KL_OK && i < FOLDERS; i++) {
        if (moved[i]) {
            status = folder_path(files, i, path, err);
            if (status == KL_OK) {
                status = kl_dir_sync(path, err);
            }
        }
    }
    vault_files_free(files);
    return status;
}
