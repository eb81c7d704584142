/*
 * In TLS 1.3 Mbed TLS makes the public X25519 key with its generic curve code, and uses the faster,
 * verified Everest code only for the shared secret. The linker sends mbedtls_ecp_mul() here
 * (--wrap), and what is X25519 with the base point goes to Everest.
 */
#include <mbedtls/ecp.h>

#include <sodium.h>
#include <stdint.h>

#define X25519_BYTES 32
#define X25519_BASE 9 /* RFC 7748, 4.1 */

/* everest/Hacl_Curve25519.h, which needs more include folders than the library installs. */
void Hacl_Curve25519_crypto_scalarmult(uint8_t *public_key, uint8_t *secret, uint8_t *base);

/* Names that the linker gives. */
int __real_mbedtls_ecp_mul(mbedtls_ecp_group *group, mbedtls_ecp_point *result,
                           const mbedtls_mpi *scalar, const mbedtls_ecp_point *point,
                           int (*random)(void *, unsigned char *, size_t), void *context);
int __wrap_mbedtls_ecp_mul(mbedtls_ecp_group *group, mbedtls_ecp_point *result,
                           const mbedtls_mpi *scalar, const mbedtls_ecp_point *point,
                           int (*random)(void *, unsigned char *, size_t), void *context);

static int multiply_base(mbedtls_ecp_point *result, const mbedtls_mpi *scalar)
{
    unsigned char base[X25519_BYTES] = {X25519_BASE};
    unsigned char secret[X25519_BYTES];
    unsigned char public_key[X25519_BYTES];
    int code = mbedtls_mpi_write_binary_le(scalar, secret, sizeof secret);

    if (code == 0) {
        Hacl_Curve25519_crypto_scalarmult(public_key, secret, base);
        code =
            mbedtls_mpi_read_binary_le(&result->MBEDTLS_PRIVATE(X), public_key, sizeof public_key);
    }
    if (code == 0) {
        mbedtls_mpi_free(&result->MBEDTLS_PRIVATE(Y));
        code = mbedtls_mpi_lset(&result->MBEDTLS_PRIVATE(Z), 1);
    }
    sodium_memzero(secret, sizeof secret);
    return code;
}

int __wrap_mbedtls_ecp_mul(mbedtls_ecp_group *group, mbedtls_ecp_point *result,
                           const mbedtls_mpi *scalar, const mbedtls_ecp_point *point,
                           int (*random)(void *, unsigned char *, size_t), void *context)
{
    if (group->id == MBEDTLS_ECP_DP_CURVE25519 &&
        mbedtls_mpi_cmp_int(&point->MBEDTLS_PRIVATE(X), X25519_BASE) == 0 &&
        mbedtls_ecp_check_privkey(group, scalar) == 0) {
        return multiply_base(result, scalar);
    }
    return __real_mbedtls_ecp_mul(group, result, scalar, point, random, context);
}
