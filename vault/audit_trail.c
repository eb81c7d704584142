#include "vault/audit_internal.h"
#include "vault/rows.h"
#include "vault/signing.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct vault_trails *vault_trails_new(struct kms *keys, struct vault_store *store)
{
    struct vault_trails *trails = calloc(1, sizeof(*trails));
    if (trails == NULL) {
        return NULL;
    }
    trails->keys = keys;
    trails->store = store;
    if (pthread_mutex_init(&trails->lock, NULL) != 0) {
        free(trails);
        return NULL;
    }
    return trails;
}

void vault_trails_free(struct vault_trails *trails)
{
    if (trails == NULL) {
        return;
    }
    for (size_t i = 0; i < VAULT_TRAIL_LISTS; i++) {
        while (trails->lists[i] != NULL) {
            struct vault_trail *next = trails->lists[i]->list_next;
            vault_edge_free(trails->lists[i]->edge);
            free(trails->lists[i]);
            trails->lists[i] = next;
        }
    }
    pthread_mutex_destroy(&trails->lock);
    free(trails);
}

struct vault_trail *vault_trail_find(struct vault_trails *trails, uint64_t tenant)
{
    pthread_mutex_lock(&trails->lock);
    struct vault_trail *trail = trails->lists[tenant % VAULT_TRAIL_LISTS];
    while (trail != NULL && trail->tenant != tenant) {
        trail = trail->list_next;
    }
    pthread_mutex_unlock(&trails->lock);
    return trail;
}

static enum kl_status trail_read(struct vault_trails *trails, uint64_t tenant,
                                 struct kl_merkle_tree *ret_tree, struct kl_err *err)
{
    struct kl_err missing = {.status = KL_OK};
    struct vault_row_key key = vault_row_frontier(tenant);
    struct kl_buf row;
    kl_buf_init(&row, VAULT_AUDIT_TREE_MAX_BYTES);
    enum kl_status status = vault_store_get(trails->store, vault_row_slice(&key), &row, &missing);
    if (status == KL_ERR_NOT_FOUND) {
        *ret_tree = (struct kl_merkle_tree){.size = 0};
        status = KL_OK;
    } else if (status == KL_OK) {
        status = vault_audit_tree_read(kl_buf_slice(&row), ret_tree, err);
    } else {
        kl_fail(err, status, missing.code, missing.client_text, "%s", missing.log_text);
    }
    kl_buf_done(&row);
    return status;
}

/* Of a tenant that was ended nobody asks. */
static enum kl_status read_pruned(struct vault_trails *trails, struct vault_trail *trail,
                                  struct kl_err *err)
{
    struct kl_err cause = {0};
    bool forged = false;
    enum kl_status status = vault_pruned_read(trails->keys, trails->store, trail->tenant,
                                              &trail->pruned, &forged, &cause);

    if (status == KL_OK && forged) {
        kl_log(KL_LOG_ERROR, "audit_pruned_forged", KL_LOG_INT("tenant", trail->tenant));
    }
    return status == KL_OK || status == KL_ERR_GONE
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

enum kl_status vault_trail_get(struct vault_trails *trails, uint64_t tenant,
                               struct vault_trail **ret_trail, struct kl_err *err)
{
    struct vault_trail *trail = vault_trail_find(trails, tenant);
    if (trail != NULL) {
        *ret_trail = trail;
        return KL_OK;
    }
    struct vault_trail *fresh = calloc(1, sizeof(*fresh));
    if (fresh == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                       "audit: no memory");
    }
    enum kl_status status = trail_read(trails, tenant, &fresh->committed, err);
    if (status == KL_OK) {
        status = vault_trail_numbers_read(trails, tenant, &fresh->numbers, err);
    }
    fresh->tenant = tenant;
    fresh->next = fresh->committed;
    fresh->durable = fresh->committed;
    if (status == KL_OK) {
        status = vault_trail_stored_read(trails, fresh, err);
    }
    if (status == KL_OK) {
        status = read_pruned(trails, fresh, err);
    }
    if (status != KL_OK) {
        free(fresh);
        return status;
    }
    pthread_mutex_lock(&trails->lock);
    struct vault_trail **list = &trails->lists[tenant % VAULT_TRAIL_LISTS];
    for (trail = *list; trail != NULL && trail->tenant != tenant; trail = trail->list_next) {
    }
    if (trail == NULL) {
        trail = fresh;
        trail->list_next = *list;
        *list = trail;
        fresh = NULL;
    }
    pthread_mutex_unlock(&trails->lock);
    free(fresh); /* another thread was first */
    *ret_trail = trail;
    return KL_OK;
}

void vault_trail_touch(struct vault_trails *trails, struct vault_trail *trail)
{
    if (!trail->touched) {
        trail->touched = true;
        trail->touched_next = trails->touched;
        trails->touched = trail;
    }
}

static void put_number_of_receipt(const struct vault_audit_entry *entry, uint64_t number,
                                  struct vault_batch *batch)
{
    unsigned char bytes[8];
    if (entry->receipt != NULL) {
        struct vault_row_key key = vault_row_receipt_entry(entry->tenant, entry->receipt);
        kl_put_u64be(bytes, number);
        vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(bytes, sizeof(bytes)));
    }
}

static enum kl_status append_one(struct vault_trails *trails, const struct vault_audit_entry *entry,
                                 struct vault_batch *batch, struct kl_err *err)
{
    struct vault_trail *trail = vault_trail_find(trails, entry->tenant);
    struct vault_row_key key = vault_row_audit(trail->tenant, trail->next.size);
    struct vault_row_key by_id = vault_row_audit_id(trail->tenant, &entry->id, trail->next.size);
    enum kl_status status = vault_trail_stored_ready(trails, trail, batch, err);
    if (status == KL_OK) {
        status = vault_trail_stored_push(trails, trail, entry->hash, 1, batch, err);
    }
    if (status == KL_OK) {
        vault_batch_put(batch, vault_row_slice(&key), kl_buf_slice(&entry->json));
        vault_batch_put(batch, vault_row_slice(&by_id), kl_slice_text(""));
        put_number_of_receipt(entry, trail->next.size, batch);
        kl_merkle_append(&trail->next, entry->hash);
        vault_trail_touch(trails, trail);
    }
    return status;
}

enum kl_status vault_trails_append(struct vault_trails *trails,
                                   const struct vault_audit_entry *const *entries, size_t count,
                                   struct vault_batch *batch, struct kl_err *err)
{
    struct vault_trail *trail = NULL;
    enum kl_status status = KL_OK;
    for (size_t i = 0; status == KL_OK && i < count; i++) {
        status = vault_trail_get(trails, entries[i]->tenant, &trail, err);
        if (status == KL_OK) {
            status = vault_trail_numbers_take(trails, trail, count, err);
        }
    }
    for (size_t i = 0; status == KL_OK && i < count; i++) {
        status = append_one(trails, entries[i], batch, err);
    }
    return status;
}

void vault_trails_frontiers(struct vault_trails *trails, struct vault_batch *batch)
{
    for (struct vault_trail *trail = trails->touched; trail != NULL; trail = trail->touched_next) {
        struct vault_row_key key = vault_row_frontier(trail->tenant);
        unsigned char bytes[VAULT_AUDIT_TREE_MAX_BYTES];
        size_t size = vault_audit_tree_encode(&trail->next, bytes);
        vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(bytes, size));
        vault_trail_stored_put(trail, batch);
    }
}

/* A sync covers all that was applied before it, of whatever trail. */
static void all_durable(struct vault_trails *trails)
{
    while (trails->ahead != NULL) {
        struct vault_trail *trail = trails->ahead;
        trails->ahead = trail->ahead_next;
        trail->ahead_next = NULL;
        trail->is_ahead = false;
        pthread_mutex_lock(&trails->lock);
        trail->durable = trail->committed;
        pthread_mutex_unlock(&trails->lock);
    }
}

void vault_trails_applied(struct vault_trails *trails, bool ok, bool synced)
{
    while (trails->touched != NULL) {
        struct vault_trail *trail = trails->touched;
        trails->touched = trail->touched_next;
        trail->touched_next = NULL;
        trail->touched = false;
        if (!ok) {
            trail->next = trail->committed;
            trail->covered_next = trail->covered;
            vault_edge_free(trail->edge);
            trail->edge = NULL;
            continue;
        }
        pthread_mutex_lock(&trails->lock);
        trail->committed = trail->next;
        trail->covered = trail->covered_next;
        pthread_mutex_unlock(&trails->lock);
        if (!trail->is_ahead) {
            trail->is_ahead = true;
            trail->ahead_next = trails->ahead;
            trails->ahead = trail;
        }
    }
    if (ok && synced) {
        all_durable(trails);
    }
}

enum kl_status vault_trails_tree(struct vault_trails *trails, uint64_t tenant, bool durable,
                                 struct kl_merkle_tree *ret_tree, struct kl_err *err)
{
    struct vault_trail *trail = NULL;
    enum kl_status status = vault_trail_get(trails, tenant, &trail, err);
    if (status == KL_OK) {
        pthread_mutex_lock(&trails->lock);
        *ret_tree = durable ? trail->durable : trail->committed;
        pthread_mutex_unlock(&trails->lock);
    }
    return status;
}

enum kl_status vault_trails_size(struct vault_trails *trails, uint64_t tenant, uint64_t *ret_size,
                                 struct kl_err *err)
{
    struct kl_merkle_tree tree;
    enum kl_status status = vault_trails_tree(trails, tenant, false, &tree, err);
    if (status == KL_OK) {
        *ret_size = tree.size;
    }
    return status;
}

enum kl_status vault_trails_root(struct vault_trails *trails, uint64_t tenant, uint64_t *ret_size,
                                 unsigned char ret_root[VAULT_AUDIT_HASH_BYTES], struct kl_err *err)
{
    struct kl_merkle_tree tree;
    enum kl_status status = vault_trails_tree(trails, tenant, false, &tree, err);
    if (status == KL_OK) {
        *ret_size = tree.size;
        kl_merkle_root(&tree, ret_root);
    }
    return status;
}

struct head_making {
    struct kl_trail_head head;
    struct kl_buf *ret;
};

static enum kl_status head_with(void *context, const struct vault_signer *signer,
                                struct kl_err *err)
{
    struct head_making *making = context;
    struct kl_buf text;
    enum kl_status status;
    kl_buf_init(&text, KL_TRAIL_JSON_MAX_BYTES);
    kl_trail_head_text(&making->head, &text);
    status = kl_buf_status(&text, err);
    if (status == KL_OK) {
        status = vault_signer_sign(signer, VAULT_SIGNING_LABEL, kl_buf_slice(&text),
                                   making->head.signature, err);
    }
    if (status == KL_OK) {
        memcpy(making->head.key, signer->public_key, sizeof(making->head.key));
        kl_buf_clear(&text);
        kl_trail_head_write(&making->head, &text);
        kl_buf_add(making->ret, text.bytes, text.size);
        status = kl_buf_status(making->ret, err);
    }
    kl_buf_done(&text);
    return status;
}

enum kl_status vault_trails_head_of(struct vault_trails *trails, uint64_t tenant,
                                    const char *tenant_name, const struct kl_merkle_tree *tree,
                                    struct kl_buf *ret, struct kl_err *err)
{
    struct head_making making = {.ret = ret};
    (void)snprintf(making.head.tenant, sizeof(making.head.tenant), "%s", tenant_name);
    making.head.size = tree->size;
    kl_merkle_root(tree, making.head.root);
    kl_time_format(kl_time_now_us(), making.head.at);
    return vault_signing_with(trails->keys, tenant, head_with, &making, err);
}

enum kl_status vault_trails_head(struct vault_trails *trails, uint64_t tenant,
                                 const char *tenant_name, struct kl_buf *ret, struct kl_err *err)
{
    struct kl_merkle_tree tree;
    enum kl_status status = vault_trails_tree(trails, tenant, false, &tree, err);
    return status == KL_OK ? vault_trails_head_of(trails, tenant, tenant_name, &tree, ret, err)
                           : status;
}
