/* The stored tree beside a trail that grows, is of an older version, or is damaged. */
#include "vault/audit_internal.h"

#include "tests/support/test.h"
#include "tests/support/trail_fixture.h"
#include "tests/support/vault_fixture.h"
#include "vault/audit_proof.h"
#include "vault/rows.h"
#include "vault/vault_internal.h"

#include <stdio.h>

/* As an older version left it: entries and a frontier, and no tree. */
static void forget_tree(struct trail_fixture *fixture)
{
    struct vault_row_key tiled = vault_row_tiled(fixture->base->tenant);

    trail_fixture_remove(fixture, kl_slice_text("G"));
    trail_fixture_remove(fixture, kl_slice_text("J"));
    trail_fixture_remove(fixture, vault_row_slice(&tiled));
    trail_fixture_reopen(fixture);
}

static enum kl_status tree_size(struct trail_fixture *fixture, uint64_t *ret_size,
                                struct kl_err *err)
{
    return vault_trail_tiled(fixture->trails, fixture->base->tenant, ret_size, err);
}

static void assert_tree(struct trail_fixture *fixture)
{
    struct vault_tree_reader *reader = NULL;
    unsigned char expected[KL_MERKLE_HASH_BYTES];
    unsigned char root[KL_MERKLE_HASH_BYTES];
    struct vault_tree_proof proof;
    uint64_t size = 0;
    uint64_t index = 0;

    assert_int_equal(
        vault_trails_root(fixture->trails, fixture->base->tenant, &size, expected, NULL), KL_OK);
    assert_int_equal(size, fixture->count);
    assert_int_equal(vault_tree_reader_new(fixture->trails, fixture->base->tenant, &reader, NULL),
                     KL_OK);
    assert_int_equal(vault_tree_root(reader, size, root, NULL), KL_OK);
    assert_memory_equal(root, expected, sizeof root);
    for (uint64_t i = 0; i < size; i += 97) {
        assert_int_equal(vault_tree_inclusion(reader, i, size, &proof, NULL), KL_OK);
        assert_true(
            kl_merkle_includes(i, size, fixture->leaves[i].bytes, proof.hashes, proof.count, root));
        assert_int_equal(vault_audit_find(fixture->base->store, fixture->base->tenant,
                                          &fixture->ids[i], &index, NULL),
                         KL_OK);
        assert_int_equal(index, i);
    }
    vault_tree_reader_free(reader);
}

static void test_a_short_trail_of_an_older_version_is_caught_up_with_by_the_next_entry(void **state)
{
    struct trail_fixture *fixture = *state;
    struct kl_err err = {0};
    uint64_t size = 99;

    trail_fixture_append(fixture, 900, 100);
    forget_tree(fixture);
    assert_int_equal(tree_size(fixture, &size, &err), KL_ERR_UNAVAILABLE);
    assert_string_equal(err.code, "audit_tree_building");
    assert_true(err.retry_after_s > 0);
    assert_int_equal(size, 99);
    trail_fixture_append(fixture, 1, 1);
    assert_tree(fixture);
    trail_fixture_append(fixture, 300, 30);
    assert_tree(fixture);
}

static void test_a_long_one_is_left_to_the_upkeep(void **state)
{
    struct trail_fixture *fixture = *state;
    uint64_t size = 99;

    trail_fixture_append(fixture, 3000, 100);
    forget_tree(fixture);
    trail_fixture_append(fixture, 10, 1);
    assert_int_equal(tree_size(fixture, &size, NULL), KL_ERR_UNAVAILABLE);
    assert_int_equal(store_fixture_rows(fixture->base->store, 'G'), 0);
}

static void test_damage_stops_proofs_and_no_commit(void **state)
{
    struct trail_fixture *fixture = *state;
    struct vault_row_key last = vault_row_tile(fixture->base->tenant, 255, 3);
    struct kl_err err = {0};
    uint64_t size = 99;

    trail_fixture_append(fixture, 10, 5);
    trail_fixture_remove(fixture, vault_row_slice(&last));
    trail_fixture_reopen(fixture);
    trail_fixture_append(fixture, 5, 1);
    assert_int_equal(vault_trails_size(fixture->trails, fixture->base->tenant, &size, NULL), KL_OK);
    assert_int_equal(size, 15);
    assert_int_equal(tree_size(fixture, &size, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "audit_tile_damaged");
}

static void test_a_tree_that_covers_more_than_there_is_is_damaged(void **state)
{
    struct trail_fixture *fixture = *state;
    struct vault_row_key tiled = vault_row_tiled(fixture->base->tenant);
    uint64_t size = 99;

    trail_fixture_append(fixture, 10, 5);
    trail_fixture_edit(fixture, vault_row_slice(&tiled), 0);
    trail_fixture_reopen(fixture);
    assert_int_equal(tree_size(fixture, &size, NULL), KL_ERR_CORRUPT);
    trail_fixture_append(fixture, 5, 1);
}

static void test_a_group_given_up_leaves_the_tree_as_it_was(void **state)
{
    struct trail_fixture *fixture = *state;
    static const struct vault_audit_who who = {.role = "operator", .at_us = 1700000000000000};
    struct vault_audit_entry entry;
    const struct vault_audit_entry *entries[1] = {&entry};
    struct vault_batch *batch = vault_batch_new();
    struct kl_json_out out;

    trail_fixture_append(fixture, 255, 5);
    vault_audit_begin(&entry, fixture->base->tenant, &who, "read", &out);
    assert_int_equal(vault_audit_end(&entry, &out, NULL), KL_OK);
    assert_int_equal(vault_trails_append(fixture->trails, entries, 1, batch, NULL), KL_OK);
    vault_trails_frontiers(fixture->trails, batch);
    vault_trails_applied(fixture->trails, false, false);
    vault_audit_done(&entry);
    vault_batch_free(batch);
    assert_tree(fixture);
    trail_fixture_append(fixture, 300, 7);
    assert_tree(fixture);
}

/* ---- a whole vault ---- */

static void remove_rows(struct vault_store *store, char kind)
{
    struct vault_batch *batch = vault_batch_new();
    const unsigned char first[1] = {(unsigned char)kind};
    const unsigned char past[1] = {(unsigned char)(kind + 1)};

    vault_batch_remove_range(batch, kl_slice_of(first, 1), kl_slice_of(past, 1));
    assert_int_equal(vault_store_apply(store, batch, false, NULL), KL_OK);
    vault_batch_free(batch);
}

static void test_upkeep_makes_the_trees_of_an_older_version(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_row_key tiled = vault_row_tiled(fixture_tenant(fixture));
    struct vault_batch *batch = vault_batch_new();
    struct vault *vault = fixture_vault(fixture);
    struct vault_tree_reader *reader = NULL;
    unsigned char expected[KL_MERKLE_HASH_BYTES];
    unsigned char root[KL_MERKLE_HASH_BYTES];
    uint64_t size = 0;

    for (int i = 0; i < 40; i++) {
        char email[32];
        (void)snprintf(email, sizeof email, "ana%d@example.org", i);
        (void)fixture_newsletter(fixture, email, true);
    }
    remove_rows(vault->data_store, 'G');
    remove_rows(vault->data_store, 'J');
    vault_batch_remove(batch, vault_row_slice(&tiled));
    assert_int_equal(vault_store_apply(vault->data_store, batch, false, NULL), KL_OK);
    vault_batch_free(batch);
    fixture_reopen(fixture);
    vault = fixture_vault(fixture);
    assert_int_equal(vault_tree_reader_new(vault->trails, fixture_tenant(fixture), &reader, NULL),
                     KL_ERR_UNAVAILABLE);
    assert_int_equal(vault_upkeep_run(vault, NULL), KL_OK);
    assert_int_equal(vault_tree_reader_new(vault->trails, fixture_tenant(fixture), &reader, NULL),
                     KL_OK);
    assert_int_equal(
        vault_trails_root(vault->trails, fixture_tenant(fixture), &size, expected, NULL), KL_OK);
    assert_int_equal(vault_tree_root(reader, size, root, NULL), KL_OK);
    assert_memory_equal(root, expected, sizeof root);
    vault_tree_reader_free(reader);
}

int main(void)
{
#define TRAIL_TEST(test) \
    cmocka_unit_test_setup_teardown(test, trail_fixture_setup, trail_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TRAIL_TEST(test_a_short_trail_of_an_older_version_is_caught_up_with_by_the_next_entry),
        TRAIL_TEST(test_a_long_one_is_left_to_the_upkeep),
        TRAIL_TEST(test_damage_stops_proofs_and_no_commit),
        TRAIL_TEST(test_a_tree_that_covers_more_than_there_is_is_damaged),
        TRAIL_TEST(test_a_group_given_up_leaves_the_tree_as_it_was),
        cmocka_unit_test_setup_teardown(test_upkeep_makes_the_trees_of_an_older_version,
                                        vault_fixture_setup, vault_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
