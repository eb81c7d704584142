/* The parts of a vault, opened or made; what vault_open, vault_init and vault_doctor share. */
#ifndef VAULT_OPEN_H
#define VAULT_OPEN_H

#include "kluis/base/status.h"
#include "kluis/vault/vault.h"
#include "vault/stamp.h"
#include "vault/vault_internal.h"

#include <stdbool.h>

#define VAULT_KEYS_DIR "keys"
#define VAULT_DATA_DIR "data"

/* An empty one; of options it takes which store it is. NULL when out of memory. Ends with vault_close(). */
struct vault *vault_new(const struct vault_options *options);

/* What kms is asked for; the texts are options'. */
struct kms_custodian_options vault_custodian_options(const struct vault_options *options);

/*
 * Check what every call needs: data_dir and custodian are there and not too long. KL_ERR_INVALID "invalid_options".
 */
KL_MUST_USE enum kl_status vault_options_check(const struct vault_options *options,
                                               struct kl_err *err);

/*
 * keys/ and the keys in it: opened, or made first (create). KL_ERR_NOT_FOUND, KL_ERR_EXISTS, KL_ERR_BUSY and what kms_create and kms_open
 * return. Whatever was opened when it fails is closed by vault_close().
 */
KL_MUST_USE enum kl_status vault_keys_open(struct vault *vault, const struct vault_options *options,
                                           bool create, struct kl_err *err);
/* data/ with index, trails and committer, and the empty cache of credentials. */
KL_MUST_USE enum kl_status vault_data_open(struct vault *vault, const struct vault_options *options,
                                           bool create, struct kl_err *err);
/* The parts are of one vault: the stamp, the key store, the row in data/. KL_ERR_REFUSED "keys_other_store", "data_other_store". */
KL_MUST_USE enum kl_status vault_parts_check(struct vault *vault, const struct vault_stamp *stamp,
                                             struct kl_err *err);
/* The configured country against the stamp's. country NULL: whatever it says. KL_ERR_REFUSED "country_mismatch", KL_ERR_INVALID. */
KL_MUST_USE enum kl_status vault_country_check(const struct vault_stamp *stamp, const char *country,
                                               struct kl_err *err);

#endif
