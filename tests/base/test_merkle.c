#include "kluis/base/merkle.h"

#include "kluis/base/encode.h"
#include "tests/support/merkle_naive.h"
#include "tests/support/test.h"

#include <string.h>

#define LEAVES 300

static struct kl_merkle_hash leaves[LEAVES];

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEAVES; i++) {
        unsigned char entry[2] = {(unsigned char)(i >> 8), (unsigned char)i};
        kl_merkle_leaf(kl_slice_of(entry, sizeof(entry)), leaves[i].bytes);
    }
    return 0;
}

static void test_the_root_of_every_size_is_that_of_the_rfc(void **state)
{
    (void)state;
    struct kl_merkle_tree tree = {.size = 0};
    for (size_t size = 0; size < LEAVES; size++) {
        struct kl_merkle_hash expected;
        struct kl_merkle_hash root;
        naive_root(leaves, size, &expected);
        kl_merkle_root(&tree, root.bytes);
        assert_memory_equal(root.bytes, expected.bytes, sizeof(root));
        kl_merkle_append(&tree, leaves[size].bytes);
    }
}

/* The test vectors that the Certificate Transparency implementations share: eight inputs, root after each. */
static void test_the_roots_of_known_inputs_are_the_known_ones(void **state)
{
    (void)state;
    static const char *const inputs[] = {"",
                                         "00",
                                         "10",
                                         "2021",
                                         "3031",
                                         "40414243",
                                         "5051525354555657",
                                         "606162636465666768696a6b6c6d6e6f"};
    static const char *const roots[] = {
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
    struct kl_merkle_tree tree = {.size = 0};
    for (size_t i = 0; i < 8; i++) {
        unsigned char entry[16];
        unsigned char leaf[KL_MERKLE_HASH_BYTES];
        unsigned char root[KL_MERKLE_HASH_BYTES];
        char text[2 * KL_MERKLE_HASH_BYTES + 1];
        size_t size = strlen(inputs[i]) / 2;
        assert_true(size == 0 || kl_hex_decode(inputs[i], strlen(inputs[i]), entry, size));
        kl_merkle_leaf(kl_slice_of(entry, size), leaf);
        kl_merkle_append(&tree, leaf);
        kl_merkle_root(&tree, root);
        kl_hex(root, sizeof(root), text);
        assert_string_equal(text, roots[i]);
    }
}

static void test_filling_is_the_same_as_appending_one_by_one(void **state)
{
    (void)state;
    for (size_t size = 0; size < 40; size++) {
        for (size_t count = 0; count < 140; count++) {
            struct kl_merkle_tree filled = {.size = 0};
            struct kl_merkle_tree one_by_one = {.size = 0};
            for (size_t i = 0; i < size; i++) {
                kl_merkle_append(&filled, leaves[i].bytes);
                kl_merkle_append(&one_by_one, leaves[i].bytes);
            }
            kl_merkle_fill(&filled, count, leaves[LEAVES - 1].bytes);
            for (size_t i = 0; i < count; i++) {
                kl_merkle_append(&one_by_one, leaves[LEAVES - 1].bytes);
            }
            assert_int_equal(filled.size, one_by_one.size);
            assert_memory_equal(filled.hashes, one_by_one.hashes,
                                (size_t)__builtin_popcountll(filled.size) * KL_MERKLE_HASH_BYTES);
        }
    }
}

static void test_an_inclusion_proof_holds_for_its_entry_alone(void **state)
{
    (void)state;
    struct kl_merkle_hash proof[KL_MERKLE_PROOF_MAX];
    struct kl_merkle_hash root;
    for (size_t size = 1; size <= LEAVES; size += size < 40 ? 1 : 13) {
        naive_root(leaves, size, &root);
        for (size_t i = 0; i < size; i += size < 40 ? 1 : 7) {
            size_t count = naive_path(i, leaves, size, proof);
            assert_true(kl_merkle_includes(i, size, leaves[i].bytes, proof, count, root.bytes));
            assert_false(
                kl_merkle_includes(i + 1, size, leaves[i].bytes, proof, count, root.bytes));
            assert_false(kl_merkle_includes(i, size, leaves[(i + 1) % LEAVES].bytes, proof, count,
                                            root.bytes));
            assert_false(
                kl_merkle_includes(i, size, leaves[i].bytes, proof, count + 1, root.bytes));
            if (count > 0) {
                assert_false(
                    kl_merkle_includes(i, size, leaves[i].bytes, proof, count - 1, root.bytes));
                proof[count - 1].bytes[31] ^= 1;
                assert_false(
                    kl_merkle_includes(i, size, leaves[i].bytes, proof, count, root.bytes));
            }
        }
    }
    assert_false(kl_merkle_includes(0, 0, leaves[0].bytes, proof, 0, leaves[0].bytes));
    assert_true(kl_merkle_includes(0, 1, leaves[0].bytes, proof, 0, leaves[0].bytes));
}

static void test_a_consistency_proof_holds_for_its_two_trees_alone(void **state)
{
    (void)state;
    struct kl_merkle_hash proof[KL_MERKLE_PROOF_MAX];
    struct kl_merkle_hash from_root;
    struct kl_merkle_hash to_root;
    for (size_t to = 1; to <= LEAVES; to += to < 40 ? 1 : 13) {
        naive_root(leaves, to, &to_root);
        for (size_t from = 1; from <= to; from += to < 40 ? 1 : 7) {
            size_t count = naive_proof(from, leaves, to, proof);
            naive_root(leaves, from, &from_root);
            assert_true(
                kl_merkle_consistent(from, to, from_root.bytes, to_root.bytes, proof, count));
            assert_false(
                kl_merkle_consistent(from, to, from_root.bytes, to_root.bytes, proof, count + 1));
            assert_false(kl_merkle_consistent(from, to, leaves[(from + 1) % LEAVES].bytes,
                                              to_root.bytes, proof, count));
            assert_false(kl_merkle_consistent(from, to, from_root.bytes,
                                              leaves[(to + 1) % LEAVES].bytes, proof, count));
            if (count > 0) {
                assert_false(kl_merkle_consistent(from, to, from_root.bytes, to_root.bytes, proof,
                                                  count - 1));
                proof[count - 1].bytes[0] ^= 0x80;
                assert_false(
                    kl_merkle_consistent(from, to, from_root.bytes, to_root.bytes, proof, count));
            }
        }
    }
    assert_false(kl_merkle_consistent(0, 1, leaves[0].bytes, leaves[0].bytes, proof, 0));
    assert_false(kl_merkle_consistent(2, 1, leaves[0].bytes, leaves[0].bytes, proof, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_root_of_every_size_is_that_of_the_rfc),
        cmocka_unit_test(test_the_roots_of_known_inputs_are_the_known_ones),
        cmocka_unit_test(test_filling_is_the_same_as_appending_one_by_one),
        cmocka_unit_test(test_an_inclusion_proof_holds_for_its_entry_alone),
        cmocka_unit_test(test_a_consistency_proof_holds_for_its_two_trees_alone),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
