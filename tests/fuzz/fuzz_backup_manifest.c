/* The manifest of a backup, from a directory that somebody else can write to: read without its signature, as before it is known whose it is. */
#include "vault/backup.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vault_backup_manifest manifest;
    struct kl_id id = {{0}};
    size_t i;

    vault_backup_manifest_init(&manifest);
    if (vault_backup_manifest_parse(NULL, kl_slice_of(data, size), &id, &manifest, NULL) == KL_OK) {
        for (i = 0; i < manifest.files.count; i++) {
            assert(vault_backup_file_name_valid(manifest.files.items[i].name));
        }
        assert(manifest.files.count <= VAULT_BACKUP_FILES_MAX);
        assert(vault_country_is_set(manifest.country));
    }
    vault_backup_manifest_done(&manifest);
    return 0;
}
