#include "vault/open.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/alerts.h"
#include "vault/audit_check.h"
#include "vault/backup.h"
#include "vault/credentials.h"
#include "vault/fail_stop.h"
#include "vault/files.h"
#include "vault/idempotency.h"
#include "vault/journal.h"
#include "vault/limits.h"
#include "vault/rekeying.h"
#include "vault/restore.h"
#include "vault/retained.h"
#include "vault/rows.h"
#include "vault/secret_hash.h"
#include "vault/space.h"
#include "vault/subject_secret.h"
#include "vault/sweep.h"
#include "vault/tenants.h"
#include "vault/upkeep.h"
#include "vault/volume.h"
#include "vault/waiting.h"
#include "vault/webhook_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* keys/ is small: pages are cached by kms itself. */
#define KEYS_CACHE_BYTES (8u * 1024 * 1024)

struct vault *vault_new(const struct vault_options *options)
{
    struct vault *vault = calloc(1, sizeof *vault);

    if (vault == NULL) {
        return NULL;
    }
    vault->is_main = options->main == NULL;
    (void)snprintf(vault->name, sizeof vault->name, "%s",
                   options->store == NULL ? VAULT_STORE_MAIN : options->store);
    vault->own_walks.max = options->walks_max == 0 ? VAULT_WALKS_MAX : options->walks_max;
    vault->walks = options->main == NULL ? &vault->own_walks : options->main->walks;
    if (pthread_rwlock_init(&vault->tenants.lock, NULL) != 0) {
        goto fail;
    }
    if (!vault_turn_init(&vault->turn)) {
        goto fail_lock;
    }
    if (!vault_turn_init(&vault->ending)) {
        goto fail_turn;
    }
    vault->idempotency = vault_idempotency_guard_new();
    if (vault->idempotency == NULL) {
        goto fail_ending;
    }
    return vault;

fail_ending:
    vault_turn_done(&vault->ending);
fail_turn:
    vault_turn_done(&vault->turn);
fail_lock:
    (void)pthread_rwlock_destroy(&vault->tenants.lock);
fail:
    free(vault);
    return NULL;
}

/* The heads of the trails go beside the keys, so that a copy of data/ from before now is known for one. */
static void trails_say(struct vault *vault)
{
    struct kl_err err = {0};

    if (vault->trails != NULL && vault->keys != NULL &&
        vault_trails_known_put(vault->trails, kl_time_now_us(), &err) != KL_OK) {
        kl_log_err(KL_LOG_WARNING, "trail_head_not_kept", &err);
    }
}

void vault_close(struct vault *vault)
{
    if (vault == NULL) {
        return;
    }
    vault_upkeep_free(vault);
    vault_backup_run_free(vault);
    vault_verify_run_free(vault);
    trails_say(vault);
    vault_committer_free(vault->committer);
    vault_trails_free(vault->trails);
    vault_index_free(vault->index);
    vault_credentials_free(vault->credentials);
    vault_journal_free(vault->journal);
    vault_rekeying_free(vault->rekeying);
    vault_files_free(vault->files);
    vault_waiting_free(vault->waiting);
    vault_webhooks_free(vault->webhooks);
    vault_alerts_free(vault->alerts);
    vault_idempotency_guard_free(vault->idempotency);
    if (vault->is_main) {
        vault_secrets_free(vault->secrets);
    }
    vault_limits_free(vault->volume);
    vault_limits_free(vault->tries);
    vault_tenants_done(&vault->tenants);
    kms_close(vault->keys);
    vault_store_close(vault->data_store);
    vault_store_close(vault->keys_store);
    vault_space_free(vault->space);
    free(vault->data_dir);
    vault_turn_done(&vault->ending);
    vault_turn_done(&vault->turn);
    (void)pthread_rwlock_destroy(&vault->tenants.lock);
    sodium_memzero(vault, sizeof *vault);
    free(vault);
}

struct kms_custodian_options vault_custodian_options(const struct vault_options *options)
{
    struct kms_custodian_options custodian = {
        .custodian = options->custodian,
        .passphrase = options->passphrase,
        .passphrase_bytes = options->passphrase_bytes,
        .accept_f0 = options->accept_f0,
        .argon2_light = options->argon2_light,
        .forbidden_dir = options->data_dir,
        .leftover_pin_file = options->leftover_pin_file,
    };

    return custodian;
}

enum kl_status vault_options_check(const struct vault_options *options, struct kl_err *err)
{
    if (options->data_dir == NULL || options->data_dir[0] == '\0') {
        return kl_fail(err, KL_ERR_INVALID, "invalid_options", "a data directory is needed", NULL);
    }
    if (strlen(options->data_dir) > VAULT_PATH_MAX_BYTES - 64) {
        return kl_fail(err, KL_ERR_INVALID, "path_too_long",
                       "the path of the data directory is too long", NULL);
    }
    if (options->custodian == NULL || options->custodian[0] == '\0') {
        return kl_fail(err, KL_ERR_INVALID, "invalid_options",
                       "a custodian is needed, as file:PATH: it keeps the root key", NULL);
    }
    return KL_OK;
}

static enum kl_status store_open(const struct vault_options *options, const char *name,
                                 size_t cache_bytes, size_t write_buffer_bytes, bool create,
                                 struct vault_store **ret_store, struct kl_err *err)
{
    char path[VAULT_PATH_MAX_BYTES];
    const struct vault_store_options store = {.path = path,
                                              .create = create,
                                              .cache_bytes = cache_bytes,
                                              .write_buffer_bytes = write_buffer_bytes};
    enum kl_status status = vault_path(options->data_dir, name, path, err);

    return status == KL_OK ? vault_store_open(&store, ret_store, err) : status;
}

enum kl_status vault_keys_open(struct vault *vault, const struct vault_options *options,
                               bool create, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kms_options keys = {.custodian = vault_custodian_options(options),
                               .mirrors = vault_mirror_source()};

    status = store_open(options, VAULT_KEYS_DIR, KEYS_CACHE_BYTES, VAULT_KEYS_WRITE_BUFFER_BYTES,
                        create, &vault->keys_store, err);
    if (status != KL_OK) {
        return status;
    }
    vault->key_storage = vault_key_storage(vault->keys_store);
    vault->accept_f0 = options->accept_f0;
    vault->argon2_light = options->argon2_light;
    keys.storage = &vault->key_storage;
    if (create) {
        status = kms_create(&keys, err);
    }
    if (status == KL_OK) {
        status = kms_open(&keys, &vault->keys, err);
    }
    return status;
}

enum kl_status vault_data_open(struct vault *vault, const struct vault_options *options,
                               bool create, struct kl_err *err)
{
    enum kl_status status =
        store_open(options, VAULT_DATA_DIR, options->cache_bytes, VAULT_STORE_WRITE_BUFFER_BYTES,
                   create, &vault->data_store, err);

    if (status != KL_OK) {
        return status;
    }
    vault->data_dir = realpath(options->data_dir, NULL);
    if (vault->data_dir == NULL) {
        return kl_failf(err, KL_ERR_IO, "data_dir",
                        "the path of the data directory cannot be read");
    }
    vault->index = vault_index_new(vault->keys, vault->data_store);
    vault->trails = vault_trails_new(vault->keys, vault->data_store);
    if (vault->index == NULL || vault->trails == NULL) {
        return kl_fail_memory(err);
    }
    status = vault_journal_new(vault, err);
    if (status != KL_OK) {
        return status;
    }
    status = vault_files_new(vault->data_dir, &vault->files, err);
    if (status != KL_OK) {
        return status;
    }
    if (options->reserve_bytes > 0) {
        vault_files_headroom(vault->files, options->reserve_bytes);
    }
    vault->committer = vault_committer_new(vault->data_store, vault->index, vault->trails);
    vault->credentials = vault_credentials_new();
    vault->rekeying = vault_rekeying_new();
    vault->waiting = vault_waiting_new();
    vault->secrets =
        vault->is_main ? vault_secrets_new(vault->argon2_light) : options->main->secrets;
    vault->tries = vault_limits_new(VAULT_TRIES_PLACES);
    vault->volume = vault_limits_new(VAULT_VOLUME_PLACES);
    vault->alerts = vault_alerts_new();
    vault->webhooks = vault_webhooks_new();
    if (vault->committer == NULL || vault->credentials == NULL || vault->rekeying == NULL ||
        vault->waiting == NULL || vault->secrets == NULL || vault->tries == NULL ||
        vault->volume == NULL || vault->alerts == NULL || vault->webhooks == NULL) {
        return kl_fail_memory(err);
    }
    return KL_OK;
}

enum kl_status vault_parts_check(struct vault *vault, const struct vault_stamp *stamp,
                                 struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = vault_row_meta("stamp");
    struct kl_buf row = {0};
    struct kl_err cause = {0};
    struct kms_state state;

    kms_state(vault->keys, &state);
    if (sodium_memcmp(state.store_id, stamp->store_id, KMS_STORE_ID_BYTES) != 0) {
        return kl_fail(
            err, KL_ERR_REFUSED, "keys_other_store",
            "keys/ is of another vault than stamp.json: put back the directory that belongs here",
            NULL);
    }
    kl_buf_init(&row, KMS_STORE_ID_BYTES);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, &cause);
    if (status != KL_OK && status != KL_ERR_NOT_FOUND && status != KL_ERR_TOO_LARGE) {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    } else if (status != KL_OK || row.size != KMS_STORE_ID_BYTES ||
               sodium_memcmp(row.bytes, stamp->store_id, KMS_STORE_ID_BYTES) != 0) {
        status = kl_fail(
            err, KL_ERR_REFUSED, "data_other_store",
            "data/ is of another vault than stamp.json: put back the directory that belongs here",
            NULL);
    }
    kl_buf_done(&row);
    return status;
}

enum kl_status vault_country_check(const struct vault_stamp *stamp, const char *country,
                                   struct kl_err *err)
{
    struct vault_country configured;
    enum kl_status status = KL_OK;

    if (country == NULL) {
        return KL_OK;
    }
    status = vault_place_country(country, &configured, err);
    if (status != KL_OK) {
        return status;
    }
    if (strcmp(configured.code, stamp->country.code) != 0) {
        return kl_failf(
            err, KL_ERR_REFUSED, "country_mismatch",
            "the data directory was made in %s, the configuration says %s: data does not move by a setting; correct it, or "
            "make a vault there and move people to it",
            stamp->country.code, configured.code);
    }
    return KL_OK;
}

/* From now on others rely on what is written. Before, a failure is that of the opening: of several stores this one is away then. */
static void fail_stop_begin(struct vault *vault)
{
    vault_store_on_failure(vault->keys_store, vault_fail_stop);
    vault_store_on_failure(vault->data_store, vault_fail_stop);
    vault_committer_on_failure(vault->committer, vault_fail_stop);
    vault->is_open = true;
}

enum kl_status vault_open(const struct vault_options *options, struct vault **ret_vault,
                          struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_stamp stamp;
    struct vault *vault = NULL;

    status = vault_options_check(options, err);
    if (status == KL_OK) {
        status = vault_stamp_read(options->data_dir, &stamp, err);
    }
    if (status == KL_OK) {
        status = vault_country_check(&stamp, options->country, err);
    }
    if (status != KL_OK) {
        return status;
    }
    vault = vault_new(options);
    if (vault == NULL) {
        return kl_fail_memory(err);
    }
    vault->country = stamp.country;
    memcpy(vault->store_id, stamp.store_id, sizeof vault->store_id);
    status = vault_space_new(options->data_dir, vault->name, options->reserve_bytes, false, NULL,
                             &vault->space, err); /* before: a full disk gets room to open on */
    if (status == KL_OK) {
        status = vault_keys_open(vault, options, false, err);
    }
    if (status == KL_OK) {
        status = vault_restore_settle(options->data_dir, err);
    }
    if (status == KL_OK) {
        status = vault_files_adopt(options->data_dir, err);
    }
    if (status == KL_OK) {
        status = vault_data_open(vault, options, false, err);
    }
    if (status == KL_OK) {
        status = vault_parts_check(vault, &stamp, err);
    }
    if (status == KL_OK) {
        status = vault_tenants_load(vault, err);
    }
    if (status == KL_OK) {
        vault_erasure_hooks_set(vault);
        status = vault_erasure_recover(vault, err);
    }
    if (status ==
        KL_OK) { /* not before: receipts that are still to be written tell of what is kept */
        status = vault_retained_tidy_all(vault, err);
    }
    if (status == KL_OK) {
        status = vault_waiting_open(vault, err);
    }
    if (status == KL_OK) {
        status = vault_tenants_closed_apply(vault, err);
    }
    if (status == KL_OK) {
        status = vault_journal_open(vault, err);
    }
    if (status == KL_OK) {
        status = vault_unicode_mark_check(vault, err);
    }
    if (status == KL_OK) {
        status = vault_sweep_old_indexes(vault, err);
    }
    if (status == KL_OK) {
        status = vault_audit_known_check(vault, err);
    }
    if (status == KL_OK) {
        status = vault_webhooks_open(vault, err);
    }
    if (status == KL_OK) {
        status = vault_upkeep_new(vault, err);
    }
    if (status != KL_OK) {
        vault_close(vault);
        return status;
    }
    fail_stop_begin(vault);
    *ret_vault = vault;
    return KL_OK;
}

struct vault_country vault_store_country(const struct vault *vault)
{
    return vault->country;
}

const char *vault_store_name(const struct vault *vault)
{
    return vault->name;
}
