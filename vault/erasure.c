/* Erasing a subject, a record, or what a record held before. */
#include "vault/erasure.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/disclosure.h"
#include "vault/receipt.h"
#include "vault/request_internal.h"
#include "vault/retained.h"
#include "vault/retention.h"
#include "vault/statistics.h"
#include "vault/subject_erase.h"
#include "vault/subject_unknown.h"
#include "vault/sweep.h"

#include <string.h>

/* An erasure being put together. */
struct plan {
    struct vault *vault;
    const struct vault_caller *caller;
    struct kl_arena *arena;
    struct kl_arena
        *scratch; /* one value at a time: all of somebody's may be more than there is room for */
    struct vault_subject subject;
    enum vault_note_kind kind;
    int record;                  /* VAULT_NONE: the whole subject */
    const struct kl_id *request; /* that it answers; NULL: none */
    struct vault_erasing erasing;
    struct kl_id retained[VAULT_HOLDS_MAX]; /* the records of erasing.note.retained */
    struct vault_index_entry *entries;
    size_t entry_count;
    struct kms_change *changes;
    size_t change_count;
    struct kms_range ranges[VAULT_UNKNOWN_RANGES_MAX];
    size_t range_count;
    bool marked;
    bool by_vault; /* no role is asked */
    bool unopened; /* the subject is erased by its id alone: its records do not open */
    struct vault_waiting_ticket waiting; /* what it gives to statistics */
};

void vault_note_who(struct vault_note *note, const struct vault_caller *caller)
{
    note->at_us = caller->now_us;
    note->credential = caller->credential;
    note->location = caller->location;
    memcpy(note->role, caller->role_name, sizeof note->role);
    memcpy(note->request_id, caller->request_id, sizeof note->request_id);
}

/* ---- index entries ---- */

/* In the index in use, and in the one being built. */
static enum kl_status entries_of(struct plan *plan, const char *kind, struct kl_slice value,
                                 uint64_t discriminator, struct kl_err *err)
{
    size_t count = 0;
    enum kl_status status = vault_index_entries(plan->vault->index, plan->subject.tenant, kind,
                                                value, plan->subject.slot, discriminator,
                                                plan->entries + plan->entry_count, &count, err);

    plan->entry_count += count;
    return status;
}

/*
 * The entry of one value. A value that does not open must not keep anybody from being erased; its entry then stays behind, leading to
 * nobody, until the index is built anew.
 */
static enum kl_status entry_add(struct plan *plan, const struct vault_manifest_record *record,
                                const struct vault_manifest_field *field, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_value_wanted wanted = {.record = record, .field = field};
    struct kl_err unopened = {0};
    char name[VAULT_FIELD_NAME_BYTES];
    struct kl_buf form;

    if (field->index == VAULT_INDEX_NONE) {
        return KL_OK;
    }
    kl_arena_reset(plan->scratch);
    status = vault_subject_values(plan->vault, plan->subject.tenant, plan->subject.slot, &wanted, 1,
                                  plan->scratch, &unopened);
    if (status != KL_OK) {
        if (status != KL_ERR_GONE) {
            kl_log_err(KL_LOG_WARNING, "index_entry_not_found", &unopened);
        }
        return status == KL_ERR_GONE || status == KL_ERR_CORRUPT
                   ? KL_OK
                   : kl_fail(err, status, unopened.code, unopened.client_text, NULL);
    }
    kl_buf_init(&form, VAULT_TAG_VALUE_MAX_BYTES);
    vault_field_name(record->type, field->name, name);
    status = vault_value_index_form(field->type, wanted.value, &form, err);
    if (status == KL_OK) {
        status = entries_of(plan, name, kl_buf_slice(&form),
                            vault_index_discriminator(&record->id, field->name), err);
    }
    kl_buf_done(&form);
    return status;
}

/* What leads to the subject as a whole: its id, and the handles of its pseudonyms. */
static enum kl_status own_entries_add(struct plan *plan, struct kl_err *err)
{
    const struct vault_manifest_base *base = &plan->subject.base;
    enum kl_status status =
        entries_of(plan, "id", kl_slice_of(base->subject.bytes, KL_ID_BYTES), 0, err);
    size_t i;

    for (i = 0; status == KL_OK && i < base->handle_count; i++) {
        status = entries_of(plan, VAULT_PSEUDONYM_KIND,
                            kl_slice_of(base->handles[i], VAULT_HANDLE_BYTES), 0, err);
    }
    return status;
}

static bool is_meant(const struct plan *plan, size_t at)
{
    return !plan->subject.records[at].gone &&
           (plan->record == VAULT_NONE || (size_t)plan->record == at);
}

/* Entries of what is there now, and of what was: a removed entry still stands in the old bytes of its bucket. */
static enum kl_status entries_gather(struct plan *plan, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t room = 1 + plan->subject.base.handle_count;
    size_t i;
    size_t k;

    for (i = 0; i < plan->subject.head.record_count; i++) {
        room += is_meant(plan, i)
                    ? plan->subject.records[i].field_count + plan->subject.records[i].past_count
                    : 0;
    }
    plan->entries = kl_arena_array(plan->arena, VAULT_INDEX_TWIN * room, sizeof *plan->entries);
    if (plan->entries == NULL) {
        return kl_fail_memory(err);
    }
    if (plan->kind == VAULT_NOTE_SUBJECT) {
        status = own_entries_add(plan, err);
    }
    for (i = 0; status == KL_OK && i < plan->subject.head.record_count; i++) {
        const struct vault_manifest_record *record = &plan->subject.records[i];

        for (k = 0; status == KL_OK && is_meant(plan, i) && plan->kind != VAULT_NOTE_PAST &&
                    k < record->field_count;
             k++) {
            status = entry_add(plan, record, &record->fields[k], err);
        }
        for (k = 0; status == KL_OK && is_meant(plan, i) && k < record->past_count; k++) {
            status = entry_add(plan, record, &record->past[k], err);
        }
    }
    return status;
}

/* ---- what is shredded ---- */

static void shred(struct plan *plan, uint64_t value)
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
static void shred_record(struct plan *plan)
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

static bool is_kept(const struct plan *plan, size_t at)
{
    return plan->kind == VAULT_NOTE_SUBJECT && !plan->subject.records[at].gone &&
           vault_record_is_held(&plan->subject.records[at], plan->caller->now_us);
}

static size_t kept_values(const struct plan *plan)
{
    size_t values = 0;
    size_t i;

    for (i = 0; i < plan->subject.head.record_count; i++) {
        values += is_kept(plan, i) ? 1 + plan->subject.records[i].field_count : 0;
    }
    return values;
}

static void shred_subject(struct plan *plan)
{
    struct kms_place *dying = &plan->erasing.dying[plan->erasing.dying_count++];

    shred(plan, KMS_VALUE_NONE);
    dying->tenant = plan->subject.tenant;
    dying->slot = plan->subject.slot;
    dying->value = KMS_VALUE_NONE;
}

static enum kl_status rekey_buckets(struct plan *plan, size_t places_max, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kms_place *places = kl_arena_array(plan->arena, places_max, sizeof *places);
    size_t count = 0;
    size_t i;

    if (places == NULL) {
        return kl_fail_memory(err);
    }
    status = vault_index_places(plan->vault->index, plan->subject.tenant, plan->entries,
                                plan->entry_count, places, places_max, &count, err);
    for (i = 0; status == KL_OK && i < count; i++) {
        plan->changes[plan->change_count].kind = KMS_CHANGE_REKEY;
        plan->changes[plan->change_count++].place = places[i];
    }
    return status;
}

/* ---- the note ---- */

/* "type.field", of a record that goes (a field of its type), or of one that is kept (a field that is kept of it). */
static bool is_of(const struct plan *plan, size_t at, const char *name, bool kept)
{
    const struct vault_manifest_record *record = &plan->subject.records[at];
    size_t size = strlen(record->type);
    bool found = !kept;
    size_t i;

    if (record->gone || is_kept(plan, at) != kept || (!kept && !is_meant(plan, at)) ||
        strncmp(name, record->type, size) != 0 || name[size] != '.') {
        return false;
    }
    for (i = 0; !found && i < record->field_count; i++) {
        found = strcmp(record->fields[i].name, name + size + 1) == 0;
    }
    return found;
}

static bool is_of_any(const struct plan *plan, const char *name, bool kept)
{
    size_t i;

    for (i = 0; i < plan->subject.head.record_count; i++) {
        if (is_of(plan, i, name, kept)) {
            return true;
        }
    }
    return false;
}

/*
 * Whether a field that was disclosed goes now: of one record, what is of its type; of a subject everything, also of records that went before,
 * but for what is kept.
 */
static bool field_goes(const struct plan *plan, const char *name)
{
    return is_of_any(plan, name, false) ||
           (plan->kind != VAULT_NOTE_RECORD && !is_of_any(plan, name, true));
}

static bool is_told(const struct vault_note *note, const char *name)
{
    size_t at = 0;

    while (at < note->notify_bytes && strcmp(note->notify + at, name) != 0) {
        at += strlen(note->notify + at) + 1;
    }
    return at < note->notify_bytes;
}

/* Everybody whom the policy names: when nothing tells who received something. */
static void note_all_recipients(struct plan *plan)
{
    const struct vault_policy *policy = plan->caller->policy;
    size_t count = vault_policy_recipient_count(policy);
    size_t i;

    for (i = 0; i < count; i++) {
        vault_note_notify(&plan->erasing.note, vault_policy_recipient(policy, (int)i)->name);
    }
}

/*
 * Those who received something of what goes, and are to be told (GDPR art. 19). A ledger that does not open keeps nobody from being erased:
 * then all who may have received something are named.
 */
static enum kl_status note_recipients(struct plan *plan, struct kl_err *err)
{
    struct vault_disclosures ledger = {0};
    struct kl_err unopened = {0};
    uint64_t value = KMS_VALUE_NONE;
    size_t i;
    size_t n;
    enum kl_status status = plan->unopened
                                ? KL_ERR_CORRUPT
                                : vault_disclosures_load(plan->vault, &plan->subject, plan->arena,
                                                         &ledger, &value, &unopened);

    if (status == KL_ERR_CORRUPT || status == KL_ERR_GONE) {
        note_all_recipients(plan);
        return KL_OK;
    }
    if (status != KL_OK) {
        return kl_fail(err, status, unopened.code, unopened.client_text, "%s", unopened.log_text);
    }
    for (i = 0; i < ledger.count; i++) {
        const char *name = ledger.names[ledger.entries[i].recipient];
        bool goes = false;

        for (n = 0; !goes && n < ledger.name_count; n++) {
            goes = vault_disclosure_field_has(&ledger.entries[i], n) &&
                   field_goes(plan, ledger.names[n]);
        }
        if (goes && !is_told(&plan->erasing.note, name)) {
            vault_note_notify(&plan->erasing.note, name);
        }
    }
    return KL_OK;
}

static enum kl_status note_fill(struct plan *plan, enum vault_erase_reason reason,
                                struct kl_err *err)
{
    struct vault_note *note = &plan->erasing.note;
    size_t i;

    note->kind = plan->kind;
    note->id = kl_id_new();
    note->tenant = plan->subject.tenant;
    note->slot = plan->subject.slot;
    note->reason = reason;
    note->notify_all = true;
    vault_note_who(note, plan->caller);
    for (i = 0; i < plan->subject.head.record_count; i++) {
        if (is_meant(plan, i) && !is_kept(plan, i)) {
            note->records++;
            note->fields += (uint32_t)plan->subject.records[i].field_count;
        }
    }
    if (plan->record != VAULT_NONE) {
        note->record = plan->subject.head.records[plan->record].value;
    }
    if (plan->request != NULL) {
        note->request = *plan->request;
    }
    return plan->kind != VAULT_NOTE_PAST ? note_recipients(plan, err) : KL_OK;
}

/* ---- doing it ---- */

static enum kl_status erase_commit(struct plan *plan, struct kl_err *err)
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

static enum kl_status erase_marked(struct plan *plan, enum vault_erase_reason reason,
                                   const unsigned char secret[VAULT_SUBJECT_SECRET_BYTES],
                                   struct kl_err *err)
{
    enum kl_status status = entries_gather(plan, err);
    const struct kl_id *record_id =
        plan->kind == VAULT_NOTE_RECORD ? &plan->subject.records[plan->record].id : NULL;
    size_t values = 1;
    size_t places_max = 16 * plan->entry_count + 64;

    if (status ==
        KL_OK) { /* not before: these entries are not for an index that was over by then */
        status = vault_sweep_old_index_end(plan->vault, plan->subject.tenant, err);
    }
    if (status != KL_OK) {
        return status;
    }
    if (plan->record != VAULT_NONE) {
        values += plan->subject.records[plan->record].field_count +
                  plan->subject.records[plan->record].past_count;
    }
    plan->changes =
        kl_arena_array(plan->arena, values + places_max + kept_values(plan), sizeof *plan->changes);
    plan->erasing.rows = kl_arena_array(plan->arena, values, sizeof *plan->erasing.rows);
    plan->erasing.dying =
        kl_arena_array(plan->arena, 1 + plan->entry_count, sizeof *plan->erasing.dying);
    if (plan->changes == NULL || plan->erasing.rows == NULL || plan->erasing.dying == NULL) {
        return kl_fail_memory(err);
    }
    if (plan->kind != VAULT_NOTE_PAST && !plan->unopened) {
        status = vault_statistics_erasing(plan->vault, plan->caller, &plan->subject, plan->record,
                                          plan->arena, plan->scratch, &plan->erasing.note,
                                          &plan->waiting, err);
    }
    if (plan->kind == VAULT_NOTE_SUBJECT && !plan->unopened) {
        vault_obligations_narrow(plan->caller->policy, &plan->subject);
    }
    if (plan->record == VAULT_NONE) {
        shred_subject(plan);
    } else {
        shred_record(plan);
    }
    if (status == KL_OK) {
        status = note_fill(plan, reason, err);
    }
    if (secret != NULL) {
        vault_receipt_commit(secret, &plan->subject.base.subject, record_id,
                             plan->erasing.note.commitment);
    }
    if (status == KL_OK && plan->kind == VAULT_NOTE_SUBJECT) {
        status = vault_retained_keep(plan->vault, &plan->subject, plan->caller->now_us, secret,
                                     &plan->erasing.note, plan->retained, plan->changes,
                                     &plan->change_count, err);
    }
    if (status == KL_OK) {
        status = rekey_buckets(plan, places_max, err);
    }
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

static enum kl_status plan_record(struct plan *plan, const struct kl_id *record, struct kl_err *err)
{
    plan->record = record == NULL ? VAULT_NONE : vault_subject_record_find(&plan->subject, record);
    return record != NULL && plan->record == VAULT_NONE ? vault_not_found(err) : KL_OK;
}

/*
 * Somebody whose record manifests are damaged is erased all the same, by id alone: nothing of the damage may keep them from it. What their
 * records were is not known then, nor which entries of the index lead to them but that of the id; those lead to nobody.
 */
static enum kl_status plan_unopened(struct plan *plan, const struct kl_id *subject,
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
static enum kl_status allowed_unopened(const struct plan *plan, struct kl_err *err)
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

static enum kl_status check_hold(const struct plan *plan, struct kl_err *err)
{
    const struct vault_manifest_record *record = &plan->subject.records[plan->record];
    char until[KL_TIME_TEXT_BYTES];

    if (!vault_record_is_held(record, plan->caller->now_us)) {
        return KL_OK;
    }
    kl_time_format(record->hold_until_us, until);
    return kl_failf(err, KL_ERR_CONFLICT, "record_held", "this record must be kept until %s",
                    until);
}

/* The vault erases by itself only what no purpose keeps now: asked again once nothing of the subject can change any more. */
static enum kl_status check_due(const struct plan *plan, struct kl_err *err)
{
    struct vault_ledger ledger = {0};
    enum kl_status status = plan->unopened ? KL_OK
                                           : vault_subject_ledger(plan->vault, &plan->subject,
                                                                  plan->arena, &ledger, err);
    bool due = !plan->unopened;
    size_t i;

    for (i = 0; status == KL_OK && i < plan->subject.head.record_count; i++) {
        due = due && (!is_meant(plan, i) ||
                      vault_retention_is_due(plan->caller->policy, &plan->subject.records[i],
                                             &ledger, plan->caller->now_us));
    }
    return status == KL_OK && !due ? kl_fail(err, KL_ERR_CONFLICT, VAULT_ERASE_NOT_DUE,
                                             "this is kept by a purpose, or held", NULL)
                                   : status;
}

/* After the subject was looked for: which record, and may it be erased? */
static enum kl_status plan_check(struct plan *plan, const struct kl_id *subject,
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
    if (!plan->unopened) {
        vault_obligations_hold(plan->caller->policy, &plan->subject, plan->caller->now_us);
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
static enum kl_status plan_mark(struct plan *plan, const struct kl_id *subject,
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

static enum kl_status plan_begin(struct plan *plan, struct vault *vault,
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

static void plan_end(struct plan *plan)
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
    struct plan plan;
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
            status = vault_receipt_answer(kl_buf_slice(&plan.erasing.receipt), asked->subject,
                                          asked->kind == VAULT_NOTE_RECORD ? asked->record : NULL,
                                          plan.retained, secret, ret_receipt, err);
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
