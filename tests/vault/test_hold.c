/* Holds: who may hold which record, on what basis and until when, and what a held record refuses. */
#include "tests/support/retained_fixture.h"

#include "tests/support/test.h"
#include "vault/retained.h"

#include <string.h>

#define ANSWER_BYTES 65536

static enum kl_status release(struct vault_fixture *fixture, const struct retained_somebody *of)
{
    struct vault_caller caller = fixture_caller(fixture, "keeper");
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_record_release(fixture_vault(fixture), &caller, &of->subject, &of->client,
                                  &fixture->err);
    vault_caller_done(&caller);
    return status;
}

static enum kl_status erase_client(struct vault_fixture *fixture,
                                   const struct retained_somebody *of)
{
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    enum kl_status status = KL_OK;
    struct kl_buf receipt;

    kl_buf_init(&receipt, ANSWER_BYTES);
    kl_err_clear(&fixture->err);
    status = vault_record_erase(fixture_vault(fixture), &dpo, &of->subject, &of->client,
                                VAULT_ERASE_REQUEST, &receipt, &fixture->err);
    kl_buf_done(&receipt);
    vault_caller_done(&dpo);
    return status;
}

static void test_a_held_record_cannot_be_erased_by_itself(void **state)
{
    struct vault_fixture *fixture = *state;
    struct retained_somebody of = retained_somebody_make(fixture);

    assert_int_equal(
        retained_hold(fixture, "keeper", &of, &of.client, "bookkeeping", retained_in_days(1)),
        KL_OK);
    assert_int_equal(erase_client(fixture, &of), KL_ERR_CONFLICT);
    assert_string_equal(fixture->err.code, "record_held");
    assert_int_equal(release(fixture, &of), KL_OK);
    assert_int_equal(release(fixture, &of), KL_ERR_NOT_FOUND);
    assert_string_equal(fixture->err.code, "no_hold");
    assert_int_equal(erase_client(fixture, &of), KL_OK);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"hold\""), 1);
    assert_true(fixture_trail(fixture, "\"action\":\"hold_end\"") >= 1);
}

static void test_only_a_role_that_may_hold_does(void **state)
{
    struct vault_fixture *fixture = *state;
    struct retained_somebody of = retained_somebody_make(fixture);
    struct retained_somebody nobody = of;

    assert_int_equal(
        retained_hold(fixture, "dpo", &of, &of.client, "bookkeeping", retained_in_days(1)),
        KL_ERR_NOT_FOUND);
    assert_int_equal(
        retained_hold(fixture, "keeper", &of, &of.newsletter, "bookkeeping", retained_in_days(1)),
        KL_ERR_NOT_FOUND);
    nobody.subject = kl_id_new();
    assert_int_equal(
        retained_hold(fixture, "keeper", &nobody, &of.client, "bookkeeping", retained_in_days(1)),
        KL_ERR_NOT_FOUND);
    assert_int_equal(retained_erase(fixture, &of, &nobody.subject, NULL), 0);
}

static void test_a_basis_is_a_name_and_an_end_lies_ahead(void **state)
{
    struct vault_fixture *fixture = *state;
    struct retained_somebody of = retained_somebody_make(fixture);
    char longer[VAULT_HOLD_BASIS_MAX_BYTES + 2] = "";
    const char *const wrong[] = {"", "Bookkeeping", "a b", "1a", "c\xc3\xa9", longer};
    size_t i;

    memset(longer, 'a', sizeof longer - 1);
    for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(
            retained_hold(fixture, "keeper", &of, &of.client, wrong[i], retained_in_days(1)),
            KL_ERR_INVALID);
        assert_string_equal(fixture->err.code, "invalid_basis");
        assert_string_equal(fixture->err.where, "/basis");
    }
    assert_int_equal(retained_hold(fixture, "keeper", &of, &of.client, "tax", retained_in_days(-1)),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_until");
    assert_int_equal(
        retained_hold(fixture, "keeper", &of, &of.client, "tax", retained_in_days(40000)),
        KL_ERR_INVALID);
    assert_int_equal(
        retained_hold(fixture, "keeper", &of, &of.client, longer + 1, retained_in_days(36500)),
        KL_OK);
}

/* Nobody may be stored who could not be erased, however much of them is held. */
static void test_every_record_of_a_subject_can_be_held_and_all_outlive_it(void **state)
{
    struct vault_fixture *fixture = *state;
    struct retained_somebody of = retained_somebody_make(fixture);
    struct vault_caller writer = fixture_caller(fixture, "writer");
    const struct vault_field_input field = fixture_field("iban", "BE68 5390 0754 7034");
    const struct vault_record_input input = {.type = "client", .fields = &field, .field_count = 1};
    struct vault_record_result added;
    struct kl_id receipt;
    size_t i;

    assert_int_equal(
        retained_hold(fixture, "keeper", &of, &of.client, "bookkeeping", retained_in_days(1)),
        KL_OK);
    for (i = 2; i < VAULT_RECORDS_MAX; i++) { /* two it has */
        assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, &of.subject, &input,
                                          NULL, fixture->arena, &added, NULL),
                         KL_OK);
        assert_int_equal(
            retained_hold(fixture, "keeper", &of, &added.id, "bookkeeping", retained_in_days(1)),
            KL_OK);
    }
    assert_int_equal(retained_erase(fixture, &of, &receipt, NULL), VAULT_RECORDS_MAX - 1);
    vault_caller_done(&writer);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_held_record_cannot_be_erased_by_itself),
        TEST(test_only_a_role_that_may_hold_does),
        TEST(test_a_basis_is_a_name_and_an_end_lies_ahead),
        TEST(test_every_record_of_a_subject_can_be_held_and_all_outlive_it),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
