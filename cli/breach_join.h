/*
 * The pieces of a breach report joined: times add up, and a person who is in
 * several pieces, known by their slot, is one.
 */
#ifndef CLI_BREACH_JOIN_H
#define CLI_BREACH_JOIN_H

#include "kluis/base/json.h"
#include "kluis/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The lists of a report; people are told of in those that have CLI_BREACH_MARKS before them. */
enum cli_breach_list {
    CLI_BREACH_ACCESSED,
    CLI_BREACH_CHANGED,
    CLI_BREACH_TRANSFERS,
    CLI_BREACH_BY,
    CLI_BREACH_MARKS,
    CLI_BREACH_WITHHELD = CLI_BREACH_MARKS,
    CLI_BREACH_REFUSED,
    CLI_BREACH_ACTS,
    CLI_BREACH_PLACES,
    CLI_BREACH_MADE,
    CLI_BREACH_COUNTRIES, /* from here on without times */
    CLI_BREACH_TYPES,
    CLI_BREACH_LISTS
};
/* json: as the first piece that has it says it. first, last: RFC 3339, in the pieces. */
struct cli_breach_row {
    const struct kl_json_value *json;
    int64_t people;
    int64_t times;
    const char *first;
    const char *last;
};
struct cli_breach_rows {
    struct cli_breach_row *items;
    size_t count;
};
/* marks[list]: numbers of the rows that tell of this person. subject: NULL: not told. */
struct cli_breach_person {
    int64_t slot;
    const char *subject;
    const char *state;
    struct cli_breach_numbers {
        int64_t *items;
        size_t count;
    } marks[CLI_BREACH_MARKS], records;
    int64_t times;
    const char *first;
    const char *last;
};
/* head: the first piece, for all that is the same in each; last: the last one, whose entry comes behind the others'. Zeroed before use; ends with cli_breach_done(). */
struct cli_breach {
    const struct kl_json_value *head;
    const struct kl_json_value *last;
    struct cli_breach_rows lists[CLI_BREACH_LISTS];
    struct cli_breach_person **people;
    size_t people_count;
    int64_t entries_from;
    int64_t entries_to;
    int64_t of_credential;
    int64_t lost;
    int64_t pruned_until;
    struct kl_json **pieces;
    size_t piece_count;
    void *by_slot; /* a tree of search.h */
};

extern const char *const cli_breach_list_names[CLI_BREACH_LISTS];

/* Add a piece, which is the report's from now on. KL_ERR_INVALID "unexpected_answer"; KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status cli_breach_add(struct cli_breach *breach, struct kl_json *piece,
                                          struct kl_err *err);
void cli_breach_done(struct cli_breach *breach);
/* Whether a row of that list tells that something was seen in full: the value, that it was found, that it matched, what lies beside the records. */
bool cli_breach_is_in_plain(const struct kl_json_value *row);
/* The report as the server writes one that needs no pieces. */
void cli_breach_write(const struct cli_breach *breach, struct kl_json_out *out);

#endif
