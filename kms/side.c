/* Rows of the layer above, beside the keys: they take the same way into storage and to the mirrors as the pages. */
#include "kms/internal.h"

#include <stdlib.h>
#include <string.h>

static bool key_good(struct kl_slice key)
{
    return key.size >= 2 && key.size <= KMS_SIDE_KEY_MAX_BYTES && key.bytes[0] == KMS_SIDE_ROW;
}

static enum kl_status refuse_row(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_INVALID, "key_side_row", "the vault asked for something impossible",
                   "a side row whose key or value is outside of what is allowed");
}

enum kl_status kms_side_apply(struct kms *kms, const struct kms_storage_write *writes, size_t count,
                              bool sync, struct kl_err *err)
{
    struct kms_storage_write *all = NULL;
    struct kl_err failure = {0};
    enum kl_status status;

    for (size_t i = 0; i < count; i++) {
        if (!key_good(writes[i].key) || writes[i].value.size > KMS_SIDE_VALUE_MAX_BYTES) {
            return refuse_row(err);
        }
    }
    status = kms_broken_check(kms, err);
    if (status != KL_OK || count == 0) {
        return status;
    }
    all = malloc((count + 1) * sizeof *all);
    if (all == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                       "no memory for a batch of side rows");
    }
    memcpy(all, writes, count * sizeof *all);
    status = kms_rows_apply_room(&kms->rows, all, count, sync, &failure);
    free(all);
    if (status != KL_OK) {
        kms_fatal(kms, &failure);
        return kl_fail(err, KL_ERR_IO, "key_store_io", "the key store could not be written", "%s",
                       failure.log_text);
    }
    return KL_OK;
}

enum kl_status kms_side_get(struct kms *kms, struct kl_slice key, struct kl_buf *ret,
                            struct kl_err *err)
{
    return key_good(key) ? kms_rows_get(&kms->rows, key, ret, err) : refuse_row(err);
}

enum kl_status kms_side_range_after(struct kms *kms, struct kl_slice prefix, struct kl_slice after,
                                    kms_storage_visit visit, void *visitor, struct kl_err *err)
{
    if (prefix.size == 0 || prefix.size > KMS_SIDE_KEY_MAX_BYTES ||
        prefix.bytes[0] != KMS_SIDE_ROW) {
        return refuse_row(err);
    }
    return kms_rows_range(&kms->rows, prefix, after, visit, visitor, err);
}

enum kl_status kms_side_range(struct kms *kms, struct kl_slice prefix, kms_storage_visit visit,
                              void *visitor, struct kl_err *err)
{
    return kms_side_range_after(kms, prefix, (struct kl_slice){NULL, 0}, visit, visitor, err);
}
