/*
 * Where generalised values of the erased wait until they are published together (statistics.h).
 *
 * What erasures of a tenant give lies beside the keys, where no backup and no older data/ reaches it, in a cohort: a slot of the tenant's tree under which all of it is sealed, and which is shredded
 * when it is published, or dropped. Nothing of a row says who it is of but its place in the log, and a keyed hash inside the seal, by which nobody counts twice: both are
 * of no use without the cohort's key.
 *
 *   "VC" tenant8 cohort8       format 1, since i64: the day of its first value; closed u8: nothing is added any more
 *   "VG" tenant8 cohort8 id16  format 1, counts u8, sealed (statistics_text.h, padded)
 *
 * A value is written before the key commit of its erasure, with counts 0; the note of that commit names the row, and makes it count. So it counts if and only if
 * the erasure was done, and once: at open the notes that are left do so once more. Rows that do not count then are of erasures that never came to their commit.
 *
 * Threads: any. Whoever enters is waited for by whoever closes; nobody who is inside waits for the upkeep or takes the turn.
 */
#ifndef VAULT_WAITING_H
#define VAULT_WAITING_H

#include "vault/erasure_note.h"
#include "vault/statistics_text.h"
#include "vault/vault_internal.h"

/* A cohort is over this long after the day it began, or earlier, when so many erasures are in it. */
#define VAULT_WAITING_MAX_US (30 * KL_TIME_DAY_US)
#define VAULT_WAITING_MAX_ROWS 65536
/* Cohorts of all tenants, open and closed: as many tenants, and some that could not be published yet. */
#define VAULT_COHORTS_MAX (2 * VAULT_TENANTS_MAX)

struct vault_waiting;
/* NULL: no memory. Ended with the vault. */
struct vault_waiting *vault_waiting_new(void);
void vault_waiting_free(struct vault_waiting *waiting);
/* At open, after recovery: reads the cohorts, and removes what does not count. KL_ERR_CORRUPT "statistic_damaged", KL_ERR_IO, KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_waiting_open(struct vault *vault, struct kl_err *err);

/* The person of a slot, the same in all cohorts of a tenant. What kms_mac() returns. */
KL_MUST_USE enum kl_status vault_waiting_person(struct vault *vault, uint64_t tenant, uint64_t slot,
                                                unsigned char ret[VAULT_PERSON_BYTES],
                                                struct kl_err *err);

/* An erasure that is under way: of which cohort it is. Zeroed: of none. */
struct vault_waiting_ticket {
    uint64_t tenant;
    uint64_t cohort;
};
/*
 * Take part in the tenant's open cohort, which begins now if there is none, until _leave(). Waits while the tenant is being ended. What kms_slot_take() and
 * kms_side_apply() return; KL_ERR_BUSY "too_many_cohorts".
 */
KL_MUST_USE enum kl_status vault_waiting_enter(struct vault *vault, uint64_t tenant, int64_t now_us,
                                               struct vault_waiting_ticket *ticket,
                                               struct kl_err *err);
void vault_waiting_leave(struct vault *vault, struct vault_waiting_ticket *ticket);
/* Write what somebody gives, not yet counting, and name it in the note. What kms_seal() and kms_side_apply() return. */
KL_MUST_USE enum kl_status vault_waiting_write(struct vault *vault,
                                               const struct vault_waiting_ticket *ticket,
                                               const struct vault_given *given,
                                               struct vault_note *note, struct kl_err *err);
/* The erasure of the note failed: what it was to give is forgotten, unless it was done after all. */
void vault_waiting_undo(struct vault *vault, const struct vault_note *note);
/* The erasure of the note was done: it counts. May come again; not synced. */
KL_MUST_USE enum kl_status vault_waiting_counts(struct vault *vault, const struct vault_note *note,
                                                struct kl_err *err);

/* ---- for who publishes: the turn is held ---- */

/* The first tenant behind that one for which vault_waiting_close() would find a cohort. False: there is none. */
bool vault_waiting_over_next(struct vault *vault, int64_t now_us, uint64_t after,
                             uint64_t *ret_tenant);
/*
 * Close a cohort that is over at that time, or was closed and is still there; whoever is inside is waited for. *ret_cohort 0: there is none. after: cohorts up to this one
 * are passed over (0: none).
 */
KL_MUST_USE enum kl_status vault_waiting_close(struct vault *vault, uint64_t tenant, int64_t now_us,
                                               uint64_t after, uint64_t *ret_cohort,
                                               struct kl_err *err);
/* Add what waits in a cohort to counting. Rows that cannot be read are logged and not counted. */
KL_MUST_USE enum kl_status vault_waiting_count(struct vault *vault, uint64_t tenant,
                                               uint64_t cohort, struct vault_counting *counting,
                                               struct kl_err *err);
/*
 * Its key is gone: forget that it was, in memory where nobody can be inside any more and in its row, not synced; and what was given to it, which may be much and
 * is noise by then: later, or at the next open.
 */
KL_MUST_USE enum kl_status vault_waiting_cohort_forget(struct vault *vault, uint64_t tenant,
                                                       uint64_t cohort, struct kl_err *err);
KL_MUST_USE enum kl_status vault_waiting_rows_forget(struct vault *vault, uint64_t tenant,
                                                     uint64_t cohort, struct kl_err *err);
void vault_waiting_forget(struct vault *vault, uint64_t tenant, uint64_t cohort);

/*
 * The tenant comes to its end, one at a time: nobody enters any more, who is inside has left, and its cohorts are not over for who publishes. begin: the turn
 * is held. ret_cohorts: the caller's, for free(). end_done: it is
 * gone, or it goes on; those who wait to enter see for themselves.
 */
KL_MUST_USE enum kl_status vault_waiting_end_begin(struct vault *vault, uint64_t tenant,
                                                   uint64_t **ret_cohorts, size_t *ret_count,
                                                   struct kl_err *err);
/* A closed cohort without anything in it, made within an end. Errors as of vault_waiting_enter(). */
KL_MUST_USE enum kl_status vault_waiting_empty(struct vault *vault, uint64_t tenant, int64_t now_us,
                                               uint64_t *ret_cohort, struct kl_err *err);
void vault_waiting_end_done(struct vault *vault, uint64_t tenant, bool gone);

#endif
