/* Jobs as rows: asked for, kept, shown, listed. */
#include "tests/support/job_fixture.h"
#include "tests/support/test.h"
#include "vault/job_internal.h"

#include <string.h>

#define TEXT_BYTES 65536

static void shown(struct admin_fixture *fixture, const struct kl_id *id, char ret[TEXT_BYTES])
{
    struct kl_buf text;

    kl_buf_init(&text, TEXT_BYTES - 1);
    assert_int_equal(vault_job_show(fixture->vault, VAULT_JOB_SWEEP, id, &text, NULL), KL_OK);
    memcpy(ret, text.bytes, text.size);
    ret[text.size] = '\0';
    kl_buf_done(&text);
}

static void test_a_job_is_shown_from_its_asking_to_its_end(void **state)
{
    struct admin_fixture *fixture = *state;
    static char text[TEXT_BYTES];
    struct kl_id id = job_ask(fixture, NULL, NULL);

    shown(fixture, &id, text);
    assert_non_null(strstr(text, "\"state\":\"running\""));
    assert_non_null(strstr(text, "\"ended_at\":null"));
    assert_non_null(strstr(text, "\"progress\":0.000"));
    assert_non_null(strstr(text, "\"shown_tenant\":0"));
    assert_true(vault_job_waits(fixture->vault, VAULT_JOB_SWEEP));
    assert_int_equal(vault_upkeep_run(fixture->vault, NULL), KL_OK);
    shown(fixture, &id, text);
    assert_non_null(strstr(text, "\"state\":\"done\""));
    assert_null(strstr(text, "\"ended_at\":null"));
    assert_non_null(strstr(text, "\"progress\":1.000"));
    assert_non_null(strstr(text, "\"counted\":3"));
    assert_false(vault_job_waits(fixture->vault, VAULT_JOB_SWEEP));
}

static void test_asking_and_end_are_in_the_trail_with_what_was_asked_and_came_out(void **state)
{
    struct admin_fixture *fixture = *state;

    (void)job_ask(fixture, NULL, NULL);
    assert_int_equal(admin_trail_count(fixture, true, "\"action\":\"backup_verify\""), 1);
    assert_int_equal(admin_trail_count(fixture, true, "\"what\":7"), 1);
    assert_int_equal(admin_trail_count(fixture, true, "\"action\":\"backup_verify_done\""), 0);
    assert_int_equal(vault_upkeep_run(fixture->vault, NULL), KL_OK);
    assert_int_equal(admin_trail_count(fixture, true, "\"action\":\"backup_verify_done\""), 1);
    assert_int_equal(admin_trail_count(fixture, true, "\"counted\":3,\"result\":\"ok\""), 1);
}

static void test_a_failed_job_says_why(void **state)
{
    struct admin_fixture *fixture = *state;
    static char text[TEXT_BYTES];
    struct kl_id id = job_ask(fixture, NULL, NULL);

    job_script.fail_for_good = KL_ERR_REFUSED;
    assert_int_equal(vault_upkeep_run(fixture->vault, NULL), KL_OK);
    shown(fixture, &id, text);
    assert_non_null(strstr(text, "\"state\":\"failed\""));
    assert_non_null(strstr(text, "\"failed_code\":\"as_told\""));
    assert_int_equal(admin_trail_count(fixture, true, "\"action\":\"backup_verify_failed\""), 1);
    assert_int_equal(admin_trail_count(fixture, true, "\"code\":\"as_told\""), 1);
}

static void test_the_same_request_again_is_the_same_job(void **state)
{
    struct admin_fixture *fixture = *state;
    bool replayed = true;
    struct kl_id first = job_ask(fixture, "key-1", &replayed);
    struct kl_id again;

    assert_false(replayed);
    again = job_ask(fixture, "key-1", &replayed);
    assert_true(replayed);
    assert_true(kl_id_equal(&first, &again));
    assert_int_equal(vault_upkeep_run(fixture->vault, NULL), KL_OK);
    assert_int_equal(job_script.steps, 3);
}

static void test_only_so_many_jobs_wait(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = admin_operator(fixture);
    struct kl_err err = {0};
    struct kl_buf text;

    kl_buf_init(&text, TEXT_BYTES);
    for (int i = 0; i < VAULT_JOBS_WAITING_MAX; i++) {
        (void)job_ask(fixture, NULL, NULL);
    }
    assert_int_equal(vault_job_start(fixture->vault, &caller, VAULT_JOB_SWEEP, kl_slice_text("{}"),
                                     NULL, &text, NULL, &err),
                     KL_ERR_BUSY);
    assert_string_equal(err.code, "jobs_waiting");
    assert_int_equal(text.size, 0);
    assert_int_equal(vault_upkeep_run(fixture->vault, NULL), KL_OK);
    (void)job_ask(fixture, NULL, NULL);
    vault_caller_done(&caller);
    kl_buf_done(&text);
}

static void test_one_tenant_does_not_take_all_places(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller steward = admin_steward(fixture);
    struct kl_err err = {0};
    struct kl_buf text;

    kl_buf_init(&text, TEXT_BYTES);
    for (int i = 0; i < VAULT_JOBS_OF_TENANT_MAX; i++) {
        assert_int_equal(vault_job_start(fixture->vault, &steward, VAULT_JOB_SWEEP,
                                         kl_slice_text("{}"), NULL, &text, NULL, &err),
                         KL_OK);
    }
    assert_int_equal(vault_job_start(fixture->vault, &steward, VAULT_JOB_SWEEP, kl_slice_text("{}"),
                                     NULL, &text, NULL, &err),
                     KL_ERR_BUSY);
    assert_string_equal(err.code, "jobs_waiting");
    (void)job_ask(fixture, NULL, NULL); /* an operator still has room */
    assert_int_equal(vault_upkeep_run(fixture->vault, NULL), KL_OK);
    kl_err_clear(&err);
    for (int i = 0; i < VAULT_JOBS_WAITING_MAX / 2; i++) {
        (void)job_ask(fixture, NULL, NULL);
    }
    assert_int_equal(vault_job_start(fixture->vault, &steward, VAULT_JOB_SWEEP, kl_slice_text("{}"),
                                     NULL, &text, NULL, &err),
                     KL_ERR_BUSY);
    (void)job_ask(fixture, NULL, NULL);
    vault_caller_done(&steward);
    kl_buf_done(&text);
}

static void test_params_that_are_too_large_are_refused_and_hold_no_place(void **state)
{
    struct admin_fixture *fixture = *state;
    struct vault_caller caller = admin_operator(fixture);
    static char large[VAULT_JOB_TEXT_MAX_BYTES + 2];
    struct kl_err err = {0};
    struct kl_buf text;

    kl_buf_init(&text, TEXT_BYTES);
    memset(large, ' ', sizeof large - 1);
    assert_int_equal(vault_job_start(fixture->vault, &caller, VAULT_JOB_SWEEP, kl_slice_text(large),
                                     NULL, &text, NULL, &err),
                     KL_ERR_TOO_LARGE);
    assert_int_equal(text.size, 0);
    assert_int_equal(fixture->vault->upkeep->job_count, 0);
    vault_caller_done(&caller);
    kl_buf_done(&text);
}

static void test_a_list_has_the_newest_first_and_those_of_a_tenant_alone(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kl_id ids[4];
    struct kl_buf text;
    char id_text[KL_ID_TEXT_BYTES];
    const char *last = NULL;

    for (int i = 0; i < 4; i++) {
        ids[i] = job_ask(fixture, NULL, NULL);
    }
    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(
        vault_job_list(fixture->vault, VAULT_JOB_SWEEP, VAULT_JOB_OF_ANY, 3, &text, NULL), KL_OK);
    kl_buf_add_byte(&text, 0);
    for (int i = 3; i >= 1; i--) {
        const char *at;

        kl_id_format("swp", &ids[i], id_text);
        at = strstr((char *)text.bytes, id_text);
        assert_non_null(at);
        assert_true(last == NULL || at > last);
        last = at;
    }
    kl_id_format("swp", &ids[0], id_text);
    assert_null(strstr((char *)text.bytes, id_text));
    kl_buf_clear(&text);
    assert_int_equal(vault_job_list(fixture->vault, VAULT_JOB_SWEEP, 1, 3, &text, NULL), KL_OK);
    assert_memory_equal(text.bytes, "[]", 2);
    kl_buf_done(&text);
}

static void test_a_job_of_another_kind_or_none_is_not_found(void **state)
{
    struct admin_fixture *fixture = *state;
    struct kl_id id = job_ask(fixture, NULL, NULL);
    struct kl_id none = kl_id_new();
    struct kl_err err = {0};
    struct kl_buf text;

    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(vault_job_show(fixture->vault, VAULT_JOB_BACKUP, &id, &text, &err),
                     KL_ERR_NOT_FOUND);
    assert_string_equal(err.code, "not_found");
    assert_int_equal(vault_job_show(fixture->vault, VAULT_JOB_SWEEP, &none, &text, &err),
                     KL_ERR_NOT_FOUND);
    assert_int_equal(text.size, 0);
    kl_buf_done(&text);
}

static void test_a_row_cut_anywhere_is_damaged_or_of_something_else(void **state)
{
    struct kl_id id = kl_id_new();
    struct vault_job job;
    struct vault_job read;
    struct kl_buf row;

    (void)state;
    vault_job_init(&job);
    vault_job_init(&read);
    job.id = id;
    job.kind = VAULT_JOB_SWEEP;
    job.tenant = 5;
    job.trail = 6;
    job.progress = 0.25;
    job.started_us = 7;
    memcpy(job.failed_code, "why", 4);
    kl_buf_add_text(&job.params, "{}");
    kl_buf_add_text(&job.cursor, "cursor");
    kl_buf_init(&row, VAULT_JOB_ROW_MAX_BYTES);
    assert_int_equal(vault_job_encode(&job, &row, NULL), KL_OK);
    assert_int_equal(vault_job_decode(kl_buf_slice(&row), &id, &read, NULL), KL_OK);
    assert_int_equal(read.tenant, 5);
    assert_int_equal(read.trail, 6);
    assert_true(read.progress > 0.24 && read.progress < 0.26);
    assert_string_equal(read.failed_code, "why");
    assert_true(kl_slice_equal_text(kl_buf_slice(&read.cursor), "cursor"));
    assert_int_equal(vault_job_decode(kl_slice_of(row.bytes, 0), &id, &read, NULL),
                     KL_ERR_NOT_FOUND);
    for (size_t size = 1; size < row.size; size++) {
        assert_int_equal(vault_job_decode(kl_slice_of(row.bytes, size), &id, &read, NULL),
                         KL_ERR_CORRUPT);
    }
    kl_buf_add_byte(&row, 0);
    assert_int_equal(vault_job_decode(kl_buf_slice(&row), &id, &read, NULL), KL_ERR_CORRUPT);
    row.bytes[0] = '{'; /* as rows of another form start */
    assert_int_equal(vault_job_decode(kl_buf_slice(&row), &id, &read, NULL), KL_ERR_NOT_FOUND);
    vault_job_done(&job);
    vault_job_done(&read);
    kl_buf_done(&row);
}

#define JOB_TEST(name) cmocka_unit_test_setup_teardown(name, job_setup, admin_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOB_TEST(test_a_job_is_shown_from_its_asking_to_its_end),
        JOB_TEST(test_asking_and_end_are_in_the_trail_with_what_was_asked_and_came_out),
        JOB_TEST(test_a_failed_job_says_why),
        JOB_TEST(test_the_same_request_again_is_the_same_job),
        JOB_TEST(test_only_so_many_jobs_wait),
        JOB_TEST(test_one_tenant_does_not_take_all_places),
        JOB_TEST(test_params_that_are_too_large_are_refused_and_hold_no_place),
        JOB_TEST(test_a_list_has_the_newest_first_and_those_of_a_tenant_alone),
        JOB_TEST(test_a_job_of_another_kind_or_none_is_not_found),
        cmocka_unit_test(test_a_row_cut_anywhere_is_damaged_or_of_something_else),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
