/* Backups of the store of store_fixture, in the directory "backups" of its folder. A test fails where a call that returns no status does not work. */
#ifndef KLUIS_TESTS_STORE_BACKUP_FIXTURE_H
#define KLUIS_TESTS_STORE_BACKUP_FIXTURE_H

#include "tests/support/store_fixture.h"
#include "vault/store/backup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_BACKUP_PATH_BYTES (KMS_FIXTURE_PATH_BYTES + 128)
#define STORE_BACKUP_STEP_BYTES 100000
#define STORE_BACKUP_ROW_BYTES 4000

struct store_backup {
    const char *name;
    struct vault_backup_files files;
    uint64_t written;
    uint64_t of;
};

/* folder/name */
const char *store_backup_path(const struct store_fixture *fixture, const char *name,
                              char ret[STORE_BACKUP_PATH_BYTES]);
/* The directory of backups, as the jobs hold it; made when it is missing. */
int store_backup_dir_open(const struct store_fixture *fixture);
/* count rows "kind NNNNNNNN" of noise, so that tables cannot be the same by chance. */
void store_backup_fill(struct vault_store *store, char kind, unsigned first, unsigned count);
/* Enough for several tables: the log is larger than what a copy takes as it is. */
void store_backup_fill_tables(struct store_fixture *fixture, char kind);
/* A work to its end. */
enum kl_status store_backup_run(struct vault_backup_work *work, struct kl_err *err);
/* A backup of the store as it is, in dir; in "backups". known NULL: nothing. */
enum kl_status store_backup_try(struct store_fixture *fixture, int dir, const char *name,
                                const struct vault_backup_files *known, struct store_backup *ret,
                                struct kl_err *err);
struct store_backup store_backup_make(struct store_fixture *fixture, const char *name,
                                      const struct vault_backup_files *known);
enum kl_status store_backup_check(struct store_fixture *fixture, const struct store_backup *of,
                                  struct kl_err *err);
/* Put back as folder/to. */
enum kl_status store_backup_restore(struct store_fixture *fixture, const struct store_backup *of,
                                    const char *to, uint64_t *ret_written, struct kl_err *err);
/* Rows of a kind in the store at folder/name. */
size_t store_backup_rows(struct store_fixture *fixture, const char *name, char kind,
                         bool read_only);
/* Where a file of the backup lies; the first that is (not) shared. */
void store_backup_file_path(struct store_fixture *fixture, const struct store_backup *of,
                            bool shared, char ret[STORE_BACKUP_PATH_BYTES]);
/* One bit of a file, and how many files there are in a folder. */
void store_backup_flip(const char *path);
size_t store_backup_files_in(const char *path);

#endif
