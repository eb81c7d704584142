/* What was asked of a job about backups, kept and read again. */
#include "vault/backup_params.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

static void assert_damaged(const char *text)
{
    struct vault_backup_params params = {.keep = 99};
    struct kl_err err = {0};

    assert_int_equal(vault_backup_params_read(kl_slice_text(text), &params, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "job_damaged");
    assert_int_equal(params.keep, 99);
}

static void test_what_was_asked_is_read_again(void **state)
{
    struct vault_backup_params asked = {.country = {"IE"}, .keep = 14, .rate_mib_s = 20};
    struct vault_backup_params seen = {0};
    struct kl_buf text;

    (void)state;
    (void)snprintf(asked.directory, sizeof asked.directory, "/srv/\"back\"/\xc3\xa9");
    kl_buf_init(&text, 4096);
    assert_int_equal(vault_backup_params_write(&asked, &text, NULL), KL_OK);
    assert_int_equal(vault_backup_params_read(kl_buf_slice(&text), &seen, NULL), KL_OK);
    assert_memory_equal(&asked, &seen, sizeof asked);
    kl_buf_clear(&text);
    asked = (struct vault_backup_params){.directory = "/srv", .is_verification = true};
    asked.backup = kl_id_new();
    assert_int_equal(vault_backup_params_write(&asked, &text, NULL), KL_OK);
    assert_int_equal(vault_backup_params_read(kl_buf_slice(&text), &seen, NULL), KL_OK);
    assert_memory_equal(&asked, &seen, sizeof asked);
    kl_buf_done(&text);
}

static void test_the_longest_path_fits_a_job(void **state)
{
    struct vault_backup_params asked = {.country = {"IE"}};
    struct vault_backup_params seen = {0};
    struct kl_buf text;

    (void)state;
    memset(asked.directory, '"', VAULT_BACKUP_DIRECTORY_MAX_BYTES);
    kl_buf_init(&text, 4096);
    assert_int_equal(vault_backup_params_write(&asked, &text, NULL), KL_OK);
    assert_int_equal(vault_backup_params_read(kl_buf_slice(&text), &seen, NULL), KL_OK);
    assert_string_equal(asked.directory, seen.directory);
    kl_buf_done(&text);
}

static void test_damage_is_said(void **state)
{
    (void)state;
    assert_damaged("");
    assert_damaged("{}");
    assert_damaged("[]");
    assert_damaged("{\"directory\":7,\"country\":\"IE\",\"keep\":1,\"rate_mib_s\":0}");
    assert_damaged("{\"directory\":\"/x\",\"country\":\"XX\",\"keep\":1,\"rate_mib_s\":0}");
    assert_damaged("{\"directory\":\"/x\",\"country\":\"IE\",\"keep\":-1,\"rate_mib_s\":0}");
    assert_damaged(
        "{\"directory\":\"/x\",\"country\":\"IE\",\"keep\":1,\"rate_mib_s\":4294967296}");
    assert_damaged("{\"directory\":\"/x\",\"backup\":\"bak_\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_asked_is_read_again),
        cmocka_unit_test(test_the_longest_path_fits_a_job),
        cmocka_unit_test(test_damage_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
