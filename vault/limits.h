/*
 * How often something happened lately: counts over a window that slides, in
 * memory only, in a table of a fixed size. It answers "not yet again".
 *
 * What is counted is named by a keyed hash under a key that is made with the table, so that a
 * dump of the table says nothing. A window has VAULT_LIMIT_PARTS parts and is counted by them:
 * what was taken counts for a window and at most a part more, so never more than max in any
 * window. A place of the table holds one count; where all places that fit one are in use, the
 * smallest count is forgotten. Nothing of it survives the process.
 *
 * Times are of a clock that never goes back (kl_time_monotonic_us()). Threads: any.
 */
#ifndef VAULT_LIMITS_H
#define VAULT_LIMITS_H

#include "kluis/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_LIMIT_KEY_BYTES 16
#define VAULT_LIMIT_PARTS 12

/* At most max (1 or more) in any window_s seconds, a multiple of VAULT_LIMIT_PARTS. */
struct vault_limit {
    uint32_t max;
    uint32_t window_s;
};
struct vault_limit_key {
    unsigned char bytes[VAULT_LIMIT_KEY_BYTES];
};
/* One thing to count, under one limit: a key has the same window always. */
struct vault_limit_item {
    struct vault_limit_key key;
    struct vault_limit limit;
};

struct vault_limits;
/* places: a multiple of 8. NULL when out of memory. */
struct vault_limits *vault_limits_new(size_t places);
void vault_limits_free(struct vault_limits *limits); /* NULL is fine; nobody may be inside */

/* The key of some bytes, for this table only. */
struct vault_limit_key vault_limits_key(const struct vault_limits *limits, struct kl_slice name);

/*
 * Count one of each of the items (different keys), when none of them has come to its maximum;
 * else count nothing and return false, with ret_wait_s (1 or more): in how many seconds it may
 * work, as far as is known now.
 */
bool vault_limits_take(struct vault_limits *limits, const struct vault_limit_item *items,
                       size_t count, int64_t now_us, uint32_t *ret_wait_s);
/* Undo one that was taken: it turned out not to count. */
void vault_limits_give(struct vault_limits *limits, const struct vault_limit_item *item,
                       int64_t now_us);
/* Whether the next take of it would be refused, and then ret_wait_s as above. */
bool vault_limits_is_full(struct vault_limits *limits, const struct vault_limit_item *item,
                          int64_t now_us, uint32_t *ret_wait_s);

#endif
