/* The seeds that rekeyed slots are about to get. */
#include "kms/derive.h"
#include "kms/plan.h"
#include "kms/seal.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum kl_status kms_staged_init(struct kms_staged *staged, size_t seeds_max, struct kl_err *err)
{
    memset(staged, 0, sizeof *staged);
    staged->room = seeds_max;
    if (seeds_max == 0) {
        return KL_OK;
    }
    staged->cells = kl_secret_arena_new(KMS_KEY_BYTES, seeds_max);
    staged->places = malloc(seeds_max * sizeof *staged->places);
    staged->seeds = malloc(seeds_max * sizeof *staged->seeds);
    if (staged->cells == NULL || staged->places == NULL || staged->seeds == NULL) {
        kms_staged_done(staged);
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                       "no memory for the seeds of a commit");
    }
    return KL_OK;
}

void kms_staged_done(struct kms_staged *staged)
{
    kl_secret_arena_free(staged->cells);
    free(staged->places);
    free(staged->seeds);
    memset(staged, 0, sizeof *staged);
}

enum kl_status kms_staged_add(struct kms_staged *staged, const struct kms_place *place,
                              const unsigned char **ret_seed, struct kl_err *err)
{
    unsigned char *seed;

    assert(staged->count < staged->room);
    assert(staged->count == 0 || kms_place_compare(&staged->places[staged->count - 1], place) < 0);
    seed = kl_secret_arena_take(staged->cells);
    if (seed == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_locked_memory", "the server is out of memory",
                       "no memory can be locked for a fresh seed");
    }
    randombytes_buf(seed, KMS_KEY_BYTES);
    staged->places[staged->count] = *place;
    staged->seeds[staged->count] = seed;
    staged->count++;
    *ret_seed = seed;
    return KL_OK;
}

size_t kms_staged_rekeyed(const struct kms_staged *staged, const struct kms_place **ret_places)
{
    *ret_places = staged->places;
    return staged->count;
}

static const unsigned char *seed_find(const struct kms_staged *staged,
                                      const struct kms_place *place)
{
    size_t low = 0;
    size_t high = staged->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = kms_place_compare(&staged->places[middle], place);

        if (order == 0) {
            return staged->seeds[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

/* The node that the place is about to get: its own fresh seed, or one that grows from its slot's or its tenant's. */
static bool node_of(const struct kms_staged *staged, const struct kms_place *place,
                    unsigned char ret_node[KMS_KEY_BYTES])
{
    struct kms_place above = *place;
    const unsigned char *seed = seed_find(staged, &above);
    struct kms_path path;

    if (seed == NULL) {
        above.value = KMS_VALUE_NONE;
        seed = seed_find(staged, &above);
    }
    if (seed == NULL) {
        above.slot = KMS_SLOT_NONE;
        seed = seed_find(staged, &above);
    }
    if (seed == NULL) {
        return false;
    }
    memcpy(ret_node, seed, KMS_KEY_BYTES);
    kms_path_of(place, &path);
    kms_derive_down(ret_node, &path, kms_place_trees(&above));
    return true;
}

enum kl_status kms_staged_seal(struct kms_staged *staged, const struct kms_place *place,
                               struct kl_slice context, struct kl_slice plaintext,
                               struct kl_buf *ret_sealed, struct kl_err *err)
{
    unsigned char key[KMS_KEY_BYTES];
    unsigned char *room;
    enum kl_status status = kms_seal_sizes_check(context, plaintext.size, err);

    if (status != KL_OK) {
        return status;
    }
    if (!kms_place_valid(place) || place->slot == KMS_SLOT_NONE || !node_of(staged, place, key)) {
        return kl_fail(err, KL_ERR_INVALID, "key_place_invalid", "there is no such place for a key",
                       "the place is not being rekeyed");
    }
    room = kl_buf_extend(ret_sealed, plaintext.size + KMS_SEAL_OVERHEAD_BYTES);
    if (room == NULL) {
        status = kl_buf_status(ret_sealed, err);
    } else {
        kms_derive_key(key, key);
        kms_value_seal(key, place, context, plaintext, room);
    }
    sodium_memzero(key, sizeof key);
    return status;
}
