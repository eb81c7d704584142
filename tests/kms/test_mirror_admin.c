/* Mirrors come and go: what is refused, what an interruption leaves, and what a dropped one still holds. */
#include "tests/support/mirror_fixture.h"

#include "kms/format.h"
#include "tests/support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- adding ---- */

static void refuse_add(struct mirror_fixture *fixture, const char *dir, const char *label,
                       enum kl_status status, const char *code)
{
    unsigned char id[KMS_MIRROR_ID_BYTES] = "untouched";
    struct kl_err err = {0};

    assert_int_equal(kms_mirror_add(fixture->kms->kms, dir, label, id, &err), status);
    assert_string_equal(err.code, code);
    assert_string_equal((const char *)id, "untouched");
}

static void test_add_refuses_what_does_not_fit(void **state)
{
    struct mirror_fixture *fixture = *state;
    char long_dir[KMS_MIRROR_DIR_MAX_BYTES + 2];
    char long_label[KMS_MIRROR_LABEL_MAX_BYTES + 2];
    char path[MIRROR_FIXTURE_PATH_BYTES];
    struct kms_state now;

    memset(long_dir, 'd', sizeof long_dir - 1);
    long_dir[0] = '/';
    long_dir[sizeof long_dir - 1] = '\0';
    memset(long_label, 'l', sizeof long_label - 1);
    long_label[sizeof long_label - 1] = '\0';
    refuse_add(fixture, "relative", "", KL_ERR_INVALID, "mirror_dir");
    refuse_add(fixture, long_dir, "", KL_ERR_INVALID, "mirror_dir");
    mirror_fixture_path(fixture, "m0", "", path);
    refuse_add(fixture, path, long_label, KL_ERR_INVALID, "mirror_label");
    refuse_add(fixture, fixture->kms->folder, "", KL_ERR_EXISTS, "mirror_exists");
    mirror_fixture_path(fixture, "m0/deeper", "", path);
    refuse_add(fixture, path, "", KL_ERR_IO, "mirror_io");
    kms_fixture_close(fixture->kms);
    mirror_fixture_path(fixture, "m0", "", path);
    assert_int_equal(mkdir(path, 0700), 0);
    fixture->kms->options.custodian.forbidden_dir = path;
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    refuse_add(fixture, path, "", KL_ERR_INVALID, "mirror_dir");
    kms_state(fixture->kms->kms, &now);
    assert_int_equal(now.mirrors, 0);
    fixture->kms->options.custodian.forbidden_dir = NULL;
}

static void test_add_refuses_a_folder_that_others_may_write_to(void **state)
{
    struct mirror_fixture *fixture = *state;
    char path[MIRROR_FIXTURE_PATH_BYTES];
    unsigned char id[KMS_MIRROR_ID_BYTES];

    mirror_fixture_path(fixture, "m0", "", path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chmod(path, 0770), 0);
    refuse_add(fixture, path, "", KL_ERR_CONFLICT, "mirror_dir_unsafe");
    assert_int_equal(chmod(path, 01777), 0);
    refuse_add(fixture, path, "", KL_ERR_CONFLICT, "mirror_dir_unsafe");
    assert_int_equal(chmod(path, 0700), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 65534, 65534), 0);
        refuse_add(fixture, path, "", KL_ERR_CONFLICT, "mirror_dir_unsafe");
        assert_int_equal(chown(path, 0, 0), 0);
    }
    assert_int_equal(kms_mirror_add(fixture->kms->kms, path, "IE", id, NULL), KL_OK);
}

/* Somebody puts something in the place of the root file after the folder was found empty: when its rows are opened. */
struct trap {
    char victim[MIRROR_FIXTURE_PATH_BYTES];
    char root[MIRROR_FIXTURE_PATH_BYTES];
    enum trap_kind { TRAP_LINK, TRAP_HARD_LINK, TRAP_OPEN_FILE } kind;
};

static void victim_write(const char *path)
{
    unsigned char bytes[KMS_ROOT_FILE_BYTES];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    memset(bytes, 'v', sizeof bytes);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, sizeof bytes), sizeof bytes);
    assert_int_equal(close(fd), 0);
}

static void assert_whole(const char *path)
{
    unsigned char bytes[KMS_ROOT_FILE_BYTES];
    int fd = open(path, O_RDONLY);
    size_t i;

    assert_true(fd >= 0);
    assert_int_equal(read(fd, bytes, sizeof bytes), sizeof bytes);
    assert_int_equal(close(fd), 0);
    for (i = 0; i < sizeof bytes; i++) {
        assert_int_equal(bytes[i], 'v');
    }
}

static void spring(void *context)
{
    const struct trap *trap = context;
    struct stat facts;

    if (lstat(trap->root, &facts) == 0) {
        return; /* opened anew */
    }
    if (trap->kind == TRAP_LINK) {
        assert_int_equal(symlink(trap->victim, trap->root), 0);
    } else if (trap->kind == TRAP_HARD_LINK) {
        assert_int_equal(link(trap->victim, trap->root), 0);
    } else {
        victim_write(trap->root);
        assert_int_equal(chmod(trap->root, 0644), 0); /* not as a root file is made */
    }
}

static void test_joining_overwrites_nothing_that_is_not_its_own(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    struct trap trap = {.kind = TRAP_LINK};
    struct kl_err err = {0};
    char path[MIRROR_FIXTURE_PATH_BYTES];
    char name[16];
    int kind;

    for (kind = TRAP_LINK; kind <= TRAP_OPEN_FILE; kind++) {
        trap.kind = (enum trap_kind)kind;
        (void)snprintf(name, sizeof name, "m%d", kind);
        mirror_fixture_path(fixture, "victim", "", trap.victim);
        (void)unlink(trap.victim);
        victim_write(trap.victim);
        mirror_fixture_path(fixture, name, "root", trap.root);
        mirror_fixture_path(fixture, name, "", path);
        mirror_disks_at_open(fixture->disks, spring, &trap);
        kl_err_clear(&err);
        assert_int_equal(kms_mirror_add(fixture->kms->kms, path, "IE", id, &err), KL_ERR_REFUSED);
        assert_string_equal(err.code, "root_file_foreign");
        assert_whole(trap.kind == TRAP_OPEN_FILE ? trap.root : trap.victim);
        assert_int_equal(access(trap.root, F_OK), 0); /* and it stays, to be looked at */
        mirror_disks_at_open(fixture->disks, NULL, NULL);
    }
}

static void test_there_are_no_more_mirrors_than_allowed(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    char name[8];
    char path[MIRROR_FIXTURE_PATH_BYTES];

    for (unsigned i = 0; i < KMS_MIRRORS_MAX; i++) {
        (void)snprintf(name, sizeof name, "m%u", i);
        mirror_fixture_add(fixture, name, id);
    }
    mirror_fixture_path(fixture, "m8", "", path);
    refuse_add(fixture, path, "", KL_ERR_TOO_LARGE, "mirrors_too_many");
    assert_int_equal(mirror_fixture_shred(fixture, 70), KL_OK);
    for (unsigned i = 0; i < KMS_MIRRORS_MAX; i++) {
        (void)snprintf(name, sizeof name, "m%u", i);
        mirror_fixture_assert_in_step(fixture, name);
    }
}

static void test_a_mirror_that_cannot_be_made_leaves_nothing(void **state)
{
    struct mirror_fixture *fixture = *state;
    char path[MIRROR_FIXTURE_PATH_BYTES];
    struct kms_state now;

    mirror_disks_reachable(fixture->disks, false);
    mirror_fixture_path(fixture, "m0", "", path);
    refuse_add(fixture, path, "", KL_ERR_IO, "injected");
    kms_state(fixture->kms->kms, &now);
    assert_int_equal(now.mirrors, 0);
    assert_int_equal(mirror_fixture_shred(fixture, 70), KL_OK);
    mirror_disks_reachable(fixture->disks, true);
    kms_fixture_reopen(fixture->kms);
    kms_state(fixture->kms->kms, &now);
    assert_int_equal(now.mirrors, 0);
}

/* The process dies after the mirror was copied and before it is a member: at the next start it is made anew. */
static void test_an_interrupted_joining_is_done_again_at_open(void **state)
{
    struct mirror_fixture *fixture = *state;
    struct kms_hooks hooks = {.fatal = kms_fixture_fatal};
    unsigned char id[KMS_MIRROR_ID_BYTES];
    unsigned char before[KMS_FIXTURE_ROOT_BYTES];
    unsigned char after[KMS_FIXTURE_ROOT_BYTES];
    char path[MIRROR_FIXTURE_PATH_BYTES];

    kms_hooks_set(fixture->kms->kms, &hooks);
    memory_storage_fail_apply(fixture->kms->storage, 2, false);
    mirror_fixture_path(fixture, "m0", "", path);
    assert_int_equal(kms_mirror_add(fixture->kms->kms, path, "IE", id, NULL), KL_ERR_IO);
    mirror_fixture_root_read(fixture, "m0", before);
    kms_fixture_reopen(fixture->kms);
    mirror_fixture_assert_in_step(fixture, "m0");
    mirror_fixture_root_read(fixture, "m0", after);
    assert_memory_not_equal(before, after, KMS_ROOT_SLOT_BYTES); /* the staged key is a fresh one */
    assert_int_equal(mirror_fixture_shred(fixture, 70), KL_OK);
    mirror_fixture_assert_in_step(fixture, "m0");
}

static void interrupt_joining(struct mirror_fixture *fixture)
{
    struct kms_hooks hooks = {.fatal = kms_fixture_fatal};
    unsigned char id[KMS_MIRROR_ID_BYTES];
    char path[MIRROR_FIXTURE_PATH_BYTES];

    kms_hooks_set(fixture->kms->kms, &hooks);
    memory_storage_fail_apply(fixture->kms->storage, 2, false);
    mirror_fixture_path(fixture, "m0", "", path);
    assert_int_equal(kms_mirror_add(fixture->kms->kms, path, "IE", id, NULL), KL_ERR_IO);
    kms_fixture_close(fixture->kms);
}

/* Its volume is not mounted: the root keys that lie there are not destroyed by an empty folder in its place. */
static void test_an_empty_folder_is_not_taken_for_a_mirror_that_was_joining(void **state)
{
    struct mirror_fixture *fixture = *state;
    char folder[MIRROR_FIXTURE_PATH_BYTES];
    char away[MIRROR_FIXTURE_PATH_BYTES];
    char keys[MIRROR_FIXTURE_PATH_BYTES];
    struct memory_storage *rows;

    interrupt_joining(fixture);
    mirror_fixture_path(fixture, "m0", "", folder);
    mirror_fixture_path(fixture, "m1", "", away);
    mirror_fixture_path(fixture, "m0", "keys", keys);
    rows = memory_storage_copy(mirror_fixture_rows(fixture, "m0"));
    mirror_disks_forget(fixture->disks, keys);
    assert_int_equal(rename(folder, away), 0);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    mirror_fixture_assert_unreachable(fixture, 70);
    assert_null(mirror_fixture_rows(fixture, "m0"));
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(rename(away, folder), 0);
    mirror_disks_replace(fixture->disks, keys, rows);
    assert_int_equal(kms_mirrors_retry(fixture->kms->kms), 0);
    assert_int_equal(mirror_fixture_shred(fixture, 70), KL_OK);
    mirror_fixture_assert_in_step(fixture, "m0");
}

/* Else it would be made anew at every start, also when the key store was put back and the mirror is all that is left. */
static void test_an_interrupted_joining_ends_with_a_member(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char root[KMS_FIXTURE_ROOT_BYTES];
    unsigned char mirror[KMS_FIXTURE_ROOT_BYTES];
    unsigned char now[KMS_FIXTURE_ROOT_BYTES];
    struct memory_storage *joining;
    struct memory_storage *joined;
    struct kl_err err = {0};

    interrupt_joining(fixture);
    joining = memory_storage_copy(fixture->kms->storage);
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    mirror_fixture_assert_in_step(fixture, "m0");
    joined = memory_storage_copy(fixture->kms->storage);
    kms_fixture_root_read(fixture->kms, root);
    assert_int_equal(mirror_fixture_shred(fixture, 70), KL_OK);
    kms_fixture_close(fixture->kms);
    mirror_fixture_root_read(fixture, "m0", mirror);
    for (unsigned i = 0; i < 2; i++) {
        mirror_fixture_rows_put_back(fixture, i == 0 ? joined : joining);
        kms_fixture_root_write(fixture->kms, root);
        err = (struct kl_err){0};
        assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, &err),
                         KL_ERR_REFUSED);
        assert_string_equal(err.code, "keys_older_than_mirror");
        mirror_fixture_root_read(fixture, "m0", now);
        assert_memory_equal(now, mirror, sizeof now);
    }
}

/* ---- dropping ---- */

/* It hangs in the last step of coming back, which nobody else may take meanwhile: those that wait for it can be dropped. */
static void test_a_mirror_can_be_dropped_while_another_hangs(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char ids[2][KMS_MIRROR_ID_BYTES];
    bool destroyed = true;

    mirror_fixture_add(fixture, "m0", ids[0]);
    mirror_fixture_add(fixture, "m1", ids[1]);
    mirror_fixture_hurry(fixture);
    kms_fixture_close(fixture->kms);
    mirror_disks_hang(fixture->disks, mirror_fixture_rows(fixture, "m0"));
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, NULL), KL_OK);
    (void)kms_mirrors_retry(fixture->kms->kms);
    assert_int_equal(kms_mirror_drop(fixture->kms->kms, ids[1], true, &destroyed, NULL), KL_OK);
    assert_int_equal(kms_mirror_drop(fixture->kms->kms, ids[0], true, &destroyed, NULL), KL_OK);
    assert_false(destroyed);
    assert_int_equal(mirror_fixture_shred(fixture, 70), KL_OK);
    mirror_disks_let_go(fixture->disks);
}

static void test_a_dropped_mirror_holds_no_root_key(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    char path[MIRROR_FIXTURE_PATH_BYTES];
    bool destroyed = false;
    struct kms_state now;
    int fd;
    unsigned char root[KMS_FIXTURE_ROOT_BYTES];
    unsigned char bytes[KMS_FIXTURE_ROOT_BYTES];

    mirror_fixture_add(fixture, "m0", id);
    kms_fixture_root_read(fixture->kms, root);
    mirror_fixture_path(fixture, "m0", "root", path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(kms_mirror_drop(fixture->kms->kms, id, false, &destroyed, NULL), KL_OK);
    assert_true(destroyed);
    assert_int_equal(read(fd, bytes, sizeof bytes), sizeof bytes);
    (void)close(fd);
    assert_null(memmem(bytes, sizeof bytes, mirror_fixture_slot_key(root, 1), 32));
    assert_null(memmem(bytes, sizeof bytes, mirror_fixture_slot_key(root, 2), 32));
    assert_int_equal(access(path, F_OK), -1);
    kms_state(fixture->kms->kms, &now);
    assert_int_equal(now.mirrors, 0);
    assert_int_equal(mirror_fixture_shred(fixture, 70), KL_OK);
    kms_fixture_reopen(fixture->kms);
    kms_state(fixture->kms->kms, &now);
    assert_int_equal(now.mirrors, 0);
    assert_int_equal(kms_mirror_drop(fixture->kms->kms, id, true, &destroyed, NULL),
                     KL_ERR_NOT_FOUND);
}

static void test_a_mirror_that_does_not_answer_is_dropped_only_when_declared(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    bool destroyed = true;
    struct kl_err err = {0};
    struct memory_storage *rows;

    mirror_fixture_add(fixture, "m0", id);
    mirror_fixture_hurry(fixture);
    rows = mirror_fixture_rows(fixture, "m0");
    mirror_disks_hang(fixture->disks, rows);
    assert_int_equal(mirror_fixture_shred(fixture, 70), KL_OK);
    assert_int_equal(kms_mirror_drop(fixture->kms->kms, id, false, &destroyed, &err),
                     KL_ERR_REFUSED);
    assert_string_equal(err.code, "mirror_not_destroyed");
    assert_true(destroyed);
    mirror_fixture_assert_unreachable(fixture, 71);
    assert_int_equal(kms_mirror_drop(fixture->kms->kms, id, true, &destroyed, NULL), KL_OK);
    assert_false(destroyed);
    assert_int_equal(mirror_fixture_shred(fixture, 71), KL_OK);
    mirror_disks_let_go(fixture->disks);
}

/* The process dies after the root file was destroyed and before the mirror is forgotten. */
static void test_an_interrupted_drop_can_be_done_again(void **state)
{
    struct mirror_fixture *fixture = *state;
    struct kms_hooks hooks = {.fatal = kms_fixture_fatal};
    unsigned char id[KMS_MIRROR_ID_BYTES];
    bool destroyed = false;

    mirror_fixture_add(fixture, "m0", id);
    kms_hooks_set(fixture->kms->kms, &hooks);
    memory_storage_fail_apply(fixture->kms->storage, 1, false);
    assert_int_equal(kms_mirror_drop(fixture->kms->kms, id, false, &destroyed, NULL), KL_ERR_IO);
    assert_false(destroyed);
    kms_fixture_reopen(fixture->kms);
    mirror_fixture_assert_out_of_step(fixture, "was destroyed");
    assert_int_equal(kms_mirror_drop(fixture->kms->kms, id, false, &destroyed, NULL), KL_OK);
    assert_true(destroyed);
}

static void test_without_a_source_every_mirror_is_out_of_step(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];

    mirror_fixture_add(fixture, "m0", id);
    fixture->kms->options.mirrors = NULL;
    kms_fixture_reopen(fixture->kms);
    mirror_fixture_assert_out_of_step(fixture, "cannot be opened");
    mirror_fixture_assert_unreachable(fixture, 70);
}

static void test_a_damaged_row_of_a_mirror_is_refused(void **state)
{
    struct mirror_fixture *fixture = *state;
    struct kl_err err = {0};

    kms_fixture_close(fixture->kms);
    memory_storage_put(fixture->kms->storage, kl_slice_text("X123456789012345678"),
                       kl_slice_text("rubbish"));
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "key_mirror_corrupt");
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, mirror_fixture_setup, mirror_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_add_refuses_what_does_not_fit),
        TEST(test_add_refuses_a_folder_that_others_may_write_to),
        TEST(test_joining_overwrites_nothing_that_is_not_its_own),
        TEST(test_there_are_no_more_mirrors_than_allowed),
        TEST(test_a_mirror_that_cannot_be_made_leaves_nothing),
        TEST(test_an_interrupted_joining_is_done_again_at_open),
        TEST(test_an_empty_folder_is_not_taken_for_a_mirror_that_was_joining),
        TEST(test_an_interrupted_joining_ends_with_a_member),
        TEST(test_a_mirror_can_be_dropped_while_another_hangs),
        TEST(test_a_dropped_mirror_holds_no_root_key),
        TEST(test_a_mirror_that_does_not_answer_is_dropped_only_when_declared),
        TEST(test_an_interrupted_drop_can_be_done_again),
        TEST(test_without_a_source_every_mirror_is_out_of_step),
        TEST(test_a_damaged_row_of_a_mirror_is_refused),
    };

    return cmocka_run_group_tests_name("mirror_admin", tests, NULL, NULL);
}
