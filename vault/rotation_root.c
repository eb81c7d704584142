/*
 * The rotation of the root key alone: one key commit, done while the caller waits. What is kept of it is a row that holds its JSON as it
 * is shown.
 */
#include "vault/rotation.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/rows.h"

#include <string.h>

#define JOB_MAX_BYTES 1024

/* A job as it is kept and shown. to_generation and ended_us are 0 while it runs. */
struct job {
    const char *state; /* "running", "done", "failed" */
    uint64_t from_generation;
    uint64_t to_generation;
    int64_t started_us;
    int64_t ended_us;
    bool out_of_use; /* destroyed in every mirror as well */
};

/* What a mirror that is out of step holds may be the old root key still. */
static bool all_in_step(struct vault *vault)
{
    struct kms_state state;

    kms_state(vault->keys, &state);
    return state.mirrors_out_of_step == 0;
}

static void job_write(const struct kl_id *id, const struct job *job, struct kl_buf *ret)
{
    struct kl_json_out out = kl_json_out(ret);
    char text[KL_ID_TEXT_BYTES];
    bool done = strcmp(job->state, "done") == 0;

    kl_id_format(VAULT_ROTATION_PREFIX, id, text);
    kl_json_object_begin(&out);
    kl_json_add_text(&out, "id", text);
    kl_json_add_text(&out, "level", "root");
    kl_json_add_text(&out, "state", job->state);
    kl_json_add_int(&out, "from_generation", (int64_t)job->from_generation);
    kl_json_key(&out, "to_generation");
    if (done) {
        kl_json_put_int(&out, (int64_t)job->to_generation);
    } else {
        kl_json_put_null(&out);
    }
    kl_json_add_bool(&out, "old_key_out_of_use", done && job->out_of_use);
    kl_json_add_time(&out, "started_at", job->started_us);
    kl_json_key(&out, "ended_at");
    if (job->ended_us != 0) {
        kl_json_put_time(&out, job->ended_us);
    } else {
        kl_json_put_null(&out);
    }
    kl_json_key(&out, "progress");
    kl_json_put_raw(&out, done ? "1.0" : "0.0", 3);
    kl_json_object_end(&out);
}

static enum kl_status job_store(struct vault *vault, const struct kl_id *id, const struct job *job,
                                struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = vault_row_rotation(KMS_TENANT_VAULT, id);
    struct vault_commit commit = {0};
    struct vault_batch *batch = vault_batch_new();
    struct kl_buf row = {0};

    kl_buf_init(&row, JOB_MAX_BYTES);
    if (batch == NULL) {
        status = kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "server busy", "rotation: no batch");
        goto out;
    }
    job_write(id, job, &row);
    status = kl_buf_status(&row, err);
    if (status == KL_OK) {
        vault_batch_put(batch, vault_row_slice(&key), kl_buf_slice(&row));
        commit.tenant = KMS_TENANT_VAULT;
        commit.batch = batch;
        status = vault_commit_submit(vault->committer, &commit, err);
    }

out:
    vault_batch_free(batch);
    kl_buf_done(&row);
    return status;
}

enum kl_status vault_rotation_root(struct vault *vault, const struct vault_caller *caller,
                                   const struct vault_idempotency_ticket *ticket,
                                   struct kl_buf *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_id id = kl_id_new();
    struct kms_state state;
    struct job job = {.state = "running"};

    kms_state(vault->keys, &state);
    job.from_generation = state.generation;
    job.started_us = kl_time_now_us();
    status = job_store(vault, &id, &job, err);
    if (status != KL_OK) {
        return status;
    }
    status = vault_rotation_commit(vault, caller, &id, ticket, &job.to_generation, err);
    job.ended_us = kl_time_now_us();
    if (status != KL_OK) {
        kms_state(vault->keys, &state);
        job.state = "failed";
        if (state.generation == job.from_generation && job_store(vault, &id, &job, NULL) != KL_OK) {
            kl_log(KL_LOG_WARNING, "rotation_not_noted",
                   KL_LOG_INT("generation", job.from_generation));
        }
        return status;
    }
    job.state = "done";
    job.out_of_use = all_in_step(vault);
    job.from_generation = job.to_generation - 1;
    status = job_store(vault, &id, &job, err);
    if (status == KL_OK) {
        job_write(&id, &job, ret);
        status = kl_buf_status(ret, err);
    }
    return status;
}

static void read_time(const struct kl_json_value *root, const char *key, int64_t *time_us)
{
    const char *text = kl_json_text(kl_json_member(root, key));
    int64_t found = 0;

    if (text != NULL && kl_time_parse(text, strlen(text), &found, NULL) == KL_OK) {
        *time_us = found;
    }
}

/*
 * What a row says may have become true since. A job that was left as "running", by a crash, or by an error after the key commit: any
 * newer generation means that the key it was to replace is destroyed, so it is done. And one whose key a mirror may have held is out of use
 * when all mirrors are in step again. ret_changed: show what *job says instead of the row.
 */
static void judge(struct vault *vault, const struct kl_json_value *root, struct job *job,
                  bool *ret_changed)
{
    const char *text = kl_json_text(kl_json_member(root, "state"));
    bool done = text != NULL && strcmp(text, "done") == 0;
    struct kms_state state;
    int64_t from = 0;
    int64_t to = 0;

    kms_state(vault->keys, &state);
    if (text == NULL || !kl_json_int(kl_json_member(root, "from_generation"), &from)) {
        return;
    }
    job->state = "done";
    job->from_generation = (uint64_t)from;
    job->to_generation = state.generation;
    job->out_of_use = state.mirrors_out_of_step == 0;
    job->started_us = state.root_key_since_us;
    job->ended_us = state.root_key_since_us;
    read_time(root, "started_at", &job->started_us);
    if (done && kl_json_int(kl_json_member(root, "to_generation"), &to)) {
        job->to_generation = (uint64_t)to;
        read_time(root, "ended_at", &job->ended_us);
        *ret_changed = !kl_json_bool(kl_json_member(root, "old_key_out_of_use")) && job->out_of_use;
    } else {
        *ret_changed = strcmp(text, "running") == 0 && state.generation > (uint64_t)from;
    }
}

static enum kl_status job_show(struct vault *vault, const struct kl_id *id, struct kl_slice row,
                               struct kl_buf *ret, struct kl_err *err)
{
    struct kl_json *json = NULL;
    struct job job = {0};
    bool changed = false;

    if (kl_json_parse(row.bytes, row.size, &json, NULL) != KL_OK) {
        return kl_fail(err, KL_ERR_CORRUPT, "rotation_damaged",
                       "the row of this rotation is damaged", NULL);
    }
    judge(vault, kl_json_root(json), &job, &changed);
    if (changed) {
        job_write(id, &job, ret);
    } else {
        kl_buf_add(ret, row.bytes, row.size);
    }
    kl_json_free(json);
    return kl_buf_status(ret, err);
}

bool vault_rotation_root_started(struct kl_slice row, int64_t *ret_started_us)
{
    struct kl_json *json = NULL;
    int64_t started_us = 0;

    if (row.size == 0 || row.bytes[0] != '{' ||
        kl_json_parse(row.bytes, row.size, &json, NULL) != KL_OK) {
        return false;
    }
    read_time(kl_json_root(json), "started_at", &started_us);
    kl_json_free(json);
    *ret_started_us = started_us;
    return true;
}

enum kl_status vault_rotation_root_show(struct vault *vault, const struct kl_id *rotation,
                                        struct kl_buf *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = vault_row_rotation(KMS_TENANT_VAULT, rotation);
    struct kl_err cause = {0};
    struct kl_buf row = {0};

    kl_buf_init(&row, JOB_MAX_BYTES);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, &cause);
    if (status == KL_OK) {
        status = job_show(vault, rotation, kl_buf_slice(&row), ret, err);
    } else if (status == KL_ERR_NOT_FOUND || status == KL_ERR_TOO_LARGE) {
        status = kl_fail(err, KL_ERR_NOT_FOUND, "not_found", "there is no such rotation", NULL);
    } else {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    kl_buf_done(&row);
    return status;
}
