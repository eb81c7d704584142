/*
 * What is done once in each night, at the time that upkeep was started with: when it was last, in a row 'M' of its own.
 *
 * Threads: the upkeep's alone, but for vault_night_last().
 */
#ifndef VAULT_NIGHT_H
#define VAULT_NIGHT_H

#include "vault/vault_internal.h"

#include <stdbool.h>
#include <stdint.h>

/* The last moment at or before now_us that is that second of a day, UTC. */
int64_t vault_night_last(int32_t at_s, int64_t now_us);
/* Whether a night has begun since it was last done; before the first time, since the vault was made. name: of the row. KL_ERR_IO, KL_ERR_CORRUPT. */
KL_MUST_USE enum kl_status vault_night_is_due(struct vault *vault, const char *name, int64_t now_us,
                                              bool *ret, struct kl_err *err);
/* It was begun now. Errors as of vault_commit_submit(). */
KL_MUST_USE enum kl_status vault_night_write(struct vault *vault, const char *name, int64_t now_us,
                                             struct kl_err *err);

#endif
