/* Files in a rotation of values: written anew under fresh keys, or left with their subject. */
#include "tests/support/file_fixture.h"

#include "tests/support/test.h"
#include "tests/support/values_fixture.h"
#include "vault/vault_internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE 200000

static void rotate(struct vault_fixture *fixture, int64_t left)
{
    struct vault_job job;

    values_rotate(fixture_vault(fixture), fixture_tenant(fixture), &job);
    assert_int_equal(values_result(&job, "left"), left);
    vault_job_done(&job);
    assert_int_equal(vault_files_tidy(fixture_vault(fixture), &fixture->err), KL_OK);
}

static void test_a_file_is_written_anew_and_the_old_bytes_do_not_open(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    unsigned char *bytes = file_bytes(1, SIZE);
    size_t size = (size_t)vault_file_sealed_bytes(SIZE);
    unsigned char *old = malloc(size);
    struct vault_file_place before;
    struct vault_file_place after;
    struct kl_buf got;
    char path[ADMIN_PATH_BYTES];
    int fd = -1;

    assert_non_null(old);
    assert_int_equal(file_put(fixture, "writer", &person, "scan", bytes, SIZE), KL_OK);
    before = file_last(fixture, &person);
    file_path_of(fixture, &before, path);
    fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, old, size), size);
    (void)close(fd);
    rotate(fixture, 0);
    after = file_last(fixture, &person);
    assert_true(after.id != before.id);
    assert_int_equal(after.of.value, before.of.value);
    assert_int_equal(after.bytes, SIZE);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(file_count(fixture), 1);
    file_assert_is(fixture, &person, "scan", bytes, SIZE);
    file_path_of(fixture, &after, path);
    fd = open(path, O_WRONLY);
    assert_int_equal(write(fd, old, size), size); /* who kept the old one puts it back */
    (void)close(fd);
    kl_buf_init(&got, SIZE);
    assert_int_equal(file_get(fixture, "reader", &person, "scan", &got), KL_ERR_CORRUPT);
    assert_int_equal(got.size, 0);
    kl_buf_done(&got);
    free(old);
    free(bytes);
}

static void test_a_damaged_file_leaves_its_subject_as_it_is_and_no_other(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result one = file_person(fixture);
    struct vault_subject_result other = file_person(fixture);
    unsigned char *bytes = file_bytes(1, SIZE);
    struct vault_file_place place;
    struct vault_file_place kept;
    char path[ADMIN_PATH_BYTES];
    int fd = -1;

    assert_int_equal(file_put(fixture, "writer", &one, "scan", bytes, SIZE), KL_OK);
    assert_int_equal(file_put(fixture, "writer", &one, "photo", bytes, 100), KL_OK);
    assert_int_equal(file_put(fixture, "writer", &other, "scan", bytes, SIZE), KL_OK);
    kept = file_last(fixture, &one);
    place = file_place(fixture, &one, kept.of.value - 1);
    file_path_of(fixture, &place, path);
    fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "x", 1, 150000), 1);
    (void)close(fd);
    rotate(fixture, 1);
    file_assert_is(fixture, &one, "photo", bytes, 100);
    file_assert_is(fixture, &other, "scan", bytes, SIZE);
    assert_true(file_last(fixture, &one).id == kept.id);
    assert_int_equal(unlink(path), 0);
    rotate(fixture, 1);
    file_assert_is(fixture, &one, "photo", bytes, 100);
    free(bytes);
}

static void test_an_upload_under_way_is_cut(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result person = file_person(fixture);
    struct vault_caller writer = fixture_caller(fixture, "writer");
    unsigned char *bytes = file_bytes(1, SIZE);
    struct vault_upload *upload = NULL;
    uint64_t version = 0;

    assert_int_equal(file_begin(fixture, &writer, &person, "scan", SIZE, &upload), KL_OK);
    assert_int_equal(vault_upload_write(upload, bytes, SIZE / 2, &fixture->err), KL_OK);
    rotate(fixture, 0);
    assert_int_equal(vault_upload_write(upload, bytes + SIZE / 2, SIZE / 2, &fixture->err), KL_OK);
    assert_int_equal(vault_upload_finish(upload, &version, NULL, &fixture->err), KL_ERR_BUSY);
    assert_string_equal(fixture->err.code, "upload_cut");
    vault_upload_free(upload);
    assert_int_equal(file_put(fixture, "writer", &person, "scan", bytes, SIZE), KL_OK);
    file_assert_is(fixture, &person, "scan", bytes, SIZE);
    assert_int_equal(vault_files_tidy(fixture_vault(fixture), &fixture->err), KL_OK);
    assert_int_equal(file_count(fixture), 1);
    vault_caller_done(&writer);
    free(bytes);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, file_fixture_setup, vault_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_file_is_written_anew_and_the_old_bytes_do_not_open),
        TEST(test_a_damaged_file_leaves_its_subject_as_it_is_and_no_other),
        TEST(test_an_upload_under_way_is_cut),
    };
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
