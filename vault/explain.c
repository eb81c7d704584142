/* Why a role sees a field or does not: each gate's answer. */
#include "vault/act.h"
#include "vault/subject_internal.h"
#include "vault/tenants.h"
#include "vault/volume.h"

#include <stdio.h>
#include <string.h>

static enum kl_status wrong(struct kl_err *err, const char *code, const char *where,
                            const char *text)
{
    kl_err_where(err, "%s", where);
    return kl_fail(err, KL_ERR_INVALID, code, text, NULL);
}

static enum kl_status take_action(const char *name, enum vault_action *ret_action,
                                  struct kl_err *err)
{
    int i;

    for (i = 0; i < VAULT_ACTIONS; i++) {
        if (strcmp(vault_action_name((enum vault_action)i), name) == 0) {
            *ret_action = (enum vault_action)i;
            return KL_OK;
        }
    }
    return wrong(err, "unknown_action", "/action", "there is no such action");
}

/* A steward about any role; everybody else about the role of the credential at hand. */
static enum kl_status take_role(struct vault *vault, const struct vault_caller *caller,
                                const char *role, struct vault_query *query, struct kl_err *err)
{
    bool own = role == NULL || strcmp(role, caller->role_name) == 0;

    if (caller->builtin == VAULT_BUILTIN_OPERATOR || caller->builtin == VAULT_BUILTIN_AUDITOR ||
        (!own && caller->builtin != VAULT_BUILTIN_STEWARD)) {
        return vault_act_refuse(vault, caller, "explain", err);
    }
    if (caller->policy == NULL) {
        return kl_fail(err, KL_ERR_REFUSED, "no_policy", "this tenant has no policy yet", NULL);
    }
    query->credential_purposes = UINT64_MAX;
    if (caller->builtin == VAULT_BUILTIN_NONE) {
        query->role = caller->role;
        query->credential_purposes = caller->purposes;
        query->location = caller->location;
        query->used_up = vault_volume_used_up(vault, caller);
        return KL_OK;
    }
    if (role == NULL) {
        return wrong(err, "role_required", "/role", "name the role to explain");
    }
    query->role = vault_policy_role_find(caller->policy, role);
    if (query->role == VAULT_NONE) {
        return wrong(err, "unknown_role", "/role", "the policy in force has no such role");
    }
    return KL_OK;
}

static bool needs_purpose(enum vault_action action)
{
    return action == VAULT_ACTION_READ || action == VAULT_ACTION_LOOKUP ||
           action == VAULT_ACTION_EXPORT || action == VAULT_ACTION_DISCLOSE;
}

static enum kl_status take_purpose(const struct vault_caller *caller, const char *name,
                                   struct vault_query *query, struct kl_err *err)
{
    query->purpose = VAULT_NONE;
    if (name != NULL) {
        query->purpose = vault_policy_purpose_find(caller->policy, name);
        if (query->purpose == VAULT_NONE) {
            return wrong(err, "unknown_purpose", "/purpose",
                         "the policy in force has no such purpose");
        }
    } else if (needs_purpose(query->action)) {
        query->purpose = caller->single_purpose;
        if (query->purpose == VAULT_NONE) {
            return wrong(err, "purpose_required", "/purpose", "this action needs a purpose");
        }
    }
    return KL_OK;
}

static enum kl_status take_query(struct vault *vault, const struct vault_caller *caller,
                                 const struct vault_explain_input *input, struct vault_query *query,
                                 struct kl_err *err)
{
    enum kl_status status = take_role(vault, caller, input->role, query, err);

    query->recipient = VAULT_NONE;
    query->now_us = input->at_us == 0 ? caller->now_us : input->at_us;
    query->ground = input->ground;
    query->own_subject = caller->bound && input->subject != NULL &&
                         kl_id_equal(&caller->bound_subject, input->subject);
    if (status == KL_OK) {
        status = take_action(input->action == NULL ? "read" : input->action, &query->action, err);
    }
    if (status == KL_OK) {
        status = take_purpose(caller, input->purpose, query, err);
    }
    if (status == KL_OK && input->from != NULL) {
        status = vault_place_country(input->from, &query->location, err);
        if (status != KL_OK) {
            kl_err_where(err, "/from");
        }
    }
    if (status == KL_OK && input->recipient != NULL) {
        query->recipient = vault_policy_recipient_find(caller->policy, input->recipient);
        if (query->recipient == VAULT_NONE) {
            status = wrong(err, "unknown_recipient", "/recipient",
                           "the policy in force has no such recipient");
        }
    }
    return status;
}

/* Mark the fields that "type.field", "type.*" or "*" names. */
static bool mark_fields(const struct vault_policy *policy, const char *name,
                        bool marked[VAULT_FIELDS_MAX])
{
    char type[VAULT_NAME_MAX_BYTES + 1];
    const char *dot = strchr(name, '.');
    const struct vault_policy_record *record;
    int number;
    int field;

    if (strcmp(name, "*") == 0) {
        memset(marked, 1, vault_policy_field_count(policy) * sizeof marked[0]);
        return true;
    }
    if (dot == NULL || (size_t)(dot - name) > VAULT_NAME_MAX_BYTES) {
        return false;
    }
    (void)snprintf(type, sizeof type, "%.*s", (int)(dot - name), name);
    number = vault_policy_record_find(policy, type);
    if (number == VAULT_NONE) {
        return false;
    }
    record = vault_policy_record(policy, number);
    if (strcmp(dot + 1, "*") == 0) {
        for (field = 0; field < record->field_count; field++) {
            marked[record->field_first + field] = true;
        }
        return true;
    }
    field = vault_policy_field_find(policy, number, dot + 1);
    if (field == VAULT_NONE) {
        return false;
    }
    marked[field] = true;
    return true;
}

static enum kl_status take_fields(const struct vault_policy *policy,
                                  const struct vault_explain_input *input,
                                  bool marked[VAULT_FIELDS_MAX], struct kl_err *err)
{
    size_t i;

    memset(marked, input->field_count == 0, VAULT_FIELDS_MAX * sizeof marked[0]);
    for (i = 0; i < input->field_count; i++) {
        if (!mark_fields(policy, input->fields[i], marked)) {
            kl_err_where(err, "/fields/%zu", i);
            return kl_fail(err, KL_ERR_INVALID, "unknown_field",
                           "the policy in force has no such field (type.field, type.*, *)", NULL);
        }
    }
    return KL_OK;
}

/* Whose facts an answer is about goes into the trail. */
static enum kl_status audit(struct vault *vault, const struct vault_caller *caller, uint64_t slot,
                            struct kl_err *err)
{
    enum kl_status status = KL_OK;
    char location[3];
    struct vault_audit_who who = vault_caller_who(caller, location);
    struct vault_act act;
    struct vault_act *acts[1] = {&act};

    vault_act_begin(&act, caller->tenant, &who, "explain");
    kl_json_add_int(&act.out, "slot", (int64_t)slot);
    status = vault_act_commit(vault, acts, 1, NULL, err);
    vault_act_done(&act);
    return status;
}

/*
 * A role learns of somebody only what a read would tell: nothing about a field for which it has no grant. Its other gates are then
 * answered as of nobody in particular.
 */
static struct vault_decision explain_field(const struct vault_caller *caller,
                                           const struct vault_query *query,
                                           const struct vault_facts *facts, int field,
                                           bool ret_passes[VAULT_GATES])
{
    struct vault_decision decision =
        vault_policy_explain(caller->policy, query, facts, field, ret_passes);

    if (decision.withheld == VAULT_GATE_ROLE && caller->builtin != VAULT_BUILTIN_STEWARD) {
        decision = vault_policy_explain(caller->policy, query, NULL, field, ret_passes);
    }
    return decision;
}

/* Of a type whose every record is past the purpose's clock. */
static struct vault_facts facts_for(const struct vault_facts *facts, uint64_t ended_types,
                                    const struct vault_query *query, int type)
{
    struct vault_facts of = *facts;

    of.ended = vault_ended_of(ended_types, query, type);
    return of;
}

static enum kl_status answer(const struct vault_caller *caller, const struct vault_query *query,
                             const struct vault_facts *facts, uint64_t ended_types,
                             const bool marked[VAULT_FIELDS_MAX], struct kl_arena *arena,
                             struct vault_explain_result **ret, size_t *ret_count,
                             struct kl_err *err)
{
    const struct vault_policy *policy = caller->policy;
    size_t fields = vault_policy_field_count(policy);
    struct vault_explain_result *results = kl_arena_array(arena, fields, sizeof results[0]);
    char name[2 * VAULT_NAME_MAX_BYTES + 2];
    size_t count = 0;
    size_t i;

    for (i = 0; results != NULL && i < fields; i++) {
        const struct vault_policy_field *field = vault_policy_field(policy, (int)i);
        struct vault_facts of_type;
        int size;

        if (!marked[i]) {
            continue;
        }
        size = snprintf(name, sizeof name, "%s.%s",
                        vault_policy_record(policy, field->record)->name, field->name);
        results[count].field = kl_arena_text(arena, name, (size_t)size);
        if (results[count].field == NULL) {
            results = NULL;
            break;
        }
        if (facts != NULL) {
            of_type = facts_for(facts, ended_types, query, field->record);
        }
        results[count].decision = explain_field(caller, query, facts == NULL ? NULL : &of_type,
                                                (int)i, results[count].passes);
        results[count].unmet = vault_policy_unmet(policy, query, (int)i);
        count++;
    }
    if (results == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "server busy", "explain: arena full");
    }
    *ret = results;
    *ret_count = count;
    return KL_OK;
}

static enum kl_status about_subject(struct vault *vault, const struct vault_caller *caller,
                                    const struct kl_id *subject, const struct vault_query *query,
                                    struct vault_facts *ret_facts, uint64_t *ret_ended_types,
                                    struct kl_err *err)
{
    struct vault_query now = *query;
    enum kl_status status = KL_OK;
    uint64_t slot = 0;

    now.now_us = caller->now_us;
    status = vault_subject_facts(vault, caller, subject, &now, ret_facts, ret_ended_types, err);
    if (status == KL_OK) {
        status = vault_subject_slot(vault, caller->tenant, subject, &slot, err);
    }
    if (status == KL_OK) {
        status = audit(vault, caller, slot, err);
    }
    return vault_subject_refused(vault, caller, "explain", query->purpose, status, err);
}

enum kl_status vault_explain(struct vault *vault, const struct vault_caller *caller,
                             const struct vault_explain_input *input, struct kl_arena *arena,
                             struct vault_explain_result **ret, size_t *ret_count,
                             struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_query query = {0};
    struct vault_facts facts = {0};
    uint64_t ended_types = 0;
    bool marked[VAULT_FIELDS_MAX];
    struct kl_err own = {0};

    err = err == NULL ? &own : err;
    status = take_query(vault, caller, input, &query, err);
    if (status == KL_OK) {
        status = take_fields(caller->policy, input, marked, err);
    }
    if (status == KL_OK && input->subject != NULL) {
        status = about_subject(vault, caller, input->subject, &query, &facts, &ended_types, err);
    }
    if (status != KL_OK) {
        return status;
    }
    return answer(caller, &query, input->subject == NULL ? NULL : &facts, ended_types, marked,
                  arena, ret, ret_count, err);
}
