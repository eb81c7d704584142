/* One data/ in the place of another, and a crash between the steps of it. */
#include "tests/support/backup_fixture.h"

#include "kluis/base/file.h"
#include "tests/support/test.h"
#include "vault/restore.h"
#include "vault/vault_internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int setup(void **state)
{
    assert_int_equal(vault_fixture_setup(state), 0);
    restore_callers_make(*state);
    return 0;
}

/* Lay the directory out as a crash between the steps of the change of places leaves it, and open the vault. */
static void leave_between(struct vault_fixture *fixture, bool data_aside, bool restored_placed)
{
    static const char intent[] = "{\"aside\":\"data.before-test\"}\n";
    char restoring[ADMIN_PATH_BYTES];
    char data[ADMIN_PATH_BYTES];
    char aside[ADMIN_PATH_BYTES];
    char file[ADMIN_PATH_BYTES];

    fixture_path(fixture, "data/" VAULT_RESTORING_DIR, restoring);
    fixture_path(fixture, "data/data", data);
    fixture_path(fixture, "data/data.before-test", aside);
    fixture_path(fixture, "data/restore.json", file);
    admin_close(fixture->admin);
    admin_copy(data, restoring);
    assert_int_equal(kl_file_create(file, 0600, intent, sizeof intent - 1, NULL), KL_OK);
    if (data_aside) {
        assert_int_equal(rename(data, aside), 0);
    }
    if (restored_placed) {
        assert_int_equal(rename(restoring, data), 0);
    }
    admin_reopen(fixture->admin);
    assert_int_equal(access(file, F_OK), -1);
    assert_int_equal(access(restoring, F_OK), -1);
    assert_int_equal(access(aside, F_OK), 0);
    admin_remove(aside);
}

static void test_a_change_of_places_that_was_cut_short_is_done_to_its_end(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);

    leave_between(fixture, false, false);
    restore_assert_there(fixture, &made, "ana@example.org");
    leave_between(fixture, true, false);
    restore_assert_there(fixture, &made, "ana@example.org");
    leave_between(fixture, true, true);
    restore_assert_there(fixture, &made, "ana@example.org");
}

static void test_a_damaged_restore_json_is_said(void **state)
{
    static const char intent[] = "{\"aside\":\"../../etc\"}\n";
    struct vault_fixture *fixture = *state;
    struct vault *vault = NULL;
    char file[ADMIN_PATH_BYTES];
    struct kl_err err = {0};

    fixture_path(fixture, "data/restore.json", file);
    admin_close(fixture->admin);
    assert_int_equal(kl_file_create(file, 0600, intent, sizeof intent - 1, NULL), KL_OK);
    assert_int_equal(vault_open(&fixture->admin->options, &vault, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "restore_damaged");
    assert_null(vault);
    assert_int_equal(unlink(file), 0);
    admin_reopen(fixture->admin);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_a_change_of_places_that_was_cut_short_is_done_to_its_end),
        WITH(test_a_damaged_restore_json_is_said),
    };
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
