/* The keys of a store on a token: made, found, used, destroyed. */
#include "kluis/base/encode.h"
#include "kms/token_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define FOUND_MAX 64
#define LABEL_BYTES (sizeof "kluis " - 1 + 2 * KMS_STORE_ID_BYTES)
#define ID_BYTES 8
#define AAD_BYTES (sizeof KMS_TOKEN_DOMAIN - 1 + KMS_STORE_ID_BYTES + 8)

_Static_assert(KMS_TOKEN_WRAPPED_BYTES == 61, "version, nonce, root key, tag");

/* What all keys of a store have in common, laid out for templates. */
struct name {
    CK_OBJECT_CLASS class;
    char label[LABEL_BYTES + 1];
    unsigned char id[ID_BYTES];
};

static struct name name_of(const unsigned char store_id[KMS_STORE_ID_BYTES], uint64_t generation)
{
    struct name name = {.class = CKO_SECRET_KEY};
    char hex[2 * KMS_STORE_ID_BYTES + 1];

    (void)sodium_bin2hex(hex, sizeof hex, store_id, KMS_STORE_ID_BYTES);
    (void)snprintf(name.label, sizeof name.label, "kluis %s", hex);
    kl_put_u64be(name.id, generation);
    return name;
}

/* ---- finding ---- */

/* At most FOUND_MAX keys of the store; of one generation, or (any_id) of all. */
static enum kl_status find(struct kms_token *token, struct name *name, bool any_id,
                           CK_OBJECT_HANDLE ret_found[FOUND_MAX], CK_ULONG *ret_count,
                           struct kl_err *err)
{
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &name->class, sizeof name->class},
        {CKA_LABEL, name->label, LABEL_BYTES},
        {CKA_ID, name->id, ID_BYTES},
    };
    CK_ULONG count = 0;
    CK_RV result = token->module->C_FindObjectsInit(token->session, template, any_id ? 2 : 3);

    if (result == CKR_OK) {
        result = token->module->C_FindObjects(token->session, ret_found, FOUND_MAX, &count);
        (void)token->module->C_FindObjectsFinal(token->session);
    }
    if (result != CKR_OK) {
        return kms_token_fail(err, result, "look for a key");
    }
    *ret_count = count;
    return KL_OK;
}

static enum kl_status find_one(struct kms_token *token, struct name *name,
                               CK_OBJECT_HANDLE *ret_key, struct kl_err *err)
{
    CK_OBJECT_HANDLE found[FOUND_MAX];
    CK_ULONG count = 0;
    enum kl_status status = find(token, name, false, found, &count, err);

    if (status != KL_OK) {
        return status;
    }
    if (count == 0) {
        return kl_fail(err, KL_ERR_NOT_FOUND, "token_key_missing",
                       "the token does not hold the key of this vault's generation", NULL);
    }
    *ret_key = found[0];
    return KL_OK;
}

enum kl_status kms_token_key_check(struct kms_token *token,
                                   const unsigned char store_id[KMS_STORE_ID_BYTES],
                                   uint64_t generation, struct kl_err *err)
{
    struct name name = name_of(store_id, generation);
    CK_OBJECT_HANDLE key;

    return find_one(token, &name, &key, err);
}

/* Whether its id is that generation's. A foreign id is nobody's. */
static bool is_generation(struct kms_token *token, CK_OBJECT_HANDLE key, uint64_t *ret_generation)
{
    unsigned char id[ID_BYTES];
    CK_ATTRIBUTE ask = {CKA_ID, id, sizeof id};

    if (token->module->C_GetAttributeValue(token->session, key, &ask, 1) != CKR_OK ||
        ask.ulValueLen != sizeof id) {
        return false;
    }
    *ret_generation = kl_get_u64be(id);
    return true;
}

enum kl_status kms_token_keys_list(struct kms_token *token,
                                   const unsigned char store_id[KMS_STORE_ID_BYTES],
                                   uint64_t *ret_generations, size_t max, size_t *ret_count,
                                   struct kl_err *err)
{
    struct name name = name_of(store_id, 0);
    CK_OBJECT_HANDLE found[FOUND_MAX];
    CK_ULONG count = 0;
    enum kl_status status = find(token, &name, true, found, &count, err);

    if (status != KL_OK) {
        return status;
    }
    for (CK_ULONG i = 0; i < count && i < max; i++) {
        uint64_t generation = 0;

        (void)is_generation(token, found[i], &generation);
        ret_generations[i] = generation;
    }
    *ret_count = count;
    return KL_OK;
}

/* ---- making and destroying ---- */

static enum kl_status generate(struct kms_token *token, struct name *name,
                               CK_OBJECT_HANDLE *ret_key, struct kl_err *err)
{
    CK_MECHANISM mechanism = {CKM_AES_KEY_GEN, NULL, 0};
    CK_KEY_TYPE type = CKK_AES;
    CK_ULONG bytes = KMS_KEY_BYTES;
    CK_BBOOL yes = CK_TRUE;
    CK_BBOOL no = CK_FALSE;
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &name->class, sizeof name->class},
        {CKA_KEY_TYPE, &type, sizeof type},
        {CKA_VALUE_LEN, &bytes, sizeof bytes},
        {CKA_LABEL, name->label, LABEL_BYTES},
        {CKA_ID, name->id, ID_BYTES},
        {CKA_TOKEN, &yes, sizeof yes},
        {CKA_PRIVATE, &yes, sizeof yes},
        {CKA_SENSITIVE, &yes, sizeof yes},
        {CKA_EXTRACTABLE, &no, sizeof no},
        {CKA_MODIFIABLE, &no, sizeof no},
        {CKA_ENCRYPT, &yes, sizeof yes},
        {CKA_DECRYPT, &yes, sizeof yes},
        {CKA_WRAP, &no, sizeof no},
        {CKA_UNWRAP, &no, sizeof no},
        {CKA_SIGN, &no, sizeof no},
        {CKA_VERIFY, &no, sizeof no},
        {CKA_DERIVE, &no, sizeof no},
    };
    CK_RV result = token->module->C_GenerateKey(token->session, &mechanism, template,
                                                sizeof template / sizeof template[0], ret_key);

    return result == CKR_OK ? KL_OK : kms_token_fail(err, result, "make a key");
}

/* Some tokens take a template and do as they like. */
static bool stays_inside(struct kms_token *token, CK_OBJECT_HANDLE key)
{
    CK_BBOOL sensitive = CK_FALSE;
    CK_BBOOL extractable = CK_TRUE;
    CK_ATTRIBUTE ask[] = {
        {CKA_SENSITIVE, &sensitive, sizeof sensitive},
        {CKA_EXTRACTABLE, &extractable, sizeof extractable},
    };

    return token->module->C_GetAttributeValue(token->session, key, ask, 2) == CKR_OK &&
           sensitive == CK_TRUE && extractable == CK_FALSE;
}

enum kl_status kms_token_key_make(struct kms_token *token,
                                  const unsigned char store_id[KMS_STORE_ID_BYTES],
                                  uint64_t generation, struct kl_err *err)
{
    struct name name = name_of(store_id, generation);
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    enum kl_status status = generate(token, &name, &key, err);

    if (status == KL_OK && !stays_inside(token, key)) {
        (void)token->module->C_DestroyObject(token->session, key);
        status = kl_fail(err, KL_ERR_REFUSED, "token_unfit",
                         "the token made a key that could be taken out of it", NULL);
    }
    return status;
}

/* Destroy what is found, until nothing is found any more. spare: a generation that stays, or KMS_TOKEN_KEEP_NONE. */
static enum kl_status destroy_found(struct kms_token *token, struct name *name, bool any_id,
                                    uint64_t spare, struct kl_err *err)
{
    CK_OBJECT_HANDLE found[FOUND_MAX];
    CK_ULONG count = 0;
    size_t destroyed;

    do {
        enum kl_status status = find(token, name, any_id, found, &count, err);

        if (status != KL_OK) {
            return status;
        }
        destroyed = 0;
        for (CK_ULONG i = 0; i < count; i++) {
            uint64_t generation = 0;
            CK_RV result;

            if (spare != KMS_TOKEN_KEEP_NONE && is_generation(token, found[i], &generation) &&
                generation == spare) {
                continue;
            }
            result = token->module->C_DestroyObject(token->session, found[i]);
            if (result != CKR_OK) {
                return kms_token_fail(err, result, "destroy a key");
            }
            destroyed++;
        }
    } while (destroyed > 0);
    return KL_OK;
}

enum kl_status kms_token_key_destroy(struct kms_token *token,
                                     const unsigned char store_id[KMS_STORE_ID_BYTES],
                                     uint64_t generation, struct kl_err *err)
{
    struct name name = name_of(store_id, generation);

    return destroy_found(token, &name, false, KMS_TOKEN_KEEP_NONE, err);
}

enum kl_status kms_token_keys_keep(struct kms_token *token,
                                   const unsigned char store_id[KMS_STORE_ID_BYTES],
                                   uint64_t generation, struct kl_err *err)
{
    struct name name = name_of(store_id, 0);

    return destroy_found(token, &name, true, generation, err);
}

/* ---- wrapping ---- */

static void aad_of(const unsigned char store_id[KMS_STORE_ID_BYTES], uint64_t generation,
                   unsigned char ret_aad[AAD_BYTES])
{
    const size_t domain = sizeof KMS_TOKEN_DOMAIN - 1;

    memcpy(ret_aad, KMS_TOKEN_DOMAIN, domain);
    memcpy(ret_aad + domain, store_id, KMS_STORE_ID_BYTES);
    kl_put_u64be(ret_aad + domain + KMS_STORE_ID_BYTES, generation);
}

/* Of the parts of a wrapped key. */
static unsigned char *nonce_in(unsigned char *wrapped)
{
    return wrapped + 1;
}
#define SEALED_AT (1 + KMS_TOKEN_NONCE_BYTES)
#define SEALED_BYTES (KMS_KEY_BYTES + KMS_TOKEN_TAG_BYTES)

static enum kl_status unwrap(struct kms_token *token, CK_OBJECT_HANDLE key,
                             unsigned char aad[AAD_BYTES],
                             const unsigned char wrapped[KMS_TOKEN_WRAPPED_BYTES],
                             unsigned char ret_key[KMS_KEY_BYTES], struct kl_err *err)
{
    unsigned char copy[KMS_TOKEN_WRAPPED_BYTES]; /* the interface asks for bytes it may write to */
    CK_GCM_PARAMS gcm = {nonce_in(copy), KMS_TOKEN_NONCE_BYTES,  8 * KMS_TOKEN_NONCE_BYTES, aad,
                         AAD_BYTES,      8 * KMS_TOKEN_TAG_BYTES};
    CK_MECHANISM mechanism = {CKM_AES_GCM, &gcm, sizeof gcm};
    unsigned char opened[SEALED_BYTES]; /* some modules want room for the tag too */
    CK_ULONG bytes = sizeof opened;
    CK_RV result;
    enum kl_status status = KL_OK;

    if (wrapped[0] != KMS_FORMAT_VERSION) {
        return kl_fail(err, KL_ERR_CORRUPT, "token_wrapped_corrupt",
                       "the wrapped root key does not open with the token's key", NULL);
    }
    memcpy(copy, wrapped, sizeof copy);
    result = token->module->C_DecryptInit(token->session, &mechanism, key);
    if (result != CKR_OK) {
        return kms_token_fail(err, result, "start to open a root key");
    }
    result =
        token->module->C_Decrypt(token->session, copy + SEALED_AT, SEALED_BYTES, opened, &bytes);
    if (result == CKR_ENCRYPTED_DATA_INVALID || result == CKR_ENCRYPTED_DATA_LEN_RANGE ||
        result == CKR_GENERAL_ERROR || (result == CKR_OK && bytes != KMS_KEY_BYTES)) {
        /* SoftHSM calls a wrong tag a general error. */
        status = kl_fail(err, KL_ERR_CORRUPT, "token_wrapped_corrupt",
                         "the wrapped root key does not open with the token's key", NULL);
    } else if (result != CKR_OK) {
        status = kms_token_fail(err, result, "open a root key");
    } else {
        memcpy(ret_key, opened, KMS_KEY_BYTES);
    }
    sodium_memzero(opened, sizeof opened);
    return status;
}

enum kl_status kms_token_unwrap(struct kms_token *token,
                                const unsigned char store_id[KMS_STORE_ID_BYTES],
                                uint64_t generation,
                                const unsigned char wrapped[KMS_TOKEN_WRAPPED_BYTES],
                                unsigned char ret_key[KMS_KEY_BYTES], struct kl_err *err)
{
    struct name name = name_of(store_id, generation);
    unsigned char aad[AAD_BYTES];
    CK_OBJECT_HANDLE key;
    enum kl_status status = find_one(token, &name, &key, err);

    if (status != KL_OK) {
        return status;
    }
    aad_of(store_id, generation, aad);
    return unwrap(token, key, aad, wrapped, ret_key, err);
}

static enum kl_status wrap(struct kms_token *token, CK_OBJECT_HANDLE key,
                           unsigned char aad[AAD_BYTES],
                           const unsigned char root_key[KMS_KEY_BYTES],
                           unsigned char ret_wrapped[KMS_TOKEN_WRAPPED_BYTES], struct kl_err *err)
{
    unsigned char plain[KMS_KEY_BYTES];
    CK_GCM_PARAMS gcm = {
        nonce_in(ret_wrapped),  KMS_TOKEN_NONCE_BYTES, 8 * KMS_TOKEN_NONCE_BYTES, aad, AAD_BYTES,
        8 * KMS_TOKEN_TAG_BYTES};
    CK_MECHANISM mechanism = {CKM_AES_GCM, &gcm, sizeof gcm};
    CK_ULONG bytes = SEALED_BYTES;
    CK_RV result;

    ret_wrapped[0] = KMS_FORMAT_VERSION;
    randombytes_buf(nonce_in(ret_wrapped), KMS_TOKEN_NONCE_BYTES); /* a token may put its own */
    result = token->module->C_EncryptInit(token->session, &mechanism, key);
    if (result == CKR_OK) {
        memcpy(plain, root_key, sizeof plain);
        result = token->module->C_Encrypt(token->session, plain, sizeof plain,
                                          ret_wrapped + SEALED_AT, &bytes);
        sodium_memzero(plain, sizeof plain);
    }
    if (result == CKR_OK && bytes != SEALED_BYTES) {
        result = CKR_DATA_LEN_RANGE;
    }
    return result == CKR_OK ? KL_OK : kms_token_fail(err, result, "wrap a root key");
}

enum kl_status kms_token_wrap(struct kms_token *token,
                              const unsigned char store_id[KMS_STORE_ID_BYTES], uint64_t generation,
                              const unsigned char key[KMS_KEY_BYTES],
                              unsigned char ret_wrapped[KMS_TOKEN_WRAPPED_BYTES],
                              struct kl_err *err)
{
    struct name name = name_of(store_id, generation);
    unsigned char wrapped[KMS_TOKEN_WRAPPED_BYTES];
    unsigned char opened[KMS_KEY_BYTES];
    unsigned char aad[AAD_BYTES];
    CK_OBJECT_HANDLE handle;
    enum kl_status status = find_one(token, &name, &handle, err);

    if (status != KL_OK) {
        return status;
    }
    aad_of(store_id, generation, aad);
    status = wrap(token, handle, aad, key, wrapped, err);
    if (status == KL_OK) {
        status = unwrap(token, handle, aad, wrapped, opened, NULL);
        if (status != KL_OK || sodium_memcmp(opened, key, sizeof opened) != 0) {
            status = kl_fail(err, KL_ERR_REFUSED, "token_unfit",
                             "what the token wraps does not open again", NULL);
        }
        sodium_memzero(opened, sizeof opened);
    }
    if (status == KL_OK) {
        memcpy(ret_wrapped, wrapped, sizeof wrapped);
    }
    return status;
}
