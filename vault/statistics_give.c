/* What somebody who is erased gives to statistics. */
#include "vault/statistics.h"

#include "kluis/base/log.h"

#include <string.h>

static bool is_meant(const struct vault_subject *subject, int record, size_t at)
{
    return !subject->records[at].gone && (record == VAULT_NONE || (size_t)record == at);
}

/* ---- who is left out ---- */

static bool objects(const struct vault_policy *policy, const struct vault_ledger *ledger)
{
    int purpose = vault_policy_statistics(policy)->purpose;
    const struct vault_ledger_objection *objection =
        purpose == VAULT_NONE
            ? NULL
            : vault_ledger_objection_find(ledger, vault_policy_purpose(policy, purpose)->name);

    return objection != NULL && objection->at_us != 0 && objection->ended_us == 0 &&
           objection->compelling == KMS_VALUE_NONE;
}

/* Restricted data may be stored, and used for nothing; whoever objects to statistics is in none. */
static enum kl_status is_left_out(struct vault *vault, const struct vault_policy *policy,
                                  const struct vault_subject *subject, struct kl_arena *arena,
                                  bool *ret, struct kl_err *err)
{
    struct vault_ledger ledger = {0};
    struct kl_err unopened = {0};
    enum kl_status status = vault_subject_ledger(vault, subject, arena, &ledger, &unopened);

    if (status == KL_ERR_CORRUPT || status == KL_ERR_GONE) {
        kl_log_err(KL_LOG_WARNING, "statistic_not_kept", &unopened);
        *ret = true;
        return KL_OK;
    }
    if (status != KL_OK) {
        return kl_fail(err, status, unopened.code, unopened.client_text, "%s", unopened.log_text);
    }
    *ret = ledger.restriction.at_us != 0 || objects(policy, &ledger);
    return KL_OK;
}

/* ---- values ---- */

static const struct vault_manifest_field *field_of(const struct vault_manifest_record *record,
                                                   const char *name)
{
    size_t i;

    for (i = 0; i < record->field_count; i++) {
        if (strcmp(record->fields[i].name, name) == 0) {
            return &record->fields[i];
        }
    }
    return NULL;
}

/* That it is there needs no look at the value; a secret is never looked at. */
static enum kl_status value_of(struct vault *vault, const struct vault_subject *subject,
                               const struct vault_manifest_record *record,
                               const struct vault_manifest_field *field, struct kl_arena *scratch,
                               struct vault_given_item *item, struct kl_err *err)
{
    struct vault_value_wanted wanted = {.record = record, .field = field};
    struct kl_err unopened = {0};
    enum kl_status status = KL_OK;

    if (!vault_generalisation_fits(item->how, field->type)) {
        return KL_OK;
    }
    if (item->how != VAULT_GENERAL_COUNT) {
        kl_arena_reset(scratch);
        status = vault_subject_values(vault, subject->tenant, subject->slot, &wanted, 1, scratch,
                                      &unopened);
    }
    if (status == KL_ERR_CORRUPT || status == KL_ERR_GONE) {
        return KL_OK;
    }
    if (status != KL_OK) {
        return kl_fail(err, status, unopened.code, unopened.client_text, "%s", unopened.log_text);
    }
    item->has_value = vault_value_generalise(item->how, field->type, wanted.value, item->value);
    return KL_OK;
}

/* The first record that has a value counts; *ret_given: there is one of the type at all. */
static enum kl_status item_of(struct vault *vault, const struct vault_policy *policy,
                              const struct vault_policy_statistic *statistic,
                              const struct vault_subject *subject, int record,
                              struct kl_arena *scratch, struct vault_given_item *item,
                              bool *ret_given, struct kl_err *err)
{
    const struct vault_policy_field *of = vault_policy_field(policy, statistic->field);
    const char *type = vault_policy_record(policy, of->record)->name;
    char name[VAULT_FIELD_NAME_BYTES];
    enum kl_status status = KL_OK;
    size_t i;

    memset(item, 0, sizeof *item);
    vault_field_name(type, of->name, name);
    memcpy(item->field, name, strlen(name) + 1);
    item->how = statistic->how;
    *ret_given = false;
    for (i = 0; status == KL_OK && !item->has_value && i < subject->head.record_count; i++) {
        const struct vault_manifest_field *field = NULL;

        if (is_meant(subject, record, i) && strcmp(subject->records[i].type, type) == 0) {
            *ret_given = true;
            field = field_of(&subject->records[i], of->name);
        }
        if (field != NULL) {
            status = value_of(vault, subject, &subject->records[i], field, scratch, item, err);
        }
    }
    return status;
}

enum kl_status vault_statistics_give(struct vault *vault, const struct vault_policy *policy,
                                     const struct vault_subject *subject, int record,
                                     struct kl_arena *arena, struct kl_arena *scratch,
                                     struct vault_given *ret, struct kl_err *err)
{
    const struct vault_policy_statistics *statistics = vault_policy_statistics(policy);
    enum kl_status status = KL_OK;
    bool out = false;
    bool given = false;
    size_t i;

    memset(ret, 0, sizeof *ret);
    ret->minimum = statistics->minimum;
    for (i = 0; status == KL_OK && i < statistics->count; i++) {
        status = item_of(vault, policy, &statistics->items[i], subject, record, scratch,
                         &ret->items[ret->count], &given, err);
        ret->count += status == KL_OK && given;
    }
    if (status == KL_OK && ret->count > 0) {
        status = is_left_out(vault, policy, subject, arena, &out, err);
    }
    if (status == KL_OK && ret->count > 0 && !out) {
        status = vault_waiting_person(vault, subject->tenant, subject->slot, ret->person, err);
    }
    if (status != KL_OK || out) {
        ret->count = 0;
    }
    return status;
}

/* Nobody's erasure waits because there is no room for a statistic. */
static enum kl_status give(struct vault *vault, const struct vault_caller *caller, uint64_t tenant,
                           const struct vault_given *given, struct vault_note *note,
                           struct vault_waiting_ticket *ticket, struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = vault_waiting_enter(vault, tenant, caller->now_us, ticket, &cause);

    if (status == KL_OK) {
        return vault_waiting_write(vault, ticket, given, note, err);
    }
    if (status == KL_ERR_BUSY || status == KL_ERR_TOO_LARGE) {
        kl_log_err(KL_LOG_WARNING, "statistic_not_kept", &cause);
        return KL_OK;
    }
    return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

enum kl_status vault_statistics_erasing(struct vault *vault, const struct vault_caller *caller,
                                        const struct vault_subject *subject, int record,
                                        struct kl_arena *arena, struct kl_arena *scratch,
                                        struct vault_note *note,
                                        struct vault_waiting_ticket *ticket, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_given *given = NULL;

    if (vault_policy_statistics(caller->policy)->count == 0) {
        return KL_OK;
    }
    given = kl_arena_alloc(arena, sizeof *given);
    if (given == NULL) {
        return kl_fail_memory(err);
    }
    status =
        vault_statistics_give(vault, caller->policy, subject, record, arena, scratch, given, err);
    if (status == KL_OK && given->count > 0) {
        status = give(vault, caller, subject->tenant, given, note, ticket, err);
    }
    return status;
}
