/* A directory of backups: whose it is, where it lies, what is in it. */
#include "vault/backup.h"

#include "kluis/base/encode.h"
#include "kluis/base/file.h"
#include "kluis/base/json.h"
#include "kluis/base/time.h"
#include "vault/folder.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DIRECTORY_FILE_MAX_BYTES 4096

/* ---- its path ---- */

enum kl_status vault_backup_directory_valid(const char *dir, const char *outside_of,
                                            struct kl_err *err)
{
    char path[PATH_MAX];
    enum kl_status status = vault_folder_check(dir, path, err);

    if (status == KL_OK && vault_folders_touch(path, outside_of)) {
        status = kl_fail(
            err, KL_ERR_INVALID, "invalid_directory",
            "the directory and the data directory lie within each other: a backup has to be apart",
            NULL);
    }
    return status;
}

/* ---- its file ---- */

static enum kl_status damaged(struct kl_err *err)
{
    return kl_failf(err, KL_ERR_CORRUPT, "backup_damaged", "the backup is damaged: %s",
                    VAULT_BACKUP_FILE);
}

static enum kl_status take_members(const struct kl_json_value *root,
                                   unsigned char store_id[KMS_STORE_ID_BYTES],
                                   struct vault_country *country, struct kl_err *err)
{
    const char *id = kl_json_text(kl_json_member(root, "store_id"));
    const char *place = kl_json_text(kl_json_member(root, "country"));
    int64_t format = 0;

    if (!kl_json_int(kl_json_member(root, "format"), &format)) {
        return damaged(err);
    }
    if (format != VAULT_BACKUP_FORMAT) {
        return kl_failf(err, KL_ERR_REFUSED, "backup_format",
                        "the backup directory is of format %" PRId64
                        ", this version knows format %d: use the version that made it",
                        format, VAULT_BACKUP_FORMAT);
    }
    if (id == NULL || !kl_hex_decode(id, strlen(id), store_id, KMS_STORE_ID_BYTES) ||
        place == NULL || vault_country_parse(place, strlen(place), country, NULL) != KL_OK) {
        return damaged(err);
    }
    return KL_OK;
}

enum kl_status vault_backup_directory_read(int dir, unsigned char ret_store_id[KMS_STORE_ID_BYTES],
                                           struct vault_country *ret_country, struct kl_err *err)
{
    unsigned char store_id[KMS_STORE_ID_BYTES];
    struct vault_country country;
    struct kl_buf text = {0};
    struct kl_json *json = NULL;
    struct kl_err cause = {0};
    enum kl_status status =
        kl_file_read_at(dir, VAULT_BACKUP_FILE, DIRECTORY_FILE_MAX_BYTES, &text, &cause);

    if (status == KL_ERR_NOT_FOUND) {
        return kl_failf(err, KL_ERR_NOT_FOUND, "backup_directory",
                        "this is no directory of backups: it has no %s", VAULT_BACKUP_FILE);
    }
    if (status == KL_ERR_TOO_LARGE) {
        return damaged(err);
    }
    if (status != KL_OK) {
        return kl_fail(err, status, "backup_io", "the backup directory cannot be read", "%s",
                       cause.log_text);
    }
    status = kl_json_parse(text.bytes, text.size, &json, NULL) != KL_OK
                 ? damaged(err)
                 : take_members(kl_json_root(json), store_id, &country, err);
    if (status == KL_OK) {
        memcpy(ret_store_id, store_id, sizeof store_id);
        *ret_country = country;
    }
    kl_json_free(json);
    kl_buf_done(&text);
    return status;
}

static enum kl_status file_write(int dir, const unsigned char store_id[KMS_STORE_ID_BYTES],
                                 struct vault_country country, struct kl_err *err)
{
    char id[2 * KMS_STORE_ID_BYTES + 1];
    struct kl_buf text;
    struct kl_json_out out;
    struct kl_err cause = {0};
    enum kl_status status = KL_OK;

    kl_buf_init(&text, DIRECTORY_FILE_MAX_BYTES);
    kl_hex(store_id, KMS_STORE_ID_BYTES, id);
    out = kl_json_out(&text);
    kl_json_object_begin(&out);
    kl_json_add_int(&out, "format", VAULT_BACKUP_FORMAT);
    kl_json_add_text(&out, "store_id", id);
    kl_json_add_text(&out, "country", country.code);
    kl_json_add_time(&out, "made_at", kl_time_now_us());
    kl_json_object_end(&out);
    kl_buf_add_byte(&text, '\n');
    status = kl_buf_status(&text, err);
    if (status == KL_OK) {
        status = kl_file_replace_at(dir, VAULT_BACKUP_FILE, 0600, text.bytes, text.size, &cause);
        if (status != KL_OK) {
            status = kl_fail(err, status, "backup_io", "the backup directory cannot be written",
                             "%s", cause.log_text);
        }
    }
    kl_buf_done(&text);
    return status;
}

/* Leftovers of a file that was being written when the machine stopped count as nothing. */
static enum kl_status check_empty(int dir, struct kl_err *err)
{
    DIR *folder = vault_backup_folder_entries(dir);
    const struct dirent *entry = NULL;
    bool empty = true;

    if (folder == NULL) {
        return kl_fail(err, KL_ERR_IO, "backup_io", "the backup directory cannot be read", "%m");
    }
    while (empty && (entry = readdir(folder)) != NULL) {
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                strcmp(entry->d_name, "lost+found") == 0 ||
                strncmp(entry->d_name, VAULT_BACKUP_FILE ".", sizeof VAULT_BACKUP_FILE) == 0;
    }
    (void)closedir(folder);
    return empty
               ? KL_OK
               : kl_fail(
                     err, KL_ERR_CONFLICT, "backup_directory_not_empty",
                     "the directory holds something that is no backup: name an empty one, or one of this vault's backups",
                     NULL);
}

enum kl_status vault_backup_directory_make(const char *dir, int *ret_dir, struct kl_err *err)
{
    char parent[VAULT_PATH_MAX_BYTES];
    struct kl_err cause = {0};
    enum kl_status status = KL_OK;

    if (mkdir(dir, 0700) != 0) {
        return errno == EEXIST ? vault_backup_dir_open(dir, true, ret_dir, err)
                               : kl_fail(err, KL_ERR_IO, "backup_io",
                                         "the backup directory cannot be made", "make %s: %m", dir);
    }
    status = vault_path(dir, "..", parent, err);
    if (status == KL_OK && kl_dir_sync(parent, &cause) != KL_OK) {
        status = kl_fail(err, KL_ERR_IO, "backup_io", "the backup directory cannot be made", "%s",
                         cause.log_text);
    }
    return status == KL_OK ? vault_backup_dir_open(dir, true, ret_dir, err) : status;
}

enum kl_status vault_backup_directory_take(int dir,
                                           const unsigned char store_id[KMS_STORE_ID_BYTES],
                                           struct vault_country country, struct kl_err *err)
{
    unsigned char there[KMS_STORE_ID_BYTES];
    struct vault_country declared;
    struct kl_err cause = {0};
    enum kl_status status = vault_backup_directory_read(dir, there, &declared, &cause);

    if (status == KL_ERR_NOT_FOUND) {
        status = check_empty(dir, err);
        return status == KL_OK ? file_write(dir, store_id, country, err) : status;
    }
    if (status != KL_OK) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    if (memcmp(there, store_id, sizeof there) != 0) {
        return kl_fail(err, KL_ERR_CONFLICT, "backup_other_store",
                       "the directory has backups of another vault: name another one", NULL);
    }
    if (strcmp(declared.code, country.code) != 0) {
        return kl_failf(
            err, KL_ERR_CONFLICT, "backup_other_country",
            "the directory was declared to lie in %s: a copy elsewhere is another directory",
            declared.code);
    }
    return KL_OK;
}

/* ---- what is in it ---- */

static int newest_first(const void *a, const void *b)
{
    int64_t one = ((const struct vault_backup_entry *)a)->taken_us;
    int64_t other = ((const struct vault_backup_entry *)b)->taken_us;

    return one < other ? 1 : one > other ? -1 : 0;
}

static enum kl_status entry_add(int dir, const char *name, struct vault_backup_entry *entries,
                                size_t *count, struct kl_err *err)
{
    struct vault_backup_manifest manifest;
    struct kl_id id;

    if (kl_id_parse(VAULT_BACKUP_PREFIX, name, &id, NULL) != KL_OK) {
        return KL_OK;
    }
    if (*count == VAULT_BACKUPS_MAX) {
        return kl_fail(err, KL_ERR_TOO_LARGE, "backups_too_many",
                       "the directory has too many backups: remove some, or name another one",
                       NULL);
    }
    vault_backup_manifest_init(&manifest);
    if (vault_backup_manifest_read(NULL, dir, &id, &manifest, NULL) == KL_OK) {
        entries[*count].id = id;
        entries[*count].taken_us = manifest.taken_us;
        (*count)++;
    }
    vault_backup_manifest_done(&manifest);
    return KL_OK;
}

enum kl_status vault_backup_directory_list(int dir, struct vault_backup_entry **ret,
                                           size_t *ret_count, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_backup_entry *entries = calloc(VAULT_BACKUPS_MAX, sizeof *entries);
    DIR *folder = vault_backup_folder_entries(dir);
    const struct dirent *entry = NULL;
    size_t count = 0;

    if (entries == NULL) {
        status = kl_fail_memory(err);
    } else if (folder == NULL) {
        status = kl_fail(err, KL_ERR_IO, "backup_io", "the backup directory cannot be read", "%m");
    }
    while (status == KL_OK && (entry = readdir(folder)) != NULL) {
        status = entry_add(dir, entry->d_name, entries, &count, err);
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    if (status != KL_OK) {
        free(entries);
        return status;
    }
    qsort(entries, count, sizeof *entries, newest_first);
    *ret = entries;
    *ret_count = count;
    return KL_OK;
}
