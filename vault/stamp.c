#include "vault/stamp.h"

#include "kluis/base/buf.h"
#include "kluis/base/encode.h"
#include "kluis/base/file.h"
#include "kluis/base/json.h"
#include "kluis/base/time.h"
#include "vault/vault_internal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum kl_status vault_path(const char *dir, const char *name, char ret[VAULT_PATH_MAX_BYTES],
                          struct kl_err *err)
{
    int size = snprintf(ret, VAULT_PATH_MAX_BYTES, "%s/%s", dir, name);

    if (size < 0 || size >= VAULT_PATH_MAX_BYTES) {
        return kl_fail(err, KL_ERR_INVALID, "path_too_long",
                       "the path of the data directory is too long", NULL);
    }
    return KL_OK;
}

enum kl_status vault_stamp_write(const char *data_dir, const struct vault_stamp *stamp,
                                 struct kl_err *err)
{
    enum kl_status status = KL_OK;
    char path[VAULT_PATH_MAX_BYTES];
    char store_id[2 * KMS_STORE_ID_BYTES + 1];
    struct kl_buf text = {0};
    struct kl_json_out out;

    kl_buf_init(&text, VAULT_STAMP_BYTES_MAX);
    status = vault_path(data_dir, VAULT_STAMP_FILE, path, err);
    if (status != KL_OK) {
        goto out;
    }
    kl_hex(stamp->store_id, sizeof stamp->store_id, store_id);
    out = kl_json_out(&text);
    kl_json_object_begin(&out);
    kl_json_add_int(&out, "format", VAULT_STAMP_FORMAT);
    kl_json_add_text(&out, "store_id", store_id);
    kl_json_add_text(&out, "country", stamp->country.code);
    kl_json_add_text(&out, "place", stamp->place);
    kl_json_add_time(&out, "created_at", stamp->created_us);
    kl_json_add_text(&out, "software", stamp->software);
    kl_json_object_end(&out);
    kl_buf_add_byte(&text, '\n');
    status = kl_buf_status(&text, err);
    if (status == KL_OK && access(path, F_OK) == 0) {
        status = kl_fail(err, KL_ERR_EXISTS, "file_exists", "a file is there already", "%s", path);
    }
    if (status ==
        KL_OK) { /* whole or not there: a file that is written piece by piece may be neither */
        status = kl_file_replace(path, 0600, text.bytes, text.size, err);
    }

out:
    kl_buf_done(&text);
    return status;
}

static enum kl_status damaged(struct kl_err *err, const char *what)
{
    return kl_fail(
        err, KL_ERR_CORRUPT, "stamp_damaged",
        "stamp.json of the data directory is damaged: put it back from a copy; it never changes",
        "stamp: %s", what);
}

static bool take_text(const struct kl_json_value *root, const char *key, char *ret,
                      size_t ret_bytes)
{
    const char *text = kl_json_text(kl_json_member(root, key));

    if (text == NULL || strlen(text) >= ret_bytes) {
        return false;
    }
    memcpy(ret, text, strlen(text) + 1);
    return true;
}

static enum kl_status read_members(const struct kl_json_value *root, struct vault_stamp *stamp,
                                   struct kl_err *err)
{
    char store_id[2 * KMS_STORE_ID_BYTES + 1];
    char country[8];
    char created[KL_TIME_TEXT_BYTES];
    int64_t format = 0;

    if (!kl_json_int(kl_json_member(root, "format"), &format)) {
        return damaged(err, "no format");
    }
    if (format != VAULT_STAMP_FORMAT) {
        return kl_failf(
            err, KL_ERR_REFUSED, "stamp_format",
            "the data directory is of format %lld, this version knows format %d: use the version that wrote it",
            (long long)format, VAULT_STAMP_FORMAT);
    }
    if (!take_text(root, "store_id", store_id, sizeof store_id) ||
        !kl_hex_decode(store_id, strlen(store_id), stamp->store_id, sizeof stamp->store_id)) {
        return damaged(err, "store_id");
    }
    if (!take_text(root, "country", country, sizeof country) ||
        vault_country_parse(country, strlen(country), &stamp->country, NULL) != KL_OK) {
        return damaged(err, "country");
    }
    if (!take_text(root, "created_at", created, sizeof created) ||
        kl_time_parse(created, strlen(created), &stamp->created_us, NULL) != KL_OK) {
        return damaged(err, "created_at");
    }
    if (!take_text(root, "place", stamp->place, sizeof stamp->place) ||
        !take_text(root, "software", stamp->software, sizeof stamp->software)) {
        return damaged(err, "place or software");
    }
    return KL_OK;
}

enum kl_status vault_stamp_read(const char *data_dir, struct vault_stamp *ret_stamp,
                                struct kl_err *err)
{
    enum kl_status status = KL_OK;
    char path[VAULT_PATH_MAX_BYTES];
    struct kl_buf text = {0};
    struct kl_json *json = NULL;
    struct vault_stamp stamp = {0};
    struct kl_err cause = {0};

    status = vault_path(data_dir, VAULT_STAMP_FILE, path, err);
    if (status != KL_OK) {
        return status;
    }
    status = kl_file_read(path, VAULT_STAMP_BYTES_MAX, &text, &cause);
    if (status == KL_ERR_NOT_FOUND) {
        status = kl_failf(
            err, KL_ERR_NOT_FOUND, "no_vault",
            "there is no vault in the data directory: it has no stamp.json; make one with kluisd init (what an "
            "init that was cut short left there is of no use: remove the directory and the root file first)");
        goto out;
    }
    if (status == KL_ERR_TOO_LARGE) {
        status = damaged(err, "too large");
        goto out;
    }
    if (status != KL_OK) {
        status = kl_fail(err, status, cause.code, cause.client_text, "stamp: %s", cause.log_text);
        goto out;
    }
    if (kl_json_parse(text.bytes, text.size, &json, NULL) != KL_OK) {
        status = damaged(err, "not JSON");
        goto out;
    }
    status = read_members(kl_json_root(json), &stamp, err);
    if (status == KL_OK) {
        *ret_stamp = stamp;
    }

out:
    kl_json_free(json);
    kl_buf_done(&text);
    return status;
}
