/* Whose a module is. */
#include "kluis/kms/custodian.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum kl_status judged(const char *path, struct kl_err *err)
{
    char custodian[512];

    (void)snprintf(custodian, sizeof custodian, "pkcs11:token=a?module-path=%s", path);
    memset(err, 0, sizeof *err);
    return kms_custodian_module_trusted(custodian, err);
}

static void refused(const char *path)
{
    struct kl_err err;

    assert_int_equal(judged(path, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "token_module_untrusted");
}

static void test_a_file_of_the_system_is_the_administrators(void **state)
{
    struct stat info;
    struct kl_err err;

    (void)state;
    if (stat("/usr/bin/env", &info) != 0 || info.st_uid != 0) {
        skip(); /* of a machine whose files are somebody else's */
    }
    assert_int_equal(judged("/usr/bin/env", &err), KL_OK);
    assert_int_equal(judged("/bin/sh", &err), KL_OK); /* by links, in folders that are root's */
}

static void test_a_file_where_anybody_may_write_is_not(void **state)
{
    char folder[] = "/tmp/kluis-module-XXXXXX";
    char path[64];
    FILE *module = NULL;

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/m.so", folder);
    module = fopen(path, "w");
    assert_non_null(module);
    assert_int_equal(fclose(module), 0);
    refused(path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/usr/bin/env", path), 0);
    refused(path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void test_what_is_no_absolute_path_of_a_file_is_not(void **state)
{
    struct kl_err err;

    (void)state;
    refused("m.so");
    refused("/usr/../usr/bin/env");
    refused("/usr/bin");
    refused("/nowhere/m.so");
    assert_int_equal(kms_custodian_module_trusted("pkcs11:token=a", &err), KL_ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_of_the_system_is_the_administrators),
        cmocka_unit_test(test_a_file_where_anybody_may_write_is_not),
        cmocka_unit_test(test_what_is_no_absolute_path_of_a_file_is_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
