#include "api/query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

static const char *const KNOWN[] = {"purpose", "fields", "limit", NULL};
static struct kl_arena *arena;

static enum kl_status parse(const char *raw, struct api_query *query, struct kl_err *err)
{
    kl_err_clear(err);
    return api_query_parse(raw, KNOWN, arena, query, err);
}

static void test_query_reads_and_decodes_its_parameters(void **state)
{
    struct api_query query;
    struct kl_err err = {0};

    (void)state;
    assert_int_equal(parse("purpose=a%20b%2Cc&fields=x.y,z.*&", &query, &err), KL_OK);
    assert_string_equal(api_query_get(&query, "purpose"), "a b,c");
    assert_string_equal(api_query_get(&query, "fields"), "x.y,z.*");
    assert_null(api_query_get(&query, "limit"));
    assert_int_equal(parse("limit=1+1%3d2&purpose=%c3%a9=", &query, &err), KL_OK);
    assert_string_equal(api_query_get(&query, "limit"), "1+1=2");
    assert_string_equal(api_query_get(&query, "purpose"), "\xc3\xa9=");
}

static void test_query_may_be_absent_or_empty(void **state)
{
    struct api_query query;
    struct kl_err err = {0};

    (void)state;
    assert_int_equal(parse(NULL, &query, &err), KL_OK);
    assert_null(api_query_get(&query, "purpose"));
    assert_int_equal(parse("", &query, &err), KL_OK);
    assert_int_equal(parse("&&", &query, &err), KL_OK);
}

static void test_query_refuses_what_is_unknown_twice_or_broken(void **state)
{
    static const struct {
        const char *raw;
        const char *code;
    } CASES[] = {{"colour=red", "unknown_parameter"},
                 {"Purpose=a", "unknown_parameter"},
                 {"=a", "unknown_parameter"},
                 {"purpose=a&purpose=a", "duplicate_parameter"},
                 {"purpose", "invalid_parameter"},
                 {"purpose=", "invalid_parameter"},
                 {"purpose=%", "invalid_parameter"},
                 {"purpose=%4", "invalid_parameter"},
                 {"purpose=%4g", "invalid_parameter"},
                 {"purpose=%00", "invalid_parameter"},
                 {"purpose=%ff", "invalid_parameter"},
                 {"purpose=%ed%a0%80", "invalid_parameter"},
                 {"purpose=%c0%af", "invalid_parameter"},
                 {"%zz=1", "invalid_parameter"},
                 {"purpose=a;limit=2&x=1", "unknown_parameter"}};

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct api_query query = {.known = NULL};
        struct kl_err err = {0};
        assert_int_equal(parse(CASES[i].raw, &query, &err), KL_ERR_INVALID);
        assert_string_equal(err.code, CASES[i].code);
        assert_null(query.known);
    }
}

static void test_query_suggests_the_nearest_parameter_and_never_shows_the_value(void **state)
{
    struct api_query query;
    struct kl_err err = {0};

    (void)state;
    assert_int_equal(parse("purpos=Zwijgplicht", &query, &err), KL_ERR_INVALID);
    assert_non_null(strstr(err.client_text, "did you mean purpose?"));
    assert_null(strstr(err.client_text, "Zwijgplicht"));
    assert_int_equal(parse("Zwijgplicht=1", &query, &err), KL_ERR_INVALID);
    assert_null(strstr(err.client_text, "Zwijgplicht"));
}

static void test_query_has_a_longest_length(void **state)
{
    static char raw[API_QUERY_MAX_BYTES + 2] = "purpose=";
    struct api_query query;
    struct kl_err err = {0};

    (void)state;
    memset(raw + 8, 'a', API_QUERY_MAX_BYTES - 8);
    assert_int_equal(parse(raw, &query, &err), KL_OK);
    raw[API_QUERY_MAX_BYTES] = 'a';
    assert_int_equal(parse(raw, &query, &err), KL_ERR_TOO_LARGE);
    assert_string_equal(err.code, "query_too_long");
}

static int setup(void **state)
{
    (void)state;
    arena = kl_arena_new(1u << 20);
    return arena == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    kl_arena_free(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query_reads_and_decodes_its_parameters),
        cmocka_unit_test(test_query_may_be_absent_or_empty),
        cmocka_unit_test(test_query_refuses_what_is_unknown_twice_or_broken),
        cmocka_unit_test(test_query_suggests_the_nearest_parameter_and_never_shows_the_value),
        cmocka_unit_test(test_query_has_a_longest_length),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
