/* What a sweep takes, and what it leaves. */
#include "tests/support/sweep_fixture.h"
#include "tests/support/test.h"

#include "kluis/base/json.h"
#include "vault/job_internal.h"
#include "vault/rows.h"
#include "vault/sweep.h"
#include "vault/tenants.h"
#include "vault/upkeep_internal.h"

#include <stdio.h>
#include <string.h>

static void number_put(struct vault_fixture *fixture, const char *name, int64_t number)
{
    struct vault_row_key key = vault_row_meta(name);
    struct vault_batch *batch = vault_batch_new();
    unsigned char bytes[8];

    kl_put_u64be(bytes, (uint64_t)number);
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(bytes, sizeof bytes));
    assert_int_equal(vault_store_apply(fixture_vault(fixture)->data_store, batch, true, NULL),
                     KL_OK);
    vault_batch_free(batch);
}

/* The state of the keys, as JSON text. */
static void keys_state(struct vault_fixture *fixture, char ret[SWEEP_TEXT_BYTES])
{
    struct vault_caller caller = admin_operator(fixture->admin);
    struct kl_buf text;

    kl_buf_init(&text, SWEEP_TEXT_BYTES - 1);
    assert_int_equal(vault_keys_state(fixture_vault(fixture), &caller, &text, NULL), KL_OK);
    memcpy(ret, text.bytes, text.size);
    ret[text.size] = '\0';
    kl_buf_done(&text);
    vault_caller_done(&caller);
}

/* ---- values ---- */

static void test_a_value_rectified_twice_is_gone_and_others_still_open(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "first@example.org", false);
    struct vault_subject_result other = fixture_newsletter(fixture, "other@example.org", false);
    struct vault_subject_result read = {0};
    static struct kms_place old[SWEEP_SLOTS_MAX];
    static struct kms_place values[SWEEP_SLOTS_MAX];
    size_t count = 0;
    size_t value_count = 0;
    size_t gone = 0;
    struct kl_id id;

    sweep_rectify(fixture, &made, "email", "second@example.org");
    sweep_rectify(fixture, &made, "email", "third@example.org");
    count = sweep_places(fixture, 'O', old);
    value_count = sweep_places(fixture, 'V', values);
    assert_int_equal(count, 2);
    for (size_t i = 0; i < count; i++) {
        assert_false(sweep_is_gone(fixture, &old[i]));
    }
    id = sweep_run(fixture);
    for (size_t i = 0; i < count; i++) {
        assert_true(sweep_is_gone(fixture, &old[i]));
    }
    for (size_t i = 0; i < value_count; i++) {
        gone += sweep_is_gone(fixture, &values[i]) ? 1 : 0;
    }
    assert_int_equal(gone, 2); /* a backup from before opens all others */
    assert_int_equal(sweep_rows(fixture, 'O'), 0);
    assert_int_equal(sweep_rows(fixture, 'V'), value_count - 2);
    assert_int_equal(sweep_shown(fixture, &id, "values"), 2);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "support", &read), KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "email"), "third@example.org"));
    assert_int_equal(fixture_read(fixture, "reader", &other.id, "support", &read), KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "email"), "other@example.org"));
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "third@example.org", NULL), 1);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "first@example.org", NULL), 0);
    sweep_rectify(fixture, &made, "email", "fourth@example.org");
    fixture_erase(fixture, &made.id);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "fourth@example.org", NULL), 0);
}

static void test_by_night_a_value_goes_with_a_verified_backup_or_after_its_time(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "first@example.org", false);
    struct vault_upkeep *upkeep = fixture_vault(fixture)->upkeep;

    upkeep->options.sweep_at_s = 0;
    sweep_rectify(fixture, &made, "first_name", "Bo");
    number_put(fixture, VAULT_META_SWEEP_NIGHT, 0);
    assert_int_equal(vault_upkeep_run(fixture_vault(fixture), NULL), KL_OK);
    assert_int_equal(sweep_rows(fixture, 'O'),
                     1); /* nobody has the new one, and it has not waited long */
    assert_int_equal(vault_upkeep_run(fixture_vault(fixture), NULL), KL_OK);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"key_sweep\""), 1);
    number_put(fixture, "verified", kl_time_now_us());
    number_put(fixture, VAULT_META_SWEEP_NIGHT, 0);
    assert_int_equal(vault_upkeep_run(fixture_vault(fixture), NULL), KL_OK);
    assert_int_equal(sweep_rows(fixture, 'O'), 0);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"key_sweep_done\""), 2);
    upkeep->options.sweep_at_latest_us = 1;
    sweep_rectify(fixture, &made, "first_name", "Di");
    number_put(fixture, VAULT_META_SWEEP_NIGHT, 0);
    assert_int_equal(vault_upkeep_run(fixture_vault(fixture), NULL), KL_OK);
    assert_int_equal(sweep_rows(fixture, 'O'),
                     0); /* no backup has it, but it has waited long enough */
}

static void test_without_a_plan_nothing_happens_by_night(void **state)
{
    struct vault_fixture *fixture = *state;

    number_put(fixture, VAULT_META_SWEEP_NIGHT, 0);
    assert_int_equal(vault_upkeep_run(fixture_vault(fixture), NULL), KL_OK);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"key_sweep\""), 0);
    assert_int_equal(vault_sweep_next_us(fixture_vault(fixture), kl_time_now_us()), 0);
}

static void test_the_next_sweep_is_behind_the_moment_asked_about(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault *vault = fixture_vault(fixture);
    int64_t day_us = KL_TIME_DAY_US;
    int64_t three_us = INT64_C(3) * 3600 * KL_TIME_SECOND_US;

    vault->upkeep->options.sweep_at_s = 3 * 3600;
    assert_int_equal(vault_sweep_next_us(vault, 10 * day_us), 10 * day_us + three_us);
    assert_int_equal(vault_sweep_next_us(vault, 10 * day_us + three_us), 11 * day_us + three_us);
    assert_int_equal(vault_sweep_next_us(vault, 10 * day_us + three_us - 1),
                     10 * day_us + three_us);
}

/* ---- the job ---- */

static void test_a_sweep_goes_on_after_a_restart(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "a@example.org", false);
    struct kl_id id;

    sweep_rectify(fixture, &made, "email", "b@example.org");
    assert_int_equal(sweep_ask(fixture, admin_operator(fixture->admin), 0, &id), KL_OK);
    for (int steps = 0; steps < 40 && sweep_shown(fixture, &id, "done") == 0; steps++) {
        struct vault *vault = fixture_vault(fixture);
        struct vault_job *job = &vault->upkeep->jobs->job;
        bool done = false;

        /* One step, its cursor lost every other time. */
        kl_err_clear(&fixture->err);
        assert_int_equal(vault_sweep_job.step(vault, job, &done, &fixture->err), KL_OK);
        if (steps % 2 == 0) {
            assert_int_equal(vault_job_keep(vault, job, NULL), KL_OK);
        }
        fixture_reopen(fixture);
        if (done) {
            assert_int_equal(vault_upkeep_run(fixture_vault(fixture), NULL), KL_OK);
        }
    }
    assert_int_equal(sweep_shown(fixture, &id, "done"), 1);
    assert_int_equal(sweep_rows(fixture, 'O'), 0);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "b@example.org", NULL), 1);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "a@example.org", NULL), 0);
}

static void test_who_may_sweep_and_what_they_see(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_caller auditor = fixture_caller(fixture, "auditor");
    struct kl_id of_all;
    struct kl_id of_tenant;
    struct kl_buf text;

    kl_buf_init(&text, SWEEP_TEXT_BYTES);
    assert_int_equal(sweep_ask(fixture, fixture_caller(fixture, "dpo"), 0, &of_all),
                     KL_ERR_FORBIDDEN);
    assert_int_equal(sweep_ask(fixture, fixture_caller(fixture, "auditor"), 0, &of_all),
                     KL_ERR_FORBIDDEN);
    assert_int_equal(sweep_ask(fixture, admin_operator(fixture->admin), -1, &of_all),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_rate");
    assert_int_equal(
        sweep_ask(fixture, admin_operator(fixture->admin), VAULT_SWEEP_RATE_MAX + 1, &of_all),
        KL_ERR_INVALID);
    assert_int_equal(sweep_ask(fixture, admin_operator(fixture->admin), 0, &of_all), KL_OK);
    assert_int_equal(sweep_ask(fixture, admin_steward(fixture->admin), 0, &of_tenant), KL_OK);
    assert_int_equal(
        vault_sweep_show(fixture_vault(fixture), &auditor, &of_all, &text, &fixture->err),
        KL_ERR_NOT_FOUND);
    assert_int_equal(text.size, 0);
    assert_int_equal(
        vault_sweep_show(fixture_vault(fixture), &auditor, &of_tenant, &text, &fixture->err),
        KL_OK);
    kl_buf_clear(&text);
    assert_int_equal(vault_sweep_list(fixture_vault(fixture), &auditor, 0, &text, NULL),
                     KL_ERR_INVALID);
    assert_int_equal(vault_sweep_list(fixture_vault(fixture), &auditor, 10, &text, NULL), KL_OK);
    kl_buf_add_byte(&text, 0);
    assert_non_null(strstr((char *)text.bytes, "\"tenant\":\"default\""));
    assert_null(strstr((char *)text.bytes, "\"tenant\":null"));
    kl_buf_done(&text);
    vault_caller_done(&auditor);
    assert_int_equal(vault_upkeep_run(fixture_vault(fixture), NULL), KL_OK);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"key_sweep_done\""), 1);
}

static void test_a_sweep_with_a_rate_takes_its_time(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "a@example.org", false);
    struct kl_id id;
    int64_t begun_us = 0;

    for (int i = 0; i < 6; i++) {
        sweep_rectify(fixture, &made, "first_name", i % 2 == 0 ? "Bo" : "Di");
    }
    assert_int_equal(sweep_ask(fixture, admin_operator(fixture->admin), 20, &id), KL_OK);
    begun_us = kl_time_monotonic_us();
    assert_int_equal(vault_upkeep_run(fixture_vault(fixture), NULL), KL_OK);
    assert_true(kl_time_monotonic_us() - begun_us >= 290000);
    assert_int_equal(sweep_rows(fixture, 'O'), 0);
}

static void test_each_key_commit_of_a_sweep_is_in_the_trail(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "a@example.org", false);
    char id_text[KL_ID_TEXT_BYTES];
    char piece[128];
    struct kl_id id;

    sweep_rectify(fixture, &made, "first_name", "Bo");
    id = sweep_run(fixture);
    kl_id_format(VAULT_SWEEP_PREFIX, &id, id_text);
    (void)snprintf(piece, sizeof piece, "\"job\":\"%s\",\"values\":1,\"buckets\":0", id_text);
    assert_int_equal(fixture_trail(fixture, piece), 1);
    assert_int_equal(fixture_trail(fixture, "a@example.org"), 0);
}

/* ---- the horizon ---- */

static void test_the_horizon_is_that_of_the_last_sweep_and_never_ahead_of_what_waits(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "a@example.org", false);
    static char text[SWEEP_TEXT_BYTES];
    static char later[SWEEP_TEXT_BYTES];

    keys_state(fixture, text);
    assert_non_null(strstr(text, "\"horizon\":null"));
    assert_non_null(strstr(text, "\"waiting\":0"));
    sweep_rectify(fixture, &made, "first_name", "Bo");
    keys_state(fixture, text);
    assert_non_null(strstr(text, "\"waiting\":1"));
    (void)sweep_run(fixture);
    keys_state(fixture, text);
    assert_null(strstr(text, "\"horizon\":null"));
    assert_non_null(strstr(text, "\"waiting\":0"));
    assert_null(strstr(text, "\"last_at\":null"));
    sweep_rectify(fixture, &made, "first_name", "Di");
    keys_state(fixture, later);
    assert_memory_equal(strstr(text, "\"horizon\""), strstr(later, "\"horizon\""), 40);
}

static void test_expired_answers_go_and_what_they_were_sealed_under_stays(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault *vault = fixture_vault(fixture);
    struct vault_caller caller = fixture_caller(fixture, "writer");
    const struct vault_field_input field = fixture_field("email", "a@example.org");
    const struct vault_record_input record = {
        .type = "newsletter", .fields = &field, .field_count = 1};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};
    const struct vault_idempotency once = {.key = "k-1", .fingerprint = {1}};
    struct vault_subject_result made = {0};
    struct vault_subject_result read = {0};
    struct kl_id id;

    caller.now_us -= 25 * 3600 * KL_TIME_SECOND_US;
    assert_int_equal(
        vault_subject_create(vault, &caller, &input, &once, fixture->arena, &made, &fixture->err),
        KL_OK);
    id = sweep_run(fixture);
    assert_int_equal(sweep_shown(fixture, &id, "answers"), 1);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "support", &read), KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "email"), "a@example.org"));
    id = sweep_run(fixture);
    assert_int_equal(sweep_shown(fixture, &id, "answers"), 0);
    vault_caller_done(&caller);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_value_rectified_twice_is_gone_and_others_still_open),
        TEST(test_by_night_a_value_goes_with_a_verified_backup_or_after_its_time),
        TEST(test_without_a_plan_nothing_happens_by_night),
        TEST(test_the_next_sweep_is_behind_the_moment_asked_about),
        TEST(test_a_sweep_goes_on_after_a_restart),
        TEST(test_who_may_sweep_and_what_they_see),
        TEST(test_a_sweep_with_a_rate_takes_its_time),
        TEST(test_each_key_commit_of_a_sweep_is_in_the_trail),
        TEST(test_the_horizon_is_that_of_the_last_sweep_and_never_ahead_of_what_waits),
        TEST(test_expired_answers_go_and_what_they_were_sealed_under_stays),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
