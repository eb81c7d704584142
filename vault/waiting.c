/* The cohorts of all tenants in memory: who is in them, and when they are over. */
#include "vault/waiting_internal.h"

#include "kluis/base/log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LEFTOVERS_AT_ONCE 65536

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

static enum kl_status read_cohort(void *visitor, struct kl_slice key, struct kl_slice value,
                                  struct kl_err *err)
{
    struct cohort cohort = {0};

    if (key.size != VAULT_COHORT_KEY_BYTES || value.size != VAULT_COHORT_ROW_BYTES ||
        value.bytes[0] != VAULT_WAITING_FORMAT || value.bytes[9] > 1) {
        return vault_waiting_damaged(err);
    }
    cohort.tenant = kl_get_u64be(key.bytes + 2);
    cohort.number = kl_get_u64be(key.bytes + 10);
    cohort.since_us = (int64_t)kl_get_u64be(value.bytes + 1);
    cohort.closed = value.bytes[9] == 1;
    return add(visitor, &cohort, err);
}

/* rows: keys of those that do not count, sized; more: than there was room for. */
struct leftovers {
    struct vault_waiting *waiting;
    struct kl_buf rows;
    size_t count;
    bool more;
};

static enum kl_status look_at(void *visitor, struct kl_slice key, struct kl_slice value,
                              struct kl_err *err)
{
    struct leftovers *leftovers = visitor;
    struct cohort *cohort = NULL;

    if (key.size != VAULT_GIVEN_KEY_BYTES || value.size < 2 ||
        value.bytes[0] != VAULT_WAITING_FORMAT) {
        return vault_waiting_damaged(err);
    }
    cohort = find(leftovers->waiting, kl_get_u64be(key.bytes + 2), kl_get_u64be(key.bytes + 10));
    if (cohort != NULL && value.bytes[1] != 0) {
        cohort->rows++;
    } else if (leftovers->count == LEFTOVERS_AT_ONCE) {
        leftovers->more = true;
    } else {
        leftovers->count++;
        kl_buf_add_sized(&leftovers->rows, key.bytes, key.size);
    }
    return kl_buf_status(&leftovers->rows, err);
}

/* All rows are looked at, and some that do not count forgotten. */
static enum kl_status rows_read(struct vault *vault, struct leftovers *leftovers,
                                struct kl_err *err)
{
    struct kl_reader in;
    enum kl_status status = KL_OK;
    size_t i;

    for (i = 0; i < leftovers->waiting->count; i++) {
        leftovers->waiting->cohorts[i].rows = 0;
    }
    leftovers->count = 0;
    leftovers->more = false;
    kl_buf_clear(&leftovers->rows);
    status = kms_side_range(vault->keys, kl_slice_text(VAULT_GIVEN_ROW), look_at, leftovers, err);
    in = kl_reader_of(kl_buf_slice(&leftovers->rows));
    while (status == KL_OK && in.at < in.size) {
        const struct kms_storage_write write = {.key = kl_read_sized(&in)};

        status = kms_side_apply(vault->keys, &write, 1, false, err);
    }
    return status;
}

/*
 * That a row counts is not synced, though the erasure was acknowledged, nor that a cohort went. The note goes after that, and from the same log: where a power failure took the
 * mark, the note is there again.
 */
static enum kl_status count_again(void *visitor, uint64_t generation, struct kl_slice text,
                                  struct kl_err *err)
{
    struct vault *vault = visitor;
    struct vault_note note;
    enum kl_status status = KL_OK;

    (void)generation;
    if (vault_note_is_step(text)) {
        return KL_OK;
    }
    status = vault_note_decode(text, &note, err);
    if (status != KL_OK) {
        return status;
    }
    return note.kind == VAULT_NOTE_STATISTICS
               ? vault_waiting_cohort_forget(vault, note.tenant, note.cohort, err)
               : vault_waiting_counts(vault, &note, err);
}

enum kl_status vault_waiting_open(struct vault *vault, struct kl_err *err)
{
    struct leftovers leftovers = {.waiting = vault->waiting, .more = true};
    struct kl_err cause = {0};
    enum kl_status status = kms_notes_each(vault->keys, 0, count_again, vault, &cause);

    if (status ==
        KL_ERR_CORRUPT) { /* one that was finished; no statistic is worth a vault that stays closed */
        kl_log_err(KL_LOG_ERROR, "statistic_lost", &cause);
        status = KL_OK;
    } else if (status != KL_OK) {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    if (status == KL_OK) {
        status = kms_side_range(vault->keys, kl_slice_text(VAULT_COHORT_ROW), read_cohort,
                                vault->waiting, err);
    }
    kl_buf_init(&leftovers.rows, (size_t)LEFTOVERS_AT_ONCE * (4 + VAULT_GIVEN_KEY_BYTES));
    while (status == KL_OK && leftovers.more) {
        status = rows_read(vault, &leftovers, err);
    }
    kl_buf_done(&leftovers.rows);
    return status;
}

/* ---- an erasure ---- */

/* Its row first: what is sealed under the slot must be found at the next open. The commit of the erasure syncs it. */
static enum kl_status begin(struct vault *vault, struct cohort *cohort, struct kl_err *err)
{
    enum kl_status status = kms_slot_take(vault->keys, cohort->tenant, 1, &cohort->number, err);

    return status == KL_OK ? vault_waiting_cohort_put(vault, cohort->tenant, cohort->number,
                                                      cohort->since_us, cohort->closed, false, err)
                           : status;
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

enum kl_status vault_waiting_write(struct vault *vault, const struct vault_waiting_ticket *ticket,
                                   const struct vault_given *given, struct vault_note *note,
                                   struct kl_err *err)
{
    struct vault_waiting *waiting = vault->waiting;
    struct kl_id row;
    enum kl_status status = vault_waiting_given_put(vault, ticket, given, &row, err);

    if (status == KL_OK) {
        note->cohort = ticket->cohort;
        note->given = row;
        (void)pthread_mutex_lock(&waiting->lock);
        find(waiting, ticket->tenant, ticket->cohort)->rows++;
        (void)pthread_mutex_unlock(&waiting->lock);
    }
    return status;
}

/* ---- publishing ---- */

static bool is_over(const struct cohort *cohort, int64_t now_us)
{
    return cohort->closed || cohort->rows >= VAULT_WAITING_MAX_ROWS ||
           now_us - cohort->since_us >= VAULT_WAITING_MAX_US;
}

bool vault_waiting_over_next(struct vault *vault, int64_t now_us, uint64_t after,
                             uint64_t *ret_tenant)
{
    struct vault_waiting *waiting = vault->waiting;
    uint64_t next = UINT64_MAX;
    size_t i;

    (void)pthread_mutex_lock(&waiting->lock);
    for (i = 0; i < waiting->count; i++) {
        const struct cohort *cohort = &waiting->cohorts[i];

        if (cohort->tenant > after && cohort->tenant < next && cohort->tenant != waiting->ending &&
            is_over(cohort, now_us)) {
            next = cohort->tenant;
        }
    }
    (void)pthread_mutex_unlock(&waiting->lock);
    if (next != UINT64_MAX) {
        *ret_tenant = next;
    }
    return next != UINT64_MAX;
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
    for (i = 0; waiting->ending != tenant && i < waiting->count && found.number == 0; i++) {
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
    return found.number == 0 || durable ? KL_OK
                                        : vault_waiting_cohort_put(vault, tenant, found.number,
                                                                   found.since_us, true, true, err);
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
