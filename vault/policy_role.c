/* The section roles: grants, compiled into bit sets over the grants of a role. */
#include "vault/policy_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

const char *const vault_policy_action_words[] = {
    "read",     "write",  "lookup",  "verify", "export", "disclose",        "erase",
    "restrict", "object", "consent", "hold",   "report", "manage_requests", NULL};
static_assert(sizeof vault_policy_action_words / sizeof vault_policy_action_words[0] ==
                  VAULT_ACTIONS + 1,
              "one word for each action");

const char *const vault_policy_ground_words[] = {"legal_claim", "protect_person", "public_interest",
                                                 NULL};
static_assert(sizeof vault_policy_ground_words / sizeof vault_policy_ground_words[0] ==
                  VAULT_GROUNDS,
              "one word for each ground but none");

#define BIT(action) (UINT32_C(1) << (action))
/* Actions that are about a subject as a whole when no fields are named. */
#define WHOLE_SUBJECT                                                                  \
    (BIT(VAULT_ACTION_ERASE) | BIT(VAULT_ACTION_RESTRICT) | BIT(VAULT_ACTION_OBJECT) | \
     BIT(VAULT_ACTION_CONSENT) | BIT(VAULT_ACTION_HOLD) | BIT(VAULT_ACTION_MANAGE_REQUESTS))
#define USES                                                                        \
    (BIT(VAULT_ACTION_READ) | BIT(VAULT_ACTION_LOOKUP) | BIT(VAULT_ACTION_VERIFY) | \
     BIT(VAULT_ACTION_EXPORT) | BIT(VAULT_ACTION_DISCLOSE))
#define NEEDS_FOR                                                                   \
    (BIT(VAULT_ACTION_READ) | BIT(VAULT_ACTION_LOOKUP) | BIT(VAULT_ACTION_EXPORT) | \
     BIT(VAULT_ACTION_DISCLOSE))

static void read_do(struct policy_parse *parse, policy_node node, struct policy_grant *grant)
{
    uint64_t bits = 0;

    if (node == NULL ||
        !vault_policy_names(parse, node, "action", false, vault_policy_action_words, &bits))
        return;
    grant->actions = (uint32_t)bits;
}

static void add_field_bit(struct policy_grant *grant, size_t field, bool is_named)
{
    grant->fields[field / 64] |= UINT64_C(1) << (field % 64);
    if (is_named)
        grant->named[field / 64] |= UINT64_C(1) << (field % 64);
}

/*
 * A pattern gets its suggestion from the names of record types: "persons.*", did you mean
 * 'person.*'?
 */
static void no_field_matches(struct policy_parse *parse, policy_node node, bool is_pattern)
{
    const size_t length = strlen(node->text);
    char quoted[POLICY_QUOTE_BYTES];
    char record[POLICY_QUOTE_BYTES] = "";
    const char *near = NULL;

    if (!is_pattern) {
        vault_policy_unknown(parse, node, "field", parse->policy->field_names);
        return;
    }
    vault_policy_quote(quoted, node->text);
    if (length > 2 && length < sizeof record && strcmp(node->text + length - 2, ".*") == 0) {
        memcpy(record, node->text, length - 2);
        near = kl_suggest(record, parse->policy->record_names);
    }
    if (near != NULL)
        vault_policy_error(parse, node, "unknown_field",
                           "no field matches '%s', did you mean '%s.*'?", quoted, near);
    else
        vault_policy_error(parse, node, "unknown_field", "no field matches '%s'", quoted);
}

/* "*", "type.*", "*.field", "type.field"; says what is wrong when nothing matches. */
static void read_pattern(struct policy_parse *parse, policy_node node, struct policy_grant *grant)
{
    const struct vault_policy *policy = parse->policy;
    const char *text = vault_policy_scalar_text(parse, node, "a field");
    const char *dot = NULL;
    bool any_record;
    bool any_field;
    bool found = false;

    if (text == NULL)
        return;
    dot = strchr(text, '.');
    any_record = text[0] == '*' && (text[1] == '\0' || dot == text + 1);
    any_field = (any_record && dot == NULL) || (dot != NULL && strcmp(dot, ".*") == 0);
    for (size_t i = 0; i < policy->field_count; i++) {
        const char *record = policy->records[policy->fields[i].record].name;
        const bool record_fits =
            any_record || (dot != NULL && strlen(record) == (size_t)(dot - text) &&
                           strncmp(record, text, strlen(record)) == 0);
        if (record_fits &&
            (any_field || (dot != NULL && strcmp(dot + 1, policy->fields[i].name) == 0))) {
            add_field_bit(grant, i, !any_field);
            found = true;
        }
    }
    if (!found && policy->field_count > 0)
        no_field_matches(parse, node, any_record || any_field);
}

static void read_fields(struct policy_parse *parse, policy_node grant_node, policy_node node,
                        struct policy_grant *grant)
{
    if (node == NULL) {
        if ((grant->actions & ~WHOLE_SUBJECT) != 0)
            vault_policy_error(
                parse, grant_node, "missing_key",
                "a grant to read, write, look up, verify, export, disclose or report "
                "needs the key 'fields'");
        for (size_t i = 0; i < parse->policy->field_count; i++)
            add_field_bit(grant, i, false);
        return;
    }
    if (!vault_policy_list(parse, node, "fields", VAULT_FIELDS_MAX))
        return;
    for (size_t i = 0; i < node->count; i++)
        read_pattern(parse, node->items[i], grant);
}

/* ---- conditions ---- */

static void read_location(struct policy_parse *parse, policy_node node, struct policy_grant *grant)
{
    static const char *const words[] = {"eea", "outside_eea", NULL};
    int word = VAULT_NONE;

    if (node == NULL)
        return;
    grant->has_location = true;
    if (node->kind == KL_YAML_SCALAR)
        word = vault_policy_word(parse, node, "location", words);
    else
        (void)vault_policy_country_list(parse, node, "location", &grant->location);
    for (char first = 'A'; first <= 'Z'; first++)
        for (char second = 'A'; second <= 'Z'; second++) {
            const struct vault_country country = {{first, second, '\0'}};
            const bool inside = vault_country_in_eea(country);
            if ((word == 0 && inside) || (word == 1 && !inside))
                vault_policy_countries_add(&grant->location, country);
            else if (word < 0 && inside && vault_policy_countries_has(&grant->location, country))
                grant->unset = POLICY_UNSET_MAYBE;
        }
    if (word == 0)
        grant->unset = POLICY_UNSET_YES;
}

bool vault_policy_hours(struct policy_parse *parse, policy_node node, struct vault_hours *ret)
{
    const char *text = vault_policy_scalar_text(parse, node, "hours");
    bool has_zone = false;

    if (text == NULL)
        return false;
    if (!vault_hours_parse(text, ret, &has_zone)) {
        vault_policy_error(
            parse, node, "invalid_hours",
            "hours are written 08:00-18:00 and a zone: UTC, +01:00, or one of the EEA "
            "as Europe/Brussels");
        return false;
    }
    if (!has_zone)
        vault_policy_warn(parse, node->line, node->column, "hours_without_zone",
                          "hours without a zone are UTC; say which, as in 08:00-18:00 "
                          "Europe/Brussels");
    return true;
}

void vault_policy_number(struct policy_parse *parse, policy_node node, const char *what,
                         uint32_t *ret)
{
    const char *text = vault_policy_scalar_text(parse, node, what);

    if (text == NULL)
        return;
    if (strspn(text, "0123456789") != strlen(text) || strlen(text) > 7 ||
        strtol(text, NULL, 10) < 1 || strtol(text, NULL, 10) > POLICY_NUMBER_MAX)
        vault_policy_error(parse, node, "invalid_number", "%s is a number from 1 to %d", what,
                           POLICY_NUMBER_MAX);
    else
        *ret = (uint32_t)strtol(text, NULL, 10);
}

static void read_own_subject(struct policy_parse *parse, policy_node node,
                             struct policy_grant *grant)
{
    if (node == NULL || !vault_policy_bool(parse, node, "own_subject", &grant->own_subject))
        return;
    if (!grant->own_subject)
        vault_policy_error(parse, node, "wrong_shape",
                           "own_subject is true, or left out where the grant is for any subject");
}

static void read_when(struct policy_parse *parse, policy_node node, struct policy_grant *grant)
{
    static const char *const keys[] = {"location", "hours", "own_subject", "volume_per_hour", NULL};

    if (!vault_policy_mapping(parse, node, "when", keys))
        return;
    read_location(parse, kl_yaml_member(node, "location"), grant);
    grant->has_hours = vault_policy_hours(parse, kl_yaml_member(node, "hours"), &grant->hours);
    read_own_subject(parse, kl_yaml_member(node, "own_subject"), grant);
    vault_policy_number(parse, kl_yaml_member(node, "volume_per_hour"), "volume_per_hour",
                        &grant->volume);
}

/* ---- grants and roles ---- */

/* What its holder may claim where a subject restricted or objected. */
static void read_grounds(struct policy_parse *parse, policy_node node, struct policy_grant *grant)
{
    uint64_t bits = 0;

    if (node == NULL ||
        !vault_policy_names(parse, node, "ground", false, vault_policy_ground_words, &bits))
        return;
    grant->grounds = (uint32_t)bits << 1;
    if ((grant->actions & USES) == 0)
        vault_policy_error(
            parse, node, "grounds_without_use",
            "grounds belong to a grant to read, look up, verify, export or disclose");
}

static void read_grant(struct policy_parse *parse, policy_node node, struct policy_grant *grant)
{
    static const char *const keys[] = {"do",   "fields",  "for",         "view",
                                       "when", "grounds", "description", NULL};
    policy_node purposes = kl_yaml_member(node, "for");

    grant->line = node->line;
    grant->column = node->column;
    if (!vault_policy_mapping(parse, node, "a grant", keys))
        return;
    read_do(parse, vault_policy_member(parse, node, "do", "a grant"), grant);
    read_fields(parse, node, kl_yaml_member(node, "fields"), grant);
    grant->purposes = POLICY_ALL;
    if (purposes != NULL)
        (void)vault_policy_purposes(parse, purposes, true, &grant->purposes);
    else if ((grant->actions & NEEDS_FOR) != 0)
        vault_policy_error(parse, node, "missing_for",
                           "a grant to read, look up, export or disclose needs the key 'for', its "
                           "purposes");
    if (kl_yaml_member(node, "view") != NULL) {
        int view =
            vault_policy_word(parse, kl_yaml_member(node, "view"), "view", vault_policy_view_words);
        grant->view = view < 0 ? VAULT_VIEW_PRESENT : (enum vault_view)view;
    }
    read_when(parse, kl_yaml_member(node, "when"), grant);
    read_grounds(parse, kl_yaml_member(node, "grounds"), grant);
    (void)vault_policy_scalar_text(parse, kl_yaml_member(node, "description"), "description");
}

static void compile_grant(const struct vault_policy *policy, struct policy_role *role,
                          size_t number)
{
    const struct policy_grant *grant = &role->grants[number];
    const uint64_t bit = UINT64_C(1) << number;

    for (int action = 0; action < VAULT_ACTIONS; action++)
        if ((grant->actions & BIT(action)) != 0)
            role->by_action[action] |= bit;
    for (size_t purpose = 0; purpose < policy->purpose_count; purpose++)
        if (policy_bit(grant->purposes, (int)purpose))
            role->by_purpose[purpose] |= bit;
    for (size_t field = 0; field < policy->field_count; field++)
        if (policy_bit(grant->fields[field / 64], (int)(field % 64)))
            role->by_field[field] |= bit;
    role->by_view[grant->view] |= bit;
    for (int ground = 0; ground < VAULT_GROUNDS; ground++)
        if ((grant->grounds & BIT(ground)) != 0)
            role->by_ground[ground] |= bit;
    if (grant->own_subject || grant->has_location || grant->has_hours || grant->volume > 0)
        role->conditional |= bit;
    if (grant->volume > 0)
        role->limited |= bit;
}

static void read_role(struct policy_parse *parse, policy_node node, struct policy_role *role)
{
    const struct vault_policy *policy = parse->policy;
    size_t count = 0;

    if (vault_policy_list(parse, node, "a role", VAULT_GRANTS_MAX))
        count = node->count;
    role->grants = vault_policy_array(parse, count, sizeof *role->grants);
    role->by_purpose = vault_policy_array(parse, policy->purpose_count, sizeof *role->by_purpose);
    role->by_field = vault_policy_array(parse, policy->field_count, sizeof *role->by_field);
    if (parse->no_memory)
        return;
    role->grant_count = count;
    for (size_t i = 0; i < count; i++) {
        read_grant(parse, node->items[i], &role->grants[i]);
        compile_grant(policy, role, i);
    }
}

static bool role_name(struct policy_parse *parse, policy_node node)
{
    static const char *const built_in[] = {"operator", "steward", "auditor", NULL};

    if (!vault_policy_name_check(parse, node, "role"))
        return false;
    if (vault_policy_find(built_in, node->text) < 0)
        return true;
    vault_policy_error(parse, node, "reserved_name",
                       "'%s' is a built-in role; it reads no personal data and cannot be changed",
                       node->text);
    return false;
}

void vault_policy_read_roles(struct policy_parse *parse, policy_node root)
{
    struct vault_policy *policy = parse->policy;
    policy_node node = vault_policy_member(parse, root, "roles", "a policy");
    size_t count = 0;

    if (vault_policy_mapping(parse, node, "roles", NULL))
        count = node->count;
    if (count > VAULT_ROLES_MAX) {
        vault_policy_error(parse, node, "too_many", "a policy has at most %d roles",
                           VAULT_ROLES_MAX);
        count = 0;
    }
    policy->roles = vault_policy_array(parse, count, sizeof *policy->roles);
    policy->role_names = vault_policy_array(parse, count + 1, sizeof *policy->role_names);
    for (size_t i = 0; i < count && !parse->no_memory; i++) {
        struct policy_role *role = &policy->roles[policy->role_count];
        if (!role_name(parse, node->keys[i]))
            continue;
        role->name = vault_policy_copy(parse, node->keys[i]->text);
        if (role->name == NULL)
            return;
        role->line = node->keys[i]->line;
        role->column = node->keys[i]->column;
        policy->role_names[policy->role_count++] = role->name;
        read_role(parse, node->items[i], role);
    }
}
