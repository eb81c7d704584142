/* Erasing a subject, a record, or what a record held before. */
#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/erasure_plan.h"
#include "vault/receipt.h"
#include "vault/request_internal.h"
#include "vault/retention.h"
#include "vault/subject_erase.h"
#include "vault/sweep.h"

#include <string.h>

void vault_note_who(struct vault_note *note, const struct vault_caller *caller)
{
    note->at_us = caller->now_us;
    note->credential = caller->credential;
    note->location = caller->location;
    memcpy(note->role, caller->role_name, sizeof note->role);
    memcpy(note->request_id, caller->request_id, sizeof note->request_id);
}

bool vault_erase_is_meant(const struct vault_erase_plan *plan, size_t at)
{
    return !plan->subject.records[at].gone &&
           (plan->record == VAULT_NONE || (size_t)plan->record == at);
}

/* ---- what is shredded ---- */

static void shred(struct vault_erase_plan *plan, uint64_t value)
{
    struct kms_change *change = &plan->changes[plan->change_count++];

    change->kind = KMS_CHANGE_SHRED;
    change->place.tenant = plan->subject.tenant;
    change->place.slot = plan->subject.slot;
    change->place.value = value;
    if (value != KMS_VALUE_NONE) {
        plan->erasing.rows[plan->erasing.row_count++] = value;
    }
}

/*
 * The record's manifest, values and past values; of a past alone, only those. Its index entries are left out of the new buckets. With them goes what
 * a restored copy does not know of the subject: nobody can tell which of it was this record's.
 */
static void shred_record(struct vault_erase_plan *plan)
{
    const struct vault_manifest_record *record = &plan->subject.records[plan->record];
    size_t i;

    if (plan->kind == VAULT_NOTE_RECORD) {
        shred(plan, plan->subject.head.records[plan->record].value);
        for (i = 0; i < record->field_count; i++) {
            shred(plan, record->fields[i].value);
        }
        for (i = 0; i < plan->entry_count; i++) {
            struct kms_place *dying = &plan->erasing.dying[plan->erasing.dying_count++];

            dying->tenant = plan->subject.tenant;
            dying->slot = plan->subject.slot;
            dying->value = plan->entries[i].discriminator;
        }
    }
    for (i = 0; i < record->past_count; i++) {
        shred(plan, record->past[i].value);
    }
    plan->range_count = vault_subject_unknown(plan->vault, plan->subject.tenant, plan->subject.slot,
                                              &plan->subject.head, plan->ranges);
}

/* ---- what is kept ---- */

/* Before: all fields are there. After: those of the records that are kept, as far as they are kept. */
static size_t fields_of(const struct vault_erase_plan *plan)
{
    size_t fields = 0;
    size_t i;

    for (i = 0; i < plan->subject.head.record_count; i++) {
        fields += vault_erase_is_meant(plan, i) ? plan->subject.records[i].field_count : 0;
    }
    return fields;
}

static enum kl_status keep(struct vault_erase_plan *plan, struct kl_err *err)
{
    enum kl_status status =
        vault_kept_of(plan->caller->policy, &plan->subject, plan->caller->now_us, plan->arena,
                      &plan->kept, &plan->kept_count, err);
    size_t i;

    for (i = 0; status == KL_OK && i < plan->kept_count; i++) {
        plan->kept_of[plan->kept[i].record] = true;
    }
    if (status == KL_OK) {
        vault_kept_narrow(&plan->subject, plan->kept, plan->kept_count);
    }
    return status;
}

static size_t kept_changes(const struct vault_erase_plan *plan)
{
    size_t changes = plan->kept_count;
    size_t i;

    for (i = 0; i < plan->subject.head.record_count; i++) {
        changes += plan->kept_of[i] ? plan->subject.records[i].field_count : 0;
    }
    return changes;
}

static void shred_subject(struct vault_erase_plan *plan)
{
    struct kms_place *dying = &plan->erasing.dying[plan->erasing.dying_count++];

    shred(plan, KMS_VALUE_NONE);
    dying->tenant = plan->subject.tenant;
    dying->slot = plan->subject.slot;
    dying->value = KMS_VALUE_NONE;
}

/* ---- the note ---- */

static enum kl_status note_fill(struct vault_erase_plan *plan, enum vault_erase_reason reason,
                                size_t fields, struct kl_err *err)
{
    struct vault_note *note = &plan->erasing.note;
    size_t i;

    note->kind = plan->kind;
    note->id = kl_id_new();
    note->tenant = plan->subject.tenant;
    note->slot = plan->subject.slot;
    note->reason = reason;
    note->fields = (uint32_t)fields;
    note->notify_all = true;
    vault_note_who(note, plan->caller);
    for (i = 0; i < plan->subject.head.record_count; i++) {
        note->records += vault_erase_is_meant(plan, i) && !plan->kept_of[i];
        note->fields -= plan->kept_of[i] ? (uint32_t)plan->subject.records[i].field_count : 0;
    }
    if (plan->record != VAULT_NONE) {
        note->record = plan->subject.head.records[plan->record].value;
    }
    if (plan->request != NULL) {
        note->request = *plan->request;
    }
    return plan->kind != VAULT_NOTE_PAST ? vault_erase_recipients_note(plan, err) : KL_OK;
}

/* ---- doing it ---- */

static enum kl_status erase_commit(struct vault_erase_plan *plan, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kms_request request = {.work = &plan->erasing};
    struct kl_buf note;

    kl_buf_init(&note, KMS_NOTE_MAX_BYTES);
    status = vault_note_encode(&plan->erasing.note, &note, err);
    request.changes = plan->changes;
    request.changes_count = plan->change_count;
    request.ranges = plan->ranges;
    request.ranges_count = plan->range_count;
    request.note = note.bytes;
    request.note_bytes = note.size;
    if (status == KL_OK) {
        status = kms_commit(plan->vault->keys, &request, err);
    }
    kl_buf_done(&note);
    return status;
}

/* Room for what the commit is asked to do: the values of a record that goes, what is kept, and the buckets. */
static enum kl_status room_make(struct vault_erase_plan *plan, size_t places_max,
                                struct kl_err *err)
{
    size_t values = 1;

    if (plan->record != VAULT_NONE) {
        values += plan->subject.records[plan->record].field_count +
                  plan->subject.records[plan->record].past_count;
    }
    plan->changes = kl_arena_array(plan->arena, values + places_max + kept_changes(plan),
                                   sizeof *plan->changes);
    plan->erasing.rows = kl_arena_array(plan->arena, values, sizeof *plan->erasing.rows);
    plan->erasing.dying =
        kl_arena_array(plan->arena, 1 + plan->entry_count, sizeof *plan->erasing.dying);
    return plan->changes == NULL || plan->erasing.rows == NULL || plan->erasing.dying == NULL
               ? kl_fail_memory(err)
               : KL_OK;
}

/* All that is written, or taken, before the commit. */
static enum kl_status erase_prepare(struct vault_erase_plan *plan, enum vault_erase_reason reason,
                                    const unsigned char secret[VAULT_SUBJECT_SECRET_BYTES],
                                    struct kl_err *err)
{
    enum kl_status status = KL_OK;
    const struct kl_id *record_id =
        plan->kind == VAULT_NOTE_RECORD ? &plan->subject.records[plan->record].id : NULL;
    size_t places_max = 16 * plan->entry_count + 64;
    size_t fields = fields_of(plan);

    if (plan->kind != VAULT_NOTE_PAST && !plan->unopened) {
        status = vault_statistics_erasing(plan->vault, plan->caller, &plan->subject, plan->record,
                                          plan->arena, plan->scratch, &plan->erasing.note,
                                          &plan->waiting, err);
    }
    if (status == KL_OK && plan->kind == VAULT_NOTE_SUBJECT) {
        status = keep(plan, err);
    }
    if (status == KL_OK) {
        status = room_make(plan, places_max, err);
    }
    if (status != KL_OK) {
        return status;
    }
    if (plan->record == VAULT_NONE) {
        shred_subject(plan);
    } else {
        shred_record(plan);
    }
    status = note_fill(plan, reason, fields, err);
    if (secret != NULL) {
        kl_receipt_commit(secret, &plan->subject.base.subject, record_id,
                          plan->erasing.note.commitment);
    }
    if (status == KL_OK && plan->kept_count > 0) {
        status = vault_retained_keep(plan->vault, &plan->subject, plan->kept, plan->kept_count,
                                     secret, plan->arena, &plan->erasing.note, plan->changes,
                                     &plan->change_count, err);
    }
    return status == KL_OK ? vault_erase_entries_rekey(plan, places_max, err) : status;
}

/* An index that is over ends once the entries are gathered, and not before: they are not for one that was over by then. */
static enum kl_status erase_marked(struct vault_erase_plan *plan, enum vault_erase_reason reason,
                                   const unsigned char secret[VAULT_SUBJECT_SECRET_BYTES],
                                   struct kl_err *err)
{
    enum kl_status status = vault_erase_entries_gather(plan, err);

    if (status == KL_OK) {
        status = vault_sweep_old_index_end(plan->vault, plan->subject.tenant, err);
    }
    if (status != KL_OK) {
        return status;
    }
    status = erase_prepare(plan, reason, secret, err);
    if (status == KL_OK) {
        status = erase_commit(plan, err);
        vault_index_release(plan->vault->index, plan->subject.tenant, plan->entries,
                            plan->entry_count);
    }
    if (status != KL_OK) {
        vault_retained_undo(plan->vault, &plan->erasing.note);
        vault_waiting_undo(plan->vault, &plan->erasing.note);
    }
    return status;
}

/* The ids of the records that the receipt's lines are about, in their order. */
static enum kl_status answer(struct vault_erase_plan *plan, const struct vault_erase_asked *asked,
                             const unsigned char *secret, struct kl_buf *ret_receipt,
                             struct kl_err *err)
{
    struct kl_id *records = kl_arena_array(plan->arena, plan->kept_count, sizeof *records);
    enum kl_status status = KL_OK;
    struct kl_buf trail;
    size_t i;

    if (records == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < plan->kept_count; i++) {
        records[i] = plan->subject.records[plan->kept[i].record].id;
    }
    kl_buf_init(&trail, VAULT_RECEIPT_TRAIL_MAX_BYTES);
    vault_receipt_trail(plan->vault, plan->subject.tenant, &plan->erasing.note.id, &trail);
    status = vault_receipt_answer(kl_buf_slice(&plan->erasing.receipt), asked->subject,
                                  asked->kind == VAULT_NOTE_RECORD ? asked->record : NULL, records,
                                  plan->kept_count, secret, kl_buf_slice(&trail), ret_receipt, err);
    kl_buf_done(&trail);
    return status;
}

static enum kl_status plan_record(struct vault_erase_plan *plan, const struct kl_id *record,
                                  struct kl_err *err)
{
    plan->record = record == NULL ? VAULT_NONE : vault_subject_record_find(&plan->subject, record);
    return record != NULL && plan->record == VAULT_NONE ? vault_not_found(err) : KL_OK;
}

/*
 * Somebody whose record manifests are damaged is erased all the same, by id alone: nothing of the damage may keep them from it. What their
 * records were is not known then, nor which entries of the index lead to them but that of the id; those lead to nobody.
 */
static enum kl_status plan_unopened(struct vault_erase_plan *plan, const struct kl_id *subject,
                                    enum kl_status status, struct kl_err *err)
{
    uint64_t slot = 0;

    if (status != KL_ERR_CORRUPT || plan->kind != VAULT_NOTE_SUBJECT ||
        vault_subject_slot(plan->vault, plan->caller->tenant, subject, &slot, NULL) != KL_OK) {
        return status;
    }
    kl_log_err(KL_LOG_WARNING, "erasing_unopened", err);
    kl_err_clear(err);
    vault_subject_done(&plan->subject);
    memset(&plan->subject, 0, sizeof plan->subject);
    kl_buf_init(&plan->subject.row, VAULT_STORE_VALUE_MAX_BYTES);
    plan->subject.tenant = plan->caller->tenant;
    plan->subject.slot = slot;
    plan->subject.base.subject = *subject;
    plan->unopened = true;
    return KL_OK;
}

/* Of records that do not open every field counts that the policy has. */
static enum kl_status allowed_unopened(const struct vault_erase_plan *plan, struct kl_err *err)
{
    const struct vault_policy *policy = plan->caller->policy;
    struct vault_query query = vault_query_of(plan->caller, VAULT_ACTION_ERASE, VAULT_NONE,
                                              VAULT_NONE, &plan->subject.base.subject);
    size_t count = vault_policy_field_count(policy);
    size_t i;

    for (i = 0; i < count; i++) {
        if (vault_policy_decide(policy, &query, NULL, (int)i).withheld == VAULT_GATE_ROLE) {
            return vault_not_found(err);
        }
    }
    return KL_OK;
}

static enum kl_status check_hold(const struct vault_erase_plan *plan, struct kl_err *err)
{
    const struct vault_manifest_record *record = &plan->subject.records[plan->record];
    int64_t until_us = vault_kept_until(plan->caller->policy, record, plan->caller->now_us);
    char until[KL_TIME_TEXT_BYTES];

    if (until_us <= plan->caller->now_us) {
        return KL_OK;
    }
    kl_time_format(until_us, until);
    return kl_failf(err, KL_ERR_CONFLICT, "record_held", "this record must be kept until %s",
                    until);
}

/* The vault erases by itself only what no purpose keeps now: asked again once nothing of the subject can change any more. */
static enum kl_status check_due(const struct vault_erase_plan *plan, struct kl_err *err)
{
    struct vault_ledger ledger = {0};
    enum kl_status status = plan->unopened ? KL_OK
                                           : vault_subject_ledger(plan->vault, &plan->subject,
                                                                  plan->arena, &ledger, err);
    bool due = !plan->unopened;
    size_t i;

    for (i = 0; status == KL_OK && i < plan->subject.head.record_count; i++) {
        due = due && (!vault_erase_is_meant(plan, i) ||
                      vault_retention_is_due(plan->caller->policy, &plan->subject.records[i],
                                             &ledger, plan->caller->now_us));
    }
    return status == KL_OK && !due ? kl_fail(err, KL_ERR_CONFLICT, VAULT_ERASE_NOT_DUE,
                                             "this is kept by a purpose, or held", NULL)
                                   : status;
}

/* After the subject was looked for: which record, and may it be erased? */
static enum kl_status plan_check(struct vault_erase_plan *plan, const struct kl_id *subject,
                                 const struct kl_id *record, enum kl_status status,
                                 struct kl_err *err)
{
    plan->unopened = false;
    if (status != KL_OK) {
        status = plan_unopened(plan, subject, status, err);
    }
    if (status == KL_OK) {
        status = plan_record(plan, record, err);
    }
    if (status != KL_OK || plan->kind == VAULT_NOTE_PAST) {
        return status;
    }
    status = plan->by_vault   ? check_due(plan, err)
             : plan->unopened ? allowed_unopened(plan, err)
                              : vault_subject_allowed(plan->caller, VAULT_ACTION_ERASE,
                                                      &plan->subject, plan->record, err);
    if (status == KL_OK && plan->request != NULL) {
        status =
            vault_request_erasable(plan->vault, plan->caller, &plan->subject, plan->request, err);
    }
    return status == KL_OK && plan->kind == VAULT_NOTE_RECORD ? check_hold(plan, err) : status;
}

/*
 * Find, ask the policy, mark, and look again: between finding and marking the subject may have changed. KL_ERR_GONE: somebody else's
 * erasure of it is under way.
 */
static enum kl_status plan_mark(struct vault_erase_plan *plan, const struct kl_id *subject,
                                const struct kl_id *record, struct kl_err *err)
{
    enum kl_status status =
        vault_subject_find(plan->vault, plan->caller, subject, plan->arena, &plan->subject, err);

    status = plan_check(plan, subject, record, status, err);
    if (status == KL_OK) {
        status = vault_commit_dying_begin(plan->vault->committer, plan->subject.tenant,
                                          plan->subject.slot, err);
        plan->marked = status == KL_OK;
    }
    if (status != KL_OK) {
        return status;
    }
    vault_subject_done(&plan->subject);
    status = vault_subject_load(plan->vault, plan->subject.tenant, plan->subject.slot, plan->arena,
                                &plan->subject, err);
    return plan_check(plan, subject, record, status, err);
}

static enum kl_status plan_begin(struct vault_erase_plan *plan, struct vault *vault,
                                 const struct vault_caller *caller, enum vault_note_kind kind,
                                 struct kl_err *err)
{
    memset(plan, 0, sizeof *plan);
    plan->vault = vault;
    plan->caller = caller;
    plan->kind = kind;
    plan->record = VAULT_NONE;
    kl_buf_init(&plan->subject.row, VAULT_STORE_VALUE_MAX_BYTES);
    kl_buf_init(&plan->erasing.receipt, VAULT_RECEIPT_MAX_BYTES);
    plan->arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    plan->scratch = kl_arena_new(VAULT_WORK_MAX_BYTES);
    return plan->arena == NULL || plan->scratch == NULL ? kl_fail_memory(err) : KL_OK;
}

static void plan_end(struct vault_erase_plan *plan)
{
    if (plan->marked) {
        vault_commit_dying_end(plan->vault->committer, plan->subject.tenant, plan->subject.slot);
    }
    vault_waiting_leave(plan->vault, &plan->waiting);
    vault_subject_done(&plan->subject);
    kl_buf_done(&plan->erasing.receipt);
    kl_arena_free(plan->arena);
    kl_arena_free(plan->scratch);
}

enum kl_status vault_erase(struct vault *vault, const struct vault_caller *caller,
                           const struct vault_erase_asked *asked,
                           const struct vault_idempotency_ticket *ticket,
                           const unsigned char *secret, struct kl_buf *ret_receipt,
                           struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_erase_plan plan;
    unsigned tries = 0;
    int64_t waited_ms = 0;

    do {
        status = plan_begin(&plan, vault, caller, asked->kind, err);
        plan.by_vault = asked->by_vault;
        plan.request = asked->request;
        if (status == KL_OK) {
            status = plan_mark(&plan, asked->subject, asked->record, err);
        }
        if (status == KL_OK) {
            vault_note_once(&plan.erasing.note, ticket);
            status = erase_marked(&plan, asked->reason, secret, err);
        }
        if (status == KL_OK && ret_receipt != NULL) {
            status = answer(&plan, asked, secret, ret_receipt, err);
        }
        plan_end(&plan);
    } while (status == KL_ERR_GONE && vault_change_again(status, &tries, &waited_ms, err));
    if (status == KL_ERR_GONE) {
        kl_err_clear(err);
        status = kl_fail(err, KL_ERR_BUSY, "subject_busy",
                         "this subject is being changed by others; try again", NULL);
    }
    return status;
}
