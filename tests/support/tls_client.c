#include "tests/support/tls_client.h"

#include <arpa/inet.h>
#include <assert.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/ssl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <psa/crypto.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define WAIT_S 10

struct test_session {
    mbedtls_ssl_session session;
};

struct test_client {
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
    mbedtls_x509_crt trusted;
    mbedtls_x509_crt certificate;
    mbedtls_pk_context key;
    mbedtls_net_context net;
    const char *alpn[2];
    struct test_session *ticket; /* the last one received in TLS 1.3 */
};

int test_tcp_open(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((unsigned short)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval wait = {.tv_sec = WAIT_S};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert(fd >= 0);
    assert(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    assert(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0);
    assert(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) == 0);
    assert(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    return fd;
}

static void configure(struct test_client *client, const struct test_client_options *options)
{
    mbedtls_ssl_config *config = &client->config;

    assert(mbedtls_ssl_config_defaults(config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                       MBEDTLS_SSL_PRESET_DEFAULT) == 0);
    mbedtls_ssl_conf_rng(config, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    mbedtls_ssl_conf_authmode(config, options->trusted == NULL ? MBEDTLS_SSL_VERIFY_NONE
                                                               : MBEDTLS_SSL_VERIFY_REQUIRED);
    if (options->trusted != NULL) {
        assert(mbedtls_x509_crt_parse_file(&client->trusted, options->trusted->cert_file) == 0);
        mbedtls_ssl_conf_ca_chain(config, &client->trusted, NULL);
    }
    if (options->certificate != NULL) {
        assert(mbedtls_x509_crt_parse_file(&client->certificate, options->certificate->cert_file) ==
               0);
        assert(mbedtls_pk_parse_keyfile(&client->key, options->certificate->key_file, NULL,
                                        mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE) == 0);
        assert(mbedtls_ssl_conf_own_cert(config, &client->certificate, &client->key) == 0);
    }
    if (options->only_tls12) {
        mbedtls_ssl_conf_max_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
    }
    if (options->only_tls13) {
        mbedtls_ssl_conf_min_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_3);
    }
    if (options->alpn != NULL) {
        client->alpn[0] = options->alpn;
        assert(mbedtls_ssl_conf_alpn_protocols(config, client->alpn) == 0);
    }
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
        config, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
}

struct test_client *test_client_open(const struct test_client_options *options, int *ret_error)
{
    struct test_client *client = calloc(1, sizeof *client);
    int code;

    assert(client != NULL && psa_crypto_init() == PSA_SUCCESS);
    mbedtls_ssl_init(&client->ssl);
    mbedtls_ssl_config_init(&client->config);
    mbedtls_x509_crt_init(&client->trusted);
    mbedtls_x509_crt_init(&client->certificate);
    mbedtls_pk_init(&client->key);
    client->net.fd = test_tcp_open(options->port);
    configure(client, options);
    assert(mbedtls_ssl_setup(&client->ssl, &client->config) == 0);
    assert(mbedtls_ssl_set_hostname(&client->ssl, "localhost") == 0);
    mbedtls_ssl_set_bio(&client->ssl, &client->net, mbedtls_net_send, mbedtls_net_recv, NULL);
    if (options->session != NULL) {
        assert(mbedtls_ssl_set_session(&client->ssl, &options->session->session) == 0);
    }
    code = mbedtls_ssl_handshake(&client->ssl);
    if (code != 0) {
        test_client_drop(client);
        client = NULL;
    }
    if (ret_error != NULL) {
        *ret_error = code;
    }
    return client;
}

void test_client_drop(struct test_client *client)
{
    close(client->net.fd);
    test_session_free(client->ticket);
    mbedtls_ssl_free(&client->ssl);
    mbedtls_ssl_config_free(&client->config);
    mbedtls_x509_crt_free(&client->trusted);
    mbedtls_x509_crt_free(&client->certificate);
    mbedtls_pk_free(&client->key);
    free(client);
}

void test_client_close(struct test_client *client)
{
    mbedtls_ssl_close_notify(&client->ssl);
    test_client_drop(client);
}

bool test_client_send(struct test_client *client, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;

    while (size > 0) {
        int sent = mbedtls_ssl_write(&client->ssl, at, size);
        if (sent <= 0) {
            return false;
        }
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

static struct test_session *session_of(struct test_client *client)
{
    struct test_session *session = calloc(1, sizeof *session);

    assert(session != NULL);
    mbedtls_ssl_session_init(&session->session);
    if (mbedtls_ssl_get_session(&client->ssl, &session->session) != 0) {
        test_session_free(session);
        return NULL;
    }
    return session;
}

size_t test_client_receive(struct test_client *client, void *bytes, size_t size)
{
    for (;;) {
        int got = mbedtls_ssl_read(&client->ssl, bytes, size);
        if (got > 0) {
            return (size_t)got;
        }
        if (got == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
            test_session_free(client->ticket);
            client->ticket = session_of(client);
            continue;
        }
        if (got == MBEDTLS_ERR_SSL_WANT_READ) {
            continue; /* a record without data; a timeout is another code */
        }
        return 0;
    }
}

struct test_session *test_client_session(struct test_client *client)
{
    struct test_session *session = client->ticket;

    if (!test_client_is_tls13(client)) {
        return session_of(client);
    }
    client->ticket = NULL;
    return session;
}

void test_session_free(struct test_session *session)
{
    if (session != NULL) {
        mbedtls_ssl_session_free(&session->session);
        free(session);
    }
}

void test_client_peer_hash(struct test_client *client, unsigned char ret_sha256[TEST_HASH_BYTES])
{
    const mbedtls_x509_crt *peer = mbedtls_ssl_get_peer_cert(&client->ssl);

    assert(peer != NULL);
    crypto_hash_sha256(ret_sha256, peer->raw.p, peer->raw.len);
}

bool test_client_is_tls13(struct test_client *client)
{
    return mbedtls_ssl_get_version_number(&client->ssl) == MBEDTLS_SSL_VERSION_TLS1_3;
}

/* ---- HTTP ---- */

/* Read up to the empty line, byte by byte, so that nothing of a following answer is taken. */
static bool read_head(struct test_client *client, struct test_answer *answer)
{
    size_t used = 0;

    while (used + 1 < sizeof answer->head) {
        if (test_client_receive(client, answer->head + used, 1) != 1) {
            return false;
        }
        answer->head[++used] = '\0';
        if (used >= 4 && strcmp(answer->head + used - 4, "\r\n\r\n") == 0) {
            return sscanf(answer->head, "HTTP/1.1 %d", &answer->status) == 1;
        }
    }
    return false;
}

const char *test_answer_header(const struct test_answer *answer, const char *name)
{
    static _Thread_local char value[1024];
    size_t size = strlen(name);

    for (const char *line = strstr(answer->head, "\r\n"); line != NULL;
         line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, size) == 0 && line[2 + size] == ':') {
            line += 3 + size;
            line += strspn(line, " ");
            snprintf(value, sizeof value, "%.*s", (int)strcspn(line, "\r"), line);
            return value;
        }
    }
    return NULL;
}

bool test_client_answer(struct test_client *client, bool has_body, struct test_answer *ret_answer)
{
    struct test_answer answer = {0};
    const char *length;

    if (!read_head(client, &answer)) {
        return false;
    }
    length = test_answer_header(&answer, "Content-Length");
    answer.body_bytes = has_body && length != NULL ? strtoul(length, NULL, 10) : 0;
    answer.body = calloc(1, answer.body_bytes + 1);
    assert(answer.body != NULL);
    for (size_t got = 0; got < answer.body_bytes;) {
        size_t more = test_client_receive(client, answer.body + got, answer.body_bytes - got);
        if (more == 0) {
            free(answer.body);
            return false;
        }
        got += more;
    }
    *ret_answer = answer;
    return true;
}

void test_answer_done(struct test_answer *answer)
{
    free(answer->body);
    answer->body = NULL;
}

bool test_client_request(struct test_client *client, const char *method, const char *target,
                         const char *headers, const char *body, struct test_answer *ret_answer)
{
    char head[TEST_HEAD_MAX_BYTES];
    char length[64] = "";

    if (body != NULL) {
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(body));
    }
    int size = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n", method,
                        target, length, headers == NULL ? "" : headers);
    assert(size > 0 && (size_t)size < sizeof head);
    return test_client_send(client, head, (size_t)size) &&
           (body == NULL || test_client_send(client, body, strlen(body))) &&
           test_client_answer(client, strcmp(method, "HEAD") != 0, ret_answer);
}
