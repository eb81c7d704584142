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
#include "vault/rotation.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/backup.h"
#include "vault/erasure.h"
#include "vault/index_old.h"
#include "vault/rows.h"
#include "vault/subject_build.h"
#include "vault/tenants.h"
#include "vault/values.h"

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
    bool found = false;
    size_t i;

    if (job->tenant != KMS_TENANT_VAULT) {
        *ret_tenant = job->tenant;
        return above < job->tenant;
    }
    (void)pthread_rwlock_rdlock(&vault->tenants.lock);
    for (i = 0; i < vault->tenants.count && !found; i++) {
        if (vault->tenants.items[i]->number > above) {
            *ret_tenant = vault->tenants.items[i]->number;
            found = true;
        }
    }
    (void)pthread_rwlock_unlock(&vault->tenants.lock);
    return found;
}

/* ---- key commits ---- */

/* The note into text, and all of it into request. */
static enum kl_status note_fill(const struct vault_job *job, struct vault_erasing *erasing,
                                struct kl_buf *text, struct kms_request *request,
                                struct kl_err *err)
{
    enum kl_status status = KL_OK;

    erasing->note.kind = VAULT_NOTE_VALUES;
    erasing->note.id = job->id;
    erasing->note.at_us = kl_time_now_us();
    memcpy(erasing->note.role, "vault", sizeof "vault");
    status = vault_note_encode(&erasing->note, text, err);
    request->note = text->bytes;
    request->note_bytes = text->size;
    request->work = erasing;
    return status;
}

static enum kl_status note_commit(struct vault *vault, const struct vault_job *job,
                                  struct vault_erasing *erasing, const struct kms_change *changes,
                                  size_t count, struct kl_err *err)
{
    struct kms_request request = {.changes = changes, .changes_count = count};
    struct kl_buf text;
    enum kl_status status = KL_OK;

    kl_buf_init(&text, KMS_NOTE_MAX_BYTES);
    status = note_fill(job, erasing, &text, &request, err);
    if (status == KL_OK) {
        status = kms_commit(vault->keys, &request, err);
    }
    kl_buf_done(&text);
    return status;
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
    status = note_fill(job, erasing, &text, &request, err);
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

struct chunk {
    struct vault_values values;
    uint64_t held[VAULT_VALUES_SUBJECTS_MAX]; /* marked dying, and taken in */
    uint64_t next;                            /* where the next chunk begins */
    uint64_t left;
    bool ended; /* there are no more heads */
};

/* Mark one and take it in. ret_full: it is for the next chunk, because somebody is erasing it. */
static enum kl_status take(struct chunk *chunk, struct vault *vault, uint64_t slot, bool *ret_full,
                           struct kl_err *err)
{
    uint64_t tenant = chunk->values.tenant;
    struct kl_err cause = {0};
    enum kl_status status = vault_commit_dying_begin(vault->committer, tenant, slot, &cause);

    if (status == KL_ERR_GONE) {
        *ret_full = true;
        return chunk->values.count > 0
                   ? KL_OK
                   : kl_fail(err, KL_ERR_BUSY, "subject_busy", "somebody is being erased", NULL);
    }
    if (status == KL_OK) {
        status = vault_values_read(&chunk->values, slot, &cause);
        if (status == KL_OK) {
            chunk->held[chunk->values.count - 1] = slot;
            return KL_OK;
        }
        vault_commit_dying_end(vault->committer, tenant, slot);
    }
    if (status == KL_ERR_CORRUPT || status == KL_ERR_TOO_LARGE) {
        kl_log(KL_LOG_WARNING, "subject_not_sealed_anew", KL_LOG_INT("tenant", tenant),
               KL_LOG_INT("slot", slot), KL_LOG_TEXT("code", cause.code));
        chunk->left++;
        return KL_OK;
    }
    return status == KL_ERR_NOT_FOUND
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

static enum kl_status chunk_fill(struct chunk *chunk, struct vault *vault,
                                 const struct cursor *cursor, struct kl_err *err)
{
    struct vault_row_key first = vault_row_head(cursor->tenant, cursor->slot);
    struct vault_row_key past = vault_row_head(cursor->tenant, cursor->end);
    struct vault_iter *iter =
        vault_iter_new(vault->data_store, vault_row_slice(&first), vault_row_slice(&past), false);
    enum kl_status status = KL_OK;
    struct kl_slice key;
    struct kl_slice row;
    uint64_t slot = 0;
    bool full = false;

    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    chunk->next = cursor->slot;
    while (status == KL_OK && !full && vault_iter_next(iter, &key, &row)) {
        slot = kl_get_u64be(key.bytes + key.size - 8);
        status = take(chunk, vault, slot, &full, err);
        if (status == KL_OK && !full) {
            chunk->next = slot + 1;
            full = chunk->values.count == VAULT_VALUES_SUBJECTS_MAX ||
                   chunk->values.bytes >= VAULT_VALUES_BYTES_ENOUGH;
        }
    }
    chunk->ended = !full;
    if (status == KL_OK) {
        status = vault_iter_status(iter, err);
    }
    vault_iter_free(iter);
    return status;
}

static enum kl_status chunk_commit(struct chunk *chunk, struct vault *vault,
                                   const struct vault_job *job, struct kl_err *err)
{
    struct kms_change changes[VAULT_VALUES_SUBJECTS_MAX];
    struct vault_erasing *erasing = calloc(1, sizeof *erasing);
    size_t count = chunk->values.count;
    enum kl_status status = KL_OK;
    size_t i;

    if (erasing == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < count; i++) {
        changes[i].kind = KMS_CHANGE_REKEY;
        changes[i].place.tenant = chunk->values.tenant;
        changes[i].place.slot = chunk->held[i];
        changes[i].place.value = KMS_VALUE_NONE;
    }
    erasing->values = &chunk->values;
    erasing->note.tenant = chunk->values.tenant;
    erasing->note.slot = chunk->held[0];
    erasing->note.record = chunk->held[count - 1];
    erasing->note.records = (uint32_t)count;
    vault_rekeying_begin(vault, chunk->values.tenant, chunk->held, count);
    status = note_commit(vault, job, erasing, changes, count, err);
    vault_rekeying_end(vault);
    free(erasing);
    return status;
}

static enum kl_status subjects_step(struct vault *vault, const struct vault_job *job,
                                    struct cursor *cursor, struct kl_err *err)
{
    struct chunk *chunk = calloc(1, sizeof *chunk);
    enum kl_status status = KL_OK;
    size_t i;

    if (chunk == NULL) {
        return kl_fail_memory(err);
    }
    status = vault_values_init(&chunk->values, vault, cursor->tenant, err);
    if (status == KL_OK) {
        status = chunk_fill(chunk, vault, cursor, err);
    }
    if (status == KL_OK && chunk->values.count > 0) {
        status = chunk_commit(chunk, vault, job, err);
    }
    for (i = 0; i < chunk->values.count; i++) {
        vault_commit_dying_end(vault->committer, cursor->tenant, chunk->held[i]);
    }
    if (status == KL_OK) {
        cursor->subjects += cursor->phase == PHASE_LATE ? 0 : chunk->values.count;
        cursor->left += cursor->phase == PHASE_LATE ? 0 : chunk->left;
        cursor->slot = chunk->next;
        if (chunk->ended) {
            cursor->phase = cursor->phase == PHASE_LATE ? PHASE_TENANT : PHASE_INDEX;
            cursor->epoch = 0;
        }
    }
    vault_values_done(&chunk->values);
    free(chunk);
    return status;
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
        status = note_commit(vault, job, erasing, changes, old->count, err);
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
