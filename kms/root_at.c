#include "kms/root_at.h"

#include "kms/format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folder of a path, and the name in it. */
static void path_take(struct kms_root_at *at, const char *path)
{
    char folder[KMS_CUSTODIAN_TEXT_MAX_BYTES + 2] = ".";
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    size_t bytes = slash == NULL ? 0 : (size_t)(slash - path) + (slash == path ? 1 : 0);

    if (bytes >= sizeof folder || strlen(name) > NAME_MAX) {
        errno = ENAMETOOLONG;
        return;
    }
    if (bytes > 0) {
        memcpy(folder, path, bytes);
        folder[bytes] = '\0';
    }
    memcpy(at->name, name, strlen(name) + 1);
    at->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void kms_root_at_init(struct kms_root_at *at, int folder, const char *path)
{
    memset(at, 0, sizeof *at);
    at->folder = -1;
    if (folder == AT_FDCWD) {
        path_take(at, path);
    } else {
        (void)snprintf(at->name, sizeof at->name, "%s", path);
        at->folder = fcntl(folder, F_DUPFD_CLOEXEC, 0);
    }
    at->failed = at->folder < 0 ? errno : 0;
}

void kms_root_at_done(struct kms_root_at *at)
{
    if (at->folder >= 0) {
        (void)close(at->folder);
    }
    at->folder = -1;
}

static bool is_there(const struct kms_root_at *at)
{
    if (at->folder < 0) {
        errno = at->failed;
    }
    return at->folder >= 0;
}

int kms_root_at_open(const struct kms_root_at *at, int flags)
{
    return is_there(at) ? openat(at->folder, at->name, flags | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
}

bool kms_root_at_sync(const struct kms_root_at *at)
{
    int folder = is_there(at) ? openat(at->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    bool done = folder >= 0 && fsync(folder) == 0;
    int reason = errno;

    if (folder >= 0) {
        (void)close(folder);
    }
    errno = reason;
    return done;
}

bool kms_root_at_remove(const struct kms_root_at *at, int fd)
{
    struct stat mine;
    struct stat there;

    if (!is_there(at)) {
        return false;
    }
    if (fstat(fd, &mine) != 0 || fstatat(at->folder, at->name, &there, AT_SYMLINK_NOFOLLOW) != 0 ||
        mine.st_dev != there.st_dev || mine.st_ino != there.st_ino) {
        return true;
    }
    return (unlinkat(at->folder, at->name, 0) == 0 || errno == ENOENT) && kms_root_at_sync(at);
}

bool kms_root_at_folder(const struct kms_root_at *at, dev_t *ret_device, ino_t *ret_inode)
{
    struct stat facts;

    if (at->folder < 0 || fstat(at->folder, &facts) != 0) {
        return false;
    }
    *ret_device = facts.st_dev;
    *ret_inode = facts.st_ino;
    return true;
}

bool kms_root_at_is_plain(int fd, bool *ret_whole)
{
    struct stat facts;

    if (fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode) || facts.st_nlink > 1 ||
        facts.st_size > KMS_ROOT_FILE_BYTES) {
        return false;
    }
    *ret_whole = facts.st_size == KMS_ROOT_FILE_BYTES;
    return true;
}

bool kms_root_at_is_as_made(int fd)
{
    struct stat facts;

    return fstat(fd, &facts) == 0 && facts.st_uid == geteuid() && (facts.st_mode & 07777) == 0600;
}

bool kms_folder_is_ours(int folder)
{
    struct stat facts;

    return fstat(folder, &facts) == 0 && (facts.st_uid == geteuid() || facts.st_uid == 0) &&
           (facts.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}
