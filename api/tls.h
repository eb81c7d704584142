/*
 * TLS 1.2 and 1.3 for the server: AEAD suites, X25519, P-256 and P-384, client certificates,
 * session tickets that carry the client's certificate hash, reload without a pause. Over Mbed TLS;
 * CivetWeb calls it through api/civetweb/mod_mbedtls.inl.
 *
 * Who the client is: with a client certificate that the configured authority signed,
 * api_tls_conn_certificate() gives its SHA-256. Mbed TLS forgets the certificate when a TLS 1.3
 * session is resumed, so the hash travels inside the ticket, sealed; a certificate that does not
 * verify ends the handshake, also where certificates are optional.
 *
 * Threads: api_tls_new, api_tls_free from one; a connection belongs to one thread at a time; all
 * else from any.
 */
#ifndef KLUIS_API_TLS_H
#define KLUIS_API_TLS_H

#include "kluis/api/server.h"
#include "kluis/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define API_TLS_CERTIFICATE_HASH_BYTES 32 /* SHA-256 of the DER form */

struct api_tls;
struct api_tls_conn;

/*
 * cert_file and key_file: PEM; client_ca_file: PEM, NULL without client certificates. Texts are
 * copied.
 */
struct api_tls_options {
    const char *cert_file;
    const char *key_file;
    const char *client_ca_file;
    enum api_client_auth client_auth;
    int handshake_timeout_ms; /* 1..600000 */
    bool tickets;
};

/* What happened since the start. */
struct api_tls_counts {
    uint64_t handshakes;
    uint64_t resumed; /* of them */
    uint64_t failed;
    uint64_t timed_out; /* of the failed */
};

/*
 * Load certificate, key and authority. The first call sets up Mbed TLS for the process: its memory
 * is wiped when freed.
 * KL_ERR_INVALID "invalid_certificate", "invalid_key", "key_mismatch", "invalid_client_ca";
 * KL_ERR_IO a file cannot be read;
 * KL_ERR_NO_MEMORY; KL_ERR_INTERNAL.
 */
KL_MUST_USE enum kl_status api_tls_new(const struct api_tls_options *options,
                                       struct api_tls **ret_tls, struct kl_err *err);
/* No connection may be open. NULL is fine. */
void api_tls_free(struct api_tls *tls);
/*
 * Read the files again. New connections get what they hold now, open ones keep what they have. On
 * failure nothing changes. Tickets given before are not taken any more: the client authority may be
 * another one. Errors as of api_tls_new().
 */
KL_MUST_USE enum kl_status api_tls_reload(struct api_tls *tls, struct kl_err *err);
/* Handshakes under way end with a failure, new ones are not begun. */
void api_tls_stop(struct api_tls *tls);
void api_tls_counts(struct api_tls *tls, struct api_tls_counts *ret_counts);

/*
 * Do the handshake on a connected non-blocking socket, which stays the caller's. Waits without
 * using the processor, at most handshake_timeout_ms. NULL when it fails; the client has got its
 * alert by then.
 */
struct api_tls_conn *api_tls_accept(struct api_tls *tls, int fd);
/* Say goodbye and free. NULL is fine. */
void api_tls_close(struct api_tls_conn *conn);

/*
 * Bytes read (1..size), 0 or a negative Mbed TLS error; MBEDTLS_ERR_SSL_WANT_READ when there is
 * nothing yet. Never waits.
 */
int api_tls_read(struct api_tls_conn *conn, unsigned char *bytes, int size);
/*
 * Bytes written (at most 16 KiB a call), or a negative error; on WANT_WRITE call again with the
 * same arguments. Never waits.
 */
int api_tls_write(struct api_tls_conn *conn, const unsigned char *bytes, int size);
/*
 * How much api_tls_read() can give without reading from the socket: exact when decrypted, INT_MAX
 * when raw bytes wait, else 0.
 */
int api_tls_pending(const struct api_tls_conn *conn);

/*
 * The hash of the client's verified certificate (API_TLS_CERTIFICATE_HASH_BYTES); NULL without one.
 */
const unsigned char *api_tls_conn_certificate(const struct api_tls_conn *conn);
bool api_tls_conn_resumed(const struct api_tls_conn *conn);
/* Reads and writes fail once kl_time_monotonic_us() has passed it; 0: never. */
void api_tls_conn_deadline(struct api_tls_conn *conn, int64_t deadline_us);
/*
 * The client may still be sending when the connection is closed: take that in for a moment, so that
 * it gets the answer.
 */
void api_tls_conn_drain(struct api_tls_conn *conn);

/* The connection that api_tls_accept() made last on this thread, once; NULL after that. */
struct api_tls_conn *api_tls_accepted(void);

#endif
