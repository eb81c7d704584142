/* Handshakes over the loopback: versions, certificates, tickets, reload, silence. */
#include "api/tls.h"
#include "kluis/base/encode.h"
#include "kluis/base/secret.h"
#include "kluis/base/time.h"
#include "tests/support/tls_certificates.h"
#include "tests/support/tls_client.h"
#include "tests/support/tls_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIMEOUT_MS 400

struct fixture {
    char dir[TEST_PATH_BYTES];
    struct test_certificate authority, server, other_server, client_authority, client;
    struct test_certificate other_authority, stranger, ended;
};

static struct api_tls_options options_of(const struct fixture *fixture, enum api_client_auth auth)
{
    return (struct api_tls_options){
        .cert_file = fixture->server.cert_file,
        .key_file = fixture->server.key_file,
        .client_ca_file = auth == API_CLIENT_AUTH_NONE ? NULL : fixture->client_authority.cert_file,
        .client_auth = auth,
        .handshake_timeout_ms = TIMEOUT_MS,
        .tickets = true};
}

/* The server's line. Empty when the connection ended instead. */
static void read_line(struct test_client *client, char ret_line[TEST_TLS_LINE_BYTES + 1])
{
    size_t used = 0;

    while (used < TEST_TLS_LINE_BYTES && test_client_receive(client, ret_line + used, 1) == 1 &&
           ret_line[used] != '\n') {
        used++;
    }
    ret_line[used] = '\0';
}

/* Connect, expect that line, and (ret_session not NULL) take the session along. */
static void expect_line(const struct test_client_options *options, const char *expected,
                        struct test_session **ret_session)
{
    char line[TEST_TLS_LINE_BYTES + 1];
    struct test_client *client = test_client_open(options, NULL);

    assert_non_null(client);
    read_line(client, line);
    assert_string_equal(line, expected);
    if (ret_session != NULL) {
        *ret_session = test_client_session(client);
        assert_non_null(*ret_session);
    }
    test_client_close(client);
}

/*
 * The client must be refused: by a failing handshake, or (TLS 1.3) by an alert in place of the
 * first answer.
 */
static void expect_refusal(const struct test_client_options *options)
{
    char line[TEST_TLS_LINE_BYTES + 1];
    struct test_client *client = test_client_open(options, NULL);

    if (client != NULL) {
        read_line(client, line);
        assert_string_equal(line, "");
        test_client_drop(client);
    }
}

static void line_of(const char *how, const struct test_certificate *certificate,
                    char ret_line[TEST_TLS_LINE_BYTES + 1])
{
    char hash[2 * TEST_HASH_BYTES + 1];

    kl_hex(certificate->sha256, TEST_HASH_BYTES, hash);
    snprintf(ret_line, TEST_TLS_LINE_BYTES + 1, "%s %s", how, hash);
}

/* ---- versions and protocols ---- */

static void test_tls_13_and_12_connect_and_carry_data(void **state)
{
    const struct fixture *fixture = *state;
    struct api_tls_options server_options = options_of(fixture, API_CLIENT_AUTH_NONE);
    struct test_tls_server server;

    test_tls_server_start(&server, &server_options);
    for (int tls12 = 0; tls12 < 2; tls12++) {
        struct test_client_options options = {
            .port = server.port, .only_tls12 = tls12 == 1, .trusted = &fixture->authority};
        struct test_client *client = test_client_open(&options, NULL);
        char line[TEST_TLS_LINE_BYTES + 1];
        char echo[6] = "";
        assert_non_null(client);
        assert_int_equal(test_client_is_tls13(client), tls12 == 0);
        read_line(client, line);
        assert_string_equal(line, "full none");
        assert_true(test_client_send(client, "hello", 5));
        assert_int_equal(test_client_receive(client, echo, 5), 5);
        assert_string_equal(echo, "hello");
        test_client_close(client);
    }
    test_tls_server_stop(&server);
}

/* Send a hand-made ClientHello and read the alert that comes back. */
static int alert_for(int port, const unsigned char *hello, size_t size)
{
    unsigned char record[7] = {0};
    int fd = test_tcp_open(port);
    size_t used = 0;

    assert_int_equal(send(fd, hello, size, MSG_NOSIGNAL), size);
    while (used < sizeof record) {
        ssize_t got = recv(fd, record + used, sizeof record - used, 0);
        assert_true(got > 0);
        used += (size_t)got;
    }
    close(fd);
    assert_int_equal(record[0], 21); /* alert (RFC 8446, 5.1) */
    return record[6];
}

static void test_tls_11_is_refused_with_protocol_version(void **state)
{
    const struct fixture *fixture = *state;
    struct api_tls_options server_options = options_of(fixture, API_CLIENT_AUTH_NONE);
    /* version 1.1, one suite, no extensions */
    unsigned char hello[5 + 4 + 2 + 32 + 1 + 4 + 2] = {22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2};
    struct test_tls_server server;

    hello[sizeof hello - 6] = 0;
    hello[sizeof hello - 5] = 2;
    hello[sizeof hello - 4] = 0xc0;
    hello[sizeof hello - 3] = 0x2b;
    hello[sizeof hello - 2] = 1;
    test_tls_server_start(&server, &server_options);
    assert_int_equal(alert_for(server.port, hello, sizeof hello), 70);
    test_tls_server_stop(&server);
}

static void test_tls_refuses_a_client_that_speaks_only_http2(void **state)
{
    const struct fixture *fixture = *state;
    struct api_tls_options server_options = options_of(fixture, API_CLIENT_AUTH_NONE);
    struct test_tls_server server;

    test_tls_server_start(&server, &server_options);
    struct test_client_options options = {.port = server.port, .alpn = "h2"};
    expect_refusal(&options);
    options.alpn = "http/1.1";
    expect_line(&options, "full none", NULL);
    test_tls_server_stop(&server);
}

/* ---- client certificates ---- */

static void test_tls_optional_takes_none_and_a_good_certificate(void **state)
{
    const struct fixture *fixture = *state;
    struct api_tls_options server_options = options_of(fixture, API_CLIENT_AUTH_OPTIONAL);
    char expected[TEST_TLS_LINE_BYTES + 1];
    struct test_tls_server server;

    test_tls_server_start(&server, &server_options);
    line_of("full", &fixture->client, expected);
    for (int tls12 = 0; tls12 < 2; tls12++) {
        struct test_client_options options = {.port = server.port, .only_tls12 = tls12 == 1};
        expect_line(&options, "full none", NULL);
        options.certificate = &fixture->client;
        expect_line(&options, expected, NULL);
    }
    test_tls_server_stop(&server);
}

static void test_tls_refuses_an_untrusted_and_an_ended_certificate(void **state)
{
    const struct fixture *fixture = *state;
    static const enum api_client_auth MODES[] = {API_CLIENT_AUTH_OPTIONAL,
                                                 API_CLIENT_AUTH_REQUIRED};

    for (size_t i = 0; i < 2; i++) {
        struct api_tls_options server_options = options_of(fixture, MODES[i]);
        struct test_tls_server server;
        test_tls_server_start(&server, &server_options);
        for (int tls12 = 0; tls12 < 2; tls12++) {
            struct test_client_options options = {
                .port = server.port, .only_tls12 = tls12 == 1, .certificate = &fixture->stranger};
            expect_refusal(&options);
            options.certificate = &fixture->ended;
            expect_refusal(&options);
        }
        test_tls_server_stop(&server);
    }
}

static void test_tls_required_refuses_a_client_without_certificate(void **state)
{
    const struct fixture *fixture = *state;
    struct api_tls_options server_options = options_of(fixture, API_CLIENT_AUTH_REQUIRED);
    char expected[TEST_TLS_LINE_BYTES + 1];
    struct test_tls_server server;

    test_tls_server_start(&server, &server_options);
    line_of("full", &fixture->client, expected);
    for (int tls12 = 0; tls12 < 2; tls12++) {
        struct test_client_options options = {.port = server.port, .only_tls12 = tls12 == 1};
        expect_refusal(&options);
        options.certificate = &fixture->client;
        expect_line(&options, expected, NULL);
    }
    test_tls_server_stop(&server);
}

/* ---- tickets ---- */

static void test_tls_resumption_keeps_the_certificate(void **state)
{
    const struct fixture *fixture = *state;
    struct api_tls_options server_options = options_of(fixture, API_CLIENT_AUTH_OPTIONAL);
    struct test_tls_server server;

    test_tls_server_start(&server, &server_options);
    for (int tls12 = 0; tls12 < 2; tls12++) {
        struct test_client_options options = {
            .port = server.port, .only_tls12 = tls12 == 1, .certificate = &fixture->client};
        struct test_session *session = NULL;
        struct test_session *second = NULL;
        char full[TEST_TLS_LINE_BYTES + 1];
        char resumed[TEST_TLS_LINE_BYTES + 1];
        line_of("full", &fixture->client, full);
        line_of("resumed", &fixture->client, resumed);
        expect_line(&options, full, &session);
        options.session = session;
        expect_line(&options, resumed, &second);
        options.session = second;
        expect_line(&options, resumed, NULL);
        test_session_free(session);
        test_session_free(second);
    }
    test_tls_server_stop(&server);
}

static void test_tls_resumption_without_certificate_stays_without(void **state)
{
    const struct fixture *fixture = *state;
    struct api_tls_options server_options = options_of(fixture, API_CLIENT_AUTH_OPTIONAL);
    struct test_tls_server server;

    test_tls_server_start(&server, &server_options);
    for (int tls12 = 0; tls12 < 2; tls12++) {
        struct test_client_options options = {.port = server.port, .only_tls12 = tls12 == 1};
        struct test_session *session = NULL;
        expect_line(&options, "full none", &session);
        options.session = session;
        options.certificate =
            &fixture->stranger; /* is not shown in a resumption, and proves nothing */
        expect_line(&options, "resumed none", NULL);
        test_session_free(session);
    }
    test_tls_server_stop(&server);
}

static void test_tls_reload_ends_the_tickets_of_a_dropped_authority(void **state)
{
    const struct fixture *fixture = *state;
    struct api_tls_options server_options = options_of(fixture, API_CLIENT_AUTH_OPTIONAL);
    char ca_file[TEST_PATH_BYTES + 16];
    struct test_session *session = NULL;
    struct kl_err err = {0};
    char full[TEST_TLS_LINE_BYTES + 1];
    struct test_tls_server server;

    snprintf(ca_file, sizeof ca_file, "%s/current-ca.crt", fixture->dir);
    assert_int_equal(symlink(fixture->client_authority.cert_file, ca_file), 0);
    server_options.client_ca_file = ca_file;
    test_tls_server_start(&server, &server_options);
    struct test_client_options options = {.port = server.port, .certificate = &fixture->client};
    line_of("full", &fixture->client, full);
    expect_line(&options, full, &session);
    assert_int_equal(unlink(ca_file), 0);
    assert_int_equal(symlink(fixture->other_authority.cert_file, ca_file), 0);
    assert_int_equal(api_tls_reload(server.tls, &err), KL_OK);
    options.session = session;
    expect_refusal(&options);
    test_session_free(session);
    test_tls_server_stop(&server);
}

static void test_tls_without_tickets_never_resumes(void **state)
{
    const struct fixture *fixture = *state;
    struct api_tls_options server_options = options_of(fixture, API_CLIENT_AUTH_NONE);
    char line[TEST_TLS_LINE_BYTES + 1];
    struct test_tls_server server;

    server_options.tickets = false;
    test_tls_server_start(&server, &server_options);
    struct test_client_options options = {.port = server.port, .only_tls13 = true};
    struct test_client *client = test_client_open(&options, NULL);
    assert_non_null(client);
    read_line(client, line);
    assert_string_equal(line, "full none");
    assert_null(test_client_session(client));
    test_client_close(client);
    test_tls_server_stop(&server);
}

/* ---- reload ---- */

static void expect_server(int port, const struct test_certificate *expected)
{
    struct test_client_options options = {.port = port};
    unsigned char hash[TEST_HASH_BYTES];
    struct test_client *client = test_client_open(&options, NULL);

    assert_non_null(client);
    test_client_peer_hash(client, hash);
    assert_memory_equal(hash, expected->sha256, sizeof hash);
    test_client_close(client);
}

static void relink(const char *target, const char *path)
{
    unlink(path);
    assert_int_equal(symlink(target, path), 0);
}

static void test_tls_reload_changes_the_certificate_of_new_connections_only(void **state)
{
    const struct fixture *fixture = *state;
    struct api_tls_options server_options = options_of(fixture, API_CLIENT_AUTH_NONE);
    char cert[TEST_PATH_BYTES + 16];
    char key[TEST_PATH_BYTES + 16];
    struct kl_err err = {0};
    struct test_tls_server server;

    snprintf(cert, sizeof cert, "%s/current.crt", fixture->dir);
    snprintf(key, sizeof key, "%s/current.key", fixture->dir);
    relink(fixture->server.cert_file, cert);
    relink(fixture->server.key_file, key);
    server_options.cert_file = cert;
    server_options.key_file = key;
    test_tls_server_start(&server, &server_options);
    expect_server(server.port, &fixture->server);

    relink(fixture->other_server.cert_file, cert);
    assert_int_equal(api_tls_reload(server.tls, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "key_mismatch");
    expect_server(server.port, &fixture->server);

    kl_err_clear(&err);
    relink("/dev/null", key);
    assert_int_equal(api_tls_reload(server.tls, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_key");
    expect_server(server.port, &fixture->server);

    kl_err_clear(&err);
    relink(fixture->other_server.key_file, key);
    assert_int_equal(api_tls_reload(server.tls, &err), KL_OK);
    expect_server(server.port, &fixture->other_server);
    test_tls_server_stop(&server);
}

static void test_tls_new_names_the_file_that_is_wrong(void **state)
{
    const struct fixture *fixture = *state;
    struct api_tls *tls = NULL;
    struct kl_err err = {0};
    struct api_tls_options options = options_of(fixture, API_CLIENT_AUTH_OPTIONAL);

    options.cert_file = fixture->server.key_file;
    assert_int_equal(api_tls_new(&options, &tls, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_certificate");
    kl_err_clear(&err);
    options.cert_file = "/nonexistent/file";
    assert_int_equal(api_tls_new(&options, &tls, &err), KL_ERR_IO);
    kl_err_clear(&err);
    options = options_of(fixture, API_CLIENT_AUTH_OPTIONAL);
    options.client_ca_file = fixture->server.key_file;
    assert_int_equal(api_tls_new(&options, &tls, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_client_ca");
    assert_null(tls);
}

/* ---- silence ---- */

static void test_tls_silent_client_is_dropped_without_using_the_processor(void **state)
{
    const struct fixture *fixture = *state;
    struct api_tls_options server_options = options_of(fixture, API_CLIENT_AUTH_NONE);
    struct api_tls_counts counts;
    struct test_tls_server server;
    char byte;

    test_tls_server_start(&server, &server_options);
    int64_t started_us = kl_time_monotonic_us();
    int fd = test_tcp_open(server.port);
    assert_int_equal(recv(fd, &byte, 1, 0), 0); /* the server hangs up */
    int64_t waited_us = kl_time_monotonic_us() - started_us;
    close(fd);
    assert_true(waited_us >= (TIMEOUT_MS - 50) * 1000);
    assert_true(waited_us < 5000000);
    api_tls_counts(server.tls, &counts);
    assert_int_equal(counts.timed_out, 1);
    assert_int_equal(counts.failed, 1);
    test_tls_server_stop(&server);
    assert_true(atomic_load(&server.last_cpu_us) < 100000);
}

static void test_tls_garbage_ends_the_handshake(void **state)
{
    const struct fixture *fixture = *state;
    struct api_tls_options server_options = options_of(fixture, API_CLIENT_AUTH_NONE);
    struct test_tls_server server;
    char bytes[64];

    test_tls_server_start(&server, &server_options);
    int fd = test_tcp_open(server.port);
    assert_int_equal(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
    while (recv(fd, bytes, sizeof bytes, 0) > 0) {
    }
    close(fd);
    struct test_client_options options = {.port = server.port};
    expect_line(&options, "full none", NULL);
    test_tls_server_stop(&server);
}

static void test_tls_many_messages_in_one_segment_all_arrive(void **state)
{
    const struct fixture *fixture = *state;
    struct api_tls_options server_options = options_of(fixture, API_CLIENT_AUTH_NONE);
    struct test_tls_server server;
    char line[TEST_TLS_LINE_BYTES + 1];
    char sent[3000];
    char echo[sizeof sent];
    size_t used = 0;

    memset(sent, 'x', sizeof sent);
    test_tls_server_start(&server, &server_options);
    struct test_client_options options = {.port = server.port};
    struct test_client *client = test_client_open(&options, NULL);
    assert_non_null(client);
    read_line(client, line);
    for (size_t at = 0; at < sizeof sent; at += 100) {
        assert_true(test_client_send(client, sent + at, 100));
    }
    while (used < sizeof echo) {
        size_t got = test_client_receive(client, echo + used, sizeof echo - used);
        assert_true(got > 0);
        used += got;
    }
    assert_memory_equal(sent, echo, sizeof sent);
    test_client_close(client);
    test_tls_server_stop(&server);
}

static int group_setup(void **state)
{
    static struct fixture fixture;
    struct kl_err err = {0};

    if (kl_secret_process_init(true, &err) != KL_OK) {
        return -1;
    }
    test_folder_make(fixture.dir);
    const char *dir = fixture.dir;
    test_certificate_make(dir, "ca", "Test CA", NULL, false, &fixture.authority);
    test_certificate_make(dir, "server", "localhost", &fixture.authority, false, &fixture.server);
    test_certificate_make(dir, "other", "localhost", &fixture.authority, false,
                          &fixture.other_server);
    test_certificate_make(dir, "cca", "Clients", NULL, false, &fixture.client_authority);
    test_certificate_make(dir, "client", "app", &fixture.client_authority, false, &fixture.client);
    test_certificate_make(dir, "ended", "app", &fixture.client_authority, true, &fixture.ended);
    test_certificate_make(dir, "oca", "Others", NULL, false, &fixture.other_authority);
    test_certificate_make(dir, "stranger", "app", &fixture.other_authority, false,
                          &fixture.stranger);
    *state = &fixture;
    return 0;
}

static int group_teardown(void **state)
{
    const struct fixture *fixture = *state;

    test_folder_remove(fixture->dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_13_and_12_connect_and_carry_data),
        cmocka_unit_test(test_tls_11_is_refused_with_protocol_version),
        cmocka_unit_test(test_tls_refuses_a_client_that_speaks_only_http2),
        cmocka_unit_test(test_tls_optional_takes_none_and_a_good_certificate),
        cmocka_unit_test(test_tls_refuses_an_untrusted_and_an_ended_certificate),
        cmocka_unit_test(test_tls_required_refuses_a_client_without_certificate),
        cmocka_unit_test(test_tls_resumption_keeps_the_certificate),
        cmocka_unit_test(test_tls_resumption_without_certificate_stays_without),
        cmocka_unit_test(test_tls_reload_ends_the_tickets_of_a_dropped_authority),
        cmocka_unit_test(test_tls_without_tickets_never_resumes),
        cmocka_unit_test(test_tls_reload_changes_the_certificate_of_new_connections_only),
        cmocka_unit_test(test_tls_new_names_the_file_that_is_wrong),
        cmocka_unit_test(test_tls_silent_client_is_dropped_without_using_the_processor),
        cmocka_unit_test(test_tls_garbage_ends_the_handshake),
        cmocka_unit_test(test_tls_many_messages_in_one_segment_all_arrive),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
