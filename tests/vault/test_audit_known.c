/* An older data/ put back: the trail goes on behind what is known of it beside the keys, and says what it lost. */
#include "tests/support/vault_fixture.h"

#include "kluis/base/encode.h"
#include "tests/support/test.h"
#include "vault/audit_tree.h"
#include "vault/rows.h"
#include "vault/vault_internal.h"

#include <stdio.h>
#include <string.h>

static struct kl_merkle_tree tree_of(struct vault_fixture *fixture)
{
    struct kl_merkle_tree tree = {0};
    struct vault_row_key key = vault_row_frontier(fixture_tenant(fixture));
    struct kl_buf row;

    kl_buf_init(&row, VAULT_AUDIT_TREE_MAX_BYTES);
    assert_int_equal(
        vault_store_get(fixture_vault(fixture)->data_store, vault_row_slice(&key), &row, NULL),
        KL_OK);
    assert_int_equal(vault_audit_tree_read(kl_buf_slice(&row), &tree, NULL), KL_OK);
    kl_buf_done(&row);
    return tree;
}

/* From the rows alone: entries, and what is said to be lost. ret_entries: how many rows there are. */
static struct kl_merkle_tree tree_again(struct vault_fixture *fixture, size_t *ret_entries)
{
    struct kl_merkle_tree tree = {0};
    struct vault_row_key first = vault_row_audit(fixture_tenant(fixture), 0);
    struct vault_row_key past = vault_row_audit(fixture_tenant(fixture), UINT64_MAX);
    struct vault_iter *iter = vault_iter_new(
        fixture_vault(fixture)->data_store, vault_row_slice(&first), vault_row_slice(&past), false);
    unsigned char leaf[VAULT_AUDIT_HASH_BYTES];
    struct vault_row_key lost;
    struct kl_slice key;
    struct kl_slice entry;
    struct kl_buf until;
    uint64_t seq;

    *ret_entries = 0;
    kl_buf_init(&until, 64);
    while (vault_iter_next(iter, &key, &entry)) {
        seq = kl_get_u64be(key.bytes + key.size - 8);
        if (seq != tree.size) {
            lost = vault_row_lost(fixture_tenant(fixture), tree.size);
            kl_buf_clear(&until);
            assert_int_equal(vault_store_get(fixture_vault(fixture)->data_store,
                                             vault_row_slice(&lost), &until, NULL),
                             KL_OK);
            assert_int_equal(kl_get_u64be(until.bytes), seq);
            kl_merkle_leaf(kl_slice_text(VAULT_AUDIT_LOST_ENTRY), leaf);
            while (tree.size < seq) {
                kl_merkle_append(&tree, leaf);
            }
        }
        kl_merkle_leaf(entry, leaf);
        kl_merkle_append(&tree, leaf);
        (*ret_entries)++;
    }
    vault_iter_free(iter);
    kl_buf_done(&until);
    return tree;
}

static void test_the_trail_goes_on_behind_all_numbers_ever_used(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_merkle_tree then;
    struct kl_merkle_tree now;
    struct kl_merkle_tree again;
    unsigned char root[VAULT_AUDIT_HASH_BYTES];
    unsigned char root_again[VAULT_AUDIT_HASH_BYTES];
    char text[KL_BASE64_CHARS(VAULT_AUDIT_HASH_BYTES) + 32];
    char root_text[KL_BASE64_CHARS(VAULT_AUDIT_HASH_BYTES) + 1];
    size_t entries = 0;
    uint64_t copied = 0;

    fixture_copy(fixture);
    copied = tree_of(fixture).size;
    (void)fixture_newsletter(fixture, "ana@example.org", true);
    (void)fixture_newsletter(fixture, "bob@example.org", true);
    then = tree_of(fixture);
    assert_true(then.size > copied);
    fixture_put_back_data(fixture);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"data_restored\""), 1);
    kl_merkle_root(&then, root);
    kl_base64(root, sizeof root, root_text);
    (void)snprintf(text, sizeof text, "\"known_root_hash\":\"%s\"", root_text);
    assert_int_equal(fixture_trail(fixture, text), 1);
    (void)snprintf(text, sizeof text, "\"data_entries\":%llu", (unsigned long long)copied);
    assert_int_equal(fixture_trail(fixture, text), 1);
    now = tree_of(fixture);
    assert_true(now.size > then.size);
    again = tree_again(fixture, &entries);
    assert_true(entries < then.size + 32);
    assert_int_equal(again.size, now.size);
    kl_merkle_root(&now, root);
    kl_merkle_root(&again, root_again);
    assert_memory_equal(root, root_again, sizeof root);
    fixture_reopen(fixture);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"data_restored\""), 1);
    assert_true(tree_of(fixture).size < now.size + 32);
}

static void test_times_find_entries_on_both_sides_of_what_was_lost(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_audit_filter filter = {.from_us = 1};
    struct vault_caller steward;
    struct kl_buf text;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];

    fixture_copy(fixture);
    (void)fixture_newsletter(fixture, "ana@example.org", true);
    fixture_put_back_data(fixture);
    (void)fixture_newsletter(fixture, "bob@example.org", true);
    kl_buf_init(&text, 4 * 1024 * 1024);
    steward = admin_steward(fixture->admin);
    assert_int_equal(vault_audit_list(fixture_vault(fixture), &steward, &filter, VAULT_PAGE_MAX,
                                      NULL, &text, cursor, NULL),
                     KL_OK);
    vault_caller_done(&steward);
    assert_non_null(strstr((const char *)text.bytes, "policy_apply"));
    assert_non_null(strstr((const char *)text.bytes, "data_restored"));
    assert_non_null(strstr((const char *)text.bytes, "\"create\""));
    kl_buf_done(&text);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_trail_goes_on_behind_all_numbers_ever_used),
        TEST(test_times_find_entries_on_both_sides_of_what_was_lost),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
