/* Warnings: what a policy says without effect. */
#include "vault/policy_internal.h"

#define BIT(action) (UINT32_C(1) << (action))
/* Actions whose answer has a view. */
#define SHOWS                                                                         \
    (BIT(VAULT_ACTION_READ) | BIT(VAULT_ACTION_EXPORT) | BIT(VAULT_ACTION_DISCLOSE) | \
     BIT(VAULT_ACTION_REPORT))
#define USES (SHOWS | BIT(VAULT_ACTION_LOOKUP) | BIT(VAULT_ACTION_VERIFY))

/* Does `strict` apply whenever `wide` does, as far as their conditions go? */
static bool implied(const struct policy_grant *strict, const struct policy_grant *wide)
{
    if (strict->has_hours || (strict->own_subject && !wide->own_subject))
        return false;
    if (!strict->has_location)
        return true;
    if (!wide->has_location ||
        (wide->unset == POLICY_UNSET_YES && strict->unset == POLICY_UNSET_NO))
        return false;
    for (size_t i = 0; i < POLICY_COUNTRY_WORDS; i++)
        if ((wide->location.bits[i] & ~strict->location.bits[i]) != 0)
            return false;
    return true;
}

static uint64_t stricter_than(const struct policy_role *role, size_t wide)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < role->grant_count; i++)
        if (role->grants[i].view > role->grants[wide].view &&
            implied(&role->grants[i], &role->grants[wide]))
            bits |= UINT64_C(1) << i;
    return bits;
}

/*
 * Is there a field that the grant shows for that action and purpose, and that no grant of `strict`
 * makes stricter?
 */
static bool shows_something(const struct vault_policy *policy, const struct policy_role *role,
                            size_t number, size_t purpose, uint64_t strict)
{
    const uint64_t bit = UINT64_C(1) << number;

    strict &= role->by_purpose[purpose];
    for (size_t field = 0; field < policy->field_count; field++)
        if ((role->by_field[field] & bit) != 0 && (role->by_field[field] & strict) == 0 &&
            policy_bit(policy->fields[field].purposes, (int)purpose))
            return true;
    return false;
}

/* Does anything come of a grant for one of these actions, when grants of `strict` take away? */
static bool reaches_something(const struct vault_policy *policy, const struct policy_role *role,
                              size_t number, uint32_t actions, uint64_t strict)
{
    const struct policy_grant *grant = &role->grants[number];

    for (int action = 0; action < VAULT_ACTIONS; action++) {
        if ((grant->actions & actions & BIT(action)) == 0)
            continue;
        for (size_t purpose = 0; purpose < policy->purpose_count; purpose++)
            if (policy_bit(grant->purposes, (int)purpose) &&
                shows_something(policy, role, number, purpose, strict & role->by_action[action]))
                return true;
    }
    return false;
}

static bool check_grant(struct policy_parse *parse, const struct policy_role *role, size_t number)
{
    const struct vault_policy *policy = parse->policy;
    const struct policy_grant *grant = &role->grants[number];
    uint64_t strict = 0;

    if ((grant->actions & ~USES) == 0 &&
        !reaches_something(policy, role, number, grant->actions, 0)) {
        vault_policy_warn(parse, grant->line, grant->column, "grant_reaches_nothing",
                          "none of these fields is kept for a purpose of this grant");
        return false;
    }
    if (grant->view != VAULT_VIEW_PLAIN && (grant->actions & SHOWS) == 0)
        vault_policy_warn(parse, grant->line, grant->column, "view_without_effect",
                          "a view has no effect on these actions");
    strict = stricter_than(role, number);
    if (strict != 0 && (grant->actions & ~SHOWS) == 0 &&
        !reaches_something(policy, role, number, grant->actions, strict))
        vault_policy_warn(
            parse, grant->line, grant->column, "wider_grant_useless",
            "stricter grants of role '%s' cover all of this one, and the strictest view "
            "wins: the view %s is never given",
            role->name, vault_view_name(grant->view));
    return true;
}

static void check_lookup(struct policy_parse *parse, const struct policy_role *role,
                         const struct policy_grant *grant)
{
    const struct vault_policy *policy = parse->policy;

    if ((grant->actions & BIT(VAULT_ACTION_LOOKUP)) == 0)
        return;
    for (size_t field = 0; field < policy->field_count; field++)
        if (policy->fields[field].index != VAULT_INDEX_NONE &&
            policy_bit(grant->fields[field / 64], (int)(field % 64)))
            return;
    vault_policy_warn(parse, grant->line, grant->column, "lookup_without_index",
                      "role '%s' may look up none of these fields: none has an index", role->name);
}

static bool is_named(const struct policy_grant *grant, size_t field)
{
    return policy_bit(grant->named[field / 64], (int)(field % 64));
}

/* A secret that is meant to be shown, or to be verified where there is none. A star means what fits. */
static void check_secrets(struct policy_parse *parse, const struct policy_role *role,
                          const struct policy_grant *grant)
{
    const struct vault_policy *policy = parse->policy;
    bool has_secret = false;

    for (size_t field = 0; field < policy->field_count; field++) {
        const bool is_secret = policy->fields[field].type == VAULT_TYPE_SECRET;
        has_secret =
            has_secret || (is_secret && policy_bit(grant->fields[field / 64], (int)(field % 64)));
        if (is_secret && is_named(grant, field) && grant->view != VAULT_VIEW_PRESENT &&
            (grant->actions & SHOWS) != 0)
            vault_policy_warn(parse, grant->line, grant->column, "secret_never_shown",
                              "'%s' is a secret: whatever the view, role '%s' sees no more than "
                              "whether it is there",
                              policy->field_names[field], role->name);
    }
    if ((grant->actions & BIT(VAULT_ACTION_VERIFY)) != 0 && !has_secret)
        vault_policy_warn(parse, grant->line, grant->column, "verify_without_secret",
                          "role '%s' may verify none of these fields: none is a secret",
                          role->name);
}

static void check_volume(struct policy_parse *parse, const struct policy_grant *grant)
{
    if (grant->volume > 0 &&
        (grant->actions & (USES | BIT(VAULT_ACTION_CONSENT) | BIT(VAULT_ACTION_HOLD))) == 0)
        vault_policy_warn(parse, grant->line, grant->column, "volume_without_effect",
                          "volume_per_hour has no effect on these actions: they show nobody");
}

static void check_role(struct policy_parse *parse, const struct policy_role *role)
{
    size_t useful = 0;

    for (size_t i = 0; i < role->grant_count; i++) {
        useful += check_grant(parse, role, i);
        check_lookup(parse, role, &role->grants[i]);
        check_secrets(parse, role, &role->grants[i]);
        check_volume(parse, &role->grants[i]);
    }
    if (useful == 0)
        vault_policy_warn(parse, role->line, role->column, "role_without_use",
                          "role '%s' can do nothing", role->name);
}

static void check_purpose(struct policy_parse *parse, int number)
{
    const struct vault_policy *policy = parse->policy;
    const struct policy_purpose *purpose = &policy->purposes[number];
    bool used = purpose->shown.forbidden || purpose->of_recipient;
    bool special = false;

    for (size_t field = 0; field < policy->field_count; field++)
        if (policy_bit(policy->fields[field].purposes, number)) {
            used = true;
            special = special || policy->fields[field].special != NULL;
        }
    if (!used)
        vault_policy_warn(parse, purpose->line, purpose->column, "unused_purpose",
                          "no record type is kept for the purpose '%s'", purpose->shown.name);
    if (special && purpose->shown.special_ground == NULL &&
        purpose->shown.basis != VAULT_BASIS_EXPLICIT_CONSENT)
        vault_policy_warn(
            parse, purpose->line, purpose->column, "special_without_ground",
            "a special category is kept for '%s': it is shown only with explicit consent "
            "for it, or name a ground",
            purpose->shown.name);
}

void vault_policy_check(struct policy_parse *parse)
{
    for (size_t i = 0; i < parse->policy->role_count; i++)
        check_role(parse, &parse->policy->roles[i]);
    for (size_t i = 0; i < parse->policy->purpose_count; i++)
        check_purpose(parse, (int)i);
}
