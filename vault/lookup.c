/* Finding subjects by an indexed value. */
#include "vault/retention.h"
#include "vault/subject_internal.h"
#include "vault/volume.h"

#include <string.h>

#define CURSOR_KIND "lookup"
/* Entries taken from the index at a time. */
#define ENTRIES_STEP 128

struct looking {
    struct vault *vault;
    const struct vault_caller *caller;
    struct vault_query query;
    struct kl_arena *arena;
    struct kl_arena *scratch; /* one subject at a time */
    int field;
    struct kl_buf form; /* of the value looked for */
    const char *name;   /* of the field, with its type */
    size_t limit;
    size_t skip; /* entries of the index that are behind us */
    struct kl_id *subjects;
    struct vault_act *acts;
    struct vault_audit_entry **entries;
    size_t count;
    bool ended;
    bool asked[VAULT_FIELDS_MAX]; /* the field alone */
};

/* ---- the question ---- */

static enum kl_status field_resolve(const struct vault_caller *caller, const char *name, int *ret,
                                    struct kl_err *err)
{
    char type[VAULT_NAME_MAX_BYTES + 1] = "";
    const char *dot = name == NULL ? NULL : strchr(name, '.');
    size_t size = dot == NULL ? 0 : (size_t)(dot - name);
    int record = VAULT_NONE;
    int field = VAULT_NONE;

    if (size > 0 && size <= VAULT_NAME_MAX_BYTES) {
        memcpy(type, name, size);
        record = vault_policy_record_find(caller->policy, type);
        field = record == VAULT_NONE ? VAULT_NONE
                                     : vault_policy_field_find(caller->policy, record, dot + 1);
    }
    if (field == VAULT_NONE) {
        kl_err_where(err, "/field");
        return kl_fail(err, KL_ERR_INVALID, "unknown_field",
                       "the policy has no field of that name; say type.field", NULL);
    }
    if (vault_policy_field(caller->policy, field)->index == VAULT_INDEX_NONE) {
        kl_err_where(err, "/field");
        return kl_fail(err, KL_ERR_INVALID, "field_not_indexed",
                       "the policy does not mark this field as index", NULL);
    }
    *ret = field;
    return KL_OK;
}

static enum kl_status form_make(struct looking *looking, const struct vault_value_input *value,
                                struct kl_err *err)
{
    enum kl_status status = KL_OK;
    enum vault_type type = vault_policy_field(looking->caller->policy, looking->field)->type;
    struct kl_buf normalised;

    kl_buf_init(&normalised, VAULT_VALUE_MAX_BYTES + 1);
    status = vault_value_normalise(type, value, &normalised, err);
    if (status == KL_OK) {
        status = vault_value_index_form(type, kl_buf_slice(&normalised), &looking->form, err);
    }
    if (status != KL_OK) {
        kl_err_where(err, "/value");
    }
    kl_buf_done(&normalised);
    return status;
}

/* ---- the answer ---- */

/* The value that the entry speaks of; false when the subject does not have it (any more). */
static bool find_value(const struct looking *looking, const struct vault_subject *subject,
                       uint64_t discriminator, struct vault_value_wanted *ret)
{
    size_t i;
    size_t k;

    for (i = 0; i < subject->head.record_count; i++) {
        const struct vault_manifest_record *record = &subject->records[i];

        for (k = 0; !record->gone && k < record->field_count; k++) {
            const struct vault_manifest_field *field = &record->fields[k];

            if (vault_policy_field_of(looking->caller->policy, record, field) == looking->field &&
                vault_index_discriminator(&record->id, field->name) == discriminator) {
                *ret = (struct vault_value_wanted){.record = record, .field = field};
                return true;
            }
        }
    }
    return false;
}

/*
 * Whether the value stored there is the one looked for, so that an entry of the index that is stale
 * finds nobody. A value that does not open proves nothing, and must not keep its subject from being
 * found: the entry counts then.
 */
static enum kl_status is_value(struct looking *looking, const struct vault_subject *subject,
                               struct vault_value_wanted *wanted, bool *ret, struct kl_err *err)
{
    struct kl_buf form;
    enum kl_status status = vault_subject_values(looking->vault, subject->tenant, subject->slot,
                                                 wanted, 1, looking->scratch, err);

    if (status == KL_ERR_CORRUPT) {
        kl_err_clear(err);
        *ret = true;
        return KL_OK;
    }
    kl_buf_init(&form, VAULT_TAG_VALUE_MAX_BYTES);
    if (status == KL_OK) {
        status = vault_value_index_form(wanted->field->type, wanted->value, &form, err);
    }
    if (status == KL_OK) {
        *ret = kl_slice_equal(kl_buf_slice(&form), kl_buf_slice(&looking->form));
    }
    kl_buf_done(&form);
    return status;
}

/*
 * Whether the subject has the value that the entry says it has, and may be found by it. Who may see no more of it than a token is not
 * found: whose pseudonym that is would be known from the value. ret_transfers: lines that it leaves the EEA by.
 */
static enum kl_status may_find(struct looking *looking, const struct vault_subject *subject,
                               uint64_t discriminator, bool *ret, uint64_t *ret_transfers,
                               struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_value_wanted wanted;
    struct vault_facts facts = {0};
    struct vault_decision decision;

    looking->query.own_subject =
        looking->caller->bound &&
        kl_id_equal(&looking->caller->bound_subject, &subject->base.subject);
    if (!find_value(looking, subject, discriminator, &wanted) ||
        (looking->caller->bound && !looking->query.own_subject)) {
        *ret = false;
        return KL_OK;
    }
    status = vault_facts_of(looking->vault, subject, looking->caller->policy, &looking->query,
                            looking->scratch, &facts, err);
    if (status == KL_OK) {
        vault_retention_facts(looking->caller->policy, &looking->query, wanted.record, &facts);
    }
    if (status != KL_OK) {
        return status;
    }
    decision =
        vault_policy_decide(looking->caller->policy, &looking->query, &facts, looking->field);
    if (decision.withheld != VAULT_GATE_NONE || decision.view >= VAULT_VIEW_TOKEN) {
        *ret = false;
        return KL_OK;
    }
    *ret_transfers = vault_transfer_bit(decision.transfer);
    return is_value(looking, subject, &wanted, ret, err);
}

static void look_act(struct looking *looking, struct vault_act *act, uint64_t slot,
                     uint64_t transfers)
{
    const struct vault_policy_field *of =
        vault_policy_field(looking->caller->policy, looking->field);
    char name[VAULT_FIELD_NAME_BYTES];

    vault_field_name(vault_policy_record(looking->caller->policy, of->record)->name, of->name,
                     name);
    vault_subject_act_begin(act, looking->caller, "lookup", slot);
    kl_json_add_text(&act->out, "field", name);
    kl_json_add_text(&act->out, "purpose",
                     vault_policy_purpose(looking->caller->policy, looking->query.purpose)->name);
    vault_act_recipient(act, looking->caller->policy, &looking->query);
    if (looking->query.ground != VAULT_GROUND_NONE) {
        kl_json_add_text(&act->out, "ground", vault_ground_name(looking->query.ground));
    }
    vault_subject_act_transfers(act, looking->caller->policy, transfers);
}

static bool is_listed(const struct looking *looking, const struct kl_id *subject)
{
    size_t i;

    for (i = 0; i < looking->count; i++) {
        if (kl_id_equal(&looking->subjects[i], subject)) {
            return true;
        }
    }
    return false;
}

/* What the role may look up in an hour is used up: nobody is found, whoever is there. */
static bool is_closed(const struct looking *looking)
{
    return vault_volume_is_closed(looking->vault, looking->caller, &looking->query, looking->asked);
}

static enum kl_status look_at(struct looking *looking, const struct vault_index_entry *entry,
                              struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_subject subject = {0};
    struct vault_act *act = &looking->acts[looking->count];
    uint64_t transfers = 0;
    bool found = false;

    if (is_closed(looking)) {
        return vault_volume_exceeded(looking->vault, looking->caller, err);
    }
    looking->query.used_up = vault_volume_used_up(looking->vault, looking->caller);
    kl_arena_reset(looking->scratch);
    status = vault_subject_load(looking->vault, looking->caller->tenant, entry->slot,
                                looking->scratch, &subject, err);
    if (status == KL_OK) {
        status = may_find(looking, &subject, entry->discriminator, &found, &transfers, err);
    }
    if (status == KL_OK && found && !is_listed(looking, &subject.base.subject)) {
        if (!vault_volume_take(
                looking->vault, looking->caller,
                vault_policy_charged(looking->caller->policy, &looking->query, looking->field))) {
            vault_subject_done(&subject);
            return vault_volume_exceeded(looking->vault, looking->caller, err);
        }
        look_act(looking, act, entry->slot, transfers);
        status = vault_subject_act_end(act, err);
        looking->entries[looking->count] = &act->entry;
        looking->subjects[looking->count++] = subject.base.subject;
    }
    if (status == KL_ERR_GONE || status == KL_ERR_NOT_FOUND) {
        kl_err_clear(err);
        status = KL_OK;
    }
    vault_subject_done(&subject);
    return status;
}

static enum kl_status look(struct looking *looking, struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct vault_index_entry entries[ENTRIES_STEP];
    size_t count = 0;
    size_t i;

    while (status == KL_OK && !looking->ended) {
        status = vault_index_look(looking->vault->index, looking->caller->tenant, looking->name,
                                  kl_buf_slice(&looking->form), looking->skip, ENTRIES_STEP,
                                  entries, &count, err);
        looking->ended = count < ENTRIES_STEP;
        for (i = 0; status == KL_OK && i < count; i++) {
            if (looking->count == looking->limit) {
                looking->ended = false;
                return KL_OK;
            }
            status = look_at(looking, &entries[i], err);
            if (status == KL_ERR_FORBIDDEN && looking->count > 0) { /* its volume is used up */
                kl_err_clear(err);
                looking->ended = false;
                return KL_OK;
            }
            looking->skip++;
        }
    }
    return status;
}

static enum kl_status look_all(struct looking *looking, const char *cursor, char *ret_cursor,
                               struct kl_err *err)
{
    enum kl_status status = KL_OK;
    char next[VAULT_CURSOR_MAX_BYTES + 1] = "";
    uint64_t skip = 0;
    size_t i;

    looking->subjects = kl_arena_array(looking->arena, looking->limit, sizeof *looking->subjects);
    looking->acts = kl_arena_array(looking->arena, looking->limit, sizeof *looking->acts);
    looking->entries =
        kl_arena_array(looking->arena, looking->limit, sizeof(struct vault_audit_entry *));
    if (looking->subjects == NULL || looking->acts == NULL || looking->entries == NULL) {
        return kl_fail_memory(err);
    }
    status = vault_cursor_number_open(looking->vault, looking->caller, CURSOR_KIND, cursor,
                                      VAULT_TAG_ENTRIES_MAX, &skip, err);
    if (status == KL_OK) {
        looking->skip = (size_t)skip;
        status = look(looking, err);
    }
    if (status == KL_OK && !looking->ended) {
        status = vault_cursor_number_seal(looking->vault, looking->caller, CURSOR_KIND,
                                          looking->skip, next, err);
    }
    if (status == KL_OK) {
        status = vault_subject_found(looking->vault, looking->caller, "lookup",
                                     looking->query.purpose, looking->entries, looking->count, err);
    }
    if (status == KL_OK) {
        memcpy(ret_cursor, next, strlen(next) + 1);
    }
    for (i = 0; i < looking->count; i++) {
        vault_act_done(&looking->acts[i]);
    }
    return status;
}

enum kl_status vault_lookup(struct vault *vault, const struct vault_caller *caller,
                            const struct vault_lookup_input *input, struct kl_arena *arena,
                            struct kl_id **ret_subjects, size_t *ret_count, char *ret_cursor,
                            struct kl_err *err)
{
    enum kl_status status = KL_OK;
    struct looking looking = {.vault = vault,
                              .caller = caller,
                              .arena = arena,
                              .limit = input->limit,
                              .name = input->field};
    struct kl_err own = {0};
    int purpose = VAULT_NONE;

    err = err == NULL ? &own : err;
    if (input->limit < 1 || input->limit > VAULT_PAGE_MAX) {
        return kl_fail(err, KL_ERR_INVALID, "invalid_limit", "a page holds 1 to 1000 items", NULL);
    }
    status = vault_policy_required(caller, err);
    if (status == KL_OK) {
        status = vault_purpose_resolve(caller, input->purpose, &purpose, err);
    }
    if (status == KL_OK) {
        status = field_resolve(caller, input->field, &looking.field, err);
    }
    if (status != KL_OK) {
        return status;
    }
    looking.asked[looking.field] = true;
    kl_buf_init(&looking.form, VAULT_TAG_VALUE_MAX_BYTES);
    status = form_make(&looking, &input->value, err);
    if (status != KL_OK) {
        goto out;
    }
    looking.query = vault_query_of(caller, VAULT_ACTION_LOOKUP, purpose, VAULT_NONE,
                                   caller->bound ? &caller->bound_subject : NULL);
    looking.query.ground = input->ground;
    if (looking.query.role == VAULT_NONE || !vault_policy_may(caller->policy, &looking.query)) {
        status = kl_fail(err, KL_ERR_FORBIDDEN, "withheld",
                         "the role of this credential may not look up for this purpose", NULL);
    } else if (is_closed(&looking)) {
        status = vault_volume_exceeded(vault, caller, err);
    } else {
        looking.scratch = kl_arena_new(VAULT_WORK_MAX_BYTES);
        status = looking.scratch == NULL ? kl_fail_memory(err)
                                         : look_all(&looking, input->cursor, ret_cursor, err);
        kl_arena_free(looking.scratch);
    }
    if (status == KL_OK) {
        *ret_subjects = looking.subjects;
        *ret_count = looking.count;
    }
    status = vault_subject_refused(vault, caller, "lookup", purpose, status, err);

out:
    kl_buf_done(&looking.form);
    return status;
}
