/* Who is let in where, when a vault has several stores; and whose tenants and credentials are whose. */
#include "tests/support/stores_fixture.h"
#include "tests/support/test.h"
#include "vault/stores_internal.h"
#include "vault/tenants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CERTIFICATE "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct vault *main_of(struct stores_fixture *fixture)
{
    return vault_stores_main(fixture->stores);
}

static const char *operator_of(const struct stores_fixture *fixture)
{
    return fixture->admin->operator_token.text;
}

/* Stores focus (IE) and orbit (NL), tenant "acme" in orbit. */
static int two_stores(void **state)
{
    struct stores_fixture *fixture;

    (void)stores_setup(state);
    fixture = *state;
    assert_int_equal(stores_add(fixture, "focus", "IE", NULL), KL_OK);
    assert_int_equal(stores_add(fixture, "orbit", "NL", NULL), KL_OK);
    assert_int_equal(stores_tenant(fixture, "acme", "orbit", NULL, NULL), KL_OK);
    return 0;
}

static void expect_place(struct stores_fixture *fixture, const char *token, const char *tenant,
                         const char *store, const char *expected)
{
    struct vault *vault = NULL;
    struct vault_caller caller = stores_caller(fixture, token, tenant, store, &vault);

    assert_string_equal(vault_store_name(vault), expected);
    vault_caller_done(&caller);
}

static void expect_refused(struct stores_fixture *fixture, const char *token, const char *tenant,
                           const char *store, enum kl_status status, const char *code)
{
    struct kl_err err = {0};

    assert_int_equal(stores_let_in(fixture, token, tenant, store, &err), status);
    assert_string_equal(err.code, code);
}

/* ---- where ---- */

static void test_an_operator_acts_where_it_says_or_where_the_tenant_is(void **state)
{
    struct stores_fixture *fixture = *state;
    const char *token = operator_of(fixture);

    expect_place(fixture, token, NULL, NULL, "main");
    expect_place(fixture, token, "default", NULL, "main");
    expect_place(fixture, token, "acme", NULL, "orbit");
    expect_place(fixture, token, NULL, "focus", "focus");
    expect_place(fixture, token, "acme", "orbit", "orbit");
    expect_refused(fixture, token, "acme", "focus", KL_ERR_NOT_FOUND, "unknown_tenant");
    expect_refused(fixture, token, "nobody", NULL, KL_ERR_NOT_FOUND, "unknown_tenant");
    expect_refused(fixture, token, NULL, "elsewhere", KL_ERR_NOT_FOUND, "unknown_store");
    expect_refused(fixture, token, NULL, "Orbit", KL_ERR_INVALID, "invalid_store");
    expect_refused(fixture, token, "Acme", NULL, KL_ERR_INVALID, "invalid_tenant");
}

static void test_only_an_operator_names_another_store_or_tenant(void **state)
{
    struct stores_fixture *fixture = *state;
    struct vault_token steward = stores_steward(fixture, "acme");

    expect_place(fixture, steward.text, NULL, NULL, "orbit");
    expect_place(fixture, steward.text, "acme", "orbit", "orbit");
    expect_refused(fixture, steward.text, NULL, "main", KL_ERR_FORBIDDEN, "store_forbidden");
    expect_refused(fixture, steward.text, NULL, "focus", KL_ERR_FORBIDDEN, "store_forbidden");
    expect_refused(fixture, steward.text, NULL, "elsewhere", KL_ERR_FORBIDDEN, "store_forbidden");
    expect_refused(fixture, steward.text, "default", NULL, KL_ERR_FORBIDDEN, "tenant_forbidden");
}

static void test_an_unknown_token_is_unknown_everywhere(void **state)
{
    struct stores_fixture *fixture = *state;
    char longest[600];

    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    expect_refused(fixture, "kl_nobody", NULL, NULL, KL_ERR_UNAUTHORISED, "unauthorised");
    expect_refused(fixture, "", NULL, NULL, KL_ERR_UNAUTHORISED, "unauthorised");
    expect_refused(fixture, longest, NULL, NULL, KL_ERR_UNAUTHORISED, "unauthorised");
    expect_refused(fixture, NULL, NULL, NULL, KL_ERR_UNAUTHORISED, "unauthorised");
}

static void test_a_revoked_credential_is_refused_also_where_it_was_found_before(void **state)
{
    struct stores_fixture *fixture = *state;
    const struct vault_credential_input input = {.role = "auditor", .expires_in = "P1D"};
    struct vault_token steward = stores_steward(fixture, "acme");
    struct vault_token auditor = {{0}};
    struct vault_credential_result result;
    struct vault *vault = NULL;
    struct vault_caller caller = stores_caller(fixture, steward.text, NULL, NULL, &vault);

    assert_int_equal(vault_stores_credential_create(fixture->stores, vault, &caller, &input, NULL,
                                                    &auditor, &result, NULL),
                     KL_OK);
    expect_place(fixture, auditor.text, NULL, NULL, "orbit");
    expect_place(fixture, auditor.text, NULL, NULL, "orbit"); /* by the hint */
    assert_int_equal(vault_credential_revoke(vault, &caller, &result.id, NULL), KL_OK);
    vault_caller_done(&caller);
    expect_refused(fixture, auditor.text, NULL, NULL, KL_ERR_UNAUTHORISED, "unauthorised");
}

/* ---- tenants ---- */

static void test_a_tenants_name_is_taken_in_all_stores(void **state)
{
    struct stores_fixture *fixture = *state;
    struct vault *vault = NULL;
    struct kl_err err = {0};

    assert_int_equal(stores_tenant(fixture, "acme", "focus", &vault, &err), KL_ERR_CONFLICT);
    assert_string_equal(err.code, "tenant_elsewhere");
    assert_null(vault);
    assert_null(vault_tenants_find(vault_stores_at(fixture->stores, 1, NULL), "acme"));
    assert_int_equal(stores_tenant(fixture, "acme", NULL, &vault, NULL), KL_OK);
    assert_string_equal(vault_store_name(vault), "orbit");
    kl_err_clear(&err);
    assert_int_equal(stores_tenant(fixture, "new", "elsewhere", &vault, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "unknown_store");
    assert_string_equal(err.where, "/store");
}

static void test_the_tenants_of_all_stores_are_listed_by_name(void **state)
{
    struct stores_fixture *fixture = *state;
    struct vault_caller caller = stores_operator(fixture);
    struct vault_tenant_result *tenants = NULL;
    size_t count = 0;

    assert_int_equal(stores_tenant(fixture, "beta", "focus", NULL, NULL), KL_OK);
    assert_int_equal(vault_stores_tenant_list(fixture->stores, main_of(fixture), &caller,
                                              fixture->admin->arena, &tenants, &count, NULL),
                     KL_OK);
    vault_caller_done(&caller);
    assert_int_equal(count, 3);
    assert_string_equal(tenants[0].name, "acme");
    assert_string_equal(tenants[0].store, "orbit");
    assert_string_equal(tenants[0].country.code, "NL");
    assert_string_equal(tenants[1].store, "focus");
    assert_string_equal(tenants[2].store, "main");
}

static void test_a_tenant_that_ended_frees_its_name_and_ends_in_its_store_alone(void **state)
{
    struct stores_fixture *fixture = *state;
    struct vault_token steward = stores_steward(fixture, "acme");
    struct vault_caller caller = stores_operator(fixture);
    struct vault *vault = NULL;
    struct kl_buf receipt;
    int64_t ends_us = 77;
    int seen = 0;
    uint64_t before = stores_listed(fixture, "main", &seen).generation;

    kl_buf_init(&receipt, 65536);
    assert_int_equal(
        vault_stores_tenant(fixture->stores, main_of(fixture), &caller, "acme", &vault, NULL),
        KL_OK);
    assert_int_equal(vault_tenant_end(vault, &caller, "acme", &receipt, &ends_us, NULL), KL_OK);
    assert_int_equal(ends_us, 0);
    assert_true(receipt.size > 0);
    kl_buf_done(&receipt);
    vault_caller_done(&caller);
    expect_refused(fixture, steward.text, NULL, NULL, KL_ERR_UNAUTHORISED, "unauthorised");
    assert_int_equal(stores_listed(fixture, "main", &seen).generation, before);
    assert_int_equal(stores_tenant(fixture, "acme", "focus", &vault, NULL), KL_OK);
    assert_string_equal(vault_store_name(vault), "focus");
}

static void test_a_new_tenant_lies_in_the_eea_unless_somebody_says_otherwise(void **state)
{
    struct stores_fixture *fixture;
    struct vault *vault = NULL;
    void *admin = NULL;

    fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    (void)admin_setup_empty(&admin);
    fixture->admin = admin;
    fixture->admin->options.country = "US";
    *state = fixture;
    assert_int_equal(vault_init(&fixture->admin->options, &fixture->admin->operator_token,
                                &fixture->admin->steward_token, NULL),
                     KL_OK);
    stores_reopen(fixture);
    assert_int_equal(stores_tenant(fixture, "alone", NULL, &vault, NULL), KL_OK);
    assert_string_equal(vault_store_name(vault), "main"); /* there is no other */
    assert_int_equal(stores_add(fixture, "canada", "CA", NULL), KL_OK);
    assert_int_equal(stores_add(fixture, "focus", "IE", NULL), KL_OK);
    assert_int_equal(stores_tenant(fixture, "acme", NULL, &vault, NULL), KL_OK);
    assert_string_equal(vault_store_name(vault), "focus");
    assert_int_equal(stores_tenant(fixture, "beta", "canada", &vault, NULL), KL_OK);
    assert_string_equal(vault_store_name(vault), "canada");
}

static void test_a_policy_for_the_eea_is_refused_for_a_store_outside(void **state)
{
    struct stores_fixture *fixture = *state;
    struct vault_findings *findings = calloc(1, sizeof *findings);
    struct vault_token steward;
    struct vault_caller caller;
    struct vault *vault = NULL;
    struct kl_err err = {0};
    uint64_t number = 77;

    assert_non_null(findings);
    assert_int_equal(stores_add(fixture, "usa", "US", NULL), KL_OK);
    assert_int_equal(stores_tenant(fixture, "beta", "usa", NULL, NULL), KL_OK);
    steward = stores_steward(fixture, "beta");
    caller = stores_caller(fixture, steward.text, NULL, NULL, &vault);
    assert_int_equal(vault_policy_apply(vault, &caller, admin_policy, strlen(admin_policy),
                                        findings, &number, &err),
                     KL_ERR_CONFLICT);
    assert_string_equal(err.code, "store_residency");
    assert_int_equal(number, 77);
    vault_caller_done(&caller);
    steward = stores_steward(fixture, "acme");
    caller = stores_caller(fixture, steward.text, NULL, NULL, &vault);
    assert_int_equal(vault_policy_apply(vault, &caller, admin_policy, strlen(admin_policy),
                                        findings, &number, NULL),
                     KL_OK);
    vault_caller_done(&caller);
    free(findings);
}

/* ---- credentials ---- */

static void test_an_operator_is_main_s_whatever_tenant_its_maker_named(void **state)
{
    struct stores_fixture *fixture = *state;
    const struct vault_credential_input input = {.role = "operator", .expires_in = "P1D"};
    struct vault_credential_result result;
    struct vault_token token = {{0}};
    struct vault *vault = NULL;
    struct vault_caller caller = stores_caller(fixture, operator_of(fixture), "acme", NULL, &vault);

    assert_string_equal(vault_store_name(vault), "orbit");
    assert_int_equal(vault_stores_credential_create(fixture->stores, vault, &caller, &input, NULL,
                                                    &token, &result, NULL),
                     KL_OK);
    vault_caller_done(&caller);
    expect_place(fixture, token.text, NULL, NULL, "main");
    assert_int_equal(vault_caller_open(main_of(fixture), &(struct vault_proof){.token = token.text},
                                       NULL, NULL, &caller, NULL),
                     KL_OK);
    vault_caller_done(&caller);
}

static void test_an_operators_credential_in_another_store_is_none(void **state)
{
    struct stores_fixture *fixture = *state;
    const struct vault_credential_input input = {.role = "operator", .expires_in = "P1D"};
    struct vault_credential_result result;
    struct vault_token token = {{0}};
    struct vault *vault = NULL;
    struct vault_caller caller =
        stores_caller(fixture, operator_of(fixture), NULL, "orbit", &vault);

    assert_int_equal(vault_credential_create(vault, &caller, &input, NULL, &token, &result, NULL),
                     KL_OK); /* as nobody does */
    vault_caller_done(&caller);
    expect_refused(fixture, token.text, NULL, NULL, KL_ERR_UNAUTHORISED, "unauthorised");
    expect_refused(fixture, token.text, NULL, "orbit", KL_ERR_UNAUTHORISED, "unauthorised");
}

static enum kl_status certify(struct stores_fixture *fixture, const char *token, struct kl_err *err)
{
    const struct vault_credential_input input = {
        .role = "auditor", .expires_in = "P1D", .certificate_sha256 = CERTIFICATE};
    struct vault_credential_result result;
    struct vault_token none = {{0}};
    struct vault *vault = NULL;
    struct vault_caller caller = stores_caller(fixture, token, NULL, NULL, &vault);
    enum kl_status status = vault_stores_credential_create(fixture->stores, vault, &caller, &input,
                                                           NULL, &none, &result, err);

    vault_caller_done(&caller);
    return status;
}

static void test_a_certificate_has_one_credential_in_all_stores(void **state)
{
    struct stores_fixture *fixture = *state;
    struct vault_token steward = stores_steward(fixture, "acme");
    struct kl_err err = {0};

    assert_int_equal(certify(fixture, steward.text, NULL), KL_OK);
    assert_int_equal(certify(fixture, fixture->admin->steward_token.text, &err), KL_ERR_CONFLICT);
    assert_string_equal(err.code, "certificate_in_use");
    assert_int_equal(certify(fixture, steward.text, NULL), KL_ERR_CONFLICT);
}

static struct vault_token make_auditor(struct stores_fixture *fixture)
{
    const struct vault_credential_input input = {.role = "auditor", .expires_in = "P1D"};
    struct vault_credential_result result;
    struct vault_token token = {{0}};
    struct vault *vault = NULL;
    struct vault_caller steward =
        stores_caller(fixture, fixture->admin->steward_token.text, NULL, NULL, &vault);

    assert_int_equal(vault_stores_credential_create(fixture->stores, vault, &steward, &input, NULL,
                                                    &token, &result, NULL),
                     KL_OK);
    vault_caller_done(&steward);
    return token;
}

static size_t refusals(struct stores_fixture *fixture, const char *reason)
{
    const struct vault_audit_filter filter = {0};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1] = "";
    struct vault *vault = NULL;
    struct vault_caller steward =
        stores_caller(fixture, fixture->admin->steward_token.text, NULL, NULL, &vault);
    struct kl_buf text;
    size_t count = 0;

    kl_buf_init(&text, 1024 * 1024);
    assert_int_equal(
        vault_audit_list(vault, &steward, &filter, VAULT_PAGE_MAX, cursor, &text, cursor, NULL),
        KL_OK);
    for (const char *at = (const char *)text.bytes; (at = strstr(at, reason)) != NULL; at++) {
        count++;
    }
    kl_buf_done(&text);
    vault_caller_done(&steward);
    return count;
}

static void test_who_may_make_no_credential_learns_of_no_certificate(void **state)
{
    struct stores_fixture *fixture = *state;
    struct vault_token steward = stores_steward(fixture, "acme");
    struct vault_token auditor = make_auditor(fixture);
    struct kl_err err = {0};

    assert_int_equal(certify(fixture, steward.text, NULL), KL_OK);
    assert_int_equal(certify(fixture, auditor.text, &err), KL_ERR_FORBIDDEN);
    assert_string_equal(err.code, "role_forbidden");
    assert_int_equal(refusals(fixture, "\"reason\":\"role_forbidden\""), 1);
    assert_int_equal(certify(fixture, fixture->admin->steward_token.text, NULL), KL_ERR_CONFLICT);
    assert_int_equal(refusals(fixture, "\"reason\":\"certificate_in_use\""), 1);
}

static void test_a_certificate_that_two_stores_know_lets_nobody_in(void **state)
{
    struct stores_fixture *fixture = *state;
    struct vault_token steward = stores_steward(fixture, "acme");
    unsigned char hash[32];
    const struct vault_proof proof = {.certificate_sha256 = hash};
    const struct vault_scope scope = {NULL, NULL, false};
    const struct vault_credential_input input = {
        .role = "auditor", .expires_in = "P1D", .certificate_sha256 = CERTIFICATE};
    struct vault_credential_result result;
    struct vault_token none = {{0}};
    struct vault *vault = NULL;
    struct vault_caller caller =
        stores_caller(fixture, fixture->admin->steward_token.text, NULL, NULL, &vault);
    size_t i;

    for (i = 0; i < sizeof hash; i++) {
        hash[i] = (unsigned char)((i % 16) * 0x11);
    }
    assert_int_equal(vault_credential_create(vault, &caller, &input, NULL, &none, &result, NULL),
                     KL_OK);
    vault_caller_done(&caller);
    caller = stores_caller(fixture, steward.text, NULL, NULL, &vault);
    assert_int_equal(vault_credential_create(vault, &caller, &input, NULL, &none, &result, NULL),
                     KL_OK); /* as a store that was away then would have it */
    vault_caller_done(&caller);
    assert_int_equal(
        vault_stores_caller_open(fixture->stores, &proof, &scope, NULL, &caller, &vault, NULL),
        KL_ERR_UNAUTHORISED);
}

#define STORES(test) cmocka_unit_test_setup_teardown(test, two_stores, stores_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORES(test_an_operator_acts_where_it_says_or_where_the_tenant_is),
        STORES(test_only_an_operator_names_another_store_or_tenant),
        STORES(test_an_unknown_token_is_unknown_everywhere),
        STORES(test_a_revoked_credential_is_refused_also_where_it_was_found_before),
        STORES(test_a_tenants_name_is_taken_in_all_stores),
        STORES(test_the_tenants_of_all_stores_are_listed_by_name),
        STORES(test_a_tenant_that_ended_frees_its_name_and_ends_in_its_store_alone),
        cmocka_unit_test_teardown(test_a_new_tenant_lies_in_the_eea_unless_somebody_says_otherwise,
                                  stores_teardown),
        STORES(test_a_policy_for_the_eea_is_refused_for_a_store_outside),
        STORES(test_an_operator_is_main_s_whatever_tenant_its_maker_named),
        STORES(test_an_operators_credential_in_another_store_is_none),
        STORES(test_a_certificate_has_one_credential_in_all_stores),
        STORES(test_who_may_make_no_credential_learns_of_no_certificate),
        STORES(test_a_certificate_that_two_stores_know_lets_nobody_in),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
