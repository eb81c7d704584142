/* Who received something of what is erased, and is to be told. */
#include "vault/disclosure.h"
#include "vault/erasure_plan.h"

#include <string.h>

/* "type.field", of a record that goes (a field of its type), or of one that is kept (a field that is kept of it). */
static bool is_of(const struct vault_erase_plan *plan, size_t at, const char *name, bool kept)
{
    const struct vault_manifest_record *record = &plan->subject.records[at];
    size_t size = strlen(record->type);
    bool found = !kept;
    size_t i;

    if (record->gone || plan->kept_of[at] != kept || (!kept && !vault_erase_is_meant(plan, at)) ||
        strncmp(name, record->type, size) != 0 || name[size] != '.') {
        return false;
    }
    for (i = 0; !found && i < record->field_count; i++) {
        found = strcmp(record->fields[i].name, name + size + 1) == 0;
    }
    return found;
}

static bool is_of_any(const struct vault_erase_plan *plan, const char *name, bool kept)
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
static bool field_goes(const struct vault_erase_plan *plan, const char *name)
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
static void note_all_recipients(struct vault_erase_plan *plan)
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
enum kl_status vault_erase_recipients_note(struct vault_erase_plan *plan, struct kl_err *err)
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
