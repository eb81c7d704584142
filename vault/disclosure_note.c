/* A disclosure that was made elsewhere, noted. */
#include "kluis/base/encode.h"
#include "vault/aside.h"
#include "vault/disclosure.h"
#include "vault/idempotency.h"

#include <string.h>

#define CLOCK_AHEAD_US (5 * 60 * KL_TIME_SECOND_US)
#define ELSEWHERE "elsewhere"
#define ANSWER "noted"

struct noting {
    const struct vault_disclosure_input *input;
    const struct vault_idempotency_ticket *ticket;
    struct vault_read_plan plan;
    struct vault_country country; /* unset: the recipient's */
    int64_t at_us;
};

/* Every field, to the recipient, and to where it is said to have gone. */
static enum kl_status may_disclose(const struct vault_change *change, const struct noting *noting,
                                   struct kl_err *err)
{
    const struct vault_policy *policy = change->caller->policy;
    struct vault_query query = noting->plan.query;
    struct vault_facts facts;
    struct vault_decision decision;
    size_t count = vault_policy_field_count(policy);
    size_t allowed = 0;
    int refused = VAULT_NONE;
    enum vault_gate gate = VAULT_GATE_NONE;
    uint64_t ended = 0;
    size_t i;
    int pass;
    enum kl_status status =
        vault_facts_of(change->vault, &change->subject, policy, &query, change->arena, &facts, err);

    if (status == KL_OK) {
        ended = vault_ended_types(&change->subject, policy, &query, &facts);
    }
    for (pass = 0; status == KL_OK && pass < 2; pass++) {
        for (i = 0; i < count; i++) {
            if (noting->plan.wanted[i]) {
                facts.ended =
                    vault_ended_of(ended, &query, vault_policy_field(policy, (int)i)->record);
                decision = vault_policy_decide(policy, &query, &facts, (int)i);
                allowed += decision.withheld == VAULT_GATE_ROLE ? 0 : 1;
                if (decision.withheld != VAULT_GATE_NONE && refused == VAULT_NONE) {
                    refused = (int)i;
                    gate = decision.withheld;
                }
            }
        }
        if (!vault_country_is_set(noting->country)) {
            break;
        }
        query.location = noting->country;
    }
    if (status != KL_OK) {
        return status;
    }
    if (allowed == 0) {
        return vault_not_found(err);
    }
    return refused == VAULT_NONE ? KL_OK : vault_withheld(err, policy, refused, gate);
}

static enum kl_status note_text(struct vault_change *change, const char *note, uint64_t *ret_value,
                                struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (note == NULL) {
        return KL_OK;
    }
    status = vault_change_value_take(change, ret_value, err);
    return status == KL_OK ? vault_change_value_put(change, *ret_value,
                                                    kl_slice_text(VAULT_DISCLOSURE_NOTE_CONTEXT),
                                                    kl_slice_text(note), err)
                           : status;
}

static enum kl_status note_entry(struct vault_change *change, const struct noting *noting,
                                 struct vault_disclosures *ledger, struct vault_disclosure *ret,
                                 struct kl_err *err)
{
    const struct vault_policy *policy = change->caller->policy;
    const char *channel = noting->input->channel == NULL ? ELSEWHERE : noting->input->channel;
    size_t count = vault_policy_field_count(policy);
    size_t i;
    enum kl_status status = vault_disclosure_entry_begin(
        ledger, change->arena, policy, &noting->plan.query, channel, noting->at_us, ret, err);

    if (vault_country_is_set(noting->country)) {
        ret->country = noting->country;
    }
    for (i = 0; status == KL_OK && i < count; i++) {
        const struct vault_policy_field *field = vault_policy_field(policy, (int)i);

        if (noting->plan.wanted[i]) {
            status = vault_disclosure_entry_field(ledger, change->arena,
                                                  vault_policy_record(policy, field->record)->name,
                                                  field->name, ret, err);
        }
    }
    return status == KL_OK ? note_text(change, noting->input->note, &ret->note, err) : status;
}

/* What the trail says: as of a read, without whether there is a note. */
static void note_act(struct vault_change *change, const struct noting *noting)
{
    const struct vault_policy *policy = change->caller->policy;
    struct kl_json_out *out = &change->act.out;
    size_t count = vault_policy_field_count(policy);
    char name[VAULT_FIELD_NAME_BYTES];
    size_t i;

    vault_subject_act_begin(&change->act, change->caller, "disclose", change->subject.slot);
    kl_json_add_text(out, "purpose",
                     vault_policy_purpose(policy, noting->plan.query.purpose)->name);
    kl_json_add_text(out, "recipient",
                     vault_policy_recipient(policy, noting->plan.query.recipient)->name);
    if (vault_country_is_set(noting->country)) {
        kl_json_add_text(out, "country", noting->country.code);
    }
    kl_json_add_time(out, "disclosed_at", noting->at_us);
    kl_json_key(out, "fields");
    kl_json_array_begin(out);
    for (i = 0; i < count; i++) {
        if (noting->plan.wanted[i]) {
            const struct vault_policy_field *field = vault_policy_field(policy, (int)i);

            vault_field_name(vault_policy_record(policy, field->record)->name, field->name, name);
            kl_json_put_text(out, name);
        }
    }
    kl_json_array_end(out);
}

static enum kl_status note_body(struct vault_change *change, void *context, struct kl_err *err)
{
    const struct noting *noting = context;
    struct vault_disclosures ledger = {0};
    struct vault_disclosure entry;
    uint64_t value = KMS_VALUE_NONE;
    enum kl_status status = may_disclose(change, noting, err);

    if (status == KL_OK) {
        status = vault_disclosures_load(change->vault, &change->subject, change->arena, &ledger,
                                        &value, err);
    }
    if (status == KL_OK) {
        status = note_entry(change, noting, &ledger, &entry, err);
    }
    if (status == KL_OK) {
        status = vault_disclosures_add(&ledger, change->arena, &entry, err);
    }
    if (status == KL_OK) {
        status = vault_disclosures_put(change, &ledger, value, err);
    }
    if (status == KL_OK && noting->ticket->held) {
        status = vault_idempotency_remember(change->vault, change->caller, noting->ticket,
                                            change->subject.slot, VAULT_VALUE_BASE,
                                            kl_slice_text(ANSWER), change->batch, err);
    }
    if (status == KL_OK) {
        note_act(change, noting);
    }
    return status;
}

static enum kl_status invalid(struct kl_err *err, const char *member, const char *code,
                              const char *text)
{
    kl_err_where(err, "/%s", member);
    return kl_fail(err, KL_ERR_INVALID, code, text, NULL);
}

static enum kl_status check_note(const char *note, struct kl_err *err)
{
    size_t size = note == NULL ? 0 : strnlen(note, VAULT_DISCLOSURE_NOTE_MAX_BYTES + 1);

    if (size > VAULT_DISCLOSURE_NOTE_MAX_BYTES) {
        kl_err_where(err, "/note");
        return kl_fail(err, KL_ERR_TOO_LARGE, "value_too_large", "a note is at most 2048 bytes",
                       NULL);
    }
    return note != NULL && !kl_utf8_valid(note, size)
               ? invalid(err, "note", "invalid_value", "a note is well-formed UTF-8")
               : KL_OK;
}

/* Everything about the input that needs no subject. */
static enum kl_status check_input(const struct vault_caller *caller,
                                  const struct vault_disclosure_input *input, struct noting *noting,
                                  struct kl_err *err)
{
    enum kl_status status = check_note(input->note, err);

    if (status != KL_OK) {
        return status;
    }
    if (input->recipient == NULL && !caller->is_recipient) {
        return invalid(err, "recipient", "missing_key", "say who received it");
    }
    if (input->field_count == 0) {
        return invalid(err, "fields", "missing_key", "say which fields were disclosed");
    }
    if (input->channel != NULL && !vault_draft_word_valid(input->channel)) {
        return invalid(err, "channel", "invalid_name",
                       "a channel is a name of at most 64 characters A-Z, a-z, 0-9, dot, - and _");
    }
    noting->at_us = input->at_us == 0 ? caller->now_us : input->at_us;
    if (noting->at_us < 0 || noting->at_us > caller->now_us + CLOCK_AHEAD_US) {
        return invalid(err, "at", "invalid_time",
                       "what was disclosed was disclosed before now, and after 1970");
    }
    if (input->country != NULL) {
        status = vault_country_parse(input->country, strlen(input->country), &noting->country, err);
        if (status != KL_OK) {
            kl_err_where(err, "/country");
        }
    }
    return status;
}

static enum kl_status note_asked(struct vault *vault, const struct vault_caller *caller,
                                 const struct kl_id *subject, struct noting *noting,
                                 struct kl_err *err)
{
    const struct vault_read_input what = {.purpose = noting->input->purpose,
                                          .recipient = noting->input->recipient,
                                          .fields = noting->input->fields,
                                          .field_count = noting->input->field_count};
    enum kl_status status = check_input(caller, noting->input, noting, err);

    if (status == KL_OK) {
        status = vault_read_plan_make(caller, &what, VAULT_NONE, subject, &noting->plan, err);
    }
    if (status != KL_OK) {
        return status;
    }
    noting->plan.query.action = VAULT_ACTION_DISCLOSE;
    return vault_role_allows(caller, &noting->plan.query)
               ? vault_subject_change(vault, caller, subject, note_body, noting, err)
               : vault_not_found(err);
}

enum kl_status vault_disclosure_note(struct vault *vault, const struct vault_caller *caller,
                                     const struct kl_id *subject,
                                     const struct vault_disclosure_input *input,
                                     const struct vault_idempotency *idempotency,
                                     bool *ret_replayed, struct kl_err *err)
{
    struct vault_idempotency_ticket ticket = {0};
    struct noting noting = {
        .input = input, .ticket = &ticket, .plan = {.query = {.purpose = VAULT_NONE}}};
    struct kl_err own = {0};
    struct kl_buf answer;
    enum kl_status status = KL_OK;
    bool replayed = false;

    err = err == NULL ? &own : err;
    kl_buf_init(&answer, VAULT_IDEMPOTENCY_ANSWER_MAX_BYTES);
    status = vault_policy_required(caller, err);
    if (status == KL_OK) {
        status = vault_idempotency_begin(vault, caller, idempotency, &ticket, &answer, err);
        replayed = answer.size > 0;
    }
    if (status == KL_OK && !replayed) {
        status = note_asked(vault, caller, subject, &noting, err);
    }
    vault_idempotency_end(vault, &ticket);
    kl_buf_done(&answer);
    if (status == KL_OK) {
        *ret_replayed = replayed;
    }
    return vault_subject_refused(vault, caller, "disclose", noting.plan.query.purpose, status, err);
}
