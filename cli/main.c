/*
 * `kluis`: the command line of a vault, a client of its HTTP API.
 */
#include "cli/command.h"

#include <curl/curl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* The places of the global options in their table. */
enum global {
    PROFILE,
    CONFIG,
    SERVER,
    CA,
    CREDENTIAL,
    CERTIFICATE,
    KEY,
    TENANT,
    FORMAT,
    QUIET,
    HELP,
    VERSION
};

static enum cli_exit take_format(const char *text, enum cli_format *ret_format)
{
    static const char *const names[] = {"table", "json", "csv"};
    if (text == NULL)
        return CLI_DONE;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(text, names[i]) == 0) {
            *ret_format = (enum cli_format)i;
            return CLI_DONE;
        }
    (void)fprintf(stderr, "kluis: --format is table, json or csv\n");
    return CLI_USAGE;
}

static enum kl_status take_profile(struct cli_call *call, const char *const *global)
{
    enum kl_status status =
        cli_profile_read(global[CONFIG], global[PROFILE], &call->profile, &call->err);
    struct {
        char **member;
        const char *value;
    } const overrides[] = {
        {&call->profile.server, global[SERVER]},
        {&call->profile.ca, global[CA]},
        {&call->profile.credential, global[CREDENTIAL]},
        {&call->profile.certificate, global[CERTIFICATE]},
        {&call->profile.key, global[KEY]},
        {&call->profile.tenant, global[TENANT]},
    };
    for (size_t i = 0; status == KL_OK && i < sizeof overrides / sizeof overrides[0]; i++)
        status = cli_profile_set(overrides[i].member, overrides[i].value, &call->err);
    return status;
}

static void say_error(const struct cli_call *call)
{
    if (call->err.status == KL_OK)
        return;
    (void)fprintf(stderr, "kluis: %s",
                  call->err.client_text[0] != '\0' ? call->err.client_text : call->err.log_text);
    if (call->err.where[0] != '\0')
        (void)fprintf(stderr, " (at %s)", call->err.where);
    (void)fprintf(stderr, " [%s]\n", call->err.code);
}

/* A copy of a trail is checked without one. */
static bool needs_server(const struct cli_call *call)
{
    return !cli_command_is_offline(call->command) &&
           !(call->command->run == cli_audit_verify && call->argument_count > 0);
}

static enum cli_exit run(struct cli_call *call, const char *const *global)
{
    enum cli_exit result = take_format(global[FORMAT], &call->format);
    if (result != CLI_DONE)
        return result;
    call->quiet = global[QUIET] != NULL;
    if (needs_server(call) &&
        (take_profile(call, global) != KL_OK ||
         cli_client_new(&call->profile, &call->client, &call->err) != KL_OK)) {
        say_error(call);
        return CLI_USAGE;
    }
    result = call->command->run(call);
    if (result != CLI_DONE)
        say_error(call);
    if (fflush(stdout) != 0 && result == CLI_DONE)
        result = CLI_FAILED;
    return result;
}

int main(int argc, char **argv)
{
    const struct rlimit no_core = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &no_core);
    if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return CLI_FAILED;

    struct cli_call call = {0};
    const char *global[CLI_OPTIONS_MAX] = {NULL};
    enum cli_exit result = cli_arguments_parse(argc, argv, &call, global);
    if (result != CLI_DONE) {
        /* said already */
    } else if (global[VERSION] != NULL) {
        (void)printf("kluis %s\n", KLUIS_VERSION);
    } else if (call.command == NULL || global[HELP] != NULL) {
        (void)cli_help_print(call.command != NULL ? call.command->noun : NULL,
                             call.command != NULL ? call.command->verb : NULL);
        result = call.command == NULL && global[HELP] == NULL ? CLI_USAGE : CLI_DONE;
    } else {
        result = run(&call, global);
    }
    cli_client_free(call.client);
    cli_profile_done(&call.profile);
    curl_global_cleanup();
    return (int)result;
}
