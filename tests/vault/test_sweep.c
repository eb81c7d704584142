/* What a sweep takes, and what it leaves. */
#include "tests/support/test.h"
#include "tests/support/vault_fixture.h"

#include "kluis/base/json.h"
#include "vault/job_internal.h"
#include "vault/rows.h"
#include "vault/sweep.h"
#include "vault/tenants.h"
#include "vault/upkeep_internal.h"

#include <stdio.h>
#include <string.h>

#define TEXT_BYTES 16384
#define SLOTS_MAX 4096

static void rectify(struct vault_fixture *fixture, const struct vault_subject_result *of,
                    const char *name, const char *text)
{
    struct vault_caller caller = fixture_caller(fixture, "writer");
    const struct vault_field_input field = fixture_field(name, text);
    uint64_t version = 0;

    assert_int_equal(vault_record_patch(fixture_vault(fixture), &caller, &of->id,
                                        &of->records[0].id, 0, &field, 1, &version, &fixture->err),
                     KL_OK);
    vault_caller_done(&caller);
}

/* Ask as that caller; ret_id of the job. */
static enum kl_status ask(struct vault_fixture *fixture, struct vault_caller caller,
                          int64_t changes_per_second, struct kl_id *ret_id)
{
    const struct vault_sweep_input input = {.changes_per_second = changes_per_second};
    struct kl_json *json = NULL;
    struct kl_buf text;
    enum kl_status status = KL_OK;

    kl_buf_init(&text, TEXT_BYTES);
    kl_err_clear(&fixture->err);
    status = vault_sweep_start(fixture_vault(fixture), &caller, &input, NULL, &text, NULL,
                               &fixture->err);
    if (status == KL_OK) {
        assert_int_equal(kl_json_parse(text.bytes, text.size, &json, NULL), KL_OK);
        assert_int_equal(kl_id_parse(VAULT_SWEEP_PREFIX,
                                     kl_json_text(kl_json_member(kl_json_root(json), "id")), ret_id,
                                     NULL),
                         KL_OK);
        assert_string_equal(kl_json_text(kl_json_member(kl_json_root(json), "state")), "running");
        kl_json_free(json);
    }
    kl_buf_done(&text);
    vault_caller_done(&caller);
    return status;
}

/* A number of a job as it is shown to the operator. */
static int64_t shown(struct vault_fixture *fixture, const struct kl_id *id, const char *key)
{
    struct vault_caller caller = admin_operator(fixture->admin);
    struct kl_json *json = NULL;
    struct kl_buf text;
    int64_t number = -1;

    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(vault_sweep_show(fixture_vault(fixture), &caller, id, &text, NULL), KL_OK);
    assert_int_equal(kl_json_parse(text.bytes, text.size, &json, NULL), KL_OK);
    if (strcmp(key, "done") == 0) {
        number = strcmp(kl_json_text(kl_json_member(kl_json_root(json), "state")), "done") == 0;
    } else {
        assert_true(kl_json_int(kl_json_member(kl_json_root(json), key), &number));
    }
    kl_json_free(json);
    kl_buf_done(&text);
    vault_caller_done(&caller);
    return number;
}

/* Everything that was overwritten until now goes. */
static struct kl_id sweep(struct vault_fixture *fixture)
{
    struct kl_id id = {{0}};
    struct kl_err err = {0};

    assert_int_equal(ask(fixture, admin_operator(fixture->admin), 0, &id), KL_OK);
    if (vault_upkeep_run(fixture_vault(fixture), &err) != KL_OK) {
        fail_msg("the sweep does not end: %s %s", err.code, err.log_text);
    }
    assert_int_equal(shown(fixture, &id, "done"), 1);
    return id;
}

/* Places of all rows of a kind whose key ends with slot8 value8. */
static size_t places_of(struct vault_fixture *fixture, char kind, struct kms_place *ret)
{
    struct vault *vault = fixture_vault(fixture);
    uint64_t tenant = fixture_tenant(fixture);
    struct vault_row_key prefix =
        kind == 'O' ? vault_row_old(tenant, 0, 0, 0) : vault_row_value(tenant, 0, 0);
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice row;
    size_t count = 0;

    prefix.size = 9;
    past = vault_row_past(&prefix);
    iter =
        vault_iter_new(vault->data_store, vault_row_slice(&prefix), vault_row_slice(&past), false);
    assert_non_null(iter);
    while (vault_iter_next(iter, &key, &row)) {
        assert_true(count < SLOTS_MAX);
        ret[count++] = (struct kms_place){tenant, kl_get_u64be(key.bytes + key.size - 16),
                                          kl_get_u64be(key.bytes + key.size - 8)};
    }
    vault_iter_free(iter);
    return count;
}

static size_t rows_of(struct vault_fixture *fixture, char kind)
{
    static struct kms_place places[SLOTS_MAX];

    return places_of(fixture, kind, places);
}

static bool is_gone(struct vault_fixture *fixture, const struct kms_place *place)
{
    return kms_place_check(fixture_vault(fixture)->keys, place, NULL) == KL_ERR_GONE;
}

/* All slots of the index in use: address slot first. */
static size_t index_slots(struct vault_fixture *fixture, struct kms_place *ret)
{
    struct vault *vault = fixture_vault(fixture);
    uint64_t tenant = fixture_tenant(fixture);
    struct vault_index_epochs epochs = {0};
    struct vault_row_key first;
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice row;
    size_t count = 0;

    assert_int_equal(vault_index_epochs(vault->index, tenant, &epochs, NULL), KL_OK);
    ret[count++] = (struct kms_place){tenant, epochs.address_slot, KMS_VALUE_NONE};
    first = vault_row_bucket(tenant, epochs.epoch, 0, 0, 0, 0);
    first.size = 13;
    past = vault_row_past(&first);
    iter =
        vault_iter_new(vault->data_store, vault_row_slice(&first), vault_row_slice(&past), false);
    assert_non_null(iter);
    while (vault_iter_next(iter, &key, &row)) {
        if (key.bytes[key.size - 1] == 0 && kl_get_u64be(row.bytes) != 0) {
            assert_true(count < SLOTS_MAX);
            ret[count++] = (struct kms_place){tenant, kl_get_u64be(row.bytes), KMS_VALUE_NONE};
        }
    }
    vault_iter_free(iter);
    return count;
}

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
static void keys_state(struct vault_fixture *fixture, char ret[TEXT_BYTES])
{
    struct vault_caller caller = admin_operator(fixture->admin);
    struct kl_buf text;

    kl_buf_init(&text, TEXT_BYTES - 1);
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
    static struct kms_place old[SLOTS_MAX];
    static struct kms_place values[SLOTS_MAX];
    size_t count = 0;
    size_t value_count = 0;
    size_t gone = 0;
    struct kl_id id;

    rectify(fixture, &made, "email", "second@example.org");
    rectify(fixture, &made, "email", "third@example.org");
    count = places_of(fixture, 'O', old);
    value_count = places_of(fixture, 'V', values);
    assert_int_equal(count, 2);
    for (size_t i = 0; i < count; i++) {
        assert_false(is_gone(fixture, &old[i]));
    }
    id = sweep(fixture);
    for (size_t i = 0; i < count; i++) {
        assert_true(is_gone(fixture, &old[i]));
    }
    for (size_t i = 0; i < value_count; i++) {
        gone += is_gone(fixture, &values[i]) ? 1 : 0;
    }
    assert_int_equal(gone, 2); /* a backup from before opens all others */
    assert_int_equal(rows_of(fixture, 'O'), 0);
    assert_int_equal(rows_of(fixture, 'V'), value_count - 2);
    assert_int_equal(shown(fixture, &id, "values"), 2);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "support", &read), KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "email"), "third@example.org"));
    assert_int_equal(fixture_read(fixture, "reader", &other.id, "support", &read), KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "email"), "other@example.org"));
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "third@example.org", NULL), 1);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "first@example.org", NULL), 0);
    rectify(fixture, &made, "email", "fourth@example.org");
    fixture_erase(fixture, &made.id);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "fourth@example.org", NULL), 0);
}

static void test_by_night_a_value_goes_with_a_verified_backup_or_after_its_time(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "first@example.org", false);
    struct vault_upkeep *upkeep = fixture_vault(fixture)->upkeep;

    upkeep->options.sweep_at_s = 0;
    rectify(fixture, &made, "first_name", "Bo");
    number_put(fixture, VAULT_META_SWEEP_NIGHT, 0);
    assert_int_equal(vault_upkeep_run(fixture_vault(fixture), NULL), KL_OK);
    assert_int_equal(rows_of(fixture, 'O'),
                     1); /* nobody has the new one, and it has not waited long */
    assert_int_equal(vault_upkeep_run(fixture_vault(fixture), NULL), KL_OK);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"key_sweep\""), 1);
    number_put(fixture, "verified", kl_time_now_us());
    number_put(fixture, VAULT_META_SWEEP_NIGHT, 0);
    assert_int_equal(vault_upkeep_run(fixture_vault(fixture), NULL), KL_OK);
    assert_int_equal(rows_of(fixture, 'O'), 0);
    assert_int_equal(admin_trail_count(fixture->admin, true, "\"action\":\"key_sweep_done\""), 2);
    upkeep->options.sweep_at_latest_us = 1;
    rectify(fixture, &made, "first_name", "Di");
    number_put(fixture, VAULT_META_SWEEP_NIGHT, 0);
    assert_int_equal(vault_upkeep_run(fixture_vault(fixture), NULL), KL_OK);
    assert_int_equal(rows_of(fixture, 'O'),
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

/* ---- the index ---- */

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
    static struct kms_place slots[SLOTS_MAX];
    struct vault_job job;
    size_t count = 0;
    bool done = false;

    (void)fixture_newsletter(fixture, "stays@example.org", false);
    fixture_erase(fixture, &first.id);
    count = index_slots(fixture, slots);
    assert_true(count >= 2);
    sweep_until_switched(fixture, &job);
    assert_false(is_gone(fixture, &slots[1])); /* or there is nothing to see here */
    fixture_erase(fixture, &gone.id);
    for (size_t i = 0; i < count; i++) {
        assert_true(is_gone(fixture, &slots[i]));
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
    static struct kms_place slots[SLOTS_MAX];
    struct vault_index_epochs epochs = {0};
    size_t count = 0;
    struct kl_id id;
    char email[64];

    for (int i = 0; i < 60; i++) {
        (void)snprintf(email, sizeof email, "p%d@example.org", i);
        (void)fixture_newsletter(fixture, email, false);
    }
    fixture_erase(fixture, &gone.id);
    count = index_slots(fixture, slots);
    assert_true(count >= 3);
    id = sweep(fixture);
    for (size_t i = 0; i < count; i++) {
        assert_true(is_gone(fixture, &slots[i]));
    }
    assert_int_equal(shown(fixture, &id, "indexes"), 1);
    assert_int_equal(shown(fixture, &id, "subjects"), 60);
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
    assert_int_equal(ask(fixture, admin_operator(fixture->admin), 0, &id), KL_OK);
    for (int i = 0; i < 8 && epochs.next_epoch == 0; i++) {
        assert_int_equal(
            vault_sweep_job.step(vault, &vault->upkeep->jobs->job, &done, &fixture->err), KL_OK);
        assert_int_equal(vault_index_epochs(vault->index, fixture_tenant(fixture), &epochs, NULL),
                         KL_OK);
    }
    assert_int_not_equal(epochs.next_epoch, 0); /* everybody is in it, and it is not in use */
    fixture_erase(fixture, &gone.id);
    rectify(fixture, &moved, "email", "to@example.org");
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
    assert_int_equal(rows_of(fixture, 'O'), 1);
    assert_int_equal(shown(fixture, &id, "values"), 0);
    id = sweep(fixture);
    assert_int_equal(shown(fixture, &id, "indexes"), 1);
    assert_int_equal(rows_of(fixture, 'O'), 0);
}

static void test_an_index_in_which_nothing_changed_is_left_alone(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "a@example.org", false);
    struct kl_id id = sweep(fixture);

    assert_int_equal(shown(fixture, &id, "indexes"), 0);
    rectify(fixture, &made, "first_name", "Bo"); /* is in no index */
    id = sweep(fixture);
    assert_int_equal(shown(fixture, &id, "indexes"), 0);
    assert_int_equal(shown(fixture, &id, "values"), 1);
    rectify(fixture, &made, "email", "b@example.org");
    id = sweep(fixture);
    assert_int_equal(shown(fixture, &id, "indexes"), 1);
    id = sweep(fixture);
    assert_int_equal(shown(fixture, &id, "indexes"), 0);
}

static void test_somebody_whose_records_are_damaged_can_still_be_erased_after_a_sweep(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result gone = fixture_newsletter(fixture, "gone@example.org", false);
    struct vault_subject_result hurt = fixture_newsletter(fixture, "hurt@example.org", false);
    uint64_t slot = 0;

    fixture_damage(fixture, &hurt.id);
    fixture_erase(fixture, &gone.id);
    (void)sweep(fixture);
    assert_int_equal(
        vault_subject_slot(fixture_vault(fixture), fixture_tenant(fixture), &hurt.id, &slot, NULL),
        KL_OK);
    fixture_erase(fixture, &hurt.id);
}

/* ---- the job ---- */

static void test_a_sweep_goes_on_after_a_restart(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "a@example.org", false);
    struct kl_id id;

    rectify(fixture, &made, "email", "b@example.org");
    assert_int_equal(ask(fixture, admin_operator(fixture->admin), 0, &id), KL_OK);
    for (int steps = 0; steps < 40 && shown(fixture, &id, "done") == 0; steps++) {
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
    assert_int_equal(shown(fixture, &id, "done"), 1);
    assert_int_equal(rows_of(fixture, 'O'), 0);
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

    kl_buf_init(&text, TEXT_BYTES);
    assert_int_equal(ask(fixture, fixture_caller(fixture, "dpo"), 0, &of_all), KL_ERR_FORBIDDEN);
    assert_int_equal(ask(fixture, fixture_caller(fixture, "auditor"), 0, &of_all),
                     KL_ERR_FORBIDDEN);
    assert_int_equal(ask(fixture, admin_operator(fixture->admin), -1, &of_all), KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "invalid_rate");
    assert_int_equal(
        ask(fixture, admin_operator(fixture->admin), VAULT_SWEEP_RATE_MAX + 1, &of_all),
        KL_ERR_INVALID);
    assert_int_equal(ask(fixture, admin_operator(fixture->admin), 0, &of_all), KL_OK);
    assert_int_equal(ask(fixture, admin_steward(fixture->admin), 0, &of_tenant), KL_OK);
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
        rectify(fixture, &made, "first_name", i % 2 == 0 ? "Bo" : "Di");
    }
    assert_int_equal(ask(fixture, admin_operator(fixture->admin), 20, &id), KL_OK);
    begun_us = kl_time_monotonic_us();
    assert_int_equal(vault_upkeep_run(fixture_vault(fixture), NULL), KL_OK);
    assert_true(kl_time_monotonic_us() - begun_us >= 290000);
    assert_int_equal(rows_of(fixture, 'O'), 0);
}

static void test_each_key_commit_of_a_sweep_is_in_the_trail(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "a@example.org", false);
    char id_text[KL_ID_TEXT_BYTES];
    char piece[128];
    struct kl_id id;

    rectify(fixture, &made, "first_name", "Bo");
    id = sweep(fixture);
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
    static char text[TEXT_BYTES];
    static char later[TEXT_BYTES];

    keys_state(fixture, text);
    assert_non_null(strstr(text, "\"horizon\":null"));
    assert_non_null(strstr(text, "\"waiting\":0"));
    rectify(fixture, &made, "first_name", "Bo");
    keys_state(fixture, text);
    assert_non_null(strstr(text, "\"waiting\":1"));
    (void)sweep(fixture);
    keys_state(fixture, text);
    assert_null(strstr(text, "\"horizon\":null"));
    assert_non_null(strstr(text, "\"waiting\":0"));
    assert_null(strstr(text, "\"last_at\":null"));
    rectify(fixture, &made, "first_name", "Di");
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
    id = sweep(fixture);
    assert_int_equal(shown(fixture, &id, "answers"), 1);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "support", &read), KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "email"), "a@example.org"));
    id = sweep(fixture);
    assert_int_equal(shown(fixture, &id, "answers"), 0);
    vault_caller_done(&caller);
}

#define SWEEP_TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SWEEP_TEST(test_a_value_rectified_twice_is_gone_and_others_still_open),
        SWEEP_TEST(test_by_night_a_value_goes_with_a_verified_backup_or_after_its_time),
        SWEEP_TEST(test_without_a_plan_nothing_happens_by_night),
        SWEEP_TEST(test_the_next_sweep_is_behind_the_moment_asked_about),
        SWEEP_TEST(test_after_an_erasure_the_old_index_has_no_key_left),
        SWEEP_TEST(test_who_is_erased_while_an_index_goes_stands_in_it_no_more),
        SWEEP_TEST(test_what_happens_beside_a_build_is_in_the_new_index_and_nothing_else),
        SWEEP_TEST(test_an_index_in_which_nothing_changed_is_left_alone),
        SWEEP_TEST(test_somebody_whose_records_are_damaged_can_still_be_erased_after_a_sweep),
        SWEEP_TEST(test_a_sweep_goes_on_after_a_restart),
        SWEEP_TEST(test_who_may_sweep_and_what_they_see),
        SWEEP_TEST(test_a_sweep_with_a_rate_takes_its_time),
        SWEEP_TEST(test_each_key_commit_of_a_sweep_is_in_the_trail),
        SWEEP_TEST(test_the_horizon_is_that_of_the_last_sweep_and_never_ahead_of_what_waits),
        SWEEP_TEST(test_expired_answers_go_and_what_they_were_sealed_under_stays),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
