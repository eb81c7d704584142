#include "vault/job_internal.h"

#include "kluis/base/time.h"
#include "vault/act.h"
#include "vault/idempotency.h"
#include "vault/rows.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define FORMAT 1
#define PROGRESS_UNITS 1000000.0

/* ---- life ---- */

void vault_job_init(struct vault_job *job)
{
    memset(job, 0, sizeof *job);
    kl_buf_init(&job->params, VAULT_JOB_TEXT_MAX_BYTES);
    kl_buf_init(&job->cursor, VAULT_JOB_TEXT_MAX_BYTES);
    kl_buf_init(&job->result, VAULT_JOB_TEXT_MAX_BYTES);
}

void vault_job_done(struct vault_job *job)
{
    kl_buf_done(&job->params);
    kl_buf_done(&job->cursor);
    kl_buf_done(&job->result);
}

/* ---- rows ---- */

enum kl_status vault_job_encode(const struct vault_job *job, struct kl_buf *ret, struct kl_err *err)
{
    kl_buf_add_byte(ret, FORMAT);
    kl_buf_add_byte(ret, (unsigned char)job->kind);
    kl_buf_add_byte(ret, (unsigned char)job->state);
    kl_buf_add_u64be(ret, job->tenant);
    kl_buf_add_u64be(ret, job->trail);
    kl_buf_add_u64be(ret, (uint64_t)job->started_us);
    kl_buf_add_u64be(ret, (uint64_t)job->ended_us);
    kl_buf_add_u32be(ret, (uint32_t)(job->progress * PROGRESS_UNITS));
    kl_buf_add_sized(ret, job->failed_code, strlen(job->failed_code));
    kl_buf_add_sized(ret, job->params.bytes, job->params.size);
    kl_buf_add_sized(ret, job->cursor.bytes, job->cursor.size);
    kl_buf_add_sized(ret, job->result.bytes, job->result.size);
    return kl_buf_status(ret, err);
}

static void read_text(struct kl_reader *reader, struct kl_buf *ret)
{
    struct kl_slice text = kl_read_sized(reader);

    kl_buf_clear(ret);
    kl_buf_add(ret, text.bytes, text.size);
}

enum kl_status vault_job_decode(struct kl_slice row, const struct kl_id *id, struct vault_job *ret,
                                struct kl_err *err)
{
    struct kl_reader reader = kl_reader_of(row);
    struct kl_slice code = {0};
    unsigned kind = 0;
    unsigned state = 0;

    if (kl_read_byte(&reader) != FORMAT) {
        return kl_fail(err, KL_ERR_NOT_FOUND, "not_found", "there is no such job", NULL);
    }
    kind = kl_read_byte(&reader);
    state = kl_read_byte(&reader);
    ret->id = *id;
    ret->kind = (enum vault_job_kind)kind;
    ret->state = (enum vault_job_state)state;
    ret->tenant = kl_read_u64be(&reader);
    ret->trail = kl_read_u64be(&reader);
    ret->started_us = (int64_t)kl_read_u64be(&reader);
    ret->ended_us = (int64_t)kl_read_u64be(&reader);
    ret->progress = kl_read_u32be(&reader) / PROGRESS_UNITS;
    code = kl_read_sized(&reader);
    read_text(&reader, &ret->params);
    read_text(&reader, &ret->cursor);
    read_text(&reader, &ret->result);
    if (!kl_reader_done(&reader) || kind >= VAULT_JOB_KINDS || state > VAULT_JOB_FAILED ||
        code.size >= sizeof ret->failed_code || kl_buf_status(&ret->params, NULL) != KL_OK ||
        kl_buf_status(&ret->cursor, NULL) != KL_OK || kl_buf_status(&ret->result, NULL) != KL_OK) {
        return kl_fail(err, KL_ERR_CORRUPT, "job_damaged", "the row of this job is damaged", NULL);
    }
    memset(ret->failed_code, 0, sizeof ret->failed_code);
    if (code.size > 0) {
        memcpy(ret->failed_code, code.bytes, code.size);
    }
    return KL_OK;
}

static struct vault_row_key job_key(const struct kl_id *id)
{
    return vault_row_rotation(KMS_TENANT_VAULT, id);
}

enum kl_status vault_job_each(struct vault *vault, vault_job_visit visit, void *visitor,
                              struct kl_err *err)
{
    enum kl_status status = KL_OK;
    const struct kl_id none = {{0}};
    struct vault_row_key first = job_key(&none);
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice value;
    struct vault_job job;

    first.size -= KL_ID_BYTES;
    past = vault_row_past(&first);
    iter =
        vault_iter_new(vault->data_store, vault_row_slice(&first), vault_row_slice(&past), false);
    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    vault_job_init(&job);
    while (status == KL_OK && vault_iter_next(iter, &key, &value)) {
        struct kl_id id;

        if (key.size != first.size + KL_ID_BYTES) {
            continue;
        }
        memcpy(id.bytes, key.bytes + first.size, KL_ID_BYTES);
        status = vault_job_decode(value, &id, &job, err);
        if (status == KL_OK) {
            status = visit(visitor, &job, err);
        } else if (status == KL_ERR_NOT_FOUND) {
            kl_err_clear(err);
            status = KL_OK;
        }
    }
    if (status == KL_OK) {
        status = vault_iter_status(iter, err);
    }
    vault_job_done(&job);
    vault_iter_free(iter);
    return status;
}

static enum kl_status put_row(const struct vault_job *job, struct vault_batch *batch,
                              struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = job_key(&job->id);
    struct kl_buf row;

    kl_buf_init(&row, VAULT_JOB_ROW_MAX_BYTES);
    status = vault_job_encode(job, &row, err);
    if (status == KL_OK) {
        vault_batch_put(batch, vault_row_slice(&key), kl_buf_slice(&row));
    }
    kl_buf_done(&row);
    return status;
}

enum kl_status vault_job_keep(struct vault *vault, const struct vault_job *job, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_batch *batch = vault_batch_new();
    struct vault_commit commit = {.tenant = KMS_TENANT_VAULT, .batch = batch, .unsynced = true};

    if (batch == NULL) {
        return kl_fail_memory(err);
    }
    status = put_row(job, batch, err);
    if (status == KL_OK) {
        status = vault_commit_submit(vault->committer, &commit, err);
    }
    vault_batch_free(batch);
    return status;
}

/* ---- as JSON ---- */

/* The members of an object, into the object that is open in out. What is no object adds nothing. */
static void add_members(struct kl_json_out *out, struct kl_slice object)
{
    struct kl_json *json = NULL;
    struct kl_json_iter iter;
    const char *key = NULL;
    const struct kl_json_value *value = NULL;
    struct kl_buf text;

    if (object.size == 0 || kl_json_parse(object.bytes, object.size, &json, NULL) != KL_OK) {
        return;
    }
    kl_buf_init(&text, VAULT_JOB_TEXT_MAX_BYTES);
    iter = kl_json_iter(kl_json_root(json));
    while (kl_json_next(&iter, &key, &value) && key != NULL) {
        kl_buf_clear(&text);
        kl_json_write_value(&text, value);
        kl_json_key(out, key);
        kl_json_put_raw(out, text.bytes, text.size);
    }
    kl_buf_done(&text);
    kl_json_free(json);
}

static void add_id(struct kl_json_out *out, const char *key, const struct vault_job_type *type,
                   const struct kl_id *id)
{
    char text[KL_ID_TEXT_BYTES];

    kl_id_format(type->prefix, id, text);
    kl_json_add_text(out, key, text);
}

static void add_progress(struct kl_json_out *out, double progress)
{
    char text[16];
    int thousandths = (int)(progress * 1000.0);
    int size = snprintf(text, sizeof text, "%d.%03d", thousandths / 1000 % 10, thousandths % 1000);

    kl_json_key(out, "progress");
    kl_json_put_raw(out, text, (size_t)size);
}

static void write_job(struct vault *vault, const struct vault_job *job, struct kl_json_out *out)
{
    static const char *const states[] = {"running", "done", "failed"};
    const struct vault_job_type *type = vault_upkeep_type(vault, job->kind);

    kl_json_object_begin(out);
    add_id(out, "id", type, &job->id);
    kl_json_add_text(out, "state", states[job->state]);
    kl_json_add_time(out, "started_at", job->started_us);
    kl_json_key(out, "ended_at");
    if (job->ended_us != 0) {
        kl_json_put_time(out, job->ended_us);
    } else {
        kl_json_put_null(out);
    }
    add_progress(out, job->progress);
    if (job->state == VAULT_JOB_FAILED) {
        kl_json_add_text(out, "failed_code", job->failed_code);
    }
    if (type->show != NULL) {
        type->show(vault, job, out);
    }
    add_members(out, kl_buf_slice(&job->result));
    kl_json_object_end(out);
}

/* ---- the end of a job ---- */

enum kl_status vault_job_end(struct vault *vault, const struct vault_job *job, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    bool done = job->state == VAULT_JOB_DONE;
    const struct vault_job_type *type = vault_upkeep_type(vault, job->kind);
    struct vault_audit_who who = {.role = "vault", .at_us = job->ended_us};
    struct vault_act act = {0};
    struct vault_audit_entry *entries[1] = {&act.entry};
    struct vault_batch *batch = vault_batch_new();
    struct vault_commit commit = {
        .tenant = KMS_TENANT_VAULT, .batch = batch, .audit = entries, .audit_count = 1};
    char action[64];

    assert(job->state != VAULT_JOB_RUNNING);
    if (batch == NULL) {
        return kl_fail_memory(err);
    }
    (void)snprintf(action, sizeof action, "%s_%s", type->action, done ? "done" : "failed");
    vault_act_begin(&act, job->trail, &who, action);
    add_id(&act.out, "job", type, &job->id);
    if (!done) {
        kl_json_add_text(&act.out, "code", job->failed_code);
    }
    add_members(&act.out, kl_buf_slice(&job->result));
    kl_json_add_text(&act.out, "result", done ? "ok" : "failed");
    status = vault_audit_end(&act.entry, &act.out, err);
    if (status == KL_OK) {
        status = put_row(job, batch, err);
    }
    if (status == KL_OK) {
        status = vault_commit_submit(vault->committer, &commit, err);
    }
    if (status == KL_OK) {
        atomic_fetch_add_explicit(&vault->counters.audit_entries, 1, memory_order_relaxed);
    }
    vault_act_done(&act);
    vault_batch_free(batch);
    return status;
}

/* ---- asking for one ---- */

static enum kl_status commit_start(struct vault *vault, const struct vault_caller *caller,
                                   const struct vault_idempotency_ticket *ticket,
                                   const struct vault_job *job, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    const struct vault_job_type *type = vault_upkeep_type(vault, job->kind);
    struct vault_audit_who who = {.role = "vault", .at_us = job->started_us};
    char location[3];
    struct vault_act act = {0};
    struct vault_act *acts[1] = {&act};
    struct vault_batch *batch = vault_batch_new();

    if (batch == NULL) {
        return kl_fail_memory(err);
    }
    if (caller != NULL) {
        who = vault_caller_who(caller, location);
        status = vault_idempotency_remember(vault, caller, ticket, VAULT_SLOT_MAC, KMS_VALUE_NONE,
                                            kl_slice_of(job->id.bytes, KL_ID_BYTES), batch, err);
    }
    vault_act_begin(&act, job->trail, &who, type->action);
    add_id(&act.out, "job", type, &job->id);
    add_members(&act.out, kl_buf_slice(&job->params));
    if (status == KL_OK) {
        status = put_row(job, batch, err);
    }
    if (status == KL_OK) {
        status = vault_act_commit(vault, acts, 1, batch, err);
    }
    vault_act_done(&act);
    vault_batch_free(batch);
    return status;
}

/* Room is reserved; it is used up, or given back. */
static enum kl_status start(struct vault *vault, const struct vault_caller *caller,
                            enum vault_job_kind kind, struct kl_slice params,
                            const struct vault_idempotency_ticket *ticket, struct kl_buf *ret,
                            struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_json_out out = kl_json_out(ret);
    struct vault_job job;

    vault_job_init(&job);
    job.id = kl_id_new();
    job.kind = kind;
    job.tenant = caller == NULL || caller->tenant == UINT64_MAX ? (uint64_t)KMS_TENANT_VAULT
                                                                : caller->tenant;
    job.trail = caller == NULL ? (uint64_t)KMS_TENANT_VAULT : vault_act_trail(caller);
    job.started_us = caller == NULL ? kl_time_now_us() : caller->now_us;
    kl_buf_add(&job.params, params.bytes, params.size);
    status = kl_buf_status(&job.params, err);
    if (status == KL_OK) {
        status = commit_start(vault, caller, ticket, &job, err);
    }
    if (status != KL_OK) {
        vault_job_done(&job);
        vault_upkeep_unreserve(vault);
        return status;
    }
    write_job(vault, &job, &out);
    vault_upkeep_add(vault, &job);
    return kl_buf_status(ret, err);
}

enum kl_status vault_job_start(struct vault *vault, const struct vault_caller *caller,
                               enum vault_job_kind kind, struct kl_slice params,
                               const struct vault_idempotency *idempotency, struct kl_buf *ret,
                               bool *ret_replayed, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_idempotency_ticket ticket = {0};
    struct kl_id id;
    bool replayed = false;

    assert(vault_upkeep_type(vault, kind) != NULL);
    if (caller != NULL) {
        status =
            vault_idempotency_begin_id(vault, caller, idempotency, &ticket, &id, &replayed, err);
    }
    if (status == KL_OK && replayed) {
        status = vault_job_show(vault, kind, &id, ret, err);
    } else if (status == KL_OK) {
        status = vault_upkeep_reserve(vault, caller, err);
        if (status == KL_OK) {
            status = start(vault, caller, kind, params, &ticket, ret, err);
        }
    }
    vault_idempotency_end(vault, &ticket);
    if (status == KL_OK && ret_replayed != NULL) {
        *ret_replayed = replayed;
    }
    return status;
}

/* ---- looking at them ---- */

static enum kl_status read_row(struct vault *vault, const struct kl_id *id, struct vault_job *ret,
                               struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = job_key(id);
    struct kl_buf row;

    kl_buf_init(&row, VAULT_JOB_ROW_MAX_BYTES);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, err);
    if (status == KL_OK) {
        status = vault_job_decode(kl_buf_slice(&row), id, ret, err);
    } else if (status == KL_ERR_TOO_LARGE) {
        status = KL_ERR_NOT_FOUND; /* no job is that large */
    }
    kl_buf_done(&row);
    return status;
}

enum kl_status vault_job_read(struct vault *vault, enum vault_job_kind kind, const struct kl_id *id,
                              struct vault_job *ret, struct kl_err *err)
{
    struct kl_err cause = {.status = KL_OK};
    enum kl_status status = read_row(vault, id, ret, &cause);

    if (status == KL_ERR_NOT_FOUND || (status == KL_OK && ret->kind != kind)) {
        return kl_fail(err, KL_ERR_NOT_FOUND, "not_found", "there is no such job", NULL);
    }
    return status == KL_OK
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

enum kl_status vault_job_show(struct vault *vault, enum vault_job_kind kind, const struct kl_id *id,
                              struct kl_buf *ret, struct kl_err *err)
{
    struct kl_json_out out = kl_json_out(ret);
    struct vault_job job;
    enum kl_status status = KL_OK;

    vault_job_init(&job);
    status = vault_job_read(vault, kind, id, &job, err);
    if (status == KL_OK) {
        write_job(vault, &job, &out);
        status = kl_buf_status(ret, err);
    }
    vault_job_done(&job);
    return status;
}

/* The newest so far, newest first. */
struct listing {
    enum vault_job_kind kind;
    uint64_t tenant;
    size_t max;
    size_t count;
    struct {
        struct kl_id id;
        int64_t started_us;
    } newest[VAULT_JOB_LIST_MAX];
};

static enum kl_status list_one(void *visitor, struct vault_job *job, struct kl_err *err)
{
    struct listing *listing = visitor;
    size_t at = listing->count;

    (void)err;
    if (job->kind != listing->kind ||
        (listing->tenant != VAULT_JOB_OF_ANY && job->tenant != listing->tenant)) {
        return KL_OK;
    }
    while (at > 0 && listing->newest[at - 1].started_us < job->started_us) {
        at--;
    }
    if (at == listing->max) {
        return KL_OK;
    }
    if (listing->count < listing->max) {
        listing->count++;
    }
    memmove(&listing->newest[at + 1], &listing->newest[at],
            (listing->count - 1 - at) * sizeof listing->newest[0]);
    listing->newest[at].id = job->id;
    listing->newest[at].started_us = job->started_us;
    return KL_OK;
}

enum kl_status vault_job_list(struct vault *vault, enum vault_job_kind kind, uint64_t tenant,
                              size_t max, struct kl_buf *ret, struct kl_err *err)
{
    struct listing listing = {.kind = kind, .tenant = tenant, .max = max};
    enum kl_status status = vault_job_each(vault, list_one, &listing, err);
    struct kl_json_out out = kl_json_out(ret);
    struct vault_job job;
    size_t i;

    assert(max >= 1 && max <= VAULT_JOB_LIST_MAX);
    if (status != KL_OK) {
        return status;
    }
    vault_job_init(&job);
    kl_json_array_begin(&out);
    for (i = 0; status == KL_OK && i < listing.count; i++) {
        status = vault_job_read(vault, kind, &listing.newest[i].id, &job, err);
        if (status == KL_OK) {
            write_job(vault, &job, &out);
        }
    }
    kl_json_array_end(&out);
    vault_job_done(&job);
    return status == KL_OK ? kl_buf_status(ret, err) : status;
}
