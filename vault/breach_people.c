/* From the slots that the trail names to subjects, for who may know. */
#include "vault/breach_internal.h"

#include "vault/act.h"
#include "vault/credentials.h"
#include "vault/subject_internal.h"
#include "vault/volume.h"

#include <string.h>

int vault_breach_field(const struct vault_policy *policy, const char *name)
{
    char type[VAULT_NAME_MAX_BYTES + 1];
    const char *dot = strchr(name, '.');
    int record = VAULT_NONE;

    if (dot == NULL || (size_t)(dot - name) > VAULT_NAME_MAX_BYTES) {
        return VAULT_NONE;
    }
    memcpy(type, name, (size_t)(dot - name));
    type[dot - name] = '\0';
    record = vault_policy_record_find(policy, type);
    return record == VAULT_NONE ? VAULT_NONE : vault_policy_field_find(policy, record, dot + 1);
}

/* One person who may be named. charged: grants with a volume that this comes under; transfers: lines of the policy. */
struct naming {
    const struct vault_breach *breach;
    struct vault_query query;
    struct vault_facts facts;
    uint64_t charged;
    uint64_t transfers;
    bool open; /* a field that is no secret was among them */
};

/* Who is shown pseudonyms of a field is not told whom they stand for; a secret is shown to nobody, so its view says nothing. */
static bool may_report_on(struct naming *naming, int field)
{
    const struct vault_policy *policy = naming->breach->caller->policy;
    struct vault_decision decision;
    bool secret = false;

    if (field == VAULT_NONE) {
        return false;
    }
    decision = vault_policy_decide(policy, &naming->query, &naming->facts, field);
    secret = vault_policy_field(policy, field)->type == VAULT_TYPE_SECRET;
    if (decision.withheld != VAULT_GATE_NONE || (!secret && decision.view >= VAULT_VIEW_TOKEN)) {
        return false;
    }
    naming->open = naming->open || !secret;
    naming->charged |= vault_policy_charged(policy, &naming->query, field);
    naming->transfers |= vault_transfer_bit(decision.transfer);
    return true;
}

/* Where nothing of their fields was touched, or secrets alone, it takes all that there are, and one at least that is none. */
static bool may_report_on_all(struct naming *naming, const struct vault_subject *subject)
{
    const struct vault_policy *policy = naming->breach->caller->policy;
    size_t i;
    size_t k;

    for (i = 0; i < subject->head.record_count; i++) {
        const struct vault_manifest_record *record = &subject->records[i];

        for (k = 0; !record->gone && k < record->field_count; k++) {
            if (!may_report_on(naming, vault_policy_field_of(policy, record, &record->fields[k]))) {
                return false;
            }
        }
    }
    return naming->open;
}

/* Whether it says which field was shown or changed. */
static bool is_of_fields(const struct vault_breach_row *row)
{
    return (row->class == VAULT_BREACH_ACCESSED || row->class == VAULT_BREACH_CHANGED) &&
           row->words[1][0] != '\0';
}

/* May the caller report on every field that was touched? */
static bool may_name(const struct vault_breach *breach, size_t person,
                     const struct vault_subject *subject, uint64_t *ret_charged,
                     uint64_t *ret_transfers)
{
    const struct vault_caller *caller = breach->caller;
    struct naming naming = {.breach = breach,
                            .query = vault_query_of(caller, VAULT_ACTION_REPORT, VAULT_NONE,
                                                    VAULT_NONE, &subject->base.subject),
                            .facts = {.residency = subject->base.residency}};
    const struct vault_breach_row *rows = NULL;
    enum vault_view view;
    int transfer = VAULT_NONE;
    size_t count = 0;
    size_t i;

    naming.query.used_up = vault_volume_used_up(breach->vault, caller);
    rows = vault_breach_rows(breach->tally, &count);
    for (i = 0; i < count; i++) {
        if (!vault_breach_person_has(&rows[i], person) || !is_of_fields(&rows[i])) {
            continue;
        }
        /* Of a field that is forgotten no policy in force says who may report on it. */
        if (!may_report_on(&naming, vault_breach_field(caller->policy, rows[i].words[1]))) {
            return false;
        }
    }
    if (!naming.open && !may_report_on_all(&naming, subject)) {
        return false;
    }
    if (!vault_role_allows(caller, &naming.query) ||
        !vault_policy_may_leave(caller->policy, &naming.query, &naming.facts, &view, &transfer) ||
        view != VAULT_VIEW_PLAIN) {
        return false;
    }
    *ret_charged = naming.charged;
    *ret_transfers = naming.transfers | vault_transfer_bit(transfer);
    return true;
}

static enum kl_status identify_one(struct vault_breach *breach, size_t person, uint64_t slot,
                                   struct kl_arena *scratch, struct vault_breach_found *ret,
                                   struct kl_err *err)
{
    struct vault_subject subject = {0};
    uint64_t charged = 0;
    enum kl_status status =
        vault_subject_load(breach->vault, breach->tenant, slot, scratch, &subject, err);

    if (status == KL_OK && breach->may_name &&
        may_name(breach, person, &subject, &charged, &ret->transfers) &&
        vault_volume_take(breach->vault, breach->caller, charged)) {
        ret->is_named = true;
        ret->id = subject.base.subject;
    }
    vault_subject_done(&subject);
    if (status == KL_ERR_NOT_FOUND || status == KL_ERR_GONE || status == KL_ERR_CORRUPT) {
        ret->state = status == KL_ERR_CORRUPT ? VAULT_BREACH_UNREADABLE : VAULT_BREACH_GONE;
        kl_err_clear(err);
        status = KL_OK;
    }
    return status;
}

enum kl_status vault_breach_identify(struct vault_breach *breach, struct kl_err *err)
{
    size_t count = 0;
    size_t i;
    const struct vault_breach_person *people = vault_breach_people(breach->tally, &count);
    struct kl_arena *scratch = kl_arena_new(VAULT_WORK_MAX_BYTES);
    enum kl_status status = KL_OK;

    breach->found = kl_arena_array(breach->arena, count, sizeof breach->found[0]);
    if (scratch == NULL || breach->found == NULL) {
        status = kl_fail_memory(err);
    }
    for (i = 0; status == KL_OK && i < count; i++) {
        kl_arena_reset(scratch);
        status = identify_one(breach, i, people[i].slot, scratch, &breach->found[i], err);
    }
    kl_arena_free(scratch);
    return status;
}

/* ---- in the trail ---- */

/* On whom: "target" and "targets" of credentials, "of_role", "of_recipient". */
static void add_sought(const struct vault_breach *breach, struct kl_json_out *out)
{
    size_t i;

    if (breach->start != VAULT_BREACH_CREDENTIALS) {
        kl_json_add_text(out, breach->start == VAULT_BREACH_ROLE ? "of_role" : "of_recipient",
                         breach->sought[0]);
        return;
    }
    kl_json_add_text(out, "target", breach->sought[0]);
    if (breach->sought_count > 1) {
        kl_json_key(out, "targets");
        kl_json_array_begin(out);
        for (i = 0; i < breach->sought_count; i++) {
            kl_json_put_text(out, breach->sought[i]);
        }
        kl_json_array_end(out);
    }
}

static void act_begin(const struct vault_breach *breach, struct vault_act *act)
{
    char location[3];
    struct vault_audit_who who = vault_caller_who(breach->caller, location);

    vault_act_begin(act, breach->tenant, &who, VAULT_BREACH_ACTION);
    add_sought(breach, &act->out);
}

static enum kl_status act_end(struct vault_act *act, struct kl_err *err)
{
    kl_json_add_text(&act->out, "result", "ok");
    return vault_audit_end(&act->entry, &act->out, err);
}

enum kl_status vault_breach_audit(struct vault_breach *breach, struct kl_err *err)
{
    size_t people_count = 0;
    size_t count = 0;
    size_t i;
    const struct vault_breach_person *people = vault_breach_people(breach->tally, &people_count);
    const size_t entries_max = (breach->may_name ? people_count : 0) + 1;
    struct vault_act *acts = kl_arena_array(breach->arena, entries_max, sizeof acts[0]);
    struct vault_audit_entry **entries =
        kl_arena_array(breach->arena, entries_max, sizeof entries[0]);
    enum kl_status status = KL_OK;

    if (acts == NULL || entries == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; status == KL_OK && i < people_count; i++) {
        if (breach->found[i].is_named) {
            act_begin(breach, &acts[count]);
            kl_json_add_int(&acts[count].out, "slot", (int64_t)people[i].slot);
            kl_json_add_int(&acts[count].out, "policy", (int64_t)breach->caller->policy_number);
            vault_subject_act_transfers(&acts[count], breach->caller->policy,
                                        breach->found[i].transfers);
            status = act_end(&acts[count], err);
            entries[count] = &acts[count].entry;
            count++;
        }
    }
    if (status == KL_OK) {
        act_begin(breach, &acts[count]);
        kl_json_add_time(&acts[count].out, "from", breach->from_us);
        kl_json_add_time(&acts[count].out, "to", breach->to_us);
        kl_json_add_int(&acts[count].out, "people", (int64_t)people_count);
        kl_json_add_int(&acts[count].out, "named", (int64_t)count);
        status = act_end(&acts[count], err);
        entries[count] = &acts[count].entry;
        breach->entry = acts[count].entry.id;
        count++;
    }
    if (status == KL_OK) {
        status = vault_audit_commit(breach->vault, entries, count, err);
    }
    for (i = 0; i < count; i++) {
        vault_act_done(&acts[i]);
    }
    return status;
}
