/* A tenant's first steward, and another one made at the machine. */
#include "vault/steward.h"

#include "tests/support/admin_fixture.h"
#include "tests/support/no_memory.h"
#include "tests/support/test.h"
#include "vault/rows.h"

#include <string.h>

static void test_a_tenant_without_a_steward_never_had_one(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller chief = admin_operator(fixture);
    struct vault_caller at = {0};
    bool created = false;
    bool was = true;

    assert_int_equal(vault_tenant_put(fixture->vault, &chief, "shop", NULL, NULL, &created, NULL),
                     KL_OK);
    vault_caller_done(&chief);
    at = admin_caller(fixture, &fixture->operator_token, "shop");
    assert_int_equal(vault_steward_was(fixture->vault, at.tenant, &was, NULL), KL_OK);
    assert_false(was);
    vault_steward_mark(fixture->vault, at.tenant);
    vault_steward_mark(fixture->vault, at.tenant);
    admin_reopen(fixture);
    assert_int_equal(vault_steward_was(fixture->vault, at.tenant, &was, NULL), KL_OK);
    assert_true(was);
    vault_caller_done(&at);
}

static void test_a_damaged_row_of_a_credential_is_told(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller chief = admin_operator(fixture);
    struct vault_caller at = {0};
    struct kl_id id = kl_id_new();
    struct vault_row_key key;
    struct vault_batch *batch = vault_batch_new();
    struct kl_err err = {0};
    bool created = false;
    bool was = true;

    assert_int_equal(vault_tenant_put(fixture->vault, &chief, "shop", NULL, NULL, &created, NULL),
                     KL_OK);
    vault_caller_done(&chief);
    at = admin_caller(fixture, &fixture->operator_token, "shop");
    key = vault_row_credential_id(at.tenant, &id);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_text("no mac"));
    assert_int_equal(vault_store_apply(fixture->vault->data_store, batch, true, NULL), KL_OK);
    assert_int_equal(vault_steward_was(fixture->vault, at.tenant, &was, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "credential_damaged");
    assert_true(was);
    vault_batch_free(batch);
    vault_caller_done(&at);
}

static void test_who_has_the_custodian_makes_another_steward(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct vault_credential_input auditor = {.role = "auditor", .expires_in = "P1Y"};
    struct vault_credential_result result;
    struct vault_token token = {{0}};
    struct vault_token made = {{0}};
    struct vault_caller caller = admin_steward(fixture);

    assert_int_equal(vault_credential_revoke(fixture->vault, &caller, &caller.credential, NULL),
                     KL_OK);
    vault_caller_done(&caller);
    admin_close(fixture);
    assert_int_equal(vault_steward_recover(&fixture->options, "default", &token, NULL), KL_OK);
    admin_reopen(fixture);
    caller = admin_caller(fixture, &token, NULL);
    assert_int_equal(caller.builtin, VAULT_BUILTIN_STEWARD);
    assert_string_equal(caller.tenant_name, "default");
    assert_int_equal(
        vault_credential_create(fixture->vault, &caller, &auditor, NULL, &made, &result, NULL),
        KL_OK);
    vault_caller_done(&caller);
    fixture->steward_token = token;
    assert_int_equal(admin_trail_count(fixture, false, "\"action\":\"steward_recovered\""), 1);
    assert_int_equal(admin_trail_count(fixture, true, "\"action\":\"steward_recovered\""), 1);
}

static void test_a_recovery_of_nobody_is_refused(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_token token = {"untouched"};
    struct kl_err err = {0};

    assert_int_equal(vault_steward_recover(&fixture->options, "default", &token, &err),
                     KL_ERR_BUSY); /* a server has the vault */
    kl_err_clear(&err);
    admin_close(fixture);
    assert_int_equal(vault_steward_recover(&fixture->options, "No Name", &token, &err),
                     KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_tenant");
    kl_err_clear(&err);
    assert_int_equal(vault_steward_recover(&fixture->options, "nobody", &token, &err),
                     KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "unknown_tenant");
    assert_string_equal(token.text, "untouched");
    admin_reopen(fixture);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, admin_setup, admin_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_tenant_without_a_steward_never_had_one),
        TEST(test_a_damaged_row_of_a_credential_is_told),
        TEST(test_who_has_the_custodian_makes_another_steward),
        TEST(test_a_recovery_of_nobody_is_refused),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
