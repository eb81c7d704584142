/*
 * The order of a list that shows no ids: two recipients who are listed the same people must not be able to match them by their places.
 *
 * Heads are taken in windows of at most VAULT_LIST_WINDOW, in the order of their slots, and mixed within each by a keyed hash of the slot; the key is the
 * recipient's. So up to that many people are in an order that says nothing, and of more it is known only in which
 * window somebody is. A page looks through the keys of its window again.
 */
#ifndef VAULT_LIST_ORDER_H
#define VAULT_LIST_ORDER_H

#include "vault/vault_internal.h"

#include "kluis/base/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_LIST_WINDOW 20000
#define VAULT_LIST_KEY_BYTES 32
/* Not a slot: the window has no end yet, nobody was listed yet. */
#define VAULT_LIST_OPEN UINT64_MAX

/* Where a list is: in the window from first to last (both in it), behind the subject of slot after. */
struct vault_list_position {
    uint64_t first;
    uint64_t last;
    uint64_t after;
};
#define VAULT_LIST_POSITION_BYTES 24
void vault_list_position_encode(const struct vault_list_position *position,
                                unsigned char ret[VAULT_LIST_POSITION_BYTES]);
/* False: not what encode writes. */
bool vault_list_position_decode(struct kl_slice bytes, struct vault_list_position *ret);

/*
 * The slots that come next in the position's window, in the order in which they are to be listed; in the arena. A window without an end gets one
 * (position->last), so that those who come later do not move it. ret_more: there are heads behind the window.
 * KL_ERR_IO, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_list_window(struct vault *vault, uint64_t tenant,
                                             const unsigned char key[VAULT_LIST_KEY_BYTES],
                                             struct vault_list_position *position,
                                             struct kl_arena *arena, uint64_t **ret_slots,
                                             size_t *ret_count, bool *ret_more, struct kl_err *err);

#endif
