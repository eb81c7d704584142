/*
 * Rows of credentials, and the reasons in them.
 *
 * A row is its seal, KMS_MAC_BYTES over where it lies and what it says, then the JSON: who can write to data/ but has no key makes no
 * credential, gives none another role or place, and takes back no revocation of a row it does not have an older copy of.
 */
#include "kluis/base/encode.h"
#include "kluis/base/json.h"
#include "vault/credentials.h"
#include "vault/journal.h"
#include "vault/remark.h"
#include "vault/rows.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROW_MAX_BYTES 16384

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
    if (credential->recipient[0] != '\0') {
        kl_json_add_text(&out, "recipient", credential->recipient);
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

static bool take_recipient(const struct kl_json_value *value, struct vault_credential *credential)
{
    return kl_json_type(value) == KL_JSON_ABSENT ||
           (take_name(value, credential->recipient) && credential->recipient[0] != '\0');
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
           take_recipient(kl_json_member(root, "recipient"), credential) &&
           take_reason(kl_json_member(root, "reason"), credential) &&
           take_purposes(kl_json_member(root, "purposes"), credential);
}

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

enum kl_status vault_credential_reason_seal(struct vault *vault,
                                            struct vault_credential *credential, const char *reason,
                                            struct kl_err *err)
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
