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
    assert_int_equal(token.size, 4 + KL_ID_DIGITS);
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

static enum kl_status read_as(struct vault_fixture *fixture, struct vault_caller caller,
                              struct vault_read_input input, struct vault_subject_result *ret)
{
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_subject_read(fixture_vault(fixture), &caller, &input, fixture->arena, ret,
                                &fixture->err);
    vault_caller_done(&caller);
    return status;
}

static void test_questions_the_policy_does_not_know_are_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", false);
    const char *const unknown[] = {"newsletter.shoe_size"};
    const char *const no_type[] = {"email"};
    struct vault_subject_result untouched = {.record_count = 77};

    assert_int_equal(read_as(fixture, fixture_caller(fixture, "reader"),
                             (struct vault_read_input){.subject = made.id}, &untouched),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "purpose_required");
    assert_int_equal(read_as(fixture, fixture_caller(fixture, "reader"),
                             (struct vault_read_input){.subject = made.id, .purpose = "fun"},
                             &untouched),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "unknown_purpose");
    assert_int_equal(read_as(fixture, fixture_caller(fixture, "reader"),
                             (struct vault_read_input){
                                 .subject = made.id, .purpose = "support", .recipient = "nobody"},
                             &untouched),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "unknown_recipient");
    assert_int_equal(
        read_as(fixture, fixture_caller(fixture, "reader"),
                (struct vault_read_input){
                    .subject = made.id, .purpose = "support", .fields = unknown, .field_count = 1},
                &untouched),
        KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "unknown_field");
    assert_int_equal(
        read_as(fixture, fixture_caller(fixture, "reader"),
                (struct vault_read_input){
                    .subject = made.id, .purpose = "support", .fields = no_type, .field_count = 1},
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

    assert_int_equal(read_as(fixture, fixture_caller_with(fixture, "reader", NULL, "support", NULL),
                             (struct vault_read_input){.subject = made.id}, &read),
                     KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "email"), "ana@example.org"));
    assert_int_equal(read_as(fixture, fixture_caller_with(fixture, "reader", NULL, "support", NULL),
                             (struct vault_read_input){.subject = made.id, .purpose = "mailing"},
                             &read),
                     KL_OK);
    assert_int_equal(fixture_find(&read, "email")->withheld, VAULT_GATE_PURPOSE);
}

/* ---- nobody is there ---- */

static void not_found_as(struct vault_fixture *fixture, struct vault_caller caller,
                         const struct kl_id *subject, const char *purpose)
{
    struct vault_subject_result untouched = {.record_count = 77};
    size_t before = fixture_trail(fixture, "\"reason\":\"not_found\"");

    assert_int_equal(read_as(fixture, caller,
                             (struct vault_read_input){.subject = *subject, .purpose = purpose},
                             &untouched),
                     KL_ERR_NOT_FOUND);
    assert_string_equal(fixture->err.code, "not_found");
    assert_string_equal(fixture->err.client_text,
                        "there is no such subject or record, or none this credential may know of");
    assert_int_equal(untouched.record_count, 77);
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"not_found\""), before + 1);
}

static void test_whoever_may_not_know_of_a_subject_gets_one_answer(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result other = fixture_newsletter(fixture, "bob@example.org", true);
    struct vault_subject_result erased = fixture_newsletter(fixture, "eve@example.org", true);
    struct kl_id unknown = kl_id_new();

    fixture_erase(fixture, &erased.id);
    not_found_as(fixture, fixture_caller(fixture, "reader"), &unknown, "mailing");
    not_found_as(fixture, fixture_caller(fixture, "reader"), &erased.id, "mailing");
    not_found_as(fixture, fixture_caller(fixture, "writer"), &made.id, "mailing");
    not_found_as(fixture, fixture_caller(fixture, "clerk"), &made.id, "service");
    not_found_as(fixture, admin_steward(fixture->admin), &made.id, "mailing");
    not_found_as(fixture, fixture_caller_with(fixture, "self", NULL, NULL, &other.id), &made.id,
                 "mailing");
}

static void test_a_bound_credential_reads_its_own_subject(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result read = {0};

    assert_int_equal(read_as(fixture, fixture_caller_with(fixture, "self", NULL, NULL, &made.id),
                             (struct vault_read_input){.subject = made.id, .purpose = "mailing"},
                             &read),
                     KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "email"), "ana@example.org"));
}

static void test_another_record_of_the_subject_is_not_found_as_such(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result read = {0};
    struct kl_id unknown = kl_id_new();

    assert_int_equal(read_as(fixture, fixture_caller(fixture, "reader"),
                             (struct vault_read_input){
                                 .subject = made.id, .record = &unknown, .purpose = "mailing"},
                             &read),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(read_as(fixture, fixture_caller(fixture, "reader"),
                             (struct vault_read_input){.subject = made.id,
                                                       .record = &made.records[0].id,
                                                       .purpose = "mailing"},
                             &read),
                     KL_OK);
    assert_int_equal(read.record_count, 1);
}

/* ---- places ---- */

static void test_a_credential_in_the_us_gets_a_token_under_the_named_mechanism_only(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result read = {0};

    assert_int_equal(read_as(fixture, fixture_caller_with(fixture, "reader", "US", NULL, NULL),
                             (struct vault_read_input){.subject = made.id, .purpose = "support"},
                             &read),
                     KL_OK);
    assert_int_equal(fixture_find(&read, "email")->view, VAULT_VIEW_TOKEN);
    assert_int_equal(fixture_trail(fixture, "\"transfers\":[\"standard_clauses\"]"), 1);
    assert_int_equal(read_as(fixture, fixture_caller_with(fixture, "reader", "US", NULL, NULL),
                             (struct vault_read_input){.subject = made.id, .purpose = "mailing"},
                             &read),
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
    struct vault_subject_input input = {.residency = "none"};
    struct vault_caller writer;

    (void)state;
    assert_non_null(fixture);
    (void)admin_setup_empty(&admin_state);
    admin = admin_state;
    admin->options.country = "US";
    assert_int_equal(
        vault_init(&admin->options, &admin->operator_token, &admin->steward_token, NULL), KL_OK);
    admin_reopen(admin);
    fixture->admin = admin;
    fixture->arena = kl_arena_new(1024 * 1024);
    (void)admin_apply(admin, vault_policy_text);
    assert_int_equal(fixture_try_client(fixture, "a@example.org", &result), KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "residency");
    assert_string_equal(fixture->err.where, "/residency");
    assert_int_equal(result.record_count, 77);
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"residency\""), 1);

    writer = fixture_caller(fixture, "writer");
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

/* ---- bad input ---- */

static void refused(struct vault_fixture *fixture, const char *role,
                    const struct vault_record_input *record, enum kl_status status,
                    const char *code, const char *where)
{
    struct vault_caller caller = fixture_caller(fixture, role);
    const struct vault_subject_input input = {.records = record, .record_count = 1};
    struct vault_subject_result untouched = {.record_count = 77};

    kl_err_clear(&fixture->err);
    assert_int_equal(vault_subject_create(fixture_vault(fixture), &caller, &input, NULL,
                                          fixture->arena, &untouched, &fixture->err),
                     status);
    assert_string_equal(fixture->err.code, code);
    assert_string_equal(fixture->err.where, where);
    assert_int_equal(untouched.record_count, 77);
    vault_caller_done(&caller);
}

static void test_records_that_break_a_rule_are_refused_with_the_place(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_field_input field = fixture_field("email", "ana@example.org");
    struct vault_field_input twice[] = {field, field};
    struct vault_consent_input consent = fixture_consent("mailing");
    struct vault_record_input record = {.type = "newsletter", .fields = &field, .field_count = 1};
    struct vault_record_input bad = record;

    bad.type = "novel";
    refused(fixture, "writer", &bad, KL_ERR_INVALID, "unknown_record_type", "/records/0/type");
    bad = record;
    bad.source = "Web Form";
    refused(fixture, "writer", &bad, KL_ERR_INVALID, "invalid_source", "/records/0/source");
    bad = record;
    bad.fields = twice;
    bad.field_count = 2;
    refused(fixture, "writer", &bad, KL_ERR_INVALID, "duplicate_key", "/records/0/fields/email");
    field = fixture_field("shoe", "44");
    refused(fixture, "writer", &record, KL_ERR_INVALID, "unknown_field", "/records/0/fields/shoe");
    field = fixture_field("a@b.example/secret", "44");
    refused(fixture, "writer", &record, KL_ERR_INVALID, "unknown_field", "/records/0/fields");
    field = fixture_field("email", "no address");
    refused(fixture, "writer", &record, KL_ERR_INVALID, "invalid_value", "/records/0/fields/email");
    field = fixture_field("email", "");
    refused(fixture, "writer", &record, KL_ERR_INVALID, "empty_value", "/records/0/fields/email");
    field = fixture_field("email", "ana@example.org");
    field.value.kind = KL_JSON_NUMBER;
    refused(fixture, "writer", &record, KL_ERR_INVALID, "invalid_type", "/records/0/fields/email");
    field = fixture_removal("email");
    refused(fixture, "writer", &record, KL_ERR_INVALID, "invalid_type", "/records/0/fields/email");
    field = fixture_field("first_name", "Ana");
    refused(fixture, "half_writer", &record, KL_ERR_FORBIDDEN, "withheld",
            "/records/0/fields/first_name");
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"withheld\""), 1);
    refused(fixture, "reader", &record, KL_ERR_FORBIDDEN, "withheld", "");
    field = fixture_field("email", "ana@example.org");
    bad = record;
    bad.consents = &consent;
    bad.consent_count = 1;
    consent.purpose = "fun";
    refused(fixture, "writer", &bad, KL_ERR_INVALID, "unknown_purpose",
            "/records/0/consents/0/purpose");
    consent = fixture_consent("mailing");
    consent.notice = NULL;
    refused(fixture, "writer", &bad, KL_ERR_INVALID, "missing_member",
            "/records/0/consents/0/notice");
}

static void test_values_and_requests_that_are_too_large_are_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller writer = fixture_caller(fixture, "writer");
    static char large[VAULT_VALUE_MAX_BYTES + 2];
    static struct vault_record_input many[VAULT_RECORDS_CREATE_MAX + 1];
    struct vault_field_input field = fixture_field("notes", large);
    struct vault_record_input record = {.type = "client", .fields = &field, .field_count = 1};
    struct vault_subject_input input = {.records = many,
                                        .record_count = VAULT_RECORDS_CREATE_MAX + 1};
    struct vault_subject_result result = {0};
    size_t i;

    memset(large, 'a', sizeof large - 1);
    field = fixture_field("notes", large);
    refused(fixture, "writer", &record, KL_ERR_TOO_LARGE, "value_too_large",
            "/records/0/fields/notes");
    large[VAULT_VALUE_MAX_BYTES] = 0;
    field = fixture_field("notes", large);
    input.records = &record;
    input.record_count = 1;
    assert_int_equal(vault_subject_create(fixture_vault(fixture), &writer, &input, NULL,
                                          fixture->arena, &result, NULL),
                     KL_OK);
    assert_int_equal(fixture_read(fixture, "reader", &result.id, "service", &result), KL_OK);
    assert_int_equal(fixture_find(&result, "notes")->value.size, VAULT_VALUE_MAX_BYTES);
    for (i = 0; i < VAULT_RECORDS_CREATE_MAX + 1; i++) {
        many[i].type = "newsletter";
    }
    input.records = many;
    input.record_count = VAULT_RECORDS_CREATE_MAX + 1;
    kl_err_clear(&fixture->err);
    assert_int_equal(vault_subject_create(fixture_vault(fixture), &writer, &input, NULL,
                                          fixture->arena, &result, &fixture->err),
                     KL_ERR_TOO_LARGE);
    assert_string_equal(fixture->err.code, "too_many_records");
    vault_caller_done(&writer);
}

static void test_without_a_policy_nothing_is_stored_or_read(void **state)
{
    struct admin_fixture *admin = NULL;
    void *admin_state = NULL;
    struct vault_caller steward;
    struct vault_subject_input input = {0};
    struct vault_subject_result result = {0};
    struct kl_err err = {0};

    (void)state;
    (void)admin_setup(&admin_state);
    admin = admin_state;
    steward = admin_steward(admin);
    assert_int_equal(
        vault_subject_create(admin->vault, &steward, &input, NULL, admin->arena, &result, &err),
        KL_ERR_REFUSED);
    assert_string_equal(err.code, "no_policy");
    vault_caller_done(&steward);
    (void)admin_teardown(&admin_state);
}

static void test_a_unique_value_is_refused_a_second_time(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result first = fixture_client(fixture, "ana@example.org");
    struct vault_subject_result second = {.record_count = 77};

    assert_int_equal(fixture_try_client(fixture, "ANA@example.org", &second), KL_ERR_CONFLICT);
    assert_string_equal(fixture->err.code, "not_unique");
    assert_int_equal(second.record_count, 77);
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"not_unique\""), 1);
    fixture_erase(fixture, &first.id);
    assert_int_equal(fixture_try_client(fixture, "ana@example.org", &second), KL_OK);
}

/* ---- many ---- */

static void test_many_reads_each_have_their_own_answer(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result a = fixture_newsletter(fixture, "a@example.org", true);
    struct vault_subject_result b = fixture_newsletter(fixture, "b@example.org", true);
    struct vault_caller reader = fixture_caller(fixture, "reader");
    const struct vault_read_input inputs[] = {{.subject = a.id, .purpose = "mailing"},
                                              {.subject = kl_id_new(), .purpose = "mailing"},
                                              {.subject = b.id, .purpose = "fun"},
                                              {.subject = b.id, .purpose = "mailing"}};
    struct vault_subject_result rets[4] = {0};
    enum kl_status statuses[4];
    struct kl_err errs[4] = {0};

    assert_int_equal(vault_subject_read_many(fixture_vault(fixture), &reader, inputs, 4,
                                             fixture->arena, rets, statuses, errs, NULL),
                     KL_OK);
    assert_int_equal(statuses[0], KL_OK);
    assert_int_equal(statuses[1], KL_ERR_NOT_FOUND);
    assert_int_equal(statuses[2], KL_ERR_INVALID);
    assert_int_equal(statuses[3], KL_OK);
    assert_true(fixture_value_is(fixture_find(&rets[0], "email"), "a@example.org"));
    assert_true(fixture_value_is(fixture_find(&rets[3], "email"), "b@example.org"));
    assert_string_equal(errs[2].code, "unknown_purpose");
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
        TEST(test_whoever_may_not_know_of_a_subject_gets_one_answer),
        TEST(test_a_bound_credential_reads_its_own_subject),
        TEST(test_another_record_of_the_subject_is_not_found_as_such),
        TEST(test_a_credential_in_the_us_gets_a_token_under_the_named_mechanism_only),
        cmocka_unit_test(test_a_store_outside_the_eea_takes_no_eea_subject),
        TEST(test_the_tag_is_not_taken_off_from_outside_the_eea),
        TEST(test_a_record_brings_consents_for_its_own_purposes_only),
        TEST(test_a_subject_moves_when_the_rules_allow),
        TEST(test_records_that_break_a_rule_are_refused_with_the_place),
        TEST(test_values_and_requests_that_are_too_large_are_refused),
        cmocka_unit_test(test_without_a_policy_nothing_is_stored_or_read),
        TEST(test_a_unique_value_is_refused_a_second_time),
        TEST(test_many_reads_each_have_their_own_answer),
        TEST(test_the_trail_names_no_subject_and_no_value),
        TEST(test_figures_count_what_happened),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
