/* What an erasure keeps: numbers, rows and changes of the records that are held. */
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

static void describe(const struct vault_subject *subject,
                     const struct vault_manifest_record *record, const unsigned char *secret,
                     struct vault_note_retained *ret)
{
    ret->until_us = record->hold_until_us;
    (void)snprintf(ret->basis, sizeof ret->basis, "%s", record->hold_basis);
    if (secret != NULL) {
        vault_receipt_commit(secret, &subject->base.subject, &record->id, ret->commitment);
    }
}

enum kl_status vault_retained_keep(struct vault *vault, struct vault_subject *subject,
                                   int64_t now_us, const unsigned char *secret,
                                   struct vault_note *note,
                                   struct kl_id ret_records[VAULT_HOLDS_MAX],
                                   struct kms_change *changes, size_t *change_count,
                                   struct kl_err *err)
{
    enum kl_status status = KL_OK;
    const struct vault_manifest_record *records[VAULT_HOLDS_MAX];
    size_t count = 0;
    size_t i;
    size_t k;

    for (i = 0; status == KL_OK && i < subject->head.record_count; i++) {
        if (subject->records[i].gone || !vault_record_is_held(&subject->records[i], now_us)) {
            continue;
        }
        if (count == VAULT_HOLDS_MAX) {
            return kl_fail(err, KL_ERR_TOO_LARGE, "too_many_holds",
                           "this subject has more held records than can be kept", NULL);
        }
        records[count] = &subject->records[i];
        ret_records[count] = records[count]->id;
        describe(subject, records[count], secret, &note->retained[count]);
        status = vault_head_value_take(vault, &subject->head, &note->retained[count].value, err);
        keep(subject, note->retained[count].value, changes, change_count);
        for (k = 0; k < records[count]->field_count; k++) {
            keep(subject, records[count]->fields[k].value, changes, change_count);
        }
        count++;
    }
    note->retained_count = count;
    if (status == KL_OK && count > 0) {
        status = put_head(vault, subject, err);
    }
    if (status == KL_OK && count > 0) {
        status =
            vault_retained_write(vault, subject, &note->id, records, note->retained, count, err);
    }
    return status;
}

void vault_retained_undo(struct vault *vault, const struct vault_note *note)
{
    struct vault_retained retained = {
        .tenant = note->tenant, .slot = note->slot, .receipt = note->id};
    bool stale = false;
    size_t i;

    if (note->retained_count == 0 ||
        vault_retained_is_stale(vault, note->tenant, note->slot, &stale, NULL) != KL_OK || !stale) {
        return;
    }
    for (i = 0; i < note->retained_count; i++) {
        retained.note.value = note->retained[i].value;
        if (vault_retained_forget(vault, &retained, NULL) != KL_OK) {
            return; /* they go when the hold is over */
        }
    }
}
