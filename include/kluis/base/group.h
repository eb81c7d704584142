/*
 * Group commit: many threads hand in work, the first to come leads a group,
 * does the work of all that wait, and wakes them. One disk sync then serves
 * all of them.
 *
 * Threads: any number may submit. The group's work runs on the leader's
 * thread with no lock held.
 */
#ifndef KLUIS_BASE_GROUP_H
#define KLUIS_BASE_GROUP_H

#include "kluis/base/status.h"

#include <stddef.h>

struct kl_group;

/*
 * One piece of work; lives on the submitter's stack. The worker sets status (and err, which may be
 * NULL).
 */
struct kl_group_item {
    void *work;
    enum kl_status status;
    struct kl_err *err;
    struct kl_group_item *next; /* the group's own */
    int done;                   /* the group's own */
};

/* Do the work of items[0..count), count 1..items_max; each item's status starts as KL_OK. */
typedef void (*kl_group_work)(void *context, struct kl_group_item **items, size_t count);

/*
 * items_max 1..65536: the most that one group holds. NULL when out of memory. context must outlive
 * the group.
 */
struct kl_group *kl_group_new(kl_group_work work, void *context, size_t items_max);
void kl_group_free(struct kl_group *group); /* nobody may be inside */

/*
 * Wait until work was done with this item; returns item->status. Must not be called from within
 * the work.
 */
KL_MUST_USE enum kl_status kl_group_submit(struct kl_group *group, struct kl_group_item *item);

#endif
