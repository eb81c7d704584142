/*
 * Copies of a store in a directory: backups that share their tables.
 *
 *   DIR/shared/<64 hex digits>.sst   tables, by their BLAKE2b-256 (RFC 7693): written once, never changed
 *   DIR/shared/<64 hex digits>.file  files of values, likewise (vault/files.h)
 *   DIR/<name>/                      one backup: the small files of the store, and what the caller puts beside them
 *   DIR/<name>.part/         what is being made, or was when the machine stopped; removed
 *
 * The directory is a descriptor, held as long as the work goes on, and everything below it is reached by names in open folders, none of which may be a
 * link. What is written to or removed is this user's own or root's, and nobody else may write to it: else somebody could have kluisd remove files
 * elsewhere. Only reading (vault_backup_restore_new()) takes another user's directory, as it compares every file with its hash while it copies it.
 *
 * All three kinds of work go step by step over a list of files with their hashes, so that they can stop at any time, show how far they are, and take
 * no more of the disk than they are given. RocksDB's own engine for this does none of it through the C API: its check looks at sizes only, its sums are
 * CRCs that anybody can make, and Debian 12's aborts the process where a disk is full. Here no error of the directory gets near the store.
 *
 * Errors: KL_ERR_IO "backup_disk_full"; KL_ERR_IO "backup_io" the directory cannot be read or written, or is not there any more; KL_ERR_CORRUPT
 * "backup_damaged" a file is missing, has another size or another hash; KL_ERR_CONFLICT "backup_directory_unsafe" the directory or a folder in it is
 * another user's, or others may write to it, or the folder is a link; KL_ERR_NO_MEMORY.
 * Texts name files below the directory.
 *
 * Threads: a work belongs to one at a time.
 */
#ifndef VAULT_STORE_BACKUP_H
#define VAULT_STORE_BACKUP_H

#include "kluis/base/status.h"
#include "vault/store/store.h"

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_BACKUP_HASH_BYTES 32
#define VAULT_BACKUP_FILES_MAX 262144 /* tables, and files of values */
#define VAULT_BACKUP_FILE_NAME_BYTES 64
#define VAULT_BACKUP_NAME_MAX_BYTES 40

/*
 * One file. shared: a table or a file of a value, in DIR/shared by its hash; else DIR/<name>/<file name>. inode and mtime_ns are of the table in the store: a table with the
 * same name, size, inode and time is the same one (they are never changed), and is not read again for the next backup.
 */
struct vault_backup_file {
    char name[VAULT_BACKUP_FILE_NAME_BYTES];
    uint64_t bytes;
    unsigned char hash[VAULT_BACKUP_HASH_BYTES];
    bool shared;
    uint64_t inode;
    int64_t mtime_ns;
};
struct vault_backup_files {
    struct vault_backup_file *items; /* by name: one backup's are sorted */
    size_t count;
};
/* Of any number: several backups' files may be put together. KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_backup_files_add(struct vault_backup_files *files,
                                                  const struct vault_backup_file *file,
                                                  struct kl_err *err);
void vault_backup_files_done(struct vault_backup_files *files);
/* A name that a store's file may have: letters, digits, '.', '-', '_', and no '.' first. */
bool vault_backup_file_name_valid(const char *name);

/*
 * Open a directory. ours: it is going to be written to, or what is in it to be opened as a store. The last part of path may be a link, its folder may
 * not be. KL_ERR_NOT_FOUND "backup_directory". The caller ends ret_dir with vault_backup_dir_close(), for which -1 is fine.
 */
KL_MUST_USE enum kl_status vault_backup_dir_open(const char *path, bool ours, int *ret_dir,
                                                 struct kl_err *err);
void vault_backup_dir_close(int dir);
/* A folder in it, to be closed in the same way. KL_ERR_NOT_FOUND "backup_folder". */
KL_MUST_USE enum kl_status vault_backup_folder_open(int dir, const char *name, bool ours,
                                                    int *ret_folder, struct kl_err *err);
/* What is in an open folder; the caller's (closedir). NULL: errno says why. */
DIR *vault_backup_folder_entries(int folder);

struct vault_backup_work;

/*
 * Copy from, a store at rest (a checkpoint: vault_store_checkpoint()), into DIR/<name>.part and DIR/shared. known: the files of earlier backups in DIR
 * (may be empty); read until done. KL_ERR_TOO_LARGE "backup_files": more than
 * VAULT_BACKUP_FILES_MAX. What an earlier attempt at the same name left is removed first.
 */
KL_MUST_USE enum kl_status vault_backup_copy_new(const char *from, int dir, const char *name,
                                                 const struct vault_backup_files *known,
                                                 struct vault_backup_work **ret_work,
                                                 struct kl_err *err);
/*
 * Whether the disk of DIR has room for what a copy is going to write there, and keep_bytes more: KL_ERR_IO "backup_disk_full". known is looked at. Before
 * the first step.
 */
KL_MUST_USE enum kl_status vault_backup_room(const struct vault_backup_work *work,
                                             uint64_t keep_bytes, struct kl_err *err);
/* Read every file of DIR/<name> and compare size and hash. files are copied. */
KL_MUST_USE enum kl_status vault_backup_check_new(int dir, const char *name,
                                                  const struct vault_backup_files *files,
                                                  struct vault_backup_work **ret_work,
                                                  struct kl_err *err);
/*
 * Put the files of DIR/<name> into the folder to, each compared with its hash on the way; to is made when it is missing. Files that are there with that hash
 * stay, others in to are removed.
 */
KL_MUST_USE enum kl_status vault_backup_restore_new(int dir, const char *name,
                                                    const struct vault_backup_files *files,
                                                    const char *to,
                                                    struct vault_backup_work **ret_work,
                                                    struct kl_err *err);
/* At most about bytes_max more bytes. ret_done: all is there and synced. After an error the work can only be ended. */
KL_MUST_USE enum kl_status vault_backup_step(struct vault_backup_work *work, uint64_t bytes_max,
                                             bool *ret_done, struct kl_err *err);
/* The files, complete when the work is done; they live as long as the work. */
const struct vault_backup_files *vault_backup_work_files(const struct vault_backup_work *work);
/* Bytes gone over, of how many, and how many of them had to be written. */
void vault_backup_progress(const struct vault_backup_work *work, uint64_t *ret_bytes,
                           uint64_t *ret_of, uint64_t *ret_written);
/* Files that are not finished stay as .part. NULL is fine. */
void vault_backup_work_free(struct vault_backup_work *work);

/* DIR/<name>.part is complete: it gets its name, durably. */
KL_MUST_USE enum kl_status vault_backup_seal(int dir, const char *name, struct kl_err *err);
/* A small file of the caller's, into DIR/<name>.part. */
KL_MUST_USE enum kl_status vault_backup_put(int dir, const char *name, const char *file,
                                            struct kl_slice bytes, struct kl_err *err);
/* Take a backup away; its tables stay until vault_backup_collect(). */
KL_MUST_USE enum kl_status vault_backup_remove(int dir, const char *name, struct kl_err *err);
/* Remove shared files (<64 hex digits>.sst or .file) that none of needed names. KL_ERR_IO. */
KL_MUST_USE enum kl_status vault_backup_collect(int dir, const struct vault_backup_files *needed,
                                                struct kl_err *err);

/*
 * Make a folder to (removed first when it is there) that opens as the store of DIR/<name>, read only: links to the tables, copies of the rest.
 * The links go through ret_shared (in /proc/self/fd), which stays open as long as the store does; the caller ends it with vault_backup_dir_close().
 */
KL_MUST_USE enum kl_status vault_backup_link(int dir, const char *name,
                                             const struct vault_backup_files *files, const char *to,
                                             int *ret_shared, struct kl_err *err);
/* Remove a folder of this user's own, by its path, of plain files and links; none is fine. KL_ERR_IO, KL_ERR_CONFLICT. */
KL_MUST_USE enum kl_status vault_backup_folder_remove(const char *path, struct kl_err *err);

#endif
