/*
 * A token as the place of a root key (root_place.h): the root key of a
 * generation lies, wrapped, in a row of the key store, and the key that
 * opens it on the token. Destroying the token's key destroys the root key,
 * whoever kept the row.
 *
 * The staged root key is in no row at all until the commit that uses it.
 */
#ifndef KLUIS_KMS_TOKEN_PLACE_H
#define KLUIS_KMS_TOKEN_PLACE_H

#include "kms/root_place.h"

/*
 * As kms_root_place_make() and kms_root_place_open(), for a custodian "pkcs11:..."; options->passphrase is the PIN, or NULL when
 * pin-source names its file. storage is read when a key is loaded or the place wiped; a wipe leaves a token alone that opens the key
 * store as it is. Errors as kms_token_open(); make: KL_ERR_EXISTS "token_key_exists" the token holds keys of this store.
 */
KL_MUST_USE enum kl_status kms_token_place_make(const struct kms_custodian_options *options,
                                                const unsigned char store_id[KMS_STORE_ID_BYTES],
                                                const struct kms_storage *storage,
                                                struct kms_root_place **ret_place,
                                                struct kl_err *err);
KL_MUST_USE enum kl_status kms_token_place_open(const struct kms_custodian_options *options,
                                                const unsigned char store_id[KMS_STORE_ID_BYTES],
                                                const struct kms_storage *storage,
                                                struct kms_root_place **ret_place,
                                                struct kl_err *err);

#endif
