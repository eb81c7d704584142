/* What a dossier shows, written down: for whom it is a disclosure, and in the audit trail. */
#include "vault/disclosure.h"
#include "vault/dossier_internal.h"

#include <string.h>

/* An audit entry that has come to that size gets no more groups of records: the next ones go into another. */
#define ACT_FULL_BYTES (VAULT_AUDIT_ENTRY_MAX_BYTES / 2)

/* ---- for a recipient ---- */

static bool is_shown_for(const struct vault_dossier_record *record, size_t field, int purpose)
{
    return record->verdicts[field].decision.withheld == VAULT_GATE_NONE &&
           record->verdicts[field].unportable == VAULT_PORTABLE &&
           record->verdicts[field].purpose == purpose;
}

/* Of the whole, the fields that are shown for that purpose. */
static enum kl_status shown_for(const struct vault_dossier *dossier, int purpose,
                                struct vault_subject_result **ret, struct kl_err *err)
{
    struct vault_subject_result *part = kl_arena_alloc(dossier->arena, sizeof *part);
    struct vault_record_result *records =
        kl_arena_array(dossier->arena, dossier->record_count, sizeof *records);
    size_t i;
    size_t k;

    if (part == NULL || records == NULL) {
        return kl_fail_memory(err);
    }
    memset(part, 0, sizeof *part);
    for (i = 0; i < dossier->record_count; i++) {
        const struct vault_dossier_record *record = &dossier->records[i];

        records[i] = *record->result;
        records[i].field_count = 0;
        records[i].fields =
            kl_arena_array(dossier->arena, record->result->field_count, sizeof *records[i].fields);
        if (records[i].fields == NULL) {
            return kl_fail_memory(err);
        }
        for (k = 0; k < record->result->field_count; k++) {
            if (is_shown_for(record, k, purpose)) {
                records[i].fields[records[i].field_count++] = record->result->fields[k];
            }
        }
    }
    part->records = records;
    part->record_count = dossier->record_count;
    *ret = part;
    return KL_OK;
}

enum kl_status vault_dossier_disclose(struct vault_dossier *dossier, struct kl_err *err)
{
    const struct vault_query query = vault_dossier_query(dossier, VAULT_NONE);
    struct vault_disclosed shown[VAULT_PURPOSES_MAX];
    struct vault_subject_result *part = NULL;
    enum kl_status status = KL_OK;
    size_t i;

    if (query.recipient == VAULT_NONE) {
        return KL_OK;
    }
    for (i = 0; status == KL_OK && i < dossier->purpose_count; i++) {
        status = shown_for(dossier, dossier->purposes[i], &part, err);
        shown[i] = (struct vault_disclosed){dossier->purposes[i], part};
    }
    return status == KL_OK ? vault_disclose(dossier->vault, dossier->caller, &query,
                                            &dossier->subject, shown, i, err)
                           : status;
}

/* ---- the audit entries ---- */

static const char *left_out_name(const struct vault_verdict *verdict)
{
    return verdict->unportable == VAULT_PORTABLE ? vault_gate_name(verdict->decision.withheld)
                                                 : vault_unportable_name(verdict->unportable);
}

static bool is_alike(const struct vault_dossier_record *one,
                     const struct vault_dossier_record *other)
{
    return one->type == other->type && one->ended == other->ended &&
           one->from_others == other->from_others;
}

/* The fields of records that are alike, each once: with view, or with what withheld it. */
static void act_fields(struct kl_json_out *out, const struct vault_dossier *dossier, int type,
                       const struct vault_verdict *const *by_field, bool withheld)
{
    const struct vault_policy *policy = dossier->caller->policy;
    const struct vault_policy_record *of = vault_policy_record(policy, type);
    int i;

    kl_json_key(out, withheld ? "withheld" : "fields");
    kl_json_object_begin(out);
    for (i = 0; i < of->field_count; i++) {
        const struct vault_verdict *verdict = by_field[i];

        if (verdict == NULL || withheld != (verdict->decision.withheld != VAULT_GATE_NONE ||
                                            verdict->unportable != VAULT_PORTABLE)) {
            continue;
        }
        kl_json_add_text(out, vault_policy_field(policy, of->field_first + i)->name,
                         withheld ? left_out_name(verdict)
                                  : vault_view_name(verdict->decision.view));
    }
    kl_json_object_end(out);
}

/* One group: the records alike to the first that is not written yet, by value slot. */
static void act_group(struct kl_json_out *out, const struct vault_dossier *dossier, size_t first)
{
    const struct vault_dossier_record *of = &dossier->records[first];
    const struct vault_verdict *by_field[VAULT_FIELDS_MAX] = {NULL};
    const int field_first = vault_policy_record(dossier->caller->policy, of->type)->field_first;
    size_t i;
    size_t k;

    kl_json_object_begin(out);
    kl_json_add_text(out, "type", of->result->type);
    kl_json_key(out, "records");
    kl_json_array_begin(out);
    for (i = first; i < dossier->record_count; i++) {
        struct vault_dossier_record *record = &dossier->records[i];

        if (record->written || !is_alike(record, of)) {
            continue;
        }
        record->written = true;
        kl_json_put_int(out, (int64_t)dossier->subject.head.records[record->at].value);
        for (k = 0; k < record->result->field_count; k++) {
            if (record->told[k].field != VAULT_NONE) {
                by_field[record->told[k].field - field_first] = &record->verdicts[k];
            }
        }
    }
    kl_json_array_end(out);
    act_fields(out, dossier, of->type, by_field, false);
    act_fields(out, dossier, of->type, by_field, true);
    kl_json_object_end(out);
}

/* Names of purposes under which something is shown. */
static void act_purposes(struct kl_json_out *out, const struct vault_dossier *dossier)
{
    uint64_t purposes = 0;
    size_t i;
    size_t k;

    for (i = 0; i < dossier->record_count; i++) {
        const struct vault_dossier_record *record = &dossier->records[i];

        for (k = 0; k < record->result->field_count; k++) {
            if (record->verdicts[k].decision.withheld == VAULT_GATE_NONE &&
                record->verdicts[k].purpose != VAULT_NONE) {
                purposes |= UINT64_C(1) << record->verdicts[k].purpose;
            }
        }
    }
    kl_json_key(out, "purposes");
    kl_json_array_begin(out);
    for (; purposes != 0; purposes &= purposes - 1) {
        kl_json_put_text(
            out, vault_policy_purpose(dossier->caller->policy, __builtin_ctzll(purposes))->name);
    }
    kl_json_array_end(out);
}

static void act_begin(struct vault_dossier *dossier)
{
    struct vault_act *act = &dossier->acts[dossier->act_count++];

    vault_subject_act_begin(act, dossier->caller, dossier->act_name, dossier->subject.slot);
    if (dossier->act_count > 1) {
        kl_json_add_int(&act->out, "part", (int64_t)dossier->act_count);
    }
    act_purposes(&act->out, dossier);
    if (dossier->caller->is_recipient) {
        const struct vault_query query = vault_dossier_query(dossier, VAULT_NONE);

        vault_act_recipient(act, dossier->caller->policy, &query);
    }
    vault_subject_act_transfers(act, dossier->caller->policy, dossier->transfers);
    kl_json_key(&act->out, "shown");
    kl_json_array_begin(&act->out);
}

static enum kl_status act_end(struct vault_dossier *dossier, struct kl_err *err)
{
    struct vault_act *act = &dossier->acts[dossier->act_count - 1];
    enum kl_status status = KL_OK;

    kl_json_array_end(&act->out);
    status = vault_subject_act_end(act, err);
    if (status == KL_ERR_TOO_LARGE) {
        kl_err_clear(err);
        return kl_fail(err, status, "too_many_fields",
                       "one record type has too many fields for an audit entry", NULL);
    }
    return status;
}

static enum kl_status make_acts(struct vault_dossier *dossier, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    size_t i;

    dossier->acts =
        kl_arena_array(dossier->arena, dossier->record_count + 1, sizeof *dossier->acts);
    if (dossier->acts == NULL) {
        return kl_fail_memory(err);
    }
    act_begin(dossier);
    for (i = 0; status == KL_OK && i < dossier->record_count; i++) {
        if (dossier->records[i].written) {
            continue;
        }
        if (dossier->acts[dossier->act_count - 1].entry.json.size > ACT_FULL_BYTES) {
            status = act_end(dossier, err);
            if (status == KL_OK) {
                act_begin(dossier);
            }
        }
        if (status == KL_OK) {
            act_group(&dossier->acts[dossier->act_count - 1].out, dossier, i);
        }
    }
    return status == KL_OK ? act_end(dossier, err) : status;
}

static void count_fields(struct vault_dossier *dossier)
{
    uint64_t shown = 0;
    uint64_t all = 0;
    size_t i;
    size_t k;

    for (i = 0; i < dossier->record_count; i++) {
        const struct vault_dossier_record *record = &dossier->records[i];

        all += record->result->field_count;
        for (k = 0; k < record->result->field_count; k++) {
            shown += record->verdicts[k].decision.withheld == VAULT_GATE_NONE &&
                             record->verdicts[k].unportable == VAULT_PORTABLE
                         ? 1
                         : 0;
        }
    }
    atomic_fetch_add_explicit(&dossier->vault->counters.fields_read, shown, memory_order_relaxed);
    atomic_fetch_add_explicit(&dossier->vault->counters.fields_withheld, all - shown,
                              memory_order_relaxed);
}

enum kl_status vault_dossier_commit(struct vault_dossier *dossier, struct kl_err *err)
{
    struct vault_audit_entry **entries = NULL;
    enum kl_status status = make_acts(dossier, err);
    size_t i;

    if (status != KL_OK) {
        return status;
    }
    entries = kl_arena_array(dossier->arena, dossier->act_count, sizeof *entries);
    if (entries == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < dossier->act_count; i++) {
        entries[i] = &dossier->acts[i].entry;
    }
    status = vault_audit_commit(dossier->vault, entries, dossier->act_count, err);
    if (status == KL_OK) {
        count_fields(dossier);
    }
    return status;
}
