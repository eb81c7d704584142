#include "tests/support/backup_fixture.h"

#include "tests/support/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void backup_path(struct vault_fixture *fixture, const char *name, char ret[ADMIN_PATH_BYTES])
{
    char inside[ADMIN_PATH_BYTES];

    (void)snprintf(inside, sizeof inside, "backups%s%s", name[0] == '\0' ? "" : "/", name);
    fixture_path(fixture, inside, ret);
}

static struct kl_id id_of(struct kl_slice text, const char *prefix)
{
    struct kl_json *json = NULL;
    struct kl_id id;

    assert_int_equal(kl_json_parse(text.bytes, text.size, &json, NULL), KL_OK);
    assert_int_equal(
        kl_id_parse(prefix, kl_json_text(kl_json_member(kl_json_root(json), "id")), &id, NULL),
        KL_OK);
    kl_json_free(json);
    return id;
}

enum kl_status backup_ask(struct vault_fixture *fixture, const struct vault_backup_input *input,
                          struct kl_id *ret_id)
{
    struct vault_caller caller = admin_operator(fixture->admin);
    struct kl_buf answer;
    bool replayed = false;
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    kl_buf_init(&answer, 65536);
    status = vault_backup_create(fixture_vault(fixture), &caller, input, NULL, &answer, &replayed,
                                 &fixture->err);
    if (status == KL_OK && ret_id != NULL) {
        *ret_id = id_of(kl_buf_slice(&answer), VAULT_BACKUP_PREFIX);
    }
    kl_buf_done(&answer);
    vault_caller_done(&caller);
    return status;
}

struct kl_json *backup_job(struct vault_fixture *fixture, const struct kl_id *id, bool verification)
{
    struct vault_caller caller;
    struct kl_json *json = NULL;
    struct kl_buf answer;
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    if (vault_upkeep_run(fixture_vault(fixture), &fixture->err) != KL_OK) {
        kl_err_clear(&fixture->err); /* a job that fails says so itself */
    }
    caller = admin_operator(fixture->admin);
    kl_buf_init(&answer, 65536);
    status =
        verification
            ? vault_backup_verification(fixture_vault(fixture), &caller, id, &answer, &fixture->err)
            : vault_backup_show(fixture_vault(fixture), &caller, id, &answer, &fixture->err);
    if (status != KL_OK) {
        fail_msg("no job: %s", fixture->err.code);
    }
    assert_int_equal(kl_json_parse(answer.bytes, answer.size, &json, NULL), KL_OK);
    kl_buf_done(&answer);
    vault_caller_done(&caller);
    return json;
}

void backup_assert_text(const struct kl_json *job, const char *member, const char *text)
{
    const struct kl_json_value *value = kl_json_member(kl_json_root(job), member);
    struct kl_buf all;

    if (kl_json_text(value) == NULL || strcmp(kl_json_text(value), text) != 0) {
        kl_buf_init(&all, 65536);
        kl_json_write_value(&all, kl_json_root(job));
        fail_msg("%s is not %s in %s", member, text, (const char *)all.bytes);
    }
}

int64_t backup_number(const struct kl_json *job, const char *member)
{
    int64_t number = -1;

    assert_true(kl_json_int(kl_json_member(kl_json_root(job), member), &number));
    return number;
}

struct kl_id backup_make(struct vault_fixture *fixture, const char *directory, uint32_t keep)
{
    char path[ADMIN_PATH_BYTES];
    struct vault_backup_input input = {.directory = directory, .country = "IE", .keep = keep};
    struct kl_json *job = NULL;
    struct kl_id id;

    if (directory == NULL) {
        backup_path(fixture, "", path);
        input.directory = path;
    }
    if (backup_ask(fixture, &input, &id) != KL_OK) {
        fail_msg("not asked: %s %s %s", fixture->err.code, fixture->err.client_text,
                 fixture->err.log_text);
    }
    job = backup_job(fixture, &id, false);
    backup_assert_text(job, "state", "done");
    kl_json_free(job);
    return id;
}

struct kl_json *backup_verify(struct vault_fixture *fixture, const struct kl_id *backup)
{
    struct vault_caller caller = admin_operator(fixture->admin);
    struct kl_buf answer;
    bool replayed = false;
    struct kl_id id;

    kl_err_clear(&fixture->err);
    kl_buf_init(&answer, 65536);
    if (vault_backup_verify(fixture_vault(fixture), &caller, backup, NULL, NULL, &answer, &replayed,
                            &fixture->err) != KL_OK) {
        fail_msg("not asked: %s", fixture->err.code);
    }
    id = id_of(kl_buf_slice(&answer), VAULT_VERIFICATION_PREFIX);
    kl_buf_done(&answer);
    vault_caller_done(&caller);
    return backup_job(fixture, &id, true);
}

void backup_flip(struct vault_fixture *fixture, const char *folder)
{
    char path[ADMIN_PATH_BYTES];
    char file[ADMIN_PATH_BYTES + 256];
    char largest[ADMIN_PATH_BYTES + 256] = "";
    const struct dirent *entry = NULL;
    struct stat info;
    off_t bytes = 0;
    unsigned char byte = 0;
    DIR *dir = NULL;
    int fd = -1;

    backup_path(fixture, folder, path);
    dir = opendir(path);
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        (void)snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (stat(file, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > bytes) {
            bytes = info.st_size;
            memcpy(largest, file, sizeof file);
        }
    }
    (void)closedir(dir);
    fd = open(largest, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, bytes / 2), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, bytes / 2), 1);
    assert_int_equal(close(fd), 0);
}

/* ---- restores ---- */

/* The vault is closed before and open after. */
enum kl_status restore_try(struct vault_fixture *fixture, const struct kl_id *backup,
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

struct vault_restore_result restore_make(struct vault_fixture *fixture, const struct kl_id *backup)
{
    struct vault_restore_result result = {0};
    struct kl_err err = {0};

    if (restore_try(fixture, backup, &result, &err) != KL_OK) {
        fail_msg("not restored: %s %s (%s)", err.code, err.client_text, err.log_text);
    }
    return result;
}

void restore_assert_there(struct vault_fixture *fixture, const struct vault_subject_result *made,
                          const char *email)
{
    struct vault_subject_result read = {0};

    assert_int_equal(fixture_read(fixture, "reader", &made->id, "support", &read), KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "email"), email));
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", email, NULL), 1);
}

void restore_assert_gone(struct vault_fixture *fixture, const struct vault_subject_result *made,
                         const char *email)
{
    struct vault_subject_result read = {0};

    assert_int_equal(fixture_read(fixture, "reader", &made->id, "support", &read),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", email, NULL), 0);
}

/* Callers made after a backup would not be known to it. */
void restore_callers_make(struct vault_fixture *fixture)
{
    static const char *const roles[] = {"reader", "writer", "dpo"};
    size_t i;

    for (i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        struct vault_caller caller = fixture_caller(fixture, roles[i]);

        vault_caller_done(&caller);
    }
}
