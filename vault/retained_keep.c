/* What an erasure keeps: numbers, rows and changes of the records that are held. */
#include "kluis/base/log.h"
#include "vault/receipt.h"
#include "vault/retained.h"
#include "vault/rows.h"

#include <stdio.h>

/* The numbers that lead to the records from now on must not be used again, whatever comes of this erasure. */
static enum kl_status put_head(struct vault *vault, struct vault_subject *subject,
                               struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = vault_row_head(subject->tenant, subject->slot);
    struct vault_commit commit = {.tenant = subject->tenant};
    struct vault_batch *batch = vault_batch_new();
    struct kl_buf row;

    if (batch == NULL) {
        return kl_fail_memory(err);
    }
    kl_buf_init(&row, VAULT_STORE_VALUE_MAX_BYTES);
    subject->head.version++;
    status = vault_head_encode(&subject->head, &row, err);
    if (status == KL_OK) {
        vault_batch_put(batch, vault_row_slice(&key), kl_buf_slice(&row));
        commit.batch = batch; /* nobody else changes the head of who is marked dying */
        status = vault_commit_submit(vault->committer, &commit, err);
    }
    kl_buf_done(&row);
    vault_batch_free(batch);
    return status;
}

static void keep(const struct vault_subject *subject, uint64_t value, struct kms_change *changes,
                 size_t *change_count)
{
    struct kms_change *change = &changes[(*change_count)++];

    change->kind = KMS_CHANGE_KEEP;
    change->place.tenant = subject->tenant;
    change->place.slot = subject->slot;
    change->place.value = value;
}

/* Take a line's number, and describe it. */
static enum kl_status line_take(struct vault *vault, struct vault_subject *subject,
                                const struct vault_kept *line, const unsigned char *secret,
                                const struct vault_note *note, struct vault_retained *ret,
                                struct kl_err *err)
{
    ret->tenant = subject->tenant;
    ret->slot = subject->slot;
    ret->receipt = note->id;
    ret->until_us = line->until_us;
    (void)snprintf(ret->basis, sizeof ret->basis, "%s", line->basis);
    if (secret != NULL) {
        kl_receipt_commit(secret, &subject->base.subject, &subject->records[line->record].id,
                          ret->commitment);
    }
    return vault_head_value_take(vault, &subject->head, &ret->value, err);
}

/* The fields of records that have lines: what the subject was narrowed to. */
static void keep_fields(const struct vault_subject *subject, const struct vault_kept *kept,
                        size_t count, struct kms_change *changes, size_t *change_count)
{
    size_t i;
    size_t k;

    for (i = 0; i < count; i++) {
        const struct vault_manifest_record *record = &subject->records[kept[i].record];

        for (k = 0; (i == 0 || kept[i].record != kept[i - 1].record) && k < record->field_count;
             k++) {
            keep(subject, record->fields[k].value, changes, change_count);
        }
    }
}

enum kl_status vault_retained_keep(struct vault *vault, struct vault_subject *subject,
                                   const struct vault_kept *kept, size_t count,
                                   const unsigned char *secret, struct kl_arena *arena,
                                   struct vault_note *note, struct kms_change *changes,
                                   size_t *change_count, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_retained *rows = kl_arena_array(arena, count, sizeof *rows);
    size_t i;

    if (rows == NULL) {
        return kl_fail_memory(err);
    }
    note->retained = (uint32_t)count;
    for (i = 0; status == KL_OK && i < count; i++) {
        status = line_take(vault, subject, &kept[i], secret, note, &rows[i], err);
        keep(subject, rows[i].value, changes, change_count);
    }
    keep_fields(subject, kept, count, changes, change_count);
    if (status == KL_OK) {
        status = put_head(vault, subject, err);
    }
    return status == KL_OK ? vault_retained_write(vault, subject, kept, rows, count, err) : status;
}

void vault_retained_undo(struct vault *vault, const struct vault_note *note)
{
    struct kl_err err = {0};

    if (note->retained > 0 &&
        vault_retained_tidy(vault, note->tenant, note->slot, false, &err) != KL_OK) {
        kl_log_err(KL_LOG_WARNING, "retained_rows_left", &err); /* they go at the next open */
    }
}
