#include "vault/values.h"

#include "vault/aside.h"
#include "vault/rows.h"
#include "vault/values_file.h"

#include <assert.h>
#include <string.h>

#define BASE_CONTEXT "base"
#define RECORD_CONTEXT "record"
#define LEDGER_CONTEXT "ledger"
#define EVIDENCE_CONTEXT "evidence"
#define ARENA_BYTES (256u * 1024 * 1024)
/* Rows beside are written in pieces of about that many. */
#define STAGE_ROWS_MAX 2048

enum kl_status vault_values_init(struct vault_values *values, struct vault *vault, uint64_t tenant,
                                 struct kl_err *err)
{
    memset(values, 0, sizeof *values);
    values->vault = vault;
    values->tenant = tenant;
    values->arena = kl_arena_new(ARENA_BYTES);
    return values->arena == NULL ? kl_fail_memory(err) : KL_OK;
}

void vault_values_done(struct vault_values *values)
{
    size_t i;

    for (i = 0; i < values->count; i++) {
        vault_subject_done(&values->subjects[i].subject);
    }
    kl_arena_free(values->arena);
    values->arena = NULL;
    values->count = 0;
}

/* ---- reading ---- */

static enum kl_status keep(struct vault_values *values, struct kl_slice bytes, struct kl_slice *ret,
                           struct kl_err *err)
{
    unsigned char *copy = kl_arena_alloc(values->arena, bytes.size);

    if (copy == NULL) {
        return kl_fail(err, KL_ERR_TOO_LARGE, "subject_too_large",
                       "a subject holds more than can be sealed anew at once", NULL);
    }
    if (bytes.size > 0) {
        memcpy(copy, bytes.bytes, bytes.size);
    }
    *ret = kl_slice_of(copy, bytes.size);
    values->bytes += bytes.size;
    return KL_OK;
}

static enum kl_status item_keep(struct vault_values *values, struct vault_values_subject *of,
                                uint64_t value, struct kl_slice context, struct kl_slice plain,
                                struct kl_err *err)
{
    struct vault_values_item *item = &of->items[of->count];
    enum kl_status status = keep(values, context, &item->context, err);

    item->value = value;
    if (status == KL_OK) {
        status = keep(values, plain, &item->plain, err);
    }
    of->count += status == KL_OK ? 1 : 0;
    return status;
}

/* One value as it lies in its row; what is gone already stays so. */
static enum kl_status item_read(struct vault_values *values, struct vault_values_subject *of,
                                uint64_t value, bool is_file, struct kl_slice context,
                                struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault *vault = values->vault;
    struct kms_place place = {values->tenant, of->subject.slot, value};
    struct vault_row_key key = vault_row_value(values->tenant, of->subject.slot, value);
    struct kl_slice text;
    struct kl_buf row;
    struct kl_buf plain;

    kl_buf_init(&row, KMS_SEAL_MAX_BYTES + KMS_SEAL_OVERHEAD_BYTES);
    kl_buf_init(&plain, KMS_SEAL_MAX_BYTES);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, err);
    if (status == KL_OK) {
        status = kms_unseal(vault->keys, &place, context, kl_buf_slice(&row), &plain, err);
    }
    if (status == KL_ERR_NOT_FOUND || status == KL_ERR_GONE) {
        kl_err_clear(err);
        status = KL_OK;
    } else if (status == KL_OK) {
        status = vault_unpad(kl_buf_slice(&plain), &text, err);
        if (status == KL_OK) {
            status = item_keep(values, of, value, context, text, err);
        }
        if (status == KL_OK && is_file) {
            of->items[of->count - 1].is_file = true;
            status = vault_values_file_check(values, of->subject.slot, value, err);
        }
    }
    kl_buf_done(&row);
    kl_buf_done(&plain);
    return status;
}

static enum kl_status fields_read(struct vault_values *values, struct vault_values_subject *of,
                                  const struct vault_manifest_record *record, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf context;
    size_t i;

    kl_buf_init(&context, VAULT_VALUE_CONTEXT_MAX_BYTES);
    for (i = 0; status == KL_OK && i < record->field_count; i++) {
        vault_value_context(&record->id, record->fields[i].name, record->fields[i].version,
                            &context);
        status = kl_buf_status(&context, err);
        if (status == KL_OK) {
            status =
                item_read(values, of, record->fields[i].value,
                          record->fields[i].type == VAULT_TYPE_FILE, kl_buf_slice(&context), err);
        }
    }
    kl_buf_done(&context);
    return status;
}

/* The ledger as it counts, with what the journal closed in it, and the evidence of its entries. */
static enum kl_status ledger_read(struct vault_values *values, struct vault_values_subject *of,
                                  const struct vault_ledger *ledger, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf text;
    size_t i;

    kl_buf_init(&text, KMS_SEAL_MAX_BYTES);
    status = vault_ledger_encode(ledger, &text, err);
    if (status == KL_OK) {
        status = item_keep(values, of, VAULT_VALUE_LEDGER, kl_slice_text(LEDGER_CONTEXT),
                           kl_buf_slice(&text), err);
    }
    kl_buf_done(&text);
    for (i = 0; status == KL_OK && i < ledger->count + ledger->objection_count; i++) {
        if (vault_ledger_evidence(ledger, i) != KMS_VALUE_NONE) {
            status = item_read(values, of, vault_ledger_evidence(ledger, i), false,
                               kl_slice_text(EVIDENCE_CONTEXT), err);
        }
    }
    return status;
}

/* What lies beside the records, as it lies there. */
static enum kl_status asides_read(struct vault_values *values, struct vault_values_subject *of,
                                  const struct vault_aside *asides, size_t count,
                                  struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t i;

    for (i = 0; status == KL_OK && i < count; i++) {
        status =
            item_read(values, of, asides[i].value, false, kl_slice_text(asides[i].context), err);
    }
    return status;
}

static size_t items_max(const struct vault_subject *subject, const struct vault_ledger *ledger,
                        size_t asides)
{
    size_t count = 1 + ledger->count + ledger->objection_count + asides;
    size_t i;

    for (i = 0; i < subject->head.record_count; i++) {
        count += subject->records[i].gone ? 0 : subject->records[i].field_count;
    }
    return count;
}

enum kl_status vault_values_read(struct vault_values *values, uint64_t slot, struct kl_err *err)
{
    struct vault_values_subject *of = &values->subjects[values->count];
    struct vault_ledger ledger = {0};
    struct vault_aside *asides = NULL;
    size_t aside_count = 0;
    enum kl_status status = KL_OK;
    size_t i;

    assert(values->count < VAULT_VALUES_SUBJECTS_MAX);
    memset(of, 0, sizeof *of);
    status =
        vault_subject_load(values->vault, values->tenant, slot, values->arena, &of->subject, err);
    if (status == KL_OK) {
        status = vault_subject_ledger(values->vault, &of->subject, values->arena, &ledger, err);
    }
    if (status == KL_OK) {
        status = vault_aside_list(values->vault, values->tenant, slot, values->arena, &asides,
                                  &aside_count, err);
    }
    if (status == KL_OK) {
        of->items = kl_arena_array(values->arena, items_max(&of->subject, &ledger, aside_count),
                                   sizeof *of->items);
        status = of->items == NULL ? kl_fail_memory(err) : KL_OK;
    }
    if (status == KL_OK && of->subject.head.has_ledger) {
        status = ledger_read(values, of, &ledger, err);
    }
    if (status == KL_OK) {
        status = asides_read(values, of, asides, aside_count, err);
    }
    for (i = 0; status == KL_OK && i < of->subject.head.record_count; i++) {
        if (!of->subject.records[i].gone) {
            status = fields_read(values, of, &of->subject.records[i], err);
        }
    }
    if (status == KL_OK) {
        values->bytes += of->subject.row.size;
        values->count++;
    } else {
        vault_subject_done(&of->subject);
    }
    return status;
}

/* ---- rows beside ---- */

struct staging {
    const struct vault_values *values;
    struct kms_staged *staged;
    struct vault_batch *batch;
    struct kl_buf plain;
    struct kl_buf padded;
    struct kl_buf sealed;
};

static enum kl_status stage_write(struct staging *staging, struct kl_err *err)
{
    struct vault_commit commit = {
        .tenant = staging->values->tenant, .batch = staging->batch, .of_keys = true};
    enum kl_status status = vault_commit_submit(staging->values->vault->committer, &commit, err);

    vault_batch_clear(staging->batch);
    return status;
}

/* Pad and seal into staging->sealed. */
static enum kl_status stage_seal(struct staging *staging, uint64_t slot, uint64_t value,
                                 struct kl_slice context, struct kl_slice plain, struct kl_err *err)
{
    const struct kms_place place = {staging->values->tenant, slot, value};
    enum kl_status status = KL_OK;

    kl_buf_clear(&staging->padded);
    kl_buf_clear(&staging->sealed);
    status = vault_pad(plain, &staging->padded, err);
    return status == KL_OK ? kms_staged_seal(staging->staged, &place, context,
                                             kl_buf_slice(&staging->padded), &staging->sealed, err)
                           : status;
}

static enum kl_status sealed_keep(struct staging *staging, struct kl_slice *ret, struct kl_err *err)
{
    unsigned char *copy = kl_arena_alloc(staging->values->arena, staging->sealed.size);

    if (copy == NULL) {
        return kl_fail_memory(err);
    }
    memcpy(copy, staging->sealed.bytes, staging->sealed.size);
    *ret = kl_slice_of(copy, staging->sealed.size);
    return KL_OK;
}

/* One record's manifest, without its past: that is not carried over. */
static enum kl_status stage_record(struct staging *staging, uint64_t slot,
                                   const struct vault_manifest_record *record,
                                   struct vault_head_record *in_head, struct kl_err *err)
{
    struct vault_manifest_record now = *record;
    enum kl_status status = KL_OK;

    now.past_count = 0;
    kl_buf_clear(&staging->plain);
    status = vault_manifest_record_encode(&now, &staging->plain, err);
    if (status == KL_OK) {
        status = stage_seal(staging, slot, in_head->value, kl_slice_text(RECORD_CONTEXT),
                            kl_buf_slice(&staging->plain), err);
    }
    return status == KL_OK ? sealed_keep(staging, &in_head->sealed, err) : status;
}

static enum kl_status stage_head(struct staging *staging, const struct vault_subject *subject,
                                 struct kl_err *err)
{
    struct vault_head head = subject->head;
    struct vault_row_key key = vault_row_beside(staging->values->tenant, subject->slot, 'H', 0);
    enum kl_status status = KL_OK;
    struct kl_buf row;
    size_t kept = 0;
    size_t i;

    head.version++;
    head.records =
        kl_arena_array(staging->values->arena, subject->head.record_count, sizeof *head.records);
    if (head.records == NULL) {
        return kl_fail_memory(err);
    }
    kl_buf_clear(&staging->plain);
    status = vault_manifest_base_encode(&subject->base, &staging->plain, err);
    if (status == KL_OK) {
        status = stage_seal(staging, subject->slot, VAULT_VALUE_BASE, kl_slice_text(BASE_CONTEXT),
                            kl_buf_slice(&staging->plain), err);
    }
    if (status == KL_OK) {
        status = sealed_keep(staging, &head.base, err);
    }
    for (i = 0; status == KL_OK && i < subject->head.record_count; i++) {
        if (!subject->records[i].gone) {
            head.records[kept] = subject->head.records[i];
            status = stage_record(staging, subject->slot, &subject->records[i], &head.records[kept],
                                  err);
            kept++;
        }
    }
    head.record_count = kept;
    kl_buf_init(&row, VAULT_STORE_VALUE_MAX_BYTES);
    if (status == KL_OK) {
        status = vault_head_encode(&head, &row, err);
    }
    if (status == KL_OK) {
        vault_batch_put(staging->batch, vault_row_slice(&key), kl_buf_slice(&row));
    }
    kl_buf_done(&row);
    return status;
}

static enum kl_status stage_subject(struct staging *staging, const struct vault_values_subject *of,
                                    struct kl_err *err)
{
    struct vault_row_key key;
    enum kl_status status = stage_head(staging, &of->subject, err);
    size_t i;

    for (i = 0; status == KL_OK && i < of->count; i++) {
        key = vault_row_beside(staging->values->tenant, of->subject.slot, 'V', of->items[i].value);
        status = stage_seal(staging, of->subject.slot, of->items[i].value, of->items[i].context,
                            of->items[i].plain, err);
        if (status == KL_OK) {
            vault_batch_put(staging->batch, vault_row_slice(&key), kl_buf_slice(&staging->sealed));
        }
        if (status == KL_OK && of->items[i].is_file) {
            status = vault_values_file_stage(staging->values, staging->staged, of->subject.slot,
                                             of->items[i].value, staging->batch, err);
        }
        if (status == KL_OK && vault_batch_count(staging->batch) >= STAGE_ROWS_MAX) {
            status = stage_write(staging, err);
        }
    }
    return status;
}

/* What an attempt left that came to nothing: the swap takes all that is there, also of somebody who was erased since. */
static void left_remove(struct staging *staging)
{
    struct vault_row_key prefix = vault_row_beside(staging->values->tenant, 0, 0, 0);
    struct vault_row_key past;

    prefix.size = 1 + 8;
    past = vault_row_past(&prefix);
    vault_batch_remove_range(staging->batch, vault_row_slice(&prefix), vault_row_slice(&past));
}

enum kl_status vault_values_stage(const struct vault_values *values, struct kms_staged *staged,
                                  struct kl_err *err)
{
    struct staging staging = {.values = values, .staged = staged, .batch = vault_batch_new()};
    enum kl_status status = KL_OK;
    size_t i;

    kl_buf_init(&staging.plain, KMS_SEAL_MAX_BYTES);
    kl_buf_init(&staging.padded, KMS_SEAL_MAX_BYTES);
    kl_buf_init(&staging.sealed, KMS_SEAL_MAX_BYTES + KMS_SEAL_OVERHEAD_BYTES);
    if (staging.batch == NULL) {
        status = kl_fail_memory(err);
    } else {
        left_remove(&staging);
    }
    for (i = 0; status == KL_OK && i < values->count; i++) {
        status = stage_subject(&staging, &values->subjects[i], err);
    }
    if (status == KL_OK && values->count > 0) {
        status = stage_write(&staging, err);
    }
    vault_batch_free(staging.batch);
    kl_buf_done(&staging.plain);
    kl_buf_done(&staging.padded);
    kl_buf_done(&staging.sealed);
    return status;
}

/* ---- the swap ---- */

static void old_rows_remove(struct vault_batch *batch, struct vault_row_key prefix)
{
    struct vault_row_key past;

    prefix.size -= 8;
    past = vault_row_past(&prefix);
    vault_batch_remove_range(batch, vault_row_slice(&prefix), vault_row_slice(&past));
}

static void row_swap(struct vault_batch *batch, uint64_t tenant, uint64_t slot, unsigned char kind,
                     uint64_t value, struct kl_slice row)
{
    struct vault_row_key key = kind == 'H'   ? vault_row_head(tenant, slot)
                               : kind == 'L' ? vault_row_file(tenant, slot, value)
                                             : vault_row_value(tenant, slot, value);

    vault_batch_put(batch, vault_row_slice(&key), row);
}

enum kl_status vault_values_swap(struct vault *vault, const struct vault_note *note,
                                 struct vault_batch *batch, struct kl_err *err)
{
    struct vault_row_key first = vault_row_beside(note->tenant, note->slot, 0, 0);
    struct vault_row_key last = vault_row_beside(note->tenant, note->record, 0xff, UINT64_MAX);
    struct vault_row_key past = vault_row_past(&last);
    struct vault_iter *iter = NULL;
    enum kl_status status = KL_OK;
    struct kl_slice key;
    struct kl_slice row;
    uint64_t slot = 0;
    uint64_t at = 0;

    if (note->records == 0) {
        return KL_OK;
    }
    iter =
        vault_iter_new(vault->data_store, vault_row_slice(&first), vault_row_slice(&past), false);
    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    while (vault_iter_next(iter, &key, &row)) {
        at = kl_get_u64be(key.bytes + 9);
        if (at != slot) { /* slots of subjects are never 0 */
            slot = at;
            old_rows_remove(batch, vault_row_value(note->tenant, slot, 0));
            old_rows_remove(batch, vault_row_file(note->tenant, slot, 0));
        }
        row_swap(batch, note->tenant, slot, key.bytes[17], kl_get_u64be(key.bytes + 18), row);
    }
    status = vault_iter_status(iter, err);
    vault_iter_free(iter);
    vault_batch_remove_range(batch, vault_row_slice(&first), vault_row_slice(&past));
    return status;
}

enum kl_status vault_values_tidy(struct vault *vault, struct kl_err *err)
{
    struct vault_row_key first = vault_row_beside(0, 0, 0, 0);
    struct vault_row_key past;
    struct vault_batch *batch = vault_batch_new();
    struct vault_commit commit = {
        .tenant = KMS_TENANT_VAULT, .batch = batch, .unsynced = true, .of_keys = true};
    enum kl_status status = KL_OK;

    if (batch == NULL) {
        return kl_fail_memory(err);
    }
    first.size = 1;
    past = vault_row_past(&first);
    vault_batch_remove_range(batch, vault_row_slice(&first), vault_row_slice(&past));
    status = vault_commit_submit(vault->committer, &commit, err);
    vault_batch_free(batch);
    return status;
}
