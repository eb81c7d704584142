#include "vault/side.h"

#include <stdlib.h>

#define ROWS_AT_ONCE 1024

struct forgetting {
    struct kl_buf keys; /* sized, one behind the other */
    size_t count;
};

static enum kl_status forget_row(void *visitor, struct kl_slice key, struct kl_slice value,
                                 struct kl_err *err)
{
    struct forgetting *forgetting = visitor;

    (void)value;
    if (forgetting->count < ROWS_AT_ONCE) {
        kl_buf_add_sized(&forgetting->keys, key.bytes, key.size);
        forgetting->count++;
    }
    return kl_buf_status(&forgetting->keys, err);
}

static enum kl_status forget_some(struct vault *vault, struct kl_slice prefix,
                                  struct forgetting *forgetting, struct kms_storage_write *writes,
                                  struct kl_err *err)
{
    struct kl_reader in;
    enum kl_status status = KL_OK;
    size_t i;

    forgetting->count = 0;
    kl_buf_clear(&forgetting->keys);
    status = kms_side_range(vault->keys, prefix, forget_row, forgetting, err);
    in = kl_reader_of(kl_buf_slice(&forgetting->keys));
    for (i = 0; i < forgetting->count; i++) {
        writes[i] = (struct kms_storage_write){.key = kl_read_sized(&in)};
    }
    return status == KL_OK && forgetting->count > 0
               ? kms_side_apply(vault->keys, writes, forgetting->count, false, err)
               : status;
}

enum kl_status vault_side_forget(struct vault *vault, struct kl_slice prefix, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kms_storage_write *writes = calloc(ROWS_AT_ONCE, sizeof *writes);
    struct forgetting forgetting = {.count = 0};

    if (writes == NULL) {
        return kl_fail_memory(err);
    }
    kl_buf_init(&forgetting.keys, ROWS_AT_ONCE * (4 + KMS_SIDE_KEY_MAX_BYTES));
    do {
        status = forget_some(vault, prefix, &forgetting, writes, err);
    } while (status == KL_OK && forgetting.count == ROWS_AT_ONCE);
    kl_buf_done(&forgetting.keys);
    free(writes);
    return status;
}
