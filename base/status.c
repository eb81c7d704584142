#include "kluis/base/status.h"

#include "kluis/base/encode.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* printf into a fixed text; what does not fit is cut between two characters. */
static void text_format(char *out, size_t room, const char *format, va_list args) KL_PRINTF(3, 0);

static void text_format(char *out, size_t room, const char *format, va_list args)
{
    int length = vsnprintf(out, room, format, args);

    if (length < 0) {
        out[0] = '\0';
    } else if ((size_t)length >= room) {
        out[kl_utf8_cut(out, room - 1, room - 1)] = '\0';
    }
}

static void text_copy(char *out, size_t room, const char *text)
{
    size_t size = strlen(text);
    size_t kept = kl_utf8_cut(text, size, room - 1);

    memcpy(out, text, kept);
    out[kept] = '\0';
}

static void fail_checks(enum kl_status status, const char *code)
{
    assert(status != KL_OK);
    assert(code != NULL && code[0] != '\0' && strlen(code) < KL_ERR_CODE_BYTES);
}

enum kl_status kl_fail(struct kl_err *err, enum kl_status status, const char *code,
                       const char *client_text, const char *log_format, ...)
{
    fail_checks(status, code);
    if (err == NULL || err->status != KL_OK) {
        return status;
    }
    err->status = status;
    text_copy(err->code, sizeof(err->code), code);
    text_copy(err->client_text, sizeof(err->client_text), client_text);
    err->log_text[0] = '\0';
    if (log_format != NULL) {
        va_list args;
        va_start(args, log_format);
        text_format(err->log_text, sizeof(err->log_text), log_format, args);
        va_end(args);
    }
    return status;
}

enum kl_status kl_failf(struct kl_err *err, enum kl_status status, const char *code,
                        const char *client_format, ...)
{
    va_list args;

    fail_checks(status, code);
    if (err == NULL || err->status != KL_OK) {
        return status;
    }
    err->status = status;
    text_copy(err->code, sizeof(err->code), code);
    va_start(args, client_format);
    text_format(err->client_text, sizeof(err->client_text), client_format, args);
    va_end(args);
    err->log_text[0] = '\0';
    return status;
}

enum kl_status kl_fail_memory(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is short of memory; try again",
                   NULL);
}

void kl_err_where(struct kl_err *err, const char *format, ...)
{
    va_list args;

    if (err == NULL || err->where[0] != '\0') {
        return;
    }
    va_start(args, format);
    text_format(err->where, sizeof(err->where), format, args);
    va_end(args);
}

void kl_err_retry(struct kl_err *err, unsigned retry_after_s)
{
    if (err != NULL) {
        err->retry_after_s = retry_after_s;
    }
}

void kl_err_clear(struct kl_err *err)
{
    if (err != NULL) {
        memset(err, 0, sizeof(*err));
    }
}

const char *kl_status_name(enum kl_status status)
{
    static const char *const names[] = {
        [KL_OK] = "ok",
        [KL_ERR_INVALID] = "invalid",
        [KL_ERR_TOO_LARGE] = "too_large",
        [KL_ERR_UNAUTHORISED] = "unauthorised",
        [KL_ERR_FORBIDDEN] = "forbidden",
        [KL_ERR_NOT_FOUND] = "not_found",
        [KL_ERR_CONFLICT] = "conflict",
        [KL_ERR_PRECONDITION] = "precondition",
        [KL_ERR_REQUIRED] = "required",
        [KL_ERR_EXISTS] = "exists",
        [KL_ERR_GONE] = "gone",
        [KL_ERR_CORRUPT] = "corrupt",
        [KL_ERR_BUSY] = "busy",
        [KL_ERR_UNAVAILABLE] = "unavailable",
        [KL_ERR_NO_MEMORY] = "no_memory",
        [KL_ERR_IO] = "io",
        [KL_ERR_REFUSED] = "refused",
        [KL_ERR_INTERNAL] = "internal",
    };

    assert((size_t)status < sizeof(names) / sizeof(names[0]));
    return names[status];
}
