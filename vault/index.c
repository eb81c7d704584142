/* Tags and lookups. */
#include "vault/index.h"

#include "vault/index_internal.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define TAG_LABEL "index-tag"
/* A lookup whose view is overtaken by a published rekey looks again; each time another one must get in between. */
#define VIEWS_MAX 64

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
    vault_index_tenants_free(index);
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

/* ---- tags and lookups ---- */

/* The tag under one address slot. */
static enum kl_status tag_under(struct vault_index_store *index, uint64_t tenant,
                                uint64_t address_slot, const char *kind, struct kl_slice value,
                                unsigned char ret_tag[VAULT_TAG_BYTES], struct kl_err *err)
{
    unsigned char mac[KMS_MAC_BYTES] = {0};
    struct kms_place place = {.tenant = tenant, .slot = address_slot, .value = KMS_VALUE_NONE};
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
        status = kms_mac(index->keys, &place, TAG_LABEL, kl_buf_slice(&data), mac, err);
    }
    if (status == KL_OK) {
        memcpy(ret_tag, mac, VAULT_TAG_BYTES);
    }
    sodium_memzero(mac, sizeof(mac));
    kl_buf_done(&data);
    return status;
}

/* Whether the index that a tag was made for was replaced meanwhile; then nothing that failed or was found with it counts. */
static bool is_over(struct vault_index_store *index, uint64_t tenant, uint32_t epoch)
{
    struct vault_index_epochs epochs = {.epoch = 0};
    return vault_index_epochs(index, tenant, &epochs, NULL) == KL_OK && epochs.epoch != epoch;
}

enum kl_status vault_index_tag(struct vault_index_store *index, uint64_t tenant, const char *kind,
                               struct kl_slice value, unsigned char ret_tag[VAULT_TAG_BYTES],
                               struct kl_err *err)
{
    struct vault_index_epochs epochs = {.epoch = 0};
    enum kl_status status = vault_index_epochs(index, tenant, &epochs, err);
    return status == KL_OK
               ? tag_under(index, tenant, epochs.address_slot, kind, value, ret_tag, err)
               : status;
}

enum kl_status vault_index_entries(struct vault_index_store *index, uint64_t tenant,
                                   const char *kind, struct kl_slice value, uint64_t slot,
                                   uint64_t discriminator,
                                   struct vault_index_entry ret[VAULT_INDEX_TWIN],
                                   size_t *ret_count, struct kl_err *err)
{
    struct vault_index_entry first = {.slot = slot, .discriminator = discriminator};
    struct vault_index_epochs epochs = {.epoch = 0};
    struct kl_err failed = {.status = KL_OK};
    enum kl_status status = KL_OK;
    do {
        status = vault_index_epochs(index, tenant, &epochs, err);
        if (status != KL_OK) {
            return status;
        }
        kl_err_clear(&failed);
        status = tag_under(index, tenant, epochs.address_slot, kind, value, first.tag, &failed);
    } while (status == KL_ERR_GONE && is_over(index, tenant, epochs.epoch));
    struct vault_index_entry second = first;
    if (status == KL_OK && epochs.next_epoch != 0) {
        status = tag_under(index, tenant, epochs.next_slot, kind, value, second.tag, &failed);
    }
    if (status != KL_OK) {
        return kl_fail(err, status, failed.code, failed.client_text, "%s", failed.log_text);
    }
    first.made_for = epochs.epoch + 1;
    ret[0] = first;
    if (epochs.next_epoch != 0) {
        second.made_for = epochs.next_epoch + 1;
        second.second = true;
        ret[1] = second;
    }
    *ret_count = epochs.next_epoch != 0 ? 2 : 1;
    return KL_OK;
}

enum kl_status vault_index_build_entry(struct vault_index_store *index, uint64_t tenant,
                                       const char *kind, struct kl_slice value, uint64_t slot,
                                       uint64_t discriminator, struct vault_index_entry *ret,
                                       struct kl_err *err)
{
    struct vault_index_entry entry = {.slot = slot, .discriminator = discriminator};
    struct vault_index_epochs epochs = {.epoch = 0};
    enum kl_status status = vault_index_epochs(index, tenant, &epochs, err);
    if (status == KL_OK && epochs.next_epoch == 0) {
        status =
            kl_fail(err, KL_ERR_CONFLICT, "index_not_building", "no index is being built", NULL);
    }
    if (status == KL_OK) {
        status = tag_under(index, tenant, epochs.next_slot, kind, value, entry.tag, err);
    }
    if (status == KL_OK) {
        entry.made_for = epochs.next_epoch + 1;
        *ret = entry;
    }
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
                                   uint64_t tenant, uint32_t epoch, uint64_t tag_bits,
                                   struct kl_err *err)
{
    struct vault_index_tenant *known = NULL;
    struct vault_index_epochs now = {.epoch = 0};
    struct vault_bucket_address at;
    enum kl_status status = vault_index_tenant(index, tenant, &known, &now, err);
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

/* The entries with that tag in one epoch. */
static enum kl_status find_in(struct vault_index_store *index, uint64_t tenant, uint32_t epoch,
                              const unsigned char tag[VAULT_TAG_BYTES], size_t skip, size_t max,
                              struct vault_index_entry *ret_entries, size_t *ret_count,
                              struct kl_err *err)
{
    struct lookup lookup = {.keys = index->keys};
    struct kl_err view_err = {.status = KL_OK};
    enum kl_status status = KL_ERR_CORRUPT;
    for (int view = 0; view < VIEWS_MAX && status == KL_ERR_CORRUPT; view++) {
        kl_err_clear(&view_err);
        status = find_in_view(index, &lookup, tenant, epoch, vault_tag_bits(tag), &view_err);
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

enum kl_status vault_index_find(struct vault_index_store *index, uint64_t tenant,
                                const unsigned char tag[VAULT_TAG_BYTES], size_t skip, size_t max,
                                struct vault_index_entry *ret_entries, size_t *ret_count,
                                struct kl_err *err)
{
    struct vault_index_epochs epochs = {.epoch = 0};
    enum kl_status status = vault_index_epochs(index, tenant, &epochs, err);
    return status == KL_OK
               ? find_in(index, tenant, epochs.epoch, tag, skip, max, ret_entries, ret_count, err)
               : status;
}

enum kl_status vault_index_look(struct vault_index_store *index, uint64_t tenant, const char *kind,
                                struct kl_slice value, size_t skip, size_t max,
                                struct vault_index_entry *ret_entries, size_t *ret_count,
                                struct kl_err *err)
{
    struct vault_index_epochs epochs = {.epoch = 0};
    struct kl_err failed = {.status = KL_OK};
    unsigned char tag[VAULT_TAG_BYTES];
    enum kl_status status = KL_OK;
    size_t count = 0;
    do {
        kl_err_clear(&failed);
        status = vault_index_epochs(index, tenant, &epochs, err);
        if (status != KL_OK) {
            return status;
        }
        status = tag_under(index, tenant, epochs.address_slot, kind, value, tag, &failed);
        if (status == KL_OK) {
            status =
                find_in(index, tenant, epochs.epoch, tag, skip, max, ret_entries, &count, &failed);
        }
    } while (is_over(index, tenant, epochs.epoch));
    if (status != KL_OK) {
        return kl_fail(err, status, failed.code, failed.client_text, "%s", failed.log_text);
    }
    *ret_count = count;
    return KL_OK;
}

void vault_index_applied(struct vault_index_store *index, bool ok)
{
    vault_bucket_set_clear(&index->group);
    vault_index_epochs_applied(index, ok);
    vault_index_splits_end(index);
}
