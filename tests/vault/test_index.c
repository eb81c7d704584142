#include "vault/index.h"

#include "tests/support/index_fixture.h"
#include "tests/support/test.h"
#include "vault/index_old.h"
#include "vault/index_rows.h"

#include <stdlib.h>
#include <string.h>

#define ADD VAULT_INDEX_ADD
#define ADD_UNIQUE VAULT_INDEX_ADD_UNIQUE
#define REMOVE VAULT_INDEX_REMOVE

/* Bits that spread as a hash's do. */
static uint64_t spread(uint64_t i)
{
    i = (i ^ (i >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    i = (i ^ (i >> 27)) * UINT64_C(0x94d049bb133111eb);
    return i ^ (i >> 31);
}

static struct vault_index_entry person(uint64_t slot)
{
    return index_fixture_entry(spread(slot), slot, slot, 0);
}

static void add_people(struct index_fixture *fixture, uint64_t first, uint64_t count)
{
    for (uint64_t slot = first; slot < first + count; slot++) {
        assert_int_equal(index_fixture_change(fixture, ADD, person(slot), NULL), KL_OK);
        if (slot % 7 == 0) {
            index_fixture_commit(fixture);
        }
    }
    index_fixture_commit(fixture);
}

/* ---- tags and lookups ---- */

static void test_tags_depend_on_tenant_kind_and_value(void **state)
{
    struct index_fixture *fixture = *state;
    unsigned char tags[5][VAULT_TAG_BYTES];
    uint64_t other = 0;
    assert_int_equal(kms_tenant_take(fixture->base->keys->kms, &other, NULL), KL_OK);
    const struct {
        uint64_t tenant;
        const char *kind;
        const char *value;
    } cases[5] = {{fixture->tenant, "newsletter.email", "a@example.org"},
                  {fixture->tenant, "applicant.email", "a@example.org"},
                  {fixture->tenant, "newsletter.email", "b@example.org"},
                  {fixture->tenant, "newsletter.emaila", "@example.org"},
                  {other, "newsletter.email", "a@example.org"}};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(vault_index_tag(fixture->index, cases[i].tenant, cases[i].kind,
                                         kl_slice_text(cases[i].value), tags[i], NULL),
                         KL_OK);
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(tags[i], tags[j], VAULT_TAG_BYTES);
        }
    }
    index_fixture_reopen(fixture);
    unsigned char again[VAULT_TAG_BYTES];
    assert_int_equal(vault_index_tag(fixture->index, fixture->tenant, "newsletter.email",
                                     kl_slice_text("a@example.org"), again, NULL),
                     KL_OK);
    assert_memory_equal(again, tags[0], VAULT_TAG_BYTES);
}

static void test_a_tag_of_too_long_a_value_is_refused(void **state)
{
    struct index_fixture *fixture = *state;
    struct kl_err err = {.status = KL_OK};
    unsigned char tag[VAULT_TAG_BYTES] = {7};
    unsigned char before[VAULT_TAG_BYTES] = {7};
    unsigned char *value = calloc(1, VAULT_TAG_VALUE_MAX_BYTES + 1);
    assert_int_equal(vault_index_tag(fixture->index, fixture->tenant, "id",
                                     kl_slice_of(value, VAULT_TAG_VALUE_MAX_BYTES + 1), tag, &err),
                     KL_ERR_INVALID);
    assert_string_equal(err.code, "index_value_too_long");
    assert_memory_equal(tag, before, sizeof(tag));
    assert_int_equal(vault_index_tag(fixture->index, fixture->tenant, "id",
                                     kl_slice_of(value, VAULT_TAG_VALUE_MAX_BYTES), tag, NULL),
                     KL_OK);
    free(value);
}

static void test_nothing_is_found_in_an_empty_index(void **state)
{
    struct index_fixture *fixture = *state;
    assert_int_equal(index_fixture_count(fixture, person(1)), 0);
}

static void test_an_entry_is_found_until_it_is_removed(void **state)
{
    struct index_fixture *fixture = *state;
    index_fixture_do(fixture, ADD, person(100));
    assert_true(index_fixture_has(fixture, person(100)));
    assert_false(index_fixture_has(fixture, person(101)));
    index_fixture_do(fixture, ADD, person(100));
    assert_int_equal(index_fixture_count(fixture, person(100)), 1);
    index_fixture_do(fixture, REMOVE, person(101));
    index_fixture_do(fixture, REMOVE, person(100));
    assert_int_equal(index_fixture_count(fixture, person(100)), 0);
}

static void test_buckets_split_and_nobody_is_lost(void **state)
{
    struct index_fixture *fixture = *state;
    add_people(fixture, 100, 3000);
    assert_true(store_fixture_rows(fixture->base->store, 'B') > 3000 / 64);
    for (int round = 0; round < 2; round++) {
        for (uint64_t slot = 100; slot < 3100; slot++) {
            assert_true(index_fixture_has(fixture, person(slot)));
        }
        assert_false(index_fixture_has(fixture, person(99)));
        index_fixture_reopen(fixture);
    }
}

static void test_many_people_share_one_value(void **state)
{
    struct index_fixture *fixture = *state;
    struct vault_index_entry page[10];
    struct kl_err err = {.status = KL_OK};
    size_t count = 0;
    add_people(fixture, 5000, 100);
    for (uint64_t slot = 100; slot < 100 + VAULT_TAG_ENTRIES_MAX; slot++) {
        assert_int_equal(
            index_fixture_change(fixture, ADD, index_fixture_entry(77, 77, slot, 1), NULL), KL_OK);
        if (slot % 50 == 0) {
            index_fixture_commit(fixture);
        }
    }
    index_fixture_commit(fixture);
    struct vault_index_entry one_more = index_fixture_entry(77, 77, 99, 1);
    assert_int_equal(index_fixture_change(fixture, ADD, one_more, &err), KL_ERR_TOO_LARGE);
    assert_string_equal(err.code, "index_value_too_common");
    index_fixture_commit(fixture);
    assert_int_equal(index_fixture_count(fixture, one_more), VAULT_TAG_ENTRIES_MAX);

    assert_int_equal(vault_index_find(fixture->index, fixture->tenant, one_more.tag, 1995, 10, page,
                                      &count, NULL),
                     KL_OK);
    assert_int_equal(count, 5);
    assert_int_equal(page[0].slot, 100 + 1995);
    assert_int_equal(vault_index_find(fixture->index, fixture->tenant, one_more.tag, 4000, 10, page,
                                      &count, NULL),
                     KL_OK);
    assert_int_equal(count, 0);
    for (uint64_t slot = 5000; slot < 5100; slot++) {
        assert_true(index_fixture_has(fixture, person(slot)));
    }
}

static void test_tags_that_share_many_bits_are_told_apart(void **state)
{
    struct index_fixture *fixture = *state;
    /* The same first 64 bits: no split can part them. Then 60 equal bits: it takes a deep one. */
    for (uint64_t i = 0; i < 150; i++) {
        index_fixture_do(fixture, ADD, index_fixture_entry(UINT64_MAX, i, 200 + i, 0));
    }
    for (uint64_t i = 0; i < 100; i++) {
        index_fixture_do(fixture, ADD,
                         index_fixture_entry(UINT64_MAX - 8 * (i % 2), 1000 + i, 600 + i, 0));
    }
    for (uint64_t i = 0; i < 150; i++) {
        assert_int_equal(
            index_fixture_count(fixture, index_fixture_entry(UINT64_MAX, i, 200 + i, 0)), 1);
    }
    for (uint64_t i = 0; i < 100; i++) {
        assert_true(index_fixture_has(
            fixture, index_fixture_entry(UINT64_MAX - 8 * (i % 2), 1000 + i, 600 + i, 0)));
    }
}

/* ---- unique ---- */

static void test_a_unique_value_is_taken_once(void **state)
{
    struct index_fixture *fixture = *state;
    struct kl_err err = {.status = KL_OK};
    struct vault_index_entry first = index_fixture_entry(5, 5, 100, 1);
    struct vault_index_entry second = index_fixture_entry(5, 5, 101, 1);
    struct vault_index_entry first_again = index_fixture_entry(5, 5, 100, 2);
    index_fixture_do(fixture, ADD_UNIQUE, first);
    assert_int_equal(index_fixture_change(fixture, ADD_UNIQUE, second, &err), KL_ERR_CONFLICT);
    assert_string_equal(err.code, "not_unique");
    assert_int_equal(index_fixture_change(fixture, ADD_UNIQUE, first_again, NULL), KL_ERR_CONFLICT);
    assert_int_equal(index_fixture_change(fixture, ADD_UNIQUE, first, NULL), KL_OK);
    index_fixture_commit(fixture);
    assert_int_equal(index_fixture_count(fixture, first), 1);
    index_fixture_do(fixture, REMOVE, first);
    index_fixture_do(fixture, ADD_UNIQUE, second);
    assert_true(index_fixture_has(fixture, second));
}

static void test_uniqueness_counts_within_a_group_and_within_a_call(void **state)
{
    struct index_fixture *fixture = *state;
    struct vault_index_entry first = index_fixture_entry(5, 5, 100, 1);
    struct vault_index_entry second = index_fixture_entry(5, 5, 101, 1);
    assert_int_equal(index_fixture_change(fixture, ADD_UNIQUE, first, NULL), KL_OK);
    assert_int_equal(index_fixture_change(fixture, ADD_UNIQUE, second, NULL), KL_ERR_CONFLICT);
    struct vault_index_change swap[2] = {{REMOVE, first}, {ADD_UNIQUE, second}};
    assert_int_equal(
        vault_index_change(fixture->index, fixture->tenant, swap, 2, fixture->group, NULL), KL_OK);
    struct vault_index_entry third = index_fixture_entry(6, 6, 102, 1);
    struct vault_index_entry fourth = index_fixture_entry(6, 6, 103, 1);
    struct vault_index_change both[2] = {{ADD_UNIQUE, third}, {ADD_UNIQUE, fourth}};
    assert_int_equal(
        vault_index_change(fixture->index, fixture->tenant, both, 2, fixture->group, NULL),
        KL_ERR_CONFLICT);
    index_fixture_commit(fixture);
    assert_false(index_fixture_has(fixture, first));
    assert_true(index_fixture_has(fixture, second));
    assert_int_equal(index_fixture_count(fixture, third), 0);
}

static void test_a_refused_call_adds_nothing(void **state)
{
    struct index_fixture *fixture = *state;
    index_fixture_do(fixture, ADD, person(100));
    size_t rows = store_fixture_rows(fixture->base->store, 'B');
    struct vault_index_change changes[3] = {
        {ADD, person(101)}, {REMOVE, person(100)}, {ADD_UNIQUE, person(100)}};
    changes[2].entry.slot = 7777;
    changes[1].entry.slot = 7776; /* is not there, so the value is still taken */
    assert_int_equal(
        vault_index_change(fixture->index, fixture->tenant, changes, 3, fixture->group, NULL),
        KL_ERR_CONFLICT);
    assert_int_equal(vault_batch_count(fixture->group), 0);
    index_fixture_do(fixture, ADD, person(102));
    assert_false(index_fixture_has(fixture, person(101)));
    assert_true(index_fixture_has(fixture, person(100)));
    assert_int_equal(store_fixture_rows(fixture->base->store, 'B'), rows + 1);
}

static void test_a_group_that_was_given_up_leaves_nothing(void **state)
{
    struct index_fixture *fixture = *state;
    assert_int_equal(index_fixture_change(fixture, ADD_UNIQUE, person(100), NULL), KL_OK);
    vault_batch_clear(fixture->group);
    vault_index_applied(fixture->index, false);
    assert_false(index_fixture_has(fixture, person(100)));
    index_fixture_do(fixture, ADD_UNIQUE, person(100));
    assert_true(index_fixture_has(fixture, person(100)));
}

static void test_one_call_may_change_very_much(void **state)
{
    struct index_fixture *fixture = *state;
    enum { COUNT = 5000 };
    struct vault_index_change *changes = calloc(COUNT, sizeof(*changes));
    for (uint64_t i = 0; i < COUNT; i++) {
        changes[i] = (struct vault_index_change){ADD, person(100 + i)};
    }
    assert_int_equal(
        vault_index_change(fixture->index, fixture->tenant, changes, COUNT, fixture->group, NULL),
        KL_OK);
    index_fixture_commit(fixture);
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_true(index_fixture_has(fixture, person(100 + i)));
    }
    free(changes);
}

/* ---- against a model ---- */

enum { MODEL_TAGS = 700, MODEL_SLOTS = 40 };

/* Few tags at first bits, many beside each other, one that is very common. */
static struct vault_index_entry model_entry(uint64_t random)
{
    uint64_t tag = random % MODEL_TAGS;
    uint64_t bits = tag < 20 ? tag : tag < 200 ? spread(tag) >> 40 : spread(tag);
    if (random % 11 == 0) {
        tag = 3;
        bits = 3;
    }
    return index_fixture_entry(bits, tag, 100 + (random >> 20) % MODEL_SLOTS, 0);
}

static bool *model_cell(bool *model, const struct vault_index_entry *entry)
{
    return &model[kl_get_u64be(entry->tag + 8) * MODEL_SLOTS + (entry->slot - 100)];
}

static void assert_model(struct index_fixture *fixture, bool *model)
{
    struct vault_index_entry found[MODEL_SLOTS + 1];
    for (uint64_t tag = 0; tag < MODEL_TAGS; tag++) {
        uint64_t bits = tag < 20 ? tag : tag < 200 ? spread(tag) >> 40 : spread(tag);
        struct vault_index_entry entry = index_fixture_entry(bits, tag, 100, 0);
        size_t count = 0;
        assert_int_equal(vault_index_find(fixture->index, fixture->tenant, entry.tag, 0,
                                          MODEL_SLOTS + 1, found, &count, NULL),
                         KL_OK);
        size_t expected = 0;
        for (uint64_t slot = 100; slot < 100 + MODEL_SLOTS; slot++) {
            entry.slot = slot;
            if (*model_cell(model, &entry)) {
                assert_true(expected < count);
                assert_int_equal(found[expected].slot, slot);
                expected++;
            }
        }
        assert_int_equal(count, expected);
    }
}

static void model_round(struct index_fixture *fixture, bool *model, uint64_t *random,
                        size_t changes)
{
    for (size_t i = 0; i < changes; i++) {
        *random = spread(*random + 1);
        struct vault_index_entry entry = model_entry(*random);
        bool add = (*random >> 50) % 3 != 0;
        assert_int_equal(index_fixture_change(fixture, add ? ADD : REMOVE, entry, NULL), KL_OK);
        *model_cell(model, &entry) = add;
        if ((*random >> 55) % 5 == 0) {
            index_fixture_commit(fixture);
        }
    }
    index_fixture_commit(fixture);
}

static void test_any_history_ends_as_a_plain_list_would(void **state)
{
    struct index_fixture *fixture = *state;
    bool *model = calloc(MODEL_TAGS * MODEL_SLOTS, sizeof(bool));
    uint64_t random = 42;
    for (int round = 0; round < 6; round++) {
        model_round(fixture, model, &random, 1500);
        assert_model(fixture, model);
        index_fixture_reopen(fixture);
    }
    assert_model(fixture, model);
    free(model);
}

/* ---- the address key ---- */

static void test_a_reset_starts_empty_under_new_addresses(void **state)
{
    struct index_fixture *fixture = *state;
    unsigned char before[VAULT_TAG_BYTES];
    unsigned char after[VAULT_TAG_BYTES];
    assert_int_equal(
        vault_index_tag(fixture->index, fixture->tenant, "id", kl_slice_text("x"), before, NULL),
        KL_OK);
    add_people(fixture, 100, 300);
    assert_int_equal(vault_index_reset(fixture->index, fixture->tenant, fixture->group, NULL),
                     KL_OK);
    assert_int_equal(index_fixture_change(fixture, ADD, person(500), NULL), KL_OK);
    index_fixture_commit(fixture);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(
            vault_index_tag(fixture->index, fixture->tenant, "id", kl_slice_text("x"), after, NULL),
            KL_OK);
        assert_memory_not_equal(before, after, VAULT_TAG_BYTES);
        assert_false(index_fixture_has(fixture, person(100)));
        assert_true(index_fixture_has(fixture, person(500)));
        index_fixture_reopen(fixture);
    }
}

/* All slots of epochs that are over, as the sweep comes to know them; their rows go. */
static size_t old_slots(struct index_fixture *fixture, uint64_t *ret, size_t max)
{
    struct vault_index_old old = {.remove = vault_batch_new(), .max = 10};
    size_t count = 0;
    bool any = true;
    while (any) {
        assert_int_equal(
            vault_index_old_next(fixture->base->store, fixture->tenant, &old, &any, NULL), KL_OK);
        for (size_t i = 0; i < old.count; i++) {
            assert_true(count < max);
            ret[count++] = old.slots[i];
        }
        assert_int_equal(vault_store_apply(fixture->base->store, old.remove, false, NULL), KL_OK);
        vault_batch_clear(old.remove);
    }
    vault_batch_free(old.remove);
    return count;
}

static void test_every_slot_of_an_old_index_is_found_for_the_sweep(void **state)
{
    struct index_fixture *fixture = *state;
    struct kms_place places[64];
    static uint64_t slots[1024];
    size_t place_count = 0;
    struct vault_index_entry one = person(150);
    add_people(fixture, 100, 300);
    assert_int_equal(vault_index_places(fixture->index, fixture->tenant, &one, 1, places, 64,
                                        &place_count, NULL),
                     KL_OK);
    vault_index_release(fixture->index, fixture->tenant, &one, 1);
    assert_true(place_count >= 2); /* its bucket, and what that was split from */
    assert_int_equal(old_slots(fixture, slots, 1024), 0);
    assert_int_equal(vault_index_reset(fixture->index, fixture->tenant, fixture->group, NULL),
                     KL_OK);
    index_fixture_commit(fixture);
    size_t count = old_slots(fixture, slots, 1024);
    bool address = false;
    for (size_t k = 0; k < count; k++) {
        address = address || slots[k] == VAULT_SLOT_ADDRESS;
    }
    assert_true(address);
    for (size_t i = 0; i < place_count; i++) {
        bool listed = false;
        for (size_t k = 0; k < count; k++) {
            listed = listed || slots[k] == places[i].slot;
        }
        assert_true(listed);
    }
    assert_int_equal(store_fixture_rows(fixture->base->store, 'B'), 0);
}

static void test_a_reset_beside_other_work_is_refused(void **state)
{
    struct index_fixture *fixture = *state;
    struct kl_err err = {.status = KL_OK};
    struct kms_place places[64];
    size_t place_count = 0;
    struct vault_index_entry one = person(100);
    assert_int_equal(index_fixture_change(fixture, ADD, one, NULL), KL_OK);
    assert_int_equal(vault_index_reset(fixture->index, fixture->tenant, fixture->group, &err),
                     KL_ERR_BUSY);
    assert_string_equal(err.code, "index_busy");
    index_fixture_commit(fixture);
    assert_int_equal(vault_index_places(fixture->index, fixture->tenant, &one, 1, places, 64,
                                        &place_count, NULL),
                     KL_OK);
    assert_int_equal(vault_index_reset(fixture->index, fixture->tenant, fixture->group, NULL),
                     KL_ERR_BUSY);
    vault_index_release(fixture->index, fixture->tenant, &one, 1);
    assert_int_equal(vault_index_reset(fixture->index, fixture->tenant, fixture->group, NULL),
                     KL_OK);
    assert_int_equal(vault_index_reset(fixture->index, fixture->tenant, fixture->group, NULL),
                     KL_ERR_BUSY);
    index_fixture_commit(fixture);
}

/* ---- damage ---- */

static void test_a_flipped_bit_in_a_bucket_is_told(void **state)
{
    struct index_fixture *fixture = *state;
    struct vault_bucket_address at = vault_bucket_address(fixture->tenant, 0, 0, 0);
    struct vault_row_key key = vault_bucket_key(&at, 1, 0);
    struct vault_index_entry found = {.slot = 4711};
    struct kl_err err = {.status = KL_OK};
    struct kl_buf row;
    size_t count = 4711;
    kl_buf_init(&row, 100000);
    index_fixture_do(fixture, ADD, person(100));
    assert_int_equal(vault_store_get(fixture->base->store, vault_row_slice(&key), &row, NULL),
                     KL_OK);
    row.bytes[row.size - 1] ^= 1;
    vault_batch_put(fixture->group, vault_row_slice(&key), kl_buf_slice(&row));
    index_fixture_commit(fixture);
    assert_int_equal(vault_index_find(fixture->index, fixture->tenant, person(100).tag, 0, 1,
                                      &found, &count, &err),
                     KL_ERR_CORRUPT);
    assert_string_equal(err.code, "index_bucket_corrupt");
    assert_int_equal(count, 4711);
    assert_int_equal(found.slot, 4711);
    assert_int_equal(index_fixture_change(fixture, ADD, person(101), NULL), KL_ERR_CORRUPT);
    kl_buf_done(&row);
}

static void test_a_bucket_moved_to_another_place_does_not_open(void **state)
{
    struct index_fixture *fixture = *state;
    struct kl_buf row;
    kl_buf_init(&row, 100000);
    add_people(fixture, 100, 120);
    /* Put the left half's base where the right half's lies. */
    struct vault_bucket_address left = vault_bucket_address(fixture->tenant, 0, 1, 0);
    struct vault_bucket_address right = vault_bucket_address(fixture->tenant, 0, 1, UINT64_MAX);
    struct vault_row_key from = vault_bucket_key(&left, 1, 0);
    struct vault_row_key to = vault_bucket_key(&right, 1, 0);
    assert_int_equal(vault_store_get(fixture->base->store, vault_row_slice(&from), &row, NULL),
                     KL_OK);
    vault_batch_put(fixture->group, vault_row_slice(&to), kl_buf_slice(&row));
    index_fixture_commit(fixture);
    size_t count = 0;
    struct vault_index_entry found;
    struct vault_index_entry wanted = index_fixture_entry(UINT64_MAX, 0, 0, 0);
    assert_int_equal(
        vault_index_find(fixture->index, fixture->tenant, wanted.tag, 0, 1, &found, &count, NULL),
        KL_ERR_CORRUPT);
    kl_buf_done(&row);
}

int main(void)
{
#define INDEX_TEST(test) \
    cmocka_unit_test_setup_teardown(test, index_fixture_setup, index_fixture_teardown)
    const struct CMUnitTest tests[] = {
        INDEX_TEST(test_tags_depend_on_tenant_kind_and_value),
        INDEX_TEST(test_a_tag_of_too_long_a_value_is_refused),
        INDEX_TEST(test_nothing_is_found_in_an_empty_index),
        INDEX_TEST(test_an_entry_is_found_until_it_is_removed),
        INDEX_TEST(test_buckets_split_and_nobody_is_lost),
        INDEX_TEST(test_many_people_share_one_value),
        INDEX_TEST(test_tags_that_share_many_bits_are_told_apart),
        INDEX_TEST(test_a_unique_value_is_taken_once),
        INDEX_TEST(test_uniqueness_counts_within_a_group_and_within_a_call),
        INDEX_TEST(test_a_refused_call_adds_nothing),
        INDEX_TEST(test_a_group_that_was_given_up_leaves_nothing),
        INDEX_TEST(test_one_call_may_change_very_much),
        INDEX_TEST(test_any_history_ends_as_a_plain_list_would),
        INDEX_TEST(test_a_reset_starts_empty_under_new_addresses),
        INDEX_TEST(test_every_slot_of_an_old_index_is_found_for_the_sweep),
        INDEX_TEST(test_a_reset_beside_other_work_is_refused),
        INDEX_TEST(test_a_flipped_bit_in_a_bucket_is_told),
        INDEX_TEST(test_a_bucket_moved_to_another_place_does_not_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
