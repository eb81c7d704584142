#include "vault/credentials.h"

#include "kluis/base/encode.h"
#include "vault/rows.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAYS 4
#define SETS (VAULT_CREDENTIALS_CACHED_MAX / WAYS)
#define TOKEN_PREFIX "kl_"
#define TOKEN_RANDOM_BYTES 32

_Static_assert(sizeof TOKEN_PREFIX + KL_BASE64_CHARS(TOKEN_RANDOM_BYTES) <= VAULT_TOKEN_BYTES,
               "a token fits");

/*
 * Sets of four, found by the first bytes of the hash, which is keyed, so nobody can choose who shares a set. revocations counts what was
 * forgotten: who read a row before that does not put it into the cache after.
 */
struct vault_credentials {
    pthread_rwlock_t lock;
    struct vault_credential *items[SETS][WAYS];
    unsigned char next[SETS];
    uint64_t revocations;
};

struct vault_credentials *vault_credentials_new(void)
{
    struct vault_credentials *cache = calloc(1, sizeof *cache);

    if (cache != NULL && pthread_rwlock_init(&cache->lock, NULL) != 0) {
        free(cache);
        cache = NULL;
    }
    return cache;
}

void vault_credentials_free(struct vault_credentials *cache)
{
    size_t set;
    size_t way;

    if (cache == NULL) {
        return;
    }
    for (set = 0; set < SETS; set++) {
        for (way = 0; way < WAYS; way++) {
            vault_credential_unref(cache->items[set][way]);
        }
    }
    (void)pthread_rwlock_destroy(&cache->lock);
    free(cache);
}

struct vault_credential *vault_credential_new(size_t purpose_count)
{
    struct vault_credential *credential = calloc(1, sizeof *credential);

    if (credential == NULL) {
        return NULL;
    }
    credential->purposes = calloc(purpose_count + 1, sizeof credential->purposes[0]);
    if (credential->purposes == NULL) {
        free(credential);
        return NULL;
    }
    atomic_init(&credential->references, 1);
    return credential;
}

void vault_credential_unref(struct vault_credential *credential)
{
    if (credential != NULL &&
        atomic_fetch_sub_explicit(&credential->references, 1, memory_order_acq_rel) == 1) {
        sodium_memzero(credential->mac, sizeof credential->mac);
        free(credential->purposes);
        free(credential->reason);
        free(credential);
    }
}

static const char *const builtin_names[] = {[VAULT_BUILTIN_OPERATOR] = "operator",
                                            [VAULT_BUILTIN_STEWARD] = "steward",
                                            [VAULT_BUILTIN_AUDITOR] = "auditor"};

const char *vault_builtin_name(enum vault_builtin builtin)
{
    return builtin_names[builtin];
}

enum vault_builtin vault_builtin_find(const char *role)
{
    int i;

    for (i = VAULT_BUILTIN_OPERATOR; i <= VAULT_BUILTIN_AUDITOR; i++) {
        if (strcmp(builtin_names[i], role) == 0) {
            return (enum vault_builtin)i;
        }
    }
    return VAULT_BUILTIN_NONE;
}

/* ---- making ---- */

enum kl_status vault_credential_mac(struct vault *vault, const struct vault_proof *proof,
                                    unsigned char ret_mac[KMS_MAC_BYTES], struct kl_err *err)
{
    const struct kms_place place = {KMS_TENANT_VAULT, VAULT_SLOT_CREDENTIAL, KMS_VALUE_NONE};

    if (proof->token != NULL) {
        return kms_mac(vault->keys, &place, "token", kl_slice_text(proof->token), ret_mac, err);
    }
    return kms_mac(vault->keys, &place, "certificate",
                   kl_slice_of(proof->certificate_sha256, VAULT_CERTIFICATE_HASH_BYTES), ret_mac,
                   err);
}

static void token_new(struct vault_token *ret_token)
{
    unsigned char random[TOKEN_RANDOM_BYTES];

    randombytes_buf(random, sizeof random);
    memset(ret_token, 0, sizeof *ret_token);
    memcpy(ret_token->text, TOKEN_PREFIX, sizeof TOKEN_PREFIX);
    kl_base64(random, sizeof random, ret_token->text + sizeof TOKEN_PREFIX - 1);
    sodium_memzero(random, sizeof random);
}

static enum kl_status certificate_free(struct vault *vault, const unsigned char mac[KMS_MAC_BYTES],
                                       struct kl_err *err)
{
    struct vault_credential *other = NULL;
    struct kl_err cause = {0};
    enum kl_status status = vault_credential_load(vault, mac, &other, &cause);

    vault_credential_unref(other);
    if (status == KL_ERR_NOT_FOUND) {
        return KL_OK;
    }
    if (status == KL_OK || status == KL_ERR_CORRUPT) {
        kl_err_where(err, "/certificate_sha256");
        return kl_fail(err, KL_ERR_CONFLICT, "certificate_in_use",
                       "a credential was made for this certificate before", NULL);
    }
    return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

enum kl_status vault_credential_make(struct vault *vault, struct vault_credential *credential,
                                     const unsigned char *certificate, const char *reason,
                                     struct vault_batch *batch, struct vault_token *ret_token,
                                     struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_token token = {{0}};
    struct vault_proof proof = {.certificate_sha256 = certificate};

    credential->id = kl_id_new();
    credential->has_certificate = certificate != NULL;
    if (certificate == NULL) {
        token_new(&token);
        proof.token = token.text;
    }
    status = vault_credential_mac(vault, &proof, credential->mac, err);
    if (status == KL_OK && certificate != NULL) {
        status = certificate_free(vault, credential->mac, err);
    }
    if (status == KL_OK && reason != NULL) {
        status = vault_credential_reason_seal(vault, credential, reason, err);
    }
    if (status == KL_OK) {
        status = vault_credential_put(vault, credential, batch, err);
    }
    if (status == KL_OK) {
        *ret_token = token;
    }
    sodium_memzero(&token, sizeof token);
    return status;
}

/* ---- cache ---- */

static size_t set_of(const unsigned char mac[KMS_MAC_BYTES])
{
    return (size_t)(kl_get_u64be(mac) % SETS);
}

/* The credential in its set, under the lock; NULL when it is not there. ret_way: where. */
static struct vault_credential *set_find(struct vault_credentials *cache,
                                         const unsigned char mac[KMS_MAC_BYTES], size_t *ret_way)
{
    struct vault_credential *item;
    size_t way;

    for (way = 0; way < WAYS; way++) {
        item = cache->items[set_of(mac)][way];
        if (item != NULL && sodium_memcmp(item->mac, mac, KMS_MAC_BYTES) == 0) {
            *ret_way = way;
            return item;
        }
    }
    return NULL;
}

static struct vault_credential *cache_get(struct vault_credentials *cache,
                                          const unsigned char mac[KMS_MAC_BYTES],
                                          uint64_t *ret_revocations)
{
    struct vault_credential *item;
    size_t way = 0;

    (void)pthread_rwlock_rdlock(&cache->lock);
    item = set_find(cache, mac, &way);
    if (item != NULL) {
        atomic_fetch_add_explicit(&item->references, 1, memory_order_relaxed);
    }
    *ret_revocations = cache->revocations;
    (void)pthread_rwlock_unlock(&cache->lock);
    return item;
}

static void cache_put(struct vault_credentials *cache, struct vault_credential *credential,
                      uint64_t revocations)
{
    size_t set = set_of(credential->mac);
    struct vault_credential *old = NULL;
    size_t way = 0;

    (void)pthread_rwlock_wrlock(&cache->lock);
    if (cache->revocations == revocations && set_find(cache, credential->mac, &way) == NULL) {
        way = cache->next[set];
        cache->next[set] = (unsigned char)((way + 1) % WAYS);
        old = cache->items[set][way];
        cache->items[set][way] = credential;
        atomic_fetch_add_explicit(&credential->references, 1, memory_order_relaxed);
    }
    (void)pthread_rwlock_unlock(&cache->lock);
    vault_credential_unref(old);
}

void vault_credential_forget(struct vault *vault, const unsigned char mac[KMS_MAC_BYTES])
{
    struct vault_credentials *cache = vault->credentials;
    struct vault_credential *old;
    size_t way = 0;

    (void)pthread_rwlock_wrlock(&cache->lock);
    cache->revocations++;
    old = set_find(cache, mac, &way);
    if (old != NULL) {
        cache->items[set_of(mac)][way] = NULL;
    }
    (void)pthread_rwlock_unlock(&cache->lock);
    vault_credential_unref(old);
}

enum kl_status vault_credential_find(struct vault *vault, const struct vault_proof *proof,
                                     struct vault_credential **ret_credential, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    unsigned char mac[KMS_MAC_BYTES];
    struct vault_credential *credential = NULL;
    uint64_t revocations = 0;

    status = vault_credential_mac(vault, proof, mac, err);
    if (status != KL_OK) {
        return status;
    }
    credential = cache_get(vault->credentials, mac, &revocations);
    if (credential == NULL) {
        status = vault_credential_load(vault, mac, &credential, err);
        if (status == KL_OK) {
            cache_put(vault->credentials, credential, revocations);
        }
    }
    sodium_memzero(mac, sizeof mac);
    if (status == KL_OK) {
        *ret_credential = credential;
    }
    return status;
}
