#include "tests/support/cut_short.h"

#include "vault/vault_internal.h"

enum kl_status cut_short_finish(void *context, uint64_t generation, struct kms_request **requests,
                                size_t count, struct kl_err *err)
{
    (void)context;
    (void)generation;
    (void)requests;
    (void)count;
    return kl_fail(err, KL_ERR_UNAVAILABLE, "cut_short", "not now", NULL);
}

enum kl_status cut_short_prepare(void *context, struct kms_staged *staged, uint64_t generation,
                                 struct kms_request **requests, size_t count, struct kl_err *err)
{
    (void)staged;
    return cut_short_finish(context, generation, requests, count, err);
}

void cut_short_before_the_commit(struct vault_fixture *fixture)
{
    const struct kms_hooks hooks = {.context = fixture_vault(fixture),
                                    .prepare = cut_short_prepare};

    kms_hooks_set(fixture_vault(fixture)->keys, &hooks);
}

void cut_short_after_the_commit(struct vault_fixture *fixture)
{
    const struct kms_hooks hooks = {.context = fixture_vault(fixture), .finish = cut_short_finish};

    kms_hooks_set(fixture_vault(fixture)->keys, &hooks);
}
