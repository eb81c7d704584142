/* A folder that opens like the store of a backup, without a copy of its tables. */
#include "vault/store/backup_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static enum kl_status copy_small(int from, int to, const char *name, struct kl_err *err)
{
    unsigned char chunk[65536];
    enum kl_status status = KL_OK;
    int in = openat(from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    ssize_t got = 0;

    if (in < 0 || out < 0) {
        status = vault_backup_fail_errno(err, "open", name);
    }
    while (status == KL_OK && (got = read(in, chunk, sizeof chunk)) != 0) {
        if (got < 0 || write(out, chunk, (size_t)got) != got) {
            status = vault_backup_fail_errno(err, "copy", name);
        }
    }
    vault_backup_dir_close(in);
    vault_backup_dir_close(out);
    return status;
}

/* By the descriptor, not by the directory's path: what that leads to may have changed since its files were compared. */
static enum kl_status link_table(int shared, int to, const struct vault_backup_file *file,
                                 struct kl_err *err)
{
    char name[VAULT_BACKUP_SHARED_NAME_BYTES];
    char target[sizeof name + 64];

    vault_backup_shared_name(file, name);
    (void)snprintf(target, sizeof target, "/proc/self/fd/%d/%s", shared, name);
    return symlinkat(target, to, file->name) == 0
               ? KL_OK
               : vault_backup_fail_errno(err, "make a link", file->name);
}

enum kl_status vault_backup_link(int dir, const char *name, const struct vault_backup_files *files,
                                 const char *to, int *ret_shared, struct kl_err *err)
{
    int shared = -1;
    int inside = -1;
    int folder = -1;
    enum kl_status status = vault_backup_folder_remove(to, err);
    size_t i;

    if (status == KL_OK) {
        status = vault_backup_folder_make(AT_FDCWD, to, &folder, err);
    }
    if (status == KL_OK) {
        status = vault_backup_folder_open(dir, BACKUP_SHARED_DIR, true, &shared, err);
    }
    if (status == KL_OK) {
        status = vault_backup_folder_open(dir, name, true, &inside, err);
    }
    for (i = 0; status == KL_OK && i < files->count; i++) {
        const struct vault_backup_file *file = &files->items[i];

        status = file->shared ? link_table(shared, folder, file, err)
                              : copy_small(inside, folder, file->name, err);
    }
    vault_backup_dir_close(inside);
    vault_backup_dir_close(folder);
    if (status != KL_OK) {
        vault_backup_dir_close(shared);
        return status;
    }
    *ret_shared = shared;
    return KL_OK;
}
