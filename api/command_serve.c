#include "api/command.h"
#include "api/notify.h"
#include "api/publish.h"

#include "kluis/api/server.h"
#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "kluis/vault/stores.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* Of so many workers one may be on a long walk. */
#define WALKS_OF_THREADS 4

static enum kl_status take_log_level(const struct kl_config *config, struct kl_err *err)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    const char *text = kl_config_text(config, "log-level");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(text, names[i]) == 0) {
            kl_log_level_set((enum kl_log_level)i);
            return KL_OK;
        }
    return kl_fail(err, KL_ERR_INVALID, "usage", "--log-level is debug, info, warning or error",
                   NULL);
}

static enum kl_status server_options(const struct kl_config *config,
                                     struct api_server_options *ret_options, struct kl_err *err)
{
    struct api_server_options options = {
        .listen = kl_config_list(config, "listen"),
        .metrics_listen = kl_config_text(config, "metrics-listen"),
        .cert_file = kl_config_text(config, "tls-cert"),
        .key_file = kl_config_text(config, "tls-key"),
        .client_ca_file = kl_config_text(config, "client-ca"),
        .webhook_ca_file = kl_config_text(config, "webhook-ca"),
        .webhook_private = kl_config_bool(config, "webhook-private"),
        .threads = (int)kl_config_int(config, "threads"),
        .body_max_bytes = (size_t)kl_config_int(config, "body-max-kib") << 10,
        .file_max_bytes = (uint64_t)kl_config_int(config, "file-max-bytes"),
        .handshake_timeout_ms = (int)kl_config_int(config, "handshake-timeout-ms"),
        .request_timeout_ms = (int)kl_config_int(config, "request-timeout-ms"),
        .keep_alive_timeout_ms = (int)kl_config_int(config, "idle-timeout-ms"),
    };
    const char *mode = kl_config_text(config, "client-auth");
    while (options.listen[options.listen_count] != NULL)
        options.listen_count++;
    if (options.cert_file == NULL || options.key_file == NULL)
        return kl_fail(err, KL_ERR_INVALID, "usage",
                       "--tls-cert and --tls-key are needed (PEM files)", NULL);
    if (strcmp(mode, "required") != 0 && strcmp(mode, "optional") != 0)
        return kl_fail(err, KL_ERR_INVALID, "usage", "--client-auth is optional or required", NULL);
    if (options.client_ca_file != NULL)
        options.client_auth =
            strcmp(mode, "required") == 0 ? API_CLIENT_AUTH_REQUIRED : API_CLIENT_AUTH_OPTIONAL;
    else if (strcmp(mode, "required") == 0)
        return kl_fail(err, KL_ERR_INVALID, "usage", "--client-auth required needs --client-ca",
                       NULL);
    *ret_options = options;
    return KL_OK;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HH:MM" as the second of the day; "never" is -1. */
static enum kl_status take_sweep_at(const char *text, int32_t *ret_second, struct kl_err *err)
{
    bool shaped = strlen(text) == 5 && is_digit(text[0]) && is_digit(text[1]) && text[2] == ':' &&
                  is_digit(text[3]) && is_digit(text[4]);
    int32_t hour = shaped ? (text[0] - '0') * 10 + (text[1] - '0') : 24;
    int32_t minute = shaped ? (text[3] - '0') * 10 + (text[4] - '0') : 60;
    if (strcmp(text, "never") == 0)
        *ret_second = -1;
    else if (hour < 24 && minute < 60)
        *ret_second = (hour * 60 + minute) * 60;
    else
        return kl_fail(err, KL_ERR_INVALID, "usage", "--sweep-at is HH:MM (UTC) or never", NULL);
    return KL_OK;
}

/* A duration above zero; example is one. */
static enum kl_status take_duration(const struct kl_config *config, const char *key,
                                    const char *example, int64_t *ret_us, struct kl_err *err)
{
    const char *text = kl_config_text(config, key);
    struct kl_duration duration;
    int64_t us = 0;
    if (kl_duration_parse(text, strlen(text), &duration, NULL) == KL_OK)
        us = kl_time_add(0, &duration);
    if (us <= 0)
        return kl_failf(err, KL_ERR_INVALID, "usage",
                        "--%s is an ISO 8601 duration above zero, as %s", key, example);
    *ret_us = us;
    return KL_OK;
}

static enum kl_status upkeep_options(const struct kl_config *config,
                                     struct vault_upkeep_options *ret_options, struct kl_err *err)
{
    struct vault_upkeep_options options = {0};
    enum kl_status status =
        take_sweep_at(kl_config_text(config, "sweep-at"), &options.sweep_at_s, err);
    if (status == KL_OK)
        status = take_duration(config, "sweep-at-latest", "P7D", &options.sweep_at_latest_us, err);
    if (status == KL_OK)
        status = take_duration(config, "backup-keep", "P35D", &options.backup_keep_us, err);
    if (status == KL_OK)
        *ret_options = options;
    return status;
}

/* The signals of a service, blocked before the first thread so that only wait_for_end() takes them. */
static void block_signals(sigset_t *ret_signals)
{
    sigemptyset(ret_signals);
    sigaddset(ret_signals, SIGTERM);
    sigaddset(ret_signals, SIGINT);
    sigaddset(ret_signals, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, ret_signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

static void wait_for_end(struct api_server *server, const sigset_t *signals)
{
    int signal_number = 0;
    while (sigwait(signals, &signal_number) == 0 && signal_number == SIGHUP) {
        struct kl_err err = {0};
        api_notify("RELOADING=1");
        if (api_server_reload(server, &err) == KL_OK)
            kl_log(KL_LOG_INFO, "certificates_reloaded");
        else
            kl_log_err(KL_LOG_ERROR, "certificates_not_reloaded", &err);
        api_notify("READY=1");
    }
    api_notify("STOPPING=1");
    kl_log(KL_LOG_INFO, "server_stopping", KL_LOG_INT("signal", signal_number));
}

static enum kl_status serve(const struct kl_config *config, const sigset_t *signals,
                            struct kl_err *err)
{
    struct vault_stores_options opening = {.secret = api_store_secret,
                                           .secret_context = (void *)config};
    struct api_server_options options;
    struct vault_upkeep_options upkeep;
    struct kl_secret *passphrase = NULL;
    struct vault_stores *stores = NULL;
    struct api_server *server = NULL;
    struct api_publisher *publisher = NULL;

    enum kl_status status = take_log_level(config, err);
    if (status == KL_OK)
        status = api_config_vault(config, &opening.main, err);
    if (status == KL_OK)
        status = server_options(config, &options, err);
    if (status == KL_OK)
        opening.main.walks_max =
            (unsigned)(options.threads + WALKS_OF_THREADS - 1) / WALKS_OF_THREADS;
    if (status == KL_OK)
        status = upkeep_options(config, &upkeep, err);
    if (status == KL_OK)
        status = api_passphrase_read(config, opening.main.custodian, false, &passphrase,
                                     &opening.main.passphrase_bytes, err);
    if (status == KL_OK && passphrase != NULL)
        opening.main.passphrase = (const char *)kl_secret_peek(passphrase);
    if (status == KL_OK)
        status = vault_stores_open(&opening, &stores, err);
    kl_secret_free(passphrase);
    if (status == KL_OK)
        status = vault_stores_upkeep_start(stores, &upkeep, err);
    if (status == KL_OK)
        status =
            api_publisher_start(stores, kl_config_list(config, "publish-heads"),
                                (int)kl_config_int(config, "publish-heads-every"), &publisher, err);
    if (status == KL_OK)
        status = api_server_start(stores, &options, &server, err);
    if (status == KL_OK) {
        kl_log(KL_LOG_INFO, "server_started", KL_LOG_TEXT("version", KLUIS_VERSION),
               KL_LOG_INT("port", api_server_port(server, 0)),
               KL_LOG_TEXT("country", vault_store_country(vault_stores_main(stores)).code));
        api_notify("READY=1");
        wait_for_end(server, signals);
    }
    api_server_stop(server);
    api_publisher_stop(publisher); /* with what the last requests did */
    vault_stores_close(stores);    /* ends the upkeep */
    if (status == KL_OK)
        kl_log(KL_LOG_INFO, "server_stopped");
    return status;
}

enum api_exit api_command_serve(const struct kl_config *config)
{
    sigset_t signals;
    struct kl_err err = {0};
    block_signals(&signals);
    if (serve(config, &signals, &err) == KL_OK)
        return API_DONE;
    kl_log_err(KL_LOG_ERROR, "server_not_started", &err);
    api_command_say(&err);
    if (err.status == KL_ERR_IO || strcmp(err.code, "vault_disk_full") == 0)
        return API_DISK;
    return strcmp(err.code, "usage") == 0 ? API_USAGE : API_FAILED;
}
