/* A subject in memory: found, opened, and its values opened one by one. */
#include "vault/journal.h"
#include "vault/rekeying.h"
#include "vault/rows.h"
#include "vault/subject_internal.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define BASE_CONTEXT "base"
#define RECORD_CONTEXT "record"
#define LEDGER_CONTEXT "ledger"

enum kl_status vault_not_found(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_NOT_FOUND, "not_found",
                   "there is no such subject or record, or none this credential may know of", NULL);
}

void vault_subject_done(struct vault_subject *subject)
{
    kl_buf_done(&subject->row);
}

void vault_field_name(const char *type, const char *field, char ret[VAULT_FIELD_NAME_BYTES])
{
    int length = snprintf(ret, VAULT_FIELD_NAME_BYTES, "%s.%s", type, field);

    assert(length > 0 && length < VAULT_FIELD_NAME_BYTES);
}

uint64_t vault_index_discriminator(const struct kl_id *record, const char *field)
{
    crypto_generichash_state state;
    unsigned char hash[16];
    uint64_t number = 0;

    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    crypto_generichash_update(&state, record->bytes, KL_ID_BYTES);
    crypto_generichash_update(&state, (const unsigned char *)field, strlen(field));
    crypto_generichash_final(&state, hash, sizeof hash);
    number = kl_get_u64be(hash);
    return number == 0 || number == KMS_VALUE_NONE ? 1 : number;
}

/* ---- opening ---- */

/* The texts of base and manifests behind each other in plain; item i starts at starts[i]. */
static enum kl_status open_texts(struct vault *vault, struct vault_subject *subject,
                                 struct kms_unseal_item *items, size_t *starts,
                                 struct kl_buf *plain, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t count = 1 + subject->head.record_count;
    size_t at = 0;
    size_t i;

    items[0].value = VAULT_VALUE_BASE;
    items[0].context = kl_slice_text(BASE_CONTEXT);
    items[0].sealed = subject->head.base;
    for (i = 1; i < count; i++) {
        items[i].value = subject->head.records[i - 1].value;
        items[i].context = kl_slice_text(RECORD_CONTEXT);
        items[i].sealed = subject->head.records[i - 1].sealed;
    }
    for (i = 0; i < count; i++) {
        items[i].ret_plaintext = plain;
    }
    status = kms_unseal_many(vault->keys, subject->tenant, subject->slot, items, count, err);
    for (i = 0; status == KL_OK && i < count; i++) {
        starts[i] = at;
        if (items[i].status == KL_OK) {
            at += items[i].sealed.size - KMS_SEAL_OVERHEAD_BYTES;
        }
    }
    assert(status != KL_OK || at == plain->size);
    return status;
}

static enum kl_status text_of(const struct kms_unseal_item *item, const struct kl_buf *plain,
                              size_t start, struct kl_slice *ret, struct kl_err *err)
{
    if (item->status != KL_OK) {
        return kl_fail(err, item->status, "manifest_sealed",
                       "what is stored about this subject cannot be opened",
                       "a manifest does not open: %s", kl_status_name(item->status));
    }
    return vault_unpad(
        kl_slice_of(plain->bytes + start, item->sealed.size - KMS_SEAL_OVERHEAD_BYTES), ret, err);
}

static enum kl_status open_all(struct vault *vault, struct kl_arena *arena,
                               struct vault_subject *subject, struct kl_buf *plain,
                               struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t count = 1 + subject->head.record_count;
    struct kms_unseal_item *items = kl_arena_array(arena, count, sizeof *items);
    size_t *starts = kl_arena_array(arena, count, sizeof *starts);
    struct kl_slice text;
    size_t i;

    subject->records = kl_arena_array(arena, subject->head.record_count, sizeof *subject->records);
    if (items == NULL || starts == NULL || subject->records == NULL) {
        return kl_fail_memory(err);
    }
    status = open_texts(vault, subject, items, starts, plain, err);
    if (status == KL_OK) {
        status = text_of(&items[0], plain, starts[0], &text, err);
    }
    if (status == KL_OK) {
        status = vault_manifest_base_decode(text, &subject->base, err);
    }
    if (status == KL_OK) {
        status = vault_journal_base(vault, subject->tenant, subject->slot, &subject->base, err);
    }
    for (i = 1; status == KL_OK && i < count; i++) {
        subject->records[i - 1].gone = items[i].status == KL_ERR_GONE;
        if (!subject->records[i - 1].gone) {
            status = text_of(&items[i], plain, starts[i], &text, err);
            if (status == KL_OK) {
                status = vault_manifest_record_decode(text, arena, &subject->records[i - 1], err);
            }
        }
    }
    return status;
}

/* Everything but the row, which is there. */
static enum kl_status open_row(struct vault *vault, struct kl_arena *arena,
                               struct vault_subject *subject, struct kl_err *err)
{
    enum kl_status status =
        vault_head_decode(kl_buf_slice(&subject->row), arena, &subject->head, err);
    struct kl_buf plain;

    kl_buf_init(&plain, VAULT_STORE_VALUE_MAX_BYTES);
    if (status == KL_OK) {
        status = open_all(vault, arena, subject, &plain, err);
    }
    kl_buf_done(&plain);
    if (status == KL_ERR_GONE) {
        kl_err_clear(err);
        return vault_not_found(err);
    }
    return status;
}

static enum kl_status load_once(struct vault *vault, uint64_t tenant, uint64_t slot,
                                struct kl_arena *arena, struct vault_subject *subject,
                                struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = vault_row_head(tenant, slot);

    subject->tenant = tenant;
    subject->slot = slot;
    kl_buf_init(&subject->row, VAULT_STORE_VALUE_MAX_BYTES);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &subject->row, err);
    if (status == KL_ERR_NOT_FOUND) {
        kl_err_clear(err);
        return vault_not_found(err);
    }
    return status == KL_OK ? open_row(vault, arena, subject, err) : status;
}

/* From the store, again as often as the subject was rekeyed meanwhile. */
static enum kl_status load(struct vault *vault, uint64_t tenant, uint64_t slot, uint64_t seen,
                           struct kl_arena *arena, struct vault_subject *subject,
                           struct kl_err *err)
{
    enum kl_status status = load_once(vault, tenant, slot, arena, subject, err);

    while (status == KL_ERR_CORRUPT && vault_rekeying_again(vault, tenant, slot, &seen)) {
        kl_err_clear(err);
        vault_subject_done(subject);
        status = load_once(vault, tenant, slot, arena, subject, err);
    }
    return status;
}

enum kl_status vault_subject_load(struct vault *vault, uint64_t tenant, uint64_t slot,
                                  struct kl_arena *arena, struct vault_subject *subject,
                                  struct kl_err *err)
{
    return load(vault, tenant, slot, vault_rekeying_now(vault), arena, subject, err);
}

/*
 * The row may have been read long ago, from a view of the store of then: when it does not open, what is there now is looked at, once in
 * any case.
 */
enum kl_status vault_subject_load_row(struct vault *vault, uint64_t tenant, uint64_t slot,
                                      struct kl_slice row, struct kl_arena *arena,
                                      struct vault_subject *subject, struct kl_err *err)
{
    uint64_t seen = vault_rekeying_now(vault);
    enum kl_status status = KL_OK;

    subject->tenant = tenant;
    subject->slot = slot;
    kl_buf_init(&subject->row, VAULT_STORE_VALUE_MAX_BYTES);
    kl_buf_add(&subject->row, row.bytes, row.size);
    status = kl_buf_status(&subject->row, err);
    if (status == KL_OK) {
        status = open_row(vault, arena, subject, err);
    }
    if (status == KL_ERR_CORRUPT &&
        (seen > 0 || vault_rekeying_again(vault, tenant, slot, &seen))) {
        kl_err_clear(err);
        vault_subject_done(subject);
        status = load(vault, tenant, slot, seen, arena, subject, err);
    }
    return status;
}

static enum kl_status slot_find(struct vault *vault, uint64_t tenant, const struct kl_id *subject,
                                uint64_t *ret_slot, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_index_entry entry;
    size_t count = 0;

    status = vault_index_look(vault->index, tenant, "id", kl_slice_of(subject->bytes, KL_ID_BYTES),
                              0, 1, &entry, &count, err);
    if ((status == KL_OK && count == 0) || status == KL_ERR_GONE) { /* GONE: the whole tenant is */
        kl_err_clear(err);
        return vault_not_found(err);
    }
    if (status == KL_OK) {
        *ret_slot = entry.slot;
    }
    return status;
}

enum kl_status vault_subject_slot(struct vault *vault, uint64_t tenant, const struct kl_id *subject,
                                  uint64_t *ret_slot, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kms_place place = {.tenant = tenant, .value = VAULT_VALUE_BASE};

    status = slot_find(vault, tenant, subject, &place.slot, err);
    if (status == KL_OK) {
        status = kms_place_check(vault->keys, &place, err);
    }
    if (status == KL_ERR_GONE) {
        kl_err_clear(err);
        return vault_not_found(err);
    }
    if (status == KL_OK) {
        *ret_slot = place.slot;
    }
    return status;
}

enum kl_status vault_subject_find(struct vault *vault, const struct vault_caller *caller,
                                  const struct kl_id *id, struct kl_arena *arena,
                                  struct vault_subject *subject, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    bool other = caller->bound && !kl_id_equal(&caller->bound_subject, id);
    uint64_t slot = 0;

    status = slot_find(vault, caller->tenant, id, &slot, err);
    if (status != KL_OK || other) {
        return status == KL_OK ? vault_not_found(err) : status;
    }
    status = vault_subject_load(vault, caller->tenant, slot, arena, subject, err);
    if (status == KL_OK && !kl_id_equal(&subject->base.subject, id)) {
        return vault_not_found(err);
    }
    return status;
}

static size_t indexed_of(const struct vault_manifest_field *fields, size_t count)
{
    size_t indexed = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        indexed += fields[i].index == VAULT_INDEX_NONE ? 0 : 1;
    }
    return indexed;
}

size_t vault_subject_indexed(const struct vault_subject *subject)
{
    size_t indexed = subject->base.handle_count;
    size_t i;

    for (i = 0; i < subject->head.record_count; i++) {
        const struct vault_manifest_record *record = &subject->records[i];

        if (!record->gone) {
            indexed += indexed_of(record->fields, record->field_count) +
                       indexed_of(record->past, record->past_count);
        }
    }
    return indexed;
}

int vault_subject_record_find(const struct vault_subject *subject, const struct kl_id *record)
{
    size_t i;

    for (i = 0; i < subject->head.record_count; i++) {
        if (!subject->records[i].gone && kl_id_equal(&subject->records[i].id, record)) {
            return (int)i;
        }
    }
    return VAULT_NONE;
}

/* ---- values ---- */

void vault_value_context(const struct kl_id *record, const char *field, uint64_t version,
                         struct kl_buf *ret)
{
    kl_buf_clear(ret);
    kl_buf_add(ret, record->bytes, KL_ID_BYTES);
    kl_buf_add_sized(ret, field, strlen(field));
    kl_buf_add_u64be(ret, version);
}

/* What opening count values needs, all in the arena but for the rows' own bytes. */
struct opening {
    struct vault_row_key *keys;
    struct kl_slice *slices;
    struct kl_buf *rows;
    enum kl_status *statuses;
    struct kms_unseal_item *items;
    struct kl_buf plain;
};

static bool opening_init(struct opening *opening, size_t count, struct kl_arena *arena)
{
    size_t i;

    opening->keys = kl_arena_array(arena, count, sizeof *opening->keys);
    opening->slices = kl_arena_array(arena, count, sizeof *opening->slices);
    opening->rows = kl_arena_array(arena, count, sizeof *opening->rows);
    opening->statuses = kl_arena_array(arena, count, sizeof *opening->statuses);
    opening->items = kl_arena_array(arena, count, sizeof *opening->items);
    kl_buf_init(&opening->plain, VAULT_WORK_MAX_BYTES);
    if (opening->rows != NULL) {
        for (i = 0; i < count; i++) {
            kl_buf_init(&opening->rows[i], KMS_SEAL_MAX_BYTES + KMS_SEAL_OVERHEAD_BYTES);
        }
    }
    return opening->keys != NULL && opening->slices != NULL && opening->rows != NULL &&
           opening->statuses != NULL && opening->items != NULL;
}

static void opening_done(struct opening *opening, size_t count)
{
    size_t i;

    for (i = 0; opening->rows != NULL && i < count; i++) {
        kl_buf_done(&opening->rows[i]);
    }
    kl_buf_done(&opening->plain);
}

static enum kl_status value_gone(struct kl_err *err)
{
    kl_err_clear(err);
    return kl_fail(err, KL_ERR_GONE, "value_gone", "a value was erased while it was read", NULL);
}

static enum kl_status opening_rows(struct opening *opening, struct vault *vault, uint64_t tenant,
                                   uint64_t slot, const struct vault_value_wanted *wanted,
                                   size_t count, struct kl_arena *arena, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    unsigned char *context = NULL;
    struct kl_buf text;
    size_t i;

    for (i = 0; i < count; i++) {
        opening->keys[i] = vault_row_value(tenant, slot, wanted[i].field->value);
        opening->slices[i] = vault_row_slice(&opening->keys[i]);
    }
    status = vault_store_get_many(vault->data_store, opening->slices, count, opening->rows,
                                  opening->statuses, err);
    kl_buf_init(&text, VAULT_VALUE_CONTEXT_MAX_BYTES);
    for (i = 0; status == KL_OK && i < count; i++) {
        if (opening->statuses[i] == KL_ERR_NOT_FOUND) {
            status = value_gone(err);
            break;
        }
        vault_value_context(&wanted[i].record->id, wanted[i].field->name, wanted[i].field->version,
                            &text);
        status = kl_buf_status(&text, err);
        context = status == KL_OK ? kl_arena_alloc(arena, text.size) : NULL;
        if (context == NULL) {
            status = status == KL_OK ? kl_fail_memory(err) : status;
            break;
        }
        memcpy(context, text.bytes, text.size);
        opening->items[i].value = wanted[i].field->value;
        opening->items[i].context = kl_slice_of(context, text.size);
        opening->items[i].sealed = kl_buf_slice(&opening->rows[i]);
        opening->items[i].ret_plaintext = &opening->plain;
    }
    kl_buf_done(&text);
    return status;
}

/* Cut the opened texts apart into wanted. */
static enum kl_status opening_cut(const struct opening *opening, struct vault_value_wanted *wanted,
                                  size_t count, struct kl_arena *arena, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_slice value;
    char *copy = NULL;
    size_t at = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        const struct kms_unseal_item *item = &opening->items[i];

        if (item->status == KL_ERR_GONE) {
            return value_gone(err);
        }
        if (item->status != KL_OK) {
            return kl_fail(err, item->status, "value_sealed", "a stored value cannot be opened",
                           "a value does not open: %s", kl_status_name(item->status));
        }
        status = vault_unpad(
            kl_slice_of(opening->plain.bytes + at, item->sealed.size - KMS_SEAL_OVERHEAD_BYTES),
            &value, err);
        if (status != KL_OK) {
            return status;
        }
        copy = kl_arena_text(arena, value.bytes, value.size);
        if (copy == NULL) {
            return kl_fail_memory(err);
        }
        wanted[i].value = kl_slice_of(copy, value.size);
        at += item->sealed.size - KMS_SEAL_OVERHEAD_BYTES;
    }
    return KL_OK;
}

static enum kl_status values_once(struct vault *vault, uint64_t tenant, uint64_t slot,
                                  struct vault_value_wanted *wanted, size_t count,
                                  struct kl_arena *arena, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct opening opening = {0};

    if (count == 0) {
        return KL_OK;
    }
    if (!opening_init(&opening, count, arena)) {
        status = kl_fail_memory(err);
        goto out;
    }
    status = opening_rows(&opening, vault, tenant, slot, wanted, count, arena, err);
    if (status != KL_OK) {
        goto out;
    }
    status = kms_unseal_many(vault->keys, tenant, slot, opening.items, count, err);
    if (status == KL_ERR_GONE) {
        status = value_gone(err);
    }
    if (status == KL_OK) {
        status = opening_cut(&opening, wanted, count, arena, err);
    }

out:
    opening_done(&opening, count);
    return status;
}

static enum kl_status values_open(struct vault *vault, uint64_t tenant, uint64_t slot,
                                  struct vault_value_wanted *wanted, size_t count,
                                  struct kl_arena *arena, struct kl_err *err)
{
    uint64_t seen = vault_rekeying_now(vault);
    enum kl_status status = values_once(vault, tenant, slot, wanted, count, arena, err);

    while (status == KL_ERR_CORRUPT && vault_rekeying_again(vault, tenant, slot, &seen)) {
        kl_err_clear(err);
        status = values_once(vault, tenant, slot, wanted, count, arena, err);
    }
    return status;
}

enum kl_status vault_subject_values(struct vault *vault, uint64_t tenant, uint64_t slot,
                                    struct vault_value_wanted *wanted, size_t count,
                                    struct kl_arena *arena, struct kl_err *err)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (wanted[i].field->type == VAULT_TYPE_SECRET) {
            return kl_fail(err, KL_ERR_INTERNAL, "secret_read", "internal error",
                           "a secret was to be read back");
        }
    }
    return values_open(vault, tenant, slot, wanted, count, arena, err);
}

enum kl_status vault_subject_secret_open(struct vault *vault, uint64_t tenant, uint64_t slot,
                                         struct vault_value_wanted *wanted, struct kl_arena *arena,
                                         struct kl_err *err)
{
    return values_open(vault, tenant, slot, wanted, 1, arena, err);
}

static enum kl_status ledger_once(struct vault *vault, const struct vault_subject *subject,
                                  struct kl_arena *arena, struct vault_ledger *ret,
                                  struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kms_place place = {subject->tenant, subject->slot, VAULT_VALUE_LEDGER};
    struct vault_row_key key = vault_row_value(subject->tenant, subject->slot, VAULT_VALUE_LEDGER);
    struct vault_ledger ledger = {0};
    struct kl_buf row;
    struct kl_buf plain;
    struct kl_slice text;
    bool changed = false;

    kl_buf_init(&row, KMS_SEAL_MAX_BYTES + KMS_SEAL_OVERHEAD_BYTES);
    kl_buf_init(&plain, KMS_SEAL_MAX_BYTES);
    if (!subject->head.has_ledger) {
        ledger.closed_us = vault_journal_since(vault, subject->tenant);
        goto mark;
    }
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, err);
    if (status == KL_OK) {
        status = kms_unseal(vault->keys, &place, kl_slice_text(LEDGER_CONTEXT), kl_buf_slice(&row),
                            &plain, err);
    }
    if (status == KL_ERR_NOT_FOUND || status == KL_ERR_GONE) {
        status = value_gone(err);
    }
    if (status == KL_OK) {
        status = vault_unpad(kl_buf_slice(&plain), &text, err);
    }
    if (status == KL_OK) {
        status = vault_ledger_decode(text, arena, &ledger, err);
    }

mark:
    if (status == KL_OK) {
        status = vault_journal_ledger(vault, subject->tenant, subject->slot, arena, &ledger,
                                      &changed, err);
    }
    if (status == KL_OK) {
        *ret = ledger;
    }
    kl_buf_done(&row);
    kl_buf_done(&plain);
    return status;
}

enum kl_status vault_subject_ledger(struct vault *vault, const struct vault_subject *subject,
                                    struct kl_arena *arena, struct vault_ledger *ret,
                                    struct kl_err *err)
{
    uint64_t seen = vault_rekeying_now(vault);
    enum kl_status status = ledger_once(vault, subject, arena, ret, err);

    while (status == KL_ERR_CORRUPT &&
           vault_rekeying_again(vault, subject->tenant, subject->slot, &seen)) {
        kl_err_clear(err);
        status = ledger_once(vault, subject, arena, ret, err);
    }
    return status;
}
