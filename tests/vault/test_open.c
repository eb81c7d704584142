/* Opening a vault, and what stands in the way. */
#include "kluis/base/secret.h"
#include "tests/support/admin_fixture.h"
#include "tests/support/test.h"
#include "vault/stamp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static enum kl_status open_fails(const struct admin_fixture *fixture, struct kl_err *err)
{
    struct vault *vault = NULL;
    enum kl_status status = vault_open(&fixture->options, &vault, err);

    assert_int_not_equal(status, KL_OK);
    assert_null(vault);
    return status;
}

static void test_open_finds_no_vault_in_an_empty_or_missing_folder(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kl_err err = {0};

    assert_int_equal(open_fails(fixture, &err), KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "no_vault");
    assert_int_equal(mkdir(fixture->data, 0700), 0);
    kl_err_clear(&err);
    assert_int_equal(open_fails(fixture, &err), KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "no_vault");
}

static void test_open_takes_the_country_of_the_stamp_when_none_is_configured(void **state)
{
    struct admin_fixture *fixture = *state;

    fixture->options.country = NULL;
    admin_reopen(fixture);
    assert_string_equal(vault_store_country(fixture->vault).code, "IE");
    fixture->options.country = "aws:eu-west-1";
    admin_reopen(fixture);
    assert_string_equal(vault_store_country(fixture->vault).code, "IE");
}

static void test_open_refuses_another_country_and_touches_nothing(void **state)
{
    struct admin_fixture *fixture = *state;
    char copy[ADMIN_PATH_BYTES];
    char command[4 * ADMIN_PATH_BYTES];
    struct kl_err err = {0};

    admin_close(fixture);
    (void)snprintf(copy, sizeof copy, "%.480s/before", fixture->folder);
    admin_copy(fixture->data, copy);
    fixture->options.country = "US";
    assert_int_equal(open_fails(fixture, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "country_mismatch");
    assert_non_null(strstr(err.client_text, "IE"));
    (void)snprintf(command, sizeof command, "diff -r '%s' '%s' >/dev/null", fixture->data, copy);
    assert_int_equal(system(command), 0);
    fixture->options.country = "IE";
    admin_reopen(fixture);
}

/* This program again, as a child that opens the vault there, and ends with the status. */
static int child_main(char **argv)
{
    const struct vault_options options = {
        .data_dir = argv[2], .country = "IE", .custodian = argv[3], .accept_f0 = true};
    struct vault *vault = NULL;

    if (kl_secret_process_init(true, NULL) != KL_OK) {
        return 125;
    }
    return (int)vault_open(&options, &vault, NULL);
}

static pid_t child_start(const struct admin_fixture *fixture)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        (void)execl("/proc/self/exe", "test_open", "open", fixture->data, fixture->custodian,
                    (char *)NULL);
        _exit(126);
    }
    return child;
}

static void test_open_refuses_a_vault_that_is_open_elsewhere(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kl_err err = {0};
    int ended = 0;
    pid_t child = child_start(fixture);

    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_true(WIFEXITED(ended));
    assert_int_equal(WEXITSTATUS(ended), KL_ERR_BUSY);
    assert_int_equal(open_fails(fixture, &err), KL_ERR_BUSY);
}

static void test_open_needs_its_root_file(void **state)
{
    struct admin_fixture *fixture = *state;
    char away[ADMIN_PATH_BYTES + 8];

    admin_close(fixture);
    (void)snprintf(away, sizeof away, "%s.away", fixture->root_file);
    assert_int_equal(rename(fixture->root_file, away), 0);
    assert_int_equal(open_fails(fixture, NULL), KL_ERR_NOT_FOUND);
    assert_int_equal(rename(away, fixture->root_file), 0);
    admin_reopen(fixture);
}

/* A second vault beside the first: its data directory and root file. */
static void second_vault(struct admin_fixture *fixture, char data[ADMIN_PATH_BYTES],
                         char root_file[ADMIN_PATH_BYTES])
{
    char custodian[ADMIN_PATH_BYTES + 8];
    struct vault_options options = fixture->options;
    struct vault_token operator_token;
    struct vault_token steward_token;

    (void)snprintf(data, ADMIN_PATH_BYTES, "%.480s/second", fixture->folder);
    (void)snprintf(root_file, ADMIN_PATH_BYTES, "%.480s/second.key", fixture->folder);
    (void)snprintf(custodian, sizeof custodian, "file:%s", root_file);
    options.data_dir = data;
    options.custodian = custodian;
    assert_int_equal(vault_init(&options, &operator_token, &steward_token, NULL), KL_OK);
}

static void test_open_refuses_the_root_file_of_another_vault(void **state)
{
    struct admin_fixture *fixture = *state;
    char data[ADMIN_PATH_BYTES];
    char root_file[ADMIN_PATH_BYTES];
    struct kl_err err = {0};

    admin_close(fixture);
    second_vault(fixture, data, root_file);
    (void)snprintf(fixture->custodian, sizeof fixture->custodian, "file:%s", root_file);
    assert_int_equal(open_fails(fixture, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "root_file_other_store");
}

/* Swap name/ of the first vault for that of the second. */
static void swap_in(struct admin_fixture *fixture, const char *data, const char *name)
{
    char mine[VAULT_PATH_MAX_BYTES];
    char theirs[VAULT_PATH_MAX_BYTES];

    assert_int_equal(vault_path(fixture->data, name, mine, NULL), KL_OK);
    assert_int_equal(vault_path(data, name, theirs, NULL), KL_OK);
    admin_remove(mine);
    assert_int_equal(rename(theirs, mine), 0);
}

static void test_open_refuses_the_data_of_another_vault(void **state)
{
    struct admin_fixture *fixture = *state;
    char data[ADMIN_PATH_BYTES];
    char root_file[ADMIN_PATH_BYTES];
    struct kl_err err = {0};

    admin_close(fixture);
    second_vault(fixture, data, root_file);
    swap_in(fixture, data, "data");
    assert_int_equal(open_fails(fixture, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "data_other_store");
}

static void test_open_refuses_the_keys_of_another_vault(void **state)
{
    struct admin_fixture *fixture = *state;
    char data[ADMIN_PATH_BYTES];
    char root_file[ADMIN_PATH_BYTES];
    struct kl_err err = {0};

    admin_close(fixture);
    second_vault(fixture, data, root_file);
    swap_in(fixture, data, "keys");
    assert_int_equal(open_fails(fixture, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "root_file_other_store");
    kl_err_clear(&err);
    (void)snprintf(fixture->custodian, sizeof fixture->custodian, "file:%s", root_file);
    assert_int_equal(open_fails(fixture, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "keys_other_store");
}

static void test_open_refuses_keys_from_before_a_rotation(void **state)
{
    struct admin_fixture *fixture = *state;
    char keys[VAULT_PATH_MAX_BYTES];
    char copy[ADMIN_PATH_BYTES];
    struct vault_caller caller;
    struct kl_buf job;
    struct kl_err err = {0};

    admin_close(fixture);
    assert_int_equal(vault_path(fixture->data, "keys", keys, NULL), KL_OK);
    (void)snprintf(copy, sizeof copy, "%.480s/before", fixture->folder);
    admin_copy(keys, copy);
    admin_reopen(fixture);
    caller = admin_operator(fixture);
    kl_buf_init(&job, 4096);
    assert_int_equal(
        vault_keys_rotate(fixture->vault, &caller, "root", 0, false, NULL, &job, NULL, NULL),
        KL_OK);
    kl_buf_done(&job);
    vault_caller_done(&caller);
    admin_close(fixture);
    admin_remove(keys);
    assert_int_equal(rename(copy, keys), 0);
    assert_int_equal(open_fails(fixture, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "root_key_generation");
}

static void test_open_needs_the_right_passphrase(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kl_err err = {0};

    (void)snprintf(fixture->custodian, sizeof fixture->custodian, "passphrase:%s",
                   fixture->root_file);
    fixture->options.argon2_light = true;
    fixture->options.passphrase = "correct horse";
    fixture->options.passphrase_bytes = 13;
    assert_int_equal(
        vault_init(&fixture->options, &fixture->operator_token, &fixture->steward_token, NULL),
        KL_OK);
    admin_reopen(fixture);
    admin_close(fixture);
    fixture->options.passphrase = "wrong horse!!";
    assert_int_equal(open_fails(fixture, &err), KL_ERR_UNAUTHORISED);
    assert_string_equal(err.code, "wrong_passphrase");
}

static void test_what_was_made_is_there_after_opening_again(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller;
    bool created = false;

    assert_int_equal(admin_apply(fixture, admin_policy), 1);
    caller = admin_operator(fixture);
    assert_int_equal(
        vault_tenant_put(fixture->vault, &caller, "second", NULL, "P30D", &created, NULL), KL_OK);
    assert_true(created);
    vault_caller_done(&caller);
    admin_reopen(fixture);
    caller = admin_caller(fixture, &fixture->operator_token, "second");
    assert_string_equal(caller.tenant_name, "second");
    vault_caller_done(&caller);
    caller = admin_steward(fixture);
    assert_non_null(caller.policy);
    assert_int_equal(caller.policy_number, 1);
    vault_caller_done(&caller);
}

static void test_a_fresh_vault_is_ready_and_counts(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct vault_proof proof = {.token = "kl_nobody"};
    struct vault_readiness readiness;
    struct vault_figures figures;
    struct vault_caller caller;

    vault_readiness(fixture->vault, &readiness);
    assert_true(readiness.ready);
    assert_string_equal(readiness.reason, "");
    assert_int_equal(readiness.finality[0], 'F');
    assert_int_equal(vault_caller_open(fixture->vault, &proof, NULL, NULL, &caller, NULL),
                     KL_ERR_UNAUTHORISED);
    vault_figures(fixture->vault, &figures);
    assert_int_equal(figures.refused_unauthorised, 1);
    assert_true(figures.key_generation == readiness.key_generation);
    assert_int_equal(figures.audit_entries, 0);
    (void)admin_trail_count(fixture, true, "x");
    vault_figures(fixture->vault, &figures);
    assert_int_equal(figures.audit_entries, 1);
}

static void test_closing_nothing_is_fine(void **state)
{
    (void)state;
    vault_close(NULL);
}

#define EMPTY(test) cmocka_unit_test_setup_teardown(test, admin_setup_empty, admin_teardown)
#define OPENED(test) cmocka_unit_test_setup_teardown(test, admin_setup, admin_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        EMPTY(test_open_finds_no_vault_in_an_empty_or_missing_folder),
        OPENED(test_open_takes_the_country_of_the_stamp_when_none_is_configured),
        OPENED(test_open_refuses_another_country_and_touches_nothing),
        OPENED(test_open_refuses_a_vault_that_is_open_elsewhere),
        OPENED(test_open_needs_its_root_file),
        OPENED(test_open_refuses_the_root_file_of_another_vault),
        OPENED(test_open_refuses_the_data_of_another_vault),
        OPENED(test_open_refuses_the_keys_of_another_vault),
        OPENED(test_open_refuses_keys_from_before_a_rotation),
        EMPTY(test_open_needs_the_right_passphrase),
        OPENED(test_what_was_made_is_there_after_opening_again),
        OPENED(test_a_fresh_vault_is_ready_and_counts),
        EMPTY(test_closing_nothing_is_fine),
    };

    if (argc == 4) {
        return child_main(argv);
    }
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
