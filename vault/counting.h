/*
 * Counts of people for statistics, and the rule by which nothing is told of few: pure arithmetic, without keys and rows.
 *
 * Always true after vault_counting_settle(), of every statistic: no cell, nor "other", counts fewer people than the minimum, and all of them
 * together count everybody who was added to it, or, where those are fewer than the minimum, nothing is left of it. So neither a total that
 * is known from elsewhere nor another statistic of the same people tells of a smaller group than the minimum.
 * Threads: one at a time.
 */
#ifndef VAULT_COUNTING_H
#define VAULT_COUNTING_H

#include "kluis/base/status.h"
#include "kluis/vault/policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "type.field" of a policy */
#define VAULT_COUNTED_FIELD_BYTES (2 * VAULT_NAME_MAX_BYTES + 2)
#define VAULT_PERSON_BYTES 16
/* Statistics in one counting (policies change): what comes after them is not counted. Values of one: rarer ones are "other". */
#define VAULT_COUNTED_MAX 128
#define VAULT_CELLS_MAX 1024
/* While counting; values that come after them are "other". */
#define VAULT_CELLS_COUNTING_MAX 8192

struct vault_cell {
    char value[VAULT_GENERAL_MAX_BYTES + 1];
    uint64_t people;
};
/* One statistic. cells in the order of their values. other: who had another value, or none. */
struct vault_counted {
    char field[VAULT_COUNTED_FIELD_BYTES];
    enum vault_generalisation how;
    uint64_t other;
    struct vault_cell *cells;
    size_t count;
    size_t room;
};

struct vault_counting;
/* NULL: no memory. */
struct vault_counting *vault_counting_new(void);
void vault_counting_free(struct vault_counting *counting); /* NULL is fine */
/* The minimum is at least this; the highest counts. */
void vault_counting_minimum(struct vault_counting *counting, uint32_t minimum);
uint32_t vault_counting_minimum_of(const struct vault_counting *counting);

/*
 * One value of one person; value NULL: none. Somebody counts once in a statistic, with what came first. remember false: nobody of that person
 * comes again in this statistic, so that it need not be kept in memory (who came before is known all the same).
 * KL_ERR_NO_MEMORY: whether it was counted is open. Beyond VAULT_COUNTED_MAX: nothing, KL_OK.
 */
KL_MUST_USE enum kl_status vault_counting_add(struct vault_counting *counting,
                                              const unsigned char person[VAULT_PERSON_BYTES],
                                              const char *field, enum vault_generalisation how,
                                              const char *value, bool remember, struct kl_err *err);
/* Apply the rule; once, after the last add. ret_dropped: statistics of which nothing is left, for fewer people than the minimum are in them. */
void vault_counting_settle(struct vault_counting *counting, size_t *ret_dropped);
/* What is left, in the order in which they were first added; pointers live until the next add. i: 0.. ; NULL: no more. */
const struct vault_counted *vault_counting_at(const struct vault_counting *counting, size_t i);

#endif
