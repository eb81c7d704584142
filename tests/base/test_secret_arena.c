#include "kluis/base/secret.h"
#include "tests/support/no_memory.h"
#include "tests/support/test.h"

#include <sodium.h>
#include <string.h>

static void test_cells_are_zeroed_and_apart(void **state)
{
    struct kl_secret_arena *arena = kl_secret_arena_new(100, 5000);
    static unsigned char *cells[5000];

    (void)state;
    for (size_t i = 0; i < 5000; i++) {
        cells[i] = kl_secret_arena_take(arena);
        assert_non_null(cells[i]);
        assert_true(sodium_is_zero(cells[i], 100));
        assert_int_equal((uintptr_t)cells[i] % 16, 0);
        memset(cells[i], (int)(i % 255) + 1, 100);
    }
    for (size_t i = 0; i < 5000; i++) {
        for (size_t j = 0; j < 100; j++) {
            assert_int_equal(cells[i][j], i % 255 + 1);
        }
    }
    kl_secret_arena_free(arena);
}

static void test_cells_max_is_the_end_until_one_comes_back(void **state)
{
    struct kl_secret_arena *arena = kl_secret_arena_new(32, 3);
    unsigned char *cells[3];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        cells[i] = kl_secret_arena_take(arena);
    }
    assert_null(kl_secret_arena_take(arena));
    kl_secret_arena_give(arena, cells[1]);
    assert_ptr_equal(kl_secret_arena_take(arena), cells[1]);
    assert_null(kl_secret_arena_take(arena));
    kl_secret_arena_free(arena);
}

static void test_a_given_cell_is_wiped_at_once(void **state)
{
    struct kl_secret_arena *arena = kl_secret_arena_new(64, 10);
    unsigned char *first = kl_secret_arena_take(arena);
    unsigned char *second = kl_secret_arena_take(arena);

    (void)state;
    memset(first, 0xAA, 64);
    memset(second, 0xAA, 64);
    kl_secret_arena_give(arena, first);
    kl_secret_arena_give(arena, second);
    /* Only the link to the next free cell may be in it. */
    assert_true(sodium_is_zero(first + sizeof(void *), 64 - sizeof(void *)));
    assert_true(sodium_is_zero(second + sizeof(void *), 64 - sizeof(void *)));
    assert_ptr_equal(kl_secret_arena_take(arena), second);
    assert_ptr_equal(kl_secret_arena_take(arena), first);
    assert_true(sodium_is_zero(first, 64));
    assert_true(sodium_is_zero(second, 64));
    kl_secret_arena_give(arena, NULL);
    kl_secret_arena_free(arena);
}

static void test_the_largest_cells_are_given(void **state)
{
    struct kl_secret_arena *arena = kl_secret_arena_new(65536, 20);

    (void)state;
    for (size_t i = 0; i < 20; i++) {
        unsigned char *cell = kl_secret_arena_take(arena);
        assert_non_null(cell);
        memset(cell, 0xAA, 65536);
    }
    assert_null(kl_secret_arena_take(arena));
    kl_secret_arena_free(arena);
}

static void test_no_guarded_memory_gives_null_and_may_work_later(void **state)
{
    struct kl_secret_arena *arena;

    (void)state;
    no_memory_begin(0);
    assert_null(kl_secret_arena_new(32, 10));
    assert_true(no_memory_end());
    arena = kl_secret_arena_new(32, 10);
    for (long n = 0; n < 2; n++) {
        no_memory_begin(n);
        assert_null(kl_secret_arena_take(arena));
        assert_true(no_memory_end());
    }
    assert_non_null(kl_secret_arena_take(arena));
    kl_secret_arena_free(arena);
    kl_secret_arena_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells_are_zeroed_and_apart),
        cmocka_unit_test(test_cells_max_is_the_end_until_one_comes_back),
        cmocka_unit_test(test_a_given_cell_is_wiped_at_once),
        cmocka_unit_test(test_the_largest_cells_are_given),
        cmocka_unit_test(test_no_guarded_memory_gives_null_and_may_work_later),
    };
    if (kl_secret_process_init(true, NULL) != KL_OK) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
