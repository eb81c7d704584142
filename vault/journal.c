/* The journal of closings while the vault is open: written in groups, held in memory. */
#include "vault/journal_internal.h"
#include "vault/rows.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_FORMAT 1
#define HEAD_BYTES 9

/* ---- life ---- */

static void journal_group(void *context, struct kl_group_item **items, size_t count);

enum kl_status vault_journal_new(struct vault *vault, struct kl_err *err)
{
    struct vault_journal *journal = calloc(1, sizeof *journal);

    if (journal == NULL) {
        return kl_fail_memory(err);
    }
    if (pthread_mutex_init(&journal->lock, NULL) != 0) {
        free(journal);
        return kl_fail_memory(err);
    }
    journal->vault = vault;
    journal->group = kl_group_new(journal_group, journal, VAULT_JOURNAL_GROUP_MAX);
    if (journal->group == NULL) {
        vault_journal_free(journal);
        return kl_fail_memory(err);
    }
    vault->journal = journal;
    return KL_OK;
}

void vault_journal_free(struct vault_journal *journal)
{
    size_t i;

    if (journal == NULL) {
        return;
    }
    for (i = 0; i < VAULT_JOURNAL_TENANT_LISTS; i++) {
        while (journal->tenants[i] != NULL) {
            struct vault_journal_tenant *next = journal->tenants[i]->next;

            free(journal->tenants[i]);
            journal->tenants[i] = next;
        }
    }
    for (i = 0; i < VAULT_JOURNAL_HELD_LISTS; i++) {
        while (journal->held[i] != NULL) {
            struct vault_journal_held *next = journal->held[i]->next;

            free(journal->held[i]);
            journal->held[i] = next;
        }
    }
    kl_group_free(journal->group);
    (void)pthread_mutex_destroy(&journal->lock);
    free(journal);
}

/* ---- tenants ---- */

struct vault_journal_tenant *vault_journal_tenant(struct vault_journal *journal, uint64_t tenant)
{
    struct vault_journal_tenant **list = &journal->tenants[tenant % VAULT_JOURNAL_TENANT_LISTS];
    struct vault_journal_tenant *found = *list;

    while (found != NULL && found->tenant != tenant) {
        found = found->next;
    }
    if (found == NULL) {
        found = calloc(1, sizeof *found);
        if (found != NULL) {
            found->tenant = tenant;
            found->from = 1;
            found->next = *list;
            *list = found;
        }
    }
    return found;
}

int64_t vault_journal_since(struct vault *vault, uint64_t tenant)
{
    const struct vault_journal_tenant *of = NULL;
    int64_t since_us = 0;

    if (vault->journal == NULL) {
        return 0;
    }
    (void)pthread_mutex_lock(&vault->journal->lock);
    of = vault_journal_tenant(vault->journal, tenant);
    since_us = of == NULL ? 0 : of->since_us;
    (void)pthread_mutex_unlock(&vault->journal->lock);
    return since_us;
}

/* ---- writing ---- */

/* What one group writes: rows, and for each of its tenants the head of the trail and, the first time, the head of the journal. */
struct writing {
    struct vault_journal *journal;
    struct kms_storage_write writes[3 * VAULT_JOURNAL_GROUP_MAX];
    size_t count;
    struct kl_buf rows[VAULT_JOURNAL_GROUP_MAX];
    unsigned char keys[VAULT_JOURNAL_GROUP_MAX][VAULT_JOURNAL_KEY_BYTES];
    unsigned char head_keys[VAULT_JOURNAL_GROUP_MAX][VAULT_JOURNAL_KEY_BYTES];
    unsigned char heads[VAULT_JOURNAL_GROUP_MAX][HEAD_BYTES];
    unsigned char trail_keys[VAULT_JOURNAL_GROUP_MAX][VAULT_TRAIL_KNOWN_KEY_BYTES];
    unsigned char trails[VAULT_JOURNAL_GROUP_MAX][VAULT_TRAIL_KNOWN_BYTES];
    uint64_t seqs[VAULT_JOURNAL_GROUP_MAX];
};

static void write_add(struct writing *writing, const void *key, size_t key_bytes, const void *value,
                      size_t value_bytes)
{
    struct kms_storage_write *write = &writing->writes[writing->count++];

    write->key = kl_slice_of(key, key_bytes);
    write->value = kl_slice_of(value, value_bytes);
}

/* The next number of a tenant's journal in this group. */
static uint64_t seq_next(const struct writing *writing, struct kl_group_item *const *items,
                         size_t at, uint64_t last)
{
    size_t i;

    for (i = 0; i < at; i++) {
        if (((const struct vault_closing *)items[i]->work)->tenant ==
                ((const struct vault_closing *)items[at]->work)->tenant &&
            writing->seqs[i] > last) {
            last = writing->seqs[i];
        }
    }
    return last + 1;
}

static enum kl_status trail_add(struct writing *writing, size_t at, uint64_t tenant,
                                struct kl_err *err)
{
    enum kl_status status =
        vault_trails_known_row(writing->journal->vault->trails, tenant, kl_time_now_us(),
                               writing->trail_keys[at], writing->trails[at], err);

    if (status == KL_OK && kl_get_u64be(writing->trails[at] + 1) > 0) {
        write_add(writing, writing->trail_keys[at], VAULT_TRAIL_KNOWN_KEY_BYTES,
                  writing->trails[at], VAULT_TRAIL_KNOWN_BYTES);
    }
    return status;
}

static enum kl_status item_add(struct writing *writing, struct kl_group_item *const *items,
                               size_t at, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    const struct vault_closing *closing = items[at]->work;
    struct vault_journal_tenant *of = NULL;
    uint64_t seq = closing->seq;
    uint64_t last = 0;
    bool has_head = true;

    (void)pthread_mutex_lock(&writing->journal->lock);
    of = vault_journal_tenant(writing->journal, closing->tenant);
    last = of == NULL ? 0 : of->last;
    has_head = of == NULL || of->has_head;
    (void)pthread_mutex_unlock(&writing->journal->lock);
    if (of == NULL) {
        return kl_fail_memory(err);
    }
    if (seq == 0) {
        seq = seq_next(writing, items, at, last);
    }
    status = vault_closing_encode(writing->journal->vault, closing, seq, &writing->rows[at], err);
    if (status == KL_OK) {
        status = trail_add(writing, at, closing->tenant, err);
    }
    if (status != KL_OK) {
        return status;
    }
    writing->seqs[at] = seq;
    vault_journal_key(closing->tenant, seq, writing->keys[at]);
    write_add(writing, writing->keys[at], VAULT_JOURNAL_KEY_BYTES, writing->rows[at].bytes,
              writing->rows[at].size);
    if (!has_head) {
        vault_journal_key(closing->tenant, 0, writing->head_keys[at]);
        writing->heads[at][0] = HEAD_FORMAT;
        kl_put_u64be(writing->heads[at] + 1, 1);
        write_add(writing, writing->head_keys[at], VAULT_JOURNAL_KEY_BYTES - 8, writing->heads[at],
                  HEAD_BYTES);
    }
    return KL_OK;
}

/* On the disk: from now on data commits may count it. */
static void item_written(struct vault_journal *journal, struct vault_closing *closing, uint64_t seq)
{
    struct vault_journal_tenant *of = NULL;

    (void)pthread_mutex_lock(&journal->lock);
    of = vault_journal_tenant(journal, closing->tenant);
    of->has_head = true;
    of->last = seq > of->last ? seq : of->last;
    if (closing->seq == 0) {
        closing->seq = seq;
        closing->journal = journal;
        closing->next = journal->under_way;
        journal->under_way = closing;
    }
    (void)pthread_mutex_unlock(&journal->lock);
}

static void all_fail(struct kl_group_item **items, size_t count, enum kl_status status,
                     const struct kl_err *cause)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (items[i]->status == KL_OK) {
            items[i]->status = kl_fail(items[i]->err, status, cause->code, cause->client_text, "%s",
                                       cause->log_text);
        }
    }
}

static void journal_group(void *context, struct kl_group_item **items, size_t count)
{
    enum kl_status status = KL_OK;
    struct vault_journal *journal = context;
    struct writing *writing = calloc(1, sizeof *writing);
    struct kl_err err = {0};
    size_t i;

    if (writing == NULL) {
        status = kl_fail_memory(&err);
        all_fail(items, count, status, &err);
        return;
    }
    writing->journal = journal;
    for (i = 0; i < count; i++) {
        kl_buf_init(&writing->rows[i], VAULT_JOURNAL_ROW_MAX_BYTES);
        items[i]->status = item_add(writing, items, i, items[i]->err);
    }
    if (writing->count > 0) {
        status = kms_side_apply(journal->vault->keys, writing->writes, writing->count, true, &err);
    }
    if (status != KL_OK) {
        all_fail(items, count, status, &err);
    }
    for (i = 0; i < count; i++) {
        if (items[i]->status == KL_OK) {
            item_written(journal, items[i]->work, writing->seqs[i]);
        }
        kl_buf_done(&writing->rows[i]);
    }
    free(writing);
}

enum kl_status vault_journal_write(struct vault *vault, struct vault_closing *closing,
                                   struct kl_err *err)
{
    struct kl_group_item item = {.work = closing, .err = err};

    return kl_group_submit(vault->journal->group, &item);
}

/* ---- in data/ ---- */

/* The lock is held. */
static void under_way_end(struct vault_journal *journal, const struct vault_closing *closing)
{
    struct vault_closing **link = &journal->under_way;

    while (*link != NULL && *link != closing) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        *link = closing->next;
    }
}

/* The leader's: one at a time, in the order of the rows, so that the number never goes down. */
enum kl_status vault_journal_inside(void *context, struct vault_batch *batch, struct kl_err *err)
{
    struct vault_closing *closing = context;
    struct vault_journal *journal = closing->journal;
    struct vault_row_key key = vault_row_journal(closing->tenant);
    const struct vault_closing *other;
    unsigned char bytes[8];
    uint64_t known = 0;
    enum kl_status status = KL_OK;

    assert(closing->seq != 0);
    status = vault_journal_hold(journal, closing, closing->seq, err);
    if (status != KL_OK) {
        return status;
    }
    (void)pthread_mutex_lock(&journal->lock);
    closing->committed = true;
    under_way_end(journal, closing);
    known = vault_journal_tenant(journal, closing->tenant)->last;
    for (other = journal->under_way; other != NULL; other = other->next) {
        if (other->tenant == closing->tenant && other->seq <= known) {
            known = other->seq - 1;
        }
    }
    (void)pthread_mutex_unlock(&journal->lock);
    kl_put_u64be(bytes, known);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(bytes, sizeof bytes));
    return KL_OK;
}

void vault_journal_end(struct vault *vault, struct vault_closing *closing)
{
    struct vault_closing nothing = {.kind = VAULT_CLOSING_VOID,
                                    .tenant = closing->tenant,
                                    .at_us = closing->at_us,
                                    .seq = closing->seq};
    struct kl_group_item item = {.work = &nothing};
    struct kl_err err = {0};

    if (closing->seq == 0 || closing->committed) {
        return;
    }
    item.err = &err;
    if (kl_group_submit(vault->journal->group, &item) != KL_OK) {
        kl_log_err(KL_LOG_WARNING, "closing_not_voided", &err);
    }
    (void)pthread_mutex_lock(&vault->journal->lock);
    under_way_end(vault->journal, closing);
    (void)pthread_mutex_unlock(&vault->journal->lock);
}
