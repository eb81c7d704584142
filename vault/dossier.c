/* Deciding on everything that is stored about a subject, and opening it. */
#include "vault/disclosure.h"
#include "vault/dossier_internal.h"
#include "vault/retention.h"
#include "vault/volume.h"

#include <string.h>

#define DOSSIER_TRIES 16

/* ---- what may be known of ---- */

struct vault_query vault_dossier_query(const struct vault_dossier *dossier, int purpose)
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
    struct vault_query query = vault_dossier_query(dossier, VAULT_NONE);
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
    struct vault_query query = vault_dossier_query(dossier, purpose);
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

static struct vault_verdict decide(struct vault_dossier *dossier,
                                   const struct vault_dossier_record *record, int field)
{
    struct vault_verdict best = {.decision = {VAULT_GATE_ROLE, VAULT_VIEW_PRESENT, VAULT_NONE},
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
            best = (struct vault_verdict){.decision = decision, .purpose = purpose};
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
        const struct vault_verdict verdict = decide(dossier, record, number);
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
        struct vault_query query = vault_dossier_query(dossier, dossier->purposes[i]);
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

/* ---- ids ---- */

/* Whether a read for one of the purposes would show ids as pseudonyms, and nothing is shown more openly than that. */
static bool is_pseudonymous(const struct vault_dossier *dossier)
{
    const struct vault_policy *policy = dossier->caller->policy;
    bool pseudonymous = false;
    size_t i;
    size_t k;

    for (i = 0; i < dossier->record_count; i++) {
        for (k = 0; k < dossier->records[i].result->field_count; k++) {
            const struct vault_verdict *verdict = &dossier->records[i].verdicts[k];

            if (verdict->decision.withheld == VAULT_GATE_NONE &&
                verdict->unportable == VAULT_PORTABLE &&
                verdict->decision.view < VAULT_VIEW_TOKEN) {
                return false;
            }
        }
    }
    for (i = 0; !pseudonymous && i < dossier->purpose_count; i++) {
        struct vault_query query = vault_dossier_query(dossier, dossier->purposes[i]);

        pseudonymous =
            vault_policy_is_pseudonymous(policy, &query, dossier->subject.base.residency);
    }
    return pseudonymous;
}

/* A document is about somebody by their ids, with sources and times beside: there is none of a pseudonym. */
static enum kl_status check_ids(const struct vault_dossier *dossier, struct kl_err *err)
{
    return is_pseudonymous(dossier)
               ? kl_failf(err, KL_ERR_FORBIDDEN, "withheld",
                          "only pseudonyms may be shown here: the %s is withheld by the gate %s",
                          dossier->act_name,
                          vault_gate_name(dossier->transfers == 0 ? VAULT_GATE_ROLE
                                                                  : VAULT_GATE_TRANSFER))
               : KL_OK;
}

/* ---- volume ---- */

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
        struct vault_query query = vault_dossier_query(dossier, dossier->purposes[i]);

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
        if (status == KL_OK) {
            status = check_ids(dossier, err);
        }
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
    const struct vault_read_plan plan = {
        .query = vault_dossier_query(dossier, dossier->purposes[0]), .type = VAULT_NONE};
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
        struct vault_query query = vault_dossier_query(dossier, dossier->purposes[i]);

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

bool vault_dossier_again(struct vault_dossier *dossier, enum kl_status status,
                         struct vault_dossier_tries *tries, struct kl_err *err)
{
    bool again = vault_read_met_change(status, err)
                     ? vault_change_again(status, &tries->changed, &tries->waited_ms, err)
                     : status == KL_ERR_GONE && ++tries->gone < DOSSIER_TRIES;

    if (!again) {
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
