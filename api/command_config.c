#include "api/command.h"

#include "kluis/vault/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct kl_config_key api_config_keys[] = {
    {"data", KL_CONFIG_TEXT, NULL, 0, 0, "DIR", "the data directory"},
    {"custodian", KL_CONFIG_TEXT, NULL, 0, 0, "KIND:PATH",
     "what keeps the root key: file:PATH, passphrase:PATH or pkcs11:URI"},
    {"country", KL_CONFIG_TEXT, NULL, 0, 0, "COUNTRY",
     "where the data lies: IE, or aws:eu-west-1; stamped by init"},
    {"mirror", KL_CONFIG_LIST, NULL, 0, 0, "DIR,country=IE",
     "init: a second place for the keys; may be repeated"},
    {"destroyed", KL_CONFIG_BOOL, "false", 0, 0, NULL,
     "mirror drop: it cannot be reached, and you answer for its destruction"},
    {"passphrase-file", KL_CONFIG_TEXT, NULL, 0, 0, "FILE",
     "the file of the passphrase, or PIN; else a systemd credential or the terminal"},
    {"passphrase-fd", KL_CONFIG_INT, NULL, 0, 65535, "N",
     "an open file descriptor to read the passphrase, or PIN, from: its first line"},
    {"store-passphrase-file", KL_CONFIG_LIST, NULL, 0, 0, "NAME=FILE",
     "the file of another store's passphrase, or PIN; may be repeated; else a systemd credential"},
    {"leftover-pin-file", KL_CONFIG_TEXT, NULL, 0, 0, "FILE",
     "the PIN of a token that a cut short change of custodian left behind"},
    {"credentials-dir", KL_CONFIG_TEXT, NULL, 0, 0, "DIR",
     "where init writes operator.credential and steward.credential, and steward the latter"},
    {"tenant", KL_CONFIG_TEXT, NULL, 0, 0, "NAME", "steward: whose"},
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
    {"webhook-ca", KL_CONFIG_TEXT, NULL, 0, 0, "FILE",
     "the CA of webhooks' targets, and no other (PEM); else whom the system trusts"},
    {"webhook-private", KL_CONFIG_BOOL, "false", 0, 0, NULL,
     "webhooks may go to addresses that are not public"},
    {"threads", KL_CONFIG_INT, "128", 1, 1024, "N", "requests worked on at once"},
    {"cache-mib", KL_CONFIG_INT, "64", 8, 1048576, "N", "the store's block cache"},
    {"reserve-mib", KL_CONFIG_INT, "256", 128, 1048576, "N",
     "free room of each disk of the vault below which only erasures and the like are done"},
    {"body-max-kib", KL_CONFIG_INT, "1024", 16, 65536, "N", "the largest request body"},
    {"file-max-bytes", KL_CONFIG_INT, "5368709120", 1, VAULT_FILE_MAX_BYTES_LIMIT, "N",
     "the largest file that a field takes"},
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
    {"backup-keep", KL_CONFIG_TEXT, "P35D", 0, 0, "DURATION",
     "how old a backup may be that is restored: what was closed since is kept known for so long"},
    {"publish-heads", KL_CONFIG_LIST, NULL, 0, 0, "TARGET",
     "where heads of the audit trails are published: file:PATH, syslog or webhooks; may be repeated"},
    {"publish-heads-every", KL_CONFIG_INT, "60", 1, 86400, "SECONDS",
     "how often those that grew are published; once more at the end"},
    {"audit", KL_CONFIG_BOOL, "false", 0, 0, NULL,
     "doctor: also go over every entry of the audit trails"},
    {"log-level", KL_CONFIG_TEXT, "info", 0, 0, "LEVEL", "debug, info, warning or error"},
    {"from", KL_CONFIG_TEXT, NULL, 0, 0, "DIR", "restore: the directory of backups"},
    {"backup", KL_CONFIG_TEXT, NULL, 0, 0, "ID", "restore: which; else the newest"},
    {"keys-from", KL_CONFIG_TEXT, NULL, 0, 0, "DIR",
     "restore: the machine is lost; make the vault anew with the keys of this mirror"},
    {"finish", KL_CONFIG_BOOL, "false", 0, 0, NULL, "restore: count what restores set aside"},
    {"confirm", KL_CONFIG_INT, "-1", -1, INT64_MAX, "N",
     "restore --finish: shred it, when the number of slots is N"},
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
    struct vault_options options = {
        .data_dir = kl_config_text(config, "data"),
        .country = kl_config_text(config, "country"),
        .custodian = kl_config_text(config, "custodian"),
        .accept_f0 = kl_config_bool(config, "accept-f0"),
        .leftover_pin_file = kl_config_text(config, "leftover-pin-file"),
        .cache_bytes = (size_t)kl_config_int(config, "cache-mib") << 20,
        .reserve_bytes = (uint64_t)kl_config_int(config, "reserve-mib") << 20,
        .check_audit = kl_config_bool(config, "audit")};
    if (options.data_dir == NULL)
        return kl_fail(err, KL_ERR_INVALID, "usage", "--data DIR is needed", NULL);
    if (options.custodian == NULL)
        return kl_fail(
            err, KL_ERR_INVALID, "usage",
            "--custodian is needed: file:PATH or passphrase:PATH, outside the data directory, or pkcs11:URI",
            NULL);
    *ret_options = options;
    return KL_OK;
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
