/* What happens inside a key commit, and what is left to do of one at open. */
#include "vault/erasure.h"

#include "kluis/base/log.h"
#include "vault/aside.h"
#include "vault/fail_stop.h"
#include "vault/files.h"
#include "vault/mirrors.h"
#include "vault/receipt.h"
#include "vault/retained.h"
#include "vault/rows.h"
#include "vault/tenants.h"
#include "vault/values.h"
#include "vault/waiting.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void put_number(struct vault_batch *batch, const char *name, uint64_t number)
{
    struct vault_row_key key = vault_row_meta(name);
    unsigned char bytes[8];

    kl_put_u64be(bytes, number);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(bytes, sizeof bytes));
}

/* ---- prepare ---- */

struct preparing {
    struct vault *vault;
    struct kms_staged *staged;
    uint64_t generation;
    struct kms_place *dying;
    size_t dying_count;
};

static enum kl_status prepare_inside(void *context, struct vault_batch *batch, struct kl_err *err)
{
    struct preparing *preparing = context;

    put_number(batch, VAULT_META_PREPARED, preparing->generation);
    return vault_index_stage(preparing->vault->index, preparing->staged, preparing->dying,
                             preparing->dying_count, batch, err);
}

/* Not synced: were these rows lost while the key commit is kept, "prepared" would say so at the next open, and the index is built anew. */
static enum kl_status prepare(void *context, struct kms_staged *staged, uint64_t generation,
                              struct kms_request **requests, size_t count, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct preparing preparing = {.vault = context, .staged = staged, .generation = generation};
    struct vault_commit commit = {.tenant = KMS_TENANT_VAULT, .unsynced = true};
    size_t room = 1;
    size_t i;

    for (i = 0; i < count; i++) {
        room += requests[i]->work == NULL
                    ? 0
                    : ((const struct vault_erasing *)requests[i]->work)->dying_count;
    }
    preparing.dying = calloc(room, sizeof *preparing.dying);
    if (preparing.dying == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < count; i++) {
        const struct vault_erasing *erasing = requests[i]->work;

        if (erasing != NULL && erasing->dying_count > 0) {
            memcpy(preparing.dying + preparing.dying_count, erasing->dying,
                   erasing->dying_count * sizeof *erasing->dying);
            preparing.dying_count += erasing->dying_count;
        }
    }
    for (i = 0; status == KL_OK && i < count; i++) {
        const struct vault_erasing *erasing = requests[i]->work;

        if (erasing != NULL && erasing->values != NULL) {
            status = vault_values_stage(erasing->values, staged, err);
        }
    }
    if (status != KL_OK) {
        goto out;
    }
    commit.inside = prepare_inside;
    commit.inside_context = &preparing;
    status = vault_commit_submit(preparing.vault->committer, &commit, err);
    if (status != KL_OK) {
        vault_index_published(preparing.vault->index, false);
    }

out:
    free(preparing.dying);
    return status;
}

static void publish(void *context, uint64_t generation)
{
    struct vault *vault = context;

    (void)generation;
    vault_index_published(vault->index, true);
}

/* ---- finish: rows ---- */

static void remove_values(struct vault_batch *batch, const struct vault_note *note,
                          const struct vault_erasing *work)
{
    struct vault_row_key key;
    size_t i;

    for (i = 0; work != NULL && i < work->row_count; i++) {
        key = vault_row_value(note->tenant, note->slot, work->rows[i]);
        vault_batch_remove(batch, vault_row_slice(&key));
        key = vault_row_file(note->tenant, note->slot, work->rows[i]);
        vault_batch_remove(batch, vault_row_slice(&key));
    }
}

/* All rows of values of a slot, of the kind that first is of. */
static void remove_all(struct vault_batch *batch, struct vault_row_key first)
{
    struct vault_row_key prefix = first;
    struct vault_row_key past;

    prefix.size -= 8;
    past = vault_row_past(&prefix);
    vault_batch_remove_range(batch, vault_row_slice(&first), vault_row_slice(&past));
}

static void remove_subject(struct vault_batch *batch, const struct vault_note *note)
{
    struct vault_row_key head = vault_row_head(note->tenant, note->slot);

    vault_batch_remove(batch, vault_row_slice(&head));
    remove_all(batch, vault_row_value(note->tenant, note->slot, 0));
    remove_all(batch, vault_row_file(note->tenant, note->slot, 0));
}

/* The head row without the record. A row that is not there, or has no such record any more, needs nothing. */
static enum kl_status remove_record(struct vault *vault, struct vault_batch *batch,
                                    const struct vault_note *note, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = vault_row_head(note->tenant, note->slot);
    struct kl_arena *arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    struct vault_head head = {0};
    struct kl_buf row;
    struct kl_buf changed;
    size_t at = 0;

    kl_buf_init(&row, VAULT_STORE_VALUE_MAX_BYTES);
    kl_buf_init(&changed, VAULT_STORE_VALUE_MAX_BYTES);
    if (arena == NULL) {
        status = kl_fail_memory(err);
        goto out;
    }
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, err);
    if (status == KL_OK) {
        status = vault_head_decode(kl_buf_slice(&row), arena, &head, err);
    }
    while (status == KL_OK && at < head.record_count && head.records[at].value != note->record) {
        at++;
    }
    if (status == KL_OK && at < head.record_count) {
        memmove(&head.records[at], &head.records[at + 1],
                (head.record_count - at - 1) * sizeof *head.records);
        head.record_count--;
        head.gap_count = 0; /* they went in the same commit (subject_unknown.h) */
        head.version++;
        status = vault_head_encode(&head, &changed, err);
        vault_batch_put(batch, vault_row_slice(&key), kl_buf_slice(&changed));
    } else if (status == KL_ERR_NOT_FOUND) {
        kl_err_clear(err);
        status = KL_OK;
    }

out:
    kl_buf_done(&row);
    kl_buf_done(&changed);
    kl_arena_free(arena);
    return status;
}

/* ---- finish: whose trail ---- */

/*
 * Where the entry and receipt of each note belong: with its tenant, and with the vault when the tenant was ended, in this commit or in a
 * later one; then the tenant has no key to sign with and no trail.
 */
static enum kl_status homes_find(struct vault *vault, const struct vault_note *notes, size_t count,
                                 uint64_t *homes, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    bool gone = false;
    size_t i;

    for (i = 0; status == KL_OK && i < count; i++) {
        homes[i] = notes[i].tenant;
        if (notes[i].tenant != KMS_TENANT_VAULT) {
            status = vault_tenant_is_gone(vault, notes[i].tenant, &gone, err);
            homes[i] = gone ? (uint64_t)KMS_TENANT_VAULT : notes[i].tenant;
        }
    }
    return status;
}

/* ---- finish: one note ---- */

/* A receipt that has to wait for a mirror is written down, to be signed anew when that has followed. */
static void note_unconfirmed(struct vault_batch *batch, uint64_t home, const struct kl_id *receipt,
                             uint64_t generation)
{
    struct vault_row_key key = vault_row_unconfirmed(home, receipt);
    unsigned char bytes[8];

    kl_put_u64be(bytes, generation);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(bytes, sizeof bytes));
}

static enum kl_status finish_receipt(struct vault *vault, const struct vault_note *note,
                                     uint64_t home, const struct vault_audit_entry *entry,
                                     struct vault_erasing *work, uint64_t generation,
                                     struct vault_batch *batch, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = vault_row_receipt(home, &note->id);
    struct vault_mirrors_of of;
    struct kl_buf receipt;

    kl_buf_init(&receipt, VAULT_RECEIPT_MAX_BYTES);
    vault_mirrors_of(vault, generation, &of);
    status = vault_receipt_write(vault, note, home, generation, entry, &of, &receipt, err);
    if (status == KL_OK) {
        vault_batch_put(batch, vault_row_slice(&key), kl_buf_slice(&receipt));
        if (of.pending_count > 0) {
            note_unconfirmed(batch, home, &note->id, generation);
        }
        if (work != NULL) {
            kl_buf_clear(&work->receipt);
            kl_buf_add(&work->receipt, receipt.bytes, receipt.size);
            status = kl_buf_status(&work->receipt, err);
        }
    }
    kl_buf_done(&receipt);
    return status;
}

/* Buckets were rekeyed: which ones tells who guesses until there is a new index. */
static void mark_unswept(struct vault_batch *batch, const struct vault_note *note)
{
    struct vault_row_key key = vault_row_unswept(note->tenant);

    if (note->kind == VAULT_NOTE_SUBJECT || note->kind == VAULT_NOTE_RECORD ||
        note->kind == VAULT_NOTE_PAST || note->kind == VAULT_NOTE_RETAINED) {
        vault_batch_put(batch, vault_row_slice(&key), kl_slice_of("", 0));
    }
}

/* Where nobody can say which rows were to be kept, all stay: what is not kept is noise in them. */
static enum kl_status remove_but_kept(struct vault *vault, const struct vault_note *note,
                                      struct vault_batch *batch, struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status =
        vault_subject_rows_remove(vault, note->tenant, note->slot, batch, &cause);

    if (status == KL_ERR_CORRUPT) {
        kl_log_err(KL_LOG_ERROR, "rows_not_removed", &cause);
        return KL_OK;
    }
    return status == KL_OK
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

/* At open nobody knows any more which values ended: then all go that no line names. */
static enum kl_status remove_ended(struct vault *vault, const struct vault_note *note,
                                   const struct vault_erasing *work, struct vault_batch *batch,
                                   struct kl_err *err)
{
    enum kl_status status = KL_OK;

    remove_values(batch, note, work);
    if (work == NULL) {
        status = remove_but_kept(vault, note, batch, err);
    }
    return status == KL_OK ? vault_retained_tidy(vault, note->tenant, note->slot, false, err)
                           : status;
}

static enum kl_status finish_rows(struct vault *vault, const struct vault_note *note,
                                  const struct vault_erasing *work, struct vault_batch *batch,
                                  struct kl_err *err)
{
    enum kl_status status = KL_OK;

    mark_unswept(batch, note);
    if (note->kind != VAULT_NOTE_STATISTICS) {
        status = vault_waiting_counts(vault, note, err);
    }
    if (status != KL_OK) {
        return status;
    }
    switch (note->kind) {
    case VAULT_NOTE_SUBJECT:
        if (note->retained > 0) {
            return remove_but_kept(vault, note, batch, err);
        }
        remove_subject(batch, note);
        return vault_aside_rows_remove(vault, note->tenant, note->slot, batch, err);
    case VAULT_NOTE_RECORD:
        remove_values(batch, note, work);
        return remove_record(vault, batch, note, err);
    case VAULT_NOTE_PAST:
        remove_values(batch, note, work);
        break;
    case VAULT_NOTE_SWEEP:
        if (work != NULL) {
            vault_batch_append(batch, work->swept);
        }
        break;
    case VAULT_NOTE_TENANT:
        status = vault_tenant_rows_remove(vault, note->tenant, note->name, batch, err);
        return status == KL_OK ? vault_tenant_side_forget(vault, note->tenant, err) : status;
    case VAULT_NOTE_RETAINED:
        return remove_ended(vault, note, work, batch, err);
    case VAULT_NOTE_ROTATION:
    case VAULT_NOTE_CUSTODIAN:
    case VAULT_NOTE_UNKNOWN:
        break;
    case VAULT_NOTE_STATISTICS:
        return vault_waiting_cohort_forget(vault, note->tenant, note->cohort, err);
    case VAULT_NOTE_VALUES:
        return vault_values_swap(vault, note, batch, err);
    }
    return KL_OK;
}

static enum kl_status finish_one(struct vault *vault, const struct vault_note *note, uint64_t home,
                                 struct vault_erasing *work, uint64_t generation,
                                 struct vault_batch *batch, struct vault_act *act,
                                 struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (home == note->tenant || note->kind == VAULT_NOTE_TENANT) {
        status = finish_rows(vault, note, work, batch, err);
    } /* else its rows go with its tenant's */
    if (status == KL_OK) {
        status = vault_erasure_entry(act, vault, note, home, generation, err);
    }
    if (status == KL_OK) {
        status = vault_subject_act_end(act, err);
    }
    if (status == KL_OK && vault_note_has_receipt(note)) {
        act->entry.receipt = &note->id;
        status = finish_receipt(vault, note, home, &act->entry, work, generation, batch, err);
    }
    if (status == KL_OK && note->once && home == note->tenant) {
        status = vault_idempotency_remember_mark(
            vault, &note->mark, note->at_us, kl_slice_of(note->id.bytes, KL_ID_BYTES), batch, err);
    }
    return status;
}

/* ---- finish: commits ---- */

/* What the notes of one generation become, by home. */
struct finishing {
    struct vault *vault;
    uint64_t generation;
    const struct vault_note *notes;
    struct vault_erasing *const *works;
    uint64_t *homes;
    size_t count;
};

/* The notes of one home, all in one commit. last: with the mark that the generation's notes are done, and a sync for all of them. */
static enum kl_status finish_home(const struct finishing *finishing, uint64_t home, bool last,
                                  struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault *vault = finishing->vault;
    size_t count = finishing->count;
    struct vault_act *acts = calloc(count, sizeof *acts);
    struct vault_audit_entry **entries = calloc(count, sizeof *entries);
    struct vault_batch *batch = vault_batch_new();
    struct vault_commit commit = {.tenant = home, .unsynced = !last, .of_keys = true};
    size_t i;

    if (acts == NULL || entries == NULL || batch == NULL) {
        status = kl_fail_memory(err);
        goto out;
    }
    for (i = 0; status == KL_OK && i < count; i++) {
        if (finishing->homes[i] == home) {
            entries[commit.audit_count++] = &acts[i].entry;
            status = finish_one(vault, &finishing->notes[i], home, finishing->works[i],
                                finishing->generation, batch, &acts[i], err);
        }
    }
    if (last) {
        put_number(batch, VAULT_META_NOTED, finishing->generation);
    }
    commit.batch = batch;
    commit.audit = entries;
    if (status == KL_OK) {
        status = vault_commit_submit(vault->committer, &commit, err);
    }
    if (status == KL_OK) {
        atomic_fetch_add_explicit(&vault->counters.audit_entries, commit.audit_count,
                                  memory_order_relaxed);
    }

out:
    for (i = 0; acts != NULL && i < count; i++) {
        vault_act_done(&acts[i]);
    }
    free(acts);
    free(entries);
    vault_batch_free(batch);
    return status;
}

static bool is_first_of_home(const uint64_t *homes, size_t at)
{
    size_t i;

    for (i = 0; i < at; i++) {
        if (homes[i] == homes[at]) {
            return false;
        }
    }
    return true;
}

static enum kl_status tidy_inside(void *context, struct vault_batch *batch, struct kl_err *err)
{
    struct vault *vault = context;

    return vault_index_tidy(vault->index, batch, err);
}

/* For space only, so a failure is no failure of the erasure. */
static void tidy(struct vault *vault)
{
    struct vault_commit commit = {.tenant = KMS_TENANT_VAULT,
                                  .unsynced = true,
                                  .inside = tidy_inside,
                                  .inside_context = vault};
    struct kl_err err = {0};

    if (vault_commit_submit(vault->committer, &commit, &err) != KL_OK) {
        kl_log_err(KL_LOG_WARNING, "index_not_tidied", &err);
    }
}

static enum kl_status finish_homes(const struct finishing *finishing, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t left = 0;
    size_t i;

    for (i = 0; i < finishing->count; i++) {
        left += is_first_of_home(finishing->homes, i) ? 1 : 0;
    }
    for (i = 0; status == KL_OK && i < finishing->count; i++) {
        if (is_first_of_home(finishing->homes, i)) {
            left--;
            status = finish_home(finishing, finishing->homes[i], left == 0, err);
        }
    }
    return status;
}

static void drop_tenants(struct vault *vault, const struct vault_note *notes, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (notes[i].kind == VAULT_NOTE_TENANT) {
            vault_tenants_drop(vault, notes[i].tenant);
        }
    }
}

/* Rows went, and files may be of no use any more. */
static void files_changed(struct vault *vault, const struct vault_note *notes, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        bool many = notes[i].kind == VAULT_NOTE_TENANT || notes[i].kind == VAULT_NOTE_VALUES;

        vault_files_changed(vault->files, many ? KMS_SLOT_NONE : notes[i].slot);
    }
}

enum kl_status vault_erasure_finish(struct vault *vault, uint64_t generation,
                                    const struct vault_note *notes,
                                    struct vault_erasing *const *works, size_t count,
                                    struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct finishing finishing = {
        .vault = vault, .generation = generation, .notes = notes, .works = works, .count = count};

    finishing.homes = calloc(count, sizeof *finishing.homes);
    status = finishing.homes == NULL ? kl_fail_memory(err)
                                     : homes_find(vault, notes, count, finishing.homes, err);
    if (status == KL_OK) {
        status = finish_homes(&finishing, err);
    }
    free(finishing.homes);
    if (status == KL_OK) {
        drop_tenants(vault, notes, count);
        files_changed(vault, notes, count);
        tidy(vault);
        status = kms_notes_forget(vault->keys, generation, err);
    }
    return status;
}

/* Only steps: nothing is told, but that no notes are left up to here. */
static enum kl_status steps_finish(struct vault *vault, uint64_t generation, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_batch *batch = vault_batch_new();
    struct vault_commit commit = {.tenant = KMS_TENANT_VAULT, .batch = batch};

    if (batch == NULL) {
        return kl_fail_memory(err);
    }
    put_number(batch, VAULT_META_NOTED, generation);
    status = vault_commit_submit(vault->committer, &commit, err);
    vault_batch_free(batch);
    return status == KL_OK ? kms_notes_forget(vault->keys, generation, err) : status;
}

/* Notes of a commit whose finish failed for want of something are written before those of a later one. */
static enum kl_status finish(void *context, uint64_t generation, struct kms_request **requests,
                             size_t count, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault *vault = context;
    struct vault_note *notes = calloc(count, sizeof *notes);
    struct vault_erasing **works = calloc(count, sizeof *works);
    size_t noted = 0;
    size_t i;

    if (notes == NULL || works == NULL) {
        status = kl_fail_memory(err);
    }
    for (i = 0; status == KL_OK && i < count; i++) {
        struct kl_slice text = kl_slice_of(requests[i]->note, requests[i]->note_bytes);

        if (!vault_note_is_step(text)) {
            works[noted] = requests[i]->work;
            status = vault_note_decode(text, &notes[noted++], err);
        }
    }
    if (status == KL_OK && vault->notes_left) {
        status = vault_erasure_notes_finish(vault, generation, NULL, err);
    }
    if (status == KL_OK) {
        status = noted > 0 ? vault_erasure_finish(vault, generation, notes, works, noted, err)
                           : steps_finish(vault, generation, err);
    }
    vault->notes_left = status != KL_OK;
    free(notes);
    free(works);
    return status;
}

static void fatal(void *context, const struct kl_err *err)
{
    const struct vault *vault = context;

    if (vault->is_open) {
        vault_fail_stop(err);
    }
    kl_log_err(KL_LOG_ERROR, "key_store_failed", err); /* kms takes no more writes */
}

void vault_erasure_hooks_set(struct vault *vault)
{
    struct kms_hooks hooks = {
        .context = vault, .prepare = prepare, .publish = publish, .finish = finish, .fatal = fatal};

    kms_hooks_set(vault->keys, &hooks);
}

/* ---- rotation ---- */

enum kl_status vault_rotation_commit(struct vault *vault, const struct vault_caller *caller,
                                     const struct kl_id *rotation,
                                     const struct vault_idempotency_ticket *ticket,
                                     uint64_t *ret_generation, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_note note = {.kind = VAULT_NOTE_ROTATION,
                              .id = *rotation,
                              .tenant = KMS_TENANT_VAULT,
                              .notify_all = true};
    struct kms_request request = {0};
    struct kl_buf text;

    kl_buf_init(&text, KMS_NOTE_MAX_BYTES);
    vault_note_who(&note, caller);
    vault_note_once(&note, ticket);
    status = vault_note_encode(&note, &text, err);
    request.note = text.bytes;
    request.note_bytes = text.size;
    if (status == KL_OK) {
        status = kms_commit(vault->keys, &request, err);
    }
    if (status == KL_OK) {
        *ret_generation = request.ret_generation;
        atomic_fetch_add_explicit(&vault->counters.rotations, 1, memory_order_relaxed);
    }
    kl_buf_done(&text);
    return status;
}
