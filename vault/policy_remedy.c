/*
 * The search: from the policy as it is, one change after the other, nearest first. A state that does not compile is no state; one that
 * alters the answer is a solution, and no longer ones are looked for.
 */
#include "vault/policy_remedy_internal.h"

#include "vault/policy_diff_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATES_MAX 48 /* at work on one field: those of a step, and those it came from */
#define KEPT_MAX 4    /* of a step, to go on from */
#define SOLUTIONS_MAX 24
#define ARENA_BYTES_MAX (4 * VAULT_REMEDY_BYTES_MAX)

/* ---- a state ---- */

static void state_done(struct remedy_state *state)
{
    kl_yaml_free(state->yaml);
    vault_policy_unref(state->policy);
    memset(state, 0, sizeof *state);
}

/* What is said of a purpose under one policy, said under another: numbers change, names do not. */
static uint64_t purposes_by_name(uint64_t bits, const struct vault_policy *from,
                                 const struct vault_policy *to)
{
    uint64_t ret = 0;

    for (; bits != 0; bits &= bits - 1) {
        const int number = __builtin_ctzll(bits);
        int there = VAULT_NONE;

        if ((size_t)number < from->purpose_count)
            there = vault_policy_find(to->purpose_names, from->purpose_names[number]);
        if (there != VAULT_NONE)
            ret |= UINT64_C(1) << there;
    }
    return ret;
}

static struct vault_facts facts_by_name(const struct vault_facts *facts,
                                        const struct vault_policy *from,
                                        const struct vault_policy *to)
{
    struct vault_facts ret = *facts;

    ret.consents = purposes_by_name(facts->consents, from, to);
    ret.explicit_consents = purposes_by_name(facts->explicit_consents, from, to);
    ret.recipient_consents = purposes_by_name(facts->recipient_consents, from, to);
    ret.recipient_explicit_consents =
        purposes_by_name(facts->recipient_explicit_consents, from, to);
    ret.objections = purposes_by_name(facts->objections, from, to);
    ret.consents_in_restriction = purposes_by_name(facts->consents_in_restriction, from, to);
    ret.ended = purposes_by_name(facts->ended, from, to);
    return ret;
}

static int by_name(const char *const *from, int number, const char *const *to)
{
    return number == VAULT_NONE ? VAULT_NONE : vault_policy_find(to, from[number]);
}

/* What is over, of the field's record type. */
static void look_at_clocks(const struct vault_remedy *remedy, struct remedy_state *state)
{
    struct vault_query then = state->query;

    if (remedy->subject == NULL)
        return;
    then.now_us = remedy->ended_us;
    state->facts.ended =
        vault_ended_of(vault_ended_types(remedy->subject, state->policy, &then, &state->facts),
                       &state->query, state->policy->fields[state->field].record);
}

/* Put the question of base to state's policy; false: it does not know the role or the purpose (any more). */
static bool put_question(const struct vault_remedy *remedy, const struct remedy_state *base,
                         struct remedy_state *state)
{
    const struct vault_policy *from = base->policy;
    const struct vault_policy *to = state->policy;

    state->query = base->query;
    state->query.role = by_name(from->role_names, base->query.role, to->role_names);
    state->query.purpose = by_name(from->purpose_names, base->query.purpose, to->purpose_names);
    state->query.recipient =
        by_name(from->recipient_names, base->query.recipient, to->recipient_names);
    state->query.credential_purposes = POLICY_ALL;
    state->field = by_name(from->field_names, base->field, to->field_names);
    state->facts = facts_by_name(&base->facts, from, to);
    if ((state->query.purpose == VAULT_NONE) != (base->query.purpose == VAULT_NONE) ||
        (state->query.recipient == VAULT_NONE) != (base->query.recipient == VAULT_NONE) ||
        state->field == VAULT_NONE)
        return false;
    look_at_clocks(remedy, state);
    return true;
}

void vault_remedy_decide(struct remedy_state *state)
{
    state->decision = vault_policy_explain(state->policy, &state->query, &state->facts,
                                           state->field, state->passes);
}

/* From a text, in the arena; NULL where it does not compile, or the request's bytes are spent. */
static bool compile(struct vault_remedy *remedy, const struct remedy_state *base,
                    struct remedy_state *state)
{
    if (remedy->bytes + state->text.size > VAULT_REMEDY_BYTES_MAX)
        return false;
    remedy->bytes += state->text.size;
    if (kl_yaml_parse(state->text.bytes, state->text.size, &state->yaml, NULL) != KL_OK ||
        vault_policy_compile_rules(kl_yaml_root(state->yaml), &state->policy, NULL) != KL_OK ||
        !put_question(remedy, base, state))
        return false;
    vault_remedy_decide(state);
    return true;
}

/* ---- one step ---- */

/* Where an edit is, for people: of the first byte of what it puts in, or takes out. */
static void set_place(const struct policy_text *text, const struct policy_edit *edit,
                      struct vault_explain_edit *said)
{
    size_t line_begin = 0;

    said->line = 1;
    for (size_t i = 0; i < edit->at; i++)
        if (text->bytes[i] == '\n') {
            said->line++;
            line_begin = i + 1;
        }
    said->column = (unsigned)(edit->at - line_begin) + 1;
    said->offset = edit->at;
    said->insert = edit->insert;
    if (edit->insert[0] == '\n') {
        said->line++;
        said->column = 1;
    }
    if (edit->insert[0] == '\n' || edit->insert[0] == ' ')
        said->column += (unsigned)strspn(edit->insert + (edit->insert[0] == '\n'), " ");
}

static bool apply(struct remedy_state *state, const struct remedy_try *try)
{
    for (size_t i = 0; i < try->count; i++) {
        const struct policy_edit *edit = &try->edits[i];
        struct vault_explain_edit *said = &state->edits[state->edit_count];
        char *bytes;

        *said = try->said[i];
        set_place(&state->text, edit, said);
        said->remove =
            kl_arena_text(state->text.arena, state->text.bytes + edit->at, edit->remove_bytes);
        bytes = vault_edit_apply(&state->text, edit, &state->text.size);
        if (bytes == NULL || said->remove == NULL)
            return false;
        state->text.bytes = bytes;
        state->edit_count++;
    }
    return true;
}

static bool step(struct vault_remedy *remedy, const struct remedy_state *base,
                 const struct remedy_state *from, const struct remedy_try *try,
                 struct remedy_state *ret)
{
    *ret = *from;
    ret->yaml = NULL;
    ret->policy = NULL;
    ret->steps = from->steps + 1;
    if (apply(ret, try) && compile(remedy, base, ret))
        return true;
    state_done(ret);
    return false;
}

/* ---- the search ---- */

/* solutions, kept: states that alter the answer, and states to go on from. tries: large, so not on the stack. */
struct search {
    struct vault_remedy *remedy;
    const struct remedy_state *base;
    bool want_shown;
    bool beyond_grants;
    struct remedy_tries tries;
    struct remedy_state kept[KEPT_MAX];
    size_t kept_count;
    struct remedy_state next[STATES_MAX];
    size_t next_count;
    struct remedy_state solutions[SOLUTIONS_MAX];
    size_t solution_count;
};

static bool is_spent(const struct vault_remedy *remedy, const struct policy_text *text)
{
    return remedy->bytes + text->size > VAULT_REMEDY_BYTES_MAX ||
           remedy->decisions > VAULT_REMEDY_DECISIONS_MAX;
}

static bool is_altered(const struct search *search, const struct remedy_state *state)
{
    return (state->decision.withheld == VAULT_GATE_NONE) == search->want_shown;
}

/* Two ways to the same text are one. */
static bool is_known(const struct remedy_state *states, size_t count,
                     const struct remedy_state *state)
{
    for (size_t i = 0; i < count; i++)
        if (states[i].text.size == state->text.size &&
            memcmp(states[i].text.bytes, state->text.bytes, state->text.size) == 0)
            return true;
    return false;
}

static void put(struct remedy_state *states, size_t *count, size_t max, struct remedy_state *state)
{
    if (*count == max || is_known(states, *count, state))
        state_done(state);
    else
        states[(*count)++] = *state;
}

static void go_from(struct search *search, const struct remedy_state *from)
{
    search->tries.count = 0;
    if (search->want_shown)
        vault_remedy_allow(search->remedy, from, &search->tries);
    else
        vault_remedy_withhold(from, search->beyond_grants, &search->tries);
    for (size_t i = 0; i < search->tries.count; i++) {
        struct remedy_state state;

        if (!step(search->remedy, search->base, from, &search->tries.items[i], &state))
            continue;
        if (is_altered(search, &state))
            put(search->solutions, &search->solution_count, SOLUTIONS_MAX, &state);
        else
            put(search->next, &search->next_count, STATES_MAX, &state);
    }
}

/* The states to go on from: some of those that the last step led to, as what fixes one gate fixes it in each of them. */
static void take_next(struct search *search)
{
    for (size_t i = 0; i < search->kept_count; i++)
        state_done(&search->kept[i]);
    search->kept_count = 0;
    for (size_t i = 0; i < search->next_count; i++)
        if (i < KEPT_MAX)
            search->kept[search->kept_count++] = search->next[i];
        else
            state_done(&search->next[i]);
    search->next_count = 0;
}

static void run(struct search *search)
{
    const size_t found = search->solution_count;

    go_from(search, search->base);
    for (size_t steps = 1; steps < VAULT_REMEDY_STEPS_MAX && search->solution_count == found;
         steps++) {
        take_next(search);
        for (size_t i = 0; i < search->kept_count; i++)
            go_from(search, &search->kept[i]);
    }
    take_next(search);
    for (size_t i = 0; i < search->kept_count; i++)
        state_done(&search->kept[i]);
    search->kept_count = 0;
}

/* ---- what a solution changes besides ---- */

static size_t tests_failed(const struct remedy_state *state)
{
    struct vault_findings *findings = calloc(1, sizeof *findings);
    struct vault_policy *policy = NULL;
    size_t failed = 0;

    if (findings != NULL &&
        vault_policy_parse(state->text.bytes, state->text.size, findings, &policy, NULL) != KL_OK)
        failed = findings->errors;
    vault_policy_unref(policy);
    free(findings);
    return failed;
}

static enum kl_status reach(struct search *search, struct remedy_state *state, struct kl_err *err)
{
    struct vault_diff *diff = NULL;
    enum kl_status status = vault_diff_new(search->remedy->policy, state->policy,
                                           search->remedy->query->now_us, &diff, err);

    if (status != KL_OK)
        return status;
    search->remedy->decisions += diff->decisions;
    search->remedy->bytes += state->text.size;
    state->change.also_allows = vault_diff_extent(diff, true).answers;
    state->change.also_withholds = vault_diff_extent(diff, false).answers;
    if (search->want_shown && state->change.also_allows > 0)
        state->change.also_allows--;
    if (!search->want_shown && state->change.also_withholds > 0)
        state->change.also_withholds--;
    state->change.tests_failed = tests_failed(state);
    vault_diff_free(diff);
    return KL_OK;
}

/* The fewest steps, then the least else that changes, then the shortest text. */
static int compare_solutions(const void *left, const void *right)
{
    const struct remedy_state *a = left;
    const struct remedy_state *b = right;
    const uint64_t also_a = a->change.also_allows + a->change.also_withholds;
    const uint64_t also_b = b->change.also_allows + b->change.also_withholds;

    if (a->steps != b->steps)
        return a->steps < b->steps ? -1 : 1;
    if (also_a != also_b)
        return also_a < also_b ? -1 : 1;
    return a->text.size < b->text.size ? -1 : a->text.size > b->text.size;
}

static const char *keep_text(struct kl_arena *arena, const char *text)
{
    return text == NULL ? NULL : kl_arena_text(arena, text, strlen(text));
}

/* Out of the search's memory into the answer's. */
static enum kl_status keep_change(struct kl_arena *arena, const struct remedy_state *state,
                                  struct vault_explain_change *ret, struct kl_err *err)
{
    struct vault_explain_edit *edits = kl_arena_array(arena, state->edit_count, sizeof edits[0]);

    for (size_t i = 0; edits != NULL && i < state->edit_count; i++) {
        edits[i] = state->edits[i];
        edits[i].where = keep_text(arena, state->edits[i].where);
        edits[i].remove = keep_text(arena, state->edits[i].remove);
        edits[i].insert = keep_text(arena, state->edits[i].insert);
        if (edits[i].where == NULL || edits[i].remove == NULL || edits[i].insert == NULL)
            edits = NULL;
    }
    if (edits == NULL)
        return kl_fail(err, KL_ERR_NO_MEMORY, "no_memory", "server busy", "remedy: arena full");
    *ret = state->change;
    ret->edits = edits;
    ret->edit_count = state->edit_count;
    return KL_OK;
}

static enum kl_status keep_best(struct search *search, struct vault_explain_result *ret,
                                struct kl_err *err)
{
    enum kl_status status = KL_OK;

    size_t reached = 0;

    while (reached < search->solution_count && !is_spent(search->remedy, &search->base->text)) {
        status = reach(search, &search->solutions[reached++], err);
        if (status != KL_OK)
            return status;
    }
    qsort(search->solutions, reached, sizeof search->solutions[0], compare_solutions);
    for (size_t i = 0; i < reached && i < VAULT_EXPLAIN_CHANGES_MAX; i++) {
        status = keep_change(search->remedy->arena, &search->solutions[i], &ret->changes[i], err);
        if (status != KL_OK)
            return status;
        ret->change_count = i + 1;
    }
    return KL_OK;
}

/* ---- one field ---- */

static enum kl_status look(struct search *search, struct remedy_state *base,
                           struct vault_explain_result *ret, struct kl_err *err)
{
    enum kl_status status = KL_OK;

    search->want_shown = base->decision.withheld != VAULT_GATE_NONE;
    if (search->want_shown)
        status = vault_remedy_needs(search->remedy, base, ret, err);
    if (status != KL_OK)
        return status;
    if (!search->want_shown || base->decision.withheld != VAULT_GATE_NONE)
        run(search);
    search->beyond_grants = true;
    if (!search->want_shown)
        run(search);
    return keep_best(search, ret, err);
}

enum kl_status vault_remedy_find(struct vault_remedy *remedy, int field,
                                 struct vault_explain_result *ret, struct kl_err *err)
{
    static const struct vault_facts nobody;
    struct remedy_state base = {
        .policy = vault_policy_ref(remedy->policy),
        .query = *remedy->query,
        .field = field,
        .facts = remedy->facts == NULL ? nobody : *remedy->facts,
        .text = {.bytes = (const char *)remedy->text.bytes, .size = remedy->text.size}};
    struct search *search = calloc(1, sizeof *search);
    enum kl_status status = KL_OK;

    base.text.arena = kl_arena_new(ARENA_BYTES_MAX);
    if (search == NULL || base.text.arena == NULL) {
        status = kl_fail_memory(err);
        goto out;
    }
    if (is_spent(remedy, &base.text))
        goto out;
    status = kl_yaml_parse(base.text.bytes, base.text.size, &base.yaml, err);
    if (status != KL_OK)
        goto out;
    remedy->bytes += base.text.size;
    search->remedy = remedy;
    search->base = &base;
    search->tries.arena = base.text.arena;
    look_at_clocks(remedy, &base);
    vault_remedy_decide(&base);
    status = look(search, &base, ret, err);
    ret->searched = status == KL_OK && !is_spent(remedy, &base.text);

out:
    for (size_t i = 0; search != NULL && i < search->solution_count; i++)
        state_done(&search->solutions[i]);
    kl_arena_free(base.text.arena);
    state_done(&base);
    free(search);
    return status;
}

/* ---- what is proposed with ---- */

void vault_remedy_try(struct remedy_tries *tries, bool made, const struct policy_edit *edit,
                      const char *what, const char *choose, const char *where, ...)
{
    char text[REMEDY_WHERE_BYTES];
    struct remedy_try *try;
    va_list arguments;

    if (!made || tries->count == REMEDY_TRIES_MAX)
        return;
    try = &tries->items[tries->count];
    va_start(arguments, where);
    (void)vsnprintf(text, sizeof text, where, arguments);
    va_end(arguments);
    memset(try, 0, sizeof *try);
    try->edits[0] = *edit;
    try->said[0].what = what;
    try->said[0].choose = choose;
    try->said[0].where = kl_arena_text(tries->arena, text, strlen(text));
    try->count = 1;
    if (try->said[0].where != NULL)
        tries->count++;
}

const struct kl_yaml_node *vault_remedy_node(const struct remedy_state *state, const char *section,
                                             const char *name)
{
    return kl_yaml_member(kl_yaml_member(kl_yaml_root(state->yaml), section), name);
}

const char *vault_remedy_field(const struct remedy_state *state)
{
    return state->policy->field_names[state->field];
}

const char *vault_remedy_record(const struct remedy_state *state)
{
    return state->policy->record_names[state->policy->fields[state->field].record];
}

const char *vault_remedy_purpose(const struct remedy_state *state)
{
    return state->query.purpose == VAULT_NONE ? NULL
                                              : state->policy->purpose_names[state->query.purpose];
}

const char *vault_remedy_role(const struct remedy_state *state)
{
    return state->policy->role_names[state->query.role];
}

int vault_remedy_place(const struct kl_yaml_node *list, const char *text)
{
    for (size_t i = 0; list != NULL && list->kind == KL_YAML_SEQUENCE && i < list->count; i++)
        if (list->items[i]->kind == KL_YAML_SCALAR && strcmp(list->items[i]->text, text) == 0)
            return (int)i;
    return VAULT_NONE;
}
