/* What falls due: what the run that erases (retention_job.c) would find at a moment, page by page, for who has to know before. */
#include "kluis/vault/duties.h"

#include "vault/retention.h"
#include "vault/subject_page.h"
#include "vault/volume.h"

#include <string.h>

#define ACTION "report_retention"

/* counts: a number for each pair of a record type and a purpose of the policy. */
struct looking {
    struct vault *vault;
    const struct vault_caller *caller;
    struct kl_arena *arena;
    int64_t before_us;
    bool counts_only; /* a steward or auditor, who is shown nobody */
    struct vault_query query;
    uint64_t *counts;
    struct vault_retention_report report;
};

/* What telling of a subject comes under: grants with a volume, and lines that it leaves the EEA by. */
struct terms {
    uint64_t grants;
    uint64_t transfers;
};

/*
 * A role may know of a record when it may report on a field of its type for the purpose that keeps it, and is shown more of that than a token; outside the EEA where the line asks
 * for no stricter view.
 */
static bool may_report(const struct looking *looking, const struct vault_facts *facts, int type,
                       int purpose, struct terms *terms)
{
    const struct vault_policy *policy = looking->caller->policy;
    struct vault_query query = looking->query;
    const struct vault_policy_record *record = vault_policy_record(policy, type);
    bool may = false;
    int i;

    query.purpose = purpose;
    for (i = record->field_first; i < record->field_first + record->field_count; i++) {
        struct vault_decision decision = vault_policy_decide(policy, &query, facts, i);

        if (decision.withheld == VAULT_GATE_NONE && decision.view < VAULT_VIEW_TOKEN &&
            (decision.transfer == VAULT_NONE || decision.view == VAULT_VIEW_PLAIN)) {
            may = true;
            terms->grants |= vault_policy_charged(policy, &query, i);
            terms->transfers |= vault_transfer_bit(decision.transfer);
        }
    }
    return may;
}

static int64_t due_at(const struct vault_manifest_record *record,
                      const struct vault_retention *retention)
{
    return record->hold_basis != NULL && record->hold_until_us > retention->until_us
               ? record->hold_until_us
               : retention->until_us;
}

/* The records of a subject that are due and may be told of, into ret; terms are added to. */
static enum kl_status gather(const struct looking *looking, const struct vault_subject *subject,
                             const struct vault_ledger *ledger, const bool *due, size_t count,
                             struct vault_due_subject *ret, struct terms *terms, struct kl_err *err)
{
    const struct vault_policy *policy = looking->caller->policy;
    const struct vault_facts facts = {.residency = subject->base.residency};
    size_t i;

    ret->records = kl_arena_array(looking->arena, count, sizeof *ret->records);
    if (ret->records == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < subject->head.record_count; i++) {
        const struct vault_manifest_record *record = &subject->records[i];
        struct vault_retention retention = {0};
        int type = due[i] ? vault_policy_record_find(policy, record->type) : VAULT_NONE;

        if (type == VAULT_NONE || !vault_retention_of(policy, record, ledger, &retention) ||
            (!looking->counts_only &&
             !may_report(looking, &facts, type, retention.purpose, terms))) {
            continue;
        }
        ret->records[ret->count++] = (struct vault_due_record){
            .id = record->id,
            .type = vault_policy_record(policy, type)->name,
            .purpose = vault_policy_purpose(policy, retention.purpose)->name,
            .due_us = due_at(record, &retention)};
    }
    return KL_OK;
}

static void count_up(struct looking *looking, const struct vault_due_subject *found)
{
    const struct vault_policy *policy = looking->caller->policy;
    size_t purposes = vault_policy_purpose_count(policy);
    size_t i;

    for (i = 0; i < found->count; i++) {
        size_t type = (size_t)vault_policy_record_find(policy, found->records[i].type);
        size_t purpose = (size_t)vault_policy_purpose_find(policy, found->records[i].purpose);

        looking->counts[type * purposes + purpose]++;
    }
    looking->report.records_due += found->count;
    looking->report.subjects_due += found->whole ? 1 : 0;
}

static enum kl_status show(struct looking *looking, struct vault_page *page,
                           const struct vault_subject *subject,
                           const struct vault_due_subject *found, const struct terms *terms,
                           struct kl_err *err)
{
    if (!vault_volume_take(looking->vault, looking->caller, terms->grants)) {
        return vault_volume_exceeded(looking->vault, looking->caller, err);
    }
    looking->report.subjects[looking->report.subject_count++] = *found;
    kl_json_add_int(vault_page_show(page, subject), "records", (int64_t)found->count);
    vault_subject_act_transfers(&page->acts[page->count], looking->caller->policy,
                                terms->transfers);
    return KL_OK;
}

static enum kl_status look_at(struct vault_page *page, void *visitor,
                              const struct vault_subject *subject,
                              const struct vault_ledger *ledger, struct kl_err *err)
{
    struct looking *looking = visitor;
    struct vault_due_subject found = {.id = subject->base.subject};
    bool due[VAULT_RECORDS_MAX];
    bool all = false;
    struct terms terms = {0};
    enum kl_status status = KL_OK;
    size_t count = vault_retention_due(looking->caller->policy, subject, ledger, looking->before_us,
                                       due, &all);

    if (count > 0) {
        looking->query = vault_query_of(looking->caller, VAULT_ACTION_REPORT, VAULT_NONE,
                                        VAULT_NONE, &subject->base.subject);
        looking->query.used_up = vault_volume_used_up(looking->vault, looking->caller);
        status = gather(looking, subject, ledger, due, count, &found, &terms, err);
    }
    found.whole = all && found.count == count;
    if (status == KL_OK && found.count > 0 && !looking->counts_only) {
        status = show(looking, page, subject, &found, &terms, err);
    }
    if (status == KL_OK) {
        looking->report.subjects_seen++;
        count_up(looking, &found);
    }
    return status;
}

/* The pairs that there is something of. */
static enum kl_status write_counts(struct looking *looking, struct kl_err *err)
{
    const struct vault_policy *policy = looking->caller->policy;
    size_t purposes = vault_policy_purpose_count(policy);
    size_t pairs = vault_policy_record_count(policy) * purposes;
    struct vault_retention_report *report = &looking->report;
    size_t i;

    report->counts = kl_arena_array(looking->arena, pairs, sizeof *report->counts);
    if (report->counts == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < pairs; i++) {
        if (looking->counts[i] > 0) {
            report->counts[report->count_count++] = (struct vault_due_count){
                .type = vault_policy_record(policy, (int)(i / purposes))->name,
                .purpose = vault_policy_purpose(policy, (int)(i % purposes))->name,
                .records = looking->counts[i]};
        }
    }
    return KL_OK;
}

static enum kl_status report(struct looking *looking, size_t limit, const char *cursor,
                             char *ret_cursor, struct kl_err *err)
{
    const struct vault_policy *policy = looking->caller->policy;
    struct vault_page page = {.vault = looking->vault,
                              .caller = looking->caller,
                              .action = ACTION,
                              .limit = limit,
                              .arena = looking->arena};
    enum kl_status status = KL_OK;

    if (limit > VAULT_PAGE_MAX) {
        limit = VAULT_PAGE_MAX; /* the page refuses it */
    }
    looking->counts = kl_arena_array(
        looking->arena, vault_policy_record_count(policy) * vault_policy_purpose_count(policy),
        sizeof *looking->counts);
    looking->report.subjects =
        kl_arena_array(looking->arena, limit, sizeof *looking->report.subjects);
    if (looking->counts == NULL || looking->report.subjects == NULL) {
        return kl_fail_memory(err);
    }
    status = vault_page_run(&page, cursor, look_at, looking, ret_cursor, err);
    return status == KL_OK ? write_counts(looking, err) : status;
}

/* Whether anything at all may be told to the caller, and whether of anybody. */
static enum kl_status may_ask(struct looking *looking, struct kl_err *err)
{
    const struct vault_caller *caller = looking->caller;
    struct vault_query query = vault_query_of(caller, VAULT_ACTION_REPORT, VAULT_NONE, VAULT_NONE,
                                              caller->bound ? &caller->bound_subject : NULL);

    looking->counts_only =
        caller->builtin == VAULT_BUILTIN_STEWARD || caller->builtin == VAULT_BUILTIN_AUDITOR;
    if (looking->counts_only) {
        return KL_OK;
    }
    if (query.role == VAULT_NONE || !vault_policy_may(caller->policy, &query)) {
        return kl_fail(err, KL_ERR_FORBIDDEN, "withheld",
                       "the role of this credential may not report", NULL);
    }
    return vault_volume_is_closed(looking->vault, caller, &query, NULL)
               ? vault_volume_exceeded(looking->vault, caller, err)
               : KL_OK;
}

enum kl_status vault_report_retention(struct vault *vault, const struct vault_caller *caller,
                                      int64_t before_us, size_t limit, const char *cursor,
                                      struct kl_arena *arena, struct vault_retention_report *ret,
                                      char *ret_cursor, struct kl_err *err)
{
    struct looking looking = {
        .vault = vault, .caller = caller, .arena = arena, .before_us = before_us};
    struct kl_err own = {0};
    enum kl_status status = KL_OK;

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status != KL_OK) {
        return status;
    }
    status = may_ask(&looking, err);
    if (status == KL_OK) {
        status = report(&looking, limit, cursor, ret_cursor, err);
    }
    if (status == KL_OK) {
        *ret = looking.report;
    }
    return vault_subject_refused(vault, caller, ACTION, VAULT_NONE, status, err);
}
