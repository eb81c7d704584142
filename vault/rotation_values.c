/*
 * Rotation of level "values": the answer to a leak of keys. Everything that a
 * tenant stores about people is sealed anew under fresh keys, subject by
 * subject (values.h), while everybody goes on working; then the index is
 * built anew, and the keys of the old one are shredded. Whoever has all keys
 * of before opens nothing that is stored after it; and no backup of before
 * opens with the keys of after it.
 *
 * First the slots that were not given out yet are renewed (kms_slots_renew), so
 * that nobody who comes later lives under a seed that leaked. Whoever was
 * being made at that moment, with a slot of before, may come into the store
 * when the subjects were gone through: the last slots of before are gone
 * through once more in the end.
 *
 * What stays: the tenant's own slots (signatures; keyed hashes, among them
 * pseudonyms that were given out and must stay what they are; the journal's),
 * which open nothing about a person by themselves; records that an erasure
 * kept; and, counted as left, subjects of whom something does not open.
 */
#include "vault/rotation_values.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/backup.h"
#include "vault/erasure.h"
#include "vault/index_old.h"
#include "vault/rows.h"
#include "vault/subject_build.h"
#include "vault/tenants.h"

#include <stdlib.h>
#include <string.h>

#define CURSOR_FORMAT 1
/* How many who were being made at once may have a slot of before; far more than requests there can be. */
#define LATE_SLOTS 8192
/* A verified backup that is this young is enough. */
#define BACKUP_AGE_US (INT64_C(86400) * 1000000)

enum phase {
    PHASE_TENANT,   /* the next tenant begins: its unused slots are renewed */
    PHASE_SUBJECTS, /* from slot on, below end */
    PHASE_INDEX,    /* an index of an epoch not below `epoch` is wanted */
    PHASE_BUILD,    /* one is being built, from slot on */
    PHASE_OLD,      /* what there was is shredded */
    PHASE_LATE,     /* subjects from slot on, below end, once more */
    PHASES
};

struct cursor {
    enum phase phase;
    uint64_t tenant;
    uint64_t slot;
    uint64_t late; /* where PHASE_LATE begins */
    uint64_t end;
    uint32_t epoch;
    uint64_t subjects;
    uint64_t left;
    uint64_t from_generation;
};

/* ---- asking ---- */

enum kl_status vault_rotation_values_check(struct vault *vault, int64_t now_us, struct kl_err *err)
{
    struct vault_row_key key = vault_row_meta(VAULT_META_VERIFIED);
    int64_t verified_us = 0;
    struct kl_buf row;
    enum kl_status status = KL_OK;

    kl_buf_init(&row, 64);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, err);
    if (status == KL_OK && row.size == 8) {
        verified_us = (int64_t)kl_get_u64be(row.bytes);
    } else if (status == KL_ERR_NOT_FOUND) {
        kl_err_clear(err);
        status = KL_OK;
    }
    kl_buf_done(&row);
    if (status == KL_OK && now_us - verified_us > BACKUP_AGE_US) {
        return kl_fail(
            err, KL_ERR_CONFLICT, "backup_needed",
            "backups of before this do not open after it: make one and verify it first, or say without_backup",
            NULL);
    }
    return status;
}

/* ---- the cursor ---- */

/* False: it is damaged, or there is none yet. */
static bool cursor_read(const struct vault_job *job, struct cursor *ret)
{
    struct kl_reader in = kl_reader_of(kl_buf_slice(&job->cursor));
    unsigned char format = kl_read_byte(&in);
    unsigned char phase = kl_read_byte(&in);
    struct cursor cursor = {.tenant = kl_read_u64be(&in)};

    cursor.slot = kl_read_u64be(&in);
    cursor.late = kl_read_u64be(&in);
    cursor.end = kl_read_u64be(&in);
    cursor.epoch = kl_read_u32be(&in);
    cursor.subjects = kl_read_u64be(&in);
    cursor.left = kl_read_u64be(&in);
    cursor.from_generation = kl_read_u64be(&in);
    if (!kl_reader_done(&in) || format != CURSOR_FORMAT || phase >= PHASES) {
        return false;
    }
    cursor.phase = (enum phase)phase;
    *ret = cursor;
    return true;
}

/* done: what is shown of it from then on is the result alone. */
static enum kl_status cursor_write(struct vault *vault, const struct cursor *cursor, bool done,
                                   struct vault_job *job, struct kl_err *err)
{
    struct kl_json_out out;
    struct kms_state state;
    enum kl_status status = KL_OK;

    kl_buf_clear(&job->cursor);
    kl_buf_add_byte(&job->cursor, CURSOR_FORMAT);
    kl_buf_add_byte(&job->cursor, (unsigned char)cursor->phase);
    kl_buf_add_u64be(&job->cursor, cursor->tenant);
    kl_buf_add_u64be(&job->cursor, cursor->slot);
    kl_buf_add_u64be(&job->cursor, cursor->late);
    kl_buf_add_u64be(&job->cursor, cursor->end);
    kl_buf_add_u32be(&job->cursor, cursor->epoch);
    kl_buf_add_u64be(&job->cursor, cursor->subjects);
    kl_buf_add_u64be(&job->cursor, cursor->left);
    kl_buf_add_u64be(&job->cursor, cursor->from_generation);
    status = kl_buf_status(&job->cursor, err);
    kl_buf_clear(&job->result);
    out = kl_json_out(&job->result);
    kl_json_object_begin(&out);
    kl_json_add_int(&out, "subjects", (int64_t)cursor->subjects);
    kl_json_add_int(&out, "left", (int64_t)cursor->left);
    kl_json_add_bool(&out, "older_backups_open", false);
    if (done) {
        kms_state(vault->keys, &state);
        kl_json_add_int(&out, "from_generation", (int64_t)cursor->from_generation);
        kl_json_add_int(&out, "to_generation", (int64_t)state.generation);
        kl_json_add_bool(&out, "old_key_out_of_use",
                         cursor->left == 0 && state.generation > cursor->from_generation);
    }
    kl_json_object_end(&out);
    return status == KL_OK ? kl_buf_status(&job->result, err) : status;
}

/* How far one tenant is: most of the time goes into sealing. */
static double part_done(const struct cursor *cursor)
{
    double through = cursor->end == 0 ? 0 : (double)cursor->slot / (double)cursor->end;

    switch (cursor->phase) {
    case PHASE_TENANT:
        return 0;
    case PHASE_SUBJECTS:
        return 0.7 * through;
    case PHASE_INDEX:
        return 0.7;
    case PHASE_BUILD:
        return 0.7 + 0.25 * (through > 1 ? 1 : through);
    case PHASE_OLD:
    case PHASE_LATE:
    case PHASES:
        break;
    }
    return 0.95;
}

/* ---- tenants ---- */

/* The tenant with the lowest number above, or that one number alone. False: no more. */
static bool tenant_next(struct vault *vault, const struct vault_job *job, uint64_t above,
                        uint64_t *ret_tenant)
{
    const struct vault_tenant *next = NULL;

    if (job->tenant != KMS_TENANT_VAULT) {
        *ret_tenant = job->tenant;
        return above < job->tenant;
    }
    next = vault_tenants_next(vault, above);
    if (next != NULL) {
        *ret_tenant = next->number;
    }
    return next != NULL;
}

/* ---- a tenant begins ---- */

static enum kl_status slots_renew(struct vault *vault, const struct vault_job *job, uint64_t tenant,
                                  uint64_t *ret_from, struct kl_err *err)
{
    struct vault_erasing *erasing = calloc(1, sizeof *erasing);
    struct kms_request request = {.changes = NULL};
    struct kl_buf text;
    enum kl_status status = KL_OK;

    if (erasing == NULL) {
        return kl_fail_memory(err);
    }
    erasing->note.tenant = tenant;
    kl_buf_init(&text, KMS_NOTE_MAX_BYTES);
    status = vault_rotation_note_fill(job, erasing, &text, &request, err);
    if (status == KL_OK) {
        status = kms_slots_renew(vault->keys, tenant, &request, ret_from, err);
    }
    kl_buf_done(&text);
    free(erasing);
    return status;
}

static enum kl_status tenant_begin(struct vault *vault, const struct vault_job *job,
                                   struct cursor *cursor, bool *ret_done, struct kl_err *err)
{
    uint64_t tenant = 0;
    uint64_t used = 0;
    uint64_t from = 0;
    enum kl_status status = KL_OK;

    if (!tenant_next(vault, job, cursor->tenant, &tenant)) {
        *ret_done = true;
        return KL_OK;
    }
    status = kms_slot_mark(vault->keys, tenant, &used, err);
    if (status == KL_OK) {
        status = slots_renew(vault, job, tenant, &from, err);
    }
    if (status == KL_OK) {
        cursor->tenant = tenant;
        cursor->phase = PHASE_SUBJECTS;
        cursor->slot = 0;
        cursor->late = used > LATE_SLOTS ? used - LATE_SLOTS : 0;
        cursor->end = from;
    }
    return status;
}

/* ---- subjects ---- */

static enum kl_status subjects_step(struct vault *vault, const struct vault_job *job,
                                    struct cursor *cursor, struct kl_err *err)
{
    bool late = cursor->phase == PHASE_LATE;
    struct vault_rotation_chunk chunk = {
        .tenant = cursor->tenant, .slot = cursor->slot, .end = cursor->end};
    enum kl_status status = vault_rotation_chunk(vault, job, &chunk, err);

    if (status != KL_OK) {
        return status;
    }
    cursor->slot = chunk.slot;
    cursor->subjects += late ? 0 : chunk.subjects;
    cursor->left += late ? 0 : chunk.left;
    if (chunk.ended) {
        cursor->phase = late ? PHASE_TENANT : PHASE_INDEX;
        cursor->epoch = 0;
    }
    return KL_OK;
}

/* ---- the index ---- */

struct index_act {
    struct vault *vault;
    uint64_t tenant;
    enum kl_status (*call)(struct vault_index_store *index, uint64_t tenant,
                           struct vault_batch *batch, struct kl_err *err);
};

static enum kl_status index_inside(void *context, struct vault_batch *batch, struct kl_err *err)
{
    const struct index_act *act = context;

    return act->call(act->vault->index, act->tenant, batch, err);
}

static enum kl_status index_commit(struct index_act *act, struct kl_err *err)
{
    struct vault_commit commit = {
        .tenant = act->tenant, .inside = index_inside, .inside_context = act};

    return vault_commit_submit(act->vault->committer, &commit, err);
}

/*
 * The index in use in the end is one that was begun after the subjects were sealed anew: one that was being built before is finished, and
 * replaced once more.
 */
static enum kl_status index_step(struct vault *vault, struct cursor *cursor, struct kl_err *err)
{
    struct index_act act = {vault, cursor->tenant, vault_index_build_begin};
    struct vault_index_epochs epochs = {0};
    enum kl_status status = vault_index_epochs(vault->index, cursor->tenant, &epochs, err);

    if (status != KL_OK) {
        return status;
    }
    if (cursor->epoch == 0) {
        cursor->epoch = epochs.last_epoch + 1;
    }
    if (epochs.epoch >= cursor->epoch) {
        cursor->phase = PHASE_OLD;
        return KL_OK;
    }
    if (epochs.next_epoch == 0) {
        status = index_commit(&act, err);
    }
    cursor->slot = 0;
    cursor->phase = PHASE_BUILD;
    return status;
}

static enum kl_status build_step(struct vault *vault, struct cursor *cursor, struct kl_err *err)
{
    struct index_act act = {vault, cursor->tenant, vault_index_build_end};
    struct vault_subject_build build = {.next_slot = cursor->slot};
    bool done = false;
    enum kl_status status = vault_subject_build(vault, cursor->tenant, &build, &done, err);

    cursor->slot = build.next_slot;
    if (status == KL_OK && done) {
        status = index_commit(&act, err);
        cursor->phase = PHASE_INDEX;
    }
    if (status == KL_ERR_CONFLICT) { /* ended by a step that is being repeated */
        kl_err_clear(err);
        cursor->phase = PHASE_INDEX;
        status = KL_OK;
    }
    return status;
}

static enum kl_status old_apply(struct vault *vault, uint64_t tenant, struct vault_batch *remove,
                                struct kl_err *err)
{
    struct vault_commit commit = {.tenant = tenant, .batch = remove};

    return vault_commit_submit(vault->committer, &commit, err);
}

static enum kl_status old_shred(struct vault *vault, const struct vault_job *job,
                                const struct vault_index_old *old, uint64_t tenant,
                                struct kl_err *err)
{
    struct kms_change *changes = calloc(old->count, sizeof *changes);
    struct vault_erasing *erasing = calloc(1, sizeof *erasing);
    enum kl_status status = KL_OK;
    size_t i;

    if (changes == NULL || erasing == NULL) {
        status = kl_fail_memory(err);
    }
    for (i = 0; status == KL_OK && i < old->count; i++) {
        changes[i].kind = KMS_CHANGE_SHRED;
        changes[i].place.tenant = tenant;
        changes[i].place.slot = old->slots[i];
        changes[i].place.value = KMS_VALUE_NONE;
    }
    if (status == KL_OK) {
        erasing->note.tenant = tenant;
        status = vault_rotation_note_commit(vault, job, erasing, changes, old->count, err);
    }
    free(changes);
    free(erasing);
    return status;
}

static enum kl_status old_step(struct vault *vault, const struct vault_job *job,
                               struct cursor *cursor, struct kl_err *err)
{
    struct vault_index_old *old = calloc(1, sizeof *old);
    enum kl_status status = KL_OK;
    bool any = false;

    if (old == NULL || (old->remove = vault_batch_new()) == NULL) {
        free(old);
        return kl_fail_memory(err);
    }
    old->max = VAULT_INDEX_OLD_MAX;
    status = vault_index_old_next(vault->data_store, cursor->tenant, old, &any, err);
    if (status == KL_OK && any && old->count > 0) {
        status = old_shred(vault, job, old, cursor->tenant, err);
    }
    if (status == KL_OK && any) {
        status = old_apply(vault, cursor->tenant, old->remove, err);
    }
    if (status == KL_OK && !any) {
        cursor->phase = PHASE_LATE;
        cursor->slot = cursor->late;
    }
    vault_batch_free(old->remove);
    free(old);
    return status;
}

/* ---- the step ---- */

void vault_rotation_values_show(const struct vault_job *job, struct kl_json_out *out)
{
    struct cursor cursor;

    if (cursor_read(job, &cursor)) {
        kl_json_add_int(out, "from_generation", (int64_t)cursor.from_generation);
    }
}

static enum kl_status cursor_begin(struct vault *vault, const struct vault_job *job,
                                   struct cursor *ret, struct kl_err *err)
{
    struct kms_state state;

    if (job->cursor.size > 0) {
        return cursor_read(job, ret)
                   ? KL_OK
                   : kl_fail(err, KL_ERR_CORRUPT, "job_damaged", "a job is damaged", NULL);
    }
    kms_state(vault->keys, &state);
    memset(ret, 0, sizeof *ret);
    ret->from_generation = state.generation;
    return KL_OK;
}

enum kl_status vault_rotation_values_step(struct vault *vault, struct vault_job *job,
                                          const struct vault_rotation *rotation, bool *ret_done,
                                          struct kl_err *err)
{
    struct cursor cursor;
    bool done = false;
    enum kl_status status = cursor_begin(vault, job, &cursor, err);

    (void)rotation;
    if (status != KL_OK) {
        return status;
    }
    switch (cursor.phase) {
    case PHASE_TENANT:
        status = tenant_begin(vault, job, &cursor, &done, err);
        break;
    case PHASE_SUBJECTS:
    case PHASE_LATE:
        status = subjects_step(vault, job, &cursor, err);
        break;
    case PHASE_INDEX:
        status = index_step(vault, &cursor, err);
        break;
    case PHASE_BUILD:
        status = build_step(vault, &cursor, err);
        break;
    case PHASE_OLD:
    case PHASES:
        status = old_step(vault, job, &cursor, err);
        break;
    }
    if (status == KL_OK) {
        job->progress = done ? 1.0 : part_done(&cursor);
        status = cursor_write(vault, &cursor, done, job, err);
    }
    if (status == KL_OK) {
        *ret_done = done;
    }
    return status;
}
