/* Receipts of consents: what they say of each state, that they are signed, and who gets one. */
#include "tests/support/rights_fixture.h"
#include "tests/support/test.h"
#include "vault/receipt.h"

#include <string.h>

#define DAYS(n) ((int64_t)(n)*KL_TIME_DAY_US)

struct receipt {
    struct kl_buf text;
    struct kl_json *json;
};

static void receipt_done(struct receipt *receipt)
{
    kl_json_free(receipt->json);
    kl_buf_done(&receipt->text);
}

static enum kl_status ask_as(struct vault_fixture *fixture, struct vault_caller caller,
                             const struct kl_id *subject, const char *recipient,
                             const struct kl_id *consent, struct receipt *ret)
{
    enum kl_status status;

    memset(ret, 0, sizeof *ret);
    kl_buf_init(&ret->text, 1 << 20);
    kl_err_clear(&fixture->err);
    status = vault_consent_receipt(fixture_vault(fixture), &caller, subject, "news", recipient,
                                   consent, &ret->text, &fixture->err);
    vault_caller_done(&caller);
    if (status == KL_OK) {
        assert_int_equal(kl_json_parse(ret->text.bytes, ret->text.size, &ret->json, NULL), KL_OK);
    } else {
        assert_int_equal(ret->text.size, 0);
    }
    return status;
}

static struct receipt ask(struct vault_fixture *fixture, const struct kl_id *subject,
                          const struct kl_id *consent)
{
    struct receipt receipt;

    if (ask_as(fixture, fixture_caller(fixture, "dpo"), subject, NULL, consent, &receipt) !=
        KL_OK) {
        fail_msg("%s %s", fixture->err.code, fixture->err.client_text);
    }
    return receipt;
}

static const char *text_of(const struct receipt *receipt, const char *name)
{
    return kl_json_text(kl_json_member(kl_json_root(receipt->json), name));
}

static bool has(const struct receipt *receipt, const char *piece)
{
    return memmem(receipt->text.bytes, receipt->text.size, piece, strlen(piece)) != NULL;
}

static struct kl_id give(struct vault_fixture *fixture, const struct kl_id *subject,
                         int64_t at_days, int64_t expires_days)
{
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_consent_input input = fixture_consent("news");
    struct kl_id id = {{0}};

    input.at_us = at_days == 0 ? 0 : dpo.now_us + DAYS(at_days);
    input.expires_us = expires_days == 0 ? 0 : dpo.now_us + DAYS(expires_days);
    assert_int_equal(
        vault_consent_note(fixture_vault(fixture), &dpo, subject, &input, &id, &fixture->err),
        KL_OK);
    vault_caller_done(&dpo);
    return id;
}

static void withdraw(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault_caller dpo = fixture_caller(fixture, "dpo");

    assert_int_equal(
        vault_consent_withdraw(fixture_vault(fixture), &dpo, subject, "news", NULL, NULL), KL_OK);
    vault_caller_done(&dpo);
}

static void test_a_receipt_has_the_fields_of_the_standard(void **state)
{
    static const char *const members[] = {"schema_version",   "receipt_id", "record_id",
                                          "pii_principal_id", "state",      "public_key",
                                          "signature"};
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", true);
    struct receipt receipt = ask(fixture, &made.id, NULL);
    char id[KL_ID_TEXT_BYTES];
    size_t i;

    for (i = 0; i < sizeof members / sizeof members[0]; i++) {
        if (text_of(&receipt, members[i]) == NULL) {
            fail_msg("missing: %s", members[i]);
        }
    }
    kl_id_format("sub", &made.id, id);
    assert_string_equal(text_of(&receipt, "pii_principal_id"), id);
    assert_string_equal(text_of(&receipt, "schema_version"), "ISO/IEC TS 27560:2023");
    assert_string_equal(text_of(&receipt, "state"), "given");
    assert_true(has(&receipt, "\"privacy_notice\":{\"version\":\"n1\""));
    assert_true(has(&receipt, "\"purpose\":\"news\""));
    assert_true(has(&receipt, "\"lawful_basis\":\"consent\""));
    assert_true(has(&receipt, "\"pii_attribute_id\":\"client.email\""));
    assert_false(has(&receipt, "client.invoice"));
    assert_true(has(&receipt, "\"collection_method\":\"web-form\""));
    assert_true(has(&receipt, "\"storage_locations\":[\"IE\"]"));
    assert_true(has(&receipt, "\"retention_period\":{\"duration\":\"P1Y\",\"after\":\"consent\"}"));
    assert_true(has(&receipt, "\"geographic_restrictions\":[\"EEA\"]"));
    assert_true(has(&receipt, "\"jurisdiction\":\"BE\""));
    assert_true(has(&receipt, "\"party_name\":\"Rights BV\""));
    assert_true(has(&receipt, "\"event_state\":\"given\""));
    assert_true(has(&receipt, "\"counts\":true"));
    assert_false(has(&receipt, "ticked the box")); /* the evidence stays */
    assert_false(has(&receipt, "ana@example.org"));
    receipt_done(&receipt);
}

static void test_a_receipt_is_signed_and_a_changed_one_is_not(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", true);
    struct receipt receipt = ask(fixture, &made.id, NULL);
    char *channel;

    assert_int_equal(vault_receipt_verify(kl_buf_slice(&receipt.text), NULL, NULL), KL_OK);
    channel = memmem(receipt.text.bytes, receipt.text.size, "web-form", 8);
    assert_non_null(channel);
    channel[0] = 'W';
    assert_int_equal(vault_receipt_verify(kl_buf_slice(&receipt.text), NULL, NULL), KL_ERR_CORRUPT);
    receipt_done(&receipt);
}

static void test_each_consent_has_an_id_that_stays(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    struct vault_subject_result other = rights_client(fixture, "bob@example.org", false);
    struct kl_id first = give(fixture, &made.id, -10, 0);
    struct kl_id second = give(fixture, &made.id, -10, 0);
    struct kl_id others = give(fixture, &other.id, -10, 0);
    struct vault_consent_result *consents = NULL;
    struct vault_caller dpo;
    size_t count = 0;

    assert_false(kl_id_equal(&first, &second));
    assert_false(kl_id_equal(&first, &others));
    fixture_reopen(fixture);
    dpo = fixture_caller(fixture, "dpo");
    assert_int_equal(vault_consent_list(fixture_vault(fixture), &dpo, &made.id, fixture->arena,
                                        &consents, &count, NULL),
                     KL_OK);
    vault_caller_done(&dpo);
    assert_int_equal(count, 2);
    assert_true(kl_id_equal(&consents[0].id, &first));
    assert_true(kl_id_equal(&consents[1].id, &second));
}

static void test_a_withdrawn_consent_says_when(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", true);
    struct receipt before = ask(fixture, &made.id, NULL);
    struct receipt after;

    withdraw(fixture, &made.id);
    after = ask(fixture, &made.id, NULL);
    assert_string_equal(text_of(&after, "state"), "withdrawn");
    assert_true(has(&after, "\"counts\":false"));
    assert_true(has(&after, "\"event_state\":\"given\""));
    assert_true(has(&after, "\"event_state\":\"withdrawn\""));
    assert_string_equal(text_of(&before, "record_id"), text_of(&after, "record_id"));
    assert_string_not_equal(text_of(&before, "receipt_id"), text_of(&after, "receipt_id"));
    receipt_done(&before);
    receipt_done(&after);
}

static void test_a_consent_that_was_given_again_is_replaced(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    struct kl_id first = give(fixture, &made.id, -10, 0);
    struct kl_id second = give(fixture, &made.id, 0, 0);
    struct receipt receipt = ask(fixture, &made.id, &first);

    assert_string_equal(text_of(&receipt, "state"), "replaced");
    receipt_done(&receipt);
    receipt = ask(fixture, &made.id, &second);
    assert_string_equal(text_of(&receipt, "state"), "given");
    receipt_done(&receipt);
    withdraw(fixture, &made.id);
    (void)give(fixture, &made.id, 0, 0);
    receipt = ask(fixture, &made.id, &second);
    assert_string_equal(text_of(&receipt, "state"), "withdrawn");
    receipt_done(&receipt);
}

static void test_a_consent_expires_by_its_date_and_by_its_clock(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result dated = rights_client(fixture, "ana@example.org", false);
    struct vault_subject_result old = rights_client(fixture, "bob@example.org", false);
    struct receipt receipt;

    (void)give(fixture, &dated.id, -10, -5);
    (void)give(fixture, &old.id, -400, 0);
    receipt = ask(fixture, &dated.id, NULL);
    assert_string_equal(text_of(&receipt, "state"), "expired");
    receipt_done(&receipt);
    receipt = ask(fixture, &old.id, NULL);
    assert_string_equal(text_of(&receipt, "state"), "expired");
    assert_true(has(&receipt, "\"counts\":false"));
    receipt_done(&receipt);
}

static void test_a_receipt_is_for_a_role_with_consent_and_in_the_trail(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", true);
    struct vault_subject_result other = rights_client(fixture, "bob@example.org", true);
    struct receipt receipt;

    assert_int_equal(
        ask_as(fixture, fixture_caller(fixture, "reader"), &made.id, NULL, NULL, &receipt),
        KL_ERR_NOT_FOUND);
    receipt_done(&receipt);
    assert_int_equal(ask_as(fixture, fixture_caller_with(fixture, "dpo", NULL, "surveys", NULL),
                            &made.id, NULL, NULL, &receipt),
                     KL_ERR_NOT_FOUND);
    receipt_done(&receipt);
    assert_int_equal(ask_as(fixture, fixture_caller_with(fixture, "self", NULL, NULL, &other.id),
                            &made.id, NULL, NULL, &receipt),
                     KL_ERR_NOT_FOUND);
    receipt_done(&receipt);
    assert_int_equal(ask_as(fixture, fixture_caller_with(fixture, "dpo", "US", NULL, NULL),
                            &made.id, NULL, NULL, &receipt),
                     KL_ERR_FORBIDDEN);
    receipt_done(&receipt);
    assert_int_equal(ask_as(fixture, fixture_caller_with(fixture, "self", NULL, NULL, &made.id),
                            &made.id, NULL, NULL, &receipt),
                     KL_OK);
    receipt_done(&receipt);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"consent_receipt\""), 5);
}

static void test_there_is_no_receipt_of_what_never_was_nor_of_the_erased(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result none = rights_client(fixture, "ana@example.org", false);
    struct vault_subject_result made = rights_client(fixture, "bob@example.org", true);
    struct receipt receipt = ask(fixture, &made.id, NULL);
    struct kl_id foreign = made.id;

    receipt_done(&receipt);
    assert_int_equal(
        ask_as(fixture, fixture_caller(fixture, "dpo"), &none.id, NULL, NULL, &receipt),
        KL_ERR_NOT_FOUND);
    assert_string_equal(fixture->err.code, "no_consent");
    receipt_done(&receipt);
    assert_int_equal(
        ask_as(fixture, fixture_caller(fixture, "dpo"), &made.id, NULL, &foreign, &receipt),
        KL_ERR_NOT_FOUND);
    assert_string_equal(fixture->err.code, "no_consent");
    receipt_done(&receipt);
    assert_int_equal(
        ask_as(fixture, fixture_caller(fixture, "dpo"), &made.id, "nobody", NULL, &receipt),
        KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "unknown_recipient");
    receipt_done(&receipt);
    fixture_erase(fixture, &made.id);
    assert_int_equal(
        ask_as(fixture, fixture_caller(fixture, "dpo"), &made.id, NULL, NULL, &receipt),
        KL_ERR_NOT_FOUND);
    assert_string_equal(fixture->err.code, "not_found");
    receipt_done(&receipt);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rights_setup, vault_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_receipt_has_the_fields_of_the_standard),
        TEST(test_a_receipt_is_signed_and_a_changed_one_is_not),
        TEST(test_each_consent_has_an_id_that_stays),
        TEST(test_a_withdrawn_consent_says_when),
        TEST(test_a_consent_that_was_given_again_is_replaced),
        TEST(test_a_consent_expires_by_its_date_and_by_its_clock),
        TEST(test_a_receipt_is_for_a_role_with_consent_and_in_the_trail),
        TEST(test_there_is_no_receipt_of_what_never_was_nor_of_the_erased),
    };

    return cmocka_run_group_tests_name("consent_receipt", tests, admin_group_setup, NULL);
}
