/* Things told apart by words, and numbered. */
#include "vault/word_table.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#define BYTES ((size_t)64 * 1024)

static size_t take(struct vault_word_table *table, unsigned kind, const char *a, const char *b)
{
    const struct vault_words words = {.kind = kind, .words = {a, b}};
    size_t number = 77;

    assert_int_equal(vault_word_table_take(table, &words, &number, NULL), KL_OK);
    return number;
}

static void test_the_same_words_have_the_same_number(void **state)
{
    struct vault_word_table *table = vault_word_table_new(10, BYTES);

    (void)state;
    assert_int_equal(take(table, 1, "read", "email"), 0);
    assert_int_equal(take(table, 1, "read", "name"), 1);
    assert_int_equal(take(table, 1, "read", "email"), 0);
    assert_int_equal(take(table, 2, "read", "email"), 2);
    assert_int_equal(take(table, 1, "reade", "mail"), 3);
    assert_int_equal(take(table, 1, "read", NULL), 4);
    assert_int_equal(take(table, 1, "read", ""), 4);
    assert_int_equal(vault_word_table_count(table), 5);
    assert_string_equal(vault_word_table_at(table, 1)->words[1], "name");
    assert_int_equal(vault_word_table_at(table, 2)->kind, 2);
    vault_word_table_free(table);
}

static void test_words_are_kept_apart_from_who_gave_them(void **state)
{
    struct vault_word_table *table = vault_word_table_new(2, BYTES);
    char word[] = "first";

    (void)state;
    assert_int_equal(take(table, 0, word, NULL), 0);
    memcpy(word, "other", 5);
    assert_int_equal(take(table, 0, word, NULL), 1);
    assert_string_equal(vault_word_table_at(table, 0)->words[0], "first");
    vault_word_table_free(table);
}

static void test_a_full_table_takes_no_more_and_still_finds(void **state)
{
    struct vault_word_table *table = vault_word_table_new(100, BYTES);
    const struct vault_words more = {.words = {"one more"}};
    struct kl_err err = {0};
    char word[16];
    size_t number = 77;
    size_t i;

    (void)state;
    for (i = 0; i < 100; i++) {
        (void)snprintf(word, sizeof word, "w%zu", i);
        assert_int_equal(take(table, 0, word, NULL), i);
    }
    assert_int_equal(vault_word_table_take(table, &more, &number, &err), KL_ERR_TOO_LARGE);
    assert_string_equal(err.code, "too_large");
    assert_int_equal(number, 77);
    for (i = 0; i < 100; i++) {
        (void)snprintf(word, sizeof word, "w%zu", i);
        assert_int_equal(take(table, 0, word, NULL), i);
    }
    vault_word_table_free(table);
    vault_word_table_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_words_have_the_same_number),
        cmocka_unit_test(test_words_are_kept_apart_from_who_gave_them),
        cmocka_unit_test(test_a_full_table_takes_no_more_and_still_finds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
