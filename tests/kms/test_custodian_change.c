/* The root key moves to another custodian, or under another passphrase: afterwards only the new one opens, and a crash leaves one of the two. */
#include "kms/format.h"
#include "tests/support/kms_adversary.h"
#include "tests/support/mirror_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define T 1
#define SLOT_BYTES 4096
#define MOMENTS_MAX 16

static struct kms *kms_of(struct mirror_fixture *fixture)
{
    return fixture->kms->kms;
}

static struct kms_place value_at(uint64_t slot)
{
    return (struct kms_place){T, slot, 3};
}

/* The text of a custodian beside the first root file. */
static const char *custodian_at(struct mirror_fixture *fixture, const char *kind, const char *name)
{
    static char text[MIRROR_FIXTURE_PATH_BYTES + 16];
    char path[MIRROR_FIXTURE_PATH_BYTES];

    mirror_fixture_path(fixture, name, "", path);
    (void)snprintf(text, sizeof text, "%s:%s", kind, path);
    return text;
}

static struct kms_custodian_options options_of(const char *custodian, const char *passphrase)
{
    return (struct kms_custodian_options){.custodian = custodian,
                                          .passphrase = passphrase,
                                          .passphrase_bytes =
                                              passphrase == NULL ? 0 : strlen(passphrase),
                                          .accept_f0 = true,
                                          .argon2_light = true};
}

/* Open with that custodian, into the fixture. */
static enum kl_status open_with(struct mirror_fixture *fixture,
                                const struct kms_custodian_options *custodian, struct kl_err *err)
{
    struct kms_options options = fixture->kms->options;

    options.custodian = *custodian;
    return kms_open(&options, &fixture->kms->kms, err);
}

static void refused(struct mirror_fixture *fixture, const struct kms_custodian_options *custodian,
                    enum kl_status status, const char *code)
{
    struct kl_err err = {0};

    assert_int_equal(open_with(fixture, custodian, &err), status);
    assert_string_equal(err.code, code);
    assert_null(fixture->kms->kms);
}

static void remove_at(struct mirror_fixture *fixture, const char *name)
{
    char path[MIRROR_FIXTURE_PATH_BYTES];

    mirror_fixture_path(fixture, name, "", path);
    (void)unlink(path);
}

static void test_the_root_key_moves_to_another_file(void **state)
{
    struct mirror_fixture *fixture = *state;
    char text[MIRROR_FIXTURE_PATH_BYTES + 16];
    struct kms_custodian_options to;
    struct kms_request note = {.note = "moved", .note_bytes = 5};
    unsigned char before[KMS_FIXTURE_ROOT_BYTES];
    unsigned char after[KMS_FIXTURE_ROOT_BYTES];
    struct kl_buf sealed;
    struct kl_err err = {0};
    int fd = open(fixture->kms->root_path, O_RDONLY | O_CLOEXEC);

    (void)snprintf(text, sizeof text, "%s", custodian_at(fixture, "file", "other"));
    to = options_of(text, NULL);
    kms_fixture_seal(kms_of(fixture), value_at(70), &sealed);
    kms_fixture_root_read(fixture->kms, before);
    assert_int_equal(kms_custodian_change(kms_of(fixture), &to, &note, NULL), KL_OK);
    assert_int_equal(note.ret_generation, 2);
    assert_int_equal(kms_fixture_unseal(kms_of(fixture), value_at(70), &sealed), KL_OK);
    /* What the old file held is overwritten, and the file is gone. */
    assert_int_equal(read(fd, after, sizeof after), sizeof after);
    (void)close(fd);
    assert_null(memmem(after, sizeof after, before + SLOT_BYTES + 88, 32));
    assert_null(memmem(after, sizeof after, before + 88, 32));
    assert_int_equal(access(fixture->kms->root_path, F_OK), -1);
    /* Commits go on there. */
    assert_int_equal(kms_fixture_change(kms_of(fixture), KMS_CHANGE_SHRED, value_at(71)), KL_OK);
    kms_fixture_close(fixture->kms);
    assert_int_equal(open_with(fixture, &fixture->kms->options.custodian, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "custodian_moved");
    assert_non_null(strstr(err.client_text, text));
    assert_int_equal(open_with(fixture, &to, NULL), KL_OK);
    assert_int_equal(kms_fixture_unseal(kms_of(fixture), value_at(70), &sealed), KL_OK);
    /* The old file, put back by somebody, opens nothing. */
    kms_fixture_close(fixture->kms);
    kms_fixture_root_write(fixture->kms, before);
    refused(fixture, &fixture->kms->options.custodian, KL_ERR_REFUSED, "custodian_moved");
    kl_buf_done(&sealed);
    remove_at(fixture, "other");
}

static void test_a_passphrase_is_changed_in_place(void **state)
{
    struct mirror_fixture *fixture = *state;
    struct kms_custodian_options bare = fixture->kms->options.custodian;
    char text[MIRROR_FIXTURE_PATH_BYTES + 16];
    struct kms_custodian_options first;
    struct kms_custodian_options second;
    unsigned char one[KMS_FIXTURE_ROOT_BYTES];
    unsigned char two[KMS_FIXTURE_ROOT_BYTES];
    struct kms_state now;

    (void)snprintf(text, sizeof text, "passphrase:%s", fixture->kms->root_path);
    first = options_of(text, "the first one");
    second = options_of(text, "the second one");
    assert_int_equal(kms_custodian_change(kms_of(fixture), &first, NULL, NULL), KL_OK);
    kms_state(kms_of(fixture), &now);
    assert_string_equal(now.custodian_kind, "passphrase");
    kms_fixture_root_read(fixture->kms, one);
    assert_int_equal(one[9], 2);
    assert_int_equal(one[SLOT_BYTES + 9], 2);
    assert_int_equal(kms_custodian_change(kms_of(fixture), &second, NULL, NULL), KL_OK);
    kms_fixture_root_read(fixture->kms, two);
    assert_null(memmem(two, sizeof two, one + 48, 16)); /* the salt of the first passphrase */
    assert_memory_equal(two + 48, two + SLOT_BYTES + 48, 16);
    kms_fixture_close(fixture->kms);
    refused(fixture, &bare, KL_ERR_INVALID, "custodian_kind");
    refused(fixture, &first, KL_ERR_UNAUTHORISED, "wrong_passphrase");
    assert_int_equal(open_with(fixture, &second, NULL), KL_OK);
    assert_int_equal(kms_custodian_change(kms_of(fixture), &bare, NULL, NULL), KL_OK);
    kms_fixture_close(fixture->kms);
    refused(fixture, &second, KL_ERR_INVALID, "custodian_kind");
    assert_int_equal(open_with(fixture, &bare, NULL), KL_OK);
}

static void test_mirrors_go_along(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    unsigned char before[KMS_FIXTURE_ROOT_BYTES];
    unsigned char after[KMS_FIXTURE_ROOT_BYTES];
    char text[MIRROR_FIXTURE_PATH_BYTES + 16];
    struct kms_custodian_options to;
    struct kms_request note = {0};

    mirror_fixture_add(fixture, "m0", id);
    mirror_fixture_root_read(fixture, "m0", before);
    (void)snprintf(text, sizeof text, "%s", custodian_at(fixture, "passphrase", "other"));
    to = options_of(text, "correct horse");
    assert_int_equal(kms_custodian_change(kms_of(fixture), &to, &note, NULL), KL_OK);
    assert_int_equal(note.ret_mirrors_confirmed, 1);
    mirror_fixture_root_read(fixture, "m0", after);
    assert_int_equal(after[9], 2);
    assert_int_equal(after[SLOT_BYTES + 9], 2);
    assert_null(memmem(after, sizeof after, before + 88, 32));
    assert_null(memmem(after, sizeof after, before + SLOT_BYTES + 88, 32));
    assert_int_equal(mirror_fixture_info(fixture).state, KMS_MIRROR_IN_STEP);
    kms_fixture_close(fixture->kms);
    assert_int_equal(open_with(fixture, &to, NULL), KL_OK);
    assert_int_equal(mirror_fixture_info(fixture).state, KMS_MIRROR_IN_STEP);
    kms_fixture_close(fixture->kms);
    fixture->kms->options.custodian = to;
    assert_int_equal(mirror_fixture_open_mirror(fixture, "m0", NULL), KL_OK);
    remove_at(fixture, "other");
}

/* ---- refused: all is as before ---- */

static void change_refused(struct mirror_fixture *fixture, const struct kms_custodian_options *to,
                           enum kl_status status, const char *code)
{
    struct kl_err err = {0};
    struct kms_state before;
    struct kms_state after;

    kms_state(kms_of(fixture), &before);
    assert_int_equal(kms_custodian_change(kms_of(fixture), to, NULL, &err), status);
    assert_string_equal(err.code, code);
    kms_state(kms_of(fixture), &after);
    assert_int_equal(after.generation, before.generation);
    assert_int_equal(
        kms_fixture_change(kms_of(fixture), KMS_CHANGE_SHRED, value_at(1000 + before.generation)),
        status == KL_ERR_UNAVAILABLE ? KL_ERR_UNAVAILABLE : KL_OK);
}

static enum kl_status prepare_fails(void *context, struct kms_staged *staged, uint64_t generation,
                                    struct kms_request **requests, size_t count, struct kl_err *err)
{
    (void)staged, (void)generation, (void)requests, (void)count;
    return *(bool *)context ? kl_fail(err, KL_ERR_CONFLICT, "told_to", "told to", NULL) : KL_OK;
}

static void test_what_cannot_be_changed_stays_as_it_is(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char id[KMS_MIRROR_ID_BYTES];
    char text[MIRROR_FIXTURE_PATH_BYTES + 16];
    char path[MIRROR_FIXTURE_PATH_BYTES];
    bool fails = true;
    struct kms_hooks hooks = {.context = &fails, .prepare = prepare_fails};
    struct kms_custodian_options to;
    int fd;

    (void)snprintf(text, sizeof text, "%s", custodian_at(fixture, "file", "other"));
    mirror_fixture_path(fixture, "other", "", path);
    to = options_of(text, NULL);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "mine", 4), 4);
    (void)close(fd);
    change_refused(fixture, &to, KL_ERR_EXISTS, "root_file_exists");
    kms_fixture_reopen(fixture->kms);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(unlink(path), 0);

    to = options_of("nonsense", NULL);
    change_refused(fixture, &to, KL_ERR_INVALID, "custodian_invalid");
    to = options_of(custodian_at(fixture, "file", "none/root"), NULL);
    change_refused(fixture, &to, KL_ERR_INVALID, "custodian_invalid");
    to = options_of(custodian_at(fixture, "passphrase", "other"), "short");
    change_refused(fixture, &to, KL_ERR_INVALID, "passphrase_length");

    mirror_fixture_add(fixture, "m0", id);
    to = options_of(text, NULL);
    mirror_disks_reachable(fixture->disks, false);
    memory_storage_fail_apply(mirror_fixture_rows(fixture, "m0"), 1, false);
    assert_int_equal(kms_fixture_change(kms_of(fixture), KMS_CHANGE_SHRED, value_at(64)), KL_OK);
    change_refused(fixture, &to, KL_ERR_UNAVAILABLE, "mirror_unreachable");
    assert_int_equal(access(path, F_OK), -1);
    mirror_disks_reachable(fixture->disks, true);
    assert_int_equal(kms_mirrors_retry(kms_of(fixture)), 0);

    kms_hooks_set(kms_of(fixture), &hooks);
    for (unsigned same = 0; same < 2; same++) {
        char here[MIRROR_FIXTURE_PATH_BYTES + 16];
        struct kl_err err = {0};

        (void)snprintf(here, sizeof here, "passphrase:%s", fixture->kms->root_path);
        to = same ? options_of(here, "correct horse") : options_of(text, NULL);
        fails = true;
        assert_int_equal(kms_custodian_change(kms_of(fixture), &to, NULL, &err), KL_ERR_CONFLICT);
        assert_string_equal(err.code, "told_to");
        assert_int_equal(access(path, F_OK), -1);
        fails = false;
        assert_int_equal(kms_fixture_change(kms_of(fixture), KMS_CHANGE_SHRED, value_at(65 + same)),
                         KL_OK);
        assert_int_equal(mirror_fixture_info(fixture).state, KMS_MIRROR_IN_STEP);
    }
    kms_fixture_reopen(fixture->kms);
    assert_int_equal(mirror_fixture_info(fixture).state, KMS_MIRROR_IN_STEP);
}

/* ---- what a crash leaves ---- */

/* A file as it was at a moment; bytes 0: there was none. */
struct file_then {
    unsigned char bytes[KMS_FIXTURE_ROOT_BYTES];
    bool there;
};

struct moment {
    struct memory_storage *rows;
    struct file_then old_file;
    struct file_then new_file;
};

struct film {
    struct mirror_fixture *fixture;
    char new_path[MIRROR_FIXTURE_PATH_BYTES];
    struct moment moments[MOMENTS_MAX];
    size_t count;
};

static void file_read(const char *path, struct file_then *then)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    then->there = fd >= 0;
    if (fd >= 0) {
        assert_int_equal(read(fd, then->bytes, sizeof then->bytes), sizeof then->bytes);
        (void)close(fd);
    }
}

static void file_write(const char *path, const struct file_then *then)
{
    int fd;

    (void)unlink(path);
    if (!then->there) {
        return;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, then->bytes, sizeof then->bytes), sizeof then->bytes);
    (void)close(fd);
}

static void film_apply(void *watcher, bool after)
{
    struct film *film = watcher;
    struct moment *moment = &film->moments[film->count++];

    (void)after;
    assert_true(film->count <= MOMENTS_MAX);
    moment->rows = memory_storage_copy(film->fixture->kms->storage);
    file_read(film->fixture->kms->root_path, &moment->old_file);
    file_read(film->new_path, &moment->new_file);
}

/* At this moment exactly one of the two opens; then a commit works, and only that one is left. Returns whether it was the new one. */
static bool check_moment(struct film *film, const struct moment *moment,
                         const struct kms_custodian_options *to, const struct kl_buf *sealed)
{
    struct mirror_fixture *fixture = film->fixture;
    const struct kms_custodian_options *from = &fixture->kms->options.custodian;
    bool same = strcmp(film->new_path, fixture->kms->root_path) == 0;
    bool is_new = false;
    enum kl_status statuses[2];

    for (unsigned which = 0; which < 2; which++) {
        struct memory_storage *rows = memory_storage_copy(moment->rows);
        struct kms_options options = fixture->kms->options;
        struct kl_err err = {0};

        options.storage = memory_storage_face(rows);
        options.custodian = which == 0 ? *from : *to;
        file_write(fixture->kms->root_path, &moment->old_file);
        if (!same) {
            file_write(film->new_path, &moment->new_file);
        }
        statuses[which] = kms_open(&options, &fixture->kms->kms, &err);
        if (statuses[which] == KL_OK) {
            is_new = which == 1;
            assert_int_equal(kms_fixture_unseal(kms_of(fixture), value_at(70), sealed), KL_OK);
            assert_int_equal(kms_fixture_change(kms_of(fixture), KMS_CHANGE_SHRED, value_at(71)),
                             KL_OK);
            assert_int_equal(
                access(which == 0 ? film->new_path : fixture->kms->root_path, F_OK) == 0, same);
            kms_fixture_close(fixture->kms);
            assert_int_equal(kms_open(&options, &fixture->kms->kms, NULL), KL_OK);
            kms_fixture_close(fixture->kms);
        } else if (!same && moment->new_file.there) {
            assert_string_equal(err.code, "custodian_moved");
        }
        memory_storage_free(rows);
    }
    assert_true((statuses[0] == KL_OK) != (statuses[1] == KL_OK));
    return is_new;
}

static void film_change(struct mirror_fixture *fixture, const struct kms_custodian_options *to,
                        const char *new_path, size_t moments)
{
    struct film *film = test_calloc(1, sizeof *film);
    struct kl_buf sealed;
    size_t new_ones = 0;

    film->fixture = fixture;
    (void)snprintf(film->new_path, sizeof film->new_path, "%s", new_path);
    kms_fixture_seal(kms_of(fixture), value_at(70), &sealed);
    memory_storage_watch_applies(fixture->kms->storage, film_apply, film);
    assert_int_equal(kms_custodian_change(kms_of(fixture), to, NULL, NULL), KL_OK);
    memory_storage_watch_applies(fixture->kms->storage, NULL, NULL);
    kms_fixture_close(fixture->kms);
    assert_int_equal(film->count, moments);
    for (size_t i = 0; i < film->count; i++) {
        bool is_new = check_moment(film, &film->moments[i], to, &sealed);

        assert_true(is_new || new_ones == 0);
        new_ones += is_new ? 1 : 0;
    }
    assert_true(new_ones > 0 && new_ones < film->count);
    for (size_t i = 0; i < film->count; i++) {
        memory_storage_free(film->moments[i].rows);
    }
    kl_buf_done(&sealed);
    (void)unlink(film->new_path);
    test_free(film);
}

static void test_a_crash_of_a_move_leaves_the_old_or_the_new(void **state)
{
    struct mirror_fixture *fixture = *state;
    char path[MIRROR_FIXTURE_PATH_BYTES];
    char text[MIRROR_FIXTURE_PATH_BYTES + 16];
    struct kms_custodian_options to;

    mirror_fixture_path(fixture, "other", "", path);
    (void)snprintf(text, sizeof text, "%s", custodian_at(fixture, "passphrase", "other"));
    to = options_of(text, "correct horse");
    film_change(fixture, &to, path,
                6); /* before and after: where it goes, the batch, that it is done */
}

static void test_a_crash_of_a_change_in_place_leaves_the_old_or_the_new(void **state)
{
    struct mirror_fixture *fixture = *state;
    char text[MIRROR_FIXTURE_PATH_BYTES + 16];
    struct kms_custodian_options to;

    (void)snprintf(text, sizeof text, "passphrase:%s", fixture->kms->root_path);
    to = options_of(text, "correct horse");
    film_change(fixture, &to, fixture->kms->root_path, 2);
}

static void test_what_is_left_and_cannot_be_reached_stops_the_vault(void **state)
{
    struct mirror_fixture *fixture = *state;
    unsigned char row[256];
    char leftover[MIRROR_FIXTURE_PATH_BYTES + 16];
    char current[MIRROR_FIXTURE_PATH_BYTES + 16];
    size_t at = 1;
    struct kl_err err = {0};

    (void)snprintf(current, sizeof current, "%s", custodian_at(fixture, "file", "root"));
    (void)snprintf(leftover, sizeof leftover, "%s", custodian_at(fixture, "file", "gone/root"));
    row[0] = KMS_FORMAT_VERSION;
    kl_put_u32be(row + at, (uint32_t)strlen(current));
    memcpy(row + at + 4, current, strlen(current));
    at += 4 + strlen(current);
    kl_put_u32be(row + at, (uint32_t)strlen(leftover));
    memcpy(row + at + 4, leftover, strlen(leftover));
    at += 4 + strlen(leftover);
    kms_fixture_close(fixture->kms);
    memory_storage_put(fixture->kms->storage, kl_slice_text("C"), (struct kl_slice){row, at});
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "custodian_leftover");
    memory_storage_put(fixture->kms->storage, kl_slice_text("C"), (struct kl_slice){row, at - 1});
    err = (struct kl_err){0};
    assert_int_equal(kms_open(&fixture->kms->options, &fixture->kms->kms, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "key_custodian_corrupt");
}

/* The overwriting of the old file was cut short within a slot: the key that still lies in it is destroyed at the next open. */
static void test_a_torn_file_that_is_left_is_destroyed(void **state)
{
    struct mirror_fixture *fixture = *state;
    char path[MIRROR_FIXTURE_PATH_BYTES];
    char text[MIRROR_FIXTURE_PATH_BYTES + 16];
    struct file_then torn;
    unsigned char row[512];
    size_t at = 1;

    mirror_fixture_path(fixture, "other", "", path);
    (void)snprintf(text, sizeof text, "%s", custodian_at(fixture, "file", "other"));
    file_read(fixture->kms->root_path, &torn);
    memset(torn.bytes + 512, 'n', sizeof torn.bytes - 512); /* but for the sector of the key */
    file_write(path, &torn);
    row[0] = KMS_FORMAT_VERSION;
    kl_put_u32be(row + at, (uint32_t)strlen(fixture->kms->custodian));
    memcpy(row + at + 4, fixture->kms->custodian, strlen(fixture->kms->custodian));
    at += 4 + strlen(fixture->kms->custodian);
    kl_put_u32be(row + at, (uint32_t)strlen(text));
    memcpy(row + at + 4, text, strlen(text));
    at += 4 + strlen(text);
    memory_storage_put(fixture->kms->storage, kl_slice_text("C"), (struct kl_slice){row, at});
    kms_fixture_reopen(fixture->kms);
    assert_int_equal(access(path, F_OK), -1);
}

/*
 * The batch of a change fails, its rows lie torn on the disk, sealed under a root key that the new file has. Then somebody is erased: had the
 * new file not been destroyed at the restart, its key would read them.
 */
static void test_a_failed_change_keeps_nothing_that_is_erased_next(void **state)
{
    struct mirror_fixture *fixture = *state;
    struct kms_hooks hooks = {.fatal = kms_fixture_fatal};
    char text[MIRROR_FIXTURE_PATH_BYTES + 16];
    char path[MIRROR_FIXTURE_PATH_BYTES];
    struct kms_custodian_options to;
    struct file_then there;
    struct kms_adversary *adversary;
    struct kms_state now;
    struct kl_buf sealed;
    unsigned char root[KMS_FIXTURE_ROOT_BYTES];

    mirror_fixture_path(fixture, "other", "", path);
    (void)snprintf(text, sizeof text, "%s", custodian_at(fixture, "file", "other"));
    to = options_of(text, NULL);
    memory_storage_record(fixture->kms->storage);
    assert_int_equal(kms_fixture_change(kms_of(fixture), KMS_CHANGE_SHRED, value_at(90)), KL_OK);
    kms_fixture_seal(kms_of(fixture), value_at(70), &sealed);
    kms_hooks_set(kms_of(fixture), &hooks);
    memory_storage_fail_apply(fixture->kms->storage, 2, false);
    assert_int_equal(kms_custodian_change(kms_of(fixture), &to, NULL, NULL), KL_ERR_IO);
    file_read(path, &there);
    assert_true(there.there);
    kms_fixture_reopen(fixture->kms);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(kms_fixture_change(kms_of(fixture), KMS_CHANGE_SHRED, value_at(70)), KL_OK);
    kms_state(kms_of(fixture), &now);
    for (unsigned with_leftover = 0; with_leftover < 2; with_leftover++) {
        adversary = kms_adversary_new(now.store_id);
        kms_adversary_give_rows(adversary, fixture->kms->storage, true);
        kms_fixture_root_read(fixture->kms, root);
        kms_adversary_give_root_file(adversary, root);
        if (with_leftover) {
            kms_adversary_give_root_file(adversary, there.bytes);
        }
        (void)kms_adversary_search(adversary);
        assert_int_equal(kms_adversary_reads(adversary, &(struct kms_place){T, 70, 3},
                                             kms_fixture_context, kl_buf_slice(&sealed)),
                         with_leftover);
        kms_adversary_free(adversary);
    }
    kl_buf_done(&sealed);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, mirror_fixture_setup, mirror_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_the_root_key_moves_to_another_file),
        TEST(test_a_passphrase_is_changed_in_place),
        TEST(test_mirrors_go_along),
        TEST(test_what_cannot_be_changed_stays_as_it_is),
        TEST(test_a_crash_of_a_move_leaves_the_old_or_the_new),
        TEST(test_a_crash_of_a_change_in_place_leaves_the_old_or_the_new),
        TEST(test_what_is_left_and_cannot_be_reached_stops_the_vault),
        TEST(test_a_torn_file_that_is_left_is_destroyed),
        TEST(test_a_failed_change_keeps_nothing_that_is_erased_next),
    };

    return cmocka_run_group_tests_name("custodian_change", tests, NULL, NULL);
}
