#include "kms/seal.h"

#include <sodium.h>
#include <string.h>

#define SALT_AT 1
#define COMMITMENT_AT (SALT_AT + KMS_SEAL_SALT_BYTES)
#define CIPHERTEXT_AT (COMMITMENT_AT + KMS_SEAL_COMMITMENT_BYTES)
_Static_assert(KMS_SEAL_OVERHEAD_BYTES == CIPHERTEXT_AT + crypto_aead_chacha20poly1305_ietf_ABYTES,
               "the header says what a seal adds");

/* One BLAKE2b-512: the value's key, then the commitment to it. */
struct value_keys {
    unsigned char key[KMS_KEY_BYTES];
    unsigned char commitment[KMS_SEAL_COMMITMENT_BYTES];
};

static const unsigned char zero_nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];

enum kl_status kms_seal_sizes_check(struct kl_slice context, size_t plaintext_bytes,
                                    struct kl_err *err)
{
    if (context.size == 0 || context.size > KMS_CONTEXT_MAX_BYTES ||
        plaintext_bytes > KMS_SEAL_MAX_BYTES) {
        return kl_fail(err, KL_ERR_INVALID, "key_seal_size", "a value is too large",
                       "a context or a value has a size that cannot be sealed");
    }
    return KL_OK;
}

static void derive(const unsigned char key[KMS_KEY_BYTES], const struct kms_place *place,
                   struct kl_slice context, const unsigned char salt[KMS_SEAL_SALT_BYTES],
                   struct value_keys *ret_keys)
{
    unsigned char numbers[8 + 8 + 8 + 4];
    crypto_generichash_state state;

    kl_put_u64be(numbers, place->tenant);
    kl_put_u64be(numbers + 8, place->slot);
    kl_put_u64be(numbers + 16, place->value);
    kl_put_u32be(numbers + 24, (uint32_t)context.size);
    (void)crypto_generichash_init(&state, key, KMS_KEY_BYTES, sizeof *ret_keys);
    (void)crypto_generichash_update(&state, (const unsigned char *)KMS_SEAL_DOMAIN,
                                    sizeof KMS_SEAL_DOMAIN - 1);
    (void)crypto_generichash_update(&state, numbers, sizeof numbers);
    (void)crypto_generichash_update(&state, context.bytes, context.size);
    (void)crypto_generichash_update(&state, salt, KMS_SEAL_SALT_BYTES);
    (void)crypto_generichash_final(&state, (unsigned char *)ret_keys, sizeof *ret_keys);
    sodium_memzero(&state, sizeof state);
}

void kms_value_seal(const unsigned char key[KMS_KEY_BYTES], const struct kms_place *place,
                    struct kl_slice context, struct kl_slice plaintext, unsigned char *ret_sealed)
{
    struct value_keys keys;

    ret_sealed[0] = KMS_FORMAT_VERSION;
    randombytes_buf(ret_sealed + SALT_AT, KMS_SEAL_SALT_BYTES);
    derive(key, place, context, ret_sealed + SALT_AT, &keys);
    memcpy(ret_sealed + COMMITMENT_AT, keys.commitment, sizeof keys.commitment);
    (void)crypto_aead_chacha20poly1305_ietf_encrypt(ret_sealed + CIPHERTEXT_AT, NULL,
                                                    plaintext.bytes, plaintext.size, NULL, 0, NULL,
                                                    zero_nonce, keys.key);
    sodium_memzero(&keys, sizeof keys);
}

enum kl_status kms_value_unseal(const unsigned char key[KMS_KEY_BYTES],
                                const struct kms_place *place, struct kl_slice context,
                                struct kl_slice sealed, unsigned char *ret_plaintext,
                                struct kl_err *err)
{
    struct value_keys keys;
    size_t plaintext_bytes = sealed.size - KMS_SEAL_OVERHEAD_BYTES;
    bool good;

    derive(key, place, context, sealed.bytes + SALT_AT, &keys);
    good =
        sealed.bytes[0] == KMS_FORMAT_VERSION &&
        sodium_memcmp(keys.commitment, sealed.bytes + COMMITMENT_AT, sizeof keys.commitment) == 0 &&
        crypto_aead_chacha20poly1305_ietf_decrypt(
            ret_plaintext, NULL, NULL, sealed.bytes + CIPHERTEXT_AT, sealed.size - CIPHERTEXT_AT,
            NULL, 0, zero_nonce, keys.key) == 0;
    sodium_memzero(&keys, sizeof keys);
    if (!good) {
        if (plaintext_bytes > 0) {
            sodium_memzero(ret_plaintext, plaintext_bytes);
        }
        return kl_fail(err, KL_ERR_CORRUPT, "unseal_failed", "a stored value does not open",
                       "a sealed value does not open");
    }
    return KL_OK;
}
