#include "vault/rows.h"

#include "tests/support/test.h"
#include "vault/store/store.h"

#include <string.h>

_Static_assert(VAULT_ROW_KEY_MAX_BYTES <= VAULT_STORE_KEY_MAX_BYTES,
               "every row's key is one of the store");

static int compare(struct vault_row_key a, struct vault_row_key b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = memcmp(a.bytes, b.bytes, common);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static void assert_key(struct vault_row_key key, const void *expected, size_t size)
{
    assert_int_equal(key.size, size);
    assert_memory_equal(key.bytes, expected, size);
    assert_int_equal(vault_row_slice(&key).size, 0 + size);
}

static void test_keys_are_laid_out_as_the_header_says(void **state)
{
    (void)state;
    struct kl_id id;
    unsigned char mac[32];
    memset(id.bytes, 0xaa, sizeof(id.bytes));
    memset(mac, 0xbb, sizeof(mac));
#define TENANT "\0\0\0\0\0\0\0\1"
#define SLOT "\0\0\0\0\0\0\1\2"
#define ID16 "\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa"
#define MAC16 "\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb"
    assert_key(vault_row_meta("stamp"), "Mstamp", 6);
    assert_key(vault_row_index(1), "Mindex" TENANT, 14);
    assert_key(vault_row_index_old(1, 2, 3), "Mindex-old" TENANT "\0\0\0\2\0\0\0\3", 26);
    assert_key(vault_row_journal(1), "Mjournal" TENANT, 16);
    assert_key(vault_row_pruned(1), "Mpruned" TENANT, 15);
    assert_key(vault_row_lost(1, 0x102), "Mlost" TENANT SLOT, 21);
    assert_key(vault_row_tenant("default"), "Tdefault", 8);
    assert_key(vault_row_policy(1, 0x102), "P" TENANT SLOT, 17);
    assert_key(vault_row_credential(mac), "C" MAC16 MAC16, 33);
    assert_key(vault_row_credential_id(1, &id), "D" TENANT ID16, 25);
    assert_key(vault_row_head(1, 0x102), "H" TENANT SLOT, 17);
    assert_key(vault_row_value(1, 0x102, 3), "V" TENANT SLOT "\0\0\0\0\0\0\0\3", 25);
    assert_key(vault_row_file(1, 0x102, 3), "L" TENANT SLOT "\0\0\0\0\0\0\0\3", 25);
    assert_key(vault_row_old(1, 5, 0x102, 3), "O" TENANT "\0\0\0\0\0\0\0\5" SLOT "\0\0\0\0\0\0\0\3",
               33);
    assert_key(vault_row_bucket(1, 2, 9, 0x102, 7, 16), "B" TENANT "\0\0\0\2\11" SLOT "\0\0\0\7\20",
               27);
    assert_key(vault_row_beside(1, 0x102, 'V', 3), "w" TENANT SLOT "V\0\0\0\0\0\0\0\3", 26);
    assert_key(vault_row_audit(1, 0x102), "A" TENANT SLOT, 17);
    assert_key(vault_row_frontier(1), "F" TENANT, 9);
    assert_key(vault_row_postings(1, 0x102, 4, 0x11), "K" TENANT SLOT "\4\21", 19);
    assert_key(vault_row_audit_indexed(1), "Maudit-index" TENANT, 20);
    assert_key(vault_row_audit_index_pruned(1), "Maudit-index-pruned" TENANT, 27);
    assert_key(vault_row_receipt(1, &id), "E" TENANT ID16, 25);
    assert_key(vault_row_idempotency(1, mac), "I" TENANT MAC16, 25);
    assert_key(vault_row_waiting(1, &id, 0x102), "N" TENANT ID16 SLOT, 33);
    assert_key(vault_row_rotation(1, &id), "R" TENANT ID16, 25);
}

static void test_numbers_order_as_keys(void **state)
{
    (void)state;
    const uint64_t numbers[] = {0, 1, 255, 256, 65536, UINT32_MAX, UINT64_C(1) << 40, UINT64_MAX};
    for (size_t i = 1; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        assert_true(compare(vault_row_audit(1, numbers[i - 1]), vault_row_audit(1, numbers[i])) <
                    0);
        assert_true(compare(vault_row_head(numbers[i - 1], 9), vault_row_head(numbers[i], 0)) < 0);
    }
}

static void test_past_is_behind_every_key_with_the_prefix(void **state)
{
    (void)state;
    struct vault_row_key prefix = vault_row_frontier(0x01ff);
    struct vault_row_key inside = vault_row_audit(0x01ff, UINT64_MAX);
    inside.bytes[0] = 'F';
    assert_true(compare(inside, vault_row_past(&prefix)) < 0);
    assert_true(compare(vault_row_frontier(0x0200), vault_row_past(&prefix)) >= 0);

    struct vault_row_key all_ones = {.size = 3};
    memset(all_ones.bytes, 0xff, 3);
    assert_int_equal(vault_row_past(&all_ones).size, 0);
}

static void too_long_a_name(void)
{
    char name[VAULT_ROW_NAME_MAX_BYTES + 2];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    (void)vault_row_meta(name);
}

static void test_a_name_past_the_maximum_is_our_own_mistake(void **state)
{
    (void)state;
    char name[VAULT_ROW_NAME_MAX_BYTES + 1];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(vault_row_meta(name).size, 1 + VAULT_ROW_NAME_MAX_BYTES);
    assert_true(test_aborts(too_long_a_name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_are_laid_out_as_the_header_says),
        cmocka_unit_test(test_numbers_order_as_keys),
        cmocka_unit_test(test_past_is_behind_every_key_with_the_prefix),
        cmocka_unit_test(test_a_name_past_the_maximum_is_our_own_mistake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
