/*
 * The HTTPS server: it answers version 1 of the API (api/openapi.json) for
 * one open vault, with its stores.
 *
 * Threads: start, stop from one; reload from any (not from a signal handler).
 */
#ifndef KLUIS_API_SERVER_H
#define KLUIS_API_SERVER_H

#include "kluis/base/status.h"
#include "kluis/vault/stores.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define API_BODY_MAX_BYTES_DEFAULT (1024u * 1024u)
#define API_BATCH_BODY_MAX_BYTES_DEFAULT (8u * 1024u * 1024u)
#define API_BODY_MAX_BYTES_LIMIT (64u * 1024u * 1024u)
#define API_THREADS_DEFAULT 128
#define API_THREADS_MAX 1024
#define API_LISTEN_MAX 16 /* addresses */

/*
 * Client certificates: not asked for; taken when shown; required. One that does not verify is
 * refused in any case.
 */
enum api_client_auth { API_CLIENT_AUTH_NONE, API_CLIENT_AUTH_OPTIONAL, API_CLIENT_AUTH_REQUIRED };

/*
 * Zeroed members take the default that stands behind them. Texts are copied.
 *
 * listen                 addresses "127.0.0.1:8443", "[::1]:8443", ":8443" (all); port 0 takes a
 *                        free one. 1..API_LISTEN_MAX.
 * metrics_listen         one address that gives /metrics, /healthz and /readyz in plain HTTP
 *                        without a credential; NULL: none. Loopback only ("127.0.0.1:", "[::1]:").
 * cert_file, key_file    PEM; the key may be EC P-256, P-384 or RSA.
 * client_ca_file         PEM; NULL: none. Needed for a client_auth other than NONE.
 * tickets_off            no session resumption.
 * webhook_ca_file        who vouches for the targets of webhooks (PEM), and nobody else; NULL: whom the system trusts.
 * webhook_private        targets of webhooks may have addresses that are not public.
 */
struct api_server_options {
    const char *const *listen;
    size_t listen_count;
    const char *metrics_listen;
    const char *cert_file;
    const char *key_file;
    const char *client_ca_file;
    enum api_client_auth client_auth;
    bool tickets_off;
    const char *webhook_ca_file;
    bool webhook_private;
    int threads;              /* API_THREADS_DEFAULT; 1..API_THREADS_MAX */
    size_t body_max_bytes;    /* API_BODY_MAX_BYTES_DEFAULT; at most API_BODY_MAX_BYTES_LIMIT */
    size_t batch_max_bytes;   /* API_BATCH_BODY_MAX_BYTES_DEFAULT; the same limit */
    uint64_t file_max_bytes;  /* VAULT_FILE_MAX_BYTES_DEFAULT; at most VAULT_FILE_MAX_BYTES_LIMIT */
    int handshake_timeout_ms; /* 5000 */
    int request_timeout_ms;   /* 10000: for the head, for the body, for the answer to be taken */
    int keep_alive_timeout_ms; /* 60000: how long a connection may be idle */
    int drain_timeout_ms;      /* 10000: how long api_server_stop() waits for requests under way */
};

struct api_server;

/*
 * Listen and answer. stores must outlive the server.
 * KL_ERR_INVALID "invalid_option" (the text names it), "invalid_certificate", "invalid_key",
 * "key_mismatch", "invalid_client_ca";
 * KL_ERR_IO a file cannot be read, or "cannot_listen"; KL_ERR_NO_MEMORY; KL_ERR_INTERNAL.
 */
KL_MUST_USE enum kl_status api_server_start(struct vault_stores *stores,
                                            const struct api_server_options *options,
                                            struct api_server **ret_server, struct kl_err *err);
/*
 * Read certificate, key and client authority again; on failure the old ones stay in use. Errors as
 * of api_server_start().
 */
KL_MUST_USE enum kl_status api_server_reload(struct api_server *server, struct kl_err *err);
/* Finish the requests under way (new ones get 503), then end. Frees the server; NULL is fine. */
void api_server_stop(struct api_server *server);

/*
 * The port that the listen address of that index got (from 0); the metrics listener's with
 * API_LISTEN_METRICS; 0: none.
 */
#define API_LISTEN_METRICS ((size_t)-1)
int api_server_port(const struct api_server *server, size_t listen_index);

#endif
