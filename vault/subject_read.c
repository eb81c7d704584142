/* Reading: every field is decided on first; only what will be shown is fetched and opened; nothing leaves before its audit entry. */
#include "vault/subject_read.h"
#include "vault/pseudonym.h"
#include "vault/retention.h"
#include "vault/volume.h"

#include <string.h>

/* ---- deciding ---- */

/*
 * Decisions by field, made once each for records that the purpose's clock has not run out for, and for others; and where the shown
 * records lie in the subject, and which of the two they are. query: the plan's, with the volume that is used up now.
 * charged: grants with a volume under which something is shown; beyond: something is withheld for a volume alone.
 */
struct reading {
    struct vault *vault;
    const struct vault_caller *caller;
    const struct vault_policy *policy;
    const struct vault_read_plan *plan;
    struct vault_query query;
    uint64_t charged;
    bool beyond;
    const struct vault_subject *subject;
    struct kl_arena *arena;
    struct vault_facts facts;
    struct vault_decision decisions[2][VAULT_FIELDS_MAX];
    bool decided[2][VAULT_FIELDS_MAX];
    struct vault_record_result *records;
    size_t *at;
    bool *ended;
    size_t record_count;
    struct vault_value_wanted *wanted;
    struct vault_field_result **wanted_for;
    size_t wanted_count;
    bool reached;
    struct vault_pseudonyms pseudonyms; /* made when the first is shown */
    bool has_pseudonyms;
};

static void count_volume(struct reading *reading, int field, const struct vault_decision *decision)
{
    if (decision->withheld == VAULT_GATE_NONE) {
        reading->charged |= vault_policy_charged(reading->policy, &reading->query, field);
    } else if (decision->withheld == VAULT_GATE_ROLE && reading->query.used_up != 0) {
        reading->beyond =
            reading->beyond ||
            vault_policy_decide(reading->policy, &reading->plan->query, &reading->facts, field)
                    .withheld == VAULT_GATE_NONE;
    }
}

/* Of the record that the facts are about. */
static struct vault_decision decide(struct reading *reading, int field)
{
    bool ended = reading->facts.ended != 0;
    struct vault_decision *decision = &reading->decisions[ended][field];

    if (!reading->decided[ended][field]) {
        *decision = vault_policy_decide(reading->policy, &reading->query, &reading->facts, field);
        if (decision->view == VAULT_VIEW_MASKED &&
            vault_policy_field(reading->policy, field)->type == VAULT_TYPE_FILE) {
            decision->view = VAULT_VIEW_PRESENT; /* half a file says nothing */
        }
        reading->decided[ended][field] = true;
        count_volume(reading, field, decision);
    }
    return *decision;
}

/* Whether the role passes for any field of the type; with purpose VAULT_NONE in the query: for any purpose. */
static bool type_allowed(const struct vault_policy *policy, const struct vault_query *query,
                         const struct vault_facts *facts, const char *type_name)
{
    int type = vault_policy_record_find(policy, type_name);
    const struct vault_policy_record *of =
        type == VAULT_NONE ? NULL : vault_policy_record(policy, type);
    int i;

    for (i = 0; of != NULL && i < of->field_count; i++) {
        if (vault_policy_decide(policy, query, facts, of->field_first + i).withheld !=
            VAULT_GATE_ROLE) {
            return true;
        }
    }
    return false;
}

/* Whether the role has a grant for that action on anything the subject has. */
static bool has_grant_for(const struct reading *reading, enum vault_action action)
{
    struct vault_query query = reading->plan->query;
    const struct vault_subject *subject = reading->subject;
    size_t i;

    query.action = action;
    query.purpose = VAULT_NONE;
    for (i = 0; i < subject->head.record_count; i++) {
        if (!subject->records[i].gone &&
            type_allowed(reading->policy, &query, &reading->facts, subject->records[i].type)) {
            return true;
        }
    }
    return false;
}

static bool has_records(const struct vault_subject *subject)
{
    size_t i;

    for (i = 0; i < subject->head.record_count; i++) {
        if (!subject->records[i].gone) {
            return true;
        }
    }
    return false;
}

/* A role without any grant, of whatever action, on what the subject has must not learn that the subject is there. */
static bool has_grant(const struct reading *reading)
{
    enum vault_action action;

    if (has_grant_for(reading, VAULT_ACTION_READ) || !has_records(reading->subject)) {
        return true;
    }
    for (action = 0; action < VAULT_ACTIONS; action++) {
        if (has_grant_for(reading, action)) {
            return true;
        }
    }
    return false;
}

static bool is_left_out(const struct reading *reading, int field,
                        const struct vault_decision *decision)
{
    return decision->withheld == VAULT_GATE_ROLE && !reading->plan->by_name[field];
}

static enum kl_status pseudonyms_begin(struct reading *reading, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (!reading->has_pseudonyms) {
        status = vault_pseudonyms_of(reading->vault, reading->caller, &reading->plan->query,
                                     reading->subject, &reading->pseudonyms, err);
        reading->has_pseudonyms = status == KL_OK;
    }
    return status;
}

static enum kl_status show_token(struct reading *reading, const struct kl_id *record,
                                 struct vault_field_result *result, struct kl_err *err)
{
    char text[VAULT_PSEUDONYM_TEXT_BYTES];
    const char *copy = NULL;
    enum kl_status status = pseudonyms_begin(reading, err);

    if (status == KL_OK) {
        status = vault_pseudonym_make(reading->vault, &reading->pseudonyms, record, result->name,
                                      text, err);
    }
    if (status == KL_OK) {
        copy = kl_arena_text(reading->arena, text, VAULT_PSEUDONYM_CHARS);
        status = copy == NULL ? kl_fail_memory(err) : KL_OK;
    }
    if (status == KL_OK) {
        result->value = kl_slice_of(copy, VAULT_PSEUDONYM_CHARS);
    }
    return status;
}

static enum kl_status decide_value(struct reading *reading,
                                   const struct vault_manifest_record *record,
                                   const struct vault_manifest_field *field,
                                   struct vault_field_result *result, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    switch (result->view) {
    case VAULT_VIEW_PLAIN:
    case VAULT_VIEW_MASKED:
        reading->wanted[reading->wanted_count].record = record;
        reading->wanted[reading->wanted_count].field = field;
        reading->wanted_for[reading->wanted_count++] = result;
        break;
    case VAULT_VIEW_TOKEN:
        status = show_token(reading, &record->id, result, err);
        break;
    case VAULT_VIEW_PRESENT:
    case VAULT_VIEWS:
        break;
    }
    return status;
}

static enum kl_status decide_record(struct reading *reading, size_t at, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    const struct vault_manifest_record *record = &reading->subject->records[at];
    struct vault_record_result *result = &reading->records[reading->record_count];
    size_t i;

    result->fields = kl_arena_array(reading->arena, record->field_count, sizeof *result->fields);
    if (result->fields == NULL) {
        return kl_fail_memory(err);
    }
    vault_retention_facts(reading->policy, &reading->plan->query, record, &reading->facts);
    for (i = 0; status == KL_OK && i < record->field_count; i++) {
        const struct vault_manifest_field *field = &record->fields[i];
        int number = vault_policy_field_of(reading->policy, record, field);
        struct vault_field_result *shown = &result->fields[result->field_count];
        struct vault_decision decision;

        if (number == VAULT_NONE || (reading->plan->named && !reading->plan->wanted[number])) {
            continue;
        }
        decision = decide(reading, number);
        if (is_left_out(reading, number, &decision)) {
            continue;
        }
        result->field_count++;
        shown->name = field->name;
        shown->type = field->type;
        shown->withheld = decision.withheld;
        shown->view = decision.view;
        if (decision.withheld == VAULT_GATE_NONE) {
            reading->reached = true;
            status = decide_value(reading, record, field, shown, err);
        }
    }
    if (result->field_count == 0 &&
        !type_allowed(reading->policy, &reading->plan->query, &reading->facts, record->type)) {
        return status;
    }
    result->id = record->id;
    result->type = record->type;
    result->source = record->source;
    result->version = record->version;
    result->created_us = record->created_us;
    reading->ended[reading->record_count] = reading->facts.ended != 0;
    reading->at[reading->record_count++] = at;
    return status;
}

static bool is_asked(const struct reading *reading, const struct vault_manifest_record *record,
                     const struct kl_id *only)
{
    if (record->gone || (only != NULL && !kl_id_equal(&record->id, only))) {
        return false;
    }
    return reading->plan->type == VAULT_NONE ||
           vault_policy_record_find(reading->policy, record->type) == reading->plan->type;
}

static enum kl_status decide_all(struct reading *reading, const struct kl_id *only,
                                 struct kl_err *err)
{
    enum kl_status status = KL_OK;
    const struct vault_subject *subject = reading->subject;
    size_t count = subject->head.record_count;
    size_t fields = 0;
    size_t asked = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        fields += subject->records[i].gone ? 0 : subject->records[i].field_count;
    }
    reading->records = kl_arena_array(reading->arena, count, sizeof *reading->records);
    reading->at = kl_arena_array(reading->arena, count, sizeof *reading->at);
    reading->ended = kl_arena_array(reading->arena, count, sizeof *reading->ended);
    reading->wanted = kl_arena_array(reading->arena, fields, sizeof *reading->wanted);
    reading->wanted_for = kl_arena_array(reading->arena, fields, sizeof *reading->wanted_for);
    if (reading->records == NULL || reading->at == NULL || reading->ended == NULL ||
        reading->wanted == NULL || reading->wanted_for == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; status == KL_OK && i < count; i++) {
        if (is_asked(reading, &subject->records[i], only)) {
            asked++;
            status = decide_record(reading, i, err);
        }
    }
    if (status == KL_OK && only != NULL && (asked == 0 || reading->record_count == 0)) {
        return vault_not_found(err);
    }
    return status;
}

static void start_again(struct reading *reading)
{
    reading->query = reading->plan->query;
    reading->query.used_up = vault_volume_used_up(reading->vault, reading->caller);
    reading->charged = 0;
    reading->beyond = false;
    reading->reached = false;
    reading->record_count = 0;
    reading->wanted_count = 0;
    memset(reading->decided, 0, sizeof reading->decided);
}

/* Decide, and count the subject where the role's grants say how many an hour. Nothing is left of it for that alone: the refusal. */
static enum kl_status decide_within_volume(struct reading *reading, const struct kl_id *only,
                                           struct kl_err *err)
{
    enum kl_status status = KL_OK;
    unsigned tries = 0;

    do {
        start_again(reading);
        status = decide_all(reading, only, err);
        if (reading->beyond && !reading->reached &&
            (status == KL_OK || status == KL_ERR_NOT_FOUND)) {
            kl_err_clear(err);
            return vault_volume_exceeded(reading->vault, reading->caller, err);
        }
        if (status != KL_OK ||
            vault_volume_take(reading->vault, reading->caller, reading->charged)) {
            return status;
        }
    } while (++tries < VAULT_VOLUME_TRIES);
    return vault_volume_exceeded(reading->vault, reading->caller, err);
}

/* ---- opening ---- */

static enum kl_status mask(struct reading *reading, const struct vault_value_wanted *wanted,
                           struct vault_field_result *result, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    int number = vault_policy_field_of(reading->policy, wanted->record, wanted->field);
    const char *copy = NULL;
    struct kl_buf text;

    kl_buf_init(&text, VAULT_VALUE_MAX_BYTES + 1);
    status = vault_value_mask(vault_policy_field(reading->policy, number)->mask,
                              wanted->field->type, wanted->value, &text, err);
    if (status == KL_OK) {
        status = kl_buf_status(&text, err);
    }
    if (status == KL_OK) {
        copy = kl_arena_text(reading->arena, text.bytes, text.size);
        result->value = kl_slice_of(copy, text.size);
        status = copy == NULL ? kl_fail_memory(err) : KL_OK;
    }
    kl_buf_done(&text);
    return status;
}

static enum kl_status open_values(struct reading *reading, struct kl_err *err)
{
    enum kl_status status =
        vault_subject_values(reading->vault, reading->subject->tenant, reading->subject->slot,
                             reading->wanted, reading->wanted_count, reading->arena, err);
    size_t i;

    for (i = 0; status == KL_OK && i < reading->wanted_count; i++) {
        if (reading->wanted_for[i]->view == VAULT_VIEW_MASKED) {
            status = mask(reading, &reading->wanted[i], reading->wanted_for[i], err);
        } else {
            reading->wanted_for[i]->value = reading->wanted[i].value;
        }
    }
    return status;
}

/* ---- ids ---- */

/* Whether the caller is shown nothing of the subject more openly than as a token, whatever was asked for this time. */
static bool is_pseudonymous(const struct reading *reading)
{
    size_t i;
    size_t k;

    for (i = 0; i < reading->record_count; i++) {
        for (k = 0; k < reading->records[i].field_count; k++) {
            const struct vault_field_result *field = &reading->records[i].fields[k];

            if (field->withheld == VAULT_GATE_NONE && field->view < VAULT_VIEW_TOKEN) {
                return false;
            }
        }
    }
    return vault_policy_is_pseudonymous(reading->policy, &reading->plan->query,
                                        reading->subject->base.residency);
}

static enum kl_status conceal_ids(struct reading *reading, struct vault_subject_result *result,
                                  struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (!is_pseudonymous(reading)) {
        return KL_OK;
    }
    status = pseudonyms_begin(reading, err);
    return status == KL_OK ? vault_pseudonyms_conceal(reading->vault, &reading->pseudonyms,
                                                      reading->arena, result, err)
                           : status;
}

/* ---- the audit entry ---- */

static bool is_of(const struct reading *reading, size_t i, int type, bool ended)
{
    return reading->ended[i] == ended &&
           vault_policy_record_find(reading->policy, reading->records[i].type) == type;
}

/*
 * What is said of one type: its records by value slot, its fields with view or gate. Fields of a type are decided alike in all records,
 * but for the purpose's clock.
 */
static void act_type(struct vault_act *act, const struct reading *reading, int type, bool ended)
{
    const struct vault_policy_record *of = vault_policy_record(reading->policy, type);
    struct kl_json_out *out = &act->out;
    bool present[VAULT_FIELDS_MAX] = {false};
    size_t i;
    size_t k;
    int field;
    int pass;

    kl_json_object_begin(out);
    kl_json_add_text(out, "type", of->name);
    kl_json_key(out, "records");
    kl_json_array_begin(out);
    for (i = 0; i < reading->record_count; i++) {
        if (!is_of(reading, i, type, ended)) {
            continue;
        }
        kl_json_put_int(out, (int64_t)reading->subject->head.records[reading->at[i]].value);
        for (k = 0; k < reading->records[i].field_count; k++) {
            present[vault_policy_field_find(reading->policy, type,
                                            reading->records[i].fields[k].name)] = true;
        }
    }
    kl_json_array_end(out);
    for (pass = 0; pass < 2; pass++) {
        kl_json_key(out, pass == 0 ? "fields" : "withheld");
        kl_json_object_begin(out);
        for (field = of->field_first; field < of->field_first + of->field_count; field++) {
            const struct vault_decision *decision = &reading->decisions[ended][field];

            if (present[field] && (decision->withheld != VAULT_GATE_NONE) == (pass == 1)) {
                kl_json_add_text(out, vault_policy_field(reading->policy, field)->name,
                                 pass == 0 ? vault_view_name(decision->view)
                                           : vault_gate_name(decision->withheld));
            }
        }
        kl_json_object_end(out);
    }
    kl_json_object_end(out);
}

static void act_transfers(struct vault_act *act, const struct reading *reading)
{
    uint64_t lines = 0;
    size_t i;

    for (i = 0; i < reading->record_count; i++) {
        size_t k;

        for (k = 0; k < reading->records[i].field_count; k++) {
            const struct vault_field_result *field = &reading->records[i].fields[k];
            int type = vault_policy_record_find(reading->policy, reading->records[i].type);
            const struct vault_decision *decision =
                &reading->decisions[reading->ended[i]]
                                   [vault_policy_field_find(reading->policy, type, field->name)];

            if (decision->withheld == VAULT_GATE_NONE && decision->transfer != VAULT_NONE) {
                lines |= UINT64_C(1) << decision->transfer;
            }
        }
    }
    vault_subject_act_transfers(act, reading->policy, lines);
}

/* All that was asked for withheld is a refusal, whatever the status says; where there was nothing to withhold it is none. */
static enum vault_audit_meaning meaning_of(const struct reading *reading)
{
    size_t i;
    size_t k;
    bool withheld = false;

    for (i = 0; i < reading->record_count; i++) {
        for (k = 0; k < reading->records[i].field_count; k++) {
            if (reading->records[i].fields[k].withheld == VAULT_GATE_NONE) {
                return VAULT_AUDIT_MEANS_SHOWN;
            }
            withheld = true;
        }
    }
    return withheld ? VAULT_AUDIT_MEANS_REFUSED : VAULT_AUDIT_MEANS_SHOWN;
}

static enum kl_status act_read(struct vault_act *act, const struct vault_caller *caller,
                               const struct reading *reading, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    const struct vault_query *query = &reading->plan->query;
    uint64_t types[2] = {0};
    size_t i;

    vault_subject_act_begin(act, caller,
                            reading->plan->action == NULL ? "read" : reading->plan->action,
                            reading->subject->slot);
    if (query->purpose != VAULT_NONE) {
        kl_json_add_text(&act->out, "purpose",
                         vault_policy_purpose(reading->policy, query->purpose)->name);
    }
    vault_act_recipient(act, reading->policy, query);
    if (query->ground != VAULT_GROUND_NONE) {
        kl_json_add_text(&act->out, "ground", vault_ground_name(query->ground));
    }
    kl_json_key(&act->out, "shown");
    kl_json_array_begin(&act->out);
    for (i = 0; i < reading->record_count; i++) {
        types[reading->ended[i]] |=
            UINT64_C(1) << vault_policy_record_find(reading->policy, reading->records[i].type);
    }
    for (i = 0; i < 2; i++) {
        for (; types[i] != 0; types[i] &= types[i] - 1) {
            act_type(act, reading, __builtin_ctzll(types[i]), i == 1);
        }
    }
    kl_json_array_end(&act->out);
    act_transfers(act, reading);
    act->entry.meaning = meaning_of(reading);
    status = vault_subject_act_end(act, err);
    if (status == KL_ERR_TOO_LARGE) {
        kl_err_clear(err);
        return kl_fail(err, status, "too_many_fields",
                       "too much for one audit entry: ask for fewer fields at once", NULL);
    }
    return status;
}

enum kl_status vault_read_loaded(struct vault *vault, const struct vault_caller *caller,
                                 const struct vault_read_plan *plan, const struct kl_id *record,
                                 const struct vault_subject *subject, struct kl_arena *arena,
                                 struct vault_act *act, struct vault_subject_result *ret,
                                 bool *ret_reached, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_subject_result result = {.id = subject->base.subject,
                                          .residency = subject->base.residency};
    struct reading reading = {.vault = vault,
                              .caller = caller,
                              .policy = caller->policy,
                              .plan = plan,
                              .query = plan->query,
                              .subject = subject,
                              .arena = arena};

    status =
        vault_facts_of(vault, subject, caller->policy, &plan->query, arena, &reading.facts, err);
    if (status == KL_OK && !has_grant(&reading)) {
        status = vault_not_found(err);
    }
    if (status == KL_OK) {
        status = decide_within_volume(&reading, record, err);
    }
    if (status == KL_OK) {
        status = open_values(&reading, err);
    }
    if (status == KL_OK) {
        status = act_read(act, caller, &reading, err);
    }
    if (status == KL_OK) {
        result.records = reading.records;
        result.record_count = reading.record_count;
        status = conceal_ids(&reading, &result, err);
    }
    if (status == KL_OK) {
        *ret = result;
        *ret_reached = reading.reached;
    }
    vault_pseudonyms_done(&reading.pseudonyms);
    return status;
}

enum kl_status vault_read_show(struct vault *vault, const struct vault_caller *caller,
                               const struct vault_read_plan *plan,
                               const struct vault_subject *subject,
                               const struct vault_read_shown *shown, size_t count,
                               struct kl_arena *arena, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct reading reading = {.vault = vault,
                              .caller = caller,
                              .policy = caller->policy,
                              .plan = plan,
                              .query = plan->query,
                              .subject = subject,
                              .arena = arena};
    size_t i;

    reading.wanted = kl_arena_array(arena, count, sizeof *reading.wanted);
    reading.wanted_for = kl_arena_array(arena, count, sizeof(struct vault_field_result *));
    if (reading.wanted == NULL || reading.wanted_for == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; status == KL_OK && i < count; i++) {
        status = decide_value(&reading, shown[i].record, shown[i].field, shown[i].result, err);
    }
    if (status == KL_OK) {
        status = open_values(&reading, err);
    }
    vault_pseudonyms_done(&reading.pseudonyms);
    return status;
}
