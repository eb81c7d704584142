/*
 * A table of things that are told apart by a few words, numbered in the order
 * they came in; for adding up what a trail says. Its size is bounded from the
 * start. Threads: one.
 */
#ifndef VAULT_WORD_TABLE_H
#define VAULT_WORD_TABLE_H

#include "kluis/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_WORDS 5

struct vault_words {
    unsigned kind;
    const char *words[VAULT_WORDS];
};
struct vault_word_table;

/* At most max things, whose words take at most max_bytes (4096 or more) in all. NULL when out of memory. */
struct vault_word_table *vault_word_table_new(size_t max, size_t max_bytes);
void vault_word_table_free(struct vault_word_table *table); /* NULL is fine */
size_t vault_word_table_count(const struct vault_word_table *table);
/* The words of one, as long as the table lives. */
const struct vault_words *vault_word_table_at(const struct vault_word_table *table, size_t number);
/* The number of the one with these words (NULL counts as ""), added when it is new. KL_ERR_TOO_LARGE "too_large": no room for it; KL_ERR_NO_MEMORY. */
KL_MUST_USE enum kl_status vault_word_table_take(struct vault_word_table *table,
                                                 const struct vault_words *words,
                                                 size_t *ret_number, struct kl_err *err);

#endif
