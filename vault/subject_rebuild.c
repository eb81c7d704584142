/* What is known of all subjects of a tenant: the index from their manifests, and whether a record type is in use. */
#include "kluis/base/log.h"
#include "vault/retained.h"
#include "vault/rows.h"
#include "vault/subject_internal.h"

#include <string.h>

/* Index changes and rows that go into one commit. */
#define CHANGES_PER_COMMIT 512

/* ---- going through the heads ---- */

/* Called with each head row; subject is loaded, or status says why it does not open. The scratch arena is the subject's. */
typedef enum kl_status (*visit_head)(void *context, struct vault_subject *subject,
                                     enum kl_status status, struct kl_arena *scratch,
                                     struct kl_err *err);

static enum kl_status heads_each(struct vault *vault, uint64_t tenant, visit_head visit,
                                 void *context, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key from = vault_row_head(tenant, 0);
    struct vault_row_key until = vault_row_head(tenant, UINT64_MAX);
    struct vault_iter *iter =
        vault_iter_new(vault->data_store, vault_row_slice(&from), vault_row_slice(&until), false);
    struct kl_arena *scratch = kl_arena_new(VAULT_WORK_MAX_BYTES);
    struct vault_subject subject;
    struct kl_err opened;
    struct kl_slice key;
    struct kl_slice row;

    if (iter == NULL || scratch == NULL) {
        status = kl_fail_memory(err);
        goto out;
    }
    while (status == KL_OK && vault_iter_next(iter, &key, &row)) {
        memset(&subject, 0, sizeof subject);
        memset(&opened, 0, sizeof opened);
        kl_arena_reset(scratch);
        status = vault_subject_load_row(vault, tenant, kl_get_u64be(key.bytes + key.size - 8), row,
                                        scratch, &subject, &opened);
        status = visit(context, &subject, status, scratch, err);
        vault_subject_done(&subject);
    }
    if (status == KL_OK) {
        status = vault_iter_status(iter, err);
    }

out:
    vault_iter_free(iter);
    kl_arena_free(scratch);
    return status;
}

/* ---- what leads to a subject ---- */

struct leading {
    struct vault *vault;
    const struct vault_subject *subject;
    struct kl_arena *scratch;
    vault_entry_visit visit;
    void *visitor;
};

static enum kl_status lead_field(const struct leading *leading,
                                 const struct vault_manifest_record *record,
                                 const struct vault_manifest_field *field, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_value_wanted wanted = {.record = record, .field = field};
    struct kl_err opened = {0};
    char name[VAULT_FIELD_NAME_BYTES];
    struct kl_buf form;

    if (field->index == VAULT_INDEX_NONE) {
        return KL_OK;
    }
    kl_arena_reset(leading->scratch);
    status = vault_subject_values(leading->vault, leading->subject->tenant, leading->subject->slot,
                                  &wanted, 1, leading->scratch, &opened);
    if (status == KL_ERR_GONE || status == KL_ERR_CORRUPT) {
        return KL_OK;
    }
    if (status != KL_OK) {
        return kl_fail(err, status, opened.code, opened.client_text, "%s", opened.log_text);
    }
    kl_buf_init(&form, VAULT_TAG_VALUE_MAX_BYTES);
    vault_field_name(record->type, field->name, name);
    status = vault_value_index_form(field->type, wanted.value, &form, err);
    if (status == KL_OK) {
        status = leading->visit(leading->visitor, name, kl_buf_slice(&form),
                                vault_index_discriminator(&record->id, field->name), err);
    } else if (status == KL_ERR_INVALID) {
        kl_log_err(KL_LOG_WARNING, "value_left_out_of_index", err);
        kl_err_clear(err);
        status = KL_OK;
    }
    kl_buf_done(&form);
    return status;
}

enum kl_status vault_subject_entries_each(struct vault *vault, const struct vault_subject *subject,
                                          struct kl_arena *scratch, vault_entry_visit visit,
                                          void *visitor, struct kl_err *err)
{
    const struct leading leading = {vault, subject, scratch, visit, visitor};
    enum kl_status status =
        visit(visitor, "id", kl_slice_of(subject->base.subject.bytes, KL_ID_BYTES), 0, err);
    size_t i;
    size_t k;

    for (i = 0; status == KL_OK && i < subject->base.handle_count; i++) {
        status = visit(visitor, VAULT_PSEUDONYM_KIND,
                       kl_slice_of(subject->base.handles[i], VAULT_HANDLE_BYTES), 0, err);
    }
    for (i = 0; status == KL_OK && i < subject->head.record_count; i++) {
        const struct vault_manifest_record *record = &subject->records[i];

        for (k = 0; status == KL_OK && !record->gone && k < record->field_count; k++) {
            status = lead_field(&leading, record, &record->fields[k], err);
        }
    }
    return status;
}

/* ---- the index, at open ---- */

struct rebuilding {
    struct vault *vault;
    uint64_t tenant;
    uint64_t slot; /* of the subject at hand */
    struct vault_batch *batch;
    struct kl_arena
        *values; /* one value at a time: all of somebody's may be more than there is room for */
    struct vault_index_change changes[CHANGES_PER_COMMIT];
    size_t count;
    uint64_t opened;
    uint64_t removed;
    uint64_t damaged;
};

static enum kl_status rebuild_commit(struct rebuilding *rebuilding, bool synced, struct kl_err *err)
{
    struct vault_commit commit = {
        .tenant = rebuilding->tenant, .batch = rebuilding->batch, .unsynced = !synced};
    enum kl_status status = KL_OK;

    commit.index = rebuilding->changes;
    commit.index_count = rebuilding->count;
    status = vault_commit_submit(rebuilding->vault->committer, &commit, err);
    vault_batch_clear(rebuilding->batch);
    rebuilding->count = 0;
    return status;
}

static enum kl_status rebuild_add(void *visitor, const char *kind, struct kl_slice form,
                                  uint64_t discriminator, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct rebuilding *rebuilding = visitor;
    struct vault_index_change *change = NULL;

    if (rebuilding->count == CHANGES_PER_COMMIT ||
        vault_batch_count(rebuilding->batch) >= CHANGES_PER_COMMIT) {
        status = rebuild_commit(rebuilding, false, err);
    }
    if (status != KL_OK) {
        return status;
    }
    change = &rebuilding->changes[rebuilding->count];
    *change = (struct vault_index_change){.kind = VAULT_INDEX_ADD};
    change->entry.slot = rebuilding->slot;
    change->entry.discriminator = discriminator;
    status = vault_index_tag(rebuilding->vault->index, rebuilding->tenant, kind, form,
                             change->entry.tag, err);
    if (status == KL_OK) {
        rebuilding->count++;
    }
    return status;
}

static enum kl_status rebuild_remove(struct rebuilding *rebuilding, uint64_t slot,
                                     struct kl_err *err)
{
    struct kl_err cause = {0};
    enum kl_status status = vault_subject_rows_remove(rebuilding->vault, rebuilding->tenant, slot,
                                                      rebuilding->batch, &cause);

    if (status == KL_ERR_CORRUPT) { /* nobody can say what of it is kept: it all stays */
        kl_log_err(KL_LOG_ERROR, "rows_not_removed", &cause);
        return KL_OK;
    }
    if (status != KL_OK) {
        return kl_fail(err, status, cause.code, cause.client_text, "%s", cause.log_text);
    }
    rebuilding->removed++;
    return KL_OK;
}

/* Leave records that were erased since out of the head row. */
static enum kl_status rebuild_head(struct rebuilding *rebuilding, struct vault_subject *subject,
                                   struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_row_key key = vault_row_head(subject->tenant, subject->slot);
    struct vault_head *head = &subject->head;
    struct kl_buf row;
    size_t kept = 0;
    size_t i;

    for (i = 0; i < head->record_count; i++) {
        if (!subject->records[i].gone) {
            head->records[kept] = head->records[i];
            subject->records[kept++] = subject->records[i];
        }
    }
    if (kept == head->record_count) {
        return KL_OK;
    }
    head->record_count = kept;
    head->version++;
    kl_buf_init(&row, VAULT_STORE_VALUE_MAX_BYTES);
    status = vault_head_encode(head, &row, err);
    if (status == KL_OK) {
        vault_batch_put(rebuilding->batch, vault_row_slice(&key), kl_buf_slice(&row));
    }
    kl_buf_done(&row);
    return status;
}

static enum kl_status rebuild_one(void *context, struct vault_subject *subject,
                                  enum kl_status status, struct kl_arena *scratch,
                                  struct kl_err *err)
{
    static const struct kl_id unknown = {{0}};
    struct rebuilding *rebuilding = context;

    (void)scratch;
    if (status == KL_ERR_NOT_FOUND) {
        return rebuild_remove(rebuilding, subject->slot, err);
    }
    rebuilding->slot = subject->slot;
    if (status == KL_ERR_CORRUPT) {
        rebuilding->damaged++;
        return kl_id_equal(&subject->base.subject, &unknown)
                   ? KL_OK
                   : rebuild_add(rebuilding, "id",
                                 kl_slice_of(subject->base.subject.bytes, KL_ID_BYTES), 0, err);
    }
    if (status != KL_OK) {
        return kl_fail(err, status, "index_rebuild_failed", "the index cannot be built anew", NULL);
    }
    rebuilding->opened++;
    status = rebuild_head(rebuilding, subject, err);
    return status == KL_OK
               ? vault_subject_entries_each(rebuilding->vault, subject, rebuilding->values,
                                            rebuild_add, rebuilding, err)
               : status;
}

struct resetting {
    struct vault *vault;
    uint64_t tenant;
};

static enum kl_status reset_inside(void *context, struct vault_batch *batch, struct kl_err *err)
{
    const struct resetting *resetting = context;

    return vault_index_reset(resetting->vault->index, resetting->tenant, batch, err);
}

enum kl_status vault_subject_index_rebuild(struct vault *vault, uint64_t tenant, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct resetting resetting = {vault, tenant};
    struct rebuilding rebuilding = {.vault = vault, .tenant = tenant};
    struct vault_commit commit = {
        .tenant = tenant, .inside = reset_inside, .inside_context = &resetting};

    rebuilding.batch = vault_batch_new();
    rebuilding.values = kl_arena_new(VAULT_WORK_MAX_BYTES);
    status = rebuilding.batch == NULL || rebuilding.values == NULL
                 ? kl_fail_memory(err)
                 : vault_commit_submit(vault->committer, &commit, err);
    if (status == KL_OK) {
        status = heads_each(vault, tenant, rebuild_one, &rebuilding, err);
    }
    if (status == KL_OK) {
        status = rebuild_commit(&rebuilding, true, err);
    }
    if (status == KL_OK) {
        kl_log(KL_LOG_INFO, "index_rebuilt", KL_LOG_INT("tenant", tenant),
               KL_LOG_INT("subjects", rebuilding.opened), KL_LOG_INT("removed", rebuilding.removed),
               KL_LOG_INT("damaged", rebuilding.damaged));
    }
    vault_batch_free(rebuilding.batch);
    kl_arena_free(rebuilding.values);
    return status;
}

/* ---- a type in use ---- */

struct searching {
    const char *type;
    bool found;
};

/* A found type ends the walk with a status that nobody else gives here. */
#define FOUND KL_ERR_EXISTS

static enum kl_status search_one(void *context, struct vault_subject *subject,
                                 enum kl_status status, struct kl_arena *scratch,
                                 struct kl_err *err)
{
    struct searching *searching = context;
    size_t i;

    (void)scratch;
    (void)err;
    for (i = 0; status == KL_OK && i < subject->head.record_count; i++) {
        if (!subject->records[i].gone && strcmp(subject->records[i].type, searching->type) == 0) {
            searching->found = true;
            return FOUND;
        }
    }
    return KL_OK;
}

enum kl_status vault_subject_type_in_use(struct vault *vault, uint64_t tenant, const char *type,
                                         bool *ret_in_use, struct kl_err *err)
{
    struct searching searching = {.type = type};
    enum kl_status status = heads_each(vault, tenant, search_one, &searching, err);

    if (status != KL_OK && status != FOUND) {
        return status;
    }
    *ret_in_use = searching.found;
    return KL_OK;
}
