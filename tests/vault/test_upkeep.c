/* The thread that does jobs and tasks. Nothing here waits for a length of time: it waits until something has come about. */
#include "tests/support/job_fixture.h"
#include "tests/support/test.h"

#include <sched.h>
#include <string.h>

static const struct vault_upkeep_options never = {.sweep_at_s = -1};

static void wait_for_steps(unsigned steps)
{
    while (atomic_load(&job_script.steps) < steps) {
        sched_yield();
    }
}

static void wait_for_end(struct admin_fixture *fixture)
{
    while (vault_job_waits(fixture->vault, VAULT_JOB_SWEEP)) {
        sched_yield();
    }
}

static void test_the_thread_does_what_is_asked_for_while_it_runs(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_job job;
    struct kl_id id;

    assert_int_equal(vault_upkeep_start(fixture->vault, &never, NULL), KL_OK);
    for (int i = 0; i < 3; i++) {
        id = job_ask(fixture, NULL, NULL);
        wait_for_end(fixture);
        job = job_read(fixture, &id);
        assert_int_equal(job.state, VAULT_JOB_DONE);
        vault_job_done(&job);
    }
    assert_int_equal(job_script.steps, 9);
    vault_upkeep_stop(fixture->vault);
    vault_upkeep_stop(fixture->vault); /* twice is fine */
}

static void test_a_job_is_left_after_a_step_and_gone_on_with_at_the_next_open(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_job job;
    struct kl_id id;
    unsigned before = 0;

    job_script.steps_wanted = 200;
    job_script.stop_at = 2;
    id = job_ask(fixture, NULL, NULL);
    assert_int_equal(vault_upkeep_start(fixture->vault, &never, NULL), KL_OK);
    wait_for_steps(2);
    vault_upkeep_stop(fixture->vault);
    before = job_script.steps;
    assert_int_equal(before, 2);
    admin_reopen(fixture);
    job_fixture_types(fixture);
    job = job_read(fixture, &id);
    assert_int_equal(job.state, VAULT_JOB_RUNNING);
    assert_int_equal(job.cursor.bytes[0], before);
    vault_job_done(&job);
    assert_int_equal(vault_upkeep_run(fixture->vault, NULL), KL_OK);
    job = job_read(fixture, &id);
    assert_int_equal(job.state, VAULT_JOB_DONE);
    assert_int_equal(job_script.steps, 200); /* none twice, none left out */
    vault_job_done(&job);
}

static void test_what_may_pass_is_tried_again_and_loses_nothing(void **state)
{
    static const enum kl_status passing[] = {KL_ERR_UNAVAILABLE, KL_ERR_BUSY, KL_ERR_NO_MEMORY};
    struct admin_fixture *fixture = *state;
    struct vault_job job;
    struct kl_id id;

    assert_int_equal(vault_upkeep_start(fixture->vault, &never, NULL), KL_OK);
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++) {
        job_script.failing = passing[i];
        job_script.failures = 1;
        id = job_ask(fixture, NULL, NULL);
        wait_for_end(fixture);
        job = job_read(fixture, &id);
        assert_int_equal(job.state, VAULT_JOB_DONE);
        assert_int_equal(job.cursor.bytes[0], 3);
        vault_job_done(&job);
    }
    vault_upkeep_stop(fixture->vault);
}

static void test_a_pause_grows_to_its_maximum_and_ends_with_a_step_that_works(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kl_err err = {0};
    uint32_t expected = VAULT_UPKEEP_PAUSE_FIRST_MS;

    (void)job_ask(fixture, NULL, NULL);
    job_script.failing = KL_ERR_UNAVAILABLE;
    for (int i = 0; i < 12; i++) {
        job_script.failures = 1;
        kl_err_clear(&err);
        assert_int_equal(vault_upkeep_run(fixture->vault, &err), KL_ERR_UNAVAILABLE);
        assert_string_equal(err.code, "as_told");
        assert_int_equal(fixture->vault->upkeep->jobs->pause_ms, expected);
        expected =
            2 * expected < VAULT_UPKEEP_PAUSE_MAX_MS ? 2 * expected : VAULT_UPKEEP_PAUSE_MAX_MS;
    }
    assert_int_equal(vault_upkeep_run(fixture->vault, &err), KL_OK);
    assert_null(fixture->vault->upkeep->jobs);
}

static void test_stopping_does_not_wait_for_a_pause(void **state)
{
    struct admin_fixture *fixture = *state;

    job_script.failing = KL_ERR_UNAVAILABLE;
    job_script.failures = 1000000;
    (void)job_ask(fixture, NULL, NULL);
    assert_int_equal(vault_upkeep_start(fixture->vault, &never, NULL), KL_OK);
    while (atomic_load(&job_script.failures) > 1000000 - 3) {
        sched_yield();
    }
    admin_close(fixture); /* stops it too */
}

/* ---- tasks ---- */

static atomic_uint task_runs;

static enum kl_status run_good(struct vault *vault, int64_t now_us, struct kl_err *err)
{
    (void)vault;
    (void)now_us;
    (void)err;
    atomic_fetch_add(&task_runs, 1);
    return KL_OK;
}

static enum kl_status run_bad(struct vault *vault, int64_t now_us, struct kl_err *err)
{
    (void)vault;
    (void)now_us;
    return kl_fail(err, KL_ERR_IO, "task_broken", "as told", NULL);
}

static const struct vault_upkeep_task good = {"good", 1, run_good};
static const struct vault_upkeep_task bad = {"bad", 3600000, run_bad};
static const struct vault_upkeep_task *const both[] = {&bad, &good, NULL};

static void test_tasks_come_again_and_a_failing_one_keeps_no_other_from_it(void **state)
{
    struct admin_fixture *fixture = *state;

    task_runs = 0;
    fixture->vault->upkeep->tasks = both;
    assert_int_equal(vault_upkeep_start(fixture->vault, &never, NULL), KL_OK);
    while (atomic_load(&task_runs) < 5) {
        sched_yield();
    }
    vault_upkeep_stop(fixture->vault);
}

static void test_without_a_thread_a_failing_task_is_told_after_all_was_done(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kl_err err = {0};

    task_runs = 0;
    fixture->vault->upkeep->tasks = both;
    (void)job_ask(fixture, NULL, NULL);
    assert_int_equal(vault_upkeep_run(fixture->vault, &err), KL_ERR_IO);
    assert_string_equal(err.code, "task_broken");
    assert_int_equal(task_runs, 1);
    assert_int_equal(job_script.steps, 3);
}

static void test_options_outside_a_day_are_refused(void **state)
{
    static const struct vault_upkeep_options wrong[] = {
        {.sweep_at_s = 86400}, {.sweep_at_s = -2}, {.sweep_at_latest_us = -1}};
    struct admin_fixture *fixture = *state;
    struct kl_err err = {0};

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        kl_err_clear(&err);
        assert_int_equal(vault_upkeep_start(fixture->vault, &wrong[i], &err), KL_ERR_INVALID);
        assert_string_equal(err.code, "invalid_options");
    }
    assert_int_equal(vault_upkeep_start(fixture->vault, &never, NULL), KL_OK);
    assert_int_equal(vault_upkeep_options(fixture->vault).sweep_at_latest_us,
                     VAULT_SWEEP_AT_LATEST_DEFAULT_US);
}

#define UPKEEP_TEST(name) cmocka_unit_test_setup_teardown(name, job_setup, admin_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UPKEEP_TEST(test_the_thread_does_what_is_asked_for_while_it_runs),
        UPKEEP_TEST(test_a_job_is_left_after_a_step_and_gone_on_with_at_the_next_open),
        UPKEEP_TEST(test_what_may_pass_is_tried_again_and_loses_nothing),
        UPKEEP_TEST(test_a_pause_grows_to_its_maximum_and_ends_with_a_step_that_works),
        UPKEEP_TEST(test_stopping_does_not_wait_for_a_pause),
        UPKEEP_TEST(test_tasks_come_again_and_a_failing_one_keeps_no_other_from_it),
        UPKEEP_TEST(test_without_a_thread_a_failing_task_is_told_after_all_was_done),
        UPKEEP_TEST(test_options_outside_a_day_are_refused),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
