#include "vault/audit_tree.h"

#include "tests/support/test.h"
#include "vault/audit.h"

#define LEAVES 258

static void leaf_of(size_t i, unsigned char ret[VAULT_AUDIT_HASH_BYTES])
{
    unsigned char entry[2] = {(unsigned char)(i >> 8), (unsigned char)i};
    kl_merkle_leaf(kl_slice_of(entry, sizeof(entry)), ret);
}

static void test_a_written_frontier_reads_back_and_goes_on(void **state)
{
    (void)state;
    struct kl_merkle_tree tree = {.size = 0};
    for (size_t size = 0; size < LEAVES; size++) {
        struct kl_merkle_tree back = {.size = 99};
        unsigned char row[VAULT_AUDIT_TREE_MAX_BYTES];
        unsigned char leaf[VAULT_AUDIT_HASH_BYTES];
        unsigned char expected[VAULT_AUDIT_HASH_BYTES];
        unsigned char root[VAULT_AUDIT_HASH_BYTES];
        size_t bytes = vault_audit_tree_encode(&tree, row);
        assert_int_equal(vault_audit_tree_read(kl_slice_of(row, bytes), &back, NULL), KL_OK);
        leaf_of(size, leaf);
        kl_merkle_append(&back, leaf);
        kl_merkle_append(&tree, leaf);
        kl_merkle_root(&tree, expected);
        kl_merkle_root(&back, root);
        assert_memory_equal(root, expected, sizeof(root));
    }
}

static void test_a_frontier_cut_short_or_of_another_format_is_refused(void **state)
{
    (void)state;
    struct kl_merkle_tree tree = {.size = 0};
    struct kl_merkle_tree back = {.size = 99};
    unsigned char row[VAULT_AUDIT_TREE_MAX_BYTES + 1] = {0};
    unsigned char leaf[VAULT_AUDIT_HASH_BYTES];
    struct kl_err err = {.status = KL_OK};
    leaf_of(0, leaf);
    for (int i = 0; i < 7; i++) {
        kl_merkle_append(&tree, leaf);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_written_frontier_reads_back_and_goes_on),
        cmocka_unit_test(test_a_frontier_cut_short_or_of_another_format_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
