/* What reading and checking a receipt share. */
#ifndef BASE_RECEIPT_INTERNAL_H
#define BASE_RECEIPT_INTERNAL_H

#include "kluis/base/receipt.h"

struct kl_receipt {
    struct kl_json *file;
    struct kl_json *inner; /* the signed text of an answer, parsed; NULL else */
    const struct kl_json_value
        *said; /* the signed object; in a stored receipt with signature and trail beside it */
    const struct kl_json_value *answer; /* absent in a stored receipt */
    const struct kl_json_value *proof;  /* where signature and trail stand */
    struct kl_buf text;                 /* the signed bytes */
};

/* Both absent, or the same JSON. */
bool kl_receipt_same(const struct kl_json_value *a, const struct kl_json_value *b);
bool kl_receipt_is_id(const struct kl_json_value *value, const char *prefix);
void kl_receipt_say(struct kl_receipt_checks *checks, const char *code, enum kl_receipt_state state,
                    const char *format, ...) KL_PRINTF(4, 5);

/* The checks by what they are about; each says all of its codes. */
void kl_receipt_check_statement(const struct kl_receipt *receipt, struct kl_receipt_checks *checks);
void kl_receipt_check_answer(const struct kl_receipt *receipt, struct kl_receipt_checks *checks);
void kl_receipt_check_person(const struct kl_receipt *receipt,
                             const struct kl_receipt_person *person,
                             struct kl_receipt_checks *checks);
KL_MUST_USE enum kl_status kl_receipt_check_trail(const struct kl_receipt *receipt,
                                                  const struct kl_receipt_trust *trust,
                                                  struct kl_receipt_checks *checks,
                                                  struct kl_err *err);

#endif
