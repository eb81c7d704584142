/* What might let a field be shown that is withheld: proposals by the gate that says no. None of them is taken at its word. */
#include "vault/policy_remedy_internal.h"

#include "vault/retention.h"

#include <stdio.h>
#include <string.h>

#define ITEM_BYTES 512
#define EXTENDED_MAX 4 /* grants of the role that lack one thing */
#define DURATION_MAX 1200
#define MONTHS_OF_YEAR 12
#define DAYS_OF_WEEK 7

/* Examples of words that only people can know; each is named in `choose`. */
#define EXAMPLE_BASIS "legitimate_interest"
#define EXAMPLE_GROUND "substantial_public_interest"
#define EXAMPLE_MECHANISM "standard_clauses"

/* ---- role ---- */

/* Whether a ground that was claimed does not count yet. */
static bool lacks_ground(const struct remedy_state *state)
{
    return state->query.ground != VAULT_GROUND_NONE &&
           (!state->passes[VAULT_GATE_OBJECTION] || !state->passes[VAULT_GATE_RESTRICTION]);
}

static void new_grant(const struct remedy_state *state, struct remedy_tries *tries)
{
    const char *purpose = vault_remedy_purpose(state);
    char item[ITEM_BYTES];
    int size = snprintf(item, sizeof item, "{ do: [%s], fields: [%s]",
                        vault_action_name(state->query.action), vault_remedy_field(state));
    struct policy_edit edit;

    if (purpose != NULL)
        size += snprintf(item + size, sizeof item - (size_t)size, ", for: [%s]", purpose);
    if (lacks_ground(state))
        size += snprintf(item + size, sizeof item - (size_t)size, ", grounds: [%s]",
                         vault_ground_name(state->query.ground));
    (void)snprintf(item + size, sizeof item - (size_t)size, " }");
    vault_remedy_try(
        tries,
        vault_edit_list_add(
            &state->text, vault_remedy_node(state, "roles", vault_remedy_role(state)), item, &edit),
        &edit, "grant", NULL, "/roles/%s", vault_remedy_role(state));
}

/* One word more in a list of a grant. */
static void widen(const struct remedy_state *state, size_t grant, const char *key, const char *word,
                  struct remedy_tries *tries)
{
    const char *role = vault_remedy_role(state);
    const struct kl_yaml_node *node = vault_remedy_node(state, "roles", role)->items[grant];
    struct policy_edit edit;

    vault_remedy_try(tries,
                     vault_edit_list_add(&state->text, kl_yaml_member(node, key), word, &edit),
                     &edit, "grant", NULL, "/roles/%s/%zu/%s", role, grant, key);
}

/* Grants that would let it but for one of action, field and purpose. */
static void widen_grants(const struct remedy_state *state, struct remedy_tries *tries)
{
    const struct policy_role *role = &state->policy->roles[state->query.role];
    const char *purpose = vault_remedy_purpose(state);
    size_t widened = 0;

    for (size_t i = 0; i < role->grant_count && widened < EXTENDED_MAX; i++) {
        const bool acts = policy_bit(role->by_action[state->query.action], (int)i);
        const bool has_field = policy_bit(role->by_field[state->field], (int)i);
        const bool has_purpose =
            purpose == NULL || policy_bit(role->by_purpose[state->query.purpose], (int)i);

        if ((int)acts + (int)has_field + (int)has_purpose != 2)
            continue;
        if (!acts)
            widen(state, i, "do", vault_action_name(state->query.action), tries);
        else if (!has_field)
            widen(state, i, "fields", vault_remedy_field(state), tries);
        else
            widen(state, i, "for", purpose, tries);
        widened++;
    }
}

static int member_place(const struct kl_yaml_node *mapping, const char *key)
{
    for (size_t i = 0; i < mapping->count; i++)
        if (strcmp(mapping->keys[i]->text, key) == 0)
            return (int)i;
    return VAULT_NONE;
}

/* Grants that would let it but for their condition. */
static void take_conditions_off(const struct remedy_state *state, struct remedy_tries *tries)
{
    const char *role = vault_remedy_role(state);
    uint64_t grants = vault_policy_matching(state->policy, &state->query, state->field);

    for (; grants != 0; grants &= grants - 1) {
        const size_t grant = (size_t)__builtin_ctzll(grants);
        const struct kl_yaml_node *node = vault_remedy_node(state, "roles", role)->items[grant];
        const int place = member_place(node, "when");
        struct policy_edit edit;

        if (place != VAULT_NONE)
            vault_remedy_try(tries,
                             vault_edit_member_remove(&state->text, node, (size_t)place, &edit),
                             &edit, "condition", NULL, "/roles/%s/%zu/when", role, grant);
    }
}

/* ---- purpose ---- */

/* Off the forbidden ones, and declared: two edits of one text, the one nearer to its end first. */
static void allow_purpose(const struct remedy_state *state, struct remedy_tries *tries)
{
    const struct kl_yaml_node *root = kl_yaml_root(state->yaml);
    const struct kl_yaml_node *list = kl_yaml_member(root, "forbidden_purposes");
    const char *purpose = vault_remedy_purpose(state);
    const int place = vault_remedy_place(list, purpose);
    struct policy_edit off;
    struct policy_edit declared;
    struct vault_explain_edit swap;
    struct remedy_try *try;
    const size_t before = tries->count;

    if (place == VAULT_NONE ||
        !vault_edit_member_add(&state->text, kl_yaml_member(root, "purposes"), purpose,
                               "{ basis: " EXAMPLE_BASIS " }", &declared))
        return;
    vault_remedy_try(
        tries,
        list->count > 1
            ? vault_edit_list_remove(&state->text, list, (size_t)place, &off)
            : vault_edit_member_remove(&state->text, root,
                                       (size_t)member_place(root, "forbidden_purposes"), &off),
        &off, "purpose", NULL, "/forbidden_purposes");
    if (tries->count == before)
        return;
    try = &tries->items[before];
    try->edits[1] = declared;
    try->said[1] =
        (struct vault_explain_edit){.what = "purpose", .where = "/purposes", .choose = "basis"};
    try->count = 2;
    if (off.at < declared.at) {
        swap = try->said[0];
        try->said[0] = try->said[1];
        try->said[1] = swap;
        try->edits[0] = declared;
        try->edits[1] = off;
    }
}

static void add_purpose(const struct remedy_state *state, struct remedy_tries *tries)
{
    const struct vault_policy *policy = state->policy;
    const char *record = vault_remedy_record(state);
    const char *purpose = vault_remedy_purpose(state);
    const struct kl_yaml_node *node = vault_remedy_node(state, "records", record);
    const struct vault_policy_field *field = &policy->fields[state->field];
    const struct kl_yaml_node *of_field =
        kl_yaml_member(kl_yaml_member(node, "fields"), field->name);
    struct policy_edit edit;

    if (!policy_bit(policy->records[field->record].purposes, state->query.purpose))
        vault_remedy_try(
            tries,
            vault_edit_list_add(&state->text, kl_yaml_member(node, "purposes"), purpose, &edit),
            &edit, "purpose", NULL, "/records/%s/purposes", record);
    else if (!policy_bit(field->purposes, state->query.purpose))
        vault_remedy_try(
            tries,
            vault_edit_list_add(&state->text, kl_yaml_member(of_field, "purposes"), purpose, &edit),
            &edit, "purpose", NULL, "/records/%s/fields/%s/purposes", record, field->name);
    if (state->query.recipient != VAULT_NONE) {
        const char *recipient = policy->recipient_names[state->query.recipient];

        if (!policy_bit(policy->recipients[state->query.recipient].shown.purposes,
                        state->query.purpose))
            vault_remedy_try(
                tries,
                vault_edit_list_add(
                    &state->text,
                    kl_yaml_member(vault_remedy_node(state, "recipients", recipient), "purposes"),
                    purpose, &edit),
                &edit, "purpose", NULL, "/recipients/%s/purposes", recipient);
    }
}

/* ---- consent: of a special category alone; the rest is for the person ---- */

static void name_ground(const struct remedy_state *state, struct remedy_tries *tries)
{
    const char *purpose = vault_remedy_purpose(state);
    struct policy_edit edit;

    if (purpose == NULL || state->policy->fields[state->field].special == NULL ||
        state->policy->purposes[state->query.purpose].shown.special_ground != NULL)
        return;
    vault_remedy_try(tries,
                     vault_edit_member_add(&state->text,
                                           vault_remedy_node(state, "purposes", purpose), "ground",
                                           EXAMPLE_GROUND, &edit),
                     &edit, "ground", "ground", "/purposes/%s", purpose);
}

/* ---- objection and restriction: a ground that was claimed ---- */

static void let_claim(const struct remedy_state *state, struct remedy_tries *tries)
{
    const char *role = vault_remedy_role(state);
    const char *ground = vault_ground_name(state->query.ground);
    uint64_t grants = vault_policy_matched(state->policy, &state->query, state->field);
    char list[ITEM_BYTES];

    if (state->query.ground == VAULT_GROUND_NONE)
        return;
    (void)snprintf(list, sizeof list, "[%s]", ground);
    for (; grants != 0; grants &= grants - 1) {
        const size_t grant = (size_t)__builtin_ctzll(grants);
        const struct kl_yaml_node *node = vault_remedy_node(state, "roles", role)->items[grant];
        const struct kl_yaml_node *grounds = kl_yaml_member(node, "grounds");
        struct policy_edit edit;
        const bool made = grounds != NULL
                              ? vault_edit_list_add(&state->text, grounds, ground, &edit)
                              : vault_edit_member_add(&state->text, node, "grounds", list, &edit);

        vault_remedy_try(tries, made, &edit, "ground", NULL, "/roles/%s/%zu/grounds", role, grant);
    }
    new_grant(state, tries);
}

/* ---- retention ---- */

static bool is_open(const struct vault_remedy *remedy, const struct remedy_state *state,
                    const struct vault_policy_purpose *purpose)
{
    const char *type = vault_remedy_record(state);

    for (size_t i = 0; i < remedy->subject->head.record_count; i++) {
        const struct vault_manifest_record *record = &remedy->subject->records[i];

        if (!record->gone && strcmp(record->type, type) == 0 &&
            vault_retention_clock(purpose, record, state->facts.consented_us) > remedy->ended_us)
            return true;
    }
    return false;
}

/* The shortest longer duration in the unit that it has; false: none in reason, or one of hours. */
static bool lengthen(const struct vault_remedy *remedy, const struct remedy_state *state, char *ret,
                     size_t ret_bytes)
{
    struct vault_policy_purpose purpose = state->policy->purposes[state->query.purpose].shown;
    const bool in_months = purpose.retain.months > 0;
    const uint32_t all = in_months ? purpose.retain.months : purpose.retain.days;
    const uint32_t unit = in_months ? (all % MONTHS_OF_YEAR == 0 ? MONTHS_OF_YEAR : 1)
                                    : (all % DAYS_OF_WEEK == 0 ? DAYS_OF_WEEK : 1);
    const char letter = in_months ? (unit == 1 ? 'M' : 'Y') : (unit == 1 ? 'D' : 'W');

    if (remedy->subject == NULL || purpose.retain_event == NULL || all == 0)
        return false;
    memset(&purpose.retain, 0, sizeof purpose.retain);
    for (uint32_t count = all / unit + 1; count <= DURATION_MAX; count++) {
        *(in_months ? &purpose.retain.months : &purpose.retain.days) = count * unit;
        if (is_open(remedy, state, &purpose)) {
            (void)snprintf(ret, ret_bytes, "P%u%c after %s", count, letter, purpose.retain_event);
            return true;
        }
    }
    return false;
}

static void keep_longer(const struct vault_remedy *remedy, const struct remedy_state *state,
                        struct remedy_tries *tries)
{
    const char *purpose = vault_remedy_purpose(state);
    const struct kl_yaml_node *node = vault_remedy_node(state, "purposes", purpose);
    const struct kl_yaml_node *retain = kl_yaml_member(node, "retain");
    char text[ITEM_BYTES];
    struct policy_edit edit;

    if (retain == NULL)
        return;
    if (lengthen(remedy, state, text, sizeof text))
        vault_remedy_try(tries, vault_edit_replace(&state->text, retain, text, &edit), &edit,
                         "retain", NULL, "/purposes/%s/retain", purpose);
    vault_remedy_try(
        tries,
        vault_edit_member_remove(&state->text, node, (size_t)member_place(node, "retain"), &edit),
        &edit, "retain", NULL, "/purposes/%s/retain", purpose);
}

/* ---- transfer ---- */

static void new_transfer(const struct remedy_state *state, struct vault_country to,
                         struct remedy_tries *tries)
{
    const struct kl_yaml_node *root = kl_yaml_root(state->yaml);
    const struct kl_yaml_node *residency = kl_yaml_member(root, "residency");
    const struct kl_yaml_node *list = kl_yaml_member(residency, "transfers");
    const struct vault_adequacy *decision = vault_adequacy_find(to, state->query.now_us);
    const bool adequate = decision != NULL && !decision->never_alone;
    const bool scope = adequate && decision->scope != NULL;
    const char *purpose = vault_remedy_purpose(state);
    char line[ITEM_BYTES];
    char section[ITEM_BYTES + 32];
    int size;
    struct policy_edit edit;
    bool made;

    if (!vault_country_is_set(to) || vault_country_in_eea(to))
        return;
    size = snprintf(line, sizeof line, "{ to: [%s], mechanism: %s%s", to.code,
                    adequate ? "adequate" : EXAMPLE_MECHANISM, scope ? ", scope: accepted" : "");
    if (purpose != NULL)
        size += snprintf(line + size, sizeof line - (size_t)size, ", purposes: [%s]", purpose);
    if (state->query.recipient != VAULT_NONE)
        size += snprintf(line + size, sizeof line - (size_t)size, ", recipients: [%s]",
                         state->policy->recipient_names[state->query.recipient]);
    (void)snprintf(line + size, sizeof line - (size_t)size, " }");
    (void)snprintf(section, sizeof section, residency == NULL ? "{ transfers: [%s] }" : "[%s]",
                   line);
    if (list != NULL)
        made = vault_edit_list_add(&state->text, list, line, &edit);
    else if (residency != NULL)
        made = vault_edit_member_add(&state->text, residency, "transfers", section, &edit);
    else
        made = vault_edit_member_add(&state->text, root, "residency", section, &edit);
    vault_remedy_try(tries, made, &edit, "transfer",
                     scope      ? "scope"
                     : adequate ? NULL
                                : "mechanism",
                     "/residency/transfers");
}

static void new_transfers(const struct remedy_state *state, struct remedy_tries *tries)
{
    new_transfer(state, state->query.location, tries);
    if (state->query.recipient != VAULT_NONE)
        new_transfer(state, state->policy->recipients[state->query.recipient].shown.country, tries);
}

/* ---- by gate ---- */

void vault_remedy_allow(const struct vault_remedy *remedy, const struct remedy_state *state,
                        struct remedy_tries *tries)
{
    const int purpose = state->query.purpose;

    if (purpose != VAULT_NONE && state->policy->purposes[purpose].shown.forbidden) {
        allow_purpose(state, tries);
        return;
    }
    switch (state->decision.withheld) {
    case VAULT_GATE_ROLE:
        new_grant(state, tries);
        take_conditions_off(state, tries);
        widen_grants(state, tries);
        break;
    case VAULT_GATE_PURPOSE:
        if (purpose != VAULT_NONE)
            add_purpose(state, tries);
        break;
    case VAULT_GATE_CONSENT:
        name_ground(state, tries);
        break;
    case VAULT_GATE_OBJECTION:
    case VAULT_GATE_RESTRICTION:
        let_claim(state, tries);
        break;
    case VAULT_GATE_RETENTION:
        keep_longer(remedy, state, tries);
        break;
    case VAULT_GATE_TRANSFER:
        new_transfers(state, tries);
        break;
    case VAULT_GATE_NONE:
    case VAULT_GATES:
        break;
    }
}
