/* A header before each piece holds its size, as nobody says it again when it is freed. */
#include "base/wipe_alloc.h"

#include <sodium.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct header {
    alignas(max_align_t) size_t size;
};

void *kl_wipe_malloc(void *context, size_t size)
{
    struct header *header;

    (void)context;
    if (size > SIZE_MAX - sizeof(*header)) {
        return NULL;
    }
    header = malloc(sizeof(*header) + size);
    if (header == NULL) {
        return NULL;
    }
    header->size = size;
    return header + 1;
}

void kl_wipe_free(void *context, void *piece)
{
    struct header *header = piece;

    (void)context;
    if (header != NULL) {
        header--;
        sodium_memzero(header, sizeof(*header) + header->size);
        free(header);
    }
}

void *kl_wipe_realloc(void *context, void *piece, size_t old_size, size_t size)
{
    void *grown = kl_wipe_malloc(context, size);

    if (grown == NULL) {
        return NULL;
    }
    if (piece != NULL) {
        memcpy(grown, piece, old_size < size ? old_size : size);
        kl_wipe_free(context, piece);
    }
    return grown;
}
