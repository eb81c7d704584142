/* Why a role sees a field or does not: each gate's answer, and what would alter it. */
#include "vault/act.h"
#include "vault/policy_remedy.h"
#include "vault/subject_internal.h"
#include "vault/tenants.h"
#include "vault/volume.h"
#include "vault/walks.h"

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

/*
 * A role learns of somebody what a read of its own would tell, here and now: with another place or time, what it hears of them is what a read
 * hides, when a consent ends or that another country would see them.
 */
static enum kl_status check_elsewhere(const struct vault_caller *caller,
                                      const struct vault_explain_input *input, struct kl_err *err)
{
    if (caller->builtin == VAULT_BUILTIN_STEWARD || input->subject == NULL ||
        (input->from == NULL && input->at_us == 0)) {
        return KL_OK;
    }
    return wrong(err, "subject_here_and_now", input->from != NULL ? "/from" : "/at",
                 "a role asks about a subject without from and at, which are for stewards");
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
    if (status == KL_OK && caller->builtin == VAULT_BUILTIN_NONE) {
        query->role = vault_query_of(caller, query->action, VAULT_NONE, VAULT_NONE, NULL).role;
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
    if (status == KL_OK) {
        status = vault_recipient_resolve(caller, input->recipient, &query->recipient, err);
        if (status != KL_OK) {
            kl_err_where(err, "/recipient");
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

/* What is known of the subject asked about; zeroed and not there: nobody was. */
struct about {
    bool there;
    struct vault_subject subject;
    struct vault_facts facts;
    uint64_t ended_types;
    struct kl_arena *arena;
};

static void about_done(struct about *about)
{
    vault_subject_done(&about->subject);
    kl_arena_free(about->arena);
}

static enum kl_status explain_one(const struct vault_caller *caller,
                                  const struct vault_query *query, const struct about *about,
                                  int number, struct kl_arena *arena,
                                  struct vault_explain_result *ret, struct kl_err *err)
{
    const struct vault_policy *policy = caller->policy;
    const struct vault_policy_field *field = vault_policy_field(policy, number);
    struct vault_facts of_type = {0};
    char name[2 * VAULT_NAME_MAX_BYTES + 2];
    int size = snprintf(name, sizeof name, "%s.%s",
                        vault_policy_record(policy, field->record)->name, field->name);

    ret->field = kl_arena_text(arena, name, (size_t)size);
    if (ret->field == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "server busy", "explain: arena full");
    }
    if (about->there) {
        of_type = facts_for(&about->facts, about->ended_types, query, field->record);
    }
    ret->decision =
        explain_field(caller, query, about->there ? &of_type : NULL, number, ret->passes);
    ret->unmet = vault_policy_unmet(policy, query, number);
    return KL_OK;
}

/* For stewards: a policy is not shown to the roles that it makes. */
static enum kl_status find_changes(struct vault *vault, const struct vault_caller *caller,
                                   const struct vault_query *query, const struct about *about,
                                   const int *numbers, size_t count, struct kl_arena *arena,
                                   struct vault_explain_result *results, struct kl_err *err)
{
    struct vault_remedy remedy = {.policy = caller->policy,
                                  .query = query,
                                  .facts = about->there ? &about->facts : NULL,
                                  .subject = about->there ? &about->subject : NULL,
                                  .ended_us = caller->now_us,
                                  .arena = arena};
    struct kl_buf text;
    enum kl_status status = KL_OK;
    size_t i;

    status = vault_walks_take(vault, err);
    if (status != KL_OK) {
        return status;
    }
    kl_buf_init(&text, VAULT_POLICY_BYTES_MAX + 1);
    status = vault_policy_text_read(vault, caller->tenant, caller->policy_number, &text, err);
    remedy.text = kl_buf_slice(&text);
    for (i = 0; i < count && status == KL_OK; i++) {
        status = vault_remedy_find(&remedy, numbers[i], &results[i], err);
    }
    kl_buf_done(&text);
    vault_walks_give(vault);
    return status;
}

static enum kl_status answer(struct vault *vault, const struct vault_caller *caller,
                             const struct vault_query *query, const struct about *about,
                             const bool marked[VAULT_FIELDS_MAX], struct kl_arena *arena,
                             struct vault_explain_result **ret, size_t *ret_count,
                             struct kl_err *err)
{
    size_t fields = vault_policy_field_count(caller->policy);
    struct vault_explain_result *results = kl_arena_array(arena, fields, sizeof results[0]);
    int numbers[VAULT_FIELDS_MAX];
    enum kl_status status = KL_OK;
    size_t count = 0;
    size_t i;

    if (results == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "server busy", "explain: arena full");
    }
    for (i = 0; i < fields && status == KL_OK; i++) {
        if (marked[i]) {
            numbers[count] = (int)i;
            status = explain_one(caller, query, about, (int)i, arena, &results[count++], err);
        }
    }
    if (status == KL_OK && caller->builtin == VAULT_BUILTIN_STEWARD) {
        status = find_changes(vault, caller, query, about, numbers, count, arena, results, err);
    }
    if (status == KL_OK) {
        *ret = results;
        *ret_count = count;
    }
    return status;
}

static enum kl_status about_subject(struct vault *vault, const struct vault_caller *caller,
                                    const struct kl_id *subject, const struct vault_query *query,
                                    struct about *ret, struct kl_err *err)
{
    struct vault_query now = *query;
    enum kl_status status = KL_OK;

    ret->arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    if (ret->arena == NULL) {
        return kl_fail_memory(err);
    }
    now.now_us = caller->now_us;
    status = vault_subject_facts(vault, caller, subject, &now, ret->arena, &ret->subject,
                                 &ret->facts, &ret->ended_types, err);
    if (status == KL_OK) {
        status = audit(vault, caller, ret->subject.slot, err);
    }
    ret->there = status == KL_OK;
    return vault_subject_refused(vault, caller, "explain", query->purpose, status, err);
}

enum kl_status vault_explain(struct vault *vault, const struct vault_caller *caller,
                             const struct vault_explain_input *input, struct kl_arena *arena,
                             struct vault_explain_result **ret, size_t *ret_count,
                             struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_query query = {0};
    struct about about = {.there = false};
    bool marked[VAULT_FIELDS_MAX];
    struct kl_err own = {0};

    err = err == NULL ? &own : err;
    status = take_query(vault, caller, input, &query, err);
    if (status == KL_OK) {
        status = check_elsewhere(caller, input, err);
    }
    if (status == KL_OK) {
        status = take_fields(caller->policy, input, marked, err);
    }
    if (status == KL_OK && input->subject != NULL) {
        status = about_subject(vault, caller, input->subject, &query, &about, err);
    }
    if (status == KL_OK) {
        status = answer(vault, caller, &query, &about, marked, arena, ret, ret_count, err);
    }
    about_done(&about);
    return status;
}
