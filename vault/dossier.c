/* Deciding on everything that is stored about a subject, opening it, and telling the trail. */
#include "vault/dossier.h"
#include "vault/retention.h"
#include "vault/volume.h"

#include <string.h>

#define DOSSIER_TRIES 16
/* An audit entry that has come to that size gets no more groups of records: the next ones go into another. */
#define ACT_FULL_BYTES (VAULT_AUDIT_ENTRY_MAX_BYTES / 2)

/* What was decided on one field. */
struct verdict {
    struct vault_decision decision;
    int purpose;
    enum vault_unportable unportable;
};

/*
 * One record that is told: where it lies in the subject, and what decisions hang on besides its type: for which purposes its clock has run out
 * (bits), and that somebody else provided it. Its fields' verdicts, in the order of the result's.
 */
struct vault_dossier_record {
    size_t at;
    int type;
    uint64_t ended;
    bool from_others;
    struct vault_record_result *result;
    struct vault_told_field *told;
    struct verdict *verdicts;
    bool written; /* in an audit entry */
};

/* ---- what may be known of ---- */

static struct vault_query query_for(const struct vault_dossier *dossier, int purpose)
{
    struct vault_query query = vault_query_of(dossier->caller, dossier->action, purpose, VAULT_NONE,
                                              &dossier->subject.base.subject);

    query.used_up = dossier->used_up;
    return query;
}

/* Whether the role has a grant for the action on any field of that type, for whatever purpose; what is used up is a grant too. */
static bool type_visible(const struct vault_dossier *dossier, int type)
{
    const struct vault_policy *policy = dossier->caller->policy;
    const struct vault_policy_record *of = vault_policy_record(policy, type);
    struct vault_query query = query_for(dossier, VAULT_NONE);
    int field;

    query.used_up = 0;
    for (field = of->field_first; field < of->field_first + of->field_count; field++) {
        if (vault_policy_decide(policy, &query, &dossier->facts[0], field).withheld !=
            VAULT_GATE_ROLE) {
            return true;
        }
    }
    return false;
}

/* ---- deciding ---- */

static bool is_better(const struct vault_decision *one, const struct vault_decision *other)
{
    if (one->withheld != VAULT_GATE_NONE) {
        return other->withheld != VAULT_GATE_NONE && one->withheld > other->withheld;
    }
    return other->withheld != VAULT_GATE_NONE || one->view < other->view;
}

/* Half a file says nothing. */
static void close_file(const struct vault_policy *policy, int field,
                       struct vault_decision *decision)
{
    if (decision->withheld == VAULT_GATE_NONE && decision->view != VAULT_VIEW_PLAIN &&
        vault_policy_field(policy, field)->type == VAULT_TYPE_FILE) {
        decision->view = VAULT_VIEW_PRESENT;
    }
}

/* One purpose: its answer, and what it counts for. ret_charged: grants with a volume; ret_beyond: a volume alone withholds it. */
static struct vault_decision ask(const struct vault_dossier *dossier,
                                 const struct vault_dossier_record *record, size_t at, int field,
                                 uint64_t *ret_charged, bool *ret_beyond)
{
    const struct vault_policy *policy = dossier->caller->policy;
    const int purpose = dossier->purposes[at];
    struct vault_query query = query_for(dossier, purpose);
    struct vault_facts facts = dossier->facts[at];
    struct vault_decision decision;

    facts.ended = purpose == VAULT_NONE ? 0 : record->ended & (UINT64_C(1) << purpose);
    decision = vault_policy_decide(policy, &query, &facts, field);
    if (decision.withheld == VAULT_GATE_NONE) {
        *ret_charged = vault_policy_charged(policy, &query, field);
    } else if (decision.withheld == VAULT_GATE_ROLE && query.used_up != 0) {
        query.used_up = 0;
        *ret_beyond = *ret_beyond || vault_policy_decide(policy, &query, &facts, field).withheld ==
                                         VAULT_GATE_NONE;
    }
    close_file(policy, field, &decision);
    return decision;
}

static struct verdict decide(struct vault_dossier *dossier,
                             const struct vault_dossier_record *record, int field)
{
    struct verdict best = {.decision = {VAULT_GATE_ROLE, VAULT_VIEW_PRESENT, VAULT_NONE},
                           .purpose = VAULT_NONE};
    uint64_t charged = 0;
    bool asked = false;
    size_t i;

    if (field == VAULT_NONE) {
        return best;
    }
    if (dossier->only_provided && record->from_others) {
        best.unportable = VAULT_UNPORTABLE_SOURCE;
        return best;
    }
    for (i = 0; i < dossier->purpose_count; i++) {
        const int purpose = dossier->purposes[i];
        uint64_t charged_now = 0;
        struct vault_decision decision;

        if (dossier->only_provided &&
            ((vault_policy_field(dossier->caller->policy, field)->purposes >> purpose) & 1) == 0) {
            continue;
        }
        asked = true;
        decision = ask(dossier, record, i, field, &charged_now, &dossier->beyond);
        if (is_better(&decision, &best.decision) || best.purpose == VAULT_NONE) {
            best = (struct verdict){.decision = decision, .purpose = purpose};
            charged = charged_now;
        }
    }
    if (!asked) {
        best.unportable = VAULT_UNPORTABLE_BASIS;
    }
    dossier->charged |= charged;
    return best;
}

static enum kl_status decide_record(struct vault_dossier *dossier,
                                    struct vault_dossier_record *record,
                                    struct vault_record_result *result, struct kl_err *err)
{
    const struct vault_manifest_record *stored = &dossier->subject.records[record->at];
    size_t i;

    record->result = result;
    record->verdicts =
        kl_arena_array(dossier->arena, stored->field_count, sizeof *record->verdicts);
    record->told = kl_arena_array(dossier->arena, stored->field_count, sizeof *record->told);
    result->fields = kl_arena_array(dossier->arena, stored->field_count, sizeof *result->fields);
    if (record->verdicts == NULL || record->told == NULL || result->fields == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < stored->field_count; i++) {
        const struct vault_manifest_field *field = &stored->fields[i];
        const int number = vault_policy_field_of(dossier->caller->policy, stored, field);
        const struct verdict verdict = decide(dossier, record, number);
        const bool shown =
            verdict.decision.withheld == VAULT_GATE_NONE && verdict.unportable == VAULT_PORTABLE;

        record->verdicts[i] = verdict;
        record->told[i] = (struct vault_told_field){number, verdict.purpose, verdict.unportable};
        result->fields[i].name = field->name;
        result->fields[i].type = field->type;
        result->fields[i].withheld = verdict.decision.withheld;
        result->fields[i].view = verdict.decision.view;
        dossier->reached = dossier->reached || shown;
        if (shown && verdict.decision.transfer != VAULT_NONE) {
            dossier->transfers |= UINT64_C(1) << verdict.decision.transfer;
        }
    }
    result->field_count = stored->field_count;
    result->id = stored->id;
    result->type = stored->type;
    result->source = stored->source;
    result->version = stored->version;
    result->created_us = stored->created_us;
    return KL_OK;
}

/* Purposes whose clock has run out for a record. */
static uint64_t ended_of(const struct vault_dossier *dossier,
                         const struct vault_manifest_record *stored)
{
    uint64_t ended = 0;
    size_t i;

    for (i = 0; i < dossier->purpose_count; i++) {
        struct vault_query query = query_for(dossier, dossier->purposes[i]);
        struct vault_facts facts = dossier->facts[i];

        vault_retention_facts(dossier->caller->policy, &query, stored, &facts);
        ended |= facts.ended;
    }
    return ended;
}

static enum kl_status decide_all(struct vault_dossier *dossier, struct vault_told *told,
                                 struct kl_err *err)
{
    const struct vault_policy *policy = dossier->caller->policy;
    const struct vault_subject *subject = &dossier->subject;
    enum kl_status status = KL_OK;
    size_t there = 0;
    size_t i;

    dossier->record_count = 0;
    dossier->charged = 0;
    dossier->beyond = false;
    dossier->reached = false;
    dossier->transfers = 0;
    for (i = 0; status == KL_OK && i < subject->head.record_count; i++) {
        const struct vault_manifest_record *stored = &subject->records[i];
        const int type = stored->gone ? VAULT_NONE : vault_policy_record_find(policy, stored->type);
        struct vault_dossier_record *record = &dossier->records[dossier->record_count];

        there += stored->gone ? 0 : 1;
        if (type == VAULT_NONE || !type_visible(dossier, type)) {
            continue;
        }
        *record = (struct vault_dossier_record){
            .at = i,
            .type = type,
            .ended = ended_of(dossier, stored),
            .from_others = !vault_policy_source_is_person(policy, stored->source)};
        status = decide_record(dossier, record, &told->subject.records[dossier->record_count], err);
        dossier->record_count++;
    }
    told->records_not_shown = there - dossier->record_count;
    if (status == KL_OK && there > 0 && dossier->record_count == 0) {
        return vault_not_found(err);
    }
    return status;
}

static bool names_type(const struct vault_dossier *dossier, int type)
{
    size_t i;

    for (i = 0; i < dossier->record_count && dossier->records[i].type != type; i++) {
    }
    return i < dossier->record_count || dossier->record_count == 0;
}

/*
 * Where no field is shown, what is known beside them is told all the same: it counts under every grant for a field of the types that are named, or for
 * any where there is no record.
 */
static uint64_t charged_without_fields(const struct vault_dossier *dossier)
{
    const struct vault_policy *policy = dossier->caller->policy;
    const int fields = (int)vault_policy_field_count(policy);
    uint64_t charged = 0;
    size_t i;
    int field;

    for (i = 0; i < dossier->purpose_count; i++) {
        struct vault_query query = query_for(dossier, dossier->purposes[i]);

        query.used_up = 0;
        for (field = 0; field < fields; field++) {
            if (names_type(dossier, vault_policy_field(policy, field)->record)) {
                charged |= vault_policy_charged(policy, &query, field);
            }
        }
    }
    return charged;
}

static enum kl_status decide_within_volume(struct vault_dossier *dossier, struct vault_told *told,
                                           struct kl_err *err)
{
    enum kl_status status = KL_OK;
    unsigned tries = 0;

    do {
        dossier->used_up = vault_volume_used_up(dossier->vault, dossier->caller);
        status = decide_all(dossier, told, err);
        if (status != KL_OK) {
            return status;
        }
        if (dossier->beyond && !dossier->reached) {
            break;
        }
        if (!dossier->reached) {
            dossier->charged = charged_without_fields(dossier);
        }
        if (vault_volume_take(dossier->vault, dossier->caller, dossier->charged)) {
            return KL_OK;
        }
    } while (++tries < VAULT_VOLUME_TRIES);
    return vault_volume_exceeded(dossier->vault, dossier->caller, err);
}

/* ---- opening ---- */

static enum kl_status open_values(struct vault_dossier *dossier, struct kl_err *err)
{
    const struct vault_read_plan plan = {.query = query_for(dossier, dossier->purposes[0]),
                                         .type = VAULT_NONE};
    struct vault_read_shown *shown = NULL;
    size_t fields = 0;
    size_t count = 0;
    size_t i;
    size_t k;

    for (i = 0; i < dossier->record_count; i++) {
        fields += dossier->records[i].result->field_count;
    }
    shown = kl_arena_array(dossier->arena, fields, sizeof *shown);
    if (shown == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < dossier->record_count; i++) {
        const struct vault_dossier_record *record = &dossier->records[i];
        const struct vault_manifest_record *stored = &dossier->subject.records[record->at];

        for (k = 0; k < record->result->field_count; k++) {
            if (record->verdicts[k].decision.withheld == VAULT_GATE_NONE &&
                record->verdicts[k].unportable == VAULT_PORTABLE) {
                shown[count++] = (struct vault_read_shown){stored, &stored->fields[k],
                                                           &record->result->fields[k]};
            }
        }
    }
    return vault_read_show(dossier->vault, dossier->caller, &plan, &dossier->subject, shown, count,
                           dossier->arena, err);
}

static enum kl_status prepare(struct vault_dossier *dossier, struct vault_told *told,
                              struct kl_err *err)
{
    const size_t count = dossier->subject.head.record_count;
    enum kl_status status = KL_OK;
    size_t i;

    memset(told, 0, sizeof *told);
    dossier->records = kl_arena_array(dossier->arena, count, sizeof *dossier->records);
    told->subject.records = kl_arena_array(dossier->arena, count, sizeof *told->subject.records);
    told->records = kl_arena_array(dossier->arena, count, sizeof *told->records);
    if (dossier->records == NULL || told->subject.records == NULL || told->records == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; status == KL_OK && i < dossier->purpose_count; i++) {
        struct vault_query query = query_for(dossier, dossier->purposes[i]);

        status = vault_facts_of(dossier->vault, &dossier->subject, dossier->caller->policy, &query,
                                dossier->arena, &dossier->facts[i], err);
    }
    return status;
}

static void tell(const struct vault_dossier *dossier, struct vault_told *told)
{
    size_t i;

    told->policy = dossier->caller->policy;
    told->made_us = dossier->caller->now_us;
    told->subject.id = dossier->subject.base.subject;
    told->subject.residency = dossier->subject.base.residency;
    told->subject.record_count = dossier->record_count;
    for (i = 0; i < dossier->record_count; i++) {
        told->records[i].fields = dossier->records[i].told;
        told->records[i].from_others = dossier->records[i].from_others;
    }
}

/* Without any grant, the subject is looked for all the same and then not found. */
static enum kl_status let_in(struct vault_dossier *dossier, const struct kl_id *subject,
                             struct kl_err *err)
{
    struct vault_query query =
        vault_query_of(dossier->caller, dossier->action, VAULT_NONE, VAULT_NONE, subject);
    struct kl_err ignored = {0};
    uint64_t slot = 0;

    if (query.role == VAULT_NONE || !vault_policy_may(dossier->caller->policy, &query)) {
        if (vault_subject_slot(dossier->vault, dossier->caller->tenant, subject, &slot, &ignored) !=
            KL_OK) {
            kl_err_clear(&ignored);
        }
        return vault_not_found(err);
    }
    return vault_volume_is_closed(dossier->vault, dossier->caller, &query, NULL)
               ? vault_volume_exceeded(dossier->vault, dossier->caller, err)
               : KL_OK;
}

enum kl_status vault_dossier_open(struct vault_dossier *dossier, const struct kl_id *subject,
                                  struct vault_told *ret, struct kl_err *err)
{
    enum kl_status status = let_in(dossier, subject, err);

    if (status == KL_OK) {
        status = vault_subject_find(dossier->vault, dossier->caller, subject, dossier->arena,
                                    &dossier->subject, err);
    }
    if (status == KL_OK) {
        status = prepare(dossier, ret, err);
    }
    if (status == KL_OK) {
        status = decide_within_volume(dossier, ret, err);
    }
    if (status == KL_OK) {
        status = open_values(dossier, err);
    }
    if (status == KL_OK) {
        tell(dossier, ret);
    }
    return status;
}

bool vault_dossier_again(struct vault_dossier *dossier, enum kl_status status, unsigned *tries,
                         struct kl_err *err)
{
    if (status != KL_ERR_GONE || ++*tries >= DOSSIER_TRIES) {
        return false;
    }
    vault_subject_done(&dossier->subject);
    memset(&dossier->subject, 0, sizeof dossier->subject);
    kl_err_clear(err);
    return true;
}

void vault_dossier_done(struct vault_dossier *dossier)
{
    size_t i;

    for (i = 0; i < dossier->act_count; i++) {
        vault_act_done(&dossier->acts[i]);
    }
    dossier->act_count = 0;
    vault_subject_done(&dossier->subject);
    memset(&dossier->subject, 0, sizeof dossier->subject);
}

/* ---- the audit entries ---- */

static const char *left_out_name(const struct verdict *verdict)
{
    return verdict->unportable == VAULT_PORTABLE ? vault_gate_name(verdict->decision.withheld)
                                                 : vault_unportable_name(verdict->unportable);
}

static bool is_alike(const struct vault_dossier_record *one,
                     const struct vault_dossier_record *other)
{
    return one->type == other->type && one->ended == other->ended &&
           one->from_others == other->from_others;
}

/* The fields of records that are alike, each once: with view, or with what withheld it. */
static void act_fields(struct kl_json_out *out, const struct vault_dossier *dossier, int type,
                       const struct verdict *const *by_field, bool withheld)
{
    const struct vault_policy *policy = dossier->caller->policy;
    const struct vault_policy_record *of = vault_policy_record(policy, type);
    int i;

    kl_json_key(out, withheld ? "withheld" : "fields");
    kl_json_object_begin(out);
    for (i = 0; i < of->field_count; i++) {
        const struct verdict *verdict = by_field[i];

        if (verdict == NULL || withheld != (verdict->decision.withheld != VAULT_GATE_NONE ||
                                            verdict->unportable != VAULT_PORTABLE)) {
            continue;
        }
        kl_json_add_text(out, vault_policy_field(policy, of->field_first + i)->name,
                         withheld ? left_out_name(verdict)
                                  : vault_view_name(verdict->decision.view));
    }
    kl_json_object_end(out);
}

/* One group: the records alike to the first that is not written yet, by value slot. */
static void act_group(struct kl_json_out *out, const struct vault_dossier *dossier, size_t first)
{
    const struct vault_dossier_record *of = &dossier->records[first];
    const struct verdict *by_field[VAULT_FIELDS_MAX] = {NULL};
    const int field_first = vault_policy_record(dossier->caller->policy, of->type)->field_first;
    size_t i;
    size_t k;

    kl_json_object_begin(out);
    kl_json_add_text(out, "type", of->result->type);
    kl_json_key(out, "records");
    kl_json_array_begin(out);
    for (i = first; i < dossier->record_count; i++) {
        struct vault_dossier_record *record = &dossier->records[i];

        if (record->written || !is_alike(record, of)) {
            continue;
        }
        record->written = true;
        kl_json_put_int(out, (int64_t)dossier->subject.head.records[record->at].value);
        for (k = 0; k < record->result->field_count; k++) {
            if (record->told[k].field != VAULT_NONE) {
                by_field[record->told[k].field - field_first] = &record->verdicts[k];
            }
        }
    }
    kl_json_array_end(out);
    act_fields(out, dossier, of->type, by_field, false);
    act_fields(out, dossier, of->type, by_field, true);
    kl_json_object_end(out);
}

/* Names of purposes under which something is shown. */
static void act_purposes(struct kl_json_out *out, const struct vault_dossier *dossier)
{
    uint64_t purposes = 0;
    size_t i;
    size_t k;

    for (i = 0; i < dossier->record_count; i++) {
        const struct vault_dossier_record *record = &dossier->records[i];

        for (k = 0; k < record->result->field_count; k++) {
            if (record->verdicts[k].decision.withheld == VAULT_GATE_NONE &&
                record->verdicts[k].purpose != VAULT_NONE) {
                purposes |= UINT64_C(1) << record->verdicts[k].purpose;
            }
        }
    }
    kl_json_key(out, "purposes");
    kl_json_array_begin(out);
    for (; purposes != 0; purposes &= purposes - 1) {
        kl_json_put_text(
            out, vault_policy_purpose(dossier->caller->policy, __builtin_ctzll(purposes))->name);
    }
    kl_json_array_end(out);
}

static void act_begin(struct vault_dossier *dossier)
{
    struct vault_act *act = &dossier->acts[dossier->act_count++];

    vault_subject_act_begin(act, dossier->caller, dossier->act_name, dossier->subject.slot);
    if (dossier->act_count > 1) {
        kl_json_add_int(&act->out, "part", (int64_t)dossier->act_count);
    }
    act_purposes(&act->out, dossier);
    vault_subject_act_transfers(act, dossier->caller->policy, dossier->transfers);
    kl_json_key(&act->out, "shown");
    kl_json_array_begin(&act->out);
}

static enum kl_status act_end(struct vault_dossier *dossier, struct kl_err *err)
{
    struct vault_act *act = &dossier->acts[dossier->act_count - 1];
    enum kl_status status = KL_OK;

    kl_json_array_end(&act->out);
    status = vault_subject_act_end(act, err);
    if (status == KL_ERR_TOO_LARGE) {
        kl_err_clear(err);
        return kl_fail(err, status, "too_many_fields",
                       "one record type has too many fields for an audit entry", NULL);
    }
    return status;
}

static enum kl_status make_acts(struct vault_dossier *dossier, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t i;

    dossier->acts =
        kl_arena_array(dossier->arena, dossier->record_count + 1, sizeof *dossier->acts);
    if (dossier->acts == NULL) {
        return kl_fail_memory(err);
    }
    act_begin(dossier);
    for (i = 0; status == KL_OK && i < dossier->record_count; i++) {
        if (dossier->records[i].written) {
            continue;
        }
        if (dossier->acts[dossier->act_count - 1].entry.json.size > ACT_FULL_BYTES) {
            status = act_end(dossier, err);
            if (status == KL_OK) {
                act_begin(dossier);
            }
        }
        if (status == KL_OK) {
            act_group(&dossier->acts[dossier->act_count - 1].out, dossier, i);
        }
    }
    return status == KL_OK ? act_end(dossier, err) : status;
}

static void count_fields(struct vault_dossier *dossier)
{
    uint64_t shown = 0;
    uint64_t all = 0;
    size_t i;
    size_t k;

    for (i = 0; i < dossier->record_count; i++) {
        const struct vault_dossier_record *record = &dossier->records[i];

        all += record->result->field_count;
        for (k = 0; k < record->result->field_count; k++) {
            shown += record->verdicts[k].decision.withheld == VAULT_GATE_NONE &&
                             record->verdicts[k].unportable == VAULT_PORTABLE
                         ? 1
                         : 0;
        }
    }
    atomic_fetch_add_explicit(&dossier->vault->counters.fields_read, shown, memory_order_relaxed);
    atomic_fetch_add_explicit(&dossier->vault->counters.fields_withheld, all - shown,
                              memory_order_relaxed);
}

enum kl_status vault_dossier_commit(struct vault_dossier *dossier, struct kl_err *err)
{
    struct vault_audit_entry **entries = NULL;
    enum kl_status status = make_acts(dossier, err);
    size_t i;

    if (status != KL_OK) {
        return status;
    }
    entries = kl_arena_array(dossier->arena, dossier->act_count, sizeof *entries);
    if (entries == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < dossier->act_count; i++) {
        entries[i] = &dossier->acts[i].entry;
    }
    status = vault_audit_commit(dossier->vault, entries, dossier->act_count, err);
    if (status == KL_OK) {
        count_fields(dossier);
    }
    return status;
}
