#include "vault/retention.h"

#include "vault/subject_internal.h"

#include <assert.h>
#include <string.h>

static int64_t event_at(const struct vault_manifest_record *record, const char *name)
{
    size_t i;

    for (i = 0; i < record->event_count; i++) {
        if (strcmp(record->events[i].name, name) == 0) {
            return record->events[i].at_us;
        }
    }
    return VAULT_RETENTION_OPEN;
}

/* The moment a clock starts with; VAULT_RETENTION_OPEN: it has not happened. */
static int64_t clock_start(const struct vault_policy_purpose *purpose,
                           const struct vault_manifest_record *record, int64_t consented_us)
{
    if (strcmp(purpose->retain_event, VAULT_EVENT_CONSENT) == 0) {
        return consented_us == 0 ? VAULT_RETENTION_OPEN : consented_us;
    }
    if (strcmp(purpose->retain_event, VAULT_EVENT_CREATED) == 0) {
        return record->created_us;
    }
    return event_at(record, purpose->retain_event);
}

int64_t vault_retention_clock(const struct vault_policy_purpose *purpose,
                              const struct vault_manifest_record *record, int64_t consented_us)
{
    int64_t start;

    if (purpose->retain_event == NULL) {
        return VAULT_RETENTION_OPEN;
    }
    start = clock_start(purpose, record, consented_us);
    return start == VAULT_RETENTION_OPEN ? VAULT_RETENTION_OPEN
                                         : kl_time_add(start, &purpose->retain);
}

void vault_retention_facts(const struct vault_policy *policy, const struct vault_query *query,
                           const struct vault_manifest_record *record, struct vault_facts *ret)
{
    const struct vault_policy_purpose *purpose;

    ret->ended = 0;
    if (query->purpose == VAULT_NONE) {
        return;
    }
    purpose = vault_policy_purpose(policy, query->purpose);
    if (vault_retention_clock(purpose, record, ret->consented_us) <= query->now_us) {
        ret->ended = UINT64_C(1) << query->purpose;
    }
}

/* ---- keeping ---- */

static bool rests_on_consent(const struct vault_policy_purpose *purpose)
{
    return purpose->basis == VAULT_BASIS_CONSENT || purpose->basis == VAULT_BASIS_EXPLICIT_CONSENT;
}

/* When one consent ends by itself or was withdrawn. */
static int64_t entry_end(const struct vault_ledger_entry *entry)
{
    int64_t expires_us = entry->expires_us == 0 ? VAULT_RETENTION_OPEN : entry->expires_us;

    return entry->withdrawn_us != 0 && entry->withdrawn_us < expires_us ? entry->withdrawn_us
                                                                        : expires_us;
}

/*
 * To whomever the consent was given, it keeps the record. The latest end of all; where none was given since the record is there, at the
 * earliest the end of the time in which it may still come.
 */
static int64_t consent_keeps(const struct vault_policy_purpose *purpose,
                             const struct vault_manifest_record *record,
                             const struct vault_ledger *ledger)
{
    const struct kl_duration pending = {.days = VAULT_RETENTION_PENDING_DAYS};
    int64_t latest_us = KL_TIME_MIN_US;
    int64_t pending_us;
    bool given_since = false;
    size_t i;

    for (i = 0; i < ledger->count; i++) {
        const struct vault_ledger_entry *entry = &ledger->entries[i];
        int64_t end_us;

        if (strcmp(entry->purpose, purpose->name) != 0) {
            continue;
        }
        given_since = given_since || entry->given_us >= record->created_us;
        end_us = vault_retention_clock(purpose, record, entry->given_us);
        end_us = entry_end(entry) < end_us ? entry_end(entry) : end_us;
        latest_us = end_us > latest_us ? end_us : latest_us;
    }
    pending_us = kl_time_add(record->created_us, &pending);
    return latest_us > pending_us || given_since ? latest_us : pending_us;
}

int64_t vault_retention_keeps(const struct vault_policy *policy, int purpose,
                              const struct vault_manifest_record *record,
                              const struct vault_ledger *ledger)
{
    const struct vault_policy_purpose *of = vault_policy_purpose(policy, purpose);

    if (of->keeps_nothing) {
        return KL_TIME_MIN_US;
    }
    return rests_on_consent(of) ? consent_keeps(of, record, ledger)
                                : vault_retention_clock(of, record, 0);
}

bool vault_retention_of(const struct vault_policy *policy,
                        const struct vault_manifest_record *record,
                        const struct vault_ledger *ledger, struct vault_retention *ret)
{
    struct vault_retention longest = {.until_us = INT64_MIN, .purpose = VAULT_NONE};
    int type = vault_policy_record_find(policy, record->type);
    uint64_t purposes = type == VAULT_NONE ? 0 : vault_policy_record(policy, type)->purposes;

    for (; purposes != 0; purposes &= purposes - 1) {
        int purpose = __builtin_ctzll(purposes);
        const struct vault_policy_purpose *of = vault_policy_purpose(policy, purpose);
        int64_t until_us;

        if (of->forbidden || of->keeps_nothing) {
            continue;
        }
        until_us = vault_retention_keeps(policy, purpose, record, ledger);
        if (until_us > longest.until_us) {
            longest.until_us = until_us;
            longest.purpose = purpose;
        }
    }
    *ret = longest;
    return longest.purpose != VAULT_NONE;
}

bool vault_retention_is_due(const struct vault_policy *policy,
                            const struct vault_manifest_record *record,
                            const struct vault_ledger *ledger, int64_t now_us)
{
    struct vault_retention retention;

    return !record->gone && ledger->restriction.at_us == 0 &&
           (record->hold_basis == NULL || record->hold_until_us <= now_us) &&
           vault_retention_of(policy, record, ledger, &retention) && retention.until_us <= now_us;
}

size_t vault_retention_due(const struct vault_policy *policy, const struct vault_subject *subject,
                           const struct vault_ledger *ledger, int64_t now_us,
                           bool due[VAULT_RECORDS_MAX], bool *ret_all)
{
    size_t count = 0;
    size_t others = 0;
    size_t i;

    for (i = 0; i < subject->head.record_count; i++) {
        due[i] = vault_retention_is_due(policy, &subject->records[i], ledger, now_us);
        count += due[i];
        others += !subject->records[i].gone && !due[i];
    }
    *ret_all = count > 0 && others == 0;
    return count;
}

int64_t vault_retention_consent(const struct vault_policy *policy, int purpose,
                                const struct vault_subject *subject,
                                const struct vault_ledger_entry *entry)
{
    const struct vault_policy_purpose *of = vault_policy_purpose(policy, purpose);
    int64_t latest_us = INT64_MIN;
    size_t i;

    if (of->retain_event == NULL) {
        return VAULT_RETENTION_OPEN;
    }
    if (strcmp(of->retain_event, VAULT_EVENT_CONSENT) == 0) {
        return kl_time_add(entry->given_us, &of->retain);
    }
    for (i = 0; i < subject->head.record_count; i++) {
        const struct vault_manifest_record *record = &subject->records[i];
        int type = record->gone ? VAULT_NONE : vault_policy_record_find(policy, record->type);
        int64_t end_us;

        if (type == VAULT_NONE ||
            ((vault_policy_record(policy, type)->purposes >> purpose) & 1) == 0) {
            continue;
        }
        end_us = vault_retention_clock(of, record, entry->given_us);
        latest_us = end_us > latest_us ? end_us : latest_us;
    }
    return latest_us == INT64_MIN ? VAULT_RETENTION_OPEN : latest_us;
}

bool vault_retention_is_for(const struct vault_policy *policy,
                            const struct vault_manifest_record *record,
                            const struct vault_manifest_field *field, int purpose)
{
    int number = vault_policy_field_of(policy, record, field);

    return number != VAULT_NONE &&
           ((vault_policy_field(policy, number)->purposes >> purpose) & 1) != 0;
}

static bool has_field_for(const struct vault_policy *policy,
                          const struct vault_manifest_record *record, int purpose)
{
    size_t i;

    for (i = 0; i < record->field_count; i++) {
        if (vault_retention_is_for(policy, record, &record->fields[i], purpose)) {
            return true;
        }
    }
    return false;
}

size_t vault_retention_obligations(const struct vault_policy *policy,
                                   const struct vault_manifest_record *record, int64_t now_us,
                                   struct vault_retention ret[VAULT_OBLIGATIONS_MAX])
{
    int type = vault_policy_record_find(policy, record->type);
    uint64_t purposes = type == VAULT_NONE ? 0 : vault_policy_record(policy, type)->purposes;
    size_t count = 0;

    for (; purposes != 0; purposes &= purposes - 1) {
        int purpose = __builtin_ctzll(purposes);
        const struct vault_policy_purpose *of = vault_policy_purpose(policy, purpose);
        int64_t until_us;

        if (!vault_policy_is_obligation(of) || !has_field_for(policy, record, purpose)) {
            continue;
        }
        until_us = vault_retention_clock(of, record, 0);
        until_us = until_us == VAULT_RETENTION_OPEN ? kl_time_add(now_us, &of->retain) : until_us;
        if (until_us > now_us) {
            assert(count < VAULT_OBLIGATIONS_MAX); /* the policy's reader saw to it */
            ret[count++] = (struct vault_retention){.until_us = until_us, .purpose = purpose};
        }
    }
    return count;
}
