/* What a sweep does with the index: a new one beside the one in use, whose keys then go. */
#include "tests/support/sweep_fixture.h"
#include "tests/support/test.h"

#include "kluis/base/time.h"
#include "vault/index.h"
#include "vault/job_internal.h"
#include "vault/upkeep_internal.h"

#include <stdio.h>
#include <string.h>

/* One sweep, a step at a time, until its new index is in use. */
static void sweep_until_switched(struct vault_fixture *fixture, struct vault_job *job)
{
    struct vault *vault = fixture_vault(fixture);
    struct vault_index_epochs before = {0};
    struct vault_index_epochs now = {0};
    bool done = false;

    vault_job_init(job);
    job->id = kl_id_new();
    job->kind = VAULT_JOB_SWEEP;
    job->tenant = fixture_tenant(fixture);
    job->started_us = kl_time_now_us();
    kl_buf_add(&job->params, "{}", 2);
    assert_int_equal(vault_index_epochs(vault->index, job->tenant, &before, NULL), KL_OK);
    do {
        assert_int_equal(vault_sweep_job.step(vault, job, &done, NULL), KL_OK);
        assert_false(done);
        assert_int_equal(vault_index_epochs(vault->index, job->tenant, &now, NULL), KL_OK);
    } while (now.epoch == before.epoch);
}

static void test_who_is_erased_while_an_index_goes_stands_in_it_no_more(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result first = fixture_newsletter(fixture, "first@example.org", false);
    struct vault_subject_result gone = fixture_newsletter(fixture, "gone@example.org", false);
    static struct kms_place slots[SWEEP_SLOTS_MAX];
    struct vault_job job;
    size_t count = 0;
    bool done = false;

    (void)fixture_newsletter(fixture, "stays@example.org", false);
    fixture_erase(fixture, &first.id);
    count = sweep_index_slots(fixture, slots);
    assert_true(count >= 2);
    sweep_until_switched(fixture, &job);
    assert_false(sweep_is_gone(fixture, &slots[1])); /* or there is nothing to see here */
    fixture_erase(fixture, &gone.id);
    for (size_t i = 0; i < count; i++) {
        assert_true(sweep_is_gone(fixture, &slots[i]));
    }
    while (!done) {
        assert_int_equal(vault_sweep_job.step(fixture_vault(fixture), &job, &done, NULL), KL_OK);
    }
    vault_job_done(&job);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "stays@example.org", NULL), 1);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "gone@example.org", NULL), 0);
}

static void test_after_an_erasure_the_old_index_has_no_key_left(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result gone = fixture_newsletter(fixture, "gone@example.org", false);
    static struct kms_place slots[SWEEP_SLOTS_MAX];
    struct vault_index_epochs epochs = {0};
    size_t count = 0;
    struct kl_id id;
    char email[64];

    for (int i = 0; i < 60; i++) {
        (void)snprintf(email, sizeof email, "p%d@example.org", i);
        (void)fixture_newsletter(fixture, email, false);
    }
    fixture_erase(fixture, &gone.id);
    count = sweep_index_slots(fixture, slots);
    assert_true(count >= 3);
    id = sweep_run(fixture);
    for (size_t i = 0; i < count; i++) {
        assert_true(sweep_is_gone(fixture, &slots[i]));
    }
    assert_int_equal(sweep_shown(fixture, &id, "indexes"), 1);
    assert_int_equal(sweep_shown(fixture, &id, "subjects"), 60);
    assert_int_equal(
        vault_index_epochs(fixture_vault(fixture)->index, fixture_tenant(fixture), &epochs, NULL),
        KL_OK);
    assert_int_equal(epochs.epoch, 1);
    assert_int_equal(epochs.next_epoch, 0);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 60; i++) {
            (void)snprintf(email, sizeof email, "p%d@example.org", i);
            assert_int_equal(fixture_lookup(fixture, "newsletter.email", email, NULL), 1);
        }
        assert_int_equal(fixture_lookup(fixture, "newsletter.email", "gone@example.org", NULL), 0);
        fixture_reopen(fixture);
    }
}

/* How many entries of the index in use say that address, whether they lead to somebody or not. */
static size_t entries_of(struct vault_fixture *fixture, const char *email)
{
    struct vault_index_entry entries[8];
    size_t count = 99;

    assert_int_equal(vault_index_look(fixture_vault(fixture)->index, fixture_tenant(fixture),
                                      "newsletter.email", kl_slice_text(email), 0, 8, entries,
                                      &count, NULL),
                     KL_OK);
    return count;
}

static void test_what_happens_beside_a_build_is_in_the_new_index_and_nothing_else(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result before = fixture_newsletter(fixture, "before@example.org", false);
    struct vault_subject_result gone = fixture_newsletter(fixture, "gone@example.org", false);
    struct vault_subject_result moved = fixture_newsletter(fixture, "from@example.org", false);
    struct vault *vault = fixture_vault(fixture);
    struct vault_index_epochs epochs = {0};
    bool done = false;
    struct kl_id id;

    fixture_erase(fixture, &before.id);
    assert_int_equal(sweep_ask(fixture, admin_operator(fixture->admin), 0, &id), KL_OK);
    for (int i = 0; i < 8 && epochs.next_epoch == 0; i++) {
        assert_int_equal(
            vault_sweep_job.step(vault, &vault->upkeep->jobs->job, &done, &fixture->err), KL_OK);
        assert_int_equal(vault_index_epochs(vault->index, fixture_tenant(fixture), &epochs, NULL),
                         KL_OK);
    }
    assert_int_not_equal(epochs.next_epoch, 0); /* everybody is in it, and it is not in use */
    fixture_erase(fixture, &gone.id);
    sweep_rectify(fixture, &moved, "email", "to@example.org");
    (void)fixture_newsletter(fixture, "new@example.org", false);
    assert_int_equal(entries_of(fixture, "to@example.org"), 1);
    assert_int_equal(vault_upkeep_run(vault, NULL), KL_OK);
    assert_int_equal(vault_index_epochs(vault->index, fixture_tenant(fixture), &epochs, NULL),
                     KL_OK);
    assert_int_equal(epochs.epoch, 1);
    assert_int_equal(entries_of(fixture, "before@example.org"), 0);
    assert_int_equal(entries_of(fixture, "gone@example.org"), 0);
    assert_int_equal(entries_of(fixture, "from@example.org"), 0);
    assert_int_equal(entries_of(fixture, "to@example.org"), 1);
    assert_int_equal(entries_of(fixture, "new@example.org"), 1);
    /* The value before stood in the new index too, so it waits for the next one. */
    assert_int_equal(sweep_rows(fixture, 'O'), 1);
    assert_int_equal(sweep_shown(fixture, &id, "values"), 0);
    id = sweep_run(fixture);
    assert_int_equal(sweep_shown(fixture, &id, "indexes"), 1);
    assert_int_equal(sweep_rows(fixture, 'O'), 0);
}

static void test_an_index_in_which_nothing_changed_is_left_alone(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "a@example.org", false);
    struct kl_id id = sweep_run(fixture);

    assert_int_equal(sweep_shown(fixture, &id, "indexes"), 0);
    sweep_rectify(fixture, &made, "first_name", "Bo"); /* is in no index */
    id = sweep_run(fixture);
    assert_int_equal(sweep_shown(fixture, &id, "indexes"), 0);
    assert_int_equal(sweep_shown(fixture, &id, "values"), 1);
    sweep_rectify(fixture, &made, "email", "b@example.org");
    id = sweep_run(fixture);
    assert_int_equal(sweep_shown(fixture, &id, "indexes"), 1);
    id = sweep_run(fixture);
    assert_int_equal(sweep_shown(fixture, &id, "indexes"), 0);
}

static void test_somebody_whose_records_are_damaged_can_still_be_erased_after_a_sweep(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result gone = fixture_newsletter(fixture, "gone@example.org", false);
    struct vault_subject_result hurt = fixture_newsletter(fixture, "hurt@example.org", false);
    uint64_t slot = 0;

    fixture_damage(fixture, &hurt.id);
    fixture_erase(fixture, &gone.id);
    (void)sweep_run(fixture);
    assert_int_equal(
        vault_subject_slot(fixture_vault(fixture), fixture_tenant(fixture), &hurt.id, &slot, NULL),
        KL_OK);
    fixture_erase(fixture, &hurt.id);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_who_is_erased_while_an_index_goes_stands_in_it_no_more),
        TEST(test_after_an_erasure_the_old_index_has_no_key_left),
        TEST(test_what_happens_beside_a_build_is_in_the_new_index_and_nothing_else),
        TEST(test_an_index_in_which_nothing_changed_is_left_alone),
        TEST(test_somebody_whose_records_are_damaged_can_still_be_erased_after_a_sweep),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
