/* The inside of a batch, for engines: its operations in order. */
#ifndef VAULT_STORE_BATCH_H
#define VAULT_STORE_BATCH_H

#include "vault/store/store.h"

enum vault_batch_kind { VAULT_BATCH_PUT, VAULT_BATCH_REMOVE, VAULT_BATCH_REMOVE_RANGE };

/* PUT: key and value. REMOVE: key. REMOVE_RANGE: [key, value). The slices live until the batch changes. */
struct vault_batch_op {
    enum vault_batch_kind kind;
    struct kl_slice key;
    struct kl_slice value;
};

/* at: 0 at first, moved on. False at the end. */
bool vault_batch_next(const struct vault_batch *batch, size_t *at, struct vault_batch_op *ret_op);

#endif
