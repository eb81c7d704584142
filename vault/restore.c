/*
 * Putting a backup back: the keys are opened first, so that nobody else has
 * the vault and the manifest's signature can be looked at; then the files are copied beside data/ and looked through; then what must never
 * be used again is marked; then they take data/'s place; then the vault is opened, and recovers what it must.
 */
#include "vault/restore.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/backup.h"
#include "vault/open.h"
#include "vault/survey.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES ((uint64_t)8 * 1024 * 1024)
#define SURVEY_STEP_US (INT64_C(200) * 1000)
#define LOOK_CACHE_BYTES ((size_t)32 * 1024 * 1024)
/* A mirror that was out of step may not know how far numbers were given out. */
#define MIRROR_MARGIN (UINT64_C(1) << 24)
/* How much of the whole the copying is, for the progress. */
#define COPY_PART 0.6
#define LOOK_PART 0.3

struct restoring {
    const struct vault_restore_options *options;
    int from;            /* the directory, open from the beginning to the end */
    struct vault *vault; /* its keys alone */
    struct vault_backup_manifest manifest;
    struct vault_restore_result result;
};

static void report(const struct restoring *restoring, double done)
{
    if (restoring->options->progress != NULL) {
        restoring->options->progress(restoring->options->context, done);
    }
}

/* ---- which backup ---- */

static enum kl_status backup_choose(int from, const struct vault_restore_options *options,
                                    struct kl_id *ret_id, struct kl_err *err)
{
    unsigned char store_id[KMS_STORE_ID_BYTES];
    struct vault_country country;
    struct vault_backup_entry *entries = NULL;
    size_t count = 0;
    enum kl_status status = vault_backup_directory_read(from, store_id, &country, err);

    if (status != KL_OK || options->backup != NULL) {
        *ret_id = options->backup != NULL ? *options->backup : *ret_id;
        return status;
    }
    status = vault_backup_directory_list(from, &entries, &count, err);
    if (status == KL_OK && count == 0) {
        status = kl_fail(err, KL_ERR_NOT_FOUND, "no_backup",
                         "there is no complete backup in that directory", NULL);
    } else if (status == KL_OK) {
        *ret_id = entries[0].id;
    }
    free(entries);
    return status;
}

/* ---- keys ---- */

static bool has_stamp(const char *data_dir)
{
    char path[VAULT_PATH_MAX_BYTES];

    return vault_path(data_dir, VAULT_STAMP_FILE, path, NULL) == KL_OK && access(path, F_OK) == 0;
}

/* The keys are open when this is done, those of the right store, and the manifest is signed by them. */
static enum kl_status keys_open(struct restoring *restoring, const struct kl_id *id,
                                struct kl_err *err)
{
    const struct vault_restore_options *options = restoring->options;
    struct vault_stamp stamp;
    struct kms_state state;
    enum kl_status status = KL_OK;

    restoring->vault = vault_new(restoring->options->vault);
    if (restoring->vault == NULL) {
        return kl_fail_memory(err);
    }
    if (options->keys_from == NULL) {
        status = vault_stamp_read(options->vault->data_dir, &stamp, err);
        if (status == KL_OK) {
            status = vault_country_check(&stamp, options->vault->country, err);
        }
    } else {
        status = vault_restore_keys_take(options, err);
    }
    if (status == KL_OK) {
        status = vault_keys_open(restoring->vault, options->vault, false, err);
    }
    if (status != KL_OK) {
        return status;
    }
    kms_state(restoring->vault->keys, &state);
    memcpy(restoring->vault->store_id, state.store_id, sizeof state.store_id);
    status = vault_backup_manifest_read(restoring->vault->keys, restoring->from, id,
                                        &restoring->manifest, err);
    if (status == KL_OK &&
        memcmp(restoring->manifest.stamp.store_id, state.store_id, sizeof state.store_id) != 0) {
        status = kl_fail(err, KL_ERR_REFUSED, "backup_other_store", "the backup is another vault's",
                         NULL);
    }
    if (status == KL_OK && restoring->manifest.generation > state.generation) {
        status = kl_fail(
            err, KL_ERR_REFUSED, "keys_older_than_backup",
            "the backup is newer than the keys: these are an old copy of them, which would bring back the erased; find the right ones",
            NULL);
    }
    return status;
}

/* Whose backups these are, before anything is made: a mirror's keys are only taken for their own store. */
static enum kl_status store_check(int from, const struct vault_restore_options *options,
                                  struct kl_err *err)
{
    unsigned char store_id[KMS_STORE_ID_BYTES];
    struct vault_country country;
    struct vault_stamp stamp;
    enum kl_status status = vault_backup_directory_read(from, store_id, &country, err);

    if (status != KL_OK || !has_stamp(options->vault->data_dir)) {
        return status;
    }
    status = vault_stamp_read(options->vault->data_dir, &stamp, err);
    if (status == KL_OK && memcmp(store_id, stamp.store_id, sizeof store_id) != 0) {
        status = kl_fail(err, KL_ERR_REFUSED, "backup_other_store",
                         "the directory has backups of another vault", NULL);
    }
    return status;
}

/* ---- files ---- */

static enum kl_status files_copy(struct restoring *restoring, const char *to, struct kl_err *err)
{
    struct vault_backup_work *work = NULL;
    char name[KL_ID_TEXT_BYTES];
    uint64_t bytes = 0;
    uint64_t of = 0;
    uint64_t written = 0;
    bool done = false;
    enum kl_status status = KL_OK;

    kl_id_format(VAULT_BACKUP_PREFIX, &restoring->manifest.id, name);
    status =
        vault_backup_restore_new(restoring->from, name, &restoring->manifest.files, to, &work, err);
    while (status == KL_OK && !done) {
        status = vault_backup_step(work, PIECE_BYTES, &done, err);
        vault_backup_progress(work, &bytes, &of, &written);
        report(restoring, of == 0 ? COPY_PART : COPY_PART * (double)bytes / (double)of);
    }
    vault_backup_work_free(work);
    return status;
}

static enum kl_status look(struct restoring *restoring, struct vault_store *store,
                           const char *files_dir, struct kl_err *err)
{
    struct vault_survey *survey = NULL;
    struct vault_survey_counts counts;
    double done_part = COPY_PART;
    bool done = false;
    enum kl_status status =
        vault_survey_new(restoring->vault->keys, store, files_dir, &survey, err);

    while (status == KL_OK && !done) {
        status = vault_survey_step(survey, SURVEY_STEP_US, &done, err);
        done_part += (COPY_PART + LOOK_PART - done_part) / 64;
        report(restoring, done_part);
    }
    if (status == KL_OK) {
        vault_survey_counts_get(survey, &counts);
        restoring->result.subjects = counts.opened;
        restoring->result.subjects_erased = counts.erased;
        restoring->result.subjects_unknown = counts.unknown;
        restoring->result.subjects_damaged = counts.damaged;
        restoring->result.values = counts.values;
        restoring->result.values_erased = counts.values_erased;
        restoring->result.values_damaged = counts.values_damaged;
    }
    vault_survey_free(survey);
    return status;
}

/* Beside data/: copied, its numbers marked beside the keys, looked through, and marked as put back. Closed when done. */
static enum kl_status data_make(struct restoring *restoring, struct kl_err *err)
{
    char path[VAULT_PATH_MAX_BYTES];
    const struct vault_store_options options = {.path = path, .cache_bytes = LOOK_CACHE_BYTES};
    const struct vault_restored_from from = {restoring->manifest.id, restoring->manifest.taken_us};
    struct vault_store *store = NULL;
    enum kl_status status =
        vault_path(restoring->options->vault->data_dir, VAULT_RESTORING_DIR, path, err);

    if (status == KL_OK) {
        status = files_copy(restoring, path, err);
    }
    if (status == KL_OK) {
        status = vault_store_open(&options, &store, err);
    }
    if (status == KL_OK) {
        status =
            vault_restore_marks(restoring->vault, store, &from,
                                restoring->options->keys_from == NULL ? 0 : MIRROR_MARGIN, err);
    }
    if (status == KL_OK) {
        status = look(restoring, store, path, err);
    }
    if (status == KL_OK) {
        status = vault_restored_mark_put(store, &from, err);
    }
    vault_store_close(store);
    return status;
}

/* ---- the whole ---- */

/* With the keys open; they are closed when this is done. */
static enum kl_status put_in_place(struct restoring *restoring, struct kl_err *err)
{
    const char *data_dir = restoring->options->vault->data_dir;
    enum kl_status status = vault_restore_settle(data_dir, err);

    if (status == KL_OK) {
        status = data_make(restoring, err);
    }
    if (status == KL_OK) {
        status = vault_restore_swap(data_dir, restoring->result.aside, err);
    }
    if (status == KL_OK && !has_stamp(data_dir)) {
        status = vault_stamp_write(data_dir, &restoring->manifest.stamp, err);
    }
    vault_close(restoring->vault);
    restoring->vault = NULL;
    return status;
}

static enum kl_status open_once(struct restoring *restoring, struct kl_err *err)
{
    struct vault *vault = NULL;
    struct vault_restore_aside aside = {0};
    bool pending = false;
    enum kl_status status = vault_open(restoring->options->vault, &vault, err);

    if (status == KL_OK) {
        status = vault_restore_unknown(vault, false, &pending, &aside, err);
    }
    restoring->result.unknown_slots = aside.slots;
    vault_close(vault);
    return status;
}

enum kl_status vault_restore(const struct vault_restore_options *options,
                             struct vault_restore_result *ret, struct kl_err *err)
{
    struct restoring restoring = {.options = options, .from = -1};
    struct kl_id id = {{0}};
    enum kl_status status = vault_options_check(options->vault, err);

    vault_backup_manifest_init(&restoring.manifest);
    if (status ==
        KL_OK) { /* whose it is does not matter here: it is only read, and all of it compared */
        status = vault_backup_dir_open(options->from, false, &restoring.from, err);
    }
    if (status == KL_OK) {
        status = store_check(restoring.from, options, err);
    }
    if (status == KL_OK) {
        status = backup_choose(restoring.from, options, &id, err);
    }
    if (status == KL_OK) {
        status = keys_open(&restoring, &id, err);
    }
    if (status == KL_OK) {
        restoring.result.backup = id;
        restoring.result.taken_us = restoring.manifest.taken_us;
        status = put_in_place(&restoring, err);
    }
    if (status == KL_OK) {
        status = open_once(&restoring, err);
        report(&restoring, 1.0);
    }
    if (status == KL_OK) {
        *ret = restoring.result;
    }
    vault_close(restoring.vault);
    vault_backup_dir_close(restoring.from);
    vault_backup_manifest_done(&restoring.manifest);
    return status;
}

enum kl_status vault_restore_finish(const struct vault_options *options, bool confirm,
                                    uint64_t confirmed, struct vault_restore_aside *ret,
                                    struct kl_err *err)
{
    struct vault *vault = NULL;
    bool pending = false;
    struct vault_restore_aside aside = {0};
    enum kl_status status = vault_open(options, &vault, err);

    if (status == KL_OK) {
        status = vault_restore_unknown(vault, false, &pending, &aside, err);
    }
    if (status == KL_OK && !pending) {
        status = kl_fail(err, KL_ERR_NOT_FOUND, "no_restore", "no restore is unfinished", NULL);
    }
    if (status == KL_OK) {
        *ret = aside;
    }
    if (status == KL_OK && confirm && confirmed != aside.slots) {
        status = kl_failf(err, KL_ERR_CONFLICT, "count_differs",
                          "%llu slots are set aside, not %llu: confirm that number",
                          (unsigned long long)aside.slots, (unsigned long long)confirmed);
    } else if (status == KL_OK && confirm) {
        status = vault_restore_unknown(vault, true, &pending, &aside, err);
    }
    vault_close(vault);
    return status;
}
