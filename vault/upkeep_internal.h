/*
 * The inside of upkeep: the queue of jobs and when tasks are due. Tests put
 * job types and tasks of their own in place before there is a thread.
 */
#ifndef VAULT_UPKEEP_INTERNAL_H
#define VAULT_UPKEEP_INTERNAL_H

#include "vault/job.h"
#include "vault/upkeep.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define VAULT_UPKEEP_PAUSE_FIRST_MS 250
#define VAULT_UPKEEP_PAUSE_MAX_MS 60000

/* A job that waits or runs. job is the upkeep's thread's once it is in the queue; the rest is under the lock. */
struct vault_upkeep_job {
    struct vault_job job;
    uint32_t pause_ms; /* 0: the last step worked */
    int64_t again_ms;  /* monotonic; not before */
    struct vault_upkeep_job *next;
};

struct vault_upkeep {
    const struct vault_job_type *const *types; /* VAULT_JOB_KINDS of them */
    const struct vault_upkeep_task *const
        *tasks;                                  /* ended by NULL, at most VAULT_UPKEEP_TASKS_MAX */
    int64_t task_due_ms[VAULT_UPKEEP_TASKS_MAX]; /* monotonic; the upkeep's thread's */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct vault_upkeep_options options;
    struct vault_upkeep_job *jobs; /* in the order they were asked for */
    size_t job_count;              /* with those reserved */
    pthread_t thread;
    bool running;
    bool stopping;
    bool woken;
};

#endif
