/* The decision, rule by rule. test_decide_random.c compares it with a second way to decide. */
#include "tests/vault/policy_fixture.h"

#include "kluis/base/time.h"

static int64_t new_year(int year)
{
    char text[16];
    int64_t us = 0;

    (void)snprintf(text, sizeof text, "%04d-01-01", year);
    assert_int_equal(kl_date_parse(text, 10, &us, NULL), KL_OK);
    return us;
}

static struct vault_query query_of(const struct vault_policy *policy, const char *role,
                                   const char *purpose)
{
    struct vault_query query = {
        .role = vault_policy_role_find(policy, role),
        .action = VAULT_ACTION_READ,
        .purpose = vault_policy_purpose_find(policy, purpose),
        .credential_purposes = UINT64_MAX,
        .recipient = VAULT_NONE,
        .now_us = new_year(2026),
    };

    assert_true(query.role >= 0 && query.purpose >= 0);
    return query;
}

static void set_location(struct vault_query *query, const char *country)
{
    assert_int_equal(vault_country_parse(country, 2, &query->location, NULL), KL_OK);
}

static void withheld(const struct vault_policy *policy, const struct vault_query *query,
                     const struct vault_facts *facts, int field, enum vault_gate gate)
{
    const struct vault_decision decision = vault_policy_decide(policy, query, facts, field);

    assert_string_equal(vault_gate_name(decision.withheld), vault_gate_name(gate));
    assert_int_equal(decision.transfer, VAULT_NONE);
}

static void shown(const struct vault_policy *policy, const struct vault_query *query,
                  const struct vault_facts *facts, int field, enum vault_view view)
{
    const struct vault_decision decision = vault_policy_decide(policy, query, facts, field);

    assert_string_equal(vault_gate_name(decision.withheld), "none");
    assert_string_equal(vault_view_name(decision.view), vault_view_name(view));
}

static void test_a_subscriber_is_plain_masked_and_withheld_by_role(void **state)
{
    struct vault_policy *policy = policy_of_file("tests/scenarios/worksmarter/policy.yaml");
    const int email = policy_field_of(policy, "newsletter.email");
    struct vault_query query = query_of(policy, "newsletter_editor", "send_newsletter");
    struct vault_facts facts = {.consents = UINT64_C(1) << query.purpose};

    (void)state;
    shown(policy, &query, &facts, email, VAULT_VIEW_PLAIN);
    query = query_of(policy, "privacy_officer", "answer_rights");
    shown(policy, &query, &facts, email, VAULT_VIEW_MASKED);
    query = query_of(policy, "moderator", "moderate_comments");
    withheld(policy, &query, &facts, email, VAULT_GATE_ROLE);
    vault_policy_unref(policy);
}

static void test_a_built_in_role_sees_nothing(void **state)
{
    struct vault_policy *policy = policy_of_file("tests/scenarios/worksmarter/policy.yaml");
    struct vault_query query = query_of(policy, "privacy_officer", "answer_rights");

    (void)state;
    query.role = VAULT_NONE;
    for (int action = 0; action < VAULT_ACTIONS; action++) {
        query.action = (enum vault_action)action;
        assert_false(vault_policy_may(policy, &query));
        for (size_t field = 0; field < vault_policy_field_count(policy); field++)
            withheld(policy, &query, NULL, (int)field, VAULT_GATE_ROLE);
    }
    vault_policy_unref(policy);
}

static void test_without_facts_consent_is_no(void **state)
{
    struct vault_policy *policy = policy_of_file("tests/scenarios/worksmarter/policy.yaml");
    struct vault_query query = query_of(policy, "newsletter_editor", "send_newsletter");

    (void)state;
    withheld(policy, &query, NULL, policy_field_of(policy, "newsletter.email"), VAULT_GATE_CONSENT);
    vault_policy_unref(policy);
}

static void test_a_credential_made_for_other_purposes_is_withheld(void **state)
{
    struct vault_policy *policy = policy_of_file("tests/scenarios/worksmarter/policy.yaml");
    struct vault_query query = query_of(policy, "webinar_host", "run_webinar");
    const int email = policy_field_of(policy, "webinar.email");

    (void)state;
    query.credential_purposes = UINT64_C(1) << query.purpose;
    shown(policy, &query, NULL, email, VAULT_VIEW_PLAIN);
    query.credential_purposes = ~query.credential_purposes;
    withheld(policy, &query, NULL, email, VAULT_GATE_PURPOSE);
    vault_policy_unref(policy);
}

static void test_a_read_without_purpose_is_withheld(void **state)
{
    struct vault_policy *policy = policy_of_file("tests/scenarios/worksmarter/policy.yaml");
    struct vault_query query = query_of(policy, "webinar_host", "run_webinar");

    (void)state;
    query.purpose = VAULT_NONE;
    withheld(policy, &query, NULL, policy_field_of(policy, "webinar.email"), VAULT_GATE_PURPOSE);
    vault_policy_unref(policy);
}

static void test_no_country_outside_the_eea_reads_work_smarter(void **state)
{
    struct vault_policy *policy = policy_of_file("tests/scenarios/worksmarter/policy.yaml");
    struct vault_query query = query_of(policy, "webinar_host", "run_webinar");
    const int email = policy_field_of(policy, "webinar.email");

    (void)state;
    for (char first = 'A'; first <= 'Z'; first++)
        for (char second = 'A'; second <= 'Z'; second++) {
            const char code[2] = {first, second};
            if (vault_country_parse(code, 2, &query.location, NULL) != KL_OK)
                continue;
            if (vault_country_in_eea(query.location))
                shown(policy, &query, NULL, email, VAULT_VIEW_PLAIN);
            else
                withheld(policy, &query, NULL, email, VAULT_GATE_TRANSFER);
        }
    vault_policy_unref(policy);
}

static void test_knowing_of_a_subject_needs_a_grant_whose_condition_holds(void **state)
{
    struct vault_policy *policy = policy_of_file("tests/scenarios/worksmarter/policy.yaml");
    struct vault_query query = query_of(policy, "person", "answer_rights");

    (void)state;
    assert_false(vault_policy_may(policy, &query));
    query.own_subject = true;
    assert_true(vault_policy_may(policy, &query));
    query.action = VAULT_ACTION_ERASE;
    assert_false(vault_policy_may(policy, &query));
    /* another purpose is a matter of each field, not of the subject */
    query = query_of(policy, "moderator", "send_newsletter");
    assert_true(vault_policy_may(policy, &query));
    vault_policy_unref(policy);
}

static const char transfers[] =
    "policy: transfers\n"
    "version: 1\n"
    "controller: { name: N, country: BE, contact: c@n.example }\n"
    "residency:\n"
    "  transfers:\n"
    "    - { to: adequate }\n"
    "    - { to: [JP], mechanism: adequate, scope: [JP], view: masked }\n"
    "    - { to: [US], mechanism: standard_clauses, purposes: [hosting], view: token }\n"
    "    - { to: [US], mechanism: adequate, scope: accepted, recipients: [certified] }\n"
    "    - { to: [IN], mechanism: explicit_consent }\n"
    "records:\n"
    "  person: { purposes: [service, hosting], fields: { name: { type: text } } }\n"
    "purposes: { service: { basis: contract }, hosting: { basis: contract } }\n"
    "recipients:\n"
    "  near: { kind: processor, country: BE, purposes: [\"*\"] }\n"
    "  certified: { kind: processor, country: US, purposes: [\"*\"] }\n"
    "  other: { kind: processor, country: US, purposes: [\"*\"] }\n"
    "  pipeda: { kind: processor, country: CA, purposes: [\"*\"], scope: accepted }\n"
    "  canadian: { kind: processor, country: CA, purposes: [\"*\"] }\n"
    "  indian: { kind: controller, country: IN, purposes: [\"*\"] }\n"
    "roles: { reader: [{ do: [read], fields: [\"*\"], for: [\"*\"] }] }\n";

static void test_a_transfer_needs_a_line_with_a_mechanism_that_holds(void **state)
{
    static const struct {
        const char *purpose;
        const char *from;      /* NULL: not declared */
        const char *recipient; /* NULL: none */
        int year;
        int view; /* -1: withheld */
        const char *mechanism;
    } cases[] = {
        {"service", NULL, NULL, 2026, VAULT_VIEW_PLAIN, NULL},
        {"service", "BE", "near", 2026, VAULT_VIEW_PLAIN, NULL},
        {"service", "GB", NULL, 2026, VAULT_VIEW_PLAIN, "adequate"},
        {"service", "GB", NULL, 2021, -1, NULL},
        {"service", "GB", NULL, 2031, VAULT_VIEW_PLAIN, "adequate"},
        {"service", "GB", NULL, 2032, -1, NULL},
        {"service", "JP", NULL, 2026, VAULT_VIEW_MASKED, "adequate"},
        {"service", "JP", NULL, 2018, -1, NULL},
        {"service", "KR", NULL, 2026, -1, NULL},
        {"service", "US", NULL, 2026, -1, NULL},
        {"hosting", "US", NULL, 2026, VAULT_VIEW_TOKEN, "standard_clauses"},
        {"service", "US", "near", 2026, -1, NULL},
        {"service", "BE", "other", 2026, -1, NULL},
        {"service", "BE", "certified", 2026, VAULT_VIEW_PLAIN, "adequate"},
        {"service", "BE", "certified", 2023, -1, NULL},
        {"hosting", "BE", "certified", 2026, VAULT_VIEW_TOKEN, "standard_clauses"},
        {"service", "BE", "pipeda", 2026, VAULT_VIEW_PLAIN, "adequate"},
        {"service", "BE", "canadian", 2026, -1, NULL},
        {"service", "CA", "pipeda", 2026, -1, NULL}, /* the recipient's scope is not the reader's */
        {"service", "CN", NULL, 2026, -1, NULL},
        {"service", "IN", NULL, 2026, -1, NULL},
    };
    struct vault_policy *policy = policy_of(transfers);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vault_query query = query_of(policy, "reader", cases[i].purpose);
        struct vault_decision decision;
        query.now_us = new_year(cases[i].year);
        if (cases[i].from != NULL)
            set_location(&query, cases[i].from);
        if (cases[i].recipient != NULL)
            query.recipient = vault_policy_recipient_find(policy, cases[i].recipient);
        decision = vault_policy_decide(policy, &query, NULL, 0);
        if (cases[i].view < 0) {
            assert_string_equal(vault_gate_name(decision.withheld), "transfer");
            continue;
        }
        assert_string_equal(vault_gate_name(decision.withheld), "none");
        assert_int_equal(decision.view, cases[i].view);
        if (cases[i].mechanism == NULL)
            assert_int_equal(decision.transfer, VAULT_NONE);
        else
            assert_string_equal(vault_policy_transfer_name(policy, decision.transfer),
                                cases[i].mechanism);
    }
    vault_policy_unref(policy);
}

static const char pseudonymous[] =
    "policy: pseudonyms\n"
    "version: 1\n"
    "controller: { name: N, country: BE, contact: c@n.example }\n"
    "residency:\n"
    "  transfers:\n"
    "    - { to: [US], mechanism: standard_clauses, view: token }\n"
    "    - { to: [IN], mechanism: explicit_consent, view: token }\n"
    "    - { to: [CN], mechanism: standard_clauses, view: token }\n"
    "    - { to: [CN], mechanism: explicit_consent, view: present }\n"
    "    - { to: [BR], mechanism: standard_clauses, view: present }\n"
    "records:\n"
    "  person:\n"
    "    purposes: [service, news]\n"
    "    fields: { name: { type: text }, pin: { type: secret }, diet: { type: text, special: health } }\n"
    "purposes: { service: { basis: contract }, news: { basis: consent } }\n"
    "roles:\n"
    "  reader: [{ do: [read], fields: [\"*\"], for: [\"*\"] }]\n"
    "  tokens: [{ do: [read], fields: [person.name], for: [\"*\"], view: token }]\n"
    "  both:\n"
    "    - { do: [read], fields: [person.name], for: [\"*\"], view: token }\n"
    "    - { do: [read], fields: [person.diet], for: [news], view: masked }\n"
    "  pins: [{ do: [read], fields: [person.pin], for: [\"*\"] }]\n";

static void test_who_is_shown_tokens_at_most_is_shown_pseudonyms(void **state)
{
    static const struct {
        const char *role;
        const char *purpose;
        const char *from; /* NULL: not declared */
        enum vault_residency residency;
        bool expected;
    } cases[] = {
        {"reader", "service", NULL, VAULT_RESIDENCY_EEA, false},
        {"reader", "service", "US", VAULT_RESIDENCY_EEA, true},
        {"reader", "service", "US", VAULT_RESIDENCY_NONE, false},
        {"reader", "news", "US", VAULT_RESIDENCY_EEA, true}, /* whether they consented or not */
        {"reader", "service", "IN", VAULT_RESIDENCY_EEA, true},
        {"reader", "service", "CN", VAULT_RESIDENCY_EEA, true},  /* with consent only present */
        {"reader", "service", "BR", VAULT_RESIDENCY_EEA, false}, /* never a token */
        {"reader", "service", "JP", VAULT_RESIDENCY_EEA, false}, /* nothing at all */
        {"tokens", "service", NULL, VAULT_RESIDENCY_NONE, true},
        {"both", "service", NULL, VAULT_RESIDENCY_EEA, true},
        {"both", "news", NULL, VAULT_RESIDENCY_EEA, false}, /* masked, of those who consented */
        {"pins", "service", "US", VAULT_RESIDENCY_EEA, false},
    };
    struct vault_policy *policy = policy_of(pseudonymous);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vault_query query = query_of(policy, cases[i].role, cases[i].purpose);

        if (cases[i].from != NULL)
            set_location(&query, cases[i].from);
        if (vault_policy_is_pseudonymous(policy, &query, cases[i].residency) != cases[i].expected)
            fail_msg("case %zu: %s", i, cases[i].role);
    }
    vault_policy_unref(policy);
}

static void test_explicit_consent_carries_a_transfer(void **state)
{
    struct vault_policy *policy = policy_of(transfers);
    struct vault_query query = query_of(policy, "reader", "service");
    struct vault_facts facts = {.consents = UINT64_C(1) << query.purpose};

    (void)state;
    set_location(&query, "IN");
    withheld(policy, &query, &facts, 0, VAULT_GATE_TRANSFER);
    facts.explicit_consents = facts.consents;
    shown(policy, &query, &facts, 0, VAULT_VIEW_PLAIN);
    vault_policy_unref(policy);
}

/* A consent by name covers the use by that recipient, and so the way there; not the way to where somebody else reads. */
static void test_explicit_consent_to_a_recipient_by_name_carries_the_transfer_to_it(void **state)
{
    struct vault_policy *policy = policy_of(transfers);
    struct vault_query query = query_of(policy, "reader", "service");
    struct vault_facts facts = {.recipient_consents = UINT64_C(1) << query.purpose};

    (void)state;
    query.recipient = vault_policy_recipient_find(policy, "indian");
    withheld(policy, &query, &facts, 0, VAULT_GATE_TRANSFER);
    facts.recipient_explicit_consents = facts.recipient_consents;
    shown(policy, &query, &facts, 0, VAULT_VIEW_PLAIN);
    set_location(&query, "IN");
    withheld(policy, &query, &facts, 0, VAULT_GATE_TRANSFER);
    query.recipient = VAULT_NONE;
    withheld(policy, &query, &facts, 0, VAULT_GATE_TRANSFER);
    vault_policy_unref(policy);
}

/* What is known of somebody beside their fields goes to the recipient as the fields would. */
static void test_what_lies_beside_the_fields_needs_a_line_to_the_recipient_too(void **state)
{
    struct vault_policy *policy = policy_of(transfers);
    struct vault_query query = query_of(policy, "reader", "hosting");
    const struct vault_facts facts = {.residency = VAULT_RESIDENCY_EEA};
    enum vault_view view = VAULT_VIEW_PRESENT;
    int transfer = 77;

    (void)state;
    query.recipient = vault_policy_recipient_find(policy, "indian");
    assert_false(vault_policy_may_leave(policy, &query, &facts, &view, &transfer));
    assert_int_equal(transfer, 77);
    query.recipient = vault_policy_recipient_find(policy, "other");
    assert_true(vault_policy_may_leave(policy, &query, &facts, &view, &transfer));
    assert_string_equal(vault_view_name(view), "token");
    assert_string_equal(vault_policy_transfer_name(policy, transfer), "standard_clauses");
    query.recipient = vault_policy_recipient_find(policy, "near");
    assert_true(vault_policy_may_leave(policy, &query, &facts, &view, &transfer));
    assert_string_equal(vault_view_name(view), "plain");
    assert_int_equal(transfer, VAULT_NONE);
    vault_policy_unref(policy);
}

static void test_data_without_residency_travels_freely(void **state)
{
    struct vault_policy *policy = policy_of(transfers);
    struct vault_query query = query_of(policy, "reader", "service");
    const struct vault_facts facts = {.residency = VAULT_RESIDENCY_NONE};

    (void)state;
    set_location(&query, "CN");
    query.recipient = vault_policy_recipient_find(policy, "other");
    shown(policy, &query, &facts, 0, VAULT_VIEW_PLAIN);
    assert_int_equal(vault_policy_decide(policy, &query, &facts, 0).transfer, VAULT_NONE);
    vault_policy_unref(policy);
}

static const char conditions[] =
    "policy: conditions\n"
    "version: 1\n"
    "controller: { name: N, country: BE, contact: c@n.example }\n"
    "residency: { default: none }\n"
    "records:\n"
    "  person: { purposes: [service], fields: { name: { type: text }, mail: { type: email } } }\n"
    "purposes: { service: { basis: contract } }\n"
    "roles:\n"
    "  desk:\n"
    "    - { do: [read], fields: [person.name], for: [service], when: { location: [BE, US] } }\n"
    "    - { do: [read], fields: [person.mail], for: [service] }\n"
    "    - { do: [read], fields: [person.mail], for: [service], view: masked, when: { location: "
    "[BE] } }\n"
    "    - { do: [read], fields: [person.mail], for: [service], view: present, when: { location: "
    "[US] } }\n";

static void test_a_country_that_is_not_declared_allows_nothing_and_still_restricts(void **state)
{
    struct vault_policy *policy = policy_of(conditions);
    struct vault_query query = query_of(policy, "desk", "service");

    (void)state;
    withheld(policy, &query, NULL, 0, VAULT_GATE_ROLE);
    shown(policy, &query, NULL, 1, VAULT_VIEW_MASKED);
    set_location(&query, "BE");
    shown(policy, &query, NULL, 0, VAULT_VIEW_PLAIN);
    shown(policy, &query, NULL, 1, VAULT_VIEW_MASKED);
    set_location(&query, "FR");
    withheld(policy, &query, NULL, 0, VAULT_GATE_ROLE);
    shown(policy, &query, NULL, 1, VAULT_VIEW_PLAIN);
    vault_policy_unref(policy);
}

static void test_the_strictest_view_that_matches_wins(void **state)
{
    const struct vault_facts free_of_residency = {.residency = VAULT_RESIDENCY_NONE};
    struct vault_policy *policy = policy_of(conditions);
    struct vault_query query = query_of(policy, "desk", "service");

    (void)state;
    set_location(&query, "US");
    shown(policy, &query, &free_of_residency, 1, VAULT_VIEW_PRESENT);
    vault_policy_unref(policy);
}

static void test_explain_names_every_gate_that_says_no(void **state)
{
    struct vault_policy *policy = policy_of_file("tests/scenarios/worksmarter/policy.yaml");
    struct vault_query query = query_of(policy, "newsletter_editor", "send_newsletter");
    const int email = policy_field_of(policy, "newsletter.email");
    bool passes[VAULT_GATES] = {false};

    (void)state;
    set_location(&query, "US");
    assert_int_equal(vault_policy_explain(policy, &query, NULL, email, passes).withheld,
                     VAULT_GATE_CONSENT);
    assert_true(passes[VAULT_GATE_ROLE]);
    assert_true(passes[VAULT_GATE_PURPOSE]);
    assert_false(passes[VAULT_GATE_CONSENT]);
    assert_true(passes[VAULT_GATE_OBJECTION]);
    assert_true(passes[VAULT_GATE_RESTRICTION]);
    assert_true(passes[VAULT_GATE_RETENTION]);
    assert_false(passes[VAULT_GATE_TRANSFER]);
    assert_false(passes[VAULT_GATE_NONE]);
    vault_policy_unref(policy);
}

/* ---- conditions ---- */

static const char time_and_volume[] =
    "policy: conditions\n"
    "version: 1\n"
    "controller: { name: Example BV, country: BE, contact: privacy@example.example }\n"
    "records:\n"
    "  person:\n"
    "    fields: { name: { type: text }, other: { type: text }, pass: { type: secret } }\n"
    "    purposes: [service]\n"
    "purposes: { service: { basis: contract } }\n"
    "roles:\n"
    "  agency:\n"
    "    - { do: [read], fields: [person.*], for: [service] }\n"
    "    - { do: [read], fields: [person.name], for: [service], view: masked, when: { volume_per_hour: "
    "5, location: outside_eea } }\n"
    "    - { do: [verify], fields: [person.pass], for: [service], when: { volume_per_hour: 7, hours: "
    "08:00-18:00 UTC } }\n"
    "  self:\n"
    "    - { do: [read], fields: [person.*], for: [service], when: { own_subject: true, hours: "
    "08:00-18:00 UTC } }\n";

#define HOUR_US (3600 * KL_TIME_SECOND_US)

static void test_a_volume_that_is_used_up_allows_nothing_and_still_restricts(void **state)
{
    struct vault_policy *policy = policy_of(time_and_volume);
    struct vault_facts facts = {.residency = VAULT_RESIDENCY_NONE};
    struct vault_query query = query_of(policy, "agency", "service");
    const int name = policy_field_of(policy, "person.name");
    const int pass = policy_field_of(policy, "person.pass");

    (void)state;
    set_location(&query, "GB");
    shown(policy, &query, &facts, name, VAULT_VIEW_MASKED);
    query.used_up = 2;
    shown(policy, &query, &facts, name, VAULT_VIEW_MASKED);
    query.action = VAULT_ACTION_VERIFY;
    query.now_us += 9 * HOUR_US;
    assert_int_equal(vault_policy_decide(policy, &query, &facts, pass).withheld, VAULT_GATE_NONE);
    query.used_up = 4;
    withheld(policy, &query, &facts, pass, VAULT_GATE_ROLE);
    assert_false(vault_policy_may(policy, &query));
    vault_policy_unref(policy);
}

static void test_what_a_shown_field_counts_for_is_said(void **state)
{
    struct vault_policy *policy = policy_of(time_and_volume);
    struct vault_query query = query_of(policy, "agency", "service");
    const int name = policy_field_of(policy, "person.name");

    (void)state;
    assert_int_equal(vault_policy_volume_grants(policy, query.role), 2 | 4);
    assert_int_equal(vault_policy_volume_grants(policy, VAULT_NONE), 0);
    assert_int_equal(vault_policy_volume(policy, query.role, 1), 5);
    assert_int_equal(vault_policy_volume(policy, query.role, 2), 7);
    assert_int_equal(vault_policy_charged(policy, &query, name), 0); /* it is in the EEA */
    set_location(&query, "GB");
    assert_int_equal(vault_policy_charged(policy, &query, name), 2);
    assert_int_equal(vault_policy_charged(policy, &query, policy_field_of(policy, "person.other")),
                     0);
    query.used_up = 2;
    assert_int_equal(vault_policy_charged(policy, &query, name), 0);
    query = query_of(policy, "self", "service");
    assert_int_equal(vault_policy_volume_grants(policy, query.role), 0);
    query.role = VAULT_NONE;
    assert_int_equal(vault_policy_charged(policy, &query, name), 0);
    vault_policy_unref(policy);
}

static void test_conditions_that_do_not_hold_are_named(void **state)
{
    struct vault_policy *policy = policy_of(time_and_volume);
    struct vault_query query = query_of(policy, "self", "service");
    const int pass = policy_field_of(policy, "person.pass");

    (void)state;
    assert_int_equal(vault_policy_unmet(policy, &query, pass),
                     VAULT_UNMET_OWN_SUBJECT | VAULT_UNMET_HOURS);
    query.own_subject = true;
    assert_int_equal(vault_policy_unmet(policy, &query, pass), VAULT_UNMET_HOURS);
    query.now_us += 8 * HOUR_US;
    assert_int_equal(vault_policy_unmet(policy, &query, pass), 0);
    query = query_of(policy, "agency", "service");
    query.action = VAULT_ACTION_VERIFY;
    query.used_up = 4;
    assert_int_equal(vault_policy_unmet(policy, &query, pass),
                     VAULT_UNMET_VOLUME | VAULT_UNMET_HOURS);
    query.action = VAULT_ACTION_EXPORT; /* no grant at all */
    assert_int_equal(vault_policy_unmet(policy, &query, pass), 0);
    assert_string_equal(vault_unmet_name(0), "location");
    assert_string_equal(vault_unmet_name(3), "volume_per_hour");
    vault_policy_unref(policy);
}

static void test_a_secret_is_present_at_most(void **state)
{
    struct vault_policy *policy = policy_of(time_and_volume);
    struct vault_facts facts = {.residency = VAULT_RESIDENCY_NONE};
    struct vault_query query = query_of(policy, "agency", "service");

    (void)state;
    shown(policy, &query, &facts, policy_field_of(policy, "person.other"), VAULT_VIEW_PLAIN);
    shown(policy, &query, &facts, policy_field_of(policy, "person.pass"), VAULT_VIEW_PRESENT);
    vault_policy_unref(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_subscriber_is_plain_masked_and_withheld_by_role),
        cmocka_unit_test(test_a_built_in_role_sees_nothing),
        cmocka_unit_test(test_without_facts_consent_is_no),
        cmocka_unit_test(test_a_credential_made_for_other_purposes_is_withheld),
        cmocka_unit_test(test_a_read_without_purpose_is_withheld),
        cmocka_unit_test(test_no_country_outside_the_eea_reads_work_smarter),
        cmocka_unit_test(test_knowing_of_a_subject_needs_a_grant_whose_condition_holds),
        cmocka_unit_test(test_a_transfer_needs_a_line_with_a_mechanism_that_holds),
        cmocka_unit_test(test_who_is_shown_tokens_at_most_is_shown_pseudonyms),
        cmocka_unit_test(test_explicit_consent_carries_a_transfer),
        cmocka_unit_test(test_explicit_consent_to_a_recipient_by_name_carries_the_transfer_to_it),
        cmocka_unit_test(test_what_lies_beside_the_fields_needs_a_line_to_the_recipient_too),
        cmocka_unit_test(test_data_without_residency_travels_freely),
        cmocka_unit_test(test_a_country_that_is_not_declared_allows_nothing_and_still_restricts),
        cmocka_unit_test(test_the_strictest_view_that_matches_wins),
        cmocka_unit_test(test_explain_names_every_gate_that_says_no),
        cmocka_unit_test(test_a_volume_that_is_used_up_allows_nothing_and_still_restricts),
        cmocka_unit_test(test_what_a_shown_field_counts_for_is_said),
        cmocka_unit_test(test_conditions_that_do_not_hold_are_named),
        cmocka_unit_test(test_a_secret_is_present_at_most),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
