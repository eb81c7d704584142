#include "cli/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define WORDS_MAX 16

/* Parse words as a command line. getopt moves them about, so they are copied. */
static enum cli_exit parse(const char *const *words, struct cli_call *call,
                           const char *global[CLI_OPTIONS_MAX])
{
    static char copies[WORDS_MAX][128];
    char *argv[WORDS_MAX + 1] = {NULL};
    int argc = 0;
    for (; words[argc] != NULL; argc++) {
        size_t size = strlen(words[argc]);
        assert_true(argc < WORDS_MAX && size < sizeof copies[0]);
        memcpy(copies[argc], words[argc], size + 1);
        argv[argc] = copies[argc];
    }
    return cli_arguments_parse(argc, argv, call, global);
}
#define PARSE(...) parse((const char *const[]){"kluis", __VA_ARGS__, NULL}, &call, global)

static void test_options_may_stand_before_and_behind_the_arguments(void **state)
{
    (void)state;
    struct cli_call call = {0};
    const char *global[CLI_OPTIONS_MAX] = {NULL};
    assert_int_equal(PARSE("--server", "https://a", "subject", "read", "--purpose", "p", "sub_1",
                           "--fields=x.y", "-q"),
                     CLI_DONE);
    assert_string_equal(call.command->noun, "subject");
    assert_string_equal(call.command->verb, "read");
    assert_int_equal(call.argument_count, 1);
    assert_string_equal(call.arguments[0], "sub_1");
    assert_string_equal(cli_call_value(&call, "purpose"), "p");
    assert_string_equal(cli_call_value(&call, "fields"), "x.y");
    assert_false(cli_call_is_set(&call, "recipient"));
    assert_string_equal(global[2], "https://a");
    assert_non_null(global[9]);
}

static void test_words_behind_two_dashes_are_arguments(void **state)
{
    (void)state;
    struct cli_call call = {0};
    const char *global[CLI_OPTIONS_MAX] = {NULL};
    assert_int_equal(PARSE("subject", "read", "--", "--purpose"), CLI_DONE);
    assert_string_equal(call.arguments[0], "--purpose");
}

static void test_wrong_calls_are_usage_errors_and_leave_the_call_untouched(void **state)
{
    (void)state;
    struct cli_call call = {.argument_count = 7};
    const char *global[CLI_OPTIONS_MAX] = {NULL};
    assert_int_equal(PARSE("subjct", "read", "x"), CLI_USAGE);
    assert_int_equal(PARSE("subject", "reed", "x"), CLI_USAGE);
    assert_int_equal(PARSE("subject"), CLI_USAGE);
    assert_int_equal(PARSE("subject", "read"), CLI_USAGE);
    assert_int_equal(PARSE("subject", "read", "a", "b"), CLI_USAGE);
    assert_int_equal(PARSE("subject", "read", "a", "--porpoise", "b"), CLI_USAGE);
    assert_int_equal(PARSE("subject", "read", "a", "--purpose"), CLI_USAGE);
    assert_int_equal(PARSE("--bogus", "status"), CLI_USAGE);
    assert_int_equal(call.argument_count, 7);
    assert_null(call.command);
}

static void test_a_command_without_a_server_has_a_key_of_its_own(void **state)
{
    (void)state;
    struct cli_call call = {0};
    const char *global[CLI_OPTIONS_MAX] = {NULL};
    assert_int_equal(PARSE("receipt", "verify", "r.json", "--key", "-abc"), CLI_DONE);
    assert_true(cli_command_is_offline(call.command));
    assert_string_equal(cli_call_value(&call, "key"), "-abc");
    assert_null(global[6]);
    assert_int_equal(PARSE("status", "--key", "client.key"), CLI_DONE);
    assert_false(cli_command_is_offline(call.command));
    assert_string_equal(global[6], "client.key");
}

static void test_help_needs_no_arguments_of_the_command(void **state)
{
    (void)state;
    struct cli_call call = {0};
    const char *global[CLI_OPTIONS_MAX] = {NULL};
    assert_int_equal(PARSE("subject", "erase", "--help"), CLI_DONE);
    assert_non_null(global[10]);
}

static void test_every_command_has_a_summary_a_function_and_options_that_fit(void **state)
{
    (void)state;
    for (const struct cli_command *command = cli_commands; command->noun != NULL; command++) {
        assert_non_null(command->summary);
        assert_non_null(command->run);
        assert_true(command->arguments_min <= command->arguments_max);
        assert_true(command->arguments_max <= CLI_ARGUMENTS_MAX);
        assert_int_equal(command->arguments != NULL, command->arguments_max > 0);
        size_t count = 0;
        for (const struct cli_option *option = command->options;
             option != NULL && option->name != NULL; option++, count++)
            for (const struct cli_option *global = cli_global_options; global->name != NULL;
                 global++)
                if (!cli_command_is_offline(command)) /* it has no use for one to reach a server */
                    assert_string_not_equal(option->name, global->name);
        assert_true(count < CLI_OPTIONS_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_may_stand_before_and_behind_the_arguments),
        cmocka_unit_test(test_words_behind_two_dashes_are_arguments),
        cmocka_unit_test(test_wrong_calls_are_usage_errors_and_leave_the_call_untouched),
        cmocka_unit_test(test_a_command_without_a_server_has_a_key_of_its_own),
        cmocka_unit_test(test_help_needs_no_arguments_of_the_command),
        cmocka_unit_test(test_every_command_has_a_summary_a_function_and_options_that_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
