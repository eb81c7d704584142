/* Making a vault: whole or not at all, and only where it may be. */
#include "kluis/base/file.h"
#include "kluis/base/secret.h"
#include "kluis/kms/custodian.h"
#include "tests/support/admin_fixture.h"
#include "tests/support/test.h"
#include "vault/stamp.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct vault_token untouched = {"untouched"};

/* An init that must fail, and leave the tokens as they were. */
static enum kl_status init_fails(const struct admin_fixture *fixture, struct kl_err *err)
{
    struct vault_token operator_token = untouched;
    struct vault_token steward_token = untouched;
    enum kl_status status = vault_init(&fixture->options, &operator_token, &steward_token, err);

    assert_int_not_equal(status, KL_OK);
    assert_string_equal(operator_token.text, untouched.text);
    assert_string_equal(steward_token.text, untouched.text);
    return status;
}

static enum kl_status open_fails(const struct admin_fixture *fixture, struct kl_err *err)
{
    struct vault *vault = NULL;
    enum kl_status status = vault_open(&fixture->options, &vault, err);

    assert_int_not_equal(status, KL_OK);
    assert_null(vault);
    return status;
}

static bool exists(const char *path)
{
    struct stat info;

    return lstat(path, &info) == 0;
}

static void test_init_makes_a_vault_that_only_its_owner_can_enter(void **state)
{
    struct admin_fixture *fixture = *state;
    struct stat info;

    assert_int_equal(stat(fixture->data, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    assert_int_equal(stat(fixture->root_file, &info), 0);
    assert_int_equal(info.st_mode & 0077, 0);
    assert_string_equal(vault_store_country(fixture->vault).code, "IE");
}

static void test_init_gives_two_different_credentials(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = admin_operator(fixture);

    assert_int_equal(caller.builtin, VAULT_BUILTIN_OPERATOR);
    assert_true(caller.tenant == UINT64_MAX);
    assert_string_equal(caller.role_name, "operator");
    vault_caller_done(&caller);
    caller = admin_steward(fixture);
    assert_int_equal(caller.builtin, VAULT_BUILTIN_STEWARD);
    assert_string_equal(caller.tenant_name, "default");
    vault_caller_done(&caller);
    assert_string_not_equal(fixture->operator_token.text, fixture->steward_token.text);
    assert_int_equal(strlen(fixture->operator_token.text), 46);
    assert_memory_equal(fixture->operator_token.text, "kl_", 3);
}

static void test_init_is_written_to_the_audit_trail(void **state)
{
    struct admin_fixture *fixture = *state;

    assert_int_equal(admin_trail_count(fixture, true, "\"action\":\"vault_init\""), 1);
    assert_int_equal(admin_trail_count(fixture, true, "\"action\":\"tenant_create\""), 1);
    assert_int_equal(admin_trail_count(fixture, true, "\"target_role\":\"operator\""), 1);
    assert_int_equal(admin_trail_count(fixture, false, "\"target_role\":\"steward\""), 1);
}

static void test_init_takes_an_empty_folder_and_closes_it_to_others(void **state)
{
    struct admin_fixture *fixture = *state;
    struct stat info;

    assert_int_equal(mkdir(fixture->data, 0755), 0);
    assert_int_equal(
        vault_init(&fixture->options, &fixture->operator_token, &fixture->steward_token, NULL),
        KL_OK);
    assert_int_equal(stat(fixture->data, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
}

static void test_init_refuses_a_folder_that_is_not_empty(void **state)
{
    struct admin_fixture *fixture = *state;
    char path[VAULT_PATH_MAX_BYTES];
    struct kl_err err = {0};

    assert_int_equal(mkdir(fixture->data, 0700), 0);
    assert_int_equal(vault_path(fixture->data, ".hidden", path, NULL), KL_OK);
    assert_int_equal(kl_file_create(path, 0600, "x", 1, NULL), KL_OK);
    assert_int_equal(init_fails(fixture, &err), KL_ERR_EXISTS);
    assert_string_equal(err.code, "data_dir_not_empty");
    assert_false(exists(fixture->root_file));
}

static void test_init_does_not_make_a_vault_twice(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kl_err err = {0};

    admin_close(fixture);
    assert_int_equal(init_fails(fixture, &err), KL_ERR_EXISTS);
    assert_string_equal(err.code, "data_dir_not_empty");
    admin_reopen(fixture);
}

static void test_init_refuses_a_root_file_that_is_there_and_cleans_up(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kl_buf bytes;
    struct kl_err err = {0};

    assert_int_equal(kl_file_create(fixture->root_file, 0600, "mine", 4, NULL), KL_OK);
    assert_int_equal(init_fails(fixture, &err), KL_ERR_EXISTS);
    assert_string_equal(err.code, "root_file_exists");
    assert_false(exists(fixture->data));
    assert_int_equal(kl_file_read(fixture->root_file, 16, &bytes, NULL), KL_OK);
    assert_true(kl_slice_equal_text(kl_buf_slice(&bytes), "mine"));
    kl_buf_done(&bytes);
}

static void root_file_refused(struct admin_fixture *fixture, const char *path)
{
    struct kl_err err = {0};

    (void)snprintf(fixture->custodian, sizeof fixture->custodian, "file:%s", path);
    assert_int_equal(init_fails(fixture, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "root_file_in_data");
    assert_false(exists(fixture->data));
}

static void test_init_refuses_a_root_file_inside_the_data_directory(void **state)
{
    struct admin_fixture *fixture = *state;
    char path[2 * ADMIN_PATH_BYTES];

    (void)snprintf(path, sizeof path, "%.480s/root.key", fixture->data);
    root_file_refused(fixture, path);
    (void)snprintf(path, sizeof path, "%.240s/../data/./root.key", fixture->data);
    root_file_refused(fixture, path);
    (void)snprintf(path, sizeof path, "%.240s/keys/../root.key", fixture->data);
    root_file_refused(fixture, path);
}

static void test_init_refuses_a_root_file_that_a_link_leads_inside(void **state)
{
    struct admin_fixture *fixture = *state;
    char link[ADMIN_PATH_BYTES];
    char path[2 * ADMIN_PATH_BYTES];

    (void)snprintf(link, sizeof link, "%.480s/elsewhere", fixture->folder);
    assert_int_equal(symlink(fixture->data, link), 0);
    (void)snprintf(path, sizeof path, "%.480s/root.key", link);
    root_file_refused(fixture, path);
}

static void test_init_refuses_what_is_no_country(void **state)
{
    struct admin_fixture *fixture = *state;
    static const char *const places[] = {"", "XX", "Ireland", "gcp:europe", "aws:nowhere-1"};
    struct kl_err err = {0};
    char longest[VAULT_PLACE_MAX_BYTES + 2];
    size_t i;

    for (i = 0; i < sizeof places / sizeof places[0]; i++) {
        fixture->options.country = places[i];
        assert_int_equal(init_fails(fixture, NULL), KL_ERR_INVALID);
        assert_false(exists(fixture->data));
    }
    fixture->options.country = NULL;
    assert_int_equal(init_fails(fixture, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_options");
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    fixture->options.country = longest;
    assert_int_equal(init_fails(fixture, NULL), KL_ERR_INVALID);
}

static void test_init_and_open_need_a_directory_and_a_custodian(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kl_err err = {0};

    fixture->options.custodian = NULL;
    assert_int_equal(init_fails(fixture, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_options");
    assert_int_equal(open_fails(fixture, NULL), KL_ERR_INVALID);
    fixture->options.custodian = "telepathy:me";
    assert_int_equal(init_fails(fixture, NULL), KL_ERR_INVALID);
    assert_false(exists(fixture->data));
    fixture->options.custodian = fixture->custodian;
    fixture->options.data_dir = "";
    assert_int_equal(init_fails(fixture, NULL), KL_ERR_INVALID);
    assert_int_equal(open_fails(fixture, NULL), KL_ERR_INVALID);
}

static void test_init_says_when_the_parent_folder_is_missing(void **state)
{
    struct admin_fixture *fixture = *state;
    char path[ADMIN_PATH_BYTES];
    struct kl_err err = {0};

    (void)snprintf(path, sizeof path, "%.400s/no/such/data", fixture->folder);
    fixture->options.data_dir = path;
    assert_int_equal(init_fails(fixture, &err), KL_ERR_IO);
    assert_string_equal(err.code, "data_dir");
    assert_false(exists(fixture->root_file));
}

/* Look at what a root file in that folder would be; the folder of memory is one where nothing is final. */
static bool is_f0(const char *path)
{
    char custodian[ADMIN_PATH_BYTES + 8];
    const struct kms_custodian_options look = {.custodian = custodian};
    struct kms_custodian_report report = {0};
    static const unsigned char bytes[8192];

    (void)snprintf(custodian, sizeof custodian, "file:%s", path);
    if (kl_file_create(path, 0600, bytes, sizeof bytes, NULL) != KL_OK) {
        return false;
    }
    if (kms_custodian_report(&look, &report, NULL) != KL_OK) {
        report.finality = KMS_FINALITY_F1;
    }
    (void)unlink(path);
    return report.finality == KMS_FINALITY_F0;
}

static void test_init_says_no_where_an_overwrite_is_not_final(void **state)
{
    struct admin_fixture *fixture = *state;
    char path[ADMIN_PATH_BYTES];
    struct kl_err err = {0};

    (void)snprintf(path, sizeof path, "/dev/shm/kluis-test-%ld.key", (long)getpid());
    if (!is_f0(path)) {
        skip();
    }
    (void)snprintf(fixture->custodian, sizeof fixture->custodian, "file:%s", path);
    fixture->options.accept_f0 = false;
    assert_int_equal(init_fails(fixture, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "finality_f0");
    assert_false(exists(fixture->data));
    assert_false(exists(path));
    fixture->options.accept_f0 = true;
    assert_int_equal(
        vault_init(&fixture->options, &fixture->operator_token, &fixture->steward_token, NULL),
        KL_OK);
    fixture->options.accept_f0 = false;
    kl_err_clear(&err);
    assert_int_equal(open_fails(fixture, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "finality_f0");
    (void)unlink(path);
}

/*
 * This program again, as a child that makes a vault there: threads of the database do not survive a fork.
 */
static void init_killed(const struct admin_fixture *fixture, unsigned after_us)
{
    pid_t child = fork();
    int ended = 0;

    assert_true(child >= 0);
    if (child == 0) {
        (void)execl("/proc/self/exe", "test_init", "init", fixture->data, fixture->custodian,
                    (char *)NULL);
        _exit(126);
    }
    (void)usleep(after_us);
    (void)kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &ended, 0), child);
}

static int child_main(char **argv)
{
    const struct vault_options options = {
        .data_dir = argv[2], .country = "IE", .custodian = argv[3], .accept_f0 = true};
    struct vault_token operator_token;
    struct vault_token steward_token;

    if (kl_secret_process_init(true, NULL) != KL_OK) {
        return 125;
    }
    return (int)vault_init(&options, &operator_token, &steward_token, NULL);
}

static void test_a_killed_init_leaves_no_vault_or_a_whole_one(void **state)
{
    struct admin_fixture *fixture = *state;
    unsigned whole = 0;
    unsigned none = 0;
    unsigned after_us;

    for (after_us = 0; after_us <= 60000 || whole == 0;
         after_us += after_us < 60000 ? 3000 : 100000) {
        struct vault *vault = NULL;
        struct kl_err err = {0};
        enum kl_status status;

        assert_true(after_us < 30000000);
        init_killed(fixture, after_us);
        status = vault_open(&fixture->options, &vault, &err);
        if (status == KL_OK) {
            struct vault_readiness readiness;

            vault_readiness(vault, &readiness);
            assert_true(readiness.ready);
            vault_close(vault);
            whole++;
        } else {
            assert_int_equal(status, KL_ERR_NOT_FOUND);
            assert_string_equal(err.code, "no_vault");
            none++;
        }
        admin_remove(fixture->data);
        (void)unlink(fixture->root_file);
    }
    assert_true(whole > 0);
    assert_true(none > 0);
}

#define EMPTY(test) cmocka_unit_test_setup_teardown(test, admin_setup_empty, admin_teardown)
#define OPENED(test) cmocka_unit_test_setup_teardown(test, admin_setup, admin_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        OPENED(test_init_makes_a_vault_that_only_its_owner_can_enter),
        OPENED(test_init_gives_two_different_credentials),
        OPENED(test_init_is_written_to_the_audit_trail),
        EMPTY(test_init_takes_an_empty_folder_and_closes_it_to_others),
        EMPTY(test_init_refuses_a_folder_that_is_not_empty),
        OPENED(test_init_does_not_make_a_vault_twice),
        EMPTY(test_init_refuses_a_root_file_that_is_there_and_cleans_up),
        EMPTY(test_init_refuses_a_root_file_inside_the_data_directory),
        EMPTY(test_init_refuses_a_root_file_that_a_link_leads_inside),
        EMPTY(test_init_refuses_what_is_no_country),
        EMPTY(test_init_and_open_need_a_directory_and_a_custodian),
        EMPTY(test_init_says_when_the_parent_folder_is_missing),
        EMPTY(test_init_says_no_where_an_overwrite_is_not_final),
        EMPTY(test_a_killed_init_leaves_no_vault_or_a_whole_one),
    };

    if (argc == 4) {
        return child_main(argv);
    }
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
