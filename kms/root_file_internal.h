/* What root_file.c (a root file as a place of the root key) and root_left.c (one that was left) share. Threads: as root_file.h. */
#ifndef KLUIS_KMS_ROOT_FILE_INTERNAL_H
#define KLUIS_KMS_ROOT_FILE_INTERNAL_H

#include "kms/root_at.h"
#include "kms/root_file.h"

struct root_file {
    struct kms_root_place place; /* first */
    struct kms_root_at at;
    int fd;
    unsigned char store_id[KMS_STORE_ID_BYTES];
    struct kms_root_form form;
    bool form_given;
    struct kl_secret *passphrase; /* until the first load; NULL: none, or used */
};

struct root_file *kms_root_file_of(const struct kms_root_place *place);
/* Not open yet; folder and path as kms_root_at_init(). NULL: no memory. */
struct root_file *kms_root_file_new(int folder, const char *path, enum kms_root_kind kind,
                                    bool accept_f0,
                                    const unsigned char store_id[KMS_STORE_ID_BYTES]);
void kms_root_file_close(struct kms_root_place *place);
/* Open it, never through a link. KL_ERR_NOT_FOUND "root_file_missing", KL_ERR_REFUSED "root_file_foreign", KL_ERR_IO "root_file_io". */
KL_MUST_USE enum kl_status kms_root_file_find(struct root_file *file, struct kl_err *err);
/* KL_ERR_BUSY "root_file_locked", KL_ERR_IO "root_file_io". */
KL_MUST_USE enum kl_status kms_root_file_lock(int fd, struct kl_err *err);
enum kl_status kms_root_file_fail_io(struct kl_err *err, const char *what);
enum kl_status kms_root_file_fail_memory(struct kl_err *err);
enum kl_status kms_root_file_fail_foreign(struct kl_err *err);

#endif
