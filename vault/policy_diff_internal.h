/*
 * The difference of two policies while it is made: its axes (policy_diff_axes.c), what is the same on both sides (policy_diff_same.c), its answers (policy_diff_ask.c), its cells (policy_diff.c), its lines
 * (policy_diff_line.c), what is told of (policy_diff_alerts.c), and how many people they touch (policy_diff_live.c).
 */
#ifndef VAULT_POLICY_DIFF_INTERNAL_H
#define VAULT_POLICY_DIFF_INTERNAL_H

#include "kluis/base/arena.h"
#include "kluis/vault/policy_diff.h"
#include "vault/policy_internal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIFF_ARENA_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define DIFF_SIDES 2                                     /* before, after */
#define DIFF_FIELD_WORDS (2 * VAULT_FIELDS_MAX / 64)     /* of both policies together */
#define DIFF_PURPOSE_WORDS (2 * VAULT_PURPOSES_MAX / 64) /* the same */
#define DIFF_WHERE_MAX (VAULT_DIFF_PLACES_MAX + 1)       /* "home" too */
#define DIFF_CONTEXTS_MAX (2 * VAULT_DIFF_TIMES_MAX)     /* a time, of others or of oneself */

/* Names of both policies, in the order of the old one and then of the new one; at[i][side] is the number there, or VAULT_NONE. */
struct diff_names {
    size_t count;
    const char **names;
    int (*at)[DIFF_SIDES];
};

/* Actions whose answer has a view. */
#define DIFF_SHOWS                                                                             \
    ((1u << VAULT_ACTION_READ) | (1u << VAULT_ACTION_EXPORT) | (1u << VAULT_ACTION_DISCLOSE) | \
     (1u << VAULT_ACTION_REPORT))

struct diff_place {
    struct vault_country country; /* one of them; unset: "home" */
    const char *label;
};
struct diff_time {
    int64_t at_us; /* one moment of them */
    const char *label;
};

/*
 * An answer as a number: how open it is above, so that a larger one is more open; 0 withheld. Below it the gate that withheld, which
 * changes no answer.
 */
typedef uint64_t diff_answer;
#define DIFF_GATE_BITS 8
#define DIFF_VOLUME_BITS 32 /* subjects an hour; all ones: any number. Above them the view */
#define DIFF_OPENNESS(answer) ((answer) >> DIFF_GATE_BITS)

/* What is asked; these are numbers of the difference, not of a policy. */
struct diff_cell {
    size_t role;
    int recipient; /* VAULT_NONE: the controller itself */
    enum vault_action action;
    size_t field;
    int purpose; /* VAULT_NONE: none */
};
/* The answers to a cell: by place, context and circumstance. */
struct diff_answers {
    diff_answer of[DIFF_WHERE_MAX][DIFF_CONTEXTS_MAX][VAULT_DIFF_CIRCUMSTANCES];
};

/* What changes alike: before it is a line. where: bit per context, by place. */
struct diff_entry {
    uint32_t actions;
    int recipient; /* VAULT_NONE: the controller itself */
    diff_answer was;
    diff_answer now;
    uint8_t circumstances;
    bool without_purpose;
    uint16_t where[DIFF_WHERE_MAX];
    uint64_t purposes[DIFF_PURPOSE_WORDS];
    uint64_t fields[DIFF_FIELD_WORDS];
};

struct vault_diff {
    struct kl_arena *arena;
    struct vault_policy *policies[DIFF_SIDES]; /* [0] NULL: none */
    struct diff_names records;
    struct diff_names fields; /* "type.field", those of a type together */
    int *record_of;           /* per field, its number in records */
    struct diff_names purposes;
    struct diff_names recipients;
    struct diff_names roles;
    struct diff_place places[DIFF_WHERE_MAX];
    size_t place_count;
    struct diff_time times[VAULT_DIFF_TIMES_MAX];
    size_t time_count;
    size_t context_count; /* times, and again for one's own subject where a grant asks for that */
    bool *same_role;      /* by number: both policies say the same (vault_diff_same()) */
    bool *same_field;
    bool *same_purpose;
    bool *same_recipient;
    bool same_transfers;
    uint64_t decisions;
    bool complete;
    bool no_memory;
    struct vault_diff_extent extents[2]; /* [allows] */
    struct vault_diff_line *lines;
    struct diff_entry *entries; /* of lines[i]: what it was made of */
    size_t count;
    struct vault_diff_alert *alerts;
    size_t alert_count;
};

static inline bool diff_bit(const uint64_t *words, size_t number)
{
    return ((words[number / 64] >> (number % 64)) & 1) != 0;
}
static inline void diff_bit_set(uint64_t *words, size_t number)
{
    words[number / 64] |= UINT64_C(1) << (number % 64);
}

/* Names, places and times of both; diff->no_memory when the arena is full. */
void vault_diff_axes(struct vault_diff *diff, int64_t now_us);
/* What both say alike; diff->no_memory as above. After the axes. */
void vault_diff_same(struct vault_diff *diff);
/* Whether all that an answer hangs on is alike, where numbers mean the same in both policies. */
bool vault_diff_same_grant(const struct policy_grant *a, const struct policy_grant *b);
bool vault_diff_same_role(const struct policy_role *a, const struct policy_role *b);
bool vault_diff_same_transfer(const struct policy_transfer *a, const struct policy_transfer *b);
bool vault_diff_same_field(const struct vault_policy_field *a, const struct vault_policy_field *b);
bool vault_diff_same_purpose(const struct policy_purpose *a, const struct policy_purpose *b);
/* A recipient's own consent purpose may be asked for with any purpose: same_purposes, all of them are the same. */
bool vault_diff_same_recipient(const struct policy_recipient *a, const struct policy_recipient *b,
                               bool same_purposes);
/*
 * Ask one policy for a cell in every situation. Restriction matters to what is others', and where a role may claim a ground; elsewhere
 * nothing is said of it.
 */
void vault_diff_ask(struct vault_diff *diff, const struct diff_cell *cell, int side,
                    struct diff_answers *ret);
/* Whether the grants of one policy could let the cell at all; else the answer needs no asking. */
bool vault_diff_has_grant(const struct vault_diff *diff, const struct diff_cell *cell, int side);
/* One line of an entry about a role; VAULT_DIFF_LINES_MAX of them, then diff is not complete. */
void vault_diff_line_add(struct vault_diff *diff, size_t role, const struct diff_entry *entry);
/* One line about what the steward may export of everybody, whatever roles there are (`return_of_data`). */
void vault_diff_return_add(struct vault_diff *diff, bool allows);
/* What is told of otherwise; after the axes. diff->no_memory as above. */
void vault_diff_alerts(struct vault_diff *diff);

#endif
