/*
 * Certificates, keys and settings of TLS, loaded as one counted object that is never changed once
 * in use.
 */
#include "api/tls_internal.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <mbedtls/error.h>
#include <mbedtls/platform.h>
#include <mbedtls/psa_util.h>
#include <psa/crypto.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* 1.3 suites are chosen by the client among these; in 1.2 our order counts. */
static const int SUITES[] = {MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
                             MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
                             MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
                             MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                             MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                             MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                             MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                             MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
                             MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                             0};
static const uint16_t GROUPS[] = {
    MBEDTLS_SSL_IANA_TLS_GROUP_X25519, MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1, MBEDTLS_SSL_IANA_TLS_GROUP_NONE};
static const char *PROTOCOLS[] = {"http/1.1", NULL};

/* ---- the process ---- */

static void *wiping_calloc(size_t count, size_t size)
{
    return calloc(count, size);
}

static void wiping_free(void *memory)
{
    if (memory != NULL) {
        sodium_memzero(memory, malloc_usable_size(memory));
        free(memory);
    }
}

static pthread_once_t process_once = PTHREAD_ONCE_INIT;
static int process_result;

static void process_start(void)
{
    process_result = mbedtls_platform_set_calloc_free(wiping_calloc, wiping_free);
    if (process_result == 0 && psa_crypto_init() != PSA_SUCCESS) {
        process_result = -1;
    }
}

enum kl_status api_tls_process_init(struct kl_err *err)
{
    pthread_once(&process_once, process_start);
    if (process_result != 0) {
        return kl_fail(err, KL_ERR_INTERNAL, "tls_unavailable", "TLS does not start", NULL);
    }
    return KL_OK;
}

/* ---- who the client is ---- */

static int64_t moment_of(const mbedtls_x509_time *when)
{
    struct tm tm = {.tm_year = when->year - 1900,
                    .tm_mon = when->mon - 1,
                    .tm_mday = when->day,
                    .tm_hour = when->hour,
                    .tm_min = when->min,
                    .tm_sec = when->sec};

    return (int64_t)timegm(&tm) * 1000000;
}

bool api_tls_session_identity(const mbedtls_ssl_session *session,
                              struct api_tls_identity *ret_identity)
{
    const mbedtls_x509_crt *certificate = session->MBEDTLS_PRIVATE(peer_cert);

    if (certificate == NULL || session->MBEDTLS_PRIVATE(verify_result) != 0) {
        return false;
    }
    ret_identity->has_certificate = true;
    crypto_hash_sha256(ret_identity->sha256, certificate->raw.p, certificate->raw.len);
    ret_identity->not_after_us = moment_of(&certificate->valid_to);
    return true;
}

/*
 * Where certificates are optional Mbed TLS goes on with one that does not verify; this ends the
 * handshake instead. What it returns must not be one of the two codes that "optional" forgives.
 */
static int refuse_unverified(void *context, mbedtls_x509_crt *certificate, int depth,
                             uint32_t *flags)
{
    (void)context;
    (void)certificate;
    (void)depth;
    return *flags == 0 ? 0 : MBEDTLS_ERR_X509_FATAL_ERROR;
}

/* ---- loading ---- */

static enum kl_status fail_file(struct kl_err *err, const char *code, const char *what,
                                const char *path, int result)
{
    if (result == MBEDTLS_ERR_PK_FILE_IO_ERROR || result == MBEDTLS_ERR_X509_FILE_IO_ERROR) {
        return kl_failf(err, KL_ERR_IO, "unreadable_file", "could not read the %s file %s: %s",
                        what, path, strerror(errno));
    }
    if (result == MBEDTLS_ERR_PK_ALLOC_FAILED || result == MBEDTLS_ERR_X509_ALLOC_FAILED) {
        return kl_fail_memory(err);
    }
    return kl_failf(err, KL_ERR_INVALID, code,
                    "the %s file %s is no PEM file of that kind (error -0x%04x)", what, path,
                    (unsigned)-result);
}

static enum kl_status load_files(struct api_tls_config *config,
                                 const struct api_tls_options *options, struct kl_err *err)
{
    errno = 0;
    int result = mbedtls_x509_crt_parse_file(&config->certificate, options->cert_file);
    if (result != 0) {
        return fail_file(err, "invalid_certificate", "certificate", options->cert_file,
                         result < 0 ? result : -1);
    }
    result = mbedtls_pk_parse_keyfile(&config->key, options->key_file, NULL, mbedtls_psa_get_random,
                                      MBEDTLS_PSA_RANDOM_STATE);
    if (result != 0) {
        return fail_file(err, "invalid_key", "private key", options->key_file, result);
    }
    if (mbedtls_pk_check_pair(&config->certificate.pk, &config->key, mbedtls_psa_get_random,
                              MBEDTLS_PSA_RANDOM_STATE) != 0) {
        return kl_failf(err, KL_ERR_INVALID, "key_mismatch",
                        "the private key in %s is not that of the certificate in %s",
                        options->key_file, options->cert_file);
    }
    if (options->client_ca_file != NULL) {
        result = mbedtls_x509_crt_parse_file(&config->client_ca, options->client_ca_file);
        if (result != 0) {
            return fail_file(err, "invalid_client_ca", "client authority", options->client_ca_file,
                             result < 0 ? result : -1);
        }
    }
    return KL_OK;
}

static void configure_clients(struct api_tls_config *config, const struct api_tls_options *options)
{
    int mode = MBEDTLS_SSL_VERIFY_NONE;

    if (options->client_auth == API_CLIENT_AUTH_REQUIRED) {
        mode = MBEDTLS_SSL_VERIFY_REQUIRED;
    } else if (options->client_auth == API_CLIENT_AUTH_OPTIONAL) {
        mode = MBEDTLS_SSL_VERIFY_OPTIONAL;
    }
    mbedtls_ssl_conf_authmode(&config->ssl, mode);
    if (mode != MBEDTLS_SSL_VERIFY_NONE) {
        mbedtls_ssl_conf_ca_chain(&config->ssl, &config->client_ca, NULL);
        mbedtls_ssl_conf_verify(&config->ssl, refuse_unverified, NULL);
    }
}

static enum kl_status configure(struct api_tls_config *config,
                                const struct api_tls_options *options, struct kl_err *err)
{
    mbedtls_ssl_config *ssl = &config->ssl;

    if (mbedtls_ssl_config_defaults(ssl, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0 ||
        mbedtls_ssl_conf_own_cert(ssl, &config->certificate, &config->key) != 0 ||
        mbedtls_ssl_conf_alpn_protocols(ssl, PROTOCOLS) != 0) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "out of memory", "TLS settings");
    }
    mbedtls_ssl_conf_rng(ssl, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    mbedtls_ssl_conf_min_tls_version(ssl, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_max_tls_version(ssl, MBEDTLS_SSL_VERSION_TLS1_3);
    mbedtls_ssl_conf_ciphersuites(ssl, SUITES);
    mbedtls_ssl_conf_groups(ssl, GROUPS);
    mbedtls_ssl_conf_tls13_key_exchange_modes(
        ssl, options->tickets ? MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL_ALL
                              : MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL);
    configure_clients(config, options);
    if (options->tickets) {
        config->tickets = api_tls_tickets_new();
        if (config->tickets == NULL) {
            return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "no lockable memory for ticket keys",
                           NULL);
        }
        mbedtls_ssl_conf_session_tickets_cb(ssl, api_tls_ticket_write, api_tls_ticket_parse,
                                            config);
    }
    return KL_OK;
}

enum kl_status api_tls_config_load(const struct api_tls_options *options,
                                   struct api_tls_config **ret_config, struct kl_err *err)
{
    struct api_tls_config *config = calloc(1, sizeof *config);
    enum kl_status status;

    if (config == NULL) {
        return kl_fail_memory(err);
    }
    atomic_init(&config->references, 1);
    mbedtls_ssl_config_init(&config->ssl);
    mbedtls_x509_crt_init(&config->certificate);
    mbedtls_pk_init(&config->key);
    mbedtls_x509_crt_init(&config->client_ca);

    status = load_files(config, options, err);
    if (status == KL_OK) {
        status = configure(config, options, err);
    }
    if (status != KL_OK) {
        api_tls_config_unref(config);
        return status;
    }
    *ret_config = config;
    return KL_OK;
}

struct api_tls_config *api_tls_config_ref(struct api_tls_config *config)
{
    atomic_fetch_add(&config->references, 1);
    return config;
}

void api_tls_config_unref(struct api_tls_config *config)
{
    if (config == NULL || atomic_fetch_sub(&config->references, 1) != 1) {
        return;
    }
    mbedtls_ssl_config_free(&config->ssl);
    mbedtls_x509_crt_free(&config->certificate);
    mbedtls_pk_free(&config->key);
    mbedtls_x509_crt_free(&config->client_ca);
    api_tls_tickets_free(config->tickets);
    free(config);
}
