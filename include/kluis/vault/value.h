/*
 * Field values: their types, checked and brought to one form on the way in,
 * masked on the way out, padded so that lengths say little.
 * Threads: any.
 */
#ifndef KLUIS_VAULT_VALUE_H
#define KLUIS_VAULT_VALUE_H

#include "kluis/base/buf.h"
#include "kluis/base/json.h"
#include "kluis/base/status.h"

#include <stdbool.h>
#include <stddef.h>

/* The types that are read and written as JSON values; `secret` and `file` are known to the policy and refused by this version. */
enum vault_type {
    VAULT_TYPE_TEXT, VAULT_TYPE_EMAIL, VAULT_TYPE_PHONE, VAULT_TYPE_DATE, VAULT_TYPE_DATETIME, VAULT_TYPE_NUMBER,
    VAULT_TYPE_BOOLEAN, VAULT_TYPE_COUNTRY, VAULT_TYPE_IBAN, VAULT_TYPE_IP, VAULT_TYPE_JSON, VAULT_TYPE_SECRET,
    VAULT_TYPE_FILE, VAULT_TYPES
};
const char *vault_type_name(enum vault_type type);
bool vault_type_parse(const char *text, enum vault_type *ret_type);

#define VAULT_VALUE_MAX_BYTES 65536      /* text and json, after normalisation */
#define VAULT_EMAIL_MAX_BYTES 254        /* RFC 5321 section 4.5.3.1.3 */
#define VAULT_SHORT_MAX_BYTES 256        /* every other type */

/* A value as it comes: the JSON kind, and its text (a string's content, a number's digits, true/false, a whole JSON text for json). */
struct vault_value_input {
    enum kl_json_type kind;
    struct kl_slice text;
};

/*
 * Check a value and bring it to the form in which it is kept: text and json NFC; e-mail trimmed, domain as A-label lower case; phone E.164;
 * date YYYY-MM-DD; datetime RFC 3339 UTC; number as decimal digits; country alpha-2; IBAN upper case without spaces; IP canonical
 * (RFC 5952 for IPv6).
 *
 * ret  appended to. KL_ERR_INVALID "invalid_type" (a JSON kind that the type does not take), "invalid_value" (client_text says which rule,
 * never the value), "empty_value"; KL_ERR_TOO_LARGE "value_too_large"; KL_ERR_FORBIDDEN... none.
 */
KL_MUST_USE enum kl_status vault_value_normalise(enum vault_type type, const struct vault_value_input *input,
                                                 struct kl_buf *ret, struct kl_err *err);
/*
 * The form in which an indexed value is compared: NFKC, case folded, for text and e-mail (RFC 5321 local parts are folded too: people
 * expect it); as kept for the others. Unassigned code points are refused (KL_ERR_INVALID "unassigned_character"), so that a newer
 * Unicode version never splits an index. `json` cannot be indexed.
 */
KL_MUST_USE enum kl_status vault_value_index_form(enum vault_type type, struct kl_slice normalised, struct kl_buf *ret,
                                                  struct kl_err *err);
/* The Unicode version in use ("15.0.0"), kept with each index. */
const char *vault_value_unicode_version(void);

enum vault_mask { VAULT_MASK_STARS, VAULT_MASK_INITIALS, VAULT_MASK_EMAIL, VAULT_MASK_LAST4, VAULT_MASK_YEAR, VAULT_MASK_COUNTRY, VAULT_MASKS };
const char *vault_mask_name(enum vault_mask mask); /* "***", "initials", ... */
bool vault_mask_parse(const char *text, enum vault_mask *ret_mask);
/* Whether the mask makes sense for the type (year: date, datetime; country: iban, phone, country; ...). */
bool vault_mask_fits(enum vault_mask mask, enum vault_type type);
/* Append the masked form of a normalised value, always a text. Never shows more than the mask promises, whatever the value. */
KL_MUST_USE enum kl_status vault_value_mask(enum vault_mask mask, enum vault_type type, struct kl_slice normalised,
                                            struct kl_buf *ret, struct kl_err *err);

/* Append a normalised value as JSON (a string, number, boolean or JSON text by its type). */
void vault_value_write_json(enum vault_type type, struct kl_slice normalised, struct kl_json_out *out);

/* Padded length of size bytes: 16, 32, 64, 128, 256, 512, 1024, then steps of a tenth; ISO/IEC 7816-4 padding, so at least one byte more. */
size_t vault_pad_size(size_t size);
KL_MUST_USE enum kl_status vault_pad(struct kl_slice value, struct kl_buf *ret, struct kl_err *err);
/* KL_ERR_CORRUPT when it is not padded as vault_pad does. */
KL_MUST_USE enum kl_status vault_unpad(struct kl_slice padded, struct kl_slice *ret_value, struct kl_err *err);

#endif
