#include "kms/changes.h"

#include "kms/geometry.h"

#include <stdlib.h>
#include <string.h>

/* A change, and whose it is. */
struct asked {
    struct kms_change change;
    uint64_t past; /* of a range */
    size_t request;
};

static enum kl_status fail_memory(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                   "no memory for the changes of a commit");
}

/* ---- order ---- */

unsigned kms_place_trees(const struct kms_place *place)
{
    if (place->slot == KMS_SLOT_NONE) {
        return 1;
    }
    return place->value == KMS_VALUE_NONE ? 2 : 3;
}

static int number_compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

int kms_place_compare(const struct kms_place *a, const struct kms_place *b)
{
    int order = number_compare(kms_place_trees(a), kms_place_trees(b));

    if (order == 0) {
        order = number_compare(a->tenant, b->tenant);
    }
    if (order == 0) {
        order = number_compare(a->slot, b->slot);
    }
    return order != 0 ? order : number_compare(a->value, b->value);
}

/* The lowest of a place wins; a keep is no change of its own, and a range comes before all and covers nothing. */
static unsigned rank_of(const struct kms_change *change)
{
    switch (change->kind) {
    case KMS_CHANGE_SHRED:
        return 1;
    case KMS_CHANGE_REKEY:
        return 2;
    case KMS_CHANGE_RENEW:
        return kms_place_trees(&change->place) == 3 ? 0 : 3;
    case KMS_CHANGE_EXPAND:
        return 4;
    case KMS_CHANGE_TOUCH:
        return 5;
    case KMS_CHANGE_KEEP:
        break;
    }
    return 6;
}

static int asked_compare(const void *left, const void *right)
{
    const struct asked *a = left;
    const struct asked *b = right;
    int order = kms_place_compare(&a->change.place, &b->change.place);

    if (order == 0) {
        order = number_compare(rank_of(&a->change), rank_of(&b->change));
    }
    return order != 0 ? order : number_compare(a->request, b->request);
}

/* The first of sorted[from..count) that is of the same place and kind no more. ret_requests: how many requests asked for it. */
static size_t same_end(const struct asked *sorted, size_t count, size_t from, size_t *ret_requests)
{
    size_t end = from;
    size_t requests = 0;

    while (end < count && sorted[end].change.kind == sorted[from].change.kind &&
           kms_place_compare(&sorted[end].change.place, &sorted[from].change.place) == 0) {
        requests += end == from || sorted[end].request != sorted[end - 1].request;
        end++;
    }
    *ret_requests = requests;
    return end;
}

/* Where the changes of values of that slot begin. */
static size_t values_begin(const struct asked *sorted, size_t count, const struct kms_place *slot)
{
    struct kms_place first = {slot->tenant, slot->slot, 0};
    size_t low = 0;
    size_t high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (kms_place_compare(&sorted[middle].change.place, &first) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* ---- actions ---- */

/* Values of a slot that every one of the requests that shred it keeps. */
static void keeps_add(struct kms_actions *actions, const struct asked *sorted, size_t count,
                      struct kms_action *shred, size_t shredding)
{
    size_t at = values_begin(sorted, count, &shred->place);

    shred->keeps_first = actions->keeps_count;
    while (at < count && sorted[at].change.place.tenant == shred->place.tenant &&
           sorted[at].change.place.slot == shred->place.slot) {
        size_t keeping;
        size_t end = same_end(sorted, count, at, &keeping);

        if (sorted[at].change.kind == KMS_CHANGE_KEEP && keeping == shredding) {
            actions->keeps[actions->keeps_count++] = sorted[at].change.place;
        }
        at = end;
    }
    shred->keeps_count = actions->keeps_count - shred->keeps_first;
}

bool kms_action_is_range(const struct kms_action *action)
{
    return action->kind == KMS_CHANGE_RENEW && kms_place_trees(&action->place) == 3;
}

static int action_compare(const void *place, const void *action)
{
    return kms_place_compare(place, &((const struct kms_action *)action)->place);
}

/* Actions of slots come before those of values, in order. */
static bool is_shredded(const struct kms_actions *actions, const struct kms_place *value)
{
    const struct kms_place slot = {value->tenant, value->slot, KMS_VALUE_NONE};
    const struct kms_action *found =
        bsearch(&slot, actions->list, actions->count, sizeof *actions->list, action_compare);

    return found != NULL && found->kind == KMS_CHANGE_SHRED;
}

/* sorted[at..end) are ranges from the same value on. last: the range before, NULL when there is none. Returns the last range now. */
static struct kms_action *range_add(struct kms_actions *actions, const struct asked *sorted,
                                    size_t at, size_t end, struct kms_action *last)
{
    const struct kms_place *place = &sorted[at].change.place;
    bool meets = last != NULL && last->place.tenant == place->tenant &&
                 last->place.slot == place->slot && last->past >= place->value;

    if (!meets) {
        if (is_shredded(actions, place)) {
            return last;
        }
        last = &actions->list[actions->count++];
        *last = (struct kms_action){.kind = KMS_CHANGE_RENEW, .place = *place};
    }
    for (; at < end; at++) {
        last->past = last->past > sorted[at].past ? last->past : sorted[at].past;
    }
    return last;
}

static void actions_fill(struct kms_actions *actions, const struct asked *sorted, size_t count)
{
    struct kms_action *range = NULL;
    bool covers = false; /* what came before of the same place */
    size_t at = 0;

    while (at < count) {
        const struct kms_change *change = &sorted[at].change;
        size_t requests;
        size_t end = same_end(sorted, count, at, &requests);

        covers = covers && kms_place_compare(&sorted[at - 1].change.place, &change->place) == 0;
        if (rank_of(change) == 0) {
            range = range_add(actions, sorted, at, end, range);
        } else if (!covers && change->kind != KMS_CHANGE_KEEP) {
            struct kms_action *action = &actions->list[actions->count++];

            *action = (struct kms_action){.kind = change->kind, .place = change->place};
            if (change->kind == KMS_CHANGE_SHRED && kms_place_trees(&change->place) == 2) {
                keeps_add(actions, sorted, count, action, requests);
            }
        }
        covers = rank_of(change) != 0;
        at = end;
    }
}

static size_t asked_fill(const struct kms_request *request, size_t number, struct asked *ret)
{
    size_t filled = 0;

    for (size_t i = 0; i < request->changes_count; i++) {
        ret[filled++] = (struct asked){.change = request->changes[i], .request = number};
    }
    for (size_t i = 0; i < request->ranges_count; i++) {
        const struct kms_range *range = &request->ranges[i];

        ret[filled++] =
            (struct asked){.change = {KMS_CHANGE_RENEW, {range->tenant, range->slot, range->first}},
                           .past = range->past,
                           .request = number};
    }
    return filled;
}

enum kl_status kms_actions_make(struct kms_request *const *requests, size_t count,
                                struct kms_actions *ret_actions, struct kl_err *err)
{
    struct kms_actions actions = {0};
    struct asked *sorted;
    size_t changes = 0;
    size_t filled = 0;

    for (size_t i = 0; i < count; i++) {
        changes += requests[i]->changes_count + requests[i]->ranges_count;
    }
    sorted = malloc((changes + 1) * sizeof *sorted);
    actions.list = malloc((changes + 1) * sizeof *actions.list);
    actions.keeps = malloc((changes + 1) * sizeof *actions.keeps);
    if (sorted == NULL || actions.list == NULL || actions.keeps == NULL) {
        free(sorted);
        kms_actions_done(&actions);
        return fail_memory(err);
    }
    for (size_t i = 0; i < count; i++) {
        filled += asked_fill(requests[i], i, sorted + filled);
    }
    qsort(sorted, filled, sizeof *sorted, asked_compare);
    actions_fill(&actions, sorted, filled);
    free(sorted);
    *ret_actions = actions;
    return KL_OK;
}

void kms_actions_done(struct kms_actions *actions)
{
    free(actions->list);
    free(actions->keeps);
    memset(actions, 0, sizeof *actions);
}

/* ---- what may be asked ---- */

static int place_order(const void *left, const void *right)
{
    return kms_place_compare(left, right);
}

/* Every keep stands beside a shred of its slot. */
static enum kl_status keeps_check(const struct kms_change *changes, size_t count,
                                  struct kl_err *err)
{
    struct kms_place *shredded = malloc(count * sizeof *shredded);
    enum kl_status status = KL_OK;
    size_t found = 0;

    if (shredded == NULL) {
        return fail_memory(err);
    }
    for (size_t i = 0; i < count; i++) {
        if (changes[i].kind == KMS_CHANGE_SHRED && kms_place_trees(&changes[i].place) == 2) {
            shredded[found++] = changes[i].place;
        }
    }
    qsort(shredded, found, sizeof *shredded, place_order);
    for (size_t i = 0; i < count && status == KL_OK; i++) {
        struct kms_place slot = changes[i].place;

        slot.value = KMS_VALUE_NONE;
        if (changes[i].kind == KMS_CHANGE_KEEP &&
            bsearch(&slot, shredded, found, sizeof *shredded, place_order) == NULL) {
            status = kl_fail(err, KL_ERR_INVALID, "key_keep_alone",
                             "a value can only be kept where its slot is shredded", NULL);
        }
    }
    free(shredded);
    return status;
}

enum kl_status kms_changes_check(const struct kms_change *changes, size_t count, struct kl_err *err)
{
    bool keeps = false;

    for (size_t i = 0; i < count; i++) {
        bool keep = changes[i].kind == KMS_CHANGE_KEEP;

        if (!kms_place_valid(&changes[i].place) || (unsigned)changes[i].kind > KMS_CHANGE_EXPAND ||
            (keep && kms_place_trees(&changes[i].place) != 3)) {
            return kl_fail(err, KL_ERR_INVALID, "key_place_invalid",
                           "there is no such place for a key",
                           "a change of a place outside the key tree");
        }
        keeps |= keep;
    }
    return keeps ? keeps_check(changes, count, err) : KL_OK;
}

enum kl_status kms_ranges_check(const struct kms_range *ranges, size_t count, struct kl_err *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct kms_place first = {ranges[i].tenant, ranges[i].slot, ranges[i].first};

        if (!kms_place_valid(&first) || kms_place_trees(&first) != 3 ||
            ranges[i].past <= ranges[i].first ||
            (ranges[i].past > KMS_SLOT_MAX && ranges[i].past != KMS_RANGE_END)) {
            return kl_fail(err, KL_ERR_INVALID, "key_place_invalid",
                           "there is no such place for a key",
                           "a range of values outside the key tree");
        }
    }
    return KL_OK;
}
