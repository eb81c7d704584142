/*
 * Making a backup, step by step: a copy of data/ by hard links, then its
 * files into the directory, then the signed manifest, then its name.
 *
 * What is under way is in memory alone: after a crash the job begins anew with a fresh copy, and finds the tables that were there already.
 */
#include "vault/backup.h"

#include "kluis/base/json.h"
#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/backup_params.h"
#include "vault/backup_purge.h"
#include "vault/erasure.h"
#include "vault/files.h"
#include "vault/job.h"
#include "vault/place.h"
#include "vault/rows.h"
#include "vault/tenants.h"
#include "vault/vault_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CHECKPOINT_DIR "backup.tmp"
#define CHECKPOINT_STAGING_DIR "backup.tmp.tmp" /* where RocksDB makes it */
#define STEP_US (INT64_C(50) * 1000)
#define PIECE_BYTES ((uint64_t)2 * 1024 * 1024)
#define MIB ((uint64_t)1024 * 1024)

/* began_us: monotonic, for the rate. dir: the directory, open from the beginning to the end; below 0: not yet. */
struct vault_backup_run {
    struct kl_id id;
    char name[KL_ID_TEXT_BYTES];
    struct vault_backup_params params;
    int dir;
    struct vault_backup_manifest manifest;
    struct vault_backup_manifest
        before; /* the newest there was: its tables need not be read again */
    struct vault_backup_work *work;
    int64_t began_us;
};

static enum kl_status checkpoint_path(const struct vault *vault, char ret[VAULT_PATH_MAX_BYTES],
                                      struct kl_err *err)
{
    return vault_path(vault->data_dir, CHECKPOINT_DIR, ret, err);
}

static enum kl_status checkpoint_remove(const struct vault *vault, struct kl_err *err)
{
    char path[VAULT_PATH_MAX_BYTES];
    enum kl_status status = vault_path(vault->data_dir, CHECKPOINT_STAGING_DIR, path, err);

    if (status == KL_OK) {
        status = vault_backup_folder_remove(path, err);
    }
    if (status == KL_OK) {
        status = checkpoint_path(vault, path, err);
    }
    return status == KL_OK ? vault_backup_folder_remove(path, err) : status;
}

void vault_backup_run_free(struct vault *vault)
{
    struct vault_backup_run *run = vault->backup_run;
    struct kl_err err = {0};

    if (run == NULL) {
        return;
    }
    vault_backup_work_free(run->work);
    vault_backup_manifest_done(&run->manifest);
    vault_backup_manifest_done(&run->before);
    vault_backup_dir_close(run->dir);
    free(run);
    vault->backup_run = NULL;
    if (checkpoint_remove(vault, &err) != KL_OK) {
        kl_log_err(KL_LOG_WARNING, "backup_not_tidied", &err);
    }
}

/* ---- begin ---- */

/* A row of data/ that holds a number; 0 when there is none. */
static enum kl_status mark_get(struct vault *vault, const char *name, uint64_t *ret,
                               struct kl_err *err)
{
    struct vault_row_key key = vault_row_meta(name);
    struct kl_err cause = {0};
    struct kl_buf row;
    enum kl_status status = KL_OK;

    kl_buf_init(&row, 64);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, &cause);
    if (status == KL_OK && row.size == 8) {
        *ret = kl_get_u64be(row.bytes);
    } else if (status == KL_ERR_NOT_FOUND || status == KL_OK) {
        *ret = 0;
        status = KL_OK;
    } else {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    kl_buf_done(&row);
    return status;
}

/* The signed head of a trail, as an element of the array in heads. */
static enum kl_status head_add(struct vault *vault, uint64_t tenant, const char *name,
                               struct kl_buf *heads, struct kl_err *err)
{
    if (heads->size > 1) {
        kl_buf_add_byte(heads, ',');
    }
    return vault_trails_head(vault->trails, tenant, name, heads, err);
}

static enum kl_status heads_write(struct vault *vault, struct kl_buf *heads, struct kl_err *err)
{
    const struct vault_tenant *tenant = NULL;
    enum kl_status status = KL_OK;

    kl_buf_add_byte(heads, '[');
    status = head_add(vault, KMS_TENANT_VAULT, "", heads, err);
    for (tenant = vault_tenants_next(vault, KMS_TENANT_VAULT); status == KL_OK && tenant != NULL;
         tenant = vault_tenants_next(vault, tenant->number)) {
        status = head_add(vault, tenant->number, tenant->name, heads, err);
    }
    kl_buf_add_byte(heads, ']');
    return status == KL_OK ? kl_buf_status(heads, err) : status;
}

/* Opened and held: what its path leads to later makes no difference. It is not made again here. */
static enum kl_status directory_open(struct vault *vault, struct vault_backup_run *run,
                                     struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = vault_backup_dir_open(run->params.directory, true, &run->dir, &cause);

    if (status == KL_OK) {
        return vault_backup_directory_apart(vault, run->dir, err);
    }
    if (status == KL_ERR_NOT_FOUND) {
        return kl_fail(err, KL_ERR_IO, "backup_io",
                       "the backup directory is not there any more, or its disk is not mounted",
                       "%s", run->params.directory);
    }
    return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

/* The directory is still this store's and allowed: since it was asked a disk may have gone, or a policy changed. */
static enum kl_status directory_check(struct vault *vault, const struct vault_backup_run *run,
                                      struct kl_err *err)
{
    const struct vault_backup_params *params = &run->params;
    unsigned char store_id[KMS_STORE_ID_BYTES];
    struct vault_country country;
    struct kl_err cause = {0};
    enum kl_status status = vault_backup_directory_read(run->dir, store_id, &country, &cause);

    if (status == KL_ERR_NOT_FOUND) {
        return kl_fail(err, KL_ERR_IO, "backup_io",
                       "the backup directory is not there any more, or its disk is not mounted",
                       "%s", params->directory);
    }
    if (status != KL_OK) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    if (memcmp(store_id, vault->store_id, sizeof store_id) != 0) {
        return kl_fail(err, KL_ERR_CONFLICT, "backup_other_store",
                       "the directory has backups of another vault: name another one", NULL);
    }
    if (strcmp(country.code, params->country.code) != 0) {
        return kl_failf(err, KL_ERR_CONFLICT, "backup_other_country",
                        "the directory was declared to lie in %s, and the backup was asked for %s",
                        country.code, params->country.code);
    }
    return vault_copy_allowed(vault, country, kl_time_now_us(), err);
}

/* The newest backup of the directory that is signed; none is fine. */
static enum kl_status before_read(struct vault *vault, struct vault_backup_run *run,
                                  struct kl_err *err)
{
    struct vault_backup_entry *entries = NULL;
    size_t count = 0;
    size_t i;
    bool found = false;
    enum kl_status status = vault_backup_directory_list(run->dir, &entries, &count, err);

    for (i = 0; status == KL_OK && !found && i < count; i++) {
        vault_backup_manifest_done(&run->before);
        vault_backup_manifest_init(&run->before);
        found = vault_backup_manifest_read(vault->keys, run->dir, &entries[i].id, &run->before,
                                           NULL) == KL_OK;
    }
    if (!found) {
        vault_backup_files_done(&run->before.files);
    }
    free(entries);
    return status;
}

static enum kl_status manifest_begin(struct vault *vault, struct vault_backup_run *run,
                                     struct kl_err *err)
{
    struct vault_backup_manifest *manifest = &run->manifest;
    struct kms_state state;
    enum kl_status status = vault_stamp_read(vault->data_dir, &manifest->stamp, err);

    kms_state(vault->keys, &state);
    manifest->id = run->id;
    manifest->country = run->params.country;
    manifest->generation = state.generation;
    if (status == KL_OK) {
        status = mark_get(vault, VAULT_META_PREPARED, &manifest->prepared, err);
    }
    if (status == KL_OK) {
        status = mark_get(vault, VAULT_META_NOTED, &manifest->noted, err);
    }
    if (status == KL_OK) {
        status = heads_write(vault, &manifest->heads, err);
    }
    manifest->taken_us = kl_time_now_us();
    return status;
}

/* A full disk is not begun with; where it is the vault's own, the reserve stays free. */
static enum kl_status room_check(struct vault *vault, const struct vault_backup_run *run,
                                 struct kl_err *err)
{
    struct vault_space_figures space;
    struct stat data = {0};
    struct stat dir = {0};

    vault_space_figures(vault, &space);
    if (stat(vault->data_dir, &data) != 0 || fstat(run->dir, &dir) != 0 ||
        data.st_dev != dir.st_dev) {
        space.reserve_bytes = 0;
    }
    return vault_backup_room(run->work, space.reserve_bytes, err);
}

static enum kl_status copy_begin(struct vault *vault, struct vault_backup_run *run,
                                 struct kl_err *err)
{
    char path[VAULT_PATH_MAX_BYTES];
    enum kl_status status = checkpoint_path(vault, path, err);

    if (status == KL_OK) {
        status = checkpoint_remove(vault, err);
    }
    if (status == KL_OK) {
        status = manifest_begin(vault, run, err);
    }
    if (status == KL_OK) {
        status = vault_store_checkpoint(vault->data_store, path, err);
    }
    if (status == KL_OK) { /* those that rows of the copy name, and some that came since */
        status = vault_files_link(vault->files, path, err);
    }
    if (status == KL_OK) {
        status =
            vault_backup_copy_new(path, run->dir, run->name, &run->before.files, &run->work, err);
    }
    if (status == KL_OK) {
        status = room_check(vault, run, err);
    }
    run->began_us = kl_time_monotonic_us();
    return status;
}

static enum kl_status run_begin(struct vault *vault, const struct vault_job *job,
                                struct kl_err *err)
{
    struct vault_backup_run *run = calloc(1, sizeof *run);
    enum kl_status status = KL_OK;

    vault_backup_run_free(vault); /* of a job that ended otherwise */
    if (run == NULL) {
        return kl_fail_memory(err);
    }
    status = vault_space_check(vault, false, err); /* its copy would keep what others free */
    if (status != KL_OK) {
        free(run);
        return status;
    }
    vault->backup_run = run;
    run->id = job->id;
    run->dir = -1;
    kl_id_format(VAULT_BACKUP_PREFIX, &job->id, run->name);
    vault_backup_manifest_init(&run->manifest);
    vault_backup_manifest_init(&run->before);
    status = vault_backup_params_read(kl_buf_slice(&job->params), &run->params, err);
    if (status == KL_OK) {
        status = directory_open(vault, run, err);
    }
    if (status == KL_OK) {
        status = directory_check(vault, run, err);
    }
    return status == KL_OK ? before_read(vault, run, err) : status;
}

/* ---- end ---- */

static void result_write(const struct vault_backup_manifest *manifest, uint64_t written,
                         uint64_t removed, struct kl_buf *ret)
{
    struct kl_json_out out = kl_json_out(ret);
    uint64_t bytes = 0;
    size_t i;

    for (i = 0; i < manifest->files.count; i++) {
        bytes += manifest->files.items[i].bytes;
    }
    kl_buf_clear(ret);
    kl_json_object_begin(&out);
    kl_json_add_time(&out, "taken_at", manifest->taken_us);
    kl_json_add_int(&out, "size", (int64_t)bytes);
    kl_json_add_int(&out, "written", (int64_t)written);
    kl_json_add_int(&out, "files", (int64_t)manifest->files.count);
    kl_json_add_int(&out, "generation", (int64_t)manifest->generation);
    kl_json_add_int(&out, "removed", (int64_t)removed);
    kl_json_object_end(&out);
}

/*
 * The backup gets its name only where it may still lie: a policy may have come into force since the job began, and looks at mirrors alone. The
 * turn keeps the next one waiting.
 */
static enum kl_status seal(struct vault *vault, struct vault_backup_run *run, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    vault_turn_take(&vault->turn);
    status = directory_check(vault, run, err);
    if (status == KL_OK) {
        status = vault_backup_seal(run->dir, run->name, err);
    }
    vault_turn_give(&vault->turn);
    return status;
}

static enum kl_status manifest_write(struct vault *vault, struct vault_backup_run *run,
                                     struct kl_err *err)
{
    struct kl_buf text;
    enum kl_status status = KL_OK;

    kl_buf_init(&text, VAULT_BACKUP_MANIFEST_MAX_BYTES);
    status = vault_backup_manifest_write(vault->keys, &run->manifest, &text, err);
    if (status == KL_OK) {
        status = vault_backup_put(run->dir, run->name, VAULT_BACKUP_MANIFEST_FILE,
                                  kl_buf_slice(&text), err);
    }
    kl_buf_done(&text);
    return status == KL_OK ? seal(vault, run, err) : status;
}

/* All files are there. */
static enum kl_status run_end(struct vault *vault, struct vault_job *job, struct kl_err *err)
{
    struct vault_backup_run *run = vault->backup_run;
    const struct vault_backup_files *files = vault_backup_work_files(run->work);
    uint64_t bytes = 0;
    uint64_t of = 0;
    uint64_t written = 0;
    uint64_t removed = 0;
    enum kl_status status = KL_OK;
    size_t i;

    vault_backup_progress(run->work, &bytes, &of, &written);
    for (i = 0; status == KL_OK && i < files->count; i++) {
        status = vault_backup_files_add(&run->manifest.files, &files->items[i], err);
    }
    if (status == KL_OK) {
        status = manifest_write(vault, run, err);
    }
    if (status != KL_OK) {
        return status;
    }
    if (run->params.keep > 0) {
        removed = vault_backup_purge(vault, run->dir, run->params.keep);
    }
    result_write(&run->manifest, written, removed, &job->result);
    vault_backup_run_free(vault);
    return kl_buf_status(&job->result, err);
}

/* It was made already, and the job does not know: a crash came between. True: job->result says it. */
static bool made_before(struct vault *vault, struct vault_job *job)
{
    struct vault_backup_run *run = vault->backup_run;
    bool made =
        vault_backup_manifest_read(vault->keys, run->dir, &run->id, &run->manifest, NULL) == KL_OK;

    if (made) {
        result_write(&run->manifest, 0, 0, &job->result);
    } else {
        vault_backup_manifest_done(&run->manifest);
        vault_backup_manifest_init(&run->manifest);
    }
    return made;
}

/* ---- steps ---- */

/* How many bytes may be copied now; waits a little when the rate is used up. */
static uint64_t allowance(const struct vault_backup_run *run, uint64_t done)
{
    const struct timespec pause = {0, 20 * 1000 * 1000};
    uint64_t may = 0;

    if (run->params.rate_mib_s == 0) {
        return PIECE_BYTES;
    }
    may = (uint64_t)(kl_time_monotonic_us() - run->began_us) * run->params.rate_mib_s * MIB /
              1000000 +
          1;
    if (may > done) {
        return may - done < PIECE_BYTES ? may - done : PIECE_BYTES;
    }
    (void)nanosleep(&pause, NULL);
    return 0;
}

static enum kl_status copy_on(struct vault_backup_run *run, bool *ret_done, struct kl_err *err)
{
    int64_t until_us = kl_time_monotonic_us() + STEP_US;
    uint64_t bytes = 0;
    uint64_t of = 0;
    uint64_t written = 0;
    uint64_t may = 0;
    enum kl_status status = KL_OK;

    do {
        vault_backup_progress(run->work, &bytes, &of, &written);
        may = allowance(run, written);
        if (may > 0) {
            status = vault_backup_step(run->work, may, ret_done, err);
        }
    } while (status == KL_OK && !*ret_done && kl_time_monotonic_us() < until_us);
    return status;
}

static double progress_of(const struct vault_backup_run *run)
{
    uint64_t bytes = 0;
    uint64_t of = 0;
    uint64_t written = 0;

    vault_backup_progress(run->work, &bytes, &of, &written);
    return of == 0 ? 0.0 : 0.99 * (double)bytes / (double)of;
}

/* What could not be finished takes no room. */
static void give_up(struct vault *vault, struct vault_job *job, const struct kl_err *err)
{
    struct vault_backup_run *run = vault->backup_run;
    struct kl_json_out out = kl_json_out(&job->result);
    struct kl_err left = {0};

    if (run != NULL && run->work != NULL &&
        vault_backup_remove(run->dir, run->name, &left) == KL_OK) {
        (void)vault_backup_purge(vault, run->dir, 0);
    } else if (left.status != KL_OK) {
        kl_log_err(KL_LOG_WARNING, "backup_not_tidied", &left);
    }
    vault_backup_run_free(vault);
    kl_buf_clear(&job->result);
    kl_json_object_begin(&out);
    kl_json_add_text(&out, "failed_text", err->client_text);
    kl_json_object_end(&out);
}

static enum kl_status step_inner(struct vault *vault, struct vault_job *job, bool *ret_done,
                                 struct kl_err *err)
{
    struct vault_backup_run *run = vault->backup_run;
    enum kl_status status = KL_OK;
    bool copied = false;

    if (run == NULL || run->work == NULL || !kl_id_equal(&run->id, &job->id)) {
        status = run_begin(vault, job, err);
        if (status == KL_OK && made_before(vault, job)) {
            vault_backup_run_free(vault);
            *ret_done = true;
            return KL_OK;
        }
        return status == KL_OK ? copy_begin(vault, vault->backup_run, err) : status;
    }
    status = copy_on(run, &copied, err);
    job->progress = progress_of(run);
    if (status == KL_OK && copied) {
        status = run_end(vault, job, err);
        *ret_done = status == KL_OK;
    }
    return status;
}

static enum kl_status step(struct vault *vault, struct vault_job *job, bool *ret_done,
                           struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = step_inner(vault, job, ret_done, &cause);

    if (status == KL_OK) {
        return KL_OK;
    }
    give_up(vault, job, &cause);
    return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

static void show(struct vault *vault, const struct vault_job *job, struct kl_json_out *out)
{
    struct vault_backup_params params;
    int64_t verified_us = vault_backup_verified_at(vault, &job->id);

    if (vault_backup_params_read(kl_buf_slice(&job->params), &params, NULL) == KL_OK) {
        kl_json_add_text(out, "directory", params.directory);
        kl_json_add_text(out, "country", params.country.code);
    }
    kl_json_key(out, "verified_at");
    if (verified_us != 0) {
        kl_json_put_time(out, verified_us);
    } else {
        kl_json_put_null(out);
    }
}

const struct vault_job_type vault_backup_job = {
    .prefix = VAULT_BACKUP_PREFIX, .action = "backup_create", .step = step, .show = show};
