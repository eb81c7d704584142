/* A root file that may have been left somewhere: whose it is, before anything is written to it. */
#include "kms/root_file_internal.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whose slots its two begin as: of that store, of another one. Of a file of another size: neither. */
static enum kl_status heads_read(const struct root_file *file, bool *ret_ours, bool *ret_others,
                                 struct kl_err *err)
{
    unsigned char head[KMS_ROOT_STORE_AT + KMS_STORE_ID_BYTES];
    struct stat facts;

    *ret_ours = false;
    *ret_others = false;
    if (fstat(file->fd, &facts) != 0) {
        return kms_root_file_fail_io(err, "read");
    }
    for (size_t i = 0; i < 2 && S_ISREG(facts.st_mode) && facts.st_size == KMS_ROOT_FILE_BYTES;
         i++) {
        ssize_t got = pread(file->fd, head, sizeof head, (off_t)(i * KMS_ROOT_SLOT_BYTES));
        bool same;

        if (got < 0) {
            return kms_root_file_fail_io(err, "read");
        }
        if (got != (ssize_t)sizeof head ||
            memcmp(head, KMS_ROOT_MAGIC, KMS_ROOT_MAGIC_BYTES) != 0) {
            continue;
        }
        same = memcmp(head + KMS_ROOT_STORE_AT, file->store_id, KMS_STORE_ID_BYTES) == 0;
        *ret_ours |= same;
        *ret_others |= !same;
    }
    return KL_OK;
}

enum kl_status kms_root_file_is_ours(struct kms_root_place *place, bool *ret_ours,
                                     struct kl_err *err)
{
    bool ours = false;
    bool others = false;
    enum kl_status status = heads_read(kms_root_file_of(place), &ours, &others, err);

    if (status == KL_OK) {
        *ret_ours = ours;
    }
    return status;
}

/* One that is not whole was never filled, or is full of noise: it is ours by its place, and by how it was made. */
static enum kl_status left_check(struct root_file *file, struct kl_err *err)
{
    bool whole = false;
    bool ours = false;
    bool others = false;
    enum kl_status status = KL_OK;

    if (!kms_root_at_is_plain(file->fd, &whole)) {
        return kms_root_file_fail_foreign(err);
    }
    status = kms_root_file_lock(file->fd, err);
    if (status == KL_OK) {
        status = heads_read(file, &ours, &others, err);
    }
    if (status != KL_OK || ours) {
        return status;
    }
    return others || !kms_root_at_is_as_made(file->fd) ? kms_root_file_fail_foreign(err) : KL_OK;
}

enum kl_status kms_root_file_open_left(int folder, const char *path,
                                       const unsigned char store_id[KMS_STORE_ID_BYTES],
                                       struct kms_root_place **ret_place, struct kl_err *err)
{
    struct root_file *file = kms_root_file_new(folder, path, KMS_ROOT_BARE, true, store_id);
    enum kl_status status;

    if (file == NULL) {
        return kms_root_file_fail_memory(err);
    }
    status = kms_root_file_find(file, err);
    if (status == KL_OK) {
        status = left_check(file, err);
    }
    if (status != KL_OK) {
        kms_root_file_close(&file->place);
        return status;
    }
    *ret_place = &file->place;
    return KL_OK;
}
