/* Entries of the audit trail about subjects: slot numbers and names, never an id, never a value. */
#include "vault/audit_action.h"
#include "vault/subject_internal.h"
#include "vault/tenants.h"

#include <assert.h>

void vault_subject_act_begin(struct vault_act *act, const struct vault_caller *caller,
                             const char *action, uint64_t slot)
{
    char location[3];
    struct vault_audit_who who = vault_caller_who(caller, location);

    vault_act_begin(act, caller->tenant, &who, action);
    act->entry.caller = caller;
    act->entry.meaning = vault_audit_action_find(action)->effect == VAULT_AUDIT_SHOWS
                             ? VAULT_AUDIT_MEANS_SHOWN
                             : VAULT_AUDIT_MEANS_OTHER;
    kl_json_add_int(&act->out, "slot", (int64_t)slot);
    kl_json_add_int(&act->out, "policy", (int64_t)caller->policy_number);
}

void vault_subject_act_transfers(struct vault_act *act, const struct vault_policy *policy,
                                 uint64_t lines)
{
    if (lines == 0) {
        return;
    }
    kl_json_key(&act->out, "transfers");
    kl_json_array_begin(&act->out);
    for (; lines != 0; lines &= lines - 1) {
        kl_json_put_text(&act->out, vault_policy_transfer_name(policy, __builtin_ctzll(lines)));
    }
    kl_json_array_end(&act->out);
}

void vault_act_recipient(struct vault_act *act, const struct vault_policy *policy,
                         const struct vault_query *query)
{
    if (query->recipient != VAULT_NONE) {
        kl_json_add_text(&act->out, "recipient",
                         vault_policy_recipient(policy, query->recipient)->name);
    }
}

enum kl_status vault_subject_act_end(struct vault_act *act, struct kl_err *err)
{
    kl_json_add_text(&act->out, "result", "ok");
    return vault_audit_end(&act->entry, &act->out, err);
}

enum kl_status vault_subject_found(struct vault *vault, const struct vault_caller *caller,
                                   const char *action, int purpose,
                                   struct vault_audit_entry *const *entries, size_t count,
                                   struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_act none = {0};
    struct vault_audit_entry *none_entries[1] = {&none.entry};
    struct vault_audit_who who;
    char location[3];

    if (count > 0) {
        return vault_audit_commit(vault, entries, count, err);
    }
    who = vault_caller_who(caller, location);
    vault_act_begin(&none, caller->tenant, &who, action);
    kl_json_add_int(&none.out, "policy", (int64_t)caller->policy_number);
    if (purpose != VAULT_NONE) {
        kl_json_add_text(&none.out, "purpose", vault_policy_purpose(caller->policy, purpose)->name);
    }
    kl_json_add_int(&none.out, "found", 0);
    status = vault_subject_act_end(&none, err);
    if (status == KL_OK) {
        status = vault_audit_commit(vault, none_entries, 1, err);
    }
    vault_act_done(&none);
    return status;
}

bool vault_refusal(enum kl_status status)
{
    return status == KL_ERR_FORBIDDEN || status == KL_ERR_NOT_FOUND || status == KL_ERR_CONFLICT;
}

enum kl_status vault_refusal_act(struct vault_act *act, const struct vault_caller *caller,
                                 const char *action, int purpose, const struct kl_err *why,
                                 struct kl_err *err)
{
    char location[3];
    struct vault_audit_who who = vault_caller_who(caller, location);

    vault_act_begin(act, caller->tenant == UINT64_MAX ? (uint64_t)KMS_TENANT_VAULT : caller->tenant,
                    &who, action);
    act->entry.caller = caller;
    act->entry.meaning = VAULT_AUDIT_MEANS_REFUSED;
    kl_json_add_int(&act->out, "policy", (int64_t)caller->policy_number);
    if (purpose != VAULT_NONE) {
        kl_json_add_text(&act->out, "purpose", vault_policy_purpose(caller->policy, purpose)->name);
    }
    kl_json_add_text(&act->out, "result", "refused");
    kl_json_add_text(&act->out, "reason", why->code);
    if (why->status == KL_ERR_FORBIDDEN) {
        kl_json_add_text(&act->out, "text", why->client_text);
    }
    return vault_audit_end(&act->entry, &act->out, err);
}

/* Keys that are gone because the whole tenant came to its end in the meantime. */
static bool tenant_ended(struct vault *vault, const struct vault_caller *caller,
                         enum kl_status status)
{
    bool gone = false;

    return status == KL_ERR_GONE && caller->tenant != UINT64_MAX &&
           vault_tenant_is_gone(vault, caller->tenant, &gone, NULL) == KL_OK && gone;
}

enum kl_status vault_subject_refused(struct vault *vault, const struct vault_caller *caller,
                                     const char *action, int purpose, enum kl_status status,
                                     struct kl_err *err)
{
    struct vault_act act = {0};
    struct vault_audit_entry *entries[1] = {&act.entry};
    struct kl_err failed = {0};
    enum kl_status written = KL_OK;

    assert(err != NULL);
    if (tenant_ended(vault, caller, status)) {
        kl_err_clear(err);
        return kl_fail(err, KL_ERR_NOT_FOUND, "tenant_gone", "this tenant was ended", NULL);
    }
    if (!vault_refusal(status)) {
        return status;
    }
    written = vault_refusal_act(&act, caller, action, purpose, err, &failed);
    if (written == KL_OK) {
        written = vault_audit_commit(vault, entries, 1, &failed);
    }
    vault_act_done(&act);
    if (written != KL_OK) {
        *err = failed;
        return written;
    }
    return status;
}
