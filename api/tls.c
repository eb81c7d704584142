/*
 * One TLS connection: handshake with poll and a deadline, reading ahead, one send per flight of the
 * handshake.
 */
#include "api/tls_internal.h"
#include "kluis/base/log.h"
#include "kluis/base/time.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <mbedtls/net_sockets.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define POLL_SLICE_MS 100   /* how long a stop may go unseen */
#define DRAIN_FAILED_MS 200 /* for the client of a failed handshake to take its alert */
#define DRAIN_CLOSE_MS 500

struct api_tls {
    struct api_tls_options options;
    pthread_mutex_t lock; /* guards config */
    struct api_tls_config *config;
    atomic_bool stopping;
    atomic_ullong handshakes, resumed, failed, timed_out;
};

static _Thread_local struct api_tls_conn *current_conn;
static _Thread_local struct api_tls_conn *accepted_conn;

struct api_tls_conn *api_tls_current(void)
{
    return current_conn;
}

struct api_tls_conn *api_tls_accepted(void)
{
    struct api_tls_conn *conn = accepted_conn;

    accepted_conn = NULL;
    return conn;
}

/* ---- the server's side ---- */

static char *copy_of(const char *text, bool *ok)
{
    char *copy = text == NULL ? NULL : strdup(text);

    *ok = *ok && (text == NULL || copy != NULL);
    return copy;
}

enum kl_status api_tls_new(const struct api_tls_options *options, struct api_tls **ret_tls,
                           struct kl_err *err)
{
    struct api_tls *tls = NULL;
    bool ok = true;
    enum kl_status status = api_tls_process_init(err);

    if (status != KL_OK) {
        return status;
    }
    assert(options->cert_file != NULL && options->key_file != NULL &&
           options->handshake_timeout_ms > 0);
    assert(options->client_auth == API_CLIENT_AUTH_NONE || options->client_ca_file != NULL);
    tls = calloc(1, sizeof *tls);
    if (tls == NULL || pthread_mutex_init(&tls->lock, NULL) != 0) {
        free(tls);
        return kl_fail_memory(err);
    }
    tls->options = *options;
    tls->options.cert_file = copy_of(options->cert_file, &ok);
    tls->options.key_file = copy_of(options->key_file, &ok);
    tls->options.client_ca_file = copy_of(options->client_ca_file, &ok);
    status = ok ? api_tls_config_load(&tls->options, &tls->config, err) : kl_fail_memory(err);
    if (status != KL_OK) {
        api_tls_free(tls);
        return status;
    }
    *ret_tls = tls;
    return KL_OK;
}

void api_tls_free(struct api_tls *tls)
{
    if (tls == NULL) {
        return;
    }
    api_tls_config_unref(tls->config);
    pthread_mutex_destroy(&tls->lock);
    free((char *)tls->options.cert_file);
    free((char *)tls->options.key_file);
    free((char *)tls->options.client_ca_file);
    free(tls);
}

enum kl_status api_tls_reload(struct api_tls *tls, struct kl_err *err)
{
    struct api_tls_config *config = NULL;
    struct api_tls_config *old;
    enum kl_status status = api_tls_config_load(&tls->options, &config, err);

    if (status != KL_OK) {
        return status;
    }
    pthread_mutex_lock(&tls->lock);
    old = tls->config;
    tls->config = config;
    pthread_mutex_unlock(&tls->lock);
    api_tls_config_unref(old);
    return KL_OK;
}

void api_tls_stop(struct api_tls *tls)
{
    atomic_store(&tls->stopping, true);
}

void api_tls_counts(struct api_tls *tls, struct api_tls_counts *ret_counts)
{
    ret_counts->handshakes = atomic_load(&tls->handshakes);
    ret_counts->resumed = atomic_load(&tls->resumed);
    ret_counts->failed = atomic_load(&tls->failed);
    ret_counts->timed_out = atomic_load(&tls->timed_out);
}

/* ---- bytes in and out ---- */

static bool past_deadline(const struct api_tls_conn *conn)
{
    return conn->deadline_us != 0 && kl_time_monotonic_us() > conn->deadline_us;
}

static int send_bytes(struct api_tls_conn *conn, const unsigned char *bytes, size_t size)
{
    for (;;) {
        ssize_t sent = send(conn->fd, bytes, size, MSG_NOSIGNAL);
        if (sent >= 0) {
            return (int)sent;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return MBEDTLS_ERR_SSL_WANT_WRITE;
        }
        if (errno != EINTR) {
            return MBEDTLS_ERR_NET_SEND_FAILED;
        }
    }
}

/* Send what of the flight is held back. 0 when all is gone. */
static int send_flight(struct api_tls_conn *conn)
{
    while (conn->flight_size > 0) {
        int sent = send_bytes(conn, conn->flight, conn->flight_size);
        if (sent < 0) {
            return sent;
        }
        conn->flight_size -= (size_t)sent;
        memmove(conn->flight, conn->flight + sent, conn->flight_size);
    }
    return 0;
}

static int on_send(void *context, const unsigned char *bytes, size_t size)
{
    struct api_tls_conn *conn = context;

    if (conn->in_handshake && size <= API_TLS_FLIGHT_BYTES - conn->flight_size) {
        memcpy(conn->flight + conn->flight_size, bytes, size);
        conn->flight_size += size;
        return (int)size;
    }
    int code = send_flight(conn);
    return code != 0 ? code : send_bytes(conn, bytes, size);
}

static int receive(struct api_tls_conn *conn, unsigned char *bytes, size_t size)
{
    for (;;) {
        ssize_t got = recv(conn->fd, bytes, size, 0);
        if (got > 0) {
            return (int)got;
        }
        if (got == 0) {
            return MBEDTLS_ERR_SSL_CONN_EOF;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return MBEDTLS_ERR_SSL_WANT_READ;
        }
        if (errno != EINTR) {
            return MBEDTLS_ERR_NET_RECV_FAILED;
        }
    }
}

static int on_receive(void *context, unsigned char *bytes, size_t size)
{
    struct api_tls_conn *conn = context;

    if (conn->in_handshake && conn->flight_size > 0) {
        int code = send_flight(conn);
        if (code != 0) {
            return code;
        }
    }
    if (conn->ahead_at == conn->ahead_end) {
        if (size >= sizeof conn->read_ahead) {
            return receive(conn, bytes, size);
        }
        int got = receive(conn, conn->read_ahead, sizeof conn->read_ahead);
        if (got < 0) {
            return got;
        }
        conn->ahead_at = 0;
        conn->ahead_end = (size_t)got;
    }
    if (size > conn->ahead_end - conn->ahead_at) {
        size = conn->ahead_end - conn->ahead_at;
    }
    memcpy(bytes, conn->read_ahead + conn->ahead_at, size);
    conn->ahead_at += size;
    return (int)size;
}

/* ---- the handshake ---- */

/*
 * One step; notes what the steps tell: a new ClientHello offers its tickets anew, and only a full
 * handshake sends our certificate.
 */
static int step(struct api_tls_conn *conn)
{
    int state = conn->ssl.MBEDTLS_PRIVATE(state);

    if (state == MBEDTLS_SSL_CLIENT_HELLO) {
        conn->has_candidate = false;
    } else if (state == MBEDTLS_SSL_SERVER_CERTIFICATE ||
               state == MBEDTLS_SSL_CERTIFICATE_REQUEST) {
        conn->sent_certificate = true;
    }
    return mbedtls_ssl_handshake_step(&conn->ssl);
}

/*
 * Wait until the socket can do what Mbed TLS wants. False at the deadline, or when the server
 * stops.
 */
static bool wait_for(const struct api_tls_conn *conn, int wanted, int64_t deadline_us)
{
    struct pollfd poll_fd = {.fd = conn->fd,
                             .events = wanted == MBEDTLS_ERR_SSL_WANT_WRITE ? POLLOUT : POLLIN};

    while (!atomic_load(&conn->tls->stopping)) {
        int64_t left_ms = (deadline_us - kl_time_monotonic_us()) / 1000;
        if (left_ms <= 0) {
            return false;
        }
        int ready = poll(&poll_fd, 1, left_ms < POLL_SLICE_MS ? (int)left_ms : POLL_SLICE_MS);
        if (ready > 0) {
            return true;
        }
        if (ready < 0 && errno != EINTR) {
            return false;
        }
    }
    return false;
}

/* 0 when the connection is up. */
static int shake_hands(struct api_tls_conn *conn)
{
    int64_t deadline_us =
        kl_time_monotonic_us() + (int64_t)conn->tls->options.handshake_timeout_ms * 1000;
    int code = 0;

    for (;;) {
        /* Not mbedtls_ssl_is_handshake_over(): in TLS 1.3 our tickets are sent after that point. */
        while (code == 0 && conn->ssl.MBEDTLS_PRIVATE(state) != MBEDTLS_SSL_HANDSHAKE_OVER) {
            code = step(conn);
        }
        if (code == 0) {
            code = send_flight(conn);
        }
        if (code == 0) {
            return 0;
        }
        if (code != MBEDTLS_ERR_SSL_WANT_READ && code != MBEDTLS_ERR_SSL_WANT_WRITE) {
            return code;
        }
        if (!wait_for(conn, code, deadline_us)) {
            return MBEDTLS_ERR_SSL_TIMEOUT;
        }
        code = 0;
    }
}

/*
 * Take in what the client still sends, so that closing does not reset the connection before it has
 * read our last words.
 */
static void drain(int fd, int timeout_ms)
{
    int64_t deadline_us = kl_time_monotonic_us() + (int64_t)timeout_ms * 1000;
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    char rest[4096];

    shutdown(fd, SHUT_WR);
    for (;;) {
        int64_t left_ms = (deadline_us - kl_time_monotonic_us()) / 1000;
        if (left_ms <= 0 || poll(&poll_fd, 1, (int)left_ms) <= 0 ||
            recv(fd, rest, sizeof rest, 0) <= 0) {
            return;
        }
    }
}

static void count_failure(struct api_tls_conn *conn, int code)
{
    struct api_tls *tls = conn->tls;

    atomic_fetch_add(&tls->failed, 1);
    if (code == MBEDTLS_ERR_SSL_TIMEOUT) {
        atomic_fetch_add(&tls->timed_out, 1);
    } else {
        kl_log(KL_LOG_DEBUG, "tls_handshake_failed", KL_LOG_INT("error", code),
               KL_LOG_INT("certificate_flags", mbedtls_ssl_get_verify_result(&conn->ssl)));
    }
}

static void conn_free(struct api_tls_conn *conn)
{
    mbedtls_ssl_free(&conn->ssl);
    api_tls_config_unref(conn->config);
    free(conn->flight);
    explicit_bzero(conn, sizeof *conn);
    free(conn);
}

/*
 * After a handshake: the identity is that of a certificate shown now, or of the ticket that was
 * taken.
 */
static void settle(struct api_tls_conn *conn)
{
    const mbedtls_ssl_session *session = conn->ssl.MBEDTLS_PRIVATE(session);

    conn->in_handshake = false;
    free(conn->flight);
    conn->flight = NULL;
    conn->resumed = !conn->sent_certificate;
    if (conn->resumed) {
        if (conn->has_candidate) {
            conn->identity = conn->candidate;
        }
    } else if (session == NULL || !api_tls_session_identity(session, &conn->identity)) {
        conn->identity.has_certificate = false;
    }
    atomic_fetch_add(&conn->tls->handshakes, 1);
    if (conn->resumed) {
        atomic_fetch_add(&conn->tls->resumed, 1);
    }
}

struct api_tls_conn *api_tls_accept(struct api_tls *tls, int fd)
{
    struct api_tls_conn *conn;
    int code;

    accepted_conn = NULL;
    if (atomic_load(&tls->stopping)) {
        return NULL;
    }
    conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        return NULL;
    }
    conn->flight = malloc(API_TLS_FLIGHT_BYTES);
    if (conn->flight == NULL) {
        free(conn);
        return NULL;
    }
    conn->tls = tls;
    conn->fd = fd;
    conn->in_handshake = true;
    pthread_mutex_lock(&tls->lock);
    conn->config = api_tls_config_ref(tls->config);
    pthread_mutex_unlock(&tls->lock);
    mbedtls_ssl_init(&conn->ssl);
    code = mbedtls_ssl_setup(&conn->ssl, &conn->config->ssl);
    if (code == 0) {
        mbedtls_ssl_set_bio(&conn->ssl, conn, on_send, on_receive, NULL);
        current_conn = conn;
        code = shake_hands(conn);
        current_conn = NULL;
    }
    if (code != 0) {
        count_failure(conn, code);
        if (code != MBEDTLS_ERR_SSL_TIMEOUT && send_flight(conn) == 0) {
            drain(fd, DRAIN_FAILED_MS);
        }
        conn_free(conn);
        return NULL;
    }
    settle(conn);
    accepted_conn = conn;
    return conn;
}

void api_tls_close(struct api_tls_conn *conn)
{
    if (conn == NULL) {
        return;
    }
    if (accepted_conn == conn) {
        accepted_conn = NULL;
    }
    mbedtls_ssl_close_notify(&conn->ssl);
    if (conn->drain) {
        drain(conn->fd, DRAIN_CLOSE_MS);
    }
    conn_free(conn);
}

/* ---- after it ---- */

int api_tls_read(struct api_tls_conn *conn, unsigned char *bytes, int size)
{
    if (size <= 0 || past_deadline(conn)) {
        return MBEDTLS_ERR_SSL_TIMEOUT;
    }
    return mbedtls_ssl_read(&conn->ssl, bytes, (size_t)size);
}

int api_tls_write(struct api_tls_conn *conn, const unsigned char *bytes, int size)
{
    if (size <= 0 || past_deadline(conn)) {
        return MBEDTLS_ERR_SSL_TIMEOUT;
    }
    return mbedtls_ssl_write(&conn->ssl, bytes, (size_t)size);
}

int api_tls_pending(const struct api_tls_conn *conn)
{
    size_t decrypted = mbedtls_ssl_get_bytes_avail(&conn->ssl);

    if (decrypted > 0) {
        return decrypted > INT_MAX ? INT_MAX : (int)decrypted;
    }
    return conn->ahead_at < conn->ahead_end || mbedtls_ssl_check_pending(&conn->ssl) ? INT_MAX : 0;
}

const unsigned char *api_tls_conn_certificate(const struct api_tls_conn *conn)
{
    return conn->identity.has_certificate ? conn->identity.sha256 : NULL;
}

bool api_tls_conn_resumed(const struct api_tls_conn *conn)
{
    return conn->resumed;
}

void api_tls_conn_deadline(struct api_tls_conn *conn, int64_t deadline_us)
{
    conn->deadline_us = deadline_us;
}

void api_tls_conn_drain(struct api_tls_conn *conn)
{
    conn->drain = true;
}
