/*
 * Policies from outside: whatever the bytes, findings are well formed, and a policy that is taken
 * decides by the rules.
 */
#include "kluis/vault/policy.h"
#include "kluis/vault/report.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct vault_findings findings;

static void check_findings(enum kl_status status)
{
    size_t errors = 0;

    assert(findings.count <= VAULT_FINDINGS_MAX);
    for (size_t i = 0; i < findings.count; i++) {
        const struct vault_finding *item = &findings.items[i];
        errors += item->is_error;
        assert(memchr(item->code, '\0', sizeof item->code) != NULL && item->code[0] != '\0');
        assert(memchr(item->text, '\0', sizeof item->text) != NULL && item->text[0] != '\0');
    }
    assert(findings.more ? errors <= findings.errors : errors == findings.errors);
    assert((status == KL_OK) == (findings.errors == 0));
}

static void check_decision(const struct vault_policy *policy, const struct vault_query *query,
                           const struct vault_facts *facts, int field)
{
    bool passes[VAULT_GATES];
    const struct vault_decision decision = vault_policy_decide(policy, query, facts, field);
    const struct vault_decision explained =
        vault_policy_explain(policy, query, facts, field, passes);
    const bool outside =
        vault_country_is_set(query->location) && !vault_country_in_eea(query->location);

    assert(decision.withheld == explained.withheld && decision.view == explained.view);
    assert(passes[VAULT_GATE_NONE] == (decision.withheld == VAULT_GATE_NONE));
    if (decision.withheld != VAULT_GATE_NONE)
        return;
    assert(query->role != VAULT_NONE);
    assert(!outside || query->action != VAULT_ACTION_READ || decision.transfer != VAULT_NONE);
    if (decision.transfer != VAULT_NONE)
        assert(vault_policy_transfer_name(policy, decision.transfer)[0] != '\0');
}

static void decide_a_lot(const struct vault_policy *policy)
{
    static const struct vault_country places[] = {{"BE"}, {"US"}, {"GB"}, {{0}}};
    const struct vault_facts facts = {.consents = UINT64_MAX};
    struct vault_query query = {.credential_purposes = UINT64_MAX, .recipient = VAULT_NONE};

    for (int role = VAULT_NONE; role < (int)vault_policy_role_count(policy) && role < 4; role++)
        for (int purpose = VAULT_NONE;
             purpose < (int)vault_policy_purpose_count(policy) && purpose < 4; purpose++)
            for (int field = 0; field < (int)vault_policy_field_count(policy) && field < 8; field++)
                for (int round = 0; round < 8; round++) {
                    query.role = role;
                    query.purpose = purpose;
                    query.location = places[round % 4];
                    query.action = round < 4 ? VAULT_ACTION_READ : VAULT_ACTION_EXPORT;
                    query.recipient =
                        (int)vault_policy_recipient_count(policy) > round ? round : VAULT_NONE;
                    check_decision(policy, &query, &facts, field);
                }
}

/* What a person is told of it is there, and ends. */
static void tell_a_lot(const struct vault_policy *policy)
{
    struct vault_country country = {""};

    assert(vault_policy_controller(policy)->name != NULL);
    assert(vault_policy_controller(policy)->acting_as != NULL);
    for (int line = 0; line < (int)vault_policy_transfer_count(policy); line++) {
        size_t at = 0;
        while (vault_policy_transfer_country(policy, line, at, &country))
            at++;
        assert(vault_policy_transfer(policy, line).to_adequate ? at == 0 : at > 0);
    }
    for (int purpose = 0; purpose < (int)vault_policy_purpose_count(policy); purpose++)
        (void)vault_policy_portable(policy, purpose);
    assert(vault_policy_source_is_person(policy, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vault_policy *policy = NULL;
    struct vault_policy *again = NULL;
    struct kl_err err = {0};
    enum kl_status status;

    if (size > VAULT_POLICY_BYTES_MAX + 16)
        return 0;
    status = vault_policy_parse(data, size, &findings, &policy, &err);
    check_findings(status);
    assert((status == KL_OK) == (policy != NULL));
    assert(status == KL_OK || err.code[0] != '\0');
    if (policy != NULL) {
        decide_a_lot(policy);
        tell_a_lot(policy);
        assert(vault_policy_compile(data, size, &again, NULL) == KL_OK);
        vault_policy_unref(again);
    }
    vault_policy_unref(policy);
    return 0;
}
