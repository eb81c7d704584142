/* A backup put back: who comes back, what stays closed, what is set aside, and a crash at any point of it. */
#include "tests/support/backup_fixture.h"

#include "kluis/base/file.h"
#include "kluis/vault/restore.h"
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

/* Callers made after a backup would not be known to it. */
static void make_callers(struct vault_fixture *fixture)
{
    static const char *const roles[] = {"reader", "writer", "dpo"};
    size_t i;

    for (i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        struct vault_caller caller = fixture_caller(fixture, roles[i]);

        vault_caller_done(&caller);
    }
}

static int setup(void **state)
{
    assert_int_equal(vault_fixture_setup(state), 0);
    make_callers(*state);
    return 0;
}

/* The vault is closed before and open after. */
static enum kl_status try_restore(struct vault_fixture *fixture, const struct kl_id *backup,
                                  struct vault_restore_result *ret, struct kl_err *err)
{
    char from[ADMIN_PATH_BYTES];
    const struct vault_restore_options options = {
        .vault = &fixture->admin->options, .from = from, .backup = backup};
    enum kl_status status = KL_OK;

    backup_path(fixture, "", from);
    admin_close(fixture->admin);
    status = vault_restore(&options, ret, err);
    admin_reopen(fixture->admin);
    return status;
}

static struct vault_restore_result restore(struct vault_fixture *fixture,
                                           const struct kl_id *backup)
{
    struct vault_restore_result result = {0};
    struct kl_err err = {0};

    if (try_restore(fixture, backup, &result, &err) != KL_OK) {
        fail_msg("not restored: %s %s (%s)", err.code, err.client_text, err.log_text);
    }
    return result;
}

static enum kl_status finish(struct vault_fixture *fixture, bool confirm, uint64_t count,
                             uint64_t *ret_count, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    admin_close(fixture->admin);
    status = vault_restore_finish(&fixture->admin->options, confirm, count, ret_count, err);
    admin_reopen(fixture->admin);
    return status;
}

static void assert_there(struct vault_fixture *fixture, const struct vault_subject_result *made,
                         const char *email)
{
    struct vault_subject_result read = {0};

    assert_int_equal(fixture_read(fixture, "reader", &made->id, "support", &read), KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "email"), email));
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", email, NULL), 1);
}

static void assert_gone(struct vault_fixture *fixture, const struct vault_subject_result *made,
                        const char *email)
{
    struct vault_subject_result read = {0};

    assert_int_equal(fixture_read(fixture, "reader", &made->id, "support", &read),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", email, NULL), 0);
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
    result = restore(fixture, NULL);
    assert_true(kl_id_equal(&result.backup, &backup));
    assert_int_equal(result.subjects, 12);
    assert_int_equal(result.subjects_erased, 1);
    assert_int_equal(result.subjects_unknown, 0);
    assert_int_equal(result.subjects_damaged, 0);
    assert_int_equal(result.values_damaged, 0);
    assert_true(result.taken_us > 0);
    assert_int_equal(access(result.aside, F_OK), 0);
    assert_gone(fixture, &erased, "ana@example.org");
    for (i = 0; i < 12; i++) {
        (void)snprintf(email, sizeof email, "p%zu@example.org", i);
        assert_there(fixture, &people[i], email);
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
    (void)restore(fixture, NULL);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "mailing", &read), KL_OK);
    assert_int_equal(fixture_find(&read, "email")->withheld, VAULT_GATE_CONSENT);
    assert_int_equal(admin_let_in(fixture->admin, revoked.text, NULL), KL_ERR_UNAUTHORISED);
}

static void test_no_value_slot_is_used_twice_after_a_restore(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result read = {0};
    uint32_t restores = fixture_vault(fixture)->restores;

    (void)backup_make(fixture, NULL, 0);
    assert_int_equal(patch_name(fixture, &made, "Eva"), KL_OK);
    (void)restore(fixture, NULL);
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
    (void)restore(fixture, &backup);
    fixture_erase(fixture, &other.id);
    assert_gone(fixture, &one, "one@example.org");
    assert_gone(fixture, &other, "other@example.org");
    assert_there(fixture, &third, "third@example.org");
    later = fixture_newsletter(fixture, "one@example.org", true); /* somebody new */
    (void)restore(fixture, &backup);
    assert_gone(fixture, &other, "other@example.org");
    assert_gone(fixture, &later, "one@example.org");
    assert_there(fixture, &third, "third@example.org");
    fixture_erase(fixture, &third.id);
    assert_gone(fixture, &third, "third@example.org");
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
    result = restore(fixture, &wrong);
    assert_int_equal(result.subjects, 1);
    assert_true(result.unknown_slots >= 2);
    assert_there(fixture, &old, "old@example.org");
    assert_gone(fixture, &newer, "newer@example.org");
    result = restore(fixture, &right);
    assert_int_equal(result.subjects, 2);
    assert_there(fixture, &old, "old@example.org");
    assert_there(fixture, &newer, "newer@example.org");
    assert_gone(fixture, &lost, "lost@example.org");
    /* nothing that comes now gets a slot that was given out */
    lost = fixture_newsletter(fixture, "fresh@example.org", true);
    assert_there(fixture, &lost, "fresh@example.org");
    assert_there(fixture, &newer, "newer@example.org");
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
    result = restore(fixture, &before);
    after = fixture_newsletter(fixture, "after@example.org", true);
    assert_int_equal(finish(fixture, false, 0, &count, &err), KL_OK);
    assert_int_equal(count, result.unknown_slots);
    assert_true(count >= 1);
    assert_int_equal(finish(fixture, true, count + 1, &count, &err), KL_ERR_CONFLICT);
    assert_string_equal(err.code, "count_differs");
    kl_err_clear(&err);
    assert_int_equal(finish(fixture, true, count, &count, &err), KL_OK);
    assert_there(fixture, &old, "old@example.org");
    assert_there(fixture, &after, "after@example.org");
    assert_int_equal(finish(fixture, false, 0, &count, NULL), KL_ERR_NOT_FOUND);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"restore_finish\""), 1);
    assert_true(
        fixture_trail(fixture, "\"action\":\"unknown_slots_shredded\"") +
            admin_trail_count(fixture->admin, true, "\"action\":\"unknown_slots_shredded\"") >=
        1);
    /* the newer backup brings nobody back in them any more; who came after it was not in it either */
    result = restore(fixture, &with);
    assert_int_equal(result.subjects, 1);
    assert_int_equal(result.subjects_erased, 1);
    assert_there(fixture, &old, "old@example.org");
    assert_gone(fixture, &unknown, "unknown@example.org");
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
    result = restore(fixture, NULL);
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
        assert_there(fixture, &old, "old@example.org");
        assert_gone(fixture, &erased, "erased@example.org");
        if (!done && reports == 0) {
            assert_there(fixture, &since, "since@example.org");
        }
    }
    assert_true(done);
    assert_gone(fixture, &since, "since@example.org");
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
    assert_there(fixture, &made, "ana@example.org");
    leave_between(fixture, true, false);
    assert_there(fixture, &made, "ana@example.org");
    leave_between(fixture, true, true);
    assert_there(fixture, &made, "ana@example.org");
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
    assert_int_equal(try_restore(fixture, NULL, &result, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "backup_damaged");
    assert_int_equal(result.subjects, 77);
    assert_there(fixture, &made, "ana@example.org");
    assert_there(fixture, &since, "eva@example.org");
    assert_int_equal(fixture_trail(fixture, "\"action\":\"data_restored\""), 0);
}

static void test_nothing_is_restored_while_a_server_holds_the_vault(void **state)
{
    struct vault_fixture *fixture = *state;
    char from[ADMIN_PATH_BYTES];
    const struct vault_restore_options options = {.vault = &fixture->admin->options, .from = from};
    struct vault_restore_result result;
    struct kl_err err = {0};
    uint64_t count = 0;

    (void)backup_make(fixture, NULL, 0);
    backup_path(fixture, "", from);
    assert_int_equal(vault_restore(&options, &result, &err), KL_ERR_BUSY);
    assert_string_equal(err.code, "store_in_use");
    assert_int_equal(vault_restore_finish(&fixture->admin->options, false, 0, &count, NULL),
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

    assert_int_equal(try_restore(fixture, NULL, &result, &err), KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "backup_directory");
    kl_err_clear(&err);
    backup_path(fixture, "", dir);
    assert_int_equal(vault_backup_directory_take(dir, other, ireland, NULL), KL_OK);
    assert_int_equal(try_restore(fixture, NULL, &result, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "backup_other_store");
    kl_err_clear(&err);
    admin_remove(dir);
    assert_int_equal(
        vault_backup_directory_take(dir, fixture_vault(fixture)->store_id, ireland, NULL), KL_OK);
    assert_int_equal(try_restore(fixture, NULL, &result, &err), KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "no_backup");
    kl_err_clear(&err);
    (void)backup_make(fixture, NULL, 0);
    assert_int_equal(try_restore(fixture, &nobody, &result, &err), KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "no_backup");
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

/* ---- the machine lost ---- */

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
    assert_there(fixture, &kept, "kept@example.org");
    assert_gone(fixture, &erased, "erased@example.org");
    after = fixture_newsletter(fixture, "after@example.org", true);
    assert_there(fixture, &after, "after@example.org");
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

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "restore") == 0) {
        return restore_as_child(argv);
    }
    const struct CMUnitTest tests[] = {
        WITH(test_everybody_comes_back_but_those_erased_since),
        WITH(test_what_was_closed_since_stays_closed),
        WITH(test_no_value_slot_is_used_twice_after_a_restore),
        WITH(test_an_erasure_and_a_restore_in_one_bucket),
        WITH(test_the_wrong_backup_and_then_the_right_one),
        WITH(test_finishing_shreds_what_the_backup_did_not_know_and_nobody_else),
        WITH(test_doctor_reminds_of_a_restore_that_is_not_finished),
        WITH(test_a_crash_in_a_restore_leaves_the_old_or_the_new_and_it_goes_on),
        WITH(test_a_change_of_places_that_was_cut_short_is_done_to_its_end),
        WITH(test_a_damaged_restore_json_is_said),
        WITH(test_a_damaged_backup_changes_nothing),
        WITH(test_nothing_is_restored_while_a_server_holds_the_vault),
        WITH(test_what_is_no_backup_of_this_vault_is_refused),
        WITH(test_keys_older_than_the_backup_are_refused),
        WITH(test_a_backup_and_a_mirror_make_the_vault_again),
        WITH(test_a_directory_without_keys_is_no_mirror),
    };
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
