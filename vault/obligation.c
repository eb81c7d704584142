/* What an erasure keeps because the policy names a legal obligation, without a hold that somebody set. */
#include "vault/retained.h"
#include "vault/retention.h"

void vault_obligations_hold(const struct vault_policy *policy, struct vault_subject *subject,
                            int64_t now_us)
{
    size_t i;

    for (i = 0; i < subject->head.record_count; i++) {
        struct vault_manifest_record *record = &subject->records[i];
        struct vault_retention retention;
        bool held = !record->gone && vault_record_is_held(record, now_us);

        if (record->gone || !vault_retention_obligation(policy, record, now_us, &retention) ||
            (held && record->hold_until_us >= retention.until_us)) {
            continue;
        }
        record->obliged = !held;
        record->hold_basis = vault_policy_purpose(policy, retention.purpose)->name;
        record->hold_until_us = retention.until_us;
    }
}

void vault_obligations_narrow(const struct vault_policy *policy, struct vault_subject *subject)
{
    size_t i;
    size_t k;

    for (i = 0; i < subject->head.record_count; i++) {
        struct vault_manifest_record *record = &subject->records[i];
        int purpose =
            record->obliged ? vault_policy_purpose_find(policy, record->hold_basis) : VAULT_NONE;
        size_t kept = 0;

        for (k = 0; record->obliged && k < record->field_count; k++) {
            if (vault_retention_is_for(policy, record, &record->fields[k], purpose)) {
                record->fields[kept++] = record->fields[k];
            }
        }
        record->field_count = record->obliged ? kept : record->field_count;
    }
}
