/* Backup directories that lead elsewhere, that others may write to, that hold keys. */
#include "tests/support/backup_fixture.h"

#include "tests/support/test.h"
#include "vault/backup.h"
#include "vault/vault_internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void id_text(const struct kl_id *id, char ret[KL_ID_TEXT_BYTES])
{
    kl_id_format(VAULT_BACKUP_PREFIX, id, ret);
}

static void assert_refused(struct vault_fixture *fixture, const char *directory,
                           const char *country, enum kl_status status, const char *code,
                           const char *where)
{
    const struct vault_backup_input input = {.directory = directory, .country = country};

    assert_int_equal(backup_ask(fixture, &input, NULL), status);
    assert_string_equal(fixture->err.code, code);
    assert_string_equal(fixture->err.where, where);
}

/* The directory as a job holds it, for the calls below; the test program's end closes it. */
static int opened(const char *dir)
{
    int fd = -1;

    assert_int_equal(vault_backup_dir_open(dir, true, &fd, NULL), KL_OK);
    return fd;
}

/* What somebody who can write to the directory puts there: data/ in place of what a backup removes files from. */
static void test_links_in_the_directory_cost_the_vault_nothing(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    char dir[ADMIN_PATH_BYTES];
    char data[ADMIN_PATH_BYTES];
    char path[ADMIN_PATH_BYTES + 64];
    char name[KL_ID_TEXT_BYTES];
    const struct vault_backup_input input = {.directory = dir, .country = "IE", .keep = 1};
    struct kl_json *job = NULL;
    struct kl_id id;

    backup_path(fixture, "", dir);
    fixture_path(fixture, "data/data", data);
    (void)backup_make(fixture, NULL, 0);
    (void)snprintf(path, sizeof path, "%s/shared", dir);
    admin_remove(path);
    assert_int_equal(symlink(data, path), 0);
    assert_int_equal(backup_ask(fixture, &input, &id), KL_OK);
    job = backup_job(fixture, &id, false);
    backup_assert_text(job, "state", "failed");
    backup_assert_text(job, "failed_code", "backup_directory_unsafe");
    kl_json_free(job);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(backup_ask(fixture, &input, &id), KL_OK);
    id_text(&id, name);
    (void)snprintf(path, sizeof path, "%s/%s.part", dir, name);
    assert_int_equal(symlink(data, path), 0);
    job = backup_job(fixture, &id, false);
    backup_assert_text(job, "state", "failed");
    backup_assert_text(job, "failed_code", "backup_directory_unsafe");
    kl_json_free(job);
    fixture_reopen(fixture);
    restore_assert_there(fixture, &made, "ana@example.org");
}

static void test_a_directory_of_others_or_open_to_them_is_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    char dir[ADMIN_PATH_BYTES];
    struct kl_json *job = NULL;
    struct kl_id id = backup_make(fixture, NULL, 0);

    backup_path(fixture, "", dir);
    assert_int_equal(chmod(dir, 0770), 0);
    assert_refused(fixture, dir, "IE", KL_ERR_CONFLICT, "backup_directory_unsafe", "/directory");
    job = backup_verify(fixture, &id);
    backup_assert_text(job, "failed_code", "backup_directory_unsafe");
    kl_json_free(job);
    assert_int_equal(chmod(dir, 0700), 0);
    (void)backup_make(fixture, NULL, 0);
}

/* Between asking and making: the path leads elsewhere by then. */
static void test_a_directory_is_apart_from_keys_by_whatever_name(void **state)
{
    struct vault_fixture *fixture = *state;
    char dir[ADMIN_PATH_BYTES];
    char place[ADMIN_PATH_BYTES];
    char aside[ADMIN_PATH_BYTES];
    char mirror[ADMIN_PATH_BYTES];
    const struct vault_backup_input input = {.directory = dir, .country = "IE"};
    struct vault_mirror_result added;
    struct vault_caller caller = admin_operator(fixture->admin);
    struct kl_json *job = NULL;
    struct kl_id id;
    int fd = -1;

    fixture_path(fixture, "mirror", mirror);
    assert_int_equal(
        vault_mirror_add(fixture_vault(fixture), &caller, mirror, "IE", &added, &fixture->err),
        KL_OK);
    assert_refused(fixture, mirror, "IE", KL_ERR_INVALID, "invalid_directory", "/directory");
    (void)snprintf(place, sizeof place, "%s", fixture->admin->folder);
    fd = opened(place);
    assert_int_equal(vault_backup_directory_apart(fixture_vault(fixture), fd, &fixture->err),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_directory");
    kl_err_clear(&fixture->err);
    vault_backup_dir_close(fd);
    backup_path(fixture, "", dir);
    fixture_path(fixture, "aside", aside);
    fixture_path(fixture, "data/data", place);
    assert_int_equal(backup_ask(fixture, &input, &id), KL_OK);
    assert_int_equal(rename(dir, aside), 0);
    assert_int_equal(symlink(place, dir), 0);
    job = backup_job(fixture, &id, false);
    backup_assert_text(job, "failed_code", "invalid_directory");
    kl_json_free(job);
    assert_int_equal(unlink(dir), 0);
    assert_int_equal(rename(aside, dir), 0);
    (void)backup_make(fixture, NULL, 0);
    vault_caller_done(&caller);
}

#define WITH(test) \
    cmocka_unit_test_setup_teardown(test, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_links_in_the_directory_cost_the_vault_nothing),
        WITH(test_a_directory_of_others_or_open_to_them_is_refused),
        WITH(test_a_directory_is_apart_from_keys_by_whatever_name),
    };
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
