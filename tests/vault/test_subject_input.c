/* What may not be stored is refused, with the place. */
#include "tests/support/vault_fixture.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_records_that_break_a_rule_are_refused_with_the_place),
        TEST(test_values_and_requests_that_are_too_large_are_refused),
        cmocka_unit_test(test_without_a_policy_nothing_is_stored_or_read),
        TEST(test_a_unique_value_is_refused_a_second_time),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
