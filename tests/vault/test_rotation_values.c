/* Everything stored about people is sealed anew, and nobody notices but who has the old keys. */
#include "tests/support/values_fixture.h"

#include "tests/support/test.h"
#include "vault/backup.h"
#include "vault/erasure.h"
#include "vault/journal.h"
#include "vault/rotation.h"
#include "vault/rows.h"
#include "vault/values.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COPY "copy"

static void test_everything_reads_as_before(void **state)
{
    struct vault_fixture *fixture = *state;
    struct values_people people;
    struct vault_job job;
    struct vault_caller dpo;
    struct vault_consent_result *consents = NULL;
    size_t count = 0;

    values_people_make(fixture, &people);
    assert_int_equal(values_patch(fixture, &people, 3, "Bo"), KL_OK);
    assert_int_equal(values_patch(fixture, &people, 3, "Ana Maria"), KL_OK);
    values_rotate(fixture_vault(fixture), fixture_tenant(fixture), &job);
    assert_int_equal(values_result(&job, "subjects"), VALUES_PEOPLE);
    assert_int_equal(values_result(&job, "left"), 0);
    vault_job_done(&job);
    assert_int_equal(values_rows_beside(fixture), 0);
    values_assert_all_read(fixture, &people);
    dpo = fixture_caller(fixture, "dpo");
    assert_int_equal(vault_consent_list(fixture_vault(fixture), &dpo, &people.ids[0],
                                        fixture->arena, &consents, &count, NULL),
                     KL_OK);
    vault_caller_done(&dpo);
    assert_int_equal(count, 1);
    assert_string_equal(consents[0].evidence, "ticked the box");
    fixture_reopen(fixture);
    values_assert_all_read(fixture, &people);
    assert_int_equal(values_patch(fixture, &people, 3, "Cas"), KL_OK);
    values_assert_reads(fixture, &people, 3, "Cas");
    fixture_erase(fixture, &people.ids[3]);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "p3@example.org", NULL), 0);
}

static void test_what_was_sealed_before_opens_no_more_and_what_is_sealed_now_did_not_then(
    void **state)
{
    struct vault_fixture *fixture = *state;
    struct values_people people;
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

    values_people_make(fixture, &people);
    place.tenant = fixture_tenant(fixture);
    place.slot = fixture_slot(fixture, &people.ids[0]);
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

    values_rotate(fixture_vault(fixture), place.tenant, &job);
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
    assert_int_equal(i, VALUES_PEOPLE + 1);
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
    values_rotate(fixture_vault(fixture), fixture_tenant(fixture), &job);
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
    values_rotate(fixture_vault(fixture), fixture_tenant(fixture), &job);
    assert_int_equal(values_result(&job, "subjects"), 1);
    assert_int_equal(values_result(&job, "left"), 1);
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
    struct values_people people;
    struct vault_caller operator;
    struct kl_json *json = NULL;
    struct kl_buf text;
    struct kl_id id;

    values_people_make(fixture, &people);
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
    values_assert_all_read(fixture, &people);
    kl_buf_done(&text);
}

/* ---- beside other work ---- */

struct work {
    struct vault_fixture *fixture;
    const struct values_people *people;
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

        values_email(i, email);
        if (status != KL_OK || !fixture_value_is(fixture_find(&read, "email"), email)) {
            print_error("read %zu: %d %s %s\n", i, (int)status, err.code, err.log_text);
            work->failed++;
        }
        work->done++;
        kl_arena_reset(arena);
        i = (i + 1) % (VALUES_PEOPLE - 1);
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
        i = (i + 1) % (VALUES_PEOPLE - 1);
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
                            &work->people->ids[VALUES_PEOPLE - 1], VAULT_ERASE_REQUEST, &receipt,
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
    struct values_people people;
    struct work works[3];
    pthread_t threads[3];
    atomic_bool ended = false;
    struct vault_subject_result read = {0};
    struct vault_job job;
    size_t times;
    size_t i;

    values_people_make(fixture, &people);
    for (i = 0; i < 3; i++) {
        memset(&works[i], 0, sizeof works[i]);
        works[i].fixture = fixture;
        works[i].people = &people;
        works[i].caller = fixture_caller(fixture, roles[i]);
        works[i].ended = &ended;
        assert_int_equal(pthread_create(&threads[i], NULL, bodies[i], &works[i]), 0);
    }
    for (times = 0; times < 3; times++) {
        values_rotate(fixture_vault(fixture), works[0].caller.tenant, &job);
        assert_int_equal(values_result(&job, "left"), 0);
        vault_job_done(&job);
    }
    atomic_store(&ended, true);
    for (i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(works[i].failed, 0);
        vault_caller_done(&works[i].caller);
    }
    assert_true(works[0].done > 0 && works[1].done > 0);
    for (i = 0; i < VALUES_PEOPLE - 1; i++) {
        assert_int_equal(fixture_read(fixture, "reader", &people.ids[i], "mailing", &read), KL_OK);
        kl_arena_reset(fixture->arena);
    }
    assert_int_equal(
        fixture_read(fixture, "reader", &people.ids[VALUES_PEOPLE - 1], "mailing", &read),
        KL_ERR_NOT_FOUND);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_everything_reads_as_before),
        TEST(test_what_was_sealed_before_opens_no_more_and_what_is_sealed_now_did_not_then),
        TEST(test_a_withdrawn_consent_stays_withdrawn),
        TEST(test_a_subject_that_does_not_open_is_left_and_counted),
        TEST(test_it_asks_for_a_verified_backup_of_the_last_day),
        TEST(test_asked_for_it_is_done_by_the_upkeep),
        TEST(test_reads_patches_and_an_erasure_go_on_meanwhile),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
