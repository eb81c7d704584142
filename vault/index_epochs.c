/* What is known of each tenant's index: which epoch is in use, and which is being built; and how one takes the place of another. */
#include "vault/index_internal.h"

#include <stdlib.h>

/* Row: format u8, epoch u32, address slot u64; format 2 goes on: last epoch u32, next epoch u32, next slot u64. */
#define FORMAT_PLAIN 1
#define FORMAT 2
#define ROW_MAX_BYTES 64

/* ---- rows ---- */

static bool row_decode(struct kl_slice row, struct vault_index_epochs *ret)
{
    struct kl_reader reader = kl_reader_of(row);
    uint8_t format = kl_read_byte(&reader);

    ret->epoch = kl_read_u32be(&reader);
    ret->address_slot = kl_read_u64be(&reader);
    ret->last_epoch = ret->epoch;
    if (format == FORMAT) {
        ret->last_epoch = kl_read_u32be(&reader);
        ret->next_epoch = kl_read_u32be(&reader);
        ret->next_slot = kl_read_u64be(&reader);
    }
    return (format == FORMAT || format == FORMAT_PLAIN) && kl_reader_done(&reader);
}

static void row_encode(const struct vault_index_epochs *epochs, struct kl_buf *ret)
{
    kl_buf_add_byte(ret, FORMAT);
    kl_buf_add_u32be(ret, epochs->epoch);
    kl_buf_add_u64be(ret, epochs->address_slot);
    kl_buf_add_u32be(ret, epochs->last_epoch);
    kl_buf_add_u32be(ret, epochs->next_epoch);
    kl_buf_add_u64be(ret, epochs->next_slot);
}

/* Read a tenant's row; a tenant without one is at epoch 0. */
static enum kl_status epochs_read(struct vault_index_store *index, uint64_t tenant,
                                  struct vault_index_epochs *ret, struct kl_err *err)
{
    struct kl_err missing = {.status = KL_OK};
    struct vault_row_key key = vault_row_index(tenant);
    struct kl_buf row;
    kl_buf_init(&row, ROW_MAX_BYTES);
    enum kl_status status = vault_store_get(index->store, vault_row_slice(&key), &row, &missing);
    if (status == KL_ERR_NOT_FOUND) {
        ret->address_slot = VAULT_SLOT_ADDRESS;
        status = KL_OK;
    } else if (status != KL_OK && status != KL_ERR_TOO_LARGE) {
        kl_fail(err, status, missing.code, missing.client_text, "%s", missing.log_text);
    } else if (status != KL_OK || !row_decode(kl_buf_slice(&row), ret)) {
        status = kl_fail(err, KL_ERR_CORRUPT, "index_bucket_corrupt", "the index is damaged",
                         "index: the tenant's row is not of a known format");
    }
    kl_buf_done(&row);
    return status;
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

void vault_index_tenants_free(struct vault_index_store *index)
{
    for (size_t i = 0; i < VAULT_INDEX_TENANT_LISTS; i++) {
        while (index->tenants[i] != NULL) {
            struct vault_index_tenant *next = index->tenants[i]->next;
            free(index->tenants[i]);
            index->tenants[i] = next;
        }
    }
}

enum kl_status vault_index_tenant(struct vault_index_store *index, uint64_t tenant,
                                  struct vault_index_tenant **ret_tenant,
                                  struct vault_index_epochs *ret_epochs, struct kl_err *err)
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
        enum kl_status status = epochs_read(index, tenant, &fresh->epochs, err);
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
    *ret_epochs = known->epochs;
    pthread_mutex_unlock(&index->lock);
    return KL_OK;
}

enum kl_status vault_index_epochs(struct vault_index_store *index, uint64_t tenant,
                                  struct vault_index_epochs *ret, struct kl_err *err)
{
    struct vault_index_tenant *known = NULL;
    return vault_index_tenant(index, tenant, &known, ret, err);
}

/* ---- what a group does to them ---- */

enum kl_status vault_index_leader_epochs(struct vault_index_store *index, uint64_t tenant,
                                         struct vault_index_tenant **ret_tenant,
                                         struct vault_index_epochs *ret_epochs, struct kl_err *err)
{
    enum kl_status status = vault_index_tenant(index, tenant, ret_tenant, ret_epochs, err);
    const struct vault_index_fresh *fresh = index->fresh;
    while (fresh != NULL && fresh->tenant != tenant) {
        fresh = fresh->next;
    }
    if (status == KL_OK && fresh != NULL) {
        *ret_epochs = fresh->epochs;
    }
    return status;
}

enum kl_status vault_index_epochs_put(struct vault_index_store *index, uint64_t tenant,
                                      const struct vault_index_epochs *epochs,
                                      struct vault_batch *batch, struct kl_err *err)
{
    struct vault_row_key key = vault_row_index(tenant);
    struct vault_index_fresh *fresh = calloc(1, sizeof(*fresh));
    struct kl_buf row;
    if (fresh == NULL) {
        return vault_index_no_memory(err);
    }
    kl_buf_init(&row, ROW_MAX_BYTES);
    row_encode(epochs, &row);
    enum kl_status status = kl_buf_status(&row, err);
    if (status == KL_OK) {
        vault_batch_put(batch, vault_row_slice(&key), kl_buf_slice(&row));
        fresh->tenant = tenant;
        fresh->epochs = *epochs;
        fresh->next = index->fresh;
        index->fresh = fresh;
        fresh = NULL; /* the index's now */
    }
    free(fresh);
    kl_buf_done(&row);
    return status;
}

static void take_over(struct vault_index_tenant *known, const struct vault_index_epochs *epochs)
{
    if (known->epochs.epoch != epochs->epoch) {
        bool was_built = known->epochs.next_epoch == epochs->epoch;
        atomic_store(&known->likely_depth,
                     was_built ? atomic_load(&known->next_depth) : (uint8_t)0);
    }
    if (known->epochs.next_epoch != epochs->next_epoch) {
        atomic_store(&known->next_depth, 0);
    }
    known->epochs = *epochs;
}

/* A tenant's older changes of this group come later in the list, and are passed over. */
static bool is_overtaken(const struct vault_index_fresh *list,
                         const struct vault_index_fresh *fresh)
{
    while (list != fresh && list->tenant != fresh->tenant) {
        list = list->next;
    }
    return list != fresh;
}

void vault_index_epochs_applied(struct vault_index_store *index, bool ok)
{
    pthread_mutex_lock(&index->lock);
    for (const struct vault_index_fresh *fresh = index->fresh; ok && fresh != NULL;
         fresh = fresh->next) {
        struct vault_index_tenant *known = tenant_known(index, fresh->tenant);
        if (known != NULL && !is_overtaken(index->fresh, fresh)) {
            take_over(known, &fresh->epochs);
        }
    }
    pthread_mutex_unlock(&index->lock);
    while (index->fresh != NULL) {
        struct vault_index_fresh *fresh = index->fresh;
        index->fresh = fresh->next;
        free(fresh);
    }
}

/* ---- one in place of another ---- */

/* What is left of an epoch is for the sweep: its address slot is listed, the slots of its buckets are in their rows. */
static void mark_old(uint64_t tenant, uint32_t epoch, uint64_t address_slot,
                     struct vault_batch *batch)
{
    struct vault_row_key key = vault_row_index_old(tenant, epoch, 0);
    unsigned char slot[8];
    kl_put_u64be(slot, address_slot);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(slot, sizeof(slot)));
}

static enum kl_status epoch_take(struct vault_index_store *index, uint64_t tenant,
                                 struct vault_index_epochs *epochs, uint32_t *ret_epoch,
                                 uint64_t *ret_slot, struct kl_err *err)
{
    uint64_t slot = 0;
    if (epochs->last_epoch >= UINT32_MAX - 1) {
        return kl_fail(err, KL_ERR_TOO_LARGE, "index_epochs_out",
                       "the index was built anew too often", NULL);
    }
    enum kl_status status = kms_slot_take(index->keys, tenant, 1, &slot, err);
    if (status == KL_OK) {
        epochs->last_epoch++;
        *ret_epoch = epochs->last_epoch;
        *ret_slot = slot;
    }
    return status;
}

enum kl_status vault_index_build_begin(struct vault_index_store *index, uint64_t tenant,
                                       struct vault_batch *batch, struct kl_err *err)
{
    struct vault_index_tenant *known = NULL;
    struct vault_index_epochs epochs = {.epoch = 0};
    enum kl_status status = vault_index_leader_epochs(index, tenant, &known, &epochs, err);
    if (status != KL_OK || epochs.next_epoch != 0) {
        return status;
    }
    status = epoch_take(index, tenant, &epochs, &epochs.next_epoch, &epochs.next_slot, err);
    return status == KL_OK ? vault_index_epochs_put(index, tenant, &epochs, batch, err) : status;
}

enum kl_status vault_index_build_end(struct vault_index_store *index, uint64_t tenant,
                                     struct vault_batch *batch, struct kl_err *err)
{
    struct vault_index_tenant *known = NULL;
    struct vault_index_epochs old = {.epoch = 0};
    enum kl_status status = vault_index_leader_epochs(index, tenant, &known, &old, err);
    if (status == KL_OK && old.next_epoch == 0) {
        status =
            kl_fail(err, KL_ERR_CONFLICT, "index_not_building", "no index is being built", NULL);
    }
    if (status != KL_OK) {
        return status;
    }
    struct vault_index_epochs epochs = {
        .epoch = old.next_epoch, .address_slot = old.next_slot, .last_epoch = old.last_epoch};
    status = vault_index_epochs_put(index, tenant, &epochs, batch, err);
    if (status == KL_OK) {
        mark_old(tenant, old.epoch, old.address_slot, batch);
    }
    return status;
}

/* Whether anybody is in the middle of something with that tenant's index. */
static bool is_busy(struct vault_index_store *index, uint64_t tenant)
{
    bool busy = false;
    for (size_t i = 0; i < index->group.cell_count; i++) {
        busy =
            busy || (index->group.cells[i] != NULL && index->group.cells[i]->at.tenant == tenant);
    }
    for (const struct vault_index_fresh *fresh = index->fresh; fresh != NULL; fresh = fresh->next) {
        busy = busy || fresh->tenant == tenant;
    }
    pthread_mutex_lock(&index->lock);
    busy = busy || index->staging.state == VAULT_INDEX_STAGING_ACTIVE;
    for (size_t i = 0; i < VAULT_INDEX_HELD_LISTS; i++) {
        for (const struct vault_index_held *held = index->held[i]; held != NULL;
             held = held->next) {
            busy = busy || held->tenant == tenant;
        }
    }
    pthread_mutex_unlock(&index->lock);
    return busy;
}

enum kl_status vault_index_reset(struct vault_index_store *index, uint64_t tenant,
                                 struct vault_batch *batch, struct kl_err *err)
{
    struct vault_index_tenant *known = NULL;
    struct vault_index_epochs old = {.epoch = 0};
    enum kl_status status = vault_index_tenant(index, tenant, &known, &old, err);
    if (status != KL_OK) {
        return status;
    }
    if (is_busy(index, tenant)) {
        return kl_fail(err, KL_ERR_BUSY, "index_busy", "the index is busy; try again",
                       "index: a reset beside other work on it");
    }
    struct vault_index_epochs epochs = {.last_epoch = old.last_epoch};
    status = epoch_take(index, tenant, &epochs, &epochs.epoch, &epochs.address_slot, err);
    if (status == KL_OK) {
        status = vault_index_epochs_put(index, tenant, &epochs, batch, err);
    }
    if (status == KL_OK) {
        mark_old(tenant, old.epoch, old.address_slot, batch);
    }
    if (status == KL_OK && old.next_epoch != 0) {
        mark_old(tenant, old.next_epoch, old.next_slot, batch);
    }
    return status;
}
