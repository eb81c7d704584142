/* The record of processing activities: what the policy says, what the vault is, and to whom it is told. */
#include "kluis/vault/duties.h"

#include "tests/support/rights_fixture.h"
#include "tests/support/test.h"

#include <string.h>

static const struct vault_measure served = {"encryption_in_transit", "over TLS"};

static enum kl_status ask_as(struct vault_fixture *fixture, struct vault_caller caller,
                             struct kl_buf *ret)
{
    enum kl_status status;

    kl_buf_init(ret, 1 << 20);
    kl_err_clear(&fixture->err);
    status =
        vault_report_processing(fixture_vault(fixture), &caller, &served, 1, ret, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

static void expect(const struct kl_buf *text, const char *piece)
{
    struct kl_json *json = NULL;

    assert_int_equal(kl_json_parse(text->bytes, text->size, &json, NULL), KL_OK);
    kl_json_free(json);
    if (memmem(text->bytes, text->size, piece, strlen(piece)) == NULL) {
        fail_msg("missing: %s in %.*s", piece, (int)text->size, (const char *)text->bytes);
    }
}

static void test_it_says_what_the_policy_says(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_buf text;

    assert_int_equal(ask_as(fixture, fixture_caller(fixture, "reporter"), &text), KL_OK);
    expect(&text, "\"article\":\"30(1)\"");
    expect(&text, "\"controller\":{\"name\":\"Rights BV\",\"country\":\"BE\"");
    expect(&text, "\"processor\":null");
    expect(&text, "\"purpose\":\"news\"");
    expect(&text, "\"basis\":\"legal_obligation\"");
    expect(&text, "\"time_limit\":{\"duration\":\"P7Y\",\"after\":\"service_end\"}");
    expect(&text,
           "\"to\":[\"US\"],\"adequate_countries\":false,\"mechanism\":\"standard_clauses\"");
    expect(&text, "\"measure\":\"encryption_in_transit\"");
    expect(&text, "\"measure\":\"key_custody\"");
    kl_buf_done(&text);
}

static void test_it_counts_who_is_held_and_names_nobody(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", true);
    struct kl_buf text;

    (void)rights_client(fixture, "bob@example.org", false);
    assert_int_equal(ask_as(fixture, fixture_caller(fixture, "reporter"), &text), KL_OK);
    expect(&text, "\"held\":{\"subjects\":2,\"records\":2,\"complete\":true}");
    assert_null(memmem(text.bytes, text.size, "sub_", 4));
    kl_buf_done(&text);
    fixture_erase(fixture, &made.id);
    assert_int_equal(ask_as(fixture, fixture_caller(fixture, "reporter"), &text), KL_OK);
    expect(&text, "\"held\":{\"subjects\":1,\"records\":1,\"complete\":true}");
    kl_buf_done(&text);
}

static void test_it_is_for_reporters_stewards_and_auditors_and_in_the_trail(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_buf text;

    assert_int_equal(ask_as(fixture, admin_steward(fixture->admin), &text), KL_OK);
    kl_buf_done(&text);
    assert_int_equal(ask_as(fixture, fixture_caller(fixture, "reader"), &text), KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "role_forbidden");
    assert_int_equal(text.size, 0);
    kl_buf_done(&text);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"report_processing\""), 2);
}

static void test_it_is_not_for_a_person_about_all(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    struct kl_buf text;

    assert_int_equal(
        ask_as(fixture, fixture_caller_with(fixture, "reporter", NULL, NULL, &made.id), &text),
        KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "role_forbidden");
    kl_buf_done(&text);
}

static void test_a_processor_keeps_the_record_of_a_processor(void **state)
{
    static const char policy[] =
        "policy: hosted\n"
        "version: 2026-01-01\n"
        "controller: { name: Customer NV, country: BE, contact: c@customer.example }\n"
        "acting_as: processor\n"
        "processor: { name: Host BV, country: NL, contact: p@host.example, dpo: Ms Officer,\n"
        "             representative: { name: Rep SA, country: LU, contact: r@rep.example },\n"
        "             processing: [Hosting, Backups] }\n"
        "measures: [Guards at the door]\n"
        "residency: { default: EEA, transfers: [] }\n"
        "records:\n"
        "  client:\n"
        "    description: Customers of the customer\n"
        "    data_subjects: Shoppers\n"
        "    categories: [contact, health]\n"
        "    purposes: [hosting]\n"
        "    fields:\n"
        "      email: { type: email, index: true, category: contact }\n"
        "      iban: { type: iban }\n"
        "      invoice: { type: text, category: health, special: health }\n"
        "purposes:\n"
        "  hosting: { basis: contract, description: Keeping it, ground: health_care }\n"
        "forbidden_purposes: [profiling]\n"
        "recipients:\n"
        "  cloud: { kind: sub_processor, country: IE, purposes: [hosting], contact: Cloud Ltd }\n"
        "roles:\n"
        "  reporter:\n"
        "    - { do: [report], fields: [\"*\"], for: [\"*\"] }\n";
    struct vault_fixture *fixture = *state;
    struct kl_buf text;

    (void)admin_apply(fixture->admin, policy);
    assert_int_equal(ask_as(fixture, admin_steward(fixture->admin), &text), KL_OK);
    expect(&text, "\"article\":\"30(2)\"");
    expect(&text,
           "\"processor\":{\"name\":\"Host BV\",\"country\":\"NL\",\"contact\":"
           "\"p@host.example\",\"data_protection_officer\":\"Ms Officer\",\"representative\":"
           "{\"name\":\"Rep SA\",\"country\":\"LU\",\"contact\":\"r@rep.example\"}}");
    expect(&text, "\"processing\":[\"Hosting\",\"Backups\"]");
    expect(&text, "\"data_subjects\":\"Shoppers\"");
    expect(&text, "{\"measure\":\"organisation\",\"text\":\"Guards at the door\"}");
    expect(&text, "\"controller\":{\"name\":\"Customer NV\"");
    expect(&text, "\"categories\":[\"contact\",\"health\"],\"special_categories\":[\"health\"]");
    expect(&text, "\"forbidden_purposes\":[\"profiling\"]");
    expect(&text, "\"recipients\":[\"cloud\"]");
    expect(
        &text,
        "\"kind\":\"sub_processor\",\"contact\":\"Cloud Ltd\",\"country\":\"IE\",\"outside_eea\":false");
    expect(&text, "\"description\":\"Customers of the customer\"");
    kl_buf_done(&text);
}

static void test_a_controller_names_its_representative_and_who_is_joint(void **state)
{
    static const char policy[] =
        "policy: shared\n"
        "version: 1\n"
        "acting_as: joint_controller\n"
        "controller:\n"
        "  name: Far Inc\n"
        "  country: US\n"
        "  contact: privacy@far.example\n"
        "  representative: { name: Near BV, country: BE, contact: near@far.example }\n"
        "  joint: [{ name: One BV, country: BE, contact: one@one.example },\n"
        "          { name: Two BV, country: NL, contact: two@two.example }]\n"
        "records:\n"
        "  client:\n"
        "    purposes: [service]\n"
        "    fields:\n"
        "      email: { type: email, index: true }\n"
        "      iban: { type: iban }\n"
        "      invoice: { type: text }\n"
        "purposes:\n"
        "  service: { basis: contract }\n"
        "roles:\n"
        "  reporter:\n"
        "    - { do: [report], fields: [\"*\"], for: [\"*\"] }\n";
    struct vault_fixture *fixture = *state;
    struct kl_buf text;

    (void)admin_apply(fixture->admin, policy);
    assert_int_equal(ask_as(fixture, admin_steward(fixture->admin), &text), KL_OK);
    expect(&text, "\"article\":\"30(1)\"");
    expect(&text, "\"representative\":{\"name\":\"Near BV\",\"country\":\"BE\",\"contact\":"
                  "\"near@far.example\"},\"joint_controllers\":[{\"name\":\"One BV\",\"country\":"
                  "\"BE\",\"contact\":\"one@one.example\"},{\"name\":\"Two BV\"");
    kl_buf_done(&text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rights_setup, vault_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_it_says_what_the_policy_says),
        TEST(test_it_counts_who_is_held_and_names_nobody),
        TEST(test_it_is_for_reporters_stewards_and_auditors_and_in_the_trail),
        TEST(test_it_is_not_for_a_person_about_all),
        TEST(test_a_processor_keeps_the_record_of_a_processor),
        TEST(test_a_controller_names_its_representative_and_who_is_joint),
    };

    return cmocka_run_group_tests_name("report_processing", tests, admin_group_setup, NULL);
}
