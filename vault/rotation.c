/* Asking for rotations and looking at them; what all levels that are jobs share. */
#include "vault/rotation.h"

#include "kluis/base/time.h"
#include "vault/act.h"
#include "vault/job_internal.h"
#include "vault/rows.h"
#include "vault/tenants.h"

#include <stdlib.h>
#include <string.h>

#define PARAMS_MAX_BYTES 256

static const struct vault_rotation_level levels[] = {
    {"tenant", true, false, vault_rotation_pages_step, vault_rotation_pages_show},
    {"all", false, false, vault_rotation_pages_step, vault_rotation_pages_show},
    {"values", true, false, vault_rotation_values_step, vault_rotation_values_show},
    {"audit", false, true, vault_rotation_audit_step, NULL},
};

const struct vault_rotation_level *vault_rotation_level(const char *name)
{
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (strcmp(levels[i].name, name) == 0) {
            return &levels[i];
        }
    }
    return NULL;
}

/* ---- what was asked ---- */

static enum kl_status params_read(const struct vault_job *job, struct vault_rotation *ret,
                                  struct kl_err *err)
{
    struct kl_json *json = NULL;
    const char *level = NULL;
    int64_t rate = 0;
    bool without_backup = false;
    enum kl_status status = kl_json_parse(job->params.bytes, job->params.size, &json, NULL);

    if (status == KL_OK) {
        level = kl_json_text(kl_json_member(kl_json_root(json), "level"));
        (void)kl_json_int(kl_json_member(kl_json_root(json), "pages_per_second"), &rate);
        without_backup = kl_json_bool(kl_json_member(kl_json_root(json), "without_backup"));
    }
    ret->level = level == NULL ? NULL : vault_rotation_level(level);
    ret->pages_per_second = (uint32_t)rate;
    ret->without_backup = without_backup;
    kl_json_free(json);
    return ret->level != NULL ? KL_OK
                              : kl_fail(err, KL_ERR_CORRUPT, "rotation_damaged",
                                        "the row of this rotation is damaged", NULL);
}

static void params_write(const struct vault_rotation *rotation, struct kl_buf *ret)
{
    struct kl_json_out out = kl_json_out(ret);

    kl_json_object_begin(&out);
    kl_json_add_text(&out, "level", rotation->level->name);
    if (rotation->pages_per_second > 0) {
        kl_json_add_int(&out, "pages_per_second", rotation->pages_per_second);
    }
    if (rotation->without_backup) {
        kl_json_add_bool(&out, "without_backup", true);
    }
    kl_json_object_end(&out);
}

/* ---- the job ---- */

static enum kl_status step(struct vault *vault, struct vault_job *job, bool *ret_done,
                           struct kl_err *err)
{
    struct vault_rotation rotation;
    enum kl_status status = params_read(job, &rotation, err);

    if (status == KL_OK) { /* it writes what it makes anew beside the old */
        status = vault_space_check(vault, false, err);
    }
    if (status == KL_OK) {
        status = rotation.level->step(vault, job, &rotation, ret_done, err);
    }
    if (status == KL_OK && *ret_done) {
        atomic_fetch_add_explicit(&vault->counters.rotations, 1, memory_order_relaxed);
    }
    return status;
}

static void show(struct vault *vault, const struct vault_job *job, struct kl_json_out *out)
{
    const struct vault_tenant *tenant;
    struct vault_rotation rotation;

    if (params_read(job, &rotation, NULL) != KL_OK) {
        return;
    }
    kl_json_add_text(out, "level", rotation.level->name);
    tenant = rotation.level->of_tenant || rotation.level->of_trail
                 ? vault_tenants_by_number(vault, job->tenant)
                 : NULL;
    if (tenant != NULL) {
        kl_json_add_text(out, "tenant", tenant->name);
    }
    if (rotation.pages_per_second > 0) {
        kl_json_add_int(out, "pages_per_second", rotation.pages_per_second);
    }
    if (rotation.without_backup) {
        kl_json_add_bool(out, "without_backup", true);
    }
    if (job->state != VAULT_JOB_DONE) {
        if (rotation.level->show != NULL) {
            rotation.level->show(job, out);
        }
        kl_json_key(out, "to_generation");
        kl_json_put_null(out);
        kl_json_add_bool(out, "old_key_out_of_use", false);
    }
}

const struct vault_job_type vault_rotation_job = {
    .prefix = VAULT_ROTATION_PREFIX, .action = "key_rotate", .step = step, .show = show};

/* ---- asking ---- */

static enum kl_status asked_check(struct vault *vault, const struct vault_caller *caller,
                                  const char *level, uint32_t pages_per_second, bool without_backup,
                                  struct vault_rotation *ret, struct kl_err *err)
{
    bool root = strcmp(level, "root") == 0;
    bool values = strcmp(level, "values") == 0;
    bool paged = !root && !values && strcmp(level, "audit") != 0;

    ret->level = vault_rotation_level(level);
    ret->pages_per_second = pages_per_second;
    ret->without_backup = without_backup;
    if (ret->level == NULL && !root) {
        kl_err_where(err, "/level");
        return kl_fail(err, KL_ERR_INVALID, "level_not_supported",
                       "a level is one of root, tenant, all, values and audit", NULL);
    }
    if (pages_per_second > VAULT_ROTATION_RATE_MAX || (!paged && pages_per_second > 0)) {
        kl_err_where(err, "/pages_per_second");
        return kl_failf(err, KL_ERR_INVALID, "invalid_rate",
                        "at most %d pages a second, and only for the levels tenant and all",
                        VAULT_ROTATION_RATE_MAX);
    }
    if (!root && ret->level->of_tenant && caller->tenant == UINT64_MAX) {
        return kl_fail(err, KL_ERR_INVALID, "tenant_required",
                       "this level needs a tenant (?tenant=)", NULL);
    }
    return values && !without_backup ? vault_rotation_values_check(vault, caller->now_us, err)
                                     : KL_OK;
}

static enum kl_status rotate_root(struct vault *vault, const struct vault_caller *caller,
                                  const struct vault_idempotency *idempotency, struct kl_buf *ret,
                                  bool *ret_replayed, struct kl_err *err)
{
    struct vault_idempotency_ticket ticket = {0};
    struct kl_id id;
    bool replayed = false;
    enum kl_status status =
        vault_idempotency_begin_id(vault, caller, idempotency, &ticket, &id, &replayed, err);

    if (status == KL_OK && replayed) {
        status = vault_rotation_root_show(vault, &id, ret, err);
    } else if (status == KL_OK) {
        status = vault_rotation_root(vault, caller, &ticket, ret, err);
    }
    vault_idempotency_end(vault, &ticket);
    if (status == KL_OK && ret_replayed != NULL) {
        *ret_replayed = replayed;
    }
    return status;
}

enum kl_status vault_keys_rotate(struct vault *vault, const struct vault_caller *caller,
                                 const char *level, uint32_t pages_per_second, bool without_backup,
                                 const struct vault_idempotency *idempotency, struct kl_buf *ret,
                                 bool *ret_replayed, struct kl_err *err)
{
    enum kl_status status = vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR, "key_rotate", err);
    struct vault_rotation rotation;
    struct kl_buf params;

    if (status == KL_OK) {
        status =
            asked_check(vault, caller, level, pages_per_second, without_backup, &rotation, err);
    }
    if (status != KL_OK) {
        return status;
    }
    if (rotation.level == NULL) {
        return rotate_root(vault, caller, idempotency, ret, ret_replayed, err);
    }
    kl_buf_init(&params, PARAMS_MAX_BYTES);
    params_write(&rotation, &params);
    status = kl_buf_status(&params, err);
    if (status == KL_OK) {
        status = vault_job_start(vault, caller, VAULT_JOB_ROTATION, kl_buf_slice(&params),
                                 idempotency, ret, ret_replayed, err);
    }
    kl_buf_done(&params);
    return status;
}

/* ---- looking ---- */

static enum kl_status rotation_show(struct vault *vault, const struct kl_id *rotation,
                                    struct kl_buf *ret, struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = vault_job_show(vault, VAULT_JOB_ROTATION, rotation, ret, &cause);

    if (status == KL_ERR_NOT_FOUND) {
        return vault_rotation_root_show(vault, rotation, ret, err);
    }
    if (status != KL_OK) {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    return status;
}

enum kl_status vault_keys_rotation(struct vault *vault, const struct vault_caller *caller,
                                   const struct kl_id *rotation, struct kl_buf *ret,
                                   struct kl_err *err)
{
    enum kl_status status =
        vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR, "key_rotation_read", err);

    return status == KL_OK ? rotation_show(vault, rotation, ret, err) : status;
}

/* The newest of all kinds, as far as there is room; in no order until all were seen. */
struct newest {
    struct {
        struct kl_id id;
        int64_t started_us;
    } items[VAULT_ROTATION_LIST_MAX];
    size_t count;
};

static void newest_add(struct newest *newest, const struct kl_id *id, int64_t started_us)
{
    size_t oldest = 0;

    if (newest->count < VAULT_ROTATION_LIST_MAX) {
        oldest = newest->count++;
    } else {
        for (size_t i = 1; i < newest->count; i++) {
            oldest = newest->items[i].started_us < newest->items[oldest].started_us ? i : oldest;
        }
        if (newest->items[oldest].started_us >= started_us) {
            return;
        }
    }
    newest->items[oldest].id = *id;
    newest->items[oldest].started_us = started_us;
}

static enum kl_status see_job(void *visitor, struct vault_job *job, struct kl_err *err)
{
    (void)err;
    if (job->kind == VAULT_JOB_ROTATION) {
        newest_add(visitor, &job->id, job->started_us);
    }
    return KL_OK;
}

static enum kl_status see_roots(struct vault *vault, struct newest *newest, struct kl_err *err)
{
    const struct kl_id none = {{0}};
    struct vault_row_key first = vault_row_rotation(KMS_TENANT_VAULT, &none);
    struct vault_row_key past;
    struct vault_iter *iter;
    struct kl_slice key;
    struct kl_slice value;
    enum kl_status status;

    first.size -= KL_ID_BYTES;
    past = vault_row_past(&first);
    iter =
        vault_iter_new(vault->data_store, vault_row_slice(&first), vault_row_slice(&past), false);
    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    while (vault_iter_next(iter, &key, &value)) {
        struct kl_id id;
        int64_t started_us = 0;

        if (key.size == first.size + KL_ID_BYTES &&
            vault_rotation_root_started(value, &started_us)) {
            memcpy(id.bytes, key.bytes + first.size, KL_ID_BYTES);
            newest_add(newest, &id, started_us);
        }
    }
    status = vault_iter_status(iter, err);
    vault_iter_free(iter);
    return status;
}

/* Newest first: a few, so that picking one after the other will do. */
static enum kl_status newest_write(struct vault *vault, struct newest *newest, struct kl_buf *ret,
                                   struct kl_err *err)
{
    enum kl_status status = KL_OK;

    kl_buf_add_byte(ret, '[');
    for (size_t left = newest->count; left > 0 && status == KL_OK; left--) {
        size_t at = 0;

        for (size_t i = 1; i < left; i++) {
            at = newest->items[i].started_us > newest->items[at].started_us ? i : at;
        }
        if (left < newest->count) {
            kl_buf_add_byte(ret, ',');
        }
        status = rotation_show(vault, &newest->items[at].id, ret, err);
        newest->items[at] = newest->items[left - 1];
    }
    kl_buf_add_byte(ret, ']');
    return status == KL_OK ? kl_buf_status(ret, err) : status;
}

enum kl_status vault_keys_rotations(struct vault *vault, const struct vault_caller *caller,
                                    struct kl_buf *ret, struct kl_err *err)
{
    enum kl_status status =
        vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR, "key_rotations_list", err);
    struct newest *newest = calloc(1, sizeof *newest);
    size_t before = ret->size;

    if (status == KL_OK && newest == NULL) {
        status = kl_fail_memory(err);
    }
    if (status == KL_OK) {
        status = vault_job_each(vault, see_job, newest, err);
    }
    if (status == KL_OK) {
        status = see_roots(vault, newest, err);
    }
    if (status == KL_OK) {
        status = newest_write(vault, newest, ret, err);
    }
    if (status != KL_OK) {
        ret->size = before;
    }
    free(newest);
    return status;
}
