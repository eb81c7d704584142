/* A rotation of values that is cut short: between its commits, by a kill in a process of its own, by a failure that left rows beside. */
#include "tests/support/cut_short.h"
#include "tests/support/values_fixture.h"

#include "tests/support/test.h"
#include "vault/erasure.h"
#include "vault/rotation.h"
#include "vault/rotation_values.h"
#include "vault/rows.h"
#include "vault/values.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What an attempt left that failed without a restart; who it was of was erased before the next. */
static void test_rows_that_were_left_beside_bring_nobody_back(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault *vault = fixture_vault(fixture);
    struct vault_batch *batch = vault_batch_new();
    struct vault_row_key beside;
    struct vault_row_key head;
    struct vault_job job;
    struct values_people people;
    uint64_t slot = 0;
    struct kl_buf row;

    values_people_make(fixture, &people);
    slot = fixture_slot(fixture, &people.ids[1]);
    fixture_erase(fixture, &people.ids[1]);
    beside = vault_row_beside(fixture_tenant(fixture), slot, 'H', 0);
    head = vault_row_head(fixture_tenant(fixture), slot);
    vault_batch_put(batch, vault_row_slice(&beside), kl_slice_text("left"));
    assert_int_equal(vault_store_apply(vault->data_store, batch, true, NULL), KL_OK);
    vault_batch_free(batch);
    values_rotate(vault, fixture_tenant(fixture), &job);
    vault_job_done(&job);
    kl_buf_init(&row, 1024);
    assert_int_equal(vault_store_get(vault->data_store, vault_row_slice(&head), &row, NULL),
                     KL_ERR_NOT_FOUND);
    kl_buf_done(&row);
    assert_int_equal(values_rows_beside(fixture), 0);
}

static enum kl_status stage_only(void *context, struct kms_staged *staged, uint64_t generation,
                                 struct kms_request **requests, size_t count, struct kl_err *err)
{
    const struct vault_erasing *erasing = requests[0]->work;

    (void)context;
    (void)generation;
    (void)count;
    return vault_values_stage(erasing->values, staged, err);
}

static enum kl_status stage_and_fail(void *context, struct kms_staged *staged, uint64_t generation,
                                     struct kms_request **requests, size_t count,
                                     struct kl_err *err)
{
    enum kl_status status = stage_only(context, staged, generation, requests, count, err);

    return status == KL_OK ? kl_fail(err, KL_ERR_UNAVAILABLE, "cut_short", "not now", NULL)
                           : status;
}

static void cut_short(struct vault_fixture *fixture, const struct kms_hooks *hooks)
{
    struct vault_job job;
    struct kl_err err = {0};
    bool done = false;

    vault_job_init(&job);
    job.tenant = fixture_tenant(fixture);
    assert_int_equal(vault_rotation_values_step(fixture_vault(fixture), &job, NULL, &done, &err),
                     KL_OK); /* slots are renewed */
    kms_hooks_set(fixture_vault(fixture)->keys, hooks);
    assert_int_equal(vault_rotation_values_step(fixture_vault(fixture), &job, NULL, &done, &err),
                     KL_ERR_UNAVAILABLE);
    vault_job_done(&job);
}

static void test_cut_short_before_the_key_commit_nothing_has_changed(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kms_hooks hooks = {.context = fixture_vault(fixture), .prepare = stage_and_fail};
    struct values_people people;

    values_people_make(fixture, &people);
    cut_short(fixture, &hooks);
    assert_true(values_rows_beside(fixture) > 0);
    fixture_reopen(fixture);
    assert_int_equal(values_rows_beside(fixture), 0);
    values_assert_all_read(fixture, &people);
}

static void test_cut_short_after_the_key_commit_it_is_finished_at_the_next_open(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kms_hooks hooks = {
        .context = fixture_vault(fixture), .prepare = stage_only, .finish = cut_short_finish};
    struct values_people people;
    struct vault_job job;

    values_people_make(fixture, &people);
    cut_short(fixture, &hooks);
    fixture_reopen(fixture);
    assert_int_equal(values_rows_beside(fixture), 0);
    assert_int_equal(fixture_trail(fixture, "\"level\":\"values\""), 2);
    values_assert_all_read(fixture, &people);
    fixture_reopen(fixture);
    assert_int_equal(fixture_trail(fixture, "\"level\":\"values\""), 2);
    values_rotate(fixture_vault(fixture), fixture_tenant(fixture), &job);
    assert_int_equal(values_result(&job, "subjects"), VALUES_PEOPLE);
    vault_job_done(&job);
    values_assert_all_read(fixture, &people);
}

/* In a process of its own (arguments: data directory, custodian, tenant): says on its standard output when a step is done, until it is killed. */
#define ROTATE_UNTIL_KILLED "--rotate-until-killed"

static int rotate_until_killed(char **arguments)
{
    const struct vault_options options = {
        .data_dir = arguments[0], .custodian = arguments[1], .accept_f0 = true};
    struct vault *vault = NULL;
    struct vault_job job;
    bool done = false;

    if (vault_open(&options, &vault, NULL) != KL_OK || write(STDOUT_FILENO, "o", 1) != 1) {
        return 1;
    }
    for (;;) {
        vault_job_init(&job);
        job.tenant = strtoull(arguments[2], NULL, 10);
        for (done = false; !done;) {
            if (vault_rotation_values_step(vault, &job, NULL, &done, NULL) != KL_OK ||
                write(STDOUT_FILENO, "s", 1) != 1) {
                return 1;
            }
        }
        vault_job_done(&job);
    }
}

static pid_t rotating_child(struct vault_fixture *fixture, const char *tenant, int *ret_said)
{
    int ends[2];
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)execl("/proc/self/exe", "test_rotation_values_kill", ROTATE_UNTIL_KILLED,
                    fixture->admin->data, fixture->admin->custodian, tenant, (char *)NULL);
        _exit(2);
    }
    (void)close(ends[1]);
    *ret_said = ends[0];
    return child;
}

static void test_killed_at_any_moment_nothing_is_lost(void **state)
{
    struct vault_fixture *fixture = *state;
    struct values_people people;
    char tenant[24];
    unsigned times;
    unsigned i;

    values_people_make(fixture, &people);
    (void)snprintf(tenant, sizeof tenant, "%llu", (unsigned long long)fixture_tenant(fixture));
    for (times = 0; times < 12; times++) {
        int said_by = -1;
        int status = 0;
        char said;
        pid_t child;

        admin_close(fixture->admin);
        child = rotating_child(fixture, tenant, &said_by);
        for (i = 0; i <= times; i++) {
            assert_int_equal(read(said_by, &said, 1), 1);
        }
        /* into the next step, further each time; where that is does not matter to what must hold */
        for (i = 0; i < times * 40; i++) {
            (void)sched_yield();
        }
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        (void)close(said_by);
        admin_reopen(fixture->admin);
        assert_int_equal(values_rows_beside(fixture), 0);
        values_assert_all_read(fixture, &people);
    }
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rows_that_were_left_beside_bring_nobody_back),
        TEST(test_cut_short_before_the_key_commit_nothing_has_changed),
        TEST(test_cut_short_after_the_key_commit_it_is_finished_at_the_next_open),
        TEST(test_killed_at_any_moment_nothing_is_lost),
    };

    if (count == 5 && strcmp(arguments[1], ROTATE_UNTIL_KILLED) == 0) {
        return rotate_until_killed(arguments + 2);
    }
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
