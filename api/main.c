/*
 * `kluisd`: makes, serves and examines a vault.
 */
#include "api/command.h"

#include <stdio.h>
#include <string.h>

static void print_help(void)
{
    (void)printf(
        "usage: kluisd COMMAND [OPTIONS]\n\n"
        "  init                make a vault\n"
        "  serve               serve a vault over HTTPS\n"
        "  steward             make another steward for --tenant, which has lost its own; server stopped\n"
        "  restore             put a backup back, while no server runs; --finish ends it\n"
        "  doctor              say what is wrong with a vault and its machine, and what to do\n"
        "  mirror list         second places of the keys; server stopped\n"
        "  mirror add DIR,country=IE, mirror drop MIRROR\n"
        "                      make one in an empty folder; take one out\n"
        "  policy check FILE   check a policy and run its tests\n"
        "  policy diff OLD NEW what the new policy allows that the old one does not, and the other way\n\n"
        "Options:\n");
    for (const struct kl_config_key *key = api_config_keys; key->name != NULL; key++) {
        char head[64];
        (void)snprintf(head, sizeof head, "--%s%s%s", key->name, key->value_name != NULL ? " " : "",
                       key->value_name != NULL ? key->value_name : "");
        (void)printf("  %-30s %s%s%s%s\n", head, key->help, key->fallback != NULL ? " (" : "",
                     key->fallback != NULL ? key->fallback : "", key->fallback != NULL ? ")" : "");
    }
}

static enum api_exit run(int argc, char **argv, const struct kl_config *config)
{
    if (argc == 2 && strcmp(argv[1], "init") == 0)
        return api_command_init(config);
    if (argc == 2 && strcmp(argv[1], "serve") == 0)
        return api_command_serve(config);
    if (argc == 2 && strcmp(argv[1], "steward") == 0)
        return api_command_steward(config);
    if (argc == 2 && strcmp(argv[1], "restore") == 0)
        return api_command_restore(config);
    if (argc == 2 && strcmp(argv[1], "doctor") == 0)
        return api_command_doctor(config);
    if (argc >= 3 && argc <= 4 && strcmp(argv[1], "mirror") == 0)
        return api_command_mirror(config, argv[2], argc == 4 ? argv[3] : NULL);
    if (argc == 4 && strcmp(argv[1], "policy") == 0 && strcmp(argv[2], "check") == 0)
        return api_command_policy_check(config, argv[3]);
    if (argc == 5 && strcmp(argv[1], "policy") == 0 && strcmp(argv[2], "diff") == 0)
        return api_command_policy_diff(argv[3], argv[4]);
    (void)fprintf(
        stderr,
        "usage: kluisd init|serve|steward|restore|doctor|mirror list|policy check FILE|policy diff OLD NEW [OPTIONS]; see kluisd --help\n");
    return API_USAGE;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help();
            return API_DONE;
        }
        if (strcmp(argv[i], "--version") == 0) {
            (void)printf("kluisd %s\n", KLUIS_VERSION);
            return API_DONE;
        }
    }
    struct kl_err err = {0};
    struct kl_config *config = NULL;
    if (api_config_read(&argc, argv, &config, &err) != KL_OK) {
        api_command_say(&err);
        return API_USAGE;
    }
    enum api_exit result = API_FAILED;
    if (kl_secret_process_init(kl_config_bool(config, "allow-unlocked-memory"), &err) != KL_OK)
        api_command_say(&err);
    else
        result = run(argc, argv, config);
    kl_config_free(config);
    return (int)result;
}
