/* Reading a record that was retained, and its end. */
#include "vault/erasure.h"
#include "vault/receipt.h"
#include "vault/retained.h"
#include "vault/subject_read.h"

#include <stdlib.h>
#include <string.h>

#define DUE_AT_ONCE 256

/* ---- finding ---- */

/* One that was found: subject has the record as its only one. */
struct found {
    struct vault_retained retained;
    struct vault_subject subject;
};

/* record NULL: the one under the value slot `value`. */
static enum kl_status find_of_slot(struct vault *vault, uint64_t tenant, uint64_t slot,
                                   const struct kl_id *receipt, const struct kl_id *record,
                                   uint64_t value, struct kl_arena *arena, struct found *ret,
                                   struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_retained *retained = NULL;
    struct vault_subject *subjects = NULL;
    bool whole = false;
    size_t count = 0;
    size_t i;

    status =
        vault_retained_open(vault, tenant, slot, arena, &retained, &subjects, &count, &whole, err);
    for (i = 0; status == KL_OK && i < count; i++) {
        bool meant = record == NULL ? retained[i].note.value == value
                                    : kl_id_equal(&subjects[i].records[0].id, record);

        if (meant && kl_id_equal(&retained[i].receipt, receipt)) {
            ret->retained = retained[i];
            ret->subject = subjects[i];
            return KL_OK;
        }
    }
    return status == KL_OK ? vault_not_found(err) : status;
}

/* purpose VAULT_NONE: as somebody who may hold; else as somebody who reads for it, which finds what is kept for it alone. */
static struct vault_query query_for(const struct vault_caller *caller, int purpose)
{
    return vault_query_of(caller, purpose == VAULT_NONE ? VAULT_ACTION_HOLD : VAULT_ACTION_READ,
                          purpose, VAULT_NONE, NULL);
}

/*
 * For a caller: of its tenant, of an erasure that was done, and not at its end. A credential of one subject
 * finds none, nor does one of a recipient: the ledger that would say that it received something went with the subject.
 */
static enum kl_status find(struct vault *vault, const struct vault_caller *caller, int purpose,
                           const struct kl_id *receipt, const struct kl_id *record,
                           struct kl_arena *arena, struct found *ret, struct kl_err *err)
{
    struct vault_query query = query_for(caller, purpose);
    enum kl_status status = KL_OK;
    bool stale = false;
    uint64_t slot = 0;

    if (caller->bound || caller->is_recipient || query.role == VAULT_NONE ||
        !vault_policy_may(caller->policy, &query)) {
        return vault_not_found(err);
    }
    status = vault_retained_slot(vault, caller->tenant, receipt, &slot, err);
    if (status == KL_OK) {
        status = vault_retained_is_stale(vault, caller->tenant, slot, &stale, err);
    }
    if (status == KL_OK) {
        status =
            stale ? vault_not_found(err)
                  : find_of_slot(vault, caller->tenant, slot, receipt, record, 0, arena, ret, err);
    }
    if (status == KL_OK && purpose != VAULT_NONE &&
        strcmp(ret->retained.note.basis, vault_policy_purpose(caller->policy, purpose)->name) !=
            0) {
        status = vault_not_found(err);
    }
    if (status == KL_OK && ret->retained.note.until_us <= caller->now_us) {
        status = vault_not_found(err);
    }
    return status;
}

/* ---- reading ---- */

static enum kl_status read_found(struct vault *vault, const struct vault_caller *caller,
                                 int purpose, const struct found *found, struct kl_arena *arena,
                                 struct vault_subject_result *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_act act = {0};
    struct vault_audit_entry *entries[1] = {&act.entry};
    struct vault_read_plan plan = {.type = VAULT_NONE, .action = "retained_read"};
    bool reached = false;

    plan.query = query_for(caller, purpose);
    status = vault_read_loaded(vault, caller, &plan, &found->subject.records[0].id, &found->subject,
                               arena, &act, ret, &reached, err);
    if (status == KL_OK) {
        status = vault_audit_commit(vault, entries, 1, err);
    }
    vault_act_done(&act);
    return status;
}

enum kl_status vault_retained_read(struct vault *vault, const struct vault_caller *caller,
                                   const struct kl_id *receipt, const struct kl_id *record,
                                   const char *purpose, struct kl_arena *arena,
                                   struct vault_record_result *ret, struct vault_hold *ret_hold,
                                   struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct found found = {0};
    struct vault_subject_result result = {0};
    struct kl_err own = {0};
    int number = VAULT_NONE;

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status != KL_OK) {
        return status;
    }
    if (purpose != NULL) {
        status = vault_purpose_resolve(caller, purpose, &number, err);
    }
    if (status == KL_OK) {
        status = find(vault, caller, number, receipt, record, arena, &found, err);
    }
    if (status == KL_OK) {
        status = read_found(vault, caller, number, &found, arena, &result, err);
    }
    if (status == KL_ERR_GONE) { /* it came to its end meanwhile */
        kl_err_clear(err);
        status = vault_not_found(err);
    }
    if (status == KL_OK) {
        vault_read_count(vault, &result);
        *ret = result.records[0];
        memcpy(ret_hold->basis, found.retained.note.basis, sizeof ret_hold->basis);
        ret_hold->until_us = found.retained.note.until_us;
    }
    return vault_subject_refused(vault, caller, "retained_read", number, status, err);
}

/* ---- the end ---- */

static void shred(const struct found *found, uint64_t value, struct kms_change *changes,
                  struct vault_erasing *erasing)
{
    changes[erasing->row_count] = (struct kms_change){
        KMS_CHANGE_SHRED, {found->retained.tenant, found->retained.slot, value}};
    erasing->rows[erasing->row_count++] = value;
}

static enum kl_status commit_end(struct vault *vault, const struct found *found,
                                 struct vault_erasing *erasing, struct kl_arena *arena,
                                 struct kl_err *err)
{
    enum kl_status status = KL_OK;
    const struct vault_manifest_record *record = &found->subject.records[0];
    struct kms_change *changes =
        kl_arena_array(arena, 1 + record->field_count, sizeof(struct kms_change));
    struct kms_request request = {.work = erasing};
    struct kl_buf note;
    size_t i;

    erasing->rows = kl_arena_array(arena, 1 + record->field_count, sizeof *erasing->rows);
    if (changes == NULL || erasing->rows == NULL) {
        return kl_fail_memory(err);
    }
    shred(found, found->retained.note.value, changes, erasing);
    for (i = 0; i < record->field_count; i++) {
        shred(found, record->fields[i].value, changes, erasing);
    }
    kl_buf_init(&note, KMS_NOTE_MAX_BYTES);
    status = vault_note_encode(&erasing->note, &note, err);
    request.changes = changes;
    request.changes_count = erasing->row_count;
    request.note = note.bytes;
    request.note_bytes = note.size;
    if (status == KL_OK) {
        status = kms_commit(vault->keys, &request, err);
    }
    kl_buf_done(&note);
    return status;
}

/* note: who and when. */
static enum kl_status end_found(struct vault *vault, const struct found *found,
                                struct vault_erasing *erasing, struct kl_arena *arena,
                                struct kl_err *err)
{
    const struct vault_retained *retained = &found->retained;
    struct vault_note *note = &erasing->note;
    enum kl_status status = KL_OK;

    note->kind = VAULT_NOTE_RETAINED;
    note->id = kl_id_new();
    note->of = retained->receipt;
    note->tenant = retained->tenant;
    note->slot = retained->slot;
    note->record = retained->note.value;
    note->records = 1;
    note->fields = (uint32_t)found->subject.records[0].field_count;
    note->notify_all = true;
    memcpy(note->commitment, retained->note.commitment, sizeof note->commitment);
    status = vault_commit_dying_begin(vault->committer, retained->tenant, retained->slot, err);
    if (status == KL_ERR_GONE) {
        kl_err_clear(err);
        return kl_fail(err, KL_ERR_BUSY, "subject_busy",
                       "this subject is being changed by others; try again", NULL);
    }
    if (status == KL_OK) {
        status = commit_end(vault, found, erasing, arena, err);
        vault_commit_dying_end(vault->committer, retained->tenant, retained->slot);
    }
    if (status == KL_OK) {
        atomic_fetch_add_explicit(&vault->counters.erasures, 1, memory_order_relaxed);
    }
    return status;
}

enum kl_status vault_retained_end(struct vault *vault, const struct vault_caller *caller,
                                  const struct kl_id *receipt, const struct kl_id *record,
                                  struct kl_buf *ret_receipt, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_arena *arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    struct vault_erasing erasing = {.note = {.reason = VAULT_ERASE_OTHER}};
    struct found found = {0};
    struct kl_err own = {0};

    err = err == NULL ? &own : err;
    kl_buf_init(&erasing.receipt, VAULT_RECEIPT_MAX_BYTES);
    status = arena == NULL ? kl_fail_memory(err) : vault_policy_required(caller, err);
    if (status == KL_OK) {
        status = find(vault, caller, VAULT_NONE, receipt, record, arena, &found, err);
    }
    if (status == KL_OK) {
        status = vault_subject_allowed(caller, VAULT_ACTION_HOLD, &found.subject, VAULT_NONE, err);
    }
    if (status == KL_OK) {
        vault_note_who(&erasing.note, caller);
        status = end_found(vault, &found, &erasing, arena, err);
    }
    if (status == KL_OK) {
        kl_buf_add(ret_receipt, erasing.receipt.bytes, erasing.receipt.size);
        status = kl_buf_status(ret_receipt, err);
    }
    kl_buf_done(&erasing.receipt);
    kl_arena_free(arena);
    return vault_subject_refused(vault, caller, "retention_end", VAULT_NONE, status, err);
}

/* ---- upkeep ---- */

/* One whose erasure never came to its commit is forgotten; the subject's own hold is what counts. */
static enum kl_status due_end(struct vault *vault, const struct vault_retained *retained,
                              int64_t now_us, struct kl_arena *arena, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_erasing erasing = {
        .note = {.reason = VAULT_ERASE_RETENTION, .at_us = now_us, .role = "vault"}};
    struct found found = {0};
    bool stale = false;

    status = vault_retained_is_stale(vault, retained->tenant, retained->slot, &stale, err);
    if (status == KL_OK && stale) {
        status = vault_commit_dying_begin(vault->committer, retained->tenant, retained->slot, err);
        if (status == KL_OK) { /* no erasure of it is under way */
            status = vault_retained_forget(vault, retained, err);
            vault_commit_dying_end(vault->committer, retained->tenant, retained->slot);
        }
        return status;
    }
    if (status == KL_OK) {
        status = find_of_slot(vault, retained->tenant, retained->slot, &retained->receipt, NULL,
                              retained->note.value, arena, &found, err);
    }
    if (status ==
        KL_ERR_NOT_FOUND) { /* it does not open any more: there is nothing left to shred */
        kl_err_clear(err);
        return vault_retained_forget(vault, retained, err);
    }
    kl_buf_init(&erasing.receipt, VAULT_RECEIPT_MAX_BYTES);
    if (status == KL_OK) {
        status = end_found(vault, &found, &erasing, arena, err);
    }
    kl_buf_done(&erasing.receipt);
    return status;
}

/* One that cannot be ended now keeps no other waiting; the first failure is told. */
enum kl_status vault_retained_due(struct vault *vault, int64_t now_us, struct kl_err *err)
{
    enum kl_status first = KL_OK;
    enum kl_status status = KL_OK;
    struct vault_retained *due = calloc(DUE_AT_ONCE, sizeof *due);
    struct kl_arena *arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    struct kl_err own = {0};
    size_t count = 0;
    size_t i;

    first = due == NULL || arena == NULL
                ? kl_fail_memory(err)
                : vault_retained_due_find(vault, now_us, due, DUE_AT_ONCE, &count, err);
    for (i = 0; i < count; i++) {
        kl_arena_reset(arena);
        status = due_end(vault, &due[i], now_us, arena, first == KL_OK ? err : &own);
        kl_err_clear(&own);
        first = first == KL_OK ? status : first;
    }
    free(due);
    kl_arena_free(arena);
    return first;
}
