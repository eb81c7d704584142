/*
 * Identifiers: a prefix, an underscore, 128 random bits in Crockford base 32
 * (26 characters, upper case out, either case in; I and L read as 1, O as 0).
 * Source of the alphabet: Douglas Crockford, Base 32, 2019.
 */
#ifndef KLUIS_BASE_ID_H
#define KLUIS_BASE_ID_H

#include "kluis/base/status.h"

#include <stdbool.h>

#define KL_ID_BYTES 16
#define KL_ID_PREFIX_MAX_CHARS 4
#define KL_ID_DIGITS 26
/* "cred_" + 26 digits + 0 byte, rounded up. */
#define KL_ID_TEXT_BYTES 36

struct kl_id {
    unsigned char bytes[KL_ID_BYTES];
};

/* 128 fresh random bits. */
struct kl_id kl_id_new(void);
/*
 * Write prefix_DIGITS and a 0 byte. prefix without its underscore, 2..4 characters: "sub", "cred".
 */
void kl_id_format(const char *prefix, const struct kl_id *id, char out[KL_ID_TEXT_BYTES]);
/*
 * Read an id of that prefix; the first digit carries 3 bits, so it is 0..7.
 * KL_ERR_INVALID code "invalid_id": another prefix, length or character. ret_id untouched.
 */
KL_MUST_USE enum kl_status kl_id_parse(const char *prefix, const char *text, struct kl_id *ret_id,
                                       struct kl_err *err);
bool kl_id_equal(const struct kl_id *a, const struct kl_id *b);

#endif
