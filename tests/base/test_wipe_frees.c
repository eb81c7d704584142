#include "kluis/base/wipe_frees.h"

#include "tests/support/test.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES 1000
#define KEPT_FROM 64 /* what the allocator itself writes into a free piece lies before */

static bool sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#endif
#endif
    return false;
}

static unsigned char *filled(void)
{
    unsigned char *piece = malloc(PIECE_BYTES);

    assert_non_null(piece);
    memset(piece, 0xA7, PIECE_BYTES);
    __asm__ volatile(""
                     :
                     : "r"(piece)
                     : "memory"); /* else the compiler leaves out what nobody reads */
    return piece;
}

/* How many bytes of the text are in the next piece of that size: the allocator gives out what was freed last. */
static size_t left_behind(void)
{
    unsigned char *piece = malloc(PIECE_BYTES);
    size_t left = 0;

    assert_non_null(piece);
    for (size_t i = KEPT_FROM; i < PIECE_BYTES; i++) {
        left += piece[i] == 0xA7;
    }
    memset(piece, 0, PIECE_BYTES);
    free(piece);
    return left;
}

static void test_what_is_freed_is_wiped_between_begin_and_end_only(void **state)
{
    (void)state;
    if (sanitized()) {
        skip();
    }
    free(filled());
    assert_int_equal(left_behind(), PIECE_BYTES - KEPT_FROM); /* the look would see it */
    kl_wipe_frees_begin();
    free(filled());
    free(NULL);
    kl_wipe_frees_end();
    assert_int_equal(left_behind(), 0);
    free(filled());
    assert_int_equal(left_behind(), PIECE_BYTES - KEPT_FROM);
}

static void test_a_piece_that_grows_or_shrinks_leaves_nothing_behind(void **state)
{
    const size_t sizes[] = {8 * PIECE_BYTES, PIECE_BYTES / 10};

    (void)state;
    if (sanitized()) {
        skip();
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char *piece = filled();
        unsigned char *moved;

        kl_wipe_frees_begin();
        moved = realloc(piece, sizes[i]);
        assert_non_null(moved);
        assert_int_equal(moved[0], 0xA7);
        assert_int_equal(moved[(sizes[i] < PIECE_BYTES ? sizes[i] : PIECE_BYTES) - 1], 0xA7);
        assert_int_equal(left_behind(), 0);
        free(moved);
        moved = realloc(NULL, PIECE_BYTES);
        assert_non_null(moved);
        free(moved);
        kl_wipe_frees_end();
    }
}

static void *free_and_look(void *result)
{
    free(filled());
    *(size_t *)result = left_behind();
    return NULL;
}

static void test_other_threads_go_on_as_before(void **state)
{
    pthread_t thread;
    size_t left = 0;

    (void)state;
    if (sanitized()) {
        skip();
    }
    kl_wipe_frees_begin();
    assert_int_equal(pthread_create(&thread, NULL, free_and_look, &left), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    kl_wipe_frees_end();
    assert_int_equal(left, PIECE_BYTES - KEPT_FROM);
}

/* What a library calls is what the program defines. */
static void test_libraries_free_through_us(void **state)
{
    void (*ours)(void *) = free;
    void *found = dlsym(RTLD_DEFAULT, "free");

    (void)state;
    if (sanitized()) {
        skip();
    }
    assert_non_null(found);
    assert_memory_equal(&found, &ours, sizeof found);
    assert_ptr_not_equal(found, dlsym(RTLD_NEXT, "free"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_freed_is_wiped_between_begin_and_end_only),
        cmocka_unit_test(test_a_piece_that_grows_or_shrinks_leaves_nothing_behind),
        cmocka_unit_test(test_other_threads_go_on_as_before),
        cmocka_unit_test(test_libraries_free_through_us),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
