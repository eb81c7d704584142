/* The real server over TLS with a real vault: connections, framing, limits, timeouts. */
#include "kluis/api/server.h"
#include "kluis/base/time.h"
#include "tests/support/server_fixture.h"
#include "tests/support/tls_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define IDLE_CONNECTIONS 256
#define SILENT_CONNECTIONS 32

static struct test_server fixture;

/* ---- answers ---- */

static void test_server_answers_carry_the_headers_that_keep_data_out_of_caches(void **state)
{
    struct test_client *client = test_server_connect(&fixture);
    struct test_answer answer;

    (void)state;
    assert_true(test_client_request(client, "GET", "/healthz", NULL, NULL, &answer));
    assert_int_equal(answer.status, 200);
    assert_string_equal(test_answer_header(&answer, "Cache-Control"), "no-store");
    assert_string_equal(test_answer_header(&answer, "X-Content-Type-Options"), "nosniff");
    assert_string_equal(test_answer_header(&answer, "Content-Type"), "application/json");
    assert_int_equal(strlen(test_answer_header(&answer, "X-Request-Id")), 26);
    assert_non_null(test_answer_header(&answer, "Date"));
    assert_null(test_answer_header(&answer, "Access-Control-Allow-Origin"));
    assert_null(test_answer_header(&answer, "Server"));
    test_answer_done(&answer);
    test_client_close(client);
}

static void test_server_echoes_a_good_request_id_and_replaces_a_bad_one(void **state)
{
    struct test_client *client = test_server_connect(&fixture);
    struct test_answer answer;

    (void)state;
    assert_true(
        test_client_request(client, "GET", "/healthz", "X-Request-Id: my-id-7\r\n", NULL, &answer));
    assert_string_equal(test_answer_header(&answer, "X-Request-Id"), "my-id-7");
    test_answer_done(&answer);
    assert_true(test_client_request(client, "GET", "/healthz", "X-Request-Id: no spaces\r\n", NULL,
                                    &answer));
    assert_int_equal(strlen(test_answer_header(&answer, "X-Request-Id")), 26);
    test_answer_done(&answer);
    test_client_close(client);
}

static void test_server_answers_head_without_a_body_and_options_without_cors(void **state)
{
    struct test_client *client = test_server_connect(&fixture);
    struct test_answer answer;

    (void)state;
    assert_true(test_client_request(client, "HEAD", "/healthz", NULL, NULL, &answer));
    assert_int_equal(answer.status, 200);
    assert_string_equal(test_answer_header(&answer, "Content-Length"), "15");
    test_answer_done(&answer);
    assert_true(test_client_request(client, "OPTIONS", "/v1/policy",
                                    "Origin: https://evil.example\r\n"
                                    "Access-Control-Request-Method: PUT\r\n",
                                    NULL, &answer));
    assert_int_equal(answer.status, 204);
    assert_string_equal(test_answer_header(&answer, "Allow"), "GET, PUT");
    assert_null(test_answer_header(&answer, "Access-Control-Allow-Origin"));
    test_answer_done(&answer);
    test_server_expect(client, "HEAD", "/v1/policy", NULL, NULL, 405, NULL);
    test_server_expect(client, "DELETE", "/v1/policy", NULL, NULL, 405, "method_not_allowed");
    test_server_expect(client, "GET", "/v2/policy", NULL, NULL, 404, "no_route");
    test_server_expect(client, "GET", "/healthz/", NULL, NULL, 404, "no_route");
    test_server_expect(client, "GET", "/healthz?verbose=1", NULL, NULL, 400, "unknown_parameter");
    test_client_close(client);
}

/* ---- connections ---- */

static void test_server_keeps_a_connection_alive_between_requests(void **state)
{
    struct test_client *client = test_server_connect(&fixture);
    const struct timespec pause = {.tv_nsec = 20000000}; /* longer than a worker lingers */

    (void)state;
    for (int i = 0; i < 20; i++) {
        test_server_expect(client, "GET", "/healthz", NULL, NULL, 200, NULL);
        if (i % 5 == 0) {
            nanosleep(&pause, NULL);
        }
    }
    test_client_close(client);
}

static void test_server_ends_the_connection_when_the_client_asks_to(void **state)
{
    struct test_client *client = test_server_connect(&fixture);
    struct test_answer answer;
    char more;

    (void)state;
    assert_true(
        test_client_request(client, "GET", "/healthz", "Connection: close\r\n", NULL, &answer));
    assert_string_equal(test_answer_header(&answer, "Connection"), "close");
    test_answer_done(&answer);
    assert_int_equal(test_client_receive(client, &more, 1), 0);
    test_client_drop(client);
}

static void test_server_answers_pipelined_requests_in_order(void **state)
{
    struct test_client *client = test_server_connect(&fixture);
    char bytes[8192] = "";
    char id[16];
    size_t used = 0;

    (void)state;
    for (int i = 0; i < 40; i++) {
        used +=
            (size_t)snprintf(bytes + used, sizeof bytes - used,
                             "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: n-%d\r\n\r\n", i);
    }
    assert_true(test_client_send(client, bytes, used));
    for (int i = 0; i < 40; i++) {
        struct test_answer answer;
        assert_true(test_client_answer(client, true, &answer));
        snprintf(id, sizeof id, "n-%d", i);
        assert_string_equal(test_answer_header(&answer, "X-Request-Id"), id);
        test_answer_done(&answer);
    }
    test_client_close(client);
}

static void test_server_with_idle_connections_on_all_workers_answers_a_new_one(void **state)
{
    static struct test_client *idle[IDLE_CONNECTIONS];
    int silent[SILENT_CONNECTIONS];

    (void)state;
    for (int i = 0; i < SILENT_CONNECTIONS; i++) {
        silent[i] = test_tcp_open(fixture.port);
    }
    for (int i = 0; i < IDLE_CONNECTIONS; i++) {
        idle[i] = test_server_connect(&fixture);
        test_server_expect(idle[i], "GET", "/healthz", NULL, NULL, 200, NULL);
    }
    int64_t started_us = kl_time_monotonic_us();
    struct test_client *client = test_server_connect(&fixture);
    test_server_expect(client, "GET", "/healthz", NULL, NULL, 200, NULL);
    assert_true(kl_time_monotonic_us() - started_us < 2000000);
    test_client_close(client);
    for (int i = 0; i < IDLE_CONNECTIONS; i++) {
        test_server_expect(idle[i], "GET", "/healthz", NULL, NULL, 200, NULL);
        test_client_close(idle[i]);
    }
    for (int i = 0; i < SILENT_CONNECTIONS; i++) {
        close(silent[i]);
    }
}

/* ---- who asks ---- */

static void test_server_takes_a_client_certificate_as_credential(void **state)
{
    struct test_client_options options = {
        .port = fixture.port, .trusted = &fixture.authority, .certificate = &fixture.client};
    struct test_client *client = test_client_open(&options, NULL);
    struct test_answer answer;

    (void)state;
    assert_non_null(client);
    assert_true(test_client_request(client, "POST", "/v1/lookup",
                                    "Content-Type: application/json\r\n",
                                    "{\"field\":\"person.email\",\"value\":\"a@b.be\","
                                    "\"purpose\":\"care\"}",
                                    &answer));
    assert_int_equal(answer.status, 200);
    test_answer_done(&answer);
    struct test_session *session = test_client_session(client);
    assert_non_null(session);
    test_client_close(client);

    options.session = session; /* a resumed session carries the same certificate */
    client = test_client_open(&options, NULL);
    assert_non_null(client);
    test_server_expect(client, "GET", "/v1/policy", NULL, NULL, 403, NULL);
    test_client_close(client);
    test_session_free(session);

    options.session = NULL;
    options.certificate = &fixture.other_client; /* good, but no credential names it */
    client = test_client_open(&options, NULL);
    assert_non_null(client);
    test_server_expect(client, "GET", "/v1/policy", NULL, NULL, 401, "unauthorised");
    test_client_close(client);
}

static void expect_lookup(const struct test_client_options *options, const char *more, int status,
                          const char *code)
{
    struct test_client *client = test_client_open(options, NULL);
    char headers[512];

    assert_non_null(client);
    snprintf(headers, sizeof headers, "Content-Type: application/json\r\n%s", more);
    test_server_expect(client, "POST", "/v1/lookup", headers,
                       "{\"field\":\"person.email\",\"value\":\"a@b.be\",\"purpose\":\"care\"}",
                       status, code);
    test_client_close(client);
}

/* A browser shows its certificate for any page. */
static void test_server_takes_nothing_from_a_page_by_certificate(void **state)
{
    static const char *const pages[] = {
        "Origin: https://evil.example\r\n", "Origin: null\r\n", "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n", "sec-fetch-site: none\r\nSec-Fetch-Site: cross-site\r\n"};
    struct test_client_options options = {
        .port = fixture.port, .trusted = &fixture.authority, .certificate = &fixture.client};
    char token[512];

    (void)state;
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        expect_lookup(&options, pages[i], 403, "cross_site");
        snprintf(token, sizeof token, "%s%s", pages[i], fixture.authorization);
        expect_lookup(&options, token, 200, NULL);
    }
    expect_lookup(&options, "Sec-Fetch-Site: none\r\n", 200, NULL);
    expect_lookup(&options, "Sec-Fetch-Site: same-origin\r\n", 200, NULL);
    struct test_client *client = test_client_open(&options, NULL);
    assert_non_null(client);
    test_server_expect(client, "GET", "/v1/policy", "Origin: https://evil.example\r\n", NULL, 403,
                       "role_forbidden");
    test_client_close(client);
}

static void test_server_refuses_bad_tokens_alike(void **state)
{
    static const char *const HEADERS[] = {NULL, "Authorization: Bearer kl_AAAA\r\n",
                                          "Authorization: Basic YTpi\r\n",
                                          "Authorization: Bearer \r\n"};
    struct test_client *client = test_server_connect(&fixture);

    (void)state;
    for (size_t i = 0; i < sizeof HEADERS / sizeof HEADERS[0]; i++) {
        struct test_answer answer;
        assert_true(test_client_request(client, "GET", "/v1/keys", HEADERS[i], NULL, &answer));
        assert_int_equal(answer.status, 401);
        assert_non_null(strstr(test_answer_header(&answer, "WWW-Authenticate"), "Bearer"));
        test_answer_done(&answer);
    }
    test_client_close(client);
}

/* ---- metrics ---- */

/* One request over plain HTTP; the whole answer as text. */
static void plain_request(int port, const char *target, char *ret_text, size_t size)
{
    char request[128];
    int fd = test_tcp_open(port);
    size_t used = 0;
    ssize_t got;

    snprintf(request, sizeof request, "GET %s HTTP/1.0\r\n\r\n", target);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    while (used + 1 < size && (got = recv(fd, ret_text + used, size - 1 - used, 0)) > 0) {
        used += (size_t)got;
    }
    ret_text[used] = '\0';
    close(fd);
}

static void test_server_gives_figures_on_the_metrics_listener_only_without_a_credential(
    void **state)
{
    static char text[100000];
    int port = api_server_port(fixture.server, API_LISTEN_METRICS);
    struct test_client *client = test_server_connect(&fixture);

    (void)state;
    test_server_expect(client, "GET", "/metrics", NULL, NULL, 401, "unauthorised");
    test_server_expect(client, "GET", "/metrics", fixture.authorization, NULL, 403,
                       "role_forbidden");
    test_client_close(client);
    plain_request(port, "/metrics", text, sizeof text);
    assert_non_null(strstr(text, "HTTP/1.1 200 OK"));
    assert_non_null(
        strstr(text, "kluis_http_requests_total{route=\"/healthz\",method=\"GET\",code=\"200\"}"));
    assert_non_null(strstr(text, "kluis_tls_handshakes_total{result=\"full\"}"));
    assert_non_null(strstr(text, "kluis_ready{store=\"main\"} 1"));
    plain_request(port, "/v1/keys", text, sizeof text);
    assert_non_null(strstr(text, "HTTP/1.1 404"));
    plain_request(port, "/readyz", text, sizeof text);
    assert_non_null(strstr(text, "\"ready\":true"));
}

static void expect_not_started(struct api_server_options *options, enum kl_status status,
                               const char *code)
{
    struct api_server *server = NULL;
    struct kl_err err = {0};

    assert_int_equal(api_server_start(fixture.vault.stores, options, &server, &err), status);
    assert_string_equal(err.code, code);
    assert_null(server);
}

static void test_server_start_refuses_options_that_cannot_be(void **state)
{
    static const char *const LISTEN[] = {"127.0.0.1:0"};
    static const char *const BAD[] = {"127.0.0.1"};
    static const char *const WORSE[] = {"127.0.0.1:0,8080"};
    struct api_server_options good = {.listen = LISTEN,
                                      .listen_count = 1,
                                      .threads = 1,
                                      .cert_file = fixture.certificate.cert_file,
                                      .key_file = fixture.certificate.key_file};
    struct api_server_options options = good;
    char taken[32];
    const char *busy[] = {taken};

    (void)state;
    options.metrics_listen = "0.0.0.0:9000";
    expect_not_started(&options, KL_ERR_INVALID, "invalid_option");
    options = good;
    options.listen = BAD;
    expect_not_started(&options, KL_ERR_INVALID, "invalid_option");
    options.listen = WORSE;
    expect_not_started(&options, KL_ERR_INVALID, "invalid_option");
    options = good;
    options.client_auth = API_CLIENT_AUTH_REQUIRED;
    expect_not_started(&options, KL_ERR_INVALID, "invalid_option");
    options = good;
    options.threads = API_THREADS_MAX + 1;
    expect_not_started(&options, KL_ERR_INVALID, "invalid_option");
    options = good;
    options.key_file = fixture.client.key_file;
    expect_not_started(&options, KL_ERR_INVALID, "key_mismatch");
    options = good;
    snprintf(taken, sizeof taken, "127.0.0.1:%d", fixture.port);
    options.listen = busy;
    expect_not_started(&options, KL_ERR_IO, "cannot_listen");
}

/* ---- stopping ---- */

static void *stop_server(void *context)
{
    (void)context;
    api_server_stop(fixture.server);
    return NULL;
}

static void test_server_stop_finishes_the_request_under_way(void **state)
{
    static const char BODY[] =
        "{\"field\":\"person.email\",\"value\":\"a@b.be\",\"purpose\":\"care\"}";
    const struct timespec pause = {.tv_nsec = 150000000};
    struct test_client *client = test_server_connect(&fixture);
    struct test_client *parked = test_server_connect(&fixture);
    struct test_answer answer;
    pthread_t thread;
    char more;

    (void)state;
    test_server_expect(parked, "GET", "/healthz", NULL, NULL, 200, NULL);
    test_server_body_head(&fixture, client, strlen(BODY));
    assert_true(test_client_send(client, BODY, 10));
    nanosleep(&pause, NULL); /* the server is in the middle of this body now */
    assert_int_equal(pthread_create(&thread, NULL, stop_server, NULL), 0);
    nanosleep(&pause, NULL);
    assert_true(test_client_send(client, BODY + 10, strlen(BODY) - 10));
    assert_true(test_client_answer(client, true, &answer));
    assert_int_equal(answer.status, 200);
    assert_string_equal(test_answer_header(&answer, "Connection"), "close");
    test_answer_done(&answer);
    pthread_join(thread, NULL);
    assert_int_equal(test_client_receive(parked, &more, 1), 0);
    test_client_drop(parked);
    test_client_drop(client);
    fixture.server = NULL;
    test_server_run(&fixture);
}

static void test_server_reload_that_fails_keeps_answering(void **state)
{
    struct kl_err err = {0};
    char moved[TEST_PATH_BYTES + 8];

    (void)state;
    snprintf(moved, sizeof moved, "%s.away", fixture.certificate.cert_file);
    assert_int_equal(rename(fixture.certificate.cert_file, moved), 0);
    assert_int_equal(api_server_reload(fixture.server, &err), KL_ERR_IO);
    assert_int_equal(rename(moved, fixture.certificate.cert_file), 0);
    struct test_client *client = test_server_connect(&fixture);
    test_server_expect(client, "GET", "/healthz", NULL, NULL, 200, NULL);
    test_client_close(client);
    kl_err_clear(&err);
    assert_int_equal(api_server_reload(fixture.server, &err), KL_OK);
}

static int group_setup(void **state)
{
    (void)state;
    test_server_setup(&fixture);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    test_server_teardown(&fixture);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_answers_carry_the_headers_that_keep_data_out_of_caches),
        cmocka_unit_test(test_server_echoes_a_good_request_id_and_replaces_a_bad_one),
        cmocka_unit_test(test_server_answers_head_without_a_body_and_options_without_cors),
        cmocka_unit_test(test_server_keeps_a_connection_alive_between_requests),
        cmocka_unit_test(test_server_ends_the_connection_when_the_client_asks_to),
        cmocka_unit_test(test_server_answers_pipelined_requests_in_order),
        cmocka_unit_test(test_server_with_idle_connections_on_all_workers_answers_a_new_one),
        cmocka_unit_test(test_server_takes_a_client_certificate_as_credential),
        cmocka_unit_test(test_server_takes_nothing_from_a_page_by_certificate),
        cmocka_unit_test(test_server_refuses_bad_tokens_alike),
        cmocka_unit_test(
            test_server_gives_figures_on_the_metrics_listener_only_without_a_credential),
        cmocka_unit_test(test_server_start_refuses_options_that_cannot_be),
        cmocka_unit_test(test_server_stop_finishes_the_request_under_way),
        cmocka_unit_test(test_server_reload_that_fails_keeps_answering),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
