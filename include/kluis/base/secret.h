/*
 * Guarded memory for keys: locked, left out of core dumps, between guard
 * pages, wiped when freed (sodium_malloc). The child of a fork finds zeros
 * in it, and must not free it.
 */
#ifndef KLUIS_BASE_SECRET_H
#define KLUIS_BASE_SECRET_H

#include "kluis/base/status.h"

#include <stdbool.h>
#include <stddef.h>

struct kl_secret;

/*
 * To be called once by main before the first thread and before any secret:
 * sodium_init, no core dumps (RLIMIT_CORE 0, PR_SET_DUMPABLE 0, and an empty
 * coredump_filter, so that not even a dump forced by root holds memory), and
 * one try at locking memory.
 *
 * allow_unlocked  go on when memory cannot be locked (a flag of main; tests).
 *
 * KL_ERR_NO_MEMORY  memory cannot be locked and allow_unlocked is false; the text names
 * RLIMIT_MEMLOCK. KL_ERR_INTERNAL   libsodium does not start.
 */
KL_MUST_USE enum kl_status kl_secret_process_init(bool allow_unlocked, struct kl_err *err);

/*
 * How much memory this process may lock in all: SIZE_MAX when there is no limit to it, or when unlocked memory was allowed. For those who
 * divide it among caches; any thread, after kl_secret_process_init().
 */
size_t kl_secret_lockable_bytes(void);

/* bytes 1..65536, zeroed. NULL when there is no guarded memory. Ends with kl_secret_free(). */
struct kl_secret *kl_secret_new(size_t bytes);

/* Wipe and release; NULL is fine. */
void kl_secret_free(struct kl_secret *secret);

/* The bytes themselves; valid until kl_secret_free(). */
unsigned char *kl_secret_bytes(struct kl_secret *secret);
const unsigned char *kl_secret_peek(const struct kl_secret *secret);
size_t kl_secret_size(const struct kl_secret *secret);

/*
 * One locked region handed out in equal cells, for many small keys (a page
 * cache): sodium_malloc costs several pages each, a cell costs its size.
 * Threads: none of these lock; the owner guards the arena with its own lock.
 */
struct kl_secret_arena;

/*
 * cell_bytes 16..65536, cells_max 1..16777216; memory is taken in locked chunks as it is needed, small ones at first.
 * NULL when out of memory.
 */
struct kl_secret_arena *kl_secret_arena_new(size_t cell_bytes, size_t cells_max);
void kl_secret_arena_free(struct kl_secret_arena *arena);
/* A zeroed cell, or NULL when cells_max are out or no memory can be locked. */
unsigned char *kl_secret_arena_take(struct kl_secret_arena *arena);
/* Whether the next take needs another chunk; and the bytes of all chunks so far. A chunk is never given back before the end. */
bool kl_secret_arena_must_grow(const struct kl_secret_arena *arena);
size_t kl_secret_arena_locked_bytes(const struct kl_secret_arena *arena);
/* Wipe the cell and take it back. NULL is fine. */
void kl_secret_arena_give(struct kl_secret_arena *arena, unsigned char *cell);

#endif
