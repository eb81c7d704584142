/* Where a store lies decides what may lie in it, for ever. */
#include "tests/support/admin_fixture.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The fixture's policy; for a store outside of the EEA nobody is tagged by it. */
static void policy_for(struct admin_fixture *fixture)
{
    static const char from[] = "default: EEA }";
    static const char to[] = "default: none}";
    char policy[4096];
    char *at = NULL;

    (void)snprintf(policy, sizeof policy, "%s", admin_policy);
    at = strstr(policy, from);
    assert_non_null(at);
    if (!vault_country_in_eea(vault_store_country(fixture->vault))) {
        memcpy(at, to, sizeof to - 1);
    }
    (void)admin_apply(fixture, policy);
}

/* A vault in that place, open, with a policy. */
static void vault_in(struct admin_fixture *fixture, const char *place)
{
    fixture->options.country = place;
    assert_int_equal(
        vault_init(&fixture->options, &fixture->operator_token, &fixture->steward_token, NULL),
        KL_OK);
    admin_reopen(fixture);
    policy_for(fixture);
}

/* Store somebody under that tag; NULL: the policy's default. */
static enum kl_status store_somebody(struct admin_fixture *fixture, const char *residency,
                                     struct kl_err *err)
{
    const struct vault_field_input field = {
        .name = "name", .value = {.kind = KL_JSON_TEXT, .text = kl_slice_text("Ann Example")}};
    const struct vault_record_input record = {
        .type = "customer", .fields = &field, .field_count = 1};
    const struct vault_subject_input input = {
        .residency = residency, .records = &record, .record_count = 1};
    struct vault_token token = admin_make(fixture, "writer", NULL);
    struct vault_caller caller = admin_caller(fixture, &token, NULL);
    struct vault_subject_result result = {.record_count = 77};
    enum kl_status status =
        vault_subject_create(fixture->vault, &caller, &input, NULL, fixture->arena, &result, err);

    if (status != KL_OK) {
        assert_int_equal(result.record_count, 77);
    }
    vault_caller_done(&caller);
    return status;
}

static void test_a_store_in_the_us_refuses_somebody_tagged_eea(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kl_err err = {0};

    vault_in(fixture, "US");
    assert_int_equal(store_somebody(fixture, "EEA", &err), KL_ERR_FORBIDDEN);
    assert_string_equal(err.code, "residency");
    assert_null(strstr(err.client_text, "Ann"));
    assert_null(strstr(err.log_text, "Ann"));
}

static void test_a_refusal_by_residency_is_in_the_audit_trail(void **state)
{
    struct admin_fixture *fixture = *state;

    vault_in(fixture, "US");
    assert_int_equal(store_somebody(fixture, "EEA", &(struct kl_err){0}), KL_ERR_FORBIDDEN);
    assert_int_equal(admin_trail_count(fixture, false, "\"residency\""), 1);
}

static void test_a_store_in_the_us_takes_somebody_who_is_not_tagged(void **state)
{
    struct admin_fixture *fixture = *state;

    vault_in(fixture, "aws:us-east-1");
    assert_string_equal(vault_store_country(fixture->vault).code, "US");
    assert_int_equal(store_somebody(fixture, "none", NULL), KL_OK);
}

static void test_stores_all_over_the_eea_take_somebody_tagged_eea(void **state)
{
    static const char *const places[] = {"BE", "NO", "LI", "IS", "gcp:europe-west1"};
    size_t i;

    for (i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct admin_fixture *fixture;

        (void)admin_setup_empty(state);
        fixture = *state;
        vault_in(fixture, places[i]);
        assert_int_equal(store_somebody(fixture, "EEA", NULL), KL_OK);
        (void)admin_teardown(state);
    }
}

static void test_neighbours_of_the_eea_are_not_in_it(void **state)
{
    static const char *const places[] = {"GB", "CH", "aws:eu-west-2"};
    size_t i;

    for (i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct admin_fixture *fixture;
        struct kl_err err = {0};

        (void)admin_setup_empty(state);
        fixture = *state;
        vault_in(fixture, places[i]);
        assert_int_equal(store_somebody(fixture, "EEA", &err), KL_ERR_FORBIDDEN);
        assert_string_equal(err.code, "residency");
        (void)admin_teardown(state);
    }
}

static void test_a_store_of_ireland_does_not_open_as_one_of_the_us(void **state)
{
    static const char *const others[] = {"US", "BE", "aws:us-east-1", "aws:eu-central-1"};
    struct admin_fixture *fixture = *state;
    struct vault *vault = NULL;
    size_t i;

    vault_in(fixture, "IE");
    assert_int_equal(store_somebody(fixture, NULL, NULL), KL_OK);
    admin_close(fixture);
    for (i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct kl_err err = {0};

        fixture->options.country = others[i];
        assert_int_equal(vault_open(&fixture->options, &vault, &err), KL_ERR_REFUSED);
        assert_string_equal(err.code, "country_mismatch");
        assert_null(vault);
    }
    fixture->options.country = "IE";
    admin_reopen(fixture);
    assert_int_equal(store_somebody(fixture, NULL, NULL), KL_OK);
}

static void test_a_store_of_the_us_does_not_become_one_of_ireland(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault *vault = NULL;
    struct kl_err err = {0};

    vault_in(fixture, "US");
    admin_close(fixture);
    fixture->options.country = "IE";
    assert_int_equal(vault_open(&fixture->options, &vault, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "country_mismatch");
    assert_null(vault);
    fixture->options.country = NULL;
    admin_reopen(fixture);
    assert_int_equal(store_somebody(fixture, "EEA", NULL), KL_ERR_FORBIDDEN);
}

#define EMPTY(test) cmocka_unit_test_setup_teardown(test, admin_setup_empty, admin_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EMPTY(test_a_store_in_the_us_refuses_somebody_tagged_eea),
        EMPTY(test_a_refusal_by_residency_is_in_the_audit_trail),
        EMPTY(test_a_store_in_the_us_takes_somebody_who_is_not_tagged),
        cmocka_unit_test(test_stores_all_over_the_eea_take_somebody_tagged_eea),
        cmocka_unit_test(test_neighbours_of_the_eea_are_not_in_it),
        EMPTY(test_a_store_of_ireland_does_not_open_as_one_of_the_us),
        EMPTY(test_a_store_of_the_us_does_not_become_one_of_ireland),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
