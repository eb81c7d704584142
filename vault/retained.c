#include "vault/retained.h"

#include "kluis/base/log.h"
#include "vault/rows.h"

#include <assert.h>
#include <sodium.h>
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

static enum kl_status stale_remove_of(struct vault *vault, uint64_t tenant, uint64_t slot,
                                      struct kl_err *err);

/* ---- writing ---- */

static enum kl_status seal_manifest(struct vault *vault, const struct vault_subject *subject,
                                    const struct vault_manifest_record *record, uint64_t value,
                                    struct kl_buf *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_manifest_base base = subject->base;
    struct vault_manifest_record kept = *record;
    struct kms_place place = {subject->tenant, subject->slot, value};
    struct kl_buf part;
    struct kl_buf plain;
    struct kl_buf padded;

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
    status = stale_remove_of(vault, subject->tenant, subject->slot, err);
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

/* KL_ERR_GONE is an answer: ret_there false. */
static enum kl_status value_is_there(struct vault *vault, uint64_t tenant, uint64_t slot,
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

/* What is gathered of a slot's rows: kept whole, to be opened when the walk is over. dropped: rows that lead to a key and cannot be read. */
struct gathering {
    struct vault *vault;
    struct kl_arena *arena;
    struct vault_retained *retained;
    struct kl_slice *sealed;
    size_t count;
    size_t dropped;
};

/* A row whose value slot is gone is of an erasure that never came to its commit, and of nothing that was kept: it takes nobody's room. */
static enum kl_status gather(void *visitor, struct kl_slice key, struct kl_slice value,
                             struct kl_err *err)
{
    struct gathering *gathering = visitor;
    enum kl_status status = KL_OK;
    struct kl_slice sealed;
    unsigned char *copy = NULL;
    bool there = true;

    if (key.size == KEY_BYTES) {
        status =
            value_is_there(gathering->vault, kl_get_u64be(key.bytes + 2),
                           kl_get_u64be(key.bytes + 10), kl_get_u64be(key.bytes + 18), &there, err);
    }
    if (status != KL_OK || !there) {
        return status;
    }
    if (gathering->count == VAULT_HOLDS_MAX ||
        !read_row(key, value, &gathering->retained[gathering->count], &sealed)) {
        kl_log(KL_LOG_ERROR, "retained_row_damaged", KL_LOG_INT("count", gathering->count));
        gathering->dropped++;
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
                                   bool *ret_whole, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct key prefix = key_of(tenant, slot, 0);
    struct gathering gathering = {.vault = vault, .arena = arena};
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
        } else if (status == KL_ERR_GONE) {
            status = KL_OK;
        } else if (status == KL_ERR_CORRUPT) {
            kl_log_err(KL_LOG_ERROR, "retained_row_damaged", &unopened);
            gathering.dropped++;
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
        *ret_whole = gathering.dropped == 0;
    }
    return status;
}

enum kl_status vault_retained_is_stale(struct vault *vault, uint64_t tenant, uint64_t slot,
                                       bool *ret_stale, struct kl_err *err)
{
    return value_is_there(vault, tenant, slot, VAULT_VALUE_BASE, ret_stale, err);
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
    uint64_t slot = key.size == KEY_BYTES ? kl_get_u64be(key.bytes + 10) : 0;

    (void)value;
    (void)err;
    if (key.size == KEY_BYTES && slot >= listing->first && listing->count < listing->max &&
        (listing->count == 0 || listing->slots[listing->count - 1] != slot)) {
        listing->slots[listing->count++] = slot;
    }
    return KL_OK;
}

enum kl_status vault_retained_slots(struct vault *vault, uint64_t tenant, uint64_t first,
                                    uint64_t *ret_slots, size_t max, size_t *ret_count,
                                    struct kl_err *err)
{
    struct key prefix = key_of(tenant, 0, 0);
    struct listing listing = {.first = first, .slots = ret_slots, .max = max};
    enum kl_status status = KL_OK;

    prefix.size -= 16;
    status = kms_side_range(vault->keys, key_slice(&prefix), slot_gather, &listing, err);
    if (status == KL_OK) {
        *ret_count = listing.count;
    }
    return status;
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

/* ---- forgetting those of erasures that never were ---- */

#define STALE_AT_ONCE 64

struct stale_row {
    struct key key;
    struct key receipt; /* size 0: the row does not say */
};

/* Some rows to be removed; what was found out last: of which slot, and whether its subject lives. */
struct stale {
    struct vault *vault;
    struct stale_row rows[STALE_AT_ONCE];
    size_t count;
    uint64_t tenant;
    uint64_t slot;
    bool known;
    bool lives;
};

static enum kl_status stale_check(struct stale *stale, struct kl_slice key, bool *ret_stale,
                                  struct kl_err *err)
{
    uint64_t tenant = kl_get_u64be(key.bytes + 2);
    uint64_t slot = kl_get_u64be(key.bytes + 10);
    enum kl_status status = KL_OK;
    bool there = false;

    if (!stale->known || stale->tenant != tenant || stale->slot != slot) {
        status = vault_retained_is_stale(stale->vault, tenant, slot, &stale->lives, err);
        stale->known = status == KL_OK;
        stale->tenant = tenant;
        stale->slot = slot;
    }
    if (status == KL_OK && !stale->lives) {
        status =
            value_is_there(stale->vault, tenant, slot, kl_get_u64be(key.bytes + 18), &there, err);
    }
    *ret_stale = status == KL_OK && (stale->lives || !there);
    return status;
}

static enum kl_status stale_gather(void *visitor, struct kl_slice key, struct kl_slice value,
                                   struct kl_err *err)
{
    struct stale *stale = visitor;
    struct vault_retained retained;
    struct kl_slice sealed;
    enum kl_status status = KL_OK;
    bool is_stale = false;

    if (key.size == KEY_BYTES && stale->count < STALE_AT_ONCE) {
        status = stale_check(stale, key, &is_stale, err);
    }
    if (status == KL_OK && is_stale) {
        struct stale_row *row = &stale->rows[stale->count++];

        row->key.size = KEY_BYTES;
        memcpy(row->key.bytes, key.bytes, KEY_BYTES);
        row->receipt.size = 0;
        if (read_row(key, value, &retained, &sealed)) {
            row->receipt = receipt_key_of(retained.tenant, &retained.receipt);
        }
    }
    return status;
}

/* Whether a row of the slot is left that names the receipt. */
struct naming {
    const struct key *receipt;
    bool named;
};

static enum kl_status names(void *visitor, struct kl_slice key, struct kl_slice value,
                            struct kl_err *err)
{
    struct naming *naming = visitor;
    struct vault_retained retained;
    struct kl_slice sealed;

    (void)err;
    if (read_row(key, value, &retained, &sealed)) {
        naming->named = naming->named || memcmp(retained.receipt.bytes, naming->receipt->bytes + 10,
                                                KL_ID_BYTES) == 0;
    }
    return KL_OK;
}

static enum kl_status stale_forget(struct vault *vault, const struct stale_row *row,
                                   struct kl_err *err)
{
    const struct kms_storage_write own = {.key = key_slice(&row->key)};
    const struct kms_storage_write receipt = {.key = key_slice(&row->receipt)};
    struct naming naming = {.receipt = &row->receipt};
    enum kl_status status = kms_side_apply(vault->keys, &own, 1, true, err);

    if (status == KL_OK && row->receipt.size > 0) {
        status = kms_side_range(vault->keys, kl_slice_of(row->key.bytes, KEY_BYTES - 8), names,
                                &naming, err);
    }
    return status == KL_OK && row->receipt.size > 0 && !naming.named
               ? kms_side_apply(vault->keys, &receipt, 1, true, err)
               : status;
}

static enum kl_status stale_remove(struct vault *vault, struct kl_slice prefix, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct stale *stale = calloc(1, sizeof *stale);
    size_t i;

    if (stale == NULL) {
        return kl_fail_memory(err);
    }
    stale->vault = vault;
    do {
        stale->count = 0;
        status = kms_side_range(vault->keys, prefix, stale_gather, stale, err);
        for (i = 0; status == KL_OK && i < stale->count; i++) {
            status = stale_forget(vault, &stale->rows[i], err);
        }
    } while (status == KL_OK && stale->count == STALE_AT_ONCE);
    free(stale);
    return status;
}

enum kl_status vault_retained_stale_remove(struct vault *vault, struct kl_err *err)
{
    return stale_remove(vault, kl_slice_text(KEY_ROW), err);
}

static enum kl_status stale_remove_of(struct vault *vault, uint64_t tenant, uint64_t slot,
                                      struct kl_err *err)
{
    struct key prefix = key_of(tenant, slot, 0);

    prefix.size -= 8;
    return stale_remove(vault, key_slice(&prefix), err);
}
