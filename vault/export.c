/*
 * The export (GDPR art. 20).
 *
 * Which purposes count: art. 20(1)(a) names a consent under art. 6(1)(a) or 9(2)(a), and a contract under art. 6(1)(b). Point (b) has both the
 * performance of a contract and "steps at the request of the data subject prior to entering into a contract", so `precontract` is one of
 * them. A legal obligation, a vital or legitimate interest and a public task are not (recital 68; art. 20(3)). Art. 20(1)(b), processing by automated
 * means, is always so here. What is "provided" by the person: vault_policy_source_is_person().
 */
#include "vault/disclosure.h"
#include "vault/report_internal.h"

#include <assert.h>
#include <string.h>

#define ACTION_NAME "export"

bool vault_policy_portable(const struct vault_policy *policy, int purpose)
{
    const struct vault_policy_purpose *of = vault_policy_purpose(policy, purpose);

    return !of->forbidden &&
           (of->basis == VAULT_BASIS_CONSENT || of->basis == VAULT_BASIS_EXPLICIT_CONSENT ||
            of->basis == VAULT_BASIS_CONTRACT || of->basis == VAULT_BASIS_PRECONTRACT);
}

const char *vault_unportable_name(enum vault_unportable why)
{
    static const char *const names[] = {
        [VAULT_PORTABLE] = "",
        [VAULT_UNPORTABLE_BASIS] = "basis",
        [VAULT_UNPORTABLE_SOURCE] = "source",
    };

    assert((unsigned)why < sizeof names / sizeof names[0]);
    return names[why];
}

/* One, or all that are portable and that the credential is made for. */
static enum kl_status choose_purposes(struct vault_dossier *dossier, const char *name,
                                      struct kl_err *err)
{
    const struct vault_caller *caller = dossier->caller;
    const int count = (int)vault_policy_purpose_count(caller->policy);
    enum kl_status status = KL_OK;
    int only = VAULT_NONE;
    int i;

    if (name != NULL || caller->single_purpose != VAULT_NONE) {
        status = vault_purpose_resolve(caller, name, &only, err);
    }
    if (status == KL_OK && only != VAULT_NONE && !vault_policy_portable(caller->policy, only)) {
        status = kl_fail(err, KL_ERR_INVALID, "not_portable",
                         "this purpose rests neither on consent nor on a contract: the right to "
                         "portability does not reach it",
                         NULL);
    }
    for (i = 0; status == KL_OK && i < count; i++) {
        if ((only == VAULT_NONE || only == i) && vault_policy_portable(caller->policy, i) &&
            ((caller->purposes >> i) & 1) != 0) {
            dossier->purposes[dossier->purpose_count++] = i;
        }
    }
    return status;
}

enum kl_status vault_export_open(struct vault_dossier *dossier, const struct kl_id *subject,
                                 const char *purpose, struct vault_told *ret, struct kl_err *err)
{
    enum kl_status status = vault_policy_required(dossier->caller, err);
    struct vault_dossier_tries tries = {0};

    dossier->action = VAULT_ACTION_EXPORT;
    dossier->act_name = ACTION_NAME;
    dossier->only_provided = true;
    if (status == KL_OK) {
        status = choose_purposes(dossier, purpose, err);
    }
    if (status != KL_OK) {
        return status;
    }
    do {
        memset(ret, 0, sizeof *ret);
        status = vault_dossier_open(dossier, subject, ret, err);
        if (status == KL_OK) {
            status = vault_dossier_disclose(dossier, err);
        }
    } while (vault_dossier_again(dossier, status, &tries, err));
    return vault_read_met_change(status, err) ? vault_change_busy(status, err) : status;
}

enum kl_status vault_export_read(struct vault *vault, const struct vault_caller *caller,
                                 const struct kl_id *subject, const char *purpose,
                                 struct kl_arena *arena, struct vault_told *ret, struct kl_err *err)
{
    struct vault_dossier dossier = {.vault = vault, .caller = caller, .arena = arena};
    struct vault_told told;
    struct kl_err own = {0};
    enum kl_status status = KL_OK;

    err = err == NULL ? &own : err;
    status = vault_export_open(&dossier, subject, purpose, &told, err);
    if (status == KL_OK) {
        status = vault_dossier_commit(&dossier, err);
    }
    vault_dossier_done(&dossier);
    status = vault_dossier_ended(&dossier, status, err);
    if (status == KL_OK) {
        *ret = told;
    }
    return status;
}
