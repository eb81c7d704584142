/* Backups asked for, made and verified: whose directory, which country, what the manifest says, what a verification finds. */
#include "tests/support/backup_fixture.h"

#include "kluis/base/file.h"
#include "tests/support/test.h"
#include "vault/backup.h"
#include "vault/job.h"
#include "vault/rows.h"
#include "vault/vault_internal.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
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

static int64_t verified_mark(struct vault_fixture *fixture)
{
    struct vault_row_key key = vault_row_meta(VAULT_META_VERIFIED);
    struct kl_buf row;
    int64_t mark = 0;

    kl_buf_init(&row, 16);
    if (vault_store_get(fixture_vault(fixture)->data_store, vault_row_slice(&key), &row, NULL) ==
        KL_OK) {
        mark = (int64_t)kl_get_u64be(row.bytes);
    }
    kl_buf_done(&row);
    return mark;
}

/* ---- what is made ---- */

static void test_a_backup_has_a_signed_manifest_and_every_file(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_backup_manifest manifest;
    struct vault *vault = fixture_vault(fixture);
    struct kms_state keys;
    struct kl_json *job = NULL;
    struct kl_id id;
    char dir[ADMIN_PATH_BYTES];
    struct kl_err err = {0};

    (void)fixture_newsletter(fixture, "ana@example.org", true);
    id = backup_make(fixture, NULL, 0);
    kms_state(vault->keys, &keys);
    backup_path(fixture, "", dir);
    vault_backup_manifest_init(&manifest);
    assert_int_equal(vault_backup_manifest_read(vault->keys, opened(dir), &id, &manifest, &err),
                     KL_OK);
    assert_memory_equal(manifest.stamp.store_id, vault->store_id, KMS_STORE_ID_BYTES);
    assert_string_equal(manifest.country.code, "IE");
    assert_int_equal(manifest.generation, keys.generation);
    assert_true(manifest.files.count >= 3);
    assert_non_null(strstr((const char *)manifest.heads.bytes, "\"default\""));
    job = backup_job(fixture, &id, false);
    backup_assert_text(job, "country", "IE");
    backup_assert_text(job, "directory", dir);
    assert_int_equal(backup_number(job, "files"), manifest.files.count);
    assert_true(backup_number(job, "size") > 0);
    assert_int_equal(kl_json_type(kl_json_member(kl_json_root(job), "verified_at")), KL_JSON_NULL);
    kl_json_free(job);
    vault_backup_manifest_done(&manifest);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"backup_create\""), 1);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"backup_create_done\""),
                     1);
}

static void test_nothing_of_the_keys_is_in_a_backup(void **state)
{
    struct vault_fixture *fixture = *state;
    char dir[ADMIN_PATH_BYTES];
    char keys[ADMIN_PATH_BYTES];
    DIR *folder = NULL;
    const struct dirent *entry = NULL;

    (void)backup_make(fixture, NULL, 0);
    backup_path(fixture, "", dir);
    folder = opendir(dir);
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        assert_true(entry->d_name[0] == '.' || strcmp(entry->d_name, "shared") == 0 ||
                    strcmp(entry->d_name, VAULT_BACKUP_FILE) == 0 ||
                    strncmp(entry->d_name, "bak_", 4) == 0);
    }
    (void)closedir(folder);
    /* what the copy was made from is gone again */
    fixture_path(fixture, "data/backup.tmp", keys);
    assert_int_equal(access(keys, F_OK), -1);
}

static void test_a_changed_manifest_is_no_backup(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_backup_manifest manifest;
    struct kl_id id = backup_make(fixture, NULL, 0);
    char name[KL_ID_TEXT_BYTES];
    char dir[ADMIN_PATH_BYTES];
    char path[ADMIN_PATH_BYTES + 64];
    struct kl_buf text = {0};
    struct kl_err err = {0};
    char *number = NULL;

    id_text(&id, name);
    backup_path(fixture, "", dir);
    (void)snprintf(path, sizeof path, "%s/%s/manifest.json", dir, name);
    assert_int_equal(kl_file_read(path, 1 << 20, &text, NULL), KL_OK);
    number = strstr((char *)text.bytes, "\"generation\":");
    assert_non_null(number);
    number[strlen("\"generation\":")] ^= 1;
    assert_int_equal(kl_file_replace(path, 0600, text.bytes, text.size, NULL), KL_OK);
    vault_backup_manifest_init(&manifest);
    assert_int_equal(
        vault_backup_manifest_read(fixture_vault(fixture)->keys, opened(dir), &id, &manifest, &err),
        KL_ERR_REFUSED);
    assert_string_equal(err.code, "backup_signature");
    kl_err_clear(&err);
    /* without its second line, and cut short */
    assert_int_equal(kl_file_replace(path, 0600, text.bytes, 40, NULL), KL_OK);
    assert_int_equal(
        vault_backup_manifest_read(fixture_vault(fixture)->keys, opened(dir), &id, &manifest, &err),
        KL_ERR_CORRUPT);
    assert_string_equal(err.code, "backup_damaged");
    kl_err_clear(&err);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(
        vault_backup_manifest_read(fixture_vault(fixture)->keys, opened(dir), &id, &manifest, &err),
        KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "no_backup");
    vault_backup_manifest_done(&manifest);
    kl_buf_done(&text);
}

static void test_the_list_has_the_newest_first(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_backup_entry *entries = NULL;
    struct kl_id first = backup_make(fixture, NULL, 0);
    struct kl_id second = backup_make(fixture, NULL, 0);
    struct vault_caller caller = admin_operator(fixture->admin);
    char dir[ADMIN_PATH_BYTES];
    char one[KL_ID_TEXT_BYTES];
    char two[KL_ID_TEXT_BYTES];
    struct kl_buf list;
    size_t count = 0;

    kl_buf_init(&list, 65536);
    assert_int_equal(vault_backup_list(fixture_vault(fixture), &caller, &list, NULL), KL_OK);
    id_text(&first, one);
    id_text(&second, two);
    assert_non_null(strstr((const char *)list.bytes, one));
    assert_true(strstr((const char *)list.bytes, two) < strstr((const char *)list.bytes, one));
    backup_path(fixture, "", dir);
    assert_int_equal(vault_backup_directory_list(opened(dir), &entries, &count, NULL), KL_OK);
    assert_int_equal(count, 2);
    assert_true(kl_id_equal(&entries[0].id, &second));
    free(entries);
    kl_buf_done(&list);
    vault_caller_done(&caller);
}

static void test_old_backups_go_but_the_newest_that_was_verified(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_backup_entry *entries = NULL;
    struct kl_id first = backup_make(fixture, NULL, 0);
    struct kl_json *job = backup_verify(fixture, &first);
    struct kl_id last;
    char dir[ADMIN_PATH_BYTES];
    size_t count = 0;

    backup_assert_text(job, "state", "done");
    kl_json_free(job);
    (void)fixture_newsletter(fixture, "ana@example.org", true);
    (void)backup_make(fixture, NULL, 0);
    last = backup_make(fixture, NULL, 1);
    backup_path(fixture, "", dir);
    assert_int_equal(vault_backup_directory_list(opened(dir), &entries, &count, NULL), KL_OK);
    assert_int_equal(count, 2);
    assert_true(kl_id_equal(&entries[0].id, &last));
    assert_true(kl_id_equal(&entries[1].id, &first));
    free(entries);
    job = backup_verify(fixture, &first);
    backup_assert_text(job, "state", "done");
    kl_json_free(job);
}

static void test_a_job_that_a_crash_left_finds_its_backup_or_makes_it(void **state)
{
    struct vault_fixture *fixture = *state;
    char dir[ADMIN_PATH_BYTES];
    const struct vault_backup_input input = {.directory = dir, .country = "IE", .rate_mib_s = 1};
    struct kl_json *job = NULL;
    struct kl_id id;

    backup_path(fixture, "", dir);
    assert_int_equal(backup_ask(fixture, &input, &id), KL_OK);
    fixture_reopen(fixture);
    job = backup_job(fixture, &id, false);
    backup_assert_text(job, "state", "done");
    kl_json_free(job);
}

static void put_file(const char *dir, const char *name)
{
    char path[ADMIN_PATH_BYTES + 128];

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(kl_file_create(path, 0600, "cut short", 9, NULL), KL_OK);
}

static void test_what_a_crash_in_the_middle_left_is_removed(void **state)
{
    struct vault_fixture *fixture = *state;
    char dir[ADMIN_PATH_BYTES];
    char left[ADMIN_PATH_BYTES];
    char part[ADMIN_PATH_BYTES + 64];
    char name[KL_ID_TEXT_BYTES];
    const struct vault_backup_input input = {.directory = dir, .country = "IE"};
    struct kl_json *job = NULL;
    struct kl_id id;

    backup_path(fixture, "", dir);
    assert_int_equal(backup_ask(fixture, &input, &id), KL_OK);
    id_text(&id, name);
    (void)snprintf(part, sizeof part, "%s/%s.part", dir, name);
    assert_int_equal(mkdir(part, 0700), 0);
    put_file(part, "CURRENT");
    put_file(part, "000099.sst");
    fixture_path(fixture, "data/backup.tmp", left);
    assert_int_equal(mkdir(left, 0700), 0);
    put_file(left, "000099.sst");
    fixture_path(fixture, "data/backup.tmp.tmp", left);
    assert_int_equal(mkdir(left, 0700), 0);
    put_file(left, "000099.sst");
    job = backup_job(fixture, &id, false);
    backup_assert_text(job, "state", "done");
    kl_json_free(job);
    job = backup_verify(fixture, &id);
    backup_assert_text(job, "state", "done");
    kl_json_free(job);
    assert_int_equal(access(left, F_OK), -1);
    fixture_path(fixture, "data/backup.tmp", left);
    assert_int_equal(access(left, F_OK), -1);
    assert_int_equal(access(part, F_OK), -1);
    (void)snprintf(part, sizeof part, "%s/%s/000099.sst", dir, name);
    assert_int_equal(access(part, F_OK), -1);
}

/* ---- where it may lie ---- */

static void test_a_directory_has_to_be_absolute_and_apart_from_the_data(void **state)
{
    struct vault_fixture *fixture = *state;
    const char *data = fixture->admin->data;
    char inside[ADMIN_PATH_BYTES + 64];
    char folder[ADMIN_PATH_BYTES];
    char name[2048] = "/";

    assert_refused(fixture, "backups", "IE", KL_ERR_INVALID, "invalid_directory", "/directory");
    assert_refused(fixture, "", "IE", KL_ERR_INVALID, "invalid_directory", "/directory");
    assert_refused(fixture, data, "IE", KL_ERR_INVALID, "invalid_directory", "/directory");
    (void)snprintf(inside, sizeof inside, "%s/backups", data);
    assert_refused(fixture, inside, "IE", KL_ERR_INVALID, "invalid_directory", "/directory");
    (void)snprintf(inside, sizeof inside, "%s/x/../data/backups", fixture->admin->folder);
    assert_refused(fixture, inside, "IE", KL_ERR_INVALID, "invalid_directory", "/directory");
    assert_refused(fixture, fixture->admin->folder, "IE", KL_ERR_INVALID, "invalid_directory",
                   "/directory");
    fixture_path(fixture, "link", folder);
    assert_int_equal(symlink(data, folder), 0);
    assert_refused(fixture, folder, "IE", KL_ERR_INVALID, "invalid_directory", "/directory");
    assert_refused(fixture, "/nowhere/at/all", "IE", KL_ERR_INVALID, "invalid_directory",
                   "/directory");
    assert_refused(fixture, "/tmp/a\nb", "IE", KL_ERR_INVALID, "invalid_directory", "/directory");
    memset(name + 1, 'a', sizeof name - 2);
    assert_refused(fixture, name, "IE", KL_ERR_INVALID, "invalid_directory", "/directory");
}

static void test_a_directory_with_something_else_or_anothers_backups_is_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    const struct vault_country ireland = {"IE"};
    unsigned char other[KMS_STORE_ID_BYTES] = {9};
    char dir[ADMIN_PATH_BYTES];
    char file[ADMIN_PATH_BYTES + 32];
    int fd = -1;

    fixture_path(fixture, "full", dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    (void)snprintf(file, sizeof file, "%s/x", dir);
    assert_int_equal(kl_file_create(file, 0600, "x", 1, NULL), KL_OK);
    assert_refused(fixture, dir, "IE", KL_ERR_CONFLICT, "backup_directory_not_empty", "/directory");
    fixture_path(fixture, "other", dir);
    assert_int_equal(vault_backup_directory_make(dir, &fd, NULL), KL_OK);
    assert_int_equal(vault_backup_directory_take(fd, other, ireland, NULL), KL_OK);
    vault_backup_dir_close(fd);
    assert_refused(fixture, dir, "IE", KL_ERR_CONFLICT, "backup_other_store", "/directory");
    fixture_path(fixture, "mine", dir);
    (void)backup_make(fixture, dir, 0);
    assert_refused(fixture, dir, "DE", KL_ERR_CONFLICT, "backup_other_country", "/directory");
    (void)snprintf(file, sizeof file, "%s/%s", dir, VAULT_BACKUP_FILE);
    assert_int_equal(truncate(file, 5), 0);
    assert_refused(fixture, dir, "IE", KL_ERR_CORRUPT, "backup_damaged", "/directory");
}

/* A policy in force looks at mirrors alone: a backup that is under way looks for itself before it gets its name. */
static void test_a_backup_under_way_gets_no_name_where_a_new_policy_forbids_it(void **state)
{
    struct vault_fixture *fixture = *state;
    char dir[ADMIN_PATH_BYTES];
    char name[KL_ID_TEXT_BYTES];
    char path[ADMIN_PATH_BYTES + 64];
    const struct vault_backup_input input = {.directory = dir, .country = "US"};
    char policy[8192];
    const char *line = "  transfers:\n";
    const char *at = strstr(vault_policy_text, line) + strlen(line);
    struct vault *vault = fixture_vault(fixture);
    enum kl_status status = KL_OK;
    struct kl_err err = {0};
    struct vault_job job;
    struct kl_id id;
    bool done = false;

    (void)snprintf(policy, sizeof policy, "%.*s    - { to: [US], mechanism: standard_clauses }\n%s",
                   (int)(at - vault_policy_text), vault_policy_text, at);
    (void)admin_apply(fixture->admin, policy);
    fixture_path(fixture, "far", dir);
    assert_int_equal(backup_ask(fixture, &input, &id), KL_OK);
    vault_job_init(&job);
    assert_int_equal(vault_job_read(vault, VAULT_JOB_BACKUP, &id, &job, NULL), KL_OK);
    assert_int_equal(vault_backup_job.step(vault, &job, &done, &err), KL_OK); /* allowed, begun */
    (void)admin_apply(fixture->admin, vault_policy_text);
    while (status == KL_OK && !done) {
        status = vault_backup_job.step(vault, &job, &done, &err);
    }
    assert_int_equal(status, KL_ERR_FORBIDDEN);
    assert_string_equal(err.code, "residency");
    assert_false(done);
    vault_job_done(&job);
    id_text(&id, name);
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(access(path, F_OK), -1);
    (void)snprintf(path, sizeof path, "%s/%s.part", dir, name);
    assert_int_equal(access(path, F_OK), -1); /* nor is it left there */
}

static void test_what_lies_in_the_eea_stays_there_unless_every_policy_allows_it(void **state)
{
    struct vault_fixture *fixture = *state;
    char dir[ADMIN_PATH_BYTES];
    const struct vault_backup_input input = {.directory = dir, .country = "US"};
    char policy[8192];
    const char *line = "  transfers:\n";
    const char *at = NULL;

    fixture_path(fixture, "far", dir);
    assert_refused(fixture, dir, "XX", KL_ERR_INVALID, "invalid_country", "/country");
    /* the policy's transfer to the US is for one purpose, as token: not for everything */
    assert_refused(fixture, dir, "US", KL_ERR_FORBIDDEN, "residency", "/country");
    assert_refused(fixture, dir, "BR", KL_ERR_FORBIDDEN, "residency", "/country");
    assert_int_equal(access(dir, F_OK), -1);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"reason\":\"residency\""), 2);
    at = strstr(vault_policy_text, line) + strlen(line);
    (void)snprintf(policy, sizeof policy, "%.*s    - { to: [US], mechanism: standard_clauses }\n%s",
                   (int)(at - vault_policy_text), vault_policy_text, at);
    (void)admin_apply(fixture->admin, policy);
    assert_int_equal(backup_ask(fixture, &input, NULL), KL_OK);
    assert_refused(fixture, dir, "BR", KL_ERR_FORBIDDEN, "residency", "/country");
    fixture_path(fixture, "near", dir);
    (void)backup_make(fixture, dir, 0);
}

static void test_only_operators_ask_and_look(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller steward = admin_steward(fixture->admin);
    const struct vault_backup_input input = {.directory = "/tmp/x", .country = "IE"};
    struct kl_id id = kl_id_new();
    struct kl_buf answer;
    struct vault *vault = fixture_vault(fixture);
    bool replayed = false;

    kl_buf_init(&answer, 65536);
    assert_int_equal(vault_backup_create(vault, &steward, &input, NULL, &answer, &replayed, NULL),
                     KL_ERR_FORBIDDEN);
    assert_int_equal(vault_backup_list(vault, &steward, &answer, NULL), KL_ERR_FORBIDDEN);
    assert_int_equal(vault_backup_show(vault, &steward, &id, &answer, NULL), KL_ERR_FORBIDDEN);
    assert_int_equal(
        vault_backup_verify(vault, &steward, &id, NULL, NULL, &answer, &replayed, NULL),
        KL_ERR_FORBIDDEN);
    assert_int_equal(vault_backup_verification(vault, &steward, &id, &answer, NULL),
                     KL_ERR_FORBIDDEN);
    assert_int_equal(answer.size, 0);
    vault_caller_done(&steward);
    steward = admin_operator(fixture->admin);
    assert_int_equal(vault_backup_show(vault, &steward, &id, &answer, NULL), KL_ERR_NOT_FOUND);
    assert_int_equal(
        vault_backup_verify(vault, &steward, &id, NULL, NULL, &answer, &replayed, NULL),
        KL_ERR_NOT_FOUND);
    vault_caller_done(&steward);
    kl_buf_done(&answer);
}

static void test_numbers_outside_their_range_are_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_backup_input input = {
        .directory = "/tmp/x", .country = "IE", .keep = VAULT_BACKUP_KEEP_MAX + 1};

    assert_int_equal(backup_ask(fixture, &input, NULL), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_keep");
    input.keep = 0;
    input.rate_mib_s = VAULT_BACKUP_RATE_MAX + 1;
    assert_int_equal(backup_ask(fixture, &input, NULL), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_rate");
}

static void test_a_directory_that_vanished_fails_the_job_and_nothing_else(void **state)
{
    struct vault_fixture *fixture = *state;
    char dir[ADMIN_PATH_BYTES];
    const struct vault_backup_input input = {.directory = dir, .country = "IE"};
    struct vault_subject_result made;
    struct kl_json *job = NULL;
    struct kl_id id;

    backup_path(fixture, "", dir);
    assert_int_equal(backup_ask(fixture, &input, &id), KL_OK);
    admin_remove(dir);
    job = backup_job(fixture, &id, false);
    backup_assert_text(job, "state", "failed");
    backup_assert_text(job, "failed_code", "backup_io");
    kl_json_free(job);
    assert_int_equal(access(dir, F_OK), -1);
    made = fixture_newsletter(fixture, "ana@example.org", true);
    fixture_erase(fixture, &made.id);
    (void)backup_make(fixture, NULL, 0);
}

static void test_a_full_disk_fails_the_job_and_takes_no_room(void **state)
{
    struct vault_fixture *fixture = *state;
    char dir[ADMIN_PATH_BYTES];
    char name[KL_ID_TEXT_BYTES];
    char part[ADMIN_PATH_BYTES + 64];
    const struct vault_backup_input input = {.directory = dir, .country = "IE"};
    struct kl_json *job = NULL;
    struct kl_id id;

    fixture_path(fixture, "small", dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    if (mount("none", dir, "tmpfs", 0, "size=24k,mode=700") != 0) {
        skip();
    }
    (void)fixture_newsletter(fixture, "ana@example.org", true);
    assert_int_equal(backup_ask(fixture, &input, &id), KL_OK);
    job = backup_job(fixture, &id, false);
    backup_assert_text(job, "state", "failed");
    backup_assert_text(job, "failed_code", "backup_disk_full");
    assert_non_null(kl_json_text(kl_json_member(kl_json_root(job), "failed_text")));
    kl_json_free(job);
    id_text(&id, name);
    (void)snprintf(part, sizeof part, "%s/%s.part", dir, name);
    assert_int_equal(access(part, F_OK), -1);
    assert_int_equal(umount2(dir, MNT_DETACH), 0);
    (void)fixture_newsletter(fixture, "eva@example.org", true);
    (void)backup_make(fixture, NULL, 0);
}

/* ---- verifying ---- */

static void test_a_verification_opens_everybody_and_counts_the_erased(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result erased = fixture_newsletter(fixture, "ana@example.org", true);
    struct kl_json *job = NULL;
    struct kl_id id;
    int64_t before = 0;

    (void)fixture_newsletter(fixture, "eva@example.org", true);
    (void)fixture_client(fixture, "client@example.org");
    id = backup_make(fixture, NULL, 0);
    before = verified_mark(fixture);
    fixture_erase(fixture, &erased.id);
    job = backup_verify(fixture, &id);
    backup_assert_text(job, "state", "done");
    assert_int_equal(backup_number(job, "opened"), 2);
    assert_int_equal(backup_number(job, "erased"), 1);
    assert_int_equal(backup_number(job, "unknown"), 0);
    assert_int_equal(backup_number(job, "damaged"), 0);
    /* e-mail, first name, ledger, evidence; e-mail, iban */
    assert_int_equal(backup_number(job, "values"), 6);
    kl_json_free(job);
    assert_int_equal(before, 0);
    assert_true(verified_mark(fixture) > 0);
    job = backup_job(fixture, &id, false);
    assert_non_null(kl_json_text(kl_json_member(kl_json_root(job), "verified_at")));
    kl_json_free(job);
}

static void test_the_mark_of_what_is_verified_never_goes_back(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id first = backup_make(fixture, NULL, 0);
    struct kl_id second = backup_make(fixture, NULL, 0);
    struct kl_json *job = backup_verify(fixture, &second);
    int64_t mark = verified_mark(fixture);

    kl_json_free(job);
    job = backup_verify(fixture, &first);
    backup_assert_text(job, "state", "done");
    kl_json_free(job);
    assert_int_equal(verified_mark(fixture), mark);
}

static void test_a_verification_finds_a_flipped_bit(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_json *job = NULL;
    char name[KL_ID_TEXT_BYTES];
    struct kl_id id;

    (void)fixture_newsletter(fixture, "ana@example.org", true);
    id = backup_make(fixture, NULL, 0);
    id_text(&id, name);
    backup_flip(fixture, name);
    job = backup_verify(fixture, &id);
    backup_assert_text(job, "state", "failed");
    backup_assert_text(job, "failed_code", "backup_damaged");
    kl_json_free(job);
    assert_int_equal(verified_mark(fixture), 0);
    job = backup_job(fixture, &id, false);
    assert_int_equal(kl_json_type(kl_json_member(kl_json_root(job), "verified_at")), KL_JSON_NULL);
    kl_json_free(job);
}

static void test_a_verification_finds_what_was_damaged_before_the_backup(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result damaged = fixture_newsletter(fixture, "ana@example.org", true);
    struct kl_json *job = NULL;
    struct kl_id id;

    (void)fixture_newsletter(fixture, "eva@example.org", true);
    fixture_damage(fixture, &damaged.id);
    id = backup_make(fixture, NULL, 0);
    job = backup_verify(fixture, &id);
    backup_assert_text(job, "state", "failed");
    backup_assert_text(job, "failed_code", "backup_damaged");
    assert_int_equal(backup_number(job, "opened"), 1);
    assert_int_equal(backup_number(job, "damaged"), 1);
    kl_json_free(job);
    assert_int_equal(verified_mark(fixture), 0);
}

static void test_a_backup_that_is_not_done_is_not_verified(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller caller = admin_operator(fixture->admin);
    char dir[ADMIN_PATH_BYTES];
    const struct vault_backup_input input = {.directory = dir, .country = "IE"};
    struct kl_buf answer;
    struct kl_err err = {0};
    struct kl_id id;
    bool replayed = false;

    backup_path(fixture, "", dir);
    assert_int_equal(backup_ask(fixture, &input, &id), KL_OK);
    kl_buf_init(&answer, 65536);
    assert_int_equal(vault_backup_verify(fixture_vault(fixture), &caller, &id, NULL, NULL, &answer,
                                         &replayed, &err),
                     KL_ERR_CONFLICT);
    assert_string_equal(err.code, "backup_not_done");
    assert_int_equal(answer.size, 0);
    kl_buf_done(&answer);
    vault_caller_done(&caller);
}

#define WITH(test) \
    cmocka_unit_test_setup_teardown(test, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_a_backup_has_a_signed_manifest_and_every_file),
        WITH(test_nothing_of_the_keys_is_in_a_backup),
        WITH(test_a_changed_manifest_is_no_backup),
        WITH(test_the_list_has_the_newest_first),
        WITH(test_old_backups_go_but_the_newest_that_was_verified),
        WITH(test_a_job_that_a_crash_left_finds_its_backup_or_makes_it),
        WITH(test_what_a_crash_in_the_middle_left_is_removed),
        WITH(test_a_directory_has_to_be_absolute_and_apart_from_the_data),
        WITH(test_a_directory_with_something_else_or_anothers_backups_is_refused),
        WITH(test_a_backup_under_way_gets_no_name_where_a_new_policy_forbids_it),
        WITH(test_what_lies_in_the_eea_stays_there_unless_every_policy_allows_it),
        WITH(test_only_operators_ask_and_look),
        WITH(test_numbers_outside_their_range_are_refused),
        WITH(test_a_directory_that_vanished_fails_the_job_and_nothing_else),
        WITH(test_a_full_disk_fails_the_job_and_takes_no_room),
        WITH(test_a_verification_opens_everybody_and_counts_the_erased),
        WITH(test_the_mark_of_what_is_verified_never_goes_back),
        WITH(test_a_verification_finds_a_flipped_bit),
        WITH(test_a_verification_finds_what_was_damaged_before_the_backup),
        WITH(test_a_backup_that_is_not_done_is_not_verified),
    };
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
