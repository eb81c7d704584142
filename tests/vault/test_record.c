#include "tests/support/vault_fixture.h"

#include "tests/support/test.h"

#include <string.h>

static enum kl_status patch(struct vault_fixture *fixture, const char *role,
                            const struct vault_subject_result *of, uint64_t if_version,
                            const struct vault_field_input *fields, size_t count,
                            uint64_t *ret_version)
{
    struct vault_caller caller = fixture_caller(fixture, role);
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_record_patch(fixture_vault(fixture), &caller, &of->id, &of->records[0].id,
                                if_version, fields, count, ret_version, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

static void test_a_patch_sets_and_removes_fields(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "old@example.org", false);
    const struct vault_field_input fields[] = {fixture_field("email", "new@example.org"),
                                               fixture_removal("first_name"),
                                               fixture_field("ip", "192.0.2.7")};
    struct vault_subject_result read = {0};
    uint64_t version = 0;

    assert_int_equal(patch(fixture, "writer", &made, 1, fields, 3, &version), KL_OK);
    assert_int_equal(version, 2);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "support", &read), KL_OK);
    assert_int_equal(read.records[0].version, 2);
    assert_true(fixture_value_is(fixture_find(&read, "email"), "new@example.org"));
    assert_true(fixture_value_is(fixture_find(&read, "ip"), "192.0.2.7"));
    assert_null(fixture_find(&read, "first_name"));
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "old@example.org", NULL), 0);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "new@example.org", NULL), 1);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"patch\""), 1);
    assert_int_equal(fixture_trail(fixture, "\"first_name\":\"removed\""), 1);
}

static void test_a_patch_of_another_version_is_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "a@example.org", false);
    const struct vault_field_input field = fixture_field("first_name", "Bo");
    uint64_t version = 77;

    assert_int_equal(patch(fixture, "writer", &made, 2, &field, 1, &version), KL_ERR_PRECONDITION);
    assert_string_equal(fixture->err.code, "version_mismatch");
    assert_int_equal(version, 77);
    assert_int_equal(patch(fixture, "writer", &made, 0, &field, 1, &version), KL_OK);
    assert_int_equal(version, 2);
}

static void test_a_patch_checks_every_field_and_changes_nothing_when_one_is_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "a@example.org", false);
    const struct vault_field_input bad[] = {fixture_field("first_name", "Bo"),
                                            fixture_field("ip", "not an address")};
    const struct vault_field_input half[] = {fixture_field("email", "b@example.org"),
                                             fixture_field("first_name", "Bo")};
    const struct vault_field_input unknown[] = {fixture_field("shoe", "44")};
    struct vault_subject_result read = {0};
    uint64_t version = 77;

    assert_int_equal(patch(fixture, "writer", &made, 1, bad, 2, &version), KL_ERR_INVALID);
    assert_string_equal(fixture->err.where, "/fields/ip");
    assert_int_equal(patch(fixture, "writer", &made, 1, unknown, 1, &version), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "unknown_field");
    assert_int_equal(patch(fixture, "half_writer", &made, 1, half, 2, &version), KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.where, "/fields/first_name");
    assert_int_equal(version, 77);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "support", &read), KL_OK);
    assert_int_equal(read.records[0].version, 1);
    assert_true(fixture_value_is(fixture_find(&read, "first_name"), "Ana Maria"));
}

static void test_whoever_may_not_write_does_not_find_the_record(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_client(fixture, "a@example.org");
    struct vault_subject_result nobody = made;
    const struct vault_field_input field = fixture_field("notes", "x");
    struct kl_id record = kl_id_new();
    uint64_t version = 77;

    assert_int_equal(patch(fixture, "reader", &made, 1, &field, 1, &version), KL_ERR_NOT_FOUND);
    assert_int_equal(patch(fixture, "half_writer", &made, 1, &field, 1, &version),
                     KL_ERR_NOT_FOUND);
    nobody.id = kl_id_new();
    assert_int_equal(patch(fixture, "writer", &nobody, 1, &field, 1, &version), KL_ERR_NOT_FOUND);
    nobody.id = made.id;
    nobody.records[0].id = record;
    assert_int_equal(patch(fixture, "writer", &nobody, 1, &field, 1, &version), KL_ERR_NOT_FOUND);
    assert_int_equal(version, 77);
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"not_found\""), 4);
}

static void test_a_unique_value_can_be_given_up_and_taken_by_another(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result a = fixture_client(fixture, "a@example.org");
    struct vault_subject_result b = fixture_client(fixture, "b@example.org");
    const struct vault_field_input to_a = fixture_field("email", "a@example.org");
    const struct vault_field_input to_c = fixture_field("email", "c@example.org");
    uint64_t version = 0;

    assert_int_equal(patch(fixture, "writer", &b, 1, &to_a, 1, &version), KL_ERR_CONFLICT);
    assert_string_equal(fixture->err.code, "not_unique");
    assert_int_equal(patch(fixture, "writer", &a, 1, &to_a, 1, &version),
                     KL_OK); /* its own, again */
    assert_int_equal(patch(fixture, "writer", &a, 2, &to_c, 1, &version), KL_OK);
    assert_int_equal(patch(fixture, "writer", &b, 1, &to_a, 1, &version), KL_OK);
    assert_int_equal(fixture_lookup(fixture, "client.email", "a@example.org", NULL), 1);
}

static void test_a_record_is_added_with_its_consents(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_client(fixture, "a@example.org");
    struct vault_caller writer = fixture_caller(fixture, "writer");
    const struct vault_field_input field = fixture_field("email", "news@example.org");
    const struct vault_consent_input consent = fixture_consent("mailing");
    const struct vault_record_input record = {.type = "newsletter",
                                              .source = "colleague",
                                              .fields = &field,
                                              .field_count = 1,
                                              .consents = &consent,
                                              .consent_count = 1};
    struct vault_record_result added = {0};
    struct vault_subject_result read = {0};

    assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, &made.id, &record, NULL,
                                      fixture->arena, &added, NULL),
                     KL_OK);
    assert_string_equal(added.type, "newsletter");
    assert_int_equal(added.version, 1);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "mailing", &read), KL_OK);
    assert_int_equal(read.record_count, 2);
    assert_true(kl_id_equal(&read.records[1].id, &added.id));
    assert_string_equal(read.records[1].source, "colleague");
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "news@example.org", NULL), 1);
    vault_caller_done(&writer);
}

static void test_adding_to_nobody_or_without_a_grant_is_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_client(fixture, "a@example.org");
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_caller reader = fixture_caller(fixture, "reader");
    struct vault_caller half = fixture_caller(fixture, "half_writer");
    const struct vault_field_input field = fixture_field("notes", "x");
    struct vault_record_input record = {.type = "client", .fields = &field, .field_count = 1};
    struct vault_record_result added = {.version = 77};
    struct kl_id nobody = kl_id_new();

    assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, &nobody, &record, NULL,
                                      fixture->arena, &added, NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(vault_record_add(fixture_vault(fixture), &reader, &made.id, &record, NULL,
                                      fixture->arena, &added, NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(vault_record_add(fixture_vault(fixture), &half, &made.id, &record, NULL,
                                      fixture->arena, &added, NULL),
                     KL_ERR_FORBIDDEN);
    assert_int_equal(vault_record_add(fixture_vault(fixture), &half, &nobody, &record, NULL,
                                      fixture->arena, &added, NULL),
                     KL_ERR_FORBIDDEN);
    record.type = "novel";
    assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, &made.id, &record, NULL,
                                      fixture->arena, &added, &fixture->err),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.where, "/type");
    assert_int_equal(added.version, 77);
    vault_caller_done(&writer);
    vault_caller_done(&reader);
    vault_caller_done(&half);
}

static void test_a_subject_holds_only_so_many_records(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_client(fixture, "a@example.org");
    struct vault_caller writer = fixture_caller(fixture, "writer");
    const struct vault_record_input record = {.type = "newsletter"};
    struct vault_record_result added = {0};
    size_t i;

    for (i = 1; i < VAULT_RECORDS_MAX; i++) {
        assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, &made.id, &record, NULL,
                                          fixture->arena, &added, NULL),
                         KL_OK);
    }
    kl_err_clear(&fixture->err);
    assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, &made.id, &record, NULL,
                                      fixture->arena, &added, &fixture->err),
                     KL_ERR_TOO_LARGE);
    assert_string_equal(fixture->err.code, "too_many_records");
    vault_caller_done(&writer);
}

static void test_a_record_can_be_rectified_more_often_than_its_past_holds(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "a@example.org", false);
    const struct vault_field_input fields[2] = {fixture_field("email", "b@example.org"),
                                                fixture_field("email", "c@example.org")};
    struct vault_subject_result read = {0};
    uint64_t version = 1;
    size_t i;

    for (i = 0; i < 300; i++) {
        if (patch(fixture, "writer", &made, version, &fields[i % 2], 1, &version) != KL_OK) {
            fail_msg("patch %zu: %s %s", i, fixture->err.code, fixture->err.log_text);
        }
    }
    assert_int_equal(version, 301);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "support", &read), KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "email"), "c@example.org"));
    assert_true(fixture_value_is(fixture_find(&read, "first_name"), "Ana Maria"));
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "c@example.org", NULL), 1);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"sweep\""), 1);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_patch_sets_and_removes_fields),
        TEST(test_a_patch_of_another_version_is_refused),
        TEST(test_a_patch_checks_every_field_and_changes_nothing_when_one_is_refused),
        TEST(test_whoever_may_not_write_does_not_find_the_record),
        TEST(test_a_unique_value_can_be_given_up_and_taken_by_another),
        TEST(test_a_record_is_added_with_its_consents),
        TEST(test_adding_to_nobody_or_without_a_grant_is_refused),
        TEST(test_a_subject_holds_only_so_many_records),
        TEST(test_a_record_can_be_rectified_more_often_than_its_past_holds),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
