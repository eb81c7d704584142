#include "vault/night.h"

#include "kluis/base/time.h"
#include "vault/commit.h"
#include "vault/rows.h"
#include "vault/sweep_internal.h"
#include "vault/upkeep.h"

int64_t vault_night_last(int32_t at_s, int64_t now_us)
{
    int64_t day_us = now_us - now_us % KL_TIME_DAY_US;
    int64_t at_us = day_us + at_s * KL_TIME_SECOND_US;

    return at_us <= now_us ? at_us : at_us - KL_TIME_DAY_US;
}

enum kl_status vault_night_is_due(struct vault *vault, const char *name, int64_t now_us, bool *ret,
                                  struct kl_err *err)
{
    struct vault_upkeep_options options = vault_upkeep_options(vault);
    struct vault_row_key key = vault_row_meta(name);
    struct kms_state state;
    uint64_t before_us = 0;
    bool there = false;
    enum kl_status status = KL_OK;

    *ret = false;
    if (options.sweep_at_s < 0) {
        return KL_OK;
    }
    status = vault_sweep_numbers(vault, &key, &before_us, 1, &there, err);
    kms_state(vault->keys, &state);
    if (status == KL_OK) {
        int64_t last_us = there ? (int64_t)before_us : state.created_us;

        *ret = last_us < vault_night_last(options.sweep_at_s, now_us);
    }
    return status;
}

enum kl_status vault_night_write(struct vault *vault, const char *name, int64_t now_us,
                                 struct kl_err *err)
{
    struct vault_row_key key = vault_row_meta(name);
    struct vault_batch *batch = vault_batch_new();
    struct vault_commit commit = {.tenant = KMS_TENANT_VAULT, .batch = batch};
    unsigned char bytes[8];
    enum kl_status status = KL_OK;

    if (batch == NULL) {
        return kl_fail_memory(err);
    }
    kl_put_u64be(bytes, (uint64_t)now_us);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(bytes, sizeof bytes));
    status = vault_commit_submit(vault->committer, &commit, err);
    vault_batch_free(batch);
    return status;
}
