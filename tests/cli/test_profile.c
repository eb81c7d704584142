#include "cli/profile.h"

#include "kluis/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/kluis-profile-XXXXXX";
static char file[64];

static void write_config(const char *text)
{
    struct kl_err err = {0};
    assert_int_equal(kl_file_replace(file, 0600, text, strlen(text), &err), KL_OK);
}

static enum kl_status read_profile(const char *name, struct cli_profile *profile,
                                   struct kl_err *err)
{
    *profile = (struct cli_profile){0};
    *err = (struct kl_err){0};
    return cli_profile_read(file, name, profile, err);
}

static void test_paths_of_a_profile_are_relative_to_its_file(void **state)
{
    (void)state;
    struct cli_profile profile;
    struct kl_err err;
    write_config(
        "default: work\nprofiles:\n  work: { server: \"https://a:1\", ca: ca.pem, credential: /etc/token, tenant: NO }\n");
    assert_int_equal(read_profile(NULL, &profile, &err), KL_OK);
    char expected[96];
    (void)snprintf(expected, sizeof expected, "%s/ca.pem", folder);
    assert_string_equal(profile.server, "https://a:1");
    assert_string_equal(profile.ca, expected);
    assert_string_equal(profile.credential, "/etc/token");
    assert_string_equal(profile.tenant, "NO");
    assert_null(profile.key);
    cli_profile_done(&profile);
}

static void test_the_environment_goes_over_the_file(void **state)
{
    (void)state;
    struct cli_profile profile;
    struct kl_err err;
    write_config(
        "profiles:\n  a: { server: \"https://a\" }\n  b: { server: \"https://b\", tenant: t }\n");
    assert_int_equal(setenv("KLUIS_SERVER", "https://c", 1), 0);
    assert_int_equal(setenv("KLUIS_PROFILE", "b", 1), 0);
    assert_int_equal(read_profile(NULL, &profile, &err), KL_OK);
    assert_string_equal(profile.server, "https://c");
    assert_string_equal(profile.tenant, "t");
    assert_int_equal(cli_profile_set(&profile.server, "https://d", &err), KL_OK);
    assert_int_equal(cli_profile_set(&profile.server, NULL, &err), KL_OK);
    assert_string_equal(profile.server, "https://d");
    cli_profile_done(&profile);
    unsetenv("KLUIS_SERVER");
    unsetenv("KLUIS_PROFILE");
}

static void test_mistakes_in_the_file_are_named_with_line_and_suggestion(void **state)
{
    (void)state;
    struct cli_profile profile;
    struct kl_err err;
    write_config("profiles:\n  a:\n    servr: \"https://a\"\n");
    assert_int_equal(read_profile("a", &profile, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_profile");
    assert_non_null(strstr(err.client_text, ":3:"));
    assert_non_null(strstr(err.client_text, "'server'"));
    assert_null(profile.server);

    write_config("profils: {}\n");
    assert_int_equal(read_profile(NULL, &profile, &err), KL_ERR_INVALID);
    write_config("profiles:\n  a: { server: [x] }\n");
    assert_int_equal(read_profile("a", &profile, &err), KL_ERR_INVALID);
    assert_int_equal(read_profile("b", &profile, &err), KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "unknown_profile");
}

static void test_a_file_that_was_named_must_be_there(void **state)
{
    (void)state;
    struct cli_profile profile = {0};
    struct kl_err err = {0};
    assert_int_equal(cli_profile_read("/nonexistent/config.yaml", NULL, &profile, &err),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(setenv("XDG_CONFIG_HOME", "/nonexistent", 1), 0);
    kl_err_clear(&err);
    assert_int_equal(cli_profile_read(NULL, NULL, &profile, &err), KL_OK);
    cli_profile_done(&profile);
    assert_int_equal(cli_profile_read(NULL, "a", &profile, &err), KL_ERR_NOT_FOUND);
}

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(file, sizeof file, "%s/config.yaml", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(file);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_of_a_profile_are_relative_to_its_file),
        cmocka_unit_test(test_the_environment_goes_over_the_file),
        cmocka_unit_test(test_mistakes_in_the_file_are_named_with_line_and_suggestion),
        cmocka_unit_test(test_a_file_that_was_named_must_be_there),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
