/* What the two files about waiting share: the rows. */
#ifndef VAULT_WAITING_INTERNAL_H
#define VAULT_WAITING_INTERNAL_H

#include "vault/waiting.h"

#define VAULT_WAITING_FORMAT 1
#define VAULT_COHORT_ROW "VC"
#define VAULT_GIVEN_ROW "VG"
#define VAULT_COHORT_KEY_BYTES (2 + 8 + 8)
#define VAULT_GIVEN_KEY_BYTES (VAULT_COHORT_KEY_BYTES + KL_ID_BYTES)
#define VAULT_COHORT_ROW_BYTES (1 + 8 + 1)

/* KL_ERR_CORRUPT "statistic_damaged". */
enum kl_status vault_waiting_damaged(struct kl_err *err);
/* Write the row of a cohort. What kms_side_apply() returns. */
KL_MUST_USE enum kl_status vault_waiting_cohort_put(struct vault *vault, uint64_t tenant,
                                                    uint64_t cohort, int64_t since_us, bool closed,
                                                    bool sync, struct kl_err *err);
/* Seal and write what somebody gives, not counting yet; not synced. What kms_seal() and kms_side_apply() return. */
KL_MUST_USE enum kl_status vault_waiting_given_put(struct vault *vault,
                                                   const struct vault_waiting_ticket *ticket,
                                                   const struct vault_given *given,
                                                   struct kl_id *ret_row, struct kl_err *err);

#endif
