#include "tests/support/file_fixture.h"

#include "tests/support/sweep_fixture.h"
#include "tests/support/test.h"
#include "vault/vault_internal.h"

#include <stdlib.h>
#include <string.h>

#define SIZE 200000

static enum kl_status begin(struct vault_fixture *fixture, const char *role,
                            const struct vault_upload_input *input)
{
    struct vault_caller caller = fixture_caller(fixture, role);
    struct vault_upload *upload = NULL;
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_upload_begin(fixture_vault(fixture), &caller, input, &upload, &fixture->err);
    if (status != KL_OK) {
        assert_null(upload);
    }
    vault_upload_free(upload);
    vault_caller_done(&caller);
    return status;
}

static void test_what_cannot_be_put_is_refused_before_it_comes(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    const struct vault_upload_input good = {.subject = person.id,
                                            .record = person.records[0].id,
                                            .field = "scan",
                                            .media_type = "a/b",
                                            .bytes = 1};
    struct vault_upload_input input = good;
    char name[300];

    assert_int_equal(begin(fixture, "writer", &input), KL_OK);
    input.field = "nothing";
    assert_int_equal(begin(fixture, "writer", &input), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "unknown_field");
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = 0;
    input.field = name;
    assert_int_equal(begin(fixture, "writer", &input), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "unknown_field");
    input.field = "title";
    assert_int_equal(begin(fixture, "writer", &input), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "not_a_file");
    input = good;
    input.media_type = name;
    assert_int_equal(begin(fixture, "writer", &input), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_media_type");
    input = good;
    input.bytes = (uint64_t)VAULT_FILE_MAX_BYTES_LIMIT + 1;
    assert_int_equal(begin(fixture, "writer", &input), KL_ERR_TOO_LARGE);
    assert_string_equal(fixture->err.code, "file_too_large");
    input = good;
    input.if_version = 2;
    assert_int_equal(begin(fixture, "writer", &input), KL_ERR_PRECONDITION);
    assert_string_equal(fixture->err.code, "version_mismatch");
    input = good;
    input.record = kl_id_new();
    assert_int_equal(begin(fixture, "writer", &input), KL_ERR_NOT_FOUND);
    input = good;
    input.subject = kl_id_new();
    assert_int_equal(begin(fixture, "writer", &input), KL_ERR_NOT_FOUND);
    input = good;
    assert_int_equal(begin(fixture, "reader", &input), KL_ERR_NOT_FOUND);
    assert_string_equal(fixture->err.code, "not_found");
    assert_int_equal(begin(fixture, "title_writer", &input), KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "withheld");
    assert_int_equal(file_count(fixture), 0);
    assert_true(fixture_trail(fixture, "\"file_begin\"") >= 3);
}

static void test_a_file_is_a_value_of_its_record(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    struct vault_subject_result seen = {0};
    unsigned char *bytes = file_bytes(1, SIZE);

    assert_int_equal(file_put(fixture, "writer", &person, "scan", bytes, SIZE), KL_OK);
    assert_int_equal(fixture_read(fixture, "reader", &person.id, "service", &seen), KL_OK);
    assert_int_equal(seen.records[0].version, 2);
    assert_non_null(strstr((const char *)fixture_find(&seen, "scan")->value.bytes,
                           "{\"size\":200000,\"media_type\":\"application/pdf\",\"sha256\":\""));
    assert_int_equal(fixture_read(fixture, "masked", &person.id, "service", &seen), KL_OK);
    assert_int_equal(fixture_find(&seen, "scan")->view, VAULT_VIEW_PRESENT);
    assert_int_equal(fixture_trail(fixture, "\"file_put\""), 1);
    assert_int_equal(fixture_trail(fixture, "\"bytes\":200000"), 1);
    fixture_reopen(fixture);
    file_assert_is(fixture, &person, "scan", bytes, SIZE);
    free(bytes);
}

static void test_the_size_that_was_said_has_to_come(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_upload *upload = NULL;
    uint64_t version = 77;

    assert_int_equal(file_begin(fixture, &writer, &person, "scan", 10, &upload), KL_OK);
    assert_int_equal(vault_upload_write(upload, "12345678901", 11, &fixture->err), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "file_longer");
    vault_upload_free(upload);
    upload = NULL;
    assert_int_equal(file_begin(fixture, &writer, &person, "scan", 10, &upload), KL_OK);
    assert_int_equal(vault_upload_write(upload, "123456789", 9, &fixture->err), KL_OK);
    assert_int_equal(vault_upload_finish(upload, &version, NULL, &fixture->err), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "file_shorter");
    assert_int_equal(version, 77);
    assert_int_equal(file_count(fixture), 1); /* being written */
    vault_upload_free(upload);
    assert_int_equal(file_count(fixture), 0);
    vault_caller_done(&writer);
}

static void test_what_was_replaced_or_given_up_goes_with_a_sweep(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    struct vault_caller writer = fixture_caller(fixture, "writer");
    unsigned char *bytes = file_bytes(1, SIZE);
    struct vault_upload *upload = NULL;
    struct vault_file_place first;
    struct kms_place given_up;

    assert_int_equal(file_put(fixture, "writer", &person, "scan", bytes, SIZE), KL_OK);
    first = file_last(fixture, &person);
    assert_int_equal(file_begin(fixture, &writer, &person, "scan", SIZE, &upload), KL_OK);
    assert_int_equal(vault_upload_write(upload, bytes, SIZE / 2, &fixture->err), KL_OK);
    vault_upload_free(upload);
    given_up = first.of;
    given_up.value++;
    assert_false(sweep_is_gone(fixture, &given_up));
    assert_int_equal(file_put(fixture, "writer", &person, "scan", bytes, 5), KL_OK);
    assert_int_equal(file_count(fixture), 2);
    (void)sweep_run(fixture);
    assert_true(sweep_is_gone(fixture, &first.of));
    assert_true(sweep_is_gone(fixture, &given_up));
    assert_int_equal(vault_files_tidy(fixture_vault(fixture), &fixture->err), KL_OK);
    assert_int_equal(file_count(fixture), 1);
    assert_int_equal(sweep_rows(fixture, 'O'), 0);
    file_assert_is(fixture, &person, "scan", bytes, 5);
    vault_caller_done(&writer);
    free(bytes);
}

static void test_a_sweep_passes_by_what_is_being_written(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    struct vault_caller writer = fixture_caller(fixture, "writer");
    unsigned char *bytes = file_bytes(1, SIZE);
    struct vault_upload *upload = NULL;
    uint64_t version = 0;

    assert_int_equal(file_begin(fixture, &writer, &person, "scan", SIZE, &upload), KL_OK);
    assert_int_equal(vault_upload_write(upload, bytes, SIZE / 2, &fixture->err), KL_OK);
    (void)sweep_run(fixture);
    assert_int_equal(vault_files_tidy(fixture_vault(fixture), &fixture->err), KL_OK);
    assert_int_equal(vault_upload_write(upload, bytes + SIZE / 2, SIZE / 2, &fixture->err), KL_OK);
    assert_int_equal(vault_upload_finish(upload, &version, NULL, &fixture->err), KL_OK);
    vault_upload_free(upload);
    assert_int_equal(sweep_rows(fixture, 'O'), 0);
    file_assert_is(fixture, &person, "scan", bytes, SIZE);
    vault_caller_done(&writer);
    free(bytes);
}

static void test_an_erasure_takes_what_is_being_written(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    struct vault_subject_result other = file_person(fixture);
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    unsigned char *bytes = file_bytes(1, SIZE);
    struct vault_upload *upload = NULL;
    struct kl_buf receipt;
    uint64_t version = 77;

    kl_buf_init(&receipt, 65536);
    assert_int_equal(file_begin(fixture, &writer, &person, "scan", SIZE, &upload), KL_OK);
    assert_int_equal(vault_upload_write(upload, bytes, SIZE / 2, &fixture->err), KL_OK);
    assert_int_equal(vault_record_erase(fixture_vault(fixture), &dpo, &person.id,
                                        &person.records[0].id, VAULT_ERASE_OTHER, &receipt,
                                        &fixture->err),
                     KL_OK);
    assert_int_equal(vault_upload_write(upload, bytes, SIZE / 2, &fixture->err), KL_ERR_BUSY);
    assert_string_equal(fixture->err.code, "upload_cut");
    vault_upload_free(upload);
    upload = NULL;

    kl_err_clear(&fixture->err);
    assert_int_equal(file_begin(fixture, &writer, &other, "scan", 5, &upload), KL_OK);
    assert_int_equal(vault_upload_write(upload, bytes, 5, &fixture->err), KL_OK);
    fixture_erase(fixture, &other.id);
    assert_int_not_equal(vault_upload_finish(upload, &version, NULL, &fixture->err), KL_OK);
    assert_int_equal(version, 77);
    vault_upload_free(upload);
    assert_int_equal(vault_files_tidy(fixture_vault(fixture), &fixture->err), KL_OK);
    assert_int_equal(file_count(fixture), 0);
    kl_buf_done(&receipt);
    vault_caller_done(&writer);
    vault_caller_done(&dpo);
    free(bytes);
}

static void test_the_last_to_finish_wins_unless_it_asked_for_a_version(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_upload_input input = {.subject = person.id,
                                       .record = person.records[0].id,
                                       .field = "scan",
                                       .media_type = "a/b",
                                       .if_version = 1,
                                       .bytes = 3};
    struct vault_upload *upload = NULL;
    uint64_t version = 0;

    assert_int_equal(
        vault_upload_begin(fixture_vault(fixture), &writer, &input, &upload, &fixture->err), KL_OK);
    assert_int_equal(vault_upload_write(upload, "one", 3, &fixture->err), KL_OK);
    assert_int_equal(file_put(fixture, "writer", &person, "scan", "two", 3), KL_OK);
    assert_int_equal(vault_upload_finish(upload, &version, NULL, &fixture->err),
                     KL_ERR_PRECONDITION);
    assert_string_equal(fixture->err.code, "version_mismatch");
    vault_upload_free(upload);
    file_assert_is(fixture, &person, "scan", "two", 3);
    vault_caller_done(&writer);
}

static void test_null_removes_it_and_a_value_is_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_field_input field = fixture_field("scan", "text");
    uint64_t version = 0;

    assert_int_equal(file_put(fixture, "writer", &person, "scan", "one", 3), KL_OK);
    kl_err_clear(&fixture->err);
    assert_int_equal(vault_record_patch(fixture_vault(fixture), &writer, &person.id,
                                        &person.records[0].id, 0, &field, 1, &version,
                                        &fixture->err),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "value_is_a_file");
    kl_err_clear(&fixture->err);
    field = fixture_removal("scan");
    assert_int_equal(vault_record_patch(fixture_vault(fixture), &writer, &person.id,
                                        &person.records[0].id, 0, &field, 1, &version,
                                        &fixture->err),
                     KL_OK);
    assert_int_equal(file_get(fixture, "reader", &person, "scan", &(struct kl_buf){.max = 10}),
                     KL_ERR_NOT_FOUND);
    vault_caller_done(&writer);
}

/* A record takes so many uploads that come to nothing as it can be changed: its past is shredded, and it goes on. */
static void test_a_record_full_of_what_was_given_up_goes_on(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_upload *upload = NULL;
    unsigned i;

    for (i = 0; i < 300; i++) {
        assert_int_equal(file_begin(fixture, &writer, &person, "scan", 3, &upload), KL_OK);
        vault_upload_free(upload);
        upload = NULL;
    }
    assert_int_equal(file_put(fixture, "writer", &person, "scan", "one", 3), KL_OK);
    file_assert_is(fixture, &person, "scan", "one", 3);
    assert_int_equal(file_count(fixture), 1);
    vault_caller_done(&writer);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, file_fixture_setup, vault_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_cannot_be_put_is_refused_before_it_comes),
        TEST(test_a_file_is_a_value_of_its_record),
        TEST(test_the_size_that_was_said_has_to_come),
        TEST(test_what_was_replaced_or_given_up_goes_with_a_sweep),
        TEST(test_a_sweep_passes_by_what_is_being_written),
        TEST(test_an_erasure_takes_what_is_being_written),
        TEST(test_the_last_to_finish_wins_unless_it_asked_for_a_version),
        TEST(test_null_removes_it_and_a_value_is_refused),
        TEST(test_a_record_full_of_what_was_given_up_goes_on),
    };
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
