/*
 * Acts of administration: who may do them, and their entries in the audit
 * trail. An operator's trail is the vault's own tenant.
 */
#ifndef VAULT_ACT_H
#define VAULT_ACT_H

#include "kluis/base/json.h"
#include "kluis/base/status.h"
#include "vault/audit.h"
#include "vault/vault_internal.h"

#include <stdbool.h>
#include <stdint.h>

/* Who may: bits for vault_act_allowed(). */
#define VAULT_MAY_OPERATOR 1u
#define VAULT_MAY_STEWARD 2u
#define VAULT_MAY_AUDITOR 4u

/* The trail in which a caller's acts are written. */
uint64_t vault_act_trail(const struct vault_caller *caller);

/*
 * KL_OK when the caller's built-in role is among allowed. Else the attempt is written to the audit trail and refused with KL_ERR_FORBIDDEN
 * "role_forbidden". KL_ERR_UNAVAILABLE "audit_unavailable".
 */
KL_MUST_USE enum kl_status vault_act_allowed(struct vault *vault, const struct vault_caller *caller,
                                             unsigned allowed, const char *action,
                                             struct kl_err *err);
/*
 * Whose trail a caller may look into and review: a steward's or auditor's is their tenant's, an operator's who names no tenant the vault's
 * own: what happens in a tenant is not the operator's to see. Refuses as above.
 */
KL_MUST_USE enum kl_status vault_act_own_trail(struct vault *vault,
                                               const struct vault_caller *caller,
                                               const char *action, uint64_t *ret_trail,
                                               struct kl_err *err);
/*
 * As vault_act_own_trail(), for what shows entries of a trail: they go to a credential that declares a place outside the EEA only where the vault itself is outside,
 * or by a transfer of the tenant's policy that lets everything go there (place.h); of the vault's own trail: of every tenant's policy. ret_line: that
 * transfer, for the entry (vault_act_transfer()); VAULT_NONE: none is needed, or it is not one policy's. Refuses also with KL_ERR_FORBIDDEN "transfer".
 */
KL_MUST_USE enum kl_status vault_act_shown_trail(struct vault *vault,
                                                 const struct vault_caller *caller,
                                                 const char *action, uint64_t *ret_trail,
                                                 int *ret_line, struct kl_err *err);
/* Refuse for another reason than the built-in role alone: writes the attempt, returns as vault_act_allowed(). */
KL_MUST_USE enum kl_status vault_act_refuse(struct vault *vault, const struct vault_caller *caller,
                                            const char *action, struct kl_err *err);
/* Refuse for any cause: writes the attempt with the cause's code, returns the cause. KL_ERR_UNAVAILABLE "audit_unavailable". */
KL_MUST_USE enum kl_status vault_act_refused(struct vault *vault, const struct vault_caller *caller,
                                             const char *action, const struct kl_err *cause,
                                             struct kl_err *err);

/* An entry being written: begin, add members through out, commit; done in every case. Must not be moved. */
struct vault_closing;
struct vault_act {
    struct vault_audit_entry entry;
    struct kl_json_out out;
};
void vault_act_begin(struct vault_act *act, uint64_t trail, const struct vault_audit_who *who,
                     const char *action);
void vault_act_done(struct vault_act *act);
/* Which transfer of the caller's policy lets it leave the EEA; nothing for VAULT_NONE. */
void vault_act_transfer(struct vault_act *act, const struct vault_caller *caller, int line);
/*
 * Close the entries with "result":"ok" and commit them with batch (NULL: none), synced. Counts them.
 * closing: what the act closes, in the journal already; NULL: nothing. KL_ERR_UNAVAILABLE "audit_unavailable": nothing was written.
 */
KL_MUST_USE enum kl_status vault_act_commit_closing(struct vault *vault,
                                                    struct vault_act *const *acts, size_t count,
                                                    const struct vault_batch *batch,
                                                    struct vault_closing *closing,
                                                    struct kl_err *err);
KL_MUST_USE enum kl_status vault_act_commit(struct vault *vault, struct vault_act *const *acts,
                                            size_t count, const struct vault_batch *batch,
                                            struct kl_err *err);

#endif
