#include "vault/act.h"

#include "vault/journal.h"
#include "vault/place.h"

#include <assert.h>
#include <string.h>

uint64_t vault_act_trail(const struct vault_caller *caller)
{
    return caller->builtin == VAULT_BUILTIN_OPERATOR ? (uint64_t)KMS_TENANT_VAULT : caller->tenant;
}

static unsigned may_bit(enum vault_builtin builtin)
{
    switch (builtin) {
    case VAULT_BUILTIN_OPERATOR:
        return VAULT_MAY_OPERATOR;
    case VAULT_BUILTIN_STEWARD:
        return VAULT_MAY_STEWARD;
    case VAULT_BUILTIN_AUDITOR:
        return VAULT_MAY_AUDITOR;
    case VAULT_BUILTIN_NONE:
        break;
    }
    return 0;
}

enum kl_status vault_act_refused(struct vault *vault, const struct vault_caller *caller,
                                 const char *action, const struct kl_err *cause, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    char location[3];
    struct vault_audit_who who = vault_caller_who(caller, location);
    struct vault_audit_entry entry = {0};
    struct vault_audit_entry *entries[1] = {&entry};
    struct kl_json_out out;

    vault_audit_begin(&entry, vault_act_trail(caller), &who, action, &out);
    entry.caller = caller;
    entry.meaning = VAULT_AUDIT_MEANS_REFUSED;
    kl_json_add_text(&out, "result", "refused");
    kl_json_add_text(&out, "reason", cause->code);
    status = vault_audit_end(&entry, &out, err);
    if (status == KL_OK) {
        status = vault_audit_commit(vault, entries, 1, err);
    }
    vault_audit_done(&entry);
    return status == KL_OK
               ? kl_fail(err, cause->status, cause->code, cause->client_text, "%s", cause->log_text)
               : status;
}

enum kl_status vault_act_refuse(struct vault *vault, const struct vault_caller *caller,
                                const char *action, struct kl_err *err)
{
    struct kl_err cause = {0};

    (void)kl_fail(&cause, KL_ERR_FORBIDDEN, "role_forbidden",
                  "the role of this credential does not allow this", "role %s may not do %s",
                  caller->role_name, action);
    return vault_act_refused(vault, caller, action, &cause, err);
}

enum kl_status vault_act_allowed(struct vault *vault, const struct vault_caller *caller,
                                 unsigned allowed, const char *action, struct kl_err *err)
{
    if ((may_bit(caller->builtin) & allowed) != 0) {
        return KL_OK;
    }
    return vault_act_refuse(vault, caller, action, err);
}

enum kl_status vault_act_own_trail(struct vault *vault, const struct vault_caller *caller,
                                   const char *action, uint64_t *ret_trail, struct kl_err *err)
{
    enum kl_status status = vault_act_allowed(
        vault, caller, VAULT_MAY_OPERATOR | VAULT_MAY_STEWARD | VAULT_MAY_AUDITOR, action, err);

    if (status == KL_OK && caller->builtin == VAULT_BUILTIN_OPERATOR &&
        caller->tenant != UINT64_MAX) {
        status = vault_act_refuse(vault, caller, action, err);
    }
    if (status == KL_OK) {
        *ret_trail = vault_act_trail(caller);
    }
    return status;
}

/* ret_line: as vault_act_shown_trail() has it. */
static bool trail_may_leave(struct vault *vault, const struct vault_caller *caller, int *ret_line)
{
    struct kl_err ignored = {0};

    *ret_line = VAULT_NONE;
    if (!vault_country_is_set(caller->location) || vault_country_in_eea(caller->location) ||
        !vault_country_in_eea(vault->country)) {
        return true;
    }
    if (caller->builtin == VAULT_BUILTIN_OPERATOR) {
        return vault_copy_allowed(vault, caller->location, caller->now_us, &ignored) == KL_OK;
    }
    if (caller->policy != NULL) {
        *ret_line = vault_policy_place_line(caller->policy, caller->location, caller->now_us);
    }
    return *ret_line != VAULT_NONE;
}

enum kl_status vault_act_shown_trail(struct vault *vault, const struct vault_caller *caller,
                                     const char *action, uint64_t *ret_trail, int *ret_line,
                                     struct kl_err *err)
{
    uint64_t trail = 0;
    int line = VAULT_NONE;
    struct kl_err cause = {0};
    enum kl_status status = vault_act_own_trail(vault, caller, action, &trail, err);

    if (status != KL_OK) {
        return status;
    }
    if (!trail_may_leave(vault, caller, &line)) {
        (void)kl_fail(&cause, KL_ERR_FORBIDDEN, "transfer",
                      "entries of the audit trail do not go to this credential's place: the policy "
                      "names no transfer to it for all purposes",
                      NULL);
        return vault_act_refused(vault, caller, action, &cause, err);
    }
    *ret_trail = trail;
    *ret_line = line;
    return KL_OK;
}

void vault_act_transfer(struct vault_act *act, const struct vault_caller *caller, int line)
{
    if (line != VAULT_NONE) {
        kl_json_key(&act->out, "transfers");
        kl_json_array_begin(&act->out);
        kl_json_put_text(&act->out, vault_policy_transfer_name(caller->policy, line));
        kl_json_array_end(&act->out);
    }
}

void vault_act_begin(struct vault_act *act, uint64_t trail, const struct vault_audit_who *who,
                     const char *action)
{
    memset(act, 0, sizeof *act);
    vault_audit_begin(&act->entry, trail, who, action, &act->out);
}

void vault_act_done(struct vault_act *act)
{
    vault_audit_done(&act->entry);
}

#define ACTS_MAX 4

enum kl_status vault_act_commit(struct vault *vault, struct vault_act *const *acts, size_t count,
                                const struct vault_batch *batch, struct kl_err *err)
{
    return vault_act_commit_closing(vault, acts, count, batch, NULL, err);
}

enum kl_status vault_act_commit_closing(struct vault *vault, struct vault_act *const *acts,
                                        size_t count, const struct vault_batch *batch,
                                        struct vault_closing *closing, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_audit_entry *entries[ACTS_MAX];
    struct vault_commit commit = {0};
    size_t i;

    assert(count >= 1 && count <= ACTS_MAX);
    for (i = 0; i < count; i++) {
        kl_json_add_text(&acts[i]->out, "result", "ok");
        status = vault_audit_end(&acts[i]->entry, &acts[i]->out, err);
        if (status != KL_OK) {
            return status;
        }
        entries[i] = &acts[i]->entry;
    }
    commit.tenant = acts[0]->entry.tenant;
    commit.batch = batch;
    commit.audit = entries;
    commit.audit_count = count;
    if (closing != NULL) {
        commit.inside = vault_journal_inside;
        commit.inside_context = closing;
    }
    status = vault_commit_submit(vault->committer, &commit, err);
    if (status == KL_OK) {
        atomic_fetch_add_explicit(&vault->counters.audit_entries, count, memory_order_relaxed);
    }
    return status;
}
