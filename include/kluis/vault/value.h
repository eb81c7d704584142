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

/*
 * Types up to json are read and written as JSON values. A `secret` is written as one, kept as a hash,
 * and never read: it is verified. A `file` comes and goes as a stream (kluis/vault/file.h); as a value it is refused.
 */
enum vault_type {
    VAULT_TYPE_TEXT,
    VAULT_TYPE_EMAIL,
    VAULT_TYPE_PHONE,
    VAULT_TYPE_DATE,
    VAULT_TYPE_DATETIME,
    VAULT_TYPE_NUMBER,
    VAULT_TYPE_BOOLEAN,
    VAULT_TYPE_COUNTRY,
    VAULT_TYPE_IBAN,
    VAULT_TYPE_IP,
    VAULT_TYPE_JSON,
    VAULT_TYPE_SECRET,
    VAULT_TYPE_FILE,
    VAULT_TYPES
};
const char *vault_type_name(enum vault_type type);

#define VAULT_VALUE_MAX_BYTES 65536 /* text and json, after normalisation */
#define VAULT_EMAIL_MAX_BYTES 254   /* RFC 5321 section 4.5.3.1.3, without the brackets */
#define VAULT_SECRET_MAX_BYTES 1024 /* a secret, after normalisation */
#define VAULT_SECRET_MIN_BYTES 8    /* one that is stored (NIST SP 800-63B, 5.1.1.2) */
#define VAULT_SHORT_MAX_BYTES 256   /* every other type */

/*
 * A value as it comes: the JSON kind, and its text (a string's content, a number's digits,
 * true/false, a whole JSON text for json).
 */
struct vault_value_input {
    enum kl_json_type kind;
    struct kl_slice text;
};

/*
 * Check a value and bring it to the form in which it is kept:
 *
 * text      NFC, line breaks as LF, no other control characters than tab
 * email     trimmed, local part NFC, domain as A-label (IDNA2008) in lower case
 * phone     E.164: + and 8 to 15 digits
 * date      YYYY-MM-DD; datetime: RFC 3339 in UTC with six decimals
 * number    decimal digits as given, an exponent written out, at most 40 characters
 * boolean   true, false
 * country   ISO 3166-1 alpha-2
 * iban      upper case without spaces, length and check digits as ISO 13616 has them
 * ip        RFC 5952; an IPv4-mapped IPv6 address as the IPv4 address it stands for
 * json      compact, NFC
 * secret    as an OpaqueString (RFC 8265, 4.2): NFC, other spaces as U+0020, no control characters, no
 *           unassigned ones; it is hashed before it is kept (vault/secret_hash.h)
 *
 * The same form comes out again when it is given as input.
 *
 * ret  appended to on KL_OK only.
 *
 * KL_ERR_INVALID "invalid_type" (a JSON kind that the type does not take),
 * "value_is_a_file" (file), "empty_value", "invalid_value" (client_text says which rule, never the value),
 * "unassigned_character" (secret);
 * KL_ERR_TOO_LARGE "value_too_large", or ret is full; KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_value_normalise(enum vault_type type,
                                                 const struct vault_value_input *input,
                                                 struct kl_buf *ret, struct kl_err *err);
/*
 * The form in which an indexed value is compared: NFKC, case folded, for text and the local part
 * of e-mail (RFC 5321 would tell upper case apart; people do not); numbers without trailing zeros;
 * the others as kept. Unassigned code points are refused, so that a newer Unicode version never
 * splits an index.
 *
 * normalised  as vault_value_normalise() gave it.
 *
 * KL_ERR_INVALID "unassigned_character", "empty_value" (only invisible characters),
 * "not_indexable" (json, secret, file); KL_ERR_TOO_LARGE (ret is full), KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_value_index_form(enum vault_type type, struct kl_slice normalised,
                                                  struct kl_buf *ret, struct kl_err *err);
/* The Unicode version that index forms are made with ("15.0.0"). */
const char *vault_value_unicode_version(void);

enum vault_mask {
    VAULT_MASK_STARS,
    VAULT_MASK_INITIALS,
    VAULT_MASK_EMAIL,
    VAULT_MASK_LAST4,
    VAULT_MASK_YEAR,
    VAULT_MASK_COUNTRY,
    VAULT_MASKS
};
const char *vault_mask_name(enum vault_mask mask); /* "***", "initials", ... */
/* False, and ret_mask untouched, when text names no mask. */
bool vault_mask_parse(const char *text, enum vault_mask *ret_mask);
/*
 * Whether the mask makes sense for the type. initials: text; email: email; last4: text, phone,
 * iban, number; year: date, datetime; country: iban, phone; ***: all.
 */
bool vault_mask_fits(enum vault_mask mask, enum vault_type type);
/*
 * Append the masked form of a normalised value, always a text, counted in user-perceived
 * characters:
 * initials "A. P." (of four words at most), email "a***@example.org", last4 "***6769" (where at
 * least four others stay hidden), year "1984", country "BE" or "+32". Where that would show the
 * whole value, or the mask does not fit the type, it is "***".
 *
 * KL_ERR_TOO_LARGE (ret is full), KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_value_mask(enum vault_mask mask, enum vault_type type,
                                            struct kl_slice normalised, struct kl_buf *ret,
                                            struct kl_err *err);

/*
 * What is kept of a value for statistics: so little of it that many people share it.
 *
 * count                     that there was a value, as "present": all types
 * year, decade              "1984", "1980": date, datetime
 * country                   "BE", "+32": country, iban, phone
 * exact                     the value, where there are only a few: boolean, country
 * tens, hundreds, thousands a number with its last one, two, three whole digits made 0, towards zero: number
 * first1, first2, first3    so many digits that a longer text begins with (a postcode): text
 */
enum vault_generalisation {
    VAULT_GENERAL_COUNT,
    VAULT_GENERAL_YEAR,
    VAULT_GENERAL_DECADE,
    VAULT_GENERAL_COUNTRY,
    VAULT_GENERAL_EXACT,
    VAULT_GENERAL_TENS,
    VAULT_GENERAL_HUNDREDS,
    VAULT_GENERAL_THOUSANDS,
    VAULT_GENERAL_FIRST1,
    VAULT_GENERAL_FIRST2,
    VAULT_GENERAL_FIRST3,
    VAULT_GENERALISATIONS
};
#define VAULT_GENERAL_MAX_BYTES 16
const char *vault_generalisation_name(enum vault_generalisation how);
/* False, and ret_how untouched, when text names none. */
bool vault_generalisation_parse(const char *text, enum vault_generalisation *ret_how);
bool vault_generalisation_fits(enum vault_generalisation how, enum vault_type type);
/*
 * The general form of a normalised value, in ASCII without spaces. False, and ret "" : there is none (a text that does not begin with digits,
 * or would be shown whole; a form longer than VAULT_GENERAL_MAX_BYTES; what does not fit the type). Nothing is allocated.
 */
bool vault_value_generalise(enum vault_generalisation how, enum vault_type type,
                            struct kl_slice normalised, char ret[VAULT_GENERAL_MAX_BYTES + 1]);

/* Append a normalised value as JSON (a string, number, boolean or JSON text by its type; of a file what is known of it). */
void vault_value_write_json(enum vault_type type, struct kl_slice normalised,
                            struct kl_json_out *out);

/*
 * Padded length of size bytes (at most 1 GiB): 16, 32, 64, 128, 256, 512, 1024, then steps of a
 * tenth; ISO/IEC 7816-4 padding, so at least one byte more.
 */
size_t vault_pad_size(size_t size);
/* Append value and padding. KL_ERR_TOO_LARGE (ret is full), KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_pad(struct kl_slice value, struct kl_buf *ret, struct kl_err *err);
/* ret_value lies in padded. KL_ERR_CORRUPT "corrupt" when it is not padded as vault_pad() does. */
KL_MUST_USE enum kl_status vault_unpad(struct kl_slice padded, struct kl_slice *ret_value,
                                       struct kl_err *err);

#endif
