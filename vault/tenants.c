#include "vault/tenants.h"

#include "kluis/base/json.h"
#include "kluis/base/log.h"
#include "vault/act.h"
#include "vault/credentials.h"
#include "vault/rows.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TENANT_ROW_MAX_BYTES 1024

/* ---- turns ---- */

bool vault_turn_init(struct vault_turn *turn)
{
    if (pthread_mutex_init(&turn->lock, NULL) != 0) {
        return false;
    }
    if (pthread_cond_init(&turn->is_free, NULL) != 0) {
        (void)pthread_mutex_destroy(&turn->lock);
        return false;
    }
    turn->taken = false;
    return true;
}

void vault_turn_done(struct vault_turn *turn)
{
    (void)pthread_cond_destroy(&turn->is_free);
    (void)pthread_mutex_destroy(&turn->lock);
}

void vault_turn_take(struct vault_turn *turn)
{
    (void)pthread_mutex_lock(&turn->lock);
    while (turn->taken) {
        (void)pthread_cond_wait(&turn->is_free, &turn->lock);
    }
    turn->taken = true;
    (void)pthread_mutex_unlock(&turn->lock);
}

void vault_turn_give(struct vault_turn *turn)
{
    (void)pthread_mutex_lock(&turn->lock);
    assert(turn->taken);
    turn->taken = false;
    (void)pthread_cond_signal(&turn->is_free);
    (void)pthread_mutex_unlock(&turn->lock);
}

/* ---- in memory ---- */

bool vault_tenant_name_valid(const char *name)
{
    size_t size = strlen(name);

    return size >= 1 && size <= VAULT_TENANT_NAME_MAX_BYTES && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == size;
}

struct vault_tenant *vault_tenants_find(struct vault *vault, const char *name)
{
    struct vault_tenant *found = NULL;
    size_t i;

    (void)pthread_rwlock_rdlock(&vault->tenants.lock);
    for (i = 0; i < vault->tenants.count && found == NULL; i++) {
        if (strcmp(vault->tenants.items[i]->name, name) == 0) {
            found = vault->tenants.items[i];
        }
    }
    (void)pthread_rwlock_unlock(&vault->tenants.lock);
    return found;
}

/* Where a tenant of that number is, or would be; under the lock. */
static size_t position(const struct vault_tenants *tenants, uint64_t number)
{
    size_t low = 0;
    size_t high = tenants->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (tenants->items[middle]->number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool vault_tenants_from(struct vault *vault, uint64_t number, uint64_t *ret_number,
                        double *ret_share)
{
    size_t i = 0;
    bool found = false;

    pthread_rwlock_rdlock(&vault->tenants.lock);
    while (i < vault->tenants.count && vault->tenants.items[i]->number < number) {
        i++;
    }
    found = i < vault->tenants.count;
    if (found) {
        *ret_number = vault->tenants.items[i]->number;
        *ret_share = (double)i / (double)vault->tenants.count;
    }
    pthread_rwlock_unlock(&vault->tenants.lock);
    return found;
}

struct vault_tenant *vault_tenants_by_number(struct vault *vault, uint64_t number)
{
    struct vault_tenant *found = NULL;
    size_t at;

    (void)pthread_rwlock_rdlock(&vault->tenants.lock);
    at = position(&vault->tenants, number);
    if (at < vault->tenants.count && vault->tenants.items[at]->number == number) {
        found = vault->tenants.items[at];
    }
    (void)pthread_rwlock_unlock(&vault->tenants.lock);
    return found;
}

struct vault_tenant *vault_tenants_next(struct vault *vault, uint64_t above)
{
    struct vault_tenant *found = NULL;
    size_t at;

    if (above == UINT64_MAX) {
        return NULL;
    }
    (void)pthread_rwlock_rdlock(&vault->tenants.lock);
    at = position(&vault->tenants, above + 1);
    if (at < vault->tenants.count) {
        found = vault->tenants.items[at];
    }
    (void)pthread_rwlock_unlock(&vault->tenants.lock);
    return found;
}

static void tenant_free(struct vault_tenant *tenant)
{
    if (tenant != NULL) {
        vault_policy_unref(tenant->policy);
        free(tenant);
    }
}

/* Room for one more, so that adding it later cannot fail. The turn is held, so nobody else adds. */
static enum kl_status reserve(struct vault_tenants *tenants, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_tenant **items;

    (void)pthread_rwlock_wrlock(&tenants->lock);
    if (tenants->count >= VAULT_TENANTS_MAX) {
        status = kl_failf(err, KL_ERR_TOO_LARGE, "too_many_tenants",
                          "a vault holds at most %d tenants", VAULT_TENANTS_MAX);
    } else {
        items = reallocarray(tenants->items, tenants->count + 1, sizeof(struct vault_tenant *));
        if (items == NULL) {
            status =
                kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "server busy", "tenants: no memory");
        } else {
            tenants->items = items;
        }
    }
    (void)pthread_rwlock_unlock(&tenants->lock);
    return status;
}

static void add(struct vault_tenants *tenants, struct vault_tenant *tenant)
{
    size_t at;

    (void)pthread_rwlock_wrlock(&tenants->lock);
    at = position(tenants, tenant->number);
    memmove(&tenants->items[at + 1], &tenants->items[at],
            (tenants->count - at) * sizeof tenants->items[0]);
    tenants->items[at] = tenant;
    tenants->count++;
    (void)pthread_rwlock_unlock(&tenants->lock);
}

void vault_tenants_done(struct vault_tenants *tenants)
{
    size_t i;

    for (i = 0; i < tenants->count; i++) {
        tenant_free(tenants->items[i]);
    }
    for (i = 0; i < tenants->ended_count; i++) {
        tenant_free(tenants->ended[i]);
    }
    free(tenants->items);
    free(tenants->ended);
    tenants->items = NULL;
    tenants->ended = NULL;
    tenants->count = 0;
    tenants->ended_count = 0;
}

void vault_tenants_drop(struct vault *vault, uint64_t number)
{
    struct vault_tenants *tenants = &vault->tenants;
    struct vault_tenant **ended = NULL;
    size_t at;

    (void)pthread_rwlock_wrlock(&tenants->lock);
    at = position(tenants, number);
    if (at < tenants->count && tenants->items[at]->number == number) {
        ended = reallocarray(tenants->ended, tenants->ended_count + 1, sizeof *ended);
        if (ended != NULL) {
            tenants->ended = ended;
            tenants->ended[tenants->ended_count++] = tenants->items[at];
        } /* else it is lost to the end of the process: somebody may still look at it */
        tenants->count--;
        memmove(&tenants->items[at], &tenants->items[at + 1],
                (tenants->count - at) * sizeof tenants->items[0]);
    }
    (void)pthread_rwlock_unlock(&tenants->lock);
}

struct vault_policy *vault_tenant_policy(struct vault *vault, const struct vault_tenant *tenant,
                                         uint64_t *ret_number)
{
    struct vault_policy *policy = NULL;

    (void)pthread_rwlock_rdlock(&vault->tenants.lock);
    if (tenant->policy != NULL) {
        policy = vault_policy_ref(tenant->policy);
    }
    *ret_number = tenant->policy_number;
    (void)pthread_rwlock_unlock(&vault->tenants.lock);
    return policy;
}

void vault_tenant_policy_swap(struct vault *vault, struct vault_tenant *tenant,
                              struct vault_policy *policy, uint64_t number)
{
    struct vault_policy *old;

    (void)pthread_rwlock_wrlock(&vault->tenants.lock);
    old = tenant->policy;
    tenant->policy = policy;
    tenant->policy_number = number;
    tenant->policy_broken = false;
    (void)pthread_rwlock_unlock(&vault->tenants.lock);
    vault_policy_unref(old);
}

/* ---- rows ---- */

static enum kl_status damaged(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_CORRUPT, "tenant_damaged", "the row of a tenant is damaged", NULL);
}

/* Nothing of it: the tenant was not ended. */
static bool parse_end(const struct kl_json_value *root, struct vault_tenant *tenant)
{
    const char *by = kl_json_text(kl_json_member(root, "ended_by"));
    int64_t ends_us = 0;

    if (by == NULL) {
        return true;
    }
    if (!kl_json_int(kl_json_member(root, "ends_us"), &ends_us) || ends_us <= 0 ||
        kl_id_parse(VAULT_CREDENTIAL_PREFIX, by, &tenant->ended_by, NULL) != KL_OK) {
        return false;
    }
    atomic_store(&tenant->ends_us, ends_us);
    return true;
}

static enum kl_status tenant_parse(struct kl_slice row, struct vault_tenant *tenant,
                                   struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_json *json = NULL;
    const struct kl_json_value *root;
    const char *name;
    const char *grace;
    int64_t number = 0;

    if (kl_json_parse(row.bytes, row.size, &json, NULL) != KL_OK) {
        return damaged(err);
    }
    root = kl_json_root(json);
    name = kl_json_text(kl_json_member(root, "name"));
    grace = kl_json_text(kl_json_member(root, "grace"));
    if (name == NULL || !vault_tenant_name_valid(name) || grace == NULL ||
        strlen(grace) >= sizeof tenant->grace ||
        !kl_json_int(kl_json_member(root, "number"), &number) || number < 1 ||
        !kl_json_int(kl_json_member(root, "created_us"), &tenant->created_us)) {
        status = damaged(err);
        goto out;
    }
    if (!parse_end(root, tenant)) {
        status = damaged(err);
        goto out;
    }
    (void)snprintf(tenant->name, sizeof tenant->name, "%s", name);
    (void)snprintf(tenant->grace, sizeof tenant->grace, "%s", grace);
    tenant->number = (uint64_t)number;

out:
    kl_json_free(json);
    return status;
}

static void tenant_write(const struct vault_tenant *tenant, const struct vault_tenant_terms *terms,
                         const char *store, struct kl_buf *ret)
{
    struct kl_json_out out = kl_json_out(ret);
    char ended_by[KL_ID_TEXT_BYTES];

    kl_json_object_begin(&out);
    kl_json_add_text(&out, "name", tenant->name);
    kl_json_add_int(&out, "number", (int64_t)tenant->number);
    kl_json_add_text(&out, "store", store);
    kl_json_add_text(&out, "grace", terms->grace);
    kl_json_add_int(&out, "created_us", tenant->created_us);
    if (terms->ends_us != 0) {
        kl_id_format(VAULT_CREDENTIAL_PREFIX, &terms->ended_by, ended_by);
        kl_json_add_int(&out, "ends_us", terms->ends_us);
        kl_json_add_text(&out, "ended_by", ended_by);
    }
    kl_json_object_end(&out);
}

static enum kl_status load_policy(struct vault *vault, struct vault_tenant *tenant,
                                  struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status =
        vault_policy_load(vault, tenant->number, &tenant->policy, &tenant->policy_number, &cause);

    if (status == KL_ERR_NOT_FOUND || status == KL_ERR_GONE) { /* GONE: so is the tenant */
        return KL_OK;
    }
    if (status == KL_ERR_INVALID || status == KL_ERR_CORRUPT) {
        tenant->policy_broken = true;
        kl_log(KL_LOG_ERROR, "policy_not_in_force", KL_LOG_TEXT("tenant", tenant->name),
               KL_LOG_TEXT("code", cause.code), KL_LOG_TEXT("where", cause.where),
               KL_LOG_TEXT("text", cause.client_text));
        return KL_OK;
    }
    return status == KL_OK
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

enum kl_status vault_tenants_load(struct vault *vault, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key first = vault_row_tenant("");
    struct vault_row_key past = vault_row_past(&first);
    struct vault_iter *iter = NULL;
    struct vault_tenant *tenant = NULL;
    struct kl_slice key;
    struct kl_slice value;

    iter =
        vault_iter_new(vault->data_store, vault_row_slice(&first), vault_row_slice(&past), false);
    if (iter == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "server busy", "tenants: no iterator");
    }
    while (status == KL_OK && vault_iter_next(iter, &key, &value)) {
        tenant = calloc(1, sizeof *tenant);
        if (tenant == NULL) {
            status =
                kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "server busy", "tenants: no memory");
            break;
        }
        status = tenant_parse(value, tenant, err);
        if (status == KL_OK) {
            status = load_policy(vault, tenant, err);
        }
        if (status == KL_OK) {
            status = reserve(&vault->tenants, err);
        }
        if (status == KL_OK) {
            add(&vault->tenants, tenant);
            tenant = NULL;
        }
    }
    if (status == KL_OK) {
        status = vault_iter_status(iter, err);
    }
    tenant_free(tenant);
    vault_iter_free(iter);
    return status;
}

enum kl_status vault_tenant_store(struct vault *vault, const struct vault_audit_who *who,
                                  const struct vault_tenant *tenant,
                                  const struct vault_tenant_terms *terms, const char *action,
                                  struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = vault_row_tenant(tenant->name);
    struct kl_buf row = {0};
    struct vault_batch *batch = NULL;
    struct vault_act act;
    struct vault_act *acts[1] = {&act};

    kl_buf_init(&row, TENANT_ROW_MAX_BYTES);
    vault_act_begin(&act, KMS_TENANT_VAULT, who, action);
    kl_json_add_text(&act.out, "tenant", tenant->name);
    kl_json_add_text(&act.out, "grace", terms->grace);
    if (terms->ends_us != 0) {
        kl_json_add_time(&act.out, "ends_at", terms->ends_us);
    }
    tenant_write(tenant, terms, vault->name, &row);
    status = kl_buf_status(&row, err);
    if (status != KL_OK) {
        goto out;
    }
    batch = vault_batch_new();
    if (batch == NULL) {
        status = kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "server busy", "tenant: no batch");
        goto out;
    }
    vault_batch_put(batch, vault_row_slice(&key), kl_buf_slice(&row));
    status = vault_act_commit(vault, acts, 1, batch, err);

out:
    vault_batch_free(batch);
    vault_act_done(&act);
    kl_buf_done(&row);
    return status;
}

enum kl_status vault_tenant_make(struct vault *vault, const struct vault_audit_who *who,
                                 const char *name, const char *grace,
                                 struct vault_tenant **ret_tenant, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_tenant *tenant = NULL;
    struct vault_tenant_terms terms = {0};

    status = reserve(&vault->tenants, err);
    if (status != KL_OK) {
        return status;
    }
    tenant = calloc(1, sizeof *tenant);
    if (tenant == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "server busy", "tenant: no memory");
    }
    (void)snprintf(tenant->name, sizeof tenant->name, "%s", name);
    (void)snprintf(tenant->grace, sizeof tenant->grace, "%s", grace);
    memcpy(terms.grace, tenant->grace, sizeof terms.grace);
    tenant->created_us = who->at_us;
    status = kms_tenant_take(vault->keys, &tenant->number, err);
    if (status == KL_OK) {
        status = vault_tenant_store(vault, who, tenant, &terms, "tenant_create", err);
    }
    if (status != KL_OK) {
        tenant_free(tenant);
        return status;
    }
    add(&vault->tenants, tenant);
    *ret_tenant = tenant;
    return KL_OK;
}
