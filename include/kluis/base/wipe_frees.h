/*
 * For libraries that copy personal data into memory of their own and have no
 * hooks for it: between begin and end, everything that this thread frees or
 * reallocates is wiped first, whoever asks for it. Under sanitizers, which
 * keep freed memory apart anyway, nothing happens.
 *
 * Threads: each for itself. Not nested.
 */
#ifndef KLUIS_BASE_WIPE_FREES_H
#define KLUIS_BASE_WIPE_FREES_H

void kl_wipe_frees_begin(void);
void kl_wipe_frees_end(void);

#endif
