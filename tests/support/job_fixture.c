#include "tests/support/job_fixture.h"

#include "kluis/base/json.h"
#include "tests/support/test.h"

#include <sched.h>
#include <string.h>

struct job_script job_script;

static void wait_for_stop(struct vault_upkeep *upkeep)
{
    bool stopping = false;

    while (!stopping) {
        pthread_mutex_lock(&upkeep->lock);
        stopping = upkeep->stopping;
        pthread_mutex_unlock(&upkeep->lock);
        sched_yield();
    }
}

/* The cursor counts the job's steps in one byte. */
static enum kl_status step(struct vault *vault, struct vault_job *job, bool *ret_done,
                           struct kl_err *err)
{
    unsigned char count = job->cursor.size == 0 ? 0 : job->cursor.bytes[0];

    if (atomic_load(&job_script.failures) > 0) {
        atomic_fetch_sub(&job_script.failures, 1);
        return kl_fail(err, job_script.failing, "as_told", "the script says so", NULL);
    }
    if (job_script.fail_for_good != KL_OK) {
        return kl_fail(err, job_script.fail_for_good, "as_told", "the script says so", NULL);
    }
    atomic_fetch_add(&job_script.steps, 1);
    count++;
    kl_buf_clear(&job->cursor);
    kl_buf_add_byte(&job->cursor, count);
    kl_buf_clear(&job->result);
    kl_buf_addf(&job->result, "{\"counted\":%u}", count);
    job->progress = (double)count / job_script.steps_wanted;
    *ret_done = count >= job_script.steps_wanted;
    if (count == job_script.stop_at) {
        wait_for_stop(vault->upkeep);
    }
    return KL_OK;
}

static void show(struct vault *vault, const struct vault_job *job, struct kl_json_out *out)
{
    (void)vault;
    kl_json_add_int(out, "shown_tenant", (int64_t)job->tenant);
}

static const struct vault_job_type scripted = {
    .prefix = "swp", .action = "backup_verify", .step = step, .show = show};
static const struct vault_job_type *const types[VAULT_JOB_KINDS] = {[VAULT_JOB_SWEEP] = &scripted};
static const struct vault_upkeep_task *const no_tasks[] = {NULL};

void job_fixture_types(struct admin_fixture *fixture)
{
    fixture->vault->upkeep->types = types;
    fixture->vault->upkeep->tasks = no_tasks;
}

int job_setup(void **state)
{
    int status = admin_setup(state);

    job_script.steps = 0;
    job_script.steps_wanted = 3;
    job_script.failures = 0;
    job_script.failing = KL_OK;
    job_script.fail_for_good = KL_OK;
    job_script.stop_at = 0;
    if (status == 0) {
        job_fixture_types(*state);
    }
    return status;
}

struct kl_id job_ask(struct admin_fixture *fixture, const char *key, bool *ret_replayed)
{
    const struct vault_idempotency once = {.key = key, .fingerprint = {1}};
    struct vault_caller caller = admin_operator(fixture);
    struct kl_json *json = NULL;
    struct kl_id id = {{0}};
    struct kl_err err = {0};
    struct kl_buf text;

    kl_buf_init(&text, 8192);
    if (vault_job_start(fixture->vault, &caller, VAULT_JOB_SWEEP, kl_slice_text("{\"what\":7}"),
                        key == NULL ? NULL : &once, &text, ret_replayed, &err) != KL_OK) {
        fail_msg("no job: %s %s", err.code, err.log_text);
    }
    assert_int_equal(kl_json_parse(text.bytes, text.size, &json, NULL), KL_OK);
    assert_int_equal(
        kl_id_parse("swp", kl_json_text(kl_json_member(kl_json_root(json), "id")), &id, NULL),
        KL_OK);
    kl_json_free(json);
    kl_buf_done(&text);
    vault_caller_done(&caller);
    return id;
}

struct vault_job job_read(struct admin_fixture *fixture, const struct kl_id *id)
{
    struct vault_job job;

    vault_job_init(&job);
    assert_int_equal(vault_job_read(fixture->vault, VAULT_JOB_SWEEP, id, &job, NULL), KL_OK);
    return job;
}
