/* Changing a subject's residency tag. */
#include "vault/journal.h"
#include "vault/subject_internal.h"

/* Without the tag nothing keeps the data in the EEA any more, so it is not taken off from outside. */
static enum kl_status lift_allowed(const struct vault_caller *caller,
                                   const struct vault_subject *subject, enum vault_residency to,
                                   struct kl_err *err)
{
    if (subject->base.residency == VAULT_RESIDENCY_EEA && to != VAULT_RESIDENCY_EEA &&
        vault_country_is_set(caller->location) && !vault_country_in_eea(caller->location)) {
        return kl_fail(err, KL_ERR_FORBIDDEN, "residency",
                       "the tag EEA is not taken off from outside the EEA", NULL);
    }
    return KL_OK;
}

struct moving {
    enum vault_residency to;
    struct vault_closing closing;
};

/* No older data/ takes the tag off again. */
static enum kl_status close_residency(struct vault_change *change, struct vault_closing *closing,
                                      struct kl_err *err)
{
    closing->kind = VAULT_CLOSING_RESIDENCY;
    closing->tenant = change->subject.tenant;
    closing->slot = change->subject.slot;
    closing->at_us = change->caller->now_us;
    closing->entries = ++change->subject.base.moves;
    change->closing = closing;
    return vault_journal_write(change->vault, closing, err);
}

static enum kl_status move_body(struct vault_change *change, void *context, struct kl_err *err)
{
    struct moving *moving = context;
    struct vault_subject *subject = &change->subject;
    enum kl_status status =
        vault_subject_allowed(change->caller, VAULT_ACTION_WRITE, subject, VAULT_NONE, err);

    if (status == KL_OK) {
        status = lift_allowed(change->caller, subject, moving->to, err);
    }
    if (status == KL_OK) {
        status = vault_residency_place(moving->to, change->vault->country, err);
    }
    if (status != KL_OK) {
        return status;
    }
    vault_subject_act_begin(&change->act, change->caller, "move", subject->slot);
    kl_json_add_text(&change->act.out, "from", vault_residency_name(subject->base.residency));
    kl_json_add_text(&change->act.out, "to", vault_residency_name(moving->to));
    if (moving->to == VAULT_RESIDENCY_EEA && subject->base.residency != VAULT_RESIDENCY_EEA) {
        status = close_residency(change, &moving->closing, err);
    }
    subject->base.residency = moving->to;
    subject->base.moved_us = change->caller->now_us;
    return status == KL_OK ? vault_change_base_seal(change, err) : status;
}

enum kl_status vault_subject_move(struct vault *vault, const struct vault_caller *caller,
                                  const struct kl_id *subject, const char *residency,
                                  struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct moving moving = {.to = VAULT_RESIDENCY_EEA};
    struct vault_query query =
        vault_query_of(caller, VAULT_ACTION_WRITE, VAULT_NONE, VAULT_NONE, subject);
    struct kl_err own = {0};

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status == KL_OK) {
        status = vault_residency_parse(residency, &moving.to, err);
    }
    if (status != KL_OK) {
        kl_err_where(err, "/residency");
        return status;
    }
    if (query.role == VAULT_NONE || !vault_policy_may(caller->policy, &query)) {
        status = vault_not_found(err);
    } else {
        status = vault_subject_change(vault, caller, subject, move_body, &moving, err);
    }
    vault_journal_end(vault, &moving.closing);
    return vault_subject_refused(vault, caller, "move", VAULT_NONE, status, err);
}
