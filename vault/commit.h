/*
 * Every write of the vault: one batch, one sync, shared by all who wait.
 * The leader of a group checks each request's expectation, lets the index
 * and the audit trail add their rows, and applies one batch.
 */
#ifndef VAULT_COMMIT_H
#define VAULT_COMMIT_H

#include "kluis/base/status.h"
#include "vault/audit.h"
#include "vault/index.h"
#include "vault/store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_COMMIT_GROUP_MAX 1024
#define VAULT_COMMIT_AUDIT_MAX 1024

struct vault_committer;

/*
 * One request's part of a commit. Everything stays the caller's.
 *
 * check_head     the subject's head row must be of head_version (0: must not exist) when the group is applied; else KL_ERR_PRECONDITION
 *                "head_changed" and nothing of this request is written: read again and try again. New head rows start with
 *                their version as the first 8 bytes (big-endian), which is what is compared.
 * heads          more subjects whose heads must be of these versions; nothing of this request may change them.
 * audit_on_fail  entries that are written even when the request is refused by the check or the index (a refused attempt is an event too).
 * inside         run by the leader for this request after the above, with a batch whose rows join the group's when it returns KL_OK; on
 *                failure the whole request writes nothing. For erasures' bookkeeping (vault_index_stage, _tidy, _reset). It must
 *                not submit, nor wait for anybody who does. A request with inside has no index changes of its own. May be NULL.
 */
#define VAULT_COMMIT_HEADS_MAX 256
struct vault_commit_head {
    uint64_t slot;
    uint64_t version;
};
struct vault_commit {
    uint64_t tenant;
    const struct vault_batch *batch; /* may be NULL */
    bool check_head;
    uint64_t slot;
    uint64_t head_version;
    const struct vault_commit_head *heads;
    size_t head_count;
    const struct vault_index_change *index;
    size_t index_count;
    struct vault_audit_entry *const *audit;
    size_t audit_count;
    struct vault_audit_entry *const *audit_on_fail;
    size_t audit_on_fail_count;
    enum kl_status (*inside)(void *context, struct vault_batch *batch, struct kl_err *err);
    void *inside_context;
    bool unsynced; /* this request alone needs no sync (others of the group may) */
    bool of_keys;  /* of a hook of kms: also of a tenant that is marked dying */
};

struct vault_committer *vault_committer_new(struct vault_store *store,
                                            struct vault_index_store *index,
                                            struct vault_trails *trails);
/*
 * What is called from now on when a group could not be written, or the trail cannot be gone on with, before anybody is told; it may end the process. Before
 * other threads submit.
 */
void vault_committer_on_failure(struct vault_committer *committer,
                                void (*failed)(const struct kl_err *err));
void vault_committer_free(struct vault_committer *committer);
/* Whether a write failed, so that no more are taken. Any thread. */
bool vault_committer_failed(const struct vault_committer *committer);
/* How many requests were written, and with how many syncs. Any thread. */
void vault_committer_counts(const struct vault_committer *committer, uint64_t *ret_commits,
                            uint64_t *ret_syncs);

/*
 * Returns when the group was applied and synced. KL_ERR_PRECONDITION "head_changed"; KL_ERR_GONE "subject_dying"; KL_ERR_NOT_FOUND
 * "tenant_gone": the tenant is dying or gone; what the index or
 * inside returned; KL_ERR_UNAVAILABLE "audit_unavailable": the store or the trail failed and takes no more writes until the vault is opened
 * again; what was asked is not acknowledged and no value may leave. Entries given are still the caller's to end.
 */
KL_MUST_USE enum kl_status vault_commit_submit(struct vault_committer *committer,
                                               struct vault_commit *commit, struct kl_err *err);

/*
 * Mark a slot of a tenant dying: commits that name it (commit.slot with check_head) are refused from now on, and those admitted before
 * are done when this returns, so that what is read of the subject now is its last state. Ends with vault_commit_dying_end().
 * slot KMS_SLOT_NONE: the tenant; all that is of it is refused, but of_keys, and where it was shredded the mark stays.
 * KL_ERR_GONE "subject_dying" somebody else marked it. KL_ERR_NO_MEMORY.
 */
KL_MUST_USE enum kl_status vault_commit_dying_begin(struct vault_committer *committer,
                                                    uint64_t tenant, uint64_t slot,
                                                    struct kl_err *err);
void vault_commit_dying_end(struct vault_committer *committer, uint64_t tenant, uint64_t slot);

/* Wait until nobody has that slot marked dying. Never by somebody whom an erasure waits for. */
void vault_commit_dying_wait(struct vault_committer *committer, uint64_t tenant, uint64_t slot);

#endif
