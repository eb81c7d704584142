/* Reads by id: who learns that somebody is there; many reads at once. */
#include "tests/support/vault_fixture.h"

#include "tests/support/test.h"
#include "vault/subject_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- nobody is there ---- */

static void not_found_as(struct vault_fixture *fixture, struct vault_caller caller,
                         const struct kl_id *subject, const char *purpose)
{
    struct vault_subject_result untouched = {.record_count = 77};
    size_t before = fixture_trail(fixture, "\"reason\":\"not_found\"");

    assert_int_equal(
        fixture_read_as(fixture, caller,
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

    assert_int_equal(
        fixture_read_as(fixture, fixture_caller_with(fixture, "self", NULL, NULL, &made.id),
                        (struct vault_read_input){.subject = made.id, .purpose = "mailing"}, &read),
        KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "email"), "ana@example.org"));
}

static void test_another_record_of_the_subject_is_not_found_as_such(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result read = {0};
    struct kl_id unknown = kl_id_new();

    assert_int_equal(
        fixture_read_as(
            fixture, fixture_caller(fixture, "reader"),
            (struct vault_read_input){.subject = made.id, .record = &unknown, .purpose = "mailing"},
            &read),
        KL_ERR_NOT_FOUND);
    assert_int_equal(fixture_read_as(fixture, fixture_caller(fixture, "reader"),
                                     (struct vault_read_input){.subject = made.id,
                                                               .record = &made.records[0].id,
                                                               .purpose = "mailing"},
                                     &read),
                     KL_OK);
    assert_int_equal(read.record_count, 1);
}

static void read_newsletter_email(struct vault_fixture *fixture, const char *role,
                                  const struct kl_id *subject, enum kl_status expected,
                                  struct vault_subject_result *ret)
{
    static const char *const FIELDS[] = {"newsletter.email"};
    const struct vault_read_input input = {
        .subject = *subject, .purpose = "service", .fields = FIELDS, .field_count = 1};
    struct vault_caller caller = fixture_caller(fixture, role);

    assert_int_equal(vault_subject_read(fixture_vault(fixture), &caller, &input, fixture->arena,
                                        ret, &fixture->err),
                     expected);
    vault_caller_done(&caller);
}

static void test_a_role_with_another_grant_on_the_subject_learns_why_it_reads_nothing(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result read = {.record_count = 77};

    read_newsletter_email(fixture, "clerk", &made.id, KL_ERR_NOT_FOUND, &read);
    assert_string_equal(fixture->err.code, "not_found");
    assert_int_equal(read.record_count, 77);
    read_newsletter_email(fixture, "erasing_clerk", &made.id, KL_OK, &read);
    assert_int_equal(read.record_count, 1);
    assert_int_equal(fixture_find(&read, "email")->withheld, VAULT_GATE_ROLE);
    assert_int_equal(fixture_find(&read, "email")->value.size, 0);
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

    assert_int_equal(vault_subject_read_many(fixture_vault(fixture), &reader, inputs, 4, SIZE_MAX,
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

static void test_reads_beyond_the_budget_are_not_done_and_not_in_the_trail(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result a = fixture_newsletter(fixture, "a@example.org", true);
    struct vault_subject_result b = fixture_newsletter(fixture, "b@example.org", true);
    struct vault_caller reader = fixture_caller(fixture, "reader");
    const struct vault_read_input inputs[] = {{.subject = a.id, .purpose = "mailing"},
                                              {.subject = b.id, .purpose = "mailing"},
                                              {.subject = kl_id_new(), .purpose = "mailing"}};
    struct vault_subject_result rets[3] = {0};
    enum kl_status statuses[3];
    struct kl_err errs[3] = {0};
    size_t i;

    assert_int_equal(vault_subject_read_many(fixture_vault(fixture), &reader, inputs, 1, SIZE_MAX,
                                             fixture->arena, rets, statuses, errs, NULL),
                     KL_OK);
    assert_int_equal(vault_subject_read_many(fixture_vault(fixture), &reader, inputs, 3,
                                             vault_read_bytes(&rets[0]), fixture->arena, rets,
                                             statuses, errs, NULL),
                     KL_OK);
    assert_int_equal(statuses[0], KL_OK);
    assert_true(fixture_value_is(fixture_find(&rets[0], "email"), "a@example.org"));
    for (i = 1; i < 3; i++) {
        assert_int_equal(statuses[i], KL_ERR_TOO_LARGE);
        assert_string_equal(errs[i].code, "batch_result_too_large");
        assert_int_equal(rets[i].record_count, 0);
    }
    assert_int_equal(fixture_trail(fixture, "\"action\":\"read\""), 2);
    vault_caller_done(&reader);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_whoever_may_not_know_of_a_subject_gets_one_answer),
        TEST(test_a_bound_credential_reads_its_own_subject),
        TEST(test_another_record_of_the_subject_is_not_found_as_such),
        TEST(test_a_role_with_another_grant_on_the_subject_learns_why_it_reads_nothing),
        TEST(test_many_reads_each_have_their_own_answer),
        TEST(test_reads_beyond_the_budget_are_not_done_and_not_in_the_trail),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
