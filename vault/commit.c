/*
 * The leader takes the requests of its group one after the other. Each is
 * either admitted whole, into one batch that is applied and synced at the end, or
 * refused, and then leaves nothing but its audit_on_fail. What earlier
 * requests of the group wrote counts for later ones.
 */
#include "vault/commit.h"

#include "kluis/base/group.h"
#include "kluis/base/log.h"
#include "vault/rows.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* More than twice the group, so that it never fills. */
#define HEADS_CELLS 4096
#define DYING_LISTS 1024

_Static_assert(HEADS_CELLS > 2 * VAULT_COMMIT_GROUP_MAX, "the table of heads never fills");

/* The version of a head that this group has written; of older groups when stamp is not the group's. */
struct head {
    uint64_t stamp;
    uint64_t tenant;
    uint64_t slot;
    uint64_t version;
};

struct dying {
    uint64_t tenant;
    uint64_t slot;
    struct dying *next;
};

struct vault_committer {
    struct vault_store *store;
    struct vault_index_store *index;
    struct vault_trails *trails;
    struct kl_group *group;
    void (*on_failure)(const struct kl_err *err);
    atomic_bool failed;
    atomic_uint_fast64_t commits;
    atomic_uint_fast64_t syncs;

    /* the leader's */
    struct vault_batch *batch;
    struct vault_batch *scratch;
    struct head heads[HEADS_CELLS];
    uint64_t stamp;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t ended; /* a group, or a mark */
    struct dying *dying[DYING_LISTS];
    atomic_size_t tenants_dying; /* marks of whole tenants; changes under the lock */
    uint64_t groups_begun;
    uint64_t groups_ended;
};

static void commit_group(void *context, struct kl_group_item **items, size_t count);

struct vault_committer *vault_committer_new(struct vault_store *store,
                                            struct vault_index_store *index,
                                            struct vault_trails *trails)
{
    struct vault_committer *committer = calloc(1, sizeof(*committer));
    if (committer == NULL) {
        return NULL;
    }
    if (pthread_mutex_init(&committer->lock, NULL) != 0) {
        free(committer);
        return NULL;
    }
    if (pthread_cond_init(&committer->ended, NULL) != 0) {
        pthread_mutex_destroy(&committer->lock);
        free(committer);
        return NULL;
    }
    committer->store = store;
    committer->index = index;
    committer->trails = trails;
    committer->batch = vault_batch_new();
    committer->scratch = vault_batch_new();
    committer->group = kl_group_new(commit_group, committer, VAULT_COMMIT_GROUP_MAX);
    if (committer->batch == NULL || committer->scratch == NULL || committer->group == NULL) {
        vault_committer_free(committer);
        return NULL;
    }
    return committer;
}

void vault_committer_on_failure(struct vault_committer *committer,
                                void (*failed)(const struct kl_err *err))
{
    committer->on_failure = failed;
}

bool vault_committer_failed(const struct vault_committer *committer)
{
    return atomic_load(&committer->failed);
}

void vault_committer_counts(const struct vault_committer *committer, uint64_t *ret_commits,
                            uint64_t *ret_syncs)
{
    *ret_commits = atomic_load_explicit(&committer->commits, memory_order_relaxed);
    *ret_syncs = atomic_load_explicit(&committer->syncs, memory_order_relaxed);
}

void vault_committer_free(struct vault_committer *committer)
{
    if (committer == NULL) {
        return;
    }
    for (size_t i = 0; i < DYING_LISTS; i++) {
        while (committer->dying[i] != NULL) {
            struct dying *next = committer->dying[i]->next;
            free(committer->dying[i]);
            committer->dying[i] = next;
        }
    }
    kl_group_free(committer->group);
    vault_batch_free(committer->scratch);
    vault_batch_free(committer->batch);
    pthread_cond_destroy(&committer->ended);
    pthread_mutex_destroy(&committer->lock);
    free(committer);
}

/* ---- the dying ---- */

static struct dying **dying_link(struct vault_committer *committer, uint64_t tenant, uint64_t slot)
{
    struct dying **link = &committer->dying[(slot ^ (tenant << 7)) % DYING_LISTS];
    while (*link != NULL && ((*link)->tenant != tenant || (*link)->slot != slot)) {
        link = &(*link)->next;
    }
    return link;
}

enum kl_status vault_commit_dying_begin(struct vault_committer *committer, uint64_t tenant,
                                        uint64_t slot, struct kl_err *err)
{
    struct dying *mark = calloc(1, sizeof(*mark));
    if (mark == NULL) {
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "the server is out of memory",
                       "commit: no memory");
    }
    mark->tenant = tenant;
    mark->slot = slot;
    pthread_mutex_lock(&committer->lock);
    struct dying **link = dying_link(committer, tenant, slot);
    if (*link != NULL) {
        pthread_mutex_unlock(&committer->lock);
        free(mark);
        return kl_fail(err, KL_ERR_GONE, "subject_dying", "this is being erased", NULL);
    }
    *link = mark;
    if (slot == KMS_SLOT_NONE) {
        atomic_fetch_add(&committer->tenants_dying, 1);
    }
    uint64_t begun = committer->groups_begun;
    while (committer->groups_ended < begun) {
        pthread_cond_wait(&committer->ended, &committer->lock);
    }
    pthread_mutex_unlock(&committer->lock);
    return KL_OK;
}

void vault_commit_dying_end(struct vault_committer *committer, uint64_t tenant, uint64_t slot)
{
    pthread_mutex_lock(&committer->lock);
    struct dying **link = dying_link(committer, tenant, slot);
    struct dying *mark = *link;
    if (mark != NULL) {
        *link = mark->next;
        if (slot == KMS_SLOT_NONE) {
            atomic_fetch_sub(&committer->tenants_dying, 1);
        }
    }
    pthread_cond_broadcast(&committer->ended);
    pthread_mutex_unlock(&committer->lock);
    free(mark);
}

void vault_commit_dying_wait(struct vault_committer *committer, uint64_t tenant, uint64_t slot)
{
    pthread_mutex_lock(&committer->lock);
    while (*dying_link(committer, tenant, slot) != NULL) {
        pthread_cond_wait(&committer->ended, &committer->lock);
    }
    pthread_mutex_unlock(&committer->lock);
}

static bool is_dying(struct vault_committer *committer, uint64_t tenant, uint64_t slot)
{
    pthread_mutex_lock(&committer->lock);
    bool dying = *dying_link(committer, tenant, slot) != NULL;
    pthread_mutex_unlock(&committer->lock);
    return dying;
}

static enum kl_status check_tenant(struct vault_committer *committer,
                                   const struct vault_commit *commit, struct kl_err *err)
{
    bool dying = atomic_load(&committer->tenants_dying) > 0 && !commit->of_keys &&
                 is_dying(committer, commit->tenant, KMS_SLOT_NONE);
    return dying ? kl_fail(err, KL_ERR_NOT_FOUND, "tenant_gone", "this tenant was ended", NULL)
                 : KL_OK;
}

static enum kl_status check_dying(struct vault_committer *committer, uint64_t tenant, uint64_t slot,
                                  struct kl_err *err)
{
    bool dying = is_dying(committer, tenant, slot);
    return dying ? kl_fail(err, KL_ERR_GONE, "subject_dying", "this is being erased", NULL) : KL_OK;
}

/* ---- heads ---- */

/* The cell of a head in this group, or the free one where it belongs. */
static struct head *head_cell(struct vault_committer *committer, uint64_t tenant, uint64_t slot)
{
    uint64_t hash = (slot ^ (tenant << 32)) * UINT64_C(0x9e3779b97f4a7c15);
    size_t i = (size_t)(hash >> 52) % HEADS_CELLS;
    struct head *head = &committer->heads[i];
    while (head->stamp == committer->stamp && (head->tenant != tenant || head->slot != slot)) {
        i = (i + 1) % HEADS_CELLS;
        head = &committer->heads[i];
    }
    return head;
}

static uint64_t version_of(struct kl_slice head_row)
{
    return head_row.size >= 8 ? kl_get_u64be(head_row.bytes) : 0;
}

static enum kl_status head_version(struct vault_committer *committer, uint64_t tenant,
                                   uint64_t slot, uint64_t *ret_version, struct kl_err *err)
{
    const struct head *head = head_cell(committer, tenant, slot);
    if (head->stamp == committer->stamp) {
        *ret_version = head->version;
        return KL_OK;
    }
    struct kl_err missing = {.status = KL_OK};
    struct vault_row_key key = vault_row_head(tenant, slot);
    struct kl_buf row;
    kl_buf_init(&row, VAULT_STORE_VALUE_MAX_BYTES);
    enum kl_status status =
        vault_store_get(committer->store, vault_row_slice(&key), &row, &missing);
    if (status == KL_OK) {
        *ret_version = version_of(kl_buf_slice(&row));
    } else if (status == KL_ERR_NOT_FOUND) {
        *ret_version = 0;
        status = KL_OK;
    } else {
        kl_fail(err, status, missing.code, missing.client_text, "%s", missing.log_text);
    }
    kl_buf_done(&row);
    return status;
}

static enum kl_status check_head(struct vault_committer *committer, uint64_t tenant, uint64_t slot,
                                 uint64_t wanted, struct kl_err *err)
{
    uint64_t version = 0;
    enum kl_status status = check_dying(committer, tenant, slot, err);
    if (status == KL_OK) {
        status = head_version(committer, tenant, slot, &version, err);
    }
    if (status == KL_OK && version != wanted) {
        status = kl_fail(err, KL_ERR_PRECONDITION, "head_changed",
                         "this was changed in the meantime; read it again", NULL);
    }
    return status;
}

static enum kl_status check_heads(struct vault_committer *committer,
                                  const struct vault_commit *commit, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    assert(commit->head_count <= VAULT_COMMIT_HEADS_MAX);
    if (commit->check_head) {
        status = check_head(committer, commit->tenant, commit->slot, commit->head_version, err);
    }
    for (size_t i = 0; status == KL_OK && i < commit->head_count; i++) {
        status = check_head(committer, commit->tenant, commit->heads[i].slot,
                            commit->heads[i].version, err);
    }
    return status;
}

/* Keep in mind what this request does to the head that it checked. */
static void note_head(struct vault_committer *committer, const struct vault_commit *commit)
{
    struct kl_slice row = {NULL, 0};
    struct vault_row_key key = vault_row_head(commit->tenant, commit->slot);
    if (!commit->check_head || commit->batch == NULL ||
        !vault_batch_find(commit->batch, vault_row_slice(&key), &row)) {
        return;
    }
    *head_cell(committer, commit->tenant, commit->slot) = (struct head){.stamp = committer->stamp,
                                                                        .tenant = commit->tenant,
                                                                        .slot = commit->slot,
                                                                        .version = version_of(row)};
}

/* ---- a group ---- */

static enum kl_status append_audit(struct vault_committer *committer,
                                   struct vault_audit_entry *const *entries, size_t count,
                                   struct kl_err *err)
{
    assert(count <= VAULT_COMMIT_AUDIT_MAX);
    if (count == 0) {
        return KL_OK;
    }
    return vault_trails_append(committer->trails, (const struct vault_audit_entry *const *)entries,
                               count, committer->batch, err);
}

/* Whether a request may go in; its index changes and what `inside` adds are in scratch then. */
static enum kl_status admit(struct vault_committer *committer, const struct vault_commit *commit,
                            struct kl_err *err)
{
    enum kl_status status = KL_OK;
    assert(commit->inside == NULL || commit->index_count == 0);
    vault_batch_clear(committer->scratch);
    status = check_tenant(committer, commit, err);
    if (status == KL_OK && commit->batch != NULL) {
        status = vault_batch_status(commit->batch, err);
    }
    if (status == KL_OK) {
        status = check_heads(committer, commit, err);
    }
    if (status == KL_OK && commit->index_count > 0) {
        status = vault_index_change(committer->index, commit->tenant, commit->index,
                                    commit->index_count, committer->scratch, err);
    }
    if (status == KL_OK && commit->inside != NULL) {
        status = commit->inside(commit->inside_context, committer->scratch, err);
    }
    return status == KL_OK ? vault_batch_status(committer->scratch, err) : status;
}

/* Take one request in or refuse it. False: the trail failed, and with it the whole group. */
static bool take(struct vault_committer *committer, struct kl_group_item *item, bool *sync,
                 struct kl_err *group_err)
{
    const struct vault_commit *commit = item->work;
    item->status = admit(committer, commit, item->err);
    if (item->status != KL_OK) {
        size_t count =
            check_tenant(committer, commit, NULL) == KL_OK ? commit->audit_on_fail_count : 0;
        *sync = *sync || count > 0;
        return append_audit(committer, commit->audit_on_fail, count, group_err) == KL_OK;
    }
    if (append_audit(committer, commit->audit, commit->audit_count, group_err) != KL_OK) {
        return false;
    }
    if (commit->batch != NULL) {
        vault_batch_append(committer->batch, commit->batch);
    }
    vault_batch_append(committer->batch, committer->scratch);
    note_head(committer, commit);
    *sync = *sync || !commit->unsynced;
    return true;
}

static void fail_all(struct kl_group_item **items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        kl_err_clear(items[i]->err);
        items[i]->status = kl_fail(items[i]->err, KL_ERR_UNAVAILABLE, "audit_unavailable",
                                   "the audit trail cannot be written, so nothing is answered",
                                   "the committer takes no more writes");
    }
}

/* A marker around each group, so that whoever marks a subject dying can wait for what was admitted before. */
static void group_bounds(struct vault_committer *committer, bool begins)
{
    pthread_mutex_lock(&committer->lock);
    if (begins) {
        committer->groups_begun++;
    } else {
        committer->groups_ended++;
        pthread_cond_broadcast(&committer->ended);
    }
    pthread_mutex_unlock(&committer->lock);
}

static void commit_group(void *context, struct kl_group_item **items, size_t count)
{
    struct vault_committer *committer = context;
    struct kl_err group_err = {.status = KL_OK};
    bool sync = false;
    bool ok = !atomic_load(&committer->failed);
    group_bounds(committer, true);
    committer->stamp++;
    vault_batch_clear(committer->batch);
    for (size_t i = 0; ok && i < count; i++) {
        ok = take(committer, items[i], &sync, &group_err);
    }
    if (ok) {
        vault_trails_frontiers(committer->trails, committer->batch);
    }
    if (ok && vault_batch_count(committer->batch) > 0) {
        ok = vault_store_apply(committer->store, committer->batch, sync, &group_err) == KL_OK;
    }
    if (ok && sync) {
        atomic_fetch_add_explicit(&committer->commits, count, memory_order_relaxed);
        atomic_fetch_add_explicit(&committer->syncs, 1, memory_order_relaxed);
    }
    if (!ok && !atomic_load(&committer->failed) && committer->on_failure != NULL) {
        committer->on_failure(&group_err);
    }
    vault_index_applied(committer->index, ok);
    vault_trails_applied(committer->trails, ok, sync);
    group_bounds(committer, false);
    if (!ok) {
        if (!atomic_exchange(&committer->failed, true)) {
            kl_log_err(KL_LOG_ERROR, "commit_failed", &group_err);
        }
        fail_all(items, count);
    }
}

enum kl_status vault_commit_submit(struct vault_committer *committer, struct vault_commit *commit,
                                   struct kl_err *err)
{
    struct kl_group_item item = {.work = commit, .err = err};
    return kl_group_submit(committer->group, &item);
}
