/* What is written down for statistics. */
#include "vault/statistics_text.h"

#include "tests/support/test.h"

#include <string.h>

#define ARENA_BYTES (1024 * 1024)

static struct vault_given given_of(void)
{
    struct vault_given given = {.person = {1, 2, 3}, .minimum = 10, .count = 2};

    strcpy(given.items[0].field, "applicant.birth");
    given.items[0].how = VAULT_GENERAL_YEAR;
    given.items[0].has_value = true;
    strcpy(given.items[0].value, "1984");
    strcpy(given.items[1].field, "applicant.zip");
    given.items[1].how = VAULT_GENERAL_FIRST3;
    return given;
}

static void test_what_somebody_gives_reads_back(void **state)
{
    struct vault_given given = given_of();
    struct vault_given read = {0};
    struct kl_buf text;
    size_t size;

    (void)state;
    kl_buf_init(&text, VAULT_GIVEN_MAX_BYTES);
    assert_int_equal(vault_given_encode(&given, &text, NULL), KL_OK);
    assert_int_equal(vault_given_decode(kl_buf_slice(&text), &read, NULL), KL_OK);
    assert_memory_equal(&read, &given, sizeof given);
    memset(&read, 7, sizeof read);
    for (size = 0; size < text.size; size++) {
        struct kl_err err = {0};

        assert_int_equal(vault_given_decode(kl_slice_of(text.bytes, size), &read, &err),
                         KL_ERR_CORRUPT);
        assert_string_equal(err.code, "statistic_damaged");
        assert_int_equal(read.count, 0x0707070707070707);
    }
    kl_buf_done(&text);
}

static void test_the_most_that_can_be_given_fits(void **state)
{
    struct vault_given given = {.count = VAULT_STATISTICS_MAX};
    struct kl_buf text;
    size_t i;

    (void)state;
    for (i = 0; i < given.count; i++) {
        memset(given.items[i].field, 'f', VAULT_COUNTED_FIELD_BYTES - 1);
        given.items[i].has_value = true;
        memset(given.items[i].value, '1', VAULT_GENERAL_MAX_BYTES);
    }
    kl_buf_init(&text, VAULT_GIVEN_MAX_BYTES);
    assert_int_equal(vault_given_encode(&given, &text, NULL), KL_OK);
    assert_true(vault_pad_size(text.size) <= 2 * (size_t)VAULT_GIVEN_MAX_BYTES);
    kl_buf_done(&text);
}

static enum kl_status publish(uint64_t people, uint64_t other, struct vault_published *ret,
                              struct kl_arena *arena, struct kl_err *err)
{
    struct vault_cell cells[2] = {{"1984", people}, {"1990", 10}};
    struct vault_counted counted = {
        .how = VAULT_GENERAL_YEAR, .other = other, .cells = cells, .count = 2};
    struct kl_buf text;
    enum kl_status status;

    strcpy(counted.field, "applicant.birth");
    kl_buf_init(&text, VAULT_PUBLISHED_MAX_BYTES);
    assert_int_equal(vault_published_encode("default", 10, &counted, &text, NULL), KL_OK);
    status = vault_published_decode(kl_buf_slice(&text), arena, ret, err);
    kl_buf_done(&text);
    return status;
}

static void test_what_is_published_reads_back_and_tells_of_no_few(void **state)
{
    struct kl_arena *arena = kl_arena_new(ARENA_BYTES);
    struct vault_published read = {.minimum = 77};
    struct kl_err err = {0};

    (void)state;
    assert_int_equal(publish(9, 0, &read, arena, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "statistic_damaged");
    assert_int_equal(publish(10, 9, &read, arena, NULL), KL_ERR_CORRUPT);
    assert_int_equal(read.minimum, 77);
    assert_int_equal(publish(12, 31, &read, arena, NULL), KL_OK);
    assert_string_equal(read.tenant, "default");
    assert_string_equal(read.counted.field, "applicant.birth");
    assert_int_equal(read.minimum, 10);
    assert_int_equal(read.counted.other, 31);
    assert_int_equal(read.counted.count, 2);
    assert_string_equal(read.counted.cells[0].value, "1984");
    assert_int_equal(read.counted.cells[0].people, 12);
    kl_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_somebody_gives_reads_back),
        cmocka_unit_test(test_the_most_that_can_be_given_fits),
        cmocka_unit_test(test_what_is_published_reads_back_and_tells_of_no_few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
