/*
 * The query of a URL (RFC 3986, 3.4): name=value pairs, percent-encoded, strictly read. A "+" is a
 * plus. Threads: any.
 */
#ifndef KLUIS_API_QUERY_H
#define KLUIS_API_QUERY_H

#include "kluis/base/arena.h"
#include "kluis/base/status.h"

#include <stdbool.h>
#include <stddef.h>

#define API_QUERY_PARAMETERS_MAX 16
#define API_QUERY_MAX_BYTES 8192

/*
 * values[i] is what the parameter known[i] was set to; NULL: not given. Texts are 0-terminated
 * UTF-8, never empty.
 */
struct api_query {
    const char *const *known;
    const char *values[API_QUERY_PARAMETERS_MAX];
};

/*
 * Read raw (NULL: no query). known: the names that are taken, ended by NULL, at most
 * API_QUERY_PARAMETERS_MAX; kept by reference.
 * KL_ERR_INVALID "unknown_parameter", "duplicate_parameter", "invalid_parameter" (percent-encoding,
 * UTF-8, a 0 byte, no value);
 * KL_ERR_TOO_LARGE "query_too_long"; KL_ERR_NO_MEMORY. err->where is empty, the text names a known
 * parameter at most.
 */
KL_MUST_USE enum kl_status api_query_parse(const char *raw, const char *const *known,
                                           struct kl_arena *arena, struct api_query *ret_query,
                                           struct kl_err *err);
/*
 * The value of a parameter; NULL when it was not given. A name that is not in known is an assert.
 */
const char *api_query_get(const struct api_query *query, const char *name);

/*
 * Decode the percent-encoding of text[0..size) into out (size + 1 bytes), 0-terminated. False for a
 * broken escape, a 0 byte, or what is no UTF-8 after it.
 */
bool api_percent_decode(const char *text, size_t size, char *out);

#endif
