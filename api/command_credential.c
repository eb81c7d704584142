/* Files of credentials that are made at the machine. */
#include "api/command.h"

#include "kluis/base/file.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* As told, else the data directory's parent. */
static bool credentials_dir(const struct kl_config *config, const char *data,
                            char out[API_PATH_MAX_BYTES])
{
    const char *told = kl_config_text(config, "credentials-dir");
    if (told != NULL)
        return snprintf(out, API_PATH_MAX_BYTES, "%s", told) < API_PATH_MAX_BYTES;
    size_t size = strlen(data);
    while (size > 1 && data[size - 1] == '/')
        size--;
    while (size > 0 && data[size - 1] != '/')
        size--;
    if (size == 0)
        return snprintf(out, API_PATH_MAX_BYTES, ".") > 0;
    return snprintf(out, API_PATH_MAX_BYTES, "%.*s", (int)(size > 1 ? size - 1 : size), data) <
           API_PATH_MAX_BYTES;
}

enum kl_status api_credential_path(const struct kl_config *config, const char *data,
                                   const char *name, char ret_path[API_PATH_MAX_BYTES],
                                   struct kl_err *err)
{
    char dir[API_PATH_MAX_BYTES];

    if (!credentials_dir(config, data, dir) ||
        snprintf(ret_path, API_PATH_MAX_BYTES, "%s/%s", dir, name) >= API_PATH_MAX_BYTES)
        return kl_fail(err, KL_ERR_INVALID, "usage", "the path of the credentials is too long",
                       NULL);
    if (access(ret_path, F_OK) == 0)
        return kl_failf(err, KL_ERR_EXISTS, "credential_exists",
                        "%s is there already: move it, or give --credentials-dir", ret_path);
    if (access(dir, W_OK | X_OK) != 0)
        return kl_failf(err, KL_ERR_IO, "credentials_dir",
                        "cannot write into %s: make it, or give --credentials-dir", dir);
    return KL_OK;
}

enum kl_status api_credential_write(const char *path, const struct vault_token *token,
                                    struct kl_err *err)
{
    char line[VAULT_TOKEN_BYTES + 1];
    int size = snprintf(line, sizeof line, "%s\n", token->text);
    enum kl_status status = kl_file_create(path, 0600, line, (size_t)size, err);
    sodium_memzero(line, sizeof line);
    return status;
}
