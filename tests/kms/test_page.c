#include "kms/page.h"

#include "kms/derive.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const unsigned char store_id[KMS_STORE_ID_BYTES] = "a store, 16 byte";
static const unsigned char page_key[KMS_KEY_BYTES] = "a page key of thirty-two bytes.";
static const struct kms_address leaf = {1, 2, 3, KMS_TREE_SUBJECT, 1, 0};
static const struct kms_address interior = {1, 0, 3, KMS_TREE_TENANT, 2, 1};
static const struct kms_address spine = {1, 2, 0, KMS_TREE_SUBJECT, KMS_SPINE_MARK, KMS_SPINE_MARK};

static size_t sealed_page(const struct kms_address *address, uint64_t generation,
                          unsigned char row[KMS_PAGE_ROW_MAX_BYTES],
                          unsigned char entries[KMS_PAGE_MAX_BYTES])
{
    struct kms_page_binding binding = {store_id, address, generation};

    kms_derive_page(page_key, address, entries);
    kms_entry_set(entries, 1, KMS_ENTRY_GONE, NULL);
    kms_page_seal(&binding, page_key, entries, row);
    return kms_page_row_bytes(address);
}

static enum kl_status open_as(const unsigned char *id, const struct kms_address *address,
                              uint64_t generation, const unsigned char *key,
                              const unsigned char *row, size_t bytes)
{
    struct kms_page_binding binding = {id, address, generation};
    unsigned char entries[KMS_PAGE_MAX_BYTES];
    enum kl_status status;

    memset(entries, 0xaa, sizeof entries);
    status = kms_page_open(&binding, key, kl_slice_of(row, bytes), entries, NULL);
    if (status != KL_OK) {
        assert_true(sodium_is_zero(entries, kms_page_bytes(address)));
    }
    return status;
}

static void test_a_page_opens_to_its_entries(void **state)
{
    const struct kms_address *addresses[] = {&leaf, &interior, &spine};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct kms_page_binding binding = {store_id, addresses[i], 0};
        unsigned char row[KMS_PAGE_ROW_MAX_BYTES];
        unsigned char entries[KMS_PAGE_MAX_BYTES];
        unsigned char opened[KMS_PAGE_MAX_BYTES];
        size_t bytes = sealed_page(addresses[i], 0, row, entries);

        assert_int_equal(kms_page_open(&binding, page_key, kl_slice_of(row, bytes), opened, NULL),
                         KL_OK);
        assert_memory_equal(opened, entries, kms_page_bytes(addresses[i]));
    }
}

static void test_two_seals_of_a_page_share_nothing(void **state)
{
    unsigned char first[KMS_PAGE_ROW_MAX_BYTES];
    unsigned char second[KMS_PAGE_ROW_MAX_BYTES];
    unsigned char entries[KMS_PAGE_MAX_BYTES];
    size_t bytes = sealed_page(&leaf, 0, first, entries);

    (void)state;
    (void)sealed_page(&leaf, 0, second, entries);
    assert_memory_not_equal(first + 1, second + 1, KMS_PAGE_NONCE_BYTES);
    assert_memory_not_equal(first + 25, second + 25, bytes - 25);
}

static void test_open_refuses_every_flipped_bit(void **state)
{
    unsigned char row[KMS_PAGE_ROW_MAX_BYTES];
    unsigned char entries[KMS_PAGE_MAX_BYTES];
    size_t bytes = sealed_page(&spine, 0, row, entries);

    (void)state;
    for (size_t bit = 0; bit < bytes * 8; bit++) {
        row[bit / 8] ^= (unsigned char)(1u << (bit % 8));
        assert_int_equal(open_as(store_id, &spine, 0, page_key, row, bytes), KL_ERR_CORRUPT);
        row[bit / 8] ^= (unsigned char)(1u << (bit % 8));
    }
    assert_int_equal(open_as(store_id, &spine, 0, page_key, row, bytes), KL_OK);
}

static void test_open_refuses_every_other_length(void **state)
{
    unsigned char row[KMS_PAGE_ROW_MAX_BYTES + 1] = {0};
    unsigned char entries[KMS_PAGE_MAX_BYTES];
    size_t bytes = sealed_page(&spine, 0, row, entries);

    (void)state;
    for (size_t size = 0; size <= bytes + 1; size++) {
        assert_int_equal(open_as(store_id, &spine, 0, page_key, row, size),
                         size == bytes ? KL_OK : KL_ERR_CORRUPT);
    }
}

static void test_open_refuses_another_place_store_generation_or_key(void **state)
{
    const struct kms_address others[] = {
        {9, 2, 3, KMS_TREE_SUBJECT, 1, 0}, {1, 9, 3, KMS_TREE_SUBJECT, 1, 0},
        {1, 2, 9, KMS_TREE_SUBJECT, 1, 0}, {1, 2, 3, KMS_TREE_TENANT, 1, 0},
        {1, 2, 3, KMS_TREE_SUBJECT, 2, 0},
    };
    unsigned char row[KMS_PAGE_ROW_MAX_BYTES];
    unsigned char entries[KMS_PAGE_MAX_BYTES];
    size_t bytes = sealed_page(&leaf, 0, row, entries);
    unsigned char other[KMS_KEY_BYTES] = "another store";

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_int_equal(open_as(store_id, &others[i], 0, page_key, row, bytes), KL_ERR_CORRUPT);
    }
    assert_int_equal(open_as(other, &leaf, 0, page_key, row, bytes), KL_ERR_CORRUPT);
    assert_int_equal(open_as(store_id, &leaf, 1, page_key, row, bytes), KL_ERR_CORRUPT);
    assert_int_equal(open_as(store_id, &leaf, 0, other, row, bytes), KL_ERR_CORRUPT);
}

/* Sealed rightly, but with content that no writer makes. */
static void refused_when(const struct kms_address *address, size_t byte, unsigned char value)
{
    struct kms_page_binding binding = {store_id, address, 0};
    unsigned char row[KMS_PAGE_ROW_MAX_BYTES];
    unsigned char entries[KMS_PAGE_MAX_BYTES];
    size_t bytes = sealed_page(address, 0, row, entries);
    struct kl_err err = {0};

    entries[byte] = value;
    kms_page_seal(&binding, page_key, entries, row);
    assert_int_equal(kms_page_open(&binding, page_key, kl_slice_of(row, bytes), entries, &err),
                     KL_ERR_CORRUPT);
    assert_string_equal(err.code, "key_page_corrupt");
}

static void test_open_refuses_entries_that_cannot_be(void **state)
{
    (void)state;
    refused_when(&leaf, 0, 0);
    refused_when(&leaf, 0, 4);
    refused_when(&leaf, 0, KMS_ENTRY_PAGE); /* a value has no page below */
    refused_when(&interior, KMS_ENTRY_BYTES * 5, 255);
    refused_when(&interior, KMS_ENTRY_BYTES + 1, 1); /* entry 1 is GONE: all zero */
}

static void test_row_keys_are_in_the_order_of_their_numbers(void **state)
{
    unsigned char low[KMS_PAGE_KEY_BYTES];
    unsigned char high[KMS_PAGE_KEY_BYTES];
    struct kms_address next = leaf;

    (void)state;
    next.index = 256;
    kms_page_row_key(&leaf, low);
    kms_page_row_key(&next, high);
    assert_int_equal(low[0], 'P');
    assert_true(memcmp(low, high, sizeof low) < 0);
}

static void test_only_a_page_with_nothing_left_is_all_gone(void **state)
{
    unsigned char entries[KMS_SPINE_ENTRIES * KMS_ENTRY_BYTES];

    (void)state;
    kms_derive_page(page_key, &spine, entries);
    for (size_t i = 0; i < KMS_SPINE_ENTRIES; i++) {
        assert_false(kms_entries_all_gone(entries, KMS_SPINE_ENTRIES));
        kms_entry_set(entries, i, KMS_ENTRY_GONE, NULL);
    }
    assert_true(kms_entries_all_gone(entries, KMS_SPINE_ENTRIES));
    assert_true(sodium_is_zero(kms_entry_key(entries, 3), KMS_KEY_BYTES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_page_opens_to_its_entries),
        cmocka_unit_test(test_two_seals_of_a_page_share_nothing),
        cmocka_unit_test(test_open_refuses_every_flipped_bit),
        cmocka_unit_test(test_open_refuses_every_other_length),
        cmocka_unit_test(test_open_refuses_another_place_store_generation_or_key),
        cmocka_unit_test(test_open_refuses_entries_that_cannot_be),
        cmocka_unit_test(test_row_keys_are_in_the_order_of_their_numbers),
        cmocka_unit_test(test_only_a_page_with_nothing_left_is_all_gone),
    };

    return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
