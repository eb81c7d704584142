/*
 * The tenants of an open vault, in memory. A tenant's struct never moves and
 * stays until the vault is closed, also when the tenant has come to its end;
 * its name, number and time of making never change, so they are read without
 * a lock.
 * Threads: any, but for load and done.
 */
#ifndef VAULT_TENANTS_H
#define VAULT_TENANTS_H

#include "kluis/base/status.h"
#include "vault/vault_internal.h"

#include <stdbool.h>
#include <stdint.h>

/* [a-z0-9][a-z0-9-]*, at most VAULT_TENANT_NAME_MAX_BYTES. */
bool vault_tenant_name_valid(const char *name);

/* Read all tenants and the policies in force; what does not compile is logged and leaves its tenant without one. KL_ERR_CORRUPT "tenant_damaged". */
KL_MUST_USE enum kl_status vault_tenants_load(struct vault *vault, struct kl_err *err);
void vault_tenants_done(struct vault_tenants *tenants);

/* NULL: there is none. */
struct vault_tenant *vault_tenants_find(struct vault *vault, const char *name);
struct vault_tenant *vault_tenants_by_number(struct vault *vault, uint64_t number);
/* The one with the lowest number above that one: whoever goes over all tenants so, from KMS_TENANT_VAULT, misses none though others end meanwhile. */
struct vault_tenant *vault_tenants_next(struct vault *vault, uint64_t above);
/* The first tenant with at least that number, and how far it is among all (0..1). False: there is none. */
bool vault_tenants_from(struct vault *vault, uint64_t number, uint64_t *ret_number,
                        double *ret_share);

/* A counted reference to the policy in force (NULL: none) and its number; ends with vault_policy_unref(). */
struct vault_policy *vault_tenant_policy(struct vault *vault, const struct vault_tenant *tenant,
                                         uint64_t *ret_number);
/* Put a policy in force; takes over the caller's reference. */
void vault_tenant_policy_swap(struct vault *vault, struct vault_tenant *tenant,
                              struct vault_policy *policy, uint64_t number);

/* What of a tenant's row may change. ends_us 0: it was not ended, and ended_by says nothing. */
struct vault_tenant_terms {
    char grace[24];
    int64_t ends_us;
    struct kl_id ended_by;
};
/* Write the row of a tenant as terms say, with its entry in the vault's trail; nothing changes in memory. The turn is held. */
KL_MUST_USE enum kl_status vault_tenant_store(struct vault *vault,
                                              const struct vault_audit_who *who,
                                              const struct vault_tenant *tenant,
                                              const struct vault_tenant_terms *terms,
                                              const char *action, struct kl_err *err);
/* Its keys are gone: nobody finds it any more. No such tenant: nothing. */
void vault_tenants_drop(struct vault *vault, uint64_t number);

/*
 * Make a tenant, with its row and audit entry: vault_tenant_put() after its checks, and init. KL_ERR_TOO_LARGE "too_many_tenants".
 * grace: "" for none.
 */
KL_MUST_USE enum kl_status vault_tenant_make(struct vault *vault, const struct vault_audit_who *who,
                                             const char *name, const char *grace,
                                             struct vault_tenant **ret_tenant, struct kl_err *err);

bool vault_turn_init(struct vault_turn *turn); /* false: nothing was made */
void vault_turn_done(struct vault_turn *turn);
/* Wait for one's turn among the changes of tenants, policies and credentials; give it back. */
void vault_turn_take(struct vault_turn *turn);
void vault_turn_give(struct vault_turn *turn);

/*
 * The stored policy in force of a tenant, compiled (policy_store.c). KL_ERR_NOT_FOUND "no_policy". KL_ERR_INVALID, KL_ERR_CORRUPT
 * "policy_damaged": there is one, ret_number says which, that does not compile or read any more.
 */
KL_MUST_USE enum kl_status vault_policy_load(struct vault *vault, uint64_t tenant,
                                             struct vault_policy **ret_policy, uint64_t *ret_number,
                                             struct kl_err *err);

/* One that was in force at some time, by its number, likewise; and when it was put in force. KL_ERR_CORRUPT "policy_damaged": there is none of that number, or it is damaged. */
KL_MUST_USE enum kl_status vault_policy_load_number(struct vault *vault, uint64_t tenant,
                                                    uint64_t number,
                                                    struct vault_policy **ret_policy,
                                                    int64_t *ret_applied_us, struct kl_err *err);
/* The text of a policy that was applied, by its number: appended. KL_ERR_CORRUPT "policy_damaged": also when there is none of that number. */
KL_MUST_USE enum kl_status vault_policy_text_read(struct vault *vault, uint64_t tenant,
                                                  uint64_t number, struct kl_buf *ret_yaml,
                                                  struct kl_err *err);

/*
 * Put a policy in force whose row was kept elsewhere, if it is newer than the one in force (ret_newer): into batch. KL_ERR_CORRUPT
 * "policy_damaged" the row's seal does not hold.
 */
struct vault_batch;
KL_MUST_USE enum kl_status vault_policy_put_back(struct vault *vault, uint64_t tenant,
                                                 uint64_t number, struct kl_slice row,
                                                 struct vault_batch *batch, bool *ret_newer,
                                                 struct kl_err *err);

/* ---- the end of a tenant (tenant_end.c) ---- */

/* Rows of a tenant that is shredded, receipts of others aside, are to be removed. KL_ERR_NO_MEMORY, KL_ERR_IO. */
KL_MUST_USE enum kl_status vault_tenant_rows_remove(struct vault *vault, uint64_t number,
                                                    const char *name, struct vault_batch *batch,
                                                    struct kl_err *err);
/* Forget what lies beside the keys for it: its journal, its trail's head and numbers, its retained records, that it was closed; not synced. */
KL_MUST_USE enum kl_status vault_tenant_side_forget(struct vault *vault, uint64_t number,
                                                    struct kl_err *err);
/* Whether a tenant's keys are gone. */
KL_MUST_USE enum kl_status vault_tenant_is_gone(struct vault *vault, uint64_t number,
                                                bool *ret_gone, struct kl_err *err);
/* At open: tenants that an older data/ brought back after their end go again, each with an entry in the vault's trail. */
KL_MUST_USE enum kl_status vault_tenants_end_again(struct vault *vault, struct kl_err *err);
/* Beside the keys: the tenant is closed until then, or open (ends_us 0). Before its row says so. What kms_side_apply() returns. */
KL_MUST_USE enum kl_status vault_tenant_closed_put(struct vault *vault, uint64_t tenant,
                                                   int64_t ends_us, const struct kl_id *ended_by,
                                                   struct kl_err *err);
/* At open, after recovery: an older data/ opens no tenant that was closed, and closes none that came back. */
KL_MUST_USE enum kl_status vault_tenants_closed_apply(struct vault *vault, struct kl_err *err);
/* Shred the tenants whose grace period is over; for the upkeep. The first failure is returned after all were tried. */
KL_MUST_USE enum kl_status vault_tenants_due(struct vault *vault, int64_t now_us,
                                             struct kl_err *err);

#endif
