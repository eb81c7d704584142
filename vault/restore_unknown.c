/*
 * Slots that a backup does not know: which they may be, and the end of them.
 *
 * A slot is unknown when it was given out before the last restore, still has a key, and no row of data/ is about it: no head, no value, no bucket
 * of an index in use or given up; nor was a record of it kept at an erasure, nor does
 * anything wait for statistics under it. Whoever came after the restore has a slot above the marks that it left, and is no question here.
 */
#include "vault/restore.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/act.h"
#include "vault/erasure_note.h"
#include "vault/index_rows.h"
#include "vault/retained.h"
#include "vault/tenants.h"

#include <stdlib.h>
#include <string.h>

#define SHRED_CHUNK 4096

/* ---- slots of the index ---- */

struct slots {
    uint64_t *items;
    size_t count;
    size_t room;
};

static enum kl_status slots_add(struct slots *slots, uint64_t slot, struct kl_err *err)
{
    uint64_t *grown = NULL;

    if (slots->count == slots->room) {
        slots->room = slots->room == 0 ? 256 : 2 * slots->room;
        grown = realloc(slots->items, slots->room * sizeof *grown);
        if (grown == NULL) {
            return kl_fail_memory(err);
        }
        slots->items = grown;
    }
    slots->items[slots->count++] = slot;
    return KL_OK;
}

static int by_number(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a;
    uint64_t other = *(const uint64_t *)b;

    return one < other ? -1 : one > other ? 1 : 0;
}

/* A row that may name slots of an index, into slots. */
typedef enum kl_status (*slots_of_row)(struct kl_slice key, struct kl_slice value,
                                       struct slots *slots, struct kl_err *err);

static enum kl_status slots_of_bucket(struct kl_slice key, struct kl_slice value,
                                      struct slots *slots, struct kl_err *err)
{
    bool is_base = key.size > VAULT_BUCKET_KEY_PREFIX_BYTES && key.bytes[key.size - 1] == 0;

    return is_base && value.size >= 8 ? slots_add(slots, kl_get_u64be(value.bytes), err) : KL_OK;
}

/* A list of slots, one behind the other. */
static enum kl_status slots_of_list(struct kl_slice key, struct kl_slice value, struct slots *slots,
                                    struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t at;

    (void)key;
    for (at = 0; status == KL_OK && at + 8 <= value.size; at += 8) {
        status = slots_add(slots, kl_get_u64be(value.bytes + at), err);
    }
    return status;
}

/* The index's own row: format, epoch, address slot, last epoch, the epoch being built and its address slot (index_epochs.c). */
static enum kl_status slots_of_index(struct kl_slice key, struct kl_slice value,
                                     struct slots *slots, struct kl_err *err)
{
    enum kl_status status =
        value.size >= 13 ? slots_add(slots, kl_get_u64be(value.bytes + 5), err) : KL_OK;

    (void)key;
    return status == KL_OK && value.size >= 29
               ? slots_add(slots, kl_get_u64be(value.bytes + 21), err)
               : status;
}

static enum kl_status rows_each(struct vault_store *data, const struct vault_row_key *prefix,
                                slots_of_row visit, struct slots *slots, struct kl_err *err)
{
    struct vault_row_key past = vault_row_past(prefix);
    struct vault_iter *iter =
        vault_iter_new(data, vault_row_slice(prefix), vault_row_slice(&past), false);
    struct kl_slice key;
    struct kl_slice value;
    enum kl_status status = KL_OK;

    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    while (status == KL_OK && vault_iter_next(iter, &key, &value)) {
        status = visit(key, value, slots, err);
    }
    if (status == KL_OK) {
        status = vault_iter_status(iter, err);
    }
    vault_iter_free(iter);
    return status;
}

static enum kl_status index_slots(struct vault *vault, uint64_t tenant, struct slots *slots,
                                  struct kl_err *err)
{
    struct vault_row_key buckets = vault_row_bucket(tenant, 0, 0, 0, 0, 0);
    struct vault_row_key old = vault_row_index_old(tenant, 0, 0);
    struct vault_row_key own = vault_row_index(tenant);
    enum kl_status status = KL_OK;

    buckets.size = 1 + 8;
    old.size -= 4 + 4;
    status = rows_each(vault->data_store, &buckets, slots_of_bucket, slots, err);
    if (status == KL_OK) {
        status = rows_each(vault->data_store, &old, slots_of_list, slots, err);
    }
    if (status == KL_OK) {
        status = rows_each(vault->data_store, &own, slots_of_index, slots, err);
    }
    if (status == KL_OK && slots->count > 0) {
        qsort(slots->items, slots->count, sizeof *slots->items, by_number);
    }
    return status;
}

/* ---- going over them ---- */

struct unknown {
    struct vault *vault;
    uint64_t tenant;
    struct slots index;
    struct vault_iter *heads;
    struct vault_iter *values;
    uint64_t next_head; /* UINT64_MAX: no more */
    bool shred;
    struct kms_change *changes; /* SHRED_CHUNK of them */
    size_t change_count;
    uint64_t count;
};

static void head_next(struct unknown *unknown)
{
    struct kl_slice key;
    struct kl_slice value;

    unknown->next_head = vault_iter_next(unknown->heads, &key, &value) && key.size == 17
                             ? kl_get_u64be(key.bytes + 9)
                             : UINT64_MAX;
}

static bool has_values(struct unknown *unknown, uint64_t slot)
{
    struct vault_row_key first = vault_row_value(unknown->tenant, slot, 0);
    struct kl_slice key;
    struct kl_slice value;

    vault_iter_seek(unknown->values, vault_row_slice(&first));
    return vault_iter_next(unknown->values, &key, &value) && key.size == first.size &&
           memcmp(key.bytes, first.bytes, first.size - 8) == 0;
}

static enum kl_status seen(void *visitor, struct kl_slice key, struct kl_slice value,
                           struct kl_err *err)
{
    (void)key;
    (void)value;
    (void)err;
    *(bool *)visitor = true;
    return KL_OK;
}

/*
 * Whether a record of it was kept at an erasure (retained.h): that lies beside the keys, and no backup need know it. Rows of an erasure that
 * never came to its commit keep nothing.
 */
static enum kl_status has_retained(struct unknown *unknown, uint64_t slot, bool *ret,
                                   struct kl_err *err)
{
    unsigned char prefix[2 + 8 + 8] = "VK";
    enum kl_status status = KL_OK;
    bool has_rows = false;
    bool stale = false;

    kl_put_u64be(prefix + 2, unknown->tenant);
    kl_put_u64be(prefix + 10, slot);
    status = kms_side_range(unknown->vault->keys, kl_slice_of(prefix, sizeof prefix), seen,
                            &has_rows, err);
    if (status == KL_OK && has_rows) {
        status = vault_retained_is_stale(unknown->vault, unknown->tenant, slot, &stale, err);
    }
    *ret = status == KL_OK && has_rows && !stale;
    return status;
}

/* Whether something waits for statistics under it (waiting.h): that lies beside the keys too. */
static enum kl_status has_waiting(struct unknown *unknown, uint64_t slot, bool *ret,
                                  struct kl_err *err)
{
    unsigned char prefix[2 + 8 + 8] = "VC";

    kl_put_u64be(prefix + 2, unknown->tenant);
    kl_put_u64be(prefix + 10, slot);
    *ret = false;
    return kms_side_range(unknown->vault->keys, kl_slice_of(prefix, sizeof prefix), seen, ret, err);
}

static enum kl_status slot_is_unknown(struct unknown *unknown, uint64_t slot, bool *ret,
                                      struct kl_err *err)
{
    const struct kms_place place = {unknown->tenant, slot, KMS_VALUE_NONE};
    struct kl_err cause = {0};
    bool retained = false;
    bool waiting = false;
    enum kl_status status = KL_OK;

    *ret = false;
    while (unknown->next_head < slot) {
        head_next(unknown);
    }
    if (unknown->next_head == slot ||
        (unknown->index.count > 0 && bsearch(&slot, unknown->index.items, unknown->index.count,
                                             sizeof slot, by_number) != NULL)) {
        return KL_OK;
    }
    status = kms_place_check(unknown->vault->keys, &place, &cause);
    if (status == KL_ERR_GONE) {
        return KL_OK;
    }
    if (status != KL_OK) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    if (has_values(unknown, slot)) {
        return KL_OK;
    }
    status = has_retained(unknown, slot, &retained, err);
    if (status == KL_OK) {
        status = has_waiting(unknown, slot, &waiting, err);
    }
    *ret = status == KL_OK && !retained && !waiting;
    return status;
}

/* Shred what was gathered, in one key commit with a note of how many. */
static enum kl_status chunk_shred(struct unknown *unknown, struct kl_err *err)
{
    struct vault_note note = {.kind = VAULT_NOTE_UNKNOWN,
                              .tenant = unknown->tenant,
                              .at_us = kl_time_now_us(),
                              .role = "vault",
                              .notify_all = true,
                              .records = (uint32_t)unknown->change_count};
    struct kms_request request = {.changes = unknown->changes,
                                  .changes_count = unknown->change_count};
    struct kl_buf text;
    enum kl_status status = KL_OK;

    if (unknown->change_count == 0) {
        return KL_OK;
    }
    kl_buf_init(&text, KMS_NOTE_MAX_BYTES);
    note.id = kl_id_new();
    status = vault_note_encode(&note, &text, err);
    request.note = text.bytes;
    request.note_bytes = text.size;
    if (status == KL_OK) {
        status = kms_commit(unknown->vault->keys, &request, err);
    }
    kl_buf_done(&text);
    unknown->change_count = 0;
    return status;
}

static enum kl_status slot_take(struct unknown *unknown, uint64_t slot, struct kl_err *err)
{
    unknown->count++;
    if (!unknown->shred) {
        return KL_OK;
    }
    unknown->changes[unknown->change_count++] =
        (struct kms_change){KMS_CHANGE_SHRED, {unknown->tenant, slot, KMS_VALUE_NONE}};
    return unknown->change_count == SHRED_CHUNK ? chunk_shred(unknown, err) : KL_OK;
}

static enum kl_status slots_go_over(struct unknown *unknown, uint64_t mark, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    bool is_unknown = false;
    uint64_t slot = 0;

    head_next(unknown);
    for (slot = KMS_TENANT_OWN_SLOTS; status == KL_OK && slot < mark; slot++) {
        status = slot_is_unknown(unknown, slot, &is_unknown, err);
        if (status == KL_OK && is_unknown) {
            status = slot_take(unknown, slot, err);
        }
    }
    return status == KL_OK ? chunk_shred(unknown, err) : status;
}

static enum kl_status tenant_go_over(struct unknown *unknown, uint64_t tenant, uint64_t mark,
                                     struct kl_err *err)
{
    struct vault_row_key heads = vault_row_head(tenant, 0);
    struct vault_row_key heads_past;
    struct vault_row_key values = vault_row_value(tenant, 0, 0);
    struct vault_row_key values_past;
    enum kl_status status = KL_OK;

    heads.size -= 8;
    heads_past = vault_row_past(&heads);
    values.size -= 16;
    values_past = vault_row_past(&values);
    unknown->tenant = tenant;
    status = index_slots(unknown->vault, tenant, &unknown->index, err);
    unknown->heads = vault_iter_new(unknown->vault->data_store, vault_row_slice(&heads),
                                    vault_row_slice(&heads_past), false);
    unknown->values = vault_iter_new(unknown->vault->data_store, vault_row_slice(&values),
                                     vault_row_slice(&values_past), false);
    if (unknown->heads == NULL || unknown->values == NULL) {
        status = kl_fail_memory(err);
    }
    if (status == KL_OK) {
        status = slots_go_over(unknown, mark, err);
    }
    vault_iter_free(unknown->heads);
    vault_iter_free(unknown->values);
    free(unknown->index.items);
    unknown->heads = NULL;
    unknown->values = NULL;
    unknown->index = (struct slots){0};
    return status;
}

/* ---- the end of a restore ---- */

/* The trail says so first; then the marks go, all at once. */
static enum kl_status finished(struct vault *vault, const struct vault_restore_aside *aside,
                               uint64_t tenants, struct kl_err *err)
{
    struct vault_audit_who who = {.role = "vault", .at_us = kl_time_now_us()};
    struct vault_act act;
    struct vault_act *acts[1] = {&act};
    enum kl_status status = KL_OK;

    vault_act_begin(&act, KMS_TENANT_VAULT, &who, "restore_finish");
    kl_json_add_int(&act.out, "slots", (int64_t)aside->slots);
    kl_json_add_int(&act.out, "subjects", (int64_t)aside->subjects);
    status = vault_act_commit(vault, acts, 1, NULL, err);
    vault_act_done(&act);
    return status == KL_OK ? vault_restore_marks_remove(vault->keys, tenants, err) : status;
}

/* A tenant that was shredded has no slots to ask about. */
static enum kl_status tenant_is_there(struct kms *keys, uint64_t tenant, bool *ret,
                                      struct kl_err *err)
{
    const struct kms_place place = {tenant, KMS_SLOT_NONE, KMS_VALUE_NONE};
    struct kl_err cause = {0};
    enum kl_status status = kms_place_check(keys, &place, &cause);

    *ret = status == KL_OK;
    if (status != KL_OK && status != KL_ERR_GONE) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    return KL_OK;
}

enum kl_status vault_restore_unknown(struct vault *vault, bool shred, bool *ret_pending,
                                     struct vault_restore_aside *ret, struct kl_err *err)
{
    struct unknown unknown = {.vault = vault, .shred = shred};
    struct vault_restore_mark mark = {0};
    struct vault_restore_aside aside = {0};
    uint64_t tenants = 0;
    uint64_t tenant = 0;
    bool pending = false;
    bool is_there = false;
    enum kl_status status = vault_restore_pending(vault->keys, &pending, err);

    unknown.changes = calloc(SHRED_CHUNK, sizeof *unknown.changes);
    if (status == KL_OK && unknown.changes == NULL) {
        status = kl_fail_memory(err);
    }
    if (status == KL_OK) {
        status = kms_tenant_mark(vault->keys, &tenants, err);
    }
    for (tenant = 1; status == KL_OK && pending && tenant < tenants; tenant++) {
        status = tenant_is_there(vault->keys, tenant, &is_there, err);
        if (status == KL_OK && is_there) {
            status = vault_restore_mark_read(vault->keys, tenant, &mark, err);
        }
        if (status == KL_OK && is_there && mark.below > 0) {
            status = vault_restore_values(vault, tenant, &mark, shred, &aside.subjects, err);
        }
        if (status == KL_OK && is_there && mark.below > 0) {
            status = tenant_go_over(&unknown, tenant, mark.below, err);
        }
    }
    aside.slots = unknown.count;
    if (status == KL_OK && shred && pending) {
        status = finished(vault, &aside, tenants, err);
    }
    if (status == KL_OK) {
        *ret_pending = pending;
        *ret = aside;
    }
    free(unknown.changes);
    return status;
}
