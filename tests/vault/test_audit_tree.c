#include "vault/audit_tree.h"

#include "tests/support/test.h"

#include "kluis/base/encode.h"

#include <sodium.h>
#include <string.h>

#define LEAVES 258

static void leaf_of(size_t i, unsigned char ret[VAULT_AUDIT_HASH_BYTES])
{
    unsigned char entry[2] = {(unsigned char)(i >> 8), (unsigned char)i};
    vault_audit_leaf_hash(kl_slice_of(entry, sizeof(entry)), ret);
}

/* MTH of RFC 9162, section 2.1.1, word for word: split at the largest power of two below n. */
static void naive_root(size_t first, size_t n, unsigned char ret[VAULT_AUDIT_HASH_BYTES])
{
    unsigned char both[1 + 2 * VAULT_AUDIT_HASH_BYTES] = {0x01};
    size_t k = 1;
    if (n == 0) {
        crypto_hash_sha256(ret, NULL, 0);
        return;
    }
    if (n == 1) {
        unsigned char entry[3] = {0x00, (unsigned char)(first >> 8), (unsigned char)first};
        crypto_hash_sha256(ret, entry, sizeof(entry));
        return;
    }
    while (k * 2 < n) {
        k *= 2;
    }
    naive_root(first, k, both + 1);
    naive_root(first + k, n - k, both + 1 + VAULT_AUDIT_HASH_BYTES);
    crypto_hash_sha256(ret, both, sizeof(both));
}

static void test_the_root_of_every_size_is_that_of_the_rfc(void **state)
{
    (void)state;
    struct vault_audit_tree tree = {.size = 0};
    for (size_t size = 0; size < LEAVES; size++) {
        unsigned char expected[VAULT_AUDIT_HASH_BYTES];
        unsigned char root[VAULT_AUDIT_HASH_BYTES];
        unsigned char leaf[VAULT_AUDIT_HASH_BYTES];
        naive_root(0, size, expected);
        vault_audit_tree_root(&tree, root);
        assert_memory_equal(root, expected, sizeof(root));
        leaf_of(size, leaf);
        vault_audit_tree_append(&tree, leaf);
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
    struct vault_audit_tree tree = {.size = 0};
    for (size_t i = 0; i < 8; i++) {
        unsigned char entry[16];
        unsigned char leaf[VAULT_AUDIT_HASH_BYTES];
        unsigned char root[VAULT_AUDIT_HASH_BYTES];
        char text[2 * VAULT_AUDIT_HASH_BYTES + 1];
        size_t size = strlen(inputs[i]) / 2;
        assert_true(size == 0 || kl_hex_decode(inputs[i], strlen(inputs[i]), entry, size));
        vault_audit_leaf_hash(kl_slice_of(entry, size), leaf);
        vault_audit_tree_append(&tree, leaf);
        vault_audit_tree_root(&tree, root);
        kl_hex(root, sizeof(root), text);
        assert_string_equal(text, roots[i]);
    }
}

static void test_a_written_frontier_reads_back_and_goes_on(void **state)
{
    (void)state;
    struct vault_audit_tree tree = {.size = 0};
    for (size_t size = 0; size < LEAVES; size++) {
        struct vault_audit_tree back = {.size = 99};
        unsigned char row[VAULT_AUDIT_TREE_MAX_BYTES];
        unsigned char leaf[VAULT_AUDIT_HASH_BYTES];
        unsigned char expected[VAULT_AUDIT_HASH_BYTES];
        unsigned char root[VAULT_AUDIT_HASH_BYTES];
        size_t bytes = vault_audit_tree_encode(&tree, row);
        assert_int_equal(vault_audit_tree_read(kl_slice_of(row, bytes), &back, NULL), KL_OK);
        leaf_of(size, leaf);
        vault_audit_tree_append(&back, leaf);
        vault_audit_tree_append(&tree, leaf);
        vault_audit_tree_root(&tree, expected);
        vault_audit_tree_root(&back, root);
        assert_memory_equal(root, expected, sizeof(root));
    }
}

static void test_a_frontier_cut_short_or_of_another_format_is_refused(void **state)
{
    (void)state;
    struct vault_audit_tree tree = {.size = 0};
    struct vault_audit_tree back = {.size = 99};
    unsigned char row[VAULT_AUDIT_TREE_MAX_BYTES + 1] = {0};
    unsigned char leaf[VAULT_AUDIT_HASH_BYTES];
    struct kl_err err = {.status = KL_OK};
    leaf_of(0, leaf);
    for (int i = 0; i < 7; i++) {
        vault_audit_tree_append(&tree, leaf);
    }
    size_t bytes = vault_audit_tree_encode(&tree, row);
    for (size_t cut = 0; cut < bytes; cut++) {
        assert_int_equal(vault_audit_tree_read(kl_slice_of(row, cut), &back, NULL), KL_ERR_CORRUPT);
    }
    assert_int_equal(vault_audit_tree_read(kl_slice_of(row, bytes + 1), &back, NULL),
                     KL_ERR_CORRUPT);
    row[0] = 2;
    assert_int_equal(vault_audit_tree_read(kl_slice_of(row, bytes), &back, &err), KL_ERR_CORRUPT);
    assert_string_equal(err.code, "audit_frontier_corrupt");
    assert_int_equal(back.size, 99);
}

static void test_filling_is_the_same_as_appending_one_by_one(void **state)
{
    (void)state;
    for (size_t size = 0; size < 40; size++) {
        for (size_t count = 0; count < 140; count++) {
            struct vault_audit_tree filled = {.size = 0};
            struct vault_audit_tree one_by_one = {.size = 0};
            unsigned char leaf[VAULT_AUDIT_HASH_BYTES];
            unsigned char expected[VAULT_AUDIT_TREE_MAX_BYTES] = {0};
            unsigned char row[VAULT_AUDIT_TREE_MAX_BYTES] = {0};
            for (size_t i = 0; i < size; i++) {
                leaf_of(i, leaf);
                vault_audit_tree_append(&filled, leaf);
                vault_audit_tree_append(&one_by_one, leaf);
            }
            leaf_of(1000, leaf);
            vault_audit_tree_fill(&filled, count, leaf);
            for (size_t i = 0; i < count; i++) {
                vault_audit_tree_append(&one_by_one, leaf);
            }
            assert_int_equal(filled.size, one_by_one.size);
            size_t bytes = vault_audit_tree_encode(&one_by_one, expected);
            assert_int_equal(vault_audit_tree_encode(&filled, row), bytes);
            assert_memory_equal(row, expected, bytes);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_root_of_every_size_is_that_of_the_rfc),
        cmocka_unit_test(test_the_roots_of_known_inputs_are_the_known_ones),
        cmocka_unit_test(test_a_written_frontier_reads_back_and_goes_on),
        cmocka_unit_test(test_filling_is_the_same_as_appending_one_by_one),
        cmocka_unit_test(test_a_frontier_cut_short_or_of_another_format_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
