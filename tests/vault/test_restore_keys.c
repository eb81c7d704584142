/* The keys of a restore: too old ones, and those of a mirror. */
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

static void test_keys_older_than_the_backup_are_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    char data[ADMIN_PATH_BYTES];
    char copy[ADMIN_PATH_BYTES];
    char root[ADMIN_PATH_BYTES];
    struct kl_buf root_file = {0};
    struct kl_buf root_after = {0};
    struct vault_restore_result result;
    struct kl_err err = {0};

    fixture_path(fixture, "data/keys", data);
    fixture_path(fixture, "copy", copy);
    (void)snprintf(root, sizeof root, "%s", fixture->admin->root_file);
    admin_close(fixture->admin);
    admin_copy(data, copy);
    assert_int_equal(kl_file_read(root, 1 << 20, &root_file, NULL), KL_OK);
    admin_reopen(fixture->admin);
    fixture_erase(fixture, &made.id);
    (void)backup_make(fixture, NULL, 0);
    /* keys and root file from before the erasure: only a thief or a mistake has them */
    admin_close(fixture->admin);
    admin_remove(data);
    admin_copy(copy, data);
    assert_int_equal(kl_file_read(root, 1 << 20, &root_after, NULL), KL_OK);
    assert_int_equal(kl_file_replace(root, 0600, root_file.bytes, root_file.size, NULL), KL_OK);
    {
        char from[ADMIN_PATH_BYTES];
        const struct vault_restore_options options = {.vault = &fixture->admin->options,
                                                      .from = from};

        backup_path(fixture, "", from);
        assert_int_equal(vault_restore(&options, &result, &err), KL_ERR_REFUSED);
        assert_string_equal(err.code, "keys_older_than_backup");
    }
    kl_buf_done(&root_file);
    kl_buf_done(&root_after);
}

static void test_a_backup_and_a_mirror_make_the_vault_again(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result kept = fixture_newsletter(fixture, "kept@example.org", true);
    struct vault_subject_result erased = fixture_newsletter(fixture, "erased@example.org", true);
    struct vault_subject_result after;
    struct vault_options options = fixture->admin->options;
    char from[ADMIN_PATH_BYTES];
    char mirror[ADMIN_PATH_BYTES];
    char path[ADMIN_PATH_BYTES + 16];
    char keys[ADMIN_PATH_BYTES];
    char data[ADMIN_PATH_BYTES];
    char custodian[ADMIN_PATH_BYTES + 16];
    struct vault_restore_options restoring = {.vault = &options, .from = from, .keys_from = mirror};
    struct vault_restore_result result;
    struct kl_buf root = {0};
    struct kl_err err = {0};

    (void)backup_make(fixture, NULL, 0);
    fixture_erase(fixture, &erased.id);
    admin_close(fixture->admin);
    /* what a mirror holds: the rows, and the root file */
    fixture_path(fixture, "mirror", mirror);
    assert_int_equal(mkdir(mirror, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/keys", mirror);
    fixture_path(fixture, "data/keys", keys);
    admin_copy(keys, path);
    assert_int_equal(kl_file_read(fixture->admin->root_file, 1 << 20, &root, NULL), KL_OK);
    (void)snprintf(path, sizeof path, "%s/root", mirror);
    assert_int_equal(kl_file_create(path, 0600, root.bytes, root.size, NULL), KL_OK);
    kl_buf_done(&root);

    backup_path(fixture, "", from);
    fixture_path(fixture, "new", data);
    (void)snprintf(custodian, sizeof custodian, "file:%s/new.root", fixture->admin->folder);
    /* into a vault that is there: refused */
    assert_int_equal(vault_restore(&restoring, &result, &err), KL_ERR_EXISTS);
    assert_string_equal(err.code, "data_dir_not_empty");
    kl_err_clear(&err);
    options.data_dir = data;
    /* with a root file that is another's: refused */
    (void)snprintf(path, sizeof path, "%s/new.root", fixture->admin->folder);
    assert_int_equal(kl_file_create(path, 0600, "x", 1, NULL), KL_OK);
    options.custodian = custodian;
    assert_int_equal(vault_restore(&restoring, &result, &err), KL_ERR_EXISTS);
    assert_string_equal(err.code, "root_file_exists");
    kl_err_clear(&err);
    assert_int_equal(unlink(path), 0);
    if (vault_restore(&restoring, &result, &err) != KL_OK) {
        fail_msg("not restored: %s %s (%s)", err.code, err.client_text, err.log_text);
    }
    assert_int_equal(result.subjects, 1);
    assert_int_equal(result.subjects_erased, 1);
    assert_string_equal(result.aside, "");
    fixture->admin->options = options;
    admin_reopen(fixture->admin);
    assert_string_equal(vault_store_country(fixture_vault(fixture)).code, "IE");
    restore_assert_there(fixture, &kept, "kept@example.org");
    restore_assert_gone(fixture, &erased, "erased@example.org");
    after = fixture_newsletter(fixture, "after@example.org", true);
    restore_assert_there(fixture, &after, "after@example.org");
    fixture_erase(fixture, &after.id);
    admin_close(fixture->admin);
}

static void test_a_directory_without_keys_is_no_mirror(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_options options = fixture->admin->options;
    char from[ADMIN_PATH_BYTES];
    char mirror[ADMIN_PATH_BYTES];
    char data[ADMIN_PATH_BYTES];
    char custodian[ADMIN_PATH_BYTES + 16];
    const struct vault_restore_options restoring = {
        .vault = &options, .from = from, .keys_from = mirror};
    struct vault_restore_result result;
    struct kl_err err = {0};

    (void)backup_make(fixture, NULL, 0);
    backup_path(fixture, "", from);
    fixture_path(fixture, "mirror", mirror);
    fixture_path(fixture, "new", data);
    (void)snprintf(custodian, sizeof custodian, "file:%s/new.root", fixture->admin->folder);
    options.data_dir = data;
    options.custodian = custodian;
    assert_int_equal(vault_restore(&restoring, &result, &err), KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "no_mirror");
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_keys_older_than_the_backup_are_refused),
        WITH(test_a_backup_and_a_mirror_make_the_vault_again),
        WITH(test_a_directory_without_keys_is_no_mirror),
    };
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
