/*
 * Backups: copies of data/, ciphertext alone, in directories whose country is declared. Keys are never in them, so any backup opens with
 * today's keys, and nobody who was erased since comes back with it.
 *
 * A directory belongs to one store (kluis-backup.json), and holds any number of backups that share what is the same in them. Each has a
 * manifest, signed with the vault's own key, that names every file with its hash.
 *
 * Making and verifying are jobs: asked for here, done by the vault's upkeep. Operators; each is in the vault's audit trail.
 *
 * Errors of every call, besides those named there: as in admin.h. Threads: any number in every call.
 */
#ifndef KLUIS_VAULT_BACKUP_H
#define KLUIS_VAULT_BACKUP_H

#include "kluis/base/buf.h"
#include "kluis/base/id.h"
#include "kluis/base/status.h"
#include "kluis/vault/subject.h"
#include "kluis/vault/vault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_BACKUP_PREFIX "bak"       /* ids of backups, and of the jobs that make them */
#define VAULT_VERIFICATION_PREFIX "ver" /* ids of the jobs that verify one */
#define VAULT_BACKUP_DIRECTORY_MAX_BYTES 1024
#define VAULT_BACKUP_KEEP_MAX 1000
#define VAULT_BACKUP_RATE_MAX 100000 /* MiB per second */

/*
 * directory    absolute, outside of the data directory; missing (its parent is there), empty, or one of this very store.
 * country      where it lies, "IE" or "aws:eu-west-1"; declared once for a directory.
 * keep         how many backups are to stay in the directory, this one included (1..VAULT_BACKUP_KEEP_MAX); 0: all. The newest that was
 *              verified stays in any case.
 * rate_mib_s   MiB per second at most; 0: as fast as the disks are.
 */
struct vault_backup_input {
    const char *directory;
    const char *country;
    uint32_t keep;
    uint32_t rate_mib_s;
};
/*
 * Ask for a backup. ret: the job as JSON {"id":"bak_…","state","started_at","ended_at","progress","directory","country","verified_at"} and, when it
 * is done, {"taken_at","size","written","files","generation"}.
 * KL_ERR_INVALID "invalid_directory", "invalid_country", "unknown_region", "invalid_keep", "invalid_rate"; KL_ERR_FORBIDDEN "residency";
 * KL_ERR_CONFLICT "backup_directory_not_empty", "backup_other_store", "backup_other_country"; KL_ERR_IO "backup_io", "backup_disk_full";
 * those of vault_job_start(): KL_ERR_BUSY "jobs_waiting", and of idempotency.
 */
KL_MUST_USE enum kl_status vault_backup_create(struct vault *vault,
                                               const struct vault_caller *caller,
                                               const struct vault_backup_input *input,
                                               const struct vault_idempotency *idempotency,
                                               struct kl_buf *ret, bool *ret_replayed,
                                               struct kl_err *err);
/* The newest (at most 100) as a JSON array of what vault_backup_create() gives. */
KL_MUST_USE enum kl_status vault_backup_list(struct vault *vault, const struct vault_caller *caller,
                                             struct kl_buf *ret, struct kl_err *err);
/* One of them. KL_ERR_NOT_FOUND "not_found". */
KL_MUST_USE enum kl_status vault_backup_show(struct vault *vault, const struct vault_caller *caller,
                                             const struct kl_id *backup, struct kl_buf *ret,
                                             struct kl_err *err);
/*
 * Ask for a proof that a backup can be read: every file's hash, and every head, manifest and value opened with today's keys, without touching what is
 * in use. ret: the job as JSON {"id":"ver_…",…,"backup"} and {"opened","erased","unknown","damaged","values"} when it is done. It fails
 * with "backup_damaged" when anything is damaged or of unknown keys.
 * directory: where it lies, for one that this vault does not know because it was taken after what was put back; NULL: where it was made.
 * KL_ERR_NOT_FOUND "not_found"; KL_ERR_CONFLICT "backup_not_done"; KL_ERR_INVALID "invalid_directory".
 */
KL_MUST_USE enum kl_status vault_backup_verify(struct vault *vault,
                                               const struct vault_caller *caller,
                                               const struct kl_id *backup, const char *directory,
                                               const struct vault_idempotency *idempotency,
                                               struct kl_buf *ret, bool *ret_replayed,
                                               struct kl_err *err);
/* The job of a verification. KL_ERR_NOT_FOUND "not_found". */
KL_MUST_USE enum kl_status vault_backup_verification(struct vault *vault,
                                                     const struct vault_caller *caller,
                                                     const struct kl_id *verification,
                                                     struct kl_buf *ret, struct kl_err *err);

#endif
