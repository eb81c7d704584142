/*
 * Proving that a backup can be read, step by step: every file's hash, then a
 * store made of links to them, opened read only with today's keys.
 */
#include "vault/backup.h"

#include "kluis/base/json.h"
#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/backup_params.h"
#include "vault/job.h"
#include "vault/rows.h"
#include "vault/survey.h"
#include "vault/vault_internal.h"

#include <stdlib.h>
#include <string.h>

#define LINK_DIR "verify.tmp"
#define STEP_US (INT64_C(50) * 1000)
#define PIECE_BYTES ((uint64_t)4 * 1024 * 1024)
#define READ_CACHE_BYTES ((size_t)8 * 1024 * 1024)

/* One of work (hashes) and survey (what is in it) is there at a time. dir, shared: open as long as what is read through them; below 0: not. */
struct vault_verify_run {
    struct kl_id id;
    struct vault_backup_params params;
    int dir;
    int shared;
    struct vault_backup_manifest manifest;
    struct vault_backup_work *work;
    struct vault_store *store;
    struct vault_survey *survey;
};

static void links_remove(const struct vault *vault)
{
    char path[VAULT_PATH_MAX_BYTES];
    struct kl_err err = {0};

    if (vault_path(vault->data_dir, LINK_DIR, path, &err) != KL_OK ||
        vault_backup_folder_remove(path, &err) != KL_OK) {
        kl_log_err(KL_LOG_WARNING, "backup_not_tidied", &err);
    }
}

void vault_verify_run_free(struct vault *vault)
{
    struct vault_verify_run *run = vault->verify_run;

    if (run == NULL) {
        return;
    }
    vault_backup_work_free(run->work);
    vault_survey_free(run->survey);
    vault_store_close(run->store);
    vault_backup_dir_close(run->shared);
    vault_backup_dir_close(run->dir);
    vault_backup_manifest_done(&run->manifest);
    free(run);
    vault->verify_run = NULL;
    links_remove(vault);
}

/* ---- rows ---- */

static struct vault_row_key verified_key(const struct kl_id *backup)
{
    struct vault_row_key key = vault_row_meta(VAULT_META_VERIFIED);

    memcpy(key.bytes + key.size, backup->bytes, KL_ID_BYTES);
    key.size += KL_ID_BYTES;
    return key;
}

/* A number in data/; 0 when there is none that can be read. */
static int64_t number_get(struct vault *vault, const struct vault_row_key *key)
{
    struct kl_buf row;
    int64_t number = 0;

    kl_buf_init(&row, 16);
    if (vault_store_get(vault->data_store, vault_row_slice(key), &row, NULL) == KL_OK &&
        row.size == 8) {
        number = (int64_t)kl_get_u64be(row.bytes);
    }
    kl_buf_done(&row);
    return number;
}

int64_t vault_backup_verified_at(struct vault *vault, const struct kl_id *backup)
{
    struct vault_row_key key = verified_key(backup);

    return number_get(vault, &key);
}

static void number_put(struct vault_batch *batch, const struct vault_row_key *key, int64_t number)
{
    unsigned char bytes[8];

    kl_put_u64be(bytes, (uint64_t)number);
    vault_batch_put(batch, vault_row_slice(key), kl_slice_of(bytes, sizeof bytes));
}

/* The mark of the whole vault only ever moves on. */
static enum kl_status verified_put(struct vault *vault, const struct vault_verify_run *run,
                                   struct kl_err *err)
{
    struct vault_row_key all = vault_row_meta(VAULT_META_VERIFIED);
    struct vault_row_key one = verified_key(&run->params.backup);
    int64_t until_us = run->manifest.taken_us - VAULT_BACKUP_MARGIN_US;
    struct vault_batch *batch = vault_batch_new();
    struct vault_commit commit = {.tenant = KMS_TENANT_VAULT, .batch = batch};
    enum kl_status status = KL_OK;

    if (batch == NULL) {
        return kl_fail_memory(err);
    }
    number_put(batch, &one, kl_time_now_us());
    if (until_us > number_get(vault, &all)) {
        number_put(batch, &all, until_us);
    }
    status = vault_commit_submit(vault->committer, &commit, err);
    vault_batch_free(batch);
    return status;
}

/* ---- phases ---- */

static enum kl_status run_begin(struct vault *vault, const struct vault_job *job,
                                struct kl_err *err)
{
    struct vault_verify_run *run = calloc(1, sizeof *run);
    char name[KL_ID_TEXT_BYTES];
    struct kms_state state;
    enum kl_status status = KL_OK;

    vault_verify_run_free(vault);
    if (run == NULL) {
        return kl_fail_memory(err);
    }
    vault->verify_run = run;
    run->id = job->id;
    run->dir = -1;
    run->shared = -1;
    vault_backup_manifest_init(&run->manifest);
    status = vault_backup_params_read(kl_buf_slice(&job->params), &run->params, err);
    if (status == KL_OK) {
        status = vault_backup_dir_open(run->params.directory, true, &run->dir, err);
    }
    if (status == KL_OK) {
        status = vault_backup_directory_apart(vault, run->dir, err);
    }
    if (status == KL_OK) {
        status = vault_backup_manifest_read(vault->keys, run->dir, &run->params.backup,
                                            &run->manifest, err);
    }
    kms_state(vault->keys, &state);
    if (status == KL_OK && run->manifest.generation > state.generation) {
        status = kl_fail(err, KL_ERR_REFUSED, "keys_older_than_backup",
                         "the backup is newer than the keys: these are an old copy of them", NULL);
    }
    kl_id_format(VAULT_BACKUP_PREFIX, &run->params.backup, name);
    return status == KL_OK
               ? vault_backup_check_new(run->dir, name, &run->manifest.files, &run->work, err)
               : status;
}

static enum kl_status survey_begin(struct vault *vault, struct vault_verify_run *run,
                                   struct kl_err *err)
{
    char path[VAULT_PATH_MAX_BYTES];
    char name[KL_ID_TEXT_BYTES];
    struct vault_store_options options = {
        .path = path, .cache_bytes = READ_CACHE_BYTES, .read_only = true};
    enum kl_status status = vault_path(vault->data_dir, LINK_DIR, path, err);

    vault_backup_work_free(run->work);
    run->work = NULL;
    kl_id_format(VAULT_BACKUP_PREFIX, &run->params.backup, name);
    if (status == KL_OK) {
        status = vault_backup_link(run->dir, name, &run->manifest.files, path, &run->shared, err);
    }
    if (status == KL_OK) {
        status = vault_store_open(&options, &run->store, err);
    }
    return status == KL_OK ? vault_survey_new(vault->keys, run->store, path, &run->survey, err)
                           : status;
}

static enum kl_status check_on(struct vault *vault, struct vault_job *job, struct kl_err *err)
{
    struct vault_verify_run *run = vault->verify_run;
    int64_t until_us = kl_time_monotonic_us() + STEP_US;
    uint64_t bytes = 0;
    uint64_t of = 0;
    uint64_t written = 0;
    bool done = false;
    enum kl_status status = KL_OK;

    do {
        status = vault_backup_step(run->work, PIECE_BYTES, &done, err);
    } while (status == KL_OK && !done && kl_time_monotonic_us() < until_us);
    vault_backup_progress(run->work, &bytes, &of, &written);
    job->progress = of == 0 ? 0.5 : 0.5 * (double)bytes / (double)of;
    return status == KL_OK && done ? survey_begin(vault, run, err) : status;
}

static void result_write(const struct vault_survey_counts *counts, struct kl_buf *ret)
{
    struct kl_json_out out = kl_json_out(ret);

    kl_buf_clear(ret);
    kl_json_object_begin(&out);
    kl_json_add_int(&out, "opened", (int64_t)counts->opened);
    kl_json_add_int(&out, "erased", (int64_t)counts->erased);
    kl_json_add_int(&out, "unknown", (int64_t)counts->unknown);
    kl_json_add_int(&out, "damaged", (int64_t)counts->damaged);
    kl_json_add_int(&out, "values", (int64_t)counts->values);
    kl_json_add_int(&out, "values_erased", (int64_t)counts->values_erased);
    kl_json_add_int(&out, "values_damaged", (int64_t)counts->values_damaged);
    kl_json_object_end(&out);
}

static enum kl_status survey_on(struct vault *vault, struct vault_job *job, bool *ret_done,
                                struct kl_err *err)
{
    struct vault_verify_run *run = vault->verify_run;
    struct vault_survey_counts counts;
    bool done = false;
    enum kl_status status = vault_survey_step(run->survey, STEP_US, &done, err);

    vault_survey_counts_get(run->survey, &counts);
    job->progress += (0.99 - job->progress) / 64; /* how many there are is not known */
    if (status != KL_OK || !done) {
        return status;
    }
    result_write(&counts, &job->result);
    if (counts.damaged > 0 || counts.unknown > 0) {
        return kl_fail(err, KL_ERR_CORRUPT, "backup_damaged",
                       "not everything in the backup can be opened with today's keys", NULL);
    }
    status = verified_put(vault, run, err);
    *ret_done = status == KL_OK;
    return status;
}

static enum kl_status step(struct vault *vault, struct vault_job *job, bool *ret_done,
                           struct kl_err *err)
{
    struct vault_verify_run *run = vault->verify_run;
    struct kl_err cause = {0};
    struct kl_json_out out;
    enum kl_status status = KL_OK;

    if (run == NULL || !kl_id_equal(&run->id, &job->id)) {
        status = run_begin(vault, job, &cause);
    } else if (run->survey == NULL) {
        status = check_on(vault, job, &cause);
    } else {
        status = survey_on(vault, job, ret_done, &cause);
    }
    if (status != KL_OK && job->result.size == 0) {
        out = kl_json_out(&job->result);
        kl_json_object_begin(&out);
        kl_json_add_text(&out, "failed_text", cause.client_text);
        kl_json_object_end(&out);
    }
    if (status != KL_OK || *ret_done) {
        vault_verify_run_free(vault);
    }
    return status == KL_OK
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

static void show(struct vault *vault, const struct vault_job *job, struct kl_json_out *out)
{
    struct vault_backup_params params;
    char id[KL_ID_TEXT_BYTES];

    (void)vault;
    if (vault_backup_params_read(kl_buf_slice(&job->params), &params, NULL) == KL_OK) {
        kl_id_format(VAULT_BACKUP_PREFIX, &params.backup, id);
        kl_json_add_text(out, "backup", id);
        kl_json_add_text(out, "directory", params.directory);
    }
}

const struct vault_job_type vault_verify_job = {
    .prefix = VAULT_VERIFICATION_PREFIX, .action = "backup_verify", .step = step, .show = show};
