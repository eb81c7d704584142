/* The access report: all that is known of somebody, decided on field by field, in the trail before it leaves. */
#include "tests/support/report_fixture.h"
#include "tests/support/rights_fixture.h"
#include "tests/support/test.h"

#include <string.h>

static struct vault_caller as(struct vault_fixture *fixture, const char *role)
{
    return fixture_caller(fixture, role);
}

static enum vault_gate gate_of(const struct vault_report *report, const char *field)
{
    return report_field(&report->told, field, NULL)->withheld;
}

static void test_a_report_has_all_fields_and_says_until_when(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = report_person(fixture, "counter", true);
    struct vault_report report;
    const struct vault_told_record *known;
    size_t i;

    assert_int_equal(report_as(fixture, as(fixture, "dpo"), &made.id, NULL, &report), KL_OK);
    assert_int_equal(report.told.subject.record_count, 2);
    assert_int_equal(report.told.records_not_shown, 0);
    assert_true(fixture_value_is(report_field(&report.told, "name", NULL), "Ana Maes"));
    assert_true(fixture_value_is(report_field(&report.told, "invoice", NULL), "twelve euro"));
    assert_int_equal(report_field(&report.told, "pin", NULL)->view, VAULT_VIEW_PRESENT);
    assert_int_equal(report_field(&report.told, "pin", NULL)->value.size, 0);
    known = &report.told.records[0];
    assert_false(known->from_others);
    assert_int_equal(known->purpose_count, 5);
    for (i = 0; i < known->purpose_count; i++) {
        const struct vault_policy_purpose *of =
            vault_policy_purpose(report.told.policy, known->purposes[i].purpose);
        const int64_t until_us = known->purposes[i].until_us;

        if (of->keeps_nothing) {
            assert_true(until_us == KL_TIME_MIN_US);
        } else if (strcmp(of->name, "service") == 0) {
            assert_true(until_us == KL_TIME_MAX_US); /* the event has not come */
        } else {
            assert_true(until_us > report.told.made_us && until_us < KL_TIME_MAX_US);
        }
    }
    assert_int_equal(report.consent_count, 1);
    assert_true(report.consents[0].counts);
}

static void test_what_is_withheld_names_its_gate(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = report_person(fixture, NULL, true);
    struct vault_report report;

    assert_int_equal(report_as(fixture, as(fixture, "half"), &made.id, NULL, &report), KL_OK);
    assert_int_equal(gate_of(&report, "name"), VAULT_GATE_NONE);
    assert_int_equal(gate_of(&report, "email"), VAULT_GATE_ROLE);
    assert_int_equal(report_field(&report.told, "email", NULL)->value.size, 0);
    assert_int_equal(report.told.subject.record_count, 1);
    assert_int_equal(report.told.records_not_shown, 1);
    assert_int_equal(report_as(fixture, as(fixture, "dpo"), &made.id, "surveys", &report), KL_OK);
    assert_int_equal(gate_of(&report, "score"), VAULT_GATE_NONE);
    assert_int_equal(gate_of(&report, "diet"), VAULT_GATE_PURPOSE);
}

static void test_the_place_of_the_credential_counts(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = report_person(fixture, NULL, false);
    struct vault_report report;

    assert_int_equal(report_as(fixture, fixture_caller_with(fixture, "dpo", "US", NULL, NULL),
                               &made.id, NULL, &report),
                     KL_OK);
    assert_true(fixture_value_is(report_field(&report.told, "name", NULL), "A. M."));
    assert_int_equal(report.withheld, VAULT_REPORT_CONSENTS | VAULT_REPORT_RESTRICTION);
    assert_int_equal(report.consent_count, 0);
    assert_int_equal(fixture_trail(fixture, "\"transfers\":[\"standard_clauses\""), 1);
    assert_int_equal(report_as(fixture, fixture_caller_with(fixture, "dpo", "BR", NULL, NULL),
                               &made.id, NULL, &report),
                     KL_OK);
    assert_int_equal(gate_of(&report, "name"), VAULT_GATE_TRANSFER);
    assert_int_equal(report.withheld, VAULT_REPORT_CONSENTS | VAULT_REPORT_RESTRICTION);
    assert_int_equal(report.consent_count, 0);
}

/* For news the US gets tokens: a read there shows pseudonyms, and a report would say whose they are. */
static void test_where_only_pseudonyms_may_go_there_is_no_report(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = report_person(fixture, NULL, false);
    struct vault_report report = {.purposes = 77};

    assert_int_equal(report_as(fixture, fixture_caller_with(fixture, "dpo", "US", "news", NULL),
                               &made.id, NULL, &report),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "withheld");
    assert_non_null(strstr(fixture->err.client_text, "gate transfer"));
    assert_int_equal(report.purposes, 77);
    assert_int_equal(report_as(fixture, fixture_caller_with(fixture, "dpo", "BE", "news", NULL),
                               &made.id, NULL, &report),
                     KL_OK);
}

static void test_the_trail_says_by_which_line_an_objection_was_told(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = report_person(fixture, NULL, false);
    struct vault_report report;

    fixture_apply_changed(
        fixture, report_policy_text,
        "clauses, view: masked }\n"
        "    - { to: [US], mechanism: certification, purposes: [news], view: token",
        "clauses, purposes: [service, news, bookkeeping], view: masked }\n"
        "    - { to: [US], mechanism: certification, purposes: [surveys]");
    assert_int_equal(report_as(fixture, fixture_caller_with(fixture, "dpo", "US", NULL, NULL),
                               &made.id, NULL, &report),
                     KL_OK);
    assert_int_equal(fixture_trail(fixture, "\"certification\""), 0);
    assert_int_equal(rights_object(fixture, "dpo", &made.id, "surveys", NULL), KL_OK);
    assert_int_equal(report_as(fixture, fixture_caller_with(fixture, "dpo", "US", NULL, NULL),
                               &made.id, NULL, &report),
                     KL_OK);
    assert_int_equal(report.objection_count, 1);
    assert_int_equal(fixture_trail(fixture, "\"transfers\":[\"certification\"]"), 1);
}

static void test_who_may_not_report_finds_nobody(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = report_person(fixture, NULL, false);
    struct vault_subject_result other = report_person(fixture, NULL, false);
    const struct kl_id unknown = kl_id_new();
    struct vault_report report = {.purposes = 77};
    char known[KL_ERR_TEXT_BYTES];

    assert_int_equal(report_as(fixture, as(fixture, "dpo"), &unknown, NULL, &report),
                     KL_ERR_NOT_FOUND);
    memcpy(known, fixture->err.client_text, sizeof known);
    assert_int_equal(report_as(fixture, as(fixture, "writer"), &made.id, NULL, &report),
                     KL_ERR_NOT_FOUND);
    assert_string_equal(fixture->err.client_text, known);
    assert_int_equal(report_as(fixture, fixture_caller_with(fixture, "self", NULL, NULL, &other.id),
                               &made.id, NULL, &report),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(report.purposes, 77);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"report\""), 3);
    assert_int_equal(fixture_trail(fixture, "\"result\":\"refused\""), 3);
    assert_int_equal(report_as(fixture, fixture_caller_with(fixture, "self", NULL, NULL, &made.id),
                               &made.id, NULL, &report),
                     KL_OK);
}

static void test_a_record_that_alone_is_left_hides_the_subject_from_others(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_field_input story = fixture_field("story", "alone");
    const struct vault_record_input record = {.type = "note", .fields = &story, .field_count = 1};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};
    struct vault_caller writer = as(fixture, "writer");
    struct vault_subject_result made = {0};
    struct vault_report report;

    assert_int_equal(vault_subject_create(fixture_vault(fixture), &writer, &input, NULL,
                                          fixture->arena, &made, &fixture->err),
                     KL_OK);
    vault_caller_done(&writer);
    assert_int_equal(report_as(fixture, as(fixture, "half"), &made.id, NULL, &report),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(report_as(fixture, as(fixture, "dpo"), &made.id, NULL, &report), KL_OK);
}

static void test_the_trail_says_what_was_told(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = report_person(fixture, NULL, true);
    struct vault_report report;

    assert_int_equal(report_as(fixture, as(fixture, "half"), &made.id, NULL, &report), KL_OK);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"report\""), 1);
    assert_int_equal(fixture_trail(fixture,
                                   "\"fields\":{\"name\":\"plain\"},\"withheld\":{\"email\":"
                                   "\"role\""),
                     1);
    assert_int_equal(fixture_trail(fixture, "Ana"), 0);
    assert_int_equal(report_as(fixture, as(fixture, "dpo"), &made.id, "nothing", &report),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "unknown_purpose");
}

static void test_a_report_counts_under_a_volume(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = report_person(fixture, NULL, false);
    struct vault_report report;

    assert_int_equal(report_as(fixture, as(fixture, "once"), &made.id, NULL, &report), KL_OK);
    assert_int_equal(report_as(fixture, as(fixture, "once"), &made.id, NULL, &report),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "volume_exceeded");
    assert_true(fixture->err.retry_after_s > 0);
}

static void report_once(struct vault_fixture *fixture, struct vault_caller caller,
                        const struct kl_id *subject)
{
    struct vault_report report;

    assert_int_equal(vault_report_read(fixture_vault(fixture), &caller, subject, NULL,
                                       fixture->arena, &report, &fixture->err),
                     KL_OK);
    assert_int_equal(vault_report_read(fixture_vault(fixture), &caller, subject, NULL,
                                       fixture->arena, &report, &fixture->err),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "volume_exceeded");
    kl_err_clear(&fixture->err);
    vault_caller_done(&caller);
}

static void test_a_report_without_any_field_counts_as_well(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = report_person(fixture, NULL, false);
    const struct vault_field_input story = fixture_field("story", "alone");
    const struct vault_record_input record = {.type = "note", .fields = &story, .field_count = 1};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};
    struct vault_caller writer;
    struct vault_caller eraser;
    struct kl_buf receipt;

    fixture_apply_changed(
        fixture, report_policy_text, "roles:\n",
        "roles:\n"
        "  eraser:\n"
        "    - { do: [erase], fields: [\"*\"] }\n"
        "  once_beside:\n"
        "    - { do: [report], fields: [member.*], when: { volume_per_hour: 1 } }\n"
        "    - { do: [report], fields: [note.*] }\n");
    report_once(fixture, fixture_caller_with(fixture, "once", "BR", NULL, NULL), &made.id);
    report_once(fixture, fixture_caller_with(fixture, "once_beside", "BR", NULL, NULL), &made.id);
    writer = as(fixture, "writer");
    assert_int_equal(vault_subject_create(fixture_vault(fixture), &writer, &input, NULL,
                                          fixture->arena, &made, &fixture->err),
                     KL_OK);
    eraser = fixture_caller(fixture, "eraser");
    kl_buf_init(&receipt, 65536);
    assert_int_equal(vault_record_erase(fixture_vault(fixture), &eraser, &made.id,
                                        &made.records[0].id, VAULT_ERASE_REQUEST, &receipt,
                                        &fixture->err),
                     KL_OK);
    kl_buf_done(&receipt);
    vault_caller_done(&eraser);
    vault_caller_done(&writer);
    report_once(fixture, fixture_caller(fixture, "once"), &made.id);
}

static void test_a_credential_for_several_purposes_names_one(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = report_person(fixture, NULL, false);
    struct vault_caller caller = as(fixture, "dpo");
    struct vault_report report;

    caller.purposes = UINT64_C(1) << vault_policy_purpose_find(caller.policy, "service") |
                      UINT64_C(1) << vault_policy_purpose_find(caller.policy, "trial");
    assert_int_equal(report_as(fixture, caller, &made.id, NULL, &report), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "purpose_required");
    assert_int_equal(report_as(fixture, fixture_caller_with(fixture, "dpo", NULL, "trial", NULL),
                               &made.id, NULL, &report),
                     KL_OK);
    assert_int_equal(gate_of(&report, "name"), VAULT_GATE_NONE);
    assert_int_equal(gate_of(&report, "score"), VAULT_GATE_PURPOSE);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, report_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_report_has_all_fields_and_says_until_when),
        TEST(test_what_is_withheld_names_its_gate),
        TEST(test_the_place_of_the_credential_counts),
        TEST(test_where_only_pseudonyms_may_go_there_is_no_report),
        TEST(test_the_trail_says_by_which_line_an_objection_was_told),
        TEST(test_who_may_not_report_finds_nobody),
        TEST(test_a_record_that_alone_is_left_hides_the_subject_from_others),
        TEST(test_the_trail_says_what_was_told),
        TEST(test_a_report_counts_under_a_volume),
        TEST(test_a_report_without_any_field_counts_as_well),
        TEST(test_a_credential_for_several_purposes_names_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
