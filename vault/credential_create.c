/* Credentials made by operators and stewards: who may, of what, and once. */
#include "kluis/base/encode.h"
#include "kluis/base/time.h"
#include "kluis/base/yaml.h"
#include "vault/act.h"
#include "vault/credentials.h"
#include "vault/idempotency.h"
#include "vault/policy_internal.h"
#include "vault/remark.h"
#include "vault/rows.h"
#include "vault/steward.h"
#include "vault/tenants.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define DAY_US (INT64_C(86400) * 1000000)

/* ---- what is asked for ---- */

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

#define LISTED_MAX_BYTES 200 /* of an error's text */
/* More than a policy has of any kind, with the two built-in roles and the end. */
#define NAMES_MAX (64 + 2 + 1)

_Static_assert(VAULT_PURPOSES_MAX <= 64 && VAULT_ROLES_MAX <= 64 && VAULT_RECIPIENTS_MAX <= 64,
               "all names of a kind fit");

/* "; it has a, b, c", as far as there is room. */
static void list_names(const char *const *names, char ret[LISTED_MAX_BYTES])
{
    size_t size = 0;
    size_t i;

    ret[0] = '\0';
    for (i = 0; names[i] != NULL; i++) {
        bool fits = size + strlen(names[i]) + sizeof "; it has , ..." < LISTED_MAX_BYTES;

        size += (size_t)snprintf(ret + size, LISTED_MAX_BYTES - size, "%s%s",
                                 i == 0 ? "; it has " : ", ", fits ? names[i] : "...");
        if (!fits) {
            return;
        }
    }
}

/* what: "role", "purpose", "recipient". What was given is not said again: it may be anything. */
static enum kl_status unknown_name(const char *what, const char *text, const char *const *names,
                                   struct kl_err *err)
{
    const char *near = kl_suggest(text, names);
    char listed[LISTED_MAX_BYTES];
    char code[KL_ERR_CODE_BYTES];

    (void)snprintf(code, sizeof code, "unknown_%s", what);
    if (near != NULL) {
        return kl_failf(err, KL_ERR_INVALID, code,
                        "the policy in force has no such %s, did you mean %s?", what, near);
    }
    list_names(names, listed);
    return kl_failf(err, KL_ERR_INVALID, code, "the policy in force has no such %s%s", what,
                    listed);
}

/* Those that something may be read or kept for. */
static void purposes_in_use(const struct vault_policy *policy, const char *ret_names[NAMES_MAX])
{
    size_t purposes = vault_policy_purpose_count(policy);
    size_t count = 0;
    size_t i;

    for (i = 0; i < purposes; i++) {
        if (!vault_policy_purpose(policy, (int)i)->forbidden) {
            ret_names[count++] = policy->purpose_names[i];
        }
    }
    ret_names[count] = NULL;
}

static enum kl_status check_purpose(const struct vault_policy *policy, const char *name,
                                    struct kl_err *err)
{
    int number = vault_policy_purpose_find(policy, name);
    const char *names[NAMES_MAX];
    char listed[LISTED_MAX_BYTES];

    if (number != VAULT_NONE && !vault_policy_purpose(policy, number)->forbidden) {
        return KL_OK;
    }
    purposes_in_use(policy, names);
    if (number == VAULT_NONE) {
        return unknown_name("purpose", name, names, err);
    }
    list_names(names, listed);
    return kl_failf(err, KL_ERR_INVALID, "forbidden_purpose",
                    "the policy in force forbids the purpose %s to everybody%s",
                    policy->purpose_names[number], listed);
}

/* The names of purposes, each once. */
static enum kl_status take_purposes(const struct vault_caller *caller,
                                    const struct vault_credential_input *input,
                                    struct vault_credential *credential, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t i;
    size_t j;

    credential->any_purpose = input->purposes == NULL;
    for (i = 0; i < input->purpose_count; i++) {
        status = check_purpose(caller->policy, input->purposes[i], err);
        if (status != KL_OK) {
            kl_err_where(err, "/purposes/%zu", i);
            return status;
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

/* Somebody else's use of data is nothing that the very person does: a credential is bound to one or the other. */
static enum kl_status take_recipient(const struct vault_caller *caller,
                                     const struct vault_credential_input *input,
                                     struct vault_credential *credential, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (input->recipient == NULL) {
        return KL_OK;
    }
    if (input->subject != NULL) {
        status =
            kl_fail(err, KL_ERR_INVALID, "recipient_and_subject",
                    "a credential is made for a recipient or for one subject, not for both", NULL);
    } else if (vault_policy_recipient_find(caller->policy, input->recipient) == VAULT_NONE) {
        status = unknown_name("recipient", input->recipient, caller->policy->recipient_names, err);
    }
    if (status != KL_OK) {
        kl_err_where(err, "/recipient");
        return status;
    }
    (void)snprintf(credential->recipient, sizeof credential->recipient, "%s", input->recipient);
    return KL_OK;
}

static enum kl_status refuse_for_built_in(const struct vault_credential_input *input,
                                          struct kl_err *err)
{
    const char *where = input->purposes != NULL    ? "/purposes"
                        : input->subject != NULL   ? "/subject"
                        : input->recipient != NULL ? "/recipient"
                                                   : NULL;

    if (where == NULL) {
        return KL_OK;
    }
    kl_err_where(err, "%s", where);
    return kl_fail(err, KL_ERR_INVALID, "not_for_built_in_role",
                   "a built-in role reads no personal data: it takes no purposes, no subject and "
                   "no recipient",
                   NULL);
}

static enum kl_status unknown_role(const struct vault_policy *policy, const char *role,
                                   struct kl_err *err)
{
    const char *names[NAMES_MAX] = {vault_builtin_name(VAULT_BUILTIN_STEWARD),
                                    vault_builtin_name(VAULT_BUILTIN_AUDITOR)};
    size_t i;

    kl_err_where(err, "/role");
    if (policy == NULL) {
        return kl_fail(err, KL_ERR_INVALID, "unknown_role",
                       "without a policy there are the roles steward and auditor alone: apply one "
                       "first",
                       NULL);
    }
    for (i = 0; i < policy->role_count; i++) {
        names[2 + i] = policy->role_names[i];
    }
    return unknown_name("role", role, names, err);
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
        return refuse_for_built_in(input, err);
    }
    if (caller->policy == NULL ||
        vault_policy_role_find(caller->policy, input->role) == VAULT_NONE) {
        return unknown_role(caller->policy, input->role, err);
    }
    status = take_purposes(caller, input, credential, err);
    if (status == KL_OK) {
        status = take_recipient(caller, input, credential, err);
    }
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

/* ---- create ---- */

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
        status = vault_credential_commit(vault, caller, "credential_create", credential, batch,
                                         NULL, err);
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
