/*
 * Two policies compared: each is asked the same question, and what changes alike is gathered.
 *
 * A cell is a role, a recipient, an action, a field and a purpose; it has an answer for each situation. Most cells need no asking, as no
 * grant of either policy matches; fields that neither policy tells apart are asked about once.
 */
#include "vault/policy_diff_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BIT(action) (UINT32_C(1) << (action))
/* Actions that are asked for a purpose; the others are asked without one. */
#define PURPOSEFUL (POLICY_USES | BIT(VAULT_ACTION_CONSENT) | BIT(VAULT_ACTION_OBJECT))
#define ENTRIES_MAX 4096 /* of one role */

static bool changes(diff_answer was, diff_answer now)
{
    return DIFF_OPENNESS(was) != DIFF_OPENNESS(now);
}

/* ---- gathering what changes alike ---- */

/* While one role is compared. alike[i]: the first field of the same answers as field i. */
struct comparing {
    struct vault_diff *diff;
    size_t role;
    struct diff_entry *entries;
    size_t count;
    size_t *alike;
    struct diff_answers before, after;            /* of the cell */
    struct diff_answers base_before, base_after;  /* of the same cell without a recipient */
    uint64_t changed_fields[2][DIFF_FIELD_WORDS]; /* [allows], of all roles */
};

static bool same_answers(const struct diff_entry *a, const struct diff_entry *b)
{
    return a->recipient == b->recipient && a->was == b->was && a->now == b->now &&
           a->circumstances == b->circumstances && a->without_purpose == b->without_purpose &&
           memcmp(a->where, b->where, sizeof a->where) == 0;
}

/* Put an entry of one action, purpose and set of fields where another of the same has it already, from entry first on. */
static void gather(struct comparing *comparing, size_t first, const struct diff_entry *entry)
{
    for (size_t i = first; i < comparing->count; i++)
        if (same_answers(&comparing->entries[i], entry)) {
            for (size_t word = 0; word < DIFF_FIELD_WORDS; word++)
                comparing->entries[i].fields[word] |= entry->fields[word];
            return;
        }
    if (comparing->count == ENTRIES_MAX)
        comparing->diff->complete = false;
    else
        comparing->entries[comparing->count++] = *entry;
}

/* Circumstances of one place and context in which the answer goes from was to now. */
static uint8_t alike_circumstances(const struct comparing *comparing, size_t place, size_t context,
                                   diff_answer was, diff_answer now)
{
    uint8_t bits = 0;

    for (int i = 0; i < VAULT_DIFF_CIRCUMSTANCES; i++)
        if (comparing->before.of[place][context][i] == was &&
            comparing->after.of[place][context][i] == now)
            bits |= (uint8_t)(1 << i);
    return bits;
}

/* Whether a recipient's answer says no more than that without one. */
static bool said_already(const struct comparing *comparing, const struct diff_cell *cell,
                         size_t place, size_t context, int i)
{
    return cell->recipient != VAULT_NONE &&
           DIFF_OPENNESS(comparing->base_before.of[place][context][i]) ==
               DIFF_OPENNESS(comparing->before.of[place][context][i]) &&
           DIFF_OPENNESS(comparing->base_after.of[place][context][i]) ==
               DIFF_OPENNESS(comparing->after.of[place][context][i]);
}

static void add_change(struct diff_entry *entries, size_t *count, const struct diff_entry *change,
                       size_t place, size_t context)
{
    size_t at = 0;

    while (at < *count && (entries[at].was != change->was || entries[at].now != change->now ||
                           entries[at].circumstances != change->circumstances))
        at++;
    if (at == *count)
        entries[(*count)++] = *change;
    entries[at].where[place] |= (uint16_t)(1u << context);
}

#define CHANGES_APART_MAX 64

/* The changes of a cell apart by answers and circumstances; each with all places and contexts where it is so. */
static size_t cell_changes(struct comparing *comparing, const struct diff_cell *cell,
                           struct diff_entry ret[CHANGES_APART_MAX])
{
    const struct vault_diff *diff = comparing->diff;
    size_t count = 0;

    for (size_t place = 0; place < diff->place_count; place++)
        for (size_t context = 0; context < diff->context_count; context++)
            for (int i = 0; i < VAULT_DIFF_CIRCUMSTANCES; i++) {
                struct diff_entry change = {.actions = BIT(cell->action),
                                            .recipient = cell->recipient,
                                            .was = comparing->before.of[place][context][i],
                                            .now = comparing->after.of[place][context][i]};

                if (!changes(change.was, change.now) ||
                    said_already(comparing, cell, place, context, i))
                    continue;
                if (count == CHANGES_APART_MAX) {
                    comparing->diff->complete = false;
                    return count;
                }
                change.circumstances =
                    alike_circumstances(comparing, place, context, change.was, change.now);
                change.without_purpose = cell->purpose == VAULT_NONE;
                add_change(ret, &count, &change, place, context);
            }
    return count;
}

static size_t fields_alike(const struct comparing *comparing, size_t field,
                           uint64_t ret[DIFF_FIELD_WORDS])
{
    size_t count = 0;

    memset(ret, 0, DIFF_FIELD_WORDS * sizeof ret[0]);
    for (size_t i = field; i < comparing->diff->fields.count; i++)
        if (comparing->alike[i] == field) {
            diff_bit_set(ret, i);
            count++;
        }
    return count;
}

static void extend(struct comparing *comparing, bool allows, size_t answers,
                   const uint64_t fields[DIFF_FIELD_WORDS])
{
    comparing->diff->extents[allows].answers += answers;
    for (size_t word = 0; word < DIFF_FIELD_WORDS; word++)
        comparing->changed_fields[allows][word] |= fields[word];
}

static void take_changes(struct comparing *comparing, const struct diff_cell *cell, size_t first)
{
    struct diff_entry found[CHANGES_APART_MAX];
    uint64_t fields[DIFF_FIELD_WORDS];
    const size_t count = cell_changes(comparing, cell, found);
    const size_t alike = count == 0 ? 0 : fields_alike(comparing, cell->field, fields);
    bool counted[2] = {false, false};

    for (size_t i = 0; i < count; i++) {
        const bool allows = DIFF_OPENNESS(found[i].now) > DIFF_OPENNESS(found[i].was);

        memcpy(found[i].fields, fields, sizeof fields);
        if (cell->purpose != VAULT_NONE)
            diff_bit_set(found[i].purposes, (size_t)cell->purpose);
        if (!counted[allows])
            extend(comparing, allows, alike, fields);
        counted[allows] = true;
        gather(comparing, first, &found[i]);
    }
}

static bool any_shown(const struct vault_diff *diff, const struct diff_answers *answers)
{
    for (size_t place = 0; place < diff->place_count; place++)
        for (size_t context = 0; context < diff->context_count; context++)
            for (int i = 0; i < VAULT_DIFF_CIRCUMSTANCES; i++)
                if (DIFF_OPENNESS(answers->of[place][context][i]) > 0)
                    return true;
    return false;
}

/* Nothing that its answers hang on differs. */
static bool is_same(const struct vault_diff *diff, const struct diff_cell *cell)
{
    return diff->same_role[cell->role] && diff->same_field[cell->field] && diff->same_transfers &&
           (cell->purpose == VAULT_NONE || diff->same_purpose[cell->purpose]) &&
           (cell->recipient == VAULT_NONE || diff->same_recipient[cell->recipient]);
}

/* Whether that is so of all recipients too. */
static bool is_same_to_all(const struct vault_diff *diff, const struct diff_cell *cell)
{
    if (!is_same(diff, cell))
        return false;
    for (size_t i = 0; i < diff->recipients.count; i++)
        if (!diff->same_recipient[i])
            return false;
    return true;
}

/* Without a recipient, then to each: a recipient can only narrow, so where nothing is shown there is nothing to ask. */
static void compare_cell(struct comparing *comparing, struct diff_cell *cell, size_t first)
{
    struct vault_diff *diff = comparing->diff;

    if (is_same_to_all(diff, cell) ||
        (!vault_diff_has_grant(diff, cell, 0) && !vault_diff_has_grant(diff, cell, 1)))
        return;
    vault_diff_ask(diff, cell, 0, &comparing->before);
    vault_diff_ask(diff, cell, 1, &comparing->after);
    take_changes(comparing, cell, first);
    if ((POLICY_USES & BIT(cell->action)) == 0 || diff->recipients.count == 0 ||
        (!any_shown(diff, &comparing->before) && !any_shown(diff, &comparing->after)))
        return;
    comparing->base_before = comparing->before;
    comparing->base_after = comparing->after;
    for (size_t i = 0; i < diff->recipients.count; i++) {
        cell->recipient = (int)i;
        if (is_same(diff, cell))
            continue;
        vault_diff_ask(diff, cell, 0, &comparing->before);
        vault_diff_ask(diff, cell, 1, &comparing->after);
        take_changes(comparing, cell, first);
    }
    cell->recipient = VAULT_NONE;
}

static void compare_fields(struct comparing *comparing, enum vault_action action, int purpose)
{
    struct vault_diff *diff = comparing->diff;
    const size_t first = comparing->count;

    for (size_t field = 0; field < diff->fields.count; field++) {
        struct diff_cell cell = {.role = comparing->role,
                                 .recipient = VAULT_NONE,
                                 .action = action,
                                 .field = field,
                                 .purpose = purpose};

        if (comparing->alike[field] != field)
            continue;
        if (diff->decisions > VAULT_DIFF_DECISIONS_MAX) {
            diff->complete = false;
            return;
        }
        compare_cell(comparing, &cell, first);
    }
}

/* ---- fields that a role's answers do not tell apart ---- */

static bool side_alike(const struct vault_diff *diff, size_t role, int side, size_t a, size_t b)
{
    const struct vault_policy *policy = diff->policies[side];
    const int number = diff->roles.at[role][side];
    const int at = diff->fields.at[a][side];
    const int bt = diff->fields.at[b][side];

    if (at == VAULT_NONE || bt == VAULT_NONE)
        return at == bt;
    return (number == VAULT_NONE ||
            policy->roles[number].by_field[at] == policy->roles[number].by_field[bt]) &&
           policy->fields[at].purposes == policy->fields[bt].purposes &&
           (policy->fields[at].special == NULL) == (policy->fields[bt].special == NULL) &&
           (policy->fields[at].type == VAULT_TYPE_SECRET) ==
               (policy->fields[bt].type == VAULT_TYPE_SECRET);
}

static void find_alike(struct comparing *comparing)
{
    const struct vault_diff *diff = comparing->diff;

    for (size_t i = 0; i < diff->fields.count; i++) {
        size_t at = 0;

        while (at < i &&
               (comparing->alike[at] != at || !side_alike(diff, comparing->role, 0, at, i) ||
                !side_alike(diff, comparing->role, 1, at, i)))
            at++;
        comparing->alike[i] = at;
    }
}

/* ---- a role ---- */

static bool role_acts(const struct vault_diff *diff, size_t role, enum vault_action action)
{
    for (int side = 0; side < DIFF_SIDES; side++) {
        const int number = diff->roles.at[role][side];

        if (number != VAULT_NONE && diff->policies[side]->roles[number].by_action[action] != 0)
            return true;
    }
    return false;
}

/* The same answers and fields for several purposes, then for several actions: one entry. */
static void merge(struct comparing *comparing)
{
    struct diff_entry *entries = comparing->entries;

    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < comparing->count; i++) {
            size_t kept = i + 1;

            for (size_t j = i + 1; j < comparing->count; j++) {
                const bool fits =
                    same_answers(&entries[i], &entries[j]) &&
                    memcmp(entries[i].fields, entries[j].fields, sizeof entries[i].fields) == 0 &&
                    (pass == 0 ? entries[i].actions == entries[j].actions
                               : memcmp(entries[i].purposes, entries[j].purposes,
                                        sizeof entries[i].purposes) == 0);

                if (!fits) {
                    entries[kept++] = entries[j];
                    continue;
                }
                entries[i].actions |= entries[j].actions;
                for (size_t word = 0; word < DIFF_PURPOSE_WORDS; word++)
                    entries[i].purposes[word] |= entries[j].purposes[word];
            }
            comparing->count = kept < comparing->count ? kept : comparing->count;
        }
}

static void compare_role(struct comparing *comparing)
{
    struct vault_diff *diff = comparing->diff;
    const struct vault_diff_extent before[2] = {diff->extents[0], diff->extents[1]};

    comparing->count = 0;
    find_alike(comparing);
    for (int action = 0; action < VAULT_ACTIONS; action++) {
        if (!role_acts(diff, comparing->role, (enum vault_action)action))
            continue;
        if ((PURPOSEFUL & BIT(action)) == 0)
            compare_fields(comparing, (enum vault_action)action, VAULT_NONE);
        for (size_t i = 0; (PURPOSEFUL & BIT(action)) != 0 && i < diff->purposes.count; i++)
            compare_fields(comparing, (enum vault_action)action, (int)i);
    }
    for (int allows = 0; allows < 2; allows++)
        diff->extents[allows].roles += diff->extents[allows].answers > before[allows].answers;
    merge(comparing);
    for (size_t i = 0; i < comparing->count && !diff->no_memory; i++)
        vault_diff_line_add(diff, comparing->role, &comparing->entries[i]);
}

static size_t bits_of(const uint64_t *words, size_t count)
{
    size_t bits = 0;

    for (size_t i = 0; i < count; i++)
        bits += (size_t)__builtin_popcountll(words[i]);
    return bits;
}

/* What the steward may take along belongs to no role of the policy. */
static void compare_return(struct vault_diff *diff)
{
    const bool was =
        diff->policies[0] != NULL && vault_policy_returns_at_any_time(diff->policies[0]);
    const bool now = vault_policy_returns_at_any_time(diff->policies[1]);

    if (was == now)
        return;
    diff->extents[now].answers++;
    diff->extents[now].roles++;
    vault_diff_return_add(diff, now);
}

static void compare(struct vault_diff *diff, struct comparing *comparing)
{
    comparing->diff = diff;
    for (comparing->role = 0; comparing->role < diff->roles.count && !diff->no_memory;
         comparing->role++)
        compare_role(comparing);
    compare_return(diff);
    for (int allows = 0; allows < 2; allows++)
        diff->extents[allows].fields = bits_of(comparing->changed_fields[allows], DIFF_FIELD_WORDS);
}

/* ---- its life ---- */

static enum kl_status fill(struct vault_diff *diff, int64_t now_us, struct kl_err *err)
{
    struct comparing *comparing = calloc(1, sizeof *comparing);
    enum kl_status status = KL_OK;

    vault_diff_axes(diff, now_us);
    if (!diff->no_memory)
        vault_diff_same(diff);
    diff->lines = kl_arena_array(diff->arena, VAULT_DIFF_LINES_MAX, sizeof diff->lines[0]);
    diff->entries = kl_arena_array(diff->arena, VAULT_DIFF_LINES_MAX, sizeof diff->entries[0]);
    if (comparing != NULL) {
        comparing->entries = calloc(ENTRIES_MAX, sizeof comparing->entries[0]);
        comparing->alike = calloc(diff->fields.count + 1, sizeof comparing->alike[0]);
    }
    if (diff->no_memory || diff->lines == NULL || diff->entries == NULL || comparing == NULL ||
        comparing->entries == NULL || comparing->alike == NULL) {
        status = kl_fail_memory(err);
        goto out;
    }
    compare(diff, comparing);
    vault_diff_alerts(diff);
    if (diff->no_memory)
        status = kl_fail_memory(err);

out:
    if (comparing != NULL) {
        free(comparing->entries);
        free(comparing->alike);
    }
    free(comparing);
    return status;
}

enum kl_status vault_diff_new(struct vault_policy *before, struct vault_policy *after,
                              int64_t now_us, struct vault_diff **ret_diff, struct kl_err *err)
{
    struct vault_diff *diff = calloc(1, sizeof *diff);
    enum kl_status status;

    if (diff == NULL)
        return kl_fail_memory(err);
    diff->policies[0] = before == NULL ? NULL : vault_policy_ref(before);
    diff->policies[1] = vault_policy_ref(after);
    diff->complete = true;
    diff->arena = kl_arena_new(DIFF_ARENA_BYTES_MAX);
    status = diff->arena == NULL ? kl_fail_memory(err) : fill(diff, now_us, err);
    if (status != KL_OK) {
        vault_diff_free(diff);
        return status;
    }
    *ret_diff = diff;
    return KL_OK;
}

void vault_diff_free(struct vault_diff *diff)
{
    if (diff == NULL)
        return;
    for (int side = 0; side < DIFF_SIDES; side++)
        vault_policy_unref(diff->policies[side]);
    kl_arena_free(diff->arena);
    free(diff);
}

size_t vault_diff_count(const struct vault_diff *diff)
{
    return diff->count;
}

const struct vault_diff_line *vault_diff_line(const struct vault_diff *diff, size_t number)
{
    assert(number < diff->count);
    return &diff->lines[number];
}

bool vault_diff_is_complete(const struct vault_diff *diff)
{
    return diff->complete;
}

struct vault_diff_extent vault_diff_extent(const struct vault_diff *diff, bool allows)
{
    return diff->extents[allows];
}
