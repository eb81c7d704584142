#include "vault/secret_hash.h"

#include "kluis/base/encode.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUSY_RETRY_S 2
#define FORMAT 1
#define AT_PASSES 1
#define AT_MEMORY 5
#define AT_SALT 9
#define AT_TAG (AT_SALT + VAULT_SECRET_SALT_BYTES)

struct vault_secrets {
    pthread_mutex_t lock; /* guards working and waiting */
    pthread_cond_t is_free;
    unsigned working;
    unsigned waiting;
    uint32_t passes;
    uint32_t memory_kib;
};

struct vault_secrets *vault_secrets_new(bool light)
{
    struct vault_secrets *secrets = calloc(1, sizeof *secrets);
    pthread_condattr_t attributes;
    bool made = false;

    if (secrets == NULL) {
        return NULL;
    }
    secrets->passes = light ? crypto_pwhash_argon2id_OPSLIMIT_MIN : VAULT_SECRET_PASSES;
    secrets->memory_kib =
        light ? crypto_pwhash_argon2id_MEMLIMIT_MIN / 1024 : VAULT_SECRET_MEMORY_KIB;
    if (pthread_mutex_init(&secrets->lock, NULL) != 0) {
        free(secrets);
        return NULL;
    }
    if (pthread_condattr_init(&attributes) == 0) {
        made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
               pthread_cond_init(&secrets->is_free, &attributes) == 0;
        (void)pthread_condattr_destroy(&attributes);
    }
    if (!made) {
        (void)pthread_mutex_destroy(&secrets->lock);
        free(secrets);
        return NULL;
    }
    return secrets;
}

void vault_secrets_free(struct vault_secrets *secrets)
{
    if (secrets != NULL) {
        (void)pthread_cond_destroy(&secrets->is_free);
        (void)pthread_mutex_destroy(&secrets->lock);
        free(secrets);
    }
}

/* ---- how many at once ---- */

static struct timespec deadline(void)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += VAULT_SECRETS_WAIT_MS / 1000;
    until.tv_nsec += VAULT_SECRETS_WAIT_MS % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    return until;
}

enum kl_status vault_secrets_enter(struct vault_secrets *secrets, struct kl_err *err)
{
    const struct timespec until = deadline();
    bool room = false;
    int waited = 0;

    (void)pthread_mutex_lock(&secrets->lock);
    if (secrets->working == VAULT_SECRETS_AT_ONCE && secrets->waiting < VAULT_SECRETS_WAITING_MAX) {
        secrets->waiting++;
        while (secrets->working == VAULT_SECRETS_AT_ONCE && waited != ETIMEDOUT) {
            waited = pthread_cond_timedwait(&secrets->is_free, &secrets->lock, &until);
        }
        secrets->waiting--;
    }
    room = secrets->working < VAULT_SECRETS_AT_ONCE;
    secrets->working += room ? 1 : 0;
    (void)pthread_mutex_unlock(&secrets->lock);
    if (!room) {
        kl_err_retry(err, BUSY_RETRY_S);
        return kl_fail(err, KL_ERR_BUSY, "secrets_busy",
                       "too many secrets are being verified at once; try again", NULL);
    }
    return KL_OK;
}

void vault_secrets_leave(struct vault_secrets *secrets)
{
    (void)pthread_mutex_lock(&secrets->lock);
    secrets->working--;
    (void)pthread_cond_signal(&secrets->is_free);
    (void)pthread_mutex_unlock(&secrets->lock);
}

/* ---- the hash ---- */

/* A hash taken apart. */
struct parts {
    uint32_t passes;
    uint32_t memory_kib;
    unsigned char salt[VAULT_SECRET_SALT_BYTES];
    unsigned char tag[VAULT_SECRET_TAG_BYTES];
};

/* Parameters and salt are good, so memory is all that can be missing. */
static enum kl_status make_tag(struct parts *parts, struct kl_slice secret, struct kl_err *err)
{
    if (crypto_pwhash_argon2id(parts->tag, sizeof parts->tag, (const char *)secret.bytes,
                               secret.size, parts->salt, parts->passes,
                               (size_t)parts->memory_kib * 1024,
                               crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0) {
        return kl_fail_memory(err);
    }
    return KL_OK;
}

static struct parts fresh(const struct vault_secrets *secrets)
{
    struct parts parts = {.passes = secrets->passes, .memory_kib = secrets->memory_kib};

    randombytes_buf(parts.salt, sizeof parts.salt);
    return parts;
}

static void write_parts(const struct parts *parts, unsigned char ret_hash[VAULT_SECRET_HASH_BYTES])
{
    ret_hash[0] = FORMAT;
    kl_put_u32be(ret_hash + AT_PASSES, parts->passes);
    kl_put_u32be(ret_hash + AT_MEMORY, parts->memory_kib);
    memcpy(ret_hash + AT_SALT, parts->salt, sizeof parts->salt);
    memcpy(ret_hash + AT_TAG, parts->tag, sizeof parts->tag);
}

static enum kl_status read_parts(struct kl_slice hash, struct parts *ret, struct kl_err *err)
{
    struct parts parts = {0};

    if (hash.size == VAULT_SECRET_HASH_BYTES && hash.bytes[0] == FORMAT) {
        parts.passes = kl_get_u32be(hash.bytes + AT_PASSES);
        parts.memory_kib = kl_get_u32be(hash.bytes + AT_MEMORY);
        memcpy(parts.salt, hash.bytes + AT_SALT, sizeof parts.salt);
        memcpy(parts.tag, hash.bytes + AT_TAG, sizeof parts.tag);
    }
    if (parts.passes < crypto_pwhash_argon2id_OPSLIMIT_MIN ||
        parts.passes > VAULT_SECRET_PASSES_MAX ||
        parts.memory_kib < crypto_pwhash_argon2id_MEMLIMIT_MIN / 1024 ||
        parts.memory_kib > VAULT_SECRET_MEMORY_MAX_KIB) {
        return kl_fail(err, KL_ERR_CORRUPT, "secret_damaged", "a stored secret is damaged",
                       "a stored secret is no hash of a known form");
    }
    *ret = parts;
    return KL_OK;
}

enum kl_status vault_secret_hash(struct vault_secrets *secrets, struct kl_slice secret,
                                 unsigned char ret_hash[VAULT_SECRET_HASH_BYTES],
                                 struct kl_err *err)
{
    struct parts parts = fresh(secrets);
    enum kl_status status = make_tag(&parts, secret, err);

    if (status == KL_OK) {
        write_parts(&parts, ret_hash);
    }
    sodium_memzero(&parts, sizeof parts);
    return status;
}

enum kl_status vault_secret_verify(struct vault_secrets *secrets, struct kl_slice hash,
                                   struct kl_slice secret, bool *ret_match, struct kl_err *err)
{
    struct parts stored = fresh(secrets);
    struct parts asked;
    enum kl_status status = hash.size == 0 ? KL_OK : read_parts(hash, &stored, err);

    if (status != KL_OK) {
        return status;
    }
    asked = stored;
    status = make_tag(&asked, secret, err);
    if (status == KL_OK) {
        *ret_match = hash.size > 0 && sodium_memcmp(asked.tag, stored.tag, sizeof asked.tag) == 0;
    }
    sodium_memzero(&asked, sizeof asked);
    sodium_memzero(&stored, sizeof stored);
    return status;
}

enum kl_status vault_secret_stretch(const struct vault_secrets *secrets, struct kl_slice text,
                                    const unsigned char salt[VAULT_SECRET_SALT_BYTES],
                                    unsigned char ret[VAULT_SECRET_TAG_BYTES], struct kl_err *err)
{
    struct parts parts = {.passes = secrets->passes, .memory_kib = secrets->memory_kib};
    enum kl_status status = KL_OK;

    memcpy(parts.salt, salt, sizeof parts.salt);
    status = make_tag(&parts, text, err);
    if (status == KL_OK) {
        memcpy(ret, parts.tag, sizeof parts.tag);
    }
    sodium_memzero(&parts, sizeof parts);
    return status;
}
