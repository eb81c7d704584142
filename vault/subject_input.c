/* Records, fields and consents as they come, checked against the policy and brought to the form in which they are kept. */
#include "vault/subject_internal.h"

#include "kluis/base/encode.h"

#include <string.h>

/* A client's clock may run ahead of ours by this much. */
#define CLOCK_AHEAD_US (5 * 60 * KL_TIME_SECOND_US)

static bool is_one_of(char letter, const char *others)
{
    return (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9') ||
           (letter != 0 && strchr(others, letter) != NULL);
}

/* 1..max characters of a-z, 0-9 and others. */
static bool name_valid(const char *name, const char *others, size_t max)
{
    size_t size = strnlen(name, max + 1);
    size_t i;

    if (size == 0 || size > max) {
        return false;
    }
    for (i = 0; i < size; i++) {
        if (!is_one_of(name[i], others)) {
            return false;
        }
    }
    return true;
}

/* A place is named only by what can be a name: a key of the request may hold anything. */
static void where_field(struct kl_err *err, const char *where, const char *field)
{
    if (name_valid(field, "_", VAULT_NAME_MAX_BYTES)) {
        kl_err_where(err, "%s/fields/%s", where, field);
    } else {
        kl_err_where(err, "%s/fields", where);
    }
}

static enum kl_status keep(struct kl_arena *arena, const struct kl_buf *from, struct kl_slice *ret,
                           struct kl_err *err)
{
    enum kl_status status = kl_buf_status(from, err);
    char *copy = NULL;

    if (status != KL_OK) {
        return status;
    }
    copy = kl_arena_text(arena, from->bytes, from->size);
    if (copy == NULL) {
        return kl_fail_memory(err);
    }
    *ret = kl_slice_of(copy, from->size);
    return KL_OK;
}

/* The kept form, and the form of the index. */
static enum kl_status normalise(const struct vault_policy_field *field,
                                const struct vault_value_input *input, struct kl_arena *arena,
                                struct vault_field_draft *draft, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf text;

    kl_buf_init(&text, VAULT_VALUE_MAX_BYTES + 1);
    status = vault_value_normalise(field->type, input, &text, err);
    if (status == KL_OK) {
        status = keep(arena, &text, &draft->value, err);
    }
    if (status == KL_OK && field->index != VAULT_INDEX_NONE) {
        kl_buf_clear(&text);
        status = vault_value_index_form(field->type, draft->value, &text, err);
        if (status == KL_OK && text.size > VAULT_TAG_VALUE_MAX_BYTES) {
            status = kl_fail(err, KL_ERR_TOO_LARGE, "value_too_large",
                             "the value is too long for a field that can be looked up", NULL);
        }
        if (status == KL_OK) {
            status = keep(arena, &text, &draft->form, err);
        }
    }
    kl_buf_done(&text);
    return status;
}

static enum kl_status draft_field(const struct vault_caller *caller,
                                  const struct vault_query *query, const struct vault_facts *facts,
                                  int type, const struct vault_field_input *input, bool may_remove,
                                  struct kl_arena *arena, struct vault_field_draft *draft,
                                  struct kl_err *err)
{
    struct vault_decision decision;

    draft->field = vault_policy_field_find(caller->policy, type, input->name);
    if (draft->field == VAULT_NONE) {
        return kl_failf(err, KL_ERR_INVALID, "unknown_field",
                        "the policy has no such field in a record of type %s",
                        vault_policy_record(caller->policy, type)->name);
    }
    decision = vault_policy_decide(caller->policy, query, facts, draft->field);
    if (decision.withheld != VAULT_GATE_NONE) {
        return vault_withheld(err, caller->policy, draft->field, decision.withheld);
    }
    draft->remove = input->remove;
    if (input->remove) {
        return may_remove ? KL_OK
                          : kl_fail(err, KL_ERR_INVALID, "invalid_type",
                                    "null removes a field, and a new record has none yet", NULL);
    }
    return normalise(vault_policy_field(caller->policy, draft->field), &input->value, arena, draft,
                     err);
}

enum kl_status vault_draft_fields(const struct vault_caller *caller,
                                  const struct vault_query *query, const struct vault_facts *facts,
                                  int type, const struct vault_field_input *inputs, size_t count,
                                  bool may_remove, const char *where, struct kl_arena *arena,
                                  struct vault_field_draft **ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_field_draft *drafts = NULL;
    bool *seen = NULL;
    size_t i;

    if (count > VAULT_FIELDS_INPUT_MAX) {
        kl_err_where(err, "%s/fields", where);
        return kl_fail(err, KL_ERR_TOO_LARGE, "too_many_fields",
                       "a record holds at most 256 fields", NULL);
    }
    drafts = kl_arena_array(arena, count, sizeof *drafts);
    seen = kl_arena_array(arena, VAULT_FIELDS_MAX, sizeof *seen);
    if (drafts == NULL || seen == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < count; i++) {
        status =
            draft_field(caller, query, facts, type, &inputs[i], may_remove, arena, &drafts[i], err);
        if (status == KL_OK && seen[drafts[i].field]) {
            status = kl_fail(err, KL_ERR_INVALID, "duplicate_key", "a field is given twice", NULL);
        }
        if (status != KL_OK) {
            where_field(err, where, inputs[i].name);
            return status;
        }
        seen[drafts[i].field] = true;
    }
    *ret = drafts;
    return KL_OK;
}

/* A record without fields still needs that the role may write some field of its type. */
static enum kl_status type_writable(const struct vault_caller *caller,
                                    const struct vault_query *query,
                                    const struct vault_facts *facts, int type, struct kl_err *err)
{
    const struct vault_policy_record *record = vault_policy_record(caller->policy, type);
    int i;

    for (i = 0; i < record->field_count; i++) {
        if (vault_policy_decide(caller->policy, query, facts, record->field_first + i).withheld ==
            VAULT_GATE_NONE) {
            return KL_OK;
        }
    }
    return kl_failf(err, KL_ERR_FORBIDDEN, "withheld", "%s is withheld by the gate %s",
                    record->name, vault_gate_name(VAULT_GATE_ROLE));
}

static enum kl_status draft_source(const char *source, const char *where, struct kl_arena *arena,
                                   const char **ret, struct kl_err *err)
{
    if (source == NULL) {
        *ret = NULL;
        return KL_OK;
    }
    if (!name_valid(source, "-", VAULT_SOURCE_MAX_BYTES) || source[0] < 'a') {
        kl_err_where(err, "%s/source", where);
        return kl_fail(
            err, KL_ERR_INVALID, "invalid_source",
            "a source is a name of at most 64 characters a-z, 0-9 and -, starting with a letter",
            NULL);
    }
    *ret = kl_arena_text(arena, source, strlen(source));
    return *ret == NULL ? kl_fail_memory(err) : KL_OK;
}

/*
 * What somebody leaves and what they agree to come together, so whoever may write a record may bring consents for the purposes of its
 * type; any other consent needs the action.
 */
static enum kl_status consent_allowed(const struct vault_caller *caller,
                                      const struct vault_query *query, int type,
                                      const struct vault_consent_draft *draft, const char *where,
                                      struct kl_err *err)
{
    struct vault_query consent = *query;
    bool is_for = false;

    consent.action = VAULT_ACTION_CONSENT;
    consent.purpose = vault_policy_purpose_find(caller->policy, draft->entry.purpose);
    is_for = ((query->credential_purposes >> consent.purpose) & 1) != 0;
    if (is_for &&
        (((vault_policy_record(caller->policy, type)->purposes >> consent.purpose) & 1) != 0 ||
         vault_role_allows(caller, &consent))) {
        return KL_OK;
    }
    kl_err_where(err, "%s", where);
    return kl_failf(err, KL_ERR_FORBIDDEN, "withheld",
                    "a consent for %s is withheld by the gate %s", draft->entry.purpose,
                    vault_gate_name(is_for ? VAULT_GATE_ROLE : VAULT_GATE_PURPOSE));
}

enum kl_status vault_draft_record(const struct vault_caller *caller,
                                  const struct vault_query *query, const struct vault_facts *facts,
                                  const struct vault_record_input *input, const char *where,
                                  struct kl_arena *arena, struct vault_record_draft *ret,
                                  struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_record_draft draft = {0};
    char place[KL_ERR_WHERE_BYTES];
    struct kl_err named = {0};
    size_t i;

    draft.type = vault_policy_record_find(caller->policy, input->type);
    if (draft.type == VAULT_NONE) {
        kl_err_where(err, "%s/type", where);
        return kl_fail(err, KL_ERR_INVALID, "unknown_record_type",
                       "the policy has no record type of that name", NULL);
    }
    draft.type_name = vault_policy_record(caller->policy, draft.type)->name;
    status = type_writable(caller, query, facts, draft.type, err);
    if (status != KL_OK) {
        kl_err_where(err, "%s", where);
        return status;
    }
    status = draft_source(input->source, where, arena, &draft.source, err);
    if (status == KL_OK) {
        status = vault_draft_fields(caller, query, facts, draft.type, input->fields,
                                    input->field_count, false, where, arena, &draft.fields, err);
    }
    draft.field_count = input->field_count;
    draft.consent_count = input->consent_count;
    if (status == KL_OK && draft.consent_count > VAULT_CONSENTS_MAX) {
        status = kl_fail(err, KL_ERR_TOO_LARGE, "too_many_consents",
                         "a subject's ledger holds at most 512 consents", NULL);
    }
    draft.consents =
        status == KL_OK ? kl_arena_array(arena, draft.consent_count, sizeof *draft.consents) : NULL;
    if (status == KL_OK && draft.consents == NULL) {
        status = kl_fail_memory(err);
    }
    for (i = 0; status == KL_OK && i < draft.consent_count; i++) {
        kl_err_clear(&named);
        kl_err_where(&named, "%s/consents/%zu", where, i);
        memcpy(place, named.where, sizeof place);
        status =
            vault_draft_consent(caller, &input->consents[i], place, arena, &draft.consents[i], err);
        if (status == KL_OK) {
            status = consent_allowed(caller, query, draft.type, &draft.consents[i], place, err);
        }
    }
    if (status == KL_OK) {
        *ret = draft;
    }
    return status;
}

/* ---- consents ---- */

bool vault_draft_word_valid(const char *word)
{
    return name_valid(word, "._-ABCDEFGHIJKLMNOPQRSTUVWXYZ", VAULT_NAME_MAX_BYTES);
}

static enum kl_status draft_word(const char *word, const char *member, const char *where,
                                 struct kl_arena *arena, const char **ret, struct kl_err *err)
{
    if (word == NULL || !vault_draft_word_valid(word)) {
        kl_err_where(err, "%s/%s", where, member);
        return kl_failf(
            err, KL_ERR_INVALID, word == NULL ? "missing_member" : "invalid_name",
            "a consent needs a %s: a name of at most 64 characters A-Z, a-z, 0-9, dot, - and _",
            member);
    }
    *ret = kl_arena_text(arena, word, strlen(word));
    return *ret == NULL ? kl_fail_memory(err) : KL_OK;
}

enum kl_status vault_draft_text(const char *text, const char *member, const char *where,
                                struct kl_arena *arena, const char **ret, struct kl_err *err)
{
    size_t size = text == NULL ? 0 : strnlen(text, VAULT_EVIDENCE_MAX_BYTES + 1);

    *ret = NULL;
    if (size == 0) {
        return KL_OK;
    }
    if (size > VAULT_EVIDENCE_MAX_BYTES || !kl_utf8_valid(text, size)) {
        kl_err_where(err, "%s/%s", where, member);
        return size > VAULT_EVIDENCE_MAX_BYTES
                   ? kl_failf(err, KL_ERR_TOO_LARGE, "value_too_large", "%s is at most %d bytes",
                              member, VAULT_EVIDENCE_MAX_BYTES)
                   : kl_failf(err, KL_ERR_INVALID, "invalid_value", "%s is not well-formed UTF-8",
                              member);
    }
    *ret = kl_arena_text(arena, text, size);
    return *ret == NULL ? kl_fail_memory(err) : KL_OK;
}

static enum kl_status draft_times(const struct vault_caller *caller,
                                  const struct vault_consent_input *input, const char *where,
                                  struct vault_ledger_entry *entry, struct kl_err *err)
{
    entry->given_us = input->at_us == 0 ? caller->now_us : input->at_us;
    entry->expires_us = input->expires_us;
    if (entry->given_us > caller->now_us + CLOCK_AHEAD_US) {
        kl_err_where(err, "%s/at", where);
        return kl_fail(err, KL_ERR_INVALID, "invalid_time",
                       "a consent cannot be given in the future", NULL);
    }
    if (entry->given_us > caller->now_us) {
        entry->given_us = caller->now_us;
    }
    if (entry->expires_us != 0 && entry->expires_us <= entry->given_us) {
        kl_err_where(err, "%s/expires", where);
        return kl_fail(err, KL_ERR_INVALID, "invalid_time",
                       "a consent must expire after it was given", NULL);
    }
    return KL_OK;
}

enum kl_status vault_draft_consent(const struct vault_caller *caller,
                                   const struct vault_consent_input *input, const char *where,
                                   struct kl_arena *arena, struct vault_consent_draft *ret,
                                   struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_consent_draft draft = {
        .entry = {.evidence = KMS_VALUE_NONE, .is_explicit = input->is_explicit}};
    int purpose = input->purpose == NULL
                      ? VAULT_NONE
                      : vault_policy_purpose_find(caller->policy, input->purpose);
    int recipient = VAULT_NONE;

    if (purpose == VAULT_NONE) {
        kl_err_where(err, "%s/purpose", where);
        return kl_fail(err, KL_ERR_INVALID, "unknown_purpose",
                       "the policy has no purpose of that name", NULL);
    }
    draft.entry.purpose = vault_policy_purpose(caller->policy, purpose)->name;
    status = vault_recipient_resolve(caller, input->recipient, &recipient, err);
    if (status != KL_OK) {
        kl_err_where(err, "%s/recipient", where);
        return status;
    }
    draft.entry.recipient =
        recipient == VAULT_NONE ? NULL : vault_policy_recipient(caller->policy, recipient)->name;
    status = draft_word(input->notice, "notice", where, arena, &draft.entry.notice, err);
    if (status == KL_OK) {
        status = draft_word(input->channel, "channel", where, arena, &draft.entry.channel, err);
    }
    if (status == KL_OK) {
        status = vault_draft_text(input->evidence, "evidence", where, arena, &draft.evidence, err);
    }
    if (status == KL_OK) {
        status = draft_times(caller, input, where, &draft.entry, err);
    }
    if (status == KL_OK) {
        *ret = draft;
    }
    return status;
}
