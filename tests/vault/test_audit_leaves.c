/* The leaves of a trail from its rows, and which numbers are lost. */
#include "vault/audit_leaves.h"

#include "tests/support/test.h"
#include "tests/support/trail_fixture.h"
#include "vault/rows.h"

#include <string.h>

static void put_lost(struct trail_fixture *fixture, uint64_t from, uint64_t until, size_t size)
{
    struct vault_row_key key = vault_row_lost(fixture->base->tenant, from);
    struct vault_batch *batch = vault_batch_new();
    unsigned char row[9] = {0};

    kl_put_u64be(row, until);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(row, size));
    assert_int_equal(vault_store_apply(fixture->base->store, batch, false, NULL), KL_OK);
    vault_batch_free(batch);
}

static enum kl_status lost_of(struct trail_fixture *fixture, struct vault_lost *ret,
                              struct kl_err *err)
{
    return vault_lost_read(fixture->base->store, fixture->base->tenant, ret, err);
}

static void test_ranges_tell_which_numbers_are_lost(void **state)
{
    struct trail_fixture *fixture = *state;
    struct vault_lost lost = {0};

    assert_int_equal(lost_of(fixture, &lost, NULL), KL_OK);
    assert_int_equal(lost.count, 0);
    assert_null(vault_lost_at(&lost, 0));
    put_lost(fixture, 10, 20, 8);
    put_lost(fixture, 30, 31, 8);
    assert_int_equal(lost_of(fixture, &lost, NULL), KL_OK);
    assert_int_equal(lost.count, 2);
    for (uint64_t i = 0; i < 40; i++) {
        const struct vault_lost_range *range = vault_lost_at(&lost, i);

        assert_true((range != NULL) == ((i >= 10 && i < 20) || i == 30));
        assert_true(range == NULL || (range->from <= i && i < range->until));
    }
    vault_lost_done(&lost);
}

static void test_damaged_ranges_are_told(void **state)
{
    struct trail_fixture *fixture = *state;
    struct vault_lost lost = {.count = 99};
    struct kl_err err = {0};

    put_lost(fixture, 10, 20, 7);
    assert_int_equal(lost_of(fixture, &lost, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "audit_lost_damaged");
    put_lost(fixture, 10, 10, 8);
    assert_int_equal(lost_of(fixture, &lost, NULL), KL_ERR_CORRUPT);
    put_lost(fixture, 10, 20, 8);
    put_lost(fixture, 19, 30, 8);
    assert_int_equal(lost_of(fixture, &lost, NULL), KL_ERR_CORRUPT);
    put_lost(fixture, 19, 30, 9);
    assert_int_equal(lost_of(fixture, &lost, NULL), KL_ERR_CORRUPT);
    assert_int_equal(lost.count, 99);
}

struct seen {
    struct trail_fixture *fixture;
    uint64_t next;
    uint64_t missing;
    size_t stop_after;
};

static enum kl_status see(void *visitor, const struct vault_leaf *leaf, struct kl_err *err)
{
    struct seen *seen = visitor;

    assert_int_equal(leaf->number, seen->next);
    if (leaf->number == seen->missing) {
        assert_int_equal(leaf->kind, VAULT_LEAF_MISSING);
        assert_int_equal(leaf->entry.size, 0);
    } else {
        assert_int_equal(leaf->kind, VAULT_LEAF_ENTRY);
        assert_memory_equal(leaf->hash, seen->fixture->leaves[leaf->number].bytes,
                            sizeof leaf->hash);
    }
    seen->next++;
    return seen->next == seen->stop_after ? kl_fail(err, KL_ERR_BUSY, "enough", "enough", NULL)
                                          : KL_OK;
}

static void test_every_number_is_visited_once_and_in_order(void **state)
{
    struct trail_fixture *fixture = *state;
    struct vault_row_key key = vault_row_audit(fixture->base->tenant, 7);
    struct seen seen = {.fixture = fixture, .missing = 7};
    struct vault_lost none = {0};
    struct kl_err err = {0};

    trail_fixture_append(fixture, 20, 5);
    trail_fixture_remove(fixture, vault_row_slice(&key));
    assert_int_equal(vault_leaves_each(fixture->base->store, fixture->base->tenant, &none, 0, 20,
                                       see, &seen, NULL),
                     KL_OK);
    assert_int_equal(seen.next, 20);
    seen.next = 7;
    assert_int_equal(vault_leaves_each(fixture->base->store, fixture->base->tenant, &none, 7, 8,
                                       see, &seen, NULL),
                     KL_OK);
    assert_int_equal(seen.next, 8);
    seen = (struct seen){.fixture = fixture, .missing = 7, .stop_after = 9};
    assert_int_equal(vault_leaves_each(fixture->base->store, fixture->base->tenant, &none, 0, 20,
                                       see, &seen, &err),
                     KL_ERR_BUSY);
    assert_string_equal(err.code, "enough");
    assert_int_equal(seen.next, 9);
    assert_int_equal(vault_leaves_each(fixture->base->store, fixture->base->tenant, &none, 5, 5,
                                       see, &seen, NULL),
                     KL_OK);
    assert_int_equal(seen.next, 9);
}

int main(void)
{
#define TEST(test) \
    cmocka_unit_test_setup_teardown(test, trail_fixture_setup, trail_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_ranges_tell_which_numbers_are_lost),
        TEST(test_damaged_ranges_are_told),
        TEST(test_every_number_is_visited_once_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
