/* The server: CivetWeb as the HTTP engine, our TLS under it, our router above it. */
#include "kluis/api/server.h"
#include "api/app.h"
#include "api/server_internal.h"
#include "api/webhook_sender.h"
#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "kluis/vault/file.h"

#include <civetweb.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define LISTEN_TEXT_BYTES 2048
#define ADDRESS_MAX_BYTES 100
#define PORT_MAX 65535
#define METRICS_THREADS "2"
#define DRAIN_TICK_US 5000

struct api_server {
    struct api_app app;
    struct api_server_options options; /* texts are not kept in it */
    struct api_tls *tls;
    struct mg_context *context;
    struct mg_context *metrics_context;
    struct api_webhook_sender *webhooks;
    bool library;
};

struct api_tls *api_server_tls(void *server)
{
    return ((struct api_server *)server)->tls;
}

struct api_app *api_server_app(struct api_server *server)
{
    return &server->app;
}

int api_server_request_timeout_ms(const struct api_server *server)
{
    return server->options.request_timeout_ms;
}

/* ---- options ---- */

static enum kl_status take_number(int *number, int fallback, int max, const char *name,
                                  struct kl_err *err)
{
    if (*number == 0) {
        *number = fallback;
    }
    if (*number < 1 || *number > max) {
        return kl_failf(err, KL_ERR_INVALID, "invalid_option", "%s is a number from 1 to %d", name,
                        max);
    }
    return KL_OK;
}

static enum kl_status take_size(size_t *size, size_t fallback, const char *name, struct kl_err *err)
{
    if (*size == 0) {
        *size = fallback;
    }
    if (*size > API_BODY_MAX_BYTES_LIMIT) {
        return kl_failf(err, KL_ERR_INVALID, "invalid_option", "%s is at most %u", name,
                        API_BODY_MAX_BYTES_LIMIT);
    }
    return KL_OK;
}

static enum kl_status take_options(const struct api_server_options *given,
                                   struct api_server_options *ret, struct kl_err *err)
{
    struct api_server_options options = *given;
    enum kl_status status;

    if (options.listen_count < 1 || options.listen_count > API_LISTEN_MAX ||
        options.cert_file == NULL || options.key_file == NULL) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_option",
                       "an address to listen on, a certificate and its key are needed", NULL);
    }
    if (options.client_auth != API_CLIENT_AUTH_NONE && options.client_ca_file == NULL) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_option",
                       "client certificates need the authority that signs them", NULL);
    }
    if ((status = take_number(&options.threads, API_THREADS_DEFAULT, API_THREADS_MAX, "threads",
                              err)) != KL_OK ||
        (status = take_number(&options.handshake_timeout_ms, 5000, 600000, "handshake timeout",
                              err)) != KL_OK ||
        (status = take_number(&options.request_timeout_ms, 10000, 600000, "request timeout",
                              err)) != KL_OK ||
        (status = take_number(&options.keep_alive_timeout_ms, 60000, 3600000, "keep-alive timeout",
                              err)) != KL_OK ||
        (status = take_number(&options.drain_timeout_ms, 10000, 600000, "drain timeout", err)) !=
            KL_OK ||
        (status = take_size(&options.body_max_bytes, API_BODY_MAX_BYTES_DEFAULT, "body limit",
                            err)) != KL_OK ||
        (status = take_size(&options.batch_max_bytes, API_BATCH_BODY_MAX_BYTES_DEFAULT,
                            "batch body limit", err)) != KL_OK) {
        return status;
    }
    if (options.file_max_bytes == 0) {
        options.file_max_bytes = (uint64_t)VAULT_FILE_MAX_BYTES_DEFAULT;
    }
    if (options.file_max_bytes > (uint64_t)VAULT_FILE_MAX_BYTES_LIMIT) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_option",
                       "the file limit is larger than any vault takes", NULL);
    }
    *ret = options;
    return KL_OK;
}

/*
 * An address in CivetWeb's form: "127.0.0.1:8443" gets an "s" for TLS, ":8443" becomes "+8443"
 * (IPv4 and IPv6).
 */
static enum kl_status add_address(char text[LISTEN_TEXT_BYTES], const char *address, bool tls,
                                  struct kl_err *err)
{
    static const char ALLOWED[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]";
    const char *colon = strrchr(address, ':');
    size_t used = strlen(text);
    size_t digits = colon == NULL ? 0 : strspn(colon + 1, "0123456789");

    if (digits < 1 || digits > 5 || colon[1 + digits] != '\0' ||
        strspn(address, ALLOWED) != strlen(address) || strlen(address) > ADDRESS_MAX_BYTES ||
        strtol(colon + 1, NULL, 10) > PORT_MAX) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_option",
                       "an address to listen on looks like 127.0.0.1:8443 or [::1]:8443", NULL);
    }
    snprintf(text + used, LISTEN_TEXT_BYTES - used, "%s%s%s%s", used > 0 ? "," : "",
             colon == address ? "+" : "", colon == address ? address + 1 : address, tls ? "s" : "");
    return KL_OK;
}

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0 ||
           strncmp(address, "localhost:", 10) == 0;
}

/* ---- starting ---- */

static enum kl_status start_engine(struct api_server *server, const char *listen,
                                   const char *threads, bool metrics,
                                   struct mg_context **ret_context, struct kl_err *err)
{
    char request_timeout[16];
    char keep_alive_timeout[16];
    char text[256] = "";
    struct mg_callbacks callbacks;
    struct mg_init_data init = {.callbacks = &callbacks, .user_data = server};
    struct mg_error_data error = {.text = text, .text_buffer_size = sizeof text};

    snprintf(request_timeout, sizeof request_timeout, "%d", server->options.request_timeout_ms);
    snprintf(keep_alive_timeout, sizeof keep_alive_timeout, "%d",
             server->options.keep_alive_timeout_ms);
    const char *options[] = {"listening_ports",
                             listen,
                             "num_threads",
                             threads,
                             "request_timeout_ms",
                             request_timeout,
                             "keep_alive_timeout_ms",
                             keep_alive_timeout,
                             "enable_keep_alive",
                             "yes",
                             "connection_queue",
                             "1024",
                             "listen_backlog",
                             "1024",
                             "tcp_nodelay",
                             "1",
                             "max_request_size",
                             "16384",
                             "decode_url",
                             "no",
                             "enable_auth_domain_check",
                             "no",
                             "access_control_allow_origin",
                             "",
                             "access_control_allow_methods",
                             "",
                             "access_control_allow_headers",
                             "",
                             NULL};
    init.configuration_options = options;
    api_server_callbacks(metrics, &callbacks);
    *ret_context = mg_start2(&init, &error);
    if (*ret_context == NULL) {
        return kl_failf(err, KL_ERR_IO, "cannot_listen", "could not listen on %s: %s", listen,
                        text);
    }
    return KL_OK;
}

static enum kl_status start_tls(struct api_server *server, const struct api_server_options *options,
                                struct kl_err *err)
{
    struct api_tls_options tls = {.cert_file = options->cert_file,
                                  .key_file = options->key_file,
                                  .client_ca_file = options->client_ca_file,
                                  .client_auth = options->client_auth,
                                  .handshake_timeout_ms = options->handshake_timeout_ms,
                                  .tickets = !options->tickets_off};

    return api_tls_new(&tls, &server->tls, err);
}

static enum kl_status start_listeners(struct api_server *server,
                                      const struct api_server_options *options, struct kl_err *err)
{
    char listen[LISTEN_TEXT_BYTES] = "";
    char metrics[LISTEN_TEXT_BYTES] = "";
    char threads[16];
    enum kl_status status = KL_OK;

    for (size_t i = 0; i < options->listen_count && status == KL_OK; i++) {
        status = add_address(listen, options->listen[i], true, err);
    }
    if (status == KL_OK && options->metrics_listen != NULL) {
        status = is_loopback(options->metrics_listen)
                     ? add_address(metrics, options->metrics_listen, false, err)
                     : kl_fail(err, KL_ERR_INVALID, "invalid_option",
                               "metrics are given without a credential on a loopback address only",
                               NULL);
    }
    if (status == KL_OK) {
        snprintf(threads, sizeof threads, "%d", options->threads);
        status = start_engine(server, listen, threads, false, &server->context, err);
    }
    if (status == KL_OK && options->metrics_listen != NULL) {
        status =
            start_engine(server, metrics, METRICS_THREADS, true, &server->metrics_context, err);
    }
    return status;
}

enum kl_status api_server_start(struct vault_stores *stores,
                                const struct api_server_options *options,
                                struct api_server **ret_server, struct kl_err *err)
{
    struct api_server *server = calloc(1, sizeof *server);
    enum kl_status status;

    if (server == NULL) {
        return kl_fail_memory(err);
    }
    status = take_options(options, &server->options, err);
    if (status != KL_OK) {
        goto out;
    }
    server->app.stores = stores;
    server->app.routes = API_ROUTES;
    server->app.route_count = API_ROUTES_COUNT;
    server->app.body_max_bytes = server->options.body_max_bytes;
    server->app.batch_max_bytes = server->options.batch_max_bytes;
    server->app.file_max_bytes = server->options.file_max_bytes;
    /* Files take long, and small requests must always find a worker. */
    server->app.streams_max = (server->options.threads + 1) / 2;
    server->app.metrics = api_metrics_new();
    if (server->app.metrics == NULL) {
        status = kl_fail_memory(err);
        goto out;
    }
    status = start_tls(server, &server->options, err);
    if (status != KL_OK) {
        goto out;
    }
    server->app.tls = server->tls;
    mg_init_library(MG_FEATURES_TLS);
    server->library = true;
    status = start_listeners(server, &server->options, err);
    if (status == KL_OK) {
        const struct api_webhook_options webhooks = {.ca_file = options->webhook_ca_file,
                                                     .may_be_private = options->webhook_private};

        status = api_webhook_sender_start(stores, &webhooks, &server->webhooks, err);
    }
    if (status != KL_OK) {
        goto out;
    }
    server->options.listen = NULL;
    server->options.metrics_listen = server->options.cert_file = server->options.key_file = NULL;
    server->options.client_ca_file = server->options.webhook_ca_file = NULL;
    *ret_server = server;
    server = NULL;

out:
    api_server_stop(server);
    return status;
}

enum kl_status api_server_reload(struct api_server *server, struct kl_err *err)
{
    return api_tls_reload(server->tls, err);
}

/* Wait until no request is under way, or the time is over. */
static void drain(struct api_server *server)
{
    const struct timespec tick = {.tv_nsec = DRAIN_TICK_US * 1000};
    int64_t deadline_us = kl_time_monotonic_us() + (int64_t)server->options.drain_timeout_ms * 1000;

    atomic_store(&server->app.draining, true);
    while (api_metrics_in_flight_now(server->app.metrics) > 0 &&
           kl_time_monotonic_us() < deadline_us) {
        nanosleep(&tick, NULL);
    }
}

void api_server_stop(struct api_server *server)
{
    if (server == NULL) {
        return;
    }
    if (server->context != NULL) {
        drain(server);
        api_tls_stop(server->tls);
        mg_stop(server->context);
    }
    mg_stop(server->metrics_context);
    api_webhook_sender_stop(server->webhooks);
    if (server->library) {
        mg_exit_library();
    }
    api_tls_free(server->tls);
    api_metrics_free(server->app.metrics);
    free(server);
}

int api_server_port(const struct api_server *server, size_t listen_index)
{
    struct mg_server_port ports[2 * API_LISTEN_MAX];
    const struct mg_context *context = server->context;
    size_t index = listen_index;

    if (listen_index == API_LISTEN_METRICS) {
        context = server->metrics_context;
        index = 0;
    }
    int count = context == NULL ? 0 : mg_get_server_ports(context, 2 * API_LISTEN_MAX, ports);
    return count > 0 && index < (size_t)count ? ports[index].port : 0;
}
