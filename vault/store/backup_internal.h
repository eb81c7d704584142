/* What backup.c (the work, step by step) and backup_folder.c (folders and names) share. */
#ifndef VAULT_STORE_BACKUP_INTERNAL_H
#define VAULT_STORE_BACKUP_INTERNAL_H

#include "vault/store/backup.h"

#include <stdbool.h>
#include <stddef.h>

#define BACKUP_SHARED_DIR "shared"
#define BACKUP_PART ".part"

/* errno as a failure: a full disk, a file that is not there (damaged: it should be), anything else. path is for the log. */
enum kl_status vault_backup_fail_errno(struct kl_err *err, const char *what, const char *path);
enum kl_status vault_backup_damaged(struct kl_err *err, const char *file, const char *what);

/* dir/name, or dir/name + suffix. */
KL_MUST_USE enum kl_status vault_backup_path(const char *dir, const char *name, const char *suffix,
                                             char ret[VAULT_BACKUP_PATH_BYTES], struct kl_err *err);
/* Where a file of a backup lies. */
KL_MUST_USE enum kl_status vault_backup_file_path(const char *dir, const char *name,
                                                  const struct vault_backup_file *file,
                                                  char ret[VAULT_BACKUP_PATH_BYTES],
                                                  struct kl_err *err);
/* Where a shared one lies, by its hash and the end of its name. */
KL_MUST_USE enum kl_status vault_backup_shared_path(const char *dir,
                                                    const struct vault_backup_file *file,
                                                    char ret[VAULT_BACKUP_PATH_BYTES],
                                                    struct kl_err *err);
/* By name, in files that are sorted by it; NULL: none. */
const struct vault_backup_file *vault_backup_files_find(const struct vault_backup_files *files,
                                                        const char *name);
/* mkdir of mode 0700 with its name made durable; one that is there is fine. */
KL_MUST_USE enum kl_status vault_backup_folder_make(const char *path, struct kl_err *err);
KL_MUST_USE enum kl_status vault_backup_folder_sync(const char *path, struct kl_err *err);
/* The regular files of a folder, without hashes, by name. tables: those that never change (.sst, .file) are marked shared. */
KL_MUST_USE enum kl_status vault_backup_folder_list(const char *path, bool tables,
                                                    struct vault_backup_files *ret,
                                                    struct kl_err *err);

#endif
