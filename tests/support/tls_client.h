/* A TLS client for tests, over Mbed TLS, with blocking sockets on the loopback address. */
#ifndef KLUIS_TESTS_SUPPORT_TLS_CLIENT_H
#define KLUIS_TESTS_SUPPORT_TLS_CLIENT_H

#include "tests/support/tls_certificates.h"

#include <stdbool.h>
#include <stddef.h>

struct test_session;
struct test_client;

/*
 * trusted      the authority of the server, whose name must be "localhost"; NULL: anything goes.
 * certificate  the client's own; NULL: none.
 * session      to be resumed; NULL: none. It stays the caller's.
 * alpn         a protocol to offer; NULL: none.
 */
struct test_client_options {
    int port;
    bool only_tls12;
    bool only_tls13;
    const struct test_certificate *trusted;
    const struct test_certificate *certificate;
    struct test_session *session;
    const char *alpn;
};

/* NULL when the handshake fails; *ret_error (may be NULL) is Mbed TLS's code then. */
struct test_client *test_client_open(const struct test_client_options *options, int *ret_error);
void test_client_close(struct test_client *client);
/* Close the socket without a word. */
void test_client_drop(struct test_client *client);

/* True when all was sent. */
bool test_client_send(struct test_client *client, const void *bytes, size_t size);
/* Up to size bytes; 0 at the end or after a failure. Waits at most 10 s. */
size_t test_client_receive(struct test_client *client, void *bytes, size_t size);

/*
 * The session to resume, taken after something was received (TLS 1.3 sends tickets after the
 * handshake); NULL: the server gave none.
 */
struct test_session *test_client_session(struct test_client *client);
void test_session_free(struct test_session *session);

/* The hash of the server's certificate. */
void test_client_peer_hash(struct test_client *client, unsigned char ret_sha256[TEST_HASH_BYTES]);
bool test_client_is_tls13(struct test_client *client);

/* ---- HTTP ---- */

#define TEST_HEAD_MAX_BYTES 4096

/* One answer: its head as text, and the body (malloc'ed, 0-terminated). */
struct test_answer {
    int status;
    char head[TEST_HEAD_MAX_BYTES];
    char *body;
    size_t body_bytes;
};

/* Read one answer. has_body: false for the answer to HEAD. False when the connection ends first. */
bool test_client_answer(struct test_client *client, bool has_body, struct test_answer *ret_answer);
void test_answer_done(struct test_answer *answer);
/* The value of a header; NULL when there is none. Valid until the next call. */
const char *test_answer_header(const struct test_answer *answer, const char *name);
/*
 * Send a request with a body (NULL: none) and more header lines ("A: b\r\n"; NULL: none), and read
 * the answer.
 */
bool test_client_request(struct test_client *client, const char *method, const char *target,
                         const char *headers, const char *body, struct test_answer *ret_answer);

/* A plain TCP connection to that port of the loopback address. */
int test_tcp_open(int port);

#endif
