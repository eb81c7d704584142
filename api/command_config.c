#include "api/command.h"

#include "kluis/base/buf.h"
#include "kluis/base/file.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define PASSPHRASE_MAX_BYTES 1024
#define PATH_MAX_BYTES 4096

const struct kl_config_key api_config_keys[] = {
    {"data", KL_CONFIG_TEXT, NULL, 0, 0, "DIR", "the data directory"},
    {"custodian", KL_CONFIG_TEXT, NULL, 0, 0, "KIND:PATH",
     "what keeps the root key: file:PATH or passphrase:PATH"},
    {"country", KL_CONFIG_TEXT, NULL, 0, 0, "COUNTRY",
     "where the data lies: IE, or aws:eu-west-1; stamped by init"},
    {"passphrase-file", KL_CONFIG_TEXT, NULL, 0, 0, "FILE",
     "the passphrase's file; else a systemd credential or the terminal"},
    {"credentials-dir", KL_CONFIG_TEXT, NULL, 0, 0, "DIR",
     "where init writes operator.credential and steward.credential"},
    {"accept-f0", KL_CONFIG_BOOL, "false", 0, 0, NULL,
     "work although old root keys may survive on this file system"},
    {"allow-unlocked-memory", KL_CONFIG_BOOL, "false", 0, 0, NULL,
     "work although memory cannot be locked"},
    {"listen", KL_CONFIG_LIST, "127.0.0.1:8443", 0, 0, "HOST:PORT",
     "where to listen; may be repeated"},
    {"metrics-listen", KL_CONFIG_TEXT, NULL, 0, 0, "HOST:PORT",
     "plain HTTP for /metrics, /healthz and /readyz alone"},
    {"tls-cert", KL_CONFIG_TEXT, NULL, 0, 0, "FILE", "the server's certificate chain (PEM)"},
    {"tls-key", KL_CONFIG_TEXT, NULL, 0, 0, "FILE",
     "the server's key (PEM); ECDSA P-256 is fastest"},
    {"client-ca", KL_CONFIG_TEXT, NULL, 0, 0, "FILE", "the CA of client certificates (PEM)"},
    {"client-auth", KL_CONFIG_TEXT, "optional", 0, 0, "MODE",
     "with --client-ca: optional or required"},
    {"threads", KL_CONFIG_INT, "128", 1, 1024, "N", "requests worked on at once"},
    {"cache-mib", KL_CONFIG_INT, "64", 8, 1048576, "N", "the store's block cache"},
    {"body-max-kib", KL_CONFIG_INT, "1024", 16, 65536, "N", "the largest request body"},
    {"request-timeout-ms", KL_CONFIG_INT, "10000", 100, 600000, "N",
     "how long a request may take to arrive"},
    {"handshake-timeout-ms", KL_CONFIG_INT, "5000", 100, 60000, "N",
     "how long a TLS handshake may take"},
    {"idle-timeout-ms", KL_CONFIG_INT, "60000", 100, 3600000, "N",
     "how long an idle connection is kept"},
    {"sweep-at", KL_CONFIG_TEXT, "03:00", 0, 0, "HH:MM",
     "when the nightly sweep starts (UTC), or never"},
    {"sweep-at-latest", KL_CONFIG_TEXT, "P7D", 0, 0, "DURATION",
     "when an overwritten value goes at the latest, with or without a backup"},
    {"log-level", KL_CONFIG_TEXT, "info", 0, 0, "LEVEL", "debug, info, warning or error"},
    {"config", KL_CONFIG_TEXT, NULL, 0, 0, "FILE", "a YAML file with these keys"},
    {"format", KL_CONFIG_TEXT, "table", 0, 0, "FORMAT", "doctor's answer: table or json"},
    {NULL, KL_CONFIG_TEXT, NULL, 0, 0, NULL, NULL},
};

/* The file that --config or KLUISD_CONFIG names, before anything is parsed; NULL: none. */
static const char *config_file(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
            return argv[i + 1];
        if (strncmp(argv[i], "--config=", 9) == 0)
            return argv[i] + 9;
    }
    return getenv("KLUISD_CONFIG");
}

enum kl_status api_config_read(int *argc, char **argv, struct kl_config **ret_config,
                               struct kl_err *err)
{
    struct kl_config *config = kl_config_new(api_config_keys, "KLUISD_");
    if (config == NULL)
        return kl_fail_memory(err);
    enum kl_status status = KL_OK;
    const char *file = config_file(*argc, argv);
    if (file != NULL)
        status = kl_config_read_file(config, file, err);
    if (status == KL_OK)
        status = kl_config_read_environment(config, err);
    if (status == KL_OK)
        status = kl_config_read_flags(config, argc, argv, err);
    if (status != KL_OK) {
        kl_config_free(config);
        return status;
    }
    *ret_config = config;
    return KL_OK;
}

enum kl_status api_config_vault(const struct kl_config *config, struct vault_options *ret_options,
                                struct kl_err *err)
{
    struct vault_options options = {.data_dir = kl_config_text(config, "data"),
                                    .country = kl_config_text(config, "country"),
                                    .custodian = kl_config_text(config, "custodian"),
                                    .accept_f0 = kl_config_bool(config, "accept-f0"),
                                    .cache_bytes = (size_t)kl_config_int(config, "cache-mib")
                                                   << 20};
    if (options.data_dir == NULL)
        return kl_fail(err, KL_ERR_INVALID, "usage", "--data DIR is needed", NULL);
    if (options.custodian == NULL)
        return kl_fail(
            err, KL_ERR_INVALID, "usage",
            "--custodian is needed: file:PATH or passphrase:PATH, outside the data directory",
            NULL);
    *ret_options = options;
    return KL_OK;
}

static enum kl_status keep(const unsigned char *bytes, size_t size,
                           struct kl_secret **ret_passphrase, size_t *ret_bytes, struct kl_err *err)
{
    while (size > 0 && (bytes[size - 1] == '\n' || bytes[size - 1] == '\r'))
        size--;
    if (size == 0)
        return kl_fail(err, KL_ERR_INVALID, "empty_passphrase", "the passphrase is empty", NULL);
    struct kl_secret *secret = kl_secret_new(size);
    if (secret == NULL)
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "no guarded memory", NULL);
    memcpy(kl_secret_bytes(secret), bytes, size);
    *ret_passphrase = secret;
    *ret_bytes = size;
    return KL_OK;
}

static enum kl_status from_file(const char *path, struct kl_secret **ret_passphrase,
                                size_t *ret_bytes, struct kl_err *err)
{
    struct kl_buf file = {0};
    enum kl_status status = kl_file_read(path, PASSPHRASE_MAX_BYTES + 2, &file, err);
    if (status == KL_OK)
        status = keep(file.bytes, file.size, ret_passphrase, ret_bytes, err);
    kl_buf_done(&file);
    return status;
}

/* One line from the terminal without echo. */
static bool ask(const char *prompt, char line[PASSPHRASE_MAX_BYTES + 2])
{
    struct termios saved;
    if (tcgetattr(STDIN_FILENO, &saved) != 0)
        return false;
    struct termios silent = saved;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    (void)fputs(prompt, stderr);
    size_t size = 0;
    char byte = 0;
    while (size < PASSPHRASE_MAX_BYTES && read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n')
        line[size++] = byte;
    line[size] = '\0';
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
    (void)fputc('\n', stderr);
    return size > 0;
}

static enum kl_status from_terminal(bool confirm, struct kl_secret **ret_passphrase,
                                    size_t *ret_bytes, struct kl_err *err)
{
    if (!isatty(STDIN_FILENO))
        return kl_fail(
            err, KL_ERR_INVALID, "no_passphrase",
            "a passphrase is needed: --passphrase-file FILE, a systemd credential kluis-passphrase, or a terminal",
            NULL);
    char first[PASSPHRASE_MAX_BYTES + 2] = "", second[PASSPHRASE_MAX_BYTES + 2] = "";
    enum kl_status status = KL_OK;
    if (!ask("passphrase of the root key: ", first))
        status = kl_fail(err, KL_ERR_INVALID, "no_passphrase", "no passphrase was given", NULL);
    else if (confirm && (!ask("again: ", second) || strcmp(first, second) != 0))
        status =
            kl_fail(err, KL_ERR_INVALID, "passphrases_differ", "the two passphrases differ", NULL);
    else
        status = keep((const unsigned char *)first, strlen(first), ret_passphrase, ret_bytes, err);
    sodium_memzero(first, sizeof first);
    sodium_memzero(second, sizeof second);
    return status;
}

enum kl_status api_passphrase_read(const struct kl_config *config, const char *custodian,
                                   bool confirm, struct kl_secret **ret_passphrase,
                                   size_t *ret_bytes, struct kl_err *err)
{
    *ret_passphrase = NULL;
    *ret_bytes = 0;
    if (strncmp(custodian, "passphrase:", 11) != 0)
        return KL_OK;
    const char *file = kl_config_text(config, "passphrase-file");
    if (file != NULL)
        return from_file(file, ret_passphrase, ret_bytes, err);
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    char path[PATH_MAX_BYTES];
    if (folder != NULL &&
        snprintf(path, sizeof path, "%s/kluis-passphrase", folder) < (int)sizeof path &&
        access(path, R_OK) == 0)
        return from_file(path, ret_passphrase, ret_bytes, err);
    return from_terminal(confirm, ret_passphrase, ret_bytes, err);
}

void api_command_say(const struct kl_err *err)
{
    (void)fprintf(stderr, "kluisd: %s",
                  err->client_text[0] != '\0' ? err->client_text : err->log_text);
    if (err->where[0] != '\0')
        (void)fprintf(stderr, " (at %s)", err->where);
    (void)fprintf(stderr, " [%s]\n", err->code);
    if (err->log_text[0] != '\0' && strcmp(err->log_text, err->client_text) != 0)
        (void)fprintf(stderr, "kluisd: %s\n", err->log_text);
}
