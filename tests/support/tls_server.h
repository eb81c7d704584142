/* A small server over the TLS module of the api alone, on the loopback. */
#ifndef KLUIS_TESTS_SUPPORT_TLS_SERVER_H
#define KLUIS_TESTS_SUPPORT_TLS_SERVER_H

#include "api/tls.h"

#include <pthread.h>
#include <stdatomic.h>

#define TEST_TLS_LINE_BYTES 80 /* "full " or "resumed ", and the hash or "none" */

/*
 * A server that tells each client how the handshake went and whom it sees, then echoes until the
 * end.
 */
struct test_tls_server {
    struct api_tls *tls;
    int listen_fd;
    int port;
    pthread_t thread;
    atomic_bool stopping;
    atomic_llong last_cpu_us; /* of the last handshake, on the server's thread */
};

/* The test fails when it cannot be started. One client at a time, on a thread of its own. */
void test_tls_server_start(struct test_tls_server *server, const struct api_tls_options *options);
void test_tls_server_stop(struct test_tls_server *server);

#endif
