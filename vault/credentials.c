#include "vault/credentials.h"

#include "kluis/base/encode.h"
#include "kluis/base/json.h"
#include "vault/journal.h"
#include "vault/remark.h"
#include "vault/rows.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROW_MAX_BYTES 16384
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

/* ---- rows ---- */

static void write_row(const struct vault_credential *credential, struct kl_buf *ret)
{
    struct kl_json_out out = kl_json_out(ret);
    char text[KL_ID_TEXT_BYTES];
    size_t i;

    kl_json_object_begin(&out);
    kl_id_format(VAULT_CREDENTIAL_PREFIX, &credential->id, text);
    kl_json_add_text(&out, "id", text);
    kl_json_add_int(&out, "tenant", (int64_t)credential->tenant);
    kl_json_add_bool(&out, "builtin", credential->builtin != VAULT_BUILTIN_NONE);
    kl_json_add_text(&out, "role", credential->role);
    if (!credential->any_purpose) {
        kl_json_key(&out, "purposes");
        kl_json_array_begin(&out);
        for (i = 0; i < credential->purpose_count; i++) {
            kl_json_put_text(&out, credential->purposes[i].text);
        }
        kl_json_array_end(&out);
    }
    if (vault_country_is_set(credential->location)) {
        kl_json_add_text(&out, "location", credential->location.code);
    }
    if (credential->bound) {
        kl_json_add_int(&out, "slot", (int64_t)credential->bound_slot);
    }
    kl_json_add_bool(&out, "certificate", credential->has_certificate);
    kl_json_add_int(&out, "created_us", credential->created_us);
    kl_json_add_int(&out, "expires_us", credential->expires_us);
    kl_json_add_int(&out, "revoked_us", credential->revoked_us);
    kl_id_format(VAULT_CREDENTIAL_PREFIX, &credential->created_by, text);
    kl_json_add_text(&out, "created_by", text);
    if (credential->reason != NULL) {
        kl_json_add_text(&out, "reason", credential->reason);
    }
    kl_json_object_end(&out);
}

static bool take_id(const struct kl_json_value *root, const char *key, struct kl_id *ret)
{
    const char *text = kl_json_text(kl_json_member(root, key));

    return text != NULL && kl_id_parse(VAULT_CREDENTIAL_PREFIX, text, ret, NULL) == KL_OK;
}

static bool take_name(const struct kl_json_value *value, char ret[VAULT_NAME_MAX_BYTES + 1])
{
    const char *text = kl_json_text(value);

    if (text == NULL || strlen(text) > VAULT_NAME_MAX_BYTES) {
        return false;
    }
    (void)snprintf(ret, VAULT_NAME_MAX_BYTES + 1, "%s", text);
    return true;
}

static bool take_purposes(const struct kl_json_value *list, struct vault_credential *credential)
{
    struct kl_json_iter iter = kl_json_iter(list);
    const struct kl_json_value *item = NULL;

    credential->any_purpose = kl_json_type(list) == KL_JSON_ABSENT;
    while (!credential->any_purpose && kl_json_next(&iter, NULL, &item)) {
        if (!take_name(item, credential->purposes[credential->purpose_count].text)) {
            return false;
        }
        credential->purpose_count++;
    }
    return true;
}

static bool take_place(const struct kl_json_value *root, struct vault_credential *credential)
{
    const char *location = kl_json_text(kl_json_member(root, "location"));
    const struct kl_json_value *slot_value = kl_json_member(root, "slot");
    int64_t slot = 0;

    if (location != NULL &&
        vault_country_parse(location, strlen(location), &credential->location, NULL) != KL_OK) {
        return false;
    }
    credential->bound = slot_value != NULL;
    if (credential->bound && (!kl_json_int(slot_value, &slot) || slot < 0)) {
        return false;
    }
    credential->bound_slot = (uint64_t)slot;
    return true;
}

static bool take_reason(const struct kl_json_value *value, struct vault_credential *credential)
{
    const char *text = kl_json_text(value);

    credential->reason = text == NULL ? NULL : strdup(text);
    return text == NULL || credential->reason != NULL;
}

static bool take_row(const struct kl_json_value *root, struct vault_credential *credential)
{
    int64_t tenant = 0;

    if (!take_id(root, "id", &credential->id) ||
        !take_id(root, "created_by", &credential->created_by) ||
        !take_name(kl_json_member(root, "role"), credential->role) ||
        !kl_json_int(kl_json_member(root, "tenant"), &tenant) || tenant < 0 ||
        !kl_json_int(kl_json_member(root, "created_us"), &credential->created_us) ||
        !kl_json_int(kl_json_member(root, "expires_us"), &credential->expires_us) ||
        !kl_json_int(kl_json_member(root, "revoked_us"), &credential->revoked_us)) {
        return false;
    }
    credential->tenant = (uint64_t)tenant;
    credential->has_certificate = kl_json_bool(kl_json_member(root, "certificate"));
    if (kl_json_bool(kl_json_member(root, "builtin"))) {
        credential->builtin = vault_builtin_find(credential->role);
        if (credential->builtin == VAULT_BUILTIN_NONE) {
            return false;
        }
    }
    return take_place(root, credential) &&
           take_reason(kl_json_member(root, "reason"), credential) &&
           take_purposes(kl_json_member(root, "purposes"), credential);
}

/*
 * A row is its seal, KMS_MAC_BYTES over where it lies and what it says, then the JSON: who can write to data/ but has no key makes no
 * credential, gives none another role or place, and takes back no revocation of a row it does not have an older copy of.
 */
static enum kl_status row_seal(struct vault *vault, const unsigned char mac[KMS_MAC_BYTES],
                               struct kl_slice json, unsigned char ret_seal[KMS_MAC_BYTES],
                               struct kl_err *err)
{
    enum kl_status status = KL_OK;
    const struct kms_place place = {KMS_TENANT_VAULT, VAULT_SLOT_CREDENTIAL, KMS_VALUE_NONE};
    struct kl_buf data = {0};

    kl_buf_init(&data, KMS_MAC_BYTES + ROW_MAX_BYTES);
    kl_buf_add(&data, mac, KMS_MAC_BYTES);
    kl_buf_add(&data, json.bytes, json.size);
    status = kl_buf_status(&data, err);
    if (status == KL_OK) {
        status = kms_mac(vault->keys, &place, "row", kl_buf_slice(&data), ret_seal, err);
    }
    kl_buf_done(&data);
    return status;
}

/* The JSON of a row whose seal holds; empty when it does not. */
static enum kl_status row_check(struct vault *vault, const unsigned char mac[KMS_MAC_BYTES],
                                struct kl_slice row, struct kl_slice *ret_json, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    unsigned char seal[KMS_MAC_BYTES];
    struct kl_slice json = {NULL, 0};

    if (row.size > KMS_MAC_BYTES) {
        json = kl_slice_of(row.bytes + KMS_MAC_BYTES, row.size - KMS_MAC_BYTES);
        status = row_seal(vault, mac, json, seal, err);
        if (status == KL_OK && sodium_memcmp(seal, row.bytes, KMS_MAC_BYTES) != 0) {
            json.size = 0;
        }
    }
    if (status == KL_OK) {
        *ret_json = json;
    }
    return status;
}

static enum kl_status read_row(struct kl_slice row, const unsigned char mac[KMS_MAC_BYTES],
                               struct vault_credential **ret_credential, struct kl_err *err)
{
    struct kl_json *json = NULL;
    struct vault_credential *credential = NULL;
    const struct kl_json_value *root;
    bool good = false;

    if (row.size > 0 && kl_json_parse(row.bytes, row.size, &json, NULL) == KL_OK) {
        root = kl_json_root(json);
        credential = vault_credential_new(kl_json_count(kl_json_member(root, "purposes")));
        if (credential == NULL) {
            kl_json_free(json);
            return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "server busy",
                           "credential: no memory");
        }
        good = take_row(root, credential);
        memcpy(credential->mac, mac, KMS_MAC_BYTES);
    }
    kl_json_free(json);
    if (!good) {
        vault_credential_unref(credential);
        return kl_fail(err, KL_ERR_CORRUPT, "credential_damaged",
                       "the row of this credential is damaged", NULL);
    }
    *ret_credential = credential;
    return KL_OK;
}

enum kl_status vault_credential_load(struct vault *vault, const unsigned char mac[KMS_MAC_BYTES],
                                     struct vault_credential **ret_credential, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = vault_row_credential(mac);
    struct kl_slice json;
    struct kl_buf row = {0};

    kl_buf_init(&row, KMS_MAC_BYTES + ROW_MAX_BYTES);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, err);
    if (status == KL_OK) {
        status = row_check(vault, mac, kl_buf_slice(&row), &json, err);
    }
    if (status == KL_OK) {
        status = read_row(json, mac, ret_credential, err);
    }
    if (status == KL_OK) {
        vault_journal_credential(vault, *ret_credential);
    }
    kl_buf_done(&row);
    return status;
}

enum kl_status vault_credential_read(struct vault *vault, uint64_t tenant, const struct kl_id *id,
                                     struct vault_credential **ret_credential, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = vault_row_credential_id(tenant, id);
    struct vault_credential *credential = NULL;
    struct kl_buf mac = {0};
    struct kl_err cause = {0};

    kl_buf_init(&mac, KMS_MAC_BYTES);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &mac, &cause);
    if (status == KL_OK && mac.size == KMS_MAC_BYTES) {
        status = vault_credential_load(vault, mac.bytes, &credential, err);
        if (status == KL_OK &&
            (credential->tenant != tenant || !kl_id_equal(&credential->id, id))) {
            vault_credential_unref(credential);
            status = kl_fail(err, KL_ERR_CORRUPT, "credential_damaged",
                             "the row of this credential is damaged", NULL);
        }
        if (status == KL_OK) {
            *ret_credential = credential;
        }
    } else if (status == KL_OK) {
        status = kl_fail(err, KL_ERR_CORRUPT, "credential_damaged",
                         "the row of this credential is damaged", NULL);
    } else if (status == KL_ERR_NOT_FOUND) {
        status = kl_fail(err, KL_ERR_NOT_FOUND, "not_found", "there is no such credential", NULL);
    } else {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    kl_buf_done(&mac);
    return status;
}

enum kl_status vault_credential_put(struct vault *vault, const struct vault_credential *credential,
                                    struct vault_batch *batch, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    unsigned char seal[KMS_MAC_BYTES];
    struct kl_buf json = {0};
    struct vault_row_key row_key = vault_row_credential(credential->mac);
    struct vault_row_key id_key = vault_row_credential_id(credential->tenant, &credential->id);
    struct kl_buf row = {0};

    kl_buf_init(&json, ROW_MAX_BYTES);
    kl_buf_init(&row, KMS_MAC_BYTES + ROW_MAX_BYTES);
    write_row(credential, &json);
    status = kl_buf_status(&json, err);
    if (status == KL_OK) {
        status = row_seal(vault, credential->mac, kl_buf_slice(&json), seal, err);
    }
    if (status == KL_OK) {
        kl_buf_add(&row, seal, sizeof seal);
        kl_buf_add(&row, json.bytes, json.size);
        status = kl_buf_status(&row, err);
    }
    if (status == KL_OK) {
        vault_batch_put(batch, vault_row_slice(&row_key), kl_buf_slice(&row));
        vault_batch_put(batch, vault_row_slice(&id_key),
                        kl_slice_of(credential->mac, KMS_MAC_BYTES));
    }
    kl_buf_done(&json);
    kl_buf_done(&row);
    return status;
}

/* ---- the reason ---- */

#define REASON_KIND "credential-reason"
/* Of one of VAULT_CREDENTIAL_REASON_MAX_BYTES, padded and sealed. */
#define REASON_SEALED_MAX_BYTES (1024 + KMS_SEAL_OVERHEAD_BYTES)

_Static_assert(VAULT_CREDENTIAL_REASON_MAX_BYTES < 1024, "a padded reason fits");

static enum kl_status reason_seal(struct vault *vault, struct vault_credential *credential,
                                  const char *reason, struct kl_err *err)
{
    struct kl_buf sealed;
    char *text = NULL;
    enum kl_status status = KL_OK;

    kl_buf_init(&sealed, REASON_SEALED_MAX_BYTES);
    status = vault_remark_seal(vault, credential->tenant, REASON_KIND, &credential->id,
                               kl_slice_text(reason), &sealed, err);
    if (status == KL_OK) {
        text = malloc(KL_BASE64_CHARS(sealed.size) + 1);
        status = text == NULL ? kl_fail_memory(err) : KL_OK;
    }
    if (status == KL_OK) {
        kl_base64(sealed.bytes, sealed.size, text);
        free(credential->reason);
        credential->reason = text;
    }
    kl_buf_done(&sealed);
    return status;
}

enum kl_status vault_credential_reason_open(struct vault *vault,
                                            const struct vault_credential *credential,
                                            struct kl_buf *ret, struct kl_err *err)
{
    unsigned char sealed[REASON_SEALED_MAX_BYTES];
    size_t chars = credential->reason == NULL ? 0 : strlen(credential->reason);
    size_t size = chars * 3 / 4;

    if (chars == 0) {
        return KL_OK;
    }
    if (size > sizeof sealed || !kl_base64_decode(credential->reason, chars, sealed, size)) {
        return kl_fail(err, KL_ERR_CORRUPT, "credential_damaged",
                       "the row of this credential is damaged", NULL);
    }
    return vault_remark_open(vault, credential->tenant, REASON_KIND, &credential->id,
                             kl_slice_of(sealed, size), ret, err);
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
        status = reason_seal(vault, credential, reason, err);
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
