/* What no purpose keeps any more is erased, and nothing else; by hand, by night, and after a pause in the middle. */
#include "vault/retention_job.h"

#include "tests/support/rights_fixture.h"
#include "tests/support/test.h"
#include "vault/erasure.h"

#include <stdio.h>
#include <string.h>

#define LONG_AGO (-8 * 366)

/* Somebody of whom nothing keeps anything any more: the consent is over as well. */
static struct vault_subject_result due_client(struct vault_fixture *fixture, const char *email)
{
    struct vault_subject_result made = rights_client(fixture, email, true);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");

    assert_int_equal(
        vault_consent_withdraw(fixture_vault(fixture), &dpo, &made.id, "news", NULL, &fixture->err),
        KL_OK);
    vault_caller_done(&dpo);
    assert_int_equal(rights_event(fixture, "writer", &made, "service_end", LONG_AGO, NULL, NULL),
                     KL_OK);
    return made;
}

static bool is_there(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct vault_subject_result read = {0};
    enum kl_status status = fixture_read(fixture, "reader", subject, "service", &read);

    assert_true(status == KL_OK || status == KL_ERR_NOT_FOUND);
    return status == KL_OK;
}

/* One run of the default tenant to its end; its result has these numbers. */
static void run(struct vault_fixture *fixture, bool dry_run, struct vault_job *ret)
{
    const struct vault_retention_input input = {.dry_run = dry_run, .per_second = 1000};
    struct vault_caller steward = admin_steward(fixture->admin);
    struct kl_json *json = NULL;
    struct kl_buf shown;
    struct kl_id id;

    kl_buf_init(&shown, 65536);
    assert_int_equal(vault_retention_start(fixture_vault(fixture), &steward, &input, NULL, &shown,
                                           NULL, &fixture->err),
                     KL_OK);
    assert_int_equal(kl_json_parse(shown.bytes, shown.size, &json, NULL), KL_OK);
    assert_int_equal(kl_id_parse(VAULT_RETENTION_PREFIX,
                                 kl_json_text(kl_json_member(kl_json_root(json), "id")), &id, NULL),
                     KL_OK);
    kl_json_free(json);
    kl_buf_done(&shown);
    vault_caller_done(&steward);
    assert_int_equal(vault_upkeep_run(fixture_vault(fixture), &fixture->err), KL_OK);
    vault_job_init(ret);
    assert_int_equal(vault_job_read(fixture_vault(fixture), VAULT_JOB_RETENTION, &id, ret, NULL),
                     KL_OK);
    assert_int_equal(ret->state, VAULT_JOB_DONE);
}

static int64_t result_of(const struct vault_job *job, const char *name)
{
    struct kl_json *json = NULL;
    int64_t number = -1;

    assert_int_equal(kl_json_parse(job->result.bytes, job->result.size, &json, NULL), KL_OK);
    assert_true(kl_json_int(kl_json_member(kl_json_root(json), name), &number));
    kl_json_free(json);
    return number;
}

/* One run over the whole vault, as an operator asks for. */
static void run_all(struct vault_fixture *fixture)
{
    const struct vault_retention_input input = {.per_second = 1000};
    struct vault_caller all = admin_operator(fixture->admin);
    struct kl_buf shown;

    kl_buf_init(&shown, 65536);
    assert_int_equal(vault_retention_start(fixture_vault(fixture), &all, &input, NULL, &shown, NULL,
                                           &fixture->err),
                     KL_OK);
    vault_caller_done(&all);
    kl_buf_done(&shown);
    assert_int_equal(vault_upkeep_run(fixture_vault(fixture), &fixture->err), KL_OK);
}

static void test_a_dry_run_counts_and_erases_nothing(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result due = due_client(fixture, "ana@example.org");
    struct vault_subject_result kept = rights_client(fixture, "bob@example.org", true);
    struct vault_job job;

    run(fixture, true, &job);
    assert_int_equal(result_of(&job, "subjects_seen"), 2);
    assert_int_equal(result_of(&job, "subjects_due"), 1);
    assert_int_equal(result_of(&job, "records_due"), 1);
    assert_int_equal(result_of(&job, "subjects_erased"), 0);
    vault_job_done(&job);
    assert_true(is_there(fixture, &due.id));
    assert_true(is_there(fixture, &kept.id));
}

static void test_who_is_due_goes_with_a_receipt_and_nobody_else(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result due = due_client(fixture, "ana@example.org");
    struct vault_subject_result consents = rights_client(fixture, "bob@example.org", true);
    struct vault_subject_result books = rights_client(fixture, "cas@example.org", false);
    struct vault_job job;

    assert_int_equal(rights_event(fixture, "writer", &books, "service_end", -400, NULL, NULL),
                     KL_OK);
    run(fixture, false, &job);
    assert_int_equal(result_of(&job, "subjects_erased"), 1);
    assert_int_equal(result_of(&job, "records_erased"), 0);
    assert_int_equal(result_of(&job, "failed"), 0);
    vault_job_done(&job);
    assert_false(is_there(fixture, &due.id));
    assert_true(is_there(fixture, &consents.id));
    assert_true(is_there(fixture, &books.id));
    assert_int_equal(fixture_trail(fixture, "\"action\":\"erase\""), 1);
    assert_int_equal(fixture_trail(fixture, "\"reason\":\"retention\""), 1);
    assert_true(fixture_trail(fixture, "\"role\":\"vault\"") >= 1);
    fixture_reopen(fixture);
    assert_false(is_there(fixture, &due.id));
}

static void test_one_record_goes_and_the_subject_stays(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = due_client(fixture, "ana@example.org");
    const struct vault_field_input field = fixture_field("email", "later@example.org");
    const struct vault_record_input record = {.type = "client", .fields = &field, .field_count = 1};
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_record_result added = {0};
    struct vault_subject_result read = {0};
    struct vault_job job;

    assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, &made.id, &record, NULL,
                                      fixture->arena, &added, NULL),
                     KL_OK);
    vault_caller_done(&writer);
    run(fixture, false, &job);
    assert_int_equal(result_of(&job, "records_erased"), 1);
    assert_int_equal(result_of(&job, "subjects_erased"), 0);
    vault_job_done(&job);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "service", &read), KL_OK);
    assert_int_equal(read.record_count, 1);
    assert_true(kl_id_equal(&read.records[0].id, &added.id));
}

static void test_what_is_held_stays(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = due_client(fixture, "ana@example.org");
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_job job;

    assert_int_equal(vault_record_hold(fixture_vault(fixture), &dpo, &made.id, &made.records[0].id,
                                       "litigation", dpo.now_us + INT64_C(86400000000),
                                       &fixture->err),
                     KL_OK);
    vault_caller_done(&dpo);
    run(fixture, false, &job);
    assert_int_equal(result_of(&job, "records_due"), 0);
    vault_job_done(&job);
    assert_true(is_there(fixture, &made.id));
}

static void test_who_is_restricted_stays(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = due_client(fixture, "ana@example.org");
    struct vault_restriction restriction = {0};
    struct vault_caller dpo;
    struct vault_job job;

    assert_int_equal(rights_restrict(fixture, "dpo", &made.id), KL_OK);
    run(fixture, false, &job);
    assert_int_equal(result_of(&job, "subjects_erased"), 0);
    vault_job_done(&job);
    dpo = fixture_caller(fixture, "dpo");
    assert_int_equal(
        vault_restriction_read(fixture_vault(fixture), &dpo, &made.id, &restriction, NULL), KL_OK);
    assert_true(restriction.in_force);
    vault_caller_done(&dpo);
}

/* As when somebody notes that the service goes on, between the run's look and its act. */
static void test_what_is_kept_by_now_is_not_erased_however_it_was_asked(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = rights_client(fixture, "ana@example.org", false);
    const struct vault_erase_asked asked = {.kind = VAULT_NOTE_SUBJECT,
                                            .subject = &made.id,
                                            .reason = VAULT_ERASE_RETENTION,
                                            .by_vault = true};
    const struct vault_idempotency_ticket none = {0};
    struct vault_caller self = fixture_caller(fixture, "reader");

    kl_err_clear(&fixture->err);
    assert_int_equal(
        vault_erase(fixture_vault(fixture), &self, &asked, &none, NULL, NULL, &fixture->err),
        KL_ERR_CONFLICT);
    assert_string_equal(fixture->err.code, VAULT_ERASE_NOT_DUE);
    vault_caller_done(&self);
    assert_true(is_there(fixture, &made.id));
}

static void test_many_are_done_step_by_step(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made[40];
    struct vault_job job;

    for (size_t i = 0; i < 40; i++) {
        char email[32];

        (void)snprintf(email, sizeof email, "p%zu@example.org", i);
        made[i] = due_client(fixture, email);
    }
    run(fixture, false, &job);
    assert_int_equal(result_of(&job, "subjects_erased"), 40);
    assert_int_equal(result_of(&job, "subjects_seen"), 40);
    vault_job_done(&job);
    for (size_t i = 0; i < 40; i++) {
        assert_false(is_there(fixture, &made[i].id));
    }
}

/* Of a whole tenant and of the vault alike, nothing of anybody: what /metrics shows. */
static void test_figures_tell_what_runs_did_and_what_the_last_found(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_figures figures;
    struct vault_job job;

    vault_figures(fixture_vault(fixture), &figures);
    assert_int_equal(figures.retention_runs, 0);
    assert_int_equal(figures.retention_last_s, 0);
    (void)due_client(fixture, "ana@example.org");
    run(fixture, true, &job);
    assert_int_equal(result_of(&job, "records_due"), 1);
    assert_int_equal(result_of(&job, "records_overdue"),
                     0); /* the consent was withdrawn just now */
    vault_job_done(&job);
    vault_figures(fixture_vault(fixture), &figures);
    assert_int_equal(figures.retention_runs, 0);
    run(fixture, false, &job);
    vault_job_done(&job);
    vault_figures(fixture_vault(fixture), &figures);
    assert_int_equal(figures.retention_runs, 1);
    assert_int_equal(figures.retention_erased, 1);
    assert_int_equal(figures.retention_failed, 0);
    assert_int_equal(figures.retention_last_s, 0); /* that was one tenant's */
    (void)due_client(fixture, "bob@example.org");
    run_all(fixture);
    vault_figures(fixture_vault(fixture), &figures);
    assert_int_equal(figures.retention_runs, 2);
    assert_int_equal(figures.retention_erased, 2);
    assert_int_equal(figures.retention_due, 1);
    assert_int_equal(figures.retention_overdue, 0);
    assert_true(figures.retention_last_s > 0);
    fixture_reopen(fixture);
    vault_figures(fixture_vault(fixture), &figures);
    assert_int_equal(figures.retention_runs, 0);
    assert_int_equal(figures.retention_due, 1);
    assert_true(figures.retention_last_s > 0);
}

static void test_others_than_operators_and_stewards_are_refused(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_retention_input input = {.per_second = VAULT_RETENTION_RATE_MAX + 1};
    struct vault_caller caller = fixture_caller(fixture, "dpo");
    struct kl_buf shown;

    kl_buf_init(&shown, 65536);
    assert_int_equal(
        vault_retention_start(fixture_vault(fixture), &caller, &input, NULL, &shown, NULL, NULL),
        KL_ERR_FORBIDDEN);
    vault_caller_done(&caller);
    caller = admin_steward(fixture->admin);
    assert_int_equal(vault_retention_start(fixture_vault(fixture), &caller, &input, NULL, &shown,
                                           NULL, &fixture->err),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_rate");
    assert_int_equal(shown.size, 0);
    vault_caller_done(&caller);
    kl_buf_done(&shown);
}

int main(void)
{
#define RIGHTS(name) cmocka_unit_test_setup_teardown(name, rights_setup, vault_fixture_teardown)
    const struct CMUnitTest tests[] = {
        RIGHTS(test_a_dry_run_counts_and_erases_nothing),
        RIGHTS(test_who_is_due_goes_with_a_receipt_and_nobody_else),
        RIGHTS(test_one_record_goes_and_the_subject_stays),
        RIGHTS(test_what_is_held_stays),
        RIGHTS(test_who_is_restricted_stays),
        RIGHTS(test_what_is_kept_by_now_is_not_erased_however_it_was_asked),
        RIGHTS(test_many_are_done_step_by_step),
        RIGHTS(test_figures_tell_what_runs_did_and_what_the_last_found),
        RIGHTS(test_others_than_operators_and_stewards_are_refused),
    };

    return cmocka_run_group_tests_name("retention_job", tests, admin_group_setup, NULL);
}
