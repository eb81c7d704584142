/* Credentials described, listed and revoked by operators and stewards. */
#include "vault/act.h"
#include "vault/credentials.h"
#include "vault/journal.h"
#include "vault/rows.h"
#include "vault/tenants.h"

#include <stdio.h>
#include <string.h>

#define CURSOR_KIND "credentials"

/* ---- in the trail ---- */

static void describe_made(struct kl_json_out *out, const struct vault_credential *credential)
{
    char id[KL_ID_TEXT_BYTES];

    kl_id_format(VAULT_CREDENTIAL_PREFIX, &credential->id, id);
    kl_json_add_text(out, "target", id);
    kl_json_add_text(out, "target_role", credential->role);
    kl_json_add_time(out, "expires_at", credential->expires_us);
    if (vault_country_is_set(credential->location)) {
        kl_json_add_text(out, "target_location", credential->location.code);
    }
    if (credential->recipient[0] != '\0') {
        kl_json_add_text(out, "target_recipient", credential->recipient);
    }
    if (credential->bound) {
        kl_json_add_int(out, "slot", (int64_t)credential->bound_slot);
    }
}

enum kl_status vault_credential_commit(struct vault *vault, const struct vault_caller *caller,
                                       const char *action,
                                       const struct vault_credential *credential,
                                       const struct vault_batch *batch,
                                       struct vault_closing *closing, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    char location[3];
    struct vault_audit_who who = vault_caller_who(caller, location);
    uint64_t trail = vault_act_trail(caller);
    struct vault_act acts[2];
    struct vault_act *both[2] = {&acts[0], &acts[1]};
    size_t count = trail == credential->tenant ? 1 : 2;

    vault_act_begin(&acts[0], credential->tenant, &who, action);
    describe_made(&acts[0].out, credential);
    vault_act_begin(&acts[1], trail, &who, action);
    kl_json_add_text(&acts[1].out, "tenant", caller->tenant_name);
    describe_made(&acts[1].out, credential);
    status = vault_act_commit_closing(vault, both, count, batch, closing, err);
    vault_act_done(&acts[0]);
    vault_act_done(&acts[1]);
    return status;
}

/* ---- described ---- */

/* The reason in the arena; NULL when there is none. */
static enum kl_status reason_of(struct vault *vault, const struct vault_credential *credential,
                                struct kl_arena *arena, const char **ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf text;

    if (credential->reason == NULL) {
        return KL_OK;
    }
    kl_buf_init(&text, VAULT_CREDENTIAL_REASON_MAX_BYTES + 1);
    status = vault_credential_reason_open(vault, credential, &text, err);
    if (status == KL_OK) {
        *ret = kl_arena_text(arena, text.bytes, text.size);
        status = *ret == NULL ? kl_fail_memory(err) : KL_OK;
    }
    kl_buf_done(&text);
    return status;
}

enum kl_status vault_credential_describe(struct vault *vault,
                                         const struct vault_credential *credential,
                                         struct kl_arena *arena,
                                         struct vault_credential_result *ret, struct kl_err *err)
{
    const char **purposes = NULL;
    const char *reason = NULL;
    size_t i;

    memset(ret, 0, sizeof *ret);
    if (!credential->any_purpose && arena != NULL) {
        purposes = kl_arena_array(arena, credential->purpose_count + 1, sizeof purposes[0]);
        for (i = 0; purposes != NULL && i < credential->purpose_count; i++) {
            purposes[i] = kl_arena_text(arena, credential->purposes[i].text,
                                        strlen(credential->purposes[i].text));
            if (purposes[i] == NULL) {
                purposes = NULL;
            }
        }
        if (purposes == NULL) {
            return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "server busy",
                           "credentials: arena full");
        }
    }
    if (arena != NULL) {
        enum kl_status status = reason_of(vault, credential, arena, &reason, err);

        if (status != KL_OK) {
            return status;
        }
    }
    ret->id = credential->id;
    memcpy(ret->role, credential->role, sizeof ret->role);
    ret->purposes = purposes;
    ret->purpose_count = credential->purpose_count;
    ret->location = credential->location;
    memcpy(ret->recipient, credential->recipient, sizeof ret->recipient);
    ret->bound = credential->bound;
    ret->created_us = credential->created_us;
    ret->expires_us = credential->expires_us;
    ret->revoked_us = credential->revoked_us;
    ret->has_certificate = credential->has_certificate;
    ret->created_by = credential->created_by;
    ret->reason = reason;
    return KL_OK;
}

void vault_credential_write(struct kl_json_out *out,
                            const struct vault_credential_result *credential)
{
    static const struct kl_id nobody = {{0}};
    char id[KL_ID_TEXT_BYTES];
    size_t i;

    kl_id_format(VAULT_CREDENTIAL_PREFIX, &credential->id, id);
    kl_json_add_text(out, "id", id);
    kl_json_add_text(out, "role", credential->role);
    kl_json_key(out, "purposes");
    if (credential->purposes == NULL) {
        kl_json_put_null(out);
    } else {
        kl_json_array_begin(out);
        for (i = 0; i < credential->purpose_count; i++) {
            kl_json_put_text(out, credential->purposes[i]);
        }
        kl_json_array_end(out);
    }
    kl_json_add_text(out, "location",
                     vault_country_is_set(credential->location) ? credential->location.code : NULL);
    kl_json_add_text(out, "recipient",
                     credential->recipient[0] == '\0' ? NULL : credential->recipient);
    kl_json_add_bool(out, "bound", credential->bound);
    kl_json_add_text(out, "kind", credential->has_certificate ? "certificate" : "token");
    kl_json_add_time(out, "created_at", credential->created_us);
    kl_json_add_time(out, "expires_at", credential->expires_us);
    kl_json_key(out, "revoked_at");
    if (credential->revoked_us == 0) {
        kl_json_put_null(out);
    } else {
        kl_json_put_time(out, credential->revoked_us);
    }
    kl_id_format(VAULT_CREDENTIAL_PREFIX, &credential->created_by, id);
    kl_json_add_text(out, "created_by", kl_id_equal(&credential->created_by, &nobody) ? NULL : id);
    kl_json_add_text(out, "reason", credential->reason);
}

/* ---- list and revoke ---- */

/* The credential that a row of the list names by its MAC. */
static enum kl_status load(struct vault *vault, struct kl_slice mac,
                           struct vault_credential **ret_credential, struct kl_err *err)
{
    if (mac.size != KMS_MAC_BYTES) {
        return kl_fail(err, KL_ERR_CORRUPT, "credential_damaged",
                       "the row of a credential is damaged", NULL);
    }
    return vault_credential_load(vault, mac.bytes, ret_credential, err);
}

/* Whose credentials the caller looks after: an operator the operators', a steward its tenant's. */
static enum kl_status whose(struct vault *vault, const struct vault_caller *caller,
                            const char *action, uint64_t *ret_tenant, struct kl_err *err)
{
    enum kl_status status =
        vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR | VAULT_MAY_STEWARD, action, err);

    if (status != KL_OK) {
        return status;
    }
    if (caller->builtin == VAULT_BUILTIN_OPERATOR && caller->tenant != UINT64_MAX) {
        return vault_act_refuse(vault, caller, action, err);
    }
    *ret_tenant = vault_act_trail(caller);
    return KL_OK;
}

static enum kl_status list_start(struct vault *vault, const struct vault_caller *caller,
                                 uint64_t tenant, const char *cursor,
                                 struct vault_row_key *ret_first, struct vault_row_key *ret_past,
                                 struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_id last = {{0}};
    struct vault_row_key all = vault_row_credential_id(tenant, &last);
    struct kl_buf position = {0};

    *ret_first = all;
    all.size -= KL_ID_BYTES;
    *ret_past = vault_row_past(&all);
    if (cursor == NULL || cursor[0] == '\0') {
        return KL_OK;
    }
    kl_buf_init(&position, 64);
    status = vault_cursor_open(vault, caller, CURSOR_KIND, cursor, &position, err);
    if (status == KL_OK && position.size != KL_ID_BYTES) {
        status =
            kl_fail(err, KL_ERR_INVALID, "invalid_cursor", "this cursor is not of this list", NULL);
    }
    if (status == KL_OK) {
        memcpy(last.bytes, position.bytes, KL_ID_BYTES);
        *ret_first = vault_row_credential_id(tenant, &last);
        *ret_first = vault_row_past(ret_first);
    }
    kl_buf_done(&position);
    return status;
}

enum kl_status vault_credential_list(struct vault *vault, const struct vault_caller *caller,
                                     size_t limit, const char *cursor, struct kl_arena *arena,
                                     struct vault_credential_result **ret, size_t *ret_count,
                                     char *ret_cursor, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key first;
    struct vault_row_key past;
    struct vault_credential_result *results = NULL;
    struct vault_credential *credential = NULL;
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice mac;
    char next[VAULT_CURSOR_MAX_BYTES + 1] = {0};
    uint64_t tenant = 0;
    size_t count = 0;

    status = whose(vault, caller, "credential_list", &tenant, err);
    if (status == KL_OK && (limit < 1 || limit > VAULT_PAGE_MAX)) {
        status = kl_failf(err, KL_ERR_INVALID, "invalid_limit", "limit is 1 to %d", VAULT_PAGE_MAX);
    }
    if (status == KL_OK) {
        status = list_start(vault, caller, tenant, cursor, &first, &past, err);
    }
    if (status != KL_OK) {
        return status;
    }
    results = kl_arena_array(arena, limit, sizeof results[0]);
    iter =
        vault_iter_new(vault->data_store, vault_row_slice(&first), vault_row_slice(&past), false);
    if (results == NULL || iter == NULL) {
        status =
            kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "server busy", "credentials: no memory");
        goto out;
    }
    while (status == KL_OK && vault_iter_next(iter, &key, &mac)) {
        if (count == limit) {
            status =
                vault_cursor_seal(vault, caller, CURSOR_KIND,
                                  kl_slice_of(results[count - 1].id.bytes, KL_ID_BYTES), next, err);
            break;
        }
        status = load(vault, mac, &credential, err);
        if (status == KL_OK) {
            status = vault_credential_describe(vault, credential, arena, &results[count], err);
            count++;
        }
        vault_credential_unref(credential);
        credential = NULL;
    }
    if (status == KL_OK) {
        status = vault_iter_status(iter, err);
    }
    if (status == KL_OK) {
        *ret = results;
        *ret_count = count;
        memcpy(ret_cursor, next, sizeof next);
    }

out:
    vault_iter_free(iter);
    return status;
}

/* The turn is held. Revoking twice is no error and keeps the first time. */
static enum kl_status revoke(struct vault *vault, const struct vault_caller *caller,
                             uint64_t tenant, const struct kl_id *id, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_credential *credential = NULL;
    struct vault_closing closing = {.kind = VAULT_CLOSING_CREDENTIAL, .tenant = tenant};
    struct vault_batch *batch = NULL;

    status = vault_credential_read(vault, tenant, id, &credential, err);
    if (status != KL_OK || credential->revoked_us != 0) {
        goto out;
    }
    credential->revoked_us = caller->now_us;
    batch = vault_batch_new();
    if (batch == NULL) {
        status = kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "server busy", "credential: no batch");
        goto out;
    }
    closing.at_us = caller->now_us;
    closing.credential = credential->id;
    memcpy(closing.mac, credential->mac, KMS_MAC_BYTES);
    status = vault_credential_put(vault, credential, batch, err);
    if (status == KL_OK) {
        status = vault_journal_write(vault, &closing, err);
    }
    if (status == KL_OK) {
        status = vault_credential_commit(vault, caller, "credential_revoke", credential, batch,
                                         &closing, err);
    }
    if (status == KL_OK) {
        vault_credential_forget(vault, credential->mac);
    }

out:
    vault_journal_end(vault, &closing);
    vault_batch_free(batch);
    vault_credential_unref(credential);
    return status;
}

enum kl_status vault_credential_revoke(struct vault *vault, const struct vault_caller *caller,
                                       const struct kl_id *credential, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    uint64_t tenant = 0;

    status = whose(vault, caller, "credential_revoke", &tenant, err);
    if (status != KL_OK) {
        return status;
    }
    vault_turn_take(&vault->turn);
    status = revoke(vault, caller, tenant, credential, err);
    vault_turn_give(&vault->turn);
    return status;
}
