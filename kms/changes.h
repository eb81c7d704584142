/*
 * What the changes of all requests of a group come to: one action for each
 * place, in the order in which a plan makes them, tenants before slots
 * before values, so that nothing is done below what goes anyway.
 *
 *   SHRED wins over REKEY, EXPAND and TOUCH of the same place, REKEY over the other two, EXPAND over TOUCH.
 *   Of requests that shred the same slot a value is kept only when every one of them keeps it: so a plain shred wins, and
 *   the order of the requests makes no difference. A shred of a value wins over a keep of it.
 *   A range is a RENEW of its first value, before all else that is done to values at or behind it; ranges of one slot that meet are one, and
 *   there is none where the slot is shredded.
 */
#ifndef KLUIS_KMS_CHANGES_H
#define KLUIS_KMS_CHANGES_H

#include "kluis/kms/kms.h"

#include <stdbool.h>

/* kind is never KEEP: those are with the SHRED of their slot, keeps[keeps_first] and the keeps_count - 1 behind it. */
struct kms_action {
    enum kms_change_kind kind;
    struct kms_place place;
    uint64_t past; /* of a range: where it ends */
    size_t keeps_first;
    size_t keeps_count;
};

struct kms_actions {
    struct kms_action *list;
    size_t count;
    struct kms_place *keeps;
    size_t keeps_count;
};

/* Requests as kms_changes_check() let them pass. KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status kms_actions_make(struct kms_request *const *requests, size_t count,
                                            struct kms_actions *ret_actions, struct kl_err *err);
void kms_actions_done(struct kms_actions *actions);

/*
 * KL_ERR_INVALID "key_place_invalid" a place outside the tree, a keep of no value; "key_keep_alone" a keep whose slot is not shredded in the
 * same request. KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status kms_changes_check(const struct kms_change *changes, size_t count,
                                             struct kl_err *err);
/* KL_ERR_INVALID "key_place_invalid" a range outside a subject's tree, or without a value. */
KL_MUST_USE enum kl_status kms_ranges_check(const struct kms_range *ranges, size_t count,
                                            struct kl_err *err);
/* Whether it is that of a range. */
bool kms_action_is_range(const struct kms_action *action);

/* Trees above and including the one that holds the place's entry: 1 a tenant, 2 a slot, 3 a value. */
unsigned kms_place_trees(const struct kms_place *place);
/* By trees, tenant, slot, value. */
int kms_place_compare(const struct kms_place *a, const struct kms_place *b);

#endif
