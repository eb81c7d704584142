/*
 * Rows beside the keys (kms_side_apply()), a range of them at a time. Threads: any.
 */
#ifndef VAULT_SIDE_H
#define VAULT_SIDE_H

#include "vault/vault_internal.h"

/* Forget all rows that start with prefix; not synced. KL_ERR_NO_MEMORY, and what kms_side_range() and kms_side_apply() return. */
KL_MUST_USE enum kl_status vault_side_forget(struct vault *vault, struct kl_slice prefix,
                                             struct kl_err *err);

#endif
