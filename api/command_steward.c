/* `kluisd steward`: a steward for a tenant that has lost its own, made at the machine. */
#include "api/command.h"

#include "kluis/vault/admin.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static enum kl_status steward(const struct kl_config *config, struct kl_err *err)
{
    const char *tenant = kl_config_text(config, "tenant");
    struct vault_options options;
    char path[API_PATH_MAX_BYTES];
    struct vault_token token = {""};
    struct kl_secret *passphrase = NULL;

    enum kl_status status = api_config_vault(config, &options, err);
    if (status == KL_OK && tenant == NULL)
        status = kl_fail(err, KL_ERR_INVALID, "usage",
                         "--tenant NAME is needed: whose steward this will be", NULL);
    if (status == KL_OK)
        status = api_credential_path(config, options.data_dir, "steward.credential", path, err);
    if (status == KL_OK)
        status = api_passphrase_read(config, options.custodian, false, &passphrase,
                                     &options.passphrase_bytes, err);
    if (status == KL_OK && passphrase != NULL)
        options.passphrase = (const char *)kl_secret_peek(passphrase);
    if (status == KL_OK)
        status = vault_steward_recover(&options, tenant, &token, err);
    if (status == KL_OK)
        status = api_credential_write(path, &token, err);
    if (status == KL_OK)
        (void)printf(
            "steward's credential of tenant \"%s\": %s\n"
            "this is in its audit trail as steward_recovered; other stewards stay: revoke those that are lost\n",
            tenant, path);
    sodium_memzero(&token, sizeof token);
    kl_secret_free(passphrase);
    return status;
}

enum api_exit api_command_steward(const struct kl_config *config)
{
    struct kl_err err = {0};
    enum kl_status status = steward(config, &err);
    if (status == KL_OK)
        return API_DONE;
    api_command_say(&err);
    return strcmp(err.code, "usage") == 0 ? API_USAGE : API_FAILED;
}
