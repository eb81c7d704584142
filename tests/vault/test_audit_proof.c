/* Proofs from the stored tree, held against the RFC's own definitions. */
#include "vault/audit_proof.h"

#include "tests/support/test.h"
#include "tests/support/trail_fixture.h"
#include "vault/audit_leaves.h"
#include "vault/rows.h"

#include <string.h>

static struct vault_tree_reader *reader_of(struct trail_fixture *fixture)
{
    struct vault_tree_reader *reader = NULL;

    assert_int_equal(vault_tree_reader_new(fixture->trails, fixture->base->tenant, &reader, NULL),
                     KL_OK);
    assert_int_equal(vault_tree_size(reader), fixture->count);
    return reader;
}

static void assert_proof(const struct vault_tree_proof *proof,
                         const struct kl_merkle_hash *expected, size_t count)
{
    assert_int_equal(proof->count, count);
    if (count > 0) {
        assert_memory_equal(proof->hashes, expected, count * sizeof *expected);
    }
}

static void assert_inclusion(struct trail_fixture *fixture, struct vault_tree_reader *reader,
                             size_t index, size_t size)
{
    struct kl_merkle_hash expected[KL_MERKLE_PROOF_MAX];
    struct vault_tree_proof proof;

    assert_int_equal(vault_tree_inclusion(reader, index, size, &proof, NULL), KL_OK);
    assert_proof(&proof, expected, naive_path(index, fixture->leaves, size, expected));
}

static void assert_consistency(struct trail_fixture *fixture, struct vault_tree_reader *reader,
                               size_t from, size_t to)
{
    struct kl_merkle_hash expected[KL_MERKLE_PROOF_MAX];
    struct vault_tree_proof proof;

    assert_int_equal(vault_tree_consistency(reader, from, to, &proof, NULL), KL_OK);
    assert_proof(&proof, expected, naive_proof(from, fixture->leaves, to, expected));
}

static void assert_root(struct trail_fixture *fixture, struct vault_tree_reader *reader,
                        size_t size)
{
    struct kl_merkle_hash expected;
    struct kl_merkle_hash root;

    naive_root(fixture->leaves, size, &expected);
    assert_int_equal(vault_tree_root(reader, size, root.bytes, NULL), KL_OK);
    assert_memory_equal(root.bytes, expected.bytes, sizeof root);
}

static void test_all_proofs_of_all_sizes_to_300_are_those_of_the_rfc(void **state)
{
    struct trail_fixture *fixture = *state;

    while (fixture->count < 300) {
        trail_fixture_append(fixture, 1, 1);
        struct vault_tree_reader *reader = reader_of(fixture);
        size_t size = fixture->count;
        assert_root(fixture, reader, size);
        for (size_t i = 0; i < size; i++) {
            assert_inclusion(fixture, reader, i, size);
            assert_consistency(fixture, reader, i + 1, size);
        }
        vault_tree_reader_free(reader);
    }
}

static void test_proofs_about_every_earlier_size_can_be_had(void **state)
{
    struct trail_fixture *fixture = *state;
    struct vault_tree_reader *reader;

    trail_fixture_append(fixture, 600, 50);
    reader = reader_of(fixture);
    for (size_t size = 1; size <= 600; size += 11) {
        assert_root(fixture, reader, size);
        for (size_t i = 0; i < size; i += 37) {
            assert_inclusion(fixture, reader, i, size);
            assert_consistency(fixture, reader, i + 1, size);
        }
    }
    vault_tree_reader_free(reader);
}

/* The ends of tiles of level 0 and 1, in groups that end on them and beside them, with restarts in between. */
static void test_proofs_hold_across_the_ends_of_tiles(void **state)
{
    static const size_t sizes[] = {255, 256, 257, 511, 512, 513, 65535, 65536, 65537};
    struct trail_fixture *fixture = *state;

    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t size = sizes[s];
        const size_t entries[] = {0, 255, 256, 65535, size / 2, size - 1};
        struct vault_tree_reader *reader;

        trail_fixture_append(fixture, size - fixture->count, 700);
        trail_fixture_reopen(fixture);
        reader = reader_of(fixture);
        assert_root(fixture, reader, size);
        for (size_t e = 0; e < sizeof entries / sizeof entries[0]; e++) {
            if (entries[e] < size) {
                assert_inclusion(fixture, reader, entries[e], size);
                assert_consistency(fixture, reader, entries[e] + 1, size);
            }
        }
        vault_tree_reader_free(reader);
    }
}

/* They are a million, and no leaves of the fixture; the end is held against the tree that grew. */
static void test_lost_numbers_are_leaves_without_rows(void **state)
{
    struct trail_fixture *fixture = *state;
    struct vault_tree_reader *reader = NULL;
    struct vault_tree_proof proof;
    unsigned char root[KL_MERKLE_HASH_BYTES];
    unsigned char expected[KL_MERKLE_HASH_BYTES];
    unsigned char leaf[KL_MERKLE_HASH_BYTES];
    unsigned char first_root[KL_MERKLE_HASH_BYTES];
    uint64_t size = 0;
    size_t lost;
    size_t tiles;

    trail_fixture_append(fixture, 700, 100);
    tiles = store_fixture_rows(fixture->base->store, 'G');
    lost = trail_fixture_lose(fixture);
    assert_true(lost > 1000000);
    assert_true(store_fixture_rows(fixture->base->store, 'G') < tiles + 8);
    trail_fixture_reopen(fixture);
    trail_fixture_append(fixture, 300, 7);
    assert_int_equal(
        vault_trails_root(fixture->trails, fixture->base->tenant, &size, expected, NULL), KL_OK);
    assert_int_equal(size, 1000 + lost);
    assert_int_equal(vault_tree_reader_new(fixture->trails, fixture->base->tenant, &reader, NULL),
                     KL_OK);
    assert_int_equal(vault_tree_root(reader, size, root, NULL), KL_OK);
    assert_memory_equal(root, expected, sizeof root);
    vault_lost_leaf(leaf);
    for (uint64_t index = 600; index < size; index += index < 1200 ? 1 : lost / 3) {
        const unsigned char *expected_leaf = index < 700 ? fixture->leaves[index].bytes
                                             : index < 700 + lost
                                                 ? leaf
                                                 : fixture->leaves[index - lost].bytes;
        assert_int_equal(vault_tree_inclusion(reader, index, size, &proof, NULL), KL_OK);
        assert_true(
            kl_merkle_includes(index, size, expected_leaf, proof.hashes, proof.count, root));
    }
    for (uint64_t from = 690; from < size; from += from < 1200 ? 1 : lost / 3) {
        assert_int_equal(vault_tree_root(reader, from, first_root, NULL), KL_OK);
        assert_int_equal(vault_tree_consistency(reader, from, size, &proof, NULL), KL_OK);
        assert_true(kl_merkle_consistent(from, size, first_root, root, proof.hashes, proof.count));
    }
    vault_tree_reader_free(reader);
}

static void test_an_entry_is_found_by_its_id(void **state)
{
    struct trail_fixture *fixture = *state;
    struct kl_id other = kl_id_new();
    struct kl_err err = {0};
    uint64_t index = 99;

    trail_fixture_append(fixture, 300, 100);
    for (size_t i = 0; i < 300; i++) {
        assert_int_equal(vault_audit_find(fixture->base->store, fixture->base->tenant,
                                          &fixture->ids[i], &index, NULL),
                         KL_OK);
        assert_int_equal(index, i);
    }
    index = 99;
    assert_int_equal(
        vault_audit_find(fixture->base->store, fixture->base->tenant, &other, &index, &err),
        KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "not_found");
    memcpy(&other, &fixture->ids[7], KL_ID_BYTES / 2); /* the same row, another entry */
    assert_int_equal(
        vault_audit_find(fixture->base->store, fixture->base->tenant, &other, &index, NULL),
        KL_ERR_NOT_FOUND);
    assert_int_equal(vault_audit_find(fixture->base->store, fixture->base->tenant + 1,
                                      &fixture->ids[7], &index, NULL),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(index, 99);
}

static void test_the_id_of_an_entry_is_read_from_its_beginning_alone(void **state)
{
    (void)state;
    struct kl_id id;
    struct kl_err err = {0};

    assert_int_equal(
        vault_audit_entry_id(
            kl_slice_text("{\"id\":\"aud_0ARBSGRJY07W1DXP7FS9HSZJXE\",\"at\":\"\"}"), &id, NULL),
        KL_OK);
    assert_int_equal(
        vault_audit_entry_id(kl_slice_text("{\"id\":\"aud_0ARBSGRJY07W1DXP7FS9HSZJX"), &id, &err),
        KL_ERR_CORRUPT);
    assert_string_equal(err.code, "audit_damaged");
    assert_int_equal(
        vault_audit_entry_id(
            kl_slice_text("{\"id\":\"sub_0ARBSGRJY07W1DXP7FS9HSZJXE\",\"at\":\"\"}"), &id, NULL),
        KL_ERR_CORRUPT);
    assert_int_equal(
        vault_audit_entry_id(
            kl_slice_text("{\"id\":\"aud_ZZRBSGRJY07W1DXP7FS9HSZJXE\",\"at\":\"\"}"), &id, NULL),
        KL_ERR_CORRUPT);
    assert_int_equal(vault_audit_entry_id(kl_slice_of(NULL, 0), &id, NULL), KL_ERR_CORRUPT);
}

static void test_a_tile_that_is_gone_or_cut_short_is_told(void **state)
{
    struct trail_fixture *fixture = *state;
    struct vault_row_key key = vault_row_tile(fixture->base->tenant, 0, 1);
    struct vault_batch *batch = vault_batch_new();
    struct vault_tree_reader *reader;
    struct vault_tree_proof proof = {.count = 99};
    struct kl_err err = {0};
    unsigned char half[5 * KL_MERKLE_HASH_BYTES] = {0};

    trail_fixture_append(fixture, 600, 100);
    trail_fixture_remove(fixture, vault_row_slice(&key));
    reader = reader_of(fixture);
    assert_int_equal(vault_tree_inclusion(reader, 300, 600, &proof, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "audit_tile_damaged");
    assert_int_equal(proof.count, 99);
    assert_int_equal(vault_tree_inclusion(reader, 3, 600, &proof, NULL), KL_OK);
    vault_tree_reader_free(reader);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(half, sizeof half));
    assert_int_equal(vault_store_apply(fixture->base->store, batch, false, NULL), KL_OK);
    reader = reader_of(fixture);
    assert_int_equal(vault_tree_inclusion(reader, 300, 600, &proof, NULL), KL_ERR_CORRUPT);
    vault_tree_reader_free(reader);
    vault_batch_clear(batch);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(half, 33));
    assert_int_equal(vault_store_apply(fixture->base->store, batch, false, NULL), KL_OK);
    reader = reader_of(fixture);
    assert_int_equal(vault_tree_inclusion(reader, 300, 600, &proof, NULL), KL_ERR_CORRUPT);
    vault_tree_reader_free(reader);
    vault_batch_free(batch);
}

int main(void)
{
#define TEST(test) \
    cmocka_unit_test_setup_teardown(test, trail_fixture_setup, trail_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_all_proofs_of_all_sizes_to_300_are_those_of_the_rfc),
        TEST(test_proofs_about_every_earlier_size_can_be_had),
        TEST(test_proofs_hold_across_the_ends_of_tiles),
        TEST(test_lost_numbers_are_leaves_without_rows),
        TEST(test_an_entry_is_found_by_its_id),
        TEST(test_a_tile_that_is_gone_or_cut_short_is_told),
        cmocka_unit_test(test_the_id_of_an_entry_is_read_from_its_beginning_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
