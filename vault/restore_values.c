/* The end of values that a restored backup does not know, of the subjects that it does: some of them in each key commit. */
#include "vault/restore.h"

#include "vault/commit.h"
#include "vault/erasure_note.h"
#include "vault/rows.h"
#include "vault/subject_internal.h"
#include "vault/subject_unknown.h"
#include "vault/vault_internal.h"

#include <stdlib.h>
#include <string.h>

/* Each costs a commit two pages or a few more, which must fit where 8 MiB can be locked. */
#define SUBJECTS_AT_ONCE 64
#define RANGES_AT_ONCE (SUBJECTS_AT_ONCE + VAULT_UNKNOWN_RANGES_MAX)

struct going {
    struct vault *vault;
    uint64_t tenant;
    struct vault_restore_mark mark;
    struct kl_arena *arena;
    struct vault_batch *heads; /* of subjects whose gaps are no more */
    struct kms_range ranges[RANGES_AT_ONCE];
    size_t range_count;
    size_t subject_count;
    uint64_t last; /* slot that was gathered last */
};

/* One commit for all ranges; where memory for so many pages is not to be had, several. What was done is done again without harm. */
static enum kl_status ranges_renew(struct going *going, struct kl_err *err)
{
    size_t done = 0;
    size_t at_once = going->range_count;
    struct kl_err cause = {0};
    enum kl_status status = KL_OK;

    while (done < going->range_count) {
        size_t left = going->range_count - done;
        struct kms_request request = {.ranges = going->ranges + done,
                                      .ranges_count = left < at_once ? left : at_once,
                                      .note = vault_note_step,
                                      .note_bytes = VAULT_NOTE_STEP_BYTES};

        kl_err_clear(&cause);
        status = kms_commit(going->vault->keys, &request, &cause);
        if (status == KL_ERR_NO_MEMORY && at_once > 1) {
            at_once /= 2;
        } else if (status != KL_OK) {
            return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
        } else {
            done += request.ranges_count;
        }
    }
    return KL_OK;
}

/* The keys first: a head that has lost its gaps too early would hide them for ever. */
static enum kl_status chunk_end(struct going *going, struct kl_err *err)
{
    struct vault_commit commit = {.tenant = going->tenant, .batch = going->heads};
    enum kl_status status = KL_OK;

    if (going->subject_count == 0) {
        return KL_OK;
    }
    status = ranges_renew(going, err);
    if (status == KL_OK && vault_batch_count(going->heads) > 0) {
        status = vault_commit_submit(going->vault->committer, &commit, err);
    }
    if (status == KL_OK) {
        going->mark.values_done = going->last + 1;
        status =
            vault_restore_mark_write(going->vault->keys, going->tenant, &going->mark, false, err);
    }
    vault_batch_clear(going->heads);
    going->range_count = 0;
    going->subject_count = 0;
    return status;
}

static enum kl_status gaps_forget(struct going *going, struct kl_slice key, struct vault_head *head,
                                  struct kl_err *err)
{
    struct kl_buf row;
    enum kl_status status = KL_OK;

    kl_buf_init(&row, VAULT_STORE_VALUE_MAX_BYTES);
    head->gap_count = 0;
    head->version++;
    status = vault_head_encode(head, &row, err);
    if (status == KL_OK) {
        vault_batch_put(going->heads, key, kl_buf_slice(&row));
    }
    kl_buf_done(&row);
    return status;
}

/* A head that cannot be read is of nobody who can be changed; it was counted as damaged when the backup was put back. */
static enum kl_status head_take(struct going *going, struct kl_slice key, struct kl_slice value,
                                bool shred, uint64_t *count, struct kl_err *err)
{
    uint64_t slot = kl_get_u64be(key.bytes + 9);
    struct kms_range *ranges = going->ranges + going->range_count;
    struct kl_err cause = {0};
    struct vault_head head;
    size_t found = 0;
    enum kl_status status = KL_OK;

    kl_arena_reset(going->arena);
    status = vault_head_decode(value, going->arena, &head, &cause);
    if (status == KL_ERR_CORRUPT) {
        return KL_OK;
    }
    if (status != KL_OK) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    found = vault_subject_unknown(going->vault, going->tenant, slot, &head, ranges);
    *count += found > 0 ? 1 : 0;
    if (found == 0 || !shred) {
        return KL_OK;
    }
    going->range_count += found;
    going->subject_count++;
    going->last = slot;
    if (head.gap_count > 0) {
        status = gaps_forget(going, key, &head, err);
    }
    return status == KL_OK && going->range_count >= SUBJECTS_AT_ONCE ? chunk_end(going, err)
                                                                     : status;
}

static enum kl_status heads_go_over(struct going *going, bool shred, uint64_t *count,
                                    struct kl_err *err)
{
    struct vault_row_key first = vault_row_head(going->tenant, going->mark.values_done);
    struct vault_row_key past = vault_row_head(going->tenant, going->mark.below);
    struct vault_iter *iter = vault_iter_new(going->vault->data_store, vault_row_slice(&first),
                                             vault_row_slice(&past), false);
    struct kl_slice key;
    struct kl_slice value;
    enum kl_status status = iter == NULL ? kl_fail_memory(err) : KL_OK;

    while (status == KL_OK && vault_iter_next(iter, &key, &value)) {
        if (key.size == first.size) {
            status = head_take(going, key, value, shred, count, err);
        }
    }
    if (status == KL_OK) {
        status = vault_iter_status(iter, err);
    }
    vault_iter_free(iter);
    return status == KL_OK ? chunk_end(going, err) : status;
}

enum kl_status vault_restore_values(struct vault *vault, uint64_t tenant,
                                    const struct vault_restore_mark *mark, bool shred,
                                    uint64_t *count, struct kl_err *err)
{
    struct going *going = calloc(1, sizeof *going);
    uint64_t found = 0;
    enum kl_status status = KL_OK;

    if (going == NULL) {
        return kl_fail_memory(err);
    }
    going->vault = vault;
    going->tenant = tenant;
    going->mark = *mark;
    going->arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    going->heads = vault_batch_new();
    status = going->arena == NULL || going->heads == NULL
                 ? kl_fail_memory(err)
                 : heads_go_over(going, shred, &found, err);
    if (status == KL_OK) {
        *count += found;
    }
    kl_arena_free(going->arena);
    vault_batch_free(going->heads);
    free(going);
    return status;
}
