/*
 * The HTTPS client of the command: one server, one pinned CA, a bearer token
 * or a client certificate. No redirects, no proxies, no plain HTTP.
 * Threads: one at a time.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "kluis/base/buf.h"
#include "kluis/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CLI_RESPONSE_MAX_BYTES (64 * 1024 * 1024)
#define CLI_PATH_MAX_BYTES 4096
#define CLI_ETAG_MAX_BYTES 64
#define CLI_CURSOR_BYTES 257

struct cli_client;
struct cli_profile;

/*
 * A body that is too large for memory. up: it is sent from file, which has bytes; else what comes with 2xx is written to file, and
 * bytes is not looked at. progress (NULL: none) is called with the part that is done, 0..1.
 */
struct cli_stream {
    FILE *file;
    bool up;
    uint64_t bytes;
    const char *what;
    void (*progress)(const char *what, double fraction);
};
struct cli_request {
    const char *content_type;  /* NULL: application/json when there is a body */
    const struct kl_buf *body; /* NULL, or empty: none */
    const char *if_match;      /* NULL: none; as it goes on the wire ("\"3\"") */
    const char *idempotency_key;
    struct cli_stream *stream; /* NULL: none */
};
/* body wipes when it ends. etag, next_cursor and next_entry (a number) are empty when there was none. */
struct cli_response {
    long status;
    struct kl_buf body;
    char etag[CLI_ETAG_MAX_BYTES];
    char request_id[72];
    char next_cursor[CLI_CURSOR_BYTES];
    char next_entry[24];
};

/* profile must outlive the client. KL_ERR_INVALID: no server, or not https. KL_ERR_IO: the credential cannot be read. */
KL_MUST_USE enum kl_status cli_client_new(const struct cli_profile *profile,
                                          struct cli_client **ret_client, struct kl_err *err);
void cli_client_free(struct cli_client *client);

/*
 * path starts with "/" and holds its query. request NULL: no body; one that did not fit its buffer is not sent: KL_ERR_TOO_LARGE "body_too_long". ret is made by this call on KL_OK (whatever the HTTP status): end it
 * with cli_response_done(). KL_ERR_UNAVAILABLE: no connection, TLS refused; "cut_short"; the text says which and what to do.
 * KL_ERR_IO "stream_file": the stream's file cannot be read or written.
 */
KL_MUST_USE enum kl_status cli_client_send(struct cli_client *client, const char *method,
                                           const char *path, const struct cli_request *request,
                                           struct cli_response *ret, struct kl_err *err);
void cli_response_done(struct cli_response *response);

/* A path with its query: starts as text; parameters are added percent-encoded (RFC 3986). value NULL adds nothing. */
struct cli_path {
    char text[CLI_PATH_MAX_BYTES];
    size_t size;
    bool has_query;
    bool failed; /* too long; text is empty then, and cannot be sent */
};
void cli_path_start(struct cli_path *path, const char *text);
void cli_path_segment(struct cli_path *path,
                      const char *segment);                  /* "/" and the segment, encoded */
void cli_path_text(struct cli_path *path, const char *text); /* as it is */
void cli_path_query(struct cli_path *path, const char *name, const char *value);

#endif
