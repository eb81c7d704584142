/* The rows of a request in clear. */
#include "vault/request_rows.h"

#include "tests/support/test.h"
#include "vault/manifest.h"

#include <string.h>

#define TENANT 5
#define SLOT 300

static void test_a_row_is_read_as_it_was_written(void **state)
{
    const struct kl_id id = kl_id_new();
    const struct vault_request_row now = {.value = VAULT_VALUE_FIRST, .due_us = 99, .open = true};
    struct vault_row_key key = vault_row_aside(TENANT, SLOT, 'r', &id);
    struct vault_batch *batch = vault_batch_new();
    struct vault_request_row read = {0};
    struct kl_slice row;
    unsigned char other[VAULT_REQUEST_ROW_BYTES];

    (void)state;
    vault_request_rows_put(batch, TENANT, SLOT, &id, NULL, &now);
    assert_int_equal(vault_batch_count(batch), 3);
    assert_true(vault_batch_find(batch, vault_row_slice(&key), &row));
    assert_true(vault_request_row_read(row, &read));
    assert_int_equal(read.value, VAULT_VALUE_FIRST);
    assert_int_equal(read.due_us, 99);
    assert_true(read.open);
    memcpy(other, row.bytes, sizeof other);
    assert_false(vault_request_row_read(kl_slice_of(other, sizeof other - 1), &read));
    other[16] = 2;
    assert_false(vault_request_row_read(kl_slice_of(other, sizeof other), &read));
    other[16] = 1;
    other[8] = 0x80;
    assert_false(vault_request_row_read(kl_slice_of(other, sizeof other), &read));
    memset(other, 0, 8); /* the base's own slot */
    other[8] = 0;
    assert_false(vault_request_row_read(kl_slice_of(other, sizeof other), &read));
    vault_batch_free(batch);
}

static void test_a_change_takes_the_old_rows_away(void **state)
{
    const struct kl_id id = kl_id_new();
    const struct vault_request_row was = {.value = VAULT_VALUE_FIRST, .due_us = 99, .open = true};
    const struct vault_request_row now = {.value = VAULT_VALUE_FIRST, .due_us = 99, .open = false};
    struct vault_row_key before = vault_row_request_due(TENANT, true, 99, &id);
    struct vault_row_key after = vault_row_request_due(TENANT, false, 99, &id);
    struct vault_row_key by_id = vault_row_request(TENANT, &id);
    struct vault_batch *batch = vault_batch_new();
    struct kl_slice row;

    (void)state;
    vault_request_rows_put(batch, TENANT, SLOT, &id, &was, &now);
    assert_true(vault_batch_find(batch, vault_row_slice(&before), &row));
    assert_null(row.bytes);
    assert_true(vault_batch_find(batch, vault_row_slice(&after), &row));
    assert_int_equal(kl_get_u64be(row.bytes), SLOT);
    assert_true(vault_batch_find(batch, vault_row_slice(&by_id), &row));
    assert_int_equal(kl_get_u64be(row.bytes), SLOT);
    vault_batch_free(batch);
}

static void test_keys_of_open_requests_sort_by_deadline_before_closed_ones(void **state)
{
    const struct kl_id id = kl_id_new();
    struct vault_row_key early = vault_row_request_due(TENANT, true, 255, &id);
    struct vault_row_key late = vault_row_request_due(TENANT, true, 256, &id);
    struct vault_row_key closed = vault_row_request_due(TENANT, false, 1, &id);

    (void)state;
    assert_true(memcmp(early.bytes, late.bytes, early.size) < 0);
    assert_true(memcmp(late.bytes, closed.bytes, late.size) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_row_is_read_as_it_was_written),
        cmocka_unit_test(test_a_change_takes_the_old_rows_away),
        cmocka_unit_test(test_keys_of_open_requests_sort_by_deadline_before_closed_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
