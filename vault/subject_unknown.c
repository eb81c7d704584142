#include "vault/subject_unknown.h"

enum kl_status vault_head_epoch_begin(const struct vault *vault, struct vault_head *head,
                                      struct kl_err *err)
{
    uint64_t first = (uint64_t)vault->restores << VAULT_VALUE_EPOCH_BITS;

    if (head->epoch >= vault->restores) {
        return KL_OK;
    }
    if (head->next_value < first) {
        if (head->gap_count == VAULT_GAPS_MAX) {
            return kl_fail(
                err, KL_ERR_TOO_LARGE, "subject_full",
                "this subject was changed after too many restores that were not finished: finish them (kluisd restore --finish)",
                NULL);
        }
        head->gaps[head->gap_count++] = (struct vault_gap){head->next_value, first};
        head->next_value = first;
    }
    head->epoch = vault->restores;
    return KL_OK;
}

size_t vault_subject_unknown(const struct vault *vault, uint64_t tenant, uint64_t slot,
                             const struct vault_head *head,
                             struct kms_range ret[VAULT_UNKNOWN_RANGES_MAX])
{
    size_t count = 0;

    for (; count < head->gap_count; count++) {
        ret[count] =
            (struct kms_range){tenant, slot, head->gaps[count].first, head->gaps[count].past};
    }
    if (head->epoch < vault->restores) {
        ret[count++] = (struct kms_range){tenant, slot, head->next_value, KMS_RANGE_END};
    }
    return count;
}
