/* Events on a record: what starts the clocks of its purposes. */
#include "vault/retention.h"
#include "vault/subject_internal.h"

#include <string.h>

/* Further ahead than this nothing is known. */
#define AHEAD_MAX_US (INT64_C(100) * 366 * KL_TIME_DAY_US)

struct noting {
    const struct kl_id *record;
    const char *event;
    bool remove;
    int64_t at_us;
    struct kl_arena *arena;
    struct vault_keeping *keeping;
    size_t keeping_count;
};

static const char *action_of(const struct noting *noting)
{
    return noting->remove ? "event_remove" : "event";
}

static struct vault_manifest_event *event_find(struct vault_manifest_record *record,
                                               const char *name)
{
    size_t i;

    for (i = 0; i < record->event_count; i++) {
        if (strcmp(record->events[i].name, name) == 0) {
            return &record->events[i];
        }
    }
    return NULL;
}

static enum kl_status event_add(struct vault_change *change, struct vault_manifest_record *record,
                                const struct noting *noting, struct kl_err *err)
{
    struct vault_manifest_event *events = NULL;

    if (record->event_count >= VAULT_EVENTS_MAX) {
        return kl_failf(err, KL_ERR_TOO_LARGE, "too_many_events",
                        "at most %d events can be noted on a record", VAULT_EVENTS_MAX);
    }
    events = kl_arena_array(change->arena, record->event_count + 1, sizeof *events);
    if (events == NULL) {
        return kl_fail_memory(err);
    }
    if (record->event_count > 0) {
        memcpy(events, record->events, record->event_count * sizeof *events);
    }
    events[record->event_count].name = noting->event;
    events[record->event_count].at_us = noting->at_us;
    record->events = events;
    record->event_count++;
    return KL_OK;
}

static enum kl_status note(struct vault_change *change, struct vault_manifest_record *record,
                           const struct noting *noting, struct kl_err *err)
{
    struct vault_manifest_event *there = event_find(record, noting->event);

    if (there == NULL) {
        return noting->remove ? kl_fail(err, KL_ERR_NOT_FOUND, "no_event",
                                        "no such event was noted on this record", NULL)
                              : event_add(change, record, noting, err);
    }
    if (noting->remove) {
        *there = record->events[--record->event_count];
    } else {
        there->at_us = noting->at_us;
    }
    return KL_OK;
}

/* Until when each purpose keeps the record now. */
static enum kl_status keeping_fill(struct vault_change *change,
                                   const struct vault_manifest_record *record,
                                   struct noting *noting, struct kl_err *err)
{
    const struct vault_policy *policy = change->caller->policy;
    int type = vault_policy_record_find(policy, record->type);
    uint64_t purposes = type == VAULT_NONE ? 0 : vault_policy_record(policy, type)->purposes;
    struct vault_ledger ledger = {0};
    enum kl_status status =
        vault_subject_ledger(change->vault, &change->subject, change->arena, &ledger, err);

    if (status != KL_OK) {
        return status;
    }
    noting->keeping_count = 0;
    noting->keeping = kl_arena_array(noting->arena, VAULT_PURPOSES_MAX, sizeof *noting->keeping);
    if (noting->keeping == NULL) {
        return kl_fail_memory(err);
    }
    for (; purposes != 0; purposes &= purposes - 1) {
        int purpose = __builtin_ctzll(purposes);
        const struct vault_policy_purpose *of = vault_policy_purpose(policy, purpose);

        if (!of->forbidden && !of->keeps_nothing) {
            struct vault_keeping *keeping = &noting->keeping[noting->keeping_count++];

            keeping->purpose = of->name;
            keeping->until_us = vault_retention_keeps(policy, purpose, record, &ledger);
        }
    }
    return KL_OK;
}

static enum kl_status check_event(const struct vault_change *change,
                                  const struct vault_manifest_record *record, const char *event,
                                  struct kl_err *err)
{
    const struct vault_policy *policy = change->caller->policy;
    int type = vault_policy_record_find(policy, record->type);

    if (type != VAULT_NONE && strcmp(event, VAULT_EVENT_CONSENT) != 0 &&
        strcmp(event, VAULT_EVENT_CREATED) != 0 && vault_policy_event_known(policy, type, event)) {
        return KL_OK;
    }
    kl_err_where(err, "/event");
    return kl_fail(err, KL_ERR_INVALID, "unknown_event",
                   "no purpose of this record's type has a clock that starts with this event",
                   NULL);
}

static enum kl_status body(struct vault_change *change, void *context, struct kl_err *err)
{
    struct noting *noting = context;
    int at = vault_subject_record_find(&change->subject, noting->record);
    struct vault_manifest_record *record = at == VAULT_NONE ? NULL : &change->subject.records[at];
    enum kl_status status = KL_OK;

    if (record == NULL) {
        return vault_not_found(err);
    }
    status = vault_subject_allowed(change->caller, VAULT_ACTION_WRITE, &change->subject, at, err);
    if (status == KL_OK && !noting->remove) {
        status = check_event(change, record, noting->event, err);
    }
    if (status == KL_OK) {
        status = note(change, record, noting, err);
    }
    if (status == KL_OK && !noting->remove) {
        status = keeping_fill(change, record, noting, err);
    }
    if (status != KL_OK) {
        return status;
    }
    vault_subject_act_begin(&change->act, change->caller, action_of(noting), change->subject.slot);
    kl_json_add_int(&change->act.out, "record", (int64_t)change->subject.head.records[at].value);
    kl_json_add_text(&change->act.out, "event", noting->event);
    if (!noting->remove) {
        kl_json_add_time(&change->act.out, "event_at", noting->at_us);
    }
    return vault_change_record_seal(change, (size_t)at, err);
}

static enum kl_status change_event(struct vault *vault, const struct vault_caller *caller,
                                   const struct kl_id *subject, struct noting *noting,
                                   struct kl_err *err)
{
    enum kl_status status = vault_policy_required(caller, err);

    if (status == KL_OK &&
        strnlen(noting->event, VAULT_NAME_MAX_BYTES + 1) > VAULT_NAME_MAX_BYTES) {
        kl_err_where(err, "/event");
        status = kl_fail(err, KL_ERR_INVALID, "unknown_event",
                         "an event is a name of at most 64 characters", NULL);
    }
    if (status == KL_OK) {
        status = vault_subject_change(vault, caller, subject, body, noting, err);
    }
    return vault_subject_refused(vault, caller, action_of(noting), VAULT_NONE, status, err);
}

enum kl_status vault_record_event(struct vault *vault, const struct vault_caller *caller,
                                  const struct kl_id *subject, const struct kl_id *record,
                                  const char *event, int64_t at_us, struct kl_arena *arena,
                                  struct vault_keeping **ret, size_t *ret_count, struct kl_err *err)
{
    struct noting noting = {.record = record, .event = event, .at_us = at_us, .arena = arena};
    struct kl_err own = {0};
    enum kl_status status;

    err = err == NULL ? &own : err;
    if (noting.at_us > caller->now_us + AHEAD_MAX_US) {
        kl_err_where(err, "/at");
        return kl_fail(err, KL_ERR_INVALID, "invalid_time", "an event lies at most 100 years ahead",
                       NULL);
    }
    status = change_event(vault, caller, subject, &noting, err);
    if (status == KL_OK) {
        *ret = noting.keeping;
        *ret_count = noting.keeping_count;
    }
    return status;
}

enum kl_status vault_record_event_remove(struct vault *vault, const struct vault_caller *caller,
                                         const struct kl_id *subject, const struct kl_id *record,
                                         const char *event, struct kl_err *err)
{
    struct noting noting = {.record = record, .event = event, .remove = true};
    struct kl_err own = {0};

    return change_event(vault, caller, subject, &noting, err == NULL ? &own : err);
}
