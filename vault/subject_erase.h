/* What record.c asks of the erasing files. */
#ifndef VAULT_SUBJECT_ERASE_H
#define VAULT_SUBJECT_ERASE_H

#include "vault/subject_internal.h"

/* The code of KL_ERR_TOO_LARGE when a record's past is full. */
#define VAULT_PAST_FULL "past_full"

/* Shred the values that a record held before, ahead of the sweep. Asks no gate. KL_ERR_NOT_FOUND "not_found". */
KL_MUST_USE enum kl_status vault_record_past_shred(struct vault *vault,
                                                   const struct vault_caller *caller,
                                                   const struct kl_id *subject,
                                                   const struct kl_id *record, struct kl_err *err);

#endif
