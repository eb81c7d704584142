/* What the files of the TLS module share. */
#ifndef KLUIS_API_TLS_INTERNAL_H
#define KLUIS_API_TLS_INTERNAL_H

#include "api/tls.h"

#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* ---- tickets ---- */

#define API_TLS_TICKET_LIFETIME_S 7200
#define API_TLS_TICKET_KEY_BYTES 32
#define API_TLS_TICKET_NAME_BYTES 8
#define API_TLS_TICKET_NONCE_BYTES 24
#define API_TLS_TICKET_TAG_BYTES 16
#define API_TLS_TICKET_OVERHEAD_BYTES \
    (API_TLS_TICKET_NAME_BYTES + API_TLS_TICKET_NONCE_BYTES + API_TLS_TICKET_TAG_BYTES)

/* What is known of a client, and goes into its ticket. */
struct api_tls_identity {
    bool has_certificate;
    unsigned char sha256[API_TLS_CERTIFICATE_HASH_BYTES];
    int64_t not_after_us; /* end of the certificate's life; 0 without one */
};

/* The keys that seal tickets: one in use and the one before it. They live in memory only. */
struct api_tls_tickets;
struct api_tls_tickets *api_tls_tickets_new(void); /* NULL when out of memory */
void api_tls_tickets_free(struct api_tls_tickets *tickets);
/*
 * Seal payload[0..size) with the identity. Returns the bytes written to out (at most out_max), 0
 * when they do not fit.
 */
size_t api_tls_ticket_seal(struct api_tls_tickets *tickets, const struct api_tls_identity *identity,
                           const unsigned char *payload, size_t size, unsigned char *out,
                           size_t out_max, int64_t now_us);
/*
 * Open a ticket in place: *ret_payload points into ticket. False when it was not made with these
 * keys, is damaged or too old, or the certificate in it has ended. Results untouched then.
 */
bool api_tls_ticket_open(struct api_tls_tickets *tickets, unsigned char *ticket, size_t size,
                         int64_t now_us, struct api_tls_identity *ret_identity,
                         unsigned char **ret_payload, size_t *ret_payload_size);

/* ---- one loaded configuration; counted, never changed once in use ---- */

struct api_tls_config {
    atomic_int references;
    mbedtls_ssl_config ssl;
    mbedtls_x509_crt certificate;
    mbedtls_pk_context key;
    mbedtls_x509_crt client_ca;
    struct api_tls_tickets *tickets; /* NULL: none are given */
};
KL_MUST_USE enum kl_status api_tls_config_load(const struct api_tls_options *options,
                                               struct api_tls_config **ret_config,
                                               struct kl_err *err);
struct api_tls_config *api_tls_config_ref(struct api_tls_config *config);
void api_tls_config_unref(struct api_tls_config *config); /* NULL is fine */

/*
 * Ticket callbacks of Mbed TLS; p_ticket is the api_tls_config. They act for the handshake that
 * runs on this thread.
 */
int api_tls_ticket_write(void *p_ticket, const mbedtls_ssl_session *session, unsigned char *start,
                         const unsigned char *end, size_t *tlen, uint32_t *lifetime);
int api_tls_ticket_parse(void *p_ticket, mbedtls_ssl_session *session, unsigned char *ticket,
                         size_t size);

/* Set up Mbed TLS once for the process: memory that wipes, PSA. */
KL_MUST_USE enum kl_status api_tls_process_init(struct kl_err *err);

/*
 * The identity that a session's certificate proves; false when it has none, or one that did not
 * verify.
 */
bool api_tls_session_identity(const mbedtls_ssl_session *session,
                              struct api_tls_identity *ret_identity);

/* ---- one connection ---- */

#define API_TLS_READ_AHEAD_BYTES 4096
#define API_TLS_FLIGHT_BYTES 8192

struct api_tls_conn {
    mbedtls_ssl_context ssl;
    struct api_tls *tls;
    struct api_tls_config *config;
    int fd;
    int64_t deadline_us;
    bool drain;
    bool in_handshake;
    bool sent_certificate; /* the server's: so this is no resumption */
    bool resumed;
    bool has_candidate; /* a ticket of the current ClientHello was opened; no second one is */
    struct api_tls_identity candidate;
    struct api_tls_identity identity;
    size_t ahead_at; /* read_ahead[ahead_at..ahead_end) waits for Mbed TLS */
    size_t ahead_end;
    size_t flight_size;    /* handshake messages held back, so that a flight is one send */
    unsigned char *flight; /* API_TLS_FLIGHT_BYTES during the handshake; NULL after */
    unsigned char read_ahead[API_TLS_READ_AHEAD_BYTES];
};

/* The connection whose handshake runs on this thread; NULL outside of one. */
struct api_tls_conn *api_tls_current(void);

#endif
