/* The ledger of disclosures is shown to who may report or disclose. */
#include "tests/support/request_fixture.h"
#include "tests/support/test.h"

#include <string.h>

static enum kl_status list_as(struct vault_fixture *fixture, struct vault_caller caller,
                              const struct kl_id *subject, size_t *ret_count)
{
    struct vault_disclosure_result *found = NULL;
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_disclosure_list(fixture_vault(fixture), &caller, subject, fixture->arena, &found,
                                   ret_count, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

static void test_who_may_neither_report_nor_disclose_finds_nobody(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = fixture_newsletter(fixture, "ana@example.org", true);
    const struct kl_id unknown = kl_id_new();
    char known[KL_ERR_TEXT_BYTES];
    size_t count = 77;

    assert_int_equal(disclosure_read(fixture, &subject.id, "mailing", "mailer"), KL_OK);
    assert_int_equal(list_as(fixture, fixture_caller(fixture, "reader"), &subject.id, &count),
                     KL_ERR_NOT_FOUND);
    memcpy(known, fixture->err.client_text, sizeof known);
    assert_int_equal(list_as(fixture, fixture_caller(fixture, "dpo"), &unknown, &count),
                     KL_ERR_NOT_FOUND);
    assert_string_equal(fixture->err.client_text, known);
    assert_int_equal(count, 77);
    assert_int_equal(list_as(fixture, fixture_caller(fixture, "dpo"), &subject.id, &count), KL_OK);
    assert_int_equal(count, 1);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"disclosure_list\""), 3);
}

static void test_the_place_of_the_credential_counts(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = fixture_newsletter(fixture, "ana@example.org", true);
    size_t count = 77;

    assert_int_equal(disclosure_read(fixture, &subject.id, "mailing", "mailer"), KL_OK);
    assert_int_equal(list_as(fixture, fixture_caller_with(fixture, "dpo", "BR", NULL, NULL),
                             &subject.id, &count),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "withheld");
    assert_int_equal(count, 77);
}

static void test_the_ledger_is_in_the_order_of_first_times(void **state)
{
    static const char *const fields[] = {"newsletter.email"};
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_disclosure_input input = {
        .recipient = "mailer", .purpose = "mailing", .fields = fields, .field_count = 1};
    struct vault_disclosure_result *found = NULL;
    struct vault_caller caller = request_officer(fixture, NULL);
    bool replayed = false;

    assert_int_equal(disclosure_read(fixture, &subject.id, "mailing", "mailer"), KL_OK);
    input.at_us = request_time("2020-01-01T00:00:00Z");
    assert_int_equal(vault_disclosure_note(fixture_vault(fixture), &caller, &subject.id, &input,
                                           NULL, &replayed, &fixture->err),
                     KL_OK);
    vault_caller_done(&caller);
    assert_int_equal(disclosure_list(fixture, &subject.id, &found), 2);
    assert_int_equal(found[0].first_us, input.at_us);
    assert_null(found[1].channel);
}

/* A policy that has neither the recipient nor the purpose any more does not make what was disclosed undone. */
static void test_what_the_policy_forgot_is_still_shown(void **state)
{
    static char text[16384];
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_disclosure_result *found = NULL;
    char *at = NULL;

    assert_int_equal(disclosure_read(fixture, &subject.id, "mailing", "mailer"), KL_OK);
    (void)strncpy(text, vault_policy_text, sizeof text - 1);
    at = strstr(text, "  mailer:");
    assert_non_null(at);
    memcpy(at, "  postie:", 9);
    (void)admin_apply(fixture->admin, text);
    assert_int_equal(disclosure_list(fixture, &subject.id, &found), 1);
    assert_string_equal(found[0].recipient, "mailer");
}

static void test_a_credential_sees_and_notes_only_disclosures_for_its_purposes(void **state)
{
    static const char *const fields[] = {"newsletter.email"};
    const struct vault_disclosure_input input = {
        .recipient = "mailer", .purpose = "mailing", .fields = fields, .field_count = 1};
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_caller other = fixture_caller_with(fixture, "officer", NULL, "support", NULL);
    size_t count = 77;
    bool replayed = false;

    assert_int_equal(disclosure_read(fixture, &subject.id, "mailing", "mailer"), KL_OK);
    assert_int_equal(vault_disclosure_note(fixture_vault(fixture), &other, &subject.id, &input,
                                           NULL, &replayed, NULL),
                     KL_ERR_NOT_FOUND);
    vault_caller_done(&other);
    assert_int_equal(list_as(fixture,
                             fixture_caller_with(fixture, "officer", NULL, "support", NULL),
                             &subject.id, &count),
                     KL_OK);
    assert_int_equal(count, 0);
    assert_int_equal(list_as(fixture,
                             fixture_caller_with(fixture, "officer", NULL, "mailing", NULL),
                             &subject.id, &count),
                     KL_OK);
    assert_int_equal(count, 1);
}

#define TEST(test) \
    cmocka_unit_test_setup_teardown(test, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_who_may_neither_report_nor_disclose_finds_nobody),
        TEST(test_the_place_of_the_credential_counts),
        TEST(test_the_ledger_is_in_the_order_of_first_times),
        TEST(test_what_the_policy_forgot_is_still_shown),
        TEST(test_a_credential_sees_and_notes_only_disclosures_for_its_purposes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
