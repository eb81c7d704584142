#include "kluis/kms/custodian.h"

#include "kms/root_file.h"
#include "tests/support/kms_fixture.h"

#include <linux/magic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

static void refused(const struct kms_custodian_options *options, const char *code)
{
    struct kms_custodian custodian = {KMS_ROOT_PASSPHRASE, "untouched"};
    struct kl_err err = {0};

    assert_int_equal(kms_custodian_parse(options, &custodian, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, code);
    assert_string_equal(custodian.path, "untouched");
}

static void test_a_custodian_is_file_or_passphrase_and_a_path(void **state)
{
    struct kms_custodian_options options = {.custodian = "file:a/b:c"};
    struct kms_custodian custodian;

    (void)state;
    assert_int_equal(kms_custodian_parse(&options, &custodian, NULL), KL_OK);
    assert_int_equal(custodian.kind, KMS_ROOT_BARE);
    assert_string_equal(custodian.path, "a/b:c");
    options = (struct kms_custodian_options){
        .custodian = "passphrase:/p", .passphrase = "12345678", .passphrase_bytes = 8};
    assert_int_equal(kms_custodian_parse(&options, &custodian, NULL), KL_OK);
    assert_int_equal(custodian.kind, KMS_ROOT_PASSPHRASE);
    assert_string_equal(custodian.path, "/p");
}

static void test_other_texts_are_refused(void **state)
{
    static const char *const texts[] = {"",   "file",     "file:",   "FILE:/a",
                                        "/a", "pkcs11:x", " file:/a"};
    static char longest[KMS_CUSTODIAN_TEXT_MAX_BYTES + 2];
    struct kms_custodian_options options = {0};

    (void)state;
    refused(&options, "custodian_invalid");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        options.custodian = texts[i];
        refused(&options, "custodian_invalid");
    }
    memset(longest, 'a', sizeof longest - 1);
    memcpy(longest, "file:", 5);
    options.custodian = longest;
    refused(&options, "custodian_invalid");
}

static void test_a_passphrase_has_its_length(void **state)
{
    static char text[KMS_PASSPHRASE_MAX_BYTES + 1];
    struct kms_custodian_options options = {.custodian = "passphrase:/a"};
    struct kms_custodian custodian;

    (void)state;
    refused(&options, "passphrase_length");
    options.passphrase = text;
    options.passphrase_bytes = KMS_PASSPHRASE_MIN_BYTES - 1;
    refused(&options, "passphrase_length");
    options.passphrase_bytes = KMS_PASSPHRASE_MAX_BYTES + 1;
    refused(&options, "passphrase_length");
    options.passphrase_bytes = KMS_PASSPHRASE_MAX_BYTES;
    assert_int_equal(kms_custodian_parse(&options, &custodian, NULL), KL_OK);
}

static void parse_in(struct kms_fixture *fixture, const char *path, const char *forbidden,
                     bool good)
{
    struct kms_custodian_options options = {.custodian = fixture->custodian,
                                            .forbidden_dir = forbidden};
    struct kms_custodian custodian;

    (void)snprintf(fixture->custodian, sizeof fixture->custodian, "file:%.200s/%.40s",
                   fixture->folder, path);
    if (good) {
        assert_int_equal(kms_custodian_parse(&options, &custodian, NULL), KL_OK);
    } else {
        refused(&options, "root_file_in_data");
    }
}

static void test_a_root_file_may_not_lie_in_the_data_directory(void **state)
{
    struct kms_fixture *fixture = *state;
    char data[KMS_FIXTURE_PATH_BYTES + 32];
    char beside[KMS_FIXTURE_PATH_BYTES + 32];
    char link[KMS_FIXTURE_PATH_BYTES + 32];
    char deep[KMS_FIXTURE_PATH_BYTES + 64];

    (void)snprintf(data, sizeof data, "%s/data", fixture->folder);
    (void)snprintf(beside, sizeof beside, "%s/data2", fixture->folder);
    (void)snprintf(link, sizeof link, "%s/link", fixture->folder);
    (void)snprintf(deep, sizeof deep, "%s/deep", data);
    assert_int_equal(mkdir(data, 0700), 0);
    assert_int_equal(mkdir(beside, 0700), 0);
    assert_int_equal(mkdir(deep, 0700), 0);
    assert_int_equal(symlink(data, link), 0);
    parse_in(fixture, "data/root", data, false);
    parse_in(fixture, "data/deep/root", data, false);
    parse_in(fixture, "data2/../data/root", data, false);
    parse_in(fixture, "link/root", data, false);
    parse_in(fixture, "data/root", link, false);
    parse_in(fixture, "root", "/", false);
    parse_in(fixture, "root", data, true);
    parse_in(fixture, "data2/root", data, true); /* begins alike, is another folder */
    parse_in(fixture, "data/../root", data, true);
    parse_in(fixture, "data/root", "/no/such/folder", true);
    assert_int_equal(rmdir(deep), 0);
    assert_int_equal(rmdir(data), 0);
    assert_int_equal(rmdir(beside), 0);
    assert_int_equal(unlink(link), 0);
}

/* A name outside that leads to a file inside. */
static void test_a_link_into_the_data_directory_is_refused(void **state)
{
    struct kms_fixture *fixture = *state;
    char data[KMS_FIXTURE_PATH_BYTES + 32];
    char inside[KMS_FIXTURE_PATH_BYTES + 64];
    char link[KMS_FIXTURE_PATH_BYTES + 32];
    FILE *file;

    (void)snprintf(data, sizeof data, "%s/data", fixture->folder);
    (void)snprintf(inside, sizeof inside, "%s/root", data);
    (void)snprintf(link, sizeof link, "%s/link", fixture->folder);
    assert_int_equal(mkdir(data, 0700), 0);
    file = fopen(inside, "w");
    assert_non_null(file);
    (void)fclose(file);
    assert_int_equal(symlink(inside, link), 0);
    parse_in(fixture, "link", data, false);
    (void)unlink(link);
    (void)unlink(inside);
    (void)rmdir(data);
}

static void test_finality_has_its_names(void **state)
{
    (void)state;
    assert_string_equal(kms_finality_name(KMS_FINALITY_F0), "F0");
    assert_string_equal(kms_finality_name(KMS_FINALITY_F1), "F1");
    assert_string_equal(kms_finality_name(KMS_FINALITY_F2), "F2");
    assert_string_equal(kms_finality_name(KMS_FINALITY_F3), "F3");
}

static void test_a_report_changes_no_byte_and_needs_no_passphrase(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_custodian_report report;
    unsigned char before[KMS_FIXTURE_ROOT_BYTES];
    unsigned char after[KMS_FIXTURE_ROOT_BYTES];
    struct kms_custodian_options options = {.custodian = fixture->custodian};

    kms_fixture_close(fixture);
    kms_fixture_root_read(fixture, before);
    assert_int_equal(kms_custodian_report(&options, &report, NULL), KL_OK);
    kms_fixture_root_read(fixture, after);
    assert_memory_equal(before, after, sizeof before);
    assert_string_equal(report.kind, "file");
    assert_true(strlen(report.file_system) > 0);
    assert_true(strlen(report.reason) > 0);
    assert_true(strlen(report.advice) > 0);
    assert_true(report.in_place || report.finality == KMS_FINALITY_F0);
    (void)snprintf(fixture->custodian, sizeof fixture->custodian, "passphrase:%s",
                   fixture->root_path);
    assert_int_equal(kms_custodian_report(&options, &report, NULL), KL_OK);
    assert_string_equal(report.kind, "passphrase");
}

/* While a vault has the file open, a report must not write back what it read: the slot may have been overwritten since. */
static void test_a_report_beside_an_open_vault_only_looks(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_custodian_report report;
    struct kms_state now;
    struct stat before;
    struct stat after;

    kms_state(fixture->kms, &now);
    assert_int_equal(stat(fixture->root_path, &before), 0);
    assert_int_equal(kms_custodian_report(&fixture->options.custodian, &report, NULL), KL_OK);
    assert_int_equal(stat(fixture->root_path, &after), 0);
    assert_int_equal(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    assert_int_equal(report.finality, now.finality);
}

static void test_a_report_says_that_others_can_read_the_file(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_custodian_report report;

    kms_fixture_close(fixture);
    assert_int_equal(chmod(fixture->root_path, 0644), 0);
    assert_int_equal(kms_custodian_report(&fixture->options.custodian, &report, NULL), KL_OK);
    assert_true(report.finality == KMS_FINALITY_F0 || strstr(report.advice, "chmod 600") != NULL);
}

static void test_a_report_names_what_is_wrong(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_custodian_report report = {.kind = "untouched"};
    struct kl_err err = {0};

    kms_fixture_close(fixture);
    assert_int_equal(truncate(fixture->root_path, 100), 0);
    assert_int_equal(kms_custodian_report(&fixture->options.custodian, &report, &err),
                     KL_ERR_INVALID);
    assert_string_equal(err.code, "root_file_corrupt");
    assert_int_equal(unlink(fixture->root_path), 0);
    assert_int_equal(kms_custodian_report(&fixture->options.custodian, &report, NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(mkdir(fixture->root_path, 0700), 0);
    assert_int_equal(kms_custodian_report(&fixture->options.custodian, &report, NULL), KL_ERR_IO);
    assert_int_equal(rmdir(fixture->root_path), 0);
    assert_string_equal(report.kind, "untouched");
}

/* ---- memory as a disk: the one place of class F0 that is everywhere ---- */

static bool memory_folder(struct kms_fixture *fixture)
{
    struct statfs place;

    if (statfs("/dev/shm", &place) != 0 || place.f_type != TMPFS_MAGIC) {
        return false;
    }
    (void)snprintf(fixture->root_path, sizeof fixture->root_path, "/dev/shm/kluis-root-%d",
                   (int)getpid());
    (void)snprintf(fixture->custodian, sizeof fixture->custodian, "file:%s", fixture->root_path);
    return true;
}

static void test_f0_is_refused_unless_accepted(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_state now;
    struct kl_err err = {0};

    if (!memory_folder(fixture)) {
        skip();
    }
    fixture->options.custodian.accept_f0 = false;
    assert_int_equal(kms_create(&fixture->options, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "finality_f0");
    assert_non_null(strstr(err.client_text, "tmpfs"));
    assert_int_equal(access(fixture->root_path, F_OK), -1);
    fixture->options.custodian.accept_f0 = true;
    assert_int_equal(kms_create(&fixture->options, NULL), KL_OK);
    assert_int_equal(kms_open(&fixture->options, &fixture->kms, NULL), KL_OK);
    kms_state(fixture->kms, &now);
    assert_int_equal(now.finality, KMS_FINALITY_F0);
    kms_fixture_close(fixture);
    fixture->options.custodian.accept_f0 = false;
    kl_err_clear(&err);
    assert_int_equal(kms_open(&fixture->options, &fixture->kms, &err), KL_ERR_REFUSED);
    assert_string_equal(err.code, "finality_f0");
    assert_null(fixture->kms);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kms_fixture_setup, kms_fixture_teardown)
#define EMPTY(name) \
    cmocka_unit_test_setup_teardown(name, kms_fixture_setup_empty, kms_fixture_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_custodian_is_file_or_passphrase_and_a_path),
        cmocka_unit_test(test_other_texts_are_refused),
        cmocka_unit_test(test_a_passphrase_has_its_length),
        EMPTY(test_a_root_file_may_not_lie_in_the_data_directory),
        EMPTY(test_a_link_into_the_data_directory_is_refused),
        cmocka_unit_test(test_finality_has_its_names),
        TEST(test_a_report_changes_no_byte_and_needs_no_passphrase),
        TEST(test_a_report_beside_an_open_vault_only_looks),
        TEST(test_a_report_says_that_others_can_read_the_file),
        TEST(test_a_report_names_what_is_wrong),
        EMPTY(test_f0_is_refused_unless_accepted),
    };

    return cmocka_run_group_tests_name("custodian", tests, NULL, NULL);
}
