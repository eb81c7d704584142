/* What operators do with tenants, and what is told of them; making, ending and bringing back are in tenants.c and tenant_end.c. */
#include "vault/act.h"
#include "vault/tenants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum kl_status check_input(const struct vault *vault, const char *name, const char *store,
                                  const char *grace, struct kl_err *err)
{
    struct kl_duration duration;

    if (!vault_tenant_name_valid(name)) {
        return kl_failf(err, KL_ERR_INVALID, "invalid_tenant",
                        "a tenant's name has 1 to %d of a-z, 0-9 and -, and does not start with -",
                        VAULT_TENANT_NAME_MAX_BYTES);
    }
    if (store != NULL && strcmp(store, vault->name) != 0) {
        kl_err_where(err, "/store");
        return kl_fail(err, KL_ERR_INVALID, "unknown_store",
                       "there is no such store: kluis store list shows them", NULL);
    }
    if (grace == NULL || grace[0] == '\0') {
        return KL_OK;
    }
    if (strlen(grace) >= sizeof((struct vault_tenant *)NULL)->grace ||
        kl_duration_parse(grace, strlen(grace), &duration, NULL) != KL_OK) {
        kl_err_where(err, "/grace");
        return kl_fail(err, KL_ERR_INVALID, "invalid_duration",
                       "grace is an ISO 8601 duration, as P30D", NULL);
    }
    return KL_OK;
}

/* The turn is held. */
static enum kl_status grace_change(struct vault *vault, const struct vault_audit_who *who,
                                   struct vault_tenant *tenant, const char *grace,
                                   struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_tenant_terms terms = {0};

    if (atomic_load(&tenant->ends_us) != 0) {
        return kl_fail(err, KL_ERR_CONFLICT, "tenant_closed",
                       "this tenant was ended; bring it back before it is changed", NULL);
    }
    (void)snprintf(terms.grace, sizeof terms.grace, "%s", grace);
    status = vault_tenant_store(vault, who, tenant, &terms, "tenant_change", err);
    if (status == KL_OK) {
        (void)pthread_rwlock_wrlock(&vault->tenants.lock);
        (void)snprintf(tenant->grace, sizeof tenant->grace, "%s", grace);
        (void)pthread_rwlock_unlock(&vault->tenants.lock);
    }
    return status;
}

enum kl_status vault_tenant_put(struct vault *vault, const struct vault_caller *caller,
                                const char *name, const char *store, const char *grace,
                                bool *ret_created, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    char location[3];
    struct vault_audit_who who = vault_caller_who(caller, location);
    struct vault_tenant *tenant = NULL;
    bool created = false;

    status = vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR, "tenant_create", err);
    if (status == KL_OK) {
        status = check_input(vault, name, store, grace, err);
    }
    if (status != KL_OK) {
        return status;
    }
    vault_turn_take(&vault->turn);
    tenant = vault_tenants_find(vault, name);
    if (tenant == NULL) {
        status = vault_tenant_make(vault, &who, name, grace == NULL ? "" : grace, &tenant, err);
        created = true;
    } else if (grace != NULL && strcmp(grace, tenant->grace) != 0) {
        status = grace_change(vault, &who, tenant, grace, err);
    }
    vault_turn_give(&vault->turn);
    if (status == KL_OK) {
        *ret_created = created;
    }
    return status;
}

static void describe(struct vault *vault, const struct vault_tenant *tenant,
                     struct vault_tenant_result *ret)
{
    struct vault_policy *policy = NULL;
    uint64_t number = 0;

    memset(ret, 0, sizeof *ret);
    (void)snprintf(ret->name, sizeof ret->name, "%s", tenant->name);
    (void)snprintf(ret->store, sizeof ret->store, "%s", vault->name);
    ret->country = vault->country;
    ret->created_us = tenant->created_us;
    ret->ends_us = atomic_load(&tenant->ends_us);
    (void)pthread_rwlock_rdlock(&vault->tenants.lock);
    memcpy(ret->grace, tenant->grace, sizeof ret->grace);
    (void)pthread_rwlock_unlock(&vault->tenants.lock);
    policy = vault_tenant_policy(vault, tenant, &number);
    if (policy != NULL) {
        (void)snprintf(ret->policy_name, sizeof ret->policy_name, "%s", vault_policy_name(policy));
        (void)snprintf(ret->policy_version, sizeof ret->policy_version, "%s",
                       vault_policy_version(policy));
    }
    vault_policy_unref(policy);
}

enum kl_status vault_tenant_read(struct vault *vault, const struct vault_caller *caller,
                                 const char *name, struct vault_tenant_result *ret,
                                 struct kl_err *err)
{
    enum kl_status status =
        vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR | VAULT_MAY_STEWARD | VAULT_MAY_AUDITOR,
                          "tenant_read", err);
    const struct vault_tenant *tenant = NULL;

    if (status != KL_OK) {
        return status;
    }
    if (caller->builtin == VAULT_BUILTIN_OPERATOR || strcmp(name, caller->tenant_name) == 0) {
        tenant = vault_tenants_find(vault, name);
    }
    if (tenant == NULL) {
        return kl_fail(err, KL_ERR_NOT_FOUND, "not_found", "there is no such tenant", NULL);
    }
    describe(vault, tenant, ret);
    return KL_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct vault_tenant_result *)a)->name,
                  ((const struct vault_tenant_result *)b)->name);
}

enum kl_status vault_tenant_list(struct vault *vault, const struct vault_caller *caller,
                                 struct kl_arena *arena, struct vault_tenant_result **ret,
                                 size_t *ret_count, struct kl_err *err)
{
    enum kl_status status =
        vault_act_allowed(vault, caller, VAULT_MAY_OPERATOR, "tenant_list", err);
    struct vault_tenant **tenants = NULL;
    struct vault_tenant_result *results = NULL;
    size_t count;
    size_t i;

    if (status != KL_OK) {
        return status;
    }
    (void)pthread_rwlock_rdlock(&vault->tenants.lock);
    count = vault->tenants.count;
    tenants = kl_arena_array(arena, count, sizeof tenants[0]);
    if (tenants != NULL && count > 0) {
        memcpy(tenants, vault->tenants.items, count * sizeof tenants[0]);
    }
    (void)pthread_rwlock_unlock(&vault->tenants.lock);
    results = kl_arena_array(arena, count, sizeof results[0]);
    if (tenants == NULL || results == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "server busy",
                       "tenant list: arena full");
    }
    for (i = 0; i < count; i++) {
        describe(vault, tenants[i], &results[i]);
    }
    qsort(results, count, sizeof results[0], by_name);
    *ret = results;
    *ret_count = count;
    return KL_OK;
}
