/* What falls due: the same records that the run that erases finds, told to those who may know. */
#include "kluis/vault/admin.h"
#include "kluis/vault/duties.h"

#include "tests/support/rights_fixture.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#define DAYS(n) ((int64_t)(n)*KL_TIME_DAY_US)
#define LONG_AGO (-8 * 366)

static enum kl_status report_as(struct vault_fixture *fixture, struct vault_caller caller,
                                int64_t days, size_t limit, struct vault_retention_report *ret,
                                char cursor[VAULT_CURSOR_MAX_BYTES + 1])
{
    enum kl_status status;

    kl_err_clear(&fixture->err);
    status = vault_report_retention(fixture_vault(fixture), &caller, caller.now_us + DAYS(days),
                                    limit, cursor, fixture->arena, ret, cursor, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

static struct vault_retention_report report(struct vault_fixture *fixture, const char *role,
                                            int64_t days)
{
    struct vault_retention_report seen = {0};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";

    if (report_as(fixture, fixture_caller(fixture, role), days, 100, &seen, cursor) != KL_OK) {
        fail_msg("%s %s", fixture->err.code, fixture->err.client_text);
    }
    assert_string_equal(cursor, "");
    return seen;
}

/* A client whose service ended so many days ago, and who does not consent to anything any more. */
static struct vault_subject_result ended(struct vault_fixture *fixture, const char *email,
                                         int64_t days)
{
    struct vault_subject_result made = rights_client(fixture, email, true);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");

    assert_int_equal(
        vault_consent_withdraw(fixture_vault(fixture), &dpo, &made.id, "news", NULL, NULL), KL_OK);
    vault_caller_done(&dpo);
    assert_int_equal(rights_event(fixture, "writer", &made, "service_end", days, NULL, NULL),
                     KL_OK);
    return made;
}

static void test_what_falls_due_is_told_by_type_and_purpose_with_ids(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result soon = ended(fixture, "ana@example.org", -7 * 365 + 20);
    struct vault_retention_report seen;

    (void)ended(fixture, "bob@example.org", -400);
    (void)rights_client(fixture, "cas@example.org", true);
    seen = report(fixture, "reporter", 0);
    assert_int_equal(seen.subjects_seen, 3);
    assert_int_equal(seen.records_due, 0);
    assert_int_equal(seen.subject_count, 0);
    seen = report(fixture, "reporter", 40);
    assert_int_equal(seen.records_due, 1);
    assert_int_equal(seen.subjects_due, 1);
    assert_int_equal(seen.count_count, 1);
    assert_string_equal(seen.counts[0].type, "client");
    assert_string_equal(seen.counts[0].purpose, "bookkeeping");
    assert_int_equal(seen.counts[0].records, 1);
    assert_int_equal(seen.subject_count, 1);
    assert_true(kl_id_equal(&seen.subjects[0].id, &soon.id));
    assert_true(seen.subjects[0].whole);
    assert_true(kl_id_equal(&seen.subjects[0].records[0].id, &soon.records[0].id));
    assert_int_equal(report(fixture, "reporter", 8 * 366).records_due, 2);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"report_retention\""), 4);
}

/* The job's own answer for the same moment, which is now. */
static void dry_run(struct vault_fixture *fixture, int64_t *ret_records, int64_t *ret_subjects)
{
    const struct vault_retention_input input = {.dry_run = true};
    struct vault_caller steward = admin_steward(fixture->admin);
    struct kl_json *json = NULL;
    const struct kl_json_value *run = NULL;
    struct kl_json_iter iter;
    struct kl_buf shown;

    kl_buf_init(&shown, 1 << 20);
    assert_int_equal(
        vault_retention_start(fixture_vault(fixture), &steward, &input, NULL, &shown, NULL, NULL),
        KL_OK);
    assert_int_equal(vault_upkeep_run(fixture_vault(fixture), NULL), KL_OK);
    kl_buf_clear(&shown);
    assert_int_equal(vault_retention_list(fixture_vault(fixture), &steward, 1, &shown, NULL),
                     KL_OK);
    assert_int_equal(kl_json_parse(shown.bytes, shown.size, &json, NULL), KL_OK);
    iter = kl_json_iter(kl_json_root(json));
    assert_true(kl_json_next(&iter, NULL, &run));
    assert_true(kl_json_int(kl_json_member(run, "records_due"), ret_records));
    assert_true(kl_json_int(kl_json_member(run, "subjects_due"), ret_subjects));
    kl_json_free(json);
    kl_buf_done(&shown);
    vault_caller_done(&steward);
}

static void test_it_finds_what_a_dry_run_finds(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_retention_report seen;
    int64_t records = 0;
    int64_t subjects = 0;

    (void)ended(fixture, "ana@example.org", LONG_AGO);
    (void)ended(fixture, "bob@example.org", LONG_AGO);
    (void)ended(fixture, "cas@example.org", -400);
    dry_run(fixture, &records, &subjects);
    seen = report(fixture, "reporter", 0);
    assert_int_equal(records, 2);
    assert_int_equal(seen.records_due, records);
    assert_int_equal(seen.subjects_due, subjects);
}

static void test_what_is_held_or_restricted_or_erased_is_not_due(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result held = ended(fixture, "ana@example.org", LONG_AGO);
    struct vault_subject_result restricted = ended(fixture, "bob@example.org", LONG_AGO);
    struct vault_subject_result erased = ended(fixture, "cas@example.org", LONG_AGO);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    int64_t until_us = dpo.now_us + DAYS(10);
    struct vault_retention_report seen;

    assert_int_equal(report(fixture, "reporter", 0).records_due, 3);
    assert_int_equal(vault_record_hold(fixture_vault(fixture), &dpo, &held.id, &held.records[0].id,
                                       "litigation", until_us, NULL),
                     KL_OK);
    vault_caller_done(&dpo);
    assert_int_equal(rights_restrict(fixture, "dpo", &restricted.id), KL_OK);
    fixture_erase(fixture, &erased.id);
    assert_int_equal(report(fixture, "reporter", 0).records_due, 0);
    seen = report(fixture, "reporter", 11);
    assert_int_equal(seen.records_due, 1);
    assert_int_equal(seen.subjects[0].records[0].due_us, until_us);
}

static void test_stewards_and_auditors_are_told_numbers_of_nobody(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_retention_report seen = {0};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";

    (void)ended(fixture, "ana@example.org", LONG_AGO);
    assert_int_equal(report_as(fixture, admin_steward(fixture->admin), 0, 1, &seen, cursor), KL_OK);
    assert_int_equal(seen.records_due, 1);
    assert_int_equal(seen.subject_count, 0);
    assert_int_equal(seen.counts[0].records, 1);
}

static void test_a_role_is_told_what_it_may_report_on(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_retention_report seen = {0};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";

    (void)ended(fixture, "ana@example.org", LONG_AGO);
    (void)ended(fixture, "bob@example.org", -7 * 365 + 20);
    assert_int_equal(report(fixture, "reporter", 40).records_due, 2);
    assert_int_equal(report(fixture, "book_reporter", 40).records_due, 1);
    assert_int_equal(report_as(fixture, fixture_caller(fixture, "dpo"), 0, 10, &seen, cursor),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "withheld");
    assert_int_equal(report_as(fixture,
                               fixture_caller_with(fixture, "reporter", NULL, "surveys", NULL), 0,
                               10, &seen, cursor),
                     KL_OK);
    assert_int_equal(seen.records_due, 0);
    assert_int_equal(report_as(fixture, fixture_caller_with(fixture, "reporter", "US", NULL, NULL),
                               0, 10, &seen, cursor),
                     KL_OK);
    assert_int_equal(seen.records_due, 0);
    assert_int_equal(seen.subject_count, 0);
}

static void test_who_reports_in_tokens_is_told_nobody(void **state)
{
    struct vault_fixture *fixture = *state;

    fixture_apply_changed(fixture, rights_policy_text, "roles:\n",
                          "roles:\n"
                          "  token_reporter:\n"
                          "    - { do: [report], fields: [\"*\"], for: [\"*\"], view: token }\n"
                          "  present_reporter:\n"
                          "    - { do: [report], fields: [\"*\"], for: [\"*\"], view: present }\n"
                          "  mask_reporter:\n"
                          "    - { do: [report], fields: [\"*\"], for: [\"*\"], view: masked }\n");
    (void)ended(fixture, "ana@example.org", LONG_AGO);
    assert_int_equal(report(fixture, "mask_reporter", 0).subject_count, 1);
    assert_int_equal(report(fixture, "token_reporter", 0).subject_count, 0);
    assert_int_equal(report(fixture, "present_reporter", 0).subject_count, 0);
}

static void test_the_trail_says_by_which_line_it_was_told_abroad(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_retention_report seen = {0};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";

    fixture_apply_changed(fixture, rights_policy_text, "standard_clauses, view: token }",
                          "standard_clauses }");
    (void)ended(fixture, "ana@example.org", LONG_AGO);
    assert_int_equal(report(fixture, "reporter", 0).subject_count, 1);
    assert_int_equal(fixture_trail(fixture, "\"transfers\""), 0);
    assert_int_equal(report_as(fixture, fixture_caller_with(fixture, "reporter", "US", NULL, NULL),
                               0, 10, &seen, cursor),
                     KL_OK);
    assert_int_equal(seen.subject_count, 1);
    assert_int_equal(fixture_trail(fixture, "\"transfers\":[\"standard_clauses"), 1);
}

static void test_pages_add_up(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_retention_report seen = {0};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    char email[32];
    uint64_t records = 0;
    uint64_t subjects = 0;
    int i;

    for (i = 0; i < 5; i++) {
        (void)snprintf(email, sizeof email, "p%d@example.org", i);
        (void)ended(fixture, email, LONG_AGO);
    }
    do {
        assert_int_equal(
            report_as(fixture, fixture_caller(fixture, "reporter"), 0, 2, &seen, cursor), KL_OK);
        records += seen.records_due;
        subjects += seen.subjects_seen;
    } while (cursor[0] != '\0');
    assert_int_equal(records, 5);
    assert_int_equal(subjects, 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rights_setup, vault_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_falls_due_is_told_by_type_and_purpose_with_ids),
        TEST(test_it_finds_what_a_dry_run_finds),
        TEST(test_what_is_held_or_restricted_or_erased_is_not_due),
        TEST(test_stewards_and_auditors_are_told_numbers_of_nobody),
        TEST(test_a_role_is_told_what_it_may_report_on),
        TEST(test_who_reports_in_tokens_is_told_nobody),
        TEST(test_the_trail_says_by_which_line_it_was_told_abroad),
        TEST(test_pages_add_up),
    };

    return cmocka_run_group_tests_name("report_retention", tests, admin_group_setup, NULL);
}
