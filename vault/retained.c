#include "vault/retained.h"

#include "kluis/base/log.h"
#include "vault/rows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT 1
#define CONTEXT "retained"
#define KEY_ROW "VK"
#define RECEIPT_ROW "VL"
#define KEY_BYTES (2 + 8 + 8 + 8)
#define RECEIPT_KEY_BYTES (2 + 8 + KL_ID_BYTES)
#define ROW_MAX_BYTES (KMS_SEAL_MAX_BYTES + KMS_SEAL_OVERHEAD_BYTES + 1024)

bool vault_record_is_held(const struct vault_manifest_record *record, int64_t now_us)
{
    return record->hold_basis != NULL && record->hold_until_us > now_us;
}

/* ---- keys of rows ---- */

struct key {
    unsigned char bytes[RECEIPT_KEY_BYTES > KEY_BYTES ? RECEIPT_KEY_BYTES : KEY_BYTES];
    size_t size;
};

static struct kl_slice key_slice(const struct key *key)
{
    return kl_slice_of(key->bytes, key->size);
}

/* The first 2, 10, 18 or all bytes of it are a prefix. */
static struct key key_of(uint64_t tenant, uint64_t slot, uint64_t value)
{
    struct key key = {.size = KEY_BYTES};

    memcpy(key.bytes, KEY_ROW, 2);
    kl_put_u64be(key.bytes + 2, tenant);
    kl_put_u64be(key.bytes + 10, slot);
    kl_put_u64be(key.bytes + 18, value);
    return key;
}

static struct key receipt_key_of(uint64_t tenant, const struct kl_id *receipt)
{
    struct key key = {.size = RECEIPT_KEY_BYTES};

    memcpy(key.bytes, RECEIPT_ROW, 2);
    kl_put_u64be(key.bytes + 2, tenant);
    memcpy(key.bytes + 10, receipt->bytes, KL_ID_BYTES);
    return key;
}

/* ---- writing ---- */

static enum kl_status seal_manifest(struct vault *vault, const struct vault_subject *subject,
                                    const struct vault_manifest_record *record, uint64_t value,
                                    struct kl_buf *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_manifest_record kept = *record;
    struct kms_place place = {subject->tenant, subject->slot, value};
    struct kl_buf part;
    struct kl_buf plain;
    struct kl_buf padded;

    kept.past_count = 0;
    kl_buf_init(&part, VAULT_MANIFEST_MAX_BYTES);
    kl_buf_init(&plain, KMS_SEAL_MAX_BYTES);
    kl_buf_init(&padded, KMS_SEAL_MAX_BYTES);
    status = vault_manifest_base_encode(&subject->base, &part, err);
    kl_buf_add_sized(&plain, part.bytes, part.size);
    kl_buf_clear(&part);
    if (status == KL_OK) {
        status = vault_manifest_record_encode(&kept, &part, err);
    }
    kl_buf_add_sized(&plain, part.bytes, part.size);
    if (status == KL_OK) {
        status = kl_buf_status(&plain, err);
    }
    if (status == KL_OK) {
        status = vault_pad(kl_buf_slice(&plain), &padded, err);
    }
    if (status == KL_OK) {
        status =
            kms_seal(vault->keys, &place, kl_slice_text(CONTEXT), kl_buf_slice(&padded), ret, err);
    }
    kl_buf_done(&part);
    kl_buf_done(&plain);
    kl_buf_done(&padded);
    return status;
}

static enum kl_status write_row(struct vault *vault, const struct vault_subject *subject,
                                const struct kl_id *receipt,
                                const struct vault_manifest_record *record,
                                const struct vault_note_retained *note, struct kl_buf *ret,
                                struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf sealed;

    kl_buf_init(&sealed, KMS_SEAL_MAX_BYTES + KMS_SEAL_OVERHEAD_BYTES);
    status = seal_manifest(vault, subject, record, note->value, &sealed, err);
    kl_buf_add_byte(ret, FORMAT);
    kl_buf_add(ret, receipt->bytes, KL_ID_BYTES);
    kl_buf_add_u64be(ret, (uint64_t)note->until_us);
    kl_buf_add(ret, note->commitment, sizeof note->commitment);
    kl_buf_add_sized(ret, note->basis, strlen(note->basis));
    kl_buf_add_sized(ret, sealed.bytes, sealed.size);
    kl_buf_done(&sealed);
    return status == KL_OK ? kl_buf_status(ret, err) : status;
}

enum kl_status vault_retained_write(struct vault *vault, const struct vault_subject *subject,
                                    const struct kl_id *receipt,
                                    const struct vault_manifest_record *const *records,
                                    const struct vault_note_retained *retained, size_t count,
                                    struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kms_storage_write writes[VAULT_HOLDS_MAX + 1] = {0};
    struct key keys[VAULT_HOLDS_MAX];
    struct key receipt_key = receipt_key_of(subject->tenant, receipt);
    struct kl_buf rows[VAULT_HOLDS_MAX];
    unsigned char slot[8];
    size_t i;

    assert(count <= VAULT_HOLDS_MAX);
    for (i = 0; i < count; i++) {
        kl_buf_init(&rows[i], ROW_MAX_BYTES);
    }
    for (i = 0; status == KL_OK && i < count; i++) {
        status = write_row(vault, subject, receipt, records[i], &retained[i], &rows[i], err);
        keys[i] = key_of(subject->tenant, subject->slot, retained[i].value);
        writes[i].key = key_slice(&keys[i]);
        writes[i].value = kl_buf_slice(&rows[i]);
    }
    kl_put_u64be(slot, subject->slot);
    writes[count].key = key_slice(&receipt_key);
    writes[count].value = kl_slice_of(slot, sizeof slot);
    if (status == KL_OK) {
        status = kms_side_apply(vault->keys, writes, count + 1, true, err);
    }
    for (i = 0; i < count; i++) {
        kl_buf_done(&rows[i]);
    }
    return status;
}

/* ---- reading ---- */

static bool read_bytes(struct kl_reader *in, unsigned char *ret, size_t size)
{
    struct kl_slice bytes = kl_read_bytes(in, size);

    if (in->ok) {
        memcpy(ret, bytes.bytes, size);
    }
    return in->ok;
}

static bool read_row(struct kl_slice key, struct kl_slice value, struct vault_retained *ret,
                     struct kl_slice *ret_sealed)
{
    struct kl_reader in = kl_reader_of(value);
    struct vault_retained retained = {0};
    struct kl_slice basis;

    if (key.size != KEY_BYTES || kl_read_byte(&in) != FORMAT) {
        return false;
    }
    retained.tenant = kl_get_u64be(key.bytes + 2);
    retained.slot = kl_get_u64be(key.bytes + 10);
    retained.note.value = kl_get_u64be(key.bytes + 18);
    (void)read_bytes(&in, retained.receipt.bytes, KL_ID_BYTES);
    retained.note.until_us = (int64_t)kl_read_u64be(&in);
    (void)read_bytes(&in, retained.note.commitment, sizeof retained.note.commitment);
    basis = kl_read_sized(&in);
    *ret_sealed = kl_read_sized(&in);
    if (!kl_reader_done(&in) || basis.size > VAULT_HOLD_BASIS_MAX_BYTES) {
        return false;
    }
    memcpy(retained.note.basis, basis.bytes, basis.size);
    *ret = retained;
    return true;
}

enum kl_status vault_retained_slot(struct vault *vault, uint64_t tenant,
                                   const struct kl_id *receipt, uint64_t *ret_slot,
                                   struct kl_err *err)
{
    struct key key = receipt_key_of(tenant, receipt);
    struct kl_err cause = {0};
    enum kl_status status = KL_OK;
    struct kl_buf row;

    kl_buf_init(&row, 64);
    status = kms_side_get(vault->keys, key_slice(&key), &row, &cause);
    if (status == KL_ERR_NOT_FOUND || (status == KL_OK && row.size != 8)) {
        status = vault_not_found(err);
    } else if (status != KL_OK) {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    } else {
        *ret_slot = kl_get_u64be(row.bytes);
    }
    kl_buf_done(&row);
    return status;
}

/* What is gathered of a slot's rows: kept whole, to be opened when the walk is over. */
struct gathering {
    struct kl_arena *arena;
    struct vault_retained *retained;
    struct kl_slice *sealed;
    size_t count;
};

static enum kl_status gather(void *visitor, struct kl_slice key, struct kl_slice value,
                             struct kl_err *err)
{
    struct gathering *gathering = visitor;
    struct kl_slice sealed;
    unsigned char *copy = NULL;

    if (gathering->count == VAULT_HOLDS_MAX ||
        !read_row(key, value, &gathering->retained[gathering->count], &sealed)) {
        kl_log(KL_LOG_WARNING, "retained_row_damaged", KL_LOG_INT("count", gathering->count));
        return KL_OK;
    }
    copy = kl_arena_alloc(gathering->arena, sealed.size);
    if (copy == NULL) {
        return kl_fail_memory(err);
    }
    memcpy(copy, sealed.bytes, sealed.size);
    gathering->sealed[gathering->count++] = kl_slice_of(copy, sealed.size);
    return KL_OK;
}

static enum kl_status open_manifest(struct vault *vault, const struct vault_retained *retained,
                                    struct kl_slice sealed, struct kl_arena *arena,
                                    struct vault_subject *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kms_place place = {retained->tenant, retained->slot, retained->note.value};
    struct kl_buf plain;
    struct kl_slice text;
    struct kl_slice base;
    struct kl_slice record;
    struct kl_reader in;

    kl_buf_init(&plain, KMS_SEAL_MAX_BYTES);
    status = kms_unseal(vault->keys, &place, kl_slice_text(CONTEXT), sealed, &plain, err);
    if (status == KL_OK) {
        status = vault_unpad(kl_buf_slice(&plain), &text, err);
    }
    if (status == KL_OK) {
        in = kl_reader_of(text);
        base = kl_read_sized(&in);
        record = kl_read_sized(&in);
        status = kl_reader_done(&in)
                     ? vault_manifest_base_decode(base, &ret->base, err)
                     : kl_fail(err, KL_ERR_CORRUPT, "manifest_damaged",
                               "what is stored about this subject cannot be read", NULL);
    }
    if (status == KL_OK) {
        ret->records = kl_arena_array(arena, 1, sizeof *ret->records);
        ret->head.records = kl_arena_array(arena, 1, sizeof *ret->head.records);
        status = ret->records == NULL || ret->head.records == NULL
                     ? kl_fail_memory(err)
                     : vault_manifest_record_decode(record, arena, ret->records, err);
    }
    if (status == KL_OK) {
        ret->tenant = retained->tenant;
        ret->slot = retained->slot;
        ret->head.record_count = 1;
        ret->head.records[0].value = retained->note.value;
    }
    kl_buf_done(&plain);
    return status;
}

enum kl_status vault_retained_open(struct vault *vault, uint64_t tenant, uint64_t slot,
                                   struct kl_arena *arena, struct vault_retained **ret_retained,
                                   struct vault_subject **ret_subjects, size_t *ret_count,
                                   struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct key prefix = key_of(tenant, slot, 0);
    struct gathering gathering = {.arena = arena};
    struct vault_subject *subjects =
        kl_arena_array(arena, VAULT_HOLDS_MAX, sizeof(struct vault_subject));
    struct kl_err unopened = {0};
    size_t count = 0;
    size_t i;

    prefix.size -= 8;
    gathering.retained = kl_arena_array(arena, VAULT_HOLDS_MAX, sizeof *gathering.retained);
    gathering.sealed = kl_arena_array(arena, VAULT_HOLDS_MAX, sizeof *gathering.sealed);
    if (subjects == NULL || gathering.retained == NULL || gathering.sealed == NULL) {
        return kl_fail_memory(err);
    }
    status = kms_side_range(vault->keys, key_slice(&prefix), gather, &gathering, err);
    for (i = 0; status == KL_OK && i < gathering.count; i++) {
        memset(&subjects[count], 0, sizeof subjects[count]);
        kl_err_clear(&unopened);
        status = open_manifest(vault, &gathering.retained[i], gathering.sealed[i], arena,
                               &subjects[count], &unopened);
        if (status == KL_OK) {
            gathering.retained[count++] = gathering.retained[i];
        } else if (status == KL_ERR_GONE || status == KL_ERR_CORRUPT) {
            status = KL_OK;
        } else {
            status =
                kl_fail(err, status, unopened.code, unopened.client_text, "%s", unopened.log_text);
        }
    }
    if (status == KL_OK) {
        *ret_retained = gathering.retained;
        *ret_subjects = subjects;
        *ret_count = count;
    }
    return status;
}

enum kl_status vault_retained_is_stale(struct vault *vault, uint64_t tenant, uint64_t slot,
                                       bool *ret_stale, struct kl_err *err)
{
    const struct kms_place base = {tenant, slot, VAULT_VALUE_BASE};
    struct kl_err cause = {0};
    enum kl_status status = kms_place_check(vault->keys, &base, &cause);

    if (status != KL_OK && status != KL_ERR_GONE) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    *ret_stale = status == KL_OK;
    return KL_OK;
}

struct due {
    int64_t until_us;
    struct vault_retained *found;
    size_t max;
    size_t count;
};

static enum kl_status due_gather(void *visitor, struct kl_slice key, struct kl_slice value,
                                 struct kl_err *err)
{
    struct due *due = visitor;
    struct vault_retained retained;
    struct kl_slice sealed;

    (void)err;
    if (due->count < due->max && read_row(key, value, &retained, &sealed) &&
        retained.note.until_us <= due->until_us) {
        due->found[due->count++] = retained;
    }
    return KL_OK;
}

enum kl_status vault_retained_due_find(struct vault *vault, int64_t until_us,
                                       struct vault_retained *ret, size_t max, size_t *ret_count,
                                       struct kl_err *err)
{
    struct due due = {.until_us = until_us, .found = ret, .max = max};
    enum kl_status status =
        kms_side_range(vault->keys, kl_slice_text(KEY_ROW), due_gather, &due, err);

    if (status == KL_OK) {
        *ret_count = due.count;
    }
    return status;
}

/* ---- forgetting ---- */

static enum kl_status count_row(void *visitor, struct kl_slice key, struct kl_slice value,
                                struct kl_err *err)
{
    size_t *count = visitor;

    (void)value;
    (void)err;
    *count += key.size == KEY_BYTES ? 1 : 0;
    return KL_OK;
}

enum kl_status vault_retained_forget(struct vault *vault, const struct vault_retained *retained,
                                     struct kl_err *err)
{
    struct key key = key_of(retained->tenant, retained->slot, retained->note.value);
    struct key prefix = key_of(retained->tenant, retained->slot, 0);
    struct key receipt = receipt_key_of(retained->tenant, &retained->receipt);
    const struct kms_storage_write writes[2] = {{.key = key_slice(&key)},
                                                {.key = key_slice(&receipt)}};
    enum kl_status status = KL_OK;
    size_t count = 0;

    prefix.size -= 8;
    status = kms_side_range(vault->keys, key_slice(&prefix), count_row, &count, err);
    return status == KL_OK ? kms_side_apply(vault->keys, writes, count > 1 ? 1 : 2, false, err)
                           : status;
}

/* ---- rows of the subject ---- */

static int by_number(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return left < right ? -1 : left > right ? 1 : 0;
}

/* Value slots of what was retained of a slot, sorted; the arena's. */
static enum kl_status kept_values(struct vault *vault, uint64_t tenant, uint64_t slot,
                                  struct kl_arena *arena, uint64_t **ret, size_t *ret_count,
                                  struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_retained *retained = NULL;
    struct vault_subject *subjects = NULL;
    uint64_t *values = NULL;
    size_t of = 0;
    size_t count = 0;
    size_t i;
    size_t k;

    status = vault_retained_open(vault, tenant, slot, arena, &retained, &subjects, &of, err);
    if (status != KL_OK) {
        return status;
    }
    values = kl_arena_array(arena, of * VAULT_FIELDS_INPUT_MAX, sizeof *values);
    if (values == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < of; i++) {
        for (k = 0; k < subjects[i].records[0].field_count; k++) {
            values[count++] = subjects[i].records[0].fields[k].value;
        }
    }
    qsort(values, count, sizeof *values, by_number);
    *ret = values;
    *ret_count = count;
    return KL_OK;
}

/* From first to before past; past 0: to the end of the slot's rows. */
typedef struct vault_row_key (*row_of)(uint64_t tenant, uint64_t slot, uint64_t value);

static void remove_rows(struct vault_batch *batch, row_of row, uint64_t tenant, uint64_t slot,
                        uint64_t first, uint64_t past)
{
    struct vault_row_key from = row(tenant, slot, first);
    struct vault_row_key prefix = from;
    struct vault_row_key to;

    prefix.size -= 8;
    to = past == 0 ? vault_row_past(&prefix) : row(tenant, slot, past);
    if (past == 0 || first < past) {
        vault_batch_remove_range(batch, vault_row_slice(&from), vault_row_slice(&to));
    }
}

static void remove_values(struct vault_batch *batch, uint64_t tenant, uint64_t slot, uint64_t first,
                          uint64_t past)
{
    remove_rows(batch, vault_row_value, tenant, slot, first, past);
    remove_rows(batch, vault_row_file, tenant, slot, first, past);
}

enum kl_status vault_subject_rows_remove(struct vault *vault, uint64_t tenant, uint64_t slot,
                                         struct vault_batch *batch, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key head = vault_row_head(tenant, slot);
    struct kl_arena *arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    uint64_t *values = NULL;
    uint64_t next = 0;
    size_t count = 0;
    size_t i;

    status = arena == NULL ? kl_fail_memory(err)
                           : kept_values(vault, tenant, slot, arena, &values, &count, err);
    if (status == KL_OK) {
        vault_batch_remove(batch, vault_row_slice(&head));
        for (i = 0; i < count; i++) {
            if (values[i] > next) {
                remove_values(batch, tenant, slot, next, values[i]);
            }
            next = values[i] + 1;
        }
        remove_values(batch, tenant, slot, next, 0);
    }
    kl_arena_free(arena);
    return status;
}
