/* What secret.c and secret_arena.c share. */
#ifndef BASE_SECRET_INTERNAL_H
#define BASE_SECRET_INTERNAL_H

#include <stddef.h>

/*
 * Zeroed guarded memory, ended with sodium_free(); NULL when there is none, or none that can be
 * locked where that is required.
 */
unsigned char *kl_guarded_new(size_t bytes);

#endif
