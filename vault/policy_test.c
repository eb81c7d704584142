/* The section tests: what the policy's author expects of it, asked of the compiled policy. */
#include "vault/policy_internal.h"

#include <stdio.h>
#include <string.h>

#define TESTS_MAX 4096
#define OUTCOME_BYTES 40

/* The key that names a test's field says the action too. */
static const struct verb {
    const char *key;
    enum vault_action action;
} verbs[] = {
    {"reads", VAULT_ACTION_READ},      {"writes", VAULT_ACTION_WRITE},
    {"looks_up", VAULT_ACTION_LOOKUP}, {"verifies", VAULT_ACTION_VERIFY},
    {"exports", VAULT_ACTION_EXPORT},  {"discloses", VAULT_ACTION_DISCLOSE},
    {"erases", VAULT_ACTION_ERASE},    {"reports", VAULT_ACTION_REPORT},
};

struct policy_case {
    struct vault_query query;
    struct vault_facts facts;
    int field;
    const char *expect;
};

static void read_field_of_case(struct policy_parse *parse, policy_node node,
                               struct policy_case *test)
{
    size_t found = 0;

    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        policy_node value = kl_yaml_member(node, verbs[i].key);
        if (value == NULL)
            continue;
        found++;
        test->query.action = verbs[i].action;
        test->field = vault_policy_field_number(parse, value);
    }
    if (found != 1)
        vault_policy_error(
            parse, node, "wrong_shape",
            "a test asks for one field with one of reads, writes, looks_up, verifies, "
            "exports, discloses, erases, reports");
}

static void read_from(struct policy_parse *parse, policy_node node, struct vault_query *query)
{
    struct kl_err err = {0};
    const char *text = vault_policy_scalar_text(parse, node, "from");

    if (text != NULL && vault_place_country(text, &query->location, &err) != KL_OK)
        vault_policy_error(parse, node, err.code, "%s", err.client_text);
}

/* A day stands for its first moment in UTC; a time of day for that time today. */
static void read_at(struct policy_parse *parse, policy_node node, int64_t *ret_now_us)
{
    const char *text = vault_policy_scalar_text(parse, node, "at");

    if (text != NULL && kl_date_parse(text, strlen(text), ret_now_us, NULL) != KL_OK &&
        kl_time_parse(text, strlen(text), ret_now_us, NULL) != KL_OK &&
        !vault_hours_moment(text, *ret_now_us, ret_now_us))
        vault_policy_error(parse, node, "invalid_date",
                           "at is a date, a moment as RFC 3339 writes it, or a time of day as "
                           "22:30 Europe/Brussels");
}

static void read_consents(struct policy_parse *parse, policy_node node, const char *key,
                          uint64_t *ret_bits)
{
    policy_node list = kl_yaml_member(node, key);

    if (list != NULL)
        (void)vault_policy_names(parse, list, "purpose", false, parse->policy->purpose_names,
                                 ret_bits);
}

static void read_facts(struct policy_parse *parse, policy_node node, struct policy_case *test)
{
    static const char *const residencies[] = {"EEA", "none", NULL};
    policy_node residency = kl_yaml_member(node, "residency");
    policy_node own = kl_yaml_member(node, "own_subject");
    policy_node restricted = kl_yaml_member(node, "restricted");
    policy_node beyond = kl_yaml_member(node, "beyond_volume");
    bool used_up = false;
    struct vault_facts *facts = &test->facts;

    read_consents(parse, node, "consent", &facts->consents);
    read_consents(parse, node, "explicit_consent", &facts->explicit_consents);
    read_consents(parse, node, "recipient_consent", &facts->recipient_consents);
    facts->recipient_explicit_consents = facts->recipient_consents & facts->explicit_consents;
    facts->consents |= facts->explicit_consents;
    read_consents(parse, node, "objection", &facts->objections);
    read_consents(parse, node, "consent_in_restriction", &facts->consents_in_restriction);
    read_consents(parse, node, "ended", &facts->ended);
    if (restricted != NULL)
        (void)vault_policy_bool(parse, restricted, "restricted", &facts->restricted);
    facts->residency = parse->policy->residency;
    if (residency != NULL)
        facts->residency = vault_policy_word(parse, residency, "residency", residencies) == 1
                               ? VAULT_RESIDENCY_NONE
                               : VAULT_RESIDENCY_EEA;
    if (own != NULL)
        (void)vault_policy_bool(parse, own, "own_subject", &test->query.own_subject);
    if (beyond != NULL && vault_policy_bool(parse, beyond, "beyond_volume", &used_up) && used_up)
        test->query.used_up = vault_policy_volume_grants(parse->policy, test->query.role);
}

/* plain, masked, token, present, allowed (any of them), or "withheld GATE". */
static const char *read_expect(struct policy_parse *parse, policy_node node)
{
    static const char *const words[] = {"plain",
                                        "masked",
                                        "token",
                                        "present",
                                        "allowed",
                                        "withheld role",
                                        "withheld purpose",
                                        "withheld consent",
                                        "withheld objection",
                                        "withheld restriction",
                                        "withheld retention",
                                        "withheld transfer",
                                        NULL};
    int word = vault_policy_word(parse, node, "outcome", words);

    return word < 0 ? NULL : words[word];
}

static int read_number(struct policy_parse *parse, policy_node node, const char *what,
                       const char *const *names)
{
    return node == NULL ? VAULT_NONE : vault_policy_word(parse, node, what, names);
}

/* Only of use when no finding came of it. */
static struct policy_case read_case(struct policy_parse *parse, policy_node node)
{
    static const char *const keys[] = {"role",
                                       "reads",
                                       "writes",
                                       "looks_up",
                                       "verifies",
                                       "exports",
                                       "discloses",
                                       "erases",
                                       "reports",
                                       "for",
                                       "from",
                                       "consent",
                                       "recipient",
                                       "explicit_consent",
                                       "recipient_consent",
                                       "at",
                                       "residency",
                                       "expect",
                                       "own_subject",
                                       "beyond_volume",
                                       "description",
                                       "objection",
                                       "restricted",
                                       "ended",
                                       "consent_in_restriction",
                                       "ground",
                                       NULL};
    const struct vault_policy *policy = parse->policy;
    struct policy_case test = {.query = {.role = VAULT_NONE,
                                         .purpose = VAULT_NONE,
                                         .recipient = VAULT_NONE,
                                         .credential_purposes = POLICY_ALL,
                                         .now_us = kl_time_now_us()}};
    struct vault_query *query = &test.query;

    if (!vault_policy_mapping(parse, node, "a test", keys))
        return test;
    query->role = read_number(parse, vault_policy_member(parse, node, "role", "a test"), "role",
                              policy->role_names);
    query->purpose =
        read_number(parse, kl_yaml_member(node, "for"), "purpose", policy->purpose_names);
    query->recipient =
        read_number(parse, kl_yaml_member(node, "recipient"), "recipient", policy->recipient_names);
    query->ground = (enum vault_ground)(1 + read_number(parse, kl_yaml_member(node, "ground"),
                                                        "ground", vault_policy_ground_words));
    read_field_of_case(parse, node, &test);
    read_from(parse, kl_yaml_member(node, "from"), query);
    read_at(parse, kl_yaml_member(node, "at"), &query->now_us);
    read_facts(parse, node, &test);
    test.expect = read_expect(parse, vault_policy_member(parse, node, "expect", "a test"));
    (void)vault_policy_scalar_text(parse, kl_yaml_member(node, "description"), "description");
    return test;
}

static void run_case(struct policy_parse *parse, policy_node node, const struct policy_case *test)
{
    const struct vault_decision decision =
        vault_policy_decide(parse->policy, &test->query, &test->facts, test->field);
    const bool shown = decision.withheld == VAULT_GATE_NONE;
    char outcome[OUTCOME_BYTES];

    (void)snprintf(outcome, sizeof outcome, "%s%s", shown ? "" : "withheld ",
                   shown ? vault_view_name(decision.view) : vault_gate_name(decision.withheld));
    if (strcmp(outcome, test->expect) == 0 || (shown && strcmp(test->expect, "allowed") == 0))
        return;
    vault_policy_error(parse, node, "test_failed", "test failed: expected %s, came out %s",
                       test->expect, outcome);
}

void vault_policy_read_tests(struct policy_parse *parse, policy_node root, bool run)
{
    policy_node node = kl_yaml_member(root, "tests");

    if (!vault_policy_list(parse, node, "tests", TESTS_MAX))
        return;
    for (size_t i = 0; i < node->count; i++)
        (void)read_case(parse, node->items[i]);
    if (!run || parse->findings->errors > 0)
        return;
    for (size_t i = 0; i < node->count; i++) {
        const struct policy_case test = read_case(parse, node->items[i]);
        run_case(parse, node->items[i], &test);
    }
}
