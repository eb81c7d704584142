/* The phases of a sweep, a piece at a time. */
#include "vault/sweep_internal.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/erasure.h"
#include "vault/files.h"
#include "vault/index_old.h"
#include "vault/rows.h"
#include "vault/tenants.h"

#include <stdlib.h>
#include <string.h>

#define ANSWERS_MAX 1024
/* Rows that are looked at in one piece, whether they are due or not. */
#define ROWS_LOOKED_MAX 8192
#define MAC_BYTES VAULT_IDEMPOTENCY_MAC_BYTES

/* ---- rows ---- */

enum kl_status vault_sweep_numbers(struct vault *vault, const struct vault_row_key *key,
                                   uint64_t *ret, size_t count, bool *ret_there, struct kl_err *err)
{
    struct kl_err missing = {.status = KL_OK};
    struct kl_buf row;
    enum kl_status status = KL_OK;
    size_t i;

    kl_buf_init(&row, 64);
    status = vault_store_get(vault->data_store, vault_row_slice(key), &row, &missing);
    *ret_there = status == KL_OK;
    if (status == KL_ERR_NOT_FOUND) {
        status = KL_OK;
    } else if (status != KL_OK) {
        kl_fail(err, status, missing.code, missing.client_text, "%s", missing.log_text);
    } else if (row.size != 8 * count) {
        status =
            kl_fail(err, KL_ERR_CORRUPT, "mark_damaged", "a mark of the vault is damaged", NULL);
    }
    for (i = 0; status == KL_OK && *ret_there && i < count; i++) {
        ret[i] = kl_get_u64be(row.bytes + 8 * i);
    }
    kl_buf_done(&row);
    return status;
}

enum kl_status vault_sweep_is_unswept(struct vault *vault, uint64_t tenant, bool *ret,
                                      struct kl_err *err)
{
    struct vault_row_key key = vault_row_unswept(tenant);
    struct vault_index_epochs epochs = {0};
    bool there = false;
    enum kl_status status = vault_sweep_numbers(vault, &key, NULL, 0, &there, err);

    if (status == KL_OK) {
        status = vault_index_epochs(vault->index, tenant, &epochs, err);
    }
    if (status == KL_OK) {
        *ret = there || epochs.next_epoch != 0;
    }
    return status;
}

/* ---- shredding a piece ---- */

static enum kl_status commit_keys(struct vault *vault, const struct vault_job *job, uint64_t tenant,
                                  const struct vault_sweep_piece *piece, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_erasing erasing = {.swept = piece->remove};
    struct kms_request request = {
        .work = &erasing, .changes = piece->changes, .changes_count = piece->count};
    struct kl_buf text;

    erasing.note.kind = VAULT_NOTE_SWEEP;
    erasing.note.id = job->id;
    erasing.note.tenant = tenant;
    erasing.note.at_us = kl_time_now_us();
    erasing.note.records = piece->values;
    erasing.note.fields = piece->buckets;
    erasing.note.notify_all = true;
    memcpy(erasing.note.role, "vault", sizeof "vault");
    kl_buf_init(&text, KMS_NOTE_MAX_BYTES);
    status = vault_note_encode(&erasing.note, &text, err);
    request.note = text.bytes;
    request.note_bytes = text.size;
    if (status == KL_OK) {
        status = kms_commit(vault->keys, &request, err);
    }
    kl_buf_done(&text);
    return status;
}

/* Shred, and let the rows go. Without anything to shred only the rows go. */
static enum kl_status piece_commit(struct vault *vault, const struct vault_job *job,
                                   uint64_t tenant, const struct vault_sweep_piece *piece,
                                   struct kl_err *err)
{
    struct vault_commit commit = {.tenant = tenant, .batch = piece->remove, .unsynced = true};

    if (piece->count > 0) {
        return commit_keys(vault, job, tenant, piece, err);
    }
    return vault_batch_count(piece->remove) == 0
               ? KL_OK
               : vault_commit_submit(vault->committer, &commit, err);
}

static void piece_shred(struct vault_sweep_piece *piece, uint64_t tenant, uint64_t slot,
                        uint64_t value)
{
    piece->changes[piece->count++] =
        (struct kms_change){.kind = KMS_CHANGE_SHRED, .place = {tenant, slot, value}};
}

/* ---- a new index ---- */

struct building {
    struct vault *vault;
    uint64_t tenant;
};

/*
 * What was erased or overwritten until now stands in the index in use alone; what is from now on marks the tenant again. One that was
 * begun earlier and left has seen what came since then, so the mark stays for it.
 */
static enum kl_status begin_inside(void *context, struct vault_batch *batch, struct kl_err *err)
{
    const struct building *building = context;
    struct vault_row_key key = vault_row_unswept(building->tenant);
    struct vault_index_epochs epochs = {0};
    enum kl_status status =
        vault_index_epochs(building->vault->index, building->tenant, &epochs, err);

    if (status == KL_OK && epochs.next_epoch == 0) {
        vault_batch_remove(batch, vault_row_slice(&key));
    }
    return status == KL_OK
               ? vault_index_build_begin(building->vault->index, building->tenant, batch, err)
               : status;
}

static enum kl_status end_inside(void *context, struct vault_batch *batch, struct kl_err *err)
{
    const struct building *building = context;

    return vault_index_build_end(building->vault->index, building->tenant, batch, err);
}

static enum kl_status build_commit(struct vault *vault, uint64_t tenant,
                                   enum kl_status (*inside)(void *context,
                                                            struct vault_batch *batch,
                                                            struct kl_err *err),
                                   struct kl_err *err)
{
    struct building building = {vault, tenant};
    struct vault_commit commit = {.tenant = tenant, .inside = inside, .inside_context = &building};

    return vault_commit_submit(vault->committer, &commit, err);
}

enum kl_status vault_sweep_build(struct vault *vault, struct vault_sweep *sweep, bool *ret_done,
                                 struct kl_err *err)
{
    enum kl_status status = KL_OK;
    bool complete = false;

    if (sweep->build.next_slot == 0) {
        status = build_commit(vault, sweep->tenant, begin_inside, err);
    }
    if (status == KL_OK) {
        status = vault_subject_build(vault, sweep->tenant, &sweep->build, &complete, err);
    }
    if (status == KL_OK && complete) {
        status = build_commit(vault, sweep->tenant, end_inside, err);
    }
    if (status == KL_OK && complete) {
        sweep->subjects += sweep->build.subjects;
        sweep->damaged += sweep->build.damaged;
        sweep->indexes++;
        memset(&sweep->build, 0, sizeof sweep->build);
    } else if (status == KL_ERR_CONFLICT && strcmp(err->code, "index_not_building") == 0) {
        kl_err_clear(err); /* it took over, and a crash came before that was noted */
        memset(&sweep->build, 0, sizeof sweep->build);
        complete = true;
        status = KL_OK;
    }
    if (status == KL_OK) {
        *ret_done = complete;
    }
    return status;
}

/* ---- indexes that are over ---- */

enum kl_status vault_sweep_old_index(struct vault *vault, const struct vault_job *job,
                                     struct vault_sweep *sweep, struct vault_sweep_piece *piece,
                                     bool *ret_done, struct kl_err *err)
{
    struct vault_index_old *old = calloc(1, sizeof *old);
    enum kl_status status = KL_OK;
    bool any = false;
    size_t i;

    if (old == NULL) {
        return kl_fail_memory(err);
    }
    old->max = piece->max;
    old->remove = piece->remove;
    status = vault_index_old_next(vault->data_store, sweep->tenant, old, &any, err);
    for (i = 0; status == KL_OK && i < old->count; i++) {
        piece_shred(piece, sweep->tenant, old->slots[i], KMS_VALUE_NONE);
    }
    if (status == KL_OK) {
        piece->buckets = (uint32_t)piece->count;
        status = piece_commit(vault, job, sweep->tenant, piece, err);
    }
    if (status == KL_OK) {
        sweep->buckets += piece->count;
        *ret_done = !any;
    }
    free(old);
    return status;
}

enum kl_status vault_sweep_old_index_end(struct vault *vault, uint64_t tenant, struct kl_err *err)
{
    const struct vault_job no_job = {.id = kl_id_new()};
    struct vault_sweep sweep = {.tenant = tenant};
    struct vault_sweep_piece *piece = NULL;
    enum kl_status status = KL_OK;
    bool done = false;

    while (status == KL_OK && !done) {
        piece = calloc(1, sizeof *piece);
        if (piece == NULL) {
            return kl_fail_memory(err);
        }
        piece->max = VAULT_SWEEP_CHANGES_MAX;
        piece->remove = vault_batch_new();
        status = piece->remove == NULL
                     ? kl_fail_memory(err)
                     : vault_sweep_old_index(vault, &no_job, &sweep, piece, &done, err);
        vault_batch_free(piece->remove);
        free(piece);
    }
    return status;
}

enum kl_status vault_sweep_old_indexes(struct vault *vault, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_err away = {0};
    size_t i;

    for (i = 0; status == KL_OK && i < vault->tenants.count; i++) {
        status = vault_sweep_old_index_end(vault, vault->tenants.items[i]->number, &away);
        if (status == KL_ERR_UNAVAILABLE || status == KL_ERR_REFUSED || status == KL_ERR_BUSY) {
            kl_log_err(KL_LOG_WARNING, "old_index_left_to_sweep", &away);
            away = (struct kl_err){0};
            status = KL_OK;
        }
    }
    return status == KL_OK ? KL_OK
                           : kl_fail(err, status, away.code, away.client_text, "%s", away.log_text);
}

/* ---- values ---- */

/* An iterator over the rows of a tenant that start with prefix, from behind the sweep's position. */
static struct vault_iter *rows_behind(struct vault *vault, const struct vault_row_key *prefix,
                                      const struct vault_sweep *sweep)
{
    struct vault_row_key first = *prefix;
    struct vault_row_key past = vault_row_past(prefix);

    memcpy(first.bytes + first.size, sweep->position, sweep->position_bytes);
    first.size += sweep->position_bytes;
    if (sweep->position_bytes > 0) {
        first.bytes[first.size++] = 0;
    }
    return vault_iter_new(vault->data_store, vault_row_slice(&first), vault_row_slice(&past),
                          false);
}

static void position_set(struct vault_sweep *sweep, const unsigned char *bytes, size_t size)
{
    memcpy(sweep->position, bytes, size);
    sweep->position_bytes = size;
}

/* Whether an index whose keys live was led to the value by, so that an erasure may still need it. Rows of the first version say nothing. */
static bool is_needed(struct kl_slice row, const struct vault_index_epochs *epochs)
{
    uint32_t in = row.size == 4 ? kl_get_u32be(row.bytes) : 1;

    return in > epochs->epoch;
}

/* What a file is being written under is not in use yet, and passed by. */
static void value_take(struct vault *vault, struct vault_sweep_piece *piece, uint64_t tenant,
                       struct kl_slice key)
{
    const struct kms_place of = {tenant, kl_get_u64be(key.bytes + key.size - 16),
                                 kl_get_u64be(key.bytes + key.size - 8)};
    struct vault_row_key row = vault_row_value(tenant, of.slot, of.value);
    struct vault_row_key file = vault_row_file(tenant, of.slot, of.value);

    if (vault_files_uploading(vault->files, &of)) {
        return;
    }
    piece_shred(piece, tenant, of.slot, of.value);
    piece->values++;
    vault_batch_remove(piece->remove, key);
    vault_batch_remove(piece->remove, vault_row_slice(&row));
    vault_batch_remove(piece->remove, vault_row_slice(&file));
    vault_files_changed(vault->files, of.slot);
}

static enum kl_status values_read(struct vault *vault, struct vault_sweep *sweep,
                                  struct vault_sweep_piece *piece, bool *ret_end,
                                  struct kl_err *err)
{
    struct vault_row_key prefix = vault_row_old(sweep->tenant, 0, 0, 0);
    struct vault_index_epochs epochs = {0};
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice row;
    size_t looked = 0;
    enum kl_status status = vault_index_epochs(vault->index, sweep->tenant, &epochs, err);

    if (status != KL_OK) {
        return status;
    }
    prefix.size -= VAULT_SWEEP_POSITION_MAX_BYTES;
    iter = rows_behind(vault, &prefix, sweep);
    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    *ret_end = false;
    while (!*ret_end && piece->count < piece->max && looked++ < ROWS_LOOKED_MAX) {
        *ret_end = !vault_iter_next(iter, &key, &row) ||
                   key.size != prefix.size + VAULT_SWEEP_POSITION_MAX_BYTES ||
                   kl_get_u64be(key.bytes + prefix.size) >= (uint64_t)sweep->until_us;
        if (!*ret_end) {
            position_set(sweep, key.bytes + prefix.size, VAULT_SWEEP_POSITION_MAX_BYTES);
            if (!is_needed(row, &epochs)) {
                value_take(vault, piece, sweep->tenant, key);
            }
        }
    }
    status = vault_iter_status(iter, err);
    vault_iter_free(iter);
    return status;
}

enum kl_status vault_sweep_values(struct vault *vault, const struct vault_job *job,
                                  struct vault_sweep *sweep, struct vault_sweep_piece *piece,
                                  bool *ret_done, struct kl_err *err)
{
    struct vault_sweep moved = *sweep;
    bool end = false;
    enum kl_status status = values_read(vault, &moved, piece, &end, err);

    if (status == KL_OK) {
        status = piece_commit(vault, job, sweep->tenant, piece, err);
    }
    if (status == KL_OK) {
        *sweep = moved;
        sweep->values += piece->values;
        *ret_done = end;
    }
    return status;
}

/* ---- answers ---- */

/* Rows of answers to delete. A request that comes right now may have replaced one: the leader looks again. */
struct expired {
    struct vault *vault;
    uint64_t tenant;
    int64_t before_us;
    unsigned char macs[ANSWERS_MAX][MAC_BYTES];
    size_t count;
    size_t removed;
};

static bool is_expired(struct kl_slice row, int64_t before_us)
{
    return row.size >= 9 && kl_get_u64be(row.bytes + 1) < (uint64_t)before_us;
}

static enum kl_status expired_inside(void *context, struct vault_batch *batch, struct kl_err *err)
{
    struct expired *expired = context;
    enum kl_status status = KL_OK;
    struct kl_buf row;
    size_t i;

    kl_buf_init(&row, VAULT_STORE_VALUE_MAX_BYTES);
    expired->removed = 0;
    for (i = 0; status == KL_OK && i < expired->count; i++) {
        struct vault_row_key key = vault_row_idempotency(expired->tenant, expired->macs[i]);

        kl_buf_clear(&row);
        status = vault_store_get(expired->vault->data_store, vault_row_slice(&key), &row, err);
        if (status == KL_OK && is_expired(kl_buf_slice(&row), expired->before_us)) {
            vault_batch_remove(batch, vault_row_slice(&key));
            expired->removed++;
        } else if (status == KL_ERR_NOT_FOUND) {
            kl_err_clear(err);
            status = KL_OK;
        }
    }
    kl_buf_done(&row);
    return status;
}

static enum kl_status answers_read(struct vault *vault, struct vault_sweep *sweep,
                                   struct expired *expired, bool *ret_end, struct kl_err *err)
{
    static const unsigned char none[MAC_BYTES] = {0};
    struct vault_row_key prefix = vault_row_idempotency(sweep->tenant, none);
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice row;
    size_t looked = 0;
    enum kl_status status = KL_OK;

    prefix.size -= MAC_BYTES;
    iter = rows_behind(vault, &prefix, sweep);
    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    *ret_end = false;
    while (!*ret_end && expired->count < ANSWERS_MAX && looked++ < ROWS_LOOKED_MAX) {
        *ret_end = !vault_iter_next(iter, &key, &row) || key.size != prefix.size + MAC_BYTES;
        if (!*ret_end) {
            position_set(sweep, key.bytes + prefix.size, MAC_BYTES);
            if (is_expired(row, expired->before_us)) {
                memcpy(expired->macs[expired->count++], sweep->position, MAC_BYTES);
            }
        }
    }
    status = vault_iter_status(iter, err);
    vault_iter_free(iter);
    return status;
}

enum kl_status vault_sweep_answers(struct vault *vault, struct vault_sweep *sweep, bool *ret_done,
                                   struct kl_err *err)
{
    struct expired *expired = calloc(1, sizeof *expired);
    struct vault_sweep moved = *sweep;
    struct vault_commit commit = {.tenant = sweep->tenant,
                                  .inside = expired_inside,
                                  .inside_context = expired,
                                  .unsynced = true};
    bool end = false;
    enum kl_status status = KL_OK;

    if (expired == NULL) {
        return kl_fail_memory(err);
    }
    expired->vault = vault;
    expired->tenant = sweep->tenant;
    expired->before_us = kl_time_now_us();
    status = answers_read(vault, &moved, expired, &end, err);
    if (status == KL_OK && expired->count > 0) {
        status = vault_commit_submit(vault->committer, &commit, err);
    }
    if (status == KL_OK) {
        *sweep = moved;
        sweep->answers += expired->removed;
        *ret_done = end;
    }
    free(expired);
    return status;
}
