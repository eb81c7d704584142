/*
 * The stored tree of a trail kept beside it: the leader's part, with every
 * commit; and the upkeep's, which makes it for a data/ of an older version.
 */
#include "vault/audit_internal.h"
#include "vault/audit_leaves.h"
#include "vault/audit_proof.h"
#include "vault/job.h"
#include "vault/rotation.h"
#include "vault/rows.h"
#include "vault/tenants.h"
#include "vault/upkeep.h"
#include "vault/vault_internal.h"

#include "kluis/base/log.h"
#include "kluis/base/time.h"

#include <assert.h>

/* So many entries at most are caught up with by the leader itself. */
#define CATCH_UP_MAX 1024
#define BUILD_CHUNK 16384
#define BUILD_TURN_US 250000
#define BUILD_INTERVAL_MS 1000

enum kl_status vault_trail_stored_read(struct vault_trails *trails, struct vault_trail *trail,
                                       struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = vault_tiled_read(trails->store, trail->tenant, &trail->covered, &cause);

    if (status == KL_ERR_CORRUPT || (status == KL_OK && trail->covered > trail->committed.size)) {
        trail->broken = true;
        trail->covered = 0;
        status = KL_OK;
    }
    trail->covered_next = trail->covered;
    return status == KL_OK
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

/* What is damaged makes the tree broken, and is no failure of a commit: the entries and the frontier do without. */
static enum kl_status stored_failed(struct vault_trails *trails, struct vault_trail *trail,
                                    const struct kl_err *cause, struct kl_err *err)
{
    vault_edge_free(trail->edge);
    trail->edge = NULL;
    if (cause->status != KL_ERR_CORRUPT) {
        return kl_fail(err, cause->status, cause->code, cause->client_text, "%s", cause->log_text);
    }
    (void)pthread_mutex_lock(&trails->lock);
    trail->broken = true;
    (void)pthread_mutex_unlock(&trails->lock);
    kl_log_err(KL_LOG_ERROR, "audit_tree_broken", cause);
    return KL_OK;
}

/* ---- covering entries that are there ---- */

struct covering {
    uint64_t tenant;
    struct vault_edge *edge;
    struct vault_batch *batch;
};

static enum kl_status cover_leaf(void *visitor, const struct vault_leaf *leaf, struct kl_err *err)
{
    const struct covering *covering = visitor;
    struct vault_row_key key;
    struct kl_id id;

    if (leaf->kind == VAULT_LEAF_MISSING) {
        return kl_failf(err, KL_ERR_CORRUPT, "audit_entry_missing",
                        "entry %llu of the audit trail is missing",
                        (unsigned long long)leaf->number);
    }
    if (vault_audit_entry_id(leaf->entry, &id, NULL) == KL_OK) {
        key = vault_row_audit_id(covering->tenant, &id, leaf->number);
        vault_batch_put(covering->batch, vault_row_slice(&key), kl_slice_text(""));
    }
    return vault_edge_push(covering->edge, leaf->hash, 1, covering->batch, err);
}

/* From where the edge is, up to and without past; lost numbers in one go, and past the end of past. */
static enum kl_status cover(struct vault_store *store, const struct covering *covering,
                            uint64_t past, struct kl_err *err)
{
    struct vault_lost lost = {0};
    enum kl_status status = vault_lost_read(store, covering->tenant, &lost, err);
    unsigned char leaf[KL_MERKLE_HASH_BYTES];
    struct covering visitor = *covering;

    vault_lost_leaf(leaf);
    while (status == KL_OK && vault_edge_size(covering->edge) < past) {
        uint64_t at = vault_edge_size(covering->edge);
        const struct vault_lost_range *range = vault_lost_at(&lost, at);
        uint64_t until = past;

        if (range != NULL) {
            status = vault_edge_push(covering->edge, leaf, range->until - at, covering->batch, err);
            continue;
        }
        for (size_t i = 0; i < lost.count; i++) {
            until = lost.ranges[i].from > at && lost.ranges[i].from < until ? lost.ranges[i].from
                                                                            : until;
        }
        status =
            vault_leaves_each(store, covering->tenant, &lost, at, until, cover_leaf, &visitor, err);
    }
    vault_lost_done(&lost);
    return status;
}

/* ---- the leader's ---- */

static bool is_broken(struct vault_trails *trails, const struct vault_trail *trail)
{
    bool broken;

    (void)pthread_mutex_lock(&trails->lock);
    broken = trail->broken;
    (void)pthread_mutex_unlock(&trails->lock);
    return broken;
}

enum kl_status vault_trail_stored_ready(struct vault_trails *trails, struct vault_trail *trail,
                                        struct vault_batch *batch, struct kl_err *err)
{
    struct covering covering = {.tenant = trail->tenant, .batch = batch};
    struct kl_err cause = {0};
    enum kl_status status = KL_OK;

    /* Of a trail that is touched, entries are in no row yet. */
    if (trail->edge != NULL || trail->touched || is_broken(trails, trail) ||
        trail->next.size - trail->covered_next > CATCH_UP_MAX) {
        return KL_OK;
    }
    status =
        vault_edge_new(trails->store, trail->tenant, trail->covered_next, &trail->edge, &cause);
    if (status == KL_OK) {
        covering.edge = trail->edge;
        status = cover(trails->store, &covering, trail->next.size, &cause);
    }
    return status == KL_OK ? KL_OK : stored_failed(trails, trail, &cause, err);
}

enum kl_status vault_trail_stored_push(struct vault_trails *trails, struct vault_trail *trail,
                                       const unsigned char leaf[VAULT_AUDIT_HASH_BYTES],
                                       uint64_t count, struct vault_batch *batch,
                                       struct kl_err *err)
{
    struct kl_err cause = {0};

    if (trail->edge == NULL) {
        return KL_OK;
    }
    assert(vault_edge_size(trail->edge) == trail->next.size);
    return vault_edge_push(trail->edge, leaf, count, batch, &cause) == KL_OK
               ? KL_OK
               : stored_failed(trails, trail, &cause, err);
}

void vault_trail_stored_put(struct vault_trail *trail, struct vault_batch *batch)
{
    if (trail->edge != NULL) {
        vault_edge_put(trail->edge, batch);
        trail->covered_next = vault_edge_size(trail->edge);
    }
}

enum kl_status vault_trail_tiled(struct vault_trails *trails, uint64_t tenant, uint64_t *ret_size,
                                 struct kl_err *err)
{
    struct vault_trail *trail = NULL;
    enum kl_status status = vault_trail_get(trails, tenant, &trail, err);
    uint64_t size = 0;
    uint64_t covered = 0;
    bool broken = false;

    if (status != KL_OK) {
        return status;
    }
    (void)pthread_mutex_lock(&trails->lock);
    size = trail->committed.size;
    covered = trail->covered;
    broken = trail->broken;
    (void)pthread_mutex_unlock(&trails->lock);
    if (broken) {
        return kl_fail(err, KL_ERR_CORRUPT, "audit_tile_damaged",
                       "the stored tree of the audit trail is damaged", NULL);
    }
    if (covered != size) {
        kl_err_retry(err, 5);
        return kl_fail(err, KL_ERR_UNAVAILABLE, "audit_tree_building",
                       "the tree of this audit trail is being made; try again in a while", NULL);
    }
    *ret_size = size;
    return KL_OK;
}

/* ---- the upkeep's ---- */

struct building {
    struct vault_trails *trails;
    struct vault_trail *trail;
    struct vault_batch *batch;
    uint64_t from;
    uint64_t until;
};

static enum kl_status build_inside(void *context, struct vault_batch *batch, struct kl_err *err)
{
    const struct building *building = context;
    struct vault_trail *trail = building->trail;

    if (trail->edge != NULL || trail->covered_next != building->from) {
        return kl_fail(err, KL_ERR_BUSY, "audit_tree_moved", "the leader was faster", NULL);
    }
    vault_batch_append(batch, building->batch);
    trail->covered_next = building->until;
    vault_trail_touch(building->trails, trail);
    return KL_OK;
}

static enum kl_status build_submit(struct vault *vault, struct building *building,
                                   struct kl_err *err)
{
    struct kl_err cause = {0};
    struct vault_commit commit = {.tenant = building->trail->tenant,
                                  .inside = build_inside,
                                  .inside_context = building,
                                  .unsynced = true};
    enum kl_status status = vault_commit_submit(vault->committer, &commit, &cause);

    /* Of a tenant that ends meanwhile nothing is left to do. */
    return status == KL_OK || status == KL_ERR_BUSY || status == KL_ERR_NOT_FOUND
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

static enum kl_status build_chunk(struct vault *vault, struct vault_trail *trail, uint64_t from,
                                  uint64_t until, struct kl_err *err)
{
    struct vault_trails *trails = vault->trails;
    struct building building = {
        .trails = trails, .trail = trail, .batch = vault_batch_new(), .from = from};
    struct covering covering = {.tenant = trail->tenant, .batch = building.batch};
    enum kl_status status = building.batch == NULL ? kl_fail_memory(err) : KL_OK;

    if (status == KL_OK) {
        status = vault_edge_new(trails->store, trail->tenant, from, &covering.edge, err);
    }
    if (status == KL_OK) {
        status = cover(trails->store, &covering, until, err);
    }
    if (status == KL_OK) {
        building.until = vault_edge_size(covering.edge);
        vault_edge_put(covering.edge, building.batch);
        status = build_submit(vault, &building, err);
    }
    vault_edge_free(covering.edge);
    vault_batch_free(building.batch);
    return status;
}

/* ret_whole: there is nothing to do for this trail. */
static enum kl_status build_step(struct vault *vault, uint64_t tenant, bool *ret_whole,
                                 struct kl_err *err)
{
    struct vault_trails *trails = vault->trails;
    struct vault_trail *trail = NULL;
    struct kl_err cause = {0};
    enum kl_status status = vault_trail_get(trails, tenant, &trail, err);
    uint64_t from = 0;
    uint64_t size = 0;

    if (status != KL_OK) {
        return status;
    }
    (void)pthread_mutex_lock(&trails->lock);
    from = trail->covered;
    size = trail->committed.size;
    *ret_whole = trail->broken || from == size;
    (void)pthread_mutex_unlock(&trails->lock);
    if (*ret_whole) {
        return KL_OK;
    }
    status = build_chunk(vault, trail, from, size - from > BUILD_CHUNK ? from + BUILD_CHUNK : size,
                         &cause);
    if (status == KL_ERR_CORRUPT) {
        (void)pthread_mutex_lock(&trails->lock);
        trail->broken = true;
        (void)pthread_mutex_unlock(&trails->lock);
    }
    return status == KL_OK
               ? KL_OK
               : kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
}

/*
 * The vault's own trail, then those of the tenants, each until its tree is whole: from then on the leader keeps it. A change of the signing key that an
 * older data/ has forgotten comes to its end as well.
 */
static enum kl_status build_run(struct vault *vault, int64_t now_us, struct kl_err *err)
{
    int64_t until_us = kl_time_monotonic_us() + BUILD_TURN_US;
    enum kl_status status = KL_OK;
    uint64_t tenant = vault->trails->build_from;
    double share = 0;
    bool whole = false;

    (void)now_us;
    while (status == KL_OK && kl_time_monotonic_us() < until_us &&
           (tenant == KMS_TENANT_VAULT || vault_tenants_from(vault, tenant, &tenant, &share))) {
        status = build_step(vault, tenant, &whole, err);
        whole = status == KL_OK && whole;
        if (whole && !vault_job_waits(vault, VAULT_JOB_ROTATION)) {
            status = vault_rotation_audit_settle(vault, tenant, err);
            whole = status != KL_ERR_UNAVAILABLE; /* a mirror may come back, other failures stay */
        }
        tenant += whole ? 1 : 0;
        vault->trails->build_from = tenant;
    }
    return status;
}

const struct vault_upkeep_task vault_audit_tree_task = {
    .name = "audit_tree", .interval_ms = BUILD_INTERVAL_MS, .run = build_run};
