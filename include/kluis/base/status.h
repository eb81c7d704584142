/*
 * What a call can come back with, and the words that go with it.
 *
 * One enum for everything that can fail; one struct, filled by kl_fail()
 * where the failure is first seen. A function logs or returns, never both.
 */
#ifndef KLUIS_BASE_STATUS_H
#define KLUIS_BASE_STATUS_H

#include <stddef.h>

#define KL_MUST_USE __attribute__((warn_unused_result))
#define KL_PRINTF(format_index, first_index) \
    __attribute__((format(printf, format_index, first_index)))

enum kl_status {
    KL_OK = 0,
    KL_ERR_INVALID,      /* outside input breaks a rule; the same input will never work */
    KL_ERR_TOO_LARGE,    /* a named maximum was passed */
    KL_ERR_UNAUTHORISED, /* no credential, or one that does not hold */
    KL_ERR_FORBIDDEN,    /* the credential is good, the policy or a rule says no */
    KL_ERR_NOT_FOUND,    /* there is none, or none that the caller may know of */
    KL_ERR_CONFLICT,     /* clashes with what is stored (unique index, state) */
    KL_ERR_PRECONDITION, /* If-Match did not match; read again */
    KL_ERR_REQUIRED,     /* a precondition is missing (428) */
    KL_ERR_EXISTS,       /* something of that name is there already */
    KL_ERR_GONE,         /* the key was shredded */
    KL_ERR_CORRUPT,      /* authentication or a checksum failed */
    KL_ERR_BUSY,         /* a limit on work under way; may work next time */
    KL_ERR_UNAVAILABLE,  /* something needed does not answer; may work next time */
    KL_ERR_NO_MEMORY,    /* no memory, or no lockable memory */
    KL_ERR_IO,           /* a file or disk error */
    KL_ERR_REFUSED,      /* the vault refuses to work in this state until an operator acts */
    KL_ERR_INTERNAL      /* our own mistake */
};

#define KL_ERR_CODE_BYTES 48
#define KL_ERR_WHERE_BYTES 160
#define KL_ERR_TEXT_BYTES 320

/*
 * code         stable, snake_case, part of the API ("unknown_field"); never empty when status
 * is not KL_OK where        the place in the input: a JSON pointer ("/records/0/fields/email")
 * or "line:column"; may be empty client_text  may leave the server: says what is wrong and what
 * to do next; never a value, never a secret log_text     stays on the server; no personal data,
 * no secret either. retry_after_s  when the same may work again, where that is known; 0: not known
 */
struct kl_err {
    enum kl_status status;
    char code[KL_ERR_CODE_BYTES];
    char where[KL_ERR_WHERE_BYTES];
    char client_text[KL_ERR_TEXT_BYTES];
    char log_text[KL_ERR_TEXT_BYTES];
    unsigned retry_after_s;
};

/*
 * Record a failure and return its status, so that `return kl_fail(...)` and
 * `status = kl_fail(...); goto out;` read alike.
 *
 * err          may be NULL. When it already holds a failure, that one stays: the first is
 * nearest to the cause. code         stable code, shorter than KL_ERR_CODE_BYTES.
 * client_text  may leave the server.
 * log_format   printf text for the log; NULL when client_text says all.
 *
 * Returns status. Longer texts are cut.
 */
enum kl_status kl_fail(struct kl_err *err, enum kl_status status, const char *code,
                       const char *client_text, const char *log_format, ...) KL_PRINTF(5, 6);

/*
 * As kl_fail(), with a client text made by printf. The caller answers for what the arguments hold:
 * names, never values.
 */
enum kl_status kl_failf(struct kl_err *err, enum kl_status status, const char *code,
                        const char *client_format, ...) KL_PRINTF(4, 5);

/*
 * As kl_fail(), for memory that ran out: KL_ERR_NO_MEMORY "no_memory", in words that fit any request.
 * Where an operator gains by knowing what it was for, kl_fail() with a log text.
 */
enum kl_status kl_fail_memory(struct kl_err *err);

/*
 * Note where in the input it went wrong (printf). Nothing happens when err is NULL or a place is
 * noted already.
 */
void kl_err_where(struct kl_err *err, const char *format, ...) KL_PRINTF(2, 3);

/* Note in how many seconds it may work again. Nothing happens when err is NULL. */
void kl_err_retry(struct kl_err *err, unsigned retry_after_s);

/* Make err empty (KL_OK), for use again. NULL is fine. */
void kl_err_clear(struct kl_err *err);

/* The name of a status in snake_case ("not_found"), a string constant. */
const char *kl_status_name(enum kl_status status);

#endif
