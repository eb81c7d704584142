/* The folder that a mirror is made in. */
#include "kms/mirrors_internal.h"

#include "kluis/base/file.h"
#include "kms/root_at.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum kl_status refuse_dir(struct kl_err *err)
{
    return kl_failf(
        err, KL_ERR_INVALID, "mirror_dir",
        "the folder of a mirror is an absolute path of at most %d bytes, outside of the "
        "data directory",
        KMS_MIRROR_DIR_MAX_BYTES);
}

static enum kl_status dir_io(struct kl_err *err, const char *what)
{
    int reason = errno;

    return kl_fail(err, KL_ERR_IO, "mirror_io", "the folder of the mirror could not be used",
                   "the folder of a mirror could not be %s: %s", what, strerror(reason));
}

enum kl_status kms_mirror_dir_open(const char *dir, int *ret_folder, struct kl_err *err)
{
    int folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    if (folder < 0) {
        return dir_io(err, "opened");
    }
    if (!kms_folder_is_ours(folder)) {
        (void)close(folder);
        return kl_fail(
            err, KL_ERR_CONFLICT, "mirror_dir_unsafe",
            "the folder of the mirror is another user's, or others may write to it: it has to be "
            "the server's user's own (chown, chmod go-w)",
            NULL);
    }
    *ret_folder = folder;
    return KL_OK;
}

bool kms_mirror_dir_is(const char *dir, int folder)
{
    struct stat open_one;
    struct stat named;

    return fstat(folder, &open_one) == 0 && lstat(dir, &named) == 0 &&
           open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino;
}

/* fd becomes the folder's. */
static enum kl_status empty_check(int fd, struct kl_err *err)
{
    DIR *folder = fdopendir(fd);
    const struct dirent *entry;
    bool empty = true;

    if (folder == NULL) {
        (void)close(fd);
        return dir_io(err, "read");
    }
    while (empty && (entry = readdir(folder)) != NULL) {
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                strcmp(entry->d_name, "lost+found") == 0; /* a volume of its own */
    }
    (void)closedir(folder);
    return empty ? KL_OK
                 : kl_fail(err, KL_ERR_EXISTS, "mirror_exists",
                           "the folder is not empty: a mirror needs one of its own", NULL);
}

/* A folder that a loss of power takes away again, once it is registered, would keep every erasure waiting. */
static enum kl_status parent_sync(const char *dir, struct kl_err *err)
{
    char parent[PATH_MAX];
    char *last;

    memcpy(parent, dir, strlen(dir) + 1);
    last = strrchr(parent, '/');
    last[last == parent ? 1 : 0] = '\0';
    return kl_dir_sync(parent, err);
}

enum kl_status kms_mirror_dir_make(const struct kms *kms, const char *dir,
                                   char ret_dir[KMS_MIRROR_DIR_MAX_BYTES + 1], struct kl_err *err)
{
    char resolved[PATH_MAX];
    int folder = -1;
    enum kl_status status;

    if (dir[0] != '/' || strlen(dir) > KMS_MIRROR_DIR_MAX_BYTES ||
        (kms->forbidden_dir != NULL && kms_path_inside(dir, kms->forbidden_dir))) {
        return refuse_dir(err);
    }
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        return dir_io(err, "made");
    }
    if (realpath(dir, resolved) == NULL) {
        return dir_io(err, "found");
    }
    if (strlen(resolved) > KMS_MIRROR_DIR_MAX_BYTES) {
        return refuse_dir(err);
    }
    status = parent_sync(resolved, err);
    if (status == KL_OK) {
        status = kms_mirror_dir_open(resolved, &folder, err);
    }
    if (status == KL_OK) {
        status = empty_check(folder, err);
    }
    if (status == KL_OK) {
        memcpy(ret_dir, resolved, strlen(resolved) + 1);
    }
    return status;
}
