/* Mirrors of the keys of a vault that is not served. */
#include "api/command.h"

#include "kluis/vault/admin.h"

#include <stdio.h>
#include <string.h>

static void print_mirror(const struct vault_mirror_result *mirror)
{
    char id[KL_ID_TEXT_BYTES];
    kl_id_format(VAULT_MIRROR_PREFIX, &mirror->id, id);
    (void)printf("%s  %s  %s  %s  generation %llu%s%s%s%s\n", id, mirror->country,
                 mirror->directory, mirror->in_step ? "in step" : "out of step",
                 (unsigned long long)mirror->generation, mirror->finality[0] != '\0' ? "  " : "",
                 mirror->finality, mirror->in_step ? "" : ": ",
                 mirror->in_step ? "" : mirror->reason);
}

static enum kl_status list(struct vault *vault, struct kl_err *err)
{
    struct vault_mirror_result mirrors[VAULT_MIRRORS_MAX];
    size_t count = 0;
    enum kl_status status = vault_mirror_list(vault, NULL, mirrors, &count, err);
    for (size_t i = 0; status == KL_OK && i < count; i++)
        print_mirror(&mirrors[i]);
    return status;
}

static enum kl_status add(struct vault *vault, const char *what, struct kl_err *err)
{
    char directory[VAULT_MIRROR_DIRECTORY_MAX_BYTES + 1];
    const char *country = NULL;
    struct vault_mirror_result mirror = {0};
    enum kl_status status = vault_mirror_parse(what, directory, &country, err);
    if (status == KL_OK)
        status = vault_mirror_add(vault, NULL, directory, country, &mirror, err);
    if (status == KL_OK)
        print_mirror(&mirror);
    return status;
}

static enum kl_status drop(struct vault *vault, const char *what, bool declared, struct kl_err *err)
{
    struct kl_id mirror;
    bool destroyed = false;
    enum kl_status status = kl_id_parse(VAULT_MIRROR_PREFIX, what, &mirror, err);
    if (status == KL_OK)
        status = vault_mirror_drop(vault, NULL, &mirror, declared, &destroyed, err);
    if (status == KL_OK)
        (void)printf("%s is out; its root key %s\n", what,
                     destroyed ? "is overwritten"
                               : "was not reached: you answer for its destruction");
    return status;
}

static enum kl_status open_vault(const struct kl_config *config, struct vault **ret_vault,
                                 struct kl_err *err)
{
    struct vault_options options;
    struct kl_secret *passphrase = NULL;
    enum kl_status status = api_config_vault(config, &options, err);
    if (status == KL_OK)
        status = api_passphrase_read(config, options.custodian, false, &passphrase,
                                     &options.passphrase_bytes, err);
    if (status == KL_OK && passphrase != NULL)
        options.passphrase = (const char *)kl_secret_peek(passphrase);
    if (status == KL_OK)
        status = vault_open(&options, ret_vault, err);
    kl_secret_free(passphrase);
    return status;
}

enum api_exit api_command_mirror(const struct kl_config *config, const char *verb, const char *what)
{
    struct kl_err err = {0};
    struct vault *vault = NULL;
    bool lists = strcmp(verb, "list") == 0;
    bool adds = strcmp(verb, "add") == 0;
    if ((!lists && !adds && strcmp(verb, "drop") != 0) || lists == (what != NULL)) {
        (void)fprintf(
            stderr,
            "usage: kluisd mirror list|add DIR,country=IE|drop MIRROR [--destroyed] [OPTIONS]\n");
        return API_USAGE;
    }
    enum kl_status status = open_vault(config, &vault, &err);
    if (status == KL_OK && lists)
        status = list(vault, &err);
    else if (status == KL_OK && adds)
        status = add(vault, what, &err);
    else if (status == KL_OK)
        status = drop(vault, what, kl_config_bool(config, "destroyed"), &err);
    vault_close(vault);
    if (status == KL_OK)
        return API_DONE;
    api_command_say(&err);
    return strcmp(err.code, "usage") == 0 ? API_USAGE : API_FAILED;
}
