#include "vault/backup_params.h"

#include "kluis/base/json.h"

#include <string.h>

enum kl_status vault_backup_params_write(const struct vault_backup_params *params,
                                         struct kl_buf *ret, struct kl_err *err)
{
    struct kl_json_out out = kl_json_out(ret);
    char id[KL_ID_TEXT_BYTES];

    kl_json_object_begin(&out);
    kl_json_add_text(&out, "directory", params->directory);
    if (params->is_verification) {
        kl_id_format(VAULT_BACKUP_PREFIX, &params->backup, id);
        kl_json_add_text(&out, "backup", id);
    } else {
        kl_json_add_text(&out, "country", params->country.code);
        kl_json_add_int(&out, "keep", params->keep);
        kl_json_add_int(&out, "rate_mib_s", params->rate_mib_s);
    }
    kl_json_object_end(&out);
    return kl_buf_status(ret, err);
}

static bool take_u32(const struct kl_json_value *root, const char *key, uint32_t *ret)
{
    int64_t number = 0;

    if (!kl_json_int(kl_json_member(root, key), &number) || number < 0 || number > UINT32_MAX) {
        return false;
    }
    *ret = (uint32_t)number;
    return true;
}

static bool take_all(const struct kl_json_value *root, struct vault_backup_params *params)
{
    const char *directory = kl_json_text(kl_json_member(root, "directory"));
    const char *country = kl_json_text(kl_json_member(root, "country"));
    const char *backup = kl_json_text(kl_json_member(root, "backup"));

    if (directory == NULL || strlen(directory) >= sizeof params->directory) {
        return false;
    }
    memcpy(params->directory, directory, strlen(directory) + 1);
    params->is_verification = backup != NULL;
    if (params->is_verification) {
        return kl_id_parse(VAULT_BACKUP_PREFIX, backup, &params->backup, NULL) == KL_OK;
    }
    return country != NULL &&
           vault_country_parse(country, strlen(country), &params->country, NULL) == KL_OK &&
           take_u32(root, "keep", &params->keep) &&
           take_u32(root, "rate_mib_s", &params->rate_mib_s);
}

enum kl_status vault_backup_params_read(struct kl_slice text, struct vault_backup_params *ret,
                                        struct kl_err *err)
{
    struct vault_backup_params params = {0};
    struct kl_json *json = NULL;
    bool good = kl_json_parse(text.bytes, text.size, &json, NULL) == KL_OK &&
                take_all(kl_json_root(json), &params);

    kl_json_free(json);
    if (!good) {
        return kl_fail(err, KL_ERR_CORRUPT, "job_damaged", "the row of this job is damaged", NULL);
    }
    *ret = params;
    return KL_OK;
}
