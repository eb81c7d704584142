/* The end of what an erasure kept: when its time has come, or before it. */
#include "vault/erasure.h"
#include "vault/receipt.h"
#include "vault/retained.h"

#include <stdlib.h>
#include <string.h>

#define DUE_AT_ONCE 256

/*
 * Lines of a slot, of which some end. ending[i]: whether lines[i] does. together: those that end, of one record.
 * chosen picks them: of a caller, by receipt, record and basis; of upkeep, what is due of the record that the line `value` is of.
 */
struct ending {
    struct vault *vault;
    struct kl_arena *arena;
    uint64_t tenant;
    uint64_t slot;
    const struct kl_id *receipt;
    const struct vault_caller *caller; /* NULL: upkeep */
    const struct kl_id *record;
    const char *basis; /* NULL: any */
    uint64_t value;
    int64_t now_us;
    struct vault_retained_line *lines;
    size_t count;
    size_t lost;
    bool *ending;
    struct vault_retained_line **together;
    size_t together_count;
    struct vault_erasing erasing;
    struct kms_change *changes;
    size_t change_count;
};

/* ---- which lines ---- */

static const struct vault_retained_line *line_of(const struct ending *ending, uint64_t value)
{
    size_t i;

    for (i = 0; i < ending->count; i++) {
        if (ending->lines[i].row.value == value) {
            return &ending->lines[i];
        }
    }
    return NULL;
}

/* A line that is damaged ends by itself: nobody knows what record it is of. */
static bool is_chosen(const struct ending *ending, const struct vault_retained_line *due,
                      const struct vault_retained_line *line)
{
    if (!kl_id_equal(&line->row.receipt, ending->receipt)) {
        return false;
    }
    if (ending->caller != NULL) {
        return line->opened && kl_id_equal(&line->record, ending->record) &&
               line->row.until_us > ending->now_us &&
               (ending->basis == NULL || strcmp(line->row.basis, ending->basis) == 0);
    }
    return line == due ||
           (due->opened && line->opened && kl_id_equal(&line->record, &due->record) &&
            line->row.until_us <= ending->now_us);
}

static enum kl_status choose(struct ending *ending, struct kl_err *err)
{
    const struct vault_retained_line *due = NULL;
    enum kl_status status =
        vault_retained_lines(ending->vault, ending->tenant, ending->slot, ending->arena,
                             &ending->lines, &ending->count, &ending->lost, err);
    size_t i;

    if (status != KL_OK) {
        return status;
    }
    ending->ending = kl_arena_array(ending->arena, ending->count, sizeof *ending->ending);
    ending->together =
        kl_arena_array(ending->arena, ending->count, sizeof(struct vault_retained_line *));
    if (ending->ending == NULL || ending->together == NULL) {
        return kl_fail_memory(err);
    }
    due = line_of(ending, ending->value);
    for (i = 0; i < ending->count && (ending->caller != NULL || due != NULL); i++) {
        ending->ending[i] = is_chosen(ending, due, &ending->lines[i]);
        if (ending->ending[i]) {
            ending->together[ending->together_count++] = &ending->lines[i];
        }
    }
    return ending->together_count == 0 ? vault_not_found(err) : KL_OK;
}

/* ---- what goes with them ---- */

static int by_number(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return left < right ? -1 : left > right ? 1 : 0;
}

/* The values of all lines that end, or that stay: sorted, each once. */
static enum kl_status values_of(const struct ending *ending, bool ends, uint64_t **ret,
                                size_t *ret_count, struct kl_err *err)
{
    uint64_t *values = NULL;
    size_t count = 0;
    size_t kept = 0;
    size_t i;

    for (i = 0; i < ending->count; i++) {
        count += ending->ending[i] == ends ? ending->lines[i].value_count : 0;
    }
    values = kl_arena_array(ending->arena, count, sizeof *values);
    if (values == NULL) {
        return kl_fail_memory(err);
    }
    for (count = 0, i = 0; i < ending->count; i++) {
        if (ending->ending[i] == ends && ending->lines[i].value_count > 0) {
            memcpy(values + count, ending->lines[i].values,
                   ending->lines[i].value_count * sizeof *values);
            count += ending->lines[i].value_count;
        }
    }
    qsort(values, count, sizeof *values, by_number);
    for (i = 0; i < count; i++) {
        if (kept == 0 || values[kept - 1] != values[i]) {
            values[kept++] = values[i];
        }
    }
    *ret = values;
    *ret_count = kept;
    return KL_OK;
}

static void change(struct ending *ending, enum kms_change_kind kind, uint64_t value)
{
    ending->changes[ending->change_count++] =
        (struct kms_change){kind, {ending->tenant, ending->slot, value}};
}

/*
 * The slot but for what the others name; where one of those cannot be read, and nobody can say what it names, only what is known to
 * go. left: the values that the others name.
 */
static void changes_fill(struct ending *ending, bool whole, const uint64_t *left, size_t left_count)
{
    size_t i;

    if (whole) {
        change(ending, KMS_CHANGE_SHRED, KMS_VALUE_NONE);
    }
    for (i = 0; whole && i < left_count; i++) {
        change(ending, KMS_CHANGE_KEEP, left[i]);
    }
    for (i = 0; i < ending->count; i++) {
        if (ending->ending[i] != whole) {
            change(ending, whole ? KMS_CHANGE_KEEP : KMS_CHANGE_SHRED, ending->lines[i].row.value);
        }
    }
    for (i = 0; !whole && i < ending->erasing.row_count; i++) {
        change(ending, KMS_CHANGE_SHRED, ending->erasing.rows[i]);
    }
}

static enum kl_status changes_make(struct ending *ending, struct kl_err *err)
{
    struct vault_note *note = &ending->erasing.note;
    enum kl_status status = KL_OK;
    uint64_t *going = NULL;
    uint64_t *left = NULL;
    size_t going_count = 0;
    size_t left_count = 0;
    bool whole = ending->lost == 0;
    bool record_left = !ending->together[0]->opened;
    size_t i;

    for (i = 0; i < ending->count; i++) {
        const struct vault_retained_line *line = &ending->lines[i];

        whole = whole && (ending->ending[i] || line->opened);
        record_left = record_left || (!ending->ending[i] && line->opened &&
                                      kl_id_equal(&line->record, &ending->together[0]->record));
    }
    status = values_of(ending, true, &going, &going_count, err);
    if (status == KL_OK) {
        status = values_of(ending, false, &left, &left_count, err);
    }
    if (status != KL_OK) {
        return status;
    }
    ending->erasing.rows = going;
    for (i = 0; i < going_count; i++) {
        if (left_count == 0 ||
            bsearch(&going[i], left, left_count, sizeof *left, by_number) == NULL) {
            going[ending->erasing.row_count++] = going[i];
        }
    }
    ending->changes = kl_arena_array(ending->arena, 1 + ending->count + left_count + going_count,
                                     sizeof *ending->changes);
    if (ending->changes == NULL) {
        return kl_fail_memory(err);
    }
    changes_fill(ending, whole, left, left_count);
    note->records = record_left ? 0 : 1;
    note->fields = (uint32_t)ending->erasing.row_count;
    return KL_OK;
}

/* ---- doing it ---- */

/* note: who and when. */
static void note_fill(struct ending *ending)
{
    const struct vault_retained *row = &ending->together[0]->row;
    struct vault_note *note = &ending->erasing.note;

    note->kind = VAULT_NOTE_RETAINED;
    note->id = kl_id_new();
    note->of = row->receipt;
    note->tenant = row->tenant;
    note->slot = row->slot;
    note->record = row->value;
    note->notify_all = true;
    memcpy(note->commitment, row->commitment, sizeof note->commitment);
}

static enum kl_status commit_end(struct ending *ending, struct kl_err *err)
{
    struct kms_request request = {.changes = ending->changes,
                                  .changes_count = ending->change_count,
                                  .work = &ending->erasing};
    enum kl_status status = KL_OK;
    struct kl_buf note;

    kl_buf_init(&note, KMS_NOTE_MAX_BYTES);
    status = vault_note_encode(&ending->erasing.note, &note, err);
    request.note = note.bytes;
    request.note_bytes = note.size;
    if (status == KL_OK) {
        status = kms_commit(ending->vault->keys, &request, err);
    }
    kl_buf_done(&note);
    return status;
}

static enum kl_status check_allowed(const struct ending *ending, struct kl_err *err)
{
    struct vault_subject subject = {0};
    enum kl_status status = vault_retained_together(
        ending->vault, ending->together, ending->together_count, ending->arena, &subject, err);

    return status == KL_OK
               ? vault_subject_allowed(ending->caller, VAULT_ACTION_HOLD, &subject, VAULT_NONE, err)
               : status;
}

/* Marked dying, so that of two ends of lines that share a field the later one sees that nobody else needs it. */
static enum kl_status end_marked(struct ending *ending, struct kl_err *err)
{
    enum kl_status status = choose(ending, err);

    if (status == KL_OK && ending->caller != NULL) {
        status = check_allowed(ending, err);
    }
    if (status == KL_OK) {
        note_fill(ending);
        status = changes_make(ending, err);
    }
    if (status == KL_OK) {
        status = commit_end(ending, err);
    }
    if (status == KL_OK) {
        atomic_fetch_add_explicit(&ending->vault->counters.erasures, 1, memory_order_relaxed);
    }
    return status;
}

static enum kl_status mark(struct ending *ending, struct kl_err *err)
{
    enum kl_status status =
        vault_commit_dying_begin(ending->vault->committer, ending->tenant, ending->slot, err);

    if (status == KL_ERR_GONE) {
        kl_err_clear(err);
        status = kl_fail(err, KL_ERR_BUSY, "subject_busy",
                         "this subject is being changed by others; try again", NULL);
    }
    return status;
}

static enum kl_status end(struct ending *ending, struct kl_err *err)
{
    enum kl_status status = mark(ending, err);

    if (status == KL_OK) {
        status = end_marked(ending, err);
        vault_commit_dying_end(ending->vault->committer, ending->tenant, ending->slot);
    }
    return status;
}

enum kl_status vault_retained_end(struct vault *vault, const struct vault_caller *caller,
                                  const struct kl_id *receipt, const struct kl_id *record,
                                  const char *basis, struct kl_buf *ret_receipt, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct kl_arena *arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    struct ending ending = {.vault = vault,
                            .arena = arena,
                            .tenant = caller->tenant,
                            .receipt = receipt,
                            .caller = caller,
                            .record = record,
                            .basis = basis,
                            .now_us = caller->now_us,
                            .erasing = {.note = {.reason = VAULT_ERASE_OTHER}}};
    struct kl_err own = {0};

    err = err == NULL ? &own : err;
    kl_buf_init(&ending.erasing.receipt, VAULT_RECEIPT_MAX_BYTES);
    status = arena == NULL ? kl_fail_memory(err) : vault_policy_required(caller, err);
    if (status == KL_OK) {
        const struct vault_query query =
            vault_query_of(caller, VAULT_ACTION_HOLD, VAULT_NONE, VAULT_NONE, NULL);

        status = vault_retained_reach(vault, caller, &query, receipt, &ending.slot, err);
    }
    if (status == KL_OK) {
        vault_note_who(&ending.erasing.note, caller);
        status = end(&ending, err);
    }
    if (status == KL_ERR_GONE) { /* it came to its end meanwhile */
        kl_err_clear(err);
        status = vault_not_found(err);
    }
    if (status == KL_OK) {
        status = vault_receipt_hand_out(vault, ending.tenant, &ending.erasing.note.id,
                                        kl_buf_slice(&ending.erasing.receipt), ret_receipt, err);
    }
    kl_buf_done(&ending.erasing.receipt);
    kl_arena_free(arena);
    return vault_subject_refused(vault, caller, "retention_end", VAULT_NONE, status, err);
}

/* ---- upkeep ---- */

/* Of an erasure that never came to its commit, the subject's own hold is what counts; of a line that has no key any more nothing is left. */
static enum kl_status tidy(struct ending *ending, struct kl_err *err)
{
    enum kl_status status = mark(ending, err);

    if (status == KL_OK) { /* no erasure of it is under way */
        status = vault_retained_tidy(ending->vault, ending->tenant, ending->slot, false, err);
        vault_commit_dying_end(ending->vault->committer, ending->tenant, ending->slot);
    }
    return status;
}

static enum kl_status due_end(struct vault *vault, const struct vault_retained *row, int64_t now_us,
                              struct kl_arena *arena, struct kl_err *err)
{
    struct ending ending = {
        .vault = vault,
        .arena = arena,
        .tenant = row->tenant,
        .slot = row->slot,
        .receipt = &row->receipt,
        .value = row->value,
        .now_us = now_us,
        .erasing = {.note = {.reason = VAULT_ERASE_RETENTION, .at_us = now_us, .role = "vault"}}};
    enum kl_status status = KL_OK;
    bool stale = false;

    status = vault_retained_is_stale(vault, row->tenant, row->slot, &stale, err);
    if (status == KL_OK && stale) {
        return tidy(&ending, err);
    }
    kl_buf_init(&ending.erasing.receipt, VAULT_RECEIPT_MAX_BYTES);
    if (status == KL_OK) {
        status = end(&ending, err);
    }
    kl_buf_done(&ending.erasing.receipt);
    if (status == KL_ERR_NOT_FOUND) {
        kl_err_clear(err);
        status = tidy(&ending, err);
    }
    return status;
}

/* One that cannot be ended now keeps no other waiting; the first failure is told. */
enum kl_status vault_retained_due(struct vault *vault, int64_t now_us, struct kl_err *err)
{
    enum kl_status first = KL_OK;
    enum kl_status status = KL_OK;
    struct vault_retained *due = calloc(DUE_AT_ONCE, sizeof *due);
    struct kl_arena *arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    struct kl_err own = {0};
    size_t count = 0;
    size_t i;

    first = due == NULL || arena == NULL
                ? kl_fail_memory(err)
                : vault_retained_due_find(vault, now_us, due, DUE_AT_ONCE, &count, err);
    for (i = 0; i < count; i++) {
        kl_arena_reset(arena);
        status = due_end(vault, &due[i], now_us, arena, first == KL_OK ? err : &own);
        kl_err_clear(&own);
        first = first == KL_OK ? status : first;
    }
    free(due);
    kl_arena_free(arena);
    return first;
}
