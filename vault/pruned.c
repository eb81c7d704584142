#include "vault/pruned.h"

#include "kluis/base/buf.h"
#include "vault/audit_internal.h"
#include "vault/rows.h"

#include <sodium.h>
#include <string.h>

#define FORMAT 1
#define LABEL "trail-pruned"
#define CONTENT_BYTES (1 + 8 + 8 + KL_ID_BYTES)
#define ROW_BYTES (CONTENT_BYTES + KMS_MAC_BYTES)

static enum kl_status seal(struct kms *keys, uint64_t tenant,
                           const unsigned char content[CONTENT_BYTES],
                           unsigned char ret_mac[KMS_MAC_BYTES], struct kl_err *err)
{
    const struct kms_place place = {tenant, VAULT_SLOT_MAC, KMS_VALUE_NONE};
    unsigned char data[8 + CONTENT_BYTES];

    kl_put_u64be(data, tenant);
    memcpy(data + 8, content, CONTENT_BYTES);
    return kms_mac(keys, &place, LABEL, kl_slice_of(data, sizeof data), ret_mac, err);
}

/* Whether the row is the vault's, and what it says. */
static enum kl_status row_open(struct kms *keys, uint64_t tenant, struct kl_slice row,
                               struct vault_pruned *ret, bool *ret_forged, struct kl_err *err)
{
    unsigned char mac[KMS_MAC_BYTES];
    enum kl_status status = KL_OK;

    *ret_forged = row.size != ROW_BYTES || row.bytes[0] != FORMAT;
    if (*ret_forged) {
        return KL_OK;
    }
    status = seal(keys, tenant, row.bytes, mac, err);
    if (status != KL_OK) {
        return status;
    }
    *ret_forged = sodium_memcmp(mac, row.bytes + CONTENT_BYTES, sizeof mac) != 0;
    if (!*ret_forged) {
        ret->until = kl_get_u64be(row.bytes + 1);
        ret->removed = kl_get_u64be(row.bytes + 9);
        memcpy(ret->entry.bytes, row.bytes + 17, KL_ID_BYTES);
    }
    return KL_OK;
}

enum kl_status vault_pruned_read(struct kms *keys, struct vault_store *store, uint64_t tenant,
                                 struct vault_pruned *ret, bool *ret_forged, struct kl_err *err)
{
    struct vault_row_key key = vault_row_pruned(tenant);
    struct vault_pruned pruned = {.until = 0};
    struct kl_err cause = {0};
    struct kl_buf row;
    bool forged = false;
    enum kl_status status;

    kl_buf_init(&row, ROW_BYTES);
    status = vault_store_get(store, vault_row_slice(&key), &row, &cause);
    if (status == KL_ERR_NOT_FOUND) {
        status = KL_OK;
    } else if (status == KL_ERR_TOO_LARGE) {
        forged = true;
        status = KL_OK;
    } else if (status == KL_OK) {
        status = row_open(keys, tenant, kl_buf_slice(&row), &pruned, &forged, err);
    } else {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    kl_buf_done(&row);
    if (status == KL_OK) {
        *ret = pruned;
        *ret_forged = forged;
    }
    return status;
}

enum kl_status vault_pruned_put(struct kms *keys, uint64_t tenant,
                                const struct vault_pruned *pruned, struct vault_batch *batch,
                                struct kl_err *err)
{
    struct vault_row_key key = vault_row_pruned(tenant);
    unsigned char row[ROW_BYTES] = {FORMAT};
    enum kl_status status;

    kl_put_u64be(row + 1, pruned->until);
    kl_put_u64be(row + 9, pruned->removed);
    memcpy(row + 17, pruned->entry.bytes, KL_ID_BYTES);
    status = seal(keys, tenant, row, row + CONTENT_BYTES, err);
    if (status == KL_OK) {
        vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(row, sizeof row));
    }
    return status;
}

enum kl_status vault_trails_pruned(struct vault_trails *trails, uint64_t tenant,
                                   struct vault_pruned *ret, struct kl_err *err)
{
    struct vault_trail *trail = NULL;
    enum kl_status status = vault_trail_get(trails, tenant, &trail, err);

    if (status == KL_OK) {
        (void)pthread_mutex_lock(&trails->lock);
        *ret = trail->pruned;
        (void)pthread_mutex_unlock(&trails->lock);
    }
    return status;
}

void vault_trails_pruned_set(struct vault_trails *trails, uint64_t tenant,
                             const struct vault_pruned *pruned)
{
    struct vault_trail *trail = vault_trail_find(trails, tenant);

    (void)pthread_mutex_lock(&trails->lock);
    trail->pruned = *pruned;
    (void)pthread_mutex_unlock(&trails->lock);
}
