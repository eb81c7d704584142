/*
 * What the files about restores share.
 *
 *   DIR/data.restoring/   what is being put back
 *   DIR/restore.json      {"aside":"data.before-…"}: it is complete, and takes data/'s place
 *   DIR/data.before-…/    the data/ that was there
 *   DIR/keys.restoring/   keys that are being copied from a mirror
 *
 *   'M' "restored"        in data/, from the restore until the vault was opened: backup id 16, taken u64: it is older than the keys, whatever
 *                         its marks say
 *   "VR"                  beside the keys, while a restore is unfinished: format 1, backup id 16, when u64
 *   "VR" tenant8          the same: format 1, slots below this number (u64) may be ones that the backup does not know; of slots below this one (u64)
 *                         all that the backup does not know of their values has gone already (a finish that was cut short)
 */
#ifndef VAULT_RESTORE_H
#define VAULT_RESTORE_H

#include "kluis/base/status.h"
#include "kluis/kms/kms.h"
#include "kluis/vault/restore.h"
#include "vault/stamp.h"
#include "vault/store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct vault;

#define VAULT_META_RESTORED "restored"
#define VAULT_RESTORING_DIR "data.restoring"

/* At open, once keys/ is locked: a replacement of data/ that a crash cut short is done to its end. KL_ERR_IO, KL_ERR_CORRUPT "restore_damaged". */
KL_MUST_USE enum kl_status vault_restore_settle(const char *data_dir, struct kl_err *err);
/* Put DIR/data.restoring, complete and closed, in the place of data/. ret_aside: the path of what was there; empty: nothing. KL_ERR_IO. */
KL_MUST_USE enum kl_status vault_restore_swap(const char *data_dir,
                                              char ret_aside[VAULT_RESTORE_PATH_MAX_BYTES],
                                              struct kl_err *err);

/* Whether data/ was put back and not opened since; ret (may be NULL) says from which backup. */
struct vault_restored_from {
    struct kl_id backup;
    int64_t taken_us;
};
KL_MUST_USE enum kl_status vault_restored_mark(struct vault_store *data, bool *ret_restored,
                                               struct vault_restored_from *ret, struct kl_err *err);
KL_MUST_USE enum kl_status vault_restored_mark_put(struct vault_store *data,
                                                   const struct vault_restored_from *from,
                                                   struct kl_err *err);
KL_MUST_USE enum kl_status vault_restored_mark_remove(struct vault_store *data, struct kl_err *err);

/*
 * Keys and root file from a mirror (restore_keys.c): DIR, DIR/keys and the root file are made. Keys that are there already, of an attempt that
 * was cut short, stay.
 */
KL_MUST_USE enum kl_status vault_restore_keys_take(const struct vault_restore_options *options,
                                                   struct kl_err *err);

/*
 * Before data/ is replaced by one with these rows: every number in it, and every mark, is below what is given out from now on; and slots up to now are
 * remembered as ones that may be unknown. margin: added to the marks, where they may be behind what was given out.
 */
KL_MUST_USE enum kl_status vault_restore_marks(struct vault *vault, struct vault_store *rows,
                                               const struct vault_restored_from *from,
                                               uint64_t margin, struct kl_err *err);
/* Whether a restore is unfinished. */
KL_MUST_USE enum kl_status vault_restore_pending(struct kms *keys, bool *ret_pending,
                                                 struct kl_err *err);
/* Below which number slots of that tenant may be unknown; below 0: none are. KL_ERR_CORRUPT "mark_damaged". */
struct vault_restore_mark {
    uint64_t below;
    uint64_t values_done;
};
KL_MUST_USE enum kl_status vault_restore_mark_read(struct kms *keys, uint64_t tenant,
                                                   struct vault_restore_mark *ret,
                                                   struct kl_err *err);
KL_MUST_USE enum kl_status vault_restore_mark_write(struct kms *keys, uint64_t tenant,
                                                    const struct vault_restore_mark *mark,
                                                    bool sync, struct kl_err *err);
/*
 * Of the known subjects of a tenant below the mark, what the backup does not know of their values (subject_unknown.h): *count goes up by the
 * subjects that have such; shred: it goes, some subjects in each key commit, and the mark says how far it is. Nobody else changes them. What kms_commit()
 * returns, KL_ERR_IO, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_restore_values(struct vault *vault, uint64_t tenant,
                                                const struct vault_restore_mark *mark, bool shred,
                                                uint64_t *count, struct kl_err *err);
/* No restore is unfinished any more. tenants: one more than the highest tenant's number. */
KL_MUST_USE enum kl_status vault_restore_marks_remove(struct kms *keys, uint64_t tenants,
                                                      struct kl_err *err);
/* Count what was set aside, of an open vault; shred it too. ret_pending: a restore is unfinished. */
KL_MUST_USE enum kl_status vault_restore_unknown(struct vault *vault, bool shred, bool *ret_pending,
                                                 struct vault_restore_aside *ret,
                                                 struct kl_err *err);

#endif
