/* Who asks: from a token or certificate to a caller with its tenant, role, purposes and place. */
#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/alerts.h"
#include "vault/credentials.h"
#include "vault/limits.h"
#include "vault/tenants.h"
#include "vault/vault_internal.h"

#include <stdio.h>
#include <string.h>

#define TOKEN_TEXT_MAX_BYTES 512
#define TRIED_ONCE_S 300

struct vault_audit_who vault_caller_who(const struct vault_caller *caller, char location_text[3])
{
    struct vault_audit_who who = {0};

    memcpy(location_text, caller->location.code, sizeof caller->location.code);
    who.credential = &caller->credential;
    who.role = caller->role_name;
    who.request_id = caller->request_id[0] == '\0' ? NULL : caller->request_id;
    who.location = location_text[0] == '\0' ? NULL : location_text;
    who.at_us = caller->now_us;
    return who;
}

enum kl_status vault_audit_commit(struct vault *vault, struct vault_audit_entry *const *entries,
                                  size_t count, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_commit commit = {0};
    struct kl_err cause = {0};

    if (count == 0) {
        return KL_OK;
    }
    commit.tenant = entries[0]->tenant;
    commit.audit = entries;
    commit.audit_count = count;
    status = vault_commit_submit(vault->committer, &commit, &cause);
    if (status == KL_ERR_NOT_FOUND) {
        return kl_fail(err, status, cause.code, cause.client_text, NULL);
    }
    if (status != KL_OK) {
        return kl_fail(err, KL_ERR_UNAVAILABLE, "audit_unavailable",
                       "the audit trail cannot be written, so nothing may be read", "%s: %s",
                       cause.code, cause.log_text);
    }
    atomic_fetch_add_explicit(&vault->counters.audit_entries, count, memory_order_relaxed);
    vault_alerts_see(vault, entries, count);
    return KL_OK;
}

enum kl_status vault_caller_unauthorised(struct vault *vault, const char *why, struct kl_err *err)
{
    atomic_fetch_add_explicit(&vault->counters.refused_unauthorised, 1, memory_order_relaxed);
    return kl_fail(err, KL_ERR_UNAUTHORISED, "unauthorised",
                   "no credential, or one that does not hold", "%s", why);
}

/*
 * Somebody tries a credential that has come to its end, or is good for nothing now: that is for the trail, once in TRIED_ONCE_S and not each time, so that nobody can
 * fill it with a token that is worth nothing. It is refused whether or not it can be written.
 */
static void note_refused(struct vault *vault, const struct vault_credential *credential,
                         int64_t now_us, const char *request_id, const char *why)
{
    struct vault_limit_item once = {.limit = {.max = 1, .window_s = TRIED_ONCE_S}};
    const struct vault_audit_who who = {
        .credential = &credential->id,
        .role = credential->role,
        .request_id = request_id,
        .location = vault_country_is_set(credential->location) ? credential->location.code : NULL,
        .at_us = now_us};
    struct vault_audit_entry entry = {0};
    struct vault_audit_entry *entries[1] = {&entry};
    struct kl_json_out out;
    struct kl_err err = {0};
    unsigned char name[1 + KL_ID_BYTES] = {
        'e'}; /* apart from what subject_secret.c counts for it */
    uint32_t wait_s = 0;

    memcpy(name + 1, credential->id.bytes, KL_ID_BYTES);
    once.key = vault_limits_key(vault->tries, kl_slice_of(name, sizeof name));
    if (!vault_limits_take(vault->tries, &once, 1, kl_time_monotonic_us(), &wait_s)) {
        return;
    }
    vault_audit_begin(&entry, credential->tenant, &who, "credential_refused", &out);
    kl_json_add_text(&out, "result", "refused");
    kl_json_add_text(&out, "reason", why);
    if (vault_audit_end(&entry, &out, &err) != KL_OK ||
        vault_audit_commit(vault, entries, 1, &err) != KL_OK) {
        kl_log(KL_LOG_WARNING, "audit_unavailable", KL_LOG_TEXT("code", err.code));
    }
    vault_audit_done(&entry);
}

enum kl_status vault_proof_check(struct vault *vault, const struct vault_proof *proof,
                                 struct kl_err *err)
{
    if (proof->token == NULL && proof->certificate_sha256 == NULL) {
        return vault_caller_unauthorised(vault, "none given", err);
    }
    if (proof->token != NULL &&
        strnlen(proof->token, TOKEN_TEXT_MAX_BYTES + 1) > TOKEN_TEXT_MAX_BYTES) {
        return vault_caller_unauthorised(vault, "token too long", err);
    }
    return KL_OK;
}

static enum kl_status credential_check(struct vault *vault, const struct vault_proof *proof,
                                       struct vault_credential **ret_credential, struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = vault_proof_check(vault, proof, err);

    if (status != KL_OK) {
        return status;
    }
    status = vault_credential_find(vault, proof, ret_credential, &cause);
    if (status == KL_ERR_NOT_FOUND) {
        return vault_caller_unauthorised(vault, "unknown", err);
    }
    return status == KL_OK
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

/* A tenant that was ended serves nobody, until it is brought back or gone. */
static enum kl_status tenant_is_open(const struct vault_tenant *tenant, struct kl_err *err)
{
    int64_t ends_us = atomic_load(&tenant->ends_us);
    char until[KL_TIME_TEXT_BYTES];

    if (ends_us == 0) {
        return KL_OK;
    }
    kl_time_format(ends_us, until);
    return kl_failf(
        err, KL_ERR_FORBIDDEN, "tenant_closed",
        "this tenant was ended; until %s an operator can bring it back, and its steward "
        "can export it",
        until);
}

/* But for its steward's one call, before its time has come. ret_closed_us: when that is; 0: it is open. */
static enum kl_status tenant_serves(const struct vault_tenant *tenant,
                                    const struct vault_credential *credential, int64_t now_us,
                                    bool closed_too, int64_t *ret_closed_us, struct kl_err *err)
{
    int64_t ends_us = atomic_load(&tenant->ends_us);

    if (closed_too && credential->builtin == VAULT_BUILTIN_STEWARD && ends_us > now_us) {
        *ret_closed_us = ends_us;
        return KL_OK;
    }
    return tenant_is_open(tenant, err);
}

/* The tenant acted on; NULL for an operator who names none. */
static enum kl_status tenant_choose(struct vault *vault, const struct vault_credential *credential,
                                    const char *tenant_name, bool closed_too,
                                    struct vault_caller *caller,
                                    const struct vault_tenant **ret_tenant, struct kl_err *err)
{
    const struct vault_tenant *tenant = NULL;
    enum kl_status status = KL_OK;

    if (tenant_name != NULL && !vault_tenant_name_valid(tenant_name)) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_tenant", "this is not a tenant's name", NULL);
    }
    if (credential->builtin == VAULT_BUILTIN_OPERATOR) {
        if (tenant_name != NULL) {
            tenant = vault_tenants_find(vault, tenant_name);
            if (tenant == NULL) {
                return kl_fail(err, KL_ERR_NOT_FOUND, "unknown_tenant", "there is no such tenant",
                               NULL);
            }
            status = tenant_is_open(tenant, err);
        }
        if (status == KL_OK) {
            *ret_tenant = tenant;
        }
        return status;
    }
    tenant = vault_tenants_by_number(vault, credential->tenant);
    if (tenant == NULL) {
        return vault_caller_unauthorised(vault, "its tenant is gone", err);
    }
    if (tenant_name != NULL && strcmp(tenant_name, tenant->name) != 0) {
        return kl_fail(err, KL_ERR_FORBIDDEN, "tenant_forbidden",
                       "only an operator may name another tenant", NULL);
    }
    status = tenant_serves(tenant, credential, caller->now_us, closed_too, &caller->closed_us, err);
    if (status == KL_OK) {
        *ret_tenant = tenant;
    }
    return status;
}

static enum kl_status bound_resolve(struct vault *vault, const struct vault_credential *credential,
                                    struct vault_caller *caller, struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = KL_OK;

    caller->bound = credential->bound;
    if (!credential->bound) {
        return KL_OK;
    }
    status = vault_subject_id(vault, credential->tenant, credential->bound_slot,
                              &caller->bound_subject, &cause);
    if (status == KL_ERR_NOT_FOUND || status == KL_ERR_GONE) {
        return vault_caller_unauthorised(vault, "its subject is gone", err);
    }
    return status == KL_OK
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

/* Names become numbers of the policy in force; what it does not have any more counts for nothing. */
static void role_resolve(const struct vault_credential *credential, struct vault_caller *caller)
{
    size_t i;
    int purpose;

    caller->builtin = credential->builtin;
    caller->role = VAULT_NONE;
    caller->single_purpose = VAULT_NONE;
    caller->purposes = credential->any_purpose ? UINT64_MAX : 0;
    memcpy(caller->role_name, credential->role, sizeof caller->role_name);
    if (caller->policy == NULL) {
        return;
    }
    if (credential->builtin == VAULT_BUILTIN_NONE) {
        caller->role = vault_policy_role_find(caller->policy, credential->role);
    }
    for (i = 0; i < credential->purpose_count; i++) {
        purpose = vault_policy_purpose_find(caller->policy, credential->purposes[i].text);
        if (purpose != VAULT_NONE) {
            caller->purposes |= UINT64_C(1) << (unsigned)purpose;
            caller->single_purpose = credential->purpose_count == 1 ? purpose : VAULT_NONE;
        }
    }
}

/* A recipient that the policy does not have gets nothing, rather than what the controller itself would. */
static enum kl_status recipient_resolve(struct vault *vault,
                                        const struct vault_credential *credential,
                                        struct vault_caller *caller, const char *request_id,
                                        struct kl_err *err)
{
    int recipient = VAULT_NONE;

    if (credential->recipient[0] == '\0') {
        return KL_OK;
    }
    if (caller->policy != NULL) {
        recipient = vault_policy_recipient_find(caller->policy, credential->recipient);
    }
    if (recipient == VAULT_NONE) {
        note_refused(vault, credential, caller->now_us, request_id, "recipient_gone");
        return kl_fail(err, KL_ERR_FORBIDDEN, "recipient_gone",
                       "this credential is made for a recipient that the policy in force does not "
                       "have",
                       NULL);
    }
    caller->is_recipient = true;
    caller->recipient = recipient;
    return KL_OK;
}

enum kl_status vault_credential_holds(struct vault *vault,
                                      const struct vault_credential *credential, int64_t now_us,
                                      const char *request_id, struct kl_err *err)
{
    const char *why = credential->revoked_us != 0 ? "revoked" : "expired";

    if (credential->revoked_us == 0 && now_us < credential->expires_us) {
        return KL_OK;
    }
    note_refused(vault, credential, now_us, request_id, why);
    return vault_caller_unauthorised(vault, why, err);
}

enum kl_status vault_caller_of(struct vault *vault, const struct vault_credential *credential,
                               const char *tenant_name, bool closed_too, const char *request_id,
                               int64_t now_us, struct vault_caller *ret_caller, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    const struct vault_tenant *tenant = NULL;
    struct vault_caller caller = {.now_us = now_us};

    status = tenant_choose(vault, credential, tenant_name, closed_too, &caller, &tenant, err);
    if (status == KL_OK) {
        status = bound_resolve(vault, credential, &caller, err);
    }
    if (status != KL_OK) {
        return status;
    }
    caller.tenant = UINT64_MAX;
    if (tenant != NULL) {
        caller.tenant = tenant->number;
        memcpy(caller.tenant_name, tenant->name, sizeof caller.tenant_name);
        caller.policy = vault_tenant_policy(vault, tenant, &caller.policy_number);
    }
    caller.credential = credential->id;
    caller.location = credential->location;
    role_resolve(credential, &caller);
    status = recipient_resolve(vault, credential, &caller, request_id, err);
    if (status != KL_OK) {
        vault_caller_done(&caller);
        return status;
    }
    if (request_id != NULL) {
        (void)snprintf(caller.request_id, sizeof caller.request_id, "%s", request_id);
    }
    *ret_caller = caller;
    return KL_OK;
}

enum kl_status vault_caller_open(struct vault *vault, const struct vault_proof *proof,
                                 const char *tenant_name, const char *request_id,
                                 struct vault_caller *ret_caller, struct kl_err *err)
{
    struct vault_credential *credential = NULL;
    int64_t now_us = kl_time_now_us();
    enum kl_status status = credential_check(vault, proof, &credential, err);

    if (status == KL_OK) {
        status = vault_credential_holds(vault, credential, now_us, request_id, err);
    }
    if (status == KL_OK) {
        status = vault_caller_of(vault, credential, tenant_name, false, request_id, now_us,
                                 ret_caller, err);
    }
    vault_credential_unref(credential);
    return status;
}

void vault_caller_done(struct vault_caller *caller)
{
    vault_policy_unref(caller->policy);
    memset(caller, 0, sizeof *caller);
    caller->tenant = UINT64_MAX;
    caller->role = VAULT_NONE;
    caller->single_purpose = VAULT_NONE;
}
