#include "vault/folder.h"

#include "kluis/base/encode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool vault_folder_holds(const char *folder, const char *path)
{
    size_t size = strlen(folder);

    return strncmp(path, folder, size) == 0 && (path[size] == '\0' || path[size] == '/');
}

bool vault_folders_touch(const char *one, const char *other)
{
    return vault_folder_holds(one, other) || vault_folder_holds(other, one);
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
