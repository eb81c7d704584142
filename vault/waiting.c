#include "vault/waiting.h"

#include "kluis/base/log.h"
#include "vault/manifest.h"
#include "vault/rows.h"
#include "vault/side.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT 1
#define COHORT_ROW "VC"
#define GIVEN_ROW "VG"
#define COHORT_KEY_BYTES (2 + 8 + 8)
#define GIVEN_KEY_BYTES (COHORT_KEY_BYTES + KL_ID_BYTES)
#define COHORT_ROW_BYTES (1 + 8 + 1)
#define CONTEXT "given to statistics"
#define PERSON_LABEL "person of statistics"
#define SEALED_MAX_BYTES (2 * VAULT_GIVEN_MAX_BYTES + KMS_SEAL_OVERHEAD_BYTES)

/* users: erasures inside. number: its slot; 0 while it is being made. */
struct cohort {
    uint64_t tenant;
    uint64_t number;
    int64_t since_us;
    uint64_t rows;
    unsigned users;
    bool closed;
};

struct vault_waiting {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct cohort *cohorts;
    size_t count;
    size_t room;
    uint64_t ending; /* the tenant that is being ended; KMS_TENANT_VAULT: none */
};

struct vault_waiting *vault_waiting_new(void)
{
    struct vault_waiting *waiting = calloc(1, sizeof *waiting);

    if (waiting != NULL) {
        (void)pthread_mutex_init(&waiting->lock, NULL);
        (void)pthread_cond_init(&waiting->changed, NULL);
        waiting->ending = KMS_TENANT_VAULT;
    }
    return waiting;
}

void vault_waiting_free(struct vault_waiting *waiting)
{
    if (waiting == NULL) {
        return;
    }
    free(waiting->cohorts);
    (void)pthread_cond_destroy(&waiting->changed);
    (void)pthread_mutex_destroy(&waiting->lock);
    free(waiting);
}

/* ---- rows ---- */

struct key {
    unsigned char bytes[GIVEN_KEY_BYTES];
    size_t size;
};

static struct kl_slice key_slice(const struct key *key)
{
    return kl_slice_of(key->bytes, key->size);
}

static struct key key_of(const char *kind, uint64_t tenant, uint64_t cohort)
{
    struct key key = {.size = COHORT_KEY_BYTES};

    memcpy(key.bytes, kind, 2);
    kl_put_u64be(key.bytes + 2, tenant);
    kl_put_u64be(key.bytes + 10, cohort);
    return key;
}

static struct key given_key_of(uint64_t tenant, uint64_t cohort, const struct kl_id *row)
{
    struct key key = key_of(GIVEN_ROW, tenant, cohort);

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

static enum kl_status cohort_put(struct vault *vault, const struct cohort *cohort, bool sync,
                                 struct kl_err *err)
{
    struct key key = key_of(COHORT_ROW, cohort->tenant, cohort->number);
    unsigned char row[COHORT_ROW_BYTES] = {FORMAT};

    kl_put_u64be(row + 1, (uint64_t)cohort->since_us);
    row[9] = cohort->closed ? 1 : 0;
    return put(vault, &key, kl_slice_of(row, sizeof row), sync, err);
}

/* What a row is sealed for: its own place. */
static void context_of(const struct kl_id *row, struct kl_buf *ret)
{
    kl_buf_add_text(ret, CONTEXT);
    kl_buf_add(ret, row->bytes, KL_ID_BYTES);
}

/* ---- the table; the lock is held ---- */

static struct cohort *find(struct vault_waiting *waiting, uint64_t tenant, uint64_t number)
{
    size_t i;

    for (i = 0; i < waiting->count; i++) {
        if (waiting->cohorts[i].tenant == tenant && waiting->cohorts[i].number == number) {
            return &waiting->cohorts[i];
        }
    }
    return NULL;
}

static struct cohort *find_open(struct vault_waiting *waiting, uint64_t tenant)
{
    size_t i;

    for (i = 0; i < waiting->count; i++) {
        if (waiting->cohorts[i].tenant == tenant && !waiting->cohorts[i].closed) {
            return &waiting->cohorts[i];
        }
    }
    return NULL;
}

static enum kl_status add(struct vault_waiting *waiting, const struct cohort *cohort,
                          struct kl_err *err)
{
    if (waiting->count == VAULT_COHORTS_MAX) {
        return kl_fail(err, KL_ERR_BUSY, "too_many_cohorts",
                       "too much waits for statistics; try again later", NULL);
    }
    if (waiting->count == waiting->room) {
        size_t room = waiting->room == 0 ? 16 : 2 * waiting->room;
        struct cohort *cohorts = realloc(waiting->cohorts, room * sizeof *cohorts);

        if (cohorts == NULL) {
            return kl_fail_memory(err);
        }
        waiting->cohorts = cohorts;
        waiting->room = room;
    }
    waiting->cohorts[waiting->count++] = *cohort;
    return KL_OK;
}

static void drop(struct vault_waiting *waiting, const struct cohort *cohort)
{
    size_t at = (size_t)(cohort - waiting->cohorts);

    memmove(&waiting->cohorts[at], &waiting->cohorts[at + 1],
            (waiting->count - at - 1) * sizeof *cohort);
    waiting->count--;
}

/* ---- at open ---- */

static enum kl_status damaged(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_CORRUPT, "statistic_damaged",
                   "what is kept for statistics cannot be read", NULL);
}

static enum kl_status read_cohort(void *visitor, struct kl_slice key, struct kl_slice value,
                                  struct kl_err *err)
{
    struct cohort cohort = {0};

    if (key.size != COHORT_KEY_BYTES || value.size != COHORT_ROW_BYTES ||
        value.bytes[0] != FORMAT || value.bytes[9] > 1) {
        return damaged(err);
    }
    cohort.tenant = kl_get_u64be(key.bytes + 2);
    cohort.number = kl_get_u64be(key.bytes + 10);
    cohort.since_us = (int64_t)kl_get_u64be(value.bytes + 1);
    cohort.closed = value.bytes[9] == 1;
    return add(visitor, &cohort, err);
}

/* rows: keys of those that do not count, sized. */
struct leftovers {
    struct vault_waiting *waiting;
    struct kl_buf rows;
};

static enum kl_status look_at(void *visitor, struct kl_slice key, struct kl_slice value,
                              struct kl_err *err)
{
    struct leftovers *leftovers = visitor;
    struct cohort *cohort = NULL;

    if (key.size != GIVEN_KEY_BYTES || value.size < 2 || value.bytes[0] != FORMAT) {
        return damaged(err);
    }
    cohort = find(leftovers->waiting, kl_get_u64be(key.bytes + 2), kl_get_u64be(key.bytes + 10));
    if (cohort == NULL || value.bytes[1] == 0) {
        kl_buf_add_sized(&leftovers->rows, key.bytes, key.size);
        return kl_buf_status(&leftovers->rows, err);
    }
    cohort->rows++;
    return KL_OK;
}

enum kl_status vault_waiting_open(struct vault *vault, struct kl_err *err)
{
    struct vault_waiting *waiting = vault->waiting;
    struct leftovers leftovers = {.waiting = waiting};
    struct kl_reader in;
    enum kl_status status =
        kms_side_range(vault->keys, kl_slice_text(COHORT_ROW), read_cohort, waiting, err);

    kl_buf_init(&leftovers.rows, (size_t)VAULT_WAITING_MAX_ROWS * (4 + GIVEN_KEY_BYTES));
    if (status == KL_OK) {
        status = kms_side_range(vault->keys, kl_slice_text(GIVEN_ROW), look_at, &leftovers, err);
    }
    in = kl_reader_of(kl_buf_slice(&leftovers.rows));
    while (status == KL_OK && in.at < in.size) {
        const struct kms_storage_write write = {.key = kl_read_sized(&in)};

        status = kms_side_apply(vault->keys, &write, 1, false, err);
    }
    kl_buf_done(&leftovers.rows);
    return status;
}

/* ---- an erasure ---- */

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

/* Its row first: what is sealed under the slot must be found at the next open. The commit of the erasure syncs it. */
static enum kl_status begin(struct vault *vault, struct cohort *cohort, struct kl_err *err)
{
    enum kl_status status = kms_slot_take(vault->keys, cohort->tenant, 1, &cohort->number, err);

    return status == KL_OK ? cohort_put(vault, cohort, false, err) : status;
}

/* The lock is held, and given up meanwhile. */
static enum kl_status begin_unlocked(struct vault *vault, uint64_t tenant, int64_t now_us,
                                     struct kl_err *err)
{
    struct vault_waiting *waiting = vault->waiting;
    struct cohort cohort = {.tenant = tenant, .since_us = now_us - now_us % KL_TIME_DAY_US};
    enum kl_status status = add(waiting, &cohort, err); /* number 0: others wait for it */

    if (status != KL_OK) {
        return status;
    }
    (void)pthread_mutex_unlock(&waiting->lock);
    status = begin(vault, &cohort, err);
    (void)pthread_mutex_lock(&waiting->lock);
    if (status == KL_OK) {
        *find(waiting, tenant, 0) = cohort;
    } else {
        drop(waiting, find(waiting, tenant, 0));
    }
    (void)pthread_cond_broadcast(&waiting->changed);
    return status;
}

enum kl_status vault_waiting_enter(struct vault *vault, uint64_t tenant, int64_t now_us,
                                   struct vault_waiting_ticket *ticket, struct kl_err *err)
{
    struct vault_waiting *waiting = vault->waiting;
    enum kl_status status = KL_OK;
    struct cohort *open = NULL;

    (void)pthread_mutex_lock(&waiting->lock);
    while (status == KL_OK && (open == NULL || open->number == 0)) {
        open = find_open(waiting, tenant);
        if (waiting->ending == tenant || (open != NULL && open->number == 0)) {
            (void)pthread_cond_wait(&waiting->changed, &waiting->lock);
            open = NULL;
        } else if (open == NULL) {
            status = begin_unlocked(vault, tenant, now_us, err);
        }
    }
    if (status == KL_OK) {
        open->users++;
        ticket->tenant = tenant;
        ticket->cohort = open->number;
    }
    (void)pthread_mutex_unlock(&waiting->lock);
    return status;
}

void vault_waiting_leave(struct vault *vault, struct vault_waiting_ticket *ticket)
{
    struct vault_waiting *waiting = vault->waiting;
    struct cohort *cohort = NULL;

    if (ticket->cohort == 0) {
        return;
    }
    (void)pthread_mutex_lock(&waiting->lock);
    cohort = find(waiting, ticket->tenant, ticket->cohort);
    assert(cohort != NULL && cohort->users > 0);
    cohort->users--;
    (void)pthread_cond_broadcast(&waiting->changed);
    (void)pthread_mutex_unlock(&waiting->lock);
    ticket->cohort = 0;
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

enum kl_status vault_waiting_write(struct vault *vault, const struct vault_waiting_ticket *ticket,
                                   const struct vault_given *given, struct vault_note *note,
                                   struct kl_err *err)
{
    struct vault_waiting *waiting = vault->waiting;
    struct kl_id row_id = kl_id_new();
    struct key key = given_key_of(ticket->tenant, ticket->cohort, &row_id);
    struct kl_buf row;
    enum kl_status status = KL_OK;

    kl_buf_init(&row, 2 + SEALED_MAX_BYTES);
    kl_buf_add_byte(&row, FORMAT);
    kl_buf_add_byte(&row, 0);
    status = seal(vault, ticket, given, &row_id, &row, err);
    if (status == KL_OK) {
        status = put(vault, &key, kl_buf_slice(&row), false, err);
    }
    if (status == KL_OK) {
        note->cohort = ticket->cohort;
        note->given = row_id;
        (void)pthread_mutex_lock(&waiting->lock);
        find(waiting, ticket->tenant, ticket->cohort)->rows++;
        (void)pthread_mutex_unlock(&waiting->lock);
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

/* ---- publishing ---- */

static bool is_over(const struct cohort *cohort, int64_t now_us)
{
    return cohort->closed || cohort->rows >= VAULT_WAITING_MAX_ROWS ||
           now_us - cohort->since_us >= VAULT_WAITING_MAX_US;
}

bool vault_waiting_is_over(struct vault *vault, uint64_t tenant, int64_t now_us)
{
    struct vault_waiting *waiting = vault->waiting;
    bool over = false;
    size_t i;

    (void)pthread_mutex_lock(&waiting->lock);
    for (i = 0; i < waiting->count && !over; i++) {
        over = waiting->cohorts[i].tenant == tenant && is_over(&waiting->cohorts[i], now_us);
    }
    (void)pthread_mutex_unlock(&waiting->lock);
    return over;
}

/* The lock is held. Nobody new enters what is closed. */
static void wait_for_users(struct vault_waiting *waiting, uint64_t tenant, uint64_t number)
{
    while (find(waiting, tenant, number)->users > 0) {
        (void)pthread_cond_wait(&waiting->changed, &waiting->lock);
    }
}

enum kl_status vault_waiting_close(struct vault *vault, uint64_t tenant, int64_t now_us,
                                   uint64_t after, uint64_t *ret_cohort, struct kl_err *err)
{
    struct vault_waiting *waiting = vault->waiting;
    struct cohort found = {0};
    bool durable = false;
    size_t i;

    (void)pthread_mutex_lock(&waiting->lock);
    for (i = 0; i < waiting->count && found.number == 0; i++) {
        struct cohort *cohort = &waiting->cohorts[i];

        if (cohort->tenant == tenant && cohort->number > after && is_over(cohort, now_us)) {
            durable = cohort->closed;
            cohort->closed = true;
            found = *cohort;
        }
    }
    if (found.number != 0) {
        wait_for_users(waiting, tenant, found.number);
    }
    (void)pthread_mutex_unlock(&waiting->lock);
    *ret_cohort = found.number;
    return found.number == 0 || durable ? KL_OK : cohort_put(vault, &found, true, err);
}

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

    if (key.size != GIVEN_KEY_BYTES || value.size < 2) {
        return damaged(err);
    }
    memcpy(row.bytes, key.bytes + COHORT_KEY_BYTES, KL_ID_BYTES);
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
    struct key prefix = key_of(GIVEN_ROW, tenant, cohort);
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

enum kl_status vault_waiting_rows_forget(struct vault *vault, uint64_t tenant, uint64_t cohort,
                                         struct kl_err *err)
{
    struct key given = key_of(GIVEN_ROW, tenant, cohort);
    struct key key = key_of(COHORT_ROW, tenant, cohort);
    enum kl_status status = vault_side_forget(vault, key_slice(&given), err);

    return status == KL_OK ? vault_side_forget(vault, key_slice(&key), err) : status;
}

void vault_waiting_forget(struct vault *vault, uint64_t tenant, uint64_t cohort)
{
    struct vault_waiting *waiting = vault->waiting;
    struct cohort *found = NULL;

    (void)pthread_mutex_lock(&waiting->lock);
    found = find(waiting, tenant, cohort);
    if (found != NULL) {
        drop(waiting, found);
    }
    (void)pthread_mutex_unlock(&waiting->lock);
}

/* ---- the end of a tenant ---- */

/* The lock is held. No cohort of the tenant is being made, and nobody is inside. */
static bool is_quiet(const struct vault_waiting *waiting, uint64_t tenant)
{
    size_t i;

    for (i = 0; i < waiting->count; i++) {
        if (waiting->cohorts[i].tenant == tenant &&
            (waiting->cohorts[i].number == 0 || waiting->cohorts[i].users > 0)) {
            return false;
        }
    }
    return true;
}

enum kl_status vault_waiting_end_begin(struct vault *vault, uint64_t tenant, uint64_t **ret_cohorts,
                                       size_t *ret_count, struct kl_err *err)
{
    struct vault_waiting *waiting = vault->waiting;
    uint64_t *cohorts = NULL;
    size_t count = 0;
    size_t i;

    (void)pthread_mutex_lock(&waiting->lock);
    waiting->ending = tenant;
    while (!is_quiet(waiting, tenant)) {
        (void)pthread_cond_wait(&waiting->changed, &waiting->lock);
    }
    cohorts = calloc(waiting->count + 1, sizeof *cohorts);
    for (i = 0; cohorts != NULL && i < waiting->count; i++) {
        if (waiting->cohorts[i].tenant == tenant) {
            cohorts[count++] = waiting->cohorts[i].number;
        }
    }
    (void)pthread_mutex_unlock(&waiting->lock);
    if (cohorts == NULL) {
        vault_waiting_end_done(vault, tenant, false);
        return kl_fail_memory(err);
    }
    *ret_cohorts = cohorts;
    *ret_count = count;
    return KL_OK;
}

enum kl_status vault_waiting_empty(struct vault *vault, uint64_t tenant, int64_t now_us,
                                   uint64_t *ret_cohort, struct kl_err *err)
{
    struct vault_waiting *waiting = vault->waiting;
    struct cohort cohort = {
        .tenant = tenant, .since_us = now_us - now_us % KL_TIME_DAY_US, .closed = true};
    enum kl_status status = begin(vault, &cohort, err);

    if (status == KL_OK) {
        (void)pthread_mutex_lock(&waiting->lock);
        status = add(waiting, &cohort, err);
        (void)pthread_mutex_unlock(&waiting->lock);
    }
    if (status == KL_OK) {
        *ret_cohort = cohort.number;
    }
    return status;
}

void vault_waiting_end_done(struct vault *vault, uint64_t tenant, bool gone)
{
    struct vault_waiting *waiting = vault->waiting;
    size_t i = 0;

    (void)pthread_mutex_lock(&waiting->lock);
    waiting->ending = KMS_TENANT_VAULT;
    while (gone && i < waiting->count) {
        if (waiting->cohorts[i].tenant == tenant) {
            drop(waiting, &waiting->cohorts[i]);
        } else {
            i++;
        }
    }
    (void)pthread_cond_broadcast(&waiting->changed);
    (void)pthread_mutex_unlock(&waiting->lock);
}
