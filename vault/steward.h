/*
 * Who a tenant's first steward is, and how it gets another one when the last has lost the credential.
 *
 *   "VW" tenant8    beside the keys: format 1: the tenant had a steward. Whatever became of that credential, and whatever data/ is put back,
 *                   no operator makes another one through the API; a tenant's rows of credentials say the same of those they have.
 *
 * Threads: any, but for recover.
 */
#ifndef VAULT_STEWARD_H
#define VAULT_STEWARD_H

#include "vault/credentials.h"
#include "vault/vault_internal.h"

/* Whether the tenant ever had a steward. KL_ERR_IO, KL_ERR_NO_MEMORY, KL_ERR_CORRUPT "credential_damaged". */
KL_MUST_USE enum kl_status vault_steward_was(struct vault *vault, uint64_t tenant, bool *ret_was,
                                             struct kl_err *err);
/* It has one now; called when its credential is in data/, which says so as well, so that a failure is logged and nothing more. */
void vault_steward_mark(struct vault *vault, uint64_t tenant);

/*
 * Make a built-in credential that nobody asked for through the API: at the machine. action: of its entry in the tenant's trail. Errors as
 * vault_credential_make() and vault_act_commit().
 */
KL_MUST_USE enum kl_status vault_credential_at_machine(
    struct vault *vault, const struct vault_audit_who *who, enum vault_builtin builtin,
    uint64_t tenant, const char *action, struct vault_token *ret_token, struct kl_err *err);

#endif
