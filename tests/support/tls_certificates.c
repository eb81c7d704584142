#include "tests/support/tls_certificates.h"

#include <assert.h>
#include <dirent.h>
#include <mbedtls/ecp.h>
#include <mbedtls/pk.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PEM_MAX_BYTES 4096
#define DAY_S 86400

static void write_file(const char *path, const unsigned char *text)
{
    FILE *file = fopen(path, "w");

    assert(file != NULL);
    assert(fputs((const char *)text, file) >= 0);
    assert(fclose(file) == 0);
}

static void make_key(mbedtls_pk_context *key, const char *path)
{
    unsigned char pem[PEM_MAX_BYTES];

    mbedtls_pk_init(key);
    assert(mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)) == 0);
    assert(mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key),
                               mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE) == 0);
    assert(mbedtls_pk_write_key_pem(key, pem, sizeof pem) == 0);
    write_file(path, pem);
}

static void set_life(mbedtls_x509write_cert *cert, bool ended)
{
    time_t from = time(NULL) - (ended ? 2 * DAY_S : DAY_S);
    time_t to = from + (ended ? DAY_S : 2 * DAY_S);
    char from_text[16];
    char to_text[16];
    struct tm tm;

    assert(strftime(from_text, sizeof from_text, "%Y%m%d%H%M%S", gmtime_r(&from, &tm)) == 14);
    assert(strftime(to_text, sizeof to_text, "%Y%m%d%H%M%S", gmtime_r(&to, &tm)) == 14);
    assert(mbedtls_x509write_crt_set_validity(cert, from_text, to_text) == 0);
}

static void read_issuer(const struct test_certificate *issuer, mbedtls_x509_crt *cert,
                        mbedtls_pk_context *key)
{
    mbedtls_x509_crt_init(cert);
    mbedtls_pk_init(key);
    assert(mbedtls_x509_crt_parse_file(cert, issuer->cert_file) == 0);
    assert(mbedtls_pk_parse_keyfile(key, issuer->key_file, NULL, mbedtls_psa_get_random,
                                    MBEDTLS_PSA_RANDOM_STATE) == 0);
}

static void hash_certificate(struct test_certificate *certificate)
{
    mbedtls_x509_crt parsed;

    mbedtls_x509_crt_init(&parsed);
    assert(mbedtls_x509_crt_parse_file(&parsed, certificate->cert_file) == 0);
    crypto_hash_sha256(certificate->sha256, parsed.raw.p, parsed.raw.len);
    mbedtls_x509_crt_free(&parsed);
}

void test_certificate_make(const char *dir, const char *name, const char *common_name,
                           const struct test_certificate *issuer, bool ended,
                           struct test_certificate *ret_certificate)
{
    struct test_certificate made = {{0}, {0}, {0}};
    mbedtls_x509write_cert writer;
    mbedtls_x509_crt issuer_cert;
    mbedtls_pk_context issuer_key;
    mbedtls_pk_context key;
    unsigned char serial[8];
    unsigned char pem[PEM_MAX_BYTES];
    char subject[128];
    char issuer_name[256];

    assert(psa_crypto_init() == PSA_SUCCESS);
    snprintf(made.cert_file, sizeof made.cert_file, "%.200s/%.40s.crt", dir, name);
    snprintf(made.key_file, sizeof made.key_file, "%.200s/%.40s.key", dir, name);
    snprintf(subject, sizeof subject, "CN=%.64s", common_name);
    snprintf(issuer_name, sizeof issuer_name, "%s", subject);
    make_key(&key, made.key_file);

    mbedtls_x509write_crt_init(&writer);
    mbedtls_x509write_crt_set_md_alg(&writer, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(&writer, &key);
    mbedtls_x509write_crt_set_issuer_key(&writer, &key);
    if (issuer != NULL) {
        read_issuer(issuer, &issuer_cert, &issuer_key);
        mbedtls_x509write_crt_set_issuer_key(&writer, &issuer_key);
        assert(mbedtls_x509_dn_gets(issuer_name, sizeof issuer_name, &issuer_cert.subject) > 0);
    }
    assert(mbedtls_x509write_crt_set_subject_name(&writer, subject) == 0);
    assert(mbedtls_x509write_crt_set_issuer_name(&writer, issuer_name) == 0);
    randombytes_buf(serial, sizeof serial);
    serial[0] = (unsigned char)((serial[0] & 0x7f) | 1);
    assert(mbedtls_x509write_crt_set_serial_raw(&writer, serial, sizeof serial) == 0);
    assert(mbedtls_x509write_crt_set_basic_constraints(&writer, issuer == NULL, -1) == 0);
    set_life(&writer, ended);
    assert(mbedtls_x509write_crt_pem(&writer, pem, sizeof pem, mbedtls_psa_get_random,
                                     MBEDTLS_PSA_RANDOM_STATE) == 0);
    write_file(made.cert_file, pem);
    mbedtls_x509write_crt_free(&writer);
    mbedtls_pk_free(&key);
    if (issuer != NULL) {
        mbedtls_x509_crt_free(&issuer_cert);
        mbedtls_pk_free(&issuer_key);
    }
    hash_certificate(&made);
    *ret_certificate = made;
}

void test_folder_make(char ret_dir[TEST_PATH_BYTES])
{
    const char *base = getenv("TMPDIR");

    snprintf(ret_dir, TEST_PATH_BYTES, "%.200s/kluis-test-XXXXXX", base == NULL ? "/tmp" : base);
    assert(mkdtemp(ret_dir) != NULL);
}

void test_folder_remove(const char *dir)
{
    DIR *folder = opendir(dir);
    struct dirent *entry;

    assert(folder != NULL);
    while ((entry = readdir(folder)) != NULL) {
        char path[TEST_PATH_BYTES + 256];
        struct stat info;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        assert(lstat(path, &info) == 0);
        if (S_ISDIR(info.st_mode)) {
            test_folder_remove(path);
        } else {
            assert(unlink(path) == 0);
        }
    }
    closedir(folder);
    assert(rmdir(dir) == 0);
}
