#include "api/command.h"

#include "kluis/base/buf.h"
#include "kluis/base/file.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_MAX_BYTES 4096

/* DIR of the two credentials: as told, else the data directory's parent. */
static bool credentials_dir(const struct kl_config *config, const char *data,
                            char out[PATH_MAX_BYTES])
{
    const char *told = kl_config_text(config, "credentials-dir");
    if (told != NULL)
        return snprintf(out, PATH_MAX_BYTES, "%s", told) < PATH_MAX_BYTES;
    size_t size = strlen(data);
    while (size > 1 && data[size - 1] == '/')
        size--;
    while (size > 0 && data[size - 1] != '/')
        size--;
    if (size == 0)
        return snprintf(out, PATH_MAX_BYTES, ".") > 0;
    return snprintf(out, PATH_MAX_BYTES, "%.*s", (int)(size > 1 ? size - 1 : size), data) <
           PATH_MAX_BYTES;
}

/* Tokens are shown once, so the place for them must be good before the vault is made. */
static enum kl_status check_free(const char *dir, const char *name, char out[PATH_MAX_BYTES],
                                 struct kl_err *err)
{
    if (snprintf(out, PATH_MAX_BYTES, "%s/%s", dir, name) >= PATH_MAX_BYTES)
        return kl_fail(err, KL_ERR_INVALID, "usage", "the path of the credentials is too long",
                       NULL);
    if (access(out, F_OK) == 0)
        return kl_failf(err, KL_ERR_EXISTS, "credential_exists",
                        "%s is there already: move it, or give --credentials-dir", out);
    if (access(dir, W_OK | X_OK) != 0)
        return kl_failf(err, KL_ERR_IO, "credentials_dir",
                        "cannot write into %s: make it, or give --credentials-dir", dir);
    return KL_OK;
}

static enum kl_status write_token(const char *path, const struct vault_token *token,
                                  struct kl_err *err)
{
    char line[VAULT_TOKEN_BYTES + 1];
    int size = snprintf(line, sizeof line, "%s\n", token->text);
    enum kl_status status = kl_file_create(path, 0600, line, (size_t)size, err);
    sodium_memzero(line, sizeof line);
    return status;
}

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
    char dir[PATH_MAX_BYTES], operator_path[PATH_MAX_BYTES], steward_path[PATH_MAX_BYTES];
    struct vault_token operator_token = {""}, steward_token = {""};
    struct kl_secret *passphrase = NULL;

    enum kl_status status = api_config_vault(config, &options, err);
    options.mirrors = kl_config_list(config, "mirror");
    if (status == KL_OK && options.country == NULL)
        status = kl_fail(err, KL_ERR_INVALID, "usage",
                         "--country is needed: where this data will lie, such as IE", NULL);
    if (status == KL_OK && !credentials_dir(config, options.data_dir, dir))
        status =
            kl_fail(err, KL_ERR_INVALID, "usage", "the path of the credentials is too long", NULL);
    if (status == KL_OK)
        status = check_free(dir, "operator.credential", operator_path, err);
    if (status == KL_OK)
        status = check_free(dir, "steward.credential", steward_path, err);
    if (status == KL_OK)
        status = api_passphrase_read(config, options.custodian, true, &passphrase,
                                     &options.passphrase_bytes, err);
    if (status == KL_OK && passphrase != NULL)
        options.passphrase = (const char *)kl_secret_peek(passphrase);
    if (status == KL_OK)
        status = vault_init(&options, &operator_token, &steward_token, err);
    if (status == KL_OK)
        status = write_token(operator_path, &operator_token, err);
    if (status == KL_OK)
        status = write_token(steward_path, &steward_token, err);
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
