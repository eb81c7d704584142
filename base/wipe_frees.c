/*
 * A program that defines free() and realloc() gets the calls of every library that it loads (they are looked up in the program first).
 * These pass them on to the allocator that would have had them: the C library's, or one that was preloaded.
 */
#include "kluis/base/wipe_frees.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KL_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define KL_SANITIZED 1
#endif
#endif

#ifdef KL_SANITIZED

void kl_wipe_frees_begin(void)
{
}
void kl_wipe_frees_end(void)
{
}

#else

#include <assert.h>
#include <dlfcn.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef void (*free_function)(void *memory);
typedef void *(*malloc_function)(size_t size);
typedef void *(*realloc_function)(void *memory, size_t size);

static _Thread_local bool wiping;
static _Atomic(void *) next_free;
static _Atomic(void *) next_malloc;
static _Atomic(void *) next_realloc;

/* Found at the first call, which is made before the first thread. */
static void *next_of(_Atomic(void *) *place, const char *name)
{
    void *found = atomic_load_explicit(place, memory_order_relaxed);

    if (found == NULL) {
        found = dlsym(RTLD_NEXT, name);
        if (found == NULL) {
            abort();
        }
        atomic_store_explicit(place, found, memory_order_relaxed);
    }
    return found;
}

void free(void *memory)
{
    void *symbol;
    free_function next;

    if (memory == NULL) {
        return;
    }
    if (wiping) {
        explicit_bzero(memory, malloc_usable_size(memory));
    }
    symbol = next_of(&next_free, "free");
    memcpy(&next, &symbol, sizeof next);
    next(memory);
}

/* Never in place, so that nothing is left of what was larger. */
static void *realloc_wiped(void *memory, size_t size)
{
    void *symbol = next_of(&next_malloc, "malloc");
    malloc_function next;
    void *grown;
    size_t bytes;

    memcpy(&next, &symbol, sizeof next);
    grown = next(size);
    if (grown != NULL) {
        bytes = malloc_usable_size(memory);
        memcpy(grown, memory, bytes < size ? bytes : size);
        free(memory);
    }
    return grown;
}

void *realloc(void *memory, size_t size)
{
    void *symbol;
    realloc_function next;

    if (wiping && memory != NULL && size > 0) {
        return realloc_wiped(memory, size);
    }
    symbol = next_of(&next_realloc, "realloc");
    memcpy(&next, &symbol, sizeof next);
    return next(memory, size);
}

void kl_wipe_frees_begin(void)
{
    assert(!wiping);
    wiping = true;
}

void kl_wipe_frees_end(void)
{
    assert(wiping);
    wiping = false;
}

#endif
