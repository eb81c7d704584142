#include "kluis/vault/pseudonym.h"
#include "tests/support/vault_fixture.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- making and reading ---- */

static void test_what_was_stored_reads_back_normalised(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, " Ana@EXAMPLE.org ", true);
    struct vault_subject_result read = {0};

    assert_int_equal(made.record_count, 1);
    assert_string_equal(made.records[0].type, "newsletter");
    assert_int_equal(made.records[0].version, 1);
    assert_false(made.replayed);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "mailing", &read), KL_OK);
    assert_true(kl_id_equal(&read.id, &made.id));
    assert_int_equal(read.residency, VAULT_RESIDENCY_EEA);
    assert_int_equal(read.record_count, 1);
    assert_string_equal(read.records[0].source, "web-form");
    assert_true(kl_id_equal(&read.records[0].id, &made.records[0].id));
    assert_true(fixture_value_is(fixture_find(&read, "email"), "Ana@example.org"));
    assert_true(fixture_value_is(fixture_find(&read, "first_name"), "Ana Maria"));
    assert_null(fixture_find(&read, "ip"));
}

static void test_everything_is_there_after_reopening(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result read = {0};

    fixture_reopen(fixture);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "mailing", &read), KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "email"), "ana@example.org"));
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "ANA@example.org", NULL), 1);
}

static void test_views_show_what_they_promise(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", false);
    struct vault_subject_result other = fixture_newsletter(fixture, "ana@example.org", false);
    struct vault_subject_result read = {0};
    struct kl_slice token;

    assert_int_equal(fixture_read(fixture, "masked", &made.id, "support", &read), KL_OK);
    assert_int_equal(fixture_find(&read, "email")->view, VAULT_VIEW_MASKED);
    assert_false(fixture_value_is(fixture_find(&read, "email"), "ana@example.org"));
    assert_true(fixture_find(&read, "email")->value.size > 0);
    assert_null(fixture_find(&read, "first_name"));

    assert_int_equal(fixture_read(fixture, "present", &made.id, "support", &read), KL_OK);
    assert_int_equal(fixture_find(&read, "email")->view, VAULT_VIEW_PRESENT);
    assert_int_equal(fixture_find(&read, "email")->value.size, 0);

    assert_int_equal(fixture_read(fixture, "tokens", &made.id, "support", &read), KL_OK);
    token = fixture_find(&read, "email")->value;
    assert_int_equal(token.size, VAULT_PSEUDONYM_CHARS);
    assert_memory_equal(token.bytes, "tok_", 4);
    assert_int_equal(fixture_read(fixture, "tokens", &made.id, "support", &read), KL_OK);
    assert_true(kl_slice_equal(token, fixture_find(&read, "email")->value));
    assert_int_equal(fixture_read(fixture, "tokens", &other.id, "support", &read), KL_OK);
    assert_false(kl_slice_equal(token, fixture_find(&read, "email")->value));
}

static void test_without_consent_fields_are_withheld_and_listed(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", false);
    struct vault_subject_result read = {0};

    assert_int_equal(fixture_read(fixture, "reader", &made.id, "mailing", &read), KL_OK);
    assert_int_equal(read.record_count, 1);
    assert_int_equal(fixture_find(&read, "email")->withheld, VAULT_GATE_CONSENT);
    assert_int_equal(fixture_find(&read, "email")->value.size, 0);
    assert_int_equal(fixture_trail(fixture, "\"email\":\"consent\""), 1);
}

static void test_a_field_asked_by_name_is_listed_even_when_role_withholds_it(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", false);
    struct vault_caller masked = fixture_caller(fixture, "masked");
    const char *const names[] = {"newsletter.first_name"};
    const char *const stars[] = {"newsletter.*"};
    struct vault_read_input input = {
        .subject = made.id, .purpose = "support", .fields = names, .field_count = 1};
    struct vault_subject_result read = {0};

    assert_int_equal(
        vault_subject_read(fixture_vault(fixture), &masked, &input, fixture->arena, &read, NULL),
        KL_OK);
    assert_int_equal(fixture_find(&read, "first_name")->withheld, VAULT_GATE_ROLE);
    assert_null(fixture_find(&read, "email"));
    input.fields = stars;
    assert_int_equal(
        vault_subject_read(fixture_vault(fixture), &masked, &input, fixture->arena, &read, NULL),
        KL_OK);
    assert_null(fixture_find(&read, "first_name"));
    assert_non_null(fixture_find(&read, "email"));
    vault_caller_done(&masked);
}

static void test_questions_the_policy_does_not_know_are_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", false);
    const char *const unknown[] = {"newsletter.shoe_size"};
    const char *const no_type[] = {"email"};
    struct vault_subject_result untouched = {.record_count = 77};

    assert_int_equal(fixture_read_as(fixture, fixture_caller(fixture, "reader"),
                                     (struct vault_read_input){.subject = made.id}, &untouched),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "purpose_required");
    assert_int_equal(
        fixture_read_as(fixture, fixture_caller(fixture, "reader"),
                        (struct vault_read_input){.subject = made.id, .purpose = "fun"},
                        &untouched),
        KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "unknown_purpose");
    assert_int_equal(fixture_read_as(fixture, fixture_caller(fixture, "reader"),
                                     (struct vault_read_input){.subject = made.id,
                                                               .purpose = "support",
                                                               .recipient = "nobody"},
                                     &untouched),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "unknown_recipient");
    assert_int_equal(fixture_read_as(fixture, fixture_caller(fixture, "reader"),
                                     (struct vault_read_input){.subject = made.id,
                                                               .purpose = "support",
                                                               .fields = unknown,
                                                               .field_count = 1},
                                     &untouched),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "unknown_field");
    assert_int_equal(fixture_read_as(fixture, fixture_caller(fixture, "reader"),
                                     (struct vault_read_input){.subject = made.id,
                                                               .purpose = "support",
                                                               .fields = no_type,
                                                               .field_count = 1},
                                     &untouched),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "unknown_field");
    assert_int_equal(untouched.record_count, 77);
}

static void test_a_credential_for_one_purpose_needs_none_named(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", false);
    struct vault_subject_result read = {0};

    assert_int_equal(fixture_read_as(fixture,
                                     fixture_caller_with(fixture, "reader", NULL, "support", NULL),
                                     (struct vault_read_input){.subject = made.id}, &read),
                     KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "email"), "ana@example.org"));
    assert_int_equal(
        fixture_read_as(fixture, fixture_caller_with(fixture, "reader", NULL, "support", NULL),
                        (struct vault_read_input){.subject = made.id, .purpose = "mailing"}, &read),
        KL_OK);
    assert_int_equal(fixture_find(&read, "email")->withheld, VAULT_GATE_PURPOSE);
}

/* ---- places ---- */

static void test_a_credential_in_the_us_gets_a_token_under_the_named_mechanism_only(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result read = {0};

    assert_int_equal(
        fixture_read_as(fixture, fixture_caller_with(fixture, "reader", "US", NULL, NULL),
                        (struct vault_read_input){.subject = made.id, .purpose = "support"}, &read),
        KL_OK);
    assert_int_equal(fixture_find(&read, "email")->view, VAULT_VIEW_TOKEN);
    assert_int_equal(fixture_trail(fixture, "\"transfers\":[\"standard_clauses\"]"), 1);
    assert_int_equal(
        fixture_read_as(fixture, fixture_caller_with(fixture, "reader", "US", NULL, NULL),
                        (struct vault_read_input){.subject = made.id, .purpose = "mailing"}, &read),
        KL_OK);
    assert_int_equal(fixture_find(&read, "email")->withheld, VAULT_GATE_TRANSFER);
    assert_int_equal(fixture_trail(fixture, "\"email\":\"transfer\""), 1);
}

static void test_a_store_outside_the_eea_takes_no_eea_subject(void **state)
{
    struct admin_fixture *admin = NULL;
    void *admin_state = NULL;
    struct vault_fixture *fixture = calloc(1, sizeof *fixture);
    struct vault_subject_result result = {.record_count = 77};
    struct vault_subject_input input = {.residency = "EEA"};
    struct vault_caller writer;
    const char *tag = strstr(vault_policy_text, "EEA\n");
    char policy[8192];

    (void)state;
    assert_non_null(fixture);
    assert_non_null(tag);
    (void)snprintf(policy, sizeof policy, "%.*snone%s", (int)(tag - vault_policy_text),
                   vault_policy_text, tag + strlen("EEA"));
    (void)admin_setup_empty(&admin_state);
    admin = admin_state;
    admin->options.country = "US";
    assert_int_equal(
        vault_init(&admin->options, &admin->operator_token, &admin->steward_token, NULL), KL_OK);
    admin_reopen(admin);
    fixture->admin = admin;
    fixture->arena = kl_arena_new(1024 * 1024);
    (void)admin_apply(admin, policy);
    writer = fixture_caller(fixture, "writer");
    assert_int_equal(vault_subject_create(admin->vault, &writer, &input, NULL, fixture->arena,
                                          &result, &fixture->err),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "residency");
    assert_string_equal(fixture->err.where, "/residency");
    assert_int_equal(result.record_count, 77);
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"residency\""), 1);

    input.residency = "none";
    assert_int_equal(
        vault_subject_create(admin->vault, &writer, &input, NULL, fixture->arena, &result, NULL),
        KL_OK);
    assert_int_equal(vault_subject_move(admin->vault, &writer, &result.id, "EEA", &fixture->err),
                     KL_ERR_FORBIDDEN);
    vault_caller_done(&writer);
    kl_arena_free(fixture->arena);
    free(fixture);
    (void)admin_teardown(&admin_state);
}

static void test_the_tag_is_not_taken_off_from_outside_the_eea(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", false);
    struct vault_caller abroad = fixture_caller_with(fixture, "writer", "US", NULL, NULL);
    struct vault_caller near = fixture_caller_with(fixture, "writer", "NO", NULL, NULL);
    struct kl_err err = {0};

    assert_int_equal(vault_subject_move(fixture_vault(fixture), &abroad, &made.id, "none", &err),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(err.code, "residency");
    assert_int_equal(vault_subject_move(fixture_vault(fixture), &near, &made.id, "none", NULL),
                     KL_OK);
    assert_int_equal(vault_subject_move(fixture_vault(fixture), &abroad, &made.id, "EEA", NULL),
                     KL_OK);
    vault_caller_done(&abroad);
    vault_caller_done(&near);
}

static void test_a_record_brings_consents_for_its_own_purposes_only(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_consent_input consent = fixture_consent("service");
    const struct vault_record_input record = {
        .type = "newsletter", .consents = &consent, .consent_count = 1};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_caller keeper = fixture_caller(fixture, "writing_dpo");
    struct vault_subject_result made = fixture_client(fixture, "bo@example.org");
    struct vault_subject_result result = {.record_count = 77};
    struct vault_record_result added;
    struct kl_err err = {0};

    assert_int_equal(vault_subject_create(fixture_vault(fixture), &writer, &input, NULL,
                                          fixture->arena, &result, &err),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(err.code, "withheld");
    assert_string_equal(err.where, "/records/0/consents/0");
    assert_int_equal(result.record_count, 77);
    assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, &made.id, &record, NULL,
                                      fixture->arena, &added, NULL),
                     KL_ERR_FORBIDDEN);
    assert_int_equal(vault_subject_create(fixture_vault(fixture), &keeper, &input, NULL,
                                          fixture->arena, &result, NULL),
                     KL_OK);
    vault_caller_done(&writer);
    vault_caller_done(&keeper);
}

static void test_a_subject_moves_when_the_rules_allow(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_client(fixture, "a@example.org");
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_caller half = fixture_caller(fixture, "half_writer");
    struct vault_caller reader = fixture_caller(fixture, "reader");
    struct vault_subject_result read = {0};
    struct kl_err err = {0};

    assert_int_equal(vault_subject_move(fixture_vault(fixture), &writer, &made.id, "moon", &err),
                     KL_ERR_INVALID);
    assert_int_equal(vault_subject_move(fixture_vault(fixture), &reader, &made.id, "none", NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(vault_subject_move(fixture_vault(fixture), &half, &made.id, "none", NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(vault_subject_move(fixture_vault(fixture), &writer, &made.id, "none", NULL),
                     KL_OK);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "service", &read), KL_OK);
    assert_int_equal(read.residency, VAULT_RESIDENCY_NONE);
    assert_true(fixture_value_is(fixture_find(&read, "email"), "a@example.org"));
    assert_int_equal(fixture_trail(fixture, "\"action\":\"move\""), 4 - 1);
    vault_caller_done(&writer);
    vault_caller_done(&half);
    vault_caller_done(&reader);
}

/* ---- the trail ---- */

static void test_the_trail_names_no_subject_and_no_value(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "secretive@example.org", true);
    struct vault_subject_result read = {0};
    char id[KL_ID_TEXT_BYTES];

    kl_id_format("sub", &made.id, id);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "mailing", &read), KL_OK);
    (void)fixture_lookup(fixture, "newsletter.email", "secretive@example.org", NULL);
    assert_true(fixture_trail(fixture, "\"action\":\"create\"") == 1);
    assert_true(fixture_trail(fixture, "\"action\":\"read\"") == 1);
    assert_true(fixture_trail(fixture, "\"email\":\"plain\"") == 1);
    assert_true(fixture_trail(fixture, "\"action\":\"lookup\"") == 1);
    assert_int_equal(fixture_trail(fixture, "secretive"), 0);
    assert_int_equal(fixture_trail(fixture, id + 4), 0);
}

static void test_figures_count_what_happened(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "a@example.org", false);
    struct vault_subject_result read = {0};
    struct vault_figures figures = {0};

    assert_int_equal(fixture_read(fixture, "reader", &made.id, "support", &read), KL_OK);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "mailing", &read), KL_OK);
    vault_figures(fixture_vault(fixture), &figures);
    assert_int_equal(figures.subjects_created, 1);
    assert_int_equal(figures.records_created, 1);
    assert_int_equal(figures.fields_read, 2);
    assert_int_equal(figures.fields_withheld, 2);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_stored_reads_back_normalised),
        TEST(test_everything_is_there_after_reopening),
        TEST(test_views_show_what_they_promise),
        TEST(test_without_consent_fields_are_withheld_and_listed),
        TEST(test_a_field_asked_by_name_is_listed_even_when_role_withholds_it),
        TEST(test_questions_the_policy_does_not_know_are_refused),
        TEST(test_a_credential_for_one_purpose_needs_none_named),
        TEST(test_a_credential_in_the_us_gets_a_token_under_the_named_mechanism_only),
        cmocka_unit_test(test_a_store_outside_the_eea_takes_no_eea_subject),
        TEST(test_the_tag_is_not_taken_off_from_outside_the_eea),
        TEST(test_a_record_brings_consents_for_its_own_purposes_only),
        TEST(test_a_subject_moves_when_the_rules_allow),
        TEST(test_the_trail_names_no_subject_and_no_value),
        TEST(test_figures_count_what_happened),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
