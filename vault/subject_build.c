/*
 * Subjects are read in the order of their slots. Those of a piece are added in one commit that checks all their heads; when one of them
 * was changed since, or is being erased, each is added by itself, and read again until its head stands still.
 */
#include "vault/subject_build.h"

#include "kluis/base/log.h"
#include "vault/rows.h"
#include "vault/subject_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SUBJECTS_MAX 64
/* Entries after which no further subject is taken into a piece. */
#define ENTRIES_ENOUGH 512
#define ENTRIES_MAX (ENTRIES_ENOUGH + VAULT_INDEXED_MAX + 1)
#define TRIES_MAX 100

_Static_assert(SUBJECTS_MAX <= VAULT_COMMIT_HEADS_MAX, "a piece fits into a commit");

struct piece {
    struct vault *vault;
    uint64_t tenant;
    struct kl_arena *subject_arena;
    struct kl_arena *value_arena;
    struct vault_commit_head heads[SUBJECTS_MAX];
    size_t head_count;
    struct vault_index_change *changes; /* ENTRIES_MAX */
    size_t change_count;
    uint64_t slot; /* of the subject at hand */
    uint64_t damaged;
};

static enum kl_status piece_add(void *visitor, const char *kind, struct kl_slice form,
                                uint64_t discriminator, struct kl_err *err)
{
    struct piece *piece = visitor;
    struct vault_index_change *change = &piece->changes[piece->change_count];
    enum kl_status status = KL_OK;

    assert(piece->change_count < ENTRIES_MAX);
    change->kind = VAULT_INDEX_BUILD;
    status = vault_index_build_entry(piece->vault->index, piece->tenant, kind, form, piece->slot,
                                     discriminator, &change->entry, err);
    piece->change_count += status == KL_OK ? 1 : 0;
    return status;
}

/* Of a subject whose records are damaged, the id: it must still be possible to erase it. */
static enum kl_status piece_add_damaged(struct piece *piece, const struct vault_subject *subject,
                                        struct kl_err *err)
{
    static const struct kl_id unknown = {{0}};

    if (!kl_id_equal(&subject->base.subject, &unknown)) {
        return piece_add(piece, "id", kl_slice_of(subject->base.subject.bytes, KL_ID_BYTES), 0,
                         err);
    }
    kl_log(KL_LOG_WARNING, "subject_left_out_of_index", KL_LOG_INT("slot", piece->slot));
    piece->damaged++;
    return KL_OK;
}

/* Read a subject, and take it into the piece. Who is not there any more is passed over. */
static enum kl_status piece_take(struct piece *piece, uint64_t slot, struct kl_err *err)
{
    struct vault_subject subject = {0};
    struct kl_err unread = {.status = KL_OK};
    enum kl_status status = KL_OK;

    kl_arena_reset(piece->subject_arena);
    piece->slot = slot;
    status = vault_subject_load(piece->vault, piece->tenant, slot, piece->subject_arena, &subject,
                                &unread);
    if (status == KL_ERR_CORRUPT && subject.row.size >= 8) {
        piece->heads[piece->head_count++] =
            (struct vault_commit_head){slot, kl_get_u64be(subject.row.bytes)};
        status = piece_add_damaged(piece, &subject, err);
    } else if (status == KL_OK) {
        piece->heads[piece->head_count++] = (struct vault_commit_head){slot, subject.head.version};
        status = vault_subject_entries_each(piece->vault, &subject, piece->value_arena, piece_add,
                                            piece, err);
    } else if (status == KL_ERR_NOT_FOUND || status == KL_ERR_GONE) {
        status = KL_OK;
    } else {
        status = kl_fail(err, status, unread.code, unread.client_text, "%s", unread.log_text);
    }
    vault_subject_done(&subject);
    return status;
}

static enum kl_status piece_commit(struct piece *piece, struct kl_err *err)
{
    struct vault_commit commit = {.tenant = piece->tenant,
                                  .heads = piece->heads,
                                  .head_count = piece->head_count,
                                  .index = piece->changes,
                                  .index_count = piece->change_count,
                                  .unsynced = true};
    enum kl_status status = piece->change_count == 0
                                ? KL_OK
                                : vault_commit_submit(piece->vault->committer, &commit, err);

    piece->head_count = 0;
    piece->change_count = 0;
    return status;
}

static bool came_first(enum kl_status status, const struct kl_err *err)
{
    return (status == KL_ERR_PRECONDITION && strcmp(err->code, "head_changed") == 0) ||
           status == KL_ERR_GONE;
}

/* One subject, as often as others come first. */
static enum kl_status add_alone(struct piece *piece, uint64_t slot, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    unsigned tries = 0;

    do {
        kl_err_clear(err);
        vault_commit_dying_wait(piece->vault->committer, piece->tenant, slot);
        piece->head_count = 0;
        piece->change_count = 0;
        status = piece_take(piece, slot, err);
        if (status == KL_OK) {
            status = piece_commit(piece, err);
        }
    } while (came_first(status, err) && ++tries < TRIES_MAX);
    if (came_first(status, err)) {
        kl_err_clear(err);
        status =
            kl_fail(err, KL_ERR_BUSY, "subject_busy", "a subject is being changed by others", NULL);
    }
    return status;
}

/* The slots of the next subjects. ret_more: there may be others behind them. */
static enum kl_status slots_read(struct vault *vault, uint64_t tenant, uint64_t first,
                                 uint64_t ret[SUBJECTS_MAX], size_t *ret_count, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key from = vault_row_head(tenant, first);
    struct vault_row_key prefix = vault_row_head(tenant, 0);
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice row;
    size_t count = 0;

    prefix.size -= 8;
    past = vault_row_past(&prefix);
    iter = vault_iter_new(vault->data_store, vault_row_slice(&from), vault_row_slice(&past), false);
    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    while (count < SUBJECTS_MAX && vault_iter_next(iter, &key, &row)) {
        ret[count++] = kl_get_u64be(key.bytes + key.size - 8);
    }
    status = vault_iter_status(iter, err);
    vault_iter_free(iter);
    *ret_count = count;
    return status;
}

/* Add the first subjects of slots, as many as fit; ret_taken says how many. */
static enum kl_status add_some(struct piece *piece, const uint64_t *slots, size_t count,
                               size_t *ret_taken, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t taken = 0;
    size_t i;

    while (status == KL_OK && taken < count && piece->change_count < ENTRIES_ENOUGH) {
        status = piece_take(piece, slots[taken++], err);
    }
    if (status == KL_OK) {
        status = piece_commit(piece, err);
    }
    if (came_first(status, err)) {
        piece->damaged = 0;
        status = KL_OK;
        for (i = 0; status == KL_OK && i < taken; i++) {
            status = add_alone(piece, slots[i], err);
        }
    }
    *ret_taken = taken;
    return status;
}

enum kl_status vault_subject_build(struct vault *vault, uint64_t tenant,
                                   struct vault_subject_build *build, bool *ret_done,
                                   struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct piece *piece = calloc(1, sizeof *piece);
    uint64_t slots[SUBJECTS_MAX];
    size_t count = 0;
    size_t taken = 0;

    if (piece == NULL) {
        return kl_fail_memory(err);
    }
    piece->vault = vault;
    piece->tenant = tenant;
    piece->subject_arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    piece->value_arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    piece->changes = calloc(ENTRIES_MAX, sizeof *piece->changes);
    status = piece->subject_arena == NULL || piece->value_arena == NULL || piece->changes == NULL
                 ? kl_fail_memory(err)
                 : slots_read(vault, tenant, build->next_slot, slots, &count, err);
    if (status == KL_OK && count > 0) {
        status = add_some(piece, slots, count, &taken, err);
    }
    if (status == KL_OK && count > 0) {
        build->next_slot = slots[taken - 1] + 1;
        build->subjects += taken;
        build->damaged += piece->damaged;
    }
    if (status == KL_OK) {
        *ret_done = count == 0;
    }
    kl_arena_free(piece->subject_arena);
    kl_arena_free(piece->value_arena);
    free(piece->changes);
    free(piece);
    return status;
}
