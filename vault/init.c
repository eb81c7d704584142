/*
 * Making a vault. stamp.json is written last: what a crash leaves has none,
 * is no vault, and can be removed.
 */
#include "kluis/base/file.h"
#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/act.h"
#include "vault/credentials.h"
#include "vault/open.h"
#include "vault/rows.h"
#include "vault/steward.h"
#include "vault/tenants.h"

#include <dirent.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef KLUIS_VERSION
#define KLUIS_VERSION "unknown"
#endif

/* ---- the directory ---- */

static enum kl_status io(struct kl_err *err, const char *what)
{
    return kl_failf(err, KL_ERR_IO, "data_dir", "could not make the data directory: %s: %s", what,
                    strerror(errno));
}

static enum kl_status check_empty(const char *path, struct kl_err *err)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    bool empty = true;

    if (dir == NULL) {
        return io(err, "open");
    }
    while (empty && (entry = readdir(dir)) != NULL) {
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    }
    (void)closedir(dir);
    if (!empty) {
        return kl_fail(
            err, KL_ERR_EXISTS, "data_dir_not_empty",
            "the data directory is not empty: give another one; what an init that was cut short left there is of no use "
            "and can be removed, with its root file",
            NULL);
    }
    return KL_OK;
}

/* ret_made: it was not there before. */
static enum kl_status dir_make(const char *path, bool *ret_made, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    char parent[VAULT_PATH_MAX_BYTES];

    if (mkdir(path, 0700) == 0) {
        *ret_made = true;
        status = vault_path(path, "..", parent, err);
        return status == KL_OK ? kl_dir_sync(parent, err) : status;
    }
    if (errno != EEXIST) {
        return io(err, "mkdir");
    }
    *ret_made = false;
    status = check_empty(path, err);
    if (status == KL_OK && chmod(path, 0700) != 0) {
        status = io(err, "chmod");
    }
    return status;
}

/* Remove a database that was just made: plain files in one folder. */
static void database_remove(const char *data_dir, const char *name)
{
    char path[VAULT_PATH_MAX_BYTES];
    const struct dirent *entry;
    DIR *dir = NULL;

    if (vault_path(data_dir, name, path, NULL) != KL_OK) {
        return;
    }
    dir = opendir(path);
    if (dir == NULL) {
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    }
    (void)closedir(dir);
    (void)rmdir(path);
}

/* ---- what is in it from the start ---- */

/* The row by which data/ knows its vault, with the entry that the vault was made. */
static enum kl_status data_stamp(struct vault *vault, const struct vault_audit_who *who,
                                 struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = vault_row_meta("stamp");
    struct vault_batch *batch = vault_batch_new();
    struct vault_act act;
    struct vault_act *acts[1] = {&act};

    if (batch == NULL) {
        return kl_fail_memory(err);
    }
    vault_batch_put(batch, vault_row_slice(&key),
                    kl_slice_of(vault->store_id, sizeof vault->store_id));
    vault_act_begin(&act, KMS_TENANT_VAULT, who, "vault_init");
    kl_json_add_text(&act.out, "country", vault->country.code);
    status = vault_act_commit(vault, acts, 1, batch, err);
    vault_act_done(&act);
    vault_batch_free(batch);
    return status;
}

static enum kl_status contents_make(struct vault *vault, int64_t now_us,
                                    struct vault_token *operator_token,
                                    struct vault_token *steward_token, struct kl_err *err)
{
    const struct vault_audit_who who = {.role = "vault", .at_us = now_us};
    struct vault_tenant *tenant = NULL;
    enum kl_status status = data_stamp(vault, &who, err);

    if (!vault->is_main) {
        return status; /* operators are its vault's, tenants come later */
    }
    if (status == KL_OK) {
        status = vault_tenant_make(vault, &who, VAULT_DEFAULT_TENANT, "", &tenant, err);
    }
    if (status == KL_OK) {
        status = vault_credential_at_machine(vault, &who, VAULT_BUILTIN_OPERATOR, KMS_TENANT_VAULT,
                                             "credential_create", operator_token, err);
    }
    if (status == KL_OK) {
        status = vault_credential_at_machine(vault, &who, VAULT_BUILTIN_STEWARD, tenant->number,
                                             "credential_create", steward_token, err);
    }
    return status;
}

/* ---- mirrors ---- */

/* Before anything is made: whether they are named as they should be. */
static enum kl_status mirrors_check(const struct vault_options *options, struct kl_err *err)
{
    char directory[VAULT_MIRROR_DIRECTORY_MAX_BYTES + 1];
    const char *name = NULL;
    struct vault_country country;
    enum kl_status status = KL_OK;
    size_t i;

    for (i = 0; status == KL_OK && options->mirrors != NULL && options->mirrors[i] != NULL; i++) {
        status = vault_mirror_parse(options->mirrors[i], directory, &name, err);
        if (status == KL_OK) {
            status = vault_place_country(name, &country, err);
        }
    }
    return status;
}

static enum kl_status mirrors_make(struct vault *vault, const struct vault_options *options,
                                   struct kl_err *err)
{
    char directory[VAULT_MIRROR_DIRECTORY_MAX_BYTES + 1];
    const char *country = NULL;
    struct vault_mirror_result mirror;
    enum kl_status status = KL_OK;
    size_t i;

    for (i = 0; status == KL_OK && options->mirrors != NULL && options->mirrors[i] != NULL; i++) {
        status = vault_mirror_parse(options->mirrors[i], directory, &country, err);
        if (status == KL_OK) {
            status = vault_mirror_add(vault, NULL, directory, country, &mirror, err);
        }
    }
    return status;
}

/* ---- the call ---- */

static enum kl_status stamp_prepare(const struct vault_options *options, struct vault_stamp *stamp,
                                    struct kl_err *err)
{
    if (options->country == NULL) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_options",
                       "a country is needed: where the data will lie, as IE", NULL);
    }
    if (strlen(options->country) > VAULT_PLACE_MAX_BYTES) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_country",
                       "a country is two letters, a region at most 64", NULL);
    }
    (void)snprintf(stamp->place, sizeof stamp->place, "%s", options->country);
    (void)snprintf(stamp->software, sizeof stamp->software, "%s", KLUIS_VERSION);
    stamp->created_us = kl_time_now_us();
    return vault_place_country(options->country, &stamp->country, err);
}

/* Make everything but the stamp, and close it again. ret_keys: a root file was made. */
static enum kl_status parts_make(const struct vault_options *options, struct vault_stamp *stamp,
                                 struct vault_token *operator_token,
                                 struct vault_token *steward_token, bool *ret_keys,
                                 struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kms_state state;
    struct vault *vault = vault_new(options);

    if (vault == NULL) {
        return kl_fail_memory(err);
    }
    vault->country = stamp->country;
    status = vault_keys_open(vault, options, true, err);
    if (status == KL_OK) {
        *ret_keys = true;
        kms_state(vault->keys, &state);
        memcpy(stamp->store_id, state.store_id, sizeof stamp->store_id);
        memcpy(vault->store_id, state.store_id, sizeof vault->store_id);
        status = vault_data_open(vault, options, true, err);
    }
    if (status == KL_OK) {
        status = contents_make(vault, stamp->created_us, operator_token, steward_token, err);
    }
    if (status == KL_OK) {
        status = mirrors_make(vault, options, err);
    }
    vault_close(vault);
    return status;
}

enum kl_status vault_init(const struct vault_options *options, struct vault_token *ret_operator,
                          struct vault_token *ret_steward, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_stamp stamp = {0};
    struct vault_token operator_token = {{0}};
    struct vault_token steward_token = {{0}};
    bool made = false;
    bool keys = false;

    status = vault_options_check(options, err);
    if (status == KL_OK) {
        status = stamp_prepare(options, &stamp, err);
    }
    if (status == KL_OK) {
        status = mirrors_check(options, err);
    }
    if (status == KL_OK) {
        status = dir_make(options->data_dir, &made, err);
    }
    if (status != KL_OK) {
        return status;
    }
    status = parts_make(options, &stamp, &operator_token, &steward_token, &keys, err);
    if (status != KL_OK && !keys) {
        database_remove(options->data_dir, VAULT_KEYS_DIR);
        if (made) {
            (void)rmdir(options->data_dir);
        }
    }
    if (status == KL_OK) {
        status = vault_stamp_write(options->data_dir, &stamp, err);
    }
    if (status == KL_OK) {
        *ret_operator = operator_token;
        *ret_steward = steward_token;
    } else if (keys) {
        kl_log(KL_LOG_ERROR, "init_cut_short", KL_LOG_TEXT("data", options->data_dir),
               KL_LOG_TEXT("advice",
                           "remove the data directory and the root file, then run init again"));
    }
    sodium_memzero(&operator_token, sizeof operator_token);
    sodium_memzero(&steward_token, sizeof steward_token);
    return status;
}
