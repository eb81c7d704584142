#include "api/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

static void test_one_range_of_bytes_is_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t size;
        uint64_t first;
        uint64_t count;
    } good[] = {
        {"bytes=0-0", 10, 0, 1},
        {"bytes=0-99", 10, 0, 10},
        {"bytes=3-", 10, 3, 7},
        {"bytes=9-9", 10, 9, 1},
        {"bytes=-4", 10, 6, 4},
        {"bytes=-40", 10, 0, 10},
        {"Bytes=1-2", 10, 1, 2},
        {"bytes=0-999999999999999999", UINT64_C(5) << 30, 0, UINT64_C(5) << 30},
        {"bytes=007-8", 10, 7, 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct api_range range;
        uint64_t first = 77;
        uint64_t count = 77;
        assert_true(api_range_parse(good[i].text, &range));
        assert_true(api_range_resolve(&range, good[i].size, &first, &count));
        assert_true(first == good[i].first && count == good[i].count);
    }
}

static void test_what_is_none_is_passed_over(void **state)
{
    static const char *const none[] = {
        NULL,         "",           "bytes",     "bytes=",        "bytes=-",
        "bytes=a-b",  "bytes=1",    "bytes=2-1", "bytes=0-1,3-4", "items=0-1",
        "bytes=0-1 ", "bytes= 0-1", "bytes=--1", "bytes=1-2-3",   "bytes=0-1000000000000000000"};
    struct api_range range = {.first = 77};

    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_false(api_range_parse(none[i], &range));
    }
    assert_int_equal(range.first, 77);
}

static void test_a_range_with_nothing_in_it_is_told(void **state)
{
    static const struct {
        const char *text;
        uint64_t size;
    } outside[] = {
        {"bytes=10-", 10}, {"bytes=10-20", 10}, {"bytes=-0", 10}, {"bytes=0-", 0}, {"bytes=-5", 0}};
    uint64_t first = 77;
    uint64_t count = 77;

    (void)state;
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        struct api_range range;
        assert_true(api_range_parse(outside[i].text, &range));
        assert_false(api_range_resolve(&range, outside[i].size, &first, &count));
    }
    assert_true(first == 77 && count == 77);
}

static void test_if_range_lets_only_the_same_version(void **state)
{
    (void)state;
    assert_true(api_range_counts(NULL, 3));
    assert_true(api_range_counts("\"3\"", 3));
    assert_false(api_range_counts("\"4\"", 3));
    assert_false(api_range_counts("W/\"3\"", 3));
    assert_false(api_range_counts("Tue, 01 Dec 2026 04:18:34 GMT", 3));
    assert_false(api_range_counts("3", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_range_of_bytes_is_read),
        cmocka_unit_test(test_what_is_none_is_passed_over),
        cmocka_unit_test(test_a_range_with_nothing_in_it_is_told),
        cmocka_unit_test(test_if_range_lets_only_the_same_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
