/* Restriction: data that is only stored, for everybody but few, until the person was told that it ends. */
#include "tests/support/rights_fixture.h"
#include "tests/support/test.h"

#include "kluis/base/time.h"

static enum kl_status lift(struct vault_fixture *fixture, const struct kl_id *subject,
                           int64_t told_after_us)
{
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    enum kl_status status;

    kl_err_clear(&fixture->err);
    status =
        vault_restriction_lift(fixture_vault(fixture), &dpo, subject,
                               told_after_us == 0 ? 0 : dpo.now_us + told_after_us, &fixture->err);
    vault_caller_done(&dpo);
    return status;
}

static struct vault_restriction look(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_restriction restriction = {0};

    assert_int_equal(
        vault_restriction_read(fixture_vault(fixture), &dpo, subject, &restriction, NULL), KL_OK);
    vault_caller_done(&dpo);
    return restriction;
}

static void test_a_restriction_stops_every_use_on_the_next_read(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    struct vault_subject_result other = rights_client(fixture, "bob@example.org", false);

    assert_false(look(fixture, &made.id).in_force);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "service"), VAULT_GATE_NONE);
    assert_int_equal(rights_restrict(fixture, "dpo", &made.id), KL_OK);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "service"),
                     VAULT_GATE_RESTRICTION);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "bookkeeping"),
                     VAULT_GATE_RESTRICTION);
    assert_int_equal(rights_gate_now(fixture, "reader", &other.id, "service"), VAULT_GATE_NONE);
    assert_true(look(fixture, &made.id).in_force);
    assert_int_equal(look(fixture, &made.id).ground, VAULT_RESTRICTION_ACCURACY_CONTESTED);
    fixture_reopen(fixture);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "service"),
                     VAULT_GATE_RESTRICTION);
}

static void test_rights_the_person_and_grounds_pass_a_restriction(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    struct vault_subject_result read = {0};
    struct vault_caller self;

    assert_int_equal(rights_restrict(fixture, "dpo", &made.id), KL_OK);
    assert_int_equal(rights_gate_now(fixture, "dpo", &made.id, "answer_rights"), VAULT_GATE_NONE);
    for (int ground = VAULT_GROUND_NONE + 1; ground < VAULT_GROUNDS; ground++) {
        assert_int_equal(
            rights_gate(fixture, "lawyer", &made.id, "service", (enum vault_ground)ground, 0),
            VAULT_GATE_NONE);
        assert_int_equal(
            rights_gate(fixture, "reader", &made.id, "service", (enum vault_ground)ground, 0),
            VAULT_GATE_RESTRICTION);
    }
    assert_int_equal(rights_gate_now(fixture, "lawyer", &made.id, "service"),
                     VAULT_GATE_RESTRICTION);
    assert_int_equal(fixture_trail(fixture, "\"ground\":\"protect_person\""), 2);
    self = fixture_caller_with(fixture, "self", NULL, NULL, &made.id);
    assert_int_equal(
        vault_subject_read(fixture_vault(fixture), &self,
                           &(struct vault_read_input){.subject = made.id, .purpose = "service"},
                           fixture->arena, &read, NULL),
        KL_OK);
    vault_caller_done(&self);
    assert_true(fixture_value_is(fixture_find(&read, "email"), "ana@example.org"));
}

static void test_only_a_consent_given_since_passes_a_restriction(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", true);

    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "news"), VAULT_GATE_NONE);
    assert_int_equal(rights_restrict(fixture, "dpo", &made.id), KL_OK);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "news"), VAULT_GATE_RESTRICTION);
    rights_give_news(fixture, &made.id);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "news"), VAULT_GATE_NONE);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "service"),
                     VAULT_GATE_RESTRICTION);
}

static void test_it_is_lifted_only_when_the_person_was_told(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);

    assert_int_equal(lift(fixture, &made.id, 0), KL_ERR_NOT_FOUND);
    assert_string_equal(fixture->err.code, "not_restricted");
    assert_int_equal(rights_restrict(fixture, "dpo", &made.id), KL_OK);
    assert_int_equal(lift(fixture, &made.id, 0), KL_ERR_CONFLICT);
    assert_string_equal(fixture->err.code, "person_not_told");
    assert_int_equal(lift(fixture, &made.id, -KL_TIME_DAY_US), KL_ERR_CONFLICT);
    assert_int_equal(lift(fixture, &made.id, KL_TIME_DAY_US), KL_ERR_CONFLICT);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "service"),
                     VAULT_GATE_RESTRICTION);
    assert_int_equal(lift(fixture, &made.id, -1), KL_OK);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "service"), VAULT_GATE_NONE);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"restriction_lift\""), 5);
}

static void test_again_changes_the_ground_and_not_the_time(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    struct vault_caller dpo;
    int64_t since_us;

    assert_int_equal(rights_restrict(fixture, "dpo", &made.id), KL_OK);
    since_us = look(fixture, &made.id).since_us;
    dpo = fixture_caller(fixture, "dpo");
    assert_int_equal(vault_restriction_set(fixture_vault(fixture), &dpo, &made.id,
                                           VAULT_RESTRICTION_UNLAWFUL, NULL),
                     KL_OK);
    vault_caller_done(&dpo);
    assert_int_equal(look(fixture, &made.id).since_us, since_us);
    assert_int_equal(look(fixture, &made.id).ground, VAULT_RESTRICTION_UNLAWFUL);
}

static void test_a_role_that_may_not_learns_nothing(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    struct vault_restriction restriction = {.since_us = 7};
    struct kl_id nobody = kl_id_new();
    struct vault_caller reader = fixture_caller(fixture, "reader");

    assert_int_equal(rights_restrict(fixture, "reader", &made.id), KL_ERR_NOT_FOUND);
    assert_int_equal(rights_restrict(fixture, "dpo", &nobody), KL_ERR_NOT_FOUND);
    assert_int_equal(
        vault_restriction_read(fixture_vault(fixture), &reader, &made.id, &restriction, NULL),
        KL_ERR_NOT_FOUND);
    assert_int_equal(restriction.since_us, 7);
    vault_caller_done(&reader);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "service"), VAULT_GATE_NONE);
}

static void test_an_older_data_brings_no_restricted_use_back(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);

    (void)rights_gate_now(fixture, "reader", &made.id, "service");
    fixture_copy(fixture);
    assert_int_equal(rights_restrict(fixture, "dpo", &made.id), KL_OK);
    fixture_put_back_data(fixture);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "service"),
                     VAULT_GATE_RESTRICTION);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"restricted_again\""), 1);
    assert_int_equal(lift(fixture, &made.id, -1), KL_OK);
    fixture_reopen(fixture);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "service"), VAULT_GATE_NONE);
}

int main(void)
{
#define RIGHTS(name) cmocka_unit_test_setup_teardown(name, rights_setup, vault_fixture_teardown)
    const struct CMUnitTest tests[] = {
        RIGHTS(test_a_restriction_stops_every_use_on_the_next_read),
        RIGHTS(test_rights_the_person_and_grounds_pass_a_restriction),
        RIGHTS(test_only_a_consent_given_since_passes_a_restriction),
        RIGHTS(test_it_is_lifted_only_when_the_person_was_told),
        RIGHTS(test_again_changes_the_ground_and_not_the_time),
        RIGHTS(test_a_role_that_may_not_learns_nothing),
        RIGHTS(test_an_older_data_brings_no_restricted_use_back),
    };

    return cmocka_run_group_tests_name("restriction", tests, admin_group_setup, NULL);
}
