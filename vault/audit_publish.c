/* Heads for whoever keeps them outside of the vault. */
#include "kluis/vault/trail.h"

#include "kluis/base/encode.h"
#include "kluis/base/trail.h"
#include "vault/audit_internal.h"
#include "vault/tenants.h"
#include "vault/vault_internal.h"

#include <string.h>

struct giving {
    struct vault *vault;
    vault_head_visit visit;
    void *context;
};

/* The tree on the disk; false: it has not grown, or nobody used it. */
static bool grown(struct vault_trails *trails, const struct vault_trail *trail,
                  struct kl_merkle_tree *ret)
{
    if (trail == NULL) {
        return false;
    }
    (void)pthread_mutex_lock(&trails->lock);
    *ret = trail->durable;
    (void)pthread_mutex_unlock(&trails->lock);
    return ret->size != trail->published;
}

/* The head with the store in front, as an object of its own. */
static enum kl_status line_write(struct vault *vault, uint64_t tenant, const char *name,
                                 const struct kl_merkle_tree *tree, struct kl_buf *ret,
                                 struct kl_err *err)
{
    char store[2 * KMS_STORE_ID_BYTES + 1];
    struct kl_buf head;
    enum kl_status status;

    kl_buf_init(&head, KL_TRAIL_JSON_MAX_BYTES);
    status = vault_trails_head_of(vault->trails, tenant, name, tree, &head, err);
    if (status == KL_OK) {
        kl_hex(vault->store_id, sizeof vault->store_id, store);
        kl_buf_addf(ret, "{\"store\":\"%s\",", store);
        kl_buf_add(ret, head.bytes + 1, head.size - 1);
        status = kl_buf_status(ret, err);
    }
    kl_buf_done(&head);
    return status;
}

static enum kl_status give(const struct giving *giving, uint64_t tenant, const char *name,
                           struct kl_err *err)
{
    struct vault_trail *trail = vault_trail_find(giving->vault->trails, tenant);
    struct kl_merkle_tree tree;
    struct kl_buf line;
    enum kl_status status = KL_OK;

    if (!grown(giving->vault->trails, trail, &tree)) {
        return KL_OK;
    }
    kl_buf_init(&line, KL_TRAIL_JSON_MAX_BYTES);
    status = line_write(giving->vault, tenant, name, &tree, &line, err);
    if (status == KL_OK) {
        status = giving->visit(giving->context, tenant, kl_buf_slice(&line), err);
    }
    if (status == KL_OK) {
        trail->published = tree.size;
    }
    kl_buf_done(&line);
    return status == KL_ERR_GONE ? KL_OK : status; /* the tenant ended meanwhile */
}

enum kl_status vault_trail_heads(struct vault *vault, vault_head_visit visit, void *context,
                                 struct kl_err *err)
{
    const struct giving giving = {vault, visit, context};
    const struct vault_tenant *tenant = NULL;
    enum kl_status status = give(&giving, KMS_TENANT_VAULT, "", err);
    uint64_t number = 0;
    double share = 0;

    while (vault_tenants_from(vault, number, &number, &share)) {
        struct kl_err cause = {0};
        enum kl_status one = KL_OK;

        tenant = vault_tenants_by_number(vault, number++);
        one = tenant == NULL ? KL_OK : give(&giving, tenant->number, tenant->name, &cause);
        if (status == KL_OK && one != KL_OK) {
            status = kl_fail(err, one, cause.code, cause.client_text, "%s", cause.log_text);
        }
    }
    return status;
}
