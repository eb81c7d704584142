/* What a policy lets a person be told. */
#include "tests/vault/policy_fixture.h"

static const char POLICY[] =
    "policy: told\n"
    "version: 1\n"
    "controller: { name: Told, country: BE, contact: privacy@told.example, dpo: Ada, authority: GBA }\n"
    "acting_as: joint_controller\n"
    "notices:\n  n1: { title: Notice, url: \"https://told.example\" }\n"
    "sources:\n"
    "  desk: { provided_by: person, description: at the desk }\n"
    "  colleague: { provided_by: person }\n"
    "  web-form: { provided_by: other }\n"
    "residency:\n  transfers:\n"
    "    - { to: adequate, description: decided }\n"
    "    - { to: [US, CN], mechanism: standard_clauses, purposes: [service], recipients: [host], view: token }\n"
    "records:\n  person:\n    categories: [contact]\n    description: A person\n    purposes: [service]\n"
    "    fields:\n      name: { type: text, description: Your name }\n"
    "purposes:\n"
    "  service: { basis: legitimate_interest, interest: ours, description: why, automated_decision: a score }\n"
    "recipients:\n  host: { kind: processor, country: US, purposes: [service], description: Host Inc. }\n"
    "roles:\n  reader:\n    - { do: [read], fields: [person.*], for: [service] }\n";

static void test_what_it_says_is_kept(void **state)
{
    struct vault_policy *policy = policy_of(POLICY);
    const struct vault_policy_controller *controller = vault_policy_controller(policy);

    (void)state;
    assert_string_equal(controller->name, "Told");
    assert_string_equal(controller->country.code, "BE");
    assert_string_equal(controller->contact, "privacy@told.example");
    assert_string_equal(controller->dpo, "Ada");
    assert_string_equal(controller->authority, "GBA");
    assert_string_equal(controller->acting_as, "joint_controller");
    assert_string_equal(vault_policy_notice(policy, "n1")->title, "Notice");
    assert_string_equal(vault_policy_notice(policy, "n1")->url, "https://told.example");
    assert_null(vault_policy_notice(policy, "n2"));
    assert_string_equal(vault_policy_record(policy, 0)->description, "A person");
    assert_string_equal(vault_policy_record(policy, 0)->categories[0], "contact");
    assert_null(vault_policy_record(policy, 0)->categories[1]);
    assert_string_equal(vault_policy_field(policy, 0)->description, "Your name");
    assert_string_equal(vault_policy_purpose(policy, 0)->interest, "ours");
    assert_string_equal(vault_policy_purpose(policy, 0)->automated_decision, "a score");
    assert_null(vault_policy_purpose(policy, 0)->law);
    assert_string_equal(vault_policy_recipient(policy, 0)->description, "Host Inc.");
    vault_policy_unref(policy);
}

static void test_transfers_are_told_line_by_line(void **state)
{
    struct vault_policy *policy = policy_of(POLICY);
    struct vault_policy_transfer line;
    struct vault_country country = {""};

    (void)state;
    assert_int_equal(vault_policy_transfer_count(policy), 2);
    line = vault_policy_transfer(policy, 0);
    assert_true(line.to_adequate);
    assert_true(line.purposes == UINT64_MAX && line.recipients == UINT64_MAX);
    assert_string_equal(line.description, "decided");
    assert_false(vault_policy_transfer_country(policy, 0, 0, &country));
    line = vault_policy_transfer(policy, 1);
    assert_string_equal(line.mechanism, "standard_clauses");
    assert_int_equal(line.purposes, 1);
    assert_int_equal(line.recipients, 1);
    assert_int_equal(line.view, VAULT_VIEW_TOKEN);
    assert_true(vault_policy_transfer_country(policy, 1, 0, &country));
    assert_string_equal(country.code, "CN");
    assert_true(vault_policy_transfer_country(policy, 1, 1, &country));
    assert_string_equal(country.code, "US");
    assert_false(vault_policy_transfer_country(policy, 1, 2, &country));
    assert_string_equal(country.code, "US");
    vault_policy_unref(policy);
}

static void test_who_provided_what_came_from_a_source(void **state)
{
    struct vault_policy *policy = policy_of(POLICY);

    (void)state;
    assert_true(vault_policy_source_is_person(policy, NULL));
    assert_true(vault_policy_source_is_person(policy, "phone"));
    assert_false(vault_policy_source_is_person(policy, "public-register"));
    assert_false(vault_policy_source_is_person(policy, "trade-register"));
    assert_false(vault_policy_source_is_person(policy, "employer"));
    assert_true(vault_policy_source_is_person(policy, "registers"));
    assert_string_equal(vault_policy_source(policy, "desk")->description, "at the desk");
    assert_true(vault_policy_source_is_person(policy, "colleague")); /* the policy says so */
    assert_false(vault_policy_source_is_person(policy, "web-form"));
    assert_null(vault_policy_source(policy, "phone"));
    vault_policy_unref(policy);
}

static void test_a_policy_that_says_less_is_told_less(void **state)
{
    struct vault_policy *policy = policy_of(
        "policy: less\nversion: 1\n"
        "controller: { name: L, country: BE, contact: c@less.example }\n"
        "records:\n  person:\n    purposes: [s]\n    fields:\n      name: { type: text }\n"
        "purposes:\n  s: { basis: contract }\n"
        "roles:\n  r:\n    - { do: [read], fields: [person.*], for: [s] }\n");

    (void)state;
    assert_null(vault_policy_controller(policy)->dpo);
    assert_string_equal(vault_policy_controller(policy)->acting_as, "controller");
    assert_null(vault_policy_source(policy, "desk"));
    assert_null(vault_policy_notice(policy, "n1"));
    assert_null(vault_policy_record(policy, 0)->categories);
    assert_int_equal(vault_policy_transfer_count(policy), 0);
    vault_policy_unref(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_it_says_is_kept),
        cmocka_unit_test(test_transfers_are_told_line_by_line),
        cmocka_unit_test(test_who_provided_what_came_from_a_source),
        cmocka_unit_test(test_a_policy_that_says_less_is_told_less),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
