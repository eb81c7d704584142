/* A ledger in memory, and as it is written down. */
#include "tests/support/test.h"
#include "vault/manifest.h"

#include <stdlib.h>
#include <string.h>

static int setup(void **state)
{
    *state = kl_arena_new(1 << 20);
    return *state == NULL;
}

static int teardown(void **state)
{
    kl_arena_free(*state);
    return 0;
}

static struct vault_ledger whole(struct kl_arena *arena)
{
    struct vault_ledger ledger = {.restriction = {2, VAULT_RESTRICTION_UNLAWFUL, 5},
                                  .closed_us = 9};
    struct vault_ledger_objection *objection = vault_ledger_objection_of(&ledger, "surveys", arena);

    objection->count = 3;
    objection->ground = VAULT_OBJECTION_RESEARCH;
    objection->compelling = 77;
    objection->at_us = 11;
    objection = vault_ledger_objection_of(&ledger, "promotion", arena);
    objection->count = 1;
    objection->ended_us = 12;
    ledger.entries = kl_arena_array(arena, 1, sizeof *ledger.entries);
    ledger.entries[0] = (struct vault_ledger_entry){
        .purpose = "news", .notice = "n1", .channel = "web", .evidence = 70, .given_us = 4};
    ledger.count = 1;
    return ledger;
}

static void test_objections_are_found_by_their_purpose_and_made_once(void **state)
{
    struct vault_ledger ledger = {0};
    struct vault_ledger_objection *made = vault_ledger_objection_of(&ledger, "surveys", *state);

    assert_null(vault_ledger_objection_find(&ledger, "promotion"));
    assert_int_equal(made->count, 0);
    assert_true(made->compelling == KMS_VALUE_NONE);
    assert_ptr_equal(vault_ledger_objection_of(&ledger, "surveys", *state), made);
    assert_int_equal(ledger.objection_count, 1);
    for (size_t i = 1; i < VAULT_OBJECTIONS_MAX; i++) {
        char name[8] = {'p', (char)('a' + i / 26), (char)('a' + i % 26)};

        assert_non_null(vault_ledger_objection_of(&ledger, name, *state));
    }
    assert_null(vault_ledger_objection_of(&ledger, "one_too_many", *state));
    assert_int_equal(ledger.objection_count, VAULT_OBJECTIONS_MAX);
}

static void test_limits_are_what_stands(void **state)
{
    struct vault_ledger ledger = {0};
    struct vault_ledger_objection *objection = NULL;

    assert_false(vault_ledger_limits(&ledger));
    ledger.restriction.at_us = 3;
    assert_true(vault_ledger_limits(&ledger));
    ledger.restriction.at_us = 0;
    objection = vault_ledger_objection_of(&ledger, "surveys", *state);
    assert_true(vault_ledger_limits(&ledger));
    objection->ended_us = 4;
    assert_false(vault_ledger_limits(&ledger));
}

static void test_evidence_is_that_of_consents_then_that_of_objections(void **state)
{
    struct vault_ledger ledger = whole(*state);

    assert_int_equal(vault_ledger_evidence(&ledger, 0), 70);
    assert_int_equal(vault_ledger_evidence(&ledger, 1), 77);
    assert_true(vault_ledger_evidence(&ledger, 2) == KMS_VALUE_NONE);
}

static void test_a_ledger_reads_back_as_it_was_written(void **state)
{
    struct vault_ledger ledger = whole(*state);
    struct vault_ledger read = {0};
    struct kl_buf text;

    kl_buf_init(&text, 65536);
    assert_int_equal(vault_ledger_encode(&ledger, &text, NULL), KL_OK);
    assert_int_equal(vault_ledger_decode(kl_buf_slice(&text), *state, &read, NULL), KL_OK);
    assert_int_equal(read.closed_us, 9);
    assert_memory_equal(&read.restriction.count, &ledger.restriction.count, sizeof(uint32_t));
    assert_int_equal(read.restriction.ground, VAULT_RESTRICTION_UNLAWFUL);
    assert_int_equal(read.restriction.at_us, 5);
    assert_int_equal(read.objection_count, 2);
    assert_string_equal(read.objections[0].purpose, "surveys");
    assert_int_equal(read.objections[0].count, 3);
    assert_int_equal(read.objections[0].ground, VAULT_OBJECTION_RESEARCH);
    assert_int_equal(read.objections[0].compelling, 77);
    assert_int_equal(read.objections[0].at_us, 11);
    assert_int_equal(read.objections[1].ended_us, 12);
    assert_int_equal(read.count, 1);
    assert_string_equal(read.entries[0].purpose, "news");
    kl_buf_done(&text);
}

static void test_a_ledger_cut_short_anywhere_is_damaged(void **state)
{
    struct vault_ledger ledger = whole(*state);
    struct vault_ledger read = {.count = 42};
    struct kl_buf text;

    kl_buf_init(&text, 65536);
    assert_int_equal(vault_ledger_encode(&ledger, &text, NULL), KL_OK);
    for (size_t size = 0; size < text.size; size++) {
        assert_int_equal(vault_ledger_decode(kl_slice_of(text.bytes, size), *state, &read, NULL),
                         KL_ERR_CORRUPT);
        assert_int_equal(read.count, 42);
    }
    kl_buf_done(&text);
}

static void test_grounds_have_names(void **state)
{
    (void)state;
    for (int i = 0; i < VAULT_RESTRICTION_GROUNDS; i++) {
        assert_true(strlen(vault_restriction_ground_name((enum vault_restriction_ground)i)) > 3);
    }
    for (int i = 0; i < VAULT_OBJECTION_GROUNDS; i++) {
        assert_true(strlen(vault_objection_ground_name((enum vault_objection_ground)i)) > 3);
    }
}

int main(void)
{
#define WITH_ARENA(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_ARENA(test_objections_are_found_by_their_purpose_and_made_once),
        WITH_ARENA(test_limits_are_what_stands),
        WITH_ARENA(test_evidence_is_that_of_consents_then_that_of_objections),
        WITH_ARENA(test_a_ledger_reads_back_as_it_was_written),
        WITH_ARENA(test_a_ledger_cut_short_anywhere_is_damaged),
        cmocka_unit_test(test_grounds_have_names),
    };

    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
