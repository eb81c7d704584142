#include "vault/volume.h"

#include "kluis/base/encode.h"
#include "kluis/base/time.h"
#include "vault/limits.h"

#include <string.h>

#define WAIT_MIN_S 1

static struct vault_limit_item item_of(const struct vault *vault, const struct vault_caller *caller,
                                       int grant)
{
    unsigned char name[8 + KL_ID_BYTES + 8 + 8];
    struct vault_limit_item item;

    kl_put_u64be(name, caller->tenant);
    memcpy(name + 8, caller->credential.bytes, KL_ID_BYTES);
    kl_put_u64be(name + 8 + KL_ID_BYTES, caller->policy_number);
    kl_put_u64be(name + 16 + KL_ID_BYTES, (uint64_t)grant);
    item.key = vault_limits_key(vault->volume, kl_slice_of(name, sizeof name));
    item.limit = (struct vault_limit){vault_policy_volume(caller->policy, caller->role, grant),
                                      VAULT_VOLUME_WINDOW_S};
    return item;
}

/* ret_wait_s: until the first of those that are used up is not; untouched when none is. */
static uint64_t used_up(struct vault *vault, const struct vault_caller *caller,
                        uint32_t *ret_wait_s)
{
    const uint64_t grants =
        caller->policy == NULL ? 0 : vault_policy_volume_grants(caller->policy, caller->role);
    const int64_t now_us = grants == 0 ? 0 : kl_time_monotonic_us();
    uint64_t full = 0;

    for (uint64_t left = grants; left != 0; left &= left - 1) {
        const int grant = __builtin_ctzll(left);
        const struct vault_limit_item item = item_of(vault, caller, grant);
        uint32_t wait_s = 0;

        if (vault_limits_is_full(vault->volume, &item, now_us, &wait_s)) {
            *ret_wait_s = full == 0 || wait_s < *ret_wait_s ? wait_s : *ret_wait_s;
            full |= UINT64_C(1) << grant;
        }
    }
    return full;
}

uint64_t vault_volume_used_up(struct vault *vault, const struct vault_caller *caller)
{
    uint32_t wait_s = 0;

    return used_up(vault, caller, &wait_s);
}

bool vault_volume_take(struct vault *vault, const struct vault_caller *caller, uint64_t grants)
{
    struct vault_limit_item items[VAULT_GRANTS_MAX];
    uint32_t wait_s = 0;
    size_t count = 0;

    for (uint64_t left = grants; left != 0; left &= left - 1) {
        items[count++] = item_of(vault, caller, __builtin_ctzll(left));
    }
    return count == 0 ||
           vault_limits_take(vault->volume, items, count, kl_time_monotonic_us(), &wait_s);
}

enum kl_status vault_volume_exceeded(struct vault *vault, const struct vault_caller *caller,
                                     struct kl_err *err)
{
    uint32_t wait_s = WAIT_MIN_S;

    (void)used_up(vault, caller, &wait_s);
    kl_err_retry(err, wait_s);
    return kl_fail(err, KL_ERR_FORBIDDEN, "volume_exceeded",
                   "this credential was shown as many people as its role allows in an hour; "
                   "try again later",
                   NULL);
}

bool vault_volume_is_closed(struct vault *vault, const struct vault_caller *caller,
                            const struct vault_query *query, const bool *marked)
{
    struct vault_query open = *query;
    struct vault_query now = *query;
    bool closed = false;

    open.used_up = 0;
    now.used_up = vault_volume_used_up(vault, caller);
    if (now.used_up == 0) {
        return false;
    }
    for (size_t i = 0; i < vault_policy_field_count(caller->policy); i++) {
        if (marked != NULL && !marked[i]) {
            continue;
        }
        if (vault_policy_decide(caller->policy, &now, NULL, (int)i).withheld != VAULT_GATE_ROLE) {
            return false;
        }
        closed = closed || vault_policy_decide(caller->policy, &open, NULL, (int)i).withheld !=
                               VAULT_GATE_ROLE;
    }
    return closed;
}
