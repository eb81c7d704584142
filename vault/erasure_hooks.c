/* What happens inside a key commit, and what is left to do of one at open. */
#include "vault/erasure.h"

#include "kluis/base/log.h"
#include "vault/receipt.h"
#include "vault/rows.h"
#include "vault/tenants.h"

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
    commit.inside = prepare_inside;
    commit.inside_context = &preparing;
    status = vault_commit_submit(preparing.vault->committer, &commit, err);
    if (status != KL_OK) {
        vault_index_published(preparing.vault->index, false);
    }
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
    }
}

static void remove_subject(struct vault_batch *batch, const struct vault_note *note)
{
    struct vault_row_key head = vault_row_head(note->tenant, note->slot);
    struct vault_row_key first = vault_row_value(note->tenant, note->slot, 0);
    struct vault_row_key prefix = first;
    struct vault_row_key past;

    prefix.size -= 8;
    past = vault_row_past(&prefix);
    vault_batch_remove(batch, vault_row_slice(&head));
    vault_batch_remove_range(batch, vault_row_slice(&first), vault_row_slice(&past));
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

/* ---- finish: entries ---- */

static void write_entry(struct vault_act *act, const struct vault_note *note, uint64_t generation)
{
    static const char *const actions[] = {[VAULT_NOTE_SUBJECT] = "erase",
                                          [VAULT_NOTE_RECORD] = "erase_record",
                                          [VAULT_NOTE_PAST] = "sweep",
                                          [VAULT_NOTE_ROTATION] = "key_rotate"};
    char id[KL_ID_TEXT_BYTES];
    struct vault_audit_who who = {
        .credential = &note->credential,
        .role = note->role,
        .request_id = note->request_id,
        .location = vault_country_is_set(note->location) ? note->location.code : NULL,
        .at_us = note->at_us};

    vault_act_begin(act, note->tenant, &who, actions[note->kind]);
    kl_json_add_int(&act->out, "generation", (int64_t)generation);
    if (note->kind == VAULT_NOTE_ROTATION) {
        kl_id_format(VAULT_ROTATION_PREFIX, &note->id, id);
        kl_json_add_text(&act->out, "rotation", id);
        kl_json_add_text(&act->out, "level", "root");
    } else {
        kl_json_add_int(&act->out, "slot", (int64_t)note->slot);
    }
    if (note->record != 0) {
        kl_json_add_int(&act->out, "record", (int64_t)note->record);
    }
    if (note->kind == VAULT_NOTE_SUBJECT || note->kind == VAULT_NOTE_RECORD) {
        kl_id_format("er", &note->id, id);
        kl_json_add_text(&act->out, "receipt", id);
        kl_json_add_text(&act->out, "reason", vault_erase_reason_name(note->reason));
        kl_json_add_int(&act->out, "records", note->records);
        kl_json_add_int(&act->out, "fields", note->fields);
    }
}

static enum kl_status finish_receipt(struct vault *vault, const struct vault_note *note,
                                     struct vault_erasing *work, uint64_t generation,
                                     struct vault_batch *batch, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = vault_row_receipt(note->tenant, &note->id);
    struct kl_buf receipt;

    kl_buf_init(&receipt, VAULT_RECEIPT_MAX_BYTES);
    status = vault_receipt_write(vault, note, generation, &receipt, err);
    if (status == KL_OK) {
        vault_batch_put(batch, vault_row_slice(&key), kl_buf_slice(&receipt));
        if (work != NULL) {
            kl_buf_clear(&work->receipt);
            kl_buf_add(&work->receipt, receipt.bytes, receipt.size);
            status = kl_buf_status(&work->receipt, err);
        }
    }
    kl_buf_done(&receipt);
    return status;
}

static enum kl_status finish_one(struct vault *vault, const struct vault_note *note,
                                 struct vault_erasing *work, uint64_t generation,
                                 struct vault_batch *batch, struct vault_act *act,
                                 struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (note->kind == VAULT_NOTE_SUBJECT) {
        remove_subject(batch, note);
    } else if (note->kind == VAULT_NOTE_RECORD) {
        status = remove_record(vault, batch, note, err);
    }
    remove_values(batch, note, work);
    if (status == KL_OK && (note->kind == VAULT_NOTE_SUBJECT || note->kind == VAULT_NOTE_RECORD)) {
        status = finish_receipt(vault, note, work, generation, batch, err);
    }
    if (status == KL_OK && note->once) {
        status = vault_idempotency_remember_mark(
            vault, &note->mark, note->at_us, kl_slice_of(note->id.bytes, KL_ID_BYTES), batch, err);
    }
    if (status == KL_OK) {
        write_entry(act, note, generation);
        status = vault_subject_act_end(act, err);
    }
    return status;
}

/* ---- finish: commits ---- */

/* The notes of one tenant, all in one commit. last: with the mark that the generation's notes are done, and a sync for all of them. */
static enum kl_status finish_tenant(struct vault *vault, uint64_t generation, uint64_t tenant,
                                    const struct vault_note *notes,
                                    struct vault_erasing *const *works, size_t count, bool last,
                                    struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_act *acts = calloc(count, sizeof *acts);
    struct vault_audit_entry **entries = calloc(count, sizeof *entries);
    struct vault_batch *batch = vault_batch_new();
    struct vault_commit commit = {.tenant = tenant, .unsynced = !last};
    size_t i;

    if (acts == NULL || entries == NULL || batch == NULL) {
        status = kl_fail_memory(err);
        goto out;
    }
    for (i = 0; status == KL_OK && i < count; i++) {
        if (notes[i].tenant == tenant) {
            entries[commit.audit_count++] = &acts[i].entry;
            status = finish_one(vault, &notes[i], works[i], generation, batch, &acts[i], err);
        }
    }
    if (last) {
        put_number(batch, VAULT_META_NOTED, generation);
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

static bool is_first_of_tenant(const struct vault_note *notes, size_t at)
{
    size_t i;

    for (i = 0; i < at; i++) {
        if (notes[i].tenant == notes[at].tenant) {
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

enum kl_status vault_erasure_finish(struct vault *vault, uint64_t generation,
                                    const struct vault_note *notes,
                                    struct vault_erasing *const *works, size_t count,
                                    struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t left = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        left += is_first_of_tenant(notes, i) ? 1 : 0;
    }
    for (i = 0; status == KL_OK && i < count; i++) {
        if (is_first_of_tenant(notes, i)) {
            left--;
            status = finish_tenant(vault, generation, notes[i].tenant, notes, works, count,
                                   left == 0, err);
        }
    }
    if (status == KL_OK) {
        tidy(vault);
        status = kms_notes_forget(vault->keys, generation, err);
    }
    return status;
}

/* Notes of a commit whose finish failed for want of something are written before those of a later one. */
static enum kl_status finish(void *context, uint64_t generation, struct kms_request **requests,
                             size_t count, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault *vault = context;
    struct vault_note *notes = calloc(count, sizeof *notes);
    struct vault_erasing **works = calloc(count, sizeof *works);
    size_t i;

    if (notes == NULL || works == NULL) {
        status = kl_fail_memory(err);
    }
    for (i = 0; status == KL_OK && i < count; i++) {
        works[i] = requests[i]->work;
        status = vault_note_decode(kl_slice_of(requests[i]->note, requests[i]->note_bytes),
                                   &notes[i], err);
    }
    if (status == KL_OK && vault->notes_left) {
        status = vault_erasure_notes_finish(vault, generation, NULL, err);
    }
    if (status == KL_OK) {
        status = vault_erasure_finish(vault, generation, notes, works, count, err);
    }
    vault->notes_left = status != KL_OK;
    free(notes);
    free(works);
    return status;
}

static void fatal(void *context, const struct kl_err *err)
{
    (void)context;
    kl_log_err(KL_LOG_ERROR, "key_store_failed", err);
    abort();
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
