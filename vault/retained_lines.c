/* What an erasure keeps of each record: a hold all of it, each legal obligation of the policy the fields that are for it, each until its own end. */
#include "vault/retained.h"
#include "vault/retention.h"

#include <string.h>

#define OF_RECORD_MAX (1 + VAULT_OBLIGATIONS_MAX)

bool vault_record_is_held(const struct vault_manifest_record *record, int64_t now_us)
{
    return record->hold_basis != NULL && record->hold_until_us > now_us;
}

/* Without their fields. An obligation under whose name the record is held longer has nothing to add. Returns how many. */
static size_t lines_of(const struct vault_policy *policy,
                       const struct vault_manifest_record *record, int64_t now_us,
                       struct vault_kept ret[OF_RECORD_MAX])
{
    struct vault_retention obligations[VAULT_OBLIGATIONS_MAX];
    bool held = vault_record_is_held(record, now_us);
    size_t obliged = vault_retention_obligations(policy, record, now_us, obligations);
    size_t count = 0;
    size_t i;

    if (held) {
        ret[count++] = (struct vault_kept){
            .basis = record->hold_basis, .purpose = VAULT_NONE, .until_us = record->hold_until_us};
    }
    for (i = 0; i < obliged; i++) {
        const char *name = vault_policy_purpose(policy, obligations[i].purpose)->name;

        if (held && strcmp(name, record->hold_basis) == 0 &&
            record->hold_until_us >= obligations[i].until_us) {
            continue;
        }
        ret[count++] = (struct vault_kept){
            .basis = name, .purpose = obligations[i].purpose, .until_us = obligations[i].until_us};
    }
    return count;
}

int64_t vault_kept_until(const struct vault_policy *policy,
                         const struct vault_manifest_record *record, int64_t now_us)
{
    struct vault_kept lines[OF_RECORD_MAX];
    size_t count = lines_of(policy, record, now_us, lines);
    int64_t until_us = now_us;
    size_t i;

    for (i = 0; i < count; i++) {
        until_us = lines[i].until_us > until_us ? lines[i].until_us : until_us;
    }
    return until_us;
}

static enum kl_status fill(const struct vault_policy *policy,
                           const struct vault_manifest_record *record, struct kl_arena *arena,
                           struct vault_kept *line, struct kl_err *err)
{
    size_t k;

    line->fields = kl_arena_array(arena, record->field_count, sizeof *line->fields);
    if (line->fields == NULL) {
        return kl_fail_memory(err);
    }
    for (k = 0; k < record->field_count; k++) {
        if (line->purpose == VAULT_NONE ||
            vault_retention_is_for(policy, record, &record->fields[k], line->purpose)) {
            line->fields[line->field_count++] = record->fields[k];
        }
    }
    return KL_OK;
}

enum kl_status vault_kept_of(const struct vault_policy *policy, const struct vault_subject *subject,
                             int64_t now_us, struct kl_arena *arena, struct vault_kept **ret,
                             size_t *ret_count, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t records = subject->head.record_count;
    struct vault_kept *kept = kl_arena_array(arena, records * OF_RECORD_MAX, sizeof *kept);
    size_t count = 0;
    size_t i;
    size_t k;

    if (kept == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < records; i++) {
        const struct vault_manifest_record *record = &subject->records[i];
        size_t lines = record->gone ? 0 : lines_of(policy, record, now_us, &kept[count]);

        for (k = count; status == KL_OK && k < count + lines; k++) {
            kept[k].record = i;
            status = fill(policy, record, arena, &kept[k], err);
        }
        count += lines;
    }
    if (status == KL_OK) {
        *ret = kept;
        *ret_count = count;
    }
    return status;
}

static bool has_field(const struct vault_kept *line, uint64_t value)
{
    size_t i;

    for (i = 0; i < line->field_count; i++) {
        if (line->fields[i].value == value) {
            return true;
        }
    }
    return false;
}

void vault_kept_narrow(struct vault_subject *subject, const struct vault_kept *kept, size_t count)
{
    size_t first = 0;
    size_t past = 0;

    for (; first < count; first = past) {
        struct vault_manifest_record *record = &subject->records[kept[first].record];
        size_t fields = 0;
        size_t i;
        size_t k;

        for (past = first; past < count && kept[past].record == kept[first].record;) {
            past++;
        }
        for (i = 0; i < record->field_count; i++) {
            for (k = first; k < past && !has_field(&kept[k], record->fields[i].value);) {
                k++;
            }
            if (k < past) {
                record->fields[fields++] = record->fields[i];
            }
        }
        record->field_count = fields;
    }
}
