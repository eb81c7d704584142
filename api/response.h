/* An answer to be sent, and problem documents (RFC 9457). Threads: one at a time. */
#ifndef KLUIS_API_RESPONSE_H
#define KLUIS_API_RESPONSE_H

#include "kluis/base/buf.h"
#include "kluis/base/json.h"
#include "kluis/base/status.h"

#include <stdbool.h>
#include <stdint.h>

#define API_RESPONSE_MAX_BYTES (64u * 1024u * 1024u)
#define API_LOCATION_BYTES 320
#define API_ALLOW_BYTES 64
#define API_MEDIA_TYPE_BYTES 128
#define API_RANGE_BYTES 96
#define API_SECURITY_BYTES 256
#define API_CURSOR_BYTES 257

#define API_TYPE_JSON "application/json"
#define API_TYPE_PROBLEM "application/problem+json"
#define API_TYPE_YAML "application/yaml"
#define API_TYPE_HTML "text/html; charset=utf-8"
#define API_TYPE_CSV "text/csv; charset=utf-8; header=present"
#define API_TYPE_NDJSON "application/x-ndjson" /* a JSON value a line */
#define API_TYPE_TEXT "text/plain; charset=utf-8"
#define API_TYPE_METRICS "text/plain; version=0.0.4; charset=utf-8"

/*
 * What is sent behind the head piece by piece instead of body: next gives the next piece (it lives
 * until the next call; size 0: that was all), done ends it. bytes: of all pieces. next NULL: none.
 */
struct api_stream {
    enum kl_status (*next)(void *context, struct kl_slice *ret, struct kl_err *err);
    void (*done)(void *context);
    void *context;
    uint64_t bytes;
};

/*
 * Always true: content_type is NULL exactly when there is no body (status 204). body wipes.
 */
struct api_response {
    int status;
    const char *content_type;
    struct kl_buf body;
    struct api_stream stream;
    char media_type[API_MEDIA_TYPE_BYTES]; /* what content_type points to, of a stream */
    char range[API_RANGE_BYTES];           /* Content-Range; empty: none */
    bool has_etag;
    uint64_t etag;
    bool replayed;       /* an earlier request with the same Idempotency-Key had done it */
    bool challenge;      /* WWW-Authenticate */
    bool close;          /* the connection ends with this answer */
    int retry_after_s;   /* 0: none */
    size_t unread_bytes; /* of the request's body, to be dropped before the next request */
    char location[API_LOCATION_BYTES]; /* empty: none */
    char security[API_SECURITY_BYTES]; /* Content-Security-Policy; empty: none */
    const char *file_name; /* it is to be saved, under that name [a-z.-]; NULL: it is no file */
    char allow[API_ALLOW_BYTES]; /* empty: none */
    char next_cursor
        [API_CURSOR_BYTES]; /* X-Next-Cursor, of lines that have no place for it; empty: none */
    bool has_next_entry;
    uint64_t next_entry; /* X-Next-Entry */
};

void api_response_init(struct api_response *response); /* 204, nothing in it */
void api_response_done(struct api_response *response); /* wipes */
/* End the stream, where there is one. */
void api_response_stream_end(struct api_response *response);
/* Start a JSON answer over whatever was there; write into the result. */
struct kl_json_out api_response_json(struct api_response *response, int status);

/* The HTTP status of a failure. */
int api_problem_status(const struct kl_err *err);
/* The reason phrase ("Not Found"); "Unknown" for others than the server uses. */
const char *api_status_text(int http_status);
/*
 * Write a failure as a problem document: type, title, status, detail, code, instance, and errors[]
 * where a place is known. extra: a JSON array for "errors" instead (a policy's findings); NULL:
 * none.
 */
void api_problem_write(struct kl_json_out *out, const struct kl_err *err, const char *request_id,
                       const struct kl_slice *extra);
/* Make the answer that failure, with the headers that go with it. Whatever was there is dropped. */
void api_response_problem(struct api_response *response, const struct kl_err *err,
                          const char *request_id, const struct kl_slice *extra);

/*
 * The bytes to be sent: status line, headers, body, in one buffer. head_only: the answer to HEAD,
 * without the body. keep_alive: what "Connection" says. KL_ERR_NO_MEMORY, KL_ERR_TOO_LARGE.
 */
KL_MUST_USE enum kl_status api_response_write(const struct api_response *response,
                                              const char *request_id, bool head_only,
                                              bool keep_alive, struct kl_buf *ret,
                                              struct kl_err *err);

#endif
