#include "tests/support/vault_fixture.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

static enum kl_status give(struct vault_fixture *fixture, const char *role,
                           const struct kl_id *subject, const struct vault_consent_input *input)
{
    struct vault_caller caller = fixture_caller(fixture, role);
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_consent_give(fixture_vault(fixture), &caller, subject, input, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

static enum kl_status withdraw(struct vault_fixture *fixture, const char *role,
                               const struct kl_id *subject, const char *purpose,
                               const char *recipient)
{
    struct vault_caller caller = fixture_caller(fixture, role);
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_consent_withdraw(fixture_vault(fixture), &caller, subject, purpose, recipient,
                                    &fixture->err);
    vault_caller_done(&caller);
    return status;
}

static enum vault_gate gate_of(struct vault_fixture *fixture, const struct kl_id *subject,
                               const char *purpose, const char *recipient)
{
    struct vault_caller reader = fixture_caller(fixture, "reader");
    const struct vault_read_input input = {
        .subject = *subject, .purpose = purpose, .recipient = recipient};
    struct vault_subject_result read = {0};

    assert_int_equal(
        vault_subject_read(fixture_vault(fixture), &reader, &input, fixture->arena, &read, NULL),
        KL_OK);
    vault_caller_done(&reader);
    return fixture_find(&read, "email")->withheld;
}

static void test_giving_and_withdrawing_act_on_the_next_read(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", false);
    struct vault_consent_input consent = fixture_consent("mailing");

    assert_int_equal(gate_of(fixture, &made.id, "mailing", NULL), VAULT_GATE_CONSENT);
    assert_int_equal(give(fixture, "dpo", &made.id, &consent), KL_OK);
    assert_int_equal(gate_of(fixture, &made.id, "mailing", NULL), VAULT_GATE_NONE);
    assert_int_equal(withdraw(fixture, "dpo", &made.id, "mailing", NULL), KL_OK);
    assert_int_equal(gate_of(fixture, &made.id, "mailing", NULL), VAULT_GATE_CONSENT);
    assert_int_equal(withdraw(fixture, "dpo", &made.id, "mailing", NULL), KL_ERR_NOT_FOUND);
    assert_string_equal(fixture->err.code, "no_consent");
    assert_int_equal(fixture_trail(fixture, "\"action\":\"consent_give\""), 1);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"consent_withdraw\""), 2);
}

static void test_a_consent_for_another_notice_or_past_its_end_does_not_count(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", false);
    struct vault_consent_input consent = fixture_consent("mailing");

    consent.notice = "n0";
    assert_int_equal(give(fixture, "dpo", &made.id, &consent), KL_OK);
    assert_int_equal(gate_of(fixture, &made.id, "mailing", NULL), VAULT_GATE_CONSENT);
    consent.notice = "n1";
    consent.at_us = KL_TIME_SECOND_US;
    consent.expires_us = 2 * KL_TIME_SECOND_US;
    assert_int_equal(give(fixture, "dpo", &made.id, &consent), KL_OK);
    assert_int_equal(gate_of(fixture, &made.id, "mailing", NULL), VAULT_GATE_CONSENT);
}

static void test_a_recipient_needs_a_consent_of_its_own(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_consent_input consent = fixture_consent("mailing");

    assert_int_equal(gate_of(fixture, &made.id, "mailing", "mailer"), VAULT_GATE_NONE);
    assert_int_equal(gate_of(fixture, &made.id, "mailing", "speaker"), VAULT_GATE_CONSENT);
    consent.recipient = "speaker";
    assert_int_equal(give(fixture, "dpo", &made.id, &consent), KL_OK);
    assert_int_equal(gate_of(fixture, &made.id, "mailing", "speaker"), VAULT_GATE_NONE);
    assert_int_equal(withdraw(fixture, "dpo", &made.id, "mailing", "speaker"), KL_OK);
    assert_int_equal(gate_of(fixture, &made.id, "mailing", "speaker"), VAULT_GATE_CONSENT);
    assert_int_equal(gate_of(fixture, &made.id, "mailing", NULL), VAULT_GATE_NONE);
}

static void test_the_ledger_lists_everything_oldest_first(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_consent_input consent = fixture_consent("support");
    struct vault_consent_result *consents = NULL;
    struct vault_caller dpo;
    size_t count = 0;

    consent.evidence = NULL;
    consent.is_explicit = true;
    assert_int_equal(give(fixture, "dpo", &made.id, &consent), KL_OK);
    assert_int_equal(withdraw(fixture, "dpo", &made.id, "mailing", NULL), KL_OK);
    fixture_reopen(fixture);
    dpo = fixture_caller(fixture, "dpo");
    assert_int_equal(vault_consent_list(fixture_vault(fixture), &dpo, &made.id, fixture->arena,
                                        &consents, &count, NULL),
                     KL_OK);
    assert_int_equal(count, 2);
    assert_string_equal(consents[0].purpose, "mailing");
    assert_string_equal(consents[0].evidence, "ticked the box");
    assert_string_equal(consents[0].notice, "n1");
    assert_string_equal(consents[0].channel, "web-form");
    assert_null(consents[0].recipient);
    assert_true(consents[0].withdrawn_us > 0);
    assert_false(consents[0].counts);
    assert_null(consents[1].evidence);
    assert_true(consents[1].is_explicit);
    assert_true(consents[1].counts);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"consent_list\""), 1);
    assert_int_equal(fixture_trail(fixture, "ticked"), 0);
    vault_caller_done(&dpo);
}

static void test_a_role_sees_only_consents_for_its_purposes(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_consent_input consent = fixture_consent("support");
    struct vault_caller keeper = fixture_caller(fixture, "mail_dpo");
    struct vault_consent_result *consents = NULL;
    size_t count = 0;

    assert_int_equal(give(fixture, "dpo", &made.id, &consent), KL_OK);
    assert_int_equal(vault_consent_list(fixture_vault(fixture), &keeper, &made.id, fixture->arena,
                                        &consents, &count, NULL),
                     KL_OK);
    assert_int_equal(count, 1);
    assert_string_equal(consents[0].purpose, "mailing");
    vault_caller_done(&keeper);
}

/* The role keeps all consents, the credential is made for mailing alone; an entry of a purpose that is forgotten is for neither. */
static void test_a_credential_sees_and_gives_only_consents_for_its_purposes(void **state)
{
    static char forgot[16384];
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_consent_input consent = fixture_consent("support");
    struct vault_caller mailing = fixture_caller_with(fixture, "dpo", NULL, "mailing", NULL);
    struct vault_consent_result *consents = NULL;
    size_t count = 0;
    char *at = NULL;

    assert_int_equal(vault_consent_give(fixture_vault(fixture), &mailing, &made.id, &consent, NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(give(fixture, "dpo", &made.id, &consent), KL_OK);
    assert_int_equal(
        vault_consent_withdraw(fixture_vault(fixture), &mailing, &made.id, "support", NULL, NULL),
        KL_ERR_NOT_FOUND);
    assert_int_equal(vault_consent_list(fixture_vault(fixture), &mailing, &made.id, fixture->arena,
                                        &consents, &count, NULL),
                     KL_OK);
    assert_int_equal(count, 1);
    assert_string_equal(consents[0].purpose, "mailing");
    vault_caller_done(&mailing);
    (void)strncpy(forgot, vault_policy_text, sizeof forgot - 1);
    while ((at = strstr(forgot, "support")) != NULL) {
        memcpy(at, "helping", 7);
    }
    (void)admin_apply(fixture->admin, forgot);
    mailing = fixture_caller_with(fixture, "dpo", NULL, "mailing", NULL);
    assert_int_equal(vault_consent_list(fixture_vault(fixture), &mailing, &made.id, fixture->arena,
                                        &consents, &count, NULL),
                     KL_OK);
    assert_int_equal(count, 1);
    vault_caller_done(&mailing);
    mailing = fixture_caller(fixture, "dpo");
    assert_int_equal(vault_consent_list(fixture_vault(fixture), &mailing, &made.id, fixture->arena,
                                        &consents, &count, NULL),
                     KL_OK);
    assert_int_equal(count, 2);
    vault_caller_done(&mailing);
}

static void test_a_record_brings_no_consent_for_another_purpose_than_the_credentials(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller writer = fixture_caller_with(fixture, "writer", NULL, "support", NULL);
    const struct vault_field_input field = fixture_field("email", "ana@example.org");
    const struct vault_consent_input consent = fixture_consent("mailing");
    const struct vault_record_input record = {.type = "newsletter",
                                              .fields = &field,
                                              .field_count = 1,
                                              .consents = &consent,
                                              .consent_count = 1};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};
    struct vault_subject_result made = {0};

    kl_err_clear(&fixture->err);
    assert_int_equal(vault_subject_create(fixture_vault(fixture), &writer, &input, NULL,
                                          fixture->arena, &made, &fixture->err),
                     KL_ERR_FORBIDDEN);
    assert_non_null(strstr(fixture->err.client_text, "gate purpose"));
    vault_caller_done(&writer);
}

/* The policy lets data go to the US for support only, and as a token, in which no ledger can be. */
static void test_the_ledger_leaves_the_eea_only_as_the_policy_says(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result mailed = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result helped = fixture_newsletter(fixture, "bo@example.org", false);
    struct vault_consent_input consent = fixture_consent("support");
    struct vault_caller abroad = fixture_caller_with(fixture, "dpo", "US", NULL, NULL);
    struct vault_consent_result *consents = NULL;
    struct kl_err err = {0};
    size_t count = 77;

    assert_int_equal(give(fixture, "dpo", &helped.id, &consent), KL_OK);
    assert_int_equal(vault_consent_list(fixture_vault(fixture), &abroad, &mailed.id, fixture->arena,
                                        &consents, &count, &err),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(err.code, "withheld");
    assert_int_equal(count, 77);
    assert_null(consents);
    kl_err_clear(&err);
    assert_int_equal(vault_consent_list(fixture_vault(fixture), &abroad, &helped.id, fixture->arena,
                                        &consents, &count, &err),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(err.code, "withheld");
    assert_null(consents);
    vault_caller_done(&abroad);
}

static void test_whoever_may_not_keep_consents_finds_nobody(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_consent_input consent = fixture_consent("mailing");
    struct vault_caller reader = fixture_caller(fixture, "reader");
    struct vault_consent_result *consents = NULL;
    struct kl_id nobody = kl_id_new();
    size_t count = 77;

    assert_int_equal(give(fixture, "reader", &made.id, &consent), KL_ERR_NOT_FOUND);
    assert_int_equal(give(fixture, "dpo", &nobody, &consent), KL_ERR_NOT_FOUND);
    assert_int_equal(withdraw(fixture, "reader", &made.id, "mailing", NULL), KL_ERR_NOT_FOUND);
    assert_string_equal(fixture->err.code, "not_found");
    assert_int_equal(vault_consent_list(fixture_vault(fixture), &reader, &made.id, fixture->arena,
                                        &consents, &count, NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(count, 77);
    assert_null(consents);
    vault_caller_done(&reader);
}

static void test_consents_that_break_a_rule_are_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", false);
    struct vault_consent_input consent = fixture_consent("mailing");
    static char long_evidence[VAULT_EVIDENCE_MAX_BYTES + 2];

    consent.recipient = "nobody";
    assert_int_equal(give(fixture, "dpo", &made.id, &consent), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "unknown_recipient");
    consent = fixture_consent("mailing");
    consent.at_us = INT64_C(32503680000) * KL_TIME_SECOND_US;
    assert_int_equal(give(fixture, "dpo", &made.id, &consent), KL_ERR_INVALID);
    assert_string_equal(fixture->err.where, "/at");
    consent = fixture_consent("mailing");
    consent.at_us = 10 * KL_TIME_SECOND_US;
    consent.expires_us = 5 * KL_TIME_SECOND_US;
    assert_int_equal(give(fixture, "dpo", &made.id, &consent), KL_ERR_INVALID);
    assert_string_equal(fixture->err.where, "/expires");
    consent = fixture_consent("mailing");
    consent.channel = "by phone";
    assert_int_equal(give(fixture, "dpo", &made.id, &consent), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_name");
    consent = fixture_consent("mailing");
    memset(long_evidence, 'a', sizeof long_evidence - 1);
    consent.evidence = long_evidence;
    assert_int_equal(give(fixture, "dpo", &made.id, &consent), KL_ERR_TOO_LARGE);
    consent.evidence = "\xff";
    assert_int_equal(give(fixture, "dpo", &made.id, &consent), KL_ERR_INVALID);
    assert_int_equal(withdraw(fixture, "dpo", &made.id, "fun", NULL), KL_ERR_INVALID);
    assert_int_equal(withdraw(fixture, "dpo", &made.id, "mailing", "nobody"), KL_ERR_INVALID);
    assert_int_equal(gate_of(fixture, &made.id, "mailing", NULL), VAULT_GATE_CONSENT);
}

static void test_a_ledger_holds_only_so_many_entries(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", false);
    struct vault_consent_input consent = fixture_consent("mailing");
    size_t i;

    consent.evidence = NULL;
    for (i = 0; i < VAULT_CONSENTS_MAX; i++) {
        assert_int_equal(give(fixture, "dpo", &made.id, &consent), KL_OK);
    }
    assert_int_equal(give(fixture, "dpo", &made.id, &consent), KL_ERR_TOO_LARGE);
    assert_string_equal(fixture->err.code, "too_many_consents");
    assert_int_equal(gate_of(fixture, &made.id, "mailing", NULL), VAULT_GATE_NONE);
    assert_int_equal(withdraw(fixture, "dpo", &made.id, "mailing", NULL), KL_OK);
    assert_int_equal(gate_of(fixture, &made.id, "mailing", NULL), VAULT_GATE_CONSENT);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_giving_and_withdrawing_act_on_the_next_read),
        TEST(test_a_consent_for_another_notice_or_past_its_end_does_not_count),
        TEST(test_a_recipient_needs_a_consent_of_its_own),
        TEST(test_the_ledger_lists_everything_oldest_first),
        TEST(test_a_role_sees_only_consents_for_its_purposes),
        TEST(test_a_credential_sees_and_gives_only_consents_for_its_purposes),
        TEST(test_a_record_brings_no_consent_for_another_purpose_than_the_credentials),
        TEST(test_the_ledger_leaves_the_eea_only_as_the_policy_says),
        TEST(test_whoever_may_not_keep_consents_finds_nobody),
        TEST(test_consents_that_break_a_rule_are_refused),
        TEST(test_a_ledger_holds_only_so_many_entries),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
