/*
 * What two policies say alike, word for word: no answer that hangs on nothing else can differ, so it need not be asked for. A member that is
 * added to what a policy compiles to must be compared here, or be left out in test_policy_diff_same.c with the reason why no answer hangs on it.
 */
#include "vault/policy_diff_internal.h"

#include <string.h>

static bool *flags(struct vault_diff *diff, size_t count)
{
    bool *ret = kl_arena_array(diff->arena, count + 1, sizeof ret[0]);

    if (ret == NULL)
        diff->no_memory = true;
    return ret;
}

static bool is_in_both(const struct diff_names *names, size_t number)
{
    return names->at[number][0] != VAULT_NONE && names->at[number][1] != VAULT_NONE;
}

/* Bits of one mean what bits of the other mean. */
static bool numbers_agree(const struct diff_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        if (names->at[i][0] != names->at[i][1])
            return false;
    return true;
}

bool vault_diff_same_grant(const struct policy_grant *a, const struct policy_grant *b)
{
    return a->actions == b->actions && a->purposes == b->purposes &&
           memcmp(a->fields, b->fields, sizeof a->fields) == 0 && a->view == b->view &&
           a->own_subject == b->own_subject && a->has_location == b->has_location &&
           a->unset == b->unset && memcmp(&a->location, &b->location, sizeof a->location) == 0 &&
           a->grounds == b->grounds && a->has_hours == b->has_hours &&
           a->hours.from_min == b->hours.from_min && a->hours.to_min == b->hours.to_min &&
           a->hours.zone.offset_min == b->hours.zone.offset_min &&
           a->hours.zone.has_summer == b->hours.zone.has_summer && a->volume == b->volume;
}

bool vault_diff_same_role(const struct policy_role *a, const struct policy_role *b)
{
    if (a->grant_count != b->grant_count)
        return false;
    for (size_t i = 0; i < a->grant_count; i++)
        if (!vault_diff_same_grant(&a->grants[i], &b->grants[i]))
            return false;
    return true;
}

bool vault_diff_same_transfer(const struct policy_transfer *a, const struct policy_transfer *b)
{
    return a->mechanism == b->mechanism && a->to_adequate == b->to_adequate &&
           a->scope_all == b->scope_all && memcmp(&a->to, &b->to, sizeof a->to) == 0 &&
           memcmp(&a->scope, &b->scope, sizeof a->scope) == 0 && a->purposes == b->purposes &&
           a->recipients == b->recipients && a->any_purpose == b->any_purpose &&
           a->any_recipient == b->any_recipient && a->view == b->view;
}

static bool same_transfers(const struct vault_policy *a, const struct vault_policy *b)
{
    if (a->transfer_count != b->transfer_count)
        return false;
    for (size_t i = 0; i < a->transfer_count; i++)
        if (!vault_diff_same_transfer(&a->transfers[i], &b->transfers[i]))
            return false;
    return true;
}

bool vault_diff_same_field(const struct vault_policy_field *a, const struct vault_policy_field *b)
{
    return a->purposes == b->purposes && (a->special == NULL) == (b->special == NULL) &&
           (a->type == VAULT_TYPE_SECRET) == (b->type == VAULT_TYPE_SECRET);
}

bool vault_diff_same_purpose(const struct policy_purpose *a, const struct policy_purpose *b)
{
    return a->shown.basis == b->shown.basis && a->shown.forbidden == b->shown.forbidden &&
           a->shown.direct_marketing == b->shown.direct_marketing &&
           a->shown.answers_rights == b->shown.answers_rights &&
           (a->shown.special_ground == NULL) == (b->shown.special_ground == NULL);
}

/* A recipient's own consent purpose may be asked for with any purpose: all of them have to be the same. */
bool vault_diff_same_recipient(const struct policy_recipient *a, const struct policy_recipient *b,
                               bool same_purposes)
{
    return a->shown.purposes == b->shown.purposes &&
           a->shown.consent_purpose == b->shown.consent_purpose &&
           memcmp(&a->shown.country, &b->shown.country, sizeof a->shown.country) == 0 &&
           a->scope_accepted == b->scope_accepted &&
           (a->shown.consent_purpose == VAULT_NONE || same_purposes);
}

static void compare(struct vault_diff *diff)
{
    const struct vault_policy *a = diff->policies[0];
    const struct vault_policy *b = diff->policies[1];
    bool same_purposes = true;

    diff->same_transfers = same_transfers(a, b);
    for (size_t i = 0; i < diff->roles.count; i++)
        diff->same_role[i] =
            is_in_both(&diff->roles, i) &&
            vault_diff_same_role(&a->roles[diff->roles.at[i][0]], &b->roles[diff->roles.at[i][1]]);
    for (size_t i = 0; i < diff->fields.count; i++)
        diff->same_field[i] = vault_diff_same_field(&a->fields[i], &b->fields[i]);
    for (size_t i = 0; i < diff->purposes.count; i++) {
        diff->same_purpose[i] = vault_diff_same_purpose(&a->purposes[i], &b->purposes[i]);
        same_purposes = same_purposes && diff->same_purpose[i];
    }
    for (size_t i = 0; i < diff->recipients.count; i++)
        diff->same_recipient[i] =
            vault_diff_same_recipient(&a->recipients[i], &b->recipients[i], same_purposes);
}

void vault_diff_same(struct vault_diff *diff)
{
    diff->same_role = flags(diff, diff->roles.count);
    diff->same_field = flags(diff, diff->fields.count);
    diff->same_purpose = flags(diff, diff->purposes.count);
    diff->same_recipient = flags(diff, diff->recipients.count);
    if (!diff->no_memory && diff->policies[0] != NULL && numbers_agree(&diff->fields) &&
        numbers_agree(&diff->purposes) && numbers_agree(&diff->recipients))
        compare(diff);
}
