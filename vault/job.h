/*
 * Jobs: work that takes longer than a request (a rotation of many pages, a
 * sweep, a backup). A job is a row in data/, made by an act that is audited;
 * the upkeep thread does it step by step, and goes on with it after a crash.
 * Jobs of one kind run one at a time, in the order they were asked for; one that
 * waits for something that does not answer lets those of other kinds pass.
 *
 * Threads: vault_job_start, _read, _show and _list from any; steps on the upkeep's thread alone.
 */
#ifndef VAULT_JOB_H
#define VAULT_JOB_H

#include "kluis/base/buf.h"
#include "kluis/base/id.h"
#include "kluis/base/json.h"
#include "kluis/base/status.h"
#include "vault/vault_internal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_JOB_TEXT_MAX_BYTES 4096 /* of params, cursor and result each */
#define VAULT_JOBS_WAITING_MAX 64

enum vault_job_kind {
    VAULT_JOB_ROTATION,  /* ids "rot_" */
    VAULT_JOB_SWEEP,     /* ids "swp_" */
    VAULT_JOB_BACKUP,    /* ids "bak_": create */
    VAULT_JOB_VERIFY,    /* ids "ver_": verify a backup */
    VAULT_JOB_RETENTION, /* ids "rtn_" */
    VAULT_JOB_PRUNE,     /* ids "prn_" */
    VAULT_JOB_KINDS
};
enum vault_job_state { VAULT_JOB_RUNNING, VAULT_JOB_DONE, VAULT_JOB_FAILED };

/*
 * params  what was asked, a JSON object made by the kind; constant.
 * cursor  how far it is: the kind's own bytes, kept with the job after every step, so that a crash repeats at most one step.
 * result  a JSON object of what came out, the kind's; shown with the job. May grow with each step.
 * trail   where its audit entries are written: that of who asked, or the tenant's for the vault's own acts.
 * progress 0..1. failed_code: why it failed, a code as in errors; empty else.
 */
struct vault_job {
    struct kl_id id;
    enum vault_job_kind kind;
    enum vault_job_state state;
    uint64_t tenant; /* whose it is; KMS_TENANT_VAULT: the whole vault's */
    uint64_t trail;
    int64_t started_us;
    int64_t ended_us;
    double progress;
    char failed_code[64];
    struct kl_buf params;
    struct kl_buf cursor;
    struct kl_buf result;
};

/*
 * How a kind works. step does a bounded piece (tens of milliseconds, no lock held between two) and sets *ret_done with the last; a failure ends
 * the job as failed, but for KL_ERR_UNAVAILABLE, KL_ERR_BUSY and KL_ERR_NO_MEMORY: tried again after a pause that grows to a minute.
 * What it made durable before it failed should be told by cursor and result, which are kept then too.
 * A step may be repeated after a crash: it must be idempotent. action names it in the audit trail: "<action>" when it is asked for,
 * "<action>_done" or "<action>_failed" at its end, with the members of result. show (may be NULL) adds the kind's members to the JSON of a job (level, ...).
 */
struct vault_job_type {
    const char *prefix;
    const char *action;
    enum kl_status (*step)(struct vault *vault, struct vault_job *job, bool *ret_done,
                           struct kl_err *err);
    void (*show)(struct vault *vault, const struct vault_job *job, struct kl_json_out *out);
};
extern const struct vault_job_type *const vault_job_types[VAULT_JOB_KINDS];

/* An empty job, its buffers made; ended by vault_job_done(), which any zeroed job stands as well. */
void vault_job_init(struct vault_job *job);
void vault_job_done(struct vault_job *job);

/*
 * Write the job and its audit entry, hand it to the upkeep, and show it: {"id","state":"running|done|failed","started_at","ended_at",
 * "progress", "failed_code"?, …what show adds, …the members of result}. params: a JSON object, copied.
 * With an idempotency key used before: that job, *ret_replayed true. caller NULL: the vault's own (nightly) act.
 * KL_ERR_BUSY "jobs_waiting" VAULT_JOBS_WAITING_MAX wait already, or fewer of a tenant's own (job_internal.h). KL_ERR_TOO_LARGE params. KL_ERR_UNAVAILABLE "audit_unavailable". KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_job_start(struct vault *vault, const struct vault_caller *caller,
                                           enum vault_job_kind kind, struct kl_slice params,
                                           const struct vault_idempotency *idempotency,
                                           struct kl_buf *ret, bool *ret_replayed,
                                           struct kl_err *err);
/* A job as it was after its last step; ret is made with vault_job_init() by the caller. KL_ERR_NOT_FOUND "not_found". */
KL_MUST_USE enum kl_status vault_job_read(struct vault *vault, enum vault_job_kind kind,
                                          const struct kl_id *id, struct vault_job *ret,
                                          struct kl_err *err);
/* The same as JSON. KL_ERR_NOT_FOUND "not_found". */
KL_MUST_USE enum kl_status vault_job_show(struct vault *vault, enum vault_job_kind kind,
                                          const struct kl_id *id, struct kl_buf *ret,
                                          struct kl_err *err);
/*
 * The newest jobs of a kind first, at most max (1..VAULT_JOB_LIST_MAX), as a JSON array. tenant: only those of that tenant;
 * VAULT_JOB_OF_ANY: all.
 */
#define VAULT_JOB_LIST_MAX 100
#define VAULT_JOB_OF_ANY UINT64_MAX
KL_MUST_USE enum kl_status vault_job_list(struct vault *vault, enum vault_job_kind kind,
                                          uint64_t tenant, size_t max, struct kl_buf *ret,
                                          struct kl_err *err);
/* Whether a job of that kind waits or runs. Any thread. */
bool vault_job_waits(struct vault *vault, enum vault_job_kind kind);

#endif
