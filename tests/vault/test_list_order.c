/* Heads in windows, mixed within each: everybody once, in an order that another key does not give. */
#include "vault/list_order.h"

#include "tests/support/test.h"
#include "tests/support/vault_fixture.h"
#include "vault/rows.h"

#include <string.h>

#define TENANT 77 /* nobody's: only keys are looked at */
#define FIRST 100
#define BEHIND 5

static const unsigned char key[VAULT_LIST_KEY_BYTES] = "one recipient";
static const unsigned char other[VAULT_LIST_KEY_BYTES] = "another one";

static void heads_put(struct vault_fixture *fixture, uint64_t first, size_t count)
{
    struct vault_batch *batch = vault_batch_new();
    size_t i;

    assert_non_null(batch);
    for (i = 0; i < count; i++) {
        const struct vault_row_key row = vault_row_head(TENANT, first + 3 * i);

        vault_batch_put(batch, vault_row_slice(&row), kl_slice_text("head"));
    }
    assert_int_equal(vault_store_apply(fixture_vault(fixture)->data_store, batch, false, NULL),
                     KL_OK);
    vault_batch_free(batch);
}

static size_t window(struct vault_fixture *fixture, const unsigned char *of,
                     struct vault_list_position *position, uint64_t **ret_slots, bool *ret_more)
{
    size_t count = 0;

    assert_int_equal(vault_list_window(fixture_vault(fixture), TENANT, of, position, fixture->arena,
                                       ret_slots, &count, ret_more, NULL),
                     KL_OK);
    return count;
}

static void test_a_window_has_everybody_once_and_keeps_its_end(void **state)
{
    static bool seen[VAULT_LIST_WINDOW];
    struct vault_fixture *fixture = *state;
    struct vault_list_position position = {0, VAULT_LIST_OPEN, VAULT_LIST_OPEN};
    struct vault_list_position behind;
    uint64_t *slots = NULL;
    uint64_t *rest = NULL;
    bool more = false;
    size_t i;

    heads_put(fixture, FIRST, VAULT_LIST_WINDOW + BEHIND);
    assert_int_equal(window(fixture, key, &position, &slots, &more), VAULT_LIST_WINDOW);
    assert_true(more);
    assert_int_equal(position.last, FIRST + 3 * (VAULT_LIST_WINDOW - 1));
    for (i = 0; i < VAULT_LIST_WINDOW; i++) {
        size_t number = (size_t)(slots[i] - FIRST) / 3;

        assert_true(number < VAULT_LIST_WINDOW && !seen[number]);
        seen[number] = true;
    }
    position.after = slots[12344];
    assert_int_equal(window(fixture, key, &position, &rest, &more), VAULT_LIST_WINDOW - 12345);
    assert_memory_equal(rest, slots + 12345, (VAULT_LIST_WINDOW - 12345) * sizeof *rest);
    behind = (struct vault_list_position){position.last + 1, VAULT_LIST_OPEN, VAULT_LIST_OPEN};
    assert_int_equal(window(fixture, key, &behind, &rest, &more), BEHIND);
    assert_false(more);
    heads_put(fixture, FIRST + 3 * (VAULT_LIST_WINDOW + BEHIND), 1); /* who comes later */
    behind.after = rest[1];
    assert_int_equal(window(fixture, key, &behind, &rest, &more), BEHIND - 2);
    assert_true(more);
}

static void test_another_key_is_another_order(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_list_position position = {0, VAULT_LIST_OPEN, VAULT_LIST_OPEN};
    uint64_t *one = NULL;
    uint64_t *two = NULL;
    size_t same = 0;
    size_t rising = 0;
    size_t i;
    bool more = true;

    heads_put(fixture, FIRST, 1000);
    assert_int_equal(window(fixture, key, &position, &one, &more), 1000);
    assert_int_equal(window(fixture, other, &position, &two, &more), 1000);
    assert_false(more);
    for (i = 0; i < 1000; i++) {
        same += one[i] == two[i] ? 1 : 0;
        rising += i > 0 && one[i] > one[i - 1] ? 1 : 0;
    }
    assert_true(same < 10);                    /* one by chance */
    assert_true(rising > 400 && rising < 600); /* half by chance */
}

static void test_of_nobody_there_is_an_empty_window(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_list_position position = {0, VAULT_LIST_OPEN, VAULT_LIST_OPEN};
    uint64_t *slots = NULL;
    bool more = true;

    assert_int_equal(window(fixture, key, &position, &slots, &more), 0);
    assert_false(more);
}

static void test_a_position_reads_back_as_it_was_written(void **state)
{
    const struct vault_list_position position = {1, VAULT_LIST_OPEN, 3};
    unsigned char bytes[VAULT_LIST_POSITION_BYTES];
    struct vault_list_position read = {0};

    (void)state;
    vault_list_position_encode(&position, bytes);
    assert_false(vault_list_position_decode(kl_slice_of(bytes, sizeof bytes - 1), &read));
    assert_int_equal(read.first, 0);
    assert_true(vault_list_position_decode(kl_slice_of(bytes, sizeof bytes), &read));
    assert_memory_equal(&read, &position, sizeof read);
}

#define TEST(test) \
    cmocka_unit_test_setup_teardown(test, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_window_has_everybody_once_and_keeps_its_end),
        TEST(test_another_key_is_another_order),
        TEST(test_of_nobody_there_is_an_empty_window),
        cmocka_unit_test(test_a_position_reads_back_as_it_was_written),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
