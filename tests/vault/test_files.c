#include "tests/support/file_fixture.h"

#include "tests/support/test.h"
#include "vault/upkeep.h"
#include "vault/vault_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct vault_files *files_of(struct vault_fixture *fixture)
{
    return fixture_vault(fixture)->files;
}

/* A file of no value, finished or not. */
static struct vault_file_place stray_make(struct vault_fixture *fixture, uint64_t slot,
                                          bool finished)
{
    struct vault_file_place place = {.of = {fixture_tenant(fixture), slot, 3}, .id = slot + 77};
    unsigned char bytes[KMS_SEAL_OVERHEAD_BYTES] = {1};
    int fd = -1;

    assert_int_equal(vault_files_create(files_of(fixture), &place, &fd, &fixture->err), KL_OK);
    assert_int_equal(write(fd, bytes, sizeof bytes), sizeof bytes);
    if (finished) {
        assert_int_equal(vault_files_keep(files_of(fixture), &place, fd, &fixture->err), KL_OK);
    } else {
        (void)close(fd);
    }
    return place;
}

static void test_a_file_is_there_under_its_name_when_it_is_kept(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_file_place place = stray_make(fixture, 5000, true);
    struct vault_file_place missing = place;
    char path[ADMIN_PATH_BYTES];
    int fd = -1;
    int untouched = -7;

    file_path_of(fixture, &place, path);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(vault_files_open(files_of(fixture), &place, &fd, &fixture->err), KL_OK);
    (void)close(fd);
    missing.id++;
    assert_int_equal(vault_files_open(files_of(fixture), &missing, &untouched, &fixture->err),
                     KL_ERR_NOT_FOUND);
    assert_string_equal(fixture->err.code, "file_gone");
    kl_err_clear(&fixture->err);
    place.bytes = 1; /* another size than it has */
    assert_int_equal(vault_files_open(files_of(fixture), &place, &untouched, &fixture->err),
                     KL_ERR_CORRUPT);
    assert_string_equal(fixture->err.code, "file_damaged");
    assert_int_equal(untouched, -7);
    vault_files_drop(files_of(fixture), &place);
    assert_int_equal(file_count(fixture), 0);
}

static void test_a_file_is_never_begun_twice(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_file_place place = stray_make(fixture, 5000, false);
    int fd = -7;

    assert_int_equal(vault_files_create(files_of(fixture), &place, &fd, &fixture->err), KL_ERR_IO);
    assert_string_equal(fixture->err.code, "file_io");
    assert_int_equal(fd, -7);
}

static void test_what_would_fill_the_disk_is_refused(void **state)
{
    struct vault_fixture *fixture = *state;

    assert_int_equal(vault_files_room(files_of(fixture), 1, &fixture->err), KL_OK);
    assert_int_equal(vault_files_room(files_of(fixture), UINT64_C(1) << 60, &fixture->err),
                     KL_ERR_UNAVAILABLE);
    assert_string_equal(fixture->err.code, "vault_disk_full");
}

static void test_only_so_many_are_written_at_once(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kms_place of = {1, 2, 0};
    uint64_t i;

    for (i = 0; i < VAULT_UPLOADS_MAX; i++) {
        of.value = i;
        assert_int_equal(vault_files_uploading_begin(files_of(fixture), &of, &fixture->err), KL_OK);
    }
    of.value = VAULT_UPLOADS_MAX;
    assert_int_equal(vault_files_uploading_begin(files_of(fixture), &of, &fixture->err),
                     KL_ERR_BUSY);
    assert_string_equal(fixture->err.code, "uploads_under_way");
    assert_false(vault_files_uploading(files_of(fixture), &of));
    of.value = 5;
    assert_true(vault_files_uploading(files_of(fixture), &of));
    vault_files_uploading_end(files_of(fixture), &of);
    assert_false(vault_files_uploading(files_of(fixture), &of));
    for (i = 0; i < VAULT_UPLOADS_MAX; i++) {
        of.value = i;
        vault_files_uploading_end(files_of(fixture), &of);
    }
}

static void test_what_no_row_names_is_removed_and_the_rest_stays(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    unsigned char *bytes = file_bytes(1, 1000);
    struct vault_file_place writing = stray_make(fixture, 5001, false);
    struct vault_file_place place;
    char path[2 * ADMIN_PATH_BYTES];
    int fd = -1;

    assert_int_equal(file_put(fixture, "writer", &person, "scan", bytes, 1000), KL_OK);
    place = file_last(fixture, &person);
    place.id++; /* another file of the same value */
    assert_int_equal(vault_files_create(files_of(fixture), &place, &fd, &fixture->err), KL_OK);
    assert_int_equal(vault_files_keep(files_of(fixture), &place, fd, &fixture->err), KL_OK);
    (void)stray_make(fixture, 5002, true);
    (void)stray_make(fixture, 5003, false);
    (void)snprintf(path, sizeof path, "%s/files/8b/README", fixture->admin->data); /* 5003 % 256 */
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(vault_files_uploading_begin(files_of(fixture), &writing.of, &fixture->err),
                     KL_OK);
    assert_int_equal(file_count(fixture), 6);
    assert_int_equal(vault_files_tidy(fixture_vault(fixture), &fixture->err), KL_OK);
    assert_int_equal(file_count(fixture),
                     3); /* the value's, the one being written, somebody's README */
    file_assert_is(fixture, &person, "scan", bytes, 1000);
    vault_files_uploading_end(files_of(fixture), &writing.of);
    assert_int_equal(vault_files_tidy(fixture_vault(fixture), &fixture->err), KL_OK);
    assert_int_equal(file_count(fixture), 2);
    free(bytes);
}

static void test_upkeep_looks_where_something_changed_and_everywhere_after_an_opening(void **state)
{
    struct vault_fixture *fixture = *state;
    unsigned i;

    (void)stray_make(fixture, 5000, true);
    fixture_reopen(fixture);
    for (i = 0; i < 16; i++) { /* folders a turn: a few */
        assert_int_equal(vault_files_task.run(fixture_vault(fixture), 0, &fixture->err), KL_OK);
    }
    assert_int_equal(file_count(fixture), 0);
    (void)stray_make(fixture, 5000, true);
    (void)stray_make(fixture, 5001, true);
    vault_files_changed(files_of(fixture), 5001);
    assert_int_equal(vault_files_task.run(fixture_vault(fixture), 0, &fixture->err), KL_OK);
    assert_int_equal(file_count(fixture), 1);
}

static void test_erasures_free_the_space(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result one = file_person(fixture);
    struct vault_subject_result other = file_person(fixture);
    unsigned char *bytes = file_bytes(1, 70000);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct kl_buf receipt;

    assert_int_equal(file_put(fixture, "writer", &one, "scan", bytes, 70000), KL_OK);
    assert_int_equal(file_put(fixture, "writer", &other, "scan", bytes, 70000), KL_OK);
    assert_int_equal(vault_files_tidy(fixture_vault(fixture), &fixture->err), KL_OK);
    assert_int_equal(file_count(fixture), 2);
    fixture_erase(fixture, &one.id);
    assert_int_equal(vault_files_task.run(fixture_vault(fixture), 0, &fixture->err), KL_OK);
    assert_int_equal(file_count(fixture), 1);
    file_assert_is(fixture, &other, "scan", bytes, 70000);
    kl_buf_init(&receipt, 65536);
    assert_int_equal(vault_record_erase(fixture_vault(fixture), &dpo, &other.id,
                                        &other.records[0].id, VAULT_ERASE_OTHER, &receipt,
                                        &fixture->err),
                     KL_OK);
    assert_int_equal(vault_files_task.run(fixture_vault(fixture), 0, &fixture->err), KL_OK);
    assert_int_equal(file_count(fixture), 0);
    kl_buf_done(&receipt);
    vault_caller_done(&dpo);
    free(bytes);
}

static void test_files_go_flat_into_a_copy_and_come_back_from_it(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    unsigned char *bytes = file_bytes(1, 1000);
    char to[ADMIN_PATH_BYTES];
    char name[VAULT_FILE_NAME_BYTES];
    char path[2 * ADMIN_PATH_BYTES];
    char flat[2 * ADMIN_PATH_BYTES];
    struct vault_file_place place;
    int fd = -1;

    assert_int_equal(file_put(fixture, "writer", &person, "scan", bytes, 1000), KL_OK);
    (void)stray_make(fixture, 5003, false);
    place = file_last(fixture, &person);
    fixture_path(fixture, "flat", to);
    assert_int_equal(mkdir(to, 0700), 0);
    assert_int_equal(vault_files_link(files_of(fixture), to, &fixture->err), KL_OK);
    vault_file_name(&place, name);
    (void)snprintf(flat, sizeof flat, "%s/%s", to, name);
    assert_int_equal(access(flat, F_OK), 0);
    assert_int_equal(vault_files_open_in(to, &place, &fd, &fixture->err), KL_OK);
    (void)close(fd);
    admin_close(fixture->admin);
    file_path_of(fixture, &place, path);
    assert_int_equal(unlink(path), 0);
    (void)snprintf(path, sizeof path, "%s/data/%s", fixture->admin->data, name);
    assert_int_equal(rename(flat, path), 0);
    admin_reopen(fixture->admin);
    assert_int_not_equal(access(path, F_OK), 0);
    file_assert_is(fixture, &person, "scan", bytes, 1000);
    free(bytes);
}

static void test_links_and_folders_that_cannot_be_made_are_errors(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_files *untouched = NULL;

    assert_int_equal(vault_files_link(files_of(fixture), "/nowhere/at/all", &fixture->err),
                     KL_ERR_IO);
    kl_err_clear(&fixture->err);
    assert_int_equal(vault_files_new("/nowhere/at/all", &untouched, &fixture->err), KL_ERR_IO);
    assert_string_equal(fixture->err.code, "file_io");
    assert_null(untouched);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, file_fixture_setup, vault_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_file_is_there_under_its_name_when_it_is_kept),
        TEST(test_a_file_is_never_begun_twice),
        TEST(test_what_would_fill_the_disk_is_refused),
        TEST(test_only_so_many_are_written_at_once),
        TEST(test_what_no_row_names_is_removed_and_the_rest_stays),
        TEST(test_upkeep_looks_where_something_changed_and_everywhere_after_an_opening),
        TEST(test_erasures_free_the_space),
        TEST(test_files_go_flat_into_a_copy_and_come_back_from_it),
        TEST(test_links_and_folders_that_cannot_be_made_are_errors),
    };
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
