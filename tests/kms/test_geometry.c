#include "kms/geometry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
    uint64_t slot;
    unsigned height;
    uint64_t leaf; /* index of the leaf page */
    unsigned entry;
} known[] = {
    {0, 0, 0, 0},
    {63, 0, 0, 63},
    {64, 1, 0, 0},
    {127, 1, 0, 63},
    {128, 1, 1, 0},
    {8255, 1, 127, 63},
    {8256, 2, 0, 0},
    {8256 + 8192, 2, 128, 0},
    {1056831, 2, 16383, 63},
    {1056832, 3, 0, 0},
    {135274559, 3, 2097151, 63},
    {135274560, 4, 0, 0},
    {UINT64_C(17315143743), 4, 268435455, 63},
    {UINT64_C(17315143744), 5, 0, 0},
    {KMS_SLOT_MAX, 5, (KMS_SLOT_MAX - UINT64_C(17315143744)) / 64, 63},
};

static struct kms_place slot_at(uint64_t slot)
{
    return (struct kms_place){0, slot, KMS_VALUE_NONE};
}

static void test_slots_lie_where_the_arithmetic_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct kms_place place = slot_at(known[i].slot);
        struct kms_path path;
        const struct kms_step *spine;
        const struct kms_step *leaf;

        kms_path_of(&place, &path);
        assert_int_equal(path.trees, 2);
        assert_int_equal(path.ends[1], path.count);
        assert_int_equal(path.count, path.ends[0] + 2 + known[i].height);
        spine = &path.steps[path.ends[0]];
        leaf = &path.steps[path.count - 1];
        assert_int_equal(kms_address_kind(&spine->page), KMS_PAGE_SPINE);
        assert_int_equal(spine->entry, known[i].height);
        assert_int_equal(kms_address_kind(&leaf->page), KMS_PAGE_LEAF);
        assert_int_equal(leaf->page.height, known[i].height);
        assert_int_equal(leaf->page.index, known[i].leaf);
        assert_int_equal(leaf->entry, known[i].entry);
    }
}

/* Each step's page is the one that the step before leads to, down to the slot and back to its number. */
static void test_a_path_is_joined_up(void **state)
{
    (void)state;
    for (uint64_t slot = 0; slot <= KMS_SLOT_MAX / 3; slot = slot * 3 + 1) {
        struct kms_place place = {5, slot, slot / 2};
        struct kms_path path;

        kms_path_of(&place, &path);
        for (size_t tree = 0; tree < 3; tree++) {
            size_t from = tree == 0 ? 0 : path.ends[tree - 1];
            uint64_t index = 0;
            uint64_t number;

            for (size_t i = from + 1; i < path.ends[tree]; i++) {
                const struct kms_step *step = &path.steps[i];

                assert_int_equal(step->page.tree, tree + 1);
                assert_int_equal(step->page.level, path.ends[tree] - 1 - i);
                assert_int_equal(step->page.index, index);
                assert_true(step->entry < kms_address_entries(&step->page));
                index = index * (i + 1 < path.ends[tree] ? KMS_FAN_ENTRIES : KMS_LEAF_ENTRIES) +
                        step->entry;
            }
            number = kms_height_base(path.steps[from].entry) + index;
            assert_int_equal(number, tree == 0 ? 5 : tree == 1 ? slot : slot / 2);
        }
    }
}

/* What is below the entries of a path's pages has the number in it, each inside the one above, down to the number alone; entries lie side by side. */
static void test_the_spans_on_a_path_close_in_on_the_number(void **state)
{
    (void)state;
    for (uint64_t slot = 0; slot <= KMS_SLOT_MAX / 3; slot = slot * 3 + 1) {
        struct kms_place place = {5, 70, slot};
        struct kms_path path;
        uint64_t above[2] = {0, UINT64_MAX};

        kms_path_of(&place, &path);
        for (size_t i = path.ends[1]; i < path.count; i++) {
            const struct kms_step *step = &path.steps[i];
            uint64_t first = 0;
            uint64_t past = 0;
            uint64_t next = 0;
            uint64_t end = 0;

            kms_address_span(&step->page, step->entry, &first, &past);
            assert_true(first <= slot && slot < past);
            assert_true(above[0] <= first && past <= above[1]);
            kms_address_span(&step->page, (size_t)step->entry + 1, &next, &end);
            assert_true(next == past && next < end);
            above[0] = first;
            above[1] = past;
        }
        assert_true(above[1] - above[0] == 1);
    }
}

static void test_a_path_has_as_many_trees_as_its_place(void **state)
{
    struct kms_place tenant = {9, KMS_SLOT_NONE, KMS_VALUE_NONE};
    struct kms_place value = {9, 70, 3};
    struct kms_path path;

    (void)state;
    kms_path_of(&tenant, &path);
    assert_int_equal(path.trees, 1);
    assert_int_equal(path.count, 2);
    kms_path_of(&value, &path);
    assert_int_equal(path.trees, 3);
    assert_int_equal(path.steps[path.ends[0]].page.tenant, 9);
    assert_int_equal(path.steps[path.ends[1]].page.slot, 70);
    assert_int_equal(path.steps[path.ends[1]].page.tree, KMS_TREE_SUBJECT);
}

static void test_the_longest_path_fits(void **state)
{
    struct kms_place place = {KMS_SLOT_MAX, KMS_SLOT_MAX, KMS_SLOT_MAX};
    struct kms_path path;

    (void)state;
    kms_path_of(&place, &path);
    assert_int_equal(path.count, KMS_PATH_MAX);
}

static void test_places_outside_the_tree_are_invalid(void **state)
{
    const struct kms_place good[] = {{0, 0, 0},
                                     {KMS_SLOT_MAX, KMS_SLOT_MAX, KMS_SLOT_MAX},
                                     {1, 2, KMS_VALUE_NONE},
                                     {1, KMS_SLOT_NONE, KMS_VALUE_NONE}};
    const struct kms_place bad[] = {{KMS_SLOT_MAX + 1, 0, 0},
                                    {KMS_SLOT_NONE, 0, 0},
                                    {0, KMS_SLOT_MAX + 1, 0},
                                    {0, 0, KMS_SLOT_MAX + 1},
                                    {0, KMS_SLOT_NONE, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(kms_place_valid(&good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(kms_place_valid(&bad[i]));
    }
}

static void test_addresses_differ_when_any_part_does(void **state)
{
    struct kms_address base = {1, 2, 3, KMS_TREE_SUBJECT, 4, 2};
    struct kms_address others[] = {
        {9, 2, 3, KMS_TREE_SUBJECT, 4, 2}, {1, 9, 3, KMS_TREE_SUBJECT, 4, 2},
        {1, 2, 9, KMS_TREE_SUBJECT, 4, 2}, {1, 2, 3, KMS_TREE_TENANT, 4, 2},
        {1, 2, 3, KMS_TREE_SUBJECT, 5, 2}, {1, 2, 3, KMS_TREE_SUBJECT, 4, 3},
    };

    (void)state;
    assert_true(kms_address_equal(&base, &base));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(kms_address_equal(&base, &others[i]));
        assert_true(kms_address_hash(&base) != kms_address_hash(&others[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots_lie_where_the_arithmetic_says),
        cmocka_unit_test(test_a_path_is_joined_up),
        cmocka_unit_test(test_a_path_has_as_many_trees_as_its_place),
        cmocka_unit_test(test_the_longest_path_fits),
        cmocka_unit_test(test_the_spans_on_a_path_close_in_on_the_number),
        cmocka_unit_test(test_places_outside_the_tree_are_invalid),
        cmocka_unit_test(test_addresses_differ_when_any_part_does),
    };

    return cmocka_run_group_tests_name("geometry", tests, NULL, NULL);
}
