/* Records of a subject that is there: adding one, and rectifying its fields. */
#include "vault/record.h"

#include "vault/disclosure.h"
#include "vault/idempotency.h"
#include "vault/subject_answer.h"
#include "vault/subject_erase.h"
#include "vault/subject_internal.h"

#include <string.h>

/* ---- adding ---- */

struct adding {
    const struct vault_record_draft *draft;
    const struct vault_idempotency_ticket *ticket;
    struct kl_arena *arena;
    struct vault_subject_result result;
};

static enum kl_status add_body(struct vault_change *change, void *context, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct adding *adding = context;
    struct vault_manifest_record *record = NULL;
    size_t at = change->subject.head.record_count;

    status = vault_residency_place(change->subject.base.residency, change->vault->country, err);
    if (status == KL_OK) {
        status = vault_change_record_add(change, adding->draft, &record, err);
    }
    if (status == KL_OK) {
        status = vault_change_consents_add(change, adding->draft->consents,
                                           adding->draft->consent_count, err);
    }
    if (status == KL_OK) {
        status = vault_answer_remember(change, adding->ticket, at, 1, err);
    }
    if (status == KL_OK) {
        status = vault_answer_result(&change->subject, at, 1, adding->arena, &adding->result, err);
    }
    if (status != KL_OK) {
        return status;
    }
    vault_subject_act_begin(&change->act, change->caller, "add", change->subject.slot);
    kl_json_add_int(&change->act.out, "record", (int64_t)change->subject.head.records[at].value);
    vault_act_drafts(&change->act, change->caller->policy, adding->draft, 1);
    vault_act_consents(&change->act, change->caller->policy, adding->draft, 1);
    return KL_OK;
}

/* What the role may write is settled before the subject is looked for, so that the answer does not hang on whether it is there. */
static enum kl_status record_add(struct vault *vault, const struct vault_caller *caller,
                                 const struct kl_id *subject,
                                 const struct vault_record_input *input,
                                 const struct vault_idempotency_ticket *ticket,
                                 struct kl_arena *arena, struct vault_subject_result *ret,
                                 struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_query query =
        vault_query_of(caller, VAULT_ACTION_WRITE, VAULT_NONE, VAULT_NONE, subject);
    struct vault_facts facts = {0};
    struct vault_record_draft draft = {0};
    struct adding adding = {.draft = &draft, .ticket = ticket, .arena = arena};

    if (query.role == VAULT_NONE || !vault_policy_may(caller->policy, &query)) {
        return vault_not_found(err);
    }
    status = vault_draft_record(caller, &query, &facts, input, "", arena, &draft, err);
    if (status == KL_OK) {
        status = vault_draft_record_secrets(vault, caller->policy, &draft, "", arena, err);
    }
    if (status == KL_OK) {
        status = vault_subject_change(vault, caller, subject, add_body, &adding, err);
    }
    if (status == KL_OK) {
        atomic_fetch_add_explicit(&vault->counters.records_created, 1, memory_order_relaxed);
        *ret = adding.result;
    }
    return status;
}

enum kl_status vault_record_add(struct vault *vault, const struct vault_caller *caller,
                                const struct kl_id *subject, const struct vault_record_input *input,
                                const struct vault_idempotency *idempotency, struct kl_arena *arena,
                                struct vault_record_result *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_idempotency_ticket ticket = {0};
    struct vault_subject_result result = {0};
    struct vault_idempotency remembered = {0};
    struct kl_err own = {0};
    struct kl_buf answer;

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status != KL_OK) {
        return status;
    }
    kl_buf_init(&answer, VAULT_IDEMPOTENCY_ANSWER_MAX_BYTES);
    status = vault_draft_idempotency(vault, caller, input, 1, idempotency, &remembered, err);
    if (status == KL_OK) {
        status = vault_idempotency_begin(vault, caller, &remembered, &ticket, &answer, err);
    }
    if (status == KL_OK && answer.size > 0) {
        status = vault_answer_replay(kl_buf_slice(&answer), arena, &result, err);
    } else if (status == KL_OK) {
        status = record_add(vault, caller, subject, input, &ticket, arena, &result, err);
    }
    vault_idempotency_end(vault, &ticket);
    kl_buf_done(&answer);
    if (status == KL_OK) {
        *ret = result.records[0];
    }
    return vault_subject_refused(vault, caller, "add", VAULT_NONE, status, err);
}

/* ---- rectifying ---- */

struct patching {
    const struct kl_id *record;
    uint64_t if_version;
    const struct vault_field_input *fields;
    size_t field_count;
    struct vault_draft_hashes hashes;
    struct kl_arena *arena; /* NULL: nobody asks whom to tell */
    uint64_t version;
    const char **notify;
    size_t notify_count;
};

enum kl_status vault_record_write_allowed(const struct vault_change *change,
                                          const struct vault_query *query, int type,
                                          struct kl_err *err)
{
    struct vault_facts facts = {.residency = change->subject.base.residency};
    const struct vault_policy_record *of =
        type == VAULT_NONE ? NULL : vault_policy_record(change->caller->policy, type);
    int i;

    for (i = 0; of != NULL && i < of->field_count; i++) {
        if (vault_policy_decide(change->caller->policy, query, &facts, of->field_first + i)
                .withheld != VAULT_GATE_ROLE) {
            return KL_OK;
        }
    }
    return vault_not_found(err);
}

enum kl_status vault_record_retire(struct vault_change *change,
                                   struct vault_manifest_record *record, size_t at,
                                   struct kl_err *err)
{
    enum kl_status status = vault_change_index_remove(change, record, &record->fields[at], err);

    if (status == KL_OK) {
        record->past[record->past_count++] = record->fields[at];
        status = vault_change_value_retire(change, record->fields[at].value, change->caller->now_us,
                                           record->fields[at].index != VAULT_INDEX_NONE, err);
    }
    return status;
}

static enum kl_status patch_one(struct vault_change *change, struct vault_manifest_record *record,
                                const struct vault_field_draft *draft, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    const char *name = vault_policy_field(change->caller->policy, draft->field)->name;
    size_t at = 0;

    while (at < record->field_count && strcmp(record->fields[at].name, name) != 0) {
        at++;
    }
    if (at < record->field_count) {
        status = vault_record_retire(change, record, at, err);
    }
    if (status != KL_OK) {
        return status;
    }
    if (draft->remove) {
        if (at < record->field_count) {
            record->fields[at] = record->fields[--record->field_count];
        }
        return KL_OK;
    }
    if (at == record->field_count && at == VAULT_FIELDS_INPUT_MAX) {
        return kl_fail(err, KL_ERR_TOO_LARGE, "too_many_fields",
                       "a record holds at most 256 fields", NULL);
    }
    if (at == record->field_count) {
        record->field_count++;
    }
    return vault_change_field_set(change, record, at, draft, err);
}

enum kl_status vault_record_room(struct vault_change *change, struct vault_manifest_record *record,
                                 size_t count, struct kl_err *err)
{
    struct vault_manifest_field *fields =
        kl_arena_array(change->arena, record->field_count + count, sizeof *fields);
    struct vault_manifest_field *past =
        kl_arena_array(change->arena, record->past_count + count, sizeof *past);
    struct kms_place place = {change->subject.tenant, change->subject.slot, 0};
    size_t kept = 0;
    size_t i;

    if (fields == NULL || past == NULL) {
        return kl_fail_memory(err);
    }
    if (record->field_count > 0) {
        memcpy(fields, record->fields, record->field_count * sizeof *fields);
    }
    for (i = 0; i < record->past_count; i++) {
        place.value = record->past[i].value;
        if (kms_place_check(change->vault->keys, &place, NULL) != KL_ERR_GONE) {
            past[kept++] = record->past[i];
        }
    }
    record->fields = fields;
    record->past = past;
    record->past_count = kept;
    if (kept + count > VAULT_PAST_MAX ||
        (kept > 0 && vault_subject_indexed(&change->subject) + count > VAULT_INDEXED_MAX)) {
        return kl_fail(err, KL_ERR_TOO_LARGE, VAULT_PAST_FULL,
                       "this record was changed too often; try again", NULL);
    }
    return KL_OK;
}

static void patch_act(struct vault_change *change, size_t at,
                      const struct vault_field_draft *drafts, size_t count)
{
    struct kl_json_out *out = &change->act.out;
    size_t i;

    vault_subject_act_begin(&change->act, change->caller, "patch", change->subject.slot);
    kl_json_add_int(out, "record", (int64_t)change->subject.head.records[at].value);
    kl_json_add_text(out, "type", change->subject.records[at].type);
    kl_json_add_int(out, "version", (int64_t)change->subject.records[at].version);
    kl_json_key(out, "fields");
    kl_json_object_begin(out);
    for (i = 0; i < count; i++) {
        kl_json_add_text(out, vault_policy_field(change->caller->policy, drafts[i].field)->name,
                         drafts[i].remove ? "removed" : "set");
    }
    kl_json_object_end(out);
}

/* Who received one of these fields. */
static enum kl_status patch_notify(const struct vault_change *change, struct patching *patching,
                                   const char *type, struct kl_err *err)
{
    struct vault_disclosures ledger = {0};
    uint64_t value = KMS_VALUE_NONE;
    const char **fields = NULL;
    size_t i;
    enum kl_status status = KL_OK;

    if (patching->arena == NULL || patching->field_count == 0) {
        return KL_OK;
    }
    status = vault_disclosures_load(change->vault, &change->subject, patching->arena, &ledger,
                                    &value, err);
    if (status != KL_OK || ledger.count == 0) {
        return status;
    }
    fields = kl_arena_array(change->arena, patching->field_count, sizeof *fields);
    patching->notify = kl_arena_array(patching->arena, ledger.count, sizeof *patching->notify);
    if (fields == NULL || patching->notify == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; i < patching->field_count; i++) {
        fields[i] = patching->fields[i].name;
    }
    patching->notify_count = 0;
    vault_disclosures_recipients(&ledger, type, fields, patching->field_count, patching->notify,
                                 &patching->notify_count);
    return KL_OK;
}

static enum kl_status patch_body(struct vault_change *change, void *context, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct patching *patching = context;
    int at = vault_subject_record_find(&change->subject, patching->record);
    struct vault_query query = vault_query_of(change->caller, VAULT_ACTION_WRITE, VAULT_NONE,
                                              VAULT_NONE, &change->subject.base.subject);
    struct vault_facts facts = {.residency = change->subject.base.residency};
    struct vault_manifest_record *record = NULL;
    struct vault_field_draft *drafts = NULL;
    int type = VAULT_NONE;
    size_t i;

    if (at == VAULT_NONE) {
        return vault_not_found(err);
    }
    record = &change->subject.records[at];
    type = vault_policy_record_find(change->caller->policy, record->type);
    status = vault_record_write_allowed(change, &query, type, err);
    if (status == KL_OK && patching->if_version != 0 && patching->if_version != record->version) {
        status = kl_fail(err, KL_ERR_PRECONDITION, "version_mismatch",
                         "the record has changed since; read it again", NULL);
    }
    if (status == KL_OK) {
        status = vault_draft_fields(change->caller, &query, &facts, type, patching->fields,
                                    patching->field_count, true, "", change->arena, &drafts, err);
    }
    if (status == KL_OK) {
        status = vault_draft_secrets(change->vault, change->caller->policy, drafts,
                                     patching->field_count, "", &patching->hashes, err);
    }
    if (status == KL_OK) {
        status = vault_record_room(change, record, patching->field_count, err);
    }
    record->version += patching->field_count > 0 ? 1 : 0;
    for (i = 0; status == KL_OK && i < patching->field_count; i++) {
        status = patch_one(change, record, &drafts[i], err);
    }
    if (status == KL_OK) {
        status = vault_change_record_seal(change, (size_t)at, err);
    }
    if (status == KL_OK) {
        status = patch_notify(change, patching, record->type, err);
    }
    if (status == KL_OK) {
        patching->version = record->version;
        patch_act(change, (size_t)at, drafts, patching->field_count);
    }
    return status;
}

enum kl_status vault_record_change(struct vault *vault, const struct vault_caller *caller,
                                   const struct kl_id *subject, const struct kl_id *record,
                                   vault_change_body body, void *context, struct kl_err *err)
{
    enum kl_status status = vault_subject_change(vault, caller, subject, body, context, err);

    if (status == KL_ERR_TOO_LARGE && strcmp(err->code, VAULT_PAST_FULL) == 0) {
        kl_err_clear(err);
        status = vault_record_past_shred(vault, caller, subject, record, err);
        if (status == KL_OK) {
            status = vault_subject_change(vault, caller, subject, body, context, err);
        }
    }
    return status;
}

static enum kl_status patch(struct vault *vault, const struct vault_caller *caller,
                            const struct kl_id *subject, struct patching *patching,
                            struct kl_err *err)
{
    struct vault_query query =
        vault_query_of(caller, VAULT_ACTION_WRITE, VAULT_NONE, VAULT_NONE, subject);

    if (query.role == VAULT_NONE || !vault_policy_may(caller->policy, &query)) {
        return vault_not_found(err);
    }
    return vault_record_change(vault, caller, subject, patching->record, patch_body, patching, err);
}

/* Whom to tell is set only where it is asked for. */
static enum kl_status rectify(struct vault *vault, const struct vault_caller *caller,
                              const struct kl_id *subject, struct patching *patching,
                              struct kl_err *err)
{
    enum kl_status status = vault_policy_required(caller, err);

    if (status != KL_OK) {
        return status;
    }
    status = patch(vault, caller, subject, patching, err);
    if (status == KL_OK) {
        atomic_fetch_add_explicit(&vault->counters.records_rectified, 1, memory_order_relaxed);
    }
    return vault_subject_refused(vault, caller, "patch", VAULT_NONE, status, err);
}

enum kl_status vault_record_patch(struct vault *vault, const struct vault_caller *caller,
                                  const struct kl_id *subject, const struct kl_id *record,
                                  uint64_t if_version, const struct vault_field_input *fields,
                                  size_t field_count, uint64_t *ret_version, struct kl_err *err)
{
    struct patching patching = {
        .record = record, .if_version = if_version, .fields = fields, .field_count = field_count};
    struct kl_err own = {0};
    enum kl_status status = rectify(vault, caller, subject, &patching, err == NULL ? &own : err);

    if (status == KL_OK) {
        *ret_version = patching.version;
    }
    return status;
}

enum kl_status vault_record_rectify(struct vault *vault, const struct vault_caller *caller,
                                    const struct kl_id *subject, const struct kl_id *record,
                                    uint64_t if_version, const struct vault_field_input *fields,
                                    size_t field_count, struct kl_arena *arena,
                                    uint64_t *ret_version, const char *const **ret_notify,
                                    size_t *ret_notify_count, struct kl_err *err)
{
    struct patching patching = {.record = record,
                                .if_version = if_version,
                                .fields = fields,
                                .field_count = field_count,
                                .arena = arena};
    struct kl_err own = {0};
    enum kl_status status = rectify(vault, caller, subject, &patching, err == NULL ? &own : err);

    if (status == KL_OK) {
        *ret_version = patching.version;
        *ret_notify = patching.notify;
        *ret_notify_count = patching.notify_count;
    }
    return status;
}
