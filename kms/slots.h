/*
 * Giving out numbers. A mark in the key store says below which number all
 * may be in use; it is moved, durably, a block at a time, before a number of
 * the block is given out. At open the next number is the mark.
 */
#ifndef KLUIS_KMS_SLOTS_H
#define KLUIS_KMS_SLOTS_H

#include "kluis/base/status.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One tenant's numbers: next..mark-1 may be given out without a write. ceiling: not 0: the mark does not move past it for now. */
struct kms_slots_tenant {
    uint64_t tenant;
    uint64_t next;
    uint64_t mark;
    uint64_t ceiling;
};

/* Threads: lock guards the rest. busy: one thread moves a mark, without the lock; others wait on moved. */
struct kms_slots {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool busy;
    struct kms_slots_tenant *tenants; /* by tenant, ascending */
    size_t tenants_count;
    size_t tenants_room;
    uint64_t tenant_next;
};
KL_MUST_USE enum kl_status kms_slots_init(struct kms_slots *slots, struct kl_err *err);
void kms_slots_done(struct kms_slots *slots);

#endif
