/* Changing a subject's residency tag. */
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

static enum kl_status move_body(struct vault_change *change, void *context, struct kl_err *err)
{
    const enum vault_residency *to = context;
    struct vault_subject *subject = &change->subject;
    enum kl_status status =
        vault_subject_allowed(change->caller, VAULT_ACTION_WRITE, subject, VAULT_NONE, err);

    if (status == KL_OK) {
        status = lift_allowed(change->caller, subject, *to, err);
    }
    if (status == KL_OK) {
        status = vault_residency_place(*to, change->vault->country, err);
    }
    if (status != KL_OK) {
        return status;
    }
    vault_subject_act_begin(&change->act, change->caller, "move", subject->slot);
    kl_json_add_text(&change->act.out, "from", vault_residency_name(subject->base.residency));
    kl_json_add_text(&change->act.out, "to", vault_residency_name(*to));
    subject->base.residency = *to;
    return vault_change_base_seal(change, err);
}

enum kl_status vault_subject_move(struct vault *vault, const struct vault_caller *caller,
                                  const struct kl_id *subject, const char *residency,
                                  struct kl_err *err)
{
    enum kl_status status = KL_OK;
    enum vault_residency to = VAULT_RESIDENCY_EEA;
    struct vault_query query =
        vault_query_of(caller, VAULT_ACTION_WRITE, VAULT_NONE, VAULT_NONE, subject);
    struct kl_err own = {0};

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status == KL_OK) {
        status = vault_residency_parse(residency, &to, err);
    }
    if (status != KL_OK) {
        kl_err_where(err, "/residency");
        return status;
    }
    if (query.role == VAULT_NONE || !vault_policy_may(caller->policy, &query)) {
        status = vault_not_found(err);
    } else {
        status = vault_subject_change(vault, caller, subject, move_body, &to, err);
    }
    return vault_subject_refused(vault, caller, "move", VAULT_NONE, status, err);
}
