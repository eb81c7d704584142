/*
 * Mbed TLS as we configure and compile it: its own known-answer tests, since compilers and processors differ, and that what we
 * left out really is absent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <mbedtls/aes.h>
#include <mbedtls/chachapoly.h>
#include <mbedtls/ecdsa.h>
#include <mbedtls/ecp.h>
#include <mbedtls/gcm.h>
#include <mbedtls/sha256.h>
#include <mbedtls/sha512.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ciphersuites.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>
#include <sodium.h>

#define X25519_BYTES 32
#define X25519_ROUNDS 64

typedef void (*x25519_function)(uint8_t *public_key, uint8_t *secret, uint8_t *base);

/* everest/Hacl_Curve25519.h; on x86-64 it chooses between two compilations of one source. */
void Hacl_Curve25519_crypto_scalarmult(uint8_t *public_key, uint8_t *secret, uint8_t *base);
#if defined(__x86_64__)
void kluis_x25519_plain(uint8_t *public_key, uint8_t *secret, uint8_t *base);
#endif

static int random_bytes(void *context, unsigned char *bytes, size_t size)
{
    (void)context;
    randombytes_buf(bytes, size);
    return 0;
}

static void test_known_answers_of_every_primitive_come_out_right(void **state)
{
    (void)state;
    assert_int_equal(mbedtls_aes_self_test(0), 0);
    assert_int_equal(mbedtls_gcm_self_test(0), 0);
    assert_int_equal(mbedtls_chachapoly_self_test(0), 0);
    assert_int_equal(mbedtls_sha256_self_test(0), 0);
    assert_int_equal(mbedtls_sha384_self_test(0), 0);
    assert_int_equal(mbedtls_sha512_self_test(0), 0);
}

/* RFC 6979, A.2.5: ECDSA over P-256, SHA-256, message "sample". */
static void test_p256_signs_as_rfc_6979_says(void **state)
{
    (void)state;
    static const char secret_hex[] =
        "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721";
    static const char r_hex[] = "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716";
    static const char s_hex[] = "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8";
    mbedtls_ecp_group group;
    mbedtls_mpi secret, r, s, expected;
    unsigned char digest[32];

    mbedtls_ecp_group_init(&group);
    mbedtls_mpi_init(&secret);
    mbedtls_mpi_init(&r);
    mbedtls_mpi_init(&s);
    mbedtls_mpi_init(&expected);
    assert_int_equal(mbedtls_sha256((const unsigned char *)"sample", 6, digest, 0), 0);
    assert_int_equal(mbedtls_ecp_group_load(&group, MBEDTLS_ECP_DP_SECP256R1), 0);
    assert_int_equal(mbedtls_mpi_read_string(&secret, 16, secret_hex), 0);
    assert_int_equal(mbedtls_ecdsa_sign_det_ext(&group, &r, &s, &secret, digest, sizeof digest,
                                                MBEDTLS_MD_SHA256, random_bytes, NULL),
                     0);
    assert_int_equal(mbedtls_mpi_read_string(&expected, 16, r_hex), 0);
    assert_int_equal(mbedtls_mpi_cmp_mpi(&r, &expected), 0);
    assert_int_equal(mbedtls_mpi_read_string(&expected, 16, s_hex), 0);
    assert_int_equal(mbedtls_mpi_cmp_mpi(&s, &expected), 0);
    mbedtls_mpi_free(&expected);
    mbedtls_mpi_free(&s);
    mbedtls_mpi_free(&r);
    mbedtls_mpi_free(&secret);
    mbedtls_ecp_group_free(&group);
}

static void expect_libsodiums_results(x25519_function multiply)
{
    for (int i = 0; i < X25519_ROUNDS; i++) {
        unsigned char secret[X25519_BYTES];
        unsigned char base[X25519_BYTES] = {9};
        unsigned char ours[X25519_BYTES];
        unsigned char theirs[X25519_BYTES];

        randombytes_buf(secret, sizeof secret);
        multiply(ours, secret, base);
        assert_int_equal(crypto_scalarmult_base(theirs, secret), 0);
        assert_memory_equal(ours, theirs, X25519_BYTES);

        randombytes_buf(secret, sizeof secret);
        multiply(base, secret, ours);
        assert_int_equal(crypto_scalarmult(theirs, secret, ours), 0);
        assert_memory_equal(base, theirs, X25519_BYTES);
    }
}

static void test_x25519_agrees_with_libsodium(void **state)
{
    (void)state;
    expect_libsodiums_results(Hacl_Curve25519_crypto_scalarmult);
}

static void test_x25519_for_older_processors_agrees_with_libsodium(void **state)
{
    (void)state;
#if defined(__x86_64__)
    expect_libsodiums_results(kluis_x25519_plain);
#else
    skip();
#endif
}

static void test_only_suites_with_authenticated_encryption_exist(void **state)
{
    size_t suites = 0;

    (void)state;
    for (const int *id = mbedtls_ssl_list_ciphersuites(); *id != 0; id++, suites++) {
        const char *name = mbedtls_ssl_get_ciphersuite_name(*id);
        bool aead = strstr(name, "-GCM-") != NULL || strstr(name, "-CHACHA20-POLY1305-") != NULL;
        bool forward_secret = strstr(name, "TLS1-3-") == name ||
                              strstr(name, "TLS-ECDHE-ECDSA-") == name ||
                              strstr(name, "TLS-ECDHE-RSA-") == name;

        assert_true(aead);
        assert_true(forward_secret);
    }
    assert_in_range(suites, 4, 16);
}

static void test_no_profile_accepts_sha1_in_a_certificate(void **state)
{
    (void)state;
    assert_int_equal(
        mbedtls_x509_crt_profile_default.allowed_mds & MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA1), 0);
    assert_int_equal(
        mbedtls_x509_crt_profile_next.allowed_mds & MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers_of_every_primitive_come_out_right),
        cmocka_unit_test(test_p256_signs_as_rfc_6979_says),
        cmocka_unit_test(test_x25519_agrees_with_libsodium),
        cmocka_unit_test(test_x25519_for_older_processors_agrees_with_libsodium),
        cmocka_unit_test(test_only_suites_with_authenticated_encryption_exist),
        cmocka_unit_test(test_no_profile_accepts_sha1_in_a_certificate),
    };

    if (sodium_init() < 0 || psa_crypto_init() != PSA_SUCCESS) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
