#include "vault/steward.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "kluis/vault/admin.h"
#include "vault/act.h"
#include "vault/rows.h"
#include "vault/tenants.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define FORMAT 1
#define MARK_KEY_BYTES (2 + 8)
#define DAY_US (INT64_C(86400) * 1000000)

/* ---- the mark ---- */

static void mark_key(uint64_t tenant, unsigned char ret[MARK_KEY_BYTES])
{
    ret[0] = KMS_SIDE_ROW;
    ret[1] = 'W';
    kl_put_u64be(ret + 2, tenant);
}

/* Any row counts, also one of which a byte was changed. */
static enum kl_status mark_says(struct vault *vault, uint64_t tenant, bool *ret_was,
                                struct kl_err *err)
{
    unsigned char key[MARK_KEY_BYTES];
    struct kl_err cause = {0};
    struct kl_buf row;
    enum kl_status status = KL_OK;

    mark_key(tenant, key);
    kl_buf_init(&row, KMS_SIDE_VALUE_MAX_BYTES);
    status = kms_side_get(vault->keys, kl_slice_of(key, sizeof key), &row, &cause);
    kl_buf_done(&row);
    if (status != KL_OK && status != KL_ERR_NOT_FOUND) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    *ret_was = status == KL_OK;
    return KL_OK;
}

void vault_steward_mark(struct vault *vault, uint64_t tenant)
{
    static const unsigned char row[1] = {FORMAT};
    unsigned char key[MARK_KEY_BYTES];
    const struct kms_storage_write write = {{key, sizeof key}, {row, sizeof row}};
    struct kl_err err = {0};
    bool was = false;
    enum kl_status status = mark_says(vault, tenant, &was, &err);

    mark_key(tenant, key);
    if (status == KL_OK && !was) {
        status = kms_side_apply(vault->keys, &write, 1, true, &err);
    }
    if (status != KL_OK) {
        kl_log_err(KL_LOG_ERROR, "steward_not_marked", &err);
    }
}

/* Whether data/ has the credential of a steward, whatever became of it. */
static enum kl_status rows_say(struct vault *vault, uint64_t tenant, bool *ret_was,
                               struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_id zero = {{0}};
    struct vault_row_key first = vault_row_credential_id(tenant, &zero);
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    struct vault_credential *credential = NULL;
    struct kl_slice key;
    struct kl_slice mac;
    bool was = false;

    first.size -= KL_ID_BYTES;
    past = vault_row_past(&first);
    iter =
        vault_iter_new(vault->data_store, vault_row_slice(&first), vault_row_slice(&past), false);
    if (iter == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "server busy",
                       "credentials: no iterator");
    }
    while (status == KL_OK && !was && vault_iter_next(iter, &key, &mac)) {
        status = mac.size == KMS_MAC_BYTES
                     ? vault_credential_load(vault, mac.bytes, &credential, err)
                     : kl_fail(err, KL_ERR_CORRUPT, "credential_damaged",
                               "the row of a credential is damaged", NULL);
        if (status == KL_OK) {
            was = credential->builtin == VAULT_BUILTIN_STEWARD;
            vault_credential_unref(credential);
            credential = NULL;
        }
    }
    if (status == KL_OK) {
        status = vault_iter_status(iter, err);
    }
    vault_iter_free(iter);
    if (status == KL_OK) {
        *ret_was = was;
    }
    return status;
}

enum kl_status vault_steward_was(struct vault *vault, uint64_t tenant, bool *ret_was,
                                 struct kl_err *err)
{
    bool was = false;
    enum kl_status status = mark_says(vault, tenant, &was, err);

    if (status == KL_OK && !was) {
        status = rows_say(vault, tenant, &was, err);
    }
    if (status == KL_OK) {
        *ret_was = was;
    }
    return status;
}

/* ---- at the machine ---- */

enum kl_status vault_credential_at_machine(struct vault *vault, const struct vault_audit_who *who,
                                           enum vault_builtin builtin, uint64_t tenant,
                                           const char *action, struct vault_token *ret_token,
                                           struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_credential *credential = vault_credential_new(0);
    struct vault_batch *batch = vault_batch_new();
    struct vault_token token = {{0}};
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    char id[KL_ID_TEXT_BYTES];

    vault_act_begin(&act, tenant, who, action);
    if (credential == NULL || batch == NULL) {
        status = kl_fail_memory(err);
        goto out;
    }
    credential->builtin = builtin;
    credential->tenant = tenant;
    credential->any_purpose = true;
    credential->created_us = who->at_us;
    credential->expires_us = who->at_us + VAULT_CREDENTIAL_LIFE_MAX_DAYS * DAY_US;
    (void)snprintf(credential->role, sizeof credential->role, "%s", vault_builtin_name(builtin));
    status = vault_credential_make(vault, credential, NULL, NULL, batch, &token, err);
    if (status != KL_OK) {
        goto out;
    }
    kl_id_format(VAULT_CREDENTIAL_PREFIX, &credential->id, id);
    kl_json_add_text(&act.out, "target", id);
    kl_json_add_text(&act.out, "target_role", credential->role);
    kl_json_add_time(&act.out, "expires_at", credential->expires_us);
    status = vault_act_commit(vault, acts, 1, batch, err);
    if (status == KL_OK && builtin == VAULT_BUILTIN_STEWARD) {
        vault_steward_mark(vault, tenant);
    }
    if (status == KL_OK) {
        *ret_token = token;
    }

out:
    sodium_memzero(&token, sizeof token);
    vault_act_done(&act);
    vault_batch_free(batch);
    vault_credential_unref(credential);
    return status;
}

/* The vault's own trail says whose steward it was as well: an operator is to find it there. */
static enum kl_status say_recovered(struct vault *vault, const struct vault_audit_who *who,
                                    const char *tenant, struct kl_err *err)
{
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    enum kl_status status = KL_OK;

    vault_act_begin(&act, KMS_TENANT_VAULT, who, "steward_recovered");
    kl_json_add_text(&act.out, "tenant", tenant);
    status = vault_act_commit(vault, acts, 1, NULL, err);
    vault_act_done(&act);
    return status;
}

enum kl_status vault_steward_recover(const struct vault_options *options, const char *tenant,
                                     struct vault_token *ret_token, struct kl_err *err)
{
    const struct vault_audit_who who = {.role = "vault", .at_us = kl_time_now_us()};
    const struct vault_tenant *found = NULL;
    struct vault *vault = NULL;
    struct vault_token token = {{0}};
    enum kl_status status = KL_OK;

    if (!vault_tenant_name_valid(tenant)) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_tenant", "this is not a tenant's name", NULL);
    }
    status = vault_open(options, &vault, err);
    if (status == KL_OK) {
        found = vault_tenants_find(vault, tenant);
        status = found != NULL ? say_recovered(vault, &who, tenant, err)
                               : kl_fail(err, KL_ERR_NOT_FOUND, "unknown_tenant",
                                         "there is no such tenant", NULL);
    }
    if (status == KL_OK) {
        status = vault_credential_at_machine(vault, &who, VAULT_BUILTIN_STEWARD, found->number,
                                             "steward_recovered", &token, err);
    }
    if (status == KL_OK) {
        *ret_token = token;
    }
    sodium_memzero(&token, sizeof token);
    vault_close(vault);
    return status;
}
