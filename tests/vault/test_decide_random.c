/* The decision on random policies, against a second, slow way to decide written for that. */
#include "tests/vault/policy_fixture.h"

#include "kluis/base/buf.h"
#include "kluis/base/time.h"

#define REF_RECORDS 3
#define REF_FIELDS 4   /* of each record type */
#define REF_PURPOSES 6 /* purpose number REF_PURPOSES is a forbidden one */
#define REF_RECIPIENTS 4
#define REF_TRANSFERS 4
#define REF_ROLES 3
#define REF_GRANTS 5
#define REF_LIST 3
#define REF_ALL 0xffu
#define ROUNDS_POLICIES 400
#define ROUNDS_QUERIES 500

/* Sets are bits, one per number; "" ends a list of countries. */
struct ref_grant {
    unsigned actions;
    bool says_for;
    unsigned purposes; /* REF_ALL: "*" */
    int pattern;       /* 0: "*", 1: record.*, 2: *.field, 3: record.field */
    int record;
    int field;
    int view;
    int where; /* 0: anywhere, 1: eea, 2: outside_eea, 3: countries */
    const char *countries[REF_LIST + 1];
    bool own;
};
struct ref_transfer {
    bool adequate; /* to: adequate */
    const char *to[REF_LIST + 1];
    int mechanism;       /* 0: adequate, 1: standard_clauses, 2: explicit_consent */
    int scope;           /* 0: not said, 1: accepted, 2: [JP] */
    unsigned purposes;   /* 0: not said */
    unsigned recipients; /* 0: not said */
    int view;
};
struct ref_policy {
    int basis[REF_PURPOSES + 1];
    bool ground[REF_PURPOSES + 1];
    unsigned record_purposes[REF_RECORDS];
    unsigned field_purposes[REF_RECORDS][REF_FIELDS];
    bool special[REF_RECORDS][REF_FIELDS];
    const char *recipient_country[REF_RECIPIENTS];
    unsigned recipient_purposes[REF_RECIPIENTS];
    int recipient_consent[REF_RECIPIENTS]; /* -1: none */
    bool recipient_scope[REF_RECIPIENTS];
    int transfer_count;
    struct ref_transfer transfers[REF_TRANSFERS];
    int grant_count[REF_ROLES];
    struct ref_grant grants[REF_ROLES][REF_GRANTS];
};
struct ref_query {
    int role, action, purpose, recipient, record, field;
    unsigned credential_purposes;
    const char *location; /* "": none */
    bool own;
    int year; /* asked on the 1st of January */
    bool eea;
    unsigned consents, explicit_consents, recipient_consents, recipient_explicit;
};

static const char *const countries[] = {"", "BE", "NO", "RE", "GB", "CH", "US", "JP", "CN"};
#define COUNTRIES (sizeof countries / sizeof countries[0])

static uint64_t seed;

/* xorshift64*: the same on every machine */
static unsigned below(unsigned limit)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (unsigned)((seed * UINT64_C(2685821657736338717)) >> 33) % limit;
}

static unsigned some_bits(unsigned count)
{
    unsigned bits = below(1u << count);

    return bits != 0 ? bits : 1u << below(count);
}

static void pick_countries(const char *out[REF_LIST + 1], size_t first)
{
    const unsigned count = 1 + below(REF_LIST);

    for (unsigned i = 0; i < count; i++)
        out[i] = countries[first + below((unsigned)(COUNTRIES - first))];
    out[count] = "";
}

static struct ref_grant make_grant(void)
{
    struct ref_grant grant = {.actions = some_bits(VAULT_ACTIONS) & some_bits(VAULT_ACTIONS)};

    grant.actions |= 1u << below(6);
    grant.says_for = true;
    if ((grant.actions & ((1u << VAULT_ACTION_READ) | (1u << VAULT_ACTION_LOOKUP) |
                          (1u << VAULT_ACTION_EXPORT) | (1u << VAULT_ACTION_DISCLOSE))) == 0)
        grant.says_for = below(2) == 0;
    grant.purposes = below(4) == 0 ? REF_ALL : some_bits(REF_PURPOSES);
    grant.pattern = (int)below(4);
    grant.record = (int)below(REF_RECORDS);
    grant.field = (int)below(REF_FIELDS);
    grant.view = below(2) == 0 ? 0 : (int)below(VAULT_VIEWS);
    grant.where = below(2) == 0 ? 0 : (int)below(4);
    if (grant.where == 3)
        pick_countries(grant.countries, 1);
    grant.own = below(6) == 0;
    return grant;
}

static struct ref_transfer make_transfer(void)
{
    struct ref_transfer line = {.adequate = below(2) == 0};

    pick_countries(line.to, 4);
    line.mechanism = line.adequate ? 0 : (int)below(3);
    line.scope = line.mechanism == 0 ? (int)below(3) : 0;
    line.purposes = below(2) == 0 ? 0 : some_bits(REF_PURPOSES);
    line.recipients = below(3) != 0 ? 0 : some_bits(REF_RECIPIENTS);
    for (int i = 0; line.to[i][0] != '\0'; i++)
        if (line.mechanism == 0 && strcmp(line.to[i], "US") == 0 && line.recipients == 0)
            line.recipients = some_bits(REF_RECIPIENTS);
    line.view = below(2) == 0 ? 0 : (int)below(VAULT_VIEWS);
    return line;
}

static void make_policy(struct ref_policy *policy)
{
    memset(policy, 0, sizeof *policy);
    for (int i = 0; i < REF_PURPOSES; i++) {
        policy->basis[i] = (int)below(VAULT_BASES);
        policy->ground[i] = below(3) == 0;
    }
    for (int i = 0; i < REF_RECORDS; i++) {
        policy->record_purposes[i] = some_bits(REF_PURPOSES) | some_bits(REF_PURPOSES);
        for (int field = 0; field < REF_FIELDS; field++) {
            policy->field_purposes[i][field] = policy->record_purposes[i];
            if (below(3) == 0)
                policy->field_purposes[i][field] &= some_bits(REF_PURPOSES);
            if (policy->field_purposes[i][field] == 0)
                policy->field_purposes[i][field] = policy->record_purposes[i];
            policy->special[i][field] = below(4) == 0;
        }
    }
    for (int i = 0; i < REF_RECIPIENTS; i++) {
        policy->recipient_country[i] = countries[1 + below((unsigned)COUNTRIES - 1)];
        policy->recipient_purposes[i] = below(3) == 0 ? REF_ALL : some_bits(REF_PURPOSES);
        policy->recipient_consent[i] = -1;
        policy->recipient_scope[i] = below(3) == 0;
        for (int purpose = 0; purpose < REF_PURPOSES; purpose++)
            if (policy->basis[purpose] <= VAULT_BASIS_EXPLICIT_CONSENT && below(3) == 0)
                policy->recipient_consent[i] = purpose;
    }
    policy->transfer_count = (int)below(REF_TRANSFERS + 1);
    for (int i = 0; i < policy->transfer_count; i++)
        policy->transfers[i] = make_transfer();
    for (int role = 0; role < REF_ROLES; role++) {
        policy->grant_count[role] = 1 + (int)below(REF_GRANTS);
        for (int i = 0; i < policy->grant_count[role]; i++)
            policy->grants[role][i] = make_grant();
    }
}

/* ---- printing ---- */

static void print_names(struct kl_buf *out, const char *prefix, unsigned bits, int count)
{
    const char *comma = "";

    if (bits == REF_ALL) {
        kl_buf_add_text(out, "[\"*\"]");
        return;
    }
    kl_buf_add_text(out, "[");
    for (int i = 0; i < count; i++)
        if ((bits >> i) & 1) {
            kl_buf_addf(out, "%s%s%d", comma, prefix, i);
            comma = ", ";
        }
    kl_buf_add_text(out, "]");
}

static void print_countries(struct kl_buf *out, const char *const *list)
{
    kl_buf_add_text(out, "[");
    for (int i = 0; list[i][0] != '\0'; i++)
        kl_buf_addf(out, "%s%s", i > 0 ? ", " : "", list[i]);
    kl_buf_add_text(out, "]");
}

static void print_grant(struct kl_buf *out, const struct ref_grant *grant)
{
    static const char *const where[] = {"", "location: eea", "location: outside_eea", "location: "};
    const char *comma = "";

    kl_buf_add_text(out, "    - { do: [");
    for (int i = 0; i < VAULT_ACTIONS; i++)
        if ((grant->actions >> i) & 1) {
            kl_buf_addf(out, "%s%s", comma, vault_action_name((enum vault_action)i));
            comma = ", ";
        }
    kl_buf_add_text(out, "], fields: [");
    if (grant->pattern == 0)
        kl_buf_add_text(out, "\"*\"");
    else if (grant->pattern == 1)
        kl_buf_addf(out, "r%d.*", grant->record);
    else if (grant->pattern == 2)
        kl_buf_addf(out, "\"*.f%d\"", grant->field);
    else
        kl_buf_addf(out, "r%d.f%d", grant->record, grant->field);
    kl_buf_add_text(out, "]");
    if (grant->says_for) {
        kl_buf_add_text(out, ", for: ");
        print_names(out, "p", grant->purposes, REF_PURPOSES);
    }
    if (grant->view != 0)
        kl_buf_addf(out, ", view: %s", vault_view_name((enum vault_view)grant->view));
    if (grant->where != 0 || grant->own) {
        kl_buf_addf(out, ", when: { %s", where[grant->where]);
        if (grant->where == 3)
            print_countries(out, grant->countries);
        if (grant->own)
            kl_buf_addf(out, "%sown_subject: true", grant->where != 0 ? ", " : "");
        kl_buf_add_text(out, " }");
    }
    kl_buf_add_text(out, " }\n");
}

static void print_transfer(struct kl_buf *out, const struct ref_transfer *line)
{
    static const char *const mechanisms[] = {"adequate", "standard_clauses", "explicit_consent"};

    kl_buf_add_text(out, "    - { to: ");
    if (line->adequate)
        kl_buf_add_text(out, "adequate");
    else
        print_countries(out, line->to);
    kl_buf_addf(out, ", mechanism: %s", mechanisms[line->mechanism]);
    if (line->scope != 0)
        kl_buf_addf(out, ", scope: %s", line->scope == 1 ? "accepted" : "[JP]");
    if (line->purposes != 0) {
        kl_buf_add_text(out, ", purposes: ");
        print_names(out, "p", line->purposes, REF_PURPOSES);
    }
    if (line->recipients != 0) {
        kl_buf_add_text(out, ", recipients: ");
        print_names(out, "x", line->recipients, REF_RECIPIENTS);
    }
    kl_buf_addf(out, ", view: %s }\n", vault_view_name((enum vault_view)line->view));
}

static void print_data(struct kl_buf *out, const struct ref_policy *policy)
{
    kl_buf_add_text(out, "policy: random\nversion: 1\n"
                         "controller: { name: N, country: BE, contact: c@n.example }\n"
                         "forbidden_purposes: [p6]\npurposes:\n");
    for (int i = 0; i < REF_PURPOSES; i++)
        kl_buf_addf(out, "  p%d: { basis: %s%s }\n", i,
                    vault_basis_name((enum vault_basis)policy->basis[i]),
                    policy->ground[i] ? ", ground: employment_law" : "");
    kl_buf_add_text(out, "records:\n");
    for (int i = 0; i < REF_RECORDS; i++) {
        kl_buf_addf(out, "  r%d:\n    purposes: ", i);
        print_names(out, "p", policy->record_purposes[i], REF_PURPOSES);
        kl_buf_add_text(out, "\n    fields:\n");
        for (int field = 0; field < REF_FIELDS; field++) {
            kl_buf_addf(out, "      f%d: { type: text%s, purposes: ", field,
                        policy->special[i][field] ? ", special: health" : "");
            print_names(out, "p", policy->field_purposes[i][field], REF_PURPOSES);
            kl_buf_add_text(out, " }\n");
        }
    }
    kl_buf_add_text(out, "recipients:\n");
    for (int i = 0; i < REF_RECIPIENTS; i++) {
        kl_buf_addf(out, "  x%d: { kind: processor, country: %s, purposes: ", i,
                    policy->recipient_country[i]);
        print_names(out, "p", policy->recipient_purposes[i], REF_PURPOSES);
        if (policy->recipient_consent[i] >= 0)
            kl_buf_addf(out, ", consent: p%d", policy->recipient_consent[i]);
        kl_buf_addf(out, "%s }\n", policy->recipient_scope[i] ? ", scope: accepted" : "");
    }
}

static void print_policy(struct kl_buf *out, const struct ref_policy *policy)
{
    print_data(out, policy);
    if (policy->transfer_count > 0)
        kl_buf_add_text(out, "residency:\n  transfers:\n");
    for (int i = 0; i < policy->transfer_count; i++)
        print_transfer(out, &policy->transfers[i]);
    kl_buf_add_text(out, "roles:\n");
    for (int role = 0; role < REF_ROLES; role++) {
        kl_buf_addf(out, "  role%d:\n", role);
        for (int i = 0; i < policy->grant_count[role]; i++)
            print_grant(out, &policy->grants[role][i]);
    }
}

/* ---- deciding ---- */

static bool bit(unsigned bits, int number)
{
    return number >= 0 && ((bits >> number) & 1) != 0;
}

static bool listed(const char *const *list, const char *country)
{
    for (int i = 0; list[i][0] != '\0'; i++)
        if (strcmp(list[i], country) == 0)
            return true;
    return false;
}

static bool in_eea(const char *country)
{
    return strcmp(country, "BE") == 0 || strcmp(country, "NO") == 0 || strcmp(country, "RE") == 0;
}

/* 2: holds, 1: may hold, 0: does not. */
static int grant_where(const struct ref_grant *grant, const struct ref_query *query)
{
    if (grant->own && !query->own)
        return 0;
    if (grant->where == 0)
        return 2;
    if (query->location[0] == '\0') {
        if (grant->where == 3)
            return listed(grant->countries, "BE") || listed(grant->countries, "NO") ||
                           listed(grant->countries, "RE")
                       ? 1
                       : 0;
        return grant->where == 1 ? 2 : 0;
    }
    if (grant->where == 3)
        return listed(grant->countries, query->location) ? 2 : 0;
    return in_eea(query->location) == (grant->where == 1) ? 2 : 0;
}

static bool grant_covers(const struct ref_grant *grant, const struct ref_query *query)
{
    if (!bit(grant->actions, query->action))
        return false;
    if ((grant->pattern == 1 || grant->pattern == 3) && grant->record != query->record)
        return false;
    if (grant->pattern >= 2 && grant->field != query->field)
        return false;
    return query->purpose < 0 || !grant->says_for || bit(grant->purposes, query->purpose);
}

static bool uses(int action)
{
    return action == VAULT_ACTION_READ || action == VAULT_ACTION_LOOKUP ||
           action == VAULT_ACTION_VERIFY || action == VAULT_ACTION_EXPORT ||
           action == VAULT_ACTION_DISCLOSE;
}

static bool adequate(const char *country, int year, bool *ret_scope)
{
    *ret_scope = strcmp(country, "US") == 0 || strcmp(country, "JP") == 0;
    if (strcmp(country, "GB") == 0)
        return year >= 2022 && year <= 2031;
    if (strcmp(country, "CH") == 0)
        return year >= 2001;
    if (strcmp(country, "JP") == 0)
        return year >= 2020;
    return strcmp(country, "US") == 0 && year >= 2024;
}

static bool line_allows(const struct ref_policy *policy, const struct ref_transfer *line,
                        const struct ref_query *query, const char *to, bool is_recipient)
{
    bool scope = false;

    if (line->purposes != 0 && !bit(line->purposes, query->purpose))
        return false;
    if (line->recipients != 0 && !bit(line->recipients, query->recipient))
        return false;
    if (!line->adequate && !listed(line->to, to))
        return false;
    if (line->mechanism == 1)
        return true;
    if (line->mechanism == 2)
        return bit(query->explicit_consents | (is_recipient ? query->recipient_explicit : 0),
                   query->purpose);
    if (!adequate(to, query->year, &scope) || (line->adequate && strcmp(to, "US") == 0))
        return false;
    return !scope || line->scope == 1 || (line->scope == 2 && strcmp(to, "JP") == 0) ||
           (is_recipient && policy->recipient_scope[query->recipient]);
}

static bool may_go(const struct ref_policy *policy, const struct ref_query *query, const char *to,
                   bool is_recipient, int *view)
{
    bool allowed = false;

    if (to[0] == '\0' || in_eea(to))
        return true;
    for (int i = 0; i < policy->transfer_count; i++)
        if (line_allows(policy, &policy->transfers[i], query, to, is_recipient)) {
            allowed = true;
            if (policy->transfers[i].view > *view)
                *view = policy->transfers[i].view;
        }
    return allowed;
}

static bool has_consent(const struct ref_policy *policy, const struct ref_query *query)
{
    const bool special = policy->special[query->record][query->field];
    const unsigned named = query->recipient >= 0 ? REF_ALL : 0;
    int purpose = query->recipient >= 0 ? policy->recipient_consent[query->recipient] : -1;

    if (!uses(query->action))
        return true;
    if (purpose >= 0) {
        bool strict = policy->basis[purpose] == VAULT_BASIS_EXPLICIT_CONSENT ||
                      (special && !policy->ground[purpose]);
        if (!bit(strict ? query->recipient_explicit : query->recipient_consents, purpose))
            return false;
    }
    purpose = query->purpose;
    if (policy->basis[purpose] == VAULT_BASIS_EXPLICIT_CONSENT ||
        (special && !policy->ground[purpose]))
        return bit(query->explicit_consents | (query->recipient_explicit & named), purpose);
    return policy->basis[purpose] != VAULT_BASIS_CONSENT ||
           bit(query->consents | (query->recipient_consents & named), purpose);
}

static bool good_purpose(const struct ref_policy *policy, const struct ref_query *query)
{
    if (query->purpose < 0)
        return !uses(query->action);
    return query->purpose < REF_PURPOSES &&
           bit(policy->field_purposes[query->record][query->field], query->purpose) &&
           bit(query->credential_purposes, query->purpose) &&
           (query->recipient < 0 ||
            bit(policy->recipient_purposes[query->recipient], query->purpose));
}

static enum vault_gate ref_decide(const struct ref_policy *policy, const struct ref_query *query,
                                  int *ret_view)
{
    bool granted = false;
    int view = 0;

    for (int i = 0; i < policy->grant_count[query->role]; i++) {
        const struct ref_grant *grant = &policy->grants[query->role][i];
        const int where = grant_covers(grant, query) ? grant_where(grant, query) : 0;
        granted = granted || where == 2;
        if (where > 0 && grant->view > view)
            view = grant->view;
    }
    if (!granted)
        return VAULT_GATE_ROLE;
    if (!good_purpose(policy, query))
        return VAULT_GATE_PURPOSE;
    if (!has_consent(policy, query))
        return VAULT_GATE_CONSENT;
    if (query->eea && (uses(query->action) || query->action == VAULT_ACTION_REPORT ||
                       query->action == VAULT_ACTION_HOLD)) {
        if (!may_go(policy, query, query->location, false, &view))
            return VAULT_GATE_TRANSFER;
        if (query->recipient >= 0 &&
            !may_go(policy, query, policy->recipient_country[query->recipient], true, &view))
            return VAULT_GATE_TRANSFER;
    }
    *ret_view = view;
    return VAULT_GATE_NONE;
}

static struct ref_query make_query(void)
{
    static const int years[] = {2000, 2010, 2021, 2023, 2026, 2031, 2032};
    struct ref_query query = {
        .role = (int)below(REF_ROLES),
        .action = below(3) != 0 ? (int)below(6) : (int)below(VAULT_ACTIONS),
        .purpose = (int)below(REF_PURPOSES + 2) - 1,
        .recipient = below(2) == 0 ? -1 : (int)below(REF_RECIPIENTS),
        .record = (int)below(REF_RECORDS),
        .field = (int)below(REF_FIELDS),
        .credential_purposes = below(3) != 0 ? REF_ALL : some_bits(REF_PURPOSES),
        .location = countries[below(2) == 0 ? 0 : below((unsigned)COUNTRIES)],
        .own = below(2) == 0,
        .year = years[below(7)],
        .eea = below(5) != 0,
    };

    query.consents = some_bits(REF_PURPOSES) | some_bits(REF_PURPOSES);
    query.explicit_consents = query.consents & some_bits(REF_PURPOSES);
    if (query.recipient >= 0) {
        query.recipient_consents = some_bits(REF_PURPOSES) | some_bits(REF_PURPOSES);
        query.recipient_explicit = query.recipient_consents & some_bits(REF_PURPOSES);
    }
    return query;
}

static int64_t new_year(int year)
{
    char text[16];
    int64_t us = 0;

    (void)snprintf(text, sizeof text, "%04d-01-01", year);
    assert_int_equal(kl_date_parse(text, 10, &us, NULL), KL_OK);
    return us;
}

static struct vault_query vault_query_of(const struct ref_query *query)
{
    struct vault_query out = {
        .role = query->role,
        .action = (enum vault_action)query->action,
        .purpose = query->purpose,
        .credential_purposes =
            query->credential_purposes == REF_ALL ? UINT64_MAX : query->credential_purposes,
        .recipient = query->recipient,
        .own_subject = query->own,
        .now_us = new_year(query->year),
    };

    if (query->location[0] != '\0')
        assert_int_equal(vault_country_parse(query->location, 2, &out.location, NULL), KL_OK);
    return out;
}

static void compare(const struct ref_policy *model, const struct vault_policy *policy,
                    const char *text, size_t *counts)
{
    const struct ref_query query = make_query();
    const struct vault_query asked = vault_query_of(&query);
    const struct vault_facts facts = {
        .residency = query.eea ? VAULT_RESIDENCY_EEA : VAULT_RESIDENCY_NONE,
        .consents = query.consents,
        .explicit_consents = query.explicit_consents,
        .recipient_consents = query.recipient_consents,
        .recipient_explicit_consents = query.recipient_explicit,
    };
    const int field = query.record * REF_FIELDS + query.field;
    bool passes[VAULT_GATES];
    struct vault_decision found = vault_policy_decide(policy, &asked, &facts, field);
    struct vault_decision explained = vault_policy_explain(policy, &asked, &facts, field, passes);
    int view = 0;
    const enum vault_gate expected = ref_decide(model, &query, &view);

    if (found.withheld != expected ||
        (expected == VAULT_GATE_NONE && found.view != (enum vault_view)view))
        fail_msg("expected %s/%d, found %s/%d: role%d %s r%d.f%d for p%d to x%d from '%s' in %d "
                 "own %d\n%s",
                 vault_gate_name(expected), view, vault_gate_name(found.withheld), found.view,
                 query.role, vault_action_name(asked.action), query.record, query.field,
                 query.purpose, query.recipient, query.location, query.year, query.own, text);
    assert_memory_equal(&explained, &found, sizeof found);
    assert_int_equal(passes[VAULT_GATE_NONE], expected == VAULT_GATE_NONE);
    for (int gate = 1; gate < (int)expected; gate++)
        assert_true(passes[gate]);
    if (expected != VAULT_GATE_NONE)
        assert_false(passes[expected]);
    counts[expected]++;
}

static void test_random_policies_are_decided_as_the_slow_way_does(void **state)
{
    static struct ref_policy model;
    size_t counts[VAULT_GATES] = {0};

    (void)state;
    seed = UINT64_C(20261122);
    for (int round = 0; round < ROUNDS_POLICIES; round++) {
        struct vault_policy *policy;
        struct kl_buf text;
        kl_buf_init(&text, 1 << 16);
        make_policy(&model);
        print_policy(&text, &model);
        policy = policy_of((const char *)text.bytes);
        for (int i = 0; i < ROUNDS_QUERIES; i++)
            compare(&model, policy, (const char *)text.bytes, counts);
        vault_policy_unref(policy);
        kl_buf_done(&text);
    }
    /* each outcome was seen often */
    assert_true(counts[VAULT_GATE_NONE] > 2000);
    assert_true(counts[VAULT_GATE_ROLE] > 2000);
    assert_true(counts[VAULT_GATE_PURPOSE] > 2000);
    assert_true(counts[VAULT_GATE_CONSENT] > 2000);
    assert_true(counts[VAULT_GATE_TRANSFER] > 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_policies_are_decided_as_the_slow_way_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
