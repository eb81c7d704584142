#include "kluis/base/arena.h"
#include "tests/support/no_memory.h"
#include "tests/support/test.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

static bool all_zero(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static void test_pieces_are_zeroed_aligned_and_apart(void **state)
{
    struct kl_arena *arena = kl_arena_new(1 << 20);
    unsigned char *before = NULL;

    (void)state;
    for (size_t size = 0; size < 1000; size++) {
        unsigned char *piece = kl_arena_alloc(arena, size);
        assert_non_null(piece);
        assert_int_equal((uintptr_t)piece % alignof(max_align_t), 0);
        assert_true(all_zero(piece, size));
        assert_true(piece != before);
        memset(piece, 0xAA, size);
        before = piece;
    }
    kl_arena_free(arena);
}

static void test_max_bytes_is_the_end(void **state)
{
    struct kl_arena *arena = kl_arena_new(4096);

    (void)state;
    assert_null(kl_arena_alloc(arena, 4097));
    assert_non_null(kl_arena_alloc(arena, 4000));
    assert_null(kl_arena_alloc(arena, 100));
    assert_non_null(kl_arena_alloc(arena, 96));
    assert_null(kl_arena_alloc(arena, 0));
    kl_arena_free(arena);
}

static void test_large_pieces_are_given_while_they_fit(void **state)
{
    struct kl_arena *arena = kl_arena_new(1 << 20);
    unsigned char *piece = kl_arena_alloc(arena, 900 * 1024);

    (void)state;
    assert_non_null(piece);
    assert_true(all_zero(piece, 900 * 1024));
    assert_null(kl_arena_alloc(arena, 200 * 1024));
    assert_non_null(kl_arena_alloc(arena, 100 * 1024));
    kl_arena_free(arena);
}

static void test_a_reset_arena_is_empty_and_clean(void **state)
{
    struct kl_arena *arena = kl_arena_new(1 << 20);

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 1000; i++) {
            unsigned char *piece = kl_arena_alloc(arena, 1000);
            assert_true(all_zero(piece, 1000));
            memset(piece, 0xAA, 1000);
        }
        kl_arena_reset(arena);
    }
    kl_arena_free(arena);
}

static void test_an_array_too_large_to_count_is_refused(void **state)
{
    struct kl_arena *arena = kl_arena_new(4096);

    (void)state;
    assert_null(kl_arena_array(arena, SIZE_MAX / 2, 4));
    assert_non_null(kl_arena_array(arena, 10, 8));
    assert_non_null(kl_arena_array(arena, 0, 8));
    assert_null(kl_arena_alloc(arena, SIZE_MAX));
    kl_arena_free(arena);
}

static void test_a_text_is_copied_with_its_end(void **state)
{
    struct kl_arena *arena = kl_arena_new(4096);
    char text[] = "text and more";
    char *copy = kl_arena_text(arena, text, 4);

    (void)state;
    text[0] = 'T';
    assert_string_equal(copy, "text");
    assert_string_equal(kl_arena_text(arena, NULL, 0), "");
    assert_null(kl_arena_text(arena, text, SIZE_MAX));
    kl_arena_free(arena);
}

static void test_running_out_of_memory_gives_null(void **state)
{
    struct kl_arena *arena;

    (void)state;
    for (long n = 0; n < 2; n++) {
        no_memory_begin(n);
        assert_null(kl_arena_new(1 << 20));
        assert_true(no_memory_end());
    }
    arena = kl_arena_new(1 << 20);
    no_memory_begin(0);
    assert_null(kl_arena_alloc(arena, 100000));
    assert_true(no_memory_end());
    assert_non_null(kl_arena_alloc(arena, 100000));
    kl_arena_free(arena);
    kl_arena_free(NULL);
}

static void test_nothing_is_left_behind_when_it_ends(void **state)
{
    struct kl_arena *arena = kl_arena_new(1 << 20);

    (void)state;
    freed_watch("Ada Lovelace");
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 2000; i++) {
            assert_non_null(kl_arena_text(arena, "Ada Lovelace", 12));
        }
        if (round == 0) {
            kl_arena_reset(arena);
        }
    }
    kl_arena_free(arena);
    assert_int_equal(freed_with_it(), 0);
}

static void test_the_watch_itself_sees_what_is_left(void **state)
{
    /* Volatile, or compilers leave the pair of calls out. */
    char *volatile text = strdup("Ada Lovelace");

    (void)state;
    freed_watch("Ada Lovelace");
    free(text);
    assert_int_equal(freed_with_it(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_zeroed_aligned_and_apart),
        cmocka_unit_test(test_max_bytes_is_the_end),
        cmocka_unit_test(test_large_pieces_are_given_while_they_fit),
        cmocka_unit_test(test_a_reset_arena_is_empty_and_clean),
        cmocka_unit_test(test_an_array_too_large_to_count_is_refused),
        cmocka_unit_test(test_a_text_is_copied_with_its_end),
        cmocka_unit_test(test_running_out_of_memory_gives_null),
        cmocka_unit_test(test_nothing_is_left_behind_when_it_ends),
        cmocka_unit_test(test_the_watch_itself_sees_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
