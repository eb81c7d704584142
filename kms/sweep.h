/*
 * Rows of shredded trees: noise that nobody can open, removed for its space. A row tells which trees are dead, or have pages that hang
 * nowhere any more (a slot that was rekeyed, or of which only some values were kept), so that a crash forgets none; each
 * commit takes some away.
 */
#ifndef KLUIS_KMS_SWEEP_H
#define KLUIS_KMS_SWEEP_H

#include "kms/internal.h"

/* How many rows one commit takes away, and how many it looks at. */
#define KMS_SWEEP_ROWS 256
#define KMS_SWEEP_LOOKS 512

/* A tree was added by the commit that just swapped its pages: what was looked at of it counts no more. The leader's. */
void kms_sweep_add(struct kms *kms, const unsigned char dead_key[KMS_DEAD_KEY_BYTES]);
/* Remove some rows, not synced. The leader's, after a commit. A failed read is left for the next time; a failed write is fatal. */
void kms_sweep(struct kms *kms);

#endif
