/*
 * From a request to its answer, without sockets: routing, who asks, limits, the body, the handler,
 * problems, counting. api/server.c feeds it from CivetWeb; tests and fuzzers feed it by hand.
 */
#ifndef KLUIS_API_APP_H
#define KLUIS_API_APP_H

#include "api/metrics.h"
#include "api/query.h"
#include "api/response.h"
#include "api/router.h"
#include "api/tls.h"
#include "kluis/base/arena.h"
#include "kluis/base/buf.h"
#include "kluis/base/json.h"
#include "kluis/vault/stores.h"
#include "kluis/vault/subject.h"
#include "kluis/vault/vault.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Of one request; of a batch: of one of its operations too. One subject with all its values fits. */
#define API_ARENA_MAX_BYTES (64u * 1024u * 1024u)
/*
 * What the results of all reads of a batch may take. What its other operations answer is small, and
 * what comes with all of them still fits in API_RESPONSE_MAX_BYTES: no receipt is ever lost because
 * of what was read.
 */
#define API_BATCH_RESULT_MAX_BYTES (16u * 1024u * 1024u)
#define API_DISCARD_MAX_BYTES \
    65536u /* of a body that nobody reads; a longer one ends the connection */

/* What all requests share. */
struct api_app {
    struct vault_stores *stores;
    struct api_metrics *metrics;
    struct api_tls *tls; /* NULL: none (tests) */
    const struct api_route *routes;
    size_t route_count;
    size_t body_max_bytes;
    size_t batch_max_bytes;
    uint64_t file_max_bytes; /* 0: VAULT_FILE_MAX_BYTES_DEFAULT */
    int streams_max;         /* files coming and going at once; 0: any number */
    atomic_int streams;
    atomic_bool draining; /* the server is about to stop: 503 for what comes now */
};

struct api_header {
    const char *name;
    const char *value;
};

/*
 * A request as it came. method, path are never NULL; path and query are as sent (percent-encoded),
 * query NULL: none.
 */
struct api_head {
    const char *method;
    const char *path;
    const char *query;
    const struct api_header *headers;
    size_t header_count;
    bool needs_host;                         /* came over HTTP/1.1 */
    const unsigned char *certificate_sha256; /* of a verified client certificate; NULL: none */
    bool metrics_listener; /* only API_ROUTE_METRICS is answered there, without a credential */
};

/*
 * The value of a header, any case of its name; NULL when there is none. ret_count (may be NULL):
 * how many of them there are.
 */
const char *api_head_get(const struct api_head *head, const char *name, size_t *ret_count);

/*
 * Append exactly size bytes of the body; a stream is read with several calls, each of which may take
 * the longer for its size. KL_ERR_INVALID "truncated_body", "request_timeout";
 * KL_ERR_NO_MEMORY.
 */
typedef enum kl_status (*api_body_read)(void *context, size_t size, struct kl_buf *body,
                                        struct kl_err *err);

/* One request on its way; lives on the stack of api_app_answer(). */
struct api_request {
    struct api_app *app;
    struct vault *vault; /* the store that the caller acts on; without a caller main */
    const struct api_head *head;
    struct api_match match;
    struct api_query query;
    struct kl_arena *arena;
    struct kl_buf body;
    struct kl_json *json; /* of a JSON route; NULL when there was no body */
    bool has_caller;
    struct vault_caller caller;
    char request_id[VAULT_REQUEST_ID_MAX_BYTES + 1];
    size_t content_length;
    bool body_read;
    api_body_read read_body; /* of a stream: for its handler */
    void *read_context;
    struct kl_buf findings; /* a JSON array for "errors" of a problem document; empty: none */
};

/*
 * Answer one request. response was made by api_response_init(). ret_request_id gets the id to be
 * shown (VAULT_REQUEST_ID_MAX_BYTES + 1 bytes). Where the next request starts may be unknown, or
 * far off: response->close is set then.
 */
void api_app_answer(struct api_app *app, const struct api_head *head, api_body_read read_body,
                    void *read_context, struct api_response *response, char *ret_request_id);

/* Shorthands of handlers. */
const struct kl_json_value *api_request_json(
    const struct api_request *request); /* the root; NULL without a body */
const char *api_request_query(const struct api_request *request, const char *name);
/*
 * limit=N of a list: VAULT_PAGE_DEFAULT without one. KL_ERR_INVALID "invalid_limit"
 * (1..VAULT_PAGE_MAX).
 */
KL_MUST_USE enum kl_status api_request_limit(const struct api_request *request, size_t *ret_limit,
                                             struct kl_err *err);
/* A query parameter that is a number of at most 15 digits; -1 without it. KL_ERR_INVALID "invalid_parameter". */
KL_MUST_USE enum kl_status api_request_number(const struct api_request *request, const char *name,
                                              int64_t *ret_number, struct kl_err *err);
/*
 * A query parameter that is a time, or a duration from now on; 0 without it. KL_ERR_INVALID
 * "invalid_parameter".
 */
KL_MUST_USE enum kl_status api_request_moment(const struct api_request *request, const char *name,
                                              int64_t *ret_time_us, struct kl_err *err);
/*
 * The Idempotency-Key, bound to method, path and body; salt (may be NULL) sets apart the operations
 * of a batch, salt_bytes of it. ret->key is NULL without one. KL_ERR_INVALID "invalid_header".
 */
KL_MUST_USE enum kl_status api_request_idempotency(const struct api_request *request,
                                                   const void *salt, size_t salt_bytes,
                                                   struct vault_idempotency *ret,
                                                   struct kl_err *err);
/*
 * The version that If-Match names; 0 for "*". KL_ERR_REQUIRED "if_match_required"; KL_ERR_INVALID
 * "invalid_header".
 */
KL_MUST_USE enum kl_status api_request_if_match(const struct api_request *request,
                                                uint64_t *ret_version, struct kl_err *err);
/*
 * Log a failure that is the server's (5xx): one line with the request's id, no value. Others are
 * not logged.
 */
void api_request_log(const struct api_request *request, const struct kl_err *err);

#endif
