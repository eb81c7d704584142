/* Credentials made, listed and revoked by operators and stewards. */
#include "kluis/base/encode.h"
#include "kluis/base/time.h"
#include "vault/act.h"
#include "vault/credentials.h"
#include "vault/idempotency.h"
#include "vault/journal.h"
#include "vault/remark.h"
#include "vault/rows.h"
#include "vault/steward.h"
#include "vault/tenants.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define DAY_US (INT64_C(86400) * 1000000)
#define CURSOR_KIND "credentials"

/* ---- create ---- */

static enum kl_status expiry(const char *expires_in, int64_t now_us, int64_t *ret_us,
                             struct kl_err *err)
{
    struct kl_duration duration;
    int64_t until_us = 0;

    if (expires_in != NULL &&
        kl_duration_parse(expires_in, strlen(expires_in), &duration, NULL) == KL_OK) {
        until_us = kl_time_add(now_us, &duration);
    }
    if (until_us <= now_us || until_us - now_us > VAULT_CREDENTIAL_LIFE_MAX_DAYS * DAY_US) {
        kl_err_where(err, "/expires_in");
        return kl_failf(err, KL_ERR_INVALID, "invalid_duration",
                        "expires_in is an ISO 8601 duration above zero, at most P%dD",
                        VAULT_CREDENTIAL_LIFE_MAX_DAYS);
    }
    *ret_us = until_us;
    return KL_OK;
}

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

/* May this caller make a credential of that role? The turn is held, so that no two first stewards are made at once. */
static enum kl_status may_make(struct vault *vault, const struct vault_caller *caller,
                               enum vault_builtin made, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    bool was = false;

    if (caller->builtin == VAULT_BUILTIN_STEWARD && made != VAULT_BUILTIN_OPERATOR) {
        return KL_OK;
    }
    if (caller->builtin == VAULT_BUILTIN_OPERATOR && made == VAULT_BUILTIN_OPERATOR) {
        return KL_OK;
    }
    if (caller->builtin == VAULT_BUILTIN_OPERATOR && made == VAULT_BUILTIN_STEWARD) {
        if (caller->tenant == UINT64_MAX) {
            return kl_fail(err, KL_ERR_INVALID, "tenant_required",
                           "name the tenant whose first steward this is", NULL);
        }
        status = vault_steward_was(vault, caller->tenant, &was, err);
        if (status != KL_OK || !was) {
            return status;
        }
    }
    return vault_act_refuse(vault, caller, "credential_create", err);
}

enum kl_status vault_credential_may_make(struct vault *vault, const struct vault_caller *caller,
                                         const char *role, struct kl_err *err)
{
    return may_make(vault, caller, role == NULL ? VAULT_BUILTIN_NONE : vault_builtin_find(role),
                    err);
}

/* The names of purposes, each once. */
static enum kl_status take_purposes(const struct vault_caller *caller,
                                    const struct vault_credential_input *input,
                                    struct vault_credential *credential, struct kl_err *err)
{
    size_t i;
    size_t j;

    credential->any_purpose = input->purposes == NULL;
    for (i = 0; i < input->purpose_count; i++) {
        if (vault_policy_purpose_find(caller->policy, input->purposes[i]) == VAULT_NONE) {
            kl_err_where(err, "/purposes/%zu", i);
            return kl_fail(err, KL_ERR_INVALID, "unknown_purpose",
                           "the policy in force has no such purpose", NULL);
        }
        for (j = 0; j < credential->purpose_count; j++) {
            if (strcmp(credential->purposes[j].text, input->purposes[i]) == 0) {
                break;
            }
        }
        if (j == credential->purpose_count) {
            (void)snprintf(credential->purposes[j].text, sizeof credential->purposes[j].text, "%s",
                           input->purposes[i]);
            credential->purpose_count++;
        }
    }
    return KL_OK;
}

/* What only a role of the policy can have. */
static enum kl_status take_role(struct vault *vault, const struct vault_caller *caller,
                                const struct vault_credential_input *input,
                                struct vault_credential *credential, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    (void)snprintf(credential->role, sizeof credential->role, "%s", input->role);
    credential->any_purpose = true;
    if (credential->builtin != VAULT_BUILTIN_NONE) {
        if (input->purposes != NULL || input->subject != NULL) {
            kl_err_where(err, "%s", input->purposes != NULL ? "/purposes" : "/subject");
            return kl_fail(
                err, KL_ERR_INVALID, "not_for_built_in_role",
                "a built-in role reads no personal data: it takes no purposes and no subject",
                NULL);
        }
        return KL_OK;
    }
    if (caller->policy == NULL ||
        vault_policy_role_find(caller->policy, input->role) == VAULT_NONE) {
        kl_err_where(err, "/role");
        return kl_fail(err, KL_ERR_INVALID, "unknown_role", "the policy in force has no such role",
                       NULL);
    }
    status = take_purposes(caller, input, credential, err);
    if (status == KL_OK && input->subject != NULL) {
        credential->bound = true;
        status =
            vault_subject_slot(vault, caller->tenant, input->subject, &credential->bound_slot, err);
        if (status != KL_OK) {
            kl_err_where(err, "/subject");
        }
    }
    return status;
}

static enum kl_status take_input(struct vault *vault, const struct vault_caller *caller,
                                 const struct vault_credential_input *input,
                                 struct vault_credential *credential, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    credential->tenant =
        credential->builtin == VAULT_BUILTIN_OPERATOR ? (uint64_t)KMS_TENANT_VAULT : caller->tenant;
    credential->created_us = caller->now_us;
    credential->created_by = caller->credential;
    status = take_role(vault, caller, input, credential, err);
    if (status == KL_OK) {
        status = expiry(input->expires_in, caller->now_us, &credential->expires_us, err);
    }
    if (status == KL_OK && input->location != NULL) {
        status = vault_place_country(input->location, &credential->location, err);
        if (status != KL_OK) {
            kl_err_where(err, "/location");
        }
    }
    return status;
}

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
    if (credential->bound) {
        kl_json_add_int(out, "slot", (int64_t)credential->bound_slot);
    }
}

/* The rows with an entry in the trail of whose it is, and in the maker's when that is another. */
static enum kl_status commit_made(struct vault *vault, const struct vault_caller *caller,
                                  const char *action, const struct vault_credential *credential,
                                  const struct vault_batch *batch, struct vault_closing *closing,
                                  struct kl_err *err)
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

static enum kl_status take_certificate(const char *text,
                                       unsigned char ret[VAULT_CERTIFICATE_HASH_BYTES],
                                       struct kl_err *err)
{
    if (!kl_hex_decode(text, strlen(text), ret, VAULT_CERTIFICATE_HASH_BYTES)) {
        kl_err_where(err, "/certificate_sha256");
        return kl_fail(
            err, KL_ERR_INVALID, "invalid_certificate",
            "certificate_sha256 is the SHA-256 of the certificate (DER) as 64 hex digits", NULL);
    }
    return KL_OK;
}

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

/* The turn is held. */
static enum kl_status create(struct vault *vault, const struct vault_caller *caller,
                             const struct vault_credential_input *input,
                             const struct vault_idempotency_ticket *ticket,
                             struct vault_credential *credential, struct vault_token *ret_token,
                             struct kl_err *err)
{
    enum kl_status status = KL_OK;
    unsigned char hash[VAULT_CERTIFICATE_HASH_BYTES];
    const unsigned char *certificate = input->certificate_sha256 == NULL ? NULL : hash;
    struct vault_batch *batch = NULL;

    status = may_make(vault, caller, credential->builtin, err);
    if (status == KL_OK) {
        status = take_input(vault, caller, input, credential, err);
    }
    if (status == KL_OK && certificate != NULL) {
        status = take_certificate(input->certificate_sha256, hash, err);
    }
    if (status != KL_OK) {
        return status;
    }
    batch = vault_batch_new();
    if (batch == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "server busy", "credential: no batch");
    }
    status =
        vault_credential_make(vault, credential, certificate, input->reason, batch, ret_token, err);
    if (status == KL_OK) {
        status =
            vault_idempotency_remember(vault, caller, ticket, VAULT_SLOT_MAC, KMS_VALUE_NONE,
                                       kl_slice_of(credential->id.bytes, KL_ID_BYTES), batch, err);
    }
    if (status == KL_OK) {
        status = commit_made(vault, caller, "credential_create", credential, batch, NULL, err);
    }
    if (status == KL_OK && credential->builtin == VAULT_BUILTIN_STEWARD) {
        vault_steward_mark(vault, credential->tenant);
    }
    vault_batch_free(batch);
    return status;
}

/* A token is shown once: the same request again gets no other answer than that. */
static enum kl_status create_once(struct vault *vault, const struct vault_caller *caller,
                                  const struct vault_credential_input *input,
                                  const struct vault_idempotency *idempotency,
                                  struct vault_credential *credential,
                                  struct vault_token *ret_token, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_idempotency_ticket ticket = {0};
    struct kl_buf answer;

    kl_buf_init(&answer, VAULT_IDEMPOTENCY_ANSWER_MAX_BYTES);
    status = vault_idempotency_begin(vault, caller, idempotency, &ticket, &answer, err);
    if (status == KL_OK && answer.size > 0) {
        status = kl_fail(err, KL_ERR_CONFLICT, "token_already_shown",
                         "this request made a credential before, and its token is shown once: "
                         "revoke it and make another one",
                         NULL);
    }
    if (status == KL_OK) {
        vault_turn_take(&vault->turn);
        status = create(vault, caller, input, &ticket, credential, ret_token, err);
        vault_turn_give(&vault->turn);
    }
    vault_idempotency_end(vault, &ticket);
    kl_buf_done(&answer);
    return status;
}

static enum kl_status check_sizes(const struct vault_credential_input *input, struct kl_err *err)
{
    if (input->role == NULL || strlen(input->role) > VAULT_NAME_MAX_BYTES) {
        kl_err_where(err, "/role");
        return kl_fail(err, KL_ERR_INVALID, "unknown_role", "the policy in force has no such role",
                       NULL);
    }
    if (input->purpose_count > VAULT_PURPOSES_MAX) {
        kl_err_where(err, "/purposes");
        return kl_fail(err, KL_ERR_INVALID, "unknown_purpose",
                       "there are more purposes than a policy can have", NULL);
    }
    return input->reason == NULL ? KL_OK
                                 : vault_remark_check(input->reason, "reason",
                                                      VAULT_CREDENTIAL_REASON_MAX_BYTES, err);
}

enum kl_status vault_credential_create(struct vault *vault, const struct vault_caller *caller,
                                       const struct vault_credential_input *input,
                                       const struct vault_idempotency *idempotency,
                                       struct vault_token *ret_token,
                                       struct vault_credential_result *ret, struct kl_err *err)
{
    enum kl_status status = check_sizes(input, err);
    struct vault_credential *credential = NULL;
    struct vault_token token = {{0}};

    if (status != KL_OK) {
        return status;
    }
    credential = vault_credential_new(input->purpose_count);
    if (credential == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "server busy", "credential: no memory");
    }
    credential->builtin = vault_builtin_find(input->role);
    status = create_once(vault, caller, input, idempotency, credential, &token, err);
    if (status == KL_OK) {
        *ret_token = token;
        (void)!vault_credential_describe(vault, credential, NULL, ret, NULL);
        ret->reason = input->reason;
        ret->purposes = input->purposes;
        ret->purpose_count = input->purpose_count;
    }
    sodium_memzero(&token, sizeof token);
    vault_credential_unref(credential);
    return status;
}

/* ---- list and revoke ---- */

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
        status = commit_made(vault, caller, "credential_revoke", credential, batch, &closing, err);
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
