/*
 * A chain of blocks, each handed out from its start. Memory not handed out
 * yet is always zero, so a piece needs no clearing when it is taken.
 */
#include "kluis/base/arena.h"

#include <assert.h>
#include <sodium.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_MIN_BYTES 4096
#define ARENA_MAX_BYTES ((size_t)1 << 30)
#define ARENA_FIRST_BLOCK_BYTES 4096
#define ARENA_GROWN_BLOCK_BYTES ((size_t)256 * 1024)

struct block {
    struct block *older;
    size_t size;
    size_t used;
    alignas(max_align_t) unsigned char bytes[];
};

struct kl_arena {
    struct block *newest;
    size_t max_bytes;
    size_t used; /* in all blocks */
};

static struct block *block_new(size_t size, struct block *older)
{
    struct block *block = calloc(1, sizeof(*block) + size);

    if (block != NULL) {
        block->older = older;
        block->size = size;
    }
    return block;
}

static void block_free(struct block *block)
{
    sodium_memzero(block->bytes, block->used);
    free(block);
}

struct kl_arena *kl_arena_new(size_t max_bytes)
{
    struct kl_arena *arena;

    assert(max_bytes >= ARENA_MIN_BYTES && max_bytes <= ARENA_MAX_BYTES);
    arena = calloc(1, sizeof(*arena));
    if (arena == NULL) {
        return NULL;
    }
    arena->max_bytes = max_bytes;
    arena->newest = block_new(ARENA_FIRST_BLOCK_BYTES, NULL);
    if (arena->newest == NULL) {
        free(arena);
        return NULL;
    }
    return arena;
}

void kl_arena_free(struct kl_arena *arena)
{
    if (arena == NULL) {
        return;
    }
    while (arena->newest != NULL) {
        struct block *older = arena->newest->older;
        block_free(arena->newest);
        arena->newest = older;
    }
    free(arena);
}

void kl_arena_reset(struct kl_arena *arena)
{
    while (arena->newest->older != NULL) {
        struct block *older = arena->newest->older;
        block_free(arena->newest);
        arena->newest = older;
    }
    sodium_memzero(arena->newest->bytes, arena->newest->used);
    arena->newest->used = 0;
    arena->used = 0;
}

/* Put a block with room for size bytes in front. */
static bool arena_grow(struct kl_arena *arena, size_t size)
{
    size_t block_bytes = arena->newest->size * 2;
    struct block *block;

    if (block_bytes > ARENA_GROWN_BLOCK_BYTES) {
        block_bytes = ARENA_GROWN_BLOCK_BYTES;
    }
    if (block_bytes < size) {
        block_bytes = size;
    }
    block = block_new(block_bytes, arena->newest);
    if (block == NULL) {
        return false;
    }
    arena->newest = block;
    return true;
}

void *kl_arena_alloc(struct kl_arena *arena, size_t size)
{
    const size_t align = alignof(max_align_t);
    struct block *block;
    void *piece;

    if (size > arena->max_bytes) {
        return NULL;
    }
    size = size > 0 ? (size + align - 1) / align * align : align;
    if (size > arena->max_bytes - arena->used) {
        return NULL;
    }
    if (size > arena->newest->size - arena->newest->used && !arena_grow(arena, size)) {
        return NULL;
    }
    block = arena->newest;
    piece = block->bytes + block->used;
    block->used += size;
    arena->used += size;
    return piece;
}

void *kl_arena_array(struct kl_arena *arena, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        return NULL;
    }
    return kl_arena_alloc(arena, bytes);
}

char *kl_arena_text(struct kl_arena *arena, const void *text, size_t size)
{
    char *copy = size < SIZE_MAX ? kl_arena_alloc(arena, size + 1) : NULL;

    if (copy != NULL && size > 0) {
        memcpy(copy, text, size);
    }
    return copy;
}
