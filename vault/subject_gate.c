/* The questions about a subject that the policy answers. */
#include "vault/journal.h"
#include "vault/retention.h"
#include "vault/subject_internal.h"

#include <string.h>

enum kl_status vault_policy_required(const struct vault_caller *caller, struct kl_err *err)
{
    if (caller->policy == NULL) {
        return kl_fail(err, KL_ERR_REFUSED, "no_policy",
                       "this tenant has no policy yet: a steward must apply one first", NULL);
    }
    return KL_OK;
}

/*
 * What a recipient may be let do: to use data, and to change what its role says. The rest answers for the controller, and shows what is known
 * of somebody beside the fields that are for this recipient: their requests, what was kept of them, who else received what.
 */
static bool is_for_recipients(enum vault_action action)
{
    switch (action) {
    case VAULT_ACTION_READ:
    case VAULT_ACTION_LOOKUP:
    case VAULT_ACTION_VERIFY:
    case VAULT_ACTION_EXPORT:
    case VAULT_ACTION_DISCLOSE:
    case VAULT_ACTION_WRITE:
    case VAULT_ACTION_ERASE:
    case VAULT_ACTION_RESTRICT:
    case VAULT_ACTION_OBJECT:
    case VAULT_ACTION_CONSENT:
        return true;
    default:
        return false;
    }
}

int vault_caller_recipient(const struct vault_caller *caller)
{
    return caller->is_recipient ? caller->recipient : VAULT_NONE;
}

bool vault_recipient_may_know(const struct vault_caller *caller, const char *name)
{
    return !caller->is_recipient || name == NULL ||
           strcmp(vault_policy_recipient(caller->policy, caller->recipient)->name, name) == 0;
}

struct vault_query vault_query_of(const struct vault_caller *caller, enum vault_action action,
                                  int purpose, int recipient, const struct kl_id *subject)
{
    struct vault_query query = {
        .role = caller->is_recipient && !is_for_recipients(action) ? VAULT_NONE : caller->role,
        .action = action,
        .purpose = purpose,
        .credential_purposes = caller->purposes,
        .location = caller->location,
        .recipient = caller->is_recipient ? caller->recipient : recipient,
        .own_subject =
            caller->bound && subject != NULL && kl_id_equal(&caller->bound_subject, subject),
        .now_us = caller->now_us,
    };

    return query;
}

enum kl_status vault_purpose_resolve(const struct vault_caller *caller, const char *name, int *ret,
                                     struct kl_err *err)
{
    int purpose = caller->single_purpose;

    if (name != NULL) {
        purpose = vault_policy_purpose_find(caller->policy, name);
        if (purpose == VAULT_NONE) {
            return kl_fail(err, KL_ERR_INVALID, "unknown_purpose",
                           "the policy has no purpose of that name", NULL);
        }
    }
    if (purpose == VAULT_NONE) {
        return kl_fail(err, KL_ERR_INVALID, "purpose_required",
                       "say for which purpose: this credential is not made for a single one", NULL);
    }
    *ret = purpose;
    return KL_OK;
}

enum kl_status vault_purpose_or_none(const struct vault_caller *caller, const char *name, int *ret,
                                     struct kl_err *err)
{
    if (name == NULL && caller->single_purpose == VAULT_NONE && caller->purposes == UINT64_MAX) {
        *ret = VAULT_NONE;
        return KL_OK;
    }
    return vault_purpose_resolve(caller, name, ret, err);
}

enum kl_status vault_recipient_resolve(const struct vault_caller *caller, const char *name,
                                       int *ret, struct kl_err *err)
{
    int recipient = vault_caller_recipient(caller);

    if (!vault_recipient_may_know(caller, name)) {
        return kl_fail(err, KL_ERR_FORBIDDEN, "recipient_forbidden",
                       "this credential is made for one recipient, and may name no other", NULL);
    }
    if (name != NULL) {
        recipient = vault_policy_recipient_find(caller->policy, name);
        if (recipient == VAULT_NONE) {
            return kl_fail(err, KL_ERR_INVALID, "unknown_recipient",
                           "the policy has no recipient of that name", NULL);
        }
    }
    *ret = recipient;
    return KL_OK;
}

int vault_policy_field_of(const struct vault_policy *policy,
                          const struct vault_manifest_record *record,
                          const struct vault_manifest_field *field)
{
    int type = vault_policy_record_find(policy, record->type);

    return type == VAULT_NONE ? VAULT_NONE : vault_policy_field_find(policy, type, field->name);
}

/* ---- facts ---- */

static bool has_special_field(const struct vault_policy *policy)
{
    size_t count = vault_policy_field_count(policy);
    size_t i;

    for (i = 0; i < count; i++) {
        if (vault_policy_field(policy, (int)i)->special != NULL) {
            return true;
        }
    }
    return false;
}

static bool is_outside(struct vault_country country)
{
    return vault_country_is_set(country) && !vault_country_in_eea(country);
}

/*
 * Whether an answer may hang on a consent: the purpose's basis, a recipient, a transfer, data of a special category.
 */
static bool asks_consent(const struct vault_policy *policy, const struct vault_query *query)
{
    enum vault_basis basis;

    if (query->recipient != VAULT_NONE) {
        return true;
    }
    if (is_outside(query->location)) {
        return true;
    }
    if (query->purpose == VAULT_NONE) {
        return false;
    }
    basis = vault_policy_purpose(policy, query->purpose)->basis;
    return basis == VAULT_BASIS_CONSENT || basis == VAULT_BASIS_EXPLICIT_CONSENT ||
           has_special_field(policy);
}

bool vault_ledger_entry_counts(const struct vault_ledger_entry *entry,
                               const struct vault_policy *policy, int64_t now_us)
{
    int purpose = vault_policy_purpose_find(policy, entry->purpose);
    const char *notice =
        purpose == VAULT_NONE ? NULL : vault_policy_purpose(policy, purpose)->notice;

    if (purpose == VAULT_NONE || entry->withdrawn_us != 0 || entry->given_us > now_us) {
        return false;
    }
    if (entry->expires_us != 0 && entry->expires_us <= now_us) {
        return false;
    }
    return notice == NULL || (entry->notice != NULL && strcmp(notice, entry->notice) == 0);
}

/* A consent that was given for the controller says nothing about a recipient, nor the other way round. */
static void add_consent(struct vault_facts *facts, const struct vault_policy *policy,
                        const struct vault_query *query, int64_t restricted_us,
                        const struct vault_ledger_entry *entry)
{
    uint64_t bit = UINT64_C(1) << vault_policy_purpose_find(policy, entry->purpose);
    bool for_controller = entry->recipient == NULL;
    bool for_recipient =
        !for_controller && query->recipient != VAULT_NONE &&
        strcmp(entry->recipient, vault_policy_recipient(policy, query->recipient)->name) == 0;

    if (for_controller) {
        facts->consents |= bit;
        facts->explicit_consents |= entry->is_explicit ? bit : 0;
    }
    if (for_recipient) {
        facts->recipient_consents |= bit;
        facts->recipient_explicit_consents |= entry->is_explicit ? bit : 0;
    }
    if ((for_controller || for_recipient) && query->purpose != VAULT_NONE &&
        bit == UINT64_C(1) << query->purpose && entry->given_us > facts->consented_us) {
        facts->consented_us = entry->given_us;
    }
    if ((for_controller || for_recipient) && facts->restricted &&
        entry->given_us >= restricted_us) {
        facts->consents_in_restriction |= bit;
    }
}

/* An objection against which the controller recorded compelling grounds stands in the way of direct marketing alone. */
static void add_objection(struct vault_facts *facts, const struct vault_policy *policy,
                          const struct vault_ledger_objection *objection)
{
    int purpose = vault_policy_purpose_find(policy, objection->purpose);

    if (purpose != VAULT_NONE && objection->ended_us == 0 &&
        (objection->compelling == KMS_VALUE_NONE ||
         vault_policy_purpose(policy, purpose)->direct_marketing)) {
        facts->objections |= UINT64_C(1) << purpose;
    }
}

enum kl_status vault_facts_of(struct vault *vault, const struct vault_subject *subject,
                              const struct vault_policy *policy, const struct vault_query *query,
                              struct kl_arena *arena, struct vault_facts *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_facts facts = {.residency = subject->base.residency};
    struct vault_ledger ledger = {0};
    size_t i;

    if (asks_consent(policy, query) || subject->base.limits ||
        vault_journal_holds(vault, subject->tenant, subject->slot)) {
        status = vault_subject_ledger(vault, subject, arena, &ledger, err);
    }
    if (status != KL_OK) {
        return status;
    }
    facts.restricted = ledger.restriction.at_us != 0;
    for (i = 0; i < ledger.count; i++) {
        if (vault_ledger_entry_counts(&ledger.entries[i], policy, query->now_us)) {
            add_consent(&facts, policy, query, ledger.restriction.at_us, &ledger.entries[i]);
        }
    }
    for (i = 0; i < ledger.objection_count; i++) {
        add_objection(&facts, policy, &ledger.objections[i]);
    }
    *ret = facts;
    return KL_OK;
}

static bool caller_is_outside(const struct vault_caller *caller)
{
    return is_outside(caller->location) ||
           (caller->is_recipient &&
            is_outside(vault_policy_recipient(caller->policy, caller->recipient)->country));
}

enum kl_status vault_ledger_may_leave(const struct vault_caller *caller,
                                      const struct vault_query *query,
                                      const struct vault_facts *facts, const char *what,
                                      int *ret_transfer, struct kl_err *err)
{
    enum vault_view view = VAULT_VIEW_PLAIN;
    int transfer = VAULT_NONE;

    if (!vault_policy_may_leave(caller->policy, query, facts, &view, &transfer) ||
        view != VAULT_VIEW_PLAIN) {
        return kl_failf(err, KL_ERR_FORBIDDEN, "withheld", "%s are withheld by the gate %s", what,
                        vault_gate_name(VAULT_GATE_TRANSFER));
    }
    *ret_transfer = transfer;
    return KL_OK;
}

enum kl_status vault_consents_leaving(struct vault *vault, const struct vault_caller *caller,
                                      const struct vault_subject *subject, uint64_t purposes,
                                      struct kl_arena *arena, uint64_t *ret_purposes,
                                      uint64_t *ret_lines, struct kl_err *err)
{
    struct vault_query query = vault_query_of(caller, VAULT_ACTION_CONSENT, VAULT_NONE, VAULT_NONE,
                                              &subject->base.subject);
    struct vault_facts facts = {0};
    uint64_t leaving = 0;
    uint64_t lines = 0;
    enum kl_status status = KL_OK;

    if (!caller_is_outside(caller)) {
        *ret_purposes = purposes;
        *ret_lines = 0;
        return KL_OK;
    }
    status = vault_facts_of(vault, subject, caller->policy, &query, arena, &facts, err);
    for (; status == KL_OK && purposes != 0; purposes &= purposes - 1) {
        enum vault_view view = VAULT_VIEW_PLAIN;
        int transfer = VAULT_NONE;

        query.purpose = __builtin_ctzll(purposes);
        if (vault_policy_may_leave(caller->policy, &query, &facts, &view, &transfer) &&
            view == VAULT_VIEW_PLAIN) {
            leaving |= UINT64_C(1) << query.purpose;
            lines |= transfer == VAULT_NONE ? 0 : UINT64_C(1) << transfer;
        }
    }
    if (status == KL_OK) {
        *ret_purposes = leaving;
        *ret_lines = lines;
    }
    return status;
}

/* Whether the role has a grant, of whatever action and purpose, on anything that the subject has. */
static bool may_know_of(const struct vault_caller *caller, const struct vault_subject *subject)
{
    struct kl_err ignored = {0};
    int action;

    for (action = 0; action < VAULT_ACTIONS; action++) {
        if (vault_subject_allowed(caller, (enum vault_action)action, subject, VAULT_NONE,
                                  &ignored) != KL_ERR_NOT_FOUND) {
            return true;
        }
        kl_err_clear(&ignored);
    }
    return false;
}

uint64_t vault_ended_types(const struct vault_subject *subject, const struct vault_policy *policy,
                           const struct vault_query *query, const struct vault_facts *facts)
{
    struct vault_facts of = *facts;
    uint64_t ended = 0;
    uint64_t open = 0;
    size_t i;

    for (i = 0; i < subject->head.record_count; i++) {
        const struct vault_manifest_record *record = &subject->records[i];
        int type = record->gone ? VAULT_NONE : vault_policy_record_find(policy, record->type);

        if (type == VAULT_NONE) {
            continue;
        }
        vault_retention_facts(policy, query, record, &of);
        *(of.ended == 0 ? &open : &ended) |= UINT64_C(1) << type;
    }
    return ended & ~open;
}

uint64_t vault_ended_of(uint64_t ended_types, const struct vault_query *query, int type)
{
    return query->purpose != VAULT_NONE && ((ended_types >> type) & 1) != 0
               ? UINT64_C(1) << query->purpose
               : 0;
}

enum kl_status vault_subject_facts(struct vault *vault, const struct vault_caller *caller,
                                   const struct kl_id *id, const struct vault_query *query,
                                   struct kl_arena *arena, struct vault_subject *subject,
                                   struct vault_facts *ret_facts, uint64_t *ret_ended_types,
                                   struct kl_err *err)
{
    enum kl_status status = vault_policy_required(caller, err);

    if (status == KL_OK) {
        status = vault_subject_find(vault, caller, id, arena, subject, err);
    }
    if (status == KL_OK && caller->builtin != VAULT_BUILTIN_STEWARD &&
        !may_know_of(caller, subject)) {
        status = vault_not_found(err);
    }
    if (status == KL_OK) {
        status = vault_facts_of(vault, subject, caller->policy, query, arena, ret_facts, err);
    }
    if (status == KL_OK) {
        *ret_ended_types = vault_ended_types(subject, caller->policy, query, ret_facts);
    }
    return status;
}

enum kl_status vault_subject_id(struct vault *vault, uint64_t tenant, uint64_t slot,
                                struct kl_id *ret_subject, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_subject found = {0};
    struct kl_arena *arena = kl_arena_new(VAULT_WORK_MAX_BYTES);

    if (arena == NULL) {
        return kl_fail_memory(err);
    }
    status = vault_subject_load(vault, tenant, slot, arena, &found, err);
    if (status == KL_OK) {
        *ret_subject = found.base.subject;
    }
    vault_subject_done(&found);
    kl_arena_free(arena);
    return status;
}

/* ---- may they? ---- */

bool vault_role_allows(const struct vault_caller *caller, const struct vault_query *query)
{
    size_t count = vault_policy_field_count(caller->policy);
    struct vault_facts facts = {0};
    size_t i;

    if (query->role == VAULT_NONE || (query->purpose != VAULT_NONE &&
                                      ((query->credential_purposes >> query->purpose) & 1) == 0)) {
        return false;
    }
    for (i = 0; i < count; i++) {
        if (vault_policy_decide(caller->policy, query, &facts, (int)i).withheld !=
            VAULT_GATE_ROLE) {
            return true;
        }
    }
    return false;
}

bool vault_may_about(const struct vault_caller *caller, enum vault_action action, int purpose,
                     const struct kl_id *subject)
{
    struct vault_query query = vault_query_of(caller, action, purpose, VAULT_NONE, subject);

    return vault_role_allows(caller, &query);
}

bool vault_may_see_entry(const struct vault_caller *caller, enum vault_action action, int purpose,
                         const struct kl_id *subject)
{
    return (purpose != VAULT_NONE || caller->purposes == UINT64_MAX) &&
           vault_may_about(caller, action, purpose, subject);
}

enum kl_status vault_withheld(struct kl_err *err, const struct vault_policy *policy, int field,
                              enum vault_gate gate)
{
    const struct vault_policy_field *about = vault_policy_field(policy, field);
    char name[VAULT_FIELD_NAME_BYTES];

    vault_field_name(vault_policy_record(policy, about->record)->name, about->name, name);
    return kl_failf(err, KL_ERR_FORBIDDEN, "withheld", "%s is withheld by the gate %s", name,
                    vault_gate_name(gate));
}

/* What the gates said to one record's fields. */
struct asked {
    size_t allowed;
    int refused; /* a field that was refused; VAULT_NONE */
    size_t known;
};

static void ask_record(const struct vault_caller *caller, const struct vault_query *query,
                       const struct vault_facts *facts, const struct vault_manifest_record *record,
                       struct asked *asked)
{
    size_t i;
    int field;

    for (i = 0; i < record->field_count; i++) {
        field = vault_policy_field_of(caller->policy, record, &record->fields[i]);
        if (field == VAULT_NONE) {
            continue;
        }
        asked->known++;
        if (vault_policy_decide(caller->policy, query, facts, field).withheld == VAULT_GATE_ROLE) {
            asked->refused = field;
        } else {
            asked->allowed++;
        }
    }
}

enum kl_status vault_subject_allowed(const struct vault_caller *caller, enum vault_action action,
                                     const struct vault_subject *subject, int record,
                                     struct kl_err *err)
{
    struct vault_query query =
        vault_query_of(caller, action, VAULT_NONE, VAULT_NONE, &subject->base.subject);
    struct vault_facts facts = {.residency = subject->base.residency};
    struct asked asked = {.refused = VAULT_NONE};
    size_t i;

    if (query.role == VAULT_NONE || !vault_policy_may(caller->policy, &query)) {
        return vault_not_found(err);
    }
    for (i = 0; i < subject->head.record_count; i++) {
        if (!subject->records[i].gone && (record == VAULT_NONE || (size_t)record == i)) {
            ask_record(caller, &query, &facts, &subject->records[i], &asked);
        }
    }
    if (asked.known > 0 && asked.allowed == 0) {
        return vault_not_found(err);
    }
    if (asked.refused != VAULT_NONE) {
        return vault_withheld(err, caller->policy, asked.refused, VAULT_GATE_ROLE);
    }
    return KL_OK;
}
