/*
 * Pieces of value.c: one file for Unicode and addresses, one for numbers and codes, one for masks.
 */
#ifndef KLUIS_VAULT_VALUE_INTERNAL_H
#define KLUIS_VAULT_VALUE_INTERNAL_H

#include "kluis/base/buf.h"
#include "kluis/base/status.h"
#include "kluis/vault/value.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What arrives may shrink by normalisation (three to one at most), never by more. */
#define VALUE_INPUT_MAX_BYTES (4 * VAULT_VALUE_MAX_BYTES)
#define VALUE_NUMBER_MAX_CHARS 40

enum kl_status vault_value_invalid(struct kl_err *err, const char *client_text);
bool vault_value_is_digit(unsigned char byte);
bool vault_value_is_ascii(struct kl_slice text);

/*
 * Append text (valid UTF-8) in a Unicode normal form; nothing of it stays behind in memory.
 * KL_ERR_INVALID "unassigned_character" only when UTF8PROC_REJECTNA is among the options.
 */
KL_MUST_USE enum kl_status vault_value_map(struct kl_slice text, unsigned options,
                                           struct kl_buf *ret, struct kl_err *err);
KL_MUST_USE enum kl_status vault_value_text(struct kl_slice text, struct kl_buf *ret,
                                            struct kl_err *err);
/* RFC 8265, 4.2.2. KL_ERR_INVALID "invalid_value", "unassigned_character". */
KL_MUST_USE enum kl_status vault_value_secret(struct kl_slice text, struct kl_buf *ret,
                                              struct kl_err *err);
KL_MUST_USE enum kl_status vault_value_email(struct kl_slice text, struct kl_buf *ret,
                                             struct kl_err *err);

KL_MUST_USE enum kl_status vault_value_phone(struct kl_slice text, struct kl_buf *ret,
                                             struct kl_err *err);
KL_MUST_USE enum kl_status vault_value_number(struct kl_slice text, struct kl_buf *ret,
                                              struct kl_err *err);
KL_MUST_USE enum kl_status vault_value_iban(struct kl_slice text, struct kl_buf *ret,
                                            struct kl_err *err);
KL_MUST_USE enum kl_status vault_value_ip(struct kl_slice text, struct kl_buf *ret,
                                          struct kl_err *err);
/* Append a normalised number without what does not change its value ("1.50" -> "1.5"). */
void vault_value_number_shorten(struct kl_slice number, struct kl_buf *ret);

#endif
