/* Whose a PKCS#11 module is. */
#include "kluis/kms/custodian.h"

#include "kms/token.h"

#include <limits.h>
#include <p11-kit/uri.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* path itself, not what a link leads to. A link's mode says nothing: who may change it says its folder. */
static bool is_roots(const char *path)
{
    struct stat info;

    return lstat(path, &info) == 0 && info.st_uid == 0 &&
           (S_ISLNK(info.st_mode) || (info.st_mode & (S_IWGRP | S_IWOTH)) == 0);
}

/* path and every folder above it, as it is written. */
static bool way_is_roots(const char *path)
{
    char part[PATH_MAX];
    char *slash = NULL;
    bool good = is_roots("/");

    if (path[0] != '/' || strstr(path, "/..") != NULL ||
        snprintf(part, sizeof part, "%s", path) >= (int)sizeof part) {
        return false;
    }
    for (slash = strchr(part + 1, '/'); good && slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        good = is_roots(part);
        *slash = '/';
    }
    return good && is_roots(path);
}

/* Links lead from folders that are root's to others, which have to be as well; in between as many as the system allows. */
static bool file_is_roots(const char *path)
{
    char resolved[PATH_MAX];
    struct stat info;

    return way_is_roots(path) && realpath(path, resolved) != NULL && way_is_roots(resolved) &&
           lstat(resolved, &info) == 0 && S_ISREG(info.st_mode);
}

enum kl_status kms_custodian_module_trusted(const char *custodian, struct kl_err *err)
{
    enum kl_status status = kms_token_uri_check(custodian, err);
    const char *path = NULL;
    P11KitUri *uri = NULL;

    if (status != KL_OK) {
        return status;
    }
    uri = p11_kit_uri_new();
    if (uri == NULL) {
        return kl_fail_memory(err);
    }
    path = p11_kit_uri_parse(custodian, P11_KIT_URI_FOR_ANY, uri) == P11_KIT_URI_OK
               ? p11_kit_uri_get_module_path(uri)
               : NULL;
    if (path == NULL || !file_is_roots(path)) {
        status = kl_fail(
            err, KL_ERR_INVALID, "token_module_untrusted",
            "the module has to be a file that is root's, by an absolute path, in folders to which nobody else may write",
            NULL);
    }
    p11_kit_uri_free(uri);
    return status;
}
