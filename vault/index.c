/* Tags and lookups, and what is known of each tenant's index. */
#include "vault/index.h"

#include "vault/index_internal.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define TAG_LABEL "index-tag"
/* A lookup whose view is overtaken by a published rekey looks again; each time another one must get in between. */
#define VIEWS_MAX 64
#define TENANT_ROW_BYTES 13
#define TENANT_ROW_FORMAT 1

enum kl_status vault_index_no_memory(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                   "index: no memory");
}

struct vault_index_store *vault_index_new(struct kms *keys, struct vault_store *store)
{
    struct vault_index_store *index = calloc(1, sizeof(*index));
    if (index == NULL) {
        return NULL;
    }
    index->keys = keys;
    index->store = store;
    if (pthread_mutex_init(&index->lock, NULL) != 0) {
        free(index);
        return NULL;
    }
    if (pthread_cond_init(&index->changed, NULL) != 0) {
        pthread_mutex_destroy(&index->lock);
        free(index);
        return NULL;
    }
    return index;
}

void vault_index_free(struct vault_index_store *index)
{
    if (index == NULL) {
        return;
    }
    vault_index_applied(index, false);
    vault_index_staging_done(index);
    for (size_t i = 0; i < VAULT_INDEX_TENANT_LISTS; i++) {
        while (index->tenants[i] != NULL) {
            struct vault_index_tenant *next = index->tenants[i]->next;
            free(index->tenants[i]);
            index->tenants[i] = next;
        }
    }
    for (size_t i = 0; i < VAULT_INDEX_HELD_LISTS; i++) {
        while (index->held[i] != NULL) {
            struct vault_index_held *next = index->held[i]->next;
            free(index->held[i]);
            index->held[i] = next;
        }
    }
    while (index->tidy != NULL) {
        struct vault_index_tidy *next = index->tidy->next;
        free(index->tidy);
        index->tidy = next;
    }
    free(index->splits);
    pthread_cond_destroy(&index->changed);
    pthread_mutex_destroy(&index->lock);
    free(index);
}

/* ---- tenants ---- */

static struct vault_index_tenant *tenant_known(struct vault_index_store *index, uint64_t tenant)
{
    struct vault_index_tenant *known = index->tenants[tenant % VAULT_INDEX_TENANT_LISTS];
    while (known != NULL && known->tenant != tenant) {
        known = known->next;
    }
    return known;
}

/* Read a tenant's row; a tenant without one is at epoch 0. */
static enum kl_status tenant_read(struct vault_index_store *index, uint64_t tenant,
                                  struct vault_index_tenant *ret, struct kl_err *err)
{
    struct kl_err missing = {.status = KL_OK};
    struct vault_row_key key = vault_row_index(tenant);
    struct kl_buf row;
    kl_buf_init(&row, TENANT_ROW_BYTES);
    enum kl_status status = vault_store_get(index->store, vault_row_slice(&key), &row, &missing);
    if (status == KL_ERR_NOT_FOUND) {
        ret->address_slot = VAULT_SLOT_ADDRESS;
        status = KL_OK;
    } else if (status != KL_OK && status != KL_ERR_TOO_LARGE) {
        kl_fail(err, status, missing.code, missing.client_text, "%s", missing.log_text);
    } else {
        struct kl_reader reader = kl_reader_of(kl_buf_slice(&row));
        uint8_t format = kl_read_byte(&reader);
        ret->epoch = kl_read_u32be(&reader);
        ret->address_slot = kl_read_u64be(&reader);
        if (status != KL_OK || format != TENANT_ROW_FORMAT || !kl_reader_done(&reader)) {
            status = kl_fail(err, KL_ERR_CORRUPT, "index_bucket_corrupt", "the index is damaged",
                             "index: the tenant's row is not of a known format");
        }
    }
    kl_buf_done(&row);
    return status;
}

enum kl_status vault_index_tenant(struct vault_index_store *index, uint64_t tenant,
                                  struct vault_index_tenant **ret_tenant, uint32_t *ret_epoch,
                                  uint64_t *ret_address_slot, struct kl_err *err)
{
    pthread_mutex_lock(&index->lock);
    struct vault_index_tenant *known = tenant_known(index, tenant);
    if (known == NULL) {
        pthread_mutex_unlock(&index->lock);
        struct vault_index_tenant *fresh = calloc(1, sizeof(*fresh));
        if (fresh == NULL) {
            return vault_index_no_memory(err);
        }
        fresh->tenant = tenant;
        enum kl_status status = tenant_read(index, tenant, fresh, err);
        if (status != KL_OK) {
            free(fresh);
            return status;
        }
        pthread_mutex_lock(&index->lock);
        known = tenant_known(index, tenant);
        if (known == NULL) {
            known = fresh;
            known->next = index->tenants[tenant % VAULT_INDEX_TENANT_LISTS];
            index->tenants[tenant % VAULT_INDEX_TENANT_LISTS] = known;
        } else {
            free(fresh); /* another thread was first */
        }
    }
    *ret_tenant = known;
    *ret_epoch = known->epoch;
    *ret_address_slot = known->address_slot;
    pthread_mutex_unlock(&index->lock);
    return KL_OK;
}

enum kl_status vault_index_leader_epoch(struct vault_index_store *index, uint64_t tenant,
                                        struct vault_index_tenant **ret_tenant, uint32_t *ret_epoch,
                                        struct kl_err *err)
{
    uint64_t address_slot = 0;
    enum kl_status status =
        vault_index_tenant(index, tenant, ret_tenant, ret_epoch, &address_slot, err);
    for (struct vault_index_fresh *fresh = index->fresh; status == KL_OK && fresh != NULL;
         fresh = fresh->next) {
        if (fresh->tenant == tenant) {
            *ret_epoch = fresh->epoch;
        }
    }
    return status;
}

/* ---- tags and lookups ---- */

enum kl_status vault_index_tag(struct vault_index_store *index, uint64_t tenant, const char *kind,
                               struct kl_slice value, unsigned char ret_tag[VAULT_TAG_BYTES],
                               struct kl_err *err)
{
    unsigned char mac[KMS_MAC_BYTES] = {0};
    struct kms_place place = {.tenant = tenant, .value = KMS_VALUE_NONE};
    struct vault_index_tenant *known = NULL;
    uint32_t epoch = 0;
    size_t kind_bytes = strlen(kind);
    if (kind_bytes > VAULT_TAG_KIND_MAX_BYTES || value.size > VAULT_TAG_VALUE_MAX_BYTES) {
        return kl_fail(err, KL_ERR_INVALID, "index_value_too_long",
                       "the value is too long to be looked up", NULL);
    }
    struct kl_buf data;
    kl_buf_init(&data, VAULT_TAG_KIND_MAX_BYTES + VAULT_TAG_VALUE_MAX_BYTES + 8);
    kl_buf_add_sized(&data, kind, kind_bytes);
    kl_buf_add_sized(&data, value.bytes, value.size);
    enum kl_status status = kl_buf_status(&data, err);
    if (status == KL_OK) {
        status = vault_index_tenant(index, tenant, &known, &epoch, &place.slot, err);
    }
    if (status == KL_OK) {
        status = kms_mac(index->keys, &place, TAG_LABEL, kl_buf_slice(&data), mac, err);
    }
    if (status == KL_OK) {
        memcpy(ret_tag, mac, VAULT_TAG_BYTES);
    }
    sodium_memzero(mac, sizeof(mac));
    kl_buf_done(&data);
    return status;
}

/* A lookup on its way from bucket to bucket, in one view of the store. */
struct lookup {
    struct kms *keys;
    struct vault_iter *iter;
    struct vault_bucket_rows rows;
};

static enum kl_status lookup_probe(void *context, const struct vault_bucket_address *at,
                                   enum vault_bucket_state *ret_state, struct kl_err *err)
{
    struct lookup *lookup = context;
    vault_bucket_rows_done(&lookup->rows);
    enum kl_status status =
        vault_bucket_load(lookup->keys, lookup->iter, at, 0, &lookup->rows, err);
    if (status == KL_OK) {
        *ret_state = lookup->rows.state;
    }
    return status;
}

static enum kl_status find_in_view(struct vault_index_store *index, struct lookup *lookup,
                                   uint64_t tenant, uint64_t tag_bits, struct kl_err *err)
{
    struct vault_index_tenant *known = NULL;
    struct vault_bucket_address at;
    uint32_t epoch = 0;
    uint64_t address_slot = 0;
    enum kl_status status = vault_index_tenant(index, tenant, &known, &epoch, &address_slot, err);
    if (status != KL_OK) {
        return status;
    }
    lookup->iter = vault_bucket_iter(index->store, tenant, epoch);
    if (lookup->iter == NULL) {
        return vault_index_no_memory(err);
    }
    status = vault_bucket_locate(tenant, epoch, tag_bits, atomic_load(&known->likely_depth),
                                 lookup_probe, lookup, &at, err);
    if (status == KL_OK && atomic_load(&known->likely_depth) != at.depth) {
        atomic_store(&known->likely_depth, at.depth);
    }
    vault_iter_free(lookup->iter);
    lookup->iter = NULL;
    return status;
}

enum kl_status vault_index_find(struct vault_index_store *index, uint64_t tenant,
                                const unsigned char tag[VAULT_TAG_BYTES], size_t skip, size_t max,
                                struct vault_index_entry *ret_entries, size_t *ret_count,
                                struct kl_err *err)
{
    struct lookup lookup = {.keys = index->keys};
    struct kl_err view_err = {.status = KL_OK};
    enum kl_status status = KL_ERR_CORRUPT;
    for (int view = 0; view < VIEWS_MAX && status == KL_ERR_CORRUPT; view++) {
        kl_err_clear(&view_err);
        status = find_in_view(index, &lookup, tenant, vault_tag_bits(tag), &view_err);
    }
    if (status != KL_OK) {
        kl_fail(err, status, view_err.code, view_err.client_text, "%s", view_err.log_text);
        goto out;
    }
    size_t first = 0;
    size_t count = vault_bucket_tag(&lookup.rows.content, tag, &first);
    skip = skip < count ? skip : count;
    count = count - skip < max ? count - skip : max;
    if (count > 0) {
        memcpy(ret_entries, &lookup.rows.content.entries[first + skip],
               count * sizeof(*ret_entries));
    }
    *ret_count = count;

out:
    vault_bucket_rows_done(&lookup.rows);
    return status;
}

void vault_index_applied(struct vault_index_store *index, bool ok)
{
    vault_bucket_set_clear(&index->group);
    while (index->fresh != NULL) {
        struct vault_index_fresh *fresh = index->fresh;
        index->fresh = fresh->next;
        if (ok) {
            pthread_mutex_lock(&index->lock);
            struct vault_index_tenant *known = tenant_known(index, fresh->tenant);
            if (known != NULL) {
                known->epoch = fresh->epoch;
                known->address_slot = fresh->address_slot;
                atomic_store(&known->likely_depth, 0);
            }
            pthread_mutex_unlock(&index->lock);
        }
        free(fresh);
    }
    vault_index_splits_end(index);
}
