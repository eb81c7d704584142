/* Where copies of a store may lie. */
#include "vault/place.h"

#include "kluis/base/time.h"
#include "tests/support/admin_fixture.h"
#include "tests/vault/policy_fixture.h"
#include "vault/vault_internal.h"

#include <stdio.h>
#include <string.h>

static int64_t at(const char *date)
{
    int64_t time_us = 0;

    assert_int_equal(kl_date_parse(date, strlen(date), &time_us, NULL), KL_OK);
    return time_us;
}

/* Whether a policy with these transfers lets everything go to that country. */
static bool allows(const char *transfers, const char *country, const char *date)
{
    struct vault_country to;
    struct vault_policy *policy = NULL;
    char text[2048];
    bool allowed = false;

    (void)snprintf(
        text, sizeof text,
        "policy: p\nversion: v\ncontroller: { name: N, country: BE, contact: c@n.example }\n"
        "residency:\n  default: EEA\n%s%s"
        "records:\n  customer:\n    fields:\n      name: { type: text }\n    purposes: [service, news]\n"
        "purposes:\n  service: { basis: contract }\n  news: { basis: explicit_consent }\n"
        "recipients:\n  mailer: { kind: processor, country: US, purposes: [service] }\n"
        "roles:\n  reader:\n    - { do: [read], fields: [\"*\"], for: [service, news] }\n",
        transfers[0] == '\0' ? "" : "  transfers:\n", transfers);
    policy = policy_of(text);
    assert_int_equal(vault_country_parse(country, strlen(country), &to, NULL), KL_OK);
    allowed = vault_policy_place_allowed(policy, to, at(date));
    vault_policy_unref(policy);
    return allowed;
}

static void test_only_a_transfer_of_everything_lets_a_copy_out(void **state)
{
    (void)state;
    assert_false(allows("", "US", "2024-06-01"));
    assert_true(allows("    - { to: [US], mechanism: standard_clauses }\n", "US", "2024-06-01"));
    assert_false(allows("    - { to: [US], mechanism: standard_clauses }\n", "BR", "2024-06-01"));
    assert_false(allows("    - { to: [US], mechanism: standard_clauses, purposes: [service] }\n",
                        "US", "2024-06-01"));
    assert_false(allows("    - { to: [US], mechanism: standard_clauses, recipients: [mailer] }\n",
                        "US", "2024-06-01"));
    assert_false(allows("    - { to: [US], mechanism: standard_clauses, view: token }\n", "US",
                        "2024-06-01"));
    assert_false(allows("    - { to: [US], mechanism: explicit_consent }\n", "US", "2024-06-01"));
}

static void test_an_adequacy_decision_counts_while_it_holds_and_as_far_as_it_goes(void **state)
{
    (void)state;
    assert_true(allows("    - { to: adequate }\n", "CH", "2024-06-01"));
    assert_false(allows("    - { to: adequate }\n", "CH", "1999-01-01"));
    assert_false(allows("    - { to: adequate }\n", "BR", "2024-06-01"));
    /* certified organisations only, and whether the copy's host is one has to be said */
    assert_false(allows("    - { to: adequate }\n", "US", "2024-06-01"));
    /* commercial organisations only */
    assert_false(allows("    - { to: adequate }\n", "CA", "2024-06-01"));
}

static void test_a_store_in_the_eea_asks_the_policies_and_one_outside_does_not(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct vault_country germany = {"DE"};
    const struct vault_country brazil = {"BR"};
    struct kl_err err = {0};
    int64_t now = kl_time_now_us();

    assert_int_equal(vault_copy_allowed(fixture->vault, germany, now, &err), KL_OK);
    /* no policy yet: the answer is no */
    assert_int_equal(vault_copy_allowed(fixture->vault, brazil, now, &err), KL_ERR_FORBIDDEN);
    assert_string_equal(err.code, "residency");
    (void)admin_apply(fixture, admin_policy);
    assert_int_equal(vault_copy_allowed(fixture->vault, brazil, now, NULL), KL_ERR_FORBIDDEN);
    memcpy(fixture->vault->country.code, "US", 3);
    assert_int_equal(vault_copy_allowed(fixture->vault, brazil, now, NULL), KL_OK);
    memcpy(fixture->vault->country.code, "IE", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_a_transfer_of_everything_lets_a_copy_out),
        cmocka_unit_test(test_an_adequacy_decision_counts_while_it_holds_and_as_far_as_it_goes),
        cmocka_unit_test_setup_teardown(
            test_a_store_in_the_eea_asks_the_policies_and_one_outside_does_not, admin_setup,
            admin_teardown),
    };
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
