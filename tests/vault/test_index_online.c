/* An index built beside the one in use, and what somebody who kept every byte knows after it took over and the old one was swept. */
#include "vault/index.h"

#include "tests/support/index_fixture.h"
#include "tests/support/test.h"
#include "vault/index_old.h"
#include "vault/index_rows.h"
#include "vault/store/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIND "newsletter.email"
#define PEOPLE 400
/* Many buckets, of which some are rekeyed. */
#define CROWD 2000
#define ERASED_EVERY 100

/* ---- people with an e-mail address ---- */

static struct kl_slice email_of(unsigned number, char room[32])
{
    int size = snprintf(room, 32, "person%u@example.org", number);
    return kl_slice_of(room, (size_t)size);
}

static size_t entries_of(struct index_fixture *fixture, unsigned number, uint64_t slot,
                         struct vault_index_entry ret[VAULT_INDEX_TWIN])
{
    char room[32];
    size_t count = 0;
    assert_int_equal(vault_index_entries(fixture->index, fixture->tenant, KIND,
                                         email_of(number, room), slot, 7, ret, &count, NULL),
                     KL_OK);
    return count;
}

/* What a request does with entries that it made before. */
static enum kl_status submit(struct index_fixture *fixture, enum vault_index_change_kind kind,
                             const struct vault_index_entry *entries, size_t count,
                             struct kl_err *err)
{
    struct vault_index_change changes[VAULT_INDEX_TWIN];
    for (size_t i = 0; i < count; i++) {
        changes[i] = (struct vault_index_change){.kind = kind, .entry = entries[i]};
    }
    return vault_index_change(fixture->index, fixture->tenant, changes, count, fixture->group, err);
}

static void change(struct index_fixture *fixture, enum vault_index_change_kind kind,
                   unsigned number, uint64_t slot)
{
    struct vault_index_entry entries[VAULT_INDEX_TWIN];
    size_t count = entries_of(fixture, number, slot, entries);
    assert_int_equal(submit(fixture, kind, entries, count, NULL), KL_OK);
    index_fixture_commit(fixture);
}

/* How many are found by that address, in whichever index is in use. */
static size_t found(struct index_fixture *fixture, unsigned number)
{
    struct vault_index_entry entries[8];
    char room[32];
    size_t count = 0;
    assert_int_equal(vault_index_look(fixture->index, fixture->tenant, KIND, email_of(number, room),
                                      0, 8, entries, &count, NULL),
                     KL_OK);
    return count;
}

static uint64_t people_add(struct index_fixture *fixture, unsigned count)
{
    uint64_t first = 0;
    assert_int_equal(kms_slot_take(fixture->base->keys->kms, fixture->tenant, count, &first, NULL),
                     KL_OK);
    for (unsigned i = 0; i < count; i++) {
        change(fixture, VAULT_INDEX_ADD, i, first + i);
    }
    return first;
}

static void begin(struct index_fixture *fixture)
{
    assert_int_equal(vault_index_build_begin(fixture->index, fixture->tenant, fixture->group, NULL),
                     KL_OK);
    index_fixture_commit(fixture);
}

static void end(struct index_fixture *fixture)
{
    assert_int_equal(vault_index_build_end(fixture->index, fixture->tenant, fixture->group, NULL),
                     KL_OK);
    index_fixture_commit(fixture);
}

static enum kl_status build_one(struct index_fixture *fixture, unsigned number, uint64_t slot,
                                struct kl_err *err)
{
    struct vault_index_entry entry;
    char room[32];
    enum kl_status status = vault_index_build_entry(fixture->index, fixture->tenant, KIND,
                                                    email_of(number, room), slot, 7, &entry, err);
    if (status == KL_OK) {
        status = submit(fixture, VAULT_INDEX_BUILD, &entry, 1, err);
    }
    if (status == KL_OK) {
        index_fixture_commit(fixture);
    }
    return status;
}

static void erase(struct index_fixture *fixture, unsigned number, uint64_t slot)
{
    struct vault_index_entry entries[VAULT_INDEX_TWIN];
    size_t count = entries_of(fixture, number, slot, entries);
    assert_int_equal(index_fixture_erase(fixture, slot, entries, count, NULL), KL_OK);
}

/* As the sweep does: the slots of what is over are shredded, then the rows go. */
static void sweep_old(struct index_fixture *fixture)
{
    struct vault_index_old *old = calloc(1, sizeof(*old));
    static struct kms_change changes[VAULT_INDEX_OLD_MAX];
    struct kms_place nobody = {fixture->tenant, KMS_SLOT_MAX, KMS_VALUE_NONE};
    bool any = true;
    assert_non_null(old);
    old->max = VAULT_INDEX_OLD_MAX;
    old->remove = vault_batch_new();
    while (any) {
        assert_int_equal(
            vault_index_old_next(fixture->base->store, fixture->tenant, old, &any, NULL), KL_OK);
        for (size_t i = 0; i < old->count; i++) {
            changes[i] = (struct kms_change){KMS_CHANGE_SHRED,
                                             {fixture->tenant, old->slots[i], KMS_VALUE_NONE}};
        }
        struct kms_request request = {
            .changes = changes, .changes_count = old->count, .work = &nobody};
        if (old->count > 0) {
            assert_int_equal(kms_commit(fixture->base->keys->kms, &request, NULL), KL_OK);
        }
        assert_int_equal(vault_store_apply(fixture->base->store, old->remove, false, NULL), KL_OK);
        vault_batch_clear(old->remove);
    }
    vault_batch_free(old->remove);
    free(old);
}

/* ---- two at a time ---- */

static void test_changes_go_to_both_and_lookups_to_the_old_one(void **state)
{
    struct index_fixture *fixture = *state;
    uint64_t first = people_add(fixture, 100);
    begin(fixture);
    change(fixture, VAULT_INDEX_REMOVE, 3, first + 3);
    change(fixture, VAULT_INDEX_ADD, 1000, first + 3);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(found(fixture, 3), 0);
        assert_int_equal(found(fixture, 1000), 1);
        assert_int_equal(found(fixture, 50), 1);
        index_fixture_reopen(fixture); /* what is being built is still there, and gone on with */
    }
    for (unsigned i = 0; i < 100; i++) {
        if (i != 3) {
            assert_int_equal(build_one(fixture, i, first + i, NULL), KL_OK);
        }
    }
    end(fixture);
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 100; i++) {
            assert_int_equal(found(fixture, i), i == 3 ? 0 : 1);
        }
        assert_int_equal(found(fixture, 1000), 1);
        sweep_old(fixture);
        index_fixture_reopen(fixture);
    }
}

static void test_who_made_tags_before_a_new_index_began_is_sent_back(void **state)
{
    struct index_fixture *fixture = *state;
    struct vault_index_entry entries[VAULT_INDEX_TWIN];
    struct kl_err err = {.status = KL_OK};
    uint64_t first = people_add(fixture, 2);
    size_t count = entries_of(fixture, 9, first, entries);
    assert_int_equal(count, 1);
    begin(fixture);
    assert_int_equal(submit(fixture, VAULT_INDEX_ADD, entries, count, &err), KL_ERR_PRECONDITION);
    assert_string_equal(err.code, "head_changed");
    index_fixture_commit(fixture);
    assert_int_equal(found(fixture, 9), 0);
    count = entries_of(fixture, 9, first, entries);
    assert_int_equal(count, 2);
    assert_int_equal(submit(fixture, VAULT_INDEX_ADD, entries, 1, &err), KL_ERR_PRECONDITION);
    assert_int_equal(submit(fixture, VAULT_INDEX_ADD, entries + 1, 1, &err), KL_ERR_PRECONDITION);
    assert_int_equal(submit(fixture, VAULT_INDEX_ADD, entries, count, &err), KL_OK);
    index_fixture_commit(fixture);
    assert_int_equal(found(fixture, 9), 1);
}

static void test_tags_made_for_both_still_count_when_the_new_one_has_taken_over(void **state)
{
    struct index_fixture *fixture = *state;
    struct vault_index_entry entries[VAULT_INDEX_TWIN];
    struct vault_index_entry late;
    struct kl_err err = {.status = KL_OK};
    char room[32];
    uint64_t first = people_add(fixture, 2);
    begin(fixture);
    size_t count = entries_of(fixture, 9, first, entries);
    assert_int_equal(vault_index_build_entry(fixture->index, fixture->tenant, KIND,
                                             email_of(1, room), first + 1, 7, &late, NULL),
                     KL_OK);
    end(fixture);
    assert_int_equal(submit(fixture, VAULT_INDEX_ADD_UNIQUE, entries, count, NULL), KL_OK);
    index_fixture_commit(fixture);
    assert_int_equal(found(fixture, 9), 1);
    assert_int_equal(submit(fixture, VAULT_INDEX_BUILD, &late, 1, &err), KL_ERR_PRECONDITION);
    kl_err_clear(&err);
    assert_int_equal(vault_index_build_end(fixture->index, fixture->tenant, fixture->group, &err),
                     KL_ERR_CONFLICT);
    assert_string_equal(err.code, "index_not_building");
    assert_int_equal(build_one(fixture, 1, first + 1, &err), KL_ERR_CONFLICT);
    /* Tags for the one that is over alone are of no use. */
    assert_int_equal(submit(fixture, VAULT_INDEX_ADD, entries, 1, &err), KL_ERR_PRECONDITION);
}

static void test_a_switch_counts_for_later_requests_of_its_group(void **state)
{
    struct index_fixture *fixture = *state;
    struct vault_index_entry entries[VAULT_INDEX_TWIN];
    uint64_t first = people_add(fixture, 2);
    begin(fixture);
    size_t count = entries_of(fixture, 9, first, entries);
    assert_int_equal(vault_index_build_end(fixture->index, fixture->tenant, fixture->group, NULL),
                     KL_OK);
    assert_int_equal(submit(fixture, VAULT_INDEX_ADD, entries, count, NULL), KL_OK);
    index_fixture_commit(fixture);
    assert_int_equal(found(fixture, 9), 1);
    assert_int_equal(found(fixture, 0), 0); /* nobody built it */
}

static void test_a_value_stays_unique_while_an_index_is_built(void **state)
{
    struct index_fixture *fixture = *state;
    struct vault_index_entry entries[VAULT_INDEX_TWIN];
    uint64_t first = people_add(fixture, 2);
    begin(fixture); /* it does not know of the two yet */
    size_t count = entries_of(fixture, 0, first + 1, entries);
    assert_int_equal(submit(fixture, VAULT_INDEX_ADD_UNIQUE, entries, count, NULL),
                     KL_ERR_CONFLICT);
    change(fixture, VAULT_INDEX_REMOVE, 0, first);
    assert_int_equal(submit(fixture, VAULT_INDEX_ADD_UNIQUE, entries, count, NULL), KL_OK);
    index_fixture_commit(fixture);
    end(fixture);
    assert_int_equal(found(fixture, 0), 1);
    count = entries_of(fixture, 0, first, entries);
    assert_int_equal(submit(fixture, VAULT_INDEX_ADD_UNIQUE, entries, count, NULL),
                     KL_ERR_CONFLICT);
}

static void test_a_begin_that_was_given_up_leaves_nothing(void **state)
{
    struct index_fixture *fixture = *state;
    struct vault_index_epochs epochs = {0};
    struct kl_err err = {.status = KL_OK};
    uint64_t first = people_add(fixture, 2);
    assert_int_equal(vault_index_build_begin(fixture->index, fixture->tenant, fixture->group, NULL),
                     KL_OK);
    vault_index_applied(fixture->index, false);
    vault_batch_clear(fixture->group);
    assert_int_equal(vault_index_epochs(fixture->index, fixture->tenant, &epochs, NULL), KL_OK);
    assert_int_equal(epochs.next_epoch, 0);
    assert_int_equal(build_one(fixture, 0, first, &err), KL_ERR_CONFLICT);
    assert_string_equal(err.code, "index_not_building");
}

static void test_a_reset_gives_up_what_was_being_built_too(void **state)
{
    struct index_fixture *fixture = *state;
    struct vault_index_epochs epochs = {0};
    uint64_t first = people_add(fixture, 60);
    begin(fixture);
    assert_int_equal(build_one(fixture, 0, first, NULL), KL_OK);
    assert_int_equal(vault_index_epochs(fixture->index, fixture->tenant, &epochs, NULL), KL_OK);
    struct kms_place slot = {fixture->tenant, epochs.next_slot, KMS_VALUE_NONE};
    assert_int_equal(vault_index_reset(fixture->index, fixture->tenant, fixture->group, NULL),
                     KL_OK);
    index_fixture_commit(fixture);
    assert_int_equal(vault_index_epochs(fixture->index, fixture->tenant, &epochs, NULL), KL_OK);
    assert_int_equal(epochs.epoch, 2);
    assert_int_equal(epochs.next_epoch, 0);
    sweep_old(fixture);
    assert_int_equal(kms_place_check(fixture->base->keys->kms, &slot, NULL), KL_ERR_GONE);
    assert_int_equal(store_fixture_rows(fixture->base->store, 'B'), 0);
}

/* ---- erasures ---- */

static void test_an_erasure_beside_a_build_leaves_neither_index(void **state)
{
    struct index_fixture *fixture = *state;
    size_t opened = 0;
    uint64_t first = people_add(fixture, 100);
    begin(fixture);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(build_one(fixture, i, first + i, NULL), KL_OK);
    }
    assert_true(index_fixture_hoarder_finds(fixture, first + 5, NULL) >= 2);
    erase(fixture, 5, first + 5);
    assert_int_equal(index_fixture_hoarder_finds(fixture, first + 5, &opened), 0);
    assert_true(opened > 0);
    end(fixture);
    assert_int_equal(found(fixture, 5), 0);
    assert_int_equal(found(fixture, 6), 1);
    assert_int_equal(index_fixture_hoarder_finds(fixture, first + 5, NULL), 0);
}

static void test_an_erasure_that_began_before_a_switch_is_done_after_it(void **state)
{
    struct index_fixture *fixture = *state;
    struct vault_index_entry entries[VAULT_INDEX_TWIN];
    uint64_t first = people_add(fixture, 100);
    begin(fixture);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(build_one(fixture, i, first + i, NULL), KL_OK);
    }
    size_t count = entries_of(fixture, 5, first + 5, entries);
    end(fixture);
    assert_int_equal(index_fixture_erase(fixture, first + 5, entries, count, NULL), KL_OK);
    assert_int_equal(index_fixture_hoarder_finds(fixture, first + 5, NULL), 0);
    assert_int_equal(found(fixture, 5), 0);
    assert_int_equal(found(fixture, 6), 1);
}

static void test_an_erasure_whose_old_buckets_were_swept_is_sent_back(void **state)
{
    struct index_fixture *fixture = *state;
    struct vault_index_entry entries[VAULT_INDEX_TWIN];
    struct kms_place places[64];
    struct kms_place dying;
    struct kms_change changes[65];
    size_t place_count = 0;
    uint64_t first = people_add(fixture, 100);
    begin(fixture);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(build_one(fixture, i, first + i, NULL), KL_OK);
    }
    size_t count = entries_of(fixture, 5, first + 5, entries);
    assert_int_equal(vault_index_places(fixture->index, fixture->tenant, entries, count, places, 64,
                                        &place_count, NULL),
                     KL_OK);
    end(fixture);
    sweep_old(fixture);
    dying = (struct kms_place){fixture->tenant, first + 5, KMS_VALUE_NONE};
    changes[0] = (struct kms_change){KMS_CHANGE_SHRED, dying};
    for (size_t i = 0; i < place_count; i++) {
        changes[i + 1] = (struct kms_change){KMS_CHANGE_REKEY, places[i]};
    }
    struct kms_request request = {
        .changes = changes, .changes_count = place_count + 1, .work = &dying};
    assert_int_equal(kms_commit(fixture->base->keys->kms, &request, NULL), KL_ERR_GONE);
    vault_index_release(fixture->index, fixture->tenant, entries, count);
    assert_int_equal(found(fixture, 5), 1);
    erase(fixture, 5, first + 5); /* again, with tags of now */
    assert_int_equal(found(fixture, 5), 0);
    assert_int_equal(index_fixture_hoarder_finds(fixture, first + 5, NULL), 0);
}

/* ---- the hoarder ---- */

/* Every tag that stands in any bucket row that opens, of any time, with the keys there are now. */
static size_t rows_that_open(struct index_fixture *fixture, uint32_t epoch)
{
    struct vault_batch_op op;
    struct kl_buf plain;
    size_t at = 0;
    size_t opened = 0;
    kl_buf_init(&plain, KMS_SEAL_MAX_BYTES);
    while (vault_batch_next(fixture->hoarded, &at, &op)) {
        if (kl_get_u32be(op.key.bytes + 9) == epoch &&
            kl_get_u32be(op.key.bytes + VAULT_BUCKET_KEY_PREFIX_BYTES) > 0) {
            opened += index_fixture_hoarder_opens(fixture, &op, &plain) ? 1 : 0;
        }
    }
    kl_buf_done(&plain);
    return opened;
}

static void test_after_the_sweep_no_guess_can_be_tested(void **state)
{
    struct index_fixture *fixture = *state;
    struct kms *kms = fixture->base->keys->kms;
    struct vault_index_epochs old = {0};
    unsigned char mac[KMS_MAC_BYTES];
    uint64_t first = people_add(fixture, PEOPLE);
    assert_int_equal(vault_index_epochs(fixture->index, fixture->tenant, &old, NULL), KL_OK);
    struct kms_place address = {fixture->tenant, old.address_slot, KMS_VALUE_NONE};
    erase(fixture, 17, first + 17);
    /* Before it, a guess leads to a bucket, and its rows open. */
    assert_int_equal(kms_mac(kms, &address, "index-tag", kl_slice_text("guess"), mac, NULL), KL_OK);
    assert_true(rows_that_open(fixture, 0) > 0);
    begin(fixture);
    for (unsigned i = 0; i < PEOPLE; i++) {
        if (i != 17) {
            assert_int_equal(build_one(fixture, i, first + i, NULL), KL_OK);
        }
    }
    end(fixture);
    sweep_old(fixture);
    assert_int_equal(kms_mac(kms, &address, "index-tag", kl_slice_text("guess"), mac, NULL),
                     KL_ERR_GONE);
    assert_int_equal(rows_that_open(fixture, 0), 0);
    assert_true(rows_that_open(fixture, 1) > 0);
    assert_int_equal(index_fixture_hoarder_finds(fixture, first + 17, NULL), 0);
    assert_true(index_fixture_hoarder_finds(fixture, first + 18, NULL) > 0);
}

/* Whether the hoarder saw a bucket of epoch 0 rekeyed that covers those bits: a later version of a base beside the first. */
static bool saw_rekeyed(struct index_fixture *fixture, uint64_t tag_bits)
{
    struct vault_batch_op op;
    size_t at = 0;
    while (vault_batch_next(fixture->hoarded, &at, &op)) {
        uint8_t depth = op.key.bytes[13];
        uint64_t prefix = kl_get_u64be(op.key.bytes + 14);
        struct vault_bucket_address bucket = {fixture->tenant, 0, depth, prefix};
        if (kl_get_u32be(op.key.bytes + 9) == 0 &&
            kl_get_u32be(op.key.bytes + VAULT_BUCKET_KEY_PREFIX_BYTES) > 1 &&
            vault_bucket_covers(&bucket, tag_bits)) {
            return true;
        }
    }
    return false;
}

/* Of those people, the share whose tag of now falls into a bucket that was rekeyed once. */
static double share_seen(struct index_fixture *fixture, bool erased)
{
    struct vault_index_entry entries[VAULT_INDEX_TWIN];
    unsigned seen = 0;
    unsigned all = 0;
    for (unsigned i = 0; i < CROWD; i++) {
        if ((i % ERASED_EVERY == 7) == erased) {
            (void)entries_of(fixture, i, 0, entries);
            seen += saw_rekeyed(fixture, vault_tag_bits(entries[0].tag)) ? 1 : 0;
            all++;
        }
    }
    return (double)seen / all;
}

static void test_rekeyed_buckets_tell_no_more_than_chance_after_the_sweep(void **state)
{
    struct index_fixture *fixture = *state;
    uint64_t first = people_add(fixture, CROWD);
    for (unsigned i = 7; i < CROWD; i += ERASED_EVERY) {
        erase(fixture, i, first + i);
    }
    /* Before: who has the address key sees for certain that each erased one's bucket was rekeyed, and few others'. */
    assert_true(share_seen(fixture, true) > 0.999);
    double chance = share_seen(fixture, false);
    assert_true(chance < 0.7);
    begin(fixture);
    for (unsigned i = 0; i < CROWD; i++) {
        if (i % ERASED_EVERY != 7) {
            assert_int_equal(build_one(fixture, i, first + i, NULL), KL_OK);
        }
    }
    end(fixture);
    sweep_old(fixture);
    /* After: four standard deviations of a draw of that many, squared. */
    double apart = share_seen(fixture, true) - share_seen(fixture, false);
    double others = share_seen(fixture, false);
    assert_true(apart * apart < 16 * others * (1 - others) / (CROWD / ERASED_EVERY) + 0.001);
    assert_true((others - chance) * (others - chance) < 0.25 * 0.25);
}

#define INDEX_TEST(name) \
    cmocka_unit_test_setup_teardown(name, index_fixture_setup, index_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        INDEX_TEST(test_changes_go_to_both_and_lookups_to_the_old_one),
        INDEX_TEST(test_who_made_tags_before_a_new_index_began_is_sent_back),
        INDEX_TEST(test_tags_made_for_both_still_count_when_the_new_one_has_taken_over),
        INDEX_TEST(test_a_switch_counts_for_later_requests_of_its_group),
        INDEX_TEST(test_a_value_stays_unique_while_an_index_is_built),
        INDEX_TEST(test_a_begin_that_was_given_up_leaves_nothing),
        INDEX_TEST(test_a_reset_gives_up_what_was_being_built_too),
        INDEX_TEST(test_an_erasure_beside_a_build_leaves_neither_index),
        INDEX_TEST(test_an_erasure_that_began_before_a_switch_is_done_after_it),
        INDEX_TEST(test_an_erasure_whose_old_buckets_were_swept_is_sent_back),
        INDEX_TEST(test_after_the_sweep_no_guess_can_be_tested),
        INDEX_TEST(test_rekeyed_buckets_tell_no_more_than_chance_after_the_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
