/* The ledger of disclosures, and what reads for a recipient write down in it. */
#include "vault/disclosure.h"

#include "vault/aside.h"
#include "vault/pseudonym.h"

#include <assert.h>
#include <string.h>

/* ---- the ledger of a subject ---- */

enum kl_status vault_disclosures_load(struct vault *vault, const struct vault_subject *subject,
                                      struct kl_arena *arena, struct vault_disclosures *ret,
                                      uint64_t *ret_value, struct kl_err *err)
{
    uint64_t value = KMS_VALUE_NONE;
    struct kl_slice text;
    enum kl_status status = vault_aside_find(vault, subject->tenant, subject->slot,
                                             VAULT_ASIDE_DISCLOSURES, NULL, &value, err);

    if (status == KL_ERR_NOT_FOUND) {
        kl_err_clear(err);
        memset(ret, 0, sizeof *ret);
        *ret_value = KMS_VALUE_NONE;
        return KL_OK;
    }
    if (status == KL_OK) {
        status = vault_aside_open(vault, subject->tenant, subject->slot, value,
                                  VAULT_DISCLOSURES_CONTEXT, arena, &text, err);
    }
    if (status == KL_OK) {
        status = vault_disclosures_decode(text, arena, ret, err);
    }
    if (status == KL_OK) {
        *ret_value = value;
    }
    return status;
}

static void row_put(struct vault_change *change, uint64_t value)
{
    struct vault_row_key key = vault_row_aside(change->subject.tenant, change->subject.slot,
                                               VAULT_ASIDE_DISCLOSURES, NULL);
    unsigned char bytes[8];

    kl_put_u64be(bytes, value);
    vault_batch_put(change->batch, vault_row_slice(&key), kl_slice_of(bytes, sizeof bytes));
}

enum kl_status vault_disclosures_put(struct vault_change *change, struct vault_disclosures *ledger,
                                     uint64_t value, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (value == KMS_VALUE_NONE) {
        status = vault_change_value_take(change, &value, err);
        if (status != KL_OK) {
            return status;
        }
        row_put(change, value);
    }
    kl_buf_clear(&change->plain);
    status = vault_disclosures_encode(ledger, &change->plain, err);
    if (status == KL_ERR_TOO_LARGE) {
        kl_err_clear(err);
        vault_disclosures_merge(ledger);
        kl_buf_clear(&change->plain);
        status = vault_disclosures_encode(ledger, &change->plain, err);
    }
    return status == KL_OK
               ? vault_change_value_put(change, value, kl_slice_text(VAULT_DISCLOSURES_CONTEXT),
                                        kl_buf_slice(&change->plain), err)
               : status;
}

static bool is_of_type(const char *name, const char *type)
{
    size_t size = strlen(type);

    return strncmp(name, type, size) == 0 && name[size] == '.';
}

static bool is_wanted(const char *name, const char *type, const char *const *fields, size_t count)
{
    size_t i;

    if (type == NULL) {
        return true;
    }
    if (!is_of_type(name, type)) {
        return false;
    }
    for (i = 0; fields != NULL && i < count; i++) {
        if (strcmp(name + strlen(type) + 1, fields[i]) == 0) {
            return true;
        }
    }
    return fields == NULL;
}

void vault_disclosures_recipients(const struct vault_disclosures *ledger, const char *type,
                                  const char *const *fields, size_t count, const char **ret_names,
                                  size_t *ret_count)
{
    size_t i;
    size_t n;
    size_t k;

    for (i = 0; i < ledger->count; i++) {
        const struct vault_disclosure *entry = &ledger->entries[i];
        const char *name = ledger->names[entry->recipient];
        bool wanted = false;

        for (n = 0; !wanted && n < ledger->name_count; n++) {
            wanted = vault_disclosure_field_has(entry, n) &&
                     is_wanted(ledger->names[n], type, fields, count);
        }
        for (k = 0; wanted && k < *ret_count; k++) {
            wanted = strcmp(ret_names[k], name) != 0;
        }
        if (wanted) {
            ret_names[(*ret_count)++] = name;
        }
    }
}

/* ---- a disclosure being written down ---- */

enum kl_status vault_disclosure_entry_begin(struct vault_disclosures *ledger,
                                            struct kl_arena *arena,
                                            const struct vault_policy *policy,
                                            const struct vault_query *query, const char *channel,
                                            int64_t at_us, struct vault_disclosure *ret,
                                            struct kl_err *err)
{
    const struct vault_policy_recipient *recipient =
        vault_policy_recipient(policy, query->recipient);
    enum kl_status status = KL_OK;

    memset(ret, 0, sizeof *ret);
    ret->channel = VAULT_DISCLOSURE_NO_NAME;
    ret->country = recipient->country;
    ret->first_us = at_us;
    ret->last_us = at_us;
    ret->count = 1;
    ret->note = KMS_VALUE_NONE;
    status = vault_disclosures_name(ledger, arena, recipient->name, &ret->recipient, err);
    if (status == KL_OK) {
        status = vault_disclosures_name(
            ledger, arena, vault_policy_purpose(policy, query->purpose)->name, &ret->purpose, err);
    }
    return status == KL_OK && channel != NULL
               ? vault_disclosures_name(ledger, arena, channel, &ret->channel, err)
               : status;
}

enum kl_status vault_disclosure_entry_field(struct vault_disclosures *ledger,
                                            struct kl_arena *arena, const char *type,
                                            const char *field, struct vault_disclosure *entry,
                                            struct kl_err *err)
{
    char name[VAULT_FIELD_NAME_BYTES];
    enum kl_status status = KL_OK;
    uint16_t number = 0;

    vault_field_name(type, field, name);
    status = vault_disclosures_name(ledger, arena, name, &number, err);
    if (status == KL_OK) {
        vault_disclosure_field_add(entry, number);
    }
    return status;
}

/* ---- a read for a recipient ---- */

/* Whether anything of a field was told: that it is there is no disclosure of it. */
static bool is_shown(const struct vault_field_result *field)
{
    return field->withheld == VAULT_GATE_NONE && field->view != VAULT_VIEW_PRESENT;
}

static bool shows_something(const struct vault_subject_result *result)
{
    size_t i;
    size_t k;

    for (i = 0; i < result->record_count; i++) {
        for (k = 0; k < result->records[i].field_count; k++) {
            if (is_shown(&result->records[i].fields[k])) {
                return true;
            }
        }
    }
    return false;
}

static enum kl_status read_fields(struct vault_disclosures *ledger, struct kl_arena *arena,
                                  const struct vault_subject_result *result,
                                  struct vault_disclosure *entry, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t i;
    size_t k;

    for (i = 0; i < result->record_count; i++) {
        const struct vault_record_result *record = &result->records[i];

        for (k = 0; status == KL_OK && k < record->field_count; k++) {
            if (is_shown(&record->fields[k])) {
                status = vault_disclosure_entry_field(ledger, arena, record->type,
                                                      record->fields[k].name, entry, err);
            }
        }
    }
    return status;
}

/* Whether a pseudonym is among what was shown, of a value or of an id. */
static bool has_pseudonym(const struct vault_subject_result *result)
{
    size_t i;
    size_t k;

    for (i = 0; i < result->record_count; i++) {
        for (k = 0; k < result->records[i].field_count; k++) {
            const struct vault_field_result *field = &result->records[i].fields[k];

            if (field->withheld == VAULT_GATE_NONE && field->view == VAULT_VIEW_TOKEN) {
                return true;
            }
        }
    }
    return result->pseudonym != NULL;
}

/* One entry for each purpose, in one change of the ledger. */
static enum kl_status read_note(struct vault_change *change, const struct vault_query *query,
                                const struct vault_disclosed *told, size_t count,
                                struct kl_err *err)
{
    struct vault_disclosures ledger = {0};
    struct vault_query asked = *query;
    struct vault_disclosure entry;
    uint64_t value = KMS_VALUE_NONE;
    size_t i;
    enum kl_status status = vault_disclosures_load(change->vault, &change->subject, change->arena,
                                                   &ledger, &value, err);

    for (i = 0; status == KL_OK && i < count; i++) {
        asked.purpose = told[i].purpose;
        status = vault_disclosure_entry_begin(&ledger, change->arena, change->caller->policy,
                                              &asked, NULL, change->caller->now_us, &entry, err);
        if (status == KL_OK) {
            status = read_fields(&ledger, change->arena, told[i].result, &entry, err);
        }
        if (status == KL_OK) {
            status = vault_disclosures_add(&ledger, change->arena, &entry, err);
        }
    }
    return status == KL_OK ? vault_disclosures_put(change, &ledger, value, err) : status;
}

/* count 0: it is no disclosure. pseudonyms NULL: none, or they are noted. */
static enum kl_status write_down(struct vault *vault, const struct vault_caller *caller,
                                 const struct vault_query *query,
                                 const struct vault_subject *subject,
                                 const struct vault_disclosed *told, size_t count,
                                 const struct vault_pseudonyms *pseudonyms, struct kl_err *err)
{
    struct vault_change change;
    enum kl_status status = vault_change_begin(&change, vault, caller, err);

    change.subject = *subject; /* its row stays the caller's */
    change.unsynced = true;
    change.unaudited = true;
    if (status == KL_OK && count > 0) {
        status = read_note(&change, query, told, count, err);
    }
    if (status == KL_OK && pseudonyms != NULL) {
        status = vault_pseudonyms_note(&change, pseudonyms, err);
    }
    if (status == KL_OK) {
        status = vault_change_commit(&change, err);
    }
    memset(&change.subject, 0, sizeof change.subject);
    vault_change_end(&change);
    return status;
}

enum kl_status vault_disclose(struct vault *vault, const struct vault_caller *caller,
                              const struct vault_query *query, const struct vault_subject *subject,
                              const struct vault_disclosed *shown, size_t count, struct kl_err *err)
{
    struct vault_pseudonyms pseudonyms = {0};
    struct vault_disclosed told[VAULT_PURPOSES_MAX];
    enum kl_status status = KL_OK;
    bool is_first = false;
    size_t told_count = 0;
    size_t i;

    assert(count <= VAULT_PURPOSES_MAX);
    if (query->recipient == VAULT_NONE) {
        return KL_OK;
    }
    for (i = 0; i < count; i++) {
        is_first = is_first || has_pseudonym(shown[i].result);
        if (shows_something(shown[i].result)) {
            told[told_count++] = shown[i];
        }
    }
    if (is_first) {
        status = vault_pseudonyms_of(vault, caller, query, subject, &pseudonyms, err);
        is_first = status == KL_OK && !vault_pseudonyms_noted(subject, &pseudonyms);
    }
    if (status == KL_OK && (told_count > 0 || is_first)) {
        status = write_down(vault, caller, query, subject, told, told_count,
                            is_first ? &pseudonyms : NULL, err);
    }
    vault_pseudonyms_done(&pseudonyms);
    return status;
}

enum kl_status vault_read_disclose(struct vault *vault, const struct vault_caller *caller,
                                   const struct vault_read_plan *plan,
                                   const struct vault_subject *subject, struct vault_act *act,
                                   const struct vault_subject_result *result, struct kl_err *err)
{
    const struct vault_disclosed shown = {plan->query.purpose, result};
    enum kl_status status = vault_disclose(vault, caller, &plan->query, subject, &shown, 1, err);

    if (status != KL_OK) {
        vault_act_done(act);
        memset(act, 0, sizeof *act);
    }
    return status;
}

enum kl_status vault_read_disclosed(struct vault *vault, const struct vault_caller *caller,
                                    const struct vault_read_plan *plan, const struct kl_id *record,
                                    const struct vault_subject *subject, struct kl_arena *arena,
                                    struct vault_act *act, struct vault_subject_result *ret,
                                    bool *ret_reached, struct kl_err *err)
{
    enum kl_status status =
        vault_read_loaded(vault, caller, plan, record, subject, arena, act, ret, ret_reached, err);

    return status == KL_OK ? vault_read_disclose(vault, caller, plan, subject, act, ret, err)
                           : status;
}

bool vault_read_met_change(enum kl_status status, const struct kl_err *err)
{
    return (status == KL_ERR_PRECONDITION && strcmp(err->code, "head_changed") == 0) ||
           (status == KL_ERR_GONE && strcmp(err->code, "subject_dying") == 0);
}
