/* Changes of a policy that alter an answer: each one presented is made here, by hand, and the answer asked for again. */
#include "tests/support/test.h"
#include "tests/vault/policy_fixture.h"
#include "vault/policy_remedy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_US INT64_C(1767225600000000) /* 2026-01-01 */
#define TEXT_BYTES_MAX ((size_t)2 * VAULT_POLICY_BYTES_MAX)
#define ASKED_PER_FILE 60

static const char *const files[] = {"tests/fixtures/policies/good/conditions.yaml",
                                    "tests/fixtures/policies/good/design-example.yaml",
                                    "tests/fixtures/policies/good/every-word.yaml",
                                    "tests/fuzz/corpus/policy_remedy/layout.yaml",
                                    "tests/scenarios/policy-diff/policy.yaml",
                                    "tests/scenarios/worksmarter/policy.yaml",
                                    "tests/scenarios/we-are/policy.yaml"};

/* A constant seed: what fails, fails again. */
static uint64_t seed = 20261201;
static int below(int count)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int)((seed >> 33) % (uint64_t)count);
}

/* ---- making a change by hand ---- */

/* text has room for TEXT_BYTES_MAX. */
static void make_edit(char *text, const struct vault_explain_edit *edit)
{
    const size_t removed = strlen(edit->remove);
    const size_t inserted = strlen(edit->insert);
    const size_t size = strlen(text);

    assert_true(edit->offset + removed <= size);
    assert_memory_equal(text + edit->offset, edit->remove, removed);
    assert_true(removed + inserted > 0);
    memmove(text + edit->offset + inserted, text + edit->offset + removed,
            size - edit->offset - removed + 1);
    memcpy(text + edit->offset, edit->insert, inserted);
}

static int number_of(const char *const *names, const char *name)
{
    return name == NULL ? VAULT_NONE : vault_policy_find(names, name);
}

/* A question by names, which are the same under every policy. */
struct asked {
    const char *role;
    const char *purpose;
    const char *recipient;
    const char *field;
    struct vault_query query;
};

static struct asked asked_of(const struct vault_policy *policy, const struct vault_query *query,
                             int field)
{
    return (struct asked){
        .role = policy->role_names[query->role],
        .purpose = query->purpose == VAULT_NONE ? NULL : policy->purpose_names[query->purpose],
        .recipient =
            query->recipient == VAULT_NONE ? NULL : policy->recipient_names[query->recipient],
        .field = policy->field_names[field],
        .query = *query};
}

/* Whether it is shown under a policy; agreed: after all that must happen has happened. */
static bool is_shown(const struct vault_policy *policy, const struct asked *asked, bool agreed)
{
    struct vault_query query = asked->query;
    struct vault_facts facts = {.consents = agreed ? POLICY_ALL : 0,
                                .explicit_consents = agreed ? POLICY_ALL : 0,
                                .recipient_consents = agreed ? POLICY_ALL : 0,
                                .recipient_explicit_consents = agreed ? POLICY_ALL : 0};

    query.role = number_of(policy->role_names, asked->role);
    query.purpose = number_of(policy->purpose_names, asked->purpose);
    query.recipient = number_of(policy->recipient_names, asked->recipient);
    return vault_policy_decide(policy, &query, &facts, number_of(policy->field_names, asked->field))
               .withheld == VAULT_GATE_NONE;
}

static bool is_shown_by(const char *text, const struct asked *asked, bool agreed)
{
    struct kl_yaml *yaml = NULL;
    struct vault_policy *policy = NULL;
    bool shown;

    assert_int_equal(kl_yaml_parse(text, strlen(text), &yaml, NULL), KL_OK);
    assert_int_equal(vault_policy_compile_rules(kl_yaml_root(yaml), &policy, NULL), KL_OK);
    kl_yaml_free(yaml);
    shown = is_shown(policy, asked, agreed);
    vault_policy_unref(policy);
    return shown;
}

/* Every change alters the answer, and none of it is too much. */
static void expect_changes(const char *text, const struct vault_explain_result *result,
                           const struct asked *asked)
{
    const bool shown = result->decision.withheld == VAULT_GATE_NONE;
    const bool agreed = result->must_happen_count > 0;
    char *changed = calloc(1, TEXT_BYTES_MAX);

    assert_non_null(changed);
    for (size_t i = 0; i < result->change_count; i++) {
        const struct vault_explain_change *change = &result->changes[i];

        assert_int_not_equal(change->edit_count, 0);
        memcpy(changed, text, strlen(text) + 1);
        for (size_t j = 0; j < change->edit_count; j++) {
            make_edit(changed, &change->edits[j]);
            if (j + 1 == change->edit_count && is_shown_by(changed, asked, agreed) == shown)
                fail_msg("%s of %s for %s: not altered by %s at %s", asked->role, asked->field,
                         asked->purpose, change->edits[j].insert, change->edits[j].where);
        }
        for (size_t j = 1; j < i; j++)
            assert_true(result->changes[j - 1].edit_count <= result->changes[j].edit_count + 1);
    }
    free(changed);
}

/* ---- any question ---- */

struct tally {
    size_t asked, shown, changes, must_happen;
};

static void ask(struct vault_policy *policy, const char *text, const struct vault_query *query,
                int field, struct tally *tally)
{
    struct kl_arena *arena = kl_arena_new(16 * 1024 * 1024);
    struct vault_remedy remedy = {
        .policy = policy, .text = kl_slice_text(text), .query = query, .arena = arena};
    struct vault_explain_result result = {0};
    const struct asked asked = asked_of(policy, query, field);
    struct kl_err err = {0};

    assert_non_null(arena);
    result.decision = vault_policy_decide(policy, query, NULL, field);
    if (vault_remedy_find(&remedy, field, &result, &err) != KL_OK)
        fail_msg("%s %s", err.code, err.log_text);
    assert_true(result.searched);
    expect_changes(text, &result, &asked);
    if (result.change_count == 0 && result.must_happen_count == 0)
        fail_msg("%s may %s %s for %s: %s, and nothing alters it", asked.role,
                 vault_action_name(query->action), asked.field,
                 asked.purpose == NULL ? "nothing" : asked.purpose,
                 vault_gate_name(result.decision.withheld));
    tally->asked++;
    tally->shown += result.decision.withheld == VAULT_GATE_NONE;
    tally->changes += result.change_count;
    tally->must_happen += result.must_happen_count;
    kl_arena_free(arena);
}

/* What a grant of the role lets, or would: most questions taken at random are far from anything. */
static void near_grant(const struct vault_policy *policy, struct vault_query *query, int *ret_field)
{
    const struct policy_role *role = &policy->roles[query->role];
    const struct policy_grant *grant = &role->grants[below((int)role->grant_count)];

    do
        query->action = (enum vault_action)below(VAULT_ACTIONS);
    while ((grant->actions & (1u << query->action)) == 0);
    do
        *ret_field = below((int)policy->field_count);
    while (!policy_bit(grant->fields[*ret_field / 64], *ret_field % 64));
    do
        query->purpose = below((int)policy->purpose_count);
    while (!policy_bit(grant->purposes, query->purpose));
}

static struct vault_query any_query(const struct vault_policy *policy, int *ret_field)
{
    static const char *const places[] = {"", "", "BE", "US", "GB", "CA"};
    const char *place = places[below(6)];
    struct vault_query query = {.role = below((int)policy->role_count),
                                .action = (enum vault_action)below(VAULT_ACTIONS),
                                .purpose = below((int)policy->purpose_count),
                                .credential_purposes = POLICY_ALL,
                                .recipient = VAULT_NONE,
                                .own_subject = below(4) == 0,
                                .now_us = NOW_US};

    *ret_field = below((int)policy->field_count);
    if (below(2) == 0)
        near_grant(policy, &query, ret_field);
    if (policy->recipient_count > 0 && below(4) == 0)
        query.recipient = below((int)policy->recipient_count);
    if (place[0] != '\0')
        memcpy(query.location.code, place, 3);
    return query;
}

static void test_every_change_that_is_presented_alters_the_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char *text = policy_file(files[i]);
        struct vault_policy *policy = policy_of(text);
        struct tally tally = {0};

        for (size_t j = 0; j < ASKED_PER_FILE; j++) {
            int field = VAULT_NONE;
            const struct vault_query query = any_query(policy, &field);

            ask(policy, text, &query, field, &tally);
        }
        printf("%s: %zu asked, %zu shown, %zu changes, %zu needs\n", files[i], tally.asked,
               tally.shown, tally.changes, tally.must_happen);
        assert_true(tally.shown > 0 && tally.shown < tally.asked &&
                    tally.changes > tally.asked / 2);
        vault_policy_unref(policy);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_change_that_is_presented_alters_the_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
