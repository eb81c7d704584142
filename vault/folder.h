/*
 * Folders that somebody names in a request or a configuration: checked, and compared by their paths.
 * Threads: any.
 */
#ifndef VAULT_FOLDER_H
#define VAULT_FOLDER_H

#include "kluis/base/status.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#define VAULT_FOLDER_MAX_BYTES 1024

/* Whether path is folder, or lies in it. Both without links. */
bool vault_folder_holds(const char *folder, const char *path);
/* Whether one of them is the other one, or lies in it. Both without links. */
bool vault_folders_touch(const char *one, const char *other);
/* Whether an open folder is, or lies in, that one, whatever their paths: every folder above it is looked at. What cannot be looked at counts as so. */
bool vault_folder_lies_in(int folder, dev_t device, ino_t inode);
/*
 * Check a folder's path: absolute, 1..VAULT_FOLDER_MAX_BYTES, UTF-8 without control characters. ret_path: without links; of one that is not
 * there yet, by its parent, which has to be. KL_ERR_INVALID "invalid_directory".
 */
KL_MUST_USE enum kl_status vault_folder_check(const char *path, char ret_path[PATH_MAX],
                                              struct kl_err *err);

#endif
