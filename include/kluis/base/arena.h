/*
 * Memory of one request: many small pieces, one end. Everything in it is
 * wiped when it ends. Threads: one at a time.
 */
#ifndef KLUIS_BASE_ARENA_H
#define KLUIS_BASE_ARENA_H

#include "kluis/base/buf.h"
#include "kluis/base/status.h"

#include <stddef.h>

struct kl_arena;

/* max_bytes: what it will hold in all (4096..1 GiB). NULL when out of memory. */
struct kl_arena *kl_arena_new(size_t max_bytes);
/* Wipe and release everything; NULL is fine. */
void kl_arena_free(struct kl_arena *arena);
/* Wipe everything and start again, keeping the first block. */
void kl_arena_reset(struct kl_arena *arena);
/*
 * Zeroed, aligned for any type; NULL when max_bytes or memory is at its end. size 0 gives a valid
 * pointer.
 */
void *kl_arena_alloc(struct kl_arena *arena, size_t size);
/* count elements of size each, with the overflow checked. */
void *kl_arena_array(struct kl_arena *arena, size_t count, size_t size);
/* A copy of text[0..size) with a 0 byte behind it; NULL when out of memory. */
char *kl_arena_text(struct kl_arena *arena, const void *text, size_t size);

#endif
