/* From pseudonyms back to subjects: each is a re-identification, decided on and in the trail by itself. */
#include "vault/pseudonym.h"

#include "kluis/base/time.h"
#include "vault/limits.h"
#include "vault/retention.h"
#include "vault/volume.h"

#include <stdlib.h>
#include <string.h>

#define ACTION "resolve"

/* What one pseudonym stands for: the subject, a record of it, a field of that. Pointers are those of the subject at hand. */
struct meaning {
    const struct vault_manifest_record *record;
    const struct vault_manifest_field *field;
};

struct resolving {
    struct vault *vault;
    const struct vault_caller *caller;
    const struct vault_resolve_input *input;
    struct vault_query query;
    const char *recipient; /* the policy's text */
    struct kl_arena *arena;
    struct kl_arena *scratch; /* one subject at a time */
    struct vault_resolved *results;
    struct vault_act *acts;
    struct vault_audit_entry **entries;
    size_t asked; /* different ones */
    size_t found;
};

/* ---- finding ---- */

/* Of the handle's subject. KL_ERR_NOT_FOUND: nobody has it, or not any more. */
static enum kl_status load(struct resolving *resolving,
                           const unsigned char pseudonym[VAULT_PSEUDONYM_BYTES],
                           struct vault_subject *subject, struct kl_err *err)
{
    struct vault *vault = resolving->vault;
    uint64_t tenant = resolving->caller->tenant;
    unsigned char handle[VAULT_HANDLE_BYTES];
    struct vault_index_entry entry;
    size_t count = 0;
    enum kl_status status = vault_pseudonym_handle(vault, tenant, pseudonym, handle, err);

    if (status == KL_OK) {
        status = vault_index_look(vault->index, tenant, VAULT_PSEUDONYM_KIND,
                                  kl_slice_of(handle, sizeof handle), 0, 1, &entry, &count, err);
    }
    if (status == KL_OK && count == 0) {
        return vault_not_found(err);
    }
    return status == KL_OK
               ? vault_subject_load(vault, tenant, entry.slot, resolving->scratch, subject, err)
               : status;
}

/* What of the subject the recipient knows by that pseudonym; false: nothing that is there. */
static bool meaning_find(const struct vault_subject *subject,
                         const struct vault_pseudonyms *pseudonyms,
                         const unsigned char pseudonym[VAULT_PSEUDONYM_BYTES], struct meaning *ret)
{
    size_t i;
    size_t k;

    memset(ret, 0, sizeof *ret);
    if (vault_pseudonym_is(pseudonym, pseudonyms, NULL, NULL)) {
        return true;
    }
    for (i = 0; i < subject->head.record_count; i++) {
        const struct vault_manifest_record *record = &subject->records[i];

        ret->record = record;
        if (!record->gone && vault_pseudonym_is(pseudonym, pseudonyms, &record->id, NULL)) {
            return true;
        }
        for (k = 0; !record->gone && k < record->field_count; k++) {
            ret->field = &record->fields[k];
            if (vault_pseudonym_is(pseudonym, pseudonyms, &record->id, record->fields[k].name)) {
                return true;
            }
        }
        ret->field = NULL;
    }
    return false;
}

/* ---- deciding ---- */

/*
 * charged: grants with a volume under which it is told. transfers: lines that it leaves the EEA by. beyond: it would be told, but for a
 * volume that is used up.
 */
struct verdict {
    bool told;
    uint64_t charged;
    uint64_t transfers;
    bool beyond;
};

/* A pseudonym must not be resolved for somebody who is shown pseudonyms. */
static bool is_told(const struct vault_decision *decision)
{
    return decision->withheld == VAULT_GATE_NONE && decision->view < VAULT_VIEW_TOKEN;
}

static void decide_field(const struct resolving *resolving, const struct vault_facts *facts,
                         int field, struct verdict *verdict)
{
    const struct vault_policy *policy = resolving->caller->policy;
    struct vault_query open = resolving->query;
    struct vault_decision decision = vault_policy_decide(policy, &resolving->query, facts, field);

    open.used_up = 0;
    if (is_told(&decision)) {
        verdict->told = true;
        verdict->charged |= vault_policy_charged(policy, &resolving->query, field);
        verdict->transfers |= vault_transfer_bit(decision.transfer);
    } else if (decision.withheld == VAULT_GATE_ROLE && resolving->query.used_up != 0) {
        decision = vault_policy_decide(policy, &open, facts, field);
        verdict->beyond = verdict->beyond || is_told(&decision);
    }
}

/* The field that is meant, or any of the record's or the subject's. */
static enum kl_status decide(struct resolving *resolving, const struct vault_subject *subject,
                             const struct meaning *meaning, struct verdict *ret, struct kl_err *err)
{
    const struct vault_policy *policy = resolving->caller->policy;
    struct vault_facts facts = {0};
    struct verdict verdict = {0};
    size_t i;
    size_t k;
    enum kl_status status = vault_facts_of(resolving->vault, subject, policy, &resolving->query,
                                           resolving->scratch, &facts, err);

    for (i = 0; status == KL_OK && i < subject->head.record_count; i++) {
        const struct vault_manifest_record *record = &subject->records[i];

        if (record->gone || (meaning->record != NULL && meaning->record != record)) {
            continue;
        }
        vault_retention_facts(policy, &resolving->query, record, &facts);
        for (k = 0; k < record->field_count; k++) {
            int field = vault_policy_field_of(policy, record, &record->fields[k]);

            if (field != VAULT_NONE && !verdict.told &&
                (meaning->field == NULL || meaning->field == &record->fields[k])) {
                decide_field(resolving, &facts, field, &verdict);
            }
        }
    }
    if (status == KL_OK) {
        *ret = verdict;
    }
    return status;
}

/* ---- telling ---- */

static void act_begin(const struct resolving *resolving, struct vault_act *act,
                      const struct vault_subject *subject, const struct meaning *meaning)
{
    const struct vault_policy *policy = resolving->caller->policy;
    char name[VAULT_FIELD_NAME_BYTES];

    vault_subject_act_begin(act, resolving->caller, ACTION, subject->slot);
    kl_json_add_text(&act->out, "purpose",
                     vault_policy_purpose(policy, resolving->query.purpose)->name);
    kl_json_add_text(&act->out, "recipient", resolving->recipient);
    if (resolving->query.ground != VAULT_GROUND_NONE) {
        kl_json_add_text(&act->out, "ground", vault_ground_name(resolving->query.ground));
    }
    if (meaning->field != NULL) {
        vault_field_name(meaning->record->type, meaning->field->name, name);
        kl_json_add_text(&act->out, "field", name);
    }
}

static enum kl_status result_set(struct resolving *resolving, const struct vault_subject *subject,
                                 const struct meaning *meaning, struct vault_resolved *ret,
                                 struct kl_err *err)
{
    struct vault_resolved result = {.found = true, .subject = subject->base.subject};

    if (meaning->record != NULL) {
        result.has_record = true;
        result.record = meaning->record->id;
        result.type =
            kl_arena_text(resolving->arena, meaning->record->type, strlen(meaning->record->type));
    }
    if (meaning->field != NULL) {
        result.field =
            kl_arena_text(resolving->arena, meaning->field->name, strlen(meaning->field->name));
    }
    if ((meaning->record != NULL && result.type == NULL) ||
        (meaning->field != NULL && result.field == NULL)) {
        return kl_fail_memory(err);
    }
    *ret = result;
    return KL_OK;
}

static enum kl_status tell(struct resolving *resolving, const struct vault_subject *subject,
                           const struct meaning *meaning, struct vault_resolved *ret,
                           struct kl_err *err)
{
    struct vault_act *act = &resolving->acts[resolving->found];
    struct verdict verdict = {0};
    enum kl_status status = KL_OK;

    resolving->query.used_up = vault_volume_used_up(resolving->vault, resolving->caller);
    status = decide(resolving, subject, meaning, &verdict, err);
    if (status != KL_OK || (!verdict.told && !verdict.beyond)) {
        return status;
    }
    if (!verdict.told || !vault_volume_take(resolving->vault, resolving->caller, verdict.charged)) {
        return vault_volume_exceeded(resolving->vault, resolving->caller, err);
    }
    act_begin(resolving, act, subject, meaning);
    vault_subject_act_transfers(act, resolving->caller->policy, verdict.transfers);
    resolving->entries[resolving->found++] = &act->entry;
    status = vault_subject_act_end(act, err);
    return status == KL_OK ? result_set(resolving, subject, meaning, ret, err) : status;
}

/* A subject that the caller may not know of, for being bound to another one, is looked for all the same. */
static enum kl_status resolve_one(struct resolving *resolving,
                                  const unsigned char pseudonym[VAULT_PSEUDONYM_BYTES],
                                  struct vault_resolved *ret, struct kl_err *err)
{
    const struct vault_caller *caller = resolving->caller;
    struct vault_subject subject = {0};
    struct vault_pseudonyms pseudonyms = {0};
    struct meaning meaning;
    enum kl_status status = KL_OK;

    kl_arena_reset(resolving->scratch);
    status = load(resolving, pseudonym, &subject, err);
    if (status == KL_OK) {
        status = vault_pseudonyms_begin(resolving->vault, &subject, resolving->recipient, NULL,
                                        &pseudonyms, err);
    }
    if (status == KL_OK) {
        resolving->query.own_subject =
            caller->bound && kl_id_equal(&caller->bound_subject, &subject.base.subject);
        if (meaning_find(&subject, &pseudonyms, pseudonym, &meaning) &&
            (!caller->bound || resolving->query.own_subject)) {
            status = tell(resolving, &subject, &meaning, ret, err);
        }
    }
    if (status == KL_ERR_NOT_FOUND || status == KL_ERR_GONE) {
        kl_err_clear(err);
        status = KL_OK;
    }
    vault_pseudonyms_done(&pseudonyms);
    vault_subject_done(&subject);
    return status;
}

/* ---- how often ---- */

/*
 * How long it takes differs between what was never given out and what is there and not for this credential. So that nobody asks until the
 * difference shows, only so many may turn out not to be found.
 */
static struct vault_limit_item misses_of(const struct resolving *resolving)
{
    unsigned char name[sizeof ACTION - 1 + KL_ID_BYTES] = ACTION;

    memcpy(name + sizeof ACTION - 1, resolving->caller->credential.bytes, KL_ID_BYTES);
    return (struct vault_limit_item){
        .key = vault_limits_key(resolving->vault->tries, kl_slice_of(name, sizeof name)),
        .limit = {VAULT_RESOLVE_MISSES_MAX, VAULT_RESOLVE_MISSES_WINDOW_S}};
}

static enum kl_status too_many(uint32_t wait_s, struct kl_err *err)
{
    kl_err_retry(err, wait_s);
    return kl_fail(err, KL_ERR_FORBIDDEN, "too_many_attempts",
                   "too many tokens of this credential were not found; try again later", NULL);
}

static enum kl_status resolve_counted(struct resolving *resolving,
                                      const unsigned char pseudonym[VAULT_PSEUDONYM_BYTES],
                                      struct vault_resolved *ret, struct kl_err *err)
{
    const struct vault_limit_item misses = misses_of(resolving);
    uint32_t wait_s = 0;
    enum kl_status status = KL_OK;

    if (vault_limits_is_full(resolving->vault->tries, &misses, kl_time_monotonic_us(), &wait_s)) {
        return too_many(wait_s, err);
    }
    resolving->asked++;
    status = resolve_one(resolving, pseudonym, ret, err);
    return status == KL_OK && !ret->found &&
                   !vault_limits_take(resolving->vault->tries, &misses, 1, kl_time_monotonic_us(),
                                      &wait_s)
               ? too_many(wait_s, err)
               : status;
}

/* ---- all of them ---- */

/* One of the pseudonyms, at its place. */
struct placed {
    unsigned char pseudonym[VAULT_PSEUDONYM_BYTES];
    size_t at;
};

static int by_pseudonym(const void *left, const void *right)
{
    const struct placed *a = left;
    const struct placed *b = right;
    const int order = memcmp(a->pseudonym, b->pseudonym, VAULT_PSEUDONYM_BYTES);

    return order != 0 ? order : (a->at > b->at) - (a->at < b->at);
}

/* For each the place of the first that is the same. NULL when out of memory. */
static size_t *firsts_of(struct kl_arena *arena, unsigned char (*pseudonyms)[VAULT_PSEUDONYM_BYTES],
                         size_t count)
{
    struct placed *placed = kl_arena_array(arena, count, sizeof *placed);
    size_t *firsts = kl_arena_array(arena, count, sizeof *firsts);
    size_t first = 0;
    size_t i;

    if (placed == NULL || firsts == NULL) {
        return NULL;
    }
    for (i = 0; i < count; i++) {
        memcpy(placed[i].pseudonym, pseudonyms[i], VAULT_PSEUDONYM_BYTES);
        placed[i].at = i;
    }
    qsort(placed, count, sizeof *placed, by_pseudonym);
    for (i = 0; i < count; i++) {
        if (i == 0 ||
            memcmp(placed[i].pseudonym, placed[i - 1].pseudonym, VAULT_PSEUDONYM_BYTES) != 0) {
            first = placed[i].at;
        }
        firsts[placed[i].at] = first;
    }
    return firsts;
}

/* How many were not found, in one entry: there is nobody whom it could be about. */
static enum kl_status act_unresolved(const struct resolving *resolving, struct vault_act *act,
                                     struct kl_err *err)
{
    const struct vault_caller *caller = resolving->caller;
    char location[3];
    struct vault_audit_who who = vault_caller_who(caller, location);

    vault_act_begin(act, caller->tenant, &who, ACTION);
    kl_json_add_int(&act->out, "policy", (int64_t)caller->policy_number);
    kl_json_add_text(&act->out, "purpose",
                     vault_policy_purpose(caller->policy, resolving->query.purpose)->name);
    kl_json_add_text(&act->out, "recipient", resolving->recipient);
    kl_json_add_int(&act->out, "not_found", (int64_t)(resolving->asked - resolving->found));
    return vault_subject_act_end(act, err);
}

static enum kl_status resolve_all(struct resolving *resolving,
                                  unsigned char (*pseudonyms)[VAULT_PSEUDONYM_BYTES],
                                  struct kl_err *err)
{
    size_t count = resolving->input->count;
    size_t *firsts = firsts_of(resolving->arena, pseudonyms, count);
    size_t entry_count = 0;
    size_t i;
    enum kl_status status = KL_OK;

    resolving->results = kl_arena_array(resolving->arena, count, sizeof *resolving->results);
    resolving->acts = kl_arena_array(resolving->arena, count + 1, sizeof *resolving->acts);
    resolving->entries =
        kl_arena_array(resolving->arena, count + 1, sizeof(struct vault_audit_entry *));
    if (resolving->results == NULL || resolving->acts == NULL || resolving->entries == NULL ||
        firsts == NULL) {
        return kl_fail_memory(err);
    }
    for (i = 0; status == KL_OK && i < count; i++) {
        if (firsts[i] == i) {
            status = resolve_counted(resolving, pseudonyms[i], &resolving->results[i], err);
        } else {
            resolving->results[i] = resolving->results[firsts[i]];
        }
    }
    entry_count = resolving->found;
    if (status == KL_OK && resolving->found < resolving->asked) {
        resolving->entries[entry_count] = &resolving->acts[entry_count].entry;
        status = act_unresolved(resolving, &resolving->acts[entry_count++], err);
    }
    if (status == KL_OK) {
        status = vault_audit_commit(resolving->vault, resolving->entries, entry_count, err);
    }
    for (i = 0; i < entry_count; i++) {
        vault_act_done(&resolving->acts[i]);
    }
    return status;
}

static enum kl_status parse_all(const struct vault_resolve_input *input,
                                unsigned char (*ret)[VAULT_PSEUDONYM_BYTES], struct kl_err *err)
{
    size_t i;

    for (i = 0; i < input->count; i++) {
        enum kl_status status = vault_pseudonym_parse(input->pseudonyms[i], ret[i], err);

        if (status != KL_OK) {
            kl_err_where(err, "/tokens/%zu", i);
            return status;
        }
    }
    return KL_OK;
}

static enum kl_status check_input(const struct vault_caller *caller,
                                  const struct vault_resolve_input *input, struct kl_err *err)
{
    if (input->count == 0) {
        kl_err_where(err, "/tokens");
        return kl_fail(err, KL_ERR_INVALID, "missing_key", "say which tokens to resolve", NULL);
    }
    if (input->count > VAULT_PSEUDONYMS_RESOLVE_MAX) {
        kl_err_where(err, "/tokens");
        return kl_fail(err, KL_ERR_TOO_LARGE, "too_many_items", "at most 1000 tokens at once",
                       NULL);
    }
    if (input->recipient == NULL && !caller->is_recipient) {
        kl_err_where(err, "/recipient");
        return kl_fail(err, KL_ERR_INVALID, "missing_key", "say whose tokens they are", NULL);
    }
    return KL_OK;
}

/* Purpose and recipient in the policy's numbers. */
static enum kl_status ask(struct resolving *resolving, struct kl_err *err)
{
    const struct vault_caller *caller = resolving->caller;
    const struct vault_resolve_input *input = resolving->input;
    int purpose = VAULT_NONE;
    int recipient = VAULT_NONE;
    enum kl_status status = vault_purpose_resolve(caller, input->purpose, &purpose, err);

    if (status == KL_OK) {
        status = vault_recipient_resolve(caller, input->recipient, &recipient, err);
    }
    if (status == KL_OK) {
        resolving->recipient = vault_policy_recipient(caller->policy, recipient)->name;
        resolving->query = vault_query_of(caller, VAULT_ACTION_LOOKUP, purpose, VAULT_NONE,
                                          caller->bound ? &caller->bound_subject : NULL);
        resolving->query.ground = input->ground;
    }
    return status;
}

enum kl_status vault_pseudonyms_resolve(struct vault *vault, const struct vault_caller *caller,
                                        const struct vault_resolve_input *input,
                                        struct kl_arena *arena, struct vault_resolved *ret,
                                        struct kl_err *err)
{
    struct resolving resolving = {.vault = vault,
                                  .caller = caller,
                                  .input = input,
                                  .query = {.purpose = VAULT_NONE},
                                  .arena = arena};
    unsigned char(*pseudonyms)[VAULT_PSEUDONYM_BYTES] = NULL;
    struct kl_err own = {0};
    enum kl_status status = KL_OK;

    err = err == NULL ? &own : err;
    status = vault_policy_required(caller, err);
    if (status == KL_OK) {
        status = check_input(caller, input, err);
    }
    if (status == KL_OK) {
        status = ask(&resolving, err);
    }
    if (status == KL_OK) {
        pseudonyms = kl_arena_array(arena, input->count, sizeof *pseudonyms);
        status = pseudonyms == NULL ? kl_fail_memory(err) : parse_all(input, pseudonyms, err);
    }
    if (status != KL_OK) {
        return status;
    }
    if (resolving.query.role == VAULT_NONE || !vault_policy_may(caller->policy, &resolving.query)) {
        status = kl_fail(err, KL_ERR_FORBIDDEN, "withheld",
                         "the role of this credential may not look up for this purpose", NULL);
    } else if (vault_volume_is_closed(vault, caller, &resolving.query, NULL)) {
        status = vault_volume_exceeded(vault, caller, err);
    } else {
        resolving.scratch = kl_arena_new(VAULT_WORK_MAX_BYTES);
        status = resolving.scratch == NULL ? kl_fail_memory(err)
                                           : resolve_all(&resolving, pseudonyms, err);
        kl_arena_free(resolving.scratch);
    }
    if (status == KL_OK) {
        memcpy(ret, resolving.results, input->count * sizeof *ret);
    }
    return vault_subject_refused(vault, caller, ACTION, resolving.query.purpose, status, err);
}
