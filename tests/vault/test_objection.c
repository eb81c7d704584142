/* Objections: purposes that somebody does not want their data used for, and what prevails over them. */
#include "tests/support/rights_fixture.h"
#include "tests/support/test.h"

static enum kl_status end(struct vault_fixture *fixture, const struct kl_id *subject,
                          const char *purpose)
{
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    enum kl_status status;

    kl_err_clear(&fixture->err);
    status = vault_objection_end(fixture_vault(fixture), &dpo, subject, purpose, &fixture->err);
    vault_caller_done(&dpo);
    return status;
}

static size_t list(struct vault_fixture *fixture, struct vault_caller caller,
                   const struct kl_id *subject, struct vault_objection_result **ret)
{
    size_t count = 0;

    kl_err_clear(&fixture->err);
    if (vault_objection_list(fixture_vault(fixture), &caller, subject, fixture->arena, ret, &count,
                             &fixture->err) != KL_OK) {
        fail_msg("no list: %s", fixture->err.code);
    }
    vault_caller_done(&caller);
    return count;
}

static void test_an_objection_stops_its_purpose_on_the_next_read(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);

    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "surveys"), VAULT_GATE_NONE);
    assert_int_equal(rights_object(fixture, "dpo", &made.id, "surveys", NULL), KL_OK);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "surveys"), VAULT_GATE_OBJECTION);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "promotion"), VAULT_GATE_NONE);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "service"), VAULT_GATE_NONE);
    fixture_reopen(fixture);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "surveys"), VAULT_GATE_OBJECTION);
    assert_int_equal(end(fixture, &made.id, "surveys"), KL_OK);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "surveys"), VAULT_GATE_NONE);
    assert_int_equal(end(fixture, &made.id, "surveys"), KL_ERR_NOT_FOUND);
    assert_string_equal(fixture->err.code, "no_objection");
}

static void test_compelling_grounds_prevail_until_it_is_objected_again(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    struct vault_objection_result *objections = NULL;

    assert_int_equal(rights_object(fixture, "dpo", &made.id, "surveys", NULL), KL_OK);
    assert_int_equal(rights_object(fixture, "dpo", &made.id, "surveys", "the law asks for it"),
                     KL_OK);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "surveys"), VAULT_GATE_NONE);
    assert_int_equal(list(fixture, fixture_caller(fixture, "dpo"), &made.id, &objections), 1);
    assert_string_equal(objections[0].compelling_grounds, "the law asks for it");
    assert_true(objections[0].has_compelling_grounds);
    assert_int_equal(objections[0].ended_us, 0);
    assert_int_equal(rights_object(fixture, "dpo", &made.id, "surveys", NULL), KL_OK);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "surveys"), VAULT_GATE_OBJECTION);
    assert_int_equal(list(fixture, fixture_caller(fixture, "dpo"), &made.id, &objections), 1);
    assert_false(objections[0].has_compelling_grounds);
}

static void test_against_direct_marketing_nothing_prevails(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);

    assert_int_equal(rights_object(fixture, "dpo", &made.id, "promotion", "we want to"),
                     KL_ERR_CONFLICT);
    assert_string_equal(fixture->err.code, "objection_absolute");
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "promotion"), VAULT_GATE_NONE);
    assert_int_equal(rights_object(fixture, "dpo", &made.id, "promotion", NULL), KL_OK);
    assert_int_equal(
        rights_gate(fixture, "lawyer", &made.id, "promotion", VAULT_GROUND_LEGAL_CLAIM, 0),
        VAULT_GATE_OBJECTION);
}

static void test_a_legal_claim_overrides_and_no_other_ground(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);

    assert_int_equal(rights_object(fixture, "dpo", &made.id, "surveys", NULL), KL_OK);
    assert_int_equal(
        rights_gate(fixture, "lawyer", &made.id, "surveys", VAULT_GROUND_LEGAL_CLAIM, 0),
        VAULT_GATE_NONE);
    assert_int_equal(
        rights_gate(fixture, "lawyer", &made.id, "surveys", VAULT_GROUND_PROTECT_PERSON, 0),
        VAULT_GATE_OBJECTION);
    assert_int_equal(
        rights_gate(fixture, "reader", &made.id, "surveys", VAULT_GROUND_LEGAL_CLAIM, 0),
        VAULT_GATE_OBJECTION);
}

static void test_what_rests_on_a_contract_or_consent_cannot_be_objected_to(void **state)
{
    static const char *const purposes[] = {"service", "news", "bookkeeping"};
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);

    for (size_t i = 0; i < sizeof purposes / sizeof purposes[0]; i++) {
        assert_int_equal(rights_object(fixture, "dpo", &made.id, purposes[i], NULL),
                         KL_ERR_CONFLICT);
        assert_string_equal(fixture->err.code, "objection_not_possible");
    }
    assert_int_equal(rights_object(fixture, "dpo", &made.id, "nothing", NULL), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "unknown_purpose");
}

static void test_each_role_notes_and_sees_its_own_purposes(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    struct vault_objection_result *objections = NULL;
    struct vault_caller reader = fixture_caller(fixture, "reader");
    size_t count = 7;

    assert_int_equal(rights_object(fixture, "surveyor", &made.id, "promotion", NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(rights_object(fixture, "reader", &made.id, "surveys", NULL), KL_ERR_NOT_FOUND);
    assert_int_equal(rights_object(fixture, "surveyor", &made.id, "surveys", NULL), KL_OK);
    assert_int_equal(rights_object(fixture, "dpo", &made.id, "promotion", NULL), KL_OK);
    assert_int_equal(list(fixture, fixture_caller(fixture, "surveyor"), &made.id, &objections), 1);
    assert_string_equal(objections[0].purpose, "surveys");
    assert_int_equal(list(fixture, fixture_caller(fixture, "dpo"), &made.id, &objections), 2);
    assert_int_equal(vault_objection_list(fixture_vault(fixture), &reader, &made.id, fixture->arena,
                                          &objections, &count, NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(count, 7);
    vault_caller_done(&reader);
}

static void test_a_person_objects_and_still_sees_their_own_data(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    struct vault_subject_result other = rights_client(fixture, "bob@example.org", false);
    const struct vault_objection_input input = {.purpose = "surveys"};
    struct vault_subject_result read = {0};
    struct vault_caller self = fixture_caller_with(fixture, "self", NULL, NULL, &made.id);

    assert_int_equal(vault_objection_set(fixture_vault(fixture), &self, &made.id, &input, NULL),
                     KL_OK);
    assert_int_equal(vault_objection_set(fixture_vault(fixture), &self, &other.id, &input, NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "surveys"), VAULT_GATE_OBJECTION);
    assert_int_equal(
        vault_subject_read(fixture_vault(fixture), &self,
                           &(struct vault_read_input){.subject = made.id, .purpose = "surveys"},
                           fixture->arena, &read, NULL),
        KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "email"), "ana@example.org"));
    vault_caller_done(&self);
}

static void test_grounds_stay_where_the_transfer_gate_keeps_them(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    struct vault_objection_result *objections = NULL;

    assert_int_equal(rights_object(fixture, "dpo", &made.id, "surveys", "for a reason"), KL_OK);
    assert_int_equal(
        list(fixture, fixture_caller_with(fixture, "dpo", "US", NULL, NULL), &made.id, &objections),
        1);
    assert_true(objections[0].has_compelling_grounds);
    assert_null(objections[0].compelling_grounds);
    assert_int_equal(fixture_trail(fixture, "\"transfers\":[\"standard_clauses"), 1);
    assert_int_equal(list(fixture, fixture_caller(fixture, "dpo"), &made.id, &objections), 1);
    assert_int_equal(fixture_trail(fixture, "\"transfers\""), 1);
}

static void test_who_objected_is_found_by_no_lookup_for_it(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    struct vault_caller reader = fixture_caller(fixture, "reader");
    struct vault_lookup_input input = {.field = "client.email", .purpose = "surveys", .limit = 10};
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    struct kl_id *found = NULL;
    size_t count = 0;

    input.value.kind = KL_JSON_TEXT;
    input.value.text = kl_slice_text("ana@example.org");
    assert_int_equal(rights_object(fixture, "dpo", &made.id, "surveys", NULL), KL_OK);
    assert_int_equal(vault_lookup(fixture_vault(fixture), &reader, &input, fixture->arena, &found,
                                  &count, cursor, NULL),
                     KL_OK);
    assert_int_equal(count, 0);
    input.purpose = "service";
    assert_int_equal(vault_lookup(fixture_vault(fixture), &reader, &input, fixture->arena, &found,
                                  &count, cursor, NULL),
                     KL_OK);
    assert_int_equal(count, 1);
    vault_caller_done(&reader);
}

static void test_an_older_data_brings_no_objected_use_back(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);

    (void)rights_gate_now(fixture, "reader", &made.id, "surveys");
    assert_int_equal(rights_object(fixture, "dpo", &made.id, "promotion", NULL), KL_OK);
    assert_int_equal(end(fixture, &made.id, "promotion"), KL_OK);
    fixture_copy(fixture);
    assert_int_equal(rights_object(fixture, "dpo", &made.id, "surveys", NULL), KL_OK);
    fixture_put_back_data(fixture);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "surveys"), VAULT_GATE_OBJECTION);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "promotion"), VAULT_GATE_NONE);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"objected_again\""), 1);
    assert_int_equal(end(fixture, &made.id, "surveys"), KL_OK);
    fixture_reopen(fixture);
    assert_int_equal(rights_gate_now(fixture, "reader", &made.id, "surveys"), VAULT_GATE_NONE);
}

static void test_an_objection_goes_with_the_subject(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);

    assert_int_equal(rights_object(fixture, "dpo", &made.id, "surveys", "grounds"), KL_OK);
    fixture_erase(fixture, &made.id);
    assert_int_equal(end(fixture, &made.id, "surveys"), KL_ERR_NOT_FOUND);
    assert_string_equal(fixture->err.code, "not_found");
    fixture_reopen(fixture);
}

int main(void)
{
#define RIGHTS(name) cmocka_unit_test_setup_teardown(name, rights_setup, vault_fixture_teardown)
    const struct CMUnitTest tests[] = {
        RIGHTS(test_an_objection_stops_its_purpose_on_the_next_read),
        RIGHTS(test_compelling_grounds_prevail_until_it_is_objected_again),
        RIGHTS(test_against_direct_marketing_nothing_prevails),
        RIGHTS(test_a_legal_claim_overrides_and_no_other_ground),
        RIGHTS(test_what_rests_on_a_contract_or_consent_cannot_be_objected_to),
        RIGHTS(test_each_role_notes_and_sees_its_own_purposes),
        RIGHTS(test_a_person_objects_and_still_sees_their_own_data),
        RIGHTS(test_grounds_stay_where_the_transfer_gate_keeps_them),
        RIGHTS(test_who_objected_is_found_by_no_lookup_for_it),
        RIGHTS(test_an_older_data_brings_no_objected_use_back),
        RIGHTS(test_an_objection_goes_with_the_subject),
    };

    return cmocka_run_group_tests_name("objection", tests, admin_group_setup, NULL);
}
