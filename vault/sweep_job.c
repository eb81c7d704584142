/* A sweep as a job: tenant after tenant, phase after phase, a piece at a time. */
#include "vault/sweep_internal.h"

#include "kluis/base/time.h"
#include "vault/backup.h"
#include "vault/rows.h"
#include "vault/tenants.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CURSOR_FORMAT 1
/* Pieces of a sweep with a rate are so small that about this many are done in a second. */
#define PIECES_PER_SECOND 10

/* ---- the cursor ---- */

static void cursor_write(const struct vault_sweep *sweep, struct kl_buf *ret)
{
    kl_buf_clear(ret);
    kl_buf_add_byte(ret, CURSOR_FORMAT);
    kl_buf_add_u64be(ret, sweep->tenant);
    kl_buf_add_byte(ret, (unsigned char)sweep->phase);
    kl_buf_add_u64be(ret, (uint64_t)sweep->until_us);
    kl_buf_add_u64be(ret, sweep->build.next_slot);
    kl_buf_add_u64be(ret, sweep->build.subjects);
    kl_buf_add_u64be(ret, sweep->build.damaged);
    kl_buf_add_sized(ret, sweep->position, sweep->position_bytes);
    kl_buf_add_u64be(ret, sweep->tenants);
    kl_buf_add_u64be(ret, sweep->values);
    kl_buf_add_u64be(ret, sweep->buckets);
    kl_buf_add_u64be(ret, sweep->answers);
    kl_buf_add_u64be(ret, sweep->subjects);
    kl_buf_add_u64be(ret, sweep->damaged);
    kl_buf_add_u64be(ret, sweep->indexes);
}

/* A job without a cursor is at its start: before all tenants, or at its own. */
static enum kl_status cursor_read(const struct vault_job *job, struct vault_sweep *ret,
                                  struct kl_err *err)
{
    struct kl_reader reader = kl_reader_of(kl_buf_slice(&job->cursor));
    struct kl_slice position = {0};
    uint8_t format = 0;
    uint8_t phase = 0;

    memset(ret, 0, sizeof *ret);
    ret->tenant = job->tenant;
    if (job->cursor.size == 0) {
        return KL_OK;
    }
    format = kl_read_byte(&reader);
    ret->tenant = kl_read_u64be(&reader);
    phase = kl_read_byte(&reader);
    ret->until_us = (int64_t)kl_read_u64be(&reader);
    ret->build.next_slot = kl_read_u64be(&reader);
    ret->build.subjects = kl_read_u64be(&reader);
    ret->build.damaged = kl_read_u64be(&reader);
    position = kl_read_sized(&reader);
    ret->tenants = kl_read_u64be(&reader);
    ret->values = kl_read_u64be(&reader);
    ret->buckets = kl_read_u64be(&reader);
    ret->answers = kl_read_u64be(&reader);
    ret->subjects = kl_read_u64be(&reader);
    ret->damaged = kl_read_u64be(&reader);
    ret->indexes = kl_read_u64be(&reader);
    if (!kl_reader_done(&reader) || format != CURSOR_FORMAT || phase >= VAULT_SWEEP_PHASES ||
        position.size > VAULT_SWEEP_POSITION_MAX_BYTES) {
        return kl_fail(err, KL_ERR_CORRUPT, "job_damaged", "the row of this job is damaged", NULL);
    }
    ret->phase = (enum vault_sweep_phase)phase;
    if (position.size > 0) {
        memcpy(ret->position, position.bytes, position.size);
    }
    ret->position_bytes = position.size;
    return KL_OK;
}

static void result_write(const struct vault_sweep *sweep, struct kl_buf *ret)
{
    struct kl_json_out out;

    kl_buf_clear(ret);
    out = kl_json_out(ret);
    kl_json_object_begin(&out);
    kl_json_add_int(&out, "values", (int64_t)sweep->values);
    kl_json_add_int(&out, "buckets", (int64_t)sweep->buckets);
    kl_json_add_int(&out, "answers", (int64_t)sweep->answers);
    kl_json_add_int(&out, "indexes", (int64_t)sweep->indexes);
    kl_json_add_int(&out, "subjects", (int64_t)(sweep->subjects + sweep->build.subjects));
    kl_json_add_int(&out, "damaged", (int64_t)(sweep->damaged + sweep->build.damaged));
    kl_json_object_end(&out);
}

static void terms_read(const struct vault_job *job, struct vault_sweep_terms *ret)
{
    struct kl_json *json = NULL;
    const struct kl_json_value *root = NULL;

    *ret = (struct vault_sweep_terms){.nightly = false};
    if (kl_json_parse(job->params.bytes, job->params.size, &json, NULL) == KL_OK) {
        root = kl_json_root(json);
        ret->nightly = kl_json_bool(kl_json_member(root, "nightly"));
        (void)kl_json_int(kl_json_member(root, "changes_per_second"), &ret->changes_per_second);
    }
    kl_json_free(json);
}

/* ---- tenants ---- */

/* After this one. ret_done: it was the last. */
static void tenant_next(struct vault *vault, const struct vault_job *job, struct vault_sweep *sweep,
                        bool *ret_done)
{
    uint64_t next = 0;
    double share = 0;

    sweep->tenants++;
    sweep->phase = VAULT_SWEEP_START;
    sweep->position_bytes = 0;
    memset(&sweep->build, 0, sizeof sweep->build);
    *ret_done = job->tenant != KMS_TENANT_VAULT ||
                !vault_tenants_from(vault, sweep->tenant + 1, &next, &share);
    if (!*ret_done) {
        sweep->tenant = next;
    }
}

static enum kl_status is_over(struct vault *vault, uint64_t tenant, bool *ret, struct kl_err *err)
{
    *ret = false;
    return tenant == KMS_TENANT_VAULT ? KL_OK : vault_tenant_is_gone(vault, tenant, ret, err);
}

/* ---- phases ---- */

/* By night what a verified backup has the successors of, or what has waited long enough. */
static enum kl_status until_of(struct vault *vault, const struct vault_job *job, bool by_night,
                               int64_t *ret_us, struct kl_err *err)
{
    struct vault_row_key key = vault_row_meta(VAULT_META_VERIFIED);
    int64_t waited_us = job->started_us - vault_upkeep_options(vault).sweep_at_latest_us;
    uint64_t verified_us = 0;
    bool there = false;
    enum kl_status status = KL_OK;

    if (!by_night) {
        *ret_us = job->started_us;
        return KL_OK;
    }
    status = vault_sweep_numbers(vault, &key, &verified_us, 1, &there, err);
    if (status == KL_OK) {
        *ret_us = (int64_t)verified_us > waited_us ? (int64_t)verified_us : waited_us;
        *ret_us = *ret_us < 0 ? 0 : *ret_us;
    }
    return status;
}

static enum kl_status begin_tenant(struct vault *vault, const struct vault_job *job, bool nightly,
                                   struct vault_sweep *sweep, struct kl_err *err)
{
    bool unswept = false;
    enum kl_status status = until_of(vault, job, nightly, &sweep->until_us, err);

    if (status == KL_OK) {
        status = vault_sweep_is_unswept(vault, sweep->tenant, &unswept, err);
    }
    if (status == KL_OK) {
        sweep->phase = unswept ? VAULT_SWEEP_BUILD : VAULT_SWEEP_OLD_INDEX;
    }
    return status;
}

/* The tenant is done: its horizon never goes back. */
static enum kl_status end_tenant(struct vault *vault, const struct vault_sweep *sweep,
                                 struct kl_err *err)
{
    struct vault_row_key key = vault_row_horizon(sweep->tenant);
    struct vault_batch *batch = NULL;
    struct vault_commit commit = {.tenant = sweep->tenant, .unsynced = true};
    uint64_t numbers[2] = {0, 0};
    unsigned char bytes[16];
    bool there = false;
    enum kl_status status = vault_sweep_numbers(vault, &key, numbers, 2, &there, err);

    if (status != KL_OK) {
        return status;
    }
    batch = vault_batch_new();
    if (batch == NULL) {
        return kl_fail_memory(err);
    }
    if (numbers[0] < (uint64_t)sweep->until_us) {
        numbers[0] = (uint64_t)sweep->until_us;
    }
    kl_put_u64be(bytes, numbers[0]);
    kl_put_u64be(bytes + 8, (uint64_t)kl_time_now_us());
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(bytes, sizeof bytes));
    commit.batch = batch;
    status = vault_commit_submit(vault->committer, &commit, err);
    vault_batch_free(batch);
    return status;
}

/* Wait as long as the piece may take at that rate, when it took less. */
static void keep_rate(int64_t per_second, size_t changes, int64_t begun_us)
{
    int64_t left_us = 0;
    struct timespec left;

    if (per_second <= 0 || changes == 0) {
        return;
    }
    left_us =
        (int64_t)changes * KL_TIME_SECOND_US / per_second - (kl_time_monotonic_us() - begun_us);
    if (left_us > 0) {
        left.tv_sec = (time_t)(left_us / KL_TIME_SECOND_US);
        left.tv_nsec = (long)(left_us % KL_TIME_SECOND_US) * 1000;
        (void)nanosleep(&left, NULL);
    }
}

static enum kl_status shred_piece(struct vault *vault, const struct vault_job *job,
                                  const struct vault_sweep_terms *terms, struct vault_sweep *sweep,
                                  bool *ret_done, struct kl_err *err)
{
    struct vault_sweep_piece *piece = calloc(1, sizeof *piece);
    int64_t begun_us = kl_time_monotonic_us();
    int64_t small = terms->changes_per_second / PIECES_PER_SECOND;
    enum kl_status status = KL_OK;

    if (piece == NULL) {
        return kl_fail_memory(err);
    }
    piece->max = VAULT_SWEEP_CHANGES_MAX;
    if (terms->changes_per_second > 0 && small < VAULT_SWEEP_CHANGES_MAX) {
        piece->max = small < 1 ? 1 : (size_t)small;
    }
    piece->remove = vault_batch_new();
    if (piece->remove == NULL) {
        status = kl_fail_memory(err);
    } else if (sweep->phase == VAULT_SWEEP_OLD_INDEX) {
        status = vault_sweep_old_index(vault, job, sweep, piece, ret_done, err);
    } else {
        status = vault_sweep_values(vault, job, sweep, piece, ret_done, err);
    }
    if (status == KL_OK) {
        keep_rate(terms->changes_per_second, piece->count, begun_us);
    }
    vault_batch_free(piece->remove);
    free(piece);
    return status;
}

/* One piece of the phase at hand. */
static enum kl_status do_piece(struct vault *vault, const struct vault_job *job,
                               const struct vault_sweep_terms *terms, struct vault_sweep *sweep,
                               bool *ret_done, struct kl_err *err)
{
    switch (sweep->phase) {
    case VAULT_SWEEP_START:
        return begin_tenant(vault, job, terms->nightly, sweep, err);
    case VAULT_SWEEP_BUILD:
        return vault_sweep_build(vault, sweep, ret_done, err);
    case VAULT_SWEEP_OLD_INDEX:
    case VAULT_SWEEP_VALUES:
        return shred_piece(vault, job, terms, sweep, ret_done, err);
    case VAULT_SWEEP_ANSWERS:
        return vault_sweep_answers(vault, sweep, ret_done, err);
    case VAULT_SWEEP_PHASES:
        break;
    }
    return kl_fail(err, KL_ERR_INTERNAL, "internal", "the server made a mistake",
                   "a sweep without a phase");
}

static double progress_of(struct vault *vault, const struct vault_job *job,
                          const struct vault_sweep *sweep)
{
    uint64_t number = 0;
    double share = 0;
    double phase = (double)sweep->phase / VAULT_SWEEP_PHASES;

    if (job->tenant != KMS_TENANT_VAULT) {
        return phase;
    }
    (void)vault_tenants_from(vault, sweep->tenant, &number, &share);
    return share;
}

static enum kl_status step(struct vault *vault, struct vault_job *job, bool *ret_done,
                           struct kl_err *err)
{
    struct vault_sweep sweep;
    struct vault_sweep_terms terms;
    bool over = false;
    bool phase_done = false;
    bool done = false;
    enum kl_status status = cursor_read(job, &sweep, err);

    terms_read(job, &terms);
    if (status == KL_OK) {
        status = is_over(vault, sweep.tenant, &over, err);
    }
    if (status == KL_OK && over) {
        tenant_next(vault, job, &sweep, &done);
    } else if (status == KL_OK) {
        status = do_piece(vault, job, &terms, &sweep, &phase_done, err);
    }
    if (status == KL_OK && phase_done && sweep.phase == VAULT_SWEEP_ANSWERS) {
        status = end_tenant(vault, &sweep, err);
        if (status == KL_OK) {
            tenant_next(vault, job, &sweep, &done);
        }
    } else if (status == KL_OK && phase_done) {
        sweep.phase++;
        sweep.position_bytes = 0;
    }
    if (status != KL_OK) {
        return status;
    }
    cursor_write(&sweep, &job->cursor);
    result_write(&sweep, &job->result);
    job->progress = progress_of(vault, job, &sweep);
    *ret_done = done;
    return kl_buf_status(&job->cursor, err);
}

static void show(struct vault *vault, const struct vault_job *job, struct kl_json_out *out)
{
    struct vault_sweep_terms terms;
    const struct vault_tenant *tenant =
        job->tenant == KMS_TENANT_VAULT ? NULL : vault_tenants_by_number(vault, job->tenant);

    terms_read(job, &terms);
    kl_json_add_text(out, "tenant", tenant == NULL ? NULL : tenant->name);
    kl_json_add_bool(out, "nightly", terms.nightly);
    if (terms.changes_per_second > 0) {
        kl_json_add_int(out, "changes_per_second", terms.changes_per_second);
    }
}

const struct vault_job_type vault_sweep_job = {
    .prefix = VAULT_SWEEP_PREFIX, .action = "key_sweep", .step = step, .show = show};
