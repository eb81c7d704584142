/* What the changes of a group come to, and what a commit makes of them. */
#include "kms/changes.h"

#include "kms/internal.h"
#include "tests/support/kms_adversary.h"
#include "tests/support/kms_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define T 1
#define S 70
#define NONE KMS_VALUE_NONE

static struct kms_change of(enum kms_change_kind kind, uint64_t slot, uint64_t value)
{
    return (struct kms_change){kind, {T, slot, value}};
}

static struct kms_actions actions_of(struct kms_request *const *requests, size_t count)
{
    struct kms_actions actions;

    assert_int_equal(kms_actions_make(requests, count, &actions, NULL), KL_OK);
    return actions;
}

static void test_the_strongest_change_of_a_place_counts_once(void **state)
{
    struct kms_change changes[] = {
        of(KMS_CHANGE_TOUCH, S, NONE),      of(KMS_CHANGE_EXPAND, S, NONE),
        of(KMS_CHANGE_REKEY, S, NONE),      of(KMS_CHANGE_TOUCH, S + 1, NONE),
        of(KMS_CHANGE_EXPAND, S + 1, NONE), of(KMS_CHANGE_REKEY, S + 2, NONE),
        of(KMS_CHANGE_SHRED, S + 2, NONE),  of(KMS_CHANGE_SHRED, S + 2, NONE),
    };
    struct kms_request request = {.changes = changes, .changes_count = 8};
    struct kms_request *requests[] = {&request, &request};
    struct kms_actions actions = actions_of(requests, 2);

    (void)state;
    assert_int_equal(actions.count, 3);
    assert_int_equal(actions.list[0].kind, KMS_CHANGE_REKEY);
    assert_int_equal(actions.list[1].kind, KMS_CHANGE_EXPAND);
    assert_int_equal(actions.list[2].kind, KMS_CHANGE_SHRED);
    kms_actions_done(&actions);
}

static void test_tenants_come_before_slots_before_values(void **state)
{
    struct kms_change changes[] = {
        {KMS_CHANGE_SHRED, {1, 5, 5}},
        {KMS_CHANGE_SHRED, {9, 1, NONE}},
        {KMS_CHANGE_SHRED, {20, KMS_SLOT_NONE, NONE}},
    };
    struct kms_request request = {.changes = changes, .changes_count = 3};
    struct kms_request *requests[] = {&request};
    struct kms_actions actions = actions_of(requests, 1);

    (void)state;
    assert_int_equal(actions.list[0].place.tenant, 20);
    assert_int_equal(actions.list[1].place.tenant, 9);
    assert_int_equal(actions.list[2].place.tenant, 1);
    kms_actions_done(&actions);
}

static void test_a_value_is_kept_when_all_who_shred_its_slot_keep_it(void **state)
{
    struct kms_change one[] = {of(KMS_CHANGE_KEEP, S, 3), of(KMS_CHANGE_SHRED, S, NONE),
                               of(KMS_CHANGE_KEEP, S, 4), of(KMS_CHANGE_KEEP, S, 3)};
    struct kms_change two[] = {of(KMS_CHANGE_SHRED, S, NONE), of(KMS_CHANGE_KEEP, S, 4),
                               of(KMS_CHANGE_KEEP, S, 5)};
    struct kms_change plain[] = {of(KMS_CHANGE_SHRED, S, NONE)};
    struct kms_request a = {.changes = one, .changes_count = 4};
    struct kms_request b = {.changes = two, .changes_count = 3};
    struct kms_request c = {.changes = plain, .changes_count = 1};
    struct kms_request *requests[] = {&a, &b, &c};
    struct kms_actions actions = actions_of(requests, 1);

    (void)state;
    assert_int_equal(actions.count, 1);
    assert_int_equal(actions.keeps_count, 2);
    kms_actions_done(&actions);
    actions = actions_of(requests, 2);
    assert_int_equal(actions.count, 1);
    assert_int_equal(actions.keeps_count, 1);
    assert_int_equal(actions.keeps[0].value, 4);
    kms_actions_done(&actions);
    actions = actions_of(requests, 3);
    assert_int_equal(actions.count, 1);
    assert_int_equal(actions.list[0].kind, KMS_CHANGE_SHRED);
    assert_int_equal(actions.list[0].keeps_count, 0);
    kms_actions_done(&actions);
}

static void test_a_keep_without_its_shred_is_refused(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_change changes[] = {of(KMS_CHANGE_SHRED, S, 3), of(KMS_CHANGE_KEEP, S, 4),
                                   of(KMS_CHANGE_SHRED, S + 1, NONE)};
    struct kms_request request = {.changes = changes, .changes_count = 3};
    struct kl_err err = {0};

    assert_int_equal(kms_commit(fixture->kms, &request, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "key_keep_alone");
    err = (struct kl_err){0};
    changes[1] = of(KMS_CHANGE_KEEP, S + 1, NONE);
    assert_int_equal(kms_commit(fixture->kms, &request, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "key_place_invalid");
    changes[1] = of((enum kms_change_kind)77, S + 1, NONE);
    assert_int_equal(kms_commit(fixture->kms, &request, &err), KL_ERR_INVALID);
    assert_int_equal(kms_place_check(fixture->kms, &changes[2].place, NULL), KL_OK);
    assert_int_equal(request.ret_generation, 0);
}

/* ---- in the tree ---- */

#define VALUES 8
static const uint64_t values[VALUES] = {0, 1, 2, 63, 64, 9000, 9001, 1100000};

struct subject {
    struct kl_buf sealed[VALUES];
};

static void subject_seal(struct kms_fixture *fixture, uint64_t slot, struct subject *subject)
{
    for (size_t i = 0; i < VALUES; i++) {
        kms_fixture_seal(fixture->kms, (struct kms_place){T, slot, values[i]}, &subject->sealed[i]);
    }
}

static void subject_done(struct subject *subject)
{
    for (size_t i = 0; i < VALUES; i++) {
        kl_buf_done(&subject->sealed[i]);
    }
}

/* Bit i of mask: value i opens, for kms and for the adversary; all others open for neither. */
static void opens_just(struct kms_fixture *fixture, const struct kms_adversary *adversary,
                       uint64_t slot, const struct subject *subject, unsigned mask)
{
    for (size_t i = 0; i < VALUES; i++) {
        struct kms_place place = {T, slot, values[i]};
        bool lives = (mask >> i & 1) != 0;

        assert_int_equal(kms_fixture_unseal(fixture->kms, place, &subject->sealed[i]),
                         lives ? KL_OK : KL_ERR_GONE);
        assert_int_equal(kms_adversary_reads(adversary, &place, kms_fixture_context,
                                             kl_buf_slice(&subject->sealed[i])),
                         lives);
    }
}

static struct kms_adversary *adversary_now(struct kms_fixture *fixture)
{
    unsigned char root[KMS_FIXTURE_ROOT_BYTES];
    struct kms_state state;
    struct kms_adversary *adversary;

    kms_state(fixture->kms, &state);
    adversary = kms_adversary_new(state.store_id);
    kms_adversary_give_rows(adversary, fixture->storage, true);
    kms_fixture_root_read(fixture, root);
    kms_adversary_give_root_file(adversary, root);
    assert_true(kms_adversary_search(adversary) > 0);
    return adversary;
}

/* Shred a subject but for the values of mask. */
static void keep_just(struct kms_fixture *fixture, uint64_t slot, unsigned mask)
{
    struct kms_change changes[1 + VALUES] = {of(KMS_CHANGE_SHRED, slot, NONE)};
    struct kms_request request = {.changes = changes, .changes_count = 1};

    for (size_t i = 0; i < VALUES; i++) {
        if ((mask >> i & 1) != 0) {
            changes[request.changes_count++] = of(KMS_CHANGE_KEEP, slot, values[i]);
        }
    }
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
}

static size_t rows_of_subject(struct kms_fixture *fixture, uint64_t slot)
{
    struct kl_slice key;
    size_t bytes = 0;
    size_t count = 0;

    for (size_t i = 0; memory_storage_row(fixture->storage, i, &key, &bytes) != NULL; i++) {
        count += key.bytes[0] == 'P' && key.bytes[1] == KMS_TREE_SUBJECT &&
                 kl_get_u64be(key.bytes + 10) == slot;
    }
    return count;
}

/* One subject was a seed, of the other pages were written out before, one value of it shredded. */
static void test_kept_values_open_and_nothing_else_does_for_anybody(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_place unused = {T, S, 5};
    struct kms_adversary *adversary;
    struct subject fresh;
    struct subject punched;
    struct subject other;
    struct kl_buf later;

    memory_storage_record(fixture->storage);
    assert_int_equal(kms_create(&fixture->options, NULL), KL_OK);
    assert_int_equal(kms_open(&fixture->options, &fixture->kms, NULL), KL_OK);
    subject_seal(fixture, S, &fresh);
    subject_seal(fixture, S + 1, &punched);
    subject_seal(fixture, S + 2, &other);
    /* Sealed with a key of a value that was never used, as somebody with an old seed could. */
    kms_fixture_seal(fixture->kms, unused, &later);
    assert_int_equal(
        kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, (struct kms_place){T, S + 1, values[2]}),
        KL_OK);
    assert_int_equal(
        kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, (struct kms_place){T, S + 1, 9063}),
        KL_OK);
    keep_just(fixture, S, 1U << 1 | 1U << 5);
    keep_just(fixture, S + 1, 1U << 2 | 1U << 4); /* one of them is gone already */
    for (unsigned round = 0; round < 2; round++) {
        adversary = adversary_now(fixture);
        opens_just(fixture, adversary, S, &fresh, 1U << 1 | 1U << 5);
        opens_just(fixture, adversary, S + 1, &punched, 1U << 4);
        opens_just(fixture, adversary, S + 2, &other, (1U << VALUES) - 1);
        assert_int_equal(kms_fixture_unseal(fixture->kms, unused, &later), KL_ERR_GONE);
        assert_false(
            kms_adversary_reads(adversary, &unused, kms_fixture_context, kl_buf_slice(&later)));
        assert_int_equal(kms_place_check(fixture->kms, &(struct kms_place){T, S, 50000000}, NULL),
                         KL_ERR_GONE);
        kms_adversary_free(adversary);
        kms_fixture_reopen(fixture);
    }
    /* Rows of what hangs nowhere are swept: a spine, the kept values' pages. */
    assert_int_equal(rows_of_subject(fixture, S), 1 + 1 + 3);
    assert_int_equal(rows_of_subject(fixture, S + 1), 1 + 2);
    subject_done(&fresh);
    subject_done(&punched);
    subject_done(&other);
    kl_buf_done(&later);
}

static void test_kept_values_can_go_later(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_adversary *adversary;
    struct subject subject;

    memory_storage_record(fixture->storage);
    assert_int_equal(kms_create(&fixture->options, NULL), KL_OK);
    assert_int_equal(kms_open(&fixture->options, &fixture->kms, NULL), KL_OK);
    subject_seal(fixture, S, &subject);
    keep_just(fixture, S, 1U << 0 | 1U << 6 | 1U << 7);
    keep_just(fixture, S, 1U << 0 | 1U << 3 | 1U << 7);
    assert_int_equal(
        kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, (struct kms_place){T, S, values[7]}),
        KL_OK);
    adversary = adversary_now(fixture);
    opens_just(fixture, adversary, S, &subject, 1U << 0);
    kms_adversary_free(adversary);
    keep_just(fixture, S, 1U << 1); /* nothing is left */
    adversary = adversary_now(fixture);
    opens_just(fixture, adversary, S, &subject, 0);
    kms_adversary_free(adversary);
    assert_int_equal(kms_place_check(fixture->kms, &(struct kms_place){T, S, NONE}, NULL),
                     KL_ERR_GONE);
    assert_int_equal(rows_of_subject(fixture, S), 0);
    subject_done(&subject);
}

/* A shred of the tenant wins over all below, a shred of a value over a keep of it. */
static void test_of_conflicting_changes_the_shred_wins(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_adversary *adversary;
    struct kms_change below[] = {
        of(KMS_CHANGE_SHRED, S, NONE),       of(KMS_CHANGE_KEEP, S, values[0]),
        of(KMS_CHANGE_KEEP, S, values[1]),   of(KMS_CHANGE_SHRED, S, values[1]),
        of(KMS_CHANGE_EXPAND, S, values[2]), of(KMS_CHANGE_TOUCH, S, values[3])};
    struct kms_change all[] = {of(KMS_CHANGE_SHRED, S, NONE),
                               of(KMS_CHANGE_KEEP, S, values[0]),
                               of(KMS_CHANGE_REKEY, 71, NONE),
                               of(KMS_CHANGE_EXPAND, 72, NONE),
                               {KMS_CHANGE_SHRED, {T, KMS_SLOT_NONE, NONE}}};
    struct kms_request request = {.changes = below, .changes_count = 6};
    struct subject subject;

    memory_storage_record(fixture->storage);
    assert_int_equal(kms_create(&fixture->options, NULL), KL_OK);
    assert_int_equal(kms_open(&fixture->options, &fixture->kms, NULL), KL_OK);
    subject_seal(fixture, S, &subject);
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
    adversary = adversary_now(fixture);
    opens_just(fixture, adversary, S, &subject, 1U << 0);
    kms_adversary_free(adversary);
    request = (struct kms_request){.changes = all, .changes_count = 5};
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
    adversary = adversary_now(fixture);
    opens_just(fixture, adversary, S, &subject, 0);
    kms_adversary_free(adversary);
    subject_done(&subject);
}

/* Seals before, touches or expands, and everything opens as before; a page version from before opens with no key of now. */
static void test_touch_and_expand_change_no_key_below(void **state)
{
    struct kms_fixture *fixture = *state;
    struct kms_change changes[] = {of(KMS_CHANGE_TOUCH, S, values[4]),
                                   of(KMS_CHANGE_EXPAND, S, values[7]),
                                   of(KMS_CHANGE_EXPAND, 5000000, NONE)};
    struct kms_request request = {.changes = changes, .changes_count = 3};
    struct kms_adversary *adversary;
    struct subject subject;

    memory_storage_record(fixture->storage);
    assert_int_equal(kms_create(&fixture->options, NULL), KL_OK);
    assert_int_equal(kms_open(&fixture->options, &fixture->kms, NULL), KL_OK);
    subject_seal(fixture, S, &subject);
    assert_int_equal(
        kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED, (struct kms_place){T, S, values[4]}),
        KL_OK);
    for (unsigned round = 0; round < 3; round++) {
        assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
        adversary = adversary_now(fixture);
        opens_just(fixture, adversary, S, &subject, ((1U << VALUES) - 1) & ~(1U << 4));
        kms_adversary_free(adversary);
    }
    subject_done(&subject);
}

/* ---- ranges ---- */

static struct kms_range range_of(uint64_t first, uint64_t past)
{
    return (struct kms_range){T, S, first, past};
}

static void test_ranges_that_meet_are_one_and_come_before_what_is_in_them(void **state)
{
    struct kms_change changes[] = {of(KMS_CHANGE_SHRED, S, 10), of(KMS_CHANGE_REKEY, S, 25)};
    struct kms_range one[] = {range_of(10, 20), range_of(30, 40)};
    struct kms_range two[] = {range_of(20, 25), range_of(15, 18), range_of(39, KMS_RANGE_END)};
    struct kms_request a = {
        .changes = changes, .changes_count = 2, .ranges = one, .ranges_count = 2};
    struct kms_request b = {.ranges = two, .ranges_count = 3};
    struct kms_request *requests[] = {&a, &b};
    struct kms_actions actions = actions_of(requests, 2);

    (void)state;
    assert_int_equal(actions.count, 4);
    assert_true(kms_action_is_range(&actions.list[0]));
    assert_int_equal(actions.list[0].place.value, 10);
    assert_int_equal(actions.list[0].past, 25);
    assert_int_equal(actions.list[1].kind, KMS_CHANGE_SHRED);
    assert_int_equal(actions.list[2].kind, KMS_CHANGE_REKEY);
    assert_true(kms_action_is_range(&actions.list[3]));
    assert_int_equal(actions.list[3].place.value, 30);
    assert_true(actions.list[3].past == KMS_RANGE_END);
    kms_actions_done(&actions);
}

static void test_there_is_no_range_where_the_slot_is_shredded(void **state)
{
    struct kms_change changes[] = {of(KMS_CHANGE_SHRED, S, NONE), of(KMS_CHANGE_KEEP, S, 4)};
    struct kms_range ranges[] = {range_of(3, KMS_RANGE_END)};
    struct kms_request request = {
        .changes = changes, .changes_count = 2, .ranges = ranges, .ranges_count = 1};
    struct kms_request *requests[] = {&request};
    struct kms_actions actions = actions_of(requests, 1);

    (void)state;
    assert_int_equal(actions.count, 1);
    assert_int_equal(actions.list[0].kind, KMS_CHANGE_SHRED);
    assert_int_equal(actions.list[0].keeps_count, 1);
    kms_actions_done(&actions);
}

static void test_a_range_outside_the_tree_is_refused(void **state)
{
    struct kms_fixture *fixture = *state;
    const struct kms_range bad[] = {range_of(5, 5),
                                    range_of(6, 5),
                                    range_of(KMS_VALUE_NONE, KMS_RANGE_END),
                                    range_of(KMS_SLOT_MAX + 1, KMS_RANGE_END),
                                    range_of(5, KMS_SLOT_MAX + 1),
                                    {T, KMS_SLOT_NONE, 5, 6},
                                    {T, KMS_SLOT_MAX + 1, 5, 6}};
    struct kms_request request = {.ranges_count = 1};
    struct kl_err err = {0};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        request.ranges = &bad[i];
        err = (struct kl_err){0};
        assert_int_equal(kms_commit(fixture->kms, &request, &err), KL_ERR_INVALID);
        assert_string_equal(err.code, "key_place_invalid");
    }
    request.ranges_count = KMS_CHANGES_MAX + 1;
    err = (struct kl_err){0};
    assert_int_equal(kms_commit(fixture->kms, &request, &err), KL_ERR_INVALID);
    assert_string_equal(err.code, "key_changes_too_many");
    assert_int_equal(request.ret_generation, 0);
}

/* Seals at all values, renews [first, past), and looks who opens what: nobody anything inside, and everybody all else. */
static void renew(struct kms_fixture *fixture, uint64_t slot, uint64_t first, uint64_t past,
                  bool written_out)
{
    const struct kms_range range = {T, slot, first, past};
    struct kms_request request = {.ranges = &range, .ranges_count = 1};
    struct kms_adversary *adversary = NULL;
    struct subject subject;
    struct kl_buf again;
    unsigned mask = 0;

    if (written_out) { /* one value of each height is gone before */
        for (uint64_t gone = 5; gone < 2000000; gone = gone * 30 + 7) {
            assert_int_equal(kms_fixture_change(fixture->kms, KMS_CHANGE_SHRED,
                                                (struct kms_place){T, slot, gone}),
                             KL_OK);
        }
    }
    subject_seal(fixture, slot, &subject);
    assert_int_equal(kms_commit(fixture->kms, &request, NULL), KL_OK);
    for (size_t i = 0; i < VALUES; i++) {
        mask |= values[i] < first || values[i] >= past ? 1U << i : 0;
    }
    for (unsigned round = 0; round < 2; round++) {
        adversary = adversary_now(fixture);
        for (size_t i = 0; i < VALUES; i++) {
            struct kms_place place = {T, slot, values[i]};
            bool opens = (mask >> i & 1) != 0;

            assert_int_equal(kms_fixture_unseal(fixture->kms, place, &subject.sealed[i]),
                             opens ? KL_OK : KL_ERR_CORRUPT);
            assert_int_equal(kms_adversary_reads(adversary, &place, kms_fixture_context,
                                                 kl_buf_slice(&subject.sealed[i])),
                             opens);
        }
        kms_adversary_free(adversary);
        kms_fixture_reopen(fixture);
    }
    for (size_t i = 0; i < VALUES; i++) { /* every number can be used */
        kms_fixture_seal(fixture->kms, (struct kms_place){T, slot, values[i]}, &again);
        assert_int_equal(
            kms_fixture_unseal(fixture->kms, (struct kms_place){T, slot, values[i]}, &again),
            KL_OK);
        kl_buf_done(&again);
    }
    subject_done(&subject);
}

static void test_a_range_of_values_gets_fresh_keys_and_no_other(void **state)
{
    struct kms_fixture *fixture = *state;
    static const uint64_t ends[][2] = {{1, KMS_RANGE_END},
                                       {0, KMS_RANGE_END},
                                       {3, 64},
                                       {64, 8256},
                                       {2, 9001},
                                       {9001, 9002},
                                       {65, UINT64_C(1) << 24},
                                       {9001, UINT64_C(3) << 24},
                                       {0, 1},
                                       {1100000, KMS_SLOT_MAX},
                                       {63, 1100000}};
    uint64_t slot = S;

    memory_storage_record(fixture->storage);
    assert_int_equal(kms_create(&fixture->options, NULL), KL_OK);
    assert_int_equal(kms_open(&fixture->options, &fixture->kms, NULL), KL_OK);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        renew(fixture, slot++, ends[i][0], ends[i][1], false);
        renew(fixture, slot++, ends[i][0], ends[i][1], true);
    }
}

/* To the end it costs a spine and the pages of the first value; rows of pages inside are swept. */
static void test_a_range_costs_only_the_pages_of_its_ends(void **state)
{
    struct kms_fixture *fixture = *state;

    memory_storage_record(fixture->storage);
    assert_int_equal(kms_create(&fixture->options, NULL), KL_OK);
    assert_int_equal(kms_open(&fixture->options, &fixture->kms, NULL), KL_OK);
    renew(fixture, S, 3, KMS_RANGE_END, false);
    assert_int_equal(rows_of_subject(fixture, S), 2);
    renew(fixture, S + 1, 3, KMS_RANGE_END, true);
    assert_int_equal(rows_of_subject(fixture, S + 1), 2);
    renew(fixture, S + 2, 3, UINT64_C(1) << 24, false);
    assert_int_equal(rows_of_subject(fixture, S + 2),
                     5); /* two more levels, and the last page in front of it */
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, kms_fixture_setup_empty, kms_fixture_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_strongest_change_of_a_place_counts_once),
        cmocka_unit_test(test_tenants_come_before_slots_before_values),
        cmocka_unit_test(test_a_value_is_kept_when_all_who_shred_its_slot_keep_it),
        cmocka_unit_test_setup_teardown(test_a_keep_without_its_shred_is_refused, kms_fixture_setup,
                                        kms_fixture_teardown),
        TEST(test_kept_values_open_and_nothing_else_does_for_anybody),
        TEST(test_kept_values_can_go_later),
        TEST(test_of_conflicting_changes_the_shred_wins),
        TEST(test_touch_and_expand_change_no_key_below),
        cmocka_unit_test(test_ranges_that_meet_are_one_and_come_before_what_is_in_them),
        cmocka_unit_test(test_there_is_no_range_where_the_slot_is_shredded),
        cmocka_unit_test_setup_teardown(test_a_range_outside_the_tree_is_refused, kms_fixture_setup,
                                        kms_fixture_teardown),
        TEST(test_a_range_of_values_gets_fresh_keys_and_no_other),
        TEST(test_a_range_costs_only_the_pages_of_its_ends),
    };

    return cmocka_run_group_tests_name("changes", tests, NULL, NULL);
}
