#include "kms/derive.h"

#include "kms/page.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const unsigned char seed[KMS_KEY_BYTES] = "a seed of thirty-two bytes, so..";

static void test_a_page_written_out_holds_what_was_derived_before(void **state)
{
    const struct kms_address addresses[] = {
        {0, 0, 0, KMS_TREE_STORE, KMS_SPINE_MARK, KMS_SPINE_MARK},
        {1, 0, 5, KMS_TREE_TENANT, 3, 2},
        {1, 2, 7, KMS_TREE_SUBJECT, 1, 0},
    };

    (void)state;
    for (size_t a = 0; a < 3; a++) {
        unsigned char entries[KMS_PAGE_MAX_BYTES];
        unsigned char key[KMS_KEY_BYTES];

        kms_derive_page(seed, &addresses[a], entries);
        for (size_t i = 0; i < kms_address_entries(&addresses[a]); i++) {
            kms_derive_entry(seed, &addresses[a], (uint16_t)i, key);
            assert_int_equal(kms_entry_kind(entries, i), KMS_ENTRY_SEED);
            assert_memory_equal(kms_entry_key(entries, i), key, sizeof key);
        }
    }
}

static void test_pages_of_different_kinds_share_no_entries(void **state)
{
    const struct kms_address addresses[] = {
        {0, 0, 0, KMS_TREE_TENANT, KMS_SPINE_MARK, KMS_SPINE_MARK},
        {0, 0, 0, KMS_TREE_SUBJECT, KMS_SPINE_MARK, KMS_SPINE_MARK},
        {0, 0, 0, KMS_TREE_TENANT, 2, 2},
        {0, 0, 0, KMS_TREE_TENANT, 2, 1},
        {0, 0, 0, KMS_TREE_TENANT, 2, 0},
    };
    unsigned char keys[6][KMS_KEY_BYTES];

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        kms_derive_entry(seed, &addresses[i], 0, keys[i]);
    }
    kms_derive_key(seed, keys[5]);
    for (size_t i = 0; i < 6; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(keys[i], keys[j], KMS_KEY_BYTES);
        }
    }
}

static void test_entry_and_key_may_be_derived_in_place(void **state)
{
    struct kms_address page = {1, 0, 0, KMS_TREE_TENANT, 0, 0};
    unsigned char apart[KMS_KEY_BYTES];
    unsigned char in_place[KMS_KEY_BYTES];

    (void)state;
    memcpy(in_place, seed, sizeof in_place);
    kms_derive_entry(seed, &page, 9, apart);
    kms_derive_entry(in_place, &page, 9, in_place);
    assert_memory_equal(apart, in_place, sizeof apart);
    kms_derive_key(apart, apart);
    kms_derive_key(in_place, in_place);
    assert_memory_equal(apart, in_place, sizeof apart);
}

static void test_deriving_down_is_deriving_step_by_step(void **state)
{
    struct kms_place place = {1, 8300, 70};
    struct kms_path path;
    unsigned char at_once[KMS_KEY_BYTES];
    unsigned char by_step[KMS_KEY_BYTES];

    (void)state;
    kms_path_of(&place, &path);
    memcpy(at_once, seed, sizeof at_once);
    memcpy(by_step, seed, sizeof by_step);
    kms_derive_down(at_once, &path, 1);
    for (size_t i = path.ends[0]; i < path.count; i++) {
        kms_derive_entry(by_step, &path.steps[i].page, path.steps[i].entry, by_step);
    }
    assert_memory_equal(at_once, by_step, sizeof at_once);
    kms_derive_down(at_once, &path, 3);
    assert_memory_equal(at_once, by_step, sizeof at_once); /* nothing further down */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_page_written_out_holds_what_was_derived_before),
        cmocka_unit_test(test_pages_of_different_kinds_share_no_entries),
        cmocka_unit_test(test_entry_and_key_may_be_derived_in_place),
        cmocka_unit_test(test_deriving_down_is_deriving_step_by_step),
    };

    return cmocka_run_group_tests_name("derive", tests, NULL, NULL);
}
