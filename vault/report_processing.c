/*
 * The record of processing activities (GDPR art. 30): what the policy in force says, and what is true of this vault. Names and numbers, of
 * nobody.
 */
#include "kluis/vault/duties.h"

#include "vault/act.h"
#include "vault/report_parts.h"
#include "vault/subject_internal.h"
#include "vault/subject_walk.h"
#include "vault/walks.h"

#include <string.h>

#define ACTION "report_processing"

/* ---- activities ---- */

/* What a text of each field is, for add_distinct(). */
static const char *category_of(const struct vault_policy_field *field)
{
    return field->category;
}

static const char *special_of(const struct vault_policy_field *field)
{
    return field->special;
}

/* The different texts among the fields of a type that are for a purpose (VAULT_NONE: any), in their order. */
static void add_distinct(struct kl_json_out *out, const char *key,
                         const struct vault_policy *policy,
                         const struct vault_policy_record *record, int purpose,
                         const char *(*text_of)(const struct vault_policy_field *field))
{
    const char *seen[VAULT_FIELDS_MAX];
    size_t count = 0;
    int i;

    kl_json_key(out, key);
    kl_json_array_begin(out);
    for (i = record->field_first; i < record->field_first + record->field_count; i++) {
        const struct vault_policy_field *field = vault_policy_field(policy, i);
        const char *text = text_of(field);
        size_t k = 0;

        if (text == NULL || (purpose != VAULT_NONE && ((field->purposes >> purpose) & 1) == 0)) {
            continue;
        }
        while (k < count && strcmp(seen[k], text) != 0) {
            k++;
        }
        if (k == count) {
            seen[count++] = text;
            kl_json_put_text(out, text);
        }
    }
    kl_json_array_end(out);
}

static void add_time_limit(struct kl_json_out *out, const struct vault_policy_purpose *purpose)
{
    char text[KL_DURATION_TEXT_BYTES];

    kl_json_key(out, "time_limit");
    if (purpose->retain_event == NULL) {
        kl_json_put_null(out);
        return;
    }
    kl_duration_format(&purpose->retain, text);
    kl_json_object_begin(out);
    kl_json_add_text(out, "duration", text);
    kl_json_add_text(out, "after", purpose->retain_event);
    kl_json_object_end(out);
}

static uint64_t recipients_of(const struct vault_policy *policy, int purpose)
{
    size_t count = vault_policy_recipient_count(policy);
    uint64_t bits = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        if (((vault_policy_recipient(policy, (int)i)->purposes >> purpose) & 1) != 0) {
            bits |= UINT64_C(1) << i;
        }
    }
    return bits;
}

static void add_activity(struct kl_json_out *out, const struct vault_policy *policy, int number)
{
    const struct vault_policy_purpose *purpose = vault_policy_purpose(policy, number);
    size_t count = vault_policy_record_count(policy);
    size_t i;

    kl_json_object_begin(out);
    kl_json_add_text(out, "purpose", purpose->name);
    kl_json_add_text(out, "description", purpose->description);
    kl_json_add_text(out, "basis", vault_basis_name(purpose->basis));
    kl_json_add_text(out, "interest", purpose->interest);
    kl_json_add_text(out, "law", purpose->law);
    kl_json_add_text(out, "ground", purpose->special_ground);
    kl_json_add_text(out, "automated_decision", purpose->automated_decision);
    kl_json_add_bool(out, "direct_marketing", purpose->direct_marketing);
    kl_json_key(out, "data");
    kl_json_array_begin(out);
    for (i = 0; i < count; i++) {
        const struct vault_policy_record *record = vault_policy_record(policy, (int)i);

        if (((record->purposes >> number) & 1) != 0) {
            kl_json_object_begin(out);
            kl_json_add_text(out, "record_type", record->name);
            add_distinct(out, "categories", policy, record, number, category_of);
            add_distinct(out, "special_categories", policy, record, number, special_of);
            kl_json_object_end(out);
        }
    }
    kl_json_array_end(out);
    vault_report_add_names(out, "recipients", recipients_of(policy, number),
                           vault_policy_recipient_count(policy), vault_report_recipient_name,
                           policy);
    add_time_limit(out, purpose);
    kl_json_add_bool(out, "keeps", !purpose->keeps_nothing);
    kl_json_object_end(out);
}

static void add_activities(struct kl_json_out *out, const struct vault_policy *policy)
{
    size_t count = vault_policy_purpose_count(policy);
    uint64_t forbidden = 0;
    size_t i;

    kl_json_key(out, "activities");
    kl_json_array_begin(out);
    for (i = 0; i < count; i++) {
        if (vault_policy_purpose(policy, (int)i)->forbidden) {
            forbidden |= UINT64_C(1) << i;
        } else {
            add_activity(out, policy, (int)i);
        }
    }
    kl_json_array_end(out);
    vault_report_add_names(out, "forbidden_purposes", forbidden, count, vault_report_purpose_name,
                           policy);
}

static void add_subject_categories(struct kl_json_out *out, const struct vault_policy *policy)
{
    size_t count = vault_policy_record_count(policy);
    size_t i;

    kl_json_key(out, "data_subjects");
    kl_json_array_begin(out);
    for (i = 0; i < count; i++) {
        const struct vault_policy_record *record = vault_policy_record(policy, (int)i);
        size_t k;

        kl_json_object_begin(out);
        kl_json_add_text(out, "record_type", record->name);
        kl_json_add_text(out, "data_subjects", record->data_subjects);
        kl_json_add_text(out, "description", record->description);
        if (record->categories == NULL) {
            add_distinct(out, "categories", policy, record, VAULT_NONE, category_of);
        } else {
            kl_json_key(out, "categories");
            kl_json_array_begin(out);
            for (k = 0; record->categories[k] != NULL; k++) {
                kl_json_put_text(out, record->categories[k]);
            }
            kl_json_array_end(out);
        }
        add_distinct(out, "special_categories", policy, record, VAULT_NONE, special_of);
        kl_json_object_end(out);
    }
    kl_json_array_end(out);
}

/* ---- how many ---- */

struct counting {
    struct kl_arena *arena;
    uint64_t subjects;
    uint64_t records;
};

/* By what is in clear in the head row: nothing is opened. */
static enum kl_status count_head(void *visitor, uint64_t slot, struct kl_slice row, bool *ret_stop,
                                 struct kl_err *err)
{
    struct counting *counting = visitor;
    struct vault_head head;
    enum kl_status status = KL_OK;

    (void)slot;
    (void)ret_stop;
    kl_arena_reset(counting->arena);
    status = vault_head_decode(row, counting->arena, &head, err);
    if (status == KL_OK) {
        counting->subjects++;
        counting->records += head.record_count;
    } else if (status == KL_ERR_CORRUPT) {
        kl_err_clear(err);
        status = KL_OK;
    }
    return status;
}

static enum kl_status add_counts(struct vault *vault, const struct vault_caller *caller,
                                 struct kl_json_out *out, struct kl_err *err)
{
    struct counting counting = {.arena = kl_arena_new(VAULT_WORK_MAX_BYTES)};
    uint64_t next_slot = 0;
    bool all = false;
    enum kl_status status = KL_OK;

    if (counting.arena == NULL) {
        return kl_fail_memory(err);
    }
    status = vault_subject_walk(vault, caller->tenant, VAULT_PROCESSING_COUNTED_MAX, count_head,
                                &counting, &next_slot, &all, err);
    kl_arena_free(counting.arena);
    kl_json_key(out, "held");
    kl_json_object_begin(out);
    kl_json_add_int(out, "subjects", (int64_t)counting.subjects);
    kl_json_add_int(out, "records", (int64_t)counting.records);
    kl_json_add_bool(out, "complete", all);
    kl_json_object_end(out);
    return status;
}

/* ---- the whole ---- */

static enum kl_status write_record(struct vault *vault, const struct vault_caller *caller,
                                   const struct vault_measure *more, size_t more_count,
                                   struct kl_buf *ret, struct kl_err *err)
{
    const struct vault_policy *policy = caller->policy;
    const struct vault_policy_controller *controller = vault_policy_controller(policy);
    bool processor = strcmp(controller->acting_as, "processor") == 0;
    struct kl_json_out out = kl_json_out(ret);
    enum kl_status status = KL_OK;

    kl_json_object_begin(&out);
    kl_json_add_text(&out, "article", processor ? "30(2)" : "30(1)");
    kl_json_add_time(&out, "made_at", caller->now_us);
    kl_json_add_text(&out, "tenant", caller->tenant_name);
    kl_json_key(&out, "policy");
    kl_json_object_begin(&out);
    kl_json_add_text(&out, "name", vault_policy_name(policy));
    kl_json_add_text(&out, "version", vault_policy_version(policy));
    kl_json_object_end(&out);
    kl_json_add_text(&out, "acting_as", controller->acting_as);
    vault_report_add_controller(&out, controller);
    vault_report_add_processor(&out, controller);
    vault_report_add_texts(&out, "processing", controller->processing);
    add_activities(&out, policy);
    add_subject_categories(&out, policy);
    vault_report_add_recipients(&out, policy);
    vault_report_add_transfers(&out, policy);
    vault_report_add_measures(vault, controller, &out, more, more_count);
    status = add_counts(vault, caller, &out, err);
    kl_json_object_end(&out);
    return status == KL_OK ? kl_buf_status(ret, err) : status;
}

static enum kl_status may_ask(struct vault *vault, const struct vault_caller *caller,
                              struct kl_err *err)
{
    struct vault_query query =
        vault_query_of(caller, VAULT_ACTION_REPORT, VAULT_NONE, VAULT_NONE, NULL);

    if (query.role != VAULT_NONE && !caller->bound && vault_policy_may(caller->policy, &query)) {
        return KL_OK;
    }
    return vault_act_allowed(vault, caller, VAULT_MAY_STEWARD | VAULT_MAY_AUDITOR, ACTION, err);
}

enum kl_status vault_report_processing(struct vault *vault, const struct vault_caller *caller,
                                       const struct vault_measure *more, size_t more_count,
                                       struct kl_buf *ret, struct kl_err *err)
{
    struct vault_act act = {0};
    struct vault_act *acts[1] = {&act};
    struct vault_audit_who who;
    char location[3];
    enum kl_status status = vault_policy_required(caller, err);

    if (status == KL_OK) {
        status = may_ask(vault, caller, err);
    }
    if (status == KL_OK) {
        status = vault_walks_take(vault, err);
    }
    if (status != KL_OK) {
        return status;
    }
    who = vault_caller_who(caller, location);
    vault_act_begin(&act, caller->tenant, &who, ACTION);
    kl_json_add_int(&act.out, "policy", (int64_t)caller->policy_number);
    status = vault_act_commit(vault, acts, 1, NULL, err);
    vault_act_done(&act);
    if (status == KL_OK) {
        status = write_record(vault, caller, more, more_count, ret, err);
    }
    vault_walks_give(vault);
    return status;
}
