#include "cli/command.h"

#include <stdio.h>
#include <string.h>

static void print_options(const struct cli_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        char head[64];
        (void)snprintf(head, sizeof head, "--%s%s%s", options->name,
                       options->value_name != NULL ? " " : "",
                       options->value_name != NULL ? options->value_name : "");
        (void)printf("  %-32s %s\n", head, options->help);
    }
}

static void print_usage(const struct cli_command *command)
{
    char head[96];
    (void)snprintf(head, sizeof head, "%s%s%s%s%s", command->noun, command->verb != NULL ? " " : "",
                   command->verb != NULL ? command->verb : "",
                   command->arguments != NULL ? " " : "",
                   command->arguments != NULL ? command->arguments : "");
    (void)printf("  %-32s %s\n", head, command->summary);
}

bool cli_help_print(const char *noun, const char *verb)
{
    bool found = false;
    for (const struct cli_command *command = cli_commands; command->noun != NULL; command++) {
        if (noun != NULL && strcmp(noun, command->noun) != 0)
            continue;
        if (verb != NULL && (command->verb == NULL || strcmp(verb, command->verb) != 0))
            continue;
        if (!found)
            (void)printf("usage: kluis [OPTIONS] COMMAND\n\n");
        found = true;
        print_usage(command);
        if (noun != NULL)
            print_options(command->options);
    }
    if (!found)
        return false;
    if (noun == NULL)
        (void)printf("\nkluis help NOUN shows a command's own options. ");
    (void)printf("\nOptions of every command:\n");
    print_options(cli_global_options);
    return true;
}

static void man_options(const struct cli_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        (void)printf("*--%s*", options->name);
        if (options->value_name != NULL)
            (void)printf(" _%s_", options->value_name);
        (void)printf("\n\t%s\n\n", options->help);
    }
}

void cli_help_man(void)
{
    (void)printf(
        "kluis(1)\n\n# NAME\n\nkluis - command line of the Kluis vault\n\n"
        "# SYNOPSIS\n\n*kluis* [_OPTIONS_] _NOUN_ _VERB_ [_ARGUMENTS_]\n\n"
        "# DESCRIPTION\n\nTalks to a vault over HTTPS. Values and secrets come from files or standard input, never "
        "from the command line.\n\n# COMMANDS\n\n");
    for (const struct cli_command *command = cli_commands; command->noun != NULL; command++) {
        (void)printf("## %s%s%s %s\n\n%s\n\n", command->noun, command->verb != NULL ? " " : "",
                     command->verb != NULL ? command->verb : "",
                     command->arguments != NULL ? command->arguments : "", command->summary);
        man_options(command->options);
    }
    (void)printf("# OPTIONS\n\n");
    man_options(cli_global_options);
    (void)printf(
        "# ENVIRONMENT\n\nKLUIS\\_PROFILE, KLUIS\\_CONFIG, KLUIS\\_SERVER, KLUIS\\_CA, KLUIS\\_CREDENTIAL, "
        "KLUIS\\_CERTIFICATE, KLUIS\\_KEY, KLUIS\\_TENANT: as the options of those names.\n\n"
        "# EXIT STATUS\n\n0 done; 1 refused or failed; 2 called wrongly.\n\n# SEE ALSO\n\n*kluisd*(8)\n");
}

static void completion_words(const struct cli_option *options)
{
    for (; options != NULL && options->name != NULL; options++)
        (void)printf(" --%s", options->name);
}

void cli_help_completion_bash(void)
{
    (void)printf(
        "_kluis() {\n  local cur=${COMP_WORDS[COMP_CWORD]} noun=${COMP_WORDS[1]} verb=${COMP_WORDS[2]} words=\n"
        "  if [ \"$COMP_CWORD\" -eq 1 ]; then words=\"");
    const char *last = "";
    for (const struct cli_command *command = cli_commands; command->noun != NULL; command++) {
        if (strcmp(last, command->noun) != 0)
            (void)printf("%s%s", *last != '\0' ? " " : "", command->noun);
        last = command->noun;
    }
    (void)printf("\"; else case \"$noun $verb\" in\n");
    for (const struct cli_command *command = cli_commands; command->noun != NULL; command++) {
        (void)printf("    \"%s %s\"%s) words=\"", command->noun,
                     command->verb != NULL ? command->verb : "", command->verb == NULL ? "*" : "");
        completion_words(command->options);
        completion_words(cli_global_options);
        (void)printf("\" ;;\n");
    }
    last = "";
    for (const struct cli_command *command = cli_commands; command->noun != NULL; command++) {
        if (command->verb == NULL)
            continue;
        if (strcmp(last, command->noun) != 0)
            (void)printf("%s    \"%s \"*) words=\"", *last != '\0' ? "\" ;;\n" : "", command->noun);
        (void)printf(" %s", command->verb);
        last = command->noun;
    }
    (void)printf(
        "\" ;;\n  esac; fi\n  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -o default -F _kluis kluis\n");
}

enum cli_exit cli_help(struct cli_call *call)
{
    if (cli_call_is_set(call, "man")) {
        cli_help_man();
        return CLI_DONE;
    }
    if (cli_call_is_set(call, "completion")) {
        cli_help_completion_bash();
        return CLI_DONE;
    }
    if (cli_help_print(call->arguments[0], call->arguments[1]))
        return CLI_DONE;
    (void)fprintf(stderr, "kluis: no such command; see kluis help\n");
    return CLI_USAGE;
}
