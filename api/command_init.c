#include "api/command.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static void say_made(const struct vault_options *options, const char *operator_path,
                     const char *steward_path)
{
    (void)printf("vault made in %s, country %s\n"
                 "operator's credential: %s\nsteward's credential of tenant \"default\": %s\n",
                 options->data_dir, options->country, operator_path, steward_path);
    if (strncmp(options->custodian, "pkcs11:", 7) == 0)
        (void)printf("keep no copy of the token's keys: it would bring an old root key back\n");
    else
        (void)printf(
            "keep %s out of every backup and snapshot: it is the one thing that must really be overwritten\n",
            strchr(options->custodian, ':') + 1);
}

static enum kl_status init(const struct kl_config *config, struct kl_err *err)
{
    struct vault_options options;
    char operator_path[API_PATH_MAX_BYTES], steward_path[API_PATH_MAX_BYTES];
    struct vault_token operator_token = {""}, steward_token = {""};
    struct kl_secret *passphrase = NULL;

    enum kl_status status = api_config_vault(config, &options, err);
    options.mirrors = kl_config_list(config, "mirror");
    if (status == KL_OK && options.country == NULL)
        status = kl_fail(err, KL_ERR_INVALID, "usage",
                         "--country is needed: where this data will lie, such as IE", NULL);
    if (status == KL_OK)
        status = api_credential_path(config, options.data_dir, "operator.credential", operator_path,
                                     err);
    if (status == KL_OK)
        status =
            api_credential_path(config, options.data_dir, "steward.credential", steward_path, err);
    if (status == KL_OK)
        status = api_passphrase_read(config, options.custodian, true, &passphrase,
                                     &options.passphrase_bytes, err);
    if (status == KL_OK && passphrase != NULL)
        options.passphrase = (const char *)kl_secret_peek(passphrase);
    if (status == KL_OK)
        status = vault_init(&options, &operator_token, &steward_token, err);
    if (status == KL_OK)
        status = api_credential_write(operator_path, &operator_token, err);
    if (status == KL_OK)
        status = api_credential_write(steward_path, &steward_token, err);
    if (status == KL_OK)
        say_made(&options, operator_path, steward_path);
    sodium_memzero(&operator_token, sizeof operator_token);
    sodium_memzero(&steward_token, sizeof steward_token);
    kl_secret_free(passphrase);
    return status;
}

enum api_exit api_command_init(const struct kl_config *config)
{
    struct kl_err err = {0};
    enum kl_status status = init(config, &err);
    if (status == KL_OK)
        return API_DONE;
    api_command_say(&err);
    return strcmp(err.code, "usage") == 0 ? API_USAGE : API_FAILED;
}
