/* A change of one subject: rows, index entries and audit entry gather, and are committed as one. */
#include "vault/journal.h"
#include "vault/rows.h"
#include "vault/subject_internal.h"
#include "vault/subject_unknown.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#define BASE_CONTEXT "base"
#define RECORD_CONTEXT "record"
#define LEDGER_CONTEXT "ledger"
#define WAIT_STEP_MS 2

enum kl_status vault_change_begin(struct vault_change *change, struct vault *vault,
                                  const struct vault_caller *caller, struct kl_err *err)
{
    memset(change, 0, sizeof *change);
    change->vault = vault;
    change->caller = caller;
    kl_buf_init(&change->plain, KMS_SEAL_MAX_BYTES);
    kl_buf_init(&change->sealed, KMS_SEAL_MAX_BYTES + KMS_SEAL_OVERHEAD_BYTES);
    kl_buf_init(&change->subject.row, VAULT_STORE_VALUE_MAX_BYTES);
    change->arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    change->batch = vault_batch_new();
    return change->arena == NULL || change->batch == NULL ? kl_fail_memory(err) : KL_OK;
}

void vault_change_end(struct vault_change *change)
{
    vault_act_done(&change->act);
    vault_subject_done(&change->subject);
    vault_batch_free(change->batch);
    kl_buf_done(&change->plain);
    kl_buf_done(&change->sealed);
    kl_arena_free(change->arena);
}

/* ---- value slots ---- */

enum kl_status vault_head_value_take(struct vault *vault, struct vault_head *head,
                                     uint64_t *ret_value, struct kl_err *err)
{
    uint64_t past_last;
    enum kl_status status = vault_head_epoch_begin(vault, head, err);

    if (status != KL_OK) {
        return status;
    }
    past_last = ((uint64_t)head->epoch + 1) << VAULT_VALUE_EPOCH_BITS;
    if (head->next_value >= past_last) {
        return kl_fail(err, KL_ERR_TOO_LARGE, "subject_full",
                       "this subject was changed too often to be changed once more", NULL);
    }
    *ret_value = head->next_value++;
    return KL_OK;
}

enum kl_status vault_change_value_take(struct vault_change *change, uint64_t *ret_value,
                                       struct kl_err *err)
{
    return vault_head_value_take(change->vault, &change->subject.head, ret_value, err);
}

/* Pad and seal plaintext into change->sealed. */
static enum kl_status seal(struct vault_change *change, uint64_t value, struct kl_slice context,
                           struct kl_slice plaintext, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kms_place place = {change->subject.tenant, change->subject.slot, value};
    struct kl_buf padded;

    kl_buf_init(&padded, KMS_SEAL_MAX_BYTES);
    status = vault_pad(plaintext, &padded, err);
    if (status == KL_OK) {
        kl_buf_clear(&change->sealed);
        status = kms_seal(change->vault->keys, &place, context, kl_buf_slice(&padded),
                          &change->sealed, err);
    }
    kl_buf_done(&padded);
    return status;
}

/* Keep what was sealed last for the head row. */
static enum kl_status keep_sealed(struct vault_change *change, struct kl_slice *ret,
                                  struct kl_err *err)
{
    unsigned char *copy = kl_arena_alloc(change->arena, change->sealed.size);

    if (copy == NULL) {
        return kl_fail_memory(err);
    }
    memcpy(copy, change->sealed.bytes, change->sealed.size);
    *ret = kl_slice_of(copy, change->sealed.size);
    return KL_OK;
}

enum kl_status vault_change_value_put(struct vault_change *change, uint64_t value,
                                      struct kl_slice context, struct kl_slice plaintext,
                                      struct kl_err *err)
{
    struct vault_row_key key = vault_row_value(change->subject.tenant, change->subject.slot, value);
    enum kl_status status = seal(change, value, context, plaintext, err);

    if (status == KL_OK) {
        vault_batch_put(change->batch, vault_row_slice(&key), kl_buf_slice(&change->sealed));
    }
    return status;
}

enum kl_status vault_change_value_retire(struct vault_change *change, uint64_t value, int64_t at_us,
                                         bool indexed, struct kl_err *err)
{
    uint64_t tenant = change->subject.tenant;
    struct vault_row_key key = vault_row_old(tenant, at_us, change->subject.slot, value);
    struct vault_row_key unswept = vault_row_unswept(tenant);
    struct vault_index_epochs epochs = {0};
    unsigned char in[4] = {0};
    enum kl_status status =
        indexed ? vault_index_epochs(change->vault->index, tenant, &epochs, err) : KL_OK;

    if (status != KL_OK) {
        return status;
    }
    if (indexed) {
        change->retired_in = (epochs.next_epoch != 0 ? epochs.next_epoch : epochs.epoch) + 1;
        kl_put_u32be(in, change->retired_in);
        vault_batch_put(change->batch, vault_row_slice(&unswept), kl_slice_of("", 0));
    }
    vault_batch_put(change->batch, vault_row_slice(&key), kl_slice_of(in, sizeof in));
    return KL_OK;
}

/* ---- index ---- */

/* Room for as many changes as one entry may need. */
static enum kl_status index_room(struct vault_change *change, struct kl_err *err)
{
    struct vault_index_change *grown = NULL;

    if (change->index_count + VAULT_INDEX_TWIN <= change->index_max) {
        return KL_OK;
    }
    change->index_max = change->index_max == 0 ? 16 : 2 * change->index_max;
    grown = kl_arena_array(change->arena, change->index_max, sizeof *grown);
    if (grown == NULL) {
        return kl_fail_memory(err);
    }
    if (change->index_count > 0) {
        memcpy(grown, change->index, change->index_count * sizeof *grown);
    }
    change->index = grown;
    return KL_OK;
}

static enum kl_status index_add(struct vault_change *change, enum vault_index_change_kind kind,
                                const char *of, struct kl_slice form, uint64_t discriminator,
                                struct kl_err *err)
{
    enum kl_status status = index_room(change, err);
    struct vault_index_entry entries[VAULT_INDEX_TWIN];
    size_t count = 0;
    size_t i;

    if (status == KL_OK) {
        status = vault_index_entries(change->vault->index, change->subject.tenant, of, form,
                                     change->subject.slot, discriminator, entries, &count, err);
    }
    for (i = 0; status == KL_OK && i < count; i++) {
        change->index[change->index_count].kind = kind;
        change->index[change->index_count++].entry = entries[i];
    }
    return status;
}

/* Whether a new index was begun after a value was retired, and before the tags of the change were made. */
static bool is_of_two_epochs(const struct vault_change *change)
{
    size_t i;

    for (i = 0; change->retired_in != 0 && i < change->index_count; i++) {
        if (change->index[i].entry.made_for > change->retired_in) {
            return true;
        }
    }
    return false;
}

enum kl_status vault_change_index(struct vault_change *change, enum vault_index_change_kind kind,
                                  const struct kl_id *record, const char *type, const char *field,
                                  struct kl_slice form, struct kl_err *err)
{
    char name[VAULT_FIELD_NAME_BYTES];

    vault_field_name(type, field, name);
    return index_add(change, kind, name, form, vault_index_discriminator(record, field), err);
}

enum kl_status vault_change_index_id(struct vault_change *change, struct kl_err *err)
{
    return index_add(change, VAULT_INDEX_ADD, "id",
                     kl_slice_of(change->subject.base.subject.bytes, KL_ID_BYTES), 0, err);
}

enum kl_status vault_change_index_handle(struct vault_change *change, size_t at, struct kl_err *err)
{
    return index_add(change, VAULT_INDEX_ADD, VAULT_PSEUDONYM_KIND,
                     kl_slice_of(change->subject.base.handles[at], VAULT_HANDLE_BYTES), 0, err);
}

enum kl_status vault_change_index_remove(struct vault_change *change,
                                         const struct vault_manifest_record *record,
                                         const struct vault_manifest_field *field,
                                         struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_value_wanted wanted = {.record = record, .field = field};
    struct kl_buf form;

    if (field->index == VAULT_INDEX_NONE) {
        return KL_OK;
    }
    kl_buf_init(&form, VAULT_TAG_VALUE_MAX_BYTES);
    status = vault_subject_values(change->vault, change->subject.tenant, change->subject.slot,
                                  &wanted, 1, change->arena, err);
    if (status == KL_OK) {
        status = vault_value_index_form(field->type, wanted.value, &form, err);
    }
    if (status == KL_OK) {
        status = vault_change_index(change, VAULT_INDEX_REMOVE, &record->id, record->type,
                                    field->name, kl_buf_slice(&form), err);
    }
    kl_buf_done(&form);
    return status;
}

/* ---- manifests ---- */

enum kl_status vault_change_base_seal(struct vault_change *change, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    kl_buf_clear(&change->plain);
    status = vault_manifest_base_encode(&change->subject.base, &change->plain, err);
    if (status == KL_OK) {
        status = seal(change, VAULT_VALUE_BASE, kl_slice_text(BASE_CONTEXT),
                      kl_buf_slice(&change->plain), err);
    }
    return status == KL_OK ? keep_sealed(change, &change->subject.head.base, err) : status;
}

enum kl_status vault_change_record_seal(struct vault_change *change, size_t at, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_head_record *in_head = &change->subject.head.records[at];

    kl_buf_clear(&change->plain);
    status = vault_manifest_record_encode(&change->subject.records[at], &change->plain, err);
    if (status == KL_OK) {
        status = seal(change, in_head->value, kl_slice_text(RECORD_CONTEXT),
                      kl_buf_slice(&change->plain), err);
    }
    return status == KL_OK ? keep_sealed(change, &in_head->sealed, err) : status;
}

/* The base says whether anything but consents is in the ledger. */
static enum kl_status limits_set(struct vault_change *change, bool limits, struct kl_err *err)
{
    if (change->subject.base.limits == limits) {
        return KL_OK;
    }
    change->subject.base.limits = limits;
    return vault_change_base_seal(change, err);
}

enum kl_status vault_change_ledger_put(struct vault_change *change,
                                       const struct vault_ledger *ledger, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    kl_buf_clear(&change->plain);
    status = vault_ledger_encode(ledger, &change->plain, err);
    if (status == KL_OK) {
        status = vault_change_value_put(change, VAULT_VALUE_LEDGER, kl_slice_text(LEDGER_CONTEXT),
                                        kl_buf_slice(&change->plain), err);
    }
    if (status == KL_OK) {
        change->subject.head.has_ledger = true;
        status = limits_set(change, vault_ledger_limits(ledger), err);
    }
    return status;
}

/* ---- records ---- */

/* Room for one record more in the subject, empty. Earlier pointers into its arrays are void. */
static enum kl_status record_room(struct vault_change *change, struct kl_err *err)
{
    struct vault_subject *subject = &change->subject;
    size_t count = subject->head.record_count;
    struct vault_head_record *heads = NULL;
    struct vault_manifest_record *records = NULL;

    if (count >= VAULT_RECORDS_MAX) {
        return kl_fail(err, KL_ERR_TOO_LARGE, "too_many_records",
                       "a subject holds at most 256 records", NULL);
    }
    heads = kl_arena_array(change->arena, count + 1, sizeof *heads);
    records = kl_arena_array(change->arena, count + 1, sizeof *records);
    if (heads == NULL || records == NULL) {
        return kl_fail_memory(err);
    }
    if (count > 0) {
        memcpy(heads, subject->head.records, count * sizeof *heads);
        memcpy(records, subject->records, count * sizeof *records);
    }
    subject->head.records = heads;
    subject->records = records;
    subject->head.record_count++;
    return KL_OK;
}

enum kl_status vault_change_field_set(struct vault_change *change,
                                      struct vault_manifest_record *record, size_t at,
                                      const struct vault_field_draft *draft, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    const struct vault_policy_field *of = vault_policy_field(change->caller->policy, draft->field);
    struct vault_manifest_field *field = &record->fields[at];
    struct kl_buf context;

    assert(of->type != VAULT_TYPE_SECRET || draft->hashed);
    kl_buf_init(&context, VAULT_VALUE_CONTEXT_MAX_BYTES);
    field->name = of->name;
    field->type = of->type;
    field->index = of->index;
    field->version = record->version;
    status = vault_change_value_take(change, &field->value, err);
    if (status == KL_OK) {
        vault_value_context(&record->id, field->name, field->version, &context);
        status = kl_buf_status(&context, err);
    }
    if (status == KL_OK) {
        status =
            vault_change_value_put(change, field->value, kl_buf_slice(&context), draft->value, err);
    }
    if (status == KL_OK && of->index != VAULT_INDEX_NONE) {
        status = vault_change_index(
            change, of->index == VAULT_INDEX_UNIQUE ? VAULT_INDEX_ADD_UNIQUE : VAULT_INDEX_ADD,
            &record->id, record->type, field->name, draft->form, err);
    }
    kl_buf_done(&context);
    return status;
}

enum kl_status vault_change_record_add(struct vault_change *change,
                                       const struct vault_record_draft *draft,
                                       struct vault_manifest_record **ret_record,
                                       struct kl_err *err)
{
    enum kl_status status = record_room(change, err);
    size_t at = change->subject.head.record_count - 1;
    struct vault_manifest_record *record = NULL;
    size_t i;

    if (status != KL_OK) {
        return status;
    }
    record = &change->subject.records[at];
    record->id = kl_id_new();
    record->type = draft->type_name;
    record->source = draft->source;
    record->version = 1;
    record->created_us = change->caller->now_us;
    record->field_count = draft->field_count;
    record->fields = kl_arena_array(change->arena, draft->field_count, sizeof *record->fields);
    if (record->fields == NULL) {
        return kl_fail_memory(err);
    }
    status = vault_change_value_take(change, &change->subject.head.records[at].value, err);
    for (i = 0; status == KL_OK && i < draft->field_count; i++) {
        status = vault_change_field_set(change, record, i, &draft->fields[i], err);
    }
    if (status == KL_OK) {
        status = vault_change_record_seal(change, at, err);
    }
    if (status == KL_OK) {
        *ret_record = record;
    }
    return status;
}

/* ---- consents ---- */

static bool same_consent(const struct vault_ledger_entry *a, const struct vault_ledger_entry *b)
{
    if (strcmp(a->purpose, b->purpose) != 0 || (a->recipient == NULL) != (b->recipient == NULL)) {
        return false;
    }
    return a->recipient == NULL || strcmp(a->recipient, b->recipient) == 0;
}

enum kl_status vault_change_consents_add(struct vault_change *change,
                                         const struct vault_consent_draft *drafts, size_t count,
                                         struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_ledger old = {0};
    struct vault_ledger ledger = {0};
    size_t i;
    size_t k;

    if (count == 0) {
        return KL_OK;
    }
    status = vault_subject_ledger(change->vault, &change->subject, change->arena, &old, err);
    if (status != KL_OK) {
        return status;
    }
    if (old.count + count > VAULT_CONSENTS_MAX) {
        return kl_fail(err, KL_ERR_TOO_LARGE, "too_many_consents",
                       "a subject's ledger holds at most 512 consents", NULL);
    }
    ledger = old;
    ledger.entries = kl_arena_array(change->arena, old.count + count, sizeof *ledger.entries);
    if (ledger.entries == NULL) {
        return kl_fail_memory(err);
    }
    if (old.count > 0) {
        memcpy(ledger.entries, old.entries, old.count * sizeof *ledger.entries);
    }
    ledger.count = old.count;
    for (i = 0; status == KL_OK && i < count; i++) {
        for (k = 0; k < ledger.count; k++) {
            if (ledger.entries[k].withdrawn_us == 0 &&
                same_consent(&ledger.entries[k], &drafts[i].entry)) {
                ledger.entries[k].withdrawn_us = change->caller->now_us;
            }
        }
        ledger.entries[ledger.count] = drafts[i].entry;
        status = vault_change_evidence_put(change, drafts[i].evidence,
                                           &ledger.entries[ledger.count].evidence, err);
        ledger.count++;
    }
    return status == KL_OK ? vault_change_ledger_put(change, &ledger, err) : status;
}

/* ---- committing ---- */

enum kl_status vault_change_commit(struct vault_change *change, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_subject *subject = &change->subject;
    struct vault_row_key key = vault_row_head(subject->tenant, subject->slot);
    struct vault_audit_entry *entries[1] = {&change->act.entry};
    struct vault_commit commit = {0};
    struct kl_buf row;

    if (vault_subject_indexed(subject) > VAULT_INDEXED_MAX) {
        return kl_failf(err, KL_ERR_TOO_LARGE, "too_many_indexed_values",
                        "a subject holds at most %d values that can be looked up",
                        VAULT_INDEXED_MAX);
    }
    if (is_of_two_epochs(change)) {
        return kl_fail(err, KL_ERR_PRECONDITION, "head_changed",
                       "this was changed in the meantime; read it again",
                       "a new index was begun during a change");
    }
    kl_buf_init(&row, VAULT_STORE_VALUE_MAX_BYTES);
    commit.tenant = subject->tenant;
    commit.batch = change->batch;
    commit.check_head = true;
    commit.slot = subject->slot;
    commit.head_version = subject->head.version;
    commit.index = change->index;
    commit.index_count = change->index_count;
    commit.audit = entries;
    commit.audit_count = change->unaudited ? 0 : 1;
    commit.unsynced = change->unsynced;
    if (change->closing != NULL) {
        commit.inside = vault_journal_inside;
        commit.inside_context = change->closing;
    }
    subject->head.version++;
    status = vault_head_encode(&subject->head, &row, err);
    if (status == KL_OK) {
        vault_batch_put(change->batch, vault_row_slice(&key), kl_buf_slice(&row));
        status = change->unaudited ? KL_OK : vault_subject_act_end(&change->act, err);
    }
    if (status == KL_OK) {
        status = vault_commit_submit(change->vault->committer, &commit, err);
    }
    if (status == KL_OK) {
        atomic_fetch_add_explicit(&change->vault->counters.audit_entries, commit.audit_count,
                                  memory_order_relaxed);
    }
    kl_buf_done(&row);
    return status;
}

/* A moment, while an erasure of the subject is under way: three syncs of a disk. */
static void pause_step(int64_t *waited_ms)
{
    struct timespec step = {.tv_nsec = WAIT_STEP_MS * 1000000L};

    nanosleep(&step, NULL);
    *waited_ms += WAIT_STEP_MS;
}

bool vault_change_again(enum kl_status status, unsigned *tries, int64_t *waited_ms,
                        struct kl_err *err)
{
    bool again = false;

    if (status == KL_ERR_PRECONDITION && strcmp(err->code, "head_changed") == 0) {
        again = ++*tries < VAULT_CHANGE_TRIES;
    } else if (status == KL_ERR_GONE) {
        /* An erasure of the subject is under way, or of what was being read for the change. */
        again = *waited_ms < VAULT_CHANGE_WAIT_MS;
        if (again) {
            pause_step(waited_ms);
        }
    }
    if (again) {
        kl_err_clear(err);
    }
    return again;
}

enum kl_status vault_change_busy(enum kl_status status, struct kl_err *err)
{
    if ((status == KL_ERR_PRECONDITION && strcmp(err->code, "head_changed") == 0) ||
        status == KL_ERR_GONE) {
        kl_err_clear(err);
        return kl_fail(err, KL_ERR_BUSY, "subject_busy",
                       "this subject is being changed by others; try again", NULL);
    }
    return status;
}

enum kl_status vault_subject_change(struct vault *vault, const struct vault_caller *caller,
                                    const struct kl_id *subject, vault_change_body body,
                                    void *context, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_change change;
    unsigned tries = 0;
    int64_t waited_ms = 0;

    assert(err != NULL);
    do {
        status = vault_change_begin(&change, vault, caller, err);
        if (status == KL_OK) {
            status = vault_subject_find(vault, caller, subject, change.arena, &change.subject, err);
        }
        if (status == KL_OK) {
            status = body(&change, context, err);
        }
        if (status == KL_OK) {
            status = vault_change_commit(&change, err);
        }
        vault_change_end(&change);
    } while (status != KL_OK && vault_change_again(status, &tries, &waited_ms, err));
    return vault_change_busy(status, err);
}
