/* Rows of what was retained that are of no erasure, and what is removed of a subject. */
#include "tests/support/cut_short.h"
#include "tests/support/retained_fixture.h"

#include "tests/support/test.h"
#include "vault/retained.h"
#include "vault/rows.h"

#include <string.h>

#define ANSWER_BYTES 65536

/* Read by who may, and as it was. */
static void assert_kept(struct vault_fixture *fixture, const struct kl_id *receipt,
                        const struct kl_id *record)
{
    struct vault_caller keeper = fixture_caller(fixture, "keeper");
    struct vault_record_result read = {0};
    struct vault_subject_result as = {.records = &read, .record_count = 1};
    struct vault_hold *holds = NULL;
    size_t count = 0;

    if (vault_retained_read(fixture_vault(fixture), &keeper, receipt, record, NULL, fixture->arena,
                            &read, &holds, &count, &fixture->err) != KL_OK) {
        fail_msg("not read: %s %s", fixture->err.code, fixture->err.log_text);
    }
    assert_true(fixture_value_is(fixture_find(&as, "iban"), "BE68539007547034"));
    vault_caller_done(&keeper);
}

static size_t value_rows(struct vault_fixture *fixture, const struct retained_somebody *of)
{
    struct vault_row_key prefix = vault_row_value(of->tenant, of->slot, 0);
    struct vault_row_key past;
    struct vault_iter *iter = NULL;
    struct kl_slice key;
    struct kl_slice value;
    size_t count = 0;

    prefix.size -= 8;
    past = vault_row_past(&prefix);
    iter = vault_iter_new(fixture_vault(fixture)->data_store, vault_row_slice(&prefix),
                          vault_row_slice(&past), false);
    while (vault_iter_next(iter, &key, &value)) {
        count++;
    }
    vault_iter_free(iter);
    return count;
}

/* Rows beside the keys, as a power cut brings them back whose removal was not synced. */
#define SAVED_MAX 32
struct saved_rows {
    struct kl_buf keys[SAVED_MAX];
    struct kl_buf values[SAVED_MAX];
    size_t count;
};
static struct saved_rows saved;

static enum kl_status save_row(void *context, struct kl_slice key, struct kl_slice value,
                               struct kl_err *err)
{
    (void)context;
    (void)err;
    assert_true(saved.count < SAVED_MAX);
    kl_buf_init(&saved.keys[saved.count], 256);
    kl_buf_init(&saved.values[saved.count], ANSWER_BYTES);
    kl_buf_add(&saved.keys[saved.count], key.bytes, key.size);
    kl_buf_add(&saved.values[saved.count++], value.bytes, value.size);
    return KL_OK;
}

static void save_rows(struct kms *keys)
{
    assert_int_equal(kms_side_range(keys, kl_slice_text("VK"), save_row, NULL, NULL), KL_OK);
    assert_int_equal(kms_side_range(keys, kl_slice_text("VL"), save_row, NULL, NULL), KL_OK);
}

static void put_saved_back(struct kms *keys)
{
    struct kms_storage_write writes[SAVED_MAX];
    size_t i;

    for (i = 0; i < saved.count; i++) {
        writes[i].key = kl_buf_slice(&saved.keys[i]);
        writes[i].value = kl_buf_slice(&saved.values[i]);
    }
    assert_int_equal(kms_side_apply(keys, writes, saved.count, true, NULL), KL_OK);
}

static void forget_saved(void)
{
    while (saved.count > 0) {
        saved.count--;
        kl_buf_done(&saved.keys[saved.count]);
        kl_buf_done(&saved.values[saved.count]);
    }
}

static enum kl_status prepare_saves_and_fails(void *context, struct kms_staged *staged,
                                              uint64_t generation, struct kms_request **requests,
                                              size_t count, struct kl_err *err)
{
    save_rows(((struct vault *)context)->keys);
    return cut_short_prepare(context, staged, generation, requests, count, err);
}

#define HELD 9

/* Somebody with HELD held records; ret has their ids. */
static struct retained_somebody many_held(struct vault_fixture *fixture, struct kl_id ret[HELD])
{
    struct retained_somebody of = retained_somebody_make(fixture);
    struct vault_caller writer = fixture_caller(fixture, "writer");
    const struct vault_field_input field = fixture_field("iban", "BE68 5390 0754 7034");
    const struct vault_record_input input = {.type = "client", .fields = &field, .field_count = 1};
    struct vault_record_result added;
    size_t i;

    ret[0] = of.client;
    for (i = 1; i < HELD; i++) {
        assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, &of.subject, &input,
                                          NULL, fixture->arena, &added, &fixture->err),
                         KL_OK);
        ret[i] = added.id;
    }
    for (i = 0; i < HELD; i++) {
        assert_int_equal(
            retained_hold(fixture, "keeper", &of, &ret[i], "bookkeeping", retained_in_days(30)),
            KL_OK);
    }
    vault_caller_done(&writer);
    return of;
}

/* The erasure of many_held() comes to nothing, and its rows come back. */
static void erase_cut_short(struct vault_fixture *fixture, const struct retained_somebody *of)
{
    struct kms_hooks hooks = {.context = fixture_vault(fixture),
                              .prepare = prepare_saves_and_fails};
    struct kl_buf answer;

    kl_buf_init(&answer, ANSWER_BYTES);
    kms_hooks_set(fixture_vault(fixture)->keys, &hooks);
    assert_int_equal(fixture_try_erase(fixture, "dpo", &of->subject, VAULT_ERASE_REQUEST, &answer),
                     KL_ERR_UNAVAILABLE);
    assert_int_equal(saved.count, HELD + 1);
    fixture_reopen(fixture);
    put_saved_back(fixture_vault(fixture)->keys);
    kl_buf_done(&answer);
}

static void assert_all_kept(struct vault_fixture *fixture, const struct retained_somebody *of,
                            const struct kl_id *receipt, const struct kl_id records[HELD])
{
    size_t i;

    for (i = 0; i < HELD; i++) {
        assert_kept(fixture, receipt, &records[i]);
    }
    assert_int_equal(value_rows(fixture, of), 2 + HELD - 1);
}

static size_t count_prefix(struct vault_fixture *fixture, const char *prefix)
{
    size_t before = saved.count;
    size_t count = 0;

    assert_int_equal(
        kms_side_range(fixture_vault(fixture)->keys, kl_slice_text(prefix), save_row, NULL, NULL),
        KL_OK);
    count = saved.count - before;
    while (saved.count > before) {
        saved.count--;
        kl_buf_done(&saved.keys[saved.count]);
        kl_buf_done(&saved.values[saved.count]);
    }
    return count;
}

static void test_an_erasure_cut_short_and_repeated_keeps_every_held_record(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id records[HELD];
    struct retained_somebody of = many_held(fixture, records);
    struct kl_id receipt;

    erase_cut_short(fixture, &of);
    assert_int_equal(retained_erase(fixture, &of, &receipt, NULL), HELD);
    assert_all_kept(fixture, &of, &receipt, records);
    assert_int_equal(count_prefix(fixture, "VK"), HELD);
    assert_int_equal(count_prefix(fixture, "VL"), 1);
    forget_saved();
}

static void test_rows_that_come_back_after_the_erasure_take_nobodys_place(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kl_id records[HELD];
    struct retained_somebody of = many_held(fixture, records);
    struct kl_arena *arena = kl_arena_new(VAULT_WORK_MAX_BYTES);
    struct vault_retained_line *lines = NULL;
    struct vault_batch *batch = vault_batch_new();
    struct kl_id receipt;
    size_t count = 0;
    size_t lost = 77;

    erase_cut_short(fixture, &of);
    assert_int_equal(retained_erase(fixture, &of, &receipt, NULL), HELD);
    put_saved_back(fixture_vault(fixture)->keys);
    assert_int_equal(vault_retained_lines(fixture_vault(fixture), of.tenant, of.slot, arena, &lines,
                                          &count, &lost, NULL),
                     KL_OK);
    assert_int_equal(count, HELD);
    assert_int_equal(lost, 0);
    assert_true(lines[HELD - 1].opened);
    assert_all_kept(fixture, &of, &receipt, records);

    /* Whoever removes what is left of the subject leaves their values. */
    assert_int_equal(
        vault_subject_rows_remove(fixture_vault(fixture), of.tenant, of.slot, batch, NULL), KL_OK);
    assert_int_equal(vault_store_apply(fixture_vault(fixture)->data_store, batch, true, NULL),
                     KL_OK);
    assert_all_kept(fixture, &of, &receipt, records);

    /* The next open removes the rows, and only those. */
    fixture_reopen(fixture);
    assert_int_equal(count_prefix(fixture, "VK"), HELD);
    assert_int_equal(count_prefix(fixture, "VL"), 1);
    assert_all_kept(fixture, &of, &receipt, records);
    forget_saved();
    vault_batch_free(batch);
    kl_arena_free(arena);
}

static void test_nothing_is_removed_of_whom_a_kept_record_cannot_be_read(void **state)
{
    struct vault_fixture *fixture = *state;
    struct retained_somebody of = retained_somebody_make(fixture);
    struct vault_batch *batch = vault_batch_new();
    struct kms_storage_write write = {.value = kl_slice_text("not a row")};
    struct kl_err err = {0};
    struct kl_id receipt;
    unsigned flip;

    assert_int_equal(
        retained_hold(fixture, "keeper", &of, &of.client, "bookkeeping", retained_in_days(30)),
        KL_OK);
    assert_int_equal(retained_erase(fixture, &of, &receipt, NULL), 1);
    save_rows(fixture_vault(fixture)->keys);
    for (flip = 0; flip < 2; flip++) { /* no row at all; one that does not open */
        write.key = kl_buf_slice(&saved.keys[0]);
        if (flip == 1) {
            saved.values[0].bytes[saved.values[0].size - 1] ^= 1;
            write.value = kl_buf_slice(&saved.values[0]);
        }
        assert_int_equal(kms_side_apply(fixture_vault(fixture)->keys, &write, 1, true, NULL),
                         KL_OK);
        assert_int_equal(
            vault_subject_rows_remove(fixture_vault(fixture), of.tenant, of.slot, batch, &err),
            KL_ERR_CORRUPT);
        assert_string_equal(err.code, "retained_damaged");
        assert_int_equal(vault_batch_count(batch), 0);
        kl_err_clear(&err);
    }
    saved.values[0].bytes[saved.values[0].size - 1] ^= 1;
    put_saved_back(fixture_vault(fixture)->keys);
    assert_kept(fixture, &receipt, &of.client);
    forget_saved();
    vault_batch_free(batch);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, vault_fixture_setup, vault_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_erasure_cut_short_and_repeated_keeps_every_held_record),
        TEST(test_rows_that_come_back_after_the_erasure_take_nobodys_place),
        TEST(test_nothing_is_removed_of_whom_a_kept_record_cannot_be_read),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
