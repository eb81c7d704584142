/*
 * How the slots of a root file are written: bare, or wrapped under a key that
 * Argon2id (RFC 9106) makes of a passphrase, with XChaCha20-Poly1305 bound to
 * the slot's header. Threads: any, each with forms and slots of its own.
 */
#ifndef KLUIS_KMS_ROOT_FORM_H
#define KLUIS_KMS_ROOT_FORM_H

#include "kluis/base/secret.h"
#include "kluis/base/status.h"
#include "kluis/kms/custodian.h"
#include "kms/root_slot.h"

#include <stddef.h>

/*
 * What the slots of a root file share: kind, salt and cost of the passphrase, and the key that wraps. A file holds slots of two forms while
 * its passphrase changes.
 */
struct kms_root_form {
    enum kms_root_kind kind;
    uint32_t passes;
    uint64_t memory_bytes;
    unsigned char salt[KMS_ROOT_SALT_BYTES];
    struct kl_secret *wrapping; /* NULL when bare */
};
/* The form of a slot, without the key that wraps. */
struct kms_root_form kms_root_form_of(const struct kms_root_slot *slot);

/* A fresh salt, and the key that Argon2id makes of it and the passphrase: takes its time. KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status kms_root_form_make(const struct kms_custodian_options *options,
                                              enum kms_root_kind kind,
                                              struct kms_root_form *ret_form, struct kl_err *err);
KL_MUST_USE enum kl_status kms_root_form_copy(const struct kms_root_form *form,
                                              struct kms_root_form *ret_form, struct kl_err *err);
/* Wipes; a zeroed struct is fine. */
void kms_root_form_done(struct kms_root_form *form);
/* The key that wraps, of kind, salt and cost that are there. KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status kms_root_form_derive(struct kms_root_form *form, const char *passphrase,
                                                size_t passphrase_bytes, struct kl_err *err);

/* A slot in that form; ret_slot is the caller's to wipe. */
void kms_root_slot_wrap(const struct kms_root_form *form,
                        const unsigned char store_id[KMS_STORE_ID_BYTES], uint64_t generation,
                        const unsigned char key[KMS_KEY_BYTES], struct kms_root_slot *ret_slot);
/* KL_ERR_UNAUTHORISED "wrong_passphrase": not in that form, or tampered with. */
KL_MUST_USE enum kl_status kms_root_slot_unwrap(const struct kms_root_form *form,
                                                const struct kms_root_slot *slot,
                                                unsigned char ret_key[KMS_KEY_BYTES],
                                                struct kl_err *err);

#endif
