/* The keys as operators see them: how they are, and the rotation of the root key. */
#include "kluis/base/encode.h"
#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/act.h"
#include "vault/idempotency.h"
#include "vault/rows.h"
#include "vault/sweep.h"

#include <string.h>

#define JOB_MAX_BYTES 1024

/* ---- state ---- */

enum kl_status vault_keys_state(struct vault *vault, const struct vault_caller *caller,
                                struct kl_buf *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kms_place place = {vault_act_trail(caller), VAULT_SLOT_SIGNING, KMS_VALUE_NONE};
    unsigned char key[KMS_PUBLIC_KEY_BYTES];
    char key_text[KL_BASE64_CHARS(KMS_PUBLIC_KEY_BYTES) + 1];
    char store_id[2 * KMS_STORE_ID_BYTES + 1];
    struct kms_state state;
    struct kl_json_out out;

    status =
        vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR | VAULT_MAY_STEWARD | VAULT_MAY_AUDITOR,
                          "keys_state", err);
    if (status != KL_OK) {
        return status;
    }
    if (caller->tenant != UINT64_MAX) {
        place.tenant = caller->tenant;
    }
    status = kms_public_key(vault->keys, &place, VAULT_AUDIT_HEAD_LABEL, key, err);
    if (status != KL_OK) {
        return status;
    }
    kms_state(vault->keys, &state);
    kl_base64(key, sizeof key, key_text);
    kl_hex(state.store_id, sizeof state.store_id, store_id);
    out = kl_json_out(ret);
    kl_json_object_begin(&out);
    kl_json_add_int(&out, "generation", (int64_t)state.generation);
    kl_json_add_time(&out, "root_key_since", state.root_key_since_us);
    kl_json_add_text(&out, "custodian", state.custodian_kind);
    kl_json_add_text(&out, "finality", kms_finality_name(state.finality));
    kl_json_add_bool(&out, "old_root_destroyed", state.old_root_destroyed);
    kl_json_add_text(&out, "store_id", store_id);
    kl_json_add_text(&out, "country", vault->country.code);
    kl_json_add_time(&out, "created_at", state.created_us);
    kl_json_add_text(&out, "public_key", key_text);
    status = vault_sweep_state_add(vault, caller->tenant, &out, err);
    kl_json_object_end(&out);
    return status == KL_OK ? kl_buf_status(ret, err) : status;
}

/* ---- rotation ---- */

/* A job as it is kept and shown. to_generation and ended_us are 0 while it runs. */
struct job {
    const char *state; /* "running", "done", "failed" */
    uint64_t from_generation;
    uint64_t to_generation;
    int64_t started_us;
    int64_t ended_us;
};

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
    kl_json_add_bool(&out, "old_key_out_of_use", done);
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

static enum kl_status rotate(struct vault *vault, const struct vault_caller *caller,
                             const struct vault_idempotency_ticket *ticket, struct kl_buf *ret,
                             struct kl_err *err)
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
    job.from_generation = job.to_generation - 1;
    status = job_store(vault, &id, &job, err);
    if (status == KL_OK) {
        job_write(&id, &job, ret);
        status = kl_buf_status(ret, err);
    }
    return status;
}

/*
 * A job that was left as "running": by a crash, or by an error after the key commit. Any newer generation means that the key it was to
 * replace is destroyed, so it is shown as done.
 */
static enum kl_status job_show(struct vault *vault, const struct kl_id *id, struct kl_slice row,
                               struct kl_buf *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_json *json = NULL;
    const struct kl_json_value *root;
    const char *text;
    struct kms_state state;
    struct job job = {.state = "done"};
    int64_t from = 0;

    status = kl_json_parse(row.bytes, row.size, &json, err);
    if (status != KL_OK) {
        return kl_fail(err, KL_ERR_CORRUPT, "rotation_damaged",
                       "the row of this rotation is damaged", NULL);
    }
    root = kl_json_root(json);
    text = kl_json_text(kl_json_member(root, "state"));
    kms_state(vault->keys, &state);
    if (text != NULL && strcmp(text, "running") == 0 &&
        kl_json_int(kl_json_member(root, "from_generation"), &from) &&
        state.generation > (uint64_t)from) {
        text = kl_json_text(kl_json_member(root, "started_at"));
        if (text == NULL || kl_time_parse(text, strlen(text), &job.started_us, NULL) != KL_OK) {
            job.started_us = state.root_key_since_us;
        }
        job.from_generation = (uint64_t)from;
        job.to_generation = state.generation;
        job.ended_us = state.root_key_since_us;
        job_write(id, &job, ret);
    } else {
        kl_buf_add(ret, row.bytes, row.size);
    }
    kl_json_free(json);
    return kl_buf_status(ret, err);
}

static enum kl_status job_find(struct vault *vault, const struct kl_id *rotation,
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
    } else if (status == KL_ERR_NOT_FOUND) {
        status = kl_fail(err, KL_ERR_NOT_FOUND, "not_found", "there is no such rotation", NULL);
    } else {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    kl_buf_done(&row);
    return status;
}

enum kl_status vault_keys_rotation(struct vault *vault, const struct vault_caller *caller,
                                   const struct kl_id *rotation, struct kl_buf *ret,
                                   struct kl_err *err)
{
    enum kl_status status =
        vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR, "key_rotation_read", err);

    return status == KL_OK ? job_find(vault, rotation, ret, err) : status;
}

/* ---- rotation, once ---- */

enum kl_status vault_keys_rotate(struct vault *vault, const struct vault_caller *caller,
                                 const char *level, const struct vault_idempotency *idempotency,
                                 struct kl_buf *ret, bool *ret_replayed, struct kl_err *err)
{
    enum kl_status status = vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR, "key_rotate", err);
    struct vault_idempotency_ticket ticket = {0};
    struct kl_id id;
    bool replayed = false;

    if (status != KL_OK) {
        return status;
    }
    if (strcmp(level, "root") != 0) {
        kl_err_where(err, "/level");
        return kl_fail(err, KL_ERR_INVALID, "level_not_supported",
                       "this version rotates the level root", NULL);
    }
    status = vault_idempotency_begin_id(vault, caller, idempotency, &ticket, &id, &replayed, err);
    if (status == KL_OK && replayed) {
        status = job_find(vault, &id, ret, err);
    } else if (status == KL_OK) {
        status = rotate(vault, caller, &ticket, ret, err);
    }
    vault_idempotency_end(vault, &ticket);
    if (status == KL_OK && ret_replayed != NULL) {
        *ret_replayed = replayed;
    }
    return status;
}
