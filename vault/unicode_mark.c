/*
 * The index compares values in a form that Unicode's tables make. Another version of them may give another form, and then a value that is
 * there would not be found. So the version is kept with the index, and at open the index is built anew when it is not the one in use.
 */
#include "vault/vault_internal.h"

#include "kluis/base/log.h"
#include "vault/rows.h"

#define VERSION_MAX_BYTES 64

static enum kl_status mark_read(struct vault *vault, struct kl_buf *ret_version, struct kl_err *err)
{
    struct vault_row_key key = vault_row_meta(VAULT_META_UNICODE);
    enum kl_status status =
        vault_store_get(vault->data_store, vault_row_slice(&key), ret_version, err);

    if (status == KL_ERR_NOT_FOUND) {
        kl_err_clear(err);
        status = KL_OK;
    }
    return status;
}

static enum kl_status mark_write(struct vault *vault, struct kl_err *err)
{
    struct vault_row_key key = vault_row_meta(VAULT_META_UNICODE);
    struct vault_batch *batch = vault_batch_new();
    enum kl_status status = KL_OK;

    if (batch == NULL) {
        return kl_fail_memory(err);
    }
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_text(vault_value_unicode_version()));
    status = vault_store_apply(vault->data_store, batch, true, err);
    vault_batch_free(batch);
    return status;
}

enum kl_status vault_unicode_mark_check(struct vault *vault, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_buf version;
    size_t i;

    kl_buf_init(&version, VERSION_MAX_BYTES);
    status = mark_read(vault, &version, err);
    if (status != KL_OK ||
        kl_slice_equal_text(kl_buf_slice(&version), vault_value_unicode_version())) {
        goto out;
    }
    if (version.size > 0) {
        kl_log(KL_LOG_WARNING, "index_built_anew",
               KL_LOG_TEXT("unicode", vault_value_unicode_version()));
    }
    for (i = 0; status == KL_OK && version.size > 0 && i < vault->tenants.count; i++) {
        status = vault_subject_index_rebuild(vault, vault->tenants.items[i]->number, err);
    }
    if (status == KL_OK) {
        status = mark_write(vault, err);
    }

out:
    kl_buf_done(&version);
    return status;
}
