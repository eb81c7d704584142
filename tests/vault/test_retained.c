/* What is left of held records after an erasure, who reads them then, and their end. */
#include "tests/support/cut_short.h"
#include "tests/support/retained_fixture.h"

#include "kluis/base/time.h"
#include "tests/support/test.h"
#include "vault/receipt.h"
#include "vault/retained.h"
#include "vault/rows.h"

#include <stdio.h>
#include <string.h>

#define ANSWER_BYTES 65536
#define VALUES_TRIED 64

/* later_us: added to the caller's time. */
static enum kl_status read_kept(struct vault_fixture *fixture, const char *role,
                                const struct kl_id *receipt, const struct kl_id *record,
                                int64_t later_us, struct vault_record_result *ret)
{
    struct vault_caller caller = fixture_caller(fixture, role);
    struct vault_hold *holds = NULL;
    size_t count = 0;
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    caller.now_us += later_us;
    status = vault_retained_read(fixture_vault(fixture), &caller, receipt, record, NULL,
                                 fixture->arena, ret, &holds, &count, &fixture->err);
    assert_int_equal(count, status == KL_OK ? 1 : 0);
    if (status == KL_OK) {
        assert_string_equal(holds[0].basis, "bookkeeping");
    }
    vault_caller_done(&caller);
    return status;
}

static void assert_kept(struct vault_fixture *fixture, const struct kl_id *receipt,
                        const struct kl_id *record)
{
    struct vault_record_result read = {0};
    struct vault_subject_result as = {.records = &read, .record_count = 1};

    if (read_kept(fixture, "keeper", receipt, record, 0, &read) != KL_OK) {
        fail_msg("not read: %s %s", fixture->err.code, fixture->err.log_text);
    }
    assert_string_equal(read.type, "client");
    assert_int_equal(read.field_count, 2);
    assert_true(fixture_value_is(fixture_find(&as, "email"), "c@example.org"));
    assert_true(fixture_value_is(fixture_find(&as, "iban"), "BE68539007547034"));
}

/* How many of a slot's first value slots have a key. */
static size_t alive(struct vault_fixture *fixture, const struct retained_somebody *of)
{
    size_t count = 0;
    uint64_t value;

    for (value = 0; value < VALUES_TRIED; value++) {
        const struct kms_place place = {of->tenant, of->slot, value};
        enum kl_status status = kms_place_check(fixture_vault(fixture)->keys, &place, NULL);

        assert_true(status == KL_OK || status == KL_ERR_GONE);
        count += status == KL_OK ? 1 : 0;
    }
    return count;
}

static size_t value_rows(struct vault_fixture *fixture, const struct retained_somebody *of)
{
    struct vault_row_key prefix = vault_row_value(of->tenant, of->slot, 0);
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice value;
    size_t count = 0;

    prefix.size -= 8;
    past = vault_row_past(&prefix);
    iter = vault_iter_new(fixture_vault(fixture)->data_store, vault_row_slice(&prefix),
                          vault_row_slice(&past), false);
    while (vault_iter_next(iter, &key, &value)) {
        count++;
    }
    vault_iter_free(iter);
    return count;
}

static size_t count_row(struct vault_fixture *fixture, int64_t until_us)
{
    struct vault_retained found[4];
    size_t count = 77;

    assert_int_equal(
        vault_retained_due_find(fixture_vault(fixture), until_us, found, 4, &count, NULL), KL_OK);
    return count;
}

/* ---- an erasure ---- */

static void test_an_erasure_keeps_a_held_record_for_its_purpose_alone(void **state)
{
    struct vault_fixture *fixture = *state;
    struct retained_somebody of = retained_somebody_make(fixture);
    struct vault_caller bound = fixture_caller_with(fixture, "self", NULL, NULL, &of.subject);
    struct vault_subject_result read = {0};
    struct vault_record_result kept = {0};
    struct kl_id receipt;
    struct kl_id record;

    assert_int_equal(
        retained_hold(fixture, "keeper", &of, &of.client, "bookkeeping", retained_in_days(30)),
        KL_OK);
    assert_int_equal(retained_erase(fixture, &of, &receipt, &record), 1);
    assert_true(kl_id_equal(&record, &of.client));
    assert_kept(fixture, &receipt, &record);

    /* To everybody else, and every other way, the person is not there. */
    assert_int_equal(fixture_read(fixture, "reader", &of.subject, "service", &read),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(fixture_lookup(fixture, "client.email", "c@example.org", NULL), 0);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "n@example.org", NULL), 0);
    assert_int_equal(read_kept(fixture, "reader", &receipt, &record, 0, &kept), KL_ERR_NOT_FOUND);
    assert_int_equal(read_kept(fixture, "dpo", &receipt, &record, 0, &kept), KL_ERR_NOT_FOUND);
    assert_int_equal(read_kept(fixture, "keeper", &receipt, &of.newsletter, 0, &kept),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(read_kept(fixture, "keeper", &of.subject, &record, 0, &kept),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(
        retained_hold(fixture, "keeper", &of, &of.client, "bookkeeping", retained_in_days(60)),
        KL_ERR_NOT_FOUND);
    vault_caller_done(&bound);

    /* What it needs is left: the row that leads to it, and two values. */
    assert_int_equal(alive(fixture, &of), 3);
    assert_int_equal(value_rows(fixture, &of), 2);
    fixture_reopen(fixture);
    assert_kept(fixture, &receipt, &record);
    assert_int_equal(alive(fixture, &of), 3);
    assert_true(fixture_trail(fixture, "\"action\":\"retained_read\"") >= 2);
}

static void test_the_signed_receipt_commits_to_what_was_kept_and_names_nobody(void **state)
{
    struct vault_fixture *fixture = *state;
    struct retained_somebody of = retained_somebody_make(fixture);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    char record[KL_ID_TEXT_BYTES];
    struct kl_buf stored;
    struct kl_id receipt;

    kl_buf_init(&stored, ANSWER_BYTES);
    kl_id_format("rec", &of.client, record);
    assert_int_equal(
        retained_hold(fixture, "keeper", &of, &of.client, "bookkeeping", retained_in_days(30)),
        KL_OK);
    assert_int_equal(retained_erase(fixture, &of, &receipt, NULL), 1);
    assert_int_equal(vault_receipt_read(fixture_vault(fixture), &dpo, &receipt, &stored, NULL),
                     KL_OK);
    fixture_receipt_cut(&stored);
    assert_int_equal(vault_receipt_verify(kl_buf_slice(&stored), NULL, NULL), KL_OK);
    kl_buf_add_byte(&stored, 0);
    assert_null(strstr((const char *)stored.bytes, record));
    assert_non_null(strstr((const char *)stored.bytes, "\"records_erased\":1,"));
    assert_non_null(
        strstr((const char *)stored.bytes, "\"retained\":[{\"basis\":\"bookkeeping\",\"until\":"));
    vault_caller_done(&dpo);
    kl_buf_done(&stored);
}

static void test_a_hold_that_is_over_keeps_nothing(void **state)
{
    struct vault_fixture *fixture = *state;
    struct retained_somebody of = retained_somebody_make(fixture);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct kl_buf answer;

    kl_buf_init(&answer, ANSWER_BYTES);
    assert_int_equal(
        retained_hold(fixture, "keeper", &of, &of.client, "bookkeeping", retained_in_days(1)),
        KL_OK);
    dpo.now_us += 2 * KL_TIME_DAY_US;
    assert_int_equal(vault_subject_erase(fixture_vault(fixture), &dpo, &of.subject,
                                         VAULT_ERASE_REQUEST, &answer, NULL),
                     KL_OK);
    assert_int_equal(alive(fixture, &of), 0);
    assert_int_equal(value_rows(fixture, &of), 0);
    vault_caller_done(&dpo);
    kl_buf_done(&answer);
}

/* ---- the end ---- */

static void test_it_goes_at_its_end_date_and_not_before(void **state)
{
    struct vault_fixture *fixture = *state;
    struct retained_somebody of = retained_somebody_make(fixture);
    struct vault_record_result kept = {.type = "untouched"};
    int64_t until_us = retained_in_days(30);
    struct kl_id receipt;
    struct kl_id record;

    assert_int_equal(retained_hold(fixture, "keeper", &of, &of.client, "bookkeeping", until_us),
                     KL_OK);
    assert_int_equal(retained_erase(fixture, &of, &receipt, &record), 1);
    assert_int_equal(vault_retained_due(fixture_vault(fixture), until_us - 1, NULL), KL_OK);
    assert_kept(fixture, &receipt, &record);

    /* Nobody reads it past its end, whether upkeep came by or not. */
    assert_int_equal(read_kept(fixture, "keeper", &receipt, &record, 31 * KL_TIME_DAY_US, &kept),
                     KL_ERR_NOT_FOUND);
    assert_string_equal(kept.type, "untouched");
    assert_int_equal(vault_retained_due(fixture_vault(fixture), until_us, NULL), KL_OK);
    assert_int_equal(read_kept(fixture, "keeper", &receipt, &record, 0, &kept), KL_ERR_NOT_FOUND);
    assert_int_equal(alive(fixture, &of), 0);
    assert_int_equal(value_rows(fixture, &of), 0);
    assert_int_equal(count_row(fixture, INT64_MAX), 0);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"retention_end\""), 1);
    assert_int_equal(vault_retained_due(fixture_vault(fixture), until_us, NULL), KL_OK);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"retention_end\""), 1);
}

static void test_who_may_hold_ends_it_at_once(void **state)
{
    struct vault_fixture *fixture = *state;
    struct retained_somebody of = retained_somebody_make(fixture);
    struct vault_caller keeper = fixture_caller(fixture, "keeper");
    struct vault_caller reader = fixture_caller(fixture, "reader");
    struct vault_record_result kept = {0};
    struct kl_buf answer;
    struct kl_id receipt;
    struct kl_id record;

    kl_buf_init(&answer, ANSWER_BYTES);
    assert_int_equal(
        retained_hold(fixture, "keeper", &of, &of.client, "bookkeeping", retained_in_days(30)),
        KL_OK);
    assert_int_equal(retained_erase(fixture, &of, &receipt, &record), 1);
    assert_int_equal(
        vault_retained_end(fixture_vault(fixture), &reader, &receipt, &record, NULL, &answer, NULL),
        KL_ERR_NOT_FOUND);
    assert_int_equal(answer.size, 0);
    assert_int_equal(
        vault_retained_end(fixture_vault(fixture), &keeper, &receipt, &record, NULL, &answer, NULL),
        KL_OK);
    fixture_receipt_cut(&answer);
    assert_int_equal(vault_receipt_verify(kl_buf_slice(&answer), NULL, NULL), KL_OK);
    assert_int_equal(alive(fixture, &of), 0);
    assert_int_equal(read_kept(fixture, "keeper", &receipt, &record, 0, &kept), KL_ERR_NOT_FOUND);
    assert_int_equal(
        vault_retained_end(fixture_vault(fixture), &keeper, &receipt, &record, NULL, &answer, NULL),
        KL_ERR_NOT_FOUND);
    vault_caller_done(&keeper);
    vault_caller_done(&reader);
    kl_buf_done(&answer);
}

static void test_the_end_of_one_leaves_the_other(void **state)
{
    struct vault_fixture *fixture = *state;
    struct retained_somebody of = retained_somebody_make(fixture);
    struct vault_caller writer = fixture_caller(fixture, "writer");
    const struct vault_field_input field = fixture_field("iban", "BE68 5390 0754 7034");
    const struct vault_record_input input = {.type = "client", .fields = &field, .field_count = 1};
    struct vault_record_result added;
    struct kl_id receipt;
    int64_t first_us = retained_in_days(10);

    assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, &of.subject, &input, NULL,
                                      fixture->arena, &added, NULL),
                     KL_OK);
    assert_int_equal(retained_hold(fixture, "keeper", &of, &added.id, "bookkeeping", first_us),
                     KL_OK);
    assert_int_equal(
        retained_hold(fixture, "keeper", &of, &of.client, "bookkeeping", retained_in_days(30)),
        KL_OK);
    assert_int_equal(retained_erase(fixture, &of, &receipt, NULL), 2);
    assert_int_equal(alive(fixture, &of), 5);
    assert_int_equal(vault_retained_due(fixture_vault(fixture), first_us, NULL), KL_OK);
    assert_int_equal(alive(fixture, &of), 3);
    assert_kept(fixture, &receipt, &of.client);
    vault_caller_done(&writer);
}

/* ---- crashes, older copies, the tenant's end ---- */

/* The receipt of the one erasure whose rows are there. */
static struct kl_id receipt_of_rows(struct vault_fixture *fixture)
{
    struct vault_retained found;
    size_t count = 0;

    assert_int_equal(
        vault_retained_due_find(fixture_vault(fixture), INT64_MAX, &found, 1, &count, NULL), KL_OK);
    assert_int_equal(count, 1);
    return found.receipt;
}

static void test_an_erasure_cut_short_after_its_commit_keeps_the_record(void **state)
{
    struct vault_fixture *fixture = *state;
    struct retained_somebody of = retained_somebody_make(fixture);
    struct vault_subject_result read = {0};
    struct kl_id receipt;
    struct kl_buf answer;

    kl_buf_init(&answer, ANSWER_BYTES);
    assert_int_equal(
        retained_hold(fixture, "keeper", &of, &of.client, "bookkeeping", retained_in_days(30)),
        KL_OK);
    cut_short_after_the_commit(fixture);
    assert_int_equal(fixture_try_erase(fixture, "dpo", &of.subject, VAULT_ERASE_REQUEST, &answer),
                     KL_ERR_UNAVAILABLE);
    fixture_reopen(fixture);
    receipt = receipt_of_rows(fixture);
    assert_kept(fixture, &receipt, &of.client);
    assert_int_equal(fixture_read(fixture, "reader", &of.subject, "service", &read),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(alive(fixture, &of), 3);
    assert_int_equal(value_rows(fixture, &of), 2);
    kl_buf_done(&answer);
}

static void test_an_erasure_that_failed_before_its_commit_kept_nothing(void **state)
{
    struct vault_fixture *fixture = *state;
    struct retained_somebody of = retained_somebody_make(fixture);
    struct vault_record_result kept = {0};
    struct vault_subject_result read = {0};
    int64_t until_us = retained_in_days(30);
    struct kl_id failed;
    struct kl_id receipt;
    struct kl_id record;
    struct kl_buf answer;

    kl_buf_init(&answer, ANSWER_BYTES);
    assert_int_equal(retained_hold(fixture, "keeper", &of, &of.client, "bookkeeping", until_us),
                     KL_OK);
    cut_short_before_the_commit(fixture);
    assert_int_equal(fixture_try_erase(fixture, "dpo", &of.subject, VAULT_ERASE_REQUEST, &answer),
                     KL_ERR_UNAVAILABLE);
    assert_int_equal(count_row(fixture, INT64_MAX), 0);
    fixture_reopen(fixture);
    failed = retained_write_stale(fixture, &of, until_us);
    assert_int_equal(read_kept(fixture, "keeper", &failed, &of.client, 0, &kept), KL_ERR_NOT_FOUND);
    assert_int_equal(fixture_read(fixture, "reader", &of.subject, "service", &read), KL_OK);

    /* Asked again it is done, and the first attempt's row leads nowhere and goes at the end. */
    assert_int_equal(retained_erase(fixture, &of, &receipt, &record), 1);
    assert_kept(fixture, &receipt, &record);
    assert_int_equal(read_kept(fixture, "keeper", &failed, &of.client, 0, &kept), KL_ERR_NOT_FOUND);
    assert_int_equal(alive(fixture, &of), 3);
    assert_int_equal(vault_retained_due(fixture_vault(fixture), until_us, NULL), KL_OK);
    assert_int_equal(alive(fixture, &of), 0);
    assert_int_equal(count_row(fixture, INT64_MAX), 0);
    kl_buf_done(&answer);
}

static void test_the_row_of_a_failed_erasure_goes_when_its_hold_is_over(void **state)
{
    struct vault_fixture *fixture = *state;
    struct retained_somebody of = retained_somebody_make(fixture);
    struct vault_subject_result read = {0};
    int64_t until_us = retained_in_days(30);

    assert_int_equal(retained_hold(fixture, "keeper", &of, &of.client, "bookkeeping", until_us),
                     KL_OK);
    (void)retained_write_stale(fixture, &of, until_us);
    assert_int_equal(count_row(fixture, INT64_MAX), 1);
    assert_int_equal(vault_retained_due(fixture_vault(fixture), until_us, NULL), KL_OK);
    assert_int_equal(count_row(fixture, INT64_MAX), 0);
    assert_int_equal(fixture_read(fixture, "reader", &of.subject, "service", &read), KL_OK);
}

static void test_an_older_data_directory_leaves_the_record_and_nothing_else(void **state)
{
    struct vault_fixture *fixture = *state;
    struct retained_somebody of = retained_somebody_make(fixture);
    struct vault_subject_result read = {0};
    struct vault_caller caller;
    char copy[ADMIN_PATH_BYTES];
    char data[ADMIN_PATH_BYTES];
    struct kl_id receipt;
    struct kl_id record;

    assert_int_equal(
        retained_hold(fixture, "keeper", &of, &of.client, "bookkeeping", retained_in_days(30)),
        KL_OK);
    caller = fixture_caller(fixture, "reader"); /* known to the copy */
    vault_caller_done(&caller);
    caller = fixture_caller(fixture, "dpo");
    vault_caller_done(&caller);
    fixture_path(fixture, "copy", copy);
    fixture_path(fixture, "data/data", data);
    admin_close(fixture->admin);
    admin_copy(data, copy);
    admin_reopen(fixture->admin);
    assert_int_equal(retained_erase(fixture, &of, &receipt, &record), 1);
    admin_close(fixture->admin);
    admin_remove(data);
    admin_copy(copy, data);
    admin_reopen(fixture->admin);
    assert_int_equal(fixture_read(fixture, "reader", &of.subject, "service", &read),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(fixture_lookup(fixture, "client.email", "c@example.org", NULL), 0);
    assert_kept(fixture, &receipt, &record);
    assert_int_equal(value_rows(fixture, &of), 2);
}

static void test_retained_records_end_with_their_tenant(void **state)
{
    struct vault_fixture *fixture = *state;
    struct retained_somebody of = retained_somebody_make(fixture);
    struct vault_caller chief = admin_operator(fixture->admin);
    struct kl_buf answer;
    struct kl_id receipt;
    int64_t ends_us = 0;

    kl_buf_init(&answer, ANSWER_BYTES);
    assert_int_equal(
        retained_hold(fixture, "keeper", &of, &of.client, "bookkeeping", retained_in_days(30)),
        KL_OK);
    assert_int_equal(retained_erase(fixture, &of, &receipt, NULL), 1);
    assert_int_equal(
        vault_tenant_end(fixture_vault(fixture), &chief, "default", &answer, &ends_us, NULL),
        KL_OK);
    assert_int_equal(alive(fixture, &of), 0);
    assert_int_equal(count_row(fixture, INT64_MAX), 0);
    vault_caller_done(&chief);
    kl_buf_done(&answer);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_erasure_keeps_a_held_record_for_its_purpose_alone),
        TEST(test_the_signed_receipt_commits_to_what_was_kept_and_names_nobody),
        TEST(test_a_hold_that_is_over_keeps_nothing),
        TEST(test_it_goes_at_its_end_date_and_not_before),
        TEST(test_who_may_hold_ends_it_at_once),
        TEST(test_the_end_of_one_leaves_the_other),
        TEST(test_an_erasure_cut_short_after_its_commit_keeps_the_record),
        TEST(test_an_erasure_that_failed_before_its_commit_kept_nothing),
        TEST(test_the_row_of_a_failed_erasure_goes_when_its_hold_is_over),
        TEST(test_an_older_data_directory_leaves_the_record_and_nothing_else),
        TEST(test_retained_records_end_with_their_tenant),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
