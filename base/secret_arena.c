/*
 * Locked chunks cut into equal cells. A cell that was given back holds the
 * pointer to the next free one and is otherwise zero; cells of the newest
 * chunk that were never taken are counted, not linked.
 *
 * A chunk is a quarter of what there is already, up to 4 MiB: even a cache of
 * many gigabytes needs few mappings (a kernel has 65,530 for a process by
 * default), and where little can be locked little lies idle.
 */
#include "kluis/base/secret.h"

#include "base/secret_internal.h"

#include <assert.h>
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CELL_MIN_BYTES 16
#define CELL_MAX_BYTES 65536
#define CELLS_MAX 16777216
#define LINK_BYTES sizeof(void *)
#define CHUNK_FIRST_BYTES ((size_t)64 * 1024)
#define CHUNK_LAST_BYTES ((size_t)4 * 1024 * 1024)

struct kl_secret_arena {
    size_t cell_bytes;
    size_t cells_max;
    size_t cells_taken; /* in all, given back ones not counted */
    unsigned char *free_cell;
    unsigned char **chunks;
    size_t chunks_count;
    size_t chunks_room;
    size_t chunks_bytes; /* of all chunks */
    size_t chunk_bytes;  /* of the newest chunk */
    size_t chunk_handed; /* bytes of the newest chunk handed out at least once */
};

struct kl_secret_arena *kl_secret_arena_new(size_t cell_bytes, size_t cells_max)
{
    struct kl_secret_arena *arena;

    assert(cell_bytes >= CELL_MIN_BYTES && cell_bytes <= CELL_MAX_BYTES);
    assert(cells_max >= 1 && cells_max <= CELLS_MAX);
    arena = calloc(1, sizeof(*arena));
    if (arena == NULL) {
        return NULL;
    }
    arena->cell_bytes = (cell_bytes + 15) / 16 * 16;
    arena->cells_max = cells_max;
    return arena;
}

void kl_secret_arena_free(struct kl_secret_arena *arena)
{
    if (arena == NULL) {
        return;
    }
    for (size_t i = 0; i < arena->chunks_count; i++) {
        sodium_free(arena->chunks[i]);
    }
    free(arena->chunks);
    free(arena);
}

/* Room for one more pointer in chunks. */
static bool chunks_reserve(struct kl_secret_arena *arena)
{
    size_t room = arena->chunks_room > 0 ? arena->chunks_room * 2 : 8;
    unsigned char **chunks;

    if (arena->chunks_count < arena->chunks_room) {
        return true;
    }
    chunks = realloc(arena->chunks, room * sizeof(*chunks));
    if (chunks == NULL) {
        return false;
    }
    arena->chunks = chunks;
    arena->chunks_room = room;
    return true;
}

static bool chunk_add(struct kl_secret_arena *arena)
{
    size_t bytes = arena->chunks_bytes / 4 / CHUNK_FIRST_BYTES * CHUNK_FIRST_BYTES;
    unsigned char *chunk;

    if (!chunks_reserve(arena)) {
        return false;
    }
    bytes = bytes < CHUNK_FIRST_BYTES ? CHUNK_FIRST_BYTES : bytes;
    bytes = bytes > CHUNK_LAST_BYTES ? CHUNK_LAST_BYTES : bytes;
    chunk = kl_guarded_new(bytes);
    if (chunk == NULL && bytes > CHUNK_FIRST_BYTES) {
        bytes = CHUNK_FIRST_BYTES;
        chunk = kl_guarded_new(bytes);
    }
    if (chunk == NULL) {
        return false;
    }
    arena->chunks[arena->chunks_count++] = chunk;
    arena->chunks_bytes += bytes;
    arena->chunk_bytes = bytes;
    arena->chunk_handed = 0;
    return true;
}

static unsigned char *take_given_back(struct kl_secret_arena *arena)
{
    unsigned char *cell = arena->free_cell;

    memcpy(&arena->free_cell, cell, LINK_BYTES);
    memset(cell, 0, LINK_BYTES);
    return cell;
}

unsigned char *kl_secret_arena_take(struct kl_secret_arena *arena)
{
    unsigned char *cell;

    if (arena->cells_taken == arena->cells_max) {
        return NULL;
    }
    if (arena->free_cell != NULL) {
        cell = take_given_back(arena);
    } else {
        if (arena->cell_bytes > arena->chunk_bytes - arena->chunk_handed && !chunk_add(arena)) {
            return NULL;
        }
        cell = arena->chunks[arena->chunks_count - 1] + arena->chunk_handed;
        arena->chunk_handed += arena->cell_bytes;
    }
    arena->cells_taken++;
    return cell;
}

bool kl_secret_arena_must_grow(const struct kl_secret_arena *arena)
{
    return arena->free_cell == NULL && arena->cell_bytes > arena->chunk_bytes - arena->chunk_handed;
}

size_t kl_secret_arena_locked_bytes(const struct kl_secret_arena *arena)
{
    return arena->chunks_bytes;
}

void kl_secret_arena_give(struct kl_secret_arena *arena, unsigned char *cell)
{
    if (cell == NULL) {
        return;
    }
    assert(arena->cells_taken > 0);
    sodium_memzero(cell, arena->cell_bytes);
    memcpy(cell, &arena->free_cell, LINK_BYTES);
    arena->free_cell = cell;
    arena->cells_taken--;
}
