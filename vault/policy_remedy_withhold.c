/* What might withhold a field that is shown: less of the first grant that lets it, or a purpose less for the field or its record. */
#include "vault/policy_remedy_internal.h"

#include "kluis/base/buf.h"

#include <string.h>

#define LIST_BYTES_MAX (64 * 1024)

/* ---- a list in flow style ---- */

static void list_begin(struct kl_buf *list)
{
    kl_buf_init(list, LIST_BYTES_MAX);
    kl_buf_add_text(list, "[");
}

/* what.name, or name alone; a star is quoted, as YAML takes a bare one for an alias. */
static void list_put(struct kl_buf *list, const char *what, const char *name)
{
    const char *quote = (what == NULL ? name : what)[0] == '*' ? "\"" : "";

    kl_buf_addf(list, "%s%s%s%s%s%s", list->size > 1 ? ", " : "", quote, what == NULL ? "" : what,
                what == NULL ? "" : ".", name, quote);
}

/* Whether anything is in it. */
static bool list_end(struct kl_buf *list)
{
    const bool any = list->size > 1;

    kl_buf_add_text(list, "]");
    return any && !list->failed;
}

/* ---- fields ---- */

enum fit { FIT_NOT, FIT_ALL, FIT_TYPE, FIT_NAME, FIT_FIELD };

/* How a pattern of a grant fits the field: "*", "type.*", "*.field", "type.field". */
static enum fit fits(const struct remedy_state *state, const char *pattern)
{
    const char *field = vault_remedy_field(state);
    const size_t type_bytes = strlen(vault_remedy_record(state));

    if (strcmp(pattern, "*") == 0)
        return FIT_ALL;
    if (strcmp(pattern, field) == 0)
        return FIT_FIELD;
    if (strncmp(pattern, "*.", 2) == 0)
        return strcmp(pattern + 2, "*") == 0                  ? FIT_ALL
               : strcmp(pattern + 1, field + type_bytes) == 0 ? FIT_NAME
                                                              : FIT_NOT;
    return strncmp(pattern, field, type_bytes + 1) == 0 && strcmp(pattern + type_bytes, ".*") == 0
               ? FIT_TYPE
               : FIT_NOT;
}

static void put_rest_of_type(const struct remedy_state *state, struct kl_buf *list)
{
    const struct vault_policy *policy = state->policy;
    const struct vault_policy_field *asked = &policy->fields[state->field];
    const struct vault_policy_record *record = &policy->records[asked->record];

    for (int i = record->field_first; i < record->field_first + record->field_count; i++)
        if (i != state->field)
            list_put(list, record->name, policy->fields[i].name);
}

/* What a pattern names besides the field. */
static void put_rest(const struct remedy_state *state, enum fit fit, struct kl_buf *list)
{
    const struct vault_policy *policy = state->policy;
    const struct vault_policy_field *asked = &policy->fields[state->field];

    for (size_t i = 0; i < policy->record_count && (fit == FIT_ALL || fit == FIT_NAME); i++) {
        if ((int)i == asked->record)
            continue;
        if (fit == FIT_ALL)
            list_put(list, policy->record_names[i], "*");
        else if (vault_policy_field_find(policy, (int)i, asked->name) != VAULT_NONE)
            list_put(list, policy->record_names[i], asked->name);
    }
    if (fit == FIT_ALL || fit == FIT_TYPE)
        put_rest_of_type(state, list);
}

static void without_field(const struct remedy_state *state, const struct kl_yaml_node *grant,
                          size_t number, struct remedy_tries *tries)
{
    const struct kl_yaml_node *fields = kl_yaml_member(grant, "fields");
    const char *role = vault_remedy_role(state);
    const int place = vault_remedy_place(fields, vault_remedy_field(state));
    size_t fitting = 0;
    struct policy_edit edit;
    struct kl_buf list;

    list_begin(&list);
    for (size_t i = 0; fields != NULL && i < fields->count; i++) {
        const enum fit fit = fits(state, fields->items[i]->text);

        fitting += fit != FIT_NOT;
        if (fit == FIT_NOT)
            list_put(&list, NULL, fields->items[i]->text);
        else
            put_rest(state, fit, &list);
    }
    if (fields == NULL)
        put_rest(state, FIT_ALL, &list);
    if (list_end(&list)) {
        bool made;

        if (fields == NULL)
            made = vault_edit_member_add(&state->text, grant, "fields", (const char *)list.bytes,
                                         &edit);
        else if (fitting == 1 && place != VAULT_NONE)
            made = vault_edit_list_remove(&state->text, fields, (size_t)place, &edit);
        else
            made = vault_edit_replace(&state->text, fields, (const char *)list.bytes, &edit);
        vault_remedy_try(tries, made, &edit, "grant", NULL, "/roles/%s/%zu/fields", role, number);
    }
    kl_buf_done(&list);
}

/* ---- action and purpose ---- */

static void without_action(const struct remedy_state *state, const struct kl_yaml_node *grant,
                           size_t number, struct remedy_tries *tries)
{
    const struct kl_yaml_node *actions = kl_yaml_member(grant, "do");
    const int place = vault_remedy_place(actions, vault_action_name(state->query.action));
    struct policy_edit edit;

    if (place != VAULT_NONE)
        vault_remedy_try(tries, vault_edit_list_remove(&state->text, actions, (size_t)place, &edit),
                         &edit, "grant", NULL, "/roles/%s/%zu/do", vault_remedy_role(state),
                         number);
}

/* All purposes of a set but the one asked for, those that are forbidden left out. */
static bool other_purposes(const struct remedy_state *state, uint64_t purposes, struct kl_buf *list)
{
    const struct vault_policy *policy = state->policy;

    list_begin(list);
    for (size_t i = 0; i < policy->purpose_count; i++)
        if ((int)i != state->query.purpose && policy_bit(purposes, (int)i) &&
            !policy->purposes[i].shown.forbidden)
            list_put(list, NULL, policy->purpose_names[i]);
    return list_end(list);
}

static void without_purpose(const struct remedy_state *state, const struct kl_yaml_node *grant,
                            size_t number, struct remedy_tries *tries)
{
    const struct kl_yaml_node *purposes = kl_yaml_member(grant, "for");
    const char *purpose = vault_remedy_purpose(state);
    const int place = purpose == NULL ? VAULT_NONE : vault_remedy_place(purposes, purpose);
    struct policy_edit edit;
    struct kl_buf list;
    bool made = false;

    if (purpose == NULL)
        return;
    if (place != VAULT_NONE) {
        made = vault_edit_list_remove(&state->text, purposes, (size_t)place, &edit);
    } else {
        if (other_purposes(state, POLICY_ALL, &list))
            made = purposes == NULL ? vault_edit_member_add(&state->text, grant, "for",
                                                            (const char *)list.bytes, &edit)
                                    : vault_edit_replace(&state->text, purposes,
                                                         (const char *)list.bytes, &edit);
        kl_buf_done(&list);
    }
    vault_remedy_try(tries, made, &edit, "grant", NULL, "/roles/%s/%zu/for",
                     vault_remedy_role(state), number);
}

/* ---- the grant as a whole ---- */

static void without_grant(const struct remedy_state *state, size_t number,
                          struct remedy_tries *tries)
{
    const struct kl_yaml_node *roles = kl_yaml_member(kl_yaml_root(state->yaml), "roles");
    const char *role = vault_remedy_role(state);
    const struct kl_yaml_node *grants = kl_yaml_member(roles, role);
    struct policy_edit edit;

    if (grants->count > 1) {
        vault_remedy_try(tries, vault_edit_list_remove(&state->text, grants, number, &edit), &edit,
                         "grant", NULL, "/roles/%s/%zu", role, number);
        return;
    }
    for (size_t i = 0; i < roles->count; i++)
        if (strcmp(roles->keys[i]->text, role) == 0)
            vault_remedy_try(tries, vault_edit_member_remove(&state->text, roles, i, &edit), &edit,
                             "role", NULL, "/roles/%s", role);
}

static void narrow_grant(const struct remedy_state *state, struct remedy_tries *tries)
{
    const uint64_t grants = vault_policy_matched(state->policy, &state->query, state->field);
    const size_t number = grants == 0 ? 0 : (size_t)__builtin_ctzll(grants);
    const struct kl_yaml_node *grant;

    if (grants == 0)
        return;
    grant = vault_remedy_node(state, "roles", vault_remedy_role(state))->items[number];
    without_field(state, grant, number, tries);
    without_purpose(state, grant, number, tries);
    without_action(state, grant, number, tries);
    without_grant(state, number, tries);
}

/* ---- the field and its record ---- */

static void narrow_field(const struct remedy_state *state, struct remedy_tries *tries)
{
    const struct vault_policy_field *field = &state->policy->fields[state->field];
    const char *record = vault_remedy_record(state);
    const char *purpose = vault_remedy_purpose(state);
    const struct kl_yaml_node *node = vault_remedy_node(state, "records", record);
    const struct kl_yaml_node *of_record = kl_yaml_member(node, "purposes");
    const struct kl_yaml_node *of_field =
        kl_yaml_member(kl_yaml_member(node, "fields"), field->name);
    const struct kl_yaml_node *own = kl_yaml_member(of_field, "purposes");
    struct policy_edit edit;
    struct kl_buf list;
    bool made = false;

    if (purpose == NULL)
        return;
    if (own != NULL) {
        const int place = vault_remedy_place(own, purpose);

        made =
            place != VAULT_NONE && vault_edit_list_remove(&state->text, own, (size_t)place, &edit);
    } else {
        made = other_purposes(state, field->purposes, &list) &&
               vault_edit_member_add(&state->text, of_field, "purposes", (const char *)list.bytes,
                                     &edit);
        kl_buf_done(&list);
    }
    vault_remedy_try(tries, made, &edit, "purpose", NULL, "/records/%s/fields/%s/purposes", record,
                     field->name);
    if (vault_remedy_place(of_record, purpose) != VAULT_NONE)
        vault_remedy_try(tries,
                         vault_edit_list_remove(&state->text, of_record,
                                                (size_t)vault_remedy_place(of_record, purpose),
                                                &edit),
                         &edit, "purpose", NULL, "/records/%s/purposes", record);
}

void vault_remedy_withhold(const struct remedy_state *state, bool beyond_grants,
                           struct remedy_tries *tries)
{
    if (beyond_grants)
        narrow_field(state, tries);
    else
        narrow_grant(state, tries);
}
