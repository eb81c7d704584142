/* One request between CivetWeb and the app: head in, body in on demand, answer out in one write. */
#include "api/server_internal.h"
#include "kluis/base/id.h"
#include "kluis/base/log.h"
#include "kluis/base/time.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BODY_STEP_BYTES 65536u
#define BYTES_A_MS \
    16 /* a client that takes, or of a stream sends, less than 16 kB a second, past the request timeout, is cut off */

/* The connection while its body is read. */
struct body_source {
    struct mg_connection *conn;
    const struct api_head *head;
    int64_t deadline_us;
    bool begun;
};

/* How much longer a transfer may take for so many bytes more: slower than that nobody is waited for. */
static int64_t transfer_us(uint64_t bytes)
{
    return (int64_t)(bytes * 1000 / BYTES_A_MS);
}

static void set_deadline(struct mg_connection *conn, int64_t deadline_us)
{
    struct api_tls_conn *tls = mg_get_user_connection_data(conn);

    if (tls != NULL) {
        api_tls_conn_deadline(tls, deadline_us);
    }
}

static enum kl_status read_body(void *context, size_t size, struct kl_buf *body, struct kl_err *err)
{
    static const char CONTINUE[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct body_source *source = context;

    if (!source->begun && api_head_get(source->head, "Expect", NULL) != NULL) {
        mg_write(source->conn, CONTINUE, sizeof CONTINUE - 1);
    }
    if (source->begun) { /* a stream */
        source->deadline_us += transfer_us(size);
        set_deadline(source->conn, source->deadline_us);
    }
    source->begun = true;
    while (size > 0) {
        size_t step = size < BODY_STEP_BYTES ? size : BODY_STEP_BYTES;
        unsigned char *into = kl_buf_extend(body, step);
        if (into == NULL) {
            return kl_fail_memory(err);
        }
        if (mg_read(source->conn, into, step) != (int)step) {
            return kl_time_monotonic_us() >= source->deadline_us
                       ? kl_fail(err, KL_ERR_INVALID, "request_timeout",
                                 "the body took too long to come", NULL)
                       : kl_fail(err, KL_ERR_INVALID, "truncated_body",
                                 "the body is shorter than Content-Length says", NULL);
        }
        size -= step;
    }
    return KL_OK;
}

/* Does the client want the connection to go on? CivetWeb decides by the same rule. */
static bool wants_keep_alive(const struct mg_request_info *info, const struct api_head *head)
{
    const char *connection = api_head_get(head, "Connection", NULL);

    if (connection != NULL) {
        return strcasestr(connection, "keep-alive") != NULL;
    }
    return strcmp(info->http_version, "1.1") == 0;
}

/* Take in what of the body nobody read, and keep nothing of it. False when it does not come in time. */
static bool drop_body(struct mg_connection *conn, size_t size)
{
    char rest[4096];
    bool came = true;

    while (size > 0 && came) {
        size_t step = size < sizeof rest ? size : sizeof rest;
        came = mg_read(conn, rest, step) == (int)step;
        size -= step;
    }
    sodium_memzero(rest, sizeof rest);
    return came;
}

/* Piece by piece; no key is held while the network takes one. False: it was cut, and only the connection's end can say so. */
static bool send_stream(struct mg_connection *conn, struct api_response *response,
                        const char *request_id, int64_t deadline_us)
{
    struct kl_slice piece = {0};
    struct kl_err err = {0};
    uint64_t sent = 0;

    while (sent < response->stream.bytes) {
        if (response->stream.next(response->stream.context, &piece, &err) != KL_OK) {
            kl_log(KL_LOG_WARNING, "answer_cut", KL_LOG_TEXT("request_id", request_id),
                   KL_LOG_TEXT("code", err.code));
            return false;
        }
        sent += piece.size;
        set_deadline(conn, deadline_us + transfer_us(sent));
        if (piece.size == 0 || mg_write(conn, piece.bytes, piece.size) != (int)piece.size) {
            return false;
        }
    }
    return true;
}

/* Send the answer. Returns the status code sent. */
static int send_answer(struct mg_connection *conn, struct api_response *response,
                       const char *request_id, bool head_only, bool keep_alive)
{
    struct api_server *server = mg_get_user_data(mg_get_context(conn));
    struct kl_buf bytes = {0};
    struct kl_err err = {0};
    int64_t timeout_us = (int64_t)api_server_request_timeout_ms(server) * 1000;

    if (api_response_write(response, request_id, head_only, keep_alive, &bytes, &err) != KL_OK) {
        kl_log_err(KL_LOG_WARNING, "answer_failed", &err);
        mg_disable_connection_keep_alive(conn);
        return 500;
    }
    int64_t deadline_us = kl_time_monotonic_us() + timeout_us + transfer_us(bytes.size);
    set_deadline(conn, deadline_us);
    if (mg_write(conn, bytes.bytes, bytes.size) != (int)bytes.size ||
        (response->stream.next != NULL && !head_only &&
         !send_stream(conn, response, request_id, deadline_us)) ||
        (keep_alive && !drop_body(conn, response->unread_bytes))) {
        keep_alive = false;
    }
    set_deadline(conn, 0);
    if (!keep_alive) {
        struct api_tls_conn *tls = mg_get_user_connection_data(conn);
        mg_disable_connection_keep_alive(conn);
        if (tls != NULL && response->close) {
            api_tls_conn_drain(tls);
        }
    }
    kl_buf_done(&bytes);
    return response->status;
}

static int answer(struct mg_connection *conn, bool metrics_listener)
{
    const struct mg_request_info *info = mg_get_request_info(conn);
    struct api_server *server = mg_get_user_data(mg_get_context(conn));
    struct api_app *app = api_server_app(server);
    const struct api_tls_conn *tls = mg_get_user_connection_data(conn);
    struct api_header headers[MG_MAX_HEADERS];
    char request_id[VAULT_REQUEST_ID_MAX_BYTES + 1];
    struct api_response response;
    struct api_head head = {.method = info->request_method,
                            .path = info->local_uri_raw,
                            .query = info->query_string,
                            .headers = headers,
                            .needs_host = strcmp(info->http_version, "1.1") == 0,
                            .certificate_sha256 =
                                tls == NULL ? NULL : api_tls_conn_certificate(tls),
                            .metrics_listener = metrics_listener};
    struct body_source source = {.conn = conn, .head = &head};

    api_metrics_in_flight(app->metrics, 1);
    source.deadline_us =
        kl_time_monotonic_us() + (int64_t)api_server_request_timeout_ms(server) * 1000;
    set_deadline(conn, source.deadline_us);
    for (int i = 0; i < info->num_headers; i++) {
        headers[i].name = info->http_headers[i].name;
        headers[i].value = info->http_headers[i].value;
    }
    head.header_count = (size_t)info->num_headers;
    api_response_init(&response);
    api_app_answer(app, &head, read_body, &source, &response, request_id);
    bool keep_alive =
        !response.close && !atomic_load(&app->draining) && wants_keep_alive(info, &head);
    int status =
        send_answer(conn, &response, request_id, strcmp(head.method, "HEAD") == 0, keep_alive);
    api_response_done(&response);
    api_metrics_in_flight(app->metrics, -1);
    return status;
}

static int on_request(struct mg_connection *conn)
{
    return answer(conn, false);
}

static int on_metrics_request(struct mg_connection *conn)
{
    return answer(conn, true);
}

/* CivetWeb's own errors: it could not read a request's head. */
static int on_http_error(struct mg_connection *conn, int http_status, const char *message)
{
    struct api_server *server = mg_get_user_data(mg_get_context(conn));
    struct kl_id id = kl_id_new();
    struct api_response response;
    struct kl_err err = {0};
    char text[KL_ID_TEXT_BYTES];
    enum kl_status ignored;

    (void)message;
    kl_id_format("rq", &id, text);
    switch (http_status) {
    case 408:
        ignored = kl_fail(&err, KL_ERR_INVALID, "request_timeout",
                          "the head of the request took too long to come", NULL);
        break;
    case 411:
        ignored = kl_fail(&err, KL_ERR_INVALID, "invalid_length",
                          "the length of the body is not stated clearly", NULL);
        break;
    case 413:
        ignored = kl_fail(&err, KL_ERR_INVALID, "header_too_large",
                          "the head of the request is too large", NULL);
        break;
    case 505:
        ignored = kl_fail(&err, KL_ERR_INVALID, "http_version",
                          "the server speaks HTTP/1.1 and HTTP/1.0", NULL);
        break;
    case 400:
        ignored = kl_fail(&err, KL_ERR_INVALID, "invalid_request",
                          "this is not a well-formed HTTP request", NULL);
        break;
    default:
        ignored = kl_fail(&err, KL_ERR_INTERNAL, "internal_error", "the server made a mistake",
                          "http engine: status %d", http_status);
        break;
    }
    (void)ignored;
    api_response_init(&response);
    api_response_problem(&response, &err, text + 3, NULL);
    response.close = true;
    send_answer(conn, &response, text + 3, false, false);
    api_metrics_count(api_server_app(server)->metrics, API_METRICS_NO_ROUTE, response.status, 0);
    api_response_done(&response);
    return 0;
}

static int on_connection(const struct mg_connection *conn, void **ret_data)
{
    (void)conn;
    *ret_data = api_tls_accepted();
    return 0;
}

static int on_log(const struct mg_connection *conn, const char *message)
{
    (void)conn;
    kl_log(KL_LOG_DEBUG, "http_engine", KL_LOG_TEXT("text", message));
    return 1;
}

void api_server_callbacks(bool metrics, struct mg_callbacks *ret_callbacks)
{
    memset(ret_callbacks, 0, sizeof *ret_callbacks);
    ret_callbacks->begin_request = metrics ? on_metrics_request : on_request;
    ret_callbacks->http_error = on_http_error;
    ret_callbacks->init_connection = on_connection;
    ret_callbacks->log_message = on_log;
}
