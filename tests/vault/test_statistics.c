/* Statistics that outlive an erasure: waiting, publishing, cut short in any place, after an older data/, and at the end of a tenant. */
#include "vault/statistics.h"

#include "kluis/base/time.h"
#include "tests/support/tenant_fixture.h"
#include "tests/support/test.h"
#include "vault/erasure.h"
#include "vault/side.h"
#include "vault/tenants.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINIMUM 3
#define POLICY_TEXT_BYTES 8192
#define STEPS 80
#define SEED 20230802u
#define BELGIAN "BE68539007547034"
#define DUTCH "NL91ABNA0417164300"

static int setup(void **state)
{
    struct vault_fixture *fixture = NULL;
    char policy[POLICY_TEXT_BYTES];

    assert_int_equal(vault_fixture_setup(state), 0);
    fixture = *state;
    (void)snprintf(
        policy, sizeof policy,
        "%son_erase: { keep_statistics: [client.iban: country, newsletter.email: count], "
        "minimum: %d }\n",
        vault_policy_text, MINIMUM);
    (void)admin_apply(fixture->admin, policy);
    return 0;
}

/* ---- people ---- */

static unsigned made;

static struct vault_subject_result person(struct vault_fixture *fixture, const char *iban)
{
    char email[64];
    struct vault_field_input fields[2];
    struct vault_record_input record = {.type = "client", .fields = fields, .field_count = 2};
    struct vault_subject_input input = {.records = &record, .record_count = 1};
    struct vault_subject_result result = {0};
    struct vault_caller caller = fixture_caller(fixture, "writer");

    (void)snprintf(email, sizeof email, "c%u@example.org", made++);
    fields[0] = fixture_field("email", email);
    fields[1] = fixture_field("iban", iban);
    if (vault_subject_create(fixture_vault(fixture), &caller, &input, NULL, fixture->arena, &result,
                             &fixture->err) != KL_OK) {
        fail_msg("not made: %s", fixture->err.code);
    }
    vault_caller_done(&caller);
    return result;
}

static void come_and_go(struct vault_fixture *fixture, const char *iban, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        struct vault_subject_result result = person(fixture, iban);

        fixture_erase(fixture, &result.id);
    }
}

/* ---- publishing and reading ---- */

static enum kl_status publish_in(struct vault_fixture *fixture, int days)
{
    kl_err_clear(&fixture->err);
    return vault_statistics_task.run(fixture_vault(fixture),
                                     kl_time_now_us() + days * KL_TIME_DAY_US, &fixture->err);
}

static struct vault_caller caller_of(struct vault_fixture *fixture, bool of_operator)
{
    struct vault_token token;
    struct kl_id id;

    if (of_operator) {
        return admin_operator(fixture->admin);
    }
    token = admin_make(fixture->admin, "auditor", &id);
    return admin_caller(fixture->admin, &token, NULL);
}

/* Of one field: all people, or those of one value; every count that is shown is of enough. ended NULL: of "default". */
static uint64_t people(struct vault_fixture *fixture, const char *ended, const char *field,
                       const char *value)
{
    struct vault_caller caller = caller_of(fixture, ended != NULL);
    const struct vault_statistics_query query = {
        .field = field, .ended = ended, .limit = VAULT_PAGE_MAX};
    struct kl_arena *arena = kl_arena_new(1024 * 1024);
    struct vault_statistics_cell *cells = NULL;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    uint64_t sum = 0;
    size_t count = 0;
    size_t i;

    if (vault_statistics_read(fixture_vault(fixture), &caller, &query, arena, &cells, &count,
                              cursor, &fixture->err) != KL_OK) {
        fail_msg("not read: %s %s", fixture->err.code, fixture->err.log_text);
    }
    assert_string_equal(cursor, "");
    for (i = 0; i < count; i++) {
        assert_true(cells[i].people >= MINIMUM);
        if (value == NULL || (cells[i].value != NULL && strcmp(cells[i].value, value) == 0)) {
            sum += cells[i].people;
        }
    }
    kl_arena_free(arena);
    vault_caller_done(&caller);
    return sum;
}

static uint64_t clients(struct vault_fixture *fixture)
{
    return people(fixture, NULL, "client.iban", NULL);
}

static enum kl_status count_row(void *visitor, struct kl_slice key, struct kl_slice value,
                                struct kl_err *err)
{
    (void)key;
    (void)value;
    (void)err;
    (*(size_t *)visitor)++;
    return KL_OK;
}

static size_t rows(struct vault_fixture *fixture, const char *kind)
{
    size_t count = 0;

    assert_int_equal(
        kms_side_range(fixture_vault(fixture)->keys, kl_slice_text(kind), count_row, &count, NULL),
        KL_OK);
    return count;
}

/* ---- waiting ---- */

static void test_they_wait_a_month_and_are_published_together(void **state)
{
    struct vault_fixture *fixture = *state;

    come_and_go(fixture, BELGIAN, 4);
    come_and_go(fixture, DUTCH, 3);
    assert_int_equal(rows(fixture, "VG"), 7);
    assert_int_equal(rows(fixture, "VC"), 1);
    assert_int_equal(publish_in(fixture, 29), KL_OK);
    assert_int_equal(clients(fixture), 0);
    assert_int_equal(rows(fixture, "VG"), 7);
    assert_int_equal(publish_in(fixture, 30), KL_OK);
    assert_int_equal(people(fixture, NULL, "client.iban", "BE"), 4);
    assert_int_equal(people(fixture, NULL, "client.iban", "NL"), 3);
    assert_int_equal(clients(fixture), 7);
    assert_int_equal(rows(fixture, "VG") + rows(fixture, "VC"), 0);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"statistics_publish\""), 1);
    assert_int_equal(fixture_trail(fixture, "\"published\":1,\"too_few\":0"), 1);
    fixture_reopen(fixture);
    assert_int_equal(clients(fixture), 7);
    assert_int_equal(publish_in(fixture, 90), KL_OK);
    assert_int_equal(clients(fixture), 7);
}

static void test_too_few_are_dropped_and_that_is_said(void **state)
{
    struct vault_fixture *fixture = *state;

    come_and_go(fixture, BELGIAN, 2);
    assert_int_equal(publish_in(fixture, 30), KL_OK);
    assert_int_equal(clients(fixture), 0);
    assert_int_equal(rows(fixture, "VG") + rows(fixture, "VC") + rows(fixture, "VT"), 0);
    assert_int_equal(fixture_trail(fixture, "\"published\":0,\"too_few\":1"), 1);
    come_and_go(fixture, BELGIAN, 1);
    assert_int_equal(publish_in(fixture, 60), KL_OK); /* not with those of before */
    assert_int_equal(clients(fixture), 0);
}

struct kept_row {
    struct kl_id row;
    uint64_t cohort;
    struct kl_buf value;
};

static enum kl_status keep_row(void *visitor, struct kl_slice key, struct kl_slice value,
                               struct kl_err *err)
{
    struct kept_row *kept = visitor;

    (void)err;
    kept->cohort = kl_get_u64be(key.bytes + 10);
    memcpy(kept->row.bytes, key.bytes + 18, KL_ID_BYTES);
    kl_buf_clear(&kept->value);
    kl_buf_add(&kept->value, value.bytes, value.size);
    return KL_OK;
}

static enum kl_status open_kept(struct vault_fixture *fixture, const struct kept_row *kept,
                                struct vault_given *ret)
{
    const struct kms_place place = {fixture_tenant(fixture), kept->cohort, KMS_VALUE_NONE};
    struct kl_buf context;
    struct kl_buf plain;
    struct kl_slice text;
    enum kl_status status;

    kl_buf_init(&context, 64);
    kl_buf_init(&plain, 65536);
    kl_buf_add_text(&context, "given to statistics");
    kl_buf_add(&context, kept->row.bytes, KL_ID_BYTES);
    status = kms_unseal(fixture_vault(fixture)->keys, &place, kl_buf_slice(&context),
                        kl_slice_of(kept->value.bytes + 2, kept->value.size - 2), &plain, NULL);
    if (status == KL_OK) {
        assert_int_equal(vault_unpad(kl_buf_slice(&plain), &text, NULL), KL_OK);
        assert_int_equal(vault_given_decode(text, ret, NULL), KL_OK);
    }
    kl_buf_done(&context);
    kl_buf_done(&plain);
    return status;
}

static void test_who_kept_every_row_reads_none_of_them_once_it_is_published(void **state)
{
    struct vault_fixture *fixture = *state;
    struct kept_row kept = {.cohort = 0};
    struct vault_given given;

    come_and_go(fixture, BELGIAN, 3);
    kl_buf_init(&kept.value, 65536);
    assert_int_equal(
        kms_side_range(fixture_vault(fixture)->keys, kl_slice_text("VG"), keep_row, &kept, NULL),
        KL_OK);
    assert_int_equal(open_kept(fixture, &kept, &given), KL_OK);
    assert_string_equal(given.items[0].field, "client.iban");
    assert_string_equal(given.items[0].value, "BE");
    assert_int_equal(given.count, 1); /* nothing else of the person */
    assert_int_equal(publish_in(fixture, 30), KL_OK);
    assert_int_equal(open_kept(fixture, &kept, &given), KL_ERR_GONE);
    kl_buf_done(&kept.value);
}

/* The status of reading what is kept; err in the fixture. */
static enum kl_status read_as(struct vault_fixture *fixture, struct vault_caller caller,
                              const char *purpose)
{
    const struct vault_statistics_query query = {.purpose = purpose, .limit = VAULT_PAGE_MAX};
    struct vault_statistics_cell *cells = NULL;
    char cursor[VAULT_CURSOR_MAX_BYTES + 1];
    size_t count = 0;
    enum kl_status status = KL_OK;

    kl_err_clear(&fixture->err);
    status = vault_statistics_read(fixture_vault(fixture), &caller, &query, fixture->arena, &cells,
                                   &count, cursor, &fixture->err);
    vault_caller_done(&caller);
    return status;
}

static void test_a_credential_for_several_purposes_names_one(void **state)
{
    static const char *const purposes[] = {"mailing", "service"};
    struct vault_fixture *fixture = *state;
    const struct vault_credential_input input = {
        .role = "officer", .purposes = purposes, .purpose_count = 2, .expires_in = "P1D"};
    struct vault_caller steward = admin_steward(fixture->admin);
    struct vault_credential_result made_of;
    struct vault_token token;

    assert_int_equal(vault_credential_create(fixture_vault(fixture), &steward, &input, NULL, &token,
                                             &made_of, &fixture->err),
                     KL_OK);
    vault_caller_done(&steward);
    assert_int_equal(read_as(fixture, admin_caller(fixture->admin, &token, NULL), NULL),
                     KL_ERR_INVALID);
    assert_string_equal(fixture->err.code, "purpose_required");
    assert_int_equal(read_as(fixture, admin_caller(fixture->admin, &token, NULL), "service"),
                     KL_OK);
    assert_int_equal(read_as(fixture, fixture_caller(fixture, "officer"), NULL), KL_OK);
}

static void test_they_are_not_for_a_person_about_all(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result someone = person(fixture, DUTCH);

    assert_int_equal(
        read_as(fixture, fixture_caller_with(fixture, "officer", NULL, NULL, &someone.id), NULL),
        KL_ERR_FORBIDDEN);
    assert_string_equal(fixture->err.code, "role_forbidden");
}

static void test_one_person_is_one_however_many_records_go(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result news = fixture_newsletter(fixture, "n@example.org", false);
    struct vault_caller dpo = fixture_caller(fixture, "dpo");
    struct vault_caller writer = fixture_caller(fixture, "writer");
    struct vault_field_input field = fixture_field("email", "m@example.org");
    const struct vault_record_input input = {
        .type = "newsletter", .fields = &field, .field_count = 1};
    int i;

    for (i = 0; i < 2 * MINIMUM; i++) {
        struct vault_record_result record = {0};
        struct kl_buf receipt;

        kl_buf_init(&receipt, 65536);
        assert_int_equal(vault_record_add(fixture_vault(fixture), &writer, &news.id, &input, NULL,
                                          fixture->arena, &record, &fixture->err),
                         KL_OK);
        assert_int_equal(vault_record_erase(fixture_vault(fixture), &dpo, &news.id, &record.id,
                                            VAULT_ERASE_REQUEST, &receipt, &fixture->err),
                         KL_OK);
        kl_buf_done(&receipt);
    }
    vault_caller_done(&dpo);
    vault_caller_done(&writer);
    fixture_erase(fixture, &news.id);
    assert_int_equal(rows(fixture, "VG"), 2 * MINIMUM + 1);
    assert_int_equal(publish_in(fixture, 30), KL_OK);
    assert_int_equal(people(fixture, NULL, "newsletter.email", NULL), 0);
}

/* ---- an older data/ ---- */

static void test_an_older_data_takes_nothing_from_the_counts(void **state)
{
    struct vault_fixture *fixture = *state;

    come_and_go(fixture, BELGIAN, 2);
    fixture_copy(fixture);
    come_and_go(fixture, BELGIAN, 1);
    assert_int_equal(publish_in(fixture, 30), KL_OK);
    come_and_go(fixture, DUTCH, 3);
    fixture_put_back_data(fixture);
    assert_int_equal(clients(fixture), 3);
    assert_int_equal(publish_in(fixture, 61), KL_OK);
    assert_int_equal(clients(fixture), 6);
}

/* ---- cut short ---- */

static enum kl_status fails(struct kl_err *err)
{
    return kl_fail(err, KL_ERR_UNAVAILABLE, "cut_short", "not now", NULL);
}

static enum kl_status prepare_fails(void *context, struct kms_staged *staged, uint64_t generation,
                                    struct kms_request **requests, size_t count, struct kl_err *err)
{
    (void)context;
    (void)staged;
    (void)generation;
    (void)requests;
    (void)count;
    return fails(err);
}

static enum kl_status finish_fails(void *context, uint64_t generation,
                                   struct kms_request **requests, size_t count, struct kl_err *err)
{
    (void)context;
    (void)generation;
    (void)requests;
    (void)count;
    return fails(err);
}

static void before_the_commit(struct vault_fixture *fixture)
{
    const struct kms_hooks hooks = {.context = fixture_vault(fixture), .prepare = prepare_fails};

    kms_hooks_set(fixture_vault(fixture)->keys, &hooks);
}

static void after_the_commit(struct vault_fixture *fixture)
{
    const struct kms_hooks hooks = {.context = fixture_vault(fixture), .finish = finish_fails};

    kms_hooks_set(fixture_vault(fixture)->keys, &hooks);
}

static enum kl_status try_erase(struct vault_fixture *fixture, const struct kl_id *subject)
{
    struct kl_buf receipt;
    enum kl_status status;

    kl_buf_init(&receipt, 65536);
    status = fixture_try_erase(fixture, "dpo", subject, VAULT_ERASE_REQUEST, &receipt);
    kl_buf_done(&receipt);
    return status;
}

static void test_an_erasure_that_failed_gives_nothing_and_once_done_counts_once(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result late = person(fixture, BELGIAN);

    come_and_go(fixture, BELGIAN, 2);
    before_the_commit(fixture);
    assert_int_equal(try_erase(fixture, &late.id), KL_ERR_UNAVAILABLE);
    assert_int_equal(rows(fixture, "VG"), 2);
    vault_erasure_hooks_set(fixture_vault(fixture));
    assert_int_equal(try_erase(fixture, &late.id), KL_OK);
    assert_int_equal(publish_in(fixture, 30), KL_OK);
    assert_int_equal(clients(fixture), 3);
}

static void test_an_erasure_whose_end_was_cut_short_counts_once(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result late = person(fixture, BELGIAN);

    come_and_go(fixture, BELGIAN, 2);
    after_the_commit(fixture);
    assert_int_equal(try_erase(fixture, &late.id), KL_ERR_UNAVAILABLE);
    fixture_reopen(fixture);
    assert_int_equal(rows(fixture, "VG"), 3);
    assert_int_equal(publish_in(fixture, 30), KL_OK);
    assert_int_equal(clients(fixture), 3);
    fixture_reopen(fixture);
    assert_int_equal(clients(fixture), 3);
}

/* All rows of the keys, put back later: as a power failure leaves what was not synced. */
static struct vault_batch *keys_kept(struct vault_fixture *fixture)
{
    struct vault_batch *batch = vault_batch_new();
    struct vault_iter *iter = vault_iter_new(fixture_vault(fixture)->keys_store, kl_slice_of("", 0),
                                             kl_slice_of("", 0), false);
    struct kl_slice key;
    struct kl_slice value;

    assert_non_null(batch);
    assert_non_null(iter);
    while (vault_iter_next(iter, &key, &value)) {
        vault_batch_put(batch, key, value);
    }
    assert_int_equal(vault_iter_status(iter, NULL), KL_OK);
    vault_iter_free(iter);
    return batch;
}

static void test_an_acknowledged_erasure_counts_after_a_power_failure(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result late = person(fixture, BELGIAN);
    struct vault_batch *kept = NULL;

    come_and_go(fixture, BELGIAN, 2);
    after_the_commit(fixture);
    assert_int_equal(try_erase(fixture, &late.id), KL_ERR_UNAVAILABLE);
    kept = keys_kept(fixture);
    assert_int_equal(
        vault_erasure_notes_finish(fixture_vault(fixture), UINT64_MAX, NULL, &fixture->err), KL_OK);
    assert_int_equal(vault_store_apply(fixture_vault(fixture)->keys_store, kept, true, NULL),
                     KL_OK);
    vault_batch_free(kept);
    fixture_reopen(fixture);
    assert_int_equal(rows(fixture, "VG"), 3);
    assert_int_equal(publish_in(fixture, 30), KL_OK);
    assert_int_equal(clients(fixture), 3);
}

static void test_an_erasure_without_its_end_is_published_once_all_the_same(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result late = person(fixture, BELGIAN);

    come_and_go(fixture, BELGIAN, 2);
    after_the_commit(fixture);
    assert_int_equal(try_erase(fixture, &late.id), KL_ERR_UNAVAILABLE);
    vault_erasure_hooks_set(fixture_vault(fixture));
    assert_int_equal(publish_in(fixture, 30), KL_OK);
    assert_int_equal(clients(fixture), 3);
    fixture_reopen(fixture); /* where the note comes again */
    assert_int_equal(clients(fixture), 3);
    assert_int_equal(rows(fixture, "VG"), 0);
}

static void test_a_publication_that_failed_leaves_nothing_that_opens(void **state)
{
    struct vault_fixture *fixture = *state;
    unsigned char key[18] = "VT";
    struct kept_row kept = {.cohort = 0};
    struct kms_place place = {KMS_TENANT_VAULT, 0, KMS_VALUE_NONE};

    come_and_go(fixture, BELGIAN, 3);
    before_the_commit(fixture);
    assert_int_equal(publish_in(fixture, 30), KL_ERR_UNAVAILABLE);
    assert_int_equal(clients(fixture), 0);
    assert_int_equal(rows(fixture, "VT"), 1);
    kl_buf_init(&kept.value, 65536);
    kl_put_u64be(key + 2, fixture_tenant(fixture));
    assert_int_equal(
        kms_side_range(fixture_vault(fixture)->keys, kl_slice_of(key, 10), keep_row, &kept, NULL),
        KL_OK);
    place.slot = kept.cohort; /* the publication's number stands where a cohort's does */
    assert_int_equal(kms_place_check(fixture_vault(fixture)->keys, &place, NULL), KL_OK);
    fixture_reopen(fixture);
    come_and_go(fixture, DUTCH, 3); /* in another cohort: that one was closed */
    assert_int_equal(rows(fixture, "VC"), 2);
    assert_int_equal(publish_in(fixture, 1), KL_OK);
    assert_int_equal(people(fixture, NULL, "client.iban", "BE"), 3);
    assert_int_equal(clients(fixture), 3);
    assert_int_equal(kms_place_check(fixture_vault(fixture)->keys, &place, NULL), KL_ERR_GONE);
    assert_int_equal(rows(fixture, "VT"), 1);
    kl_buf_done(&kept.value);
}

#define TRIES 70

static void test_a_publication_that_failed_for_an_hour_leaves_one_and_counts_once(void **state)
{
    struct vault_fixture *fixture = *state;
    int i;

    come_and_go(fixture, BELGIAN, 3);
    before_the_commit(fixture);
    for (i = 0; i < TRIES; i++) {
        assert_int_equal(publish_in(fixture, 30), KL_ERR_UNAVAILABLE);
    }
    assert_int_equal(rows(fixture, "VT"), 1);
    vault_erasure_hooks_set(fixture_vault(fixture));
    assert_int_equal(publish_in(fixture, 30), KL_OK);
    assert_int_equal(clients(fixture), 3);
    assert_int_equal(rows(fixture, "VT"), 1);
}

/* The one row of that kind again, under slots of the vault's own. */
static void multiply(struct vault_fixture *fixture, size_t count)
{
    struct kms *keys = fixture_vault(fixture)->keys;
    unsigned char key[20] = "VT";
    struct kms_storage_write copy = {.key = kl_slice_of(key, sizeof key)};
    struct kept_row kept = {.cohort = 0};
    uint64_t number = 0;
    size_t i;

    kl_buf_init(&kept.value, 65536);
    assert_int_equal(kms_side_range(keys, kl_slice_text("VT"), keep_row, &kept, NULL), KL_OK);
    kl_put_u64be(key + 2, fixture_tenant(fixture));
    copy.value = kl_buf_slice(&kept.value);
    for (i = 0; i < count; i++) {
        assert_int_equal(kms_slot_take(keys, KMS_TENANT_VAULT, 1, &number, NULL), KL_OK);
        kl_put_u64be(key + 10, number);
        assert_int_equal(kms_side_apply(keys, &copy, 1, false, NULL), KL_OK);
    }
    kl_buf_done(&kept.value);
}

static void test_however_many_failed_publications_there_are_none_is_left(void **state)
{
    struct vault_fixture *fixture = *state;

    come_and_go(fixture, BELGIAN, 3);
    before_the_commit(fixture);
    assert_int_equal(publish_in(fixture, 30), KL_ERR_UNAVAILABLE);
    vault_erasure_hooks_set(fixture_vault(fixture));
    multiply(fixture, 2 * TRIES);
    assert_int_equal(rows(fixture, "VT"), 1 + 2 * TRIES);
    assert_int_equal(publish_in(fixture, 30), KL_OK);
    assert_int_equal(clients(fixture), 3);
    assert_int_equal(rows(fixture, "VT"), 1);
}

static void test_a_publication_whose_end_was_cut_short_counts_once(void **state)
{
    struct vault_fixture *fixture = *state;

    come_and_go(fixture, BELGIAN, 3);
    after_the_commit(fixture);
    assert_int_equal(publish_in(fixture, 30), KL_ERR_UNAVAILABLE);
    assert_int_equal(clients(fixture), 3);
    fixture_reopen(fixture);
    assert_int_equal(rows(fixture, "VG") + rows(fixture, "VC"), 0);
    assert_int_equal(fixture_trail(fixture, "\"action\":\"statistics_publish\""), 1);
    assert_int_equal(publish_in(fixture, 60), KL_OK);
    assert_int_equal(clients(fixture), 3);
}

/*
 * Any order of erasures, publications and starts, each done or cut short before or after its commit: what is published is always what a simple
 * count says.
 */
static void test_in_any_order_and_cut_short_anywhere_everybody_counts_once(void **state)
{
    struct vault_fixture *fixture = *state;
    uint64_t waiting = 0;
    uint64_t published = 0;
    int days = 0;
    int step;

    srand(SEED);
    for (step = 0; step < STEPS; step++) {
        int cut = rand() % 4; /* 0 before, 1 after, else not at all */
        bool publishes = rand() % 5 == 0;
        enum kl_status status = KL_OK;
        struct vault_subject_result somebody = {0};

        if (!publishes) {
            somebody = person(fixture, rand() % 2 == 0 ? BELGIAN : DUTCH);
        }
        if (cut == 0) {
            before_the_commit(fixture);
        } else if (cut == 1) {
            after_the_commit(fixture);
        }
        days += publishes ? 31 : 0;
        status = publishes ? publish_in(fixture, days) : try_erase(fixture, &somebody.id);
        if (cut <= 1) {
            assert_true(status == KL_ERR_UNAVAILABLE || (publishes && waiting == 0));
        } else {
            assert_int_equal(status, KL_OK);
        }
        if (cut != 0 && publishes) {
            published += waiting >= MINIMUM ? waiting : 0;
            waiting = 0;
        } else if (cut == 0 && publishes && waiting > 0) { /* closed: on its own from now on */
            fixture_reopen(fixture);
            assert_int_equal(publish_in(fixture, days), KL_OK);
            published += waiting >= MINIMUM ? waiting : 0;
            waiting = 0;
        } else if (cut != 0) {
            waiting++;
        }
        if (cut <= 1 || rand() % 10 == 0) {
            fixture_reopen(fixture);
        }
        assert_int_equal(clients(fixture), published);
        assert_int_equal(rows(fixture, "VG"), waiting);
    }
    assert_true(published > 0);
}

/* ---- many ---- */

#define MANY 70000

/* Rows of somebody's, under a cohort that is not there any more. */
static void rows_fill(struct vault_fixture *fixture, size_t count)
{
    struct kms *keys = fixture_vault(fixture)->keys;
    static const unsigned char row[64] = {1, 1};
    size_t i;

    for (i = 0; i < count; i++) {
        unsigned char key[34] = "VG";
        const struct kms_storage_write write = {.key = kl_slice_of(key, sizeof key),
                                                .value = kl_slice_of(row, sizeof row)};

        kl_put_u64be(key + 2, fixture_tenant(fixture));
        kl_put_u64be(key + 10, 1u << 20);
        kl_put_u64be(key + 18, i);
        assert_int_equal(kms_side_apply(keys, &write, 1, false, NULL), KL_OK);
    }
}

static void test_any_number_of_rows_that_do_not_count_goes_at_open(void **state)
{
    struct vault_fixture *fixture = *state;

    come_and_go(fixture, BELGIAN, 3);
    rows_fill(fixture, MANY);
    assert_int_equal(rows(fixture, "VG"), MANY + 3);
    fixture_reopen(fixture);
    assert_int_equal(rows(fixture, "VG"), 3);
    assert_int_equal(publish_in(fixture, 30), KL_OK);
    assert_int_equal(clients(fixture), 3);
}

static void test_a_range_of_any_size_is_forgotten_and_nothing_beside_it(void **state)
{
    static const size_t counts[] = {0, 1, 1023, 1024, 1025, 3000};
    struct vault_fixture *fixture = *state;
    unsigned char prefix[18] = "VG";
    size_t i;

    come_and_go(fixture, BELGIAN, 3);
    kl_put_u64be(prefix + 2, fixture_tenant(fixture));
    kl_put_u64be(prefix + 10, 1u << 20);
    for (i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        rows_fill(fixture, counts[i]);
        assert_int_equal(rows(fixture, "VG"), counts[i] + 3);
        assert_int_equal(vault_side_forget(fixture_vault(fixture),
                                           kl_slice_of(prefix, sizeof prefix), &fixture->err),
                         KL_OK);
        assert_int_equal(rows(fixture, "VG"), 3);
    }
}

/* ---- at the same time ---- */

#define THREADS 3
#define ERASED_BY_EACH 12

struct eraser {
    struct vault_fixture *fixture;
    struct vault_caller caller;
    struct kl_id subjects[ERASED_BY_EACH];
};

static void *erase_all(void *context)
{
    struct eraser *eraser = context;
    size_t i;

    for (i = 0; i < ERASED_BY_EACH; i++) {
        struct kl_err err = {0};
        struct kl_buf receipt;

        kl_buf_init(&receipt, 65536);
        if (vault_subject_erase(fixture_vault(eraser->fixture), &eraser->caller,
                                &eraser->subjects[i], VAULT_ERASE_REQUEST, &receipt,
                                &err) != KL_OK) {
            abort();
        }
        kl_buf_done(&receipt);
    }
    return NULL;
}

static void test_who_is_erased_while_others_are_published_counts_once(void **state)
{
    struct vault_fixture *fixture = *state;
    struct eraser erasers[THREADS];
    pthread_t threads[THREADS];
    uint64_t dropped = 0;
    uint64_t counted = 0;
    int days = 0;
    size_t i;
    size_t k;

    for (i = 0; i < THREADS; i++) {
        erasers[i].fixture = fixture;
        erasers[i].caller = fixture_caller(fixture, "dpo");
        for (k = 0; k < ERASED_BY_EACH; k++) {
            erasers[i].subjects[k] = person(fixture, BELGIAN).id;
        }
    }
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, erase_all, &erasers[i]), 0);
    }
    for (days = 31; days < 31 * 20; days += 31) {
        assert_int_equal(publish_in(fixture, days), KL_OK);
    }
    for (i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
        vault_caller_done(&erasers[i].caller);
    }
    assert_int_equal(publish_in(fixture, days), KL_OK);
    assert_int_equal(rows(fixture, "VG") + rows(fixture, "VC"), 0);
    dropped = fixture_trail(fixture, "\"too_few\":1");
    counted = clients(fixture);
    assert_true(counted <= THREADS * ERASED_BY_EACH);
    assert_true(counted + dropped * (MINIMUM - 1) >= THREADS * ERASED_BY_EACH);
}

/* ---- the end of a tenant ---- */

static void test_a_tenants_end_counts_who_waits_and_who_is_there(void **state)
{
    struct vault_fixture *fixture = *state;
    int i;

    come_and_go(fixture, BELGIAN, 2);
    for (i = 0; i < 3; i++) {
        (void)person(fixture, BELGIAN);
    }
    assert_int_equal(tenant_end(fixture, "default", NULL, NULL), KL_OK);
    assert_int_equal(people(fixture, "default", "client.iban", "BE"), 5);
    assert_int_equal(people(fixture, "another", "client.iban", NULL), 0);
    assert_int_equal(
        admin_trail_count(fixture->admin, true, "\"statistics\":1,\"statistics_too_few\":0"), 1);
    assert_int_equal(rows(fixture, "VG") + rows(fixture, "VC"), 0);
    admin_reopen(fixture->admin);
    assert_int_equal(people(fixture, "default", "client.iban", "BE"), 5);
}

static void test_an_end_that_failed_is_forgotten_by_the_next(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault_subject_result leaves = person(fixture, BELGIAN);
    int i;

    for (i = 0; i < 3; i++) {
        (void)person(fixture, DUTCH);
    }
    before_the_commit(fixture);
    assert_int_equal(tenant_end(fixture, "default", NULL, NULL), KL_ERR_UNAVAILABLE);
    assert_int_equal(rows(fixture, "VT"), 1);
    vault_erasure_hooks_set(fixture_vault(fixture));
    assert_int_equal(clients(fixture), 0);
    fixture_erase(fixture, &leaves.id);               /* whoever enters is let in again */
    assert_int_equal(publish_in(fixture, 30), KL_OK); /* the leftover is noise from now on */
    assert_int_equal(clients(fixture), 0);
    assert_int_equal(rows(fixture, "VT"), 0);
    assert_int_equal(tenant_end(fixture, "default", NULL, NULL), KL_OK);
    assert_int_equal(people(fixture, "default", "client.iban", NULL), 3);
    assert_int_equal(rows(fixture, "VT"), 1);
}

static void test_an_end_that_was_cut_short_after_its_commit_counts_once(void **state)
{
    struct vault_fixture *fixture = *state;
    int i;

    for (i = 0; i < 3; i++) {
        (void)person(fixture, DUTCH);
    }
    after_the_commit(fixture);
    assert_int_equal(tenant_end(fixture, "default", NULL, NULL), KL_ERR_UNAVAILABLE);
    admin_reopen(fixture->admin);
    assert_int_equal(people(fixture, "default", "client.iban", NULL), 3);
}

/* Cohorts of tenants that are not there: as many as there may be. */
static void cohorts_fill(struct vault_fixture *fixture)
{
    struct kms *keys = fixture_vault(fixture)->keys;
    unsigned char row[10] = {1};
    uint64_t i;

    kl_put_u64be(row + 1, (uint64_t)kl_time_now_us());
    for (i = 0; i < VAULT_COHORTS_MAX; i++) {
        unsigned char key[18] = "VC";
        const struct kms_storage_write write = {.key = kl_slice_of(key, sizeof key),
                                                .value = kl_slice_of(row, sizeof row)};

        kl_put_u64be(key + 2, 1000 + i);
        kl_put_u64be(key + 10, 1000 + i);
        assert_int_equal(kms_side_apply(keys, &write, 1, false, NULL), KL_OK);
    }
}

static void test_a_tenant_ends_though_its_statistics_cannot_be_written(void **state)
{
    struct vault_fixture *fixture = *state;
    int i;

    for (i = 0; i < 3; i++) {
        (void)person(fixture, DUTCH);
    }
    cohorts_fill(fixture);
    fixture_reopen(fixture);
    assert_int_equal(tenant_end(fixture, "default", NULL, NULL), KL_OK);
    assert_int_equal(tenant_number(fixture, "default"), 0);
    assert_int_equal(people(fixture, "default", "client.iban", NULL), 0);
    assert_int_equal(rows(fixture, "VT"), 0);
    assert_int_equal(
        admin_trail_count(fixture->admin, true, "\"statistics\":0,\"statistics_too_few\":0"), 1);
}

#define CROWD 400

static void *end_tenant(void *context)
{
    struct vault_fixture *fixture = context;
    struct vault_caller chief = admin_operator(fixture->admin);
    struct kl_err err = {0};
    struct kl_buf receipt;
    int64_t ends_us = 0;

    kl_buf_init(&receipt, TENANT_RECEIPT_BYTES);
    if (vault_tenant_end(fixture_vault(fixture), &chief, "default", &receipt, &ends_us, &err) !=
        KL_OK) {
        abort();
    }
    kl_buf_done(&receipt);
    vault_caller_done(&chief);
    return NULL;
}

static void test_others_have_the_turn_while_the_people_of_a_tenant_are_counted(void **state)
{
    struct vault_fixture *fixture = *state;
    struct vault *vault = fixture_vault(fixture);
    const uint64_t number = fixture_tenant(fixture);
    enum kl_status status = KL_OK;
    pthread_t thread;
    bool gone = true;
    int i;

    for (i = 0; i < CROWD; i++) {
        (void)person(fixture, DUTCH);
    }
    assert_int_equal(pthread_create(&thread, NULL, end_tenant, fixture), 0);
    for (i = 0; status == KL_OK; i++) { /* until it is marked */
        struct vault_subject_result late;
        char email[64];

        (void)snprintf(email, sizeof email, "late%d@example.org", i);
        status = fixture_try_client(fixture, email, &late);
    }
    assert_string_equal(fixture->err.code, "tenant_gone");
    vault_turn_take(&vault->turn);
    assert_int_equal(vault_tenant_is_gone(vault, number, &gone, NULL), KL_OK);
    vault_turn_give(&vault->turn);
    (void)pthread_join(thread, NULL);
    assert_false(gone);
    assert_true(people(fixture, "default", "client.iban", NULL) >= CROWD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_they_wait_a_month_and_are_published_together, setup,
                                        vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_too_few_are_dropped_and_that_is_said, setup,
                                        vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_who_kept_every_row_reads_none_of_them_once_it_is_published, setup,
            vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_credential_for_several_purposes_names_one, setup,
                                        vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_they_are_not_for_a_person_about_all, setup,
                                        vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_one_person_is_one_however_many_records_go, setup,
                                        vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_an_older_data_takes_nothing_from_the_counts, setup,
                                        vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_an_erasure_that_failed_gives_nothing_and_once_done_counts_once, setup,
            vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_an_erasure_whose_end_was_cut_short_counts_once, setup,
                                        vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_an_acknowledged_erasure_counts_after_a_power_failure,
                                        setup, vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_an_erasure_without_its_end_is_published_once_all_the_same, setup,
            vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_publication_that_failed_leaves_nothing_that_opens,
                                        setup, vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_a_publication_that_failed_for_an_hour_leaves_one_and_counts_once, setup,
            vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_however_many_failed_publications_there_are_none_is_left, setup,
            vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_publication_whose_end_was_cut_short_counts_once,
                                        setup, vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_in_any_order_and_cut_short_anywhere_everybody_counts_once, setup,
            vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_any_number_of_rows_that_do_not_count_goes_at_open,
                                        setup, vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_range_of_any_size_is_forgotten_and_nothing_beside_it,
                                        setup, vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_who_is_erased_while_others_are_published_counts_once,
                                        setup, vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_tenants_end_counts_who_waits_and_who_is_there, setup,
                                        vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_an_end_that_failed_is_forgotten_by_the_next, setup,
                                        vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_tenant_ends_though_its_statistics_cannot_be_written,
                                        setup, vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_others_have_the_turn_while_the_people_of_a_tenant_are_counted, setup,
            vault_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_an_end_that_was_cut_short_after_its_commit_counts_once,
                                        setup, vault_fixture_teardown),
    };

    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
