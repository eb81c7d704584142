/* The export: what the person provided, for consent or a contract, past all gates. */
#include "tests/support/report_fixture.h"
#include "tests/support/test.h"

#include <string.h>

static struct vault_told export_by(struct vault_fixture *fixture, const char *role,
                                   const struct kl_id *subject, const char *purpose)
{
    struct vault_told told = {0};

    if (export_as(fixture, fixture_caller(fixture, role), subject, purpose, &told) != KL_OK) {
        fail_msg("no export: %s %s", fixture->err.code, fixture->err.client_text);
    }
    return told;
}

static const char *purpose_of(const struct vault_told *told, const char *field)
{
    const struct vault_told_field *known = NULL;

    (void)report_field(told, field, &known);
    return known->purpose == VAULT_NONE ? ""
                                        : vault_policy_purpose(told->policy, known->purpose)->name;
}

static enum vault_unportable why_not(const struct vault_told *told, const char *field)
{
    const struct vault_told_field *known = NULL;

    (void)report_field(told, field, &known);
    return known->unportable;
}

static void test_which_bases_are_portable(void **state)
{
    static const char *const portable[] = {"service", "trial", "news"};
    struct vault_fixture *fixture = *state;
    struct vault_caller caller = fixture_caller(fixture, "dpo");
    size_t i;

    for (i = 0; i < sizeof portable / sizeof portable[0]; i++) {
        assert_true(vault_policy_portable(caller.policy,
                                          vault_policy_purpose_find(caller.policy, portable[i])));
    }
    assert_false(vault_policy_portable(caller.policy,
                                       vault_policy_purpose_find(caller.policy, "bookkeeping")));
    assert_false(
        vault_policy_portable(caller.policy, vault_policy_purpose_find(caller.policy, "surveys")));
    vault_caller_done(&caller);
}

static void test_only_what_consent_or_contract_covers_is_exported(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = report_person(fixture, "web-form", false);
    struct vault_told told = export_by(fixture, "dpo", &made.id, NULL);

    assert_true(fixture_value_is(report_field(&told, "name", NULL), "Ana Maes"));
    assert_string_equal(purpose_of(&told, "name"), "service");
    assert_int_equal(why_not(&told, "invoice"), VAULT_UNPORTABLE_BASIS);
    assert_int_equal(why_not(&told, "score"), VAULT_UNPORTABLE_BASIS);
    assert_int_equal(report_field(&told, "invoice", NULL)->value.size, 0);
    /* of health, for a contract, without a ground or an explicit consent: the gate says so */
    assert_int_equal(why_not(&told, "diet"), VAULT_PORTABLE);
    assert_int_equal(report_field(&told, "diet", NULL)->withheld, VAULT_GATE_CONSENT);
    assert_int_equal(report_field(&told, "pin", NULL)->view, VAULT_VIEW_PRESENT);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"export\""), 1);
    assert_int_equal(fixture_trail(fixture, "\"invoice\":\"basis\""), 1);
    assert_int_equal(fixture_trail(fixture, "\"purposes\":[\"service\"]"), 1);
}

static void test_what_others_provided_is_left_out(void **state)
{
    static const struct {
        const char *source;
        bool exported;
    } cases[] = {{NULL, true},         {"web-form", true},         {"counter", true},
                 {"colleague", false}, {"public-register", false}, {"public-sources", false},
                 {"scoring", false},   {"employer", false},        {"company-register", false},
                 {"inferred", false}};
    struct vault_fixture *fixture = *state;
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vault_subject_result made = report_person(fixture, cases[i].source, false);
        struct vault_told told = export_by(fixture, "dpo", &made.id, NULL);

        assert_int_equal(why_not(&told, "name") == VAULT_PORTABLE, cases[i].exported);
        assert_int_equal(report_field(&told, "name", NULL)->value.size > 0, cases[i].exported);
        assert_int_equal(told.records[0].from_others, !cases[i].exported);
    }
    assert_string_equal(vault_unportable_name(VAULT_UNPORTABLE_SOURCE), "source");
}

static void test_each_purpose_has_its_gates(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = report_person(fixture, NULL, false);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_told told = export_by(fixture, "half", &made.id, NULL);

    assert_string_equal(purpose_of(&told, "name"), "news");
    assert_int_equal(report_field(&told, "email", NULL)->withheld, VAULT_GATE_ROLE);
    told = export_by(fixture, "trial_only", &made.id, NULL);
    assert_string_equal(purpose_of(&told, "name"), "trial");
    assert_int_equal(
        vault_consent_withdraw(fixture_vault(fixture), &dpo, &made.id, "news", NULL, &fixture->err),
        KL_OK);
    vault_caller_done(&dpo);
    told = export_by(fixture, "half", &made.id, NULL);
    assert_int_equal(report_field(&told, "name", NULL)->withheld, VAULT_GATE_CONSENT);
    told = export_by(fixture, "dpo", &made.id, NULL);
    assert_string_equal(purpose_of(&told, "name"), "service");
}

static void test_a_restriction_stops_others_and_not_the_person(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = report_person(fixture, NULL, false);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_told told;

    assert_int_equal(vault_restriction_set(fixture_vault(fixture), &dpo, &made.id,
                                           VAULT_RESTRICTION_UNLAWFUL, &fixture->err),
                     KL_OK);
    vault_caller_done(&dpo);
    told = export_by(fixture, "dpo", &made.id, NULL);
    assert_int_equal(report_field(&told, "name", NULL)->withheld, VAULT_GATE_RESTRICTION);
    assert_int_equal(export_as(fixture, fixture_caller_with(fixture, "self", NULL, NULL, &made.id),
                               &made.id, NULL, &told),
                     KL_OK);
    assert_int_equal(report_field(&told, "name", NULL)->withheld, VAULT_GATE_NONE);
}

static void test_a_clock_that_has_run_out_stops_its_purpose(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = report_person(fixture, NULL, false);
    struct vault_caller later = fixture_caller(fixture, "half");
    struct vault_told told;

    later.now_us += 400 * KL_TIME_DAY_US;
    assert_int_equal(export_as(fixture, later, &made.id, NULL, &told), KL_OK);
    assert_int_equal(report_field(&told, "name", NULL)->withheld, VAULT_GATE_RETENTION);
}

static void test_the_place_of_the_credential_counts(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = report_person(fixture, NULL, false);
    struct vault_told told;

    /* for news as a token, for the others masked: the most open of them */
    assert_int_equal(export_as(fixture, fixture_caller_with(fixture, "dpo", "US", NULL, NULL),
                               &made.id, NULL, &told),
                     KL_OK);
    assert_true(fixture_value_is(report_field(&told, "name", NULL), "A. M."));
    assert_int_equal(export_as(fixture, fixture_caller_with(fixture, "dpo", "US", NULL, NULL),
                               &made.id, "news", &told),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "withheld");
    assert_non_null(strstr(fixture->err.client_text, "gate transfer"));
    assert_int_equal(export_as(fixture, fixture_caller_with(fixture, "dpo", "BR", NULL, NULL),
                               &made.id, NULL, &told),
                     KL_OK);
    assert_int_equal(report_field(&told, "name", NULL)->withheld, VAULT_GATE_TRANSFER);
}

static void test_who_may_not_export_finds_nobody(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = report_person(fixture, NULL, false);
    struct vault_told told = {.records_not_shown = 77};

    assert_int_equal(export_as(fixture, fixture_caller(fixture, "writer"), &made.id, NULL, &told),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(export_as(fixture, fixture_caller(fixture, "dpo"), &made.id, "surveys", &told),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "not_portable");
    assert_int_equal(told.records_not_shown, 77);
    assert_int_equal(export_as(fixture, fixture_caller(fixture, "once"), &made.id, NULL, &told),
                     KL_OK);
    assert_int_equal(export_as(fixture, fixture_caller(fixture, "once"), &made.id, NULL, &told),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "volume_exceeded");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, report_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_which_bases_are_portable),
        TEST(test_only_what_consent_or_contract_covers_is_exported),
        TEST(test_what_others_provided_is_left_out),
        TEST(test_each_purpose_has_its_gates),
        TEST(test_a_restriction_stops_others_and_not_the_person),
        TEST(test_a_clock_that_has_run_out_stops_its_purpose),
        TEST(test_the_place_of_the_credential_counts),
        TEST(test_who_may_not_export_finds_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
