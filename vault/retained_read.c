/* Reading a record that an erasure kept. */
#include "vault/retained.h"
#include "vault/subject_read.h"

#include <string.h>

enum kl_status vault_retained_reach(struct vault *vault, const struct vault_caller *caller,
                                    const struct vault_query *query, const struct kl_id *receipt,
                                    uint64_t *ret_slot, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    bool stale = false;
    uint64_t slot = 0;

    if (caller->bound || caller->is_recipient || query->role == VAULT_NONE ||
        !vault_policy_may(caller->policy, query)) {
        return vault_not_found(err);
    }
    status = vault_retained_slot(vault, caller->tenant, receipt, &slot, err);
    if (status == KL_OK) {
        status = vault_retained_is_stale(vault, caller->tenant, slot, &stale, err);
    }
    if (status == KL_OK && stale) {
        status = vault_not_found(err);
    }
    if (status == KL_OK) {
        *ret_slot = slot;
    }
    return status;
}

static bool has_field(const struct vault_manifest_record *record, uint64_t value)
{
    size_t i;

    for (i = 0; i < record->field_count; i++) {
        if (record->fields[i].value == value) {
            return true;
        }
    }
    return false;
}

enum kl_status vault_retained_together(struct vault *vault,
                                       struct vault_retained_line *const *lines, size_t count,
                                       struct kl_arena *arena, struct vault_subject *ret,
                                       struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_subject all = {0};
    struct vault_manifest_record *record = NULL;
    struct vault_manifest_field *fields = NULL;
    size_t room = 0;
    size_t i;
    size_t k;

    for (i = 0; i < count; i++) {
        room += lines[i]->value_count;
    }
    fields = kl_arena_array(arena, room, sizeof *fields);
    if (fields == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; status == KL_OK && i < count; i++) {
        struct vault_subject line;

        status = vault_retained_open(vault, &lines[i]->row, arena, &line, err);
        if (status == KL_OK && i == 0) {
            all = line;
            record = &all.records[0];
            memcpy(fields, record->fields, record->field_count * sizeof *fields);
            record->fields = fields;
        }
        for (k = 0; status == KL_OK && i > 0 && k < line.records[0].field_count; k++) {
            if (!has_field(record, line.records[0].fields[k].value)) {
                fields[record->field_count++] = line.records[0].fields[k];
            }
        }
    }
    if (status == KL_OK) {
        *ret = all;
    }
    return status;
}

/* ---- what is asked for ---- */

/* purpose VAULT_NONE: as somebody who may hold; else as somebody who reads for it, which finds what is kept for it alone. */
static struct vault_query query_for(const struct vault_caller *caller, int purpose)
{
    return vault_query_of(caller, purpose == VAULT_NONE ? VAULT_ACTION_HOLD : VAULT_ACTION_READ,
                          purpose, VAULT_NONE, NULL);
}

/* The lines that were found; subject has the record as its only one. */
struct found {
    struct vault_hold *holds;
    size_t count;
    struct vault_subject subject;
};

static bool is_wanted(const struct vault_caller *caller, int purpose, const struct kl_id *receipt,
                      const struct kl_id *record, const struct vault_retained_line *line)
{
    return line->opened && kl_id_equal(&line->record, record) &&
           kl_id_equal(&line->row.receipt, receipt) && line->row.until_us > caller->now_us &&
           (purpose == VAULT_NONE ||
            strcmp(line->row.basis, vault_policy_purpose(caller->policy, purpose)->name) == 0);
}

static enum kl_status find(struct vault *vault, const struct vault_caller *caller, int purpose,
                           const struct kl_id *receipt, const struct kl_id *record,
                           struct kl_arena *arena, struct found *ret, struct kl_err *err)
{
    const struct vault_query query = query_for(caller, purpose);
    struct vault_retained_line *lines = NULL;
    struct vault_retained_line **wanted = NULL;
    uint64_t slot = 0;
    size_t count = 0;
    size_t i;
    enum kl_status status = vault_retained_reach(vault, caller, &query, receipt, &slot, err);

    if (status == KL_OK) {
        status =
            vault_retained_lines(vault, caller->tenant, slot, arena, &lines, &count, NULL, err);
    }
    if (status != KL_OK) {
        return status;
    }
    wanted = kl_arena_array(arena, count, sizeof(struct vault_retained_line *));
    ret->holds = kl_arena_array(arena, count, sizeof *ret->holds);
    if (wanted == NULL || ret->holds == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < count; i++) {
        if (is_wanted(caller, purpose, receipt, record, &lines[i])) {
            struct vault_hold *hold = &ret->holds[ret->count];

            memcpy(hold->basis, lines[i].row.basis, sizeof hold->basis);
            hold->until_us = lines[i].row.until_us;
            wanted[ret->count++] = &lines[i];
        }
    }
    return ret->count == 0
               ? vault_not_found(err)
               : vault_retained_together(vault, wanted, ret->count, arena, &ret->subject, err);
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
                                   struct vault_record_result *ret, struct vault_hold **ret_holds,
                                   size_t *ret_hold_count, struct kl_err *err)
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
        *ret_holds = found.holds;
        *ret_hold_count = found.count;
    }
    return vault_subject_refused(vault, caller, "retained_read", number, status, err);
}
