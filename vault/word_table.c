#include "vault/word_table.h"

#include "kluis/base/arena.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* places: twice as many as things, each 0 or a number plus 1; a thing lies in the first free one from its hash on. */
struct vault_word_table {
    struct kl_arena *arena;
    struct vault_words *items;
    size_t count;
    size_t max;
    uint32_t *places;
};

struct vault_word_table *vault_word_table_new(size_t max, size_t max_bytes)
{
    struct vault_word_table *table = calloc(1, sizeof *table);

    assert(max >= 1 && max < UINT32_MAX / 2);
    if (table == NULL) {
        return NULL;
    }
    table->max = max;
    table->arena = kl_arena_new(max_bytes);
    table->items = calloc(max, sizeof table->items[0]);
    table->places = calloc(2 * max, sizeof table->places[0]);
    if (table->arena == NULL || table->items == NULL || table->places == NULL) {
        vault_word_table_free(table);
        return NULL;
    }
    return table;
}

void vault_word_table_free(struct vault_word_table *table)
{
    if (table != NULL) {
        kl_arena_free(table->arena);
        free(table->items);
        free(table->places);
        free(table);
    }
}

size_t vault_word_table_count(const struct vault_word_table *table)
{
    return table->count;
}

const struct vault_words *vault_word_table_at(const struct vault_word_table *table, size_t number)
{
    assert(number < table->count);
    return &table->items[number];
}

static const char *word(const struct vault_words *words, size_t i)
{
    return words->words[i] == NULL ? "" : words->words[i];
}

/* FNV-1a over the words, each ended by a 0 byte. */
static uint64_t hash_of(const struct vault_words *words)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ words->kind;
    const char *at;
    size_t i;

    for (i = 0; i < VAULT_WORDS; i++) {
        at = word(words, i);
        do {
            hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
        } while (*at++ != '\0');
    }
    return hash;
}

static bool is_same(const struct vault_words *a, const struct vault_words *b)
{
    size_t i;

    for (i = 0; i < VAULT_WORDS; i++) {
        if (strcmp(word(a, i), word(b, i)) != 0) {
            return false;
        }
    }
    return a->kind == b->kind;
}

static enum kl_status add(struct vault_word_table *table, const struct vault_words *words,
                          size_t place, struct kl_err *err)
{
    struct vault_words *item = &table->items[table->count];
    size_t i;

    if (table->count == table->max) {
        return kl_fail(err, KL_ERR_TOO_LARGE, "too_large", "there is more than one answer can hold",
                       NULL);
    }
    item->kind = words->kind;
    for (i = 0; i < VAULT_WORDS; i++) {
        item->words[i] = kl_arena_text(table->arena, word(words, i), strlen(word(words, i)));
        if (item->words[i] == NULL) {
            return kl_fail_memory(err);
        }
    }
    table->count++;
    table->places[place] = (uint32_t)table->count;
    return KL_OK;
}

enum kl_status vault_word_table_take(struct vault_word_table *table,
                                     const struct vault_words *words, size_t *ret_number,
                                     struct kl_err *err)
{
    size_t place = (size_t)(hash_of(words) % (2 * table->max));
    enum kl_status status = KL_OK;

    while (table->places[place] != 0 && !is_same(&table->items[table->places[place] - 1], words)) {
        place = (place + 1) % (2 * table->max);
    }
    if (table->places[place] == 0) {
        status = add(table, words, place, err);
    }
    if (status == KL_OK) {
        *ret_number = table->places[place] - 1;
    }
    return status;
}
