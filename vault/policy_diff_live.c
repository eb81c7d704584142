/*
 * What a candidate would change of the policy in force, on the data there is: how many people and records each line touches, how many
 * would newly fall due, whose consent would no longer count. Manifests and ledgers are opened for that, about 20 us a person; no value is.
 */
#include "kluis/base/log.h"
#include "kluis/base/time.h"
#include "vault/act.h"
#include "vault/policy_diff_internal.h"
#include "vault/retention.h"
#include "vault/rows.h"
#include "vault/subject_internal.h"
#include "vault/tenants.h"

#include <stdlib.h>
#include <string.h>

#define HEAD_KEY_SLOT_AT 9

/* Counts of one line, and of all of them. */
struct line_counts {
    uint64_t subjects;
    uint64_t records;
};
struct people_counts {
    uint64_t subjects, records, unreadable, newly_due, no_longer_due, consents_lost,
        consents_regained, unknown_records, unknown_fields;
};

struct walk {
    struct vault *vault;
    const struct vault_diff *diff;
    uint64_t tenant;
    int64_t now_us;
    uint64_t subjects_max;
    struct kl_arena *arena; /* of one subject */
    struct line_counts *lines;
    struct people_counts people;
    bool complete;
};

/* ---- one subject ---- */

/* What a person consented to for a purpose under both policies, as bits of circumstances that are so before or after. */
struct consents {
    uint64_t given[DIFF_SIDES];
    uint64_t explicit_given[DIFF_SIDES];
};

static bool counts_on(const struct walk *walk, int side, const struct vault_ledger_entry *entry)
{
    return walk->diff->policies[side] != NULL &&
           vault_ledger_entry_counts(entry, walk->diff->policies[side], walk->now_us);
}

static void consent_add(const struct walk *walk, int side, const struct vault_ledger_entry *entry,
                        struct consents *ret)
{
    const int purpose = vault_policy_purpose_find(walk->diff->policies[side], entry->purpose);

    ret->given[side] |= UINT64_C(1) << purpose;
    if (entry->is_explicit)
        ret->explicit_given[side] |= UINT64_C(1) << purpose;
}

/* To whomever they were given: a line about a recipient is not told apart. */
static struct consents count_consents(struct walk *walk, const struct vault_ledger *ledger)
{
    struct consents ret = {{0}, {0}};

    for (size_t i = 0; i < ledger->count; i++) {
        const struct vault_ledger_entry *entry = &ledger->entries[i];
        const bool before = counts_on(walk, 0, entry);
        const bool after = counts_on(walk, 1, entry);

        walk->people.consents_lost += before && !after;
        walk->people.consents_regained += !before && after;
        if (before)
            consent_add(walk, 0, entry, &ret);
        if (after)
            consent_add(walk, 1, entry, &ret);
    }
    return ret;
}

static enum vault_diff_circumstance circumstance(const struct walk *walk,
                                                 const struct consents *consents, int side,
                                                 size_t purpose)
{
    const int number = walk->diff->purposes.at[purpose][side];

    if (policy_bit(consents->explicit_given[side], number))
        return VAULT_DIFF_EXPLICIT_CONSENT;
    return policy_bit(consents->given[side], number) ? VAULT_DIFF_CONSENT : VAULT_DIFF_NO_CONSENT;
}

/* Whether restriction does not keep from a purpose under either policy. */
static bool answers_rights(const struct vault_diff *diff, size_t purpose)
{
    for (int side = 0; side < DIFF_SIDES; side++) {
        const int number = diff->purposes.at[purpose][side];

        if (number != VAULT_NONE && diff->policies[side]->purposes[number].shown.answers_rights)
            return true;
    }
    return false;
}

/*
 * Whether a line is about this person, with what they consented to: under either policy, as a candidate may change which consents
 * count. Of somebody who is restricted, what a ground may be claimed for, and what answers their rights.
 */
static bool line_fits(const struct walk *walk, const struct diff_entry *entry,
                      const struct consents *consents, bool restricted)
{
    const unsigned restricted_bits = ~((1u << VAULT_DIFF_LEGAL_CLAIM) - 1);

    if (entry->without_purpose || (restricted && (entry->circumstances & restricted_bits) != 0))
        return true;
    for (size_t purpose = 0; purpose < walk->diff->purposes.count; purpose++)
        for (int side = 0; side < DIFF_SIDES; side++)
            if (diff_bit(entry->purposes, purpose) &&
                (!restricted || answers_rights(walk->diff, purpose)) &&
                ((entry->circumstances >> circumstance(walk, consents, side, purpose)) & 1) != 0)
                return true;
    return false;
}

/* The fields that a record has, as numbers of the difference. */
static void fields_of(struct walk *walk, const struct vault_manifest_record *record,
                      uint64_t ret[DIFF_FIELD_WORDS])
{
    const struct diff_names *records = &walk->diff->records;
    const struct diff_names *fields = &walk->diff->fields;
    const int type = vault_policy_find(records->names, record->type);
    const size_t of_type = strlen(record->type) + 1;

    memset(ret, 0, DIFF_FIELD_WORDS * sizeof ret[0]);
    if (type == VAULT_NONE || records->at[type][1] == VAULT_NONE)
        walk->people.unknown_records++;
    for (size_t i = 0; type != VAULT_NONE && i < record->field_count; i++) {
        bool known = records->at[type][1] == VAULT_NONE;

        for (size_t j = 0; j < fields->count; j++)
            if (walk->diff->record_of[j] == type &&
                strcmp(fields->names[j] + of_type, record->fields[i].name) == 0) {
                diff_bit_set(ret, j);
                known = known || fields->at[j][1] != VAULT_NONE;
            }
        walk->people.unknown_fields += !known;
    }
}

static bool share(const uint64_t a[DIFF_FIELD_WORDS], const uint64_t b[DIFF_FIELD_WORDS])
{
    for (size_t i = 0; i < DIFF_FIELD_WORDS; i++)
        if ((a[i] & b[i]) != 0)
            return true;
    return false;
}

static bool is_due(const struct walk *walk, int side, const struct vault_manifest_record *record,
                   const struct vault_ledger *ledger)
{
    return walk->diff->policies[side] != NULL &&
           vault_retention_is_due(walk->diff->policies[side], record, ledger, walk->now_us);
}

static void count_record(struct walk *walk, const struct vault_manifest_record *record,
                         const struct vault_ledger *ledger, const bool *fits, bool *touched)
{
    const bool before = is_due(walk, 0, record, ledger);
    const bool after = is_due(walk, 1, record, ledger);
    uint64_t fields[DIFF_FIELD_WORDS];

    walk->people.records++;
    walk->people.newly_due += after && !before;
    walk->people.no_longer_due += before && !after;
    fields_of(walk, record, fields);
    for (size_t i = 0; i < walk->diff->count; i++)
        if (fits[i] && share(walk->diff->entries[i].fields, fields)) {
            walk->lines[i].records++;
            touched[i] = true;
        }
}

static void count_subject(struct walk *walk, const struct vault_subject *subject,
                          const struct vault_ledger *ledger)
{
    const struct consents consents = count_consents(walk, ledger);
    bool fits[VAULT_DIFF_LINES_MAX];
    bool touched[VAULT_DIFF_LINES_MAX] = {false};

    walk->people.subjects++;
    for (size_t i = 0; i < walk->diff->count; i++)
        fits[i] =
            line_fits(walk, &walk->diff->entries[i], &consents, ledger->restriction.at_us != 0);
    for (size_t i = 0; i < subject->head.record_count; i++)
        if (!subject->records[i].gone)
            count_record(walk, &subject->records[i], ledger, fits, touched);
    for (size_t i = 0; i < walk->diff->count; i++)
        walk->lines[i].subjects += touched[i];
}

/* Who was erased meanwhile is nobody; who does not open is counted apart. */
static enum kl_status look_at(struct walk *walk, uint64_t slot, struct kl_slice row,
                              struct kl_err *err)
{
    struct vault_subject subject = {0};
    struct vault_ledger ledger = {0};
    struct kl_err own = {0};
    enum kl_status status =
        vault_subject_load_row(walk->vault, walk->tenant, slot, row, walk->arena, &subject, &own);

    if (status == KL_OK)
        status = vault_subject_ledger(walk->vault, &subject, walk->arena, &ledger, &own);
    if (status == KL_OK)
        count_subject(walk, &subject, &ledger);
    else if (status == KL_ERR_IO || status == KL_ERR_NO_MEMORY)
        return kl_fail(err, status, own.code, own.client_text, "%s", own.log_text);
    else if (status != KL_ERR_NOT_FOUND && status != KL_ERR_GONE)
        walk->people.unreadable++;
    vault_subject_done(&subject);
    return KL_OK;
}

static enum kl_status look_at_all(struct walk *walk, struct kl_err *err)
{
    struct vault_row_key first = vault_row_head(walk->tenant, 0);
    struct vault_row_key past;
    struct vault_iter *iter;
    struct kl_slice key;
    struct kl_slice value;
    uint64_t seen = 0;
    enum kl_status status = KL_OK;

    first.size = HEAD_KEY_SLOT_AT;
    past = vault_row_past(&first);
    iter = vault_iter_new(walk->vault->data_store, vault_row_slice(&first), vault_row_slice(&past),
                          false);
    if (iter == NULL)
        return kl_fail_memory(err);
    while (status == KL_OK && vault_iter_next(iter, &key, &value)) {
        if (seen++ == walk->subjects_max) {
            walk->complete = false;
            break;
        }
        kl_arena_reset(walk->arena);
        status = look_at(walk, kl_get_u64be(key.bytes + HEAD_KEY_SLOT_AT), value, err);
    }
    status = status == KL_OK ? vault_iter_status(iter, err) : status;
    vault_iter_free(iter);
    return status;
}

/* ---- the answer ---- */

static void write_texts(struct kl_json_out *out, const char *key, const char *const *texts)
{
    kl_json_key(out, key);
    kl_json_array_begin(out);
    for (size_t i = 0; texts[i] != NULL; i++)
        kl_json_put_text(out, texts[i]);
    kl_json_array_end(out);
}

static void write_line(struct kl_json_out *out, const struct vault_diff_line *line,
                       const struct line_counts *counts)
{
    kl_json_object_begin(out);
    kl_json_add_text(out, "change", line->allows ? "allows" : "withholds");
    kl_json_add_text(out, "role", line->role);
    write_texts(out, "actions", line->actions);
    write_texts(out, "fields", line->fields);
    write_texts(out, "purposes", line->purposes);
    kl_json_add_text(out, "recipient", line->recipient);
    kl_json_add_text(out, "was", line->was);
    kl_json_add_text(out, "now", line->now);
    write_texts(out, "places", line->places);
    write_texts(out, "times", line->times);
    kl_json_add_text(out, "whose", line->whose);
    kl_json_key(out, "circumstances");
    kl_json_array_begin(out);
    for (int i = 0; i < VAULT_DIFF_CIRCUMSTANCES; i++)
        if ((line->circumstances & (1u << i)) != 0)
            kl_json_put_text(out, vault_diff_circumstance_name((enum vault_diff_circumstance)i));
    kl_json_array_end(out);
    kl_json_add_int(out, "subjects", (int64_t)counts->subjects);
    kl_json_add_int(out, "records", (int64_t)counts->records);
    kl_json_object_end(out);
}

static void write_alert(struct kl_json_out *out, const struct vault_diff_alert *alert)
{
    kl_json_object_begin(out);
    kl_json_add_text(out, "role", alert->role);
    kl_json_add_text(out, "alert", alert->alert);
    kl_json_add_text(out, "was", alert->was);
    kl_json_add_text(out, "now", alert->now);
    kl_json_object_end(out);
}

static void write_extent(struct kl_json_out *out, const char *key, struct vault_diff_extent extent)
{
    kl_json_key(out, key);
    kl_json_object_begin(out);
    kl_json_add_int(out, "answers", (int64_t)extent.answers);
    kl_json_add_int(out, "roles", (int64_t)extent.roles);
    kl_json_add_int(out, "fields", (int64_t)extent.fields);
    kl_json_object_end(out);
}

static void write_people(struct kl_json_out *out, const struct walk *walk)
{
    const struct people_counts *people = &walk->people;

    kl_json_key(out, "people");
    kl_json_object_begin(out);
    kl_json_add_bool(out, "complete", walk->complete);
    kl_json_add_int(out, "subjects", (int64_t)people->subjects);
    kl_json_add_int(out, "records", (int64_t)people->records);
    kl_json_add_int(out, "unreadable", (int64_t)people->unreadable);
    kl_json_add_int(out, "newly_due", (int64_t)people->newly_due);
    kl_json_add_int(out, "no_longer_due", (int64_t)people->no_longer_due);
    kl_json_add_int(out, "consents_lost", (int64_t)people->consents_lost);
    kl_json_add_int(out, "consents_regained", (int64_t)people->consents_regained);
    kl_json_add_int(out, "unknown_records", (int64_t)people->unknown_records);
    kl_json_add_int(out, "unknown_fields", (int64_t)people->unknown_fields);
    kl_json_object_end(out);
}

static void write_all(const struct walk *walk, struct kl_buf *ret)
{
    struct kl_json_out out = kl_json_out(ret);

    kl_json_object_begin(&out);
    kl_json_add_bool(&out, "complete", vault_diff_is_complete(walk->diff));
    write_extent(&out, "allows", vault_diff_extent(walk->diff, true));
    write_extent(&out, "withholds", vault_diff_extent(walk->diff, false));
    kl_json_key(&out, "lines");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < vault_diff_count(walk->diff); i++)
        write_line(&out, vault_diff_line(walk->diff, i), &walk->lines[i]);
    kl_json_array_end(&out);
    kl_json_key(&out, "alerts");
    kl_json_array_begin(&out);
    for (size_t i = 0; i < vault_diff_alert_count(walk->diff); i++)
        write_alert(&out, vault_diff_alert(walk->diff, i));
    kl_json_array_end(&out);
    write_people(&out, walk);
    kl_json_object_end(&out);
}

static enum kl_status write_down(struct vault *vault, const struct vault_caller *caller,
                                 const struct walk *walk, const struct vault_policy *candidate,
                                 struct kl_err *err)
{
    enum kl_status status = KL_OK;
    char location[3];
    struct vault_audit_who who = vault_caller_who(caller, location);
    struct vault_act act;
    struct vault_act *acts[1] = {&act};

    vault_act_begin(&act, caller->tenant, &who, "policy_diff");
    kl_json_add_text(&act.out, "policy", vault_policy_name(candidate));
    kl_json_add_text(&act.out, "version", vault_policy_version(candidate));
    kl_json_add_int(&act.out, "subjects", (int64_t)walk->people.subjects);
    status = vault_act_commit(vault, acts, 1, NULL, err);
    vault_act_done(&act);
    return status;
}

/* ---- the call ---- */

static enum kl_status walk_and_answer(struct walk *walk, const struct vault_caller *caller,
                                      const struct vault_policy *candidate, struct kl_buf *ret,
                                      struct kl_err *err)
{
    enum kl_status status = KL_OK;

    walk->arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    walk->lines = calloc(VAULT_DIFF_LINES_MAX, sizeof walk->lines[0]);
    if (walk->arena == NULL || walk->lines == NULL)
        status = kl_fail_memory(err);
    if (status == KL_OK)
        status = look_at_all(walk, err);
    if (status == KL_OK)
        status = write_down(walk->vault, caller, walk, candidate, err);
    if (status == KL_OK) {
        write_all(walk, ret);
        status = kl_buf_status(ret, err);
    }
    kl_arena_free(walk->arena);
    free(walk->lines);
    return status;
}

static enum kl_status compare(struct vault *vault, const struct vault_caller *caller,
                              struct vault_policy *candidate, int64_t subjects_max,
                              struct kl_buf *ret, struct kl_err *err)
{
    struct walk walk = {.vault = vault,
                        .tenant = caller->tenant,
                        .now_us = caller->now_us,
                        .subjects_max = (uint64_t)subjects_max,
                        .complete = true};
    struct vault_diff *diff = NULL;
    enum kl_status status = vault_diff_new(caller->policy, candidate, caller->now_us, &diff, err);

    walk.diff = diff;
    if (status == KL_OK)
        status = walk_and_answer(&walk, caller, candidate, ret, err);
    vault_diff_free(diff);
    return status;
}

/* So that nobody has all workers walk. */
static enum kl_status begin_walk(struct vault *vault, struct kl_err *err)
{
    if (atomic_fetch_add(&vault->diffs, 1) < VAULT_DIFF_WALKS_MAX)
        return KL_OK;
    (void)atomic_fetch_sub(&vault->diffs, 1);
    kl_err_retry(err, 5);
    return kl_fail(err, KL_ERR_BUSY, "diffs_busy",
                   "other policies are being compared: try again in a moment", NULL);
}

enum kl_status vault_policy_diff(struct vault *vault, const struct vault_caller *caller,
                                 const void *yaml, size_t yaml_bytes, int64_t subjects_max,
                                 struct vault_findings *ret_findings, struct kl_buf *ret,
                                 struct kl_err *err)
{
    struct vault_policy *candidate = NULL;
    enum kl_status status = vault_act_allowed(vault, caller, VAULT_MAY_STEWARD, "policy_diff", err);

    if (status == KL_OK && (subjects_max < 0 || subjects_max > VAULT_DIFF_SUBJECTS_MAX))
        return kl_failf(err, KL_ERR_INVALID, "invalid_subjects", "subjects is 0 to %d",
                        VAULT_DIFF_SUBJECTS_MAX);
    if (status == KL_OK)
        status = vault_policy_parse(yaml, yaml_bytes, ret_findings, &candidate, err);
    if (status == KL_OK)
        status = begin_walk(vault, err);
    if (status == KL_OK) {
        status = compare(vault, caller, candidate, subjects_max, ret, err);
        (void)atomic_fetch_sub(&vault->diffs, 1);
    }
    vault_policy_unref(candidate);
    return status;
}
