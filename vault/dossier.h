/*
 * All that is stored about a subject, decided on field by field, opened, and
 * told to the audit trail: what the access report and the export share.
 *
 * A field is asked about for one purpose after the other; the most open answer counts, and where all say no, the one that came furthest.
 * Threads: a dossier belongs to one.
 */
#ifndef VAULT_DOSSIER_H
#define VAULT_DOSSIER_H

#include "kluis/vault/report.h"
#include "vault/subject_read.h"

/* Set by the caller, zeroed else: vault to only_provided. purposes: what to ask for, VAULT_NONE among them for "none named"; at least one. */
struct vault_dossier {
    struct vault *vault;
    const struct vault_caller *caller;
    struct kl_arena *arena;
    enum vault_action action;
    const char *act_name;
    int purposes[VAULT_PURPOSES_MAX];
    size_t purpose_count;
    bool only_provided; /* what others provided is withheld (VAULT_UNPORTABLE_SOURCE) */

    struct vault_subject subject; /* ended by vault_dossier_done() */
    struct vault_facts facts[VAULT_PURPOSES_MAX];
    uint64_t used_up;
    uint64_t charged;
    bool beyond;
    bool reached;
    struct vault_dossier_record *records;
    size_t record_count;
    struct vault_act *acts;
    size_t act_count;
    uint64_t
        transfers; /* lines of the policy that something relies on; more may be added before the acts are made */
};

/*
 * Once more for each try, until it is not KL_ERR_GONE (find the subject again): find it, decide on everything, open what is shown, set
 * ret. KL_ERR_NOT_FOUND "not_found", KL_ERR_FORBIDDEN "volume_exceeded", "withheld" (only pseudonyms may be shown), and as vault_subject_find().
 */
KL_MUST_USE enum kl_status vault_dossier_open(struct vault_dossier *dossier,
                                              const struct kl_id *subject, struct vault_told *ret,
                                              struct kl_err *err);
/*
 * For a credential of a recipient: write down what is shown, for each purpose by itself (disclosure.h); for any other nothing. After
 * vault_dossier_open(), before vault_dossier_commit(). KL_ERR_PRECONDITION "head_changed", KL_ERR_GONE: open it again.
 */
KL_MUST_USE enum kl_status vault_dossier_disclose(struct vault_dossier *dossier,
                                                  struct kl_err *err);
/* Whether another try makes sense after that status; tries zeroed at first. Ends the dossier's subject then, and clears err. */
struct vault_dossier_tries {
    unsigned gone;
    unsigned changed;
    int64_t waited_ms;
};
bool vault_dossier_again(struct vault_dossier *dossier, enum kl_status status,
                         struct vault_dossier_tries *tries, struct kl_err *err);
/*
 * Make the audit entries of what was told, and commit them: it may leave only then. Once. KL_ERR_UNAVAILABLE "audit_unavailable";
 * KL_ERR_TOO_LARGE "too_many_fields".
 */
KL_MUST_USE enum kl_status vault_dossier_commit(struct vault_dossier *dossier, struct kl_err *err);
void vault_dossier_done(struct vault_dossier *dossier);

/* ---- the ledgers beside it, for whoever may do that action. KL_ERR_FORBIDDEN "withheld", as vault_ledger_may_leave() ---- */

KL_MUST_USE enum kl_status vault_consents_show(
    struct vault *vault, const struct vault_caller *caller, enum vault_action action,
    const struct vault_subject *subject, struct kl_arena *arena, struct vault_consent_result **ret,
    size_t *ret_count, uint64_t *ret_transfers, struct kl_err *err);
KL_MUST_USE enum kl_status vault_objections_show(
    struct vault *vault, const struct vault_caller *caller, enum vault_action action,
    const struct vault_subject *subject, struct kl_arena *arena,
    struct vault_objection_result **ret, size_t *ret_count, uint64_t *ret_transfers,
    struct kl_err *err);
/* An entry of the ledger as it is shown, whoever may see it; without its evidence. Texts are the ledger's. Errors of vault_consent_id(). */
KL_MUST_USE enum kl_status vault_consent_result_of(struct vault *vault,
                                                   const struct vault_caller *caller,
                                                   const struct vault_subject *subject,
                                                   const struct vault_ledger *ledger, size_t at,
                                                   struct vault_consent_result *ret,
                                                   struct kl_err *err);
/* The same of an objection, without the grounds against it. */
void vault_objection_result_of(const struct vault_ledger_objection *objection,
                               struct vault_objection_result *ret);
/* Those that the role may report or disclose. */
KL_MUST_USE enum kl_status vault_disclosures_show(
    struct vault *vault, const struct vault_caller *caller, const struct vault_subject *subject,
    struct kl_arena *arena, struct vault_disclosure_result **ret, size_t *ret_count,
    uint64_t *ret_transfers, struct kl_err *err);

#endif
