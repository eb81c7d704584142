/* Rows of what an erasure kept that lead to nothing: of erasures that never were, and of lines at their end. */
#include "vault/retained_internal.h"

#include <stdlib.h>
#include <string.h>

#define AT_ONCE 64

enum kl_status vault_retained_is_stale(struct vault *vault, uint64_t tenant, uint64_t slot,
                                       bool *ret_stale, struct kl_err *err)
{
    return vault_retained_is_there(vault, tenant, slot, VAULT_VALUE_BASE, ret_stale, err);
}

struct stale_row {
    struct retained_key key;
    struct retained_key receipt; /* size 0: the row does not say */
};

/* Some rows to be removed; what was found out last: of which slot, and whether its subject lives. */
struct stale {
    struct vault *vault;
    struct stale_row rows[AT_ONCE];
    size_t count;
    uint64_t tenant;
    uint64_t slot;
    bool known;
    bool lives;
};

static enum kl_status check(struct stale *stale, struct kl_slice key, bool *ret_stale,
                            struct kl_err *err)
{
    uint64_t tenant = kl_get_u64be(key.bytes + 2);
    uint64_t slot = vault_retained_key_slot(key);
    enum kl_status status = KL_OK;
    bool there = false;

    if (!stale->known || stale->tenant != tenant || stale->slot != slot) {
        status = vault_retained_is_stale(stale->vault, tenant, slot, &stale->lives, err);
        stale->known = status == KL_OK;
        stale->tenant = tenant;
        stale->slot = slot;
    }
    if (status == KL_OK && !stale->lives) {
        status = vault_retained_is_there(stale->vault, tenant, slot, vault_retained_key_value(key),
                                         &there, err);
    }
    *ret_stale = status == KL_OK && (stale->lives || !there);
    return status;
}

static enum kl_status gather(void *visitor, struct kl_slice key, struct kl_slice value,
                             struct kl_err *err)
{
    struct stale *stale = visitor;
    struct vault_retained retained;
    struct kl_slice sealed;
    enum kl_status status = KL_OK;
    bool is_stale = false;

    if (key.size == RETAINED_KEY_BYTES && stale->count < AT_ONCE) {
        status = check(stale, key, &is_stale, err);
    }
    if (status == KL_OK && is_stale) {
        struct stale_row *row = &stale->rows[stale->count++];

        row->key.size = RETAINED_KEY_BYTES;
        memcpy(row->key.bytes, key.bytes, RETAINED_KEY_BYTES);
        row->receipt.size = 0;
        if (vault_retained_row_read(key, value, &retained, &sealed)) {
            row->receipt = vault_retained_receipt_key(retained.tenant, &retained.receipt);
        }
    }
    return status;
}

/* Whether a row of the slot is left that names the receipt. */
struct naming {
    const struct retained_key *receipt;
    bool named;
};

static enum kl_status names(void *visitor, struct kl_slice key, struct kl_slice value,
                            struct kl_err *err)
{
    struct naming *naming = visitor;
    struct vault_retained retained;
    struct kl_slice sealed;

    (void)err;
    if (vault_retained_row_read(key, value, &retained, &sealed)) {
        naming->named = naming->named || memcmp(retained.receipt.bytes, naming->receipt->bytes + 10,
                                                KL_ID_BYTES) == 0;
    }
    return KL_OK;
}

/* The row of a receipt that no line names any more. */
static enum kl_status forget_receipt(struct vault *vault, const struct stale_row *row, bool sync,
                                     struct kl_err *err)
{
    const struct kms_storage_write write = {.key = vault_retained_key_slice(&row->receipt)};
    struct naming naming = {.receipt = &row->receipt};
    enum kl_status status = kms_side_range(
        vault->keys, kl_slice_of(row->key.bytes, RETAINED_KEY_BYTES - 8), names, &naming, err);

    return status == KL_OK && !naming.named ? kms_side_apply(vault->keys, &write, 1, sync, err)
                                            : status;
}

/* Rows lie by slot, and an erasure's one behind the other: a receipt is asked about once for each stretch of them. */
static enum kl_status forget(const struct stale *stale, bool sync, struct kl_err *err)
{
    struct kms_storage_write writes[AT_ONCE] = {0};
    enum kl_status status = KL_OK;
    size_t i;

    for (i = 0; i < stale->count; i++) {
        writes[i].key = vault_retained_key_slice(&stale->rows[i].key);
    }
    status = kms_side_apply(stale->vault->keys, writes, stale->count, sync, err);
    for (i = 0; status == KL_OK && i < stale->count; i++) {
        const struct stale_row *row = &stale->rows[i];
        bool again = i > 0 && row->receipt.size == row[-1].receipt.size &&
                     memcmp(row->receipt.bytes, row[-1].receipt.bytes, row->receipt.size) == 0;

        if (row->receipt.size > 0 && !again) {
            status = forget_receipt(stale->vault, row, sync, err);
        }
    }
    return status;
}

static enum kl_status tidy(struct vault *vault, struct kl_slice prefix, bool sync,
                           struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct stale *stale = calloc(1, sizeof *stale);

    if (stale == NULL) {
        return kl_fail_memory(err);
    }
    stale->vault = vault;
    do {
        stale->count = 0;
        status = kms_side_range(vault->keys, prefix, gather, stale, err);
        if (status == KL_OK) {
            status = forget(stale, sync, err);
        }
    } while (status == KL_OK && stale->count == AT_ONCE);
    free(stale);
    return status;
}

enum kl_status vault_retained_tidy(struct vault *vault, uint64_t tenant, uint64_t slot, bool sync,
                                   struct kl_err *err)
{
    struct retained_key prefix = vault_retained_key_prefix(tenant, slot);

    return tidy(vault, vault_retained_key_slice(&prefix), sync, err);
}

enum kl_status vault_retained_tidy_all(struct vault *vault, struct kl_err *err)
{
    return tidy(vault, kl_slice_text(RETAINED_ROW), true, err);
}
