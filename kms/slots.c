#include "kms/slots.h"

#include "kms/internal.h"
#include "kms/walk.h"

#include <stdlib.h>
#include <string.h>

#define TENANTS_FIRST 16
#define TAKE_MAX 65536

enum kl_status kms_slots_init(struct kms_slots *slots, struct kl_err *err)
{
    memset(slots, 0, sizeof *slots);
    if (pthread_mutex_init(&slots->lock, NULL) != 0) {
        goto no_memory;
    }
    if (pthread_cond_init(&slots->moved, NULL) != 0) {
        (void)pthread_mutex_destroy(&slots->lock);
        goto no_memory;
    }
    return KL_OK;

no_memory:
    return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                   "no lock to be had");
}

void kms_slots_done(struct kms_slots *slots)
{
    free(slots->tenants);
    (void)pthread_cond_destroy(&slots->moved);
    (void)pthread_mutex_destroy(&slots->lock);
}

static void turn_take(struct kms_slots *slots)
{
    while (slots->busy) {
        (void)pthread_cond_wait(&slots->moved, &slots->lock);
    }
    slots->busy = true;
}

static void turn_give(struct kms_slots *slots)
{
    slots->busy = false;
    (void)pthread_cond_broadcast(&slots->moved);
}

static enum kl_status mark_store(struct kms *kms, struct kl_slice key, uint64_t mark,
                                 struct kl_err *err)
{
    unsigned char value[KMS_MARK_BYTES];
    struct kms_storage_write write = {key, {value, sizeof value}};
    struct kl_err failure = {0};
    enum kl_status status = kms_broken_check(kms, err);

    if (status != KL_OK) {
        return status;
    }
    kms_mark_write(mark, value);
    status = kms_rows_apply(&kms->rows, &write, 1, true, &failure);
    if (status != KL_OK) {
        kms_fatal(kms, &failure);
        return kl_fail(err, KL_ERR_IO, "key_store_io", "the key store could not be written", "%s",
                       failure.log_text);
    }
    return KL_OK;
}

/* ---- tenants ---- */

enum kl_status kms_tenant_take(struct kms *kms, uint64_t *ret_tenant, struct kl_err *err)
{
    struct kms_slots *slots = &kms->slots;
    enum kl_status status;
    uint64_t tenant;

    (void)pthread_mutex_lock(&slots->lock);
    turn_take(slots);
    tenant = slots->tenant_next;
    (void)pthread_mutex_unlock(&slots->lock);

    if (tenant > KMS_SLOT_MAX) {
        status = kl_fail(err, KL_ERR_TOO_LARGE, "key_tree_full",
                         "the vault can hold no more tenants", NULL);
    } else {
        status = mark_store(kms, kms_tenants_key, tenant + 1, err);
    }

    (void)pthread_mutex_lock(&slots->lock);
    if (status == KL_OK) {
        slots->tenant_next = tenant + 1;
        *ret_tenant = tenant;
    }
    turn_give(slots);
    (void)pthread_mutex_unlock(&slots->lock);
    return status;
}

/* ---- slots of a tenant ---- */

static size_t tenant_place(const struct kms_slots *slots, uint64_t tenant)
{
    size_t low = 0;
    size_t high = slots->tenants_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (slots->tenants[middle].tenant < tenant) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct kms_slots_tenant *tenant_find(const struct kms_slots *slots, uint64_t tenant)
{
    size_t place = tenant_place(slots, tenant);

    return place < slots->tenants_count && slots->tenants[place].tenant == tenant
               ? &slots->tenants[place]
               : NULL;
}

static struct kms_slots_tenant *tenant_add(struct kms_slots *slots, uint64_t tenant, uint64_t mark)
{
    size_t place = tenant_place(slots, tenant);

    if (slots->tenants_count == slots->tenants_room) {
        size_t room = slots->tenants_room > 0 ? slots->tenants_room * 2 : TENANTS_FIRST;
        struct kms_slots_tenant *tenants = realloc(slots->tenants, room * sizeof *tenants);

        if (tenants == NULL) {
            return NULL;
        }
        slots->tenants = tenants;
        slots->tenants_room = room;
    }
    memmove(slots->tenants + place + 1, slots->tenants + place,
            (slots->tenants_count - place) * sizeof *slots->tenants);
    slots->tenants[place] = (struct kms_slots_tenant){.tenant = tenant, .next = mark, .mark = mark};
    slots->tenants_count++;
    return &slots->tenants[place];
}

/* Give out without a write, if that can be done. The lock is held. */
static bool take_reserved(struct kms_slots *slots, uint64_t tenant, uint32_t count,
                          uint64_t *ret_first)
{
    struct kms_slots_tenant *found = tenant_find(slots, tenant);

    if (found == NULL || found->mark - found->next < count) {
        return false;
    }
    *ret_first = found->next;
    found->next += count;
    return true;
}

static uint64_t block_end(uint64_t number)
{
    return (number + KMS_RESERVE_BLOCK - 1) / KMS_RESERVE_BLOCK * KMS_RESERVE_BLOCK;
}

/* Move the mark so that count numbers are free above next. Without the lock, in turn. */
static enum kl_status reserve(struct kms *kms, uint64_t tenant, uint64_t next, uint32_t count,
                              uint64_t *ret_mark, struct kl_err *err)
{
    unsigned char key[KMS_SLOTS_KEY_BYTES];
    uint64_t mark;
    enum kl_status status;

    if (count > KMS_SLOT_MAX + 1 - next) {
        return kl_fail(err, KL_ERR_TOO_LARGE, "key_tree_full",
                       "the tenant can hold no more entries", NULL);
    }
    mark = block_end(next + count);
    kms_slots_key(tenant, key);
    status = mark_store(kms, (struct kl_slice){key, sizeof key}, mark, err);
    if (status == KL_OK) {
        *ret_mark = mark;
    }
    return status;
}

/* Where a tenant that memory does not know goes on: at its mark. */
static enum kl_status mark_of(struct kms *kms, uint64_t tenant, uint64_t *ret_mark,
                              struct kl_err *err)
{
    unsigned char key[KMS_SLOTS_KEY_BYTES];

    kms_slots_key(tenant, key);
    return kms_mark_read(&kms->rows, (struct kl_slice){key, sizeof key}, KMS_TENANT_OWN_SLOTS,
                         ret_mark, err);
}

/* Move the mark of one tenant, letting go of the lock meanwhile; others may take from the old block then. */
static enum kl_status reserve_more(struct kms *kms, uint64_t tenant, uint32_t count,
                                   struct kl_err *err)
{
    struct kms_slots *slots = &kms->slots;
    struct kms_slots_tenant *found = tenant_find(slots, tenant);
    bool known = found != NULL;
    uint64_t next = known ? found->next : 0;
    uint64_t mark = 0;
    enum kl_status status = KL_OK;

    if (known && found->ceiling != 0) {
        return kl_fail(err, KL_ERR_BUSY, "key_slots_busy", "the server is busy; try again",
                       "the numbers of a tenant ran out while their keys were renewed");
    }
    (void)pthread_mutex_unlock(&slots->lock);
    if (!known) {
        status = mark_of(kms, tenant, &next, err);
    }
    if (status == KL_OK) {
        status = reserve(kms, tenant, next, count, &mark, err);
    }
    (void)pthread_mutex_lock(&slots->lock);
    if (status != KL_OK) {
        return status;
    }
    found = known ? tenant_find(slots, tenant) : tenant_add(slots, tenant, next);
    if (found == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                       "no memory for a tenant's numbers");
    }
    found->mark = mark;
    return KL_OK;
}

static enum kl_status taken_check(struct kms *kms, uint64_t tenant, struct kl_err *err)
{
    uint64_t next;

    (void)pthread_mutex_lock(&kms->slots.lock);
    next = kms->slots.tenant_next;
    (void)pthread_mutex_unlock(&kms->slots.lock);
    if (tenant >= next) {
        return kl_fail(err, KL_ERR_INVALID, "key_place_invalid", "there is no such tenant",
                       "slots were asked of a tenant that was never taken");
    }
    return KL_OK;
}

static enum kl_status check_tenant(struct kms *kms, uint64_t tenant, struct kl_err *err)
{
    struct kms_place place = {tenant, KMS_SLOT_NONE, KMS_VALUE_NONE};
    enum kl_status status = taken_check(kms, tenant, err);

    return status == KL_OK ? kms_walk_check(kms, &place, err) : status;
}

enum kl_status kms_slot_take(struct kms *kms, uint64_t tenant, uint32_t count, uint64_t *ret_first,
                             struct kl_err *err)
{
    struct kms_slots *slots = &kms->slots;
    enum kl_status status;

    if (count == 0 || count > TAKE_MAX) {
        return kl_failf(err, KL_ERR_INVALID, "key_slots_count",
                        "1 to %d slots can be taken at once", TAKE_MAX);
    }
    status = check_tenant(kms, tenant, err);
    if (status != KL_OK) {
        return status;
    }
    (void)pthread_mutex_lock(&slots->lock);
    while (status == KL_OK && !take_reserved(slots, tenant, count, ret_first)) {
        if (slots->busy) {
            (void)pthread_cond_wait(&slots->moved, &slots->lock);
            continue;
        }
        slots->busy = true;
        status = reserve_more(kms, tenant, count, err);
        turn_give(slots);
    }
    (void)pthread_mutex_unlock(&slots->lock);
    return status;
}

/* ---- marks ---- */

enum kl_status kms_tenant_mark(struct kms *kms, uint64_t *ret_mark, struct kl_err *err)
{
    (void)err; /* the mark is known since the store was opened */
    (void)pthread_mutex_lock(&kms->slots.lock);
    *ret_mark = kms->slots.tenant_next;
    (void)pthread_mutex_unlock(&kms->slots.lock);
    return KL_OK;
}

enum kl_status kms_tenant_mark_raise(struct kms *kms, uint64_t at_least, struct kl_err *err)
{
    struct kms_slots *slots = &kms->slots;
    enum kl_status status = KL_OK;

    if (at_least > KMS_SLOT_MAX) {
        return kl_fail(err, KL_ERR_TOO_LARGE, "key_tree_full", "the vault can hold no more tenants",
                       NULL);
    }
    (void)pthread_mutex_lock(&slots->lock);
    turn_take(slots);
    if (slots->tenant_next < at_least) {
        (void)pthread_mutex_unlock(&slots->lock);
        status = mark_store(kms, kms_tenants_key, at_least, err);
        (void)pthread_mutex_lock(&slots->lock);
        if (status == KL_OK) {
            slots->tenant_next = at_least;
        }
    }
    turn_give(slots);
    (void)pthread_mutex_unlock(&slots->lock);
    return status;
}

enum kl_status kms_slot_mark(struct kms *kms, uint64_t tenant, uint64_t *ret_mark,
                             struct kl_err *err)
{
    const struct kms_slots_tenant *found;
    bool known;
    enum kl_status status = taken_check(kms, tenant, err);

    if (status != KL_OK) {
        return status;
    }
    (void)pthread_mutex_lock(&kms->slots.lock);
    found = tenant_find(&kms->slots, tenant);
    known = found != NULL;
    if (known) {
        *ret_mark = found->next;
    }
    (void)pthread_mutex_unlock(&kms->slots.lock);
    return known ? KL_OK : mark_of(kms, tenant, ret_mark, err);
}

/* In turn, without the lock: the mark in the store is at least what is asked. ret_mark: what it is then. */
static enum kl_status mark_lift(struct kms *kms, uint64_t tenant, uint64_t at_least, uint64_t mark,
                                uint64_t *ret_mark, struct kl_err *err)
{
    unsigned char key[KMS_SLOTS_KEY_BYTES];
    enum kl_status status = KL_OK;

    if (mark < at_least) {
        mark = block_end(at_least);
        kms_slots_key(tenant, key);
        status = mark_store(kms, (struct kl_slice){key, sizeof key}, mark, err);
    }
    if (status == KL_OK) {
        *ret_mark = mark;
    }
    return status;
}

enum kl_status kms_slot_mark_raise(struct kms *kms, uint64_t tenant, uint64_t at_least,
                                   struct kl_err *err)
{
    struct kms_slots *slots = &kms->slots;
    struct kms_slots_tenant *found;
    uint64_t mark = 0;
    bool known;
    enum kl_status status = taken_check(kms, tenant, err);

    if (status == KL_OK && at_least > KMS_SLOT_MAX) {
        status = kl_fail(err, KL_ERR_TOO_LARGE, "key_tree_full",
                         "the tenant can hold no more entries", NULL);
    }
    if (status != KL_OK) {
        return status;
    }
    (void)pthread_mutex_lock(&slots->lock);
    turn_take(slots);
    found = tenant_find(slots, tenant);
    known = found != NULL;
    mark = known ? found->mark : 0;
    (void)pthread_mutex_unlock(&slots->lock);
    if (!known) {
        status = mark_of(kms, tenant, &mark, err);
    }
    if (status == KL_OK) {
        status = mark_lift(kms, tenant, at_least, mark, &mark, err);
    }
    (void)pthread_mutex_lock(&slots->lock);
    if (status == KL_OK) {
        found = known ? tenant_find(slots, tenant) : tenant_add(slots, tenant, mark);
        if (found == NULL) {
            status = kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                             "no memory for a tenant's numbers");
        } else {
            found->mark = mark;
            found->next = found->next < at_least ? at_least : found->next;
        }
    }
    turn_give(slots);
    (void)pthread_mutex_unlock(&slots->lock);
    return status;
}

/* ---- fresh keys for what was not given out ---- */

/* In turn, without the lock: the tenant's mark moved on by a gap. Memory knows the tenant when this returns KL_OK. */
static enum kl_status gap_reserve(struct kms *kms, uint64_t tenant, uint64_t *ret_from,
                                  struct kl_err *err)
{
    struct kms_slots *slots = &kms->slots;
    struct kms_slots_tenant *found;
    uint64_t mark = 0;
    uint64_t from = 0;
    enum kl_status status = KL_OK;

    (void)pthread_mutex_lock(&slots->lock);
    found = tenant_find(slots, tenant);
    mark = found == NULL ? 0 : found->mark;
    (void)pthread_mutex_unlock(&slots->lock);
    if (mark == 0) {
        status = mark_of(kms, tenant, &mark, err);
    }
    if (status == KL_OK) {
        status = reserve(kms, tenant, mark, KMS_RENEW_GAP, &from, err);
    }
    (void)pthread_mutex_lock(&slots->lock);
    found = tenant_find(slots, tenant);
    if (status == KL_OK && found == NULL) {
        found = tenant_add(slots, tenant, mark);
        status = found == NULL
                     ? kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                               "no memory for a tenant's numbers")
                     : KL_OK;
    }
    if (status == KL_OK) {
        found->mark = from;
        found->ceiling = from;
        *ret_from = from;
    }
    (void)pthread_mutex_unlock(&slots->lock);
    return status;
}

/*
 * Numbers below the mark go on being given out meanwhile, none at it or above: those are whose keys the commit changes. The mark is
 * durable before it, so that after a crash numbers go on there in any case.
 */
enum kl_status kms_slots_renew(struct kms *kms, uint64_t tenant, struct kms_request *commit,
                               uint64_t *ret_from, struct kl_err *err)
{
    struct kms_slots *slots = &kms->slots;
    struct kms_change change = {.kind = KMS_CHANGE_RENEW};
    struct kms_slots_tenant *found;
    uint64_t from = 0;
    enum kl_status status = check_tenant(kms, tenant, err);

    if (status != KL_OK) {
        return status;
    }
    (void)pthread_mutex_lock(&slots->lock);
    turn_take(slots);
    (void)pthread_mutex_unlock(&slots->lock);
    status = gap_reserve(kms, tenant, &from, err);
    (void)pthread_mutex_lock(&slots->lock);
    turn_give(slots);
    (void)pthread_mutex_unlock(&slots->lock);
    if (status != KL_OK) {
        return status;
    }
    change.place = (struct kms_place){tenant, from, KMS_VALUE_NONE};
    commit->changes = &change;
    commit->changes_count = 1;
    status = kms_commit_own(kms, commit, err);
    commit->changes = NULL;
    commit->changes_count = 0;
    (void)pthread_mutex_lock(&slots->lock);
    found = tenant_find(slots, tenant);
    found->ceiling = 0;
    if (status == KL_OK) {
        found->next = from;
        *ret_from = from;
    }
    (void)pthread_mutex_unlock(&slots->lock);
    return status;
}
