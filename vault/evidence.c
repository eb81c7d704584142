/* What is said in words beside the ledger: evidence of a consent, grounds against an objection. Each has a value slot of its own. */
#include "vault/rekeying.h"
#include "vault/rows.h"
#include "vault/subject_internal.h"

#define EVIDENCE_CONTEXT "evidence"

static enum kl_status evidence_once(struct vault *vault, const struct vault_subject *subject,
                                    uint64_t value, struct kl_arena *arena, const char **ret,
                                    struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kms_place place = {subject->tenant, subject->slot, value};
    struct vault_row_key key = vault_row_value(subject->tenant, subject->slot, value);
    struct kl_buf row;
    struct kl_buf plain;
    struct kl_slice text;

    if (value == KMS_VALUE_NONE) {
        *ret = NULL;
        return KL_OK;
    }
    kl_buf_init(&row, KMS_SEAL_MAX_BYTES + KMS_SEAL_OVERHEAD_BYTES);
    kl_buf_init(&plain, KMS_SEAL_MAX_BYTES);
    status = vault_store_get(vault->data_store, vault_row_slice(&key), &row, err);
    if (status == KL_OK) {
        status = kms_unseal(vault->keys, &place, kl_slice_text(EVIDENCE_CONTEXT),
                            kl_buf_slice(&row), &plain, err);
    }
    if (status == KL_OK) {
        status = vault_unpad(kl_buf_slice(&plain), &text, err);
    }
    if (status == KL_OK) {
        *ret = kl_arena_text(arena, text.bytes, text.size);
        status = *ret == NULL ? kl_fail_memory(err) : KL_OK;
    }
    kl_buf_done(&row);
    kl_buf_done(&plain);
    return status;
}

enum kl_status vault_evidence_read(struct vault *vault, const struct vault_subject *subject,
                                   uint64_t value, struct kl_arena *arena, const char **ret,
                                   struct kl_err *err)
{
    uint64_t seen = vault_rekeying_now(vault);
    enum kl_status status = evidence_once(vault, subject, value, arena, ret, err);

    while (status == KL_ERR_CORRUPT &&
           vault_rekeying_again(vault, subject->tenant, subject->slot, &seen)) {
        kl_err_clear(err);
        status = evidence_once(vault, subject, value, arena, ret, err);
    }
    return status;
}

enum kl_status vault_change_evidence_put(struct vault_change *change, const char *evidence,
                                         uint64_t *ret_value, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    if (evidence == NULL) {
        *ret_value = KMS_VALUE_NONE;
        return KL_OK;
    }
    status = vault_change_value_take(change, ret_value, err);
    return status == KL_OK
               ? vault_change_value_put(change, *ret_value, kl_slice_text(EVIDENCE_CONTEXT),
                                        kl_slice_text(evidence), err)
               : status;
}
