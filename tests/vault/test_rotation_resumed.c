/* A rotation whose process is killed in the middle goes on where it was. This program runs itself as the one that is killed. */
#include "kluis/base/secret.h"
#include "tests/support/rotation_fixture.h"
#include "tests/support/test.h"
#include "vault/rotation.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RATE 150

/* This program again: rotate until killed, telling how far it is. */
static int rotate_until_killed(char **argv)
{
    const struct vault_upkeep_options upkeep = {.sweep_at_s = -1};
    const struct timespec pause = {0, 5 * 1000 * 1000};
    struct vault_options options = {
        .data_dir = argv[2], .country = "IE", .custodian = argv[3], .accept_f0 = true};
    struct vault *vault = NULL;
    struct kl_id id;

    if (kl_secret_process_init(true, NULL) != KL_OK ||
        kl_id_parse(VAULT_ROTATION_PREFIX, argv[4], &id, NULL) != KL_OK ||
        vault_open(&options, &vault, NULL) != KL_OK ||
        vault_upkeep_start(vault, &upkeep, NULL) != KL_OK) {
        return 1;
    }
    for (;;) {
        struct vault_job job;

        vault_job_init(&job);
        if (vault_job_read(vault, VAULT_JOB_ROTATION, &id, &job, NULL) != KL_OK ||
            write(STDOUT_FILENO, &job.progress, sizeof job.progress) !=
                (ssize_t)sizeof job.progress) {
            return 1;
        }
        vault_job_done(&job);
        (void)nanosleep(&pause, NULL);
    }
}

static pid_t start_rotator(struct admin_fixture *fixture, const struct kl_id *id, int *ret_output)
{
    char text[KL_ID_TEXT_BYTES];
    int pipe_ends[2];
    pid_t child;

    kl_id_format(VAULT_ROTATION_PREFIX, id, text);
    assert_int_equal(pipe(pipe_ends), 0);
    child = fork();
    if (child == 0) {
        (void)dup2(pipe_ends[1], STDOUT_FILENO);
        (void)close(pipe_ends[0]);
        (void)close(pipe_ends[1]);
        (void)execl("/proc/self/exe", "test_rotation_resumed", "--rotate-until-killed",
                    fixture->data, fixture->custodian, text, (char *)NULL);
        _exit(127);
    }
    assert_true(child > 0);
    (void)close(pipe_ends[1]);
    *ret_output = pipe_ends[0];
    return child;
}

/* Kill it once it is past that far; how far it said it was. */
static double kill_past(struct admin_fixture *fixture, const struct kl_id *id, double past)
{
    double progress = 0.0;
    int output = -1;
    int ended = 0;
    pid_t child = start_rotator(fixture, id, &output);

    while (progress <= past &&
           read(output, &progress, sizeof progress) == (ssize_t)sizeof progress) {
    }
    (void)kill(child, SIGKILL);
    (void)close(output);
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_true(WIFSIGNALED(ended));
    assert_true(progress > past && progress < 1.0);
    return progress;
}

static void test_a_rotation_goes_on_after_a_kill_where_it_was(void **state)
{
    struct admin_fixture *fixture = *state;
    struct rotation_lived lived;
    struct rotation_rows before;
    struct rotation_rows now;
    struct kl_json *json;
    struct kl_id id;

    rotation_live(fixture, &lived);
    before = rotation_rows_now(fixture, lived.tenant);
    id = rotation_ask(fixture, "all", RATE);
    admin_close(fixture);
    for (unsigned round = 1; round <= 3; round++) {
        double reached = kill_past(fixture, &id, round * 0.2);

        admin_reopen(fixture);
        rotation_assert_running(fixture, &id);
        json = rotation_look(fixture, &id);
        assert_true(rotation_progress(json) >= reached - 0.001);
        assert_int_equal(fixture->vault->restores, 0);
        kl_json_free(json);
        rotation_assert_alive(fixture, &lived);
        admin_close(fixture);
    }
    admin_reopen(fixture);
    rotation_run(fixture);
    rotation_assert_done(fixture, &id);
    now = rotation_rows_now(fixture, lived.tenant);
    assert_int_equal(rotation_rows_as_before(&before, &now, true), 0);
    assert_int_equal(rotation_pages_that_open(fixture, &before, &now), now.count);
    rotation_assert_alive(fixture, &lived);
    memory_storage_free(before.pages);
    memory_storage_free(now.pages);
    rotation_lived_done(&lived);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_rotation_goes_on_after_a_kill_where_it_was,
                                        admin_setup, admin_teardown),
    };

    if (argc == 5 && strcmp(argv[1], "--rotate-until-killed") == 0) {
        return rotate_until_killed(argv);
    }
    return cmocka_run_group_tests_name("rotation_resumed", tests, admin_group_setup, NULL);
}
