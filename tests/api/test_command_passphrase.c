#include "api/command.h"

#include "tests/support/test.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_CUSTODIAN "passphrase:/somewhere/root.key"
#define TOKEN_CUSTODIAN "pkcs11:token=t?module-path=/m.so"

static char folder[] = "/tmp/kluis-passphrase-XXXXXX";

static int setup(void **state)
{
    (void)state;
    return sodium_init() >= 0 && mkdtemp(folder) != NULL && unsetenv("CREDENTIALS_DIRECTORY") == 0
               ? 0
               : -1;
}

static int teardown(void **state)
{
    char path[64];

    (void)state;
    (void)snprintf(path, sizeof path, "%s/kluis-passphrase", folder);
    (void)unlink(path);
    return rmdir(folder);
}

/* A configuration of these flags; NULL ends them. */
static struct kl_config *configured(const char *first, const char *second)
{
    char flags[2][128];
    char name[] = "kluisd";
    char *argv[] = {name, flags[0], flags[1], NULL};
    int argc = first == NULL ? 1 : second == NULL ? 2 : 3;
    struct kl_config *config = kl_config_new(api_config_keys, "KLUISD_TEST_");

    assert_non_null(config);
    (void)snprintf(flags[0], sizeof flags[0], "%s", first == NULL ? "" : first);
    (void)snprintf(flags[1], sizeof flags[1], "%s", second == NULL ? "" : second);
    argv[argc] = NULL;
    assert_int_equal(kl_config_read_flags(config, &argc, argv, NULL), KL_OK);
    return config;
}

static void reads(struct kl_config *config, const char *custodian, const char *expected)
{
    struct kl_secret *passphrase = NULL;
    size_t bytes = 0;

    assert_int_equal(api_passphrase_read(config, custodian, true, &passphrase, &bytes, NULL),
                     KL_OK);
    if (expected == NULL) {
        assert_null(passphrase);
        assert_int_equal(bytes, 0);
    } else {
        assert_int_equal(bytes, strlen(expected));
        assert_memory_equal(kl_secret_peek(passphrase), expected, bytes);
    }
    kl_secret_free(passphrase);
    kl_config_free(config);
}

static void refuses(struct kl_config *config, const char *custodian, enum kl_status status,
                    const char *code)
{
    struct kl_secret *passphrase = NULL;
    size_t bytes = 0;
    struct kl_err err = {0};

    assert_int_equal(api_passphrase_read(config, custodian, true, &passphrase, &bytes, &err),
                     status);
    assert_string_equal(err.code, code);
    assert_null(passphrase);
    kl_config_free(config);
}

/* The end of a pipe that gives out content; its number as a flag. */
static int piped(const char *content, char ret_flag[64])
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], content, strlen(content)), strlen(content));
    (void)close(ends[1]);
    (void)snprintf(ret_flag, 64, "--passphrase-fd=%d", ends[0]);
    return ends[0];
}

static void written(const char *content, char ret_flag[128])
{
    char path[64];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/kluis-passphrase", folder);
    file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs(content, file);
    (void)fclose(file);
    (void)snprintf(ret_flag, 128, "--passphrase-file=%s", path);
}

static void test_a_bare_file_and_a_token_with_its_own_source_need_none(void **state)
{
    (void)state;
    reads(configured(NULL, NULL), "file:/somewhere/root.key", NULL);
    reads(configured(NULL, NULL), TOKEN_CUSTODIAN "&pin-source=file:/run/pin", NULL);
}

static void test_the_first_line_of_a_descriptor_is_the_passphrase(void **state)
{
    char flag[64];
    int fd;

    (void)state;
    (void)piped("correct horse battery\nnot this\n", flag);
    reads(configured(flag, NULL), FILE_CUSTODIAN, "correct horse battery");
    (void)piped("no newline at the end", flag);
    reads(configured(flag, NULL), FILE_CUSTODIAN, "no newline at the end");
    fd = piped("4711\r\n", flag);
    reads(configured(flag, NULL), TOKEN_CUSTODIAN, "4711");
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* closed: nobody else reads what is left */
}

static void test_a_descriptor_without_a_passphrase_is_said(void **state)
{
    char flag[64];
    char large[1200];

    (void)state;
    (void)piped("", flag);
    refuses(configured(flag, NULL), FILE_CUSTODIAN, KL_ERR_INVALID, "empty_passphrase");
    (void)piped("\n", flag);
    refuses(configured(flag, NULL), FILE_CUSTODIAN, KL_ERR_INVALID, "empty_passphrase");
    memset(large, 'p', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    (void)piped(large, flag);
    refuses(configured(flag, NULL), FILE_CUSTODIAN, KL_ERR_INVALID, "passphrase_length");
    refuses(configured("--passphrase-fd=999", NULL), FILE_CUSTODIAN, KL_ERR_IO, "file_error");
}

static void test_a_file_or_a_systemd_credential_gives_it(void **state)
{
    char flag[128];

    (void)state;
    written("from the file\n", flag);
    reads(configured(flag, NULL), FILE_CUSTODIAN, "from the file");
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
    reads(configured(NULL, NULL), FILE_CUSTODIAN, "from the file");
    reads(configured(NULL, NULL), TOKEN_CUSTODIAN, "from the file");
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    refuses(configured("--passphrase-file=/nowhere/at/all", NULL), FILE_CUSTODIAN, KL_ERR_NOT_FOUND,
            "file_not_found");
}

static void test_both_flags_at_once_are_a_mistake(void **state)
{
    char file[128];

    (void)state;
    written("from the file\n", file);
    refuses(configured(file, "--passphrase-fd=0"), FILE_CUSTODIAN, KL_ERR_INVALID, "usage");
}

static void test_without_a_terminal_nobody_is_asked(void **state)
{
    int input = dup(STDIN_FILENO);
    int nothing = open("/dev/null", O_RDONLY);

    (void)state;
    assert_true(input >= 0 && nothing >= 0);
    assert_int_equal(dup2(nothing, STDIN_FILENO), STDIN_FILENO);
    refuses(configured(NULL, NULL), FILE_CUSTODIAN, KL_ERR_INVALID, "no_passphrase");
    refuses(configured(NULL, NULL), TOKEN_CUSTODIAN, KL_ERR_INVALID, "no_passphrase");
    (void)dup2(input, STDIN_FILENO);
    (void)close(input);
    (void)close(nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_bare_file_and_a_token_with_its_own_source_need_none),
        cmocka_unit_test(test_the_first_line_of_a_descriptor_is_the_passphrase),
        cmocka_unit_test(test_a_descriptor_without_a_passphrase_is_said),
        cmocka_unit_test(test_a_file_or_a_systemd_credential_gives_it),
        cmocka_unit_test(test_both_flags_at_once_are_a_mistake),
        cmocka_unit_test(test_without_a_terminal_nobody_is_asked),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
