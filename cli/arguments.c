#include "cli/command.h"

#include "kluis/base/yaml.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static size_t option_count(const struct cli_option *options)
{
    size_t count = 0;
    while (options != NULL && options[count].name != NULL)
        count++;
    return count;
}

static size_t option_find(const struct cli_command *command, const char *name)
{
    size_t count = option_count(command->options);
    for (size_t i = 0; i < count; i++)
        if (strcmp(command->options[i].name, name) == 0)
            return i;
    assert(0 && "the command has no such option");
    return 0;
}

const char *cli_call_value(const struct cli_call *call, const char *option)
{
    return call->values[option_find(call->command, option)];
}

const char *cli_call_value_if_any(const struct cli_call *call, const char *option)
{
    size_t count = option_count(call->command->options);
    for (size_t i = 0; i < count; i++)
        if (strcmp(call->command->options[i].name, option) == 0)
            return call->values[i];
    return NULL;
}

bool cli_call_is_set(const struct cli_call *call, const char *option)
{
    return cli_call_value(call, option) != NULL;
}

static void say_unknown(const char *what, const char *text, const char *const *known)
{
    const char *near = kl_suggest(text, known);
    (void)fprintf(stderr, "kluis: unknown %s '%s'", what, text);
    if (near != NULL)
        (void)fprintf(stderr, ", did you mean '%s'?\n", near);
    else
        (void)fprintf(stderr, "; see kluis help\n");
}

/* How many of words a verb takes, "mirror add" as two; 0: they are not it. */
static int verb_words(const char *verb, int count, char **words)
{
    int used = 0;
    while (used < count) {
        size_t size = strcspn(verb, " ");
        if (strlen(words[used]) != size || memcmp(words[used], verb, size) != 0)
            return 0;
        used++;
        if (verb[size] == '\0')
            return used;
        verb += size + 1;
    }
    return 0;
}

/* The command that words name; says what is wrong when there is none. ret_words: how many words it took. */
static const struct cli_command *find_command(int count, char **words, int *ret_words)
{
    const char *nouns[64] = {NULL}, *verbs[16] = {NULL};
    size_t noun_count = 0, verb_count = 0;
    bool noun_known = false;
    for (const struct cli_command *command = cli_commands; command->noun != NULL; command++) {
        if (noun_count + 1 < sizeof nouns / sizeof nouns[0] &&
            (noun_count == 0 || strcmp(nouns[noun_count - 1], command->noun) != 0))
            nouns[noun_count++] = command->noun;
        if (strcmp(command->noun, words[0]) != 0)
            continue;
        noun_known = true;
        if (command->verb == NULL) {
            *ret_words = 1;
            return command;
        }
        int used = verb_words(command->verb, count - 1, words + 1);
        if (used > 0) {
            *ret_words = 1 + used;
            return command;
        }
        if (verb_count + 1 < sizeof verbs / sizeof verbs[0])
            verbs[verb_count++] = command->verb;
    }
    if (!noun_known)
        say_unknown("command", words[0], nouns);
    else if (count > 1)
        say_unknown("verb", words[1], verbs);
    else
        (void)cli_help_print(words[0], NULL);
    return NULL;
}

/* Words before the first that is no flag of the globals decide the command; getopt permutes the rest. */
static size_t fill_options(struct option *out, const struct cli_option *options, int base)
{
    size_t count = option_count(options);
    for (size_t i = 0; i < count; i++)
        out[i] = (struct option){.name = options[i].name,
                                 .has_arg = options[i].value_name != NULL ? required_argument
                                                                          : no_argument,
                                 .val = base + (int)i};
    return count;
}

#define GLOBAL_BASE 1000
#define COMMAND_BASE 2000

/* Take options off argv; words that are none stay in argv[optind..]. stop_early: leave at the first word. */
static bool take_options(int argc, char **argv, const struct cli_command *command, bool stop_early,
                         struct cli_call *call, const char *global[CLI_OPTIONS_MAX])
{
    struct option options[2 * CLI_OPTIONS_MAX + 1] = {{0}};
    size_t count = 0;
    /* First, as getopt takes the first of a name: a command that needs no server may have a --key of its own. */
    if (command != NULL)
        count = fill_options(options, command->options, COMMAND_BASE);
    count += fill_options(options + count, cli_global_options, GLOBAL_BASE);
    assert(count <= 2 * CLI_OPTIONS_MAX);

    optind = 0;
    int found = 0;
    while ((found = getopt_long(argc, argv, stop_early ? "+hf:q" : "hf:q", options, NULL)) != -1) {
        const char *value = optarg != NULL ? optarg : "";
        if (found == 'h')
            global[10] = "";
        else if (found == 'f')
            global[8] = value;
        else if (found == 'q')
            global[9] = "";
        else if (found >= COMMAND_BASE)
            call->values[found - COMMAND_BASE] = value;
        else if (found >= GLOBAL_BASE)
            global[found - GLOBAL_BASE] = value;
        else
            return false;
    }
    return true;
}

enum cli_exit cli_arguments_parse(int argc, char **argv, struct cli_call *ret_call,
                                  const char *ret_global[CLI_OPTIONS_MAX])
{
    struct cli_call call = {0};
    const char *global[CLI_OPTIONS_MAX] = {NULL};
    if (!take_options(argc, argv, NULL, true, &call, global))
        return CLI_USAGE;
    int first = optind;
    if (first < argc) {
        int words = 0;
        call.command = find_command(argc - first, argv + first, &words);
        if (call.command == NULL)
            return CLI_USAGE;
        static char program[] =
            "kluis"; /* getopt takes the first word for the program's name in its messages */
        int rest = first + words - 1;
        argv[rest] = program;
        if (!take_options(argc - rest, argv + rest, call.command, false, &call, global))
            return CLI_USAGE;
        for (int i = rest + optind; i < argc; i++) {
            if (call.argument_count == CLI_ARGUMENTS_MAX)
                return CLI_USAGE;
            call.arguments[call.argument_count++] = argv[i];
        }
        bool wants_help = global[10] != NULL;
        if (!wants_help && (call.argument_count < call.command->arguments_min ||
                            call.argument_count > call.command->arguments_max)) {
            (void)fprintf(stderr, "usage: kluis %s%s%s %s\n", call.command->noun,
                          call.command->verb != NULL ? " " : "",
                          call.command->verb != NULL ? call.command->verb : "",
                          call.command->arguments != NULL ? call.command->arguments : "");
            return CLI_USAGE;
        }
    }
    *ret_call = call;
    memcpy(ret_global, global, sizeof global);
    return CLI_DONE;
}
