#include "vault/subject_walk.h"

#include "kluis/base/log.h"
#include "vault/rows.h"

#define TENANT_KEY_BYTES 9 /* of the key of a head row: all of a tenant's begin with it */

enum kl_status vault_subject_walk(struct vault *vault, uint64_t tenant, size_t heads_max,
                                  vault_walk_visit visit, void *visitor, uint64_t *next_slot,
                                  bool *ret_ended, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key first = vault_row_head(tenant, *next_slot);
    struct vault_row_key all = vault_row_head(tenant, 0);
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice row;
    size_t heads = 0;
    bool stop = false;

    all.size = TENANT_KEY_BYTES;
    past = vault_row_past(&all);
    iter =
        vault_iter_new(vault->data_store, vault_row_slice(&first), vault_row_slice(&past), false);
    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    while (status == KL_OK && !stop && vault_iter_next(iter, &key, &row)) {
        uint64_t slot = kl_get_u64be(key.bytes + TENANT_KEY_BYTES);

        stop = heads == heads_max;
        if (!stop) {
            status = visit(visitor, slot, row, &stop, err);
        }
        if (status == KL_OK && !stop) {
            *next_slot = slot + 1;
            heads++;
        }
    }
    status = status == KL_OK ? vault_iter_status(iter, err) : status;
    vault_iter_free(iter);
    *ret_ended = status == KL_OK && !stop;
    return status;
}

enum kl_status vault_walk_pass_over(uint64_t tenant, uint64_t slot, enum kl_status status,
                                    struct kl_err *err)
{
    if (status == KL_ERR_CORRUPT) {
        kl_log(KL_LOG_ERROR, "subject_damaged", KL_LOG_INT("tenant", tenant),
               KL_LOG_INT("slot", slot), KL_LOG_TEXT("text", err->log_text));
    }
    if (status == KL_ERR_GONE || status == KL_ERR_NOT_FOUND || status == KL_ERR_CORRUPT) {
        kl_err_clear(err);
        return KL_OK;
    }
    return status;
}
