/* Which entry of a trail is not what it was. */
#include "kluis/base/trail_check.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#define COUNT 40

struct trail {
    struct kl_trail_leaf leaves[COUNT + 1];
    size_t count;
    unsigned char root[KL_MERKLE_HASH_BYTES];
    struct kl_trail_findings findings;
};

static void text_of(size_t i, unsigned char ret[KL_MERKLE_HASH_BYTES])
{
    char text[16];

    (void)snprintf(text, sizeof text, "entry %zu", i);
    kl_merkle_leaf(kl_slice_text(text), ret);
}

static struct trail whole(void)
{
    struct trail trail = {.count = COUNT};
    struct kl_merkle_tree tree = {0};

    for (size_t i = 0; i < COUNT; i++) {
        struct kl_trail_leaf *leaf = &trail.leaves[i];

        *leaf = (struct kl_trail_leaf){.index = i, .has_text = true, .has_stored = true};
        text_of(i, leaf->text);
        text_of(i, leaf->stored);
        kl_merkle_append(&tree, leaf->text);
    }
    kl_merkle_root(&tree, trail.root);
    return trail;
}

static void run(struct trail *trail)
{
    struct kl_merkle_tree none = {0};
    struct kl_trail_check check;

    kl_trail_check_begin(&check, &none, &trail->findings);
    for (size_t i = 0; i < trail->count; i++) {
        kl_trail_check_leaf(&check, &trail->leaves[i]);
    }
    kl_trail_check_end(&check, trail->root);
}

static void assert_found(struct trail *trail, size_t count, const char *code, uint64_t from,
                         uint64_t until)
{
    run(trail);
    assert_int_equal(trail->findings.count, count);
    if (count > 0) {
        assert_string_equal(trail->findings.items[0].code, code);
        assert_int_equal(trail->findings.items[0].from, from);
        assert_int_equal(trail->findings.items[0].until, until);
    }
}

static void test_nothing_is_found_in_what_is_right(void **state)
{
    struct trail trail = whole();

    (void)state;
    assert_found(&trail, 0, NULL, 0, 0);
}

static void test_an_edited_entry_is_named_wherever_it_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        struct trail trail = whole();

        trail.leaves[i].text[3] ^= 1;
        assert_found(&trail, 1, "entry_edited", i, i + 1);
    }
}

static void test_entries_that_are_gone_are_named_together(void **state)
{
    (void)state;
    for (size_t i = 0; i + 5 <= COUNT; i++) {
        struct trail trail = whole();

        for (size_t k = i; k < i + 5; k++) {
            trail.leaves[k].has_text = false;
        }
        assert_found(&trail, 1, "entry_dropped", i, i + 5);
    }
}

/* The rows behind it moved up; the last number has none. */
static void test_one_that_was_taken_out_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i + 1 < COUNT; i++) {
        struct trail trail = whole();

        for (size_t k = i; k + 1 < COUNT; k++) {
            text_of(k + 1, trail.leaves[k].text);
        }
        trail.leaves[COUNT - 1].has_text = false;
        assert_found(&trail, i == COUNT - 2 ? 1 : 2, "entry_dropped", i,
                     i == COUNT - 2 ? i + 2 : i + 1);
    }
}

static void test_one_that_was_put_in_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i + 1 < COUNT; i++) {
        struct trail trail = whole();

        for (size_t k = COUNT - 1; k > i; k--) {
            text_of(k - 1, trail.leaves[k].text);
        }
        text_of(1000, trail.leaves[i].text);
        assert_found(&trail, 1, "entry_inserted", i, i + 1);
    }
}

static void test_two_that_changed_places_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i + 1 < COUNT; i++) {
        struct trail trail = whole();

        text_of(i + 1, trail.leaves[i].text);
        text_of(i, trail.leaves[i + 1].text);
        assert_found(&trail, 1, "entries_swapped", i, i + 2);
    }
}

static void test_a_wrong_hash_in_the_tree_is_not_the_entrys_fault(void **state)
{
    struct trail trail = whole();

    (void)state;
    trail.leaves[7].stored[0] ^= 1;
    assert_found(&trail, 1, "tree_damaged", 7, 8);
    trail = whole();
    trail.leaves[7].has_stored = false;
    assert_found(&trail, 1, "tree_damaged", 0, 0);
}

static void test_a_wrong_head_is_told_from_wrong_entries(void **state)
{
    struct trail trail = whole();

    (void)state;
    trail.root[0] ^= 1;
    assert_found(&trail, 1, "frontier_altered", 0, 0);
    trail = whole();
    trail.root[0] ^= 1;
    trail.leaves[7].text[0] ^= 1;
    assert_found(&trail, 2, "entry_edited", 7, 8);
    assert_string_equal(trail.findings.items[1].code, "rewritten");
}

static void test_lost_numbers_are_leaves(void **state)
{
    struct trail trail = whole();
    struct kl_merkle_tree none = {0};
    struct kl_merkle_tree tree = {0};
    struct kl_trail_check check;
    unsigned char lost[KL_MERKLE_HASH_BYTES];

    (void)state;
    kl_merkle_leaf(kl_slice_text("{\"lost\":true}"), lost);
    for (size_t i = 0; i < 3; i++) {
        kl_merkle_append(&tree, trail.leaves[i].text);
    }
    kl_merkle_fill(&tree, 1000, lost);
    kl_merkle_append(&tree, trail.leaves[3].text);
    kl_merkle_root(&tree, trail.root);
    kl_trail_check_begin(&check, &none, &trail.findings);
    for (size_t i = 0; i < 3; i++) {
        kl_trail_check_leaf(&check, &trail.leaves[i]);
    }
    kl_trail_check_lost(&check, 1000);
    trail.leaves[3].index = 1003;
    kl_trail_check_leaf(&check, &trail.leaves[3]);
    kl_trail_check_end(&check, trail.root);
    assert_int_equal(trail.findings.count, 0);
}

static void test_more_findings_than_there_is_room_for_are_counted(void **state)
{
    struct kl_trail_findings findings = {0};

    (void)state;
    for (int i = 0; i < 2 * KL_TRAIL_FINDINGS_MAX; i++) {
        kl_trail_find(&findings, "fork", 0, 0, "number %d", i);
    }
    assert_int_equal(findings.count, 2 * KL_TRAIL_FINDINGS_MAX);
    assert_string_equal(findings.items[KL_TRAIL_FINDINGS_MAX - 1].detail, "number 99");
}

/* Of the first entries the hashes alone are there. */
static void run_pruned(struct trail *trail, size_t pruned, size_t hole)
{
    struct kl_merkle_tree none = {0};
    struct kl_trail_check check;

    kl_trail_check_begin(&check, &none, &trail->findings);
    for (size_t i = 0; i < trail->count; i++) {
        if (i < pruned) {
            kl_trail_check_pruned(&check, i == hole ? NULL : trail->leaves[i].stored);
        } else {
            kl_trail_check_leaf(&check, &trail->leaves[i]);
        }
    }
    assert_int_equal(check.pruned, pruned);
    kl_trail_check_end(&check, trail->root);
}

static void test_hashes_stand_for_entries_that_went(void **state)
{
    struct trail trail = whole();

    (void)state;
    run_pruned(&trail, 17, COUNT);
    assert_int_equal(trail.findings.count, 0);
    trail = whole();
    trail.leaves[20].text[3] ^= 1;
    run_pruned(&trail, 17, COUNT);
    assert_int_equal(trail.findings.count, 1);
    assert_string_equal(trail.findings.items[0].code, "entry_edited");
    trail = whole();
    trail.leaves[5].stored[3] ^= 1;
    run_pruned(&trail, 17, COUNT);
    assert_int_equal(trail.findings.count, 1);
    assert_string_equal(trail.findings.items[0].code, "frontier_altered");
    trail = whole();
    run_pruned(&trail, 17, 6);
    assert_int_equal(trail.findings.count, 1);
    assert_string_equal(trail.findings.items[0].code, "tree_damaged");
    assert_int_equal(trail.findings.items[0].from, 6);
    assert_int_equal(trail.findings.items[0].until, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hashes_stand_for_entries_that_went),
        cmocka_unit_test(test_nothing_is_found_in_what_is_right),
        cmocka_unit_test(test_an_edited_entry_is_named_wherever_it_is),
        cmocka_unit_test(test_entries_that_are_gone_are_named_together),
        cmocka_unit_test(test_one_that_was_taken_out_is_named),
        cmocka_unit_test(test_one_that_was_put_in_is_named),
        cmocka_unit_test(test_two_that_changed_places_are_named),
        cmocka_unit_test(test_a_wrong_hash_in_the_tree_is_not_the_entrys_fault),
        cmocka_unit_test(test_a_wrong_head_is_told_from_wrong_entries),
        cmocka_unit_test(test_lost_numbers_are_leaves),
        cmocka_unit_test(test_more_findings_than_there_is_room_for_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
