#include "tests/support/tls_server.h"

#include "kluis/base/encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <mbedtls/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int64_t cpu_us(void)
{
    struct timespec now;

    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static bool wait_readable(const struct api_tls_conn *conn, int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return api_tls_pending(conn) > 0 || poll(&poll_fd, 1, 5000) > 0;
}

static void talk(struct api_tls_conn *conn, int fd)
{
    char line[TEST_TLS_LINE_BYTES + 1] = "";
    char hash[2 * API_TLS_CERTIFICATE_HASH_BYTES + 1] = "none";
    unsigned char bytes[512];

    if (api_tls_conn_certificate(conn) != NULL) {
        kl_hex(api_tls_conn_certificate(conn), API_TLS_CERTIFICATE_HASH_BYTES, hash);
    }
    snprintf(line, sizeof line, "%s %s\n", api_tls_conn_resumed(conn) ? "resumed" : "full", hash);
    if (api_tls_write(conn, (unsigned char *)line, (int)strlen(line)) != (int)strlen(line)) {
        return;
    }
    while (wait_readable(conn, fd)) {
        int got = api_tls_read(conn, bytes, sizeof bytes);
        if (got == MBEDTLS_ERR_SSL_WANT_READ) {
            continue;
        }
        if (got <= 0 || api_tls_write(conn, bytes, got) != got) {
            return;
        }
    }
}

static void *serve(void *context)
{
    struct test_tls_server *server = context;

    while (!atomic_load(&server->stopping)) {
        struct pollfd poll_fd = {.fd = server->listen_fd, .events = POLLIN};
        if (poll(&poll_fd, 1, 20) <= 0) {
            continue;
        }
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            continue;
        }
        int64_t before_us = cpu_us();
        struct api_tls_conn *conn = api_tls_accept(server->tls, fd);
        atomic_store(&server->last_cpu_us, cpu_us() - before_us);
        if (conn != NULL) {
            talk(conn, fd);
        }
        api_tls_close(conn);
        close(fd);
    }
    return NULL;
}

void test_tls_server_start(struct test_tls_server *server, const struct api_tls_options *options)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct kl_err err = {0};

    memset(server, 0, sizeof *server);
    assert_int_equal(api_tls_new(options, &server->tls, &err), KL_OK);
    server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(server->listen_fd >= 0);
    assert_int_equal(bind(server->listen_fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->listen_fd, 16), 0);
    assert_int_equal(getsockname(server->listen_fd, (struct sockaddr *)&address, &size), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

void test_tls_server_stop(struct test_tls_server *server)
{
    atomic_store(&server->stopping, true);
    api_tls_stop(server->tls);
    pthread_join(server->thread, NULL);
    close(server->listen_fd);
    api_tls_free(server->tls);
}
