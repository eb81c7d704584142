/*
 * DIR/stamp.json: what a data directory is, written once by init, last of
 * all, so that a directory without it is no vault.
 *
 *   {"format":1,"store_id":"<32 hex>","country":"IE","place":"aws:eu-west-1","created_at":"...","software":"0.1.0"}
 */
#ifndef VAULT_STAMP_H
#define VAULT_STAMP_H

#include "kluis/base/status.h"
#include "kluis/kms/kms.h"
#include "kluis/vault/residency.h"

#include <stddef.h>
#include <stdint.h>

#define VAULT_STAMP_FILE "stamp.json"
#define VAULT_STAMP_BYTES_MAX 4096
#define VAULT_PLACE_MAX_BYTES 64
#define VAULT_PATH_MAX_BYTES 4096

/* place: what the operator said, a country or a cloud region; country is what follows from it. software: the version that made it. */
struct vault_stamp {
    unsigned char store_id[KMS_STORE_ID_BYTES];
    struct vault_country country;
    char place[VAULT_PLACE_MAX_BYTES + 1];
    int64_t created_us;
    char software[32];
};

/* ret has room for VAULT_PATH_MAX_BYTES: dir/name. KL_ERR_INVALID "path_too_long". */
KL_MUST_USE enum kl_status vault_path(const char *dir, const char *name,
                                      char ret[VAULT_PATH_MAX_BYTES], struct kl_err *err);
/* Write and sync it, mode 0600; a crash leaves none or a whole one. KL_ERR_EXISTS, KL_ERR_IO, KL_ERR_INVALID "path_too_long". */
KL_MUST_USE enum kl_status vault_stamp_write(const char *data_dir, const struct vault_stamp *stamp,
                                             struct kl_err *err);
/*
 * KL_ERR_NOT_FOUND "no_vault" there is none. KL_ERR_REFUSED "stamp_format" a newer version wrote it. KL_ERR_CORRUPT "stamp_damaged".
 * KL_ERR_IO, KL_ERR_INVALID "path_too_long".
 */
KL_MUST_USE enum kl_status vault_stamp_read(const char *data_dir, struct vault_stamp *ret_stamp,
                                            struct kl_err *err);

#endif
