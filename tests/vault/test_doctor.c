/* What doctor says of a vault that is well, and of one that is not. */
#include "vault/doctor.h"

#include "kluis/base/file.h"
#include "kluis/base/secret.h"
#include "tests/support/admin_fixture.h"
#include "tests/support/test.h"
#include "vault/stamp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define TEXT_BYTES 65536

/* The answer, parsed; ends with kl_json_free(). */
static struct kl_json *examined(const struct admin_fixture *fixture)
{
    struct kl_json *json = NULL;
    struct kl_buf text;

    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(vault_doctor(&fixture->options, &text, NULL), KL_OK);
    assert_int_equal(kl_json_parse(text.bytes, text.size, &json, NULL), KL_OK);
    kl_buf_done(&text);
    return json;
}

/* The check of that name; NULL when there is none. */
static const struct kl_json_value *check_of(const struct kl_json *json, const char *name)
{
    struct kl_json_iter iter = kl_json_iter(kl_json_member(kl_json_root(json), "checks"));
    const struct kl_json_value *check = NULL;

    while (kl_json_next(&iter, NULL, &check)) {
        if (strcmp(kl_json_text(kl_json_member(check, "name")), name) == 0) {
            return check;
        }
    }
    return NULL;
}

static void assert_state(const struct kl_json *json, const char *name, const char *state)
{
    const struct kl_json_value *check = check_of(json, name);

    if (check == NULL) {
        fail_msg("there is no check %s", name);
    }
    assert_string_equal(kl_json_text(kl_json_member(check, "state")), state);
    assert_string_not_equal(kl_json_text(kl_json_member(check, "text")), "");
    if (strcmp(state, "ok") != 0) {
        assert_string_not_equal(kl_json_text(kl_json_member(check, "advice")), "");
    }
}

static void expect(const struct admin_fixture *fixture, const char *name, const char *state)
{
    struct kl_json *json = examined(fixture);

    assert_state(json, name, state);
    kl_json_free(json);
}

static void test_a_closed_vault_that_is_well(void **state)
{
    static const char *const names[] = {"stamp",     "data_dir",  "country", "root_file_mode",
                                        "root_file", "databases", "keys",    "policies"};
    struct admin_fixture *fixture = *state;
    struct kl_json *json;
    size_t i;

    admin_close(fixture);
    json = examined(fixture);
    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_state(json, names[i], "ok");
    }
    assert_non_null(check_of(json, "finality"));
    assert_non_null(check_of(json, "root_disk"));
    assert_state(json, "mirrors", "warning");
    assert_non_null(check_of(json, "core_dumps"));
    assert_non_null(check_of(json, "locked_memory"));
    assert_non_null(check_of(json, "free_space"));
    assert_non_null(check_of(json, "swap"));
    kl_json_free(json);
    admin_reopen(fixture);
}

static void test_a_running_vault_is_left_alone(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kl_json *json = examined(fixture);

    assert_state(json, "databases", "warning");
    assert_null(check_of(json, "policies"));
    assert_state(json, "stamp", "ok");
    kl_json_free(json);
}

static void test_no_vault(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kl_json *json = examined(fixture);

    assert_state(json, "stamp", "failed");
    assert_state(json, "data_dir", "failed");
    assert_state(json, "root_file", "failed");
    assert_state(json, "root_file_mode", "failed");
    assert_state(json, "free_space", "failed");
    assert_null(check_of(json, "databases"));
    kl_json_free(json);
}

static void test_another_country(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kl_json *json;

    admin_close(fixture);
    fixture->options.country = "US";
    json = examined(fixture);
    assert_state(json, "country", "failed");
    assert_null(check_of(json, "databases"));
    kl_json_free(json);
}

static void test_open_doors(void **state)
{
    struct admin_fixture *fixture = *state;

    admin_close(fixture);
    assert_int_equal(chmod(fixture->data, 0750), 0);
    expect(fixture, "data_dir", "failed");
    assert_int_equal(chmod(fixture->data, 0700), 0);
    assert_int_equal(chmod(fixture->root_file, 0644), 0);
    expect(fixture, "root_file_mode", "failed");
    assert_int_equal(chmod(fixture->root_file, 0600), 0);
    expect(fixture, "root_file_mode", "ok");
}

static void test_a_missing_or_foreign_root_file(void **state)
{
    struct admin_fixture *fixture = *state;
    static const unsigned char nonsense[8192];
    struct kl_json *json;

    admin_close(fixture);
    assert_int_equal(unlink(fixture->root_file), 0);
    json = examined(fixture);
    assert_state(json, "root_file", "failed");
    assert_state(json, "databases", "failed");
    kl_json_free(json);
    assert_int_equal(kl_file_create(fixture->root_file, 0600, nonsense, sizeof nonsense, NULL),
                     KL_OK);
    expect(fixture, "databases", "failed");
}

static void test_a_place_where_nothing_is_final(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct kl_json_value *check;
    struct kl_json *json;
    char path[64];
    bool is_f0;

    (void)snprintf(path, sizeof path, "/dev/shm/kluis-doctor-%ld.key", (long)getpid());
    (void)snprintf(fixture->custodian, sizeof fixture->custodian, "file:%s", path);
    if (vault_init(&fixture->options, &fixture->operator_token, &fixture->steward_token, NULL) !=
        KL_OK) {
        skip();
    }
    json = examined(fixture);
    check = check_of(json, "finality");
    assert_non_null(check);
    is_f0 = strncmp(kl_json_text(kl_json_member(check, "text")), "F0", 2) == 0;
    if (is_f0) {
        assert_state(json, "finality", "warning");
        fixture->options.accept_f0 = false;
        expect(fixture, "finality", "failed");
        expect(fixture, "databases", "failed");
    }
    kl_json_free(json);
    assert_int_equal(unlink(path), 0);
    if (!is_f0) {
        skip();
    }
}

static void test_a_passphrase_that_was_not_given(void **state)
{
    struct admin_fixture *fixture = *state;

    (void)snprintf(fixture->custodian, sizeof fixture->custodian, "passphrase:%s",
                   fixture->root_file);
    fixture->options.argon2_light = true;
    fixture->options.passphrase = "correct horse";
    fixture->options.passphrase_bytes = 13;
    assert_int_equal(
        vault_init(&fixture->options, &fixture->operator_token, &fixture->steward_token, NULL),
        KL_OK);
    expect(fixture, "databases", "ok");
    fixture->options.passphrase = NULL;
    fixture->options.passphrase_bytes = 0;
    expect(fixture, "databases", "warning");
}

static void test_doctor_changes_nothing_that_matters(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_figures before;
    struct vault_figures after;
    int i;

    vault_figures(fixture->vault, &before);
    admin_close(fixture);
    for (i = 0; i < 3; i++) {
        expect(fixture, "databases", "ok");
    }
    admin_reopen(fixture);
    vault_figures(fixture->vault, &after);
    assert_int_equal(before.key_generation, after.key_generation);
    assert_int_equal(admin_trail_count(fixture, true, "\"action\":"), 3);
}

static void test_doctor_needs_a_directory_and_a_custodian(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kl_buf text;
    struct kl_err err = {0};

    kl_buf_init(&text, TEXT_BYTES);
    fixture->options.custodian = NULL;
    assert_int_equal(vault_doctor(&fixture->options, &text, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_options");
    fixture->options.custodian = fixture->custodian;
    fixture->options.data_dir = NULL;
    assert_int_equal(vault_doctor(&fixture->options, &text, NULL), KL_ERR_INVALID);
    assert_int_equal(text.size, 0);
    kl_buf_done(&text);
}

static void test_little_lockable_memory_is_said(void **state)
{
    struct rlimit before;
    struct rlimit small;
    struct kl_json *json = NULL;
    struct vault_report report;
    struct kl_buf text;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &before), 0);
    small = before;
    small.rlim_cur = 65536;
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &small), 0);
    kl_buf_init(&text, TEXT_BYTES);
    vault_report_begin(&report, &text);
    vault_check_machine(&report);
    vault_report_end(&report);
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &before), 0);
    assert_int_equal(kl_json_parse(text.bytes, text.size, &json, NULL), KL_OK);
    assert_state(json, "locked_memory", "failed");
    assert_state(json, "core_dumps", "ok");
    kl_json_free(json);
    kl_buf_done(&text);
}

/* What is said of the room of a folder when so much is kept. */
static void assert_space(const char *folder, uint64_t reserve_bytes, const char *expected)
{
    const struct vault_options options = {.data_dir = folder, .reserve_bytes = reserve_bytes};
    struct kl_json *json = NULL;
    struct vault_report report;
    struct kl_buf text;

    kl_buf_init(&text, TEXT_BYTES);
    vault_report_begin(&report, &text);
    vault_check_space(&options, &report);
    vault_report_end(&report);
    assert_int_equal(kl_json_parse(text.bytes, text.size, &json, NULL), KL_OK);
    assert_state(json, "free_space", expected);
    kl_json_free(json);
    kl_buf_done(&text);
}

static void test_room_is_held_against_the_reserve(void **state)
{
    const struct admin_fixture *fixture = *state;
    char ballast[ADMIN_PATH_BYTES + 16];
    struct statvfs disk;
    uint64_t bytes;

    assert_int_equal(statvfs(fixture->data, &disk), 0);
    bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    assert_space(fixture->data, 2 * bytes, "failed");
    assert_space(fixture->data, bytes - bytes / 8,
                 bytes / 8 > (UINT64_C(1) << 30) ? "ok" : "warning");
    (void)snprintf(ballast, sizeof ballast, "%s/ballast", fixture->data);
    assert_int_equal(access(ballast, F_OK), -1);
}

#define EMPTY(test) cmocka_unit_test_setup_teardown(test, admin_setup_empty, admin_teardown)
#define OPENED(test) cmocka_unit_test_setup_teardown(test, admin_setup, admin_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPENED(test_a_closed_vault_that_is_well),
        OPENED(test_a_running_vault_is_left_alone),
        EMPTY(test_no_vault),
        OPENED(test_another_country),
        OPENED(test_open_doors),
        OPENED(test_a_missing_or_foreign_root_file),
        EMPTY(test_a_place_where_nothing_is_final),
        EMPTY(test_a_passphrase_that_was_not_given),
        OPENED(test_doctor_changes_nothing_that_matters),
        EMPTY(test_doctor_needs_a_directory_and_a_custodian),
        OPENED(test_room_is_held_against_the_reserve),
        cmocka_unit_test(test_little_lockable_memory_is_said),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
