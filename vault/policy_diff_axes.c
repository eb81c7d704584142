/* What two policies tell apart: the names of both, and the places and times of day that have answers of their own. */
#include "vault/policy_diff_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define LETTERS 26
#define COUNTRY_CODES (LETTERS * LETTERS)
#define SIGNATURE_BYTES 16
#define MINUTES 1440
#define MINUTE_US (60 * KL_TIME_SECOND_US)
#define HOURS_MAX 64         /* told apart, of both policies together */
#define CODES_NAMED_MAX 6    /* a group of more countries has a word for a name */
#define RANGES_BYTES_MAX 160 /* of a time's label */
#define CODES_BYTES_MAX (COUNTRY_CODES * 4)

/* ---- names ---- */

static void *take(struct vault_diff *diff, size_t count, size_t size)
{
    void *array = kl_arena_array(diff->arena, count, size);

    if (array == NULL)
        diff->no_memory = true;
    return array;
}

static const char *take_text(struct vault_diff *diff, const char *text)
{
    const char *copy = kl_arena_text(diff->arena, text, strlen(text));

    if (copy == NULL)
        diff->no_memory = true;
    return copy;
}

static bool names_room(struct vault_diff *diff, struct diff_names *ret, size_t count)
{
    ret->count = 0;
    ret->names = take(diff, count + 1, sizeof ret->names[0]);
    ret->at = take(diff, count + 1, sizeof ret->at[0]);
    return !diff->no_memory;
}

static void name_add(struct diff_names *names, const char *name, int before, int after)
{
    names->names[names->count] = name;
    names->at[names->count][0] = before;
    names->at[names->count][1] = after;
    names->count++;
}

static size_t length_of(const char *const *names)
{
    size_t count = 0;

    while (names[count] != NULL)
        count++;
    return count;
}

/* Lists of names ended by NULL, in the order of their numbers. */
static void join(struct vault_diff *diff, const char *const *before, const char *const *after,
                 struct diff_names *ret)
{
    if (!names_room(diff, ret, length_of(before) + length_of(after)))
        return;
    for (int i = 0; before[i] != NULL; i++)
        name_add(ret, before[i], i, vault_policy_find(after, before[i]));
    for (int i = 0; after[i] != NULL; i++)
        if (vault_policy_find(before, after[i]) == VAULT_NONE)
            name_add(ret, after[i], VAULT_NONE, i);
}

static void fields_of(struct vault_diff *diff, int side, size_t record, bool only_here)
{
    const struct vault_policy *policy = diff->policies[side];
    const struct vault_policy *other = diff->policies[1 - side];
    const int number = diff->records.at[record][side];
    const int other_number = diff->records.at[record][1 - side];
    const struct vault_policy_record *of;

    if (number == VAULT_NONE)
        return;
    of = &policy->records[number];
    for (int i = of->field_first; i < of->field_first + of->field_count; i++) {
        const int there =
            other_number == VAULT_NONE
                ? VAULT_NONE
                : vault_policy_field_find(other, other_number, policy->fields[i].name);

        if (only_here && there != VAULT_NONE)
            continue;
        diff->record_of[diff->fields.count] = (int)record;
        name_add(&diff->fields, policy->field_names[i], side == 0 ? i : there,
                 side == 0 ? there : i);
    }
}

static void join_fields(struct vault_diff *diff)
{
    size_t room = diff->policies[1]->field_count;

    if (diff->policies[0] != NULL)
        room += diff->policies[0]->field_count;
    diff->record_of = take(diff, room + 1, sizeof diff->record_of[0]);
    if (!names_room(diff, &diff->fields, room))
        return;
    for (size_t record = 0; record < diff->records.count; record++) {
        fields_of(diff, 0, record, false);
        fields_of(diff, 1, record, true);
    }
}

static void join_names(struct vault_diff *diff)
{
    static const char *const none[] = {NULL};
    const struct vault_policy *before = diff->policies[0];
    const struct vault_policy *after = diff->policies[1];

    join(diff, before == NULL ? none : before->record_names, after->record_names, &diff->records);
    join(diff, before == NULL ? none : before->purpose_names, after->purpose_names,
         &diff->purposes);
    join(diff, before == NULL ? none : before->recipient_names, after->recipient_names,
         &diff->recipients);
    join(diff, before == NULL ? none : before->role_names, after->role_names, &diff->roles);
    if (!diff->no_memory)
        join_fields(diff);
}

/* ---- places ---- */

/* Everything that either policy asks about a country; hashed, so that two alike are one place. */
struct signature {
    unsigned char bytes[SIGNATURE_BYTES];
};

static void sign_bit(crypto_generichash_state *state, bool bit)
{
    const unsigned char byte = bit ? 1 : 0;

    (void)crypto_generichash_update(state, &byte, 1);
}

static void sign_policy(crypto_generichash_state *state, const struct vault_policy *policy,
                        struct vault_country country)
{
    for (size_t i = 0; i < policy->transfer_count; i++) {
        sign_bit(state, vault_policy_countries_has(&policy->transfers[i].to, country));
        sign_bit(state, vault_policy_countries_has(&policy->transfers[i].scope, country));
    }
    for (size_t i = 0; i < policy->role_count; i++)
        for (size_t j = 0; j < policy->roles[i].grant_count; j++)
            if (policy->roles[i].grants[j].has_location)
                sign_bit(state,
                         vault_policy_countries_has(&policy->roles[i].grants[j].location, country));
}

static struct signature sign(const struct vault_diff *diff, struct vault_country country,
                             int64_t now_us)
{
    const struct vault_adequacy *decision = vault_adequacy_find(country, now_us);
    crypto_generichash_state state;
    struct signature ret;

    (void)crypto_generichash_init(&state, NULL, 0, sizeof ret.bytes);
    sign_bit(&state, vault_country_in_eea(country));
    sign_bit(&state, decision != NULL);
    sign_bit(&state, decision != NULL && decision->scope != NULL);
    sign_bit(&state, decision != NULL && decision->never_alone);
    for (int side = 0; side < DIFF_SIDES; side++)
        if (diff->policies[side] != NULL)
            sign_policy(&state, diff->policies[side], country);
    (void)crypto_generichash_final(&state, ret.bytes, sizeof ret.bytes);
    return ret;
}

struct group {
    struct signature signature;
    struct vault_country first;
    bool is_eea;
    bool is_adequate;
    size_t count;
    size_t codes_bytes;
    char codes[CODES_BYTES_MAX];
};

static void group_add(struct group *group, struct vault_country country)
{
    const int size =
        snprintf(group->codes + group->codes_bytes, sizeof group->codes - group->codes_bytes,
                 "%s%s", group->count == 0 ? "" : ", ", country.code);

    group->codes_bytes += size > 0 ? (size_t)size : 0;
    group->count++;
}

/* In the order in which people think of them. */
enum kind { KIND_EEA, KIND_ADEQUATE, KIND_NAMED, KIND_ELSEWHERE, KINDS };
static enum kind kind_of(const struct group *group)
{
    if (group->is_eea)
        return KIND_EEA;
    if (group->is_adequate)
        return KIND_ADEQUATE;
    return group->count <= CODES_NAMED_MAX ? KIND_NAMED : KIND_ELSEWHERE;
}

/* A word where all of that kind are one place; else the rest of them, or their codes. */
static const char *group_label(const struct group *groups, size_t count, size_t number)
{
    const struct group *group = &groups[number];
    size_t of_kind = 0;
    size_t large = 0;

    for (size_t i = 0; i < count; i++) {
        const bool same =
            groups[i].is_eea == group->is_eea && groups[i].is_adequate == group->is_adequate;

        of_kind += same;
        large += same && groups[i].count > CODES_NAMED_MAX;
    }
    if (group->count <= CODES_NAMED_MAX || large > 1)
        return group->codes;
    if (group->is_eea)
        return of_kind == 1 ? "EEA" : "rest of the EEA";
    return group->is_adequate ? "adequate" : "elsewhere";
}

static void place_add(struct vault_diff *diff, struct vault_country country, const char *label)
{
    diff->places[diff->place_count].country = country;
    diff->places[diff->place_count].label = take_text(diff, label);
    diff->place_count++;
}

static void find_places(struct vault_diff *diff, int64_t now_us)
{
    const struct vault_country home = {{0}};
    struct group *groups = take(diff, VAULT_DIFF_PLACES_MAX, sizeof groups[0]);
    size_t count = 0;

    for (int i = 0; groups != NULL && i < COUNTRY_CODES; i++) {
        const char code[3] = {(char)('A' + i / LETTERS), (char)('A' + i % LETTERS), '\0'};
        struct vault_country country;
        struct signature signature;
        size_t at = 0;

        if (vault_country_parse(code, 2, &country, NULL) != KL_OK)
            continue;
        signature = sign(diff, country, now_us);
        while (at < count && memcmp(&groups[at].signature, &signature, sizeof signature) != 0)
            at++;
        if (at == VAULT_DIFF_PLACES_MAX) {
            diff->complete = false;
            continue;
        }
        if (at == count) {
            groups[at].signature = signature;
            groups[at].first = country;
            groups[at].is_eea = vault_country_in_eea(country);
            groups[at].is_adequate = vault_adequacy_find(country, now_us) != NULL;
            count++;
        }
        group_add(&groups[at], country);
    }
    place_add(diff, home, "home");
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t i = 0; i < count; i++)
            if ((int)kind_of(&groups[i]) == kind)
                place_add(diff, groups[i].first, group_label(groups, count, i));
}

/* ---- times ---- */

struct hours_list {
    const struct vault_hours *items[HOURS_MAX];
    size_t count;
};

static bool same_hours(const struct vault_hours *a, const struct vault_hours *b)
{
    return a->from_min == b->from_min && a->to_min == b->to_min &&
           a->zone.offset_min == b->zone.offset_min && a->zone.has_summer == b->zone.has_summer;
}

static void gather_hours(struct vault_diff *diff, const struct vault_policy *policy,
                         struct hours_list *list)
{
    for (size_t i = 0; i < policy->role_count; i++)
        for (size_t j = 0; j < policy->roles[i].grant_count; j++) {
            const struct policy_grant *grant = &policy->roles[i].grants[j];
            size_t at = 0;

            if (!grant->has_hours)
                continue;
            while (at < list->count && !same_hours(list->items[at], &grant->hours))
                at++;
            if (at == HOURS_MAX)
                diff->complete = false;
            else if (at == list->count)
                list->items[list->count++] = &grant->hours;
        }
}

/* Which of them hold, as bits. */
static uint64_t holding(const struct hours_list *list, int64_t at_us)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < list->count; i++)
        if (vault_hours_hold(list->items[i], at_us))
            bits |= UINT64_C(1) << i;
    return bits;
}

/* "07:00-17:00 UTC": all minutes of the day at which these hold. */
static const char *ranges(struct vault_diff *diff, const uint64_t at_minute[MINUTES], uint64_t bits)
{
    char text[RANGES_BYTES_MAX] = "";
    size_t size = 0;

    for (int minute = 0; minute < MINUTES; minute++) {
        const int from = minute;

        if (at_minute[minute] != bits)
            continue;
        while (minute < MINUTES && at_minute[minute] == bits)
            minute++;
        if (size + sizeof ", 00:00-24:00 UTC" < sizeof text)
            size += (size_t)snprintf(text + size, sizeof text - size, "%s%02d:%02d-%02d:%02d",
                                     size == 0 ? "" : ", ", from / 60, from % 60, minute / 60,
                                     minute % 60);
    }
    (void)snprintf(text + size, sizeof text - size, " UTC");
    return take_text(diff, text);
}

static void find_times(struct vault_diff *diff, int64_t now_us)
{
    const int64_t midnight_us =
        now_us - ((now_us % (MINUTES * MINUTE_US)) + MINUTES * MINUTE_US) % (MINUTES * MINUTE_US);
    struct hours_list list = {.count = 0};
    uint64_t seen[VAULT_DIFF_TIMES_MAX];
    uint64_t at_minute[MINUTES];

    for (int side = 0; side < DIFF_SIDES; side++)
        if (diff->policies[side] != NULL)
            gather_hours(diff, diff->policies[side], &list);
    if (list.count == 0) {
        diff->times[diff->time_count++] = (struct diff_time){now_us, ""};
        return;
    }
    for (int minute = 0; minute < MINUTES; minute++)
        at_minute[minute] = holding(&list, midnight_us + minute * MINUTE_US);
    for (int minute = 0; minute < MINUTES; minute++) {
        size_t at = 0;

        while (at < diff->time_count && seen[at] != at_minute[minute])
            at++;
        if (at == VAULT_DIFF_TIMES_MAX)
            diff->complete = false;
        if (at < diff->time_count || at == VAULT_DIFF_TIMES_MAX)
            continue;
        seen[at] = at_minute[minute];
        diff->times[at].at_us = midnight_us + minute * MINUTE_US;
        diff->times[at].label = ranges(diff, at_minute, at_minute[minute]);
        diff->time_count++;
    }
}

static bool asks_own_subject(const struct vault_policy *policy)
{
    for (size_t i = 0; policy != NULL && i < policy->role_count; i++)
        for (size_t j = 0; j < policy->roles[i].grant_count; j++)
            if (policy->roles[i].grants[j].own_subject)
                return true;
    return false;
}

void vault_diff_axes(struct vault_diff *diff, int64_t now_us)
{
    join_names(diff);
    find_places(diff, now_us);
    find_times(diff, now_us);
    diff->context_count = diff->time_count;
    if (asks_own_subject(diff->policies[0]) || asks_own_subject(diff->policies[1]))
        diff->context_count *= 2;
}
