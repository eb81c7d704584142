/* Clocks by the calendar, the longest purpose, and what keeps nothing. */
#include "vault/retention.h"

#include "tests/support/rights_fixture.h"
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1709208000000000) /* 2024-02-29T12:00:00Z */

static int setup(void **state)
{
    struct vault_policy *policy = NULL;

    assert_int_equal(
        vault_policy_compile(rights_policy_text, strlen(rights_policy_text), &policy, NULL), KL_OK);
    *state = policy;
    return 0;
}

static int teardown(void **state)
{
    vault_policy_unref(*state);
    return 0;
}

static int purpose(const struct vault_policy *policy, const char *name)
{
    return vault_policy_purpose_find(policy, name);
}

static int64_t time_of(const char *text)
{
    int64_t time_us = 0;

    assert_int_equal(kl_time_parse(text, strlen(text), &time_us, NULL), KL_OK);
    return time_us;
}

static void test_a_clock_runs_by_the_calendar(void **state)
{
    struct vault_policy *policy = *state;
    struct vault_manifest_event event = {"service_end", NOW};
    struct vault_manifest_record record = {
        .type = "client", .events = &event, .event_count = 1, .created_us = NOW};

    assert_int_equal(
        vault_retention_clock(vault_policy_purpose(policy, purpose(policy, "service")), &record, 0),
        time_of("2025-02-28T12:00:00Z"));
    assert_int_equal(
        vault_retention_clock(vault_policy_purpose(policy, purpose(policy, "news")), &record, NOW),
        time_of("2025-02-28T12:00:00Z"));
    assert_int_equal(
        vault_retention_clock(vault_policy_purpose(policy, purpose(policy, "surveys")), &record, 0),
        VAULT_RETENTION_OPEN);
    record.event_count = 0;
    assert_int_equal(
        vault_retention_clock(vault_policy_purpose(policy, purpose(policy, "service")), &record, 0),
        VAULT_RETENTION_OPEN);
}

static void test_the_longest_purpose_wins(void **state)
{
    struct vault_policy *policy = *state;
    struct vault_manifest_event event = {"service_end", NOW};
    struct vault_manifest_record record = {
        .type = "client", .events = &event, .event_count = 1, .created_us = NOW};
    struct vault_ledger ledger = {0};
    struct vault_retention retention;

    assert_true(vault_retention_of(policy, &record, &ledger, &retention));
    assert_int_equal(retention.until_us, time_of("2031-02-28T12:00:00Z"));
    assert_int_equal(retention.purpose, purpose(policy, "bookkeeping"));
    record.event_count = 0;
    assert_true(vault_retention_of(policy, &record, &ledger, &retention));
    assert_int_equal(retention.until_us, VAULT_RETENTION_OPEN);
    record.type = "unknown";
    assert_false(vault_retention_of(policy, &record, &ledger, &retention));
}

static void test_a_consent_keeps_until_it_ends_whatever_ends_it(void **state)
{
    struct vault_policy *policy = *state;
    int news = purpose(policy, "news");
    struct vault_manifest_record record = {.type = "client", .created_us = NOW};
    struct vault_ledger_entry entry = {
        .purpose = "news", .given_us = NOW, .evidence = KMS_VALUE_NONE};
    struct vault_ledger ledger = {.entries = &entry, .count = 0};

    /* not given yet: for a while it may still come */
    assert_int_equal(vault_retention_keeps(policy, news, &record, &ledger),
                     NOW + VAULT_RETENTION_PENDING_DAYS * KL_TIME_DAY_US);
    ledger.count = 1;
    assert_int_equal(vault_retention_keeps(policy, news, &record, &ledger),
                     time_of("2025-02-28T12:00:00Z"));
    entry.expires_us = NOW + 100;
    assert_int_equal(vault_retention_keeps(policy, news, &record, &ledger), NOW + 100);
    entry.withdrawn_us = NOW + 7;
    assert_int_equal(vault_retention_keeps(policy, news, &record, &ledger), NOW + 7);
}

static void test_a_fresh_record_waits_for_its_consent_whatever_was_withdrawn_before(void **state)
{
    struct vault_policy *policy = *state;
    int news = purpose(policy, "news");
    struct vault_manifest_record record = {.type = "client", .created_us = NOW};
    struct vault_ledger_entry entry = {.purpose = "news",
                                       .given_us = NOW - 2 * KL_TIME_DAY_US,
                                       .withdrawn_us = NOW - KL_TIME_DAY_US,
                                       .evidence = KMS_VALUE_NONE};
    struct vault_ledger ledger = {.entries = &entry, .count = 1};

    assert_int_equal(vault_retention_keeps(policy, news, &record, &ledger),
                     NOW + VAULT_RETENTION_PENDING_DAYS * KL_TIME_DAY_US);
    record.created_us = NOW - 3 * KL_TIME_DAY_US; /* it was there when the consent was given */
    assert_int_equal(vault_retention_keeps(policy, news, &record, &ledger), entry.withdrawn_us);
}

static void test_what_ended_long_ago_is_due_and_what_is_restricted_or_held_is_not(void **state)
{
    struct vault_policy *policy = *state;
    struct vault_manifest_event event = {"service_end", time_of("1950-01-01T00:00:00Z")};
    struct vault_manifest_record record = {.type = "client",
                                           .events = &event,
                                           .event_count = 1,
                                           .created_us = NOW - 40 * KL_TIME_DAY_US};
    struct vault_ledger ledger = {0};

    assert_true(vault_retention_is_due(policy, &record, &ledger, NOW));
    ledger.restriction.at_us = NOW;
    assert_false(vault_retention_is_due(policy, &record, &ledger, NOW));
    ledger.restriction.at_us = 0;
    record.hold_basis = "litigation";
    record.hold_until_us = NOW + 1;
    assert_false(vault_retention_is_due(policy, &record, &ledger, NOW));
    record.hold_until_us = NOW;
    assert_true(vault_retention_is_due(policy, &record, &ledger, NOW));
    record.gone = true;
    assert_false(vault_retention_is_due(policy, &record, &ledger, NOW));
}

static void test_what_keeps_nothing_keeps_nothing(void **state)
{
    struct vault_policy *policy = *state;
    struct vault_manifest_record record = {.type = "client", .created_us = NOW};
    struct vault_ledger ledger = {0};

    assert_int_equal(
        vault_retention_keeps(policy, purpose(policy, "answer_rights"), &record, &ledger),
        KL_TIME_MIN_US);
    assert_int_equal(vault_retention_keeps(policy, purpose(policy, "surveys"), &record, &ledger),
                     KL_TIME_MIN_US);
}

static void test_only_the_purpose_of_the_query_is_over(void **state)
{
    struct vault_policy *policy = *state;
    struct vault_manifest_event event = {"service_end", NOW};
    struct vault_manifest_record record = {.type = "client", .events = &event, .event_count = 1};
    struct vault_query query = {.purpose = purpose(policy, "service"),
                                .now_us = time_of("2025-02-28T11:59:59Z")};
    struct vault_facts facts = {.ended = 77};

    vault_retention_facts(policy, &query, &record, &facts);
    assert_int_equal(facts.ended, 0);
    query.now_us = time_of("2025-02-28T12:00:00Z");
    vault_retention_facts(policy, &query, &record, &facts);
    assert_int_equal(facts.ended, UINT64_C(1) << query.purpose);
    query.purpose = VAULT_NONE;
    vault_retention_facts(policy, &query, &record, &facts);
    assert_int_equal(facts.ended, 0);
}

static void test_an_obligation_outlives_an_erasure_from_its_start(void **state)
{
    struct vault_policy *policy = *state;
    struct vault_manifest_event event = {"service_end", NOW};
    struct vault_manifest_field fields[] = {{.name = "iban"}, {.name = "email"}};
    struct vault_manifest_record record = {
        .type = "client", .events = &event, .event_count = 1, .fields = fields, .field_count = 2};
    struct vault_retention found[VAULT_OBLIGATIONS_MAX];

    assert_int_equal(vault_retention_obligations(policy, &record, NOW, found), 1);
    assert_int_equal(found[0].purpose, purpose(policy, "bookkeeping"));
    assert_int_equal(found[0].until_us, time_of("2031-02-28T12:00:00Z"));
    assert_int_equal(
        vault_retention_obligations(policy, &record, time_of("2031-02-28T12:00:00Z"), found), 0);
    record.event_count = 0; /* it starts with the erasure */
    assert_int_equal(
        vault_retention_obligations(policy, &record, time_of("2030-01-01T00:00:00Z"), found), 1);
    assert_int_equal(found[0].until_us, time_of("2037-01-01T00:00:00Z"));
    record.field_count = 0; /* nothing is there that it could keep */
    assert_int_equal(vault_retention_obligations(policy, &record, NOW, found), 0);
}

int main(void)
{
#define OF_POLICY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        OF_POLICY(test_a_clock_runs_by_the_calendar),
        OF_POLICY(test_the_longest_purpose_wins),
        OF_POLICY(test_a_consent_keeps_until_it_ends_whatever_ends_it),
        OF_POLICY(test_a_fresh_record_waits_for_its_consent_whatever_was_withdrawn_before),
        OF_POLICY(test_what_ended_long_ago_is_due_and_what_is_restricted_or_held_is_not),
        OF_POLICY(test_what_keeps_nothing_keeps_nothing),
        OF_POLICY(test_only_the_purpose_of_the_query_is_over),
        OF_POLICY(test_an_obligation_outlives_an_erasure_from_its_start),
    };

    return cmocka_run_group_tests_name("retention", tests, NULL, NULL);
}
