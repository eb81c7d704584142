/* The real server over TLS with a real vault, on the loopback. */
#ifndef KLUIS_TESTS_SUPPORT_SERVER_FIXTURE_H
#define KLUIS_TESTS_SUPPORT_SERVER_FIXTURE_H

#include "kluis/api/server.h"
#include "tests/support/api_vault.h"
#include "tests/support/tls_client.h"

#define TEST_BODY_MAX_BYTES 20000 /* what the server takes */

/* clerk: a token; client: a certificate that is a clerk's too; other_client: one that is nobody's. */
struct test_server {
    struct test_vault vault;
    struct test_certificate authority, certificate, client_authority, client, other_client;
    struct vault_token clerk;
    struct api_server *server;
    int port;
    char authorization[128];
};

void test_server_setup(struct test_server *server);
void test_server_teardown(struct test_server *server);

/* Start the server of a fixture that is set up, after it was stopped. */
void test_server_run(struct test_server *server);
struct test_client *test_server_connect(const struct test_server *server);
/* Ask and expect that status; code (may be NULL) is the problem's. */
void test_server_expect(struct test_client *client, const char *method, const char *target,
                        const char *headers, const char *body, int status, const char *code);
/*
 * Send raw bytes on a fresh connection and expect that status and code, and then the end of the
 * connection.
 */
void test_server_expect_raw(const struct test_server *server, const char *bytes, int status,
                            const char *code);
/* Send the head of a lookup by the clerk, with a body of size bytes still to come. */
void test_server_body_head(const struct test_server *server, struct test_client *client,
                           size_t size);

#endif
