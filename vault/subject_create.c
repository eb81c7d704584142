/* Making a subject: names, gates, values; then one batch and one sync. */
#include "vault/idempotency.h"
#include "vault/subject_answer.h"
#include "vault/subject_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* What is made, checked, before the first attempt. */
struct plan {
    enum vault_residency residency;
    struct vault_record_draft *records;
    size_t record_count;
    const struct vault_idempotency_ticket *ticket;
};

/* ---- checking ---- */

static enum kl_status plan_residency(struct vault *vault, const struct vault_caller *caller,
                                     const char *residency, struct plan *plan, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    plan->residency = vault_policy_residency_default(caller->policy);
    if (residency != NULL) {
        status = vault_residency_parse(residency, &plan->residency, err);
    }
    if (status == KL_OK) {
        status = vault_residency_place(plan->residency, vault->country, err);
    }
    if (status != KL_OK) {
        kl_err_where(err, "/residency");
    }
    return status;
}

static enum kl_status plan_records(struct vault *vault, const struct vault_caller *caller,
                                   const struct vault_subject_input *input, struct kl_arena *arena,
                                   struct plan *plan, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_query query =
        vault_query_of(caller, VAULT_ACTION_WRITE, VAULT_NONE, VAULT_NONE, NULL);
    struct vault_facts facts = {.residency = plan->residency};
    char where[32];
    size_t i;

    if (caller->bound || query.role == VAULT_NONE || !vault_policy_may(caller->policy, &query)) {
        return kl_fail(err, KL_ERR_FORBIDDEN, "withheld",
                       "the role of this credential may not make subjects", NULL);
    }
    if (input->record_count > VAULT_RECORDS_CREATE_MAX) {
        kl_err_where(err, "/records");
        return kl_fail(err, KL_ERR_TOO_LARGE, "too_many_records",
                       "a subject is made with at most 32 records; add others later", NULL);
    }
    plan->record_count = input->record_count;
    plan->records = kl_arena_array(arena, input->record_count, sizeof *plan->records);
    if (plan->records == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; status == KL_OK && i < input->record_count; i++) {
        (void)snprintf(where, sizeof where, "/records/%zu", i);
        status = vault_draft_record(caller, &query, &facts, &input->records[i], where, arena,
                                    &plan->records[i], err);
    }
    for (i = 0; status == KL_OK && i < input->record_count; i++) {
        (void)snprintf(where, sizeof where, "/records/%zu", i);
        status =
            vault_draft_record_secrets(vault, caller->policy, &plan->records[i], where, arena, err);
    }
    return status;
}

/* ---- making ---- */

void vault_act_drafts(struct vault_act *act, const struct vault_policy *policy,
                      const struct vault_record_draft *drafts, size_t count)
{
    bool fields[VAULT_FIELDS_MAX] = {false};
    uint64_t types = 0;
    size_t i;
    size_t k;
    int field;

    for (i = 0; i < count; i++) {
        types |= UINT64_C(1) << drafts[i].type;
        for (k = 0; k < drafts[i].field_count; k++) {
            fields[drafts[i].fields[k].field] = true;
        }
    }
    kl_json_key(&act->out, "fields");
    kl_json_object_begin(&act->out);
    for (; types != 0; types &= types - 1) {
        const struct vault_policy_record *type =
            vault_policy_record(policy, __builtin_ctzll(types));

        kl_json_key(&act->out, type->name);
        kl_json_array_begin(&act->out);
        for (field = type->field_first; field < type->field_first + type->field_count; field++) {
            if (fields[field]) {
                kl_json_put_text(&act->out, vault_policy_field(policy, field)->name);
            }
        }
        kl_json_array_end(&act->out);
    }
    kl_json_object_end(&act->out);
}

void vault_act_consents(struct vault_act *act, const struct vault_policy *policy,
                        const struct vault_record_draft *drafts, size_t count)
{
    uint64_t purposes = 0;
    size_t i;
    size_t k;

    for (i = 0; i < count; i++) {
        for (k = 0; k < drafts[i].consent_count; k++) {
            purposes |= UINT64_C(1)
                        << vault_policy_purpose_find(policy, drafts[i].consents[k].entry.purpose);
        }
    }
    if (purposes == 0) {
        return;
    }
    kl_json_key(&act->out, "consents");
    kl_json_array_begin(&act->out);
    for (; purposes != 0; purposes &= purposes - 1) {
        kl_json_put_text(&act->out, vault_policy_purpose(policy, __builtin_ctzll(purposes))->name);
    }
    kl_json_array_end(&act->out);
}

static enum kl_status make_new(struct vault_change *change, const struct plan *plan,
                               struct kl_err *err)
{
    struct vault_subject *subject = &change->subject;

    subject->tenant = change->caller->tenant;
    subject->head.epoch = change->vault->restores;
    subject->head.next_value = VAULT_VALUE_FIRST;
    subject->base.subject = kl_id_new();
    subject->base.residency = plan->residency;
    subject->base.created_us = change->caller->now_us;
    subject->base.moved_us = change->caller->now_us;
    randombytes_buf(subject->base.token_seed, sizeof subject->base.token_seed);
    return kms_slot_take(change->vault->keys, subject->tenant, 1, &subject->slot, err);
}

static enum kl_status make_records(struct vault_change *change, const struct plan *plan,
                                   struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_consent_draft *consents = NULL;
    struct vault_manifest_record *record = NULL;
    size_t count = 0;
    size_t i;

    for (i = 0; status == KL_OK && i < plan->record_count; i++) {
        status = vault_change_record_add(change, &plan->records[i], &record, err);
        count += plan->records[i].consent_count;
    }
    if (status != KL_OK || count == 0) {
        return status;
    }
    consents = kl_arena_array(change->arena, count, sizeof *consents);
    if (consents == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0, count = 0; i < plan->record_count; i++) {
        memcpy(consents + count, plan->records[i].consents,
               plan->records[i].consent_count * sizeof *consents);
        count += plan->records[i].consent_count;
    }
    return vault_change_consents_add(change, consents, count, err);
}

static enum kl_status make(struct vault_change *change, const struct plan *plan, struct kl_err *err)
{
    enum kl_status status = make_new(change, plan, err);

    if (status == KL_OK) {
        status = vault_change_base_seal(change, err);
    }
    if (status == KL_OK) {
        status = make_records(change, plan, err);
    }
    if (status == KL_OK) {
        status = vault_change_index_id(change, err);
    }
    if (status == KL_OK) {
        status = vault_answer_remember(change, plan->ticket, 0, plan->record_count, err);
    }
    if (status != KL_OK) {
        return status;
    }
    vault_subject_act_begin(&change->act, change->caller, "create", change->subject.slot);
    vault_act_drafts(&change->act, change->caller->policy, plan->records, plan->record_count);
    vault_act_consents(&change->act, change->caller->policy, plan->records, plan->record_count);
    return vault_change_commit(change, err);
}

static enum kl_status create(struct vault *vault, const struct vault_caller *caller,
                             const struct vault_subject_input *input,
                             const struct vault_idempotency_ticket *ticket, struct kl_arena *arena,
                             struct vault_subject_result *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct plan plan = {.ticket = ticket};
    struct vault_change change;
    unsigned tries = 0;
    int64_t waited_ms = 0;

    status = plan_residency(vault, caller, input->residency, &plan, err);
    if (status == KL_OK) {
        status = plan_records(vault, caller, input, arena, &plan, err);
    }
    if (status != KL_OK) {
        return status;
    }
    status = vault_change_begin(&change, vault, caller, err);
    if (status == KL_OK) {
        status = make(&change, &plan, err);
    }
    /* Nobody else has the subject; but a new index was begun, or took over, between its tags and its commit. */
    while (status == KL_ERR_PRECONDITION && vault_change_again(status, &tries, &waited_ms, err)) {
        vault_change_end(&change);
        status = vault_change_begin(&change, vault, caller, err);
        if (status == KL_OK) {
            status = make(&change, &plan, err);
        }
    }
    if (status == KL_OK) {
        status = vault_answer_result(&change.subject, 0, plan.record_count, arena, ret, err);
        atomic_fetch_add_explicit(&vault->counters.subjects_created, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&vault->counters.records_created, plan.record_count,
                                  memory_order_relaxed);
    }
    vault_change_end(&change);
    return status;
}

enum kl_status vault_subject_create(struct vault *vault, const struct vault_caller *caller,
                                    const struct vault_subject_input *input,
                                    const struct vault_idempotency *idempotency,
                                    struct kl_arena *arena, struct vault_subject_result *ret,
                                    struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_idempotency_ticket ticket = {0};
    struct vault_idempotency remembered = {0};
    struct kl_err own = {0};
    struct kl_buf answer;

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status != KL_OK) {
        return status;
    }
    kl_buf_init(&answer, VAULT_IDEMPOTENCY_ANSWER_MAX_BYTES);
    status = vault_draft_idempotency(vault, caller, input->records, input->record_count,
                                     idempotency, &remembered, err);
    if (status == KL_OK) {
        status = vault_idempotency_begin(vault, caller, &remembered, &ticket, &answer, err);
    }
    if (status == KL_OK && answer.size > 0) {
        status = vault_answer_replay(kl_buf_slice(&answer), arena, ret, err);
    } else if (status == KL_OK) {
        status = create(vault, caller, input, &ticket, arena, ret, err);
    }
    vault_idempotency_end(vault, &ticket);
    kl_buf_done(&answer);
    return vault_subject_refused(vault, caller, "create", VAULT_NONE, status, err);
}
