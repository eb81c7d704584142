/*
 * The tenants of an open vault, in memory. A tenant's struct never moves and
 * stays until the vault is closed; its name, number and time of making never
 * change, so they are read without a lock.
 * Threads: any, but for load and done.
 */
#ifndef VAULT_TENANTS_H
#define VAULT_TENANTS_H

#include "kluis/base/status.h"
#include "vault/vault_internal.h"

#include <stdbool.h>
#include <stdint.h>

#define VAULT_STORE_NAME "main"

/* [a-z0-9][a-z0-9-]*, at most VAULT_TENANT_NAME_MAX_BYTES. */
bool vault_tenant_name_valid(const char *name);

/* Read all tenants and the policies in force; what does not compile is logged and leaves its tenant without one. KL_ERR_CORRUPT "tenant_damaged". */
KL_MUST_USE enum kl_status vault_tenants_load(struct vault *vault, struct kl_err *err);
void vault_tenants_done(struct vault_tenants *tenants);

/* NULL: there is none. */
struct vault_tenant *vault_tenants_find(struct vault *vault, const char *name);
struct vault_tenant *vault_tenants_by_number(struct vault *vault, uint64_t number);

/* A counted reference to the policy in force (NULL: none) and its number; ends with vault_policy_unref(). */
struct vault_policy *vault_tenant_policy(struct vault *vault, const struct vault_tenant *tenant,
                                         uint64_t *ret_number);
/* Put a policy in force; takes over the caller's reference. */
void vault_tenant_policy_swap(struct vault *vault, struct vault_tenant *tenant,
                              struct vault_policy *policy, uint64_t number, bool accept_unenforced);

/*
 * Make a tenant, with its row and audit entry: vault_tenant_put() after its checks, and init. KL_ERR_TOO_LARGE "too_many_tenants".
 * grace: "" for none.
 */
KL_MUST_USE enum kl_status vault_tenant_make(struct vault *vault, const struct vault_audit_who *who,
                                             const char *name, const char *grace,
                                             struct vault_tenant **ret_tenant, struct kl_err *err);

/* Wait for one's turn among the changes of tenants, policies and credentials; give it back. */
void vault_turn_take(struct vault_turn *turn);
void vault_turn_give(struct vault_turn *turn);

/*
 * The stored policy in force of a tenant, compiled (policy_store.c). KL_ERR_NOT_FOUND "no_policy". KL_ERR_INVALID, KL_ERR_CORRUPT
 * "policy_damaged": there is one, ret_number says which, that does not compile or read any more.
 */
KL_MUST_USE enum kl_status vault_policy_load(struct vault *vault, uint64_t tenant,
                                             struct vault_policy **ret_policy, uint64_t *ret_number,
                                             bool *ret_accept_unenforced, struct kl_err *err);

#endif
