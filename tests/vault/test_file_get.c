#include "tests/support/file_fixture.h"

#include "kluis/vault/disclosure.h"
#include "tests/support/test.h"
#include "tests/support/values_fixture.h"
#include "vault/rows.h"
#include "vault/vault_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE 200000

static enum kl_status try_get(struct vault_fixture *fixture, const char *role,
                              const struct vault_subject_result *person, const char *field)
{
    struct kl_buf got;
    enum kl_status status = KL_OK;

    kl_buf_init(&got, 1024 * 1024);
    status = file_get(fixture, role, person, field, &got);
    if (status != KL_OK) {
        assert_int_equal(got.size, 0);
    }
    kl_buf_done(&got);
    return status;
}

static enum kl_status open_as(struct vault_fixture *fixture, struct vault_caller *caller,
                              const struct vault_subject_result *person, const char *purpose,
                              struct vault_download **ret, struct vault_file_info *info)
{
    struct vault_read_input input = {
        .subject = person->id, .record = &person->records[0].id, .purpose = purpose};

    kl_err_clear(&fixture->err);
    return vault_download_open(fixture_vault(fixture), caller, &input, "scan", fixture->arena, ret,
                               info, &fixture->err);
}

static void test_the_decision_of_every_read_holds_for_bytes_too(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    struct vault_caller reader = fixture_caller(fixture, "reader");
    struct vault_download *untouched = NULL;
    struct vault_file_info info = {.bytes = 77};

    assert_int_equal(file_put(fixture, "writer", &person, "scan", "bytes", 5), KL_OK);
    assert_int_equal(try_get(fixture, "reader", &person, "scan"), KL_OK);
    assert_int_equal(fixture_trail(fixture, "\"file_read\""), 1);
    assert_int_equal(try_get(fixture, "clerk", &person, "scan"), KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "withheld");
    assert_non_null(strstr(fixture->err.client_text, "role"));
    assert_int_equal(try_get(fixture, "masked", &person, "scan"), KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "withheld");
    assert_int_equal(try_get(fixture, "writer", &person, "scan"), KL_ERR_NOT_FOUND);
    assert_int_equal(try_get(fixture, "reader", &person, "photo"), KL_ERR_NOT_FOUND);
    assert_string_equal(fixture->err.code, "not_found");
    assert_int_equal(try_get(fixture, "reader", &person, "nothing"), KL_ERR_NOT_FOUND);
    assert_int_equal(try_get(fixture, "reader", &person, "title"), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "not_a_file");
    assert_int_equal(fixture_trail(fixture, "\"file_read\""), 6); /* five were refused */
    assert_int_equal(open_as(fixture, &reader, &person, "advertising", &untouched, &info),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "unknown_purpose");
    assert_int_equal(open_as(fixture, &reader, &person, NULL, &untouched, &info), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "purpose_required");
    assert_null(untouched);
    assert_int_equal(info.bytes, 77);
    vault_caller_done(&reader);
}

static enum kl_status get_for(struct vault_fixture *fixture, const char *role,
                              const struct vault_subject_result *person, const char *recipient)
{
    struct vault_caller caller = fixture_caller(fixture, role);
    struct vault_read_input input = {.subject = person->id,
                                     .record = &person->records[0].id,
                                     .purpose = "service",
                                     .recipient = recipient};
    struct vault_download *download = NULL;
    struct vault_file_info info = {0};
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_download_open(fixture_vault(fixture), &caller, &input, "scan", fixture->arena,
                                 &download, &info, &fixture->err);
    vault_download_free(download);
    vault_caller_done(&caller);
    return status;
}

static size_t disclosures(struct vault_fixture *fixture, const struct vault_subject_result *person,
                          struct vault_disclosure_result **ret)
{
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    size_t count = 0;

    assert_int_equal(vault_disclosure_list(fixture_vault(fixture), &dpo, &person->id,
                                           fixture->arena, ret, &count, &fixture->err),
                     KL_OK);
    vault_caller_done(&dpo);
    return count;
}

static void test_bytes_for_a_recipient_are_a_disclosure(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    struct vault_disclosure_result *found = NULL;

    assert_int_equal(get_for(fixture, "reader", &person, "printer"), KL_ERR_NOT_FOUND);
    assert_int_equal(file_put(fixture, "writer", &person, "scan", "bytes", 5), KL_OK);
    assert_int_equal(get_for(fixture, "reader", &person, NULL), KL_OK);
    assert_int_equal(get_for(fixture, "masked", &person, "printer"), KL_ERR_FORBIDDEN);
    assert_int_equal(get_for(fixture, "clerk", &person, "printer"), KL_ERR_FORBIDDEN);
    assert_int_equal(get_for(fixture, "reader", &person, "nobody"), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "unknown_recipient");
    assert_int_equal(disclosures(fixture, &person, &found), 0);
    assert_int_equal(get_for(fixture, "reader", &person, "printer"), KL_OK);
    assert_int_equal(get_for(fixture, "reader", &person, "printer"), KL_OK);
    assert_int_equal(disclosures(fixture, &person, &found), 1);
    assert_string_equal(found[0].recipient, "printer");
    assert_int_equal(found[0].count, 2);
    assert_int_equal(found[0].field_count, 1);
    assert_string_equal(found[0].fields[0], "paper.scan");
}

/* A file that is damaged, so that none of it leaves, was not disclosed. */
static void test_a_file_that_does_not_open_is_not_disclosed(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    struct vault_disclosure_result *found = NULL;
    struct vault_file_place place;
    char path[ADMIN_PATH_BYTES];

    assert_int_equal(file_put(fixture, "writer", &person, "scan", "bytes", 5), KL_OK);
    place = file_last(fixture, &person);
    file_path_of(fixture, &place, path);
    assert_int_equal(truncate(path, 3), 0);
    assert_int_equal(get_for(fixture, "reader", &person, "printer"), KL_ERR_CORRUPT);
    assert_int_equal(disclosures(fixture, &person, &found), 0);
}

static void test_a_volume_counts_files(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);

    assert_int_equal(file_put(fixture, "writer", &person, "scan", "bytes", 5), KL_OK);
    assert_int_equal(try_get(fixture, "counted", &person, "scan"), KL_OK);
    assert_int_equal(try_get(fixture, "counted", &person, "scan"), KL_OK);
    assert_int_equal(try_get(fixture, "counted", &person, "scan"), KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "volume_exceeded");
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"volume_exceeded\""), 1);
    assert_int_equal(try_get(fixture, "reader", &person, "scan"), KL_OK);
}

static void test_a_range_is_those_bytes_and_no_others(void **state)
{
    static const struct {
        uint64_t first;
        uint64_t count;
    } ranges[] = {{0, 1}, {65535, 2}, {65536, 65536}, {199999, 1}, {1, 199999}, {70000, 0}};
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    struct vault_caller reader = fixture_caller(fixture, "reader");
    unsigned char *bytes = file_bytes(1, SIZE);
    struct vault_file_info info = {0};
    size_t i;

    assert_int_equal(file_put(fixture, "writer", &person, "scan", bytes, SIZE), KL_OK);
    for (i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        struct vault_download *download = NULL;
        struct kl_slice piece = {0};
        uint64_t at = 0;

        assert_int_equal(open_as(fixture, &reader, &person, "service", &download, &info), KL_OK);
        assert_int_equal(info.bytes, SIZE);
        assert_int_equal(info.version, 2);
        assert_string_equal(info.media_type, "application/pdf");
        vault_download_range(download, ranges[i].first, ranges[i].count);
        do {
            assert_int_equal(vault_download_next(download, &piece, &fixture->err), KL_OK);
            assert_memory_equal(piece.bytes, bytes + ranges[i].first + at, piece.size);
            assert_true(piece.size <= VAULT_FILE_CHUNK_BYTES);
            at += piece.size;
        } while (piece.size > 0);
        assert_int_equal(at, ranges[i].count);
        vault_download_free(download);
    }
    vault_caller_done(&reader);
    free(bytes);
}

static void test_an_erasure_cuts_who_reads(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    struct vault_caller reader = fixture_caller(fixture, "reader");
    unsigned char *bytes = file_bytes(1, SIZE);
    struct vault_download *download = NULL;
    struct vault_file_info info = {0};
    struct kl_slice piece = {0};

    assert_int_equal(file_put(fixture, "writer", &person, "scan", bytes, SIZE), KL_OK);
    assert_int_equal(open_as(fixture, &reader, &person, "service", &download, &info), KL_OK);
    assert_int_equal(vault_download_next(download, &piece, &fixture->err), KL_OK);
    fixture_erase(fixture, &person.id);
    piece.size = 77;
    assert_int_equal(vault_download_next(download, &piece, &fixture->err), KL_ERR_GONE);
    assert_string_equal(fixture->err.code, "file_gone");
    assert_int_equal(piece.size, 77);
    vault_download_free(download);
    assert_int_equal(try_get(fixture, "reader", &person, "scan"), KL_ERR_NOT_FOUND);
    vault_caller_done(&reader);
    free(bytes);
}

static void test_who_reads_a_file_that_is_replaced_reads_the_old_one_to_its_end(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    struct vault_caller reader = fixture_caller(fixture, "reader");
    unsigned char *bytes = file_bytes(1, SIZE);
    struct vault_download *download = NULL;
    struct vault_file_info info = {0};
    struct kl_slice piece = {0};
    size_t at = 0;

    assert_int_equal(file_put(fixture, "writer", &person, "scan", bytes, SIZE), KL_OK);
    assert_int_equal(open_as(fixture, &reader, &person, "service", &download, &info), KL_OK);
    assert_int_equal(file_put(fixture, "writer", &person, "scan", "another", 7), KL_OK);
    do {
        assert_int_equal(vault_download_next(download, &piece, &fixture->err), KL_OK);
        assert_memory_equal(piece.bytes, bytes + at, piece.size);
        at += piece.size;
    } while (piece.size > 0);
    assert_int_equal(at, SIZE);
    vault_download_free(download);
    vault_caller_done(&reader);
    free(bytes);
}

static void test_who_reads_while_values_are_sealed_anew_goes_on(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    struct vault_caller reader = fixture_caller(fixture, "reader");
    unsigned char *bytes = file_bytes(1, SIZE);
    struct vault_download *download = NULL;
    struct vault_file_info info = {0};
    struct kl_slice piece = {0};
    struct vault_job job;
    size_t at = 0;

    assert_int_equal(file_put(fixture, "writer", &person, "scan", bytes, SIZE), KL_OK);
    assert_int_equal(open_as(fixture, &reader, &person, "service", &download, &info), KL_OK);
    assert_int_equal(vault_download_next(download, &piece, &fixture->err), KL_OK);
    at += piece.size;
    values_rotate(fixture_vault(fixture), fixture_tenant(fixture), &job);
    assert_int_equal(vault_files_tidy(fixture_vault(fixture), &fixture->err), KL_OK);
    do {
        assert_int_equal(vault_download_next(download, &piece, &fixture->err), KL_OK);
        assert_memory_equal(piece.bytes, bytes + at, piece.size);
        at += piece.size;
    } while (piece.size > 0);
    assert_int_equal(at, SIZE);
    vault_job_done(&job);
    vault_download_free(download);
    vault_caller_done(&reader);
    free(bytes);
}

static void test_a_row_that_says_something_else_than_the_value_is_damage(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    struct vault_file_place place;
    struct vault_row_key key;
    struct vault_batch *batch = vault_batch_new();
    unsigned char row[VAULT_FILE_ROW_BYTES];

    assert_int_equal(file_put(fixture, "writer", &person, "scan", "bytes", 5), KL_OK);
    place = file_last(fixture, &person);
    place.bytes = 4;
    vault_file_row(&place, row);
    key = vault_row_file(place.of.tenant, place.of.slot, place.of.value);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(row, sizeof row));
    assert_int_equal(
        vault_store_apply(fixture_vault(fixture)->data_store, batch, true, &fixture->err), KL_OK);
    assert_int_equal(try_get(fixture, "reader", &person, "scan"), KL_ERR_CORRUPT);
    assert_string_equal(fixture->err.code, "file_damaged");
    vault_batch_free(batch);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, file_fixture_setup, vault_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_the_decision_of_every_read_holds_for_bytes_too),
        TEST(test_bytes_for_a_recipient_are_a_disclosure),
        TEST(test_a_file_that_does_not_open_is_not_disclosed),
        TEST(test_a_volume_counts_files),
        TEST(test_a_range_is_those_bytes_and_no_others),
        TEST(test_an_erasure_cuts_who_reads),
        TEST(test_who_reads_a_file_that_is_replaced_reads_the_old_one_to_its_end),
        TEST(test_who_reads_while_values_are_sealed_anew_goes_on),
        TEST(test_a_row_that_says_something_else_than_the_value_is_damage),
    };
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
