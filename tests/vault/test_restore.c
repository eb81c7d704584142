/* A backup put back: who comes back, what stays closed, what is set aside, and a crash at any point of it. */
#include "tests/support/backup_fixture.h"

#include "kluis/base/file.h"
#include "kluis/vault/restore.h"
#include "tests/support/retained_fixture.h"
#include "tests/support/test.h"
#include "vault/backup.h"
#include "vault/manifest.h"
#include "vault/restore.h"
#include "vault/rows.h"
#include "vault/vault_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int setup(void **state)
{
    assert_int_equal(vault_fixture_setup(state), 0);
    restore_callers_make(*state);
    return 0;
}

static enum kl_status finish(struct vault_fixture *fixture, bool confirm, uint64_t count,
                             uint64_t *ret_count, struct kl_err *err)
{
    struct vault_restore_aside aside = {.slots = *ret_count};
    enum kl_status status = KL_OK;

    admin_close(fixture->admin);
    status = vault_restore_finish(&fixture->admin->options, confirm, count, &aside, err);
    admin_reopen(fixture->admin);
    *ret_count = aside.slots;
    return status;
}

static enum kl_status patch_name(struct vault_fixture *fixture,
                                 const struct vault_subject_result *of, const char *name)
{
    struct vault_caller writer = fixture_caller(fixture, "writer");
    const struct vault_field_input field = fixture_field("first_name", name);
    enum kl_status status = KL_OK;
    uint64_t version = 0;

    status = vault_record_patch(fixture_vault(fixture), &writer, &of->id, &of->records[0].id, 0,
                                &field, 1, &version, &fixture->err);
    vault_caller_done(&writer);
    return status;
}

/* ---- who comes back ---- */

static void test_everybody_comes_back_but_those_erased_since(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result erased = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result people[12];
    struct vault_restore_result result;
    struct kl_id backup;
    char piece[KL_ID_TEXT_BYTES + 16];
    char id[KL_ID_TEXT_BYTES];
    char email[64];
    size_t i;

    for (i = 0; i < 12; i++) {
        (void)snprintf(email, sizeof email, "p%zu@example.org", i);
        people[i] = fixture_newsletter(fixture, email, true);
    }
    backup = backup_make(fixture, NULL, 0);
    fixture_erase(fixture, &erased.id);
    result = restore_make(fixture, NULL);
    assert_true(kl_id_equal(&result.backup, &backup));
    assert_int_equal(result.subjects, 12);
    assert_int_equal(result.subjects_erased, 1);
    assert_int_equal(result.subjects_unknown, 0);
    assert_int_equal(result.subjects_damaged, 0);
    assert_int_equal(result.values_damaged, 0);
    assert_true(result.taken_us > 0);
    assert_int_equal(access(result.aside, F_OK), 0);
    restore_assert_gone(fixture, &erased, "ana@example.org");
    for (i = 0; i < 12; i++) {
        (void)snprintf(email, sizeof email, "p%zu@example.org", i);
        restore_assert_there(fixture, &people[i], email);
    }
    kl_id_format(VAULT_BACKUP_PREFIX, &backup, id);
    (void)snprintf(piece, sizeof piece, "\"backup\":\"%s\"", id);
    assert_int_equal(fixture_trail(fixture, piece), 1);
    fixture_reopen(fixture);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"data_restored\""), 1);
}

static void test_what_was_closed_since_stays_closed(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_caller dpo = fixture_caller_with(fixture, "writing_dpo", NULL, NULL, NULL);
    struct vault_subject_result read = {0};
    struct vault_caller steward;
    struct vault_token revoked;
    struct kl_id credential;

    revoked = admin_make(fixture->admin, "reader", &credential);
    assert_int_equal(admin_let_in(fixture->admin, revoked.text, NULL), KL_OK);
    (void)backup_make(fixture, NULL, 0);
    assert_int_equal(vault_consent_withdraw(fixture_vault(fixture), &dpo, &made.id, "mailing", NULL,
                                            &fixture->err),
                     KL_OK);
    vault_caller_done(&dpo);
    steward = admin_steward(fixture->admin);
    assert_int_equal(vault_credential_revoke(fixture_vault(fixture), &steward, &credential, NULL),
                     KL_OK);
    vault_caller_done(&steward);
    (void)restore_make(fixture, NULL);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "mailing", &read), KL_OK);
    assert_int_equal(fixture_find(&read, "email")->withheld, VAULT_GATE_CONSENT);
    assert_int_equal(admin_let_in(fixture->admin, revoked.text, NULL), KL_ERR_UNAUTHORISED);
}

/* The state of the only rotation, into text. */
static void rotations(struct vault_fixture *fixture, struct kl_buf *ret_text)
{
    struct vault_caller chief = admin_operator(fixture->admin);

    kl_buf_clear(ret_text);
    assert_int_equal(vault_keys_rotations(fixture_vault(fixture), &chief, ret_text, NULL), KL_OK);
    kl_buf_add_byte(ret_text, 0);
    vault_caller_done(&chief);
}

static void test_a_rotation_of_then_does_not_go_on_by_itself(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_backup_input input = {.country = "IE"};
    struct vault_caller chief;
    char directory[ADMIN_PATH_BYTES];
    struct kl_buf text;
    struct kl_id id;

    kl_buf_init(&text, 65536);
    backup_path(fixture, "", directory);
    input.directory = directory;
    (void)fixture_newsletter(fixture, "ana@example.org", true);
    assert_int_equal(backup_ask(fixture, &input, &id), KL_OK);
    chief = admin_caller(fixture->admin, &fixture->admin->operator_token, "default"); /* later */
    assert_int_equal(vault_keys_rotate(fixture_vault(fixture), &chief, "values", 0, true, NULL,
                                       &text, NULL, &fixture->err),
                     KL_OK);
    vault_caller_done(&chief);
    assert_int_equal(vault_upkeep_run(fixture_vault(fixture), &fixture->err), KL_OK);
    rotations(fixture, &text);
    assert_non_null(strstr((char *)text.bytes, "\"state\":\"done\""));
    (void)restore_make(fixture, &id); /* in it the rotation has not begun */
    assert_int_equal(vault_upkeep_run(fixture_vault(fixture), &fixture->err), KL_OK);
    rotations(fixture, &text);
    assert_non_null(strstr((char *)text.bytes, "\"state\":\"failed\""));
    assert_non_null(strstr((char *)text.bytes, "data_restored"));
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"key_rotate_failed\""),
                     1);
    fixture_reopen(fixture);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"data_restored\""), 1);
    kl_buf_done(&text);
}

static void test_no_value_slot_is_used_twice_after_a_restore(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result read = {0};
    uint32_t restores = fixture_vault(fixture)->restores;

    (void)backup_make(fixture, NULL, 0);
    assert_int_equal(patch_name(fixture, &made, "Eva"), KL_OK);
    (void)restore_make(fixture, NULL);
    assert_int_equal(fixture_vault(fixture)->restores, restores + 1);
    assert_int_equal(patch_name(fixture, &made, "Ida"), KL_OK);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "support", &read), KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "first_name"), "Ida"));
    fixture_reopen(fixture);
    assert_int_equal(fixture_vault(fixture)->restores, restores + 1);
}

static void test_an_erasure_and_a_restore_in_one_bucket(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result one = fixture_newsletter(fixture, "one@example.org", true);
    struct vault_subject_result other = fixture_newsletter(fixture, "other@example.org", true);
    struct vault_subject_result third = fixture_newsletter(fixture, "third@example.org", true);
    struct vault_subject_result later;
    struct kl_id backup = backup_make(fixture, NULL, 0);

    fixture_erase(fixture, &one.id);
    (void)restore_make(fixture, &backup);
    fixture_erase(fixture, &other.id);
    restore_assert_gone(fixture, &one, "one@example.org");
    restore_assert_gone(fixture, &other, "other@example.org");
    restore_assert_there(fixture, &third, "third@example.org");
    later = fixture_newsletter(fixture, "one@example.org", true); /* somebody new */
    (void)restore_make(fixture, &backup);
    restore_assert_gone(fixture, &other, "other@example.org");
    restore_assert_gone(fixture, &later, "one@example.org");
    restore_assert_there(fixture, &third, "third@example.org");
    fixture_erase(fixture, &third.id);
    restore_assert_gone(fixture, &third, "third@example.org");
}

/* ---- slots set aside ---- */

static void test_the_wrong_backup_and_then_the_right_one(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result old = fixture_newsletter(fixture, "old@example.org", true);
    struct vault_subject_result newer;
    struct vault_subject_result lost;
    struct vault_restore_result result;
    struct kl_id wrong = backup_make(fixture, NULL, 0);
    struct kl_id right;

    newer = fixture_newsletter(fixture, "newer@example.org", true);
    right = backup_make(fixture, NULL, 0);
    lost = fixture_newsletter(fixture, "lost@example.org", true);
    result = restore_make(fixture, &wrong);
    assert_int_equal(result.subjects, 1);
    assert_true(result.unknown_slots >= 2);
    restore_assert_there(fixture, &old, "old@example.org");
    restore_assert_gone(fixture, &newer, "newer@example.org");
    result = restore_make(fixture, &right);
    assert_int_equal(result.subjects, 2);
    restore_assert_there(fixture, &old, "old@example.org");
    restore_assert_there(fixture, &newer, "newer@example.org");
    restore_assert_gone(fixture, &lost, "lost@example.org");
    /* nothing that comes now gets a slot that was given out */
    lost = fixture_newsletter(fixture, "fresh@example.org", true);
    restore_assert_there(fixture, &lost, "fresh@example.org");
    restore_assert_there(fixture, &newer, "newer@example.org");
}

static void test_finishing_shreds_what_the_backup_did_not_know_and_nobody_else(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result old = fixture_newsletter(fixture, "old@example.org", true);
    struct vault_subject_result unknown;
    struct vault_subject_result after;
    struct vault_restore_result result;
    struct kl_id before = backup_make(fixture, NULL, 0);
    struct kl_id with;
    struct kl_err err = {0};
    uint64_t count = 0;

    assert_int_equal(finish(fixture, false, 0, &count, &err), KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "no_restore");
    kl_err_clear(&err);
    unknown = fixture_newsletter(fixture, "unknown@example.org", true);
    with = backup_make(fixture, NULL, 0);
    result = restore_make(fixture, &before);
    after = fixture_newsletter(fixture, "after@example.org", true);
    assert_int_equal(finish(fixture, false, 0, &count, &err), KL_OK);
    assert_int_equal(count, result.unknown_slots);
    assert_true(count >= 1);
    assert_int_equal(finish(fixture, true, count + 1, &count, &err), KL_ERR_CONFLICT);
    assert_string_equal(err.code, "count_differs");
    kl_err_clear(&err);
    assert_int_equal(finish(fixture, true, count, &count, &err), KL_OK);
    restore_assert_there(fixture, &old, "old@example.org");
    restore_assert_there(fixture, &after, "after@example.org");
    assert_int_equal(finish(fixture, false, 0, &count, NULL), KL_ERR_NOT_FOUND);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"restore_finish\""), 1);
    assert_true(
        fixture_trail(fixture, "\"action\":\"unknown_slots_shredded\"") +
            admin_trail_count(fixture->admin, true, "\"action\":\"unknown_slots_shredded\"") >=
        1);
    /* the newer backup brings nobody back in them any more; who came after it was not in it either */
    result = restore_make(fixture, &with);
    assert_int_equal(result.subjects, 1);
    assert_int_equal(result.subjects_erased, 1);
    restore_assert_there(fixture, &old, "old@example.org");
    restore_assert_gone(fixture, &unknown, "unknown@example.org");
}

static void test_who_was_to_be_kept_by_an_erasure_that_never_came_is_set_aside(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result old = fixture_newsletter(fixture, "old@example.org", true);
    struct kl_id before = backup_make(fixture, NULL, 0);
    struct retained_somebody of = retained_somebody_make(fixture);
    const struct kms_place place = {of.tenant, of.slot, KMS_VALUE_NONE};
    uint64_t count = 0;

    (void)retained_write_stale(fixture, &of, retained_in_days(30));
    (void)restore_make(fixture, &before);
    assert_int_equal(kms_place_check(fixture_vault(fixture)->keys, &place, NULL), KL_OK);
    assert_int_equal(finish(fixture, false, 0, &count, NULL), KL_OK);
    assert_int_equal(finish(fixture, true, count, &count, NULL), KL_OK);
    assert_int_equal(kms_place_check(fixture_vault(fixture)->keys, &place, NULL), KL_ERR_GONE);
    restore_assert_there(fixture, &old, "old@example.org");
}

static bool doctor_says(struct vault_fixture *fixture, const char *piece)
{
    struct kl_buf answer;
    bool says = false;

    kl_buf_init(&answer, 1024 * 1024);
    admin_close(fixture->admin);
    assert_int_equal(vault_doctor(&fixture->admin->options, &answer, NULL), KL_OK);
    admin_reopen(fixture->admin);
    says = strstr((const char *)answer.bytes, piece) != NULL;
    kl_buf_done(&answer);
    return says;
}

static void test_doctor_reminds_of_a_restore_that_is_not_finished(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_restore_result result;
    uint64_t count = 0;

    (void)backup_make(fixture, NULL, 0);
    assert_false(doctor_says(fixture, "\"restore\""));
    result = restore_make(fixture, NULL);
    assert_true(doctor_says(fixture, "\"restore\""));
    assert_int_equal(finish(fixture, true, result.unknown_slots, &count, NULL), KL_OK);
    assert_false(doctor_says(fixture, "\"restore\""));
}

/* ---- a crash ---- */

struct dying {
    unsigned left;
};

static void die(void *context, double done)
{
    struct dying *dying = context;

    (void)done;
    if (dying->left-- == 0) {
        _exit(3);
    }
}

/* The program as a child: data directory, custodian, backups, after how many reports to end. */
static int restore_as_child(char **argv)
{
    struct dying dying = {(unsigned)strtoul(argv[5], NULL, 10)};
    const struct vault_options vault = {
        .data_dir = argv[2], .custodian = argv[3], .accept_f0 = true};
    const struct vault_restore_options options = {
        .vault = &vault, .from = argv[4], .progress = die, .context = &dying};
    struct vault_restore_result result;
    void *unused = NULL;

    (void)admin_group_setup(&unused);
    return vault_restore(&options, &result, NULL) == KL_OK ? 0 : 1;
}

/* Restore in a child that ends after so many reports: a program of its own, as the store's threads do not follow a fork. True: it came to its end. */
static bool restore_and_die(struct vault_fixture *fixture, unsigned reports)
{
    char from[ADMIN_PATH_BYTES];
    char count[16];
    int state = 0;
    pid_t child = -1;

    backup_path(fixture, "", from);
    (void)snprintf(count, sizeof count, "%u", reports);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)execl("/proc/self/exe", "test_restore", "restore", fixture->admin->data,
                    fixture->admin->custodian, from, count, (char *)NULL);
        _exit(9);
    }
    assert_int_equal(waitpid(child, &state, 0), child);
    assert_true(WIFEXITED(state) && (WEXITSTATUS(state) == 0 || WEXITSTATUS(state) == 3));
    return WEXITSTATUS(state) == 0;
}

static void test_a_crash_in_a_restore_leaves_the_old_or_the_new_and_it_goes_on(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result old = fixture_newsletter(fixture, "old@example.org", true);
    struct vault_subject_result erased = fixture_newsletter(fixture, "erased@example.org", true);
    struct vault_subject_result since;
    unsigned reports = 0;
    bool done = false;

    (void)backup_make(fixture, NULL, 0);
    fixture_erase(fixture, &erased.id);
    since = fixture_newsletter(fixture, "since@example.org", true);
    for (reports = 0; !done && reports < 50; reports++) {
        admin_close(fixture->admin);
        done = restore_and_die(fixture, reports);
        admin_reopen(fixture->admin);
        restore_assert_there(fixture, &old, "old@example.org");
        restore_assert_gone(fixture, &erased, "erased@example.org");
        if (!done && reports == 0) {
            restore_assert_there(fixture, &since, "since@example.org");
        }
    }
    assert_true(done);
    restore_assert_gone(fixture, &since, "since@example.org");
}

/* ---- what is refused ---- */

static void test_a_damaged_backup_changes_nothing(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct kl_id id = backup_make(fixture, NULL, 0);
    struct vault_subject_result since = fixture_newsletter(fixture, "eva@example.org", true);
    struct vault_restore_result result = {.subjects = 77};
    struct kl_err err = {0};
    char name[KL_ID_TEXT_BYTES];

    kl_id_format(VAULT_BACKUP_PREFIX, &id, name);
    backup_flip(fixture, name);
    assert_int_equal(restore_try(fixture, NULL, &result, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "backup_damaged");
    assert_int_equal(result.subjects, 77);
    restore_assert_there(fixture, &made, "ana@example.org");
    restore_assert_there(fixture, &since, "eva@example.org");
    assert_int_equal(fixture_trail(fixture, "\"action\":\"data_restored\""), 0);
}

static void test_nothing_is_restored_while_a_server_holds_the_vault(void **state)
{
    struct vault_fixture *fixture = *state;
    char from[ADMIN_PATH_BYTES];
    const struct vault_restore_options options = {.vault = &fixture->admin->options, .from = from};
    struct vault_restore_result result;
    struct kl_err err = {0};
    struct vault_restore_aside aside = {0};

    (void)backup_make(fixture, NULL, 0);
    backup_path(fixture, "", from);
    assert_int_equal(vault_restore(&options, &result, &err), KL_ERR_BUSY);
    assert_string_equal(err.code, "store_in_use");
    assert_int_equal(vault_restore_finish(&fixture->admin->options, false, 0, &aside, NULL),
                     KL_ERR_BUSY);
}

static void test_what_is_no_backup_of_this_vault_is_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_country ireland = {"IE"};
    unsigned char other[KMS_STORE_ID_BYTES] = {7};
    struct vault_restore_result result;
    struct kl_id nobody = kl_id_new();
    struct kl_err err = {0};
    char dir[ADMIN_PATH_BYTES];
    int fd = -1;

    assert_int_equal(restore_try(fixture, NULL, &result, &err), KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "backup_directory");
    kl_err_clear(&err);
    backup_path(fixture, "", dir);
    assert_int_equal(vault_backup_directory_make(dir, &fd, NULL), KL_OK);
    assert_int_equal(vault_backup_directory_take(fd, other, ireland, NULL), KL_OK);
    vault_backup_dir_close(fd);
    assert_int_equal(restore_try(fixture, NULL, &result, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "backup_other_store");
    kl_err_clear(&err);
    admin_remove(dir);
    assert_int_equal(vault_backup_directory_make(dir, &fd, NULL), KL_OK);
    assert_int_equal(
        vault_backup_directory_take(fd, fixture_vault(fixture)->store_id, ireland, NULL), KL_OK);
    vault_backup_dir_close(fd);
    assert_int_equal(restore_try(fixture, NULL, &result, &err), KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "no_backup");
    kl_err_clear(&err);
    (void)backup_make(fixture, NULL, 0);
    assert_int_equal(restore_try(fixture, &nobody, &result, &err), KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "no_backup");
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, vault_fixture_teardown)

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "restore") == 0) {
        return restore_as_child(argv);
    }
    const struct CMUnitTest tests[] = {
        WITH(test_everybody_comes_back_but_those_erased_since),
        WITH(test_what_was_closed_since_stays_closed),
        WITH(test_a_rotation_of_then_does_not_go_on_by_itself),
        WITH(test_no_value_slot_is_used_twice_after_a_restore),
        WITH(test_an_erasure_and_a_restore_in_one_bucket),
        WITH(test_the_wrong_backup_and_then_the_right_one),
        WITH(test_finishing_shreds_what_the_backup_did_not_know_and_nobody_else),
        WITH(test_who_was_to_be_kept_by_an_erasure_that_never_came_is_set_aside),
        WITH(test_doctor_reminds_of_a_restore_that_is_not_finished),
        WITH(test_a_crash_in_a_restore_leaves_the_old_or_the_new_and_it_goes_on),
        WITH(test_a_damaged_backup_changes_nothing),
        WITH(test_nothing_is_restored_while_a_server_holds_the_vault),
        WITH(test_what_is_no_backup_of_this_vault_is_refused),
    };
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
