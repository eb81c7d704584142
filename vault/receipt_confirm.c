/*
 * Receipts that said that a mirror had still to follow are signed anew when it has, or when an operator declared it destroyed.
 *
 * A row 'M' "unconfirmed" home8 er16, written with the receipt, holds the generation that the mirrors have to reach.
 */
#include "kluis/base/log.h"
#include "vault/act.h"
#include "vault/mirrors.h"
#include "vault/receipt.h"
#include "vault/rows.h"

#include <stdlib.h>
#include <string.h>

#define AT_ONCE 256

struct waiting {
    uint64_t home;
    struct kl_id receipt;
    uint64_t generation;
};

static enum kl_status waiting_find(struct vault *vault, struct waiting *ret, size_t max,
                                   size_t *ret_count, struct kl_err *err)
{
    const struct kl_id none = {{0}};
    struct vault_row_key first = vault_row_unconfirmed(0, &none);
    size_t name_bytes = first.size - 8 - KL_ID_BYTES;
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    enum kl_status status = KL_OK;
    struct kl_slice key;
    struct kl_slice value;
    size_t count = 0;

    first.size = name_bytes;
    past = vault_row_past(&first);
    iter =
        vault_iter_new(vault->data_store, vault_row_slice(&first), vault_row_slice(&past), false);
    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    while (count < max && vault_iter_next(iter, &key, &value)) {
        if (key.size == name_bytes + 8 + KL_ID_BYTES && value.size == 8) {
            ret[count].home = kl_get_u64be(key.bytes + name_bytes);
            memcpy(ret[count].receipt.bytes, key.bytes + name_bytes + 8, KL_ID_BYTES);
            ret[count++].generation = kl_get_u64be(value.bytes);
        }
    }
    status = vault_iter_status(iter, err);
    vault_iter_free(iter);
    if (status == KL_OK) {
        *ret_count = count;
    }
    return status;
}

static enum kl_status receipt_get(struct vault *vault, const struct waiting *waiting,
                                  struct kl_buf *ret, bool *ret_there, struct kl_err *err)
{
    struct vault_row_key key = vault_row_receipt(waiting->home, &waiting->receipt);
    struct kl_err cause = {0};
    enum kl_status status = vault_store_get(vault->data_store, vault_row_slice(&key), ret, &cause);

    if (status != KL_OK && status != KL_ERR_NOT_FOUND) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    *ret_there = status == KL_OK;
    return KL_OK;
}

/* The receipt as it now is, with its entry; without one there only the row goes. */
static enum kl_status put_confirmed(struct vault *vault, const struct waiting *waiting,
                                    const struct vault_mirrors_of *of, struct kl_slice receipt,
                                    int64_t now_us, struct kl_err *err)
{
    struct vault_row_key row = vault_row_unconfirmed(waiting->home, &waiting->receipt);
    struct vault_row_key key = vault_row_receipt(waiting->home, &waiting->receipt);
    const struct vault_audit_who who = {.role = "vault", .at_us = now_us};
    struct vault_batch *batch = vault_batch_new();
    enum kl_status status = KL_OK;
    char id[KL_ID_TEXT_BYTES];
    struct vault_act act;
    struct vault_act *acts[1] = {&act};

    if (batch == NULL) {
        return kl_fail_memory(err);
    }
    vault_batch_remove(batch, vault_row_slice(&row));
    if (receipt.size > 0) {
        vault_batch_put(batch, vault_row_slice(&key), receipt);
    }
    kl_id_format("er", &waiting->receipt, id);
    vault_act_begin(&act, waiting->home, &who, "receipt_confirmed");
    kl_json_add_text(&act.out, "receipt", id);
    kl_json_add_text(&act.out, "finality", kms_finality_name(of->finality));
    vault_mirrors_add(&act.out, of);
    status = vault_act_commit(vault, acts, 1, batch, err);
    vault_act_done(&act);
    vault_batch_free(batch);
    return status;
}

static enum kl_status confirm(struct vault *vault, const struct waiting *waiting, int64_t now_us,
                              struct kl_err *err)
{
    struct vault_mirrors_of of;
    enum kl_status status = KL_OK;
    struct kl_buf stored;
    struct kl_buf signed_anew;
    bool there = false;

    vault_mirrors_of(vault, waiting->generation, &of);
    if (of.pending_count > 0) {
        return KL_OK;
    }
    kl_buf_init(&stored, VAULT_RECEIPT_MAX_BYTES);
    kl_buf_init(&signed_anew, VAULT_RECEIPT_MAX_BYTES);
    status = receipt_get(vault, waiting, &stored, &there, err);
    if (status == KL_OK && there) {
        status = vault_receipt_sign_anew(vault, waiting->home, kl_buf_slice(&stored), &of,
                                         &signed_anew, err);
    }
    if (status == KL_OK) {
        status = put_confirmed(vault, waiting, &of, kl_buf_slice(&signed_anew), now_us, err);
    }
    kl_buf_done(&stored);
    kl_buf_done(&signed_anew);
    return status;
}

enum kl_status vault_receipts_confirm(struct vault *vault, int64_t now_us, struct kl_err *err)
{
    enum kl_status first = KL_OK;
    struct waiting *all = calloc(AT_ONCE, sizeof *all);
    struct kl_err own = {0};
    enum kl_status status;
    size_t count = 0;
    size_t i;

    if (all == NULL) {
        return kl_fail_memory(err);
    }
    first = waiting_find(vault, all, AT_ONCE, &count, err);
    for (i = 0; first == KL_OK && i < count; i++) {
        status = confirm(vault, &all[i], now_us, &own);
        if (status != KL_OK) { /* one that cannot be signed keeps no other waiting */
            kl_log_err(KL_LOG_WARNING, "receipt_not_confirmed", &own);
            kl_err_clear(&own);
        }
    }
    free(all);
    return first;
}
