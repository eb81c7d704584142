#include "vault/folder.h"

#include "kluis/base/encode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 4096

bool vault_folder_holds(const char *folder, const char *path)
{
    size_t size = strlen(folder);

    return strncmp(path, folder, size) == 0 && (path[size] == '\0' || path[size] == '/');
}

bool vault_folders_touch(const char *one, const char *other)
{
    return vault_folder_holds(one, other) || vault_folder_holds(other, one);
}

static bool is_same(const struct stat *a, dev_t device, ino_t inode)
{
    return a->st_dev == device && a->st_ino == inode;
}

bool vault_folder_lies_in(int folder, dev_t device, ino_t inode)
{
    struct stat facts;
    dev_t last_device = 0;
    ino_t last_inode = 0;
    int at = openat(folder, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool found = at < 0;
    bool top = false;
    unsigned depth;

    for (depth = 0; !found && !top && depth < DEPTH_MAX; depth++) {
        int above = -1;

        found = fstat(at, &facts) != 0 || is_same(&facts, device, inode);
        top = depth > 0 && is_same(&facts, last_device, last_inode);
        last_device = facts.st_dev;
        last_inode = facts.st_ino;
        above = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        (void)close(at);
        at = above;
        found = found || (at < 0 && !top);
    }
    if (at >= 0) {
        (void)close(at);
    }
    return found || !top;
}

static bool resolve(const char *path, char ret[PATH_MAX])
{
    char parent[PATH_MAX];
    char found[PATH_MAX];
    char *slash = NULL;

    if (realpath(path, ret) != NULL) {
        return true;
    }
    if (errno != ENOENT) {
        return false;
    }
    (void)snprintf(parent, sizeof parent, "%s", path);
    slash = strrchr(parent, '/');
    if (slash == NULL || slash == parent) {
        return false;
    }
    *slash = '\0';
    return realpath(parent, found) != NULL &&
           snprintf(ret, PATH_MAX, "%s/%s", found, slash + 1) < PATH_MAX;
}

static enum kl_status invalid(struct kl_err *err, const char *why)
{
    return kl_failf(err, KL_ERR_INVALID, "invalid_directory", "the directory %s", why);
}

enum kl_status vault_folder_check(const char *path, char ret_path[PATH_MAX], struct kl_err *err)
{
    size_t size = strlen(path);
    size_t i;

    if (size == 0 || path[0] != '/') {
        return invalid(err, "has to be an absolute path");
    }
    if (size > VAULT_FOLDER_MAX_BYTES) {
        return invalid(err, "has too long a path");
    }
    for (i = 0; i < size; i++) {
        if ((unsigned char)path[i] < 0x20 || path[i] == 0x7f) {
            return invalid(err, "has a control character in its path");
        }
    }
    if (!kl_utf8_valid(path, size)) {
        return invalid(err, "has a path that is no UTF-8");
    }
    return resolve(path, ret_path)
               ? KL_OK
               : invalid(err, "cannot be found: make its parent, and let the server's user in");
}
