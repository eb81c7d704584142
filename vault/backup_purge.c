#include "vault/backup_purge.h"

#include "kluis/base/log.h"
#include "vault/backup.h"
#include "vault/vault_internal.h"

#include <dirent.h>
#include <stdlib.h>

static enum kl_status remove_old(struct vault *vault, int directory, uint32_t keep,
                                 uint64_t *removed, struct kl_err *err)
{
    struct vault_backup_entry *entries = NULL;
    size_t count = 0;
    size_t i;
    bool verified_kept = false;
    char name[KL_ID_TEXT_BYTES];
    enum kl_status status = vault_backup_directory_list(directory, &entries, &count, err);

    for (i = 0; status == KL_OK && i < count; i++) {
        bool verified = vault_backup_verified_at(vault, &entries[i].id) != 0;

        if (i >= keep && (!verified || verified_kept)) {
            kl_id_format(VAULT_BACKUP_PREFIX, &entries[i].id, name);
            status = vault_backup_remove(directory, name, err);
            *removed += status == KL_OK ? 1 : 0;
        }
        verified_kept = verified_kept || verified;
    }
    free(entries);
    return status;
}

/* Files of the backups that are there, all of them or a failure. */
static enum kl_status needed_of(int directory, struct vault_backup_files *needed,
                                struct kl_err *err)
{
    DIR *folder = vault_backup_folder_entries(directory);
    const struct dirent *entry = NULL;
    struct vault_backup_manifest manifest;
    enum kl_status status = KL_OK;
    struct kl_id id;
    size_t i;

    if (folder == NULL) {
        return kl_fail(err, KL_ERR_IO, "backup_io", "the backup directory cannot be read", "%m");
    }
    while (status == KL_OK && (entry = readdir(folder)) != NULL) {
        if (kl_id_parse(VAULT_BACKUP_PREFIX, entry->d_name, &id, NULL) != KL_OK) {
            continue;
        }
        vault_backup_manifest_init(&manifest);
        status = vault_backup_manifest_read(NULL, directory, &id, &manifest, err);
        for (i = 0; status == KL_OK && i < manifest.files.count; i++) {
            if (manifest.files.items[i].shared) {
                status = vault_backup_files_add(needed, &manifest.files.items[i], err);
            }
        }
        vault_backup_manifest_done(&manifest);
    }
    (void)closedir(folder);
    return status;
}

uint64_t vault_backup_purge(struct vault *vault, int directory, uint32_t keep)
{
    struct vault_backup_files needed = {0};
    struct kl_err err = {0};
    uint64_t removed = 0;
    enum kl_status status = KL_OK;

    if (keep > 0) {
        status = remove_old(vault, directory, keep, &removed, &err);
    }
    if (status == KL_OK) {
        status = needed_of(directory, &needed, &err);
    }
    if (status == KL_OK) {
        status = vault_backup_collect(directory, &needed, &err);
    }
    if (status != KL_OK) {
        kl_log_err(KL_LOG_WARNING, "backups_not_purged", &err);
    }
    vault_backup_files_done(&needed);
    return removed;
}
