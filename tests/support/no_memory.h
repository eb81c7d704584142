/*
 * Let the n-th allocation fail, or see what freed memory still holds, in a test program that
 * includes this file: cmake/KluisTests.cmake
 * then links it with --wrap for the functions below, under sanitizers too. What shared libraries
 * allocate themselves is not counted.
 *
 *     for (long n = 0, hit = 1; hit; n++) {
 *         no_memory_begin(n);
 *         status = thing_new(..., &thing);
 *         hit = no_memory_end();
 *         assert_int_equal(status, hit ? KL_ERR_NO_MEMORY : KL_OK);
 *     }
 *
 *     freed_watch("a name");
 *     thing_free(thing);
 *     assert_int_equal(freed_with_it(), 0);
 *
 * Threads: one.
 */
#ifndef TESTS_SUPPORT_NO_MEMORY_H
#define TESTS_SUPPORT_NO_MEMORY_H

#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *piece, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t chars);
void *__real_sodium_malloc(size_t size);
void __real_free(void *piece);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *piece, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t chars);
void *__wrap_sodium_malloc(size_t size);
void __wrap_free(void *piece);

/* Volatile, as compilers hold that malloc() and free() look at no variable of ours. */
static atomic_long no_memory_left = -1; /* allocations until the one that fails; -1: none fails */
static atomic_bool no_memory_hit;

/* From now on allocation n, counted from 0, fails; those before and after it work. */
static inline void no_memory_begin(long n)
{
    no_memory_left = n;
    no_memory_hit = false;
}

/* No more failures; true when one was made to fail since no_memory_begin(). */
static inline bool no_memory_end(void)
{
    no_memory_left = -1;
    return no_memory_hit;
}

static const char *_Atomic freed_pattern;
static atomic_size_t freed_count;

/* Count from now on the pieces that hold text when they are freed, or are resized; NULL ends it. */
static inline void freed_watch(const char *text)
{
    freed_pattern = text;
    freed_count = 0;
}

/* How many there were. */
static inline size_t freed_with_it(void)
{
    freed_pattern = NULL;
    return freed_count;
}

static void freed_look(void *piece)
{
    const char *pattern = freed_pattern;

    if (pattern != NULL && piece != NULL) {
        freed_count += memmem(piece, malloc_usable_size(piece), pattern, strlen(pattern)) != NULL;
    }
}

static bool no_memory_now(void)
{
    long left = atomic_load(&no_memory_left);

    do {
        if (left < 0) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&no_memory_left, &left, left - 1));
    if (left > 0) {
        return false;
    }
    no_memory_hit = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return no_memory_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return no_memory_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *piece, size_t size)
{
    freed_look(piece);
    return no_memory_now() ? NULL : __real_realloc(piece, size);
}

char *__wrap_strdup(const char *text)
{
    return no_memory_now() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t chars)
{
    return no_memory_now() ? NULL : __real_strndup(text, chars);
}

void *__wrap_sodium_malloc(size_t size)
{
    return no_memory_now() ? NULL : __real_sodium_malloc(size);
}

void __wrap_free(void *piece)
{
    freed_look(piece);
    __real_free(piece);
}

#endif
