/*
 * Rotation of level "values": the answer to a leak of keys. Everything that a
 * tenant stores about people is sealed anew under fresh keys, subject by
 * subject (values.h), while everybody goes on working; then the index is
 * built anew, and the keys of the old one are shredded. Whoever has all keys
 * of before opens nothing that is stored after it; and no backup of before
 * opens with the keys of after it.
 *
 * What stays: the tenant's own slots (signatures, keyed hashes of pseudonyms that were given out, the journal's), which open nothing about a
 * person by themselves; and records that an erasure kept.
 */
#ifndef VAULT_ROTATION_VALUES_H
#define VAULT_ROTATION_VALUES_H

#include "vault/job.h"

#include <stdbool.h>
#include <stdint.h>

/* A verified backup that is this young is enough. */
#define VAULT_VALUES_BACKUP_AGE_US (INT64_C(86400) * 1000000)

/* Whether it may start. KL_ERR_CONFLICT "backup_needed": no backup of the last day was verified, and it was not said that none is wanted. */
KL_MUST_USE enum kl_status vault_rotation_values_check(struct vault *vault, bool without_backup,
                                                       int64_t now_us, struct kl_err *err);
/*
 * A step of such a job (see struct vault_job_type). job->tenant: whose values; KMS_TENANT_VAULT: all tenants', one after the other. cursor is this
 * function's. result: {"subjects": sealed anew, "left": of whom something does not open, "older_backups_open": false}.
 * KL_ERR_BUSY "subject_busy" somebody is being erased: again later. KL_ERR_CORRUPT "job_damaged" the cursor.
 */
KL_MUST_USE enum kl_status vault_rotation_values_step(struct vault *vault, struct vault_job *job,
                                                      bool *ret_done, struct kl_err *err);

#endif
