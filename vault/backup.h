/*
 * What the files about backups and restores share: a backup directory and
 * the signed manifest of a backup.
 *
 *   DIR/kluis-backup.json    {"format":1,"store_id":"<32 hex>","country":"IE","made_at":"..."}: whose it is, and where it lies
 *   DIR/shared/, DIR/bak_…/  see store/backup.h
 *   DIR/bak_…/manifest.json  two lines: the manifest, and its signature
 *
 * The manifest is signed (Ed25519, signing key of the vault's own tenant (signing.h) under the label "backup-manifest"): the
 * BLAKE2b-512 (RFC 7693) of "kluis-backup-manifest-v1", a line feed, and the first line without its own. Whoever can write to the directory can take backups away, but not make one, nor change
 * one, nor give one store's for another's.
 *
 * Threads: any; nothing is shared.
 */
#ifndef VAULT_BACKUP_H
#define VAULT_BACKUP_H

#include "kluis/base/buf.h"
#include "kluis/base/id.h"
#include "kluis/base/status.h"
#include "kluis/kms/kms.h"
#include "kluis/vault/backup.h"
#include "vault/stamp.h"
#include "vault/store/backup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vault;

#define VAULT_BACKUP_FORMAT 1
#define VAULT_BACKUP_FILE "kluis-backup.json"
#define VAULT_BACKUP_MANIFEST_FILE "manifest.json"
#define VAULT_BACKUP_MANIFEST_LABEL "backup-manifest"
#define VAULT_BACKUP_MANIFEST_MAX_BYTES ((size_t)96 * 1024 * 1024)
#define VAULT_BACKUPS_MAX 4096 /* in one directory */

/*
 * Row 'M' "verified": values overwritten before this time (u64, microseconds) have their successor in a backup that was verified. The start of that
 * backup less a margin, as a request carries the time of its coming and may be written later.
 * Row 'M' "verified" id16: when that backup was verified (u64).
 */
#define VAULT_META_VERIFIED "verified"
#define VAULT_BACKUP_MARGIN_US (INT64_C(120) * 1000000)

/*
 * taken_us    the moment before the copy of the store was made: all that was acknowledged before is in it.
 * generation  of the keys then; prepared, noted as data/ had them.
 * stamp       of the store, so that a data directory can be made anew.
 * heads       a JSON array of the signed heads of all audit trails: [{"tenant","size","root_hash","at","public_key","signature"}].
 */
struct vault_backup_manifest {
    struct kl_id id;
    struct vault_stamp stamp;
    struct vault_country country; /* of the directory */
    int64_t taken_us;
    uint64_t generation;
    uint64_t prepared;
    uint64_t noted;
    struct kl_buf heads;
    struct vault_backup_files files;
};
void vault_backup_manifest_init(struct vault_backup_manifest *manifest);
void vault_backup_manifest_done(struct vault_backup_manifest *manifest);

/* Both lines, appended to ret. KL_ERR_TOO_LARGE, KL_ERR_NO_MEMORY; as kms_sign(). */
KL_MUST_USE enum kl_status vault_backup_manifest_write(struct kms *keys,
                                                       const struct vault_backup_manifest *manifest,
                                                       struct kl_buf *ret, struct kl_err *err);
/*
 * Read DIR/<id>/manifest.json. keys NULL: the signature is not looked at (only to know what to keep). ret is made with init by the caller; it is done by
 * the caller also after a failure. KL_ERR_NOT_FOUND "no_backup"; KL_ERR_REFUSED "backup_signature": not signed by this vault; "backup_format"
 * a newer version made it; KL_ERR_CORRUPT "backup_damaged"; KL_ERR_IO.
 */
KL_MUST_USE enum kl_status vault_backup_manifest_read(struct kms *keys, int dir,
                                                      const struct kl_id *id,
                                                      struct vault_backup_manifest *ret,
                                                      struct kl_err *err);

/* The same from the text of that file. */
KL_MUST_USE enum kl_status vault_backup_manifest_parse(struct kms *keys, struct kl_slice text,
                                                       const struct kl_id *id,
                                                       struct vault_backup_manifest *ret,
                                                       struct kl_err *err);

/* ---- the directory: a path, then a descriptor (vault_backup_dir_open()) that is held as long as it is worked with ---- */

/* dir is absolute, short, of printable characters, and no part of outside_of nor the other way round. KL_ERR_INVALID "invalid_directory". */
KL_MUST_USE enum kl_status vault_backup_directory_valid(const char *dir, const char *outside_of,
                                                        struct kl_err *err);
/*
 * Whose directory it is, and where. KL_ERR_NOT_FOUND "backup_directory" it is none; KL_ERR_CORRUPT "backup_damaged", KL_ERR_REFUSED "backup_format",
 * KL_ERR_IO "backup_io".
 */
KL_MUST_USE enum kl_status vault_backup_directory_read(
    int dir, unsigned char ret_store_id[KMS_STORE_ID_BYTES], struct vault_country *ret_country,
    struct kl_err *err);
/* Open it for writing, made when it is missing; its parent is there. As vault_backup_dir_open(). */
KL_MUST_USE enum kl_status vault_backup_directory_make(const char *dir, int *ret_dir,
                                                       struct kl_err *err);
/*
 * That an open directory is none of those that hold keys, nor in one or around one: data/, keys/, the folder of the root file (that itself), mirrors.
 * By device and inode, which bind mounts and links do not change. KL_ERR_INVALID "invalid_directory".
 */
KL_MUST_USE enum kl_status vault_backup_directory_apart(struct vault *vault, int dir,
                                                        struct kl_err *err);
/*
 * Make sure that dir is one of this store in that country; an empty one becomes that. KL_ERR_CONFLICT "backup_directory_not_empty", "backup_other_store",
 * "backup_other_country"; KL_ERR_IO, KL_ERR_CORRUPT "backup_damaged".
 */
KL_MUST_USE enum kl_status vault_backup_directory_take(
    int dir, const unsigned char store_id[KMS_STORE_ID_BYTES], struct vault_country country,
    struct kl_err *err);
/*
 * The ids of all backups that are complete, with when they were taken, newest first; signatures are not looked at, and what cannot be read is passed over.
 * The array is the caller's (free). KL_ERR_TOO_LARGE "backups_too_many".
 */
struct vault_backup_entry {
    struct kl_id id;
    int64_t taken_us;
};
KL_MUST_USE enum kl_status vault_backup_directory_list(int dir, struct vault_backup_entry **ret,
                                                       size_t *ret_count, struct kl_err *err);

/* ---- jobs (backup_job.c, backup_verify.c) ---- */

struct vault_job_type;
extern const struct vault_job_type vault_backup_job;
extern const struct vault_job_type vault_verify_job;
/* What the jobs under way hold in memory; for vault_close(). */
void vault_backup_run_free(struct vault *vault);
void vault_verify_run_free(struct vault *vault);

/* When a backup was verified; 0: not, or not known. */
int64_t vault_backup_verified_at(struct vault *vault, const struct kl_id *backup);
/* The directory of a backup that is done, from its job. KL_ERR_NOT_FOUND "not_found", KL_ERR_CONFLICT "backup_not_done". */
KL_MUST_USE enum kl_status vault_backup_directory_of(struct vault *vault,
                                                     const struct kl_id *backup,
                                                     char ret[VAULT_BACKUP_DIRECTORY_MAX_BYTES + 1],
                                                     struct kl_err *err);

#endif
