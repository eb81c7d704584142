/* What backup.c (the work, step by step) and backup_folder.c (folders and names) share. */
#ifndef VAULT_STORE_BACKUP_INTERNAL_H
#define VAULT_STORE_BACKUP_INTERNAL_H

#include "vault/store/backup.h"

#include <stdbool.h>
#include <stddef.h>

#define BACKUP_SHARED_DIR "shared"
#define BACKUP_PART ".part"
#define BACKUP_TABLE ".sst"
#define BACKUP_VALUE_FILE ".file" /* vault/files.h */
#define BACKUP_PART_NAME_BYTES (VAULT_BACKUP_NAME_MAX_BYTES + sizeof BACKUP_PART)
#define VAULT_BACKUP_SHARED_NAME_BYTES (2 * VAULT_BACKUP_HASH_BYTES + sizeof BACKUP_VALUE_FILE)

/* errno as a failure: a full disk, anything else. path is for the log. */
enum kl_status vault_backup_fail_errno(struct kl_err *err, const char *what, const char *path);
enum kl_status vault_backup_damaged(struct kl_err *err, const char *file, const char *what);

/* The name of a shared file in DIR/shared: its hash, and the end of its name in the store. */
void vault_backup_shared_name(const struct vault_backup_file *file,
                              char ret[VAULT_BACKUP_SHARED_NAME_BYTES]);
/* By name, in files that are sorted by it; NULL: none. */
const struct vault_backup_file *vault_backup_files_find(const struct vault_backup_files *files,
                                                        const char *name);
/*
 * A folder by its name in an open one, as vault_backup_folder_open(); made with mode 0700, its name durable, when it is not there (dir AT_FDCWD: name is
 * a path of our own: neither judged nor its name made durable).
 */
KL_MUST_USE enum kl_status vault_backup_folder_make(int dir, const char *name, int *ret_folder,
                                                    struct kl_err *err);
/* DIR/<name>.part, empty: what was in it is removed. */
KL_MUST_USE enum kl_status vault_backup_part_make(int dir, const char *name, int *ret_folder,
                                                  struct kl_err *err);
KL_MUST_USE enum kl_status vault_backup_folder_sync(int folder, const char *what,
                                                    struct kl_err *err);
/* The regular files of a folder, without hashes, by name. tables: those that never change (.sst, .file) are marked shared. what: for the log. */
KL_MUST_USE enum kl_status vault_backup_folder_list(int folder, const char *what, bool tables,
                                                    struct vault_backup_files *ret,
                                                    struct kl_err *err);

#endif
