/* Where a root file lies, and what may be taken for one that was left there. */
#include "kms/root_at.h"

#include "kms/format.h"
#include "kms/root_file.h"
#include "tests/support/kms_fixture.h"
#include "tests/support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES (KMS_FIXTURE_PATH_BYTES + 32)

static const unsigned char store_id[KMS_STORE_ID_BYTES] = "a store, 16 byte";
static const unsigned char other_id[KMS_STORE_ID_BYTES] = "another 16 bytes";

static const char *path_of(const struct kms_fixture *fixture, const char *name,
                           char ret[PATH_BYTES])
{
    (void)snprintf(ret, PATH_BYTES, "%s/%s", fixture->folder, name);
    return ret;
}

/* size bytes of filler under a name. */
static void put(const struct kms_fixture *fixture, const char *name, size_t size)
{
    char path[PATH_BYTES];
    unsigned char bytes[KMS_ROOT_FILE_BYTES + 1];
    int fd = open(path_of(fixture, name, path), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    memset(bytes, 'v', sizeof bytes);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    assert_int_equal(close(fd), 0);
}

static enum kl_status open_left(const struct kms_fixture *fixture, const char *name,
                                struct kms_root_place **ret_place, struct kl_err *err)
{
    int folder = open(fixture->folder, O_RDONLY | O_DIRECTORY);
    enum kl_status status = KL_OK;

    assert_true(folder >= 0);
    kl_err_clear(err);
    status = kms_root_file_open_left(folder, name, store_id, ret_place, err);
    assert_int_equal(close(folder), 0);
    return status;
}

static void assert_foreign(const struct kms_fixture *fixture, const char *name)
{
    struct kms_root_place *place = NULL;
    struct kl_err err = {0};

    assert_int_equal(open_left(fixture, name, &place, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "root_file_foreign");
    assert_null(place);
}

static void test_what_is_no_root_file_is_not_taken_for_one_that_was_left(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_root_place *place = NULL;
    struct kl_err err = {0};
    char path[PATH_BYTES];
    char other[PATH_BYTES];

    assert_int_equal(open_left(fixture, "none", &place, &err), KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "root_file_missing");
    put(fixture, "large", KMS_ROOT_FILE_BYTES + 1);
    assert_foreign(fixture, "large");
    put(fixture, "mode", KMS_ROOT_FILE_BYTES);
    assert_int_equal(chmod(path_of(fixture, "mode", path), 0640), 0);
    assert_foreign(fixture, "mode");
    put(fixture, "two", KMS_ROOT_FILE_BYTES);
    assert_int_equal(link(path_of(fixture, "two", path), path_of(fixture, "names", other)), 0);
    assert_foreign(fixture, "names");
    assert_int_equal(unlink(other), 0);
    assert_int_equal(symlink(path, other), 0);
    assert_foreign(fixture, "names");
    assert_int_equal(unlink(other), 0);
    assert_int_equal(mkfifo(other, 0600), 0);
    assert_foreign(fixture, "names");
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 65534, 65534), 0);
        assert_foreign(fixture, "two");
    }
    (void)unlink(path);
    (void)unlink(other);
    (void)unlink(path_of(fixture, "large", path));
    (void)unlink(path_of(fixture, "mode", path));
}

/* A root file with keys of a store, by that name. */
static void make(struct kms_fixture *fixture, const char *name, const unsigned char *id)
{
    static const unsigned char key[KMS_KEY_BYTES] = {1};
    static const struct kms_root_form bare = {.kind = KMS_ROOT_BARE};
    struct kms_root_place *place = NULL;
    int folder = open(fixture->folder, O_RDONLY | O_DIRECTORY);

    assert_int_equal(kms_root_file_make_like(folder, name, true, &bare, id, &place, NULL), KL_OK);
    assert_int_equal(kms_root_place_store(place, 1, key, NULL), KL_OK);
    kms_root_place_close(place);
    assert_int_equal(close(folder), 0);
}

static void test_what_was_left_is_wiped_and_removed(void **state)
{
    static const size_t sizes[] = {0, 100, KMS_ROOT_SLOT_BYTES, KMS_ROOT_FILE_BYTES};
    struct kms_fixture *fixture = *state;
    struct kms_root_place *place = NULL;
    struct kl_err err = {0};
    char path[PATH_BYTES];
    size_t i;

    for (i = 0; i <= sizeof sizes / sizeof sizes[0]; i++) {
        if (i == sizeof sizes / sizeof sizes[0]) {
            make(fixture, "left", store_id);
        } else {
            put(fixture, "left", sizes[i]);
        }
        assert_int_equal(open_left(fixture, "left", &place, &err), KL_OK);
        assert_int_equal(kms_root_place_wipe(place, &err), KL_OK);
        kms_root_place_close(place);
        assert_int_not_equal(access(path_of(fixture, "left", path), F_OK), 0);
    }
}

/* Whoever put it back from somewhere may have given it another one. */
static void test_a_root_file_of_this_store_is_known_whatever_its_mode(void **state)
{
    struct kms_fixture *fixture = *state;
    static const struct kms_root_form bare = {.kind = KMS_ROOT_BARE};
    struct kms_root_place *place = NULL;
    struct kl_err err = {0};
    char path[PATH_BYTES];

    make(fixture, "left", store_id);
    assert_int_equal(chmod(path_of(fixture, "left", path), 0644), 0);
    assert_int_equal(kms_root_file_open_like(AT_FDCWD, path, true, &bare, store_id, &place, &err),
                     KL_OK);
    kms_root_place_close(place);
    assert_int_equal(open_left(fixture, "left", &place, &err), KL_OK);
    assert_int_equal(kms_root_place_wipe(place, &err), KL_OK);
    kms_root_place_close(place);
}

static void test_another_stores_root_file_is_left_alone(void **state)
{
    struct kms_fixture *fixture = *state;
    char path[PATH_BYTES];

    make(fixture, "other", other_id);
    assert_foreign(fixture, "other");
    assert_int_equal(unlink(path_of(fixture, "other", path)), 0);
}

/* Wiped is what is open; the name is only taken away where it is still that file's. */
static void test_a_name_that_became_anothers_stays(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_root_place *place = NULL;
    struct kl_err err = {0};
    struct stat facts;
    char path[PATH_BYTES];
    char other[PATH_BYTES];

    make(fixture, "left", store_id);
    assert_int_equal(open_left(fixture, "left", &place, &err), KL_OK);
    assert_int_equal(rename(path_of(fixture, "left", path), path_of(fixture, "aside", other)), 0);
    assert_int_equal(symlink(other, path), 0);
    assert_int_equal(kms_root_place_wipe(place, &err), KL_OK);
    kms_root_place_close(place);
    assert_int_equal(lstat(path, &facts), 0);
    assert_int_equal(lstat(other, &facts), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(other), 0);
}

static void test_a_root_file_is_not_opened_through_a_link(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_root_place *place = NULL;
    struct kms_custodian_options options = fixture->options.custodian;
    struct kl_err err = {0};
    char path[PATH_BYTES];
    char other[PATH_BYTES];
    char custodian[PATH_BYTES + 8];

    make(fixture, "root", store_id);
    assert_int_equal(symlink(path_of(fixture, "root", other), path_of(fixture, "link", path)), 0);
    (void)snprintf(custodian, sizeof custodian, "file:%s", path);
    options.custodian = custodian;
    assert_int_equal(kms_root_place_open(&options, store_id, NULL, &place, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "root_file_foreign");
    assert_null(place);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(other), 0);
}

static void test_a_folder_is_ours_when_nobody_else_may_write_to_it(void **state)
{
    struct kms_fixture *fixture = *state;
    int folder = open(fixture->folder, O_RDONLY | O_DIRECTORY);

    assert_true(kms_folder_is_ours(folder));
    assert_int_equal(fchmod(folder, 0755), 0);
    assert_true(kms_folder_is_ours(folder));
    assert_int_equal(fchmod(folder, 0720), 0);
    assert_false(kms_folder_is_ours(folder));
    assert_int_equal(fchmod(folder, 01702), 0);
    assert_false(kms_folder_is_ours(folder));
    assert_int_equal(fchmod(folder, 0700), 0);
    if (geteuid() == 0) {
        assert_int_equal(fchown(folder, 65534, 65534), 0);
        assert_false(kms_folder_is_ours(folder));
        assert_int_equal(fchown(folder, 0, 0), 0);
    }
    assert_int_equal(close(folder), 0);
    assert_false(kms_folder_is_ours(-1));
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, kms_fixture_setup_empty, kms_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_no_root_file_is_not_taken_for_one_that_was_left),
        TEST(test_what_was_left_is_wiped_and_removed),
        TEST(test_a_root_file_of_this_store_is_known_whatever_its_mode),
        TEST(test_another_stores_root_file_is_left_alone),
        TEST(test_a_name_that_became_anothers_stays),
        TEST(test_a_root_file_is_not_opened_through_a_link),
        TEST(test_a_folder_is_ours_when_nobody_else_may_write_to_it),
    };

    return cmocka_run_group_tests_name("root_at", tests, NULL, NULL);
}
