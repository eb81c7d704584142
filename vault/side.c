#include "vault/side.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_AT_ONCE 1024

/* keys: sized, one behind the other. last: the one that was gathered last, behind which the next piece begins. */
struct forgetting {
    struct kl_buf keys;
    size_t count;
    unsigned char last[KMS_SIDE_KEY_MAX_BYTES];
    size_t last_bytes;
};

/* The range ends with what fills a piece: any status but KL_OK does that. */
static enum kl_status gather_row(void *visitor, struct kl_slice key, struct kl_slice value,
                                 struct kl_err *err)
{
    struct forgetting *forgetting = visitor;

    (void)value;
    if (forgetting->count == ROWS_AT_ONCE) {
        return KL_ERR_TOO_LARGE;
    }
    kl_buf_add_sized(&forgetting->keys, key.bytes, key.size);
    memcpy(forgetting->last, key.bytes, key.size);
    forgetting->last_bytes = key.size;
    forgetting->count++;
    return kl_buf_status(&forgetting->keys, err);
}

static enum kl_status forget_some(struct vault *vault, struct kl_slice prefix,
                                  struct forgetting *forgetting, struct kms_storage_write *writes,
                                  bool *ret_more, struct kl_err *err)
{
    const struct kl_slice after = kl_slice_of(forgetting->last, forgetting->last_bytes);
    unsigned char from[KMS_SIDE_KEY_MAX_BYTES];
    struct kl_reader in;
    enum kl_status status = KL_OK;
    size_t i;

    memcpy(from, after.bytes, after.size);
    forgetting->count = 0;
    kl_buf_clear(&forgetting->keys);
    status = kms_side_range_after(vault->keys, prefix, kl_slice_of(from, after.size), gather_row,
                                  forgetting, err);
    *ret_more = status == KL_ERR_TOO_LARGE && forgetting->count == ROWS_AT_ONCE;
    in = kl_reader_of(kl_buf_slice(&forgetting->keys));
    for (i = 0; i < forgetting->count; i++) {
        writes[i] = (struct kms_storage_write){.key = kl_read_sized(&in)};
    }
    if (status != KL_OK && !*ret_more) {
        return status;
    }
    return forgetting->count > 0
               ? kms_side_apply(vault->keys, writes, forgetting->count, false, err)
               : KL_OK;
}

enum kl_status vault_side_forget(struct vault *vault, struct kl_slice prefix, struct kl_err *err)
{
    struct kms_storage_write *writes = calloc(ROWS_AT_ONCE, sizeof *writes);
    struct forgetting forgetting = {.count = 0};
    enum kl_status status = KL_OK;
    bool more = true;

    if (writes == NULL) {
        return kl_fail_memory(err);
    }
    kl_buf_init(&forgetting.keys, ROWS_AT_ONCE * (4 + KMS_SIDE_KEY_MAX_BYTES));
    while (status == KL_OK && more) {
        status = forget_some(vault, prefix, &forgetting, writes, &more, err);
    }
    kl_buf_done(&forgetting.keys);
    free(writes);
    return status;
}
