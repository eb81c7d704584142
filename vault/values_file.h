/* Files in a rotation of values (values.h): read through before it, and written anew under the keys to come. */
#ifndef VAULT_VALUES_FILE_H
#define VAULT_VALUES_FILE_H

#include "vault/values.h"

/*
 * Open every chunk, so that one which does not open leaves out its subject and no others. Counts its bytes into values.
 * KL_ERR_CORRUPT "file_damaged"; KL_ERR_IO, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_values_file_check(struct vault_values *values, uint64_t slot,
                                                   uint64_t value, struct kl_err *err);
/*
 * A file beside the one there is, complete and synced, and its row beside in batch. What comes to nothing vault_files_task removes.
 * KL_ERR_UNAVAILABLE "vault_disk_full"; as vault_values_stage().
 */
KL_MUST_USE enum kl_status vault_values_file_stage(const struct vault_values *values,
                                                   struct kms_staged *staged, uint64_t slot,
                                                   uint64_t value, struct vault_batch *batch,
                                                   struct kl_err *err);

#endif
