/* Sweeps as others see them: asked for, shown, planned for the night, and the horizon. */
#include "vault/sweep_internal.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/act.h"
#include "vault/night.h"
#include "vault/rows.h"
#include "vault/tenants.h"

#include <stdio.h>

#define NIGHTLY_INTERVAL_MS 20000
#define PARAMS_MAX_BYTES 256

/* ---- asking for one ---- */

static void params_write(const struct vault_sweep_terms *terms, struct kl_buf *ret)
{
    struct kl_json_out out = kl_json_out(ret);

    kl_json_object_begin(&out);
    kl_json_add_bool(&out, "nightly", terms->nightly);
    kl_json_add_int(&out, "changes_per_second", terms->changes_per_second);
    kl_json_object_end(&out);
}

static enum kl_status start(struct vault *vault, const struct vault_caller *caller,
                            const struct vault_sweep_terms *terms,
                            const struct vault_idempotency *idempotency, struct kl_buf *ret,
                            bool *ret_replayed, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf params;

    kl_buf_init(&params, PARAMS_MAX_BYTES);
    params_write(terms, &params);
    status = kl_buf_status(&params, err);
    if (status == KL_OK) {
        status = vault_job_start(vault, caller, VAULT_JOB_SWEEP, kl_buf_slice(&params), idempotency,
                                 ret, ret_replayed, err);
    }
    kl_buf_done(&params);
    return status;
}

enum kl_status vault_sweep_start(struct vault *vault, const struct vault_caller *caller,
                                 const struct vault_sweep_input *input,
                                 const struct vault_idempotency *idempotency, struct kl_buf *ret,
                                 bool *ret_replayed, struct kl_err *err)
{
    struct vault_sweep_terms terms = {.changes_per_second = input->changes_per_second};
    enum kl_status status = vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR | VAULT_MAY_STEWARD,
                                              vault_sweep_job.action, err);

    if (status == KL_OK &&
        (terms.changes_per_second < 0 || terms.changes_per_second > VAULT_SWEEP_RATE_MAX)) {
        kl_err_where(err, "/changes_per_second");
        status = kl_fail(err, KL_ERR_INVALID, "invalid_rate",
                         "changes_per_second is 1 to 1000000, or 0 for as fast as it goes", NULL);
    }
    if (status == KL_OK && terms.changes_per_second > 0 &&
        caller->builtin != VAULT_BUILTIN_OPERATOR) { /* others wait for the thread meanwhile */
        kl_err_where(err, "/changes_per_second");
        status = kl_fail(err, KL_ERR_INVALID, "invalid_rate",
                         "changes_per_second is the operator's to say: leave it out", NULL);
    }
    return status == KL_OK ? start(vault, caller, &terms, idempotency, ret, ret_replayed, err)
                           : status;
}

/* ---- looking at them ---- */

static enum kl_status may_look(struct vault *vault, const struct vault_caller *caller,
                               struct kl_err *err)
{
    return vault_act_allowed(vault, caller,
                             VAULT_MAY_OPERATOR | VAULT_MAY_STEWARD | VAULT_MAY_AUDITOR,
                             "key_sweep_read", err);
}

/* Whose sweeps a caller may see. */
static uint64_t seen_by(const struct vault_caller *caller)
{
    return caller->builtin == VAULT_BUILTIN_OPERATOR && caller->tenant == UINT64_MAX
               ? VAULT_JOB_OF_ANY
               : caller->tenant;
}

enum kl_status vault_sweep_show(struct vault *vault, const struct vault_caller *caller,
                                const struct kl_id *sweep, struct kl_buf *ret, struct kl_err *err)
{
    struct vault_job job;
    enum kl_status status = may_look(vault, caller, err);

    vault_job_init(&job);
    if (status == KL_OK) {
        status = vault_job_read(vault, VAULT_JOB_SWEEP, sweep, &job, err);
    }
    if (status == KL_OK && caller->builtin != VAULT_BUILTIN_OPERATOR &&
        job.tenant != caller->tenant) {
        status = kl_fail(err, KL_ERR_NOT_FOUND, "not_found", "there is no such job", NULL);
    }
    vault_job_done(&job);
    return status == KL_OK ? vault_job_show(vault, VAULT_JOB_SWEEP, sweep, ret, err) : status;
}

enum kl_status vault_sweep_list(struct vault *vault, const struct vault_caller *caller,
                                size_t limit, struct kl_buf *ret, struct kl_err *err)
{
    enum kl_status status = may_look(vault, caller, err);

    if (status == KL_OK && limit < 1) {
        status = kl_fail(err, KL_ERR_INVALID, "invalid_limit", "a list holds at least 1", NULL);
    }
    limit = limit > VAULT_JOB_LIST_MAX ? VAULT_JOB_LIST_MAX : limit;
    return status == KL_OK
               ? vault_job_list(vault, VAULT_JOB_SWEEP, seen_by(caller), limit, ret, err)
               : status;
}

/* ---- by night ---- */

int64_t vault_sweep_next_us(struct vault *vault, int64_t after_us)
{
    struct vault_upkeep_options options = {.sweep_at_s = -1};

    if (vault->upkeep != NULL) {
        options = vault_upkeep_options(vault);
    }
    return options.sweep_at_s < 0 ? 0
                                  : vault_night_last(options.sweep_at_s, after_us) + KL_TIME_DAY_US;
}

static enum kl_status nightly(struct vault *vault, int64_t now_us, struct kl_err *err)
{
    static const struct vault_sweep_terms terms = {.nightly = true};
    struct kl_buf shown;
    bool due = false;
    enum kl_status status = vault_night_is_due(vault, VAULT_META_SWEEP_NIGHT, now_us, &due, err);

    if (status != KL_OK || !due) {
        return status;
    }
    kl_buf_init(&shown, VAULT_JOB_TEXT_MAX_BYTES * 2);
    status = start(vault, NULL, &terms, NULL, &shown, NULL, err);
    kl_buf_done(&shown);
    return status == KL_OK ? vault_night_write(vault, VAULT_META_SWEEP_NIGHT, now_us, err) : status;
}

const struct vault_upkeep_task vault_sweep_nightly = {"sweep", NIGHTLY_INTERVAL_MS, nightly};

/* ---- the horizon ---- */

/* min of what is set; 0: of nothing. */
struct sweep_state {
    bool unswept; /* a tenant has no horizon */
    uint64_t horizon_us;
    uint64_t last_us;
    uint64_t waiting;
};

/* Count what waits, and give the time of the first. */
static enum kl_status waiting_count(struct vault *vault, uint64_t tenant, uint64_t *waiting,
                                    uint64_t *ret_first_us, struct kl_err *err)
{
    struct vault_row_key first = vault_row_old(tenant, 0, 0, 0);
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice row;
    bool any = false;
    enum kl_status status = KL_OK;

    first.size -= VAULT_SWEEP_POSITION_MAX_BYTES;
    past = vault_row_past(&first);
    iter =
        vault_iter_new(vault->data_store, vault_row_slice(&first), vault_row_slice(&past), false);
    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    while ((!any || *waiting < VAULT_SWEEP_WAITING_MAX) && vault_iter_next(iter, &key, &row)) {
        *ret_first_us = any ? *ret_first_us : kl_get_u64be(key.bytes + first.size);
        any = true;
        *waiting += *waiting < VAULT_SWEEP_WAITING_MAX ? 1 : 0;
    }
    status = vault_iter_status(iter, err);
    vault_iter_free(iter);
    return status;
}

static enum kl_status state_of(struct vault *vault, uint64_t tenant, struct sweep_state *state,
                               struct kl_err *err)
{
    struct vault_row_key key = vault_row_horizon(tenant);
    uint64_t numbers[2] = {0, 0};
    uint64_t first_us = UINT64_MAX;
    bool there = false;
    enum kl_status status = vault_sweep_numbers(vault, &key, numbers, 2, &there, err);

    if (status == KL_OK) {
        status = waiting_count(vault, tenant, &state->waiting, &first_us, err);
    }
    if (status != KL_OK) {
        return status;
    }
    if (!there) {
        state->unswept = true;
        return KL_OK;
    }
    /* What was committed late with an early time, or was needed still, holds the horizon back. */
    numbers[0] = first_us < numbers[0] ? first_us : numbers[0];
    if (state->horizon_us == 0 || numbers[0] < state->horizon_us) {
        state->horizon_us = numbers[0];
    }
    state->last_us = numbers[1] > state->last_us ? numbers[1] : state->last_us;
    return KL_OK;
}

static enum kl_status state_of_all(struct vault *vault, struct sweep_state *state,
                                   struct kl_err *err)
{
    enum kl_status status = KL_OK;
    const struct vault_tenant *tenant = NULL;

    for (tenant = vault_tenants_next(vault, KMS_TENANT_VAULT); status == KL_OK && tenant != NULL;
         tenant = vault_tenants_next(vault, tenant->number)) {
        status = state_of(vault, tenant->number, state, err);
    }
    return status;
}

static void add_time(struct kl_json_out *out, const char *key, uint64_t time_us)
{
    kl_json_key(out, key);
    if (time_us == 0) {
        kl_json_put_null(out);
    } else {
        kl_json_put_time(out, (int64_t)time_us);
    }
}

enum kl_status vault_sweep_state_add(struct vault *vault, uint64_t tenant, struct kl_json_out *out,
                                     struct kl_err *err)
{
    struct sweep_state state = {.unswept = false};
    enum kl_status status = tenant == VAULT_JOB_OF_ANY ? state_of_all(vault, &state, err)
                                                       : state_of(vault, tenant, &state, err);

    if (status != KL_OK) {
        return status;
    }
    add_time(out, "horizon", state.unswept ? 0 : state.horizon_us);
    kl_json_key(out, "sweep");
    kl_json_object_begin(out);
    add_time(out, "next_at", (uint64_t)vault_sweep_next_us(vault, kl_time_now_us()));
    add_time(out, "last_at", state.last_us);
    kl_json_add_int(out, "waiting", (int64_t)state.waiting);
    kl_json_object_end(out);
    return KL_OK;
}
