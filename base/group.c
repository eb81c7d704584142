/*
 * Each waiter sleeps on a word of its own (a futex), so that only those
 * wake whose work is done, and one who is to lead next. The next leader is
 * woken first: it begins while the last one still wakes its group.
 */
#include "kluis/base/group.h"

#include <assert.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ITEMS_MAX 65536

/* item->done: read and written with atomics. */
enum { ITEM_WAITS, ITEM_LEADS, ITEM_DONE };

struct kl_group {
    kl_group_work work;
    void *context;
    size_t items_max;
    struct kl_group_item **items; /* the leader's, items_max of them */

    pthread_mutex_t lock; /* guards what follows */
    struct kl_group_item *first;
    struct kl_group_item *last;
    bool led; /* somebody leads, or was told to */
};

struct kl_group *kl_group_new(kl_group_work work, void *context, size_t items_max)
{
    struct kl_group *group;

    assert(work != NULL && items_max >= 1 && items_max <= ITEMS_MAX);
    group = calloc(1, sizeof(*group));
    if (group == NULL) {
        return NULL;
    }
    group->items = calloc(items_max, sizeof(struct kl_group_item *));
    if (group->items == NULL || pthread_mutex_init(&group->lock, NULL) != 0) {
        free(group->items);
        free(group);
        return NULL;
    }
    group->work = work;
    group->context = context;
    group->items_max = items_max;
    return group;
}

void kl_group_free(struct kl_group *group)
{
    if (group == NULL) {
        return;
    }
    assert(group->first == NULL && !group->led);
    (void)pthread_mutex_destroy(&group->lock);
    free(group->items);
    free(group);
}

/*
 * The item may end as soon as its word has changed. The wake then goes to an
 * address that is nobody's or somebody else's, who looks at their word again.
 */
static void item_tell(struct kl_group_item *item, int state)
{
    int *word = &item->done;

    __atomic_store_n(word, state, __ATOMIC_RELEASE);
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static int item_wait(struct kl_group_item *item)
{
    int state;

    while ((state = __atomic_load_n(&item->done, __ATOMIC_ACQUIRE)) == ITEM_WAITS) {
        (void)syscall(SYS_futex, &item->done, FUTEX_WAIT_PRIVATE, ITEM_WAITS, NULL, NULL, 0);
    }
    return state;
}

/* Queue the item; true when its submitter leads. */
static bool group_join(struct kl_group *group, struct kl_group_item *item)
{
    bool leads;

    (void)pthread_mutex_lock(&group->lock);
    if (group->last != NULL) {
        group->last->next = item;
    } else {
        group->first = item;
    }
    group->last = item;
    leads = !group->led;
    group->led = true;
    (void)pthread_mutex_unlock(&group->lock);
    return leads;
}

/* Take what waits off the queue, items_max at most, into items. */
static size_t group_take(struct kl_group *group)
{
    size_t count = 0;

    (void)pthread_mutex_lock(&group->lock);
    while (group->first != NULL && count < group->items_max) {
        group->items[count++] = group->first;
        group->first = group->first->next;
    }
    if (group->first == NULL) {
        group->last = NULL;
    }
    (void)pthread_mutex_unlock(&group->lock);
    return count;
}

/* Name who leads the next group, if anybody waits. From here on items[] is theirs. */
static void group_hand_over(struct kl_group *group)
{
    struct kl_group_item *next;

    (void)pthread_mutex_lock(&group->lock);
    next = group->first;
    group->led = next != NULL;
    (void)pthread_mutex_unlock(&group->lock);
    if (next != NULL) {
        item_tell(next, ITEM_LEADS);
    }
}

/* The leader's own item is always the first of its group: the queue is in order of coming. */
static void group_lead(struct kl_group *group, struct kl_group_item *own)
{
    size_t count = group_take(group);
    struct kl_group_item *followers;

    assert(count > 0 && group->items[0] == own);
    group->items[count - 1]->next = NULL;
    group->work(group->context, group->items, count);
    followers = own->next;
    group_hand_over(group);
    while (followers != NULL) {
        struct kl_group_item *item = followers;
        followers = item->next;
        item_tell(item, ITEM_DONE);
    }
}

enum kl_status kl_group_submit(struct kl_group *group, struct kl_group_item *item)
{
    item->status = KL_OK;
    item->next = NULL;
    item->done = ITEM_WAITS;
    if (group_join(group, item) || item_wait(item) == ITEM_LEADS) {
        group_lead(group, item);
    }
    return item->status;
}
