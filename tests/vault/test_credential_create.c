/* Credentials made: what a name that the policy does not have is answered with, and those made for a recipient. */
#include "tests/support/test.h"
#include "tests/support/vault_fixture.h"
#include "vault/credentials.h"

#include <stdio.h>
#include <string.h>

/* Make one as the steward; the status, err in the fixture. */
static enum kl_status make(struct vault_fixture *fixture,
                           const struct vault_credential_input *input,
                           struct vault_token *ret_token, struct vault_credential_result *ret)
{
    struct vault_caller steward = admin_steward(fixture->admin);
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_credential_create(fixture_vault(fixture), &steward, input, NULL, ret_token, ret,
                                     &fixture->err);
    vault_caller_done(&steward);
    return status;
}

static void refused(struct vault_fixture *fixture, struct vault_credential_input input,
                    const char *code, const char *where, const char *said)
{
    struct vault_token token = {"untouched"};
    struct vault_credential_result result = {.role = "untouched"};

    input.expires_in = "P1D";
    assert_int_equal(make(fixture, &input, &token, &result), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, code);
    assert_string_equal(fixture->err.where, where);
    if (strstr(fixture->err.client_text, said) == NULL) {
        fail_msg("%s", fixture->err.client_text);
    }
    assert_string_equal(token.text, "untouched");
    assert_string_equal(result.role, "untouched");
}

static void test_a_name_that_is_not_there_gets_the_nearest_or_all(void **state)
{
    struct vault_fixture *fixture = *state;
    static const char *const near[] = {"service", "maling"};
    static const char *const far[] = {"something_else"};
    static const char *const forbidden[] = {"advertising"};
    const struct vault_credential_input near_purpose = {
        .role = "reader", .purposes = near, .purpose_count = 2};
    const struct vault_credential_input far_purpose = {
        .role = "reader", .purposes = far, .purpose_count = 1};
    const struct vault_credential_input no_purpose = {
        .role = "reader", .purposes = forbidden, .purpose_count = 1};

    refused(fixture, (struct vault_credential_input){.role = "raeder"}, "unknown_role", "/role",
            "no such role, did you mean reader?");
    refused(fixture, (struct vault_credential_input){.role = "zzzzzzzzzzzz"}, "unknown_role",
            "/role", "; it has steward, auditor, writer, half_writer, reader,");
    refused(fixture, near_purpose, "unknown_purpose", "/purposes/1", "did you mean mailing?");
    refused(fixture, far_purpose, "unknown_purpose", "/purposes/0",
            "; it has mailing, service, support");
    assert_null(strstr(fixture->err.client_text, "something_else"));
    assert_null(strstr(fixture->err.client_text, "advertising"));
    refused(fixture, no_purpose, "forbidden_purpose", "/purposes/0",
            "forbids the purpose advertising to everybody; it has mailing, service, support");
    refused(fixture, (struct vault_credential_input){.role = "reader", .recipient = "maler"},
            "unknown_recipient", "/recipient", "did you mean mailer?");
    refused(fixture, (struct vault_credential_input){.role = "reader", .recipient = ""},
            "unknown_recipient", "/recipient", "; it has speaker, mailer");
}

/* More roles than an error's text has room for: the rest is cut, with a sign. */
static void test_a_long_list_of_names_is_cut(void **state)
{
    struct vault_fixture *fixture = *state;
    char text[8192];
    size_t size = (size_t)snprintf(text, sizeof text, "%s", vault_policy_text);
    int i;

    for (i = 0; i < 6; i++) {
        size += (size_t)snprintf(text + size, sizeof text - size,
                                 "  a_role_with_quite_a_long_name_of_its_own_%d:\n"
                                 "    - { do: [write], fields: [\"*\"] }\n",
                                 i);
    }
    (void)admin_apply(fixture->admin, text);
    refused(fixture, (struct vault_credential_input){.role = "zzzzzzzzzzzz"}, "unknown_role",
            "/role", ", ...");
    assert_string_equal(strstr(fixture->err.client_text, ", ..."), ", ...");
    assert_true(strlen(fixture->err.client_text) < KL_ERR_TEXT_BYTES - 1);
}

static void test_a_recipient_is_not_for_built_in_roles_nor_beside_a_subject(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result subject = fixture_newsletter(fixture, "ana@example.org", true);

    refused(fixture, (struct vault_credential_input){.role = "auditor", .recipient = "mailer"},
            "not_for_built_in_role", "/recipient", "no recipient");
    refused(fixture,
            (struct vault_credential_input){
                .role = "reader", .recipient = "mailer", .subject = &subject.id},
            "recipient_and_subject", "/recipient", "not for both");
}

static void test_the_recipient_is_in_the_row_in_the_list_and_in_the_trail(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_credential_input input = {
        .role = "reader", .recipient = "mailer", .expires_in = "P1D"};
    struct vault_credential_result result = {.bound = true};
    struct vault_credential *read = NULL;
    struct vault_token token;
    struct vault_caller caller;

    assert_int_equal(make(fixture, &input, &token, &result), KL_OK);
    assert_string_equal(result.recipient, "mailer");
    assert_int_equal(fixture_trail(fixture, "\"target_recipient\":\"mailer\""), 1);
    fixture_reopen(fixture);
    assert_int_equal(vault_credential_read(fixture_vault(fixture), fixture_tenant(fixture),
                                           &result.id, &read, NULL),
                     KL_OK);
    assert_string_equal(read->recipient, "mailer");
    assert_int_equal(vault_credential_describe(fixture_vault(fixture), read, NULL, &result, NULL),
                     KL_OK);
    assert_string_equal(result.recipient, "mailer");
    vault_credential_unref(read);
    caller = admin_caller(fixture->admin, &token, NULL);
    assert_true(caller.is_recipient);
    assert_string_equal(vault_policy_recipient(caller.policy, caller.recipient)->name, "mailer");
    vault_caller_done(&caller);
    caller = fixture_caller(fixture, "reader");
    assert_false(caller.is_recipient);
    vault_caller_done(&caller);
}

/* The row of a credential that is revoked still says for whom it was. */
static void test_revoking_keeps_the_recipient(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_credential_input input = {
        .role = "reader", .recipient = "mailer", .expires_in = "P1D"};
    struct vault_credential_result result;
    struct vault_credential *read = NULL;
    struct vault_token token;
    struct vault_caller steward;

    assert_int_equal(make(fixture, &input, &token, &result), KL_OK);
    steward = admin_steward(fixture->admin);
    assert_int_equal(
        vault_credential_revoke(fixture_vault(fixture), &steward, &result.id, &fixture->err),
        KL_OK);
    vault_caller_done(&steward);
    assert_int_equal(vault_credential_read(fixture_vault(fixture), fixture_tenant(fixture),
                                           &result.id, &read, NULL),
                     KL_OK);
    assert_int_not_equal(read->revoked_us, 0);
    assert_string_equal(read->recipient, "mailer");
    vault_credential_unref(read);
    assert_int_equal(fixture_trail(fixture, "\"target_recipient\":\"mailer\""), 2);
}

static void test_a_recipient_that_the_policy_drops_gets_nothing(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_credential_input input = {
        .role = "reader", .recipient = "mailer", .expires_in = "P1D"};
    struct vault_credential_result result;
    struct vault_token token;
    struct vault_caller caller = {.tenant = 77};
    const struct vault_proof proof = {.token = token.text};
    char text[8192];
    char *line = NULL;
    int i;

    assert_int_equal(make(fixture, &input, &token, &result), KL_OK);
    (void)snprintf(text, sizeof text, "%s", vault_policy_text);
    line = strstr(text, "  mailer:");
    assert_non_null(line);
    memcpy(line, "  poster:", strlen("  poster:"));
    (void)admin_apply(fixture->admin, text);
    for (i = 0; i < 3; i++) {
        kl_err_clear(&fixture->err);
        assert_int_equal(
            vault_caller_open(fixture_vault(fixture), &proof, NULL, NULL, &caller, &fixture->err),
            KL_ERR_FORBIDDEN);
        assert_string_equal(fixture->err.code, "recipient_gone");
        assert_int_equal(caller.tenant, 77);
    }
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"recipient_gone\""), 1);
    (void)admin_apply(fixture->admin, vault_policy_text);
    caller = admin_caller(fixture->admin, &token, NULL);
    assert_true(caller.is_recipient);
    vault_caller_done(&caller);
}

#define FIXTURE(test) \
    cmocka_unit_test_setup_teardown(test, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE(test_a_name_that_is_not_there_gets_the_nearest_or_all),
        FIXTURE(test_a_long_list_of_names_is_cut),
        FIXTURE(test_a_recipient_is_not_for_built_in_roles_nor_beside_a_subject),
        FIXTURE(test_the_recipient_is_in_the_row_in_the_list_and_in_the_trail),
        FIXTURE(test_revoking_keeps_the_recipient),
        FIXTURE(test_a_recipient_that_the_policy_drops_gets_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
