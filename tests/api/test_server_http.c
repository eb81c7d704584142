/* Heads and bodies as they come from clients, over TLS on the real server: framing, limits, timeouts. */
#include "kluis/base/time.h"
#include "tests/support/server_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

static struct test_server fixture;

/* ---- framing ---- */

static void test_server_refuses_unclear_framing_and_closes(void **state)
{
    (void)state;
    test_server_expect_raw(
        &fixture,
        "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0"
        "\r\n\r\n",
        411, "length_required");
    test_server_expect_raw(&fixture,
                           "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
                           400, "invalid_length");
    test_server_expect_raw(
        &fixture,
        "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
        400, "invalid_length");
    test_server_expect_raw(&fixture,
                           "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Length: 2x\r\n\r\n{}",
                           400, "invalid_length");
    test_server_expect_raw(&fixture,
                           "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\n{}",
                           400, "invalid_length");
    test_server_expect_raw(&fixture,
                           "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400,
                           "invalid_length");
    test_server_expect_raw(&fixture,
                           "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nExpect: a miracle\r\n\r\n", 417,
                           "expectation_failed");
    test_server_expect_raw(&fixture, "GET /healthz HTTP/1.1\r\nAccept: */*\r\n\r\n", 400,
                           "invalid_header");
    test_server_expect_raw(&fixture, "NONSENSE\r\n\r\n", 400, "invalid_request");
    test_server_expect_raw(&fixture, "GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n", 505,
                           "http_version");
}

static void test_server_refuses_heads_that_another_server_would_read_otherwise(void **state)
{
    static char many[8192] = "GET /healthz HTTP/1.1\r\nHost: x\r\n";

    (void)state;
    test_server_expect_raw(
        &fixture, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: b\r\n Content-Length: 5\r\n\r\n", 400,
        "invalid_request");
    test_server_expect_raw(&fixture,
                           "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\n", 400,
                           "invalid_request");
    test_server_expect_raw(&fixture, "GET /healthz HTTP/1.1\nHost: x\n\n", 400, "invalid_request");
    test_server_expect_raw(&fixture, "GET /healthz HTTP/1.1\r\nHost: x\nContent-Length: 5\r\n\r\n",
                           400, "invalid_request");
    for (int i = 0; i < 80; i++) {
        strcat(many, "X-Filler: 1\r\n");
    }
    strcat(many, "Content-Length: 5\r\n\r\n");
    test_server_expect_raw(&fixture, many, 400, "invalid_request");
}

static void test_server_refuses_a_head_that_is_too_large(void **state)
{
    static char bytes[20000];
    size_t used = (size_t)snprintf(bytes, sizeof bytes, "GET /healthz HTTP/1.1\r\nX-Long: ");

    (void)state;
    memset(bytes + used, 'a', sizeof bytes - used - 5);
    memcpy(bytes + sizeof bytes - 5, "\r\n\r\n", 5);
    test_server_expect_raw(&fixture, bytes, 431, "header_too_large");
}

static void test_server_takes_a_body_after_100_continue(void **state)
{
    static const char HEAD[] = "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n%s"
                               "Content-Type: application/json\r\nExpect: 100-continue\r\n\r\n";
    struct test_client *client = test_server_connect(&fixture);
    struct test_answer answer;
    char bytes[512];
    char go_on[26] = "";

    (void)state;
    snprintf(bytes, sizeof bytes, HEAD, fixture.authorization);
    assert_true(test_client_send(client, bytes, strlen(bytes)));
    assert_int_equal(test_client_receive(client, go_on, 25), 25);
    assert_string_equal(go_on, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_true(test_client_send(client, "{}", 2));
    assert_true(test_client_answer(client, true, &answer));
    assert_int_equal(answer.status, 422);
    assert_non_null(strstr(answer.body, "missing_key"));
    test_answer_done(&answer);
    test_client_close(client);
}

/* ---- bodies ---- */

static void test_server_refuses_a_body_over_the_limit_and_the_client_learns_it(void **state)
{
    struct test_client *client = test_server_connect(&fixture);
    static char body[TEST_BODY_MAX_BYTES * 10];
    struct test_answer answer;

    (void)state;
    memset(body, ' ', sizeof body - 1);
    char head[256];
    snprintf(head, sizeof head,
             "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n%sContent-Type: "
             "application/json\r\n\r\n",
             sizeof body - 1, fixture.authorization);
    assert_true(test_client_send(client, head, strlen(head)));
    assert_true(test_client_send(client, body, sizeof body - 1));
    assert_true(test_client_answer(client, true, &answer));
    assert_int_equal(answer.status, 413);
    assert_non_null(strstr(answer.body, "body_too_large"));
    test_answer_done(&answer);
    test_client_drop(client);
}

static void test_server_drops_a_short_body_nobody_reads_and_goes_on(void **state)
{
    struct test_client *client = test_server_connect(&fixture);

    (void)state;
    test_server_expect(client, "POST", "/v1/lookup", "Content-Type: application/json\r\n",
                       "{\"a\":1}", 401, "unauthorised");
    test_server_expect(client, "POST", "/v1/nothing", NULL, "some bytes", 404, "no_route");
    test_server_expect(client, "GET", "/healthz", NULL, NULL, 200, NULL);
    test_server_expect(client, "GET", "/healthz", NULL, "body", 400, "unexpected_body");
    test_server_expect(client, "GET", "/healthz", NULL, NULL, 200, NULL);
    test_client_close(client);
}

static void test_server_gives_up_on_a_body_that_stops_coming(void **state)
{
    struct test_client *client = test_server_connect(&fixture);
    struct test_answer answer;
    int64_t started_us = kl_time_monotonic_us();

    (void)state;
    test_server_body_head(&fixture, client, 100);
    assert_true(test_client_send(client, "{\"field\":", 9));
    assert_true(test_client_answer(client, true, &answer));
    assert_int_equal(answer.status, 408);
    assert_non_null(strstr(answer.body, "request_timeout"));
    assert_true(kl_time_monotonic_us() - started_us < 5000000);
    test_answer_done(&answer);
    test_client_drop(client);
}

static void test_server_gives_up_on_a_body_that_drips(void **state)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    struct test_client *client = test_server_connect(&fixture);
    int64_t started_us = kl_time_monotonic_us();
    int drops = 0;

    (void)state;
    test_server_body_head(&fixture, client, 1000);
    while (drops < 100 && test_client_send(client, " ", 1)) {
        nanosleep(&pause, NULL);
        drops++;
    }
    assert_true(drops < 50);
    assert_true(kl_time_monotonic_us() - started_us < 5000000);
    test_client_drop(client);
    client = test_server_connect(&fixture);
    test_server_expect(client, "GET", "/healthz", NULL, NULL, 200, NULL);
    test_client_close(client);
}

static void test_server_does_nothing_for_a_truncated_body(void **state)
{
    static const char BODY[] = "{\"records\":[{\"type\":\"person\",\"fields\":{\"name\":\"A\"}}]}";
    struct test_client *client = test_server_connect(&fixture);
    char head[512];

    (void)state;
    snprintf(head, sizeof head,
             "POST /v1/subjects HTTP/1.1\r\nHost: x\r\n%sContent-Length: %zu\r\n"
             "Content-Type: application/json\r\n\r\n%s",
             fixture.authorization, strlen(BODY) + 1, BODY);
    assert_true(test_client_send(client, head, strlen(head)));
    test_client_close(client); /* one byte is missing */

    struct vault_figures before;
    struct vault_figures after;
    vault_figures(fixture.vault.vault, &before);
    client = test_server_connect(&fixture);
    test_server_expect(client, "GET", "/healthz", NULL, NULL, 200, NULL);
    test_client_close(client);
    vault_figures(fixture.vault.vault, &after);
    assert_int_equal(before.subjects_created, after.subjects_created);
    assert_int_equal(after.subjects_created, 0);
}

static void test_server_gives_up_on_a_head_that_stops_coming(void **state)
{
    struct test_client *client = test_server_connect(&fixture);
    struct test_answer answer;
    int64_t started_us = kl_time_monotonic_us();

    (void)state;
    assert_true(test_client_send(client, "GET /healthz HT", 15));
    assert_true(test_client_answer(client, true, &answer));
    assert_int_equal(answer.status, 408);
    assert_true(kl_time_monotonic_us() - started_us < 5000000);
    test_answer_done(&answer);
    test_client_drop(client);
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
        cmocka_unit_test(test_server_refuses_unclear_framing_and_closes),
        cmocka_unit_test(test_server_refuses_heads_that_another_server_would_read_otherwise),
        cmocka_unit_test(test_server_refuses_a_head_that_is_too_large),
        cmocka_unit_test(test_server_takes_a_body_after_100_continue),
        cmocka_unit_test(test_server_refuses_a_body_over_the_limit_and_the_client_learns_it),
        cmocka_unit_test(test_server_drops_a_short_body_nobody_reads_and_goes_on),
        cmocka_unit_test(test_server_gives_up_on_a_body_that_stops_coming),
        cmocka_unit_test(test_server_gives_up_on_a_body_that_drips),
        cmocka_unit_test(test_server_does_nothing_for_a_truncated_body),
        cmocka_unit_test(test_server_gives_up_on_a_head_that_stops_coming),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
