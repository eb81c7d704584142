/*
 * Changes, made by the commit's leader. A call works on copies of the
 * buckets it touches, and keeps them for the rest of the group only when all
 * of it went well; so a refused request leaves nothing behind.
 *
 * A bucket that changed is written in one of three ways: a delta with just
 * the changes; a new base, when there are VAULT_BUCKET_DELTAS_MAX deltas or the
 * call changes much; or it is split, when it has become too large.
 */
#include "vault/index_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A call that changes more than this in one bucket writes a new base. */
#define DELTA_CHANGES_MAX 32

/* ---- a call ---- */

enum kl_status vault_index_call_begin(struct vault_index_call *call,
                                      struct vault_index_store *index, uint64_t tenant,
                                      struct kl_err *err)
{
    *call = (struct vault_index_call){.index = index, .tenant = tenant};
    call->writes = vault_batch_new();
    return call->writes == NULL ? vault_index_no_memory(err) : KL_OK;
}

enum kl_status vault_index_call_keep(struct vault_index_call *call, struct vault_batch *batch,
                                     struct kl_err *err)
{
    enum kl_status status = vault_bucket_set_reserve(&call->index->group, call->overlay.count, err);
    if (status == KL_OK) {
        vault_batch_append(batch, call->writes);
        vault_bucket_set_take(&call->index->group, &call->overlay);
    }
    return status;
}

void vault_index_call_end(struct vault_index_call *call)
{
    vault_iter_free(call->iter);
    vault_bucket_set_clear(&call->overlay);
    vault_batch_free(call->writes);
}

static enum kl_status work_copy(const struct vault_bucket_work *from, struct vault_bucket_work *ret,
                                struct kl_err *err)
{
    struct vault_bucket content = {.entries = NULL};
    enum kl_status status = vault_bucket_copy(&from->rows.content, &content, err);
    if (status == KL_OK) {
        *ret = *from;
        ret->rows.content = content;
        ret->changes = NULL;
        ret->change_count = 0;
        ret->change_capacity = 0;
    }
    return status;
}

static enum kl_status work_load(struct vault_index_call *call,
                                const struct vault_bucket_address *at,
                                struct vault_bucket_work *ret, struct kl_err *err)
{
    struct vault_index_store *index = call->index;
    enum kl_status status = KL_OK;
    uint32_t staged = vault_index_staged_version(index, at, &ret->attempt);
    if (call->iter != NULL && call->iter_epoch != at->epoch) {
        vault_iter_free(call->iter);
        call->iter = NULL;
    }
    if (call->iter == NULL) {
        call->iter = vault_bucket_iter(index->store, call->tenant, at->epoch);
        call->iter_epoch = at->epoch;
    }
    if (call->iter == NULL) {
        return vault_index_no_memory(err);
    }
    status = vault_bucket_load(index->keys, call->iter, at, staged, &ret->rows, err);
    /* The rows' own version may be the staged one: its key counts already, the news of it is on its way. */
    if (status == KL_OK && ret->rows.state == VAULT_BUCKET_LEAF && ret->rows.version != staged) {
        ret->staged_version = staged;
        ret->staged_deltas = ret->rows.watched;
    }
    return status;
}

/* Put a bucket into the overlay that was not there before. */
static enum kl_status call_new(struct vault_index_call *call, const struct vault_bucket_address *at,
                               struct vault_bucket_work **ret_work, struct kl_err *err)
{
    struct vault_bucket_work *work = calloc(1, sizeof(*work));
    if (work == NULL) {
        return vault_index_no_memory(err);
    }
    work->at = *at;
    enum kl_status status = vault_bucket_set_add(&call->overlay, work, err);
    if (status != KL_OK) {
        vault_bucket_work_free(work);
        return status;
    }
    *ret_work = work;
    return KL_OK;
}

enum kl_status vault_index_call_work(struct vault_index_call *call,
                                     const struct vault_bucket_address *at,
                                     struct vault_bucket_work **ret_work, struct kl_err *err)
{
    struct vault_bucket_work *work = vault_bucket_set_find(&call->overlay, at);
    if (work != NULL) {
        *ret_work = work;
        return KL_OK;
    }
    struct vault_bucket_work fresh = {.at = *at};
    const struct vault_bucket_work *grouped = vault_bucket_set_find(&call->index->group, at);
    enum kl_status status =
        grouped != NULL ? work_copy(grouped, &fresh, err) : work_load(call, at, &fresh, err);
    if (status == KL_OK) {
        status = call_new(call, at, &work, err);
    }
    if (status != KL_OK) {
        vault_bucket_rows_done(&fresh.rows);
        return status;
    }
    *work = fresh;
    *ret_work = work;
    return KL_OK;
}

/* ---- the changes themselves ---- */

static enum kl_status change_probe(void *context, const struct vault_bucket_address *at,
                                   enum vault_bucket_state *ret_state, struct kl_err *err)
{
    struct vault_bucket_work *work = NULL;
    enum kl_status status = vault_index_call_work(context, at, &work, err);
    if (status == KL_OK) {
        *ret_state = work->rows.state;
    }
    return status;
}

static enum kl_status work_note(struct vault_bucket_work *work,
                                const struct vault_index_change *change, struct kl_err *err)
{
    if (work->change_count == work->change_capacity) {
        size_t capacity = work->change_capacity == 0 ? 4 : work->change_capacity * 2;
        void *changes =
            realloc(work->changes, capacity * sizeof(const struct vault_index_change *));
        if (changes == NULL) {
            return vault_index_no_memory(err);
        }
        work->changes = changes;
        work->change_capacity = capacity;
    }
    work->changes[work->change_count++] = change;
    return KL_OK;
}

/* in_use: not the index being built, which may lack what makes a value a second one. */
static enum kl_status change_one(struct vault_bucket_work *work,
                                 const struct vault_index_change *change, bool in_use,
                                 struct kl_err *err)
{
    struct vault_bucket *content = &work->rows.content;
    bool there = vault_bucket_has(content, &change->entry);
    if (change->kind == VAULT_INDEX_REMOVE) {
        if (!there) {
            return KL_OK;
        }
        vault_bucket_remove(content, &change->entry);
        return work_note(work, change, err);
    }
    size_t first = 0;
    size_t same = vault_bucket_tag(content, change->entry.tag, &first);
    if (in_use && change->kind == VAULT_INDEX_ADD_UNIQUE && same > (there ? 1 : 0)) {
        return kl_fail(err, KL_ERR_CONFLICT, "not_unique",
                       "another subject has this value in a field that is unique", NULL);
    }
    if (there) {
        return KL_OK;
    }
    if (same >= VAULT_TAG_ENTRIES_MAX) {
        return kl_fail(err, KL_ERR_TOO_LARGE, "index_value_too_common",
                       "too many subjects have this value in an indexed field", NULL);
    }
    enum kl_status status = vault_bucket_add(content, &change->entry, err);
    return status == KL_OK ? work_note(work, change, err) : status;
}

/* ---- writing them ---- */

enum kl_status vault_index_put_base(struct vault_index_call *call,
                                    const struct vault_bucket_sealer *sealer,
                                    const struct vault_bucket_work *work, uint32_t version,
                                    bool skip_dying, struct kl_err *err)
{
    const struct vault_bucket *content = &work->rows.content;
    struct vault_bucket kept = {.entries = NULL};
    enum kl_status status = KL_OK;
    struct kl_buf plain;
    kl_buf_init(&plain, KMS_SEAL_MAX_BYTES);
    if (skip_dying) {
        status = vault_bucket_copy(content, &kept, err);
        kept.count = 0;
        for (size_t i = 0; status == KL_OK && i < content->count; i++) {
            if (!vault_index_is_dying(call->index, work->at.tenant, &content->entries[i])) {
                kept.entries[kept.count++] = content->entries[i];
            }
        }
        content = &kept;
    }
    if (status == KL_OK) {
        vault_bucket_base_write(content->entries, content->count, &plain);
        status = kl_buf_status(&plain, err);
    }
    if (status == KL_OK) {
        status = vault_bucket_put(sealer, &work->at, work->rows.slot, version, 0,
                                  kl_buf_slice(&plain), call->writes, err);
    }
    kl_buf_done(&plain);
    vault_bucket_done(&kept);
    return status;
}

static void remove_deltas(struct vault_index_call *call, const struct vault_bucket_address *at,
                          uint32_t version, uint8_t deltas)
{
    for (uint8_t seq = 1; seq <= deltas; seq++) {
        struct vault_row_key key = vault_bucket_key(at, version, seq);
        vault_batch_remove(call->writes, vault_row_slice(&key));
    }
}

/* Write the changes to one version: deltas is its number of them, and becomes what it is afterwards. */
static enum kl_status write_version(struct vault_index_call *call,
                                    const struct vault_bucket_sealer *sealer,
                                    const struct vault_bucket_work *work, uint32_t version,
                                    uint8_t *deltas, struct kl_err *err)
{
    bool staged = sealer->staged != NULL;
    enum kl_status status = KL_OK;
    if (work->rows.highest == 0 || *deltas >= VAULT_BUCKET_DELTAS_MAX ||
        work->change_count > DELTA_CHANGES_MAX) {
        status = vault_index_put_base(call, sealer, work, version, staged, err);
        if (status == KL_OK) {
            remove_deltas(call, &work->at, version, *deltas);
            *deltas = 0;
        }
        return status;
    }
    struct kl_buf plain;
    kl_buf_init(&plain, KMS_SEAL_MAX_BYTES);
    vault_bucket_delta_begin(&plain);
    for (size_t i = 0; i < work->change_count; i++) {
        const struct vault_index_change *change = work->changes[i];
        if (!staged || !vault_index_is_dying(call->index, work->at.tenant, &change->entry)) {
            vault_bucket_delta_write(change, &plain);
        }
    }
    status = kl_buf_status(&plain, err);
    if (status == KL_OK) {
        status = vault_bucket_put(sealer, &work->at, work->rows.slot, version,
                                  (uint8_t)(*deltas + 1), kl_buf_slice(&plain), call->writes, err);
    }
    if (status == KL_OK) {
        (*deltas)++;
    }
    kl_buf_done(&plain);
    return status;
}

/* The changes of a bucket that stays one: to the version that counts, and to the staged one while there is one. */
static enum kl_status write_whole(struct vault_index_call *call, struct vault_bucket_work *work,
                                  struct kms_staged *staged, struct kl_err *err)
{
    struct vault_bucket_sealer now = {.keys = call->index->keys};
    struct vault_bucket_sealer soon = {.keys = call->index->keys, .staged = staged};
    enum kl_status status = KL_OK;
    if (work->rows.content.count > VAULT_BUCKET_ENTRIES_MAX) {
        return kl_fail(err, KL_ERR_BUSY, "index_busy", "the index is busy; try again",
                       "a bucket is full and may not be split now");
    }
    if (work->rows.state == VAULT_BUCKET_ABSENT) {
        status = kms_slot_take(call->index->keys, work->at.tenant, 1, &work->rows.slot, err);
        if (status != KL_OK) {
            return status;
        }
        work->rows.version = 1;
    }
    status = write_version(call, &now, work, work->rows.version, &work->rows.deltas, err);
    if (status == KL_OK && staged != NULL) {
        status = write_version(call, &soon, work, work->staged_version, &work->staged_deltas, err);
    }
    work->rows.state = VAULT_BUCKET_LEAF;
    if (work->rows.highest < work->rows.version) {
        work->rows.highest = work->rows.version;
    }
    return status;
}

/* ---- splitting ---- */

/* Entries are in the order of their tags; past the first 64 bits they cannot be told apart. */
static bool can_split(const struct vault_index_entry *entries, size_t count, uint8_t depth)
{
    return count > VAULT_BUCKET_ENTRIES_SPLIT && depth < VAULT_BUCKET_DEPTH_MAX &&
           vault_tag_bits(entries[0].tag) != vault_tag_bits(entries[count - 1].tag);
}

/* Remove every row that a bucket has in the store or in this group. */
static enum kl_status remove_rows(struct vault_index_call *call,
                                  const struct vault_bucket_work *work, struct kl_err *err)
{
    uint32_t version = 0;
    uint8_t seq = 0;
    struct kl_slice value;
    struct vault_row_key key;
    if (work->rows.state != VAULT_BUCKET_LEAF) {
        return KL_OK;
    }
    struct vault_iter *iter =
        vault_bucket_iter(call->index->store, work->at.tenant, work->at.epoch);
    if (iter == NULL) {
        return vault_index_no_memory(err);
    }
    for (bool more = vault_bucket_first(iter, &work->at, &version, &seq, &value); more;
         more = vault_bucket_next(iter, &work->at, &version, &seq, &value)) {
        key = vault_bucket_key(&work->at, version, seq);
        vault_batch_remove(call->writes, vault_row_slice(&key));
    }
    enum kl_status status = vault_iter_status(iter, err);
    vault_iter_free(iter);
    key = vault_bucket_key(&work->at, work->rows.version, 0);
    vault_batch_remove(call->writes, vault_row_slice(&key));
    remove_deltas(call, &work->at, work->rows.version, work->rows.deltas);
    return status;
}

static enum kl_status write_new_leaf(struct vault_index_call *call,
                                     const struct vault_bucket_address *at,
                                     const struct vault_index_entry *entries, size_t count,
                                     struct kl_err *err)
{
    struct vault_bucket_sealer sealer = {.keys = call->index->keys};
    struct vault_bucket_work *work = NULL;
    if (count > VAULT_BUCKET_ENTRIES_MAX) {
        return kl_fail(err, KL_ERR_TOO_LARGE, "index_value_too_common",
                       "too many subjects have this value in an indexed field", NULL);
    }
    enum kl_status status = vault_index_call_work(call, at, &work, err);
    if (status != KL_OK) {
        return status;
    }
    assert(work->rows.state == VAULT_BUCKET_ABSENT);
    status = kms_slot_take(call->index->keys, at->tenant, 1, &work->rows.slot, err);
    for (size_t i = 0; status == KL_OK && i < count; i++) {
        status = vault_bucket_add(&work->rows.content, &entries[i], err);
    }
    if (status == KL_OK) {
        work->rows.state = VAULT_BUCKET_LEAF;
        work->rows.version = 1;
        work->rows.highest = 1;
        status = vault_index_put_base(call, &sealer, work, 1, false, err);
    }
    return status;
}

/* What a range of entries becomes at a depth: nothing, a leaf, or a split one with two halves below. */
static enum kl_status write_below(struct vault_index_call *call, uint32_t epoch, uint8_t depth,
                                  const struct vault_index_entry *entries, size_t count,
                                  struct kl_err *err);

static enum kl_status write_halves(struct vault_index_call *call, uint32_t epoch, uint8_t depth,
                                   const struct vault_index_entry *entries, size_t count,
                                   struct kl_err *err)
{
    size_t left = 0;
    uint64_t bit = UINT64_C(1) << (63 - depth);
    while (left < count && (vault_tag_bits(entries[left].tag) & bit) == 0) {
        left++;
    }
    uint8_t below = (uint8_t)(depth + 1);
    enum kl_status status = write_below(call, epoch, below, entries, left, err);
    if (status == KL_OK) {
        status = write_below(call, epoch, below, entries + left, count - left, err);
    }
    return status;
}

static enum kl_status write_below(struct vault_index_call *call, uint32_t epoch, uint8_t depth,
                                  const struct vault_index_entry *entries, size_t count,
                                  struct kl_err *err)
{
    struct vault_bucket_work *work = NULL;
    if (count == 0) {
        return KL_OK;
    }
    struct vault_bucket_address at =
        vault_bucket_address(call->tenant, epoch, depth, vault_tag_bits(entries[0].tag));
    if (!can_split(entries, count, depth)) {
        return write_new_leaf(call, &at, entries, count, err);
    }
    enum kl_status status = vault_index_call_work(call, &at, &work, err);
    if (status != KL_OK) {
        return status;
    }
    work->rows.state = VAULT_BUCKET_SPLIT;
    vault_bucket_put_split(&at, 0, call->writes);
    return write_halves(call, epoch, depth, entries, count, err);
}

static enum kl_status write_split(struct vault_index_call *call, struct vault_bucket_work *work,
                                  struct kl_err *err)
{
    enum kl_status status = remove_rows(call, work, err);
    if (status != KL_OK) {
        return status;
    }
    struct vault_bucket content = work->rows.content;
    uint64_t old_slot = work->rows.state == VAULT_BUCKET_LEAF ? work->rows.slot : 0;
    work->rows = (struct vault_bucket_rows){.state = VAULT_BUCKET_SPLIT, .slot = old_slot};
    vault_bucket_put_split(&work->at, old_slot, call->writes);
    status =
        write_halves(call, work->at.epoch, work->at.depth, content.entries, content.count, err);
    vault_bucket_done(&content);
    return status;
}

static enum kl_status write_work(struct vault_index_call *call, struct vault_bucket_work *work,
                                 struct kl_err *err)
{
    const struct vault_bucket *content = &work->rows.content;
    struct kms_staged *staged = vault_index_staged_enter(call->index, work);
    if (staged == NULL && can_split(content->entries, content->count, work->at.depth) &&
        vault_index_split_begin(call->index, &work->at)) {
        return write_split(call, work, err);
    }
    enum kl_status status = write_whole(call, work, staged, err);
    if (staged != NULL) {
        vault_index_staged_leave(call->index);
    }
    return status;
}

/* The works that changed, apart, because writing one may add others to the overlay. */
static enum kl_status write_changed(struct vault_index_call *call, struct kl_err *err)
{
    size_t count = 0;
    struct vault_bucket_work **changed = calloc(call->overlay.count + 1, sizeof(*changed));
    if (changed == NULL) {
        return vault_index_no_memory(err);
    }
    for (size_t i = 0; i < call->overlay.cell_count; i++) {
        if (call->overlay.cells[i] != NULL && call->overlay.cells[i]->change_count > 0) {
            changed[count++] = call->overlay.cells[i];
        }
    }
    enum kl_status status = KL_OK;
    for (size_t i = 0; status == KL_OK && i < count; i++) {
        status = write_work(call, changed[i], err);
        changed[i]->change_count = 0;
    }
    free(changed);
    return status;
}

/* ---- which epochs ---- */

/* The epoch that a change goes to; false: to none of those there are now. */
static bool target_of(const struct vault_index_change *change,
                      const struct vault_index_epochs *epochs, uint32_t *ret_epoch)
{
    uint32_t epoch = change->entry.made_for == 0 ? epochs->epoch : change->entry.made_for - 1;
    bool is_next = epochs->next_epoch != 0 && epoch == epochs->next_epoch;
    *ret_epoch = epoch;
    return change->kind == VAULT_INDEX_BUILD ? is_next : is_next || epoch == epochs->epoch;
}

/* Whether every change is there for each index that it has to go to. */
static enum kl_status check_epochs(const struct vault_index_change *changes, size_t count,
                                   const struct vault_index_epochs *epochs, struct kl_err *err)
{
    size_t wanted = 0;
    size_t in_use = 0;
    size_t building = 0;
    bool ok = true;
    for (size_t i = 0; i < count; i++) {
        uint32_t epoch = 0;
        bool there = target_of(&changes[i], epochs, &epoch);
        if (changes[i].kind == VAULT_INDEX_BUILD) {
            ok = ok && there;
            continue;
        }
        wanted += changes[i].entry.second ? 0 : 1;
        in_use += there && epoch == epochs->epoch ? 1 : 0;
        building += there && epoch != epochs->epoch ? 1 : 0;
    }
    ok = ok && in_use == wanted && (epochs->next_epoch == 0 || building == wanted);
    return ok ? KL_OK
              : kl_fail(err, KL_ERR_PRECONDITION, "head_changed",
                        "this was changed in the meantime; read it again",
                        "index: tags of another epoch");
}

/* Do the changes that are for one epoch. */
static enum kl_status change_epoch(struct vault_index_call *call,
                                   const struct vault_index_change *changes, size_t count,
                                   const struct vault_index_epochs *epochs, uint32_t epoch,
                                   _Atomic uint8_t *depth, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    for (size_t i = 0; status == KL_OK && i < count; i++) {
        struct vault_bucket_address at;
        struct vault_bucket_work *work = NULL;
        uint32_t target = 0;
        if (!target_of(&changes[i], epochs, &target) || target != epoch) {
            continue;
        }
        status = vault_bucket_locate(call->tenant, epoch, vault_tag_bits(changes[i].entry.tag),
                                     atomic_load(depth), change_probe, call, &at, err);
        if (status == KL_OK) {
            status = vault_index_call_work(call, &at, &work, err);
        }
        if (status == KL_OK) {
            status = change_one(work, &changes[i], epoch == epochs->epoch, err);
        }
        if (status == KL_OK && epoch != epochs->epoch) {
            atomic_store(depth, at.depth); /* nobody looks there yet */
        }
    }
    return status;
}

enum kl_status vault_index_change(struct vault_index_store *index, uint64_t tenant,
                                  const struct vault_index_change *changes, size_t count,
                                  struct vault_batch *batch, struct kl_err *err)
{
    struct vault_index_call call;
    struct vault_index_tenant *known = NULL;
    struct vault_index_epochs epochs = {.epoch = 0};
    enum kl_status status = vault_index_call_begin(&call, index, tenant, err);
    if (status == KL_OK) {
        status = vault_index_leader_epochs(index, tenant, &known, &epochs, err);
    }
    if (status == KL_OK) {
        status = check_epochs(changes, count, &epochs, err);
    }
    if (status == KL_OK) {
        status =
            change_epoch(&call, changes, count, &epochs, epochs.epoch, &known->likely_depth, err);
    }
    if (status == KL_OK && epochs.next_epoch != 0) {
        status = change_epoch(&call, changes, count, &epochs, epochs.next_epoch, &known->next_depth,
                              err);
    }
    if (status == KL_OK) {
        status = write_changed(&call, err);
    }
    if (status == KL_OK) {
        status = vault_index_call_keep(&call, batch, err);
    }
    vault_index_call_end(&call);
    return status;
}
