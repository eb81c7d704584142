#include "tests/support/server_fixture.h"

#include "kluis/base/encode.h"
#include "kluis/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define THREADS 4
#define TIMEOUT_MS 600

void test_server_run(struct test_server *server)
{
    static const char *const LISTEN[] = {"127.0.0.1:0"};
    struct api_server_options options = {.listen = LISTEN,
                                         .listen_count = 1,
                                         .metrics_listen = "127.0.0.1:0",
                                         .cert_file = server->certificate.cert_file,
                                         .key_file = server->certificate.key_file,
                                         .client_ca_file = server->client_authority.cert_file,
                                         .client_auth = API_CLIENT_AUTH_OPTIONAL,
                                         .threads = THREADS,
                                         .body_max_bytes = TEST_BODY_MAX_BYTES,
                                         .request_timeout_ms = TIMEOUT_MS,
                                         .handshake_timeout_ms = TIMEOUT_MS,
                                         .keep_alive_timeout_ms = 200000,
                                         .drain_timeout_ms = 5000};
    struct kl_err err = {0};

    assert_int_equal(api_server_start(server->vault.stores, &options, &server->server, &err),
                     KL_OK);
    server->port = api_server_port(server->server, 0);
    assert_true(server->port > 0);
}

struct test_client *test_server_connect(const struct test_server *server)
{
    struct test_client_options options = {.port = server->port, .trusted = &server->authority};
    struct test_client *client = test_client_open(&options, NULL);

    assert_non_null(client);
    return client;
}

void test_server_expect(struct test_client *client, const char *method, const char *target,
                        const char *headers, const char *body, int status, const char *code)
{
    struct test_answer answer;

    assert_true(test_client_request(client, method, target, headers, body, &answer));
    assert_int_equal(answer.status, status);
    if (code != NULL) {
        char text[96];
        snprintf(text, sizeof text, "\"code\":\"%s\"", code);
        assert_non_null(strstr(answer.body, text));
        assert_string_equal(test_answer_header(&answer, "Content-Type"),
                            "application/problem+json");
    }
    test_answer_done(&answer);
}

void test_server_expect_raw(const struct test_server *server, const char *bytes, int status,
                            const char *code)
{
    struct test_client *client = test_server_connect(server);
    struct test_answer answer;
    char text[96];
    char more;

    assert_true(test_client_send(client, bytes, strlen(bytes)));
    assert_true(test_client_answer(client, true, &answer));
    assert_int_equal(answer.status, status);
    snprintf(text, sizeof text, "\"code\":\"%s\"", code);
    assert_non_null(strstr(answer.body, text));
    assert_string_equal(test_answer_header(&answer, "Connection"), "close");
    assert_int_equal(test_client_receive(client, &more, 1), 0);
    test_answer_done(&answer);
    test_client_drop(client);
}

void test_server_body_head(const struct test_server *server, struct test_client *client,
                           size_t size)
{
    char head[512];

    snprintf(head, sizeof head,
             "POST /v1/lookup HTTP/1.1\r\nHost: x\r\n%sContent-Length: %zu\r\n"
             "Content-Type: application/json\r\n\r\n",
             server->authorization, size);
    assert_true(test_client_send(client, head, strlen(head)));
}

void test_server_setup(struct test_server *server)
{
    char hash[2 * TEST_HASH_BYTES + 1];
    struct vault_token none;

    kl_log_level_set(KL_LOG_ERROR);
    test_vault_start(&server->vault);
    const char *dir = server->vault.dir;
    test_certificate_make(dir, "ca", "Test CA", NULL, false, &server->authority);
    test_certificate_make(dir, "server", "localhost", &server->authority, false,
                          &server->certificate);
    test_certificate_make(dir, "cca", "Clients", NULL, false, &server->client_authority);
    test_certificate_make(dir, "client", "app", &server->client_authority, false, &server->client);
    test_certificate_make(dir, "client2", "app2", &server->client_authority, false,
                          &server->other_client);
    test_vault_credential(&server->vault, "clerk", NULL, &server->clerk);
    kl_hex(server->client.sha256, TEST_HASH_BYTES, hash);
    test_vault_credential(&server->vault, "clerk", hash, &none);
    snprintf(server->authorization, sizeof server->authorization, "Authorization: Bearer %s\r\n",
             server->clerk.text);
    test_server_run(server);
}

void test_server_teardown(struct test_server *server)
{
    api_server_stop(server->server);
    test_vault_stop(&server->vault);
}
