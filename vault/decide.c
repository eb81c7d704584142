/*
 * The decision: for one field, which gate withholds it, or which view shows it.
 *
 * The grants of a role are numbered 0..63; for each action, purpose, field and view there is a word
 * with a bit per grant. What matches a query is the AND of three words, without the grants whose
 * condition does not hold.
 */
#include "vault/policy_internal.h"

#include <assert.h>

#define BIT(action) (UINT32_C(1) << (action))
/*
 * Actions that use the data for their purpose, so that they need one, and a consent where it rests
 * on one.
 */
#define USES                                                                        \
    (BIT(VAULT_ACTION_READ) | BIT(VAULT_ACTION_LOOKUP) | BIT(VAULT_ACTION_VERIFY) | \
     BIT(VAULT_ACTION_EXPORT) | BIT(VAULT_ACTION_DISCLOSE))
/* Actions after which data, or what it says, is where the credential or the recipient is. */
#define LEAVES (USES | BIT(VAULT_ACTION_REPORT) | BIT(VAULT_ACTION_HOLD))

static const struct vault_facts nothing_known;

struct question {
    const struct vault_policy *policy;
    const struct vault_query *query;
    const struct vault_facts *facts;
    const struct vault_policy_field *field;
    int field_number;
    const struct policy_recipient *recipient; /* NULL: the controller itself */
};

/* Set by the gate role: the grants that match, whose conditions hold. */
struct matched {
    enum vault_view view;
    uint64_t grants;
};

/* ---- role ---- */

static enum policy_unset location_holds(const struct policy_grant *grant,
                                        const struct vault_query *query)
{
    if (!grant->has_location)
        return POLICY_UNSET_YES;
    if (!vault_country_is_set(query->location))
        return grant->unset;
    return vault_policy_countries_has(&grant->location, query->location) ? POLICY_UNSET_YES
                                                                         : POLICY_UNSET_NO;
}

static bool hours_hold(const struct policy_grant *grant, const struct vault_query *query)
{
    return !grant->has_hours || vault_hours_hold(&grant->hours, query->now_us);
}

static enum policy_unset condition_holds(const struct policy_grant *grant, bool used_up,
                                         const struct vault_query *query)
{
    const enum policy_unset here = location_holds(grant, query);

    if (here == POLICY_UNSET_NO || (grant->own_subject && !query->own_subject) ||
        !hours_hold(grant, query))
        return POLICY_UNSET_NO;
    return used_up ? POLICY_UNSET_MAYBE : here;
}

/*
 * Take away the grants whose condition does not hold. A condition that may hold or not (a country
 * of the EEA is named and the credential declares none), and a volume that is used up, allow nothing
 * and still make stricter.
 */
static uint64_t sift(const struct policy_role *role, const struct vault_query *query,
                     uint64_t grants, uint64_t *ret_maybe)
{
    uint64_t sure = grants;
    uint64_t maybe = grants;

    for (uint64_t left = grants & role->conditional; left != 0; left &= left - 1) {
        const int number = __builtin_ctzll(left);
        const uint64_t bit = UINT64_C(1) << number;
        const enum policy_unset holds =
            condition_holds(&role->grants[number], (query->used_up & bit) != 0, query);
        if (holds != POLICY_UNSET_YES)
            sure &= ~bit;
        if (holds == POLICY_UNSET_NO)
            maybe &= ~bit;
    }
    *ret_maybe = maybe;
    return sure;
}

static bool gate_role(const struct question *question, struct matched *ret)
{
    const struct vault_query *query = question->query;
    const struct policy_role *role;
    uint64_t grants;
    uint64_t maybe = 0;

    if (query->role == VAULT_NONE)
        return false;
    role = &question->policy->roles[query->role];
    grants = role->by_action[query->action] & role->by_field[question->field_number];
    if (query->purpose != VAULT_NONE)
        grants &= role->by_purpose[query->purpose];
    ret->grants = sift(role, query, grants, &maybe);
    ret->view = VAULT_VIEW_PLAIN;
    for (int view = VAULT_VIEWS - 1; view > VAULT_VIEW_PLAIN; view--)
        if ((maybe & role->by_view[view]) != 0) {
            ret->view = (enum vault_view)view;
            break;
        }
    return ret->grants != 0;
}

/* ---- purpose and consent ---- */

static bool gate_purpose(const struct question *question)
{
    const struct vault_query *query = question->query;

    if (query->purpose == VAULT_NONE)
        return (USES & BIT(query->action)) == 0;
    return !question->policy->purposes[query->purpose].shown.forbidden &&
           policy_bit(question->field->purposes & query->credential_purposes, query->purpose) &&
           (question->recipient == NULL ||
            policy_bit(question->recipient->shown.purposes, query->purpose));
}

/*
 * A field of a special category (GDPR art. 9) needs explicit consent, or the ground that the
 * purpose names.
 */
static bool needs_explicit(const struct question *question, int purpose)
{
    const struct policy_purpose *of = &question->policy->purposes[purpose];

    return of->shown.basis == VAULT_BASIS_EXPLICIT_CONSENT ||
           (question->field->special != NULL && of->shown.special_ground == NULL);
}

/* A consent to the recipient by name covers the use by that recipient. */
static bool explicitly_consented(const struct question *question, int purpose, bool by_name)
{
    const struct vault_facts *facts = question->facts;

    return policy_bit(facts->explicit_consents, purpose) ||
           (by_name && policy_bit(facts->recipient_explicit_consents, purpose));
}

static bool subject_consents(const struct question *question, int purpose)
{
    const struct vault_facts *facts = question->facts;
    const bool by_name = question->recipient != NULL;

    if (needs_explicit(question, purpose))
        return explicitly_consented(question, purpose, by_name);
    return question->policy->purposes[purpose].shown.basis != VAULT_BASIS_CONSENT ||
           policy_bit(facts->consents, purpose) ||
           (by_name && policy_bit(facts->recipient_consents, purpose));
}

static bool recipient_allowed(const struct question *question)
{
    int purpose;

    if (question->recipient == NULL || question->recipient->shown.consent_purpose == VAULT_NONE)
        return true;
    purpose = question->recipient->shown.consent_purpose;
    if (needs_explicit(question, purpose))
        return policy_bit(question->facts->recipient_explicit_consents, purpose);
    return policy_bit(question->facts->recipient_consents, purpose);
}

static bool gate_consent(const struct question *question)
{
    if ((USES & BIT(question->query->action)) == 0)
        return true;
    if (!recipient_allowed(question))
        return false;
    return question->query->purpose == VAULT_NONE ||
           subject_consents(question, question->query->purpose);
}

/* ---- objection, restriction, retention ---- */

/* A ground is claimed with the request; only a grant that matches can let it count. */
static bool claims(const struct question *question, const struct matched *matched,
                   enum vault_ground ground)
{
    const struct vault_query *query = question->query;

    return query->ground == ground && query->role != VAULT_NONE &&
           (matched->grants & question->policy->roles[query->role].by_ground[ground]) != 0;
}

/* Whether a use for that purpose is one that objection and restriction may stop: not what the very person does, or is owed. */
static bool is_others_use(const struct question *question)
{
    const struct vault_query *query = question->query;

    return (USES & BIT(query->action)) != 0 && query->purpose != VAULT_NONE &&
           !query->own_subject && !question->policy->purposes[query->purpose].shown.answers_rights;
}

/* GDPR art. 21(1); (3): against direct marketing an objection is absolute. */
static bool gate_objection(const struct question *question, const struct matched *matched)
{
    const int purpose = question->query->purpose;

    if (!is_others_use(question) || !policy_bit(question->facts->objections, purpose))
        return true;
    return !question->policy->purposes[purpose].shown.direct_marketing &&
           claims(question, matched, VAULT_GROUND_LEGAL_CLAIM);
}

/* GDPR art. 18(2). */
static bool gate_restriction(const struct question *question, const struct matched *matched)
{
    if (!is_others_use(question) || !question->facts->restricted)
        return true;
    return policy_bit(question->facts->consents_in_restriction, question->query->purpose) ||
           claims(question, matched, VAULT_GROUND_LEGAL_CLAIM) ||
           claims(question, matched, VAULT_GROUND_PROTECT_PERSON) ||
           claims(question, matched, VAULT_GROUND_PUBLIC_INTEREST);
}

/* GDPR art. 5(1)(e). */
static bool gate_retention(const struct question *question)
{
    return (USES & BIT(question->query->action)) == 0 ||
           !policy_bit(question->facts->ended, question->query->purpose);
}

/* ---- transfer ---- */

static bool decision_covers(const struct question *question, const struct policy_transfer *line,
                            struct vault_country to, bool is_recipient)
{
    const struct vault_adequacy *decision = vault_adequacy_find(to, question->query->now_us);

    if (decision == NULL || (decision->never_alone && line->to_adequate))
        return false;
    return decision->scope == NULL || line->scope_all ||
           vault_policy_countries_has(&line->scope, to) ||
           (is_recipient && question->recipient->scope_accepted);
}

static bool line_allows(const struct question *question, const struct policy_transfer *line,
                        struct vault_country to, bool is_recipient)
{
    const struct vault_query *query = question->query;

    if (!line->to_adequate && !vault_policy_countries_has(&line->to, to))
        return false;
    if (!line->any_purpose && !policy_bit(line->purposes, query->purpose))
        return false;
    if (!line->any_recipient && !policy_bit(line->recipients, query->recipient))
        return false;
    if (line->mechanism == POLICY_EXPLICIT_CONSENT)
        return explicitly_consented(question, query->purpose, is_recipient);
    return line->mechanism != POLICY_ADEQUATE || decision_covers(question, line, to, is_recipient);
}

/* The strictest of the lines that allow it, the first of several such; VAULT_NONE: none does. */
static int transfer_line(const struct question *question, struct vault_country to,
                         bool is_recipient)
{
    const struct vault_policy *policy = question->policy;
    int found = VAULT_NONE;

    for (size_t i = 0; i < policy->transfer_count; i++)
        if ((found == VAULT_NONE || policy->transfers[i].view > policy->transfers[found].view) &&
            line_allows(question, &policy->transfers[i], to, is_recipient))
            found = (int)i;
    return found;
}

static bool goes_out(struct vault_country country)
{
    return vault_country_is_set(country) && !vault_country_in_eea(country);
}

static bool pass_through(const struct question *question, struct vault_country to,
                         bool is_recipient, struct vault_decision *decision)
{
    const struct vault_policy *policy = question->policy;
    int line;

    if (!goes_out(to))
        return true;
    line = transfer_line(question, to, is_recipient);
    if (line == VAULT_NONE)
        return false;
    if (policy->transfers[line].view > decision->view)
        decision->view = policy->transfers[line].view;
    if (decision->transfer == VAULT_NONE)
        decision->transfer = line;
    return true;
}

/* Both the place the credential is at and the recipient's must be allowed. */
static bool passes_out(const struct question *question, struct vault_decision *decision)
{
    if (!pass_through(question, question->query->location, false, decision))
        return false;
    return question->recipient == NULL ||
           pass_through(question, question->recipient->shown.country, true, decision);
}

static bool gate_transfer(const struct question *question, struct vault_decision *decision)
{
    return question->facts->residency != VAULT_RESIDENCY_EEA ||
           (LEAVES & BIT(question->query->action)) == 0 || passes_out(question, decision);
}

/* ---- all of them ---- */

static const struct policy_recipient *recipient_of(const struct vault_policy *policy,
                                                   const struct vault_query *query)
{
    assert(query->recipient >= VAULT_NONE && query->recipient < (int)policy->recipient_count);
    return query->recipient == VAULT_NONE ? NULL : &policy->recipients[query->recipient];
}

static struct question ask(const struct vault_policy *policy, const struct vault_query *query,
                           const struct vault_facts *facts, int field)
{
    assert(field >= 0 && (size_t)field < policy->field_count);
    assert(query->role >= VAULT_NONE && query->role < (int)policy->role_count);
    assert(query->purpose >= VAULT_NONE && query->purpose < (int)policy->purpose_count);
    assert((unsigned)query->action < VAULT_ACTIONS);
    return (struct question){
        .policy = policy,
        .query = query,
        .facts = facts != NULL ? facts : &nothing_known,
        .field = &policy->fields[field],
        .field_number = field,
        .recipient = recipient_of(policy, query),
    };
}

static struct vault_decision withhold(enum vault_gate gate)
{
    return (struct vault_decision){gate, VAULT_VIEW_PRESENT, VAULT_NONE};
}

struct vault_decision vault_policy_decide(const struct vault_policy *policy,
                                          const struct vault_query *query,
                                          const struct vault_facts *facts, int field)
{
    const struct question question = ask(policy, query, facts, field);
    struct vault_decision decision = {VAULT_GATE_NONE, VAULT_VIEW_PLAIN, VAULT_NONE};
    struct matched matched = {0};

    if (!gate_role(&question, &matched))
        return withhold(VAULT_GATE_ROLE);
    decision.view = matched.view;
    if (!gate_purpose(&question))
        return withhold(VAULT_GATE_PURPOSE);
    if (!gate_consent(&question))
        return withhold(VAULT_GATE_CONSENT);
    if (!gate_objection(&question, &matched))
        return withhold(VAULT_GATE_OBJECTION);
    if (!gate_restriction(&question, &matched))
        return withhold(VAULT_GATE_RESTRICTION);
    if (!gate_retention(&question))
        return withhold(VAULT_GATE_RETENTION);
    if (!gate_transfer(&question, &decision))
        return withhold(VAULT_GATE_TRANSFER);
    if (question.field->type == VAULT_TYPE_SECRET)
        decision.view = VAULT_VIEW_PRESENT;
    return decision;
}

/*
 * Of what is known of a subject, an explicit consent alone can make a view stricter, by one more
 * transfer line; all else only withholds. So both are asked, with everything else allowed.
 */
bool vault_policy_is_pseudonymous(const struct vault_policy *policy,
                                  const struct vault_query *query, enum vault_residency residency)
{
    struct vault_facts facts = {.residency = residency,
                                .consents = POLICY_ALL,
                                .recipient_consents = POLICY_ALL,
                                .recipient_explicit_consents = POLICY_ALL};
    struct vault_query open = *query;
    bool token = false;

    open.used_up = 0;
    for (size_t i = 0; i < 2 * policy->field_count; i++) {
        struct vault_decision decision;

        facts.explicit_consents = i % 2 == 0 ? POLICY_ALL : 0;
        decision = vault_policy_decide(policy, &open, &facts, (int)(i / 2));
        if (decision.withheld != VAULT_GATE_NONE)
            continue;
        if (decision.view < VAULT_VIEW_TOKEN)
            return false;
        token = token || decision.view == VAULT_VIEW_TOKEN;
    }
    return token;
}

struct vault_decision vault_policy_explain(const struct vault_policy *policy,
                                           const struct vault_query *query,
                                           const struct vault_facts *facts, int field,
                                           bool ret_passes[VAULT_GATES])
{
    const struct question question = ask(policy, query, facts, field);
    const struct vault_decision decision = vault_policy_decide(policy, query, facts, field);
    struct vault_decision unused = {VAULT_GATE_NONE, VAULT_VIEW_PLAIN, VAULT_NONE};
    struct matched matched = {0};

    for (int gate = 0; gate < VAULT_GATES; gate++)
        ret_passes[gate] = true;
    ret_passes[VAULT_GATE_NONE] = decision.withheld == VAULT_GATE_NONE;
    ret_passes[VAULT_GATE_ROLE] = gate_role(&question, &matched);
    ret_passes[VAULT_GATE_PURPOSE] = gate_purpose(&question);
    ret_passes[VAULT_GATE_CONSENT] = gate_consent(&question);
    ret_passes[VAULT_GATE_OBJECTION] = gate_objection(&question, &matched);
    ret_passes[VAULT_GATE_RESTRICTION] = gate_restriction(&question, &matched);
    ret_passes[VAULT_GATE_RETENTION] = gate_retention(&question);
    ret_passes[VAULT_GATE_TRANSFER] = gate_transfer(&question, &unused);
    return decision;
}

bool vault_policy_may(const struct vault_policy *policy, const struct vault_query *query)
{
    const struct policy_role *role;
    uint64_t maybe = 0;

    if (query->role == VAULT_NONE)
        return false;
    role = &policy->roles[query->role];
    return sift(role, query, role->by_action[query->action], &maybe) != 0;
}

bool vault_policy_may_leave(const struct vault_policy *policy, const struct vault_query *query,
                            const struct vault_facts *facts, enum vault_view *ret_view,
                            int *ret_transfer)
{
    const struct question question = {.policy = policy,
                                      .query = query,
                                      .facts = facts != NULL ? facts : &nothing_known,
                                      .recipient = recipient_of(policy, query)};
    struct vault_decision decision = {VAULT_GATE_NONE, VAULT_VIEW_PLAIN, VAULT_NONE};

    if (question.facts->residency == VAULT_RESIDENCY_EEA && !passes_out(&question, &decision))
        return false;
    *ret_view = decision.view;
    *ret_transfer = decision.transfer;
    return true;
}

/* ---- conditions, one by one ---- */

static uint64_t matching(const struct vault_policy *policy, const struct vault_query *query,
                         int field)
{
    const struct policy_role *role = &policy->roles[query->role];
    uint64_t grants = role->by_action[query->action] & role->by_field[field];

    return query->purpose == VAULT_NONE ? grants : grants & role->by_purpose[query->purpose];
}

uint64_t vault_policy_matching(const struct vault_policy *policy, const struct vault_query *query,
                               int field)
{
    return query->role == VAULT_NONE ? 0 : matching(policy, query, field);
}

uint64_t vault_policy_matched(const struct vault_policy *policy, const struct vault_query *query,
                              int field)
{
    uint64_t maybe = 0;

    return query->role == VAULT_NONE
               ? 0
               : sift(&policy->roles[query->role], query, matching(policy, query, field), &maybe);
}

uint64_t vault_policy_volume_grants(const struct vault_policy *policy, int role)
{
    return role == VAULT_NONE ? 0 : policy->roles[role].limited;
}

uint32_t vault_policy_volume(const struct vault_policy *policy, int role, int grant)
{
    assert(policy_bit(policy->roles[role].limited, grant));
    return policy->roles[role].grants[grant].volume;
}

uint64_t vault_policy_charged(const struct vault_policy *policy, const struct vault_query *query,
                              int field)
{
    const uint64_t limited = vault_policy_volume_grants(policy, query->role);

    return limited == 0 ? 0 : vault_policy_matched(policy, query, field) & limited;
}

static unsigned unmet_of(const struct policy_grant *grant, bool used_up,
                         const struct vault_query *query)
{
    return (location_holds(grant, query) != POLICY_UNSET_YES ? VAULT_UNMET_LOCATION : 0) |
           (!hours_hold(grant, query) ? VAULT_UNMET_HOURS : 0) |
           (grant->own_subject && !query->own_subject ? VAULT_UNMET_OWN_SUBJECT : 0) |
           (used_up ? VAULT_UNMET_VOLUME : 0);
}

unsigned vault_policy_unmet(const struct vault_policy *policy, const struct vault_query *query,
                            int field)
{
    const struct policy_role *role;
    uint64_t maybe = 0;
    uint64_t left;
    unsigned unmet = 0;

    if (query->role == VAULT_NONE)
        return 0;
    role = &policy->roles[query->role];
    left = matching(policy, query, field);
    if (sift(role, query, left, &maybe) != 0)
        return 0;
    for (; left != 0; left &= left - 1) {
        const int number = __builtin_ctzll(left);

        unmet |= unmet_of(&role->grants[number], policy_bit(query->used_up, number), query);
    }
    return unmet;
}

const char *vault_unmet_name(int number)
{
    static const char *const names[VAULT_UNMET_COUNT] = {"location", "hours", "own_subject",
                                                         "volume_per_hour"};

    assert(number >= 0 && number < VAULT_UNMET_COUNT);
    return names[number];
}
