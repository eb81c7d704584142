/* One cell of a difference put to one of the policies. */
#include "vault/policy_diff_internal.h"

#include <string.h>

/* ---- one answer ---- */

/* How open, as a number: no view is more open than plain, and no volume is more than any. */
static diff_answer shown(enum vault_view view, uint32_t volume)
{
    const uint64_t openness =
        ((uint64_t)(VAULT_VIEWS - view) << DIFF_VOLUME_BITS) | (volume == 0 ? UINT32_MAX : volume);

    return openness << DIFF_GATE_BITS;
}

/* Numbers of one policy. False: it does not know one of the names, and ret_gate says what withholds then. */
static bool query_of(const struct vault_diff *diff, const struct diff_cell *cell, int side,
                     struct vault_query *ret, int *ret_field, enum vault_gate *ret_gate)
{
    memset(ret, 0, sizeof *ret);
    *ret_gate = VAULT_GATE_ROLE;
    if (diff->policies[side] == NULL)
        return false;
    ret->role = diff->roles.at[cell->role][side];
    *ret_field = diff->fields.at[cell->field][side];
    if (ret->role == VAULT_NONE || *ret_field == VAULT_NONE)
        return false;
    *ret_gate = VAULT_GATE_PURPOSE;
    ret->action = cell->action;
    ret->purpose =
        cell->purpose == VAULT_NONE ? VAULT_NONE : diff->purposes.at[cell->purpose][side];
    ret->recipient =
        cell->recipient == VAULT_NONE ? VAULT_NONE : diff->recipients.at[cell->recipient][side];
    ret->credential_purposes = POLICY_ALL;
    return (ret->purpose != VAULT_NONE || cell->purpose == VAULT_NONE) &&
           (ret->recipient != VAULT_NONE || cell->recipient == VAULT_NONE);
}

static struct vault_facts facts_of(enum vault_diff_circumstance circumstance)
{
    const uint64_t consents = circumstance >= VAULT_DIFF_CONSENT ? POLICY_ALL : 0;
    const uint64_t explicit_consents = circumstance >= VAULT_DIFF_EXPLICIT_CONSENT ? POLICY_ALL : 0;

    return (struct vault_facts){.residency = VAULT_RESIDENCY_EEA,
                                .consents = consents,
                                .explicit_consents = explicit_consents,
                                .recipient_consents = consents,
                                .recipient_explicit_consents = explicit_consents,
                                .restricted = circumstance >= VAULT_DIFF_LEGAL_CLAIM};
}

static enum vault_ground ground_of(enum vault_diff_circumstance circumstance)
{
    return circumstance < VAULT_DIFF_LEGAL_CLAIM
               ? VAULT_GROUND_NONE
               : (enum vault_ground)(VAULT_GROUND_LEGAL_CLAIM +
                                     (circumstance - VAULT_DIFF_LEGAL_CLAIM));
}

/* Of how many subjects an hour at most, when all grants that let it have a volume; 0: of any number. */
static uint32_t volume_of(const struct vault_policy *policy, struct vault_query query,
                          const struct vault_facts *facts, int field)
{
    uint64_t charged = vault_policy_charged(policy, &query, field);
    uint32_t most = 0;

    query.used_up = charged;
    if (charged == 0 ||
        vault_policy_decide(policy, &query, facts, field).withheld == VAULT_GATE_NONE)
        return 0;
    for (; charged != 0; charged &= charged - 1) {
        const uint32_t volume = vault_policy_volume(policy, query.role, __builtin_ctzll(charged));
        most = volume > most ? volume : most;
    }
    return most;
}

static diff_answer ask(struct vault_diff *diff, int side, const struct vault_query *query,
                       const struct vault_facts *facts, int field)
{
    const struct vault_policy *policy = diff->policies[side];
    const struct vault_decision decision = vault_policy_decide(policy, query, facts, field);

    diff->decisions++;
    if (decision.withheld != VAULT_GATE_NONE)
        return (diff_answer)decision.withheld;
    return shown((DIFF_SHOWS & (1u << query->action)) != 0 ? decision.view : VAULT_VIEW_PLAIN,
                 volume_of(policy, *query, facts, field));
}

/* ---- a cell: an answer for each situation ---- */

static bool may_claim(const struct vault_diff *diff, size_t role)
{
    for (int side = 0; side < DIFF_SIDES; side++) {
        const int number = diff->roles.at[role][side];

        for (int ground = 0; number != VAULT_NONE && ground < VAULT_GROUNDS; ground++)
            if (diff->policies[side]->roles[number].by_ground[ground] != 0)
                return true;
    }
    return false;
}

void vault_diff_ask(struct vault_diff *diff, const struct diff_cell *cell, int side,
                    struct diff_answers *ret)
{
    const bool claims = may_claim(diff, cell->role);
    struct vault_query query;
    enum vault_gate gate = VAULT_GATE_NONE;
    int field = VAULT_NONE;
    const bool known = query_of(diff, cell, side, &query, &field, &gate);

    for (size_t place = 0; place < diff->place_count; place++)
        for (size_t context = 0; context < diff->context_count; context++)
            for (int i = 0; i < VAULT_DIFF_CIRCUMSTANCES; i++) {
                const struct vault_facts facts = facts_of((enum vault_diff_circumstance)i);

                ret->of[place][context][i] = (diff_answer)VAULT_GATE_RESTRICTION;
                if (i >= VAULT_DIFF_LEGAL_CLAIM && (context >= diff->time_count || !claims))
                    continue;
                query.location = diff->places[place].country;
                query.now_us = diff->times[context % diff->time_count].at_us;
                query.own_subject = context >= diff->time_count;
                query.ground = ground_of((enum vault_diff_circumstance)i);
                ret->of[place][context][i] =
                    known ? ask(diff, side, &query, &facts, field) : (diff_answer)gate;
            }
}

bool vault_diff_has_grant(const struct vault_diff *diff, const struct diff_cell *cell, int side)
{
    struct vault_query query;
    enum vault_gate gate = VAULT_GATE_NONE;
    int field = VAULT_NONE;
    const struct policy_role *role;
    uint64_t grants;

    if (!query_of(diff, cell, side, &query, &field, &gate))
        return false;
    role = &diff->policies[side]->roles[query.role];
    grants = role->by_action[cell->action] & role->by_field[field];
    return (query.purpose == VAULT_NONE ? grants : grants & role->by_purpose[query.purpose]) != 0;
}
