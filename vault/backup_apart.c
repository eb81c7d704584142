/* That a directory of backups is apart from what holds keys, whatever names lead to it. */
#include "vault/backup.h"
#include "vault/folder.h"
#include "vault/open.h"
#include "vault/vault_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum kl_status invalid(struct kl_err *err, const char *what)
{
    return kl_failf(err, KL_ERR_INVALID, "invalid_directory",
                    "the directory and %s lie within each other: a backup has to be apart", what);
}

/* One of our own folders, by its path, which is followed. One that is not there is no matter. */
static bool touches(int dir, const char *path)
{
    struct stat mine;
    struct stat other;
    int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool together;

    if (folder < 0) {
        return false;
    }
    together = fstat(dir, &mine) != 0 || fstat(folder, &other) != 0 ||
               vault_folder_lies_in(dir, other.st_dev, other.st_ino) ||
               vault_folder_lies_in(folder, mine.st_dev, mine.st_ino);
    (void)close(folder);
    return together;
}

/* Its disk is not touched, as it may hang: by path, and by what its own thread has seen of its folder. */
static bool touches_mirror(int dir, const char *path, const struct kms_mirror_info *mirror)
{
    return vault_folders_touch(path, mirror->dir) ||
           (mirror->report.folder_inode != 0 &&
            vault_folder_lies_in(dir, (dev_t)mirror->report.folder_device,
                                 (ino_t)mirror->report.folder_inode));
}

static enum kl_status mirrors_check(struct vault *vault, int dir, struct kl_err *err)
{
    struct kms_mirror_info mirrors[KMS_MIRRORS_MAX];
    char link[64];
    char path[VAULT_PATH_MAX_BYTES];
    size_t count = 0;
    size_t i;
    ssize_t size = 0;

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    size = readlink(link, path, sizeof path - 1);
    if (size <= 0) {
        return kl_fail(err, KL_ERR_IO, "backup_io", "the backup directory cannot be examined",
                       "read %s: %m", link);
    }
    path[size] = '\0';
    kms_mirrors(vault->keys, mirrors, &count);
    for (i = 0; i < count; i++) {
        if (touches_mirror(dir, path, &mirrors[i])) {
            return invalid(err, "a mirror of the keys");
        }
    }
    return KL_OK;
}

enum kl_status vault_backup_directory_apart(struct vault *vault, int dir, struct kl_err *err)
{
    static const char *const inside[] = {VAULT_DATA_DIR, VAULT_KEYS_DIR};
    char path[VAULT_PATH_MAX_BYTES];
    struct kms_state state;
    struct stat facts;
    size_t i;

    if (touches(dir, vault->data_dir)) {
        return invalid(err, "the data directory");
    }
    for (i = 0; i < sizeof inside / sizeof inside[0]; i++) { /* they may be links */
        enum kl_status status = vault_path(vault->data_dir, inside[i], path, err);

        if (status != KL_OK) {
            return status;
        }
        if (touches(dir, path)) {
            return invalid(err, "the data directory");
        }
    }
    kms_state(vault->keys, &state);
    if (fstat(dir, &facts) != 0 ||
        (state.root_folder_inode != 0 && facts.st_dev == (dev_t)state.root_folder_device &&
         facts.st_ino == (ino_t)state.root_folder_inode)) {
        return invalid(err, "the folder of the root file");
    }
    return mirrors_check(vault, dir, err);
}
