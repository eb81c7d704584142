/* Publishing what waits for statistics: month by month, and at the end of a tenant. */
#include "vault/statistics.h"

#include "kluis/base/log.h"
#include "vault/erasure.h"
#include "vault/rows.h"
#include "vault/side.h"
#include "vault/tenants.h"

#include <stdlib.h>
#include <string.h>

#define FORMAT 1
#define INTERVAL_MS 60000
#define COHORTS_AT_ONCE 64 /* in one turn of the upkeep */
#define LEFTOVERS_AT_ONCE 64

/* ---- what attempts that failed have left ---- */

/* last: publication that was looked at. changes: each shreds the slot of one. */
struct leftovers {
    struct vault *vault;
    bool ending; /* the tenant goes: what cannot be told from a leftover is one */
    uint64_t last;
    struct kms_change changes[LEFTOVERS_AT_ONCE];
    size_t count;
};

static enum kl_status look_at(void *visitor, struct kl_slice key, struct kl_slice value,
                              struct kl_err *err)
{
    struct leftovers *leftovers = visitor;
    struct kms_place cohort = {.value = KMS_VALUE_NONE};
    struct kl_err cause = {0};
    enum kl_status status = KL_OK;
    uint64_t number = 0;

    if (key.size != VAULT_STATISTICS_KEY_BYTES || value.size < VAULT_STATISTICS_HEAD_BYTES ||
        leftovers->count == LEFTOVERS_AT_ONCE) {
        return KL_OK; /* who reads what is damaged says so */
    }
    number = kl_get_u64be(key.bytes + 10);
    cohort.tenant = kl_get_u64be(key.bytes + 2);
    cohort.slot = kl_get_u64be(value.bytes + 1);
    if (number == leftovers->last) {
        return KL_OK;
    }
    leftovers->last = number;
    status = kms_place_check(leftovers->vault->keys, &cohort, &cause);
    if (status == KL_OK || (status == KL_ERR_CORRUPT && leftovers->ending)) {
        leftovers->changes[leftovers->count++] =
            (struct kms_change){KMS_CHANGE_SHRED, {KMS_TENANT_VAULT, number, KMS_VALUE_NONE}};
        return KL_OK;
    }
    return status == KL_ERR_GONE
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

static struct kl_slice tenant_prefix(uint64_t tenant, unsigned char key[10])
{
    memcpy(key, VAULT_STATISTICS_ROW, 2);
    kl_put_u64be(key + 2, tenant);
    return kl_slice_of(key, 10);
}

/* Their keys go, and then their rows, which are noise by then. */
static enum kl_status leftovers_end(const struct leftovers *leftovers, uint64_t tenant,
                                    struct kl_err *err)
{
    struct kms_request request = {.changes = leftovers->changes,
                                  .changes_count = leftovers->count,
                                  .note = vault_note_step,
                                  .note_bytes = VAULT_NOTE_STEP_BYTES};
    unsigned char key[18];
    enum kl_status status = kms_commit(leftovers->vault->keys, &request, err);
    size_t i;

    for (i = 0; status == KL_OK && i < leftovers->count; i++) {
        (void)tenant_prefix(tenant, key);
        kl_put_u64be(key + 10, leftovers->changes[i].place.slot);
        status = vault_side_forget(leftovers->vault, kl_slice_of(key, sizeof key), err);
    }
    return status;
}

/* While this fails nothing new is written: so there is never more than one, however long a mirror is out of step. */
static enum kl_status leftovers_shred(struct vault *vault, uint64_t tenant, bool ending,
                                      struct kl_err *err)
{
    struct leftovers leftovers = {.vault = vault, .ending = ending};
    unsigned char prefix[10];
    enum kl_status status = KL_OK;

    do {
        leftovers.last = KMS_SLOT_NONE;
        leftovers.count = 0;
        status =
            kms_side_range(vault->keys, tenant_prefix(tenant, prefix), look_at, &leftovers, err);
        if (status == KL_OK && leftovers.count > 0) {
            status = leftovers_end(&leftovers, tenant, err);
        }
    } while (status == KL_OK && leftovers.count == LEFTOVERS_AT_ONCE);
    return status;
}

/* ---- writing ---- */

/* 12 * year + month - 1, of a moment. */
static uint32_t month_of(int64_t time_us)
{
    char text[KL_DATE_TEXT_BYTES];

    kl_date_format(time_us, text);
    return (uint32_t)(12 * strtol(text, NULL, 10) + strtol(text + 5, NULL, 10) - 1);
}

static enum kl_status write_one(struct vault *vault, const struct vault_tenant *tenant,
                                struct kl_slice head, uint64_t number, uint32_t minimum,
                                const struct vault_counted *counted, size_t i, struct kl_err *err)
{
    const struct kms_place place = {KMS_TENANT_VAULT, number, KMS_VALUE_NONE};
    unsigned char key[VAULT_STATISTICS_KEY_BYTES];
    struct kms_storage_write write = {.key = {key, sizeof key}};
    struct kl_buf plain;
    struct kl_buf row;
    enum kl_status status = KL_OK;

    (void)tenant_prefix(tenant->number, key);
    kl_put_u64be(key + 10, number);
    key[18] = (unsigned char)(i >> 8);
    key[19] = (unsigned char)i;
    kl_buf_init(&plain, VAULT_PUBLISHED_MAX_BYTES);
    kl_buf_init(&row, VAULT_STATISTICS_ROW_MAX_BYTES);
    kl_buf_add(&row, head.bytes, head.size);
    status = vault_published_encode(tenant->name, minimum, counted, &plain, err);
    if (status == KL_OK) {
        status = kms_seal(vault->keys, &place, kl_slice_text(VAULT_STATISTICS_CONTEXT),
                          kl_buf_slice(&plain), &row, err);
    }
    if (status == KL_OK) {
        write.value = kl_buf_slice(&row);
        status = kms_side_apply(vault->keys, &write, 1, false, err); /* the commit syncs it */
    }
    kl_buf_done(&plain);
    kl_buf_done(&row);
    return status;
}

/*
 * Settle counting and write what is left of it, for a commit that shreds cohort, or the tenant with it. No leftovers are there. What
 * kms_slot_take(), kms_seal() and kms_side_apply() return.
 */
static enum kl_status write_all(struct vault *vault, const struct vault_tenant *tenant,
                                uint64_t cohort, int64_t now_us, struct vault_counting *counting,
                                struct vault_statistics_publication *ret, struct kl_err *err)
{
    const struct vault_counted *counted = NULL;
    unsigned char head[VAULT_STATISTICS_HEAD_BYTES] = {FORMAT};
    uint64_t number = 0;
    size_t dropped = 0;
    enum kl_status status = KL_OK;

    vault_counting_settle(counting, &dropped);
    ret->too_few = (uint32_t)dropped;
    if (vault_counting_at(counting, 0) != NULL) {
        status = kms_slot_take(vault->keys, KMS_TENANT_VAULT, 1, &number, err);
    }
    kl_put_u64be(head + 1, cohort);
    kl_put_u32be(head + 9, month_of(now_us));
    while (status == KL_OK && (counted = vault_counting_at(counting, ret->published)) != NULL) {
        status = write_one(vault, tenant, kl_slice_of(head, sizeof head), number,
                           vault_counting_minimum_of(counting), counted, ret->published, err);
        ret->published++;
    }
    return status;
}

/* ---- a cohort ---- */

static enum kl_status commit(struct vault *vault, uint64_t tenant, uint64_t cohort, int64_t now_us,
                             const struct vault_statistics_publication *publication,
                             struct kl_err *err)
{
    struct vault_erasing erasing = {.note = {.kind = VAULT_NOTE_STATISTICS,
                                             .id = kl_id_new(),
                                             .tenant = tenant,
                                             .at_us = now_us,
                                             .role = "vault",
                                             .notify_all = true,
                                             .records = publication->published,
                                             .fields = publication->too_few,
                                             .cohort = cohort}};
    const struct kms_change change = {KMS_CHANGE_SHRED, {tenant, cohort, KMS_VALUE_NONE}};
    struct kms_request request = {.changes = &change, .changes_count = 1, .work = &erasing};
    struct kl_buf note;
    enum kl_status status = KL_OK;

    kl_buf_init(&note, KMS_NOTE_MAX_BYTES);
    status = vault_note_encode(&erasing.note, &note, err);
    request.note = note.bytes;
    request.note_bytes = note.size;
    if (status == KL_OK) {
        status = kms_commit(vault->keys, &request, err);
    }
    kl_buf_done(&note);
    return status;
}

/* *ret_gone: its key is gone, whatever became of the rest. */
static enum kl_status publish(struct vault *vault, const struct vault_tenant *tenant,
                              uint64_t cohort, int64_t now_us, bool *ret_gone, struct kl_err *err)
{
    struct vault_statistics_publication publication = {.published = 0};
    struct vault_counting *counting = vault_counting_new();
    const struct kms_place place = {tenant->number, cohort, KMS_VALUE_NONE};
    enum kl_status status = KL_OK;

    if (counting == NULL) {
        return kl_fail_memory(err);
    }
    status = leftovers_shred(vault, tenant->number, false, err);
    if (status == KL_OK) {
        status = vault_waiting_count(vault, tenant->number, cohort, counting, err);
    }
    if (status == KL_OK) {
        status = write_all(vault, tenant, cohort, now_us, counting, &publication, err);
    }
    if (status == KL_OK) {
        status = commit(vault, tenant->number, cohort, now_us, &publication, err);
    }
    *ret_gone = kms_place_check(vault->keys, &place, NULL) == KL_ERR_GONE;
    if (*ret_gone) {
        vault_waiting_forget(vault, tenant->number, cohort);
    }
    vault_counting_free(counting);
    return status;
}

/* Cohorts of a tenant whose keys went in this turn. */
struct gone {
    uint64_t cohorts[COHORTS_AT_ONCE];
    size_t count;
};

/* The turn is held. */
static enum kl_status publish_tenant(struct vault *vault, uint64_t number, int64_t now_us,
                                     struct gone *gone, struct kl_err *err)
{
    const struct vault_tenant *tenant = vault_tenants_by_number(vault, number);
    enum kl_status status = KL_OK;
    uint64_t cohort = 0;
    bool is_gone = false;
    size_t i;

    for (i = 0; status == KL_OK && tenant != NULL && i < COHORTS_AT_ONCE; i++) {
        status = vault_waiting_close(vault, number, now_us, cohort, &cohort, err);
        if (status != KL_OK || cohort == 0) {
            break;
        }
        status = publish(vault, tenant, cohort, now_us, &is_gone, err);
        if (is_gone) {
            gone->cohorts[gone->count++] = cohort;
        }
    }
    return status;
}

/* What fails here is done at the next open. */
static void forget_rows(struct vault *vault, uint64_t tenant, const struct gone *gone)
{
    struct kl_err err = {0};
    size_t i;

    for (i = 0; i < gone->count; i++) {
        if (vault_waiting_rows_forget(vault, tenant, gone->cohorts[i], &err) != KL_OK) {
            kl_log_err(KL_LOG_WARNING, "statistic_rows_left", &err);
            kl_err_clear(&err);
        }
    }
}

static enum kl_status publish_due(struct vault *vault, int64_t now_us, struct kl_err *err)
{
    enum kl_status first = KL_OK;
    uint64_t number = KMS_TENANT_VAULT;
    struct kl_err own = {0};
    enum kl_status status;

    while (vault_waiting_over_next(vault, now_us, number, &number)) {
        struct gone gone = {.count = 0};

        vault_turn_take(&vault->turn);
        status = publish_tenant(vault, number, now_us, &gone, first == KL_OK ? err : &own);
        vault_turn_give(&vault->turn);
        forget_rows(vault, number, &gone);
        kl_err_clear(&own);
        first = first == KL_OK ? status : first;
    }
    return first;
}

const struct vault_upkeep_task vault_statistics_task = {"statistics", INTERVAL_MS, publish_due};

/* ---- the end of a tenant ---- */

/*
 * Everybody who is there gives what they would give to an erasure. Who waits already is known by now, and nobody comes twice after. lost: nothing is
 * published, for want of something; a tenant ends all the same.
 */
struct vault_statistics_ending {
    struct vault *vault;
    const struct vault_tenant *tenant;
    struct vault_policy *policy;
    uint64_t *cohorts;
    size_t cohort_count;
    struct vault_counting *counting;
    struct kl_arena *arena;
    struct kl_arena *scratch;
    struct vault_given given;
    bool lost;
};

static enum kl_status count_subject(struct vault_statistics_ending *ending, uint64_t slot,
                                    struct kl_slice row, struct kl_err *err)
{
    struct vault_subject subject = {0};
    struct kl_err own = {0};
    enum kl_status status = KL_OK;
    size_t i;

    kl_arena_reset(ending->arena);
    status = vault_subject_load_row(ending->vault, ending->tenant->number, slot, row, ending->arena,
                                    &subject, &own);
    if (status == KL_OK) {
        status = vault_statistics_give(ending->vault, ending->policy, &subject, VAULT_NONE,
                                       ending->arena, ending->scratch, &ending->given, &own);
    }
    for (i = 0; status == KL_OK && i < ending->given.count; i++) {
        const struct vault_given_item *item = &ending->given.items[i];

        status = vault_counting_add(ending->counting, ending->given.person, item->field, item->how,
                                    item->has_value ? item->value : NULL, false, &own);
    }
    vault_subject_done(&subject);
    if (status == KL_ERR_IO || status == KL_ERR_NO_MEMORY) {
        return kl_fail(err, status, own.code, own.client_text, "%s", own.log_text);
    }
    return KL_OK; /* erased, or damaged: nobody can say what they were */
}

static enum kl_status count_subjects(struct vault_statistics_ending *ending, struct kl_err *err)
{
    struct vault_row_key first = vault_row_head(ending->tenant->number, 0);
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice row;
    enum kl_status status = KL_OK;

    first.size = 9;
    past = vault_row_past(&first);
    iter = vault_iter_new(ending->vault->data_store, vault_row_slice(&first),
                          vault_row_slice(&past), false);
    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    while (status == KL_OK && vault_iter_next(iter, &key, &row)) {
        status = count_subject(ending, kl_get_u64be(key.bytes + 9), row, err);
    }
    status = status == KL_OK ? vault_iter_status(iter, err) : status;
    vault_iter_free(iter);
    return status;
}

static bool keeps_statistics(const struct vault_statistics_ending *ending)
{
    return ending->policy != NULL && vault_policy_statistics(ending->policy)->count > 0;
}

static enum kl_status count_all(struct vault_statistics_ending *ending, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t i;

    for (i = 0; status == KL_OK && i < ending->cohort_count; i++) {
        status = vault_waiting_count(ending->vault, ending->tenant->number, ending->cohorts[i],
                                     ending->counting, err);
    }
    if (status == KL_OK && ending->policy != NULL) {
        vault_counting_minimum(ending->counting, vault_policy_statistics(ending->policy)->minimum);
    }
    return status == KL_OK && keeps_statistics(ending) ? count_subjects(ending, err) : status;
}

static void lose(struct vault_statistics_ending *ending, const struct kl_err *err)
{
    kl_log_err(KL_LOG_ERROR, "statistic_not_kept", err);
    ending->lost = true;
}

/* What is published counts once the key of a cohort is gone: with the tenant's that of any is. */
static enum kl_status write_ending(struct vault_statistics_ending *ending, int64_t now_us,
                                   struct vault_statistics_publication *ret, struct kl_err *err)
{
    uint64_t cohort = ending->cohort_count > 0 ? ending->cohorts[0] : 0;
    enum kl_status status = KL_OK;

    if (cohort == 0) {
        status = vault_waiting_empty(ending->vault, ending->tenant->number, now_us, &cohort, err);
    }
    return status == KL_OK ? write_all(ending->vault, ending->tenant, cohort, now_us,
                                       ending->counting, ret, err)
                           : status;
}

static void ending_free(struct vault_statistics_ending *ending)
{
    free(ending->cohorts);
    vault_policy_unref(ending->policy);
    vault_counting_free(ending->counting);
    kl_arena_free(ending->arena);
    kl_arena_free(ending->scratch);
    free(ending);
}

enum kl_status vault_statistics_tenant_begin(struct vault *vault, const struct vault_tenant *tenant,
                                             struct vault_statistics_ending **ret,
                                             struct kl_err *err)
{
    struct vault_statistics_ending *ending = calloc(1, sizeof *ending);
    uint64_t policy_number = 0;
    enum kl_status status = KL_OK;

    if (ending == NULL) {
        return kl_fail_memory(err);
    }
    ending->vault = vault;
    ending->tenant = tenant;
    ending->policy = vault_tenant_policy(vault, tenant, &policy_number);
    ending->counting = vault_counting_new();
    ending->arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    ending->scratch = kl_arena_new(VAULT_WORK_MAX_BYTES);
    if (ending->counting == NULL || ending->arena == NULL || ending->scratch == NULL) {
        status = kl_fail_memory(err);
    }
    if (status == KL_OK) {
        status = vault_waiting_end_begin(vault, tenant->number, &ending->cohorts,
                                         &ending->cohort_count, err);
    }
    if (status != KL_OK) {
        ending_free(ending);
        return status;
    }
    status = leftovers_shred(vault, tenant->number, true, err);
    if (status != KL_OK) {
        vault_statistics_tenant_end(ending, false);
        return status;
    }
    *ret = ending;
    return KL_OK;
}

void vault_statistics_tenant_count(struct vault_statistics_ending *ending)
{
    struct kl_err err = {0};

    if (count_all(ending, &err) != KL_OK) {
        lose(ending, &err);
    }
}

enum kl_status vault_statistics_tenant_write(struct vault_statistics_ending *ending, int64_t now_us,
                                             struct vault_statistics_publication *ret,
                                             struct kl_err *err)
{
    struct kl_err own = {0};

    memset(ret, 0, sizeof *ret);
    if (ending->lost || (ending->cohort_count == 0 && !keeps_statistics(ending)) ||
        write_ending(ending, now_us, ret, &own) == KL_OK) {
        return KL_OK;
    }
    lose(ending, &own);
    memset(ret, 0, sizeof *ret);
    return leftovers_shred(ending->vault, ending->tenant->number, true, err);
}

void vault_statistics_tenant_end(struct vault_statistics_ending *ending, bool gone)
{
    vault_waiting_end_done(ending->vault, ending->tenant->number, gone);
    ending_free(ending);
}
