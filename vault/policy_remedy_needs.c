/* What no change of a policy can do: people consent, object and restrict. */
#include "vault/policy_remedy_internal.h"

#include <stdio.h>
#include <string.h>

static enum kl_status need(struct vault_remedy *remedy, struct vault_explain_result *ret,
                           const char *code, const char *detail, struct kl_err *err)
{
    struct vault_explain_need *add = &ret->must_happen[ret->must_happen_count];

    add->code = code;
    add->detail = kl_arena_text(remedy->arena, detail, strlen(detail));
    if (add->detail == NULL)
        return kl_fail_memory(err);
    ret->must_happen_count++;
    return KL_OK;
}

static bool rests_on_consent(const struct remedy_state *state, int purpose)
{
    const enum vault_basis basis = state->policy->purposes[purpose].shown.basis;

    return basis == VAULT_BASIS_CONSENT || basis == VAULT_BASIS_EXPLICIT_CONSENT;
}

static bool asks_explicit(const struct remedy_state *state, int purpose)
{
    const struct policy_purpose *of = &state->policy->purposes[purpose];

    return of->shown.basis == VAULT_BASIS_EXPLICIT_CONSENT ||
           (state->policy->fields[state->field].special != NULL &&
            of->shown.special_ground == NULL);
}

/* The recipient's own consent; as if it were given from here on. */
static enum kl_status need_named_consent(struct vault_remedy *remedy, struct remedy_state *base,
                                         struct vault_explain_result *ret, struct kl_err *err)
{
    const int recipient = base->query.recipient;
    const int purpose = recipient == VAULT_NONE
                            ? VAULT_NONE
                            : base->policy->recipients[recipient].shown.consent_purpose;
    const bool is_explicit = purpose != VAULT_NONE && asks_explicit(base, purpose);
    char detail[KL_ERR_TEXT_BYTES];

    if (purpose == VAULT_NONE || policy_bit(is_explicit ? base->facts.recipient_explicit_consents
                                                        : base->facts.recipient_consents,
                                            purpose))
        return KL_OK;
    (void)snprintf(detail, sizeof detail, "the person consents%s to %s, for %s by name",
                   is_explicit ? " explicitly" : "", base->policy->purpose_names[purpose],
                   base->policy->recipient_names[recipient]);
    base->facts.recipient_consents |= UINT64_C(1) << purpose;
    base->facts.recipient_explicit_consents |= UINT64_C(1) << purpose;
    return need(remedy, ret, "consent_given", detail, err);
}

/* The purpose's; what is of a special category, and rests on another basis, is the policy's matter. */
static enum kl_status need_consent(struct vault_remedy *remedy, struct remedy_state *base,
                                   struct vault_explain_result *ret, struct kl_err *err)
{
    const int purpose = base->query.purpose;
    const bool is_explicit = asks_explicit(base, purpose);
    const uint64_t named = base->query.recipient == VAULT_NONE ? 0 : POLICY_ALL;
    char detail[KL_ERR_TEXT_BYTES];

    if (!rests_on_consent(base, purpose) ||
        policy_bit(is_explicit ? base->facts.explicit_consents |
                                     (base->facts.recipient_explicit_consents & named)
                               : base->facts.consents | (base->facts.recipient_consents & named),
                   purpose))
        return KL_OK;
    (void)snprintf(detail, sizeof detail, "the person consents%s to %s",
                   is_explicit ? " explicitly" : "", base->policy->purpose_names[purpose]);
    base->facts.consents |= UINT64_C(1) << purpose;
    base->facts.explicit_consents |= UINT64_C(1) << purpose;
    return need(remedy, ret, "consent_given", detail, err);
}

static enum kl_status need_no_objection(struct vault_remedy *remedy, struct remedy_state *base,
                                        struct vault_explain_result *ret, struct kl_err *err)
{
    const int purpose = base->query.purpose;
    char detail[KL_ERR_TEXT_BYTES];
    bool absolute;

    if (base->passes[VAULT_GATE_OBJECTION])
        return KL_OK;
    absolute = base->policy->purposes[purpose].shown.direct_marketing;
    if (!absolute && base->query.ground == VAULT_GROUND_LEGAL_CLAIM)
        return KL_OK;
    (void)snprintf(detail, sizeof detail, "the person takes the objection to %s back%s",
                   base->policy->purpose_names[purpose],
                   absolute ? "" : ", or compelling grounds against it are recorded");
    base->facts.objections = 0;
    return need(remedy, ret, "objection_ended", detail, err);
}

static enum kl_status need_no_restriction(struct vault_remedy *remedy, struct remedy_state *base,
                                          struct vault_explain_result *ret, struct kl_err *err)
{
    if (base->passes[VAULT_GATE_RESTRICTION] || base->query.ground != VAULT_GROUND_NONE)
        return KL_OK;
    base->facts.restricted = false;
    return need(remedy, ret, "restriction_lifted",
                "the restriction is lifted, the person consents to this use since it began, or a "
                "ground is claimed that the role may claim",
                err);
}

enum kl_status vault_remedy_needs(struct vault_remedy *remedy, struct remedy_state *base,
                                  struct vault_explain_result *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (base->query.purpose == VAULT_NONE && !base->passes[VAULT_GATE_PURPOSE])
        return need(remedy, ret, "purpose_named", "whoever asks says for which purpose", err);
    if ((POLICY_USES & (1u << base->query.action)) == 0 || base->query.purpose == VAULT_NONE)
        return KL_OK;
    status = need_named_consent(remedy, base, ret, err);
    if (status == KL_OK && !base->policy->purposes[base->query.purpose].shown.forbidden)
        status = need_consent(remedy, base, ret, err);
    if (status == KL_OK)
        status = need_no_objection(remedy, base, ret, err);
    if (status == KL_OK)
        status = need_no_restriction(remedy, base, ret, err);
    vault_remedy_decide(base);
    return status;
}
