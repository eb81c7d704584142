/*
 * The root file, a place of the root key: two slots of 4 KiB, overwritten in
 * place, never renamed. Generation g lies in slot g mod 2; at rest one slot
 * holds the root key in use and the other a staged one that was never used.
 * The layout is in format.h.
 *
 * Threads: one at a time, as root_place.h says.
 */
#ifndef KLUIS_KMS_ROOT_FILE_H
#define KLUIS_KMS_ROOT_FILE_H

#include "kluis/kms/custodian.h"
#include "kms/finality.h"
#include "kms/root_form.h"
#include "kms/root_place.h"

#include <limits.h>

/* "file:PATH" or "passphrase:PATH", taken apart and looked at. path points into options. */
struct kms_custodian {
    enum kms_root_kind kind;
    const char *path;
};
/* KL_ERR_INVALID "custodian_invalid", "passphrase_length", "root_file_in_data". */
KL_MUST_USE enum kl_status kms_custodian_parse(const struct kms_custodian_options *options,
                                               struct kms_custodian *ret_custodian,
                                               struct kl_err *err);

/* The folder of path, resolved; the last part of path need not exist. False when there is no such folder. */
bool kms_path_folder(const char *path, char ret_folder[PATH_MAX]);
/* Whether a path, which need not exist, or what it leads to, lies in a folder or is it. False when there is no such folder. */
bool kms_path_inside(const char *path, const char *folder);

/*
 * A root file that was not there: mode 0600, full of noise, its blocks placed. As kms_root_place_make(); with a form the passphrase is not
 * needed: form is copied. folder: AT_FDCWD, or an open one in which path is a name (root_at.h).
 */
KL_MUST_USE enum kl_status kms_root_file_make(const struct kms_custodian_options *options,
                                              const struct kms_custodian *custodian,
                                              const unsigned char store_id[KMS_STORE_ID_BYTES],
                                              struct kms_root_place **ret_place,
                                              struct kl_err *err);
KL_MUST_USE enum kl_status kms_root_file_make_like(int folder, const char *path, bool accept_f0,
                                                   const struct kms_root_form *form,
                                                   const unsigned char store_id[KMS_STORE_ID_BYTES],
                                                   struct kms_root_place **ret_place,
                                                   struct kl_err *err);
/*
 * One that is there, locked. The first load finds out whether the passphrase is right; opened with a form, a slot of another one is
 * KL_ERR_UNAUTHORISED. Errors as kms_root_place_open(); KL_ERR_BUSY "root_file_locked" another process has it; KL_ERR_REFUSED
 * "root_file_foreign" a link, and, opened with a form, what has another name too or another size.
 */
KL_MUST_USE enum kl_status kms_root_file_open(const struct kms_custodian_options *options,
                                              const struct kms_custodian *custodian,
                                              const unsigned char store_id[KMS_STORE_ID_BYTES],
                                              struct kms_root_place **ret_place,
                                              struct kl_err *err);
KL_MUST_USE enum kl_status kms_root_file_open_like(int folder, const char *path, bool accept_f0,
                                                   const struct kms_root_form *form,
                                                   const unsigned char store_id[KMS_STORE_ID_BYTES],
                                                   struct kms_root_place **ret_place,
                                                   struct kl_err *err);

/*
 * One that may have been left there, to be wiped: of that store, or not yet filled with more than noise. Nothing is written to it before
 * kms_root_place_wipe(). KL_ERR_NOT_FOUND "root_file_missing"; KL_ERR_REFUSED "root_file_foreign" it is a link, has another name too, is larger, is
 * another store's root file, or begins as none and is not as one is made (this user's, mode 0600); KL_ERR_BUSY "root_file_locked"; KL_ERR_IO, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status kms_root_file_open_left(int folder, const char *path,
                                                   const unsigned char store_id[KMS_STORE_ID_BYTES],
                                                   struct kms_root_place **ret_place,
                                                   struct kl_err *err);

/* Whether that place is a root file; the calls below are for those. */
bool kms_root_place_is_file(const struct kms_root_place *place);
/* How slots are written; valid until the place ends or its form is swapped. */
const struct kms_root_form *kms_root_file_form(const struct kms_root_place *place);
/* Slots are written in that form from now on; *form becomes the one before. */
void kms_root_file_form_swap(struct kms_root_place *place, struct kms_root_form *form);
/* The generations of the two slots, 0 where a slot is damaged or of another store. KL_ERR_IO, KL_ERR_CORRUPT "root_file_corrupt". */
KL_MUST_USE enum kl_status kms_root_file_generations(struct kms_root_place *place,
                                                     uint64_t ret_generations[2],
                                                     struct kl_err *err);
/*
 * Whether a slot begins as one of that store does, whole or torn: a root key that may lie in it lies in the same sector. False of what is
 * no root file. KL_ERR_IO.
 */
KL_MUST_USE enum kl_status kms_root_file_is_ours(struct kms_root_place *place, bool *ret_ours,
                                                 struct kl_err *err);
/* Whether path is the same file, and no link to it. */
bool kms_root_file_is_at(const struct kms_root_place *place, const char *path);

#endif
