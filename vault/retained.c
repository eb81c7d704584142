/* Rows of what an erasure kept: written, read, found. */
#include "kluis/base/log.h"
#include "vault/retained_internal.h"
#include "vault/rows.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT 1
#define CONTEXT "retained"
#define ROW_MAX_BYTES (KMS_SEAL_MAX_BYTES + KMS_SEAL_OVERHEAD_BYTES + 1024)
/* Rows written at once. */
#define WRITTEN_AT_ONCE 64
#define LINES_FIRST 16

/* ---- keys of rows ---- */

struct kl_slice vault_retained_key_slice(const struct retained_key *key)
{
    return kl_slice_of(key->bytes, key->size);
}

struct retained_key vault_retained_key(uint64_t tenant, uint64_t slot, uint64_t value)
{
    struct retained_key key = {.size = RETAINED_KEY_BYTES};

    memcpy(key.bytes, RETAINED_ROW, 2);
    kl_put_u64be(key.bytes + 2, tenant);
    kl_put_u64be(key.bytes + 10, slot);
    kl_put_u64be(key.bytes + 18, value);
    return key;
}

struct retained_key vault_retained_key_prefix(uint64_t tenant, uint64_t slot)
{
    struct retained_key key = vault_retained_key(tenant, slot, 0);

    key.size -= 8;
    return key;
}

struct retained_key vault_retained_receipt_key(uint64_t tenant, const struct kl_id *receipt)
{
    struct retained_key key = {.size = RETAINED_RECEIPT_KEY_BYTES};

    memcpy(key.bytes, RETAINED_RECEIPT_ROW, 2);
    kl_put_u64be(key.bytes + 2, tenant);
    memcpy(key.bytes + 10, receipt->bytes, KL_ID_BYTES);
    return key;
}

uint64_t vault_retained_key_slot(struct kl_slice key)
{
    return kl_get_u64be(key.bytes + 10);
}

uint64_t vault_retained_key_value(struct kl_slice key)
{
    return kl_get_u64be(key.bytes + 18);
}

/* ---- writing ---- */

static enum kl_status seal_manifest(struct vault *vault, const struct vault_subject *subject,
                                    const struct vault_kept *line, uint64_t value,
                                    struct kl_buf *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_manifest_base base = subject->base;
    struct vault_manifest_record kept = subject->records[line->record];
    struct kms_place place = {subject->tenant, subject->slot, value};
    struct kl_buf part;
    struct kl_buf plain;
    struct kl_buf padded;

    kept.fields = line->fields;
    kept.field_count = line->field_count;
    kept.past_count = 0;
    base.handle_count = 0;
    randombytes_buf(base.token_seed, sizeof base.token_seed); /* pseudonyms end with the erasure */
    kl_buf_init(&part, VAULT_MANIFEST_MAX_BYTES);
    kl_buf_init(&plain, KMS_SEAL_MAX_BYTES);
    kl_buf_init(&padded, KMS_SEAL_MAX_BYTES);
    status = vault_manifest_base_encode(&base, &part, err);
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
                                const struct vault_kept *line, const struct vault_retained *row,
                                struct kl_buf *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf sealed;

    kl_buf_init(&sealed, KMS_SEAL_MAX_BYTES + KMS_SEAL_OVERHEAD_BYTES);
    status = seal_manifest(vault, subject, line, row->value, &sealed, err);
    kl_buf_add_byte(ret, FORMAT);
    kl_buf_add(ret, row->receipt.bytes, KL_ID_BYTES);
    kl_buf_add_u64be(ret, (uint64_t)row->until_us);
    kl_buf_add(ret, row->commitment, sizeof row->commitment);
    kl_buf_add_sized(ret, row->basis, strlen(row->basis));
    kl_buf_add_sized(ret, sealed.bytes, sealed.size);
    kl_buf_done(&sealed);
    return status == KL_OK ? kl_buf_status(ret, err) : status;
}

/* Some rows; last: with what leads to them from the receipt. */
static enum kl_status write_some(struct vault *vault, const struct vault_subject *subject,
                                 const struct vault_kept *kept, const struct vault_retained *rows,
                                 size_t count, bool last, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kms_storage_write writes[WRITTEN_AT_ONCE + 1] = {0};
    struct retained_key keys[WRITTEN_AT_ONCE];
    struct retained_key receipt_key = vault_retained_receipt_key(subject->tenant, &rows[0].receipt);
    struct kl_buf values[WRITTEN_AT_ONCE];
    unsigned char slot[8];
    size_t i;

    for (i = 0; i < count; i++) {
        kl_buf_init(&values[i], ROW_MAX_BYTES);
    }
    for (i = 0; status == KL_OK && i < count; i++) {
        status = write_row(vault, subject, &kept[i], &rows[i], &values[i], err);
        keys[i] = vault_retained_key(subject->tenant, subject->slot, rows[i].value);
        writes[i].key = vault_retained_key_slice(&keys[i]);
        writes[i].value = kl_buf_slice(&values[i]);
    }
    kl_put_u64be(slot, subject->slot);
    writes[count].key = vault_retained_key_slice(&receipt_key);
    writes[count].value = kl_slice_of(slot, sizeof slot);
    if (status == KL_OK) {
        status = kms_side_apply(vault->keys, writes, count + (last ? 1 : 0), true, err);
    }
    for (i = 0; i < count; i++) {
        kl_buf_done(&values[i]);
    }
    return status;
}

enum kl_status vault_retained_write(struct vault *vault, const struct vault_subject *subject,
                                    const struct vault_kept *kept,
                                    const struct vault_retained *rows, size_t count,
                                    struct kl_err *err)
{
    enum kl_status status = vault_retained_tidy(vault, subject->tenant, subject->slot, true, err);
    size_t at = 0;
    size_t some = 0;

    for (; status == KL_OK && at < count; at += some) {
        some = count - at < WRITTEN_AT_ONCE ? count - at : WRITTEN_AT_ONCE;
        status = write_some(vault, subject, kept + at, rows + at, some, at + some == count, err);
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

bool vault_retained_row_read(struct kl_slice key, struct kl_slice value, struct vault_retained *ret,
                             struct kl_slice *ret_sealed)
{
    struct kl_reader in = kl_reader_of(value);
    struct vault_retained retained = {0};
    struct kl_slice basis;

    if (key.size != RETAINED_KEY_BYTES || kl_read_byte(&in) != FORMAT) {
        return false;
    }
    retained.tenant = kl_get_u64be(key.bytes + 2);
    retained.slot = vault_retained_key_slot(key);
    retained.value = vault_retained_key_value(key);
    (void)read_bytes(&in, retained.receipt.bytes, KL_ID_BYTES);
    retained.until_us = (int64_t)kl_read_u64be(&in);
    (void)read_bytes(&in, retained.commitment, sizeof retained.commitment);
    basis = kl_read_sized(&in);
    *ret_sealed = kl_read_sized(&in);
    if (!kl_reader_done(&in) || basis.size > VAULT_HOLD_BASIS_MAX_BYTES) {
        return false;
    }
    memcpy(retained.basis, basis.bytes, basis.size);
    *ret = retained;
    return true;
}

enum kl_status vault_retained_slot(struct vault *vault, uint64_t tenant,
                                   const struct kl_id *receipt, uint64_t *ret_slot,
                                   struct kl_err *err)
{
    struct retained_key key = vault_retained_receipt_key(tenant, receipt);
    struct kl_err cause = {0};
    enum kl_status status = KL_OK;
    struct kl_buf row;

    kl_buf_init(&row, 64);
    status = kms_side_get(vault->keys, vault_retained_key_slice(&key), &row, &cause);
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

enum kl_status vault_retained_is_there(struct vault *vault, uint64_t tenant, uint64_t slot,
                                       uint64_t value, bool *ret_there, struct kl_err *err)
{
    const struct kms_place place = {tenant, slot, value};
    struct kl_err cause = {0};
    enum kl_status status = kms_place_check(vault->keys, &place, &cause);

    if (status != KL_OK && status != KL_ERR_GONE) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    *ret_there = status == KL_OK;
    return KL_OK;
}

/* ---- the rows of an erasure ---- */

struct visiting {
    const struct kl_id *receipt;
    vault_retained_visit visit;
    void *visitor;
};

static enum kl_status visit_row(void *context, struct kl_slice key, struct kl_slice value,
                                struct kl_err *err)
{
    const struct visiting *visiting = context;
    struct vault_retained row;
    struct kl_slice sealed;

    return vault_retained_row_read(key, value, &row, &sealed) &&
                   kl_id_equal(&row.receipt, visiting->receipt)
               ? visiting->visit(visiting->visitor, &row, err)
               : KL_OK;
}

enum kl_status vault_retained_each(struct vault *vault, uint64_t tenant, uint64_t slot,
                                   const struct kl_id *receipt, vault_retained_visit visit,
                                   void *visitor, struct kl_err *err)
{
    struct retained_key prefix = vault_retained_key_prefix(tenant, slot);
    struct visiting visiting = {.receipt = receipt, .visit = visit, .visitor = visitor};

    return kms_side_range(vault->keys, vault_retained_key_slice(&prefix), visit_row, &visiting,
                          err);
}

/* ---- what a line leads to ---- */

static enum kl_status open_manifest(struct vault *vault, const struct vault_retained *row,
                                    struct kl_slice sealed, struct kl_arena *arena,
                                    struct vault_subject *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kms_place place = {row->tenant, row->slot, row->value};
    struct kl_buf plain;
    struct kl_slice text;
    struct kl_slice base;
    struct kl_slice record;
    struct kl_reader in;

    memset(ret, 0, sizeof *ret);
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
        ret->tenant = row->tenant;
        ret->slot = row->slot;
        ret->head.record_count = 1;
        ret->head.records[0].value = row->value;
    }
    kl_buf_done(&plain);
    return status;
}

enum kl_status vault_retained_open(struct vault *vault, const struct vault_retained *row,
                                   struct kl_arena *arena, struct vault_subject *ret,
                                   struct kl_err *err)
{
    struct retained_key key = vault_retained_key(row->tenant, row->slot, row->value);
    struct vault_retained read;
    struct kl_slice sealed;
    enum kl_status status = KL_OK;
    struct kl_buf stored;

    kl_buf_init(&stored, ROW_MAX_BYTES);
    status = kms_side_get(vault->keys, vault_retained_key_slice(&key), &stored, err);
    if (status == KL_ERR_NOT_FOUND) {
        kl_err_clear(err);
        status = kl_fail(err, KL_ERR_GONE, "gone", "this is not there any more", NULL);
    } else if (status == KL_OK && !vault_retained_row_read(vault_retained_key_slice(&key),
                                                           kl_buf_slice(&stored), &read, &sealed)) {
        status = kl_fail(err, KL_ERR_CORRUPT, "retained_damaged",
                         "what was kept of a subject cannot be read", NULL);
    }
    if (status == KL_OK) {
        status = open_manifest(vault, row, sealed, arena, ret, err);
    }
    kl_buf_done(&stored);
    return status;
}

/* scratch: one manifest at a time. */
struct gathering {
    struct vault *vault;
    struct kl_arena *arena;
    struct kl_arena *scratch;
    struct vault_retained_line *lines;
    size_t count;
    size_t room;
    size_t lost;
};

static struct vault_retained_line *line_add(struct gathering *gathering)
{
    size_t room = gathering->room == 0 ? LINES_FIRST : 2 * gathering->room;
    struct vault_retained_line *lines = gathering->lines;

    if (gathering->count == gathering->room) {
        lines = kl_arena_array(gathering->arena, room, sizeof *lines);
        if (lines == NULL) {
            return NULL;
        }
        if (gathering->count > 0) {
            memcpy(lines, gathering->lines, gathering->count * sizeof *lines);
        }
        gathering->lines = lines;
        gathering->room = room;
    }
    return &lines[gathering->count];
}

static enum kl_status line_open(struct gathering *gathering, struct kl_slice sealed,
                                struct vault_retained_line *line, struct kl_err *err)
{
    struct vault_subject subject;
    const struct vault_manifest_record *record = NULL;
    enum kl_status status = KL_OK;
    size_t i;

    kl_arena_reset(gathering->scratch);
    status = open_manifest(gathering->vault, &line->row, sealed, gathering->scratch, &subject, err);
    if (status != KL_OK) {
        return status;
    }
    record = &subject.records[0];
    line->values = kl_arena_array(gathering->arena, record->field_count, sizeof *line->values);
    if (line->values == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < record->field_count; i++) {
        line->values[line->value_count++] = record->fields[i].value;
    }
    line->record = record->id;
    line->opened = true;
    return KL_OK;
}

/* A row whose value slot is gone is of an erasure that never came to its commit, or of a line that ended. */
static enum kl_status gather(void *visitor, struct kl_slice key, struct kl_slice value,
                             struct kl_err *err)
{
    struct gathering *gathering = visitor;
    struct vault_retained_line *line = line_add(gathering);
    struct kl_err unopened = {0};
    enum kl_status status = KL_OK;
    struct kl_slice sealed;
    bool there = true;

    if (line == NULL) {
        return kl_fail_memory(err);
    }
    if (key.size == RETAINED_KEY_BYTES) {
        status = vault_retained_is_there(gathering->vault, kl_get_u64be(key.bytes + 2),
                                         vault_retained_key_slot(key),
                                         vault_retained_key_value(key), &there, err);
    }
    if (status != KL_OK || !there) {
        return status;
    }
    memset(line, 0, sizeof *line);
    if (!vault_retained_row_read(key, value, &line->row, &sealed)) {
        kl_log(KL_LOG_ERROR, "retained_row_damaged", KL_LOG_INT("count", gathering->count));
        gathering->lost++;
        return KL_OK;
    }
    status = line_open(gathering, sealed, line, &unopened);
    if (status == KL_ERR_GONE) {
        return KL_OK;
    }
    if (status == KL_ERR_CORRUPT) {
        kl_log_err(KL_LOG_ERROR, "retained_row_damaged", &unopened);
    } else if (status != KL_OK) {
        return kl_fail(err, status, unopened.code, unopened.client_text, "%s", unopened.log_text);
    }
    gathering->count++;
    return KL_OK;
}

enum kl_status vault_retained_lines(struct vault *vault, uint64_t tenant, uint64_t slot,
                                    struct kl_arena *arena, struct vault_retained_line **ret,
                                    size_t *ret_count, size_t *ret_lost, struct kl_err *err)
{
    struct retained_key prefix = vault_retained_key_prefix(tenant, slot);
    struct gathering gathering = {
        .vault = vault, .arena = arena, .scratch = kl_arena_new(VAULT_WORK_MAX_BYTES)};
    enum kl_status status = gathering.scratch == NULL
                                ? kl_fail_memory(err)
                                : kms_side_range(vault->keys, vault_retained_key_slice(&prefix),
                                                 gather, &gathering, err);

    kl_arena_free(gathering.scratch);
    if (status == KL_OK) {
        *ret = gathering.lines;
        *ret_count = gathering.count;
    }
    if (status == KL_OK && ret_lost != NULL) {
        *ret_lost = gathering.lost;
    }
    return status;
}

/* ---- what is due ---- */

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
    if (due->count < due->max && vault_retained_row_read(key, value, &retained, &sealed) &&
        retained.until_us <= due->until_us) {
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
        kms_side_range(vault->keys, kl_slice_text(RETAINED_ROW), due_gather, &due, err);

    if (status == KL_OK) {
        *ret_count = due.count;
    }
    return status;
}

/* slots: room for max. */
struct listing {
    uint64_t first;
    uint64_t *slots;
    size_t max;
    size_t count;
};

/* Rows come in the order of their keys. */
static enum kl_status slot_gather(void *visitor, struct kl_slice key, struct kl_slice value,
                                  struct kl_err *err)
{
    struct listing *listing = visitor;
    uint64_t slot = key.size == RETAINED_KEY_BYTES ? vault_retained_key_slot(key) : 0;

    (void)value;
    (void)err;
    if (key.size == RETAINED_KEY_BYTES && slot >= listing->first && listing->count < listing->max &&
        (listing->count == 0 || listing->slots[listing->count - 1] != slot)) {
        listing->slots[listing->count++] = slot;
    }
    return KL_OK;
}

enum kl_status vault_retained_slots(struct vault *vault, uint64_t tenant, uint64_t first,
                                    uint64_t *ret_slots, size_t max, size_t *ret_count,
                                    struct kl_err *err)
{
    struct retained_key prefix = vault_retained_key_prefix(tenant, 0);
    struct listing listing = {.first = first, .slots = ret_slots, .max = max};
    enum kl_status status = KL_OK;

    prefix.size -= 8;
    status =
        kms_side_range(vault->keys, vault_retained_key_slice(&prefix), slot_gather, &listing, err);
    if (status == KL_OK) {
        *ret_count = listing.count;
    }
    return status;
}
