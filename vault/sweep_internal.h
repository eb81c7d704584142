/* What the files of the sweep share: how far a job is, and the pieces that it shreds. */
#ifndef VAULT_SWEEP_INTERNAL_H
#define VAULT_SWEEP_INTERNAL_H

#include "vault/rows.h"
#include "vault/subject_build.h"
#include "vault/sweep.h"

#define VAULT_SWEEP_CHANGES_MAX 1024

enum vault_sweep_phase {
    VAULT_SWEEP_START,
    VAULT_SWEEP_BUILD,
    VAULT_SWEEP_OLD_INDEX,
    VAULT_SWEEP_VALUES,
    VAULT_SWEEP_ANSWERS,
    VAULT_SWEEP_PHASES
};

/*
 * A job's cursor. until_us: what was overwritten before goes, of the tenant at hand. position: the row to go on behind, in VALUES and ANSWERS; empty:
 * the first. Counts are of all tenants.
 */
#define VAULT_SWEEP_POSITION_MAX_BYTES 24
struct vault_sweep {
    uint64_t tenant;
    enum vault_sweep_phase phase;
    int64_t until_us;
    struct vault_subject_build build;
    unsigned char position[VAULT_SWEEP_POSITION_MAX_BYTES];
    size_t position_bytes;
    uint64_t tenants;
    uint64_t values;
    uint64_t buckets;
    uint64_t answers;
    uint64_t subjects;
    uint64_t damaged;
    uint64_t indexes;
};

/* What was asked for. nightly: see sweep.h. changes_per_second 0: as fast as it goes. */
struct vault_sweep_terms {
    bool nightly;
    int64_t changes_per_second;
};

/* Slots to shred, and rows that go once they are. */
struct vault_sweep_piece {
    struct kms_change changes[VAULT_SWEEP_CHANGES_MAX];
    size_t count;
    size_t max; /* 1..VAULT_SWEEP_CHANGES_MAX */
    uint32_t values;
    uint32_t buckets;
    struct vault_batch *remove;
};

/* One piece of each phase; ret_done: the phase is over. Each may be repeated. */
KL_MUST_USE enum kl_status vault_sweep_build(struct vault *vault, struct vault_sweep *sweep,
                                             bool *ret_done, struct kl_err *err);
KL_MUST_USE enum kl_status vault_sweep_old_index(struct vault *vault, const struct vault_job *job,
                                                 struct vault_sweep *sweep,
                                                 struct vault_sweep_piece *piece, bool *ret_done,
                                                 struct kl_err *err);
KL_MUST_USE enum kl_status vault_sweep_values(struct vault *vault, const struct vault_job *job,
                                              struct vault_sweep *sweep,
                                              struct vault_sweep_piece *piece, bool *ret_done,
                                              struct kl_err *err);
KL_MUST_USE enum kl_status vault_sweep_answers(struct vault *vault, struct vault_sweep *sweep,
                                               bool *ret_done, struct kl_err *err);
/* Whether a new index is to be built for the tenant. */
KL_MUST_USE enum kl_status vault_sweep_is_unswept(struct vault *vault, uint64_t tenant, bool *ret,
                                                  struct kl_err *err);

/* A row of numbers of 8 bytes; ret are untouched when there is none. KL_ERR_CORRUPT "mark_damaged". */
KL_MUST_USE enum kl_status vault_sweep_numbers(struct vault *vault, const struct vault_row_key *key,
                                               uint64_t *ret, size_t count, bool *ret_there,
                                               struct kl_err *err);

#endif
