/*
 * The sweep: what was overwritten, or stands in an index that is over, loses
 * its keys, so that old files and backups tell nothing of it.
 *
 * For each tenant, in this order: when something was erased, removed or rectified since, a new index is built beside the one in use and takes its
 * place; the slots of indexes that are over are shredded; then value slots no longer in use, of which nothing in the index can tell any more; expired
 * answers of requests are deleted. By night only values go that a verified backup has the successors of, or that have waited long enough; by hand
 * everything that was overwritten until then.
 *
 * The horizon of a tenant: nothing that was overwritten before this time can be read by anybody.
 */
#ifndef VAULT_SWEEP_H
#define VAULT_SWEEP_H

#include "kluis/base/json.h"
#include "kluis/base/status.h"
#include "vault/job.h"
#include "vault/upkeep.h"

#include <stdint.h>

#define VAULT_META_SWEEP_NIGHT "sweep-night"

extern const struct vault_job_type vault_sweep_job;
extern const struct vault_upkeep_task vault_sweep_nightly;

/*
 * Shred what is left of a tenant's indexes that are over; nothing is left of most. An erasure does this when it knows whose entries go: it
 * re-keys the buckets of the index in use and of the one being built alone, and an index may have come to its end just before. Any thread, also beside
 * a sweep that does the same. What kms_commit returns, and those of vault_index_old_next().
 */
KL_MUST_USE enum kl_status vault_sweep_old_index_end(struct vault *vault, uint64_t tenant,
                                                     struct kl_err *err);
/*
 * The same for every tenant at open, when no request is let in yet. Where that is not possible now (a mirror is away), it is left to a
 * sweep or an erasure, and said in the log. KL_ERR_IO, KL_ERR_CORRUPT, KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_sweep_old_indexes(struct vault *vault, struct kl_err *err);

/*
 * When the first sweep starts that is planned behind after_us: after it, whoever has all bytes and all keys cannot tell from the index
 * what was erased before after_us. 0: none is planned. Any thread.
 */
int64_t vault_sweep_next_us(struct vault *vault, int64_t after_us);

/*
 * Add "horizon" (null: there was no sweep yet) and "sweep": {"next_at", "last_at", "waiting"} to the object open in out; of a tenant, or
 * (VAULT_JOB_OF_ANY) of the whole vault: the earliest horizon. waiting: value slots that wait, at most VAULT_SWEEP_WAITING_MAX are counted.
 */
#define VAULT_SWEEP_WAITING_MAX 10000
KL_MUST_USE enum kl_status vault_sweep_state_add(struct vault *vault, uint64_t tenant,
                                                 struct kl_json_out *out, struct kl_err *err);

#endif
