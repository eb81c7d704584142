/*
 * Rotations of keys, by level:
 *
 *   root    the root key alone: one key commit, done while the caller waits (rotation_root.c)
 *   tenant  every page of a tenant gets a fresh page key (rotation_pages.c)
 *   all     every page of the store, and no seed stays above a subject (rotation_pages.c)
 *   values  answers a leak: the data itself is sealed anew
 *   audit   the key that signs the heads of a trail, and receipts (rotation_audit.c)
 *
 * All but root are jobs (job.h): steps of a bounded size on the upkeep's thread, each a key commit or a few rows, so that reads, writes
 * and erasures go on between them.
 *
 * Why "the old key is out of use" can be relied on. A page key lies in the page above it and in memory, nowhere else. Rows of pages never move:
 * a page that was there when the rotation began is passed by the cursor, which goes through all rows in their order, unless a
 * commit in between wrote it anew or removed it, and whoever writes a page gives it a fresh key. So when the cursor is at the end
 * every page of the level lies under a key that was made after the beginning. Each of those commits, and one more if there was
 * none, has overwritten the root key before it, in the first place and in every mirror: a job ends only when all are in step. The pages as
 * they were, in old files and backups, hang under root keys that exist no more.
 */
#ifndef VAULT_ROTATION_H
#define VAULT_ROTATION_H

#include "vault/idempotency.h"
#include "vault/job.h"

#include <stdbool.h>
#include <stdint.h>

/* What was asked for; kept as the params of the job. */
struct vault_rotation {
    const struct vault_rotation_level *level;
    uint32_t pages_per_second; /* 0: as fast as it goes */
    bool
        without_backup; /* of level values: it may start although no backup is left that opens after it */
};

/*
 * How a level goes on: as step of struct vault_job_type. cursor and result are the level's own; when it is done result must hold from_generation,
 * to_generation and old_key_out_of_use. show adds members while the job is not done; NULL: none.
 */
struct vault_rotation_level {
    const char *name;
    bool of_tenant; /* needs a tenant; else the whole store */
    bool of_trail;  /* a tenant's, or without one the vault's own */
    enum kl_status (*step)(struct vault *vault, struct vault_job *job,
                           const struct vault_rotation *rotation, bool *ret_done,
                           struct kl_err *err);
    void (*show)(const struct vault_job *job, struct kl_json_out *out);
};
/* NULL: no such level, or root, which is no job. */
const struct vault_rotation_level *vault_rotation_level(const char *name);

extern const struct vault_job_type vault_rotation_job;

/* ---- rotation_pages.c ---- */

/* Pages and seeds that one key commit writes anew at most, but for those above them. */
#define VAULT_ROTATION_PAGES 128
KL_MUST_USE enum kl_status vault_rotation_pages_step(struct vault *vault, struct vault_job *job,
                                                     const struct vault_rotation *rotation,
                                                     bool *ret_done, struct kl_err *err);
void vault_rotation_pages_show(const struct vault_job *job, struct kl_json_out *out);

/* ---- rotation_values.c ---- */

/* Whether it may start. KL_ERR_CONFLICT "backup_needed": no backup of the last day was verified. */
KL_MUST_USE enum kl_status vault_rotation_values_check(struct vault *vault, int64_t now_us,
                                                       struct kl_err *err);
KL_MUST_USE enum kl_status vault_rotation_values_step(struct vault *vault, struct vault_job *job,
                                                      const struct vault_rotation *rotation,
                                                      bool *ret_done, struct kl_err *err);
void vault_rotation_values_show(const struct vault_job *job, struct kl_json_out *out);

/* ---- rotation_audit.c ---- */

KL_MUST_USE enum kl_status vault_rotation_audit_step(struct vault *vault, struct vault_job *job,
                                                     const struct vault_rotation *rotation,
                                                     bool *ret_done, struct kl_err *err);
/* Destroy the key before the one in use, if that is left to be done. Errors of kms_commit() and vault_signing_state(). One at a time. */
KL_MUST_USE enum kl_status vault_rotation_audit_settle(struct vault *vault, uint64_t tenant,
                                                       struct kl_err *err);

/* ---- rotation_root.c ---- */

/* Rotate it, and keep and show the job. */
KL_MUST_USE enum kl_status vault_rotation_root(struct vault *vault,
                                               const struct vault_caller *caller,
                                               const struct vault_idempotency_ticket *ticket,
                                               struct kl_buf *ret, struct kl_err *err);
/* KL_ERR_NOT_FOUND "not_found". KL_ERR_CORRUPT "rotation_damaged". */
KL_MUST_USE enum kl_status vault_rotation_root_show(struct vault *vault, const struct kl_id *id,
                                                    struct kl_buf *ret, struct kl_err *err);
/* When it began; false: the row is none of a rotation of the root. */
bool vault_rotation_root_started(struct kl_slice row, int64_t *ret_started_us);

#endif
