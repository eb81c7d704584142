#include "base/wipe_alloc.h"
#include "tests/support/no_memory.h"
#include "tests/support/test.h"

#include <stdalign.h>
#include <string.h>

static void test_pieces_are_aligned_and_keep_their_content_when_grown(void **state)
{
    unsigned char *piece = NULL;

    (void)state;
    for (size_t size = 1; size < 300; size++) {
        piece = kl_wipe_realloc(NULL, piece, size - 1, size);
        assert_non_null(piece);
        assert_int_equal((uintptr_t)piece % alignof(max_align_t), 0);
        piece[size - 1] = (unsigned char)size;
        for (size_t i = 0; i < size; i++) {
            assert_int_equal(piece[i], (unsigned char)(i + 1));
        }
    }
    piece = kl_wipe_realloc(NULL, piece, 299, 10);
    assert_int_equal(piece[9], 10);
    kl_wipe_free(NULL, piece);
    kl_wipe_free(NULL, NULL);
}

static void test_what_cannot_be_allocated_leaves_the_old_piece(void **state)
{
    unsigned char *piece = kl_wipe_malloc(NULL, 4);

    (void)state;
    memcpy(piece, "old", 4);
    assert_null(kl_wipe_malloc(NULL, SIZE_MAX));
    assert_null(kl_wipe_realloc(NULL, piece, 4, SIZE_MAX - 4));
    no_memory_begin(0);
    assert_null(kl_wipe_realloc(NULL, piece, 4, 8));
    assert_true(no_memory_end());
    assert_string_equal((char *)piece, "old");
    kl_wipe_free(NULL, piece);
}

static void test_nothing_is_left_behind(void **state)
{
    char *piece = kl_wipe_malloc(NULL, 20);

    (void)state;
    freed_watch("Ada Lovelace");
    memcpy(piece, "Ada Lovelace", 13);
    piece = kl_wipe_realloc(NULL, piece, 20, 4000);
    assert_string_equal(piece, "Ada Lovelace");
    piece = kl_wipe_realloc(NULL, piece, 4000, 13);
    kl_wipe_free(NULL, piece);
    assert_int_equal(freed_with_it(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_aligned_and_keep_their_content_when_grown),
        cmocka_unit_test(test_what_cannot_be_allocated_leaves_the_old_piece),
        cmocka_unit_test(test_nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
