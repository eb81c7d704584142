/* Who asks, in the policy's numbers: a credential that is made for a recipient, and any other. */
#include "vault/subject_internal.h"

#include "tests/support/request_fixture.h"
#include "tests/support/test.h"

#include <string.h>

/* As the credential of that recipient would be. */
static struct vault_caller as_recipient(struct vault_fixture *fixture, const char *role,
                                        const char *recipient)
{
    struct vault_caller caller = fixture_caller(fixture, role);

    caller.is_recipient = true;
    caller.recipient = vault_policy_recipient_find(caller.policy, recipient);
    assert_int_not_equal(caller.recipient, VAULT_NONE);
    return caller;
}

static void test_a_recipients_credential_names_itself_or_nobody(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller caller = as_recipient(fixture, "reader", "mailer");
    int recipient = 77;

    assert_int_equal(vault_recipient_resolve(&caller, NULL, &recipient, NULL), KL_OK);
    assert_int_equal(recipient, caller.recipient);
    recipient = 77;
    assert_int_equal(vault_recipient_resolve(&caller, "mailer", &recipient, NULL), KL_OK);
    assert_int_equal(recipient, caller.recipient);
    recipient = 77;
    assert_int_equal(vault_recipient_resolve(&caller, "speaker", &recipient, &fixture->err),
                     KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "recipient_forbidden");
    assert_int_equal(recipient, 77);
    kl_err_clear(&fixture->err);
    assert_int_equal(vault_recipient_resolve(&caller, "nobody", &recipient, &fixture->err),
                     KL_ERR_FORBIDDEN); /* which there are is not its business */
    caller.is_recipient = false;
    assert_int_equal(vault_recipient_resolve(&caller, NULL, &recipient, NULL), KL_OK);
    assert_int_equal(recipient, VAULT_NONE);
    assert_int_equal(vault_recipient_resolve(&caller, "nobody", &recipient, NULL), KL_ERR_INVALID);
    vault_caller_done(&caller);
}

static void test_whatever_is_asked_it_is_asked_as_the_recipient(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller caller = as_recipient(fixture, "officer", "mailer");
    int action;

    for (action = 0; action < VAULT_ACTIONS; action++) {
        const struct vault_query query =
            vault_query_of(&caller, (enum vault_action)action, VAULT_NONE, VAULT_NONE, NULL);
        bool answers_for_controller = action == VAULT_ACTION_REPORT ||
                                      action == VAULT_ACTION_HOLD ||
                                      action == VAULT_ACTION_MANAGE_REQUESTS;

        assert_int_equal(query.recipient, caller.recipient);
        assert_int_equal(query.role, answers_for_controller ? VAULT_NONE : caller.role);
    }
    vault_caller_done(&caller);
}

static void test_nothing_of_one_recipient_is_told_to_another(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller caller = as_recipient(fixture, "reader", "mailer");

    assert_true(vault_recipient_may_know(&caller, "mailer"));
    assert_true(vault_recipient_may_know(&caller, NULL));
    assert_false(vault_recipient_may_know(&caller, "speaker"));
    caller.is_recipient = false;
    assert_true(vault_recipient_may_know(&caller, "speaker"));
    vault_caller_done(&caller);
}

/* speaker needs a consent of its own; a read that names nobody is its own all the same. */
static void test_reads_are_decided_and_written_down_as_its_own(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = fixture_newsletter(fixture, "ana@example.org", true);
    const struct vault_read_input input = {.subject = subject.id, .purpose = "mailing"};
    struct vault_subject_result seen = {0};
    struct vault_disclosure_result *found = NULL;

    assert_int_equal(
        fixture_read_as(fixture, as_recipient(fixture, "reader", "speaker"), input, &seen), KL_OK);
    assert_int_equal(fixture_find(&seen, "email")->withheld, VAULT_GATE_CONSENT);
    assert_int_equal(disclosure_list(fixture, &subject.id, &found), 0);
    assert_int_equal(
        fixture_read_as(fixture, as_recipient(fixture, "reader", "mailer"), input, &seen), KL_OK);
    assert_true(fixture_value_is(fixture_find(&seen, "email"), "ana@example.org"));
    assert_int_equal(disclosure_list(fixture, &subject.id, &found), 1);
    assert_string_equal(found[0].recipient, "mailer");
    assert_int_equal(fixture_trail(fixture, "\"recipient\":\"mailer\""), 1);
}

#define FIXTURE(test) \
    cmocka_unit_test_setup_teardown(test, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE(test_a_recipients_credential_names_itself_or_nobody),
        FIXTURE(test_whatever_is_asked_it_is_asked_as_the_recipient),
        FIXTURE(test_nothing_of_one_recipient_is_told_to_another),
        FIXTURE(test_reads_are_decided_and_written_down_as_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
