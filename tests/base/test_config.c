#include "kluis/base/config.h"
#include "tests/support/no_memory.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct kl_config_key keys[] = {
    {.name = "data", .type = KL_CONFIG_TEXT, .value_name = "DIR"},
    {.name = "tls-cert", .type = KL_CONFIG_TEXT, .fallback = "/etc/cert"},
    {.name = "workers", .type = KL_CONFIG_INT, .fallback = "50", .minimum = 1, .maximum = 1024},
    {.name = "offset", .type = KL_CONFIG_INT, .minimum = INT64_MIN, .maximum = INT64_MAX},
    {.name = "verbose", .type = KL_CONFIG_BOOL},
    {.name = "keep", .type = KL_CONFIG_BOOL, .fallback = "true"},
    {.name = "mirror", .type = KL_CONFIG_LIST},
    {.name = "origins", .type = KL_CONFIG_LIST, .fallback = "one two"},
    {.name = NULL},
};

static char path[] = "/tmp/kluis-test-config-XXXXXX";

static struct kl_config *config_new(void)
{
    struct kl_config *config = kl_config_new(keys, "KLTEST_");

    assert_non_null(config);
    return config;
}

static enum kl_status read_text(struct kl_config *config, const char *text, struct kl_err *err)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return kl_config_read_file(config, path, err);
}

/* Flags in one text, with spaces between them; what is left over comes back in the same form. */
static enum kl_status read_flags(struct kl_config *config, const char *text, char *ret_rest,
                                 struct kl_err *err)
{
    char copy[1000] = "program ";
    char *argv[32];
    char *rest = NULL;
    int argc = 0;
    enum kl_status status;

    (void)strncat(copy, text, sizeof(copy) - 20);
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    status = kl_config_read_flags(config, &argc, argv, err);
    if (status == KL_OK && ret_rest != NULL) {
        assert_null(argv[argc]);
        assert_string_equal(argv[0], "program");
        ret_rest[0] = '\0';
        for (int i = 1; i < argc; i++) {
            (void)strcat(strcat(ret_rest, i > 1 ? " " : ""), argv[i]);
        }
    }
    return status;
}

static void assert_list(const struct kl_config *config, const char *name, const char *expected)
{
    char joined[1000] = "";

    for (const char *const *item = kl_config_list(config, name); *item != NULL; item++) {
        (void)strcat(strcat(joined, joined[0] != '\0' ? "|" : ""), *item);
    }
    assert_string_equal(joined, expected);
}

static void test_defaults_hold_when_nothing_is_set(void **state)
{
    struct kl_config *config = config_new();

    (void)state;
    assert_null(kl_config_text(config, "data"));
    assert_string_equal(kl_config_text(config, "tls-cert"), "/etc/cert");
    assert_int_equal(kl_config_int(config, "workers"), 50);
    assert_int_equal(kl_config_int(config, "offset"), 0);
    assert_false(kl_config_bool(config, "verbose"));
    assert_true(kl_config_bool(config, "keep"));
    assert_list(config, "mirror", "");
    assert_list(config, "origins", "one|two");
    assert_false(kl_config_is_set(config, "workers"));
    assert_false(kl_config_is_set(config, "data"));
    kl_config_free(config);
    kl_config_free(NULL);
}

static void test_a_file_sets_values_of_every_type(void **state)
{
    struct kl_config *config = config_new();

    (void)state;
    assert_int_equal(
        read_text(config,
                  "# comment\ndata: /srv/x y\nworkers: 7\noffset: -9223372036854775808\n"
                  "verbose: yes\nkeep: off\nmirror: [a, b c]\norigins: single\n",
                  NULL),
        KL_OK);
    assert_string_equal(kl_config_text(config, "data"), "/srv/x y");
    assert_int_equal(kl_config_int(config, "workers"), 7);
    assert_true(kl_config_int(config, "offset") == INT64_MIN);
    assert_true(kl_config_bool(config, "verbose"));
    assert_false(kl_config_bool(config, "keep"));
    assert_list(config, "mirror", "a|b c");
    assert_list(config, "origins", "single");
    assert_true(kl_config_is_set(config, "workers"));
    kl_config_free(config);
}

static void test_a_file_of_comments_sets_nothing(void **state)
{
    struct kl_config *config = config_new();

    (void)state;
    assert_int_equal(read_text(config, "", NULL), KL_OK);
    assert_int_equal(read_text(config, "# data: x\n\n  # workers: 1\r\n", NULL), KL_OK);
    assert_false(kl_config_is_set(config, "data"));
    kl_config_free(config);
}

static void test_an_empty_list_in_the_file_hides_the_default(void **state)
{
    struct kl_config *config = config_new();

    (void)state;
    assert_int_equal(read_text(config, "origins: []\n", NULL), KL_OK);
    assert_list(config, "origins", "");
    assert_true(kl_config_is_set(config, "origins"));
    kl_config_free(config);
}

static void assert_file_refused(const char *text, const char *where, const char *says)
{
    struct kl_config *config = config_new();
    struct kl_err err = {0};

    if (read_text(config, text, &err) != KL_ERR_INVALID) {
        fail_msg("taken: %s", text);
    }
    assert_string_equal(err.code, "invalid_config");
    assert_string_equal(err.where, where);
    assert_non_null(strstr(err.client_text, path));
    assert_null(strstr(err.client_text, "secretvalue"));
    if (strstr(err.client_text, says) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.client_text, says);
    }
    kl_config_free(config);
}

static void test_a_wrong_file_is_refused_with_line_and_key(void **state)
{
    (void)state;
    assert_file_refused("data: x\nworker: 1\n", "2:1",
                        ":2: worker is not known; did you mean workers?");
    assert_file_refused("something: 1\n", "1:1", "something is not known");
    assert_file_refused("workers: 0\n", "1:1", "workers must be a whole number from 1 to 1024");
    assert_file_refused("workers: 1025\n", "1:1", "workers must be");
    assert_file_refused("workers: secretvalue\n", "1:1", "workers must be");
    assert_file_refused("workers: 1.0\n", "1:1", "workers must be");
    assert_file_refused("workers: \"\"\n", "1:1", "workers must be");
    assert_file_refused("workers: \"-\"\n", "1:1", "workers must be");
    assert_file_refused("offset: 9223372036854775808\n", "1:1", "offset must be");
    assert_file_refused("verbose: secretvalue\n", "1:1", "verbose must be true or false");
    assert_file_refused("data:\n", "1:1", "data has no value");
    assert_file_refused("data: [secretvalue]\n", "1:1", "data must be a single value");
    assert_file_refused("mirror: {a: secretvalue}\n", "1:1", "mirror must be a list");
    assert_file_refused("mirror: [a, [secretvalue]]\n", "1:1", "mirror must be a list");
    assert_file_refused("mirror: [a, ]\nmirror: secretvalue\n", "2:1", "same key twice");
    assert_file_refused("- secretvalue\n", "1:1", "key: value");
    assert_file_refused("data: \"secretvalue\n", "2:1", "not valid YAML");
}

static void test_a_file_that_cannot_be_read_is_said(void **state)
{
    static char large[KL_CONFIG_FILE_MAX_BYTES + 2];
    struct kl_config *config = config_new();

    (void)state;
    assert_int_equal(kl_config_read_file(config, "/nonexistent/kluis.yaml", NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(kl_config_read_file(config, "/", NULL), KL_ERR_IO);
    memset(large, '#', sizeof(large) - 1);
    assert_int_equal(read_text(config, large, NULL), KL_ERR_TOO_LARGE);
    kl_config_free(config);
}

static void test_flags_are_taken_and_the_rest_is_left(void **state)
{
    struct kl_config *config = config_new();
    char rest[1000];

    (void)state;
    assert_int_equal(read_flags(config,
                                "serve --data /srv --workers=9 --verbose - --keep=false name "
                                "--mirror a --mirror=b -- --data x",
                                rest, NULL),
                     KL_OK);
    assert_string_equal(rest, "serve - name --data x");
    assert_string_equal(kl_config_text(config, "data"), "/srv");
    assert_int_equal(kl_config_int(config, "workers"), 9);
    assert_true(kl_config_bool(config, "verbose"));
    assert_false(kl_config_bool(config, "keep"));
    assert_list(config, "mirror", "a|b");
    kl_config_free(config);
}

static void test_the_last_of_a_flag_counts_and_may_be_negative_or_empty(void **state)
{
    struct kl_config *config = config_new();

    (void)state;
    assert_int_equal(read_flags(config, "--offset 1 --offset -5 --data a --data=", NULL, NULL),
                     KL_OK);
    assert_int_equal(kl_config_int(config, "offset"), -5);
    assert_string_equal(kl_config_text(config, "data"), "");
    assert_int_equal(read_flags(config, "--data=--odd", NULL, NULL), KL_OK);
    assert_string_equal(kl_config_text(config, "data"), "--odd");
    kl_config_free(config);
}

static void assert_flags_refused(const char *text, const char *says)
{
    struct kl_config *config = config_new();
    struct kl_err err = {0};

    if (read_flags(config, text, NULL, &err) != KL_ERR_INVALID) {
        fail_msg("taken: %s", text);
    }
    assert_string_equal(err.code, "usage");
    assert_null(strstr(err.client_text, "secretvalue"));
    if (strstr(err.client_text, says) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.client_text, says);
    }
    kl_config_free(config);
}

static void test_wrong_flags_are_refused(void **state)
{
    (void)state;
    assert_flags_refused("--tls-crt x", "--tls-crt is not known; did you mean --tls-cert?");
    assert_flags_refused("--something=secretvalue", "--something is not known");
    assert_flags_refused("--=secretvalue", "is not known");
    assert_flags_refused("--data", "--data needs a value");
    assert_flags_refused("--data --verbose", "--data needs a value");
    assert_flags_refused("--workers secretvalue", "--workers must be a whole number");
    assert_flags_refused("--verbose=secretvalue", "--verbose must be true or false");
    assert_flags_refused("-v", "begin with \"--\"");
    assert_flags_refused(
        "--a-name-that-is-longer-than-the-longest-name-that-any-key-is-allowed-to-have x",
        "is not known");
}

static void clear_environment(void)
{
    (void)unsetenv("KLTEST_DATA");
    (void)unsetenv("KLTEST_TLS_CERT");
    (void)unsetenv("KLTEST_VERBOSE");
    (void)unsetenv("KLTEST_MIRROR");
    (void)unsetenv("KLTEST_WORKER");
    (void)unsetenv("KLTEST_WORKERS");
    (void)unsetenv("KLTEST_");
    (void)unsetenv("KLTEST_lower");
}

static void test_the_environment_sets_values(void **state)
{
    struct kl_config *config = config_new();

    (void)state;
    assert_int_equal(setenv("KLTEST_TLS_CERT", "/from/environment", 1), 0);
    assert_int_equal(setenv("KLTEST_VERBOSE", "1", 1), 0);
    assert_int_equal(setenv("KLTEST_MIRROR", " a  b ", 1), 0);
    assert_int_equal(kl_config_read_environment(config, NULL), KL_OK);
    assert_string_equal(kl_config_text(config, "tls-cert"), "/from/environment");
    assert_true(kl_config_bool(config, "verbose"));
    assert_list(config, "mirror", "a|b");
    clear_environment();
    kl_config_free(config);
}

static void assert_variable_refused(const char *variable, const char *value, const char *says)
{
    struct kl_config *config = config_new();
    struct kl_err err = {0};

    assert_int_equal(setenv(variable, value, 1), 0);
    assert_int_equal(kl_config_read_environment(config, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "invalid_config");
    assert_null(strstr(err.client_text, "secretvalue"));
    if (strstr(err.client_text, says) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.client_text, says);
    }
    clear_environment();
    kl_config_free(config);
}

static void test_wrong_variables_are_refused(void **state)
{
    (void)state;
    assert_variable_refused("KLTEST_WORKER", "secretvalue",
                            "KLTEST_WORKER is not known; did you mean KLTEST_WORKERS?");
    assert_variable_refused("KLTEST_WORKERS", "secretvalue",
                            "KLTEST_WORKERS must be a whole number");
    assert_variable_refused("KLTEST_lower", "secretvalue", "begins with KLTEST_ is not known");
    assert_variable_refused("KLTEST_", "secretvalue", "is not known");
}

static void test_flags_win_over_the_environment_and_that_over_the_file(void **state)
{
    (void)state;
    assert_int_equal(setenv("KLTEST_DATA", "environment", 1), 0);
    assert_int_equal(setenv("KLTEST_MIRROR", "e", 1), 0);
    /* In every order of reading. */
    for (int order = 0; order < 6; order++) {
        static const int steps[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                        {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
        struct kl_config *config = config_new();
        for (int i = 0; i < 3; i++) {
            if (steps[order][i] == 0) {
                assert_int_equal(
                    read_text(config, "data: file\ntls-cert: file\nmirror: [f, g]\norigins: [h]\n",
                              NULL),
                    KL_OK);
            } else if (steps[order][i] == 1) {
                assert_int_equal(kl_config_read_environment(config, NULL), KL_OK);
            } else {
                assert_int_equal(read_flags(config, "--data flag", NULL, NULL), KL_OK);
            }
        }
        assert_string_equal(kl_config_text(config, "data"), "flag");
        assert_string_equal(kl_config_text(config, "tls-cert"), "file");
        assert_list(config, "mirror", "e");
        assert_list(config, "origins", "h");
        kl_config_free(config);
    }
    clear_environment();
}

static void test_running_out_of_memory_is_said(void **state)
{
    long hit = 1;

    (void)state;
    for (long n = 0; hit; n++) {
        no_memory_begin(n);
        struct kl_config *config = kl_config_new(keys, "KLTEST_");
        hit = no_memory_end();
        assert_int_equal(config == NULL, hit);
        kl_config_free(config);
    }
    hit = 1;
    for (long n = 0; hit; n++) {
        struct kl_config *config = config_new();
        no_memory_begin(n);
        enum kl_status status = read_flags(config, "--data x --mirror a --mirror b", NULL, NULL);
        hit = no_memory_end();
        assert_int_equal(status, hit ? KL_ERR_NO_MEMORY : KL_OK);
        kl_config_free(config);
    }
}

static void ask_for_another_type(void)
{
    (void)kl_config_int(config_new(), "data");
}

static void ask_for_no_key(void)
{
    (void)kl_config_text(config_new(), "nothing");
}

static void test_asking_wrongly_aborts(void **state)
{
    (void)state;
    assert_true(test_aborts(ask_for_another_type));
    assert_true(test_aborts(ask_for_no_key));
}

static int setup(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    clear_environment();
    return fd >= 0 ? close(fd) : -1;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_hold_when_nothing_is_set),
        cmocka_unit_test(test_a_file_sets_values_of_every_type),
        cmocka_unit_test(test_a_file_of_comments_sets_nothing),
        cmocka_unit_test(test_an_empty_list_in_the_file_hides_the_default),
        cmocka_unit_test(test_a_wrong_file_is_refused_with_line_and_key),
        cmocka_unit_test(test_a_file_that_cannot_be_read_is_said),
        cmocka_unit_test(test_flags_are_taken_and_the_rest_is_left),
        cmocka_unit_test(test_the_last_of_a_flag_counts_and_may_be_negative_or_empty),
        cmocka_unit_test(test_wrong_flags_are_refused),
        cmocka_unit_test(test_the_environment_sets_values),
        cmocka_unit_test(test_wrong_variables_are_refused),
        cmocka_unit_test(test_flags_win_over_the_environment_and_that_over_the_file),
        cmocka_unit_test(test_running_out_of_memory_is_said),
        cmocka_unit_test(test_asking_wrongly_aborts),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
