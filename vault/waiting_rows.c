/* Rows beside the keys of what waits for statistics: keys, seals, and what needs nothing of the table of cohorts. */
#include "vault/waiting_internal.h"

#include "kluis/base/log.h"
#include "vault/manifest.h"
#include "vault/rows.h"
#include "vault/side.h"

#include <stdlib.h>
#include <string.h>

#define CONTEXT "given to statistics"
#define PERSON_LABEL "person of statistics"
#define SEALED_MAX_BYTES (2 * VAULT_GIVEN_MAX_BYTES + KMS_SEAL_OVERHEAD_BYTES)

enum kl_status vault_waiting_damaged(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_CORRUPT, "statistic_damaged",
                   "what is kept for statistics cannot be read", NULL);
}

/* ---- keys ---- */

struct key {
    unsigned char bytes[VAULT_GIVEN_KEY_BYTES];
    size_t size;
};

static struct kl_slice key_slice(const struct key *key)
{
    return kl_slice_of(key->bytes, key->size);
}

static struct key key_of(const char *kind, uint64_t tenant, uint64_t cohort)
{
    struct key key = {.size = VAULT_COHORT_KEY_BYTES};

    memcpy(key.bytes, kind, 2);
    kl_put_u64be(key.bytes + 2, tenant);
    kl_put_u64be(key.bytes + 10, cohort);
    return key;
}

static struct key given_key_of(uint64_t tenant, uint64_t cohort, const struct kl_id *row)
{
    struct key key = key_of(VAULT_GIVEN_ROW, tenant, cohort);

    memcpy(key.bytes + key.size, row->bytes, KL_ID_BYTES);
    key.size += KL_ID_BYTES;
    return key;
}

static enum kl_status put(struct vault *vault, const struct key *key, struct kl_slice value,
                          bool sync, struct kl_err *err)
{
    const struct kms_storage_write write = {.key = key_slice(key), .value = value};

    return kms_side_apply(vault->keys, &write, 1, sync, err);
}

enum kl_status vault_waiting_cohort_put(struct vault *vault, uint64_t tenant, uint64_t cohort,
                                        int64_t since_us, bool closed, bool sync,
                                        struct kl_err *err)
{
    struct key key = key_of(VAULT_COHORT_ROW, tenant, cohort);
    unsigned char row[VAULT_COHORT_ROW_BYTES] = {VAULT_WAITING_FORMAT};

    kl_put_u64be(row + 1, (uint64_t)since_us);
    row[9] = closed ? 1 : 0;
    return put(vault, &key, kl_slice_of(row, sizeof row), sync, err);
}

/* ---- what somebody gives ---- */

enum kl_status vault_waiting_person(struct vault *vault, uint64_t tenant, uint64_t slot,
                                    unsigned char ret[VAULT_PERSON_BYTES], struct kl_err *err)
{
    const struct kms_place place = {tenant, VAULT_SLOT_MAC, KMS_VALUE_NONE};
    unsigned char bytes[8];
    unsigned char mac[KMS_MAC_BYTES];
    enum kl_status status;

    kl_put_u64be(bytes, slot);
    status = kms_mac(vault->keys, &place, PERSON_LABEL, kl_slice_of(bytes, sizeof bytes), mac, err);
    if (status == KL_OK) {
        memcpy(ret, mac, VAULT_PERSON_BYTES);
    }
    return status;
}

/* What a row is sealed for: its own place. */
static void context_of(const struct kl_id *row, struct kl_buf *ret)
{
    kl_buf_add_text(ret, CONTEXT);
    kl_buf_add(ret, row->bytes, KL_ID_BYTES);
}

static enum kl_status seal(struct vault *vault, const struct vault_waiting_ticket *ticket,
                           const struct vault_given *given, const struct kl_id *row,
                           struct kl_buf *ret, struct kl_err *err)
{
    const struct kms_place place = {ticket->tenant, ticket->cohort, KMS_VALUE_NONE};
    struct kl_buf context;
    struct kl_buf plain;
    struct kl_buf padded;
    enum kl_status status = KL_OK;

    kl_buf_init(&context, 64);
    kl_buf_init(&plain, VAULT_GIVEN_MAX_BYTES);
    kl_buf_init(&padded, 2 * VAULT_GIVEN_MAX_BYTES);
    context_of(row, &context);
    status = vault_given_encode(given, &plain, err);
    if (status == KL_OK) {
        status = vault_pad(kl_buf_slice(&plain), &padded, err);
    }
    if (status == KL_OK) {
        status =
            kms_seal(vault->keys, &place, kl_buf_slice(&context), kl_buf_slice(&padded), ret, err);
    }
    kl_buf_done(&context);
    kl_buf_done(&plain);
    kl_buf_done(&padded);
    return status;
}

enum kl_status vault_waiting_given_put(struct vault *vault,
                                       const struct vault_waiting_ticket *ticket,
                                       const struct vault_given *given, struct kl_id *ret_row,
                                       struct kl_err *err)
{
    struct kl_id row_id = kl_id_new();
    struct key key = given_key_of(ticket->tenant, ticket->cohort, &row_id);
    struct kl_buf row;
    enum kl_status status = KL_OK;

    kl_buf_init(&row, 2 + SEALED_MAX_BYTES);
    kl_buf_add_byte(&row, VAULT_WAITING_FORMAT);
    kl_buf_add_byte(&row, 0);
    status = seal(vault, ticket, given, &row_id, &row, err);
    if (status == KL_OK) {
        status = put(vault, &key, kl_buf_slice(&row), false, err);
    }
    if (status == KL_OK) {
        *ret_row = row_id;
    }
    kl_buf_done(&row);
    return status;
}

void vault_waiting_undo(struct vault *vault, const struct vault_note *note)
{
    const struct kms_place place = {note->tenant, note->slot,
                                    note->kind == VAULT_NOTE_RECORD ? note->record
                                                                    : VAULT_VALUE_BASE};
    struct key key = given_key_of(note->tenant, note->cohort, &note->given);
    struct kl_err own = {0};

    if (note->cohort == 0 || kms_place_check(vault->keys, &place, &own) == KL_ERR_GONE) {
        return;
    }
    kl_err_clear(&own);
    if (put(vault, &key, (struct kl_slice){NULL, 0}, false, &own) != KL_OK) {
        kl_log_err(KL_LOG_ERROR, "statistic_not_undone", &own);
    }
}

enum kl_status vault_waiting_counts(struct vault *vault, const struct vault_note *note,
                                    struct kl_err *err)
{
    struct key key = given_key_of(note->tenant, note->cohort, &note->given);
    struct kl_err cause = {0};
    struct kl_buf row;
    enum kl_status status = KL_OK;

    if (note->cohort == 0) {
        return KL_OK;
    }
    kl_buf_init(&row, 2 + SEALED_MAX_BYTES);
    status = kms_side_get(vault->keys, key_slice(&key), &row, &cause);
    if (status == KL_ERR_NOT_FOUND) { /* published since: the note comes again */
        status = KL_OK;
    } else if (status != KL_OK) {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    } else if (row.size > 2 && row.bytes[1] == 0) {
        row.bytes[1] = 1;
        status = put(vault, &key, kl_buf_slice(&row), false, err);
    }
    kl_buf_done(&row);
    return status;
}

/* ---- counting ---- */

struct counting_rows {
    struct vault *vault;
    uint64_t tenant;
    uint64_t cohort;
    struct vault_counting *counting;
    struct vault_given given;
};

static enum kl_status open_given(struct counting_rows *rows, struct kl_slice key,
                                 struct kl_slice value, struct kl_err *err)
{
    const struct kms_place place = {rows->tenant, rows->cohort, KMS_VALUE_NONE};
    struct kl_id row;
    struct kl_buf context;
    struct kl_buf padded;
    struct kl_slice text;
    enum kl_status status = KL_OK;

    if (key.size != VAULT_GIVEN_KEY_BYTES || value.size < 2) {
        return vault_waiting_damaged(err);
    }
    memcpy(row.bytes, key.bytes + VAULT_COHORT_KEY_BYTES, KL_ID_BYTES);
    kl_buf_init(&context, 64);
    kl_buf_init(&padded, 2 * VAULT_GIVEN_MAX_BYTES);
    context_of(&row, &context);
    status = kms_unseal(rows->vault->keys, &place, kl_buf_slice(&context),
                        kl_slice_of(value.bytes + 2, value.size - 2), &padded, err);
    if (status == KL_OK) {
        status = vault_unpad(kl_buf_slice(&padded), &text, err);
    }
    if (status == KL_OK) {
        status = vault_given_decode(text, &rows->given, err);
    }
    kl_buf_done(&context);
    kl_buf_done(&padded);
    return status;
}

/*
 * Nobody is inside: a row that does not count yet is of an erasure that was done, and whose note was not finished for want of something. One
 * that does not open is lost, and said.
 */
static enum kl_status count_row(void *visitor, struct kl_slice key, struct kl_slice value,
                                struct kl_err *err)
{
    struct counting_rows *rows = visitor;
    struct kl_err cause = {0};
    enum kl_status status = open_given(rows, key, value, &cause);
    size_t i;

    if (status == KL_ERR_CORRUPT || status == KL_ERR_GONE) {
        kl_log_err(KL_LOG_ERROR, "statistic_lost", &cause);
        return KL_OK;
    }
    if (status != KL_OK) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    vault_counting_minimum(rows->counting, rows->given.minimum);
    for (i = 0; status == KL_OK && i < rows->given.count; i++) {
        const struct vault_given_item *item = &rows->given.items[i];

        status = vault_counting_add(rows->counting, rows->given.person, item->field, item->how,
                                    item->has_value ? item->value : NULL, true, err);
    }
    return status;
}

enum kl_status vault_waiting_count(struct vault *vault, uint64_t tenant, uint64_t cohort,
                                   struct vault_counting *counting, struct kl_err *err)
{
    struct counting_rows *rows = calloc(1, sizeof *rows);
    struct key prefix = key_of(VAULT_GIVEN_ROW, tenant, cohort);
    enum kl_status status = KL_OK;

    if (rows == NULL) {
        return kl_fail_memory(err);
    }
    rows->vault = vault;
    rows->tenant = tenant;
    rows->cohort = cohort;
    rows->counting = counting;
    status = kms_side_range(vault->keys, key_slice(&prefix), count_row, rows, err);
    free(rows);
    return status;
}

enum kl_status vault_waiting_cohort_forget(struct vault *vault, uint64_t tenant, uint64_t cohort,
                                           struct kl_err *err)
{
    struct key key = key_of(VAULT_COHORT_ROW, tenant, cohort);

    return put(vault, &key, (struct kl_slice){NULL, 0}, false, err);
}

enum kl_status vault_waiting_rows_forget(struct vault *vault, uint64_t tenant, uint64_t cohort,
                                         struct kl_err *err)
{
    struct key given = key_of(VAULT_GIVEN_ROW, tenant, cohort);

    return vault_side_forget(vault, key_slice(&given), err);
}
