#include "vault/list_order.h"

#include "kluis/base/encode.h"
#include "vault/rows.h"

#include <sodium.h>
#include <stdlib.h>

struct place {
    uint64_t rank;
    uint64_t slot;
};

void vault_list_position_encode(const struct vault_list_position *position,
                                unsigned char ret[VAULT_LIST_POSITION_BYTES])
{
    kl_put_u64be(ret, position->first);
    kl_put_u64be(ret + 8, position->last);
    kl_put_u64be(ret + 16, position->after);
}

bool vault_list_position_decode(struct kl_slice bytes, struct vault_list_position *ret)
{
    if (bytes.size != VAULT_LIST_POSITION_BYTES) {
        return false;
    }
    ret->first = kl_get_u64be(bytes.bytes);
    ret->last = kl_get_u64be(bytes.bytes + 8);
    ret->after = kl_get_u64be(bytes.bytes + 16);
    return true;
}

static struct place place_of(const unsigned char key[VAULT_LIST_KEY_BYTES], uint64_t slot)
{
    struct place place = {.slot = slot};
    unsigned char number[8];
    unsigned char hash[16];

    kl_put_u64be(number, slot);
    crypto_generichash(hash, sizeof hash, number, sizeof number, key, VAULT_LIST_KEY_BYTES);
    place.rank = kl_get_u64be(hash);
    return place;
}

static int by_rank(const void *a, const void *b)
{
    const struct place *x = a;
    const struct place *y = b;

    if (x->rank != y->rank) {
        return x->rank < y->rank ? -1 : 1;
    }
    return (x->slot > y->slot) - (x->slot < y->slot);
}

/* All that are left of the window, as they come. */
static enum kl_status gather(struct vault *vault, uint64_t tenant,
                             const unsigned char key[VAULT_LIST_KEY_BYTES],
                             struct vault_list_position *position, struct place *places,
                             size_t *ret_count, bool *ret_more, struct kl_err *err)
{
    const struct vault_row_key from = vault_row_head(tenant, position->first);
    const struct vault_row_key until = vault_row_head(tenant, UINT64_MAX);
    const struct place after = place_of(key, position->after);
    struct vault_iter *iter =
        vault_iter_new(vault->data_store, vault_row_slice(&from), vault_row_slice(&until), false);
    enum kl_status status = KL_OK;
    struct kl_slice head;
    struct kl_slice row;
    uint64_t last = position->last;
    size_t looked = 0;
    size_t count = 0;
    bool more = false;

    if (iter == NULL) {
        return kl_fail_memory(err);
    }
    while (!more && vault_iter_next(iter, &head, &row)) {
        const struct place place = place_of(key, kl_get_u64be(head.bytes + head.size - 8));

        more = place.slot > position->last || looked == VAULT_LIST_WINDOW;
        if (more) {
            break;
        }
        looked++;
        if (position->last == VAULT_LIST_OPEN) {
            last = place.slot;
        }
        if (position->after == VAULT_LIST_OPEN || by_rank(&place, &after) > 0) {
            places[count++] = place;
        }
    }
    status = vault_iter_status(iter, err);
    vault_iter_free(iter);
    if (status == KL_OK) {
        position->last = last;
        *ret_count = count;
        *ret_more = more;
    }
    return status;
}

enum kl_status vault_list_window(struct vault *vault, uint64_t tenant,
                                 const unsigned char key[VAULT_LIST_KEY_BYTES],
                                 struct vault_list_position *position, struct kl_arena *arena,
                                 uint64_t **ret_slots, size_t *ret_count, bool *ret_more,
                                 struct kl_err *err)
{
    struct place *places = kl_arena_array(arena, VAULT_LIST_WINDOW, sizeof *places);
    uint64_t *slots = kl_arena_array(arena, VAULT_LIST_WINDOW, sizeof *slots);
    enum kl_status status = KL_OK;
    size_t count = 0;
    size_t i;

    if (places == NULL || slots == NULL) {
        return kl_fail_memory(err);
    }
    status = gather(vault, tenant, key, position, places, &count, ret_more, err);
    if (status != KL_OK) {
        return status;
    }
    if (count > 0) {
        qsort(places, count, sizeof *places, by_rank);
    }
    for (i = 0; i < count; i++) {
        slots[i] = places[i].slot;
    }
    *ret_slots = slots;
    *ret_count = count;
    return KL_OK;
}
