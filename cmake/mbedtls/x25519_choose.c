/*
 * Curve25519 scalar multiplication at the speed of the processor at hand. The same verified source is compiled twice; with
 * BMI2's mulx it takes about half the time. Both give the same results, so the choice is not a matter of security.
 */
#include <stdint.h>

#include "everest/Hacl_Curve25519.h"

void kluis_x25519_plain(uint8_t *mypublic, uint8_t *secret, uint8_t *basepoint);
void kluis_x25519_bmi2(uint8_t *mypublic, uint8_t *secret, uint8_t *basepoint);

void Hacl_Curve25519_crypto_scalarmult(uint8_t *mypublic, uint8_t *secret, uint8_t *basepoint)
{
    if (__builtin_cpu_supports("bmi2")) {
        kluis_x25519_bmi2(mypublic, secret, basepoint);
    } else {
        kluis_x25519_plain(mypublic, secret, basepoint);
    }
}
