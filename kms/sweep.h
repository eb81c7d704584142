/*
 * Rows of shredded trees: noise that nobody can open, removed for its space. A row tells which trees are
 * dead, so that a crash forgets none; each commit takes some away.
 */
#ifndef KLUIS_KMS_SWEEP_H
#define KLUIS_KMS_SWEEP_H

#include "kms/internal.h"

/* How many rows one commit takes away. */
#define KMS_SWEEP_ROWS 256

/* Remove some rows, not synced. The leader's, after a commit. A failed read is left for the next time; a failed write is fatal. */
void kms_sweep(struct kms *kms);

#endif
