/* Tenants as operators make them and others see them. */
#include "tests/support/admin_fixture.h"
#include "tests/support/test.h"
#include "vault/rows.h"
#include "vault/tenants.h"

#include <stdio.h>
#include <string.h>

static enum kl_status put(struct admin_fixture *fixture, const struct vault_caller *caller,
                          const char *name, const char *store, const char *grace,
                          struct kl_err *err)
{
    bool created = false;

    return vault_tenant_put(fixture->vault, caller, name, store, grace, &created, err);
}

static void test_names_are_lower_case_letters_digits_and_hyphens(void **state)
{
    char longest[VAULT_TENANT_NAME_MAX_BYTES + 2];

    (void)state;
    assert_true(vault_tenant_name_valid("default"));
    assert_true(vault_tenant_name_valid("0"));
    assert_true(vault_tenant_name_valid("we-are-2"));
    assert_false(vault_tenant_name_valid(""));
    assert_false(vault_tenant_name_valid("-a"));
    assert_false(vault_tenant_name_valid("A"));
    assert_false(vault_tenant_name_valid("a_b"));
    assert_false(vault_tenant_name_valid("a/b"));
    assert_false(vault_tenant_name_valid("caf\xc3\xa9"));
    memset(longest, 'a', sizeof longest);
    longest[VAULT_TENANT_NAME_MAX_BYTES + 1] = '\0';
    assert_false(vault_tenant_name_valid(longest));
    longest[VAULT_TENANT_NAME_MAX_BYTES] = '\0';
    assert_true(vault_tenant_name_valid(longest));
}

static void test_an_operator_makes_a_tenant_and_changes_its_grace(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = admin_operator(fixture);
    struct vault_tenant_result tenant;
    bool created = false;

    assert_int_equal(
        vault_tenant_put(fixture->vault, &caller, "shop", "main", "P30D", &created, NULL), KL_OK);
    assert_true(created);
    assert_int_equal(
        vault_tenant_put(fixture->vault, &caller, "shop", NULL, "P60D", &created, NULL), KL_OK);
    assert_false(created);
    assert_int_equal(vault_tenant_read(fixture->vault, &caller, "shop", &tenant, NULL), KL_OK);
    assert_string_equal(tenant.name, "shop");
    assert_string_equal(tenant.store, "main");
    assert_string_equal(tenant.country.code, "IE");
    assert_string_equal(tenant.grace, "P60D");
    assert_string_equal(tenant.policy_name, "");
    assert_true(tenant.created_us > 0);
    vault_caller_done(&caller);
    assert_int_equal(admin_trail_count(fixture, true, "\"action\":\"tenant_create\""), 2);
    assert_int_equal(admin_trail_count(fixture, true, "\"action\":\"tenant_change\""), 1);
}

static void test_putting_the_same_again_changes_nothing(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = admin_operator(fixture);
    struct vault_tenant_result tenant;

    assert_int_equal(put(fixture, &caller, "shop", NULL, "P30D", NULL), KL_OK);
    assert_int_equal(put(fixture, &caller, "shop", NULL, "P30D", NULL), KL_OK);
    assert_int_equal(put(fixture, &caller, "shop", NULL, NULL, NULL), KL_OK);
    assert_int_equal(vault_tenant_read(fixture->vault, &caller, "shop", &tenant, NULL), KL_OK);
    assert_string_equal(tenant.grace, "P30D");
    vault_caller_done(&caller);
    assert_int_equal(admin_trail_count(fixture, true, "\"action\":\"tenant_change\""), 0);
}

static void test_wrong_input_is_refused_and_makes_nothing(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = admin_operator(fixture);
    struct vault_tenant_result tenant = {.name = "untouched"};
    struct kl_err err = {0};
    bool created = true;

    assert_int_equal(vault_tenant_put(fixture->vault, &caller, "Shop", NULL, NULL, &created, &err),
                     KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_tenant");
    assert_true(created);
    kl_err_clear(&err);
    assert_int_equal(put(fixture, &caller, "shop", "elsewhere", NULL, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "unknown_store");
    assert_string_equal(err.where, "/store");
    kl_err_clear(&err);
    assert_int_equal(put(fixture, &caller, "shop", NULL, "a month", &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_duration");
    assert_int_equal(put(fixture, &caller, "shop", NULL, "P1Y1M1W1DT11111111111111H", NULL),
                     KL_ERR_INVALID);
    kl_err_clear(&err);
    assert_int_equal(vault_tenant_read(fixture->vault, &caller, "shop", &tenant, &err),
                     KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "not_found");
    assert_string_equal(tenant.name, "untouched");
    vault_caller_done(&caller);
}

static void test_only_operators_make_and_list_tenants(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = admin_steward(fixture);
    struct vault_tenant_result *tenants = NULL;
    size_t count = 77;
    struct kl_err err = {0};

    assert_int_equal(put(fixture, &caller, "shop", NULL, NULL, &err), KL_ERR_FORBIDDEN);
    assert_string_equal(err.code, "role_forbidden");
    assert_int_equal(
        vault_tenant_list(fixture->vault, &caller, fixture->arena, &tenants, &count, NULL),
        KL_ERR_FORBIDDEN);
    assert_null(tenants);
    assert_int_equal(count, 77);
    vault_caller_done(&caller);
    assert_int_equal(
        admin_trail_count(fixture, false, "\"result\":\"refused\",\"reason\":\"role_forbidden\""),
        2);
}

static void test_a_steward_sees_its_own_tenant_and_no_other(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = admin_operator(fixture);
    struct vault_tenant_result tenant;

    assert_int_equal(put(fixture, &caller, "shop", NULL, NULL, NULL), KL_OK);
    vault_caller_done(&caller);
    (void)admin_apply(fixture, admin_policy);
    caller = admin_steward(fixture);
    assert_int_equal(vault_tenant_read(fixture->vault, &caller, "default", &tenant, NULL), KL_OK);
    assert_string_equal(tenant.policy_name, "shop");
    assert_string_equal(tenant.policy_version, "2024-01-01");
    assert_int_equal(vault_tenant_read(fixture->vault, &caller, "shop", &tenant, NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(vault_tenant_read(fixture->vault, &caller, "nobody", &tenant, NULL),
                     KL_ERR_NOT_FOUND);
    vault_caller_done(&caller);
}

static void test_the_list_is_by_name(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = admin_operator(fixture);
    struct vault_tenant_result *tenants = NULL;
    size_t count = 0;

    assert_int_equal(put(fixture, &caller, "zebra", NULL, NULL, NULL), KL_OK);
    assert_int_equal(put(fixture, &caller, "ape", NULL, NULL, NULL), KL_OK);
    assert_int_equal(
        vault_tenant_list(fixture->vault, &caller, fixture->arena, &tenants, &count, NULL), KL_OK);
    assert_int_equal(count, 3);
    assert_string_equal(tenants[0].name, "ape");
    assert_string_equal(tenants[1].name, "default");
    assert_string_equal(tenants[2].name, "zebra");
    vault_caller_done(&caller);
}

static void test_a_list_that_does_not_fit_the_arena_says_so(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = admin_operator(fixture);
    struct kl_arena *arena = kl_arena_new(4096);
    struct vault_tenant_result *tenants = NULL;
    char name[16];
    size_t count = 77;
    int i;

    assert_non_null(arena);
    for (i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof name, "tenant-%d", i);
        assert_int_equal(put(fixture, &caller, name, NULL, NULL, NULL), KL_OK);
    }
    assert_int_equal(vault_tenant_list(fixture->vault, &caller, arena, &tenants, &count, NULL),
                     KL_ERR_NO_MEMORY);
    assert_null(tenants);
    assert_int_equal(count, 77);
    kl_arena_free(arena);
    vault_caller_done(&caller);
}

static void test_tenants_are_found_by_name_and_number_also_after_opening_again(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = admin_operator(fixture);
    const struct vault_tenant *tenant;
    uint64_t numbers[3];
    static const char *const names[] = {"default", "one", "two"};
    int i;

    assert_int_equal(put(fixture, &caller, "one", NULL, NULL, NULL), KL_OK);
    assert_int_equal(put(fixture, &caller, "two", NULL, NULL, NULL), KL_OK);
    vault_caller_done(&caller);
    for (i = 0; i < 3; i++) {
        tenant = vault_tenants_find(fixture->vault, names[i]);
        assert_non_null(tenant);
        numbers[i] = tenant->number;
        assert_ptr_equal(vault_tenants_by_number(fixture->vault, numbers[i]), tenant);
    }
    assert_null(vault_tenants_find(fixture->vault, "three"));
    assert_null(vault_tenants_by_number(fixture->vault, 999));
    assert_null(vault_tenants_by_number(fixture->vault, KMS_TENANT_VAULT));
    admin_reopen(fixture);
    for (i = 0; i < 3; i++) {
        tenant = vault_tenants_by_number(fixture->vault, numbers[i]);
        assert_non_null(tenant);
        assert_string_equal(tenant->name, names[i]);
    }
}

struct maker {
    struct admin_fixture *fixture;
    int created;
};

static void *make_same(void *argument)
{
    struct maker *maker = argument;
    struct vault_caller caller = admin_operator(maker->fixture);
    char name[16];
    int i;

    for (i = 0; i < 10; i++) {
        bool created = false;

        (void)snprintf(name, sizeof name, "race-%d", i);
        if (vault_tenant_put(maker->fixture->vault, &caller, name, NULL, NULL, &created, NULL) ==
                KL_OK &&
            created) {
            maker->created++;
        }
    }
    vault_caller_done(&caller);
    return NULL;
}

static void test_who_goes_over_all_misses_none_while_others_end(void **state)
{
    static const char *const names[] = {"default", "one", "two", "three"};
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = admin_operator(fixture);
    const struct vault_tenant *tenant = NULL;
    uint64_t last = 0;
    size_t i;

    for (i = 1; i < 4; i++) {
        assert_int_equal(put(fixture, &caller, names[i], NULL, NULL, NULL), KL_OK);
    }
    vault_caller_done(&caller);
    tenant = vault_tenants_next(fixture->vault, KMS_TENANT_VAULT);
    for (i = 0; i < 4; i++) {
        assert_non_null(tenant);
        assert_string_equal(tenant->name, names[i]);
        last = tenant->number;
        vault_tenants_drop(fixture->vault, last);
        tenant = vault_tenants_next(fixture->vault, last);
    }
    assert_null(tenant);
    assert_null(vault_tenants_next(fixture->vault, KMS_TENANT_VAULT));
    assert_null(vault_tenants_next(fixture->vault, UINT64_MAX));
}

static void test_many_operators_make_a_tenant_once(void **state)
{
    struct admin_fixture *fixture = *state;
    struct maker makers[4];
    pthread_t threads[4];
    int created = 0;
    int i;

    for (i = 0; i < 4; i++) {
        makers[i] = (struct maker){.fixture = fixture};
        assert_int_equal(pthread_create(&threads[i], NULL, make_same, &makers[i]), 0);
    }
    for (i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        created += makers[i].created;
    }
    assert_int_equal(created, 10);
    admin_reopen(fixture);
    assert_non_null(vault_tenants_find(fixture->vault, "race-9"));
}

static void test_a_damaged_tenant_row_keeps_the_vault_closed(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_row_key key = vault_row_tenant("default");
    struct vault_batch *batch = vault_batch_new();
    struct vault *vault = NULL;
    struct kl_err err = {0};

    assert_non_null(batch);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_text("{\"name\":\"default\"}"));
    assert_int_equal(vault_store_apply(fixture->vault->data_store, batch, true, NULL), KL_OK);
    vault_batch_free(batch);
    admin_close(fixture);
    assert_int_equal(vault_open(&fixture->options, &vault, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "tenant_damaged");
    assert_null(vault);
}

#define OPENED(test) cmocka_unit_test_setup_teardown(test, admin_setup, admin_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_lower_case_letters_digits_and_hyphens),
        OPENED(test_an_operator_makes_a_tenant_and_changes_its_grace),
        OPENED(test_putting_the_same_again_changes_nothing),
        OPENED(test_wrong_input_is_refused_and_makes_nothing),
        OPENED(test_only_operators_make_and_list_tenants),
        OPENED(test_a_steward_sees_its_own_tenant_and_no_other),
        OPENED(test_the_list_is_by_name),
        OPENED(test_a_list_that_does_not_fit_the_arena_says_so),
        OPENED(test_tenants_are_found_by_name_and_number_also_after_opening_again),
        OPENED(test_who_goes_over_all_misses_none_while_others_end),
        OPENED(test_many_operators_make_a_tenant_once),
        OPENED(test_a_damaged_tenant_row_keeps_the_vault_closed),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
