/* What was asked of a job about backups, as its params say. Threads: any. */
#ifndef VAULT_BACKUP_PARAMS_H
#define VAULT_BACKUP_PARAMS_H

#include "kluis/base/buf.h"
#include "kluis/base/id.h"
#include "kluis/base/status.h"
#include "kluis/vault/backup.h"
#include "kluis/vault/residency.h"

#include <stdint.h>

/* backup: of a verification. country, keep and rate_mib_s: of a backup. */
struct vault_backup_params {
    char directory[VAULT_BACKUP_DIRECTORY_MAX_BYTES + 1];
    struct vault_country country;
    uint32_t keep;
    uint32_t rate_mib_s;
    struct kl_id backup;
    bool is_verification;
};
KL_MUST_USE enum kl_status vault_backup_params_write(const struct vault_backup_params *params,
                                                     struct kl_buf *ret, struct kl_err *err);
/* KL_ERR_CORRUPT "job_damaged". */
KL_MUST_USE enum kl_status vault_backup_params_read(struct kl_slice text,
                                                    struct vault_backup_params *ret,
                                                    struct kl_err *err);

#endif
