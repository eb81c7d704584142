/*
 * A PKCS#11 token (OASIS PKCS#11 v2.40) that keeps one AES-256 key for each
 * generation of a store's root key, and wraps the root key under it. The key
 * is made on the token, is sensitive and cannot be taken out; destroying it
 * is what makes an old root key unreadable.
 *
 * The keys of a store carry the label "kluis STOREID" (hexadecimal) and the
 * generation (u64, big-endian) as CKA_ID, so that several stores can share
 * one token.
 *
 * Errors of every call: KL_ERR_IO "token_io" the token or its module failed,
 * KL_ERR_NO_MEMORY.
 *
 * Threads: one at a time; the leader of a commit owns it. Several tokens of
 * one module may be open in a process, each with a session of its own.
 */
#ifndef KLUIS_KMS_TOKEN_H
#define KLUIS_KMS_TOKEN_H

#include "kluis/kms/custodian.h"
#include "kluis/kms/kms.h"
#include "kms/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KMS_TOKEN_SCHEME "pkcs11:"
/* A PIN: one byte to this many (tokens have narrower rules of their own). */
#define KMS_TOKEN_PIN_MAX_BYTES 255

struct kms_token;

/* Whether a custodian's text means a token. NULL does not. */
bool kms_token_is_named(const char *custodian);

/* What a token says about itself, as zero-terminated text without its padding. */
struct kms_token_facts {
    char label[33];
    char manufacturer[33];
    char model[17];
    char module[33]; /* the maker of the module */
    bool hardware;   /* CKF_HW_SLOT */
};

/*
 * Whether a token with these facts keeps nothing of a destroyed key: the finality class with its reason and advice; kind and
 * file_system too. F2 for hardware that keeps its keys inside, F0 for software and for hardware that leaves wrapped keys on the host.
 */
void kms_token_judge(const struct kms_token_facts *facts, struct kms_custodian_report *ret_report);

/*
 * Whether a PIN may be tried on a token whose flags (CK_TOKEN_INFO) are these: never the last try before the token locks itself.
 * KL_ERR_REFUSED "token_pin_final_try", "token_pin_locked", "token_pin_unset".
 */
KL_MUST_USE enum kl_status kms_token_pin_may_be_tried(unsigned long flags, struct kl_err *err);

/*
 * Read a PKCS#11 URI (RFC 7512) without touching any token: token= or serial=, and module-path= in the query; pin-source=file:PATH
 * where the PIN is not handed in.
 * KL_ERR_INVALID "token_uri": not such a URI; a PIN in the URI itself (pin-value); an object; no module.
 */
KL_MUST_USE enum kl_status kms_token_uri_check(const char *uri, struct kl_err *err);

/*
 * A PIN from a file: its content without the end of the line. ret is made here, ended by the caller with kl_buf_done().
 * KL_ERR_NOT_FOUND "pin_file_missing"; KL_ERR_INVALID "pin_length", also of a file that cannot be read.
 */
KL_MUST_USE enum kl_status kms_token_pin_read(const char *path, struct kl_buf *ret,
                                              struct kl_err *err);

/*
 * Load the module, find the token, log in. The PIN is tried once, and not when it would be the last try.
 *
 * pin         NULL: the file that pin-source names, or the token's own keypad; read, not kept.
 *
 * KL_ERR_INVALID "token_uri", "pin_length", "pin_missing", "token_ambiguous" (several tokens match).
 * KL_ERR_NOT_FOUND "token_module_missing", "token_missing", "pin_file_missing". KL_ERR_UNAUTHORISED "wrong_pin".
 * KL_ERR_REFUSED as kms_token_pin_may_be_tried(); "token_unfit" it has no AES-GCM or is write-protected.
 */
KL_MUST_USE enum kl_status kms_token_open(const char *uri, const char *pin, size_t pin_bytes,
                                          struct kms_token **ret_token, struct kl_err *err);
/* Ends the session; keys stay on the token. NULL is fine. */
void kms_token_close(struct kms_token *token);
const struct kms_token_facts *kms_token_facts(const struct kms_token *token);

/* Load the module and look at the token without a PIN. Errors as kms_token_open() but those of PINs. */
KL_MUST_USE enum kl_status kms_token_look(const char *uri, struct kms_token_facts *ret_facts,
                                          struct kl_err *err);

/* KL_ERR_IO when the session is gone; changes nothing. */
KL_MUST_USE enum kl_status kms_token_answers(struct kms_token *token, struct kl_err *err);

/* Make the key of a generation. KL_ERR_REFUSED "token_unfit": the token made one that could be taken out; it is destroyed again. */
KL_MUST_USE enum kl_status kms_token_key_make(struct kms_token *token,
                                              const unsigned char store_id[KMS_STORE_ID_BYTES],
                                              uint64_t generation, struct kl_err *err);
/* KL_ERR_NOT_FOUND "token_key_missing". */
KL_MUST_USE enum kl_status kms_token_key_check(struct kms_token *token,
                                               const unsigned char store_id[KMS_STORE_ID_BYTES],
                                               uint64_t generation, struct kl_err *err);
/* Destroy the key of a generation, and look that it is gone. None there: KL_OK. */
KL_MUST_USE enum kl_status kms_token_key_destroy(struct kms_token *token,
                                                 const unsigned char store_id[KMS_STORE_ID_BYTES],
                                                 uint64_t generation, struct kl_err *err);
/* Destroy every key of the store but that generation's (KMS_TOKEN_KEEP_NONE: all), and look that they are gone. */
#define KMS_TOKEN_KEEP_NONE 0
KL_MUST_USE enum kl_status kms_token_keys_keep(struct kms_token *token,
                                               const unsigned char store_id[KMS_STORE_ID_BYTES],
                                               uint64_t generation, struct kl_err *err);
/* The generations of the store's keys on the token, in no order: at most max of them; *ret_count may be larger. */
KL_MUST_USE enum kl_status kms_token_keys_list(struct kms_token *token,
                                               const unsigned char store_id[KMS_STORE_ID_BYTES],
                                               uint64_t *ret_generations, size_t max,
                                               size_t *ret_count, struct kl_err *err);

/*
 * Wrap a root key under the key of its generation: AES-256-GCM (NIST SP 800-38D), bound to store and generation; layout in format.h.
 * Opened again before it is handed out, so that a token that wraps wrongly is found before anything depends on it.
 * KL_ERR_NOT_FOUND "token_key_missing". KL_ERR_REFUSED "token_unfit".
 */
KL_MUST_USE enum kl_status kms_token_wrap(struct kms_token *token,
                                          const unsigned char store_id[KMS_STORE_ID_BYTES],
                                          uint64_t generation,
                                          const unsigned char key[KMS_KEY_BYTES],
                                          unsigned char ret_wrapped[KMS_TOKEN_WRAPPED_BYTES],
                                          struct kl_err *err);
/* ret_key is to be guarded memory. KL_ERR_NOT_FOUND "token_key_missing"; KL_ERR_CORRUPT "token_wrapped_corrupt". */
KL_MUST_USE enum kl_status kms_token_unwrap(struct kms_token *token,
                                            const unsigned char store_id[KMS_STORE_ID_BYTES],
                                            uint64_t generation,
                                            const unsigned char wrapped[KMS_TOKEN_WRAPPED_BYTES],
                                            unsigned char ret_key[KMS_KEY_BYTES],
                                            struct kl_err *err);

#endif
