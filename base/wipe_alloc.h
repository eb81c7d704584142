/*
 * An allocator that wipes what it frees, for libraries that take one and may hold personal data in
 * it. Threads: as malloc.
 */
#ifndef BASE_WIPE_ALLOC_H
#define BASE_WIPE_ALLOC_H

#include <stddef.h>

/* context is not used. All take and give what malloc would; size 1 and more. */
void *kl_wipe_malloc(void *context, size_t size);
void *kl_wipe_realloc(void *context, void *piece, size_t old_size, size_t size);
void kl_wipe_free(void *context, void *piece);

#endif
