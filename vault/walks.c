#include "vault/walks.h"

enum kl_status vault_walks_take(struct vault *vault, struct kl_err *err)
{
    if (atomic_fetch_add(&vault->walks->under_way, 1) < vault->walks->max) {
        return KL_OK;
    }
    (void)atomic_fetch_sub(&vault->walks->under_way, 1);
    kl_err_retry(err, VAULT_WALKS_RETRY_S);
    return kl_fail(err, KL_ERR_BUSY, "walks_busy",
                   "as many long reports as may be made at once are being made: try again in a "
                   "moment",
                   NULL);
}

void vault_walks_give(struct vault *vault)
{
    (void)atomic_fetch_sub(&vault->walks->under_way, 1);
}
