/* What a data directory says it is. */
#include "vault/stamp.h"

#include "kluis/base/file.h"
#include "tests/support/admin_fixture.h"
#include "tests/support/test.h"
#include "vault/open.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static struct vault_stamp example(void)
{
    struct vault_stamp stamp = {.country = {"IE"}, .created_us = 1700000000123456};

    memset(stamp.store_id, 0xa5, sizeof stamp.store_id);
    (void)snprintf(stamp.place, sizeof stamp.place, "aws:eu-west-1");
    (void)snprintf(stamp.software, sizeof stamp.software, "1.2.3");
    return stamp;
}

static void stamp_path(const struct admin_fixture *fixture, char ret[VAULT_PATH_MAX_BYTES])
{
    assert_int_equal(vault_path(fixture->folder, VAULT_STAMP_FILE, ret, NULL), KL_OK);
}

/* Put that text in place of the stamp, read it, and see that nothing came out. */
static enum kl_status read_text(const struct admin_fixture *fixture, const char *text,
                                struct kl_err *err)
{
    char path[VAULT_PATH_MAX_BYTES];
    struct vault_stamp stamp = example();
    const struct vault_stamp before = stamp;
    enum kl_status status;

    stamp_path(fixture, path);
    assert_int_equal(kl_file_replace(path, 0600, text, strlen(text), NULL), KL_OK);
    status = vault_stamp_read(fixture->folder, &stamp, err);
    if (status != KL_OK) {
        assert_memory_equal(&stamp, &before, sizeof stamp);
    }
    return status;
}

static void test_a_stamp_reads_back_as_written(void **state)
{
    struct admin_fixture *fixture = *state;
    const struct vault_stamp stamp = example();
    struct vault_stamp read = {0};
    char path[VAULT_PATH_MAX_BYTES];
    struct stat info;

    assert_int_equal(vault_stamp_write(fixture->folder, &stamp, NULL), KL_OK);
    assert_int_equal(vault_stamp_read(fixture->folder, &read, NULL), KL_OK);
    assert_memory_equal(read.store_id, stamp.store_id, sizeof stamp.store_id);
    assert_string_equal(read.country.code, "IE");
    assert_string_equal(read.place, "aws:eu-west-1");
    assert_string_equal(read.software, "1.2.3");
    assert_true(read.created_us == stamp.created_us);
    stamp_path(fixture, path);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void test_a_stamp_is_never_written_over(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_stamp stamp = example();
    struct vault_stamp read = {0};
    struct kl_err err = {0};

    assert_int_equal(vault_stamp_write(fixture->folder, &stamp, NULL), KL_OK);
    stamp.country = (struct vault_country){"US"};
    assert_int_equal(vault_stamp_write(fixture->folder, &stamp, &err), KL_ERR_EXISTS);
    assert_int_equal(vault_stamp_read(fixture->folder, &read, NULL), KL_OK);
    assert_string_equal(read.country.code, "IE");
}

static void test_a_folder_without_a_stamp_is_no_vault(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_stamp stamp = example();
    const struct vault_stamp before = stamp;
    struct kl_err err = {0};

    assert_int_equal(vault_stamp_read(fixture->folder, &stamp, &err), KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "no_vault");
    assert_memory_equal(&stamp, &before, sizeof stamp);
}

static void test_a_damaged_stamp_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"format\":\"1\"}",
        "{\"format\":1}",
        "{\"format\":1,\"store_id\":\"zz\"}",
        "{\"format\":1,\"store_id\":\"00112233445566778899aabbccddeeff\",\"country\":\"ZZ\"}",
        "{\"format\":1,\"store_id\":\"00112233445566778899aabbccddeeff\",\"country\":\"IE\","
        "\"created_at\":\"yesterday\"}",
        "{\"format\":1,\"store_id\":\"00112233445566778899aabbccddeeff\",\"country\":\"IE\","
        "\"created_at\":\"2026-01-01T00:00:00Z\"}",
        "{\"format\":1,\"store_id\":\"00112233445566778899aabbccddeeff\",\"country\":\"IE\","
        "\"created_at\":\"2026-01-01T00:00:00Z\",\"place\":\"IE\"}",
        "{\"format\":1,\"format\":1}",
    };
    struct admin_fixture *fixture = *state;
    size_t i;

    for (i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct kl_err err = {0};

        assert_int_equal(read_text(fixture, texts[i], &err), KL_ERR_CORRUPT);
        assert_string_equal(err.code, "stamp_damaged");
    }
}

static void test_a_stamp_that_is_too_large_is_refused(void **state)
{
    struct admin_fixture *fixture = *state;
    char text[VAULT_STAMP_BYTES_MAX + 2];
    struct kl_err err = {0};

    memset(text, ' ', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_int_equal(read_text(fixture, text, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "stamp_damaged");
}

static void test_a_stamp_of_a_newer_version_is_refused(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kl_err err = {0};

    assert_int_equal(read_text(fixture, "{\"format\":2,\"anything\":true}", &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "stamp_format");
}

static void test_a_stamp_that_is_no_file_is_an_io_error(void **state)
{
    struct admin_fixture *fixture = *state;
    char path[VAULT_PATH_MAX_BYTES];
    struct vault_stamp stamp = example();

    stamp_path(fixture, path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(vault_stamp_read(fixture->folder, &stamp, NULL), KL_ERR_IO);
    assert_string_equal(stamp.software, "1.2.3");
}

static void test_a_path_that_is_too_long_is_refused(void **state)
{
    char dir[VAULT_PATH_MAX_BYTES];
    char path[VAULT_PATH_MAX_BYTES];
    const struct vault_stamp stamp = example();
    struct vault_stamp read = {0};
    struct kl_err err = {0};

    (void)state;
    memset(dir, 'd', sizeof dir);
    dir[sizeof dir - 1] = '\0';
    assert_int_equal(vault_path(dir, "name", path, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "path_too_long");
    assert_int_equal(vault_stamp_write(dir, &stamp, NULL), KL_ERR_INVALID);
    assert_int_equal(vault_stamp_read(dir, &read, NULL), KL_ERR_INVALID);
}

static void test_a_region_agrees_with_the_country_it_lies_in(void **state)
{
    const struct vault_stamp stamp = example();
    struct kl_err err = {0};

    (void)state;
    assert_int_equal(vault_country_check(&stamp, NULL, NULL), KL_OK);
    assert_int_equal(vault_country_check(&stamp, "IE", NULL), KL_OK);
    assert_int_equal(vault_country_check(&stamp, "aws:eu-west-1", NULL), KL_OK);
    assert_int_equal(vault_country_check(&stamp, "aws:eu-central-1", &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "country_mismatch");
    assert_int_equal(vault_country_check(&stamp, "nowhere", NULL), KL_ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_stamp_reads_back_as_written, admin_setup_empty,
                                        admin_teardown),
        cmocka_unit_test_setup_teardown(test_a_stamp_is_never_written_over, admin_setup_empty,
                                        admin_teardown),
        cmocka_unit_test_setup_teardown(test_a_folder_without_a_stamp_is_no_vault,
                                        admin_setup_empty, admin_teardown),
        cmocka_unit_test_setup_teardown(test_a_damaged_stamp_is_refused, admin_setup_empty,
                                        admin_teardown),
        cmocka_unit_test_setup_teardown(test_a_stamp_that_is_too_large_is_refused,
                                        admin_setup_empty, admin_teardown),
        cmocka_unit_test_setup_teardown(test_a_stamp_of_a_newer_version_is_refused,
                                        admin_setup_empty, admin_teardown),
        cmocka_unit_test_setup_teardown(test_a_stamp_that_is_no_file_is_an_io_error,
                                        admin_setup_empty, admin_teardown),
        cmocka_unit_test_setup_teardown(test_a_path_that_is_too_long_is_refused, admin_setup_empty,
                                        admin_teardown),
        cmocka_unit_test_setup_teardown(test_a_region_agrees_with_the_country_it_lies_in,
                                        admin_setup_empty, admin_teardown),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
