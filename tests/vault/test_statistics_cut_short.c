/* Statistics of erasures and publications that are cut short in any place: everybody counts once. */
#include "kluis/base/time.h"
#include "tests/support/cut_short.h"
#include "tests/support/statistics_fixture.h"
#include "tests/support/test.h"
#include "vault/erasure.h"
#include "vault/side.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS 80
#define SEED 20230802u

static enum kl_status try_erase(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct kl_buf receipt;
    enum kl_status status;

    kl_buf_init(&receipt, 65536);
    status = fixture_try_erase(fixture, "dpo", subject, VAULT_ERASE_REQUEST, &receipt);
    kl_buf_done(&receipt);
    return status;
}

static void test_an_erasure_that_failed_gives_nothing_and_once_done_counts_once(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result late = statistics_person(fixture, STATISTICS_BELGIAN);

    statistics_come_and_go(fixture, STATISTICS_BELGIAN, 2);
    cut_short_before_the_commit(fixture);
    assert_int_equal(try_erase(fixture, &late.id), KL_ERR_UNAVAILABLE);
    assert_int_equal(statistics_rows(fixture, "VG"), 2);
    vault_erasure_hooks_set(fixture_vault(fixture));
    assert_int_equal(try_erase(fixture, &late.id), KL_OK);
    assert_int_equal(statistics_publish_in(fixture, 30), KL_OK);
    assert_int_equal(statistics_clients(fixture), 3);
}

static void test_an_erasure_whose_end_was_cut_short_counts_once(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result late = statistics_person(fixture, STATISTICS_BELGIAN);

    statistics_come_and_go(fixture, STATISTICS_BELGIAN, 2);
    cut_short_after_the_commit(fixture);
    assert_int_equal(try_erase(fixture, &late.id), KL_ERR_UNAVAILABLE);
    fixture_reopen(fixture);
    assert_int_equal(statistics_rows(fixture, "VG"), 3);
    assert_int_equal(statistics_publish_in(fixture, 30), KL_OK);
    assert_int_equal(statistics_clients(fixture), 3);
    fixture_reopen(fixture);
    assert_int_equal(statistics_clients(fixture), 3);
}

/* All rows of the keys, put back later: as a power failure leaves what was not synced. */
static struct vault_batch *keys_kept(struct vault_fixture *fixture)
{
    struct vault_batch *batch = vault_batch_new();
    struct vault_iter *iter = vault_iter_new(fixture_vault(fixture)->keys_store, kl_slice_of("", 0),
                                             kl_slice_of("", 0), false);
    struct kl_slice key;
    struct kl_slice value;

    assert_non_null(batch);
    assert_non_null(iter);
    while (vault_iter_next(iter, &key, &value)) {
        vault_batch_put(batch, key, value);
    }
    assert_int_equal(vault_iter_status(iter, NULL), KL_OK);
    vault_iter_free(iter);
    return batch;
}

static void test_an_acknowledged_erasure_counts_after_a_power_failure(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result late = statistics_person(fixture, STATISTICS_BELGIAN);
    struct vault_batch *kept = NULL;

    statistics_come_and_go(fixture, STATISTICS_BELGIAN, 2);
    cut_short_after_the_commit(fixture);
    assert_int_equal(try_erase(fixture, &late.id), KL_ERR_UNAVAILABLE);
    kept = keys_kept(fixture);
    assert_int_equal(
        vault_erasure_notes_finish(fixture_vault(fixture), UINT64_MAX, NULL, &fixture->err), KL_OK);
    assert_int_equal(vault_store_apply(fixture_vault(fixture)->keys_store, kept, true, NULL),
                     KL_OK);
    vault_batch_free(kept);
    fixture_reopen(fixture);
    assert_int_equal(statistics_rows(fixture, "VG"), 3);
    assert_int_equal(statistics_publish_in(fixture, 30), KL_OK);
    assert_int_equal(statistics_clients(fixture), 3);
}

static void test_an_erasure_without_its_end_is_published_once_all_the_same(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result late = statistics_person(fixture, STATISTICS_BELGIAN);

    statistics_come_and_go(fixture, STATISTICS_BELGIAN, 2);
    cut_short_after_the_commit(fixture);
    assert_int_equal(try_erase(fixture, &late.id), KL_ERR_UNAVAILABLE);
    vault_erasure_hooks_set(fixture_vault(fixture));
    assert_int_equal(statistics_publish_in(fixture, 30), KL_OK);
    assert_int_equal(statistics_clients(fixture), 3);
    fixture_reopen(fixture); /* where the note comes again */
    assert_int_equal(statistics_clients(fixture), 3);
    assert_int_equal(statistics_rows(fixture, "VG"), 0);
}

static void test_a_publication_that_failed_leaves_nothing_that_opens(void **state)
{
    struct vault_fixture *fixture = *state;
    unsigned char key[18] = "VT";
    struct statistics_row kept = {.cohort = 0};
    struct kms_place place = {KMS_TENANT_VAULT, 0, KMS_VALUE_NONE};

    statistics_come_and_go(fixture, STATISTICS_BELGIAN, 3);
    cut_short_before_the_commit(fixture);
    assert_int_equal(statistics_publish_in(fixture, 30), KL_ERR_UNAVAILABLE);
    assert_int_equal(statistics_clients(fixture), 0);
    assert_int_equal(statistics_rows(fixture, "VT"), 1);
    kl_buf_init(&kept.value, 65536);
    kl_put_u64be(key + 2, fixture_tenant(fixture));
    assert_int_equal(kms_side_range(fixture_vault(fixture)->keys, kl_slice_of(key, 10),
                                    statistics_row_keep, &kept, NULL),
                     KL_OK);
    place.slot = kept.cohort; /* the publication's number stands where a cohort's does */
    assert_int_equal(kms_place_check(fixture_vault(fixture)->keys, &place, NULL), KL_OK);
    fixture_reopen(fixture);
    statistics_come_and_go(fixture, STATISTICS_DUTCH,
                           3); /* in another cohort: that one was closed */
    assert_int_equal(statistics_rows(fixture, "VC"), 2);
    assert_int_equal(statistics_publish_in(fixture, 1), KL_OK);
    assert_int_equal(statistics_people(fixture, NULL, "client.iban", "BE"), 3);
    assert_int_equal(statistics_clients(fixture), 3);
    assert_int_equal(kms_place_check(fixture_vault(fixture)->keys, &place, NULL), KL_ERR_GONE);
    assert_int_equal(statistics_rows(fixture, "VT"), 1);
    kl_buf_done(&kept.value);
}

#define TRIES 70

static void test_a_publication_that_failed_for_an_hour_leaves_one_and_counts_once(void **state)
{
    struct vault_fixture *fixture = *state;
    int i;

    statistics_come_and_go(fixture, STATISTICS_BELGIAN, 3);
    cut_short_before_the_commit(fixture);
    for (i = 0; i < TRIES; i++) {
        assert_int_equal(statistics_publish_in(fixture, 30), KL_ERR_UNAVAILABLE);
    }
    assert_int_equal(statistics_rows(fixture, "VT"), 1);
    vault_erasure_hooks_set(fixture_vault(fixture));
    assert_int_equal(statistics_publish_in(fixture, 30), KL_OK);
    assert_int_equal(statistics_clients(fixture), 3);
    assert_int_equal(statistics_rows(fixture, "VT"), 1);
}

/* The one row of that kind again, under slots of the vault's own. */
static void multiply(struct vault_fixture *fixture, size_t count)
{
    struct kms *keys = fixture_vault(fixture)->keys;
    unsigned char key[20] = "VT";
    struct kms_storage_write copy = {.key = kl_slice_of(key, sizeof key)};
    struct statistics_row kept = {.cohort = 0};
    uint64_t number = 0;
    size_t i;

    kl_buf_init(&kept.value, 65536);
    assert_int_equal(kms_side_range(keys, kl_slice_text("VT"), statistics_row_keep, &kept, NULL),
                     KL_OK);
    kl_put_u64be(key + 2, fixture_tenant(fixture));
    copy.value = kl_buf_slice(&kept.value);
    for (i = 0; i < count; i++) {
        assert_int_equal(kms_slot_take(keys, KMS_TENANT_VAULT, 1, &number, NULL), KL_OK);
        kl_put_u64be(key + 10, number);
        assert_int_equal(kms_side_apply(keys, &copy, 1, false, NULL), KL_OK);
    }
    kl_buf_done(&kept.value);
}

static void test_however_many_failed_publications_there_are_none_is_left(void **state)
{
    struct vault_fixture *fixture = *state;

    statistics_come_and_go(fixture, STATISTICS_BELGIAN, 3);
    cut_short_before_the_commit(fixture);
    assert_int_equal(statistics_publish_in(fixture, 30), KL_ERR_UNAVAILABLE);
    vault_erasure_hooks_set(fixture_vault(fixture));
    multiply(fixture, 2 * TRIES);
    assert_int_equal(statistics_rows(fixture, "VT"), 1 + 2 * TRIES);
    assert_int_equal(statistics_publish_in(fixture, 30), KL_OK);
    assert_int_equal(statistics_clients(fixture), 3);
    assert_int_equal(statistics_rows(fixture, "VT"), 1);
}

static void test_a_publication_whose_end_was_cut_short_counts_once(void **state)
{
    struct vault_fixture *fixture = *state;

    statistics_come_and_go(fixture, STATISTICS_BELGIAN, 3);
    cut_short_after_the_commit(fixture);
    assert_int_equal(statistics_publish_in(fixture, 30), KL_ERR_UNAVAILABLE);
    assert_int_equal(statistics_clients(fixture), 3);
    fixture_reopen(fixture);
    assert_int_equal(statistics_rows(fixture, "VG") + statistics_rows(fixture, "VC"), 0);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"statistics_publish\""), 1);
    assert_int_equal(statistics_publish_in(fixture, 60), KL_OK);
    assert_int_equal(statistics_clients(fixture), 3);
}

/*
 * Any order of erasures, publications and starts, each done or cut short before or after its commit: what is published is always what a simple
 * count says.
 */
static void test_in_any_order_and_cut_short_anywhere_everybody_counts_once(void **state)
{
    struct vault_fixture *fixture = *state;
    uint64_t waiting = 0;
    uint64_t published = 0;
    int days = 0;
    int step;

    srand(SEED);
    for (step = 0; step < STEPS; step++) {
        int cut = rand() % 4; /* 0 before, 1 after, else not at all */
        bool publishes = rand() % 5 == 0;
        enum kl_status status = KL_OK;
        struct vault_subject_result somebody = {0};

        if (!publishes) {
            somebody =
                statistics_person(fixture, rand() % 2 == 0 ? STATISTICS_BELGIAN : STATISTICS_DUTCH);
        }
        if (cut == 0) {
            cut_short_before_the_commit(fixture);
        } else if (cut == 1) {
            cut_short_after_the_commit(fixture);
        }
        days += publishes ? 31 : 0;
        status =
            publishes ? statistics_publish_in(fixture, days) : try_erase(fixture, &somebody.id);
        if (cut <= 1) {
            assert_true(status == KL_ERR_UNAVAILABLE || (publishes && waiting == 0));
        } else {
            assert_int_equal(status, KL_OK);
        }
        if (cut != 0 && publishes) {
            published += waiting >= STATISTICS_MINIMUM ? waiting : 0;
            waiting = 0;
        } else if (cut == 0 && publishes && waiting > 0) { /* closed: on its own from now on */
            fixture_reopen(fixture);
            assert_int_equal(statistics_publish_in(fixture, days), KL_OK);
            published += waiting >= STATISTICS_MINIMUM ? waiting : 0;
            waiting = 0;
        } else if (cut != 0) {
            waiting++;
        }
        if (cut <= 1 || rand() % 10 == 0) {
            fixture_reopen(fixture);
        }
        assert_int_equal(statistics_clients(fixture), published);
        assert_int_equal(statistics_rows(fixture, "VG"), waiting);
    }
    assert_true(published > 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, statistics_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_erasure_that_failed_gives_nothing_and_once_done_counts_once),
        TEST(test_an_erasure_whose_end_was_cut_short_counts_once),
        TEST(test_an_acknowledged_erasure_counts_after_a_power_failure),
        TEST(test_an_erasure_without_its_end_is_published_once_all_the_same),
        TEST(test_a_publication_that_failed_leaves_nothing_that_opens),
        TEST(test_a_publication_that_failed_for_an_hour_leaves_one_and_counts_once),
        TEST(test_however_many_failed_publications_there_are_none_is_left),
        TEST(test_a_publication_whose_end_was_cut_short_counts_once),
        TEST(test_in_any_order_and_cut_short_anywhere_everybody_counts_once),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
