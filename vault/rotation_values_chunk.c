/* A chunk of a rotation of values: subjects held, read, and sealed anew in one key commit. */
#include "vault/rotation_values.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/rows.h"
#include "vault/values.h"

#include <stdlib.h>
#include <string.h>

enum kl_status vault_rotation_note_fill(const struct vault_job *job, struct vault_erasing *erasing,
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

enum kl_status vault_rotation_note_commit(struct vault *vault, const struct vault_job *job,
                                          struct vault_erasing *erasing,
                                          const struct kms_change *changes, size_t count,
                                          struct kl_err *err)
{
    struct kms_request request = {.changes = changes, .changes_count = count};
    struct kl_buf text;
    enum kl_status status = KL_OK;

    kl_buf_init(&text, KMS_NOTE_MAX_BYTES);
    status = vault_rotation_note_fill(job, erasing, &text, &request, err);
    if (status == KL_OK) {
        status = kms_commit(vault->keys, &request, err);
    }
    kl_buf_done(&text);
    return status;
}

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
                                 const struct vault_rotation_chunk *asked, struct kl_err *err)
{
    struct vault_row_key first = vault_row_head(asked->tenant, asked->slot);
    struct vault_row_key past = vault_row_head(asked->tenant, asked->end);
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
    chunk->next = asked->slot;
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
    status = vault_rotation_note_commit(vault, job, erasing, changes, count, err);
    vault_rekeying_end(vault);
    free(erasing);
    return status;
}

enum kl_status vault_rotation_chunk(struct vault *vault, const struct vault_job *job,
                                    struct vault_rotation_chunk *asked, struct kl_err *err)
{
    struct chunk *chunk = calloc(1, sizeof *chunk);
    enum kl_status status = KL_OK;
    size_t i;

    if (chunk == NULL) {
        return kl_fail_memory(err);
    }
    status = vault_values_init(&chunk->values, vault, asked->tenant, err);
    if (status == KL_OK) {
        status = chunk_fill(chunk, vault, asked, err);
    }
    if (status == KL_OK && chunk->values.count > 0) {
        status = chunk_commit(chunk, vault, job, err);
    }
    for (i = 0; i < chunk->values.count; i++) {
        vault_commit_dying_end(vault->committer, asked->tenant, chunk->held[i]);
    }
    if (status == KL_OK) {
        asked->slot = chunk->next;
        asked->subjects = chunk->values.count;
        asked->left = chunk->left;
        asked->ended = chunk->ended;
    }
    vault_values_done(&chunk->values);
    free(chunk);
    return status;
}
