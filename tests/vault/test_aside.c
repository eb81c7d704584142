/* What lies beside a subject's records is found by everybody who goes over all of a subject. */
#include "vault/aside.h"

#include "tests/support/backup_fixture.h"
#include "tests/support/request_fixture.h"
#include "tests/support/test.h"
#include "tests/support/values_fixture.h"
#include "vault/retained.h"

#include <string.h>

/* A person with a request, a ledger of disclosures, and a note in it. */
struct person {
    struct vault_subject_result made;
    struct kl_id request;
};

static struct person a_person(struct vault_fixture *fixture)
{
    struct person person = {.made = fixture_newsletter(fixture, "ana@example.org", true)};

    person.request = request_make(fixture, &person.made.id, "access", NULL).request.id;
    assert_int_equal(disclosure_note(fixture, &person.made.id, "mailer", "mailing",
                                     "newsletter.email", "a note"),
                     KL_OK);
    assert_int_equal(disclosure_read(fixture, &person.made.id, "mailing", "mailer"), KL_OK);
    return person;
}

static void assert_there(struct vault_fixture *fixture, const struct person *person)
{
    struct vault_disclosure_result *found = NULL;
    struct vault_request_result read = {0};

    assert_int_equal(
        request_read_as(fixture, request_officer(fixture, NULL), &person->request, &read), KL_OK);
    assert_string_equal(read.request.note, "as Ana Maes wrote");
    assert_int_equal(disclosure_list(fixture, &person->made.id, &found), 2);
    assert_string_equal(found[0].note, "a note");
}

static size_t list(struct vault_fixture *fixture, uint64_t slot, struct vault_aside **ret)
{
    size_t count = 0;

    assert_int_equal(vault_aside_list(fixture_vault(fixture), fixture_tenant(fixture), slot,
                                      fixture->arena, ret, &count, &fixture->err),
                     KL_OK);
    return count;
}

static bool is_listed(const struct vault_aside *asides, size_t count, const char *context)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (strcmp(asides[i].context, context) == 0) {
            return true;
        }
    }
    return false;
}

static void test_all_of_a_person_are_listed(void **state)
{
    struct vault_fixture *fixture = *state;
    struct person person = a_person(fixture);
    struct vault_subject_result other = fixture_newsletter(fixture, "ben@example.org", true);
    struct vault_aside *asides = NULL;
    size_t count = list(fixture, fixture_slot(fixture, &person.made.id), &asides);

    assert_int_equal(count, 3);
    assert_true(is_listed(asides, count, VAULT_REQUEST_CONTEXT));
    assert_true(is_listed(asides, count, VAULT_DISCLOSURES_CONTEXT));
    assert_true(is_listed(asides, count, VAULT_DISCLOSURE_NOTE_CONTEXT));
    assert_int_equal(list(fixture, fixture_slot(fixture, &other.id), &asides), 0);
}

static void test_a_row_of_another_kind_is_damage(void **state)
{
    struct vault_fixture *fixture = *state;
    struct person person = a_person(fixture);
    uint64_t slot = fixture_slot(fixture, &person.made.id);
    struct vault_row_key key = vault_row_aside(fixture_tenant(fixture), slot, 'x', NULL);
    struct vault_batch *batch = vault_batch_new();
    struct vault_aside *asides = NULL;
    size_t count = 77;

    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of("\0\0\0\0\0\0\0\7", 8));
    assert_int_equal(vault_store_apply(fixture_vault(fixture)->data_store, batch, true, NULL),
                     KL_OK);
    assert_int_equal(vault_aside_list(fixture_vault(fixture), fixture_tenant(fixture), slot,
                                      fixture->arena, &asides, &count, &fixture->err),
                     KL_ERR_CORRUPT);
    assert_string_equal(fixture->err.code, "aside_damaged");
    assert_int_equal(count, 77);
    vault_batch_free(batch);
}

static void test_what_is_not_there_is_gone(void **state)
{
    struct vault_fixture *fixture = *state;
    struct person person = a_person(fixture);
    uint64_t slot = fixture_slot(fixture, &person.made.id);
    struct kl_slice text = {NULL, 77};
    uint64_t value = 77;

    assert_int_equal(vault_aside_open(fixture_vault(fixture), fixture_tenant(fixture), slot, 999,
                                      VAULT_REQUEST_CONTEXT, fixture->arena, &text, &fixture->err),
                     KL_ERR_GONE);
    assert_string_equal(fixture->err.code, "value_gone");
    assert_int_equal(vault_aside_find(fixture_vault(fixture), fixture_tenant(fixture), slot,
                                      VAULT_ASIDE_REQUEST, &person.made.id, &value, &fixture->err),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(value, 77);
    assert_int_equal(text.size, 77);
    assert_false(vault_aside_value(kl_slice_of("\0\0\0\0\0\0\0\1", 8), &value));
    assert_false(vault_aside_value(kl_slice_of("\0\0\0\0\0\0\7", 7), &value));
}

/* What was sealed as one thing does not open as another. */
static void test_a_text_opens_only_as_what_it_is(void **state)
{
    struct vault_fixture *fixture = *state;
    struct person person = a_person(fixture);
    uint64_t slot = fixture_slot(fixture, &person.made.id);
    struct kl_slice text;
    uint64_t value = 0;

    assert_int_equal(vault_aside_find(fixture_vault(fixture), fixture_tenant(fixture), slot,
                                      VAULT_ASIDE_REQUEST, &person.request, &value, NULL),
                     KL_OK);
    assert_int_equal(vault_aside_open(fixture_vault(fixture), fixture_tenant(fixture), slot, value,
                                      VAULT_DISCLOSURES_CONTEXT, fixture->arena, &text, NULL),
                     KL_ERR_CORRUPT);
    assert_int_equal(vault_aside_open(fixture_vault(fixture), fixture_tenant(fixture), slot, value,
                                      VAULT_REQUEST_CONTEXT, fixture->arena, &text, NULL),
                     KL_OK);
}

/* ---- whoever goes over all of a subject ---- */

static void test_a_rotation_of_values_carries_them_over(void **state)
{
    struct vault_fixture *fixture = *state;
    struct person person = a_person(fixture);
    struct vault_job job;

    values_rotate(fixture_vault(fixture), fixture_tenant(fixture), &job);
    assert_int_equal(values_result(&job, "subjects"), 1);
    vault_job_done(&job);
    assert_there(fixture, &person);
    fixture_reopen(fixture);
    assert_there(fixture, &person);
}

static size_t rows_of(struct vault_fixture *fixture, char kind)
{
    const char first[1] = {kind};
    const char past[1] = {(char)(kind + 1)};
    struct vault_iter *iter = vault_iter_new(fixture_vault(fixture)->data_store,
                                             kl_slice_of(first, 1), kl_slice_of(past, 1), false);
    struct kl_slice key;
    struct kl_slice row;
    size_t count = 0;

    while (vault_iter_next(iter, &key, &row)) {
        count++;
    }
    vault_iter_free(iter);
    return count;
}

static void test_an_erasure_leaves_no_rows(void **state)
{
    struct vault_fixture *fixture = *state;
    struct person person = a_person(fixture);

    assert_int_equal(rows_of(fixture, 'Q'), 2);
    assert_int_equal(rows_of(fixture, 'q'), 2);
    fixture_erase(fixture, &person.made.id);
    assert_int_equal(rows_of(fixture, 'Q'), 0);
    assert_int_equal(rows_of(fixture, 'q'), 0);
}

/* data/ of before the erasure, with the keys of today: what the shredded left goes at the next open. */
static void test_an_older_data_brings_no_rows_back(void **state)
{
    struct vault_fixture *fixture = *state;
    struct person person = a_person(fixture);

    fixture_copy(fixture);
    fixture_erase(fixture, &person.made.id);
    fixture_put_back_data(fixture);
    assert_int_equal(rows_of(fixture, 'Q'), 0);
    assert_int_equal(rows_of(fixture, 'q'), 0);
}

static void test_a_backup_has_them_and_a_restore_brings_them_back(void **state)
{
    struct vault_fixture *fixture = *state;
    struct person person = {0};
    struct kl_id backup;
    struct kl_json *job = NULL;

    restore_callers_make(fixture);
    person = a_person(fixture);
    backup = backup_make(fixture, NULL, 2);
    job = backup_verify(fixture, &backup);
    backup_assert_text(job, "state", "done");
    assert_int_equal(backup_number(job, "values"),
                     2 + 2 + 3); /* fields, the ledger and evidence, what lies beside */
    kl_json_free(job);
    (void)restore_make(fixture, &backup);
    assert_there(fixture, &person);
}

/* A value slot beside the records that does not open makes its backup no good one. */
static void test_a_verification_notices_damage_beside_the_records(void **state)
{
    struct vault_fixture *fixture = *state;
    struct person person = a_person(fixture);
    uint64_t slot = fixture_slot(fixture, &person.made.id);
    struct vault_batch *batch = vault_batch_new();
    struct vault_row_key key;
    struct kl_json *job = NULL;
    struct kl_id backup;
    uint64_t value = 0;

    assert_int_equal(vault_aside_find(fixture_vault(fixture), fixture_tenant(fixture), slot,
                                      VAULT_ASIDE_REQUEST, &person.request, &value, NULL),
                     KL_OK);
    key = vault_row_value(fixture_tenant(fixture), slot, value);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of("damaged", 7));
    assert_int_equal(vault_store_apply(fixture_vault(fixture)->data_store, batch, true, NULL),
                     KL_OK);
    backup = backup_make(fixture, NULL, 2);
    job = backup_verify(fixture, &backup);
    assert_true(backup_number(job, "damaged") > 0);
    kl_json_free(job);
    vault_batch_free(batch);
}

#define TEST(test) \
    cmocka_unit_test_setup_teardown(test, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_all_of_a_person_are_listed),
        TEST(test_a_row_of_another_kind_is_damage),
        TEST(test_what_is_not_there_is_gone),
        TEST(test_a_text_opens_only_as_what_it_is),
        TEST(test_a_rotation_of_values_carries_them_over),
        TEST(test_an_erasure_leaves_no_rows),
        TEST(test_an_older_data_brings_no_rows_back),
        TEST(test_a_backup_has_them_and_a_restore_brings_them_back),
        TEST(test_a_verification_notices_damage_beside_the_records),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
