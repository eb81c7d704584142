/* Rows of the search index: written, read, and anything else refused. */
#include "vault/audit_postings.h"

#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#define ROW_BYTES (1024 * 1024)

static const unsigned char key_bytes[] = "K-a key";
static const struct kl_slice key = {key_bytes, sizeof key_bytes - 1};

/* What a row says, as postings again. */
struct reading {
    struct vault_posting items[3 * VAULT_POSTINGS_BLOCK];
    size_t count;
};

static bool take(void *visitor, uint64_t value, const struct vault_places *places)
{
    struct reading *reading = visitor;
    unsigned place = vault_places_next(places, 0);

    assert_true(place < VAULT_POSTINGS_BLOCK);
    for (; place < VAULT_POSTINGS_BLOCK; place = vault_places_next(places, place + 1)) {
        reading->items[reading->count++] =
            (struct vault_posting){.value = value, .place = (uint16_t)place};
    }
    return true;
}

static void assert_comes_back(const struct vault_posting *postings, size_t count)
{
    static struct reading reading;
    struct vault_places places;
    struct kl_buf row;

    kl_buf_init(&row, ROW_BYTES);
    vault_postings_write(key, postings, count, &row);
    assert_int_equal(kl_buf_status(&row, NULL), KL_OK);
    reading.count = 0;
    assert_true(vault_postings_read(key, kl_buf_slice(&row), take, &reading));
    assert_int_equal(reading.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(reading.items[i].value, postings[i].value);
        assert_int_equal(reading.items[i].place, postings[i].place);
        assert_true(vault_postings_find(key, kl_buf_slice(&row), postings[i].value, &places));
        assert_int_equal(vault_places_next(&places, postings[i].place), postings[i].place);
    }
    assert_true(vault_postings_find(key, kl_buf_slice(&row), 4711, &places));
    assert_false(vault_places_any(&places));
    kl_buf_done(&row);
}

static void test_what_is_written_comes_back(void **state)
{
    static struct vault_posting postings[2 * VAULT_POSTINGS_BLOCK];
    const struct vault_posting few[] = {{.value = 0, .place = 0},
                                        {.value = 0, .place = 4095},
                                        {.value = 1, .place = 7},
                                        {.value = UINT64_MAX, .place = 300},
                                        {.value = UINT64_MAX, .place = 301}};
    size_t count = 0;

    (void)state;
    assert_comes_back(NULL, 0);
    assert_comes_back(few, 5);
    for (unsigned i = 0; i < VAULT_POSTINGS_BLOCK; i++) { /* all, and two of three */
        postings[count++] = (struct vault_posting){.value = 5, .place = (uint16_t)i};
    }
    for (unsigned i = 0; i < VAULT_POSTINGS_BLOCK; i++) {
        if (i % 3 != 0) {
            postings[count++] = (struct vault_posting){.value = 6, .place = (uint16_t)i};
        }
    }
    assert_comes_back(postings, count);
}

static void test_a_row_is_no_longer_than_its_bitmaps(void **state)
{
    static struct vault_posting postings[VAULT_POSTINGS_BLOCK];
    struct kl_buf row;

    (void)state;
    for (unsigned i = 0; i < VAULT_POSTINGS_BLOCK; i++) {
        postings[i] = (struct vault_posting){.value = 5, .place = (uint16_t)i};
    }
    for (size_t count = 1; count <= VAULT_POSTINGS_BLOCK; count *= 2) {
        kl_buf_init(&row, ROW_BYTES);
        vault_postings_write(key, postings, count, &row);
        assert_in_range(row.size, 1, 9 + 1 + 1 + 2 + (count < 512 ? count : 512));
        kl_buf_done(&row);
    }
}

static void test_any_flipped_bit_and_any_cut_is_noticed(void **state)
{
    static struct reading reading;
    static const struct vault_posting postings[] = {
        {.value = 3, .place = 9}, {.value = 3, .place = 200}, {.value = 1000, .place = 0}};
    struct vault_places places = {.words = {77}};
    struct kl_buf row;

    (void)state;
    kl_buf_init(&row, ROW_BYTES);
    vault_postings_write(key, postings, 3, &row);
    for (size_t bit = 0; bit < row.size * 8; bit++) {
        row.bytes[bit / 8] ^= (unsigned char)(1u << (bit % 8));
        assert_false(vault_postings_find(key, kl_buf_slice(&row), 3, &places));
        row.bytes[bit / 8] ^= (unsigned char)(1u << (bit % 8));
    }
    for (size_t size = 0; size < row.size; size++) {
        reading.count = 0;
        assert_false(vault_postings_read(key, kl_slice_of(row.bytes, size), take, &reading));
    }
    assert_int_equal(places.words[0], 77);
    kl_buf_done(&row);
}

static void test_the_row_of_another_key_is_refused(void **state)
{
    static const struct vault_posting posting = {.value = 3, .place = 9};
    struct vault_places places;
    struct kl_buf row;

    (void)state;
    kl_buf_init(&row, ROW_BYTES);
    vault_postings_write(key, &posting, 1, &row);
    assert_true(vault_postings_find(key, kl_buf_slice(&row), 3, &places));
    assert_false(vault_postings_find(kl_slice_text("K-another"), kl_buf_slice(&row), 3, &places));
    kl_buf_done(&row);
}

static void test_postings_sort_as_they_are_written(void **state)
{
    struct vault_posting postings[] = {{.value = 1, .place = 2, .kind = 2},
                                       {.value = 9, .place = 0, .kind = 1, .bucket = 1},
                                       {.value = 1, .place = 1, .kind = 2},
                                       {.value = 64, .place = 3, .kind = 1}};

    (void)state;
    qsort(postings, 4, sizeof postings[0], vault_posting_compare);
    assert_int_equal(postings[0].value, 64);
    assert_int_equal(postings[1].value, 9);
    assert_int_equal(postings[2].place, 1);
    assert_int_equal(postings[3].place, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_comes_back),
        cmocka_unit_test(test_a_row_is_no_longer_than_its_bitmaps),
        cmocka_unit_test(test_any_flipped_bit_and_any_cut_is_noticed),
        cmocka_unit_test(test_the_row_of_another_key_is_refused),
        cmocka_unit_test(test_postings_sort_as_they_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
