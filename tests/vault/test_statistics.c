/* Statistics that outlive an erasure: waiting, publishing, after an older data/, and however many there are. */
#include "vault/statistics.h"

#include "kluis/base/time.h"
#include "tests/support/statistics_fixture.h"
#include "tests/support/test.h"
#include "vault/side.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- waiting ---- */

static void test_they_wait_a_month_and_are_published_together(void **state)
{
    struct vault_fixture *fixture = *state;

    statistics_come_and_go(fixture, STATISTICS_BELGIAN, 4);
    statistics_come_and_go(fixture, STATISTICS_DUTCH, 3);
    assert_int_equal(statistics_rows(fixture, "VG"), 7);
    assert_int_equal(statistics_rows(fixture, "VC"), 1);
    assert_int_equal(statistics_publish_in(fixture, 29), KL_OK);
    assert_int_equal(statistics_clients(fixture), 0);
    assert_int_equal(statistics_rows(fixture, "VG"), 7);
    assert_int_equal(statistics_publish_in(fixture, 30), KL_OK);
    assert_int_equal(statistics_people(fixture, NULL, "client.iban", "BE"), 4);
    assert_int_equal(statistics_people(fixture, NULL, "client.iban", "NL"), 3);
    assert_int_equal(statistics_clients(fixture), 7);
    assert_int_equal(statistics_rows(fixture, "VG") + statistics_rows(fixture, "VC"), 0);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"statistics_publish\""), 1);
    assert_int_equal(fixture_trail(fixture, "\"published\":1,\"too_few\":0"), 1);
    fixture_reopen(fixture);
    assert_int_equal(statistics_clients(fixture), 7);
    assert_int_equal(statistics_publish_in(fixture, 90), KL_OK);
    assert_int_equal(statistics_clients(fixture), 7);
}

static void test_too_few_are_dropped_and_that_is_said(void **state)
{
    struct vault_fixture *fixture = *state;

    statistics_come_and_go(fixture, STATISTICS_BELGIAN, 2);
    assert_int_equal(statistics_publish_in(fixture, 30), KL_OK);
    assert_int_equal(statistics_clients(fixture), 0);
    assert_int_equal(statistics_rows(fixture, "VG") + statistics_rows(fixture, "VC") +
                         statistics_rows(fixture, "VT"),
                     0);
    assert_int_equal(fixture_trail(fixture, "\"published\":0,\"too_few\":1"), 1);
    statistics_come_and_go(fixture, STATISTICS_BELGIAN, 1);
    assert_int_equal(statistics_publish_in(fixture, 60), KL_OK); /* not with those of before */
    assert_int_equal(statistics_clients(fixture), 0);
}

static enum kl_status open_kept(struct vault_fixture *fixture, const struct statistics_row *kept,
                                struct vault_given *ret)
{
    const struct kms_place place = {fixture_tenant(fixture), kept->cohort, KMS_VALUE_NONE};
    struct kl_buf context;
    struct kl_buf plain;
    struct kl_slice text;
    enum kl_status status;

    kl_buf_init(&context, 64);
    kl_buf_init(&plain, 65536);
    kl_buf_add_text(&context, "given to statistics");
    kl_buf_add(&context, kept->row.bytes, KL_ID_BYTES);
    status = kms_unseal(fixture_vault(fixture)->keys, &place, kl_buf_slice(&context),
                        kl_slice_of(kept->value.bytes + 2, kept->value.size - 2), &plain, NULL);
    if (status == KL_OK) {
        assert_int_equal(vault_unpad(kl_buf_slice(&plain), &text, NULL), KL_OK);
        assert_int_equal(vault_given_decode(text, ret, NULL), KL_OK);
    }
    kl_buf_done(&context);
    kl_buf_done(&plain);
    return status;
}

static void test_who_kept_every_row_reads_none_of_them_once_it_is_published(void **state)
{
    struct vault_fixture *fixture = *state;
    struct statistics_row kept = {.cohort = 0};
    struct vault_given given;

    statistics_come_and_go(fixture, STATISTICS_BELGIAN, 3);
    kl_buf_init(&kept.value, 65536);
    assert_int_equal(kms_side_range(fixture_vault(fixture)->keys, kl_slice_text("VG"),
                                    statistics_row_keep, &kept, NULL),
                     KL_OK);
    assert_int_equal(open_kept(fixture, &kept, &given), KL_OK);
    assert_string_equal(given.items[0].field, "client.iban");
    assert_string_equal(given.items[0].value, "BE");
    assert_int_equal(given.count, 1); /* nothing else of the person */
    assert_int_equal(statistics_publish_in(fixture, 30), KL_OK);
    assert_int_equal(open_kept(fixture, &kept, &given), KL_ERR_GONE);
    kl_buf_done(&kept.value);
}

/* The status of reading what is kept; err in the fixture. */
static enum kl_status read_as(struct vault_fixture *fixture, struct vault_caller caller,
                              const char *purpose)
{
    const struct vault_statistics_query query = {.purpose = purpose, .limit = VAULT_PAGE_MAX};
    struct vault_statistics_cell *cells = NULL;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    size_t count = 0;
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_statistics_read(fixture_vault(fixture), &caller, &query, fixture->arena, &cells,
                                   &count, cursor, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

static void test_a_credential_for_several_purposes_names_one(void **state)
{
    static const char *const purposes[] = {"mailing", "service"};
    struct vault_fixture *fixture = *state;
    const struct vault_credential_input input = {
        .role = "officer", .purposes = purposes, .purpose_count = 2, .expires_in = "P1D"};
    struct vault_caller steward = admin_steward(fixture->admin);
    struct vault_credential_result made_of;
    struct vault_token token;

    assert_int_equal(vault_credential_create(fixture_vault(fixture), &steward, &input, NULL, &token,
                                             &made_of, &fixture->err),
                     KL_OK);
    vault_caller_done(&steward);
    assert_int_equal(read_as(fixture, admin_caller(fixture->admin, &token, NULL), NULL),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "purpose_required");
    assert_int_equal(read_as(fixture, admin_caller(fixture->admin, &token, NULL), "service"),
                     KL_OK);
    assert_int_equal(read_as(fixture, fixture_caller(fixture, "officer"), NULL), KL_OK);
}

static void test_they_are_not_for_a_person_about_all(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result someone = statistics_person(fixture, STATISTICS_DUTCH);

    assert_int_equal(
        read_as(fixture, fixture_caller_with(fixture, "officer", NULL, NULL, &someone.id), NULL),
        KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "role_forbidden");
}

static void test_one_person_is_one_however_many_records_go(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result news = fixture_newsletter(fixture, "n@example.org", false);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_field_input field = fixture_field("email", "m@example.org");
    const struct vault_record_input input = {
        .type = "newsletter", .fields = &field, .field_count = 1};
    int i;

    for (i = 0; i < 2 * STATISTICS_MINIMUM; i++) {
        struct vault_record_result record = {0};
        struct kl_buf receipt;

        kl_buf_init(&receipt, 65536);
        assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, &news.id, &input, NULL,
                                          fixture->arena, &record, &fixture->err),
                         KL_OK);
        assert_int_equal(vault_record_erase(fixture_vault(fixture), &dpo, &news.id, &record.id,
                                            VAULT_ERASE_REQUEST, &receipt, &fixture->err),
                         KL_OK);
        kl_buf_done(&receipt);
    }
    vault_caller_done(&dpo);
    vault_caller_done(&writer);
    fixture_erase(fixture, &news.id);
    assert_int_equal(statistics_rows(fixture, "VG"), 2 * STATISTICS_MINIMUM + 1);
    assert_int_equal(statistics_publish_in(fixture, 30), KL_OK);
    assert_int_equal(statistics_people(fixture, NULL, "newsletter.email", NULL), 0);
}

/* ---- an older data/ ---- */

static void test_an_older_data_takes_nothing_from_the_counts(void **state)
{
    struct vault_fixture *fixture = *state;

    statistics_come_and_go(fixture, STATISTICS_BELGIAN, 2);
    fixture_copy(fixture);
    statistics_come_and_go(fixture, STATISTICS_BELGIAN, 1);
    assert_int_equal(statistics_publish_in(fixture, 30), KL_OK);
    statistics_come_and_go(fixture, STATISTICS_DUTCH, 3);
    fixture_put_back_data(fixture);
    assert_int_equal(statistics_clients(fixture), 3);
    assert_int_equal(statistics_publish_in(fixture, 61), KL_OK);
    assert_int_equal(statistics_clients(fixture), 6);
}

/* ---- many ---- */

#define MANY 70000

/* Rows of somebody's, under a cohort that is not there any more. */
static void rows_fill(struct vault_fixture *fixture, size_t count)
{
    struct kms *keys = fixture_vault(fixture)->keys;
    static const unsigned char row[64] = {1, 1};
    size_t i;

    for (i = 0; i < count; i++) {
        unsigned char key[34] = "VG";
        const struct kms_storage_write write = {.key = kl_slice_of(key, sizeof key),
                                                .value = kl_slice_of(row, sizeof row)};

        kl_put_u64be(key + 2, fixture_tenant(fixture));
        kl_put_u64be(key + 10, 1u << 20);
        kl_put_u64be(key + 18, i);
        assert_int_equal(kms_side_apply(keys, &write, 1, false, NULL), KL_OK);
    }
}

static void test_any_number_of_rows_that_do_not_count_goes_at_open(void **state)
{
    struct vault_fixture *fixture = *state;

    statistics_come_and_go(fixture, STATISTICS_BELGIAN, 3);
    rows_fill(fixture, MANY);
    assert_int_equal(statistics_rows(fixture, "VG"), MANY + 3);
    fixture_reopen(fixture);
    assert_int_equal(statistics_rows(fixture, "VG"), 3);
    assert_int_equal(statistics_publish_in(fixture, 30), KL_OK);
    assert_int_equal(statistics_clients(fixture), 3);
}

static void test_a_range_of_any_size_is_forgotten_and_nothing_beside_it(void **state)
{
    static const size_t counts[] = {0, 1, 1023, 1024, 1025, 3000};
    struct vault_fixture *fixture = *state;
    unsigned char prefix[18] = "VG";
    size_t i;

    statistics_come_and_go(fixture, STATISTICS_BELGIAN, 3);
    kl_put_u64be(prefix + 2, fixture_tenant(fixture));
    kl_put_u64be(prefix + 10, 1u << 20);
    for (i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        rows_fill(fixture, counts[i]);
        assert_int_equal(statistics_rows(fixture, "VG"), counts[i] + 3);
        assert_int_equal(vault_side_forget(fixture_vault(fixture),
                                           kl_slice_of(prefix, sizeof prefix), &fixture->err),
                         KL_OK);
        assert_int_equal(statistics_rows(fixture, "VG"), 3);
    }
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, statistics_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_they_wait_a_month_and_are_published_together),
        TEST(test_too_few_are_dropped_and_that_is_said),
        TEST(test_who_kept_every_row_reads_none_of_them_once_it_is_published),
        TEST(test_a_credential_for_several_purposes_names_one),
        TEST(test_they_are_not_for_a_person_about_all),
        TEST(test_one_person_is_one_however_many_records_go),
        TEST(test_an_older_data_takes_nothing_from_the_counts),
        TEST(test_any_number_of_rows_that_do_not_count_goes_at_open),
        TEST(test_a_range_of_any_size_is_forgotten_and_nothing_beside_it),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
