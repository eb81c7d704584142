/* Runs that let old entries of trails go, as others see them: asked for, shown, begun by night. */
#include "vault/act.h"
#include "vault/night.h"
#include "vault/prune_job.h"
#include "vault/restore.h"

#define NIGHTLY_INTERVAL_MS 20000
#define PARAMS_MAX_BYTES 256
#define META_NIGHT "prune-night"

void vault_prune_terms_read(const struct vault_job *job, struct vault_prune_terms *ret)
{
    struct kl_json *json = NULL;
    const struct kl_json_value *root = NULL;

    *ret = (struct vault_prune_terms){.per_second = 0};
    if (kl_json_parse(job->params.bytes, job->params.size, &json, NULL) == KL_OK) {
        root = kl_json_root(json);
        ret->nightly = kl_json_bool(kl_json_member(root, "nightly"));
        ret->dry_run = kl_json_bool(kl_json_member(root, "dry_run"));
        (void)kl_json_int(kl_json_member(root, "per_second"), &ret->per_second);
    }
    ret->per_second = ret->per_second > 0 ? ret->per_second : VAULT_PRUNE_RATE_DEFAULT;
    kl_json_free(json);
}

static enum kl_status begin(struct vault *vault, const struct vault_caller *caller,
                            const struct vault_prune_terms *terms,
                            const struct vault_idempotency *idempotency, struct kl_buf *ret,
                            bool *ret_replayed, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_json_out out;
    struct kl_buf params;

    kl_buf_init(&params, PARAMS_MAX_BYTES);
    out = kl_json_out(&params);
    kl_json_object_begin(&out);
    kl_json_add_bool(&out, "nightly", terms->nightly);
    kl_json_add_bool(&out, "dry_run", terms->dry_run);
    kl_json_add_int(&out, "per_second", terms->per_second);
    kl_json_object_end(&out);
    status = kl_buf_status(&params, err);
    if (status == KL_OK) {
        status = vault_job_start(vault, caller, VAULT_JOB_PRUNE, kl_buf_slice(&params), idempotency,
                                 ret, ret_replayed, err);
    }
    kl_buf_done(&params);
    return status;
}

enum kl_status vault_prune_start(struct vault *vault, const struct vault_caller *caller,
                                 const struct vault_prune_input *input,
                                 const struct vault_idempotency *idempotency, struct kl_buf *ret,
                                 bool *ret_replayed, struct kl_err *err)
{
    const struct vault_prune_terms terms = {.dry_run = input->dry_run,
                                            .per_second = input->per_second};
    const unsigned may = input->dry_run ? VAULT_MAY_STEWARD | VAULT_MAY_AUDITOR : VAULT_MAY_STEWARD;
    enum kl_status status = vault_act_allowed(vault, caller, may, vault_prune_job.action, err);

    if (status == KL_OK && terms.per_second != 0 &&
        (terms.per_second < VAULT_PRUNE_RATE_MIN || terms.per_second > VAULT_PRUNE_RATE_MAX)) {
        kl_err_where(err, "/per_second");
        status = kl_failf(err, KL_ERR_INVALID, "invalid_rate", "per_second is %d to %d",
                          VAULT_PRUNE_RATE_MIN, VAULT_PRUNE_RATE_MAX);
    }
    return status == KL_OK ? begin(vault, caller, &terms, idempotency, ret, ret_replayed, err)
                           : status;
}

static enum kl_status may_look(struct vault *vault, const struct vault_caller *caller,
                               struct kl_err *err)
{
    return vault_act_allowed(vault, caller,
                             VAULT_MAY_OPERATOR | VAULT_MAY_STEWARD | VAULT_MAY_AUDITOR,
                             "trail_prune_read", err);
}

enum kl_status vault_prune_show(struct vault *vault, const struct vault_caller *caller,
                                const struct kl_id *run, struct kl_buf *ret, struct kl_err *err)
{
    struct vault_job job;
    enum kl_status status = may_look(vault, caller, err);

    vault_job_init(&job);
    if (status == KL_OK) {
        status = vault_job_read(vault, VAULT_JOB_PRUNE, run, &job, err);
    }
    if (status == KL_OK &&
        job.tenant != (caller->builtin == VAULT_BUILTIN_OPERATOR ? (uint64_t)KMS_TENANT_VAULT
                                                                 : caller->tenant)) {
        status = kl_fail(err, KL_ERR_NOT_FOUND, "not_found", "there is no such job", NULL);
    }
    vault_job_done(&job);
    return status == KL_OK ? vault_job_show(vault, VAULT_JOB_PRUNE, run, ret, err) : status;
}

enum kl_status vault_prune_list(struct vault *vault, const struct vault_caller *caller,
                                size_t limit, struct kl_buf *ret, struct kl_err *err)
{
    enum kl_status status = may_look(vault, caller, err);

    if (status == KL_OK && limit < 1) {
        status = kl_fail(err, KL_ERR_INVALID, "invalid_limit", "a list holds at least 1", NULL);
    }
    limit = limit > VAULT_JOB_LIST_MAX ? VAULT_JOB_LIST_MAX : limit;
    return status == KL_OK ? vault_job_list(vault, VAULT_JOB_PRUNE,
                                            caller->builtin == VAULT_BUILTIN_OPERATOR
                                                ? (uint64_t)KMS_TENANT_VAULT
                                                : caller->tenant,
                                            limit, ret, err)
                           : status;
}

/* ---- by night ---- */

static enum kl_status nightly(struct vault *vault, int64_t now_us, struct kl_err *err)
{
    static const struct vault_prune_terms terms = {.nightly = true};
    struct kl_buf shown;
    bool due = false;
    bool restoring = false; /* a newer backup may come, whose policy keeps more */
    enum kl_status status = vault_night_is_due(vault, META_NIGHT, now_us, &due, err);

    if (status == KL_OK && due) {
        status = vault_restore_pending(vault->keys, &restoring, err);
    }
    if (status != KL_OK || !due || restoring) {
        return status;
    }
    kl_buf_init(&shown, VAULT_JOB_TEXT_MAX_BYTES * 2);
    status = begin(vault, NULL, &terms, NULL, &shown, NULL, err);
    kl_buf_done(&shown);
    return status == KL_OK ? vault_night_write(vault, META_NIGHT, now_us, err) : status;
}

const struct vault_upkeep_task vault_prune_nightly = {"trail_prune", NIGHTLY_INTERVAL_MS, nightly};
