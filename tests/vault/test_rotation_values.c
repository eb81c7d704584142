/* Everything stored about people is sealed anew, and nobody notices but who has the old keys. */
#include "tests/support/vault_fixture.h"

#include "tests/support/test.h"
#include "vault/backup.h"
#include "vault/erasure.h"
#include "vault/journal.h"
#include "vault/rotation.h"
#include "vault/rows.h"
#include "vault/values.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PEOPLE 70 /* more than two chunks */
#define COPY "copy"

/* ---- people ---- */

struct people {
    struct kl_id ids[PEOPLE];
    struct kl_id records[PEOPLE];
};

static void email_of(size_t i, char ret[64])
{
    (void)snprintf(ret, 64, "p%zu@example.org", i);
}

/* Roles are made before anything is copied. */
static void people_make(struct vault_fixture *fixture, struct people *people)
{
    static const char *const roles[] = {"reader", "writer", "dpo"};
    struct vault_subject_result made;
    char email[64];
    size_t i;

    for (i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        struct vault_caller caller = fixture_caller(fixture, roles[i]);

        vault_caller_done(&caller);
    }
    for (i = 0; i < PEOPLE; i++) {
        email_of(i, email);
        made = fixture_newsletter(fixture, email, true);
        people->ids[i] = made.id;
        people->records[i] = made.records[0].id;
    }
}

static enum kl_status patch(struct vault_fixture *fixture, const struct people *people, size_t i,
                            const char *name)
{
    struct vault_caller writer = fixture_caller(fixture, "writer");
    const struct vault_field_input field = fixture_field("first_name", name);
    uint64_t version = 0;
    enum kl_status status = vault_record_patch(fixture_vault(fixture), &writer, &people->ids[i],
                                               &people->records[i], 0, &field, 1, &version, NULL);

    vault_caller_done(&writer);
    return status;
}

static void assert_reads(struct vault_fixture *fixture, const struct people *people, size_t i,
                         const char *name)
{
    struct vault_subject_result read = {0};
    struct kl_id found;
    char email[64];

    email_of(i, email);
    assert_int_equal(fixture_read(fixture, "reader", &people->ids[i], "mailing", &read), KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "email"), email));
    assert_true(fixture_value_is(fixture_find(&read, "first_name"), name));
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", email, &found), 1);
    assert_true(kl_id_equal(&found, &people->ids[i]));
}

static void assert_all_read(struct vault_fixture *fixture, const struct people *people)
{
    size_t i;

    for (i = 0; i < PEOPLE; i++) {
        assert_reads(fixture, people, i, "Ana Maria");
        kl_arena_reset(fixture->arena);
    }
}

static uint64_t tenant_of(struct vault_fixture *fixture)
{
    struct vault_caller reader = fixture_caller(fixture, "reader");
    uint64_t tenant = reader.tenant;

    vault_caller_done(&reader);
    return tenant;
}

static uint64_t slot_of(struct vault_fixture *fixture, const struct kl_id *subject)
{
    uint64_t slot = 0;

    assert_int_equal(
        vault_subject_slot(fixture_vault(fixture), tenant_of(fixture), subject, &slot, NULL),
        KL_OK);
    return slot;
}

/* ---- the job ---- */

static enum kl_status step(struct vault *vault, struct vault_job *job, bool *done)
{
    struct kl_err err = {0};
    enum kl_status status = vault_rotation_values_step(vault, job, NULL, done, &err);

    if (status != KL_OK && status != KL_ERR_BUSY) {
        print_error("%s %s\n", err.code, err.log_text);
    }
    return status;
}

static void rotate(struct vault *vault, uint64_t tenant, struct vault_job *job)
{
    enum kl_status status = KL_OK;
    bool done = false;

    vault_job_init(job);
    job->tenant = tenant;
    while (!done) {
        status = step(vault, job, &done);
        assert_true(status == KL_OK || status == KL_ERR_BUSY);
    }
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

static size_t rows_beside(struct vault_fixture *fixture)
{
    struct vault_iter *iter = vault_iter_new(fixture_vault(fixture)->data_store, kl_slice_text("w"),
                                             kl_slice_text("x"), false);
    struct kl_slice key;
    struct kl_slice row;
    size_t count = 0;

    while (vault_iter_next(iter, &key, &row)) {
        count++;
    }
    vault_iter_free(iter);
    return count;
}

/* ---- */

static void test_everything_reads_as_before(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people;
    struct vault_job job;
    struct vault_caller dpo;
    struct vault_consent_result *consents = NULL;
    size_t count = 0;

    people_make(fixture, &people);
    assert_int_equal(patch(fixture, &people, 3, "Bo"), KL_OK);
    assert_int_equal(patch(fixture, &people, 3, "Ana Maria"), KL_OK);
    rotate(fixture_vault(fixture), tenant_of(fixture), &job);
    assert_int_equal(result_of(&job, "subjects"), PEOPLE);
    assert_int_equal(result_of(&job, "left"), 0);
    vault_job_done(&job);
    assert_int_equal(rows_beside(fixture), 0);
    assert_all_read(fixture, &people);
    dpo = fixture_caller(fixture, "dpo");
    assert_int_equal(vault_consent_list(fixture_vault(fixture), &dpo, &people.ids[0],
                                        fixture->arena, &consents, &count, NULL),
                     KL_OK);
    vault_caller_done(&dpo);
    assert_int_equal(count, 1);
    assert_string_equal(consents[0].evidence, "ticked the box");
    fixture_reopen(fixture);
    assert_all_read(fixture, &people);
    assert_int_equal(patch(fixture, &people, 3, "Cas"), KL_OK);
    assert_reads(fixture, &people, 3, "Cas");
    fixture_erase(fixture, &people.ids[3]);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "p3@example.org", NULL), 0);
}

static void test_what_was_sealed_before_opens_no_more_and_what_is_sealed_now_did_not_then(
    void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people;
    struct vault_job job;
    struct kms_place place = {0};
    struct vault_row_key key;
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    struct kl_slice found;
    struct kl_slice row;
    struct kl_slice context = kl_slice_text("kept");
    struct kl_buf kept;
    struct kl_buf plain;
    struct kl_buf rows[2];
    struct vault_options options = fixture->admin->options;
    struct vault *leaked = NULL;
    struct vault_subject subject = {0};
    char copy[ADMIN_PATH_BYTES];
    char root_copy[ADMIN_PATH_BYTES];
    char custodian[ADMIN_PATH_BYTES + 16];
    char from[ADMIN_PATH_BYTES];
    char to[ADMIN_PATH_BYTES];
    char command[4 * ADMIN_PATH_BYTES];
    size_t i;

    people_make(fixture, &people);
    place.tenant = tenant_of(fixture);
    place.slot = slot_of(fixture, &people.ids[0]);
    place.value = 5;
    kl_buf_init(&kept, 1024);
    kl_buf_init(&plain, 1024);
    assert_int_equal(
        kms_seal(fixture_vault(fixture)->keys, &place, context, kl_slice_text("text"), &kept, NULL),
        KL_OK);
    for (i = 0; i < 2; i++) {
        kl_buf_init(&rows[i], 1024 * 1024);
    }
    key = vault_row_head(place.tenant, place.slot);
    assert_int_equal(
        vault_store_get(fixture_vault(fixture)->data_store, vault_row_slice(&key), &rows[0], NULL),
        KL_OK);
    /* the leak: keys/ and the root file as they are */
    fixture_path(fixture, COPY, copy);
    fixture_path(fixture, "copy.key", root_copy);
    admin_close(fixture->admin);
    admin_remove(copy);
    admin_copy(fixture->admin->data, copy);
    (void)snprintf(command, sizeof command, "cp '%s' '%s'", fixture->admin->root_file, root_copy);
    assert_int_equal(system(command), 0);
    admin_reopen(fixture->admin);

    rotate(fixture_vault(fixture), place.tenant, &job);
    vault_job_done(&job);
    assert_int_equal(kms_unseal(fixture_vault(fixture)->keys, &place, context, kl_buf_slice(&kept),
                                &plain, NULL),
                     KL_ERR_CORRUPT);
    assert_int_equal(vault_subject_load_row(fixture_vault(fixture), place.tenant, place.slot,
                                            kl_buf_slice(&rows[0]), fixture->arena, &subject, NULL),
                     KL_OK); /* what is there now is looked at */
    assert_true(subject.head.version > kl_get_u64be(rows[0].bytes));
    vault_subject_done(&subject);
    (void)fixture_newsletter(fixture, "later@example.org", true);
    /* all keys of then, all data of now, who came later included */
    admin_close(fixture->admin);
    fixture_path(fixture, "data/data", from);
    fixture_path(fixture, COPY "/data", to);
    admin_remove(to);
    admin_copy(from, to);
    options.data_dir = copy;
    (void)snprintf(custodian, sizeof custodian, "file:%s", root_copy);
    options.custodian = custodian;
    assert_int_equal(vault_open(&options, &leaked, &fixture->err), KL_OK);
    assert_int_equal(kms_unseal(leaked->keys, &place, context, kl_buf_slice(&kept), &plain, NULL),
                     KL_OK); /* the key of then */
    key = vault_row_head(place.tenant, 0);
    past = vault_row_head(place.tenant, UINT64_MAX);
    iter = vault_iter_new(leaked->data_store, vault_row_slice(&key), vault_row_slice(&past), false);
    for (i = 0; vault_iter_next(iter, &found, &row); i++) {
        struct vault_subject one = {0};

        assert_int_equal(vault_subject_load(leaked, place.tenant,
                                            kl_get_u64be(found.bytes + found.size - 8),
                                            fixture->arena, &one, NULL),
                         KL_ERR_CORRUPT);
        vault_subject_done(&one);
    }
    vault_iter_free(iter);
    assert_int_equal(i, PEOPLE + 1);
    vault_close(leaked);
    admin_reopen(fixture->admin);
    for (i = 0; i < 2; i++) {
        kl_buf_done(&rows[i]);
    }
    kl_buf_done(&kept);
    kl_buf_done(&plain);
}

static void test_a_withdrawn_consent_stays_withdrawn(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result made = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result read = {0};
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_job job;

    assert_int_equal(
        vault_consent_withdraw(fixture_vault(fixture), &dpo, &made.id, "mailing", NULL, NULL),
        KL_OK);
    vault_caller_done(&dpo);
    rotate(fixture_vault(fixture), tenant_of(fixture), &job);
    vault_job_done(&job);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "mailing", &read), KL_OK);
    assert_int_equal(fixture_find(&read, "email")->withheld, VAULT_GATE_CONSENT);
    fixture_reopen(fixture);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "mailing", &read), KL_OK);
    assert_int_equal(fixture_find(&read, "email")->withheld, VAULT_GATE_CONSENT);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"journal_lost\""), 0);
}

static void test_a_subject_that_does_not_open_is_left_and_counted(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result damaged = fixture_newsletter(fixture, "ana@example.org", true);
    struct vault_subject_result made = fixture_newsletter(fixture, "bob@example.org", true);
    struct vault_subject_result read = {0};
    struct vault_job job;

    fixture_damage(fixture, &damaged.id);
    rotate(fixture_vault(fixture), tenant_of(fixture), &job);
    assert_int_equal(result_of(&job, "subjects"), 1);
    assert_int_equal(result_of(&job, "left"), 1);
    vault_job_done(&job);
    assert_int_equal(fixture_read(fixture, "reader", &made.id, "mailing", &read), KL_OK);
    assert_true(fixture_value_is(fixture_find(&read, "email"), "bob@example.org"));
}

/* Ask as the operator; the row in err and text. */
static enum kl_status ask(struct vault_fixture *fixture, bool without_backup, struct kl_buf *text,
                          struct kl_err *err)
{
    struct vault_caller operator=
        admin_caller(fixture->admin, &fixture->admin->operator_token, "default");
    enum kl_status status = vault_keys_rotate(fixture_vault(fixture), &operator, "values", 0,
                                              without_backup, NULL, text, NULL, err);

    vault_caller_done(&operator);
    return status;
}

static void test_it_asks_for_a_verified_backup_of_the_last_day(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_row_key key = vault_row_meta(VAULT_META_VERIFIED);
    struct vault_batch *batch = vault_batch_new();
    unsigned char time[8];
    struct kl_err err = {0};
    struct kl_buf text;
    int64_t now_us = INT64_C(1800000000000000);
    int64_t day_us = INT64_C(86400) * 1000000;

    kl_buf_init(&text, 65536);
    assert_int_equal(vault_rotation_values_check(fixture_vault(fixture), now_us, &err),
                     KL_ERR_CONFLICT);
    assert_string_equal(err.code, "backup_needed");
    kl_err_clear(&err);
    assert_int_equal(ask(fixture, false, &text, &err), KL_ERR_CONFLICT);
    assert_string_equal(err.code, "backup_needed");
    assert_int_equal(text.size, 0);
    kl_put_u64be(time, (uint64_t)(now_us - day_us));
    vault_batch_put(batch, vault_row_slice(&key), kl_slice_of(time, sizeof time));
    assert_int_equal(vault_store_apply(fixture_vault(fixture)->data_store, batch, true, NULL),
                     KL_OK);
    vault_batch_free(batch);
    assert_int_equal(vault_rotation_values_check(fixture_vault(fixture), now_us, NULL), KL_OK);
    assert_int_equal(vault_rotation_values_check(fixture_vault(fixture), now_us + 1, NULL),
                     KL_ERR_CONFLICT);
    kl_buf_done(&text);
}

static void test_asked_for_it_is_done_by_the_upkeep(void **state)
{
    struct vault_fixture *fixture = *state;
    struct people people;
    struct vault_caller operator;
    struct kl_json *json = NULL;
    struct kl_buf text;
    struct kl_id id;

    people_make(fixture, &people);
    kl_buf_init(&text, 65536);
    assert_int_equal(ask(fixture, true, &text, NULL), KL_OK);
    assert_non_null(strstr((const char *)text.bytes, "\"level\":\"values\""));
    assert_int_equal(kl_json_parse(text.bytes, text.size, &json, NULL), KL_OK);
    assert_int_equal(kl_id_parse(VAULT_ROTATION_PREFIX,
                                 kl_json_text(kl_json_member(kl_json_root(json), "id")), &id, NULL),
                     KL_OK);
    kl_json_free(json);
    assert_int_equal(vault_upkeep_run(fixture_vault(fixture), NULL), KL_OK);
    kl_buf_clear(&text);
    operator= admin_caller(fixture->admin, &fixture->admin->operator_token, NULL);
    assert_int_equal(vault_keys_rotation(fixture_vault(fixture), &operator, & id, &text, NULL),
                     KL_OK);
    vault_caller_done(&operator);
    assert_non_null(strstr((const char *)text.bytes, "\"state\":\"done\""));
    assert_non_null(strstr((const char *)text.bytes, "\"subjects\":70"));
    assert_non_null(strstr((const char *)text.bytes, "\"old_key_out_of_use\":true"));
    assert_non_null(strstr((const char *)text.bytes, "\"older_backups_open\":false"));
    assert_all_read(fixture, &people);
    kl_buf_done(&text);
}

/* ---- beside other work ---- */

struct work {
    struct vault_fixture *fixture;
    const struct people *people;
    struct vault_caller caller;
    struct vault_caller eraser;
    atomic_bool *ended;
    size_t done;
    size_t failed;
};

static void *read_all_along(void *context)
{
    struct work *work = context;
    struct kl_arena *arena = kl_arena_new(16 * 1024 * 1024);
    size_t i = 0;

    while (!atomic_load(work->ended)) {
        struct vault_read_input input = {.subject = work->people->ids[i], .purpose = "mailing"};
        struct vault_subject_result read = {0};
        struct kl_err err = {0};
        enum kl_status status = vault_subject_read(fixture_vault(work->fixture), &work->caller,
                                                   &input, arena, &read, &err);
        char email[64];

        email_of(i, email);
        if (status != KL_OK || !fixture_value_is(fixture_find(&read, "email"), email)) {
            print_error("read %zu: %d %s %s\n", i, (int)status, err.code, err.log_text);
            work->failed++;
        }
        work->done++;
        kl_arena_reset(arena);
        i = (i + 1) % (PEOPLE - 1);
    }
    kl_arena_free(arena);
    return NULL;
}

static void *patch_all_along(void *context)
{
    struct work *work = context;
    const struct vault_field_input field = fixture_field("first_name", "Patched");
    size_t i = 0;

    while (!atomic_load(work->ended)) {
        struct kl_err err = {0};
        uint64_t version = 0;
        enum kl_status status =
            vault_record_patch(fixture_vault(work->fixture), &work->caller, &work->people->ids[i],
                               &work->people->records[i], 0, &field, 1, &version, &err);

        if (status != KL_OK) {
            print_error("patch %zu: %d %s %s\n", i, (int)status, err.code, err.log_text);
            work->failed++;
        }
        work->done++;
        i = (i + 1) % (PEOPLE - 1);
    }
    return NULL;
}

static void *erase_one(void *context)
{
    struct work *work = context;
    struct kl_buf receipt;
    struct kl_err err = {0};

    kl_buf_init(&receipt, 65536);
    if (vault_subject_erase(fixture_vault(work->fixture), &work->caller,
                            &work->people->ids[PEOPLE - 1], VAULT_ERASE_REQUEST, &receipt,
                            &err) != KL_OK) {
        print_error("erase: %s %s\n", err.code, err.log_text);
        work->failed++;
    }
    kl_buf_done(&receipt);
    return NULL;
}

static void test_reads_patches_and_an_erasure_go_on_meanwhile(void **state)
{
    static void *(*const bodies[])(void *) = {read_all_along, patch_all_along, erase_one};
    static const char *const roles[] = {"reader", "writer", "dpo"};
    struct vault_fixture *fixture = *state;
    struct people people;
    struct work works[3];
    pthread_t threads[3];
    atomic_bool ended = false;
    struct vault_subject_result read = {0};
    struct vault_job job;
    size_t times;
    size_t i;

    people_make(fixture, &people);
    for (i = 0; i < 3; i++) {
        memset(&works[i], 0, sizeof works[i]);
        works[i].fixture = fixture;
        works[i].people = &people;
        works[i].caller = fixture_caller(fixture, roles[i]);
        works[i].ended = &ended;
        assert_int_equal(pthread_create(&threads[i], NULL, bodies[i], &works[i]), 0);
    }
    for (times = 0; times < 3; times++) {
        rotate(fixture_vault(fixture), works[0].caller.tenant, &job);
        assert_int_equal(result_of(&job, "left"), 0);
        vault_job_done(&job);
    }
    atomic_store(&ended, true);
    for (i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(works[i].failed, 0);
        vault_caller_done(&works[i].caller);
    }
    assert_true(works[0].done > 0 && works[1].done > 0);
    for (i = 0; i < PEOPLE - 1; i++) {
        assert_int_equal(fixture_read(fixture, "reader", &people.ids[i], "mailing", &read), KL_OK);
        kl_arena_reset(fixture->arena);
    }
    assert_int_equal(fixture_read(fixture, "reader", &people.ids[PEOPLE - 1], "mailing", &read),
                     KL_ERR_NOT_FOUND);
}

/* ---- cut short ---- */

/* What an attempt left that failed without a restart; who it was of was erased before the next. */
static void test_rows_that_were_left_beside_bring_nobody_back(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault *vault = fixture_vault(fixture);
    struct vault_batch *batch = vault_batch_new();
    struct vault_row_key beside;
    struct vault_row_key head;
    struct vault_job job;
    struct people people;
    uint64_t slot = 0;
    struct kl_buf row;

    people_make(fixture, &people);
    slot = slot_of(fixture, &people.ids[1]);
    fixture_erase(fixture, &people.ids[1]);
    beside = vault_row_beside(tenant_of(fixture), slot, 'H', 0);
    head = vault_row_head(tenant_of(fixture), slot);
    vault_batch_put(batch, vault_row_slice(&beside), kl_slice_text("left"));
    assert_int_equal(vault_store_apply(vault->data_store, batch, true, NULL), KL_OK);
    vault_batch_free(batch);
    rotate(vault, tenant_of(fixture), &job);
    vault_job_done(&job);
    kl_buf_init(&row, 1024);
    assert_int_equal(vault_store_get(vault->data_store, vault_row_slice(&head), &row, NULL),
                     KL_ERR_NOT_FOUND);
    kl_buf_done(&row);
    assert_int_equal(rows_beside(fixture), 0);
}

static enum kl_status finish_fails(void *context, uint64_t generation,
                                   struct kms_request **requests, size_t count, struct kl_err *err)
{
    (void)context;
    (void)generation;
    (void)requests;
    (void)count;
    return kl_fail(err, KL_ERR_UNAVAILABLE, "audit_unavailable", "not now", NULL);
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
    job.tenant = tenant_of(fixture);
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
    struct people people;

    people_make(fixture, &people);
    cut_short(fixture, &hooks);
    assert_true(rows_beside(fixture) > 0);
    fixture_reopen(fixture);
    assert_int_equal(rows_beside(fixture), 0);
    assert_all_read(fixture, &people);
}

static void test_cut_short_after_the_key_commit_it_is_finished_at_the_next_open(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kms_hooks hooks = {
        .context = fixture_vault(fixture), .prepare = stage_only, .finish = finish_fails};
    struct people people;
    struct vault_job job;

    people_make(fixture, &people);
    cut_short(fixture, &hooks);
    fixture_reopen(fixture);
    assert_int_equal(rows_beside(fixture), 0);
    assert_int_equal(fixture_trail(fixture, "\"level\":\"values\""), 2);
    assert_all_read(fixture, &people);
    fixture_reopen(fixture);
    assert_int_equal(fixture_trail(fixture, "\"level\":\"values\""), 2);
    rotate(fixture_vault(fixture), tenant_of(fixture), &job);
    assert_int_equal(result_of(&job, "subjects"), PEOPLE);
    vault_job_done(&job);
    assert_all_read(fixture, &people);
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
        (void)execl("/proc/self/exe", "test_rotation_values", ROTATE_UNTIL_KILLED,
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
    struct people people;
    char tenant[24];
    unsigned times;
    unsigned i;

    people_make(fixture, &people);
    (void)snprintf(tenant, sizeof tenant, "%llu", (unsigned long long)tenant_of(fixture));
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
        assert_int_equal(rows_beside(fixture), 0);
        assert_all_read(fixture, &people);
    }
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        TEST(test_everything_reads_as_before),
        TEST(test_what_was_sealed_before_opens_no_more_and_what_is_sealed_now_did_not_then),
        TEST(test_a_withdrawn_consent_stays_withdrawn),
        TEST(test_rows_that_were_left_beside_bring_nobody_back),
        TEST(test_a_subject_that_does_not_open_is_left_and_counted),
        TEST(test_it_asks_for_a_verified_backup_of_the_last_day),
        TEST(test_asked_for_it_is_done_by_the_upkeep),
        TEST(test_reads_patches_and_an_erasure_go_on_meanwhile),
        TEST(test_cut_short_before_the_key_commit_nothing_has_changed),
        TEST(test_cut_short_after_the_key_commit_it_is_finished_at_the_next_open),
        TEST(test_killed_at_any_moment_nothing_is_lost),
    };

    if (count == 5 && strcmp(arguments[1], ROTATE_UNTIL_KILLED) == 0) {
        return rotate_until_killed(arguments + 2);
    }
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
