/*
 * Whether a tenant is closed lies beside the keys as well, or an older data/
 * would let its people's data be read again and its end be forgotten; or, of one that came back, bring it to its end.
 *
 * "VE" tenant8: format 1, ends u64 (0: it is open), ended_by 16. Written before the tenant's row, and what counts of the two at open. Without
 * a row the tenant was never closed.
 */
#include "vault/tenants.h"

#include "kluis/base/encode.h"
#include "kluis/base/log.h"
#include "kluis/base/time.h"

#include <string.h>

#define FORMAT 1
#define KEY_BYTES (2 + 8)
#define ROW_BYTES (1 + 8 + KL_ID_BYTES)

static void key_make(uint64_t tenant, unsigned char ret_key[KEY_BYTES])
{
    ret_key[0] = KMS_SIDE_ROW;
    ret_key[1] = 'E';
    kl_put_u64be(ret_key + 2, tenant);
}

enum kl_status vault_tenant_closed_put(struct vault *vault, uint64_t tenant, int64_t ends_us,
                                       const struct kl_id *ended_by, struct kl_err *err)
{
    unsigned char key[KEY_BYTES] = {0};
    unsigned char row[ROW_BYTES] = {FORMAT};
    const struct kms_storage_write write = {{key, sizeof key}, {row, sizeof row}};

    key_make(tenant, key);
    kl_put_u64be(row + 1, (uint64_t)ends_us);
    memcpy(row + 9, ended_by->bytes, KL_ID_BYTES);
    return kms_side_apply(vault->keys, &write, 1, true, err);
}

static enum kl_status closed_get(struct vault *vault, uint64_t tenant, bool *ret_there,
                                 int64_t *ret_ends_us, struct kl_id *ret_ended_by,
                                 struct kl_err *err)
{
    unsigned char key[KEY_BYTES] = {0};
    struct kl_err cause = {0};
    struct kl_buf row;
    enum kl_status status = KL_OK;

    key_make(tenant, key);
    kl_buf_init(&row, 64);
    status = kms_side_get(vault->keys, kl_slice_of(key, sizeof key), &row, &cause);
    *ret_there = status == KL_OK;
    if (status == KL_ERR_NOT_FOUND) {
        status = KL_OK;
    } else if (status == KL_ERR_TOO_LARGE ||
               (status == KL_OK && (row.size != ROW_BYTES || row.bytes[0] != FORMAT))) {
        status =
            kl_fail(err, KL_ERR_CORRUPT, "mark_damaged", "a mark of the vault is damaged", NULL);
    } else if (status != KL_OK) {
        status = kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    } else {
        *ret_ends_us = (int64_t)kl_get_u64be(row.bytes + 1);
        memcpy(ret_ended_by->bytes, row.bytes + 9, KL_ID_BYTES);
    }
    kl_buf_done(&row);
    return status;
}

/* Nobody is let in yet. */
static enum kl_status apply(struct vault *vault, struct vault_tenant *tenant, struct kl_err *err)
{
    const struct vault_audit_who who = {.role = "vault", .at_us = kl_time_now_us()};
    struct vault_tenant_terms terms = {.ends_us = 0};
    bool there = false;
    enum kl_status status =
        closed_get(vault, tenant->number, &there, &terms.ends_us, &terms.ended_by, err);

    if (status != KL_OK || !there || terms.ends_us == atomic_load(&tenant->ends_us)) {
        return status;
    }
    memcpy(terms.grace, tenant->grace, sizeof terms.grace);
    kl_log(KL_LOG_WARNING, terms.ends_us == 0 ? "tenant_opened_again" : "tenant_closed_again",
           KL_LOG_TEXT("tenant", tenant->name));
    status =
        vault_tenant_store(vault, &who, tenant, &terms,
                           terms.ends_us == 0 ? "tenant_restore_again" : "tenant_close_again", err);
    if (status == KL_OK) {
        tenant->ended_by = terms.ended_by;
        atomic_store(&tenant->ends_us, terms.ends_us);
    }
    return status;
}

enum kl_status vault_tenants_closed_apply(struct vault *vault, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t i;

    for (i = 0; status == KL_OK && i < vault->tenants.count; i++) {
        status = apply(vault, vault->tenants.items[i], err);
    }
    return status;
}
