/* Reads by id: found, read, and handed out when one commit has their audit entries. */
#include "vault/disclosure.h"
#include "vault/subject_read.h"
#include "vault/volume.h"

#include <string.h>

/* How often a subject is looked at again when what was to be read of it went away meanwhile. */
#define READ_TRIES 16

/* ---- one ---- */

static enum kl_status read_found(struct vault *vault, const struct vault_caller *caller,
                                 const struct vault_read_input *input,
                                 const struct vault_read_plan *plan, struct kl_arena *arena,
                                 struct vault_act *act, struct vault_subject_result *ret,
                                 struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_subject subject = {0};
    bool reached = false;
    bool again = false;
    unsigned gone = 0;
    unsigned tries = 0;
    int64_t waited_ms = 0;

    do {
        kl_err_clear(err);
        memset(&subject, 0, sizeof subject);
        status = vault_subject_find(vault, caller, &input->subject, arena, &subject, err);
        if (status == KL_OK) {
            status = vault_read_disclosed(vault, caller, plan, input->record, &subject, arena, act,
                                          ret, &reached, err);
        }
        vault_subject_done(&subject);
        again = vault_read_met_change(status, err)
                    ? vault_change_again(status, &tries, &waited_ms, err)
                    : status == KL_ERR_GONE && ++gone < READ_TRIES;
    } while (again);
    if (vault_read_met_change(status, err)) {
        return vault_change_busy(status, err);
    }
    if (status == KL_ERR_GONE) {
        kl_err_clear(err);
        return vault_not_found(err);
    }
    return status;
}

/* Without any grant for reading, the subject is looked for all the same and then not found. */
static enum kl_status read_one(struct vault *vault, const struct vault_caller *caller,
                               const struct vault_read_input *input, struct kl_arena *arena,
                               struct vault_act *act, struct vault_subject_result *ret,
                               struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_read_plan plan;
    struct kl_err why = {0};
    uint64_t slot = 0;

    status = vault_read_plan_make(caller, input, VAULT_NONE, &input->subject, &plan, err);
    if (status != KL_OK) {
        return status;
    }
    if (plan.query.role == VAULT_NONE || !vault_policy_may(caller->policy, &plan.query)) {
        status = vault_subject_slot(vault, caller->tenant, &input->subject, &slot, &why);
        kl_err_clear(&why);
        status = vault_not_found(err);
    } else if (vault_volume_is_closed(vault, caller, &plan.query,
                                      plan.named ? plan.wanted : NULL)) {
        status = vault_volume_exceeded(vault, caller, err);
    } else {
        status = read_found(vault, caller, input, &plan, arena, act, ret, err);
    }
    if (vault_refusal(status)) {
        vault_act_done(act);
        if (vault_refusal_act(act, caller, "read", plan.query.purpose, err, &why) != KL_OK) {
            *err = why;
            return why.status;
        }
    }
    return status;
}

/* ---- what a result takes ---- */

#define RECORD_BYTES 320 /* of one record as JSON, without its fields, type and source */
#define FIELD_BYTES 64   /* of one field, without its name and value */

/* Control characters are escaped with six bytes, quotes and backslashes with two (RFC 8259, 7). */
static size_t text_bytes(struct kl_slice text)
{
    size_t bytes = text.size;
    size_t i;

    for (i = 0; i < text.size; i++) {
        if (text.bytes[i] < 0x20) {
            bytes += 5;
        } else if (text.bytes[i] == '"' || text.bytes[i] == '\\') {
            bytes++;
        }
    }
    return bytes;
}

size_t vault_read_bytes(const struct vault_subject_result *result)
{
    size_t bytes = RECORD_BYTES;
    size_t i;
    size_t k;

    for (i = 0; i < result->record_count; i++) {
        const struct vault_record_result *record = &result->records[i];

        bytes += RECORD_BYTES + strlen(record->type) +
                 (record->source == NULL ? 0 : strlen(record->source));
        for (k = 0; k < record->field_count; k++) {
            bytes += FIELD_BYTES + 2 * strlen(record->fields[k].name) +
                     text_bytes(record->fields[k].value);
        }
    }
    return bytes;
}

void vault_read_count(struct vault *vault, const struct vault_subject_result *result)
{
    uint64_t shown = 0;
    uint64_t withheld = 0;
    size_t i;
    size_t k;

    for (i = 0; i < result->record_count; i++) {
        for (k = 0; k < result->records[i].field_count; k++) {
            if (result->records[i].fields[k].withheld == VAULT_GATE_NONE) {
                shown++;
            } else {
                withheld++;
            }
        }
    }
    atomic_fetch_add_explicit(&vault->counters.fields_read, shown, memory_order_relaxed);
    atomic_fetch_add_explicit(&vault->counters.fields_withheld, withheld, memory_order_relaxed);
}

/* ---- many ---- */

static enum kl_status result_too_large(struct kl_err *err)
{
    kl_err_clear(err);
    return kl_fail(
        err, KL_ERR_TOO_LARGE, "batch_result_too_large",
        "what was read before fills the answer: read it by itself, or in a smaller batch", NULL);
}

/*
 * Read inputs[i], unless it does not fit beside what was read before it: then nothing of it is
 * shown, so that there is nothing to tell the trail. left: how many bytes there is room for; 0 from then on.
 */
static enum kl_status read_next(struct vault *vault, const struct vault_caller *caller,
                                const struct vault_read_input *input, size_t *left, bool first,
                                struct kl_arena *arena, struct vault_act *act,
                                struct vault_subject_result *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t bytes = 0;

    if (*left == 0) {
        return result_too_large(err);
    }
    status = read_one(vault, caller, input, arena, act, ret, err);
    if (status == KL_OK) {
        bytes = vault_read_bytes(ret);
    }
    if (bytes > *left || (status == KL_ERR_NO_MEMORY && !first)) {
        vault_act_done(act);
        memset(act, 0, sizeof *act);
        memset(ret, 0, sizeof *ret);
        *left = 0;
        return result_too_large(err);
    }
    *left -= bytes;
    return status;
}

enum kl_status vault_subject_read_many(struct vault *vault, const struct vault_caller *caller,
                                       const struct vault_read_input *inputs, size_t count,
                                       size_t result_max_bytes, struct kl_arena *arena,
                                       struct vault_subject_result *rets, enum kl_status *statuses,
                                       struct kl_err *errs, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_act *acts = kl_arena_array(arena, count, sizeof *acts);
    struct vault_audit_entry **entries = kl_arena_array(arena, count, sizeof *entries);
    size_t entry_count = 0;
    size_t left = result_max_bytes;
    size_t i;

    if (count > VAULT_BATCH_MAX) {
        return kl_fail(err, KL_ERR_TOO_LARGE, "too_many_operations", "at most 1000 reads at once",
                       NULL);
    }
    if (acts == NULL || entries == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < count; i++) {
        kl_err_clear(&errs[i]);
        statuses[i] = read_next(vault, caller, &inputs[i], &left, left == result_max_bytes, arena,
                                &acts[i], &rets[i], &errs[i]);
        if (statuses[i] == KL_OK || vault_refusal(statuses[i])) {
            entries[entry_count++] = &acts[i].entry;
        }
    }
    if (entry_count > 0) {
        status = vault_audit_commit(vault, entries, entry_count, err);
    }
    for (i = 0; i < count; i++) {
        vault_act_done(&acts[i]);
        if (status != KL_OK) {
            memset(&rets[i], 0, sizeof rets[i]);
        } else if (statuses[i] == KL_OK) {
            vault_read_count(vault, &rets[i]);
        }
    }
    return status;
}

enum kl_status vault_subject_read(struct vault *vault, const struct vault_caller *caller,
                                  const struct vault_read_input *input, struct kl_arena *arena,
                                  struct vault_subject_result *ret, struct kl_err *err)
{
    struct kl_err own = {0};
    struct kl_err why = {0};
    struct vault_subject_result result = {0};
    enum kl_status one = KL_OK;
    enum kl_status status = KL_OK;

    err = err == NULL ? &own : err;
    status =
        vault_subject_read_many(vault, caller, input, 1, SIZE_MAX, arena, &result, &one, &why, err);
    if (status != KL_OK) {
        return status;
    }
    if (one != KL_OK) {
        *err = why;
        return one;
    }
    *ret = result;
    return KL_OK;
}
